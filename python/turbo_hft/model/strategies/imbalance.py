"""Take the offer when bids outweigh offers at the touch, and the bid when offers outweigh bids."""

from __future__ import annotations

from ..names import Side
from ..state import Intents, Signal, SymbolParams
from .take import take

MILLION = 1_000_000
MOST_PPM = 2_000_000


def decide(params: SymbolParams, signal: Signal) -> Intents:
    """``imbalance_ppm``: the share of the touch's shares that one side must have. Above a million it never has."""
    bid_e4, ask_e4 = signal.after.price_e4
    bid_qty, ask_qty = signal.after.qty
    both = bid_qty + ask_qty
    if bid_e4 == 0 or ask_e4 == 0 or params.imbalance_ppm == 0 or both < params.imbalance_least:
        return Intents()
    needed = min(params.imbalance_ppm, MOST_PPM) * both
    if bid_qty * MILLION >= needed:
        return take(signal, Side.BUY, params.imbalance_qty, ask_e4)
    if ask_qty * MILLION >= needed:
        return take(signal, Side.SELL, params.imbalance_qty, bid_e4)
    return Intents()
