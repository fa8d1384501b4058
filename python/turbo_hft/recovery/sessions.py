"""Which MoldUDP64 session to follow when the feed's own is over.

The hook passes packets of another session on, untouched: a socket at the feed's address receives exactly those.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable

from turbo_hft.addresses import FeedLine
from turbo_hft.errors import ConfigError, MalformedMessage
from turbo_hft.recovery.settings import RecoverySettings
from turbo_hft.snapshots import FeedSnapshot
from turbo_hft.wire import moldudp64

_DATAGRAM = 4096
_AT_ONCE = 256


class Strangers:
    """Sockets at the addresses of a feed's lines. Raises ConfigError when one cannot be had."""

    def __init__(self, lines: Iterable[FeedLine]) -> None:
        self._sockets: list[tuple[FeedLine, socket.socket]] = []
        for line in lines:
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._sockets.append((line, sock))
            try:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # others may listen there too
                sock.bind((line.address, line.port))
                sock.setblocking(False)
            except OSError as error:
                self.close()
                raise ConfigError(
                    f"cannot listen at {line.address}:{line.port} for the feed's next session: {error.strerror}."
                ) from None

    def sessions(self) -> list[str]:
        """The session of every packet that has come since the last call, from senders that the lines believe."""
        found = []
        for line, sock in self._sockets:
            for _ in range(_AT_ONCE):
                try:
                    datagram, sender = sock.recvfrom(_DATAGRAM)
                except OSError:
                    break
                if line.peer[0] not in (None, sender[0]) or line.peer[1] not in (0, sender[1]):
                    continue
                with contextlib.suppress(MalformedMessage):
                    found.append(moldudp64.decode(datagram).session)
        return found

    def close(self) -> None:
        """Close them."""
        for _, sock in self._sockets:
            sock.close()
        self._sockets.clear()


class SessionWatch:
    """Decides when a feed changes to another session. Once left, a session is never gone back to."""

    def __init__(self, settings: RecoverySettings) -> None:
        self._silence_ns = settings.silence_ns
        self._left: set[str] = set()
        self._other = ""
        self._heard_ns = 0  # the newest packet of the other session
        self._signs: tuple[object, ...] = ()  # of life of our own
        self._alive_ns = 0

    @property
    def expecting(self) -> bool:
        """Has another session been heard of?"""
        return bool(self._other)

    def decide(self, now_ns: int, feed: FeedSnapshot, packets: int, sessions: Iterable[str]) -> str | None:
        """The session to follow from now on; None to stay.

        `packets`: how many of our own session the engine has seen so far. `sessions`: of the others' since the last
        call, see `Strangers`.
        """
        signs = (feed.session, feed.expected_seq, feed.highest_seq, feed.first, feed.late, packets)
        if signs != self._signs:
            self._signs, self._alive_ns = signs, now_ns
        for session in sessions:
            if session != feed.session and session not in self._left:
                self._other, self._heard_ns = session, now_ns
        if self._other == feed.session:  # heard of before the feed began with it
            self._other = ""
        if not self._other or not feed.session:
            return None
        silent = self._heard_ns - self._alive_ns > self._silence_ns
        if feed.health != "ended" and not silent:
            return None
        self._left.add(feed.session)
        following, self._other = self._other, ""
        return following
