"""Trading halts, pauses and short-sale restrictions, at times that were given: what the feed says of them, and when.

A halt (H) cancels the clients' resting orders in the symbol, as a regulatory halt does; a pause (P, limit up-limit
down) and an operational halt (O: the trouble is this market's alone) leave them where they are. During any of them
nothing trades in the symbol, and orders and replacements are rejected; cancels are carried out. After a halt or a
pause trading resumes with T and the (empty) print of the cross that reopens it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from turbo_hft.errors import ConfigError
from turbo_hft.exchange.clock import DayClock
from turbo_hft.exchange.itch_publisher import ItchPublisher

HALTED, PAUSED, OPERATIONAL, TRADING = "H", "P", "O", "T"
_STOPPED = (HALTED, PAUSED, OPERATIONAL)
_REASONS = {HALTED: "T1", PAUSED: "LUDP"}
_RESUMED_REASONS = {HALTED: "T3", PAUSED: "LUDR"}
_RESTRICTED, _UNRESTRICTED = "1", "0"


@dataclass(frozen=True, slots=True)
class Halt:
    """A symbol does not trade for `length_ns` from `at_ns` after the start: halted (H), paused (P), operational (O)."""

    symbol: str
    at_ns: int
    length_ns: int
    state: str = HALTED


@dataclass(frozen=True, slots=True)
class ShortSaleRestriction:
    """Short sales of a symbol only above the best bid, from `at_ns` after the start on, for `length_ns` or the day."""

    symbol: str
    at_ns: int
    length_ns: int | None = None


def check_halts(symbols: Iterable[str], halts: Iterable[Halt], restrictions: Iterable[ShortSaleRestriction]) -> None:
    """Errors: ConfigError for unknown symbols, impossible times, and those that overlap."""
    known = set(symbols)
    ends: dict[tuple[str, bool], int | None] = {}
    spans: list[Halt | ShortSaleRestriction] = [*halts, *restrictions]
    for each in sorted(spans, key=lambda span: span.at_ns):
        what = "halt" if isinstance(each, Halt) else "short sale restriction"
        if each.symbol not in known:
            raise ConfigError(f"{what} of {each.symbol!r}, which is not traded here: name one of the symbols")
        if each.at_ns < 0 or (each.length_ns is not None and each.length_ns <= 0):
            raise ConfigError(f"{what} of {each.symbol}: give a start of 0 or later and a length above 0")
        if isinstance(each, Halt) and each.state not in _STOPPED:
            raise ConfigError(f"halt of {each.symbol} with state {each.state!r}: give H, P or O")
        key = (each.symbol, isinstance(each, Halt))
        if key in ends and (ends[key] is None or each.at_ns < (ends[key] or 0)):
            raise ConfigError(f"two {what}s of {each.symbol} at one time: let one end before the next begins")
        ends[key] = None if each.length_ns is None else each.at_ns + each.length_ns


class Halts:
    """Follows the schedule: `step` carries out the next change, `state` and `restricted` say how things stand."""

    def __init__(
        self,
        publisher: ItchPublisher,
        clock: DayClock,
        halts: Iterable[Halt] = (),
        restrictions: Iterable[ShortSaleRestriction] = (),
    ) -> None:
        self.on_change: Callable[[str, str, int], None] = lambda symbol, state, now_ns: None
        """Called after the feed was told: symbol, new state (H, P, O, T; 1, 0 of a restriction), time of the day."""
        self._publisher = publisher
        self._clock = clock
        self._states: dict[str, str] = {}
        self._restricted: set[str] = set()
        changes: list[tuple[int, str, str]] = []
        for halt in halts:
            changes += [(halt.at_ns, halt.symbol, halt.state), (halt.at_ns + halt.length_ns, halt.symbol, TRADING)]
        for each in restrictions:
            changes.append((each.at_ns, each.symbol, _RESTRICTED))
            if each.length_ns is not None:
                changes.append((each.at_ns + each.length_ns, each.symbol, _UNRESTRICTED))
        # Of one moment the end comes first: one halt may begin where another one ends.
        self._changes = sorted(changes, key=lambda change: (change[0], change[2] in (*_STOPPED, _RESTRICTED)))

    def state(self, symbol: str) -> str:
        """H, P, O or T."""
        return self._states.get(symbol, TRADING)

    def trades(self, symbol: str) -> bool:
        """Is the symbol halted in no way?"""
        return self.state(symbol) == TRADING

    def restricted(self, symbol: str) -> bool:
        """Is there a short-sale price test?"""
        return symbol in self._restricted

    def due_ns(self) -> int | None:
        """When the next change is due, ns after the start; None when there is none."""
        return self._changes[0][0] if self._changes else None

    def open(self, symbols: Iterable[str], now_ns: int) -> None:
        """Say how all symbols stand at the begin of a session."""
        for symbol in symbols:
            state = self.state(symbol)
            if state == OPERATIONAL:
                self._publisher.trading_action(symbol, TRADING, now_ns)
                self._publisher.operational_halt(symbol, HALTED, now_ns)
            else:
                self._publisher.trading_action(symbol, state, now_ns, _REASONS.get(state, ""))
        for symbol in sorted(self._restricted):
            self._publisher.reg_sho(symbol, _RESTRICTED, now_ns)

    def step(self) -> None:
        """Carry out the next change."""
        at_ns, symbol, state = self._changes.pop(0)
        now_ns = self._clock.scheduled(at_ns)
        if state in (_RESTRICTED, _UNRESTRICTED):
            (self._restricted.add if state == _RESTRICTED else self._restricted.discard)(symbol)
            self._publisher.reg_sho(symbol, state, now_ns)
        else:
            before = self.state(symbol)
            self._states[symbol] = state
            if OPERATIONAL in (before, state):
                self._publisher.operational_halt(symbol, HALTED if state == OPERATIONAL else TRADING, now_ns)
                self.on_change(symbol, state, now_ns)
                return
            reason = _RESUMED_REASONS.get(before, "") if state == TRADING else _REASONS[state]
            self._publisher.trading_action(symbol, state, now_ns, reason)
            if state == TRADING:
                self._publisher.empty_cross(symbol, now_ns)
        self.on_change(symbol, state, now_ns)
