"""`turbo-hft serve`: where it listens, what it refuses, and the engine that comes and goes."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path
from typing import Any, cast

import pytest
from turbo_hft.cli import main, serve
from turbo_hft.cli.entry import build_parser
from turbo_hft.control.reach import Reached
from turbo_hft.dashboard.interface_desk import InterfaceDesk
from turbo_hft.dashboard.kept_desk import KeptDesk
from turbo_hft.dashboard.local_desk import LocalDesk
from turbo_hft.dashboard.web.auth import Tokens
from turbo_hft.dashboard.web.server import WebFace
from turbo_hft.dashboard.web.serving import Tls, WebServer, bind, exposure
from turbo_hft.engine import Engine
from turbo_hft.errors import ConfigError, NotRunning
from unit.fakes import FakeEngine
from unit.web_rig import READ, TRADE, engine

# The engine that comes and goes


class Interface:
    """What runs there; each program that is put on it is a new engine."""

    def __init__(self) -> None:
        self.program: int | None = None
        self.engines: list[FakeEngine] = []

    def start(self) -> None:
        self.program = (self.program or 0) + 1 + len(self.engines)

    def end(self) -> None:
        self.program = None

    def running(self, name: str) -> int:
        if self.program is None:
            raise NotRunning(f"no engine runs on {name}")
        return self.program

    def desk(self, *, may_trade: bool = True) -> InterfaceDesk:
        def reach() -> Reached:
            self.engines.append(engine())
            made = cast(Engine, self.engines[-1])
            return Reached(made, KeptDesk(LocalDesk(made, may_trade=may_trade), lambda: None))

        return InterfaceDesk("veth_hft", reach, may_trade=may_trade, running=self.running)


def test_without_an_engine_everything_says_so() -> None:
    desk = Interface().desk()
    acts = (desk.halt, desk.halt_and_cancel, desk.reduce, desk.resume, lambda: desk.change("a=1"))
    for act in (desk.view, desk.metrics, *acts):
        with pytest.raises(NotRunning, match="no engine runs on veth_hft"):
            act()


def test_what_a_person_does_reaches_the_engine_that_runs_now() -> None:
    interface = Interface()
    desk = interface.desk()
    interface.start()
    for _ in range(2):
        assert desk.view().state == "active"
    assert len(interface.engines) == 1
    interface.start()
    desk.halt()
    assert [each.state for each in interface.engines] == ["active", "halted"]
    assert [each.closed for each in interface.engines] == [True, False]
    interface.end()
    with pytest.raises(NotRunning):
        desk.view()
    assert [each.closed for each in interface.engines] == [True, True]


def test_maps_that_are_being_read_are_not_closed() -> None:
    interface = Interface()
    desk = interface.desk()
    interface.start()

    def closed() -> list[bool]:
        return [each.closed for each in interface.engines]

    desk.view()
    counted = interface.engines[0].counters

    def meanwhile() -> dict[str, int]:
        interface.start()
        desk.view()
        assert closed() == [False, False]
        return counted()

    interface.engines[0].counters = meanwhile  # type: ignore[method-assign]
    assert desk.metrics()["turbo_hft_frames_total"]
    assert closed() == [True, False]
    desk.close()
    assert closed() == [True, True]


def test_halting_does_not_wait_for_a_picture() -> None:
    interface = Interface()
    desk = interface.desk()
    interface.start()
    desk.view()
    held, reading = threading.Event(), threading.Event()

    def hang() -> dict[str, int]:
        reading.set()
        held.wait(20)
        return {}

    interface.engines[0].counters = hang  # type: ignore[method-assign]
    desk.reduce()  # the next picture is a new one
    watcher = threading.Thread(target=desk.view)
    watcher.start()
    assert reading.wait(10)
    try:
        desk.halt()
        assert interface.engines[0].state == "halted" and watcher.is_alive()
    finally:
        held.set()
        watcher.join()


def test_a_desk_to_look_only_refuses() -> None:
    interface = Interface()
    desk = interface.desk(may_trade=False)
    interface.start()
    assert desk.view().state == "active" and not desk.may_trade
    with pytest.raises(ConfigError, match="only look"):
        desk.halt()


# Where it listens


def test_binding_says_where_it_is_asked_for() -> None:
    bound = bind("127.0.0.1", 0, tls=None, names=["desk.example"])
    with bound.socket:
        port = bound.socket.getsockname()[1]
        assert bound.url == f"http://127.0.0.1:{port}/"
        assert bound.place.hosts == {f"{name}:{port}" for name in ("127.0.0.1", "localhost", "desk.example")}
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1 port {port}"):
            bind("127.0.0.1", port, tls=None)
    with pytest.raises(ConfigError, match="no address"):
        bind("somewhere", 0, tls=None)


def test_other_machines_reach_it_only_if_that_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--bind", "0.0.0.0", "--port", "0"]) == 2
    assert "whoever has the token trades from there" in capsys.readouterr().err
    assert exposure("127.0.0.1", None) is None and exposure("::1", None) is None
    assert "WITHOUT TLS" in str(exposure("0.0.0.0", None))
    assert "WITHOUT TLS" not in str(exposure("10.0.0.1", Tls("a", "b")))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--tls-cert", "x"], "belong together"),
        (["--tls-cert", "/nowhere/x", "--tls-key", "/nowhere/y"], "cannot read /nowhere/x"),
        (["--tls-cert", __file__, "--tls-key", __file__], "no certificate"),
        (["--token-file", "/nowhere/token"], "cannot read the token file /nowhere/token"),
        (["--token-file", __file__], "chmod 0600"),
        (["--metrics-token-file", __file__], "chmod 0600"),
        (["--port", "70000"], "1 to 65535"),
        (["--metrics-symbols", "0"], "1 or more"),
        (["--bind", "here"], "here"),
    ],
)
def test_what_cannot_be_is_named(words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path(__file__).chmod(0o644)
    assert main(["serve", "--port", "0", *words]) in (1, 2)
    assert says in capsys.readouterr().err


# On a socket


@pytest.fixture
def certificate(tmp_path: Path) -> Tls:
    words = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=localhost"]
    words += ["-days", "2", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    tls = Tls(str(tmp_path / "cert.pem"), str(tmp_path / "key.pem"))
    made = subprocess.run(
        ["openssl", "req", *words, "-keyout", tls.key, "-out", tls.certificate], check=False, capture_output=True
    )
    assert made.returncode == 0, made.stderr
    tls.check()
    return tls


def served(tls: Tls | None = None) -> tuple[WebServer, str, FakeEngine]:
    bound = bind("127.0.0.1", 0, tls=tls)
    fake = engine()
    desk = LocalDesk(cast(Engine, fake))
    face = WebFace(desk, Tokens(TRADE, READ), bound.place)
    return WebServer(face, bound, tls), bound.url, fake


def test_over_tls(certificate: Tls) -> None:
    server, url, _ = served(certificate)
    trusting = ssl.create_default_context(cafile=certificate.certificate)
    with server:
        asked = urllib.request.Request(f"{url}metrics", headers={"authorization": f"Bearer {READ}"})
        with urllib.request.urlopen(asked, context=trusting, timeout=10) as answer:
            assert b"turbo_hft_up 1.0" in answer.read()
    assert not server.running


def log_in(url: str) -> tuple[str, str, str]:
    """Host with port, the session's cookie and its CSRF token."""
    origin = url.rstrip("/")
    data = f'{{"token": "{TRADE}"}}'.encode()
    headers = {"origin": origin, "content-type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"{url}login", data, headers), timeout=10) as answer:
        cookie = answer.headers["set-cookie"].partition(";")[0]
        return origin.removeprefix("http://"), cookie, json.load(answer)["csrf"]


def test_streams_end_with_the_server_and_with_their_client() -> None:
    server, url, fake = served()
    with server:
        host, cookie, csrf = log_in(url)
        streams = []
        for _ in range(5):
            stream = socket.create_connection((host.partition(":")[0], int(host.partition(":")[2])), 10)
            stream.sendall(f"GET /api/stream?csrf={csrf} HTTP/1.1\r\nhost: {host}\r\ncookie: {cookie}\r\n\r\n".encode())
            assert b"200 OK" in stream.recv(100)
            streams.append(stream)
        counts = server._face.counts
        assert counts.clients == 5
        # One that takes nothing is no more work than one that does: what it has not taken is not kept for it.
        for stream in streams[1:]:
            stream.close()
        _eventually(lambda: counts.clients == 1)
    with streams[0]:
        streams[0].settimeout(10)
        data = b""
        while chunk := streams[0].recv(65_536):
            data += chunk
    assert data.endswith(b"event: end\ndata: {}\n\n\r\n0\r\n\r\n")
    assert not server.running and fake.state == "active"


def _eventually(condition: Any) -> None:
    import time

    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def parsed(*words: str) -> Any:
    return build_parser().parse_args(["serve", *words])


def token_files(directory: Path) -> list[str]:
    for name, token in (("trade", TRADE), ("read", READ)):
        (directory / name).write_text(token)
        (directory / name).chmod(0o600)
    return ["--token-file", str(directory / "trade"), "--read-token-file", str(directory / "read")]


def test_tokens_are_made_or_given_and_only_made_ones_are_told(tmp_path: Path) -> None:
    tokens, made = serve._tokens(parsed())
    assert [what for what, _ in made] == ["to trade", "to look only"]
    assert [tokens.role(token) for _, token in made] == ["trade", "read"]
    assert [what for what, _ in serve._tokens(parsed("--read-only"))[1]] == ["to look only"]
    tokens, made = serve._tokens(parsed(*token_files(tmp_path)))
    assert made == [] and (tokens.role(TRADE), tokens.role(READ)) == ("trade", "read")


def test_it_serves_without_an_engine_until_it_is_told_to_stop(tmp_path: Path) -> None:
    words = ["serve", "--port", "0", "--interface", "lo", *token_files(tmp_path)]
    process = subprocess.Popen([sys.executable, "-m", "turbo_hft.cli", *words], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    lines = [process.stderr.readline() for _ in range(2)]
    process.terminate()
    lines += process.stderr.read().splitlines()
    process.stderr.close()
    assert process.wait(20) == 130
    assert lines[0].startswith("no picture yet: no engine") and "lo" in lines[0], lines
    assert lines[1].startswith("serving the engine on lo at http://127.0.0.1:")
    assert not any(token in line for line in lines for token in (TRADE, READ, "#token="))
