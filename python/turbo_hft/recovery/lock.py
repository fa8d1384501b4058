"""One recovery for each feed of a running program: two at once would mix two snapshots in one book."""

from __future__ import annotations

from turbo_hft.engine import Engine
from turbo_hft.errors import RecoveryError


class FeedLock:
    """Held until `close`, or until this process ends."""

    def __init__(self, engine: Engine, feed: int) -> None:
        """Raises RecoveryError when another recovery holds it."""
        lock = engine.program.locks.take(f"recovery{feed}")
        if lock is None:
            raise RecoveryError(f"feed {feed} of this engine has a recovery already: one is enough.")
        self._lock = lock

    def close(self) -> None:
        """Let others have it."""
        self._lock.close()
