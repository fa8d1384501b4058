"""Rule 4: the book."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from model_bytes import LOCATE, NS, Rig, add, cancel, delete, executed, executed_at, replace
from turbo_hft.model import BookHealth

OTHER = 8
PRICE = 1_000_000
MAX_PRICE = 2_000_000_000


def book() -> Rig:
    """Two symbols; reference 1: 100 bid for AAPL, reference 2: 50 offered of MSFT."""
    rig = Rig()
    rig.add_symbol(4, "MSFT", OTHER)
    rig.feed(add(1, "B", 100, PRICE), add(2, "S", 50, PRICE, name="MSFT", locate=OTHER))
    return rig


def top(rig: Rig, slot: int = 0) -> tuple[int, int, int, int, int]:
    state = rig.engine.symbols[slot]
    return state.bid_e4, state.bid_qty, state.ask_e4, state.ask_qty, state.book_orders


def test_levels_add_up_on_both_sides() -> None:
    rig = Rig()
    rig.feed(
        add(1, "B", 100, PRICE),
        add(2, "B", 30, PRICE, mpid="GSCO"),
        add(3, "B", 5, PRICE - 100),
        add(4, "S", 7, PRICE + 300),
        add(5, "S", 8, PRICE + 200),
        add(0, "S", 2**32 - 1, PRICE + 200),
    )
    assert top(rig) == (PRICE, 130, PRICE + 200, 8 + 2**32 - 1, 6)
    assert rig.engine.symbols[0].book_messages == 6


@pytest.mark.parametrize("price", [1, MAX_PRICE])
def test_price_bounds_are_inside(price: int) -> None:
    rig = Rig()
    rig.feed(add(1, "S", 1, price))
    assert top(rig) == (0, 0, price, 1, 1)


def test_crossed_book_is_a_book() -> None:
    rig = Rig()
    rig.feed(add(1, "S", 1, PRICE), add(2, "B", 2, PRICE + 5))
    assert top(rig) == (PRICE + 5, 2, PRICE, 1, 2)
    assert rig.engine.symbols[0].health == BookHealth.OK


@pytest.mark.parametrize("make", [executed, executed_at, cancel])
def test_reductions_and_death_at_zero(make: Callable[[int, int], bytes]) -> None:
    rig = book()
    rig.feed(make(1, 40))
    assert top(rig) == (PRICE, 60, 0, 0, 1)
    rig.feed(make(1, 60))
    assert top(rig) == (0, 0, 0, 0, 0)
    rig.feed(make(1, 1))
    assert rig.engine.counter["book_unknown_ref"] == 1


def test_delete_uncovers_the_next_level() -> None:
    rig = book()
    rig.feed(add(3, "B", 9, PRICE - 1), delete(1, ns=NS + 5))
    assert top(rig) == (PRICE - 1, 9, 0, 0, 1)
    assert rig.engine.symbols[0].exchange_ns == NS + 5


def test_replace_keeps_the_side() -> None:
    rig = book()
    rig.feed(replace(1, 9, 70, PRICE + 1))
    assert top(rig) == (PRICE + 1, 70, 0, 0, 1)
    rig.feed(replace(9, 1, 80, PRICE - 1))
    assert top(rig) == (PRICE - 1, 80, 0, 0, 1)


def test_replace_up_to_the_highest_price() -> None:
    rig = book()
    rig.feed(replace(1, 9, 70, MAX_PRICE))
    assert top(rig) == (MAX_PRICE, 70, 0, 0, 1)


@pytest.mark.parametrize(
    ("message", "counter"),
    [
        (add(3, "T", 1, PRICE), "itch_bad_field"),
        (add(3, "b", 1, PRICE), "itch_bad_field"),
        (add(3, "B", 0, PRICE), "itch_bad_field"),
        (add(3, "B", 1, 0), "itch_bad_field"),
        (add(3, "B", 1, MAX_PRICE + 1), "itch_bad_field"),
        (add(3, "B", 1, PRICE, name="AAPLW"), "itch_bad_field"),
        (add(1, "T", 1, PRICE), "itch_bad_field"),
        (add(1, "B", 1, PRICE), "book_duplicate_ref"),
        (add(2, "B", 1, PRICE, mpid="GSCO"), "book_duplicate_ref"),
        (executed(3, 1), "book_unknown_ref"),
        (executed(3, 0), "book_unknown_ref"),
        (executed(2, 1), "itch_bad_field"),
        (executed(1, 0), "itch_bad_field"),
        (executed(1, 101), "book_over_reduce"),
        (executed(2, 51), "itch_bad_field"),
        (executed_at(3, 1), "book_unknown_ref"),
        (executed_at(2, 1), "itch_bad_field"),
        (executed_at(1, 101), "book_over_reduce"),
        (cancel(3, 1), "book_unknown_ref"),
        (cancel(1, 0), "itch_bad_field"),
        (cancel(1, 2**32 - 1), "book_over_reduce"),
        (delete(3), "book_unknown_ref"),
        (delete(2), "itch_bad_field"),
        (replace(3, 9, 1, PRICE), "book_unknown_ref"),
        (replace(2, 9, 1, PRICE), "itch_bad_field"),
        (replace(1, 9, 0, PRICE), "itch_bad_field"),
        (replace(1, 9, 1, 0), "itch_bad_field"),
        (replace(1, 9, 1, MAX_PRICE + 1), "itch_bad_field"),
        (replace(1, 1, 1, PRICE), "book_duplicate_ref"),
        (replace(1, 2, 1, PRICE), "book_duplicate_ref"),
        (replace(1, 2, 0, PRICE), "itch_bad_field"),
    ],
)
def test_first_failing_check_counts_doubts_and_changes_nothing(message: bytes, counter: str) -> None:
    rig = book()
    before, counters = top(rig), dict(rig.engine.counter)
    rig.feed(message)
    state = rig.engine.symbols[0]
    failures = {
        name: value - counters[name]
        for name, value in rig.engine.counter.items()
        if name.startswith(("itch_", "book_")) and value != counters[name]
    }
    assert failures == {counter: 1}
    assert state.health == BookHealth.SUSPECT
    assert rig.engine.symbols[4].health == BookHealth.OK
    assert top(rig) == before
    assert state.book_messages == 1
    rig.feed(executed(1, 100), executed(2, 50, locate=OTHER))
    assert rig.engine.orders == {}


def test_suspect_book_keeps_applying() -> None:
    rig = book()
    rig.feed(delete(77), add(5, "S", 3, PRICE + 9))
    assert top(rig) == (PRICE, 100, PRICE + 9, 3, 2)


def test_marks_follow_the_book() -> None:
    rig = Rig()
    rig.hold(100, PRICE)
    rig.feed(add(50, "B", 10, PRICE + 200))
    state = rig.engine.symbols[0]
    assert (state.mark_e4, state.unrealized_e4) == (PRICE + 200, 20_000)
    rig.feed(delete(50))
    assert (state.mark_e4, state.unrealized_e4) == (PRICE + 200, 20_000)


def test_refused_message_leaves_times_alone() -> None:
    rig = book()
    rig.feed(delete(99, ns=NS + 50))
    assert rig.engine.symbols[0].exchange_ns == NS
    assert rig.engine.feed.exchange_ns == NS + 50
    assert rig.engine.symbols[0].locate == LOCATE
