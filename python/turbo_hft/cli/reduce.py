"""Let only orders leave that bring a position towards zero, and not beyond it: of all symbols, of one, or of a
strategy."""

from __future__ import annotations

import argparse

from turbo_hft.cli import codes, common, switch

NAME = "reduce"
HELP = "let only orders leave that reduce a position"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    switch.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Reduce."""
    from turbo_hft.control.requests import Reduce

    how = common.ask(args, Reduce(symbol=args.symbol, strategy=args.strategy))
    switch.show(how, as_json=args.json)
    return codes.OK
