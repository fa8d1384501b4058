"""Copies of the frames that an engine sees and sends, also of those that it takes or makes: no other tap sees these.

Two small programs run around the engine's while a `Tap` is open (fentry and fexit of the kernel): what came is copied
at the entry, because an order is written over it, and given out at the exit with what became of it. The engine's
program has no part in it; when no tap is open nothing of it is there, and it ends with its process however that ends.
Needs CAP_BPF and CAP_PERFMON, and a kernel that lets a program be attached to another: those of distributions do.
"""

from __future__ import annotations

import errno
import os
import struct
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Literal

from turbo_hft._native import ffi, lib
from turbo_hft.engine import Engine
from turbo_hft.errors import CapabilityError, ConfigError, LoadError, TurboHftError

Way = Literal["consumed", "passed", "answered", "sent", "aborted"]
Whose = Literal["feed", "replies", "others", "commands"]
WAYS: dict[int, Way] = {
    lib.HFT_TAP_CONSUMED: "consumed",
    lib.HFT_TAP_PASSED: "passed",
    lib.HFT_TAP_ANSWERED: "answered",
    lib.HFT_TAP_SENT: "sent",
    lib.HFT_TAP_ABORTED: "aborted",
}
_WHOSE: dict[int, Whose] = {
    lib.HFT_TAP_OF_FEED: "feed",
    lib.HFT_TAP_OF_REPLIES: "replies",
    lib.HFT_TAP_OF_OTHERS: "others",
    lib.HFT_TAP_OF_COMMANDS: "commands",
}
CHOICES = {
    "consumed": lib.HFT_TAP_CONSUMED | lib.HFT_TAP_OF_EVERYONE,
    "passed": lib.HFT_TAP_PASSED | lib.HFT_TAP_OF_EVERYONE,
    "sent": lib.HFT_TAP_SENT | lib.HFT_TAP_OF_EVERYONE,
    "aborted": lib.HFT_TAP_ABORTED | lib.HFT_TAP_OF_EVERYONE,
    "orders": lib.HFT_TAP_ANSWERED | lib.HFT_TAP_SENT | lib.HFT_TAP_OF_EVERYONE,
    "feed": lib.HFT_TAP_EVERY_WAY | lib.HFT_TAP_OF_FEED,
    "replies": lib.HFT_TAP_EVERY_WAY | lib.HFT_TAP_OF_REPLIES,
    "others": lib.HFT_TAP_EVERY_WAY | lib.HFT_TAP_OF_OTHERS,
}
"""What can be asked for. `orders`: what left, and the frames that were answered by it."""

MOST_BYTES = int(lib.HFT_TAP_MOST)
FUNCTION = "xdp_hft"
_HEAD = struct.Struct("=QIIII")
_ALIGNMENT = 8
_ROOM = 1 << 20
_LOG_BYTES = 1 << 16
_PAUSE_S = 0.001


@dataclass(frozen=True, slots=True)
class Tapped:
    """A frame from its Ethernet header on. `time_ns`: CLOCK_MONOTONIC, when it reached the program or left it.
    `way`: ``consumed``, ``passed`` (to the network stack), ``answered`` (an order left in its place: the next one,
    which is ``sent``), ``aborted``. `length`: of the frame, of which `data` may be the beginning only."""

    time_ns: int
    way: Way
    whose: Whose
    length: int
    data: bytes


def wanted(only: list[str]) -> int:
    """The bits of what was asked for: nothing = all. Raises ConfigError."""
    if unknown := [word for word in only if word not in CHOICES]:
        raise ConfigError(f"only {', '.join(unknown)}: give some of {', '.join(CHOICES)}.")
    if len(only) > 1 and {"feed", "replies", "others"} & set(only) and set(only) - {"feed", "replies", "others"}:
        raise ConfigError("only: give what became of frames, or whose they are, not both.")
    bits = 0
    for word in only:
        bits |= CHOICES[word]
    return bits or int(lib.HFT_TAP_EVERY_WAY | lib.HFT_TAP_OF_EVERYONE)


