"""What each stage of the pipeline costs: differences between packets that end one stage further.

One and the same tick, an Add Order that becomes the best offer, is met by programs and symbols that do ever more with
it. Every step down the list does all that the one above does, so the stages add up to the whole by construction; what
is uncertain is only where one ends and the next begins, and each figure's parameter `method` says what was taken from
what. Medians of the program's own run time, in turns; a figure below the clock's resolution may come out negative.

wire: the same frame with a wrong UDP checksum: headers, flow table, entry into the engine, copy, both checksums.
feed: a packet without messages against a spoiled one of its size. message: a symbol nobody asked for; with it goes the
scan of the packet's blocks. book: a symbol whose book is kept. strategy: one whose strategy is asked and wants nothing.
risk: it wants to buy and is refused by the very last check (the lease), while the event ring is full: the gate, the
counters, the read of the clock, and the attempt to write. event: the same with room in the ring; the attempt that finds
none costs some ns too, so this is a little too small, and risk as much too large. order: nothing refuses: the order is
written down, its frame is made, with its checksums, and put in the tick's place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from turbo_hft._native import lib
from turbo_hft.latency.inside.hook_rig import Frames, HookRig, InsideError, Kind, Round, constant, statistics
from turbo_hft.latency.inside.sampling import WARM_UP, Effort, figure, in_turns, median, pinned
from turbo_hft.latency.results import Figure, Series

SECTION = "stage"
_DROP, _PASS, _TX = 1, 2, 3
_BLOCK = 4_000  # rounds whose events surely fit the ring


@dataclass(frozen=True, slots=True)
class Step:
    """One contestant: a kind of packet under a condition of the engine."""

    name: str
    kind: Kind
    verdict: int
    lease: bool = True
    full: bool = False


STEPS = (
    Step("floor", "spoiled", _DROP),
    Step("other", "other", _PASS),
    Step("spoiled", "spoiled", _PASS),
    Step("spoiled empty", "spoiled_empty", _PASS),
    Step("heartbeat", "heartbeat", _DROP),
    Step("untracked", "untracked", _DROP),
    Step("kept", "kept", _DROP),
    Step("idle", "idle", _DROP),
    Step("refused, ring full", "trigger", _DROP, lease=False, full=True),
    Step("refused", "trigger", _DROP, lease=False),
    Step("sent", "trigger", _TX),
)

#: Stage -> (what, less what), in the pipeline's order; names of STEPS.
STAGES: dict[str, tuple[tuple[str, ...], tuple[str, ...], str]] = {
    "wire": (("spoiled",), ("floor",), "frame of ours with a wrong UDP checksum less a program of two instructions"),
    "feed": (("heartbeat",), ("spoiled empty",), "packet without messages less one as long with a wrong checksum"),
    "message": (
        ("untracked", "spoiled empty"),
        ("spoiled", "heartbeat"),
        "one message of a symbol nobody asked for, less wire and feed",
    ),
    "book": (("kept",), ("untracked",), "the same message of a symbol whose book is kept less the one before"),
    "strategy": (("idle",), ("kept",), "of a symbol whose strategy is asked and wants nothing less the one before"),
    "risk": (
        ("refused, ring full",),
        ("idle",),
        "an intent refused by the last check, with no room for its event, less the one before",
    ),
    "event": (("refused",), ("refused, ring full",), "the same with room for its event less the one before"),
    "order": (("sent",), ("refused",), "the same with nothing to refuse it less the one before"),
}


def measure(effort: Effort, progress: Callable[[str], None]) -> tuple[list[Figure], list[Series]]:
    """Raises CapabilityError, InsideError."""
    progress("stages: one tick, a stage further each time")
    samples: dict[str, list[float]] = {step.name: [] for step in STEPS}
    with statistics(), pinned(), constant(_DROP) as floor, HookRig() as rig:
        rounds = {step.name: rig.round(step.kind) for step in STEPS}
        empty = Frames(floor)

        def one(step: Step) -> None:
            frames = empty if step.name == "floor" else rig
            samples[step.name].append(_median(frames, rig, step, rounds[step.name], effort.rounds))

        in_turns(effort.repetitions, STEPS, one)
    figures = [
        figure(SECTION, stage, "ns", _differences(samples, more, less), method=method)
        for stage, (more, less, method) in STAGES.items()
    ]
    figures.append(
        figure(SECTION, "whole", "ns", _differences(samples, ("sent",), ("floor",)), method="all of the above together")
    )
    figures.append(
        figure(
            SECTION,
            "frame of others",
            "ns",
            _differences(samples, ("other",), ("floor",)),
            method="frame that is in no flow, passed on untouched, less a program of two instructions",
        )
    )
    figures.append(
        figure(SECTION, "floor", "ns", samples["floor"], method="a program of two instructions: part of no stage")
    )
    return figures, []


def _differences(samples: dict[str, list[float]], more: tuple[str, ...], less: tuple[str, ...]) -> list[float]:
    """Repetition by repetition."""
    many = len(samples["floor"])
    return [sum(samples[name][i] for name in more) - sum(samples[name][i] for name in less) for i in range(many)]


def _median(frames: Frames, rig: HookRig, step: Step, one: Round, rounds: int) -> float:
    if not step.lease:
        rig.engine.lease.lapse()
    try:
        frames.rounds(one, WARM_UP)
        if step.full:
            _fill(rig, one)
        values: list[int] = []
        while len(values) < rounds:
            if not step.full:
                rig.drain()
            runs = frames.rounds(one, min(_BLOCK, rounds - len(values)))
            if set(runs.verdicts()) != {step.verdict}:
                refused = {reason: many for reason, many in rig.engine.refusals().items() if many}
                raise InsideError(f"{step.name}: verdicts {set(runs.verdicts())}, refused {refused}")
            values += runs.hook_ns()
    finally:
        rig.drain()
        rig.engine.lease.forever()
    return median(values)


def _fill(rig: HookRig, one: Round) -> None:
    """Let the ring run full. Raises InsideError if it does not."""
    lost = rig.engine.events.lost
    for _ in range(2 * lib.HFT_RING_BYTES // (_BLOCK * 100)):
        rig.rounds(one, _BLOCK, timed=False)
        if rig.engine.events.lost > lost:
            return
    raise InsideError("the event ring does not run full")
