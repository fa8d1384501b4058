"""Rule 3: trading state, halts, auctions and prints of a symbol; rule 4: the crossed book."""

from __future__ import annotations

import pytest
from model_bytes import (
    LOCATE,
    NS,
    Rig,
    action,
    add,
    collar,
    cross,
    delete,
    executed,
    executed_at,
    halt,
    head,
    quoting,
    sho,
    system,
    trade,
)
from turbo_hft.model import BookHealth, Doubt, EventKind, Phase, Reason
from turbo_hft.model.state import Auction

PRICE = 1_500_000
SECOND = 1_000_000_000


# --- trading state ---------------------------------------------------------------------------------------------------


def test_a_symbol_nobody_said_anything_of_does_not_trade() -> None:
    rig = Rig()
    rig.book.trading_state = 0
    assert [event.reason for event in rig.buy().events] == [Reason.NOT_TRADING]


@pytest.mark.parametrize(
    ("states", "pending"),
    [
        ("T", 0),
        ("H", 0),
        ("HT", 1),
        ("PT", 1),
        ("QT", 1),
        ("HQT", 1),
        ("HTT", 1),
        ("HTH", 0),
        ("HTQ", 0),
        ("TT", 0),
    ],
)
def test_between_a_change_to_trading_and_its_cross(states: str, pending: int) -> None:
    rig = Rig()
    rig.book.trading_state = 0
    rig.feed(*(action(state, reason="LUDP") for state in states))
    assert (rig.book.trading_state, rig.book.cross_pending) == (ord(states[-1]), pending)
    assert rig.book.halt_reason == b"LUDP"
    assert rig.book.health == BookHealth.OK
    assert rig.book.book_messages == 0


def test_operational_halt_of_nasdaq_only() -> None:
    rig = Rig()
    rig.feed(halt("H", market="B"), halt("?", market="X"))
    assert (rig.book.operational_halt, rig.book.health) == (0, BookHealth.OK)
    rig.feed(halt("H"))
    assert rig.book.operational_halt == 1
    assert [event.reason for event in rig.buy().events] == [Reason.NOT_TRADING]
    rig.feed(halt("T", market="B"))
    assert rig.book.operational_halt == 1
    rig.feed(halt("T"))
    assert rig.book.operational_halt == 0


@pytest.mark.parametrize("code", "012")
def test_reg_sho(code: str) -> None:
    rig = Rig()
    rig.feed(sho(code))
    assert rig.book.reg_sho == ord(code)


def test_auctions_as_they_are() -> None:
    rig = Rig()
    rig.feed(quoting(36_000, "A", 170_000), collar(1, 2**32 - 1, 3, 4))
    assert rig.engine.auctions[0] == Auction(1, 2**32 - 1, 3, 4, 36_000, 170_000, ord("A"))
    rig.feed(quoting(0, "?", 2**32 - 1))
    assert rig.engine.auctions[0].ipo_qualifier == ord("?")


@pytest.mark.parametrize(
    "message",
    [
        action("X"),
        action("t"),
        action("\0"),
        action("T", name="AAPLW"),
        halt("X"),
        halt("T", name="MSFT"),
        halt("X", name="MSFT", market="B"),
        sho("3"),
        sho("1", name="MSFT"),
        quoting(1, "A", 1, name="MSFT"),
        collar(1, 2, 3, 4, name="MSFT"),
        trade(0, PRICE),
        trade(1, 0),
        trade(1, 2_000_000_001),
        trade(1, PRICE, name="MSFT"),
        cross(2**40, PRICE),
        cross(1, 0),
        cross(1, 2_000_000_001),
        cross(0, 2_000_000_001),
        cross(1, PRICE, name="MSFT"),
    ],
)
def test_values_that_are_not_allowed_quarantine_and_change_nothing(message: bytes) -> None:
    rig = Rig()
    rig.feed(action("H"), action("T"), halt("H"))
    before = vars(rig.book).copy()
    (event,) = rig.feed(message).events
    after = vars(rig.book).copy()
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"health", "doubt", "since_seq"}
    assert (event.kind, event.reason) == (EventKind.BOOK_QUARANTINED, Doubt.FIELD)
    assert rig.engine.counter["itch_bad_field"] == 1
    assert rig.engine.auctions[0] == Auction()
    assert rig.engine.itch[chr(message[0])] >= 1


def test_market_messages_of_nobody_have_no_effect() -> None:
    rig = Rig()
    before = dict(rig.engine.counter)
    rig.feed(*(head(kind, 999).ljust(size, b"?") for kind, size in (("H", 25), ("P", 44), ("Q", 40), ("J", 35))))
    moved = {name for name, value in rig.engine.counter.items() if value != before[name]}
    assert moved == {"frames", "feed_packets", "feed_messages"}