class Tap:
    """Open while it is entered. `lost`: frames that found no room, over its life; `moves`: how often it went over to
    another program, because the engine's was swapped (what passed in that moment is not seen)."""

    def __init__(
        self, engine: Engine, only: list[str] | None = None, *, snaplen: int = MOST_BYTES, ring_bytes: int = 1 << 24
    ) -> None:
        """`only`: of `CHOICES`. `snaplen`: bytes of a frame, at most 2,048. `ring_bytes`: a power of two. Raises
        ConfigError."""
        if not 14 <= snaplen <= MOST_BYTES:
            raise ConfigError(f"snaplen {snaplen}: give 14 to {MOST_BYTES} bytes.")
        if ring_bytes < 1 << 16 or ring_bytes & ring_bytes - 1:
            raise ConfigError(f"ring of {ring_bytes} bytes: give a power of two, 65,536 or more.")
        self._engine = engine
        self._wanted, self._snaplen, self._ring_bytes = wanted(only or []), snaplen, ring_bytes
        self._tap = ffi.NULL
        self._generation = -1
        self._lost = 0
        self.moves = 0
        self._room = ffi.new("unsigned char[]", _ROOM)

    @property
    def lost(self) -> int:
        """See the class."""
        return self._lost + (0 if self._tap == ffi.NULL else int(lib.hft_tap_lost(self._tap)))

    def __enter__(self) -> Tap:
        self._open()
        return self

    def _open(self) -> None:
        program, error = self._engine.program, ffi.new("int *")
        log = ffi.new("char[]", _LOG_BYTES)
        generation = self._engine.user.generation
        with program.lock:
            fd, flows = program.fd, program.map("flows")
            arguments = (self._wanted, self._snaplen, self._ring_bytes, log, _LOG_BYTES, error)
            self._tap = lib.hft_tap_open(fd, FUNCTION.encode(), flows, *arguments)
        if self._tap == ffi.NULL:
            raise _failed(error[0], ffi.string(log).decode(errors="replace"))
        self._generation = generation

    def read(self) -> list[Tapped]:
        """What has come since the last time, in order; empty if nothing has. Raises TurboHftError."""
        found = self._drain()
        if self._engine.user.generation != self._generation:
            # The other program runs already: what its predecessor saw is complete.
            found += self._drain()
            self._close()
            self._open()
            self.moves += 1
        return found

    def wait(self, timeout_s: float) -> list[Tapped]:
        """The same, waiting up to `timeout_s` seconds for a first one."""
        end = time.monotonic() + timeout_s
        while not (found := self.read()) and time.monotonic() < end:
            time.sleep(_PAUSE_S)
        return found

    def _drain(self) -> list[Tapped]:
        found: list[Tapped] = []
        while True:
            count = lib.hft_tap_drain(self._tap, self._room, _ROOM)
            if count < 0:
                raise TurboHftError(f"cannot read the tap: {os.strerror(-count)}.")
            if not count:
                return found
            found += frames_of(bytes(ffi.buffer(self._room, count)))

    def _close(self) -> None:
        if self._tap != ffi.NULL:
            self._lost += int(lib.hft_tap_lost(self._tap))
            lib.hft_tap_close(self._tap)
            self._tap = ffi.NULL

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()


def frames_of(raw: bytes) -> list[Tapped]:
    """Frames as they lie behind each other in the memory of a tap: ``struct hft_tap_frame`` and bytes, each from an
    address divisible by 8 on."""
    found, at = [], 0
    while at < len(raw):
        time_ns, length, captured, way, whose = _HEAD.unpack_from(raw, at)
        data = raw[at + _HEAD.size : at + _HEAD.size + captured]
        found.append(Tapped(time_ns, WAYS[way], _WHOSE[whose], length, data))
        at += (_HEAD.size + captured + _ALIGNMENT - 1) // _ALIGNMENT * _ALIGNMENT
    return found


def _failed(code: int, log: str) -> TurboHftError:
    if code in (-errno.EPERM, -errno.EACCES) and os.geteuid():
        return CapabilityError("a tap needs CAP_BPF and CAP_PERFMON: run it as root.")
    return LoadError(
        f"this kernel takes no tap beside the program: {os.strerror(-code)}. That needs Linux 6.1 with "
        "BTF and the JIT, which lets a program be attached to another (fentry, fexit). A mirror port helps.",
        log,
    )
