"""Orders by hand through the loaded gate: entered, replaced, cancelled, all at once, refused, lost."""

from __future__ import annotations

from typing import Any

import pytest
from desk_rig import ASK_E4, Desk
from turbo_hft._native import ffi, lib
from turbo_hft.engine import Engine
from turbo_hft.errors import ConfigError, MalformedMessage, OrderRefused, TurboHftError
from turbo_hft.testing import Hook
from turbo_hft.wire import ouch50

pytestmark = pytest.mark.kernel


@pytest.fixture
def desk(hook: Hook) -> Desk:
    return Desk(hook)


def test_an_order_leaves_lives_and_is_filled(desk: Desk) -> None:
    engine = desk.engine
    ref = engine.orders.enter("AAPL", "buy", 100, "163.20")
    order = desk.sent()
    assert isinstance(order, ouch50.EnterOrder)
    assert (order.user_ref_num, order.side, order.quantity, order.symbol) == (ref, "B", 100, "AAPL")
    assert (order.price, order.tif) == (ASK_E4, "3")
    (sent,) = engine.orders.open()
    assert (sent.user_ref, sent.state, sent.strategy, sent.open_qty) == (ref, "sent", "manual", 100)
    assert (sent.epoch, engine.strategies["manual"].open_orders) == (engine.epoch, 1)
    desk.answer(desk.accepted(), desk.executed(ref, 60, ASK_E4))
    assert (engine.orders[ref].state, engine.orders[ref].open_qty, desk.view.snapshot().position) == ("live", 40, 60)
    desk.answer(desk.executed(ref, 40, ASK_E4))
    assert engine.orders.open() == [] and engine.orders[ref].state == "filled"
    assert [each.user_ref for each in engine.orders.all()] == [ref]
    assert engine.strategies["manual"].executions == 2


def test_a_refused_side_that_there_is_not_is_told_as_it_was(desk: Desk) -> None:
    """As a strategy in C may ask for it."""
    intent = ffi.new("struct hft_intent *", {"action": lib.HFT_ACTION_ENTER, "side": 7, "qty": 100, "price_e4": ASK_E4})
    for _ in desk.engine.events:
        pass
    with pytest.raises(OrderRefused, match="bad_intent"):
        desk.engine.orders._ask("AAPL", intent, "an order")
    (event,) = desk.engine.events
    assert (event.kind, event.reason, event.side, event.qty) == ("refused", "bad_intent", "side 7", 100)


def test_replace_and_cancel(desk: Desk) -> None:
    engine = desk.engine
    first = engine.orders.enter("AAPL", "buy", 100, "163.00", tif="day")
    assert desk.accepted().tif == "0"
    with pytest.raises(OrderRefused, match="bad_intent") as refused:
        engine.orders.cancel(first)
    assert refused.value.reason == "bad_intent", "it has not been accepted yet"
    desk.answer(desk.accepted())
    second = engine.orders.replace(first, 200, "163.05")
    message = desk.sent()
    assert isinstance(message, ouch50.ReplaceOrder)
    assert (message.orig_user_ref_num, message.user_ref_num, message.quantity) == (first, second, 200)
    assert engine.orders[first].pending == ("replace",) and engine.orders[second].other_ref == first
    desk.answer(
        ouch50.Replaced(desk.clock, first, second, "B", 200, "AAPL", 1_630_500, "0", "Y", 78, "P", "N", "N", "L", "")
    )
    assert [(each.user_ref, each.state) for each in engine.orders.all()] == [(first, "replaced"), (second, "live")]
    engine.orders.cancel(second)
    cancel = desk.sent()
    assert isinstance(cancel, ouch50.CancelOrder) and (cancel.user_ref_num, cancel.quantity) == (second, 0)
    assert engine.orders[second].pending == ("cancel",)
    desk.answer(desk.canceled(second, 200))
    assert engine.orders.open() == []


@pytest.mark.parametrize(
    ("narrow", "reason"),
    [
        (lambda engine, view: engine.halt(), "halted_global"),
        (lambda engine, view: view.halt(), "halted_symbol"),
        (lambda engine, view: engine.strategies["manual"].halt(), "halted_strategy"),
        (lambda engine, view: engine.reduce(), "reducing"),
        (lambda engine, view: engine.lease.lapse(), "lease"),
        (lambda engine, view: setattr(view.limits, "restricted", True), "restricted"),
        (lambda engine, view: setattr(view.limits, "max_order_qty", 99), "max_order_qty"),
        (lambda engine, view: setattr(engine.limits, "max_notional", 16_319), "max_notional"),
        (lambda engine, view: setattr(engine.strategies["manual"].limits, "max_order_qty", 99), "max_order_qty"),
        (lambda engine, view: setattr(view.limits, "reference", "last"), "no_reference"),
        (lambda engine, view: setattr(view.limits, "collar", "1bp"), "collar"),
        (lambda engine, view: setattr(view.limits, "max_long", 99), "max_long"),
        (lambda engine, view: setattr(engine.limits, "max_gross", 16_319), "gross_exposure"),
        (lambda engine, view: setattr(engine.limits, "max_net", 16_319), "net_exposure"),
        (lambda engine, view: setattr(view.limits, "max_open_orders", 0), "open_orders"),
        (lambda engine, view: setattr(engine.limits, "max_loss", 0), "loss_limit"),
        (lambda engine, view: setattr(engine.strategies["manual"].limits, "max_executions", 0), "executions"),
        (lambda engine, view: setattr(view.limits, "orders_per_second", 0), "rate_symbol"),
        (lambda engine, view: setattr(engine.strategies["manual"].limits, "burst", 0), "rate_strategy"),
        (lambda engine, view: setattr(engine.limits, "burst", 0), "rate"),
    ],
)
def test_each_limit_that_can_be_set_refuses_by_its_name(desk: Desk, narrow: Any, reason: str) -> None:
    """Setting reaches the set that holds: each limit alone, from the typed attribute to the gate."""
    narrow(desk.engine, desk.view)
    with pytest.raises(OrderRefused) as refused:
        desk.engine.orders.enter("AAPL", "buy", 100, "163.20")
    assert refused.value.reason == reason and reason in str(refused.value)
    assert not desk.frames and desk.engine.orders.open() == []


