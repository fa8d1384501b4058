"""An engine run by one process, steered and watched by others, while ticks flow."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from e2e.helpers import (
    ADDRESSES,
    EXCHANGE,
    NAME_OPTIONS,
    ON,
    SESSION,
    eventually,
    leftovers,
    pins,
    remove_lab,
    running,
    turbo_hft,
    turbo_hft_json,
)
from turbo_hft.engine import Engine
from turbo_hft.lab import PASSWORD, USERNAME

pytestmark = [pytest.mark.e2e, pytest.mark.kernel, pytest.mark.timeout(180)]

A = ADDRESSES
OBJECT = Path(__file__).parents[2] / "build" / "xdp_hft.bpf.o"


@pytest.fixture
def lab() -> Iterator[None]:
    before = pins()
    assert turbo_hft("lab", "up", *NAME_OPTIONS).returncode == 0
    yield
    down = turbo_hft("lab", "down", *NAME_OPTIONS)
    found = leftovers()
    remove_lab()
    assert down.returncode == 0, down.stderr
    assert found == [] and pins() == before


@pytest.fixture
def exchange(lab: None, tmp_path: Path) -> Iterator[Path]:
    """A running exchange; the path of its log."""
    log = tmp_path / "exchange.log"
    talk = tmp_path / "exchange.talk"
    words = [*EXCHANGE, "--log", str(log), "--summary", str(tmp_path / "summary.json")]
    with running(*words, out=tmp_path / "exchange.out", talk=talk):
        eventually(lambda: "exchange ready" in talk.read_text(), "the exchange is ready")
        yield log


@pytest.fixture
def engine(exchange: Path, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A running engine without any target, its events as JSON lines in a file."""
    words = ["run", *ON, *SESSION, "--symbol", "AAPL:max_long=100000", "--json"]
    with running(*words, out=tmp_path / "events", talk=tmp_path / "talk") as process:
        eventually(lambda: "trading AAPL" in (tmp_path / "talk").read_text(), "the engine is up")
        yield process


def status() -> Any:
    return turbo_hft_json("status", *ON)


def orders() -> int:
    return int(status()["totals"]["orders"])


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_set_halt_resume_status(engine: subprocess.Popen[bytes], exchange: Path, tmp_path: Path) -> None:
    eventually(lambda: status()["messages"] > 200, "ticks flow")
    assert orders() == 0, "traded without a target"

    change = turbo_hft_json("set", "AAPL", "buy_below=200", "base_qty=10", *ON)
    assert change["buy_below"] == "200.00"
    eventually(lambda: orders() > 3, "a target that was set trades")

    halted = turbo_hft_json("halt", *ON)
    stored_ns = time.monotonic_ns()
    assert halted["state"] == "halted"
    first = status()
    time.sleep(0.5)
    second = status()
    assert second["totals"]["orders"] == first["totals"]["orders"], "an order left after the halt"
    assert second["messages"] > first["messages"] + 100, "no ticks: the test shows nothing"
    assert second["refusals"]["halted_global"] > first["refusals"].get("halted_global", 0)
    late = [line for line in lines(exchange) if line["kind"] == "order" and line["arrival_ns"] > stored_ns]
    assert late == [], "the exchange saw an order after the halt"

    assert turbo_hft_json("resume", *ON)["state"] == "active"
    eventually(lambda: orders() > int(second["totals"]["orders"]), "it trades again")
    resumed_seqs = [line["feed_seq"] for line in lines(exchange) if line["kind"] == "order"]
    assert max(resumed_seqs) > second["feeds"][0]["expected_seq"]

    assert turbo_hft_json("halt", "AAPL", *ON)["symbols"] == {"AAPL": "halted"}
    stopped = orders()
    time.sleep(0.3)
    assert orders() == stopped
    assert status()["symbols"][0]["state"] == "halted"
    assert turbo_hft("resume", "AAPL", *ON).returncode == 0
    eventually(lambda: orders() > stopped, "the symbol trades again")

    assert turbo_hft("set", "AAPL", "buy_below=off", *ON).returncode == 0
    watched = turbo_hft("dashboard", *ON, "--json", "--duration", "1.7")
    assert watched.returncode == 0, watched.stderr
    snapshots = [json.loads(line) for line in watched.stdout.splitlines()]
    assert len(snapshots) >= 2
    assert snapshots[-1]["messages"] > snapshots[0]["messages"]
    plain = turbo_hft("dashboard", *ON, "--duration", "0.5")
    assert plain.returncode == 0 and f"{A.device} TRADING" in plain.stdout

    engine.send_signal(signal.SIGINT)
    assert engine.wait(20) == 130
    assert turbo_hft("status", *ON).returncode == 3, "the program is still on the interface"
    events = lines(tmp_path / "events")
    assert [event["id"] for event in events] == list(range(1, len(events) + 1)), "an event is missing"
    ordered = [event for event in events if event["kind"] == "order"]
    assert len(ordered) == len([line for line in lines(exchange) if line["kind"] == "order"])
    # Every order carries the epoch it was decided under: none is older than the change that set the target,
    # none was decided between halt and resume.
    assert min(event["epoch"] for event in ordered) >= change["epoch"]
    assert not [event for event in ordered if event["epoch"] == halted["epoch"]]


