"""Every clause of the gate: an order at its limit leaves, one beyond it is refused for exactly that reason.

On the loaded program and on the model at once. `make mutation` builds the program without each clause in turn; these
tests are what has to notice.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from gate_rig import (
    ASK_E4,
    BID_E4,
    BUY,
    CANCEL,
    ENTER,
    MID_E4,
    MOST,
    REPLACE,
    SECOND_NS,
    SELL,
    GateRig,
    gate,
)
from turbo_hft._native import lib
from turbo_hft.model.names import EventKind, FeedHealth, Reason, SessionHealth
from turbo_hft.testing import Hook
from turbo_hft.wire import itch50, ouch50, ufo

pytestmark = pytest.mark.kernel

MOST_QTY, MOST_PRICE_E4 = 999_999, 0x7735939C
LEVELS = ("account", "strategy", "symbol")
OPEN = lib.HFT_MAX_OPEN


@pytest.fixture
def rig(hook: Hook, request: pytest.FixtureRequest) -> Iterator[GateRig]:
    with gate(hook, compare="races" not in request.keywords) as made:
        yield made


def test_an_order_within_every_limit_leaves(rig: GateRig) -> None:
    assert rig.passes() == 1
    assert rig.passes(SELL, 100, ASK_E4) == 2


# Order entry, and the intent itself


@pytest.mark.parametrize("field", ["protocol", "headers_len", "enter", "replace", "cancel"])
def test_not_configured(rig: GateRig, field: str) -> None:
    stored, modelled = rig.engine._template[0], rig.model.template
    if field in ("protocol", "headers_len"):
        setattr(stored, field, 9)
        setattr(modelled, field, 9)
    else:
        action = {"enter": ENTER, "replace": REPLACE, "cancel": CANCEL}[field]
        stored.msg_len[action] += 1
        modelled.msg_len[action] += 1
    rig.refused("NOT_CONFIGURED")


def test_session_down(rig: GateRig) -> None:
    live = rig.works()
    rig._reply(ufo.EndOfSession(rig.reply_sequence))
    assert rig.model.session.health == SessionHealth.ENDED
    rig.refused("SESSION_DOWN")
    rig.refused("SESSION_DOWN", action=CANCEL, ref=live)


def test_a_suspect_session_lets_cancels_leave_and_nothing_else(rig: GateRig) -> None:
    live = rig.works()
    rig.executes(live + 77, 1, BID_E4)
    assert rig.model.session.health == SessionHealth.SUSPECT
    rig.refused("SESSION_DOWN")
    assert rig.order(action=CANCEL, ref=live) is None


def test_no_such_action(rig: GateRig) -> None:
    for action in (0, 4, 2**32 - 1):
        rig.refused("BAD_INTENT", action=action)


def test_no_such_side(rig: GateRig) -> None:
    rig.refused("BAD_INTENT", 2)
    ref = rig.works()
    rig.refused("BAD_INTENT", 2, action=REPLACE, ref=ref)


def test_no_such_time_in_force(rig: GateRig) -> None:
    rig.passes(tif=2)
    rig.refused("BAD_INTENT", tif=3)
    ref = rig.works()
    rig.refused("BAD_INTENT", action=REPLACE, ref=ref, tif=3)


@pytest.mark.parametrize("action", [REPLACE, CANCEL])
def test_the_order_that_is_named_must_be_ours_live_and_at_rest(rig: GateRig, action: int) -> None:
    rig.refused("BAD_INTENT", action=action, ref=0)
    rig.refused("BAD_INTENT", action=action, ref=77)
    sent = rig.passes()
    rig.refused("BAD_INTENT", action=action, ref=sent)
    rig.accepts(sent)
    rig.refused("BAD_INTENT", action=action, ref=sent + lib.HFT_MAX_WORKING)
    rig.refused("BAD_INTENT", action=action, ref=sent, slot=rig.other)
    rig.answer(ouch50.CancelPending(rig.clock, sent).encode())
    rig.refused("BAD_INTENT", action=action, ref=sent)
    rig.answer(ouch50.CancelReject(rig.clock, sent).encode())
    assert rig.order(action=action, ref=sent) is None
    rig.refused("BAD_INTENT", action=action, ref=sent)


def test_a_replacement_stays_on_its_side(rig: GateRig) -> None:
    ref = rig.works(BUY)
    rig.refused("BAD_INTENT", SELL, action=REPLACE, ref=ref)
    rig.passes(BUY, action=REPLACE, ref=ref)


# The market


def test_feed_not_live(rig: GateRig) -> None:
    rig.feed(rig.gone(1), sequence=rig.sequence + 1)
    assert rig.model.feeds[0].health == FeedHealth.HOLD
    rig.refused("FEED_NOT_LIVE")


def test_book_quarantined(rig: GateRig) -> None:
    rig.feed(rig.gone(77))
    rig.refused("BOOK_QUARANTINED")


@pytest.mark.parametrize("phase", "OSMEC")
def test_market_closed(rig: GateRig, phase: str) -> None:
    rig.feed(itch50.SystemEvent(stock_locate=0, event_code=phase, **rig.stamp()).encode())
    rig.refused("MARKET_CLOSED")


def test_market_wide_circuit_breaker(rig: GateRig) -> None:
    rig.feed(itch50.MwcbStatus(stock_locate=0, breached_level="1", **rig.stamp()).encode())
    rig.refused("MARKET_CLOSED")


@pytest.mark.parametrize("state", "HPQ")
def test_not_trading(rig: GateRig, state: str) -> None:
    rig.feed(rig.trading(state))
    rig.refused("NOT_TRADING")
    rig.feed(rig.trading("T"))
    rig.passes()


def test_operational_halt(rig: GateRig) -> None:
    rig.feed(rig.operational_halt("H"))
    rig.refused("NOT_TRADING")
    rig.feed(rig.operational_halt("T"))
    rig.passes()


def test_book_crossed(rig: GateRig) -> None:
    rig.feed(rig.rest(50, "B", ASK_E4 - 100))
    rig.passes()
    rig.feed(rig.rest(51, "B", ASK_E4))
    rig.refused("BOOK_CROSSED")


def test_restricted(rig: GateRig) -> None:
    rig.symbol(restricted=1)
    rig.refused("RESTRICTED")
    rig.passes(slot=rig.other)


# The order for itself


def test_qty_range(rig: GateRig) -> None:
    rig.refused("QTY_RANGE", qty=0)
    rig.passes(qty=MOST_QTY, price_e4=100)
    rig.refused("QTY_RANGE", qty=MOST_QTY + 1, price_e4=100)


def test_a_chain_of_replacements_is_one_order_to_the_exchange(rig: GateRig) -> None:
    ref = rig.works(qty=1000)
    rig.executes(ref, 400, BID_E4)
    rig.refused("QTY_RANGE", qty=MOST_QTY - 399, action=REPLACE, ref=ref)
    rig.passes(qty=MOST_QTY - 400, action=REPLACE, ref=ref)


def test_price_range(rig: GateRig) -> None:
    rig.symbol(collar_ppm=2**32 - 1)
    rig.refused("PRICE_RANGE", price_e4=0)
    rig.passes(price_e4=1)
    rig.passes(SELL, 1, MOST_PRICE_E4)
    rig.refused("PRICE_RANGE", SELL, 1, MOST_PRICE_E4 + 1)


@pytest.mark.parametrize("level", LEVELS)
def test_max_order_qty(rig: GateRig, level: str) -> None:
    getattr(rig, level)(max_order_qty=100)
    rig.passes(qty=100)
    rig.refused("MAX_ORDER_QTY", qty=101)


@pytest.mark.parametrize("level", LEVELS)
def test_max_notional(rig: GateRig, level: str) -> None:
    getattr(rig, level)(max_notional_e4=100 * BID_E4)
    rig.passes()
    rig.refused("MAX_NOTIONAL", qty=101)
    rig.refused("MAX_NOTIONAL", price_e4=BID_E4 + 1)


def test_no_reference_named(rig: GateRig) -> None:
    for reference in (lib.HFT_REFERENCE_NONE, 3, 2**32 + lib.HFT_REFERENCE_MID):
        rig.symbol(reference=reference)
        rig.refused("NO_REFERENCE")


def test_no_trade_to_refer_to(rig: GateRig) -> None:
    rig.symbol(reference=lib.HFT_REFERENCE_LAST)
    rig.refused("NO_REFERENCE")
    rig.feed(rig.printed(BID_E4))
    rig.passes()


@pytest.mark.parametrize("ref", [1, 2])
def test_no_middle_with_one_side_only(rig: GateRig, ref: int) -> None:
    rig.feed(rig.gone(ref))
    rig.refused("NO_REFERENCE")


def test_a_middle_grows_old(rig: GateRig) -> None:
    rig.symbol(reference_age_ns=SECOND_NS)
    rig.feed(rig.rest(60, "B", BID_E4 - 100))
    rig.wait(SECOND_NS)
    rig.passes()
    rig.wait(1)
    rig.refused("NO_REFERENCE")
    rig.feed(rig.rest(61, "B", BID_E4 - 100))
    rig.passes()


def test_a_last_trade_grows_old(rig: GateRig) -> None:
    rig.symbol(reference=lib.HFT_REFERENCE_LAST, reference_age_ns=SECOND_NS)
    rig.feed(rig.printed(BID_E4))
    rig.wait(SECOND_NS)
    rig.passes()
    rig.wait(1)
    rig.refused("NO_REFERENCE")


def test_a_reference_from_the_future_is_none(rig: GateRig) -> None:
    """A clock that stepped back: its newest time stamp lies before the book's."""
    rig.symbol(reference_age_ns=2**64 - 1)
    rig.feed(rig.rest(60, "B", BID_E4 - 100))
    rig.passes()
    rig.wait(-1)
    rig.refused("NO_REFERENCE")


