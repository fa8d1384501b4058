"""The market generator: the same bytes for the same configuration, however they are taken, and what it refuses."""

from __future__ import annotations

import errno
import hashlib
import time
from itertools import islice
from pathlib import Path

import pytest
from turbo_hft._native import ffi, lib
from turbo_hft.errors import ConfigError, MalformedMessage
from turbo_hft.exchange.market import MarketConfig, MarketFlow
from turbo_hft.exchange.replay import ReplayVenue
from turbo_hft.wire import binaryfile, itch50, moldudp64

SMALL = MarketConfig(seed=7, symbols=50, live_orders=500, names=("AAPL", "MSFT"), prices_e4={"AAPL": 1_632_000})
# SHA-256 of the first day's beginning; it changes when the generator does, and only then.
GOLDEN = "33501b2c0175923e5530c4024e774c65ac2fbfee33f385e10921d184153019e1"
GOLDEN_OPENING = "ea3867f5b4fb3f52ba37e21b6f84fe02272daacbc498bd252f832f6f0002cbd7"


def digest(config: MarketConfig, limit: int) -> str:
    return hashlib.sha256(b"".join(MarketFlow(config).chunks(limit))).hexdigest()


def framed(messages: list[bytes]) -> bytes:
    return b"".join(len(message).to_bytes(2, "big") + message for message in messages)


def test_the_same_configuration_gives_the_same_bytes() -> None:
    assert digest(SMALL, 20_000) == digest(SMALL, 20_000)
    assert digest(SMALL, 20_000) != digest(MarketConfig(seed=8, symbols=50, live_orders=500), 20_000)


def test_the_bytes_are_those_of_every_other_machine() -> None:
    assert digest(MarketConfig(symbols=200, live_orders=2_000), 20_000) == GOLDEN
    assert digest(MarketConfig(symbols=200, opening=True), 20_000) == GOLDEN_OPENING


def test_the_bytes_do_not_depend_on_how_they_are_taken() -> None:
    whole = b"".join(MarketFlow(SMALL).chunks(3_000))
    pieces = MarketFlow(SMALL)
    assert b"".join(b"".join(pieces.chunks(1_000)) for _ in range(3)) == whole
    one_by_one = MarketFlow(SMALL)
    assert framed([message for _ in range(3_000) for message in one_by_one.messages(1)]) == whole


@pytest.mark.parametrize("per_packet", [0, 1, 7])
def test_packets_carry_the_same_messages(per_packet: int) -> None:
    messages = list(MarketFlow(SMALL).messages(2_500))
    carried: list[bytes] = []
    for raw in MarketFlow(SMALL).packets("HFT0000001", 5, per_packet, 2_500):
        packet = moldudp64.decode(raw)
        assert isinstance(packet, moldudp64.Packet) and packet.session == "HFT0000001"
        assert packet.sequence == 5 + len(carried)
        assert len(raw) <= lib.HFT_MARKET_PAYLOAD_MAX and (not per_packet or len(packet.messages) <= per_packet)
        carried += packet.messages
    assert carried == messages


def test_packets_without_a_limit_have_no_end() -> None:
    packets = MarketFlow(MarketConfig(symbols=3)).packets("S")
    assert len(list(islice(packets, 100_000))) == 100_000


def test_a_packet_too_few_is_never_written() -> None:
    market = MarketFlow(SMALL)
    list(market.chunks(0))
    sequence, count = ffi.new("uint64_t *", 1), ffi.new("uint64_t *")
    room = lib.HFT_MARKET_PAYLOAD_MAX + lib.HFT_MARKET_ROOM_MIN
    buffer = ffi.new("uint8_t[]", room)
    assert lib.hft_market_packets(market._market, buffer, room - 1, b"S" * 10, sequence, 0, 9, count) == 0
    assert (count[0], sequence[0]) == (0, 1)
    assert lib.hft_market_packets(market._market, buffer, room, b"S" * 10, sequence, 0, 9, count) > 0
    assert count[0] == 1 and sequence[0] > 20


def test_a_file_is_a_binaryfile(tmp_path: Path) -> None:
    seen: list[int] = []
    path = tmp_path / "day.itch50"
    written = MarketFlow(SMALL).write_binaryfile(path, 100_000, seen.append)
    messages = list(binaryfile.read(path))
    assert len(messages) == written == seen[-1] > 100_500 and seen == sorted(seen)
    assert messages == list(MarketFlow(SMALL).messages(100_000))


