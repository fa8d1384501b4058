"""One client of the snapshot server: GLIMPSE over SoupBinTCP, without its socket.

A client logs in, gets the market as it was at that moment (`published_market`), the number at which the feed goes on,
and the end of the session. Bytes wait here in a buffer of bounded size: the snapshot is put into it as it empties, so
a slow reader costs little and delays nobody. Who sends garbage, does not log in, or neither sends nor takes anything
for a while is dropped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from enum import Enum

from turbo_hft.errors import MalformedMessage
from turbo_hft.exchange.accounts import Credentials
from turbo_hft.wire import soupbintcp

HEARTBEAT_NS = 1_000_000_000
LOGIN_TIMEOUT_NS = 30 * HEARTBEAT_NS
SILENCE_NS = 15 * HEARTBEAT_NS
# What a login is, a little more of it, and what is made ahead of a client that takes it.
_MAX_INPUT = 4096
_BUFFER = 32_768

Snapshot = Callable[[], tuple[str, list[bytes]]]


class _State(Enum):
    LOGIN = "login"
    DELAY = "delay"
    SENDING = "sending"
    LAST_WORDS = "last words"  # what is in the buffer, and no more
    OVER = "over"


class SnapshotClient:
    """`receive` what it sent, send it `output`, say with `taken` how much of that it took; `over` when to close."""

    resets = False

    def __init__(
        self,
        accounts: Mapping[str, str],
        snapshot: Snapshot,
        count: Counter[str],
        now_ns: int,
        *,
        delay_ns: int = 0,
        login_timeout_ns: int = LOGIN_TIMEOUT_NS,
    ) -> None:
        """`snapshot` gives the session's name and the messages as of now; they are sent `delay_ns` after the login."""
        self._credentials = Credentials(accounts)
        self._snapshot = snapshot
        self._count = count
        self._delay_ns = delay_ns
        self._login_until_ns = now_ns + login_timeout_ns
        self._decoder = soupbintcp.Decoder(_MAX_INPUT)
        self._state = _State.LOGIN
        self._buffer = bytearray()
        self._messages: Iterator[bytes] = iter(())
        self._send_at_ns = 0
        self._last_sign_ns = now_ns
        self._last_sent_ns = now_ns

    @property
    def over(self) -> bool:
        """Is everything said and sent, or the client dropped?"""
        return self._state is _State.OVER

    @property
    def has_output(self) -> bool:
        """Would it get something if it could take more now?"""
        return bool(self._buffer) or self._state is _State.SENDING

    @property
    def next_due_ns(self) -> int:
        """When there is something to do even if the client does nothing."""
        if self._state is _State.LOGIN:
            return self._login_until_ns
        if self._state is _State.DELAY:
            return min(self._send_at_ns, self._last_sent_ns + HEARTBEAT_NS)
        return self._last_sign_ns + SILENCE_NS

    def receive(self, data: bytes, now_ns: int) -> None:
        """The client sent this. Never raises for anything it can send."""
        self._last_sign_ns = now_ns
        self._decoder.feed(data)
        try:
            for packet in self._decoder:
                self._one(packet, now_ns)
        except MalformedMessage:
            self._drop("malformed")

    def output(self, now_ns: int) -> bytes:
        """What the client should get next; empty when there is nothing. Time-outs strike here."""
        if self._state is _State.LOGIN and now_ns >= self._login_until_ns:
            self._drop("login_timeouts")
        elif self._state is not _State.LOGIN and now_ns - self._last_sign_ns >= SILENCE_NS:
            self._drop("silent")
        if self._state is _State.DELAY:
            if now_ns >= self._send_at_ns:
                self._state = _State.SENDING
            elif now_ns - self._last_sent_ns >= HEARTBEAT_NS:
                self._say(soupbintcp.ServerHeartbeat(), now_ns)
                self._count["heartbeats"] += 1
        if self._state is _State.SENDING:
            self._fill(now_ns)
        return bytes(self._buffer)

    def taken(self, size: int, now_ns: int) -> None:
        """The client took so many bytes of the output."""
        if size:
            self._last_sign_ns = now_ns
            del self._buffer[:size]
        if self._state is _State.LAST_WORDS and not self._buffer:
            self._state = _State.OVER

    def gone(self, now_ns: int) -> None:
        """The client closed the connection, or broke it."""
        del now_ns
        self._drop("left")

    def _one(self, packet: soupbintcp.Packet, now_ns: int) -> None:
        match packet:
            case _ if self._state is _State.OVER:
                pass  # nothing counts any more
            case soupbintcp.LoginRequest() if self._state is _State.LOGIN:
                self._login(packet, now_ns)
            case soupbintcp.LogoutRequest():
                self._drop("left")
            case soupbintcp.ClientHeartbeat() | soupbintcp.UnsequencedData() | soupbintcp.Debug():
                pass  # a sign of life; nothing can be ordered here
            case _:
                self._drop("malformed")

    def _login(self, request: soupbintcp.LoginRequest, now_ns: int) -> None:
        reason = ""
        if not self._credentials.authorised(request.username, request.password):
            reason = "A"
        else:
            session, messages = self._snapshot()
            if not self._credentials.available(request.session, session):
                reason = "S"
        if reason:
            self._count["logins_rejected"] += 1
            self._say(soupbintcp.LoginRejected(reason), now_ns)
            self._state = _State.LAST_WORDS
            return
        self._count["logins"] += 1
        # A snapshot has no past: whatever number was asked for, it begins with its first message.
        self._say(soupbintcp.LoginAccepted(session, 1), now_ns)
        self._messages = iter(messages)
        self._send_at_ns = now_ns + self._delay_ns
        self._state = _State.DELAY

    def _fill(self, now_ns: int) -> None:
        while len(self._buffer) < _BUFFER:
            message = next(self._messages, None)
            if message is None:
                self._say(soupbintcp.EndOfSession(), now_ns)
                self._count["snapshots"] += 1
                self._state = _State.LAST_WORDS
                return
            self._say(soupbintcp.SequencedData(message), now_ns)
            self._count["messages"] += 1

    def _say(self, packet: soupbintcp.ServerPacket, now_ns: int) -> None:
        self._buffer += packet.encode()
        self._last_sent_ns = now_ns

    def _drop(self, why: str) -> None:
        if self._state is _State.OVER:
            return  # what it did first is why
        self._count[why] += 1
        self._messages = iter(())
        self._buffer.clear()
        self._state = _State.OVER
