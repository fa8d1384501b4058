"""SoupBinTCP for any stream: however it is cut into pieces, and wherever the connection breaks, each message is seen
once and in order."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
from exchange_rig import enter50, exchange
from hypothesis import given, settings
from hypothesis import strategies as st
from soup_rig import CURRENT, Linked, Talk
from turbo_hft.exchange import ExchangeCore, Faults
from turbo_hft.exchange.soup_conversation import MAX_INPUT
from turbo_hft.exchange.stream_faults import StreamFaults
from turbo_hft.soupbintcp import Event, Session
from turbo_hft.wire import ouch50, soupbintcp
from turbo_hft.wire.soupbintcp import (
    ClientHeartbeat,
    Debug,
    EndOfSession,
    LoginAccepted,
    LoginRequest,
    SequencedData,
    ServerHeartbeat,
    UnsequencedData,
)

payloads = st.binary(max_size=60)
from_server = st.one_of(
    st.builds(SequencedData, payloads), st.builds(UnsequencedData, payloads), st.just(ServerHeartbeat()),
    st.builds(Debug, payloads),
)  # fmt: skip


def pieces(stream: bytes, cuts: list[int]) -> Iterator[bytes]:
    """The stream cut at places given by any numbers."""
    places = sorted({cut % (len(stream) + 1) for cut in cuts} | {0, len(stream)})
    for begin, end in pairwise(places):
        yield stream[begin:end]


cuts = st.lists(st.integers(0, 1 << 16), max_size=30)


def events_of(parts: Iterator[bytes] | list[bytes]) -> list[Event]:
    session = Session("HFT001", "SECRET")
    session.connected(0)
    return [event for part in parts for event in session.receive(part, 0)]


@given(st.lists(from_server, max_size=20), cuts, st.booleans(), st.binary(max_size=10))
def test_pieces_of_a_servers_stream_do_not_matter(
    packets: list[soupbintcp.Packet], places: list[int], ends: bool, rest: bytes
) -> None:
    whole = [LoginAccepted(CURRENT, 1), *packets, *([EndOfSession()] if ends else [])]
    stream = b"".join(packet.encode() for packet in whole) + rest
    at_once = events_of([stream])
    assert events_of(pieces(stream, places)) == at_once
    assert events_of([stream[at : at + 1] for at in range(len(stream))]) == at_once


@given(st.binary(max_size=200), cuts, st.booleans())
def test_no_stream_brings_a_session_down(garbage: bytes, places: list[int], opened: bool) -> None:
    stream = (LoginAccepted(CURRENT, 1).encode() if opened else b"") + garbage
    assert events_of(pieces(stream, places)) == events_of([stream])


# The longest that the exchange takes, and one that it does not.
LONG = [Debug(bytes(MAX_INPUT)).encode(), Debug(bytes(MAX_INPUT + 1)).encode()]


def orders(count: int) -> list[bytes]:
    return [UnsequencedData(enter50(ref).encode()).encode() for ref in range(1, count + 1)]


@given(
    st.lists(st.sampled_from([ClientHeartbeat().encode(), *LONG, *orders(6)]), max_size=20),
    st.binary(max_size=20),
    cuts,
)
@settings(max_examples=60)
def test_pieces_of_a_clients_stream_do_not_matter(packets: list[bytes], rest: bytes, places: list[int]) -> None:
    stream = LoginRequest("HFT001", "SECRET").encode() + b"".join(packets) + rest
    results = []
    for parts in ([stream], list(pieces(stream, places)), [stream[at : at + 1] for at in range(len(stream))]):
        core = exchange()
        talk = Talk(core)
        for part in parts:
            talk.raw(part)
        client = core.accounts["ouch50"].clients["HFT001"]
        counters = core.soup["ouch50"].counters()
        # A connection that ends takes unsent answers with it, so how much was sent depends on the pieces.
        for name in ("replies", "replayed"):
            del counters[name]
        results.append((client.replies, core.ledger.as_dict(), talk.is_over(), counters))
    assert results[0] == results[1] == results[2]


@given(st.binary(max_size=300), cuts)
@settings(max_examples=60)
def test_no_stream_brings_the_exchange_down(garbage: bytes, places: list[int]) -> None:
    core = exchange()
    for begin in (b"", LoginRequest("HFT001", "SECRET").encode()):
        talk = Talk(core)
        for part in pieces(begin + garbage, places):
            talk.raw(part)
        talk.hear(60_000_000_000)
        assert talk.is_over()
    assert Talk(core).login() == 1


def day(core: ExchangeCore, client: Linked, breaks: list[int], piece: int) -> None:
    """Orders are sent, and after so many bytes of answers the connection breaks, again and again."""
    client.connect()
    ref = 0
    for most in [*breaks, None]:
        if client.session.state.connected and client.exchange(40) == 40:
            ref += 1
            if client.conversation is not None:
                client.conversation.receive(UnsequencedData(enter50(ref).encode()).encode(), client.now_ns)
        if most is None:
            client.exchange(piece=piece)
        else:
            client.exchange(most, piece)
            client.lose()
            client.connect()
    # A day may have been all breaks: now there is time.
    for more in range(ref + 1, ref + 4):
        assert client.conversation is not None
        client.conversation.receive(UnsequencedData(enter50(more).encode()).encode(), client.now_ns)
    client.exchange(piece=piece)


@given(st.lists(st.integers(0, 200), max_size=12), st.sampled_from([1, 7, 1 << 16]))
def test_a_connection_that_breaks_at_any_byte_loses_and_doubles_nothing(breaks: list[int], piece: int) -> None:
    core = exchange()
    client = Linked(core, Session("HFT001", "SECRET"))
    day(core, client, breaks, piece)
    replies = core.accounts["ouch50"].clients["HFT001"].replies
    assert client.messages == list(enumerate(replies, 1))
    assert client.logins == sorted(client.logins) and len(replies) >= 4
    # And a client that was never there sees the same day.
    other = Linked(core, Session("HFT001", "SECRET", session=CURRENT))
    other.connect()
    other.exchange()
    assert other.messages == client.messages


@pytest.mark.parametrize("cut_by_reset", [False, True])
@given(st.integers(1, 3), st.integers(0, 2_000_000), st.integers(1, 12))
@settings(max_examples=40)
def test_an_exchange_that_cuts_and_delays_is_got_the_better_of(
    cut_by_reset: bool, after: int, delay_ns: int, count: int
) -> None:
    """Each connection brings a few replies and half of one; orders without an answer are sent again."""
    core = exchange(
        stream_faults=StreamFaults(cut_after_replies=after, cut_by_reset=cut_by_reset),
        faults_replies=Faults(delay_ns=(0, delay_ns)),
        faults_orders=Faults(delay_ns=(0, delay_ns)),
    )
    client = Linked(core, Session("HFT001", "SECRET"))
    accepted: set[int] = set()
    for _ in range(6 * count + 30):
        client.connect()
        while client.conversation is not None and not client.conversation.over:
            client.exchange()
            client.now_ns += 1 + delay_ns
            for _, message in client.messages:
                reply = ouch50.decode_outbound(message)
                if isinstance(reply, ouch50.Accepted):
                    accepted.add(reply.user_ref_num)
            missing = [ref for ref in range(1, count + 1) if ref not in accepted]
            if not missing:
                break
            if client.session.state.value == "open":
                packet = client.session.unsequenced(enter50(missing[0]).encode())
                client.conversation.receive(packet, client.now_ns)
        client.lose()
        if len(accepted) == count:
            break
    assert accepted == set(range(1, count + 1))
    replies = core.accounts["ouch50"].clients["HFT001"].replies
    assert client.messages == list(enumerate(replies, 1))[: len(client.messages)]
    assert core.ledger.of("HFT001", "AAPL").orders == count
