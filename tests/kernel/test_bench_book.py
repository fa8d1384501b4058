"""The book benchmark measures: every contestant it builds keeps the reference book, whatever the figures are."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.kernel, pytest.mark.bench]

ROOT = Path(__file__).resolve().parents[2]
DAYS = ["100/1k", "1000/100k", "8000/100k/100"]


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench.book.run", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=110)


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    """A run without peers: a checkout of theirs is nowhere to be had."""
    result = bench("--days", ",".join(DAYS), "--timed", "20000", "--repetitions", "1", "--json")
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_no_contestant_fails_a_day(report: dict[str, Any]) -> None:
    assert [day["failed"] for day in report["days"]] == [{}] * len(DAYS)
    assert all(day["messages"] == 20_000 for day in report["days"])


def test_every_contestant_has_a_figure_of_each_repetition(report: dict[str, Any]) -> None:
    grid = {"hook 1", "hook 5", "hook 20", "hook 38", "hook 20 sums", "native 20"}
    hook = {"hook 1", "hook 5", "hook 20", "hook 38"}
    assert [set(day["figures"]) for day in report["days"]] == [grid, grid, hook]
    for day in report["days"]:
        for figure in day["figures"].values():
            assert len(figure["runs"]) == 1 and figure["min"] == figure["median"] == figure["max"] > 0


def test_the_baselines_have_as_many_messages_a_packet_as_asked_for_or_as_fit(report: dict[str, Any]) -> None:
    for baseline in report["baselines"]:
        assert 0.9 * baseline["per_packet"] < baseline["messages"] <= baseline["per_packet"]
    assert [baseline["per_packet"] for baseline in report["baselines"]] == [1, 5, 20, 38]


def test_a_criterion_that_lacks_a_figure_is_not_called_met(report: dict[str, Any]) -> None:
    *compared, filtered, growth = report["criteria"]
    assert [criterion["met"] for criterion in (*compared, growth)] == [None] * 3
    assert isinstance(filtered["met"], bool)


@pytest.mark.parametrize(
    ("said", "book"),
    [
        ({"unhandled": 1}, {"AAPL": ((99, 101), 7)}),
        ({"quarantined": 1}, {"AAPL": ((99, 101), 7)}),
        ({"unsound": 1}, {"AAPL": ((99, 101), 7)}),
        ({"untracked": 1}, {"AAPL": ((99, 101), 7)}),
        ({}, {"AAPL": ((99, 102), 7)}),
        ({}, {"AAPL": ((99, 101), 8)}),
        ({}, {"MSFT": ((99, 101), 7)}),
        ({}, {}),
    ],
)
def test_a_run_that_lost_doubted_or_got_something_wrong_is_no_figure(
    said: dict[str, int], book: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(ROOT)
    contestants, days, errors = (
        importlib.import_module(f"bench.book.{name}") for name in ("contestants", "days", "errors")
    )
    day, reference = days.Day(1, 7), {"AAPL": ((99, 101), 7)}
    contestants.check({}, day, reference, reference)
    contestants.check({}, day, reference, {"AAPL": ((99, 101), -1)})
    with pytest.raises(errors.NoFigureError):
        contestants.check(said, day, reference, book)


def test_arguments_that_cannot_be_are_refused() -> None:
    assert bench("--days", "7/7").returncode == bench("--repetitions", "0").returncode == 2
    missing = bench("--days", "100/1k", "--itch-order-book", "/nonexistent")
    assert missing.returncode == 1 and "no checkout" in missing.stderr
