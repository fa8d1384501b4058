"""Who writes bytes on the connection. One owner, so that packets of several writers cannot get into each other.

Protocol state lives in `Session`; a wire only carries what it is handed, whole and in order. It is a place to put
another owner of the connection's next byte, such as one that shares it with a program in the kernel.
"""

from __future__ import annotations

import socket
from typing import Protocol

MAX_PENDING = 1 << 20
"""Bytes that wait because the server takes nothing: days of heartbeats, and far more orders than it will answer."""


class Wire(Protocol):
    """Carries bytes to the server, and what the server sent from it."""

    def send(self, data: bytes) -> None:
        """Take `data`, whole packets, to be sent after all that was taken before. Errors: OSError; it is not taken."""

    def flush(self) -> None:
        """Send what could not be sent at once, as far as it goes. Errors: OSError."""

    def receive(self, room: int) -> bytes:
        """What the server sent, at most `room` bytes; b"" at its end. Errors: BlockingIOError for nothing, OSError."""

    def close(self) -> None:
        """The connection is about to be closed: let go of it."""

    @property
    def pending(self) -> int:
        """Bytes that were taken and not sent yet; `flush` when the connection can be written to."""


class SocketWire:
    """The kernel's stack, on a non-blocking socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._waiting = bytearray()

    @property
    def pending(self) -> int:
        """Bytes that the socket would not take yet."""
        return len(self._waiting)

    def send(self, data: bytes) -> None:
        """Errors: OSError from the socket; BlockingIOError above MAX_PENDING: such a connection is of no use."""
        if len(self._waiting) + len(data) > MAX_PENDING:
            raise BlockingIOError(f"the server takes nothing: {len(self._waiting)} bytes wait already")
        if self._waiting:
            self._waiting += data
            return
        self._waiting += data[self._send(data) :]

    def flush(self) -> None:
        """Errors: OSError from the socket."""
        if self._waiting:
            del self._waiting[: self._send(self._waiting)]

    def receive(self, room: int) -> bytes:
        """Errors: OSError from the socket."""
        return self._socket.recv(room)

    def close(self) -> None:
        """Nothing is held."""

    def _send(self, data: bytes | bytearray) -> int:
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
