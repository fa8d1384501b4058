"""Recorded files: which kind one is, and a BinaryFILE mapped into memory for native/replay.c to walk through."""

from __future__ import annotations

import enum
import errno
import mmap
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from turbo_hft._native import ffi, lib
from turbo_hft.errors import ConfigError, TurboHftError
from turbo_hft.wire import itch50

BUDGET = 1 << 18
"""Messages of one native call: some milliseconds, after which signals and progress are looked at."""

_CAPTURES = {bytes.fromhex(magic) for magic in ("0a0d0d0a", "d4c3b2a1", "a1b2c3d4", "4d3cb2a1", "a1b23c4d")}
_GZIP = b"\x1f\x8b"
_HEAD = 16


class Kind(enum.Enum):
    """What a recorded file holds."""

    BINARYFILE = "BinaryFILE"
    CAPTURE = "capture"


def kind_of(path: Path) -> Kind:
    """By its first bytes, whatever it is called. Raises ConfigError for a file that is neither."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}; name a BinaryFILE, pcap or pcapng file.") from error
    if head[:4] in _CAPTURES:
        return Kind.CAPTURE
    length = int.from_bytes(head[:2], "big")
    if len(head) > 2 and itch50.LENGTHS.get(chr(head[2])) == length:
        return Kind.BINARYFILE
    if head.startswith(_GZIP):
        raise ConfigError(f"{path} is compressed: unpack it first (gzip -dk {path}).")
    raise ConfigError(f"{path} is neither a BinaryFILE of ITCH 5.0 messages nor a pcap or pcapng capture.")


def torn(path: Path, offset: int, left: int) -> TurboHftError:
    """The error for a BinaryFILE that ends inside a message."""
    return TurboHftError(
        f"{path} ends inside the message at offset {offset}, {left} bytes after it begins: fetch the file again, or "
        "cut it there."
    )


def replay_error(code: int, what: str) -> TurboHftError:
    """The error for a negative errno value of native/replay.c, but for a torn message."""
    if code == -errno.EMSGSIZE:
        return TurboHftError(f"{what}: it does not fit a frame of {lib.HFT_MAX_FRAME:,} bytes, the longest one taken.")
    if code == -errno.ENETDOWN:
        return TurboHftError(f"{what}: the interface is down: bring it up (ip link set DEV up).")
    return TurboHftError(f"{what}: {os.strerror(-code)}.")


class MessageFile:
    """A BinaryFILE. `framed` is a ``struct hft_framed *`` over all of it; `at` is how far it was walked through."""

    def __init__(self, path: Path) -> None:
        """Raises ConfigError if it cannot be read."""
        self.path = path
        try:
            with path.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:  # ValueError: it is empty
            raise ConfigError(f"cannot read {path}: {error}; name a BinaryFILE of ITCH 5.0 messages.") from error
        self._map.madvise(mmap.MADV_SEQUENTIAL)
        self._bytes = ffi.from_buffer("uint8_t[]", self._map)
        self.size = len(self._map)
        self.framed = self.cursor()

    def cursor(self) -> Any:
        """Another ``struct hft_framed *`` over all of it, at its begin."""
        return ffi.new("struct hft_framed *", {"bytes": self._bytes, "length": self.size})

    @property
    def at(self) -> int:
        """Offset of the next message."""
        return int(self.framed.at)

    def message(self, cursor: Any) -> bytes:
        """The whole message at a cursor."""
        start = int(cursor.at) + 2
        return self._map[start : start + int.from_bytes(self._map[start - 2 : start], "big")]

    def first_time_ns(self) -> int:
        """Time stamp of the first message, ns since midnight; 0 for one that is too short to have any."""
        message = self.message(self.cursor())
        return int.from_bytes(message[5:11], "big") if len(message) > 10 else 0

    def find(self, name: bytes, tick: Callable[[], None]) -> bytes | None:
        """The first R, A or F that names a stock (8 bytes, padded); `tick` is called now and then.

        `at` shows how far it is, and is 0 afterwards. Where the file is torn the search ends as at its end: who reads
        on will meet the place.
        """
        framed = self.framed
        while (result := lib.hft_framed_find(framed, name, BUDGET)) == lib.HFT_FRAMED_MORE:
            tick()
        found = self.message(framed) if result == lib.HFT_FRAMED_FOUND else None
        framed.at = 0
        return found

    def listed(self) -> list[str]:
        """The symbols that directory messages name before the first order."""
        cursor, names = self.cursor(), []
        while (message := self._next(cursor)) and message[:1] not in (b"A", b"F"):
            if message[:1] == b"R" and len(message) == itch50.LENGTHS["R"]:
                names.append(message[11:19].decode("ascii", errors="replace").rstrip(" "))
        return names

    def _next(self, cursor: Any) -> bytes:
        """The message at a cursor, which moves on; empty at the end or where the file is torn."""
        start = int(cursor.at) + 2
        end = start + int.from_bytes(self._map[start - 2 : start], "big")
        if end > self.size:
            return b""
        cursor.at = end
        return self._map[start:end]

    def error(self, code: int) -> TurboHftError:
        """What a negative result of a walk with `framed` means."""
        if code == -errno.EBADMSG:
            return torn(self.path, self.at, self.size - self.at)
        return replay_error(code, f"{self.path}, message at offset {self.at}")

    def close(self) -> None:
        """Unmap it."""
        ffi.release(self._bytes)
        self._map.close()

    def __enter__(self) -> MessageFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
