"""What recovery has done and is doing, for people."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that was wrong and is over. `kind`: gap (filled by re-requests or the other line), snapshot (a gap that
    was given up), symbols (books restored), rollover. Times are the monotonic clock, ns; `detail` is for the eye."""

    kind: str
    began_ns: int
    ended_ns: int
    detail: str

    @property
    def duration_ns(self) -> int:
        """From the first sign to the end of it."""
        return self.ended_ns - self.began_ns


@dataclass(slots=True)
class RecoveryCounters:
    """Totals. `replies`: messages that came first by a re-request; `snapshot_failures`: those that could not be had;
    `snapshots_late`: those that were too old for what they were taken for."""

    pokes: int = 0
    requests: int = 0
    retries: int = 0
    messages_asked: int = 0
    replies: int = 0
    send_failures: int = 0
    gaps_filled: int = 0
    gaps_abandoned: int = 0
    snapshots: int = 0
    snapshot_failures: int = 0
    snapshots_late: int = 0
    symbols_restored: int = 0
    restore_failures: int = 0
    rollovers: int = 0


@dataclass(frozen=True, slots=True)
class RecoveryStatus:
    """`state`: well; holding, asking (a gap is asked for again), snapshot (one is being taken or waited for), restoring
    (books), stuck (see `trouble`), stopped. `waiting`: symbols whose books are not ok. `history`: the newest incidents,
    oldest first."""

    feed: int
    state: str
    missing: int
    waiting: tuple[str, ...]
    trouble: str
    counters: RecoveryCounters
    history: tuple[Incident, ...]

    def line(self) -> str:
        """What was done, in one line."""
        done, counted = self.history, self.counters
        kinds = dict.fromkeys(each.kind for each in done)
        what = ", ".join(f"{sum(each.kind == kind for each in done)} {kind}" for kind in kinds) or "nothing to do"
        longest = max((each.duration_ns for each in done), default=0)
        return (
            f"recovery of feed {self.feed}: {what}, at most {longest / 1e6:.1f} ms; "
            f"{counted.requests} requests, {counted.replies} messages by them, {counted.snapshots} snapshots, "
            f"{counted.symbols_restored} books restored" + (f"; {self.state}: {self.trouble}" if self.trouble else "")
        )
