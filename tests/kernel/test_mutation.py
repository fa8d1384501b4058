"""The short form of `make mutation`: some clauses of the gate, or of orders on TCP, are left out; tests must notice."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys

import pytest

from tools.clauses import ROOT, clauses
from tools.mutation import GATE_SUITE, WIRE_SUITE, suite_of

pytestmark = pytest.mark.kernel

SAMPLE = 4


@pytest.mark.skipif(shutil.which("clang-19") is None and shutil.which("clang") is None, reason="needs clang")
def test_a_gate_without_one_of_its_clauses_is_noticed() -> None:
    suite = random.choice((GATE_SUITE, WIRE_SUITE))
    numbers = random.sample([clause.number for clause in clauses() if suite_of(clause) == suite], SAMPLE)
    command = [sys.executable, "-m", "tools.mutation", "--only", *map(str, numbers)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert result.returncode == 0, f"clauses {numbers}:\n{result.stdout}{result.stderr}"


def test_every_reason_has_a_check_and_every_check_a_reason() -> None:
    from turbo_hft import abi

    checked = {clause.reason for clause in clauses() if clause.reason}
    # Those of the TCP connection are found before the gate, by guards of their own (bpf/hft/guard.h).
    named = {name.upper() for name in abi.reasons().values() if name != "none" and not name.startswith("wire_")}
    assert checked == named
