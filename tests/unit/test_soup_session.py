"""A client's session without sockets: logins, numbers across connections, timers, and what a server may not say."""

from __future__ import annotations

import re

import pytest
from turbo_hft.errors import ConfigError, MalformedMessage
from turbo_hft.soupbintcp import Broken, Ended, Event, LoggedIn, Lost, Message, Refused, Session, State
from turbo_hft.wire import soupbintcp
from turbo_hft.wire.soupbintcp import (
    ClientHeartbeat,
    Debug,
    EndOfSession,
    LoginAccepted,
    LoginRejected,
    LoginRequest,
    LogoutRequest,
    Packet,
    SequencedData,
    ServerHeartbeat,
    UnsequencedData,
)

SECOND = 1_000_000_000
DAY = "HFT0000001"


def made(**settings: object) -> Session:
    return Session("HFT001", "SECRET", **settings)  # type: ignore[arg-type]


def opened(sequence: int = 1, **settings: object) -> Session:
    session = made(**settings)
    session.connected(0)
    assert session.receive(LoginAccepted(DAY, sequence).encode(), 0) == [LoggedIn(DAY, sequence)]
    session.take()
    return session


def said(session: Session) -> list[Packet]:
    decoder = soupbintcp.Decoder()
    decoder.feed(session.take())
    packets = list(decoder)
    assert decoder.pending == 0
    return packets


def heard(session: Session, *packets: Packet, now_ns: int = 0) -> list[Event]:
    return session.receive(b"".join(packet.encode() for packet in packets), now_ns)


def test_login_and_messages() -> None:
    session = made(heartbeat_ms=15_000)
    assert session.state is State.AWAY and session.next_due_ns is None
    session.connected(0)
    assert said(session) == [LoginRequest("HFT001", "SECRET", "", 1, 15_000)]
    events = heard(
        session, Debug(b"hello"), LoginAccepted(DAY, 1), SequencedData(b"one"), ServerHeartbeat(),
        UnsequencedData(b"x"), SequencedData(b""),
    )  # fmt: skip
    assert events == [LoggedIn(DAY, 1), Message(1, b"one"), Message(None, b"x"), Message(2, b"")]
    assert (session.state, session.name, session.next_sequence) == (State.OPEN, DAY, 3)
    assert not said(session)


def test_every_further_login_names_the_session_and_the_next_message() -> None:
    session = opened()
    assert heard(session, SequencedData(b"1"), SequencedData(b"2")) == [Message(1, b"1"), Message(2, b"2")]
    half = SequencedData(b"3").encode()[:-1]
    assert not session.receive(half, 0)
    assert session.disconnected("reset") == [Lost("reset, in the middle of a message (3 bytes)")]
    assert session.state is State.AWAY and not session.disconnected("again")
    session.connected(SECOND)
    assert said(session) == [LoginRequest("HFT001", "SECRET", DAY, 3)]
    assert heard(session, LoginAccepted(DAY.lower(), 3), SequencedData(b"3")) == [
        LoggedIn(DAY.lower(), 3), Message(3, b"3")
    ]  # fmt: skip


def test_what_was_not_sent_on_one_connection_is_not_sent_on_the_next() -> None:
    session = opened()
    assert not session.tick(SECOND)  # a heartbeat that nobody takes
    session.disconnected("reset")
    session.connected(2 * SECOND)
    assert said(session) == [LoginRequest("HFT001", "SECRET", DAY, 1)]


def test_started_in_the_middle_of_a_day() -> None:
    session = made(session=DAY, next_sequence=7)
    session.connected(0)
    assert said(session) == [LoginRequest("HFT001", "SECRET", DAY, 7)]
    assert heard(session, LoginAccepted(DAY, 7), SequencedData(b"7")) == [LoggedIn(DAY, 7), Message(7, b"7")]


def test_new_messages_only_and_from_then_on_all() -> None:
    session = opened(12, next_sequence=0)
    session.disconnected("")
    session.connected(0)
    assert said(session) == [LoginRequest("HFT001", "SECRET", DAY, 12)]
    (event,) = heard(session, LoginAccepted(DAY, 13))
    assert isinstance(event, Broken)


@pytest.mark.parametrize(
    ("packet", "words"),
    [
        (LoginAccepted(DAY, 4), "goes on with message 4, but 5 is the next one here"),
        (LoginAccepted(DAY, 6), "goes on with message 6, but 5 is the next one here"),
        (LoginAccepted("HFT0000002", 5), "logged in to session 'HFT0000002' instead of"),
    ],
)
def test_a_gap_or_another_day_ends_the_session(packet: LoginAccepted, words: str) -> None:
    session = made(session=DAY, next_sequence=5)
    session.connected(0)
    (event,) = heard(session, packet, SequencedData(b"wrong"))
    assert isinstance(event, Broken) and words in event.why
    assert session.state is State.OVER
    with pytest.raises(ConfigError, match="make a new one"):
        session.connected(0)


def test_number_0_is_none() -> None:
    session = made(next_sequence=0)
    session.connected(0)
    (event,) = heard(session, LoginAccepted(DAY, 0))
    assert isinstance(event, Broken)


