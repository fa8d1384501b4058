"""Write docs/reject-reasons.md: every reason for which the gate refuses an order, with its limits, tests and remedy."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

from turbo_hft import abi
from turbo_hft.events import Event
from turbo_hft.journal.reasons import Case, Met, met
from turbo_hft.limits import AccountLimits, StrategyLimits, SymbolLimits

from bench.gate.run import tests_of

_INTRO = """\
# Why an order was refused

Made by `make docs` from `bpf/hft/abi.h`, `turbo_hft/journal/reasons.py` and the tests of the gate: do not edit.

Every order meets the gate, and the first check that fails is its reason: in the event `refused`, in `turbo-hft status
--json` (`refusals`), in the journal. [Rule 6](rules.md#6-risk-the-one-gate) has the exact condition of each,
[risk.md](risk.md) the clause it answers and what it costs. `turbo-hft why --journal DIR` says of one refusal which
limit met which value.

The checks are made in the order of the numbers. A limit is meant where its scope says: of all orders, of the
strategy, of the symbol; the strictest counts. `turbo-hft limits` prints those in force, `turbo-hft set` changes them,
`set max_gross=2000000` of all orders, `set quoter.max_executions=500` of a strategy, `set AAPL max_long=500` of a
symbol.
"""
_SCOPES = {"account": "all orders", "strategy": "the strategy", "symbol": "the symbol"}
_VIEWS = {"account": AccountLimits, "strategy": StrategyLimits, "symbol": SymbolLimits}
_OTHER_SCOPES = {
    "not_configured": "the engine",
    "session_down": "the engine",
    "bad_intent": "the order",
    "feed_not_live": "the feed",
    "book_quarantined": "the symbol",
    "market_closed": "the feed",
    "not_trading": "the symbol",
    "book_crossed": "the symbol",
    "qty_range": "the order",
    "price_range": "the order",
    "short_price": "the symbol",
    "self_trade": "the symbol",
    "working_full": "the engine",
    "refs_exhausted": "the engine",
    "no_room": "the packet",
    "limits_changed": "the engine",
    "reducing": "the engine, the strategy or the symbol",
    "halted_symbol": "the symbol",
    "halted_strategy": "the strategy",
    "halted_global": "the engine",
    "lease": "the engine",
}
_REMEDIES = {
    "not_configured": "`Engine.configure` was not called, or not with a session. `turbo-hft run` and the dashboard "
    "do it.",
    "session_down": "`turbo-hft status` says which it is. Not logged in: start `turbo-hft run`. Suspect: hold "
    "positions against the exchange's, then `turbo-hft trust`. Ended: the exchange's day is over.",
    "bad_intent": "A strategy of yours asked for what cannot be, or changed an order that has an answer outstanding: "
    "ask `hft_can_change` first. By hand: look at `turbo-hft orders`.",
    "feed_not_live": "Wait for [recovery](recovery.md); `turbo-hft status` shows what is missing. Without recovery: "
    "`turbo-hft resync --all`.",
    "book_quarantined": "Wait for [recovery](recovery.md); `turbo-hft status` shows the doubt. By hand: `turbo-hft "
    "resync SYMBOL`.",
    "market_closed": "Nothing: orders leave in market hours only.",
    "not_trading": "Nothing: the exchange has halted the symbol, or has not said yet that it trades.",
    "book_crossed": "Nothing, if it passes. A book that stays crossed is put into quarantine and restored.",
    "restricted": "`turbo-hft set SYMBOL restricted=no`, if the symbol may be traded.",
    "qty_range": "Mend the strategy, or the parameter that its quantity comes from.",
    "price_range": "Mend the strategy, or the parameter that its price comes from.",
    "max_order_qty": "Ask for fewer shares, or raise the limit.",
    "max_notional": "Ask for fewer shares, or raise the limit.",
    "no_reference": "Nothing, if the market is one-sided for a moment. `reference=last` refers to trades, "
    "`reference_age_s` says how old either may be.",
    "collar": "Look at the book first: a price that far away is more often a wrong book, or a wrong strategy, than a "
    "narrow collar.",
    "short_sale": "`turbo-hft set SYMBOL short_ok=yes max_short=N`, if the shares are located.",
    "short_price": "Nothing: offer above the bid, as Rule 201 asks.",
    "max_long": "Sell, or raise the limit. Open buys count as filled.",
    "max_short": "Buy, or raise the limit. Open sells count as filled.",
    "gross_exposure": "Reduce, or raise `max_gross`. Open orders count as filled.",
    "net_exposure": "Reduce, or raise `max_net`. Open orders count as filled.",
    "open_orders": "Wait for answers, cancel (`turbo-hft cancel`), or raise the limit; eight a symbol are the most.",
    "self_trade": "Cancel the order on the other side first.",
    "duplicate": "Nothing, if it was one. A strategy that means to ask again needs a shorter `duplicate_window_s`.",
    "loss_limit": "Find out why. Then `turbo-hft rearm --all`, or `rearm SYMBOL` where it was the symbol's.",
    "executions": "Find out why. Then `turbo-hft rearm --strategy NAME`.",
    "rate_symbol": "Nothing, if it is a burst. The symbol's `orders_per_second` and `burst` say how much may leave.",
    "rate_strategy": "Nothing, if it is a burst. The strategy's `orders_per_second` and `burst` say how much may "
    "leave.",
    "rate": "Nothing, if it is a burst. `orders_per_second` and `burst` of all orders say how much may leave.",
    "working_full": "Cancel the oldest open orders: `turbo-hft orders`, `turbo-hft cancel`.",
    "refs_exhausted": "Nothing for this session; the exchange's next one begins anew.",
    "no_room": "Nothing: the next tick decides anew. Often: fewer symbols that trade on one packet.",
    "limits_changed": "Nothing: the next tick decides anew. If it goes on, a process died in the middle of a change: "
    "`turbo-hft resume` halts the engine and says so; then look at the parameters, and resume.",
    "reducing": "`turbo-hft resume`, when positions may grow again.",
    "halted_symbol": "`turbo-hft resume SYMBOL`, once it is known why it was halted.",
    "halted_strategy": "`turbo-hft resume --strategy NAME`, once it is known why it was halted.",
    "halted_global": "`turbo-hft resume`, once it is known why it was halted: `turbo-hft status`, the journal's last "
    "changes.",
    "lease": "Look after the process that runs the engine: killed, stopped, or starved of its CPU. Start `turbo-hft "
    "run`.",
}


def text() -> str:
    """The page."""
    tests = tests_of()
    names = {number: name for number, name in abi.reasons().items() if number}
    lines = [_INTRO, "| | reason | scope | it was refused because |", "|---:|---|---|---|"]
    for number, name in names.items():
        lines.append(f"| {number} | [`{name}`](#{name}) | {_scope(name)} | {_met(name).words} |")
    for number, name in names.items():
        found = _met(name)
        lines += ["", f"## `{name}`", "", f"{number}, `HFT_REASON_{name.upper()}`: {found.words}.", ""]
        limits = _limits(found.limits)
        if limits:
            lines.append(
                "- Limits: " + ", ".join(f"`{word}` of {' and '.join(where)}" for word, where in limits.items())
            )
        lines.append(f"- What to do: {_REMEDIES[name]}")
        if found.unknown:
            lines.append(f"- Not in the journal: {'; '.join(found.unknown)}.")
        lines.append("- Tests: " + ", ".join(f"`{test}`" for test in tests[name.upper()]))
    return "\n".join(lines) + "\n"


def _met(name: str) -> Met:
    """What `why` says of an order that says nothing: its words, and which limits it names."""
    of_event: dict[str, Any] = dict.fromkeys(("qty", "price_e4", "bid_e4", "ask_e4", "position", "other_ref"), 0)
    of_event |= {"realized_e4": 0, "fees_e8": 0, "side": "buy", "strategy": "S", "symbol": "S", "reason": name}
    return met(Case(cast(Event, SimpleNamespace(**of_event)), {}, 0, 0))


def _limits(settings: Mapping[str, Any]) -> dict[str, list[str]]:
    """Setting, as `turbo-hft set` knows it, -> the scopes that have it. Kill switches are none."""
    found: dict[str, list[str]] = {}
    for key in settings:
        group, field = key.split(".")[0], key.rsplit(".", 1)[-1]
        if field == "kill":
            continue
        word = next(word.name for word in _VIEWS[group].all_words().values() if word.field == field)
        found.setdefault(word, []).append(_SCOPES[group])
    return found


def _scope(name: str) -> str:
    groups = [key.split(".")[0] for key in _met(name).limits if not key.endswith(".kill")]
    return _OTHER_SCOPES.get(name) or ", ".join(_SCOPES[group] for group in dict.fromkeys(groups))
