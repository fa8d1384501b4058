"""The short form of `make trading-day`: everything goes wrong, and the three ledgers agree; nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from e2e.helpers import environment, eventually, pins
from turbo_hft.demo.reconcile import FIELDS
from turbo_hft.testing.trading_day import NAMES, TROUBLES

pytestmark = [pytest.mark.e2e, pytest.mark.kernel, pytest.mark.timeout(120)]


def start(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "turbo_hft.testing.trading_day", *words],
        env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def ip(*words: str) -> str:
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


def found(processes: Sequence[int]) -> list[str]:
    """Namespaces, interfaces and processes of days of these processes."""
    marks = [number % 10_000 for number in processes]
    left = [name for number in marks for name in ip("netns").split() if name == f"hft_day_{number}"]
    left += [f"hftd{number}{end}" for number in marks for end in "ab" if f"hftd{number}{end}" in ip("-o", "link")]
    return left + [f"process {number}" for number in processes if Path(f"/proc/{number}").exists()]


@pytest.fixture
def nothing_left() -> Iterator[list[int]]:
    before, started = pins(), list[int]()
    yield started
    assert found(started) == []
    assert pins() == before


def test_three_ledgers_agree_whatever_goes_wrong(nothing_left: list[int]) -> None:
    day = start("--seconds", "16", "--seed", "7", "--json")
    nothing_left.append(day.pid)
    out, talk = day.communicate(timeout=90)
    assert day.returncode == 0, talk + out[:20_000]
    report = json.loads(out)
    assert report["ok"] and report["reconciliation"]["problems"] == []
    rows = report["reconciliation"]["rows"]
    assert {(row["symbol"], row["field"]) for row in rows} == {(name, field) for name in NAMES for field in FIELDS}
    assert all(row["maps"] == row["events"] == row["exchange"] for row in rows)
    assert set(report["troubles"]) == set(TROUBLES)
    assert [kind for kind in TROUBLES if not report["troubles"][kind]] == [], "did not happen"
    assert {row["symbol"] for row in rows if row["field"] == "fills" and row["maps"]} >= set(NAMES[:10])
    assert {"replaced", "shadow", "lost", "broken", "modified", "priority", "restated"} <= set(report["events"])


@pytest.mark.parametrize("when", ["its lab is there", "it trades"])
def test_ctrl_c_leaves_nothing_behind(nothing_left: list[int], when: str) -> None:
    day = start("--seconds", "60")
    nothing_left.append(day.pid)
    if when == "it trades":
        assert day.stderr is not None and "trading 20 symbols" in day.stderr.readline()
    else:
        eventually(lambda: f"hft_day_{day.pid % 10_000}" in ip("netns"), "there is no lab")
    os.kill(day.pid, signal.SIGINT)
    out, talk = day.communicate(timeout=30)
    assert (day.returncode, out) == (130, ""), talk
    assert "interrupted" in talk
