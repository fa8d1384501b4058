"""Rule 8, third part: what one reply does to our orders, positions and sums, if the order's state allows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from . import order, ouch, position
from .names import (
    ITCH_MAX_PRICE_E4,
    MAX_EXECUTIONS,
    MAX_FEEDS,
    MAX_WORKING,
    U32_MAX,
    EventKind,
    OrderState,
    Pending,
    Protocol,
    SessionHealth,
    Side,
    Strategy,
)
from .ouch import Reply
from .state import Execution, ModelState, WorkingOrder

DEAD = ord("D")
SHORT_SIDES = (b"T", b"E")


@dataclass
class Told:
    """What the event of an applied reply says beside the order: ``None``: the order's own price."""

    qty: int = 0
    price_e4: int | None = None
    match_number: int = 0
    other_ref: int = 0


def suspect(model: ModelState, sequence: int) -> None:
    """A reply that may touch orders or positions could not be applied: nothing leaves any more; reported once."""
    session = model.session
    if session.health == SessionHealth.SUSPECT:
        return
    session.health = SessionHealth.SUSPECT
    model.emit(EventKind.SESSION_SUSPECT, feed_seq=sequence, exchange_ns=session.exchange_ns)


def handle(model: ModelState, message: bytes, sequence: int) -> None:
    """One reply, in sequence. ``sequence`` is its UFO sequence number."""
    if model.template.protocol not in ouch.TYPES:
        model.count("reply_unhandled")
        return
    protocol = Protocol(model.template.protocol)
    letter = chr(message[0]) if message else "?"
    if letter not in ouch.TYPES[protocol]:
        model.count("reply_unhandled")
        if letter in ouch.IN_DOUBT[protocol]:
            suspect(model, sequence)
        return
    if not ouch.good_length(protocol, letter, message):
        model.count("reply_bad_length")
        if letter != "S":
            suspect(model, sequence)
        return

    reply = ouch.decode(model, protocol, letter, message)
    if reply.kind == EventKind.SYSTEM:
        model.emit(reply.kind, reason=reply.reason, feed_seq=sequence, exchange_ns=reply.exchange_ns)
        return
    model.session.exchange_ns = reply.exchange_ns
    ours = model.our_order(reply.user_ref) or adopted(model, reply)
    if ours is None:
        unknown(model, reply, sequence)
        return
    told = EFFECTS[reply.kind](model, reply, ours)
    if told is None:
        model.count("reply_bad_state")
        suspect(model, sequence)
        return
    report(model, reply, ours, told, sequence)
    if reply.kind in (EventKind.EXECUTED, EventKind.BROKEN):
        position.look_at_losses(model, ours.symbol)
    if reply.kind == EventKind.EXECUTED:
        position.look_at_executions(model, ours.strategy)
    end_replacement(model, ours)


def unknown(model: ModelState, reply: Reply, sequence: int) -> None:
    """For an order that is not ours. What was rejected before we could know of it never existed, if its number is."""
    recovering = model.session.health == SessionHealth.RECOVERING
    if recovering and reply.kind == EventKind.REJECTED and reply.user_ref is not None:
        model.count("reply_unhandled")
        return
    model.count("reply_unknown_ref")
    suspect(model, sequence)


def report(model: ModelState, reply: Reply, ours: WorkingOrder, told: Told, sequence: int) -> None:
    """The event of an applied reply."""
    model.emit(
        reply.kind,
        symbol=ours.symbol,
        feed_seq=sequence,
        exchange_ns=reply.exchange_ns,
        reason=reply.reason,
        side=ours.side,
        user_ref=ours.user_ref,
        price_e4=ours.price_e4 if told.price_e4 is None else told.price_e4,
        qty=told.qty,
        match_number=told.match_number,
        open_qty=ours.open_qty,
        strategy=ours.strategy,
        other_ref=told.other_ref,
    )


# Orders and their sums


def recount(model: ModelState, ours: WorkingOrder) -> None:
    """The open quantity, the price or the state of an order that was LIVE, or is now, changed."""
    if ours.state == OrderState.LIVE:
        order.count_open(model, ours, ours.open_qty, ours.price_e4 * ours.open_qty)


def give_back(model: ModelState, ours: WorkingOrder, qty: int) -> None:
    """Open shares that will not execute any more."""
    ours.open_qty -= qty
    model.symbols[ours.symbol].canceled_qty += qty
    recount(model, ours)


def end(model: ModelState, ours: WorkingOrder, state: OrderState) -> None:
    """No longer open: out of the sums, and its place among the open orders is free."""
    ours.state = state
    ours.pending = 0
    order.count_open(model, ours, 0, 0)
    symbol, account = model.symbols[ours.symbol], model.account
    symbol.open_ref[symbol.open_ref.index(ours.user_ref)] = 0
    for counts in (symbol, account.strategy[ours.strategy], account):
        counts.open_orders -= 1


