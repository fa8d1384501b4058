"""Sets of limits and the gate that reads them meanwhile: one set or the other, never a mixture."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from decimal import Decimal

import pytest
from desk_rig import ASK_E4, LOCATE, Desk
from turbo_hft.engine import Engine
from turbo_hft.errors import ConfigError, OrderRefused
from turbo_hft.testing import Hook
from turbo_hft.wire import itch50

pytestmark = pytest.mark.kernel

SECONDS = 1.5


@pytest.fixture
def desk(hook: Hook) -> Desk:
    return Desk(hook)


def test_an_order_that_no_set_allows_never_leaves(desk: Desk) -> None:
    """One set is narrow for the account, the other for the symbol. Only a mixture would let this order pass."""
    engine, view, end = desk.engine, desk.view, time.monotonic() + SECONDS
    changes = 0

    def swing() -> None:
        nonlocal changes
        while time.monotonic() < end:
            for account, symbol in ((10, 1000), (1000, 10)):
                with engine.change():
                    engine.limits.max_order_qty = account
                    view.limits.max_order_qty = symbol
                changes += 1

    engine.limits.max_order_qty = 10
    changer = threading.Thread(target=swing)
    changer.start()
    reasons: Counter[str] = Counter()
    while time.monotonic() < end:
        with pytest.raises(OrderRefused) as refused:
            engine.orders.enter("AAPL", "buy", 400, "163.20")
        reasons[refused.value.reason] += 1
    changer.join()
    assert changes > 50 and sum(reasons.values()) > 50  # how many fit into the time is up to the machine
    assert set(reasons) <= {"max_order_qty", "limits_changed", "max_order_qty or limits_changed"}, reasons
    assert not desk.frames


def test_an_order_that_every_set_allows_is_refused_only_while_one_is_made(desk: Desk) -> None:
    engine, view, end = desk.engine, desk.view, time.monotonic() + SECONDS

    def raise_and_lower() -> None:
        while time.monotonic() < end:
            for qty in (200, 300):
                with engine.change():
                    engine.limits.max_order_qty = view.limits.max_order_qty = qty

    for limits in (engine.limits, engine.strategies["manual"].limits, view.limits):
        limits.orders_per_second, limits.burst = 1_000_000, 1 << 20
    changer = threading.Thread(target=raise_and_lower)
    changer.start()
    left = 0
    while time.monotonic() < end:
        try:
            ref = engine.orders.enter("AAPL", "buy", 1, "163.00")
        except OrderRefused as error:
            assert error.reason == "limits_changed", error
        else:
            left += 1
            desk.answer(desk.accepted(order_state="D"))
            assert engine.orders[ref].state == "canceled"
    changer.join()
    assert left > 200


def test_no_strategy_decides_on_half_of_its_parameters(desk: Desk) -> None:
    """Two parameters make the quantity, and another process changes both, again and again. What is decided is what one
    change said, and of that change's epoch."""
    engine, view, end = desk.engine, desk.view, time.monotonic() + SECONDS
    view.set({"base_qty": 10, "step_qty": 0, "cap_qty": 1000})
    view.strategy, view.shadow = None, {"threshold"}
    view.buy_below = Decimal(ASK_E4 + 300) / 10_000  # three ticks above the offer
    wanted = {engine.epoch & 1: 10, (engine.epoch + 1) & 1: 301}

    def swing() -> None:
        while time.monotonic() < end:
            for base, step in ((1, 100), (10, 0)):
                with engine.change():
                    view.base_qty = base
                    view.step_qty = step

    other = multiprocessing.get_context("fork").Process(target=swing)
    other.start()
    decided: Counter[tuple[int, int]] = Counter()
    while time.monotonic() < end:
        desk.market(
            desk.rest("B", 1_000_000),
            itch50.OrderDelete(stock_locate=LOCATE, order_ref=desk.ref, **desk.stamp).encode(),
        )
        for event in engine.events:
            if event.kind == "shadow":
                assert event.reason in ("", "limits_changed"), event
                if not event.reason:
                    decided[event.qty, wanted[event.epoch & 1]] += 1
    other.join()
    assert other.exitcode == 0 and engine.counters()["shadow_intents"] > 100
    assert set(decided) == {(10, 10), (301, 301)}, decided


