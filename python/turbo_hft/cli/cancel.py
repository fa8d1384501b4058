"""Cancel working orders of the running engine: those named by their numbers, or all, of a symbol, of a strategy.

A strategy that is not halted may send new ones at once: `turbo-hft halt --cancel` stops it first.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from turbo_hft.cli import codes, common, orders
from turbo_hft.errors import ConfigError

if TYPE_CHECKING:
    from turbo_hft.orders import CancelReport

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
    if bool(args.order) == args.all:
        raise ConfigError("give numbers of orders, or --all")
    if args.order and (args.symbol or args.strategy):
        raise ConfigError("--symbol and --strategy go with --all")
    with common.adopt(args) as engine:
        for number in args.order:
            engine.orders.cancel(number)
        report = engine.orders.cancel_all(args.symbol, args.strategy, timeout_s=args.timeout) if args.all else None
    if report is None:
        if args.json:
            common.print_json({"asked": args.order})
        return codes.OK
    if args.json:
        common.print_json(as_dict(report))
    else:
        show(report)
    return codes.FAILURE if report.left else codes.OK


def as_dict(report: CancelReport) -> dict[str, Any]:
    """JSON-ready."""
    left = [{**asdict(order), "refused": report.refused.get(order.user_ref)} for order in report.left]
    return {"canceled": report.canceled, "left": left}


def show(report: CancelReport) -> None:
    """Say it."""
    print(f"{report.canceled} orders ended, {len(report.left)} left")
    for order in report.left:
        refused = report.refused.get(order.user_ref)
        print(f"  {orders.line(order)}" + (f": {refused}" if refused else ""))
