"""Where market data comes from: one small interface, and the days that the matching engine makes."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from turbo_hft.exchange.clock import DayClock
from turbo_hft.exchange.flow import TRADES, RandomFlow
from turbo_hft.exchange.halts import Halts
from turbo_hft.exchange.itch_publisher import ItchPublisher
from turbo_hft.exchange.matching import MatchingEngine
from turbo_hft.exchange.venue import Fill, fills_of

_ENDLESS_NS = 1 << 62


class Feed(Protocol):
    """Steps through a day. Times are ns after the start."""

    def due_ns(self) -> int | None:
        """When the next step is due; None when there is none."""

    def open(self) -> None:
        """Publish what precedes the first step."""

    def step(self) -> tuple[Fill, ...]:
        """Do the next step; fills of client orders that it caused."""

    def close(self, now_ns: int) -> None:
        """Publish what follows the last step."""


@runtime_checkable
class RestartableFeed(Feed, Protocol):
    """A feed that can go on in a new session."""

    def restart(self) -> None:
        """Forget all orders and publish what precedes the first step of the new session."""


class QuietFeed:
    """A market without anonymous orders: a day's frame around what clients do among themselves."""

    def __init__(
        self,
        engine: MatchingEngine,
        publisher: ItchPublisher,
        clock: DayClock,
        duration_ns: int | None = None,
        halts: Halts | None = None,
    ) -> None:
        self._halts = halts or Halts(publisher, clock)
        self._engine = engine
        self._publisher = publisher
        self._clock = clock
        self._end_ns: int | None = _ENDLESS_NS if duration_ns is None else duration_ns

    def due_ns(self) -> int | None:
        """The next step, or the next halt if that comes first; None after the end of the duration."""
        due, halt = self._next_ns(), self._halts.due_ns()
        return due if due is None or halt is None else min(due, halt)

    def open(self) -> None:
        """System events O and S, directory and trading state of each symbol, Q."""
        now_ns = self._clock.scheduled(0)
        self._publisher.system_event("O", now_ns)
        self._publisher.system_event("S", now_ns)
        for symbol in self._engine.books:
            self._publisher.directory(symbol, now_ns)
        self._halts.open(self._engine.books, now_ns)
        self._publisher.system_event("Q", now_ns)

    def restart(self) -> None:
        """A new session: the same day's frame once more, around empty books."""
        self._engine.clear()
        self.open()

    def step(self) -> tuple[Fill, ...]:
        """What is due next: of one moment the halt."""
        due, halt = self._next_ns(), self._halts.due_ns()
        if due is not None and halt is not None and halt <= due:
            self._halts.step()
            return ()
        return self._act()

    def close(self, now_ns: int) -> None:
        """System events M, E, C."""
        for code in "MEC":
            self._publisher.system_event(code, now_ns)

    def _next_ns(self) -> int | None:
        """When something other than a halt is due: here the end."""
        return self._end_ns

    def _act(self) -> tuple[Fill, ...]:
        """The duration is over."""
        self._end_ns = None
        return ()


class FlowFeed(QuietFeed):
    """The same day under random flow."""

    def __init__(
        self,
        engine: MatchingEngine,
        flow: RandomFlow,
        publisher: ItchPublisher,
        clock: DayClock,
        duration_ns: int | None = None,
        halts: Halts | None = None,
    ) -> None:
        super().__init__(engine, publisher, clock, duration_ns, halts)
        self._flow = flow

    def open(self) -> None:
        """As on any day, and the orders that stand when the market opens."""
        super().open()
        for action in self._flow.seed_book():
            self._publisher.publish(self._flow.apply(action), self._clock.latest)

    def restart(self) -> None:
        """New books, and new orders that stand when the market opens; the pace goes on."""
        self._engine.clear()
        self._flow.restart()
        self.open()

    def _next_ns(self) -> int | None:
        due = self._flow.due_ns
        return due if self._end_ns is None or due < self._end_ns else None

    def _act(self) -> tuple[Fill, ...]:
        """One action of the market. Where trading is halted there are no trades, and their time passes."""
        action = self._flow.next_action()
        if action.kind in TRADES and not self._halts.trades(action.symbol):
            self._flow.count(1)
            return ()
        events = self._flow.apply(action)
        self._flow.count(self._publisher.publish(events, self._clock.scheduled(action.at_ns)))
        return fills_of(events)
