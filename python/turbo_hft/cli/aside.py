"""Talk of threads that must not be held up by whoever reads it."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable
from types import TracebackType

from turbo_hft.cli import common

_MOST_LINES = 1000
_PATIENCE_S = 1.0


class Aside:
    """Prints lines for people from a thread of its own, in order. A terminal that is stopped, or a pipe that nobody
    empties, holds up that thread; what finds no room then is dropped, and said to be. A context manager."""

    def __init__(self, say: Callable[[str], None] = common.say) -> None:
        self._say = say
        self._lines: queue.Queue[str | None] = queue.Queue(_MOST_LINES)
        self._dropped = 0
        self._thread = threading.Thread(target=self._run, name="talk", daemon=True)

    def __call__(self, line: str) -> None:
        """At once, in any case."""
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._dropped += 1

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            self._say(line)
            if self._dropped:
                dropped, self._dropped = self._dropped, 0
                self._say(f"{dropped} lines like this one found no room, and were not printed")

    def __enter__(self) -> Aside:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(queue.Full):  # then it hangs, and ends with the process
            self._lines.put_nowait(None)
            self._thread.join(_PATIENCE_S)
