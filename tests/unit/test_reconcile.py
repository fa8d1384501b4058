"""Three ledgers: the event stream's own arithmetic, and that every kind of difference is found."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from turbo_hft.demo.config import DemoConfig
from turbo_hft.demo.latency import HookTimes
from turbo_hft.demo.reconcile import (
    FIELDS,
    EventLedger,
    LostOrder,
    Reconciliation,
    Row,
    SymbolLedger,
    exchange_ledger,
    feed_problems,
    lost_problems,
    maps_ledger,
    reconcile,
)
from turbo_hft.demo.report import DemoReport, ledger_lines, verdict_lines
from turbo_hft.demo.steering import Steering, targets_e4
from turbo_hft.demo.wire import WireUse, session_problems
from turbo_hft.errors import ConfigError, ExchangeError, LabError
from turbo_hft.exchange.ledger import Position
from unit.fakes import FakeEvent, FakeState, FakeSymbol

# Buy 100 of which 60 are filled, sell 25 of them, and a buy that is rejected.
STREAM = (
    FakeEvent(id=1, kind="order", user_ref=1, qty=100, open_qty=100, hook_ns=2_000),
    FakeEvent(id=2, kind="accepted", user_ref=1, qty=100, open_qty=100),
    FakeEvent(id=3, kind="executed", user_ref=1, qty=59, price_e4=1_631_999, open_qty=41, position=59),
    FakeEvent(id=4, kind="executed", user_ref=1, qty=1, price_e4=1_632_000, open_qty=40, position=60),
    FakeEvent(id=5, kind="canceled", user_ref=1, qty=40, open_qty=0, position=60, reason="I"),
    FakeEvent(id=6, kind="refused", user_ref=0, qty=100, reason="rate", position=60),
    FakeEvent(id=7, kind="order", side="sell", user_ref=2, qty=25, open_qty=25, position=60, hook_ns=3_000),
    FakeEvent(
        id=8,
        kind="executed",
        side="sell",
        user_ref=2,
        qty=25,
        price_e4=1_632_100,
        position=35,
        # 25 shares sold, less 25/60 of the cost cut to a whole 1/10000 dollar.
        realized_e4=25 * 1_632_100 - 25 * (59 * 1_631_999 + 1_632_000) // 60,
    ),
    FakeEvent(id=9, kind="order", user_ref=3, qty=10, open_qty=10, position=35, hook_ns=1_000),
    FakeEvent(id=10, kind="rejected", user_ref=3, qty=0, open_qty=0, position=35, reason="0x11"),
)
COST_E4 = 59 * 1_631_999 + 1_632_000
LEFT_E4 = COST_E4 - 25 * COST_E4 // 60
EXPECTED = SymbolLedger(
    orders=3,
    fills=3,
    bought_qty=60,
    bought_e4=COST_E4,
    sold_qty=25,
    sold_e4=25 * 1_632_100,
    canceled_qty=50,
    open_qty=0,
    position=35,
    cost_e4=LEFT_E4,
    realized_e4=25 * 1_632_100 - 25 * COST_E4 // 60,
)
SUMMARY_ROW = {
    "position": 35,
    "cost_e4": LEFT_E4,
    "realized_e4": EXPECTED.realized_e4,
    "bought_qty": 60,
    "sold_qty": 25,
    "bought_e4": COST_E4,
    "sold_e4": 25 * 1_632_100,
    "orders": 3,
    "accepted": 2,
    "rejected": 1,
    "executions": 3,
    "replaced": 0,
    "replaces_rejected": 0,
    "broken": 0,
    "fees_e8": 0,
    "open_qty": 0,
    "canceled_qty": 40,
    "rejected_qty": 10,
    "rejects": {"17": 1},
}


def book(stream: tuple[FakeEvent, ...] = STREAM) -> EventLedger:
    ledger = EventLedger()
    ledger.add(stream)
    return ledger


def test_event_stream_adds_up() -> None:
    ledger = book()
    assert ledger.symbols == {"AAPL": EXPECTED}
    assert ledger.problems(written=10, lost=0) == []
    assert ledger.hook_ns == [2_000, 3_000, 1_000]


def test_events_in_batches_are_the_same() -> None:
    ledger = EventLedger()
    for event in STREAM:
        ledger.add([event])
    assert ledger.symbols == book().symbols


def test_accepted_and_dead_gives_its_shares_back() -> None:
    ledger = book(
        (
            FakeEvent(id=1, kind="order", qty=100, open_qty=100),
            FakeEvent(id=2, kind="accepted", qty=100, open_qty=0, reason="D"),
        )
    )
    assert (ledger.symbols["AAPL"].canceled_qty, ledger.symbols["AAPL"].open_qty) == (100, 0)
    assert ledger.problems(written=2, lost=0) == []


def test_all_three_agree() -> None:
    exchange = exchange_ledger({"accounts": {"HFT001": {"AAPL": SUMMARY_ROW}}}, "HFT001")
    result = reconcile({"AAPL": replace(EXPECTED)}, book().symbols, exchange)
    assert result.equal
    assert len(result.rows) == len(FIELDS)
    assert result.as_dict()["equal"] is True


@pytest.mark.parametrize("ledger", [0, 1, 2])
@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("by", [1, -1])
def test_any_figure_off_by_one_is_found(ledger: int, field: str, by: int) -> None:
    books = [{"AAPL": replace(EXPECTED)} for _ in range(3)]
    setattr(books[ledger]["AAPL"], field, getattr(EXPECTED, field) + by)
    result = reconcile(*books)
    assert not result.equal
    (row,) = result.differences
    assert (row.symbol, row.field) == ("AAPL", field)


@pytest.mark.parametrize("ledger", [0, 1, 2])
def test_symbol_that_one_ledger_does_not_know(ledger: int) -> None:
    books = [{"AAPL": replace(EXPECTED)} for _ in range(3)]
    del books[ledger]["AAPL"]
    result = reconcile(*books)
    assert not result.equal
    assert {row.field for row in result.differences} == set(FIELDS) - {"open_qty", "broken", "fees_e8"}


def test_untraded_symbol_is_equal_to_none() -> None:
    assert reconcile({"MSFT": SymbolLedger()}, {}, {}).equal


@pytest.mark.parametrize("missing", range(len(STREAM)))
def test_any_missing_event_is_found(missing: int) -> None:
    stream = STREAM[:missing] + STREAM[missing + 1 :]
    assert book(stream).problems(written=10, lost=0)


def test_last_event_missing_is_found_by_the_count() -> None:
    assert book(STREAM[:-1]).problems(written=10, lost=0) == ["9 events were read, the hook wrote 10"]


def test_repeated_event_is_found() -> None:
    assert any("hole" in problem for problem in book((*STREAM, STREAM[-1])).problems(written=11, lost=0))


def test_lost_events_are_a_problem_even_if_sums_agree() -> None:
    problems = book().problems(written=10, lost=1)
    assert problems == ["1 events did not fit into the ring: the stream is incomplete"]
    assert not reconcile({"AAPL": EXPECTED}, {"AAPL": EXPECTED}, {"AAPL": EXPECTED}, problems).equal


@pytest.mark.parametrize("change", [{"position": 34}, {"realized_e4": EXPECTED.realized_e4 + 1}])
def test_event_that_contradicts_its_stream_is_found(change: dict[str, Any]) -> None:
    stream = tuple(replace(event, **change) if event.id == 8 else event for event in STREAM)
    (problem,) = book(stream).problems(written=10, lost=0)
    assert problem.startswith("event 8 says position")


def test_open_quantity_that_contradicts_its_stream_is_found() -> None:
    stream = tuple(replace(event, open_qty=42) if event.id == 3 else event for event in STREAM)
    (problem,) = book(stream).problems(written=10, lost=0)
    assert "42 shares of order 1 are open" in problem


def test_reply_to_an_order_that_never_left_is_found() -> None:
    problems = book((FakeEvent(id=1, kind="executed", user_ref=9, qty=10, position=10),)).problems(written=1, lost=0)
    assert problems == ["event 1 (executed) is about order 9, which never left"]


def test_order_without_reply_stays_open() -> None:
    assert book(STREAM[:1]).symbols["AAPL"].open_qty == 100
    state = FakeState(open_orders=1, open_buy_qty=100, orders_sent=1)
    assert maps_ledger([state])["AAPL"].open_qty == 100
    row = {**dict.fromkeys(SUMMARY_ROW, 0), "orders": 1, "open_qty": 100}
    assert exchange_ledger({"accounts": {"HFT001": {"AAPL": row}}}, "HFT001")["AAPL"].open_qty == 100


def test_broken_trade_takes_fee_and_sums_back_but_not_its_shares() -> None:
    stream = (
        FakeEvent(id=1, kind="order", qty=100, open_qty=100),
        FakeEvent(id=2, kind="accepted", qty=100, open_qty=100),
        FakeEvent(
            id=3, kind="executed", qty=60, open_qty=40, position=60, match_number=7, reason="R", fees_e8=60 * 300_000
        ),
        FakeEvent(id=4, kind="broken", qty=60, open_qty=40, position=0, match_number=7, reason="E"),
    )
    events = EventLedger({"R": 300_000})
    events.add(stream)
    assert events.problems(written=4, lost=0) == []
    theirs = Position(orders=1, accepted=1, ordered_qty=100)
    theirs.fill("B", 60, 1_632_000, 300_000)
    theirs.take_back("B", 60, 1_632_000, 300_000)
    exchange = exchange_ledger({"accounts": {"HFT001": {"AAPL": theirs.as_dict()}}}, "HFT001")
    assert events.symbols == exchange
    assert (exchange["AAPL"].open_qty, exchange["AAPL"].broken, exchange["AAPL"].fees_e8) == (40, 1, 0)


def test_fee_that_contradicts_its_stream_is_found() -> None:
    events = EventLedger({"R": 1})
    events.add(replace(event, reason="R") if event.kind == "executed" else event for event in STREAM)
    assert [problem.split(" ")[1] for problem in events.problems(written=10, lost=0)] == ["3", "4", "8"]


def test_lost_orders_stand_on_both_sides() -> None:
    """An order gives its shares back, a replacement none; the exchange has heard of neither."""
    events = book(
        (
            FakeEvent(id=1, kind="order", user_ref=1, qty=100, open_qty=100),
            FakeEvent(id=2, kind="order", user_ref=2, qty=50, open_qty=50),
            FakeEvent(id=3, kind="accepted", user_ref=2, qty=50, open_qty=50),
            FakeEvent(id=4, kind="order", user_ref=3, other_ref=2, qty=70, open_qty=70),
            FakeEvent(id=5, kind="lost", user_ref=1, qty=100),
            FakeEvent(id=6, kind="lost", user_ref=3, qty=70),
        )
    )
    assert events.problems(written=6, lost=0) == []
    assert events.lost == {1: LostOrder("AAPL", 100), 3: LostOrder("AAPL", 0)}
    theirs = Position(orders=1, accepted=1, ordered_qty=50)
    summary = {"accounts": {"HFT001": {"AAPL": theirs.as_dict()}}}
    assert exchange_ledger(summary, "HFT001", events.lost.values()) == events.symbols
    assert exchange_ledger(summary, "HFT001") != events.symbols


def test_lost_orders_are_held_against_the_log() -> None:
    log = [
        {"kind": "order", "user_ref": 1, "outcome": "accepted"},
        {"kind": "order", "user_ref": 1, "outcome": "ignored"},
        {"kind": "order", "user_ref": 2, "outcome": "rejected"},
        {"kind": "replace", "user_ref": 3, "outcome": "replaced"},
        {"kind": "replace", "user_ref": 4, "outcome": "ignored"},
        {"kind": "replace", "user_ref": 5, "outcome": "canceled"},
        {"kind": "cancel", "user_ref": 6, "outcome": "canceled"},
    ]
    assert lost_problems({1, 2, 3, 4, 5, 6}, {4, 5, 6}, log) == []
    assert lost_problems({1, 2, 3, 4, 5, 6}, {3, 4, 5, 6}, log) == ["order 3 was declared lost, the exchange took it"]
    (problem,) = lost_problems({1, 2, 3, 4, 5, 6}, {4, 5}, log)
    assert problem.startswith("order 6 left, the exchange never took it")
    assert lost_problems({1, 2}, (), log) == ["the exchange took order 3, which never left"]


def test_exchange_summary_of_another_shape_is_an_error() -> None:
    with pytest.raises(ExchangeError, match="summary cannot be read"):
        exchange_ledger({"accounts": {"HFT001": {"AAPL": {"orders": 1}}}}, "HFT001")
    with pytest.raises(ExchangeError, match="summary cannot be read"):
        exchange_ledger({}, "HFT001")


def test_account_that_never_traded_is_empty() -> None:
    assert exchange_ledger({"accounts": {}}, "HFT001") == {}


def test_feed_differences() -> None:
    assert feed_problems({"A": 3, "R": 1}, {"A": 3, "R": 1, "D": 0}, gaps=0, missed=0) == []
    assert len(feed_problems({"A": 3}, {"A": 2, "X": 1}, gaps=0, missed=0)) == 2
    assert feed_problems({}, {}, gaps=1, missed=4) == ["the feed had 1 gaps with 4 messages missed"]


fills = st.lists(
    st.tuples(st.sampled_from(["buy", "sell"]), st.integers(1, 999_999), st.integers(1, 1_999_999_900)), max_size=40
)


@given(fills)
def test_own_arithmetic_agrees_with_the_exchange(trades: list[tuple[str, int, int]]) -> None:
    """Two independent ways to keep a position, on anything, crossing zero included."""
    theirs, events = Position(), EventLedger()
    for number, (side, qty, price_e4) in enumerate(trades, start=1):
        theirs.fill("B" if side == "buy" else "S", qty, price_e4)
        common: dict[str, Any] = {"side": side, "user_ref": number, "qty": qty, "price_e4": price_e4}
        events.add(
            [
                FakeEvent(id=2 * number - 1, kind="order", open_qty=qty, **common),
                FakeEvent(
                    id=2 * number,
                    kind="executed",
                    position=theirs.position,
                    realized_e4=theirs.realized_e4,
                    **common,
                ),
            ]
        )
    assert events.problems(written=2 * len(trades), lost=0) == []
    ours = events.symbols.get("AAPL", SymbolLedger())
    assert (ours.position, ours.cost_e4, ours.realized_e4) == (theirs.position, theirs.cost_e4, theirs.realized_e4)
    assert (ours.bought_qty, ours.bought_e4) == (theirs.bought_qty, theirs.bought_e4)
    assert (ours.sold_qty, ours.sold_e4) == (theirs.sold_qty, theirs.sold_e4)


def report(result: Reconciliation, wire: WireUse | None = None) -> DemoReport:
    return DemoReport(
        seconds=4.0,
        protocol="ouch50",
        transport="soupbintcp" if wire else "ufo",
        mode="native",
        kernel="test",
        reconciliation=result,
        hook=HookTimes.of([5, 1, 3]),
        wire=wire,
        events=10,
        target_changes=2,
        exchange={"feed": {"messages": 8_000}},
        view={},
    )


def test_report_names_what_differs() -> None:
    wrong = Reconciliation((Row("AAPL", "realized_e4", (10_000, 10_000, 9_999)),), ("event 3 came after 1",))
    assert not report(wrong).ok
    lines = verdict_lines(report(wrong))
    assert "DIFFERENT: AAPL realized_e4: maps 1.00, events 1.00, exchange 0.9999" in lines
    assert "PROBLEM: event 3 came after 1" in lines
    assert lines[-1] == "the three ledgers do NOT agree"
    assert ledger_lines(wrong)[-1].endswith("DIFFERENT")


def test_report_of_equal_ledgers() -> None:
    right = Reconciliation((Row("AAPL", "orders", (3, 3, 3)),), ())
    assert report(right).ok and report(right).as_dict()["ok"] is True
    assert verdict_lines(report(right))[-1].startswith("the three ledgers agree")


USED = WireUse(
    fired=6, merged=6, unmerged=0, sent=4, retransmitted=0, error="", refused={"wire_unmerged": 2, "wire_busy": 0}
)


def test_report_says_how_the_wire_was_used() -> None:
    right = Reconciliation((Row("AAPL", "orders", (3, 3, 3)),), ())
    words = "\n".join(verdict_lines(report(right, USED)))
    assert "over soupbintcp" in words and "refused for the wire: wire_unmerged 2 (25.0% wire_unmerged)" in words
    shown: Any = report(right, USED).as_dict()
    assert shown["wire"]["waited_share"] == 0.25 and shown["transport"] == "soupbintcp"
    assert USED.problems(sends=6) == []


@pytest.mark.parametrize(
    ("use", "sends", "why"),
    [
        (USED, 7, "the hook sent 7 segments, 6 by"),
        (replace(USED, merged=5, unmerged=1), 6, "the kernel has 5 of them"),
        (replace(USED, error="Connection reset by peer"), 6, "lost: Connection reset by peer"),
    ],
)
def test_what_the_kernel_did_not_get_is_a_problem(use: WireUse, sends: int, why: str) -> None:
    (problem,) = use.problems(sends)
    assert why in problem


def test_a_session_that_was_not_whole_is_a_problem() -> None:
    names = ["connections", "refused", "logins", "malformed_messages", "logins_rejected", "login_timeouts", "malformed"]
    names += ["silent", "slow", "logouts", "left", "superseded", "cut", "dropped", "ended"]
    whole = dict.fromkeys(names, 0) | {"connections": 1, "logins": 1, "ended": 1}
    assert session_problems({"soupbintcp": {"ouch50": whole}}, "ouch50") == []
    again = whole | {"logins": 2, "cut": 1}
    assert session_problems({"soupbintcp": {"ouch50": again}}, "ouch50") == [
        "the SoupBinTCP session was not whole at the exchange: 2 logins, 1 expected, 1 cut"
    ]
    with pytest.raises(ExchangeError, match="'ouch42'"):
        session_problems({"soupbintcp": {"ouch50": whole}}, "ouch42")


def test_what_cannot_be_together_is_named() -> None:
    with pytest.raises(ConfigError, match=r"--mode generic.*--transport ufo"):
        DemoConfig(mode="generic")
    with pytest.raises(ConfigError, match="--merge-cpu"):
        DemoConfig(transport="ufo", merge_cpu=1)


@pytest.mark.parametrize(("values", "expected"), [([], (0, None, None, None)), (range(1, 101), (100, 50, 99, 100))])
def test_hook_times_are_nearest_rank(values: Any, expected: tuple[int | None, ...]) -> None:
    times = HookTimes.of(list(values))
    assert (times.count, times.p50_ns, times.p99_ns, times.max_ns) == expected


def test_targets_follow_the_market() -> None:
    state = FakeState(bid_e4=1_631_900, ask_e4=1_632_100)
    assert targets_e4(state, 1_000) == (1_631_900, 1_632_100)
    # Not below cost while there is room, at the market when there is little.
    state.position, state.cost_e4 = 100, 100 * 1_640_050
    assert targets_e4(state, 1_000) == (1_631_900, 1_640_200)
    state.position, state.cost_e4 = 750, 750 * 1_640_050
    assert targets_e4(state, 1_000) == (1_631_900, 1_632_100)


@pytest.mark.parametrize(("bid", "ask"), [(0, 1_632_000), (1_632_000, 0), (1_632_000, 1_632_000)])
def test_no_targets_without_a_market(bid: int, ask: int) -> None:
    assert targets_e4(FakeState(bid_e4=bid, ask_e4=ask), 1_000) is None


def test_steering_sets_both_targets_now_and_then() -> None:
    symbol = FakeSymbol("AAPL", bid_e4=1_631_900, ask_e4=1_632_100)
    steering = Steering([symbol])
    for now_s in (0.0, 0.1, 0.2, 0.3):
        steering.step(now_s)
    assert steering.changes == 2
    assert (str(symbol.buy_below), str(symbol.sell_above)) == ("163.19", "163.21")


def test_config_knows_the_lab() -> None:
    assert DemoConfig().addresses.device == "veth_hft"
    assert DemoConfig(lab=("ns", "dev", "peer", "10.99.1.0/24")).addresses.exchange_address == "10.99.1.2"
    with pytest.raises(LabError):
        DemoConfig(lab=("ns", "dev", "peer", "nonsense"))
