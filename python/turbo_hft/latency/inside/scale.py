"""ns a message of the hook's own time, twenty messages a packet, against what a market can grow by; and what it takes.

symbols: all of them tracked, one book each. live orders: of all symbols together. armed: of a hundred symbols, so many
have a decision, which is asked whenever their best price moves and never wants anything. shadows: so many strategies
more are asked beside it. memory: of all maps, by the kernel's own account.

queues: one feed on one CPU against two feeds, two markets of the same size in one engine, that two CPUs deliver at the
same time. The engine lets one CPU in at a time; the other waits, which is in its time, and gives up in the end, which
is counted: such a packet is passed on unhandled. Here it is offered again at once; on a wire its feed would be asked.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from turbo_hft._native import ffi, lib
from turbo_hft.engine import Engine
from turbo_hft.exchange.market import MarketConfig, MarketFlow
from turbo_hft.latency.inside.hook_rig import (
    FLOW,
    SESSION,
    Frames,
    InsideError,
    bare_engine,
    checked,
    runtime_ns,
    statistics,
)
from turbo_hft.latency.inside.markets import Market
from turbo_hft.latency.inside.sampling import Effort, Parameter, figure, in_turns, measuring_cpu, other_cpu, pinned
from turbo_hft.latency.placement import on_cpu
from turbo_hft.latency.results import Figure, Series, Skipped
from turbo_hft.strategies import TRADING, Trading

SECTION = "scale"
_SYMBOLS, _LIVE, _ARMED_OF = 1_000, 10_000, 100
_WARM_UP_SHARE = 10
_BYTES_A_LIVE_ORDER = 400  # generator, engine's tables and flow, with room
_PACKETS = 2_000  # of each CPU at a time
_PER_PACKET = 20
_FLOWS = ("feed", "second")  # by feed


@dataclass(frozen=True, slots=True)
class Point:
    """A market on one axis."""

    axis: str
    value: int
    symbols: int
    live: int
    armed: int = 0
    shadows: tuple[Trading, ...] = ()


def points(effort: Effort) -> list[list[Point]]:
    """The axes, each with its points."""
    others = [name for name in TRADING if name != "threshold"]
    return [
        [Point("symbols", n, n, max(effort.live[0], min(_LIVE, effort.live[-1]))) for n in effort.symbols],
        [Point("live orders", n, min(_SYMBOLS, effort.symbols[-1]), n) for n in effort.live],
        [Point("armed", n, _ARMED_OF, _LIVE, n) for n in effort.armed],
        [Point("shadows", n, _ARMED_OF, _LIVE, _ARMED_OF, tuple(others[:n])) for n in (0, 1, len(others))],
    ]


def measure(
    effort: Effort, progress: Callable[[str], None], skipped: list[Skipped] | None = None
) -> tuple[list[Figure], list[Series]]:
    """What the machine is too small for goes into `skipped`. Raises CapabilityError, InsideError."""
    skipped = [] if skipped is None else skipped
    figures: list[Figure] = []
    with statistics(), pinned():
        for axis in points(effort):
            progress(f"scale: {axis[0].axis}")
            figures += _axis(effort, axis, skipped)
    if other_cpu() is None:
        skipped.append(Skipped("scale: two queues on two CPUs", "this process may use one CPU only"))
    else:
        progress("scale: queues")
        with statistics():
            figures += _queues(effort)
    return figures, []


def _axis(effort: Effort, axis: Sequence[Point], skipped: list[Skipped]) -> list[Figure]:
    fits = []
    left = _available_bytes()
    for point in axis:
        left -= point.live * _BYTES_A_LIVE_ORDER
        if left < 0:
            skipped.append(
                Skipped(
                    f"scale: {point.live:,} live orders",
                    f"needs about {point.live * _BYTES_A_LIVE_ORDER >> 20:,} MiB more memory than is free",
                )
            )
        else:
            fits.append(point)
    samples: dict[Point, list[float]] = {point: [] for point in fits}
    with ExitStack() as stack:
        markets = {
            point: stack.enter_context(Market(point.symbols, point.live, armed=point.armed, shadows=point.shadows))
            for point in fits
        }

        def one(point: Point) -> None:
            markets[point].ns_a_message(max(_PER_PACKET, effort.messages // _WARM_UP_SHARE))
            samples[point].append(markets[point].ns_a_message(effort.messages))

        in_turns(effort.repetitions, fits, one)
        memory = {point: market.map_mib() for point, market in markets.items()}
    figures = []
    for point in fits:
        what: dict[str, Parameter] = {
            "axis": point.axis,
            "value": point.value,
            "symbols": point.symbols,
            "live_orders": point.live,
            "armed": point.armed,
            "shadows": len(point.shadows),
        }
        figures.append(figure(SECTION, "message", "ns/message", samples[point], what))
        figures.append(figure(SECTION, "memory of all maps", "MiB", [memory[point]], what))
    return figures


def _available_bytes() -> int:
    with open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    return 0


class _Queue:
    """A market of its own on one flow of a common engine, and the CPU that delivers it."""

    def __init__(self, feed: int, engine: Engine, symbols: int, cpu: int) -> None:
        self.feed, self.flow, self.cpu, self._engine = feed, _FLOWS[feed], cpu, engine
        self.frames = Frames(engine.program.fd)
        self.frames.native.insists = 1
        names = tuple(f"{'AB'[feed]}{number:04}" for number in range(symbols))
        self.market = MarketFlow(MarketConfig(symbols=symbols, names=names, live_orders=_LIVE, stub_share=0.0))
        for name in names:
            engine.symbols.add(name, feed=feed, strategy=None)
        for packet in self.market.packets(SESSION, messages_per_packet=_PER_PACKET, limit=0):
            self.frames.packets(len(packet).to_bytes(4, "little") + packet, flow=self.flow)
        self.sequence = self.market.stats().messages + 1

    def check(self) -> None:
        """Raises InsideError if the engine did not handle all of it."""
        feed = self._engine.feeds[self.feed]
        if feed.expected_seq != self.sequence or self._engine.counters()["book_quarantines"]:
            raise InsideError(f"a queue's market was not handled whole: {feed}; its cost would be another's")

    def next(self, packets: int) -> bytes:
        found, self.sequence = self.market.packed(SESSION, self.sequence, _PER_PACKET, packets)
        return found


def _queues(effort: Effort) -> list[Figure]:
    """One queue, and two at once. Each with its own feed, or their packets would overtake each other."""
    mine, second = measuring_cpu(), other_cpu()
    assert mine is not None and second is not None
    symbols = min(100, effort.symbols[-1])
    results: dict[int, list[dict[str, float]]] = {1: [], 2: []}
    with ExitStack() as stack:
        engine = bare_engine((), feeds=2, symbols=2 * symbols, orders=8 * _LIVE)
        stack.callback(engine.close)
        queues = [_Queue(feed, engine, symbols, cpu) for feed, cpu in enumerate((mine, second))]

        def one(many: int) -> None:
            packets = max(_PACKETS, effort.messages // _PER_PACKET)
            before, ran = engine.counters(), runtime_ns(engine.program.fd)[0]
            totals = _together(queues[:many], packets)
            after, hook_ns = engine.counters(), runtime_ns(engine.program.fd)[0] - ran
            for queue in queues:
                queue.check()
            handled = sum(int(total.messages) for total in totals)
            results[many].append(
                {
                    "message": hook_ns / handled,
                    "passed on": (after["contended"] - before["contended"]) * 1e6 / (handled / _PER_PACKET),
                    "messages": handled * 1e9 / max(int(total.wall_ns) for total in totals),
                }
            )

        in_turns(effort.repetitions, (1, 2), one)
    figures = []
    for many, found in results.items():
        what: dict[str, Parameter] = {"axis": "queues", "value": many}
        figures += [
            figure(SECTION, "message", "ns/message", [one["message"] for one in found], what),
            figure(SECTION, "contended packets", "of a million", [one["passed on"] for one in found], what),
            figure(SECTION, "messages with system calls", "1/s", [one["messages"] for one in found], what, higher=True),
        ]
    return figures


def _together(queues: Sequence[_Queue], packets: int) -> list[Any]:
    """All of them deliver at once; what each came to. What it has of the program's time is that of all."""
    go = ffi.new("uint32_t *")
    totals = [ffi.new("struct hft_inside_total *") for _ in queues]
    errors: list[int] = []

    def deliver(queue: _Queue, buffers: list[bytes], total: Any) -> None:
        with on_cpu(queue.cpu):
            for number, buffer in enumerate(buffers):
                start = go if not number else ffi.NULL
                errors.append(
                    lib.hft_inside_packets(
                        queue.frames.native, FLOW[queue.flow], buffer, len(buffer), ffi.NULL, 0, total, start
                    )
                )

    made = []
    for queue in queues:
        buffers, done = [], queue.sequence
        end = done + packets * _PER_PACKET
        while queue.sequence < end:
            buffers.append(queue.next(-(-(end - queue.sequence) // _PER_PACKET)))
        made.append(buffers)
    threads = [
        threading.Thread(target=deliver, args=parts, name="inside-queue")
        for parts in zip(queues, made, totals, strict=True)
    ]
    for thread in threads:
        thread.start()
    go[0] = 1
    for thread in threads:
        thread.join()
    for error in errors:
        checked(error, "a queue cannot go on")
    return totals
