"""Rule 9: position at average cost, realized and unrealized profit and loss, the mark."""

from __future__ import annotations

from .names import Side
from .state import Book, SymbolState


def fill(state: SymbolState, book: Book, side: Side, qty: int, price_e4: int) -> None:
    """Apply one execution of ``qty`` shares (> 0) at ``price_e4`` (> 0), then take the mark of the symbol's book."""
    if side == Side.BUY:
        state.bought_qty += qty
        state.bought_e4 += price_e4 * qty
    else:
        state.sold_qty += qty
        state.sold_e4 += price_e4 * qty
    state.fills += 1

    same_sign = (state.position > 0) == (side == Side.BUY)
    if state.position == 0 or same_sign:
        extend(state, side, qty, price_e4)
    else:
        closing = min(qty, abs(state.position))
        close(state, closing, price_e4)
        if qty > closing:
            extend(state, side, qty - closing, price_e4)
    book.holds = 1 if state.position != 0 else 0
    take_mark(state, book)


def extend(state: SymbolState, side: Side, qty: int, price_e4: int) -> None:
    """Open a position or add to one."""
    signed = qty if side == Side.BUY else -qty
    state.position += signed
    state.cost_e4 += price_e4 * signed


def close(state: SymbolState, closing: int, price_e4: int) -> None:
    """Close ``closing`` shares (at most the position) at their part of the cost, rounded down."""
    cost, shares = abs(state.cost_e4), abs(state.position)
    out = closing * (cost // shares) + closing * (cost % shares) // shares
    if state.position > 0:
        state.realized_e4 += closing * price_e4 - out
        state.position -= closing
        state.cost_e4 -= out
    else:
        state.realized_e4 += out - closing * price_e4
        state.position += closing
        state.cost_e4 += out


def take_mark(state: SymbolState, book: Book) -> None:
    """The side of the book we would hit to get flat; the last one seen while that side is empty."""
    if state.position == 0:
        state.mark_e4 = 0
    elif state.position > 0 and book.bid_e4 != 0:
        state.mark_e4 = book.bid_e4
    elif state.position < 0 and book.ask_e4 != 0:
        state.mark_e4 = book.ask_e4
    if state.mark_e4 == 0:
        state.unrealized_e4 = 0
    else:
        state.unrealized_e4 = state.position * state.mark_e4 - state.cost_e4
