"""Fees by liquidity flag, and the ledger that takes broken trades back."""

from __future__ import annotations

import pytest
from exchange_rig import PRICE, enter50, exchange, logged_in, market
from turbo_hft.errors import ConfigError, ExchangeError
from turbo_hft.exchange import ExchangeConfig, Ledger, LedgerEntry, Position
from turbo_hft.exchange.fees import parse_fee


@pytest.mark.parametrize(
    ("text", "fee"),
    [
        ("R=0.0030", ("R", 300_000)),
        ("A=-0.002", ("A", -200_000)),
        ("0=0", ("0", 0)),
        ("k=0.00000001", ("k", 1)),
        ("r=10", ("r", 1_000_000_000)),
    ],
)
def test_fees_are_parsed(text: str, fee: tuple[str, int]) -> None:
    assert parse_fee(text) == fee


@pytest.mark.parametrize(
    "text",
    [
        "",
        "R",
        "R=",
        "=1",
        "RR=1",
        "R=x",
        "R=nan",
        "R=inf",
        "R=0.000000001",
        "R=11",
        "R=1e999999999",
        "R=-1e-99999",
        "é=1",
    ],
)
def test_fees_that_are_none(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_fee(text)


def test_a_configuration_takes_no_fee_of_more_than_ten_dollars() -> None:
    with pytest.raises(ConfigError):
        ExchangeConfig(fees_e8={"R": 1_000_000_001})


def test_fees_add_up_by_flag_and_sign() -> None:
    core = exchange(fees_e8={"R": 300_000, "A": -200_000})
    client = logged_in(core)
    market(core, "S", 30)
    client.send(enter50(1, "B", 100))
    market(core, "S", 50)
    position = core.ledger.of("HFT001", "AAPL")
    assert position.fees_e8 == 30 * 300_000 - 50 * 200_000
    row = core.ledger.as_dict()["HFT001"]["AAPL"]
    assert (row["fees_e8"], row["open_qty"], row["broken"]) == (position.fees_e8, 20, 0)


def test_a_broken_trade_is_a_fill_of_the_other_side_to_the_position_only() -> None:
    position = Position()
    position.fill("B", 100, PRICE, 300_000)
    position.fill("B", 50, PRICE + 300, 300_000)
    position.fill("S", 120, PRICE + 500, -200_000)
    realized = position.realized_e4
    position.take_back("B", 100, PRICE, 300_000)
    # Long 30, then 100 sold at the trade's own price: short 70 at that price, the long 30 closed.
    assert position.position == -70
    assert position.cost_e4 == -70 * PRICE
    assert position.realized_e4 == realized + 30 * PRICE - 30 * (PRICE + 100)
    assert (position.executions, position.broken, position.broken_qty) == (2, 1, 100)
    assert (position.bought_qty, position.bought_e4) == (50, 50 * (PRICE + 300))
    assert (position.sold_qty, position.sold_e4) == (120, 120 * (PRICE + 500))
    assert position.fees_e8 == 50 * 300_000 - 120 * 200_000


def entry(kind: str, key: int = 1, match: int = 7) -> LedgerEntry:
    return LedgerEntry(kind, 0, "HFT001", "AAPL", key, "B", 10, PRICE, match, "R")


def test_a_trade_is_broken_once_and_only_if_it_was_made() -> None:
    ledger = Ledger(fees_e8={"R": 5})
    for bad in (entry("broken"), entry("broken", key=2), entry("broken", match=8)):
        with pytest.raises(ExchangeError, match="is not there to be broken"):
            ledger.record(bad)
        if not ledger.of("HFT001", "AAPL").executions:
            ledger.record(entry("executed"))
    assert ledger.of("HFT001", "AAPL").fees_e8 == 50
    ledger.record(entry("broken"))
    assert ledger.of("HFT001", "AAPL").fees_e8 == 0
    with pytest.raises(ExchangeError):
        ledger.record(entry("broken"))
