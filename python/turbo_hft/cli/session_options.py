"""Options that say who talks to whom: the feed, the order-entry session, and the symbols."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from turbo_hft import settings
from turbo_hft.cli import common
from turbo_hft.cli.common import count, cpu
from turbo_hft.config.schema import help_of
from turbo_hft.errors import ConfigError, NotFlat, TurboHftError
from turbo_hft.settings import SymbolSpec, parse_symbol

if TYPE_CHECKING:
    from turbo_hft.addresses import FeedAddress, OrderSession
    from turbo_hft.engine import Engine
    from turbo_hft.order_entry import OrderEntry
    from turbo_hft.program import LoadSettings
    from turbo_hft.recovery import Glimpse

_LAST_PORT = 65_535
_NEEDED = ("local", "remote", "local_mac", "remote_mac", "account", "feed")
_DEFAULT_SYMBOLS = ("AAPL", "MSFT")


def add_session_options(parser: argparse.ArgumentParser, transport: str | None = "ufo") -> None:
    """Everything an engine is configured with. Whatever is left away is the standard lab's; `transport` None: that of
    the program that was found."""
    group = parser.add_argument_group("session and feed (defaults: the standard lab's)")
    group.add_argument("--protocol", choices=("ouch50", "ouch42"), default="ouch50", help="default %(default)s")
    group.add_argument(
        "--transport",
        choices=("ufo", "soupbintcp"),
        default=transport,
        help=f"what carries the orders: datagrams, or a TCP connection (default {transport or 'as it was loaded'})",
    )
    group.add_argument(
        "--merge-cpu",
        type=cpu,
        metavar="CPU",
        help="SoupBinTCP: a CPU for the thread alone that merges what the hook sent (default: it rests in between)",
    )
    group.add_argument(
        "--local",
        type=own_endpoint,
        metavar="ADDR:PORT",
        help="the engine's order-entry address; port 0: any, of SoupBinTCP only",
    )
    group.add_argument("--remote", type=endpoint, metavar="ADDR:PORT", help="the exchange's order-entry address")
    group.add_argument("--local-mac", metavar="MAC", help="of the interface")
    group.add_argument("--remote-mac", metavar="MAC", help="of the next hop to the exchange")
    group.add_argument("--account", metavar="USER:PASS", help="for the login")
    group.add_argument("--firm", metavar="MPID", help="OUCH 4.2: the firm orders are entered for")
    group.add_argument("--tif", choices=("ioc", "day"), default="ioc", help="time in force (default %(default)s)")
    group.add_argument(
        "--token-prefix", default="", metavar="CHARS", help="OUCH 4.2: six characters of every token, for --recover"
    )
    group.add_argument("--vlan", type=int, metavar="ID", help="802.1Q tag of order frames")
    group.add_argument("--feed", type=endpoint, metavar="ADDR:PORT", help="multicast group or address of the feed")
    group.add_argument("--feed-source", metavar="ADDR", help="take the feed from this sender only")
    group.add_argument("--feed-b", type=endpoint, metavar="ADDR:PORT", help="line B: the same feed by another way")
    group.add_argument("--feed-b-source", metavar="ADDR", help="take line B from this sender only")
    group.add_argument("--rerequest", type=endpoint, metavar="ADDR:PORT", help="the feed's re-request server")
    group.add_argument(
        "--rerequest-local",
        type=endpoint,
        metavar="ADDR:PORT",
        help="where its replies are taken (default: the order-entry address, the port after its)",
    )
    add_glimpse_option(group)
    group.add_argument("--start-flat", action="store_true", help=help_of("engine", "start_flat"))
    group.add_argument(
        "--no-lab-defaults", action="store_true", help="take nothing from the lab: what is not given is an error"
    )
    group.add_argument(
        "--login-timeout",
        type=float,
        default=5.0,
        metavar="S",
        help="wait so long for the exchange (default %(default)s)",
    )


def log_in(entry: OrderEntry, timeout_s: float, *, start_flat: bool, recover: bool = False) -> bool:
    """Log in; may the engine trade? Otherwise the account has traded before, which is said, and it stays halted.
    Raises ExchangeError, ConfigError."""
    try:
        entry.login(timeout_s, recover=recover, start_flat=start_flat)
    except NotFlat as error:
        common.say(f"HALTED: {error}")
        return False
    return True


def add_glimpse_option(group: argparse._ArgumentGroup | argparse.ArgumentParser) -> None:
    """`--glimpse`."""
    group.add_argument(
        "--glimpse", type=endpoint, metavar="ADDR:PORT", help="the snapshot server; it knows the same account"
    )


def add_symbol_option(parser: argparse.ArgumentParser) -> None:
    """`--symbol`, repeatable."""
    parser.add_argument(
        "--symbol",
        action="append",
        type=_symbol,
        metavar="NAME:key=value,…",
        help="track a symbol, with its settings (see below); may be given several times",
    )


def add_size_options(parser: argparse.ArgumentParser) -> None:
    """How large the tables are that a program is loaded with."""
    group = parser.add_argument_group("sizes, fixed for the engine's life")
    group.add_argument("--max-symbols", type=count, metavar="N", help="symbols that can be tracked (default 256)")
    group.add_argument("--max-orders", type=count, metavar="N", help="resting orders of them all (default 131072)")


def sizes_from(args: argparse.Namespace) -> LoadSettings:
    """The sizes that were given, for Engine.open."""
    sizes: LoadSettings = {}
    if args.max_symbols is not None:
        sizes["symbols"] = args.max_symbols
    if args.max_orders is not None:
        sizes["orders"] = args.max_orders
    return sizes


def session_from(args: argparse.Namespace) -> tuple[OrderSession, FeedAddress]:
    """Session and feed as the options say. Raises ConfigError."""
    from turbo_hft import lab as lab_addresses
    from turbo_hft.addresses import FeedAddress, OrderSession, Rerequest, lab_feed, lab_session

    if args.no_lab_defaults:
        missing = [f"--{name.replace('_', '-')}" for name in _NEEDED if getattr(args, name) is None]
        if missing:
            raise ConfigError(f"{', '.join(missing)} missing: give them, or leave --no-lab-defaults away")
    if args.local is not None and not args.local[1] and args.transport == "ufo":
        raise ConfigError("--local: the port is 1 to 65535 over UFO")
    lab = lab_session(args.protocol, args.tif, args.transport)
    username, password = account_from(args.account)
    session = OrderSession(
        local=args.local or lab.local,
        remote=args.remote or lab.remote,
        local_mac=args.local_mac or lab.local_mac,
        remote_mac=args.remote_mac or lab.remote_mac,
        username=username,
        password=password,
        protocol=args.protocol,
        firm=args.firm or "",
        tif=args.tif,
        vlan=args.vlan,
        token_prefix=args.token_prefix,
        transport=args.transport,
    )
    feed = lab_feed()
    if args.feed is not None:
        feed = FeedAddress(*args.feed)
    if args.feed is not None or args.feed_source is not None:
        feed = replace(feed, source=args.feed_source)
    if args.feed_b is not None or args.feed_b_source is not None:
        group_b, port_b = args.feed_b or (None, None)
        feed = replace(feed, group_b=group_b, port_b=port_b, source_b=args.feed_b_source)
    if args.rerequest is not None:
        local = args.rerequest_local or (session.local[0], (session.local[1] or lab_addresses.ENGINE_PORT) + 1)
        feed = replace(feed, rerequest=Rerequest(args.rerequest, local))
    elif args.rerequest_local is not None:
        raise ConfigError("--rerequest-local without a server: give --rerequest too")
    elif not args.no_lab_defaults:
        server = (lab_addresses.EXCHANGE_ADDRESS, lab_addresses.REREQUEST_PORT)
        feed = replace(
            feed, rerequest=Rerequest(server, (session.local[0], (session.local[1] or lab_addresses.ENGINE_PORT) + 1))
        )
    return session, feed


def glimpse_from(args: argparse.Namespace, session: OrderSession) -> Glimpse | None:
    """The snapshot server as the options say, which knows the account of order entry; None without one."""
    if args.glimpse is None and args.no_lab_defaults:
        return None
    return glimpse_at(args.glimpse, session.username, session.password)


def glimpse_at(server: tuple[str, int] | None, username: str, password: str) -> Glimpse:
    """A snapshot server, by default the lab's."""
    from turbo_hft import lab
    from turbo_hft.recovery import Glimpse

    return Glimpse(server or (lab.EXCHANGE_ADDRESS, lab.GLIMPSE_PORT), username, password)


