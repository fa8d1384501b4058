"""What must hold of every market, message by message, and what a long piece of one looks like as a whole."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from turbo_hft.exchange.market import FLOW_TYPES, MarketConfig, MarketFlow
from turbo_hft.wire import itch50

CENT = 100
DOLLAR = 10_000
HIGHEST = 1_999_999_900
BEFORE_THE_FIRST_MATCH = 10_000
LAST_NS = 86_400 * 1_000_000_000 - 1

# Percent of all messages of 2019-01-30.
DAY_MIX = {"A": 44.241, "D": 42.966, "U": 7.390, "E": 2.198, "X": 1.268, "I": 1.0, "F": 0.469, "P": 0.360, "C": 0.043}
# Ticks from the touch over a whole day, all symbols: quantile -> lowest and highest that is near enough.
DAY_DEPTHS = {0.25: (0, 0), 0.5: (1, 1), 0.75: (4, 8), 0.9: (11, 18), 0.99: (140, 280), 0.999: (1500, 4000)}


class Half:
    """One side of a book: {price: references in time order}, and the best price."""

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.levels: dict[int, dict[int, None]] = {}
        self._heap: list[int] = []

    def best(self) -> int | None:
        while self._heap and -self._heap[0] * self.sign not in self.levels:
            heappop(self._heap)
        return -self._heap[0] * self.sign if self._heap else None

    def join(self, ref: int, price: int) -> None:
        if price not in self.levels:
            self.levels[price] = {}
            heappush(self._heap, -price * self.sign)
        self.levels[price][ref] = None

    def leave(self, ref: int, price: int) -> None:
        del self.levels[price][ref]
        if not self.levels[price]:
            del self.levels[price]


@dataclass(slots=True)
class Resting:
    locate: int
    side: str
    price: int
    shares: int


@dataclass
class Oracle:
    """Follows a day and asserts that each message is one that could come now. Collects what is said of the whole."""

    names: dict[int, str] = field(default_factory=dict)
    states: dict[int, str] = field(default_factory=dict)
    live: dict[int, Resting] = field(default_factory=dict)
    halves: dict[tuple[int, str], Half] = field(default_factory=dict)
    refs: set[int] = field(default_factory=set)
    matches: dict[int, int] = field(default_factory=dict)  # number: locate; those that were not broken
    last_match: int = 0
    time: int = 0
    phase: str = ""
    types: Counter[str] = field(default_factory=Counter)
    flow_types: Counter[str] = field(default_factory=Counter)
    depths: list[int] = field(default_factory=list)
    executions: int = 0
    out_of_turn: int = 0
    previous_add: int = 0
    add_pairs: int = 0
    add_decreases: int = 0
    replaced: set[int] = field(default_factory=set)
    chained: int = 0
    stubs: int = 0
    times: list[int] = field(default_factory=list)
    sizes: Counter[int] = field(default_factory=Counter)

    def apply(self, message: itch50.Message) -> None:
        assert self.time <= message.timestamp <= LAST_NS
        self.time = message.timestamp
        self.types[message.TYPE] += 1
        if self.phase == "OSQ":
            self.flow_types[message.TYPE] += 1
            self.times.append(message.timestamp)
        stock = getattr(message, "stock", None)
        locate = message.stock_locate
        match message:
            case itch50.SystemEvent():
                assert locate == 0
                self.phase += message.event_code
                assert "OSQ".startswith(self.phase)
            case itch50.StockDirectory():
                assert locate > 0 and locate not in self.names and message.stock not in self.names.values()
                self.names[locate] = message.stock
            case itch50.MwcbDeclineLevel() | itch50.MwcbStatus():
                assert locate == 0
            case _:
                assert self.names[locate] == stock if stock is not None else locate in self.names
        match message:
            case itch50.AddOrder() | itch50.AddOrderMpid():
                self._add(message)
            case itch50.OrderExecuted() | itch50.OrderExecutedWithPrice():
                self._execute(message)
            case itch50.OrderCancel():
                order = self._resting(message.order_ref, locate)
                assert 0 < message.cancelled_shares < order.shares
                self._measure(order)
                order.shares -= message.cancelled_shares
            case itch50.OrderDelete():
                self._measure(self._resting(message.order_ref, locate))
                self._leave(message.order_ref)
            case itch50.OrderReplace():
                old = self._resting(message.orig_order_ref, locate)
                assert message.new_order_ref > message.orig_order_ref
                self.chained += message.orig_order_ref in self.replaced
                self.replaced.add(message.new_order_ref)
                self._measure(Resting(locate, old.side, message.price, message.shares))
                self._leave(message.orig_order_ref)
                self._join(message.new_order_ref, locate, old.side, message.price, message.shares)
            case itch50.Trade():
                assert message.order_ref == 0 and message.side == "B" and message.shares > 0 and message.price > 0
                assert self.states[locate] == "T"
                self._match(message.match_number, locate)
            case itch50.CrossTrade():
                assert message.cross_type in "OCH" and (message.cross_price > 0) == (message.shares > 0)
                self._match(message.match_number, locate)
            case itch50.BrokenTrade():
                assert self.matches.pop(message.match_number) == locate
            case itch50.StockTradingAction():
                assert message.trading_state in "HPT"
                if locate in self.states:
                    assert (message.trading_state == "T") != (self.states[locate] == "T")
                self.states[locate] = message.trading_state
            case itch50.LuldAuctionCollar():
                assert 0 < message.lower_price <= message.reference_price < message.upper_price
            case _:
                pass

    def _half(self, locate: int, side: str) -> Half:
        return self.halves.setdefault((locate, side), Half(1 if side == "B" else -1))

    def _measure(self, order: Resting) -> None:
        """How many ticks behind the touch something happens; improving it is at the touch."""
        half = self._half(order.locate, order.side)
        best = half.best()
        tick = 1 if best is not None and best < DOLLAR else CENT
        if self.phase == "OSQ":
            self.depths.append(0 if best is None else max(0, (best - order.price) * half.sign // tick))

    def _add(self, m: itch50.AddOrder | itch50.AddOrderMpid) -> None:
        self._measure(Resting(m.stock_locate, m.side, m.price, m.shares))
        self._join(m.order_ref, m.stock_locate, m.side, m.price, m.shares)
        self.sizes[m.shares] += 1
        self.add_pairs += 1
        self.add_decreases += m.order_ref < self.previous_add
        self.previous_add = m.order_ref

    def _join(self, ref: int, locate: int, side: str, price: int, shares: int) -> None:
        assert ref > 0 and ref not in self.refs
        self.refs.add(ref)
        assert side in "BS" and 0 < shares < 1_000_000 and 0 < price <= HIGHEST
        assert price < DOLLAR or price % CENT == 0
        other = self._half(locate, "S" if side == "B" else "B").best()
        assert other is None or (price < other if side == "B" else price > other), "crossed or locked"
        self.stubs += price in (CENT, HIGHEST)
        self.live[ref] = Resting(locate, side, price, shares)
        self._half(locate, side).join(ref, price)

    def _resting(self, ref: int, locate: int) -> Resting:
        order = self.live[ref]
        assert order.locate == locate
        return order

    def _leave(self, ref: int) -> None:
        order = self.live.pop(ref)
        self._half(order.locate, order.side).leave(ref, order.price)

    def _execute(self, m: itch50.OrderExecuted | itch50.OrderExecutedWithPrice) -> None:
        order = self._resting(m.order_ref, m.stock_locate)
        half = self._half(order.locate, order.side)
        assert self.states[m.stock_locate] == "T"
        assert 0 < m.executed_shares <= order.shares
        assert order.price == half.best()
        if isinstance(m, itch50.OrderExecutedWithPrice):
            assert m.printable in "YN" and 0 < m.execution_price != order.price
        self._match(m.match_number, m.stock_locate)
        self._measure(order)
        self.executions += 1
        self.out_of_turn += next(iter(half.levels[order.price])) != m.order_ref
        order.shares -= m.executed_shares
        if not order.shares:
            self._leave(m.order_ref)

    def _match(self, number: int, locate: int) -> None:
        assert number > self.last_match
        self.last_match = number
        self.matches[number] = locate


def followed(config: MarketConfig, messages: int) -> tuple[Oracle, MarketFlow]:
    """A market after so many messages of flow, each of which was judged."""
    market = MarketFlow(config)
    oracle = Oracle()
    for raw in market.messages(messages):
        oracle.apply(itch50.decode(raw))
    return oracle, market


def quantile(values: list[int], share: float) -> int:
    return sorted(values)[int(share * (len(values) - 1))]


def agrees(oracle: Oracle, market: MarketFlow, config: MarketConfig) -> None:
    """What the market says of itself is what its messages say."""
    stats = market.stats()
    assert stats.by_type == oracle.types and stats.messages == oracle.types.total()
    assert stats.live_orders == len(oracle.live)
    assert stats.last_ref >= max(oracle.refs)
    assert stats.last_match == (oracle.last_match or BEFORE_THE_FIRST_MATCH)
    assert stats.clock_ns == oracle.time
    for rank in range(0, config.symbols, max(1, config.symbols // 50)):
        symbol = market.symbol(rank)
        assert oracle.names[symbol.locate] == symbol.name and oracle.states[symbol.locate] == symbol.trading_state
        for side, best in (("B", symbol.bid_e4), ("S", symbol.ask_e4)):
            assert oracle._half(symbol.locate, side).best() == (best or None)


@pytest.mark.parametrize(
    ("seed", "symbols", "live_orders"), [(1, 100, 2_000), (2, 1_000, 100_000), (3, 8_714, 1_000), (4, 1, 200)]
)
def test_every_message_could_come(seed: int, symbols: int, live_orders: int) -> None:
    config = MarketConfig(seed=seed, symbols=symbols, live_orders=live_orders)
    oracle, market = followed(config, 200_000)
    agrees(oracle, market, config)
    assert oracle.flow_types.total() == 200_000 + (live_orders if live_orders else 0)
    assert oracle.out_of_turn < oracle.executions * 0.01


def test_every_message_of_an_opening_could_come() -> None:
    config = MarketConfig(seed=5, symbols=500, opening=True)
    oracle, market = followed(config, 100_000)
    agrees(oracle, market, config)
    assert oracle.flow_types["A"] / oracle.flow_types.total() == pytest.approx(0.7465, abs=0.01)
    # 1,708 of 7,465 pairs in the opening of 2019-01-30
    assert oracle.add_decreases / oracle.add_pairs == pytest.approx(0.229, abs=0.02)


CONFIGS = st.builds(
    MarketConfig,
    seed=st.integers(0, 2**64 - 1),
    symbols=st.integers(1, 300),
    live_orders=st.sampled_from((0, 1, 30, 3000)),
    opening=st.booleans(),
    # All that is rare comes often here, and so do sub-dollar prices and stub quotes.
    mix=st.dictionaries(st.sampled_from(FLOW_TYPES.replace("A", "")), st.floats(0, 30), max_size=8),
    rank_slope=st.floats(0, 4),
    subdollar_share=st.sampled_from((0.0, 0.5, 1.0)),
    stub_share=st.sampled_from((0.0, 1.0)),
    late_ref_share=st.sampled_from((0.0, 0.02, 0.5)),
    shared_ns_share=st.sampled_from((0.0, 0.56, 1.0)),
    steady=st.booleans(),
)


@settings(max_examples=60)
@given(CONFIGS)
def test_every_message_of_any_market_could_come(config: MarketConfig) -> None:
    oracle, market = followed(config, 4_000)
    agrees(oracle, market, config)


@pytest.fixture(scope="module")
def day() -> Oracle:
    """A piece of an ordinary day with books of some hundred orders."""
    return followed(MarketConfig(seed=11, symbols=300, live_orders=60_000), 300_000)[0]


def flow_of(oracle: Oracle, seeded: int) -> Iterator[tuple[str, float]]:
    total = oracle.flow_types.total() - seeded
    for letter, count in oracle.flow_types.items():
        yield letter, 100 * (count - (seeded if letter == "A" else 0)) / total


def test_the_mix_is_that_of_a_day(day: Oracle) -> None:
    mix = dict(flow_of(day, 60_000))
    print({letter: round(percent, 3) for letter, percent in sorted(mix.items())})
    for letter, percent in DAY_MIX.items():
        assert mix[letter] == pytest.approx(percent, rel=0.1, abs=0.015), letter
    assert set(mix) >= set("ADUEXIFPLCQ")


def test_the_depths_are_those_of_a_day(day: Oracle) -> None:
    flow = day.depths[60_000:]
    print({share: quantile(flow, share) for share in DAY_DEPTHS})
    for share, (lowest, highest) in DAY_DEPTHS.items():
        assert lowest <= quantile(flow, share) <= highest, share


def test_sizes_chains_and_references_are_those_of_a_day(day: Oracle) -> None:
    adds = day.sizes.total()
    assert day.sizes.most_common(1)[0][0] == 100 and day.sizes[100] / adds == pytest.approx(0.246, abs=0.01)
    assert sum(count for size, count in day.sizes.items() if size % 100) > adds / 2  # odd lots are the majority
    assert day.chained > 0.05 * day.flow_types["U"]
    assert 0.005 < day.add_decreases / day.add_pairs < 0.05
    assert 0 < day.out_of_turn < 0.01 * day.executions
    assert day.stubs > 0


def test_time_comes_in_bursts_at_the_rate_of_a_day(day: Oracle) -> None:
    times = day.times[60_001:]
    alone = sum(before < at < after for before, at, after in zip(times, times[1:], times[2:], strict=False))
    assert 1 - alone / len(times) == pytest.approx(0.56, abs=0.02)
    assert len(times) / (times[-1] - times[0]) * 1e9 == pytest.approx(15_700, rel=0.25)
    starts = times[0]
    windows = [
        bisect_left(times, starts + (k + 1) * 10**8) - bisect_left(times, starts + k * 10**8) for k in range(100)
    ]
    assert max(windows) > 1.5 * sorted(windows)[50]


def test_steady_time_has_equal_gaps() -> None:
    market = MarketFlow(MarketConfig(symbols=10, steady=True, rate=3_000_000, mix={"E": 0, "C": 0}))
    times = [itch50.decode(raw).timestamp for raw in market.messages(9_000)][-9_000:]
    assert {after - before for before, after in pairwise(times)} == {333, 334}
    assert times[-1] - times[0] == pytest.approx(8_999 * 1e9 / 3e6, abs=1)
