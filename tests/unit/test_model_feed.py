"""Rule 2: MoldUDP64."""

from __future__ import annotations

import struct

import pytest
from model_bytes import NS, SESSION, Rig, add, frame, head, kinds, mold
from turbo_hft.model import EventKind, FeedHealth, ModelEngine, XdpAction

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
    engine, _ = fresh()
    before = (engine.feed.session, engine.feed.health, engine.feed.expected_seq)
    outcome = engine.packet(frame(payload), 0)
    assert outcome.verdict == XdpAction.PASS
    assert engine.counter["feed_malformed"] == engine.counter["feed_packets"] == 1
    assert engine.counter["feed_messages"] == 0
    assert (engine.feed.session, engine.feed.health, engine.feed.expected_seq) == before


def test_most_blocks() -> None:
    engine, _ = fresh()
    assert engine.packet(frame(mold(1, *[b""] * 1729)), 0).verdict == XdpAction.DROP
    assert engine.counter["feed_messages"] == engine.counter["itch_unknown_type"] == 1729
    assert engine.feed.expected_seq == 1730


def test_highest_sequence_is_a_gap_from_one() -> None:
    engine, _ = fresh()
    outcome = engine.packet(frame(mold(2**62, TICK)), 0)
    assert engine.feed.expected_seq == 2**62 + 1
    assert engine.feed.missed == 2**62 - 1
    assert [(event.feed_seq, event.qty) for event in outcome.events] == [(1, 2**32 - 1)]


def test_in_order_is_live() -> None:
    engine, rig = fresh()
    assert rig.feed(TICK).verdict == XdpAction.DROP
    assert engine.feed.health == FeedHealth.LIVE
    assert engine.feed.session == SESSION
    assert engine.feed.expected_seq == 2
    assert engine.feed.exchange_ns == NS
    assert engine.itch["S"] == 1


def test_first_heartbeat_locks_and_is_live() -> None:
    engine, rig = fresh()
    rig.feed()
    assert (engine.feed.session, engine.feed.health, engine.feed.expected_seq) == (SESSION, FeedHealth.LIVE, 1)
    assert engine.counter["feed_heartbeats"] == 1


def test_other_session_passes_untouched() -> None:
    engine, rig = fresh()
    rig.feed(TICK)
    outcome = engine.packet(frame(mold(2, TICK, session=b"OTHER     ")), 0)
    assert outcome.verdict == XdpAction.PASS
    assert engine.counter["feed_wrong_session"] == 1
    assert engine.feed.expected_seq == 2


def test_session_of_zero_bytes_locks_as_well() -> None:
    engine, _ = fresh()
    engine.packet(frame(mold(1, TICK, session=bytes(10))), 0)
    engine.packet(frame(mold(2, TICK)), 0)
    assert engine.counter["feed_wrong_session"] == 1


@pytest.mark.parametrize("late", [mold(4, TICK), mold(4, count=0)])
def test_late_start_is_a_gap(late: bytes) -> None:
    engine, _ = fresh()
    outcome = engine.packet(frame(late), 0)
    assert engine.feed.health == FeedHealth.STALE
    assert (engine.feed.gaps, engine.feed.missed) == (1, 3)
    assert (engine.counter["feed_gaps"], engine.counter["feed_missed"]) == (1, 3)
    event = outcome.events[0]
    assert (event.kind, event.feed_seq, event.qty, event.symbol) == (EventKind.FEED_STALE, 1, 3, 0xFFFFFFFF)


def test_gap_event_carries_the_time_before_the_packet() -> None:
    _, rig = fresh()
    rig.feed(TICK)
    rig.next_feed = 5
    assert rig.feed(head("S", 0, NS + 9) + b"M").events[0].exchange_ns == NS


def test_stale_feed_still_builds_the_book() -> None:
    rig = Rig()
    rig.next_feed += 3
    rig.feed(add(1, "B", 10, 1_000_000))
    assert rig.engine.feed.health == FeedHealth.STALE
    assert rig.engine.symbols[0].bid_e4 == 1_000_000


def test_overlap_is_trimmed_message_by_message() -> None:
    engine, rig = fresh()
    rig.feed(TICK, TICK)
    engine.packet(frame(mold(1, TICK, TICK, TICK)), 0)
    assert engine.counter["feed_duplicates"] == 2
    assert engine.counter["feed_messages"] == 3
    assert engine.feed.expected_seq == 4
    engine.packet(frame(mold(2, TICK)), 0)
    assert (engine.counter["feed_duplicates"], engine.feed.expected_seq) == (3, 4)


def test_old_heartbeat_does_not_go_back() -> None:
    engine, rig = fresh()
    rig.feed(TICK, TICK)
    assert engine.packet(frame(mold(1, count=0)), 0).verdict == XdpAction.DROP
    assert engine.feed.expected_seq == 3


def test_end_of_session_once() -> None:
    engine, rig = fresh()
    rig.feed(TICK)
    first = engine.packet(frame(mold(2, count=0xFFFF)), 0)
    again = engine.packet(frame(mold(2, count=0xFFFF)), 0)
    assert kinds(first) == [EventKind.FEED_ENDED]
    assert first.events[0].feed_seq == 2
    assert kinds(again) == []
    assert engine.feed.health == FeedHealth.ENDED
    assert engine.counter["feed_end_of_session"] == 2


def test_end_after_a_gap_reports_both_and_a_later_gap_stays_ended() -> None:
    engine, rig = fresh()
    rig.feed(TICK)
    outcome = engine.packet(frame(mold(5, count=0xFFFF)), 0)
    assert [(event.kind, event.feed_seq) for event in outcome.events] == [
        (EventKind.FEED_STALE, 2),
        (EventKind.FEED_ENDED, 5),
    ]
    assert kinds(engine.packet(frame(mold(9, TICK)), 0)) == [EventKind.FEED_STALE]
    assert engine.feed.health == FeedHealth.ENDED
    assert engine.feed.gaps == 2


def test_event_ids_are_consecutive_and_carry_the_epoch() -> None:
    engine, rig = fresh()
    engine.control.epoch = 77
    events = []
    for sequence in (2, 5, 9):
        rig.next_feed = sequence
        events += rig.feed(TICK).events
    assert [event.id for event in events] == [1, 2, 3]
    assert {event.epoch for event in events} == {77}
    assert engine.session.event_id == engine.counter["events"] == 3


def test_local_time_is_packet_entry() -> None:
    engine, _ = fresh()
    assert engine.packet(frame(mold(3, TICK)), 123).events[0].local_ns == 123


def test_sequence_is_eight_bytes() -> None:
    engine, _ = fresh()
    payload = SESSION + struct.pack(">QH", 2**40, 0)
    engine.packet(frame(payload), 0)
    assert engine.feed.missed == 2**40 - 1
