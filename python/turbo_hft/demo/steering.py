"""How the demonstration trades: targets that follow the market, moved live from Python while the hook decides.

A target that stands still trades only until the market has walked away. So four times a second each symbol's targets
are set anew: buy when the best offer comes down to what the best bid is now; sell when the best bid comes up to what
the best offer is now, but not below cost as long as there is room for more. That buys dips, takes small profits, and
cuts a position that has grown too large.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from turbo_hft.dashboard.collector import average_cost_e4
from turbo_hft.dashboard.source import SymbolState
from turbo_hft.wire.price import format_price_e4

CENT_E4 = 100
PERIOD_S = 0.25


class SteeredLimits(Protocol):
    """Limits of it."""

    @property
    def max_long(self) -> int: ...


class SteeredSymbol(Protocol):
    """A live symbol."""

    @property
    def limits(self) -> SteeredLimits: ...
    def set_targets(self, *, buy_below: Any, sell_above: Any) -> None: ...
    def snapshot(self) -> SymbolState: ...


def targets_e4(state: SymbolState, max_long: int) -> tuple[int, int] | None:
    """(buy at or below, sell at or above), in 1/10000 dollar; None while a side of the book is empty."""
    if not state.bid_e4 or not state.ask_e4 or state.bid_e4 >= state.ask_e4:
        return None
    sell = state.ask_e4
    cost = average_cost_e4(state.position, state.cost_e4)
    if cost is not None and 4 * state.position < 3 * max_long:
        sell = max(sell, -(-cost // CENT_E4) * CENT_E4 + CENT_E4)
    return state.bid_e4, sell


class Steering:
    """Call `step` with the monotonic time in seconds as often as you like."""

    def __init__(self, symbols: Iterable[SteeredSymbol]) -> None:
        self._symbols = tuple(symbols)
        self._next = 0.0
        self.changes = 0

    def step(self, now_s: float) -> None:
        """Move the targets if it is time."""
        if now_s < self._next:
            return
        self._next = now_s + PERIOD_S
        for symbol in self._symbols:
            targets = targets_e4(symbol.snapshot(), symbol.limits.max_long)
            if targets is not None:
                symbol.set_targets(buy_below=format_price_e4(targets[0]), sell_above=format_price_e4(targets[1]))
                self.changes += 1
