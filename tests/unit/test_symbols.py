"""The table of symbols on plain memory: what the hook would find there, and what a person is told."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from decimal import Decimal
from typing import Any

import pytest
from turbo_hft import abi
from turbo_hft._native import ffi, lib
from turbo_hft.depth import Depth
from turbo_hft.errors import ConfigError, MalformedMessage, TurboHftError
from turbo_hft.program import Config, load_config, map_shapes
from turbo_hft.symbols import Symbols, SymbolView

SYMBOLS = 256


def config(symbols: int) -> Config:
    values = abi.fields(load_config(symbols=symbols, feeds=4, orders=64, kept=4)[0])
    return Config(**values | {"clock": "monotonic"})


class Memory:
    """Stands for a loaded program: arrays of the right shapes that no kernel knows of."""

    def __init__(self, symbols: int) -> None:
        self.config = config(symbols)
        self.arrays: dict[str, Any] = {}

    def share(self, name: str, *, writable: bool = False) -> Any:
        if name not in self.arrays:
            shape = map_shapes(self.config)[name]
            self.arrays[name] = ffi.new(f"{shape.ctype}[]", shape.entries)
        return self.arrays[name]


class Table(Symbols):
    """Symbols whose names are registered in a dict."""

    def __init__(self, memory: Memory) -> None:
        self.registered: dict[tuple[bytes, int], int] = {}
        self.epochs = 0
        self.refuse = False
        super().__init__(memory, memory.share("feed_state"), self._count)  # type: ignore[arg-type]

    def _count(self) -> None:
        self.epochs += 1

    def _register(self, raw: bytes, feed: int, index: int) -> None:
        book, params = self._books[index], self._params[index]
        assert bytes(ffi.buffer(book.name)) == bytes(ffi.buffer(params.name)) == raw, "registered before it was whole"
        assert (book.feed, params.feed, params.kill) == (feed, feed, lib.HFT_ACTIVE)
        if self.refuse:
            raise TurboHftError("no room")
        self.registered[raw, feed] = index


@pytest.fixture
def memory() -> Memory:
    return Memory(SYMBOLS)


@pytest.fixture
def table(memory: Memory) -> Table:
    return Table(memory)


def book(table: Table, view: SymbolView) -> Any:
    return table._books[view.index]


def untouched(table: Table) -> bool:
    """Nothing but zeros in the first slot."""
    elements = [ffi.addressof(array[0]) for array in (table._params, table._books)]
    return not any(any(bytes(ffi.buffer(element))) for element in elements)


def test_a_symbol_is_whole_before_it_is_registered(table: Table) -> None:
    view = table.add("AAPL", feed=2, buy_below="163.20", sell_above="164", tick="0.0001", max_position=7)
    assert table.registered == {(b"AAPL    ", 2): 0}
    assert (view.name, view.feed, view.index, view.halted) == ("AAPL", 2, 0, False)
    assert (view.buy_below, view.sell_above, view.tick) == (Decimal("163.2"), Decimal(164), Decimal("0.0001"))
    assert (view.max_position, view.base_qty, view.cap_qty) == (7, 100, 500)
    assert table.epochs == 1, "one change, not one for each of its words"


@pytest.mark.parametrize(
    "wrong",
    [
        {"buy_below": "-1"},
        {"buy_below": 2, "sell_above": 2},
        {"tick": 0},
        {"base_qty": -1},
        {"feed": 4},
        {"feed": True},
    ],
)
def test_a_bad_value_leaves_nothing_behind(table: Table, wrong: dict[str, Any]) -> None:
    with pytest.raises((ConfigError, MalformedMessage)):
        table.add("AAPL", **wrong)
    assert len(table) == 0 and "AAPL" not in table and table.name_of(0) is None
    assert untouched(table)


def test_a_refused_registration_leaves_nothing_behind(table: Table) -> None:
    table.refuse = True
    with pytest.raises(TurboHftError, match="no room"):
        table.add("AAPL", buy_below=1)
    assert len(table) == 0 and not any(table._params[0].name) and not any(table._books[0].name)
    assert not table._books[0].armed
    table.refuse = False
    assert table.add("MSFT").index == 0


def test_a_name_is_taken_once_whatever_the_feed(table: Table) -> None:
    table.add("AAPL")
    with pytest.raises(ConfigError, match="tracked already"):
        table.add("AAPL", feed=1)


def test_a_full_table_says_how_many(table: Table) -> None:
    for i in range(SYMBOLS):
        table.add(f"S{i}")
    with pytest.raises(ConfigError, match="all 256 symbols are in use"):
        table.add("MORE")
    with pytest.raises(ConfigError, match="S19 and 236 more"):
        table["MORE"]


def test_another_processes_symbols_are_found(memory: Memory, table: Table) -> None:
    other = Table(memory)
    assert len(table) == 0
    other.add("AAPL", buy_below=5)
    assert "AAPL" in table and table["AAPL"].buy_below == 5
    table.add("MSFT")
    assert [view.name for view in other] == ["AAPL", "MSFT"] and other["MSFT"].index == 1
    assert table.name_of(1) == "MSFT" and table.name_of(2) is None and table.name_of(SYMBOLS) is None


def test_armed_follows_the_targets(table: Table) -> None:
    view = table.add("AAPL")
    seen = [book(table, view).armed]
    view.buy_below = "1"
    seen.append(book(table, view).armed)
    view.set_targets(buy_below=None, sell_above="2")
    seen.append(book(table, view).armed)
    view.sell_above = None
    seen.append(book(table, view).armed)
    assert seen == [0, 1, 1, 0]
    assert book(table, table.add("MSFT", sell_above=1)).armed == 1


def test_active_is_what_trades_or_has_traded(table: Table) -> None:
    view = table.add("AAPL")
    seen = [view.active]
    for struct, field in (
        (book(table, view), "holds"),
        (table._states[0], "orders_sent"),
        (book(table, view), "armed"),
    ):
        setattr(struct, field, 1)
        seen.append(view.active)
        setattr(struct, field, 0)
    assert seen == [False, True, True, True]


def test_health_is_one_word(table: Table) -> None:
    view = table.add("AAPL", feed=1)
    shared, feed = book(table, view), table._feeds[1]
    words = [view.health]
    for value in (lib.HFT_FEED_HOLD, lib.HFT_FEED_GAP, lib.HFT_FEED_ENDED, lib.HFT_FEED_LIVE):
        feed.health = value
        words.append(view.health)
    shared.locate = 13
    words.append(view.health)
    shared.health, shared.doubt = lib.HFT_BOOK_QUARANTINED, lib.HFT_DOUBT_UNKNOWN_REF
    words.append(view.health)
    for value in (lib.HFT_BOOK_CLEARING, lib.HFT_BOOK_INSTALLING):
        shared.health = value
        words.append(view.health)
    assert words == [
        "idle", "hold", "gap", "ended", "unlisted", "live", "quarantined: unknown_ref", "clearing", "installing",
    ]  # fmt: skip
    table.add("MSFT", feed=0)
    assert table.health() == {"installing": 1, "idle": 1}


def test_trading_is_what_the_exchange_says(table: Table) -> None:
    view = table.add("AAPL")
    shared, feed = book(table, view), table._feeds[0]
    words = [view.trading]
    feed.phase = lib.HFT_PHASE_MARKET
    words.append(view.trading)
    for state in b"HPQT":
        shared.trading_state = state
        words.append(view.trading)
    shared.operational_halt = 1
    words.append(view.trading)
    feed.breaker = ord("2")
    words.append(view.trading)
    assert words == [
        "closed", "unheard", "halted", "paused", "quoting", "trading", "operational_halt", "breaker",
    ]  # fmt: skip


def test_a_snapshot_has_book_market_and_position(table: Table) -> None:
    view = table.add("AAPL", feed=3, buy_below="163.20")
    shared, state = book(table, view), table._states[0]
    shared.best_e4 = [1_631_900, 1_632_000]
    shared.held, shared.window_e4 = [1, 1 << 63], [1_631_900, 1_600_000]
    shared.window[lib.HFT_BUY].cell[16_319 % 64], shared.behind_level[lib.HFT_SELL] = 3 << 40 | 300, (1 << 64) - 1
    shared.locate, shared.trading_state, shared.halt_reason, shared.reg_sho = 13, ord("H"), b"LUDP", ord("1")
    shared.last_e4, shared.last_qty, shared.volume = 1_632_000, 100, 3
    shared.notional_e4, shared.notional_high = 5, 1
    state.position, state.realized_e4, state.working_side = -5, -7, lib.HFT_SELL
    table._feeds[3].phase = lib.HFT_PHASE_MARKET
    snapshot = view.snapshot()
    assert (snapshot.bid_e4, snapshot.ask_e4) == (1_631_900, 1_632_000)
    assert (snapshot.bid_qty, snapshot.ask_qty) == (300, (1 << 40) - 1)
    assert (snapshot.name, snapshot.feed, snapshot.armed, snapshot.halted) == ("AAPL", 3, True, False)
    assert (snapshot.health, snapshot.doubt, snapshot.phase, snapshot.trading) == ("ok", "none", "market", "halted")
    assert (snapshot.halt_reason, snapshot.reg_sho, snapshot.breaker) == ("LUDP", "1", "")
    assert (snapshot.position, snapshot.realized_e4, snapshot.working_side) == (-5, -7, "sell")
    assert snapshot.notional_e4 == (1 << 64) + 5
    assert snapshot.vwap_e4 == ((1 << 64) + 5) // 3
    assert set(asdict(snapshot)) >= {"cost_e4", "mark_e4", "crossed_ns", "since_seq", "kept_seq", "cross_type"}


def test_prices_of_the_day(table: Table) -> None:
    view = table.add("AAPL")
    assert (view.last, view.volume, view.vwap) == (None, 0, None)
    shared = book(table, view)
    shared.last_e4, shared.volume, shared.notional_e4 = 1_632_050, 3, 3 * 1_632_000 + 2
    assert (view.last, view.volume, view.vwap) == (Decimal("163.205"), 3, Decimal("163.2001"))
    assert replace(view.snapshot(), notional_e4=3 * 1_632_000 + 1).vwap_e4 == 1_632_000


def test_a_book_that_never_holds_still_is_an_error(table: Table) -> None:
    view = table.add("AAPL")
    book(table, view).version = 1
    with pytest.raises(TurboHftError, match="AAPL: the hook changes this symbol without pause"):
        view.snapshot()


def test_auction_and_depth(table: Table) -> None:
    view = table.add("AAPL")
    auction = table._auctions[0]
    auction.luld_upper_e4, auction.ipo_qualifier = 1_700_000, ord("A")
    assert (view.auction.luld_upper_e4, view.auction.ipo_qualifier, view.auction.ipo_price_e4) == (1_700_000, "A", 0)
    assert view.depth() == Depth((), ())


def test_a_closed_table_is_an_error(table: Table) -> None:
    view = table.add("AAPL")
    table.close()
    with pytest.raises(ConfigError, match="closed"):
        table["AAPL"]
    assert view.snapshot().name == "AAPL", "the memory outlives the engine"


def test_ten_thousand_symbols_in_about_a_second() -> None:
    table = Table(Memory(16_384))
    start = time.monotonic()
    for i in range(10_000):
        table.add(f"S{i}")
    took = time.monotonic() - start
    assert len(table) == 10_000 and table["S9999"].index == 9999
    assert took < 10, f"{took:.2f} s"  # what it takes on a quiet machine is below one


def test_forgotten_symbols_are_gone(table: Table) -> None:
    table.add("AAPL")
    ffi.memmove(table._params, bytes(128), 128)
    table.forget()
    assert "AAPL" not in table and table.add("MSFT").index == 0
