"""Rule 3: ITCH messages and the binding of locates."""

from __future__ import annotations

import pytest
from model_bytes import LOCATE, NS, Rig, add, delete, directory, head, kinds
from turbo_hft.model import BookHealth, EventKind
from turbo_hft.model.names import ITCH_LENGTHS


@pytest.mark.parametrize("block", [b"", b"Z" + bytes(30), b"s" + bytes(11), b"\xff"])
def test_unknown_type(block: bytes) -> None:
    rig = Rig()
    rig.feed(block)
    assert rig.engine.counter["itch_unknown_type"] == 1
    assert rig.engine.feed.exchange_ns == NS


@pytest.mark.parametrize("kind", list(ITCH_LENGTHS))
def test_every_type_counts_and_sets_the_clock(kind: str) -> None:
    rig = Rig()
    before = rig.engine.itch[kind]
    rig.feed((head(kind, 999, NS + 1)).ljust(ITCH_LENGTHS[kind], b"?"))
    assert rig.engine.itch[kind] == before + 1
    assert rig.engine.feed.exchange_ns == NS + 1
    assert rig.engine.counter["book_untracked"] == (1 if kind in "AFECXDU" else 0)


def test_clock_may_go_back() -> None:
    rig = Rig()
    rig.feed(head("S", 0, NS - 5) + b"M")
    assert rig.engine.feed.exchange_ns == NS - 5


@pytest.mark.parametrize("kind", list(ITCH_LENGTHS))
@pytest.mark.parametrize("delta", [-1, 1])
def test_wrong_length(kind: str, delta: int) -> None:
    rig = Rig()
    before = dict(rig.engine.itch)
    outcome = rig.feed(head(kind, LOCATE, NS + 1).ljust(ITCH_LENGTHS[kind] + delta, b"?"))
    assert rig.engine.counter["itch_bad_length"] == 1
    assert rig.engine.itch == before
    assert rig.engine.feed.exchange_ns == NS
    suspect = kind in "AFECXDU"
    assert rig.engine.symbols[0].health == (BookHealth.SUSPECT if suspect else BookHealth.OK)
    assert kinds(outcome) == ([EventKind.BOOK_SUSPECT] if suspect else [])


@pytest.mark.parametrize(("length", "suspect"), [(1, False), (2, False), (3, True)])
def test_short_book_message_needs_a_locate_to_name_a_suspect(length: int, suspect: bool) -> None:
    rig = Rig()
    rig.feed(head("D")[:length])
    assert rig.engine.counter["itch_bad_length"] == 1
    assert (rig.engine.symbols[0].health == BookHealth.SUSPECT) is suspect


def test_suspect_event_once_with_its_message() -> None:
    rig = Rig()
    rig.feed(add(1, "B", 10, 1_000_000))
    outcome = rig.feed(delete(1, ns=NS + 3), delete(1, ns=NS + 4), delete(1, ns=NS + 5))
    (event,) = outcome.events
    assert (event.kind, event.symbol, event.feed_seq, event.exchange_ns) == (EventKind.BOOK_SUSPECT, 0, 4, NS + 4)
    assert (event.side, event.price_e4, event.qty, event.user_ref) == (0, 0, 0, 0)
    assert rig.engine.counter["book_unknown_ref"] == 2


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
    assert rig.engine.symbols[0].locate == 5
    assert rig.engine.counter["itch_bad_field"] == 0


def test_messages_before_the_directory_are_untracked() -> None:
    rig = unbound()
    rig.feed(add(1, "B", 1, 1, locate=5), add(2, "B", 1, 1, locate=0), directory("AAPL", 5))
    assert rig.engine.counter["book_untracked"] == 2
    assert rig.engine.symbols[0].book_orders == 0


@pytest.mark.parametrize(
    ("first", "second", "suspects"),
    [
        (directory("MSFT", 5), directory("AAPL", 5), [3, 0]),
        (directory("AAPL", 5), directory("AAPL", 6), [0]),
        (directory("AAPL", 5), directory("ZVZZT", 5), [0]),
        (directory("ZVZZT", 5), directory("AAPL", 0), [0]),
        (directory("AAPL", 5), directory("AAPL", 0), [0]),
    ],
)
def test_disagreement_makes_suspect(first: bytes, second: bytes, suspects: list[int]) -> None:
    rig = unbound()
    assert doubts(rig, first, second) == suspects
    assert rig.engine.counter["itch_bad_field"] == 1


def test_unused_slots_have_no_name() -> None:
    rig = unbound()
    rig.feed(head("R", 9) + bytes(28))
    assert rig.engine.counter["itch_bad_field"] == 0
