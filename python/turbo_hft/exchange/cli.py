"""Command line of the exchange: `python -m turbo_hft.exchange`.

Exit codes: 0 the session ended as it should (a signal is a proper end), 1 it failed, 2 the command line is wrong.
With `--json` the summary is the only thing on standard output; everything else goes to standard error.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from turbo_hft.errors import ConfigError, TurboHftError
from turbo_hft.exchange.config import ExchangeConfig
from turbo_hft.exchange.fees import E8
from turbo_hft.exchange.line import Faults
from turbo_hft.exchange.option_values import delay, share
from turbo_hft.exchange.order_options import (
    add_halt_arguments,
    add_order_arguments,
    add_stream_arguments,
    order_settings,
)
from turbo_hft.exchange.server import Exchange
from turbo_hft.wire.price import format_money_e4, parse_price_e4

if TYPE_CHECKING:
    from turbo_hft.exchange.market import MarketConfig

OK, FAILURE, USAGE = 0, 1, 2
_LAST_PORT = 65_535
_ORDERS_A_SYMBOL = 10  # resting in a market: the busy books are deep then, and the simulator keeps up


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare all options on `parser`."""
    default = ExchangeConfig()
    network = parser.add_argument_group("network")
    network.add_argument("--bind", default=default.bind, help="address of order entry and source of the feed")
    network.add_argument("--interface", help="interface that multicast leaves on (default: the one of --bind)")
    network.add_argument("--netns", help="network namespace to enter first")
    network.add_argument(
        "--feed", type=_endpoint, default=default.feed, metavar="ADDR:PORT", help="where the feed is sent"
    )
    for name, udp, tcp in (
        ("ouch50", default.ouch50_port, default.ouch50_tcp_port),
        ("ouch42", default.ouch42_port, default.ouch42_tcp_port),
    ):
        network.add_argument(
            f"--{name}", type=_port, default=udp, metavar="PORT", help="UDP, orders over UFO; 0 = any free one"
        )
        network.add_argument(
            f"--{name}-tcp",
            type=_port_or_off,
            default=tcp,
            metavar="PORT",
            help="TCP, orders over SoupBinTCP; 0 = any free one, off = no such server",
        )
    network.add_argument("--session", default=default.session, help="session name of feed and order entry")
    network.add_argument(
        "--account", type=_account, action="append", metavar="USER:PASS", help="may be given several times"
    )
    network.add_argument(
        "--rerequest-port",
        type=_port_or_off,
        default=default.rerequest_port,
        metavar="PORT",
        help="UDP, messages that were missed; 0 = any free one, off = no such server",
    )
    network.add_argument(
        "--glimpse-port",
        type=_port_or_off,
        default=default.glimpse_port,
        metavar="PORT",
        help="TCP, snapshots; 0 = any free one, off = no such server",
    )
    _add_fault_arguments(parser)
    add_order_arguments(parser)
    add_stream_arguments(parser, default.client_timeout_s, default.backlog_bytes)
    add_halt_arguments(parser)
    flow = parser.add_argument_group("random flow")
    flow.add_argument(
        "--symbols",
        type=_symbols,
        default=None,
        metavar="SYM[=PRICE],…",
        help="symbols, with their price at the open in dollars (default: AAPL,MSFT)",
    )
    flow.add_argument("--seed", type=int, default=default.seed)
    flow.add_argument(
        "--rate",
        type=int,
        metavar="N",
        help=f"messages a second (default: {default.rate}, of a market its own); 0 = none",
    )
    flow.add_argument("--burst", type=int, default=default.burst, metavar="N", help="messages at one instant")
    market = parser.add_argument_group(
        "a whole market, instead of random flow", "--symbols names its most active ones; orders trade as in a replay"
    )
    market.add_argument("--market", type=int, metavar="SYMBOLS", help="make one of so many symbols")
    market.add_argument(
        "--live-orders",
        type=int,
        metavar="N",
        help=f"resting orders from the open on (default: {_ORDERS_A_SYMBOL} a symbol); 0 = begin with empty books",
    )
    market.add_argument("--market-opening", action="store_true", help="the first half minute's mix and pace")
    replay = parser.add_argument_group("replay, instead of random flow")
    replay.add_argument("--replay", type=Path, metavar="FILE", help="BinaryFILE of ITCH 5.0 messages")
    replay.add_argument(
        "--speed",
        type=_speed,
        default=1.0,
        metavar="FACTOR|max",
        help="factor on the pace of a replay or a market (default 1)",
    )
    course = parser.add_argument_group("course of the session")
    course.add_argument("--duration", type=float, metavar="S", help="end the feed after so much of its own time")
    course.add_argument(
        "--wait-for-login",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="publish nothing before a client logged in, so that it sees every message (default: wait)",
    )
    course.add_argument("--login-timeout", type=float, default=default.login_timeout_s, metavar="S")
    course.add_argument("--start-delay", type=float, default=default.start_delay_s, metavar="S")
    course.add_argument(
        "--linger", type=float, default=default.linger_s, metavar="S", help="order entry after the feed"
    )
    course.add_argument(
        "--messages-per-packet", type=int, default=default.messages_per_packet, metavar="N", help="at most"
    )
    course.add_argument(
        "--rollover-after", type=int, metavar="N", help="end the session after N messages and begin another one, once"
    )
    course.add_argument("--busy", action="store_true", help="never sleep between messages (latency measurements)")
    output = parser.add_argument_group("output")
    output.add_argument("--log", type=Path, metavar="FILE", help="JSON lines of everything that arrives and trades")
    output.add_argument("--record", type=Path, metavar="FILE.itch50", help="BinaryFILE of every message published")
    output.add_argument("--capture", type=Path, metavar="FILE.pcapng", help="every frame sent on the lines")
    output.add_argument("--summary", type=Path, metavar="FILE", help="write the summary there as JSON")
    output.add_argument("--json", action="store_true", help="the summary as JSON on standard output")


