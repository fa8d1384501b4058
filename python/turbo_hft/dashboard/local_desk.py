"""The desk of an engine that this process has: its own, or an adopted one."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from turbo_hft import settings
from turbo_hft.dashboard.collector import ViewCollector
from turbo_hft.dashboard.desk import Canceled
from turbo_hft.dashboard.source import EventSource, RecorderSource
from turbo_hft.dashboard.view import View, WatchView
from turbo_hft.errors import ConfigError
from turbo_hft.metrics import MOST_SYMBOLS, Measured, measure

if TYPE_CHECKING:
    from turbo_hft.engine import Engine

INTERVAL_S = 0.2


class LocalDesk:
    """A `Desk`. However many faces ask, the engine is read once in `interval_s`, and not at all when none does.

    Whoever reads the event ring in this process says `reads_events`, and hands what it reads to `observe`. `recorder`:
    this process's, if it has one.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        may_trade: bool = True,
        reads_events: bool = False,
        recorder: RecorderSource | None = None,
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._engine = engine
        self._may_trade = may_trade
        self._interval_s = interval_s
        self._collector = ViewCollector(engine, reads_events=reads_events, recorder=recorder)
        self._lock = threading.Lock()  # of reading; nothing that steers takes it
        self._view: View | None = None
        self._fresh = False
        self._watched: dict[str, WatchView] = {}
        self._taken = 0.0

    @property
    def may_trade(self) -> bool:
        """See `Desk.may_trade`."""
        return self._may_trade

    def observe(self, events: Iterable[EventSource]) -> None:
        """Events that were read, in order."""
        self._collector.observe(events)

    def view(self, watch: str | None = None) -> View:
        """See `Desk.view`."""
        with self._lock:
            now = time.monotonic()
            if self._view is None or not self._fresh or now - self._taken >= self._interval_s:
                self._fresh = True  # first: what a person does meanwhile makes it stale again
                self._view = self._collector.collect()
                self._watched.clear()
                self._taken = now
            if watch is None:
                return self._view
            if watch not in self._watched:
                self._watched[watch] = self._collector.watch(watch)
            return replace(self._view, watched=self._watched[watch])

    def metrics(self, most_symbols: int = MOST_SYMBOLS) -> Measured:
        """See `Desk.metrics`."""
        return measure(self._engine, most_symbols)

    def halt(self) -> None:
        """See `Desk.halt`."""
        self._need("halt it")
        self._engine.halt()
        self.stale()

    def halt_and_cancel(self) -> Canceled:
        """See `Desk.halt_and_cancel`."""
        self._need("halt it")
        report = self._engine.halt_and_cancel()
        self.stale()
        refused = {str(user_ref): why for user_ref, why in report.refused.items()}
        return Canceled(report.canceled, tuple(order.user_ref for order in report.left), refused)

    def reduce(self) -> None:
        """See `Desk.reduce`."""
        self._need("steer it")
        self._engine.reduce()
        self.stale()

    def resume(self) -> None:
        """See `Desk.resume`."""
        self._need("steer it")
        self._engine.resume()
        self.stale()

    def change(self, line: str) -> Mapping[str, object]:
        """See `Desk.change`."""
        self._need("change it")
        after = settings.apply(self._engine, settings.parse_change(line.split()))
        self.stale()
        return after

    def stale(self) -> None:
        """What a person has done is seen in the next picture, not in the one after."""
        self._fresh = False

    def _need(self, what: str) -> None:
        if not self._may_trade:
            raise ConfigError(f"this view of the engine may only look at it, not {what}: use turbo-hft on its machine")
