"""Live, typed views of each symbol: setting an attribute is one store into memory the hook reads on its next packet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from turbo_hft import abi
from turbo_hft._native import ffi, lib
from turbo_hft.depth import BookTables, Depth
from turbo_hft.errors import ConfigError
from turbo_hft.program import Closed, Program, os_error
from turbo_hft.snapshots import (
    Auction,
    SymbolSnapshot,
    book_health,
    character,
    doubt_name,
    symbol_health,
    symbol_snapshot,
)
from turbo_hft.wire.price import parse_price_e4

Price = str | int | float | Decimal

_NAME_BYTES = 8
_EMPTY = bytes(_NAME_BYTES)
_U64_MAX = (1 << 64) - 1
_NAMED = 20  # symbols that an error message lists


def wire_name(name: str) -> bytes:
    """A symbol as ITCH and OUCH carry it: eight bytes, padded with spaces. Raises ConfigError."""
    raw = name.encode("ascii", errors="replace")
    if not 0 < len(raw) <= _NAME_BYTES or b"?" in raw or b" " in raw or not name.isprintable():
        raise ConfigError(f"symbol {name!r}: give 1 to 8 printable ASCII characters without spaces, such as AAPL.")
    return raw.ljust(_NAME_BYTES)


def _quantity(field: str, doc: str) -> Any:
    """A property that is one unsigned 64-bit word of the parameters."""

    def read(self: SymbolView) -> int:
        return int(getattr(self._params, field))

    def write(self: SymbolView, value: int) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _U64_MAX:
            raise ConfigError(f"{self.name}: {field} is {value!r}: give a whole number of shares, 0 or more.")
        setattr(self._params, field, value)
        self._changed()

    return property(read, write, doc=doc)


@dataclass(frozen=True, slots=True)
class _Shared:
    """Pointers to one symbol's elements of the shared arrays, and to its feed's."""

    params: Any
    book: Any
    state: Any
    auction: Any
    feed: Any


class SymbolView:
    """One tracked symbol. Attributes are live: reading asks the shared memory, setting stores into it.

    Prices are given as dollars (``"163.20"``, Decimal, int) with at most four decimals and read as Decimal; `None`
    switches a target off. Invalid values raise ConfigError or MalformedMessage and change nothing.
    """

    # A limit with a slip in its name must not be an attribute that nobody reads.
    __slots__ = ("_changed", "_params", "_shared", "_tables", "index")

    def __init__(self, index: int, shared: _Shared, tables: BookTables, changed: Callable[[], None]) -> None:
        self.index = index
        self._params = shared.params
        self._shared = shared
        self._tables = tables
        self._changed = changed

    @property
    def name(self) -> str:
        """The symbol, without padding."""
        return bytes(ffi.buffer(self._params.name)).decode("ascii").rstrip(" ")

    @property
    def feed(self) -> int:
        """Which feed lists it."""
        return int(self._params.feed)

    def _target(self, field: str) -> Decimal | None:
        value = int(getattr(self._params, field))
        return Decimal(value) / 10000 if value else None

    def _check_targets(self, buy_e4: int, sell_e4: int) -> None:
        if buy_e4 and sell_e4 and sell_e4 <= buy_e4:
            raise ConfigError(
                f"{self.name}: sell_above {Decimal(sell_e4) / 10000} must be above buy_below "
                f"{Decimal(buy_e4) / 10000}, or the strategy would buy and sell at one price."
            )

    def set_targets(self, *, buy_below: Price | None, sell_above: Price | None) -> None:
        """Set both targets after checking them together; each is one store, the buy target is off in between."""
        buy, sell = _price_e4(buy_below), _price_e4(sell_above)
        self._check_targets(buy, sell)
        self._params.buy_below_e4 = 0
        self._params.sell_above_e4 = sell
        self._params.buy_below_e4 = buy
        self._arm()
        self._changed()

    def _arm(self) -> None:
        """The strategy is asked where there is a target; everything else costs its symbol nothing."""
        self._shared.book.armed = bool(self._params.buy_below_e4 or self._params.sell_above_e4)

    @property
    def buy_below(self) -> Decimal | None:
        """Buy when the best offer is at or below this; None = off."""
        return self._target("buy_below_e4")

    @buy_below.setter
    def buy_below(self, value: Price | None) -> None:
        price = _price_e4(value)
        self._check_targets(price, int(self._params.sell_above_e4))
        self._params.buy_below_e4 = price
        self._arm()
        self._changed()

    @property
    def sell_above(self) -> Decimal | None:
        """Sell the position when the best bid is at or above this; None = off."""
        return self._target("sell_above_e4")

    @sell_above.setter
    def sell_above(self, value: Price | None) -> None:
        price = _price_e4(value)
        self._check_targets(int(self._params.buy_below_e4), price)
        self._params.sell_above_e4 = price
        self._arm()
        self._changed()

    base_qty = _quantity("base_qty", "Shares asked for at the target.")
    step_qty = _quantity("step_qty", "Shares more for each whole tick beyond the target.")
    cap_qty = _quantity("cap_qty", "Most shares the strategy asks for.")
    max_order_qty = _quantity("max_order_qty", "Risk: most shares of one order.")

    @property
    def max_position(self) -> int:
        """Risk: most shares held, long or short."""
        return int(self._params.max_position)

    @max_position.setter
    def max_position(self, value: int) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= lib.HFT_MAX_POSITION:
            raise ConfigError(f"{self.name}: max_position is {value!r}: give 0 to {lib.HFT_MAX_POSITION} shares.")
        self._params.max_position = value
        self._changed()

    @property
    def tick(self) -> Decimal:
        """The price step that `step_qty` counts in, dollars."""
        return Decimal(int(self._params.tick_e4)) / 10000

    @tick.setter
    def tick(self, value: Price) -> None:
        tick_e4 = parse_price_e4(value)
        if not 0 < tick_e4 <= 0xFFFFFFFF:
            raise ConfigError(f"{self.name}: tick {value!r}: give a price step above 0, such as 0.01.")
        self._params.tick_e4 = tick_e4
        self._changed()

    @property
    def max_notional(self) -> Decimal:
        """Risk: most dollars (price x quantity) of one order."""
        return Decimal(int(self._params.max_notional_e4)) / 10000

    @max_notional.setter
    def max_notional(self, value: Price) -> None:
        self._params.max_notional_e4 = parse_price_e4(value)
        self._changed()

    @property
    def halted(self) -> bool:
        """Is the symbol's kill switch thrown?"""
        return bool(self._params.kill != lib.HFT_ACTIVE)

    def halt(self) -> None:
        """Throw the symbol's kill switch: no order leaves after this store."""
        self._params.kill = lib.HFT_HALTED
        self._changed()

    def resume(self) -> None:
        """Let the symbol trade again, as far as the global kill switch does."""
        self._params.kill = lib.HFT_ACTIVE
        self._changed()

    @property
    def active(self) -> bool:
        """Has it a target, a position, or has it ever had an order?"""
        shared = self._shared
        return bool(shared.book.armed or shared.book.holds or shared.state.orders_sent)

    @property
    def health(self) -> str:
        """Can it be traded on, as far as our own picture goes: ``live``, or why not.

        The book comes first: ``quarantined: `` and the doubt (such as ``quarantined: unknown_ref``), ``clearing``,
        ``installing``. Then the feed, when it is not live: ``idle``, ``hold``, ``gap``, ``ended``. Then ``unlisted``:
        no directory message has named it yet.
        """
        return symbol_health(self._shared.book, self._shared.feed)

    @property
    def trading(self) -> str:
        """What the exchange lets happen in it: see `SymbolSnapshot.trading`."""
        return self.snapshot().trading

    @property
    def last(self) -> Decimal | None:
        """Price of the last trade that counts, dollars; None before the first of the day."""
        price = int(self._shared.book.last_e4)
        return Decimal(price) / 10000 if price else None

    @property
    def volume(self) -> int:
        """Shares of all trades that count."""
        return int(self._shared.book.volume)

    @property
    def vwap(self) -> Decimal | None:
        """Volume-weighted average price of those trades, dollars, to 1/10000; None before the first."""
        price = self.snapshot().vwap_e4
        return None if price is None else Decimal(price) / 10000

    @property
    def auction(self) -> Auction:
        """What the exchange last said of an auction; each field is right, all together are one message's."""
        values = abi.fields(self._shared.auction)
        values["ipo_qualifier"] = character(values["ipo_qualifier"])
        return Auction(**values)

    def depth(self, n: int = 10) -> Depth:
        """The best `n` prices of each side (1 to 65,536), of one moment; the hook is not stopped.

        A book in quarantine shows what it was when the doubt came, one that is being cleared shows nothing.
        """
        return self._tables.depth(self._shared.book, self.index, n)

    def snapshot(self) -> SymbolSnapshot:
        """A copy that the hook did not change while it was made."""
        book, state = ffi.new("struct hft_book *"), ffi.new("struct hft_symbol_state *")
        error = lib.hft_state_read(self._shared.book, self._shared.state, book, state)
        if error:
            raise os_error(error, f"{self.name}: the hook changes this symbol without pause; read it again")
        return symbol_snapshot(self.name, self.halted, book[0], state[0], self._shared.feed)


