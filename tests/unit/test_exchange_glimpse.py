"""The market as published, and the conversation with one client of the snapshot server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from turbo_hft.exchange import ExchangeConfig, ExchangeCore
from turbo_hft.exchange.glimpse import SnapshotClient
from turbo_hft.exchange.published_market import PublishedMarket
from turbo_hft.wire import glimpse, itch50, soupbintcp
from turbo_hft.wire.soupbintcp import (
    ClientHeartbeat,
    Debug,
    EndOfSession,
    LoginAccepted,
    LoginRejected,
    LoginRequest,
    LogoutRequest,
    SequencedData,
    ServerHeartbeat,
    UnsequencedData,
)

SECOND = 1_000_000_000
PRICE = 1_632_000
LOCATES = {"AAPL": 1, "MSFT": 2}


def directory(symbol: str) -> itch50.Message:
    return itch50.StockDirectory(
        LOCATES[symbol], 0, 1, symbol, "Q", "N", 100, "N", "C", "Z", "P", "N", "N", "1", "N", 0, "N"
    )  # fmt: skip


def trading(symbol: str, state: str = "T") -> itch50.Message:
    return itch50.StockTradingAction(LOCATES[symbol], 0, 2, symbol, state, "", "")


def event(code: str) -> itch50.Message:
    return itch50.SystemEvent(0, 0, 3, code)


def add(ref: int, symbol: str = "AAPL", side: str = "B", shares: int = 100, price: int = PRICE) -> itch50.AddOrder:
    return itch50.AddOrder(LOCATES[symbol], 0, 4, ref, side, shares, symbol, price)


def market(*messages: itch50.Message | bytes) -> PublishedMarket:
    made = PublishedMarket()
    for message in messages:
        made.apply(message if isinstance(message, bytes) else message.encode())
    return made


def told(made: PublishedMarket) -> list[itch50.Message]:
    """The snapshot's messages, its end checked and left out."""
    *messages, end = made.snapshot()
    assert glimpse.decode(end) == glimpse.EndOfSnapshot(made.last_sequence + 1)
    return [itch50.decode(message) for message in messages]


def test_nothing_published_yet() -> None:
    assert PublishedMarket().snapshot() == [glimpse.EndOfSnapshot(1).encode()]


def test_states_come_symbol_by_symbol_and_in_their_newest_form() -> None:
    short = itch50.RegShoRestriction(2, 0, 5, "MSFT", "1")
    halts = [itch50.OperationalHalt(1, 0, 5, "AAPL", market_code, "H") for market_code in "QB"]
    made = market(
        event("O"), event("S"), halts[0], directory("MSFT"), directory("AAPL"), trading("AAPL"), trading("MSFT"), short,
        event("Q"), halts[1], trading("AAPL", "H"), add(1, "MSFT"), itch50.Rpii(1, 0, 6, "AAPL", "B"),
    )  # fmt: skip
    assert told(made) == [
        event("O"), event("S"), event("Q"),
        directory("AAPL"), trading("AAPL", "H"), *halts,
        directory("MSFT"), trading("MSFT"), short, add(1, "MSFT"),
    ]  # fmt: skip
    assert made.misfits == 0 and made.last_sequence == 13


def test_orders_have_the_shares_they_have_left() -> None:
    made = market(
        *(add(ref) for ref in range(1, 8)),
        itch50.OrderExecuted(1, 0, 5, 1, 30, 1),
        itch50.OrderExecutedWithPrice(1, 0, 5, 2, 40, 2, "Y", PRICE - 100),
        itch50.OrderCancel(1, 0, 5, 3, 99),
        itch50.OrderDelete(1, 0, 5, 4),
        itch50.OrderExecuted(1, 0, 5, 5, 100, 3),
        itch50.OrderCancel(1, 0, 5, 6, 50),
        itch50.OrderCancel(1, 0, 5, 6, 50),
    )
    assert told(made) == [add(1, shares=70), add(2, shares=60), add(3, shares=1), add(7)]
    assert (made.orders, made.misfits) == (4, 0)


