"""Numbers as ASCII digits in fields of fixed width, padded with spaces: SoupBinTCP and GLIMPSE carry them.

The specifications pad on the left, programs in the field pad on either side: written on the left, read from both.
"""

from __future__ import annotations

from turbo_hft.errors import MalformedMessage


def encode(name: str, value: int, size: int) -> bytes:
    """`value` right-justified in `size` bytes. Errors: MalformedMessage if it is negative or too long."""
    raw = b"%d" % value
    if value < 0 or len(raw) > size:
        raise MalformedMessage(f"{name} is {value}: it must be 0 or more and fit {size} digits")
    return raw.rjust(size)


def decode(name: str, raw: bytes) -> int:
    """The number in a field. Errors: MalformedMessage unless it is digits with spaces around them."""
    digits = raw.strip(b" ")
    if not digits.isdigit():
        raise MalformedMessage(f"{name} is {raw!r}: it must be ASCII digits, padded with spaces")
    return int(digits)
