"""The levels of a book, read out of the hook's own tables while it goes on: native/depth.c does the walking."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import Any

from turbo_hft._native import ffi, lib
from turbo_hft.errors import ConfigError
from turbo_hft.program import Program, os_error

_MOST_LEVELS = 1 << 16


@dataclass(frozen=True, slots=True)
class Level:
    """One price of one side: 1/10000 dollar, displayed shares, orders."""

    price_e4: int
    qty: int
    orders: int


@dataclass(frozen=True, slots=True)
class Depth:
    """Both sides of a book at one moment, best first."""

    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


class BookTables:
    """The price levels of all books, shared with the hook.

    `levels` and `ladder` are cffi arrays of ``struct hft_level_block`` and ``struct hft_bucket``; the masks are their
    numbers of entries, less one.
    """

    def __init__(self, levels: Any, ladder: Any, level_mask: int, ladder_mask: int) -> None:
        self._arrays = (levels, ladder)  # the C side holds plain pointers
        self._tables = ffi.new("struct hft_tables *")
        self._tables.levels, self._tables.ladder = levels, ladder
        self._tables.level_mask, self._tables.ladder_mask = level_mask, ladder_mask

    @classmethod
    def of(cls, program: Program) -> BookTables:
        """Those of a loaded program."""
        config = program.config
        levels, ladder = program.share("book_levels"), program.share("book_ladder")
        return cls(levels, ladder, config.level_mask, config.ladder_mask)

    def depth(self, book: Any, slot: int, levels: int) -> Depth:
        """The best `levels` prices of each side of the book of a slot (pointer to ``struct hft_book``), consistent.

        Empty for a book that is being cleared. Raises ConfigError for a number of levels that is not 1 to 65,536,
        TurboHftError if the hook never let the book hold still for as long as reading took.
        """
        if isinstance(levels, bool) or not isinstance(levels, int) or not 1 <= levels <= _MOST_LEVELS:
            raise ConfigError(f"{levels!r} levels: give 1 to {_MOST_LEVELS:,}.")
        found, counts = ffi.new("struct hft_level[]", 2 * levels), ffi.new("unsigned int[2]")
        error = lib.hft_depth(self._tables, book, slot, found, levels, counts)
        if error == -errno.EAGAIN:
            raise os_error(error, f"the book of slot {slot} changes without pause; ask for fewer levels, or again")
        bids, asks = (
            tuple(Level(level.price_e4, level.shares, level.orders) for level in found[first : first + count])
            for first, count in ((0, counts[lib.HFT_BUY]), (levels, counts[lib.HFT_SELL]))
        )
        return Depth(bids, asks)
