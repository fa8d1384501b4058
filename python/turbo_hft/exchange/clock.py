"""The simulated day: nanoseconds since midnight, as ITCH and OUCH stamp them.

Scheduled messages are stamped with the time they were scheduled for, not with the time the process got round to
them, so a seed gives the same bytes on any machine. What comes from outside is stamped by the wall. Stamps never
run backwards.
"""

from __future__ import annotations

MARKET_OPEN_NS = (9 * 3600 + 30 * 60) * 1_000_000_000
LAST_NS_OF_DAY = 24 * 3600 * 1_000_000_000 - 1


class DayClock:
    """Maps a monotonic clock (ns) to the time of the simulated day (ns since midnight)."""

    def __init__(self, start_ns: int = MARKET_OPEN_NS) -> None:
        self._start_ns = start_ns
        self._began_at: int | None = None
        self._latest = start_ns

    def begin(self, monotonic_ns: int) -> None:
        """The day starts to run now; until then it stands still."""
        self._began_at = monotonic_ns

    def scheduled(self, offset_ns: int) -> int:
        """Stamp of something due `offset_ns` after the start of the day."""
        return self.at_least(self._start_ns + offset_ns)

    def at_least(self, day_ns: int) -> int:
        """Stamp of something that says itself when it happened (a replayed message)."""
        self._latest = min(max(self._latest, day_ns), LAST_NS_OF_DAY)
        return self._latest

    def wall(self, monotonic_ns: int) -> int:
        """Stamp of something that arrives now."""
        return self.at_least(self.read(monotonic_ns))

    def read(self, monotonic_ns: int) -> int:
        """What `wall` would say, without moving the clock on: looking must not change later stamps."""
        if self._began_at is None:
            return self._latest
        return max(self._latest, self._start_ns + monotonic_ns - self._began_at)

    @property
    def latest(self) -> int:
        """The newest stamp given out."""
        return self._latest
