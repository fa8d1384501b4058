"""The desk of whatever engine runs on an interface: of the next one too when one has ended. It starts and ends none."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from turbo_hft.control.reach import Reached, reach
from turbo_hft.dashboard.desk import Canceled
from turbo_hft.dashboard.local_desk import LocalDesk
from turbo_hft.dashboard.socket_desk import SocketDesk
from turbo_hft.dashboard.view import View
from turbo_hft.errors import NotAllowed, NotRunning, TurboHftError
from turbo_hft.layout import DEFAULT_CONTROL_ROOT, ControlLayout

if TYPE_CHECKING:
    from turbo_hft.engine import Engine
    from turbo_hft.journal import Tail


@dataclass
class _Adopted:
    """One engine as it was reached, who uses it now, and whether it is to be closed when nobody does any more."""

    program_id: int
    reached: Reached
    desk: LocalDesk | SocketDesk
    users: int = 0
    over: bool = False


def _running(interface: str) -> int:
    from turbo_hft.program import query

    return query(interface)[0]


def _adopt(interface: str) -> Engine:
    from turbo_hft.engine import Engine

    return Engine.adopt(interface)


class InterfaceDesk:
    """A `Desk`. Everything raises NotRunning while no engine is there.

    The interface is asked each time which program it has: what a person does reaches the engine that trades now, never
    one that was there before. Whose maps are in use is not closed under its user. Events come out of the `journal` that
    whoever runs the engine writes, if there is one; `say` is told when that cannot be read any more.
    """

    def __init__(
        self,
        interface: str,
        *,
        may_trade: bool = True,
        journal: Tail | None = None,
        say: Callable[[str], None] = lambda line: None,
        running: Callable[[str], int] = _running,
        adopt: Callable[[str], Engine] = _adopt,
        layout: ControlLayout | None = None,
    ) -> None:
        """`layout`: where the control sockets of the process that runs the engine are, if there are any."""
        self._interface, self._may_trade, self._running, self._adopt = interface, may_trade, running, adopt
        self._layout = layout or ControlLayout(DEFAULT_CONTROL_ROOT, interface)
        self._lock = threading.Lock()  # of finding an engine; never held while one is read
        self._now: _Adopted | None = None
        self._journal, self._say = journal, say
        self._reading = threading.Lock()  # of the journal

    @property
    def may_trade(self) -> bool:
        """See `Desk.may_trade`."""
        return self._may_trade

    def view(self, watch: str | None = None) -> View:
        """See `Desk.view`."""
        with self._using() as found:
            if self._journal is not None and isinstance(found.desk, LocalDesk):  # by the socket events come anyway
                self._follow(found.desk, self._journal)
            return found.desk.view(watch)

    def _follow(self, desk: LocalDesk, journal: Tail) -> None:
        with self._reading:
            try:
                desk.observe(journal.read())
            except TurboHftError as error:
                self._say(f"no more events are shown: {error}")
                self._journal = None

    def halt(self) -> None:
        """See `Desk.halt`."""
        with self._using() as found:
            found.desk.halt()

    def halt_and_cancel(self) -> Canceled:
        """See `Desk.halt_and_cancel`."""
        with self._using() as found:
            return found.desk.halt_and_cancel()

    def reduce(self) -> None:
        """See `Desk.reduce`."""
        with self._using() as found:
            found.desk.reduce()

    def resume(self) -> None:
        """See `Desk.resume`."""
        with self._using() as found:
            found.desk.resume()

    def change(self, line: str) -> Mapping[str, object]:
        """See `Desk.change`."""
        with self._using() as found:
            return found.desk.change(line)

    @contextmanager
    def engine(self) -> Iterator[Engine | None]:
        """The engine itself for as long as the block lasts, None where there is none. Raises NotAllowed where this
        user reaches it by its socket only."""
        try:
            found = self._take()
        except NotRunning:
            yield None
            return
        try:
            if found.reached.engine is None:
                raise NotAllowed(
                    "what is asked for is in the engine's maps, which this user may not open: be root, or the user who "
                    "runs the engine."
                )
            yield found.reached.engine
        finally:
            self._leave(found)

    def close(self) -> None:
        """Let go of the engine, which runs on."""
        with self._lock:
            self._retire()

    @contextmanager
    def _using(self) -> Iterator[_Adopted]:
        found = self._take()
        try:
            yield found
        except NotRunning:  # the process behind a socket has ended: the next question finds who has the engine now
            with self._lock:
                if self._now is found:
                    self._retire()
            raise
        finally:
            self._leave(found)

    def _take(self) -> _Adopted:
        with self._lock:
            try:
                program_id = self._running(self._interface)
            except NotRunning:
                self._retire()
                raise
            if self._now is None or self._now.program_id != program_id:
                self._retire()
                found = reach(lambda: self._adopt(self._interface), self._layout, may_trade=self._may_trade)
                self._now = _Adopted(program_id, found, self._desk(found))
            self._now.users += 1
            return self._now

    def _desk(self, found: Reached) -> LocalDesk | SocketDesk:
        if found.behind is not None:
            return found.behind
        assert found.engine is not None
        return LocalDesk(found.engine, may_trade=self._may_trade, reads_events=self._journal is not None)

    def _leave(self, found: _Adopted) -> None:
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
