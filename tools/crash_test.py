"""The control process is killed, and the program swapped, again and again under full load: is anything lost?

A lab of its own, the exchange simulator with random flow, quoters and threshold trading. `turbo-hft run --config` keeps
the engine, pinned, and records it; at random moments it is killed with SIGKILL (also while it starts, or takes over)
and started again. In turns with that, `turbo-hft upgrade` puts another build in force; every tenth one is a build whose
self-check must fail, and some upgrades are killed in their middle. At the end of the day every message of the feed must
have been handled once (nothing asks for missing ones: one that was not handled would have stopped the feed), what the
hook has booked of every symbol must be what the exchange has and what the recorded events add up to, share for share,
and the journal must have every event once and the outcome of each kill and each upgrade.

A second, short day is for builds that go deaf once they are in force, which the self-check cannot know: each must be
taken out again. What passed them unhandled meanwhile is counted, and asked for again.

    python -m tools.crash_test --kills 100 --upgrades 100 --rollbacks 10

Exit codes: 0 all of it holds, 1 it does not, 2 it could not be run.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from turbo_hft.cli.signals import Interrupted, StopFlag
from turbo_hft.demo.exchange_process import ExchangeProcess, child_environment, die_with_parent
from turbo_hft.demo.reconcile import LEDGERS, EventLedger, Row, exchange_ledger, maps_ledger, reconcile
from turbo_hft.engine import Engine
from turbo_hft.errors import ExchangeError, TurboHftError
from turbo_hft.journal import EventRecord, JournalReader, Note, verify
from turbo_hft.lab import PASSWORD, USERNAME, Lab, LabAddresses

from tools.clauses import WHOLE, ClauseError, build, clauses
from tools.engine_builds import GOES_DEAF, built

_TAG = os.getpid()  # several may run on one machine
LAB = (f"crash_{_TAG}", f"cr{_TAG}a", f"cr{_TAG}b", f"10.84.{_TAG % 250}.0/24")
_STEP_S = 0.02
_TURN_S = 0.5
_PATIENCE_S = 60.0
_CLOSE_S = 20.0
_LEASE_S = 0.5
_DEAF_AFTER = 1000  # packets of the feed: more than the build of `GOES_DEAF` handles
_HALTED = "halted(live->kill)"  # the clause that is missing in a build that must be refused


@dataclass(slots=True)
class Report:
    """What came of it. `adopted_s`: from the start of a control process, after a kill, to the engine in its hands;
    `back_s`: to orders again; `upgrade_s`: of `turbo-hft upgrade` as a whole. `cold_s`: from the first start to the
    first decision; `rss_kb`: memory of a control process. `rate`: messages a second that the exchange sent.
    `takeovers`: as the journal has them, `torn`: tails that were cut. `recorded`, `lost`: events in the journal, and
    noted as gone. `deaf`: messages that passed unhandled while a build was in force that was taken out again."""

    kills: int = 0
    killed_starting: int = 0
    upgrades: int = 0
    in_force: int = 0
    refused: int = 0
    upgrades_killed: int = 0
    rollbacks: int = 0
    adopted_s: list[float] = field(default_factory=list)
    back_s: list[float] = field(default_factory=list)
    upgrade_s: list[float] = field(default_factory=list)
    cold_s: float = 0.0
    rss_kb: int = 0
    seconds: float = 0.0
    rate: float = 0.0
    sent: int = 0
    expected_seq: int = 0
    gaps: int = 0
    deaf: int = 0
    contended: int = 0
    events: int = 0
    events_lost: int = 0
    takeovers: int = 0
    torn: int = 0
    segments: int = 0
    recorded: int = 0
    lost: int = 0
    orders: int = 0
    fills: int = 0
    figures: int = 0
    generation: int = 0
    differences: list[Row] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Is nothing lost?"""
        return not self.differences and not self.problems

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"good": self.good, **asdict(self)}

    def text(self) -> str:
        """For people."""
        lines = [
            f"{self.kills} kills (and {self.killed_starting} of processes that were starting); "
            f"{self.upgrades} upgrades: {self.in_force} in force, {self.refused} refused, {self.upgrades_killed} "
            f"killed in their middle; {self.rollbacks} rolled back; generation {self.generation}",
            f"feed: {self.sent:,} messages sent in {self.seconds:.0f} s ({self.rate:,.0f} a second), the next one "
            f"expected is {self.expected_seq:,}; {self.gaps} gaps, {self.contended} packets passed unhandled"
            + (f", {self.deaf:,} messages while a deaf build was in force" if self.rollbacks else ""),
            f"orders {self.orders:,}, executions {self.fills:,}; {self.figures} figures compared with the exchange's",
            f"events: {self.events:,} written, {self.recorded:,} in the journal once each, {self.lost} noted as gone "
            f"({self.events_lost} did not fit the ring)",
            f"journal: {self.takeovers} takeovers, {self.segments} segments, {self.torn} torn tails cut",
            f"cold start to the first decision {self.cold_s:.2f} s, memory of the process {self.rss_kb / 1024:.0f} MB",
        ]
        for what, times in (
            ("killed, to the engine in new hands", self.adopted_s),
            ("killed, to orders again", self.back_s),
            ("an upgrade, checks included", self.upgrade_s),
        ):
            if times:
                lines.append(
                    f"{what}: p50 {statistics.median(times):.2f} s, max {max(times):.2f} s, {len(times)} times"
                )
        lines += [
            f"DIFFERS {row.symbol} {row.field}: "
            + ", ".join(f"{who} {what:,}" for who, what in zip(LEDGERS, row.values, strict=True))
            for row in self.differences
        ]
        lines += [f"PROBLEM {problem}" for problem in self.problems]
        return "\n".join([*lines, "nothing lost" if self.good else "something is lost"])


