"""One session of the feed ends, another begins: names, numbers, locates, books, and the order entry that goes on."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from turbo_hft.errors import ConfigError, ExchangeError
from turbo_hft.exchange import ExchangeConfig, ExchangeCore, Phase
from turbo_hft.exchange.history import following_name
from turbo_hft.exchange.inprocess import InProcessClient
from turbo_hft.exchange.itch_publisher import ItchPublisher
from turbo_hft.exchange.rerequest import RerequestServer
from turbo_hft.exchange.venue import LiveVenue
from turbo_hft.wire import binaryfile, glimpse, itch50, moldudp64, ouch50, ufo

SECOND = 1_000_000_000
OLD, NEW = "HFT0000001", "HFT0000002"


@dataclass
class Heard:
    """What a receiver hears: messages by session, and the kinds of packets in order."""

    messages: dict[str, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    kinds: list[tuple[str, str]] = field(default_factory=list)

    def take(self, packets: list[bytes]) -> None:
        for packet in map(moldudp64.decode, packets):
            messages = self.messages[packet.session]
            assert packet.sequence == len(messages) + 1
            if isinstance(packet, moldudp64.Packet):
                messages += packet.messages
            kind = (type(packet).__name__, packet.session)
            if self.kinds[-1:] != [kind]:
                self.kinds.append(kind)

    def decoded(self, session: str) -> list[itch50.Message]:
        return [itch50.decode(message) for message in self.messages[session]]


def whole(step_ns: int = SECOND // 10, **settings: Any) -> tuple[ExchangeCore, Heard]:
    """A session of three seconds that rolls over after 2000 messages, to its end."""
    core = ExchangeCore(
        ExchangeConfig(**{"duration_s": 3.0, "linger_s": 0.0, "rate": 1000, "rollover_after": 2000, **settings})
    )
    heard = Heard()
    now = 0
    while core.phase is not Phase.ENDED:
        heard.take(core.tick(now))
        now += step_ns
    return core, heard


def events(messages: list[itch50.Message]) -> str:
    return "".join(m.event_code for m in messages if isinstance(m, itch50.SystemEvent))


def test_both_sessions_are_whole_days_with_names_and_numbers_of_their_own() -> None:
    core, heard = whole()
    assert heard.kinds == [("Packet", OLD), ("EndOfSession", OLD), ("Packet", NEW), ("EndOfSession", NEW)]
    assert [events(heard.decoded(name)) for name in (OLD, NEW)] == ["OSQMEC", "OSQMEC"]
    assert 2000 <= len(heard.messages[OLD]) - 3 < 2000 + 70
    summary = core.summary()
    assert summary["sessions"] == [{"name": n, "messages": len(heard.messages[n])} for n in (OLD, NEW)]
    feed = summary["feed"]
    assert isinstance(feed, dict)
    assert feed["last_sequence"] == len(heard.messages[NEW])
    assert feed["messages"] == len(heard.messages[OLD]) + len(heard.messages[NEW])


def test_the_pace_and_the_time_of_day_go_on() -> None:
    _, heard = whole()
    stamps = [m.timestamp for name in (OLD, NEW) for m in heard.decoded(name)]
    assert stamps == sorted(stamps)
    opening = 3 + 2 * 2 + 2 * 60
    flow = len(heard.messages[OLD]) + len(heard.messages[NEW]) - 2 * (opening + 3)
    assert flow == pytest.approx(3000, abs=10)


def test_every_locate_is_another_one_and_most_are_reused() -> None:
    _, heard = whole(symbols=("AAPL", "MSFT", "INTC"))
    locates = [
        {m.stock: m.stock_locate for m in heard.decoded(name) if isinstance(m, itch50.StockDirectory)}
        for name in (OLD, NEW)
    ]
    assert locates == [{"AAPL": 1, "MSFT": 2, "INTC": 3}, {"AAPL": 2, "MSFT": 3, "INTC": 4}]
    for m in heard.decoded(NEW):
        if isinstance(m, itch50.AddOrder):
            assert m.stock_locate == locates[1][m.stock]


def test_the_new_book_is_fresh_and_reuses_order_references() -> None:
    core, heard = whole()
    known: set[int] = set()
    for m in heard.decoded(NEW):
        if isinstance(m, itch50.AddOrder | itch50.AddOrderMpid):
            assert m.order_ref not in known
            known.add(m.order_ref)
        elif isinstance(m, itch50.OrderReplace):
            assert m.orig_order_ref in known
            known.add(m.new_order_ref)
        elif hasattr(m, "order_ref"):
            assert m.order_ref in known
    assert min(known) == 1
    assert [each.market.misfits for each in core.history.sessions] == [0, 0]


def test_a_seed_gives_the_same_sessions_whatever_the_clock_does() -> None:
    _, smooth = whole(SECOND // 1000)
    _, coarse = whole(SECOND, messages_per_packet=17)
    assert smooth.messages == coarse.messages


def test_re_requests_reach_both_sessions_and_the_snapshot_is_of_the_newer() -> None:
    core, heard = whole()
    server = RerequestServer(core.history.store_of)
    for name in (OLD, NEW):
        server.receive(("10.77.0.1", 1), moldudp64.Request(name, 7, 3).encode(), 0)
        ((_, raw),) = server.due(0)
        assert moldudp64.decode(raw) == moldudp64.Packet(name, 7, tuple(heard.messages[name][6:9]))
    end = glimpse.decode(core.history.current.market.snapshot()[-1])
    assert (core.history.current.name, end.sequence) == (NEW, len(heard.messages[NEW]) + 1)


def test_clients_lose_their_orders_and_stay_logged_in() -> None:
    core = ExchangeCore(ExchangeConfig(rate=0, rollover_after=8, duration_s=60.0))
    heard = Heard()
    heard.take(core.tick(0))
    client = InProcessClient(core)
    assert isinstance(client.login(), ufo.LoginAccepted)
    order = ouch50.EnterOrder(1, "B", 100, "AAPL", 10_000, "0", "Y", "P", "N", "N", "")
    accepted = client.send(order)
    assert isinstance(accepted[-1], ouch50.Accepted)
    heard.take(core.tick(SECOND // 2))
    (canceled,) = client.take(core.replies(SECOND // 2))
    assert isinstance(canceled, ouch50.Canceled)
    assert (canceled.user_ref_num, canceled.quantity, canceled.reason) == (1, 100, "E")
    assert [m.TYPE for m in heard.decoded(OLD)[-5:]] == ["A", "D", "S", "S", "S"]
    assert [m.TYPE for m in heard.decoded(NEW)] == ["S", "S", "R", "R", "H", "H", "S"]
    again = client.send(ouch50.EnterOrder(2, "B", 100, "AAPL", 10_000, "0", "Y", "P", "N", "N", ""), now_ns=SECOND)
    assert isinstance(again[-1], ouch50.Accepted)
    heard.take(core.tick(SECOND))
    (added,) = [m for m in heard.decoded(NEW) if isinstance(m, itch50.AddOrder)]
    assert (added.stock_locate, added.order_ref) == (2, again[-1].order_ref)


def test_orders_between_the_sessions_are_rejected() -> None:
    core = ExchangeCore(ExchangeConfig(rate=0, rollover_after=1))
    client = InProcessClient(core)
    client.login()
    assert core.next_packet(0) is not None
    while core.phase is not Phase.ROLLING:
        core.next_packet(0)
    (rejected,) = client.send(ouch50.EnterOrder(1, "B", 100, "AAPL", 10_000, "0", "Y", "P", "N", "N", ""))
    assert isinstance(rejected, ouch50.Rejected) and rejected.reason == 0x02


def test_a_stop_between_the_sessions_ends_the_day_there() -> None:
    core = ExchangeCore(ExchangeConfig(rate=0, rollover_after=1, linger_s=0.0))
    heard = Heard()
    while core.phase is not Phase.ROLLING:
        packet = core.next_packet(0)
        heard.take([] if packet is None else [packet])
    core.stop(0, "test")
    heard.take(core.tick(0))
    assert core.ended_by == "test"
    assert core.next_packet(0) is None
    assert heard.kinds == [("Packet", OLD), ("EndOfSession", OLD)]
    assert events(heard.decoded(OLD)) == "OSQMEC"


@pytest.mark.parametrize(
    ("name", "following"),
    [
        ("HFT0000001", "HFT0000002"),
        ("HFT0000999", "HFT0001000"),
        ("DAY9", "DAY10"),
        ("DAY0000009", "DAY0000010"),
        ("ABCDEFGHI9", "ABCDEFGHI0"),
        ("9999999999", "0000000000"),
        ("ABC", "ABC2"),
        ("ABCDEFGHIJ", "ABCDEFGHI2"),
    ],
)
def test_names_of_sessions(name: str, following: str) -> None:
    assert following_name(name) == following


def test_a_session_ends_only_when_all_of_it_has_left() -> None:
    publisher = ItchPublisher("A")
    publisher.system_event("O", 0)
    with pytest.raises(ExchangeError, match="1 messages to send"):
        publisher.begin_session("B")


def test_a_replay_does_not_roll_over(tmp_path: Path) -> None:
    path = tmp_path / "day"
    with path.open("wb") as stream:
        binaryfile.write(stream, [b"x"])
    with pytest.raises(ConfigError, match="one session"):
        ExchangeConfig(replay=path, rollover_after=5)


def test_the_books_of_a_venue_are_the_new_ones() -> None:
    core, _ = whole()
    assert isinstance(core.venue, LiveVenue)
    newest = core.history.current.market
    assert newest.orders == len(core.venue.engine.orders) > 0
