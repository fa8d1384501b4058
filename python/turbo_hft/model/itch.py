"""Rule 3: ITCH 5.0 messages."""

from __future__ import annotations

from . import book
from .names import BOOK_TYPES, ITCH_LENGTHS
from .state import ModelState
from .wire import u16


def handle(model: ModelState, block: bytes, feed_seq: int) -> None:
    """One message of the feed, in sequence."""
    kind = chr(block[0]) if block else ""
    if kind not in ITCH_LENGTHS:
        model.count("itch_unknown_type")
        return

    if len(block) != ITCH_LENGTHS[kind]:
        model.count("itch_bad_length")
        if kind in BOOK_TYPES and len(block) >= 3:
            slot = model.slot_of_locate(u16(block, 1))
            if slot is not None:
                model.suspect_book(slot, feed_seq)
        return

    model.itch[kind] += 1
    model.feed.exchange_ns = int.from_bytes(block[5:11], "big")

    if kind == "R":
        bind(model, block, feed_seq)
    elif kind in BOOK_TYPES:
        slot = model.slot_of_locate(u16(block, 1))
        if slot is None:
            model.count("book_untracked")
            model.closed_locates.add(u16(block, 1))
        else:
            book.handle(model, slot, kind, block, feed_seq)


def bind(model: ModelState, block: bytes, feed_seq: int) -> None:
    """Stock Directory: bind a locate to the slot that asked for this name, or doubt both."""
    locate = u16(block, 1)
    named = model.slot_of_name(block[11:19])
    bound = model.slot_of_locate(locate)
    if named is None and bound is None:
        model.closed_locates.add(locate)
        return
    if named is not None and named == bound:
        return
    free = bound is None and locate not in model.closed_locates and locate != 0
    if named is not None and free and model.symbols[named].locate == 0:
        model.symbols[named].locate = locate
        return
    model.count("itch_bad_field")
    if bound is not None:
        model.suspect_book(bound, feed_seq)
    if named is not None:
        model.suspect_book(named, feed_seq)
