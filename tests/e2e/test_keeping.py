"""Keeping an engine from its file: checked, compared, applied, read again on SIGHUP, shown, listed and taken away."""

from __future__ import annotations

import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.helpers import (
    ADDRESSES,
    beside_an_exchange,
    eventually,
    running,
    turbo_hft,
    turbo_hft_json,
)
from pin_rig import bpffs, pinned
from turbo_hft.journal import JournalReader, Note, verify
from turbo_hft.lab import PASSWORD, USERNAME

pytestmark = [pytest.mark.e2e, pytest.mark.kernel, pytest.mark.timeout(180)]

A = ADDRESSES


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A place for pins, beside a running exchange."""
    with bpffs(tmp_path) as made, beside_an_exchange(tmp_path):
        yield made


def text(root: Path, journal: Path) -> str:
    return f"""\
[engine]
interface = "{A.device}"
pin_root = "{root}"
[journal]
directory = "{journal}"
[session]
local = "{A.host_address}:{A.engine_port}"
remote = "{A.exchange_address}:{A.ouch50_port}"
local_mac = "{A.host_mac}"
remote_mac = "{A.exchange_mac}"
username = "{USERNAME}"
password = "{PASSWORD}"
[feed]
at = "{A.feed_group}:{A.feed_port}"
source = "{A.exchange_address}"
[sizes]
symbols = 8
[symbols.AAPL]
base_qty = 100
"""


def test_an_engine_is_kept_from_its_file(root: Path, tmp_path: Path) -> None:
    file, journal = tmp_path / "engine.toml", tmp_path / "journal"
    talk, out = tmp_path / "talk", tmp_path / "out"
    words = text(root, journal)

    def write(old: str = "", new: str = "") -> None:
        assert old in words
        file.write_text(words.replace(old, new))

    write("base_qty", "base_qity")
    wrong = turbo_hft("config", "check", str(file))
    assert wrong.returncode == 2 and "base_qity" in wrong.stderr
    write()
    assert turbo_hft_json("config", "check", str(file))["symbols"] == ["AAPL"]
    at = ["--interface", A.device, "--pin-root", str(root)]
    assert turbo_hft("config", "diff", str(file)).returncode == 3  # nothing runs

    with running("run", "--config", str(file), out=out, talk=talk) as process:
        eventually(lambda: "trading AAPL" in talk.read_text(), "the engine is up")
        (listed,) = [one for one in turbo_hft_json("status", "--all", *at) if one["interface"] == A.device]
        assert (listed["controller"], listed["state"]) == (process.pid, "active")
        assert turbo_hft("config", "diff", str(file)).returncode == 0

        write("base_qty = 100", "base_qty = 60")
        differs = turbo_hft("config", "diff", str(file))
        assert (differs.returncode, differs.stdout) == (1, "symbols.AAPL.base_qty: 100 -> 60\n")
        applied = turbo_hft("config", "apply", str(file), "--because", "less of it")
        assert applied.returncode == 0 and "base_qty: 100 -> 60" in applied.stdout
        shown = tomllib.loads(turbo_hft("config", "show", *at).stdout)
        assert shown["symbols"]["AAPL"]["base_qty"] == 60 and shown["engine"]["pin_root"] == str(root)

        write("base_qty = 100", "base_qty = 70")
        process.send_signal(signal.SIGHUP)
        eventually(lambda: "was applied: 1 changes" in talk.read_text(), "the file is read again")
        write("base_qty = 100", "base_qty = 80\n[limits]\nmax_open_orders = 7\n")
        file.write_text(file.read_text().replace("symbols = 8", "symbols = 16"))
        process.send_signal(signal.SIGHUP)
        eventually(lambda: "was not applied" in talk.read_text(), "the file is refused")
        assert "sizes.symbols: 8 -> 16 (needs a new start)" in talk.read_text()
        shown = tomllib.loads(turbo_hft("config", "show", *at).stdout)
        assert shown["symbols"]["AAPL"]["base_qty"] == 70 and shown["limits"]["max_open_orders"] != 7

        held = turbo_hft("detach", *at, "--yes")
        assert held.returncode == 2 and f"process {process.pid} runs the engine" in held.stderr
        process.kill()
        process.wait()

    (listed,) = [one for one in turbo_hft_json("status", "--all", *at) if one["interface"] == A.device]
    assert not listed["controller"] and listed["pinned"]
    asked = turbo_hft("detach", "--stale", *at)  # nobody is there to be asked
    assert asked.returncode == 2 and "--yes" in asked.stderr and pinned(root)
    (gone,) = turbo_hft_json("detach", "--stale", *at, "--yes", "--force", "--journal", str(journal))
    assert gone["interface"] == A.device and pinned(root) == []
    assert [one for one in turbo_hft_json("status", "--all", *at) if one["interface"] == A.device] == []

    verdict = verify(journal)
    assert verdict.whole and verdict.twice == verdict.lost == 0
    notes = [record for record in JournalReader(journal) if isinstance(record, Note)]
    files = [(note.data["outcome"], note.data.get("why", "")) for note in notes if note.kind == "config"]
    assert files == [("applied", "less of it"), ("applied", ""), ("refused", "")]
    assert [note.kind for note in notes if note.kind in ("takeover", "detach")] == ["takeover", "detach"]


def test_who_reads_the_events_may_go_and_the_orders_are_looked_after(root: Path, tmp_path: Path) -> None:
    talk, file = tmp_path / "talk", tmp_path / "engine.toml"
    file.write_text(text(root, tmp_path / "journal"))
    with (
        talk.open("w") as err,
        subprocess.Popen(
            [sys.executable, "-m", "turbo_hft.cli", "run", "--config", str(file), "--json"],
            stdout=subprocess.PIPE,
            stderr=err,
        ) as process,
    ):
        try:
            assert process.stdout is not None
            eventually(lambda: "trading AAPL" in talk.read_text(), "the engine is up")
            process.stdout.close()
            # An order, unless an event has come and ended it already.
            turbo_hft("set", "AAPL", "buy_below=200", "--interface", A.device, "--pin-root", str(root))
            assert process.wait(30) == 1
        finally:
            process.kill()
    said = talk.read_text()
    assert "nobody takes the events" in said and "AAPL" in said.splitlines()[-1] and "fills" in said.splitlines()[-1], (
        said
    )
    assert pinned(root) == []
