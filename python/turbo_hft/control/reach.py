"""How an engine is reached, decided in one place for all who ask.

Whoever may adopt an engine needs nothing of the process that keeps it, which may be stopped, or hang. Whoever may not
has that process do it, by its control socket. Pictures come by the socket wherever there is one: that process sees
every event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any

from turbo_hft.control.client import ControlClient
from turbo_hft.control.operations import Operations
from turbo_hft.control.requests import Request
from turbo_hft.dashboard.desk import Desk
from turbo_hft.dashboard.kept_desk import KeptDesk
from turbo_hft.dashboard.local_desk import LocalDesk
from turbo_hft.dashboard.socket_desk import SocketDesk
from turbo_hft.errors import CapabilityError, NotRunning
from turbo_hft.layout import ControlLayout

if TYPE_CHECKING:
    from turbo_hft.engine import Engine

Adopt = Callable[[], "Engine"]


class Reached:
    """An engine as a face has it, open until it is left. `desk` shows and steers it. `engine`: None where this user may
    not adopt it."""

    def __init__(self, engine: Engine | None, desk: SocketDesk | KeptDesk) -> None:
        self.engine = engine
        self.desk: Desk = desk
        self._open = desk

    def close(self) -> None:
        """Let go of it."""
        self._open.close()
        if self.engine is not None:
            self.engine.close()

    def __enter__(self) -> Reached:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def do(request: Request, adopt: Adopt, layout: ControlLayout) -> dict[str, Any]:
    """Have a request done; the answer. Raises what that raises; NotAllowed, which names the group that is missing;
    CapabilityError where there is neither a right to adopt nor a socket."""
    try:
        with adopt() as engine:
            return Operations(engine, LocalDesk(engine))(request)
    except CapabilityError as lacking:
        with _instead(lacking):
            client = ControlClient.reading(layout) if request.role() == "read" else ControlClient(layout, "trade")
        with client:
            return client.ask(request)


def reach(adopt: Adopt, layout: ControlLayout, *, may_trade: bool = True) -> Reached:
    """For a face. Raises as `do` does. Where the engine can be adopted nothing is waited for here."""
    try:
        engine = adopt()
    except CapabilityError as lacking:
        with _instead(lacking):
            return Reached(None, SocketDesk(layout, may_trade=may_trade))
    return Reached(engine, KeptDesk(LocalDesk(engine, may_trade=may_trade), lambda: _kept_by(engine, layout)))


def _kept_by(engine: Engine, layout: ControlLayout) -> SocketDesk | None:
    """To look through, of the process that keeps the engine now. Raises NotRunning, NotAllowed."""
    kept_by = engine.controller
    if kept_by is None:
        return None
    desk = SocketDesk(layout, may_trade=False)
    if desk.pid == kept_by:
        return desk
    desk.close()  # of an engine of this name in another network namespace
    return None


@contextmanager
def _instead(lacking: CapabilityError) -> Iterator[None]:
    """Where nobody listens the lacking capability is what is wrong."""
    try:
        yield
    except NotRunning as nobody:
        raise CapabilityError(f"{lacking} Without it: {nobody}") from None
