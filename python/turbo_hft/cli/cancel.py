"""Cancel working orders of the running engine: those named by their numbers, or all, of a symbol, of a strategy.

A strategy that is not halted may send new ones at once: `turbo-hft halt --cancel` stops it first.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from turbo_hft.cli import codes, common, orders
from turbo_hft.errors import ConfigError

NAME = "cancel"
HELP = "cancel working orders"
EPILOG = """\
exit code 1: orders are left, which are named (not with numbers: those are only asked for).

examples:
  turbo-hft cancel 17 18
  turbo-hft cancel --all --symbol AAPL"""


def add_timeout(parser: argparse.ArgumentParser) -> None:
    """`--timeout`."""
    parser.add_argument(
        "--timeout",
        type=common.seconds,
        default=2.0,
        metavar="S",
        help="wait so long for the exchange's answers (default %(default)s)",
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("order", nargs="*", type=common.count, metavar="NUMBER", help="UserRefNum of an order")
    parser.add_argument("--all", action="store_true", help="all of them, and wait until they have ended")
    parser.add_argument("--symbol", metavar="NAME", help="with --all: only of this symbol")
    parser.add_argument("--strategy", metavar="NAME", help="with --all: only of this strategy")
    add_timeout(parser)
    common.add_interface(parser)
    common.add_json(parser, "what came of it as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Cancel."""
    from turbo_hft.control.requests import Cancel, CancelAll

    if bool(args.order) == args.all:
        raise ConfigError("give numbers of orders, or --all")
    if args.order and (args.symbol or args.strategy):
        raise ConfigError("--symbol and --strategy go with --all")
    if args.order:
        asked = common.ask(args, Cancel(orders=tuple(args.order)))
        if args.json:
            common.print_json(asked)
        return codes.OK
    report = common.ask(args, CancelAll(symbol=args.symbol, strategy=args.strategy, timeout_s=args.timeout))
    if args.json:
        common.print_json(report)
    else:
        show(report)
    return codes.FAILURE if report["left"] else codes.OK


def show(report: Mapping[str, Any]) -> None:
    """Say what came of it."""
    print(f"{report['canceled']} orders ended, {len(report['left'])} left")
    for order in report["left"]:
        print(f"  {orders.line(order)}" + (f": {order['refused']}" if order["refused"] else ""))
