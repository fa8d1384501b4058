"""Consistent copies of what the hook writes, as plain frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from turbo_hft import abi
from turbo_hft._native import lib

Side = Literal["buy", "sell"]
SIDES: dict[int, Side] = {lib.HFT_BUY: "buy", lib.HFT_SELL: "sell"}


def side_name(side: int) -> Side:
    """``buy`` or ``sell``."""
    return SIDES[side]


@dataclass(frozen=True, slots=True)
class SymbolSnapshot:
    """One symbol at one moment: fields of ``struct hft_symbol_state`` (abi.h), prices and money in 1/10000 dollar."""

    name: str
    halted: bool
    health: str
    bid_e4: int
    ask_e4: int
    bid_qty: int
    ask_qty: int
    book_orders: int
    book_messages: int
    exchange_ns: int
    locate: int
    position: int
    cost_e4: int
    realized_e4: int
    unrealized_e4: int
    mark_e4: int
    working_ref: int
    working_qty: int
    working_side: Side
    orders_sent: int
    fills: int
    bought_qty: int
    sold_qty: int
    bought_e4: int
    sold_e4: int
    canceled_qty: int


@dataclass(frozen=True, slots=True)
class FeedSnapshot:
    """The feed at one moment. `health`: idle, live, stale or ended; only a live feed is traded on."""

    session: str
    health: str
    expected_seq: int
    exchange_ns: int
    gaps: int
    missed: int


@dataclass(frozen=True, slots=True)
class SessionSnapshot:
    """Order entry at one moment. `health`: down, up, ended or suspect; `highest_seq` above `expected_seq`: replies
    are missing."""

    session: str
    health: str
    expected_seq: int
    highest_seq: int
    next_user_ref: int
    orders_sent: int
    exchange_ns: int


@dataclass(frozen=True, slots=True)
class WorkingOrder:
    """One of our orders. `state`: sent, live, filled, canceled or rejected; `sent_ns` is the monotonic clock."""

    user_ref: int
    state: str
    symbol: str
    side: Side
    price_e4: int
    qty: int
    open_qty: int
    filled_qty: int
    filled_e4: int
    sent_ns: int


@dataclass(frozen=True, slots=True)
class Histogram:
    """log2 histogram of nanoseconds: `buckets[i]` counts 2^i <= ns < 2^(i+1); the last bucket is open."""

    buckets: tuple[int, ...]

    @property
    def count(self) -> int:
        """Samples in all."""
        return sum(self.buckets)

    def percentile(self, percent: float) -> int:
        """The upper bound, ns, of the bucket that holds this percentile; 0 without samples."""
        if not 0 <= percent <= 100:
            raise ValueError(f"percentile {percent}: give 0 to 100")
        rank, seen = self.count * percent / 100, 0
        for index, bucket in enumerate(self.buckets):
            seen += bucket
            if bucket and seen >= rank:
                return 2 << index
        return 0


def feed_health(value: int) -> str:
    """Name of a feed health."""
    return abi.names("hft_feed_health", "HFT_FEED_")[value]


def book_health(value: int) -> str:
    """Name of a book health."""
    return abi.names("hft_book_health", "HFT_BOOK_")[value]


def session_health(value: int) -> str:
    """Name of an order-entry health."""
    return abi.names("hft_session_health", "HFT_SESSION_")[value]


def order_state(value: int) -> str:
    """Name of an order state."""
    return abi.names("hft_order_state", "HFT_ORDER_")[value]
