"""Follow trades that moved the touch by several ticks within a time."""

from __future__ import annotations

from ..names import U32_MAX, Side
from ..state import Intents, Memory, Signal, SymbolParams
from .take import take


def decide(params: SymbolParams, memory: Memory, signal: Signal) -> Intents:
    """Counts ticks of moves that came with trades, in a window that begins anew when it is over or was acted upon."""
    if params.momentum_ticks == 0:
        return Intents()
    since_ns, now_ns = memory.momentum_since_ns, signal.exchange_ns
    if since_ns == 0 or now_ns < since_ns or now_ns - since_ns > params.momentum_window_ns:
        memory.momentum_up = memory.momentum_down = 0
        memory.momentum_since_ns = max(now_ns, 1)

    bid_e4, ask_e4 = signal.after.price_e4
    bid_before_e4, ask_before_e4 = signal.before.price_e4
    if signal.after.volume != signal.before.volume:
        if ask_e4 > 0 and ask_before_e4 > 0 and ask_e4 > ask_before_e4:
            memory.momentum_up += (ask_e4 - ask_before_e4) // signal.tick_e4
            memory.momentum_up = min(memory.momentum_up, U32_MAX)
        if bid_e4 > 0 and bid_before_e4 > 0 and bid_e4 < bid_before_e4:
            memory.momentum_down += (bid_before_e4 - bid_e4) // signal.tick_e4
            memory.momentum_down = min(memory.momentum_down, U32_MAX)

    up, down = memory.momentum_up, memory.momentum_down
    if up >= params.momentum_ticks and up > down and ask_e4 > 0:
        memory.momentum_since_ns = 0
        return take(signal, Side.BUY, params.momentum_qty, ask_e4)
    if down >= params.momentum_ticks and down > up and bid_e4 > 0:
        memory.momentum_since_ns = 0
        return take(signal, Side.SELL, params.momentum_qty, bid_e4)
    return Intents()