@pytest.mark.parametrize(("symbols", "live_orders"), [(100, 1_000), (1_000, 100_000), (8_714, 1_000)])
def test_the_number_of_live_orders_is_reached_and_kept(symbols: int, live_orders: int) -> None:
    market = MarketFlow(MarketConfig(symbols=symbols, live_orders=live_orders))
    for _ in market.chunks(0):
        pass
    assert market.stats().live_orders == live_orders
    for _ in range(10):
        for _ in market.chunks(50_000):
            pass
        assert market.stats().live_orders == pytest.approx(live_orders, rel=0.03, abs=40)


def test_a_market_that_was_not_seeded_grows_to_its_number() -> None:
    market = MarketFlow(MarketConfig(symbols=20, live_orders=5_000))
    market._stage = 2
    for _ in market.chunks(100_000):
        pass
    assert market.stats().live_orders == pytest.approx(5_000, rel=0.05)


def test_a_day_begins_as_days_do() -> None:
    messages = [itch50.decode(raw) for raw in MarketFlow(MarketConfig(symbols=2_000)).messages(0)]
    kinds = [message.TYPE for message in messages]
    assert [m.event_code for m in messages if isinstance(m, itch50.SystemEvent)] == ["O", "S", "Q"]
    assert kinds[:2] == ["S", "S"] and kinds[-1] == "S" and messages[-1].timestamp == 34_200_000_000_000
    assert messages[0].timestamp == 34_199_000_000_000
    directory = [m for m in messages if isinstance(m, itch50.StockDirectory)]
    assert [m.stock_locate for m in directory] == list(range(1, 2_001))
    assert all(kinds.count(kind) >= 2_000 for kind in "RHYL") and kinds.count("V") == 1
    actions = [m for m in messages if isinstance(m, itch50.StockTradingAction)]
    halted = {m.stock for m in actions if m.trading_state != "T"}
    reopened = [m.stock for m in actions if m.trading_state == "T" and m.stock in halted]
    assert halted and reopened and [m.stock for m in messages if isinstance(m, itch50.CrossTrade)] == reopened


def test_symbols_are_known_by_rank() -> None:
    market = MarketFlow(SMALL)
    assert (market.symbol(0).name, market.symbol(0).fair_e4) == ("AAPL", 1_632_000)
    assert market.symbol(1).name == "MSFT"
    names = {market.symbol(rank).name for rank in range(50)}
    locates = {market.symbol(rank).locate for rank in range(50)}
    assert len(names) == 50 and locates == set(range(1, 51))
    for rank in (-1, 50):
        with pytest.raises(ConfigError, match="0 to 49"):
            market.symbol(rank)


def test_the_whole_market_has_names_of_its_own() -> None:
    market = MarketFlow(MarketConfig(symbols=12_000, first_locate=100))
    symbols = [market.symbol(rank) for rank in range(12_000)]
    assert len({symbol.name for symbol in symbols}) == 12_000
    assert {symbol.locate for symbol in symbols} == set(range(100, 12_100))
    assert 0.02 < sum(symbol.tick_e4 == 1 for symbol in symbols) / 12_000 < 0.04


def test_activity_falls_with_the_rank() -> None:
    market = MarketFlow(MarketConfig(symbols=1_000))
    rank_of = {market.symbol(rank).locate: rank for rank in range(1_000)}
    adds = [0] * 1_000
    for raw in market.messages(200_000):
        if raw[:1] == b"A":
            adds[rank_of[int.from_bytes(raw[1:3], "big")]] += 1
    weights = [(rank + 1) ** -0.81 for rank in range(1_000)]
    for low, high in ((0, 1), (1, 10), (10, 100), (100, 1_000)):
        share = sum(weights[low:high]) / sum(weights)
        assert sum(adds[low:high]) / sum(adds) == pytest.approx(share, rel=0.05)


def test_a_replay_venue_can_follow() -> None:
    venue = ReplayVenue()
    market = MarketFlow(SMALL)
    for raw in market.messages(30_000):
        venue.follow(itch50.decode(raw))
    assert (venue.mirror.misfits, venue.mirror.unknown_refs) == (0, 0)
    assert len(venue.mirror.orders) == market.stats().live_orders
    assert venue.best("AAPL")["bid_e4"] == market.symbol(0).bid_e4


