"""Limits as far as they go: for rigs that measure or compare, where nothing is at stake and no limit is the subject."""

from __future__ import annotations

from typing import Any

from turbo_hft._native import lib
from turbo_hft.engine import Engine
from turbo_hft.limits import SymbolLimitSettings

_MOST = (1 << 63) - 1
_DOLLARS = 900_000_000_000_000 // 10_000
_RATE: dict[str, Any] = {"orders_per_second": 1_000_000_000, "burst": 1 << 20}
_ORDER: dict[str, Any] = {"max_order_qty": _MOST, "max_notional": _DOLLARS}

SYMBOL: SymbolLimitSettings = {
    "max_order_qty": _MOST,
    "max_notional": _DOLLARS,
    "max_long": lib.HFT_MAX_POSITION,
    "max_open_orders": lib.HFT_MAX_OPEN,
    "max_loss": _DOLLARS,
    "orders_per_second": 1_000_000_000,
    "burst": 1 << 20,
    "collar": 4000,
    "reference_age_s": 86_400,
}
"""For `Symbols.add`. There is still a reference needed for the collar to be around, and no short sale."""


def widen(engine: Engine) -> None:
    """Those of the account and of every strategy, and the strategies' own switches released."""
    for strategy in engine.strategies:
        strategy.resume()
    with engine.change():
        money = dict.fromkeys(("max_gross", "max_net", "max_loss"), _DOLLARS)
        engine.limits.set({**_ORDER, **_RATE, **money, "max_open_orders": _MOST})
        for strategy in engine.strategies:
            strategy.limits.set({**_ORDER, **_RATE, "max_open_orders": _MOST, "max_executions": _MOST})
