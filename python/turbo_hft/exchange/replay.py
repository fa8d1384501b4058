"""A day that is made already, as the market: ITCH 5.0 messages go out as they are, our orders trade "as if".

They come from a BinaryFILE (a recorded day), or from whatever else gives messages (`market` makes a whole market's).
What is true here and what is not, with "the file" for either:

- Every message of the file goes out byte for byte, in order, numbered from 1. Nothing is added and nothing changes
  because of a client, its own executions included. The file is the truth; our fills are hypothetical.
- An incoming order takes displayed shares at its limit or better, best price first, oldest first, at their display
  price. Shares taken are remembered, so they are not given twice, even though the feed goes on showing them.
- The remainder of a day order waits, unseen. It fills at its limit when a replayed order joins the other side at
  that price or better, and, up to the executed quantity, when the file executes an order of its own side at a
  worse price: that trade would have met ours first. Executions at the same price do not fill it, because its
  place in the queue cannot be known.
- Nobody reacts to us. Fills are therefore optimistic in size and say nothing about market impact.
- Match numbers and order references of ours come from ranges above anything a real day uses.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from pathlib import Path

from turbo_hft.errors import ConfigError, ExchangeError, MalformedMessage
from turbo_hft.exchange.book import BUY, Order, opposite
from turbo_hft.exchange.clock import DayClock
from turbo_hft.exchange.itch_publisher import ItchPublisher
from turbo_hft.exchange.mirror import MirrorBook
from turbo_hft.exchange.venue import ADDED_LIQUIDITY, REMOVED_LIQUIDITY, Fill, Placement
from turbo_hft.wire import binaryfile, itch50

_FIRST_OWN_REF = 1 << 60
_FIRST_OWN_MATCH = 1 << 60


class ReplayVenue:
    """Client orders against a mirror of the replayed book."""

    def __init__(self) -> None:
        self.mirror = MirrorBook()
        self._resting: dict[int, Order] = {}
        self._last_ref = _FIRST_OWN_REF
        self._last_match = _FIRST_OWN_MATCH

    def lists(self, symbol: str) -> bool:
        """Has the file shown this symbol by now?"""
        return symbol in self.mirror.books

    def follow(self, message: itch50.Message) -> tuple[Fill, ...]:
        """Apply a replayed message; fills of waiting client orders that it brings about."""
        traded = self._execution(message)
        fills = self._through(*traded) if traded is not None and self._resting else ()
        joined = self.mirror.apply(message)
        return fills + self._meet(joined) if joined is not None and self._resting else fills

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
        """Take what is displayed; the remainder of a day order waits. Clients' orders never meet each other."""
        del mpid, time_ns  # nothing of ours is published
        order = Order(self.take_reference(), symbol, side, price_e4, qty, owner, party=party)
        fills = self._take(order)
        if order.qty and not ioc:
            self._resting[order.order_ref] = order
        return Placement(order.order_ref, order.qty, fills)

    def take_reference(self) -> int:
        """The next of our own."""
        self._last_ref += 1
        return self._last_ref

    def break_trade(self, symbol: str, match_number: int, *, time_ns: int) -> None:
        """Nothing of ours is in the feed, so nothing is taken back there."""

    def reduce(self, order_ref: int, qty: int, *, time_ns: int) -> None:
        """Cancel shares of a waiting order."""
        del time_ns
        order = self._resting.get(order_ref)
        if order is None or not 0 < qty <= order.qty:
            raise ExchangeError(f"order {order_ref} does not have {qty} open shares to cancel")
        self._fill_own(order, qty)

    def replace(self, order_ref: int, qty: int, price_e4: int, *, ioc: bool, time_ns: int) -> Placement:
        """Cancel and enter anew."""
        old = self._resting.pop(order_ref, None)
        if old is None or old.owner is None:
            raise ExchangeError(f"order {order_ref} is not waiting: it was filled, canceled or never entered")
        return self.enter(
            old.symbol,
            old.side,
            qty,
            price_e4,
            ioc=ioc,
            owner=old.owner,
            mpid="",
            party=old.party,
            time_ns=time_ns,
        )

    def best(self, symbol: str) -> dict[str, int]:
        """Best bid and offer of the file, what we took included."""
        book = self.mirror.books[symbol]
        bid, ask = book.best(BUY) or (0, 0), book.best(opposite(BUY)) or (0, 0)
        return {"bid_e4": bid[0], "bid_qty": bid[1], "ask_e4": ask[0], "ask_qty": ask[1]}

    def _take(self, order: Order) -> tuple[Fill, ...]:
        fills: list[Fill] = []
        for displayed in self.mirror.books[order.symbol].in_priority(opposite(order.side)):
            if not order.qty or not _reaches(order, displayed.price_e4):
                break
            qty = min(order.qty, self.mirror.available(displayed))
            if qty:
                self.mirror.take(displayed, qty)
                order.qty -= qty
                fills.append(self._fill(order, qty, displayed.price_e4, REMOVED_LIQUIDITY))
        return tuple(fills)

    def _meet(self, joined: Order) -> tuple[Fill, ...]:
        """A replayed order joined: waiting orders of the other side that it reaches fill at their own limit."""
        fills: list[Fill] = []
        for order in self._waiting(joined.symbol, opposite(joined.side)):
            qty = min(order.qty, self.mirror.available(joined))
            if not qty or not _reaches(order, joined.price_e4):
                break
            self.mirror.take(joined, qty)
            self._fill_own(order, qty)
            fills.append(self._fill(order, qty, order.price_e4, ADDED_LIQUIDITY))
        return tuple(fills)

    def _execution(self, message: itch50.Message) -> tuple[Order, int] | None:
        if not isinstance(message, itch50.OrderExecuted | itch50.OrderExecutedWithPrice):
            return None
        order = self.mirror.orders.get(message.order_ref)
        return None if order is None else (order, message.executed_shares)

    def _through(self, traded: Order, shares: int) -> tuple[Fill, ...]:
        """The file traded `shares` of an order: waiting orders of its side at a better price come first."""
        fills: list[Fill] = []
        for order in self._waiting(traded.symbol, traded.side):
            better = order.price_e4 - traded.price_e4 if order.side == BUY else traded.price_e4 - order.price_e4
            qty = min(order.qty, shares)
            if better <= 0 or not qty:
                break
            shares -= qty
            self._fill_own(order, qty)
            fills.append(self._fill(order, qty, order.price_e4, ADDED_LIQUIDITY))
        return tuple(fills)

    def _waiting(self, symbol: str, side: str) -> list[Order]:
        mine = [order for order in self._resting.values() if order.symbol == symbol and order.side == side]
        return sorted(mine, key=lambda order: -order.price_e4 if side == BUY else order.price_e4)

    def _fill_own(self, order: Order, qty: int) -> None:
        order.qty -= qty
        if not order.qty:
            del self._resting[order.order_ref]

    def _fill(self, order: Order, qty: int, price_e4: int, liquidity: str) -> Fill:
        self._last_match += 1
        assert order.owner is not None  # only clients' orders get here
        return Fill(order.owner, order.order_ref, qty, price_e4, self._last_match, liquidity)


