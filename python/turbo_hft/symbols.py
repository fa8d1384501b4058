"""Live, typed views of each symbol: setting an attribute stores into memory the hook reads on its next packet."""

from __future__ import annotations

import errno
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple, Unpack

from turbo_hft import abi
from turbo_hft._native import ffi, lib
from turbo_hft.change import Changes
from turbo_hft.depth import BookTables, Depth
from turbo_hft.errors import ConfigError
from turbo_hft.kill import Switch
from turbo_hft.limits import SymbolLimits, SymbolLimitSettings, symbol_limits
from turbo_hft.parameters import Imbalance, Momentum, Quoter
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
from turbo_hft.strategies import TRADING, Trading, strategy_number
from turbo_hft.wire.price import parse_price_e4
from turbo_hft.words import Price, Tick, Whole, WordView

_NAME_BYTES = 8
_PATIENT, _PAUSE_S = 100, 0.001  # reading again what the hook is changing
_EMPTY = bytes(_NAME_BYTES)
_NAMED = 20  # symbols that an error message lists


def wire_name(name: str) -> bytes:
    """A symbol as ITCH and OUCH carry it: eight bytes, padded with spaces. Raises ConfigError."""
    raw = name.encode("ascii", errors="replace")
    if not 0 < len(raw) <= _NAME_BYTES or b"?" in raw or b" " in raw or not name.isprintable():
        raise ConfigError(f"symbol {name!r}: give 1 to 8 printable ASCII characters without spaces, such as AAPL.")
    return raw.ljust(_NAME_BYTES)


@dataclass(frozen=True, slots=True)
class _Shared:
    """Pointers to one symbol's elements of the shared arrays, and to its feed's."""

    params: Any
    book: Any
    state: Any
    auction: Any
    feed: Any


class SymbolView(WordView, Switch):
    """One tracked symbol. Attributes are live: reading asks the shared memory, setting stores into it.

    Prices are given as dollars (``"163.20"``, Decimal, int) with at most four decimals and read as Decimal; `None`
    switches a target off. Invalid values raise ConfigError or MalformedMessage and change nothing.

    `strategy` trades it. `buy_below`, `sell_above`, `base_qty`, `step_qty` and `cap_qty` are what threshold is told,
    the strategy a symbol has at first; what the others are told stands in `imbalance`, `momentum` and `quoter`.
    """

    __slots__ = ("_changes", "_params", "_rearm", "_shared", "_tables", "index")

    base_qty = Whole("base_qty", "Shares that threshold asks for at the target.")
    step_qty = Whole("step_qty", "Shares more for each whole tick beyond the target.")
    cap_qty = Whole("cap_qty", "Most shares that threshold asks for.")
    tick = Tick("tick_e4", "The price step of all strategies, dollars.")

    def __init__(
        self, index: int, shared: _Shared, tables: BookTables, changes: Changes | None, rearm: Callable[[int], None]
    ) -> None:
        super().__init__(_plain(bytes(ffi.buffer(shared.params.name))))
        self.index = index
        self._params = shared.params
        self._shared = shared
        self._tables = tables
        self._changes = changes  # None of a draft, which nobody else can see
        self._rearm = rearm

    def _struct(self) -> Any:
        return self._params

    def _write(self, words: Mapping[str, int]) -> None:
        """Store parameters; what is to be asked follows from them."""
        if self._changes is None:
            for field, word in words.items():
                setattr(self._params, field, word)
            self._arm()
            return
        with self._changes.change():
            self._changes.storing(self._arm)  # undone last, of what was before
            self._changes.store(self._params, words)
            self._arm()

    @property
    def feed(self) -> int:
        """Which feed lists it."""
        return int(self._params.feed)

    @property
    def limits(self) -> SymbolLimits:
        """What its orders must keep to."""
        changes = self._changes
        assert changes is not None
        return SymbolLimits(self.name, changes, lambda: changes.symbol_limits(self.index))

    @property
    def strategy(self) -> Trading | None:
        """Which strategy trades it; None = none. A fresh symbol has ``threshold``, which does nothing without a
        target."""
        return next((name for name in TRADING if strategy_number(name) == self._params.strategy), None)

    @strategy.setter
    def strategy(self, name: Trading | None) -> None:
        self._write({"strategy": 0 if name is None else strategy_number(name, TRADING)})

    @property
    def shadow(self) -> frozenset[Trading]:
        """Strategies that are asked too, whose orders do not leave: events of kind ``shadow`` say what they would have
        done."""
        return frozenset(name for name in TRADING if self._params.shadow >> strategy_number(name) & 1)

    @shadow.setter
    def shadow(self, names: Iterable[Trading]) -> None:
        if isinstance(names, str):
            raise ConfigError(f"{self.name}: shadow is {names!r}: give a set of strategies, such as {{{names!r}}}.")
        self._write({"shadow": sum(1 << strategy_number(name, TRADING) for name in set(names))})

    @property
    def imbalance(self) -> Imbalance:
        """What the strategy ``imbalance`` is told."""
        return Imbalance(self.name, self._params, self._write)

    @property
    def momentum(self) -> Momentum:
        """What the strategy ``momentum`` is told."""
        return Momentum(self.name, self._params, self._write)

    @property
    def quoter(self) -> Quoter:
        """What the strategy ``quoter`` is told."""
        return Quoter(self.name, self._params, self._write)

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
        """Set both targets after checking them together."""
        buy, sell = _price_e4(buy_below), _price_e4(sell_above)
        self._check_targets(buy, sell)
        self._write({"buy_below_e4": buy, "sell_above_e4": sell})

    def _arm(self) -> None:
        """Strategies are asked where one of them has something to do; everything else costs its symbol nothing."""
        asked = self.shadow if self.strategy is None else self.shadow | {self.strategy}
        self._shared.book.armed = any(self._told(strategy) for strategy in asked)

    def _told(self, strategy: Trading) -> bool:
        """Is a strategy that is asked about this symbol switched on by its parameters?"""
        params = self._params
        match strategy:
            case "threshold":
                return bool(params.buy_below_e4 or params.sell_above_e4)
            case "imbalance":
                return bool(params.imbalance_ppm)
            case "momentum":
                return bool(params.momentum_ticks)
            case "quoter":
                return bool(params.quote_half_spread_e4 and params.quote_qty)
            case "user":
                return True

    @property
    def buy_below(self) -> Decimal | None:
        """Buy when the best offer is at or below this; None = off."""
        return self._target("buy_below_e4")

    @buy_below.setter
    def buy_below(self, value: Price | None) -> None:
        price = _price_e4(value)
        self._check_targets(price, int(self._params.sell_above_e4))
        self._write({"buy_below_e4": price})

    @property
    def sell_above(self) -> Decimal | None:
        """Sell the position when the best bid is at or above this; None = off."""
        return self._target("sell_above_e4")

    @sell_above.setter
    def sell_above(self, value: Price | None) -> None:
        price = _price_e4(value)
        self._check_targets(int(self._params.buy_below_e4), price)
        self._write({"sell_above_e4": price})

    def _read_kill(self) -> int:
        return int(self._params.kill)

    def _store_kill(self, value: int) -> None:
        self._params.kill = value

    def _note_kill(self) -> None:
        if self._changes is not None:
            self._changes.note_if_free()

    @property
    def loss_latched(self) -> bool:
        """Has the day's loss of it reached `limits.max_loss`? Then only what reduces leaves, until `rearm`."""
        return bool(self._shared.state.loss_latched)

    def rearm(self) -> None:
        """A person has looked at its loss: lift the latch. It falls again at once while the loss is not below the
        limit. Raises TurboHftError if the hook refuses."""
        self._rearm(self.index)

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
        patience = _PATIENT
        while error == -errno.EAGAIN and patience:  # the hook's CPU may have been taken away in its middle
            patience -= 1
            time.sleep(_PAUSE_S)
            error = lib.hft_state_read(self._shared.book, self._shared.state, book, state)
        if error:
            raise os_error(error, f"{self.name}: the hook changes this symbol without pause; read it again")
        return symbol_snapshot(self.name, self.state, book[0], state[0], self._shared.feed)


