"""How an engine is reached, decided in one place for all who ask.

Whoever may adopt an engine needs nothing of the process that keeps it, which may be stopped, or hang. Whoever may not
has that process do it, by its control socket. A face takes the socket wherever there is one: that process sees every
event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

from turbo_hft.control.client import ControlClient
from turbo_hft.control.operations import Operations
from turbo_hft.control.requests import Request
from turbo_hft.dashboard.local_desk import LocalDesk
from turbo_hft.dashboard.socket_desk import SocketDesk
from turbo_hft.errors import CapabilityError, NotAllowed, NotRunning
from turbo_hft.layout import ControlLayout

if TYPE_CHECKING:
    from turbo_hft.engine import Engine

Adopt = Callable[[], "Engine"]


@dataclass(frozen=True, slots=True)
class Reached:
    """An engine as it was reached, open until it is left: adopted, behind a socket, or (for a face) both."""

    engine: Engine | None
    behind: SocketDesk | None

    def close(self) -> None:
        """Let go of it."""
        if self.behind is not None:
            self.behind.close()
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
    """For a face. `behind` is the desk to be used if there is one. Raises as `do` does."""
    try:
        engine = adopt()
    except CapabilityError as lacking:
        with _instead(lacking):
            return Reached(None, SocketDesk(layout, may_trade=may_trade))
    try:
        behind = _kept_by(engine, layout, may_trade=may_trade)
    except BaseException:
        engine.close()
        raise
    return Reached(engine, behind)


def _kept_by(engine: Engine, layout: ControlLayout, *, may_trade: bool) -> SocketDesk | None:
    kept_by = engine.controller
    if kept_by is None:
        return None
    try:
        desk = SocketDesk(layout, may_trade=may_trade)
    except (NotRunning, NotAllowed):
        return None
    if desk.pid == kept_by and desk.may_trade == may_trade:
        return desk
    desk.close()  # of an engine of this name in another network namespace, or of less use than adopting is
    return None


@contextmanager
def _instead(lacking: CapabilityError) -> Iterator[None]:
    """Where nobody listens the lacking capability is what is wrong."""
    try:
        yield
    except NotRunning as nobody:
        raise CapabilityError(f"{lacking} Without it: {nobody}") from None