def _add_fault_arguments(parser: argparse.ArgumentParser) -> None:
    faults = parser.add_argument_group("lines and what goes wrong on them, from the seed (shares are 0 to 1)")
    faults.add_argument(
        "--feed-b", type=_endpoint, metavar="ADDR:PORT", help="a second line with the same packets (default: none)"
    )
    for line in "ab":
        name = line.upper()
        faults.add_argument(
            f"--loss-{line}", type=share, default=0.0, metavar="SHARE", help=f"packets lost on line {name}"
        )
    faults.add_argument(
        "--loss-both", type=share, default=0.0, metavar="SHARE", help="packets lost on both lines at once"
    )
    for line in "ab":
        name = line.upper()
        faults.add_argument(
            f"--duplicate-{line}", type=share, default=0.0, metavar="SHARE", help=f"packets sent twice on line {name}"
        )
        faults.add_argument(
            f"--reorder-{line}", type=share, default=0.0, metavar="SHARE", help=f"packets overtaken on line {name}"
        )
        faults.add_argument(
            f"--delay-{line}", type=delay, default=(0, 0), metavar="MIN:MAX", help=f"of line {name}'s packets, in µs"
        )
    faults.add_argument(
        "--rerequest-loss", type=share, default=0.0, metavar="SHARE", help="re-requests, and replies to them, lost"
    )
    faults.add_argument(
        "--rerequest-delay", type=delay, default=(0, 0), metavar="MIN:MAX", help="of replies to re-requests, in µs"
    )
    faults.add_argument(
        "--glimpse-delay", type=float, default=0.0, metavar="S", help="between taking a snapshot and sending it"
    )


def config_from(args: argparse.Namespace) -> ExchangeConfig:
    """The configuration that parsed arguments stand for. Errors: ConfigError."""
    default = ExchangeConfig()
    symbols: dict[str, int | None] = args.symbols or dict.fromkeys(default.symbols)
    return ExchangeConfig(
        bind=args.bind,
        interface=args.interface,
        netns=args.netns,
        feed=args.feed,
        feed_b=args.feed_b,
        faults_a=Faults(loss=args.loss_a, duplicate=args.duplicate_a, reorder=args.reorder_a, delay_ns=args.delay_a),
        faults_b=Faults(loss=args.loss_b, duplicate=args.duplicate_b, reorder=args.reorder_b, delay_ns=args.delay_b),
        loss_both=args.loss_both,
        rerequest_port=args.rerequest_port,
        rerequest_loss=args.rerequest_loss,
        rerequest_delay_ns=args.rerequest_delay,
        glimpse_port=args.glimpse_port,
        glimpse_delay_s=args.glimpse_delay,
        ouch50_port=args.ouch50,
        ouch42_port=args.ouch42,
        ouch50_tcp_port=args.ouch50_tcp,
        ouch42_tcp_port=args.ouch42_tcp,
        session=args.session,
        accounts=dict(args.account) if args.account else default.accounts,
        **order_settings(args),
        symbols=tuple(symbols),
        prices_e4={symbol: price for symbol, price in symbols.items() if price is not None},
        seed=args.seed,
        rate=default.rate if args.rate is None else args.rate,
        burst=args.burst,
        duration_s=args.duration,
        replay=args.replay,
        market=_market(args, symbols),
        speed=args.speed,
        messages_per_packet=args.messages_per_packet,
        rollover_after=args.rollover_after,
        wait_for_login=args.wait_for_login,
        login_timeout_s=args.login_timeout,
        start_delay_s=args.start_delay,
        linger_s=args.linger,
        busy=args.busy,
        log=args.log,
        record=args.record,
        capture=args.capture,
    )


