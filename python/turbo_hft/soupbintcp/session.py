"""The protocol of one client session, without sockets and clocks: bytes and times in, bytes and events out.

A session outlives its connections: it knows its name and the number of the next sequenced message, and asks for just
that whenever it is logged in again. So each message is handed out once and in order, or the session says why it cannot
go on. What a client sends is not numbered; whether an order of a broken connection arrived is for OUCH to find out.

All times are CLOCK_MONOTONIC in ns. Source: Nasdaq SoupBinTCP 3.00, 4.00 and 4.10 specifications.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from turbo_hft.errors import ConfigError, MalformedMessage
from turbo_hft.wire import soupbintcp

SECOND_NS = 1_000_000_000
HEARTBEAT_NS = SECOND_NS
_MOST_MS = 99_999
REJECT_REASONS = {"A": "user or password not authorised", "S": "session not available"}


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """The server accepted: the next sequenced message of `session` will be number `sequence`."""

    session: str
    sequence: int


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the protocol above. `sequence` None: it is not numbered (from the server since 4.00)."""

    sequence: int | None
    data: bytes


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection is of no use any more, `why` in words: close it. Logging in again goes on with what is next."""

    why: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The server rejected the login with `reason` (A or S) and closes. Asking the same again will not help."""

    reason: str

    @property
    def why(self) -> str:
        """In words."""
        return REJECT_REASONS.get(self.reason, f"reason {self.reason!r}")


@dataclass(frozen=True, slots=True)
class Ended:
    """No sequenced message will follow in this session: its end, as the server says."""


@dataclass(frozen=True, slots=True)
class Broken:
    """The server does not go on where this session stands, `why` in words: messages are missing, or the day is another
    one. A person has to look; the session is over."""

    why: str


Event = LoggedIn | Message | Lost | Refused | Ended | Broken


class State(Enum):
    """Where a session stands."""

    AWAY = "away"  # no connection
    LOGIN = "login"  # asked to be logged in
    OPEN = "open"
    CLOSING = "closing"  # logged out
    OVER = "over"  # ended, refused or broken: nothing follows

    @property
    def connected(self) -> bool:
        """Is there a connection that is listened to?"""
        return self in (State.LOGIN, State.OPEN)