def end_unsent(model: ModelState, ours: WorkingOrder, state: OrderState) -> None:
    """An order that the exchange never had, or no longer has, before it was LIVE: REJECTED or LOST.

    Nothing of a replacement is given back: its original is open as before, without a replacement under way.
    """
    if ours.other_ref == 0:
        give_back(model, ours, ours.open_qty)
    ours.open_qty = 0
    end(model, ours, state)
    original = model.our_order(ours.other_ref)
    if original is not None and original.state == OrderState.LIVE:
        original.pending &= ~Pending.REPLACE
        original.other_ref = 0


def end_replacement(model: ModelState, original: WorkingOrder) -> None:
    """What should have come in the place of an order that is gone will not come."""
    if original.state not in (OrderState.FILLED, OrderState.CANCELED):
        return
    replacement = model.our_order(original.other_ref)
    if replacement is None or replacement.state != OrderState.SENT or replacement.other_ref != original.user_ref:
        return
    end_unsent(model, replacement, OrderState.LOST)
    report_lost(model, replacement)


def report_lost(model: ModelState, ours: WorkingOrder) -> None:
    """The event of an order that never came to be."""
    model.emit(
        EventKind.LOST,
        symbol=ours.symbol,
        side=ours.side,
        user_ref=ours.user_ref,
        price_e4=ours.price_e4,
        qty=ours.qty,
        open_qty=ours.open_qty,
        strategy=ours.strategy,
    )


def same_side(reply: Reply, ours: WorkingOrder) -> bool:
    """`B`, or one of the several marks of a sale."""
    return (reply.side == b"B") == (ours.side == Side.BUY)


def same_name(model: ModelState, reply: Reply, ours: WorkingOrder) -> bool:
    """Does it name the order's symbol?"""
    return reply.name == model.params[ours.symbol].name


def good_price(price_e4: int) -> bool:
    """One that there can be. 1/10000 dollar."""
    return 0 < price_e4 <= ITCH_MAX_PRICE_E4


# What each reply does; None if the order's state does not allow it, and then nothing was changed.


def accepted(model: ModelState, reply: Reply, ours: WorkingOrder) -> Told | None:
    if ours.state != OrderState.SENT or ours.other_ref != 0 or reply.qty != ours.qty:
        return None
    if not same_name(model, reply, ours) or not same_side(reply, ours):
        return None
    ours.state = OrderState.LIVE
    ours.order_ref = reply.order_ref
    if reply.reason == DEAD:
        give_back(model, ours, ours.open_qty)
        end(model, ours, OrderState.CANCELED)
    return Told(qty=reply.qty)


def replaced(model: ModelState, reply: Reply, ours: WorkingOrder) -> Told | None:
    original = model.our_order(reply.original)
    if ours.state != OrderState.SENT or original is None or ours.other_ref != original.user_ref:
        return None
    if original.state != OrderState.LIVE or not good_price(reply.price_e4):
        return None
    executed_since = original.chain_qty + original.filled_qty - ours.chain_qty
    if not 0 < reply.qty <= ours.qty - executed_since:
        return None
    if not same_name(model, reply, ours) or not same_side(reply, ours):
        return None
    give_back(model, original, original.open_qty)
    end(model, original, OrderState.REPLACED)
    original.other_ref = ours.user_ref

    ours.state = OrderState.LIVE
    ours.open_qty = reply.qty
    ours.price_e4 = reply.price_e4
    ours.chain_qty = original.chain_qty + original.filled_qty
    ours.other_ref = 0
    ours.order_ref = reply.order_ref
    recount(model, ours)
    if reply.reason == DEAD:
        give_back(model, ours, ours.open_qty)
        end(model, ours, OrderState.CANCELED)
    return Told(qty=reply.qty, other_ref=original.user_ref)


def executed(model: ModelState, reply: Reply, ours: WorkingOrder) -> Told | None:
    if ours.state != OrderState.LIVE or not 0 < reply.qty <= ours.open_qty or not good_price(reply.price_e4):
        return None
    ours.open_qty -= reply.qty
    ours.filled_qty += reply.qty
    ours.filled_e4 += reply.price_e4 * reply.qty
    recount(model, ours)
    position.fill(model, ours.symbol, ours.side, reply.qty, reply.price_e4, reply.reason)
    model.remember(Execution(reply.match_number, ours.user_ref, reply.qty, reply.price_e4, reply.reason))
    model.account.strategy[ours.strategy].executions += 1
    if ours.open_qty == 0:
        end(model, ours, OrderState.FILLED)
    return Told(qty=reply.qty, price_e4=reply.price_e4, match_number=reply.match_number)


def canceled(model: ModelState, reply: Reply, ours: WorkingOrder) -> Told | None:
    if ours.state != OrderState.LIVE or not 0 < reply.qty <= ours.open_qty:
        return None
    give_back(model, ours, reply.qty)
    if ours.open_qty == 0:
        end(model, ours, OrderState.CANCELED)
    return Told(qty=reply.qty)


