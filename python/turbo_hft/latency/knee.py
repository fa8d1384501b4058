"""How much a responder takes before it falls behind: the knee of latency against load, in messages a second.

The rate is doubled until a step is not kept, and the last doubling is halved a few times. A step is kept when nothing
is lost, no trigger is missed, the sender is never more than a few milliseconds late, and the 99th percentile from the
time that was due is at most ten times that of the first, lowest rate.

On a tap sender and hook share a CPU: the knee is that of both together, one core in all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from turbo_hft.latency.contestants import Contestant
from turbo_hft.latency.histogram import histogram_of
from turbo_hft.latency.loads import open_loop, prepare
from turbo_hft.latency.results import Figure
from turbo_hft.latency.rigs import raised
from turbo_hft.latency.trial import run

SECTION = "knee"
FIRST_RATE = 10_000  # packets a second
LAST_RATE = 3_000_000
TIMES = 10.0
MOST_BEHIND_NS = 5_000_000
_TRIGGERS = 2_500
_WARMUP = 250
_HALVINGS = 3
_TRIES = 2  # a step that failed once may have met somebody else on the CPU


@dataclass(frozen=True, slots=True)
class Step:
    """One rate, in packets a second: what came of it."""

    rate: int
    p99_ns: int
    lost: int
    missed: int
    behind_ns: int

    def kept(self, first: Step) -> bool:
        """Whether it is below the knee."""
        good = not self.lost and not self.missed and self.behind_ns <= MOST_BEHIND_NS
        return good and self.p99_ns <= TIMES * first.p99_ns


def climb(measure: Callable[[int], Step]) -> tuple[Step, list[Step]]:
    """The highest step that was kept, and all that were measured. ``measure(rate)`` runs one."""
    first = measure(FIRST_RATE)
    steps, best, rate = [first], first, FIRST_RATE

    def kept(rate: int) -> bool:
        nonlocal best
        for _ in range(_TRIES):
            steps.append(measure(rate))
            if steps[-1].kept(first):
                best = steps[-1]
                return True
        return False

    while rate < LAST_RATE and kept(min(2 * rate, LAST_RATE)):
        rate = min(2 * rate, LAST_RATE)
    low, high = best.rate, min(2 * rate, LAST_RATE)
    for _ in range(_HALVINGS if low < high else 0):
        middle = (low + high) // 2
        if kept(middle):
            low = middle
        else:
            high = middle
    return best, steps


def knee(
    rig: str, contestant: Contestant, messages: int, progress: Callable[[str], None] = lambda words: None
) -> Figure:
    """Of one responder with so many messages a packet. Raises LabError, ExchangeError."""
    with raised(rig) as wire:

        def measure(rate: int) -> Step:
            load = open_loop(rate, messages)
            progress(f"knee on {rig}: {contestant.name}, {load.title}")
            work, script = prepare(load, wire.addresses, _TRIGGERS, _WARMUP)
            found = run(wire, contestant, work, script)
            latencies = found.rtt_ns(script.warmup)
            p99 = int(histogram_of(latencies).get_value_at_percentile(99)) if latencies else 0
            return Step(rate, p99, found.lost or 0, sum(not seen for seen in found.seen_ns), found.behind_ns)

        best, _ = climb(measure)
    return Figure(
        section=SECTION,
        name="highest rate without loss",
        unit="messages/s",
        better="higher",
        parameters={"rig": rig, "responder": contestant.name, "messages a packet": messages},
        samples=(float(best.rate * messages),),
    )
