"""The view model: one immutable picture of an engine, for whoever draws it. Nothing here knows how it is drawn.

All money is in 1/10000 dollar (`_e4`), times in ns, quantities in shares.
"""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from decimal import Decimal

from turbo_hft.dashboard.source import AccountSource, EngineSource, EventSource, FeedSource, SymbolSource, SymbolState

# Counters that a person at the screen should see as soon as they are not zero. All are in the full dump of `status`.
_NOTABLE = (
    "bad_checksum",
    "contended",
    "wrong_peer",
    "feed_malformed",
    "feed_duplicates",
    "feed_holds",
    "feed_gaps",
    "feed_kept",
    "feed_not_kept",
    "feed_missed",
    "feed_second_cpu",
    "feed_rollovers",
    "feed_wrong_session",
    "itch_unknown_type",
    "itch_bad_length",
    "itch_bad_field",
    "book_unknown_ref",
    "book_duplicate_ref",
    "book_over_reduce",
    "book_full",
    "book_crossed",
    "book_kept",
    "book_quarantines",
    "book_restores",
    "commands_refused",
    "triggers_dropped",
    "reply_malformed",
    "reply_gaps",
    "reply_wrong_session",
    "reply_unknown_ref",
    "reply_bad_length",
    "reply_bad_state",
    "events_lost",
)
_ALWAYS = ("frames", "feed_packets", "feed_messages", "signals", "wait_in_flight", "wait_limit", "orders", "events")
_E4 = 10_000
# So many symbols have a row each whatever they do; of more, those with a target, a position or orders.
_ALL_ROWS = 100
# Rates are taken over at least so much time; a picture right after another one keeps the older rate.
_RATE_NS = 200_000_000


@dataclass(frozen=True, slots=True)
class FeedView:
    """One feed. `health`: idle, live, hold, gap or ended. `missing`: messages that something waits for. `first`:
    messages that came first by line A, by line B, by a re-request."""

    number: int
    session: str
    health: str
    phase: str
    expected_seq: int
    missing: int
    exchange_ns: int
    gaps: int
    missed: int
    first: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SessionView:
    """Order entry. `health`: down, up, ended or suspect. `replies_missing` are announced and not yet seen."""

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
    p99_ns: int | None
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
class View:
    """The picture. `events` are the newest ones, oldest first; `event_counts` all that were observed, by kind.

    `feeds`: the first one, and those others that have begun. `messages` of all feeds together. `tracked` symbols there
    are, `books` says how many in each state of health; of a hundred and more only those have a row that do something.
    `state`: active, reducing or halted. `latched`: the day's loss has reached its limit. `lease_s`: seconds that orders
    may go on leaving if nobody renews the lease, None = for ever.
    """

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
    latency: LatencyView
    counters: Mapping[str, int]
    refusals: Mapping[str, int]
    events: tuple[EventRow, ...]
    event_counts: Mapping[str, int]

    def as_dict(self) -> dict[str, object]:
        """JSON-ready."""
        return asdict(self)


class ViewCollector:
    """Takes pictures of an engine. It never reads the event ring: whoever does hands the events to `observe`."""

    def __init__(self, engine: EngineSource, *, keep_events: int = 100) -> None:
        self._engine = engine
        self._events: deque[EventRow] = deque(maxlen=keep_events)
        self._counts: Counter[str] = Counter()
        self._rate = 0
        self._rated: tuple[int, int] | None = None

    def observe(self, events: Iterable[EventSource]) -> None:
        """Remember events for the next pictures."""
        for event in events:
            self._counts[event.kind] += 1
            row = event_row(event)
            if self._events and _same_refusal(self._events[-1], row):
                # A halted engine refuses on every tick: one line for all of them leaves the others on the screen.
                row = replace(row, repeats=self._events.pop().repeats + 1)
            self._events.append(row)

    def collect(self, now_ns: int | None = None) -> View:
        """A picture of now; `now_ns` (monotonic) only serves the rate."""
        engine = self._engine
        counters = engine.counters()
        refusals = {reason: count for reason, count in engine.refusals().items() if count}
        session, tracked = engine.session, len(engine.symbols)
        shown = [symbol for symbol in engine.symbols if tracked <= _ALL_ROWS or symbol.active]
        lease_s = engine.lease.left_s
        rows, totals = _symbols(shown, sum(refusals.values()), engine.account)
        messages = counters.get("feed_messages", 0)
        return View(
            interface=engine.interface,
            attached=engine.attached,
            configured=engine.configured,
            state=engine.state,
            latched=engine.account.loss_latched,
            lease_s=None if math.isinf(lease_s) else lease_s,
            epoch=engine.epoch,
            feeds=tuple(
                feed_view(number, feed)
                for number, feed in enumerate(engine.feeds)
                if number == 0 or feed.health != "idle"
            ),
            messages=messages,
            messages_per_s=self._messages_per_s(messages, time.monotonic_ns() if now_ns is None else now_ns),
            session=SessionView(
                session=session.session,
                health=session.health,
                next_user_ref=session.next_user_ref,
                replies_missing=max(0, session.highest_seq - session.expected_seq),
            ),
            tracked=tracked,
            books=dict(sorted(engine.symbols.health().items())),
            symbols=rows,
            strategies=_strategies(engine),
            totals=totals,
            latency=_latency(engine),
            counters={name: counters[name] for name in _worth_seeing(counters)},
            refusals=refusals,
            events=tuple(self._events),
            event_counts=dict(sorted(self._counts.items())),
        )

    def _messages_per_s(self, messages: int, now_ns: int) -> int:
        if self._rated is None:
            self._rated = (messages, now_ns)
        before, then_ns = self._rated
        if now_ns - then_ns >= _RATE_NS:
            self._rate = round((messages - before) * 1_000_000_000 / (now_ns - then_ns))
            self._rated = (messages, now_ns)
        return self._rate


