"""Rule 5: the threshold strategy and the packet's batch."""

from __future__ import annotations

from .names import MAX_ORDERS_PER_PACKET, MAX_POSITION, U32_MAX, Side
from .state import Intent, ModelState, Trigger

QTY_CLAMP = 1_000_000
WAIT_IN_FLIGHT = "wait_in_flight"
WAIT_LIMIT = "wait_limit"


def decide(model: ModelState, slot: int) -> Intent | str | None:
    """An intent on the book as it is now, the name of the reason to wait, or None when no condition holds."""
    params, state, book = model.params[slot], model.symbols[slot], model.books[slot]
    base = min(params.base_qty, QTY_CLAMP)
    step = min(params.step_qty, QTY_CLAMP)
    tick = min(params.tick_e4 or 100, U32_MAX)

    if params.sell_above_e4 > 0 and book.bid_e4 > 0 and book.bid_e4 >= params.sell_above_e4 and state.position > 0:
        ticks = (book.bid_e4 - params.sell_above_e4) // tick
        qty = min(base + step * ticks, params.cap_qty, state.position)
        intent = Intent(Side.SELL, book.bid_e4, qty)
    elif params.buy_below_e4 > 0 and book.ask_e4 > 0 and book.ask_e4 <= params.buy_below_e4:
        ticks = (params.buy_below_e4 - book.ask_e4) // tick
        room = max(0, min(params.max_position, MAX_POSITION) - state.position)
        qty = min(base + step * ticks, params.cap_qty, room)
        intent = Intent(Side.BUY, book.ask_e4, qty)
    else:
        return None

    if state.working_ref != 0:
        return WAIT_IN_FLIGHT
    if intent.qty == 0:
        return WAIT_LIMIT
    return intent


def ask(model: ModelState, slot: int, feed_seq: int, exchange_ns: int) -> None:
    """First question, after an applied message of an armed book: an intent takes (or renews) a place in the batch."""
    decision = decide(model, slot)
    if decision is None:
        return
    if isinstance(decision, str):
        model.count(decision)
        return
    batch = model.work.batch
    for trigger in batch:
        if trigger.symbol == slot:
            trigger.feed_seq = feed_seq
            trigger.exchange_ns = exchange_ns
            return
    if len(batch) == MAX_ORDERS_PER_PACKET:
        model.count("triggers_dropped")
        return
    batch.append(Trigger(slot, feed_seq, exchange_ns))
