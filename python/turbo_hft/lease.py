"""The lease: orders leave only as long as somebody goes on saying that they may.

`struct hft_control.lease_until_ns` is a point of time by the gate's clock; from then on nothing but cancels leaves. So
a control plane that was killed, stopped or hangs takes the trading with it, within the lease and whatever its state:

- a loop that renews it itself, with `Lease.beat`, once in each round: it is killed, stopped, hangs: no beat;
- `Lease.keep`, a thread that renews it for a program without such a loop. With `patience_s` only while `Keeper.beat` is
  called as often; without, as long as the process runs, so that a hanging main thread is not noticed.

A program that decides by the feed's clock (``clock="feed"``: a replay, a rig) has no lease that passes by itself there:
`Lease.forever` says so.
"""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Any

from turbo_hft._native import ffi
from turbo_hft.errors import ConfigError

FOREVER = (1 << 64) - 1
_PARTS = 4  # renewals in the time of a lease
_MOST_S = 3600.0


def checked_seconds(what: str, value: float, most: float = _MOST_S) -> float:
    """The same, if it is a time that can be waited for. Raises ConfigError."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= most:
        raise ConfigError(f"{what} is {value!r}: give seconds above 0, at most {most:g}.")
    return float(value)


class Lease:
    """That of one engine, in force or not. `seconds`: how long one renewal holds."""

    def __init__(self, control: Any, *, feed_clock: bool, seconds: float = 1.0) -> None:
        self._control = control
        self._feed_clock = feed_clock
        self._seconds = checked_seconds("the lease", seconds)

    @property
    def seconds(self) -> float:
        """How long one renewal holds; 1 at first. So long may orders go on leaving when all else has stopped."""
        return self._seconds

    @seconds.setter
    def seconds(self, value: float) -> None:
        self._seconds = checked_seconds("the lease", value)

    @property
    def word(self) -> Any:
        """The same in memory that is shared with the hook (``unsigned long long *``), for who looks often."""
        return ffi.addressof(self._control[0], "lease_until_ns")

    @property
    def until_ns(self) -> int:
        """From when on nothing leaves, by the gate's clock: CLOCK_MONOTONIC, or the feed's time stamps."""
        return int(self._control[0].lease_until_ns)

    @property
    def left_s(self) -> float:
        """Seconds until then: 0 once it has lapsed, infinite for `forever`."""
        until = self.until_ns
        if until == FOREVER:
            return float("inf")
        return 0.0 if self._feed_clock else max(0.0, (until - time.monotonic_ns()) / 1e9)

    @property
    def in_force(self) -> bool:
        """May orders leave, as far as it goes?"""
        return self.left_s > 0

    def beat(self) -> None:
        """Renew it, for `seconds` from now: one store. Raises ConfigError if the gate's clock is the feed's."""
        self.renew(self._seconds)

    def renew(self, seconds: float) -> None:
        """The same for a time of its own. Raises ConfigError."""
        if self._feed_clock:
            raise ConfigError(
                "this engine decides by the feed's clock, which says nothing of ours: use engine.lease.forever()."
            )
        self._control[0].lease_until_ns = time.monotonic_ns() + int(checked_seconds("the lease", seconds) * 1e9)

    def forever(self) -> None:
        """It never lapses: for replays and rigs. Nothing stops the orders of a process that hangs then."""
        self._control[0].lease_until_ns = FOREVER

    def lapse(self) -> None:
        """End it now."""
        self._control[0].lease_until_ns = 0

    def keep(self, patience_s: float | None = None) -> Keeper:
        """A context manager whose thread renews it; see the module's text for `patience_s`."""
        if self._feed_clock:
            raise ConfigError("this engine decides by the feed's clock: use engine.lease.forever().")
        return Keeper(self, patience_s)


class Keeper:
    """A thread that renews a lease until it is left; then, or when nobody beats any more, the lease lapses."""

    def __init__(self, lease: Lease, patience_s: float | None = None) -> None:
        self._lease = lease
        self._patience_s = None if patience_s is None else checked_seconds("patience_s", patience_s)
        self._beaten = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)

    def beat(self) -> None:
        """The owner's loop goes round."""
        self._beaten = time.monotonic()

    def _term_s(self) -> float:
        return self._lease.seconds if self._patience_s is None else min(self._lease.seconds, self._patience_s)

    def _run(self) -> None:
        while True:
            left_s = self._lease.seconds
            if self._patience_s is not None:
                # Not beyond what the last beat has paid for: a loop that hangs is noticed to the moment.
                left_s = min(left_s, self._beaten + self._patience_s - time.monotonic())
            if left_s > 0:
                self._lease.renew(left_s)
            if self._stop.wait(self._term_s() / _PARTS):
                return

    def __enter__(self) -> Keeper:
        self._beaten = time.monotonic()
        self._lease.renew(self._term_s())
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._lease.lapse()
