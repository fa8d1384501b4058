"""What the verifier of the running kernel says of the program: how much it had to look at, and how long a load takes.

`make verifier` says more, and of other kernels; docs/verifier.csv keeps what it said of every change.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from turbo_hft.latency.inside.hook_rig import InsideError
from turbo_hft.latency.inside.sampling import Effort, figure
from turbo_hft.latency.results import Figure, Series
from turbo_hft.program import Program

SECTION = "verifier"
GRANTED_INSNS = 1_000_000
_STATES = re.compile(r"processed (\d+) insns.* total_states (\d+) peak_states (\d+)")
_STACK = re.compile(r"^stack depth (\d+(?:\+\d+)*)", re.MULTILINE)


def measure(effort: Effort, progress: Callable[[str], None]) -> tuple[list[Figure], list[Series]]:
    """Raises CapabilityError, LoadError, InsideError."""
    progress("verifier")
    loads = []
    for _ in range(min(3, effort.repetitions)):
        began = time.monotonic()
        program = Program.load()
        loads.append(1000 * (time.monotonic() - began))
        program.close()
    program = Program.load(symbols=1, orders=1, kept=1)
    try:
        facts = program.facts()
        explained = program.successor("none", None, explain=True)
        log = explained.log
        explained.close()
    finally:
        program.close()
    states, stack = _STATES.findall(log), _STACK.search(log)
    if not states or stack is None:
        raise InsideError("the verifier printed no figures: is this kernel's log another one?")
    _, total, peak = states[-1]
    figures = {
        "instructions processed": ("instructions", facts.verified_insns),
        "share of what the kernel grants": ("%", 100 * facts.verified_insns / GRANTED_INSNS),
        "states": ("states", int(total)),
        "states at once": ("states", int(peak)),
        "stack of the function that takes most": ("bytes", max(int(depth) for depth in stack[1].split("+"))),
        "program as translated": ("bytes", facts.xlated_bytes),
        "program as machine code": ("bytes", facts.jited_bytes),
    }
    return [
        *(figure(SECTION, name, unit, [value]) for name, (unit, value) in figures.items()),
        figure(SECTION, "load", "ms", loads, maps="as by default"),
    ], []
