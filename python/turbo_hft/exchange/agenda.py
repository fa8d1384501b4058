"""What the exchange will do later: actions with the time of the simulated day at which they are due."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush

Action = Callable[[int], None]


class Agenda:
    """Actions in the order of their times, those of one time in the order they were added. Each is given the time."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Action]] = []
        self._added = 0

    def __len__(self) -> int:
        """Actions that are still to come."""
        return len(self._heap)

    def add(self, due_ns: int, action: Action) -> None:
        """Do something at `due_ns`."""
        self._added += 1
        heappush(self._heap, (due_ns, self._added, action))

    def has_due(self, now_ns: int) -> bool:
        """Is it time for something?"""
        return bool(self._heap) and self._heap[0][0] <= now_ns

    def run(self, now_ns: int) -> None:
        """Do what is due, also what that adds if it is due too."""
        while self.has_due(now_ns):
            heappop(self._heap)[2](now_ns)

    def run_all(self, now_ns: int) -> None:
        """The day ends: do everything now."""
        while self._heap:
            heappop(self._heap)[2](now_ns)