def _price_e4(value: Price | None) -> int:
    return 0 if value is None else parse_price_e4(value)


class BookState(NamedTuple):
    """How far a book can be believed: see `SymbolSnapshot` for the words. Each field is right, not all of one
    moment."""

    slot: int
    name: str
    feed: int
    health: str
    doubt: str
    since_seq: int
    kept_seq: int
    locate: int
    armed: bool


class Symbols:
    """The tracked symbols of an engine, by name. A symbol keeps its slot for the engine's life; how many there can be
    was fixed when the program was loaded (`LoadSettings.symbols`)."""

    def __init__(self, program: Program, feeds: Any, changed: Callable[[], None]) -> None:
        self._program = program
        self._capacity = program.config.symbols
        self._params = program.share("symbol_params", writable=True)
        self._states = program.share("symbol_state")
        self._books = program.share("books", writable=True)  # the hook's, but for `armed`, `name` and `feed`
        self._auctions = program.share("auctions")
        self._feeds = feeds
        self._tables = BookTables.of(program)
        self._changed = changed
        self._slots: dict[str, int] = {}

    def add(
        self,
        name: str,
        *,
        feed: int = 0,
        buy_below: Price | None = None,
        sell_above: Price | None = None,
        base_qty: int = 100,
        step_qty: int = 0,
        tick: Price = "0.01",
        cap_qty: int = 500,
        max_order_qty: int = 500,
        max_notional: Price = 100_000,
        max_position: int = 1000,
    ) -> SymbolView:
        """Track a symbol of a feed. Without a target only its book is kept.

        It must be known before its directory message of the day passes, or its book is in quarantine until a snapshot
        is installed. Raises ConfigError for a name already there, a full table or bad values; then nothing is tracked.
        """
        raw = wire_name(name)
        if name in self:
            raise ConfigError(f"{name} is tracked already: set attributes of engine.symbols[{name!r}].")
        feeds = self._program.config.feeds
        if isinstance(feed, bool) or not isinstance(feed, int) or not 0 <= feed < feeds:
            raise ConfigError(f"{name}: feed is {feed!r}: give 0 to {feeds - 1}, its place in configure().")
        index = len(self._slots)
        if index == self._capacity:
            raise ConfigError(f"{name}: all {self._capacity} symbols are in use. Load the engine with more of them.")
        # Everything is checked on a draft: the hook and other processes see a whole symbol or none.
        params, book = ffi.new("struct hft_symbol_params *"), ffi.new("struct hft_book *")
        draft = SymbolView(index, _Shared(params, book, None, None, None), self._tables, lambda: None)
        ffi.memmove(params.name, raw, _NAME_BYTES)
        params.feed = feed
        draft.set_targets(buy_below=buy_below, sell_above=sell_above)
        draft.base_qty, draft.step_qty, draft.cap_qty = base_qty, step_qty, cap_qty
        draft.tick, draft.max_notional = tick, max_notional
        draft.max_order_qty, draft.max_position = max_order_qty, max_position
        draft.resume()
        shared = self._books[index]
        shared.feed, shared.armed, shared.name = feed, book.armed, raw
        self._params[index] = params[0]
        try:
            self._register(raw, feed, index)
        except BaseException:
            ffi.memmove(ffi.addressof(self._params[index]), bytes(ffi.sizeof(params[0])), ffi.sizeof(params[0]))
            shared.name, shared.armed = _EMPTY, 0
            raise
        self._slots[name] = index
        self._changed()
        return self._view(index)

    def close(self) -> None:
        """Called by the engine: no symbol can be reached through it any more."""
        closed: Any = Closed()
        self._params = self._states = self._books = self._auctions = closed

    def forget(self) -> None:
        """What was tracked is gone from the maps: begin anew."""
        self._slots.clear()

    def _register(self, raw: bytes, feed: int, index: int) -> None:
        key = ffi.new("struct hft_name_key *", {"name": raw, "feed": feed})
        error = lib.hft_map_write(self._program.map("symbol_names"), key, ffi.new("uint32_t *", index))
        if error:
            raise os_error(error, "cannot register the symbol")

    def _raw_name(self, index: int) -> bytes:
        return bytes(ffi.buffer(self._params[index].name))

    def _known(self) -> dict[str, int]:
        """Name -> slot. Slots are given out in order and never back, by this process or another one."""
        while (index := len(self._slots)) < self._capacity and (raw := self._raw_name(index)) != _EMPTY:
            self._slots[raw.decode("ascii").rstrip(" ")] = index
        return self._slots

    def _view(self, index: int) -> SymbolView:
        params = self._params[index]
        shared = _Shared(
            params,
            ffi.addressof(self._books[index]),
            ffi.addressof(self._states[index]),
            self._auctions[index],
            self._feeds[params.feed],
        )
        return SymbolView(index, shared, self._tables, self._changed)

    def name_of(self, index: int) -> str | None:
        """Name of a slot, None if it is unused."""
        if index >= self._capacity or (raw := self._raw_name(index)) == _EMPTY:
            return None
        return raw.decode("ascii").rstrip(" ")

    def health(self) -> dict[str, int]:
        """How many symbols there are in each state, by the words of `SymbolView.health`."""
        slots = self._known().values()
        return dict(Counter(symbol_health(self._books[i], self._feeds[self._params[i].feed]) for i in slots))

    def book(self, slot: int) -> BookState:
        """How far the book of a slot can be believed."""
        book = self._books[slot]
        return BookState(
            slot,
            self.name_of(slot) or "",
            book.feed,
            book_health(book.health),
            doubt_name(book.doubt),
            book.since_seq,
            book.kept_seq,
            book.locate,
            bool(book.armed),
        )

    def books(self, feed: int) -> list[BookState]:
        """All books of a feed, in the order of their slots."""
        return [self.book(slot) for slot in range(len(self)) if self._books[slot].feed == feed]

    def doubtful(self, feed: int) -> list[BookState]:
        """The books of a feed that are not ok, in the order of their slots."""
        size, tracked = ffi.sizeof("struct hft_book"), len(self)
        at = ffi.offsetof("struct hft_book", "health")
        health = memoryview(ffi.buffer(self._books, size * self._capacity))[at : size * tracked : size].tobytes()
        slots = (slot for slot, value in enumerate(health) if value != lib.HFT_BOOK_OK)
        return [self.book(slot) for slot in slots if self._books[slot].feed == feed]

    def __getitem__(self, name: str) -> SymbolView:
        slot = self._known().get(name)
        if slot is not None:
            return self._view(slot)
        names = list(self._slots)
        known = (
            ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "") or "none"
        )
        raise ConfigError(f"{name} is not tracked (tracked: {known}). Add it with engine.symbols.add({name!r}, ...).")

    def __contains__(self, name: object) -> bool:
        return name in self._known()

    def __iter__(self) -> Iterator[SymbolView]:
        return (self._view(slot) for slot in list(self._known().values()))

    def __len__(self) -> int:
        return len(self._known())
