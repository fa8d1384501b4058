"""The ring of kept messages, rule 2: those that came too early, and those of symbols in quarantine.

A message lies in the place of the low bits of its number, so a newer one overwrites an older one without asking.
"""

from __future__ import annotations

from .names import KEPT_BYTES, U64_MAX
from .state import Kept, ModelState


def tag_of(model: ModelState, feed: int, number: int) -> int:
    """What marks message ``number`` of the feed's present session. The first session counts as 1: 0 means empty."""
    return (model.feeds[feed].generation + 1 << 48 | number & (1 << 48) - 1) & U64_MAX


def keep(model: ModelState, feed: int, number: int, block: bytes) -> None:
    """Keep a message under its number."""
    place = number & model.config.kept_mask
    model.kept[feed, place] = Kept(tag_of(model, feed, number), len(block), block[:KEPT_BYTES])


def find(model: ModelState, feed: int, number: int) -> bytes | None:
    """Message ``number`` if it is kept. What was cut off a long one is zero again: its length is right."""
    found = model.kept.get((feed, number & model.config.kept_mask))
    if found is None or found.tag != tag_of(model, feed, number):
        return None
    return found.msg.ljust(found.length, b"\0")
