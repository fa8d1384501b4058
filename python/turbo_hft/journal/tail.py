"""The newest events of a journal that is being written, from one look to the next, for who watches an engine that
another process runs. Nothing happens between two looks, and a look reads one segment at most."""

from __future__ import annotations

from collections import deque
from pathlib import Path

from turbo_hft.errors import JournalDamaged, JournalGone
from turbo_hft.events import Event
from turbo_hft.journal import format as form
from turbo_hft.journal.format import Broken, Frame
from turbo_hft.journal.reader import EventRecord, JournalReader, check_abi
from turbo_hft.journal.segment import Segment, Unfinished, frames_of


class Tail:
    """Follows a journal's newest segment. Raises JournalGone for a directory that holds none, JournalDenied."""

    def __init__(self, directory: str | Path, most: int = 1000) -> None:
        self._reader = JournalReader(directory)
        self._most = most
        self._segment: Segment | None = None
        self._offset, self._hash = 0, b""

    def read(self) -> list[Event]:
        """Events since the last look, oldest first, the newest `most` of them; at the first look, those that there are.

        When a new segment was begun meanwhile, what came after the last look in older ones is left out: each segment
        stands for itself. Raises JournalDamaged, JournalGone.
        """
        try:
            return self._read()
        except Broken as error:
            where = self._segment.path if self._segment else self._reader.directory
            raise JournalDamaged(f"{where}: {error}. `turbo-hft journal verify` finds all there is.") from None
        except OSError as error:
            raise JournalGone(f"cannot follow the journal {self._reader.directory}: {error.strerror}.") from None

    def _read(self) -> list[Event]:
        paths = form.segment_paths(self._reader.directory)
        if not paths:
            raise JournalGone(f"{self._reader.directory} holds no journal any more: were its segments taken away?")
        newest = paths[-1]
        if self._segment is None or self._segment.path != newest:
            if newest.stat().st_size < form.HEADER_BYTES:  # it is just being begun
                return []
            self._segment = Segment.read(newest)
            self._offset, self._hash = form.HEADER_BYTES, self._segment.start
            check_abi(self._segment)
        kept, count = deque[Frame](), 0
        try:
            for frame in frames_of(self._segment, self._offset, self._hash):
                self._offset, self._hash = frame.offset + frame.length, frame.hash
                if frame.kind == form.NOTE:
                    self._reader.note_of(frame)  # which symbol is which
                    continue
                kept.append(frame)
                count += frame.count
                # A segment holds millions: only those are taken apart that will be asked for.
                while count - kept[0].count >= self._most:
                    count -= kept.popleft().count
        except Unfinished:
            pass  # its writer is not through with it: next time
        records = (record for frame in kept for record in self._reader.records_of(frame))
        found = [record.event for record in records if isinstance(record, EventRecord)]
        return found[-self._most :]
