"""Settings as words: `key=value`, and of a symbol `NAME:key=value,key=value`.

Prices and money are dollars (`163.20`), targets can be `off`; quantities are whole shares. What a key means, and what
it can be, is asked of the live attributes that it names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from turbo_hft.errors import ConfigError, TurboHftError
from turbo_hft.wire.price import parse_price_e4

if TYPE_CHECKING:
    from turbo_hft.engine import Engine
    from turbo_hft.symbols import SymbolView
    from turbo_hft.words import Word

TARGETS = ("buy_below", "sell_above")
CHOICES = ("strategy", "shadow")
_OFF = ("off", "none")
_FEE = "fee."
_YES, _NO = ("yes", "true", "on", "1"), ("no", "false", "off", "0")

Value = Any

EXPLAINED = """\
settings of a symbol (money in dollars, quantities in shares, times in seconds):
  strategy       threshold (at first), imbalance, momentum, quoter, user, or off
  shadow         strategies that are asked too without their orders leaving, as in quoter+momentum; off
  tick           the price step of all strategies
  buy_below      threshold: buy when the best offer is at or below this; off = never
  sell_above     threshold: sell the position when the best bid is at or above this; off = never
  base_qty       threshold: shares at the target
  step_qty       threshold: shares more for each tick beyond the target
  cap_qty        threshold: most shares asked for at once
  imbalance.     share, least, qty
  momentum.      ticks, window_s, qty
  quoter.        half_spread, qty, skew, inventory, requote
limits of a symbol:
  max_order_qty, max_notional       most shares and dollars of one order
  max_long, max_short, short_ok     most shares held and short; short sales need short_ok=yes
  max_open_orders, max_loss         orders open at once; the day's loss from which on only what reduces may leave
  orders_per_second, burst          throttle
  collar, reference, reference_age_s   how far (10%, 50bp) a price may be from mid or last, which may be so old
  restricted                        yes: no order"""

ACCOUNT_EXPLAINED = """\
without a symbol:
  max_order_qty, max_notional       most shares and dollars of one order
  max_gross, max_net                most dollars of all positions and open orders
  max_open_orders, max_loss         orders open at once; the day's loss from which on only what reduces may leave
  orders_per_second, burst          throttle
  duplicate_window_s                an equal order within this time is refused; 0 = not checked
  STRATEGY.limit                    max_order_qty, max_notional, max_open_orders, max_executions, orders_per_second,
                                    burst of threshold, imbalance, momentum, quoter, user, manual (orders by hand)
  mark                              what positions are valued at: side, mid, last
  fee.R                             dollars a share of executions with liquidity flag R; negative = received"""


@dataclass(frozen=True, slots=True)
class SymbolSpec:
    """A symbol with its settings; those not named keep their defaults."""

    name: str
    settings: Mapping[str, Value]


def symbol_words() -> dict[str, Word[Any, Any]]:
    """Every setting of a symbol that is one word, by its key."""
    from turbo_hft.limits import SymbolLimits
    from turbo_hft.parameters import GROUPS
    from turbo_hft.symbols import SymbolView

    groups = {f"{group}.{name}": word for group, view in GROUPS.items() for name, word in view.all_words().items()}
    return {**SymbolView.all_words(), **groups, **SymbolLimits.all_words()}


def account_words() -> dict[str, Word[Any, Any]]:
    """Every setting of the whole engine that is one word, by its key."""
    from turbo_hft.limits import AccountLimits, StrategyLimits
    from turbo_hft.strategies import TRADING

    strategies = {
        f"{name}.{limit}": word for name in (*TRADING, "manual") for limit, word in StrategyLimits.all_words().items()
    }
    return {**AccountLimits.all_words(), **strategies}


def parse_symbol_settings(words: Iterable[str]) -> dict[str, Value]:
    """`key=value` words of a symbol, as values for its attributes. Raises ConfigError."""
    known = symbol_words()
    settings: dict[str, Value] = {}
    for key, text in _split(words, (*CHOICES, *TARGETS, *known)):
        if key in TARGETS:
            settings[key] = None if text in _OFF else _price(key, text)
        elif key == "strategy":
            settings[key] = None if text in _OFF else text
        elif key == "shadow":
            settings[key] = frozenset() if text in _OFF else frozenset(text.split("+"))
        else:
            settings[key] = typed(key, known[key], text)
    return settings


def parse_account_settings(words: Iterable[str]) -> dict[str, Value]:
    """`key=value` words of the whole engine. Raises ConfigError."""
    known = account_words()
    settings: dict[str, Value] = {}
    for key, text in _split(words, (*known, "mark", "fee.FLAG")):
        settings[key] = text if key == "mark" or key.startswith(_FEE) else typed(key, known[key], text)
    return settings


def _split(words: Iterable[str], keys: tuple[str, ...]) -> Iterable[tuple[str, str]]:
    seen: set[str] = set()
    for word in words:
        key, separator, text = word.partition("=")
        fee = "fee.FLAG" in keys and key.startswith(_FEE) and len(key) == len(_FEE) + 1
        if not separator or (key not in keys and not fee):
            raise ConfigError(f"{word!r} is no setting: write key=value with one of {', '.join(keys)}")
        if key in seen:
            raise ConfigError(f"{key} is given twice: give it once")
        seen.add(key)
        yield key, text


def _price(key: str, text: str) -> str:
    try:
        parse_price_e4(text)
    except TurboHftError as error:
        raise ConfigError(f"{key}: {error}") from error
    return text


def checked_price(key: str, value: Value) -> None:
    """Raises ConfigError for what is no price."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ConfigError(f"{key} is {value!r}: give dollars, or off")
    _price(key, value if isinstance(value, str) else str(value))


