"""Options of the exchange about what befalls orders: faults, fees, the way of order entry, outages, halts."""

from __future__ import annotations

import argparse
from typing import Any

from turbo_hft.exchange.halts import HALTED, OPERATIONAL, PAUSED, Halt, ShortSaleRestriction
from turbo_hft.exchange.line import Faults
from turbo_hft.exchange.option_values import (
    count,
    delay,
    fee,
    microseconds,
    milliseconds,
    seconds,
    share,
    span,
    symbol_span,
    symbol_start,
)
from turbo_hft.exchange.order_faults import MILLISECOND_NS, OrderFaults
from turbo_hft.exchange.stream_faults import StreamFaults

# Option, its field of OrderFaults, what happens to which share.
_ORDER_FAULTS = (
    ("--reject-orders", "reject", "orders and replacements Rejected, for any reason of the protocol"),
    ("--dead-orders", "dead", "orders and replacements Accepted or Replaced, and dead with that (order state D)"),
    ("--pending-cancels", "cancel_pending", "cancels answered by Cancel Pending and carried out later"),
    ("--rejected-cancels", "cancel_reject", "cancels answered by Cancel Reject"),
    ("--broken-trades", "broken_trade", "trades broken later"),
    ("--reference-prices", "reference_price", "executions with a reference price (OUCH 4.2: G)"),
    ("--supervisory-cancels", "supervisory_cancel", "resting orders Canceled later, one in three in part (reason S)"),
    ("--priority-updates", "priority_update", "resting orders that get another place in the book later (T)"),
    ("--supervisory-modifies", "supervisory_modify", "resting orders Modified later: smaller, S to T, T to S"),
    ("--restatements", "restate", "resting orders Restated later (OUCH 5.0: R)"),
)


def add_order_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare those of orders and of their way."""
    later_ns = OrderFaults().later_ns
    orders = parser.add_argument_group(
        "orders and what goes wrong with them, from the seed (shares are 0 to 1)",
        "The summary counts each kind, the log has a line for each. Orders of one account never trade with each "
        "other: where they meet, both lose the shares (AIQ Canceled).",
    )
    for option, field, help_text in _ORDER_FAULTS:
        orders.add_argument(option, dest=field, type=share, default=0.0, metavar="SHARE", help=help_text)
    shortest, longest = (each / MILLISECOND_NS for each in later_ns)
    orders.add_argument(
        "--later",
        type=milliseconds,
        default=later_ns,
        metavar="MIN:MAX",
        help=f"how much later that is which comes later, in ms (default: {shortest:g}:{longest:g})",
    )
    orders.add_argument(
        "--fee",
        type=fee,
        action="append",
        metavar="FLAG=DOLLARS",
        help="fee a share by liquidity flag, negative if it is paid to the client; may be given several times",
    )
    link = parser.add_argument_group(
        "the way of order entry and what goes wrong on it, from the seed",
        "Over TCP nothing is lost, doubled or overtaken, only delayed; a session that is dropped is a RST there.",
    )
    for what in ("orders", "replies"):
        link.add_argument(f"--loss-{what}", type=share, default=0.0, metavar="SHARE", help=f"datagrams of {what} lost")
        link.add_argument(
            f"--duplicate-{what}", type=share, default=0.0, metavar="SHARE", help=f"datagrams of {what} sent twice"
        )
        link.add_argument(
            f"--reorder-{what}", type=share, default=0.0, metavar="SHARE", help=f"datagrams of {what} overtaken"
        )
        link.add_argument(
            f"--delay-{what}", type=delay, default=(0, 0), metavar="MIN:MAX", help=f"of datagrams of {what}, in µs"
        )
    link.add_argument(
        "--silence",
        type=span,
        action="append",
        default=[],
        metavar="START+LENGTH",
        help="order entry neither reads nor sends, in seconds of the feed; may be given several times",
    )
    link.add_argument(
        "--drop-session",
        type=seconds,
        action="append",
        default=[],
        metavar="START",
        help="order entry forgets who is logged in, without a word; may be given several times",
    )


def add_stream_arguments(parser: argparse.ArgumentParser, client_timeout_s: float, backlog_bytes: int) -> None:
    """Declare those of order entry over TCP."""
    streams = parser.add_argument_group("order entry over TCP (SoupBinTCP) and what goes wrong on each connection")
    streams.add_argument(
        "--cancel-on-disconnect",
        action="store_true",
        help="cancel an account's open orders when its connection ends: logout, FIN, RST, time-out or another login",
    )
    streams.add_argument(
        "--client-timeout",
        type=float,
        default=client_timeout_s,
        metavar="S",
        help=f"drop a client that says or takes nothing for so long (default: {client_timeout_s:g}); "
        "a login of 4.10 names its own",
    )
    streams.add_argument(
        "--backlog",
        type=count,
        default=backlog_bytes,
        metavar="BYTES",
        help=f"drop a client that is behind with more new replies for a second (default: {backlog_bytes})",
    )
    streams.add_argument(
        "--cut-after-replies", type=count, metavar="N", help="cut the connection in the middle of the reply after N"
    )
    streams.add_argument(
        "--cut-after-orders",
        type=count,
        metavar="N",
        help="cut it when N messages of the client were carried out, before the last one is answered",
    )
    streams.add_argument("--cut-by-reset", action="store_true", help="such a cut is a RST (default: FIN)")
    streams.add_argument(
        "--stall-reading",
        type=span,
        action="append",
        default=[],
        metavar="START+LENGTH",
        help="nothing is read, in seconds of the feed, but replies and heartbeats are sent; may be given several times",
    )
    streams.add_argument(
        "--segment-bytes", type=count, metavar="N", help="send at most N bytes at a time: 1 cuts everywhere"
    )
    streams.add_argument(
        "--hold-replies",
        type=microseconds,
        default=0,
        metavar="TIME",
        help="let replies wait so long for others to share a segment with, in µs",
    )


def add_halt_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare those of halts."""
    halts = parser.add_argument_group(
        "halts in random flow, in seconds after the start; each may be given several times",
        "Orders and replacements are rejected meanwhile, and nothing trades.",
    )
    halts.add_argument(
        "--halt",
        type=symbol_span,
        action="append",
        default=[],
        metavar="SYM@START+LENGTH",
        help="trading halt (H): the clients' resting orders are canceled too",
    )
    halts.add_argument(
        "--pause",
        type=symbol_span,
        action="append",
        default=[],
        metavar="SYM@START+LENGTH",
        help="limit up-limit down pause (H with state P)",
    )
    halts.add_argument(
        "--operational-halt",
        type=symbol_span,
        action="append",
        default=[],
        metavar="SYM@START+LENGTH",
        help="halt of this market alone (h)",
    )
    halts.add_argument(
        "--short-sale-restriction",
        type=symbol_start,
        action="append",
        default=[],
        metavar="SYM@START[+LENGTH]",
        help="price test (Y): short sales at or below the best bid are rejected",
    )


