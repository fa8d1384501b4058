"""Where client orders go: one small interface, and its implementation on the matching engine.

Order entry neither knows nor cares whether a live book or a replayed one (`replay`) stands behind it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Protocol

from turbo_hft.exchange.book import opposite
from turbo_hft.exchange.itch_publisher import ItchPublisher
from turbo_hft.exchange.matching import BookEvent, MatchingEngine, OrderExecuted, SelfMatch, Submission

ADDED_LIQUIDITY = "A"
REMOVED_LIQUIDITY = "R"


@dataclass(frozen=True, slots=True)
class Fill:
    """An execution of a client's order; `owner` is what the client's order was entered with."""

    owner: Hashable
    order_ref: int
    qty: int
    price_e4: int
    match_number: int
    liquidity: str


@dataclass(frozen=True, slots=True)
class Placement:
    """What became of an order: its reference, what stays open, all fills it caused (other clients' too)."""

    order_ref: int
    open_qty: int
    fills: tuple[Fill, ...]
    self_matches: tuple[SelfMatch, ...] = ()


class Venue(Protocol):
    """Takes valid orders; `side` is B or S."""

    def lists(self, symbol: str) -> bool:
        """Is the symbol known here?"""

    def enter(
        self,
        symbol: str,
        side: str,
        qty: int,
        price_e4: int,
        *,
        ioc: bool,
        owner: Hashable,
        mpid: str,
        party: Hashable,
        time_ns: int,
    ) -> Placement:
        """Match, rest the remainder of a day order; orders of one party do not trade with each other."""

    def take_reference(self) -> int:
        """A reference for an order that is dead on arrival."""

    def break_trade(self, symbol: str, match_number: int, *, time_ns: int) -> None:
        """Say in the feed that an execution was undone."""

    def reduce(self, order_ref: int, qty: int, *, time_ns: int) -> None:
        """Cancel `qty` of the open shares."""

    def replace(self, order_ref: int, qty: int, price_e4: int, *, ioc: bool, time_ns: int) -> Placement:
        """New open quantity and price under a new reference."""

    def best(self, symbol: str) -> dict[str, int]:
        """bid_e4, bid_qty, ask_e4, ask_qty; 0 for an empty side."""


def fills_of(events: Iterable[BookEvent]) -> tuple[Fill, ...]:
    """The executions among `events` that concern a client: incoming order first, then the resting one."""
    fills: list[Fill] = []
    for event in events:
        if not isinstance(event, OrderExecuted):
            continue
        numbers = (event.qty, event.price_e4, event.match_number)
        if event.contra_owner is not None:
            fills.append(Fill(event.contra_owner, event.contra_ref, *numbers, REMOVED_LIQUIDITY))
        if event.owner is not None:
            fills.append(Fill(event.owner, event.order_ref, *numbers, ADDED_LIQUIDITY))
    return tuple(fills)


class LiveVenue:
    """The matching engine, with every change of its books published."""

    def __init__(self, engine: MatchingEngine, publisher: ItchPublisher) -> None:
        self.engine = engine
        self._publisher = publisher

    def lists(self, symbol: str) -> bool:
        """Is the symbol traded here?"""
        return symbol in self.engine.books

    def enter(
        self,
        symbol: str,
        side: str,
        qty: int,
        price_e4: int,
        *,
        ioc: bool,
        owner: Hashable,
        mpid: str,
        party: Hashable,
        time_ns: int,
    ) -> Placement:
        """Match against the live book and publish."""
        outcome = self.engine.submit(symbol, side, qty, price_e4, ioc=ioc, owner=owner, mpid=mpid, party=party)
        return self._published(outcome, time_ns)

    def take_reference(self) -> int:
        """The engine's next."""
        return self.engine.take_reference()

    def break_trade(self, symbol: str, match_number: int, *, time_ns: int) -> None:
        """Publish B."""
        self._publisher.broken_trade(symbol, match_number, time_ns)

    def reduce(self, order_ref: int, qty: int, *, time_ns: int) -> None:
        """Cancel and publish X or D."""
        self._publisher.publish((self.engine.reduce(order_ref, qty),), time_ns)

    def replace(self, order_ref: int, qty: int, price_e4: int, *, ioc: bool, time_ns: int) -> Placement:
        """Replace and publish."""
        return self._published(self.engine.replace(order_ref, qty, price_e4, ioc=ioc), time_ns)

    def best(self, symbol: str) -> dict[str, int]:
        """Best bid and offer."""
        book = self.engine.books[symbol]
        bid, ask = book.best("B") or (0, 0), book.best(opposite("B")) or (0, 0)
        return {"bid_e4": bid[0], "bid_qty": bid[1], "ask_e4": ask[0], "ask_qty": ask[1]}

    def _published(self, outcome: Submission, time_ns: int) -> Placement:
        self._publisher.publish(outcome.events, time_ns)
        return Placement(outcome.order_ref, outcome.open_qty, fills_of(outcome.events), outcome.self_matches)
