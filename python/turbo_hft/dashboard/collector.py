"""Takes the pictures of an engine that the faces draw. What nobody asks for is not read."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, cast

from turbo_hft import settings
from turbo_hft.dashboard.fills import FillLog
from turbo_hft.dashboard.history import History
from turbo_hft.dashboard.source import (
    AccountSource,
    EngineSource,
    EventSource,
    FeedSource,
    OrderSource,
    RecorderSource,
    StrategySource,
    SymbolSource,
    SymbolState,
)
from turbo_hft.dashboard.view import (
    EventRow,
    FeedView,
    LatencyView,
    LevelView,
    LimitUse,
    OpenView,
    OrderRow,
    PnlCurve,
    PriceCurve,
    RecorderView,
    SessionView,
    StrategyRow,
    SymbolRow,
    Totals,
    View,
    WatchView,
)
from turbo_hft.errors import TurboHftError

if TYPE_CHECKING:
    from turbo_hft.engine import Engine
    from turbo_hft.symbols import SymbolView

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
_LEVELS = 12
_MOST_ORDERS, _MOST_FILLS = 100, 100
_NS = 1_000_000_000
# So many symbols have a row each whatever they do; of more, those with a target, a position or orders.
_ALL_ROWS = 100
# Rates are taken over at least so much time; a picture right after another one keeps the older rate.
_RATE_NS = 200_000_000


class ViewCollector:
    """Takes pictures of one engine. It never reads the event ring: whoever does hands the events to `observe`, from any
    thread, and says so with `reads_events`."""

    def __init__(
        self,
        engine: EngineSource,
        *,
        reads_events: bool = False,
        recorder: RecorderSource | None = None,
        keep_events: int = 100,
    ) -> None:
        self._engine = engine
        self._reads_events = reads_events
        self._recorder = recorder
        self._lock = threading.Lock()  # of what `observe` writes
        self._events: deque[EventRow] = deque(maxlen=keep_events)
        self._counts: Counter[str] = Counter()
        self._fills = FillLog()
        self._pnl = History()
        self._prices: dict[str, History] = {}
        self._rate = 0
        self._rated: tuple[int, int] | None = None

    def observe(self, events: Iterable[EventSource]) -> None:
        """Remember events for the next pictures."""
        offset_ns = time.time_ns() - time.monotonic_ns()
        with self._lock:
            for event in events:
                self._counts[event.kind] += 1
                row = event_row(event)
                if event.kind == "executed":
                    self._fills.executed(event, event.local_ns + offset_ns)
                if self._events and _same_refusal(self._events[-1], row):
                    # A halted engine refuses on every tick: one line for all of them leaves the others on the screen.
                    row = replace(row, repeats=self._events.pop().repeats + 1)
                self._events.append(row)

    def collect(self, now_ns: int | None = None) -> View:
        """A picture of now, without a watched symbol (`watch`); `now_ns` (monotonic) only serves the rate."""
        engine = self._engine
        utc_ns, monotonic_ns = time.time_ns(), time.monotonic_ns()
        counters = engine.counters()
        refusals = {reason: count for reason, count in engine.refusals().items() if count}
        session, tracked, account = engine.session, len(engine.symbols), engine.account
        shown = [symbol for symbol in engine.symbols if tracked <= _ALL_ROWS or symbol.active]
        lease_s = engine.lease.left_s
        rows = tuple(_row(symbol, symbol.snapshot()) for symbol in shown)
        totals = _totals(rows, sum(refusals.values()), account)
        messages = counters.get("feed_messages", 0)
        self._pnl.add(utc_ns, (totals.pnl_e4, totals.realized_e4), totals.pnl_e4, totals.pnl_e4)
        for row in rows:
            self._price(row, utc_ns)
        orders = _orders(engine, totals, rows, monotonic_ns)
        strategies = [each for each in engine.strategies if each.orders_sent or each.latched or each.state != "active"]
        with self._lock:
            if not self._reads_events:
                self._fills.look(engine.orders, session.next_user_ref, utc_ns, monotonic_ns)
            fills, events = tuple(self._fills.rows)[-_MOST_FILLS:], tuple(self._events)
            counts = dict(sorted(self._counts.items()))
        return View(
            utc_ns=utc_ns,
            interface=engine.interface,
            attached=engine.attached,
            configured=engine.configured,
            state=engine.state,
            latched=account.loss_latched,
            lease_s=None if math.isinf(lease_s) else lease_s,
            epoch=engine.epoch,
            feeds=tuple(
                feed_view(number, feed, monotonic_ns)
                for number, feed in enumerate(engine.feeds)
                if number == 0 or feed.health != "idle"
            ),
            messages=messages,
            messages_per_s=self._messages_per_s(messages, monotonic_ns if now_ns is None else now_ns),
            session=SessionView(
                session=session.session,
                health=session.health,
                next_user_ref=session.next_user_ref,
                replies_missing=max(0, session.highest_seq - session.expected_seq),
            ),
            tracked=tracked,
            books=dict(sorted(engine.symbols.health().items())),
            symbols=rows,
            strategies=tuple(
                StrategyRow(each.name, each.state, each.orders_sent, each.open_orders, each.executions, each.latched)
                for each in strategies
            ),
            totals=totals,
            settings=_settings(cast("Engine", engine)),
            limits=(*account_limits(engine), *(use for each in strategies for use in _strategy_limits(each))),
            latency=_latency(engine),
            counters={name: counters[name] for name in _worth_seeing(counters)},
            refusals=refusals,
            orders=orders,
            fills=fills,
            pnl=_pnl_curve(self._pnl),
            reads_events=self._reads_events,
            events=events,
            event_counts=counts,
            recorder=_recorder(self._recorder),
            watched=None,
        )

    def watch(self, name: str) -> WatchView:
        """One symbol closely. Raises ConfigError for one that is not tracked."""
        symbol = self._engine.symbols[name]
        row = _row(symbol, symbol.snapshot())
        if name not in self._prices:
            self._price(row, time.time_ns())
        with self._lock:
            fills = tuple(fill for fill in self._fills.rows if fill.symbol == name)[-_MOST_FILLS:]
        bids, asks = _levels(self._engine, symbol, row)
        return WatchView(
            symbol=row,
            bids=bids,
            asks=asks,
            settings=settings.current(cast("SymbolView", symbol)),
            limits=_symbol_limits(symbol, row),
            prices=_price_curve(self._prices.get(name)),
            fills=fills,
        )

    def _price(self, row: SymbolRow, utc_ns: int) -> None:
        low, high = row.bid_e4 or row.ask_e4, row.ask_e4 or row.bid_e4
        if low is not None and high is not None:
            history = self._prices.get(row.name) or self._prices.setdefault(row.name, History())
            history.add(utc_ns, (row.bid_e4, row.ask_e4), low, high)

    def _messages_per_s(self, messages: int, now_ns: int) -> int:
        if self._rated is None:
            self._rated = (messages, now_ns)
        before, then_ns = self._rated
        if now_ns - then_ns >= _RATE_NS:
            self._rate = round((messages - before) * 1_000_000_000 / (now_ns - then_ns))
            self._rated = (messages, now_ns)
        return self._rate


def _settings(engine: Engine) -> dict[str, object]:
    names = [strategy.name for strategy in engine.strategies]
    return settings.account(engine) | settings.strategy_limits(engine, names)


def feed_view(number: int, feed: FeedSource, monotonic_ns: int) -> FeedView:
    """One feed as it is shown."""
    return FeedView(
        number=number,
        session=feed.session,
        health=feed.health,
        phase=feed.phase,
        expected_seq=feed.expected_seq,
        missing=feed.missing if feed.health in ("hold", "gap") else 0,
        exchange_ns=feed.exchange_ns,
        quiet_s=max(0, monotonic_ns - feed.seen_ns) / _NS if feed.seen_ns else None,
        gaps=feed.gaps,
        missed=feed.missed,
        first=feed.first,
    )


def _worth_seeing(counters: Mapping[str, int]) -> list[str]:
    return [name for name in _ALWAYS if name in counters] + [name for name in _NOTABLE if counters.get(name)]


def _row(symbol: SymbolSource, state: SymbolState) -> SymbolRow:
    return SymbolRow(
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
        bought_e4=state.bought_e4,
        sold_e4=state.sold_e4,
        canceled_qty=state.canceled_qty,
        book_orders=state.book_orders,
        book_messages=state.book_messages,
        last_e4=state.last_e4 or None,
        volume=state.volume,
    )


def _totals(rows: tuple[SymbolRow, ...], refused: int, account: AccountSource) -> Totals:
    return Totals(
        orders=sum(row.orders for row in rows),
        fills=sum(row.fills for row in rows),
        refused=refused,
        open_orders=account.open_orders,
        bought_qty=sum(row.bought_qty for row in rows),
        sold_qty=sum(row.sold_qty for row in rows),
        bought_e4=sum(row.bought_e4 for row in rows),
        sold_e4=sum(row.sold_e4 for row in rows),
        realized_e4=sum(row.realized_e4 for row in rows),
        unrealized_e4=sum(row.unrealized_e4 for row in rows),
        fees_e8=account.fees_e8,
        pnl_e4=account.pnl_e4,
        gross_e4=account.gross_e4,
        net_e4=account.net_e4,
    )


def _orders(
    engine: EngineSource, totals: Totals, rows: tuple[SymbolRow, ...], monotonic_ns: int
) -> tuple[OrderRow, ...]:
    """The newest working orders, oldest first. The table of 4,096 is not walked through when nothing is open."""
    if not totals.open_orders and not any(row.open for row in rows):
        return ()
    return tuple(_order(order, monotonic_ns) for order in list(engine.orders.open())[-_MOST_ORDERS:])


def _order(order: OrderSource, monotonic_ns: int) -> OrderRow:
    age_ns = monotonic_ns - order.sent_ns
    return OrderRow(
        user_ref=order.user_ref,
        state=order.state,
        pending=tuple(order.pending),
        symbol=order.symbol,
        side=order.side,
        short_sale=order.short_sale,
        price_e4=order.price_e4,
        qty=order.qty,
        open_qty=order.open_qty,
        filled_qty=order.filled_qty,
        strategy=order.strategy,
        age_s=age_ns / _NS if order.sent_ns and age_ns >= 0 else None,
    )


def _levels(
    engine: EngineSource, symbol: SymbolSource, row: SymbolRow
) -> tuple[tuple[LevelView, ...], tuple[LevelView, ...]]:
    try:
        depth = symbol.depth(_LEVELS)
    except TurboHftError:  # it never held still: the next picture has it
        return (), ()
    ours: Counter[tuple[str, int]] = Counter()
    if row.open is not None:
        for order in engine.orders.open():
            if order.symbol == row.name and order.state == "live":
                ours[order.side, order.price_e4] += order.open_qty
    bids, asks = (
        tuple(LevelView(level.price_e4, level.qty, level.orders, ours[side, level.price_e4]) for level in levels)
        for side, levels in (("buy", depth.bids), ("sell", depth.asks))
    )
    return bids, asks


def _e4(dollars: Decimal) -> int:
    return int(dollars * _E4)


def account_limits(engine: EngineSource) -> tuple[LimitUse, ...]:
    """What is used of the limits of all orders, as in rule 6: open orders count as if they were filled."""
    account, limits = engine.account, engine.limits.as_dict()
    gross = account.gross_e4 + account.open_buy_e4 + account.open_sell_e4
    net = max(account.net_e4 + account.open_buy_e4, account.open_sell_e4 - account.net_e4, 0)
    return (
        LimitUse("account", "max_gross", "usd_e4", gross, _e4(limits["max_gross"])),
        LimitUse("account", "max_net", "usd_e4", net, _e4(limits["max_net"])),
        LimitUse("account", "max_loss", "usd_e4", max(0, -account.pnl_e4), _e4(limits["max_loss"])),
        LimitUse("account", "max_open_orders", "orders", account.open_orders, limits["max_open_orders"]),
    )


def _strategy_limits(strategy: StrategySource) -> tuple[LimitUse, ...]:
    whose, limits = f"strategy {strategy.name}", strategy.limits.as_dict()
    return (
        LimitUse(whose, "max_executions", "executions", strategy.executions, limits["max_executions"]),
        LimitUse(whose, "max_open_orders", "orders", strategy.open_orders, limits["max_open_orders"]),
    )


def _symbol_limits(symbol: SymbolSource, row: SymbolRow) -> tuple[LimitUse, ...]:
    limits, opened = symbol.limits.as_dict(), row.open or OpenView(0, 0, 0)
    short = limits["max_short"] if limits["short_ok"] else 0
    return (
        LimitUse(row.name, "max_long", "shares", max(0, row.position + opened.buy_qty), limits["max_long"]),
        LimitUse(row.name, "max_short", "shares", max(0, opened.sell_qty - row.position), short),
        LimitUse(row.name, "max_loss", "usd_e4", max(0, -row.pnl_e4), _e4(limits["max_loss"])),
        LimitUse(row.name, "max_open_orders", "orders", opened.orders, limits["max_open_orders"]),
    )


def _pnl_curve(history: History) -> PnlCurve:
    if not len(history):
        return PnlCurve()
    columns = zip(*((p.utc_ns, *p.values, p.low, p.high) for p in history), strict=True)
    return PnlCurve(*cast("tuple[tuple[int, ...], ...]", tuple(columns)))


def _price_curve(history: History | None) -> PriceCurve:
    if history is None:
        return PriceCurve()
    columns = zip(*((p.utc_ns, *p.values, p.low, p.high) for p in history), strict=True)
    return PriceCurve(*cast("tuple[tuple[int, ...], ...]", tuple(columns)))


def _recorder(recorder: RecorderSource | None) -> RecorderView | None:
    if recorder is None:
        return None
    return RecorderView(recorder.recorded, recorder.lost, recorder.unrecorded, recorder.behind, recorder.problem)


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
        return LatencyView(0, None, None, None, None, 0, ())
    return LatencyView(
        count=histogram.count,
        p50_ns=histogram.percentile(50),
        p90_ns=histogram.percentile(90),
        p99_ns=histogram.percentile(99),
        p999_ns=histogram.percentile(99.9),
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
