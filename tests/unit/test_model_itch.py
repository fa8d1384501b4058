"""Rule 3: ITCH messages and the binding of locates."""

from __future__ import annotations

import struct

import pytest
from model_bytes import LOCATE, NS, Rig, add, breaker, delete, directory, head, kinds, system
from turbo_hft.model import BookHealth, Doubt, EventKind, Phase
from turbo_hft.model.names import ITCH_LENGTHS


@pytest.mark.parametrize("block", [b"", b"Z" + bytes(30), b"s" + bytes(11), b"\xff"])
def test_unknown_type(block: bytes) -> None:
    rig = Rig()
    rig.feed(block)
    assert rig.engine.counter["itch_unknown_type"] == 1
    assert rig.receiver.exchange_ns == NS


@pytest.mark.parametrize("kind", list(ITCH_LENGTHS))
def test_every_type_counts_and_sets_the_clock(kind: str) -> None:
    rig = Rig()
    before = rig.engine.itch[kind]
    rig.feed((head(kind, 999, NS + 1)).ljust(ITCH_LENGTHS[kind], b"?"))
    assert rig.engine.itch[kind] == before + 1
    assert rig.receiver.exchange_ns == NS + 1
    assert rig.engine.counter["book_untracked"] == (1 if kind in "AFECXDU" else 0)


def test_clock_may_go_back_but_what_was_seen_stays() -> None:
    rig = Rig()
    rig.feed(head("S", 0, NS - 5) + b"M")
    assert (rig.receiver.exchange_ns, rig.receiver.seen_ns) == (NS - 5, NS)


def test_the_clock_of_a_packet_is_that_of_its_last_message() -> None:
    rig = Rig()
    rig.feed(system("Q", NS + 9), system("Q", NS + 5))
    assert (rig.receiver.exchange_ns, rig.receiver.seen_ns) == (NS + 5, NS + 5)


@pytest.mark.parametrize("kind", list(ITCH_LENGTHS))
@pytest.mark.parametrize("delta", [-1, 1])
def test_wrong_length(kind: str, delta: int) -> None:
    rig = Rig()
    before = dict(rig.engine.itch)
    outcome = rig.feed(head(kind, LOCATE, NS + 1).ljust(ITCH_LENGTHS[kind] + delta, b"?"))
    assert rig.engine.counter["itch_bad_length"] == 1
    assert rig.engine.itch == before
    assert rig.receiver.exchange_ns == NS
    doubted = kind in "AFECXDUHYKJhPQ"
    assert rig.book.health == (BookHealth.QUARANTINED if doubted else BookHealth.OK)
    assert kinds(outcome) == ([EventKind.BOOK_QUARANTINED] if doubted else [])
    assert rig.receiver.phase == (Phase.NONE if kind == "S" else Phase.MARKET)
    assert rig.receiver.breaker == (ord("?") if kind == "W" else 0)


@pytest.mark.parametrize(("length", "doubted"), [(1, False), (2, False), (3, True)])
def test_short_book_message_needs_a_locate_to_doubt_a_book(length: int, doubted: bool) -> None:
    rig = Rig()
    rig.feed(head("D")[:length])
    assert rig.engine.counter["itch_bad_length"] == 1
    assert (rig.book.health == BookHealth.QUARANTINED) is doubted


def test_quarantine_is_reported_once_with_its_message() -> None:
    rig = Rig()
    rig.feed(add(1, "B", 10, 1_000_000))
    outcome = rig.feed(delete(1, ns=NS + 3), delete(1, ns=NS + 4), delete(1, ns=NS + 5))
    (event,) = outcome.events
    assert (event.kind, event.symbol, event.feed_seq, event.exchange_ns) == (EventKind.BOOK_QUARANTINED, 0, 6, NS + 4)
    assert (event.side, event.price_e4, event.qty, event.user_ref) == (0, 0, 0, 0)
    assert (event.reason, rig.book.doubt, rig.book.since_seq) == (Doubt.UNKNOWN_REF, Doubt.UNKNOWN_REF, 7)
    assert rig.engine.counter["book_unknown_ref"] == rig.engine.counter["book_kept"] == 1


def unbound() -> Rig:
    rig = Rig(ready=False)
    rig.engine.add_symbol(0, "AAPL")
    rig.engine.add_symbol(3, "MSFT")
    return rig


def doubts(rig: Rig, *messages: bytes) -> list[int]:
    return [event.symbol for event in rig.feed(*messages).events]


