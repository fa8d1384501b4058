"""Command line of the exchange: `python -m turbo_hft.exchange`.

Exit codes: 0 the session ended as it should (a signal is a proper end), 1 it failed, 2 the command line is wrong.
With `--json` the summary is the only thing on standard output; everything else goes to standard error.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from turbo_hft.errors import ConfigError, TurboHftError
from turbo_hft.exchange.config import ExchangeConfig
from turbo_hft.exchange.server import Exchange
from turbo_hft.wire.price import format_money_e4, parse_price_e4

OK, FAILURE, USAGE = 0, 1, 2
_LAST_PORT = 65_535


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
    network.add_argument("--ouch50", type=_port, default=default.ouch50_port, metavar="PORT", help="0 = any free one")
    network.add_argument("--ouch42", type=_port, default=default.ouch42_port, metavar="PORT", help="0 = any free one")
    network.add_argument("--session", default=default.session, help="session name of feed and order entry")
    network.add_argument(
        "--account", type=_account, action="append", metavar="USER:PASS", help="may be given several times"
    )
    flow = parser.add_argument_group("random flow")
    flow.add_argument(
        "--symbols",
        type=_symbols,
        default=None,
        metavar="SYM[=PRICE],…",
        help="symbols, with their price at the open in dollars (default: AAPL,MSFT)",
    )
    flow.add_argument("--seed", type=int, default=default.seed)
    flow.add_argument("--rate", type=int, default=default.rate, metavar="N", help="messages a second; 0 = none")
    flow.add_argument("--burst", type=int, default=default.burst, metavar="N", help="messages at one instant")
    replay = parser.add_argument_group("replay, instead of random flow")
    replay.add_argument("--replay", type=Path, metavar="FILE", help="BinaryFILE of ITCH 5.0 messages")
    replay.add_argument(
        "--speed", type=_speed, default=1.0, metavar="FACTOR|max", help="factor on the recorded pace (default 1)"
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
    course.add_argument("--busy", action="store_true", help="never sleep between messages (latency measurements)")
    output = parser.add_argument_group("output")
    output.add_argument("--log", type=Path, metavar="FILE", help="JSON lines of everything that arrives and trades")
    output.add_argument("--summary", type=Path, metavar="FILE", help="write the summary there as JSON")
    output.add_argument("--json", action="store_true", help="the summary as JSON on standard output")


def config_from(args: argparse.Namespace) -> ExchangeConfig:
    """The configuration that parsed arguments stand for. Errors: ConfigError."""
    default = ExchangeConfig()
    symbols: dict[str, int | None] = args.symbols or dict.fromkeys(default.symbols)
    return ExchangeConfig(
        bind=args.bind,
        interface=args.interface,
        netns=args.netns,
        feed=args.feed,
        ouch50_port=args.ouch50,
        ouch42_port=args.ouch42,
        session=args.session,
        accounts=dict(args.account) if args.account else default.accounts,
        symbols=tuple(symbols),
        prices_e4={symbol: price for symbol, price in symbols.items() if price is not None},
        seed=args.seed,
        rate=args.rate,
        burst=args.burst,
        duration_s=args.duration,
        replay=args.replay,
        speed=args.speed,
        messages_per_packet=args.messages_per_packet,
        wait_for_login=args.wait_for_login,
        login_timeout_s=args.login_timeout,
        start_delay_s=args.start_delay,
        linger_s=args.linger,
        busy=args.busy,
        log=args.log,
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
        description="Exchange simulator: ITCH 5.0 in MoldUDP64 out, OUCH 5.0 and 4.2 over UFO in.",
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
    for account, symbols in accounts.items():
        for symbol, row in symbols.items():
            lines.append(
                f"  {account} {symbol}: {row['orders']} orders, {row['executions']} executions, bought "
                f"{row['bought_qty']}, sold {row['sold_qty']}, position {row['position']}, realized "
                f"{format_money_e4(row['realized_e4'])}"
            )
    return "\n".join(lines)


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
        raise argparse.ArgumentTypeError(f"{text!r} is no UDP port (0 to {_LAST_PORT})")
    return int(text)


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