def order_settings(args: argparse.Namespace) -> dict[str, Any]:
    """What parsed arguments mean, as fields of ExchangeConfig. Errors: ConfigError."""
    return {
        "fees_e8": dict(args.fee or ()),
        "order_faults": OrderFaults(
            **{field: getattr(args, field) for _, field, _ in _ORDER_FAULTS}, later_ns=args.later
        ),
        "faults_orders": _link_faults(args, "orders"),
        "faults_replies": _link_faults(args, "replies"),
        "cancel_on_disconnect": args.cancel_on_disconnect,
        "client_timeout_s": args.client_timeout,
        "backlog_bytes": args.backlog,
        "stream_faults": StreamFaults(
            cut_after_replies=args.cut_after_replies,
            cut_after_orders=args.cut_after_orders,
            cut_by_reset=args.cut_by_reset,
            stalls_s=tuple(args.stall_reading),
            segment_bytes=args.segment_bytes,
            hold_ns=args.hold_replies,
        ),
        "silences_s": tuple(args.silence),
        "drops_s": tuple(args.drop_session),
        "halts": tuple(
            Halt(symbol, at_ns, length_ns, state)
            for state, each in ((HALTED, args.halt), (PAUSED, args.pause), (OPERATIONAL, args.operational_halt))
            for symbol, at_ns, length_ns in each
        ),
        "restrictions": tuple(ShortSaleRestriction(*each) for each in args.short_sale_restriction),
    }


def _link_faults(args: argparse.Namespace, what: str) -> Faults:
    return Faults(
        loss=getattr(args, f"loss_{what}"),
        duplicate=getattr(args, f"duplicate_{what}"),
        reorder=getattr(args, f"reorder_{what}"),
        delay_ns=getattr(args, f"delay_{what}"),
    )
