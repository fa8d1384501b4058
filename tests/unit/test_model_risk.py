"""Rule 6: every check of the gate refuses, in its order, and passes at its edge."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from model_bytes import NS, Rig, add, kinds, template
from turbo_hft.model import (
    BookHealth,
    Clock,
    EventKind,
    FeedHealth,
    Kill,
    ModelEngine,
    OrderState,
    Phase,
    Protocol,
    Reason,
    SessionHealth,
    Side,
    WorkingOrder,
    XdpAction,
)
from turbo_hft.model.risk import refusal
from turbo_hft.model.state import Intent

PRICE = 1_000_000


def occupy(engine: ModelEngine) -> None:
    engine.working[1] = WorkingOrder(4097, OrderState.LIVE, 0, Side.BUY, 1, 1, 1)
    engine.session.next_user_ref = 1


def put(path: str, value: object) -> Callable[[ModelEngine], None]:
    """A change of one attribute, named by its path; ``[0]`` of what there are several of is implied."""

    def change(engine: ModelEngine) -> None:
        owner, _, name = path.partition(".")
        target = getattr(engine, owner)
        setattr(target[0] if isinstance(target, dict | list) else target, name, value)

    return change


SPOIL: dict[Reason, Callable[[ModelEngine], None]] = {
    Reason.NOT_CONFIGURED: put("template.protocol", 0),
    Reason.SESSION_DOWN: put("session.health", SessionHealth.SUSPECT),
    Reason.FEED_NOT_LIVE: put("feeds.health", FeedHealth.HOLD),
    Reason.BOOK_QUARANTINED: put("books.health", BookHealth.QUARANTINED),
    Reason.MARKET_CLOSED: put("feeds.phase", Phase.AFTER),
    Reason.NOT_TRADING: put("books.trading_state", ord("P")),
    Reason.BOOK_CROSSED: put("books.best_e4", [PRICE, PRICE]),
    Reason.IN_FLIGHT: put("symbols.working_ref", 9),
    Reason.MAX_ORDER_QTY: put("params.max_order_qty", 9),
    Reason.MAX_NOTIONAL: put("params.max_notional_e4", PRICE * 10 - 1),
    Reason.MAX_POSITION: put("params.max_position", 9),
    Reason.ORDER_RATE: put("control.max_orders_per_second", 0),
    Reason.WORKING_FULL: occupy,
    Reason.NO_ROOM: put("config.room", 0),
    Reason.HALTED_SYMBOL: put("params.kill", Kill.HALTED),
    Reason.HALTED_GLOBAL: put("control.kill", Kill.HALTED),
}
BUY_10 = Intent(Side.BUY, PRICE, 10)


def engine_with(*changes: Callable[[ModelEngine], None]) -> ModelEngine:
    engine = Rig().engine
    engine.work.frame_len = 0
    for change in changes:
        change(engine)
    return engine


def test_nothing_refuses() -> None:
    assert refusal(engine_with(), 0, BUY_10) == Reason.NONE


@pytest.mark.parametrize("reason", SPOIL)
def test_each_refuses_alone(reason: Reason) -> None:
    assert refusal(engine_with(SPOIL[reason]), 0, BUY_10) == reason


@pytest.mark.parametrize("first", SPOIL)
def test_first_failing_check_is_named(first: Reason) -> None:
    later = [change for reason, change in SPOIL.items() if reason >= first]
    assert refusal(engine_with(*later), 0, BUY_10) == first


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("protocol", 3),
        ("headers_len", 41),
        ("headers_len", 54),
        ("headers_len", 43),
        ("msg_len", 52),
        ("msg_len", 0),
    ],
)
def test_template_shapes(field: str, value: int) -> None:
    assert refusal(engine_with(put(f"template.{field}", value)), 0, BUY_10) == Reason.NOT_CONFIGURED


@pytest.mark.parametrize("tags", [b"", b"\x81\x00\x00\x05", b"\x88\xa8\x00\x05\x81\x00\x00\x06"])
@pytest.mark.parametrize("protocol", [Protocol.OUCH50, Protocol.OUCH42])
def test_good_templates(protocol: Protocol, tags: bytes) -> None:
    engine = engine_with()
    engine.template = template(protocol, tags)
    assert refusal(engine, 0, BUY_10) == Reason.NONE


@pytest.mark.parametrize("health", [SessionHealth.DOWN, SessionHealth.ENDED, SessionHealth.SUSPECT])
def test_session_must_be_up(health: SessionHealth) -> None:
    assert refusal(engine_with(put("session.health", health)), 0, BUY_10) == Reason.SESSION_DOWN


@pytest.mark.parametrize("health", [FeedHealth.IDLE, FeedHealth.HOLD, FeedHealth.GAP, FeedHealth.ENDED])
def test_feed_must_be_live(health: FeedHealth) -> None:
    assert refusal(engine_with(put("feeds.health", health)), 0, BUY_10) == Reason.FEED_NOT_LIVE


def test_another_feed_does_not_matter() -> None:
    engine = engine_with()
    engine.feeds[1].health, engine.feeds[1].phase = FeedHealth.GAP, Phase.CLOSED
    assert refusal(engine, 0, BUY_10) == Reason.NONE


@pytest.mark.parametrize("health", [BookHealth.QUARANTINED, BookHealth.CLEARING, BookHealth.INSTALLING])
def test_book_must_be_ok(health: BookHealth) -> None:
    assert refusal(engine_with(put("books.health", health)), 0, BUY_10) == Reason.BOOK_QUARANTINED


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase != Phase.MARKET])
def test_market_must_be_open(phase: Phase) -> None:
    assert refusal(engine_with(put("feeds.phase", phase)), 0, BUY_10) == Reason.MARKET_CLOSED


def test_a_market_wide_breaker_closes() -> None:
    assert refusal(engine_with(put("feeds.breaker", ord("1"))), 0, BUY_10) == Reason.MARKET_CLOSED


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
    engine = engine_with(put("books.trading_state", state), put("books.operational_halt", halted))
    assert refusal(engine, 0, BUY_10) == reason


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
    assert refusal(engine_with(put("books.best_e4", [bid, ask])), 0, BUY_10) == reason


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
    engine = engine_with(
        put("params.max_order_qty", 2**64 - 1),
        put("params.max_notional_e4", 2**64 - 1),
        put("params.max_position", 2**64 - 1),
    )
    assert refusal(engine, 0, Intent(Side.BUY, price_e4, qty)) == reason


def test_limits_are_inclusive() -> None:
    engine = engine_with(
        put("params.max_order_qty", 10),
        put("params.max_notional_e4", PRICE * 10),
        put("params.max_position", 10),
    )
    assert refusal(engine, 0, BUY_10) == Reason.NONE


@pytest.mark.parametrize(
    ("position", "side", "qty", "limit", "reason"),
    [
        (95, Side.BUY, 10, 100, Reason.MAX_POSITION),
        (90, Side.BUY, 10, 100, Reason.NONE),
        (500, Side.SELL, 10, 100, Reason.NONE),
        (500, Side.BUY, 1, 100, Reason.MAX_POSITION),
        (-500, Side.BUY, 10, 100, Reason.NONE),
        (-500, Side.BUY, 500, 100, Reason.NONE),
        (-500, Side.BUY, 550, 100, Reason.NONE),
        (-500, Side.BUY, 999, 100, Reason.MAX_POSITION),
        (-500, Side.BUY, 1000, 100, Reason.MAX_POSITION),
        (10**9, Side.BUY, 1, 2**63, Reason.MAX_POSITION),
        (10**9 - 1, Side.BUY, 1, 2**63, Reason.NONE),
        (10, Side.SELL, 11, 100, Reason.SHORT_SALE),
        (10, Side.SELL, 10, 0, Reason.NONE),
        (0, Side.SELL, 1, 100, Reason.SHORT_SALE),
        (0, Side.SELL, 101, 100, Reason.MAX_POSITION),
        (-5, Side.SELL, 1, 100, Reason.SHORT_SALE),
    ],
)
def test_position_and_short_sale(position: int, side: Side, qty: int, limit: int, reason: Reason) -> None:
    engine = engine_with(put("symbols.position", position), put("params.max_position", limit))
    assert refusal(engine, 0, Intent(side, PRICE, qty)) == reason


@pytest.mark.parametrize(
    ("limit", "ages", "reason"),
    [
        (1, [], Reason.NONE),
        (1, [999_999_999], Reason.ORDER_RATE),
        (1, [10**9], Reason.NONE),
        (2, [5], Reason.NONE),
        (2, [10**9, 5], Reason.NONE),
        (2, [10**9 - 1, 5], Reason.ORDER_RATE),
        (2, [0, 0, 10**9, 5], Reason.NONE),
        (1, [-5], Reason.ORDER_RATE),
        (2**40, [0] * 1023, Reason.NONE),
        (2**40, [0] * 1024, Reason.ORDER_RATE),
        (2**40, [10**9] + [0] * 1023, Reason.NONE),
    ],
)
def test_order_rate(limit: int, ages: list[int], reason: Reason) -> None:
    engine = engine_with(put("control.max_orders_per_second", limit))
    engine.order_times = [NS - age for age in ages]
    assert refusal(engine, 0, BUY_10) == reason


def test_monotonic_clock() -> None:
    engine = engine_with(put("control.max_orders_per_second", 1), put("config.clock", Clock.MONOTONIC))
    engine.order_times = [10**9]
    engine.work.now_ns = 2 * 10**9 - 1
    assert refusal(engine, 0, BUY_10) == Reason.ORDER_RATE
    engine.work.now_ns += 1
    assert refusal(engine, 0, BUY_10) == Reason.NONE


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (OrderState.SENT, Reason.WORKING_FULL),
        (OrderState.LIVE, Reason.WORKING_FULL),
        (OrderState.FILLED, Reason.NONE),
        (OrderState.CANCELED, Reason.NONE),
        (OrderState.REJECTED, Reason.NONE),
    ],
)
def test_working_slot_of_the_next_number(state: OrderState, reason: Reason) -> None:
    engine = engine_with(occupy)
    engine.working[1].state = state
    assert refusal(engine, 0, BUY_10) == reason
    engine.session.next_user_ref = 0
    assert refusal(engine, 0, BUY_10) == reason


def test_last_number_is_never_used() -> None:
    engine = engine_with(put("session.next_user_ref", 2**32 - 2))
    assert refusal(engine, 0, BUY_10) == Reason.NONE
    engine.session.next_user_ref += 1
    assert refusal(engine, 0, BUY_10) == Reason.REFS_EXHAUSTED


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
        Side.BUY,
        PRICE,
        100,
    )
    assert (event.user_ref, event.open_qty, event.feed_seq, event.exchange_ns, event.epoch) == (0, 0, 4, NS + 7, 5)
    assert (event.bid_e4, event.ask_e4, event.position) == (0, PRICE, 0)
    assert rig.engine.refused[Reason.HALTED_SYMBOL] == sum(rig.engine.refused.values()) == 1
    assert rig.engine.counter["triggers"] == 1
    assert rig.engine.counter["orders"] == 0
    assert rig.engine.working == {}
    assert rig.engine.session.next_user_ref == 0
