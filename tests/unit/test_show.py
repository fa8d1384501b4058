"""A view kept moving: plain lines and JSON where there is no screen, and a terminal that is always given back."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from turbo_hft.dashboard.local_desk import LocalDesk
from turbo_hft.dashboard.show import is_screen, show, show_json
from turbo_hft.dashboard.tty_driver import Tty
from turbo_hft.engine import Engine
from turbo_hft.errors import CapabilityError
from unit.fakes import FakeEngine

_PATIENCE_S = 20.0
CANCEL = b"\x18"
_ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def desk() -> LocalDesk:
    return LocalDesk(cast(Engine, FakeEngine()))


def test_without_a_terminal_there_are_plain_lines(desk: LocalDesk) -> None:
    stream, turns = io.StringIO(), []
    show(desk, 0.1, turn=lambda: turns.append(1), stream=stream)
    assert stream.getvalue().startswith("09:30:00.000 veth_hft TRADING")
    assert "\x1b" not in stream.getvalue() and len(turns) > 1


def test_json_is_a_view_a_line(desk: LocalDesk) -> None:
    stream = io.StringIO()
    show_json(desk, 0.05, stream=stream)
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["state"] == "active"


def test_it_ends_when_told(desk: LocalDesk) -> None:
    stream = io.StringIO()
    show(desk, wait=lambda _: True, stream=stream)
    assert stream.getvalue().count("TRADING") == 1
    show(desk, alive=lambda: False, stream=stream)
    with pytest.raises(ZeroDivisionError):
        show(desk, turn=lambda: 1 // 0, stream=stream)


def test_without_textual_the_extra_is_named(desk: LocalDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("turbo_hft.dashboard.show.is_screen", lambda stream: True)
    monkeypatch.setitem(sys.modules, "textual", None)
    with pytest.raises(CapabilityError, match=r"turbo-hft\[view\]"):
        show(desk, 1)


def test_pipes_and_files_are_no_screen(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as stream:
        assert not is_screen(stream)
    assert not is_screen(io.StringIO()) and not is_screen(stream)


@dataclass
class Child:
    """A process with a face on a pseudo terminal."""

    process: subprocess.Popen[bytes]
    master: int
    slave: int
    before: list[Any]
    said: int
    written: bytes = b""

    def read(self, seconds: float = 0.05) -> None:
        while select.select([self.master], [], [], seconds)[0]:
            self.written += os.read(self.master, 1 << 16)

    def until(self, true: Callable[[], bool]) -> None:
        end = time.monotonic() + _PATIENCE_S
        while not true():
            assert time.monotonic() < end, self.written[-2000:]
            self.read()

    def key(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def ended(self) -> str:
        """Wait for its end; what it said."""
        self.until(lambda: self.process.poll() is not None)
        self.read()
        return os.read(self.said, 4096).decode()

    def given_back(self, times: int = 1) -> bool:
        """Are modes, screen and cursor as they were?"""
        screens = self.written.count(b"\x1b[?1049h"), self.written.count(b"\x1b[?1049l")
        cursor = self.written.rfind(b"\x1b[?25h") > self.written.rfind(b"\x1b[?25l")
        return termios.tcgetattr(self.slave) == self.before and screens == (times, times) and cursor


@contextmanager
def child(what: str = "", **environment: str) -> Iterator[Child]:
    master, slave = pty.openpty()
    said, say = os.pipe()
    try:
        termios.tcsetwinsize(slave, (24, 80))
        env = {**os.environ, "PYTHONPATH": f"{_ROOT}/python:{_ROOT}/tests", "TERM": "xterm", "PYTHONUTF8": "1"}
        env.pop("NO_COLOR", None)
        process = subprocess.Popen(
            [sys.executable, "-m", "unit.face_process", what, str(say)],
            stdin=slave, stdout=slave, stderr=slave, pass_fds=(say,), start_new_session=True, env=env | environment,
        )  # fmt: skip
        os.close(say)
        before = termios.tcgetattr(slave)
        try:
            yield Child(process, master, slave, before, said)
        finally:
            process.kill()
            process.wait()
    finally:
        for fd in (master, slave, said):
            os.close(fd)


def begun(face: Child) -> None:
    face.until(lambda: b"TRADING" in face.written and b"MSFT" in face.written)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_gives_the_terminal_back(number: signal.Signals) -> None:
    with child() as face:
        begun(face)
        assert termios.tcgetattr(face.slave) != face.before
        face.process.send_signal(number)
        assert f"active signal {int(number)} " in face.ended()
        assert face.given_back()


def test_one_that_is_stopped_leaves_the_shell_its_terminal() -> None:
    """As with Ctrl-Z and `fg`: the terminal is the shell's meanwhile, and the picture comes back."""
    with child() as face:
        begun(face)
        drawn = termios.tcgetattr(face.slave)
        face.process.send_signal(signal.SIGTSTP)
        face.until(lambda: _state(face.process.pid) == "T" and termios.tcgetattr(face.slave) == face.before)
        face.until(lambda: face.written.count(b"\x1b[?1049l") == 1)
        assert face.written.rfind(b"\x1b[?25h") > face.written.rfind(b"\x1b[?25l")
        before = len(face.written)
        face.process.send_signal(signal.SIGCONT)
        face.until(lambda: b"TRADING" in face.written[before:])
        assert termios.tcgetattr(face.slave) == drawn and face.written.count(b"\x1b[?1049h") == 2
        face.process.send_signal(signal.SIGTERM)
        assert f"active signal {int(signal.SIGTERM)} " in face.ended()
        assert face.given_back(times=2)


