"""The gate's clauses (bpf/hft/clause.h) as the compiler numbers them, and builds of the program without one of them."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = "bpf/xdp_hft.bpf.c"
WHOLE, WITHOUT_GATE = 0, -1
"""Values of HFT_MUTANT beside the number of a clause."""

_CLAUSE = re.compile(r"\((?:0 >= 0 && \()?(\d+) - HFT_CLAUSE_BASE != 0 && \(")
_REASON = re.compile(r"return HFT_REASON_(\w+)")
_LINE = re.compile(r'^# (\d+) "([^"]+)"')
_ARCH = {"x86_64": "x86", "aarch64": "arm64"}


class ClauseError(Exception):
    """A build that cannot be had."""


@dataclass(frozen=True, slots=True)
class Clause:
    """A number, where it stands, and what refuses there (macros expanded). `reason`: of a whole check, empty for a part
    of one."""

    number: int
    file: str
    line: int
    text: str
    reason: str


def compiler() -> list[str]:
    """clang and the flags of a build. Raises ClauseError without one."""
    clang = shutil.which("clang-19") or shutil.which("clang")
    if clang is None:
        raise ClauseError("clang is not installed. `make deps` installs what a build needs.")
    machine = platform.machine()
    if machine not in _ARCH:
        raise ClauseError(f"no BPF architecture name known for {machine}.")
    flags = ["-g", "-O2", "-target", "bpf", "-mcpu=v3", "-Wall", "-Wextra", "-Ibpf"]
    return [clang, *flags, f"-D__TARGET_ARCH_{_ARCH[machine]}"]


def clauses() -> list[Clause]:
    """Every clause of the program, in the order of its number."""
    expanded = subprocess.run([*compiler(), "-E", SOURCE], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    found: dict[int, Clause] = {}
    file, line = "", 0
    for text in expanded.splitlines():
        mark = _LINE.match(text)
        if mark:
            line, file = int(mark[1]), mark[2]
            continue
        reason = _REASON.search(text)
        for place, match in enumerate(_CLAUSE.finditer(text)):
            number, inside = int(match[1]), _CLAUSE.sub("(", balanced(text[match.end() :]))
            # A check is expanded around its parts, so it comes first in its line.
            found[number] = Clause(number, file, line, inside, reason[1] if reason and place == 0 else "")
        line += 1
    return [found[number] for number in sorted(found)]


def balanced(text: str) -> str:
    """Up to the parenthesis that closes what was open before it."""
    depth = 0
    for at, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth < 0:
            return text[:at]
    return text


def build(mutant: int, folder: Path) -> Path:
    """The program without that clause. Raises ClauseError if it does not compile."""
    target = folder / f"mutant{mutant}.o"
    command = [*compiler(), f"-DHFT_MUTANT={mutant}", "-Wno-unused", "-c", SOURCE, "-o", str(target)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if result.returncode:
        raise ClauseError(f"the program with HFT_MUTANT={mutant} does not compile:\n{result.stderr.strip()}")
    return target
