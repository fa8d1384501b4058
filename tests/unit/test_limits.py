"""What a person may write as a limit, and what the hook finds there."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from turbo_hft._native import ffi, lib
from turbo_hft.errors import ConfigError, MalformedMessage
from turbo_hft.limits import (
    ACCOUNT_DEFAULTS,
    STRATEGY_DEFAULTS,
    SYMBOL_DEFAULTS,
    AccountLimits,
    StrategyLimits,
    SymbolLimits,
    symbol_limits,
)
from unit.fakes import FakeEngine


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.mark.parametrize(
    ("name", "value", "word", "read"),
    [
        ("max_order_qty", 7, 7, 7),
        ("max_notional", "2500.5", 25_005_000, Decimal("2500.5")),
        ("orders_per_second", 100, 10_000_000, 100.0),
        ("orders_per_second", 3, 333_333_334, 3.0),
        ("orders_per_second", 0.5, 2_000_000_000, 0.5),
        ("orders_per_second", 0, 0, 0.0),
        ("collar", 0.1, 100_000, Decimal("0.1")),
        ("collar", "2.5%", 25_000, Decimal("0.025")),
        ("collar", "33bp", 3_300, Decimal("0.0033")),
        ("collar", Decimal("0.0000019"), 1, Decimal("0.000001")),
        ("reference", "last", lib.HFT_REFERENCE_LAST, "last"),
        ("reference", "none", lib.HFT_REFERENCE_NONE, "none"),
        ("reference_age_s", 0.25, 250_000_000, 0.25),
        ("restricted", True, 1, True),
        ("short_ok", True, 1, True),
    ],
)
def test_a_limit_is_kept_in_the_unit_of_the_hook(name: str, value: Any, word: int, read: Any) -> None:
    limits = FakeEngine().symbols["AAPL"].limits
    setattr(limits, name, value)
    assert getattr(limits, name) == read
    field = SymbolLimits.all_words()[name].field
    assert getattr(limits._struct(), field) == word


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_order_qty", -1), ("max_order_qty", 1.0), ("max_order_qty", True), ("max_order_qty", "5"),
        ("max_long", lib.HFT_MAX_POSITION + 1), ("max_open_orders", lib.HFT_MAX_OPEN + 1), ("burst", (1 << 20) + 1),
        ("max_notional", "-1"), ("max_notional", "1.00001"), ("max_notional", True),
        ("orders_per_second", -1), ("orders_per_second", 2_000_000_000), ("orders_per_second", 1e-9),
        ("orders_per_second", float("nan")), ("orders_per_second", "5"),
        ("collar", -0.1), ("collar", "10 percent"), ("collar", 5000), ("collar", True), ("collar", "nan"),
        ("reference", "bid"), ("reference", 1), ("reference_age_s", -1), ("reference_age_s", float("inf")),
        ("restricted", 1), ("short_ok", "yes"),
    ],
)  # fmt: skip
def test_what_is_no_limit_changes_nothing(name: str, value: Any) -> None:
    limits = FakeEngine().symbols["AAPL"].limits
    before = limits.as_dict()
    with pytest.raises((ConfigError, MalformedMessage), match=r"AAPL|price|dollar"):
        setattr(limits, name, value)
    assert limits.as_dict() == before


def test_words_that_nobody_sane_wrote_read_as_the_safe_ones(engine: FakeEngine) -> None:
    limits = engine.symbols["AAPL"].limits
    stored = limits._struct()
    stored.short_ok, stored.restricted, stored.reference = 2, 2, 9
    assert (limits.short_ok, limits.restricted, limits.reference) == (False, True, "none")


def test_a_slip_in_a_name_is_an_error(engine: FakeEngine) -> None:
    limits: Any = engine.symbols["AAPL"].limits
    with pytest.raises(AttributeError):
        limits.max_lomg = 5
    with pytest.raises(ConfigError, match="there is no max_lomg"):
        limits.set({"max_lomg": 5})


@pytest.mark.parametrize(
    ("view", "struct"),
    [
        (AccountLimits, "hft_account_limits"),
        (StrategyLimits, "hft_strategy_limits"),
        (SymbolLimits, "hft_symbol_limits"),
    ],
)
def test_every_field_of_the_contract_has_an_attribute(view: Any, struct: str) -> None:
    fields = {name for name, _ in ffi.typeof(f"struct {struct}").fields if not name.startswith("pad")}
    assert {word.field for word in view.all_words().values()} == fields


def test_the_defaults_name_every_limit_and_let_nothing_through_unbounded() -> None:
    assert set(SYMBOL_DEFAULTS) == set(SymbolLimits.all_words())
    assert set(STRATEGY_DEFAULTS) == set(StrategyLimits.all_words())
    assert set(ACCOUNT_DEFAULTS) == set(AccountLimits.all_words())
    assert symbol_limits("X", {"max_long": 3}).max_long == 3
    assert not symbol_limits("X", {}).short_ok


def test_strategies_have_their_own(engine: FakeEngine) -> None:
    engine.strategies["quoter"].limits.max_open_orders = 3
    assert [each.limits.max_open_orders for each in engine.strategies] == [100, 100, 100, 3, 100, 100]
    with pytest.raises(ConfigError, match="no strategy 'nonsense'"):
        engine.strategies["nonsense"]


def test_fees_are_dollars_a_share(engine: FakeEngine) -> None:
    fees = engine.fees
    fees["R"], fees["A"] = "0.0030", Decimal("-0.0020")
    assert dict(fees) == {"R": Decimal("0.003"), "A": Decimal("-0.002")} and len(fees) == 2
    assert engine.memory.share("fees")[ord("R")] == 300_000
    for flag, fee in (("RR", "1"), ("R", "11"), ("R", "0.000000001"), ("R", "x"), ("R", "nan"), ("R", True)):
        with pytest.raises(ConfigError):
            fees[flag] = fee
    fees["R"] = 0
    assert dict(fees) == {"A": Decimal("-0.002")}
    with pytest.raises(KeyError):
        fees["R"]
