"""Our executions, newest ones kept: from the event stream where we are its reader, otherwise out of the order table.

The table says how much of an order is filled, not when and at what prices: what is found at one look is one line, with
the average price, and `exact` is False.
"""

from __future__ import annotations

from collections import deque

from turbo_hft.dashboard.source import EventSource, OrderSource, OrdersSource
from turbo_hft.dashboard.view import FillRow
from turbo_hft.errors import ConfigError

KEPT = 500
# Of orders that are new since the last look so many are asked for; what there were more is not listed.
_MOST_NEW = 512
_OPEN = ("sent", "live")


class FillLog:
    """The fills of one engine, oldest first."""

    def __init__(self) -> None:
        self.rows: deque[FillRow] = deque(maxlen=KEPT)
        self._next = 0  # UserRefNum from which on orders are new
        self._seen: dict[int, tuple[int, int]] = {}  # of open orders: filled shares, and their worth

    def executed(self, event: EventSource, utc_ns: int) -> None:
        """One event of kind ``executed``."""
        self.rows.append(
            FillRow(
                utc_ns=utc_ns,
                exchange_ns=event.exchange_ns,
                symbol=event.symbol or "",
                side=event.side,
                qty=event.qty,
                price_e4=event.price_e4,
                user_ref=event.user_ref,
                strategy=event.strategy,
                position=event.position,
                exact=True,
            )
        )

    def look(self, orders: OrdersSource, next_user_ref: int, utc_ns: int, monotonic_ns: int) -> None:
        """What the order table has more than at the last look. At the first one fills are as old as their orders."""
        first = self._next == 0
        fresh = range(max(self._next, next_user_ref - _MOST_NEW, 1), next_user_ref)
        self._next = max(self._next, next_user_ref)
        for user_ref in sorted({*self._seen, *fresh}):
            had_qty, had_e4 = self._seen.pop(user_ref, (0, 0))
            try:
                order = orders[user_ref]
            except ConfigError:  # a newer one has its place
                continue
            if (qty := order.filled_qty - had_qty) > 0:
                age_ns = max(0, monotonic_ns - order.sent_ns) if first else 0
                self.rows.append(_found(order, qty, order.filled_e4 - had_e4, utc_ns - age_ns))
            if order.state in _OPEN:
                self._seen[user_ref] = order.filled_qty, order.filled_e4


def _found(order: OrderSource, qty: int, worth_e4: int, utc_ns: int) -> FillRow:
    return FillRow(
        utc_ns=utc_ns,
        exchange_ns=0,
        symbol=order.symbol,
        side=order.side,
        qty=qty,
        price_e4=(2 * worth_e4 + qty) // (2 * qty),
        user_ref=order.user_ref,
        strategy=order.strategy,
        position=None,
        exact=False,
    )
