"""Show the running engine once: feed, order entry, every symbol, latency, every counter that is not zero.

Reads shared memory and counters only; the engine and whoever reads its events are not disturbed.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from datetime import datetime
from typing import Any

from turbo_hft.cli import codes, common, orders
from turbo_hft.dashboard.collector import ViewCollector
from turbo_hft.dashboard.plain import plain_lines
from turbo_hft.errors import NotRunning

NAME = "status"
HELP = "show the running engine once"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    common.add_interface(parser)
    parser.add_argument("--all", action="store_true", help="a line for each engine of this machine")
    common.add_json(parser, "as one JSON object, with all counters and working orders")


def run(args: argparse.Namespace) -> int:
    """Show it."""
    if args.all:
        return _all(args)
    with common.adopt(args) as engine:
        view = ViewCollector(engine).collect()
        counters, itch, refusals = engine.counters(), engine.itch_counts(), engine.refusals()
        working = engine.orders.open()
        program = {**asdict(engine.user.now), "controller": engine.controller, "pinned": engine.pins is not None}
    if args.json:
        details: dict[str, object] = {
            "counters": counters,
            "itch": itch,
            "refusals": refusals,
            "working": list(map(asdict, working)),
        }
        details["program"] = program
        common.print_json({**view.as_dict(), **details})
        return codes.OK
    for line in plain_lines(view):
        print(line)
    print("  program  " + _program(program))
    for title, values in (("counters", counters), ("itch", itch)):
        print(f"  {title}: " + ", ".join(f"{name} {value}" for name, value in values.items() if value))
    for order in working:
        print(f"  order {orders.line(order)}")
    return codes.OK


def _program(about: dict[str, Any]) -> str:
    """Which program it is, since when, and who keeps it."""
    words = [f"generation {about['number']}"]
    if about["engine_sha256"]:
        since = datetime.fromtimestamp(about["since_ns"] / 1e9).astimezone()
        words += [f"sha256 {about['engine_sha256'][:16]}", f"since {since:%Y-%m-%d %H:%M:%S %z}"]
    if about["name"]:
        words.append(f"with strategy {about['name']}")
    words.append("pinned" if about["pinned"] else "not pinned")
    words.append(f"run by process {about['controller']}" if about["controller"] else "run by nobody")
    return ", ".join(words)


def _all(args: argparse.Namespace) -> int:
    from turbo_hft.engines import engines
    from turbo_hft.layout import DEFAULT_ROOT

    listed = engines(args.pin_root or DEFAULT_ROOT)
    if args.json:
        common.print_json([asdict(one) for one in listed], indent=2)
        return codes.OK
    for one in listed:
        print(one.line())
    if not listed:
        raise NotRunning("no engine runs on this machine, as far as this user may see: start one with `turbo-hft run`.")
    return codes.OK
