"""The engine beside what one would write first in Python, and beside the rig's own floor: what the demonstration shows.

A closed loop on a veth pair of its own. It pins CPUs, so it is run as a process of its own:

    python -m turbo_hft.latency.compare --repetitions 5 --rounds 2000

On stdout the `Results` as JSON. Exit status 0, 1 for an error, 2 for wrong arguments, 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys

from turbo_hft.errors import TurboHftError
from turbo_hft.latency.bench import Run
from turbo_hft.latency.headline import ECHO, ENGINE
from turbo_hft.latency.loads import CLOSED
from turbo_hft.latency.plan import Plan, Trial
from turbo_hft.latency.results import Results

BOT = "python"
RIG = "veth"


def compare(repetitions: int, rounds: int) -> Results:
    """`repetitions` of each, in turns, `rounds` ticks each. Raises as `Run.measure` does."""
    responders = (ENGINE, BOT, ECHO)
    return Run(Plan("short", (Trial(RIG, CLOSED, responders, repetitions, rounds),), inside=False)).measure()


def main(arguments: list[str] | None = None) -> int:
    """Compare, and print."""
    parser = argparse.ArgumentParser(
        prog="python -m turbo_hft.latency.compare", description="Tick-to-order latency of the engine and a Python bot."
    )
    parser.add_argument("--repetitions", type=int, default=5, help="of each, in turns (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=2_000, help="per repetition (default %(default)s)")
    options = parser.parse_args(arguments)
    if options.repetitions < 1 or options.rounds < 1:
        parser.error("repetitions and rounds start at 1")
    try:
        found = compare(options.repetitions, options.rounds)
    except TurboHftError as error:
        print(f"latency: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("latency: interrupted", file=sys.stderr)
        return 130
    failed = [f"{one.what}: {one.why}" for one in found.skipped]
    if failed:
        print(f"latency: {'; '.join(failed)}", file=sys.stderr)
        return 1
    print(found.to_json())
    return 0


if __name__ == "__main__":
    sys.exit(main())
