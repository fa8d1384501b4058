"""Play a recording: a BinaryFILE of ITCH 5.0, or a pcap or pcapng capture of a feed.

Without --interface it goes through the loaded program itself, with no device, and the program's counters are reported.
With --interface its packets leave there as raw frames; in the lab that is the exchange's end of the wire.
Only the feed is played: nobody takes orders (`turbo-hft exchange --replay` does).
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turbo_hft.cli import codes, common
from turbo_hft.cli.session_options import endpoint
from turbo_hft.cli.signals import StopFlag
from turbo_hft.errors import ConfigError, MalformedMessage, TurboHftError

if TYPE_CHECKING:
    from turbo_hft.engine import Engine
    from turbo_hft.recorded.datagrams import CaptureFeed
    from turbo_hft.recorded.files import MessageFile
    from turbo_hft.recorded.playback import Playback, Totals

NAME = "replay"
HELP = "play a recording through the program, or out of an interface"
EPILOG = """\
examples:
  turbo-hft replay day.itch50 --speed max --all-symbols
  turbo-hft replay day.itch50 --netns exchange_ns --interface veth_exch --speed 10"""

_MOST_MESSAGES = 1729


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("file", type=Path, metavar="FILE", help="BinaryFILE, pcap or pcapng")
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--program", action="store_true", help="through the loaded program, with no device (the default)"
    )
    where.add_argument("--interface", metavar="DEV", help="out of this interface")
    parser.add_argument(
        "--speed",
        type=_speed,
        default=1.0,
        metavar="recorded|FACTOR|max",
        help="at the recorded pace (the default), a factor of it, or flat out",
    )
    parser.add_argument(
        "--messages-per-packet",
        type=common.count,
        default=0,
        metavar="N",
        help="of a BinaryFILE, at most (default: what is due at once and fits)",
    )
    common.add_json(parser, "the report as one JSON object")
    program = parser.add_argument_group("through the program")
    program.add_argument("--symbol", action="append", default=[], metavar="NAME", help="track it; may be repeated")
    program.add_argument(
        "--all-symbols", action="store_true", help="track every symbol that a BinaryFILE lists before its first order"
    )
    program.add_argument(
        "--max-orders",
        type=common.count,
        metavar="N",
        help="resting orders there is room for (default: by symbols)",
    )
    capture = parser.add_argument_group("captures")
    capture.add_argument("--group", metavar="ADDR", help="destination of the feed in it (default: found)")
    capture.add_argument("--port", type=common.port, metavar="PORT", help="UDP port of the feed in it (default: found)")
    capture.add_argument("--from-line", choices=("A", "B"), help="what came by this line, as line A (default: both)")
    capture.add_argument(
        "--renumber", action="store_true", help="count sequences from 1, where the capture begins in mid-day"
    )
    wire = parser.add_argument_group("out of an interface (defaults: the standard lab's)")
    wire.add_argument("--netns", metavar="NAME", help="network namespace that the interface is in")
    wire.add_argument("--feed", type=endpoint, metavar="ADDR:PORT", help="where line A is sent")
    wire.add_argument("--feed-b", type=endpoint, metavar="ADDR:PORT", help="where line B is sent (default: nowhere)")
    wire.add_argument("--source", metavar="ADDR", help="the sender's address")
    wire.add_argument("--mac", metavar="MAC", help="the receiver's, where the feed is sent to no group")
    wire.add_argument("--session", metavar="NAME", help="MoldUDP64 session of a BinaryFILE (default HFT0000001)")
    wire.add_argument("--force", action="store_true", help="also on an interface that other machines may be behind")


def run(args: argparse.Namespace) -> int:
    """Play it."""
    from turbo_hft.recorded.datagrams import CaptureFeed
    from turbo_hft.recorded.files import Kind, MessageFile, kind_of
    from turbo_hft.recorded.playback import Playback
    from turbo_hft.recorded.progress import Progress

    with StopFlag() as stop, ExitStack() as stack:
        source: MessageFile | CaptureFeed
        if kind_of(args.file) is Kind.CAPTURE:
            source = CaptureFeed(args.file, group=args.group, port=args.port)
        else:
            source = stack.enter_context(MessageFile(args.file))
        _check(args, source)
        engine, replay = _target(args, source, stack)
        replay.per_packet = min(args.messages_per_packet, _MOST_MESSAGES)
        progress = Progress()

        def tick() -> None:
            stop.check()
            progress.tell(lambda: _far(playback.totals(), args.speed))

        playback = Playback(replay, pace=args.speed, tick=tick)
        failed = _play(args, playback, source)
        progress.clear()
        _report(args, playback.totals(), engine, source, failed)
        if failed is not None:
            raise failed
    return codes.OK


def _play(args: argparse.Namespace, playback: Playback, source: MessageFile | CaptureFeed) -> BaseException | None:
    """Play it all; what ended it before its end, for after the report."""
    from turbo_hft.cli.signals import Interrupted
    from turbo_hft.recorded.files import MessageFile

    try:
        if isinstance(source, MessageFile):
            playback.play_file(source)
        else:
            line = None if args.from_line is None else "AB".index(args.from_line)
            if line is None and args.interface is not None and args.feed_b is None:
                line = 0
            playback.play_capture(source, line=line, renumber=args.renumber)
            unsent = args.interface is not None and args.feed_b is None and args.from_line is None
            if unsent and "B" in source.lines:
                common.say("turbo-hft replay: line B of the capture was not sent: --feed-b says where to")
    except ConfigError:
        raise
    except (TurboHftError, Interrupted) as error:
        return error
    return None


def _check(args: argparse.Namespace, source: MessageFile | CaptureFeed) -> None:
    """Options that say nothing where they are given are mistakes."""
    from turbo_hft.recorded.files import MessageFile

    if args.interface is None:
        given = [name for name in ("netns", "feed", "feed_b", "source", "mac", "force") if getattr(args, name)]
        if given:
            raise ConfigError(f"--{given[0].replace('_', '-')} is about an interface: give --interface too.")
    else:
        given = [name for name in ("symbol", "all_symbols", "max_orders") if getattr(args, name)]
        if given:
            raise ConfigError(f"--{given[0].replace('_', '-')} is about the program: leave --interface away.")
    if isinstance(source, MessageFile):
        given = [name for name in ("group", "port", "from_line", "renumber") if getattr(args, name)]
        if given:
            raise ConfigError(f"--{given[0].replace('_', '-')} is about a capture: {args.file} is a BinaryFILE.")
    elif args.all_symbols:
        raise ConfigError("--all-symbols is about a BinaryFILE: name the symbols of a capture with --symbol.")


def _target(args: argparse.Namespace, source: MessageFile | CaptureFeed, stack: ExitStack) -> tuple[Engine | None, Any]:
    """The program or the wire, and the ``struct hft_replay *`` that leads there."""
    from turbo_hft.recorded import loaded
    from turbo_hft.recorded.files import MessageFile

    session = loaded.SESSION if args.session is None else _session(args.session)
    if args.interface is not None:
        return None, _wire(args, session, stack)
    names = list(dict.fromkeys(args.symbol))
    if args.all_symbols:
        assert isinstance(source, MessageFile)
        names = list(dict.fromkeys([*names, *source.listed()]))
    orders = args.max_orders or loaded.orders_for(len(names))
    engine = stack.enter_context(loaded.load(symbols=max(1, len(names)), orders=orders))
    for name in names:
        engine.symbols.add(name)
    replay = loaded.into(engine, session)
    if args.speed is not None:
        replay.payload_max = loaded.USUAL_PAYLOAD  # at its pace it is packed as on a wire
    return engine, replay


def _wire(args: argparse.Namespace, session: bytes, stack: ExitStack) -> Any:
    from turbo_hft._native import ffi
    from turbo_hft.recorded import loaded
    from turbo_hft.recorded.wire import Destination, Wire

    default = Destination()
    to = Destination(args.feed or default.feed, args.feed_b, args.source or default.source, args.mac or default.mac)
    wire = Wire(args.interface, namespace=args.netns, force=args.force)
    stack.callback(wire.close)
    replay = ffi.new("struct hft_replay *", {"program_fd": -1, "wire_fd": wire.fd, "sequence": 1})
    loaded.set_headers(replay, wire.headers(to))
    replay.payload_max = min(wire.payload_max, loaded.USUAL_PAYLOAD)
    replay.session = session
    return replay


def _session(name: str) -> bytes:
    from turbo_hft.wire import moldudp64

    try:
        return moldudp64.Heartbeat(name, 1).encode()[: moldudp64.SESSION_LENGTH]
    except MalformedMessage as error:
        raise ConfigError(str(error)) from error


def _far(totals: Totals, speed: float | None) -> str:
    from turbo_hft.recorded.row_text import clock

    line = (
        f"{totals.messages:,} messages, {totals.rate / 1e6:.2f} M/s, {clock(totals.recorded_ns)[:12]} of the recording"
    )
    return line if speed is None else f"{line}, {totals.lag_ns / 1e6:.1f} ms late"


def _report(
    args: argparse.Namespace,
    totals: Totals,
    engine: Engine | None,
    source: MessageFile | CaptureFeed,
    failed: BaseException | None,
) -> None:
    report: dict[str, Any] = {
        "file": str(args.file),
        "to": args.interface or "program",
        "complete": failed is None,
        "messages": totals.messages,
        "packets": totals.packets,
        "bytes": totals.bytes,
        "duration_s": round(totals.duration_ns / 1e9, 6),
        "recorded_s": round(totals.recorded_ns / 1e9, 6),
        "messages_per_second": round(totals.rate),
        "worst_lag_us": None if args.speed is None else round(totals.worst_lag_ns / 1e3, 1),
        "waits": totals.waits,
    }
    left_out = getattr(source, "left_out", None)
    if left_out is not None:
        report["left_out"] = dict(left_out)
    if engine is not None:
        report.update(_of_program(engine))
    if args.json:
        common.print_json(report)
    else:
        for line in _lines(report):
            print(line)


def _of_program(engine: Engine) -> dict[str, Any]:
    counters, feed = engine.counters(), engine.feed
    return {
        "feed": feed.health,
        "expected_seq": feed.expected_seq,
        "counters": {name: value for name, value in counters.items() if value},
        "handled": counters["feed_messages"],
        "untracked": counters["book_untracked"],
        "quarantined": counters["book_quarantines"],
        "gaps": counters["feed_gaps"],
        "itch": {kind: count for kind, count in engine.itch_counts().items() if count},
        "symbols": {view.name: _of_symbol(view) for view in engine.symbols},
    }


def _of_symbol(view: Any) -> dict[str, Any]:
    (depth, health) = (view.depth(1), view.health)
    bid, ask = (next(iter(side), None) for side in (depth.bids, depth.asks))
    return {
        "health": health,
        "bid_e4": bid.price_e4 if bid else 0,
        "bid_qty": bid.qty if bid else 0,
        "ask_e4": ask.price_e4 if ask else 0,
        "ask_qty": ask.qty if ask else 0,
    }


def _lines(report: dict[str, Any]) -> list[str]:
    from turbo_hft.wire.price import format_price_e4

    lag = "" if report["worst_lag_us"] is None else f", at worst {report['worst_lag_us'] / 1e3:.3f} ms late"
    lines = [
        f"{report['file']} to {report['to']}: {report['messages']:,} messages in {report['packets']:,} packets, "
        f"{report['duration_s']:.3f} s for {report['recorded_s']:.3f} s of the recording, "
        f"{report['messages_per_second']:,} messages/s{lag}"
    ]
    lines += [f"  {count:,} datagrams left out: {reason}" for reason, count in report.get("left_out", {}).items()]
    if report["waits"]:
        lines.append(f"  the interface had no room {report['waits']:,} times; nothing was lost by that")
    if "counters" not in report:
        return lines
    lines.append(
        f"  feed {report['feed']}: handled {report['handled']:,}, untracked {report['untracked']:,}, "
        f"quarantined {report['quarantined']:,}, gaps {report['gaps']:,}"
    )
    lines.append("  counters: " + ", ".join(f"{name} {value:,}" for name, value in report["counters"].items()))
    symbols = report["symbols"]
    doubted = [name for name, row in symbols.items() if row["health"].startswith("quarantined")]
    for name in symbols if len(symbols) <= _SHOWN_SYMBOLS else doubted[:_SHOWN_SYMBOLS]:
        row = symbols[name]
        lines.append(
            f"  {name}: {row['health']}, {row['bid_qty']} @ {format_price_e4(row['bid_e4'])} | "
            f"{format_price_e4(row['ask_e4'])} @ {row['ask_qty']}"
        )
    if len(symbols) > _SHOWN_SYMBOLS:
        lines.append(f"  {len(symbols):,} symbols tracked, {len(doubted):,} in quarantine")
    return lines


_SHOWN_SYMBOLS = 10


def _speed(text: str) -> float | None:
    """Type of an option: None is flat out."""
    if text in ("recorded", "max"):
        return 1.0 if text == "recorded" else None
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not 1e-6 <= factor <= 1e9:
        raise argparse.ArgumentTypeError(f"{text!r}: give recorded, max, or a factor such as 10")
    return factor
