"""The parts of the terminal's picture."""

from __future__ import annotations

from typing import cast

import pytest
from turbo_hft.dashboard import panels
from turbo_hft.dashboard.local_desk import LocalDesk
from turbo_hft.dashboard.panels import Frame
from turbo_hft.dashboard.plot import Mark, plot
from turbo_hft.depth import Level
from turbo_hft.engine import Engine
from unit.fakes import FakeEngine, FakeEvent, FakeFeed, FakeHistogram, FakeSymbol, FakeSymbols, order

PARTS = (
    panels.symbols,
    panels.book,
    panels.pnl,
    panels.price,
    panels.latency,
    panels.orders,
    panels.fills,
    panels.risk,
    panels.feeds,
    panels.events,
)


@pytest.fixture
def engine() -> FakeEngine:
    symbol = FakeSymbol(
        "AAPL", bid_e4=1_631_900, bid_qty=300, ask_e4=1_632_000, ask_qty=1_200, position=300, cost_e4=489_555_000,
        realized_e4=123_456, open_orders=1, open_buy_qty=100, orders_sent=9,
        bids=tuple(Level(1_631_900 - 100 * i, 300 + i, 1) for i in range(12)),
        asks=tuple(Level(1_632_000 + 100 * i, 1_200 + i, 1) for i in range(12)),
    )  # fmt: skip
    engine = FakeEngine(FakeSymbols([symbol, FakeSymbol("MSFT")]), FakeHistogram((0,) * 10 + (1, 0, 97, 2) + (0,) * 18))
    engine.orders.working = [order(7, price_e4=1_631_800)]
    engine.fake_account[0].open_orders = 1
    return engine


def frame_of(engine: FakeEngine, *events: FakeEvent, reads_events: bool = True) -> Frame:
    desk = LocalDesk(cast(Engine, engine), reads_events=reads_events)
    desk.observe(events)
    return Frame(desk.view("AAPL"), "AAPL")


def drawn(part: object, frame: Frame, width: int = 80, height: int = 20) -> str:
    assert callable(part)
    return "\n".join(line.plain for line in part(frame, width, height))


@pytest.mark.parametrize("size", [(1, 1), (20, 3), (46, 9), (132, 44)])
def test_no_part_is_higher_than_its_place(engine: FakeEngine, size: tuple[int, int]) -> None:
    engine.refused = {f"reason_{i}": i + 1 for i in range(30)}
    engine.count.update(book_full=2, reply_gaps=1)
    full = frame_of(engine, *(FakeEvent(id=i, kind="executed", position=i) for i in range(60)))
    engine.symbols = FakeSymbols([])
    empty = Frame(LocalDesk(cast(Engine, engine)).view(), None)
    assert full.view.symbols and not empty.view.symbols
    for part in PARTS:
        for frame in (full, empty):
            assert 1 <= len(part(frame, *size)) <= size[1]


def test_symbols_leave_columns_out_that_do_not_fit(engine: FakeEngine) -> None:
    frame = frame_of(engine)
    narrow, wide = drawn(panels.symbols, frame, 40), drawn(panels.symbols, frame, 130)
    assert "pos" in narrow and "buy <=" not in narrow and all(len(line) <= 40 for line in narrow.splitlines())
    assert "buy <=" in wide and "1: buy 100" in wide and "1,200" in wide


def test_the_selected_symbol_stays_in_sight() -> None:
    engine = FakeEngine(FakeSymbols([FakeSymbol(f"SYM{i}") for i in range(90)]))
    view = LocalDesk(cast(Engine, engine)).view()
    for name in ("SYM0", "SYM50", "SYM89"):
        shown = drawn(panels.symbols, Frame(view, name), 46, 8).split()
        assert name in shown and len([word for word in shown if word.startswith("SYM")]) == 7


def test_of_a_whole_market_the_rest_is_counted() -> None:
    symbols = [FakeSymbol(f"SYM{i}") for i in range(500)]
    symbols[7].fake.position, symbols[9].fake.health = 100, "quarantined"
    view = LocalDesk(cast(Engine, FakeEngine(FakeSymbols(symbols)))).view()
    shown = drawn(panels.symbols, Frame(view, "SYM7"))
    assert "SYM7" in shown and "and 499 more, books in all: 499 live, 1 quarantined" in shown


def test_book_marks_our_own_orders(engine: FakeEngine) -> None:
    lines = drawn(panels.book, frame_of(engine), 40, 12).splitlines()
    assert "163.19|163.20" in lines[0].replace(" ", "") and "*" not in lines[0]
    assert "301*" in lines[1]
    assert lines[-2].startswith("pos 300 avg 163.1850") and "open 1: buy 100" in lines[-1]


def test_price_has_our_fills(engine: FakeEngine) -> None:
    times = [i * 1_000_000_000 for i in range(20)]
    prices = [100 + i for i in range(20)]
    result = plot(times, [(prices, prices)], 30, 6, [Mark(times[0], 100, "B"), Mark(times[-1], 119, "S")])
    assert result.lines[-1][0] == "B" and result.lines[0][-1] == "S"
    assert result.marked == {(5, 0), (0, 29)}
    assert "no price yet" in drawn(panels.price, Frame(LocalDesk(cast(Engine, FakeEngine())).view("AAPL"), "AAPL"))
    assert "163.19 to 163.20" in drawn(panels.price, frame_of(engine), 40, 6)


