"""Rule 6: every check of the gate refuses, in its order, and passes at its edge."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from model_bytes import NS, Rig, accepted50, add, enter, executed50, instead, kinds, template, withdraw
from turbo_hft.model import (
    Action,
    BookHealth,
    Clock,
    Decision,
    EventKind,
    FeedHealth,
    Intent,
    Kill,
    OrderState,
    Pending,
    Phase,
    Protocol,
    Reason,
    Recent,
    Reference,
    SessionHealth,
    Side,
    Strategy,
    WorkingOrder,
    XdpAction,
)
from turbo_hft.model.risk import refusal

PRICE = 1_500_000
K = Strategy.THRESHOLD
BUY, SELL = Side.BUY, Side.SELL
BUY_10 = enter(BUY, 10, PRICE)
SELL_10 = enter(SELL, 10, PRICE)
Change = Callable[[Rig], None]
OF_THE_RIG = ("of_account", "of_strategy", "of_symbol", "state")


def reason_of(rig: Rig, intent: Intent = BUY_10, *, shadow: bool = False, epoch: int = 5) -> Reason:
    """What the gate says, without anything being done."""
    decision = Decision(0, K, shadow, intent, 1, NS)
    rig.engine.work.pending = [decision]
    rig.engine.work.frame_len = 0
    before = repr((rig.engine.working, rig.engine.symbols, rig.engine.account, rig.engine.session))
    reason = refusal(rig.engine, decision, epoch)
    assert repr((rig.engine.working, rig.engine.symbols, rig.engine.account, rig.engine.session)) == before
    return reason


def rig_with(*changes: Change) -> Rig:
    rig = Rig()
    for change in changes:
        change(rig)
    return rig


def put(path: str, value: object) -> Change:
    """A change of one attribute, named by its path; ``[0]`` of what there are several of is implied."""

    def change(rig: Rig) -> None:
        owner, _, name = path.partition(".")
        target = getattr(rig if owner in OF_THE_RIG else rig.engine, owner)
        if callable(target):
            target = target()
        setattr(target[0] if isinstance(target, dict | list) else target, name, value)

    return change


def occupy(rig: Rig) -> None:
    rig.engine.working[1] = WorkingOrder(4097, OrderState.LIVE, 0, BUY, 1, 1, 1)
    rig.engine.session.next_user_ref = 1


def sell_open(rig: Rig) -> None:
    """An offer of ours that would meet a buy at PRICE."""
    rig.state.position = 10
    rig.engine.working[9] = WorkingOrder(9, OrderState.LIVE, 0, SELL, PRICE, 1, 1)
    rig.state.open_ref[0] = 9


def repeat(rig: Rig) -> None:
    rig.of_account.duplicate_ns = 1000
    rig.state.recent[3] = Recent(NS - 999, PRICE, 20)


def kill_strategy(rig: Rig) -> None:
    rig.engine.control.strategy_kill[K] = Kill.HALTED


def tighten_collar(rig: Rig) -> None:
    rig.of_symbol.collar_ppm, rig.book.last_e4 = 0, PRICE + 1


def latch_strategy(rig: Rig) -> None:
    rig.engine.account.strategy[K].latched = 1


def fill_frame(rig: Rig) -> None:
    rig.engine.work.sent = [(1, b"")] * 8


# What makes a purchase of 10 at PRICE be refused. BAD_INTENT, SHORT_SALE, SHORT_PRICE, MAX_SHORT, REFS_EXHAUSTED and
# LIMITS_CHANGED cannot be had this way: they have tests of their own.
SPOIL: dict[Reason, Change] = {
    Reason.NOT_CONFIGURED: put("template.protocol", 0),
    Reason.SESSION_DOWN: put("session.health", SessionHealth.SUSPECT),
    Reason.FEED_NOT_LIVE: put("feeds.health", FeedHealth.HOLD),
    Reason.BOOK_QUARANTINED: put("books.health", BookHealth.QUARANTINED),
    Reason.MARKET_CLOSED: put("feeds.phase", Phase.AFTER),
    Reason.NOT_TRADING: put("books.trading_state", ord("P")),
    Reason.BOOK_CROSSED: put("books.best_e4", [PRICE, PRICE]),
    Reason.RESTRICTED: put("of_symbol.restricted", 2),
    Reason.MAX_ORDER_QTY: put("of_symbol.max_order_qty", 9),
    Reason.MAX_NOTIONAL: put("of_symbol.max_notional_e4", PRICE * 10 - 1),
    Reason.NO_REFERENCE: put("of_symbol.reference", Reference.NONE),
    Reason.COLLAR: tighten_collar,
    Reason.MAX_LONG: put("of_symbol.max_long", 9),
    Reason.GROSS_EXPOSURE: put("of_account.max_gross_e4", PRICE * 10 - 1),
    Reason.NET_EXPOSURE: put("of_account.max_net_e4", PRICE * 10 - 1),
    Reason.OPEN_ORDERS: put("of_account.max_open_orders", 0),
    Reason.SELF_TRADE: sell_open,
    Reason.DUPLICATE: repeat,
    Reason.LOSS_LIMIT: put("state.loss_latched", 1),
    Reason.EXECUTIONS: latch_strategy,
    Reason.RATE_SYMBOL: put("of_symbol.burst", 0),
    Reason.RATE_STRATEGY: put("of_strategy.interval_ns", 0),
    Reason.RATE: put("of_account.burst", 0),
    Reason.WORKING_FULL: occupy,
    Reason.NO_ROOM: fill_frame,
    Reason.REDUCING: put("control.kill", Kill.REDUCING),
    Reason.HALTED_SYMBOL: put("params.kill", Kill.HALTED),
    Reason.HALTED_STRATEGY: kill_strategy,
    Reason.HALTED_GLOBAL: put("control.kill", 3),
    Reason.LEASE: put("control.lease_until_ns", NS),
}


def test_nothing_refuses() -> None:
    assert reason_of(Rig()) == Reason.NONE


@pytest.mark.parametrize("reason", SPOIL)
def test_each_refuses_alone(reason: Reason) -> None:
    assert reason_of(rig_with(SPOIL[reason])) == reason


@pytest.mark.parametrize("first", SPOIL)
def test_first_failing_check_is_named(first: Reason) -> None:
    # Two kinds of kill word at once: the last of these changes would undo the one for REDUCING.
    later = [change for reason, change in SPOIL.items() if reason >= first and reason != Reason.HALTED_GLOBAL]
    if first == Reason.HALTED_GLOBAL:
        later.append(SPOIL[first])
    assert reason_of(rig_with(*later)) == first


def test_parameters_that_are_being_stored_refuse() -> None:
    assert reason_of(rig_with(put("control.changing", 1))) == Reason.LIMITS_CHANGED


def test_a_changed_epoch_is_noticed_after_all_but_the_kill_words() -> None:
    rig = rig_with(SPOIL[Reason.REDUCING], SPOIL[Reason.LEASE], put("control.epoch", 7))
    assert reason_of(rig) == Reason.LIMITS_CHANGED
    fill_frame(rig)
    assert reason_of(rig) == Reason.NO_ROOM


# --- template and session --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("protocol", 3),
        ("headers_len", 41),
        ("headers_len", 54),
        ("headers_len", 43),
        ("msg_len", [0, 52, 50, 22]),
        ("msg_len", [0, 50, 43, 0]),
        ("msg_len", [0, 50, 40, 12]),
        ("msg_len", [0, 0, 43, 12]),
    ],
)
def test_template_shapes(field: str, value: object) -> None:
    assert reason_of(rig_with(put(f"template.{field}", value))) == Reason.NOT_CONFIGURED


@pytest.mark.parametrize("tags", [b"", b"\x81\x00\x00\x05", b"\x88\xa8\x00\x05\x81\x00\x00\x06"])
@pytest.mark.parametrize("protocol", [Protocol.OUCH50, Protocol.OUCH42])
def test_good_templates(protocol: Protocol, tags: bytes) -> None:
    rig = Rig()
    rig.engine.template = template(protocol, tags)
    rig.engine.template.msg_len[0] = 99
    assert reason_of(rig) == Reason.NONE


@pytest.mark.parametrize("health", [health for health in SessionHealth if health != SessionHealth.UP])
def test_session_must_be_up(health: SessionHealth) -> None:
    assert reason_of(rig_with(put("session.health", health))) == Reason.SESSION_DOWN
    rig = live()
    rig.engine.session.health = health
    assert reason_of(rig, instead(1, BUY, 10, PRICE)) == Reason.SESSION_DOWN
    suspect = health == SessionHealth.SUSPECT
    assert reason_of(rig, withdraw(1)) == (Reason.NONE if suspect else Reason.SESSION_DOWN)


# --- bad intents, cancels --------------------------------------------------------------------------------------------


def live(qty: int = 100, price_e4: int = PRICE, side: Side = BUY) -> Rig:
    """Order 1 is live."""
    rig = Rig()
    rig.add_symbol(1, "MSFT", 8)
    rig.state.position = qty if side == SELL else 0
    rig.order(enter(side, qty, price_e4))
    rig.reply(accepted50(1, qty, side="B" if side == BUY else "S"))
    assert rig.engine.working[1].state == OrderState.LIVE
    return rig


@pytest.mark.parametrize(
    ("intent", "reason"),
    [
        (Intent(Action.NONE), Reason.BAD_INTENT),
        (Intent(4), Reason.BAD_INTENT),
        (Intent(2**32 - 1), Reason.BAD_INTENT),
        (enter(2, 10, PRICE), Reason.BAD_INTENT),
        (enter(BUY, 10, PRICE, tif=3), Reason.BAD_INTENT),
        (enter(BUY, 10, PRICE, tif=2), Reason.NONE),
        (Intent(Action.ENTER, BUY, PRICE, 10, ref=77), Reason.NONE),
        (instead(0, BUY, 10, PRICE), Reason.BAD_INTENT),
        (instead(2, BUY, 10, PRICE), Reason.BAD_INTENT),
        (instead(4097, BUY, 10, PRICE), Reason.BAD_INTENT),
        (instead(1, SELL, 10, PRICE), Reason.BAD_INTENT),
        (instead(1, 2, 10, PRICE), Reason.BAD_INTENT),
        (instead(1, BUY, 10, PRICE, tif=3), Reason.BAD_INTENT),
        (instead(1, BUY, 10, PRICE), Reason.NONE),
        (withdraw(0), Reason.BAD_INTENT),
        (withdraw(2), Reason.BAD_INTENT),
        (withdraw(1), Reason.NONE),
        (Intent(Action.CANCEL, 9, 0, 0, 1, 9), Reason.NONE),
    ],
)
def test_intents_that_make_no_sense(intent: Intent, reason: Reason) -> None:
    assert reason_of(live(), intent) == reason


@pytest.mark.parametrize("intent", [withdraw(1), instead(1, BUY, 10, PRICE)])
def test_only_a_live_order_of_the_symbol_without_a_question_open_can_be_changed(intent: Intent) -> None:
    for state in OrderState:
        rig = live()
        rig.engine.working[1].state = state
        assert reason_of(rig, intent) == (Reason.NONE if state == OrderState.LIVE else Reason.BAD_INTENT)
    for pending in Pending:
        rig = live()
        rig.engine.working[1].pending = pending
        assert reason_of(rig, intent) == Reason.BAD_INTENT
    rig = live()
    rig.engine.working[1].symbol = 1
    assert reason_of(rig, intent) == Reason.BAD_INTENT


def test_a_cancel_leaves_whatever_else_refuses_but_for_want_of_room() -> None:
    rig = live()
    # Not an order in the place of the one that is canceled.
    others = (Reason.NOT_CONFIGURED, Reason.SESSION_DOWN, Reason.NO_ROOM, Reason.WORKING_FULL)
    for reason, change in SPOIL.items():
        if reason not in others:
            change(rig)
    assert reason_of(rig, withdraw(1)) == Reason.NONE
    fill_frame(rig)
    assert reason_of(rig, withdraw(1)) == Reason.NO_ROOM
    assert reason_of(rig, withdraw(1), shadow=True) == Reason.NONE


# --- market ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("health", [FeedHealth.IDLE, FeedHealth.HOLD, FeedHealth.GAP, FeedHealth.ENDED])
def test_feed_must_be_live(health: FeedHealth) -> None:
    assert reason_of(rig_with(put("feeds.health", health))) == Reason.FEED_NOT_LIVE


def test_another_feed_does_not_matter() -> None:
    rig = Rig()
    rig.engine.feeds[1].health, rig.engine.feeds[1].phase = FeedHealth.GAP, Phase.CLOSED
    assert reason_of(rig) == Reason.NONE


@pytest.mark.parametrize("health", [BookHealth.QUARANTINED, BookHealth.CLEARING, BookHealth.INSTALLING])
def test_book_must_be_ok(health: BookHealth) -> None:
    assert reason_of(rig_with(put("books.health", health))) == Reason.BOOK_QUARANTINED


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase != Phase.MARKET])
def test_market_must_be_open(phase: Phase) -> None:
    assert reason_of(rig_with(put("feeds.phase", phase))) == Reason.MARKET_CLOSED


def test_a_market_wide_breaker_closes() -> None:
    assert reason_of(rig_with(put("feeds.breaker", ord("1")))) == Reason.MARKET_CLOSED


@pytest.mark.parametrize(
    ("state", "halted", "reason"),
    [
        (0, 0, Reason.NOT_TRADING),
        (ord("H"), 0, Reason.NOT_TRADING),
        (ord("P"), 0, Reason.NOT_TRADING),
        (ord("Q"), 0, Reason.NOT_TRADING),
        (ord("T"), 1, Reason.NOT_TRADING),
        (ord("T"), 0, Reason.NONE),
    ],
)
def test_symbol_must_trade(state: int, halted: int, reason: Reason) -> None:
    assert reason_of(rig_with(put("books.trading_state", state), put("books.operational_halt", halted))) == reason


@pytest.mark.parametrize(
    ("bid", "ask", "reason"),
    [
        (PRICE, PRICE + 1, Reason.NONE),
        (PRICE, PRICE, Reason.BOOK_CROSSED),
        (PRICE + 1, PRICE, Reason.BOOK_CROSSED),
        (PRICE, 0, Reason.NONE),
        (0, PRICE, Reason.NONE),
    ],
)
def test_book_must_not_be_crossed(bid: int, ask: int, reason: Reason) -> None:
    assert reason_of(rig_with(put("books.best_e4", [bid, ask]))) == reason


# --- sizes, prices ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("price_e4", "qty", "reason"),
    [
        (1, 0, Reason.QTY_RANGE),
        (0, 1_000_000, Reason.QTY_RANGE),
        (0, 1, Reason.PRICE_RANGE),
        (1_999_999_901, 999_999, Reason.PRICE_RANGE),
        (1_999_999_900, 999_999, Reason.NONE),
        (1, 1, Reason.NONE),
    ],
)
def test_ouch_ranges(price_e4: int, qty: int, reason: Reason) -> None:
    rig = rig_with(
        put("of_symbol.max_order_qty", 2**64 - 1),
        put("of_symbol.max_notional_e4", 2**64 - 1),
        put("of_symbol.max_long", 2**64 - 1),
    )
    assert reason_of(rig, enter(BUY, qty, price_e4)) == reason


def test_a_replacement_counts_what_its_chain_has_executed() -> None:
    rig = live()
    rig.of_symbol.max_order_qty = rig.of_account.max_order_qty = rig.of_strategy().max_order_qty = 10**6
    rig.of_symbol.max_long = 10**7
    rig.engine.working[1].chain_qty, rig.engine.working[1].filled_qty = 10, 5
    assert reason_of(rig, instead(1, BUY, 999_984, PRICE)) == Reason.NONE
    assert reason_of(rig, instead(1, BUY, 999_985, PRICE)) == Reason.QTY_RANGE


@pytest.mark.parametrize("owner", ["of_account", "of_strategy", "of_symbol"])
def test_size_limits_of_all_three_are_inclusive(owner: str) -> None:
    assert reason_of(rig_with(put(f"{owner}.max_order_qty", 10))) == Reason.NONE
    assert reason_of(rig_with(put(f"{owner}.max_order_qty", 9))) == Reason.MAX_ORDER_QTY
    assert reason_of(rig_with(put(f"{owner}.max_notional_e4", PRICE * 10))) == Reason.NONE
    assert reason_of(rig_with(put(f"{owner}.max_notional_e4", PRICE * 10 - 1))) == Reason.MAX_NOTIONAL


@pytest.mark.parametrize(
    ("reference", "best", "last", "at", "age", "reason"),
    [
        (Reference.LAST, [0, 0], PRICE, NS, 0, Reason.NONE),
        (Reference.LAST, [0, 0], PRICE, NS - 5, 5, Reason.NONE),
        (Reference.LAST, [0, 0], PRICE, NS - 6, 5, Reason.NO_REFERENCE),
        (Reference.LAST, [0, 0], PRICE, NS + 1, 2**64 - 1, Reason.NO_REFERENCE),
        (Reference.LAST, [PRICE - 1, PRICE + 1], 0, NS, 5, Reason.NO_REFERENCE),
        (Reference.MID, [PRICE - 1, PRICE + 1], 0, NS, 0, Reason.NONE),
        (Reference.MID, [PRICE - 1, PRICE + 1], 0, NS - 6, 5, Reason.NO_REFERENCE),
        (Reference.MID, [PRICE - 1, PRICE + 1], 0, NS + 1, 5, Reason.NO_REFERENCE),
        (Reference.MID, [0, PRICE], PRICE, NS, 5, Reason.NO_REFERENCE),
        (Reference.MID, [PRICE, 0], PRICE, NS, 5, Reason.NO_REFERENCE),
        (3, [PRICE - 1, PRICE + 1], PRICE, NS, 5, Reason.NO_REFERENCE),
        (2**32 + 1, [PRICE - 1, PRICE + 1], PRICE, NS, 5, Reason.NO_REFERENCE),
    ],
)
def test_a_collar_needs_a_fresh_price(
    reference: int, best: list[int], last: int, at: int, age: int, reason: Reason
) -> None:
    rig = rig_with(
        put("books.best_e4", best),
        put("books.last_e4", last),
        put("books.last_ns", at),
        put("books.exchange_ns", at),
        put("of_symbol.reference", reference),
        put("of_symbol.reference_age_ns", age),
    )
    assert reason_of(rig) == reason


@pytest.mark.parametrize(
    ("price_e4", "reference_e4", "ppm", "reason"),
    [
        (1_010_000, 1_000_000, 10_000, Reason.NONE),
        (1_010_001, 1_000_000, 10_000, Reason.COLLAR),
        (990_000, 1_000_000, 10_000, Reason.NONE),
        (989_999, 1_000_000, 10_000, Reason.COLLAR),
        (1_000_000, 1_000_000, 0, Reason.NONE),
        (1_000_001, 1_000_000, 0, Reason.COLLAR),
        (4295, 1, 2**64 - 1, Reason.NONE),
        (4296, 1, 2**64 - 1, Reason.COLLAR),
    ],
)
def test_collar(price_e4: int, reference_e4: int, ppm: int, reason: Reason) -> None:
    rig = rig_with(put("books.last_e4", reference_e4), put("of_symbol.collar_ppm", ppm))
    assert reason_of(rig, enter(BUY, 1, price_e4)) == reason


def test_collar_around_the_middle_rounded_down() -> None:
    rig = rig_with(put("of_symbol.reference", Reference.MID), put("of_symbol.collar_ppm", 0))
    rig.book.best_e4 = [PRICE, PRICE + 3]
    assert reason_of(rig, enter(BUY, 1, PRICE + 1)) == Reason.NONE
    assert reason_of(rig, enter(BUY, 1, PRICE + 2)) == Reason.COLLAR


# --- short sales and position limits ---------------------------------------------------------------------------------


def stand(position: int, opens: tuple[int, int] = (0, 0), **limits: int) -> Rig:
    rig = Rig()
    rig.state.position, rig.state.open_qty = position, list(opens)
    for name, value in limits.items():
        setattr(rig.of_symbol, name, value)
    return rig


@pytest.mark.parametrize(
    ("position", "offered", "short_ok", "reason"),
    [
        (10, 0, 0, Reason.NONE),
        (9, 0, 0, Reason.SHORT_SALE),
        (15, 6, 0, Reason.SHORT_SALE),
        (16, 6, 0, Reason.NONE),
        (-5, 0, 0, Reason.SHORT_SALE),
        (-5, 0, 1, Reason.NONE),
        (-5, 0, 2, Reason.SHORT_SALE),
    ],
)
def test_short_sale(position: int, offered: int, short_ok: int, reason: Reason) -> None:
    assert reason_of(stand(position, (0, offered), short_ok=short_ok, max_short=500), SELL_10) == reason


def test_a_replacement_may_be_short_only_if_its_original_was() -> None:
    rig = live(10, side=SELL)
    rig.of_symbol.short_ok, rig.of_symbol.max_short = 1, 500
    assert reason_of(rig, instead(1, SELL, 10, PRICE)) == Reason.NONE
    assert reason_of(rig, instead(1, SELL, 11, PRICE)) == Reason.SHORT_SALE
    rig.engine.working[1].short_sale = 1
    assert reason_of(rig, instead(1, SELL, 11, PRICE)) == Reason.NONE


@pytest.mark.parametrize(
    ("sho", "position", "bid", "reason"),
    [
        ("1", 0, PRICE, Reason.SHORT_PRICE),
        ("2", 0, PRICE + 1, Reason.SHORT_PRICE),
        ("1", 0, PRICE - 1, Reason.NONE),
        ("1", 0, 0, Reason.NONE),
        ("0", 0, PRICE, Reason.NONE),
        ("\0", 0, PRICE, Reason.NONE),
        ("1", 10, PRICE, Reason.NONE),
    ],
)
def test_short_price(sho: str, position: int, bid: int, reason: Reason) -> None:
    rig = stand(position, short_ok=1, max_short=500)
    rig.book.reg_sho, rig.book.best_e4 = ord(sho), [bid, 0]
    assert reason_of(rig, SELL_10) == reason


@pytest.mark.parametrize(
    ("position", "opens", "qty", "limit", "reason"),
    [
        (95, 0, 10, 100, Reason.MAX_LONG),
        (90, 0, 10, 100, Reason.NONE),
        (80, 10, 10, 100, Reason.NONE),
        (80, 11, 10, 100, Reason.MAX_LONG),
        (500, 0, 1, 100, Reason.MAX_LONG),
        (-500, 0, 600, 100, Reason.NONE),
        (-500, 0, 601, 100, Reason.MAX_LONG),
        (10**9, 0, 1, 2**63, Reason.MAX_LONG),
        (10**9 - 1, 0, 1, 2**63, Reason.NONE),
    ],
)
def test_max_long(position: int, opens: int, qty: int, limit: int, reason: Reason) -> None:
    assert reason_of(stand(position, (opens, 0), max_long=limit), enter(BUY, qty, PRICE)) == reason


@pytest.mark.parametrize(
    ("position", "opens", "qty", "limit", "reason"),
    [
        (0, 0, 100, 100, Reason.NONE),
        (0, 0, 101, 100, Reason.MAX_SHORT),
        (50, 0, 151, 100, Reason.MAX_SHORT),
        (-90, 5, 6, 100, Reason.MAX_SHORT),
        (-90, 5, 5, 100, Reason.NONE),
        (500, 0, 500, 0, Reason.NONE),
        (-(10**9) + 1, 0, 2, 2**64 - 1, Reason.MAX_SHORT),
    ],
)
def test_max_short(position: int, opens: int, qty: int, limit: int, reason: Reason) -> None:
    rig = stand(position, (0, opens), max_short=limit, short_ok=1)
    assert reason_of(rig, enter(SELL, qty, PRICE)) == reason


def test_limits_do_not_count_what_is_replaced() -> None:
    rig = live(100)
    rig.of_symbol.max_long = 120
    assert reason_of(rig, enter(BUY, 21, PRICE)) == Reason.MAX_LONG
    assert reason_of(rig, instead(1, BUY, 120, PRICE)) == Reason.NONE
    assert reason_of(rig, instead(1, BUY, 121, PRICE)) == Reason.MAX_LONG


# --- exposure --------------------------------------------------------------------------------------------------------


def test_gross_exposure_is_of_positions_and_open_orders_of_both_sides() -> None:
    rig = Rig()
    account = rig.engine.account
    account.gross_e4, account.open_e4, account.net_e4 = 100, [20, 3], -100
    rig.of_account.max_gross_e4 = 123 + 10 * PRICE
    assert reason_of(rig) == Reason.NONE
    account.open_e4[1] += 1
    assert reason_of(rig) == Reason.GROSS_EXPOSURE


@pytest.mark.parametrize(
    ("side", "net", "limit", "reason"),
    [
        (BUY, 100, 120 + 10 * PRICE, Reason.NONE),
        (BUY, 101, 120 + 10 * PRICE, Reason.NET_EXPOSURE),
        (SELL, -100, 103 + 10 * PRICE, Reason.NONE),
        (SELL, -101, 103 + 10 * PRICE, Reason.NET_EXPOSURE),
        (BUY, -(10**12), 0, Reason.NONE),
        (BUY, 2**62, 2**64 - 1, Reason.NONE),
    ],
)
def test_net_exposure_with_the_open_orders_of_the_side(side: Side, net: int, limit: int, reason: Reason) -> None:
    rig = stand(-10 if side == BUY else 10, (1, 1), short_ok=1, max_short=500)
    rig.engine.account.net_e4, rig.engine.account.open_e4 = net, [20, 3]
    rig.of_account.max_net_e4 = limit
    assert reason_of(rig, enter(side, 10, PRICE)) == reason


@pytest.mark.parametrize(
    ("position", "opens", "side", "qty", "free"),
    [
        (-10, 0, BUY, 10, True),
        (-10, 0, BUY, 11, False),
        (-10, 1, BUY, 10, False),
        (-10, 1, BUY, 9, True),
        (10, 0, SELL, 10, True),
        (10, 1, SELL, 10, False),
        (10, 0, BUY, 1, False),
        (0, 0, BUY, 1, False),
        (-10, 0, SELL, 1, False),
    ],
)
def test_what_reduces_is_free_of_exposure_loss_and_kill_state(
    position: int, opens: int, side: Side, qty: int, free: bool
) -> None:
    def at(*, gross: int = 2**62, net: int = 2**62, latched: int = 0, kill: int = Kill.ACTIVE) -> Reason:
        rig = stand(position, (opens, 0) if side == BUY else (0, opens), short_ok=1, max_short=500)
        rig.of_account.max_gross_e4, rig.of_account.max_net_e4 = gross, net
        rig.engine.account.loss_latched, rig.engine.control.kill = latched, kill
        return reason_of(rig, enter(side, qty, PRICE))

    assert at() == Reason.NONE
    assert at(gross=0) == (Reason.NONE if free else Reason.GROSS_EXPOSURE)
    assert at(net=0) == (Reason.NONE if free else Reason.NET_EXPOSURE)
    assert at(latched=1) == (Reason.NONE if free else Reason.LOSS_LIMIT)
    assert at(kill=Kill.REDUCING) == (Reason.NONE if free else Reason.REDUCING)


def test_exposure_does_not_count_what_is_replaced() -> None:
    rig = live(100)
    rig.of_account.max_gross_e4 = rig.of_account.max_net_e4 = 100 * PRICE
    assert reason_of(rig, enter(BUY, 1, PRICE)) == Reason.GROSS_EXPOSURE
    assert reason_of(rig, instead(1, BUY, 100, PRICE)) == Reason.NONE
    assert reason_of(rig, instead(1, BUY, 100, PRICE + 1)) == Reason.GROSS_EXPOSURE
    rig.of_account.max_gross_e4 = 2**62
    assert reason_of(rig, instead(1, BUY, 100, PRICE + 1)) == Reason.NET_EXPOSURE


# --- open orders, ourselves, repetition ------------------------------------------------------------------------------


def test_open_orders_of_symbol_strategy_and_account() -> None:
    rig = Rig()
    rig.of_symbol.max_open_orders = rig.of_strategy().max_open_orders = rig.of_account.max_open_orders = 2
    for counts in (rig.state, rig.engine.account.strategy[K], rig.engine.account):
        counts.open_orders = 1
        assert reason_of(rig) == Reason.NONE
        counts.open_orders = 2
        assert reason_of(rig) == Reason.OPEN_ORDERS
        counts.open_orders = 0
    assert rig.engine.account.strategy[Strategy.QUOTER].open_orders == 0


def test_eight_open_orders_of_a_symbol_whatever_the_limit_says() -> None:
    rig = Rig()
    rig.of_symbol.max_open_orders = 2**64 - 1
    rig.state.open_orders = 7
    assert reason_of(rig) == Reason.NONE
    rig.state.open_orders = 8
    assert reason_of(rig) == Reason.OPEN_ORDERS


def test_a_replacement_needs_a_place_but_no_limit() -> None:
    rig = live()
    rig.of_symbol.max_open_orders = 0
    rig.of_account.max_open_orders = rig.of_strategy().max_open_orders = 0
    assert reason_of(rig, instead(1, BUY, 10, PRICE)) == Reason.NONE
    rig.state.open_orders = 8
    assert reason_of(rig, instead(1, BUY, 10, PRICE)) == Reason.OPEN_ORDERS


@pytest.mark.parametrize(
    ("theirs", "price", "ours", "reason"),
    [
        (SELL, PRICE, BUY_10, Reason.SELF_TRADE),
        (SELL, PRICE - 1, BUY_10, Reason.SELF_TRADE),
        (SELL, PRICE + 1, BUY_10, Reason.NONE),
        (BUY, PRICE, BUY_10, Reason.NONE),
        (BUY, PRICE, SELL_10, Reason.SELF_TRADE),
        (BUY, PRICE + 1, SELL_10, Reason.SELF_TRADE),
        (BUY, PRICE - 1, SELL_10, Reason.NONE),
        (SELL, PRICE, SELL_10, Reason.NONE),
    ],
)
@pytest.mark.parametrize("state", [OrderState.SENT, OrderState.LIVE])
def test_self_trade(theirs: Side, price: int, ours: Intent, reason: Reason, state: OrderState) -> None:
    rig = stand(50)
    rig.engine.working[9] = WorkingOrder(9, state, 0, theirs, price, 1, 1)
    rig.state.open_ref[7] = 9
    assert reason_of(rig, ours) == reason


@pytest.mark.parametrize(
    ("within", "recent", "reason"),
    [
        (0, Recent(NS, PRICE, 20), Reason.NONE),
        (10, Recent(NS - 9, PRICE, 20), Reason.DUPLICATE),
        (10, Recent(NS - 10, PRICE, 20), Reason.NONE),
        (10, Recent(NS, PRICE + 1, 20), Reason.NONE),
        (10, Recent(NS, PRICE, 21), Reason.NONE),
        (10, Recent(NS, PRICE, 22), Reason.NONE),
        (2**64 - 1, Recent(1, PRICE, 20), Reason.DUPLICATE),
        (2**64 - 1, Recent(0, PRICE, 20), Reason.NONE),
        (10, Recent(NS + 500, PRICE, 20), Reason.DUPLICATE),
    ],
)
def test_duplicates(within: int, recent: Recent, reason: Reason) -> None:
    rig = rig_with(put("of_account.duplicate_ns", within))
    rig.state.recent[5] = recent
    assert reason_of(rig) == reason


# --- latches, throttles ----------------------------------------------------------------------------------------------


def test_latches_refuse() -> None:
    rig = Rig()
    rig.state.loss_latched = 1
    assert reason_of(rig) == Reason.LOSS_LIMIT
    rig.state.loss_latched, rig.engine.account.loss_latched = 0, 1
    assert reason_of(rig) == Reason.LOSS_LIMIT
    rig.engine.account.loss_latched = 0
    rig.engine.account.strategy[Strategy.QUOTER].latched = 1
    assert reason_of(rig) == Reason.NONE
    rig.engine.account.strategy[K].latched = 1
    assert reason_of(rig) == Reason.EXECUTIONS
    rig.state.position = -10
    assert reason_of(rig) == Reason.EXECUTIONS


THROTTLED: dict[str, Reason] = {
    "of_symbol": Reason.RATE_SYMBOL,
    "of_strategy": Reason.RATE_STRATEGY,
    "of_account": Reason.RATE,
}


@pytest.mark.parametrize("owner", THROTTLED)
@pytest.mark.parametrize(
    ("interval", "burst", "ahead", "passes"),
    [
        (0, 5, 0, False),
        (5, 0, 0, False),
        (10, 1, 0, True),
        (10, 1, 1, False),
        (10, 1, -NS, True),
        (10, 3, 20, True),
        (10, 3, 21, False),
        (2**64 - 1, 2, 2**40, True),
        (2**64 - 1, 2, 2**40 + 1, False),
        (1, 2**64 - 1, 2**20 - 1, True),
        (1, 2**64 - 1, 2**20, False),
    ],
)
def test_throttle(owner: str, interval: int, burst: int, ahead: int, passes: bool) -> None:
    rig = rig_with(put(f"{owner}.interval_ns", interval), put(f"{owner}.burst", burst))
    account = rig.engine.account
    state = {"of_symbol": rig.state, "of_strategy": account.strategy[K], "of_account": account}[owner]
    state.tat_ns = NS + ahead  # type: ignore[attr-defined]
    assert reason_of(rig) == (Reason.NONE if passes else THROTTLED[owner])


def test_a_message_that_leaves_spends_in_all_three_and_a_cancel_does_not() -> None:
    rig = Rig()
    account, manual = rig.engine.account, Strategy.MANUAL
    rig.of_symbol.interval_ns, rig.of_strategy(manual).interval_ns, rig.of_account.interval_ns = 2, 3, 5
    rig.order(BUY_10)
    assert (rig.state.tat_ns, account.strategy[manual].tat_ns, account.tat_ns) == (NS + 2, NS + 3, NS + 5)
    rig.reply(accepted50(1, 10))
    rig.order(instead(1, BUY, 11, PRICE))
    assert (rig.state.tat_ns, account.strategy[manual].tat_ns, account.tat_ns) == (NS + 4, NS + 6, NS + 10)
    rig.order(enter(BUY, 5, PRICE - 1))
    rig.reply(accepted50(3, 5))
    before = rig.state.tat_ns, account.strategy[manual].tat_ns, account.tat_ns
    assert kinds(rig.order(withdraw(3))) == [EventKind.CANCEL_SENT]
    assert (rig.state.tat_ns, account.strategy[manual].tat_ns, account.tat_ns) == before


def test_a_burst_leaves_at_once_and_then_at_the_sustained_rate() -> None:
    rig = Rig(clock=Clock.MONOTONIC)
    rig.of_account.interval_ns, rig.of_account.burst = 100, 3
    passed = [kinds(rig.order(enter(BUY, 1, PRICE), now_ns=1000))[0] == EventKind.ORDER for _ in range(4)]
    assert passed == [True, True, True, False]
    assert rig.order(BUY_10, now_ns=1099).events[0].reason == Reason.RATE
    assert kinds(rig.order(BUY_10, now_ns=1100)) == [EventKind.ORDER]


# --- numbers, room ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", OrderState)
def test_working_slot_of_the_next_number(state: OrderState) -> None:
    rig = rig_with(occupy)
    rig.engine.working[1].state = state
    reason = Reason.WORKING_FULL if state in (OrderState.SENT, OrderState.LIVE) else Reason.NONE
    assert reason_of(rig) == reason
    rig.engine.session.next_user_ref = 0
    assert reason_of(rig) == reason


def test_last_number_is_never_used() -> None:
    rig = rig_with(put("session.next_user_ref", 2**32 - 2))
    assert reason_of(rig) == Reason.NONE
    rig.engine.session.next_user_ref += 1
    fill_frame(rig)
    assert reason_of(rig) == Reason.REFS_EXHAUSTED
    assert reason_of(rig, shadow=True) == Reason.REFS_EXHAUSTED


def test_room_for_all_that_is_pending_but_shadows() -> None:
    rig = Rig()
    decisions = [Decision(0, K, number % 2 == 0, BUY_10, 1, NS) for number in range(8)]
    rig.engine.work.pending, rig.engine.work.frame_len = decisions, 0
    rig.engine.config.room = 42 + 4 * 50
    assert refusal(rig.engine, decisions[1], 5) == Reason.NONE
    rig.engine.work.sent = [(1, bytes(50))] * 3
    assert refusal(rig.engine, decisions[1], 5) == Reason.NONE
    rig.engine.config.room -= 1
    assert refusal(rig.engine, decisions[1], 5) == Reason.NO_ROOM
    rig.engine.work.frame_len = 42 + 4 * 50
    assert refusal(rig.engine, decisions[1], 5) == Reason.NONE


def test_a_frame_that_cannot_grow_carries_what_fits() -> None:
    """A driver without room for two orders still sends the first."""
    rig = Rig()
    decisions = [Decision(0, K, False, BUY_10, 1, NS)] * 2
    rig.engine.work.pending, rig.engine.work.frame_len = decisions, 42 + 20
    rig.engine.config.room = 42 + 49
    assert refusal(rig.engine, decisions[0], 5) == Reason.NO_ROOM
    rig.engine.config.room = 42 + 60
    assert refusal(rig.engine, decisions[0], 5) == Reason.NONE
    rig.engine.work.sent = [(1, bytes(50))]
    assert refusal(rig.engine, decisions[1], 5) == Reason.NO_ROOM
    rig.engine.work.frame_len = 42 + 100
    assert refusal(rig.engine, decisions[1], 5) == Reason.NONE


def test_room_is_for_eight_at_most() -> None:
    rig = Rig()
    decisions = [Decision(0, K, False, BUY_10, 1, NS)] * 20
    rig.engine.work.pending, rig.engine.work.frame_len = decisions, 0
    rig.engine.config.room = 42 + 8 * 50
    assert refusal(rig.engine, decisions[0], 5) == Reason.NONE
    rig.engine.work.sent = [(1, b"")] * 7
    assert refusal(rig.engine, decisions[0], 5) == Reason.NONE
    rig.engine.work.sent = [(1, b"")] * 8
    assert refusal(rig.engine, decisions[0], 5) == Reason.NO_ROOM


# --- epochs, kill words, lease ---------------------------------------------------------------------------------------


def test_the_epoch_chooses_the_set_of_limits() -> None:
    rig = Rig()
    rig.engine.control.epoch = 6
    assert reason_of(rig, epoch=6) == Reason.MAX_ORDER_QTY
    rig.engine.limits[0].account, rig.engine.limits[0].strategy = rig.engine.limits[1].account, []
    rig.engine.limits[0].strategy = rig.engine.limits[1].strategy
    rig.engine.symbol_limits[0][0] = rig.engine.symbol_limits[1][0]
    assert reason_of(rig, epoch=6) == Reason.NONE
    rig.engine.control.epoch = 2**64 - 2
    assert reason_of(rig, epoch=2**64 - 2) == Reason.NONE


@pytest.mark.parametrize("word", [0, 3, 257, 2**32 + 1, 2**64 - 1])
def test_what_is_no_kill_state_halts(word: int) -> None:
    assert reason_of(rig_with(put("params.kill", word))) == Reason.HALTED_SYMBOL
    assert reason_of(rig_with(put("control.kill", word))) == Reason.HALTED_GLOBAL
    rig = Rig()
    rig.engine.control.strategy_kill[K] = word
    assert reason_of(rig) == Reason.HALTED_STRATEGY


def test_reducing_of_any_of_the_three() -> None:
    for set_kill in (put("params.kill", 2), put("control.kill", 2)):
        rig = rig_with(set_kill)
        assert reason_of(rig) == Reason.REDUCING
        rig.state.position = -10
        assert reason_of(rig) == Reason.NONE
    rig = Rig()
    rig.engine.control.strategy_kill[K] = Kill.REDUCING
    assert reason_of(rig) == Reason.REDUCING
    rig.engine.control.kill = Kill.HALTED
    assert reason_of(rig) == Reason.REDUCING
    rig.state.position = -10
    assert reason_of(rig) == Reason.HALTED_GLOBAL


def test_lease_by_the_clock_of_the_gate() -> None:
    assert reason_of(rig_with(put("control.lease_until_ns", NS + 1))) == Reason.NONE
    assert reason_of(rig_with(put("control.lease_until_ns", NS))) == Reason.LEASE
    rig = Rig(clock=Clock.MONOTONIC)
    rig.engine.control.lease_until_ns = 100
    assert kinds(rig.order(BUY_10, now_ns=99)) == [EventKind.ORDER]
    assert rig.order(enter(BUY, 5, PRICE), now_ns=100).events[0].reason == Reason.LEASE


# --- what a refusal leaves behind ------------------------------------------------------------------------------------


def test_refusal_is_counted_reported_and_changes_nothing() -> None:
    rig = Rig()
    rig.engine.params[0].kill = Kill.HALTED
    rig.engine.params[0].buy_below_e4 = PRICE
    outcome = rig.feed(add(1, "S", 10, PRICE, ns=NS + 7))
    (event,) = outcome.events
    assert outcome.verdict == XdpAction.DROP
    assert kinds(outcome) == [EventKind.REFUSED]
    assert (event.reason, event.symbol, event.side, event.price_e4, event.qty) == (
        Reason.HALTED_SYMBOL,
        0,
        BUY,
        PRICE,
        100,
    )
    assert (event.user_ref, event.open_qty, event.feed_seq, event.exchange_ns, event.epoch) == (0, 0, 4, NS + 7, 5)
    assert (event.bid_e4, event.ask_e4, event.position, event.strategy) == (0, PRICE, 0, K)
    assert rig.engine.refused[Reason.HALTED_SYMBOL] == sum(rig.engine.refused.values()) == 1
    assert (rig.engine.counter["intents"], rig.engine.counter["orders"]) == (1, 0)
    assert rig.engine.working == {}
    assert rig.engine.session.next_user_ref == 0
    assert rig.state.tat_ns == rig.engine.account.tat_ns == 0


def test_a_refusal_says_what_the_intent_says() -> None:
    rig = live()
    outcome = rig.order(withdraw(2))
    assert (outcome.verdict, kinds(outcome)) == (XdpAction.ABORTED, [EventKind.REFUSED])
    event = outcome.events[0]
    assert (event.reason, event.user_ref, event.price_e4, event.qty) == (Reason.BAD_INTENT, 0, 0, 0)
    assert (event.other_ref, event.strategy) == (2, Strategy.MANUAL)
    (event,) = rig.order(instead(7, SELL, 5, 3)).events
    assert (event.other_ref, event.side, event.qty, event.price_e4) == (7, SELL, 5, 3)
    (event,) = rig.order(Intent(Action.ENTER, BUY, 0, 5, ref=7)).events
    assert event.other_ref == 0


def test_decisions_are_told_after_all_of_them_and_after_latches() -> None:
    rig = Rig()
    rig.add_symbol(1, "MSFT", 8)
    for params in rig.engine.params.values():
        params.buy_below_e4 = PRICE
    rig.engine.symbol_limits[1][1].max_loss_e4 = 0
    outcome = rig.feed(add(1, "S", 10, PRICE), add(2, "S", 10, PRICE, name="MSFT", locate=8))
    assert kinds(outcome) == [EventKind.LATCHED, EventKind.ORDER, EventKind.REFUSED]


def test_exposure_follows_fills() -> None:
    rig = Rig()
    rig.feed(add(50, "B", 10, PRICE))
    rig.order(enter(BUY, 100, PRICE))
    account = rig.engine.account
    assert (account.open_e4, account.net_e4) == ([100 * PRICE, 0], 0)
    rig.reply(accepted50(1, 100), executed50(1, 40, PRICE))
    assert (account.open_e4, account.net_e4, account.gross_e4) == ([60 * PRICE, 0], 40 * PRICE, 40 * PRICE)
