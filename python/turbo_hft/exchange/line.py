"""One line of the feed and what goes wrong on it: loss, duplicates, reordering, delay, all from a seed.

No sockets and no clock here: packets and times in, packets out when they are due. A line without faults hands a
packet out at the very time it was offered. Delay keeps the order of packets (a slow path is slow for all of them);
what changes the order is reordering, which lets a packet be overtaken by one to three later ones, and a duplicate
may come as late as that. Every packet offered is lost, or handed out once and once more for each duplicate.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from random import Random
from typing import Generic, TypeVar

from turbo_hft.errors import ConfigError

P = TypeVar("P")

_FURTHEST = 3  # packets that overtake a reordered one
_LONGEST_HOLD_NS = 10_000_000  # and how long it waits for them if none come


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Shares of packets, each 0 to 1, and the delay of all of them (shortest, longest) in ns.

    Errors: ConfigError naming the value that cannot be.
    """

    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    delay_ns: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name, share in (("loss", self.loss), ("duplicate", self.duplicate), ("reorder", self.reorder)):
            check_share(name, share)
        check_delay(self.delay_ns)


def check_share(name: str, share: float) -> None:
    """Errors: ConfigError unless `share` is 0 to 1."""
    if not 0 <= share <= 1:
        raise ConfigError(f"{name} {share}: give a share from 0 to 1, such as 0.01 for one in a hundred")


def check_delay(delay_ns: tuple[int, int]) -> None:
    """Errors: ConfigError unless it is (shortest, longest), 0 or more."""
    if not 0 <= delay_ns[0] <= delay_ns[1]:
        raise ConfigError(
            f"delay from {delay_ns[0] / 1000:g} to {delay_ns[1] / 1000:g} µs: give the shorter one first, 0 or more"
        )


@dataclass(frozen=True, slots=True)
class _Held(Generic[P]):
    """A packet that waits until `passed` packets went straight on, or until `until_ns` if they never come."""

    passed: int
    until_ns: int
    due_ns: int
    packet: P


class CommonLoss:
    """Packets that both lines lose, as they do when the trouble is before they part. Decided by number and seed."""

    def __init__(self, share: float, seed: int) -> None:
        """Errors: ConfigError unless `share` is 0 to 1."""
        check_share("loss on both lines", share)
        self._share = share
        self._seed = seed

    def loses(self, number: int) -> bool:
        """Is the packet of this number (first = 1) lost on every line?"""
        # No generator that is drawn from: the lines may ask in any order, and must get the same answer.
        return self._share > 0 and Random(f"{self._seed} both {number}").random() < self._share


class Line(Generic[P]):
    """A line for packets of any kind. Give each one a seed of its own, and both of a feed the same `common`."""

    def __init__(self, faults: Faults | None = None, seed: int | str = 0, common: CommonLoss | None = None) -> None:
        self._faults = faults or Faults()
        self._random = Random(f"{seed}")
        self._common = common
        self._due: deque[tuple[int, P]] = deque()
        self._held: list[_Held[P]] = []
        self._last_due_ns = 0
        self._passed = 0  # packets that were neither lost nor held
        self.perfect = self._faults == Faults() and common is None
        """No fault can befall a packet here: `carry` it, or `offer` it and take it from `due`, all the same."""
        self.offered = 0
        self.sent = 0
        self.lost = 0
        self.lost_on_both = 0
        self.duplicated = 0
        self.reordered = 0
        self.delayed = 0

    @property
    def pending(self) -> int:
        """Packets that were offered and are neither lost nor handed out yet."""
        return len(self._due) + len(self._held)

    @property
    def next_due_ns(self) -> int | None:
        """When the next packet is due if no other is offered; None when there is none."""
        times = [held.until_ns for held in self._held]
        if self._due:
            times.append(self._due[0][0])
        return min(times, default=None)

    def offer(self, packet: P, now_ns: int) -> None:
        """The next packet of the feed enters the line."""
        self.offered += 1
        if self._common is not None and self._common.loses(self.offered):
            self.lost_on_both += 1
        elif self._happens(self._faults.loss):
            self.lost += 1
        else:
            self._enter(packet, now_ns)
        self._release(now_ns)

    def carry(self) -> None:
        """Count a packet that a perfect line takes straight to its end: the short way for what needs no decision."""
        self.offered += 1
        self.sent += 1

    def due(self, now_ns: int) -> list[P]:
        """The packets to send now, in order; each is handed out once."""
        self._release(now_ns)
        packets: list[P] = []
        while self._due and self._due[0][0] <= now_ns:
            packets.append(self._due.popleft()[1])
        self.sent += len(packets)
        return packets

    def counters(self) -> dict[str, int]:
        """JSON-ready; `sent` counts duplicates too, `lost` not what was lost on both lines."""
        return {
            "offered": self.offered,
            "sent": self.sent,
            "lost": self.lost,
            "lost_on_both": self.lost_on_both,
            "duplicated": self.duplicated,
            "reordered": self.reordered,
            "delayed": self.delayed,
        }

    def _enter(self, packet: P, now_ns: int) -> None:
        faults = self._faults
        due_ns = now_ns
        if faults.delay_ns[1]:
            due_ns += self._random.randint(*faults.delay_ns)
            self.delayed += 1
        if self._happens(faults.reorder):
            self.reordered += 1
            self._hold(self._random.randint(1, _FURTHEST), due_ns, packet)
        else:
            self._passed += 1
            self._queue(due_ns, packet)
        if self._happens(faults.duplicate):
            self.duplicated += 1
            self._hold(self._random.randint(0, _FURTHEST), due_ns, packet)

    def _queue(self, due_ns: int, packet: P) -> None:
        self._last_due_ns = max(self._last_due_ns, due_ns)
        self._due.append((self._last_due_ns, packet))

    def _hold(self, packets: int, due_ns: int, packet: P) -> None:
        """Until so many more packets have passed."""
        self._held.append(_Held(self._passed + packets, due_ns + _LONGEST_HOLD_NS, due_ns, packet))

    def _release(self, now_ns: int) -> None:
        if not self._held:
            return
        still: list[_Held[P]] = []
        for held in self._held:
            if held.passed <= self._passed or held.until_ns <= now_ns:
                self._queue(max(now_ns, held.due_ns), held.packet)
            else:
                still.append(held)
        self._held = still

    def _happens(self, share: float) -> bool:
        return share > 0 and self._random.random() < share
