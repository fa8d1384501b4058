"""The main job as a user runs it: ledgers equal, again at once, and nothing left, whenever it is interrupted."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.helpers import NAME_OPTIONS, command, environment, eventually, leftovers, pins, remove_lab, running, turbo_hft
from turbo_hft.demo.reconcile import FIELDS

pytestmark = [pytest.mark.e2e, pytest.mark.kernel, pytest.mark.timeout(180)]


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    before = pins()
    yield
    found = leftovers()
    remove_lab()
    assert found == []
    assert pins() == before


def demo(*words: str) -> subprocess.CompletedProcess[str]:
    return turbo_hft("demo", *NAME_OPTIONS, *words)


def test_twice_in_a_row_as_plain_lines(tmp_path: Path) -> None:
    for attempt in (1, 2):
        done = demo("--duration", "3", "--no-latency", "--seed", str(attempt), "--screenshot", f"{tmp_path}/view.svg")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "the three ledgers agree to the share and the 1/10000 dollar" in done.stdout
        assert "TRADING" in done.stdout and "hook: packet to order" in done.stdout
        assert "orders in ouch50 over soupbintcp" in done.stdout and " by the kernel itself, " in done.stdout
        assert "DIFFERENT" not in done.stdout and "PROBLEM" not in done.stdout
        assert "\x1b" not in done.stdout + done.stderr
        assert leftovers() == []
    assert "AAPL" in (tmp_path / "view.svg").read_text()


def test_on_a_terminal_it_is_a_picture_with_keys() -> None:
    pid, master = pty.fork()
    if pid == 0:
        words = command("demo", *NAME_OPTIONS, "--duration", "5", "--no-latency")
        os.execvpe(words[0], words, environment() | {"TERM": "xterm", "PYTHONUTF8": "1"})
    termios.tcsetwinsize(master, (24, 80))
    written, pressed = b"", False
    try:
        while chunk := _read(master):
            written += chunk
            if not pressed and b"163." in written:
                pressed = True
                os.write(master, b"2")
    finally:
        os.close(master)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    screen, _, after = written.partition(b"\x1b[?1049l")
    assert status == 0, after.decode()
    assert b"\x1b[?1049h" in screen and b"TRADING" in screen and b"[2]" in screen
    assert b"the three ledgers agree" in after and b"\x1b[?1049h" not in after


def _read(master: int) -> bytes:
    try:
        return os.read(master, 1 << 16)
    except OSError:  # nobody has the other end any more
        return b""


@pytest.mark.parametrize(("protocol", "transport"), [("ouch50", "ufo"), ("ouch42", "soupbintcp")])
def test_json_holds_everything(protocol: str, transport: str) -> None:
    done = demo("--duration", "3", "--no-latency", "--protocol", protocol, "--transport", transport, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["ok"] is True
    rows = report["reconciliation"]["rows"]
    assert {(row["symbol"], row["field"]) for row in rows} == {(s, f) for s in ("AAPL", "MSFT") for f in FIELDS}
    assert all(row["maps"] == row["events"] == row["exchange"] for row in rows)
    total = {field: sum(row["maps"] for row in rows if row["field"] == field) for field in FIELDS}
    assert total["orders"] > 0 and total["bought_qty"] > 0 and total["open_qty"] == 0
    assert report["hook"]["count"] == total["orders"]
    assert report["hook"]["p50_ns"] <= report["hook"]["p99_ns"]
    feed = report["exchange"]["feed"]
    assert feed["messages"] == report["view"]["messages"]
    # The other way was not used, this one took every order.
    assert report["transport"] == transport
    by_tcp = report["exchange"]["soupbintcp"][protocol]
    if transport == "ufo":
        assert report["wire"] is None and by_tcp["connections"] == 0
    else:
        assert by_tcp["messages"] == total["orders"] == report["wire"]["fired"] == report["wire"]["merged"]
        assert by_tcp["ended"] == 1 and report["wire"]["waited_share"] < 0.01


@pytest.mark.long
@pytest.mark.parametrize(
    ("transport", "beside", "orders"), [("soupbintcp", set(), 2 * (100 + 500)), ("ufo", {"echo"}, 2 * (100 + 200))]
)
def test_with_the_latency_comparison(transport: str, beside: set[str], orders: int) -> None:
    words = ("--latency-rounds", "100", "--latency-repetitions", "1", "--transport", transport)
    done = demo("--duration", "2", *words, "--json")
    report = json.loads(done.stdout)
    assert report["comparison_failure"] is None
    assert done.returncode == 0, done.stderr
    assert {one["responder"] for one in report["comparison"]["series"]} == {"engine", "python", *beside}
    assert report["comparison"]["orders_compared"] == orders
    assert all(run["missed"] == 0 for one in report["comparison"]["series"] for run in one["repetitions"])


def ends(log: Path) -> list[str]:
    """Why connections ended, as the exchange saw it."""
    entries = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return [entry["reason"] for entry in entries if entry["kind"] == "disconnected"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("after_s", [0.5, 1.5, 3.0])
def test_signal_at_any_moment_leaves_nothing(tmp_path: Path, number: signal.Signals, after_s: float) -> None:
    log = tmp_path / "log"
    words = ("demo", *NAME_OPTIONS, "--duration", "20", "--no-latency", "--exchange-log", str(log))
    with running(*words, out=tmp_path / "out", talk=tmp_path / "talk") as process:
        # Before that the interpreter is still starting, and a signal ends it as it ends any program.
        eventually(lambda: b"lab:" in (tmp_path / "talk").read_bytes(), "the demo says it raises the lab")
        time.sleep(after_s - 0.5)
        process.send_signal(number)
        assert process.wait(20) == 130
    talk = (tmp_path / "talk").read_text()
    assert talk.splitlines()[-1] == "turbo-hft: interrupted"
    assert "Traceback" not in talk
    if "logged in" in talk:
        assert ends(log) == ["logouts"]


def test_signal_while_measuring_leaves_nothing(tmp_path: Path) -> None:
    words = ("demo", *NAME_OPTIONS, "--duration", "1", "--latency-rounds", "20000")
    with running(*words, out=tmp_path / "out", talk=tmp_path / "talk") as process:
        eventually(lambda: b"measuring" in (tmp_path / "talk").read_bytes(), "the demo measures")
        time.sleep(1.5)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130


def test_next_run_cleans_up_after_a_killed_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # the killed one cannot remove its files
    log = tmp_path / "log"
    words = ("demo", *NAME_OPTIONS, "--duration", "20", "--no-latency", "--exchange-log", str(log))
    with running(*words, out=tmp_path / "out", talk=tmp_path / "talk") as process:
        eventually(lambda: b"trading for" in (tmp_path / "talk").read_bytes(), "the demo trades")
        process.kill()
        process.wait()
    # Both ends of the connection go at once: it ends in order, by whoever is first.
    eventually(lambda: ends(log) in (["left"], ["ended"]), "the keeper, or the exchange, ends the connection")
    # Nobody could take the lab down; the exchange must not outlive its demo, and the program is off the wire.
    eventually(lambda: not any("process" in left for left in leftovers()), "the exchange ends with its demo")
    assert leftovers()
    assert demo("--duration", "2", "--no-latency").returncode == 0


def test_exchange_that_dies_is_named(tmp_path: Path) -> None:
    words = ("demo", *NAME_OPTIONS, "--duration", "20", "--no-latency")
    with running(*words, out=tmp_path / "out", talk=tmp_path / "talk") as process:
        eventually(lambda: b"trading for" in (tmp_path / "talk").read_bytes(), "the demo trades")
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        (exchange,) = [
            int(child) for child in children if b"turbo_hft.exchange" in Path(f"/proc/{child}/cmdline").read_bytes()
        ]
        subprocess.run(["kill", "-KILL", str(exchange)], check=True)
        assert process.wait(20) == 1
    assert "turbo-hft demo: the exchange failed (exit -9)" in (tmp_path / "talk").read_text()
