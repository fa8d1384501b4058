"""GLIMPSE: the message that ends a snapshot and says where the feed goes on.

A snapshot is ITCH 5.0 messages (directory, states, one Add Order for each order that lives) in SoupBinTCP; behind the
last of them stands `G` with 20 ASCII digits: the sequence of the first MoldUDP64 message that is not in the snapshot.
Source: Nasdaq TotalView-ITCH GLIMPSE 5.0 specification.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from turbo_hft.errors import MalformedMessage
from turbo_hft.wire import digits

_DIGITS = 20


@dataclass(frozen=True, slots=True)
class EndOfSnapshot:
    """Apply the feed from number `sequence` on: everything before is in the snapshot."""

    TYPE: ClassVar[str] = "G"
    LENGTH: ClassVar[int] = 21
    sequence: int

    def encode(self) -> bytes:
        """21 bytes. Errors: MalformedMessage if the sequence does not fit."""
        return b"G" + digits.encode("sequence", self.sequence, _DIGITS)


def decode(data: bytes | memoryview) -> EndOfSnapshot:
    """The end of a snapshot. Errors: MalformedMessage for another type, another length or no number."""
    raw = bytes(data)
    if raw[:1] != b"G" or len(raw) != EndOfSnapshot.LENGTH:
        raise MalformedMessage(
            f"{len(raw)} bytes beginning with {raw[:1]!r}: the end of a snapshot is G and {_DIGITS} digits"
        )
    return EndOfSnapshot(digits.decode("sequence", raw[1:]))
