"""The view model, and the ways it is drawn."""

from __future__ import annotations

import io
import json
import os
import pty
import select
import termios
from decimal import Decimal
from pathlib import Path

import pytest
from rich.console import Console
from turbo_hft.dashboard import live, text
from turbo_hft.dashboard.collector import ViewCollector, average_cost_e4
from turbo_hft.dashboard.keys import KeyReader
from turbo_hft.dashboard.live import LiveView, run_live
from turbo_hft.dashboard.plain import plain_lines
from turbo_hft.dashboard.terminal import export_svg, render
from turbo_hft.dashboard.view import View
from turbo_hft.errors import ConfigError
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


def picture(view: View, width: int = 80, height: int = 24, *, ascii_only: bool = False) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(render(view, width, height, ascii_only=ascii_only, keys=True))
    return capture.get().splitlines()


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
    assert any(words in line for line in picture(view)) and any(words in line for line in plain_lines(view))
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
    assert any("498 more symbols, books in all: 499 live, 1 quarantined" in line for line in picture(view))
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


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 30), (132, 40), (200, 50)])
def test_picture_fits(engine: FakeEngine, width: int, height: int) -> None:
    engine.refused = {f"reason_{i}": i + 1 for i in range(30)}
    collector = ViewCollector(engine)
    collector.observe(FakeEvent(id=i, kind="executed", position=i) for i in range(60))
    lines = picture(collector.collect(), width, height)
    assert len(lines) == height
    assert max(map(len, lines)) <= width


def test_picture_shows_what_matters_at_80x24(engine: FakeEngine) -> None:
    collector = ViewCollector(engine)
    collector.observe([FakeEvent(hook_ns=2_050)])
    shown = "\n".join(picture(collector.collect()))
    for piece in ("TRADING", "live", "up", "163.19", "163.20", "1,200", "300", "12.34", "-1.50", "163.1850"):
        assert piece in shown
    assert "open 2: buy 50" in shown
    assert "100 @ 163.20 #1 after 2.05 us" in shown
    assert "h halt" in shown


def test_many_symbols_leave_room(engine: FakeEngine) -> None:
    engine.symbols = FakeSymbols([FakeSymbol(f"SYM{i}") for i in range(40)])
    lines = picture(ViewCollector(engine).collect())
    assert len(lines) <= 24
    assert any("more symbols" in line for line in lines)


def test_states_are_named(engine: FakeEngine) -> None:
    engine.halt()
    engine.symbols["AAPL"].halt()
    state = engine.symbols["AAPL"].fake
    state.health, state.doubt, state.trading = "quarantined", "unknown_ref", "operational_halt"
    view = ViewCollector(engine).collect()
    assert "HALTED" in picture(view)[0] and "HALTED" in plain_lines(view)[0]
    words = "quarantined (unknown_ref), market operational halt, halted"
    assert any(words in line for line in picture(view)) and any(words in line for line in plain_lines(view))
    engine.configured = False
    view = ViewCollector(engine).collect()
    assert "NOT CONFIGURED" in picture(view)[0] and "NOT CONFIGURED" in plain_lines(view)[0]


def test_what_keeps_orders_back_is_in_the_first_line(engine: FakeEngine) -> None:
    def first() -> str:
        view = ViewCollector(engine).collect()
        words = [text.engine_state(view), picture(view)[0], plain_lines(view)[0]]
        assert words[0] in words[1] and words[0] in words[2]
        return words[0]

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
    assert any("strategy quoter    halted" in line for line in picture(view))


def test_ascii_only_picture(engine: FakeEngine) -> None:
    engine.refused = {f"reason_{i}": 1 for i in range(30)}
    collector = ViewCollector(engine)
    collector.observe([FakeEvent(kind="executed", price_e4=1_999_999_999, position=10**9, realized_e4=10**15)])
    assert all(line.isascii() for line in picture(collector.collect(), ascii_only=True))


def test_plain_lines_are_plain(engine: FakeEngine) -> None:
    engine.refused, engine.count["reply_gaps"] = {"rate": 4}, 2
    lines = plain_lines(ViewCollector(engine).collect())
    assert all(line.isascii() and line.isprintable() for line in lines)
    assert "AAPL" in lines[1] and "bid 163.19 x 300 ask 163.20 x 1200" in lines[1]
    assert "refused rate 4" in lines[-1] and "reply_gaps 2" in lines[-1]


