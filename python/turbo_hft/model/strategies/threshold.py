"""Buy at or below a price, sell what we hold at or above one, more of it the further the market is beyond."""

from __future__ import annotations

from ..names import U32_MAX, Side
from ..state import Intents, Signal, SymbolParams
from .take import take

QTY_CLAMP = 1_000_000


def decide(params: SymbolParams, signal: Signal) -> Intents:
    """Selling comes first, and if it has to wait, buying waits too."""
    bid_e4, ask_e4 = signal.after.price_e4
    sell_above_e4, buy_below_e4 = params.sell_above_e4, params.buy_below_e4
    if sell_above_e4 > 0 and bid_e4 > 0 and bid_e4 >= sell_above_e4 and signal.position > 0:
        beyond_e4 = bid_e4 - sell_above_e4
        return take(signal, Side.SELL, min(quantity(params, signal, beyond_e4), signal.position), bid_e4)
    if buy_below_e4 > 0 and 0 < ask_e4 <= buy_below_e4:
        beyond_e4 = buy_below_e4 - ask_e4
        return take(signal, Side.BUY, quantity(params, signal, beyond_e4), ask_e4)
    return Intents()


def quantity(params: SymbolParams, signal: Signal, beyond_e4: int) -> int:
    """``base_qty``, and ``step_qty`` more for each whole tick beyond the target, at most ``cap_qty``."""
    ticks = min(beyond_e4 // signal.tick_e4, U32_MAX)
    return min(min(params.base_qty, QTY_CLAMP) + min(params.step_qty, QTY_CLAMP) * ticks, params.cap_qty)
