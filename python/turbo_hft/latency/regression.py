"""Two runs held against each other: what became slower, what faster, and what cannot be told.

Times of one machine are compared as they are, unless the rig's own floor has moved: then the machine is not as fast as
it was, and every round trip is divided by the floor of its own run first. Of different machines only that is compared.
A difference counts when its whole interval lies beyond a margin; the margin is `MARGIN`, and wider where the floor of
one of the runs differed by more than that between its own repetitions. With few repetitions there is no interval, only
their range, and the margin is squared; a time that was taken once tells nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

from turbo_hft.latency.headline import ECHO
from turbo_hft.latency.noise import floor_spread
from turbo_hft.latency.results import Figure, Load, Machine, Measure, Results, Series
from turbo_hft.latency.statistics import FEW, SEED, Interval, per_repetition, unpaired
from turbo_hft.latency.tables import Section, Table
from turbo_hft.latency.words import NONE, digits, percentile, times

Verdict = Literal["regression", "improvement", "no change", "cannot tell"]

#: A ratio within 1 / MARGIN to MARGIN is no change.
MARGIN = 1.10
#: At these percentiles; what lies further out is the machine's more than anybody's.
PERCENTILES = (50.0, 90.0, 99.0, 99.9)
#: Units that say nothing of how fast the machine is: counted, not timed.
_TIMED = ("ns", "us", "µs", "ms", "s")
#: The figure of the hook that does nothing, and the section it is found in.
NO_OP = "floor"
FLOORS = (ECHO, "two instructions in the hook")


@dataclass(frozen=True, slots=True)
class Change:
    """One percentile of one series, or one figure. `ratio`: new by old, above 1 = longer (or more); None = not known.

    `basis` says what was compared; `old` and `new` are the medians in `unit`, before anything was divided.
    """

    what: str
    responder: str
    percentile: float | None
    unit: str
    old: float | None
    new: float | None
    ratio: Interval | None
    basis: str
    verdict: Verdict
    why: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """`changes` in the order of the new run. `notes`: what holds for all of them."""

    changes: tuple[Change, ...]
    margin: float
    notes: tuple[str, ...]

    @property
    def regressions(self) -> tuple[Change, ...]:
        """What became slower."""
        return tuple(one for one in self.changes if one.verdict == "regression")

    @property
    def regressed(self) -> tuple[str, ...]:
        """Names of responders and figures that became slower, each once."""
        return tuple(dict.fromkeys(one.responder for one in self.regressions))

    def to_json(self) -> dict[str, object]:
        """JSON-ready."""
        return {"regressed": list(self.regressed), **asdict(self)}


def same_machine(old: Machine, new: Machine) -> bool:
    """Whether their times may be compared as they are: kernel, processor, clock and Python agree."""

    def key(machine: Machine) -> tuple[object, ...]:
        return (
            machine.kernel,
            machine.cpu,
            machine.cpus,
            machine.hypervisor,
            machine.clocksource,
            machine.governor,
            machine.python,
        )

    return key(old) == key(new)


def compare(old: Results, new: Results, *, seed: int = SEED) -> Comparison:
    """Every series and figure that both runs have; the others are in the notes."""
    alike = same_machine(old.machine, new.machine)
    spread = max(floor_spread(old.series) or 1.0, floor_spread(new.series) or 1.0)
    margin = max(MARGIN, spread)
    notes = [
        f"A change is one whose whole interval lies beyond {margin:.2f}× or 1 / {margin:.2f}; where there are fewer "
        f"than {FEW} repetitions, whose whole range lies beyond {margin**2:.2f}× or 1 / {margin**2:.2f}."
    ]
    if spread > MARGIN:
        notes.append(
            f"The p50 of the rig's floor differed {spread:.2f}-fold between repetitions: smaller changes are noise."
        )
    notes += [
        f"{name} run: {one.noise.words}" for name, one in (("Old", old), ("New", new)) if not one.noise.conclusive
    ]
    notes += [
        f"{name} run was changed on purpose: {one.title}." for name, one in (("Old", old), ("New", new)) if one.title
    ]
    if not alike:
        notes.append(
            "The machines differ: times are not compared, only times divided by the floor of their own run "
            "(the echo's p50 on the same rig), and what is counted."
        )
    noisy = "; ".join(
        f"the {name} run was not conclusive" for name, one in (("old", old), ("new", new)) if not one.noise.conclusive
    )
    moved = _moved(_series(old), _series(new), margin, seed)
    if alike and moved:
        notes.append(
            f"The floor of {', '.join(sorted(moved))} is not what it was: this machine's speed moved, so what is "
            "timed is divided by the floor of its own run."
        )
    context = _Context(_series(old), _series(new), alike, margin, noisy, seed, moved)
    changes = [change for key in context.new if key in context.old for change in _series_changes(context, key)]
    changes += _figure_changes(context, old.figures, new.figures)
    before, after = (
        {*(_series_name(key) for key in found), *(_figure_name(one) for one in run.figures)}
        for found, run in ((context.old, old), (context.new, new))
    )
    for name, only in (("old", before - after), ("new", after - before)):
        if only:
            notes.append(f"Only in the {name} run: {', '.join(sorted(only))}.")
    return Comparison(tuple(changes), margin, tuple(notes))


Key = tuple[str, Load, Measure, str]


@dataclass(frozen=True, slots=True)
class _Context:
    old: Mapping[Key, Series]
    new: Mapping[Key, Series]
    alike: bool
    margin: float
    noisy: str
    seed: int
    moved: frozenset[str]  # rigs whose floor is not what it was


def _series(results: Results) -> dict[Key, Series]:
    return {(one.rig, one.load, one.measure, one.responder): one for one in results.series}


def _moved(old: Mapping[Key, Series], new: Mapping[Key, Series], margin: float, seed: int) -> frozenset[str]:
    """Rigs whose echo became slower or faster under any load."""
    return frozenset(
        key[0]
        for key in new
        if key[3] in FLOORS and key in old
        for ratio in (unpaired(per_repetition(new[key], 50.0), per_repetition(old[key], 50.0), seed=seed),)
        if _verdict(ratio, margin, lower_is_better=True) in ("regression", "improvement")
    )


def _series_name(key: Key) -> str:
    rig, load, measure, responder = key
    return f"{responder} on {rig}, {load.title}" + (", wire to wire" if measure == "wire" else "")


def _floor(found: Mapping[Key, Series], key: Key) -> tuple[float, ...]:
    """The p50 of the echo beside this series, by repetition; under the rig's closed loop if not under its load."""
    rig, load, measure, _ = key
    echo = next((found[key] for name in FLOORS if (key := (rig, load, measure, name)) in found), None) or next(
        (
            one
            for (its_rig, its_load, its_measure, name), one in found.items()
            if name in FLOORS and its_rig == rig and its_measure == measure and its_load.kind == "closed"
        ),
        None,
    )
    return () if echo is None else per_repetition(echo, 50.0)


