"""Rule 2: two lines and the re-request server: who is first, what is held, what becomes a gap."""

from __future__ import annotations

import pytest
from model_bytes import LOCATE, NS, Rig, add, head, system
from turbo_hft.model import BookHealth, Clock, EventKind, FeedHealth, Line, Outcome, Reason

TICK = system("Q")
PRICE = 1_500_000
HOLD_NS = 2_000_000


def says(outcome: Outcome) -> list[tuple[EventKind, int, int]]:
    return [(event.kind, event.feed_seq, event.qty) for event in outcome.events]


def started(clock: Clock = Clock.MONOTONIC) -> Rig:
    """Message 1 of the feed has come, at local time 1 ms."""
    rig = Rig(ready=False, clock=clock)
    rig.feed(TICK, now_ns=1_000_000)
    return rig


def test_the_second_line_brings_the_same_later() -> None:
    rig = started()
    rig.at(1, TICK, line=Line.B)
    rig.at(2, TICK, TICK, line=Line.B)
    rig.at(2, TICK, TICK)
    feed, counter = rig.receiver, rig.engine.counter
    assert (feed.first, feed.late, feed.line_next) == ([1, 2, 0], [2, 1, 0], [4, 4, 0])
    assert (counter["feed_messages"], counter["feed_duplicates"], counter["feed_holds"]) == (3, 3, 0)
    assert feed.health == FeedHealth.LIVE


def test_a_hold_that_the_other_line_ends_is_told_to_nobody() -> None:
    rig = started()
    assert rig.at(3, TICK, now_ns=5).events == []
    feed, counter = rig.receiver, rig.engine.counter
    assert (feed.health, feed.expected_seq, feed.highest_seq, feed.hold_since_ns) == (FeedHealth.HOLD, 2, 4, 5)
    assert (counter["feed_holds"], counter["feed_kept"], counter["feed_messages"]) == (1, 1, 1)
    assert rig.at(2, TICK, line=Line.B, now_ns=6).events == []
    assert (feed.health, feed.expected_seq, feed.hold_since_ns, feed.gaps) == (FeedHealth.LIVE, 4, 0, 0)
    assert (counter["feed_messages"], counter["feed_duplicates"], feed.first) == (3, 0, [2, 1, 0])


def test_what_is_kept_comes_again_by_the_other_line() -> None:
    rig = started()
    rig.at(3, TICK)
    rig.at(3, TICK, line=Line.B)
    assert (rig.engine.counter["feed_kept"], rig.engine.counter["feed_duplicates"]) == (1, 1)
    assert (rig.receiver.first, rig.receiver.late) == ([2, 0, 0], [0, 1, 0])


def test_a_hold_becomes_a_gap_when_its_time_is_over() -> None:
    rig = started()
    rig.at(4, TICK, now_ns=10)
    assert says(rig.at(5, TICK, now_ns=10 + HOLD_NS - 1)) == []
    assert says(rig.at(6, TICK, now_ns=10 + HOLD_NS)) == [(EventKind.FEED_GAP, 2, 5)]
    feed, counter = rig.receiver, rig.engine.counter
    assert (feed.health, feed.gaps, feed.missed, counter["feed_gaps"]) == (FeedHealth.GAP, 1, 0, 1)
    assert says(rig.at(7, TICK, now_ns=10 + 9 * HOLD_NS)) == []
    assert says(rig.at(2, TICK, TICK, line=Line.REREQUEST, now_ns=99)) == [(EventKind.FEED_LIVE, 8, 0)]
    assert (feed.health, feed.expected_seq, feed.hold_since_ns) == (FeedHealth.LIVE, 8, 0)
    assert feed.first == [5, 0, 2]


def test_only_in_part_filled_it_stays_a_gap() -> None:
    rig = started()
    rig.at(6, TICK, now_ns=10)
    rig.at(7, TICK, now_ns=10 + HOLD_NS)
    assert says(rig.at(2, TICK, TICK, line=Line.REREQUEST, now_ns=10 + 2 * HOLD_NS)) == []
    assert (rig.receiver.health, rig.receiver.expected_seq) == (FeedHealth.GAP, 4)
    assert rig.receiver.hold_since_ns == 10


def test_the_next_hole_has_a_hold_of_its_own() -> None:
    rig = started()
    rig.at(3, TICK, now_ns=10)
    rig.at(5, TICK, now_ns=10)
    rig.at(2, TICK, line=Line.B, now_ns=10 + HOLD_NS)
    assert (rig.receiver.health, rig.receiver.expected_seq) == (FeedHealth.HOLD, 4)
    assert rig.receiver.hold_since_ns == 10 + HOLD_NS
    assert rig.engine.counter["feed_holds"] == 1
    assert says(rig.at(6, line=Line.B, now_ns=10 + 2 * HOLD_NS)) == [(EventKind.FEED_GAP, 4, 2)]


def test_a_hole_that_only_gets_smaller_has_no_new_hold() -> None:
    rig = started()
    rig.at(5, TICK, now_ns=10)
    assert says(rig.at(2, TICK, line=Line.B, now_ns=10 + HOLD_NS)) == [(EventKind.FEED_GAP, 3, 3)]
    assert rig.receiver.hold_since_ns == 10


def test_a_clock_that_goes_back_is_no_gap() -> None:
    rig = started()
    rig.at(5, TICK, now_ns=10 + HOLD_NS)
    assert says(rig.at(6, TICK, now_ns=9)) == []