def test_directory_binds_once_and_repeats_are_nothing() -> None:
    rig = unbound()
    assert doubts(rig, directory("AAPL", 5), directory("AAPL", 5), directory("ZVZZT", 6), directory("ZVZZT", 0)) == []
    assert rig.book.locate == 5
    assert rig.engine.counter["itch_bad_field"] == 0


def test_messages_before_the_directory_are_untracked() -> None:
    rig = unbound()
    rig.feed(add(1, "B", 1, 1, locate=5), add(2, "B", 1, 1, locate=0), directory("AAPL", 5))
    assert rig.engine.counter["book_untracked"] == 2
    assert rig.book.book_orders == 0


@pytest.mark.parametrize(
    ("first", "second", "doubted"),
    [
        (directory("MSFT", 5), directory("AAPL", 5), [3, 0]),
        (directory("AAPL", 5), directory("AAPL", 6), [0]),
        (directory("AAPL", 5), directory("ZVZZT", 5), [0]),
        (directory("ZVZZT", 5), directory("AAPL", 0), [0]),
        (directory("AAPL", 5), directory("MSFT", 5), [0, 3]),
        (directory("AAPL", 5), directory("AAPL", 0), [0]),
    ],
)
def test_disagreement_is_doubted(first: bytes, second: bytes, doubted: list[int]) -> None:
    rig = unbound()
    assert doubts(rig, first, second) == doubted
    assert rig.engine.counter["itch_bad_field"] == 1


@pytest.mark.parametrize("closed", [directory("ZVZZT", 5), add(1, "B", 1, 1, locate=5)])
def test_a_locate_that_was_closed_is_bound_late(closed: bytes) -> None:
    rig = unbound()
    (event,) = rig.feed(closed, closed, directory("AAPL", 5)).events
    assert (event.symbol, event.reason, event.feed_seq) == (0, Doubt.LATE, 3)
    assert (rig.book.locate, rig.book.health, rig.book.since_seq) == (5, BookHealth.QUARANTINED, 4)
    assert rig.engine.counter["itch_bad_field"] == 0
    rig.feed(add(7, "B", 1, 1, locate=5))
    assert (rig.engine.counter["book_kept"], rig.book.kept_seq) == (1, 4)


@pytest.mark.parametrize("kind", "HYKJhPQ")
def test_market_messages_do_not_close_a_locate(kind: str) -> None:
    rig = unbound()
    assert doubts(rig, head(kind, 5).ljust(ITCH_LENGTHS[kind], b" "), directory("AAPL", 5)) == []
    assert rig.engine.counter["itch_bad_field"] == 0


@pytest.mark.parametrize("kind", list("SRLVWBINO"))
def test_messages_that_are_of_no_symbol_leave_a_quarantined_one_alone(kind: str) -> None:
    rig = Rig()
    rig.feed(delete(9))
    rig.feed(head(kind, LOCATE).ljust(ITCH_LENGTHS[kind], b"Q"))
    assert rig.engine.counter["book_kept"] == 0


@pytest.mark.parametrize(("code", "phase"), list(zip("OSQMEC", list(Phase)[1:], strict=True)))
def test_phases(code: str, phase: Phase) -> None:
    rig = Rig(ready=False)
    rig.feed(system(code))
    assert (rig.receiver.phase, rig.engine.counter["itch_bad_field"]) == (phase, 0)


@pytest.mark.parametrize(
    ("message", "phase", "level"),
    [
        (system("Z"), Phase.NONE, 0),
        (system("q"), Phase.NONE, 0),
        (breaker("0"), Phase.MARKET, ord("?")),
        (breaker("4"), Phase.MARKET, ord("?")),
        (breaker("\0"), Phase.MARKET, ord("?")),
    ],
)
def test_a_code_nobody_knows_may_be_the_one_that_stops_the_market(message: bytes, phase: Phase, level: int) -> None:
    rig = Rig()
    rig.feed(message)
    assert (rig.receiver.phase, rig.receiver.breaker) == (phase, level)
    assert rig.engine.counter["itch_bad_field"] == 1
    assert rig.book.health == BookHealth.OK


def test_circuit_breaker() -> None:
    rig = Rig()
    rig.feed(head("V", 0) + struct.pack(">QQQ", 10**12, 2**64 - 1, 5), breaker("1"), breaker("3"))
    assert rig.receiver.breaker_level_e8 == [10**12, 2**64 - 1, 5]
    assert rig.receiver.breaker == ord("3")


def test_unused_slots_have_no_name() -> None:
    rig = unbound()
    rig.feed(head("R", 9) + bytes(28))
    assert rig.engine.counter["itch_bad_field"] == 0
