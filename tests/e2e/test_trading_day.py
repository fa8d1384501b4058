"""A day in short on which order entry goes wrong in every way it can: three ledgers equal at its end."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.kernel]

SECONDS = 20
# Of the rarer kinds a day so short has some, but not each of them.
TROUBLE = ("rejected", "broken", "lost", "canceled", "replaced", "executed", "shadow")


@pytest.mark.timeout(180)
def test_three_ledgers_are_equal_after_a_bad_day() -> None:
    command = [sys.executable, "-m", "turbo_hft.testing.trading_day", "--seconds", str(SECONDS), "--json"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode in (0, 1), result.stderr
    day = json.loads(result.stdout)
    assert day["differences"] == [] and day["problems"] == [] and day["left_open"] == 0, result.stdout
    assert day["equal"] and result.returncode == 0
    assert [kind for kind in TROUBLE if not day["events"].get(kind)] == []
    assert day["reconnects"] >= 1 and day["lost_orders"] >= 1
