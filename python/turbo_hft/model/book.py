"""Rule 4: the book. One dictionary of live orders by reference; the top is found by looking at all of them.

A full hash table (`BOOK_FULL`) depends on how keys hash into buckets and is not modelled: this book is never full.
"""

from __future__ import annotations

from . import position, strategy
from .names import ITCH_MAX_PRICE_E4, Side
from .state import BookOrder, ModelState
from .wire import u32, u64


def handle(model: ModelState, slot: int, kind: str, block: bytes, feed_seq: int) -> None:
    """One book message of right length for a bound slot."""
    if kind in "AF":
        failure = add(model, slot, block)
    elif kind in "ECX":
        failure = reduce(model, slot, block)
    elif kind == "D":
        failure = delete(model, slot, block)
    else:
        failure = replace(model, slot, block)

    if failure:
        model.count(failure)
        model.suspect_book(slot, feed_seq)
        return

    state = model.symbols[slot]
    state.exchange_ns = int.from_bytes(block[5:11], "big")
    state.book_messages += 1
    refresh_top(model, slot)
    position.take_mark(state)
    strategy.ask(model, slot, feed_seq, state.exchange_ns)


def add(model: ModelState, slot: int, block: bytes) -> str:
    """A, F. Returns the counter of the first check that fails, or an empty string."""
    reference, side, shares = u64(block, 11), block[19:20], u32(block, 20)
    name, price = block[24:32], u32(block, 32)
    if side not in (b"B", b"S"):
        return "itch_bad_field"
    if shares == 0 or price == 0 or price > ITCH_MAX_PRICE_E4:
        return "itch_bad_field"
    if name != model.params[slot].name:
        return "itch_bad_field"
    if reference in model.orders:
        return "book_duplicate_ref"
    model.orders[reference] = BookOrder(slot, Side.BUY if side == b"B" else Side.SELL, price, shares)
    return ""


def reduce(model: ModelState, slot: int, block: bytes) -> str:
    """E, C, X."""
    reference, shares = u64(block, 11), u32(block, 19)
    order = model.orders.get(reference)
    if order is None:
        return "book_unknown_ref"
    if order.symbol != slot or shares == 0:
        return "itch_bad_field"
    if shares > order.qty:
        return "book_over_reduce"
    order.qty -= shares
    if order.qty == 0:
        del model.orders[reference]
    return ""


def delete(model: ModelState, slot: int, block: bytes) -> str:
    """D."""
    reference = u64(block, 11)
    order = model.orders.get(reference)
    if order is None:
        return "book_unknown_ref"
    if order.symbol != slot:
        return "itch_bad_field"
    del model.orders[reference]
    return ""


def replace(model: ModelState, slot: int, block: bytes) -> str:
    """U."""
    original, new = u64(block, 11), u64(block, 19)
    shares, price = u32(block, 27), u32(block, 31)
    order = model.orders.get(original)
    if order is None:
        return "book_unknown_ref"
    if order.symbol != slot or shares == 0 or price == 0 or price > ITCH_MAX_PRICE_E4:
        return "itch_bad_field"
    if new in model.orders:
        return "book_duplicate_ref"
    del model.orders[original]
    model.orders[new] = BookOrder(slot, order.side, price, shares)
    return ""


def refresh_top(model: ModelState, slot: int) -> None:
    """Best prices, the shares displayed at them and the number of orders, from the orders themselves."""
    mine = [order for order in model.orders.values() if order.symbol == slot]
    bids = [order for order in mine if order.side == Side.BUY]
    asks = [order for order in mine if order.side == Side.SELL]
    state = model.symbols[slot]
    state.book_orders = len(mine)
    state.bid_e4 = max((order.price_e4 for order in bids), default=0)
    state.ask_e4 = min((order.price_e4 for order in asks), default=0)
    state.bid_qty = sum(order.qty for order in bids if order.price_e4 == state.bid_e4)
    state.ask_qty = sum(order.qty for order in asks if order.price_e4 == state.ask_e4)