def test_a_short_sale_needs_leave(desk: Desk) -> None:
    with pytest.raises(OrderRefused, match="short_sale"):
        desk.engine.orders.enter("AAPL", "sell", 100, "163.20")
    with desk.engine.change():
        desk.view.limits.short_ok = True
        desk.view.limits.max_short = 99
    with pytest.raises(OrderRefused, match="max_short"):
        desk.engine.orders.enter("AAPL", "sell", 100, "163.20")
    desk.view.limits.max_short = 100
    ref = desk.engine.orders.enter("AAPL", "sell", 100, "163.20")
    message = desk.sent()
    assert isinstance(message, ouch50.EnterOrder) and message.side == "T"
    assert desk.engine.orders[ref].short_sale


def test_duplicates_within_the_window(desk: Desk) -> None:
    desk.engine.limits.duplicate_window_s = 60
    desk.engine.orders.enter("AAPL", "buy", 100, "163.00")
    with pytest.raises(OrderRefused, match="duplicate"):
        desk.engine.orders.enter("AAPL", "buy", 100, "163.00")
    desk.engine.orders.enter("AAPL", "buy", 101, "163.00")


def test_latches_stay_until_they_are_lifted(desk: Desk) -> None:
    engine, manual = desk.engine, desk.engine.strategies["manual"]
    manual.limits.max_executions = 1
    ref = engine.orders.enter("AAPL", "buy", 100, "163.20")
    desk.answer(desk.accepted(), desk.executed(ref, 100, ASK_E4))
    seen = [manual.latched]
    with pytest.raises(OrderRefused, match="executions"):
        engine.orders.enter("AAPL", "buy", 1, "163.20")
    manual.rearm()
    assert [*seen, manual.latched] == [True, False] and manual.executions == 0
    # Marked at the bid, 100 shares bought at the offer have lost ten dollars.
    desk.view.limits.max_loss = 10
    engine.limits.max_loss = 10
    seen = [desk.view.loss_latched, engine.account.loss_latched]
    with pytest.raises(OrderRefused, match="loss_limit"):
        engine.orders.enter("AAPL", "buy", 1, "163.20")
    seen += [desk.view.loss_latched, engine.account.loss_latched]
    assert desk.view.snapshot().pnl_e4 == engine.account.pnl_e4 == -100_000
    desk.view.rearm()
    engine.rearm()
    seen += [desk.view.loss_latched, engine.account.loss_latched]
    assert seen == [False, False, True, True, False, False]
    with engine.change():
        desk.view.limits.max_loss = engine.limits.max_loss = 11
    engine.orders.enter("AAPL", "buy", 1, "163.20")


def test_fees_are_in_the_profit_and_loss(desk: Desk) -> None:
    desk.engine.fees["R"] = "0.0030"
    desk.engine.fees["A"] = "-0.0020"
    ref = desk.engine.orders.enter("AAPL", "buy", 300, "163.20")
    desk.answer(desk.accepted(), desk.executed(ref, 100, ASK_E4, "R"), desk.executed(ref, 200, ASK_E4, "A"))
    assert desk.engine.account.fees_e8 == 100 * 300_000 - 200 * 200_000
    assert desk.view.snapshot().pnl_e4 == -300 * 1000 + 1000
    desk.engine.mark = "mid"
    desk.market(desk.rest("B", 1_630_000))
    assert desk.view.snapshot().pnl_e4 == -300 * 500 + 1000


def test_what_is_no_order_is_said_before_the_gate(desk: Desk) -> None:
    orders, before = desk.engine.orders, desk.engine.refusals()
    wrong: list[tuple[Any, ...]] = [
        ("MSFT", "buy", 1, "1"), ("AAPL", "up", 1, "1"), ("AAPL", "buy", -1, "1"), ("AAPL", "buy", True, "1"),
        ("AAPL", "buy", 1, "500000"), ("AAPL", "buy", 1, "1", "gtc"), ("AAPL", "buy", 1, "-1"),
    ]  # fmt: skip
    for words in wrong:
        with pytest.raises((ConfigError, MalformedMessage)):
            orders.enter(*words)
    for ref in (0, 1, 5000):
        with pytest.raises(ConfigError, match="no order"):
            orders.cancel(ref)
    assert desk.engine.refusals() == before and not desk.frames


