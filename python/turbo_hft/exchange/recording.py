"""What the exchange leaves behind for a later replay: its messages, and the frames of its lines.

A capture only notes what is sent; its frames are made when `write` is called, off the path that sends. Both files are
whole once they are closed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from turbo_hft.errors import ExchangeError
from turbo_hft.wire import binaryfile, frame, pcapng

_MULTICAST_TTL = 1
_UNICAST_TTL = 64


def _open(path: Path, what: str) -> BinaryIO:
    try:
        return path.open("wb")
    except OSError as error:
        raise ExchangeError(
            f"cannot write the {what} {path}: {error.strerror}; name a file in a directory that exists"
        ) from error


class MessageRecord:
    """Every published message in a BinaryFILE; sessions follow each other without a mark."""

    def __init__(self, path: Path) -> None:
        """Errors: ExchangeError if the file cannot be made."""
        self._path = path
        self._file = _open(path, "record")
        self.messages = 0

    def add(self, messages: Sequence[bytes]) -> None:
        """Append messages. Errors: ExchangeError when the disk is full."""
        try:
            self.messages += binaryfile.write(self._file, messages)
        except OSError as error:
            raise _full(self._path, error) from error

    def close(self) -> None:
        """Write the rest. Errors: ExchangeError when the disk is full."""
        _close(self._file, self._path)


class Capture:
    """Frames of all lines in a pcapng, an interface for each line, times of the wall clock in ns.

    They are what left, but for the IPv4 identification: the kernel's choice, 0 here, with the checksum that fits it.
    """

    def __init__(self, path: Path, lines: Sequence[str], mac: str) -> None:
        """`mac` is the sender's. Errors: ExchangeError if the file cannot be made."""
        self._path = path
        self._file = _open(path, "capture")
        self._writer = pcapng.Writer(self._file, lines)
        self._mac = mac
        self._waiting: list[tuple[int, int, tuple[str, int], tuple[str, int], bytes]] = []
        self.frames = 0

    def add(self, time_ns: int, line: int, source: tuple[str, int], to: tuple[str, int], payload: bytes) -> None:
        """A datagram has left on line number `line` at `time_ns` (ns since 1970-01-01)."""
        self._waiting.append((time_ns, line, source, to, payload))

    def write(self) -> None:
        """Make and write the frames collected. Errors: ExchangeError when the disk is full."""
        waiting, self._waiting = self._waiting, []
        try:
            for time_ns, line, source, to, payload in waiting:
                group = frame.multicast_mac(to[0])
                raw = frame.udp_frame(
                    src_mac=self._mac,
                    # Only the kernel knows a neighbour's address; on loopback there is none anyway.
                    dst_mac=group or "00:00:00:00:00:00",
                    src=source,
                    dst=to,
                    payload=payload,
                    ttl=_MULTICAST_TTL if group else _UNICAST_TTL,
                )
                self._writer.write(time_ns, raw, line)
        except OSError as error:
            raise _full(self._path, error) from error
        self.frames += len(waiting)

    def close(self) -> None:
        """Write the rest and close the file. Errors: ExchangeError when the disk is full."""
        try:
            self.write()
        finally:
            _close(self._file, self._path)


def _close(file: BinaryIO, path: Path) -> None:
    try:
        file.close()
    except OSError as error:
        raise _full(path, error) from error


def _full(path: Path, error: OSError) -> ExchangeError:
    return ExchangeError(f"cannot write {path}: {error.strerror}; make room on the disk")
