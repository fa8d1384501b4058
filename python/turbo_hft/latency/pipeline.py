"""The hook's pipeline in this process: its own code compiled for the host, configured as an engine was.

User-space peers do the same work with it as the engine does in the hook: parse, book, strategy, gate and order are the
same lines of C. There is one a process, and it forgets what it was when another engine is taken over.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from turbo_hft._native import ffi as native_ffi
from turbo_hft._native import lib as native
from turbo_hft.engine import Engine
from turbo_hft.errors import ConfigError, ExchangeError
from turbo_hft.latency._peers import ffi, lib

#: Counted, or filled, by the hook itself, and of no meaning to what it does; per CPU, or no arrays.
_NOT_TAKEN = ("stats", "histograms", "flows", "symbol_names")
_CONFIG = ".rodata.config"
_IMAGE_ENTRY = struct.Struct("=32sQ")  # name, bytes of data behind it
_EVENT_BYTES = int(native_ffi.sizeof("struct hft_event"))


@dataclass(frozen=True, slots=True)
class Counts:
    """What the pipeline did since it was taken over: packets and messages of the feed, orders, gaps."""

    packets: int
    messages: int
    orders: int
    gaps: int


class Pipeline:
    """`take_over` gives it its state; then the C loops of the peers, or the methods here, run packets through it."""

    def __init__(self) -> None:
        self._parts: list[tuple[str, bytes]] = []

    @classmethod
    def take_over(cls, engine: Engine) -> Pipeline:
        """Every map and table of an engine, as it stands. The engine need not be attached, and may be closed then.

        Raises ConfigError when its tables are larger than what is compiled in, or of another build.
        """
        pipeline = cls()
        program = engine.program
        config = native_ffi.new("struct hft_config *")
        native.hft_map_read(program.map(_CONFIG), native_ffi.new("uint32_t *", 0), config)
        pipeline._open(bytes(native_ffi.buffer(config)))
        for name in pipeline.tables():
            pipeline.put(name, bytes(native_ffi.buffer(program.share(name), program.shared_bytes(name))))
        for what, key_type, value_type in (
            ("flows", "struct hft_flow_key", "struct hft_flow"),
            ("symbol_names", "struct hft_name_key", "uint32_t"),
        ):
            for key, value in _entries(program.map(what), key_type, value_type):
                pipeline._add(what, key, value)
        return pipeline

    @staticmethod
    def tables() -> tuple[str, ...]:
        """Names of all arrays, as `turbo_hft.program.map_shapes` has them."""
        names: list[str] = []
        while (name := lib.hft_pipeline_name(len(names))) != ffi.NULL:
            names.append(ffi.string(name).decode())
        return tuple(names)

    def _open(self, config: bytes) -> None:
        error = lib.hft_pipeline_open(config, len(config))
        if error == -errno.E2BIG:
            raise ConfigError(
                "the engine's tables are larger than a peer's: load it with fewer orders, levels or kept."
            )
        if error:
            raise ConfigError(
                f"the native pipeline is of another build than the engine ({os.strerror(-error)}): run make"
            )
        self._parts.append(("config", config))

    def put(self, name: str, data: bytes) -> None:
        """Overwrite an array. Raises ConfigError for one that does not exist, or of another size."""
        error = lib.hft_pipeline_put(name.encode(), ffi.from_buffer(data), len(data))
        if error:
            raise ConfigError(f"the native pipeline has no room for {name} ({os.strerror(-error)}): run make")

    def _add(self, what: str, key: bytes, value: bytes) -> None:
        if what == "flows":
            error = lib.hft_pipeline_add_flow(key, value)
        else:
            error = lib.hft_pipeline_add_name(key, int.from_bytes(value, "little"))
        if error:
            raise ConfigError(f"the native pipeline has no room for another entry of {what}")
        self._parts.append((what, key + value))

    def get(self, name: str) -> bytes:
        """A copy of an array."""
        size = ffi.new("size_t *")
        start = lib.hft_pipeline_get(name.encode(), size)
        if start == ffi.NULL:
            raise ConfigError(f"the native pipeline has no {name}: give one of {', '.join(self.tables())}")
        return bytes(ffi.buffer(ffi.cast("char *", start), size[0]))

    def frame(self, frame: bytes, room: int = 3520) -> tuple[int, bytes]:
        """A complete frame, in a buffer of `room` bytes: the verdict (XDP_*) and the frame as it is then."""
        buffer = ffi.new("unsigned char[]", room)
        ffi.memmove(buffer, frame, len(frame))
        length = ffi.new("unsigned int *", len(frame))
        verdict = lib.hft_pipeline_frame(buffer, length, room)
        return int(verdict), bytes(ffi.buffer(buffer, length[0]))

    def feed(self, payload: bytes) -> bytes:
        """A packet of the feed's payload: the order datagram it leads to, b"" = none."""
        ffi.memmove(lib.hft_pipeline_rx(), payload, len(payload))
        length = lib.hft_pipeline_feed(len(payload))
        return bytes(ffi.buffer(ffi.cast("char *", lib.hft_pipeline_order()), length)) if length else b""

    def reply(self, payload: bytes) -> None:
        """A datagram of order entry."""
        ffi.memmove(lib.hft_pipeline_rx(), payload, len(payload))
        lib.hft_pipeline_reply(len(payload))

    def events(self, since: int) -> bytes:
        """Records (``struct hft_event``) behind number `since`, of which the ring keeps the newest."""
        counts = ffi.new("struct hft_pipeline_counts *")
        lib.hft_pipeline_counts(counts)
        many = counts.events - since
        records = ffi.new("char[]", max(1, many * _EVENT_BYTES))
        many = lib.hft_pipeline_events(since, records, many)
        return bytes(ffi.buffer(records, many * _EVENT_BYTES))

    def events_written(self) -> int:
        """Number of records ever written."""
        counts = ffi.new("struct hft_pipeline_counts *")
        lib.hft_pipeline_counts(counts)
        return int(counts.events)

    def counts(self) -> Counts:
        """Of now."""
        counts = ffi.new("struct hft_pipeline_counts *")
        lib.hft_pipeline_counts(counts)
        return Counts(counts.packets, counts.messages, counts.orders, counts.gaps)

    def start_user_refs_at(self, user_ref: int) -> None:
        """As `Engine.start_user_refs_at`: the next UserRefNum is at least this."""
        session = native_ffi.cast("struct hft_session_state *", self._address("session_state"))
        if user_ref > (session.next_user_ref or 1):
            session.next_user_ref = user_ref

    def session_up(self) -> None:
        """Raises ExchangeError unless the pipeline has its order-entry session."""
        session = native_ffi.cast("struct hft_session_state *", self._address("session_state"))
        if session.health != native.HFT_SESSION_UP:
            raise ExchangeError("the exchange accepted the login, and the pipeline did not: is the session name right?")

    def _address(self, name: str) -> int:
        return int(ffi.cast("uintptr_t", lib.hft_pipeline_get(name.encode(), ffi.new("size_t *"))))

    def save(self, path: Path) -> None:
        """An image that another process with the same pipeline reads: name, size and bytes, one by one."""
        with path.open("wb") as image:
            for name, data in (*self._parts, *((name, self.get(name)) for name in self.tables())):
                image.write(_IMAGE_ENTRY.pack(name.encode(), len(data)))
                image.write(data)


def not_taken() -> tuple[str, ...]:
    """Maps of the engine that the pipeline has none of by that name, or that are entered one by one."""
    return _NOT_TAKEN


def _entries(fd: int, key_type: str, value_type: str) -> Iterator[tuple[bytes, bytes]]:
    """Of a hash map."""
    before, key, value = native_ffi.NULL, native_ffi.new(f"{key_type} *"), native_ffi.new(f"{value_type} *")
    while native.hft_map_next_key(fd, before, key) == 0:
        if native.hft_map_read(fd, key, value) == 0:
            yield bytes(native_ffi.buffer(key)), bytes(native_ffi.buffer(value))
        before = native_ffi.new(f"{key_type} *", key[0])
