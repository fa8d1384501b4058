"""A loaded program to run frames through (BPF_PROG_TEST_RUN), with maps that can be made fresh in a moment."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from types import TracebackType
from typing import Unpack

from turbo_hft._native import ffi, lib
from turbo_hft.engine import Engine
from turbo_hft.program import LoadSettings, os_error

MIN_FRAME = 14  # the kernel refuses to run shorter ones: no Ethernet header
MAX_FRAME = lib.HFT_MAX_FRAME  # and longer ones: one page less head and tail room
_ROOM = 4096
_STATE = (
    "control",
    "limits",
    "symbol_limits",
    "fees",
    "symbol_params",
    "symbol_state",
    "memory",
    "account",
    "executions",
    "books",
    "auctions",
    "order_template",
    "feed_state",
    "session_state",
    "wire",
    "working",
    "locates",
    "kept",
    "book_orders",
    "book_levels",
    "book_ladder",
    "order_spill",
)
# Small, because all of it is made fresh for every test.
_DEFAULTS: LoadSettings = {
    "clock": "feed",
    "symbols": 64,
    "feeds": lib.HFT_MAX_FEEDS,
    "orders": 4096,
    "levels": 1024,
    "kept": 1024,
}


class Verdict(enum.IntEnum):
    """What an XDP program says of a frame."""

    ABORTED = 0
    DROP = 1
    PASS = 2
    TX = 3
    REDIRECT = 4


@dataclass(frozen=True, slots=True)
class RunResult:
    """`frame` as the program left it; `duration_ns`: mean over the repetitions, by the kernel's own measurement."""

    verdict: Verdict
    frame: bytes
    duration_ns: int


class Hook:
    """An engine that is attached to nothing. `engine` configures and reads it like any other.

    Its clock is the feed's, and its tables are small (64 symbols, 4,096 orders, 1,024 kept messages); `settings` change
    that. `state`: every array map that the hook writes, as (shared cffi array, bytes).
    """

    def __init__(self, **settings: Unpack[LoadSettings]) -> None:
        loaded: LoadSettings = {**_DEFAULTS, **settings}
        self.engine = Engine.load(**loaded)
        self._out = ffi.new("unsigned char[]", _ROOM)
        program = self.engine.program
        self.state = {name: (program.share(name, writable=True), program.shared_bytes(name)) for name in _STATE}
        self._zeros = bytes(max(size for _, size in self.state.values()))

    def run(self, frame: bytes, *, repeat: int = 1) -> RunResult:
        """Run one frame through the program; `repeat` runs it that often on the same state (for timing).

        Raises ValueError for a frame the kernel cannot run (14 to 3520 bytes).
        """
        if not MIN_FRAME <= len(frame) <= MAX_FRAME:
            raise ValueError(f"frame of {len(frame)} bytes: give {MIN_FRAME} to {MAX_FRAME}")
        length, verdict, duration = (
            ffi.new("unsigned int *", _ROOM),
            ffi.new("unsigned int *"),
            ffi.new("unsigned int *"),
        )
        error = lib.hft_test_run(
            self.engine.program.fd, ffi.from_buffer(frame), len(frame), self._out, length, repeat, verdict, duration
        )
        if error:
            raise os_error(error, "cannot run the frame")
        return RunResult(Verdict(verdict[0]), bytes(ffi.buffer(self._out, length[0])), duration[0])

    def reset(self) -> None:
        """Maps as after the load: halted, no limits, flows, symbols, orders, positions, events. Counters go on
        (compare differences)."""
        program = self.engine.program
        self.engine.halt()
        self.engine._clear_flows()
        self.engine._open_commands()
        key, names = ffi.new("struct hft_name_key *"), program.map("symbol_names")
        while lib.hft_map_next_key(names, ffi.NULL, key) == 0:
            lib.hft_map_delete(names, key)
        for items, size in self.state.values():
            ffi.memmove(items, self._zeros, size)
        self.engine.symbols.forget()
        for _ in self.engine.events:
            pass

    def close(self) -> None:
        """Unload the program."""
        self.engine.close()

    def __enter__(self) -> Hook:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
