"""Rule 5: the threshold strategy and the packet's batch."""

from __future__ import annotations

import pytest
from model_bytes import LOCATE, NS, Rig, add, delete, head, kinds
from turbo_hft.model import EventKind, Kill, Reason, Side, XdpAction
from turbo_hft.model.state import Intent
from turbo_hft.model.strategy import decide

TARGET = 1_000_000


def quiet(**params: int) -> Rig:
    """Slot 0 with this top of book and position put there directly, nothing in flight."""
    rig = Rig()
    for name, value in params.items():
        if name in ("bid_e4", "ask_e4"):
            rig.book.best_e4[Side.BUY if name == "bid_e4" else Side.SELL] = value
        else:
            state, symbol = rig.engine.symbols[0], rig.engine.params[0]
            setattr(state if hasattr(state, name) else symbol, name, value)
    return rig


def decision(**params: int) -> Intent | str | None:
    return decide(quiet(**params).engine, 0)


BUY = {"buy_below_e4": TARGET, "base_qty": 100, "cap_qty": 10_000, "max_position": 10_000}
SELL = {"sell_above_e4": TARGET, "base_qty": 100, "cap_qty": 10_000, "position": 5_000}


@pytest.mark.parametrize(
    ("params", "qty"),
    [
        ({"ask_e4": TARGET}, 100),
        ({"ask_e4": TARGET - 99, "step_qty": 10}, 100),
        ({"ask_e4": TARGET - 100, "step_qty": 10}, 110),
        ({"ask_e4": TARGET - 250, "step_qty": 10}, 120),
        ({"ask_e4": TARGET - 250, "step_qty": 10, "tick_e4": 1}, 2600),
        ({"ask_e4": TARGET - 250, "step_qty": 10, "tick_e4": 1, "cap_qty": 2000}, 2000),
        ({"ask_e4": TARGET - 250, "step_qty": 10, "tick_e4": 2**40}, 100),
        ({"ask_e4": TARGET, "base_qty": 2**63, "cap_qty": 2**63, "max_position": 2**63}, 1_000_000),
        ({"ask_e4": TARGET - 100, "step_qty": 2**40, "cap_qty": 2**63, "max_position": 2**63}, 1_000_100),
        ({"ask_e4": TARGET, "position": 9_950}, 50),
        ({"ask_e4": TARGET, "position": -50, "base_qty": 20_000, "cap_qty": 20_000}, 10_050),
        ({"ask_e4": 1, "buy_below_e4": 2**64 - 1, "step_qty": 10**6, "tick_e4": 1}, 10_000),
        ({"ask_e4": TARGET, "position": 10**9 - 3, "max_position": 2**40}, 3),
    ],
)
def test_buy_quantity(params: dict[str, int], qty: int) -> None:
    assert decision(**(BUY | params)) == Intent(Side.BUY, params["ask_e4"], qty)


@pytest.mark.parametrize(
    ("params", "qty"),
    [
        ({"bid_e4": TARGET}, 100),
        ({"bid_e4": TARGET + 199, "step_qty": 7}, 107),
        ({"bid_e4": TARGET + 200, "step_qty": 7}, 114),
        ({"bid_e4": TARGET, "position": 30}, 30),
        ({"bid_e4": TARGET, "cap_qty": 20}, 20),
    ],
)
def test_sell_quantity(params: dict[str, int], qty: int) -> None:
    assert decision(**(SELL | params)) == Intent(Side.SELL, params["bid_e4"], qty)


@pytest.mark.parametrize(
    "params",
    [
        BUY,
        BUY | {"ask_e4": TARGET + 1},
        BUY | {"ask_e4": TARGET, "buy_below_e4": 0},
        SELL,
        SELL | {"bid_e4": TARGET - 1},
        SELL | {"bid_e4": TARGET, "sell_above_e4": 0},
        SELL | {"bid_e4": TARGET, "position": 0},
        SELL | {"bid_e4": TARGET, "position": -5},
        SELL | {"bid_e4": 2**32 - 1, "sell_above_e4": 2**32},
    ],
)
def test_no_condition(params: dict[str, int]) -> None:
    assert decision(**params) is None


def test_sell_comes_first_even_when_it_waits() -> None:
    both = BUY | SELL | {"bid_e4": TARGET, "ask_e4": TARGET}
    assert decision(**both) == Intent(Side.SELL, TARGET, 100)
    assert decision(**(both | {"cap_qty": 0})) == "wait_limit"
    assert decision(**(both | {"position": 0})) == Intent(Side.BUY, TARGET, 100)


