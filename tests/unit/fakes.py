"""A stand-in for the engine, for tests of what looks at one: plain values behind the same names, no kernel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, cast

from turbo_hft import abi
from turbo_hft._native import ffi, lib
from turbo_hft.change import Changes
from turbo_hft.depth import BookTables, Depth, Level
from turbo_hft.errors import ConfigError
from turbo_hft.fees import Fees
from turbo_hft.kill import Switch
from turbo_hft.limits import ACCOUNT_DEFAULTS, STRATEGY_DEFAULTS, AccountLimits, symbol_limits
from turbo_hft.orders import CancelReport
from turbo_hft.program import Config, Program, load_config, map_shapes
from turbo_hft.snapshots import Account, WorkingOrder, account_snapshot, fees_e4
from turbo_hft.strategies import Strategies
from turbo_hft.symbols import SymbolView, _Shared, wire_name
from turbo_hft.user_strategy import Generation


@dataclass
class FakeState:
    """A symbol's snapshot."""

    name: str = "AAPL"
    state: str = "active"
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
    fees_e8: int = 0
    open_orders: int = 0
    open_buy_qty: int = 0
    open_sell_qty: int = 0
    loss_latched: bool = False
    orders_sent: int = 0
    fills: int = 0
    bought_qty: int = 0
    sold_qty: int = 0
    bought_e4: int = 0
    sold_e4: int = 0
    canceled_qty: int = 0
    broken: int = 0
    bids: tuple[Level, ...] = ()
    asks: tuple[Level, ...] = ()

    @property
    def pnl_e4(self) -> int:
        return self.realized_e4 + self.unrealized_e4 - fees_e4(self.fees_e8)


class Memory:
    """Stands for a loaded program: arrays of the right shapes that no kernel knows of."""

    def __init__(self, symbols: int = 16) -> None:
        values = abi.fields(load_config(symbols=symbols, feeds=4, orders=64, kept=4)[0])
        self.config = Config(**values | {"clock": "monotonic"})
        self.arrays: dict[str, Any] = {}

    def share(self, name: str, *, writable: bool = False) -> Any:
        if name not in self.arrays:
            shape = map_shapes(self.config)[name]
            self.arrays[name] = ffi.new(f"{shape.ctype}[]", shape.entries)
        return self.arrays[name]


class FakeSymbol(SymbolView):
    """A live symbol on plain memory; what the hook would say of it is `fake`, open to be changed."""

    def __init__(self, name: str, **state: Any) -> None:
        self.memory = memory = Memory()
        params = memory.share("symbol_params")[0]
        ffi.memmove(params.name, wire_name(name), 8)
        shared = _Shared(params, memory.share("books")[0], memory.share("symbol_state")[0], None, None)
        self.changes = Changes(memory, tracked=lambda: 1)
        super().__init__(0, shared, BookTables.of(cast(Program, memory)), self.changes, lambda slot: None)
        self.changes.new_symbol(0, symbol_limits(name, {}))
        self.set({"base_qty": 100, "cap_qty": 500, "tick": "0.01"})
        self.strategy = "threshold"
        self.resume()
        self.fake = FakeState(name, **state)

    @property
    def active(self) -> bool:
        return bool(self.buy_below or self.sell_above or self.fake.position or self.fake.orders_sent)

    def depth(self, n: int = 10) -> Depth:
        return Depth(self.fake.bids[:n], self.fake.asks[:n])

    def snapshot(self) -> Any:
        self.fake.state = self.state
        return self.fake


class FakeSymbols:
    """The table of symbols."""

    def __init__(self, symbols: list[FakeSymbol]) -> None:
        self._symbols = symbols

    def __iter__(self) -> Iterator[FakeSymbol]:
        return iter(self._symbols)

    def __len__(self) -> int:
        return len(self._symbols)

    def health(self) -> dict[str, int]:
        return dict(Counter("live" if symbol.fake.health == "ok" else symbol.fake.health for symbol in self))

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
    seen_ns: int = 0
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
    strategy: str = "threshold"
    other_ref: int = 0
    reason: str = ""
    hook_ns: int = 0
    exchange_ns: int = 34_200_000_000_000
    feed_seq: int = 1
    match_number: int = 0
    fees_e8: int = 0
    local_ns: int = 1


class FakeLease:
    """A lease that somebody keeps."""

    left_s = 0.8