def test_cancel_all_waits_for_live_ones_and_sends_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exchange answers while it is waited for: one order is not accepted before, one cancel gets lost."""
    monkeypatch.setattr("turbo_hft.orders._AGAIN_S", 0.01)
    engine = desk.engine
    refs = []
    for price in ("163.00", "162.99"):
        refs.append(engine.orders.enter("AAPL", "buy", 100, price, tif="day"))
        desk.answer(desk.accepted())
    late = engine.orders.enter("AAPL", "buy", 100, "162.98", tif="day")
    late_order = desk.sent()
    assert isinstance(late_order, ouch50.EnterOrder)
    asked: list[int] = []

    def exchange(frame: bytes) -> None:
        desk.frames.append(frame)
        message = desk.sent()
        assert isinstance(message, ouch50.CancelOrder)
        asked.append(message.user_ref_num)
        if asked.count(refs[0]) == 1 and message.user_ref_num == refs[0]:
            return  # lost on its way
        if late not in asked and len(asked) == 2:
            desk.answer(desk.accepted(late_order))
        desk.answer(desk.canceled(message.user_ref_num, 100))

    engine.orders.send = exchange
    report = engine.halt_and_cancel(timeout_s=5)
    assert engine.halted and (report.canceled, report.left, report.refused) == (3, (), {})
    assert asked.count(refs[0]) == 2 and asked.count(late) == 1


def test_cancel_all_reports_what_is_left(desk: Desk) -> None:
    engine = desk.engine
    live = engine.orders.enter("AAPL", "buy", 100, "163.00")
    desk.answer(desk.accepted())
    sent = engine.orders.enter("AAPL", "buy", 100, "162.00")
    report = engine.orders.cancel_all(timeout_s=0.05)
    assert [order.user_ref for order in report.left] == [live, sent] and report.canceled == 0
    assert [order.pending for order in report.left] == [("cancel",), ()]
    assert engine.orders.cancel_all(strategy="quoter", timeout_s=0.05).left == ()
    # Order entry ends: no cancel leaves any more, and the report says why.
    third = engine.orders.enter("AAPL", "buy", 100, "161.00")
    desk.answer(desk.accepted())
    engine.halt()
    engine.leave_session()
    report = engine.orders.cancel_all(timeout_s=0.05)
    assert report.refused == {third: "session_down"}


def test_an_order_that_never_arrived_is_declared_lost_only_when_no_reply_is_missing(desk: Desk) -> None:
    engine = desk.engine
    ref = engine.orders.enter("AAPL", "buy", 100, "163.00")
    desk.answer(desk.canceled(99, 1), at=3)  # 1 and 2 are missing
    with pytest.raises(TurboHftError, match="no reply missing"):
        engine.orders.declare_lost(ref)
    assert engine.orders[ref].state == "sent"


def test_lost(desk: Desk) -> None:
    ref = desk.engine.orders.enter("AAPL", "buy", 100, "163.00")
    desk.engine.orders.declare_lost(ref)
    assert desk.engine.orders[ref].state == "lost" and desk.engine.account.open_orders == 0
    with pytest.raises(TurboHftError, match="state sent"):
        desk.engine.orders.declare_lost(ref)


def test_a_suspect_session_is_trusted_by_a_person_who_has_halted(desk: Desk) -> None:
    engine = desk.engine
    desk.answer(desk.canceled(99, 1))
    assert engine.session.health == "suspect"
    with pytest.raises(ConfigError, match="halt the engine"):
        engine.trust_session()
    engine.halt()
    engine.trust_session()
    assert engine.session.health == "up"
    with pytest.raises(ConfigError, match="not suspect"):
        engine.trust_session()


def test_an_engine_without_an_interface_sends_nothing() -> None:
    with Engine.load() as engine:
        engine.symbols.add("AAPL")
        with pytest.raises(ConfigError, match="without an interface"):
            engine.orders.enter("AAPL", "buy", 1, "1")


def test_strategies_in_shadow_are_reported_and_do_not_trade(desk: Desk) -> None:
    list(desk.engine.events)
    desk.view.imbalance.set({"share": "60%", "least": 1, "qty": 100})
    desk.view.strategy, desk.view.shadow = None, {"imbalance"}
    desk.market(desk.rest("B", 1_631_500, 9000))
    (event,) = [event for event in desk.engine.events if event.kind == "shadow"]
    assert (event.strategy, event.side, event.qty, event.price_e4, event.reason) == (
        "imbalance", "buy", 100, ASK_E4, "",
    )  # fmt: skip
    desk.view.strategy, desk.view.shadow = "imbalance", ()
    desk.market(desk.rest("B", 1_631_600, 9000))
    (order,) = desk.engine.orders.open()
    assert (order.strategy, order.side, order.qty) == ("imbalance", "buy", 100)
