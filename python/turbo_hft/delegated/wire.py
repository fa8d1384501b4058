"""The owner of a client's connection that shares it with the hook: a `turbo_hft.soupbintcp.Wire`."""

from __future__ import annotations

import errno
import socket
import struct
import time
from contextlib import suppress

from turbo_hft.addresses import OrderSession
from turbo_hft.delegated.connection import Connection
from turbo_hft.engine import Engine
from turbo_hft.errors import ExchangeError

_FREE_S = 0.05  # so long an ordinary send waits for the hook's sends to be merged, before it waits in line
_SOON_S = 0.001
_ABORT = struct.pack("ii", 1, 0)  # struct linger: close with a RST


class DelegatedWire:
    """Bytes of the client's session go between the hook's. `heard`: when the peer last said something (monotonic)."""

    def __init__(
        self, engine: Engine, session: OrderSession, sock: socket.socket, merge_cpu: int | None, poll_s: float
    ) -> None:
        """Raises as `Connection`."""
        self.connection = Connection(engine, session, sock, merge_cpu=merge_cpu, poll_s=poll_s)
        self.heard = time.monotonic()
        self._socket = sock
        self._waiting = bytearray()

    @property
    def pending(self) -> int:
        """Bytes of whole packets that wait for the wire to be free."""
        return len(self._waiting)

    def send(self, data: bytes) -> None:
        """Errors: OSError for a connection that is lost."""
        self._waiting += data
        self._pass(_FREE_S)

    def flush(self) -> None:
        """Errors: OSError for a connection that is lost."""
        self._pass(_SOON_S)

    def _pass(self, timeout_s: float) -> None:
        if not self._waiting:
            return
        try:
            if self.connection.offer(bytes(self._waiting), timeout_s):
                self._waiting.clear()
        except ExchangeError as error:
            raise OSError(errno.EPIPE, str(error)) from None

    def receive(self, room: int) -> bytes:
        """Errors: BlockingIOError, OSError."""
        try:
            data = self.connection.recv(room)
        except ExchangeError as error:
            raise OSError(errno.EPIPE, str(error)) from None
        if data is None:
            raise BlockingIOError
        self.heard = time.monotonic()
        return data

    def close(self) -> None:
        """Merge what can be merged, and let go. What is not acknowledged by now is dropped when the socket is closed:
        an order that TCP goes on sending behind our back could arrive at any time."""
        left = self.connection.status.unacknowledged
        with suppress(ExchangeError):  # lost: there is nothing to be merged into
            self.connection.close()
        if left:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
