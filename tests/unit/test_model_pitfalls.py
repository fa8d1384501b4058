"""What real feeds do that a first reading of their rules does not expect; each went wrong somewhere before."""

from __future__ import annotations

from model_bytes import (
    LOCATE,
    NS,
    Rig,
    action,
    add,
    cancel,
    cross,
    delete,
    executed,
    executed_at,
    replace,
    system,
    trade,
)
from turbo_hft.model import BookHealth, Doubt, Phase, Side

PRICE = 1_500_000
PENNY, FAR = 100, 1_999_999_900


def fine(rig: Rig) -> bool:
    return rig.book.health == BookHealth.OK


def test_stub_quotes_are_levels_like_others() -> None:
    rig = Rig()
    rig.feed(add(1, "B", 100, PENNY), add(2, "S", 100, FAR), add(3, "B", 1, PRICE), add(4, "S", 1, PRICE + 100))
    assert rig.book.best_e4 == [PRICE, PRICE + 100]
    rig.feed(delete(3), delete(4))
    assert (rig.book.best_e4, rig.book.best_qty) == ([PENNY, FAR], [100, 100])
    assert fine(rig)


def test_sub_dollar_prices_have_four_decimals() -> None:
    rig = Rig()
    rig.feed(add(1, "B", 100, 1234), add(2, "B", 100, 1235), add(3, "B", 100, 1), add(4, "S", 5, 1236))
    assert rig.engine.depth(0, Side.BUY, 5) == [(1235, 100, 1), (1234, 100, 1), (1, 100, 1)]
    assert rig.book.ask_e4 == 1236


def test_a_chain_of_replacements() -> None:
    rig = Rig()
    rig.feed(add(10, "S", 100, PRICE))
    rig.feed(replace(10, 7, 200, PRICE + 100), replace(7, 900, 50, PRICE - 100), replace(900, 10, 60, PRICE))
    assert (rig.book.ask_e4, rig.book.best_qty[Side.SELL], rig.book.book_orders) == (PRICE, 60, 1)
    rig.feed(executed(10, 60))
    assert (rig.book.ask_e4, rig.engine.orders) == (0, {})
    assert fine(rig)


def test_a_replacement_of_nobody_makes_no_order() -> None:
    rig = Rig()
    rig.feed(replace(1, 2, 100, PRICE))
    assert (rig.engine.orders, rig.book.doubt) == ({}, Doubt.UNKNOWN_REF)


def test_references_fall_and_come_again_when_they_are_free() -> None:
    rig = Rig()
    rig.feed(*(add(ref, "B", 1, PRICE) for ref in (500, 30, 499, 2, 1, 2**44 - 1)))
    rig.feed(delete(30), add(30, "B", 5, PRICE))
    assert (rig.book.book_orders, rig.book.best_qty[Side.BUY]) == (6, 10)
    assert fine(rig)


def test_an_execution_of_the_last_shares_ends_the_order() -> None:
    rig = Rig()
    rig.feed(add(1, "B", 100, PRICE), executed(1, 100))
    assert (rig.book.book_orders, rig.book.bid_e4) == (0, 0)
    rig.feed(delete(1))
    assert (rig.book.doubt, rig.engine.counter["book_unknown_ref"]) == (Doubt.UNKNOWN_REF, 1)


def test_executions_need_not_be_in_order_of_arrival() -> None:
    rig = Rig()
    rig.feed(add(1, "S", 10, PRICE), add(2, "S", 20, PRICE), executed(2, 20), executed(1, 5))
    assert rig.engine.depth(0, Side.SELL, 5) == [(PRICE, 5, 1)]
    assert fine(rig)


def test_a_cancel_may_take_an_order_to_nothing() -> None:
    rig = Rig()
    rig.feed(add(1, "B", 10, PRICE), cancel(1, 4), cancel(1, 6))
    assert (rig.book.book_orders, rig.book.bid_e4, rig.book.volume) == (0, 0, 0)
    assert fine(rig)


def test_many_messages_share_one_time_stamp() -> None:
    rig = Rig()
    rig.feed(*(add(ref, "B", 1, PRICE - 100 * ref) for ref in range(1, 91)))
    assert (rig.book.book_messages, rig.book.exchange_ns) == (90, NS)
    assert rig.engine.depth(0, Side.BUY, 1) == [(PRICE - 100, 1, 1)]


def test_before_the_open_books_are_crossed_and_nobody_minds() -> None:
    rig = Rig()
    rig.feed(system("S"), add(1, "B", 10, PRICE + 500), add(2, "S", 10, PRICE))
    rig.feed(add(3, "B", 1, PRICE, ns=NS + 10**12))
    assert (rig.receiver.phase, rig.book.is_crossed, fine(rig)) == (Phase.SYSTEM, True, True)


def test_reopening_after_a_halt_is_crossed_until_the_cross() -> None:
    rig = Rig()
    rig.feed(action("H"), add(1, "B", 10, PRICE + 500), action("Q"), add(2, "S", 10, PRICE), action("T"))
    rig.feed(add(3, "B", 1, PRICE, ns=NS + 10**12))
    assert fine(rig)
    rig.feed(
        executed_at(1, 10, PRICE, printable="N"), executed_at(2, 10, PRICE, printable="N"), cross(10, PRICE, kind="H")
    )
    assert (fine(rig), rig.book.cross_pending, rig.book.volume) == (True, 0, 10)


def test_trades_of_hidden_orders_never_touch_the_book() -> None:
    rig = Rig()
    rig.feed(add(1, "B", 100, PRICE), trade(100, PRICE), cross(10**10, PRICE))
    assert (rig.book.best_qty[Side.BUY], rig.book.book_messages, rig.book.volume) == (100, 1, 10**10 + 100)


def test_time_stamps_have_six_bytes() -> None:
    rig = Rig()
    rig.feed(add(2**40, "B", 1, PRICE, ns=2**48 - 1))
    assert (rig.book.exchange_ns, rig.receiver.exchange_ns) == (2**48 - 1, 2**48 - 1)


def test_locates_of_yesterday_mean_nothing_today() -> None:
    rig = Rig()
    rig.feed(add(1, "B", 1, PRICE, locate=LOCATE + 1))
    assert (rig.engine.counter["book_untracked"], rig.book.book_orders) == (1, 0)
