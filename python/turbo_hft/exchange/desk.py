"""The order desk: the life of a client's order, the same for every OUCH version.

The dialects translate; the desk decides, keeps the ledger, and answers through the dialect of the order's client.
Size semantics are OUCH's: a cancel, modify or replace names the total the client wants to be liable for, shares
already executed included.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from turbo_hft.exchange.client import ClientOrder, Key
from turbo_hft.exchange.ledger import Ledger, LedgerEntry
from turbo_hft.exchange.venue import Fill, Venue

MAX_QTY = 999_999
MAX_PRICE_E4 = 0x7735939C


class Fault(Enum):
    """What is wrong with an order; each dialect has its own reject code for it."""

    CLOSED = "market closed"
    SYMBOL = "unknown symbol"
    SIDE = "invalid side"
    QUANTITY = "quantity out of range"
    PRICE = "price out of range"
    TIME_IN_FORCE = "invalid time in force"
    DISPLAY = "display type not offered"
    CAPACITY = "invalid capacity"
    CROSS = "crosses are not offered"
    MIN_QTY = "minimum quantity is not offered"
    ISO = "invalid intermarket sweep flag"
    ORDER_TYPE = "order type not offered"


class Desk:
    """Orders of all clients against one venue. Opens and closes with the market."""

    def __init__(self, venue: Venue, ledger: Ledger) -> None:
        self.venue = venue
        self.ledger = ledger
        self.is_open = False
        self._live: dict[ClientOrder, None] = {}

    def fault(self, symbol: str, side: str, qty: int, price_e4: int) -> Fault | None:
        """The first thing wrong with an order, or None."""
        if not self.is_open:
            return Fault.CLOSED
        if not self.venue.lists(symbol):
            return Fault.SYMBOL
        if side not in ("B", "S", "T", "E"):
            return Fault.SIDE
        return self.size_fault(qty, price_e4)

    @staticmethod
    def size_fault(qty: int, price_e4: int) -> Fault | None:
        """Range checks alone (a replacement inherits the rest)."""
        if not 0 < qty <= MAX_QTY:
            return Fault.QUANTITY
        if not 0 < price_e4 <= MAX_PRICE_E4:
            return Fault.PRICE
        return None

    def reject(self, order: ClientOrder, code: str, now_ns: int) -> None:
        """Book a refused order; the dialect words the answer."""
        self._record("order", order, order.total, now_ns)
        self._record("rejected", order, order.total, now_ns, code=code)

    def enter(self, order: ClientOrder, now_ns: int) -> None:
        """A checked order goes to the market: accepted, perhaps executed, perhaps canceled (IOC)."""
        self._record("order", order, order.total, now_ns)
        placement = self.venue.enter(
            order.symbol,
            order.book_side,
            order.total,
            order.price_e4,
            ioc=order.ioc,
            owner=order,
            mpid=order.mpid,
            time_ns=now_ns,
        )
        order.order_ref = placement.order_ref
        order.open_qty = order.total
        self._live[order] = None
        order.client.orders[order.key] = order
        self._record("accepted", order, order.total, now_ns)
        order.client.say(order.client.dialect.accepted(order, now_ns))
        self._settle(order, placement.fills, now_ns)

    def replace(
        self,
        order: ClientOrder,
        key: Key,
        total: int,
        price_e4: int,
        *,
        ioc: bool,
        form: object,
        now_ns: int,
        expires_ns: int | None = None,
    ) -> str:
        """New total, price and key for a live order; a total that is executed already cancels it. The outcome."""
        wanted = total - order.executed
        if wanted <= 0:
            self._cut(order, order.open_qty, "U", now_ns)
            return "canceled"
        previous, before = order.key, order.open_qty
        placement = self.venue.replace(order.order_ref, wanted, price_e4, ioc=ioc, time_ns=now_ns)
        self._record("canceled", order, before, now_ns, code="replaced")
        del order.client.orders[previous]
        order.key, order.form, order.ioc, order.expires_ns = key, form, ioc, expires_ns
        order.order_ref, order.total, order.open_qty, order.price_e4 = placement.order_ref, total, wanted, price_e4
        order.client.orders[key] = order
        self._record("replaced", order, wanted, now_ns, code=str(previous))
        order.client.say(order.client.dialect.replaced(order, previous, now_ns))
        self._settle(order, placement.fills, now_ns)
        return "replaced"

    def cancel(self, order: ClientOrder, intended: int, now_ns: int) -> str:
        """Lower the total to `intended` shares (0 = cancel all); more than it is now changes nothing."""
        cut = min(order.open_qty, order.total - intended)
        if cut <= 0:
            return "ignored"
        self._cut(order, cut, "U", now_ns)
        return "canceled"

    def modify(self, order: ClientOrder, side: str, intended: int, now_ns: int) -> tuple[str, bool]:
        """Lower the total and/or change the kind of sale. (outcome, does the dialect owe a Modified)."""
        sale = side in ("S", "T", "E")
        if intended > order.total or (order.book_side == "S") != sale or (not sale and side != "B"):
            return "ignored", False
        if intended <= order.executed:
            self._cut(order, order.open_qty, "U", now_ns)
            return "canceled", False
        cut = order.total - intended
        if cut:
            self._withdraw(order, cut, now_ns)
            self._record("canceled", order, cut, now_ns, code="U")
        order.side = side
        return "modified", True

    def deliver(self, fills: Iterable[Fill], now_ns: int) -> None:
        """Book executions and tell their clients."""
        for fill in fills:
            order = fill.owner
            assert isinstance(order, ClientOrder)  # the desk enters nothing else
            order.executed += fill.qty
            order.open_qty -= fill.qty
            self.ledger.record(
                LedgerEntry(
                    "executed",
                    now_ns,
                    order.client.account,
                    order.symbol,
                    order.key,
                    order.book_side,
                    fill.qty,
                    fill.price_e4,
                    fill.match_number,
                    fill.liquidity,
                )
            )
            order.client.say(order.client.dialect.executed(order, fill, now_ns))
            self._forget_if_dead(order)

    def has_expired(self, now_ns: int) -> bool:
        """Is the time of some order over?"""
        return any(order.expires_ns is not None and order.expires_ns <= now_ns for order in self._live)

    def expire(self, now_ns: int) -> None:
        """Cancel the orders whose time is over (reason T)."""
        for order in [o for o in self._live if o.expires_ns is not None and o.expires_ns <= now_ns]:
            self._cut(order, order.open_qty, "T", now_ns)

    def close(self, now_ns: int) -> None:
        """End of the day: what is still open is canceled (reason E), what comes from now on is rejected."""
        for order in list(self._live):
            self._cut(order, order.open_qty, "E", now_ns)
        self.is_open = False

    def _settle(self, order: ClientOrder, fills: Iterable[Fill], now_ns: int) -> None:
        self.deliver(fills, now_ns)
        if order.ioc and order.open_qty:
            cut, order.open_qty = order.open_qty, 0
            self._report_cut(order, cut, "I", now_ns)

    def _cut(self, order: ClientOrder, qty: int, reason: str, now_ns: int) -> None:
        self._withdraw(order, qty, now_ns)
        self._report_cut(order, qty, reason, now_ns)

    def _withdraw(self, order: ClientOrder, qty: int, now_ns: int) -> None:
        self.venue.reduce(order.order_ref, qty, time_ns=now_ns)
        order.open_qty -= qty
        order.total -= qty

    def _report_cut(self, order: ClientOrder, qty: int, reason: str, now_ns: int) -> None:
        self._record("canceled", order, qty, now_ns, code=reason)
        order.client.say(order.client.dialect.canceled(order, qty, reason, now_ns))
        self._forget_if_dead(order)

    def _forget_if_dead(self, order: ClientOrder) -> None:
        if not order.open_qty:
            self._live.pop(order, None)
            order.client.orders.pop(order.key, None)

    def _record(self, kind: str, order: ClientOrder, qty: int, now_ns: int, code: str = "") -> None:
        self.ledger.record(
            LedgerEntry(
                kind,
                now_ns,
                order.client.account,
                order.symbol,
                order.key,
                order.book_side,
                qty,
                order.price_e4,
                code=code,
            )
        )
