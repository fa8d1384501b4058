"""Captures of Ethernet frames with exact nanoseconds: pcapng out; pcapng and classic pcap in.

The writer makes one section with an interface per line of a feed (Ethernet, time stamps in ns). The reader takes any
resolution of time stamps and both byte orders, and gives times rounded down to ns since 1970-01-01. Every error names
the byte offset of the block or record it is about. Sources: pcapng (IETF draft-ietf-opsawg-pcapng), the pcap format of
libpcap.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from turbo_hft.errors import MalformedMessage

ETHERNET = 1
SECOND_NS = 1_000_000_000
_SECTION, _INTERFACE, _OLD_PACKET, _SIMPLE_PACKET, _STATISTICS, _PACKET = 0x0A0D0D0A, 1, 2, 3, 5, 6
_BYTE_ORDER = 0x1A2B3C4D
_END, _NAME, _RESOLUTION, _OFFSET = 0, 2, 9, 14
_FLAGS, _INBOUND, _OUTBOUND = 2, 1, 2
_DROPPED = 5
_NANOSECONDS = 9
_DEFAULT_RESOLUTION = 6
_UNKNOWN_LENGTH = 0xFFFFFFFFFFFFFFFF
_MAX_BLOCK = 16 << 20
_MAX_FRAME = 0x40000
_MICRO_MAGIC, _NANO_MAGIC = 0xA1B2C3D4, 0xA1B23C4D

Captured = tuple[int, bytes]
"""(time in ns since 1970-01-01, frame from its Ethernet header on)."""


class Writer:
    """Writes a pcapng section to a stream that is open for writing bytes; closing that is the caller's."""

    def __init__(self, stream: BinaryIO, interfaces: Sequence[str] = ("",)) -> None:
        """Begin the section, with one Ethernet interface for each name. Errors: OSError."""
        self._stream = stream
        self._interfaces = len(interfaces)
        stream.write(_block(_SECTION, struct.pack("<IHHQ", _BYTE_ORDER, 1, 0, _UNKNOWN_LENGTH)))
        for name in interfaces:
            options = _option(_NAME, name.encode()) if name else b""
            options += _option(_RESOLUTION, bytes([_NANOSECONDS])) + _option(_END, b"")
            stream.write(_block(_INTERFACE, struct.pack("<HHI", ETHERNET, 0, _MAX_FRAME) + options))

    def write(
        self, time_ns: int, frame: bytes, interface: int = 0, *, length: int = 0, outbound: bool | None = None
    ) -> None:
        """Append a frame. `length`: that it had, if this is only its beginning; `outbound`: which way it went, if that
        is to be told. Errors: MalformedMessage if a value does not fit; OSError."""
        if not 0 <= time_ns < 1 << 64 or len(frame) > _MAX_FRAME or not 0 <= interface < self._interfaces:
            raise MalformedMessage(
                f"frame of {len(frame)} bytes at {time_ns} ns on interface {interface}: give at most {_MAX_FRAME} "
                f"bytes, 0 to 2^64 - 1 ns, interface 0 to {self._interfaces - 1}"
            )
        size = len(frame)
        head = struct.pack("<IIIII", interface, time_ns >> 32, time_ns & 0xFFFFFFFF, size, max(size, length))
        options = b""
        if outbound is not None:
            way = _OUTBOUND if outbound else _INBOUND
            options = _option(_FLAGS, way.to_bytes(4, "little")) + _option(_END, b"")
        self._stream.write(_block(_PACKET, head + frame + bytes(-size % 4) + options))

    def write_dropped(self, time_ns: int, dropped: int, interface: int = 0) -> None:
        """Append how many frames are missing of an interface. Errors: OSError."""
        head = struct.pack("<III", interface, time_ns >> 32, time_ns & 0xFFFFFFFF)
        options = _option(_DROPPED, dropped.to_bytes(8, "little")) + _option(_END, b"")
        self._stream.write(_block(_STATISTICS, head + options))


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)


def _block(kind: int, body: bytes) -> bytes:
    length = struct.pack("<I", 12 + len(body))
    return struct.pack("<I", kind) + length + body + length


def read(source: str | os.PathLike[str] | BinaryIO) -> Iterator[Captured]:
    """The frames of a capture (path, or file object open for reading bytes), in the order of the file.

    Errors: MalformedMessage if it is no capture of Ethernet, or where it is cut short or broken; OSError.
    """
    if isinstance(source, str | os.PathLike):
        with open(source, "rb") as stream:
            yield from _frames(stream)
    else:
        yield from _frames(source)


def _frames(stream: BinaryIO) -> Iterator[Captured]:
    bytes_in = _Input(stream)
    magic = bytes_in.take(4, "a capture")
    for order in "<>":
        (number,) = struct.unpack(order + "I", magic)
        if number in (_MICRO_MAGIC, _NANO_MAGIC):
            return _classic(bytes_in, order, 1 if number == _NANO_MAGIC else 1000)
    if int.from_bytes(magic, "big") != _SECTION:
        raise MalformedMessage(f"a file that begins with {magic.hex(' ')} is no capture: give a pcapng or pcap file")
    return _sections(bytes_in)