def rejected(model: ModelState, reply: Reply, ours: WorkingOrder) -> Told | None:
    if ours.state != OrderState.SENT:
        return None
    end_unsent(model, ours, OrderState.REJECTED)
    return Told(qty=ours.qty)


def broken(model: ModelState, reply: Reply, ours: WorkingOrder) -> Told | None:
    """The order stays as it is, whatever its state."""
    execution = find_execution(model, reply.match_number, ours.user_ref)
    if execution is None:
        return None
    qty = execution.qty
    position.break_trade(model, ours.symbol, ours.side, qty, execution.price_e4, execution.flag)
    execution.qty = 0
    return Told(qty=qty, price_e4=execution.price_e4, match_number=reply.match_number)


def find_execution(model: ModelState, match_number: int, user_ref: int) -> Execution | None:
    """The newest execution of an order with that number which was not broken."""
    places = [
        place
        for place, execution in model.executions.items()
        if (execution.match_number, execution.user_ref) == (match_number, user_ref) and execution.qty > 0
    ]
    if not places:
        return None
    oldest = model.account.executions % MAX_EXECUTIONS
    return model.executions[max(places, key=lambda place: (place - oldest) % MAX_EXECUTIONS)]


def cancel_pending(model: ModelState, reply: Reply, ours: WorkingOrder) -> Told | None:
    if ours.state != OrderState.LIVE:
        return None
    ours.pending |= Pending.LATER
    return Told()


def cancel_rejected(model: ModelState, reply: Reply, ours: WorkingOrder) -> Told | None:
    if ours.state != OrderState.LIVE:
        return None
    ours.pending &= ~(Pending.CANCEL | Pending.LATER)
    return Told()


def priority(model: ModelState, reply: Reply, ours: WorkingOrder) -> Told | None:
    if ours.state != OrderState.LIVE or not good_price(reply.price_e4):
        return None
    ours.price_e4 = reply.price_e4
    ours.order_ref = reply.order_ref
    recount(model, ours)
    return Told()


def modified(model: ModelState, reply: Reply, ours: WorkingOrder) -> Told | None:
    if ours.state != OrderState.LIVE or not 0 < reply.qty <= ours.open_qty or not same_side(reply, ours):
        return None
    back = ours.open_qty - reply.qty
    give_back(model, ours, back)
    ours.short_sale = 1 if reply.side in SHORT_SIDES else 0
    return Told(qty=back)


def restated(model: ModelState, reply: Reply, ours: WorkingOrder) -> Told | None:
    return Told() if ours.is_open else None


EFFECTS: dict[EventKind, Callable[[ModelState, Reply, WorkingOrder], Told | None]] = {
    EventKind.ACCEPTED: accepted,
    EventKind.REPLACED: replaced,
    EventKind.EXECUTED: executed,
    EventKind.CANCELED: canceled,
    EventKind.REJECTED: rejected,
    EventKind.BROKEN: broken,
    EventKind.CANCEL_PENDING: cancel_pending,
    EventKind.CANCEL_REJECTED: cancel_rejected,
    EventKind.PRIORITY: priority,
    EventKind.MODIFIED: modified,
    EventKind.RESTATED: restated,
}


# Recovering: the day's replies are read again, and our orders are taken from them


def adopted(model: ModelState, reply: Reply) -> WorkingOrder | None:
    """An order of ours that we do not know any more, as if it had just been sent; None if it cannot be taken."""
    if model.session.health != SessionHealth.RECOVERING or not reply.user_ref or reply.user_ref == U32_MAX:
        return None
    occupant = model.working.get(reply.user_ref % MAX_WORKING)
    if occupant is not None and occupant.is_open:
        return None
    if reply.qty == 0 or not good_price(reply.price_e4):
        return None
    original = None
    slot = slot_named(model, reply.name)
    if reply.kind == EventKind.REPLACED:
        original = model.our_order(reply.original)
        if original is None or original.state != OrderState.LIVE or original.pending != 0:
            return None
        if not same_name(model, reply, original) or not same_side(reply, original):
            return None
        slot = original.symbol
    elif reply.kind != EventKind.ACCEPTED:
        return None
    if slot is None or 0 not in model.symbols[slot].open_ref:
        return None
    ours = WorkingOrder(
        user_ref=reply.user_ref,
        state=OrderState.SENT,
        symbol=slot,
        side=Side.BUY if reply.side == b"B" else Side.SELL,
        price_e4=reply.price_e4,
        qty=reply.qty,
        open_qty=reply.qty,
        sent_ns=model.work.now_ns,
        strategy=Strategy.MANUAL,
        short_sale=original.short_sale if original else int(reply.side in SHORT_SIDES),
        epoch=model.control.epoch,
    )
    order.begin(model, ours, original)
    model.session.next_user_ref = max(model.session.next_user_ref, reply.user_ref + 1)
    return ours


def slot_named(model: ModelState, name: bytes) -> int | None:
    """The slot of a symbol, on the first feed that has it."""
    for feed in range(MAX_FEEDS):
        if (feed, name) in model.slots:
            return model.slots[feed, name]
    return None