def _series_changes(context: _Context, key: Key) -> list[Change]:
    old, new = context.old[key], context.new[key]
    floors = _floor(context.old, key), _floor(context.new, key)
    divide = not context.alike or key[0] in context.moved
    echo = key[3] in FLOORS
    changes = []
    for p in PERCENTILES:
        before, after = per_repetition(old, p), per_repetition(new, p)
        basis, why = "time", context.noisy
        if not before or not after:
            continue
        ratio = unpaired(after, before, seed=context.seed)
        if divide and echo:
            # It is what the others are divided by.
            basis, why = "the floor itself", "the machine differs" if not context.alike else "the machine's speed moved"
        elif divide:
            basis = "times the floor of its own run"
            ratio = _by_floor(after, before, floors, context.seed)
            why = why or ("" if ratio else "no floor was measured beside it")
        verdict = "cannot tell" if why else _verdict(ratio, context.margin, lower_is_better=True)
        changes.append(
            Change(
                _series_name(key),
                key[3],
                p,
                "ns",
                float(np.median(before)),
                float(np.median(after)),
                ratio,
                basis,
                verdict,
                why,
            )
        )
    return changes


def _by_floor(
    after: Sequence[float], before: Sequence[float], floors: tuple[Sequence[float], Sequence[float]], seed: int
) -> Interval | None:
    """The ratio of what both take in floors: each repetition by the floor of its turn, if there is one."""
    taken = []
    for values, floor in ((after, floors[1]), (before, floors[0])):
        if not floor:
            return None
        # Turns that were interrupted leave a different number of them.
        own = floor if len(floor) == len(values) else [float(np.median(floor))] * len(values)
        taken.append([value / one for value, one in zip(values, own, strict=True)])
    return unpaired(taken[0], taken[1], seed=seed)