def test_second_engine_is_refused_and_the_first_goes_on(engine: subprocess.Popen[bytes]) -> None:
    second = turbo_hft("run", *ON, *SESSION, "--duration", "1")
    assert second.returncode == 1
    assert len(second.stderr.splitlines()) == 1 and A.device in second.stderr
    before = status()["messages"]
    eventually(lambda: status()["messages"] > before, "the first engine goes on")
    assert engine.poll() is None


def test_run_ends_with_the_exchange(lab: None, tmp_path: Path) -> None:
    talk = tmp_path / "exchange.talk"
    words = [*EXCHANGE[:-1], "1.5", "--summary", str(tmp_path / "summary.json")]
    with running(*words, out=tmp_path / "exchange.out", talk=talk) as exchange:
        eventually(lambda: "exchange ready" in talk.read_text(), "the exchange is ready")
        done = turbo_hft("run", *ON, *SESSION, "--symbol", "AAPL:buy_below=163.30,sell_above=163.31")
        assert exchange.wait(10) == 0
    assert done.returncode == 0, done.stderr
    assert "the exchange ended feed and session" in done.stderr and "LOST" not in done.stderr
    sent = json.loads((tmp_path / "summary.json").read_text())["accounts"][USERNAME]["AAPL"]["orders"]
    assert sent > 0
    assert len([line for line in done.stdout.splitlines() if " order " in line]) == sent


def test_run_without_exchange_fails_and_leaves_the_interface(lab: None) -> None:
    done = turbo_hft("run", *ON, *SESSION, "--login-timeout", "0.5")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1 and "is the exchange up?" in done.stderr
    assert turbo_hft("status", *ON).returncode == 3


def test_wrong_password_is_named(exchange: Path) -> None:
    words = [word.replace(PASSWORD, "WRONG") for word in SESSION]
    done = turbo_hft("run", *ON, *words)
    assert done.returncode == 1 and "rejected" in done.stderr


def test_a_program_that_ip_link_loaded_is_found_and_configured(exchange: Path, tmp_path: Path) -> None:
    if not OBJECT.exists():
        pytest.skip("build/xdp_hft.bpf.o is made by `make`; an installed package has no such file")
    with ExitStack() as stack:
        # iproute2 mounts a BPF file system for itself; in a mount namespace of its own that mount ends with it.
        load = ["unshare", "--mount", "ip", "link", "set", "dev", A.device, "xdpgeneric", "obj", str(OBJECT)]
        subprocess.run([*load, "sec", "xdp"], check=True)
        stack.callback(subprocess.run, ["ip", "link", "set", "dev", A.device, "xdpgeneric", "off"], check=True)
        refused = turbo_hft("dashboard", *ON, *SESSION, "--transport", "soupbintcp")
        assert refused.returncode == 2 and "was loaded for ufo" in refused.stderr
        assert not status()["configured"] and not status()["symbols"]
        words = ["dashboard", *ON, *SESSION, "--symbol", "AAPL:buy_below=200,base_qty=10", "--json", "--duration", "3"]
        done = turbo_hft(*words)
        assert done.returncode == 0, done.stderr
        last = json.loads(done.stdout.splitlines()[-1])
        assert last["configured"] and last["totals"]["fills"] > 0
        assert last["event_counts"]["executed"] == last["totals"]["fills"]
        # Nobody looks after the session any more: it must not trade on.
        assert status()["state"] == "halted"


def test_a_program_that_was_loaded_for_tcp_is_configured_for_tcp(exchange: Path) -> None:
    with Engine.open(A.device, transport="soupbintcp") as loaded:
        loaded.attach()
        session = [word.replace(f":{A.engine_port}", ":0") for word in SESSION]
        words = ["dashboard", *ON, *session, "--symbol", "AAPL:buy_below=200,base_qty=10", "--json", "--duration", "3"]
        done = turbo_hft(*words)
        assert done.returncode == 0, done.stderr
        last = json.loads(done.stdout.splitlines()[-1])
        assert last["configured"] and last["totals"]["fills"] > 0
        after = status()
        assert after["state"] == "halted"
    taken = [line for line in lines(exchange) if line["kind"] == "order"]
    assert len(taken) == after["totals"]["orders"] and {line["transport"] for line in taken} == {"soupbintcp"}
    assert [line["reason"] for line in lines(exchange) if line["kind"] == "disconnected"] == ["logouts"]
