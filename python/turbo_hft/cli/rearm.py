"""Lift a latch of the running engine, after a person has looked: of a strategy that has had its most executions, of a
symbol or of all symbols whose loss of the day has reached its limit.

A loss that is not below its limit latches again at once: raise the limit first (`turbo-hft set max_loss=...`).
"""

from __future__ import annotations

import argparse

from turbo_hft.cli import codes, common
from turbo_hft.errors import ConfigError

NAME = "rearm"
HELP = "lift a latch: a strategy's executions, or a loss limit"
EPILOG = """\
examples:
  turbo-hft rearm --strategy quoter
  turbo-hft rearm AAPL
  turbo-hft rearm --all          the loss of all symbols together"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("symbol", nargs="?", metavar="SYMBOL", help="the loss of this one")
    parser.add_argument("--strategy", metavar="NAME", help="its executions")
    parser.add_argument("--all", action="store_true", help="the loss of all symbols together")
    common.add_interface(parser)


def run(args: argparse.Namespace) -> int:
    """Rearm."""
    from turbo_hft.control.requests import Rearm

    if sum((args.symbol is not None, args.strategy is not None, args.all)) != 1:
        raise ConfigError("give a symbol, --strategy NAME, or --all")
    common.ask(args, Rearm(symbol=args.symbol, strategy=args.strategy))
    return codes.OK
