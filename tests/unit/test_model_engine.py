"""The model as a whole: adding symbols, packets of both roles, live changes."""

from __future__ import annotations

import pytest
from model_bytes import NS, OWN_ADDR, OWN_PORT, Rig, accepted50, add, delete, executed50, frame, kinds, ufo
from turbo_hft.model import (
    AccountLimits,
    EventKind,
    Kill,
    ModelEngine,
    Reason,
    StrategyLimits,
    SymbolLimits,
    XdpAction,
)

PRICE = 1_500_000


@pytest.mark.parametrize(
    ("index", "name"), [(0, "MSFT"), (1, "AAPL"), (-1, "MSFT"), (256, "MSFT"), (1, "TOOLONGXX"), (1, ""), (1, "  ")]
)
def test_slots_and_names_that_cannot_be_used(index: int, name: str) -> None:
    engine = ModelEngine()
    engine.add_symbol(0, "AAPL")
    with pytest.raises(ValueError, match=r"slot|name|symbol"):
        engine.add_symbol(index, name)
    assert list(engine.params) == list(engine.symbols) == list(engine.books) == [0]


def test_last_slot_and_longest_name() -> None:
    assert ModelEngine().add_symbol(255, "ABCDEFGH", base_qty=3).name == b"ABCDEFGH"


def test_untouched_maps_do_not_trade() -> None:
    engine = ModelEngine()
    params = engine.add_symbol(0, "AAPL")
    assert (params.kill, engine.control.kill, engine.control.lease_until_ns) == (Kill.HALTED, Kill.HALTED, 0)
    assert engine.control.strategy_kill == [Kill.HALTED] * 8
    assert engine.limits[0].account == engine.limits[1].account == AccountLimits()
    assert engine.symbol_limits[0][0] == engine.symbol_limits[1][0] == SymbolLimits()
    assert engine.limits[1].strategy == [StrategyLimits()] * 8


def test_round_trip_buy_then_sell() -> None:
    rig = Rig()
    rig.hold(100, PRICE)
    params, state = rig.engine.params[0], rig.engine.symbols[0]
    params.sell_above_e4 = PRICE + 500
    outcome = rig.feed(add(60, "B", 100, PRICE + 500, ns=NS + 1))
    assert kinds(outcome) == [EventKind.ORDER]
    assert outcome.events[0].position == 100
    outcome = rig.reply(accepted50(2, 100, side="S"), executed50(2, 100, PRICE + 600))
    assert [event.id for event in outcome.events] == [5, 6]
    assert (outcome.events[-1].position, outcome.events[-1].realized_e4) == (0, 60_000)
    assert (state.position, state.realized_e4, state.unrealized_e4, state.mark_e4) == (0, 60_000, 0, 0)


def test_params_change_between_packets_and_not_inside() -> None:
    rig = Rig()
    rig.engine.params[0].buy_below_e4 = PRICE - 1
    assert rig.feed(add(1, "S", 10, PRICE)).events == []
    rig.engine.params[0].buy_below_e4 = PRICE
    assert kinds(rig.feed(add(2, "S", 10, PRICE))) == [EventKind.ORDER]


def test_global_kill_refuses_last() -> None:
    rig = Rig()
    rig.engine.control.kill = Kill.HALTED
    outcome = rig.buy()
    assert [event.reason for event in outcome.events] == [Reason.HALTED_GLOBAL]
    assert outcome.verdict == XdpAction.DROP


def test_fill_marks_but_asks_no_strategy() -> None:
    rig = Rig()
    rig.buy(100, PRICE)
    rig.feed(add(61, "B", 5, PRICE - 100))
    reply = frame(ufo(1, accepted50(1, 100), executed50(1, 50, PRICE)), (OWN_ADDR, OWN_PORT))
    signals = rig.engine.counter["signals"]
    outcome = rig.engine.packet(reply, 0)
    assert (outcome.verdict, outcome.frame) == (XdpAction.PASS, reply)
    assert rig.engine.symbols[0].unrealized_e4 == -5_000
    assert rig.engine.counter["signals"] == signals


def test_frame_of_a_dropped_packet_is_the_one_that_came() -> None:
    rig = Rig()
    rig.engine.params[0].buy_below_e4 = PRICE
    before = rig.feed(add(1, "S", 10, PRICE), delete(1))
    assert before.verdict == XdpAction.DROP
    assert before.frame[12:14] == b"\x08\x00"
    assert len(before.frame) == 42 + 20 + 38 + 21
