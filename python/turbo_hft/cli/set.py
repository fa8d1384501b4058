"""Change parameters and limits of the running engine. They hold from the next packet on.

Either all values of one call are taken or none; limits take effect together. A symbol that is not tracked yet cannot be
added here: it would have no book.
"""

from __future__ import annotations

import argparse

from turbo_hft.cli import codes, common, settings
from turbo_hft.errors import ConfigError

NAME = "set"
HELP = "change targets, parameters and limits while it runs"
EPILOG = (
    settings.EXPLAINED
    + "\n\n"
    + settings.ACCOUNT_EXPLAINED
    + """

examples:
  turbo-hft set AAPL buy_below=163.20 sell_above=163.25
  turbo-hft set AAPL strategy=quoter quoter.half_spread=0.02 quoter.qty=100 max_short=300 short_ok=yes
  turbo-hft set max_gross=2000000 quoter.max_executions=500 fee.R=0.0030"""
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("symbol", nargs="?", metavar="SYMBOL", help="leave it away for settings of the whole engine")
    parser.add_argument("settings", nargs="*", metavar="key=value")
    common.add_interface(parser)
    common.add_because(parser)
    common.add_json(parser, "the settings after the change as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Set, and show the result."""
    words: list[str] = args.settings
    name: str | None = args.symbol
    if name is not None and "=" in name:
        words, name = [name, *words], None
    if not words:
        raise ConfigError("nothing to set: write key=value, see turbo-hft set --help")
    result: dict[str, object]
    with common.adopt(args) as engine:
        if name is None:
            wanted = settings.parse_account_settings(words)
            settings.apply_account(engine, wanted)
            result = settings.account(engine)
            for strategy in sorted({key.rpartition(".")[0] for key in wanted} - {"", "fee"}):
                limits = engine.strategies[strategy].limits.as_dict()
                result |= {f"{strategy}.{key}": settings.shown(value) for key, value in limits.items()}
        else:
            symbol = engine.symbols[name]
            settings.apply_symbol(engine, symbol, settings.parse_symbol_settings(words))
            result = settings.current(symbol)
        epoch = engine.epoch
    if args.json:
        common.print_json({**({} if name is None else {"symbol": name}), **result, "epoch": epoch})
    else:
        print(("" if name is None else f"{name} ") + settings.line({**result, "epoch": epoch}))
    return codes.OK
