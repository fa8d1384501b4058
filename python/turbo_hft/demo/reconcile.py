"""Three ledgers of the same trading, held against each other to the share and the 1/10000 dollar.

*maps* is what the hook keeps (`struct hft_symbol_state`), *events* is added up here from the event stream alone,
*exchange* is what the exchange's own books say. Each does its own arithmetic. The stream itself must be complete too: a
lost event is a difference, even if all sums agree.

The exchange cannot know of an order that never reached it. The engine finds that out (event `lost`), and what it says
of it stands in the exchange's column too; `lost_problems` holds each of those orders against the exchange's log.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Protocol

from turbo_hft.dashboard.source import EventSource, SymbolState
from turbo_hft.errors import ExchangeError

LEDGERS = ("maps", "events", "exchange")
# OUCH order_state of an order that was accepted and is dead at once.
_DEAD = "D"


class LedgerEvent(EventSource, Protocol):
    """An event, with what the ledgers need of it beyond what a line shows."""

    @property
    def open_qty(self) -> int: ...
    @property
    def match_number(self) -> int: ...
    @property
    def fees_e8(self) -> int: ...


class LedgerState(SymbolState, Protocol):
    """A symbol's snapshot, with what the ledgers need of it beyond what the view shows."""

    @property
    def broken(self) -> int: ...


@dataclass(slots=True)
class SymbolLedger:
    """One symbol in one ledger. Shares, money in 1/10000 dollar, fees in 1/100,000,000; `orders` are orders and
    replacements, `fills` the trades that stand, `open_qty` is what no reply has answered for."""

    orders: int = 0
    fills: int = 0
    broken: int = 0
    bought_qty: int = 0
    bought_e4: int = 0
    sold_qty: int = 0
    sold_e4: int = 0
    canceled_qty: int = 0
    open_qty: int = 0
    position: int = 0
    cost_e4: int = 0
    realized_e4: int = 0
    fees_e8: int = 0


FIELDS = tuple(field.name for field in fields(SymbolLedger))


@dataclass(frozen=True, slots=True)
class LostOrder:
    """An order, or a replacement, that the engine holds never to have been in the market. `qty`: the shares it gave
    back, 0 of a replacement."""

    symbol: str
    qty: int


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of one symbol in the three ledgers, in the order of LEDGERS."""

    symbol: str
    field: str
    values: tuple[int, int, int]

    @property
    def equal(self) -> bool:
        """Do all three say the same?"""
        return len(set(self.values)) == 1


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The comparison. `problems` are findings beside the figures, as sentences."""

    rows: tuple[Row, ...]
    problems: tuple[str, ...]

    @property
    def differences(self) -> tuple[Row, ...]:
        """The rows that do not agree."""
        return tuple(row for row in self.rows if not row.equal)

    @property
    def equal(self) -> bool:
        """Nothing differs and nothing is wrong."""
        return not self.differences and not self.problems

    def as_dict(self) -> dict[str, object]:
        """JSON-ready."""
        return {
            "equal": self.equal,
            "rows": [
                {
                    "symbol": row.symbol,
                    "field": row.field,
                    **dict(zip(LEDGERS, row.values, strict=True)),
                    "equal": row.equal,
                }
                for row in self.rows
            ],
            "problems": list(self.problems),
        }


def maps_ledger(states: Iterable[LedgerState]) -> dict[str, SymbolLedger]:
    """The hook's own figures."""
    return {
        state.name: SymbolLedger(
            orders=state.orders_sent,
            fills=state.fills,
            broken=state.broken,
            bought_qty=state.bought_qty,
            bought_e4=state.bought_e4,
            sold_qty=state.sold_qty,
            sold_e4=state.sold_e4,
            canceled_qty=state.canceled_qty,
            open_qty=state.open_buy_qty + state.open_sell_qty,
            position=state.position,
            cost_e4=state.cost_e4,
            realized_e4=state.realized_e4,
            fees_e8=state.fees_e8,
        )
        for state in states
    }


def exchange_ledger(
    summary: Mapping[str, Any], account: str, lost: Iterable[LostOrder] = ()
) -> dict[str, SymbolLedger]:
    """One account of the exchange's summary, and the orders that were `lost` before they came to be.

    Raises ExchangeError when the summary lacks what is needed.
    """
    try:
        symbols: Mapping[str, Mapping[str, int]] = summary["accounts"].get(account, {})
        ledgers = {symbol: _of_exchange(row) for symbol, row in symbols.items()}
    except (KeyError, AttributeError, TypeError) as error:
        raise ExchangeError(
            f"the exchange's summary cannot be read ({error!r}): use the exchange of this package"
        ) from error
    for order in lost:
        ledger = ledgers.setdefault(order.symbol, SymbolLedger())
        ledger.orders += 1
        ledger.canceled_qty += order.qty
    return ledgers


