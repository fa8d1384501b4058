"""What three of the strategies do once they have made up their mind: take what stands on the other side."""

from __future__ import annotations

from ..names import U32_MAX, Action, Side, Wait
from ..state import Intent, Intents, Signal


def take(signal: Signal, side: Side, qty: int, price_e4: int) -> Intents:
    """One order of ``qty`` shares at ``price_e4``, as far as there is room, while no other is open."""
    if signal.open_orders > 0:
        return Intents(wait=Wait.IN_FLIGHT)
    qty = min(qty, U32_MAX, signal.room[side])
    if qty == 0:
        return Intents(wait=Wait.LIMIT)
    return Intents([Intent(Action.ENTER, side, price_e4, qty)])
