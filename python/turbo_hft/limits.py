"""The limits of the risk gate, as typed attributes: of the account, of each strategy, of each symbol.

Reading is plain. Setting one is a set of its own; inside ``with engine.change():`` any number of them, of whatever
account, strategy and symbol, take effect together, or after an error not at all (see `turbo_hft.change`).

Shares and counts are whole numbers, money is dollars (``"2500"``, Decimal, int) and read as Decimal, times are seconds.
A limit of 0 lets nothing through; there is no value that means "without limit".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypedDict

from turbo_hft._native import ffi, lib
from turbo_hft.change import Changes
from turbo_hft.words import (
    MOST_BURST,
    Dollars,
    Flag,
    Fraction,
    Price,
    Rate,
    Reference,
    ReferencePrice,
    Seconds,
    Whole,
    WordView,
)


class _Limits(WordView):
    """Base: limits are written to the set that is being prepared, and hold all at once."""

    __slots__ = ("_changes", "_place")

    def __init__(self, name: str, changes: Changes, place: Callable[[], Any]) -> None:
        super().__init__(name)
        self._changes = changes
        self._place = place

    def _struct(self) -> Any:
        return self._place()

    def _write(self, words: Mapping[str, int]) -> None:
        with self._changes.change():
            for field, word in words.items():
                setattr(self._place(), field, word)


class AccountLimits(_Limits):
    """Limits of all orders together: ``engine.limits``."""

    __slots__ = ()

    max_order_qty = Whole("max_order_qty", "Most shares of one order.")
    max_notional = Dollars("max_notional_e4", "Most dollars (price x quantity) of one order.")
    max_gross = Dollars("max_gross_e4", "Most dollars of all positions at their marks and all open orders together.")
    max_net = Dollars("max_net_e4", "Most dollars of the sum of positions, long less short, with the open orders.")
    max_open_orders = Whole("max_open_orders", "Most orders open at once.")
    max_loss = Dollars("max_loss_e4", "Loss of the day, fees included, from which on only what reduces may leave.")
    orders_per_second = Rate("interval_ns", "Messages a second, sustained; cancels are not counted. 0 = none.")
    burst = Whole("burst", "Messages that may leave at once, before the rate counts.", MOST_BURST)
    duplicate_window_s = Seconds("duplicate_ns", "An order equal to one sent so lately is refused; 0 = not checked.")


class StrategyLimits(_Limits):
    """Limits of one strategy's orders: ``engine.strategies["quoter"].limits``."""

    __slots__ = ()

    max_order_qty = Whole("max_order_qty", "Most shares of one order.")
    max_notional = Dollars("max_notional_e4", "Most dollars (price x quantity) of one order.")
    max_open_orders = Whole("max_open_orders", "Most orders open at once.")
    max_executions = Whole("max_executions", "Executions since it was armed; then nothing leaves until `rearm`.")
    orders_per_second = Rate("interval_ns", "Messages a second, sustained; cancels are not counted. 0 = none.")
    burst = Whole("burst", "Messages that may leave at once, before the rate counts.", MOST_BURST)


class SymbolLimits(_Limits):
    """Limits of one symbol's orders: ``engine.symbols["AAPL"].limits``."""

    __slots__ = ()

    max_order_qty = Whole("max_order_qty", "Most shares of one order.")
    max_notional = Dollars("max_notional_e4", "Most dollars (price x quantity) of one order.")
    max_long = Whole("max_long", "Most shares held, open buys included.", lib.HFT_MAX_POSITION)
    max_short = Whole("max_short", "Most shares short, open sells included; needs `short_ok`.", lib.HFT_MAX_POSITION)
    max_open_orders = Whole("max_open_orders", "Most orders open at once.", lib.HFT_MAX_OPEN)
    max_loss = Dollars("max_loss_e4", "Loss of the day, fees included, from which on only what reduces may leave.")
    orders_per_second = Rate("interval_ns", "Messages a second, sustained; cancels are not counted. 0 = none.")
    burst = Whole("burst", "Messages that may leave at once, before the rate counts.", MOST_BURST)
    collar = Fraction("collar_ppm", "How far from the reference a price may be, as a part of it.")
    reference = ReferencePrice("reference", "What the collar is around; none = no order leaves.")
    reference_age_s = Seconds("reference_age_ns", "How old the reference may be, by the feed's time stamps.")
    restricted = Flag("restricted", "On the restricted list: no order.", only_one=False)
    short_ok = Flag("short_ok", "Short sales are allowed (located).", only_one=True)


class SymbolLimitSettings(TypedDict, total=False):
    """`SymbolLimits` as keywords; what is left away has the default in parentheses.

    `max_order_qty` (500), `max_notional` (100,000), `max_long` (1000), `max_short` (0), `max_open_orders` (4),
    `max_loss` (10,000), `orders_per_second` (100), `burst` (20), `collar` (0.1), `reference` ("mid"), `reference_age_s`
    (5), `restricted` (False), `short_ok` (False).
    """

    max_order_qty: int
    max_notional: Price
    max_long: int
    max_short: int
    max_open_orders: int
    max_loss: Price
    orders_per_second: float
    burst: int
    collar: Price
    reference: Reference
    reference_age_s: float
    restricted: bool
    short_ok: bool


SYMBOL_DEFAULTS: SymbolLimitSettings = {
    "max_order_qty": 500,
    "max_notional": 100_000,
    "max_long": 1000,
    "max_short": 0,
    "max_open_orders": 4,
    "max_loss": 10_000,
    "orders_per_second": 100,
    "burst": 20,
    "collar": "0.1",
    "reference": "mid",
    "reference_age_s": 5,
    "restricted": False,
    "short_ok": False,
}
# Wider than a symbol's: who widens one symbol's limits means that, and the sum is bounded by the dollars.
STRATEGY_DEFAULTS: Mapping[str, Any] = {
    "max_order_qty": 10_000,
    "max_notional": 1_000_000,
    "max_open_orders": 100,
    "max_executions": 10_000,
    "orders_per_second": 100,
    "burst": 20,
}
# No window for duplicates: a strategy that takes with immediate-or-cancel orders asks again for what it did not get,
# in the same words, and the throttles bound how often.
ACCOUNT_DEFAULTS: Mapping[str, Any] = {
    "max_order_qty": 10_000,
    "max_notional": 1_000_000,
    "max_gross": 10_000_000,
    "max_net": 10_000_000,
    "max_open_orders": 100,
    "max_loss": 25_000,
    "orders_per_second": 100,
    "burst": 20,
    "duplicate_window_s": 0,
}


def symbol_limits(whose: str, given: Mapping[str, Any]) -> Any:
    """A filled ``struct hft_symbol_limits``: the defaults, and what was given. Raises ConfigError, MalformedMessage."""
    limits = ffi.new("struct hft_symbol_limits *")
    for field, word in SymbolLimits.words(whose, {**SYMBOL_DEFAULTS, **given}).items():
        setattr(limits, field, word)
    return limits