class Session:
    """One account's session. What is to be sent waits for `take`; `next_sequence` is what to keep for the next start.

    Methods that can bring something about return it as events, in order. After Lost, Refused, Ended or Broken
    nothing that arrives counts until `connected` is called for a new connection.
    """

    def __init__(
        self,
        username: str,
        password: str,
        *,
        session: str = "",
        next_sequence: int = 1,
        heartbeat_ms: int | None = None,
        silence_ns: int = 15 * SECOND_NS,
        login_timeout_ns: int = 5 * SECOND_NS,
    ) -> None:
        """`session` blank: the current one, whichever that is; later logins name the one that it was.

        `next_sequence` is the first message wanted, 1 the day's first, 0 only what is new. `heartbeat_ms` asks the
        server (4.10) to give this client up when it hears nothing for so long. A server that says nothing for
        `silence_ns`, or does not answer a login for `login_timeout_ns`, is given up. Errors: ConfigError.
        """
        if heartbeat_ms is not None and not 0 < heartbeat_ms <= _MOST_MS:
            raise ConfigError(f"heartbeat_ms {heartbeat_ms}: give 1 to {_MOST_MS}, or None for SoupBinTCP before 4.10")
        if silence_ns <= 0 or login_timeout_ns <= 0:
            raise ConfigError(f"silence_ns {silence_ns}, login_timeout_ns {login_timeout_ns}: give more than 0")
        request = soupbintcp.LoginRequest(username, password, session, next_sequence, heartbeat_ms)
        try:
            request.encode()
        except MalformedMessage as error:
            raise ConfigError(f"no login can carry that: {error}") from None
        self.state = State.AWAY
        self.name = session
        self.next_sequence = next_sequence
        self._request = request
        self._known = next_sequence > 0  # is the number that comes next ours to say?
        self._silence_ns = silence_ns
        self._login_timeout_ns = login_timeout_ns
        # A server of 4.10 may have been told to wait less than the second between heartbeats.
        self._beat_ns = HEARTBEAT_NS if heartbeat_ms is None else min(HEARTBEAT_NS, heartbeat_ms * 1_000_000 // 3)
        self._decoder = soupbintcp.Decoder()
        self._out = bytearray()
        self._heard_ns = self._sent_ns = 0

    def connected(self, now_ns: int) -> None:
        """Log in on a new connection. Errors: ConfigError when there is one already, or the session over."""
        if self.state is State.OVER or self.state.connected:
            raise ConfigError(f"a session that is {self.state.value} cannot be connected: make a new one")
        self.state = State.LOGIN
        self._decoder = soupbintcp.Decoder()
        self._out.clear()
        self._heard_ns = now_ns
        self._say(
            soupbintcp.LoginRequest(
                self._request.username,
                self._request.password,
                self.name,
                self.next_sequence,
                self._request.heartbeat_ms,
            ),
            now_ns,
        )

    def receive(self, data: bytes, now_ns: int) -> list[Event]:
        """The server sent this. Never raises for anything it can send."""
        if not self.state.connected:
            return []
        self._heard_ns = now_ns
        events: list[Event] = []
        self._decoder.feed(data)
        try:
            for packet in self._decoder:
                events += self._one(packet)
                if self.state not in (State.LOGIN, State.OPEN):
                    break
        except MalformedMessage as error:
            events.append(self._lose(f"the server sent what is no SoupBinTCP: {error}"))
        return events

    def disconnected(self, why: str) -> list[Event]:
        """The connection is gone, `why` in words."""
        if self.state is State.CLOSING:
            self.state = State.AWAY
        if not self.state.connected:
            return []
        if self._decoder.pending:
            why += f", in the middle of a message ({self._decoder.pending} bytes)"
        return [self._lose(why)]

    def tick(self, now_ns: int) -> list[Event]:
        """Time has passed: heartbeats, and a server that has fallen silent. Call it at `next_due_ns`, or more often."""
        if not self.state.connected or now_ns < self._due_ns:
            return []
        if now_ns >= self._given_up_ns:
            seconds = (now_ns - self._heard_ns) / SECOND_NS
            what = "did not answer the login" if self.state is State.LOGIN else "said nothing"
            return [self._lose(f"the server {what} for {seconds:.1f} s")]
        self._say(soupbintcp.ClientHeartbeat(), now_ns)
        return []

    @property
    def unfinished(self) -> int:
        """Bytes that arrived of a packet that is not whole yet."""
        return self._decoder.pending

    @property
    def next_due_ns(self) -> int | None:
        """When `tick` will have something to do; None without a connection."""
        return self._due_ns if self.state.connected else None

    def unsequenced(self, message: bytes) -> bytes:
        """The packet that carries a message to the server, to be handed to the wire by whoever owns it.

        Say `sent` when it was. Errors: ConfigError when not logged in; MalformedMessage above 65,534 bytes.
        """
        if self.state is not State.OPEN:
            raise ConfigError(f"the session is {self.state.value}: nothing can be sent before it is logged in")
        return soupbintcp.UnsequencedData(message).encode()

    def sent(self, now_ns: int) -> None:
        """Something else was sent on the connection: no heartbeat is needed for a while."""
        self._sent_ns = now_ns

    def logout(self, now_ns: int) -> None:
        """Ask the server to end the connection; what still arrives does not count, and can be had again later."""
        if self.state.connected:
            self._say(soupbintcp.LogoutRequest(), now_ns)
            self.state = State.CLOSING

    def take(self) -> bytes:
        """What is to be sent, in order; it is given once."""
        out = bytes(self._out)
        self._out.clear()
        return out

    @property
    def _given_up_ns(self) -> int:
        return self._heard_ns + (self._login_timeout_ns if self.state is State.LOGIN else self._silence_ns)

    @property
    def _due_ns(self) -> int:
        if self.state is State.LOGIN:
            return self._given_up_ns
        return min(self._given_up_ns, self._sent_ns + self._beat_ns)

    def _one(self, packet: soupbintcp.Packet) -> list[Event]:
        match packet:
            case soupbintcp.ServerHeartbeat() | soupbintcp.Debug():
                return []
            case soupbintcp.SequencedData(data) if self.state is State.OPEN:
                self.next_sequence += 1
                return [Message(self.next_sequence - 1, data)]
            case soupbintcp.UnsequencedData(data) if self.state is State.OPEN:
                return [Message(None, data)]
            case soupbintcp.LoginAccepted() if self.state is State.LOGIN:
                return [self._accepted(packet)]
            case soupbintcp.LoginRejected(reason) if self.state is State.LOGIN:
                self.state = State.OVER
                return [Refused(reason)]
            case soupbintcp.EndOfSession():
                self.state = State.OVER
                return [Ended()]
        return [self._lose(f"the server sent a {type(packet).__name__}, which does not come from a server now")]

    def _accepted(self, packet: soupbintcp.LoginAccepted) -> Event:
        if self.name and packet.session.upper() != self.name.upper():
            return self._break(f"logged in to session {packet.session!r} instead of {self.name!r}")
        if self._known and packet.sequence != self.next_sequence:
            return self._break(
                f"session {packet.session!r} goes on with message {packet.sequence}, but {self.next_sequence} is the "
                "next one here: messages are missing, or the server has lost some"
            )
        if packet.sequence < 1:
            return self._break(f"session {packet.session!r} goes on with message {packet.sequence}: there is none")
        self._known = True
        self.name, self.next_sequence = packet.session, packet.sequence
        self.state = State.OPEN
        return LoggedIn(packet.session, packet.sequence)

    def _break(self, why: str) -> Broken:
        self.state = State.OVER
        return Broken(why)

    def _lose(self, why: str) -> Lost:
        self.state = State.AWAY
        return Lost(why)

    def _say(self, packet: soupbintcp.ClientPacket, now_ns: int) -> None:
        self._out += packet.encode()
        self._sent_ns = now_ns
