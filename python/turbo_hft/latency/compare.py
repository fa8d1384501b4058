"""Engine and standard bot on one rig, in turns, with the same ticks, the same decision and the same bytes.

python -m turbo_hft.latency.compare --help
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict

from turbo_hft.errors import ExchangeError, TurboHftError
from turbo_hft.lab import Lab, LabAddresses
from turbo_hft.latency import placement
from turbo_hft.latency.peers import peer
from turbo_hft.latency.probe import INTERVAL_NS, Probe, Run, check_orders, ticks
from turbo_hft.latency.report import Comparison, Percentiles, Ratio, ResponderResult, describe_rig
from turbo_hft.latency.threshold import Threshold
from turbo_hft.latency.work import Work

#: Something that answers ticks: attached, configured and logged in when the block is entered, gone when it is left.
Responder = Callable[[LabAddresses, Threshold], AbstractContextManager[object]]

#: Something that sends every frame back while the block runs.
Echo = Callable[[LabAddresses], AbstractContextManager[object]]


@contextmanager
def standard_bot(addresses: LabAddresses, threshold: Threshold) -> Iterator[None]:
    """The bot as a process of its own, on CPU 1 where there is one; it ends with the feed. Raises as Peer.responder."""
    with peer("python").responder(addresses, Work((threshold,))):
        yield


def measure(
    responder: Responder,
    addresses: LabAddresses,
    threshold: Threshold,
    *,
    rounds: int,
    warmup_rounds: int = 100,
    interval_ns: int = INTERVAL_NS,
) -> Run:
    """One run of one responder, its orders checked byte by byte; the warm-up rounds are left out of the result."""
    prices = ticks(threshold, warmup_rounds + rounds)
    with Probe(addresses, threshold) as probe, ExitStack() as stack:
        with probe.login_thread():
            stack.enter_context(responder(addresses, threshold))
        run = probe.run(prices, interval_ns=interval_ns, cpu=placement.PROBE_CPU)
    check_orders(threshold, run, prices)
    missed = sum(not order for order in run.orders[warmup_rounds:])
    return Run(run.rtt_ns[warmup_rounds:], run.orders[warmup_rounds:], missed, run.late)


def measure_floor(
    echo: Echo,
    addresses: LabAddresses,
    threshold: Threshold,
    *,
    rounds: int,
    warmup_rounds: int = 100,
    interval_ns: int = INTERVAL_NS,
) -> Run:
    """The round trip of the ticks themselves: what the rig costs with a responder that only sends frames back."""
    prices = ticks(threshold, warmup_rounds + rounds)
    with Probe(addresses, threshold, echo=True) as probe, echo(addresses):
        run = probe.run(prices, interval_ns=interval_ns, cpu=placement.PROBE_CPU)
    missed = sum(not tick for tick in run.orders[warmup_rounds:])
    return Run(run.rtt_ns[warmup_rounds:], run.orders[warmup_rounds:], missed, run.late)


def compare(
    engine: Responder,
    addresses: LabAddresses,
    threshold: Threshold | None = None,
    *,
    bot: Responder = standard_bot,
    echo: Echo | None = None,
    repetitions: int = 5,
    rounds: int = 2_000,
    warmup_rounds: int = 100,
    interval_ns: int = INTERVAL_NS,
    xdp_mode: str = "native",
) -> Comparison:
    """Engine, bot, engine, bot …, each ``repetitions`` times, on a lab that is up and that nobody else uses.

    Both start anew each time, so their UserRefNums agree and their orders can be compared to the byte. With ``echo``
    the rig's own floor is measured in the same turns, without a login and without orders. Raises
    ExchangeError when an order is not what the decision demands, or when a responder did not answer at all.
    """
    threshold = threshold or Threshold()
    pairs: list[tuple[Run, Run]] = []
    floor_runs: list[Run] = []
    compared = 0
    for _ in range(repetitions):
        if echo:
            floor_runs.append(
                measure_floor(
                    echo, addresses, threshold, rounds=rounds, warmup_rounds=warmup_rounds, interval_ns=interval_ns
                )
            )
        first, second = (
            measure(
                responder, addresses, threshold, rounds=rounds, warmup_rounds=warmup_rounds, interval_ns=interval_ns
            )
            for responder in (engine, bot)
        )
        for name, run in (("the engine", first), ("the bot", second)):
            if run.missed == rounds:
                raise ExchangeError(f"{name} answered none of {rounds} ticks: is its session up and its feed live?")
        compared += sum(a == b != b"" for a, b in zip(first.orders, second.orders, strict=True))
        pairs.append((first, second))
    engine_result = _result("engine (XDP)", [first for first, _ in pairs])
    bot_result = _result("Python recv() bot", [second for _, second in pairs])
    engine_runs, bot_runs = engine_result.repetitions, bot_result.repetitions
    return Comparison(
        rig=describe_rig(xdp_mode, placement.describe()),
        rounds=rounds,
        warmup_rounds=warmup_rounds,
        interval_ns=interval_ns,
        orders_compared=compared,
        engine=engine_result,
        bot=bot_result,
        floor=_result("floor (XDP_TX echo)", floor_runs) if floor_runs else None,
        ratio_p50=_ratio(bot_runs, engine_runs, "p50_ns"),
        ratio_p99=_ratio(bot_runs, engine_runs, "p99_ns"),
    )


def _result(name: str, runs: Sequence[Run]) -> ResponderResult:
    return ResponderResult.of(
        name, [run.rtt_ns for run in runs], sum(run.missed for run in runs), sum(run.late for run in runs)
    )


def _ratio(bot: tuple[Percentiles, ...], engine: tuple[Percentiles, ...], field: str) -> Ratio:
    return Ratio.of([getattr(run, field) for run in bot], [getattr(run, field) for run in engine])


def main(arguments: list[str] | None = None) -> int:
    """Raise a lab of its own, compare, print. Exit status 0, 1 for an error, 2 for wrong arguments."""
    parser = argparse.ArgumentParser(
        prog="python -m turbo_hft.latency.compare", description="Tick-to-order latency of the engine and a Python bot."
    )
    parser.add_argument("--repetitions", type=int, default=5, help="of each, in turns (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=2_000, help="per repetition (default %(default)s)")
    parser.add_argument(
        "--interval-us", type=int, default=INTERVAL_NS // 1_000, help="from tick to tick (default %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="the whole result as JSON on stdout")
    options = parser.parse_args(arguments)
    if options.repetitions < 1 or options.rounds < 1 or options.interval_us < 0:
        parser.error("repetitions and rounds start at 1, the interval at 0")

    from turbo_hft.latency.engine_side import echo_responder, engine_responder

    lab = Lab(namespace=f"hft_lat_{os.getpid()}", device="veth_hft_lat", peer="veth_exch_lat", subnet="10.78.0.0/24")
    try:
        with lab:
            result = compare(
                lambda addresses, threshold: engine_responder(addresses, Work((threshold,))),
                lab.addresses,
                echo=echo_responder,
                repetitions=options.repetitions,
                rounds=options.rounds,
                interval_ns=options.interval_us * 1_000,
            )
    except TurboHftError as error:
        print(f"latency: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("latency: interrupted", file=sys.stderr)
        return 130
    finally:
        # Once more, undisturbed: an interrupt may have struck while the lab was being made or taken down.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        lab.down()
    print(json.dumps(asdict(result), indent=2) if options.json else "\n".join(result.lines()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
