"""A view kept moving: a face on a terminal, plain lines or JSON now and then everywhere else."""

from __future__ import annotations

import contextlib
import curses
import importlib
import json
import os
import signal
import sys
import termios
import time
from collections.abc import Callable, Iterator
from typing import TextIO

from turbo_hft.dashboard.desk import Desk
from turbo_hft.dashboard.plain import plain_lines
from turbo_hft.dashboard.view import View
from turbo_hft.errors import CapabilityError, TurboHftError

PLAIN_PERIOD_S = 1.0
STEP_S = 0.02
_SIGNALS = (signal.SIGTSTP, signal.SIGCONT, signal.SIGWINCH, signal.SIGTTIN, signal.SIGTTOU)


def is_screen(stream: TextIO) -> bool:
    """Can a full-screen picture be drawn? Not for pipes, files, dumb and unknown terminals, those that do not speak
    UTF-8, and not from the background."""
    streams = (stream, sys.__stdin__, sys.__stderr__)
    try:
        return (
            all(each is not None and each.isatty() for each in streams)
            and os.environ.get("TERM", "") not in ("", "dumb", "unknown")
            and (stream.encoding or "").lower().replace("-", "") == "utf8"
            and sys.__stdin__ is not None
            and os.tcgetpgrp(sys.__stdin__.fileno()) == os.getpgrp()
        )
    except (OSError, ValueError):  # closed, or not a file at all
        return False


def _sleep(seconds: float) -> bool:
    time.sleep(seconds)
    return False


def show(
    desk: Desk,
    duration_s: float | None = None,
    *,
    turn: Callable[[], object] = lambda: None,
    wait: Callable[[float], bool] = _sleep,
    alive: Callable[[], bool] = lambda: True,
    stream: TextIO | None = None,
) -> None:
    """Show an engine until `duration_s` is over, q is pressed, `wait` returns True or `alive` returns False.

    `turn` is the loop of whoever runs the engine: called about every 20 ms. `wait(seconds)` sleeps, True = end now.
    What `turn`, `wait` and `alive` raise comes out here, after the terminal was given back. Raises CapabilityError
    without Textual.
    """
    stream = sys.stdout if stream is None else stream
    if is_screen(stream):
        _screen(desk, duration_s, turn, wait, alive)
    else:
        lines(desk, lambda view: "\n".join(plain_lines(view)), duration_s, turn, wait, alive, stream)


def show_json(
    desk: Desk,
    duration_s: float | None = None,
    *,
    turn: Callable[[], object] = lambda: None,
    wait: Callable[[float], bool] = _sleep,
    alive: Callable[[], bool] = lambda: True,
    stream: TextIO | None = None,
) -> None:
    """The same as one JSON object a line, once a second."""
    out = sys.stdout if stream is None else stream
    lines(desk, lambda view: json.dumps(view.as_dict()), duration_s, turn, wait, alive, out)


def lines(
    desk: Desk,
    draw: Callable[[View], str],
    duration_s: float | None,
    turn: Callable[[], object],
    wait: Callable[[float], bool],
    alive: Callable[[], bool],
    stream: TextIO,
) -> None:
    """Print a picture a second, beginning now."""
    now = due = time.monotonic()
    end = None if duration_s is None else now + duration_s
    while alive() and (end is None or now < end):
        turn()
        if now >= due:
            print(draw(desk.view()), file=stream, flush=True)
            due = now + PLAIN_PERIOD_S
        if wait(STEP_S):
            return
        now = time.monotonic()


def need_textual() -> None:
    """Raises CapabilityError if the face of terminals cannot be drawn."""
    try:
        importlib.import_module("textual")
    except ImportError as error:
        raise CapabilityError(
            f"the terminal view needs {error.name}: install turbo-hft with it (pip install 'turbo-hft[view]'), or have "
            "plain lines with TERM=dumb."
        ) from None


def _screen(
    desk: Desk,
    duration_s: float | None,
    turn: Callable[[], object],
    wait: Callable[[float], bool],
    alive: Callable[[], bool],
) -> None:
    need_textual()
    from turbo_hft.dashboard.terminal import TerminalFace
    from turbo_hft.dashboard.tty_driver import TtyDriver

    with _as_it_was():
        if not _has_colours():
            os.environ["NO_COLOR"] = "1"
        face = TerminalFace(desk, duration_s=duration_s, turn=turn, wait=wait, alive=alive, driver_class=TtyDriver)
        face.run(mouse=False)
    for line in face.said:
        print(line, file=sys.stderr)
    if face.failure is not None:
        raise face.failure
    if face.return_code and not wait(0):  # with a signal that it did not live to see, it just ends
        raise TurboHftError("the terminal view failed; what it died of stands above. TERM=dumb gives plain lines.")


@contextlib.contextmanager
def _as_it_was() -> Iterator[None]:
    """The terminal's modes, handlers of signals and NO_COLOR, which Textual all changes, as they were before."""
    assert sys.__stdin__ is not None
    fd = sys.__stdin__.fileno()
    modes, colour = termios.tcgetattr(fd), os.environ.get("NO_COLOR")
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        yield
    finally:
        with contextlib.suppress(termios.error):  # it is gone: nothing to give back
            termios.tcsetattr(fd, termios.TCSANOW, modes)
        for number, handler in handlers.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        os.environ.pop("NO_COLOR", None)
        if colour is not None:
            os.environ["NO_COLOR"] = colour


def _has_colours() -> bool:
    """Does the terminal's description know any? One that is not described is taken at its word that it can nothing."""
    try:
        assert sys.__stderr__ is not None
        curses.setupterm(fd=sys.__stderr__.fileno())
        return curses.tigetnum("colors") > 0
    except curses.error:
        return False