def account_from(text: str | None) -> tuple[str, str]:
    """USER:PASS, by default the lab's. Raises ConfigError."""
    from turbo_hft import lab

    if text is None:
        return lab.USERNAME, lab.PASSWORD
    username, separator, password = text.partition(":")
    if not separator:
        raise ConfigError("--account: write USER:PASS")
    return username, password


def default_symbols() -> list[SymbolSpec]:
    """Two symbols of the exchange simulator, with targets around the price they open at."""
    from turbo_hft.exchange.flow import CENT_E4, start_price_e4
    from turbo_hft.wire.price import format_price_e4

    return [
        SymbolSpec(
            name,
            {
                "buy_below": format_price_e4(start_price_e4(name) - CENT_E4),
                "sell_above": format_price_e4(start_price_e4(name) + 2 * CENT_E4),
            },
        )
        for name in _DEFAULT_SYMBOLS
    ]


def add_symbols(engine: Engine, specs: Iterable[SymbolSpec]) -> None:
    """Track them all."""
    for spec in specs:
        settings.add(engine, spec)


def own_endpoint(text: str) -> tuple[str, int]:
    """Type of an option: ADDR:PORT, the port may be 0."""
    return endpoint(text, least=0)


def endpoint(text: str, *, least: int = 1) -> tuple[str, int]:
    """Type of an option: ADDR:PORT."""
    address, _, port = text.rpartition(":")
    octets = address.split(".")
    if len(octets) != 4 or not all(octet.isdecimal() and int(octet) < 256 for octet in octets):
        raise argparse.ArgumentTypeError(f"{text!r}: write ADDR:PORT with an IPv4 address")
    if not port.isdecimal() or not least <= int(port) <= _LAST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r}: the port is {least} to {_LAST_PORT}")
    return address, int(port)


def _symbol(text: str) -> SymbolSpec:
    try:
        return parse_symbol(text)
    except TurboHftError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
