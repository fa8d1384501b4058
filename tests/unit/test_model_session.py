"""Rule 8, first part: UFO packets of the order-entry session."""

from __future__ import annotations

import struct

import pytest
from model_bytes import (
    Rig,
    accepted50,
    canceled50,
    executed50,
    kinds,
    ufo,
)
from turbo_hft.model import EventKind, Protocol, SessionHealth, XdpAction

PRICE = 1_500_000
A, E = EventKind.ACCEPTED, EventKind.EXECUTED
LOGIN = b"A" + b"UFOSESSION" + struct.pack(">I", 5)


def flying(protocol: Protocol = Protocol.OUCH50, qty: int = 100) -> Rig:
    """Order 1, a buy, has left."""
    rig = Rig(protocol)
    rig.buy(qty, PRICE)
    assert rig.state.open_ref[0] == 1
    return rig


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"Z",
        b"A",
        LOGIN[:-1],
        LOGIN + b"\0",
        b"A" + b"UFOSESSION" + bytes(4),
        b"J",
        b"JAA",
        b"E" + bytes(3),
        b"E" + bytes(5),
        ufo(1)[:6],
        ufo(0, b"S"),
        ufo(1, b"x") + b"\0",
        ufo(1, b"x")[:-1],
        ufo(2**32 - 1, b"x"),
        ufo(1, *[b""] * 257),
    ],
)
def test_malformed(payload: bytes) -> None:
    rig = Rig()
    session = repr(rig.engine.session)
    assert rig.control(payload).verdict == XdpAction.PASS
    assert rig.engine.counter["reply_malformed"] == 1
    assert repr(rig.engine.session) == session


def test_login_accept_opens() -> None:
    rig = Rig(ready=False)
    assert rig.control(LOGIN).verdict == XdpAction.PASS
    session = rig.engine.session
    assert (session.session, session.health) == (b"UFOSESSION", SessionHealth.UP)
    assert (session.expected_seq, session.highest_seq) == (5, 5)
    assert (rig.engine.counter["reply_packets"], rig.engine.counter["reply_control"]) == (1, 1)


def test_second_accept_of_the_same_session_only_raises_highest() -> None:
    rig = Rig()
    assert rig.login(9).events == []
    rig.login(4)
    session = rig.engine.session
    assert (session.health, session.expected_seq, session.highest_seq) == (SessionHealth.UP, 1, 9)


def test_accept_of_another_session_ends() -> None:
    rig = Rig()
    outcome = rig.login(1, b"OTHERNAME ")
    assert kinds(outcome) == [EventKind.SESSION_ENDED]
    assert (outcome.events[0].feed_seq, outcome.events[0].symbol) == (0, 0xFFFFFFFF)
    assert rig.login(1, b"OTHERNAME ").events == []
    assert rig.engine.session.health == SessionHealth.ENDED
    assert rig.engine.session.session == b"UFOSESSION"
    assert rig.engine.counter["reply_wrong_session"] == 2
    assert rig.engine.counter["reply_control"] == 3


def test_reject_and_end_of_session() -> None:
    rig = Rig()
    before = repr(rig.engine.session)
    assert rig.control(b"JA").events == []
    assert repr(rig.engine.session) == before
    assert kinds(rig.control(b"E" + bytes(4))) == [EventKind.SESSION_ENDED]
    assert kinds(rig.control(b"E" + bytes(4))) == []
    rig.login(1)
    assert rig.engine.session.health == SessionHealth.ENDED


def test_an_end_before_any_login_is_not_for_good() -> None:
    rig = Rig(ready=False)
    assert kinds(rig.control(b"E" + bytes(4))) == []
    rig.login(1)
    assert rig.engine.session.health == SessionHealth.UP


def test_suspect_outlives_the_end() -> None:
    rig = Rig()
    assert kinds(rig.reply(canceled50(77, 1))) == [EventKind.SESSION_SUSPECT]
    assert kinds(rig.control(b"E" + bytes(4))) == []
    assert kinds(rig.login(1, b"OTHERNAME ")) == []
    assert rig.engine.session.health == SessionHealth.SUSPECT


def test_ended_session_still_applies_and_can_become_suspect() -> None:
    rig = flying()
    rig.control(b"E" + bytes(4))
    assert kinds(rig.reply(accepted50(1, 100))) == [A]
    assert kinds(rig.reply(accepted50(1, 100), accepted50(1, 100))) == [EventKind.SESSION_SUSPECT]
    assert rig.engine.session.health == SessionHealth.SUSPECT
    assert rig.engine.counter["reply_bad_state"] == 2


def test_not_logged_in_is_a_gap() -> None:
    rig = Rig(ready=False)
    rig.control(ufo(1, b"S"))
    assert rig.engine.counter["reply_gaps"] == 1
    assert rig.engine.session.highest_seq == 0


def test_gap_is_not_applied_but_remembered() -> None:
    rig = flying()
    assert rig.control(ufo(2, accepted50(1, 100))).events == []
    assert rig.engine.counter["reply_gaps"] == 1
    assert (rig.engine.session.expected_seq, rig.engine.session.highest_seq) == (1, 3)
    rig.control(ufo(8))
    assert (rig.engine.counter["reply_gaps"], rig.engine.session.highest_seq) == (2, 8)


def test_overlap_is_trimmed() -> None:
    rig = flying()
    rig.reply(accepted50(1, 100))
    outcome = rig.control(ufo(1, accepted50(1, 100), executed50(1, 40, PRICE)))
    assert kinds(outcome) == [E]
    assert outcome.events[0].feed_seq == 2
    assert rig.engine.counter["reply_duplicates"] == 1
    assert rig.engine.session.expected_seq == 3


def test_heartbeat_changes_nothing() -> None:
    rig = Rig()
    before = repr(rig.engine.session)
    rig.control(ufo(1))
    assert repr(rig.engine.session) == before
    assert rig.engine.counter["reply_gaps"] == rig.engine.counter["reply_malformed"] == 0


def test_most_replies_and_last_sequence() -> None:
    rig = Rig(ready=False)
    rig.login(2**32 - 1 - 256)
    rig.control(ufo(2**32 - 1 - 256, *[b""] * 256))
    assert rig.engine.counter["reply_unhandled"] == 256
    assert rig.engine.session.expected_seq == 2**32 - 1