# --- prints ----------------------------------------------------------------------------------------------------------


def tape(rig: Rig) -> tuple[int, int, int, int]:
    book = rig.book
    return book.last_e4, book.last_qty, book.volume, book.notional_high << 64 | book.notional_e4


def test_what_counts_as_a_trade() -> None:
    rig = Rig()
    rig.feed(add(1, "B", 100, PRICE))
    assert tape(rig) == (PRICE, 0, 0, 0)
    rig.feed(executed(1, 10))
    assert tape(rig) == (PRICE, 10, 10, 10 * PRICE)
    rig.feed(executed_at(1, 20, PRICE + 50))
    assert tape(rig) == (PRICE + 50, 20, 30, 10 * PRICE + 20 * (PRICE + 50))
    before = tape(rig)
    rig.feed(executed_at(1, 30, PRICE + 99, printable="N"))
    assert tape(rig) == before
    assert rig.book.best_qty[0] == 40
    rig.feed(trade(7, PRICE - 1))
    assert tape(rig)[:3] == (PRICE - 1, 7, 37)
    rig.feed(cross(0, 0))
    assert tape(rig)[:3] == (PRICE - 1, 7, 37)
    rig.feed(cross(10_000, PRICE, kind="C"))
    assert tape(rig)[:3] == (PRICE, 10_000, 10_037)
    assert rig.book.cross_type == ord("C")


def test_a_print_has_its_time() -> None:
    rig = Rig()
    rig.feed(add(1, "B", 100, PRICE))
    assert rig.book.last_ns == 0
    rig.feed(executed(1, 10, ns=NS + 1))
    assert rig.book.last_ns == NS + 1
    rig.feed(trade(7, PRICE, ns=NS + 2))
    assert rig.book.last_ns == NS + 2
    rig.feed(cross(0, 0, ns=NS + 3), executed_at(1, 1, PRICE, printable="N"))
    assert rig.book.last_ns == NS + 2
    rig.feed(cross(5, PRICE, ns=NS + 4))
    assert rig.book.last_ns == NS + 4


def test_a_bulk_print_is_the_only_trace_of_executions_that_are_not_printable() -> None:
    rig = Rig()
    rig.feed(add(1, "S", 50, PRICE), add(2, "S", 50, PRICE))
    rig.feed(executed_at(1, 50, PRICE - 1, printable="N"), executed_at(2, 50, PRICE - 1, printable="N"))
    rig.feed(cross(100, PRICE - 1))
    assert tape(rig) == (PRICE - 1, 100, 100, 100 * (PRICE - 1))


def test_sums_of_prints_wrap_where_their_words_end() -> None:
    rig = Rig()
    most = 2**40 - 1
    rig.feed(cross(most, 2_000_000_000))
    assert rig.book.last_qty == 2**32 - 1
    assert tape(rig)[3] == most * 2_000_000_000
    rig.book.volume, rig.book.notional_high, rig.book.notional_e4 = 2**64 - 1, 2**32 - 1, 2**64 - 1
    rig.feed(cross(2, 5))
    assert tape(rig) == (5, 2, 1, 9)


def test_refused_executions_are_no_prints() -> None:
    rig = Rig()
    rig.feed(add(1, "B", 100, PRICE), executed(1, 101))
    assert tape(rig) == (PRICE, 0, 0, 0)


# --- crossed ---------------------------------------------------------------------------------------------------------


def crossed(ns: int = NS, longest_ns: int = SECOND) -> Rig:
    """Bid and offer at one price, seen so at ``ns``."""
    rig = Rig(crossed_ns=longest_ns)
    rig.feed(add(1, "B", 10, PRICE, ns=ns), add(2, "S", 10, PRICE, ns=ns))
    assert rig.book.is_crossed
    return rig


def test_crossed_for_too_long_is_in_doubt() -> None:
    rig = crossed()
    assert rig.book.crossed_ns == NS
    rig.feed(add(3, "B", 1, PRICE, ns=NS + SECOND - 1))
    assert (rig.book.crossed_ns, rig.book.crossed, rig.book.health) == (NS, 1, BookHealth.OK)
    (event,) = rig.feed(add(4, "B", 1, PRICE, ns=NS + SECOND)).events
    assert (event.kind, event.reason, event.feed_seq) == (EventKind.BOOK_QUARANTINED, Doubt.CROSSED, rig.next_feed - 1)
    assert (rig.book.health, rig.book.doubt, rig.book.book_orders) == (BookHealth.QUARANTINED, Doubt.CROSSED, 4)
    assert rig.engine.counter["book_crossed"] == 1


