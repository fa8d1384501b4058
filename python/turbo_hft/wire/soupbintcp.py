"""SoupBinTCP 3.00 and 4.x: numbered messages over TCP, with logins and heartbeats.

A packet is `length:2` (big-endian, of type and payload), `type:1`, payload. TCP cuts the stream anywhere, so `Decoder`
takes bytes as they come and gives whole packets. The letters of the two directions differ, so one decoder reads both;
which packet may come from whom is for the peer to judge. Sequence numbers of data are implicit: the login's answer
names the first, then they are counted. Names and numbers are read with padding on either side.
Source: Nasdaq SoupBinTCP 3.00, 4.00 and 4.10 specifications.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from turbo_hft.errors import MalformedMessage
from turbo_hft.wire import digits
from turbo_hft.wire.record import padded

MAX_PAYLOAD = 0xFFFE
_USERNAME, _PASSWORD, _SESSION, _SEQUENCE, _HEARTBEAT = 6, 10, 10, 20, 5
_LOGIN = _USERNAME + _PASSWORD + _SESSION + _SEQUENCE


def _packet(kind: bytes, payload: bytes = b"") -> bytes:
    if len(payload) > MAX_PAYLOAD:
        raise MalformedMessage(f"a payload of {len(payload)} bytes: a SoupBinTCP packet carries at most {MAX_PAYLOAD}")
    return (1 + len(payload)).to_bytes(2, "big") + kind + payload


def _text(name: str, raw: bytes) -> str:
    try:
        return raw.decode("ascii").strip(" ")
    except UnicodeDecodeError:
        raise MalformedMessage(f"{name} is {raw.hex(' ')}: it must be ASCII") from None


@dataclass(frozen=True, slots=True)
class Debug:
    """Free text from either side; nobody acts on it."""

    text: bytes

    def encode(self) -> bytes:
        """The packet. Errors: MalformedMessage above 65,534 bytes."""
        return _packet(b"+", self.text)


@dataclass(frozen=True, slots=True)
class LoginAccepted:
    """Server: logged in to `session`; the next sequenced message will be number `sequence`."""

    session: str
    sequence: int

    def encode(self) -> bytes:
        """33 bytes. Errors: MalformedMessage if a value does not fit."""
        session = padded("session", self.session, _SESSION).strip(b" ").rjust(_SESSION)
        return _packet(b"A", session + digits.encode("sequence", self.sequence, _SEQUENCE))


@dataclass(frozen=True, slots=True)
class LoginRejected:
    """Server: not logged in, `reason` A not authorised, S no such session. The server closes."""

    reason: str

    def encode(self) -> bytes:
        """4 bytes. Errors: MalformedMessage if the reason is not one character."""
        if len(self.reason) != 1:
            raise MalformedMessage(f"reason {self.reason!r}: give one character, A or S")
        return _packet(b"J", padded("reason", self.reason, 1))


@dataclass(frozen=True, slots=True)
class SequencedData:
    """Server: one message of the protocol above, numbered by its place in the stream."""

    message: bytes

    def encode(self) -> bytes:
        """The packet. Errors: MalformedMessage above 65,534 bytes."""
        return _packet(b"S", self.message)


@dataclass(frozen=True, slots=True)
class UnsequencedData:
    """One message of the protocol above, not numbered and not repeated. From the server since 4.00 only."""

    message: bytes

    def encode(self) -> bytes:
        """The packet. Errors: MalformedMessage above 65,534 bytes."""
        return _packet(b"U", self.message)


@dataclass(frozen=True, slots=True)
class ServerHeartbeat:
    """Server: nothing was sent for a second, and the server lives."""

    def encode(self) -> bytes:
        """3 bytes."""
        return _packet(b"H")


@dataclass(frozen=True, slots=True)
class EndOfSession:
    """Server: no sequenced message will follow. The server closes."""

    def encode(self) -> bytes:
        """3 bytes."""
        return _packet(b"Z")


@dataclass(frozen=True, slots=True)
class LoginRequest:
    """Client: log in. A blank `session` is the current one; `sequence` is the first message wanted, 0 only new ones.

    `heartbeat_ms`, how long the server may hear nothing before it gives up, exists since 4.10 only.
    """

    username: str
    password: str
    session: str = ""
    sequence: int = 1
    heartbeat_ms: int | None = None

    def encode(self) -> bytes:
        """49 bytes, 54 with `heartbeat_ms`. Errors: MalformedMessage if a value does not fit."""
        payload = padded("username", self.username, _USERNAME) + padded("password", self.password, _PASSWORD)
        payload += padded("session", self.session, _SESSION).strip(b" ").rjust(_SESSION)
        payload += digits.encode("sequence", self.sequence, _SEQUENCE)
        if self.heartbeat_ms is not None:
            payload += digits.encode("heartbeat_ms", self.heartbeat_ms, _HEARTBEAT)
        return _packet(b"L", payload)


@dataclass(frozen=True, slots=True)
class ClientHeartbeat:
    """Client: nothing was sent for a second, and the client lives."""

    def encode(self) -> bytes:
        """3 bytes."""
        return _packet(b"R")


@dataclass(frozen=True, slots=True)
class LogoutRequest:
    """Client: end this connection at once."""

    def encode(self) -> bytes:
        """3 bytes."""
        return _packet(b"O")


ServerPacket = Debug | LoginAccepted | LoginRejected | SequencedData | UnsequencedData | ServerHeartbeat | EndOfSession
ClientPacket = Debug | LoginRequest | UnsequencedData | ClientHeartbeat | LogoutRequest
Packet = ServerPacket | ClientPacket


def _login_accepted(payload: bytes) -> LoginAccepted:
    return LoginAccepted(_text("session", payload[:_SESSION]), digits.decode("sequence", payload[_SESSION:]))


def _login_request(payload: bytes) -> LoginRequest:
    at = _USERNAME + _PASSWORD
    return LoginRequest(
        _text("username", payload[:_USERNAME]),
        _text("password", payload[_USERNAME:at]),
        _text("session", payload[at : at + _SESSION]),
        digits.decode("sequence", payload[at + _SESSION : _LOGIN]),
        digits.decode("heartbeat_ms", payload[_LOGIN:]) if len(payload) > _LOGIN else None,
    )


# Type -> lengths that its payload may have (None: any), reader of the payload.
_READERS: dict[int, tuple[tuple[int, ...] | None, Callable[[bytes], Packet]]] = {
    ord("+"): (None, Debug),
    ord("A"): ((_SESSION + _SEQUENCE,), _login_accepted),
    ord("J"): ((1,), lambda payload: LoginRejected(_text("reason", payload) or " ")),
    ord("S"): (None, SequencedData),
    ord("U"): (None, UnsequencedData),
    ord("H"): ((0,), lambda _: ServerHeartbeat()),
    ord("Z"): ((0,), lambda _: EndOfSession()),
    ord("L"): ((_LOGIN, _LOGIN + _HEARTBEAT), _login_request),
    ord("R"): ((0,), lambda _: ClientHeartbeat()),
    ord("O"): ((0,), lambda _: LogoutRequest()),
}


def decode(body: bytes | memoryview) -> Packet:
    """The packet in `body`: type and payload, without the length. Errors: MalformedMessage."""
    raw = bytes(body)
    if not raw:
        raise MalformedMessage("SoupBinTCP packet of length 0: it must count its type")
    entry = _READERS.get(raw[0])
    if entry is None:
        raise MalformedMessage(f"SoupBinTCP packet type {chr(raw[0])!r} ({raw[0]:#04x}) is unknown: is it SoupBinTCP?")
    lengths, reader = entry
    if lengths is not None and len(raw) - 1 not in lengths:
        expected = " or ".join(str(length) for length in lengths)
        raise MalformedMessage(
            f"SoupBinTCP packet {chr(raw[0])!r} has a payload of {len(raw) - 1} bytes: it must be {expected}"
        )
    return reader(raw[1:])


class Decoder:
    """Whole packets out of a stream that comes in pieces.

    `feed` takes what arrived; iterating gives the packets that are complete by now and ends where more bytes are
    needed, so `for packet in decoder` may be run again after the next `feed`. A malformed packet raises
    MalformedMessage with its place in the stream, once: the next iteration goes on behind it. One that announces more
    than `longest` bytes of payload does so as soon as it announces them, and every time: nothing follows it.
    """

    def __init__(self, longest: int = MAX_PAYLOAD) -> None:
        self._longest = longest
        self._buffer = bytearray()
        self._position = 0  # of the buffer's first byte in the stream

    def feed(self, data: bytes | memoryview) -> None:
        """Take the next bytes of the stream."""
        self._buffer += data

    @property
    def pending(self) -> int:
        """Bytes of a packet that is not complete; not 0 at the end of a stream means that it was cut."""
        return len(self._buffer)

    def __iter__(self) -> Iterator[Packet]:
        """The complete packets. Errors: MalformedMessage."""
        while len(self._buffer) >= 2:
            end = 2 + int.from_bytes(self._buffer[:2], "big")
            if end - 3 > self._longest:
                raise MalformedMessage(
                    f"at byte {self._position} of the stream: a packet announces a payload of {end - 3} bytes: at most "
                    f"{self._longest} are taken"
                )
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[2:end])
            position = self._position
            del self._buffer[:end]
            self._position += end
            try:
                packet = decode(body)
            except MalformedMessage as fault:
                raise MalformedMessage(f"at byte {position} of the stream: {fault}") from None
            yield packet