def steer(engine: Engine, names: Sequence[str], now: float) -> None:
    """Threshold buys at the offer in one turn and waits for better in the next."""
    waits = int(now / _TURN_S) % 2
    for name in names[1::2]:
        symbol = engine.symbols[name]
        offer_e4 = symbol.snapshot().ask_e4
        if offer_e4:
            symbol.set_targets(buy_below=(offer_e4 - 100 * waits) / 10_000, sell_above=(offer_e4 + 100) / 10_000)


def configuration(a: LabAddresses, names: Sequence[str], root: Path, journal: Path, *, recovery: bool) -> str:
    """The file that the engine is run with. Without `recovery` nothing asks for missing messages."""
    lines = [
        "[engine]", f'interface = "{a.device}"', f'pin_root = "{root}"', 'on_restart = "trade"',
        f"lease_s = {_LEASE_S}", f"recovery = {str(recovery).lower()}",
        "rearm = true",  # an exchange that has no time for its heartbeats is not what is tried here
        "[journal]", f'directory = "{journal}"', "[session]",
        f'local = "{a.host_address}:{a.engine_port}"', f'remote = "{a.exchange_address}:{a.ouch50_port}"',
        f'local_mac = "{a.host_mac}"', f'remote_mac = "{a.exchange_mac}"', f'username = "{USERNAME}"',
        f'password = "{PASSWORD}"',
        "[feed]", f'at = "{a.feed_group}:{a.feed_port}"', f'source = "{a.exchange_address}"',
    ]  # fmt: skip
    if recovery:
        lines += [f'rerequest = "{a.exchange_address}:{a.rerequest_port}"']
        lines += [f'rerequest_local = "{a.host_address}:{a.engine_rerequest_port}"']
    for number, name in enumerate(names):
        lines += [f"[symbols.{name}]", "base_qty = 100", "max_order_qty = 300", "max_long = 1000"]
        if number % 2 == 0:
            lines += ['strategy = "quoter"', 'quoter.half_spread = "0.03"', "quoter.qty = 100"]
            lines += ["quoter.inventory = 500", 'quoter.skew = "0.01"', 'quoter.requote = "0.02"']
    return "\n".join(lines) + "\n"


