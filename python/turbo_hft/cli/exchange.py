"""Run the exchange simulator: ITCH 5.0 in MoldUDP64 out, OUCH 5.0 and 4.2 over UFO in.

In the lab: turbo-hft exchange --netns exchange_ns
The feed waits for the first login, so that an engine sees the day from its first message. One that comes later needs
the re-request or the snapshot server (docs/recovery.md).
"""

from __future__ import annotations

import argparse

from turbo_hft.exchange import cli as exchange_cli

NAME = "exchange"
HELP = "run the exchange simulator"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the exchange's own options."""
    exchange_cli.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run one session of the exchange."""
    return exchange_cli.main(args)
