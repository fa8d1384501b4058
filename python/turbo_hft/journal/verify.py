"""Is a journal as it was written? Every byte is looked at; damage is named by file, byte and record."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from turbo_hft.errors import JournalGone
from turbo_hft.journal import format as form
from turbo_hft.journal.format import Broken
from turbo_hft.journal.lives import Lives
from turbo_hft.journal.segment import Segment, check_place, frames_of, whole_frame_behind
from turbo_hft.journal.writer import being_written, os_problem


@dataclass(frozen=True, slots=True)
class Damage:
    """`segment`: its file. `offset`: where in it, bytes. `record`: number of the first record that may be affected, of
    a batch the events in it whose own checksums are wrong."""

    segment: str
    offset: int
    record: int
    what: str
    events: tuple[int, ...] = ()

    def line(self) -> str:
        """For people."""
        events = f", events {', '.join(map(str, self.events[:20]))} of that record's batch" if self.events else ""
        return f"{self.segment} byte {self.offset}, record {self.record}{events}: {self.what}"


@dataclass(slots=True)
class Verdict:
    """`whole`: nothing is damaged, and the journal was closed or is being written. `twice`: events of one engine that
    are in it more than once. `tail`: the newest hash."""

    directory: str
    segments: int = 0
    records: int = 0
    events: int = 0
    lost: int = 0
    twice: int = 0
    bytes: int = 0
    closed: bool = False
    live: bool = False
    tail: str = ""
    damage: list[Damage] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Nothing is wrong with it."""
        return not self.damage

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {**asdict(self), "whole": self.whole}


def verify(directory: str | Path, *, tail: str | None = None) -> Verdict:
    """Look at all of a journal.

    `tail`: hash that it had at some time before: one frame of it must have that hash, which shows that nothing up to
    there was written anew. Raises JournalGone, JournalDenied, JournalError for one that cannot be read.
    """
    root = Path(directory)
    try:
        paths = form.segment_paths(root)
        live = being_written(root)
        if not paths:
            raise JournalGone(f"{root} holds no journal: name the directory that `run --journal` was given.")
        return _Walk(root, live, tail).run(paths)
    except OSError as error:
        raise os_problem(error, f"cannot read the journal {root}") from error