def _market(args: argparse.Namespace, symbols: dict[str, int | None]) -> MarketConfig | None:
    """The market that was asked for. Errors: ConfigError."""
    if args.market is None:
        if args.live_orders is not None or args.market_opening:
            raise ConfigError("--live-orders and --market-opening are about a market: give --market too")
        return None
    from turbo_hft.exchange.flow import start_price_e4
    from turbo_hft.exchange.market import MarketConfig

    # Those that nobody asked for must not be more than there is room for.
    names = tuple(symbols) if args.symbols else tuple(symbols)[: max(args.market, 0)]
    return MarketConfig(
        seed=args.seed,
        symbols=args.market,
        names=names,
        prices_e4={name: symbols[name] or start_price_e4(name) for name in names},
        live_orders=_ORDERS_A_SYMBOL * args.market if args.live_orders is None else args.live_orders,
        opening=args.market_opening,
        rate=args.rate,
    )


def main(args: argparse.Namespace) -> int:
    """Run one session; the exit code."""
    try:
        summary = Exchange(config_from(args)).run()
        text = json.dumps(summary, indent=2)
        if args.summary is not None:
            _write(args.summary, text)
    except ConfigError as error:
        print(f"exchange: {error}", file=sys.stderr)
        return USAGE
    except TurboHftError as error:
        print(f"exchange: {error}", file=sys.stderr)
        return FAILURE
    if args.json:
        print(text)
    else:
        print(_plain(summary), file=sys.stderr)
    return OK


def run(argv: list[str] | None = None) -> int:
    """Entry point of the module."""
    parser = argparse.ArgumentParser(
        prog="turbo_hft.exchange",
        description="Exchange simulator: ITCH 5.0 in MoldUDP64 on one or two lines out, with re-requests and GLIMPSE "
        "snapshots; OUCH 5.0 and 4.2 over UFO and SoupBinTCP in.",
    )
    add_arguments(parser)
    return main(parser.parse_args(argv))


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise TurboHftError(f"cannot write the summary {path}: {error.strerror}; name a writable file") from error


def _plain(summary: dict[str, object]) -> str:
    feed, accounts = summary["feed"], summary["accounts"]
    assert isinstance(feed, dict) and isinstance(accounts, dict)
    lines = [
        f"exchange ended ({summary['ended_by']}): {feed['messages']} messages in {feed['packets']} packets, "
        f"last sequence {feed['last_sequence']}"
    ]
    lines += _plain_lines(summary)
    for account, symbols in accounts.items():
        for symbol, row in symbols.items():
            lines.append(
                f"  {account} {symbol}: {row['orders']} orders, {row['executions']} executions, bought "
                f"{row['bought_qty']}, sold {row['sold_qty']}, position {row['position']}, realized "
                f"{format_money_e4(row['realized_e4'])}"
                + (f", {row['broken']} trades broken" if row["broken"] else "")
                + (f", fees {row['fees_e8'] / E8:,.8f}" if row["fees_e8"] else "")
            )
    events = summary["order_events"]
    assert isinstance(events, dict)
    if events:
        lines.append("  " + ", ".join(f"{kind.replace('_', ' ')} {count}" for kind, count in events.items()))
    return "\n".join(lines)


def _plain_lines(summary: dict[str, object]) -> list[str]:
    """The lines, where there is more to say than that they sent every packet."""
    lines = summary["lines"]
    assert isinstance(lines, dict)
    return [
        f"  line {name.upper()}: {row['sent']} packets sent, {row['lost'] + row['lost_on_both']} lost, "
        f"{row['duplicated']} duplicated, {row['reordered']} reordered"
        for name, row in lines.items()
        if len(lines) > 1 or row["sent"] != row["offered"] or row["reordered"]
    ]


def _endpoint(text: str) -> tuple[str, int]:
    address, separator, port = text.rpartition(":")
    if not separator:
        raise argparse.ArgumentTypeError(f"{text!r} is no ADDR:PORT")
    octets = address.split(".")
    if len(octets) != 4 or not all(octet.isdecimal() and int(octet) < 256 for octet in octets):
        raise argparse.ArgumentTypeError(f"{address!r} is no IPv4 address")
    return address, _port(port)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > _LAST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is no port (0 to {_LAST_PORT})")
    return int(text)


def _port_or_off(text: str) -> int | None:
    return None if text == "off" else _port(text)


def _account(text: str) -> tuple[str, str]:
    user, separator, password = text.partition(":")
    if not separator:
        raise argparse.ArgumentTypeError(f"{text!r} is no USER:PASS")
    return user, password


def _symbols(text: str) -> dict[str, int | None]:
    symbols: dict[str, int | None] = {}
    for part in text.split(","):
        name, separator, price = part.partition("=")
        if name in symbols:
            raise argparse.ArgumentTypeError(f"{name!r} is named twice")
        try:
            symbols[name] = parse_price_e4(price) if separator else None
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error
    return symbols


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        return float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: give a factor, or max") from error
