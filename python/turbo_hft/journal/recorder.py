"""The recorder: a thread that empties the event ring into a journal, and notes every change of what the engine is told.

A ring has one reader, so whoever else wants events has them from here: `Recorder.subscribe`. What is on its way to a
subscriber that does not fetch it is dropped and counted; the journal does not wait for anybody.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from turbo_hft import abi
from turbo_hft._native import ffi
from turbo_hft.announce import Listener, because, myself
from turbo_hft.change import map_id
from turbo_hft.errors import ConfigError, JournalError, TurboHftError
from turbo_hft.events import Event, event_from
from turbo_hft.journal import format as form
from turbo_hft.journal.lives import Life
from turbo_hft.journal.watch import Changed, Watch, kill_name
from turbo_hft.journal.writer import Head, Journal, boot_id

if TYPE_CHECKING:
    from turbo_hft.engine import Engine

OnFailure = Literal["halt", "go-on"]
_LOOK_S = 1.0
_RETRY_S = 0.5
_PATIENCE_S = 0.02  # for the word of who made a change
_MOST_WORDS = 1000
_JUMP_NS = 50_000_000
_BEHIND_NS = 1_000_000_000
_CATCH_UP_NS = 3_000_000_000
_MOST_HELD = 200_000  # events in memory while the journal cannot be written: 26 MB
_MOST_BATCHES = 64  # on their way to a subscriber
_TOLD = frozenset({"upgrade", "config", "detach"})  # notes that other processes ask for


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that a person should know of the recording. `kind`: ``lost`` (events did not fit into the ring),
    ``unrecorded`` (they could not be written), ``journal`` (it cannot be written), ``behind``, ``clock``, ``failed``
    (the recorder has ended), ``recovered`` (the journal is written again)."""

    kind: str
    message: str
    utc_ns: int


class Subscription:
    """Events for one reader. `dropped`: how many it did not fetch in time."""

    def __init__(self, symbol_name: Callable[[int], str | None]) -> None:
        self._symbol_name = symbol_name
        self._batches: deque[bytes] = deque()
        self._alarms: deque[Alarm] = deque(maxlen=1000)
        self._ready = threading.Condition()
        self.dropped = 0

    def give(self, batch: bytes) -> None:
        """From the recorder."""
        with self._ready:
            if len(self._batches) >= _MOST_BATCHES:
                self.dropped += len(self._batches.popleft()) // form.EVENT_BYTES
            self._batches.append(batch)
            self._ready.notify()

    def warn(self, alarm: Alarm) -> None:
        """From the recorder."""
        self._alarms.append(alarm)

    def drain(self) -> list[Event]:
        """What there is."""
        with self._ready:
            batches, self._batches = list(self._batches), deque()
        return [
            event_from(record, self._symbol_name)
            for batch in batches
            for record in ffi.from_buffer("struct hft_event[]", batch)
        ]

    def wait(self, timeout_s: float) -> list[Event]:
        """The same, waiting up to `timeout_s` seconds for a first one."""
        with self._ready:
            self._ready.wait_for(lambda: bool(self._batches), timeout_s)
        return self.drain()

    def alarms(self) -> list[Alarm]:
        """Alarms since the last call."""
        found = []
        while self._alarms:
            found.append(self._alarms.popleft())
        return found


