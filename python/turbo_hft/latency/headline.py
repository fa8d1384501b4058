"""What one sentence may say of a run, and which published claims it bears out.

The sentence is about an open loop (every packet has its time, and latency counts from it) on the tap, at the lowest
rate that the engine and at least one rival answered without loss. What never makes it into the sentence: generic XDP
and whatever else says so of itself, a closed loop or a burst, a series that lost a packet or missed a trigger, a load
that the sender could not keep, a run on a machine that was not still, and a run that was changed on purpose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from turbo_hft.latency.results import Load, Responder, Results, Rig, Series
from turbo_hft.latency.statistics import Distribution, Interval, ratio
from turbo_hft.latency.words import micros, times

RIG = "tap"
ENGINE = "engine"
#: Answers, but does not do the work: no rival, the rig's floor.
ECHO = "echo"
PERCENTILES = (50.0, 99.0, 99.9)
#: Of the run's length: a sender that was later than that at its worst did not keep the load.
MOST_BEHIND = 0.01
LEAST_BEHIND_NS = 1_000_000  # one turn of the scheduler is no load that was not kept


@dataclass(frozen=True, slots=True)
class Claim:
    """The engine is `least` times as fast at a percentile as the fastest of `responders` that was there."""

    title: str
    responders: tuple[str, ...]
    percentile: float
    least: float


CLAIMS = (
    Claim("C busy-poll, p50", ("busy",), 50.0, 4.0),
    Claim("C busy-poll, p99.9", ("busy",), 99.9, 8.0),
    Claim("AF_XDP, p50", ("af_xdp", "af_xdp-skb"), 50.0, 3.0),
    Claim("DPDK (af_xdp), p50", ("dpdk-af_xdp",), 50.0, 4.0),
    Claim("Python recv(), p50", ("python",), 50.0, 30.0),
)


@dataclass(frozen=True, slots=True)
class Compared:
    """One responder of the headline. `ratios`: how many times as long it takes as the engine, by percentile."""

    responder: Responder
    ns: Mapping[float, float]
    ratios: Mapping[float, Interval]


@dataclass(frozen=True, slots=True)
class Headline:
    """`sentence` is "" when there is none, `why_not` says why then. `left_out`: names, and why, of those not in it.

    `rivals` are the fastest first.
    """

    sentence: str
    why_not: str
    rig: Rig | None = None
    load: Load | None = None
    engine: Compared | None = None
    rivals: tuple[Compared, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Criterion:
    """A claim held against this run. `held`: None when the run cannot tell; `why` says why, or on what it was held."""

    claim: Claim
    measured: Interval | None
    held: bool | None
    why: str

    @property
    def verdict(self) -> str:
        """In a table."""
        return "cannot tell" if self.held is None else "held" if self.held else "NOT held"


def excluded(series: Series, responder: Responder | None) -> str | None:
    """Why this series stands in no headline; None = it may. What holds for the whole run is not looked at here."""
    if responder is None:
        return "nobody of that name is described"
    if not responder.headline:
        return "says of itself that it is no headline (generic XDP, or slowed)"
    if series.load.kind != "open":
        return f"a {series.load.kind} loop" if series.load.kind == "closed" else "a burst"
    if series.measure != "rtt":
        return "not a round trip"
    found = Distribution.of(series)
    if found.lost:
        return f"lost {found.lost:,} of {found.packets:,} packets"
    if found.missed:
        return f"missed {found.missed:,} of {found.triggers:,} triggers"
    if not found.count:
        return "no answers"
    if late := sender_behind(series):
        return late
    return None


def sender_behind(series: Series) -> str | None:
    """Why the load was not the one it is named after: the sender could not keep its times. None = it was."""
    rate = series.load.packets_per_s
    if not rate:
        return None
    for one in series.repetitions:
        if one.behind_ns > max(LEAST_BEHIND_NS, MOST_BEHIND * one.packets / rate * 1e9):
            return f"the sender was {one.behind_ns / 1e6:.1f} ms behind its {rate:,} packets/s"
    return None


def headline(results: Results, *, seed: int = 1) -> Headline:
    """The sentence, or why there is none."""
    if results.title:
        return Headline("", f"This run was changed on purpose ({results.title}): its figures are not the engine's.")
    if not results.noise.conclusive:
        return Headline("", f"The machine was not still enough for a headline. {results.noise.words}")
    chosen = _choose(results)
    if chosen is None:
        return Headline(
            "",
            f"No open loop on {RIG} was answered without loss by the engine and a rival.",
            left_out=_left_out(results, None),
        )
    rig, load, engine, rivals = chosen
    people = {one.name: one for one in results.responders}
    found = _compared(people[ENGINE], engine, engine, seed)
    others = tuple(
        sorted(
            (_compared(people[one.responder], one, engine, seed) for one in rivals),
            key=lambda one: one.ns.get(50.0, float("inf")),
        )
    )
    return Headline(
        sentence=_sentence(rig, load, found, others),
        why_not="",
        rig=rig,
        load=load,
        engine=found,
        rivals=others,
        left_out=_left_out(results, load),
    )


def _choose(results: Results) -> tuple[Rig, Load, Series, tuple[Series, ...]] | None:
    """The lowest rate on the tap with the engine and somebody to compare it with."""
    rig = next((one for one in results.rigs if one.name == RIG), None)
    people = {one.name: one for one in results.responders}
    fit = [
        one for one in results.series if one.rig == RIG and excluded(one, people.get(one.responder)) is None
    ]  # one load is one rate and one number of messages a packet
    loads = sorted({one.load for one in fit}, key=lambda load: (load.packets_per_s, load.messages_per_packet))
    for load in loads:
        here = {one.responder: one for one in fit if one.load == load}
        rivals = tuple(one for name, one in here.items() if name not in (ENGINE, ECHO))
        if rig is not None and ENGINE in here and rivals:
            return rig, load, here[ENGINE], rivals
    return None


def _compared(responder: Responder, series: Series, engine: Series, seed: int) -> Compared:
    found = Distribution.of(series)
    ns = {percentile: value for percentile in PERCENTILES if (value := found.ns(percentile)) is not None}
    ratios = {
        percentile: times_as_long
        for percentile in PERCENTILES
        if series is not engine and (times_as_long := ratio(series, engine, percentile, seed=seed)) is not None
    }
    return Compared(responder, ns, ratios)


def _sentence(rig: Rig, load: Load, engine: Compared, rivals: Sequence[Compared]) -> str:
    own = ", ".join(f"{micros(value)} µs at p{percentile:g}" for percentile, value in engine.ns.items())
    published = {name for claim in CLAIMS for name in claim.responders}
    # Always the fastest rival, published or not; the others stand in the tables.
    others = "; ".join(
        f"{one.responder.title} takes "
        + ", ".join(f"{times(value)} at p{percentile:g}" for percentile, value in one.ratios.items())
        for place, one in enumerate(rivals)
        if one.ratios and (not place or one.responder.name in published)
    )
    interval = next((value.words for one in rivals for value in one.ratios.values()), "")
    return (
        f"On {rig.title}, in an open loop of {load.packets_per_s:,} packets/s without a loss, "
        f"{engine.responder.title} has the order out after {own}; {others} (in brackets: {interval})."
    )


def _left_out(results: Results, load: Load | None) -> tuple[tuple[str, str], ...]:
    """Who is not in the sentence: of the load that was chosen, or of any open loop on the tap."""
    people = {one.name: one for one in results.responders}
    found: dict[str, str] = {}
    for one in results.series:
        if one.rig != RIG or one.load.kind != "open" or (load is not None and one.load != load):
            continue
        why = excluded(one, people.get(one.responder))
        if why is not None:
            found.setdefault(one.responder, f"{why} ({one.load.title})")
    return tuple(found.items())


def criteria(results: Results, *, seed: int = 1) -> tuple[Criterion, ...]:
    """Every published claim, on the headline's load. A noisy run shows what it measured and holds nothing."""
    chosen = _choose(results)
    return tuple(_criterion(results, claim, chosen, seed) for claim in CLAIMS)


def _criterion(
    results: Results, claim: Claim, chosen: tuple[Rig, Load, Series, tuple[Series, ...]] | None, seed: int
) -> Criterion:
    if chosen is None:
        return Criterion(claim, None, None, f"no open loop on {RIG} without loss")
    _, load, engine, rivals = chosen
    found = [
        (one, value)
        for one in rivals
        if one.responder in claim.responders and (value := ratio(one, engine, claim.percentile, seed=seed)) is not None
    ]
    if not found:
        why = next((one.why for one in results.skipped if one.what.split()[0] in claim.responders), "")
        return Criterion(claim, None, None, why or f"not measured without loss at {load.title}")
    best, measured = min(found, key=lambda pair: pair[1].value)
    where = f"{best.responder}, {load.title}; {measured.words}"
    if results.title or not results.noise.conclusive:
        return Criterion(claim, measured, None, results.title or "the machine was not still")
    if measured.value >= claim.least > measured.low:
        where += "; the interval reaches below the claim"
    return Criterion(claim, measured, measured.value >= claim.least, where)
