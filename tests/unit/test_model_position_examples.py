"""Rule 9: worked examples of position, cost, profit, fees, mark, account and latches."""

from __future__ import annotations

import pytest
from model_bytes import NS, Rig, accepted50, add, broken50, delete, enter, executed50, kinds
from turbo_hft.model import EventKind, Kill, Latch, Mark, ModelEngine, Op, Reason, Side, Strategy, SymbolState
from turbo_hft.model.position import break_trade, fill, loss_e4, take_mark

B, S = Side.BUY, Side.SELL
PRICE = 1_500_000
FLAG = ord("R")


def engine_of(bid: int = 0, ask: int = 0, mark: int = Mark.SIDE) -> ModelEngine:
    engine = ModelEngine()
    engine.add_symbol(0, "AAPL")
    engine.books[0].best_e4 = [bid, ask]
    engine.control.mark = mark
    return engine


def after(*fills: tuple[Side, int, int], bid: int = 0, ask: int = 0, mark: int = Mark.SIDE) -> SymbolState:
    engine = engine_of(bid, ask, mark)
    for side, qty, price in fills:
        fill(engine, 0, side, qty, price, FLAG)
        assert engine.books[0].holds == (1 if engine.symbols[0].position else 0)
    return engine.symbols[0]


@pytest.mark.parametrize(
    ("fills", "position", "cost", "realized"),
    [
        ([(B, 100, 50)], 100, 5000, 0),
        ([(S, 100, 50)], -100, -5000, 0),
        ([(B, 100, 50), (B, 50, 80)], 150, 9000, 0),
        ([(B, 100, 50), (S, 40, 60)], 60, 3000, 400),
        ([(B, 100, 50), (S, 100, 60)], 0, 0, 1000),
        ([(B, 100, 50), (S, 150, 60)], -50, -3000, 1000),
        ([(S, 100, 50), (B, 40, 60)], -60, -3000, -400),
        ([(S, 100, 50), (B, 130, 45)], 30, 1350, 500),
        # 3 shares cost 10: one closed share takes 3 with it, the rounding stays until the position is flat.
        ([(B, 2, 3), (B, 1, 4), (S, 1, 5)], 2, 7, 2),
        ([(B, 2, 3), (B, 1, 4), (S, 1, 5), (S, 1, 5), (S, 1, 5)], 0, 0, 5),
        ([(S, 2, 3), (S, 1, 4), (B, 1, 5)], -2, -7, -2),
        ([(S, 2, 3), (S, 1, 4), (B, 1, 5), (B, 2, 5)], 0, 0, -5),
    ],
)
def test_examples(fills: list[tuple[Side, int, int]], position: int, cost: int, realized: int) -> None:
    state = after(*fills)
    assert (state.position, state.cost_e4, state.realized_e4) == (position, cost, realized)


def test_gross_sums() -> None:
    state = after((B, 10, 5), (S, 4, 7), (B, 1, 9))
    assert (state.fills, state.bought_qty, state.bought_e4, state.sold_qty, state.sold_e4) == (3, 11, 59, 4, 28)


def test_rounding_error_grows_beyond_one_with_many_partial_closes() -> None:
    # 1000 shares at a cost of 1000 x 10 + 500: every single share closed leaves half a unit behind.
    engine = engine_of()
    for side, qty, price in [(B, 500, 10), (B, 500, 11), *[(S, 1, 20)] * 499]:
        fill(engine, 0, side, qty, price, FLAG)
    exact_times_two = 499 * (2 * 20 - 21)
    assert 2 * engine.symbols[0].realized_e4 - exact_times_two == 499
    for _ in range(501):
        fill(engine, 0, S, 1, 20, FLAG)
    assert engine.symbols[0].realized_e4 == 1000 * 20 - 10_500


# --- fees and broken trades ------------------------------------------------------------------------------------------


