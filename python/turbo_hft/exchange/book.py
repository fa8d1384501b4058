"""One symbol's limit order book in price-time priority.

Prices are integers in 1/10000 dollar (`_e4`), quantities are shares. Nothing here knows about matching rules,
owners' rights or wire formats: it keeps orders, levels and totals consistent, that is all.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Hashable, Iterator
from dataclasses import dataclass

BUY = "B"
SELL = "S"


def opposite(side: str) -> str:
    """`B` for `S` and the other way round."""
    return SELL if side == BUY else BUY


@dataclass(slots=True)
class Order:
    """A resting order. `qty` is what is still open; `owner` is None for the anonymous market.

    Orders of one `party` do not trade with each other; None is nobody's.
    """

    order_ref: int
    symbol: str
    side: str
    price_e4: int
    qty: int
    owner: Hashable | None = None
    mpid: str = ""
    party: Hashable | None = None


class _Side:
    """Levels of one side. A dict keeps insertion order, so each level is a FIFO with deletion by reference."""

    __slots__ = ("keys", "levels", "sign", "totals")

    def __init__(self, sign: int) -> None:
        # Sorted so that the best price is last, on both sides: key = price for bids, -price for offers.
        self.sign = sign
        self.keys: list[int] = []
        self.levels: dict[int, dict[int, Order]] = {}
        self.totals: dict[int, int] = {}

    def add(self, order: Order) -> None:
        key = order.price_e4 * self.sign
        level = self.levels.get(key)
        if level is None:
            level = self.levels[key] = {}
            self.totals[key] = 0
            insort(self.keys, key)
        level[order.order_ref] = order
        self.totals[key] += order.qty

    def take(self, order: Order, qty: int) -> None:
        key = order.price_e4 * self.sign
        self.totals[key] -= qty
        order.qty -= qty
        if order.qty == 0:
            level = self.levels[key]
            del level[order.order_ref]
            if not level:
                del self.levels[key], self.totals[key]
                del self.keys[bisect_left(self.keys, key)]


class LimitBook:
    """Bids and offers of one symbol."""

    __slots__ = ("_sides", "symbol")

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self._sides = {BUY: _Side(1), SELL: _Side(-1)}

    def add(self, order: Order) -> None:
        """Put an order at the back of its level."""
        self._sides[order.side].add(order)

    def take(self, order: Order, qty: int) -> None:
        """Reduce an order by `qty` shares; at 0 it leaves the book. Its place in the queue stays."""
        if not 0 < qty <= order.qty:
            raise ValueError(f"cannot take {qty} of the {order.qty} shares of order {order.order_ref}")
        self._sides[order.side].take(order, qty)

    def best(self, side: str) -> tuple[int, int] | None:
        """(price_e4, shares) of the best level, or None for an empty side."""
        half = self._sides[side]
        if not half.keys:
            return None
        key = half.keys[-1]
        return key * half.sign, half.totals[key]

    def first(self, side: str) -> Order | None:
        """The order that trades next: oldest of the best level."""
        half = self._sides[side]
        return next(iter(half.levels[half.keys[-1]].values())) if half.keys else None

    def in_priority(self, side: str) -> Iterator[Order]:
        """All orders of a side, best price first, oldest first. The book must not change meanwhile."""
        half = self._sides[side]
        for key in reversed(half.keys):
            yield from half.levels[key].values()

    def levels(self, side: str) -> list[tuple[int, int]]:
        """(price_e4, shares) of every level, best first."""
        half = self._sides[side]
        return [(key * half.sign, half.totals[key]) for key in reversed(half.keys)]

    def crosses(self, side: str, price_e4: int) -> bool:
        """Would a limit order of `side` at `price_e4` trade against the other side now?"""
        best = self.best(opposite(side))
        if best is None:
            return False
        return price_e4 >= best[0] if side == BUY else price_e4 <= best[0]
