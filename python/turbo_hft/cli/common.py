"""What commands share: finding the engine, common options, output."""

from __future__ import annotations

import argparse
import json
import math
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from turbo_hft.control.reach import Reached
    from turbo_hft.control.requests import Request
    from turbo_hft.engine import Engine
    from turbo_hft.layout import ControlLayout

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
    parser.add_argument(
        "--control-root", type=Path, metavar="DIR", help="where its control sockets are (default /run/turbo-hft)"
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


def control_layout(args: argparse.Namespace) -> ControlLayout:
    """Where the control sockets of that engine would be. Raises ConfigError."""
    from turbo_hft.layout import DEFAULT_CONTROL_ROOT, ControlLayout

    return ControlLayout(args.control_root or DEFAULT_CONTROL_ROOT, args.interface)


def ask(args: argparse.Namespace, request: Request) -> dict[str, Any]:
    """Have a request done with the engine on the interface; the answer. Raises as `turbo_hft.control.reach.do`."""
    from turbo_hft.control import reach

    return reach.do(request, lambda: adopt(args), control_layout(args))


def reached(args: argparse.Namespace, *, may_trade: bool = True) -> Reached:
    """The engine, for a face. Raises as `turbo_hft.control.reach.reach`."""
    from turbo_hft.control import reach

    return reach.reach(lambda: adopt(args), control_layout(args), may_trade=may_trade)


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


def cpu(text: str) -> int:
    """Type of an option: the number of a CPU, from 0 on."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r}: give the number of a CPU, 0 or more")
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
    """Talk, for people: standard error. Nothing fails because nobody listens any more."""
    with suppress(OSError):
        print(line, file=sys.stderr, flush=True)
