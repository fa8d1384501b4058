"""Raise an engine on an interface, log in, trade, and print every event until it is told to stop.

Missing messages are asked for again, and books restored from snapshots, if the feed has servers for that.
It ends after --duration, with Ctrl-C, or when the exchange has ended feed and session. The program leaves the
interface in every case. Steer it from another shell with set, halt, resume, status and dashboard.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING

from turbo_hft.cli import codes, common, session_options, settings
from turbo_hft.cli.signals import StopFlag
from turbo_hft.dashboard import text
from turbo_hft.dashboard.view import event_row

if TYPE_CHECKING:
    from turbo_hft.engine import Engine
    from turbo_hft.events import Event

NAME = "run"
HELP = "raise an engine on an interface and print its events"
EPILOG = (
    settings.EXPLAINED
    + """

example, in the lab:
  turbo-hft lab up
  turbo-hft exchange --netns exchange_ns &
  turbo-hft run --symbol AAPL:buy_below=163.19,sell_above=163.22"""
)
_STEP_S = 0.02
_SETTLE_S = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    common.add_interface(parser)
    parser.add_argument(
        "--mode", choices=("native", "generic"), default="native", help="where the program runs (default %(default)s)"
    )
    session_options.add_symbol_option(parser)
    parser.add_argument("--max-orders-per-second", type=int, metavar="N", help="all symbols together (default 100)")
    parser.add_argument("--duration", type=common.seconds, metavar="S", help="stop after so many seconds")
    parser.add_argument("--halted", action="store_true", help="start halted; `turbo-hft resume` lets it trade")
    parser.add_argument("--no-recovery", action="store_true", help="leave gaps and doubtful books as they are")
    parser.add_argument("--no-login", action="store_true", help="only follow the feed: no order-entry session")
    session_options.add_session_options(parser)
    session_options.add_size_options(parser)
    common.add_json(parser, "events as JSON, one a line")


def run(args: argparse.Namespace) -> int:
    """Run until it ends."""
    from turbo_hft.engine import Engine, Mode
    from turbo_hft.order_entry import OrderEntry
    from turbo_hft.recovery import Recovery

    session, feed = session_options.session_from(args)
    glimpse = session_options.glimpse_from(args, session)
    specs = args.symbol or session_options.default_symbols()
    with StopFlag() as stop, ExitStack() as stack:
        sizes = session_options.sizes_from(args)
        engine = stack.enter_context(Engine.open(args.interface, mode=Mode(args.mode), **sizes))
        if args.max_orders_per_second is not None:
            engine.max_orders_per_second = args.max_orders_per_second
        session_options.add_symbols(engine, specs)
        engine.configure(session, feed)
        events = engine.events  # before the first frame, so that none is missed
        stop.check()
        recovery = None
        if not args.no_recovery and (feed.rerequest is not None or glimpse is not None):
            recovery = stack.enter_context(Recovery(engine, feed, glimpse))
        engine.attach()
        if not args.no_login:
            entry = stack.enter_context(OrderEntry(engine, session))
            entry.login(args.login_timeout)
            if not args.halted:
                engine.resume()
        names = ", ".join(spec.name for spec in specs)
        common.say(f"engine on {args.interface} ({args.mode}): {'halted' if engine.halted else 'trading'} {names}")
        end = None if args.duration is None else time.monotonic() + args.duration
        while not stop.wait(_STEP_S) and (end is None or time.monotonic() < end):
            _print(events.drain(), as_json=args.json)
            if _over(engine, logged_in=not args.no_login):
                common.say("the exchange ended feed and session")
                break
        engine.halt()
        _settle(engine)
        _print(events, as_json=args.json)
        lost = events.lost
        common.say(_summary(engine) + (f", {lost} events LOST" if lost else ""))
        if recovery is not None and (status := recovery.status()).history:
            common.say(status.line())
        interrupted = bool(stop.number)
    return codes.INTERRUPTED if interrupted else codes.OK


def _print(events: Iterable[Event], *, as_json: bool) -> None:
    for event in events:
        if as_json:
            common.print_json(asdict(event))
        else:
            print(text.event(event_row(event)), flush=True)


def _over(engine: Engine, *, logged_in: bool) -> bool:
    feeds = {feed.health for feed in engine.feeds} - {"idle"}
    return feeds == {"ended"} and (not logged_in or engine.session.health == "ended")


def _settle(engine: Engine) -> None:
    """Give replies to orders in flight the time to arrive."""
    end = time.monotonic() + _SETTLE_S
    while engine.session.health == "up" and engine.working() and time.monotonic() < end:
        time.sleep(_STEP_S)


def _summary(engine: Engine) -> str:
    states = [symbol.snapshot() for symbol in engine.symbols]
    parts = [
        f"{state.name} {state.orders_sent} orders, {state.fills} fills, position {state.position}, "
        f"realized {text.cents(state.realized_e4)}"
        for state in states
    ]
    return "; ".join(parts)
