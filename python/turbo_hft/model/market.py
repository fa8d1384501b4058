"""Rule 3: what a symbol's feed says beside its book: trading state, auctions, and prints.

A print is a trade that counts: it moves last, volume and VWAP (`notional_high` : `notional_e4` over `volume`).
"""

from __future__ import annotations

from .names import ITCH_MAX_PRICE_E4, MAX_LEVEL_QTY, U32_MAX, U64_MAX, Doubt
from .state import ModelState
from .wire import u32, u48, u64

TRADING = ord("T")
NAME_AT = {"H": 11, "Y": 11, "K": 11, "J": 11, "h": 11, "P": 24, "Q": 19}


def handle(model: ModelState, slot: int, kind: str, block: bytes, number: int) -> None:
    """H Y K J h P Q of right length for a bound slot."""
    name_at = NAME_AT[kind]
    names_slot = block[name_at : name_at + 8] == model.params[slot].name
    if not names_slot or not HANDLERS[kind](model, slot, block):
        model.count("itch_bad_field")
        model.quarantine(slot, number, Doubt.FIELD)


def trading_action(model: ModelState, slot: int, block: bytes) -> bool:
    """H. Between the change to T and the cross that opens it, a book may be crossed. False: a value cannot be."""
    book, state = model.books[slot], block[19:20]
    if state not in (b"H", b"P", b"Q", b"T"):
        return False
    if state != b"T":
        book.cross_pending = 0
    elif book.trading_state in b"HPQ":
        book.cross_pending = 1
    book.trading_state = block[19]
    book.halt_reason = block[21:25]
    return True


def operational_halt(model: ModelState, slot: int, block: bytes) -> bool:
    """h. Only Nasdaq's own halts count; those of its sister markets are none here."""
    market, action = block[19:20], block[20:21]
    if market != b"Q":
        return True
    if action not in (b"H", b"T"):
        return False
    model.books[slot].operational_halt = 1 if action == b"H" else 0
    return True


def reg_sho(model: ModelState, slot: int, block: bytes) -> bool:
    """Y."""
    if block[19:20] not in (b"0", b"1", b"2"):
        return False
    model.books[slot].reg_sho = block[19]
    return True


def quoting_period(model: ModelState, slot: int, block: bytes) -> bool:
    """K, taken as it is."""
    auction = model.auctions[slot]
    auction.ipo_release_s = u32(block, 19)
    auction.ipo_qualifier = block[23]
    auction.ipo_price_e4 = u32(block, 24)
    return True


def auction_collar(model: ModelState, slot: int, block: bytes) -> bool:
    """J, taken as it is."""
    auction = model.auctions[slot]
    auction.luld_reference_e4 = u32(block, 19)
    auction.luld_upper_e4 = u32(block, 23)
    auction.luld_lower_e4 = u32(block, 27)
    auction.luld_extension = u32(block, 31)
    return True


def trade(model: ModelState, slot: int, block: bytes) -> bool:
    """P: a trade against an order that was not displayed."""
    shares, price_e4 = u32(block, 20), u32(block, 32)
    if shares == 0 or price_e4 == 0 or price_e4 > ITCH_MAX_PRICE_E4:
        return False
    record_print(model, slot, shares, price_e4, u48(block, 5))
    return True


def cross(model: ModelState, slot: int, block: bytes) -> bool:
    """Q: the cross took place; with 0 shares it found no trade."""
    shares, price_e4 = u64(block, 11), u32(block, 27)
    if shares > MAX_LEVEL_QTY or price_e4 > ITCH_MAX_PRICE_E4:
        return False
    if shares > 0 and price_e4 == 0:
        return False
    book = model.books[slot]
    book.cross_type = block[39]
    book.cross_pending = 0
    if shares > 0:
        record_print(model, slot, shares, price_e4, u48(block, 5))
    return True


def record_print(model: ModelState, slot: int, shares: int, price_e4: int, exchange_ns: int) -> None:
    """A trade of ``shares`` that counts."""
    book = model.books[slot]
    book.last_ns = exchange_ns
    book.last_e4 = price_e4
    book.last_qty = min(shares, U32_MAX)
    book.volume = (book.volume + shares) & U64_MAX
    notional = (book.notional_high << 64 | book.notional_e4) + price_e4 * shares
    book.notional_e4 = notional & U64_MAX
    book.notional_high = notional >> 64 & U32_MAX


HANDLERS = {
    "H": trading_action,
    "Y": reg_sho,
    "K": quoting_period,
    "J": auction_collar,
    "h": operational_halt,
    "P": trade,
    "Q": cross,
}
