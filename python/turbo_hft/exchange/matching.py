"""The matching engine: price-time priority over several symbols, one event for every change of a book.

The events are what a market-data publisher needs and no more (see `itch_publisher`); owners travel along so that
order entry can tell a client about its own executions. Every method returns its events in the order in which they
happened. Methods raise `ExchangeError` for references that are not live and for arguments no venue would take:
what a client may get wrong is refused earlier, by order entry, with the protocol's own reject.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace

from turbo_hft.errors import ExchangeError
from turbo_hft.exchange.book import BUY, SELL, LimitBook, Order, opposite


@dataclass(frozen=True, slots=True)
class OrderAdded:
    """A displayed order joined the book (ITCH A, or F with an MPID)."""

    symbol: str
    order_ref: int
    side: str
    qty: int
    price_e4: int
    mpid: str = ""


@dataclass(frozen=True, slots=True)
class OrderExecuted:
    """A resting order traded (ITCH E; C when `price_e4` is not its display price).

    `side`, `order_ref` and `owner` are the resting order's; `contra_*` the incoming one's.
    """

    symbol: str
    order_ref: int
    side: str
    qty: int
    price_e4: int
    match_number: int
    off_display_price: bool = False
    owner: Hashable | None = None
    contra_ref: int = 0
    contra_owner: Hashable | None = None


@dataclass(frozen=True, slots=True)
class OrderReduced:
    """Some shares were canceled (ITCH X)."""

    symbol: str
    order_ref: int
    qty: int


@dataclass(frozen=True, slots=True)
class OrderDeleted:
    """All remaining shares were canceled (ITCH D)."""

    symbol: str
    order_ref: int


@dataclass(frozen=True, slots=True)
class OrderReplaced:
    """Old reference gone, new one at the back of its level (ITCH U)."""

    symbol: str
    order_ref: int
    new_order_ref: int
    qty: int
    price_e4: int


BookEvent = OrderAdded | OrderExecuted | OrderReduced | OrderDeleted | OrderReplaced


@dataclass(frozen=True, slots=True)
class SelfMatch:
    """Two orders of one party met: `qty` shares left both, untraded. `price_e4` is what they would have traded at.

    `owner` is the resting order's, `contra_owner` the incoming one's.
    """

    qty: int
    price_e4: int
    owner: Hashable | None
    contra_owner: Hashable | None


@dataclass(frozen=True, slots=True)
class Submission:
    """What became of an incoming order: `open_qty` rests (day) or was given up (immediate-or-cancel)."""

    order_ref: int
    open_qty: int
    events: tuple[BookEvent, ...]
    self_matches: tuple[SelfMatch, ...] = ()


class MatchingEngine:
    """Continuous trading in the symbols given; order references and match numbers count up from 1."""

    def __init__(self, symbols: tuple[str, ...] = ()) -> None:
        self.books: dict[str, LimitBook] = {}
        self.orders: dict[int, Order] = {}
        self._last_ref = 0
        self._last_match = 0
        for symbol in symbols:
            self.add_symbol(symbol)

    def add_symbol(self, symbol: str) -> None:
        """List a symbol. Errors: ExchangeError when it is listed already."""
        if symbol in self.books:
            raise ExchangeError(f"symbol {symbol!r} is listed twice: name each symbol once")
        self.books[symbol] = LimitBook(symbol)

    def clear(self) -> None:
        """Empty all books, without events; order references begin at 1 again, match numbers go on."""
        for symbol in self.books:
            self.books[symbol] = LimitBook(symbol)
        self.orders.clear()
        self._last_ref = 0

    def take_reference(self) -> int:
        """A reference for an order that never gets here."""
        self._last_ref += 1
        return self._last_ref

    def submit(
        self,
        symbol: str,
        side: str,
        qty: int,
        price_e4: int,
        *,
        ioc: bool = False,
        owner: Hashable | None = None,
        mpid: str = "",
        party: Hashable | None = None,
    ) -> Submission:
        """Match a limit order of `side` (`B` or `S`); a day order's remainder rests, an IOC's is given up.

        Where it meets an order of its own `party`, the shares that would have traded leave both orders.
        """
        self._check(symbol, side, qty, price_e4)
        order = Order(self.take_reference(), symbol, side, price_e4, qty, owner, mpid, party)
        events, self_matches = self._match(order)
        if order.qty and not ioc:
            self._rest(order)
            events.append(OrderAdded(symbol, order.order_ref, side, order.qty, price_e4, mpid))
        return Submission(order.order_ref, order.qty, tuple(events), tuple(self_matches))

    def reduce(self, order_ref: int, qty: int) -> BookEvent:
        """Cancel `qty` shares of a resting order; all of them delete it. The queue place of the rest is kept."""
        order = self._live(order_ref)
        if not 0 < qty <= order.qty:
            raise ExchangeError(f"order {order_ref} has {order.qty} shares open: cannot cancel {qty}")
        return self._reduce(order, qty)

    def delete(self, order_ref: int) -> BookEvent:
        """Cancel everything that is open of a resting order."""
        return self.reduce(order_ref, self._live(order_ref).qty)

    def replace(self, order_ref: int, qty: int, price_e4: int, *, ioc: bool = False) -> Submission:
        """New quantity and price under a new reference, at the back of the queue; owner, party, side and MPID stay.

        A new price that does not trade is one OrderReplaced. One that does is a deletion, executions, and an
        addition of what is left: there is no other way to say it in ITCH.
        """
        old = self._live(order_ref)
        self._check(old.symbol, old.side, qty, price_e4)
        book = self.books[old.symbol]
        marketable = book.crosses(old.side, price_e4)
        self._take(old, old.qty)
        if marketable or ioc:
            outcome = self.submit(
                old.symbol, old.side, qty, price_e4, ioc=ioc, owner=old.owner, mpid=old.mpid, party=old.party
            )
            deleted = OrderDeleted(old.symbol, order_ref)
            return replace(outcome, events=(deleted, *outcome.events))
        new_ref = self.take_reference()
        self._rest(Order(new_ref, old.symbol, old.side, price_e4, qty, old.owner, old.mpid, old.party))
        event = OrderReplaced(old.symbol, order_ref, new_ref, qty, price_e4)
        return Submission(new_ref, qty, (event,))

    def execute_off_display(self, order_ref: int, qty: int, price_e4: int) -> OrderExecuted:
        """Trade a resting order with the anonymous market at a price other than its display price (ITCH C).

        That is how an order with hidden price discretion prints. Only the anonymous market's orders may: a
        client's order trades at its own price or not at all.
        """
        order = self._live(order_ref)
        if order.owner is not None:
            raise ExchangeError(f"order {order_ref} belongs to a client: it trades at its display price only")
        if not 0 < qty <= order.qty:
            raise ExchangeError(f"order {order_ref} has {order.qty} shares open: cannot execute {qty}")
        self._take(order, qty)
        self._last_match += 1
        return OrderExecuted(order.symbol, order_ref, order.side, qty, price_e4, self._last_match, True)

    def _match(self, order: Order) -> tuple[list[BookEvent], list[SelfMatch]]:
        book = self.books[order.symbol]
        contra_side = opposite(order.side)
        events: list[BookEvent] = []
        self_matches: list[SelfMatch] = []
        while order.qty and book.crosses(order.side, order.price_e4):
            resting = book.first(contra_side)
            assert resting is not None  # crosses() has just seen it
            qty = min(order.qty, resting.qty)
            order.qty -= qty
            if order.party is not None and order.party == resting.party:
                events.append(self._reduce(resting, qty))
                self_matches.append(SelfMatch(qty, resting.price_e4, resting.owner, order.owner))
                continue
            self._take(resting, qty)
            self._last_match += 1
            events.append(
                OrderExecuted(
                    order.symbol,
                    resting.order_ref,
                    contra_side,
                    qty,
                    resting.price_e4,
                    self._last_match,
                    owner=resting.owner,
                    contra_ref=order.order_ref,
                    contra_owner=order.owner,
                )
            )
        return events, self_matches

    def _reduce(self, order: Order, qty: int) -> BookEvent:
        self._take(order, qty)
        if order.qty:
            return OrderReduced(order.symbol, order.order_ref, qty)
        return OrderDeleted(order.symbol, order.order_ref)

    def _rest(self, order: Order) -> None:
        self.orders[order.order_ref] = order
        self.books[order.symbol].add(order)

    def _take(self, order: Order, qty: int) -> None:
        self.books[order.symbol].take(order, qty)
        if not order.qty:
            del self.orders[order.order_ref]

    def _live(self, order_ref: int) -> Order:
        order = self.orders.get(order_ref)
        if order is None:
            raise ExchangeError(f"order {order_ref} is not in the book: it was filled, canceled or never entered")
        return order

    def _check(self, symbol: str, side: str, qty: int, price_e4: int) -> None:
        if symbol not in self.books:
            raise ExchangeError(f"symbol {symbol!r} is not listed here: list it with add_symbol()")
        if side not in (BUY, SELL):
            raise ExchangeError(f"side {side!r}: give 'B' or 'S'")
        if qty <= 0 or price_e4 <= 0:
            raise ExchangeError(f"{qty} shares at {price_e4} (1/10000 $): both must be above 0")