class FakeOrders:
    """Working orders; `left` of them do not end when they are cancelled."""

    def __init__(self) -> None:
        self.working: list[WorkingOrder] = []
        self.ended: list[WorkingOrder] = []
        self.left: list[WorkingOrder] = []
        self.asked: list[object] = []

    def open(self, symbol: str | None = None, strategy: str | None = None) -> list[WorkingOrder]:
        return self.working

    def all(self) -> list[WorkingOrder]:
        return self.working

    def __getitem__(self, user_ref: int) -> WorkingOrder:
        for order in (*self.working, *self.ended):
            if order.user_ref == user_ref:
                return order
        raise ConfigError(f"there is no order {user_ref}.")

    def cancel(self, user_ref: int) -> None:
        self.asked.append(user_ref)

    def cancel_all(
        self, symbol: str | None = None, strategy: str | None = None, timeout_s: float = 0.0
    ) -> CancelReport:
        self.asked.append((symbol, strategy, timeout_s))
        refused = {order.user_ref: "session_down" for order in self.left}
        return CancelReport(len(self.working) - len(self.left), tuple(self.left), refused)


def order(user_ref: int = 1, **values: Any) -> WorkingOrder:
    """A live order to buy 100 AAPL at 163.20."""
    usual: dict[str, Any] = {
        "state": "live", "symbol": "AAPL", "side": "buy", "price_e4": 1_632_000, "qty": 100, "open_qty": 100,
        "filled_qty": 0, "filled_e4": 0, "sent_ns": 0, "strategy": "threshold", "pending": (), "other_ref": 0,
        "chain_qty": 0, "short_sale": False, "epoch": 1, "order_ref": 5,
    }  # fmt: skip
    return WorkingOrder(user_ref=user_ref, **(usual | values))


class FakeUser:
    """A strategy that is linked in."""

    now = Generation(2, "lean", "cd" * 32, 100, 3, 4, 99, "ab" * 32, 1_700_000_000_000_000_000)


class FakeEngine(Switch):
    """An engine on an interface, with two symbols; its limits and switches are real ones, on plain memory."""

    def __init__(self, symbols: FakeSymbols | None = None, histogram: FakeHistogram | None = None) -> None:
        self.memory = Memory()
        self.changes = Changes(self.memory)
        self.fake_account = self.memory.share("account")
        self.rearmed: list[object] = []
        self.interface = "veth_hft"
        self.attached = self.configured = True
        self.lease = FakeLease()
        self.user = FakeUser()
        self.controller, self.pins = 17, Path("/pins")
        self.feeds = [FakeFeed(), FakeFeed(health="idle")]
        self.session = FakeSession()
        self.symbols = symbols or FakeSymbols([FakeSymbol("AAPL"), FakeSymbol("MSFT")])
        self.limits = AccountLimits("all orders", self.changes, lambda: self.changes.limits().account)
        self.strategies = Strategies(self.changes, self.fake_account, self.rearmed.append)
        self.fees = Fees(cast(Program, self.memory), self.changes)
        self.mark = "side"
        self.orders = FakeOrders()
        self.count = {"frames": 0, "feed_messages": 0, "events": 0}
        self.refused: dict[str, int] = {}
        self.histogram = histogram or FakeHistogram()
        self.closed = False
        self.reads = 0
        self.limits.set(ACCOUNT_DEFAULTS)
        for strategy in self.strategies:
            strategy.limits.set(STRATEGY_DEFAULTS)
            strategy.resume()
        self.changes.control[0].kill = lib.HFT_ACTIVE
        self.changes.note()

    def _read_kill(self) -> int:
        return int(self.changes.control[0].kill)

    def _store_kill(self, value: int) -> None:
        self.changes.control[0].kill = value

    def _note_kill(self) -> None:
        self.changes.note()

    @property
    def epoch(self) -> int:
        return self.changes.epoch

    @property
    def account(self) -> Account:
        return account_snapshot(self.fake_account[0])

    @contextmanager
    def change(self) -> Iterator[None]:
        with ExitStack() as stack:  # each fake symbol has memory of its own
            for changes in (self.changes, *(symbol.changes for symbol in self.symbols)):
                stack.enter_context(changes.change())
            yield

    def halt_and_cancel(self, timeout_s: float = 2.0) -> CancelReport:
        self.halt()
        return self.orders.cancel_all(timeout_s=timeout_s)

    def close(self) -> None:
        self.closed = True

    def rearm(self) -> None:
        self.rearmed.append("account")

    def trust_session(self) -> None:
        self.rearmed.append("session")

    def counters(self) -> dict[str, int]:
        self.reads += 1
        return dict(self.count)

    def refusals(self) -> dict[str, int]:
        return dict(self.refused)

    def cancels_handed(self) -> tuple[int, int]:
        return 3, 2

    def itch_counts(self) -> dict[str, int]:
        return {"A": 7, "D": 0}

    def latency(self, kind: str) -> FakeHistogram:
        assert kind == "order"
        return self.histogram

    def __enter__(self) -> FakeEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closed = True
