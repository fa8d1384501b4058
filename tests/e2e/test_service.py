"""The service as it is deployed: its own command line, as an ordinary user with the unit's capabilities and under its
restrictions. Who may read and who may trade, killed and taken over, and which capability is missed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import service_rig
from e2e.helpers import eventually
from e2e_rig import rig
from pin_rig import bpffs, pinned
from service_rig import GROUPS, READER, STRANGER, TRADER, UNIT, Service
from turbo_hft.config.read import read
from turbo_hft.control import requests as ask
from turbo_hft.control.client import ControlClient
from turbo_hft.engine import Engine
from turbo_hft.journal.reader import JournalReader, Note
from turbo_hft.layout import ControlLayout

from tools.face_client import FaceClient

pytestmark = [pytest.mark.e2e, pytest.mark.kernel, pytest.mark.timeout(120)]

READ, TRADE = GROUPS["turbo-hft-read"], GROUPS["turbo-hft-trade"]
TOKENS = {"trade": "trade-token-" + "t" * 32, "read": "read-token-" + "r" * 32}
MOST_EXPOSURE = 25  # tenths, as systemd-analyze has it; "OK" reaches to 4.9
CAPABILITY_SETS = ("CapInh", "CapPrm", "CapEff", "CapAmb")


@pytest.fixture
def service() -> Iterator[Service]:
    if not service_rig.interpreter():
        pytest.skip("an ordinary user has no Python here that can use this checkout")
    with tempfile.TemporaryDirectory(prefix="turbo_hft_service_") as name:  # tmp_path lets only us in
        folder = Path(name)
        folder.chmod(0o755)
        with bpffs(folder) as root, rig(folder, 71) as raised:
            (folder / "bpf").chmod(0o755)
            made = Service(raised, folder, root)
            made.prepare()
            yield made


def test_an_ordinary_user_trades_and_others_do_what_they_may(service: Service) -> None:
    service.rig.start_exchange("--symbols", "AAPL=163.20", "--rate", "500", "--wait-for-login", "--duration", "100")
    with service.running(0) as process:
        trades(service, 0)
        assert_powerless(process.pid)
        who_may_do_what(service, process.pid)
        faces_of_ordinary_users(service)
        a_crowd_of_readers_stops_no_order(service)
        process.kill()
        process.wait()
    with service.running(1) as process:
        trades(service, 1)
        assert "taken over" in service.talk(1)
        assert_powerless(process.pid)
    assert process.returncode == 130, service.talk(1)
    assert pinned(service.pins) == [] and list((service.run / service.interface).iterdir()) == []
    notes = [one for one in JournalReader(service.state / "journal") if isinstance(one, Note)]
    changes = [note.data for note in notes if note.kind == "change"]
    mine = [by for change in changes for by in change.get("by", []) if by["uid"] == TRADER]
    assert mine and all("control socket" in by["by_way_of"] and by["pid"] != process.pid for by in mine)
    assert ["tighter"] in [change.get("why") for change in changes]


def trades(service: Service, number: int) -> None:
    try:
        eventually(lambda: service.orders(number) > 2, "it trades", 20)
    except AssertionError as late:
        out = (service.folder / f"out{number}").read_text(encoding="utf-8").splitlines()
        with Engine.adopt(service.interface, pin=service.pins) as engine:
            how = state_of(engine)
        raise AssertionError(f"{late}\n{service.talk(number)[-3000:]}\n{how}\n" + "\n".join(out[-5:])) from None


def state_of(engine: Engine) -> str:
    """For a failed test: why it may not trade."""
    refused = {reason: count for reason, count in engine.refusals().items() if count}
    return f"{engine.state} {refused} {engine.feed} {engine.session} {engine.symbols['AAPL'].snapshot()}"


def assert_powerless(pid: int) -> None:
    """Every thread of it has given up all it had."""
    threads = list(Path(f"/proc/{pid}/task").iterdir())
    assert len(threads) > 3
    for thread in threads:
        status = dict(re.findall(r"^(\w+):\s*(.*)$", (thread / "status").read_text(), re.MULTILINE))
        assert status["Uid"].split() == [str(service_rig.ENGINE)] * 4
        assert [int(status[name], 16) for name in CAPABILITY_SETS] == [0, 0, 0, 0], status
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


def who_may_do_what(service: Service, pid: int) -> None:
    reading, trading = ["status", "--json"], ["set", "AAPL", "base_qty=2", "--because", "tighter"]
    stopping = ["halt", "--cancel", "--json"]
    watching = ["dashboard", "--json", "--duration", "0.5"]
    status, watched, setting, halting = service.person(READER, [READ], reading, watching, trading, stopping)
    assert status["code"] == 0, status
    assert json.loads(status["out"])["program"]["controller"] == pid
    assert watched["code"] == 0, watched
    view = json.loads(watched["out"].splitlines()[0])
    assert (view["state"], view["symbols"][0]["name"]) == ("active", "AAPL") and view["recorder"]["recorded"] > 0
    for refused in (setting, halting):
        assert refused["code"] == 1 and f"is not in group {TRADE}" in refused["err"], refused

    status, setting, halting, resuming = service.person(TRADER, [TRADE], reading, trading, stopping, ["resume"])
    assert json.loads(status["out"])["state"] == "active"
    assert setting["code"] == 0 and "base_qty=2" in setting["out"], setting
    after = json.loads(halting["out"])
    assert halting["code"] == 0 and after["state"] == "halted" and after["left"] == [], halting
    assert resuming["code"] == 0, resuming

    for refused in service.person(STRANGER, [], reading, trading):
        assert refused["code"] == 1 and "is not in group" in refused["err"], refused
    with Engine.adopt(service.interface, pin=service.pins) as engine:
        assert engine.symbols["AAPL"].base_qty == 2 and engine.state == "active"


def faces_of_ordinary_users(service: Service) -> None:
    """`serve` has pictures with events, metrics and a kill switch by the socket, as far as its user may."""
    with ExitStack() as stack:
        urls = [
            stack.enter_context(service.serving(READER, [READ], TOKENS)),
            stack.enter_context(service.serving(TRADER, [TRADE], TOKENS)),
        ]
        looking, trading = (FaceClient(url(), TOKENS["trade"]) for url in urls)
        for client in (looking, trading):
            picture = next(each for each in client.pictures("AAPL") if each.get("events"))
            assert picture["reads_events"] and picture["watched.symbol"]["name"] == "AAPL", picture
            text = client.scrape(TOKENS["read"])
            assert "turbo_hft_up 1.0\n" in text and 'turbo_hft_symbol_orders_total{symbol="AAPL"}' in text
        assert (looking.about["role"], looking.about["may_trade"], trading.about["may_trade"]) == ("trade", False, True)
        code, refused = looking.act("halt")
        assert code == 403 and "only look" in refused["error"], refused
        with Engine.adopt(service.interface, pin=service.pins) as engine:
            assert not engine.halted and trading.act("halt")[0] == 200
            assert engine.state == "halted"
            done = trading.act("change", confirm=True, symbol="AAPL", settings=["base_qty=3"])
            assert done[0] == 200 and engine.symbols["AAPL"].base_qty == 3, done
            assert trading.act("change", confirm=True, symbol="AAPL", settings=["base_qty=2"])[0] == 200
            assert trading.act("resume", confirm=True)[1]["done"] == "resume"
    with Engine.adopt(service.interface, pin=service.pins) as engine:
        assert engine.state == "active"


CROWD = """
import socket, sys, threading, time
path, end = sys.argv[1], time.monotonic() + 2
lines = [b'{"v":1,"do":"view","watch":"AAPL"}\\n', b'{"v":1,"do":"status"}\\n', b'nonsense\\n', b'\\n', b'x' * 60000]
lines += [b'{"v":1,"do":"subscribe"}\\n']
def one(line):
    while time.monotonic() < end:
        try:
            with socket.socket(socket.AF_UNIX) as way:
                way.settimeout(0.2)
                way.connect(path)
                while time.monotonic() < end:
                    way.send(line)
                    if b"view" in line:
                        way.recv(1 << 20)
        except OSError:
            pass
