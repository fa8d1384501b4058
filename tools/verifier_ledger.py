"""docs/verifier.csv: what the verifier said of the object, a line for each change and kernel, the newest last.

The line of a change belongs into its commit, so `git blame docs/verifier.csv` names the commit of every figure, and
`git log -p docs/verifier.csv` the way there. An object is known by its SHA-256: it is the same on every machine that
builds it with the same clang. Kernels count differently, so figures are compared with the newest line of the same
series (6.18). The load's time is told and compared with nothing.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
import subprocess
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from tools.kernel_matrix.errors import MatrixError
from tools.kernel_matrix.figures import Run

ROOT = Path(__file__).resolve().parents[1]
LEDGER = ROOT / "docs" / "verifier.csv"
TOLERANCE = 0.01
#: What a change must not move unnoticed.
COMPARED = ("insns", "total_states", "peak_states", "stack_bytes", "xlated_bytes", "jited_bytes")


@dataclass(frozen=True, slots=True)
class Line:
    """One change on one kernel; `stack`: the deepest chain of calls; `kernel`: the release, as numbers."""

    kernel: str
    insns: int
    total_states: int
    peak_states: int
    stack_bytes: int
    stack: str
    xlated_bytes: int
    jited_bytes: int
    load_ms: int
    object_bytes: int
    object_sha256: str

    @property
    def series(self) -> str:
        """Such as 6.18."""
        return ".".join(self.kernel.split(".")[:2])

    @classmethod
    def of(cls, run: Run, bpf_object: Path) -> Line:
        """What was found of an object."""
        program, data = run.main, bpf_object.read_bytes()
        return cls(
            kernel=re.match(r"[0-9.]*", run.release)[0],  # type: ignore[index]
            insns=program.verified_insns or program.processed,
            total_states=program.total_states,
            peak_states=program.peak_states,
            stack_bytes=program.chain_bytes,
            stack="+".join(map(str, program.chain)),
            xlated_bytes=program.xlated_bytes,
            jited_bytes=program.jited_bytes,
            load_ms=round(run.load_ms),
            object_bytes=len(data),
            object_sha256=hashlib.sha256(data).hexdigest(),
        )


def _line(*values: Any) -> Line:
    return Line(*values)


def parse(text: str) -> list[Line]:
    """The lines of a ledger. Raises MatrixError for what is none."""
    reader = csv.DictReader(io.StringIO(text))
    names = [field.name for field in fields(Line)]
    if text and reader.fieldnames != names:
        raise MatrixError(f"the ledger's columns are {reader.fieldnames}, not {names}: record it anew")
    try:
        return [_line(*(int(row[f.name]) if f.type == "int" else row[f.name] for f in fields(Line))) for row in reader]
    except (TypeError, ValueError) as wrong:
        raise MatrixError(f"the ledger is damaged: {wrong}") from wrong


def written(lines: list[Line]) -> str:
    """What `parse` reads."""
    out = io.StringIO()
    writer = csv.DictWriter(out, [field.name for field in fields(Line)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(line) for line in lines)
    return out.getvalue()


def newest(lines: list[Line], series: str) -> Line | None:
    """Of that series of kernels."""
    return next((line for line in reversed(lines) if line.series == series), None)


def with_line(committed: list[Line], present: list[Line], found: Line) -> list[Line]:
    """The ledger that says `found`: one line a change, whatever was recorded on the way to it, and none if the object
    of the newest line is still the same."""
    last = newest(committed, found.series)
    others = [line for line in present[len(committed) :] if line.series != found.series]
    if last is not None and last.object_sha256 == found.object_sha256:
        return [*committed, *others]
    return [*committed, *others, found]


def differences(line: Line, found: Line) -> list[str]:
    """What has moved by more than TOLERANCE, in words."""
    moved = []
    for name in COMPARED:
        before, now = getattr(line, name), getattr(found, name)
        if abs(now - before) > TOLERANCE * before:
            moved.append(f"{name} is {now:,}, and was {before:,}")
    return moved


def committed_text() -> str:
    """The ledger as the last commit has it; empty if it has none."""
    command = ["git", "show", f"HEAD:{LEDGER.relative_to(ROOT).as_posix()}"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return result.stdout if result.returncode == 0 else ""


def record(found: Line) -> bool:
    """Put a line into docs/verifier.csv; False if it had nothing new to say. Raises MatrixError."""
    before = LEDGER.read_text() if LEDGER.exists() else ""
    present, committed = parse(before), parse(committed_text())
    if present[: len(committed)] != committed:
        committed = present  # rewritten by hand since: what is there stands
    text = written(with_line(committed, present, found))
    LEDGER.write_text(text)
    return text != before
