"""The writer: one process, append only, what could not be written whole is taken back."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from turbo_hft import abi, locks
from turbo_hft._native import ffi, lib
from turbo_hft.errors import (
    ConfigError,
    JournalBusy,
    JournalDamaged,
    JournalDenied,
    JournalError,
    JournalFull,
    JournalGone,
)
from turbo_hft.journal import format as form
from turbo_hft.journal.lives import Life, Lives
from turbo_hft.journal.segment import Segment, frames_of, whole_frame_behind

_LOOK_S = 1.0  # between two looks whether the file is still there
_ASIDE = ".cut"
_POLICY = re.compile(r"([0-9]+(?:\.[0-9]+)?)ms", re.ASCII)
_MOST_MS = 60_000.0
Head = tuple[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Fsync:
    """When what was written is forced onto the disk. `every_ms`: None = never (the kernel's own time, about 30 s), 0 =
    after every batch, otherwise when so many milliseconds have passed since the last time."""

    every_ms: float | None

    @classmethod
    def parse(cls, text: str) -> Fsync:
        """``none``, ``batch``, or such as ``100ms``. Raises ConfigError."""
        found = _POLICY.fullmatch(text)
        if text in ("none", "batch"):
            return cls(None if text == "none" else 0.0)
        if found is None or not 0 < float(found[1]) <= _MOST_MS:
            raise ConfigError(f"fsync {text!r}: give none, batch, or milliseconds such as 100ms (at most 60000ms).")
        return cls(float(found[1]))

    def __str__(self) -> str:
        return "none" if self.every_ms is None else f"{self.every_ms:g}ms" if self.every_ms else "batch"


def boot_id() -> bytes:
    """The kernel's name for this boot: monotonic times of two boots cannot be compared."""
    return uuid.UUID(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()).bytes


def os_problem(error: OSError, what: str) -> JournalError:
    """The typed error for what the file system said."""
    kinds: dict[int, tuple[type[JournalError], str]] = {
        errno.ENOSPC: (JournalFull, "Make room on its file system; recording goes on as soon as there is some."),
        errno.EDQUOT: (JournalFull, "Raise the quota, or make room; recording goes on as soon as there is some."),
        errno.EFBIG: (JournalFull, "Raise the limit of a file's size, or make segments smaller."),
        errno.EACCES: (JournalDenied, "Give this user the right to write there, or name another directory."),
        errno.EPERM: (JournalDenied, "Give this user the right to write there, or name another directory."),
        errno.EROFS: (JournalDenied, "The file system is read-only: remount it, or name another directory."),
        errno.ENOENT: (JournalGone, "Name a directory that is there."),
        errno.ENOTDIR: (JournalGone, "Name a directory, not a file."),
    }
    kind, remedy = kinds.get(error.errno or 0, (JournalError, "See `dmesg` for the disk."))
    return kind(f"{what}: {error.strerror}. {remedy}")


class Journal:
    """A journal that is being written. `open` makes or continues one; a context manager.

    `next_record`, `synced_record`: numbers of the record to come, and of the first one that is not known to be on the
    disk. `tail`: the hash of the newest frame, which stands for all before it. `recovered`: what `open` had to cut off,
    or an empty text.
    """

    def __init__(self, directory: str | Path, fsync: Fsync, segment_bytes: int, segment_s: float) -> None:
        """Use `Journal.open`."""
        self.directory = Path(directory)
        self.fsync = fsync
        self.heads: Callable[[], Iterable[Head]] | None = None
        self.recovered = ""
        self.next_record, self.run = 1, 1
        self.tail = form.GENESIS
        self.bytes_written = 0
        self._segment_bytes, self._segment_s = segment_bytes, segment_s
        self._fd = self._lock = -1
        self._broken = ""
        self._path = self.directory
        self._number = self._size = 0
        self._id = uuid.uuid4().bytes
        self._begun = self._looked = self._synced = time.monotonic()
        self._unsynced = self._ended = False
        self._lives = Lives()
        self._due: list[Head] = []
        self._older: list[Path] = []
        self._cells = ffi.new("unsigned char[]", form.CELL_BYTES * form.MOST_EVENTS)
        try:
            self.directory.mkdir(mode=0o750, parents=True, exist_ok=True)
            self._lock = _locked(self.directory)
            self._continue()
            self._begin()
        except OSError as error:
            self._release()
            raise os_problem(error, f"cannot open the journal {self.directory}") from error
        except BaseException:
            self._release()
            raise
        self.synced_record = self.next_record
        if self.recovered:
            self.note("recovered", {"what": self.recovered})

    @classmethod
    def open(
        cls,
        directory: str | Path,
        *,
        fsync: Fsync | str = "100ms",
        segment_bytes: int = 64 << 20,
        segment_s: float = 86_400.0,
    ) -> Journal:
        """Make the directory or continue the journal in it, in a segment of its own.

        A segment ends at `segment_bytes` (whoever continues reads the last one, 64 MiB in some 0.1 s) or after
        `segment_s` seconds; what `heads` gives, if it is set, stands at the
        beginning of the next. A torn tail is cut off, and kept beside it under its name and ``.cut``. Raises
        JournalBusy, JournalDenied, JournalFull, JournalGone; JournalDamaged for damage that is no torn tail, because
        nothing may be written behind that.
        """
        return cls(directory, Fsync.parse(fsync) if isinstance(fsync, str) else fsync, segment_bytes, segment_s)

    # What is there already

    def _continue(self) -> None:
        paths = form.segment_paths(self.directory)
        while paths:
            last = paths.pop()
            if self._take_up(last):
                self._older = paths
                return

    def _take_up(self, path: Path) -> bool:
        """Go on behind this segment; False if there is nothing of it, so that the one before counts."""
        try:
            segment = Segment.read(path)
        except form.Broken as error:
            # Only a head that was never whole: one whose frames stand behind it is no torn tail.
            if path.stat().st_size >= form.HEADER_BYTES:
                raise JournalDamaged(f"{path}: {error}. `turbo-hft journal verify` says more.", path.name) from None
            self._aside(path, 0)
            path.unlink()
            return False
        end, tail, following, run = form.HEADER_BYTES, segment.start, segment.header.first, 0
        try:
            for frame in frames_of(segment):
                end, tail, following, run = (
                    frame.offset + frame.length,
                    frame.hash,
                    frame.first + frame.count,
                    frame.run,
                )
                self._lives.frame(frame)
        except form.Broken as error:
            if whole_frame_behind(path, end):
                raise JournalDamaged(
                    f"{path} is damaged at byte {end} ({error}), and whole records stand behind: no torn tail. Nothing "
                    "is cut off or written; look with `turbo-hft journal verify`, then begin another directory.",
                    path.name,
                    end,
                ) from None
        if (size := path.stat().st_size) > end:
            self._aside(path, end)
            fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                os.ftruncate(fd, end)
                os.fsync(fd)
            finally:
                os.close(fd)
            self.recovered = f"{size - end} bytes behind byte {end} of {path.name} were no whole record"
        self._number, self.tail, self.next_record = segment.header.number, tail, following
        self._id = segment.header.journal_id
        self.run = (run or _last_run(path)) + 1
        return True

    def life(self, name: str, *, look_back: bool = True) -> Life | None:
        """What the journal has of an engine's life; None = nothing. `look_back`: in older segments of this boot too.

        Raises JournalDamaged, JournalError.
        """
        while name not in self._lives.known and look_back and self._older:
            path, lives = self._older.pop(), Lives()
            try:
                segment = Segment.read(path)
                if segment.header.boot_id != boot_id():
                    self._older.clear()
                    break
                for frame in frames_of(segment):
                    lives.frame(frame)
            except form.Broken as error:
                raise JournalDamaged(
                    f"{path}: {error}. `turbo-hft journal verify` says more; begin another directory.", path.name
                ) from None
            except OSError as error:
                raise os_problem(error, f"cannot read {path}") from error
            for found, life in lives.known.items():  # a segment that has a life at all has the newest of it
                self._lives.known.setdefault(found, life)
        return self._lives.known.get(name)

    def _aside(self, path: Path, end: int) -> None:
        """Keep what is cut off."""
        with path.open("rb") as file:
            file.seek(end)
            rest = file.read()
        beside = path.with_name(f"{path.name}.{time.time_ns()}{_ASIDE}")
        beside.write_bytes(rest)
        self.recovered = self.recovered or f"{len(rest)} bytes of {path.name} were no head of a segment"

    # Segments

    def _begin(self) -> None:
        """Begin the next segment. What fails leaves the one before in use."""
        number = self._number + 1
        header = form.Header(
            abi.VERSION, form.EVENT_BYTES, number, self.next_record, time.monotonic_ns(), time.time_ns(), boot_id(),
            self._id, self.tail,
        ).encode()  # fmt: skip
        path = self.directory / form.segment_name(number)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(path, flags, 0o640)
        try:
            if os.write(fd, header) != len(header):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if self.fsync.every_ms is not None:
                os.fsync(fd)
                _sync_directory(self.directory)
        except BaseException:
            os.close(fd)
            path.unlink(missing_ok=True)
            raise
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._path, self._number = fd, path, number
        self.tail = form.chain(self.tail, header)
        self._size = len(header)
        self._begun = self._looked = self._synced = time.monotonic()
        self._unsynced = self._ended = False

    def rotate(self) -> None:
        """End this segment and begin another. Raises as `events` does."""
        if not self._ended:
            self._write(form.NOTE, 1, _json("rotated", {"next": form.segment_name(self._number + 1)}))
            self._ended = True
        self._guarded(self._sync, "cannot end a segment of")
        self._guarded(self._begin, "cannot begin a segment of")
        self._due = [] if self.heads is None else list(self.heads())
        self._write_due()

    def _write_due(self) -> None:
        """The heads of a segment, before anything else: also when writing them failed at first."""
        while self._due:
            self._write_note(*self._due[0])
            del self._due[0]

    # Records

    def events(self, records: Any, count: int) -> int:
        """Append `count` (at most 4096) of a cffi array of ``struct hft_event``; the number of the first.

        All of them or none. Raises JournalFull, JournalGone, JournalDenied, JournalError; what failed can be tried
        again.
        """
        assert 0 < count <= form.MOST_EVENTS, count
        self._before()
        first = self.next_record
        lib.hft_journal_pack(records, count, self._cells)
        self._write(form.EVENTS, count, bytes(ffi.buffer(self._cells, count * form.CELL_BYTES)))
        self._lives.events(self.run, int(records[0].id), int(records[count - 1].id))
        self._sync_if_due()
        return first

    def note(self, kind: str, data: Mapping[str, Any] | None = None) -> int:
        """Append a note, `data` as JSON; its number. Raises as `events` does."""
        self._before()
        first = self.next_record
        self._write_note(kind, data or {})
        self._sync_if_due()
        return first

    def _write_note(self, kind: str, data: Mapping[str, Any]) -> None:
        self._write(form.NOTE, 1, _json(kind, data))
        self._lives.note(self.run, kind, dict(data))

    def _write(self, kind: int, count: int, payload: bytes) -> None:
        if self._broken:
            raise JournalError(f"the journal {self.directory} takes no more: {self._broken}. Begin another directory.")
        frame = form.Frame(
            kind, count, self.run, self.next_record, time.monotonic_ns(), time.time_ns(), payload, form.GENESIS
        )
        raw = form.encode(frame, self.tail)
        try:
            written = 0
            while written < len(raw):
                written += os.write(self._fd, memoryview(raw)[written:])
        except OSError as error:
            self._take_back()
            raise os_problem(error, f"cannot write to the journal {self.directory}") from error
        self.tail = bytes(raw[-form.HASH_BYTES :])
        self.next_record += count
        self._size += len(raw)
        self.bytes_written += len(raw)
        self._unsynced = True

    def _take_back(self) -> None:
        """A frame of which only a part was written is none."""
        try:
            os.ftruncate(self._fd, self._size)
        except OSError as error:
            self._broken = f"a part of a record could not be taken back ({error.strerror})"

    def _before(self) -> None:
        """What must be settled before anything is written: what fails afterwards would be written twice."""
        now = time.monotonic()
        if now - self._looked >= _LOOK_S:
            self._look()
            self._looked = now
        if self._size >= self._segment_bytes or now - self._begun >= self._segment_s:
            self.rotate()
        self._write_due()

    def _sync_if_due(self) -> None:
        every = self.fsync.every_ms
        if every is not None and self._unsynced and (time.monotonic() - self._synced) * 1e3 >= every:
            self.sync()

    def poll(self) -> None:
        """What is due by the clock: fsync, a segment that is old, a look whether the file is still there. Call it now
        and then. Raises as `events` does."""
        self._before()
        self._sync_if_due()

    def _look(self) -> None:
        try:
            there, ours = os.stat(self._path), os.fstat(self._fd)
        except FileNotFoundError:
            there, ours = None, None
        if there is None or ours is None or (there.st_ino, there.st_dev) != (ours.st_ino, ours.st_dev):
            raise JournalGone(
                f"{self._path} was taken away or replaced while it was written: what is written now is lost. Put it "
                "back, or restart with another directory."
            )

    def sync(self) -> None:
        """Force all that was written onto the disk. Raises as `events` does."""
        self._guarded(self._sync, "cannot sync")

    def _sync(self) -> None:
        if self._unsynced and self.fsync.every_ms is not None:
            try:
                os.fsync(self._fd)
            except OSError as error:
                # The kernel may have dropped the pages: a second fsync that succeeds would prove nothing.
                self._broken = f"fsync failed ({error.strerror}), so what was written last may not be there"
                raise
            self.synced_record = self.next_record
        self._unsynced = False
        self._synced = time.monotonic()

    def _guarded(self, action: Callable[[], None], what: str) -> None:
        try:
            action()
        except OSError as error:
            raise os_problem(error, f"{what} the journal {self.directory}") from error

    @property
    def segment(self) -> str:
        """File that is written now."""
        return self._path.name

    def close(self, why: str = "closed") -> None:
        """Write that it ends here, sync, and let another process write. Raises as `events` does; it is closed then."""
        if self._fd < 0:
            return
        try:
            self._write(form.NOTE, 1, _json("closed", {"why": why}))
            self.sync()
        finally:
            self._release()

    def _release(self) -> None:
        for fd in (self._fd, self._lock):
            if fd >= 0:
                os.close(fd)
        self._fd = self._lock = -1

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close("closed" if kind is None else f"ended by {kind.__name__}")


def _json(kind: str, data: Mapping[str, Any]) -> bytes:
    return json.dumps({"kind": kind, **data}, separators=(",", ":"), default=str).encode()


def _last_run(path: Path) -> int:
    """The run of the segment, if it has no frame that of the one before."""
    for each in reversed([one for one in form.segment_paths(path.parent) if one.name <= path.name]):
        run = 0
        try:
            for frame in frames_of(Segment.read(each)):
                run = frame.run
        except form.Broken:
            pass  # its torn tail
        if run:
            return run
    return 0


def _sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _locked(directory: Path) -> int:
    """Be the one writer, until the descriptor is closed or the process ends however it does."""
    fd = os.open(directory / form.LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(fd, 200, 0).decode("utf-8", "replace").strip() or "unknown"
        os.close(fd)
        raise JournalBusy(
            f"the journal {directory} is being written by process {holder}. End that, or name another directory: two "
            "writers would break the chain."
        ) from None
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()} ({Path(sys.argv[0]).name})".encode(), 0)
    return fd


def being_written(directory: Path) -> bool:
    """Does a writer hold it now?"""
    return locks.held(directory / form.LOCK)
