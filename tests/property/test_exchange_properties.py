"""What must hold of lines, snapshots and the snapshot's wire whatever happens."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from turbo_hft.exchange import MatchingEngine
from turbo_hft.exchange.flow import RandomFlow
from turbo_hft.exchange.itch_publisher import ItchPublisher
from turbo_hft.exchange.line import CommonLoss, Faults, Line
from turbo_hft.exchange.message_store import MessageStore
from turbo_hft.exchange.mirror import MirrorBook
from turbo_hft.exchange.published_market import PublishedMarket
from turbo_hft.exchange.rerequest import RerequestServer
from turbo_hft.wire import glimpse, itch50, moldudp64, soupbintcp

SHARES = st.sampled_from((0.0, 0.1, 0.5, 1.0))
DELAYS = st.tuples(st.integers(0, 5000), st.integers(0, 5000)).map(lambda pair: (min(pair), max(pair)))
FAULTS = st.builds(Faults, loss=SHARES, duplicate=SHARES, reorder=SHARES, delay_ns=DELAYS)


@given(FAULTS, SHARES, st.integers(0, 9), st.lists(st.integers(0, 4000), max_size=60))
def test_a_line_loses_a_packet_or_brings_it_once_and_once_more_for_each_duplicate(
    faults: Faults, common: float, seed: int, pauses: list[int]
) -> None:
    line = Line[bytes](faults, seed, CommonLoss(common, seed) if common else None)
    out: list[bytes] = []
    now = 0
    for number, pause in enumerate(pauses):
        now += pause
        line.offer(bytes([number]), now)
        out += line.due(now)
        assert line.next_due_ns is None or line.next_due_ns > now
        assert line.pending == len(pauses[: number + 1]) - line.lost - line.lost_on_both + line.duplicated - len(out)
    while (due := line.next_due_ns) is not None:
        out += line.due(due)
    times = Counter(out)
    assert set(times) <= {bytes([number]) for number in range(len(pauses))}
    assert set(times.values()) <= {1, 2}
    assert len(times) == len(pauses) - line.lost - line.lost_on_both
    assert times.total() == line.sent == len(times) + line.duplicated
    assert line.pending == 0
    if not faults.reorder and not faults.duplicate:
        assert out == sorted(out)


def published(seed: int, actions: int) -> list[bytes]:
    """The messages of a day so far, in three symbols."""
    engine = MatchingEngine(("AAPL", "MSFT", "INTC"))
    publisher = ItchPublisher("S", messages_per_packet=20)
    flow = RandomFlow(engine, seed=seed, rate=1000)
    for code in "OS":
        publisher.system_event(code, 0)
    for symbol in engine.books:
        publisher.directory(symbol, 0)
        publisher.trading_action(symbol, "T", 0)
    for action in flow.seed_book():
        publisher.publish(flow.apply(action), 0)
    for _ in range(actions):
        publisher.publish(flow.apply(flow.next_action()), 0)
    while publisher.next_packet() is not None:
        pass
    return publisher.take_fresh()


MESSAGES = st.builds(published, st.integers(0, 99), st.integers(0, 200))


def book(messages: list[bytes]) -> tuple[Any, ...]:
    """The orders of every symbol and side in priority, as the mirror of the replay keeps them."""
    mirror = MirrorBook()
    for message in messages:
        mirror.apply(itch50.decode(message))
    assert mirror.misfits == mirror.unknown_refs == 0
    return tuple(
        (name, side, order.order_ref, order.price_e4, order.qty)
        for name in sorted(mirror.books)
        for side in "BS"
        for order in mirror.books[name].in_priority(side)
    )


@given(MESSAGES, st.floats(0, 1))
def test_a_snapshot_and_what_follows_give_the_book_of_the_whole_stream(messages: list[bytes], share: float) -> None:
    cut = int(len(messages) * share)
    market = PublishedMarket()
    for message in messages[:cut]:
        market.apply(message)
    *snapshot, end = market.snapshot()
    assert book(snapshot) == book(messages[:cut])
    following = glimpse.decode(end).sequence
    assert following == cut + 1
    assert book(snapshot + messages[following - 1 :]) == book(messages)
    # And a second-hand snapshot says the same again.
    again = PublishedMarket()
    for message in snapshot:
        again.apply(message)
    assert again.snapshot()[:-1] == snapshot
    assert market.misfits == again.misfits == 0


PACKETS = st.lists(
    st.one_of(
        st.builds(soupbintcp.Debug, st.binary(max_size=40)),
        st.builds(soupbintcp.LoginAccepted, st.text("AZ09", min_size=1, max_size=10), st.integers(0, 10**20 - 1)),
        st.builds(soupbintcp.LoginRejected, st.sampled_from("AS")),
        st.builds(soupbintcp.SequencedData, st.binary(max_size=300)),
        st.builds(soupbintcp.UnsequencedData, st.binary(max_size=40)),
        st.builds(soupbintcp.ServerHeartbeat),
        st.builds(soupbintcp.EndOfSession),
        st.builds(
            soupbintcp.LoginRequest,
            st.text("AZaz09", max_size=6),
            st.text("AZaz09!", max_size=10),
            st.text("AZ09", max_size=10),
            st.integers(0, 10**20 - 1),
            st.none() | st.integers(0, 99_999),
        ),
        st.builds(soupbintcp.ClientHeartbeat),
        st.builds(soupbintcp.LogoutRequest),
    ),
    max_size=8,
)


@given(PACKETS, st.lists(st.integers(0, 400), max_size=12))
def test_a_stream_reads_alike_wherever_it_is_cut(packets: list[soupbintcp.Packet], cuts: list[int]) -> None:
    stream = b"".join(packet.encode() for packet in packets)
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    decoder = soupbintcp.Decoder()
    seen: list[soupbintcp.Packet] = []
    for start, end in pairwise(edges):
        decoder.feed(stream[start:end])
        seen += decoder
    assert seen == packets
    assert decoder.pending == 0


@given(
    st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=80),
    st.integers(1, 80),
    st.integers(23, 300),
    st.none() | st.integers(1, 90),
)
def test_asking_again_and_again_gives_all_messages_that_are_kept(
    messages: list[bytes], first: int, max_payload: int, keep: int | None
) -> None:
    store = MessageStore(keep)
    store.extend(messages)
    server = RerequestServer({"S": store}.get, max_payload=max_payload)
    got: list[bytes] = []
    start = max(first, store.first)
    while start + len(got) <= store.last:
        server.receive(("10.77.0.1", 1), moldudp64.Request("S", start + len(got), 65_534).encode(), 0)
        ((_, raw),) = server.due(0)
        packet = moldudp64.decode(raw)
        assert isinstance(packet, moldudp64.Packet) and packet.sequence == start + len(got)
        assert len(raw) <= max_payload or len(packet.messages) == 1
        got += packet.messages
    assert got == messages[start - 1 :]
