"""One recovery for each feed of a running program: two at once would mix two snapshots in one book."""

from __future__ import annotations

import errno
import socket

from turbo_hft.change import map_id
from turbo_hft.engine import Engine
from turbo_hft.errors import RecoveryError


class FeedLock:
    """Held until `close`, or until this process ends."""

    def __init__(self, engine: Engine, feed: int) -> None:
        """Raises RecoveryError when another recovery holds it."""
        self._socket: socket.socket | None = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            # An abstract name dies with its owner, so a killed process leaves no stale lock.
            self._socket.bind(f"\0turbo-hft recovery {map_id(engine.program.map('control'))} {feed}")
        except OSError as taken:
            self.close()
            if taken.errno != errno.EADDRINUSE:
                raise
            raise RecoveryError(f"feed {feed} of this engine has a recovery already: one is enough.") from None

    def close(self) -> None:
        """Let others have it."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
