"""Rule 4: the book."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from model_bytes import LOCATE, NS, Rig, add, cancel, delete, executed, executed_at, frame, mold, replace
from turbo_hft.model import BookHealth, Doubt, Role, Side

OTHER = 8
PRICE = 1_000_000
MAX_PRICE = 2_000_000_000
MAX_REF = 2**44 - 1
DOUBTS = {
    "itch_bad_field": Doubt.FIELD,
    "book_unknown_ref": Doubt.UNKNOWN_REF,
    "book_duplicate_ref": Doubt.DUPLICATE_REF,
    "book_over_reduce": Doubt.OVER_REDUCE,
}


def book() -> Rig:
    """Two symbols; reference 1: 100 bid for AAPL, reference 2: 50 offered of MSFT."""
    rig = Rig()
    rig.add_symbol(4, "MSFT", OTHER)
    rig.feed(add(1, "B", 100, PRICE), add(2, "S", 50, PRICE, name="MSFT", locate=OTHER))
    return rig


def top(rig: Rig, slot: int = 0) -> tuple[int, int, int, int, int]:
    book = rig.engine.books[slot]
    return book.bid_e4, book.best_qty[Side.BUY], book.ask_e4, book.best_qty[Side.SELL], book.book_orders


def test_levels_add_up_on_both_sides() -> None:
    rig = Rig()
    rig.feed(
        add(1, "B", 100, PRICE),
        add(2, "B", 30, PRICE, mpid="GSCO"),
        add(3, "B", 5, PRICE - 100),
        add(4, "S", 7, PRICE + 300),
        add(5, "S", 8, PRICE + 200),
        add(6, "S", 2**32 - 1, PRICE + 200),
    )
    assert top(rig) == (PRICE, 130, PRICE + 200, 8 + 2**32 - 1, 6)
    assert rig.book.book_messages == 6


@pytest.mark.parametrize("price", [1, MAX_PRICE])
def test_price_bounds_are_inside(price: int) -> None:
    rig = Rig()
    rig.feed(add(1, "S", 1, price))
    assert top(rig) == (0, 0, price, 1, 1)


def test_crossed_book_is_a_book() -> None:
    rig = Rig()
    rig.feed(add(1, "S", 1, PRICE), add(2, "B", 2, PRICE + 5))
    assert top(rig) == (PRICE + 5, 2, PRICE, 1, 2)
    assert rig.book.health == BookHealth.OK


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
    assert rig.book.exchange_ns == NS + 5


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
        (add(0, "B", 1, PRICE), "itch_bad_field"),
        (executed(0, 1), "book_unknown_ref"),
        (replace(1, 0, 1, PRICE), "itch_bad_field"),
        (add(MAX_REF + 1, "B", 1, PRICE), "itch_bad_field"),
        (add(1 + 2**44, "B", 1, PRICE), "itch_bad_field"),
        (executed(1 + 2**44, 1), "book_unknown_ref"),
        (executed(3, 1), "book_unknown_ref"),
        (executed(3, 0), "book_unknown_ref"),
        (executed(2, 1), "itch_bad_field"),
        (executed(1, 0), "itch_bad_field"),
        (executed(1, 101), "book_over_reduce"),
        (executed(2, 51), "itch_bad_field"),
        (executed_at(3, 1), "book_unknown_ref"),
        (executed_at(3, 1, 0), "itch_bad_field"),
        (executed_at(1, 1, MAX_PRICE + 1), "itch_bad_field"),
        (executed_at(1, 1, printable="n"), "itch_bad_field"),
        (executed_at(1, 0), "itch_bad_field"),
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
        (replace(1, MAX_REF + 1, 1, PRICE), "itch_bad_field"),
        (replace(1 + 2**44, 9, 1, PRICE), "book_unknown_ref"),
    ],
)
def test_first_failing_check_counts_doubts_and_changes_nothing(message: bytes, counter: str) -> None:
    rig = book()
    before, counters = top(rig), dict(rig.engine.counter)
    rig.feed(message)
    failures = {
        name: value - counters[name]
        for name, value in rig.engine.counter.items()
        if name.startswith(("itch_", "book_")) and value != counters[name]
    }
    assert failures == {counter: 1, "book_quarantines": 1}
    assert (rig.book.health, rig.book.doubt) == (BookHealth.QUARANTINED, DOUBTS[counter])
    assert rig.engine.books[4].health == BookHealth.OK
    assert top(rig) == before
    assert rig.book.book_messages == 1
    rig.feed(executed(2, 50, locate=OTHER))
    assert set(rig.engine.orders) == {(0, 1)}


def test_quarantined_book_stays_as_it_was() -> None:
    rig = book()
    rig.feed(delete(77), add(5, "S", 3, PRICE + 9))
    assert top(rig) == (PRICE, 100, 0, 0, 1)
    assert rig.engine.counter["book_kept"] == 1


def test_level_holds_so_many_shares_and_no_more() -> None:
    rig = Rig()
    most = 2**40 - 1
    rig.feed(*(add(ref, "B", 2**32 - 1, PRICE) for ref in range(1, 257)))
    assert top(rig) == (PRICE, 256 * (2**32 - 1), 0, 0, 256)
    rig.feed(add(300, "B", most - 256 * (2**32 - 1), PRICE))
    assert (top(rig), rig.book.health) == ((PRICE, most, 0, 0, 257), BookHealth.OK)
    rig.feed(add(301, "B", 1, PRICE - 1), add(302, "B", 1, PRICE))
    assert (rig.book.health, rig.book.doubt) == (BookHealth.QUARANTINED, Doubt.FULL)
    assert rig.engine.counter["book_full"] == 1
    assert top(rig) == (PRICE, most, 0, 0, 258)


def test_replace_into_a_full_level_loses_the_original() -> None:
    rig = Rig()
    rig.feed(*(add(ref, "B", 2**32 - 1, PRICE) for ref in range(1, 257)), add(300, "B", 7, PRICE + 1))
    rig.feed(replace(300, 301, 300, PRICE))
    assert (rig.book.doubt, rig.engine.counter["book_full"]) == (Doubt.FULL, 1)
    assert {(0, 300), (0, 301)} & set(rig.engine.orders) == set()
    assert top(rig) == (PRICE, 256 * (2**32 - 1), 0, 0, 256)


def test_replace_within_a_full_level_makes_its_own_room() -> None:
    rig = Rig()
    rig.feed(*(add(ref, "B", 2**32 - 1, PRICE) for ref in range(1, 257)), replace(1, 300, 2**32 - 1, PRICE))
    assert (rig.book.health, rig.book.book_orders) == (BookHealth.OK, 256)


def test_depth_is_best_first_with_shares_and_orders() -> None:
    rig = Rig()
    rig.feed(
        add(1, "B", 10, PRICE),
        add(2, "B", 5, PRICE),
        add(3, "B", 7, PRICE - 300),
        add(4, "B", 1, PRICE - 100),
        add(5, "S", 9, PRICE + 100),
        add(6, "S", 8, PRICE + 50),
    )
    bids = [(PRICE, 15, 2), (PRICE - 100, 1, 1), (PRICE - 300, 7, 1)]
    assert rig.engine.depth(0, Side.BUY, 9) == bids
    assert rig.engine.depth(0, Side.BUY, 2) == bids[:2]
    assert rig.engine.depth(0, Side.SELL, 9) == [(PRICE + 50, 8, 1), (PRICE + 100, 9, 1)]
    rig.feed(delete(1), executed(2, 5))
    assert rig.engine.depth(0, Side.BUY, 9) == bids[1:]


def test_feeds_have_references_of_their_own() -> None:
    rig = Rig()
    rig.engine.add_symbol(1, "AAPL", feed=1)
    assert rig.engine.slots == {(0, b"AAPL    "): 0, (1, b"AAPL    "): 1}
    rig.engine.bound[1, 9] = 1
    rig.engine.books[1].locate = 9
    rig.feed(add(1, "B", 10, PRICE))
    rig.engine.add_flow("239.79.0.1", 1, Role.FEED, feed=1)
    rig.engine.packet(frame(mold(1, add(1, "B", 20, PRICE, locate=9)), ("239.79.0.1", 1)), 0)
    assert {key: order.qty for key, order in rig.engine.orders.items()} == {(0, 1): 10, (1, 1): 20}


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
    assert rig.book.exchange_ns == NS
    assert rig.receiver.exchange_ns == NS + 50
    assert rig.book.locate == LOCATE
