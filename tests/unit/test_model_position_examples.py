"""Rule 9: worked examples of position, cost, profit and mark."""

from __future__ import annotations

import pytest
from turbo_hft.model import Book, Side, SymbolState
from turbo_hft.model.position import fill, take_mark

B, S = Side.BUY, Side.SELL


def after(*fills: tuple[Side, int, int], bid: int = 0, ask: int = 0) -> SymbolState:
    state, book = SymbolState(), Book(best_e4=[bid, ask])
    for side, qty, price in fills:
        fill(state, book, side, qty, price)
        assert book.holds == (1 if state.position else 0)
    return state


@pytest.mark.parametrize(
    ("fills", "position", "cost", "realized"),
    [
        ([(B, 100, 50)], 100, 5000, 0),
        ([(S, 100, 50)], -100, -5000, 0),
        ([(B, 100, 50), (B, 50, 80)], 150, 9000, 0),
        ([(B, 100, 50), (S, 40, 60)], 60, 3000, 400),
        ([(B, 100, 50), (S, 100, 60)], 0, 0, 1000),
        ([(B, 100, 50), (S, 150, 60)], -50, -3000, 1000),
        ([(S, 100, 50), (B, 40, 60)], -60, -3000, -400),
        ([(S, 100, 50), (B, 130, 45)], 30, 1350, 500),
        # 3 shares cost 10: one closed share takes 3 with it, the rounding stays until the position is flat.
        ([(B, 2, 3), (B, 1, 4), (S, 1, 5)], 2, 7, 2),
        ([(B, 2, 3), (B, 1, 4), (S, 1, 5), (S, 1, 5), (S, 1, 5)], 0, 0, 5),
        ([(S, 2, 3), (S, 1, 4), (B, 1, 5)], -2, -7, -2),
        ([(S, 2, 3), (S, 1, 4), (B, 1, 5), (B, 2, 5)], 0, 0, -5),
    ],
)
def test_examples(fills: list[tuple[Side, int, int]], position: int, cost: int, realized: int) -> None:
    state = after(*fills)
    assert (state.position, state.cost_e4, state.realized_e4) == (position, cost, realized)


def test_gross_sums() -> None:
    state = after((B, 10, 5), (S, 4, 7), (B, 1, 9))
    assert (state.fills, state.bought_qty, state.bought_e4, state.sold_qty, state.sold_e4) == (3, 11, 59, 4, 28)


def test_rounding_error_grows_beyond_one_with_many_partial_closes() -> None:
    # 1000 shares at a cost of 1000 x 10 + 500: every single share closed leaves half a unit behind.
    state = after((B, 500, 10), (B, 500, 11), *[(S, 1, 20)] * 499)
    exact_times_two = 499 * (2 * 20 - 21)
    assert 2 * state.realized_e4 - exact_times_two == 499
    for _ in range(501):
        fill(state, Book(), S, 1, 20)
    assert state.realized_e4 == 1000 * 20 - 10_500


def test_mark_is_the_side_we_would_hit() -> None:
    assert after((B, 10, 50), bid=48, ask=52).mark_e4 == 48
    assert after((S, 10, 50), bid=48, ask=52).mark_e4 == 52
    assert (after((B, 1, 50), bid=48, ask=52).mark_e4, after((S, 1, 50), bid=48, ask=52).mark_e4) == (48, 52)
    assert after((B, 10, 50), bid=48).unrealized_e4 == -20
    assert after((S, 10, 50), ask=48).unrealized_e4 == 20


def test_mark_stays_when_its_side_is_empty_and_goes_with_the_position() -> None:
    state, book = after((B, 10, 50), bid=48), Book()
    take_mark(state, book)
    assert (state.mark_e4, state.unrealized_e4) == (48, -20)
    fill(state, book, S, 4, 60)
    assert (state.mark_e4, state.unrealized_e4) == (48, 6 * 48 - 300)
    fill(state, book, S, 6, 60)
    assert (state.mark_e4, state.unrealized_e4) == (0, 0)


def test_flip_takes_the_other_side_or_keeps_the_mark() -> None:
    assert after((B, 10, 50), (S, 15, 50), bid=48, ask=52).mark_e4 == 52
    assert after((B, 10, 50), (S, 15, 50), bid=48).mark_e4 == 48


def test_without_a_mark_nothing_is_unrealized() -> None:
    state = after((B, 10, 50), ask=52)
    assert (state.mark_e4, state.unrealized_e4) == (0, 0)
