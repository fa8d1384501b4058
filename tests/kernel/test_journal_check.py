"""`make journal-check` in small."""

from __future__ import annotations

from pathlib import Path

import pytest
from turbo_hft.testing import journal_check

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(180)]


def test_every_23rd_bit(tmp_path: Path) -> None:
    found = journal_check.bits(tmp_path, 23)
    assert found["bits"] > 500 and not found["not_detected"] and not found["not_located"]


def test_every_7th_truncation(tmp_path: Path) -> None:
    found = journal_check.truncations(tmp_path, 7)
    assert found["offsets"] > 500
    assert not found["not_detected"] and not found["records_lost"] and not found["chain_broken_after"]


def test_killed_writers_lose_nothing_that_was_synced(tmp_path: Path) -> None:
    found = journal_check.kills(tmp_path, 3)
    assert found["synced_and_lost"] == 0 and found["records"] > 100


def test_the_hook_without_a_pause_is_recorded_or_counted_as_lost() -> None:
    found = journal_check.peak(50_000)["recorded"]
    assert found["whole"] and found["events"] >= 50_000
    assert found["recorded"] + found["lost"] == found["events"]


def test_an_export_of_many(tmp_path: Path) -> None:
    found = journal_check.exports(tmp_path, 20_000)
    assert found["x.parquet"]["rows"] == 20_000 and found["x.jsonl"]["rows"] == 20_002
