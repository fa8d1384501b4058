"""Length-prefixed blocks, as MoldUDP64 and UFO carry them: `length:2` (big-endian, not counting itself), then data."""

from __future__ import annotations

from collections.abc import Iterable

from turbo_hft.errors import MalformedMessage

MAX_BLOCK = 0xFFFF


def split(data: bytes, count: int | None = None) -> tuple[bytes, ...]:
    """The blocks that fill `data` exactly; with `count`, exactly so many. Errors: MalformedMessage."""
    blocks: list[bytes] = []
    at = 0
    size = len(data)
    while at < size if count is None else len(blocks) < count:
        start = at + 2
        end = start + int.from_bytes(data[at:start], "big")
        if end > size:  # so it is too if the length itself was cut
            raise MalformedMessage(
                f"block {len(blocks)} at byte {at} does not fit the {size} bytes of blocks: "
                "the packet is cut short or its lengths are wrong"
            )
        blocks.append(data[start:end])
        at = end
    if at != size:
        raise MalformedMessage(f"{size - at} bytes follow the last of {count} blocks: nothing may follow it")
    return tuple(blocks)


def join(blocks: Iterable[bytes]) -> bytes:
    """The blocks back to back, each behind its length. Errors: MalformedMessage above 65,535 bytes."""
    out = bytearray()
    for block in blocks:
        if len(block) > MAX_BLOCK:
            raise MalformedMessage(f"a message of {len(block)} bytes: a block carries at most {MAX_BLOCK}")
        out += len(block).to_bytes(2, "big") + block
    return bytes(out)
