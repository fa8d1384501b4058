"""Textual's driver, on a terminal that may hang or go away: what cannot be written is left out, nobody waits for it.

Textual writes from a thread behind a short queue. A terminal that takes nothing any more (a connection that hangs), or
is gone, would block that queue, and with it the loop that renews the lease and sees signals.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
from typing import TYPE_CHECKING, Any, cast

from textual.drivers.linux_driver import LinuxDriver

if TYPE_CHECKING:
    from textual.app import App

_PATIENCE_S = 0.2
_CANCEL = "\x18"  # ends a control sequence of which the rest was left out


class Tty:
    """What is written of a file to a terminal, as far as that takes it."""

    def __init__(self, fd: int) -> None:
        """A description of its own: that of `fd` is shared with the shell, and must go on blocking."""
        self._path: str | None = None
        self._fd = -1
        with contextlib.suppress(OSError):
            self._path = os.ttyname(fd)
        self.open()

    def open(self) -> None:
        """Write to it, again after `close`."""
        self.lost = False
        if self._fd < 0 and self._path is not None:
            with contextlib.suppress(OSError):
                self._fd = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)

    def write(self, words: str) -> int:
        """Write it, or what is possible of it in a moment. Never raises."""
        data = words.encode(errors="replace")
        while data and self._fd >= 0 and not self.lost:
            try:
                data = data[os.write(self._fd, data) :]
            except BlockingIOError:
                if not self._ready(_PATIENCE_S):
                    self.lost = True  # and so is all that follows, until `back`
            except OSError:  # it is gone
                self.close()
        return len(words)

    def back(self) -> bool:
        """Does it take something again? Then what was left out must be drawn anew."""
        if not self.lost or not self._ready(0.0):
            return False
        self.lost = False
        self.write(_CANCEL)
        return True

    def _ready(self, seconds: float) -> bool:
        try:
            return bool(select.select([], [self._fd], [], seconds)[1]) if self._fd >= 0 else False
        except OSError:
            return False

    def flush(self) -> None:
        """Nothing is kept back."""

    def fileno(self) -> int:
        """Of the terminal itself, for its size."""
        return sys.__stderr__.fileno() if sys.__stderr__ is not None else -1

    def close(self) -> None:
        """Write no more."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class TtyDriver(LinuxDriver):
    """The driver of the terminal face."""

    def __init__(self, app: App[Any], *, debug: bool = False, mouse: bool = True, size: Any = None) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        self._tty = Tty(self.fileno if self._file is None else self._file.fileno())
        self._file = cast(Any, self._tty)

    def start_application_mode(self) -> None:
        """Take the terminal, again after it was given back for a stop (Ctrl-Z)."""
        self._tty.open()
        cast(Any, super()).start_application_mode()

    def back(self) -> bool:
        """See `Tty.back`."""
        return self._tty.back()

    def close(self) -> None:
        """Give the terminal back."""
        super().close()
        self._tty.close()
