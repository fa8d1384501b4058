"""The table of symbols on plain memory: what the hook would find there, and what a person is told."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from decimal import Decimal
from typing import Any, cast

import pytest
from turbo_hft import strategies
from turbo_hft._native import ffi, lib
from turbo_hft.change import Changes
from turbo_hft.depth import Depth
from turbo_hft.errors import ConfigError, MalformedMessage, TurboHftError
from turbo_hft.program import Program
from turbo_hft.symbols import Symbols, SymbolView
from unit.fakes import Memory

SYMBOLS = 256


class Table(Symbols):
    """Symbols whose names are registered in a dict."""

    def __init__(self, memory: Memory) -> None:
        self.registered: dict[tuple[bytes, int], int] = {}
        self.rearmed: list[int] = []
        self.refuse = False
        self.changes = Changes(memory)
        super().__init__(cast(Program, memory), memory.share("feed_state"), self.changes, self.rearmed.append)

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
    view = table.add("AAPL", feed=2, buy_below="163.20", sell_above="164", tick="0.0001", max_long=7)
    assert table.registered == {(b"AAPL    ", 2): 0}
    assert (view.name, view.feed, view.index, view.halted) == ("AAPL", 2, 0, False)
    assert (view.buy_below, view.sell_above, view.tick) == (Decimal("163.2"), Decimal(164), Decimal("0.0001"))
    assert (view.limits.max_long, view.base_qty, view.cap_qty) == (7, 100, 500)
    assert table.changes.epoch == 1, "one change, not one for each of its words"


@pytest.mark.parametrize(
    "wrong",
    [
        {"buy_below": "-1"},
        {"buy_below": 2, "sell_above": 2},
        {"tick": 0},
        {"base_qty": -1},
        {"max_long": 10**10},
        {"collar": "nonsense"},
        {"strategy": "manual"},
        {"shadow": ("quoter", "nonsense")},
        {"nonsense": 1},
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


def test_armed_follows_the_strategy(table: Table) -> None:
    """Each strategy is asked once it has been told something, and only where it trades or is in shadow."""
    view = table.add("AAPL")
    told = {
        "imbalance": lambda: setattr(view.imbalance, "share", "70%"),
        "momentum": lambda: setattr(view.momentum, "ticks", 3),
        "quoter": lambda: view.quoter.set({"half_spread": "0.02", "qty": 100}),
        "user": lambda: None,
    }
    for strategy in strategies.TRADING[1:]:
        told[strategy]()
        assert not book(table, view).armed, f"{strategy} is not this symbol's"
        view.strategy = strategy
        assert book(table, view).armed
        view.strategy = None
        assert not book(table, view).armed
        view.shadow = {strategy}
        assert book(table, view).armed and view.shadow == {strategy}
        view.shadow = ()
    assert table._params[0].strategy == 0
    view.strategy = "threshold"
    assert not book(table, view).armed
    view.buy_below = 1
    assert book(table, view).armed


def test_the_fresh_symbol_has_safe_limits(table: Table) -> None:
    limits = table.add("AAPL").limits
    assert (limits.max_long, limits.max_short, limits.short_ok, limits.restricted) == (1000, 0, False, False)
    assert (limits.max_order_qty, limits.max_notional, limits.max_open_orders) == (500, Decimal(100_000), 4)
    assert (limits.collar, limits.reference, limits.reference_age_s) == (Decimal("0.1"), "mid", 5)
    assert (limits.orders_per_second, limits.burst, limits.max_loss) == (100.0, 20, Decimal(10_000))
    for half in (0, 1):
        stored = table.changes._symbols[half * SYMBOLS]
        assert (stored.interval_ns, stored.collar_ppm) == (10_000_000, 100_000), "both sets know it"


def test_a_latch_of_a_symbol_is_lifted_by_its_slot(table: Table) -> None:
    table.add("AAPL")
    view = table.add("MSFT")
    table._states[1].loss_latched = 1
    assert view.loss_latched and not table["AAPL"].loss_latched
    view.rearm()
    assert table.rearmed == [1]


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
    state.position, state.realized_e4, state.fees_e8 = -5, -7, 10_001
    state.open_orders, state.open_ref, state.open_qty = 2, [0, 9, 0, 4], [300, 100]
    table._feeds[3].phase = lib.HFT_PHASE_MARKET
    snapshot = view.snapshot()
    assert (snapshot.bid_e4, snapshot.ask_e4) == (1_631_900, 1_632_000)
    assert (snapshot.bid_qty, snapshot.ask_qty) == (300, (1 << 40) - 1)
    assert (snapshot.name, snapshot.feed, snapshot.armed, snapshot.halted) == ("AAPL", 3, True, False)
    assert (snapshot.health, snapshot.doubt, snapshot.phase, snapshot.trading) == ("ok", "none", "market", "halted")
    assert (snapshot.halt_reason, snapshot.reg_sho, snapshot.breaker) == ("LUDP", "1", "")
    assert (snapshot.position, snapshot.realized_e4, snapshot.pnl_e4) == (-5, -7, -9)
    assert (snapshot.open_refs, snapshot.open_buy_qty, snapshot.open_sell_qty) == ((9, 4), 300, 100)
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
    size = ffi.sizeof("struct hft_symbol_params")
    ffi.memmove(table._params, bytes(size), size)
    table.forget()
    assert "AAPL" not in table and table.add("MSFT").index == 0
