"""Release a kill switch of the running engine, so that orders may leave again within every limit.

Without a symbol or --strategy the global switch is released, which needs a process that keeps the engine's lease; an
order leaves when the switches of all, of its symbol and of its strategy are released.
"""

from __future__ import annotations

import argparse

from turbo_hft.cli import codes, common, switch

NAME = "resume"
HELP = "let all symbols trade again, or one, or a strategy"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    switch.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Resume."""
    from turbo_hft.control.requests import Resume

    how = common.ask(args, Resume(symbol=args.symbol, strategy=args.strategy))
    switch.show(how, as_json=args.json)
    return codes.OK
