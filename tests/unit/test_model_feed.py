"""Rule 2: MoldUDP64, one line alone: shapes, sessions, numbers, and the end."""

from __future__ import annotations

import struct

import pytest
from model_bytes import NS, SESSION, Rig, add, frame, head, kinds, mold
from turbo_hft.model import EventKind, FeedHealth, Line, ModelEngine, Role, XdpAction
from turbo_hft.model.names import LINES, MAX_FEEDS

TICK = head("S", 0) + b"Q"


def fresh() -> tuple[ModelEngine, Rig]:
    rig = Rig(ready=False)
    return rig.engine, rig


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        mold(1)[:19],
        mold(0, TICK),
        mold(2**62 + 1, TICK),
        mold(1, TICK, count=0),
        mold(1, TICK, count=0xFFFF),
        mold(1, TICK, count=2),
        mold(1, TICK, TICK, count=1),
        mold(1, TICK) + b"\0",
        mold(1, TICK)[:-1],
        mold(1, *[b""] * 1730),
    ],
)
def test_malformed_changes_nothing(payload: bytes) -> None:
    engine, rig = fresh()
    before = vars(rig.receiver).copy()
    outcome = engine.packet(frame(payload), 0)
    assert outcome.verdict == XdpAction.PASS
    assert engine.counter["feed_malformed"] == engine.counter["feed_packets"] == 1
    assert engine.counter["feed_messages"] == 0
    assert vars(rig.receiver) == before


@pytest.mark.parametrize(("feed", "line"), [(MAX_FEEDS, 0), (255, 0), (0, LINES), (0, 255)])
def test_feeds_and_lines_that_are_none(feed: int, line: int) -> None:
    engine, _ = fresh()
    engine.add_flow("239.79.0.1", 1, Role.FEED, feed=feed, line=line)
    assert engine.packet(frame(mold(1, TICK), ("239.79.0.1", 1)), 0).verdict == XdpAction.PASS
    assert (engine.counter["not_ours"], engine.counter["feed_packets"]) == (1, 0)


def test_feeds_are_apart() -> None:
    engine, rig = fresh()
    engine.add_flow("239.79.0.1", 1, Role.FEED, feed=3)
    rig.feed(TICK)
    engine.packet(frame(mold(1, TICK, TICK, session=b"OTHER     "), ("239.79.0.1", 1)), 0)
    assert [state.expected_seq for state in engine.feeds] == [2, 0, 0, 3]
    assert engine.feeds[3].session == b"OTHER     "


def test_most_blocks() -> None:
    engine, rig = fresh()
    assert engine.packet(frame(mold(1, *[b""] * 1729)), 0).verdict == XdpAction.DROP
    assert engine.counter["feed_messages"] == engine.counter["itch_unknown_type"] == 1729
    assert rig.receiver.expected_seq == 1730


def test_in_order_is_live() -> None:
    engine, rig = fresh()
    assert rig.feed(TICK).verdict == XdpAction.DROP
    feed = rig.receiver
    assert (feed.health, feed.session, feed.expected_seq, feed.highest_seq) == (FeedHealth.LIVE, SESSION, 2, 2)
    assert (feed.exchange_ns, feed.seen_ns, feed.hold_since_ns) == (NS, NS, 0)
    assert (feed.first, feed.late, feed.line_next) == ([1, 0, 0], [0, 0, 0], [2, 0, 0])
    assert engine.itch["S"] == 1


def test_first_heartbeat_locks_and_is_live() -> None:
    engine, rig = fresh()
    rig.feed()
    feed = rig.receiver
    assert (feed.session, feed.health, feed.expected_seq, feed.highest_seq) == (SESSION, FeedHealth.LIVE, 1, 1)
    assert engine.counter["feed_heartbeats"] == 1


def test_other_session_passes_untouched() -> None:
    engine, rig = fresh()
    rig.feed(TICK)
    before = vars(rig.receiver).copy()
    for payload in (mold(2, TICK, session=b"OTHER     "), mold(9, session=b"OTHER     ")):
        assert engine.packet(frame(payload), 0).verdict == XdpAction.PASS
    assert engine.counter["feed_wrong_session"] == 2
    assert vars(rig.receiver) == before


