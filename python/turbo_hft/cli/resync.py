"""Doubt the books of symbols and restore them from a snapshot, while the engine runs.

Nothing trades in a symbol until its book is whole again; all others go on. If the engine's feed is looked after already
(`turbo-hft run` does that), the books are left to that; otherwise they are restored here.

--all takes every book that is not well, and symbols that were tracked after their listing had passed. It also gives up
a gap of a feed that nobody fills: then all its books are restored.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

from turbo_hft.cli import codes, common, session_options
from turbo_hft.cli.signals import StopFlag
from turbo_hft.errors import ConfigError

if TYPE_CHECKING:
    from turbo_hft.recovery.by_hand import Resynced

NAME = "resync"
HELP = "restore books from a snapshot"
EPILOG = """\
examples:
  turbo-hft resync AAPL MSFT
  turbo-hft resync --all --glimpse 10.1.0.2:26479 --account ME:SECRET

exit codes: 0 every one of them is whole again, 1 at least one is not, and as for all commands"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("symbols", nargs="*", metavar="SYMBOL")
    parser.add_argument("--all", action="store_true", help="every book that is not well")
    common.add_interface(parser)
    session_options.add_glimpse_option(parser)
    parser.add_argument("--account", metavar="USER:PASS", help="for the snapshot server")
    parser.add_argument(
        "--timeout", type=common.seconds, default=10.0, metavar="S", help="give up after so long (default %(default)s)"
    )
    common.add_json(parser, "one JSON object for each symbol, in a list")


def run(args: argparse.Namespace) -> int:
    """Do it, and say what came of it."""
    from turbo_hft.recovery.by_hand import resync

    if args.all == bool(args.symbols):
        raise ConfigError("name symbols, or give --all")
    glimpse = session_options.glimpse_at(args.glimpse, *session_options.account_from(args.account))
    with StopFlag() as stop, common.adopt(args) as engine:
        if not engine.command_nonce:
            raise ConfigError(f"the engine on {args.interface} is not configured yet: nobody has given it a feed.")
        names = None if args.all else list(dict.fromkeys(args.symbols))
        results = resync(engine, glimpse, names, timeout_s=args.timeout, stop=lambda: bool(stop.number))
        stop.check()
    if args.json:
        common.print_json([asdict(result) for result in results], indent=2)
    else:
        for result in results:
            print(_line(result))
        if not results:
            print("every book is well")
    return codes.OK if all(result.ok for result in results) else codes.FAILURE


def _line(result: Resynced) -> str:
    if not result.ok:
        return f"{result.symbol}: NOT restored in {result.took_ms:.0f} ms: {result.why}"
    by = " by the engine's own recovery" if result.by == "service" else ""
    at = f", from message {result.sequence} on" if result.sequence else ""
    return f"{result.symbol}: restored in {result.took_ms:.1f} ms{by}{at}"
