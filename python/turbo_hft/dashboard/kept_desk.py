"""The desk of an engine that another process keeps, for whoever may adopt it: pictures come from that process, which
sees every event, and nothing else needs it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType

from turbo_hft.dashboard.desk import Canceled
from turbo_hft.dashboard.local_desk import LocalDesk
from turbo_hft.dashboard.socket_desk import SocketDesk
from turbo_hft.dashboard.view import View
from turbo_hft.errors import NotAllowed, NotRunning
from turbo_hft.metrics import MOST_SYMBOLS, Measured

_RETRY_S = 2.0
_PATIENCE = 10  # times as long as asking in vain took


class KeptDesk:
    """A `Desk`. A context manager. What steers goes to the engine itself: the process that keeps it may be stopped, or
    hang. While that does not answer, pictures come out of the engine's own tables, without events (`reads_events` is
    False then); a process that has taken the engine over is found.

    `connect` gives the desk behind the socket of the process that keeps the engine now, None while there is none; it
    raises NotRunning, NotAllowed.
    """

    def __init__(self, own: LocalDesk, connect: Callable[[], SocketDesk | None], *, retry_s: float = _RETRY_S) -> None:
        self._own, self._connect, self._retry_s = own, connect, retry_s
        self._lock = threading.Lock()  # of looking; nothing that steers takes it
        self._behind: SocketDesk | None = None
        self._due = 0.0

    @property
    def may_trade(self) -> bool:
        """See `Desk.may_trade`."""
        return self._own.may_trade

    def view(self, watch: str | None = None) -> View:
        """See `Desk.view`."""
        with self._lock:
            began = time.monotonic()
            if self._behind is not None or began >= self._due:
                with contextlib.suppress(NotRunning, NotAllowed):
                    self._behind = self._behind or self._connect()
                    if self._behind is not None:
                        return self._behind.view(watch)
                if self._behind is not None:
                    self._behind.close()
                now = time.monotonic()
                self._behind, self._due = None, now + max(self._retry_s, _PATIENCE * (now - began))
        return self._own.view(watch)

    def metrics(self, most_symbols: int = MOST_SYMBOLS) -> Measured:
        """See `Desk.metrics`."""
        return self._own.metrics(most_symbols)

    def halt(self) -> None:
        """See `Desk.halt`."""
        self._own.halt()

    def halt_and_cancel(self) -> Canceled:
        """See `Desk.halt_and_cancel`."""
        return self._own.halt_and_cancel()

    def reduce(self) -> None:
        """See `Desk.reduce`."""
        self._own.reduce()

    def resume(self) -> None:
        """See `Desk.resume`."""
        self._own.resume()

    def change(self, line: str) -> Mapping[str, object]:
        """See `Desk.change`."""
        return self._own.change(line)

    def close(self) -> None:
        """Let the connection go; the engine is whoever adopted it's."""
        with self._lock:
            if self._behind is not None:
                self._behind.close()
            self._behind = None

    def __enter__(self) -> KeptDesk:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
