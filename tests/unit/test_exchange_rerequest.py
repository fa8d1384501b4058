"""The store of messages, and the server that sends them again."""

from __future__ import annotations

from typing import Any

import pytest
from turbo_hft.errors import ConfigError
from turbo_hft.exchange.message_store import MessageStore
from turbo_hft.exchange.rerequest import RerequestServer
from turbo_hft.wire import moldudp64

CLIENT = ("10.77.0.1", 5000)
SESSION = "HFT0000001"


def message(sequence: int, size: int = 36) -> bytes:
    return sequence.to_bytes(4, "big").ljust(size, b".")


def filled(count: int, keep: int | None = None, size: int = 36) -> MessageStore:
    store = MessageStore(keep)
    for sequence in range(1, count + 1):
        store.append(message(sequence, size))
    return store


def server(store: MessageStore, **settings: Any) -> RerequestServer:
    return RerequestServer({SESSION: store}.get, **settings)


def ask(at: RerequestServer, sequence: int, count: int, session: str = SESSION) -> moldudp64.Downstream | None:
    """The reply to a request, None if there is none."""
    at.receive(CLIENT, moldudp64.Request(session, sequence, count).encode(), 0)
    replies = at.due(0)
    assert len(replies) <= 1
    assert all(address == CLIENT for address, _ in replies)
    return moldudp64.decode(replies[0][1]) if replies else None


def due_of(at: RerequestServer) -> int:
    assert at.next_due_ns is not None
    return at.next_due_ns


def packet(*sequences: int, size: int = 36) -> moldudp64.Packet:
    return moldudp64.Packet(SESSION, sequences[0], tuple(message(sequence, size) for sequence in sequences))


def test_an_unbounded_store_has_everything() -> None:
    store = filled(1000)
    assert (store.first, store.last) == (1, 1000)
    assert [store.message(sequence) for sequence in (0, 1, 1000, 1001)] == [None, message(1), message(1000), None]
    empty = MessageStore()
    assert (empty.first, empty.last, empty.message(1)) == (1, 0, None)


@pytest.mark.parametrize(("count", "first"), [(3, 1), (10, 1), (11, 2), (25, 16), (30, 21)])
def test_a_bounded_store_has_the_newest(count: int, first: int) -> None:
    store = filled(count, keep=10)
    assert (store.first, store.last) == (first, count)
    assert [store.message(sequence) for sequence in range(count + 3)] == [
        message(sequence) if sequence >= first and sequence <= count else None for sequence in range(count + 3)
    ]


@pytest.mark.parametrize("keep", [None, 1, 4, 10, 11])
def test_many_at_once_are_kept_like_one_by_one(keep: int | None) -> None:
    store = MessageStore(keep)
    for first, count in ((1, 3), (4, 0), (4, 7), (11, 15)):
        store.extend([message(sequence) for sequence in range(first, first + count)])
        single = filled(first + count - 1, keep)
        assert (store.first, store.last) == (single.first, single.last)
        assert [store.message(n) for n in range(30)] == [single.message(n) for n in range(30)]


def test_what_was_asked_for() -> None:
    at = server(filled(100))
    assert at.next_due_ns is None
    assert ask(at, 5, 3) == packet(5, 6, 7)
    assert ask(at, 100, 1) == packet(100)
    assert ask(at, 99, 1000) == packet(99, 100)
    assert at.counters() == {
        "requests": 3, "replies": 3, "messages": 6, "malformed": 0, "unknown_session": 0, "unknown_range": 0,
        "lost_requests": 0, "lost_replies": 0,
    }  # fmt: skip


def test_one_datagram_with_as_many_whole_messages_as_fit() -> None:
    at = server(filled(1000), max_payload=20 + 3 * 38)
    assert ask(at, 1, 1000) == packet(1, 2, 3)
    assert ask(server(filled(1000), max_payload=20 + 3 * 38 - 1), 1, 1000) == packet(1, 2)
    at.receive(CLIENT, moldudp64.Request(SESSION, 1, 60_000).encode(), 0)
    ((_, raw),) = at.due(0)
    assert len(raw) == 20 + 3 * 38


def test_by_default_a_reply_is_no_larger_than_a_packet_of_the_feed() -> None:
    at = server(filled(1000))
    at.receive(CLIENT, moldudp64.Request(SESSION, 1, 1000).encode(), 0)
    ((_, raw),) = at.due(0)
    assert len(raw) == 20 + 36 * 38 <= 1400 < len(raw) + 38


def test_tiny_messages_stay_within_the_count_of_a_packet() -> None:
    at = server(filled(5000, size=4), max_payload=65_000)
    reply = ask(at, 1, 5000)
    assert isinstance(reply, moldudp64.Packet)
    assert len(reply.messages) == moldudp64.MAX_BLOCKS


def test_a_message_that_fits_no_packet_goes_alone() -> None:
    at = server(filled(10, size=500), max_payload=100)
    assert ask(at, 4, 3) == packet(4, size=500)


@pytest.mark.parametrize(
    ("sequence", "count", "session", "counter"),
    [(101, 1, SESSION, "unknown_range"), (50, 1, SESSION, "unknown_range"), (5, 1, "OTHER", "unknown_session")],
)
def test_what_is_not_there_is_not_answered(sequence: int, count: int, session: str, counter: str) -> None:
    at = server(filled(100, keep=50))
    assert ask(at, sequence, count, session) is None
    assert at.count == {"requests": 1, counter: 1, "replies": 0}


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        bytes(20),
        moldudp64.Heartbeat(SESSION, 1).encode(),
        moldudp64.EndOfSession(SESSION, 1).encode(),
        moldudp64.Request(SESSION, 1, 1).encode() + b"x",
        moldudp64.Request(SESSION, 1, 1).encode()[:-1],
        packet(1).encode(),
    ],
)
def test_garbage_is_counted_and_ignored(garbage: bytes) -> None:
    at = server(filled(10))
    at.receive(CLIENT, garbage, 0)
    assert at.due(0) == []
    assert at.counters()["malformed"] == 1


def test_requests_and_replies_get_lost_by_their_share() -> None:
    at = server(filled(10), loss=0.2, seed=1)
    answered = sum(ask(at, 1, 1) is not None for _ in range(5000))
    count = at.counters()
    assert answered == count["replies"] == pytest.approx(5000 * 0.64, rel=0.05)
    assert count["lost_requests"] == pytest.approx(1000, rel=0.15)
    assert count["lost_replies"] == pytest.approx(800, rel=0.15)
    again = server(filled(10), loss=0.2, seed=1)
    assert sum(ask(again, 1, 1) is not None for _ in range(5000)) == answered


def test_replies_are_delayed_and_keep_their_order() -> None:
    at = server(filled(200), delay_ns=(1000, 5000), seed=1)
    for sequence in range(1, 101):
        at.receive(CLIENT, moldudp64.Request(SESSION, sequence, 1).encode(), sequence * 100)
    assert at.due(1099) == []
    first = due_of(at)
    assert 1100 <= first <= 5100
    assert at.due(first - 1) == []
    assert len(at.due(first)) >= 1
    rest = [moldudp64.decode(raw).sequence for _, raw in at.due(15_000)]
    assert rest == list(range(101 - len(rest), 101))
    assert at.counters()["replies"] == 100


def test_settings_that_cannot_be() -> None:
    with pytest.raises(ConfigError, match="re-request loss 2"):
        server(filled(1), loss=2.0)
    with pytest.raises(ConfigError, match="more than 22 bytes"):
        server(filled(1), max_payload=22)
    with pytest.raises(ConfigError, match="0 messages to keep"):
        MessageStore(0)