def _reaches(order: Order, price_e4: int) -> bool:
    return order.price_e4 >= price_e4 if order.side == BUY else order.price_e4 <= price_e4


class ReplayFeed:
    """Publishes messages at the pace of their time stamps times `speed`, or with `speed` None as fast as it goes.

    `source`: a BinaryFILE, or the messages themselves; those may be without end.
    """

    def __init__(
        self,
        source: Path | Iterator[bytes],
        venue: ReplayVenue,
        publisher: ItchPublisher,
        clock: DayClock,
        *,
        speed: float | None = 1.0,
        duration_ns: int | None = None,
    ) -> None:
        """`duration_ns` bounds the replay's own time; with `speed` None that of the time stamps.

        Errors: ConfigError for a missing file or a bad speed.
        """
        if speed is not None and not speed > 0:
            raise ConfigError(f"speed {speed}: give a factor above 0, or max")
        if isinstance(source, Path) and not source.is_file():
            raise ConfigError(f"{source} is no file: name a BinaryFILE of ITCH 5.0 messages")
        self._source = source
        self._venue = venue
        self._publisher = publisher
        self._clock = clock
        self._speed = speed
        self._duration_ns = duration_ns
        self._messages: Iterator[bytes] = iter(())
        self._next: tuple[bytes, itch50.Message] | None = None
        self._first_ns = 0

    def open(self) -> None:
        """Open the source. Nothing is published that is not in it."""
        self._messages = binaryfile.read(self._source) if isinstance(self._source, Path) else self._source
        self._advance()
        if self._next is not None:
            self._first_ns = self._next[1].timestamp

    def due_ns(self) -> int | None:
        """None at the end of the source."""
        if self._next is None:
            return None
        due = int((self._next[1].timestamp - self._first_ns) / (self._speed or 1))
        if self._duration_ns is not None and due >= self._duration_ns:
            return None
        return 0 if self._speed is None else due

    def step(self) -> tuple[Fill, ...]:
        """Publish the next message and let the mirror follow it."""
        if self._next is None:
            return ()
        raw, message = self._next
        self._clock.at_least(message.timestamp)
        self._publisher.raw(raw)
        fills = self._venue.follow(message)
        self._advance()
        return fills

    def close(self, now_ns: int) -> None:
        """The source's last message was the last word."""

    def _advance(self) -> None:
        raw = next(self._messages, None)
        if raw is None:
            self._next = None
            return
        try:
            self._next = raw, itch50.decode(raw)
        except MalformedMessage as error:
            name = self._source if isinstance(self._source, Path) else "the market"
            raise ExchangeError(f"{name} holds a message that is not ITCH 5.0: {error}") from error
