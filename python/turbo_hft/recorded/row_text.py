"""Rows of a book as lines of text: a ladder for people, JSON and CSV for programs."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable

from turbo_hft.depth import Depth, Level
from turbo_hft.recorded.book_walk import Row
from turbo_hft.wire.price import E4

_SECOND_NS = 1_000_000_000


def clock(ns: int) -> str:
    """ns since midnight as HH:MM:SS.nnnnnnnnn."""
    seconds, rest = divmod(ns, _SECOND_NS)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{rest:09d}"


def dollars(price_e4: int) -> str:
    """With all four decimals, so that prices stand below each other."""
    return f"{price_e4 // E4}.{price_e4 % E4:04d}"


class Ladder:
    """For people: the message, and beside it the levels of both sides, a line each."""

    def header(self) -> str:
        """Names of the columns."""
        return (
            f"{'time':18} {'type'} {'reference':>12} {'orders':>6} {'shares':>8} {'bid':>11} | {'offer':<11} "
            f"{'shares':>8} {'orders':>6}"
        ).rstrip()

    def row(self, row: Row) -> str:
        """Its lines."""
        reference = "" if row.reference is None else str(row.reference)
        head = f"{clock(row.exchange_ns)} {row.type:>4} {reference:>12} "
        lines = []
        for bid, ask in itertools.zip_longest(row.depth.bids, row.depth.asks):
            left = f"{bid.orders:>6} {bid.qty:>8} {dollars(bid.price_e4):>11}" if bid else f"{'':27}"
            right = f"{dollars(ask.price_e4):<11} {ask.qty:>8} {ask.orders:>6}" if ask else ""
            lines.append(f"{head}{left} | {right}".rstrip())
            head = " " * len(head)
        return "\n".join(lines) if lines else f"{head}{'':>17}(empty)"


class Json:
    """One object a line; prices in 1/10000 dollar."""

    def header(self) -> str:
        """There is none."""
        return ""

    def row(self, row: Row) -> str:
        """The object."""
        return json.dumps(
            {
                "sequence": row.sequence,
                "time": clock(row.exchange_ns),
                "exchange_ns": row.exchange_ns,
                "type": row.type,
                "reference": row.reference,
                "new_reference": row.new_reference,
                "bids": [_level(level) for level in row.depth.bids],
                "asks": [_level(level) for level in row.depth.asks],
            },
            separators=(",", ":"),
        )


def _level(level: Level) -> dict[str, int]:
    return {"price_e4": level.price_e4, "shares": level.qty, "orders": level.orders}


class Csv:
    """A row a line; prices in dollars, empty where there is no level."""

    def __init__(self, depth: int) -> None:
        self._depth = depth

    def header(self) -> str:
        """Names of the columns."""
        columns = ["sequence", "time", "exchange_ns", "type", "reference", "new_reference"]
        for side in ("bid", "ask"):
            for level in range(1, self._depth + 1):
                columns += [f"{side}_{level}_price", f"{side}_{level}_shares", f"{side}_{level}_orders"]
        return ",".join(columns)

    def row(self, row: Row) -> str:
        """Its values."""
        head = f"{row.sequence},{clock(row.exchange_ns)},{row.exchange_ns},{row.type}"
        references = f"{_or_empty(row.reference)},{_or_empty(row.new_reference)}"
        return f"{head},{references},{self._side(row.depth.bids)},{self._side(row.depth.asks)}"

    def _side(self, levels: tuple[Level, ...]) -> str:
        cells = [f"{dollars(level.price_e4)},{level.qty},{level.orders}" for level in levels]
        return ",".join(cells + [",,"] * (self._depth - len(cells)))


def _or_empty(value: int | None) -> str:
    return "" if value is None else str(value)


def changes() -> Callable[[Depth], bool]:
    """Is this another depth than the one asked about before? The first one is."""
    before: Depth | None = None

    def changed(depth: Depth) -> bool:
        nonlocal before
        same, before = depth == before, depth
        return not same

    return changed
