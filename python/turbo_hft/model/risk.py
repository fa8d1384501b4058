"""Rule 6: the one gate."""

from __future__ import annotations

from .market import TRADING
from .names import (
    MAX_ORDERS_PER_SECOND,
    MAX_POSITION,
    MAX_WORKING,
    OUCH_MAX_PRICE_E4,
    OUCH_MAX_QTY,
    U32_MAX,
    BookHealth,
    FeedHealth,
    Kill,
    OrderState,
    Phase,
    Protocol,
    Reason,
    SessionHealth,
    Side,
)
from .state import Intent, ModelState

ENTER_ORDER_LEN = {Protocol.OUCH50: 50, Protocol.OUCH42: 52}
ONE_SECOND_NS = 1_000_000_000


def next_user_ref(model: ModelState) -> int:
    """UserRefNum of the next order; 0 counts as 1."""
    return model.session.next_user_ref or 1


def template_ready(model: ModelState) -> bool:
    """A known protocol, header length and message length."""
    template = model.template
    if template.protocol not in (Protocol.OUCH50, Protocol.OUCH42) or template.headers_len not in (42, 46, 50):
        return False
    return template.msg_len == ENTER_ORDER_LEN[Protocol(template.protocol)]


def rate_exceeded(model: ModelState, feed: int) -> bool:
    """The N-th last order left less than a second before now, by the clock of this feed."""
    limit = min(model.control.max_orders_per_second, MAX_ORDERS_PER_SECOND)
    if limit == 0:
        return True
    if len(model.order_times) < limit:
        return False
    return model.now_ns(feed) - model.order_times[-limit] < ONE_SECOND_NS


def refusal(model: ModelState, slot: int, intent: Intent) -> Reason:
    """The first check that refuses, or ``Reason.NONE``."""
    params, state, book = model.params[slot], model.symbols[slot], model.books[slot]
    feed = model.feeds[params.feed]

    if not template_ready(model):
        return Reason.NOT_CONFIGURED
    if model.session.health != SessionHealth.UP:
        return Reason.SESSION_DOWN
    if feed.health != FeedHealth.LIVE:
        return Reason.FEED_NOT_LIVE
    if book.health != BookHealth.OK:
        return Reason.BOOK_QUARANTINED
    if feed.phase != Phase.MARKET or feed.breaker != 0:
        return Reason.MARKET_CLOSED
    if book.trading_state != TRADING or book.operational_halt:
        return Reason.NOT_TRADING
    if book.is_crossed:
        return Reason.BOOK_CROSSED
    if state.working_ref != 0:
        return Reason.IN_FLIGHT
    if intent.qty == 0 or intent.qty > OUCH_MAX_QTY:
        return Reason.QTY_RANGE
    if intent.price_e4 == 0 or intent.price_e4 > OUCH_MAX_PRICE_E4:
        return Reason.PRICE_RANGE
    if intent.qty > params.max_order_qty:
        return Reason.MAX_ORDER_QTY
    if intent.price_e4 * intent.qty > params.max_notional_e4:
        return Reason.MAX_NOTIONAL

    signed_qty = intent.qty if intent.side == Side.BUY else -intent.qty
    after = state.position + signed_qty
    crosses_zero = after * state.position < 0
    only_reduces = abs(after) < abs(state.position) and not crosses_zero
    if abs(after) > min(params.max_position, MAX_POSITION) and not only_reduces:
        return Reason.MAX_POSITION
    if intent.side == Side.SELL and intent.qty > state.position:
        return Reason.SHORT_SALE

    if rate_exceeded(model, params.feed):
        return Reason.ORDER_RATE
    user_ref = next_user_ref(model)
    occupant = model.working.get(user_ref % MAX_WORKING)
    if occupant is not None and occupant.state in (OrderState.SENT, OrderState.LIVE):
        return Reason.WORKING_FULL
    if user_ref == U32_MAX:
        return Reason.REFS_EXHAUSTED
    if frame_length_for_batch(model) > max(model.config.room, model.work.frame_len):
        return Reason.NO_ROOM
    if params.kill != Kill.ACTIVE:
        return Reason.HALTED_SYMBOL
    if model.control.kill != Kill.ACTIVE:
        return Reason.HALTED_GLOBAL
    return Reason.NONE


def frame_length_for_batch(model: ModelState) -> int:
    """Bytes of the order frame if every slot of the batch sent."""
    return model.template.headers_len + len(model.work.batch) * model.template.msg_len
