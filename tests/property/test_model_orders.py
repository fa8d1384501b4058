"""The lives of orders under any sequence of intents and replies: what always holds of the model's sums and frames."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st
from model_bytes import (
    Rig,
    accepted50,
    add,
    broken50,
    cancel_rejected50,
    canceled50,
    delete,
    enter,
    executed50,
    instead,
    modified50,
    pending50,
    priority50,
    rejected50,
    replaced50,
    restated50,
    withdraw,
)
from turbo_hft.model import Kill, OrderState, Reason, SessionHealth, Side, Strategy, XdpAction
from turbo_hft.model.names import STRATEGIES

PRICE = 1_500_000
QTYS = (1, 10, 100)
PRICES = (PRICE - 200, PRICE, PRICE + 100)
SEEDS = st.lists(st.integers(0, 2**32 - 1), max_size=80)


def trading() -> Rig:
    """Two symbols, one of them quoted, short sales allowed."""
    rig = Rig()
    rig.add_symbol(1, "MSFT", 8)
    quoted = rig.engine.params[0]
    quoted.strategy, quoted.quote_qty, quoted.quote_half_spread_e4, quoted.quote_inventory = 4, 100, 300, 1000
    for slot in (0, 1):
        limits = rig.engine.symbol_limits[1][slot]
        limits.short_ok, limits.max_short = 1, 3000
    return rig


def random_intent(rig: Rig, rng: random.Random) -> None:
    """Of a person, mostly one that makes sense."""
    slot = rng.randrange(2)
    refs = [0, *(order.user_ref for order in rig.engine.working.values() if order.is_open)]
    side, qty, price = rng.choice(tuple(Side)), rng.choice(QTYS), rng.choice(PRICES)
    intents = (
        enter(side, qty, price, rng.randrange(3)),
        instead(rng.choice(refs), side, qty, price),
        withdraw(rng.choice(refs)),
    )
    rig.order(rng.choice(intents), slot)


def random_reply(rig: Rig, rng: random.Random) -> None:
    """About one of our orders, mostly one that its state allows."""
    orders = list(rig.engine.working.values())
    if not orders:
        return
    order = rng.choice([one for one in orders if one.is_open] or orders)
    ref, name = order.user_ref, "MSFT" if order.symbol else "AAPL"
    side = "B" if order.side == Side.BUY else rng.choice("ST")
    if order.state == OrderState.SENT and rng.random() < 0.9:
        if order.other_ref:
            # What the original has executed meanwhile is not outstanding any more.
            old = rig.engine.working[order.other_ref]
            qty = order.qty - (old.chain_qty + old.filled_qty - order.chain_qty)
            fits = replaced50(order.other_ref, ref, max(qty, 0), order.price_e4, side=side, name=name)
            if qty <= 0:
                fits = canceled50(order.other_ref, old.open_qty)
        else:
            fits = accepted50(ref, order.qty, side=side, name=name, state=rng.choice("LLLD"))
        rig.reply(rng.choice((fits, fits, fits, rejected50(ref))))
        return
    part = rng.randrange(1, max(order.open_qty, 1) + 1)
    price = rng.choice(PRICES)
    rig.reply(
        rng.choice(
            (
                executed50(ref, part, price, match=rng.randrange(9)),
                executed50(ref, part, price, match=rng.randrange(9)),
                canceled50(ref, part),
                broken50(ref, rng.randrange(9)),
                pending50(ref),
                cancel_rejected50(ref),
                priority50(ref, price),
                modified50(ref, part, side),
                restated50(ref),
            )
        )
    )
    if rig.engine.session.health == SessionHealth.SUSPECT and rng.random() < 0.8:
        rig.engine.session.health = SessionHealth.UP


def step(rig: Rig, seed: int) -> XdpAction:
    rng = random.Random(seed)
    draw = rng.random()
    if draw < 0.3:
        random_intent(rig, rng)
    elif draw < 0.8:
        random_reply(rig, rng)
    else:
        bid = rng.choice((PRICE - 500, PRICE))
        ref = 10_000 + len(rig.engine.orders) + rig.next_feed * 2
        old = [delete(number) for _, number in rig.engine.orders]
        outcome = rig.feed(*old, add(ref, "B", 10, bid), add(ref + 1, "S", 10, bid + 400))
        return outcome.verdict
    return XdpAction.PASS


def check_sums(rig: Rig) -> None:
    """What is kept in sums is what the orders say."""
    engine = rig.engine
    account = engine.account
    opened = [order for order in engine.working.values() if order.is_open]
    for slot, state in engine.symbols.items():
        mine = [order for order in opened if order.symbol == slot]
        assert sorted(filter(None, state.open_ref)) == sorted(order.user_ref for order in mine)
        assert state.open_orders == len(mine) <= 8
        for side in Side:
            assert state.open_qty[side] == sum(order.counted_qty for order in mine if order.side == side)
    for side in Side:
        assert account.open_e4[side] == sum(order.counted_e4 for order in opened if order.side == side)
    for number in range(STRATEGIES):
        assert account.strategy[number].open_orders == sum(order.strategy == number for order in opened)
    assert account.open_orders == len(opened)
    for order in engine.working.values():
        if order.state == OrderState.LIVE:
            assert (order.counted_qty, order.counted_e4) == (order.open_qty, order.open_qty * order.price_e4)
        elif not order.is_open:
            assert order.pending == order.open_qty == order.counted_qty == order.counted_e4 == 0
    assert account.realized_e4 == sum(state.realized_e4 for state in engine.symbols.values())
    assert account.gross_e4 == sum(abs(state.exposure_e4) for state in engine.symbols.values())
    traded = [execution.qty for execution in engine.executions.values()]
    assert sum(state.bought_qty + state.sold_qty for state in engine.symbols.values()) == sum(traded)


@given(SEEDS)
def test_open_sums_are_those_of_the_open_orders(seeds: list[int]) -> None:
    rig = trading()
    for seed in seeds:
        step(rig, seed)
        check_sums(rig)


@given(SEEDS, st.sampled_from(("kill", "lease", "strategies", "symbols")))
def test_nothing_but_cancels_leaves_when_halted_or_without_a_lease(seeds: list[int], stop: str) -> None:
    rig = trading()
    half = len(seeds) // 2
    for seed in seeds[:half]:
        step(rig, seed)
    control = rig.engine.control
    if stop == "kill":
        control.kill = Kill.HALTED
    elif stop == "lease":
        control.lease_until_ns = rig.receiver.seen_ns
    elif stop == "strategies":
        control.strategy_kill = [int(Kill.HALTED)] * STRATEGIES
    else:
        for params in rig.engine.params.values():
            params.kill = Kill.HALTED
    before, cancels = rig.engine.counter["orders"], rig.engine.counter["cancels"]
    for seed in seeds[half:]:
        verdict = step(rig, seed)
        assert verdict != XdpAction.TX or rig.engine.counter["cancels"] > cancels
        cancels = rig.engine.counter["cancels"]
    assert rig.engine.counter["orders"] == before


@given(SEEDS)
def test_reducing_never_makes_a_position_larger(seeds: list[int]) -> None:
    rig = trading()
    half = len(seeds) // 2
    for seed in seeds[:half]:
        step(rig, seed)
    rig.engine.control.kill = Kill.REDUCING
    for seed in seeds[half:]:
        sent = rig.engine.counter["orders"]
        held = {slot: state.position for slot, state in rig.engine.symbols.items()}
        step(rig, seed)
        for ref in range(1, rig.engine.session.next_user_ref or 1):
            order = rig.engine.working.get(ref % 4096)
            if order is not None and order.state == OrderState.SENT and rig.engine.counter["orders"] > sent:
                newest = order.user_ref == rig.engine.session.next_user_ref - 1
                if newest:
                    assert held[order.symbol] < 0 if order.side == Side.BUY else held[order.symbol] > 0
                    assert order.qty <= abs(held[order.symbol])


@given(SEEDS)
def test_limits_bound_what_could_be_held(seeds: list[int]) -> None:
    """If all that is open were filled, no position would be beyond its limit."""
    rig = trading()
    for slot in (0, 1):
        rig.engine.symbol_limits[1][slot].max_long = rig.engine.symbol_limits[1][slot].max_short = 150
    rig.of_strategy(Strategy.MANUAL).max_open_orders = 6
    broken = 0
    for seed in seeds:
        step(rig, seed)
        broken += sum(state.broken for state in rig.engine.symbols.values())
        if broken:  # a broken trade moves a position that no order stands for any more
            return
        for state in rig.engine.symbols.values():
            assert state.position + state.open_qty[Side.BUY] <= 150
            assert state.position - state.open_qty[Side.SELL] >= -150
    assert rig.engine.refused[Reason.NOT_CONFIGURED] == 0
