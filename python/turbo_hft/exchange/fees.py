"""Fees by liquidity flag: what an execution costs a share, or earns.

Signed, in 1/100,000,000 dollar (`_e8`), positive = paid, as the engine's own table: the fees of a day then agree to
the last digit. A flag without an entry costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from turbo_hft.errors import ConfigError

E8 = 100_000_000
MOST_E8 = 10 * E8  # dollars a share: more is a typing error


def check_fees(fees_e8: Mapping[str, int]) -> None:
    """Errors: ConfigError for a flag that is not one character, or a fee that no venue takes."""
    for flag, fee_e8 in fees_e8.items():
        if len(flag) != 1 or not flag.isascii() or not flag.isprintable():
            raise ConfigError(f"liquidity flag {flag!r}: give one character, such as R for removed")
        if not -MOST_E8 <= fee_e8 <= MOST_E8:
            raise ConfigError(f"fee of {fee_e8 / E8:g} dollars a share for flag {flag}: give at most {MOST_E8 // E8}")


def parse_fee(text: str) -> tuple[str, int]:
    """`R=0.0030` -> ("R", 300000). Errors: ConfigError if it is no such thing or finer than 1/100,000,000 dollar."""
    flag, separator, dollars = text.partition("=")
    try:
        fee = Decimal(dollars) * E8 if separator else Decimal("nan")
    except ArithmeticError:
        fee = Decimal("nan")
    if not fee.is_finite() or abs(fee) > MOST_E8 or fee != int(fee):
        raise ConfigError(f"{text!r}: give FLAG=DOLLARS a share, at most 8 decimals, such as R=0.0030 or A=-0.0020")
    check_fees({flag: int(fee)})
    return flag, int(fee)
