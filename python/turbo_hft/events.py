"""The event stream: one record per decision and per reply, in order.

The hook never wakes a reader (that would be an interrupt on its own CPU), so waiting is polling every 50 microseconds.
A ring has one reader: a second one is refused, because each would see half. What was read counts as read from the next
read on: of a reader that was killed the next one sees the last batch again, as the ids say, and nothing is missing.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from turbo_hft import abi
from turbo_hft._native import ffi, lib
from turbo_hft.errors import ConfigError
from turbo_hft.locks import Lock
from turbo_hft.program import Program, os_error
from turbo_hft.snapshots import doubt_name, side_name
from turbo_hft.strategies import strategy_name

_BATCH = 4096
_ASYNC_PAUSE_S = 0.001
_SLICE_S = 0.1
_CODED_KINDS = frozenset({"accepted", "executed", "canceled", "rejected", "replaced", "broken", "restated", "system"})
_MAX_CHARACTER = 0x7E


@dataclass(frozen=True, slots=True)
class Event:
    """One record of ``struct hft_event``.

    `local_ns` is CLOCK_MONOTONIC at packet entry, `exchange_ns` the exchange's time stamp (ns since midnight).
    `reason` is the gate's reason by name (refused, shadow: empty if it would have left; cancel_sent: empty, or why it
    was handed to user space to be sent), why a book went into quarantine, which latch fell, or the exchange's own code:
    a character, or for OUCH 5.0 rejects hexadecimal such as ``0x11``. `strategy` is who decided it, ``none`` where
    nobody did. `side` is ``buy`` or ``sell``; a refused intent may have asked for another one, such as ``side 7``.
    `other_ref`: of a replacement and of ``replaced`` the order whose place is taken, of a refused replacement or cancel
    the order meant. `hook_ns`: from packet entry to the decision. Position, realised P&L and fees (1/100,000,000
    dollar) are those after it.
    """

    id: int
    local_ns: int
    exchange_ns: int
    feed_seq: int
    epoch: int
    kind: str
    reason: str
    reason_code: int
    symbol: str | None
    side: str
    user_ref: int
    price_e4: int
    qty: int
    hook_ns: int
    bid_e4: int
    ask_e4: int
    match_number: int
    position: int
    realized_e4: int
    open_qty: int
    strategy: str
    other_ref: int
    fees_e8: int


def reason_name(kind: str, code: int) -> str:
    """Readable form of an event's reason code."""
    if kind in ("refused", "shadow", "cancel_sent"):
        return abi.name_of("hft_reason", "HFT_REASON_", code) if code or kind == "refused" else ""
    if kind == "latched":
        return abi.names("hft_latch", "HFT_LATCH_").get(code, "")
    if kind == "book_quarantined":
        return doubt_name(code)
    if kind in _CODED_KINDS and code:
        return chr(code) if 0x21 <= code <= _MAX_CHARACTER and kind != "rejected" else f"0x{code:02X}"
    return ""


def event_from(record: Any, symbol_name: Callable[[int], str | None]) -> Event:
    """An Event from a ``struct hft_event``, whatever its bytes are."""
    values = abi.fields(record)
    kind = abi.event_kind(values["kind"])
    code = values["reason"]
    values.update(
        kind=kind,
        reason=reason_name(kind, code),
        reason_code=code,
        symbol=symbol_name(values["symbol"]),
        side=side_name(values["side"]),
        strategy=strategy_name(values["strategy"]),
    )
    return Event(**values)


class EventStream:
    """Iterate for what is there now, `wait` for more, or use ``async for``."""

    def __init__(self, program: Program, symbol_name: Callable[[int], str | None], lost: Callable[[], int]) -> None:
        self._symbol_name = symbol_name
        self._lost = lost
        self._reader = _reader_lock(program)
        error = ffi.new("int *")
        self._ring = lib.hft_ring_open(program.map("events"), error)
        if self._ring == ffi.NULL:
            self._reader.close()
            raise os_error(error[0], "cannot open the event ring")
        self._records = ffi.new("struct hft_event[]", _BATCH)

    @property
    def lost(self) -> int:
        """Records that did not fit into the ring, over the engine's life."""
        return self._lost()

    def wait(self, timeout_s: float) -> list[Event]:
        """What is there, waiting up to `timeout_s` seconds for a first record; empty on time-out. Releases the GIL."""
        end = time.monotonic() + timeout_s
        while True:
            # In slices, so that a signal is handled while nothing happens.
            slice_s = min(_SLICE_S, max(0.0, end - time.monotonic()))
            count = lib.hft_ring_wait(self._open(), self._records, _BATCH, int(slice_s * 1e9))
            if count or time.monotonic() >= end:
                return self._events(count)

    def raw(self) -> tuple[Any, int]:
        """What is there now, as the ring has it: an array of ``struct hft_event``, good until the next read, and how
        many, at most 4096."""
        count = lib.hft_ring_drain(self._open(), self._records, _BATCH)
        if count < 0:
            raise os_error(count, "cannot read the event ring")
        return self._records, int(count)

    def drain(self) -> list[Event]:
        """What is there now, at most 4096 records."""
        return self._events(lib.hft_ring_drain(self._open(), self._records, _BATCH))

    def _open(self) -> Any:
        if self._ring == ffi.NULL:
            raise ConfigError("the event stream is closed: its engine was closed.")
        return self._ring

    def _events(self, count: int) -> list[Event]:
        if count < 0:
            raise os_error(count, "cannot read the event ring")
        return [event_from(self._records[i], self._symbol_name) for i in range(count)]

    def __iter__(self) -> Iterator[Event]:
        while True:
            batch = self.drain()
            yield from batch
            if len(batch) < _BATCH:
                return

    async def __aiter__(self) -> AsyncIterator[Event]:
        import asyncio  # most readers do without

        while True:
            batch = self.drain()
            for event in batch:
                yield event
            if not batch:
                await asyncio.sleep(_ASYNC_PAUSE_S)

    def close(self) -> None:
        """Give the ring back; another reader may take it."""
        if self._ring != ffi.NULL:
            lib.hft_ring_close(self._ring)
            self._ring = ffi.NULL
            self._reader.close()


def _reader_lock(program: Program) -> Lock:
    """Be the ring's one reader."""
    lock = program.locks.take("events")
    if lock is None:
        raise ConfigError(
            f"another reader holds the events of this engine: process {os.getpid()} cannot share them. Counters, "
            "positions and books can be read by everyone."
        )
    return lock
