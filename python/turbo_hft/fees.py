"""What a share costs when it is executed, by the liquidity flag of the execution: ``engine.fees["R"] = "0.0030"``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from decimal import Decimal

from turbo_hft.change import Changes
from turbo_hft.errors import ConfigError
from turbo_hft.program import Program
from turbo_hft.words import Price

_E8 = 100_000_000
_FLAGS = 256
_MOST = Decimal(10)  # dollars a share: a slip of the pen, not a fee


class Fees(Mapping[str, Decimal]):
    """Flag -> dollars a share; negative for what the exchange pays. Flags without a fee are left out.

    A fee holds for executions from now on; what was booked before stays.
    """

    def __init__(self, program: Program, changes: Changes) -> None:
        self._fees = program.share("fees", writable=True)
        self._changes = changes

    def __getitem__(self, flag: str) -> Decimal:
        fee = int(self._fees[_index(flag)])
        if not fee:
            raise KeyError(flag)
        return Decimal(fee) / _E8

    def __setitem__(self, flag: str, dollars: Price) -> None:
        """Raises ConfigError for a flag that is no character, and a fee that cannot be."""
        self._fees[_index(flag)] = fee_e8(flag, dollars)
        self._changes.note()

    def __iter__(self) -> Iterator[str]:
        return (chr(index) for index in range(_FLAGS) if self._fees[index])

    def __len__(self) -> int:
        return sum(1 for _ in self)


def fee_e8(flag: str, dollars: Price) -> int:
    """A fee in 1/100,000,000 dollar. Raises ConfigError."""
    _index(flag)
    fee: Decimal | None = None
    with contextlib.suppress(ArithmeticError):  # decimal's: no number, or one beyond its range
        fee = Decimal(str(dollars).strip()) * _E8
    if isinstance(dollars, bool) or fee is None or not fee.is_finite() or abs(fee) > _MOST * _E8 or fee % 1:
        raise ConfigError(f"fee {dollars!r} of {flag!r}: give dollars a share, -10 to 10, with at most 8 decimals.")
    return int(fee)


def _index(flag: str) -> int:
    if not isinstance(flag, str) or len(flag) != 1 or ord(flag) >= _FLAGS:
        raise ConfigError(f"liquidity flag {flag!r}: give one character, such as R (removed) or A (added).")
    return ord(flag)
