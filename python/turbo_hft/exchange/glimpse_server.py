"""The snapshot server: the newest session of the feed's history, over TCP."""

from __future__ import annotations

import selectors
import socket
from collections import Counter
from collections.abc import Mapping

from turbo_hft.exchange.client import Address
from turbo_hft.exchange.glimpse import SnapshotClient
from turbo_hft.exchange.history import History
from turbo_hft.exchange.tcp_server import TcpServer

MAX_CLIENTS = 16
_COUNTERS = (
    "connections", "refused", "logins", "logins_rejected", "snapshots", "messages", "heartbeats", "malformed",
    "login_timeouts", "silent", "left",
)  # fmt: skip


class GlimpseServer(TcpServer):
    """Serves the newest session of `history` on a listening, non-blocking socket; `close` ends all connections."""

    def __init__(
        self,
        listener: socket.socket,
        selector: selectors.BaseSelector,
        history: History,
        accounts: Mapping[str, str],
        *,
        delay_ns: int = 0,
    ) -> None:
        self._history = history
        self._accounts = accounts
        self._delay_ns = delay_ns
        self.count: Counter[str] = Counter()
        super().__init__(listener, selector, self._client, self.count, max_clients=MAX_CLIENTS)

    def counters(self) -> dict[str, int]:
        """JSON-ready."""
        return {name: self.count[name] for name in _COUNTERS}

    def _client(self, peer: Address, now_ns: int) -> SnapshotClient:
        del peer
        return SnapshotClient(self._accounts, self._snapshot, self.count, now_ns, delay_ns=self._delay_ns)

    def _snapshot(self) -> tuple[str, list[bytes]]:
        session = self._history.current
        return session.name, session.market.snapshot()
