"""One client's connection for order entry: OUCH over SoupBinTCP, without its socket.

A client logs in and names the number of the reply it wants first: an older one and all that followed are sent again,
0 or one that does not exist yet means new ones only. Replies wait where they are kept anyway, for the day; of those,
only a bounded piece is ever made into packets ahead of a client that takes it. Who falls behind by more than it may,
takes nothing, says nothing or sends garbage is dropped, and nobody else notices.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from turbo_hft.errors import MalformedMessage
from turbo_hft.exchange.client import Address, Client
from turbo_hft.exchange.stream_faults import StreamFaults
from turbo_hft.wire import soupbintcp

MILLISECOND_NS = 1_000_000
HEARTBEAT_NS = 1_000 * MILLISECOND_NS
LOGIN_TIMEOUT_NS = 30 * HEARTBEAT_NS
PATIENCE_NS = HEARTBEAT_NS
MAX_INPUT = 4096
"""Bytes of a message. None of OUCH is near it; who announces more is no OUCH client."""
_BUFFER = 32_768
_HEADER = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SoupRules:
    """How the server treats its clients."""

    silence_ns: int = 15 * HEARTBEAT_NS
    """A client that says nothing for so long is dropped, unless its login asks for another time (4.10). So is one that
    takes nothing of what waits for it."""
    backlog_bytes: int = 1 << 20
    """How far a client may be behind with new replies, for a second: many may come up at once. What it asked to have
    again does not count."""
    cancel_on_disconnect: bool = False
    faults: StreamFaults = field(default_factory=StreamFaults)


class Host(Protocol):
    """What is behind the conversations."""

    def login(
        self, conversation: OrderConversation, request: soupbintcp.LoginRequest, now_ns: int
    ) -> tuple[Client, str] | str:
        """The account and its session's name, or the reason of a rejection."""

    def opened(self, client: Client, now_ns: int) -> None:
        """The client has been told where its replies go on."""

    def carry_out(self, conversation: OrderConversation, message: bytes, now_ns: int) -> None:
        """The client sent an OUCH message."""

    def sent(self, what: str, count: int) -> None:
        """So many heartbeats, replies or replayed replies were made into packets."""

    def ended(self, conversation: OrderConversation, why: str, now_ns: int) -> None:
        """The conversation is over; said once."""


class _State(Enum):
    LOGIN = "login"
    OPEN = "open"
    LAST_WORDS = "last words"  # what is in the buffer, and no more
    OVER = "over"


