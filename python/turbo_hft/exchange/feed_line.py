"""A line of the feed on the network: its faults, its socket, and where it goes."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from turbo_hft.exchange.line import Line
from turbo_hft.exchange.recording import Capture

Send = Callable[[socket.socket, bytes, tuple[str, int]], bool]


class FeedLine:
    """`send` puts a datagram on a socket and says whether that went well.

    With a capture, what was sent is noted there as line number `number`.
    """

    def __init__(
        self,
        line: Line[bytes],
        sock: socket.socket,
        to: tuple[str, int],
        send: Send,
        number: int,
        capture: Capture | None,
    ) -> None:
        self.line = line
        self.to = to
        self._socket = sock
        self._source: tuple[str, int] = sock.getsockname()
        self._send = send
        self._number = number
        self._capture = capture

    def publish(self, packet: bytes, now_ns: int) -> None:
        """The next packet of the feed: sent at once, unless a fault befalls it."""
        if self.line.perfect:
            self.line.carry()
            self._put(packet)
        else:
            self.line.offer(packet, now_ns)
            self.flush(now_ns)

    def flush(self, now_ns: int) -> None:
        """Send what is due."""
        for packet in self.line.due(now_ns):
            self._put(packet)

    def _put(self, packet: bytes) -> None:
        if self._capture is None:
            self._send(self._socket, packet, self.to)
            return
        time_ns = time.time_ns()
        if self._send(self._socket, packet, self.to):
            self._capture.add(time_ns, self._number, self._source, self.to, packet)