class _Input:
    """A stream that knows how far it was read."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.offset = 0

    def take(self, size: int, what: str, start: int | None = None) -> bytes:
        """Exactly `size` bytes of something that began at `start` (default: here)."""
        data = self.take_or_end(size, what, start)
        if data is None and size:
            raise _cut(what, self.offset if start is None else start)
        return data or b""

    def take_or_end(self, size: int, what: str, start: int | None = None) -> bytes | None:
        """The same, or None if the stream ends right here."""
        begin = self.offset if start is None else start
        data = b""
        while len(data) < size and (more := self._stream.read(size - len(data))):
            data += more
        if not data:
            return None
        if len(data) < size:
            raise _cut(what, begin)
        self.offset += size
        return data


def _cut(what: str, offset: int) -> MalformedMessage:
    return MalformedMessage(f"the file ends inside {what} at offset {offset}: capture again, or cut it there")


def _classic(source: _Input, order: str, unit_ns: int) -> Iterator[Captured]:
    header = source.take(20, "the pcap header", 0)
    (link,) = struct.unpack_from(order + "I", header, 16)
    _check_link(link & 0xFFFF, 0)  # the upper half is about frame check sequences
    while True:
        start = source.offset
        head = source.take_or_end(16, "the record")
        if head is None:
            return
        seconds, fraction, size, _ = struct.unpack(order + "IIII", head)
        if size > _MAX_FRAME:
            raise MalformedMessage(f"record at offset {start} claims {size} bytes: at most {_MAX_FRAME} make sense")
        yield seconds * SECOND_NS + fraction * unit_ns, source.take(size, "the record", start)


def _check_link(link: int, offset: int) -> None:
    if link != ETHERNET:
        raise MalformedMessage(f"link type {link} at offset {offset}: only Ethernet ({ETHERNET}) is read")


class _Interface:
    """Unit of an interface's time stamps: `ticks` in a second, counted from `offset_s`."""

    def __init__(self, ticks: int, offset_s: int) -> None:
        self._ticks = ticks
        self._offset_s = offset_s

    def time_ns(self, high: int, low: int) -> int:
        return (high << 32 | low) * SECOND_NS // self._ticks + self._offset_s * SECOND_NS


def _sections(source: _Input) -> Iterator[Captured]:
    order = "<"
    interfaces: list[_Interface] = []
    start, kind = 0, _SECTION  # the first type was read by whoever recognised the file
    while True:
        if kind == _SECTION:
            # Its length can only be read once the byte order is known, and that stands behind it.
            head = source.take(8, "the block", start)
            order = _order(head[4:], start)
            body = head[4:] + _rest_of_block(source, order, head[:4], 4, start)
            if len(body) < 16:
                raise MalformedMessage(f"section header at offset {start} is too short: {len(body)} bytes of 16")
            interfaces = []
        else:
            body = _rest_of_block(source, order, source.take(4, "the block", start), 0, start)
            if kind == _INTERFACE:
                interfaces.append(_interface(order, body, start))
            elif kind in (_PACKET, _OLD_PACKET):
                yield _frame(order, kind, body, interfaces, start)
            elif kind == _SIMPLE_PACKET:
                raise MalformedMessage(f"packet without a time stamp at offset {start}: capture with time stamps")
        start = source.offset
        next_kind = source.take_or_end(4, "the block")
        if next_kind is None:
            return
        kind = int.from_bytes(next_kind, "little" if order == "<" else "big")  # a section's reads alike in both


def _order(mark: bytes, start: int) -> str:
    for order in "<>":
        if struct.unpack(order + "I", mark) == (_BYTE_ORDER,):
            return order
    raise MalformedMessage(f"section at offset {start} has the byte-order mark {mark.hex(' ')}: it must be 1a2b3c4d")


def _rest_of_block(source: _Input, order: str, length: bytes, taken: int, start: int) -> bytes:
    """The body of a block of which `taken` bytes were read, with both its lengths checked."""
    (total,) = struct.unpack(order + "I", length)
    if total % 4 or not 12 + taken <= total <= _MAX_BLOCK:
        raise MalformedMessage(f"block at offset {start} claims {total} bytes: that is no length of a block")
    body = source.take(total - 12 - taken, "the block", start)
    if source.take(4, "the block", start) != length:
        raise MalformedMessage(f"block at offset {start} does not end with its length {total}: the file is broken")
    return body


def _interface(order: str, body: bytes, start: int) -> _Interface:
    if len(body) < 8:
        raise MalformedMessage(f"interface at offset {start} is too short: {len(body)} bytes of 8")
    (link,) = struct.unpack_from(order + "H", body)
    _check_link(link, start)
    ticks, offset_s = 10**_DEFAULT_RESOLUTION, 0
    at = 8
    while at + 4 <= len(body):
        code, size = struct.unpack_from(order + "HH", body, at)
        value = body[at + 4 : at + 4 + size]
        if code == _END:
            break
        if len(value) < size or (code == _RESOLUTION and size != 1) or (code == _OFFSET and size != 8):
            raise MalformedMessage(f"interface at offset {start} has an option {code} of {size} bytes: it is broken")
        if code == _RESOLUTION:
            ticks = 2 ** (value[0] & 0x7F) if value[0] & 0x80 else 10 ** value[0]
        elif code == _OFFSET:
            (offset_s,) = struct.unpack(order + "q", value)
        at += 4 + size + -size % 4
    return _Interface(ticks, offset_s)


def _frame(order: str, kind: int, body: bytes, interfaces: list[_Interface], start: int) -> Captured:
    if len(body) < 20:
        raise MalformedMessage(f"packet at offset {start} is too short: {len(body)} bytes of 20")
    # The older block has a count of drops in half of the interface number's place.
    form = "IIIII" if kind == _PACKET else "HxxIIII"
    number, high, low, size, _ = struct.unpack_from(order + form, body)
    if number >= len(interfaces):
        raise MalformedMessage(f"packet at offset {start} is of interface {number}: {len(interfaces)} are described")
    if size > len(body) - 20:
        raise MalformedMessage(f"packet at offset {start} claims {size} bytes: its block has {len(body) - 20}")
    return interfaces[number].time_ns(high, low), body[20 : 20 + size]
