"""Random order flow: what the anonymous market does next, from a seed.

The mix of messages is that of a whole NASDAQ day (2019-01-30: 44.2 % A, 43.0 % D, 7.4 % U, 2.2 % E, 1.3 % X,
0.5 % F, 0.04 % C of all messages; printing, imbalance and administrative types are left out), sizes are mostly odd
lots as at the open of that day, distances from the touch are those of the whole market. Each symbol's book lives
around a fair price that walks at random by single cents; orders on its wrong side are pulled or hit first, and
new ones join within a few cents, so the spread stays within 1 to 10 cents nearly always.

Time is the number of messages published so far divided by the rate, so a seed gives the same schedule on every
machine. Only client orders can change it: they change the book that the market reacts to.
"""

from __future__ import annotations

import zlib
from bisect import bisect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random

from turbo_hft.errors import ConfigError
from turbo_hft.exchange.book import BUY, SELL, LimitBook, opposite
from turbo_hft.exchange.matching import BookEvent, MatchingEngine, OrderAdded, OrderReplaced

CENT_E4 = 100
SECOND_NS = 1_000_000_000
# Actions and their shares in 10,000 messages. A hit makes about 1.3 executions; a cancel of one share is a delete.
_KINDS = ("add", "delete", "replace", "cancel", "hit", "discretion")
_WEIGHTS = (4470, 4297, 739, 140, 168, 4)
TRADES = ("hit", "discretion")
"""Kinds of actions that trade."""
_MPID_SHARE = 0.0105
_MPIDS = ("GSCO", "MSCO", "NITE", "CDRG", "JPMS")
# Add size and its share in percent; what is missing to 100 is spread over 1..1000.
_SIZES = (100, 10, 50, 20, 200, 1, 5, 25, 500, 30, 300)
_SIZE_WEIGHTS = (24.6, 8.3, 6.0, 4.0, 3.7, 3.5, 3.0, 3.0, 2.5, 2.0, 2.0)
_SIZE_REST = 37.4
# Cents behind the touch (-1 = improves it), as ranges with their shares in percent.
_DISTANCES = ((-1, -1), (0, 0), (1, 1), (2, 6), (7, 14), (15, 203), (204, 2135))
_DISTANCE_WEIGHTS = (6.6, 26.0, 17.5, 25.0, 15.0, 9.0, 0.9)
_WALK_SHARE = 0.02
_TOUCH_SLACK_CENTS = 4
_SEED_ORDERS = 60
_TYPICAL_ORDERS = 200
_PULL = 0.08
_KNOWN_PRICES_E4 = {"AAPL": 1_632_000, "MSFT": 1_060_000}
_LOWEST_E4 = 10_000


@dataclass(frozen=True, slots=True)
class Action:
    """One thing the market does, `at_ns` after the start. Which fields count depends on `kind`."""

    at_ns: int
    kind: str
    symbol: str
    side: str = ""
    qty: int = 0
    price_e4: int = 0
    order_ref: int = 0
    mpid: str = ""
    ioc: bool = False


def start_price_e4(symbol: str) -> int:
    """A symbol's price at the open when none is given: fixed for a name, $20 to $400."""
    return _KNOWN_PRICES_E4.get(symbol, 200_000 + zlib.crc32(symbol.encode()) % 38_000 * CENT_E4)


class _Market:
    """What the flow knows about one symbol: its fair price and the references it may act upon."""

    def __init__(self, book: LimitBook, fair_e4: int) -> None:
        self.book = book
        self.fair_e4 = fair_e4
        self.refs: list[int] = []

    def sane(self, side: str, price_e4: int) -> int:
        """The price moved to its own side of the fair price, and above zero."""
        if side == BUY:
            return max(min(price_e4, self.fair_e4), CENT_E4)
        return max(price_e4, self.fair_e4 + CENT_E4)

    def far(self, side: str) -> bool:
        """Is this side's touch missing or too far from the fair price?"""
        best = self.book.best(side)
        if best is None:
            return True
        gap = self.fair_e4 - best[0] if side == BUY else best[0] - self.fair_e4 - CENT_E4
        return gap > _TOUCH_SLACK_CENTS * CENT_E4

    def stale(self, side: str) -> bool:
        """Is this side's touch on the wrong side of the fair price?"""
        best = self.book.best(side)
        return best is not None and best[0] != self.sane(side, best[0])


