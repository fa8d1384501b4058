"""Show a symbol's book after every message of a recording: a BinaryFILE of ITCH 5.0, or a pcap or pcapng capture.

The messages go through the loaded program, without a device; the levels are read out of its tables. Of a capture, the
feed is the first UDP flow of MoldUDP64 with ITCH 5.0 (and a second one of its session, as line B), or the one that
--group and --port name. A recording that begins in mid-day shows the orders it has; standard error says what it lacks.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from turbo_hft.cli import codes, common
from turbo_hft.cli.signals import StopFlag

if TYPE_CHECKING:
    from turbo_hft.recorded.book_walk import BookWalk, Row
    from turbo_hft.recorded.datagrams import CaptureFeed
    from turbo_hft.recorded.files import MessageFile

NAME = "book"
HELP = "show a symbol's book after every message of a recording"
EPILOG = """\
columns: time of the message (Eastern), its type, the reference of its order; then the levels, best first:
orders, shares and price of the bid | price, shares and orders of the offer. --json has prices in 1/10000 dollar.

example:
  turbo-hft book day.itch50 --symbol AAPL --depth 3 --every change --limit 100"""

_MOST_LEVELS = 1000
_BATCH = 1 << 16  # characters that are written at once


class Form(Protocol):
    """How rows are written."""

    def header(self) -> str: ...
    def row(self, row: Row) -> str: ...


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("file", type=Path, metavar="FILE", help="BinaryFILE, pcap or pcapng")
    parser.add_argument("--symbol", required=True, metavar="NAME", help="as the exchange spells it, such as AAPL")
    parser.add_argument("--depth", type=_levels, default=5, metavar="N", help="levels a side (default %(default)s)")
    parser.add_argument(
        "--every",
        choices=("message", "change"),
        default="message",
        help="a row after each message of the symbol, or only when the levels shown have changed (default %(default)s)",
    )
    parser.add_argument("--limit", type=common.count, metavar="N", help="end after so many rows")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON object a row")
    form.add_argument("--csv", action="store_true", help="one line a row, with a header")
    capture = parser.add_argument_group("captures")
    capture.add_argument("--group", metavar="ADDR", help="destination of the feed (default: found)")
    capture.add_argument("--port", type=common.port, metavar="PORT", help="UDP port of the feed (default: found)")
    parser.add_argument(
        "--max-orders",
        type=common.count,
        default=262_144,
        metavar="N",
        help="resting orders of the symbol that there is room for (default %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Show it."""
    from turbo_hft.recorded import row_text
    from turbo_hft.recorded.book_walk import BookWalk
    from turbo_hft.recorded.datagrams import CaptureFeed
    from turbo_hft.recorded.files import Kind, MessageFile, kind_of
    from turbo_hft.recorded.progress import Progress

    form: Form = row_text.Json() if args.json else row_text.Csv(args.depth) if args.csv else row_text.Ladder()
    progress, began = Progress(), time.monotonic()

    def note(text: str) -> None:
        progress.clear()
        common.say(f"turbo-hft book: {text}")

    with StopFlag() as stop, ExitStack() as stack:
        source: MessageFile | CaptureFeed
        if kind_of(args.file) is Kind.CAPTURE:
            source = CaptureFeed(args.file, group=args.group, port=args.port)
        else:
            source = stack.enter_context(MessageFile(args.file))
        out = _Output(progress.clear)

        def tick() -> None:
            stop.check()
            out.flush()
            progress.tell(lambda: _far(walk, source, began))

        walk = stack.enter_context(
            closing(BookWalk(source, args.symbol, args.depth, note=note, tick=tick, orders=args.max_orders))
        )
        try:
            _print(walk, form, out, args.every == "change", args.limit)
        finally:
            progress.clear()
            out.flush()
        elapsed = time.monotonic() - began
        common.say(
            f"{walk.messages:,} messages in {elapsed:.1f} s, {walk.rows:,} of {args.symbol}"
            + (f", {walk.foreign:,} about orders never added left out" if walk.foreign else "")
            + (f", {walk.missing:,} missing" if walk.missing else "")
            + ("" if walk.trading_state else ", no trading action (H): whether it was halted is not known")
        )
    return codes.OK


class _Output:
    """Standard output, in large pieces."""

    def __init__(self, before: Callable[[], None]) -> None:
        self._before = before
        self._lines: list[str] = []
        self._size = 0

    def line(self, line: str) -> None:
        """Write a line, sooner or later."""
        self._lines.append(line)
        self._size += len(line)
        if self._size > _BATCH:
            self.flush()

    def flush(self) -> None:
        """Write what was collected."""
        if self._lines:
            self._before()
            lines, self._lines, self._size = self._lines, [], 0
            sys.stdout.write("\n".join(lines) + "\n")
            sys.stdout.flush()


def _print(walk: BookWalk, form: Form, out: _Output, only_changes: bool, limit: int | None) -> None:
    from turbo_hft.recorded.row_text import changes

    changed, left = changes(), limit
    header = form.header()
    for row in walk:
        if only_changes and not changed(row.depth):
            continue
        if header:
            out.line(header)
            header = ""
        out.line(form.row(row))
        if left is not None:
            left -= 1
            if not left:
                break


def _far(walk: BookWalk, source: MessageFile | CaptureFeed, began: float) -> str:
    from turbo_hft.recorded.files import MessageFile

    where = (
        f"{100 * source.at / source.size:5.1f} %" if isinstance(source, MessageFile) else f"{source.frames:,} frames"
    )
    rate = walk.messages / max(time.monotonic() - began, 1e-9)
    return f"{where}  {walk.messages:,} messages, {rate / 1e6:.1f} M/s, {walk.rows:,} of the symbol"


def _levels(text: str) -> int:
    value = common.count(text)
    if value > _MOST_LEVELS:
        raise argparse.ArgumentTypeError(f"{text!r}: give 1 to {_MOST_LEVELS} levels")
    return value
