"""The view model: one immutable picture of an engine, for whoever draws it. Nothing here knows how it is drawn.

All money is in 1/10000 dollar (`_e4`), times in ns, quantities in shares. `utc_ns` counts from 1970, `exchange_ns` from
midnight by the exchange's clock. A view goes through JSON and back: `as_dict`, `from_dict`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from turbo_hft.errors import MalformedMessage


@dataclass(frozen=True, slots=True)
class FeedView:
    """One feed. `health`: idle, live, hold, gap or ended. `missing`: messages that something waits for. `first`:
    messages that came first by line A, by line B, by a re-request. `quiet_s`: since its last packet, None before it."""

    number: int
    session: str
    health: str
    phase: str
    expected_seq: int
    missing: int
    exchange_ns: int
    quiet_s: float | None
    gaps: int
    missed: int
    first: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SessionView:
    """Order entry. `health`: down, recovering, up, ended or suspect. `replies_missing`: announced and not yet seen."""

    session: str
    health: str
    next_user_ref: int
    replies_missing: int


@dataclass(frozen=True, slots=True)
class OpenView:
    """The open orders of one symbol, and the shares that they may still buy and sell."""

    orders: int
    buy_qty: int
    sell_qty: int


@dataclass(frozen=True, slots=True)
class SymbolRow:
    """One symbol. Prices of an empty side and targets that are off are None; so is the average cost of no position.

    `health` is the book's, `doubt` why it is in quarantine; `trading` is what the exchange lets happen; `state` our own
    kill switch. `pnl_e4` is realized and unrealized, less fees. `latched`: its loss has reached the limit.
    """

    name: str
    health: str
    doubt: str
    trading: str
    state: str
    latched: bool
    strategy: str | None
    bid_e4: int | None
    bid_qty: int
    ask_e4: int | None
    ask_qty: int
    buy_below_e4: int | None
    sell_above_e4: int | None
    position: int
    average_cost_e4: int | None
    realized_e4: int
    unrealized_e4: int
    fees_e8: int
    pnl_e4: int
    open: OpenView | None
    orders: int
    fills: int
    bought_qty: int
    sold_qty: int
    bought_e4: int
    sold_e4: int
    canceled_qty: int
    book_orders: int
    book_messages: int
    last_e4: int | None
    volume: int


@dataclass(frozen=True, slots=True)
class Totals:
    """Over all symbols. `pnl_e4` is net of fees; `open_orders`, `gross_e4` and `net_e4` are the account's."""

    orders: int
    fills: int
    refused: int
    open_orders: int
    bought_qty: int
    sold_qty: int
    bought_e4: int
    sold_e4: int
    realized_e4: int
    unrealized_e4: int
    fees_e8: int
    pnl_e4: int
    gross_e4: int
    net_e4: int


@dataclass(frozen=True, slots=True)
class StrategyRow:
    """One strategy that is not active, or has sent orders."""

    name: str
    state: str
    orders: int
    open_orders: int
    executions: int
    latched: bool


@dataclass(frozen=True, slots=True)
class LatencyView:
    """Time from packet entry to the finished order frame. Percentiles are upper bounds; None before the first order.

    `buckets[i]` counts 2^(first_exponent + i) <= ns < 2^(first_exponent + i + 1); empty buckets at both ends are cut.
    """

    count: int
    p50_ns: int | None
    p90_ns: int | None
    p99_ns: int | None
    p999_ns: int | None
    first_exponent: int
    buckets: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class EventRow:
    """One event, as much of it as a line holds. `repeats`: how many equal refusals in a row it stands for."""

    id: int
    exchange_ns: int
    feed_seq: int
    kind: str
    reason: str
    symbol: str | None
    side: str
    user_ref: int
    price_e4: int
    qty: int
    hook_ns: int
    position: int
    realized_e4: int
    strategy: str
    other_ref: int
    repeats: int = 1


@dataclass(frozen=True, slots=True)
class OrderRow:
    """One working order. `state`: sent or live; `pending`: what it waits for. `age_s`: since it was sent, None where
    the gate's clock is not ours."""

    user_ref: int
    state: str
    pending: tuple[str, ...]
    symbol: str
    side: str
    short_sale: bool
    price_e4: int
    qty: int
    open_qty: int
    filled_qty: int
    strategy: str
    age_s: float | None


@dataclass(frozen=True, slots=True)
class FillRow:
    """One execution. Not `exact`: what was found filled of an order at one look, at the average price, `exchange_ns` 0.
    `position`: the symbol's after it, None = unknown."""

    utc_ns: int
    exchange_ns: int
    symbol: str
    side: str
    qty: int
    price_e4: int
    user_ref: int
    strategy: str
    position: int | None
    exact: bool


