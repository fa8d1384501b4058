"""One segment: its head, and its frames in order, each held against the chain."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from turbo_hft.journal import format as form
from turbo_hft.journal.format import Broken, Frame, Header


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment's file and head. `start`: the hash of its head, which its first frame comes behind."""

    path: Path
    header: Header
    start: bytes

    @classmethod
    def read(cls, path: Path) -> Segment:
        """Raises Broken, OSError."""
        with path.open("rb") as file:
            raw = file.read(form.HEADER_BYTES)
        header = Header.decode(raw)
        if path.name != form.segment_name(header.number):
            raise Broken(f"it says that it is segment {header.number}: it was renamed")
        return cls(path, header, form.chain(header.previous, raw))


class Unfinished(Broken):
    """The file ends within a frame. `bytes`: how many are there of it."""

    def __init__(self, message: str, there: int) -> None:
        super().__init__(message)
        self.bytes = there


def frames_of(segment: Segment, offset: int = form.HEADER_BYTES, tail: bytes | None = None) -> Iterator[Frame]:
    """Frames from `offset` on, behind what has the hash `tail` (from the beginning: that of the head).

    Raises Broken for the first that is not what was written, Unfinished where the file ends within one.
    """
    before = segment.start if tail is None else tail
    following = segment.header.first if tail is None else None
    with segment.path.open("rb") as file:
        file.seek(offset)
        while head := file.read(form.FRAME_BYTES):
            if len(head) < form.FRAME_BYTES:
                raise Unfinished("the file ends within the head of a frame", len(head))
            length = form.announced(head)
            raw = head + file.read(length - form.FRAME_BYTES)
            if len(raw) < length:
                raise Unfinished(f"the file ends within a frame of {length} bytes", len(raw))
            frame = form.decode(raw, offset)
            check_place(frame, raw, before, following)
            yield frame
            before, following, offset = frame.hash, frame.first + frame.count, offset + length


def check_place(frame: Frame, raw: bytes, before: bytes, following: int | None) -> None:
    """Does this whole frame come right behind what has the hash `before`? Raises Broken."""
    if following is not None and frame.first != following:
        raise Broken(f"record {frame.first} stands where {following} belongs: some were removed, slipped in or moved")
    if form.chain(before, memoryview(raw)[: -form.HASH_BYTES]) != frame.hash:
        raise Broken("its hash does not follow from what stands before it")


def whole_frame_behind(path: Path, offset: int) -> int:
    """Where the next frame with a right checksum begins, after `offset`; 0 = there is none."""
    if path.stat().st_size <= offset:
        return 0
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = offset
        while (at := data.find(form.FRAME_MAGIC, at + 1)) > 0:
            try:
                length = form.announced(data[at : at + form.FRAME_BYTES])
                form.decode(data[at : at + length])
            except Broken:
                continue
            return at
    return 0
