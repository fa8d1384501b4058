"""Show the working orders of the running engine, or all that it remembers: the newest 4,096 of the day."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

from turbo_hft.cli import codes, common
from turbo_hft.wire.price import format_price_e4

if TYPE_CHECKING:
    from turbo_hft.snapshots import WorkingOrder

NAME = "orders"
HELP = "show working orders"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--all", action="store_true", help="ended ones too")
    parser.add_argument("--symbol", metavar="NAME", help="only of this symbol")
    parser.add_argument("--strategy", metavar="NAME", help="only of this strategy")
    common.add_interface(parser)
    common.add_json(parser, "one JSON object a line; prices in 1/10000 dollar")


def run(args: argparse.Namespace) -> int:
    """Show them."""
    with common.adopt(args) as engine:
        found = engine.orders.all() if args.all else engine.orders.open()
    for order in found:
        if args.symbol in (None, order.symbol) and args.strategy in (None, order.strategy):
            if args.json:
                common.print_json(asdict(order))
            else:
                print(line(order))
    return codes.OK


def line(order: WorkingOrder) -> str:
    """One order as one line."""
    pending = f" ({', '.join(order.pending)} pending)" if order.pending else ""
    other = f" other #{order.other_ref}" if order.other_ref else ""
    return (
        f"#{order.user_ref} {order.state}{pending} {order.strategy} {order.side}{' short' if order.short_sale else ''} "
        f"{order.open_qty} of {order.qty} {order.symbol} @ {format_price_e4(order.price_e4)}{other}"
    )
