"""Sets of limits and the gate that reads them meanwhile: one set or the other, never a mixture."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections import Counter
from collections.abc import Callable
from decimal import Decimal

import pytest
from desk_rig import Desk
from turbo_hft.engine import Engine
from turbo_hft.errors import ConfigError, OrderRefused
from turbo_hft.testing import Hook

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
