"""The sockets of a TCP server: accepts clients, moves their bytes, closes what is over. Nothing here waits.

What is said is the business of a conversation for each client. Reading and writing are apart, so that orders of all
clients are read before anybody is answered.
"""

from __future__ import annotations

import selectors
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from turbo_hft.exchange.client import Address
from turbo_hft.exchange.stream_faults import Conversation

_CHUNK = 4096
_CHUNKS = 8
_SEND_BUFFER = 1 << 17
_GOODBYE_NS = 1_000_000_000
_RESET = struct.pack("ii", 1, 0)  # struct linger: close() at once, without the rest

Start = Callable[[Address, int], Conversation]


class _Connection:
    """A client and its socket. After the last byte our half is closed, and the client's close awaited for a second."""

    def __init__(self, sock: socket.socket, conversation: Conversation, segment_bytes: int | None) -> None:
        self.sock = sock
        self.conversation = conversation
        self.events = selectors.EVENT_READ
        self.close_at_ns: int | None = None
        self._segment_bytes = segment_bytes

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
                self.conversation.receive(data, now_ns)
            if len(data) < _CHUNK:
                return True
        return True

    def write(self, now_ns: int) -> bool:
        """Send what fits; False when the client is gone."""
        data = self.conversation.output(now_ns)
        if not data:
            return True
        step = self._segment_bytes or len(data)
        size = 0
        try:
            while size < len(data):
                part = data[size : size + step]
                sent = self.sock.send(part)
                size += sent
                if sent < len(part):
                    break
        except BlockingIOError:
            pass
        except OSError:
            return False
        self.conversation.taken(size, now_ns)
        return True


class TcpServer:
    """Serves a listening, non-blocking socket; `start` makes the conversation with who has connected.

    The sockets are registered with `selector`, so that a sleep on it ends when there is something to do. `count` gets
    `connections` and `refused`, those above `max_clients`.
    """

    def __init__(
        self,
        listener: socket.socket,
        selector: selectors.BaseSelector,
        start: Start,
        count: Counter[str],
        *,
        max_clients: int,
        segment_bytes: int | None = None,
    ) -> None:
        self._listener = listener
        self._selector = selector
        self._start = start
        self._count = count
        self._max_clients = max_clients
        self._segment_bytes = segment_bytes
        self._connections: list[_Connection] = []
        selector.register(listener, selectors.EVENT_READ)

    @property
    def busy(self) -> bool:
        """Is anybody connected?"""
        return bool(self._connections)

    @property
    def next_due_ns(self) -> int | None:
        """When there is something to do even if no client does anything; None when never."""
        due = [
            each.conversation.next_due_ns if each.close_at_ns is None else each.close_at_ns
            for each in self._connections
        ]
        return min(due, default=None)

    def serve(self, now_ns: int) -> None:
        """All there is to do. Never raises for anything a client can do."""
        self.accept(now_ns)
        self.read(now_ns)
        self.write(now_ns)

    def accept(self, now_ns: int) -> None:
        """Let in who wants to be."""
        while True:
            try:
                sock, peer = self._listener.accept()
            except OSError:  # nobody there, or gone again
                return
            if len(self._connections) == self._max_clients:
                self._count["refused"] += 1
                sock.close()
                continue
            self._count["connections"] += 1
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # The kernel would take megabytes for a client that reads nothing.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
            self._connections.append(_Connection(sock, self._start(peer, now_ns), self._segment_bytes))
            self._selector.register(sock, selectors.EVENT_READ)

    def read(self, now_ns: int) -> None:
        """Hand on what clients have sent."""
        for connection in tuple(self._connections):
            if not connection.read(now_ns):
                if connection.close_at_ns is None:
                    connection.conversation.gone(now_ns)
                self._close(connection)

    def write(self, now_ns: int) -> None:
        """Send what there is to send, and close what is over."""
        for connection in tuple(self._connections):
            if connection.close_at_ns is not None:
                if now_ns >= connection.close_at_ns:
                    self._close(connection)
            elif not connection.write(now_ns):
                connection.conversation.gone(now_ns)
                self._close(connection)
            elif connection.conversation.over:
                self._end(connection, now_ns)
            else:
                self._watch(connection, connection.conversation.has_output)

    def close(self) -> None:
        """Close all connections."""
        for connection in tuple(self._connections):
            if connection.close_at_ns is None:
                connection.conversation.gone(time.monotonic_ns())
            self._close(connection)

    def _watch(self, connection: _Connection, has_output: bool) -> None:
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if has_output else 0)
        if events != connection.events:
            connection.events = events
            self._selector.modify(connection.sock, events)

    def _end(self, connection: _Connection, now_ns: int) -> None:
        if connection.conversation.resets:
            with suppress(OSError):
                connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._close(connection)
            return
        # Closing with unread bytes in our receive buffer would be a reset, and that may cost the client the end.
        with suppress(OSError):
            connection.sock.shutdown(socket.SHUT_WR)
        connection.close_at_ns = now_ns + _GOODBYE_NS
        self._watch(connection, has_output=False)

    def _close(self, connection: _Connection) -> None:
        self._connections.remove(connection)
        self._selector.unregister(connection.sock)
        connection.sock.close()
