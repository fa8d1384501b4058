"""Rule 4: the book. Orders by feed and reference; levels by price, with the best of each side beside them.

A full hash table depends on how keys hash into buckets and is not modelled: of `BOOK_FULL` only a level with too many
shares is.
"""

from __future__ import annotations

from . import market, strategy
from .names import ITCH_MAX_PRICE_E4, MAX_LEVEL_QTY, MAX_REF, U32_MAX, BookHealth, Doubt, Phase, Side
from .state import Book, BookOrder, Level, ModelState
from .wire import u32, u48, u64

Failure = tuple[str, Doubt]
"""Counter of the check that failed, and the doubt it brings."""

BAD_FIELD: Failure = ("itch_bad_field", Doubt.FIELD)
UNKNOWN_REF: Failure = ("book_unknown_ref", Doubt.UNKNOWN_REF)
DUPLICATE_REF: Failure = ("book_duplicate_ref", Doubt.DUPLICATE_REF)
OVER_REDUCE: Failure = ("book_over_reduce", Doubt.OVER_REDUCE)
FULL: Failure = ("book_full", Doubt.FULL)


def handle(model: ModelState, slot: int, kind: str, block: bytes, number: int, *, live: bool) -> None:
    """A F E C X D U of right length for a bound slot. Not ``live``: nobody asks what follows from it."""
    if kind in "AF":
        failure = add(model, slot, block)
    elif kind in "EX":
        failure = reduce(model, slot, block, printed=kind == "E")
    elif kind == "C":
        failure = execute_at(model, slot, block)
    elif kind == "D":
        failure = delete(model, slot, block)
    else:
        failure = replace(model, slot, block)

    if failure is not None:
        counter, doubt = failure
        model.count(counter)
        model.quarantine(slot, number, doubt)
        return

    book = model.books[slot]
    book.exchange_ns = u48(block, 5)
    book.book_messages = (book.book_messages + 1) & U32_MAX
    if not live:
        return
    watch_crossed(model, slot, number)
    if book.health != BookHealth.OK:
        return
    if book.armed or book.holds:
        strategy.touch(model, slot, number)


def add(model: ModelState, slot: int, block: bytes) -> Failure | None:
    """A, F. Returns the first check that fails."""
    reference, side, shares = u64(block, 11), block[19:20], u32(block, 20)
    name, price_e4 = block[24:32], u32(block, 32)
    if side not in (b"B", b"S"):
        return BAD_FIELD
    if shares == 0 or price_e4 == 0 or price_e4 > ITCH_MAX_PRICE_E4:
        return BAD_FIELD
    if name != model.params[slot].name or not 0 < reference <= MAX_REF:
        return BAD_FIELD
    book = model.books[slot]
    if (book.feed, reference) in model.orders:
        return DUPLICATE_REF
    return insert(model, slot, reference, BookOrder(slot, Side.BUY if side == b"B" else Side.SELL, price_e4, shares))


def execute_at(model: ModelState, slot: int, block: bytes) -> Failure | None:
    """C: as E, at a price of its own, and counted as a trade only if it is printable."""
    printable, price_e4 = block[31:32], u32(block, 32)
    if printable not in (b"Y", b"N") or price_e4 == 0 or price_e4 > ITCH_MAX_PRICE_E4:
        return BAD_FIELD
    return reduce(model, slot, block, printed=printable == b"Y", print_e4=price_e4)


def reduce(model: ModelState, slot: int, block: bytes, *, printed: bool, print_e4: int = 0) -> Failure | None:
    """E, C, X. A print is at ``print_e4``, or if that is 0 at the order's own price."""
    reference, shares = u64(block, 11), u32(block, 19)
    book = model.books[slot]
    order = model.orders.get((book.feed, reference))
    if order is None:
        return UNKNOWN_REF
    if order.symbol != slot or shares == 0:
        return BAD_FIELD
    if shares > order.qty:
        return OVER_REDUCE
    if shares == order.qty:
        remove(model, slot, reference)
    else:
        order.qty -= shares
        take_from_level(book, order.side, order.price_e4, shares, orders=0)
    if printed:
        market.record_print(model, slot, shares, print_e4 or order.price_e4, u48(block, 5))
    return None


