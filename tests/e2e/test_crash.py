"""The control process killed and the program swapped, again and again while it trades: nothing is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.kernel]

TIMES = 3


@pytest.mark.timeout(240)
def test_nothing_is_lost_by_kills_upgrades_and_rollbacks() -> None:
    times = ["--kills", str(TIMES), "--upgrades", str(TIMES), "--rollbacks", "1", "--rate", "3000"]
    command = [sys.executable, "-m", "tools.crash_test", *times, "--json"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert result.returncode in (0, 1), result.stderr
    killed, deaf = json.loads(result.stdout)
    for report in (killed, deaf):
        assert report["differences"] == [] and report["problems"] == [], result.stdout
        assert report["good"] and report["orders"] > 0 and report["fills"] > 0
        assert report["expected_seq"] == report["sent"] + 1
        assert report["recorded"] + report["lost"] == report["events"] > 0
    assert result.returncode == 0
    assert (killed["kills"], killed["upgrades"], killed["refused"]) == (TIMES, TIMES, 1)
    assert killed["takeovers"] >= TIMES and killed["gaps"] == 0 and killed["generation"] >= 1
    assert (deaf["rollbacks"], deaf["generation"]) == (1, 0) and deaf["deaf"] > 0
