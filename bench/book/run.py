"""ns/message of a whole order book: the hook, its C outside the kernel, and other ITCH books, on the same days.

python -m bench.book.run --help
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median

from turbo_hft.latency import placement

from bench.book import contestants, days, programs
from bench.book.contestants import Contestant, Sample
from bench.book.days import BASELINE, DAYS, Day, DayFile
from bench.book.errors import BenchError, NoFigureError
from bench.book.programs import Programs
from bench.book.report import Baseline, BookReport, DayResult, Load, Rig, Spread, column_order, criteria

CPU = placement.CONTROL_CPU
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"

Samples = dict[tuple[Day, str], list[Sample]]
Failures = dict[tuple[Day, str], str]


class Measurement:
    """Runs everybody in turns and keeps what came out."""

    def __init__(self, built: Programs, chosen: Sequence[Day], folder: Path, *, timed: int, baseline: bool) -> None:
        self.folder = folder
        self.chase = built.chase
        self.chased: list[dict[str, dict[str, float]]] = []
        self.samples: Samples = defaultdict(list)
        self.failures: Failures = {}
        self.files: dict[Day, DayFile] = {}
        self.turns: list[tuple[Day, Contestant]] = []
        written: dict[tuple[int, int], DayFile] = {}
        for day in chosen:
            key = day.symbols, day.live
            if key not in written:
                written[key] = days.generate(built.generate, day, timed, folder)
            self.files[day] = written[key]
            self.turns += [(day, contestant) for contestant in contestants.on(day, built)]
            if baseline and day == BASELINE:
                self.turns += [(day, contestant) for contestant in contestants.baselines(built)]

    def repeat(self, number: int) -> None:
        """One run of each; every second repetition backwards."""
        with placement.on_cpu(CPU):
            self.chased.append(contestants.chase(self.chase))
        for day, contestant in reversed(self.turns) if number % 2 else self.turns:
            place = day, contestant.name
            if place in self.failures:
                continue
            try:
                with placement.on_cpu(CPU):
                    sample = contestants.run(contestant, day, self.files[day], self.folder)
            except NoFigureError as failure:
                self.failures[place] = str(failure)
                print(f"{contestant.name} on {day.name}: {failure}", file=sys.stderr)
            else:
                self.samples[place].append(sample)

    def day_result(self, day: Day) -> DayResult:
        """What a day's contestants reached."""
        runs = {
            name: samples
            for (on, name), samples in self.samples.items()
            if on == day and not name.startswith(("empty", "parse")) and (on, name) not in self.failures
        }
        return DayResult(
            day,
            messages=next(iter(runs.values()))[0].messages if runs else 0,
            live=self.files[day].live,
            figures={name: Spread.of([sample.ns for sample in samples]) for name, samples in runs.items()},
            failed={name: why for (on, name), why in self.failures.items() if on == day},
            reading_ns={
                name: median(sample.reading_ns for sample in samples)
                for name, samples in runs.items()
                if samples[0].reading_ns
            },
        )

    def loads(self) -> tuple[Load, ...]:
        """What a miss costs."""
        return tuple(
            Load(
                int(size),
                *(Spread.of([chased[pages][size] for chased in self.chased]) for pages in ("small", "huge")),
            )
            for size in self.chased[0]["small"]
        )

    def baselines(self) -> tuple[Baseline, ...]:
        """What the packets alone cost."""
        found = []
        for size in contestants.PER_PACKET:
            empty, parse = (self.samples.get((BASELINE, f"{kind} {size}")) for kind in ("empty", "parse"))
            if empty and parse:
                found.append(
                    Baseline(
                        size,
                        empty[0].messages / empty[0].packets,
                        *(Spread.of([s.ns * s.messages / s.packets for s in samples]) for samples in (empty, parse)),
                    )
                )
        return tuple(found)


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def _commit(checkout: Path) -> str:
    """Of a checkout of its own; "an unknown commit" for anything else."""
    git = subprocess.run(
        ["git", "-C", checkout, "rev-parse", "--show-toplevel", "--short", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    )
    words = git.stdout.split()
    return words[1] if len(words) == 2 and Path(words[0]) == checkout.resolve() else "an unknown commit"


def describe_rig(load_before: float, peers: dict[str, Path]) -> Rig:
    """This machine, as far as it says what it is."""
    cpu = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in _lines("/proc/cpuinfo"))}
    huge_pages = "".join(_lines("/sys/kernel/mm/transparent_hugepage/enabled"))
    libbpf = ctypes.CDLL("libbpf.so.1")
    libbpf.libbpf_version_string.restype = ctypes.c_char_p
    clang = subprocess.run([programs.compiler("clang"), "--version"], capture_output=True, text=True, check=True)
    return Rig(
        kernel=platform.release(),
        cpu=cpu.get("model name", platform.machine()),
        cpus=os.cpu_count() or 1,
        virtual="hypervisor" in cpu.get("flags", "").split(),
        placement=f"all on CPU {CPU}" if placement.available(CPU) else "not pinned",
        load=(load_before, os.getloadavg()[0]),
        huge_pages=huge_pages.partition("[")[2].partition("]")[0] or "unknown",
        python=platform.python_version(),
        compiler=clang.stdout.partition("\n")[0],
        libbpf=libbpf.libbpf_version_string().decode().removeprefix("v"),
        commits={name: _commit(path) for name, path in peers.items()},
    )


