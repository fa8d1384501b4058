"""Change settings of the running engine. They hold from the next packet on.

Either all values of one call are taken or none. A symbol that is not tracked yet cannot be added here: it would have
no book.
"""

from __future__ import annotations

import argparse

from turbo_hft.cli import codes, common, settings
from turbo_hft.errors import ConfigError

NAME = "set"
HELP = "change targets and limits while it runs"
EPILOG = (
    settings.EXPLAINED
    + """
without a symbol:
  max_orders_per_second  most orders in any one second; 0 = none

examples:
  turbo-hft set AAPL buy_below=163.20 sell_above=163.25
  turbo-hft set AAPL sell_above=off max_position=500
  turbo-hft set max_orders_per_second=50"""
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("symbol", nargs="?", metavar="SYMBOL", help="leave it away for settings of the whole engine")
    parser.add_argument("settings", nargs="*", metavar="key=value")
    common.add_interface(parser)
    common.add_json(parser, "the settings after the change as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Set, and show the result."""
    words: list[str] = args.settings
    name: str | None = args.symbol
    if name is not None and "=" in name:
        words, name = [name, *words], None
    if not words:
        raise ConfigError("nothing to set: write key=value, see turbo-hft set --help")
    wanted = settings.parse_settings(words, settings.GLOBAL_KEYS if name is None else settings.KEYS)
    with common.adopt(args.interface) as engine:
        if name is None:
            for key, value in wanted.items():
                setattr(engine, key, value)
            result: dict[str, object] = {key: getattr(engine, key) for key in settings.GLOBAL_KEYS}
        else:
            symbol = engine.symbols[name]
            settings.apply(symbol, wanted)
            result = {"symbol": name, **settings.current(symbol)}
        result["epoch"] = engine.epoch
    if args.json:
        common.print_json(result)
    else:
        print(" ".join(f"{key}={'off' if value is None else value}" for key, value in result.items()))
    return codes.OK
