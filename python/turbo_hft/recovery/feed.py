"""One feed and its books, step by step back to where they can be traded: the whole course of recovery.

No thread and no socket here: `step` is given the time, and what it needs of the outside. It never waits. What is wrong
is seen in the hook's own state, not in events, so nothing is lost if a process takes over from another one.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

from turbo_hft._native import lib
from turbo_hft.engine import Engine, Pulse
from turbo_hft.errors import RecoveryError
from turbo_hft.recovery.commands import Commands
from turbo_hft.recovery.rerequest import Rerequester
from turbo_hft.recovery.resync import Outcome, Restore, Result, bind, install_market
from turbo_hft.recovery.sessions import SessionWatch
from turbo_hft.recovery.settings import Pause, RecoverySettings
from turbo_hft.recovery.snapshot import Snapshot
from turbo_hft.recovery.status import Incident, RecoveryCounters, RecoveryStatus
from turbo_hft.snapshots import FeedSnapshot
from turbo_hft.symbols import BookState

_log = logging.getLogger("turbo_hft.recovery")

QUIET_NS = 1_000_000
BUSY_NS = 200_000
_AT_ONCE_NS = 500_000  # of a restoration, before the feed is looked at again
_AGAIN_NS = 250_000_000  # between two looks at all books while some are not ok
_HISTORY = 100
_NAMED = 5
_PUSHES = 64  # in one go, each of which applies some hundred kept messages
_REREQUESTS = 2  # enum hft_line


class Snapshots(Protocol):
    """Where snapshots come from: see `Fetcher`."""

    def start(self, names: Collection[str], locates: Collection[int]) -> None: ...
    def result(self) -> Snapshot | RecoveryError | None: ...


@dataclass(slots=True)
class _Patient:
    """A book that is not ok, or was not long ago."""

    seen_ns: int
    pause: Pause
    restored_ns: int | None = None


@dataclass(slots=True)
class _Gap:
    """What is missing now, from the first look at it."""

    since_ns: int
    first: int
    most: int = 0
    abandoned: bool = False


@dataclass(slots=True)
class _Work:
    """A restoration under way."""

    restore: Restore
    course: Iterator[bool]
    rollover_ns: int | None = None  # since when, if it is one
    waits: bool = False


class FeedRecovery:
    """Recovery of feed `feed`. Call `step` again after as many ns as it says. `clock`: monotonic ns.

    `ask` sends a datagram to the re-request server, None if there is no such server; `snapshots` takes snapshots, None
    if nobody does; `strangers` gives the sessions of packets that were not the feed's own. `only`: look after the books
    of these slots and no others.
    """

    def __init__(
        self,
        engine: Engine,
        feed: int = 0,
        *,
        ask: Callable[[bytes], None] | None = None,
        snapshots: Snapshots | None = None,
        strangers: Callable[[], list[str]] | None = None,
        settings: RecoverySettings | None = None,
        only: Collection[int] | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._engine = engine
        self._feed = feed
        self._ask = ask
        self._snapshots = snapshots
        self._strangers = strangers
        self._settings = settings = settings or RecoverySettings()
        self._only = only
        self._clock = clock
        self._commands = Commands(engine.command_nonce, feed)
        config = engine.program.config
        asking = settings if ask is not None else replace(settings, max_gap=0)
        self._rerequester = Rerequester(asking, hold_ns=config.hold_ns, reach=config.kept_mask + 1)
        self._watch = SessionWatch(settings)
        self._pause = Pause(settings.pause_ns, settings.longest_pause_ns)  # between snapshots
        self._missing_since_ns: int | None = None
        self._gap: _Gap | None = None
        self._fetching = False
        self._snapshot: tuple[Snapshot, int] | None = None  # and when it came
        self._work: _Work | None = None
        self._patients: dict[int, _Patient] = {}
        self._need: dict[int, int] = {}  # by slot: the least sequence of a snapshot that is right for it
        self._look_ns = 0
        self._pulse = Pulse(-1, 0, 0, 0, 0, -1)
        # A book that another recovery left behind may have been bound later than it was doubted.
        self._least = engine.pulse(feed).expected_seq
        self._bad_lengths = engine.pulse(feed).bad_lengths
        self._known = 0  # symbols that are listed, or whose listing is still to come
        self._state = "well"
        self._trouble = ""
        self._counters = RecoveryCounters()
        self._history: deque[Incident] = deque(maxlen=_HISTORY)
        self.results: dict[int, Result] = {}
        """By slot: what became of each book at the last attempt."""

    # For people

    def status(self) -> RecoveryStatus:
        """How it stands. May be called from any thread."""
        feed, asked = self._engine.feeds[self._feed], self._rerequester
        counters = replace(
            self._counters,
            requests=asked.requests,
            retries=asked.retries,
            messages_asked=asked.messages_asked,
            replies=feed.first[_REREQUESTS],
        )
        waiting = tuple(book.name for book in self._doubtful())
        missing = feed.missing if feed.health in ("hold", "gap") else 0
        history = tuple(self._history)
        return RecoveryStatus(self._feed, self._state, missing, waiting, self._trouble, counters, history)

    @property
    def idle(self) -> bool:
        """Is there nothing to do, as far as the last step saw?"""
        return not (self._gap or self._work or self._snapshot or self._fetching or self._waiting())

    # The course of things

    def step(self) -> int:
        """Do what can be done now; in how many ns to call it again."""
        now_ns = self._clock()
        self._floor()
        pulse, before = self._engine.pulse(self._feed), self._pulse
        self._pulse = pulse
        self._mind_session(now_ns, pulse, before)
        if pulse.health in (lib.HFT_FEED_HOLD, lib.HFT_FEED_GAP) and self._only is None:
            self._mind_gap(now_ns, self._engine.feeds[self._feed])
        else:
            self._missing_since_ns = None
            if self._gap is not None:
                self._gap_is_over(now_ns)
        self._mind_new_symbols(pulse)
        if pulse.quarantines != before.quarantines or (now_ns >= self._look_ns and self._patients):
            self._look(now_ns)
        self._mind_snapshot(now_ns)
        self._go_on()
        self._state = self._word()
        if self._work is not None and not self._work.waits:
            return 0
        return QUIET_NS if self.idle else BUSY_NS

    def _word(self) -> str:
        if self._work is not None:
            return "restoring"
        if self._fetching or self._snapshot is not None:
            return "snapshot"
        if self._gap is not None and not self._rerequester.given_up:
            return "asking" if self._engine.pulse(self._feed).health == lib.HFT_FEED_GAP else "holding"
        if self._gap is not None or self._waiting():
            return "stuck" if self._snapshots is None or self._trouble else "snapshot"
        return "holding" if self._engine.pulse(self._feed).health == lib.HFT_FEED_HOLD else "well"

    # Gaps

    def _mind_gap(self, now_ns: int, feed: FeedSnapshot) -> None:
        if self._missing_since_ns is None:
            self._missing_since_ns = now_ns
        if not self._rerequester.overdue(now_ns, feed):
            return
        feed = self._push(feed)
        if not feed.missing:
            return
        if self._gap is None:
            self._gap = _Gap(self._missing_since_ns, max(feed.expected_seq, 1))
            _log.warning("feed %d: %d messages are missing from %d on", self._feed, feed.missing, self._gap.first)
        self._gap.most = max(self._gap.most, feed.missing)
        given_up = self._rerequester.given_up
        for request in self._rerequester.poll(now_ns, feed, lambda: self._engine.missing(self._feed)):
            if self._ask is not None:
                self._ask(request.encode())
        why = self._rerequester.given_up
        if why and self._ask is None:
            why = "there is no re-request server"
        if why and not given_up:
            _log.warning("feed %d: a snapshot has to come: %s", self._feed, why)
        if why and self._snapshots is None and self._pause.over(now_ns):
            self._fail(now_ns, f"{why}, and there is no snapshot server either")
            self._rerequester.reset()

    def _push(self, feed: FeedSnapshot) -> FeedSnapshot:
        """Have the hook look at its clock and at what it keeps: it does so only with a packet, and for so much at a
        time."""
        for _ in range(_PUSHES):
            before = feed.expected_seq
            self._counters.pokes += 1
            self._engine.command(self._commands.poke())
            feed = self._engine.feeds[self._feed]
            if feed.expected_seq == before or not feed.missing:
                break
        return feed

    def _gap_is_over(self, now_ns: int) -> None:
        gap, self._gap = self._gap, None
        self._rerequester.reset()
        if gap is None:
            return
        if gap.abandoned:
            kind = "snapshot"
        else:
            kind = "gap"
            self._counters.gaps_filled += 1
            self._trouble = ""
        self._record(kind, gap.since_ns, now_ns, f"from {gap.first} on, at most {gap.most} messages behind")

    def _abandon(self, feed: FeedSnapshot, snapshot: Snapshot) -> bool:
        """Go on behind the snapshot. What it says of the feed must be there first: the hook goes on at once."""
        bind(self._engine, self._commands, snapshot, self._engine.symbols.books(self._feed))
        install_market(self._engine, self._commands, self._feed, snapshot)
        if not self._engine.command(self._commands.abandon(snapshot.sequence)):
            return False  # it was filled at the last moment
        self._counters.gaps_abandoned += 1
        if self._gap is not None:
            self._gap.abandoned = True
        self._rerequester.reset()
        self._pause.reset()
        expected = max(feed.expected_seq, 1)
        _log.warning("feed %d: %d messages given up, from %d on", self._feed, snapshot.sequence - expected, expected)
        return True

    # Sessions

    def _mind_session(self, now_ns: int, pulse: Pulse, before: Pulse) -> None:
        if self._strangers is None or not (self._watch.expecting or pulse.wrong_session != before.wrong_session):
            return
        feed = self._engine.feeds[self._feed]
        # Packets are counted for all feeds together. With several of them silence cannot be told from heartbeats: then
        # only the end of a session lets another begin.
        if self._engine.program.config.feeds != 1 and feed.health != "ended":
            return
        own = pulse.packets - pulse.wrong_session
        following = self._watch.decide(now_ns, feed, own, self._strangers())
        if following is not None:
            self._follow(now_ns, feed.session, following)

    def _follow(self, now_ns: int, session: str, following: str) -> None:
        """Another session: a new day for every symbol, and it begins with nothing."""
        if not self._engine.command(self._commands.rollover(following)):
            raise RecoveryError(f"the hook does not follow session {following}")
        _log.warning("feed %d: session %s is over, %s begins", self._feed, session, following)
        self._counters.rollovers += 1
        self._gap, self._snapshot, self._work, self._fetching = None, None, None, False
        self._rerequester.reset()
        self._need.clear()
        self._least = 0
        self._known = len(self._engine.symbols)
        self._look(now_ns)
        snapshot = Snapshot.of_new_session(following)
        self._begin(snapshot, self._engine.symbols.doubtful(self._feed), rollover_ns=now_ns)

    # Books

    def _doubtful(self) -> list[BookState]:
        books = self._engine.symbols.doubtful(self._feed)
        return books if self._only is None else [book for book in books if book.slot in self._only]

    def _waiting(self) -> list[int]:
        return [slot for slot, patient in self._patients.items() if patient.restored_ns is None]

    def _mind_new_symbols(self, pulse: Pulse) -> None:
        """A symbol that is tracked after its listing has passed would never be listed. One doubted will be."""
        tracked = len(self._engine.symbols)
        if tracked == self._known or self._only is not None:
            return
        if not pulse.expected_seq:
            self._known = tracked
        elif pulse.health == lib.HFT_FEED_LIVE and self._snapshots is not None:
            for slot in range(self._known, tracked):
                book = self._engine.symbols.book(slot)
                if book.feed == self._feed and book.health == "ok" and not book.locate:
                    self._engine.command(self._commands.quarantine(slot))
            self._known = tracked

    def _look(self, now_ns: int) -> None:
        """Which books are not ok?"""
        settings, self._look_ns = self._settings, now_ns + _AGAIN_NS
        doubtful = {book.slot for book in self._doubtful()}
        for slot in doubtful:
            patient = self._patients.get(slot)
            if patient is None:
                self._patients[slot] = _Patient(now_ns, Pause(settings.pause_ns, settings.longest_pause_ns))
            elif patient.restored_ns is not None:
                patient.pause.fail(now_ns)  # it did not last
                patient.seen_ns, patient.restored_ns = now_ns, None
        for slot, patient in list(self._patients.items()):
            if slot in doubtful:
                continue
            if patient.restored_ns is None:
                patient.restored_ns = now_ns
            if now_ns - patient.restored_ns >= settings.calm_ns:
                del self._patients[slot]

    def _floor(self) -> int:
        """The least sequence of a snapshot that is right for any book.

        A book message that nobody could read is missing from what is kept: only a snapshot after it is right.
        """
        bad_lengths = self._engine.pulse(self._feed).bad_lengths
        if bad_lengths != self._bad_lengths:
            self._bad_lengths = bad_lengths
            self._least = self._engine.feeds[self._feed].highest_seq
        return self._least

    def _mind_snapshot(self, now_ns: int) -> None:
        if self._snapshots is None or self._work is not None:
            return
        if self._fetching:
            self._take(now_ns, self._snapshots.result())
        elif self._snapshot is None and self._pause.over(now_ns):
            given_up = self._gap is not None and bool(self._rerequester.given_up)
            live = self._engine.pulse(self._feed).health in (lib.HFT_FEED_LIVE, lib.HFT_FEED_ENDED)
            if given_up or (live and any(self._patients[slot].pause.over(now_ns) for slot in self._waiting())):
                self._fetch(everybody=given_up)
        if self._snapshot is not None:
            self._use(now_ns, *self._snapshot)

    def _fetch(self, *, everybody: bool) -> None:
        assert self._snapshots is not None
        books = self._engine.symbols.books(self._feed) if everybody else self._doubtful()
        self._snapshots.start({book.name for book in books}, {book.locate for book in books if book.locate})
        self._fetching = True

    def _take(self, now_ns: int, result: Snapshot | RecoveryError | None) -> None:
        if result is None:
            return
        self._fetching = False
        session = self._engine.feeds[self._feed].session
        if isinstance(result, Snapshot) and result.session != session:
            result = RecoveryError(f"the snapshot is of session {result.session!r}, the feed of {session!r}.")
        if isinstance(result, RecoveryError):
            self._counters.snapshot_failures += 1
            self._fail(now_ns, str(result))
            self._rerequester.reset()  # the other way may work by now
            return
        self._counters.snapshots += 1
        self._snapshot = (result, now_ns)

    def _use(self, now_ns: int, snapshot: Snapshot, came_ns: int) -> None:
        """Install it as soon as the feed has got as far as it does, or as far as it ever will."""
        feed = self._engine.feeds[self._feed]
        expected, patient = max(feed.expected_seq, 1), now_ns - came_ns <= self._settings.patience_ns
        if self._rerequester.given_up and feed.health in ("hold", "gap"):
            if snapshot.sequence > feed.highest_seq and patient:
                return
            if not expected < snapshot.sequence <= feed.highest_seq:
                self._too_old(now_ns, f"the snapshot ends before {snapshot.sequence}, the feed waits for {expected}")
                return
            if self._abandon(feed, snapshot):
                self._look(now_ns)
        self._snapshot = None
        self._bind(snapshot)
        due = [book for book in self._doubtful() if snapshot.covers(book.name) and self._due(now_ns, book.slot)]
        self._begin(snapshot, due)

    def _bind(self, snapshot: Snapshot) -> None:
        """List those that have no locate. They can be restored from a snapshot that is not older than this moment."""
        books = [book for book in self._doubtful() if not book.locate and book.name in snapshot.directory]
        if books:
            bind(self._engine, self._commands, snapshot, books)
            expected = self._engine.pulse(self._feed).expected_seq
            self._need.update((book.slot, expected) for book in books)

    def _due(self, now_ns: int, slot: int) -> bool:
        patient = self._patients.get(slot)
        return patient is None or patient.pause.over(now_ns)

    def _begin(self, snapshot: Snapshot, books: list[BookState], rollover_ns: int | None = None) -> None:
        if not books:
            return
        until_ns = self._clock() + self._settings.patience_ns
        restore = Restore(
            self._engine,
            self._feed,
            snapshot,
            books,
            need=self._need,
            floor=self._floor,
            patience=lambda: self._clock() < until_ns,
        )
        self._work = _Work(restore, restore.run(), rollover_ns)

    def _go_on(self) -> None:
        """With the restoration, for a while."""
        work = self._work
        if work is None:
            return
        end_ns = self._clock() + _AT_ONCE_NS
        for waits in work.course:
            work.waits = waits
            if waits or self._clock() >= end_ns:
                return
        self._work = None
        self._finish(self._clock(), work)

    def _finish(self, end_ns: int, work: _Work) -> None:
        results = work.restore.results
        self.results |= results
        by_outcome: dict[Outcome, list[Result]] = {outcome: [] for outcome in Outcome}
        began_ns = end_ns
        for slot, result in results.items():
            by_outcome[result.outcome].append(result)
            patient = self._patients.get(slot)
            if result.outcome is Outcome.RESTORED:
                self._need.pop(slot, None)
                if patient is not None:
                    began_ns = min(began_ns, patient.seen_ns)
                    patient.restored_ns = end_ns
            elif result.outcome is Outcome.FAILED and patient is not None:
                patient.pause.fail(end_ns)
        restored, later, failed = (by_outcome[outcome] for outcome in Outcome)
        self._counters.symbols_restored += len(restored)
        self._counters.restore_failures += len(failed)
        if restored:
            self._trouble = ""
            self._pause.reset()
            kind, since_ns = ("symbols", began_ns) if work.rollover_ns is None else ("rollover", work.rollover_ns)
            self._record(kind, since_ns, end_ns, _names(restored))
        if failed:
            _log.warning("feed %d: not restored: %s", self._feed, _reasons(failed))
            self._trouble = _reasons(failed)
        if later:
            self._too_old(end_ns, _reasons(later))
        self._look(end_ns)

    def _too_old(self, now_ns: int, why: str) -> None:
        self._counters.snapshots_late += 1
        self._snapshot = None
        self._pause.fail(now_ns)
        _log.info("feed %d: another snapshot is needed: %s", self._feed, why)

    def _fail(self, now_ns: int, why: str) -> None:
        self._pause.fail(now_ns)
        if why != self._trouble:
            _log.error("feed %d: %s", self._feed, why)
        self._trouble = why

    def _record(self, kind: str, began_ns: int, ended_ns: int, detail: str) -> None:
        incident = Incident(kind, began_ns, ended_ns, detail)
        self._history.append(incident)
        _log.warning("feed %d: %s over after %.1f ms: %s", self._feed, kind, incident.duration_ns / 1e6, detail)


def _names(results: list[Result]) -> str:
    names = [result.name for result in results]
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def _reasons(results: list[Result]) -> str:
    """Each reason once, with the symbols it holds for."""
    by_reason: dict[str, list[Result]] = {}
    for result in results:
        by_reason.setdefault(result.why, []).append(result)
    return "; ".join(f"{_names(concerned)}: {why}" for why, concerned in by_reason.items())
