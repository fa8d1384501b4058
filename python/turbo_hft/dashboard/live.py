"""The view kept moving: a full screen on a terminal, a block of plain lines now and then everywhere else."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from types import TracebackType
from typing import Protocol, TextIO

from rich.console import Console
from rich.live import Live

from turbo_hft.dashboard.collector import ViewCollector
from turbo_hft.dashboard.keys import KeyReader
from turbo_hft.dashboard.plain import plain_lines
from turbo_hft.dashboard.source import EngineSource, EventSource
from turbo_hft.dashboard.terminal import render
from turbo_hft.errors import ConfigError


class SteeredEngine(EngineSource, Protocol):
    """The same with the global kill switch."""

    def halt(self) -> None: ...
    def reduce(self) -> None: ...
    def resume(self) -> None: ...


SCREEN_PERIOD_S = 0.25
PLAIN_PERIOD_S = 1.0
_STEP_S = 0.02


def is_screen(stream: TextIO) -> bool:
    """Can a full-screen picture be drawn there? No for pipes, files, dumb and unknown terminals."""
    return stream.isatty() and os.environ.get("TERM", "") not in ("", "dumb", "unknown")


class LiveView:
    """A context manager: call `step` often, it draws when it is time. Leaving it restores the terminal, always.

    Keys, on a terminal: h halts the engine, d lets it only reduce positions, r resumes it, q sets `quit`.
    """

    def __init__(self, engine: SteeredEngine, collector: ViewCollector, stream: TextIO | None = None) -> None:
        self.quit = False
        self._engine = engine
        self._collector = collector
        self._stream = sys.stdout if stream is None else stream
        self._next = 0.0
        self._stack = ExitStack()
        self._live: Live | None = None
        self._keys = KeyReader()
        self._console = Console(file=self._stream)

    def __enter__(self) -> LiveView:
        if is_screen(self._stream):
            self._stack.enter_context(self._keys)
            self._live = self._stack.enter_context(
                Live(
                    console=self._console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
                )
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live = None
        self._stack.close()

    def step(self) -> None:
        """Handle keys, and draw if the picture is due."""
        if self._live is not None:
            for key in self._keys.read():
                self._press(key)
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + (PLAIN_PERIOD_S if self._live is None else SCREEN_PERIOD_S)
        self.draw()

    def draw(self) -> None:
        """Draw now."""
        view = self._collector.collect()
        if self._live is None:
            print("\n".join(plain_lines(view)), file=self._stream, flush=True)
            return
        size, options = self._console.size, self._console.options
        picture = render(view, size.width, size.height, ascii_only=options.ascii_only, keys=self._keys.active)
        self._live.update(picture, refresh=True)

    def _press(self, key: str) -> None:
        if key in ("h", "H"):
            self._engine.halt()
        elif key in ("d", "D"):
            self._steer(self._engine.reduce)
        elif key in ("r", "R"):
            self._steer(self._engine.resume)
        elif key in ("q", "Q"):
            self.quit = True
        else:
            return
        self._next = 0.0

    @staticmethod
    def _steer(act: Callable[[], None]) -> None:
        with contextlib.suppress(ConfigError):  # nobody keeps the lease: the picture says so
            act()


def _sleep(seconds: float) -> bool:
    time.sleep(seconds)
    return False


def run_live(
    engine: SteeredEngine,
    duration_s: float | None = None,
    *,
    events: Callable[[], Iterable[EventSource]] | None = None,
    wait: Callable[[float], bool] = _sleep,
    alive: Callable[[], bool] | None = None,
    stream: TextIO | None = None,
) -> None:
    """Show an engine until `duration_s` is over, q is pressed, `wait` returns True or `alive` returns False.

    `events` gives what is new in the event stream, for whoever is its reader. `wait(seconds)` sleeps.
    """
    collector = ViewCollector(engine)
    end = None if duration_s is None else time.monotonic() + duration_s
    with LiveView(engine, collector, stream) as live:
        while not live.quit and (end is None or time.monotonic() < end) and (alive is None or alive()):
            if events is not None:
                collector.observe(events())
            live.step()
            if wait(_STEP_S):
                break
