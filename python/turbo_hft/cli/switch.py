"""The kill switches, for `halt`, `reduce` and `resume`: of all orders, of a symbol's, of a strategy's."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from turbo_hft.cli import common
from turbo_hft.errors import ConfigError

if TYPE_CHECKING:
    from turbo_hft.engine import Engine
    from turbo_hft.kill import Switch


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options that all of them have."""
    parser.add_argument("symbol", nargs="?", metavar="SYMBOL", help="only this one")
    parser.add_argument("--strategy", metavar="NAME", help="only this strategy's orders")
    common.add_interface(parser)
    common.add_because(parser)
    common.add_json(parser, "the new state as one JSON object")


def target(engine: Engine, args: argparse.Namespace) -> Switch:
    """Whose switch it is. Raises ConfigError."""
    if args.symbol is not None and args.strategy is not None:
        raise ConfigError("a symbol and --strategy: each has a switch of its own, give one of them")
    if args.strategy is not None:
        return engine.strategies[args.strategy]
    return engine if args.symbol is None else engine.symbols[args.symbol]


def state(engine: Engine, interface: str) -> dict[str, Any]:
    """How all of them stand."""
    return {
        "interface": interface,
        "state": engine.state,
        "symbols": {symbol.name: symbol.state for symbol in engine.symbols},
        "strategies": {strategy.name: strategy.state for strategy in engine.strategies},
        "epoch": engine.epoch,
    }


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
