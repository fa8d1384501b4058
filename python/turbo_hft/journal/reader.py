"""Read a journal: events and notes in order, each with its number and both times; also while it is being written."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turbo_hft import abi
from turbo_hft.errors import AbiMismatch, JournalDamaged, JournalGone
from turbo_hft.events import Event, reason_name
from turbo_hft.journal import format as form
from turbo_hft.journal.format import Broken, Frame
from turbo_hft.journal.segment import Segment, Unfinished, frames_of
from turbo_hft.journal.writer import os_problem
from turbo_hft.snapshots import side_name
from turbo_hft.strategies import strategy_name

_PAUSE_S = 0.05
_SLACK_NS = 60_000_000_000
_KIND, _SYMBOL, _SIDE, _REASON, _STRATEGY = (
    form.EVENT_FIELDS.index(name) for name in ("kind", "symbol", "side", "reason", "strategy")
)
_LOCAL = form.EVENT_FIELDS.index("local_ns")


@dataclass(frozen=True, slots=True)
class EventRecord:
    """An event. `utc_ns`: its packet's entry, ns since 1970 (`event.local_ns` by the clocks of when it was written).
    `run`: which recording, from 1 on; event ids begin anew with each engine."""

    number: int
    run: int
    utc_ns: int
    event: Event


@dataclass(frozen=True, slots=True)
class Note:
    """What else was recorded: `kind` and `data` as docs/journal.md lists them. Both clocks are those of the writing."""

    number: int
    run: int
    mono_ns: int
    utc_ns: int
    kind: str
    data: dict[str, Any]


Record = EventRecord | Note


class JournalReader:
    """The records of a journal, oldest first; every frame is held against its checksum and the chain as it is read.

    Iterating raises JournalDamaged at the first that is not what was written; nothing behind it is given out. A torn
    tail is where a journal ends: `torn_bytes` says how long the last one was. Raises JournalGone, JournalDenied.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        self.torn_bytes = 0
        self.symbols: dict[int, str] = {}
        if not self._paths():
            raise JournalGone(f"{directory} holds no journal: name the directory that `run --journal` was given.")

    def _paths(self) -> list[Path]:
        try:
            return form.segment_paths(self.directory)
        except OSError as error:
            raise os_problem(error, f"cannot read the journal {self.directory}") from error

    def segments(self) -> Iterator[Segment]:
        """Heads of all segments, each held against the end of the one before only when its frames are read."""
        for path in self._paths():
            segment = self._segment(path)
            if segment is not None:
                yield segment

    def _segment(self, path: Path) -> Segment | None:
        try:
            return Segment.read(path)
        except Broken as error:
            if path == self._paths()[-1] and path.stat().st_size < form.HEADER_BYTES:
                self.torn_bytes = path.stat().st_size
                return None
            raise JournalDamaged(f"{path}: {error}.", path.name) from None
        except OSError as error:
            raise os_problem(error, f"cannot read {path}") from error

    def frames(self, *, first: int = 1, since_utc_ns: int = 0) -> Iterator[Frame]:
        """Whole frames, from the segment on in which record `first`, or this moment, is."""
        for _, frame in self.placed(first=first, since_utc_ns=since_utc_ns):
            yield frame

    def placed(self, *, first: int = 1, since_utc_ns: int = 0) -> Iterator[tuple[Segment, Frame]]:
        """The same with their segments."""
        segments = list(self.segments())
        begin = 0
        for i, segment in enumerate(segments):
            # An event may have entered the hook shortly before its segment was begun.
            early = bool(since_utc_ns) and segment.header.utc_ns + _SLACK_NS <= since_utc_ns
            if early or (not since_utc_ns and segment.header.first <= first):
                begin = i
        before: tuple[bytes, int] | None = None if begin else (form.GENESIS, 1)
        for i, segment in enumerate(segments[begin:], begin):
            head = segment.header
            if before is not None and (head.previous, head.first) != before:
                what = "it does not follow from the segment before" if i else "it is not the first of its journal"
                raise JournalDamaged(f"{segment.path}: {what}: some were removed or changed.", segment.path.name)
            check_abi(segment)
            tail, following = segment.start, head.first
            for frame in self._whole(segment, last=segment is segments[-1]):
                tail, following = frame.hash, frame.first + frame.count
                yield segment, frame
            before = (tail, following)

    def _whole(
        self, segment: Segment, *, last: bool, offset: int = form.HEADER_BYTES, tail: bytes | None = None
    ) -> Any:
        at = offset
        try:
            for frame in frames_of(segment, offset, tail):
                at = frame.offset + frame.length
                yield frame
        except Broken as error:
            if last and isinstance(error, Unfinished):
                self.torn_bytes = error.bytes
                return
            raise JournalDamaged(
                f"{segment.path} byte {at}: {error}. `turbo-hft journal verify` finds all there is.",
                segment.path.name,
                at,
            ) from None
        except OSError as error:
            raise os_problem(error, f"cannot read {segment.path}") from error

    # Records

    def __iter__(self) -> Iterator[Record]:
        return self.records()

    def records(
        self,
        *,
        first: int = 1,
        since_utc_ns: int = 0,
        until_utc_ns: int | None = None,
        wanted: Callable[[tuple[Any, ...]], bool] | None = None,
    ) -> Iterator[Record]:
        """Records from number `first` and this moment on. `wanted` sees the plain fields of an event
        (`format.EVENT_FIELDS`), and leaves out those for which it says no: much cheaper than to look at the records."""
        for frame in self.frames(first=first, since_utc_ns=since_utc_ns):
            for record in self.records_of(frame, wanted):
                if record.number < first or record.utc_ns < since_utc_ns:
                    continue
                if until_utc_ns is not None and record.utc_ns >= until_utc_ns:
                    continue
                yield record

    def records_of(self, frame: Frame, wanted: Callable[[tuple[Any, ...]], bool] | None = None) -> Iterator[Record]:
        """The records of one frame."""
        if frame.kind == form.NOTE:
            yield self.note_of(frame)
            return
        shift = frame.utc_ns - frame.mono_ns
        for number, values in enumerate(form.CELL.iter_unpack(frame.payload), frame.first):
            if wanted is None or wanted(values):
                yield EventRecord(number, frame.run, values[_LOCAL] + shift, self.event_of(values))

    def note_of(self, frame: Frame) -> Note:
        """The note of a frame; what it says of slots is remembered."""
        try:
            data = json.loads(frame.payload)
        except (ValueError, RecursionError):
            data = {"kind": "unreadable"}
        kind = str(data.pop("kind", "unreadable")) if isinstance(data, dict) else "unreadable"
        note = Note(frame.first, frame.run, frame.mono_ns, frame.utc_ns, kind, data if isinstance(data, dict) else {})
        if kind == "start":
            self.symbols.clear()
        for key, (_, new) in changes_of(note).items():
            if key.startswith("symbol.") and key.endswith(".slot") and isinstance(new, int):
                self.symbols[new] = key[len("symbol.") : -len(".slot")]
        return note

    def event_of(self, values: tuple[Any, ...]) -> Event:
        """An Event from the plain fields."""
        fields = list(values)
        kind = abi.event_kind(values[_KIND])
        fields[_KIND] = kind
        fields[_SYMBOL] = (
            None if values[_SYMBOL] == abi.NO_SYMBOL else self.symbols.get(values[_SYMBOL], f"#{values[_SYMBOL]}")
        )
        fields[_SIDE] = side_name(values[_SIDE])
        fields[_STRATEGY] = strategy_name(values[_STRATEGY])
        named = dict(zip(form.EVENT_FIELDS, fields, strict=True))
        code = named["reason"]
        return Event(**named | {"reason": reason_name(kind, code), "reason_code": code})

    def find_event(self, event_id: int, run: int | None = None) -> EventRecord | None:
        """An event by its id: of that run, or of the newest that has one."""
        return self._newest(lambda values: values[0] == event_id, run)

    def find_feed_sequence(self, sequence: int, run: int | None = None) -> EventRecord | None:
        """The first event in the newest run (or `run`) that was decided on this feed sequence."""
        at = form.EVENT_FIELDS.index("feed_seq")
        found: EventRecord | None = None
        for record in self.records(wanted=lambda values: values[at] == sequence):
            if (
                isinstance(record, EventRecord)
                and run in (None, record.run)
                and (found is None or record.run > found.run)
            ):
                found = record
        return found

    def find_order(self, user_ref: int, run: int | None = None) -> EventRecord | None:
        """The newest order of this UserRefNum, as it left."""
        ref, kind = form.EVENT_FIELDS.index("user_ref"), _KIND
        order = next(number for number, name in abi.event_kinds().items() if name == "order")
        return self._newest(lambda values: values[ref] == user_ref and values[kind] == order, run)

    def _newest(self, wanted: Callable[[tuple[Any, ...]], bool], run: int | None) -> EventRecord | None:
        found: EventRecord | None = None
        for record in self.records(wanted=wanted):
            if isinstance(record, EventRecord) and run in (None, record.run):
                found = record
        return found

    def follow(self, stop: Callable[[float], bool] | None = None, *, first: int = 1) -> Iterator[Record]:
        """All records from `first` on, and those to come, until `stop`, which waits for so many seconds, says so; or
        until the writer has closed it."""
        wait = stop or _sleep
        following, closed = 1, False
        place: tuple[Path, int, bytes | None] | None = None
        while True:
            for segment in list(self.segments()):
                if place is not None and segment.path.name < place[0].name:
                    continue
                offset, tail = (place[1], place[2]) if place and place[0] == segment.path else (form.HEADER_BYTES, None)
                check_abi(segment)
                paths = self._paths()
                for frame in self._whole(segment, last=segment.path == paths[-1], offset=offset, tail=tail):
                    place = (segment.path, frame.offset + frame.length, frame.hash)
                    following = frame.first + frame.count
                    closed = False
                    for record in self.records_of(frame):
                        closed = isinstance(record, Note) and record.kind == "closed"
                        if record.number >= first:
                            yield record
            if closed or wait(_PAUSE_S):
                return
            first = max(first, following)


def _sleep(seconds: float) -> bool:
    time.sleep(seconds)
    return False


def changes_of(note: Note) -> dict[str, tuple[Any, Any]]:
    """Setting -> (old, new) of a note that tells of settings."""
    found = note.data.get("changes", {})
    if not isinstance(found, dict):
        return {}
    return {key: (pair[0], pair[1]) for key, pair in found.items() if isinstance(pair, list) and len(pair) == 2}


def check_abi(segment: Segment) -> None:
    """Raises AbiMismatch for a segment that another version wrote."""
    head = segment.header
    if (head.abi_version, head.event_bytes) != (abi.VERSION, form.EVENT_BYTES):
        raise AbiMismatch(
            f"{segment.path} was written by ABI version {head.abi_version}, this package reads {abi.VERSION}: read "
            "it with the package that wrote it. `turbo-hft journal verify` works with every version."
        )