def _state(pid: int) -> str:
    """A letter of ps."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]


def test_keys_halt_and_ctrl_c_is_the_signal() -> None:
    with child() as face:
        begun(face)
        face.key("h")
        face.until(lambda: b"HALTED" in face.written)
        face.key("\x03")
        assert f"halted signal {int(signal.SIGINT)} " in face.ended()
        assert face.given_back()


@pytest.mark.parametrize(("what", "says"), [("raise", "raised: the loop of the engine ended"), ("end", "active")])
def test_an_end_of_any_kind_gives_the_terminal_back(what: str, says: str) -> None:
    with child(what) as face:
        begun(face)
        assert face.ended().startswith(says)
        assert face.given_back()


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "vt100"}])
def test_a_terminal_without_colours_gets_none(environment: dict[str, str]) -> None:
    with child(**environment) as face:
        begun(face)
        face.key("q")
        assert face.ended().strip().endswith(f"colour {environment.get('NO_COLOR')}")
        assert face.given_back()
    graphics = {part for found in re.findall(rb"\x1b\[([0-9;]*)m", face.written) for part in found.split(b";")}
    assert graphics <= {b"", b"0", b"1", b"2", b"4", b"7", b"39", b"49"}, "bold, dim, reverse and the default colours"


def test_a_terminal_with_colours_gets_them() -> None:
    with child() as face:
        begun(face)
        face.key("q")
        face.ended()
    assert re.search(rb"\x1b\[[0-9;]*\b3[1-7]\b", face.written)


@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {"PYTHONUTF8": "0", "LC_ALL": "POSIX"}])
def test_a_terminal_that_can_show_no_picture_gets_plain_lines(environment: dict[str, str]) -> None:
    with child("end", **environment) as face:
        face.ended()
        assert b"veth_hft TRADING" in face.written and b"\x1b" not in face.written


def test_a_terminal_that_hangs_does_not_stop_the_engines_loop() -> None:
    with child("end") as face:
        deadline = time.monotonic() + _PATIENCE_S
        while face.process.poll() is None:  # and nobody reads what it writes
            assert time.monotonic() < deadline
            time.sleep(0.05)
        said = face.ended()
        turns = re.search(r"turns (\d+)", said)
        assert turns is not None and int(turns[1]) > 20, said


def test_a_terminal_that_hung_is_drawn_anew() -> None:
    with child() as face:
        time.sleep(2.5)  # more than it can hold has been written by then
        face.until(lambda: b"q quit" in face.written.partition(CANCEL)[2])
        assert b"AAPL" in face.written.partition(CANCEL)[2]
        face.process.send_signal(signal.SIGTERM)
        face.ended()


def left_out(out: Tty) -> bool:
    return out.lost


def test_what_a_terminal_does_not_take_is_left_out_until_it_is_back() -> None:
    master, slave = pty.openpty()
    tty.setraw(slave)
    try:
        out = Tty(slave)
        assert out.write("a" * 1_000_000) == 1_000_000
        assert left_out(out)
        begun = time.monotonic()
        for _ in range(100):
            out.write("b")
        assert time.monotonic() - begun < 1, "it waits once, not for every line"
        assert not out.back()
        while select.select([master], [], [], 0.05)[0]:
            assert b"b" not in os.read(master, 1 << 16)
        assert out.back()
        assert not left_out(out)
        out.write("c")
        assert os.read(master, 16) == CANCEL + b"c"
    finally:
        os.close(master)
    out.write("nobody is there")  # raises nothing
    out.close()
    os.close(slave)
    assert Tty(slave).write("no terminal at all") > 0


def test_a_terminal_that_goes_away_ends_it() -> None:
    with child() as face:
        begun(face)
        os.close(face.master)
        face.master = os.open(os.devnull, os.O_RDWR)
        face.process.wait(_PATIENCE_S)
        assert f"signal {int(signal.SIGHUP)} " in os.read(face.said, 4096).decode()
