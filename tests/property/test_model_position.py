"""Rule 9 under arbitrary trades and broken trades, against exact fractions.

Let k be the partial closing trades since the position was last opened, and d the cost the position carries beyond its
exact average cost, in units of 1/10000 dollar of |C|. Opening adds the same to both costs, so d stays. Closing c of n
shares takes floor(c x a / n) from the integer cost a and c x a' / n from the exact cost a' = a - d, which leaves

    d' = a - floor(c x a / n) - a' (1 - c / n) = d (1 - c / n) + f,  f = what was rounded away, 0 <= f < 1.

By induction 0 <= d <= k, with < when k > 0, and c = n gives f = 0 and d' = 0: flat forgives every rounding. Cash is
conserved on both sides (realized - C = cash), so realized - exact realized = C - exact C = +d when long, -d when short.
One trade's own profit is therefore off by f - d c / n, which lies in (-k, 1): "less than one unit a trade" holds for
the running total per partial close, not for the single trade. A broken trade is one of the other side, no exception.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st
from turbo_hft.model import ModelEngine, Side, SymbolState
from turbo_hft.model.position import break_trade, fill

Fill = tuple[Side, int, int]
Step = tuple[Fill, int]
# Small numbers meet at flat and flip; large ones reach the bounds of OUCH.
QTY = st.one_of(st.integers(1, 12), st.integers(1, 999_999))
PRICE = st.one_of(st.integers(1, 50), st.integers(1, 2_000_000_000))
FILL = st.tuples(st.sampled_from(Side), QTY, PRICE)
# A fill, or if the number is one of those that were made, that one is broken instead.
STEPS = st.lists(st.tuples(FILL, st.integers(0, 40)), max_size=60)
FLAG = ord("R")
FEE_E8 = 300


@dataclass
class Exact:
    """Average cost in fractions, share by share of the signed position, and the cash that changed hands."""

    position: int = 0
    average: Fraction = field(default_factory=Fraction)
    realized: Fraction = field(default_factory=Fraction)
    cash: Fraction = field(default_factory=Fraction)
    partial_closes: int = 0

    def trade(self, side: Side, qty: int, price: int) -> None:
        signed = qty if side == Side.BUY else -qty
        self.cash -= signed * price
        before, after = self.position, self.position + signed
        if before * signed >= 0:
            self.average = (self.average * abs(before) + Fraction(price) * qty) / abs(after)
        else:
            closed = min(abs(before), qty)
            direction = 1 if before > 0 else -1
            self.realized += direction * closed * (price - self.average)
            self.partial_closes = self.partial_closes + 1 if closed < abs(before) else 0
            if after * before < 0:
                self.average = Fraction(price)
            elif after == 0:
                self.average = Fraction(0)
        self.position = after

    @property
    def cost(self) -> Fraction:
        return self.average * self.position


def other(side: Side) -> Side:
    return Side.SELL if side == Side.BUY else Side.BUY


def engine_of(bid: int = 900_000, ask: int = 900_100) -> ModelEngine:
    engine = ModelEngine()
    engine.add_symbol(0, "AAPL")
    engine.books[0].best_e4 = [bid, ask]
    engine.fees[FLAG] = FEE_E8
    return engine


def play(engine: ModelEngine, exact: Exact, steps: list[Step]) -> list[tuple[SymbolState, Exact, list[Fill]]]:
    """Both after each step, and the trades that stand then; the states are copied."""
    standing: list[Fill] = []
    history = []
    for (side, qty, price), number in steps:
        if number < len(standing):
            was, shares, at = standing.pop(number)
            break_trade(engine, 0, was, shares, at, FLAG)
            exact.trade(other(was), shares, at)
        else:
            standing.append((side, qty, price))
            fill(engine, 0, side, qty, price, FLAG)
            exact.trade(side, qty, price)
        history.append((copy.deepcopy(engine.symbols[0]), copy.copy(exact), list(standing)))
    return history


@given(STEPS)
def test_money_is_conserved(steps: list[Step]) -> None:
    for state, exact, standing in play(engine_of(), Exact(), steps):
        assert state.position == exact.position
        mark_value = state.position * state.mark_e4
        assert state.realized_e4 + (mark_value - state.cost_e4) == exact.cash + mark_value
        assert (state.unrealized_e4, state.exposure_e4) == (mark_value - state.cost_e4, mark_value)
        assert exact.cash == state.sold_e4 - state.bought_e4
        assert state.position == state.bought_qty - state.sold_qty
        assert state.fills == len(standing)
        assert state.bought_qty == sum(qty for side, qty, _ in standing if side == Side.BUY)
        assert state.sold_e4 == sum(qty * price for side, qty, price in standing if side == Side.SELL)
        assert state.fees_e8 == FEE_E8 * sum(qty for _, qty, _ in standing)


@given(STEPS)
def test_flat_is_exact(steps: list[Step]) -> None:
    engine, exact = engine_of(), Exact()
    play(engine, exact, steps)
    state = engine.symbols[0]
    if state.position:
        side = Side.SELL if state.position > 0 else Side.BUY
        qty = abs(state.position)
        fill(engine, 0, side, qty, 1_234_567, FLAG)
        exact.trade(side, qty, 1_234_567)
    assert (state.position, state.cost_e4, state.mark_e4, state.unrealized_e4, state.exposure_e4) == (0, 0, 0, 0, 0)
    assert engine.books[0].holds == 0
    assert state.realized_e4 == exact.cash == exact.realized


@given(STEPS)
def test_rounding_is_bounded_by_the_partial_closes_of_the_open_position(steps: list[Step]) -> None:
    for state, exact, _ in play(engine_of(), Exact(), steps):
        beyond = state.realized_e4 - exact.realized
        assert beyond == state.cost_e4 - exact.cost
        rounded = beyond if state.position > 0 else -beyond
        if exact.partial_closes == 0:
            assert rounded == 0
        else:
            assert 0 <= rounded < exact.partial_closes


@given(STEPS)
def test_cost_has_the_sign_of_the_position(steps: list[Step]) -> None:
    for state, _, _ in play(engine_of(), Exact(), steps):
        assert (state.cost_e4 > 0) == (state.position > 0)
        assert (state.cost_e4 < 0) == (state.position < 0)


@given(st.lists(FILL, max_size=60))
def test_short_is_the_mirror_of_long(fills: list[Fill]) -> None:
    engine, mirrored = engine_of(0, 0), engine_of(0, 0)
    for side, qty, price in fills:
        fill(engine, 0, side, qty, price, FLAG)
        fill(mirrored, 0, other(side), qty, price, FLAG)
    state, mirror = engine.symbols[0], mirrored.symbols[0]
    assert (mirror.position, mirror.cost_e4, mirror.realized_e4) == (
        -state.position,
        -state.cost_e4,
        -state.realized_e4,
    )


@given(st.lists(st.tuples(st.integers(0, 2), FILL, st.integers(0, 900_000)), max_size=40))
def test_the_account_is_the_sum_of_its_symbols(trades: list[tuple[int, Fill, int]]) -> None:
    engine = engine_of()
    engine.add_symbol(1, "MSFT")
    engine.add_symbol(2, "INTC")
    for slot, (side, qty, price), bid in trades:
        engine.books[slot].best_e4 = [bid, bid + 100]
        fill(engine, slot, side, qty, price, FLAG)
        states, account = engine.symbols.values(), engine.account
        assert account.realized_e4 == sum(state.realized_e4 for state in states)
        assert account.unrealized_e4 == sum(state.unrealized_e4 for state in states)
        assert account.fees_e8 == sum(state.fees_e8 for state in states)
        assert account.net_e4 == sum(state.exposure_e4 for state in states)
        assert account.gross_e4 == sum(abs(state.exposure_e4) for state in states)