@pytest.mark.parametrize(
    ("seconds", "hole"),
    [
        ((0, 1, 100, 101), True),
        ((0, 1, 2, 3), False),
        ((0, 480, 960, 964, 968), False),
        ((0, 100), False),
    ],
)
def test_a_time_when_nobody_looked_is_a_hole(seconds: tuple[int, ...], hole: bool) -> None:
    times = [second * 10**9 for second in seconds]
    flat = plot(times, [([5] * len(times), [5] * len(times))], 50, 1).lines[0]
    assert flat[0] != " " and flat[-1] != " "
    assert (" " in flat) == hole


def test_latency_has_percentiles_and_every_bucket(engine: FakeEngine) -> None:
    shown = drawn(panels.latency, frame_of(engine), 40, 9)
    for piece in ("p50 < 8.19 us", "p90 < 8.19 us", "p99 < 16.4 us", "p99.9 < 16.4 us"):
        assert piece in shown
    counts = [int(line.split()[-1]) for line in shown.splitlines() if line.startswith("< ")]
    assert counts == [1, 0, 97, 2]


def test_risk_says_what_holds_orders_back(engine: FakeEngine) -> None:
    account = engine.fake_account[0]
    account.loss_latched, account.gross_e4 = 1, 95_000_000_000
    engine.symbols["MSFT"].halt()
    engine.strategies["quoter"].halt()
    engine.refused = {"max_long": 3}
    lines = panels.risk(frame_of(engine), 100, 30)
    shown = "\n".join(line.plain for line in lines)
    for piece in (
        "all orders: active, LOSS LATCHED; lease 0.8 s left",
        "strategy quoter    halted",
        "held: MSFT ok, halted",
        "account max_gross [##########] 9,500,000.00 of 10,000,000.00",
        "AAPL max_long [####......] 400 of 1,000",
        "refused:  max_long 3",
    ):
        assert piece in shown
    (near,) = (line for line in lines if "max_gross" in line.plain)
    assert "red" in str(near.style)
    assert "account max_gross 95% of 10,000,000.00" in drawn(panels.risk, frame_of(engine), 40, 30)


def test_risk_says_how_the_recorder_does(engine: FakeEngine) -> None:
    class Recorder:
        recorded, lost, unrecorded, behind, problem = 1_234, 5, 0, True, "no room"

    frame = Frame(LocalDesk(cast(Engine, engine), recorder=Recorder()).view(), None)
    assert "recorder: 1,234 events, 5 lost, 0 unrecorded, BEHIND, no room" in drawn(panels.risk, frame, 100, 30)
    assert "recorder in trouble" in panels.head(frame.view)[2].plain


def test_orders_that_do_not_fit_are_counted(engine: FakeEngine) -> None:
    engine.orders.working = [order(i, pending=("cancel",)) for i in range(1, 31)]
    engine.fake_account[0].open_orders = 30
    lines = drawn(panels.orders, frame_of(engine), 80, 5).splitlines()
    assert lines[0].startswith("#30 AAPL buy 100 of 100 @ 163.20 live (cancel pending) threshold")
    assert lines[-1] == "and 26 more" and len(lines) == 5


def test_fills_say_how_they_were_found(engine: FakeEngine) -> None:
    exact = drawn(panels.fills, frame_of(engine, FakeEvent(kind="executed", position=400)))
    assert exact == "09:30:00.000 AAPL buy 100 @ 163.20 #1 -> 400"
    engine.session.next_user_ref = 8
    engine.orders.working = [order(7, filled_qty=40, filled_e4=40 * 1_632_000)]
    assert "buy 40 @ 163.20 on average #7" in drawn(panels.fills, frame_of(engine, reads_events=False))


def test_feeds_in_trouble_are_in_the_head(engine: FakeEngine) -> None:
    engine.feeds[1] = FakeFeed(session="OTHER", health="gap", expected_seq=70, missing=5, gaps=2, missed=9)
    engine.count["book_full"] = 3
    frame = frame_of(engine)
    assert "feed 1 gap" in panels.head(frame.view)[1].plain
    shown = drawn(panels.feeds, frame)
    assert "feed 1 gap OTHER market seq 70, 5 missing, 2 gaps, 9 missed" in shown and "book_full 3" in shown


def test_the_log_can_be_turned_back(engine: FakeEngine) -> None:
    frame = frame_of(engine, *(FakeEvent(id=i, user_ref=i) for i in range(50)))
    assert "#49" in drawn(panels.events, frame, 80, 5)
    older = drawn(panels.events, Frame(frame.view, None, back=10), 80, 5)
    assert "#39" in older and "#40" not in older
    oldest = drawn(panels.events, Frame(frame.view, None, back=1000), 80, 5).splitlines()
    assert len(oldest) == 5 and "#0" in oldest[0]
    assert "another process reads the events" in drawn(panels.events, frame_of(engine, reads_events=False))
