"""The order desk: the life of a client's order, the same for every OUCH version.

The dialects translate; the desk decides, keeps the ledger, and answers through the dialect of the order's client.
Size semantics are OUCH's: a cancel, modify or replace names the total the client wants to be liable for, shares
already executed included. What goes wrong (`order_faults`) goes wrong here, at once or later (`agenda`); at the end
of the day whatever was to come later comes at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from functools import partial
from typing import TypeVar

from turbo_hft.exchange.agenda import Agenda
from turbo_hft.exchange.client import Client, ClientOrder, Key, Trade
from turbo_hft.exchange.halts import HALTED, Halts
from turbo_hft.exchange.ledger import Ledger, LedgerEntry
from turbo_hft.exchange.matching import SelfMatch
from turbo_hft.exchange.order_faults import Mishaps
from turbo_hft.exchange.venue import ADDED_LIQUIDITY, REMOVED_LIQUIDITY, Fill, Placement, Venue

MAX_QTY = 999_999
MAX_PRICE_E4 = 0x7735939C
_TICK_E4 = 100
_BROKEN_REASONS = "ECSX"
_USER, _SUPERVISORY, _SELF_MATCH, _HALT = "U", "S", "Q", "H"
_DEAD = "dead"
_PRICE_UPDATED, _REFRESHED = "P", "R"

Log = Callable[..., None]
T = TypeVar("T")


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
    HALTED = "trading is halted"
    SHORT_SALE = "short sale not above the best bid"
    DISABLED = "order entry is disabled"
    CANCEL_PENDING = "a cancel is pending"


class Desk:
    """Orders of all clients against one venue. Opens and closes with the market."""

    def __init__(
        self,
        venue: Venue,
        ledger: Ledger,
        *,
        mishaps: Mishaps | None = None,
        halts: Halts | None = None,
        log: Log | None = None,
    ) -> None:
        """`log` is told what happens to orders unasked, as `log(kind, **fields)`."""
        self.venue = venue
        self.ledger = ledger
        self.mishaps = mishaps or Mishaps()
        self.is_open = False
        self._halts = halts
        self._log = log
        self._agenda = Agenda()
        self._live: dict[ClientOrder, None] = {}

    def fault(self, symbol: str, side: str, qty: int, price_e4: int) -> Fault | None:
        """The first thing wrong with an order, or None."""
        if not self.is_open:
            return Fault.CLOSED
        if not self.venue.lists(symbol):
            return Fault.SYMBOL
        if side not in ("B", "S", "T", "E"):
            return Fault.SIDE
        return self.size_fault(qty, price_e4) or self._trading_fault(symbol, side, price_e4)

    @staticmethod
    def size_fault(qty: int, price_e4: int) -> Fault | None:
        """Range checks alone (a replacement inherits the rest)."""
        if not 0 < qty <= MAX_QTY:
            return Fault.QUANTITY
        if not 0 < price_e4 <= MAX_PRICE_E4:
            return Fault.PRICE
        return None

    def replacement_fault(self, order: ClientOrder, price_e4: int) -> Fault | None:
        """Why a live order cannot be replaced now, by a replacement that is good in itself; or None."""
        if order.cancel_pending:
            return Fault.CANCEL_PENDING
        return self._trading_fault(order.symbol, order.side, price_e4)

    def random_reject(self, codes: Sequence[T]) -> T | None:
        """One of a dialect's reject codes, if a good order or replacement is to be rejected all the same."""
        return self.mishaps.pick("reject", codes) if self._happens("reject") else None

    def reject(self, order: ClientOrder, code: str, now_ns: int) -> None:
        """Book a refused order; the dialect words the answer."""
        self._record("order", order, order.total, now_ns)
        self._record("rejected", order, order.total, now_ns, code=code)

    def reject_replacement(self, order: ClientOrder, code: str, now_ns: int) -> None:
        """Book a refused replacement of a live order, which stays as it is; the dialect words the answer."""
        self._record("replace_rejected", order, 0, now_ns, code=code)

    def enter(self, order: ClientOrder, now_ns: int) -> str:
        """A checked order goes to the market: accepted, perhaps executed, perhaps canceled (IOC). The outcome."""
        self._record("order", order, order.total, now_ns)
        if self._happens("dead"):
            order.dead, order.order_ref = True, self.venue.take_reference()
            self._record("accepted", order, order.total, now_ns)
            order.client.say(order.client.dialect.accepted(order, now_ns))
            self._record("canceled", order, order.total, now_ns, code=_DEAD)
            return "accepted dead"
        placement = self.venue.enter(
            order.symbol,
            order.book_side,
            order.total,
            order.price_e4,
            ioc=order.ioc,
            owner=order,
            mpid=order.mpid,
            party=order.client.account,
            time_ns=now_ns,
        )
        order.order_ref = placement.order_ref
        order.open_qty = order.total
        self._live[order] = None
        order.client.orders[order.key] = order
        self._record("accepted", order, order.total, now_ns)
        order.client.say(order.client.dialect.accepted(order, now_ns))
        self._settle(order, placement, now_ns)
        self._plan(order, now_ns)
        return "accepted"

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
            return self.cancel_whole(order, now_ns)
        dead = self._happens("dead")
        previous, before = order.key, order.open_qty
        if dead:
            self.venue.reduce(order.order_ref, before, time_ns=now_ns)
            placement = Placement(self.venue.take_reference(), 0, ())
        else:
            placement = self.venue.replace(order.order_ref, wanted, price_e4, ioc=ioc, time_ns=now_ns)
        self._record("canceled", order, before, now_ns, code="replaced")
        del order.client.orders[previous]
        order.key, order.form, order.ioc, order.expires_ns = key, form, ioc, expires_ns
        order.order_ref, order.total, order.open_qty, order.price_e4 = placement.order_ref, total, wanted, price_e4
        order.dead = dead
        order.client.orders[key] = order
        self._record("replaced", order, wanted, now_ns, code=str(previous))
        order.client.say(order.client.dialect.replaced(order, previous, now_ns))
        if dead:
            order.open_qty = 0
            self._record("canceled", order, wanted, now_ns, code=_DEAD)
            self._forget_if_dead(order)
            return "replaced dead"
        self._settle(order, placement, now_ns)
        self._plan(order, now_ns)
        return "replaced"

    def cancel(self, order: ClientOrder, intended: int, now_ns: int) -> str:
        """Lower the total to `intended` shares (0 = cancel all); more than it is now changes nothing. The outcome."""
        cut = min(order.open_qty, order.total - intended)
        if cut <= 0 or order.cancel_pending:
            return "ignored"
        dialect = order.client.dialect
        if self._happens("cancel_reject"):
            order.client.say(dialect.cancel_reject(order, now_ns))
            return "cancel rejected"
        if self._happens("cancel_pending"):
            if cut < order.open_qty:
                # In a late cross an order can be given up, but not made smaller.
                order.client.say(dialect.cancel_reject(order, now_ns))
                return "cancel rejected"
            order.cancel_pending = True
            order.client.say(dialect.cancel_pending(order, now_ns))
            self._agenda.add(self.mishaps.later("cancel_pending", now_ns), partial(self._finish_cancel, order))
            return "cancel pending"
        self._cut(order, cut, _USER, now_ns)
        return "canceled"

    def cancel_whole(self, order: ClientOrder, now_ns: int) -> str:
        """Cancel all that is open, whatever faults there are. The outcome."""
        self._cut(order, order.open_qty, _USER, now_ns)
        return "canceled"

    def cancel_all(self, client: Client, now_ns: int) -> int:
        """Cancel what a client has open, whatever faults there are (reason U). How many orders."""
        orders = list(client.orders.values())
        for order in orders:
            self.cancel_whole(order, now_ns)
        return len(orders)

    def modify(self, order: ClientOrder, side: str, intended: int, now_ns: int) -> str:
        """Lower the total and/or change the kind of sale. The outcome."""
        sale = side in ("S", "T", "E")
        if order.cancel_pending or intended > order.total:
            return "ignored"
        if (order.book_side == "S") != sale or (not sale and side != "B"):
            return "ignored"
        if intended <= order.executed:
            return self.cancel_whole(order, now_ns)
        self._modify(order, side, order.total - intended, _USER, now_ns)
        return "modified"

    def deliver(self, fills: Iterable[Fill], now_ns: int) -> None:
        """Book executions and tell their clients."""
        broken: dict[int, list[Trade]] = {}
        asked: set[int] = set()
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
            dialect = order.client.dialect
            with_reference = dialect.has_reference_price and self._happens("reference_price")
            order.client.say(dialect.executed(order, fill, now_ns, fill.price_e4 if with_reference else None))
            # One decision for both sides of a trade.
            if fill.match_number not in asked:
                asked.add(fill.match_number)
                if self.mishaps.happens("broken_trade"):
                    broken[fill.match_number] = []
            if fill.match_number in broken:
                broken[fill.match_number].append(Trade(order, order.key, order.form, order.book_side, fill))
            self._forget_if_dead(order)
        for trades in broken.values():
            self._agenda.add(self.mishaps.later("broken_trade", now_ns), partial(self._break, trades))

    def has_due(self, now_ns: int) -> bool:
        """Is it time for something that comes by itself?"""
        return self._agenda.has_due(now_ns) or any(
            order.expires_ns is not None and order.expires_ns <= now_ns for order in self._live
        )

    def catch_up(self, now_ns: int) -> None:
        """Do what is due, and cancel the orders whose time is over (reason T)."""
        self._agenda.run(now_ns)
        for order in [o for o in self._live if o.expires_ns is not None and o.expires_ns <= now_ns]:
            self._cut(order, order.open_qty, "T", now_ns)

    def on_state(self, symbol: str, state: str, now_ns: int) -> None:
        """The feed was told of a symbol's new state: a halt cancels the orders that rest there (reason H)."""
        self._note(f"trading_state_{state}" if state.isalpha() else "short_sale_restriction")
        if self._log is not None:
            self._log("state", symbol=symbol, state=state)
        if state == HALTED:
            for order in [order for order in self._live if order.symbol == symbol]:
                self._note("halt_cancel")
                self._cut(order, order.open_qty, _HALT, now_ns)

    def close(self, now_ns: int) -> None:
        """End of the day: what is still open is canceled (reason E), what comes from now on is rejected."""
        self._agenda.run_all(now_ns)
        for order in list(self._live):
            self._cut(order, order.open_qty, "E", now_ns)
        self._agenda.run_all(now_ns)
        self.is_open = False

    def _trading_fault(self, symbol: str, side: str, price_e4: int) -> Fault | None:
        if self._halts is None:
            return None
        if not self._halts.trades(symbol):
            return Fault.HALTED
        if side == "T" and self._halts.restricted(symbol) and price_e4 <= self.venue.best(symbol)["bid_e4"]:
            return Fault.SHORT_SALE
        return None

    def _plan(self, order: ClientOrder, now_ns: int) -> None:
        """What will happen unasked to an order that rests now."""
        if order not in self._live:
            return
        for kind, action in (
            ("supervisory_cancel", self._supervisory_cancel),
            ("priority_update", self._priority_update),
            ("supervisory_modify", self._supervisory_modify),
            ("restate", self._restate),
        ):
            if self.mishaps.happens(kind):
                self._agenda.add(self.mishaps.later(kind, now_ns), partial(action, order))

    def _finish_cancel(self, order: ClientOrder, now_ns: int) -> None:
        if order in self._live:
            self._cut(order, order.open_qty, _USER, now_ns)

    def _supervisory_cancel(self, order: ClientOrder, now_ns: int) -> None:
        if order not in self._live:
            return
        self._note("supervisory_cancel")
        some = self.mishaps.pick("supervisory_cancel", (False, False, True))
        cut = self.mishaps.shares("supervisory_cancel", order.open_qty) if some else order.open_qty
        self._cut(order, cut, _SUPERVISORY, now_ns)

    def _priority_update(self, order: ClientOrder, now_ns: int) -> None:
        """Behind the others of its price under a new reference, or at the next price away from the market."""
        if order not in self._live:
            return
        away = -_TICK_E4 if order.book_side == "B" else _TICK_E4
        price_e4 = order.price_e4 + (away if self.mishaps.pick("priority_update", (False, True)) else 0)
        if not 0 < price_e4 <= MAX_PRICE_E4:
            price_e4 = order.price_e4
        placement = self.venue.replace(order.order_ref, order.open_qty, price_e4, ioc=False, time_ns=now_ns)
        order.order_ref, order.price_e4 = placement.order_ref, price_e4
        order.client.say(order.client.dialect.priority_update(order, now_ns))
        self._note("priority_update", order, price_e4=price_e4, order_ref=order.order_ref)
        self._settle(order, placement, now_ns)

    def _supervisory_modify(self, order: ClientOrder, now_ns: int) -> None:
        if order not in self._live:
            return
        cut = self.mishaps.shares("supervisory_modify", order.open_qty) - 1
        side = order.side
        if side in ("S", "T"):
            side = self.mishaps.pick("supervisory_modify", ("S", "T"))
        self._note("supervisory_modify", order, new_side=side, cut=cut)
        self._modify(order, side, cut, _SUPERVISORY, now_ns)

    def _restate(self, order: ClientOrder, now_ns: int) -> None:
        if order not in self._live:
            return
        reason = self.mishaps.pick("restate", (_REFRESHED, _PRICE_UPDATED))
        message = order.client.dialect.restated(order, reason, now_ns)
        if message is not None:
            order.client.say(message)
            self._note("restate", order, reason=reason)

    def _break(self, trades: list[Trade], now_ns: int) -> None:
        reason = self.mishaps.pick("broken_trade", _BROKEN_REASONS)
        first = trades[0]
        self.mishaps.count["broken_trade"] += 1
        self.venue.break_trade(first.order.symbol, first.fill.match_number, time_ns=now_ns)
        for trade in trades:
            client, fill = trade.order.client, trade.fill
            self.ledger.record(
                LedgerEntry(
                    "broken",
                    now_ns,
                    client.account,
                    trade.order.symbol,
                    trade.key,
                    trade.side,
                    fill.qty,
                    fill.price_e4,
                    fill.match_number,
                    reason,
                )
            )
            client.say(client.dialect.broken(trade, reason, now_ns))

    def _settle(self, order: ClientOrder, placement: Placement, now_ns: int) -> None:
        self.deliver(placement.fills, now_ns)
        for match in placement.self_matches:
            self._self_match(match, now_ns)
        if order.ioc and order.open_qty:
            cut, order.open_qty = order.open_qty, 0
            self._report_cut(order, cut, "I", now_ns)

    def _self_match(self, match: SelfMatch, now_ns: int) -> None:
        self.mishaps.count["self_match"] += 1
        for order, liquidity in ((match.contra_owner, REMOVED_LIQUIDITY), (match.owner, ADDED_LIQUIDITY)):
            assert isinstance(order, ClientOrder)  # only clients have a party
            order.open_qty -= match.qty
            order.total -= match.qty
            self._record("canceled", order, match.qty, now_ns, code=_SELF_MATCH)
            dialect = order.client.dialect
            order.client.say(dialect.self_match(order, match.qty, match.price_e4, liquidity, now_ns))
            self._forget_if_dead(order)

    def _modify(self, order: ClientOrder, side: str, cut: int, code: str, now_ns: int) -> None:
        if cut:
            self._withdraw(order, cut, now_ns)
            self._record("canceled", order, cut, now_ns, code=code)
        order.side = side
        order.client.say(order.client.dialect.modified(order, now_ns))

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

    def _happens(self, kind: str) -> bool:
        """Something that happens at once if it does: counted right here."""
        if not self.mishaps.happens(kind):
            return False
        self.mishaps.count[kind] += 1
        return True

    def _note(self, kind: str, order: ClientOrder | None = None, **fields: object) -> None:
        """Count what happens unasked; of an order, log it too (cuts have lines of their own)."""
        self.mishaps.count[kind] += 1
        if order is not None and self._log is not None:
            self._log(kind, account=order.client.account, symbol=order.symbol, key=order.key, **fields)

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
