"""Measure the engine beside everything else that could answer a tick, on rigs of its own, and say what came of it.

`bench` (or `bench run`) measures: the short form in about a minute, --full in about a quarter of an hour, which also
writes report.html, the pictures and results.json into a directory. `bench report` makes the report of a results file
again. `bench compare` holds two results files against each other and exits 1 when something became slower.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turbo_hft.cli import codes, common
from turbo_hft.cli.signals import Interrupted, StopFlag
from turbo_hft.errors import ConfigError, TurboHftError
from turbo_hft.latency import needs

if TYPE_CHECKING:
    from turbo_hft.latency.bench import Step
    from turbo_hft.latency.results import Results

NAME = "bench"
HELP = "measure the engine beside everything else that could answer"
EPILOG = """\
examples:
  turbo-hft bench                                   # a minute, tables on stdout
  turbo-hft bench --full --out lab                  # a quarter of an hour; lab/report.html
  turbo-hft bench report lab/results.json --json
  turbo-hft bench compare old.json new.json         # exit 1 when something became slower
  turbo-hft bench --slow 2 --out slow               # would a slower engine be noticed?"""

_OUT = Path("latency-lab")
_LINE_S = 5.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the commands and their options."""
    parser.set_defaults(do=_run, action="run")
    _run_options(parser)
    actions = parser.add_subparsers(metavar="ACTION")
    run = actions.add_parser("run", help="measure (the default)")
    _run_options(run, again=True)
    run.set_defaults(do=_run)

    report = actions.add_parser("report", help="the report of a results file")
    report.add_argument("file", type=Path, metavar="FILE", help="results.json of a run")
    report.add_argument("--out", type=Path, metavar="DIR", help="write report.html, report.md and pictures there")
    report.add_argument("--docs", action="store_true", help="write docs/bench.md and README's headline, in a checkout")
    common.add_json(report, "headline, claims and verdict on the machine as one JSON object")
    report.set_defaults(do=_report)

    compare = actions.add_parser("compare", help="hold two results files against each other")
    compare.add_argument("old", type=Path, metavar="OLD")
    compare.add_argument("new", type=Path, metavar="NEW")
    common.add_json(compare, "every comparison as one JSON object")
    compare.set_defaults(do=_compare)


def _run_options(parser: argparse.ArgumentParser, *, again: bool = False) -> None:
    """``again``: below `run`, where what is not given must not undo what was given before it."""

    def default(value: object) -> object:
        return argparse.SUPPRESS if again else value

    parser.add_argument("--full", action="store_true", default=default(False), help="the long form, with pictures")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        default=default(None),
        help=f"write results.json there as it grows, and the report (--full: {_OUT} if not given)",
    )
    parser.add_argument("--json", action="store_true", default=default(False), help="the results as JSON on stdout")
    parser.add_argument(
        "--only",
        type=_sections,
        metavar="SECTION,…",
        default=default(None),
        help="closed, open, burst, knee, inside, or a section of the hook alone (--list)",
    )
    parser.add_argument(
        "--slow",
        type=_factor,
        metavar="FACTOR",
        default=default(None),
        help="make the engine that many times slower, by a strategy in shadow; never published",
    )
    parser.add_argument("--list", action="store_true", default=default(False), help="what would be measured, and leave")


def run(args: argparse.Namespace) -> int:
    """Do it."""
    if words := needs.missing():
        raise ConfigError(words)
    return int(args.do(args))


def _run(args: argparse.Namespace) -> int:
    from turbo_hft.latency import inside, publish, tables
    from turbo_hft.latency.bench import Run
    from turbo_hft.latency.plan import SECTIONS, only, plan

    chosen = plan("full" if args.full else "short")
    parts: list[str] | None = None
    if args.only is not None:
        unknown = [name for name in args.only if name not in (*SECTIONS, *inside.SECTIONS)]
        if unknown:
            known = ", ".join((*SECTIONS, *inside.SECTIONS))
            raise ConfigError(f"there is no section {', '.join(unknown)}: give some of {known}")
        parts = [name for name in args.only if name in inside.SECTIONS]
        chosen = only(chosen, {*args.only, *(["inside"] if parts else [])})
        parts = None if "inside" in args.only else parts
    if args.list:
        return _list(args)
    out: Path | None = args.out or (_OUT if args.full else None)
    path = None if out is None else out / publish.RESULTS
    kept = False  # a file of that name may be of a run before
    with StopFlag() as stop:
        progress = _Progress()

        def tell(step: Step) -> None:
            stop.check()
            progress.tell(step)

        def keep(results: Results) -> None:
            nonlocal kept
            if path is not None:
                publish.keep(results, path)
                kept = True

        measuring = Run(chosen, tell=tell, keep=keep, slow=args.slow, sections=parts)
        try:
            results = measuring.measure()
        except (Interrupted, TurboHftError) as error:
            progress.clear()
            if kept:
                common.say(f"turbo-hft bench: what was measured until then is in {path}")
            if stop.number and not isinstance(error, Interrupted):
                # A child had the same signal, and its end came as an error before we looked.
                raise Interrupted from error
            raise
        progress.clear()
    if not results.series and not results.figures:
        reasons = "; ".join(f"{one.what}: {one.why}" for one in results.skipped)
        raise TurboHftError(f"nothing could be measured: {reasons}")
    if out is not None:
        publish.directory(results, out)
        common.say(f"turbo-hft bench: {out / publish.PAGE}, {path}")
    if args.json:
        print(results.to_json())
    else:
        print(tables.text(tables.document(results), colour=_colour()), end="")
    return codes.OK


def _list(args: argparse.Namespace) -> int:
    """What there is: sections, responders with reasons, rigs."""
    from turbo_hft.latency import inside
    from turbo_hft.latency.contestants import contestants
    from turbo_hft.latency.plan import plan
    from turbo_hft.latency.trial import why_not

    chosen = plan("full" if args.full else "short")
    planned: list[dict[str, Any]] = [
        {
            "rig": one.rig,
            "load": one.load.title,
            "responders": list(one.responders),
            "repetitions": one.repetitions,
            "why_not": why_not(one.rig, one.load),
        }
        for one in chosen.trials
    ]
    people = [{"name": one.name, "title": one.responder.title, "why_not": one.why_not()} for one in contestants()]
    if args.json:
        common.print_json({"trials": planned, "responders": people, "inside": list(inside.SECTIONS)}, indent=2)
        return codes.OK
    for trial in planned:
        print(f"{trial['rig']}, {trial['load']}: {trial['why_not'] or ', '.join(trial['responders'])}")
    print(f"the hook alone: {', '.join(inside.SECTIONS)}")
    for one in people:
        print(f"  {one['name']:<16}{one['title']}" + (f": not here: {one['why_not']}" if one["why_not"] else ""))
    return codes.OK


def _report(args: argparse.Namespace) -> int:
    from turbo_hft.latency import publish, tables
    from turbo_hft.latency.headline import criteria, headline

    results = _load(args.file)
    if args.docs:
        for path in publish.docs(results, _checkout()):
            common.say(f"turbo-hft bench: {path}")
    if args.out is not None:
        publish.directory(results, args.out)
        common.say(f"turbo-hft bench: {args.out / publish.PAGE}")
    if args.json:
        said = headline(results)
        claims = [
            {
                "claim": one.claim.title,
                "least": one.claim.least,
                "measured": one.measured and one.measured.value,
                "low": one.measured and one.measured.low,
                "high": one.measured and one.measured.high,
                "verdict": one.verdict,
                "why": one.why,
            }
            for one in criteria(results)
        ]
        common.print_json(
            {
                "title": results.title,
                "conclusive": results.noise.conclusive,
                "noise": results.noise.words,
                "headline": said.sentence or None,
                "why_not": said.why_not or None,
                "claims": claims,
            },
            indent=2,
        )
    elif not args.docs:
        print(tables.text(tables.document(results), colour=_colour()), end="")
    return codes.OK


def _compare(args: argparse.Namespace) -> int:
    from turbo_hft.latency import regression, tables

    found = regression.compare(_load(args.old), _load(args.new))
    if args.json:
        common.print_json(found.to_json(), indent=2)
    else:
        print(tables.text(regression.sections(found), colour=_colour()), end="")
    return codes.FAILURE if found.regressions else codes.OK


def _load(path: Path) -> Results:
    from turbo_hft.latency.results import Results

    try:
        return Results.load(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}): give the results.json of a run") from error


def _checkout() -> Path:
    """The tree that this runs out of. Raises ConfigError for an installed package."""
    root = Path(__file__).resolve().parents[3]
    if not (root / "pyproject.toml").is_file():
        raise ConfigError("--docs writes into a checkout of the project, and this is an installed package")
    return root


def _colour() -> bool:
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def _sections(text: str) -> tuple[str, ...]:
    names = tuple(name for name in text.split(",") if name)
    if not names:
        raise argparse.ArgumentTypeError("give names of sections, separated by commas")
    return names


def _factor(text: str) -> float:
    value = common.seconds(text)
    if value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r}: give a factor above 1")
    return value


class _Progress:
    """On a terminal one line that is written over; elsewhere a line now and then."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._next = 0.0

    def tell(self, step: Step) -> None:
        """Show it, if it is time."""
        now = time.monotonic()
        left = "" if step.left_s is None else f", about {step.left_s:.0f} s left"
        line = f"[{step.share:4.0%}{left}] {step.what}"
        if self._terminal:
            sys.stderr.write(f"\r\x1b[K{line[:118]}")
            sys.stderr.flush()
        elif now >= self._next:
            self._next = now + _LINE_S
            common.say(line)

    def clear(self) -> None:
        """Take the line away."""
        if self._terminal:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
