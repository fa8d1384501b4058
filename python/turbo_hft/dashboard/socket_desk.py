"""The desk of an engine that another process keeps: everything goes by its control socket."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Literal

from turbo_hft.control import requests as ask
from turbo_hft.control.client import ControlClient
from turbo_hft.dashboard.desk import Canceled
from turbo_hft.dashboard.view import View
from turbo_hft.errors import ConfigError, NotAllowed, NotRunning
from turbo_hft.layout import ControlLayout
from turbo_hft.metrics import MOST_SYMBOLS, Measured

_CANCEL_S = 2.0
_Way = Literal["look", "measure", "halt", "halt and cancel", "steer"]
_WAYS: tuple[_Way, ...] = ("look", "measure", "halt", "halt and cancel", "steer")


class _Connection:
    """One that is made when it is needed, and anew when it was lost. `trade`: one that may only look is of no use."""

    def __init__(self, layout: ControlLayout, *, trade: bool) -> None:
        self._layout, self._trade = layout, trade
        self._lock = threading.Lock()  # of this one alone: who waits to be connected keeps no other waiting
        self._client: ControlClient | None = None

    def open(self) -> ControlClient:
        """Raises NotRunning, NotAllowed."""
        with self._lock:
            if self._client is None:
                layout = self._layout
                self._client = ControlClient(layout, "trade") if self._trade else ControlClient.reading(layout)
            return self._client

    def ask(self, request: ask.Request) -> dict[str, Any]:
        """Raises what the request raises, NotRunning where nobody answers."""
        client = self.open()
        try:
            return client.ask(request)
        except NotRunning:
            self._forget(client)
            raise

    def _forget(self, client: ControlClient) -> None:
        client.close()
        with self._lock:
            if self._client is client:
                self._client = None

    def close(self) -> None:
        """Let it go."""
        with self._lock:
            if self._client is not None:
                self._client.close()
            self._client = None


class SocketDesk:
    """A `Desk`. A context manager. Pictures, metrics, halts and everything else have a connection each: a halt waits
    for none, and its own is there before it is needed.

    `may_trade`: this user may, and is not kept from it. A connection that was lost is made anew with the next question:
    another process may have taken the engine over. `pid`: whose process it was at first.
    """

    def __init__(self, layout: ControlLayout, *, may_trade: bool = True) -> None:
        """Raises NotRunning, NotAllowed."""
        self._ways = {way: _Connection(layout, trade=way not in ("look", "measure")) for way in _WAYS}
        looking = self._ways["look"].open()
        self.pid = looking.pid
        self._may_trade = may_trade and looking.may_trade
        self._be_ready()

    def _be_ready(self) -> None:
        """To halt: while many others connect nobody may be let in. What cannot be had now is tried again with the next
        picture, and by the halt itself."""
        if self._may_trade:
            with contextlib.suppress(NotRunning, NotAllowed):
                self._ways["halt"].open()

    @property
    def may_trade(self) -> bool:
        """See `Desk.may_trade`."""
        return self._may_trade

    def view(self, watch: str | None = None) -> View:
        """See `Desk.view`."""
        picture = View.from_dict(self._ways["look"].ask(ask.View(watch=watch)))
        self._be_ready()
        return picture

    def metrics(self, most_symbols: int = MOST_SYMBOLS) -> Measured:
        """See `Desk.metrics`."""
        return self._ways["measure"].ask(ask.Metrics(most_symbols=most_symbols))

    def halt(self) -> None:
        """See `Desk.halt`."""
        self._steer(ask.Halt(), "halt")

    def halt_and_cancel(self) -> Canceled:
        """See `Desk.halt_and_cancel`."""
        report = self._steer(ask.Halt(cancel=True, timeout_s=_CANCEL_S), "halt and cancel")
        refused = {str(order["user_ref"]): order["refused"] for order in report["left"] if order["refused"]}
        return Canceled(report["canceled"], tuple(order["user_ref"] for order in report["left"]), refused)

    def reduce(self) -> None:
        """See `Desk.reduce`."""
        self._steer(ask.Reduce())

    def resume(self) -> None:
        """See `Desk.resume`."""
        self._steer(ask.Resume())

    def change(self, line: str) -> Mapping[str, object]:
        """See `Desk.change`."""
        after: Mapping[str, object] = self._steer(ask.Change(line=line))["settings"]
        return after

    def _steer(self, request: ask.Request, way: _Way = "steer") -> dict[str, Any]:
        if not self._may_trade:
            raise ConfigError(
                "this view of the engine may only look at it: use turbo-hft on its machine, as a user who may trade"
            )
        return self._ways[way].ask(request)

    def close(self) -> None:
        """Let all connections go."""
        for connection in self._ways.values():
            connection.close()

    def __enter__(self) -> SocketDesk:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
