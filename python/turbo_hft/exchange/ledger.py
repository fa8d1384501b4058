"""The exchange's own books on its clients: every order, execution, cancel and reject, per account and symbol.

One of three ledgers that must agree to the share and the 1/10000 dollar (the engine's maps and its event stream are
the others), so the position keeping here is written on its own from docs/rules.md section 9 and shares no code
with them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Position:
    """One account in one symbol. Money in 1/10000 dollar; `cost_e4` has the sign of `position`."""

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

    def fill(self, side: str, qty: int, price_e4: int) -> None:
        """Book an execution of `qty` shares at `price_e4`; `side` B buys, anything else sells."""
        self.executions += 1
        sign = 1 if side == "B" else -1
        if sign > 0:
            self.bought_qty += qty
            self.bought_e4 += qty * price_e4
        else:
            self.sold_qty += qty
            self.sold_e4 += qty * price_e4
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
            "rejects": dict(sorted(self.rejects.items())),
        }


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One line of the record. `kind`: order, accepted, executed, canceled, rejected or replaced.

    `key` is the UserRefNum (OUCH 5.0) or the token (OUCH 4.2); `code` the reason, liquidity flag, or new key.
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
    """All entries in order, and the positions they add up to."""

    def __init__(self, listener: Callable[[LedgerEntry], None] | None = None) -> None:
        self._listener = listener
        self.entries: list[LedgerEntry] = []
        self.positions: dict[str, dict[str, Position]] = {}

    def of(self, account: str, symbol: str) -> Position:
        """The position of an account in a symbol; a new one if there was none."""
        return self.positions.setdefault(account, {}).setdefault(symbol, Position())

    def record(self, entry: LedgerEntry) -> None:
        """Append an entry and move the position by it."""
        self.entries.append(entry)
        position = self.of(entry.account, entry.symbol)
        if entry.kind == "order":
            position.orders += 1
            position.ordered_qty += entry.qty
        elif entry.kind == "accepted":
            position.accepted += 1
        elif entry.kind == "replaced":
            position.ordered_qty += entry.qty
        elif entry.kind == "executed":
            position.fill(entry.side, entry.qty, entry.price_e4)
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
