"""OUCH 5.0 options: TagValues of `length:1, tag:1, value`, the length counting tag and value.

Source: Nasdaq OUCH 5.0 specification.
"""

from __future__ import annotations

from collections.abc import Mapping

from turbo_hft.errors import MalformedMessage

OPTIONS: dict[int, tuple[str, int]] = {
    1: ("secondary_ord_ref_num", 8),
    2: ("firm", 4),
    3: ("min_qty", 4),
    4: ("customer_type", 1),
    5: ("max_floor", 4),
    6: ("price_type", 1),
    7: ("peg_offset", 4),
    9: ("discretion_price", 8),
    10: ("discretion_price_type", 1),
    11: ("discretion_peg_offset", 4),
    12: ("post_only", 1),
    13: ("random_reserves", 4),
    14: ("route", 4),
    15: ("expire_time", 4),
    16: ("trade_now", 1),
    17: ("handle_inst", 1),
    18: ("bbo_weight", 1),
    22: ("display_quantity", 4),
    23: ("display_price", 8),
    24: ("group_id", 2),
    25: ("shares_located", 1),
    26: ("locate_broker", 4),
    27: ("side", 1),
    28: ("user_ref_idx", 1),
    29: ("aiq_strategy", 1),
    30: ("aiq_group_id", 2),
}
"""Tag -> (name, bytes of its value). Tags that are missing here are carried as they are."""

_MAX_TAG = 255
_MAX_VALUE = 254


def options(appendage: bytes) -> dict[int, bytes]:
    """The options of an appendage, tag -> value, in wire order; unknown tags included.

    Errors: MalformedMessage if lengths do not add up, a tag comes twice or a known one has another size.
    """
    found: dict[int, bytes] = {}
    at = 0
    while at < len(appendage):
        length = appendage[at]
        end = at + 1 + length
        if length == 0 or end > len(appendage):
            raise MalformedMessage(
                f"option at byte {at} of the appendage has length {length}: it must be 1 to {len(appendage) - at - 1}"
            )
        tag = appendage[at + 1]
        if tag in found:
            raise MalformedMessage(f"option tag {tag} comes twice: give each option once")
        found[tag] = _checked(tag, appendage[at + 2 : end])
        at = end
    return found


def encode_options(values: Mapping[int, bytes]) -> bytes:
    """An appendage with these options, in this order. Errors: MalformedMessage for a bad tag or size."""
    out = bytearray()
    for tag, value in values.items():
        if not 0 <= tag <= _MAX_TAG or len(value) > _MAX_VALUE:
            raise MalformedMessage(
                f"option tag {tag} with {len(value)} bytes: tags are 0 to {_MAX_TAG}, values at most {_MAX_VALUE} bytes"
            )
        out += bytes((1 + len(value), tag)) + _checked(tag, value)
    return bytes(out)


def _checked(tag: int, value: bytes) -> bytes:
    name, size = OPTIONS.get(tag, ("", len(value)))
    if len(value) != size:
        raise MalformedMessage(f"option {name} (tag {tag}) has {len(value)} bytes: it must have {size}")
    return value