def test_a_replacement_inherits_and_goes_to_the_back() -> None:
    attributed = itch50.AddOrderMpid(1, 0, 4, 1, "S", 100, "AAPL", PRICE, "GSCO")
    made = market(
        attributed,
        add(2),
        itch50.OrderReplace(1, 0, 9, 1, 3, 55, PRICE + 100),
        itch50.OrderReplace(1, 0, 9, 2, 4, 66, PRICE - 100),
        add(5),
        itch50.OrderReplace(1, 0, 10, 3, 6, 77, PRICE + 200),
    )
    assert told(made) == [
        itch50.AddOrder(1, 0, 9, 4, "B", 66, "AAPL", PRICE - 100),
        add(5),
        itch50.AddOrderMpid(1, 0, 10, 6, "S", 77, "AAPL", PRICE + 200, "GSCO"),
    ]


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"?unknown",
        add(9).encode()[:-1],
        add(1),
        add(9, shares=0),
        itch50.OrderExecuted(1, 0, 5, 9, 30, 1),
        itch50.OrderDelete(1, 0, 5, 9),
        itch50.OrderReplace(1, 0, 5, 9, 10, 30, 1),
    ],
)
def test_what_does_not_fit_is_counted_and_changes_nothing(message: itch50.Message | bytes) -> None:
    made = market(add(1), message)
    assert told(made) == [add(1)]
    assert (made.misfits, made.last_sequence) == (1, 2)


def test_more_shares_than_there_are_end_the_order() -> None:
    made = market(add(1), itch50.OrderExecuted(1, 0, 5, 1, 101, 1))
    assert told(made) == []
    assert made.misfits == 1


def test_the_exchange_mirrors_what_it_handed_out_and_no_more() -> None:
    core = ExchangeCore(ExchangeConfig(rate=1000, duration_s=2.0, linger_s=0.0))
    first = core.next_packet(0)
    assert first is not None and core.publisher.waiting > 100
    core.settle()
    assert core.history.current.market.last_sequence == core.publisher.last_sequence == 1
    core.tick(SECOND)
    assert core.history.current.market.last_sequence == core.publisher.last_sequence > 1000
    assert core.history.current.market.misfits == 0


# The conversation


class Talk:
    """A client of the server, with a clock that is moved by hand."""

    def __init__(self, snapshot: Callable[[], tuple[str, list[bytes]]] | None = None, **settings: Any) -> None:
        self.count: Counter[str] = Counter()
        self.server = SnapshotClient(
            {"HFT001": "SECRET"}, snapshot or (lambda: ("S1", [b"one", b"two"])), self.count, 0, **settings
        )
        self.decoder = soupbintcp.Decoder()

    def send(self, *packets: soupbintcp.ClientPacket, at: int = 0) -> list[soupbintcp.Packet]:
        """What the server answers to these packets."""
        self.server.receive(b"".join(packet.encode() for packet in packets), at)
        return self.take(at)

    def take(self, at: int, size: int = 1 << 20) -> list[soupbintcp.Packet]:
        """What the server has to say now, of which at most `size` bytes get through."""
        output = self.server.output(at)[:size]
        self.decoder.feed(output)
        self.server.taken(len(output), at)
        return list(self.decoder)


WHOLE = [LoginAccepted("S1", 1), SequencedData(b"one"), SequencedData(b"two"), EndOfSession()]


@pytest.mark.parametrize(
    "request_",
    [
        LoginRequest("HFT001", "SECRET"),
        LoginRequest("hft001", "secret", "s1", 0),
        LoginRequest("HFT001", "SECRET", "S1", 99, 15_000),
    ],
)
def test_log_in_and_get_the_snapshot(request_: LoginRequest) -> None:
    talk = Talk()
    assert talk.send(request_) == WHOLE
    assert talk.server.over
    assert talk.count == {"logins": 1, "snapshots": 1, "messages": 2}


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (LoginRequest("NOBODY", "SECRET"), "A"),
        (LoginRequest("HFT001", "WRONG"), "A"),
        (LoginRequest("HFT001", "SECRET", "OTHER"), "S"),
        (LoginRequest("NOBODY", "SECRET", "OTHER"), "A"),
    ],
)
def test_wrong_logins_are_rejected_and_closed(request_: LoginRequest, reason: str) -> None:
    talk = Talk()
    assert talk.send(request_) == [LoginRejected(reason)]
    assert talk.server.over
    assert talk.count == {"logins_rejected": 1}


