"""The sockets of the snapshot server: accepts clients, moves their bytes, closes what is over. Nothing here waits."""

from __future__ import annotations

import selectors
import socket
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress

from turbo_hft.exchange.glimpse import HEARTBEAT_NS, SnapshotClient
from turbo_hft.exchange.history import History

MAX_CLIENTS = 16
_CHUNK = 4096
_CHUNKS = 8
_SEND_BUFFER = 1 << 17
_COUNTERS = (
    "connections", "refused", "logins", "logins_rejected", "snapshots", "messages", "heartbeats", "malformed",
    "login_timeouts", "silent", "left",
)  # fmt: skip


class _Connection:
    """A client and its socket. After the last byte our half is closed, and the client's close awaited for a second."""

    def __init__(self, sock: socket.socket, client: SnapshotClient) -> None:
        self.sock = sock
        self.client = client
        self.close_at_ns: int | None = None

    def read(self, now_ns: int) -> bool:
        """Take what has arrived; False when the client is gone."""
        for _ in range(_CHUNKS):  # and no more at a time: who sends without end must not hold the exchange
            try:
                data = self.sock.recv(_CHUNK)
            except BlockingIOError:
                return True
            except OSError:
                return False
            if not data:
                return False
            if self.close_at_ns is None:
                self.client.receive(data, now_ns)
        return True

    def write(self, now_ns: int) -> bool:
        """Send what fits; False when the client is gone."""
        data = self.client.output(now_ns)
        if data:
            try:
                size = self.sock.send(data)
            except BlockingIOError:
                size = 0
            except OSError:
                return False
            self.client.taken(size, now_ns)
        return True


class GlimpseServer:
    """Serves the newest session of `history` on a listening, non-blocking socket; `close` ends all connections.

    The sockets are registered with `selector`, so that a sleep on it ends when there is something to `serve`.
    """

    def __init__(
        self,
        listener: socket.socket,
        selector: selectors.BaseSelector,
        history: History,
        accounts: Mapping[str, str],
        *,
        delay_ns: int = 0,
    ) -> None:
        self._listener = listener
        self._selector = selector
        self._history = history
        self._accounts = accounts
        self._delay_ns = delay_ns
        self._connections: list[_Connection] = []
        self.count: Counter[str] = Counter()
        selector.register(listener, selectors.EVENT_READ)

    @property
    def next_due_ns(self) -> int | None:
        """When there is something to do even if no client does anything; None when never."""
        due = [each.client.next_due_ns if each.close_at_ns is None else each.close_at_ns for each in self._connections]
        return min(due, default=None)

    def serve(self, now_ns: int) -> None:
        """Move what can be moved. Never raises for anything a client can do."""
        self._accept(now_ns)
        for connection in list(self._connections):
            here = connection.read(now_ns)
            if connection.close_at_ns is None and here:
                here = connection.write(now_ns)
            if not here:
                if connection.close_at_ns is None:
                    connection.client.gone()
                self._close(connection)
            elif connection.close_at_ns is not None:
                if now_ns >= connection.close_at_ns:
                    self._close(connection)
            elif connection.client.over:
                self._end(connection, now_ns)
            else:
                events = selectors.EVENT_READ | (selectors.EVENT_WRITE if connection.client.has_output else 0)
                self._selector.modify(connection.sock, events)

    def counters(self) -> dict[str, int]:
        """JSON-ready."""
        return {name: self.count[name] for name in _COUNTERS}

    def close(self) -> None:
        """Close all connections."""
        for connection in list(self._connections):
            self._close(connection)

    def _snapshot(self) -> tuple[str, list[bytes]]:
        session = self._history.current
        return session.name, session.market.snapshot()

    def _accept(self, now_ns: int) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:  # nobody there, or gone again
                return
            if len(self._connections) == MAX_CLIENTS:
                self.count["refused"] += 1
                sock.close()
                continue
            self.count["connections"] += 1
            sock.setblocking(False)
            # The kernel would take megabytes for a client that reads nothing.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
            client = SnapshotClient(self._accounts, self._snapshot, self.count, now_ns, delay_ns=self._delay_ns)
            self._connections.append(_Connection(sock, client))
            self._selector.register(sock, selectors.EVENT_READ)

    def _end(self, connection: _Connection, now_ns: int) -> None:
        # Closing with unread bytes in our receive buffer would be a reset, and that may cost the client the end.
        with suppress(OSError):
            connection.sock.shutdown(socket.SHUT_WR)
        connection.close_at_ns = now_ns + HEARTBEAT_NS
        self._selector.modify(connection.sock, selectors.EVENT_READ)

    def _close(self, connection: _Connection) -> None:
        self._connections.remove(connection)
        self._selector.unregister(connection.sock)
        connection.sock.close()