def test_a_day_does_not_end() -> None:
    market = MarketFlow(MarketConfig(symbols=5, start_ns=86_399_999_000_000, prelude_ns=0, rate=100))
    assert itch50.decode(list(market.messages(1_000))[-1]).timestamp == 86_399_999_999_999


def test_rooms_and_order_of_calls() -> None:
    market = MarketFlow(SMALL)._market
    room = lib.hft_market_open_room(market)
    buffer = ffi.new("uint8_t[]", room)
    count = ffi.new("uint64_t *")
    assert lib.hft_market_open(market, buffer, room - 1) == -errno.ENOSPC
    assert 0 < lib.hft_market_open(market, buffer, room) <= room
    assert lib.hft_market_open(market, buffer, room) == -errno.EALREADY
    assert lib.hft_market_next(market, buffer, lib.HFT_MARKET_ROOM_MIN - 1, 9, count) == 0 == count[0]
    assert lib.hft_market_next(market, buffer, lib.HFT_MARKET_ROOM_MIN, 9, count) > 0 and count[0] == 1


@pytest.mark.parametrize("torn", [b"\0", b"\0\0", b"\0\x0cS", b"\x06\0" + bytes(0x600)])
def test_torn_messages_are_not_packed(torn: bytes) -> None:
    buffer = ffi.new("uint8_t[]", 4096)
    used, sequence, count = (ffi.new("uint64_t *", 1) for _ in range(3))
    source = ffi.from_buffer(torn)
    assert lib.hft_market_pack(source, len(torn), used, buffer, 4096, b"S" * 10, sequence, 0, count) == -errno.EBADMSG


@pytest.mark.parametrize(
    "values",
    [
        {"symbols": 0},
        {"symbols": 12_001},
        {"symbols": 10, "first_locate": 65_527},
        {"first_locate": 0},
        {"seed": -1},
        {"live_orders": 1 << 24},
        {"rank_slope": 5},
        {"stub_share": 1.5},
        {"late_ref_share": 0.6},
        {"rate": 0},
        {"prelude_ns": 1 << 60},
        {"names": ("A B",)},
        {"names": ("A", "A")},
        {"names": ("A", "B"), "symbols": 1},
        {"prices_e4": {"AAPL": 1}},
        {"names": ("AAPL",), "prices_e4": {"AAPL": 1}},
        {"mix": {"R": 1}},
        {"mix": {"D": -1}},
        {"mix": {"A": 0}},
    ],
)
def test_values_that_cannot_be(values: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        MarketConfig(**values)  # type: ignore[arg-type]  # that is the test


def test_the_native_side_refuses_them_too() -> None:
    error = ffi.new("int *")
    native = ffi.new("struct hft_market_config *")
    for name, value in (("symbols", 0), ("rate", 0), ("first_locate", 65_000), ("live_orders", 1 << 24), ("named", 1)):
        lib.hft_market_defaults(native, 0)
        setattr(native, name, value)
        assert lib.hft_market_create(native, error) == ffi.NULL and error[0] == -errno.EINVAL
    lib.hft_market_defaults(native, 0)
    native.mix[ord("R")] = 1
    assert lib.hft_market_create(native, error) == ffi.NULL and error[0] == -errno.EINVAL


def test_packets_that_cannot_be() -> None:
    market = MarketFlow(SMALL)
    for arguments in (("TOO LONG A NAME", 1, 0), ("S", 0, 0), ("S", 1, -1)):
        with pytest.raises(MalformedMessage):
            next(market.packets(*arguments))


@pytest.mark.parametrize(("symbols", "live_orders"), [(100, 1_000), (1_000, 100_000)])
def test_speed(symbols: int, live_orders: int) -> None:
    """Printed, not judged: it is the machine's as much as the generator's."""
    market = MarketFlow(MarketConfig(symbols=symbols, live_orders=live_orders))
    for _ in market.chunks(0):
        pass
    began = time.perf_counter()
    size = sum(len(chunk) for chunk in market.chunks(500_000))
    seconds = time.perf_counter() - began
    print(f"{symbols} symbols, {live_orders} orders: {0.5 / seconds:.1f} M messages/s, {size / 500_000:.1f} bytes each")
