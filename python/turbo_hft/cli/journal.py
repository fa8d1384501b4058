"""Look into what `turbo-hft run --journal DIR` recorded: is it whole, what is in it, as a table.

`verify` looks at every byte and names the file, the byte and the record of each damage. `export` writes Parquet
(events) or JSON lines (everything). `tail` shows the newest records, -f those to come. `info` says what is there.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from turbo_hft.cli import codes, common
from turbo_hft.cli.signals import StopFlag

if TYPE_CHECKING:
    from turbo_hft.journal import Record
    from turbo_hft.journal.export import Selection

NAME = "journal"
HELP = "verify, export and read what was recorded"
EPILOG = """\
exit codes of verify: 0 whole; 1 damaged, cut off, or not closed by a writer that has gone; 2 usage.

times are UTC: 2026-01-31T14:30, with or without seconds, or ns since 1970.

examples:
  turbo-hft journal verify DIR
  turbo-hft journal export DIR --to orders.parquet --kind order --kind executed --symbol AAPL
  turbo-hft journal tail DIR -f --json"""
_LAST = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the commands."""
    commands = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    verify = commands.add_parser("verify", help="look at every byte", description="Look at every byte.")
    verify.add_argument("--tail", metavar="HASH", help="that `journal info` told before: nothing up to there is new")
    info = commands.add_parser("info", help="what is there", description="What is there, without checking all of it.")
    export = commands.add_parser("export", help="as a table", description="As Parquet (events) or JSON lines (all).")
    export.add_argument("--to", required=True, metavar="FILE", help="ends in .parquet or .jsonl")
    tail = commands.add_parser("tail", help="the newest records", description="The newest records.")
    tail.add_argument("-f", "--follow", action="store_true", help="and those to come, until the recording ends")
    tail.add_argument("-n", "--lines", type=common.count, default=_LAST, metavar="N", help="default %(default)s")
    for command in (verify, info, export, tail):
        command.add_argument("directory", metavar="DIR", type=Path)
        common.add_json(command, "as JSON" + (", one record a line" if command is tail else ""))
        command.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    for command in (export, tail):
        command.add_argument("--from", dest="since", type=_moment, default=0, metavar="TIME", help="from then on")
        command.add_argument("--until", type=_moment, metavar="TIME", help="before then")
        command.add_argument("--kind", action="append", default=[], help="of event or note; may be given several times")
        command.add_argument("--symbol", action="append", default=[], help="may be given several times")


def run(args: argparse.Namespace) -> int:
    """Do it."""
    return {"verify": _verify, "info": _info, "export": _export, "tail": _tail}[args.what](args)


def _verify(args: argparse.Namespace) -> int:
    from turbo_hft.journal import verify

    verdict = verify(args.directory, tail=args.tail)
    if args.json:
        common.print_json(verdict.as_dict())
    else:
        for damage in verdict.damage:
            print(damage.line())
        state = "being written" if verdict.live else "closed" if verdict.closed else "not closed"
        print(
            f"{'whole' if verdict.whole else 'DAMAGED'}, {state}: {verdict.segments} segments, {verdict.records:,} "
            f"records, {verdict.events:,} events, {verdict.twice:,} of them twice, {verdict.lost:,} lost before they "
            f"were recorded, tail {verdict.tail}"
        )
    return codes.OK if verdict.whole else codes.FAILURE


def _info(args: argparse.Namespace) -> int:
    from turbo_hft.journal import JournalReader
    from turbo_hft.journal.writer import being_written

    reader = JournalReader(args.directory)
    segments = list(reader.segments())
    notes, events, tail, last = 0, 0, "", 0
    for frame in reader.frames():
        events += frame.count if frame.kind == 1 else 0
        notes += frame.kind != 1
        tail, last = frame.hash.hex(), frame.utc_ns
    found = {
        "directory": str(args.directory),
        "segments": len(segments),
        "bytes": sum(segment.path.stat().st_size for segment in segments),
        "abi_versions": sorted({segment.header.abi_version for segment in segments}),
        "begun": _text(segments[0].header.utc_ns) if segments else None,
        "newest": _text(last) if last else None,
        "events": events,
        "notes": notes,
        "being_written": being_written(args.directory),
        "torn_bytes": reader.torn_bytes,
        "tail": tail,
    }
    if args.json:
        common.print_json(found)
    else:
        for key, value in found.items():
            print(f"{key:<14} {value}")
    return codes.OK


def _export(args: argparse.Namespace) -> int:
    from turbo_hft.journal import JournalReader
    from turbo_hft.journal.export import export

    file = Path(args.to)
    rows = export(JournalReader(args.directory), file, _selection(args))
    if args.json:
        common.print_json({"file": str(file), "rows": rows})
    else:
        common.say(f"{rows:,} rows in {file}")
    return codes.OK


def _tail(args: argparse.Namespace) -> int:
    from collections import deque

    from turbo_hft.journal import JournalReader
    from turbo_hft.journal.export import chosen, matches

    reader, selection = JournalReader(args.directory), _selection(args)
    newest = deque(chosen(reader, selection), maxlen=args.lines)
    for record in newest:
        _show(record, as_json=args.json)
    if not args.follow:
        return codes.OK
    last = newest[-1].number if newest else 0
    with StopFlag() as stop:
        for record in reader.follow(stop.wait):
            if record.number > last and matches(record, selection):
                _show(record, as_json=args.json)
        return codes.INTERRUPTED if stop.number else codes.OK


def _selection(args: argparse.Namespace) -> Selection:
    from turbo_hft.journal.export import Selection

    return Selection(args.since, args.until, frozenset(args.kind), frozenset(args.symbol))


def _show(record: Record, *, as_json: bool) -> None:
    from turbo_hft.dashboard import text
    from turbo_hft.dashboard.collector import event_row
    from turbo_hft.journal import EventRecord
    from turbo_hft.journal.export import as_dict
    from turbo_hft.journal.words import note_line

    if as_json:
        common.print_json(as_dict(record))
    elif isinstance(record, EventRecord):
        print(f"{record.number} {text.event(event_row(record.event))}", flush=True)
    else:
        print(f"{record.number} {_text(record.utc_ns)} {note_line(record)}", flush=True)


def _text(utc_ns: int) -> str:
    seconds, rest = divmod(utc_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def _moment(text: str) -> int:
    if text.isdecimal() and len(text) > 12:
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: give a UTC time such as 2026-01-31T14:30:00") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1000
