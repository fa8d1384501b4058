"""The exchange's own books on its clients: every order, execution, cancel and reject, per account and symbol.

One of three ledgers that must agree to the share and the 1/10000 dollar (the engine's maps and its event stream are
the others), so the position keeping here is written on its own from docs/rules.md section 9 and shares no code
with them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from turbo_hft.errors import ExchangeError


@dataclass(slots=True)
class Position:
    """One account in one symbol. Money in 1/10000 dollar; `cost_e4` has the sign of `position`.

    `fees_e8` is what was paid, in 1/100,000,000 dollar. What a broken trade moved is taken back from the gross sums,
    `executions` and `fees_e8`; `broken_qty` keeps its shares, which were executed once and do not come back into the
    order: ordered = bought + sold + broken + canceled + rejected + open.
    """

    position: int = 0
    cost_e4: int = 0
    realized_e4: int = 0
    bought_qty: int = 0
    sold_qty: int = 0
    bought_e4: int = 0
    sold_e4: int = 0
    orders: int = 0
    accepted: int = 0
    rejected: int = 0
    executions: int = 0
    ordered_qty: int = 0
    canceled_qty: int = 0
    rejected_qty: int = 0
    rejects: Counter[str] = field(default_factory=Counter)
    replaced: int = 0
    replaces_rejected: int = 0
    fees_e8: int = 0
    broken: int = 0
    broken_qty: int = 0

    @property
    def open_qty(self) -> int:
        """Shares ordered that are neither executed nor canceled nor rejected."""
        gone = self.bought_qty + self.sold_qty + self.broken_qty + self.canceled_qty + self.rejected_qty
        return self.ordered_qty - gone

    def fill(self, side: str, qty: int, price_e4: int, fee_e8: int = 0) -> None:
        """Book an execution of `qty` shares at `price_e4`; `side` B buys, anything else sells; `fee_e8` a share."""
        self._count(side, 1, qty, price_e4, fee_e8)
        self._move(1 if side == "B" else -1, qty, price_e4)

    def take_back(self, side: str, qty: int, price_e4: int, fee_e8: int = 0) -> None:
        """A trade was broken: to the position a fill of the other side, to the sums as if it had not been."""
        self._count(side, -1, qty, price_e4, fee_e8)
        self.broken += 1
        self.broken_qty += qty
        self._move(-1 if side == "B" else 1, qty, price_e4)

    def _count(self, side: str, times: int, qty: int, price_e4: int, fee_e8: int) -> None:
        self.executions += times
        self.fees_e8 += times * qty * fee_e8
        if side == "B":
            self.bought_qty += times * qty
            self.bought_e4 += times * qty * price_e4
        else:
            self.sold_qty += times * qty
            self.sold_e4 += times * qty * price_e4

    def _move(self, sign: int, qty: int, price_e4: int) -> None:
        if self.position * sign < 0:
            qty -= self._close(sign, qty, price_e4)
        self.position += sign * qty
        self.cost_e4 += sign * qty * price_e4

    def _close(self, sign: int, qty: int, price_e4: int) -> int:
        """Close up to `qty` shares at average cost, rounded towards the realized side's loss of nothing.

        The share of the cost that leaves is floored in two parts (whole shares' cost, then the rest), as the rule
        says; what rounding leaves behind stays in the position, and the last share takes it all.
        """
        held, cost = abs(self.position), abs(self.cost_e4)
        closed = min(qty, held)
        average, rest = divmod(cost, held)
        out = closed * average + closed * rest // held
        proceeds = closed * price_e4
        self.realized_e4 += proceeds - out if sign < 0 else out - proceeds
        self.position += sign * closed
        self.cost_e4 += sign * out
        return closed

    def as_dict(self) -> dict[str, object]:
        """JSON-ready."""
        return {
            "position": self.position,
            "cost_e4": self.cost_e4,
            "realized_e4": self.realized_e4,
            "bought_qty": self.bought_qty,
            "sold_qty": self.sold_qty,
            "bought_e4": self.bought_e4,
            "sold_e4": self.sold_e4,
            "orders": self.orders,
            "accepted": self.accepted,
            "rejected": self.rejected,
            "executions": self.executions,
            "ordered_qty": self.ordered_qty,
            "canceled_qty": self.canceled_qty,
            "rejected_qty": self.rejected_qty,
            "replaced": self.replaced,
            "replaces_rejected": self.replaces_rejected,
            "open_qty": self.open_qty,
            "fees_e8": self.fees_e8,
            "broken": self.broken,
            "broken_qty": self.broken_qty,
            "rejects": dict(sorted(self.rejects.items())),
        }


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One line of the record. `kind`: order, accepted, executed, canceled, rejected, replaced, replace_rejected or
    broken.

    `key` is the UserRefNum (OUCH 5.0) or the token (OUCH 4.2); `code` the reason, liquidity flag, or former key. A
    broken trade repeats quantity, price and match number of the execution that it undoes.
    """

    kind: str
    time_ns: int
    account: str
    symbol: str
    key: int | str
    side: str
    qty: int
    price_e4: int
    match_number: int = 0
    code: str = ""


class Ledger:
    """All entries in order, and the positions they add up to, with fees of `fees_e8` by liquidity flag."""

    def __init__(
        self, listener: Callable[[LedgerEntry], None] | None = None, fees_e8: Mapping[str, int] | None = None
    ) -> None:
        self._listener = listener
        self._fees_e8 = dict(fees_e8 or {})
        self._unbroken: dict[tuple[str, int | str, int], LedgerEntry] = {}
        self.entries: list[LedgerEntry] = []
        self.positions: dict[str, dict[str, Position]] = {}

    def of(self, account: str, symbol: str) -> Position:
        """The position of an account in a symbol; a new one if there was none."""
        return self.positions.setdefault(account, {}).setdefault(symbol, Position())

    def record(self, entry: LedgerEntry) -> None:
        """Append an entry and move the position by it.

        Errors: ExchangeError if a trade is broken that was never made, or twice.
        """
        self.entries.append(entry)
        position = self.of(entry.account, entry.symbol)
        if entry.kind == "order":
            position.orders += 1
            position.ordered_qty += entry.qty
        elif entry.kind == "accepted":
            position.accepted += 1
        elif entry.kind == "replaced":
            position.replaced += 1
            position.ordered_qty += entry.qty
        elif entry.kind == "replace_rejected":
            position.replaces_rejected += 1
        elif entry.kind == "executed":
            position.fill(entry.side, entry.qty, entry.price_e4, self._fees_e8.get(entry.code, 0))
            self._unbroken[entry.account, entry.key, entry.match_number] = entry
        elif entry.kind == "broken":
            trade = self._unbroken.pop((entry.account, entry.key, entry.match_number), None)
            if trade is None:
                raise ExchangeError(f"trade {entry.match_number} of order {entry.key} is not there to be broken")
            position.take_back(trade.side, trade.qty, trade.price_e4, self._fees_e8.get(trade.code, 0))
        elif entry.kind == "canceled":
            position.canceled_qty += entry.qty
        elif entry.kind == "rejected":
            position.rejected += 1
            position.rejected_qty += entry.qty
            position.rejects[entry.code] += 1
        if self._listener is not None:
            self._listener(entry)

    def as_dict(self) -> dict[str, dict[str, dict[str, object]]]:
        """{account: {symbol: position}}, JSON-ready."""
        return {
            account: {symbol: position.as_dict() for symbol, position in sorted(symbols.items())}
            for account, symbols in sorted(self.positions.items())
        }
