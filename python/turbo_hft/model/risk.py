"""Rule 6: the one gate. `refusal` only looks; what an order that passes changes stands in `order`."""

from __future__ import annotations

from . import throttle
from .market import TRADING
from .names import (
    MAX_OPEN,
    MAX_ORDERS_PER_PACKET,
    MAX_POSITION,
    MAX_WORKING,
    OUCH_MAX_PRICE_E4,
    OUCH_MAX_QTY,
    S63_MAX,
    U32_MAX,
    Action,
    BookHealth,
    FeedHealth,
    Kill,
    OrderState,
    Phase,
    Protocol,
    Reason,
    Reference,
    SessionHealth,
    Side,
    Tif,
    Transport,
)
from .position import middle_e4
from .state import Decision, Intent, ModelState, SymbolLimits, WorkingOrder

MESSAGE_LENGTHS = {Protocol.OUCH50: [50, 43, 12], Protocol.OUCH42: [52, 50, 22]}
"""Of ENTER, REPLACE and CANCEL, with the length prefix and the `U` of UFO."""

HEADERS = (42, 46, 50)
"""Bytes of Ethernet with up to two tags, IPv4 and UDP."""

MILLION = 1_000_000


def next_user_ref(model: ModelState) -> int:
    """UserRefNum of the next order; 0 counts as 1."""
    return model.session.next_user_ref or 1


def replaced_by(model: ModelState, intent: Intent) -> WorkingOrder | None:
    """The order in whose place a REPLACE shall come."""
    return model.our_order(intent.ref) if intent.action == Action.REPLACE else None


def is_short(model: ModelState, slot: int, intent: Intent) -> bool:
    """Would it sell more than is held and not on offer already?"""
    if intent.side != Side.SELL:
        return False
    return intent.qty > max(0, model.symbols[slot].position - opens(model, slot, intent))


def opens(model: ModelState, slot: int, intent: Intent) -> int:
    """Open shares of the intent's side, without those of the order it replaces."""
    old = replaced_by(model, intent)
    return model.symbols[slot].open_qty[intent.side] - (old.counted_qty if old else 0)


def position_after(model: ModelState, slot: int, intent: Intent) -> int:
    """The position if it and all open orders of its side were filled."""
    signed = intent.qty + opens(model, slot, intent)
    return model.symbols[slot].position + (signed if intent.side == Side.BUY else -signed)


def reduces(model: ModelState, slot: int, intent: Intent) -> bool:
    """Does it only bring the position towards zero, and with all that is open not beyond it?"""
    position, after = model.symbols[slot].position, position_after(model, slot, intent)
    if intent.side == Side.BUY:
        return position < 0 and after <= 0
    return position > 0 and after >= 0