def test_collar_around_the_middle(rig: GateRig) -> None:
    rig.symbol(collar_ppm=1000)
    apart = MID_E4 // 1000
    rig.passes(BUY, 1, MID_E4 + apart)
    rig.refused("COLLAR", BUY, 1, MID_E4 + apart + 1)
    rig.passes(BUY, 1, MID_E4 - apart)
    rig.refused("COLLAR", BUY, 1, MID_E4 - apart - 1)


def test_collar_around_the_last_trade(rig: GateRig) -> None:
    rig.symbol(reference=lib.HFT_REFERENCE_LAST, collar_ppm=0)
    rig.feed(rig.printed(1_490_000))
    rig.passes(price_e4=1_490_000)
    rig.refused("COLLAR", price_e4=1_490_001)


# Short sales


def test_short_sale_only_where_it_is_allowed(rig: GateRig) -> None:
    rig.holds(BUY, 100)
    for allowed in (0, 2):
        rig.symbol(short_ok=allowed)
        rig.refused("SHORT_SALE", SELL, 101, ASK_E4)
    ref = rig.works(SELL, 60, ASK_E4)
    rig.refused("SHORT_SALE", SELL, 41, ASK_E4)
    rig.passes(SELL, 40, ASK_E4)
    rig.refused("SHORT_SALE", SELL, 1, ASK_E4)
    rig.refused("SHORT_SALE", SELL, 61, ASK_E4, action=REPLACE, ref=ref)
    rig.passes(SELL, 60, ASK_E4 + 100, action=REPLACE, ref=ref)


