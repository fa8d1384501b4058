"""Figures of the hook itself, on the machine they are asked on: no wire, no compiler, nothing attached.

`measure` runs all sections, or those that are named; each is a module here, which says what its figures mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from turbo_hft.errors import CapabilityError, ConfigError
from turbo_hft.latency.inside import control, hook_time, scale, stages, throughput, verifier
from turbo_hft.latency.inside.hook_rig import InsideError
from turbo_hft.latency.inside.hook_time import ENGINE, FLOOR, RIG
from turbo_hft.latency.inside.sampling import Effort, effort_of
from turbo_hft.latency.results import Figure, Form, Responder, Series, Skipped

__all__ = ["RESPONDERS", "RIG", "SECTIONS", "Effort", "InsideError", "measure"]

Found = tuple[list[Figure], list[Series]]
_Measure = Callable[[Effort, Callable[[str], None], list[Skipped]], Found]

#: Section -> what measures it, in the order of a report. The names are those of `Figure.section`.
SECTIONS: dict[str, _Measure] = {
    hook_time.SECTION: lambda effort, progress, _: hook_time.measure(effort, progress),
    stages.SECTION: lambda effort, progress, _: stages.measure(effort, progress),
    throughput.SECTION: lambda effort, progress, _: throughput.measure(effort, progress),
    scale.SECTION: scale.measure,
    control.SECTION: control.measure,
    verifier.SECTION: lambda effort, progress, _: verifier.measure(effort, progress),
}

#: Who the series are of, for `Results.responders`; their rig is RIG.
RESPONDERS = (
    Responder(ENGINE, "the engine's program", "book, gate, event, order frame, both checksums", headline=False),
    Responder(FLOOR, "a program of two instructions", "nothing: what measuring itself costs", headline=False),
)


def measure(
    form: Form,
    progress: Callable[[str], None],
    sections: Iterable[str] | None = None,
    effort: Effort | None = None,
) -> tuple[list[Figure], list[Series], list[Skipped]]:
    """All figures of the sections (None = all), the short form within 20 s, the full one within 5 minutes.

    `progress` is told what is measured now. `effort` takes the place of what the form would take. A section that this
    machine or process cannot measure is skipped, with its reason. Raises ConfigError for a section that is none, and
    InsideError when a figure would not be what it says.
    """
    wanted = list(SECTIONS) if sections is None else list(sections)
    unknown = [name for name in wanted if name not in SECTIONS]
    if unknown:
        raise ConfigError(f"there is no section {', '.join(unknown)}: give some of {', '.join(SECTIONS)}")
    figures: list[Figure] = []
    series: list[Series] = []
    skipped: list[Skipped] = []
    for name in wanted:
        try:
            found = SECTIONS[name](effort or effort_of(form), progress, skipped)
        except CapabilityError as missing:
            skipped.append(Skipped(f"the hook itself: {name}", str(missing)))
            continue
        figures += found[0]
        series += found[1]
    return figures, series, skipped