def delete(model: ModelState, slot: int, block: bytes) -> Failure | None:
    """D."""
    reference = u64(block, 11)
    order = model.orders.get((model.books[slot].feed, reference))
    if order is None:
        return UNKNOWN_REF
    if order.symbol != slot:
        return BAD_FIELD
    remove(model, slot, reference)
    return None


def replace(model: ModelState, slot: int, block: bytes) -> Failure | None:
    """U. The original is gone even if there is no room for the new order."""
    original, new = u64(block, 11), u64(block, 19)
    shares, price_e4 = u32(block, 27), u32(block, 31)
    feed = model.books[slot].feed
    order = model.orders.get((feed, original))
    if order is None:
        return UNKNOWN_REF
    if order.symbol != slot or shares == 0 or price_e4 == 0 or price_e4 > ITCH_MAX_PRICE_E4:
        return BAD_FIELD
    if not 0 < new <= MAX_REF:
        return BAD_FIELD
    if (feed, new) in model.orders:
        return DUPLICATE_REF
    remove(model, slot, original)
    return insert(model, slot, new, BookOrder(slot, order.side, price_e4, shares))


def insert(model: ModelState, slot: int, reference: int, order: BookOrder) -> Failure | None:
    """A new order, if its level can hold it."""
    book = model.books[slot]
    levels = book.levels[order.side]
    level = levels.get(order.price_e4)
    if level is not None and level.shares + order.qty > MAX_LEVEL_QTY:
        return FULL
    if level is None:
        level = levels[order.price_e4] = Level()
    level.shares += order.qty
    level.orders += 1
    model.orders[book.feed, reference] = order
    book.book_orders += 1
    if book.best_e4[order.side] == 0 or better(order.side, order.price_e4, book.best_e4[order.side]):
        book.best_e4[order.side] = order.price_e4
    if book.best_e4[order.side] == order.price_e4:
        book.best_qty[order.side] = level.shares
    return None


def remove(model: ModelState, slot: int, reference: int) -> None:
    """An order that is gone."""
    book = model.books[slot]
    order = model.orders.pop((book.feed, reference))
    book.book_orders -= 1
    take_from_level(book, order.side, order.price_e4, order.qty, orders=1)


def take_from_level(book: Book, side: Side, price_e4: int, shares: int, *, orders: int) -> None:
    """Shares (and orders) that are gone. Only when the best level vanishes are all levels looked at for the next."""
    levels = book.levels[side]
    level = levels[price_e4]
    level.shares -= shares
    level.orders -= orders
    if level.orders == 0:
        del levels[price_e4]
    if price_e4 != book.best_e4[side]:
        return
    if level.orders == 0:
        best = max if side == Side.BUY else min
        book.best_e4[side] = best(levels, default=0)
        level = levels.get(book.best_e4[side], Level())
    book.best_qty[side] = level.shares


def better(side: Side, price_e4: int, other_e4: int) -> bool:
    """Is a price nearer to the other side than another?"""
    return price_e4 > other_e4 if side == Side.BUY else price_e4 < other_e4


def watch_crossed(model: ModelState, slot: int, number: int) -> None:
    """A book that stays crossed in continuous trading is wrong somewhere."""
    book = model.books[slot]
    watched = (
        model.config.crossed_ns > 0
        and model.feeds[book.feed].phase == Phase.MARKET
        and book.trading_state == market.TRADING
        and not book.cross_pending
    )
    if not watched or not book.is_crossed:
        book.crossed_ns = book.crossed = 0
    elif book.crossed_ns == 0:
        book.crossed_ns = max(book.exchange_ns, 1)
        book.crossed = 1
    elif book.exchange_ns - book.crossed_ns >= model.config.crossed_ns:
        model.count("book_crossed")
        model.quarantine(slot, number, Doubt.CROSSED)


def empty(model: ModelState, slot: int) -> None:
    """No orders, no levels: what a snapshot is installed into. The orders themselves were swept out before."""
    book = model.books[slot]
    drop_orders(model, {slot})
    model.swept.discard(slot)
    book.levels = ({}, {})
    book.best_e4 = [0, 0]
    book.best_qty = [0, 0]
    book.book_orders = 0
    book.crossed_ns = book.crossed = 0
    book.cross_pending = 0
    book.trading_state = 0


def drop_orders(model: ModelState, slots: set[int]) -> None:
    """Forget every order of these slots."""
    for key in [key for key, order in model.orders.items() if order.symbol in slots]:
        del model.orders[key]
