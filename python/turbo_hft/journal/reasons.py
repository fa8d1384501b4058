"""Why the gate refused, in plain words, with the limits it looked at and the values that met them (docs/rules.md, 6).

`Met` says what was held against what. Values are the hook's own, units in their names. What the hook knew and did not
record is said to be so, never guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from turbo_hft._native import lib
from turbo_hft.events import Event

Settings = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Met:
    """One refusal. `limits`: settings that the check reads, with their values then. `values`: what was held against
    them. `unknown`: what else it looked at, which no record has."""

    words: str
    limits: dict[str, Any]
    values: dict[str, Any]
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """What is known of the moment: open orders are those of the symbol, as far as the journal tells."""

    event: Event
    settings: Settings
    open_buy_qty: int
    open_sell_qty: int

    def of(self, *names: str) -> dict[str, Any]:
        """Limits by their short names: ``account.``, ``strategy.``, ``symbol.`` stand for those of this order."""
        event = self.event
        full = {
            "account.": "account.",
            "strategy.": f"strategy.{event.strategy}.",
            "symbol.": f"symbol.{event.symbol}.limits.",
        }
        found = {}
        for name in names:
            group, _, field = name.partition(".")
            key = full.get(f"{group}.", f"{group}.") + field
            found[key] = self.settings.get(key, "not recorded")
        return found

    @property
    def kills(self) -> dict[str, Any]:
        """The three kill switches that count for it."""
        event = self.event
        keys = ("engine.kill", f"strategy.{event.strategy}.kill", f"symbol.{event.symbol}.kill")
        return {key: self.settings.get(key, "not recorded") for key in keys}


def _order(case: Case) -> dict[str, Any]:
    event = case.event
    return {"side": event.side, "qty": event.qty, "price_e4": event.price_e4}


def _book(case: Case) -> dict[str, Any]:
    return {"bid_e4": case.event.bid_e4, "ask_e4": case.event.ask_e4}


def _position(case: Case) -> dict[str, Any]:
    return {
        "position": case.event.position,
        "open_buy_qty": case.open_buy_qty,
        "open_sell_qty": case.open_sell_qty,
        **_order(case),
    }


def _collar(case: Case) -> Met:
    limits = case.of("symbol.collar_ppm", "symbol.reference", "symbol.reference_age_ns")
    values = {**_order(case), **_book(case)}
    reference, collar = (case.of(name).popitem()[1] for name in ("symbol.reference", "symbol.collar_ppm"))
    if reference == lib.HFT_REFERENCE_MID and isinstance(collar, int):
        middle = (case.event.bid_e4 + case.event.ask_e4) // 2
        values |= {
            "mid_e4": middle,
            "away_e4": abs(case.event.price_e4 - middle),
            "allowed_e4": middle * collar // 10**6,
        }
        return Met("its price is further from the middle of bid and offer than the collar lets it be", limits, values)
    unknown = ("the last trade's price, which is what the collar was around",)
    return Met("its price is further from the reference price than the collar lets it be", limits, values, unknown)


def _simple(
    words: str,
    *limits: str,
    values: Callable[[Case], dict[str, Any]] = _order,
    unknown: tuple[str, ...] = (),
) -> Callable[[Case], Met]:
    return lambda case: Met(words, case.of(*limits), values(case), unknown)


def _killed(words: str) -> Callable[[Case], Met]:
    return lambda case: Met(words, case.kills, {})


def _notional(case: Case) -> dict[str, Any]:
    return {**_order(case), "notional_e4": case.event.qty * case.event.price_e4}


_TAT = ("how full the throttle was: its bucket is not recorded",)
_EXPOSURE = ("the exposure of all symbols and open orders together at that moment",)
_RATE = ("interval_ns", "burst")


def _limits(field: str, *groups: str) -> tuple[str, ...]:
    return tuple(f"{group}.{field}" for group in groups or ("account", "strategy", "symbol"))


EXPLAINED: dict[str, Callable[[Case], Met]] = {
    "not_configured": _simple("no order template was set: nobody had configured where orders go"),
    "session_down": _simple("order entry was not up: not logged in, recovering, ended, or suspect"),
    "bad_intent": _simple(
        "it was no order, or asked to change one that could not be changed then (ended, of another symbol, or "
        "something of it was still unanswered)",
        values=lambda case: {**_order(case), "other_ref": case.event.other_ref},
    ),
    "feed_not_live": _simple("the feed was not live: idle, with something missing, or ended"),
    "book_quarantined": _simple("the symbol's book was in doubt, so nothing traded on it"),
    "market_closed": _simple("the market was not in trading hours, or a market-wide breaker had been hit"),
    "not_trading": _simple("the exchange did not let the symbol trade: halted, paused, or its state was not heard yet"),
    "book_crossed": _simple("bid and offer were crossed", values=_book),
    "restricted": _simple("the symbol was on the restricted list", "symbol.restricted"),
    "qty_range": _simple("its quantity was 0, or more than OUCH carries (999,999)"),
    "price_range": _simple("its price was 0, or above $199,999.99"),
    "max_order_qty": _simple("it was for more shares than one order may have", *_limits("max_order_qty")),
    "max_notional": _simple(
        "price x quantity was above what one order may be worth", *_limits("max_notional_e4"), values=_notional
    ),
    "no_reference": _simple(
        "there was no fresh price for the collar to be around",
        "symbol.reference", "symbol.reference_age_ns",
        values=_book, unknown=("how old bid and offer, or the last trade, were",),
    ),
    "collar": _collar,
    "short_sale": _simple(
        "it would have sold more than was held, and short sales were not allowed", "symbol.short_ok", values=_position
    ),
    "short_price": _simple("it was a short sale at or below the bid while Rule 201 was in force", values=_book),
    "max_long": _simple(
        "position, open buys and this order would have been above the limit", "symbol.max_long", values=_position
    ),
    "max_short": _simple(
        "position, open sells and this order would have been below the limit", "symbol.max_short", values=_position
    ),
    "gross_exposure": _simple(
        "all positions and open orders together would have been worth too much",
        "account.max_gross_e4", values=_notional, unknown=_EXPOSURE,
    ),
    "net_exposure": _simple(
        "the sum of positions with the open orders would have been too far on one side",
        "account.max_net_e4", values=_notional, unknown=_EXPOSURE,
    ),
    "open_orders": _simple(
        "as many orders were open as may be",
        *_limits("max_open_orders"),
        values=_position, unknown=("how many orders of the strategy and of all were open",),
    ),
    "self_trade": _simple("it would have met an order of our own", values=_position),
    "duplicate": _simple(
        "it was equal to an order sent a moment before", "account.duplicate_ns",
    ),
    "loss_limit": _simple(
        "the day's loss had reached the limit; that stays until a person lifts it (rearm)",
        "account.max_loss_e4", "symbol.max_loss_e4",
        values=lambda case: {"realized_e4": case.event.realized_e4, "fees_e8": case.event.fees_e8},
        unknown=("the unrealized loss, and that of all symbols together",),
    ),
    "executions": _simple(
        "the strategy had had all the executions it may have until a person lifts it (rearm)",
        "strategy.max_executions",
    ),
    "rate_symbol": _simple("the symbol sent faster than it may", *(f"symbol.{x}" for x in _RATE), unknown=_TAT),
    "rate_strategy": _simple("the strategy sent faster than it may", *(f"strategy.{x}" for x in _RATE), unknown=_TAT),
    "rate": _simple("all together sent faster than they may", *(f"account.{x}" for x in _RATE), unknown=_TAT),
    "working_full": _simple("the place of the next order number still held an open order"),
    "refs_exhausted": _simple("no order number was left for the day"),
    "no_room": _simple("the packet's frame had no room for one more order"),
    "wire_down": _simple("the TCP connection of order entry was not armed, or closed, or not where the hook thought"),
    "wire_busy": _simple("user space was sending on the TCP connection at that moment"),
    "wire_unmerged": _simple("too many sends of the hook waited to be merged into the TCP connection"),
    "wire_window": _simple("the exchange's TCP window had no room for the order"),
    "wire_recovery": _simple("the TCP connection was repairing a loss: the order would have arrived behind a hole"),
    "limits_changed": _simple("somebody changed the limits in the very moment of the decision"),
    "reducing": _killed("only orders that reduce a position could leave, and this one did not"),
    "halted_symbol": _killed("the symbol was halted"),
    "halted_strategy": _killed("the strategy was halted"),
    "halted_global": _killed("the engine was halted"),
    "lease": _simple("nobody had renewed the lease: the control plane was gone, stopped or hung"),
}  # fmt: skip


def met(case: Case) -> Met:
    """What a refusal, or a shadow's, was for."""
    explain = EXPLAINED.get(case.event.reason)
    return explain(case) if explain else Met(f"for a reason that is not known here ({case.event.reason})", {}, {})
