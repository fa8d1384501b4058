"""Raise an engine on an interface, log in, trade, and print every event until it is told to stop.

Missing messages are asked for again, and books restored from snapshots, if the feed has servers for that.
It ends after --duration, with Ctrl-C, or when the exchange has ended feed and session. Working orders are cancelled
then, and the program leaves the interface in every case. Steer it from another shell with set, halt, resume, status and
dashboard. If this process is killed, stopped or hangs, orders stop within the lease.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING

from turbo_hft.cli import codes, common, orders, session_options, settings
from turbo_hft.cli.signals import StopFlag
from turbo_hft.dashboard import text
from turbo_hft.dashboard.view import event_row

if TYPE_CHECKING:
    from turbo_hft.engine import Engine
    from turbo_hft.events import Event, EventStream
    from turbo_hft.journal import Subscription

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
_MERGE_REST_S = 50e-6  # between two looks of the thread that merges, when it has no CPU to itself


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
    parser.add_argument("--no-login", action="store_true", help="only follow the feed: no order-entry session")
    session_options.add_session_options(parser)
    session_options.add_size_options(parser)
    parser.add_argument("--journal", metavar="DIR", help="record every decision, reply and change in this directory")
    parser.add_argument(
        "--fsync", default="100ms", metavar="POLICY", help="of the journal: none, batch, or such as 100ms (the default)"
    )
    parser.add_argument(
        "--journal-full",
        choices=("halt", "go-on"),
        default="halt",
        help="what trading does when an event is lost or the journal cannot be written (default %(default)s)",
    )
    common.add_json(parser, "events as JSON, one a line")


def run(args: argparse.Namespace) -> int:
    """Run until it ends."""
    from turbo_hft.engine import Engine, Mode
    from turbo_hft.order_entry import OrderEntry
    from turbo_hft.recovery import Recovery

    session, feed = session_options.session_from(args)
    glimpse = session_options.glimpse_from(args, session)
    specs = args.symbol or session_options.default_symbols()
    limits = settings.parse_account_settings(args.limit)
    with StopFlag() as stop, ExitStack() as stack:
        sizes = session_options.sizes_from(args)
        sizes["transport"] = session.transport
        engine = stack.enter_context(
            Engine.open(args.interface, mode=Mode(args.mode), strategy=args.strategy_object, **sizes)
        )
        engine.lease.seconds = args.lease
        settings.apply_account(engine, limits)
        session_options.add_symbols(engine, specs)
        engine.configure(session, feed)
        # before the first frame, so that none is missed
        events: EventStream | Subscription = engine.events if args.journal is None else _recorded(engine, args, stack)
        stop.check()
        recovery = None
        if not args.no_recovery and (feed.rerequest is not None or glimpse is not None):
            recovery = stack.enter_context(Recovery(engine, feed, glimpse))
        engine.attach()
        if not args.no_login:
            poll_s = _MERGE_REST_S if args.merge_cpu is None else 0.0
            entry = stack.enter_context(
                OrderEntry(engine, session, rearm=args.rearm, merge_cpu=args.merge_cpu, poll_s=poll_s)
            )
            entry.login(args.login_timeout, recover=args.recover)
            if not args.halted:
                engine.lease.beat()
                engine.resume()
        names = ", ".join(spec.name for spec in specs)
        common.say(f"engine on {args.interface} ({args.mode}): {'halted' if engine.halted else 'trading'} {names}")
        end = None if args.duration is None else time.monotonic() + args.duration
        while not stop.wait(_STEP_S) and (end is None or time.monotonic() < end):
            engine.lease.beat()
            _print(events.drain(), as_json=args.json)
            if _over(engine, logged_in=not args.no_login):
                common.say("the exchange ended feed and session")
                break
        engine.halt()
        if not args.keep_orders:
            left = engine.orders.cancel_all(timeout_s=_SETTLE_S).left
            if left:
                common.say(f"{len(left)} orders are left at the exchange: " + "; ".join(map(orders.line, left)))
        _settle(engine)
        time.sleep(_STEP_S)  # a recorder passes them on a moment later
        while batch := events.drain():
            _print(batch, as_json=args.json)
        if dropped := getattr(events, "dropped", 0):
            common.say(f"{dropped:,} events were not printed in time; all are in the journal")
        lost = engine.counters()["events_lost"]
        common.say(_summary(engine) + (f", {lost} events LOST" if lost else ""))
        if recovery is not None and (status := recovery.status()).history:
            common.say(status.line())
        interrupted = bool(stop.number)
    return codes.INTERRUPTED if interrupted else codes.OK


def _recorded(engine: Engine, args: argparse.Namespace, stack: ExitStack) -> Subscription:
    """Have all of it recorded; the events by way of the recorder."""
    from turbo_hft.journal import Journal, Recorder

    journal = stack.enter_context(Journal.open(args.journal, fsync=args.fsync))
    if journal.recovered:
        common.say(f"journal {args.journal}: {journal.recovered}; kept beside it")
    recorder = Recorder(
        engine,
        journal,
        on_failure=args.journal_full,
        on_alarm=lambda alarm: common.say(f"RECORDER {alarm.kind}: {alarm.message}"),
    )
    events = recorder.subscribe()
    stack.enter_context(recorder)
    stack.callback(engine.detach)  # before the recorder ends: nothing happens that is not recorded
    common.say(f"recording into {journal.directory / journal.segment}")
    return events


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
