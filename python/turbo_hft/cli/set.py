"""Change parameters and limits of the running engine. They hold from the next packet on.

Either all values of one call are taken or none; limits take effect together. A symbol that is not tracked yet cannot be
added here: it would have no book.
"""

from __future__ import annotations

import argparse

from turbo_hft import settings
from turbo_hft.cli import codes, common

NAME = "set"
HELP = "change targets, parameters and limits while it runs"
EPILOG = (
    settings.EXPLAINED
    + "\n\n"
    + settings.ACCOUNT_EXPLAINED
    + """

examples:
  turbo-hft set AAPL buy_below=163.20 sell_above=163.25
  turbo-hft set AAPL strategy=quoter quoter.half_spread=0.02 quoter.qty=100 max_short=300 short_ok=yes
  turbo-hft set max_gross=2000000 quoter.max_executions=500 fee.R=0.0030"""
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("symbol", nargs="?", metavar="SYMBOL", help="leave it away for settings of the whole engine")
    parser.add_argument("settings", nargs="*", metavar="key=value")
    common.add_interface(parser)
    common.add_because(parser)
    common.add_json(parser, "the settings after the change as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Set, and show the result."""
    from turbo_hft.control.requests import Change

    words = [word for word in (args.symbol, *args.settings) if word is not None]
    settings.parse_change(words)  # what can be no setting of any engine is said without one
    done = common.ask(args, Change(line=" ".join(words)))
    symbol, result = done["symbol"], {**done["settings"], "epoch": done["epoch"]}
    if args.json:
        common.print_json({**({} if symbol is None else {"symbol": symbol}), **result})
    else:
        print(("" if symbol is None else f"{symbol} ") + settings.line(result))
    return codes.OK
