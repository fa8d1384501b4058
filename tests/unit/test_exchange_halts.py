"""Halts, pauses and short-sale restrictions during the flow: what the feed says, and what becomes of orders."""

from __future__ import annotations

from typing import Any

import pytest
from exchange_rig import PRICE, SECOND, enter42, enter50, exchange, logged_in, published, replace50
from turbo_hft.errors import ConfigError
from turbo_hft.exchange import ExchangeConfig, ExchangeCore, Phase
from turbo_hft.exchange.halts import Halt, ShortSaleRestriction
from turbo_hft.wire import itch50, moldudp64, ouch42, ouch50

HALT = Halt("AAPL", SECOND, SECOND)
PAUSE = Halt("AAPL", SECOND, SECOND, "P")
RESTRICTION = ShortSaleRestriction("AAPL", SECOND, SECOND)


def session(**settings: Any) -> list[itch50.Message]:
    """All messages of a session of three seconds."""
    core = ExchangeCore(ExchangeConfig(duration_s=3.0, linger_s=0.0, **settings))
    messages: list[itch50.Message] = []
    now = 0
    while core.phase is not Phase.ENDED:
        for packet in core.tick(now):
            decoded = moldudp64.decode(packet)
            if isinstance(decoded, moldudp64.Packet):
                messages += map(itch50.decode, decoded.messages)
        now += SECOND // 50
    return messages


def test_a_halt_cancels_what_rests_and_rejects_what_comes() -> None:
    core = exchange(halts=(HALT,))
    client, old = logged_in(core), logged_in(core, "ouch42", 2)
    client.send(enter50(1), enter50(2, symbol="MSFT"))
    published(core)
    halted, gone = published(core, SECOND)
    assert isinstance(halted, itch50.StockTradingAction)
    assert (halted.stock, halted.trading_state, halted.reason) == ("AAPL", "H", "T1")
    assert halted.timestamp == 34_201 * SECOND
    assert isinstance(gone, itch50.OrderDelete)
    (canceled,) = client.take(core.replies(SECOND))
    assert isinstance(canceled, ouch50.Canceled)
    assert (canceled.user_ref_num, canceled.reason) == (1, "H")
    (rejected,) = client.send(enter50(3), now_ns=SECOND)
    assert isinstance(rejected, ouch50.Rejected) and rejected.reason == 0x07
    (rejected42,) = old.send(enter42("A"), now_ns=SECOND)
    assert isinstance(rejected42, ouch42.Rejected) and rejected42.reason == "H"
    assert [m.TYPE for m in client.send(enter50(4, symbol="MSFT"), now_ns=SECOND)] == ["A"]
    published(core, SECOND)
    resumed, cross = published(core, 2 * SECOND)
    assert isinstance(resumed, itch50.StockTradingAction) and isinstance(cross, itch50.CrossTrade)
    assert (resumed.trading_state, resumed.reason, cross.shares, cross.cross_type) == ("T", "T3", 0, "H")
    assert [m.TYPE for m in client.send(enter50(5), now_ns=2 * SECOND)] == ["A"]
    assert core.summary()["order_events"] == {"halt_cancel": 1, "trading_state_H": 1, "trading_state_T": 1}


def test_a_pause_leaves_what_rests_and_takes_cancels() -> None:
    core = exchange(halts=(PAUSE,))
    client = logged_in(core)
    client.send(enter50(1))
    published(core)
    (paused,) = published(core, SECOND)
    assert isinstance(paused, itch50.StockTradingAction)
    assert (paused.trading_state, paused.reason) == ("P", "LUDP")
    (rejected,) = client.send(replace50(1, 2, 50), now_ns=SECOND)
    assert isinstance(rejected, ouch50.Rejected)
    assert (rejected.user_ref_num, rejected.reason) == (2, 0x07)
    assert [m.TYPE for m in client.send(ouch50.CancelOrder(1, 0), now_ns=SECOND)] == ["C"]


def test_an_operational_halt_is_of_this_market_alone() -> None:
    core = exchange(halts=(Halt("AAPL", SECOND, SECOND, "O"),))
    client = logged_in(core)
    client.send(enter50(1))
    published(core)
    (halted,) = published(core, SECOND)
    assert isinstance(halted, itch50.OperationalHalt)
    assert (halted.stock, halted.market_code, halted.halt_action) == ("AAPL", "Q", "H")
    (rejected,) = client.send(enter50(2), now_ns=SECOND)
    assert isinstance(rejected, ouch50.Rejected) and rejected.reason == 0x07
    (resumed,) = published(core, 2 * SECOND)
    assert isinstance(resumed, itch50.OperationalHalt) and resumed.halt_action == "T"
    assert [m.TYPE for m in client.send(enter50(3), now_ns=2 * SECOND)] == ["A"]
    assert core.ledger.of("HFT001", "AAPL").open_qty == 200


