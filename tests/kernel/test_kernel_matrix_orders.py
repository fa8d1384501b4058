"""On other kernels too orders leave on a live TCP connection, and the peer gets the very bytes that were meant."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from wire_lines import LEAST_BEFORE_KILL, log_in
from wire_rig import HEARTBEAT, trade, wire_rig

from tools.kernel_matrix import guest, initramfs, orders, userland
from tools.kernel_matrix.errors import UNAVAILABLE, MatrixError
from tools.kernel_matrix.kernels import Kernel
from tools.kernel_matrix.smoke import ROOT

pytestmark = [pytest.mark.kernel, pytest.mark.e2e, pytest.mark.timeout(400)]

KERNELS = ("6.1", "6.12")
LIMIT_S = 350  # two boots with Python in them on a busy machine; about a minute on a free one
LOGIN_BYTES, ORDER_BYTES = 49, 50
NUMBER = 88


@pytest.fixture(scope="module")
def matrix() -> dict[str, Any]:
    """What the short form says."""
    command = [sys.executable, "-m", "tools.kernel_matrix.orders", *KERNELS, "--json", "--timeout", "150"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=LIMIT_S)
    if result.returncode == UNAVAILABLE:
        pytest.skip(result.stderr.strip().splitlines()[-1])
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_every_kernel_sends_what_is_meant(matrix: dict[str, Any]) -> None:
    assert [run["series"] for run in matrix["kernels"]] == ["", *KERNELS]
    for run in matrix["kernels"]:
        assert run["release"].startswith(run["series"] + "." if run["series"] else "")
        assert [line["line"] for line in run["lines"]] == list(orders.SHORT)
        for line in run["lines"]:
            assert line["orders"] == line["by_the_hook"] > 0
        for line in run["lines"][:-1]:
            heartbeats = (line["ordinary"] - 1) * len(HEARTBEAT)
            assert line["orders"] >= 100 and line["identical"]
            assert line["bytes"] == LOGIN_BYTES + line["orders"] * ORDER_BYTES + heartbeats


def test_acknowledgements_that_come_before_the_merge_are_held_on_every_kernel(matrix: dict[str, Any]) -> None:
    for run in matrix["kernels"]:
        replies = run["lines"][0]
        assert replies["acks_held"] > 0, run["release"]
        assert replies["ordinary"] > 1, "no heartbeat between the orders"
        assert replies["replies_by_the_hook"] > 50, run["release"]


def test_the_lines_of_the_guests_are_bad_ones_by_netem(matrix: dict[str, Any]) -> None:
    for run in matrix["kernels"]:
        line = run["lines"][1]
        assert line["by"] == ("netem" if run["emulated"] else "forwarder")
        assert line["lost"] + line["overtaken"] + line["doubled"] > 0, run["release"]


def test_a_killed_trader_closes_cleanly_on_every_kernel(matrix: dict[str, Any]) -> None:
    for run in matrix["kernels"]:
        killed = run["lines"][-1]
        assert killed["end"] == "FIN" and killed["orders"] >= LEAST_BEFORE_KILL


# What a run that passes says: the driver, here, with one lie; and a guest that does not get through.


def test_a_single_wrong_byte_fails_the_driver() -> None:
    with wire_rig(NUMBER) as rig:
        rig.open()
        log_in(rig)
        trade(rig, 20)
        rig.agree()
        rig.expected[-1] ^= 1
        with pytest.raises(AssertionError):
            rig.agree()


def test_a_guest_that_does_not_get_through_all_lines_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel("6.1", "6.1.0", Path("/nowhere"), Path("/nowhere"))
    said = 'wire {"release": "6.1.0"}\r\nwire {"line": "clean", "orders": 1}\r\n'
    monkeypatch.setattr(initramfs, "base", lambda *_: {})
    for console, passes in (
        (said + "smoke exit 0\r\n", True),
        (said + "AssertionError\r\nsmoke exit 1\r\n", False),
        (said.splitlines()[0] + "\r\nsmoke exit 0\r\n", False),
    ):
        monkeypatch.setattr(guest, "run", lambda *_, console=console, **__: (console, 1.0))
        if passes:
            assert orders.there(kernel, ["clean"], 1, {}, 1.0)[1] == [{"line": "clean", "orders": 1}]
        else:
            with pytest.raises(MatrixError, match=r"6\.1\.0"):
                orders.there(kernel, ["clean"], 1, {}, 1.0)


def test_a_guest_gets_what_is_loaded_and_nothing_that_builds() -> None:
    files = userland.files([json.__file__, sys.modules["turbo_hft._native"].__file__ or ""])
    assert sys.executable.lstrip("/") in files
    assert any("libbpf.so" in name for name in files), "a library of the extension is missing"
    assert any(name.startswith("lib64/ld-linux") for name in files)
    assert not [name for name in files if name.endswith((".h", ".c")) or Path(name).name in ("gcc", "clang", "bpftool")]


def test_byte_code_in_a_guest_is_good_at_any_time() -> None:
    """Its clock says 1970 of every file."""
    files = userland.files([json.__file__])
    _, raw = next(entry for name, entry in files.items() if name.endswith(".pyc"))
    assert int.from_bytes(raw[4:8], "little") == 1  # checked against the source: never
