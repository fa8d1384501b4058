"""`turbo-hft bench` as a command: it measures, says so, and leaves nothing behind, interrupted or not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from turbo_hft.latency.results import Results

pytestmark = [pytest.mark.kernel, pytest.mark.e2e]

BENCH = [sys.executable, "-m", "turbo_hft.cli", "bench"]


def left_behind() -> set[str]:
    """Interfaces and namespaces of a rig."""
    links = {name for name in os.listdir("/sys/class/net") if "hft_lat" in name}
    spaces = Path("/run/netns")
    return links | ({path.name for path in spaces.iterdir() if "hft_lat" in path.name} if spaces.exists() else set())


def test_the_list_names_what_would_be_measured() -> None:
    done = subprocess.run([*BENCH, "--list", "--json"], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert {"engine", "echo", "python"} <= {one["name"] for one in found["responders"]}
    assert found["trials"] and "stage" in found["inside"]


def test_wrong_words_on_the_command_line_are_refused_with_what_there_is() -> None:
    for words, needle in ((["--only", "nothing"], "closed"), (["--slow", "0.5"], "above 1")):
        done = subprocess.run([*BENCH, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 2 and needle in done.stderr and not done.stdout


def test_a_section_is_measured_and_its_report_can_be_made_again(tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = [*BENCH, "run", "--only", "verifier", "--out", str(out), "--json"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    found = Results.from_json(done.stdout)
    assert {one.section for one in found.figures} == {"verifier"} and not found.series
    assert "left" in done.stderr, "it said how far it was"
    assert Results.load(out / "results.json") == found
    again = subprocess.run(
        [*BENCH, "report", str(out / "results.json"), "--out", str(tmp_path / "again")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Verifier" in again.stdout and "No headline" in again.stdout
    assert (tmp_path / "again" / "report.html").read_bytes() == (out / "report.html").read_bytes()


def test_an_interrupt_leaves_nothing_behind_but_what_was_measured(tmp_path: Path) -> None:
    before = left_behind()
    words = [*BENCH, "--only", "closed,scale", "--out", str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not (tmp_path / "results.json").exists() and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, talk = process.communicate(timeout=60)
    assert process.returncode == 130, talk
    assert not out and f"{tmp_path}/results.json" in talk
    assert Results.load(tmp_path / "results.json").series
    assert left_behind() <= before