def test_hold_of_no_length_is_a_gap_at_once() -> None:
    rig = Rig(ready=False, hold_ns=0)
    assert says(rig.at(4, TICK)) == [(EventKind.FEED_GAP, 1, 4)]
    assert rig.engine.counter["feed_holds"] == rig.engine.counter["feed_gaps"] == 1


def test_a_gap_of_more_than_an_event_can_say() -> None:
    rig = Rig(ready=False, hold_ns=0, clock=Clock.MONOTONIC)
    assert says(rig.at(2**62, TICK, now_ns=1)) == [(EventKind.FEED_GAP, 1, 2**32 - 1)]
    assert rig.engine.counter["feed_not_kept"] == 1


def test_gap_by_the_clock_of_the_feed_which_kept_messages_move() -> None:
    rig = started(Clock.FEED)
    rig.at(3, system("Q", NS + 7))
    assert (rig.receiver.hold_since_ns, rig.receiver.seen_ns, rig.receiver.exchange_ns) == (NS + 7, NS + 7, NS)
    assert says(rig.at(4, system("Q", NS + 7 + HOLD_NS - 1))) == []
    assert says(rig.at(5, system("Q", NS + 7 + HOLD_NS))) == [(EventKind.FEED_GAP, 2, 4)]


def test_kept_messages_too_short_for_a_time_leave_the_clock_alone() -> None:
    rig = started(Clock.FEED)
    rig.at(3, system("Q", NS + 9)[:10], b"")
    assert rig.receiver.seen_ns == NS
    rig.at(6, b"?" * 5 + (NS + 3).to_bytes(6, "big"))
    assert rig.receiver.seen_ns == NS + 3


def test_late_start_is_a_hold_from_one() -> None:
    rig = Rig(ready=False, clock=Clock.MONOTONIC)
    assert says(rig.at(4, TICK)) == []
    assert (rig.receiver.health, rig.receiver.expected_seq, rig.receiver.hold_since_ns) == (FeedHealth.HOLD, 1, 1)
    assert says(rig.at(5, now_ns=1 + HOLD_NS)) == [(EventKind.FEED_GAP, 1, 4)]
    assert says(rig.at(1, TICK, TICK, TICK, line=Line.REREQUEST)) == [(EventKind.FEED_LIVE, 5, 0)]


def test_a_heartbeat_shows_that_the_tail_was_lost() -> None:
    rig = started()
    rig.at(4, now_ns=10)
    assert (rig.receiver.health, rig.receiver.highest_seq) == (FeedHealth.HOLD, 4)
    assert says(rig.at(4, now_ns=10 + HOLD_NS)) == [(EventKind.FEED_GAP, 2, 2)]
    assert rig.engine.counter["feed_heartbeats"] == 2


def test_gap_event_carries_the_time_of_the_newest_message_applied() -> None:
    rig = Rig(ready=False, hold_ns=0)
    rig.feed(TICK)
    assert rig.at(5, system("M", NS + 9)).events[0].exchange_ns == NS


def test_packet_with_the_next_message_and_a_hole_behind_it() -> None:
    rig = started()
    rig.at(9, now_ns=5)
    rig.at(2, TICK, TICK, now_ns=77)
    assert (rig.receiver.expected_seq, rig.receiver.hold_since_ns) == (4, 5)


def test_kept_messages_are_applied_in_order() -> None:
    rig = Rig()
    first = rig.next_feed
    rig.at(first + 2, add(3, "B", 5, PRICE))
    rig.at(first + 1, add(2, "B", 5, PRICE - 100), line=Line.B)
    assert (rig.book.book_messages, rig.book.bid_e4) == (0, 0)
    rig.at(first, add(1, "B", 5, PRICE - 200))
    assert (rig.book.book_messages, rig.book.bid_e4) == (3, PRICE)
    assert rig.receiver.expected_seq == first + 3


@pytest.mark.parametrize("filled", [False, True])
def test_nothing_leaves_while_something_is_missing(filled: bool) -> None:
    rig = Rig()
    rig.engine.params[0].buy_below_e4 = PRICE
    first = rig.next_feed
    rig.at(first + 9)
    if filled:
        rig.at(first + 1, *[TICK] * 8, line=Line.REREQUEST)
    outcome = rig.at(first, add(1, "S", 10, PRICE))
    assert [event.kind for event in outcome.events] == [EventKind.ORDER if filled else EventKind.REFUSED]
    assert rig.engine.refused[Reason.FEED_NOT_LIVE] == (0 if filled else 1)


def test_a_hold_quarantines_nothing() -> None:
    rig = Rig()
    rig.feed(add(1, "B", 10, PRICE))
    rig.at(rig.next_feed + 1, add(3, "B", 1, PRICE + 200))
    rig.at(rig.next_feed, add(2, "B", 1, PRICE + 100), line=Line.B)
    assert (rig.book.health, rig.book.book_orders, rig.book.bid_e4) == (BookHealth.OK, 3, PRICE + 200)


def test_messages_of_wrong_length_are_kept_with_it() -> None:
    rig = Rig()
    rig.at(rig.next_feed + 1, head("D", LOCATE).ljust(70, b"?"))
    rig.at(rig.next_feed, TICK)
    assert rig.engine.counter["itch_bad_length"] == 1
    assert rig.book.health == BookHealth.QUARANTINED