def test_short_sales_are_restricted_to_prices_above_the_bid() -> None:
    core = exchange(halts=(), restrictions=(RESTRICTION,), accounts={"HFT001": "SECRET", "HFT002": "SECRET"})
    client = logged_in(core)
    client.send(enter50(1, "T", 10, PRICE + 200))
    other = core.venue
    other.enter("AAPL", "B", 100, PRICE, ioc=False, owner=None, mpid="", party=None, time_ns=core.clock.latest)
    published(core)
    (restricted,) = published(core, SECOND)
    assert isinstance(restricted, itch50.RegShoRestriction)
    assert (restricted.stock, restricted.reg_sho_action) == ("AAPL", "1")
    answers = client.send(
        enter50(2, "T", 10, PRICE), enter50(3, "T", 10, PRICE + 100), replace50(1, 4, 10, PRICE), now_ns=SECOND
    )
    assert [m.TYPE for m in answers] == ["J", "A", "J"]
    assert {m.reason for m in answers if isinstance(m, ouch50.Rejected)} == {0x23}
    published(core, SECOND)
    (lifted,) = published(core, 2 * SECOND)
    assert isinstance(lifted, itch50.RegShoRestriction) and lifted.reg_sho_action == "0"
    assert client.send(enter50(5, "T", 10, PRICE), now_ns=2 * SECOND)[0].TYPE == "A"


@pytest.mark.parametrize("halt", [HALT, PAUSE, Halt("AAPL", SECOND, SECOND, "O")])
def test_nothing_trades_in_a_halted_symbol_and_the_others_go_on(halt: Halt) -> None:
    messages = session(rate=2000, halts=(halt,), restrictions=(ShortSaleRestriction("MSFT", 0),))
    locates = {m.stock: m.stock_locate for m in messages if isinstance(m, itch50.StockDirectory)}
    halts = [i for i, m in enumerate(messages) if isinstance(m, itch50.StockTradingAction | itch50.OperationalHalt)]
    begin, end = halts[2:]
    trades = [m for m in messages[begin:end] if isinstance(m, itch50.OrderExecuted | itch50.OrderExecutedWithPrice)]
    assert {m.stock_locate for m in trades} == {locates["MSFT"]}
    changes = {m.stock_locate for m in messages[begin:end] if isinstance(m, itch50.AddOrder)}
    assert changes == set(locates.values())
    after = [m for m in messages[end:] if isinstance(m, itch50.OrderExecuted)]
    assert {m.stock_locate for m in after} == set(locates.values())
    stamps = [m.timestamp for m in messages]
    assert stamps == sorted(stamps)
    assert messages == session(rate=2000, halts=(halt,), restrictions=(ShortSaleRestriction("MSFT", 0),))


def test_a_new_session_says_how_things_stand() -> None:
    core = ExchangeCore(
        ExchangeConfig(
            rate=0,
            rollover_after=9,
            halts=(Halt("AAPL", 0, SECOND),),
            restrictions=(ShortSaleRestriction("MSFT", 0),),
        )
    )
    messages = published(core) + published(core)
    assert [session.messages for session in core.history.sessions] == [9 + 3, 8]
    first, second = messages[:12], messages[12:]
    states = [m.trading_state for m in first if isinstance(m, itch50.StockTradingAction)]
    assert states == ["T", "T", "H"]
    states = [m.trading_state for m in second if isinstance(m, itch50.StockTradingAction)]
    assert states == ["H", "T"]
    assert [m.stock for m in second if isinstance(m, itch50.RegShoRestriction)] == ["MSFT"]
    assert [m.TYPE for m in published(core, SECOND)] == ["H", "Q"]


def test_halts_that_follow_each_other() -> None:
    core = exchange(halts=(HALT, Halt("AAPL", 2 * SECOND, SECOND, "P")))
    states = [m.trading_state for m in published(core, 2 * SECOND) if isinstance(m, itch50.StockTradingAction)]
    assert states == ["H", "T", "P"]


@pytest.mark.parametrize(
    "settings",
    [
        {"halts": (Halt("NONE", 0, 1),)},
        {"halts": (Halt("AAPL", -1, 1),)},
        {"halts": (Halt("AAPL", 0, 0),)},
        {"halts": (Halt("AAPL", 0, 1, "Q"),)},
        {"halts": (Halt("AAPL", 0, 10), Halt("AAPL", 5, 10, "P"))},
        {"restrictions": (ShortSaleRestriction("NONE", 0),)},
        {"restrictions": (ShortSaleRestriction("AAPL", 0), ShortSaleRestriction("AAPL", 5, 1))},
        {"restrictions": (ShortSaleRestriction("AAPL", 0, 0),)},
    ],
)
def test_halts_that_cannot_be(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        ExchangeConfig(**settings)
