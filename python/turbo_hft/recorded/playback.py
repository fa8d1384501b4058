"""Plays a recording: at its own pace, faster, or flat out; native/replay.c makes, paces and sends the packets.

A BinaryFILE is paced by its messages' time stamps and packed here: a packet takes what is due, up to so many messages.
A capture is paced by its own times, and its packets stay as they are.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from turbo_hft._native import ffi, lib
from turbo_hft.errors import TurboHftError
from turbo_hft.recorded.datagrams import CaptureFeed, Datagram
from turbo_hft.recorded.files import MessageFile, replay_error
from turbo_hft.wire import moldudp64

T = TypeVar("T")

_SLICE_NS = 50_000_000  # after which signals and progress are looked at
_QUIET_NS = 1_000_000_000  # without a packet, before a heartbeat
_END_PACKETS = 3
_BATCH = 256  # packets of a capture that are handed over together
_BATCHES = 32  # that are read ahead


@dataclass(frozen=True, slots=True)
class Totals:
    """How far a playback is, or was at its end. `recorded_ns`: since its first message, by the recording."""

    messages: int
    packets: int
    bytes: int
    duration_ns: int
    recorded_ns: int
    lag_ns: int
    worst_lag_ns: int
    waits: int

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.messages * 1e9 / max(self.duration_ns, 1)


class Playback:
    """One recording through a ``struct hft_replay``. `pace`: recorded seconds in one of ours, None = flat out."""

    def __init__(self, replay: Any, *, pace: float | None, tick: Callable[[], None]) -> None:
        """`tick` is called several times a second, and may raise."""
        self._replay = replay
        self._tick = tick
        self._pace = pace
        self._first_ns = 0
        self._ended_ns = 0
        replay.pace = pace or 0.0

    def totals(self) -> Totals:
        """So far."""
        replay = self._replay
        now = self._ended_ns or time.monotonic_ns()
        return Totals(
            messages=replay.messages,
            packets=replay.packets,
            bytes=replay.bytes,
            duration_ns=now - replay.start_ns if replay.start_ns else 0,
            recorded_ns=max(0, replay.recorded_ns - self._first_ns),
            lag_ns=replay.lag_ns,
            worst_lag_ns=replay.worst_lag_ns,
            waits=replay.waits,
        )

    def play_file(self, file: MessageFile) -> None:
        """A BinaryFILE, numbered from 1, and the end of its session. Raises TurboHftError where it is torn."""
        with self._timed(file.first_time_ns()):
            self._until_done(lambda until: lib.hft_replay_framed(self._replay, file.framed, until), file.error)
            replay = self._replay
            name = ffi.buffer(replay.session)[:].decode("latin-1")
            end = moldudp64.EndOfSession(name, int(replay.sequence)).encode()
            for _ in range(_END_PACKETS):
                self._send(end)

    def play_capture(self, feed: CaptureFeed, *, line: int | None, renumber: bool) -> None:
        """The packets of a capture: those of one line, sent as line A, or of all, each on its own.

        `renumber`: sequences count from 1. Raises TurboHftError where the capture is broken, ConfigError if it has no
        feed.
        """
        batches = _batches(feed.read(), line, renumber)
        first = next(batches, None)
        if first is None:
            return
        with self._timed(first[0]), contextlib.closing(_ahead(batches)) as rest:
            self._play_batch(first[1])
            for _, batch in rest:
                self._play_batch(batch)

    @contextlib.contextmanager
    def _timed(self, first_ns: int) -> Iterator[None]:
        self._first_ns = self._replay.first_ns = self._replay.recorded_ns = first_ns
        self._replay.start_ns = time.monotonic_ns()
        try:
            yield
        finally:
            self._ended_ns = time.monotonic_ns()

    def _play_batch(self, batch: bytes) -> None:
        at, packets = ffi.new("uint64_t *"), ffi.from_buffer("uint8_t[]", batch)
        self._until_done(
            lambda until: lib.hft_replay_packets(self._replay, packets, len(batch), at, until),
            lambda code: replay_error(code, "a packet of the capture"),
        )

    def _until_done(self, step: Callable[[int], int], error: Callable[[int], TurboHftError]) -> None:
        packets, since = self._replay.packets, time.monotonic_ns()
        while (result := step(time.monotonic_ns() + _SLICE_NS)) == lib.HFT_FRAMED_MORE:
            self._tick()
            now = time.monotonic_ns()
            if self._replay.packets != packets:
                packets, since = self._replay.packets, now
            elif now - since >= _QUIET_NS and self._replay.sequence:
                self._heartbeat()
                packets, since = self._replay.packets, now
        if result < 0:
            raise error(result)

    def _heartbeat(self) -> None:
        name = ffi.buffer(self._replay.session)[:].decode("latin-1")
        self._send(moldudp64.Heartbeat(name, int(self._replay.sequence)).encode())

    def _send(self, payload: bytes) -> None:
        error = lib.hft_replay_send(self._replay, self._replay.line, payload, len(payload))
        if error:
            raise replay_error(error, "a packet without messages")


def _batches(datagrams: Iterator[Datagram], line: int | None, renumber: bool) -> Iterator[tuple[int, bytes]]:
    """(time of the first packet, bytes as hft_replay_packets takes them)."""
    parts: list[bytes] = []
    first_ns, base = 0, None
    for datagram in datagrams:
        if line not in (None, datagram.line):
            continue
        payload = datagram.payload
        if renumber:
            base = datagram.sequence - 1 if base is None else base
            if datagram.sequence <= base:
                continue
            payload = payload[:10] + (datagram.sequence - base).to_bytes(8, "big") + payload[18:]
        if not parts:
            first_ns = datagram.time_ns
        head = ffi.new("struct hft_recorded *", (datagram.time_ns, datagram.line if line is None else 0, len(payload)))
        parts += [ffi.buffer(head)[:], payload]
        if len(parts) == 2 * _BATCH:
            yield first_ns, b"".join(parts)
            parts.clear()
    if parts:
        yield first_ns, b"".join(parts)


def _ahead(source: Iterator[T]) -> Generator[T, None, None]:
    """The same, read by a thread of its own, so that reading does not stand between two packets."""
    waiting: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(_BATCHES)
    stop = threading.Event()

    def put(item: tuple[T | None, BaseException | None]) -> None:
        while not stop.is_set():
            with contextlib.suppress(queue.Full):
                waiting.put(item, timeout=0.1)
                return

    def read() -> None:
        try:
            for item in source:
                put((item, None))
                if stop.is_set():
                    return
        except BaseException as error:  # it is the caller's, whatever it is
            put((None, error))
        else:
            put((None, None))

    thread = threading.Thread(target=read, name="read ahead", daemon=True)
    thread.start()
    try:
        while True:
            item, error = waiting.get()
            if error is not None:
                raise error
            if item is None:
                return
            yield item
    finally:
        stop.set()
        thread.join()