def checked_fee(flag: str, value: Value) -> None:
    """Raises ConfigError for what is no fee."""
    from turbo_hft.fees import fee_e8

    fee_e8(flag, value)


def typed(key: str, word: Word[Any, Any], text: str) -> Value:
    """What a text is for the attribute that it names. Raises ConfigError."""
    from turbo_hft.words import Dollars, Flag, Rate, Seconds, Whole

    value: Value = text
    if isinstance(word, Dollars):
        return _price(key, text)
    if isinstance(word, Whole):
        if not (text.isascii() and text.isdecimal()):
            raise ConfigError(f"{key}={text}: give a whole number, 0 or more")
        value = int(text)
    elif isinstance(word, (Seconds, Rate)):
        try:
            value = float(text)
        except ValueError:
            raise ConfigError(f"{key}={text}: give a number, 0 or more") from None
    elif isinstance(word, Flag):
        if text not in (*_YES, *_NO):
            raise ConfigError(f"{key}={text}: give yes or no")
        value = text in _YES
    word.word(key, value)  # what cannot be is said before anything is touched
    return value


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be set, of one symbol or, without a name, of the whole engine."""

    symbol: str | None
    settings: Mapping[str, Value]


def parse_change(words: Sequence[str]) -> Change:
    """A change as people write it: ``AAPL buy_below=164.00 max_long=300``, ``max_gross=2000000``; no engine is asked.

    Raises ConfigError for what can be no setting of any engine.
    """
    name, rest = (words[0], words[1:]) if words and "=" not in words[0] else (None, words)
    if not rest:
        raise ConfigError("nothing to set: write key=value, see turbo-hft set --help")
    return Change(name, parse_account_settings(rest) if name is None else parse_symbol_settings(rest))


def apply(engine: Engine, change: Change) -> dict[str, Value]:
    """Make a change, all of it or none; the settings afterwards, for people and JSON. Raises ConfigError, and
    TurboHftError while another process is in the middle of a change."""
    if change.symbol is not None:
        symbol = engine.symbols[change.symbol]
        apply_symbol(engine, symbol, change.settings)
        return current(symbol)
    apply_account(engine, change.settings)
    named = {key.rpartition(".")[0] for key in change.settings} - {"", "fee"}
    return account(engine) | strategy_limits(engine, sorted(named))


def parse_symbol(text: str) -> SymbolSpec:
    """`NAME` or `NAME:key=value,key=value`. Raises ConfigError."""
    name, _, rest = text.partition(":")
    if not name:
        raise ConfigError(f"{text!r} names no symbol: write NAME:key=value,key=value")
    return SymbolSpec(name, parse_symbol_settings(rest.split(",") if rest else ()))


def add(engine: Engine, spec: SymbolSpec) -> None:
    """Track a symbol with these settings. Its strategy is asked once all of them hold: the engine may be trading."""
    groups = {key: value for key, value in spec.settings.items() if "." in key}
    plain: dict[str, Any] = {"strategy": "threshold"}
    plain.update((key, value) for key, value in spec.settings.items() if "." not in key)
    strategy = plain.pop("strategy")
    with engine.change():
        symbol = engine.symbols.add(spec.name, strategy=None, **plain)
        _set_groups(symbol, groups)
        symbol.strategy = strategy


def apply_symbol(engine: Engine, symbol: SymbolView, settings: Mapping[str, Value]) -> None:
    """Set all of them, or none: what was set before a value that the engine refuses is put back."""
    from turbo_hft.limits import SymbolLimits

    limits = {key: value for key, value in settings.items() if key in SymbolLimits.all_words()}
    others = {key: value for key, value in settings.items() if key not in limits}
    before = {key: value for key, value in parameters(symbol).items() if key in {*others, *CHOICES, *TARGETS}}
    try:
        with engine.change():
            symbol.limits.set(limits)
            if others:
                _set(symbol, {**{key: before[key] for key in (*CHOICES, *TARGETS)}, **others})
    except TurboHftError:
        _set(symbol, before)
        raise


def _set(symbol: SymbolView, settings: Mapping[str, Value]) -> None:
    symbol.strategy = None  # nothing may trade on half of a change
    symbol.set({key: value for key, value in settings.items() if key in symbol.all_words()})
    _set_groups(symbol, {key: value for key, value in settings.items() if "." in key})
    # Together: raising both targets must not fail on the way because they would cross in between.
    symbol.set_targets(buy_below=settings["buy_below"], sell_above=settings["sell_above"])
    symbol.shadow, symbol.strategy = settings["shadow"], settings["strategy"]


def _set_groups(symbol: SymbolView, settings: Mapping[str, Value]) -> None:
    for key, value in settings.items():
        group, _, name = key.partition(".")
        getattr(symbol, group).set({name: value})


def apply_account(engine: Engine, settings: Mapping[str, Value]) -> None:
    """Set all of them; limits together, or none of them."""
    with engine.change():
        for key, value in settings.items():
            group, _, name = key.rpartition(".")
            if key == "mark":
                engine.mark = value
            elif group == "fee":
                engine.fees[name] = value
            elif group:
                engine.strategies[group].limits.set({name: value})
            else:
                engine.limits.set({name: value})


def parameters(symbol: SymbolView) -> dict[str, Value]:
    """Everything of a symbol that is no limit, as it is now."""
    from turbo_hft.parameters import GROUPS

    groups = {f"{group}.{key}": value for group in GROUPS for key, value in getattr(symbol, group).as_dict().items()}
    return {
        "strategy": symbol.strategy,
        "shadow": symbol.shadow,
        "buy_below": symbol.buy_below,
        "sell_above": symbol.sell_above,
        **symbol.as_dict(),
        **groups,
    }


def current(symbol: SymbolView) -> dict[str, Value]:
    """All settings of a symbol as they are now, for people and JSON."""
    return {key: shown(value) for key, value in {**parameters(symbol), **symbol.limits.as_dict()}.items()}


def account(engine: Engine) -> dict[str, Value]:
    """Limits of the account as they are now, mark and fees, for people and JSON."""
    fees = {f"{_FEE}{flag}": fee for flag, fee in engine.fees.items()}
    return {key: shown(value) for key, value in {**engine.limits.as_dict(), "mark": engine.mark, **fees}.items()}


def strategy_limits(engine: Engine, names: Iterable[str]) -> dict[str, Value]:
    """Limits of strategies as they are now, as ``quoter.max_executions``."""
    limits = {name: engine.strategies[name].limits.as_dict() for name in names}
    return {f"{name}.{key}": shown(value) for name, each in limits.items() for key, value in each.items()}


def shown(value: Value) -> Value:
    """Money as text with two decimals or more, whole numbers without a point, sets as lists."""
    if isinstance(value, Decimal):
        whole, _, decimals = format(value.normalize(), "f").partition(".")
        return f"{whole}.{decimals:0<2}"
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return sorted(value) if isinstance(value, (set, frozenset)) else value


def line(settings: Mapping[str, Value]) -> str:
    """`key=value` words, as they could be given."""
    return " ".join(f"{key}={_word(value)}" for key, value in settings.items())


def _word(value: Value) -> str:
    if value is None or value == []:
        return "off"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "+".join(value) if isinstance(value, list) else str(value)
