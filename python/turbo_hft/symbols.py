"""Live, typed views of each symbol: setting an attribute is one store into memory the hook reads on its next packet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from turbo_hft import abi
from turbo_hft._native import ffi, lib
from turbo_hft.errors import ConfigError
from turbo_hft.program import Closed, Program, os_error
from turbo_hft.snapshots import SymbolSnapshot, book_health, side_name
from turbo_hft.wire.price import parse_price_e4

Price = str | int | float | Decimal

_NAME_BYTES = 8
_EMPTY = bytes(_NAME_BYTES)
_U64_MAX = (1 << 64) - 1


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


class SymbolView:
    """One tracked symbol. Attributes are live: reading asks the shared memory, setting stores into it.

    Prices are given as dollars (``"163.20"``, Decimal, int) with at most four decimals and read as Decimal; `None`
    switches a
    target off. Invalid values raise ConfigError or MalformedMessage and change nothing.
    """

    # A limit with a slip in its name must not be an attribute that nobody reads.
    __slots__ = ("_changed", "_params", "_state", "index")

    def __init__(self, index: int, params: Any, state: Any, changed: Callable[[], None]) -> None:
        self.index = index
        self._params = params
        self._state = state
        self._changed = changed

    @property
    def name(self) -> str:
        """The symbol, without padding."""
        return bytes(ffi.buffer(self._params.name)).decode("ascii").rstrip(" ")

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
        self._changed()

    @property
    def buy_below(self) -> Decimal | None:
        """Buy when the best offer is at or below this; None = off."""
        return self._target("buy_below_e4")

    @buy_below.setter
    def buy_below(self, value: Price | None) -> None:
        price = _price_e4(value)
        self._check_targets(price, int(self._params.sell_above_e4))
        self._params.buy_below_e4 = price
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

    def snapshot(self) -> SymbolSnapshot:
        """A copy that the hook did not change while it was made."""
        copy = ffi.new("struct hft_symbol_state *")
        error = lib.hft_state_read(self._state, copy)
        if error:
            raise os_error(error, f"{self.name}: the hook changes this symbol without pause; read it again")
        values = abi.fields(copy[0])
        del values["version"]
        values["health"] = book_health(values["health"])
        values["working_side"] = side_name(values["working_side"])
        return SymbolSnapshot(name=self.name, halted=self.halted, **values)


def _price_e4(value: Price | None) -> int:
    return 0 if value is None else parse_price_e4(value)


class Symbols:
    """The tracked symbols of an engine, by name. At most HFT_MAX_SYMBOLS; a symbol keeps its slot for the engine's
    life."""

    def __init__(self, program: Program, changed: Callable[[], None]) -> None:
        self._program = program
        self._params = program.share("symbol_params", writable=True)
        self._states = program.share("symbol_state")
        self._changed = changed

    def add(
        self,
        name: str,
        *,
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
        """Track a symbol. It must be known before its directory message of the day passes, or it has no book and
        does not trade.

        Raises ConfigError for a name already there, a full table or bad values; then nothing is tracked.
        """
        raw = wire_name(name)
        if name in self:
            raise ConfigError(f"{name} is tracked already: set attributes of engine.symbols[{name!r}].")
        index = next((i for i in range(lib.HFT_MAX_SYMBOLS) if self._raw_name(i) == _EMPTY), None)
        if index is None:
            raise ConfigError(f"{name}: all {lib.HFT_MAX_SYMBOLS} symbols are in use.")
        view = self._view(index)
        try:
            ffi.memmove(view._params.name, raw, _NAME_BYTES)
            view.set_targets(buy_below=buy_below, sell_above=sell_above)
            view.base_qty, view.step_qty, view.cap_qty = base_qty, step_qty, cap_qty
            view.tick, view.max_notional = tick, max_notional
            view.max_order_qty, view.max_position = max_order_qty, max_position
            view.resume()
            self._register(raw, index)
        except BaseException:
            ffi.memmove(
                ffi.addressof(self._params[index]),
                bytes(ffi.sizeof("struct hft_symbol_params")),
                ffi.sizeof("struct hft_symbol_params"),
            )
            raise
        return view

    def close(self) -> None:
        """Called by the engine: no symbol can be reached through it any more."""
        closed: Any = Closed()
        self._params = self._states = closed

    def _register(self, raw: bytes, index: int) -> None:
        error = lib.hft_map_write(self._program.map("symbol_names"), ffi.from_buffer(raw), ffi.new("uint32_t *", index))
        if error:
            raise os_error(error, "cannot register the symbol")

    def _raw_name(self, index: int) -> bytes:
        return bytes(ffi.buffer(self._params[index].name))

    def _view(self, index: int) -> SymbolView:
        return SymbolView(index, self._params[index], ffi.addressof(self._states[index]), self._changed)

    def name_of(self, index: int) -> str | None:
        """Name of a slot, None if it is unused."""
        if index >= lib.HFT_MAX_SYMBOLS or self._raw_name(index) == _EMPTY:
            return None
        return self._view(index).name

    def __getitem__(self, name: str) -> SymbolView:
        for view in self:
            if view.name == name:
                return view
        known = ", ".join(view.name for view in self) or "none"
        raise ConfigError(f"{name} is not tracked (tracked: {known}). Add it with engine.symbols.add({name!r}, ...).")

    def __contains__(self, name: object) -> bool:
        return any(view.name == name for view in self)

    def __iter__(self) -> Iterator[SymbolView]:
        for index in range(lib.HFT_MAX_SYMBOLS):
            if self._raw_name(index) != _EMPTY:
                yield self._view(index)

    def __len__(self) -> int:
        return sum(1 for _ in self)
