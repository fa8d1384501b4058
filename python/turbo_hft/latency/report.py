"""What a latency comparison found: percentiles, ratios and the rig they hold for."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

METHOD = (
    "RTT = CLOCK_MONOTONIC from right before the tick's send() to right after the order is seen, both in the exchange. "
    "The exchange is the same for all: it sends prepared frames through a packet socket past the queueing discipline, "
    "takes orders in its own XDP hook into a ring in user memory, and busy-polls that without system calls; patching "
    "and checksums are not timed. On veth the receiver's NAPI runs inside the sender's send(): the engine has answered "
    "before send() returns and no CPU is crossed, while the bot is woken on its own CPU. The bot's figure therefore "
    "contains that wake-up, as it would on a network card. The floor is the tick itself, sent back by an XDP program "
    "of two instructions: what the rig and the wire cost, contained in both other figures."
)


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Nearest-rank percentiles of one set of round trips, in nanoseconds."""

    count: int
    p50_ns: int
    p90_ns: int
    p99_ns: int
    max_ns: int

    @classmethod
    def of(cls, values_ns: Sequence[int]) -> Percentiles:
        """Raises ValueError for no values."""
        if not values_ns:
            raise ValueError("no round trips to take percentiles of: every round was missed")
        ordered = sorted(values_ns)

        def rank(percent: int) -> int:
            return ordered[(len(ordered) * percent + 99) // 100 - 1]

        return cls(len(ordered), rank(50), rank(90), rank(99), ordered[-1])

    @classmethod
    def median_of(cls, runs: Sequence[Percentiles]) -> Percentiles:
        """The median of each percentile over runs; `count` is their sum."""
        return cls(
            sum(run.count for run in runs),
            round(median(run.p50_ns for run in runs)),
            round(median(run.p90_ns for run in runs)),
            round(median(run.p99_ns for run in runs)),
            round(median(run.max_ns for run in runs)),
        )


@dataclass(frozen=True, slots=True)
class ResponderResult:
    """One responder. `all`: over all rounds of all repetitions; `median`: of the repetitions' percentiles."""

    name: str
    all: Percentiles
    median: Percentiles
    repetitions: tuple[Percentiles, ...]
    missed: int
    late: int

    @classmethod
    def of(cls, name: str, rtt_ns: Sequence[Sequence[int]], missed: int, late: int) -> ResponderResult:
        """From the round trips of each repetition; 0 = missed round, left out."""
        answered = [[value for value in repetition if value] for repetition in rtt_ns]
        repetitions = tuple(Percentiles.of(values) for values in answered)
        everything = [value for values in answered for value in values]
        return cls(name, Percentiles.of(everything), Percentiles.median_of(repetitions), repetitions, missed, late)


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times slower the bot is than the engine: median and range over the pairs of repetitions."""

    median: float
    min: float
    max: float

    @classmethod
    def of(cls, bot_ns: Sequence[int], engine_ns: Sequence[int]) -> Ratio:
        ratios = [bot / engine for bot, engine in zip(bot_ns, engine_ns, strict=True)]
        return cls(round(median(ratios), 2), round(min(ratios), 2), round(max(ratios), 2))


@dataclass(frozen=True, slots=True)
class Rig:
    """The machine and the arrangement that the figures hold for."""

    kernel: str
    cpu: str
    cpus: int
    python: str
    wire: str
    xdp_mode: str
    placement: str
    method: str = METHOD


@dataclass(frozen=True, slots=True)
class Comparison:
    """Engine and bot on the same rig, measured in turns. `orders_compared`: datagrams held equal to the byte.

    `floor`: the tick's own round trip through an echo in the engine's place; None if it was not measured.
    """

    rig: Rig
    rounds: int
    warmup_rounds: int
    interval_ns: int
    orders_compared: int
    engine: ResponderResult
    bot: ResponderResult
    ratio_p50: Ratio
    ratio_p99: Ratio
    floor: ResponderResult | None = None

    def lines(self) -> list[str]:
        """The table as plain text."""
        head = f"{'responder':<24}{'p50':>10}{'p90':>10}{'p99':>10}{'max':>11}   us, medians of repetitions"
        rows = [
            f"{result.name:<24}{_us(p.p50_ns):>10}{_us(p.p90_ns):>10}{_us(p.p99_ns):>10}{_us(p.max_ns):>11}"
            f"   {result.missed} missed of {p.count + result.missed}"
            for result in (self.floor, self.engine, self.bot)
            if result
            for p in (result.median,)
        ]
        return [
            f"tick to order, {len(self.engine.repetitions)} x {self.rounds} rounds each, in turns, "
            + (f"one tick every {self.interval_ns / 1000:g} us" if self.interval_ns else "ticks back to back"),
            head,
            *rows,
            f"bot / engine: p50 {self.ratio_p50.median:.1f}x ({self.ratio_p50.min:.1f} to {self.ratio_p50.max:.1f}), "
            f"p99 {self.ratio_p99.median:.1f}x ({self.ratio_p99.min:.1f} to {self.ratio_p99.max:.1f})",
            f"{self.orders_compared} order datagrams of both were compared: identical to the byte",
            f"rig: Linux {self.rig.kernel}, {self.rig.cpu} ({self.rig.cpus} CPUs), Python {self.rig.python}, "
            f"{self.rig.wire}, XDP {self.rig.xdp_mode}; {self.rig.placement}",
            self.rig.method,
        ]


def describe_rig(xdp_mode: str, placement: str) -> Rig:
    """This machine, as far as it says what it is."""
    return Rig(
        kernel=platform.release(),
        cpu=cpu_model(),
        cpus=os.cpu_count() or 1,
        python=platform.python_version(),
        wire="veth pair into a network namespace",
        xdp_mode=xdp_mode,
        placement=placement,
    )


def cpu_model() -> str:
    """What /proc/cpuinfo calls the processor; the architecture if it does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model"):
            return value.strip()
    return platform.machine()


def _us(value_ns: int) -> str:
    return f"{value_ns / 1000:.2f}"
