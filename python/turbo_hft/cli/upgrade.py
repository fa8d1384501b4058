"""Put another build of the program in the place of the one that runs, under traffic; books, orders and limits stay.

Without --object the build inside this package. It is tried first on maps of its own, and its types are held against
those of the program that runs; once it is in force it is watched. Whatever fails, the program of before is in force.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from turbo_hft.cli import codes, common

NAME = "upgrade"
HELP = "swap the program under traffic, with all checks"
EPILOG = """\
examples:
  turbo-hft upgrade --check
  turbo-hft upgrade --object build/xdp_hft.bpf.o
  turbo-hft upgrade --object build/xdp_hft.bpf.o --strategy-object mine.o

exit codes: 1 the build was refused or taken out again, and as for all commands"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--object", type=Path, metavar="FILE.o", help="the build (default: that of this package)")
    parser.add_argument(
        "--strategy-object", type=Path, metavar="FILE.o", help="the strategy that is linked in, if one is"
    )
    parser.add_argument("--check", action="store_true", help="only look whether it could be")
    parser.add_argument(
        "--watch",
        type=common.seconds,
        default=0.5,
        metavar="S",
        help="watch it so long before it is believed (default %(default)s)",
    )
    common.add_because(parser)
    common.add_interface(parser)
    common.add_json(parser, "what came of it as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Do it."""
    from turbo_hft.program import engine_object
    from turbo_hft.upgrade import upgrade as upgrades

    built = engine_object() if args.object is None else upgrades.read(args.object)
    with common.adopt(args) as engine:
        if args.check:
            upgrades.check(engine, built)
            if args.json:
                common.print_json({"ok": True})
            else:
                print(f"{args.interface}: this build can take the place of the one that runs")
            return codes.OK
        done = upgrades.upgrade(engine, built, args.strategy_object, watch_s=args.watch)
    if args.json:
        common.print_json(asdict(done))
    else:
        was = f" (was {done.before_sha256[:16]})" if done.before_sha256 else ""
        what = f"generation {done.generation}, program {done.program_id}, sha256 {done.sha256[:16]}{was}"
        print(f"{args.interface}: {what}; {done.frames:,} frames while watched, {done.took_s:.2f} s in all")
    return codes.OK