def test_a_long_sale_is_not_replaced_by_a_short_one(rig: GateRig) -> None:
    """Its mark cannot be changed by a replacement."""
    rig.holds(BUY, 100)
    ref = rig.works(SELL, 100, ASK_E4)
    rig.refused("SHORT_SALE", SELL, 101, ASK_E4, action=REPLACE, ref=ref)
    short = rig.works(SELL, 10, ASK_E4)
    rig.passes(SELL, 11, ASK_E4, action=REPLACE, ref=short)


@pytest.mark.parametrize("action", "12")
def test_short_price(rig: GateRig, action: str) -> None:
    rig.feed(rig.short_restriction(action))
    rig.refused("SHORT_PRICE", SELL, 1, BID_E4)
    rig.passes(SELL, 1, BID_E4 + 100)
    rig.feed(rig.short_restriction("0"))
    rig.passes(SELL, 1, BID_E4)


def test_a_long_sale_knows_no_short_price(rig: GateRig) -> None:
    rig.holds(BUY, 100)
    rig.feed(rig.short_restriction("1"))
    rig.passes(SELL, 100, BID_E4)


# Positions and exposure


def test_max_long_counts_what_is_open(rig: GateRig) -> None:
    rig.symbol(max_long=300)
    rig.holds(BUY, 100)
    rig.passes(BUY, 100)
    rig.passes(BUY, 100)
    rig.refused("MAX_LONG", BUY, 1)


