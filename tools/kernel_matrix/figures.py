"""What a run of native/smoke.c printed, as figures."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from typing import Any

STACK_BYTES = 512
INSNS = 250_000  # a quarter of what the kernel grants: kernels differ by factors in what they count for one object
_FRAME_STEP = 32  # Linux 6.1 rounds each frame up to this, later ones to less; even an empty frame counts as one


def deepest_chain(depths: list[int], calls: list[tuple[int, int]]) -> list[int]:
    """Subprograms of the chain of calls that needs most stack, as Linux 6.1 counts it."""
    callees: dict[int, set[int]] = {}
    for caller, callee in calls:
        callees.setdefault(caller, set()).add(callee)

    def below(number: int) -> list[int]:
        chains = [below(callee) for callee in sorted(callees.get(number, ()))]
        return [number, *max(chains, key=lambda chain: stack_bytes(depths, chain), default=[])]

    return below(0) if depths else []


def stack_bytes(depths: list[int], chain: list[int]) -> int:
    """Stack of a chain with every frame rounded up as Linux 6.1 does."""
    return sum((max(depths[number], 1) + _FRAME_STEP - 1) // _FRAME_STEP * _FRAME_STEP for number in chain)


@dataclass
class Program:
    """The verifier's figures of one program. `load`: bare, with the object's own configuration, or sized, with the
    recording's. `verified_insns` is the kernel's own, from bpf_prog_info."""

    load: str
    section: str
    name: str
    processed: int = 0
    verified_insns: int = 0
    peak_states: int = 0
    total_states: int = 0
    verification_ms: float = 0.0
    xlated_bytes: int = 0
    jited_bytes: int = 0
    stack: list[int] = field(default_factory=list)
    calls: list[tuple[int, int]] = field(default_factory=list)

    @property
    def chain(self) -> list[int]:
        """Stack depths along the deepest chain of calls."""
        return [self.stack[number] for number in deepest_chain(self.stack, self.calls)]

    @property
    def chain_bytes(self) -> int:
        """What that chain needs of the 512 bytes, as Linux 6.1 counts it."""
        return stack_bytes(self.stack, deepest_chain(self.stack, self.calls))

    def take(self, name: str, value: str) -> None:
        """One printed figure."""
        if name == "stack":
            self.stack = [int(depth) for depth in value.split("+")]
        elif name == "calls":
            self.calls = [(int(a), int(b)) for a, b in re.findall(r"(\d+)>(\d+)", value)]
        elif name == "verification_us":
            self.verification_ms = int(value.split(maxsplit=1)[0]) / 1000
        elif name == "processed":
            self.processed = int(value.split(maxsplit=1)[0])
            found = dict(re.findall(r"(total_states|peak_states) (\d+)", value))
            self.total_states, self.peak_states = int(found["total_states"]), int(found["peak_states"])
        elif name in ("verified_insns", "xlated_bytes", "jited_bytes"):
            setattr(self, name, int(value))


@dataclass
class Run:
    """One run of the smoke program. `tapped`: frames that a tap beside the program saw, all as they were;
    `untapped`: why none could be had."""

    release: str = ""
    load_ms: float = 0.0
    programs: list[Program] = field(default_factory=list)
    frames: int = 0
    wire_frames: int = 0
    order_frames: int = 0
    comparisons: int = 0
    tapped: int = 0
    untapped: str = ""
    passed: bool = False
    messages: list[str] = field(default_factory=list)

    @property
    def main(self) -> Program:
        """The program that is attached."""
        return next(program for program in reversed(self.programs) if program.section == "xdp")

    @property
    def most_insns(self) -> int:
        """Instructions that the verifier processed, for the program that took most."""
        return max(program.verified_insns or program.processed for program in self.programs)

    def as_json(self) -> dict[str, Any]:
        """Everything, for programs."""
        programs = [
            {
                **{name: value for name, value in asdict(program).items() if name != "calls"},
                "stack_chain": program.chain,
                "stack_chain_bytes": program.chain_bytes,
            }
            for program in self.programs
        ]
        return asdict(self) | {"programs": programs}


def parse(output: str) -> Run:
    """Figures and messages of an output; lines that are neither (a kernel's console) are kept as messages."""
    run, load = Run(), ""
    for line in (raw.strip("\r\0 ") for raw in output.splitlines()):
        word, _, rest = line.partition(" ")
        name, _, value = rest.partition(" ")
        if word == "smoke" and name == "exit":
            break  # what follows is the guest's end
        if word != "smoke":
            if line:
                run.messages.append(line)
        elif name == "program":
            section, _, title = value.partition(" ")
            run.programs.append(Program(load, section, title))
        elif name == "result":
            run.passed = value == "pass"
        elif name == "untapped":
            run.untapped = value
        elif name == "release":
            run.release = value
        elif name == "load":
            load = value
        elif name == "load_ms":
            run.load_ms = float(value)
        elif name in ("frames", "wire_frames", "order_frames", "comparisons", "tapped"):
            setattr(run, name, int(value))
        elif run.programs:
            run.programs[-1].take(name, value)
    return run
