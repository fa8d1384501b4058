"""Show the running engine once: feed, order entry, every symbol, latency, every counter that is not zero.

Reads shared memory and counters only; the engine and whoever reads its events are not disturbed.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict

from turbo_hft.cli import codes, common, orders
from turbo_hft.dashboard.collector import ViewCollector
from turbo_hft.dashboard.plain import plain_lines

NAME = "status"
HELP = "show the running engine once"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    common.add_interface(parser)
    common.add_json(parser, "as one JSON object, with all counters and working orders")


def run(args: argparse.Namespace) -> int:
    """Show it."""
    with common.adopt(args.interface) as engine:
        view = ViewCollector(engine).collect()
        counters, itch, refusals = engine.counters(), engine.itch_counts(), engine.refusals()
        working = engine.orders.open()
    if args.json:
        details = {"counters": counters, "itch": itch, "refusals": refusals, "working": list(map(asdict, working))}
        common.print_json({**view.as_dict(), **details})
        return codes.OK
    for line in plain_lines(view):
        print(line)
    for title, values in (("counters", counters), ("itch", itch)):
        print(f"  {title}: " + ", ".join(f"{name} {value}" for name, value in values.items() if value))
    for order in working:
        print(f"  order {orders.line(order)}")
    return codes.OK