class _Walk:
    def __init__(self, root: Path, live: bool, wanted: str | None) -> None:
        self.verdict = Verdict(str(root), live=live)
        self.wanted = wanted
        self.found = wanted is None
        self.before = form.GENESIS
        self.following = 1
        self.journal_id: bytes | None = None
        self.number = 0
        self.last_note = ""
        self.lives = Lives()

    def run(self, paths: list[Path]) -> Verdict:
        verdict = self.verdict
        for path in paths:
            self.segment(path, last=path is paths[-1])
        verdict.segments = len(paths)
        verdict.twice = sum(life.twice for life in self.lives.known.values())
        verdict.tail = self.before.hex()
        verdict.closed = self.last_note == "closed"
        if not verdict.closed and not verdict.live and not verdict.damage:
            end = paths[-1]
            missing = self.last_note == "rotated"
            what = (
                "a segment should follow, and there is none: it was removed"
                if missing
                else "no record says that the journal ends here: its writer was killed, or the end was cut off"
            )
            self.report(end, end.stat().st_size, what)
        if not self.found and not verdict.damage:
            self.report(paths[-1], paths[-1].stat().st_size, f"no record has the hash {self.wanted}: written anew?")
        return verdict

    def report(self, path: Path, offset: int, what: str, events: tuple[int, ...] = ()) -> None:
        self.verdict.damage.append(Damage(path.name, offset, self.following, what, events))

    def segment(self, path: Path, *, last: bool) -> None:
        size = path.stat().st_size
        self.verdict.bytes += size
        self.last_note = ""
        try:
            segment = Segment.read(path)
        except Broken as error:
            if self.verdict.live and last and size < form.HEADER_BYTES:
                return
            self.report(path, 0, str(error))
            self.before = form.GENESIS
            self.number += 1
            return
        header, after_damage = segment.header, bool(self.verdict.damage)
        if header.number != self.number + 1:
            gone = f"segment {self.number + 1}" + (
                "" if header.number == self.number + 2 else f" to {header.number - 1}"
            )
            self.report(path, 0, f"{gone} missing before it: removed")
        elif header.previous != self.before and not after_damage:
            self.report(path, 0, "it does not follow from the segment before: that one was cut or changed, or this one")
        elif header.first != self.following and not after_damage:
            self.report(path, 0, f"it begins with record {header.first}, where {self.following} belongs")
        if self.journal_id not in (None, header.journal_id):
            self.report(path, 0, "it is of another journal")
        self.number, self.journal_id = header.number, header.journal_id
        self.following, self.before = header.first, segment.start
        self.frames(segment, last=last)

    def frames(self, segment: Segment, *, last: bool) -> None:
        offset, resumed = form.HEADER_BYTES, None
        while True:
            try:
                for frame in resumed or frames_of(segment):
                    offset = frame.offset + frame.length
                    self.count(frame)
                return
            except Broken as error:
                following = self.following
                behind = whole_frame_behind(segment.path, offset)
                if not behind and last and self.verdict.live:
                    return  # being written at this moment
                self.report(segment.path, offset, str(error), _wrong_events(segment.path, offset, behind, following))
                if not behind:
                    return
                resumed = self.resume(segment, offset, behind)

    def count(self, frame: form.Frame) -> None:
        verdict = self.verdict
        verdict.records += frame.count
        self.lives.frame(frame)
        self.following, self.before = frame.first + frame.count, frame.hash
        self.found = self.found or frame.hash.hex() == self.wanted
        self.last_note = ""
        if frame.kind == form.EVENTS:
            verdict.events += frame.count
        else:
            note = _note(frame.payload)
            self.last_note = str(note.get("kind", ""))
            verdict.lost += int(note["count"]) if self.last_note == "lost" else 0

    def resume(self, segment: Segment, offset: int, behind: int) -> Iterator[form.Frame]:
        """Go on behind the damage, from a frame that is whole in itself."""
        with segment.path.open("rb") as file:
            file.seek(behind)
            head = file.read(form.FRAME_BYTES)
            raw = head + file.read(form.announced(head) - form.FRAME_BYTES)
            file.seek(behind - form.HASH_BYTES)
            stored = file.read(form.HASH_BYTES)
        frame = form.decode(raw, behind)
        try:
            # The damaged frame's own hash still stands in front: does this one follow from it?
            check_place(frame, raw, stored, None)
        except Broken:
            if not _follows_from_recomputed(segment.path, offset, behind, raw, frame, self.before):
                self.following = frame.first
                self.report(segment.path, behind, "and what stands behind does not follow from it either")
        yield frame
        yield from frames_of(segment, behind + frame.length, frame.hash)


def _follows_from_recomputed(
    path: Path, offset: int, behind: int, raw: bytes, frame: form.Frame, before: bytes
) -> bool:
    """Is it only the stored hash of the damaged frame that was changed?"""
    with path.open("rb") as file:
        file.seek(offset)
        damaged = file.read(behind - offset)
    return form.chain(form.chain(before, damaged[: -form.HASH_BYTES]), raw[: -form.HASH_BYTES]) == frame.hash


def _wrong_events(path: Path, offset: int, behind: int, following: int) -> tuple[int, ...]:
    """Numbers of the records of a damaged batch whose own checksums are wrong."""
    end = behind or path.stat().st_size
    with path.open("rb") as file:
        file.seek(offset)
        raw = file.read(min(end - offset, form.MOST_FRAME))
    payload = raw[form.FRAME_BYTES : -form.HASH_BYTES]
    if raw[12:14] != form.EVENTS.to_bytes(2, "little") or len(payload) % form.CELL_BYTES:
        return ()
    return tuple(following + place for place in form.damaged_cells(payload))


def _note(payload: bytes) -> dict[str, Any]:
    try:
        value = json.loads(payload)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