def test_max_long_with_a_replacement_counts_what_it_adds(rig: GateRig) -> None:
    rig.symbol(max_long=300)
    ref = rig.works(BUY, 200)
    rig.refused("MAX_LONG", BUY, 301, action=REPLACE, ref=ref)
    rig.passes(BUY, 300, action=REPLACE, ref=ref)
    rig.refused("MAX_LONG", BUY, 1)


def test_max_long_has_a_bound_of_its_own(rig: GateRig) -> None:
    rig.symbol(max_long=2**64 - 1)
    assert lib.HFT_MAX_POSITION == 10**9
    for _ in range(OPEN):
        rig.passes(BUY, MOST_QTY, 1)
    assert rig.order(BUY, 1, 1) == Reason.OPEN_ORDERS


def test_max_short(rig: GateRig) -> None:
    rig.symbol(max_short=300)
    rig.holds(SELL, 100, ASK_E4)
    rig.passes(SELL, 150, ASK_E4)
    rig.refused("MAX_SHORT", SELL, 51, ASK_E4)
    rig.passes(SELL, 50, ASK_E4)


def test_gross_exposure_is_that_of_all_symbols_and_open_orders(rig: GateRig) -> None:
    rig.account(max_gross_e4=400 * BID_E4)
    rig.holds(BUY, 100)
    rig.passes(BUY, 100, slot=rig.other)
    rig.passes(BUY, 100)
    rig.passes(BUY, 100)
    rig.refused("GROSS_EXPOSURE", BUY, 1, 1)
    rig.refused("GROSS_EXPOSURE", SELL, 101, 1)


def test_gross_exposure_does_not_stop_what_reduces(rig: GateRig) -> None:
    rig.holds(BUY, 100)
    rig.account(max_gross_e4=0)
    rig.refused("GROSS_EXPOSURE", BUY, 1)
    rig.refused("GROSS_EXPOSURE", SELL, 101, ASK_E4)
    rig.passes(SELL, 100, ASK_E4)
    rig.refused("GROSS_EXPOSURE", SELL, 1, ASK_E4)


def test_gross_exposure_of_a_replacement_is_what_it_adds(rig: GateRig) -> None:
    ref = rig.works(BUY, 100)
    rig.account(max_gross_e4=150 * BID_E4)
    rig.refused("GROSS_EXPOSURE", BUY, 151, action=REPLACE, ref=ref)
    rig.passes(BUY, 150, action=REPLACE, ref=ref)


def test_net_exposure(rig: GateRig) -> None:
    rig.holds(BUY, 100)
    rig.account(max_net_e4=200 * BID_E4)
    rig.refused("NET_EXPOSURE", BUY, 101)
    rig.passes(BUY, 100)
    rig.refused("NET_EXPOSURE", BUY, 1, 1)
    # 100 long and a limit of 200 worth: 300 may be sold, of which those beyond 100 do not reduce.
    rig.passes(SELL, 100, BID_E4 + 100)
    rig.refused("NET_EXPOSURE", SELL, 202, BID_E4 + 100)
    rig.passes(SELL, 190, BID_E4 + 100)