class Recorder:
    """Records an engine into a journal while it is entered; `on_failure` says what becomes of the trading when events
    are lost or cannot be written: ``halt`` (the global kill switch) or ``go-on``.

    `recorded`, `lost`, `unrecorded`: events written, that did not fit into the ring, that could not be written.
    `again`: those that the ring handed out once more, after a recorder was killed, and that the journal had already.
    Entering raises ConfigError while another recorder or reader has the engine's events.
    """

    def __init__(
        self,
        engine: Engine,
        journal: Journal,
        *,
        on_failure: OnFailure = "halt",
        pause_s: float = 0.002,
        on_alarm: Callable[[Alarm], None] | None = None,
    ) -> None:
        self.engine, self.journal = engine, journal
        self.on_failure = on_failure
        self.recorded = self.lost = self.unrecorded = self.again = 0
        self.problem = ""
        self._pause_s = pause_s
        self._on_alarm = on_alarm or _to_stderr
        self._subscriptions: list[Subscription] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._expected = 0
        self._held: deque[Head | bytes] = deque()
        self._held_events = 0
        self._missed: tuple[int, int] | None = None
        self._retry_at = 0.0
        self._looked = 0.0
        self._words: list[dict[str, Any]] = []
        self.behind = False
        self._entered_ns = time.monotonic_ns()
        self._round_at = time.monotonic()
        self._life = ""

    @property
    def still_s(self) -> float:
        """For so long its thread has not come round (seconds): it hangs in a disk that does not answer, or has ended.
        Whoever keeps the lease must not go on for long while nothing is recorded."""
        return time.monotonic() - self._round_at

    def subscribe(self) -> Subscription:
        """Have the events from now on."""
        subscription = Subscription(self.engine.symbols.name_of)
        self._subscriptions.append(subscription)
        return subscription

    # Life

    def __enter__(self) -> Recorder:
        number = map_id(self.engine.program.map("control"))
        try:
            self._listener = Listener(self.engine.program.locks)
        except OSError:
            raise ConfigError("another process records this engine: end that first.") from None
        try:
            self._stream = self.engine.events
            self._watch = Watch(self.engine)
            self._offset = _offset()
            self._watch.look()
            self._looked = time.monotonic()
            self._begin(f"{UUID(bytes=boot_id())}/{number}")
        except BaseException:
            self._listener.close()
            raise
        self.journal.heads = lambda: self._heads("continued")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        why = "stopped" if kind is None else f"ended by {kind.__name__}: {error}"
        try:
            counters = self.engine.counters()
            data = {"why": why, "recorded": self.recorded, "lost": self.lost, "unrecorded": self.unrecorded}
            data["engine"] = "goes on" if self.engine.pins is not None and self.engine.pins.there else "ended"
            self.journal.note("stop", {**data, "by": myself(), "counters": {k: v for k, v in counters.items() if v}})
        except TurboHftError as problem:
            self._alarm("journal", f"the end could not be recorded: {problem}")
        finally:
            self.journal.heads = None
            self._listener.close()

    def _begin(self, life: str) -> None:
        """Go on behind what the journal has of this engine, if it has any of it."""
        journal, engine = self.journal, self.engine
        self._life = life
        known = journal.life(life, look_back=not engine.owner)
        before = None if known is None else replace(known, runs=list(known.runs))
        self._expected = before.newest + 1 if before is not None and before.newest else 0
        for kind, data in self._heads("start"):
            journal.note(kind, data)
        if not engine.owner and engine.controller == os.getpid():
            state, working = kill_name(engine._read_kill()), len(engine.orders.open())
            taken: dict[str, Any] = {"life": life, "state": state, "open_orders": working}
            if before is not None:
                ended = before.end or "killed: its recorder did not say that it ended"
                taken |= {"after_run": before.runs[-1], "pid": before.pid, "ended": ended}
                taken["recorded_id"] = before.newest
            journal.note("takeover", {**taken, "by": myself()})
        if before is not None and (changes := _changes(before, self._watch.everything())):
            about = {"epoch": self._watch.epoch, "from": before.epoch, "changes": changes}
            journal.note("change", {**about, "by": [], "while": "nobody recorded"})

    def _heads(self, kind: str) -> list[Head]:
        """What a reader must know who begins here: the engine, and all that it is told."""
        engine, facts = self.engine, self.engine.program.facts()
        known = self.journal.life(self._life, look_back=False)
        about = {
            "interface": engine.interface, "mode": engine.mode.value, "how": "loaded" if engine.owner else "adopted",
            "program": asdict(facts) if hasattr(facts, "__dataclass_fields__") else str(facts),
            "abi_version": abi.VERSION, "epoch": self._watch.epoch, "event_id": self._watch.last_event,
            "life": self._life, "recorded_id": 0 if known is None else known.newest,
            "events_lost": engine.counters()["events_lost"], "on_failure": self.on_failure,
            "fsync": str(self.journal.fsync), "by": myself(),
        }  # fmt: skip
        tables = [("settings", {"epoch": self._watch.epoch, "changes": table}) for table in self._watch.everything()]
        return [(kind, about), *tables]

    # The thread

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                if not self._round():
                    self._stop.wait(self._pause_s)
            newest = self._watch.last_event  # and not what a feed that goes on brings meanwhile
            while self._round() and self._expected <= newest:
                pass
            self._look()
            self._flush(force=True)
        except BaseException as error:  # whatever it is, trading must not go on unrecorded unnoticed
            self._fail("failed", f"the recorder has ended: {type(error).__name__}: {error}")

    def _round(self) -> bool:
        """One look at everything; were there events?"""
        self._round_at = time.monotonic()
        self._hear()
        if self._words or self._watch.stirred() or time.monotonic() - self._looked >= _LOOK_S:
            self._look()
        records, count = self._stream.raw()
        if count:
            self._take(records, count)
        self._check_clock()
        if self._held or self._missed or self.problem:
            self._flush()
        else:
            self._try(self.journal.poll)
        return bool(count)

    def _take(self, records: Any, count: int) -> None:
        """Events out of the ring."""
        known = self._known(records, count)
        self.again += known
        if known < count:
            self._count_holes(records + known, count - known)
            self._keep(records + known, count - known)
        # Only now: what a subscriber has seen is in the journal, if it can be written at all.
        if self._subscriptions:
            batch = bytes(ffi.buffer(records, count * form.EVENT_BYTES))
            for subscription in self._subscriptions:
                subscription.give(batch)
        now_ns = time.monotonic_ns()
        behind = now_ns - int(records[count - 1].local_ns) > _BEHIND_NS
        # At first there is what came while nobody recorded.
        if behind and not self.behind and now_ns - self._entered_ns > _CATCH_UP_NS:
            self._alarm("behind", "the recorder is more than a second behind the engine")
        self.behind = behind

    def _known(self, records: Any, count: int) -> int:
        """How many of these the journal has already: what a recorder that was killed had in its hands."""
        known = 0
        while known < count and records[known].id < self._expected:
            known += 1
        return known

    def _keep(self, records: Any, count: int) -> None:
        """Into the journal, or into memory as long as that cannot be written."""
        if not self._held and self._missed is None and self._try(lambda: self.journal.events(records, count)):
            self.recorded += count
        elif self._held_events + count <= _MOST_HELD and self._missed is None:
            self._held.append(bytes(ffi.buffer(records, count * form.EVENT_BYTES)))
            self._held_events += count
        else:
            first = int(records[0].id)
            self.unrecorded += count
            if self._missed is None:
                self._fail("unrecorded", f"events from id {first} on cannot be recorded: {self.problem}")
            self._missed = (self._missed[0] if self._missed else first, int(records[count - 1].id))

    def _count_holes(self, records: Any, count: int) -> None:
        first, last = int(records[0].id), int(records[count - 1].id)
        if first == self._expected and last - first == count - 1:
            self._expected = last + 1
            return
        expected = self._expected or first
        for i in range(count):
            number = int(records[i].id)
            if number > expected:
                self.lost += number - expected
                self._miss(expected, number - expected)
            expected = number + 1
        self._expected = expected

    def _miss(self, first: int, count: int) -> None:
        data: dict[str, Any] = {"first_id": first, "count": count}
        what = f"{count:,} events from id {first} on did not fit into the ring"
        if not self.recorded:
            data["why"] = "nobody recorded, and the ring ran over or another reader had them"
            what = f"{count:,} events from id {first} on are gone: {data['why']}"
        self._write("lost", data)
        self._fail("lost", what)

    # Changes

    def _hear(self) -> None:
        """What people say. Acts are noted at once; who made a change waits until the change is seen."""
        for word in self._listener.heard():
            if (kind := word.pop("note", None)) in _TOLD:
                self._write(kind, word)
            elif "what" in word:
                self._write("act", word)
            else:
                self._words.append(word)

    def _look(self) -> None:
        self._looked = time.monotonic()
        before, end = self._watch.epoch, time.monotonic() + _PATIENCE_S
        self._hear()
        while self._unexplained(before) and time.monotonic() < end:
            time.sleep(_PATIENCE_S / 10)
            self._hear()
        _, epoch, changes = self._watch.look()
        # Whose change was made after this look waits for the next one.
        told = [word for word in self._words if word.get("epoch", 0) <= epoch]
        self._words = [word for word in self._words if word.get("epoch", 0) > epoch]
        if not changes and epoch == before:
            for word in told:
                self._write("attribution", word)
            return
        data: dict[str, Any] = {"epoch": epoch, "from": before, "changes": changes}
        data["by"] = [word["by"] | _of(word) for word in told]
        why = [str(word["why"]) for word in told if word.get("why")]
        self._write("change", {**data, **({"why": why} if why else {})})

    def _unexplained(self, before: int) -> bool:
        """Is there an epoch that nobody has said to be his, or a switch that was thrown a moment before its epoch?"""
        now = int(self.engine.epoch)
        if now == before:
            return self._watch.stirred() and not self._words
        told = {word.get("epoch") for word in self._words}
        return not told.issuperset(range(max(before, now - _MOST_WORDS) + 1, now + 1))

    def _check_clock(self) -> None:
        offset = _offset()
        jump, self._offset = offset - self._offset, offset
        if abs(jump) >= _JUMP_NS:
            self._write("clock", {"jump_ns": jump})
            self._alarm("clock", f"the wall clock jumped by {jump / 1e9:+.3f} s; monotonic times go on")

    # Writing, and what if it fails

    def _write(self, kind: str, data: Mapping[str, Any]) -> None:
        if self._held or self._missed or not self._try(lambda: self.journal.note(kind, data)):
            self._held.append((kind, data))

    def _try(self, action: Callable[[], object]) -> bool:
        if self.problem and time.monotonic() < self._retry_at:
            return False
        try:
            action()
        except JournalError as error:
            self._retry_at = time.monotonic() + _RETRY_S
            self._fail("journal", str(error))
            return False
        return True

    def _flush(self, *, force: bool = False) -> None:
        """Write what was held back while the journal could not be written."""
        if force:
            self._retry_at = 0.0
        while self._held:
            item = self._held[0]
            if isinstance(item, bytes):
                count = len(item) // form.EVENT_BYTES
                records = ffi.from_buffer("struct hft_event[]", item)
                if not self._try(partial(self.journal.events, records, count)):
                    return
                self.recorded += count
                self._held_events -= count
            elif not self._try(partial(self.journal.note, *item)):
                return
            self._held.popleft()
        if self._missed is not None:
            first, last = self._missed
            data = {"first_id": first, "last_id": last, "count": last - first + 1, "why": self.problem}
            if not self._try(lambda: self.journal.note("unrecorded", data)):
                return
            self._missed = None
        if self.problem and self._try(self.journal.poll):
            self._alarm("recovered", "the journal is written again")
            self.problem = ""

    def _fail(self, kind: str, message: str) -> None:
        fresh = kind in ("lost", "unrecorded", "failed") or not self.problem
        if kind in ("journal", "failed"):
            self.problem = message
        if not fresh:
            return
        # One that is suspended would go on by itself.
        halts = self.on_failure == "halt" and kill_name(self.engine._read_kill()) in ("active", "reducing", "suspended")
        if halts:
            with because(f"recorder: {message}"):
                self.engine.halt()
        self._alarm(kind, message + (". Trading was halted." if halts else ""))

    def _alarm(self, kind: str, message: str) -> None:
        alarm = Alarm(kind, message, time.time_ns())
        for subscription in self._subscriptions:
            subscription.warn(alarm)
        self._on_alarm(alarm)


def _offset() -> int:
    return time.time_ns() - time.monotonic_ns()


def _of(word: dict[str, Any]) -> dict[str, Any]:
    return {key: word[key] for key in ("epoch", "why", "without_epoch") if word.get(key)}


def _changes(before: Life, tables: Iterable[Changed]) -> Changed:
    """What differs from how it was last recorded."""
    now = {key: pair[1] for table in tables for key, pair in table.items()}
    whole = before.whole
    gone: Changed = {key: [old, None] for key, old in before.settings.items() if whole and key not in now}
    return gone | {
        key: [before.settings.get(key), value]
        for key, value in now.items()
        if (whole or key in before.settings) and before.settings.get(key) != value
    }


def _to_stderr(alarm: Alarm) -> None:
    print(f"turbo-hft recorder: {alarm.kind}: {alarm.message}", file=sys.stderr, flush=True)
