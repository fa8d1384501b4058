"""UFO 1.0 (UDP for orders): OUCH over UDP, replies numbered and repeatable, requests not.

Downstream (exchange to client) a datagram is one packet; sequenced messages are length-prefixed blocks in it, and a
packet without any is a heartbeat. Upstream a datagram is one or more length-prefixed messages. What
`decode_downstream` takes is what the hook takes (docs/rules.md, rule 8), session names and reasons being any bytes,
read as Latin-1. Numbers are big-endian, sequences 32 bits from 1. Source: UFO 1.0 (2008), as far as it is public; the
layouts are a profile of this project.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import ClassVar

from turbo_hft.errors import MalformedMessage
from turbo_hft.wire import blocks
from turbo_hft.wire.record import A6, A10, U16, U32, Record, fixed_decoder, uint, unknown_type

MAX_REPLIES = 256
MAX_SEQUENCE = 0xFFFFFFFF
SESSION_LENGTH = 10
_LOGIN_ACCEPTED = struct.Struct(">c10sI")
_SEQUENCED = struct.Struct(">cIH")


def _latin1(name: str, value: str, size: int) -> bytes:
    raw = value.encode("latin-1", "replace")
    if len(raw) > size or raw.decode("latin-1") != value:
        raise MalformedMessage(f"{name} is {value!r}: give up to {size} ASCII characters")
    return raw.ljust(size)


@dataclass(frozen=True, slots=True)
class LoginAccepted:
    """Logged in to `session`; the next sequenced message will be number `sequence`."""

    session: str
    sequence: int

    def encode(self) -> bytes:
        """15 bytes. Errors: MalformedMessage if a value does not fit."""
        _check_first(self.sequence)
        return b"A" + _latin1("session", self.session, SESSION_LENGTH) + uint("sequence", self.sequence, 4)


@dataclass(frozen=True, slots=True)
class LoginRejected:
    """Not logged in: `reason` A not authorised, S no such session."""

    reason: str

    def encode(self) -> bytes:
        """2 bytes. Errors: MalformedMessage if the reason is not one character."""
        return b"J" + _latin1("reason", self.reason, 1)


@dataclass(frozen=True, slots=True)
class Sequenced:
    """Replies number `sequence` and following; without messages a heartbeat that names the next number."""

    sequence: int
    messages: tuple[bytes, ...]

    def encode(self) -> bytes:
        """7 bytes and the blocks. Errors: MalformedMessage if a value does not fit."""
        _check_replies(self.sequence, len(self.messages))
        return _SEQUENCED.pack(b"S", self.sequence, len(self.messages)) + blocks.join(self.messages)


@dataclass(frozen=True, slots=True)
class EndOfSession:
    """The session is over; `sequence` is one past its last message."""

    sequence: int

    def encode(self) -> bytes:
        """5 bytes. Errors: MalformedMessage if the sequence does not fit."""
        return b"E" + uint("sequence", self.sequence, 4)


Downstream = LoginAccepted | LoginRejected | Sequenced | EndOfSession


def _check_first(sequence: int) -> None:
    if not 1 <= sequence <= MAX_SEQUENCE:
        raise MalformedMessage(f"sequence {sequence}: UFO numbers messages from 1, in 32 bits")


def _check_replies(sequence: int, count: int) -> None:
    _check_first(sequence)
    if count > MAX_REPLIES or sequence + count > MAX_SEQUENCE:
        raise MalformedMessage(
            f"{count} messages from number {sequence}: a packet carries at most {MAX_REPLIES}, none from 2^32 - 1 on"
        )


def decode_downstream(datagram: bytes | memoryview) -> Downstream:
    """A packet from the exchange. Errors: MalformedMessage for an unknown type or another shape."""
    raw = bytes(datagram)
    kind, size = raw[:1], len(raw)
    if kind == b"S" and size >= _SEQUENCED.size:
        _, sequence, count = _SEQUENCED.unpack_from(raw)
        _check_replies(sequence, count)
        return Sequenced(sequence, blocks.split(raw[_SEQUENCED.size :], count))
    if kind == b"A" and size == _LOGIN_ACCEPTED.size:
        _, session, sequence = _LOGIN_ACCEPTED.unpack(raw)
        _check_first(sequence)
        return LoginAccepted(session.decode("latin-1").rstrip(" "), sequence)
    if kind == b"J" and size == len(b"J?"):
        return LoginRejected(raw[1:].decode("latin-1").rstrip(" "))
    if kind == b"E" and size == len(b"E") + 4:
        return EndOfSession(int.from_bytes(raw[1:], "big"))
    if kind and kind in b"AJSE":
        raise MalformedMessage(f"UFO packet {kind.decode()} has {size} bytes: A has 15, J 2, E 5, S 7 or more")
    raise unknown_type("UFO downstream", raw)


@dataclass(frozen=True, slots=True)
class LoginRequest(Record):
    """Log in. A blank `session` means the current one."""

    TYPE: ClassVar[str] = "L"
    LENGTH: ClassVar[int] = 27
    username: A6
    password: A10
    session: A10


@dataclass(frozen=True, slots=True)
class RetransmissionRequest(Record):
    """Send `count` replies from number `sequence` again."""

    TYPE: ClassVar[str] = "T"
    LENGTH: ClassVar[int] = 7
    sequence: U32
    count: U16


@dataclass(frozen=True, slots=True)
class Unsequenced:
    """One message of the protocol above, e.g. OUCH."""

    message: bytes

    def encode(self) -> bytes:
        """The type byte and the message."""
        return b"U" + self.message


@dataclass(frozen=True, slots=True)
class ClientHeartbeat(Record):
    """The client is alive."""

    TYPE: ClassVar[str] = "R"
    LENGTH: ClassVar[int] = 1


@dataclass(frozen=True, slots=True)
class Logoff(Record):
    """The client leaves."""

    TYPE: ClassVar[str] = "O"
    LENGTH: ClassVar[int] = 1


Upstream = LoginRequest | RetransmissionRequest | Unsequenced | ClientHeartbeat | Logoff

_Fixed = LoginRequest | RetransmissionRequest | ClientHeartbeat | Logoff
_FIXED: dict[int, type[_Fixed]] = {
    ord(cls.TYPE): cls for cls in (LoginRequest, RetransmissionRequest, ClientHeartbeat, Logoff)
}
_decode_fixed = fixed_decoder("UFO upstream", _FIXED)


def decode_upstream(datagram: bytes | memoryview) -> tuple[Upstream, ...]:
    """The messages of a client's datagram, one at least.

    Errors: MalformedMessage if one of them is malformed; the whole datagram is refused then.
    """
    messages = blocks.split(bytes(datagram))
    if not messages:
        raise MalformedMessage("empty UFO datagram: it must carry a message")
    return tuple(Unsequenced(raw[1:]) if raw[:1] == b"U" else _decode_fixed(raw) for raw in messages)


def encode_upstream(*messages: Upstream) -> bytes:
    """A datagram with these messages, one at least. Errors: MalformedMessage if a value does not fit."""
    if not messages:
        raise MalformedMessage("no message for a UFO datagram: give one or more")
    return blocks.join(message.encode() for message in messages)
