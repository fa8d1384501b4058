"""Take a pinned engine off its interface, and its pins away; with --stale all that nobody can use or runs any more.

Positions, books and counters are gone with the pins; the exchange keeps its side. Refused while a process runs the
engine. With working orders (`turbo-hft halt --cancel` takes them down), or where nobody can tell from here whether it
has some or is run (another network namespace, another version's), --force has to say so.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from turbo_hft.cli import codes, common
from turbo_hft.errors import ConfigError, NotRunning

if TYPE_CHECKING:
    from turbo_hft.engine import Engine
    from turbo_hft.engines import EngineFound

NAME = "detach"
HELP = "take a pinned engine away"
EPILOG = """\
examples:
  turbo-hft detach --interface eth1
  turbo-hft detach --stale --yes"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    common.add_interface(parser)
    parser.add_argument(
        "--stale", action="store_true", help="every one whose interface is gone, that is half-made, or that nobody runs"
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument(
        "--journal", type=Path, metavar="DIR", help="its journal: what happened since it was left is recorded, and this"
    )
    common.add_because(parser)
    parser.add_argument("--force", action="store_true", help="with working orders too, known or not")
    common.add_json(parser, "what was taken away, as a list of JSON objects")


def run(args: argparse.Namespace) -> int:
    """Do it."""
    from turbo_hft.engines import engines
    from turbo_hft.layout import DEFAULT_ROOT

    root = args.pin_root or DEFAULT_ROOT
    pinned = [one for one in engines(root) if one.pinned]
    if args.stale:
        chosen = [one for one in pinned if one.stale or (one.state and not one.controller)]
    else:
        chosen = [one for one in pinned if one.interface == args.interface]
        if not chosen:
            raise NotRunning(f"no engine of {args.interface} is pinned below {root}.")
    for one in chosen:
        _check(one, force=args.force)
    for one in chosen:
        common.say(one.line())
    if chosen and not args.yes and not _agreed(len(chosen)):
        raise ConfigError("nothing was taken away: --yes, or y at the terminal, says that it shall be")
    for one in chosen:
        _take_away(one, root, args.journal, force=args.force)
    if args.json:
        common.print_json([asdict(one) for one in chosen], indent=2)
    else:
        for one in chosen:
            print(f"{one.interface}: taken away")
        if not chosen:
            print("nothing is stale")
    return codes.OK


def _check(one: EngineFound, *, force: bool) -> None:
    if one.controller:
        raise ConfigError(f"process {one.controller} runs the engine on {one.interface}: end that process first")
    if not force and (one.open_orders is None or not (one.state or one.stale)):
        raise ConfigError(
            f"whether the engine of {one.interface} is run, or has working orders, cannot be told from here "
            f"({one.problem}): look there first, or say --force"
        )
    if one.open_orders and not force:
        raise ConfigError(
            f"the engine on {one.interface} has {one.open_orders} working orders: take them down first "
            f"(`turbo-hft halt --cancel --interface {one.interface}`), or say --force"
        )


def _agreed(count: int) -> bool:
    if not sys.stdin.isatty():
        return False
    common.say(f"take {'it' if count == 1 else f'these {count}'} away, with positions, books and counters? [y/N] ")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _take_away(one: EngineFound, root: object, journal: Path | None, *, force: bool) -> None:
    from turbo_hft import abi
    from turbo_hft.control_lock import StartLock
    from turbo_hft.engine import Engine
    from turbo_hft.layout import Layout
    from turbo_hft.pins import Pins

    pins = Pins(str(root), one.interface)
    if one.abi != abi.VERSION:
        pins.layout = Layout(pins.layout.root, one.abi, one.interface)
    if one.state:
        with Engine.adopt(one.interface, pin=pins.layout.root) as engine:
            engine.take_over()  # nobody begins to run it from here on; somebody may have, while a person was asked
            _check(replace(one, controller=None, open_orders=len(engine.orders.open())), force=force)
            with _recorded(engine, journal):
                engine.halt()
                engine.detach()
    else:
        starting = StartLock(pins)  # or a process could be about to use the directory
        try:
            pins.remove()
        finally:
            starting.close()


@contextmanager
def _recorded(engine: Engine, directory: Path | None) -> Iterator[None]:
    """What the ring still has goes into the journal, and that the engine ended."""
    from turbo_hft.journal import Journal, Recorder

    if directory is None:
        yield
        return
    with Journal.open(directory) as journal, Recorder(engine, journal):
        yield
