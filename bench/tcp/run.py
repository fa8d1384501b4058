"""From a tick to the order on a TCP connection: the hook's delegated send beside a bot in user space that spins.

The race is `turbo_hft.latency.race`; the bot runs the hook's own code, compiled for the host.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict, dataclass
from statistics import median, quantiles
from typing import Any

from turbo_hft.errors import TurboHftError
from turbo_hft.lab import Lab
from turbo_hft.latency import race

TRADERS = {"delegated": race.engine, "bot": race.peer("busy")}
NAMES = {"delegated": "delegated send (XDP)", "bot": "C bot, busy recv() and send()"}
_PAUSE_NS = 40_000


@dataclass(frozen=True, slots=True)
class Times:
    """ns of one repetition; `missed`: ticks without an order in time."""

    min: float
    p50: float
    p90: float
    p99: float
    missed: int


def _times(found: race.Raced) -> Times:
    came = sorted(found.taken_ns)
    if len(came) < 100:
        raise SystemExit(f"bench: {len(came)} ticks brought an order, {found.missed} did not: something is wrong here")
    cuts = quantiles(came, n=100)
    return Times(came[0], median(came), cuts[89], cuts[98], found.missed)


def measure(rounds: int, repetitions: int) -> dict[str, list[Times]]:
    """Of each contestant its repetitions, in turns."""
    found: dict[str, list[Times]] = {who: [] for who in TRADERS}
    with Lab("hft_race", "hft_race_a", "hft_race_b", "10.80.1.0/24") as lab:
        for _ in range(repetitions):
            for who, trader in TRADERS.items():
                found[who].append(_times(race.race(lab.addresses, trader, rounds, _PAUSE_NS)))
    return found


def table(found: dict[str, list[Times]]) -> str:
    """Medians over the repetitions, µs, and how many times the bot's is the hook's."""
    columns = ("min", "p50", "p90", "p99")
    lines = [f"{'tick to order at the peer, µs':<32}" + "".join(f"{name:>8}" for name in columns) + f"{'missed':>8}"]
    middles: dict[str, list[float]] = {}
    for who, times in found.items():
        middles[who] = [median(getattr(one, name) for one in times) / 1000 for name in columns]
        missed = sum(one.missed for one in times)
        lines.append(f"{NAMES[who]:<32}" + "".join(f"{value:>8.2f}" for value in middles[who]) + f"{missed:>8}")
    ratios = (bot / hook for hook, bot in zip(middles["delegated"], middles["bot"], strict=True))
    lines.append(f"{'ratio':<32}" + "".join(f"{ratio:>8.2f}" for ratio in ratios))
    return "\n".join(lines)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="bench.tcp", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=10_000, help="ticks of a repetition (10,000)")
    parser.add_argument("--repetitions", type=int, default=5, help="of each, in turns (5)")
    parser.add_argument("--json", action="store_true", help="every repetition, on stdout")
    args = parser.parse_args()
    if (os.cpu_count() or 1) < 2:
        print("bench: this needs two CPUs, one for the exchange and one for who trades.", file=sys.stderr)
        return 1
    try:
        found = measure(args.rounds, args.repetitions)
    except TurboHftError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    shown: Any = {who: [asdict(one) for one in times] for who, times in found.items()}
    print(json.dumps(shown, indent=2) if args.json else table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
