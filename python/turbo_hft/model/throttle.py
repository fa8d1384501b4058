"""Message throttles of rule 6: token buckets, each kept as the time at which the next message would be due."""

from __future__ import annotations

from .state import Account, AccountLimits, StrategyLimits, StrategyState, SymbolLimits, SymbolState

MOST_INTERVAL_NS = 2**40
MOST_BURST = 2**20

Throttled = Account | StrategyState | SymbolState
Throttling = AccountLimits | StrategyLimits | SymbolLimits


def refuses(state: Throttled, limits: Throttling, now_ns: int) -> bool:
    """Is the bucket empty, or is there none?"""
    interval_ns, burst = min(limits.interval_ns, MOST_INTERVAL_NS), min(limits.burst, MOST_BURST)
    return interval_ns == 0 or burst == 0 or state.tat_ns > now_ns + (burst - 1) * interval_ns


def spend(state: Throttled, limits: Throttling, now_ns: int) -> None:
    """A message left."""
    state.tat_ns = max(state.tat_ns, now_ns) + min(limits.interval_ns, MOST_INTERVAL_NS)
