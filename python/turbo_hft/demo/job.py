"""The main job, step by step. Everything made is undone in reverse order, whatever happens in between."""

from __future__ import annotations

import platform
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from turbo_hft.addresses import FeedAddress, OrderSession
from turbo_hft.cli.common import say
from turbo_hft.cli.signals import StopFlag
from turbo_hft.dashboard.collector import ViewCollector
from turbo_hft.dashboard.local_desk import LocalDesk
from turbo_hft.dashboard.show import need_textual, show
from turbo_hft.dashboard.view import View
from turbo_hft.demo.config import DemoConfig
from turbo_hft.demo.exchange_process import ExchangeProcess
from turbo_hft.demo.latency import HookTimes, comparison
from turbo_hft.demo.reconcile import EventLedger, exchange_ledger, feed_problems, maps_ledger, reconcile
from turbo_hft.demo.report import DemoReport
from turbo_hft.demo.steering import Steering
from turbo_hft.demo.wire import WireUse, session_problems, transport_words
from turbo_hft.engine import Engine, Mode
from turbo_hft.errors import ExchangeError, LabError, NotRunning
from turbo_hft.events import Event
from turbo_hft.lab import PASSWORD, USERNAME, Lab
from turbo_hft.latency import needs
from turbo_hft.order_entry import OrderEntry
from turbo_hft.order_link import SoupLink

_STEP_S = 0.02
_SETTLE_S = 5.0
_CLOSE_S = 15.0
# If we are killed so hard that nothing can be cleaned up, the exchange still ends by itself.
_EXCHANGE_SPARE_S = 120.0


