"""One swap at a time: two at once would each share the maps of a program that the other takes out of force."""

from __future__ import annotations

import errno
import socket
from types import TracebackType

from turbo_hft.change import map_id
from turbo_hft.errors import ConfigError
from turbo_hft.program import Program


class SwapLock:
    """Held while a context is open, or until this process ends. Raises ConfigError when somebody has it."""

    def __init__(self, program: Program) -> None:
        # The control map is the same for all programs that take each other's place.
        self._name = f"\0turbo-hft strategy {map_id(program.map('control'))}"

    def __enter__(self) -> SwapLock:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            # An abstract name dies with its owner, so a killed process leaves no stale lock.
            self._socket.bind(self._name)
        except OSError as taken:
            self._socket.close()
            if taken.errno != errno.EADDRINUSE:
                raise
            raise ConfigError("another strategy is being loaded into this engine: try again when it is done.") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