def test_uncrossed_in_time_is_forgotten() -> None:
    rig = crossed()
    assert rig.book.crossed == 1
    rig.feed(delete(2, ns=NS + 5))
    assert (rig.book.crossed_ns, rig.book.crossed) == (0, 0)
    rig.feed(add(3, "S", 1, PRICE - 1, ns=NS + 2 * SECOND))
    assert (rig.book.crossed_ns, rig.book.health) == (NS + 2 * SECOND, BookHealth.OK)


def test_a_time_stamp_of_zero_counts_as_one() -> None:
    assert crossed(ns=0).book.crossed_ns == 1


def test_a_time_stamp_that_goes_back_is_not_too_long() -> None:
    rig = crossed()
    rig.feed(add(3, "B", 1, PRICE, ns=5))
    assert (rig.book.crossed_ns, rig.book.health) == (NS, BookHealth.OK)


def test_between_halt_and_cross_a_book_may_be_crossed() -> None:
    rig = Rig()
    rig.feed(action("H"), action("T"), add(1, "B", 10, PRICE), add(2, "S", 10, PRICE - 500))
    rig.feed(add(3, "B", 1, PRICE, ns=NS + 9 * SECOND))
    assert (rig.book.crossed_ns, rig.book.health) == (0, BookHealth.OK)
    assert rig.book.cross_pending == 1
    rig.feed(cross(0, 0, kind="H", ns=NS + 9 * SECOND), add(4, "B", 1, PRICE, ns=NS + 9 * SECOND))
    assert rig.book.crossed_ns == NS + 9 * SECOND


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase != Phase.MARKET])
def test_outside_market_hours_a_book_may_be_crossed(phase: Phase) -> None:
    rig = Rig()
    rig.receiver.phase = phase
    rig.feed(add(1, "B", 10, PRICE), add(2, "S", 10, PRICE), add(3, "B", 1, PRICE, ns=NS + 2 * SECOND))
    assert (rig.book.crossed_ns, rig.book.health) == (0, BookHealth.OK)


@pytest.mark.parametrize("state", ["H", "P", "Q"])
def test_a_book_that_does_not_trade_may_be_crossed(state: str) -> None:
    rig = crossed()
    rig.feed(action(state), add(3, "B", 1, PRICE, ns=NS + 2 * SECOND))
    assert (rig.book.crossed_ns, rig.book.health) == (0, BookHealth.OK)


def test_the_end_of_market_hours_forgets() -> None:
    rig = crossed()
    rig.feed(system("M"), add(3, "B", 1, PRICE, ns=NS + 2 * SECOND))
    assert (rig.book.crossed_ns, rig.book.health) == (0, BookHealth.OK)


def test_crossed_for_ever_when_nobody_minds() -> None:
    rig = crossed(longest_ns=0)
    rig.feed(add(3, "B", 1, PRICE, ns=NS + 9 * SECOND))
    assert (rig.book.crossed_ns, rig.book.health) == (0, BookHealth.OK)


def test_a_crossed_book_does_not_trade() -> None:
    rig = crossed()
    rig.engine.params[0].buy_below_e4 = PRICE
    assert [event.reason for event in rig.feed(add(3, "S", 5, PRICE + 100)).events] == [Reason.BOOK_CROSSED]


def test_the_message_that_brings_doubt_takes_no_mark_and_asks_nobody() -> None:
    rig = Rig()
    rig.hold(100, PRICE)
    rig.feed(add(1, "B", 10, PRICE), add(2, "S", 10, PRICE))
    rig.engine.params[0].buy_below_e4 = PRICE
    signals = rig.engine.counter["signals"]
    rig.feed(add(3, "B", 1, PRICE + 100, ns=NS + SECOND))
    assert rig.book.doubt == Doubt.CROSSED
    assert rig.engine.symbols[0].mark_e4 == PRICE
    assert rig.book.bid_e4 == PRICE + 100
    assert rig.engine.counter["signals"] == signals


def test_every_message_kept_while_crossed_is_not_applied() -> None:
    rig = crossed()
    rig.feed(add(3, "B", 1, PRICE, ns=NS + SECOND), delete(1), delete(2), action("H", locate=LOCATE))
    assert (rig.book.book_orders, rig.book.trading_state, rig.engine.counter["book_kept"]) == (3, ord("T"), 3)
