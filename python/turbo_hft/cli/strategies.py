"""Show the strategies of the running engine: their kill switches, open orders, executions and latches, and which
symbols they trade."""

from __future__ import annotations

import argparse

from turbo_hft.cli import codes, common

NAME = "strategies"
HELP = "show the strategies"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    common.add_interface(parser)
    common.add_json(parser, "one JSON object a strategy")


def run(args: argparse.Namespace) -> int:
    """Show them."""
    from turbo_hft.control.requests import Strategies

    for strategy in common.ask(args, Strategies())["strategies"]:
        if args.json:
            common.print_json(strategy)
            continue
        latched = " LATCHED" if strategy["latched"] else ""
        shadow = f", shadow of {len(strategy['shadow'])}" if strategy["shadow"] else ""
        print(
            f"{strategy['strategy']:<9} {strategy['state']}{latched}: {strategy['orders_sent']} orders, "
            f"{strategy['open_orders']} open, {strategy['executions']} executions, "
            f"{len(strategy['symbols'])} symbols{shadow}"
        )
    return codes.OK
