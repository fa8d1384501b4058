"""The exchange as a process of its own, in its namespace, ended by its process id."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import turbo_hft
from turbo_hft.errors import ExchangeError

_PR_SET_PDEATHSIG = 1
_READY = "exchange ready"
_STEP_S = 0.02


def child_environment() -> dict[str, str]:
    """This process's environment, in which a child finds the same package."""
    paths = [str(Path(turbo_hft.__file__).resolve().parents[1]), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}


def die_with_parent(number: int) -> Callable[[], None]:
    """For `preexec_fn`: the kernel sends the child this signal when we die, however that happens."""
    libc = ctypes.CDLL(None)

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)

    return ask


class ExchangeProcess:
    """A context manager: starts it, and makes sure that it is gone afterwards.

    `directory` takes its summary, its talk and, if asked for, its log. It has a session of its own, so a Ctrl-C of the
    terminal reaches only us: the exchange is stopped when it is its turn.
    """

    def __init__(self, arguments: Sequence[str], directory: Path) -> None:
        self._summary = directory / "exchange.json"
        self._talk = directory / "exchange.txt"
        self._command = [sys.executable, "-m", "turbo_hft.exchange", *arguments, "--summary", str(self._summary)]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> ExchangeProcess:
        with self._talk.open("wb") as talk:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=talk,
                stderr=talk,
                env=child_environment(),
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGTERM),  # noqa: PLW1509 - no other thread runs yet
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(2)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def wait_ready(self, wait: Callable[[float], bool], timeout_s: float = 15.0) -> None:
        """Return when its sockets are open, or once `wait` returns True. Raises ExchangeError if it fails to start."""
        end = time.monotonic() + timeout_s
        while _READY not in self._said():
            self._check_alive()
            if time.monotonic() > end:
                raise ExchangeError(f"the exchange was not ready within {timeout_s} s: is the machine overloaded?")
            if wait(_STEP_S):
                return

    @property
    def running(self) -> bool:
        """Has it not ended yet?"""
        return self._process is not None and self._process.poll() is None

    def close_market(self) -> None:
        """Ask it to close the market, to say so on feed and order entry, and to end."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def summary(self) -> dict[str, Any]:
        """What it says it did, after it ended. Raises ExchangeError if it failed."""
        assert self._process is not None
        code = self._process.wait()
        if code != 0:
            raise ExchangeError(f"the exchange failed (exit {code}): {self._last_words()}")
        try:
            summary: dict[str, Any] = json.loads(self._summary.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ExchangeError(f"the exchange left no readable summary ({error}): {self._last_words()}") from error
        return summary

    def _check_alive(self) -> None:
        assert self._process is not None
        code = self._process.poll()
        if code is not None:
            raise ExchangeError(f"the exchange ended too early (exit {code}): {self._last_words()}")

    def _said(self) -> str:
        return self._talk.read_text(encoding="utf-8", errors="replace")

    def _last_words(self) -> str:
        lines = self._said().strip().splitlines()
        return lines[-1] if lines else "it said nothing"
