"""How often and how long: the two forms, and what is taken of samples."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from turbo_hft.latency.placement import CONTROL_CPU, PROBE_CPU, available, on_cpu
from turbo_hft.latency.results import Figure, Form

T = TypeVar("T")
Parameter = str | int | float

#: (name, share of the values at or below it). One is given only where ten values and more lie beyond it.
PERCENTILES = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999))
_BEYOND = 10
WARM_UP = 200  # rounds or packets before the first that counts, of every block


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured. `rounds`: of each kind in a repetition; `messages`: of each market in a repetition;
    `symbols`, `live`: the largest markets; `changes`: of a parameter by Python; `events`: whose way is timed."""

    repetitions: int
    rounds: int
    messages: int
    symbols: tuple[int, ...]
    live: tuple[int, ...]
    armed: tuple[int, ...]
    frames: int  # of a throughput, each repetition
    changes: int
    events: int


SHORT = Effort(
    repetitions=5,
    rounds=3_000,
    messages=100_000,
    symbols=(1, 100, 1_000),
    live=(1_000, 100_000),
    armed=(0, 10, 100),
    frames=100_000,
    changes=300,
    events=1_000,
)
FULL = Effort(
    repetitions=15,
    rounds=12_000,
    messages=400_000,
    symbols=(1, 100, 1_000, 10_000),
    live=(1_000, 100_000, 1_000_000, 4_000_000),
    armed=(0, 1, 10, 100),
    frames=1_000_000,
    changes=1_000,
    events=5_000,
)
TINY = Effort(
    repetitions=3,
    rounds=400,
    messages=8_000,
    symbols=(1, 50),
    live=(500, 5_000),
    armed=(0, 20),
    frames=20_000,
    changes=20,
    events=50,
)
"""For tests: figures that are right, and too few to be said."""


def effort_of(form: Form) -> Effort:
    """Of a form."""
    return FULL if form == "full" else SHORT


def median(values: Sequence[float]) -> float:
    """Of at least one; the upper of two middles."""
    return sorted(values)[len(values) // 2]


def percentiles(values: Sequence[int]) -> dict[str, int]:
    """Those that can be said of so many values, by name, and "max"."""
    ordered = sorted(values)
    told = {
        name: ordered[int(len(ordered) * share)]
        for name, share in PERCENTILES
        if round(len(ordered) * (1 - share), 6) >= _BEYOND
    }
    return told | {"max": ordered[-1]}


def in_turns(repetitions: int, contestants: Sequence[T], measure: Callable[[T], None]) -> None:
    """Measure all of them so often, in turns, every other time backwards: what drifts meets all alike."""
    for repetition in range(repetitions):
        for one in contestants if repetition % 2 == 0 else reversed(contestants):
            measure(one)


def measuring_cpu() -> int | None:
    """Where the frames are run; None = wherever the scheduler puts it."""
    return CONTROL_CPU if available(CONTROL_CPU) else next(iter(sorted(os.sched_getaffinity(0))), None)


def other_cpu() -> int | None:
    """A second one, None if there is none."""
    mine = measuring_cpu()
    return next((cpu for cpu in (PROBE_CPU, *sorted(os.sched_getaffinity(0))) if cpu != mine and available(cpu)), None)


@contextmanager
def pinned() -> Iterator[None]:
    """Run the block on the CPU that measures."""
    with on_cpu(measuring_cpu()):
        yield


def figure(
    section: str,
    name: str,
    unit: str,
    samples: Sequence[float],
    parameters: Mapping[str, Parameter] | None = None,
    *,
    higher: bool = False,
    **further: Parameter,
) -> Figure:
    """A Figure; names of parameters with _ for blanks. Raises ValueError without samples."""
    if not samples:
        raise ValueError(f"{section}, {name}: no samples")
    named = {key.replace("_", " "): value for key, value in {**(parameters or {}), **further}.items()}
    return Figure(section, name, unit, "higher" if higher else "lower", named, tuple(float(one) for one in samples))
