"""Prices and money as integers of 1/10000 dollar (`_e4`), from and to text. Nothing is ever rounded."""

from __future__ import annotations

import re
from decimal import Decimal

from turbo_hft.errors import MalformedMessage

E4 = 10_000
MAX_PRICE_E4 = (1 << 63) - 1
_CENT_E4 = 100
_PLAIN = re.compile(r"[0-9]+(\.[0-9]*)?|\.[0-9]+", re.ASCII)
# Powers of ten of the first digit that a price can have: 10^14 dollars and more are too large, 10^-5 is too fine.
_MAX_MAGNITUDE = 14
_MIN_MAGNITUDE = -4


def parse_price_e4(value: str | int | float | Decimal) -> int:
    """Dollars as text, Decimal, whole dollars or float -> 1/10000 dollar: "163.20" -> 1632000.

    A float counts as the decimal number Python prints for it: 163.2 is taken, 0.1 + 0.2 is refused.
    Errors: MalformedMessage if it is no number, negative, finer than 1/10000 dollar or above 2^63 - 1.
    """
    exact = _decimal(value)
    if not exact.is_finite() or exact.is_signed():
        raise MalformedMessage(f"price {value!r}: give dollars, 0 or more, such as 163.20")
    if exact.is_zero():
        return 0
    # Magnitudes first: the exact arithmetic below must not meet 10 to the power of a million.
    magnitude = exact.adjusted()
    if magnitude > _MAX_MAGNITUDE:
        raise _too_large()
    if magnitude < _MIN_MAGNITUDE:
        raise _too_fine(value)
    numerator, denominator = exact.as_integer_ratio()
    price_e4, rest = divmod(numerator * E4, denominator)
    if rest:
        raise _too_fine(value)
    if price_e4 > MAX_PRICE_E4:
        raise _too_large()
    return price_e4


def _too_large() -> MalformedMessage:
    return MalformedMessage(f"price too large: at most {format_price_e4(MAX_PRICE_E4)}")


def _too_fine(value: object) -> MalformedMessage:
    return MalformedMessage(f"price {value!r} is finer than 1/10000 dollar: give at most 4 decimals, as text")


def _decimal(value: str | int | float | Decimal) -> Decimal:
    if isinstance(value, Decimal):
        return value
    if isinstance(value, bool):
        raise MalformedMessage(f"price {value!r}: give dollars, such as 163.20")
    if isinstance(value, int):
        if value > MAX_PRICE_E4:
            raise _too_large()
        if value < 0:
            raise MalformedMessage("negative price: give dollars, 0 or more, such as 163.20")
        return Decimal(value)
    if isinstance(value, float):
        return Decimal(repr(value))
    text = value.strip()
    if not _PLAIN.fullmatch(text):
        raise MalformedMessage(f"price {value!r}: give dollars as plain digits with a point, such as 163.20")
    return Decimal(text)


def format_price_e4(price_e4: int) -> str:
    """1/10000 dollar -> dollars with 2 decimals, 4 if cents do not say it all: 1632000 -> "163.20"."""
    return _format(price_e4, "d")


def format_money_e4(amount_e4: int) -> str:
    """The same with thousands separators, for sums: -12345678900 -> "-1,234,567.89"."""
    return _format(amount_e4, ",d")


def _format(amount_e4: int, style: str) -> str:
    dollars, rest = divmod(abs(amount_e4), E4)
    decimals = f"{rest // _CENT_E4:02d}" if rest % _CENT_E4 == 0 else f"{rest:04d}"
    return f"{'-' if amount_e4 < 0 else ''}{dollars:{style}}.{decimals}"
