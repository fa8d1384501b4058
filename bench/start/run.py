"""How long an engine takes: from nothing to its first decision, and from a killed process to trading again.

A lab of its own with the exchange simulator, `turbo-hft run --config` with pins and a journal as one would run it.
*Cold*: the time from the start of the process to the program on the interface, to the login, to the first decision (the
hook's own time stamp). *Taken over*: the process is killed with SIGKILL while it trades, and started again: to the
engine in its hands, to trading, to the first order. Beside that what it is made of (imports of Python, the load of the
program, most of which is the verifier's), and the memory of the control process.

BCC compiles where it runs; this engine cannot be compiled by it (global data, BTF-defined maps, CO-RE, two thousand
lines of headers). What stands beside is BCC with a program of ten lines: the floor of that way, not this engine's time.

    python -m bench.start.run --times 10
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from turbo_hft.cli.signals import Interrupted, StopFlag
from turbo_hft.demo.exchange_process import ExchangeProcess, child_environment, die_with_parent
from turbo_hft.engine import Engine
from turbo_hft.errors import ExchangeError, NotRunning, TurboHftError
from turbo_hft.lab import Lab, LabAddresses
from turbo_hft.latency.machine import cpu_model
from turbo_hft.program import query

from tools.crash_test import Mount, configuration

_TAG = os.getpid()
LAB = (f"start_{_TAG}", f"st{_TAG}a", f"st{_TAG}b", f"10.85.{_TAG % 250}.0/24")
NAMES = ("AAPL", "MSFT")
_STEP_S = 0.001
_PATIENCE_S = 30.0
_LOADS = 5
_IMPORTS = (
    "import turbo_hft.cli.run, turbo_hft.config.read, turbo_hft.config.running, turbo_hft.engine, "
    "turbo_hft.journal.recorder, turbo_hft.order_entry"
)
_SYSTEM_PYTHON = "/usr/bin/python3"


@dataclass(slots=True)
class Report:
    """Seconds, one of each time. `memory_kb`: of the control process by kind of mapping, PSS."""

    machine: str
    attached_s: list[float] = field(default_factory=list)
    logged_in_s: list[float] = field(default_factory=list)
    decided_s: list[float] = field(default_factory=list)
    adopted_s: list[float] = field(default_factory=list)
    trading_s: list[float] = field(default_factory=list)
    order_s: list[float] = field(default_factory=list)
    python_s: list[float] = field(default_factory=list)
    imports_s: list[float] = field(default_factory=list)
    load_s: list[float] = field(default_factory=list)
    rss_kb: int = 0
    pss_kb: int = 0
    memory_kb: dict[str, int] = field(default_factory=dict)
    bcc: dict[str, float] = field(default_factory=dict)
    bcc_skipped: str = ""

    def text(self) -> str:
        """For people."""
        lines = [self.machine]
        for what, times in (
            ("cold: program on the interface", self.attached_s),
            ("cold: logged in", self.logged_in_s),
            ("cold: first decision", self.decided_s),
            ("killed: in new hands", self.adopted_s),
            ("killed: trading", self.trading_s),
            ("killed: first order", self.order_s),
            ("of that: Python itself", self.python_s),
            ("of that: imports", self.imports_s),
            ("of cold: load of program and maps", self.load_s),
        ):
            lines.append(f"{what:<36} median {statistics.median(times):6.3f} s, max {max(times):6.3f} s ({len(times)})")
        kinds = ", ".join(f"{kind} {kb / 1024:.1f}" for kind, kb in self.memory_kb.items())
        lines.append(f"memory of the control process: PSS {self.pss_kb / 1024:.1f} MB, RSS {self.rss_kb / 1024:.1f} MB")
        lines.append(f"  PSS by mapping, MB: {kinds}")
        if self.bcc_skipped:
            lines.append(f"BCC: not measured: {self.bcc_skipped}")
        else:
            parts = ", ".join(f"{name.removesuffix('_s')} {value:.3f} s" for name, value in self.bcc.items())
            lines.append(f"BCC, an XDP program of ten lines (not this engine): {parts}")
        return "\n".join(lines)


class Bench:
    """One run. Raises Interrupted, TurboHftError."""

    def __init__(self, times: int, stop: StopFlag) -> None:
        self.times, self.stop = times, stop
        self.report = Report(cpu_model())
        self.process: subprocess.Popen[bytes] | None = None

    def run(self) -> Report:
        """All of it."""
        self._parts()
        with ExitStack() as stack:
            self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="turbo-hft-start-")))
            self.root = stack.enter_context(Mount(self.folder / "bpf"))
            self.a = LabAddresses.of(*LAB)
            stack.enter_context(Lab(*LAB))
            self.file = self.folder / "engine.toml"
            stack.callback(self._end)
            for number in range(self.times):
                self.file.write_text(self._configuration(number))
                with self._exchange(number) as exchange:
                    exchange.wait_ready(self.stop.wait)
                    self._cold()
                    self._taken_over()
                    self._end()
        return self.report

    # What it is made of

    def _parts(self) -> None:
        for _ in range(self.times):
            self.stop.check()
            self.report.python_s.append(_timed([sys.executable, "-c", "pass"]))
            self.report.imports_s.append(_timed([sys.executable, "-c", _IMPORTS]) - self.report.python_s[-1])
        for _ in range(min(self.times, _LOADS)):
            began = time.monotonic()
            with Engine.load():
                self.report.load_s.append(time.monotonic() - began)
        self._bcc()

    def _bcc(self) -> None:
        script = Path(__file__).with_name("bcc_program.py")
        if not Path(_SYSTEM_PYTHON).exists():
            self.report.bcc_skipped = f"there is no {_SYSTEM_PYTHON}"
            return
        found = subprocess.run([_SYSTEM_PYTHON, str(script)], capture_output=True, text=True, check=False)
        if found.returncode:
            self.report.bcc_skipped = (found.stderr.strip().splitlines() or ["it said nothing"])[-1]
        else:
            self.report.bcc = json.loads(found.stdout)

    # The engine

    def _configuration(self, number: int) -> str:
        journal = self.folder / f"journal{number}"
        text = configuration(self.a, NAMES, self.root, journal, recovery=False)
        # Whatever is offered is bought or refused: the first tick is a decision.
        return text.replace("[symbols.MSFT]\n", '[symbols.MSFT]\nbuy_below = "199999"\nmax_notional = "1000"\n')

    def _exchange(self, number: int) -> ExchangeProcess:
        a, folder = self.a, self.folder / f"exchange{number}"
        folder.mkdir()
        words = ["--netns", a.namespace, "--bind", a.exchange_address, "--feed", f"{a.feed_group}:{a.feed_port}"]
        words += ["--ouch50", str(a.ouch50_port), "--ouch42", str(a.ouch42_port), "--symbols", ",".join(NAMES)]
        words += ["--rate", "1000", "--wait-for-login", "--duration", "120", "--glimpse-port", "off"]
        return ExchangeProcess(words, folder)

    def _start(self) -> float:
        self.out, self.talk = self.folder / "out", self.folder / "talk"
        began = time.monotonic()
        with self.out.open("wb") as out, self.talk.open("wb") as talk:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "turbo_hft.cli", "run", "--config", str(self.file), "--json"],
                stdin=subprocess.DEVNULL, stdout=out, stderr=talk, env=child_environment(),
                preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509 - no other thread runs
            )  # fmt: skip
        return began

    def _until(self, condition: Callable[[], bool], what: str) -> float:
        end = time.monotonic() + _PATIENCE_S
        while not condition():
            self.stop.check()
            assert self.process is not None
            if self.process.poll() is not None or time.monotonic() > end:
                raise ExchangeError(f"no {what}: {self.talk.read_text().strip()}")
            time.sleep(_STEP_S)
        return time.monotonic()

    def _decision(self, *kinds: str) -> float | None:
        """When the first one was made that this process has printed, by the monotonic clock."""
        for line in self.out.read_text().splitlines():
            with suppress(ValueError):
                event: dict[str, Any] = json.loads(line)
                if event["kind"] in kinds:
                    return float(event["local_ns"]) / 1e9
        return None

    def _attached(self) -> bool:
        try:
            query(self.a.device)
        except NotRunning:
            return False
        return True

    def _cold(self) -> None:
        began, report = self._start(), self.report
        report.attached_s.append(self._until(self._attached, "program on the interface") - began)
        report.logged_in_s.append(self._until(lambda: "trading" in self.talk.read_text(), "login") - began)
        self._until(lambda: self._decision("order", "refused") is not None, "decision")
        decided = self._decision("order", "refused")
        assert decided is not None and self.process is not None
        report.decided_s.append(decided - began)
        time.sleep(0.5)
        self._memory(self.process.pid)

    def _taken_over(self) -> None:
        report = self.report
        assert self.process is not None
        with Engine.adopt(self.a.device, pin=self.root) as engine:
            engine.symbols["AAPL"].quoter.half_spread = "0.01"  # it requotes again and again
            self.process.kill()
            self.process.wait()
            began = self._start()
            process = self.process
            report.adopted_s.append(self._until(lambda: engine.controller == process.pid, "takeover") - began)
            report.trading_s.append(self._until(lambda: engine.state == "active", "trading again") - began)
            orders = engine.counters()["orders"]
            report.order_s.append(self._until(lambda: engine.counters()["orders"] > orders, "order") - began)

    def _memory(self, pid: int) -> None:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        self.report.rss_kb, self.report.pss_kb = _field(rollup, "Rss"), _field(rollup, "Pss")
        self.report.memory_kb = _by_kind(Path(f"/proc/{pid}/smaps").read_text())

    def _end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        with suppress(TurboHftError), Engine.adopt(self.a.device, pin=self.root) as engine:
            engine.detach()


def _timed(command: list[str]) -> float:
    began = time.monotonic()
    subprocess.run(command, check=True, env=child_environment())
    return time.monotonic() - began


def _field(text: str, name: str) -> int:
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name}:")), 0)


def _by_kind(smaps: str) -> dict[str, int]:
    """PSS in kB by what is mapped."""
    found: dict[str, int] = {}
    kind = ""
    for line in smaps.splitlines():
        words = line.split()
        if "-" in words[0] and not words[0].endswith(":"):
            name = words[5] if len(words) > 5 else ""
            if "bpf-map" in name:
                kind = "maps shared with the hook"
            elif name.endswith(".so") or ".so." in name or "/bin/python" in name:
                kind = "program and libraries"
            else:
                kind = "files" if name.startswith("/") else "heap and stacks"
        elif words[0] == "Pss:":
            found[kind] = found.get(kind, 0) + int(words[1])
    return dict(sorted(found.items(), key=lambda pair: -pair[1]))


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="start-bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=10, metavar="N", help="(10)")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    args = parser.parse_args()
    if args.times < 1:
        parser.error("--times: give 1 or more")
    try:
        with StopFlag() as stop:
            report = Bench(args.times, stop).run()
    except Interrupted:
        return 130
    except (TurboHftError, OSError, subprocess.SubprocessError) as error:
        print(f"start-bench: {error}", file=sys.stderr)
        return 1
    print(json.dumps(asdict(report), indent=2) if args.json else report.text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
