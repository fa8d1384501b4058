"""How patient recovery is, and with what."""

from __future__ import annotations

from dataclasses import dataclass

from turbo_hft.errors import ConfigError

_MOST_IN_ONE = 0xFFFE  # MoldUDP64 counts no further


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoverySettings:
    """Times are ns. Errors: ConfigError naming the value that cannot be.

    Asking again: a gap of more than `max_gap` messages is not asked for but restored from a snapshot. Requests are for
    `max_request` messages at most, `in_flight` of them at a time; one that is not answered within `retry_ns` is sent
    again, then after twice that time and so on up to `longest_retry_ns`, `tries` times in all.

    Snapshots: one takes `snapshot_timeout_ns` at most. After one that was of no use the next one is taken `pause_ns`
    later, then after twice that time and so on up to `longest_pause_ns`; a symbol that is doubted again within
    `calm_ns` of its restoration waits like that too. For `patience_ns` a snapshot waits for the feed to get as far as
    it does.

    Sessions: another one is followed when the old one has ended, or was silent for `silence_ns` while packets of the
    other one came.
    """

    max_gap: int = 10_000
    max_request: int = 1_000
    in_flight: int = 4
    retry_ns: int = 5_000_000
    longest_retry_ns: int = 100_000_000
    tries: int = 10
    snapshot_timeout_ns: int = 30_000_000_000
    pause_ns: int = 50_000_000
    longest_pause_ns: int = 10_000_000_000
    calm_ns: int = 30_000_000_000
    patience_ns: int = 3_000_000_000
    silence_ns: int = 3_000_000_000

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("max_request", "in_flight", "tries", "retry_ns", "pause_ns", "snapshot_timeout_ns"):
            if getattr(self, name) < 1:
                raise ConfigError(f"recovery: {name} is {getattr(self, name)!r}: give 1 or more")
        for name in ("max_gap", "calm_ns", "patience_ns", "silence_ns"):
            if getattr(self, name) < 0:
                raise ConfigError(f"recovery: {name} is {getattr(self, name)!r}: give 0 or more")
        if self.max_request > _MOST_IN_ONE:
            raise ConfigError(f"recovery: max_request is {self.max_request}: a request carries {_MOST_IN_ONE} at most")
        for name, longest in (("retry_ns", "longest_retry_ns"), ("pause_ns", "longest_pause_ns")):
            if getattr(self, longest) < getattr(self, name):
                raise ConfigError(f"recovery: {longest} is below {name}: give as much or more")


class Pause:
    """Time to wait between attempts: none before the first one, then `first_ns`, doubling up to `longest_ns`."""

    def __init__(self, first_ns: int, longest_ns: int) -> None:
        self._first_ns = first_ns
        self._longest_ns = longest_ns
        self.failures = 0
        self.until_ns = 0

    def over(self, now_ns: int) -> bool:
        """May the next attempt begin?"""
        return now_ns >= self.until_ns

    def fail(self, now_ns: int) -> None:
        """An attempt was in vain."""
        self.until_ns = now_ns + min(self._first_ns << min(self.failures, 62), self._longest_ns)
        self.failures += 1

    def reset(self) -> None:
        """It has worked: the next trouble is the first one again."""
        self.failures = 0
        self.until_ns = 0
