"""Check a configuration, hold it against the running engine, change the engine to it, or show the engine as one.

docs/config.md has every key. A value that the file does not name stays as it is in the engine.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from turbo_hft.cli import codes, common
from turbo_hft.errors import ConfigError

if TYPE_CHECKING:
    from turbo_hft.config.schema import Config

NAME = "config"
HELP = "check, compare, apply and show configurations"
EPILOG = """\
exit codes of `diff`: 0 nothing differs, 1 something does, and as for all commands

examples:
  turbo-hft config check engine.toml
  turbo-hft config diff engine.toml
  turbo-hft config apply engine.toml
  turbo-hft config show > engine.toml"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    check = actions.add_parser("check", help="is the file right? No engine is needed")
    diff = actions.add_parser("diff", help="what differs from the running engine")
    apply = actions.add_parser("apply", help="change the running engine to it, all at once or not at all")
    for action in (check, diff, apply):
        action.add_argument("file", type=Path, metavar="FILE")
    for action, do in ((check, _check), (diff, _diff), (apply, _apply)):
        common.add_json(action, "as one JSON value")
        action.set_defaults(do=do)
    for action in (diff, apply):
        action.add_argument("--interface", metavar="NAME", help="of the engine (default: that of the file)")
        action.add_argument("--pin-root", type=Path, metavar="DIR", help="where it is pinned (default: as in the file)")
    common.add_because(apply)
    show = actions.add_parser("show", help="the running engine as a configuration")
    common.add_interface(show)
    show.set_defaults(do=_show)


def run(args: argparse.Namespace) -> int:
    """Do it."""
    return int(args.do(args))


def _read(args: argparse.Namespace) -> Config:
    from turbo_hft.config.read import read

    config = read(args.file)
    if getattr(args, "interface", "") is None:
        args.interface = config.engine.interface
    if getattr(args, "pin_root", "") is None:
        args.pin_root = config.engine.pin_root
    return config


def _check(args: argparse.Namespace) -> int:
    config = _read(args)
    if args.json:
        common.print_json({"ok": True, "interface": config.engine.interface, "symbols": list(config.symbols)})
    else:
        print(f"{args.file}: good, {len(config.symbols)} symbols on {config.engine.interface}")
    return codes.OK


def _diff(args: argparse.Namespace) -> int:
    from turbo_hft.config.running import differences

    config = _read(args)
    with common.adopt(args) as engine:
        found = differences(engine, config)
    if args.json:
        common.print_json([asdict(one) for one in found], indent=2)
    else:
        for one in found:
            print(one.line())
    return codes.FAILURE if found else codes.OK


def _apply(args: argparse.Namespace) -> int:
    from turbo_hft.config.running import apply_file

    _read(args)
    with common.adopt(args) as engine:
        changed, epoch = apply_file(engine, args.file)[1], engine.epoch
    if args.json:
        common.print_json({"changed": [asdict(one) for one in changed], "epoch": epoch}, indent=2)
        return codes.OK
    for one in changed:
        print(one.line())
    print(f"epoch {epoch}" if changed else "nothing differs")
    return codes.OK


def _show(args: argparse.Namespace) -> int:
    from turbo_hft.config.running import as_toml

    with common.adopt(args) as engine:
        if engine.interface is None:
            raise ConfigError("this engine is on no interface.")
        print(as_toml(engine), end="")
    return codes.OK