def test_fees_by_flag_paid_or_received() -> None:
    engine = engine_of()
    engine.fees[ord("R")], engine.fees[ord("A")] = 300_000, -200_000
    fill(engine, 0, B, 10, 50, ord("R"))
    fill(engine, 0, S, 4, 50, ord("A"))
    fill(engine, 0, S, 4, 50, ord("?"))
    assert engine.symbols[0].fees_e8 == engine.account.fees_e8 == 10 * 300_000 - 4 * 200_000


def test_a_flag_is_the_low_eight_bits() -> None:
    engine = engine_of()
    engine.fees[1] = 5
    fill(engine, 0, B, 10, 50, 0x101)
    assert engine.symbols[0].fees_e8 == 50


def test_a_broken_trade_is_one_of_the_other_side_and_was_never_counted() -> None:
    engine = engine_of(bid=48)
    engine.fees[FLAG] = 7
    fill(engine, 0, B, 10, 50, FLAG)
    fill(engine, 0, B, 10, 60, FLAG)
    break_trade(engine, 0, B, 10, 60, FLAG)
    state = engine.symbols[0]
    assert (state.position, state.cost_e4, state.realized_e4) == (10, 550, 50)
    assert (state.fills, state.bought_qty, state.bought_e4, state.sold_qty) == (1, 10, 500, 0)
    assert (state.fees_e8, state.broken, state.unrealized_e4) == (70, 1, 480 - 550)


def test_breaking_what_opened_the_position_leaves_nothing() -> None:
    engine = engine_of(bid=48)
    fill(engine, 0, S, 10, 50, FLAG)
    break_trade(engine, 0, S, 10, 50, FLAG)
    assert engine.symbols[0] == SymbolState(broken=1)
    assert engine.books[0].holds == 0


# --- mark ------------------------------------------------------------------------------------------------------------


def test_mark_is_the_side_we_would_hit() -> None:
    assert after((B, 10, 50), bid=48, ask=52).mark_e4 == 48
    assert after((S, 10, 50), bid=48, ask=52).mark_e4 == 52
    assert (after((B, 1, 50), bid=48, ask=52).mark_e4, after((S, 1, 50), bid=48, ask=52).mark_e4) == (48, 52)
    assert after((B, 10, 50), bid=48).unrealized_e4 == -20
    assert after((S, 10, 50), ask=48).unrealized_e4 == 20


@pytest.mark.parametrize(
    ("mark", "bid", "ask", "last", "value"),
    [
        (Mark.SIDE, 48, 53, 99, 48),
        (Mark.MID, 48, 53, 99, 50),
        (Mark.MID, 48, 0, 99, 0),
        (Mark.MID, 0, 53, 99, 0),
        (Mark.LAST, 48, 53, 99, 99),
        (Mark.LAST, 48, 53, 0, 0),
        (3, 48, 53, 99, 48),
        (2**64 - 1, 0, 53, 99, 0),
    ],
)
def test_kinds_of_mark(mark: int, bid: int, ask: int, last: int, value: int) -> None:
    engine = engine_of(bid, ask, mark)
    engine.books[0].last_e4 = last
    fill(engine, 0, B, 10, 50, FLAG)
    state = engine.symbols[0]
    assert (state.mark_e4, state.exposure_e4) == (value, 10 * value if value else 500)
    assert state.unrealized_e4 == (10 * value - 500 if value else 0)


def test_mark_stays_when_its_side_is_empty_and_goes_with_the_position() -> None:
    engine = engine_of(bid=48)
    fill(engine, 0, B, 10, 50, FLAG)
    engine.books[0].best_e4 = [0, 0]
    state = engine.symbols[0]
    take_mark(engine, 0)
    assert (state.mark_e4, state.unrealized_e4) == (48, -20)
    fill(engine, 0, S, 4, 60, FLAG)
    assert (state.mark_e4, state.unrealized_e4) == (48, 6 * 48 - 300)
    fill(engine, 0, S, 6, 60, FLAG)
    assert (state.mark_e4, state.unrealized_e4, state.exposure_e4) == (0, 0, 0)


