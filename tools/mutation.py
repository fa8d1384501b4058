"""Is every clause of the gate, and of orders on TCP, missed by a test when it is gone? One build for each, without it.

Each clause (bpf/hft/clause.h) is left out in turn, the program is compiled, and the tests of its rule run against it.
A mutant that no test fails on survives: a check that could be lost without anybody noticing. Exit status 1 then.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from tools.clauses import ROOT, WHOLE, Clause, ClauseError, build, clauses

GATE_SUITE = ("tests/kernel/test_gate.py",)
WIRE_SUITE = tuple(
    f"tests/property/test_wire_hook.py::test_{name}"
    for name in (
        "every_reason_is_found_by_both",
        "a_cancel_leaves_is_handed_over_or_refused_by_both",
        "a_cancel_that_waits_has_met_the_gate",
        "of_a_packet_its_cancels_are_handed_over_by_both",
        "what_comes_in_is_read_by_both",
        "acknowledgements_are_held_by_both",
        "a_reply_is_applied_by_both_where_the_stream_stands",
        "what_a_longer_segment_left_behind_is_read_by_neither",
        "days_of_given_seeds_agree_with_the_model",
    )
)
WIRE_FILES = ("tcp.bpf.h", "soup.bpf.h")
WIRE_WORDS = re.compile(r"\b(?:wire_|cancels_wait\b)")  # in the clauses of other files that are of rule 11
FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)
TIMEOUT_S = 300


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a mutant. `caught_by`: the first test that failed; ``verifier`` if the kernel refused it; empty if
    it survived."""

    clause: Clause
    caught_by: str
    seconds: float


class MutationError(Exception):
    """The tool could not do its work."""


def try_suite(program: Path, suite: Sequence[str]) -> str:
    """Run the tests against a program: the first that failed, "verifier" if it does not load, empty if all passed."""
    quiet = ["-x", "-q", "--no-header", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *quiet, f"--engine-object={program}", *suite]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=TIMEOUT_S)
    if result.returncode == 0:
        return ""
    if result.returncode != 1:
        raise MutationError(f"the tests do not run:\n{result.stdout[-2000:]}{result.stderr[-2000:]}")
    if "LoadError" in result.stdout:
        return "verifier"
    failed = FAILED.search(result.stdout)
    return failed[1] if failed else "a test"


def suite_of(clause: Clause) -> Sequence[str]:
    """The tests of the rule that the clause is of: 6, or 11."""
    of_wire = Path(clause.file).name in WIRE_FILES or WIRE_WORDS.search(clause.text)
    return WIRE_SUITE if of_wire else GATE_SUITE


def attempt(clause: Clause, folder: Path, suite: Sequence[str]) -> Outcome:
    """Build without a clause and look whether a test misses it; without a `suite`, one of its own rule's."""
    begin = time.monotonic()
    program = build(clause.number, folder)
    caught = try_suite(program, suite or suite_of(clause))
    program.unlink()
    return Outcome(clause, caught, time.monotonic() - begin)


def attempts(chosen: Sequence[Clause], folder: Path, suite: Sequence[str], jobs: int) -> Iterator[Outcome]:
    """All of them, several at a time, in order."""
    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(lambda clause: attempt(clause, folder, suite), chosen)


def row(outcome: Outcome) -> str:
    """A line of the table."""
    clause = outcome.clause
    caught = outcome.caught_by or "SURVIVED"
    where = f"{Path(clause.file).name}:{clause.line}"
    return f"{clause.number:>4}  {where:<22} {caught.split('::')[-1]:<64} {clause.text}"


def chosen_of(found: list[Clause], sample: int | None, only: Sequence[int]) -> list[Clause]:
    """All clauses, those named, or as many as asked for at random."""
    if only:
        return [clause for clause in found if clause.number in only]
    if sample is None or sample >= len(found):
        return found
    return sorted(random.sample(found, sample), key=lambda clause: clause.number)


def _run(args: argparse.Namespace) -> int:
    found = clauses()
    chosen = chosen_of(found, args.sample, args.only)
    suites = {tuple(args.suite or suite_of(clause)) for clause in chosen}
    with tempfile.TemporaryDirectory(prefix="turbo-hft-mutants-") as name:
        folder = Path(name)
        program = build(WHOLE, folder)
        if whole := "".join(try_suite(program, suite) for suite in suites):
            raise MutationError(f"the whole program fails {whole} already: mend that first.")
        outcomes: list[Outcome] = []
        for outcome in attempts(chosen, folder, args.suite, args.jobs):
            outcomes.append(outcome)
            print(row(outcome) if not args.json else f"{len(outcomes)} of {len(chosen)}", file=sys.stderr)
    survived = [outcome for outcome in outcomes if not outcome.caught_by]
    if args.json:
        print(json.dumps({"clauses": len(found), "tried": [asdict(outcome) for outcome in outcomes]}, indent=2))
    else:
        print(f"{len(outcomes)} of {len(found)} clauses left out in turn: {len(survived)} survived")
    return 1 if survived else 0


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="mutation", description=__doc__)
    parser.add_argument("--sample", type=int, metavar="N", help="that many clauses at random, not all")
    parser.add_argument("--only", type=int, nargs="*", default=[], metavar="NUMBER", help="these clauses")
    parser.add_argument("--suite", nargs="*", default=[], metavar="TEST", help="the tests (of its rule)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="at a time (all CPUs)")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    try:
        return _run(parser.parse_args())
    except (MutationError, ClauseError, subprocess.SubprocessError, OSError) as error:
        print(f"mutation: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
