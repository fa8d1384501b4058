"""How still the machine was: whether the ratios of a run may be believed.

Three witnesses. A spinner that does nothing but read the clock, before, between and after the trials: where the clock
jumps, somebody else had the CPU. The kernel's count of the time that the hypervisor took away (steal) during the run.
And the rig's own floor: an echo does the same every time, so repetitions of it that differ saw different machines.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from turbo_hft.latency.placement import on_cpu
from turbo_hft.latency.results import Noise, Series
from turbo_hft.latency.statistics import per_repetition

#: A jump of the clock that counts; one read of it takes a tenth of a microsecond.
GAP_NS = 5_000
#: The thresholds. Above any of them a run is not conclusive.
MOST_GAP_SHARE = 0.05
WORST_GAP_NS = 30_000_000
MOST_STEAL = 0.03
MOST_FLOOR_SPREAD = 1.5
SPIN_S = 0.05
ECHO = "echo"
SHARED = "veth-cross"
"""The rig on which a thread of the kernel's and a responder may have to share a CPU."""

_STEAL = 7  # of the fields behind "cpu" in /proc/stat, proc(5)
_FIELDS = 8  # the guest's two that follow are contained in the first two


@dataclass(frozen=True, slots=True)
class Spin:
    """One look: of `seconds` on one CPU, `gap_ns` in all went to others, in `gaps`, `worst_ns` at once."""

    seconds: float
    gaps: int
    gap_ns: int
    worst_ns: int


def spin(seconds: float = SPIN_S, cpu: int | None = None) -> Spin:
    """Read the clock for so long and note where it jumps."""
    jumps: list[int] = []
    clock, limit = time.perf_counter_ns, GAP_NS
    collecting = gc.isenabled()
    gc.disable()
    try:
        with on_cpu(cpu):
            began = last = clock()
            end = began + round(seconds * 1e9)
            while last < end:
                now = clock()
                if now - last > limit:
                    jumps.append(now - last)
                last = now
    finally:
        if collecting:
            gc.enable()
    return Spin((last - began) / 1e9, len(jumps), sum(jumps), max(jumps, default=0))


def steal() -> tuple[int, int]:
    """Ticks that the hypervisor took away, and all ticks, since boot; (0, 0) where the kernel does not say."""
    try:
        line = Path("/proc/stat").read_text().splitlines()[0]
    except (OSError, IndexError):
        return 0, 0
    fields = [int(field) for field in line.split()[1 : 1 + _FIELDS]]
    return (fields[_STEAL], sum(fields)) if len(fields) == _FIELDS else (0, 0)


def floor_spread(series: Sequence[Series]) -> float | None:
    """The largest max / min of the echo's p50 over repetitions, of any closed loop; None without two repetitions.

    Not of a load that may be more than the rig takes, and not where two that answer share a CPU.
    """
    spreads = []
    for one in series:
        if one.responder != ECHO or one.load.kind != "closed" or one.rig == SHARED:
            continue
        medians = per_repetition(one, 50.0)
        if len(medians) > 1:
            spreads.append(max(medians) / min(medians))
    return max(spreads, default=None)


class NoiseWatch:
    """`start`, then `sample` between the trials, then `judge`. A sample keeps each of `cpus` busy for `SPIN_S`."""

    def __init__(self, cpus: Sequence[int] | None = None) -> None:
        """``cpus``: where the rig works; None = the first two that this process may run on."""
        self._cpus = tuple(sorted(os.sched_getaffinity(0))[:2]) if cpus is None else tuple(cpus)
        self._spins: list[Spin] = []
        self._steal = (0, 0)

    def start(self) -> None:
        """Before the first trial."""
        self._steal = steal()
        self._spins.clear()
        self.sample()

    def sample(self) -> None:
        """Between two trials, when nothing of ours runs."""
        self._spins += [spin(cpu=cpu) for cpu in self._cpus]

    def judge(self, series: Sequence[Series]) -> Noise:
        """What was seen so far, with the floor of these series. The run may go on."""
        stolen, ticks = (now - before for now, before in zip(steal(), self._steal, strict=True))
        seconds = sum(one.seconds for one in self._spins) or 1.0
        figures = {
            "spun_s": round(seconds, 3),
            "gaps_per_s": round(sum(one.gaps for one in self._spins) / seconds, 1),
            "gap_share": round(sum(one.gap_ns for one in self._spins) / seconds / 1e9, 5),
            "worst_gap_us": max((one.worst_ns for one in self._spins), default=0) / 1e3,
            "steal": round(stolen / ticks, 5) if ticks > 0 else 0.0,
        }
        spread = floor_spread(series)
        if spread is not None:
            figures["floor_spread"] = round(spread, 3)
        return judge(figures)


def judge(figures: Mapping[str, float]) -> Noise:
    """The verdict on figures as `NoiseWatch` has them."""
    looks = [
        (
            figures["gap_share"] > MOST_GAP_SHARE,
            f"a busy loop lost {figures['gap_share']:.1%} of its time in {figures['gaps_per_s']:,.0f} gaps of over "
            f"{GAP_NS // 1000} µs a second (most allowed: {MOST_GAP_SHARE:.0%})",
        ),
        (
            figures["worst_gap_us"] * 1e3 > WORST_GAP_NS,
            f"the worst gap was {figures['worst_gap_us'] / 1e3:.2f} ms (most allowed: {WORST_GAP_NS / 1e6:.0f})",
        ),
        (
            figures["steal"] > MOST_STEAL,
            f"the hypervisor took {figures['steal']:.1%} of the time (most allowed: {MOST_STEAL:.0%})",
        ),
    ]
    if "floor_spread" in figures:
        looks.append(
            (
                figures["floor_spread"] > MOST_FLOOR_SPREAD,
                f"the p50 of the rig's floor differed {figures['floor_spread']:.2f}-fold between repetitions "
                f"(most allowed: {MOST_FLOOR_SPREAD:g})",
            )
        )
    bad = [words for failed, words in looks if failed]
    good = [words for failed, words in looks if not failed]
    words = "; ".join(bad) if bad else "; ".join(good)
    missing = "" if "floor_spread" in figures else "; the floor's spread is not known: it was not measured twice"
    return Noise(
        conclusive=not bad,
        words=("Too noisy: " if bad else "Still enough: ") + words + missing + ".",
        figures=dict(figures),
    )