@pytest.mark.parametrize(("reason", "words"), [("A", "not authorised"), ("S", "not available"), ("Q", "'Q'")])
def test_refused(reason: str, words: str) -> None:
    session = made()
    session.connected(0)
    assert heard(session, LoginRejected(reason), SequencedData(b"no")) == [Refused(reason)]
    assert words in Refused(reason).why
    assert session.state is State.OVER and not session.disconnected("closed") and not session.tick(10**12)


def test_end_of_session() -> None:
    session = opened()
    events = heard(session, SequencedData(b"last"), EndOfSession(), SequencedData(b"never"))
    assert events == [Message(1, b"last"), Ended()]
    assert session.state is State.OVER and not session.disconnected("closed")


def test_logout() -> None:
    session = opened()
    session.logout(5)
    assert said(session) == [LogoutRequest()]
    assert not heard(session, SequencedData(b"late")) and session.next_sequence == 1
    assert not session.disconnected("closed") and session.state is State.AWAY
    session.logout(6)
    assert not said(session)
    session.connected(7)
    assert said(session) == [LoginRequest("HFT001", "SECRET", DAY, 1)]


# Time


def test_heartbeats_a_second_after_whatever_was_sent_last() -> None:
    session = opened()
    assert session.next_due_ns == SECOND
    assert not session.tick(SECOND - 1) and not said(session)
    session.sent(SECOND // 2)
    assert not session.tick(SECOND) and not said(session)
    assert not session.tick(SECOND * 3 // 2) and said(session) == [ClientHeartbeat()]
    assert session.next_due_ns == SECOND * 5 // 2


def test_heartbeats_are_as_frequent_as_was_asked_for() -> None:
    session = opened(heartbeat_ms=300)
    assert session.next_due_ns == SECOND // 10


def test_a_server_that_is_silent() -> None:
    session = opened(silence_ns=4 * SECOND)
    heard(session, ServerHeartbeat(), now_ns=SECOND)
    for second in range(1, 5):
        assert not session.tick(second * SECOND)
    (event,) = session.tick(5 * SECOND)
    assert event == Lost("the server said nothing for 4.0 s")
    assert session.state is State.AWAY and session.next_due_ns is None


def test_a_login_that_is_not_answered() -> None:
    session = made(login_timeout_ns=2 * SECOND)
    session.connected(SECOND)
    assert session.next_due_ns == 3 * SECOND
    assert not session.tick(2 * SECOND)
    said(session)
    assert session.tick(3 * SECOND) == [Lost("the server did not answer the login for 2.0 s")]
    assert not said(session)  # no heartbeat before the login


# What a server may not say, and what a client cannot


@pytest.mark.parametrize(
    "packet",
    [
        LoginRequest("HFT001", "SECRET"), ClientHeartbeat(), LogoutRequest(), LoginAccepted(DAY, 1), LoginRejected("A"),
    ],
)  # fmt: skip
def test_packets_that_do_not_come_from_a_server_in_session(packet: Packet) -> None:
    session = opened()
    first, last = heard(session, SequencedData(b"good"), packet, SequencedData(b"bad"))
    assert first == Message(1, b"good")
    assert isinstance(last, Lost) and type(packet).__name__ in last.why
    assert session.next_sequence == 2


@pytest.mark.parametrize("packet", [SequencedData(b"x"), UnsequencedData(b"x")])
def test_data_before_the_login(packet: Packet) -> None:
    session = made()
    session.connected(0)
    (event,) = heard(session, packet)
    assert isinstance(event, Lost) and session.next_sequence == 1


def test_garbage() -> None:
    session = opened()
    first, last = session.receive(SequencedData(b"good").encode() + b"\0\x01?" + SequencedData(b"bad").encode(), 0)
    assert first == Message(1, b"good")
    assert isinstance(last, Lost) and re.search("at byte 40 of the stream: .* is unknown", last.why)
    session.connected(0)
    assert said(session) == [LoginRequest("HFT001", "SECRET", DAY, 2)]
    assert heard(session, LoginAccepted(DAY, 2), SequencedData(b"bad")) == [LoggedIn(DAY, 2), Message(2, b"bad")]


def test_sending() -> None:
    session = opened()
    assert session.unsequenced(b"order") == UnsequencedData(b"order").encode()
    assert not said(session)
    with pytest.raises(MalformedMessage):
        session.unsequenced(bytes(0xFFFF))
    session.disconnected("")
    with pytest.raises(ConfigError, match="before it is logged in"):
        session.unsequenced(b"order")


def test_one_connection_at_a_time() -> None:
    session = opened()
    with pytest.raises(ConfigError):
        session.connected(0)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"heartbeat_ms": 0}, "heartbeat_ms 0"),
        ({"heartbeat_ms": 100_000}, "give 1 to 99999"),
        ({"silence_ns": 0}, "silence_ns 0"),
        ({"login_timeout_ns": -1}, "login_timeout_ns -1"),
        ({"session": "ELEVEN CHARS"}, "no login can carry that"),
        ({"next_sequence": -1}, "no login can carry that"),
        ({"session": "ümlaut"}, "no login can carry that"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        made(**settings)