class RandomFlow:
    """Decides (`next_action`) and carries out (`apply`) the anonymous market's actions on an engine."""

    def __init__(
        self,
        engine: MatchingEngine,
        *,
        seed: int,
        rate: int,
        burst: int = 1,
        prices_e4: Mapping[str, int] | None = None,
    ) -> None:
        """`rate` in messages per second; `burst` messages share one instant, followed by their pause."""
        if rate < 1 or burst < 1:
            raise ConfigError(f"rate {rate}, burst {burst}: both must be 1 or more")
        self._engine = engine
        self._random = Random(seed)
        self._rate = rate
        self._burst = burst
        self._messages = 0
        prices = prices_e4 or {}
        self._markets = {
            symbol: _Market(book, max(prices.get(symbol) or start_price_e4(symbol), _LOWEST_E4) // CENT_E4 * CENT_E4)
            for symbol, book in engine.books.items()
        }
        self._names = tuple(self._markets)
        # Activity by rank falls about as rank^-0.81 does on the whole market.
        self._popularity = tuple(accumulate((rank + 1) ** -0.81 for rank in range(len(self._names))))
        self._kinds = tuple(accumulate(_WEIGHTS))
        self._sizes = tuple(accumulate((*_SIZE_WEIGHTS, _SIZE_REST)))
        self._distances = tuple(accumulate(_DISTANCE_WEIGHTS))

    @property
    def due_ns(self) -> int:
        """When the next action is due, ns after the start."""
        return self._messages // self._burst * self._burst * SECOND_NS // self._rate

    def seed_book(self) -> Iterator[Action]:
        """The orders that stand when the market opens; apply each before asking for the next."""
        for market in self._markets.values():
            for _ in range(_SEED_ORDERS):
                yield self._add(0, market)

    def restart(self) -> None:
        """The engine was cleared: go on from the same fair prices and at the same pace, with none of the old orders."""
        for symbol, market in self._markets.items():
            market.book = self._engine.books[symbol]
            market.refs.clear()

    def next_action(self) -> Action:
        """Decide on the books as they are now."""
        at_ns = self.due_ns
        name = self._names[self._pick(self._popularity)]
        market = self._markets[name]
        if self._random.random() < _WALK_SHARE:
            step = CENT_E4 if self._random.random() < 0.5 else -CENT_E4
            market.fair_e4 = max(market.fair_e4 + step, _LOWEST_E4)
        kind = _KINDS[self._pick(self._kinds)]
        # A book with few orders gains some, one with many loses some: a pull too weak to bend the mix much.
        pull = (1 - len(market.refs) / _TYPICAL_ORDERS) * _PULL
        if kind == "delete" and self._random.random() < pull:
            kind = "add"
        elif kind == "add" and self._random.random() < -pull:
            kind = "delete"
        action: Action | None = None
        if kind == "hit":
            action = self._hit(at_ns, market)
        elif kind == "discretion":
            action = self._discretion(at_ns, market)
        elif kind != "add":
            action = self._on_resting(at_ns, kind, market)
        return action or self._add(at_ns, market)

    def apply(self, action: Action) -> tuple[BookEvent, ...]:
        """Carry out an action; the events to publish."""
        engine = self._engine
        events: tuple[BookEvent, ...]
        match action.kind:
            case "add" | "hit":
                events = engine.submit(
                    action.symbol, action.side, action.qty, action.price_e4, ioc=action.ioc, mpid=action.mpid
                ).events
            case "replace":
                events = engine.replace(action.order_ref, action.qty, action.price_e4).events
            case "cancel" | "delete":
                events = (engine.reduce(action.order_ref, action.qty),)
            case _:
                events = (engine.execute_off_display(action.order_ref, action.qty, action.price_e4),)
        market = self._markets[action.symbol]
        for event in events:
            if isinstance(event, OrderAdded):
                market.refs.append(event.order_ref)
            elif isinstance(event, OrderReplaced):
                market.refs.append(event.new_order_ref)
        return events

    def count(self, messages: int) -> None:
        """Say how many messages the last action made: they push the next one back."""
        self._messages += messages

    def _pick(self, cumulative: Sequence[float]) -> int:
        return bisect(cumulative, self._random.random() * cumulative[-1])

    def _add(self, at_ns: int, market: _Market) -> Action:
        side = self._needed_side(market)
        mpid = self._random.choice(_MPIDS) if self._random.random() < _MPID_SHARE else ""
        return Action(at_ns, "add", market.book.symbol, side, self._size(), self._price(market, side), mpid=mpid)

    def _needed_side(self, market: _Market) -> str:
        side = BUY if self._random.random() < 0.5 else SELL
        return opposite(side) if market.far(opposite(side)) and not market.far(side) else side

    def _size(self) -> int:
        chosen = self._pick(self._sizes)
        return _SIZES[chosen] if chosen < len(_SIZES) else 1 + int(self._random.random() ** 2 * 1000)

    def _price(self, market: _Market, side: str) -> int:
        away = -CENT_E4 if side == BUY else CENT_E4
        low, high = _DISTANCES[self._pick(self._distances)]
        cents = low + int(self._random.random() * (high - low + 1))
        best = market.book.best(side)
        if best is None or market.far(side) or market.stale(side):
            # Nobody quotes sensibly here: within the slack of the fair price.
            touch = market.sane(side, market.fair_e4 + CENT_E4 if side == SELL else market.fair_e4)
            cents = min(cents, int(self._random.random() * (_TOUCH_SLACK_CENTS + 1))) if market.far(side) else cents
            cents = max(cents, 0)
        else:
            touch = best[0]
        price_e4 = market.sane(side, touch + away * cents)
        contra = market.book.best(opposite(side))
        if contra is not None and market.book.crosses(side, price_e4):
            price_e4 = max(contra[0] + away, CENT_E4)
        return price_e4

    def _hit(self, at_ns: int, market: _Market) -> Action | None:
        side = BUY if self._random.random() < 0.5 else SELL
        if market.stale(side) and not market.stale(opposite(side)):
            side = opposite(side)
        first = market.book.first(opposite(side))
        if first is None:
            return None
        # Mostly what the first order shows or less; one in five wants more than that.
        qty = first.qty + self._size() if self._random.random() < 0.2 else min(first.qty, self._size())
        ioc = self._random.random() < 0.7
        return Action(at_ns, "hit", market.book.symbol, side, qty, first.price_e4, ioc=ioc)

    def _discretion(self, at_ns: int, market: _Market) -> Action | None:
        side = BUY if self._random.random() < 0.5 else SELL
        first, contra = market.book.first(side), market.book.best(opposite(side))
        if first is None or contra is None or first.owner is not None:
            return None
        inside = first.price_e4 + (CENT_E4 if side == BUY else -CENT_E4)
        if inside == contra[0]:
            return None
        qty = min(first.qty, self._size())
        return Action(at_ns, "discretion", first.symbol, side, qty, inside, first.order_ref)

    def _on_resting(self, at_ns: int, kind: str, market: _Market) -> Action | None:
        order_ref = self._stale_ref(market) if kind != "cancel" else None
        order_ref = order_ref or self._random_ref(market)
        if order_ref is None:
            return None
        order = self._engine.orders[order_ref]
        if kind == "replace":
            qty = order.qty if self._random.random() < 0.5 else self._size()
            price_e4 = self._price(market, order.side)
            return Action(at_ns, kind, order.symbol, order.side, qty, price_e4, order_ref)
        if kind == "cancel" and order.qty > 1:
            qty = 1 + int(self._random.random() * (order.qty - 1))
            return Action(at_ns, kind, order.symbol, order.side, qty, order_ref=order_ref)
        return Action(at_ns, "delete", order.symbol, order.side, order.qty, order_ref=order_ref)

    def _stale_ref(self, market: _Market) -> int | None:
        for side in (BUY, SELL):
            first = market.book.first(side)
            if first is not None and first.owner is None and market.stale(side):
                return first.order_ref
        return None

    def _random_ref(self, market: _Market) -> int | None:
        """A live order of the market's own; references that have died meanwhile are dropped on the way."""
        refs = market.refs
        while refs:
            index = int(self._random.random() * len(refs))
            order_ref = refs[index]
            if order_ref in self._engine.orders:
                return order_ref
            refs[index] = refs[-1]
            refs.pop()
        return None
