"""Raise an engine on an interface, log in, trade, and print every event until it is told to stop.

Missing messages are asked for again, and books restored from snapshots, if the feed has servers for that.
It ends after --duration, with Ctrl-C, or when the exchange has ended feed and session. Working orders are cancelled
then, and the program leaves the interface in every case. Steer it from another shell with set, halt, resume, status and
dashboard. If this process is killed, stopped or hangs, orders stop within the lease.

With --pin or --pin-root the engine outlives this process: killed, it leaves program, positions, orders and books where
they are, and the next `run` takes them over as they stand (what was set live stays set). Only its regular end takes the
engine away, unless --leave says not to.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from turbo_hft.cli import codes, common, orders, session_options, settings
from turbo_hft.cli.signals import StopFlag
from turbo_hft.dashboard import text
from turbo_hft.dashboard.view import event_row
from turbo_hft.errors import ConfigError

if TYPE_CHECKING:
    from turbo_hft.addresses import FeedAddress, OrderSession
    from turbo_hft.engine import Engine
    from turbo_hft.events import Event, EventStream
    from turbo_hft.order_entry import OrderEntry
    from turbo_hft.recovery import Glimpse, Recovery

NAME = "run"
HELP = "raise an engine on an interface and print its events"
EPILOG = (
    settings.EXPLAINED
    + "\n\n"
    + settings.ACCOUNT_EXPLAINED
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
    parser.add_argument(
        "--limit",
        action="append",
        default=[],
        metavar="key=value",
        help="of all symbols together (see below); may be given several times",
    )
    parser.add_argument(
        "--lease",
        type=common.seconds,
        default=1.0,
        metavar="S",
        help="orders stop so long after this process was killed, stopped or hangs (default %(default)s)",
    )
    parser.add_argument("--duration", type=common.seconds, metavar="S", help="stop after so many seconds")
    parser.add_argument(
        "--strategy-object", metavar="FILE.o", help="link a strategy of your own in: see `turbo-hft strategy --help`"
    )
    parser.add_argument("--halted", action="store_true", help="start halted; `turbo-hft resume` lets it trade")
    parser.add_argument("--no-recovery", action="store_true", help="leave gaps and doubtful books as they are")
    parser.add_argument("--recover", action="store_true", help="take orders and positions from the day's replies")
    parser.add_argument(
        "--rearm", action="store_true", help="trade on after a silence of the exchange that left nothing uncertain"
    )
    parser.add_argument("--keep-orders", action="store_true", help="leave working orders at the exchange at the end")
    parser.add_argument(
        "--pin", action="store_true", help="pin the engine, so that it outlives this process; --pin-root does too"
    )
    parser.add_argument(
        "--on-restart",
        choices=("halt", "trade"),
        default="halt",
        help="an engine that is taken over stays halted until a person resumes it, or goes on as it was (%(default)s)",
    )
    parser.add_argument("--leave", action="store_true", help="leave engine and orders as they are at the end")
    parser.add_argument("--no-login", action="store_true", help="only follow the feed: no order-entry session")
    session_options.add_session_options(parser)
    session_options.add_size_options(parser)
    common.add_json(parser, "events as JSON, one a line")


def run(args: argparse.Namespace) -> int:
    """Run until it ends."""
    session, feed = session_options.session_from(args)
    glimpse = session_options.glimpse_from(args, session)
    with StopFlag() as stop, ExitStack() as stack:
        engine = stack.enter_context(_engine(args, session, feed))
        try:
            running = _start(engine, args, session, feed, glimpse, stop, stack)
        except BaseException:
            if engine.owner:  # nobody has traded with it yet
                engine.detach()
            raise
        end = None if args.duration is None else time.monotonic() + args.duration
        generation = engine.user.generation
        while not stop.wait(_STEP_S) and (end is None or time.monotonic() < end):
            engine.lease.beat()
            _print(running.events.drain(), as_json=args.json)
            if engine.user.generation != generation:
                generation = engine.user.generation
                common.say(f"generation {generation} of the program is in force")
            if _over(engine, logged_in=running.entry is not None):
                common.say("the exchange ended feed and session")
                break
        interrupted = bool(stop.number)
        if args.leave:
            if running.entry is not None:
                running.entry.leave()
            common.say(f"the engine on {args.interface} is left as it is: `turbo-hft run` takes it over")
        else:
            _end(engine, running, args)
    return codes.INTERRUPTED if interrupted else codes.OK


@dataclass(slots=True)
class _Running:
    """An engine that is up, and what this process does for it."""

    events: EventStream
    recovery: Recovery | None
    entry: OrderEntry | None


def _engine(args: argparse.Namespace, session: OrderSession, feed: FeedAddress) -> Engine:
    """The one that is pinned, taken over; or a fresh one, configured and not attached yet."""
    from turbo_hft.engine import Engine, Mode
    from turbo_hft.layout import DEFAULT_ROOT
    from turbo_hft.pins import Pins

    root = args.pin_root or (DEFAULT_ROOT if args.pin else None)
    if args.leave and root is None:
        raise ConfigError("--leave: only an engine that is pinned can be left; give --pin or --pin-root")
    if root is not None and Pins(root, args.interface).there:
        engine = Engine.adopt(args.interface, pin=root)
        try:
            engine.take_over()
        except BaseException:
            engine.close()
            raise
        return engine
    limits = settings.parse_account_settings(args.limit)
    sizes = session_options.sizes_from(args)
    engine = Engine.open(args.interface, mode=Mode(args.mode), strategy=args.strategy_object, pin=root, **sizes)
    try:
        settings.apply_account(engine, limits)
        session_options.add_symbols(engine, args.symbol or session_options.default_symbols())
        engine.configure(session, feed)
        engine.take_over()
    except BaseException:
        engine.close()
        raise
    return engine


def _start(
    engine: Engine,
    args: argparse.Namespace,
    session: OrderSession,
    feed: FeedAddress,
    glimpse: Glimpse | None,
    stop: StopFlag,
    stack: ExitStack,
) -> _Running:
    from turbo_hft.order_entry import OrderEntry
    from turbo_hft.recovery import Recovery

    engine.lease.seconds = args.lease
    events = engine.events  # before the first frame, so that none is missed
    stop.check()
    recovery = None
    if not args.no_recovery and (feed.rerequest is not None or glimpse is not None):
        recovery = stack.enter_context(Recovery(engine, feed, glimpse))
    adopted = not engine.owner
    if not adopted:
        engine.attach()
    entry = None
    if not args.no_login and not (adopted and engine.session.health == "ended"):
        engine.lease.beat()
        entry = OrderEntry(engine, session, rearm=args.rearm)
        stack.callback(_let_go, engine, entry)
        trade = not args.halted and (args.on_restart == "trade" or not adopted)
        if adopted and engine.session.health != "down":
            entry.take_over(args.login_timeout, trade_on=trade)
        else:
            entry.login(args.login_timeout, recover=args.recover)
            if trade:
                engine.lease.beat()
                engine.resume()
    elif adopted:
        engine.halt()
    names = ", ".join(symbol.name for symbol in engine.symbols)
    how = "halted" if engine.halted and (entry is None or entry.settled) else "trading"
    taken = f", taken over with {len(engine.orders.open())} orders open" if adopted else ""
    common.say(f"engine on {args.interface} ({engine.mode.value}): {how} {names}{taken}")
    return _Running(events, recovery, entry)


def _let_go(engine: Engine, entry: OrderEntry) -> None:
    """What is left to do for a session when this process ends, in whatever way it does. A pinned engine is not logged
    off: replies to its orders go on being applied, and the session is there for who takes it over."""
    if engine.pins is not None and entry.leave():
        engine.halt()
    entry.close()


def _end(engine: Engine, running: _Running, args: argparse.Namespace) -> None:
    """Halt, take orders down, say what came of it, leave the interface."""
    engine.halt()
    if not args.keep_orders:
        left = engine.orders.cancel_all(timeout_s=_SETTLE_S).left
        if left:
            common.say(f"{len(left)} orders are left at the exchange: " + "; ".join(map(orders.line, left)))
    _settle(engine)
    _print(running.events, as_json=args.json)
    lost = running.events.lost
    common.say(_summary(engine) + (f", {lost} events LOST" if lost else ""))
    if running.recovery is not None and (status := running.recovery.status()).history:
        common.say(status.line())
    if running.entry is not None:
        running.entry.close()
    engine.detach()


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
    while engine.session.health == "up" and engine.orders.open() and time.monotonic() < end:
        time.sleep(_STEP_S)


def _summary(engine: Engine) -> str:
    states = [symbol.snapshot() for symbol in engine.symbols]
    parts = [
        f"{state.name} {state.orders_sent} orders, {state.fills} fills, position {state.position}, "
        f"P&L {text.cents(state.pnl_e4)} net of fees"
        for state in states
    ]
    return "; ".join(parts)
