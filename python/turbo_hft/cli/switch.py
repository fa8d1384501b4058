"""The kill switches, for `halt`, `reduce` and `resume`: of all orders, of a symbol's, of a strategy's."""

from __future__ import annotations

import argparse
from typing import Any

from turbo_hft.cli import common


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options that all of them have."""
    parser.add_argument("symbol", nargs="?", metavar="SYMBOL", help="only this one")
    parser.add_argument("--strategy", metavar="NAME", help="only this strategy's orders")
    common.add_interface(parser)
    common.add_because(parser)
    common.add_json(parser, "the new state as one JSON object")


def show(how: dict[str, Any], *, as_json: bool) -> None:
    """Say it."""
    if as_json:
        common.print_json(how)
        return
    words = {"active": "trading", "reducing": "reducing only", "halted": "halted"}
    line = f"{how['interface']}: {words[how['state']]}"
    for what in ("symbols", "strategies"):
        others = [f"{name} {words[state]}" for name, state in how[what].items() if state != "active"]
        line += f", {what}: {', '.join(others)}" if others else ""
    print(line)
