"""Release a kill switch of the running engine, so that orders may leave again within every limit.

Without a symbol the global switch is released, with one only that symbol's; a symbol trades when both are.
"""

from __future__ import annotations

import argparse

from turbo_hft.cli.common import add_interface, add_json
from turbo_hft.cli.switch import throw

NAME = "resume"
HELP = "let all symbols trade again, or one"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("symbol", nargs="?", metavar="SYMBOL", help="only this one")
    add_interface(parser)
    add_json(parser, "the new state as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Resume."""
    return throw(args, halted=False)