def test_waits() -> None:
    assert decision(**BUY, ask_e4=TARGET, position=10_000) == "wait_limit"
    assert decision(**BUY, ask_e4=TARGET, position=12_000) == "wait_limit"
    assert decision(**(BUY | {"base_qty": 0}), ask_e4=TARGET) == "wait_limit"
    assert decision(**(BUY | {"base_qty": 0}), ask_e4=TARGET, working_ref=1) == "wait_in_flight"


def test_waits_are_counted_once_per_message() -> None:
    rig = Rig()
    rig.engine.params[0].buy_below_e4 = TARGET
    rig.engine.params[0].base_qty = 0
    rig.feed(add(1, "S", 1, TARGET), add(2, "S", 1, TARGET), head("S", 0) + b"Q")
    assert rig.engine.counter["wait_limit"] == 2
    assert rig.engine.counter["triggers"] == rig.engine.counter["triggers_stale"] == 0


def test_refused_book_message_asks_nobody() -> None:
    rig = Rig()
    rig.feed(add(1, "S", 1, TARGET))
    rig.engine.params[0].buy_below_e4 = TARGET
    assert rig.feed(delete(99)).events[0].kind == EventKind.BOOK_QUARANTINED
    assert rig.engine.counter["triggers"] == 0


def test_price_the_same_packet_removed_is_not_sent() -> None:
    rig = Rig()
    rig.engine.params[0].buy_below_e4 = TARGET
    outcome = rig.feed(add(1, "S", 10, TARGET), delete(1))
    assert outcome.verdict == XdpAction.DROP
    assert outcome.events == []
    assert rig.engine.counter["triggers_stale"] == 1
    assert rig.engine.counter["triggers"] == 0


def test_decided_on_the_book_the_packet_left_with_the_newest_trigger() -> None:
    rig = Rig()
    rig.engine.params[0].buy_below_e4 = TARGET
    outcome = rig.feed(
        add(1, "S", 10, TARGET, ns=NS + 1),
        add(2, "S", 20, TARGET - 300, ns=NS + 2),
        head("S", 0, NS + 3) + b"Q",
    )
    (event,) = outcome.events
    assert (event.kind, event.price_e4, event.ask_e4) == (EventKind.ORDER, TARGET - 300, TARGET - 300)
    assert (event.feed_seq, event.exchange_ns) == (5, NS + 2)
    assert rig.engine.counter["triggers"] == 1


def test_message_that_ends_the_condition_does_not_renew_the_trigger() -> None:
    rig = Rig()
    rig.engine.params[0].buy_below_e4 = TARGET
    outcome = rig.feed(
        add(1, "S", 10, TARGET, ns=NS + 1),
        delete(1, ns=NS + 2),
        add(2, "S", 10, TARGET, ns=NS + 3),
        add(3, "B", 10, TARGET - 1, ns=NS + 4),
    )
    assert [(event.feed_seq, event.exchange_ns) for event in outcome.events] == [(7, NS + 4)]


def many(count: int) -> Rig:
    rig = Rig()
    for index in range(1, count):
        rig.add_symbol(index, f"S{index}", 100 + index)
    for params in rig.engine.params.values():
        params.buy_below_e4 = TARGET
    return rig


def offers(slots: list[int], first_ref: int = 1) -> list[bytes]:
    return [
        add(ref, "S", 10, TARGET, name=f"S{slot}" if slot else "AAPL", locate=100 + slot if slot else LOCATE)
        for ref, slot in enumerate(slots, start=first_ref)
    ]


def test_batch_in_order_of_first_intent() -> None:
    rig = many(3)
    outcome = rig.feed(*offers([2, 0, 2, 1]))
    assert [(event.symbol, event.user_ref, event.feed_seq) for event in outcome.events] == [
        (2, 1, 10),
        (0, 2, 9),
        (1, 3, 11),
    ]


def test_ninth_symbol_is_dropped_per_message() -> None:
    rig = many(10)
    outcome = rig.feed(*offers([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 8, 0]))
    assert [event.symbol for event in outcome.events] == [0, 1, 2, 3, 4, 5, 6, 7]
    assert rig.engine.counter["triggers_dropped"] == 3
    assert rig.engine.counter["triggers"] == rig.engine.counter["orders"] == 8
    assert rig.engine.counter["order_frames"] == 1


def test_batch_is_of_one_packet() -> None:
    rig = many(2)
    rig.engine.params[0].kill = Kill.HALTED
    rig.feed(*offers([0]))
    outcome = rig.feed(*offers([1], first_ref=50))
    assert [event.symbol for event in outcome.events] == [1]
    assert rig.engine.refused[Reason.HALTED_SYMBOL] == 1
    assert kinds(outcome) == [EventKind.ORDER]