def test_session_of_zero_bytes_locks_as_well() -> None:
    engine, _ = fresh()
    engine.packet(frame(mold(1, TICK, session=bytes(10))), 0)
    engine.packet(frame(mold(2, TICK)), 0)
    assert engine.counter["feed_wrong_session"] == 1


def test_overlap_is_trimmed_message_by_message() -> None:
    engine, rig = fresh()
    rig.feed(TICK, TICK)
    rig.at(1, TICK, TICK, TICK)
    assert (engine.counter["feed_duplicates"], engine.counter["feed_messages"]) == (2, 3)
    assert (rig.receiver.expected_seq, rig.receiver.first, rig.receiver.late) == (4, [3, 0, 0], [2, 0, 0])
    rig.at(2, TICK)
    assert (engine.counter["feed_duplicates"], rig.receiver.expected_seq) == (3, 4)
    assert rig.receiver.health == FeedHealth.LIVE


def test_old_heartbeat_does_not_go_back() -> None:
    _, rig = fresh()
    rig.feed(TICK, TICK)
    assert rig.at(1).verdict == XdpAction.DROP
    assert (rig.receiver.expected_seq, rig.receiver.highest_seq, rig.receiver.line_next[0]) == (3, 3, 3)


def test_end_of_session_once() -> None:
    engine, rig = fresh()
    rig.feed(TICK)
    first, again = rig.at(2, count=0xFFFF), rig.at(2, count=0xFFFF)
    assert [(event.kind, event.feed_seq) for event in first.events] == [(EventKind.FEED_ENDED, 2)]
    assert again.events == []
    assert rig.receiver.health == FeedHealth.ENDED
    assert engine.counter["feed_end_of_session"] == 2


def test_end_of_session_with_something_missing_is_no_end_yet() -> None:
    engine, rig = fresh()
    rig.feed(TICK)
    assert rig.at(4, count=0xFFFF).events == []
    assert (rig.receiver.health, rig.receiver.highest_seq) == (FeedHealth.HOLD, 4)
    assert rig.at(2, TICK, TICK, line=Line.REREQUEST).events == []
    assert rig.receiver.health == FeedHealth.LIVE
    assert kinds(rig.at(4, count=0xFFFF)) == [EventKind.FEED_ENDED]
    assert engine.counter["feed_end_of_session"] == 2


def test_messages_after_the_end_are_handled_and_it_stays_ended() -> None:
    engine, rig = fresh()
    rig.feed(TICK)
    rig.at(2, count=0xFFFF)
    rig.at(4, TICK)
    assert (rig.receiver.health, engine.counter["feed_holds"]) == (FeedHealth.ENDED, 1)
    rig.at(2, TICK, TICK)
    assert (rig.receiver.health, rig.receiver.expected_seq, rig.receiver.hold_since_ns) == (FeedHealth.ENDED, 5, 0)
    assert engine.counter["feed_gaps"] == 0


def test_event_ids_are_consecutive_and_carry_the_epoch() -> None:
    engine, rig = fresh()
    engine.control.epoch = 77
    events = rig.feed(head("R", 1) + bytes(28)).events
    for _ in range(3):
        rig.at(rig.receiver.expected_seq, count=0xFFFF)
        rig.receiver.health = FeedHealth.LIVE
        events += rig.at(rig.receiver.expected_seq, count=0xFFFF).events
        rig.receiver.health = FeedHealth.LIVE
    assert [event.id for event in events] == [2, 4, 6]
    assert {event.epoch for event in events} == {77}
    assert engine.session.event_id == engine.counter["events"] == 6


def test_local_time_is_packet_entry() -> None:
    _, rig = fresh()
    assert rig.at(1, now_ns=123, count=0xFFFF).events[0].local_ns == 123


def test_sequence_is_eight_bytes() -> None:
    engine, rig = fresh()
    engine.packet(frame(SESSION + struct.pack(">QH", 2**40, 0)), 0)
    assert (rig.receiver.highest_seq, rig.receiver.expected_seq) == (2**40, 1)


def test_a_held_feed_applies_nothing() -> None:
    rig = Rig()
    rig.next_feed += 3
    rig.feed(add(1, "B", 10, 1_000_000))
    assert rig.receiver.health == FeedHealth.HOLD
    assert rig.book.bid_e4 == 0
