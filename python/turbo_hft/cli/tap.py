"""Copy the frames that an engine sees and sends into a pcapng capture, those that no other tap sees included.

What the engine takes (the feed) and what it sends itself (orders) never reaches the network stack, so tcpdump does not
see it. This does, with two small programs that run around the engine's while it is tapped, and are gone afterwards.
Interfaces of the capture say what became of a frame; a frame that was answered is followed by the order that was sent.
It ends after --count frames, after --duration, with the engine, or with Ctrl-C.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from turbo_hft.cli import codes, common
from turbo_hft.cli.signals import StopFlag
from turbo_hft.errors import ConfigError, NotRunning, TurboHftError

if TYPE_CHECKING:
    from turbo_hft.engine import Engine
    from turbo_hft.tap import Tap
    from turbo_hft.wire.pcapng import Writer

NAME = "tap"
HELP = "capture the frames that an engine sees and sends, as pcapng"
EPILOG = """\
--only: consumed, passed, sent, aborted (what became of a frame), orders (what was sent, and what it answered),
or feed, replies, others (whose it is). Nothing = all.

examples:
  turbo-hft tap --out orders.pcapng --only orders --count 100
  turbo-hft tap --out - | tshark -r -"""
_WAIT_S = 0.05
_LOOK_S = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    common.add_interface(parser)
    parser.add_argument("--out", required=True, metavar="FILE", help="the capture; - is standard output")
    parser.add_argument(
        "--only", action="append", default=[], metavar="WHICH", help="which frames (see below); may be given more times"
    )
    parser.add_argument("--snaplen", type=common.count, default=2048, metavar="N", help="bytes a frame (%(default)s)")
    parser.add_argument("--count", type=common.count, metavar="N", help="end after so many frames")
    parser.add_argument("--duration", type=common.seconds, metavar="S", help="end after so many seconds")
    common.add_json(parser, "what was captured, as one JSON object on standard error's end or on standard output")


def run(args: argparse.Namespace) -> int:
    """Capture."""
    from turbo_hft.tap import Tap

    if args.json and args.out == "-":
        raise ConfigError("--json and --out -: standard output is the capture; give a file")
    with common.adopt(args) as engine, StopFlag() as stop, Tap(engine, args.only, snaplen=args.snaplen) as tap:
        with _stream(args.out) as stream:
            counted = capture(
                tap, stream, engine.interface or "", stop.wait, lambda: _is_there(engine), args.count, args.duration
            )
        lost, moves = tap.lost, tap.moves
        interrupted = bool(stop.number)
    if args.json:
        common.print_json({"frames": dict(counted), "lost": lost, "moves": moves})
    else:
        what = ", ".join(f"{count:,} {way}" for way, count in counted.items()) or "nothing"
        moved = f"; the program was swapped {moves} times meanwhile" if moves else ""
        common.say(f"captured {what}; {lost:,} lost{moved}")
    return codes.INTERRUPTED if interrupted else codes.OK


@contextmanager
def _stream(name: str) -> Iterator[BinaryIO]:
    if name == "-":
        if sys.stdout.isatty():
            raise ConfigError("--out -: a capture is nothing for a terminal; give a file, or a pipe behind it")
        yield sys.stdout.buffer
        return
    try:
        file = open(name, "wb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise ConfigError(f"cannot write {name}: {error.strerror}.") from None
    with file:
        yield file


def capture(
    tap: Tap,
    stream: BinaryIO,
    interface: str,
    stop: Callable[[float], bool],
    there: Callable[[], bool],
    most: int | None,
    duration_s: float | None,
) -> Counter[str]:
    """Write what is tapped until `stop` says so, the engine is not `there` any more, or it is enough: frames by what
    became of them."""
    from turbo_hft.tap import WAYS
    from turbo_hft.wire.pcapng import Writer

    ways = list(WAYS.values())
    writer = Writer(stream, [f"{interface} {way}" for way in ways])
    utc = time.time_ns() - time.monotonic_ns()
    counted: Counter[str] = Counter()
    began = looked = time.monotonic()
    while not stop(0):
        found = tap.wait(_WAIT_S)
        for frame in found[: None if most is None else most - counted.total()]:
            at = ways.index(frame.way)
            out = frame.way == "sent"
            writer.write(frame.time_ns + utc, frame.data, at, length=frame.length, outbound=out)
            counted[frame.way] += 1
        if found:
            stream.flush()
        now = time.monotonic()
        if (most is not None and counted.total() >= most) or (duration_s is not None and now - began >= duration_s):
            break
        if now - looked >= _LOOK_S:
            looked = now
            if not there():
                common.say("the engine has left its interface")
                break
    _end(writer, tap, utc)
    stream.flush()
    return counted


def _is_there(engine: Engine) -> bool:
    """The engine, which this process does not keep alive: a pinned one is gone with its pins."""
    from turbo_hft.program import query

    try:
        query(str(engine.interface))
    except NotRunning:
        return False
    return engine.pins is None or engine.pins.there


def _end(writer: Writer, tap: Tap, utc: int) -> None:
    try:
        lost = tap.lost
    except TurboHftError:
        return
    writer.write_dropped(time.monotonic_ns() + utc, lost)