def test_a_login_in_pieces_after_signs_of_life() -> None:
    talk = Talk()
    raw = Debug(b"hello").encode() + ClientHeartbeat().encode() + LoginRequest("HFT001", "SECRET").encode()
    for at in range(len(raw) - 1):
        talk.server.receive(raw[at : at + 1], at)
        assert talk.take(at) == []
    talk.server.receive(raw[-1:], len(raw))
    assert talk.take(len(raw)) == WHOLE


def test_the_snapshot_is_taken_at_login_and_sent_after_the_delay_with_heartbeats() -> None:
    messages = [b"old"]
    talk = Talk(lambda: ("S1", list(messages)), delay_ns=2_500_000_000)
    assert talk.send(LoginRequest("HFT001", "SECRET")) == [LoginAccepted("S1", 1)]
    messages[:] = [b"new"]
    assert talk.server.next_due_ns == SECOND
    assert talk.take(SECOND - 1) == []
    assert talk.take(SECOND) == [ServerHeartbeat()]
    assert talk.take(SECOND + 1) == []
    assert talk.take(2 * SECOND) == [ServerHeartbeat()]
    assert talk.server.next_due_ns == 2_500_000_000
    assert talk.take(2_500_000_000) == [SequencedData(b"old"), EndOfSession()]
    assert talk.count["heartbeats"] == 2


def test_a_slow_reader_costs_a_bounded_buffer_and_loses_nothing() -> None:
    messages = [bytes([number % 251]) * 36 for number in range(20_000)]
    talk = Talk(lambda: ("S1", messages))
    packets = talk.send(LoginRequest("HFT001", "SECRET"))
    while not talk.server.over:
        assert len(talk.server.output(SECOND)) < 33_000
        packets += talk.take(SECOND, 777)
    assert packets == [LoginAccepted("S1", 1), *map(SequencedData, messages), EndOfSession()]


def test_a_reader_that_takes_nothing_is_dropped() -> None:
    talk = Talk(lambda: ("S1", [bytes(1000)] * 1000))
    talk.send(LoginRequest("HFT001", "SECRET"))
    assert talk.take(10 * SECOND, 1) == []
    assert talk.server.output(25 * SECOND - 1) != b""
    assert talk.server.output(25 * SECOND) == b""
    assert talk.server.over
    assert talk.count["silent"] == 1 and talk.count["snapshots"] == 0


def test_a_heartbeat_is_a_sign_of_life() -> None:
    talk = Talk(lambda: ("S1", [bytes(1000)] * 1000))
    talk.send(LoginRequest("HFT001", "SECRET"))
    talk.server.receive(ClientHeartbeat().encode(), 14 * SECOND)
    assert talk.server.output(28 * SECOND) != b""


def test_who_does_not_log_in_is_dropped() -> None:
    talk = Talk()
    assert talk.server.next_due_ns == 30 * SECOND
    talk.server.receive(ClientHeartbeat().encode(), 29 * SECOND)
    assert talk.take(30 * SECOND - 1) == []
    assert talk.count.total() == 0
    talk.take(30 * SECOND)
    assert talk.server.over
    assert talk.count == {"login_timeouts": 1}


@pytest.mark.parametrize(
    ("data", "counter"),
    [
        (b"\0\1?", "malformed"),
        (b"GET / HTTP/1.1\r\n\r\n" * 300, "malformed"),
        (EndOfSession().encode(), "malformed"),
        (LogoutRequest().encode(), "left"),
    ],
)
def test_garbage_and_a_logout_end_it(data: bytes, counter: str) -> None:
    talk = Talk()
    talk.server.receive(data, 0)
    assert talk.server.over
    talk.server.receive(data, 0)
    assert talk.take(0) == []
    assert talk.count == {counter: 1}


def test_a_second_login_and_orders() -> None:
    talk = Talk(delay_ns=SECOND)
    assert talk.send(LoginRequest("HFT001", "SECRET"), UnsequencedData(b"O")) == [LoginAccepted("S1", 1)]
    assert talk.send(LoginRequest("HFT001", "SECRET")) == []
    assert talk.server.over


def test_a_client_that_went_away() -> None:
    talk = Talk()
    talk.server.gone(0)
    assert talk.server.over and talk.count == {"left": 1}
