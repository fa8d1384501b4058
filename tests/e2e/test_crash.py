"""The control process killed and the program swapped, again and again while it trades: nothing is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.kernel]

TIMES = 5


@pytest.mark.timeout(240)
def test_nothing_is_lost_by_kills_and_upgrades() -> None:
    command = [sys.executable, "-m", "tools.crash_test", "--kills", str(TIMES), "--upgrades", str(TIMES), "--json"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert result.returncode in (0, 1), result.stderr
    report = json.loads(result.stdout)
    assert report["differences"] == [] and report["problems"] == [], result.stdout
    assert report["good"] and result.returncode == 0
    assert (report["kills"], report["upgrades"]) == (TIMES, TIMES)
    assert report["refused"] == TIMES // 3
    assert report["expected_seq"] == report["sent"] + 1 and report["orders"] > 0 and report["fills"] > 0
    assert report["generation"] >= 1
