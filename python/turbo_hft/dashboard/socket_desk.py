"""The desk of an engine that another process keeps: everything goes by its control socket."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from turbo_hft.control import requests as ask
from turbo_hft.control.client import ControlClient
from turbo_hft.dashboard.desk import Canceled
from turbo_hft.dashboard.view import View
from turbo_hft.errors import ConfigError, NotRunning
from turbo_hft.layout import ControlLayout

_CANCEL_S = 2.0


class SocketDesk:
    """A `Desk`. A context manager. Pictures, halts and everything else have a connection each: a halt waits for none.

    `may_trade`: this user may, and is not kept from it. A connection that was lost is made anew with the next question:
    another process may have taken the engine over. `pid`: whose process it was at first.
    """

    def __init__(self, layout: ControlLayout, *, may_trade: bool = True) -> None:
        """Raises NotRunning, NotAllowed."""
        self._layout = layout
        self._lock = threading.Lock()
        looking = ControlClient.reading(layout)
        self._clients = {"look": looking}
        self.pid = looking.pid
        self._may_trade = may_trade and looking.may_trade

    @property
    def may_trade(self) -> bool:
        """See `Desk.may_trade`."""
        return self._may_trade

    def view(self, watch: str | None = None) -> View:
        """See `Desk.view`."""
        return View.from_dict(self._ask("look", ask.View(watch=watch)))

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

    def _steer(self, request: ask.Request, way: str = "steer") -> dict[str, Any]:
        if not self._may_trade:
            raise ConfigError(
                "this view of the engine may only look at it: use turbo-hft on its machine, as a user who may trade"
            )
        return self._ask(way, request)

    def _ask(self, way: str, request: ask.Request) -> dict[str, Any]:
        with self._lock:
            client = self._clients.get(way)
            if client is None:
                client = ControlClient.reading(self._layout)
                self._clients[way] = client
        try:
            return client.ask(request)
        except NotRunning:
            with self._lock:
                client.close()
                if self._clients.get(way) is client:
                    del self._clients[way]
            raise

    def close(self) -> None:
        """Let all connections go."""
        with self._lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()

    def __enter__(self) -> SocketDesk:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
