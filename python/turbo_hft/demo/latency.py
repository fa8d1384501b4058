"""Latency for the report: the hook's own time from the event stream, and the comparison with the standard bot.

The comparison (`turbo_hft.latency.compare`) raises a lab of its own and pins CPUs, so it runs as a process of its own.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from turbo_hft.addresses import Transport
from turbo_hft.demo.exchange_process import child_environment, die_with_parent
from turbo_hft.errors import ExchangeError
from turbo_hft.latency.results import Results

_STEP_S = 0.05
_END_S = 10.0


@dataclass(frozen=True, slots=True)
class HookTimes:
    """Nearest-rank percentiles of packet entry to finished order, over all orders of the run, in ns."""

    count: int
    p50_ns: int | None
    p99_ns: int | None
    max_ns: int | None

    @classmethod
    def of(cls, values_ns: Sequence[int]) -> HookTimes:
        """From one value an order."""
        if not values_ns:
            return cls(0, None, None, None)
        ordered = sorted(values_ns)
        rank = [ordered[-(-len(ordered) * percent // 100) - 1] for percent in (50, 99)]
        return cls(len(ordered), rank[0], rank[1], ordered[-1])


def comparison(wait: Callable[[float], bool], *, transport: Transport, repetitions: int, rounds: int) -> Results | None:
    """Run the comparison; what it found, or None when `wait` said stop. Raises ExchangeError when it fails."""
    command = [sys.executable, "-m", "turbo_hft.latency.compare"]
    command += ["--transport", transport, "--repetitions", str(repetitions), "--rounds", str(rounds)]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as talk:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=talk,
            env=child_environment(),
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGINT),  # noqa: PLW1509 - no other thread runs any more
        )
        try:
            while process.poll() is None:
                if wait(_STEP_S):
                    return None
        finally:
            _end(process)
        talk.seek(0)
        if process.returncode != 0:
            lines = talk.read().decode(errors="replace").strip().splitlines() or ["it said nothing"]
            raise ExchangeError(f"the latency comparison failed (exit {process.returncode}): {lines[-1]}")
        out.seek(0)
        return Results.from_json(out.read().decode())


def _end(process: subprocess.Popen[bytes]) -> None:
    """SIGINT lets it take its lab down; it is only killed if it does not."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGINT)
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
