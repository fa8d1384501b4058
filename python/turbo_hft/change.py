"""How anything that user space controls is changed: one set of limits holds at any moment, and never half of another.

Of every limit there are two, and the lowest bit of the epoch says which of them the hook reads. A change copies what
holds into the other set, alters that, and raises the epoch: one store, from which on all of it holds. What reads a set
while it is being written anew had read the epoch before, sees that it has moved, and refuses (LIMITS_CHANGED).

Of parameters there is one set. From the first store of a change to its end, after the epoch was raised, the word
`changing` stands, and the hook lets nothing but cancels leave; what had read a part of them before refuses by the
epoch. A process that dies in between leaves the word, and with it an engine that does not trade on half of a change:
whoever changes or resumes it next halts it, and says so.

Because the parity chooses, nothing else may move the epoch: a kill switch or a target too goes through here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from turbo_hft._native import ffi, lib
from turbo_hft.announce import announce
from turbo_hft.errors import TurboHftError
from turbo_hft.locks import Locks

LOCK_TIMEOUT_S = 2.0
_PATIENCE_S = 0.05
_REPORT_S = 0.5


class Maps(Protocol):
    """What a `Program` offers of its maps."""

    def share(self, name: str, *, writable: bool = False) -> Any: ...
    @property
    def config(self) -> Any: ...


class Changes:
    """The changes of one engine. `locks`: what all processes that control it have in common; None = this process
    only. `tracked` says how many symbols there are: limits of others need no care."""

    def __init__(self, maps: Maps, locks: Locks | None = None, tracked: Callable[[], int] = lambda: 0) -> None:
        self.control = maps.share("control", writable=True)
        self._limits = maps.share("limits", writable=True)
        self._symbols = maps.share("symbol_limits", writable=True)
        self._capacity = int(maps.config.symbols)
        self.tracked = tracked
        self._locks = locks
        self._recorder = None if locks is None else locks.directory
        self._thread_lock = threading.RLock()
        self._depth = 0  # of `change`, in the thread that holds the lock:
        self._owner = 0
        self._undo: list[Callable[[], None]] = []

    @property
    def epoch(self) -> int:
        """Number of changes so far."""
        return int(self.control[0].epoch)

    def _half(self) -> int:
        """Which set is to be read: in a change of this thread the new one, otherwise the one that holds."""
        return (self.epoch + (self._owner == threading.get_ident())) & 1

    def limits(self) -> Any:
        """``struct hft_limits`` to read, and inside `change` to write."""
        return self._limits[self._half()]

    def symbol_limits(self, slot: int) -> Any:
        """``struct hft_symbol_limits`` of a slot, in the same way."""
        return self._symbols[self._half() * self._capacity + slot]

    def new_symbol(self, slot: int, limits: Any) -> None:
        """The first limits of a slot that nothing reads yet, in both sets."""
        for half in (0, 1):
            self._symbols[half * self._capacity + slot] = limits[0]

    @contextmanager
    def change(self) -> Iterator[None]:
        """All that is written inside holds from its end on, at once; after an exception nothing of it.

        One inside another is part of it. Raises TurboHftError if another process keeps the lock for two seconds.
        """
        with self._thread_lock:
            if not self._depth:
                with self._locked(LOCK_TIMEOUT_S) as mine:
                    if not mine:
                        raise TurboHftError(
                            f"another process has been changing this engine for {LOCK_TIMEOUT_S:g} s: end it (is it "
                            "stopped?), then try again. Halting needs no lock, and was done if it was asked for."
                        )
                    self._halt_if_cut_off()
                    self._copy()
                    self._depth, self._owner = 1, threading.get_ident()
                    try:
                        yield
                    except BaseException:
                        self._take_back()
                        raise
                    finally:
                        self._depth, self._owner = 0, 0
                    self._raise_epoch()
                return
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1

    def store(self, struct: Any, words: Mapping[str, int]) -> None:
        """Inside `change`: fields of a struct of parameters, which no order is decided by before its end."""
        before = {field: int(getattr(struct, field)) for field in words}
        self.storing(lambda: _store(struct, before))
        _store(struct, words)

    def storing(self, undo: Callable[[], None]) -> None:
        """Inside `change`: parameters are about to be stored. `undo` puts back what was there."""
        assert self._owner == threading.get_ident(), "parameters are stored inside a change"
        if not self._undo:
            lib.hft_publish(ffi.addressof(self.control[0], "changing"), 1)
        self._undo.append(undo)

    def _take_back(self) -> None:
        if not self._undo:
            return
        for undo in reversed(self._undo):
            undo()
        self._copy()
        self._raise_epoch()

    @property
    def cut_off(self) -> bool:
        """Does a change stand half-made that nobody works on? To be asked under the lock; `settle` does."""
        return bool(self.control[0].changing) and not self._undo

    def settle(self) -> bool:
        """Is there a change that its process did not live to finish? Then the engine is halted now, and the parameters
        of that change are as they are: a person has to look at them."""
        with self._thread_lock, self._locked(LOCK_TIMEOUT_S) as mine:
            return mine and not self._depth and self._halt_if_cut_off()

    def _halt_if_cut_off(self) -> bool:
        if not self.cut_off:
            return False
        lib.hft_publish(ffi.addressof(self.control[0], "kill"), lib.HFT_HALTED)
        self.tell("halted: a process ended in the middle of a change, its parameters may be half changed")
        self._copy()
        self._raise_epoch()
        return True

    def note(self) -> None:
        """Something was stored outside the limits: give it an epoch of its own."""
        with self.change():
            pass

    def note_if_free(self) -> None:
        """The same, if nobody else keeps the lock: for what must neither wait nor fail, such as a halt."""
        if self._thread_lock.acquire(timeout=_PATIENCE_S):
            try:
                with self._locked(_PATIENCE_S) as mine:
                    if mine and not self._depth:
                        self._halt_if_cut_off()
                        self._copy()
                        self._raise_epoch()
                        return
            finally:
                self._thread_lock.release()
        if self._recorder is not None:
            announce(self._recorder, epoch=self.epoch, without_epoch=True)

    def tell(self, what: str) -> None:
        """Let the recorder know, if there is one, who does something that is no change of a setting."""
        if self._recorder is not None:
            announce(self._recorder, what=what)

    def report(self, kind: str, **about: Any) -> None:
        """Have the recorder, if there is one, write a note of this kind: ``upgrade``, ``config`` or ``detach``."""
        if self._recorder is not None:
            announce(self._recorder, patience_s=_REPORT_S, note=kind, **about)

    def _copy(self) -> None:
        now = self.epoch & 1
        self._limits[1 - now] = self._limits[now]
        size = ffi.sizeof("struct hft_symbol_limits") * self.tracked()
        old, new = self._symbols + now * self._capacity, self._symbols + (1 - now) * self._capacity
        ffi.memmove(new, ffi.buffer(old, size), size)

    def _raise_epoch(self) -> None:
        lib.hft_publish(ffi.addressof(self.control[0], "epoch"), self.epoch + 1)
        lib.hft_publish(ffi.addressof(self.control[0], "changing"), 0)
        self._undo.clear()
        if self._recorder is not None:
            announce(self._recorder, epoch=self.epoch)

    @contextmanager
    def _locked(self, timeout_s: float) -> Iterator[bool]:
        """Be the one process that changes this engine, if that can be had in time."""
        if self._locks is None:
            yield True
            return
        lock = self._locks.take("change", timeout_s)
        try:
            yield lock is not None
        finally:
            if lock is not None:
                lock.close()


def _store(struct: Any, words: Mapping[str, int]) -> None:
    for field, word in words.items():
        setattr(struct, field, word)


def map_id(map_fd: int) -> str:
    """The kernel's number of a map, the same in every process that has it open. Raises TurboHftError without /proc."""
    try:
        about = Path(f"/proc/self/fdinfo/{map_fd}").read_text(encoding="ascii")
    except OSError as error:
        raise TurboHftError(f"cannot identify the engine's maps: {error.strerror}. Is /proc mounted?") from None
    return next(line.split()[1] for line in about.splitlines() if line.startswith("map_id:"))
