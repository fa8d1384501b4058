"""Times at which order entry fails as a whole: it falls silent, or forgets who is logged in.

Times are ns of CLOCK_MONOTONIC after the start of the feed. A silent server neither reads nor sends: what comes
meanwhile is lost, what it would have said comes when the silence is over.
"""

from __future__ import annotations

from collections.abc import Iterable

from turbo_hft.errors import ConfigError

SECOND_NS = 1_000_000_000


def check_outages(silences_s: Iterable[tuple[float, float]], drops_s: Iterable[float]) -> None:
    """Errors: ConfigError for a start before the feed's or a silence without length."""
    for start, length in silences_s:
        if start < 0 or length <= 0:
            raise ConfigError(f"silence of {length} s from {start} s on: give 0 or later, and more than 0")
    for at in drops_s:
        if at < 0:
            raise ConfigError(f"session dropped after {at} s: give 0 or later")


class Outages:
    """`silences_s` are (start, length), `drops_s` moments; in seconds."""

    def __init__(self, silences_s: Iterable[tuple[float, float]] = (), drops_s: Iterable[float] = ()) -> None:
        self._silences = [
            (int(start * SECOND_NS), int((start + length) * SECOND_NS)) for start, length in sorted(silences_s)
        ]
        self._drops = sorted(int(at * SECOND_NS) for at in drops_s)
        self.unheard = 0
        """Datagrams of clients that came during a silence."""

    def silent(self, elapsed_ns: int) -> bool:
        """Is the server silent now?"""
        return any(start <= elapsed_ns < end for start, end in self._silences)

    def take_drop(self, elapsed_ns: int) -> bool:
        """Is it time to drop the session? Each time is said once."""
        if not self._drops or self._drops[0] > elapsed_ns:
            return False
        self._drops.pop(0)
        return True