def test_flip_takes_the_other_side_or_keeps_the_mark() -> None:
    assert after((B, 10, 50), (S, 15, 50), bid=48, ask=52).mark_e4 == 52
    assert after((B, 10, 50), (S, 15, 50), bid=48).mark_e4 == 48


def test_without_a_mark_nothing_is_unrealized_and_the_cost_is_exposed() -> None:
    state = after((S, 10, 50), bid=52)
    assert (state.mark_e4, state.unrealized_e4, state.exposure_e4) == (0, 0, -500)


def test_mark_is_taken_on_the_book_that_the_packet_left() -> None:
    rig = Rig()
    rig.hold(100, PRICE)
    rig.feed(add(1, "B", 5, PRICE + 300), add(2, "B", 5, PRICE + 100), delete(1))
    assert rig.state.mark_e4 == PRICE + 100
    assert rig.engine.account.unrealized_e4 == 10_000


def test_mark_needs_no_strategy() -> None:
    rig = Rig()
    rig.hold(100, PRICE)
    rig.book.armed = 0
    signals = rig.engine.counter["signals"]
    rig.feed(add(1, "B", 5, PRICE + 300))
    assert (rig.state.mark_e4, rig.engine.counter["signals"]) == (PRICE + 300, signals)


# --- account ---------------------------------------------------------------------------------------------------------


def test_account_sums_over_symbols() -> None:
    engine = engine_of(bid=48, ask=52)
    engine.add_symbol(1, "MSFT")
    engine.books[1].best_e4 = [95, 105]
    fill(engine, 0, B, 10, 50, FLAG)
    fill(engine, 1, S, 4, 100, FLAG)
    fill(engine, 1, B, 1, 90, FLAG)
    account = engine.account
    assert (account.realized_e4, account.unrealized_e4) == (10, -20 - 15)
    assert (account.net_e4, account.gross_e4) == (480 - 315, 480 + 315)


# --- latches ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("realized", "unrealized", "fees_e8", "loss"),
    [(0, 0, 0, 0), (-5, 2, 0, 3), (5, 0, 1, -4), (5, 0, 10_000, -4), (5, 0, 10_001, -3), (0, 0, -9_999, 0)],
)
def test_fees_are_rounded_up_in_a_loss(realized: int, unrealized: int, fees_e8: int, loss: int) -> None:
    assert loss_e4(realized, unrealized, fees_e8) == loss


def latched(rig: Rig) -> tuple[int, int, int]:
    account = rig.engine.account
    return rig.state.loss_latched, account.loss_latched, account.strategy[Strategy.THRESHOLD].latched


def test_a_loss_by_the_mark_latches_once_and_stays() -> None:
    rig = Rig()
    rig.hold(100, PRICE)
    rig.of_symbol.max_loss_e4 = 100 * 300
    assert kinds(rig.feed(add(1, "B", 5, PRICE - 299))) == []
    rig.feed(delete(1))
    (event,) = rig.feed(add(2, "B", 5, PRICE - 300, ns=NS + 9)).events
    assert (event.kind, event.reason, event.symbol, event.strategy) == (EventKind.LATCHED, Latch.SYMBOL_LOSS, 0, 0)
    assert (event.feed_seq, event.exchange_ns) == (0, 0)
    assert latched(rig) == (1, 0, 0)
    assert kinds(rig.feed(add(3, "B", 5, PRICE + 900), add(4, "B", 5, PRICE - 900))) == []
    assert latched(rig) == (1, 0, 0)


def test_the_account_latches_by_all_symbols_together() -> None:
    rig = Rig()
    rig.add_symbol(1, "MSFT", 8)
    rig.hold(100, PRICE)
    rig.engine.symbols[1].realized_e4 = -20_000
    rig.of_account.max_loss_e4 = 30_000
    (event,) = rig.feed(add(1, "B", 5, PRICE - 100)).events
    assert (event.kind, event.reason, event.symbol) == (EventKind.LATCHED, Latch.LOSS, 0xFFFFFFFF)
    assert latched(rig) == (0, 1, 0)


