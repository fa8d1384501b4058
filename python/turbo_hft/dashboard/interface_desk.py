"""The desk of whatever engine runs on an interface: of the next one too when one has ended. It starts and ends none."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from turbo_hft.control.reach import Reached
from turbo_hft.dashboard.desk import Canceled, Desk
from turbo_hft.dashboard.view import View
from turbo_hft.errors import NotRunning
from turbo_hft.metrics import MOST_SYMBOLS, Measured


@dataclass
class _Found:
    """One engine as it was reached, who uses it now, and whether it is to be closed when nobody does any more."""

    program_id: int
    reached: Reached
    users: int = 0
    over: bool = False


def _running(interface: str) -> int:
    from turbo_hft.program import query

    return query(interface)[0]


class InterfaceDesk:
    """A `Desk`. Everything raises NotRunning while no engine is there.

    The interface is asked each time which program it has: what a person does reaches the engine that trades now, never
    one that was there before. `reach` is asked for that one (`turbo_hft.control.reach`). Whose maps are in use is not
    closed under its user.
    """

    def __init__(
        self,
        interface: str,
        reach: Callable[[], Reached],
        *,
        may_trade: bool = True,
        running: Callable[[str], int] = _running,
    ) -> None:
        self._interface, self._reach, self._running = interface, reach, running
        self._may_trade = may_trade
        self._lock = threading.Lock()  # of finding an engine; never held while one is read
        self._now: _Found | None = None

    @property
    def may_trade(self) -> bool:
        """See `Desk.may_trade`; as far as is known while there is no engine."""
        now = self._now
        return self._may_trade and (now is None or now.reached.desk.may_trade)

    def view(self, watch: str | None = None) -> View:
        """See `Desk.view`."""
        with self._using() as desk:
            return desk.view(watch)

    def metrics(self, most_symbols: int = MOST_SYMBOLS) -> Measured:
        """See `Desk.metrics`."""
        with self._using() as desk:
            return desk.metrics(most_symbols)

    def halt(self) -> None:
        """See `Desk.halt`."""
        with self._using() as desk:
            desk.halt()

    def halt_and_cancel(self) -> Canceled:
        """See `Desk.halt_and_cancel`."""
        with self._using() as desk:
            return desk.halt_and_cancel()

    def reduce(self) -> None:
        """See `Desk.reduce`."""
        with self._using() as desk:
            desk.reduce()

    def resume(self) -> None:
        """See `Desk.resume`."""
        with self._using() as desk:
            desk.resume()

    def change(self, line: str) -> Mapping[str, object]:
        """See `Desk.change`."""
        with self._using() as desk:
            return desk.change(line)

    def close(self) -> None:
        """Let go of the engine, which runs on."""
        with self._lock:
            self._retire()

    @contextmanager
    def _using(self) -> Iterator[Desk]:
        found = self._take()
        try:
            yield found.reached.desk
        finally:
            self._leave(found)

    def _take(self) -> _Found:
        with self._lock:
            try:
                program_id = self._running(self._interface)
            except NotRunning:
                self._retire()
                raise
            if self._now is None or self._now.program_id != program_id:
                self._retire()
                self._now = _Found(program_id, self._reach())
            self._now.users += 1
            return self._now

    def _leave(self, found: _Found) -> None:
        with self._lock:
            found.users -= 1
            if found.over and not found.users:
                found.reached.close()

    def _retire(self) -> None:
        if self._now is None:
            return
        self._now.over = True
        if not self._now.users:
            self._now.reached.close()
        self._now = None
