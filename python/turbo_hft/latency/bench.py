"""A run of the latency lab: the trials of a plan in turns, the hook alone, how still the machine was, and the results.

Results are handed out as they grow, so that what was measured survives whatever ends the run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from turbo_hft.errors import LabError
from turbo_hft.latency import inside, machine, trials
from turbo_hft.latency.contestants import Contestant, contestants, slowed
from turbo_hft.latency.headline import ENGINE
from turbo_hft.latency.noise import NoiseWatch
from turbo_hft.latency.plan import CLOSED, Plan, Trial
from turbo_hft.latency.results import Figure, Results, Rig, Series, Skipped
from turbo_hft.latency.slow import SlowError, calibrate
from turbo_hft.latency.statistics import Distribution

_INSIDE_S = {"short": 20.0, "full": 300.0}
_CALIBRATION_TRIGGERS = 2_000
_CALIBRATION_RIGS = ("tap", "veth")


@dataclass(slots=True)
class Step:
    """Where a run is: `share` of it is done, `left_s` as far as one can tell (None = not yet)."""

    what: str
    share: float
    left_s: float | None


class Run:
    """One run. ``tell`` is called before each step and may raise to end the run; ``keep`` with the results so far."""

    def __init__(
        self,
        plan: Plan,
        *,
        tell: Callable[[Step], None] = lambda _: None,
        keep: Callable[[Results], None] = lambda _: None,
        everybody: Sequence[Contestant] | None = None,
        slow: float | None = None,
        sections: Collection[str] | None = None,
    ) -> None:
        """``slow``: the factor by which the engine is made slower; ``sections``: of the hook alone, None = all."""
        self._plan = plan
        self._tell, self._keep = tell, keep
        self._everybody = tuple(contestants() if everybody is None else everybody)
        self._slow, self._sections = slow, sections
        self._noise = NoiseWatch()
        self._series: list[Series] = []
        self._figures: list[Figure] = []
        self._skipped: list[Skipped] = []
        self._compared = 0
        self._title = ""
        self._total_s = sum(one.seconds for one in plan.trials) + (_INSIDE_S[plan.form] if plan.inside else 0.0)
        self._done_s = 0.0
        self._began = time.monotonic()
        self._started = datetime.now(UTC).isoformat(timespec="seconds")

    def measure(self) -> Results:
        """All of it. Raises ConfigError, CapabilityError and LabError when nothing can be measured at all."""
        self._began = time.monotonic()
        self._noise.start()
        if self._slow is not None:
            self._make_slow(self._slow)
        for trial in self._plan.trials:
            if self._one(trial):
                self._keep(self.results())
        if self._plan.inside and self._slow is None:
            self._inside()
        elif self._plan.inside:
            self._skipped.append(Skipped("the hook alone", "the engine was made slower on the wire only"))
        self._noise.sample()
        found = self.results()
        self._keep(found)
        return found

    def results(self) -> Results:
        """What was found so far."""
        used = {one.rig for one in self._series}
        rigs = tuple(rig for name, rig in _rigs().items() if name in used)
        taking_part = {one.responder for one in self._series}
        return Results(
            form=self._plan.form,
            started=self._started,
            seconds=round(time.monotonic() - self._began, 1),
            machine=machine.describe(),
            rigs=rigs,
            responders=tuple(
                one
                for one in (*(each.responder for each in self._everybody), *inside.RESPONDERS)
                if one.name in taking_part
            ),
            series=tuple(self._series),
            figures=tuple(self._figures),
            skipped=tuple(self._skipped),
            noise=self._noise.judge(self._series),
            orders_compared=self._compared,
            title=self._title,
        )

    def _say(self, what: str, further_s: float = 0.0) -> None:
        """``further_s``: of this trial's estimate, done by now."""
        done = self._done_s + further_s
        elapsed = time.monotonic() - self._began
        share = min(1.0, done / self._total_s) if self._total_s else 1.0
        left = elapsed * (1 - share) / share if share > 0.05 else max(0.0, self._total_s - done)
        self._tell(Step(what, share, left))

    def _one(self, trial: Trial) -> bool:
        """Whether anything was found."""
        what = f"{trial.rig}, {trial.load.title}"
        self._say(what)
        if (reason := trials.why_not(trial.rig, trial.load)) is not None:
            self._skipped.append(Skipped(what, reason))
            self._total_s -= trial.seconds
            return False
        here = [one for one in self._everybody if one.name in trial.responders]
        each_s = trial.seconds / max(1, trial.repetitions * len(here))
        runs = 0

        def between(one: Contestant, repetition: int) -> None:
            nonlocal runs
            self._say(f"{what}: {one.name}, {repetition + 1} of {trial.repetitions}", runs * each_s)
            runs += 1

        before = len(self._series)
        try:
            found = trials.trial(
                trial.rig,
                trial.load,
                here,
                repetitions=trial.repetitions,
                triggers=trial.triggers,
                between=between,
            )
        except LabError as error:
            self._skipped.append(Skipped(what, str(error)))
        else:
            self._series += found.series
            self._skipped += found.skipped
            self._compared += found.compared
        self._done_s += trial.seconds
        self._noise.sample()
        return len(self._series) > before

    def _inside(self) -> None:
        before, began = self._done_s, time.monotonic()

        def tell(what: str) -> None:
            self._say(f"the hook alone: {what}", min(time.monotonic() - began, _INSIDE_S[self._plan.form]))

        figures, series, skipped = inside.measure(self._plan.form, tell, self._sections)
        self._figures += figures
        self._series += series
        self._skipped += skipped
        self._done_s = before + _INSIDE_S[self._plan.form]

    def _make_slow(self, factor: float) -> None:
        rig = next((name for name in _CALIBRATION_RIGS if trials.why_not(name, CLOSED) is None), None)
        engine = next((one for one in self._everybody if one.name == ENGINE), None)
        if rig is None or engine is None:
            raise SlowError("there is no rig with a closed loop to find out how slow the engine is made")

        def measured(rounds: int | None) -> float:
            self._say(f"how slow: {'as it is' if rounds is None else f'{rounds:,} rounds'}")
            one = engine if rounds is None else slowed([engine], factor, rounds)[0]
            found = trials.trial(rig, CLOSED, [one], repetitions=3, triggers=_CALIBRATION_TRIGGERS)
            if not found.series:
                raise SlowError(f"the engine cannot be measured: {found.skipped[0].why}")
            p50 = Distribution.of(found.series[0]).ns(50.0)
            if p50 is None:
                raise SlowError("the engine answered nothing")
            return p50

        rounds = calibrate(measured, factor)
        self._everybody = slowed(self._everybody, factor, rounds)
        self._title = (
            f"the engine was made {factor:g} times as slow on {rig} ({rounds:,} rounds of a strategy in shadow)"
        )


def _rigs() -> dict[str, Rig]:
    return {**trials.RIGS, inside.RIG.name: inside.RIG}
