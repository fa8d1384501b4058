"""Results of the latency lab as a machine could have found them: drawn, from a seed, and so known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from turbo_hft.latency.histogram import encode, histogram_of
from turbo_hft.latency.results import (
    Figure,
    Load,
    Machine,
    Measure,
    Noise,
    Repetition,
    Responder,
    Results,
    Rig,
    Series,
    Skipped,
)

TAP = Rig("tap", "tap", "a character device as the wire", "a network card", "exchange on CPU 0", "none")
VETH = Rig("veth", "veth, inline", "a pair of virtual devices", "a wire", "exchange on CPU 0", "tx off")
CLOSED = Load("closed", 0, 1, "closed loop")
OPEN = Load("open", 20_000, 1, "open loop, 20,000 packets/s")
FAST = Load("open", 200_000, 1, "open loop, 200,000 packets/s")
#: Name, p50 in ns on the tap, spread of its logarithm.
PEOPLE = (
    ("engine", 600, 0.05),
    ("echo", 400, 0.04),
    ("engine-generic", 900, 0.06),
    ("busy", 3_300, 0.3),
    ("af_xdp", 2_600, 0.25),
    ("dpdk-af_xdp", 3_600, 0.25),
    ("python", 25_000, 0.3),
)
MACHINE = Machine("6.18", "a processor", 2, 4096, "kvm", "tsc", "", "3.11.2", {"turbo_hft": "0.1.0 (abc)"})
STILL = Noise(True, "Still enough: nothing stirred.", {"gap_share": 0.001, "floor_spread": 1.02})
LOUD = Noise(False, "Too noisy: a busy loop lost 27.4% of its time.", {"gap_share": 0.274})


def repetition(values_ns: Sequence[int], *, lost: int = 0, missed: int = 0, behind_ns: int = 0) -> Repetition:
    """One run that answered in these times."""
    triggers = len(values_ns) + missed
    return Repetition(encode(histogram_of(values_ns)), triggers, lost, triggers, len(values_ns), missed, behind_ns)


def series(
    name: str,
    values: Sequence[Sequence[int]],
    load: Load = OPEN,
    rig: Rig = TAP,
    measure: Measure = "rtt",
) -> Series:
    """One repetition for each list of times."""
    return Series(rig.name, name, load, measure, tuple(repetition(one) for one in values))


def results(
    *,
    seed: int = 1,
    repetitions: int = 5,
    triggers: int = 12_000,
    slow: Mapping[str, float] | None = None,
    wobble: float = 0.1,
    speed: float = 1.0,
    loads: Sequence[Load] = (CLOSED, OPEN, FAST),
    rigs: Sequence[Rig] = (TAP, VETH),
    noise: Noise = STILL,
    machine: Machine = MACHINE,
) -> Results:
    """A run. `slow`: a factor for responders and figures by name; `wobble`: each repetition is off by up to that much,
    everybody by his own; `speed`: how much longer everything takes on this machine."""
    draw = np.random.default_rng(seed)
    slow = slow or {}
    found: list[Series] = []
    for rig in rigs:
        for load in loads:
            for name, p50, spread in PEOPLE:
                times = []
                for _ in range(repetitions):
                    middle = p50 * slow.get(name, 1.0) + (900 if rig is VETH else 0)
                    middle *= speed * (1 + draw.uniform(-wobble, wobble))
                    times.append(repetition([int(v) for v in draw.lognormal(np.log(middle), spread, triggers)]))
                found.append(Series(rig.name, name, load, "rtt", tuple(times)))
    return Results(
        form="short",
        started="2026-01-02T03:04:05+00:00",
        seconds=61.0,
        machine=machine,
        rigs=tuple(rigs),
        responders=tuple(
            Responder(name, f"the {name}", "the same work", name != "engine-generic") for name, _, _ in PEOPLE
        ),
        series=tuple(found),
        figures=figures(seed, repetitions, slow, wobble, speed),
        skipped=(Skipped("io_uring", "liburing is not here: install liburing2"),),
        noise=noise,
        orders_compared=repetitions * triggers,
    )


def figures(seed: int, repetitions: int, slow: Mapping[str, float], wobble: float, speed: float) -> tuple[Figure, ...]:
    """Stages, a scale and a count of the verifier."""
    draw = np.random.default_rng(seed + 1_000)

    def samples(name: str, value: float) -> tuple[float, ...]:
        return tuple(
            value * speed * slow.get(name, 1.0) * (1 + draw.uniform(-wobble, wobble)) for _ in range(repetitions)
        )

    stages = (("wire", 30.0), ("feed", 40.0), ("book", 90.0), ("strategy", 20.0), ("risk", 45.0), ("order", 110.0))
    return (
        *(Figure("stage", name, "ns", "lower", {}, samples(name, value)) for name, value in stages),
        *(
            Figure("scale", "hook", "ns", "lower", {"symbols": symbols}, samples("hook", 300 + symbols / 50))
            for symbols in (1, 100, 1_000, 10_000)
        ),
        *(
            Figure("throughput", "engine", "packets/s", "higher", {"messages": n}, samples("engine_rate", 2e6 / n))
            for n in (1, 20)
        ),
        Figure("verifier", "instructions", "1", "lower", {}, (150_000.0,)),
    )


def with_series(found: Results, name: str, load: Load, rig: Rig = TAP, **changes: int) -> Results:
    """The same run, but one repetition of one series has these fields (lost=…, missed=…, behind_ns=…)."""

    def changed(one: Series) -> Series:
        if (one.responder, one.load, one.rig) != (name, load, rig.name):
            return one
        first, *rest = one.repetitions
        return replace(one, repetitions=(replace(first, **changes), *rest))  # type: ignore[arg-type]

    return replace(found, series=tuple(changed(one) for one in found.series))
