"""A stand-in for the engine, for tests of what looks at one: plain values behind the same names, no kernel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from types import TracebackType
from typing import Any

from turbo_hft.errors import ConfigError
from turbo_hft.wire.price import parse_price_e4


@dataclass
class FakeState:
    """A symbol's snapshot."""

    name: str = "AAPL"
    halted: bool = False
    health: str = "ok"
    doubt: str = "none"
    trading: str = "trading"
    last_e4: int = 0
    volume: int = 0
    bid_e4: int = 0
    bid_qty: int = 0
    ask_e4: int = 0
    ask_qty: int = 0
    book_orders: int = 0
    book_messages: int = 0
    position: int = 0
    cost_e4: int = 0
    realized_e4: int = 0
    unrealized_e4: int = 0
    working_ref: int = 0
    working_qty: int = 0
    working_side: str = "buy"
    orders_sent: int = 0
    fills: int = 0
    bought_qty: int = 0
    sold_qty: int = 0
    bought_e4: int = 0
    sold_e4: int = 0
    canceled_qty: int = 0


class FakeSymbol:
    """A live symbol; its state is open to be changed."""

    def __init__(self, name: str, **state: Any) -> None:
        self.name = name
        self.state = FakeState(name, **state)
        self.buy_below: Decimal | None = None
        self.sell_above: Decimal | None = None
        self._tick = Decimal("0.01")
        self.max_notional = Decimal(100_000)
        self.base_qty = 100
        self.step_qty = 0
        self.cap_qty = 500
        self.max_order_qty = 500
        self._max_position = 1000

    @property
    def tick(self) -> Decimal:
        return self._tick

    @tick.setter
    def tick(self, value: str | Decimal) -> None:
        self._tick = Decimal(parse_price_e4(value)) / 10_000

    @property
    def max_position(self) -> int:
        return self._max_position

    @max_position.setter
    def max_position(self, value: int) -> None:
        if value > 1_000_000_000:
            raise ConfigError(f"max_position is {value}: give at most 1000000000.")
        self._max_position = value

    def set_targets(self, *, buy_below: object, sell_above: object) -> None:
        buy, sell = _dollars(buy_below), _dollars(sell_above)
        if buy is not None and sell is not None and sell <= buy:
            raise ConfigError(f"sell_above {sell} must be above buy_below {buy}.")
        self.buy_below, self.sell_above = buy, sell

    @property
    def halted(self) -> bool:
        return self.state.halted

    @property
    def active(self) -> bool:
        return bool(self.buy_below or self.sell_above or self.state.position or self.state.orders_sent)

    def halt(self) -> None:
        self.state.halted = True

    def resume(self) -> None:
        self.state.halted = False

    def snapshot(self) -> FakeState:
        return self.state


def _dollars(value: object) -> Decimal | None:
    if value is None:
        return None
    return Decimal(parse_price_e4(str(value))) / 10_000


class FakeSymbols:
    """The table of symbols."""

    def __init__(self, symbols: list[FakeSymbol]) -> None:
        self._symbols = symbols

    def __iter__(self) -> Iterator[FakeSymbol]:
        return iter(self._symbols)

    def __len__(self) -> int:
        return len(self._symbols)

    def health(self) -> dict[str, int]:
        return dict(Counter("live" if symbol.state.health == "ok" else symbol.state.health for symbol in self))

    def __contains__(self, name: object) -> bool:
        return any(symbol.name == name for symbol in self)

    def __getitem__(self, name: str) -> FakeSymbol:
        for symbol in self:
            if symbol.name == name:
                return symbol
        raise ConfigError(f"{name} is not tracked (tracked: {', '.join(symbol.name for symbol in self)}).")


@dataclass
class FakeFeed:
    """A feed's state."""

    session: str = "HFT0000001"
    health: str = "live"
    phase: str = "market"
    expected_seq: int = 1
    missing: int = 0
    exchange_ns: int = 34_200_000_000_000
    gaps: int = 0
    missed: int = 0
    first: tuple[int, ...] = (0, 0, 0)


@dataclass
class FakeSession:
    """The order-entry session's state."""

    session: str = "HFT0000001"
    health: str = "up"
    expected_seq: int = 1
    highest_seq: int = 1
    next_user_ref: int = 1
    orders_sent: int = 0


@dataclass
class FakeHistogram:
    """log2 buckets."""

    buckets: tuple[int, ...] = (0,) * 32

    @property
    def count(self) -> int:
        return sum(self.buckets)

    def percentile(self, percent: float) -> int:
        seen = 0
        for index, bucket in enumerate(self.buckets):
            seen += bucket
            if bucket and seen * 100 >= self.count * percent:
                return 2 << index
        return 0


@dataclass(frozen=True)
class FakeEvent:
    """One record of the stream."""

    id: int = 1
    kind: str = "order"
    symbol: str | None = "AAPL"
    side: str = "buy"
    user_ref: int = 1
    price_e4: int = 1_632_000
    qty: int = 100
    open_qty: int = 0
    position: int = 0
    realized_e4: int = 0
    reason: str = ""
    hook_ns: int = 0
    exchange_ns: int = 34_200_000_000_000
    feed_seq: int = 1


@dataclass
class FakeEngine:
    """An engine on an interface, with two symbols."""

    interface: str = "veth_hft"
    attached: bool = True
    configured: bool = True
    halted: bool = False
    epoch: int = 1
    max_orders_per_second: int = 100
    feeds: list[FakeFeed] = field(default_factory=lambda: [FakeFeed(), FakeFeed(health="idle")])
    session: FakeSession = field(default_factory=FakeSession)
    symbols: FakeSymbols = field(default_factory=lambda: FakeSymbols([FakeSymbol("AAPL"), FakeSymbol("MSFT")]))
    count: dict[str, int] = field(default_factory=lambda: {"frames": 0, "feed_messages": 0, "events": 0})
    refused: dict[str, int] = field(default_factory=dict)
    histogram: FakeHistogram = field(default_factory=FakeHistogram)
    closed: bool = False

    def halt(self) -> None:
        self.halted = True
        self.epoch += 1

    def resume(self) -> None:
        self.halted = False
        self.epoch += 1

    def counters(self) -> dict[str, int]:
        return dict(self.count)

    def refusals(self) -> dict[str, int]:
        return dict(self.refused)

    def itch_counts(self) -> dict[str, int]:
        return {"A": 7, "D": 0}

    def working(self) -> list[object]:
        return []

    def latency(self, kind: str) -> FakeHistogram:
        assert kind == "order"
        return self.histogram

    def __enter__(self) -> FakeEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closed = True
