"""The engine beside what one would write first in Python, over the same transport: what the demonstration shows.

A closed loop on a veth pair of its own: over SoupBinTCP a race on a live connection (`turbo_hft.latency.race`), over
UFO with the rig's own floor beside the two. It pins CPUs, so it is run as a process of its own:

    python -m turbo_hft.latency.compare --transport soupbintcp --repetitions 5 --rounds 2000

On stdout the `Results` as JSON. Exit status 0, 1 for an error, 2 for wrong arguments, 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime

from turbo_hft.addresses import Transport
from turbo_hft.errors import TurboHftError
from turbo_hft.latency import machine, race
from turbo_hft.latency.bench import Run
from turbo_hft.latency.headline import ECHO, ENGINE
from turbo_hft.latency.histogram import encode, histogram_of
from turbo_hft.latency.loads import CLOSED
from turbo_hft.latency.noise import NoiseWatch
from turbo_hft.latency.placement import describe
from turbo_hft.latency.plan import Plan, Trial
from turbo_hft.latency.results import Load, Repetition, Responder, Results, Series
from turbo_hft.latency.rigs import raised

BOT = "python"
RIG = "veth"
_PAUSE_NS = 200_000
_TCP_LOAD = Load("closed", 0, 1, f"closed loop, {_PAUSE_NS // 1000} µs between a tick's end and the next")
_TCP = (
    Responder(ENGINE, "engine (XDP, native)", "the whole pipeline in the XDP hook; delegated send", headline=False),
    Responder(
        BOT, "Python recv()", "a loop of recv() and send() in Python; sleeps until a packet comes", headline=False
    ),
)


def compare(transport: Transport, repetitions: int, rounds: int) -> Results:
    """`repetitions` of each, in turns, `rounds` ticks each. Raises as `Run.measure` and `race.race` do."""
    if transport == "soupbintcp":
        return _over_tcp(repetitions, rounds)
    responders = (ENGINE, BOT, ECHO)
    return Run(Plan("short", (Trial(RIG, CLOSED, responders, repetitions, rounds),), inside=False)).measure()


def _over_tcp(repetitions: int, rounds: int) -> Results:
    began, started, noise = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds"), NoiseWatch()
    traders = {ENGINE: race.engine, BOT: race.peer("python")}
    kept: dict[str, list[Repetition]] = {name: [] for name in traders}
    compared = 0
    noise.start()
    with raised(RIG) as wire:
        for number in range(repetitions):
            # Forwards and backwards: nobody always comes after the same one.
            for name in traders if number % 2 == 0 else reversed(traders):
                found = race.race(wire.addresses, traders[name], rounds, _PAUSE_NS)
                compared += found.compared
                kept[name].append(_repetition(found, rounds))
        rig = replace(
            wire.rig,
            title=f"{wire.rig.title}, orders on a live TCP connection (SoupBinTCP)",
            is_="Two devices, one in the exchange's namespace. The receiver's half of the driver runs inside the "
            "sender's send(); orders are read from the exchange's TCP socket.",
            placement=f"{describe()}, which merges the engine's sends meanwhile",
        )
    noise.sample()
    series = tuple(Series(RIG, name, _TCP_LOAD, "rtt", tuple(ones)) for name, ones in kept.items())
    return Results(
        form="short",
        started=started,
        seconds=round(time.monotonic() - began, 1),
        machine=machine.describe(),
        rigs=(rig,),
        responders=_TCP,
        series=series,
        figures=(),
        skipped=(),
        noise=noise.judge(series),
        orders_compared=compared,
    )


def _repetition(found: race.Raced, rounds: int) -> Repetition:
    return Repetition(
        histogram=encode(histogram_of(found.taken_ns)),
        packets=2 * (rounds + race.WARMUP),
        lost=0,  # a packet that nobody handled brings no order: it is among those that are missed
        triggers=rounds,
        orders=len(found.taken_ns),
        missed=found.missed,
        behind_ns=0,
    )


def main(arguments: list[str] | None = None) -> int:
    """Compare, and print."""
    parser = argparse.ArgumentParser(
        prog="python -m turbo_hft.latency.compare", description="Tick-to-order latency of the engine and a Python bot."
    )
    parser.add_argument("--transport", choices=("soupbintcp", "ufo"), default="soupbintcp", help="default %(default)s")
    parser.add_argument("--repetitions", type=int, default=5, help="of each, in turns (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=2_000, help="per repetition (default %(default)s)")
    options = parser.parse_args(arguments)
    if options.repetitions < 1 or options.rounds < 1:
        parser.error("repetitions and rounds start at 1")
    try:
        found = compare(options.transport, options.repetitions, options.rounds)
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
