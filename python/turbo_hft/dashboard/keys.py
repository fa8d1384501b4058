"""Single keys from a terminal, without waiting, and the terminal given back as it was."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import tty
from types import TracebackType
from typing import TextIO


class KeyReader:
    """A context manager around the terminal's input; where there is none it reads nothing.

    Ctrl-C stays a signal. A terminal whose owner is another process group is left alone: reading it would stop us.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._fd = -1
        self._saved: list[object] | None = None
        source = sys.stdin if stream is None else stream
        try:
            if source is not None and source.isatty() and os.tcgetpgrp(source.fileno()) == os.getpgrp():
                self._fd = source.fileno()
        except (OSError, ValueError):  # closed, or not a file at all
            self._fd = -1

    @property
    def active(self) -> bool:
        """Is there a terminal to read from?"""
        return self._fd >= 0

    def __enter__(self) -> KeyReader:
        if self.active:
            try:
                self._saved = list(termios.tcgetattr(self._fd))
                tty.setcbreak(self._fd, termios.TCSANOW)
            except termios.error:
                self._fd = -1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._saved is not None:
            with contextlib.suppress(termios.error):  # the terminal is gone: nothing to give back
                termios.tcsetattr(self._fd, termios.TCSADRAIN, self._saved)  # type: ignore[arg-type] # the stubs differ
            self._saved = None

    def read(self) -> str:
        """The keys pressed since the last call, oldest first; empty if none."""
        keys = ""
        while self.active and select.select([self._fd], [], [], 0)[0]:
            try:
                data = os.read(self._fd, 64)
            except OSError:
                data = b""
            if not data:
                self._fd = -1 if self._saved is None else self._fd
                break
            keys += data.decode("ascii", errors="ignore")
        return keys
