"""A tap beside the loaded program: what came and what left, byte by byte. On kernels that let a program be attached to
another; for the others the kernel matrix has it (tests/kernel/test_kernel_matrix.py)."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from gate_rig import GateRig
from turbo_hft.engine import Engine
from turbo_hft.errors import ConfigError, LoadError
from turbo_hft.tap import Tap
from turbo_hft.testing import Hook

pytestmark = pytest.mark.kernel


@pytest.fixture
def rig(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> GateRig:
    return GateRig(hook)


@pytest.fixture
def taps(rig: GateRig) -> Iterator[Engine]:
    """An engine that can be tapped; where the kernel refuses, that it says so."""
    try:
        with Tap(rig.engine):
            pass
    except LoadError as refused:
        assert "takes no tap" in str(refused) and "fentry" in str(refused)
        pytest.skip(str(refused))
    yield rig.engine


def test_sizes_that_cannot_be_are_refused(rig: GateRig) -> None:
    for snaplen, ring_bytes in ((13, 1 << 20), (2049, 1 << 20), (100, 65_537), (100, 4096)):
        with pytest.raises(ConfigError, match="give"):
            Tap(rig.engine, snaplen=snaplen, ring_bytes=ring_bytes)


def test_what_came_and_what_left(taps: Engine, rig: GateRig) -> None:
    foreign = bytes(range(64))
    sent: list[bytes] = []
    taps.orders.send = sent.append
    with Tap(taps) as tap:
        assert taps.program.run(foreign)[0] == 2
        taps.orders.enter("AAPL", "buy", 100, "150.10")
        found = tap.wait(2)
        assert tap.lost == 0
    assert [(one.way, one.whose, one.data) for one in found] == [
        ("passed", "others", foreign),
        ("sent", "commands", sent[0]),  # the command itself, which has a secret in it, is not given out
    ]
    assert found[0].time_ns < found[1].time_ns and found[1].length == len(sent[0])


def test_only_what_was_asked_for_and_no_more_of_it(taps: Engine) -> None:
    with Tap(taps, ["sent"]) as tap:
        taps.program.run(bytes(64))
        assert tap.read() == []
    with Tap(taps, ["others"], snaplen=20) as tap:
        taps.program.run(bytes(range(64)))
        (one,) = tap.wait(2)
        assert (one.length, one.data) == (64, bytes(range(20)))


def test_what_finds_no_room_is_counted(taps: Engine) -> None:
    with Tap(taps, ring_bytes=1 << 16) as tap:
        for _ in range(100):
            taps.program.run(bytes(1500))
        assert len(tap.read()) + tap.lost == 100 and tap.lost > 0


def test_a_swap_is_followed(taps: Engine) -> None:
    from turbo_hft.upgrade.upgrade import upgrade

    with Tap(taps) as tap:
        upgrade(taps, watch_s=0.05)
        tap.read()
        taps.program.run(bytes(64))
        assert tap.wait(2)[-1].data == bytes(64) and tap.moves == 1


def test_a_tapper_that_is_killed_leaves_nothing(taps: Engine, tmp_path: Path) -> None:
    code = (
        "import sys, time; from turbo_hft.engine import Engine; from turbo_hft.tap import Tap\n"
        "with Engine.load(symbols=4, orders=64, kept=64) as engine, Tap(engine):\n"
        "    print('tapping', flush=True); time.sleep(60)\n"
    )
    before = _programs()
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "tapping\n"
        assert "tap_exit" in _programs() and before.count("tap_exit") < _programs().count("tap_exit")
        process.send_signal(signal.SIGKILL)
    end = time.monotonic() + 10
    while _programs().count("tap_exit") > before.count("tap_exit"):
        assert time.monotonic() < end
        time.sleep(0.05)


def _programs() -> str:
    return subprocess.run(["/usr/sbin/bpftool", "prog", "show"], capture_output=True, text=True, check=True).stdout