@pytest.mark.parametrize("level", LEVELS)
def test_open_orders(rig: GateRig, level: str) -> None:
    getattr(rig, level)(max_open_orders=2)
    first = rig.works()
    rig.passes()
    rig.refused("OPEN_ORDERS")
    rig.passes(action=REPLACE, ref=first, price_e4=BID_E4 - 100)


def test_open_orders_have_a_bound_of_their_own(rig: GateRig) -> None:
    refs = [rig.works(price_e4=BID_E4 - 100 * i) for i in range(OPEN)]
    rig.refused("OPEN_ORDERS")
    rig.refused("OPEN_ORDERS", action=REPLACE, ref=refs[0])
    rig.passes(slot=rig.other)


@pytest.mark.parametrize(("side", "against"), [(BUY, SELL), (SELL, BUY)])
def test_self_trade(rig: GateRig, side: int, against: int) -> None:
    rig.passes(against, 100, MID_E4)
    better = 1 if side == BUY else -1
    rig.refused("SELF_TRADE", side, 1, MID_E4)
    rig.refused("SELF_TRADE", side, 1, MID_E4 + better)
    rig.passes(side, 1, MID_E4 - better)
    rig.passes(side, 1, MID_E4, slot=rig.other)


# Repetition


def test_duplicate(rig: GateRig) -> None:
    rig.account(duplicate_ns=SECOND_NS)
    rig.passes(BUY, 100)
    rig.refused("DUPLICATE", BUY, 100)
    rig.passes(BUY, 101)
    rig.passes(BUY, 100, BID_E4 - 100)
    rig.passes(SELL, 100, BID_E4 + 100)
    rig.passes(BUY, 100, slot=rig.other)
    rig.wait(SECOND_NS - 1)
    rig.refused("DUPLICATE", BUY, 100)
    rig.wait(1)
    rig.passes(BUY, 100)


def test_duplicate_for_ever(rig: GateRig) -> None:
    rig.account(duplicate_ns=2**64 - 1)
    rig.passes()
    rig.wait(3600 * SECOND_NS)
    rig.refused("DUPLICATE")


def test_duplicate_after_a_clock_that_stepped_back(rig: GateRig) -> None:
    rig.account(duplicate_ns=1)
    rig.passes()
    rig.refused("DUPLICATE")


# Latches


def _loses(rig: GateRig, dollars: int) -> None:
    """100 shares bought at the offer and sold that much lower each."""
    rig.holds(BUY, 100, ASK_E4)
    rig.holds(SELL, 100, ASK_E4 - dollars * 100)


def test_loss_limit_of_the_account(rig: GateRig) -> None:
    rig.account(max_loss_e4=20_0000)
    _loses(rig, 19)
    rig.passes(BUY, 1, BID_E4, slot=rig.other)
    _loses(rig, 1)
    rig.refused("LOSS_LIMIT")
    rig.refused("LOSS_LIMIT", slot=rig.other)
    rig.account(max_loss_e4=MOST)
    rig.refused("LOSS_LIMIT")


def test_loss_limit_of_the_symbol(rig: GateRig) -> None:
    rig.symbol(max_loss_e4=20_0000)
    _loses(rig, 20)
    rig.refused("LOSS_LIMIT")
    rig.passes(slot=rig.other)


def test_a_limit_that_is_lowered_latches_before_the_next_order(rig: GateRig) -> None:
    _loses(rig, 10)
    rig.passes()
    rig.account(max_loss_e4=10_0000)
    rig.refused("LOSS_LIMIT")