def test_svg_is_written_whatever_the_terminal(
    engine: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    export_svg(ViewCollector(engine).collect(), tmp_path / "view.svg")
    picture_text = (tmp_path / "view.svg").read_text()
    assert picture_text.startswith("<svg") and "AAPL" in picture_text
    with pytest.raises(ConfigError, match="cannot write"):
        export_svg(ViewCollector(engine).collect(), tmp_path / "nowhere" / "view.svg")


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


def test_sparkline_is_as_high_as_its_share() -> None:
    assert text.sparkline([8, 0, 1, 4]) == "█ ▁▄"
    assert text.sparkline([8, 0, 1], ascii_only=True) == "@ ."
    assert text.sparkline([]) == ""


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


def test_live_without_terminal_prints_plain_lines(engine: FakeEngine) -> None:
    stream = io.StringIO()
    seen = []

    def no_events() -> list[FakeEvent]:
        seen.append(1)
        return []

    run_live(engine, 0.1, events=no_events, stream=stream)
    assert stream.getvalue().startswith("09:30:00.000 veth_hft TRADING")
    assert "\x1b" not in stream.getvalue()
    assert seen


def test_live_ends_when_told(engine: FakeEngine) -> None:
    run_live(engine, None, wait=lambda _: True, stream=io.StringIO())
    run_live(engine, None, alive=lambda: False, stream=io.StringIO())


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """(master, slave) of a pseudo terminal that counts as ours."""
    master, slave = pty.openpty()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(os, "tcgetpgrp", lambda fd: os.getpgrp())
    return master, slave


def drain(master: int) -> bytes:
    """Everything that was written to the pseudo terminal so far."""
    written = b""
    while select.select([master], [], [], 0.05)[0]:
        written += os.read(master, 1 << 16)
    return written


def test_keys_and_the_terminal_afterwards(
    engine: FakeEngine, terminal: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    master, slave = terminal
    before = termios.tcgetattr(slave)
    with os.fdopen(slave, "r+b", buffering=0) as raw, io.TextIOWrapper(raw, write_through=True) as stream:
        monkeypatch.setattr(live, "KeyReader", lambda: KeyReader(stream))
        with LiveView(engine, ViewCollector(engine), stream) as view:
            during = termios.tcgetattr(slave)
            os.write(master, b"hx")
            view.step()
            assert (engine.halted, view.quit) == (True, False)
            os.write(master, b"d")
            view.step()
            assert (engine.state, view.quit) == ("reducing", False)
            os.write(master, b"r")
            view.step()
            assert (engine.state, view.quit) == ("active", False)
            os.write(master, b"q")
            view.step()
            assert (engine.halted, view.quit) == (False, True)
        assert termios.tcgetattr(slave) == before
        assert during[3] & termios.ICANON == 0 and before[3] & termios.ICANON
        written = drain(master)
    os.close(master)
    # The alternate screen is left and the cursor is back.
    assert written.count(b"\x1b[?1049h") == written.count(b"\x1b[?1049l") == 1
    assert b"\x1b[?25h" in written.split(b"\x1b[?1049l")[0][-40:] + written.split(b"\x1b[?1049l")[1]


def test_terminal_is_restored_after_an_error(
    engine: FakeEngine, terminal: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    master, slave = terminal
    before = termios.tcgetattr(slave)
    with os.fdopen(slave, "r+b", buffering=0) as raw, io.TextIOWrapper(raw, write_through=True) as stream:
        monkeypatch.setattr(live, "KeyReader", lambda: KeyReader(stream))
        with pytest.raises(RuntimeError), LiveView(engine, ViewCollector(engine), stream):
            raise RuntimeError
        assert termios.tcgetattr(slave) == before
    os.close(master)


def test_no_color_is_respected(engine: FakeEngine, terminal: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    master, slave = terminal
    with os.fdopen(slave, "r+b", buffering=0) as raw, io.TextIOWrapper(raw, write_through=True) as stream:
        with LiveView(engine, ViewCollector(engine), stream) as view:
            view.step()
        written = drain(master)
    os.close(master)
    assert b"AAPL" in written
    assert b"\x1b[32m" not in written and b"\x1b[1;32m" not in written


@pytest.mark.parametrize("term", ["dumb", "", "unknown"])
def test_dumb_terminals_get_plain_lines(
    engine: FakeEngine, terminal: tuple[int, int], monkeypatch: pytest.MonkeyPatch, term: str
) -> None:
    monkeypatch.setenv("TERM", term)
    master, slave = terminal
    with os.fdopen(slave, "r+b", buffering=0) as raw, io.TextIOWrapper(raw, write_through=True) as stream:
        with LiveView(engine, ViewCollector(engine), stream) as view:
            view.step()
        written = drain(master)
    os.close(master)
    assert b"veth_hft TRADING" in written and b"\x1b" not in written
