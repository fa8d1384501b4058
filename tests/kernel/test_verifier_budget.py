"""The object stays within what the verifier grants, with room for kernels that count more."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from turbo_hft.engine import Engine

from tools import verifier_ledger
from tools.kernel_matrix import smoke

pytestmark = pytest.mark.kernel

ROOT = Path(__file__).resolve().parents[2]
# The kernel gives up at 1,000,000. Kernels differ by factors in what they count for one and the same object.
INSNS = 250_000
STACK_BYTES = 512  # of a chain of calls, by any kernel


@pytest.fixture(scope="module")
def programs() -> list[dict[str, Any]]:
    """The figures of every program of the object on this kernel."""
    command = [sys.executable, "-m", "tools.verifier", "--json"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 0, result.stderr
    found: list[dict[str, Any]] = json.loads(result.stdout)[0]["programs"]
    assert any(program["section"] == "xdp" for program in found)
    return found


def test_the_verifier_processes_few_enough_instructions(programs: list[dict[str, Any]]) -> None:
    for program in programs:
        assert program["verified_insns"] == program["processed"]
        assert program["verified_insns"] <= INSNS, f"{program['name']}: `make verifier` shows where it stands"


def test_the_deepest_chain_of_calls_fits_the_stack_as_linux_6_1_counts_it(programs: list[dict[str, Any]]) -> None:
    for program in programs:
        assert program["stack"], "the verifier printed no stack depths"
        chain = program["stack_chain"]
        # Each frame rounded up to 32 bytes, an empty one too.
        assert program["stack_chain_bytes"] == sum((max(depth, 1) + 31) // 32 * 32 for depth in chain)
        assert program["stack_chain_bytes"] <= STACK_BYTES, f"{program['name']}: {'+'.join(map(str, chain))}"


def test_the_figures_are_those_of_the_newest_line_of_the_ledger() -> None:
    found = verifier_ledger.Line.of(smoke.run_here(smoke.OBJECT), smoke.OBJECT)
    line = verifier_ledger.newest(verifier_ledger.parse(verifier_ledger.LEDGER.read_text()), found.series)
    if line is None:
        pytest.skip(f"docs/verifier.csv has no line of Linux {found.series}")
    moved = verifier_ledger.differences(line, found)
    assert not moved, f"{'; '.join(moved)}: if it is meant, `make verifier VERIFIER_ARGS=--record` and commit the line"
    assert found.insns <= INSNS


def test_the_program_that_sends_on_tcp_stays_within_it_too() -> None:
    with Engine.load(transport="soupbintcp") as engine:
        assert engine.program.facts().verified_insns <= INSNS
