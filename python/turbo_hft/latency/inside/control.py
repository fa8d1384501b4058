"""How fast Python is obeyed, and how fast it learns: a store until the first packet that obeys it, an event until the
object is in hand, and how many events a reader takes in a second.

One CPU runs ticks through the program back to back, each with its begin, its end and its verdict; Python, on another
CPU, changes one thing and notes the time right before and right after the statement. A change takes effect with the
end of the first tick whose verdict is the new one. A tick that begins after the statement has returned and still does
the old thing is a violation; there must be none. Between two ticks lie some microseconds of this rig's own work, which
is in every figure: "from tick to tick" says how many.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from turbo_hft._native import ffi, lib
from turbo_hft.latency.inside.hook_rig import ARMED, HookRig, InsideError, Kind, checked
from turbo_hft.latency.inside.sampling import WARM_UP, Effort, figure, measuring_cpu, median, other_cpu, percentiles
from turbo_hft.latency.placement import on_cpu
from turbo_hft.latency.results import Figure, Series, Skipped
from turbo_hft.wire.price import format_price_e4

SECTION = "control"
_TX = 3
_ROOM = 1 << 20  # ticks
_SETTLED = 20  # ticks after a change, before the next
_PATIENCE_S = 5.0
_EVENT_INTERVAL_NS = 100_000
_RECORD_HEADER = 8
_PARTS = 5  # of the changes and events, each a repetition


@dataclass(frozen=True, slots=True)
class Change:
    """One statement: CLOCK_MONOTONIC right before and right after, and whether orders leave from then on."""

    name: str
    before_ns: int
    after_ns: int
    sends: bool


@dataclass(frozen=True, slots=True)
class Obedience:
    """What became of changes of one name. `effect_ns`: from right before each to the end of the first tick that obeys;
    `store_ns`: how long the statement took; `violations`: ticks that began after it and did not obey."""

    effect_ns: list[int]
    store_ns: list[int]
    violations: int


class Ticker:
    """Ticks back to back on another CPU while the block runs. Raises InsideError, also for what went wrong there."""

    def __init__(self, rig: HookRig, kind: Kind, cpu: int | None, room: int = _ROOM, interval_ns: int = 0) -> None:
        self._rig, self._round, self._cpu, self._room = rig, rig.round(kind, interval_ns), cpu, room
        self.runs = ffi.new("struct hft_inside_run[]", room)
        self._done, self._stop = ffi.new("uint64_t *"), ffi.new("uint32_t *")
        self._result = 0
        self._thread = threading.Thread(target=self._body, name="inside-ticker")

    def _body(self) -> None:
        # Not with on_cpu: this thread has inherited the affinity of one that is pinned elsewhere.
        if self._cpu is not None:
            os.sched_setaffinity(0, {self._cpu})
        self._result = lib.hft_inside_rounds(
            self._rig.native, self._round.native, self.runs, self._room, self._done, self._stop
        )

    @property
    def done(self) -> int:
        """Ticks so far: all of them are in `runs`."""
        return int(self._done[0])

    @property
    def running(self) -> bool:
        """Does it still tick?"""
        return self._thread.is_alive()

    def wait_for(self, ticks: int) -> None:
        """Until so many are done."""
        end = time.monotonic() + _PATIENCE_S
        while self.done < ticks:
            if not self.running or time.monotonic() > end:
                raise InsideError(f"the ticks stopped after {self.done}, or are slower than {_PATIENCE_S} s")

    def __enter__(self) -> Ticker:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop[0] = 1
        self._thread.join()
        if error[0] is None:
            checked(self._result, "the ticks cannot go on")


def measure(
    effort: Effort, progress: Callable[[str], None], skipped: list[Skipped] | None = None
) -> tuple[list[Figure], list[Series]]:
    """What needs a second CPU goes into `skipped`. Raises CapabilityError, InsideError."""
    figures: list[Figure] = []
    if other_cpu() is None:
        if skipped is not None:
            skipped.append(
                Skipped("control: from a store to the first packet", "needs two CPUs; this process may use one")
            )
    else:
        progress("control: a store until the first packet that obeys")
        figures += _obeyed(effort)
        progress("control: an event until Python has it")
        figures += _learned(effort)
    progress("control: the most events a second")
    figures += _drained(effort)
    return figures, []


# From Python to the hook


def obey(rig: HookRig, changes: int) -> tuple[dict[str, Obedience], list[int]]:
    """Change the target of the symbol that trades up and down, then halt and resume, so often each; with the times
    from tick to tick. Raises InsideError."""
    symbol = rig.engine.symbols[ARMED.symbol]
    high, low = format_price_e4(ARMED.buy_below_e4), format_price_e4(ARMED.tick_e4)
    statements: dict[str, tuple[Callable[[], None], bool]] = {
        "buy_below = x, to trade": (lambda: setattr(symbol, "buy_below", high), True),
        "buy_below = x, to stop": (lambda: setattr(symbol, "buy_below", low), False),
        "halt()": (rig.engine.halt, False),
        "resume()": (rig.engine.resume, True),
    }
    found: dict[str, Obedience] = {}
    gaps: list[int] = []
    pairs = (
        ("buy_below = x, to stop", "buy_below = x, to trade"),
        ("halt()", "resume()"),
    )
    rest = random.Random(1)
    cpu = measuring_cpu()
    with on_cpu(other_cpu()):
        for pair in pairs:
            made: list[Change] = []
            with Ticker(rig, "trigger", cpu) as ticker:
                ticker.wait_for(WARM_UP)
                for name in pair * changes:
                    statement, sends = statements[name]
                    # At any moment of a round, not always at the same.
                    end = time.monotonic_ns() + rest.randrange(20_000)
                    while time.monotonic_ns() < end:
                        pass
                    before = time.monotonic_ns()
                    statement()
                    made.append(Change(name, before, time.monotonic_ns(), sends))
                    ticker.wait_for(ticker.done + _SETTLED)
            runs = [(run.start_ns, run.end_ns, run.verdict == _TX) for run in ticker.runs[0 : ticker.done]]
            gaps += [later[0] - sooner[0] for sooner, later in zip(runs[WARM_UP:], runs[WARM_UP + 1 :], strict=False)]
            found |= judge(runs, made)
            rig.drain()
    return found, gaps


def judge(runs: list[tuple[int, int, bool]], made: list[Change]) -> dict[str, Obedience]:
    """Ticks (begin, end, whether an order left), in order, against changes, in order. Raises InsideError for a change
    that no tick obeyed before the next."""
    found: dict[str, Obedience] = {}
    at = 0
    for number, change in enumerate(made):
        until = made[number + 1].before_ns if number + 1 < len(made) else runs[-1][1] + 1
        one = found.setdefault(change.name, Obedience([], [], 0))
        effect, violations = None, 0
        while at < len(runs) and runs[at][1] <= change.before_ns:
            at += 1
        # What is under way when the next change comes is judged with that.
        for begin, end, sent in runs[at:]:
            if end > until:
                break
            if sent == change.sends and effect is None:
                effect = end - change.before_ns
            violations += begin > change.after_ns and sent != change.sends
        if effect is None:
            raise InsideError(f"{change.name}: no tick obeyed it before the next change")
        one.effect_ns.append(effect)
        one.store_ns.append(change.after_ns - change.before_ns)
        found[change.name] = Obedience(one.effect_ns, one.store_ns, one.violations + violations)
    return found


def _obeyed(effort: Effort) -> list[Figure]:
    parts: list[dict[str, Obedience]] = []
    gaps: list[float] = []
    with HookRig() as rig:
        for _ in range(_PARTS):
            found, between = obey(rig, max(2, effort.changes // _PARTS))
            parts.append(found)
            gaps.append(median(between))
    figures = []
    for name in parts[0]:
        every = [part[name].effect_ns for part in parts]
        figures += _distribution("to the first packet that obeys", every, statement=name)
        figures.append(
            figure(
                SECTION,
                "the statement itself",
                "ns",
                [median(part[name].store_ns) for part in parts],
                statement=name,
                percentile="p50",
            )
        )
        figures.append(
            figure(
                SECTION,
                "packets after its return that did not obey",
                "packets",
                [part[name].violations for part in parts],
                statement=name,
                percentile="all",
            )
        )
    figures.append(figure(SECTION, "from tick to tick", "ns", gaps, statement="none", percentile="p50"))
    return figures


def _distribution(name: str, parts: list[list[int]], **parameters: str) -> list[Figure]:
    """The median of every part, and what can be said of the tail, of all of them together."""
    together = [value for part in parts for value in part]
    figures = [figure(SECTION, name, "ns", [median(part) for part in parts], parameters, percentile="p50")]
    for which, value in percentiles(together).items():
        if which != "p50":
            figures.append(figure(SECTION, name, "ns", [value], parameters, percentile=which))
    return figures


# From the hook to Python


def _learned(effort: Effort) -> list[Figure]:
    """From the decision (local_ns + hook_ns) to the object: a reader that never rests, and one that waits."""
    figures = []
    cpu = measuring_cpu()
    with HookRig() as rig, on_cpu(other_cpu()):
        events = rig.engine.events
        readers: dict[str, Callable[[], Iterator[Any]]] = {
            "for event in engine.events": lambda: iter(events),
            "engine.events.wait(1)": lambda: iter(events.wait(1.0)),
        }
        for name, read in readers.items():
            parts: list[list[int]] = []
            for _ in range(_PARTS):
                latencies: list[int] = []
                wanted = max(2, effort.events // _PARTS)
                rig.drain()
                with Ticker(rig, "trigger", cpu, interval_ns=_EVENT_INTERVAL_NS) as ticker:
                    while len(latencies) < wanted:
                        for event in read():
                            now = time.monotonic_ns()
                            if event.kind == "order":
                                latencies.append(now - event.local_ns - event.hook_ns)
                        if not ticker.running:
                            raise InsideError("the ticks ended before their events were read")
                parts.append(latencies)
            figures += _distribution("event to Python", parts, statement=name)
        figures.append(figure(SECTION, "events lost", "events", [events.lost], statement="event to Python"))
    return figures


def ring_records() -> int:
    """Events that the ring holds."""
    size = ffi.sizeof("struct hft_event") + _RECORD_HEADER
    return int(lib.HFT_RING_BYTES // (-(-size // 8) * 8))


def fill(rig: HookRig, events: int) -> None:
    """Put so many refusals into an empty ring. Raises InsideError if fewer are there."""
    rig.engine.lease.lapse()
    try:
        before = rig.engine.counters()
        rig.rounds(rig.round("trigger"), events, timed=False)
        after = rig.engine.counters()
    finally:
        rig.engine.lease.forever()
    if after["events"] - before["events"] != events:
        raise InsideError(f"{after['events'] - before['events']} events of {events} are in the ring")


def _drained(effort: Effort) -> list[Figure]:
    many = ring_records() * 9 // 10
    native: list[float] = []
    python: list[float] = []
    with HookRig() as rig, on_cpu(measuring_cpu()):
        for _ in range(min(effort.repetitions, _PARTS)):
            for rates, drain in ((native, rig.drain), (python, lambda: sum(1 for _ in rig.engine.events))):
                rig.drain()
                fill(rig, many)
                began = time.monotonic_ns()
                taken = drain()
                rates.append(taken * 1e9 / (time.monotonic_ns() - began))
                if taken != many:
                    raise InsideError(f"{taken} events of {many} were read")
        lost = rig.engine.events.lost
    return [
        figure(SECTION, "events drained", "1/s", native, higher=True, statement="C, copied into an array"),
        figure(SECTION, "events drained", "1/s", python, higher=True, statement="for event in engine.events"),
        figure(SECTION, "events lost", "events", [lost], statement=f"{many} at once, of {ring_records()} that fit"),
    ]
