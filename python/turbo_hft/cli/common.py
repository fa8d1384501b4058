"""What commands share: finding the engine, common options, output."""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from turbo_hft.engine import Engine

DEFAULT_INTERFACE = "veth_hft"


def add_interface(parser: argparse.ArgumentParser) -> None:
    """`--interface`."""
    parser.add_argument(
        "--interface", default=DEFAULT_INTERFACE, metavar="NAME", help="interface of the engine (default %(default)s)"
    )
    parser.add_argument(
        "--pin-root",
        type=Path,
        metavar="DIR",
        help="where the engine is pinned (default /sys/fs/bpf/turbo_hft, if it is pinned there)",
    )


def add_json(parser: argparse.ArgumentParser, what: str) -> None:
    """`--json`."""
    parser.add_argument("--json", action="store_true", help=what)


def add_because(parser: argparse.ArgumentParser) -> None:
    """`--because`."""
    parser.add_argument("--because", metavar="TEXT", help="why, for the journal of the engine's recorder")


def adopt(args: argparse.Namespace) -> Engine:
    """The engine that runs on an interface, whoever started it. Raises NotRunning, AbiMismatch."""
    from turbo_hft.engine import Engine

    return Engine.adopt(args.interface, pin=args.pin_root)


def seconds(text: str) -> float:
    """Type of an option: a positive number of seconds."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r}: give a number of seconds above 0")
    return value


def count(text: str) -> int:
    """Type of an option: a whole number, 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: give a whole number, 1 or more")
    return int(text)


def port(text: str) -> int:
    """Type of an option: a UDP port."""
    if not text.isdecimal() or not 0 < int(text) <= 65_535:
        raise argparse.ArgumentTypeError(f"{text!r}: the port is 1 to 65535")
    return int(text)


def print_json(value: object, *, indent: int | None = None) -> None:
    """One JSON value on standard output."""
    print(json.dumps(value, indent=indent, default=str), flush=True)


def say(line: str) -> None:
    """Talk, for people: standard error."""
    print(line, file=sys.stderr, flush=True)
