"""The levels of a book read from its tables: the tables are built here, by what bpf/hft/abi.h says of them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from turbo_hft._native import ffi, lib
from turbo_hft.depth import BookTables, Depth, Level
from turbo_hft.errors import ConfigError, TurboHftError

SLOT = 5
PLACES = 7 << 29
MAX_PRICE_E4 = 2_000_000_000
Side = dict[int, tuple[int, int]]  # price -> (shares, orders)


def hashed(key: int) -> int:
    key ^= key >> 32
    return key * 0x9E3779B97F4A7C15 % 2**64 >> 32


class Tables:
    """The tables of the books, written as the hook would write them, with `mask` + 1 entries each."""

    def __init__(self, mask: int = 255) -> None:
        self.mask = mask
        self.levels = ffi.new("struct hft_level_block[]", mask + 1)
        self.ladder = ffi.new("struct hft_bucket[]", mask + 1)
        self.books = ffi.new("struct hft_book[]", SLOT + 1)
        self.book = self.books[SLOT]
        self.tables = BookTables(self.levels, self.ladder, mask, mask)

    def depth(self, levels: int = 10) -> Depth:
        return self.tables.depth(ffi.addressof(self.book), SLOT, levels)

    def fill(self, side: int, prices: Side, ahead: int, tick: int = 100) -> None:
        """Put a side's levels down; its window begins `ahead` ticks before the best of them."""
        if not prices:
            return
        best = max(prices) if side == lib.HFT_BUY else min(prices)
        first = best + ahead * tick if side == lib.HFT_BUY else best - min(ahead, best // tick) * tick
        self.book.window_e4[side] = first | (tick == 1) << 31
        for price, level in prices.items():
            away = first - price if side == lib.HFT_BUY else price - first
            if away < 63 * tick and away % tick == 0:
                self.book.window[side].cell[price // tick % 64] = self.cell(level)
                self.book.held[side] |= 1 << away // tick
            else:
                assert away >= 63 * tick, "a level between two prices of the window"
                self.book.held[side] |= 1 << 63
                self.put_down(side, price, level)

    @staticmethod
    def cell(level: tuple[int, int]) -> int:
        return level[0] | level[1] << 40

    def put_down(self, side: int, price_e4: int, level: tuple[int, int]) -> None:
        scale = int(price_e4 % 100 != 0)
        steps = price_e4 if scale else price_e4 // 100
        place = steps if side == lib.HFT_SELL else PLACES - 1 - steps
        number = place // 7
        self.block(side, scale, number).cell[place % 7] = self.cell(level)
        for depth in range(5):
            self.climb(SLOT << 46 | side << 45 | scale << 44 | depth + 1 << 40 | number >> 6, 1 << number % 64)
            number >>= 6

    def block(self, side: int, scale: int, number: int) -> Any:
        tag = 1 << 55 | SLOT << 41 | side << 40 | scale << 39 | number
        home = hashed(tag // 16) * 16 + tag % 16  # sixteen neighbouring blocks stay together
        for i in range(32):
            block = self.levels[home + i * (i + 1) // 2 & self.mask]
            if block.tag % 2**56 == tag:
                return block
            if not block.tag & 1 << 55:
                block.tag |= tag
                return block
            self.levels[home & self.mask].tag |= 1 << 56
        raise AssertionError("the levels do not fit")

    def climb(self, key: int, bit: int) -> None:
        home = self.ladder[hashed(key) & self.mask]
        for i in range(8):
            bucket = self.ladder[hashed(key) + i & self.mask]
            for way in range(4):
                if bucket.key[way] % 2**60 == key or not bucket.value[way]:
                    bucket.key[way] = bucket.key[way] >> 60 << 60 | key
                    bucket.value[way] |= bit
                    if i:
                        home.key[0] |= 1 << 60
                    return
        raise AssertionError("the ladder does not fit")


def expected(side: int, prices: Side, levels: int) -> tuple[Level, ...]:
    best_first = sorted(prices, reverse=side == lib.HFT_BUY)
    return tuple(Level(price, *prices[price]) for price in best_first[:levels])


def test_an_untouched_book_is_empty() -> None:
    assert Tables().depth() == Depth((), ())


def test_levels_of_a_window_are_sorted() -> None:
    """A ring of cents, which begins anew between the two bids, and one of smaller ticks."""
    tables = Tables()
    bids, asks = {1_631_900: (300, 2), 1_630_000: (5, 1)}, {1_632_000: (100, 1), 1_632_001: (7, 7), 1_700_000: (1, 1)}
    tables.fill(lib.HFT_BUY, bids, 16)
    tables.fill(lib.HFT_SELL, asks, 16, tick=1)
    assert tables.depth().bids == (Level(1_631_900, 300, 2), Level(1_630_000, 5, 1))
    assert tables.depth().asks == expected(lib.HFT_SELL, asks, 10)
    assert tables.depth(1) == Depth((Level(1_631_900, 300, 2),), (Level(1_632_000, 100, 1),))


def test_levels_away_from_the_touch_follow_in_order() -> None:
    """Cents and others interleaved, from the least price to the greatest, with the largest level there can be."""
    prices = {1: (1, 1), 99: (2, 1), 100: (3, 1), 101: (2**40 - 1, 2**24 - 1), 1_632_000: (4, 1), MAX_PRICE_E4: (5, 2)}
    for side in (lib.HFT_BUY, lib.HFT_SELL):
        for ahead in range(63):
            tables = Tables()
            tables.fill(side, prices, ahead, tick=1)
            depth = tables.depth()
            assert (depth.bids, depth.asks)[side] == expected(side, prices, 10)
            assert (depth.asks, depth.bids)[side] == ()


_LEVEL = st.tuples(st.integers(1, 2**40 - 1), st.integers(1, 2**24 - 1))
_NEAR = st.integers(1_630_000, 1_634_000) | st.integers(16_300, 16_340).map(lambda cents: cents * 100)
_SIDE = st.dictionaries(_NEAR | st.integers(1, MAX_PRICE_E4), _LEVEL, max_size=40)


@given(_SIDE, _SIDE, st.integers(0, 62), st.integers(1, 60))
def test_any_book_reads_as_it_was_written(bids: Side, asks: Side, ahead: int, levels: int) -> None:
    tables = Tables(1023)
    tables.fill(lib.HFT_BUY, bids, ahead, tick=1)
    tables.fill(lib.HFT_SELL, asks, ahead, tick=1)
    assert tables.depth(levels) == Depth(expected(lib.HFT_BUY, bids, levels), expected(lib.HFT_SELL, asks, levels))


def test_a_crowded_table_is_read_to_its_last_probe() -> None:
    prices = {1_000_000 + 700 * i: (i + 1, 1) for i in range(60)}
    tables = Tables(63)
    tables.fill(lib.HFT_SELL, {500_000: (9, 9), **prices}, 0, tick=1)
    prices = {500_000: (9, 9), **prices}
    assert tables.depth(100).asks == expected(lib.HFT_SELL, prices, 100)


def test_another_symbols_levels_are_not_ours() -> None:
    tables = Tables()
    tables.fill(lib.HFT_SELL, {1_632_000: (100, 1), 1_832_100: (100, 1)}, 1)
    tables.books[SLOT - 1].held[lib.HFT_SELL] = 1 << 63
    other = tables.tables.depth(ffi.addressof(tables.books[SLOT - 1]), SLOT - 1, 10)
    assert other == Depth((), ())


def test_a_book_that_is_being_cleared_has_no_levels() -> None:
    tables = Tables()
    tables.fill(lib.HFT_SELL, {1_632_000: (100, 1)}, 1)
    tables.book.health = lib.HFT_BOOK_CLEARING
    assert tables.depth() == Depth((), ())


def test_a_book_that_never_holds_still_is_an_error() -> None:
    tables = Tables()
    tables.book.version = 1
    with pytest.raises(TurboHftError, match="without pause"):
        tables.depth()


def test_a_ladder_that_names_nothing_is_survived() -> None:
    """What a walk can meet while the hook writes: blocks that are gone, nodes without children."""
    tables = Tables()
    for i in range(20):
        tables.put_down(lib.HFT_SELL, 1_632_000 + 700 * i, (1, 1))
    tables.book.held[lib.HFT_SELL] = 1 << 63
    ffi.memmove(tables.levels, bytes(ffi.sizeof(tables.levels)), ffi.sizeof(tables.levels))
    assert tables.depth().asks == ()


def test_a_reader_sees_whole_books_while_they_change() -> None:
    """Two books in turn, under the version's rule; one of them is read at every moment, never a mixture."""
    tables = Tables()
    worlds: tuple[Side, Side] = ({1_632_000: (1, 1), 1_640_000: (1, 1)}, {1_632_000: (2, 2), 1_650_000: (2, 2)})
    prices = sorted({price for world in worlds for price in world})
    for price in prices:
        tables.put_down(lib.HFT_SELL, price, (0, 0))
    tables.book.held[lib.HFT_SELL] = 1 << 63
    cells: list[Callable[[Side], None]] = []
    for price in prices:
        place = price // 100
        block = tables.block(lib.HFT_SELL, 0, place // 7)

        def store(world: Side, block: Any = block, at: int = place % 7, price: int = price) -> None:
            block.cell[at] = Tables.cell(world.get(price, (0, 0)))

        cells.append(store)
    stop = threading.Event()

    def write() -> None:
        turn = 0
        while not stop.is_set():
            tables.book.version += 1
            for store in cells:
                store(worlds[turn])
            tables.book.version += 1
            turn ^= 1
            stop.wait(0.0001)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen = {tables.depth().asks for _ in range(2000)}
    finally:
        stop.set()
        writer.join()
    assert seen - {()} <= {expected(lib.HFT_SELL, world, 10) for world in worlds} and seen


@pytest.mark.parametrize("levels", [0, -1, 65_537, True, "3"])
def test_numbers_of_levels_that_make_no_sense(levels: Any) -> None:
    with pytest.raises(ConfigError, match="levels"):
        Tables().depth(levels)
