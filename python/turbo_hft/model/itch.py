"""Rule 3: ITCH 5.0 messages: who they are for, the feed's own ones, and the binding of locates."""

from __future__ import annotations

from . import book, kept, market
from .names import BOOK_TYPES, FEED_TYPES, ITCH_LENGTHS, SYMBOL_TYPES, BookHealth, Doubt, Phase
from .state import ModelState
from .wire import u16, u48, u64

PHASES = {
    b"O": Phase.MESSAGES,
    b"S": Phase.SYSTEM,
    b"Q": Phase.MARKET,
    b"M": Phase.AFTER,
    b"E": Phase.CLOSED,
    b"C": Phase.ENDED,
}


def handle(model: ModelState, feed: int, block: bytes, number: int, *, live: bool = True) -> None:
    """One message of a feed, in sequence. ``number`` is its sequence number. Not ``live``: part of a snapshot."""
    kind = chr(block[0]) if block else ""
    if kind not in ITCH_LENGTHS:
        model.count("itch_unknown_type")
        return
    if len(block) != ITCH_LENGTHS[kind]:
        model.count("itch_bad_length")
        if kind in ("S", "W"):
            unreadable(model, feed, kind)
        if kind in SYMBOL_TYPES and len(block) >= 3:
            slot = model.bound.get((feed, u16(block, 1)))
            if slot is not None:
                model.quarantine(slot, number, Doubt.LENGTH)
        return

    model.itch[kind] += 1
    if live:
        model.feeds[feed].exchange_ns = u48(block, 5)
    if kind in SYMBOL_TYPES:
        of_symbol(model, feed, kind, block, number)
    elif kind in FEED_TYPES:
        of_feed(model, feed, kind, block, number)


def of_symbol(model: ModelState, feed: int, kind: str, block: bytes, number: int) -> None:
    """A message of one symbol, by its locate: applied, kept for later, or not ours."""
    locate = u16(block, 1)
    slot = model.bound.get((feed, locate))
    if slot is None:
        if kind in BOOK_TYPES:
            model.count("book_untracked")
            model.closed_locates.add((feed, locate))
    elif model.books[slot].health != BookHealth.OK:
        kept.keep(model, feed, number, block)
        model.count("book_kept")
        model.books[slot].kept_seq = number
    else:
        apply(model, slot, kind, block, number)


def apply(model: ModelState, slot: int, kind: str, block: bytes, number: int, *, live: bool = True) -> None:
    """A message of right length into its slot. Not ``live``: part of a snapshot or of what is replayed on it."""
    if kind in BOOK_TYPES:
        book.handle(model, slot, kind, block, number, live=live)
    else:
        market.handle(model, slot, kind, block, number)


def of_feed(model: ModelState, feed: int, kind: str, block: bytes, number: int) -> None:
    """S, R, V and W: what the feed says of itself, of the whole market, and of its locates."""
    state = model.feeds[feed]
    if kind == "R":
        bind(model, feed, block, number)
    elif kind == "V":
        state.breaker_level_e8 = [u64(block, 11), u64(block, 19), u64(block, 27)]
    elif kind == "S" and block[11:12] in PHASES:
        state.phase = PHASES[block[11:12]]
    elif kind == "W" and block[11:12] in (b"1", b"2", b"3"):
        state.breaker = block[11]
    else:
        model.count("itch_bad_field")
        unreadable(model, feed, kind)


def unreadable(model: ModelState, feed: int, kind: str) -> None:
    """It may be the one that stops the market: nothing trades until a good one says otherwise."""
    if kind == "S":
        model.feeds[feed].phase = Phase.NONE
    else:
        model.feeds[feed].breaker = ord("?")


def bind(model: ModelState, feed: int, block: bytes, number: int) -> None:
    """Stock Directory: bind a locate to the slot that asked for this name, or doubt both."""
    locate = u16(block, 1)
    named = model.slots.get((feed, block[11:19]))
    bound = model.bound.get((feed, locate))
    if named is None and bound is None:
        model.closed_locates.add((feed, locate))
    elif named is not None and named == bound:
        pass
    elif named is not None and bound is None and model.books[named].locate == 0 and locate != 0:
        model.bound[feed, locate] = named
        model.books[named].locate = locate
        late = (feed, locate) in model.closed_locates or model.feeds[feed].gave_up
        model.closed_locates.discard((feed, locate))
        if late:
            model.quarantine(named, number, Doubt.LATE)
    else:
        model.count("itch_bad_field")
        if bound is not None:
            model.quarantine(bound, number, Doubt.FIELD)
        if named is not None:
            model.quarantine(named, number, Doubt.FIELD)