def _of_exchange(row: Mapping[str, int]) -> SymbolLedger:
    return SymbolLedger(
        orders=row["orders"] + row["replaced"] + row["replaces_rejected"],
        fills=row["executions"],
        broken=row["broken"],
        bought_qty=row["bought_qty"],
        bought_e4=row["bought_e4"],
        sold_qty=row["sold_qty"],
        sold_e4=row["sold_e4"],
        canceled_qty=row["canceled_qty"] + row["rejected_qty"],
        open_qty=row["open_qty"],
        position=row["position"],
        cost_e4=row["cost_e4"],
        realized_e4=row["realized_e4"],
        fees_e8=row["fees_e8"],
    )


@dataclass(slots=True)
class _Open:
    """An order with shares open. `counted` of them are in the symbol's sum: a replacement that is not answered yet
    counts with what it asks for beyond its original."""

    qty: int
    counted: int
    replaces: bool = False


class EventLedger:
    """Adds up the event stream, from its first event on. Feed it every event once, in order.

    `fees_e8`: what a share costs by liquidity flag, in 1/100,000,000 dollar. `sent` and `lost` are by UserRefNum.
    """

    def __init__(self, fees_e8: Mapping[str, int] | None = None) -> None:
        self.symbols: dict[str, SymbolLedger] = {}
        self.sent: set[int] = set()
        self.lost: dict[int, LostOrder] = {}
        self.count = 0
        self.first_id: int | None = None
        self.last_id = 0
        self.hook_ns: list[int] = []
        self._fees_e8 = dict(fees_e8 or {})
        self._fee_of: dict[tuple[int, int], int] = {}  # of each execution, by order and match number
        self._open: dict[int, _Open] = {}
        self._problems: list[str] = []

    def add(self, events: Iterable[LedgerEvent]) -> None:
        """Book events."""
        for event in events:
            self._follow_ids(event.id)
            self._book(event)

    def problems(self, written: int, lost: int) -> list[str]:
        """What is wrong with the stream, given the hook's counters of records written and lost."""
        found = list(self._problems)
        if lost:
            found.append(f"{lost} events did not fit into the ring: the stream is incomplete")
        if self.first_id not in (None, 1):
            found.append(f"the first event read has id {self.first_id}: {self.first_id} is not where a stream begins")
        if self.count != written:
            found.append(f"{self.count} events were read, the hook wrote {written}")
        return found

    def _follow_ids(self, event_id: int) -> None:
        self.count += 1
        if self.first_id is None:
            self.first_id = event_id
        elif event_id != self.last_id + 1:
            self._problems.append(f"event {event_id} came after {self.last_id}: the stream has a hole")
        self.last_id = event_id

    def _book(self, event: LedgerEvent) -> None:
        if event.symbol is None:
            return
        ledger = self.symbols.setdefault(event.symbol, SymbolLedger())
        match event.kind:
            case "order":
                ledger.orders += 1
                self.sent.add(event.user_ref)
                self._enter(ledger, event)
                self.hook_ns.append(event.hook_ns)
            case "replaced":
                self._replace(ledger, event)
            case "executed":
                self._take(ledger, event, event.qty)
                fee_e8 = self._fee_of[event.user_ref, event.match_number] = self._fees_e8.get(event.reason, 0)
                ledger.fees_e8 += event.qty * fee_e8
                self._fill(ledger, event, event.side)
            case "canceled" | "modified":
                ledger.canceled_qty += self._take(ledger, event, event.qty)
            case "rejected":
                self._end(ledger, event)
            case "lost":
                self.lost[event.user_ref] = LostOrder(event.symbol, self._end(ledger, event))
            case "accepted" if event.reason == _DEAD:
                self._end(ledger, event)
            case "broken":
                ledger.broken += 1
                ledger.fees_e8 -= event.qty * self._fee_of.pop((event.user_ref, event.match_number), 0)
                self._fill(ledger, event, "sell" if event.side == "buy" else "buy", undone=True)
            case _:
                return
        order = self._open.get(event.user_ref)
        left = 0 if order is None else order.qty
        if left != event.open_qty:
            self._problems.append(
                f"event {event.id} ({event.kind}) says {event.open_qty} shares of order {event.user_ref} are open, "
                f"its events add up to {left}"
            )

    def _enter(self, ledger: SymbolLedger, event: LedgerEvent) -> None:
        """A replacement adds only what it asks for beyond the order whose place it takes."""
        old = self._open.get(event.other_ref)
        counted = event.qty if old is None else max(0, event.qty - old.qty)
        ledger.open_qty += counted
        self._open[event.user_ref] = _Open(event.qty, counted, replaces=bool(event.other_ref))

    def _replace(self, ledger: SymbolLedger, event: LedgerEvent) -> None:
        old, new = self._open.pop(event.other_ref, None), self._open.get(event.user_ref)
        if old is None or new is None:
            self._unknown(event)
            return
        ledger.canceled_qty += old.qty
        ledger.open_qty += event.qty - old.counted - new.counted
        self._open[event.user_ref] = _Open(event.qty, event.qty)
        if event.reason == _DEAD:
            self._end(ledger, event)

    def _end(self, ledger: SymbolLedger, event: LedgerEvent) -> int:
        """Nothing of an order is left; the shares it gives back: none of a replacement that never came to be."""
        order = self._open.pop(event.user_ref, None)
        if order is None:
            self._unknown(event)
            return 0
        back = 0 if order.replaces else order.qty
        ledger.open_qty -= order.counted
        ledger.canceled_qty += back
        return back

    def _unknown(self, event: LedgerEvent) -> None:
        self._problems.append(f"event {event.id} ({event.kind}) is about order {event.user_ref}, which never left")

    def _take(self, ledger: SymbolLedger, event: LedgerEvent, qty: int) -> int:
        """Shares that leave the open quantity of the event's order."""
        order = self._open.get(event.user_ref)
        if order is None:
            self._unknown(event)
            return qty
        ledger.open_qty -= qty
        order.qty -= qty
        order.counted -= qty
        if order.qty <= 0:
            del self._open[event.user_ref]
        return qty

    def _fill(self, ledger: SymbolLedger, event: LedgerEvent, side: str, *, undone: bool = False) -> None:
        """Average cost: shares that close take their part of the cost with them, cut to the whole 1/10000 dollar. A
        broken trade is `undone` by a fill of the other side, and leaves the sums of its own."""
        sign = -1 if undone else 1
        ledger.fills += sign
        if event.side == "buy":
            ledger.bought_qty += sign * event.qty
            ledger.bought_e4 += sign * event.qty * event.price_e4
        else:
            ledger.sold_qty += sign * event.qty
            ledger.sold_e4 += sign * event.qty * event.price_e4
        direction = 1 if side == "buy" else -1
        opening = event.qty
        if ledger.position * direction < 0:
            held, cost = abs(ledger.position), abs(ledger.cost_e4)
            closing = min(opening, held)
            released = closing * cost // held
            ledger.realized_e4 += -direction * (closing * event.price_e4 - released)
            ledger.position += direction * closing
            ledger.cost_e4 += direction * released
            opening -= closing
        ledger.position += direction * opening
        ledger.cost_e4 += direction * opening * event.price_e4
        said = (event.position, event.realized_e4, event.fees_e8)
        if said != (ledger.position, ledger.realized_e4, ledger.fees_e8):
            self._problems.append(
                f"event {event.id} says position {said[0]}, realized {said[1]} e4 and fees {said[2]} e8, the stream "
                f"adds up to {ledger.position}, {ledger.realized_e4} e4 and {ledger.fees_e8} e8"
            )