@dataclass(frozen=True, slots=True)
class LimitUse:
    """How much of a limit is used. `whose`: account, ``strategy NAME`` or a symbol; `unit`: usd_e4, shares, orders or
    executions. Open orders count as if they were filled, as the gate counts them. A `limit` of 0 lets nothing
    through."""

    whose: str
    name: str
    unit: str
    used: int
    limit: int


@dataclass(frozen=True, slots=True)
class PnlCurve:
    """The day's profit and loss as far as somebody looked, in columns; the newest last. `low_e4` and `high_e4` are the
    extremes of what a point stands for. A hole in `utc_ns` is a time when nobody looked."""

    utc_ns: tuple[int, ...] = ()
    pnl_e4: tuple[int, ...] = ()
    realized_e4: tuple[int, ...] = ()
    low_e4: tuple[int, ...] = ()
    high_e4: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class PriceCurve:
    """Best bid and offer over time, in columns, as with `PnlCurve`; None for an empty side. `low_e4` is the lowest bid,
    `high_e4` the highest offer of what a point stands for."""

    utc_ns: tuple[int, ...] = ()
    bid_e4: tuple[int | None, ...] = ()
    ask_e4: tuple[int | None, ...] = ()
    low_e4: tuple[int, ...] = ()
    high_e4: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class LevelView:
    """One price of one side: displayed shares, orders, and how many of these shares are our own (`ours`)."""

    price_e4: int
    qty: int
    orders: int
    ours: int


@dataclass(frozen=True, slots=True)
class WatchView:
    """The one symbol that somebody looks at closely: its row, the best levels of both sides (best first), all that can
    be set of it with its value now (`turbo-hft set` takes the same words), limits used, prices, and its fills."""

    symbol: SymbolRow
    bids: tuple[LevelView, ...]
    asks: tuple[LevelView, ...]
    settings: Mapping[str, object]
    limits: tuple[LimitUse, ...]
    prices: PriceCurve
    fills: tuple[FillRow, ...]


@dataclass(frozen=True, slots=True)
class RecorderView:
    """The journal's recorder: events written, that did not fit into the ring, that could not be written; `behind`: by
    more than a second. `problem`: why it cannot write, empty if it can."""

    recorded: int
    lost: int
    unrecorded: int
    behind: bool
    problem: str


@dataclass(frozen=True, slots=True)
class View:
    """The picture. `events` are the newest ones, oldest first; `event_counts` all that were observed, by kind.

    `feeds`: the first one, and those others that have begun. `messages` of all feeds together. `tracked` symbols there
    are, `books` says how many in each state of health; of a hundred and more only those have a row that do something.
    `state`: active, reducing or halted. `latched`: the day's loss has reached its limit. `lease_s`: seconds that orders
    may go on leaving if nobody renews the lease, None = for ever. `settings`: what can be set without a symbol, as it
    is now. `limits`: used, of the account and of strategies that do something. `orders`: the newest working ones,
    `totals.open_orders` says how many there are. `reads_events`: False where another process reads the event stream, so
    that `events` stays empty. `recorder`: None where this process has none. `watched`: None if nothing was asked for.
    """

    utc_ns: int
    interface: str | None
    attached: bool
    configured: bool
    state: str
    latched: bool
    lease_s: float | None
    epoch: int
    feeds: tuple[FeedView, ...]
    messages: int
    messages_per_s: int
    session: SessionView
    tracked: int
    books: Mapping[str, int]
    symbols: tuple[SymbolRow, ...]
    strategies: tuple[StrategyRow, ...]
    totals: Totals
    settings: Mapping[str, object]
    limits: tuple[LimitUse, ...]
    latency: LatencyView
    counters: Mapping[str, int]
    refusals: Mapping[str, int]
    orders: tuple[OrderRow, ...]
    fills: tuple[FillRow, ...]
    pnl: PnlCurve
    reads_events: bool
    events: tuple[EventRow, ...]
    event_counts: Mapping[str, int]
    recorder: RecorderView | None
    watched: WatchView | None

    def as_dict(self) -> dict[str, object]:
        """JSON-ready."""
        built: dict[str, object] = msgspec.to_builtins(self)
        return built

    @classmethod
    def from_dict(cls, values: object) -> View:
        """The other way, from what JSON gives. Raises MalformedMessage, which names the first value that is wrong."""
        try:
            return msgspec.convert(values, cls)
        except msgspec.ValidationError as error:
            raise MalformedMessage(f"this is no view of this version: {error}; both sides must be of one") from None
