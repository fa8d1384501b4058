"""Raise an engine on an interface, log in, trade, and print every event until it is told to stop.

Missing messages are asked for again, and books restored from snapshots, if the feed has servers for that.
It ends after --duration, with Ctrl-C, or when the exchange has ended feed and session. Working orders are cancelled
then, and the program leaves the interface in every case. Steer it from another shell with set, halt, resume, status and
dashboard. If this process is killed, stopped or hangs, orders stop within the lease.

With --journal every decision, every reply and every change with who made it is recorded: see journal and why.

With --pin or --pin-root the engine outlives this process: killed, it leaves program, positions, orders and books where
they are, and the next `run` takes them over as they stand (what was set live stays set). Only its regular end takes the
engine away, unless --leave says not to.

With --config everything is said by a file. An engine that is taken over is changed to it; on SIGHUP it is read again.
What cannot be changed live (sizes, session, feed) is refused by name, and nothing is changed then.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turbo_hft import settings
from turbo_hft.cli import codes, common, orders, session_options
from turbo_hft.cli.aside import Aside
from turbo_hft.cli.signals import StopFlag
from turbo_hft.config.schema import help_of
from turbo_hft.errors import ConfigError, TurboHftError

if TYPE_CHECKING:
    from turbo_hft.config.schema import Config
    from turbo_hft.control.server import ControlServer
    from turbo_hft.dashboard.local_desk import LocalDesk
    from turbo_hft.engine import Engine
    from turbo_hft.events import Event, EventStream
    from turbo_hft.journal import Recorder, Subscription
    from turbo_hft.order_entry import OrderEntry
    from turbo_hft.recovery import Recovery

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
_STILL_S = 2.0  # the recorder may stand still for so long, in a slow disk


_OF_THE_PROCESS = ("help", "config", "duration", "json", "debug", "run_defaults")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="take all of this from a TOML file: docs/config.md",
    )
    common.add_interface(parser)
    parser.add_argument(
        "--mode", choices=("native", "generic"), default="native", help=f"{help_of('engine', 'mode')} (%(default)s)"
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
        "--lease", type=common.seconds, default=1.0, metavar="S", help=f"{help_of('engine', 'lease_s')} (%(default)s)"
    )
    parser.add_argument("--duration", type=common.seconds, metavar="S", help="stop after so many seconds")
    parser.add_argument("--strategy-object", type=Path, metavar="FILE.o", help=help_of("engine", "strategy_object"))
    parser.add_argument("--halted", action="store_true", help=help_of("engine", "halted"))
    parser.add_argument("--no-recovery", action="store_true", help="leave gaps and doubtful books as they are")
    parser.add_argument("--recover", action="store_true", help=help_of("engine", "recover"))
    parser.add_argument("--rearm", action="store_true", help=help_of("engine", "rearm"))
    parser.add_argument("--keep-orders", action="store_true", help=help_of("engine", "keep_orders"))
    parser.add_argument("--pin", action="store_true", help=f"{help_of('engine', 'pin')}; --pin-root does too")
    parser.add_argument(
        "--on-restart",
        choices=("halt", "trade"),
        default="halt",
        help=f"{help_of('engine', 'on_restart')} (%(default)s)",
    )
    parser.add_argument("--leave", action="store_true", help=help_of("engine", "leave"))
    parser.add_argument("--no-login", action="store_true", help="only follow the feed: no order-entry session")
    session_options.add_session_options(parser)
    session_options.add_size_options(parser)
    parser.add_argument("--journal", type=Path, metavar="DIR", help=help_of("journal", "directory"))
    parser.add_argument(
        "--fsync", default="100ms", metavar="POLICY", help=f"{help_of('journal', 'fsync')} (%(default)s)"
    )
    parser.add_argument(
        "--journal-full",
        choices=("halt", "go-on"),
        default="halt",
        help=f"{help_of('journal', 'when_full')} (%(default)s)",
    )
    parser.add_argument(
        "--control", action="store_true", help=f"{help_of('control', 'socket')}; --control-root does too"
    )
    parser.add_argument(
        "--read-group", default="turbo-hft-read", metavar="G", help=f"{help_of('control', 'read_group')} (%(default)s)"
    )
    parser.add_argument(
        "--trade-group",
        default="turbo-hft-trade",
        metavar="G",
        help=f"{help_of('control', 'trade_group')} (%(default)s)",
    )
    common.add_json(parser, "events as JSON, one a line")
    parser.set_defaults(run_defaults={one.dest: one.default for one in parser._actions})


def config_from(args: argparse.Namespace) -> Config:
    """From the file, or from the options: one way or the other. Raises ConfigError."""
    from turbo_hft.config.read import read
    from turbo_hft.config.schema import (
        Config,
        ControlTable,
        EngineTable,
        FeedTable,
        JournalTable,
        SessionTable,
        SizesTable,
    )

    if args.config is not None:
        given = [name for name, default in args.run_defaults.items() if getattr(args, name, default) != default]
        others = [f"--{name.replace('_', '-')}" for name in given if name not in _OF_THE_PROCESS]
        if others:
            raise ConfigError(f"--config and {', '.join(others)}: the file says everything; write it there")
        return read(args.config)
    session, feed = session_options.session_from(args)
    glimpse = session_options.glimpse_from(args, session)
    engine = EngineTable(
        interface=args.interface,
        mode=args.mode,
        strategy_object=args.strategy_object,
        pin=args.pin,
        pin_root=args.pin_root,
        lease_s=args.lease,
        halted=args.halted,
        on_restart=args.on_restart,
        login=not args.no_login,
        login_timeout_s=args.login_timeout,
        recover=args.recover,
        start_flat=args.start_flat,
        merge_cpu=args.merge_cpu,
        rearm=args.rearm,
        recovery=not args.no_recovery,
        keep_orders=args.keep_orders,
        leave=args.leave,
    )
    symbols = args.symbol or session_options.default_symbols()
    sizes: dict[str, Any] = {**session_options.sizes_from(args)}
    config = Config(
        engine=engine,
        session=SessionTable.of(session),
        feed=FeedTable.of(feed, None if glimpse is None else glimpse.server),
        sizes=SizesTable(**sizes),
        journal=JournalTable(directory=args.journal, fsync=args.fsync, when_full=args.journal_full),
        control=ControlTable(
            socket=args.control,
            root=args.control_root,
            read_group=args.read_group,
            trade_group=args.trade_group,
        ),
        account=settings.parse_account_settings(args.limit),
        symbols={spec.name: spec.settings for spec in symbols},
    )
    if (found := config.contradiction()) is not None:
        raise ConfigError(": ".join(found))
    return config


def run(args: argparse.Namespace) -> int:
    """Run until it ends."""
    config = config_from(args)
    with StopFlag(reload=args.config is not None) as stop, ExitStack() as stack:
        engine = stack.enter_context(_engine(config))
        try:
            running = _start(engine, config, stop, stack, file=args.config)
        except BaseException:
            if engine.owner and not engine.orders.open():  # nobody has traded with it yet
                engine.detach()
            raise
        end = None if args.duration is None else time.monotonic() + args.duration
        generation = engine.user.generation
        out = _Out(as_json=args.json)
        while not stop.wait(_STEP_S) and (end is None or time.monotonic() < end):
            running.beat(engine)
            engine.mend_upgrade()  # whose process was killed
            events = running.events.drain()
            running.tell(events)
            if not out.print(events):
                common.say("nobody takes the events on standard output any more: ending")
                break
            if engine.user.generation != generation:
                generation = engine.user.generation
                common.say(f"generation {generation} of the program is in force")
            if stop.take_reload():
                _reload(engine, args.config, config)
            if _over(engine, logged_in=running.entry is not None):
                common.say("the exchange ended feed and session")
                break
        interrupted = bool(stop.number)
        if running.control is not None:
            if not config.engine.leave:
                engine.halt()
            running.control.wind_down()
        if config.engine.leave:
            if running.entry is not None:
                running.entry.leave()
            common.say(f"the engine on {engine.interface} is left as it is: `turbo-hft run` takes it over")
        else:
            _end(engine, running, config, out)
    if out.gone:
        return codes.FAILURE
    return codes.INTERRUPTED if interrupted else codes.OK


def _reload(engine: Engine, path: Path, started_with: Config) -> None:
    """Change a running engine to what the file says now; one that is wrong changes nothing."""
    from turbo_hft.config.running import apply_file, later

    try:
        config, changed = apply_file(engine, path)
        engine.lease.seconds = config.engine.lease_s
    except TurboHftError as error:
        common.say(f"{path} was not applied: {error}")
        return
    for one in changed:
        common.say(f"changed {one.line()}")
    common.say(f"{path} was applied: {len(changed)} changes, epoch {engine.epoch}")
    if waiting := later(started_with, config):
        common.say(f"with the next start of this process, and not before: {', '.join(waiting)}")


@dataclass(slots=True)
class _Running:
    """An engine that is up, and what this process does for it."""

    events: EventStream | Subscription
    recovery: Recovery | None
    entry: OrderEntry | None
    desk: LocalDesk | None
    control: ControlServer | None
    recorder: Recorder | None = None
    _beats: bool = True

    def beat(self, engine: Engine) -> None:
        """Let orders leave for as long as the lease holds; not while they would not be recorded, where they must be."""
        recorder = self.recorder
        beats = recorder is None or recorder.on_failure == "go-on" or recorder.still_s < _STILL_S
        if beats != self._beats:
            how = "goes on: so does the lease" if beats else "stands still: the lease is not renewed, nothing leaves"
            common.say(f"the recorder {how}")
            self._beats = beats
        if beats:
            engine.lease.beat()

    def tell(self, events: Sequence[Event]) -> None:
        """Those who look by the control socket."""
        if self.desk is not None and self.control is not None:
            self.desk.observe(events)
            self.control.publish(events)


def _engine(config: Config) -> Engine:
    """The one that is pinned, taken over; or a fresh one, configured and not attached yet."""
    from turbo_hft.engine import Engine, Mode
    from turbo_hft.layout import DEFAULT_ROOT
    from turbo_hft.pins import Pins

    own = config.engine
    root = own.pin_root or (DEFAULT_ROOT if own.pin else None)
    if root is not None and Pins(root, own.interface).there:
        engine = Engine.adopt(own.interface, pin=root)
        try:
            engine.take_over()
        except BaseException:
            engine.close()
            raise
        return engine
    loaded = config.load_settings()
    engine = Engine.open(own.interface, mode=Mode(own.mode), strategy=own.strategy_object, pin=root, **loaded)
    try:
        settings.apply_account(engine, config.account)
        session_options.add_symbols(
            engine, [settings.SymbolSpec(name, values) for name, values in config.symbols.items()]
        )
        engine.configure(config.session.order_session(), config.feed.address())
        engine.take_over()
    except BaseException:
        engine.close()
        raise
    return engine


def _start(engine: Engine, config: Config, stop: StopFlag, stack: ExitStack, *, file: Path | None) -> _Running:
    from turbo_hft.order_entry import OrderEntry

    own, session, feed = config.engine, config.session.order_session(), config.feed.address()
    engine.lease.seconds = own.lease_s
    engine.orders.open_way()  # while this process may
    aside = stack.enter_context(Aside())
    # before the first frame, so that none is missed
    recorder = None if config.journal.directory is None else _recorder(engine, config, stack, aside)
    events = engine.events if recorder is None else recorder.subscribe()
    if recorder is not None:
        _record(engine, recorder, stack)
    desk, control = _control(engine, config, recorder, stack, aside)
    stop.check()
    adopted = not engine.owner
    trade = not own.halted and not engine.cut_off and (own.on_restart == "trade" or not adopted)
    if adopted:
        # Nothing leaves before it is what it shall be, and its session is looked after.
        if trade:
            engine.suspend()
        else:
            engine.halt()
        _adjust(engine, config, file)
    recovery = None
    if own.recovery and (feed.rerequest is not None or config.feed.snapshots is not None):
        from turbo_hft.recovery import Glimpse, Recovery

        glimpse = None
        if config.feed.snapshots is not None:
            glimpse = Glimpse(config.feed.snapshots.pair, session.username, session.password)
        recovery = stack.enter_context(Recovery(engine, feed, glimpse))
    if not adopted:
        engine.attach()
    entry = None
    if own.login and not (adopted and engine.session.health == "ended"):
        entry = OrderEntry(engine, session, rearm=own.rearm, merge_cpu=own.merge_cpu)
        stack.callback(_let_go, engine, entry)
    kept = _give_up_privileges(engine, config, file)
    if entry is not None:
        if adopted and engine.session.health != "down":
            entry.take_over(own.login_timeout_s, trade_on=trade)
        else:
            trade = (
                session_options.log_in(entry, own.login_timeout_s, recover=own.recover, start_flat=own.start_flat)
                and trade
            )
            if trade:
                engine.lease.beat()
                engine.resume()
    elif adopted:
        engine.halt()
    names = ", ".join(symbol.name for symbol in engine.symbols)
    goes_on = trade and entry is not None and not entry.settled  # it is halted until the session is settled
    how = "halted" if engine.halted and not goes_on else "trading"
    taken = f", taken over with {len(engine.orders.open())} orders open" if adopted else ""
    common.say(f"engine on {engine.interface} ({engine.mode.value}): {how} {names}{taken}")
    common.say(f"capabilities given up{', but for ' + ' and '.join(kept) if kept else ''}")
    if control is not None:
        control.serve()  # not before: whoever resumes an engine that is still being logged in is too early
    return _Running(events, recovery, entry, desk, control, recorder)


def _adjust(engine: Engine, config: Config, file: Path | None) -> None:
    """One that was taken over: to what the file says. What options say otherwise than it was set live is named, and
    stays. Raises ConfigError, for both, where it has another session, feed or size."""
    from turbo_hft.config.running import apply_file, checked

    if engine.cut_off:
        common.say("halted: a process ended in the middle of a change. Look at the parameters, then `turbo-hft resume`")
    if file is not None:
        for one in apply_file(engine, file)[1]:
            common.say(f"changed {one.line()}")
        return
    for one in checked(engine, config):
        common.say(f"stays as it is, other than the options say: {one.line()}")


def _recorder(engine: Engine, config: Config, stack: ExitStack, aside: Aside) -> Recorder:
    """Who writes all of it down; not begun yet."""
    from turbo_hft.journal import Journal, Recorder

    own = config.journal
    journal = stack.enter_context(Journal.open(str(own.directory), fsync=own.fsync))
    if journal.recovered:
        common.say(f"journal {own.directory}: {journal.recovered}; kept beside it")
    return Recorder(
        engine,
        journal,
        on_failure=own.when_full,
        on_alarm=lambda alarm: aside(f"RECORDER {alarm.kind}: {alarm.message}"),
    )


def _record(engine: Engine, recorder: Recorder, stack: ExitStack) -> None:
    stack.enter_context(recorder)
    if engine.pins is None:
        stack.callback(engine.detach)  # before the recorder ends: nothing happens that is not recorded
    common.say(f"recording into {recorder.journal.directory / recorder.journal.segment}")


def _control(
    engine: Engine, config: Config, recorder: Recorder | None, stack: ExitStack, aside: Aside
) -> tuple[LocalDesk, ControlServer] | tuple[None, None]:
    """The control sockets, if there shall be any."""
    own = config.control
    if not own.socket and own.root is None:
        return None, None
    from turbo_hft.control.operations import Operations
    from turbo_hft.control.server import ControlServer
    from turbo_hft.dashboard.local_desk import LocalDesk
    from turbo_hft.layout import DEFAULT_CONTROL_ROOT, ControlLayout

    desk = LocalDesk(engine, reads_events=True, recorder=recorder)
    server = ControlServer(
        Operations(engine, desk),
        ControlLayout(own.root or DEFAULT_CONTROL_ROOT, config.engine.interface),
        read_group=own.read_group,
        trade_group=own.trade_group,
        on_change=aside,
    )
    return desk, stack.enter_context(server)


def _give_up_privileges(engine: Engine, config: Config, config_file: Path | None) -> tuple[str, ...]:
    """All that no later step needs; what was kept."""
    from turbo_hft import privileges

    keep = list(privileges.TO_LOAD) if engine.program.config.transport == "soupbintcp" else []  # for each connection
    if engine.pins is None:  # a program that another process puts in force is opened by its number
        keep.append(privileges.BY_NUMBER)
    # A new day's file will be made, the configuration be read again.
    needed = ((config.journal.directory, os.R_OK | os.W_OK | os.X_OK), (config_file, os.R_OK))
    if not all(path is None or privileges.reach_without(path, access) for path, access in needed):
        keep.append(privileges.INTO_ANY_FILE)
    return privileges.give_up(keep)


def _let_go(engine: Engine, entry: OrderEntry) -> None:
    """What is left to do for a session when this process ends, in whatever way it does. A pinned engine is not logged
    off: replies to its orders go on being applied, and the session is there for who takes it over."""
    if engine.pins is not None and entry.leave():
        engine.halt()
    entry.close()


def _end(engine: Engine, running: _Running, config: Config, out: _Out) -> None:
    """Halt, take orders down, say what came of it, leave the interface."""
    engine.halt()
    if not config.engine.keep_orders:
        left = engine.orders.cancel_all(timeout_s=_SETTLE_S).left
        if left:
            named = "; ".join(orders.line(asdict(order)) for order in left)
            common.say(f"{len(left)} orders are left at the exchange: {named}")
    _settle(engine)
    time.sleep(_STEP_S)  # a recorder passes them on a moment later
    while batch := running.events.drain():
        running.tell(batch)
        out.print(batch)
    if dropped := getattr(running.events, "dropped", 0):
        common.say(f"{dropped:,} events were not printed in time; all are in the journal")
    lost = engine.counters()["events_lost"]
    common.say(_summary(engine) + (f", {lost} events LOST" if lost else ""))
    if running.recovery is not None and (status := running.recovery.status()).history:
        common.say(status.line())
    if running.entry is not None:
        running.entry.close()
    engine.detach()


class _Out:
    """Standard output, on which events are data. `gone`: what is printed reaches nobody any more."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self.gone = False

    def print(self, events: Iterable[Event]) -> bool:
        """Could they be? One that reads them has gone, or a disk is full: that is no reason to forget orders."""
        try:
            _print(events, as_json=self._as_json)
        except OSError:
            self.gone = True
            # Python would complain once more when it flushes at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return not self.gone


def _print(events: Iterable[Event], *, as_json: bool) -> None:
    if as_json:
        for event in events:
            common.print_json(asdict(event))
        return
    from turbo_hft.dashboard import text
    from turbo_hft.dashboard.collector import event_row

    for event in events:
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
    from turbo_hft.dashboard import text

    states = [symbol.snapshot() for symbol in engine.symbols]
    parts = [
        f"{state.name} {state.orders_sent} orders, {state.fills} fills, position {state.position}, "
        f"P&L {text.cents(state.pnl_e4)} net of fees"
        for state in states
    ]
    return "; ".join(parts)
