"""Rule 9 under arbitrary fills, against exact fractions.

Let k be the partial closing fills since the position was last opened, and d the cost the position carries beyond its
exact average cost, in units of 1/10000 dollar of |C|. Opening adds the same to both costs, so d stays. Closing c of n
shares takes floor(c x a / n) from the integer cost a and c x a' / n from the exact cost a' = a - d, which leaves

    d' = a - floor(c x a / n) - a' (1 - c / n) = d (1 - c / n) + f,  f = what was rounded away, 0 <= f < 1.

By induction 0 <= d <= k, with < when k > 0, and c = n gives f = 0 and d' = 0: flat forgives every rounding. Cash is
conserved on both sides (realized - C = cash), so realized - exact realized = C - exact C = +d when long, -d when short.
One fill's own profit is therefore off by f - d c / n, which lies in (-k, 1): "less than one unit a fill" holds for the
running total per partial close, not for the single fill.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st
from turbo_hft.model import Book, Side, SymbolState
from turbo_hft.model.position import fill

Fill = tuple[Side, int, int]
# Small numbers meet at flat and flip; large ones reach the bounds of OUCH.
QTY = st.one_of(st.integers(1, 12), st.integers(1, 999_999))
PRICE = st.one_of(st.integers(1, 50), st.integers(1, 2_000_000_000))
FILLS = st.lists(st.tuples(st.sampled_from(Side), QTY, PRICE), max_size=60)


@dataclass
class Exact:
    """Average cost in fractions, share by share of the signed position, and the cash that changed hands."""

    position: int = 0
    average: Fraction = field(default_factory=Fraction)
    realized: Fraction = field(default_factory=Fraction)
    cash: Fraction = field(default_factory=Fraction)
    partial_closes: int = 0

    def fill(self, side: Side, qty: int, price: int) -> None:
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


def both(fills: list[Fill]) -> list[tuple[SymbolState, Exact]]:
    """The two after each fill; the state is copied."""
    state, book, exact, history = SymbolState(), Book(best_e4=[900_000, 900_100]), Exact(), []
    for side, qty, price in fills:
        fill(state, book, side, qty, price)
        exact.fill(side, qty, price)
        history.append((SymbolState(**vars(state)), Exact(**vars(exact))))
    return history


@given(FILLS)
def test_money_is_conserved(fills: list[Fill]) -> None:
    for state, exact in both(fills):
        assert state.position == exact.position
        mark_value = state.position * state.mark_e4
        assert state.realized_e4 + (mark_value - state.cost_e4) == exact.cash + mark_value
        assert state.unrealized_e4 == mark_value - state.cost_e4
        assert exact.cash == state.sold_e4 - state.bought_e4
        assert state.position == state.bought_qty - state.sold_qty


@given(FILLS)
def test_flat_is_exact(fills: list[Fill]) -> None:
    history = both(fills)
    if not history:
        return
    state, exact = history[-1]
    if state.position:
        side = Side.SELL if state.position > 0 else Side.BUY
        fill(state, Book(), side, abs(state.position), 1_234_567)
        exact.fill(side, abs(exact.position), 1_234_567)
    assert (state.position, state.cost_e4, state.mark_e4, state.unrealized_e4) == (0, 0, 0, 0)
    assert state.realized_e4 == exact.cash == exact.realized


@given(FILLS)
def test_rounding_is_bounded_by_the_partial_closes_of_the_open_position(fills: list[Fill]) -> None:
    for state, exact in both(fills):
        beyond = state.realized_e4 - exact.realized
        assert beyond == state.cost_e4 - exact.cost
        rounded = beyond if state.position > 0 else -beyond
        if exact.partial_closes == 0:
            assert rounded == 0
        else:
            assert 0 <= rounded < exact.partial_closes


@given(FILLS)
def test_cost_has_the_sign_of_the_position(fills: list[Fill]) -> None:
    for state, _ in both(fills):
        assert (state.cost_e4 > 0) == (state.position > 0)
        assert (state.cost_e4 < 0) == (state.position < 0)


@given(FILLS)
def test_short_is_the_mirror_of_long(fills: list[Fill]) -> None:
    state, mirror = SymbolState(), SymbolState()
    for side, qty, price in fills:
        fill(state, Book(), side, qty, price)
        fill(mirror, Book(), Side.SELL if side == Side.BUY else Side.BUY, qty, price)
    assert (mirror.position, mirror.cost_e4, mirror.realized_e4) == (
        -state.position,
        -state.cost_e4,
        -state.realized_e4,
    )
