"""Signals as a flag to be looked at, not as exceptions.

An exception out of a signal handler can strike between making a thing and noting that it must be undone. Here a
signal only sets a flag and ends the current `wait`; work is stopped between two steps, where everything made so
far is known.
"""

from __future__ import annotations

import os
import select
import signal
import time
from types import FrameType, TracebackType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):
    """A signal asked the command to end."""


class StopFlag:
    """A context manager for the main thread. `number` is the signal that came, 0 for none yet. `reload`: SIGHUP is no
    end, but asks for a configuration to be read again."""

    def __init__(self, *, reload: bool = False) -> None:
        self.number = 0
        self._reload = reload
        self._asked = False
        self._read = self._write = -1
        self._old: dict[signal.Signals, Any] = {}
        self._old_wakeup = -1

    def __enter__(self) -> StopFlag:
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._old_wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for number in _SIGNALS:
            # Started in the background with signals ignored (nohup): they stay ignored.
            if signal.getsignal(number) is not signal.SIG_IGN or number is signal.SIGTERM:
                self._old[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)
        self._old.clear()
        signal.set_wakeup_fd(self._old_wakeup)
        os.close(self._read)
        os.close(self._write)

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self._reload and number == signal.SIGHUP:
            self._asked = True
        else:
            self.number = self.number or number

    def take_reload(self) -> bool:
        """Was SIGHUP sent since the last time?"""
        asked, self._asked = self._asked, False
        return asked

    def check(self) -> None:
        """Raise Interrupted if a signal came."""
        if self.number:
            raise Interrupted(signal.Signals(self.number).name)

    def wait(self, seconds: float) -> bool:
        """Sleep; True, at once, when a signal came."""
        end = time.monotonic() + seconds
        while not self.number:
            left = end - time.monotonic()
            if left <= 0:
                return False
            if select.select([self._read], [], [], left)[0]:
                os.read(self._read, 512)  # also other signals, such as SIGCHLD, end up here
        return True
