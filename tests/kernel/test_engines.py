"""All engines of a machine, and taking away what nobody runs or can use any more."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pin_rig import bpffs, pinned
from turbo_hft import abi, lab_feed, lab_session
from turbo_hft.cli import main
from turbo_hft.engine import Engine
from turbo_hft.engines import engines, orders_left
from turbo_hft.errors import NotRunning
from turbo_hft.lab import Lab
from turbo_hft.layout import version_directory
from turbo_hft.pins import Pins
from turbo_hft.program import query

pytestmark = pytest.mark.kernel

NAMES = ("hft_engs", "hftengsa", "hftengsb", "10.78.123.0/24")
DEVICE = NAMES[1]


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    with bpffs(tmp_path) as made:
        yield made


def left(root: Path, *, order: bool = False) -> None:
    """An engine that nobody runs, with an order that nobody has answered."""
    with Engine.open(DEVICE, pin=root, symbols=4, orders=64, kept=64) as engine:
        engine.symbols.add("AAPL")
        engine.configure(lab_session(), lab_feed())
        engine.attach()
        if order:
            working = engine.program.share("working", writable=True)[1]
            working.user_ref, working.state, working.open_qty = 1, 1, 100


def test_every_engine_is_listed_and_can_be_taken_away(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--pin-root", str(root), "--interface", DEVICE]
    with Lab(*NAMES):
        left(root)
        (one,) = [one for one in engines(root) if one.interface == DEVICE]
        assert (one.pinned, one.state, one.mode, one.controller, one.open_orders) == (True, "halted", "native", None, 0)
        assert main(["status", "--all", "--json", "--pin-root", str(root)]) == 0
        assert DEVICE in [one["interface"] for one in json.loads(capsys.readouterr().out)]
        assert main(["detach", *words]) == 2  # nobody is there to be asked
        assert "--yes" in capsys.readouterr().err and query(DEVICE)
        assert main(["detach", *words, "--yes"]) == 0
        assert capsys.readouterr().out == f"{DEVICE}: taken away\n"
        with pytest.raises(NotRunning):
            query(DEVICE)
        assert pinned(root) == []
        assert main(["detach", *words, "--yes"]) == 3


def test_one_that_is_not_pinned_is_listed_too(root: Path) -> None:
    with Lab(*NAMES), Engine.open(DEVICE, symbols=4, orders=64, kept=64) as engine:
        engine.attach()
        (one,) = [one for one in engines(root) if one.interface == DEVICE]
        assert (one.pinned, one.state, one.stale) == (False, "halted", False)


@pytest.mark.parametrize("how", ["detach", "end"])
def test_who_only_looks_keeps_no_program_on_the_interface(root: Path, how: str) -> None:
    """`watch`, `serve` and an exporter have an adopted engine open for as long as they like."""
    with Lab(*NAMES):
        left(root)
        with Engine.adopt(DEVICE, pin=root) as observer, Engine.adopt(DEVICE, pin=root) as second:
            assert observer.counters() and query(DEVICE)
            if how == "detach":
                words = ["--pin-root", str(root), "--interface", DEVICE, "--yes"]
                assert main(["detach", *words]) == 0
            else:
                second.take_over()
                second.detach()
            with pytest.raises(NotRunning):
                query(DEVICE)
            shown = subprocess.run(["ip", "-j", "link", "show", DEVICE], capture_output=True, text=True, check=True)
            assert "xdp" not in json.loads(shown.stdout)[0]
            assert observer.counters(), "what is open can still be read"
        with Engine.open(DEVICE, pin=root, symbols=4, orders=64, kept=64) as anew:
            anew.attach()
            anew.detach()


def test_working_orders_are_not_forgotten_unasked(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--pin-root", str(root), "--interface", DEVICE, "--yes"]
    with Lab(*NAMES):
        left(root, order=True)
        assert main(["detach", *words]) == 2
        assert "1 working orders" in capsys.readouterr().err and query(DEVICE)
        assert main(["detach", *words, "--force"]) == 0


def test_what_a_process_runs_is_left_alone(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Lab(*NAMES):
        left(root)
        with Engine.adopt(DEVICE, pin=root) as engine:
            engine.take_over()
            assert main(["detach", "--pin-root", str(root), "--interface", DEVICE, "--yes", "--force"]) == 2
            assert "end that process first" in capsys.readouterr().err
            assert main(["detach", "--pin-root", str(root), "--stale", "--yes"]) == 0
            assert capsys.readouterr().out == "nothing is stale\n" and query(DEVICE)
            engine.detach()


def test_stale_is_what_has_no_interface_or_never_was_whole(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Lab(*NAMES):
        left(root, order=True)
    with Engine.load(symbols=4, orders=64, kept=64) as half:
        Pins(root, "eth7").save(half.program.handle, half.program.facts().id)
    listed = {one.interface: one for one in engines(root) if one.pinned}
    assert (listed[DEVICE].stale, listed[DEVICE].open_orders) == (True, 1)
    assert listed["eth7"].stale and "whole" in listed["eth7"].problem
    assert orders_left(Pins(root, DEVICE)) == 1 and orders_left(Pins(root, "eth7")) is None
    assert main(["detach", "--pin-root", str(root), "--stale", "--yes"]) == 2
    assert "1 working orders" in capsys.readouterr().err
    assert main(["detach", "--pin-root", str(root), "--stale", "--yes", "--force", "--json"]) == 0
    assert {one["interface"] for one in json.loads(capsys.readouterr().out)} == {DEVICE, "eth7"}
    assert pinned(root) == []


def test_one_in_another_network_namespace_is_not_stale(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--pin-root", str(root), "--yes"]
    with Lab(*NAMES):
        left(root)
        # From the exchange's namespace, where no interface has that name.
        away = ["ip", "netns", "exec", NAMES[0], sys.executable, "-m", "turbo_hft.cli"]
        # `ip netns exec` has mounts of its own, and this root is mounted in ours already.
        done = subprocess.run([*away, "detach", *words, "--stale"], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, "nothing is stale\n"), done.stderr
        done = subprocess.run(
            [*away, "detach", *words, "--interface", DEVICE], capture_output=True, text=True, check=False
        )
        assert done.returncode == 2 and "cannot be told from here" in done.stderr
        assert query(DEVICE) and Pins(root, DEVICE).there
        assert main(["detach", *words, "--interface", DEVICE]) == 0
        capsys.readouterr()


def test_orders_that_came_while_a_person_was_asked_are_seen(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["--pin-root", str(root), "--interface", DEVICE]

    def agreed(count: int) -> bool:
        with Engine.adopt(DEVICE, pin=root) as engine:
            working = engine.program.share("working", writable=True)[1]
            working.user_ref, working.state, working.open_qty = 1, 1, 100
        return True

    monkeypatch.setattr("turbo_hft.cli.detach._agreed", agreed)
    with Lab(*NAMES):
        left(root)
        assert main(["detach", *words]) == 2
        assert "1 working orders" in capsys.readouterr().err and query(DEVICE)
        assert main(["detach", *words, "--force"]) == 0


def test_an_engine_of_another_version_is_named_and_left(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Lab(*NAMES):
        left(root)
        version_directory(root, abi.VERSION).rename(version_directory(root, abi.VERSION - 1))
        (one,) = [one for one in engines(root) if one.interface == DEVICE and one.pinned]
        other = abi.VERSION - 1
        assert (one.abi, one.stale) == (other, False) and f"ABI version {other}" in one.problem
        words = ["--pin-root", str(root), "--interface", DEVICE, "--yes"]
        assert main(["detach", *words]) == 2
        assert "cannot be told from here" in capsys.readouterr().err and query(DEVICE)
        assert main(["detach", *words, "--force"]) == 0 and pinned(root) == []
