"""Explain one decision out of the journal: why an order left, why one was refused, or why a tick was not answered.

SEQ is a sequence of the feed. What no record can tell is said to be unknown.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from turbo_hft.cli import codes, common
from turbo_hft.errors import ConfigError

NAME = "why"
HELP = "explain an order, a refusal, or a tick that was not answered"
EPILOG = """\
examples:
  turbo-hft why 48213 --journal DIR           the message of that sequence
  turbo-hft why --order 17 --journal DIR      from the tick to the last reply
  turbo-hft why --event 512 --journal DIR --json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("sequence", nargs="?", type=common.count, metavar="SEQ", help="sequence of the feed")
    parser.add_argument("--order", type=common.count, metavar="REF", help="an order, by its UserRefNum")
    parser.add_argument("--event", type=common.count, metavar="ID", help="an event, by its id")
    parser.add_argument("--run", type=common.count, metavar="N", help="of that recording (default: the newest with it)")
    parser.add_argument("--journal", type=Path, required=True, metavar="DIR", help="what `run --journal` was given")
    common.add_json(parser, "the explanation as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Explain."""
    from turbo_hft.journal import JournalReader
    from turbo_hft.journal.why import explain_event, explain_order, explain_sequence, lines

    ways = {"sequence": explain_sequence, "order": explain_order, "event": explain_event}
    asked = {name: getattr(args, name) for name in ways if getattr(args, name) is not None}
    if len(asked) != 1:
        raise ConfigError("give one of SEQ, --order REF and --event ID")
    ((name, number),) = asked.items()
    found = ways[name](JournalReader(args.journal), number, args.run)
    if args.json:
        common.print_json(found, indent=2)
    else:
        for line in lines(found):
            print(line)
    return codes.OK