def test_loss_limit_does_not_stop_what_reduces(rig: GateRig) -> None:
    rig.holds(BUY, 100, ASK_E4)
    rig.symbol(max_loss_e4=0)
    rig.refused("LOSS_LIMIT")
    rig.passes(SELL, 100, ASK_E4)


def test_executions(rig: GateRig) -> None:
    rig.strategy(max_executions=2)
    ref = rig.works(BUY, 300)
    rig.executes(ref, 100, BID_E4)
    rig.passes(BUY, 1)
    rig.executes(ref, 100, BID_E4)
    rig.refused("EXECUTIONS")
    rig.strategy(max_executions=MOST)
    rig.refused("EXECUTIONS")


def test_executions_of_a_limit_that_is_lowered(rig: GateRig) -> None:
    rig.holds(BUY, 100)
    rig.strategy(max_executions=1)
    rig.refused("EXECUTIONS")


# Throttles


@pytest.mark.parametrize(("level", "reason"), list(zip(LEVELS, ("RATE", "RATE_STRATEGY", "RATE_SYMBOL"), strict=True)))
def test_throttle(rig: GateRig, level: str, reason: str) -> None:
    getattr(rig, level)(interval_ns=SECOND_NS, burst=3)
    for _ in range(3):
        rig.passes()
    rig.refused(reason)
    rig.wait(SECOND_NS - 1)
    rig.refused(reason)
    rig.wait(1)
    rig.passes()
    rig.refused(reason)


@pytest.mark.parametrize(("level", "reason"), list(zip(LEVELS, ("RATE", "RATE_STRATEGY", "RATE_SYMBOL"), strict=True)))
def test_throttle_of_nothing(rig: GateRig, level: str, reason: str) -> None:
    getattr(rig, level)(interval_ns=0)
    rig.refused(reason)
    getattr(rig, level)(interval_ns=1, burst=0)
    rig.refused(reason)


def test_a_cancel_is_not_throttled(rig: GateRig) -> None:
    ref = rig.works()
    rig.account(interval_ns=0, burst=0)
    assert rig.order(action=CANCEL, ref=ref) is None


# Numbers and places


def test_working_full(rig: GateRig) -> None:
    first = rig.passes()
    rig.session(next_user_ref=first + lib.HFT_MAX_WORKING)
    rig.refused("WORKING_FULL")
    rig.session(next_user_ref=first + lib.HFT_MAX_WORKING + 1)
    rig.passes()


def test_refs_exhausted(rig: GateRig) -> None:
    rig.session(next_user_ref=2**32 - 2)
    rig.passes()
    rig.refused("REFS_EXHAUSTED")


def test_no_room_for_more_messages_than_a_packet_carries(rig: GateRig) -> None:
    """Five quoters, ten quotes, and later ten cancels: eight leave with each packet."""
    most = lib.HFT_MAX_ORDERS_PER_PACKET
    slots = [rig.slot, rig.other, *(rig.add(f"SYM{i}") for i in range(3))]
    for slot in slots[2:]:
        rig.lists(slot)
    for slot in slots:
        rig.quotes(slot)
    outcome = rig.feed(*(rig.rest(100 + slot, "B", 1_000_000, slot) for slot in slots))
    assert [event.reason for event in outcome.events if event.kind == EventKind.REFUSED] == [Reason.NO_ROOM] * 2
    for ref in range(1, most + 1):
        rig.accepts(ref)
    rig.feed(rig.rest(200 + slots[-1], "B", 1_000_000, slots[-1]))
    for ref in range(most + 1, 2 * len(slots) + 1):
        rig.accepts(ref)
    for slot in slots:
        rig.params(slot=slot, quote_inventory=0)
    outcome = rig.feed(*(rig.rest(300 + slot, "B", 1_000_000, slot) for slot in slots))
    kinds = [event.kind for event in outcome.events]
    assert kinds.count(EventKind.CANCEL_SENT) == most
    assert [event.reason for event in outcome.events if event.kind == EventKind.REFUSED] == [Reason.NO_ROOM] * 2


# Kill switches and lease