class Demo:
    """One run: `report = demo.run()`, then `demo.compare(report)`. `stream` takes the live view or its plain lines.

    Raises Interrupted when a signal came, TurboHftError when a step fails; either way all is cleaned up by then.
    """

    def __init__(self, config: DemoConfig, stop: StopFlag, stream: TextIO) -> None:
        self._config = config
        self._stop = stop
        self._stream = stream
        self._ledger = EventLedger()
        self._last: View | None = None
        self._seconds = 0.0
        self._changes = 0

    def run(self) -> DemoReport:
        """Trade, stop, reconcile. Latency is not in the report yet, except for the hook's own."""
        config = self._config
        if config.screenshot is not None:
            need_textual()
        with ExitStack() as stack:
            engine, exchange, entry = self._raise(stack)
            self._trade(engine, exchange)
            wire = self._merged(engine, entry)
            summary = self._close(engine, exchange)
            view = ViewCollector(engine).collect()
            result = self._reconcile(engine, summary, wire)
        if config.screenshot is not None and self._last is not None:
            from turbo_hft.dashboard.terminal import export_svg

            export_svg(self._last, config.screenshot)
            say(f"picture written to {config.screenshot}")
        return DemoReport(
            seconds=self._seconds,
            protocol=config.protocol,
            transport=config.transport,
            mode=config.mode,
            kernel=platform.release(),
            reconciliation=result,
            hook=HookTimes.of(self._ledger.hook_ns),
            wire=wire,
            events=self._ledger.count,
            target_changes=self._changes,
            exchange=summary,
            view=view.as_dict(),
        )

    def compare(self, report: DemoReport) -> DemoReport:
        """The report with the latency of engine and bot in it; a comparison that fails is part of the report too."""
        if words := needs.missing():
            say(f"latency beside the standard bot is not measured: {words}")
            return report
        say("measuring latency beside the standard bot, on a lab of its own ...")
        found, failure = None, None
        try:
            found = comparison(
                self._stop.wait,
                transport=self._config.transport,
                repetitions=self._config.latency_repetitions,
                rounds=self._config.latency_rounds,
            )
        except ExchangeError as error:
            failure = str(error)
        self._stop.check()
        return replace(report, comparison=found, comparison_failure=failure)

    def _raise(self, stack: ExitStack) -> tuple[Engine, ExchangeProcess, OrderEntry]:
        """Lab, exchange, engine, login. Everything is put on the stack as soon as it is there."""
        config, a = self._config, self._config.addresses
        _refuse_if_busy(a.device)
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="turbo-hft-")))
        say(f"lab: {a.device} to {a.peer} in {a.namespace}")
        stack.enter_context(Lab() if config.lab is None else Lab(*config.lab))
        self._stop.check()
        exchange = stack.enter_context(ExchangeProcess(self._exchange_arguments(), directory))
        self._stop.check()
        engine = stack.enter_context(Engine.open(a.device, mode=Mode(config.mode), transport=config.transport))
        self._stop.check()
        engine.limits.orders_per_second = config.orders_per_second
        for name in config.symbols:
            engine.symbols.add(
                name, base_qty=100, step_qty=20, cap_qty=300, max_order_qty=300, max_long=config.max_long
            )
        session = OrderSession(
            local=(a.host_address, a.engine_port if config.transport == "ufo" else 0),
            remote=(a.exchange_address, a.ouch50_port if config.protocol == "ouch50" else a.ouch42_port),
            local_mac=a.host_mac,
            remote_mac=a.exchange_mac,
            username=USERNAME,
            password=PASSWORD,
            protocol=config.protocol,
            transport=config.transport,
        )
        engine.configure(session, FeedAddress(a.feed_group, a.feed_port, a.exchange_address))
        self._ledger.add(engine.events)  # opens the stream: from here on every event is read
        engine.attach()
        exchange.wait_ready(self._stop.wait)
        self._stop.check()
        entry = stack.enter_context(OrderEntry(engine, session, merge_cpu=config.merge_cpu))
        entry.login(start_flat=True)  # this exchange has just begun
        self._stop.check()
        say(
            f"engine on {a.device} ({config.mode}), logged in ({config.protocol} over {transport_words(config)}): "
            f"trading for {config.duration_s:g} s"
        )
        return engine, exchange, entry

    def _exchange_arguments(self) -> list[str]:
        config, a = self._config, self._config.addresses
        arguments = ["--netns", a.namespace, "--bind", a.exchange_address]
        arguments += ["--feed", f"{a.feed_group}:{a.feed_port}"]
        arguments += ["--ouch50", str(a.ouch50_port), "--ouch42", str(a.ouch42_port)]
        arguments += ["--ouch50-tcp", str(a.ouch50_port), "--ouch42-tcp", str(a.ouch42_port)]
        arguments += ["--symbols", ",".join(config.symbols), "--seed", str(config.seed), "--rate", str(config.rate)]
        arguments += ["--wait-for-login", "--duration", str(config.duration_s + _EXCHANGE_SPARE_S)]
        if config.exchange_log is not None:
            arguments += ["--log", str(config.exchange_log.resolve())]
        return arguments

    def _trade(self, engine: Engine, exchange: ExchangeProcess) -> None:
        desk = LocalDesk(engine, reads_events=True)
        steering = Steering(engine.symbols)

        def turn() -> None:
            engine.lease.beat()
            steering.step(time.monotonic())
            desk.observe(self._read(engine))
            if not exchange.running:
                exchange.summary()  # raises with its last words if it failed
                raise ExchangeError("the exchange ended while the market was open: somebody stopped it")

        engine.lease.beat()
        engine.resume()
        start = time.monotonic()
        show(desk, self._config.duration_s, turn=turn, wait=self._stop.wait, stream=self._stream)
        self._last = desk.view(self._config.symbols[0])
        engine.halt()
        self._seconds = time.monotonic() - start
        self._changes = steering.changes
        self._stop.check()

    def _read(self, engine: Engine) -> list[Event]:
        events = list(engine.events)
        self._ledger.add(events)
        return events

    def _merged(self, engine: Engine, entry: OrderEntry) -> WireUse | None:
        """Halted: what was sent on the TCP connection, once the kernel has all of it or no longer gets it."""
        if not isinstance(entry.link, SoupLink) or entry.link.wire is None:
            return None
        connection = entry.link.wire.connection
        end = time.monotonic() + _SETTLE_S
        while connection.status.unmerged and time.monotonic() < end:
            self._pause(engine)
        return WireUse.of(connection.status, engine.refusals())

    def _close(self, engine: Engine, exchange: ExchangeProcess) -> dict[str, Any]:
        """Halted; wait for orders in flight, let the exchange close and end, read the rest of the events."""
        say("halted; waiting for orders in flight, then the exchange closes")
        end = time.monotonic() + _SETTLE_S
        while self._in_flight(engine) and time.monotonic() < end:
            self._pause(engine)
        exchange.close_market()
        end = time.monotonic() + _CLOSE_S
        while exchange.running:
            if time.monotonic() > end:
                raise ExchangeError(f"the exchange did not end within {_CLOSE_S:g} s of being asked to")
            self._pause(engine)
        summary = exchange.summary()
        self._pause(engine)
        return summary

    def _pause(self, engine: Engine) -> None:
        self._stop.wait(_STEP_S)
        self._stop.check()
        self._read(engine)

    @staticmethod
    def _in_flight(engine: Engine) -> bool:
        session = engine.session
        return session.expected_seq < session.highest_seq or any(
            symbol.snapshot().open_orders for symbol in engine.symbols
        )

    def _reconcile(self, engine: Engine, summary: dict[str, Any], wire: WireUse | None) -> Any:
        counters, feed = engine.counters(), engine.feed
        problems = self._ledger.problems(counters["events"], counters["events_lost"])
        problems += feed_problems(summary["feed"]["by_type"], engine.itch_counts(), gaps=feed.gaps, missed=feed.missed)
        if wire is not None:
            problems += wire.problems(engine.counters()["wire_sends"])
            problems += session_problems(summary, self._config.protocol)
        maps = maps_ledger(symbol.snapshot() for symbol in engine.symbols)
        if not any(ledger.fills for ledger in maps.values()):
            problems.append("nothing was traded: give it a longer --duration or another --seed")
        return reconcile(
            maps, self._ledger.symbols, exchange_ledger(summary, USERNAME, self._ledger.lost.values()), problems
        )


def _refuse_if_busy(device: str) -> None:
    """Taking the lab down afterwards would pull the wire from under somebody else's engine."""
    try:
        Engine.adopt(device).close()
    except NotRunning:
        return
    raise LabError(f"an engine runs on {device} already: stop it first, or run turbo-hft lab down")