def _figure_name(figure: Figure) -> str:
    parameters = ", ".join(f"{name} {value}" for name, value in figure.parameters.items())
    return f"{figure.section}: {figure.name}" + (f" ({parameters})" if parameters else "")


def _timed(figure: Figure) -> bool:
    return figure.unit.split("/")[0] in _TIMED or figure.unit.endswith("/s")


def _no_op(figures: Sequence[Figure]) -> Figure | None:
    return next((one for one in figures if one.samples and one.unit == "ns" and one.name == NO_OP), None)


def _figure_changes(context: _Context, old: Sequence[Figure], new: Sequence[Figure]) -> list[Change]:
    before = {_figure_name(one): one for one in old}
    floors = _no_op(old), _no_op(new)
    changes = []
    for one in new:
        name = _figure_name(one)
        other = before.get(name)
        if other is None or not one.samples or not other.samples or one.unit != other.unit:
            continue
        basis, why = "as counted", ""
        ratio = unpaired(one.samples, other.samples, seed=context.seed)
        if _timed(one):
            basis, why = "time", context.noisy
            divide = not context.alike or bool(context.moved)
            if divide and (floors[0] is None or floors[1] is None or one.unit != "ns"):
                reason = "the machine's speed moved" if context.alike else "the machine differs"
                why = why or f"{reason}, and no floor was measured for it"
            elif divide and floors[0] is not None and floors[1] is not None:
                basis = "times the no-op floor of its own run"
                divided = [
                    [value / float(np.median(floor.samples)) for value in figure.samples]
                    for figure, floor in ((one, floors[1]), (other, floors[0]))
                ]
                ratio = unpaired(divided[0], divided[1], seed=context.seed)
        # What is counted is the same every time: one value says it, and any difference is one.
        margin = context.margin if _timed(one) else MARGIN
        same = sorted(one.samples) == sorted(other.samples)  # 0 and 0 have no ratio
        verdict: Verdict = (
            "cannot tell"
            if why
            else _verdict(ratio, margin, lower_is_better=one.better == "lower", counted=not _timed(one))
        )
        verdict = "no change" if same else verdict
        middle = float(np.median(other.samples)), float(np.median(one.samples))
        changes.append(Change(name, one.name, None, one.unit, *middle, ratio, basis, verdict, why))
    return changes


def _verdict(ratio: Interval | None, margin: float, *, lower_is_better: bool, counted: bool = False) -> Verdict:
    """``counted``: what is the same however often one looks, so one look is enough."""
    if ratio is None or (ratio.repetitions == 1 and not counted):
        return "cannot tell"
    if ratio.few and not counted:
        margin = margin**2
    ways: tuple[Verdict, Verdict] = ("regression", "improvement")
    worse, better = ways if lower_is_better else ways[::-1]
    if ratio.low > margin:
        return worse
    if ratio.high < 1 / margin:
        return better
    # The value within the margin is no change that could be shown; one beyond it, whose interval is not, is not known.
    return "no change" if 1 / margin <= ratio.value <= margin else "cannot tell"


def sections(found: Comparison) -> tuple[Section, ...]:
    """For `tables.text` and `tables.markdown`: the verdict first, then everything that is not "no change"."""
    if found.regressions:
        verdict = f"Slower than before: {', '.join(found.regressed)}."
    else:
        verdict = "Nothing became slower that this comparison can show."
    counts = {
        kind: sum(one.verdict == kind for one in found.changes)
        for kind in ("regression", "improvement", "no change", "cannot tell")
    }
    tally = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    order = ("regression", "improvement", "cannot tell", "no change")
    rows = tuple(_row(one) for kind in order for one in found.changes if one.verdict == kind)
    table = Table("", ("what", "at", "old", "new", "unit", "ratio", "compared", "verdict"), rows, left=1)
    return (
        Section(
            "verdict",
            "Regression" if found.regressions else "No regression",
            (verdict, f"Of {len(found.changes)}: {tally}.", *found.notes),
            alert=bool(found.regressions),
        ),
        Section("changes", "Every comparison", (), (table,)),
    )


def _row(one: Change) -> tuple[str, ...]:
    return (
        one.what,
        NONE if one.percentile is None else percentile(one.percentile),
        NONE if one.old is None else digits(one.old),
        NONE if one.new is None else digits(one.new),
        one.unit,
        times(one.ratio),
        one.basis,
        one.verdict + (f" ({one.why})" if one.why else ""),
    )
