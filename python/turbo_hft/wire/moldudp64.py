"""MoldUDP64 1.00: numbered messages in UDP datagrams, and requests for those that were missed.

Header: session (10 bytes), sequence (8), count (2); then `count` length-prefixed messages. The sequence is that of
the first message; a heartbeat (count 0) and an end of session (count 0xFFFF) carry the next one. What `decode` takes
is what the hook takes (docs/rules.md, rule 2). The hook compares sessions as bytes, so any ten are a session here,
read as Latin-1; real ones are ASCII. Source: Nasdaq MoldUDP64 1.00 specification.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from turbo_hft.errors import MalformedMessage
from turbo_hft.wire import blocks

HEADER_LENGTH = 20
SESSION_LENGTH = 10
MAX_SEQUENCE = 1 << 62
MAX_BLOCKS = 1729
MAX_REQUEST = 0xFFFE
_COUNT_HEARTBEAT = 0
_COUNT_END = 0xFFFF
_HEADER = struct.Struct(">10sQH")


def _header(session: str, sequence: int, count: int) -> bytes:
    try:
        name = session.encode("latin-1")
    except UnicodeEncodeError:
        raise MalformedMessage(f"session {session!r}: give up to 10 ASCII characters") from None
    if len(name) > SESSION_LENGTH:
        raise MalformedMessage(f"session {session!r} has {len(name)} characters: at most {SESSION_LENGTH} fit")
    _check_sequence(sequence)
    return _HEADER.pack(name.ljust(SESSION_LENGTH), sequence, count)


def _check_sequence(sequence: int) -> None:
    if not 1 <= sequence <= MAX_SEQUENCE:
        raise MalformedMessage(f"sequence {sequence}: MoldUDP64 numbers messages from 1 (here to 2^62)")


def _check_count(count: int) -> None:
    if not 1 <= count <= MAX_BLOCKS:
        raise MalformedMessage(f"{count} messages in one packet: it carries 1 to {MAX_BLOCKS}")


@dataclass(frozen=True, slots=True)
class Packet:
    """Messages number `sequence` and following."""

    session: str
    sequence: int
    messages: tuple[bytes, ...]

    def encode(self) -> bytes:
        """The datagram's payload. Errors: MalformedMessage if a value does not fit."""
        _check_count(len(self.messages))
        return _header(self.session, self.sequence, len(self.messages)) + blocks.join(self.messages)


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Nothing new; the next message will be number `sequence`."""

    session: str
    sequence: int

    def encode(self) -> bytes:
        """20 bytes. Errors: MalformedMessage if a value does not fit."""
        return _header(self.session, self.sequence, _COUNT_HEARTBEAT)


@dataclass(frozen=True, slots=True)
class EndOfSession:
    """The session is over; `sequence` is one past its last message."""

    session: str
    sequence: int

    def encode(self) -> bytes:
        """20 bytes. Errors: MalformedMessage if a value does not fit."""
        return _header(self.session, self.sequence, _COUNT_END)


@dataclass(frozen=True, slots=True)
class Request:
    """Client to re-request server: send `count` messages (1 to 65,534) from number `sequence` again."""

    session: str
    sequence: int
    count: int

    def encode(self) -> bytes:
        """20 bytes. Errors: MalformedMessage if a value does not fit."""
        if not 1 <= self.count <= MAX_REQUEST:
            raise MalformedMessage(f"request of {self.count} messages: ask for 1 to {MAX_REQUEST}")
        return _header(self.session, self.sequence, self.count)


Downstream = Packet | Heartbeat | EndOfSession


def _unpack(raw: bytes) -> tuple[str, int, int]:
    if len(raw) < HEADER_LENGTH:
        raise MalformedMessage(f"{len(raw)} bytes: a MoldUDP64 header takes {HEADER_LENGTH}")
    name, sequence, count = _HEADER.unpack_from(raw)
    _check_sequence(sequence)
    return name.decode("latin-1").rstrip(" "), sequence, count


def decode(data: bytes | memoryview) -> Downstream:
    """A downstream packet. Errors: MalformedMessage unless header and blocks fill `data` exactly."""
    raw = bytes(data)
    session, sequence, count = _unpack(raw)
    if count in (_COUNT_HEARTBEAT, _COUNT_END):
        if len(raw) != HEADER_LENGTH:
            raise MalformedMessage(f"{len(raw)} bytes with count {count:#06x}: heartbeat and end of session have 20")
        return Heartbeat(session, sequence) if count == _COUNT_HEARTBEAT else EndOfSession(session, sequence)
    _check_count(count)
    return Packet(session, sequence, blocks.split(raw[HEADER_LENGTH:], count))


def decode_request(data: bytes | memoryview) -> Request:
    """A request. Errors: MalformedMessage unless it has 20 bytes and asks for 1 to 65,534 messages."""
    raw = bytes(data)
    session, sequence, count = _unpack(raw)
    if len(raw) != HEADER_LENGTH or not 1 <= count <= MAX_REQUEST:
        raise MalformedMessage(
            f"{len(raw)} bytes with count {count}: a request has {HEADER_LENGTH} and asks for 1 to {MAX_REQUEST}"
        )
    return Request(session, sequence, count)


class Packetizer:
    """Packs messages into packets of at most `max_payload` bytes and numbers them.

    `next_sequence` is the number the next added message gets (first = 1).
    """

    def __init__(self, session: str, max_payload: int = 1400) -> None:
        _header(session, 1, 1)  # refuses a session name that no packet can carry
        if max_payload < HEADER_LENGTH + 2:
            raise MalformedMessage(f"max_payload {max_payload}: give {HEADER_LENGTH + 2} or more")
        self.session = session
        self.max_payload = max_payload
        self.next_sequence = 1
        self._pending: list[bytes] = []
        self._size = HEADER_LENGTH

    def add(self, message: bytes) -> bytes | None:
        """Queue a message; the packet of those before it if it does not fit that one any more.

        Errors: MalformedMessage if it fits no packet; nothing changes then.
        """
        size = 2 + len(message)
        if HEADER_LENGTH + size > self.max_payload or len(message) > blocks.MAX_BLOCK:
            raise MalformedMessage(
                f"a message of {len(message)} bytes fits no packet of {self.max_payload}: raise max_payload"
            )
        full = self._size + size > self.max_payload or len(self._pending) == MAX_BLOCKS
        packet = self.flush() if full else None
        self._pending.append(message)
        self._size += size
        self.next_sequence += 1
        return packet

    def flush(self) -> bytes | None:
        """The packet of all queued messages, None if there are none."""
        if not self._pending:
            return None
        packet = Packet(self.session, self._first_pending, tuple(self._pending)).encode()
        self._pending.clear()
        self._size = HEADER_LENGTH
        return packet

    def heartbeat(self) -> bytes:
        """A heartbeat; it names the first message that has not left yet."""
        return Heartbeat(self.session, self._first_pending).encode()

    def end(self) -> bytes:
        """The end of the session. Errors: MalformedMessage while messages are queued: flush() first."""
        if self._pending:
            raise MalformedMessage(f"end of session before {len(self._pending)} queued messages: call flush() first")
        return EndOfSession(self.session, self.next_sequence).encode()

    @property
    def _first_pending(self) -> int:
        return self.next_sequence - len(self._pending)
