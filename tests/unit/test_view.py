"""The view model, and the view as plain lines."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from turbo_hft.dashboard import panels, text
from turbo_hft.dashboard.collector import ViewCollector, average_cost_e4
from turbo_hft.dashboard.plain import plain_lines
from unit.fakes import FakeEngine, FakeEvent, FakeFeed, FakeHistogram, FakeSymbol, FakeSymbols

AAPL = {
    "bid_e4": 1_631_900,
    "bid_qty": 300,
    "ask_e4": 1_632_000,
    "ask_qty": 1_200,
    "position": 300,
    "cost_e4": 489_555_000,
    "realized_e4": 123_456,
    "unrealized_e4": -15_000,
    "fees_e8": 300_000_000,
    "open_orders": 2,
    "open_buy_qty": 50,
    "orders_sent": 9,
    "fills": 8,
    "bought_qty": 500,
    "sold_qty": 200,
    "bought_e4": 815_900_000,
    "sold_e4": 326_500_000,
    "canceled_qty": 20,
}


@pytest.fixture
def engine() -> FakeEngine:
    symbol = FakeSymbol("AAPL", **AAPL)
    symbol.buy_below, symbol.sell_above = Decimal("163.19"), None
    histogram = FakeHistogram((0,) * 10 + (1, 0, 97, 2) + (0,) * 18)
    return FakeEngine(symbols=FakeSymbols([symbol, FakeSymbol("MSFT")]), histogram=histogram)


def test_symbol_row_has_everything(engine: FakeEngine) -> None:
    row, empty = ViewCollector(engine).collect().symbols
    assert (row.bid_e4, row.bid_qty, row.ask_e4, row.ask_qty) == (1_631_900, 300, 1_632_000, 1_200)
    assert (row.buy_below_e4, row.sell_above_e4) == (1_631_900, None)
    assert (row.position, row.average_cost_e4, row.realized_e4, row.unrealized_e4) == (300, 1_631_850, 123_456, -15_000)
    assert row.open is not None
    assert (row.open.orders, row.open.buy_qty, row.open.sell_qty) == (2, 50, 0)
    assert (row.strategy, row.state, row.pnl_e4) == ("threshold", "active", 123_456 - 15_000 - 30_000)
    assert (empty.bid_e4, empty.ask_e4, empty.average_cost_e4, empty.open) == (None, None, None, None)


def test_totals_add_up(engine: FakeEngine) -> None:
    engine.symbols["MSFT"].fake.realized_e4 = -23_456
    engine.symbols["MSFT"].fake.orders_sent = 1
    account = engine.fake_account[0]
    account.realized_e4, account.fees_e8, account.open_orders, account.gross_e4 = 100_000, 1, 3, 7
    engine.refused = {"max_long": 3, "rate_symbol": 0, "halted_global": 2}
    view = ViewCollector(engine).collect()
    assert (view.totals.orders, view.totals.fills, view.totals.open_orders) == (10, 8, 3)
    assert (view.totals.pnl_e4, view.totals.gross_e4) == (99_999, 7), "a fee of less than 1/10000 dollar counts as one"
    assert view.totals.realized_e4 == 100_000
    assert view.totals.refused == 5
    assert view.refusals == {"max_long": 3, "halted_global": 2}


def test_latency_is_cut_to_the_used_buckets(engine: FakeEngine) -> None:
    latency = ViewCollector(engine).collect().latency
    assert (latency.count, latency.first_exponent, latency.buckets) == (100, 10, (1, 0, 97, 2))
    assert (latency.p50_ns, latency.p99_ns) == (8192, 16384)


def test_no_order_no_latency() -> None:
    latency = ViewCollector(FakeEngine()).collect().latency
    assert (latency.count, latency.p50_ns, latency.buckets) == (0, None, ())


def test_rate_is_messages_over_time(engine: FakeEngine) -> None:
    collector = ViewCollector(engine)
    engine.count["feed_messages"] = 1_000
    assert collector.collect(now_ns=0).messages_per_s == 0
    engine.count["feed_messages"] = 2_000
    assert collector.collect(now_ns=500_000_000).messages_per_s == 2_000
    # Too soon for another rate: the older one stays.
    assert collector.collect(now_ns=500_000_100).messages_per_s == 2_000


def test_every_feed_that_has_begun_is_shown(engine: FakeEngine) -> None:
    engine.feeds[1] = FakeFeed(session="OTHER", health="gap", expected_seq=70, missing=5, gaps=2, missed=9)
    view = ViewCollector(engine).collect()
    assert [(feed.number, feed.health, feed.missing) for feed in view.feeds] == [(0, "live", 0), (1, "gap", 5)]
    words = "feed 1 gap OTHER market seq 70, 5 missing, 2 gaps, 9 missed"
    assert any(words in line for line in plain_lines(view))
    engine.feeds[1].health = "live"  # read in the middle of a packet: nothing waits for what is only just arriving
    assert ViewCollector(engine).collect().feeds[1].missing == 0


def test_of_a_whole_market_only_what_trades_has_a_row(engine: FakeEngine) -> None:
    symbols = [FakeSymbol(f"SYM{i}") for i in range(500)]
    symbols[7].buy_below, symbols[8].fake.position = Decimal(1), 100
    symbols[9].fake.health = "quarantined"
    engine.symbols = FakeSymbols(symbols)
    view = ViewCollector(engine).collect()
    assert [row.name for row in view.symbols] == ["SYM7", "SYM8"]
    assert (view.tracked, view.books) == (500, {"live": 499, "quarantined": 1})
    assert any("500 tracked: 499 live, 1 quarantined" in line for line in plain_lines(view))


def test_replies_missing(engine: FakeEngine) -> None:
    engine.session.expected_seq, engine.session.highest_seq = 5, 8
    assert ViewCollector(engine).collect().session.replies_missing == 3


def test_events_are_kept_counted_and_refusals_folded(engine: FakeEngine) -> None:
    collector = ViewCollector(engine, keep_events=3)
    collector.observe([FakeEvent(id=i) for i in range(1, 5)])
    collector.observe([FakeEvent(id=i, kind="refused", reason="halted_global") for i in range(5, 9)])
    collector.observe([FakeEvent(id=9, kind="refused", reason="rate")])
    view = collector.collect()
    assert [(row.id, row.repeats) for row in view.events] == [(4, 1), (8, 4), (9, 1)]
    assert view.event_counts == {"order": 4, "refused": 5}


def test_only_counters_worth_seeing(engine: FakeEngine) -> None:
    engine.count.update(bad_checksum=0, book_full=2, not_ours=17)
    counters = ViewCollector(engine).collect().counters
    assert counters["book_full"] == 2
    assert "bad_checksum" not in counters and "not_ours" not in counters


def test_view_is_json(engine: FakeEngine) -> None:
    collector = ViewCollector(engine)
    collector.observe([FakeEvent()])
    decoded = json.loads(json.dumps(collector.collect().as_dict()))
    assert decoded["symbols"][0]["open"] == {"orders": 2, "buy_qty": 50, "sell_qty": 0}
    assert decoded["events"][0]["kind"] == "order"


@pytest.mark.parametrize(("position", "cost", "average"), [(3, 100, 33), (-3, -101, 34), (2, 3, 2), (0, 0, None)])
def test_average_cost_is_rounded_half_up(position: int, cost: int, average: int | None) -> None:
    assert average_cost_e4(position, cost) == average


def test_states_are_named(engine: FakeEngine) -> None:
    engine.halt()
    engine.symbols["AAPL"].halt()
    state = engine.symbols["AAPL"].fake
    state.health, state.doubt, state.trading = "quarantined", "unknown_ref", "operational_halt"
    view = ViewCollector(engine).collect()
    assert "HALTED" in plain_lines(view)[0]
    words = "quarantined (unknown_ref), market operational halt, halted"
    assert any(words in line for line in plain_lines(view))
    engine.configured = False
    view = ViewCollector(engine).collect()
    assert "NOT CONFIGURED" in plain_lines(view)[0]


def test_what_keeps_orders_back_is_in_the_first_line(engine: FakeEngine) -> None:
    def first() -> str:
        view = ViewCollector(engine).collect()
        word = text.engine_state(view)
        assert word in panels.head(view)[0].plain and word in plain_lines(view)[0]
        return word

    seen = [first()]
    engine.fake_account[0].loss_latched = 1
    seen.append(first())
    engine.reduce()
    seen.append(first())
    engine.lease.left_s = 0.0
    seen.append(first())
    engine.halt()
    seen.append(first())
    assert seen == ["TRADING", "TRADING (LOSS LIMIT)", "REDUCING (LOSS LIMIT)", "LEASE LAPSED", "HALTED"]


def test_a_strategy_that_does_something_has_a_line(engine: FakeEngine) -> None:
    assert not ViewCollector(engine).collect().strategies
    engine.strategies["quoter"].halt()
    engine.fake_account[0].strategy[engine.strategies["momentum"].number].latched = 1
    view = ViewCollector(engine).collect()
    lines = [line for line in plain_lines(view) if line.startswith("  strategy")]
    assert lines == [
        "  strategy momentum  active, LATCHED, 0 orders, 0 open, 0 executions",
        "  strategy quoter    halted, 0 orders, 0 open, 0 executions",
    ]


def test_plain_lines_are_plain(engine: FakeEngine) -> None:
    engine.refused, engine.count["reply_gaps"] = {"rate": 4}, 2
    lines = plain_lines(ViewCollector(engine).collect())
    assert all(line.isascii() and line.isprintable() for line in lines)
    assert "AAPL" in lines[1] and "bid 163.19 x 300 ask 163.20 x 1200" in lines[1]
    assert "refused rate 4" in lines[-1] and "reply_gaps 2" in lines[-1]


@pytest.mark.parametrize(
    ("amount", "shown"), [(0, "0.00"), (-99, "0.00"), (-100, "-0.01"), (12_345_678, "1,234.56"), (-12_399, "-1.23")]
)
def test_cents_are_cut_towards_zero(amount: int, shown: str) -> None:
    assert text.cents(amount) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(None, "-"), (950, "950 ns"), (2_050, "2.05 us"), (99_900, "99.9 us"), (1_300_000, "1.3 ms")]
)
def test_durations(value: int | None, shown: str) -> None:
    assert text.duration(value) == shown


@pytest.mark.parametrize(
    ("event", "piece"),
    [
        (FakeEvent(kind="refused", reason="max_long"), "refused   AAPL buy 100 @ 163.20: max_long"),
        (FakeEvent(kind="accepted"), "accepted  AAPL buy 100 @ 163.20 #1"),
        (FakeEvent(kind="executed", position=-100, realized_e4=25_000), "-> position -100, realized 2.50"),
        (FakeEvent(kind="canceled", reason="I"), "canceled  AAPL buy 100 #1, code I"),
        (FakeEvent(kind="feed_gap", symbol=None, feed_seq=12, qty=3), "3 messages missing from sequence 12"),
        (FakeEvent(kind="book_quarantined", feed_seq=12, reason="late"), "AAPL at sequence 12: late"),
        (FakeEvent(kind="book_restored", feed_seq=12), "book_restored AAPL at sequence 12"),
        (FakeEvent(kind="shadow", strategy="quoter"), "quoter buy 100 @ 163.20: would have left"),
        (FakeEvent(kind="shadow", reason="collar"), "no: collar"),
        (FakeEvent(kind="replaced", user_ref=2, other_ref=1), "#2 in place of #1"),
        (FakeEvent(kind="broken", position=-3), "taken back -> position -3"),
        (FakeEvent(kind="lost"), "lost      AAPL buy 100 @ 163.20 #1"),
        (FakeEvent(kind="latched", reason="executions", strategy="quoter"), "executions of quoter"),
    ],
)
def test_event_lines(event: FakeEvent, piece: str) -> None:
    collector = ViewCollector(FakeEngine())
    collector.observe([event])
    assert piece in text.event(collector.collect().events[0])
