"""Journals for tests: small ones, with events whose every field is known."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from turbo_hft import abi
from turbo_hft._native import ffi
from turbo_hft.journal import Journal

SETTINGS = {"symbol.AAPL.slot": [None, 0], "symbol.MSFT.slot": [None, 1]}


def events(first_id: int, count: int, **fields: int) -> Any:
    """An array of ``struct hft_event`` with consecutive ids."""
    rng = random.Random(first_id)
    records = ffi.new("struct hft_event[]", max(count, 1))
    for i in range(count):
        record = records[i]
        record.id = first_id + i
        record.local_ns, record.feed_seq = 1_000_000 * (first_id + i), first_id + i
        record.kind = rng.randrange(1, len(abi.event_kinds()))
        record.symbol, record.side, record.qty = rng.randrange(2), rng.randrange(2), rng.randrange(1000)
        record.user_ref, record.strategy, record.price_e4 = first_id + i, rng.randrange(7), 1_500_000
        record.position = -rng.randrange(1000)
        for name, value in fields.items():
            setattr(record, name, value)
    return records


def small(directory: Path, *, segments: int = 1, close: bool = True) -> list[int]:
    """A journal of a few frames a segment, and the ids of its events."""
    journal, following = Journal.open(directory, fsync="none"), 1
    ids: list[int] = []
    journal.note("settings", {"epoch": 1, "changes": SETTINGS})
    for segment in range(segments):
        if segment:
            journal.rotate()
        for count in (1, 3):
            journal.events(events(following, count), count)
            ids += range(following, following + count)
            following += count
    if close:
        journal.close()
    else:
        journal._release()
    return ids