KILLS = {
    "symbol": lambda rig, kill: rig.params(kill=kill),
    "strategy": lambda rig, kill: rig.strategy_kill(kill),
    "global": lambda rig, kill: rig.control(kill=kill),
}


@pytest.mark.parametrize("switch", KILLS)
@pytest.mark.parametrize("word", [0, 3, 2**32 + 1, 2**63])
def test_halted(rig: GateRig, switch: str, word: int) -> None:
    ref = rig.works()
    KILLS[switch](rig, word)
    rig.refused(f"HALTED_{switch.upper()}")
    assert rig.order(action=CANCEL, ref=ref) is None
    KILLS[switch](rig, lib.HFT_ACTIVE)
    rig.passes()


@pytest.mark.parametrize("switch", KILLS)
def test_reducing(rig: GateRig, switch: str) -> None:
    KILLS[switch](rig, lib.HFT_REDUCING)
    rig.refused("REDUCING", BUY, 1)
    rig.refused("REDUCING", SELL, 1, ASK_E4)
    KILLS[switch](rig, lib.HFT_ACTIVE)
    rig.holds(BUY, 100)
    KILLS[switch](rig, lib.HFT_REDUCING)
    rig.refused("REDUCING", BUY, 1)
    rig.refused("REDUCING", SELL, 101, ASK_E4)
    rig.passes(SELL, 60, ASK_E4)
    rig.refused("REDUCING", SELL, 41, ASK_E4)
    rig.passes(SELL, 40, ASK_E4)


def test_reducing_what_was_sold_short(rig: GateRig) -> None:
    rig.holds(SELL, 100, ASK_E4)
    rig.control(kill=lib.HFT_REDUCING)
    rig.refused("REDUCING", SELL, 1, ASK_E4)
    rig.refused("REDUCING", BUY, 101)
    rig.passes(BUY, 100)
    rig.refused("REDUCING", BUY, 1)


def test_lease(rig: GateRig) -> None:
    rig.control(lease_until_ns=rig.clock + SECOND_NS)
    rig.wait(SECOND_NS - 1)
    rig.passes()
    ref = rig.works()
    rig.wait(1)
    rig.refused("LEASE")
    assert rig.order(action=CANCEL, ref=ref) is None


# Sets of limits


def test_the_lowest_bit_of_the_epoch_chooses_the_set(rig: GateRig) -> None:
    half = (rig.model.control.epoch + 1) & 1
    stored = rig._limits[half].account
    stored.max_order_qty = rig.model.limits[half].account.max_order_qty = 50
    rig.passes(qty=100)
    rig.control(epoch=rig.model.control.epoch + 1)
    rig.refused("MAX_ORDER_QTY", qty=51)
    rig.passes(qty=50)
    rig.control(epoch=rig.model.control.epoch + 1)
    rig.passes(qty=100)


def test_nothing_leaves_while_parameters_are_stored(rig: GateRig) -> None:
    rig.control(changing=1)
    rig.refused("LIMITS_CHANGED")
    rig.control(changing=0)
    rig.passes()


@pytest.mark.races
def test_an_epoch_that_moves_during_the_decision_refuses(rig: GateRig) -> None:
    """User space changes limits while orders are decided: none may leave on a mixture of two sets."""
    control, stop = rig._control, threading.Event()

    def hammer() -> None:
        while not stop.is_set():
            control.epoch += 2  # the same set, under another number

    before = rig.engine.refusals()["limits_changed"]
    other = threading.Thread(target=hammer)
    frame = rig.order_frame()
    rig.control(kill=lib.HFT_HALTED)
    other.start()
    try:
        deadline = time.monotonic() + 10
        while rig.engine.refusals()["limits_changed"] == before and time.monotonic() < deadline:
            rig.twin.hook.run(frame, repeat=1000)
    finally:
        stop.set()
        other.join()
    assert rig.engine.refusals()["limits_changed"] > before
    for _ in rig.engine.events:
        pass