def measure(
    chosen: Sequence[Day], peers: dict[str, Path], *, timed: int, repetitions: int, baseline: bool = True
) -> BookReport:
    """Build, make the days, run everybody in turns. Raises BenchError."""
    load = os.getloadavg()[0]
    built = programs.build(peers.get(contestants.ITCH_ORDER_BOOK), peers.get(contestants.CPPTRADER))
    with tempfile.TemporaryDirectory(prefix="bench-book-") as folder:
        measurement = Measurement(built, chosen, Path(folder), timed=timed, baseline=baseline)
        for number in range(repetitions):
            print(f"repetition {number + 1} of {repetitions}: {len(measurement.turns)} runs", file=sys.stderr)
            measurement.repeat(number)
    found = tuple(measurement.day_result(day) for day in chosen)
    return BookReport(
        rig=describe_rig(load, peers),
        repetitions=repetitions,
        timed=timed,
        columns=column_order(found),
        days=found,
        baselines=measurement.baselines(),
        loads=measurement.loads(),
        criteria=criteria(found),
    )


def put_figures(document: Path, text: str) -> None:
    """Between the marks of a document. Raises BenchError if it has none."""
    before, begin, rest = document.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise BenchError(f"{document} has no place for figures: {BEGIN} and {END}.")
    document.write_text(f"{before}{begin}\n{text}\n{end}{after}")


def _chosen(names: str) -> list[Day]:
    known = {day.name: day for day in DAYS}
    wanted = [name.strip() for name in names.split(",")]
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise argparse.ArgumentTypeError(f"no day {', '.join(unknown)}; there are {', '.join(known)}")
    return [known[name] for name in dict.fromkeys(wanted)]


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0, 1 for an error or a contestant without a figure, 2 for wrong arguments."""
    parser = argparse.ArgumentParser(prog="python -m bench.book.run", description="ns/message of a whole order book.")
    parser.add_argument("--itch-order-book", type=Path, metavar="DIR", help="a checkout of charles-cooper's")
    parser.add_argument("--cpptrader", type=Path, metavar="DIR", help="a checkout of chronoxor's")
    parser.add_argument("--days", type=_chosen, default=list(DAYS), help="symbols/live[/asked for],... (default all)")
    parser.add_argument("--timed", type=int, help="messages of each day (default 2,000,000)")
    parser.add_argument("--repetitions", type=int, help="of each, in turns (default 5)")
    parser.add_argument("--short", action="store_true", help="200,000 messages, 2 repetitions")
    parser.add_argument("--json", action="store_true", help="the whole result as JSON on stdout")
    parser.add_argument("--document", type=Path, metavar="FILE", help="put the figures into a document too")
    options = parser.parse_args(arguments)
    timed = options.timed if options.timed is not None else 200_000 if options.short else 2_000_000
    repetitions = options.repetitions if options.repetitions is not None else 2 if options.short else 5
    if timed < 1 or repetitions < 1:
        parser.error("messages and repetitions start at 1")
    given = ((contestants.ITCH_ORDER_BOOK, options.itch_order_book), (contestants.CPPTRADER, options.cpptrader))
    peers = {name: path for name, path in given if path}

    try:
        report = measure(options.days, peers, timed=timed, repetitions=repetitions)
        if options.document:
            put_figures(options.document, report.markdown())
    except (BenchError, OSError, subprocess.SubprocessError) as error:
        print(f"bench-book: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench-book: interrupted", file=sys.stderr)
        return 130
    print(json.dumps(asdict(report), indent=2) if options.json else "\n".join(report.lines()))
    return int(any(result.failed for result in report.days))


if __name__ == "__main__":
    sys.exit(main())