class Mount:
    """A BPF file system in a directory, unmounted afterwards."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def __enter__(self) -> Path:
        self.directory.mkdir()
        subprocess.run(["mount", "-t", "bpf", "bpf", str(self.directory)], check=True)
        return self.directory / "turbo_hft"

    def __exit__(self, *error: object) -> None:
        subprocess.run(["umount", "--lazy", str(self.directory)], check=False)


class CrashTest:
    """One run. Raises Interrupted when a signal came, TurboHftError when a step fails; all is cleaned up by then."""

    def __init__(
        self, kills: int, upgrades: int, symbols: int, rate: int, seed: int, stop: StopFlag, *, rollbacks: int = 0
    ) -> None:
        """With `rollbacks` what is missed meanwhile is asked for again."""
        self.kills, self.upgrades, self.rate, self.seed, self.stop = kills, upgrades, rate, seed, stop
        self.rollbacks = rollbacks
        self.random = random.Random(seed)
        self.names = [f"SYM{number:02d}" for number in range(symbols)]
        self.report = Report()
        self.processes: list[subprocess.Popen[bytes]] = []
        self.turn = 0.0
        self.failing = set(self.random.sample(range(upgrades), -(-upgrades // 10)))
        self.controls: set[int] = set()
        self.kept: list[int] = []
        self.outcomes: dict[int, str] = {}

    def run(self) -> Report:
        """Trade through it all, close, compare."""
        a = LabAddresses.of(*LAB)
        with ExitStack() as stack:
            self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="turbo-hft-crash-")))
            self.builds = self._builds()
            self.root = stack.enter_context(Mount(self.folder / "bpf"))
            stack.enter_context(Lab(*LAB))
            self.interface = a.device
            self.file = self.folder / "engine.toml"
            self.journal = self.folder / "journal"
            recovery = self.rollbacks > 0
            self.file.write_text(configuration(a, self.names, self.root, self.journal, recovery=recovery))
            exchange = stack.enter_context(ExchangeProcess(self._exchange_words(a), self.folder))
            exchange.wait_ready(self.stop.wait)
            self.stop.check()
            began = time.monotonic()
            stack.callback(self._end_all)
            self.control = self._start()
            engine = stack.enter_context(self._adopt())
            self._until(lambda: engine.counters()["orders"] > 0, engine, "the first order")
            self._round(engine)
            self.report.seconds = time.monotonic() - began
            summary = self._close(engine, exchange)
            self._compare(engine, summary)
        return self.report

    def _builds(self) -> tuple[Path, Path, Path, Path]:
        """Two that are good, one that must be refused, one that must be taken out again."""
        clause = next(clause for clause in clauses() if clause.text == _HALTED)
        folder = self.folder / "builds"
        folder.mkdir()
        whole = build(WHOLE, folder)
        other = folder / "other.o"
        # The same program behind other bytes: ELF takes what stands behind its tables.
        other.write_bytes(whole.read_bytes() + b"\0" * 8)
        return whole, other, build(clause.number, folder), built(folder, GOES_DEAF, name="deaf")

    def _exchange_words(self, a: LabAddresses) -> list[str]:
        words = ["--netns", a.namespace, "--bind", a.exchange_address, "--feed", f"{a.feed_group}:{a.feed_port}"]
        words += ["--ouch50", str(a.ouch50_port), "--ouch42", str(a.ouch42_port), "--symbols", ",".join(self.names)]
        words += ["--seed", str(self.seed), "--rate", str(self.rate), "--wait-for-login"]
        words += ["--rerequest-port", str(a.rerequest_port), "--glimpse-port", "off"]
        return [*words, "--duration", str(600 + 20 * (self.kills + self.upgrades))]

    # Processes

    def _spawn(self, *words: str) -> subprocess.Popen[bytes]:
        number = len(self.processes)
        with (self.folder / f"out{number}").open("wb") as out, (self.folder / f"talk{number}").open("wb") as talk:
            process = subprocess.Popen(
                [sys.executable, "-m", "turbo_hft.cli", *words],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=talk,
                env=child_environment(),
                preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509 - no other thread runs
            )
        self.processes.append(process)
        return process

    def _start(self) -> subprocess.Popen[bytes]:
        self.started = time.monotonic()
        self.number = len(self.processes)
        process = self._spawn("run", "--config", str(self.file), "--json")
        self.controls.add(process.pid)
        return process

    def _talk(self, number: int) -> str:
        return (self.folder / f"talk{number}").read_text(errors="replace").strip()

    def _end_all(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait()
        with suppress(TurboHftError), Engine.adopt(self.interface, pin=self.root) as engine:
            engine.detach()

    def _adopt(self) -> Engine:
        end = time.monotonic() + _PATIENCE_S
        while True:
            try:
                engine = Engine.adopt(self.interface, pin=self.root)
            except TurboHftError:
                if self.control.poll() is not None or time.monotonic() > end:
                    raise ExchangeError(f"the engine did not start: {self._talk(self.number)}") from None
                self._pause(_STEP_S)
            else:
                return engine

    def _pause(self, seconds: float) -> None:
        self.stop.wait(seconds)
        self.stop.check()

    def _until(self, condition: Any, engine: Engine, what: str) -> None:
        end = time.monotonic() + _PATIENCE_S
        while not condition():
            if self.control.poll() is not None:
                raise ExchangeError(f"the control process ended while waiting for {what}: {self._talk(self.number)}")
            if time.monotonic() > end:
                state = f"{engine.state}, {engine.session}, {engine.orders.open()}"
                raise ExchangeError(f"waited {_PATIENCE_S:g} s in vain for {what}: {self._talk(self.number)}; {state}")
            self._steer(engine)
            self._pause(_STEP_S)

    def _trade(self, engine: Engine, seconds: float) -> None:
        """Let it run for a while."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._steer(engine)
            self._pause(min(left, _STEP_S))

    def _steer(self, engine: Engine) -> None:
        now = time.monotonic()
        if now >= self.turn:
            self.turn = now + _TURN_S
            steer(engine, self.names, now)

    # Trouble

    def _round(self, engine: Engine) -> None:
        self._until(self._decisions, engine, "a decision")
        self.report.cold_s = self._decisions()[0] / 1e9 - self.started
        self._trade(engine, 0.5)
        self.report.rss_kb = self._rss()
        self.kept.append(self.control.pid)
        trouble = ["kill"] * self.kills + ["upgrade"] * self.upgrades + ["rollback"] * self.rollbacks
        self.random.shuffle(trouble)
        for what in trouble:
            self._trade(engine, self.random.uniform(0.05, 0.6))
            match what:
                case "kill":
                    self._kill(engine)
                case "upgrade":
                    self._upgrade(engine)
                case _:
                    self._rollback(engine)
        self._trade(engine, 0.5)

    def _decisions(self) -> list[int]:
        """When the control process that runs saw its decisions, by the monotonic clock, ns."""
        return [event["local_ns"] for event in self._printed(self.number) if event["kind"] in ("order", "refused")]

    def _rss(self) -> int:
        status = Path(f"/proc/{self.control.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))

    def _kill(self, engine: Engine) -> None:
        self.control.kill()
        self.control.wait()
        self.report.kills += 1
        self._pause(self.random.choice((0, 0, 0.2, 1.2)) * _LEASE_S)
        while self.random.random() < 0.3:  # in the middle of a start
            self.control = self._start()
            self._pause(self.random.uniform(0.1, 1.0))
            self.control.kill()
            self.control.wait()
            self.report.killed_starting += 1
        self.control = self._start()
        self._until(lambda: engine.controller == self.control.pid, engine, "the engine to be taken over")
        self.report.adopted_s.append(time.monotonic() - self.started)
        self.kept.append(self.control.pid)
        self._until(lambda: engine.state == "active", engine, "trading again")
        orders = engine.counters()["orders"]
        self._until(lambda: engine.counters()["orders"] > orders, engine, "an order")
        self.report.back_s.append(time.monotonic() - self.started)

    def _begin_upgrade(self, build: Path) -> subprocess.Popen[bytes]:
        words = ["--interface", self.interface, "--pin-root", str(self.root), "--watch", "0.2"]
        return self._spawn("upgrade", "--object", str(build), *words)

    def _ended(self, process: subprocess.Popen[bytes], engine: Engine) -> int:
        while process.poll() is None:
            self._steer(engine)
            self._pause(_STEP_S)
        return process.returncode

    def _upgrade(self, engine: Engine) -> None:
        number, report = self.report.upgrades, self.report
        fails = number in self.failing
        before, began = engine.user.generation, time.monotonic()
        process = self._begin_upgrade(self.builds[2] if fails else self.builds[number % 2])
        talk = len(self.processes) - 1
        report.upgrades += 1
        if not fails and self.random.random() < 0.2:
            self._trade(engine, self.random.uniform(0.2, 2.0))
            if process.poll() is None:
                process.kill()
                process.wait()
                report.upgrades_killed += 1
                return
        code = self._ended(process, engine)
        if fails:
            report.refused += 1
            self.outcomes[process.pid] = "refused"
            if code != 1 or engine.user.generation != before:
                report.problems.append(f"a build that must be refused was not: {self._talk(talk)}")
        elif code != 0:
            report.problems.append(f"an upgrade failed ({code}): {self._talk(talk)}")
        else:
            report.in_force += 1
            self.outcomes[process.pid] = "in force"
            report.upgrade_s.append(time.monotonic() - began)

    def _rollback(self, engine: Engine) -> None:
        self._until(lambda: engine.counters()["feed_packets"] > _DEAF_AFTER, engine, "enough packets of the feed")
        self._until(lambda: engine.feed.health == "live" and engine.state == "active", engine, "the feed to be whole")
        before = engine.user.generation
        process = self._begin_upgrade(self.builds[3])
        talk = len(self.processes) - 1
        code = self._ended(process, engine)
        self.report.rollbacks += 1
        self.outcomes[process.pid] = "rolled back"
        if code != 1 or engine.user.generation != before:
            self.report.problems.append(f"a build that went deaf was not taken out again: {self._talk(talk)}")

    # The end

    def _close(self, engine: Engine, exchange: ExchangeProcess) -> dict[str, Any]:
        engine.halt_and_cancel()
        end = time.monotonic() + _CLOSE_S
        while engine.orders.open() and time.monotonic() < end:
            self._pause(_STEP_S)
        exchange.close_market()
        end = time.monotonic() + _CLOSE_S
        while exchange.running:
            if time.monotonic() > end:
                raise ExchangeError(f"the exchange did not end within {_CLOSE_S:g} s of being asked to")
            self._pause(_STEP_S)
        summary = exchange.summary()
        self.control.wait(_CLOSE_S)
        return summary

    def _printed(self, number: int) -> list[dict[str, Any]]:
        """What a control process has printed; of one that was killed the last line may be half a one."""
        found = []
        for line in (self.folder / f"out{number}").read_text(errors="replace").splitlines():
            with suppress(ValueError):
                event = json.loads(line)
                if isinstance(event, dict) and "local_ns" in event:
                    found.append(event)
        return found

    def _compare(self, engine: Engine, summary: dict[str, Any]) -> None:
        report, counters = self.report, engine.counters()
        ledger = self._read_journal(counters)
        snapshots = [symbol.snapshot() for symbol in engine.symbols]
        exchange = exchange_ledger(summary, USERNAME, ledger.lost.values())
        found = reconcile(maps_ledger(snapshots), ledger.symbols, exchange)
        report.differences, report.figures = list(found.differences), len(found.rows)
        report.sent = summary["feed"]["last_sequence"]
        report.rate = report.sent / report.seconds
        report.expected_seq, report.gaps = engine.feed.expected_seq, engine.feed.gaps
        report.deaf = summary["rerequest"]["messages"] if self.rollbacks else 0
        report.contended, report.events_lost = counters["contended"], counters["events_lost"]
        report.orders, report.fills = counters["orders"], sum(snapshot.fills for snapshot in snapshots)
        report.generation = engine.user.generation
        if report.expected_seq != report.sent + 1 or engine.feed.missed or report.contended:
            report.problems.append("not every message of the feed was handled once")
        if report.gaps and not self.rollbacks:
            report.problems.append("a packet was not handled, and nothing but the swap of the link was to blame")
        if engine.orders.open():
            report.problems.append(f"{len(engine.orders.open())} orders are left open")
        if engine.session.health == "suspect":
            report.problems.append("order entry is suspect: a reply did not fit what the engine knows")

    def _read_journal(self, counters: dict[str, int]) -> EventLedger:
        """What the events add up to. Every one must be there once, and every outcome noted."""
        report, verdict = self.report, verify(self.journal)
        report.problems += [f"journal: {damage.line()}" for damage in verdict.damage]
        if not verdict.closed:
            report.problems.append("the journal was not closed")
        ledger, notes = EventLedger(), list[Note]()
        for record in JournalReader(self.journal):
            if isinstance(record, EventRecord):
                ledger.add([record.event])
            else:
                notes.append(record)
        report.events, report.recorded, report.segments = counters["events"], ledger.count, verdict.segments
        report.lost, report.torn = verdict.lost, sum(note.kind == "recovered" for note in notes)
        report.problems += [f"journal: {each}" for each in ledger.problems(report.events, verdict.lost)]
        self._check_takeovers([note for note in notes if note.kind == "takeover"])
        self._check_upgrades([note for note in notes if note.kind == "upgrade"])
        return ledger

    def _check_takeovers(self, notes: list[Note]) -> None:
        """One for each that had the engine in its hands; those that were killed while starting may have one."""
        report = self.report
        report.takeovers = len(notes)
        by = Counter(note.data["by"]["pid"] for note in notes)
        for pid in self.kept[1:]:
            if by[pid] != 1:
                report.problems.append(f"journal: the takeover by process {pid} is noted {by[pid]} times")
        if strangers := by.keys() - self.controls:
            report.problems.append(f"journal: takeovers by processes {strangers} that were none of ours")
        for note in notes:
            if not str(note.data.get("ended", "")).startswith("killed"):
                report.problems.append(f"journal: takeover {note.number} does not say that the one before was killed")

    def _check_upgrades(self, notes: list[Note]) -> None:
        told: dict[int, list[str]] = {}
        for note in notes:
            told.setdefault(note.data["by"]["pid"], []).append(note.data["outcome"])
        for pid, outcome in self.outcomes.items():
            if told.get(pid) != ["begun", outcome]:
                self.report.problems.append(f"journal: upgrade by {pid} was {outcome}, noted is {told.get(pid)}")


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="crash_test", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=100, metavar="N", help="(100)")
    parser.add_argument("--upgrades", type=int, default=100, metavar="N", help="(100)")
    parser.add_argument("--rollbacks", type=int, default=10, metavar="N", help="builds that go deaf (10)")
    parser.add_argument("--symbols", type=int, default=10, metavar="N", help="(10)")
    parser.add_argument("--rate", type=int, default=20_000, metavar="N", help="messages a second (20000)")
    parser.add_argument("--seed", type=int, default=1, help="of the exchange and of the moments (1)")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    args = parser.parse_args()
    if args.kills < 0 or args.upgrades < 0 or args.rollbacks < 0 or args.symbols < 2 or args.rate < 1:
        parser.error("give counts of 0 or more, 2 symbols or more, a rate of 1 or more")
    try:
        with StopFlag() as stop:
            days = [CrashTest(args.kills, args.upgrades, args.symbols, args.rate, args.seed, stop)]
            if args.rollbacks:
                days.append(CrashTest(0, 0, args.symbols, args.rate, args.seed, stop, rollbacks=args.rollbacks))
            reports = [day.run() for day in days]
    except Interrupted:
        return 130
    except (TurboHftError, ClauseError, OSError, subprocess.SubprocessError) as error:
        print(f"crash_test: {error}", file=sys.stderr)
        return 2
    if args.json:
        print(json.dumps([report.as_dict() for report in reports], indent=2))
    else:
        print("\n\n".join(report.text() for report in reports))
    return 0 if all(report.good for report in reports) else 1


if __name__ == "__main__":
    sys.exit(main())
