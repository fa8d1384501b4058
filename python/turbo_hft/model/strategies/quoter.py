"""A bid and an offer of our own around the middle of the market, moved with it and away from what we hold."""

from __future__ import annotations

from ..names import OUCH_MAX_PRICE_E4, U31_MAX, U32_MAX, Action, OrderState, Side, Tif
from ..state import Intent, Intents, Signal, SymbolParams


def decide(params: SymbolParams, signal: Signal) -> Intents:
    """Keeps at most one quote a side: sends it, moves it, or takes it back."""
    bid_e4, ask_e4 = signal.after.price_e4
    if params.quote_qty == 0 or params.quote_half_spread_e4 == 0 or bid_e4 == 0 or ask_e4 == 0 or bid_e4 >= ask_e4:
        return Intents()
    wanted = (quote(params, signal, side) for side in Side)
    return Intents([intent for intent in wanted if intent is not None])


def quote(params: SymbolParams, signal: Signal, side: Side) -> Intent | None:
    """What to do about the quote of one side."""
    own = signal.own[side]
    price_e4 = quote_price(params, signal, side)
    qty = min(params.quote_qty, signal.room[side] + own.qty, U32_MAX)
    inventory = min(params.quote_inventory, U31_MAX)
    held = signal.position if side == Side.BUY else -signal.position
    wanted = 0 < price_e4 <= OUCH_MAX_PRICE_E4 and qty > 0 and held < inventory

    if own.ref == 0:
        return Intent(Action.ENTER, side, price_e4, qty, tif=Tif.DAY) if wanted else None
    if own.state != OrderState.LIVE or own.pending != 0:
        return None
    if not wanted:
        return Intent(Action.CANCEL, ref=own.ref)
    if abs(own.price_e4 - price_e4) < max(min(params.quote_requote_e4, U31_MAX), 1):
        return None
    return Intent(Action.REPLACE, side, price_e4, qty, own.ref, Tif.DAY)


def quote_price(params: SymbolParams, signal: Signal, side: Side) -> int:
    """Where the quote should be, signed; never through the other side of the market. 1/10000 dollar."""
    bid_e4, ask_e4 = signal.after.price_e4
    tick_e4 = signal.tick_e4
    both_e4 = bid_e4 + ask_e4
    half_e4 = min(params.quote_half_spread_e4, U31_MAX)
    skew_e4 = min(abs(signal.position) * min(params.quote_skew_e4, U31_MAX) // 100, U31_MAX)
    if signal.position < 0:
        skew_e4 = -skew_e4
    if side == Side.BUY:
        price_e4 = (both_e4 // 2 - half_e4 - skew_e4) // tick_e4 * tick_e4
        return price_e4 if price_e4 < ask_e4 else ask_e4 - tick_e4
    price_e4 = -(-((both_e4 + 1) // 2 + half_e4 - skew_e4) // tick_e4) * tick_e4
    return price_e4 if price_e4 > bid_e4 else bid_e4 + tick_e4