def refusal(model: ModelState, decision: Decision, epoch: int) -> Reason:
    """The first check that refuses, or ``Reason.NONE``. ``epoch``: that of the limits, read before."""
    slot, intent = decision.slot, decision.intent
    params, state, book = model.params[slot], model.symbols[slot], model.books[slot]
    feed, account = model.feeds[params.feed], model.account
    strategy = account.strategy[decision.strategy]
    of_account = model.limits[epoch & 1].account
    of_strategy = model.limits[epoch & 1].strategy[decision.strategy]
    of_symbol = model.symbol_limits[epoch & 1][slot]
    now_ns = model.now_ns(params.feed)

    if not template_ready(model):
        return Reason.NOT_CONFIGURED
    # What is open may be taken down while order entry is in doubt.
    doubt = intent.action == Action.CANCEL and model.session.health == SessionHealth.SUSPECT
    if model.session.health != SessionHealth.UP and not doubt:
        return Reason.SESSION_DOWN
    if not makes_sense(model, slot, intent):
        return Reason.BAD_INTENT
    if intent.action == Action.CANCEL:
        if not decision.shadow and not there_is_room(model, intent):
            return Reason.NO_ROOM
        return Reason.NONE if model.work.wire_waits else model.work.wire_refusal

    # The market.
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

    # The order for itself.
    if of_symbol.restricted != 0:
        return Reason.RESTRICTED
    old = replaced_by(model, intent)
    executed_before = old.chain_qty + old.filled_qty if old else 0
    if intent.qty == 0 or executed_before + intent.qty > OUCH_MAX_QTY:
        return Reason.QTY_RANGE
    if intent.price_e4 == 0 or intent.price_e4 > OUCH_MAX_PRICE_E4:
        return Reason.PRICE_RANGE
    if intent.qty > min(of_account.max_order_qty, of_strategy.max_order_qty, of_symbol.max_order_qty):
        return Reason.MAX_ORDER_QTY
    notional_e4 = intent.price_e4 * intent.qty
    if notional_e4 > min(of_account.max_notional_e4, of_strategy.max_notional_e4, of_symbol.max_notional_e4):
        return Reason.MAX_NOTIONAL
    reference_e4 = fresh_reference(model, slot, of_symbol)
    if reference_e4 == 0:
        return Reason.NO_REFERENCE
    if abs(intent.price_e4 - reference_e4) * MILLION > reference_e4 * min(of_symbol.collar_ppm, U32_MAX):
        return Reason.COLLAR

    # The order with what we hold and have open.
    short = is_short(model, slot, intent)
    if short and (of_symbol.short_ok != 1 or (old is not None and not old.short_sale)):
        return Reason.SHORT_SALE
    if short and book.reg_sho in (ord("1"), ord("2")) and intent.price_e4 <= book.bid_e4:
        return Reason.SHORT_PRICE
    after = position_after(model, slot, intent)
    if intent.side == Side.BUY and after > min(of_symbol.max_long, MAX_POSITION):
        return Reason.MAX_LONG
    if short and -after > min(of_symbol.max_short, MAX_POSITION):
        return Reason.MAX_SHORT
    reducing = reduces(model, slot, intent)
    more_e4 = notional_e4 - (old.counted_e4 if old else 0)
    if not reducing and account.gross_e4 + sum(account.open_e4) + more_e4 > of_account.max_gross_e4:
        return Reason.GROSS_EXPOSURE
    net_e4 = account.net_e4 if intent.side == Side.BUY else -account.net_e4
    if not reducing and net_e4 + account.open_e4[intent.side] + more_e4 > min(of_account.max_net_e4, S63_MAX):
        return Reason.NET_EXPOSURE
    if state.open_orders >= MAX_OPEN:
        return Reason.OPEN_ORDERS
    if intent.action == Action.ENTER and (
        state.open_orders >= of_symbol.max_open_orders
        or strategy.open_orders >= of_strategy.max_open_orders
        or account.open_orders >= of_account.max_open_orders
    ):
        return Reason.OPEN_ORDERS
    if any(would_trade(intent, other) for other in model.open_orders(slot)):
        return Reason.SELF_TRADE
    if is_repeated(model, slot, intent, of_account.duplicate_ns, now_ns):
        return Reason.DUPLICATE

    # Latches, throttles, and what an order needs to leave.
    if not reducing and (state.loss_latched or account.loss_latched):
        return Reason.LOSS_LIMIT
    if strategy.latched:
        return Reason.EXECUTIONS
    if throttle.refuses(state, of_symbol, now_ns):
        return Reason.RATE_SYMBOL
    if throttle.refuses(strategy, of_strategy, now_ns):
        return Reason.RATE_STRATEGY
    if throttle.refuses(account, of_account, now_ns):
        return Reason.RATE
    user_ref = next_user_ref(model)
    occupant = model.working.get(user_ref % MAX_WORKING)
    if occupant is not None and occupant.is_open:
        return Reason.WORKING_FULL
    if user_ref == U32_MAX:
        return Reason.REFS_EXHAUSTED
    if not decision.shadow and not there_is_room(model, intent):
        return Reason.NO_ROOM
    if model.work.wire_refusal != Reason.NONE:
        return model.work.wire_refusal

    # What a person may have changed meanwhile, read last.
    if model.control.changing or model.control.epoch != epoch:
        return Reason.LIMITS_CHANGED
    kills = (params.kill, model.control.strategy_kill[decision.strategy], model.control.kill)
    if Kill.REDUCING in kills and not reducing:
        return Reason.REDUCING
    for kill, reason in zip(kills, (Reason.HALTED_SYMBOL, Reason.HALTED_STRATEGY, Reason.HALTED_GLOBAL), strict=True):
        if kill not in (Kill.ACTIVE, Kill.REDUCING):
            return reason
    if now_ns >= model.control.lease_until_ns:
        return Reason.LEASE
    return Reason.NONE


