"""Watch and steer a running engine on the terminal (? shows the keys). Without a terminal: plain lines.

The program may have been loaded by anybody, `ip link` too. One that is not configured yet is configured here (session,
feed, symbols), logged in and resumed; it then trades as long as this dashboard runs, and is halted when it ends.
A configured one is only watched and steered.
"""

from __future__ import annotations

import argparse
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from turbo_hft import settings
from turbo_hft.cli import codes, common, session_options
from turbo_hft.cli.signals import StopFlag
from turbo_hft.errors import ConfigError, NotRunning

if TYPE_CHECKING:
    from turbo_hft.engine import Engine

NAME = "dashboard"
HELP = "watch and steer a running engine; configures one that `ip link` loaded"
EPILOG = settings.EXPLAINED
_ALIVE_PERIOD_S = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    common.add_interface(parser)
    parser.add_argument("--duration", type=common.seconds, metavar="S", help="end after so many seconds")
    common.add_json(parser, "a snapshot a second, one JSON object a line")
    group = parser.add_argument_group("if the program is not configured yet")
    group.add_argument("--no-configure", action="store_true", help="leave it so, only watch")
    group.add_argument("--halted", action="store_true", help="configure it, but do not let it trade yet")
    session_options.add_symbol_option(parser)
    session_options.add_session_options(parser, transport=None)


def run(args: argparse.Namespace) -> int:
    """Show the engine until it ends or somebody has seen enough."""
    from turbo_hft.dashboard.local_desk import LocalDesk
    from turbo_hft.dashboard.show import show, show_json

    draw = show_json if args.json else show
    with StopFlag() as stop, ExitStack() as stack:
        reached = stack.enter_context(common.reached(args))
        engine = reached.engine
        ours = engine is not None and not engine.configured and not args.no_configure
        if args.symbol and not ours:
            raise ConfigError("the engine is configured already: change its symbols with turbo-hft set")
        alive = _Alive(args.interface)
        if engine is None or not ours:
            draw(reached.desk, args.duration, wait=stop.wait, alive=alive)
        else:
            kept, desk = engine, LocalDesk(engine, reads_events=True)

            def turn() -> None:
                """What there is to be done by who runs it: renew the lease, and be the ring's one reader."""
                kept.lease.beat()
                desk.observe(kept.events)

            turn()  # opens the ring, before the first event
            _configure(engine, args, stack)
            draw(desk, args.duration, turn=turn, wait=stop.wait, alive=alive)
        if not alive.now():
            common.say(f"the engine on {args.interface} has ended")
        interrupted = bool(stop.number)
    return codes.INTERRUPTED if interrupted else codes.OK


def _configure(engine: Engine, args: argparse.Namespace, stack: ExitStack) -> None:
    from turbo_hft.order_entry import OrderEntry

    loaded_for = engine.program.config.transport
    args.transport = args.transport or loaded_for
    if args.transport != loaded_for:  # before anything is changed
        raise ConfigError(
            f"the program on {engine.interface} was loaded for {loaded_for}, and has the code of that alone: leave "
            f"--transport away, or have it loaded with `turbo-hft run --transport {args.transport}`. What `ip link` "
            "loads is for ufo"
        )
    session, feed = session_options.session_from(args)
    missing = [spec for spec in args.symbol or session_options.default_symbols() if spec.name not in engine.symbols]
    session_options.add_symbols(engine, missing)
    if engine.untouched:
        engine.use_default_limits()
    engine.configure(session, feed)
    entry = stack.enter_context(OrderEntry(engine, session, merge_cpu=args.merge_cpu))
    if session_options.log_in(entry, args.login_timeout, start_flat=args.start_flat) and not args.halted:
        engine.lease.beat()
        engine.resume()


class _Alive:
    """Is the program that was found still the one on the interface? Asked at most twice a second."""

    def __init__(self, interface: str) -> None:
        self._interface = interface
        self._id = self._query()
        self._next = 0.0
        self._last = True

    def _query(self) -> int | None:
        from turbo_hft.program import query

        try:
            return query(self._interface)[0]
        except NotRunning:
            return None

    def now(self) -> bool:
        return self._id is not None and self._query() == self._id

    def __call__(self) -> bool:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _ALIVE_PERIOD_S
            self._last = self.now()
        return self._last
