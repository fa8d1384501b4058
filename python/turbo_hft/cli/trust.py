"""Take an order entry for good again that is suspect: a reply that touches orders or positions could not be applied.

A person must have held the engine's positions and orders against the exchange's first. The engine must be halted, and
stays so.
"""

from __future__ import annotations

import argparse

from turbo_hft.cli import codes, common

NAME = "trust"
HELP = "take a suspect order entry for good again"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    common.add_interface(parser)


def run(args: argparse.Namespace) -> int:
    """Trust it."""
    from turbo_hft.control.requests import Trust

    print(f"{args.interface}: order entry is {common.ask(args, Trust())['health']}")
    return codes.OK
