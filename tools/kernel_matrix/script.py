"""What native/smoke.c plays: a list of records, each an operation and its fields."""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterable
from pathlib import Path


class Op(enum.IntEnum):
    """Operations, as native/smoke.c numbers and explains them."""

    RODATA = 1
    SIZE = 2
    WRITE = 3
    DELETE = 4
    POKE = 5
    RUN = 6
    WIRE = 7
    EXPECT = 8
    FOLLOW = 9
    EVENTS = 10


def u32(value: int) -> bytes:
    """A number as a field."""
    return struct.pack("=I", value)


def u64(value: int) -> bytes:
    """An offset as a field."""
    return struct.pack("=Q", value)


class Script:
    """Records in the order in which they are played."""

    def __init__(self) -> None:
        self._records: list[bytes] = []

    def add(self, operation: Op, *fields: bytes) -> None:
        """Append one record."""
        packed = b"".join(u32(len(field)) + field for field in fields)
        self._records.append(struct.pack("=II", operation, len(fields)) + packed)

    def save(self, path: Path) -> None:
        """Write the script to a file."""
        path.write_bytes(b"".join(self._records))


def ranges(spans: Iterable[tuple[int, int]]) -> bytes:
    """Ignored (offset, length) spans of an element as a field."""
    return b"".join(struct.pack("=II", offset, length) for offset, length in spans)