def test_a_change_that_fails_leaves_every_parameter_as_it_was(desk: Desk) -> None:
    engine, view = desk.engine, desk.view
    view.set_targets(buy_below="163.00", sell_above=None)
    before = (view.as_dict(), view.quoter.as_dict(), view.buy_below, view.strategy, view._shared.book.armed)
    with pytest.raises(ZeroDivisionError), engine.change():
        view.set({"base_qty": 7, "tick": "0.05"})
        view.quoter.set({"qty": 3, "half_spread": "0.02"})
        view.buy_below, view.strategy = None, "user"
        raise ZeroDivisionError
    after = (view.as_dict(), view.quoter.as_dict(), view.buy_below, view.strategy, view._shared.book.armed)
    assert after == before
    engine.orders.enter("AAPL", "buy", 1, "163.00")  # and it trades on


def test_a_change_that_its_process_did_not_live_to_end_halts(desk: Desk) -> None:
    engine, view = desk.engine, desk.view

    def die() -> None:
        with engine.change():
            view.base_qty = 999
            os.kill(os.getpid(), signal.SIGKILL)

    other = multiprocessing.get_context("fork").Process(target=die)
    other.start()
    other.join()
    assert other.exitcode == -signal.SIGKILL and engine.state == "active"
    with pytest.raises(OrderRefused, match="limits_changed"):
        engine.orders.enter("AAPL", "buy", 1, "163.00")
    with pytest.raises(ConfigError, match="middle of a change"):
        engine.resume()
    assert engine.halted
    with pytest.raises(OrderRefused, match="halted_global"):
        engine.orders.enter("AAPL", "buy", 1, "163.00")
    engine.resume()
    engine.orders.enter("AAPL", "buy", 1, "163.00")


def test_every_change_has_an_epoch_and_both_sets_agree_after_it(desk: Desk) -> None:
    """A target, a switch, a fee, a mark: each moves the epoch, and the limits stay what they were."""
    engine, view = desk.engine, desk.view
    engine.limits.max_gross = 123_456
    view.limits.max_long = 77
    acts: list[Callable[[], object]] = [
        lambda: setattr(view, "buy_below", "1"),
        lambda: view.set_targets(buy_below=None, sell_above="2"),
        engine.halt,
        engine.resume,
        engine.reduce,
        view.halt,
        view.resume,
        engine.strategies["quoter"].halt,
        lambda: setattr(engine, "mark", "last"),
        lambda: engine.fees.__setitem__("R", "0.003"),
        lambda: setattr(view, "strategy", "quoter"),
        lambda: setattr(view, "shadow", {"momentum"}),
        lambda: view.quoter.set({"qty": 3}),
        lambda: engine.symbols.add("MSFT"),
    ]
    for number, act in enumerate(acts):
        before = engine.epoch
        act()
        assert engine.epoch == before + 1, number
        assert (engine.limits.max_gross, view.limits.max_long) == (Decimal(123_456), 77), number


def test_a_strategy_and_a_symbol_have_switches_of_their_own(desk: Desk) -> None:
    engine = desk.engine
    assert [each.state for each in engine.strategies] == ["active"] * 6
    engine.strategies["manual"].reduce()
    with pytest.raises(OrderRefused, match="reducing"):
        engine.orders.enter("AAPL", "buy", 1, "163.00")
    engine.strategies["manual"].resume()
    assert desk.view.state == "active" and engine.state == "active"
    desk.view.reduce()
    assert (desk.view.state, desk.view.halted, engine.state) == ("reducing", False, "active")
    desk.view.resume()
    engine.orders.enter("AAPL", "buy", 1, "163.00")


def test_a_fresh_engine_lets_nothing_leave_and_a_bare_one_has_no_limits(hook: Hook) -> None:
    with Engine.load(symbols=4) as engine:
        assert engine.halted and not engine.lease.in_force and not engine.untouched
        with pytest.raises(ConfigError, match="lease"):
            engine.resume()
        with pytest.raises(ConfigError, match="lease"):
            engine.reduce()
        engine.lease.beat()
        engine.resume()
        assert engine.state == "active"
    hook.reset()
    assert hook.engine.untouched
    assert not any(hook.engine.limits.as_dict().values())


def test_two_processes_do_not_mix_their_sets(desk: Desk) -> None:
    """A forked process has the same maps, and the lock of the engine between both."""
    engine, end = desk.engine, time.monotonic() + SECONDS

    def swing(first: int) -> None:
        while time.monotonic() < end:
            for qty in (first, first + 1):
                with engine.change():
                    engine.limits.max_order_qty = qty
                    desk.view.limits.max_order_qty = qty

    other = multiprocessing.get_context("fork").Process(target=swing, args=(100,))
    other.start()
    swing(200)
    other.join()
    assert other.exitcode == 0
    assert engine.limits.max_order_qty == desk.view.limits.max_order_qty
    assert engine.epoch > 200
