"""What the built-in strategies are told of a symbol: ``symbol.quoter.half_spread = "0.02"``.

Each assignment holds from the next packet on, and with others in one `engine.change()` together with them. Threshold,
the strategy a symbol has at first, is steered by attributes of the symbol itself: `SymbolView.buy_below` and its
neighbours. What every parameter does is rule 5 of docs/rules.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from turbo_hft.words import Dollars, Fraction, Seconds, Whole, WordView

_MOST_QTY = (1 << 31) - 1


class _Parameters(WordView):
    """Base: words of ``struct hft_symbol_params``."""

    __slots__ = ("_params", "_store")

    def __init__(self, name: str, params: Any, store: Callable[[Mapping[str, int]], None]) -> None:
        super().__init__(name)
        self._params = params
        self._store = store

    def _struct(self) -> Any:
        return self._params

    def _write(self, words: Mapping[str, int]) -> None:
        self._store(words)


class Imbalance(_Parameters):
    """Take when one side of the touch outweighs the other."""

    __slots__ = ()

    share = Fraction("imbalance_ppm", "Part of the touch's shares on one side from which on it takes; 0 = off.")
    least = Whole("imbalance_least", "Shares that must be at the touch, both sides together.")
    qty = Whole("imbalance_qty", "Shares it takes.")


class Momentum(_Parameters):
    """Follow trades that went through several ticks within a time."""

    __slots__ = ()

    ticks = Whole("momentum_ticks", "Ticks that trades moved the touch within the window; 0 = off.")
    window_s = Seconds("momentum_window_ns", "The window, by the feed's time stamps.")
    qty = Whole("momentum_qty", "Shares it takes.")


class Quoter(_Parameters):
    """A bid and an offer of our own, moved with the market and the position."""

    __slots__ = ()

    half_spread = Dollars("quote_half_spread_e4", "Distance of our prices from the middle; 0 = off.")
    qty = Whole("quote_qty", "Shares of each quote; 0 = off.", _MOST_QTY)
    skew = Dollars("quote_skew_e4", "Both prices go down by this for each 100 shares held, up when short.")
    inventory = Whole("quote_inventory", "A position of that many shares or more is not added to.", _MOST_QTY)
    requote = Dollars("quote_requote_e4", "A quote stays while it is nearer than this to where it should be.")


GROUPS: Mapping[str, type[_Parameters]] = {"imbalance": Imbalance, "momentum": Momentum, "quoter": Quoter}
