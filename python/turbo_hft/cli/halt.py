"""Throw a kill switch of the running engine: no order leaves after it, except what left before.

Without a symbol or --strategy the global switch is thrown. Orders already at the exchange stay there; --cancel takes
them down too, waits for the exchange's answers, and says what is left. It needs nothing of the process that runs the
engine but its interface: it may be stopped, or hang.
"""

from __future__ import annotations

import argparse

from turbo_hft.cli import cancel, codes, common, switch

NAME = "halt"
HELP = "stop all trading, one symbol's or one strategy's; --cancel takes working orders down"
EPILOG = """\
exit code 1 with --cancel: orders are left, which are named.

examples:
  turbo-hft halt --cancel
  turbo-hft halt AAPL
  turbo-hft halt --strategy quoter --cancel"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    switch.add_arguments(parser)
    parser.add_argument("--cancel", action="store_true", help="cancel the working orders too")
    cancel.add_timeout(parser)


def run(args: argparse.Namespace) -> int:
    """Halt."""
    from turbo_hft.control.requests import Halt

    wanted = Halt(
        symbol=args.symbol,
        strategy=args.strategy,
        cancel=args.cancel,
        timeout_s=args.timeout,
    )
    how = common.ask(args, wanted)
    if not args.cancel:
        switch.show(how, as_json=args.json)
        return codes.OK
    if args.json:
        common.print_json(how)
    else:
        switch.show(how, as_json=False)
        cancel.show(how)
    return codes.FAILURE if how["left"] else codes.OK
