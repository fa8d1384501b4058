"""Rule 9: position at average cost, realized and unrealized profit and loss, fees, the mark, the account, latches."""

from __future__ import annotations

from .names import S63_MAX, EventKind, Latch, Mark, Side
from .state import Book, ModelState, SymbolState


def fill(model: ModelState, slot: int, side: int, qty: int, price_e4: int, flag: int) -> None:
    """One execution of ``qty`` shares (> 0) at ``price_e4`` (> 0) with the liquidity flag ``flag``, then the mark."""
    count_trade(model, slot, side, qty, price_e4, flag, by=1)
    trade(model, slot, side, qty, price_e4)


def break_trade(model: ModelState, slot: int, side: int, qty: int, price_e4: int, flag: int) -> None:
    """An execution is taken back: a trade of the other side at its price, and the sums are as if it had not been."""
    count_trade(model, slot, side, qty, price_e4, flag, by=-1)
    model.symbols[slot].broken += 1
    trade(model, slot, Side.SELL if side == Side.BUY else Side.BUY, qty, price_e4)


def count_trade(model: ModelState, slot: int, side: int, qty: int, price_e4: int, flag: int, *, by: int) -> None:
    """Gross sums and fees."""
    state = model.symbols[slot]
    if side == Side.BUY:
        state.bought_qty += by * qty
        state.bought_e4 += by * price_e4 * qty
    else:
        state.sold_qty += by * qty
        state.sold_e4 += by * price_e4 * qty
    state.fills += by
    state.fees_e8 += by * qty * model.fees[flag & 0xFF]


def trade(model: ModelState, slot: int, side: int, qty: int, price_e4: int) -> None:
    """Position and cost change hands; then the mark is taken."""
    state, book = model.symbols[slot], model.books[slot]
    move(state, side, qty, price_e4)
    book.holds = 1 if state.position != 0 else 0
    take_mark(model, slot)


def move(state: SymbolState, side: int, qty: int, price_e4: int) -> None:
    """``qty`` shares bought or sold: they close what is held the other way, the rest opens or adds."""
    same_sign = (state.position > 0) == (side == Side.BUY)
    if state.position == 0 or same_sign:
        extend(state, side, qty, price_e4)
        return
    closing = min(qty, abs(state.position))
    close(state, closing, price_e4)
    if qty > closing:
        extend(state, side, qty - closing, price_e4)


def extend(state: SymbolState, side: int, qty: int, price_e4: int) -> None:
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


def take_mark(model: ModelState, slot: int) -> None:
    """What the position is valued at; the last value that could be had while there is none. Then the account."""
    state = model.symbols[slot]
    mark_e4 = mark_of(state, model.books[slot], model.control.mark)
    if state.position == 0:
        state.mark_e4 = 0
    elif mark_e4 != 0:
        state.mark_e4 = mark_e4
    if state.mark_e4 == 0:
        state.unrealized_e4 = 0
        state.exposure_e4 = state.cost_e4
    else:
        state.unrealized_e4 = state.position * state.mark_e4 - state.cost_e4
        state.exposure_e4 = state.position * state.mark_e4
    sum_up(model)


def mark_of(state: SymbolState, book: Book, kind: int) -> int:
    """The price that values the position now, 0 if it cannot be had. 1/10000 dollar."""
    if kind == Mark.MID:
        return middle_e4(book)
    if kind == Mark.LAST:
        return book.last_e4
    return book.bid_e4 if state.position > 0 else book.ask_e4


def middle_e4(book: Book) -> int:
    """Between bid and offer, rounded down; 0 if one of them is missing."""
    return (book.bid_e4 + book.ask_e4) // 2 if book.bid_e4 and book.ask_e4 else 0


def sum_up(model: ModelState) -> None:
    """What the account has of all symbols."""
    account, symbols = model.account, model.symbols.values()
    account.realized_e4 = sum(state.realized_e4 for state in symbols)
    account.unrealized_e4 = sum(state.unrealized_e4 for state in symbols)
    account.fees_e8 = sum(state.fees_e8 for state in symbols)
    account.net_e4 = sum(state.exposure_e4 for state in symbols)
    account.gross_e4 = sum(abs(state.exposure_e4) for state in symbols)


def loss_e4(realized_e4: int, unrealized_e4: int, fees_e8: int) -> int:
    """The day's loss, fees rounded up; negative for a profit."""
    fees_e4 = -(-fees_e8 // 10_000)
    return fees_e4 - realized_e4 - unrealized_e4


def look_at_losses(model: ModelState, slot: int) -> None:
    """Does a loss limit latch? First the symbol's, then the account's."""
    parity = model.control.epoch & 1
    state, account = model.symbols[slot], model.account
    loss = loss_e4(state.realized_e4, state.unrealized_e4, state.fees_e8)
    if not state.loss_latched and loss >= min(model.symbol_limits[parity][slot].max_loss_e4, S63_MAX):
        state.loss_latched = 1
        model.emit(EventKind.LATCHED, reason=Latch.SYMBOL_LOSS, symbol=slot)
    loss = loss_e4(account.realized_e4, account.unrealized_e4, account.fees_e8)
    if not account.loss_latched and loss >= min(model.limits[parity].account.max_loss_e4, S63_MAX):
        account.loss_latched = 1
        model.emit(EventKind.LATCHED, reason=Latch.LOSS)


def look_at_executions(model: ModelState, strategy: int) -> None:
    """Has a strategy had all the executions it may have since it was armed?"""
    state = model.account.strategy[strategy]
    if (
        not state.latched
        and state.executions >= model.limits[model.control.epoch & 1].strategy[strategy].max_executions
    ):
        state.latched = 1
        model.emit(EventKind.LATCHED, reason=Latch.EXECUTIONS, strategy=strategy)