def template_ready(model: ModelState) -> bool:
    """A known protocol, and headers and messages of the right lengths."""
    template, more = model.template, 0
    if model.config.transport == Transport.SOUPBINTCP:
        more = 24 if model.wire.timestamps else 12
    if template.protocol not in MESSAGE_LENGTHS or template.headers_len - more not in HEADERS:
        return False
    return template.msg_len[Action.ENTER :] == MESSAGE_LENGTHS[Protocol(template.protocol)]


def makes_sense(model: ModelState, slot: int, intent: Intent) -> bool:
    """A known action on a known side, and if it is about an order, one of this slot that can be changed now."""
    if intent.action not in (Action.ENTER, Action.REPLACE, Action.CANCEL):
        return False
    if intent.action != Action.CANCEL and (intent.side not in tuple(Side) or intent.tif not in tuple(Tif)):
        return False
    if intent.action == Action.ENTER:
        return True
    order = model.our_order(intent.ref)
    if order is None or order.symbol != slot or order.state != OrderState.LIVE or order.pending != 0:
        return False
    return intent.action == Action.CANCEL or order.side == intent.side


def there_is_room(model: ModelState, intent: Intent) -> bool:
    """Does one message more fit behind those that leave already?"""
    template, work = model.template, model.work
    if len(work.sent) == MAX_ORDERS_PER_PACKET:
        return False
    messages = sum(len(message) for _, message in work.sent) + template.msg_len[intent.action]
    return template.headers_len + messages <= frame_length(model) and messages <= work.wire_room


def frame_length(model: ModelState) -> int:
    """As it was made for all that may leave with this packet, or for as much of it as the driver had room for."""
    template, work = model.template, model.work
    pending = sum(not decision.shadow for decision in work.pending)
    for orders in range(min(pending, MAX_ORDERS_PER_PACKET), 0, -1):
        wanted = template.headers_len + orders * template.msg_len[Action.ENTER]
        if wanted <= max(work.frame_len, model.config.room):
            return max(work.frame_len, wanted)
    return work.frame_len


def fresh_reference(model: ModelState, slot: int, limits: SymbolLimits) -> int:
    """What the collar is around, 0 if there is none or it is too old. 1/10000 dollar."""
    book = model.books[slot]
    if limits.reference == Reference.LAST:
        price_e4, at_ns = book.last_e4, book.last_ns
    elif limits.reference == Reference.MID:
        price_e4, at_ns = middle_e4(book), book.exchange_ns
    else:
        return 0
    age_ns = model.feeds[book.feed].exchange_ns - at_ns
    return price_e4 if 0 <= age_ns <= limits.reference_age_ns else 0


def would_trade(intent: Intent, other: WorkingOrder) -> bool:
    """Would it meet an order of our own?"""
    if intent.side == other.side:
        return False
    if intent.side == Side.BUY:
        return intent.price_e4 >= other.price_e4
    return other.price_e4 >= intent.price_e4


def is_repeated(model: ModelState, slot: int, intent: Intent, within_ns: int, now_ns: int) -> bool:
    """Did the same leave a moment ago?"""
    return within_ns > 0 and any(
        recent.sent_ns != 0
        and (recent.price_e4, recent.qty_side) == (intent.price_e4, intent.qty * 2 + intent.side)
        and now_ns < recent.sent_ns + within_ns
        for recent in model.symbols[slot].recent
    )
