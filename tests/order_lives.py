"""A client's view of its orders, made of what it sent and of the replies alone: docs/rules.md, rule 8, as plainly as
can be. A reply that is not allowed in the state its order is in fails the test that brought it here."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from turbo_hft.wire import ouch42, ouch50

Key = int | str
Outbound = ouch50.Outbound | ouch42.Outbound

SENT, LIVE, FILLED, CANCELED, REJECTED, REPLACED, LOST = (
    "sent", "live", "filled", "canceled", "rejected", "replaced", "lost"
)  # fmt: skip


@dataclass
class Life:
    """One order."""

    symbol: str
    side: str
    qty: int
    price_e4: int
    original: Key | None = None
    state: str = SENT
    open_qty: int = 0
    successor: Key | None = None
    cancel_pending: bool = False
    order_ref: int = 0


@dataclass(frozen=True)
class Execution:
    """A trade of ours; B or S."""

    symbol: str
    side: str
    qty: int
    price_e4: int
    flag: str


@dataclass
class Lives:
    """All orders of one client. Sums are by symbol."""

    orders: dict[Key, Life] = field(default_factory=dict)
    executions: dict[tuple[Key, int], Execution] = field(default_factory=dict)
    broken: dict[tuple[Key, int], Execution] = field(default_factory=dict)
    canceled_qty: Counter[str] = field(default_factory=Counter)
    rejected_qty: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    stamp: int = 0

    def enter(self, key: Key, symbol: str, side: str, qty: int, price_e4: int) -> None:
        """We sent an Enter."""
        self.orders[key] = Life(symbol, side, qty, price_e4)

    def replace(self, original: Key, key: Key, qty: int, price_e4: int) -> None:
        """We sent a Replace, `qty` being the total of the chain."""
        old = self.orders[original]
        old.successor = key
        self.orders[key] = Life(old.symbol, old.side, qty, price_e4, original)

    def open_qty(self, symbol: str) -> int:
        """Shares that the exchange has of ours."""
        return sum(life.open_qty for life in self.orders.values() if life.state == LIVE and life.symbol == symbol)

    def apply(self, message: Outbound) -> None:
        """The next reply."""
        self.kinds[message.TYPE] += 1
        assert message.timestamp >= self.stamp
        self.stamp = message.timestamp
        match message:
            case ouch50.SystemEvent() | ouch42.SystemEvent():
                assert message.event_code in ("S", "E")
            case ouch50.AccountQueryResponse() | ouch50.MassCancelResponse() | ouch42.TradeNowAck():
                pass
            case ouch50.DisableOrderEntryResponse() | ouch50.EnableOrderEntryResponse():
                pass
            case ouch50.Accepted() | ouch42.Accepted():
                self._accepted(self.orders[_key(message)], message)
            case ouch50.Replaced() | ouch42.Replaced():
                self._replaced(self.orders[_key(message)], message)
            case ouch50.Rejected() | ouch42.Rejected():
                life = self.orders[_key(message)]
                assert life.state == SENT
                life.state = REJECTED
                if life.original is None:
                    self.rejected_qty[life.symbol] += life.qty
                elif self.orders[life.original].successor == _key(message):
                    self.orders[life.original].successor = None
            case ouch50.BrokenTrade() | ouch42.BrokenTrade():
                trade = _key(message), message.match_number
                assert message.reason in ouch50.BROKEN_REASONS
                self.broken[trade] = self.executions.pop(trade)  # there, and not broken before
            case _:
                self._of_live(message)

    def _accepted(self, life: Life, message: ouch50.Accepted | ouch42.Accepted) -> None:
        qty, symbol = (
            (message.quantity, message.symbol)
            if isinstance(message, ouch50.Accepted)
            else (message.shares, message.stock)
        )
        assert life.state == SENT and life.original is None
        assert (qty, symbol, message.side, message.price) == (life.qty, life.symbol, life.side, life.price_e4)
        self._begin(life, qty, message.price, message.order_ref, message.order_state)

    def _replaced(self, life: Life, message: ouch50.Replaced | ouch42.Replaced) -> None:
        previous: Key
        if isinstance(message, ouch50.Replaced):
            previous, qty, symbol = message.orig_user_ref_num, message.quantity, message.symbol
        else:
            previous, qty, symbol = message.previous_token, message.shares, message.stock
        old = self.orders[previous]
        assert life.state == SENT and life.original == previous and old.state == LIVE and not old.cancel_pending
        assert 0 < qty <= life.qty and (symbol, message.price) == (life.symbol, life.price_e4)
        assert (message.side == "B") == (life.side == "B")
        self.canceled_qty[old.symbol] += old.open_qty
        old.state, old.open_qty = REPLACED, 0
        life.side = message.side
        self._begin(life, qty, message.price, message.order_ref, message.order_state)

    def _begin(self, life: Life, qty: int, price_e4: int, order_ref: int, order_state: str) -> None:
        assert order_state in ("L", "D") and order_ref
        life.state, life.open_qty, life.price_e4, life.order_ref = LIVE, qty, price_e4, order_ref
        if order_state == "D":
            self._give_back(life, qty)

    def _of_live(self, message: Outbound) -> None:
        life = self.orders[_key(message)]
        assert life.state == LIVE, (message, life)
        match message:
            case ouch50.Executed(_, key, qty, price, flag, number):
                self._execute(life, (key, number), Execution(life.symbol, _book(life.side), qty, price, flag))
            case ouch42.Executed(_, key, qty, price, flag, number):
                self._execute(life, (key, number), Execution(life.symbol, _book(life.side), qty, price, flag))
            case ouch42.ExecutedWithReferencePrice(_, key, qty, price, flag, number):
                self._execute(life, (key, number), Execution(life.symbol, _book(life.side), qty, price, flag))
            case ouch50.Canceled() | ouch50.AiqCanceled() | ouch42.Canceled() | ouch42.AiqCanceled():
                assert message.reason in ouch50.CANCEL_REASONS
                self._give_back(life, _decrement(message))
            case ouch50.CancelPending() | ouch42.CancelPending():
                assert not life.cancel_pending
                life.cancel_pending = True
            case ouch50.CancelReject() | ouch42.CancelReject():
                life.cancel_pending = False
            case ouch50.PriorityUpdate() | ouch42.PriorityUpdate():
                assert message.order_ref != life.order_ref and 0 < message.price <= 2_000_000_000
                life.order_ref, life.price_e4 = message.order_ref, message.price
            case ouch50.Modified() | ouch42.Modified():
                qty = message.quantity if isinstance(message, ouch50.Modified) else message.shares
                assert 0 < qty <= life.open_qty and _book(message.side) == _book(life.side)
                self.canceled_qty[life.symbol] += life.open_qty - qty
                life.open_qty, life.side = qty, message.side
            case ouch50.Restated():
                assert message.reason in ouch50.RESTATED_REASONS
                ouch50.options(message.appendage)
            case _:
                raise AssertionError(message)

    def _execute(self, life: Life, trade: tuple[Key, int], execution: Execution) -> None:
        assert 0 < execution.qty <= life.open_qty and trade not in self.executions and trade not in self.broken
        better = life.price_e4 - execution.price_e4 if execution.side == "B" else execution.price_e4 - life.price_e4
        assert better >= 0
        self.executions[trade] = execution
        life.open_qty -= execution.qty
        if not life.open_qty:
            self._end(life, FILLED)

    def _give_back(self, life: Life, qty: int) -> None:
        assert 0 < qty <= life.open_qty
        self.canceled_qty[life.symbol] += qty
        life.open_qty -= qty
        if not life.open_qty:
            self._end(life, CANCELED)

    def _end(self, life: Life, state: str) -> None:
        life.state = state
        if life.successor is not None and self.orders[life.successor].state == SENT:
            self.orders[life.successor].state = LOST


def _book(side: str) -> str:
    return "B" if side == "B" else "S"


def _key(message: Outbound) -> Key:
    for name in ("user_ref_num", "order_token", "replacement_token"):
        if hasattr(message, name):
            key: Key = getattr(message, name)
            return key
    raise AssertionError(message)


def _decrement(message: ouch50.Canceled | ouch50.AiqCanceled | ouch42.Canceled | ouch42.AiqCanceled) -> int:
    return message.quantity if isinstance(message, ouch50.Canceled) else message.decrement_shares
