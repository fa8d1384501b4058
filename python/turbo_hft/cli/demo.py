"""The main job, from nothing: raise the lab, start the exchange in its namespace, attach the engine, trade for a
while with a live view, stop, and hold three ledgers against each other: the engine's maps, its event stream, the
exchange's own books. Then measure tick-to-order latency beside a plain Python recv() bot over the same transport.
Leaves nothing behind.

Orders leave on a live TCP connection (SoupBinTCP), as at an exchange; --transport ufo sends datagrams instead. The
thread that tells the kernel what the hook sent looks every 50 µs and needs no CPU of its own; --merge-cpu gives it one.

Without a terminal the live view becomes plain lines. On a terminal ? shows the keys; q ends trading now.
Exit code 0 only if every figure agrees and no event was lost.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from turbo_hft.cli import codes, common
from turbo_hft.cli.lab import add_names
from turbo_hft.cli.signals import StopFlag

NAME = "demo"
HELP = "the whole loop: lab, exchange, engine, live view, three ledgers, latency"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--duration", type=common.seconds, default=20.0, metavar="S", help="of trading (default 20)")
    parser.add_argument(
        "--symbols", type=_names, default=("AAPL", "MSFT"), metavar="SYM,…", help="to trade (default AAPL,MSFT)"
    )
    parser.add_argument("--protocol", choices=("ouch50", "ouch42"), default="ouch50", help="default %(default)s")
    parser.add_argument(
        "--mode", choices=("native", "generic"), default="native", help="XDP mode (default %(default)s)"
    )
    parser.add_argument(
        "--transport",
        choices=("soupbintcp", "ufo"),
        default="soupbintcp",
        help="what carries the orders: a TCP connection, or datagrams (default %(default)s)",
    )
    parser.add_argument(
        "--merge-cpu",
        type=common.cpu,
        metavar="CPU",
        help="SoupBinTCP: a CPU for the thread alone that merges what the hook sent (default: it rests in between)",
    )
    parser.add_argument("--seed", type=int, default=1, help="of the market's order flow (default %(default)s)")
    parser.add_argument(
        "--rate", type=common.count, default=2000, metavar="N", help="messages a second (default %(default)s)"
    )
    parser.add_argument("--no-latency", action="store_true", help="leave the comparison with the bot out")
    parser.add_argument(
        "--latency-rounds",
        type=common.count,
        default=1000,
        metavar="N",
        help="ticks a repetition (default %(default)s)",
    )
    parser.add_argument("--latency-repetitions", type=common.count, default=3, metavar="N", help="default %(default)s")
    parser.add_argument("--screenshot", type=Path, metavar="FILE.svg", help="write a picture of the last view")
    parser.add_argument("--exchange-log", type=Path, metavar="FILE", help="the exchange's log, as JSON lines")
    common.add_json(parser, "everything as one JSON object on stdout; the plain lines go to stderr")
    add_names(parser)


def run(args: argparse.Namespace) -> int:
    """Run it and print the report."""
    from turbo_hft.demo import report as reports
    from turbo_hft.demo.config import DemoConfig
    from turbo_hft.demo.job import Demo

    config = DemoConfig(
        lab=(args.namespace, args.device, args.peer, args.subnet),
        duration_s=args.duration,
        symbols=args.symbols,
        protocol=args.protocol,
        transport=args.transport,
        merge_cpu=args.merge_cpu,
        mode=args.mode,
        seed=args.seed,
        rate=args.rate,
        latency=not args.no_latency,
        latency_repetitions=args.latency_repetitions,
        latency_rounds=args.latency_rounds,
        screenshot=args.screenshot,
        exchange_log=args.exchange_log,
    )
    with StopFlag() as stop:
        demo = Demo(config, stop, sys.stderr if args.json else sys.stdout)
        report = demo.run()
        if not args.json:
            _print(reports.ledger_lines(report.reconciliation), reports.verdict_lines(report))
        if config.latency:
            report = demo.compare(report)
    if args.json:
        common.print_json(report.as_dict())
    else:
        _print(reports.latency_lines(report))
    return codes.OK if report.ok else codes.FAILURE


def _print(*blocks: list[str]) -> None:
    for lines in blocks:
        print("\n".join(lines) + "\n", flush=True)


def _names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if not all(name.isascii() and name.isalnum() for name in names) or len(set(names)) != len(names):
        raise argparse.ArgumentTypeError(f"{text!r}: give different symbols, separated by commas")
    return names