def _plain(raw: bytes) -> str:
    return raw.decode("ascii").rstrip(" ")


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

    def __init__(self, program: Program, feeds: Any, changes: Changes, rearm: Callable[[int], None]) -> None:
        self._program = program
        self._capacity = program.config.symbols
        self._params = program.share("symbol_params", writable=True)
        self._states = program.share("symbol_state")
        self._books = program.share("books", writable=True)  # the hook's, but for `armed`, `name` and `feed`
        self._auctions = program.share("auctions")
        self._feeds = feeds
        self._tables = BookTables.of(program)
        self._changes = changes
        self._rearm = rearm
        self._slots: dict[str, int] = {}
        changes.tracked = lambda: len(self)

    def add(
        self,
        name: str,
        *,
        feed: int = 0,
        strategy: Trading | None = "threshold",
        shadow: Iterable[Trading] = (),
        buy_below: Price | None = None,
        sell_above: Price | None = None,
        base_qty: int = 100,
        step_qty: int = 0,
        tick: Price = "0.01",
        cap_qty: int = 500,
        **limits: Unpack[SymbolLimitSettings],
    ) -> SymbolView:
        """Track a symbol of a feed. Without a target, or another strategy that is told something, only its book is
        kept. `SymbolLimitSettings` says which limits there are, and what they are if they are not given.

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
        ffi.memmove(params.name, raw, _NAME_BYTES)
        params.feed = feed
        draft = SymbolView(index, _Shared(params, book, None, None, None), self._tables, None, self._rearm)
        draft.set({"base_qty": base_qty, "step_qty": step_qty, "cap_qty": cap_qty, "tick": tick})
        draft.strategy, draft.shadow = strategy, frozenset(shadow)
        draft.set_targets(buy_below=buy_below, sell_above=sell_above)
        draft.resume()
        with self._changes.change():
            self._changes.new_symbol(index, symbol_limits(name, limits))
            self._install(index, raw, params, book)
            self._slots[name] = index
        return self._view(index)

    def _install(self, index: int, raw: bytes, params: Any, book: Any) -> None:
        shared = self._books[index]
        shared.feed, shared.armed, shared.name = params.feed, book.armed, raw
        self._params[index] = params[0]
        try:
            self._register(raw, params.feed, index)
        except BaseException:
            ffi.memmove(ffi.addressof(self._params[index]), bytes(ffi.sizeof(params[0])), ffi.sizeof(params[0]))
            shared.name, shared.armed = _EMPTY, 0
            raise

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
            self._slots[_plain(raw)] = index
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
        return SymbolView(index, shared, self._tables, self._changes, self._rearm)

    def name_of(self, index: int) -> str | None:
        """Name of a slot, None if it is unused."""
        if index >= self._capacity or (raw := self._raw_name(index)) == _EMPTY:
            return None
        return _plain(raw)

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
