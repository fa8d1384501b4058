"""Throw a kill switch of the running engine: no order leaves after it, except what left before.

Without a symbol the global switch is thrown, with one only that symbol's. Orders already at the exchange stay there.
"""

from __future__ import annotations

import argparse

from turbo_hft.cli.common import add_interface, add_json
from turbo_hft.cli.switch import throw

NAME = "halt"
HELP = "stop all trading, or one symbol's"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("symbol", nargs="?", metavar="SYMBOL", help="only this one")
    add_interface(parser)
    add_json(parser, "the new state as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Halt."""
    return throw(args, halted=True)
