"""The random order flow: the same for a seed whatever the clock does, and like a real day in its mix."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from turbo_hft.errors import ConfigError
from turbo_hft.exchange import ExchangeConfig, ExchangeCore, MatchingEngine, Phase
from turbo_hft.exchange.book import BUY, SELL
from turbo_hft.exchange.flow import RandomFlow, start_price_e4
from turbo_hft.exchange.matching import OrderAdded, OrderDeleted, OrderExecuted, OrderReduced, OrderReplaced
from turbo_hft.wire import itch50, moldudp64

SECOND = 1_000_000_000
# Shares of one whole NASDAQ day, of the types that the flow makes (they are 98.6 % of that day).
DAY = {"A": 0.44241, "D": 0.42966, "U": 0.07390, "E": 0.02198, "X": 0.01268, "F": 0.00469, "C": 0.00043}


def session(step_ns: int, **settings: Any) -> list[bytes]:
    """All messages of a three-second session, with the clock looked at every `step_ns`."""
    core = ExchangeCore(ExchangeConfig(duration_s=3.0, linger_s=0.0, **settings))
    messages: list[bytes] = []
    now = 0
    while core.phase is not Phase.ENDED:
        for packet in core.tick(now):
            decoded = moldudp64.decode(packet)
            if isinstance(decoded, moldudp64.Packet):
                messages += decoded.messages
        now += step_ns
    return messages


def test_a_seed_gives_the_same_bytes_whatever_the_clock_does() -> None:
    smooth = session(SECOND // 1000)
    assert smooth == session(SECOND)
    assert smooth == session(SECOND // 7, messages_per_packet=17)


def test_another_seed_gives_another_day() -> None:
    assert session(SECOND, seed=1) != session(SECOND, seed=2)


def test_the_rate_counts_messages() -> None:
    messages = session(SECOND // 100, rate=500)
    opening = 3 + 2 * 2 + 2 * 60  # system events; R and H, and the standing orders, of two symbols
    assert len(messages) - opening - 3 == pytest.approx(1500, abs=10)
    stamps = [int.from_bytes(message[5:11]) for message in messages]
    assert stamps == sorted(stamps)
    open_ns = 34_200 * SECOND
    assert stamps[0] == open_ns
    assert open_ns + 2.9 * SECOND < stamps[-4] < open_ns + 3 * SECOND


def test_bursts_share_an_instant() -> None:
    messages = session(SECOND // 100, rate=500, burst=50)
    stamps = Counter(int.from_bytes(message[5:11]) for message in messages[:-3])
    assert len(stamps) == 30
    assert min(stamps.values()) >= 45


def test_the_day_is_framed_by_its_events() -> None:
    messages = [itch50.decode(message) for message in session(SECOND)]
    assert [m.TYPE for m in messages[:7]] == ["S", "S", "R", "R", "H", "H", "S"]
    events = [m.event_code for m in messages if isinstance(m, itch50.SystemEvent)]
    assert "".join(events) == "OSQMEC"
    assert [m.stock_locate for m in messages if isinstance(m, itch50.StockDirectory)] == [1, 2]
    assert {m.trading_state for m in messages if isinstance(m, itch50.StockTradingAction)} == {"T"}


@pytest.mark.parametrize("seed", [1, 2])
def test_the_mix_is_that_of_a_whole_day(seed: int) -> None:
    engine = MatchingEngine(("AAPL", "MSFT", "INTC"))
    flow = RandomFlow(engine, seed=seed, rate=1000)
    for action in flow.seed_book():
        flow.apply(action)
    types: Counter[str] = Counter()
    names = {OrderReduced: "X", OrderDeleted: "D", OrderReplaced: "U"}
    for _ in range(60_000):
        for event in flow.apply(flow.next_action()):
            if isinstance(event, OrderAdded):
                name = "F" if event.mpid else "A"
            elif isinstance(event, OrderExecuted):
                name = "C" if event.off_display_price else "E"
            else:
                name = names[type(event)]
            types[name] += 1
    total, day = types.total(), sum(DAY.values())
    for kind, share in DAY.items():
        expected = share / day
        assert types[kind] / total == pytest.approx(expected, rel=0.1, abs=0.0015), kind
    assert types["C"] > 0


@pytest.mark.parametrize("seed", [3, 4])
def test_the_spread_stays_within_ten_cents_around_a_walking_price(seed: int) -> None:
    engine = MatchingEngine(("AAPL",))
    flow = RandomFlow(engine, seed=seed, rate=1000)
    for action in flow.seed_book():
        flow.apply(action)
    spreads: list[int] = []
    middles: list[int] = []
    book = engine.books["AAPL"]
    for _ in range(20_000):
        flow.apply(flow.next_action())
        bid, ask = book.best(BUY), book.best(SELL)
        assert bid is not None and ask is not None
        assert bid[0] < ask[0]
        spreads.append((ask[0] - bid[0]) // 100)
        middles.append((ask[0] + bid[0]) // 2)
    assert sum(spread <= 10 for spread in spreads) > 0.98 * len(spreads)
    assert len(set(spreads)) > 3
    assert max(middles) - min(middles) > 10 * 100  # it does walk
    assert 40 < len(engine.orders) < 600  # and the book neither starves nor swells


def test_orders_keep_to_sizes_and_prices_that_itch_carries() -> None:
    engine = MatchingEngine(("PENNY",))
    flow = RandomFlow(engine, seed=5, rate=1000, prices_e4={"PENNY": 10_000})
    for action in flow.seed_book():
        flow.apply(action)
    for _ in range(5_000):
        action = flow.next_action()
        flow.apply(action)
        if action.kind == "add":
            assert 1 <= action.qty <= 999_999
            assert 100 <= action.price_e4 <= 0x7735939C
            assert action.price_e4 % 100 == 0


def test_every_symbol_starts_at_a_price_of_its_own() -> None:
    assert start_price_e4("AAPL") == 1_632_000
    assert start_price_e4("INTC") == start_price_e4("INTC") != start_price_e4("CSCO")
    assert 200_000 <= start_price_e4("INTC") <= 4_000_000


@pytest.mark.parametrize(("rate", "burst"), [(0, 1), (1, 0), (-5, 1)])
def test_a_flow_needs_a_rate(rate: int, burst: int) -> None:
    with pytest.raises(ConfigError, match="1 or more"):
        RandomFlow(MatchingEngine(("AAPL",)), seed=1, rate=rate, burst=burst)
