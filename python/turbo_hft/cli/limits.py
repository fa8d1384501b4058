"""Show every limit of the running engine that holds now: of all orders, of each strategy, of each symbol.

`turbo-hft set` changes them.
"""

from __future__ import annotations

import argparse

from turbo_hft import settings
from turbo_hft.cli import codes, common

NAME = "limits"
HELP = "show the limits that hold"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("symbol", nargs="?", metavar="SYMBOL", help="only of this symbol")
    common.add_interface(parser)
    common.add_json(parser, "as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Show them."""
    from turbo_hft.control.requests import Limits

    found = common.ask(args, Limits(symbol=args.symbol))
    if args.json:
        common.print_json(found)
        return codes.OK
    if args.symbol is None:
        print(f"all orders: {settings.line(found['account'])}")
        for name, limits in found["strategies"].items():
            print(f"strategy {name}: {settings.line(limits)}")
    for name, limits in found["symbols"].items():
        print(f"{name}: {settings.line(limits)}")
    return codes.OK
