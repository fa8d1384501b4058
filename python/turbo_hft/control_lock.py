"""Who keeps an engine: one process at a time renews its lease and looks after its session. Who starts one: one process
at a time for an interface, so that none clears away what another is about to pin.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from turbo_hft.errors import ConfigError
from turbo_hft.locks import Locks, locked
from turbo_hft.pins import Pins

_CONTROL = "control"
_PATIENCE_S = 0.1  # longer than anybody needs to ask who has it


class StartLock:
    """Held until `close`, or until this process ends: the directory of pins itself, which only its user can open."""

    def __init__(self, pins: Pins) -> None:
        """Raises ConfigError while another process starts an engine there, and where none can be pinned."""
        while True:
            self._fd = pins.open_directory()
            if not locked(self._fd, time.monotonic() + _PATIENCE_S):
                self.close()
                raise ConfigError(
                    f"another process is starting an engine on {pins.interface}: wait until it is there, or has failed."
                )
            if pins.is_directory(self._fd):
                return
            self.close()  # whoever had it has taken it away

    def close(self) -> None:
        """It is attached, or it failed."""
        os.close(self._fd)


class ControlLock:
    """Held until `close`, or until this process ends."""

    def __init__(self, locks: Locks, owner: Callable[[], int | None]) -> None:
        """`owner`: who has it, for the message. Raises ConfigError while another process has it."""
        lock = locks.take(_CONTROL, _PATIENCE_S)
        if lock is None:
            raise ConfigError(
                f"process {owner()} runs this engine: steer it with set, halt and resume, or end that process first."
            )
        self._lock = lock

    def close(self) -> None:
        """Let another process have it."""
        self._lock.close()


def is_controlled(locks: Locks) -> bool:
    """Does a process have it?"""
    return locks.held(_CONTROL)
