"""How far a long job is: one line on standard error, while that is a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

_FIRST_S = 1.0
_PERIOD_S = 0.25
_CLEAR = "\r\x1b[K"


class Progress:
    """`tell` is cheap and may be called often; `clear` before anything else is written to the terminal."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _FIRST_S if sys.stderr.isatty() else float("inf")
        self._shown = False

    def tell(self, line: Callable[[], str]) -> None:
        """Show a line now and then; it is only made when it is shown."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _PERIOD_S
            self._shown = True
            sys.stderr.write(_CLEAR + line())
            sys.stderr.flush()

    def clear(self) -> None:
        """Take the line away."""
        if self._shown:
            self._shown = False
            sys.stderr.write(_CLEAR)
            sys.stderr.flush()