def reconcile(
    maps: Mapping[str, SymbolLedger],
    events: Mapping[str, SymbolLedger],
    exchange: Mapping[str, SymbolLedger],
    problems: Iterable[str] = (),
) -> Reconciliation:
    """Compare every figure of every symbol that any of the ledgers knows; one that knows it not holds zeros."""
    nothing = asdict(SymbolLedger())
    rows = []
    for symbol in sorted({*maps, *events, *exchange}):
        books = [asdict(ledger[symbol]) if symbol in ledger else nothing for ledger in (maps, events, exchange)]
        rows += [Row(symbol, field, (books[0][field], books[1][field], books[2][field])) for field in FIELDS]
    return Reconciliation(tuple(rows), tuple(problems))


def feed_problems(published: Mapping[str, int], handled: Mapping[str, int], *, gaps: int, missed: int) -> list[str]:
    """Was every message the exchange published handled once by the hook? Counts by ITCH type character."""
    found = []
    if gaps or missed:
        found.append(f"the feed had {gaps} gaps with {missed} messages missed")
    for kind in sorted({*published, *handled}):
        out, seen = published.get(kind, 0), handled.get(kind, 0)
        if out != seen:
            found.append(f"the exchange published {out} ITCH messages of type {kind}, the hook handled {seen}")
    return found


def lost_problems(sent: Iterable[int], lost: Iterable[int], log: Iterable[Mapping[str, Any]]) -> list[str]:
    """Did the exchange take every order that was sent, but for those that the engine holds lost, and none of these?

    `log` is the exchange's, of this session alone; OUCH 5.0. An order is taken when it was answered, with a reject too.
    """
    taken = {
        int(line["user_ref"])
        for line in log
        if (line["kind"] == "order" and line["outcome"] != "ignored")
        or (line["kind"] == "replace" and line["outcome"] not in ("ignored", "canceled"))
    }
    sent, lost = set(sent), set(lost)
    return (
        [f"order {ref} was declared lost, the exchange took it" for ref in sorted(lost & taken)]
        + [
            f"order {ref} left, the exchange never took it, it was not declared lost"
            for ref in sorted(sent - lost - taken)
        ]
        + [f"the exchange took order {ref}, which never left" for ref in sorted(taken - sent)]
    )