threads = [threading.Thread(target=one, args=(line,)) for line in lines * 3]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""


def a_crowd_of_readers_stops_no_order(service: Service) -> None:
    """Whatever a reader sends, and does not fetch, the engine's process renews its lease, and a trader is answered."""
    path = str(service.run / service.interface / "read.sock")
    crowd = service_rig.as_user(READER, [READ], [], service_rig.interpreter(), "-c", CROWD, path)
    with Engine.adopt(service.interface, pin=service.pins) as engine:
        before, left = engine.session.orders_sent, [engine.lease.left_s]
        process = subprocess.Popen(crowd, env=service_rig.environment(), cwd="/")
        with ControlClient(ControlLayout(service.run, service.interface), "trade") as trader:
            answers = []
            while process.poll() is None:
                began = time.monotonic()
                trader.ask(ask.Resume(symbol="AAPL"))
                answers.append(time.monotonic() - began)
                for _ in range(10):
                    left.append(engine.lease.left_s)
                    time.sleep(0.005)
        assert process.returncode == 0
        print(f"lease left at least {min(left):.3f} s; a trader was answered after {max(answers):.3f} s at most")
        assert min(left) > 0 and not engine.refusals()["lease"]
        assert engine.session.orders_sent > before, state_of(engine)


def test_what_is_missing_is_named(service: Service) -> None:
    every = service.capabilities
    for number, missing in enumerate(every):  # one after the other: an interface takes one start at a time
        service.capabilities = [name for name in every if name != missing]
        with service.running(number) as process:
            assert process.wait(60) == 1, service.talk(number)
        assert missing in service.talk(number), service.talk(number)
        assert not [name for name in every if name != missing and f"lacks {name}" in service.talk(number)]
    assert pinned(service.pins) == []


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, check=False)


def test_systemd_takes_the_unit_and_it_leaves_little_open(tmp_path: Path) -> None:
    copy = tmp_path / "turbo-hft@eth1.service"
    text = UNIT.read_text(encoding="utf-8").replace("/usr/bin/turbo-hft", "/bin/true")
    copy.write_text(text.replace("Documentation=man:turbo-hft(1)", "Documentation=man:true(1)"), encoding="utf-8")
    verified = analyze("verify", "--man=no", str(copy))
    assert verified.returncode == 0 and copy.name not in verified.stderr, verified.stderr
    rated = analyze("security", "--offline=true", "--no-pager", f"--threshold={MOST_EXPOSURE}", str(UNIT))
    print(rated.stdout.strip().splitlines()[-1])
    assert rated.returncode == 0, rated.stdout[-2000:] + rated.stderr


def test_the_example_is_right(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("SECRET\n")
    text = (service_rig.DEPLOY / "engine.toml").read_text(encoding="utf-8")
    example = tmp_path / "eth1.toml"
    example.write_text(text.replace("/etc/turbo-hft/eth1.password", str(tmp_path / "password")), encoding="utf-8")
    config = read(example)
    assert config.engine.pin and config.control.socket
    assert str(config.journal.directory).startswith(
        f"/var/lib/{service_rig.unit()['StateDirectory'][0]}".replace("%i", "eth1")
    )
