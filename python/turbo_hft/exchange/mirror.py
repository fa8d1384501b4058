"""A book rebuilt from ITCH messages, and what clients have taken out of it "as if".

The mirror follows the messages alone. Shares that a client took are remembered beside the order they were taken
from (`available` is what is displayed less what was taken) until that order is gone; a replacement inherits them.
So nothing is given twice, and the mirror itself stays what the messages say.
"""

from __future__ import annotations

from turbo_hft.exchange.book import LimitBook, Order
from turbo_hft.wire import itch50


class MirrorBook:
    """All symbols of a feed. Messages about references never added are counted, not applied."""

    def __init__(self) -> None:
        self.books: dict[str, LimitBook] = {}
        self.orders: dict[int, Order] = {}
        self.unknown_refs = 0
        self.misfits = 0
        self._taken: dict[int, int] = {}

    def apply(self, message: itch50.Message) -> Order | None:
        """Follow one message; the order that joined the book, if one did."""
        match message:
            case itch50.StockDirectory():
                self.books.setdefault(message.stock, LimitBook(message.stock))
            case itch50.AddOrder() | itch50.AddOrderMpid():
                return self._add(Order(message.order_ref, message.stock, message.side, message.price, message.shares))
            case itch50.OrderExecuted() | itch50.OrderExecutedWithPrice():
                self._reduce(message.order_ref, message.executed_shares)
            case itch50.OrderCancel():
                self._reduce(message.order_ref, message.cancelled_shares)
            case itch50.OrderDelete():
                order = self._known(message.order_ref)
                if order is not None:
                    self._reduce(order.order_ref, order.qty)
            case itch50.OrderReplace():
                return self._replace(message)
            case _:
                pass
        return None

    def available(self, order: Order) -> int:
        """Shares of a mirrored order that no client has taken yet."""
        return max(0, order.qty - self._taken.get(order.order_ref, 0))

    def take(self, order: Order, qty: int) -> None:
        """Remember that a client took `qty` shares of it."""
        self._taken[order.order_ref] = self._taken.get(order.order_ref, 0) + qty

    def _add(self, order: Order) -> Order | None:
        if order.order_ref in self.orders or order.side not in ("B", "S") or order.qty < 1:
            self.misfits += 1
            return None
        self.orders[order.order_ref] = order
        self.books.setdefault(order.symbol, LimitBook(order.symbol)).add(order)
        return order

    def _replace(self, message: itch50.OrderReplace) -> Order | None:
        old = self._known(message.orig_order_ref)
        if old is None:
            return None
        taken = self._taken.get(old.order_ref, 0)
        self._reduce(old.order_ref, old.qty)
        new = self._add(Order(message.new_order_ref, old.symbol, old.side, message.price, message.shares))
        if new is not None and taken:
            self._taken[new.order_ref] = taken
        return new

    def _reduce(self, order_ref: int, qty: int) -> None:
        order = self._known(order_ref)
        if order is None:
            return
        if not 0 < qty <= order.qty:
            self.misfits += 1
            qty = order.qty
        self.books[order.symbol].take(order, qty)
        if not order.qty:
            del self.orders[order_ref]
            self._taken.pop(order_ref, None)

    def _known(self, order_ref: int) -> Order | None:
        order = self.orders.get(order_ref)
        if order is None:
            self.unknown_refs += 1
        return order
