"""Show the working orders of the running engine, or all that it remembers: the newest 4,096 of the day."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from turbo_hft.cli import codes, common
from turbo_hft.wire.price import format_price_e4

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
    from turbo_hft.control.requests import Orders

    found = common.ask(args, Orders(all=args.all, symbol=args.symbol, strategy=args.strategy))
    for order in found["orders"]:
        if args.json:
            common.print_json(order)
        else:
            print(line(order))
    return codes.OK


def line(order: Mapping[str, Any]) -> str:
    """One order, as `Orders` answers it, as one line."""
    pending = f" ({', '.join(order['pending'])} pending)" if order["pending"] else ""
    other = f" other #{order['other_ref']}" if order["other_ref"] else ""
    return (
        f"#{order['user_ref']} {order['state']}{pending} {order['strategy']} {order['side']}"
        f"{' short' if order['short_sale'] else ''} {order['open_qty']} of {order['qty']} {order['symbol']} @ "
        f"{format_price_e4(order['price_e4'])}{other}"
    )
