"""The strategies of an engine, by name: each with a kill switch, limits and figures of its own.

``threshold``, ``imbalance``, ``momentum`` and ``quoter`` are built in, ``user`` is the one that was linked in,
``manual`` are the orders of `engine.orders`. Which one trades a symbol is `SymbolView.strategy`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal, get_args

from turbo_hft import abi
from turbo_hft.change import Changes
from turbo_hft.errors import ConfigError
from turbo_hft.kill import Switch
from turbo_hft.limits import StrategyLimits

Trading = Literal["threshold", "imbalance", "momentum", "quoter", "user"]
TRADING: tuple[Trading, ...] = get_args(Trading)
"""Those that can be asked about a symbol."""


def strategy_name(number: int) -> str:
    """Name of an ``enum hft_strategy``; ``none`` for 0 and what is none."""
    return abi.names("hft_strategy", "HFT_STRATEGY_").get(number, "none")


def strategy_number(name: str, known: tuple[str, ...] = (*TRADING, "manual")) -> int:
    """The other way. Raises ConfigError."""
    for number, each in abi.names("hft_strategy", "HFT_STRATEGY_").items():
        if each == name and name in known:
            return number
    raise ConfigError(f"there is no strategy {name!r}: give one of {', '.join(known)}.")


class StrategyView(Switch):
    """One strategy, live."""

    def __init__(self, number: int, changes: Changes, account: Any, rearm: Callable[[int], None]) -> None:
        self.number = number
        self.name = strategy_name(number)
        self._changes = changes
        self._account = account
        self._rearm = rearm

    @property
    def limits(self) -> StrategyLimits:
        """What its orders must keep to."""
        return StrategyLimits(self.name, self._changes, lambda: self._changes.limits().strategy[self.number])

    def _read_kill(self) -> int:
        return int(self._changes.control[0].strategy_kill[self.number])

    def _store_kill(self, value: int) -> None:
        self._changes.control[0].strategy_kill[self.number] = value

    def _note_kill(self) -> None:
        self._changes.note_if_free()

    @property
    def _state(self) -> Any:
        return self._account[0].strategy[self.number]

    @property
    def open_orders(self) -> int:
        """Orders of it that are open now."""
        return int(self._state.open_orders)

    @property
    def orders_sent(self) -> int:
        """Orders and replacements of it that left."""
        return int(self._state.orders_sent)

    @property
    def executions(self) -> int:
        """Its executions since it was armed."""
        return int(self._state.executions)

    @property
    def latched(self) -> bool:
        """Has it had `limits.max_executions`? Then nothing of it leaves until `rearm`."""
        return bool(self._state.latched)

    def rearm(self) -> None:
        """A person has looked: count its executions from 0 again, and let it go on."""
        self._rearm(self.number)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "strategy": self.name,
            "state": self.state,
            "open_orders": self.open_orders,
            "orders_sent": self.orders_sent,
            "executions": self.executions,
            "latched": self.latched,
        }


class Strategies:
    """All of them: ``engine.strategies["quoter"]``."""

    def __init__(self, changes: Changes, account: Any, rearm: Callable[[int], None]) -> None:
        self._changes = changes
        self._account = account
        self._rearm = rearm

    def __getitem__(self, name: str) -> StrategyView:
        return StrategyView(strategy_number(name), self._changes, self._account, self._rearm)

    def __iter__(self) -> Iterator[StrategyView]:
        return (self[name] for name in (*TRADING, "manual"))