def test_a_fill_latches_behind_its_own_event_first_the_symbol_then_the_account_then_the_strategy() -> None:
    rig = Rig()
    rig.buy(100, PRICE)
    rig.feed(add(1, "B", 5, PRICE - 100))
    rig.of_symbol.max_loss_e4 = rig.of_account.max_loss_e4 = 1
    rig.of_strategy().max_executions = 1
    outcome = rig.reply(accepted50(1, 100), executed50(1, 10, PRICE, ns=NS + 3))
    assert kinds(outcome) == [EventKind.ACCEPTED, EventKind.EXECUTED, *[EventKind.LATCHED] * 3]
    assert [event.reason for event in outcome.events[2:]] == [Latch.SYMBOL_LOSS, Latch.LOSS, Latch.EXECUTIONS]
    assert [event.strategy for event in outcome.events[2:]] == [0, 0, Strategy.THRESHOLD]
    assert [(event.feed_seq, event.exchange_ns) for event in outcome.events[1:]] == [(2, NS + 3), *[(0, 0)] * 3]


def test_a_broken_trade_latches_losses() -> None:
    rig = Rig()
    rig.buy(100, PRICE)
    rig.reply(accepted50(1, 100), executed50(1, 60, PRICE, match=1), executed50(1, 40, PRICE - 500, match=2))
    rig.of_symbol.max_loss_e4 = 1
    outcome = rig.reply(broken50(1, 2))
    assert kinds(outcome) == [EventKind.BROKEN, EventKind.LATCHED]


def test_before_each_gate_latches_are_looked_at_by_the_limits_of_now() -> None:
    rig = Rig()
    rig.engine.params[0].kill = Kill.HALTED
    rig.of_symbol.max_loss_e4 = rig.of_account.max_loss_e4 = 0
    rig.of_strategy(Strategy.MANUAL).max_executions = 0
    outcome = rig.order(enter(B, 1, PRICE))
    assert [event.reason for event in outcome.events] == [
        Latch.SYMBOL_LOSS,
        Latch.LOSS,
        Latch.EXECUTIONS,
        Reason.LOSS_LIMIT,
    ]
    assert latched(rig) == (1, 1, 0)
    assert rig.engine.account.strategy[Strategy.MANUAL].latched == 1


def test_a_profit_does_not_latch_at_zero() -> None:
    rig = Rig()
    rig.state.realized_e4 = rig.engine.account.realized_e4 = 1
    rig.of_symbol.max_loss_e4 = rig.of_account.max_loss_e4 = 0
    assert kinds(rig.order(enter(B, 1, PRICE))) == [EventKind.ORDER]


def test_the_largest_loss_limit_never_latches() -> None:
    rig = Rig()
    rig.of_symbol.max_loss_e4 = 2**64 - 1
    rig.state.realized_e4 = -(2**63 - 2)
    assert kinds(rig.order(enter(B, 1, PRICE))) == [EventKind.ORDER]


def test_rearming() -> None:
    rig = Rig()
    rig.of_symbol.max_loss_e4 = rig.of_account.max_loss_e4 = 0
    rig.of_strategy(Strategy.MANUAL).max_executions = 0
    rig.order(enter(B, 1, PRICE))
    rig.of_symbol.max_loss_e4 = rig.of_account.max_loss_e4 = rig.of_strategy(Strategy.MANUAL).max_executions = 1
    assert rig.order(enter(B, 1, PRICE)).events[0].reason == Reason.LOSS_LIMIT
    rig.command(Op.REARM, sequence=Latch.SYMBOL_LOSS)
    assert rig.order(enter(B, 1, PRICE)).events[0].reason == Reason.LOSS_LIMIT
    rig.command(Op.REARM, sequence=Latch.LOSS)
    assert rig.order(enter(B, 1, PRICE)).events[0].reason == Reason.EXECUTIONS
    rig.command(Op.REARM, sequence=Latch.EXECUTIONS, first=Strategy.MANUAL)
    assert kinds(rig.order(enter(B, 1, PRICE))) == [EventKind.ORDER]
