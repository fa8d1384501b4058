"""Rule 2: the ring of kept messages, its bounds and what is drained from it."""

from __future__ import annotations

import pytest
from model_bytes import NS, Rig, add, delete, system
from turbo_hft.model import FeedHealth, Line, Op
from turbo_hft.model import kept as ring

TICK = system("Q")


def test_a_place_is_the_low_bits_and_the_tag_the_whole_number() -> None:
    rig = Rig(ready=False, kept_mask=7)
    rig.receiver.generation = 3
    rig.feed(TICK)
    rig.at(6, TICK)
    (key,) = rig.engine.kept
    message = rig.engine.kept[key]
    assert key == (0, 6)
    assert (message.tag, message.length, message.msg) == (4 << 48 | 6, 12, TICK)


def test_of_a_long_message_the_beginning_is_kept() -> None:
    rig = Rig(ready=False)
    rig.at(5, b"x" * 100)
    message = rig.engine.kept[0, 5]
    assert (message.length, message.msg) == (100, b"x" * 54)
    assert ring.find(rig.engine, 0, 5) == b"x" * 54 + bytes(46)


@pytest.mark.parametrize(("ahead", "kept"), [(1, True), (7, True), (8, False), (9, False)])
def test_so_far_ahead_and_no_further(ahead: int, kept: bool) -> None:
    rig = Rig(ready=False, kept_mask=7)
    rig.feed(TICK)
    rig.at(2 + ahead, TICK)
    assert (rig.engine.counter["feed_kept"], rig.engine.counter["feed_not_kept"]) == ((1, 0) if kept else (0, 1))
    assert rig.receiver.highest_seq == 3 + ahead
    assert rig.receiver.first[0] == (2 if kept else 1)


def test_what_was_not_kept_stays_missing() -> None:
    rig = Rig(ready=False, kept_mask=3)
    rig.at(2, TICK, TICK, TICK, TICK)
    assert (rig.engine.counter["feed_kept"], rig.engine.counter["feed_not_kept"]) == (3, 1)
    rig.at(1, TICK)
    assert (rig.receiver.expected_seq, rig.receiver.highest_seq, rig.receiver.health) == (5, 6, FeedHealth.HOLD)
    rig.at(5, TICK, line=Line.REREQUEST)
    assert (rig.receiver.expected_seq, rig.receiver.health) == (6, FeedHealth.LIVE)


def test_one_packet_drains_so_many_and_the_next_goes_on() -> None:
    rig = Rig(ready=False, hold_ns=10**15)
    for first in range(2, 1202, 100):
        rig.at(first, *[TICK] * 100)
    rig.at(1, TICK)
    assert (rig.receiver.expected_seq, rig.receiver.health) == (514, FeedHealth.HOLD)
    rig.at(1)
    assert rig.receiver.expected_seq == 1026
    assert rig.engine.counter["feed_messages"] == 1025
    rig.command(Op.POKE)
    assert (rig.receiver.expected_seq, rig.receiver.health) == (1202, FeedHealth.LIVE)


def test_messages_of_another_session_are_not_found() -> None:
    rig = Rig(ready=False)
    rig.at(3, TICK)
    assert ring.find(rig.engine, 0, 3) == TICK
    rig.receiver.generation += 1
    assert ring.find(rig.engine, 0, 3) is None


def test_no_tag_is_that_of_an_empty_place() -> None:
    rig = Rig(ready=False)
    assert ring.tag_of(rig.engine, 0, 2**48) == 1 << 48
    ring.keep(rig.engine, 0, 2**48, TICK)
    assert ring.find(rig.engine, 0, 2**48) == TICK


def test_newer_messages_overwrite_those_of_a_symbol_in_quarantine() -> None:
    rig = Rig(kept_mask=7)
    rig.feed(delete(99))
    first = rig.next_feed
    rig.feed(*(add(ref, "B", 1, 1_000_000, ns=NS + ref) for ref in range(1, 11)))
    assert rig.engine.counter["book_kept"] == 10
    assert rig.book.kept_seq == first + 9
    found = [number for number in range(first, first + 10) if ring.find(rig.engine, 0, number) is not None]
    assert found == list(range(first + 2, first + 10))


def test_early_messages_overwrite_those_of_a_symbol_in_quarantine() -> None:
    rig = Rig(kept_mask=7)
    rig.feed(delete(99), add(1, "B", 1, 1_000_000))
    kept = rig.next_feed - 1
    rig.at(kept + 8, TICK)
    assert ring.find(rig.engine, 0, kept) is None
    assert ring.find(rig.engine, 0, kept + 8) == TICK


def test_drained_messages_of_a_symbol_in_quarantine_stay_kept() -> None:
    rig = Rig()
    rig.feed(delete(99))
    first = rig.next_feed
    message = add(1, "B", 1, 1_000_000)
    rig.at(first + 1, message)
    rig.at(first, TICK)
    assert (rig.engine.counter["feed_kept"], rig.engine.counter["book_kept"], rig.book.kept_seq) == (1, 1, first + 1)
    assert ring.find(rig.engine, 0, first + 1) == message
