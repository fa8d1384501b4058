"""Show the running engine once: feed, order entry, every symbol, latency, every counter that is not zero.

Reads shared memory and counters only; the engine and whoever reads its events are not disturbed.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from datetime import datetime
from typing import Any

from turbo_hft.cli import codes, common, orders
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
    from turbo_hft.control.requests import Status
    from turbo_hft.dashboard.plain import plain_lines
    from turbo_hft.dashboard.view import View

    if args.all:
        return _all(args)
    found = common.ask(args, Status())
    if args.json:
        common.print_json({**found.pop("view"), **found})
        return codes.OK
    for line in plain_lines(View.from_dict(found["view"])):
        print(line)
    print("  program  " + _program(found["program"]))
    for title in ("counters", "itch"):
        print(f"  {title}: " + ", ".join(f"{name} {value}" for name, value in found[title].items() if value))
    for order in found["working"]:
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
