"""Who keeps an engine: one process at a time renews its lease and looks after its session.

The lock is a name of the kernel's, which dies with its owner: a killed process leaves no stale lock.
"""

from __future__ import annotations

import errno
import socket

from turbo_hft.errors import ConfigError


def _name(number: str) -> str:
    return f"\0turbo-hft control {number}"


class ControlLock:
    """Held until `close`, or until this process ends. `number` is the kernel's of the engine's control map."""

    def __init__(self, number: str, owner: int | None) -> None:
        """`owner`: who has it, for the message. Raises ConfigError while another process has it."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self._socket.bind(_name(number))
        except OSError as taken:
            self._socket.close()
            if taken.errno != errno.EADDRINUSE:
                raise
            raise ConfigError(
                f"process {owner} runs this engine: steer it with set, halt and resume, or end that process first."
            ) from None

    def close(self) -> None:
        """Let another process have it."""
        self._socket.close()


def is_controlled(number: str) -> bool:
    """Does a process have it?"""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as asked:
        try:
            asked.connect(_name(number))
        except ConnectionRefusedError:
            return False
    return True