def feed_view(number: int, feed: FeedSource) -> FeedView:
    """One feed as it is shown."""
    return FeedView(
        number=number,
        session=feed.session,
        health=feed.health,
        phase=feed.phase,
        expected_seq=feed.expected_seq,
        missing=feed.missing if feed.health in ("hold", "gap") else 0,
        exchange_ns=feed.exchange_ns,
        gaps=feed.gaps,
        missed=feed.missed,
        first=feed.first,
    )


def _worth_seeing(counters: Mapping[str, int]) -> list[str]:
    return [name for name in _ALWAYS if name in counters] + [name for name in _NOTABLE if counters.get(name)]


def _strategies(engine: EngineSource) -> tuple[StrategyRow, ...]:
    return tuple(
        StrategyRow(each.name, each.state, each.orders_sent, each.open_orders, each.executions, each.latched)
        for each in engine.strategies
        if each.orders_sent or each.latched or each.state != "active"
    )


def _symbols(
    symbols: Iterable[SymbolSource], refused: int, account: AccountSource
) -> tuple[tuple[SymbolRow, ...], Totals]:
    rows = []
    bought_e4 = sold_e4 = 0
    for symbol in symbols:
        state = symbol.snapshot()
        bought_e4 += state.bought_e4
        sold_e4 += state.sold_e4
        rows.append(
            SymbolRow(
                name=state.name,
                health=state.health,
                doubt=state.doubt,
                trading=state.trading,
                state=state.state,
                latched=state.loss_latched,
                strategy=symbol.strategy,
                bid_e4=state.bid_e4 or None,
                bid_qty=state.bid_qty,
                ask_e4=state.ask_e4 or None,
                ask_qty=state.ask_qty,
                buy_below_e4=_target(symbol.buy_below),
                sell_above_e4=_target(symbol.sell_above),
                position=state.position,
                average_cost_e4=average_cost_e4(state.position, state.cost_e4),
                realized_e4=state.realized_e4,
                unrealized_e4=state.unrealized_e4,
                fees_e8=state.fees_e8,
                pnl_e4=state.pnl_e4,
                open=_open(state),
                orders=state.orders_sent,
                fills=state.fills,
                bought_qty=state.bought_qty,
                sold_qty=state.sold_qty,
                canceled_qty=state.canceled_qty,
                book_orders=state.book_orders,
                book_messages=state.book_messages,
                last_e4=state.last_e4 or None,
                volume=state.volume,
            )
        )
    totals = Totals(
        orders=sum(row.orders for row in rows),
        fills=sum(row.fills for row in rows),
        refused=refused,
        open_orders=account.open_orders,
        bought_qty=sum(row.bought_qty for row in rows),
        sold_qty=sum(row.sold_qty for row in rows),
        bought_e4=bought_e4,
        sold_e4=sold_e4,
        realized_e4=sum(row.realized_e4 for row in rows),
        unrealized_e4=sum(row.unrealized_e4 for row in rows),
        fees_e8=account.fees_e8,
        pnl_e4=account.pnl_e4,
        gross_e4=account.gross_e4,
        net_e4=account.net_e4,
    )
    return tuple(rows), totals


def _open(state: SymbolState) -> OpenView | None:
    return OpenView(state.open_orders, state.open_buy_qty, state.open_sell_qty) if state.open_orders else None


def average_cost_e4(position: int, cost_e4: int) -> int | None:
    """What a share of the position cost on average, rounded half up; for the eye only, the cost itself is exact."""
    if position == 0:
        return None
    shares = abs(position)
    return (2 * abs(cost_e4) + shares) // (2 * shares)


def _target(price: Decimal | None) -> int | None:
    return None if price is None else int(price * _E4)


def _latency(engine: EngineSource) -> LatencyView:
    histogram = engine.latency("order")
    buckets = list(histogram.buckets)
    used = [exponent for exponent, count in enumerate(buckets) if count]
    if not used:
        return LatencyView(0, None, None, 0, ())
    return LatencyView(
        count=histogram.count,
        p50_ns=histogram.percentile(50),
        p99_ns=histogram.percentile(99),
        first_exponent=used[0],
        buckets=tuple(buckets[used[0] : used[-1] + 1]),
    )


def _same_refusal(before: EventRow, row: EventRow) -> bool:
    what = (row.kind, row.symbol, row.side, row.reason)
    return row.kind in ("refused", "shadow") and (before.kind, before.symbol, before.side, before.reason) == what


def event_row(event: EventSource) -> EventRow:
    """As much of an event as a line of the view holds."""
    return EventRow(
        id=event.id,
        exchange_ns=event.exchange_ns,
        feed_seq=event.feed_seq,
        kind=event.kind,
        reason=event.reason,
        symbol=event.symbol,
        side=event.side,
        user_ref=event.user_ref,
        price_e4=event.price_e4,
        qty=event.qty,
        hook_ns=event.hook_ns,
        position=event.position,
        realized_e4=event.realized_e4,
        strategy=event.strategy,
        other_ref=event.other_ref,
    )