class OrderConversation:
    """`receive` what it sent, send it `output`, say with `taken` how much of that it took; `over` when to close."""

    def __init__(self, host: Host, rules: SoupRules, peer: Address, now_ns: int) -> None:
        self.peer = peer
        self.client: Client | None = None
        self.resets = False
        self._host = host
        self._rules = rules
        self._decoder = soupbintcp.Decoder(MAX_INPUT)
        self._state = _State.LOGIN
        self._why = ""  # it ends, once its last words are out
        self._closing = False
        self._buffer = bytearray()
        self._next = 1  # number of the reply that is made into a packet next
        self._old = 1  # replies below this one are sent again
        self._waiting = 0  # bytes of packets that the client is still to take; of replies up to
        self._weighed = 0  # this one
        self._caught_up = False
        self._behind_ns: int | None = None  # since when by too much
        self._replies = self._orders = 0  # of this connection
        self._silence_ns = rules.silence_ns
        self._login_until_ns = now_ns + LOGIN_TIMEOUT_NS
        self._heard_ns = self._sent_ns = self._taken_ns = now_ns

    @property
    def over(self) -> bool:
        """Is everything said and sent, or the client dropped?"""
        return self._state is _State.OVER

    @property
    def has_output(self) -> bool:
        """Would it get something if it could take more now?"""
        return bool(self._buffer) or (self._state is _State.OPEN and self._lags)

    @property
    def next_due_ns(self) -> int:
        """When there is something to do even if the client does nothing."""
        if self._state is _State.LOGIN:
            return self._login_until_ns
        due = self._heard_ns + self._silence_ns
        if self._behind_ns is not None:
            due = min(due, self._behind_ns + PATIENCE_NS)
        return min(due, (self._taken_ns + self._silence_ns) if self._buffer else (self._sent_ns + HEARTBEAT_NS))

    def receive(self, data: bytes, now_ns: int) -> None:
        """The client sent this. Never raises for anything it can send."""
        self._heard_ns = now_ns
        self._decoder.feed(data)
        try:
            for packet in self._decoder:
                if self._state not in (_State.LOGIN, _State.OPEN):
                    return
                self._one(packet, now_ns)
        except MalformedMessage:
            self.drop("malformed", now_ns)

    def output(self, now_ns: int) -> bytes:
        """What the client should get next; empty when there is nothing. Time-outs strike here."""
        if not self._buffer:
            self._taken_ns = now_ns
        if self._state is _State.OPEN and (self._buffer or self._closing or self._lags):
            self._fill(now_ns)
        self._time_out(now_ns)
        return bytes(self._buffer)

    def taken(self, size: int, now_ns: int) -> None:
        """The client took so many bytes of the output."""
        if size:
            self._taken_ns = now_ns
            self._waiting -= size
            del self._buffer[:size]
        if self._state is _State.LAST_WORDS and not self._buffer:
            self._finish(now_ns)

    def gone(self, now_ns: int) -> None:
        """The client closed the connection, or broke it."""
        self.drop("left", now_ns)

    def close(self) -> None:
        """The session ends: the client gets the replies there are, and is told so."""
        self._closing = True

    def drop(self, why: str, now_ns: int, *, resets: bool = False) -> None:
        """End it now, without another word."""
        if self._state is not _State.OVER:
            self._why = self._why or why  # what it did first is why
            self.resets = resets
            self._buffer.clear()
            self._finish(now_ns)

    @property
    def _lags(self) -> bool:
        assert self.client is not None  # it is logged in
        return self._next <= len(self.client.replies)

    def _one(self, packet: soupbintcp.Packet, now_ns: int) -> None:
        match packet:
            case soupbintcp.ClientHeartbeat() | soupbintcp.Debug():
                pass  # a sign of life
            case soupbintcp.LogoutRequest():
                self.drop("logouts", now_ns)
            case soupbintcp.LoginRequest() if self._state is _State.LOGIN:
                self._login(packet, now_ns)
            case soupbintcp.UnsequencedData(message) if self._state is _State.OPEN:
                self._host.carry_out(self, message, now_ns)
                self._orders += 1
                if self._orders == self._rules.faults.cut_after_orders:
                    self._cut(now_ns)
            case _:
                self.drop("malformed", now_ns)

    def _login(self, request: soupbintcp.LoginRequest, now_ns: int) -> None:
        answer = self._host.login(self, request, now_ns)
        if isinstance(answer, str):
            self._say(soupbintcp.LoginRejected(answer).encode(), now_ns)
            self._state, self._why = _State.LAST_WORDS, "logins_rejected"
            return
        self.client, session = answer
        newest = self.client.next_sequence
        self._next = min(request.sequence, newest) or newest
        self._old = newest
        self._weighed = self._next - 1
        if request.heartbeat_ms:
            self._silence_ns = request.heartbeat_ms * MILLISECOND_NS
        self._state = _State.OPEN
        self._say(soupbintcp.LoginAccepted(session, self._next).encode(), now_ns)
        self._host.opened(self.client, now_ns)

    def _fill(self, now_ns: int) -> None:
        assert self.client is not None  # it is logged in
        replies = self.client.replies
        again = 0
        begun = self._next
        self._waiting += sum(_HEADER + len(reply) for reply in replies[self._weighed :])
        self._weighed = len(replies)
        while len(self._buffer) < _BUFFER and self._next <= len(replies):
            packet = soupbintcp.SequencedData(replies[self._next - 1]).encode()
            if self._replies == self._rules.faults.cut_after_replies:
                self._buffer += packet[: len(packet) // 2]
                self._state, self._why, self.resets = _State.LAST_WORDS, "cut", self._rules.faults.cut_by_reset
                break
            self._buffer += packet
            self._sent_ns = now_ns
            self._replies += 1
            again += self._next < self._old
            self._next += 1
        self._host.sent("replayed", again)
        self._host.sent("replies", self._next - begun - again)
        if self._state is _State.OPEN and self._closing and not self._lags:
            self._say(soupbintcp.EndOfSession().encode(), now_ns)
            self._state, self._why = _State.LAST_WORDS, "ended"

    def _time_out(self, now_ns: int) -> None:
        match self._state:
            case _State.LOGIN:
                if self._closing:
                    self.drop("ended", now_ns)
                elif now_ns >= self._login_until_ns:
                    self.drop("login_timeouts", now_ns)
                return
            case _State.OVER:
                return
        if self._waiting <= self._rules.backlog_bytes:
            self._caught_up, self._behind_ns = True, None
        elif self._caught_up and self._behind_ns is None:
            self._behind_ns = now_ns
        behind = self._behind_ns is not None and now_ns - self._behind_ns >= PATIENCE_NS
        if behind or now_ns - self._taken_ns >= self._silence_ns:
            self.drop("slow", now_ns)
        elif now_ns - self._heard_ns >= self._silence_ns:
            self.drop("silent", now_ns)
        elif now_ns - self._sent_ns >= HEARTBEAT_NS and not self._buffer:
            self._say(soupbintcp.ServerHeartbeat().encode(), now_ns)
            self._host.sent("heartbeats", 1)

    def _say(self, packet: bytes, now_ns: int) -> None:
        self._buffer += packet
        self._waiting += len(packet)
        self._sent_ns = now_ns

    def _cut(self, now_ns: int) -> None:
        self.drop("cut", now_ns, resets=self._rules.faults.cut_by_reset)

    def _finish(self, now_ns: int) -> None:
        self._state = _State.OVER
        self._host.ended(self, self._why, now_ns)
