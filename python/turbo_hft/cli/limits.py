"""Show every limit of the running engine that holds now: of all orders, of each strategy, of each symbol.

`turbo-hft set` changes them.
"""

from __future__ import annotations

import argparse
from typing import Any

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

    def plain(values: dict[str, object]) -> dict[str, object]:
        return {key: settings.shown(value) for key, value in values.items()}

    with common.adopt(args.interface) as engine:
        symbols = engine.symbols if args.symbol is None else [engine.symbols[args.symbol]]
        found: dict[str, Any] = {
            "account": settings.account(engine),
            "strategies": {each.name: plain(each.limits.as_dict()) for each in engine.strategies},
            "symbols": {symbol.name: plain(symbol.limits.as_dict()) for symbol in symbols},
            "epoch": engine.epoch,
        }
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
