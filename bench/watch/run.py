"""What it costs the hook to be watched: its own time from tick to order frame, with and without each watcher.

Ticks that trigger an order run through the loaded program, attached to a wire of its own on which nothing comes, as
`turbo-hft bench` does inside; the kernel's run-time statistics say how long the program ran for each. A watcher is a
command that runs beside it, on another CPU. It is stopped (SIGSTOP) and let go on in turns, many times, so that what
drifts on the machine meets both alike; in between the event ring holds what nobody reads.

    python -m bench.watch.run                            recorder, dashboard (lines, terminal), web face
    python -m bench.watch.run --watch 'mine=turbo-hft status --interface {interface} --pin-root {root} --json'

In a command {interface}, {root} and {folder} stand for the engine's interface, its pins and a directory to write to.
Exit codes: 0 no watcher costs more than expected at the median, 1 one does, 2 it could not be measured.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType

from turbo_hft.cli.signals import Interrupted, StopFlag
from turbo_hft.demo.exchange_process import child_environment, die_with_parent
from turbo_hft.engine import Engine
from turbo_hft.errors import ConfigError, TurboHftError
from turbo_hft.lab import Lab, LabAddresses
from turbo_hft.latency.inside.hook_rig import ARMED, IDLE, KEPT, Frames, HookRig, Round, statistics
from turbo_hft.latency.inside.sampling import median, other_cpu, percentiles, pinned
from turbo_hft.latency.machine import cpu_model
from turbo_hft.latency.work import Work, configure

from tools.crash_test import Mount

_TAG = os.getpid()
LAB = (f"watch_{_TAG}", f"wt{_TAG}a", f"wt{_TAG}b", f"10.86.{_TAG % 250}.0/24")
_PYTHON = shlex.quote(sys.executable)
_ON = "--interface {interface} --pin-root {root}"
WATCHERS = {
    "recorder": f"{_PYTHON} -m bench.watch.recorder {_ON} --journal {{folder}}/journal",
    "dashboard --json": f"{_PYTHON} -m turbo_hft.cli dashboard --json {_ON}",
    "terminal": f"{_PYTHON} -m bench.watch.terminal {_ON}",
    "web, one page": f"{_PYTHON} -m bench.watch.web {_ON} --folder {{folder}}",
}
EXPECTED = 1.05
_INTERVAL_NS = 50_000
_ROUNDS = 2000  # each writes three events or four: the ring holds 30,840
_WARM_UP = 200
_CATCH_UP_S = 0.1
_START_S = 2.0


class WatchedRig(HookRig):
    """The engine of the rig, on an interface and pinned, so that other processes find it."""

    def __init__(self, interface: str, root: Path) -> None:
        self.engine = Engine.open(interface, pin=root, symbols=16, orders=4096, kept=1024)
        try:
            Frames.__init__(self, self.engine.program.fd)
            configure(self.engine, LabAddresses(), Work((ARMED, IDLE), (KEPT,)))
            self.engine.attach()
            self._open()
        except BaseException:
            self.engine.close()
            raise

    def empty_ring(self) -> None:
        """Nothing is lost of what no watcher reads: a full ring would be another path of the hook."""
        try:
            self.drain()
        except ConfigError:  # the watcher has the ring
            return
        if self.engine._events is not None:
            self.engine._events.close()
            self.engine._events = None

    def __enter__(self) -> WatchedRig:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.engine.detach()
        self.engine.close()


@dataclass(slots=True)
class Cost:
    """ns from tick to order frame, of each repetition: without the watcher (stopped), and with it."""

    watcher: str
    alone_p50: list[int] = field(default_factory=list)
    watched_p50: list[int] = field(default_factory=list)
    alone_p99: list[int] = field(default_factory=list)
    watched_p99: list[int] = field(default_factory=list)
    lost: int = 0
    busy: float = 0.0  # part of a CPU that the watcher took while it watched

    def ratio(self, percentile: str) -> float:
        """Watched to alone: the median over the repetitions, each against its neighbour."""
        alone, watched = getattr(self, f"alone_{percentile}"), getattr(self, f"watched_{percentile}")
        return median([with_it / without for without, with_it in zip(alone, watched, strict=True)])

    def line(self) -> str:
        """For people."""
        parts = []
        for name in ("p50", "p99"):
            alone, watched = (median(getattr(self, f"{how}_{name}")) for how in ("alone", "watched"))
            parts.append(f"{name} {alone:,.0f} -> {watched:,.0f} ns (x {self.ratio(name):.3f})")
        lost = f", {self.lost} events lost" if self.lost else ""
        busy = f"{100 * self.busy:.1f} % of a CPU"
        return f"{self.watcher:<20} {', '.join(parts)}, {busy}, {len(self.alone_p50)} times{lost}"


@contextmanager
def watching(command: str, stop: StopFlag) -> Iterator[subprocess.Popen[bytes]]:
    """The watcher, on the other CPU. Raises ConfigError if it ends too early."""
    cpu = other_cpu()

    def prepare() -> None:
        die_with_parent(signal.SIGKILL)()
        if cpu is not None:
            os.sched_setaffinity(0, {cpu})

    process = subprocess.Popen(
        shlex.split(command), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        env=child_environment(), preexec_fn=prepare,  # noqa: PLW1509 - no other thread runs
    )  # fmt: skip
    try:
        stop.wait(_START_S)
        stop.check()
        if process.poll() is not None:
            said = process.stderr.read().decode(errors="replace").strip() if process.stderr else ""
            raise ConfigError(f"the watcher {command!r} has ended ({process.returncode}): {said}")
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process.stderr is not None:
            process.stderr.close()


def measure(rig: WatchedRig, watcher: str, command: str, repetitions: int, stop: StopFlag) -> Cost:
    """One watcher, in turns with nobody. Raises ConfigError, TurboHftError."""
    cost, one = Cost(watcher), rig.round("trigger", _INTERVAL_NS)
    lost, busy_ns, watched_ns = rig.engine.counters()["events_lost"], 0, 0
    with watching(command, stop) as process:
        for number in range(repetitions):
            for watched in (False, True) if number % 2 == 0 else (True, False):
                stop.check()
                process.send_signal(signal.SIGCONT)
                time.sleep(_CATCH_UP_S)  # it reads what came while it stood
                if not watched:
                    process.send_signal(signal.SIGSTOP)
                began, used = time.monotonic_ns(), _cpu_ns(process.pid)
                found = percentiles(_times(rig, one))
                if watched:
                    watched_ns += time.monotonic_ns() - began
                    busy_ns += _cpu_ns(process.pid) - used
                for name in ("p50", "p99"):
                    getattr(cost, f"{'watched' if watched else 'alone'}_{name}").append(found[name])
        if process.poll() is not None:
            raise ConfigError(f"the watcher {command!r} has ended meanwhile ({process.returncode}).")
    if not busy_ns:
        raise ConfigError(f"the watcher {command!r} did nothing at all: it has not watched.")
    cost.busy = busy_ns / watched_ns
    cost.lost = rig.engine.counters()["events_lost"] - lost
    return cost


def _cpu_ns(pid: int) -> int:
    """CPU time of all its threads."""
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat"))


def _times(rig: WatchedRig, one: Round) -> list[int]:
    rig.rounds(one, _WARM_UP)
    found = rig.rounds(one, _ROUNDS).hook_ns()
    rig.empty_ring()
    return found


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="watch-bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--watch", action="append", default=[], metavar="NAME=COMMAND", help="instead of the ones there are; again"
    )
    parser.add_argument("--repetitions", type=int, default=20, metavar="N", help="(20)")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    args = parser.parse_args()
    chosen = dict(word.partition("=")[::2] for word in args.watch) or WATCHERS
    if args.repetitions < 2 or not all(name and command for name, command in chosen.items()):
        parser.error("give 2 repetitions or more, and watchers as NAME=COMMAND")
    try:
        costs = _measure_all(chosen, args.repetitions)
    except Interrupted:
        return 130
    except (TurboHftError, OSError, subprocess.SubprocessError) as error:
        print(f"watch-bench: {error}", file=sys.stderr)
        return 2
    if args.json:
        print(json.dumps([asdict(cost) | {"ratio_p50": cost.ratio("p50")} for cost in costs], indent=2))
    else:
        print(f"{cpu_model()}, {os.cpu_count()} CPUs: tick to order frame, alone -> watched")
        for cost in costs:
            print(cost.line())
    return int(any(cost.ratio("p50") > EXPECTED for cost in costs))


def _measure_all(watchers: dict[str, str], repetitions: int) -> list[Cost]:
    a = LabAddresses.of(*LAB)
    with ExitStack() as stack:
        stop = stack.enter_context(StopFlag())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="turbo-hft-watch-")))
        root = stack.enter_context(Mount(folder / "bpf"))
        stack.enter_context(Lab(*LAB))
        rig = stack.enter_context(WatchedRig(a.device, root))
        stack.enter_context(statistics())
        stack.enter_context(pinned())
        words = {"interface": a.device, "root": root, "folder": folder}
        return [measure(rig, name, command.format(**words), repetitions, stop) for name, command in watchers.items()]


if __name__ == "__main__":
    sys.exit(main())
