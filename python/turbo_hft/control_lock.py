"""Who keeps an engine: one process at a time renews its lease and looks after its session. Who starts one: one process
at a time for an interface, so that none clears away what another is about to pin.

The locks are names of the kernel's, which die with their owner: a killed process leaves no stale lock.
"""

from __future__ import annotations

import errno
import socket

from turbo_hft.errors import ConfigError


def _name(number: str) -> str:
    return f"\0turbo-hft control {number}"


class StartLock:
    """Held until `close`, or until this process ends."""

    def __init__(self, interface: str) -> None:
        """Raises ConfigError while another process starts an engine there."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            self._socket.bind(f"\0turbo-hft start {interface}")
        except OSError as taken:
            self._socket.close()
            if taken.errno != errno.EADDRINUSE:
                raise
            raise ConfigError(
                f"another process is starting an engine on {interface}: wait until it is there, or has failed."
            ) from None

    def close(self) -> None:
        """It is attached, or it failed."""
        self._socket.close()


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
