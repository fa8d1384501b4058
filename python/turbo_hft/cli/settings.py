"""Settings of a symbol as words: `key=value`, and `NAME:key=value,key=value`.

Prices are dollars (`163.20`), targets can be `off`; quantities are whole shares.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

from turbo_hft.errors import ConfigError, TurboHftError
from turbo_hft.wire.price import format_price_e4, parse_price_e4

TARGETS = ("buy_below", "sell_above")
PRICES = ("tick", "max_notional")
QUANTITIES = ("base_qty", "step_qty", "cap_qty", "max_order_qty", "max_position")
KEYS = (*TARGETS, *PRICES, *QUANTITIES)
GLOBAL_KEYS = ("max_orders_per_second",)

Value = str | int | None

EXPLAINED = """\
settings of a symbol (prices in dollars, quantities in shares):
  buy_below      buy when the best offer is at or below this; off = never
  sell_above     sell the position when the best bid is at or above this; off = never
  base_qty       shares at the target
  step_qty       shares more for each tick beyond the target
  tick           that tick
  cap_qty        most shares asked for at once
  max_order_qty  risk: most shares of one order
  max_notional   risk: most dollars of one order
  max_position   risk: most shares held"""


@dataclass(frozen=True, slots=True)
class SymbolSpec:
    """A symbol with its settings; those not named keep their defaults."""

    name: str
    settings: Mapping[str, Value]


class Tunable(Protocol):
    """A live symbol: the settings are attributes."""

    @property
    def name(self) -> str: ...
    def set_targets(self, *, buy_below: Any, sell_above: Any) -> None: ...


def parse_settings(words: Iterable[str], keys: tuple[str, ...] = KEYS) -> dict[str, Value]:
    """`key=value` words as a dict: prices as checked text, quantities as int, `off` as None. Raises ConfigError."""
    settings: dict[str, Value] = {}
    for word in words:
        key, separator, text = word.partition("=")
        if not separator or key not in keys:
            raise ConfigError(f"{word!r} is no setting: write key=value with one of {', '.join(keys)}")
        if key in settings:
            raise ConfigError(f"{key} is given twice: give it once")
        settings[key] = _value(key, text)
    return settings


def parse_symbol(text: str) -> SymbolSpec:
    """`NAME` or `NAME:key=value,key=value`. Raises ConfigError."""
    name, _, rest = text.partition(":")
    if not name:
        raise ConfigError(f"{text!r} names no symbol: write NAME:key=value,key=value")
    return SymbolSpec(name, parse_settings(rest.split(",") if rest else ()))


def apply(symbol: Tunable, settings: Mapping[str, Value]) -> None:
    """Set all of them, or none: what was set before a value that the engine refuses is put back."""
    before = {key: getattr(symbol, key) for key in {*settings, *TARGETS}}
    targets = {key: before[key] for key in TARGETS}
    try:
        if set(settings) - set(TARGETS):
            symbol.set_targets(buy_below=None, sell_above=None)  # nothing may trade on half of a change
        _set(symbol, {**targets, **settings})
    except TurboHftError:
        _set(symbol, before)
        raise


def current(symbol: Tunable) -> dict[str, Value]:
    """All settings as they are now: prices as text, quantities as int, None for off."""
    return {key: _shown(getattr(symbol, key)) for key in KEYS}


def _set(symbol: Tunable, settings: Mapping[str, Any]) -> None:
    for key, value in settings.items():
        if key not in TARGETS:
            setattr(symbol, key, value)
    if any(key in settings for key in TARGETS):
        # Together: raising both targets must not fail on the way because they would cross in between.
        values: dict[str, Any] = {key: settings.get(key, getattr(symbol, key)) for key in TARGETS}
        symbol.set_targets(**values)


def _shown(value: Decimal | int | None) -> Value:
    return format_price_e4(int(value * 10_000)) if isinstance(value, Decimal) else value


def _value(key: str, text: str) -> Value:
    if key in TARGETS and text in ("off", "none"):
        return None
    if key in TARGETS or key in PRICES:
        try:
            parse_price_e4(text)
        except TurboHftError as error:
            raise ConfigError(f"{key}: {error}") from error
        return text
    if not (text.isascii() and text.isdecimal()):
        raise ConfigError(f"{key}={text}: give a whole number, 0 or more")
    return int(text)
