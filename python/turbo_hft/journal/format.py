"""The bytes of a journal: segments of frames, each frame chained to all that came before it (docs/journal.md)."""

from __future__ import annotations

import hashlib
import re
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turbo_hft._native import ffi, lib

VERSION = 1
SUFFIX = ".hftj"
LOCK = "writer.lock"
MAGIC = b"HFTJRNL\0"
FRAME_MAGIC = b"HFTF"
HASH_BYTES = 32
GENESIS = bytes(HASH_BYTES)
"""What the first segment of a journal names as the hash before it."""

EVENTS, NOTE = 1, 2
EVENT_BYTES = int(ffi.sizeof("struct hft_event"))
CELL_BYTES = int(lib.HFT_JOURNAL_CELL)
MOST_FRAME = 1 << 24
MOST_EVENTS = 4096

_HEADER = struct.Struct("<8sIIIIQQQQ16s16s32sII")
HEADER_BYTES = _HEADER.size
_FRAME = struct.Struct("<4sIIHHIIQQQ")
FRAME_BYTES = _FRAME.size
LEAST_FRAME = FRAME_BYTES + HASH_BYTES
_CRC_AT = 8
_NAME = re.compile(rf"[0-9]{{8}}{re.escape(SUFFIX)}", re.ASCII)


class Broken(ValueError):
    """Bytes that are not what a writer wrote; says why."""


@dataclass(frozen=True, slots=True)
class Header:
    """The head of a segment. `mono_ns` and `utc_ns` (since 1970) are one moment by both clocks; `previous` is the hash
    of the last frame of the segment before; `first` the number of the first record."""

    abi_version: int
    event_bytes: int
    number: int
    first: int
    mono_ns: int
    utc_ns: int
    boot_id: bytes
    journal_id: bytes
    previous: bytes
    version: int = VERSION

    def encode(self) -> bytes:
        """128 bytes."""
        fields = (
            MAGIC, self.version, HEADER_BYTES, self.abi_version, self.event_bytes, self.number, self.first,
            self.mono_ns, self.utc_ns, self.boot_id, self.journal_id, self.previous, 0,
        )  # fmt: skip
        raw = _HEADER.pack(*fields, 0)[:-4]
        return raw + zlib.crc32(raw).to_bytes(4, "little")

    @classmethod
    def decode(cls, raw: bytes) -> Header:
        """Raises Broken."""
        if len(raw) < HEADER_BYTES:
            raise Broken(f"its head has {len(raw)} of {HEADER_BYTES} bytes")
        values = _HEADER.unpack_from(raw)
        if values[0] != MAGIC:
            raise Broken("it does not begin as a segment of a journal")
        if zlib.crc32(raw[: HEADER_BYTES - 4]) != values[-1] or values[-2]:
            raise Broken("the checksum of its head is wrong")
        if values[1] != VERSION or values[2] != HEADER_BYTES:
            raise Broken(f"it has version {values[1]} of the format, {VERSION} is read here")
        return cls(*values[3:12])


def chain(before: bytes, content: bytes | bytearray | memoryview) -> bytes:
    """The hash of something that comes behind what has the hash `before`."""
    state = hashlib.blake2b(before, digest_size=HASH_BYTES)
    state.update(content)
    return state.digest()


@dataclass(frozen=True, slots=True)
class Frame:
    """One batch of events, or one note. `first`: number of its first record, of `count`. `run`: which recording it
    belongs to, from 1 on. Both clocks are those of the moment it was written. `hash`: as it stands in the file."""

    kind: int
    count: int
    run: int
    first: int
    mono_ns: int
    utc_ns: int
    payload: bytes
    hash: bytes
    offset: int = 0
    length: int = 0


def encode(frame: Frame, before: bytes) -> bytearray:
    """The frame as it is written, behind what has the hash `before`; `frame.hash` is not looked at."""
    length = FRAME_BYTES + len(frame.payload) + HASH_BYTES
    raw = bytearray(length - HASH_BYTES)
    _FRAME.pack_into(
        raw, 0, FRAME_MAGIC, length, 0, frame.kind, frame.count, frame.run, 0, frame.first, frame.mono_ns, frame.utc_ns
    )
    raw[FRAME_BYTES:] = frame.payload
    raw[_CRC_AT : _CRC_AT + 4] = checksum(raw).to_bytes(4, "little")
    return raw + chain(before, raw)


def checksum(raw: bytes | bytearray | memoryview) -> int:
    """CRC-32 of a frame without its hash, and without the place of the checksum itself."""
    view = memoryview(raw)
    return zlib.crc32(view[_CRC_AT + 4 :], zlib.crc32(view[:_CRC_AT]))


def announced(head: bytes) -> int:
    """How long the frame is that begins with these 48 bytes. Raises Broken."""
    if head[:4] != FRAME_MAGIC:
        raise Broken("no frame begins here")
    length = int.from_bytes(head[4:8], "little")
    if not LEAST_FRAME <= length <= MOST_FRAME:
        raise Broken(f"its frame claims {length} bytes")
    return length


def decode(raw: bytes, offset: int = 0) -> Frame:
    """A whole frame; its place in the chain is not looked at. Raises Broken."""
    length = announced(raw[:FRAME_BYTES])
    if len(raw) != length:
        raise Broken(f"its frame claims {length} bytes, {len(raw)} are there")
    _, _, crc, kind, count, run, zero, first, mono_ns, utc_ns = _FRAME.unpack_from(raw)
    body = memoryview(raw)[: length - HASH_BYTES]
    if checksum(body) != crc or zero:
        raise Broken("the checksum of its frame is wrong")
    payload = raw[FRAME_BYTES : length - HASH_BYTES]
    if kind not in (EVENTS, NOTE) or not count or (kind == EVENTS and len(payload) != count * CELL_BYTES):
        raise Broken(f"its frame is of no known kind ({kind}, {count} records, {len(payload)} bytes)")
    return Frame(kind, count, run, first, mono_ns, utc_ns, payload, raw[length - HASH_BYTES :], offset, length)


def damaged_cells(payload: bytes) -> list[int]:
    """Places of the events in a frame whose own checksum is wrong."""
    cells = range(0, len(payload) - CELL_BYTES + 1, CELL_BYTES)
    return [
        at // CELL_BYTES
        for at in cells
        if zlib.crc32(payload[at : at + EVENT_BYTES])
        != int.from_bytes(payload[at + EVENT_BYTES : at + CELL_BYTES], "little")
    ]


def segment_name(number: int) -> str:
    """File of a segment."""
    return f"{number:08d}{SUFFIX}"


def segment_paths(directory: Path) -> list[Path]:
    """Segments of a journal by their numbers. Raises OSError."""
    return sorted(path for path in directory.iterdir() if _NAME.fullmatch(path.name))


def _letter(kind: Any) -> str:
    size = int(ffi.sizeof(kind))
    letter = {4: "i", 8: "q"}[size]
    return letter if not kind.cname.startswith("unsigned") else letter.upper()


EVENT_FIELDS: tuple[str, ...] = tuple(name for name, _ in ffi.typeof("struct hft_event").fields)
CELL = struct.Struct("=" + "".join(_letter(field.type) for _, field in ffi.typeof("struct hft_event").fields) + "4x")
assert CELL.size == CELL_BYTES, "struct hft_event has no holes"
