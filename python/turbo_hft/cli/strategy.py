"""A strategy of your own in the running engine: check an object, put it in force, look at it, set its parameters.

`check` links and loads it without attaching anything. `swap` puts it in force in the engine on --interface, in place of
the one before, while packets flow; `unload` takes it out again. docs/strategies.md tells how one is written.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turbo_hft.cli import codes, common
from turbo_hft.errors import ConfigError, LoadError

if TYPE_CHECKING:
    from turbo_hft.user_strategy.report import Report

NAME = "strategy"
HELP = "check, swap and steer a strategy of your own"
EPILOG = """\
examples:
  clang -O2 -g -target bpf -mcpu=v3 -I$(turbo-hft strategy header-dir) -c mine.c -o mine.o
  turbo-hft strategy check mine.o
  turbo-hft strategy swap mine.o && turbo-hft strategy set qty=200 'levels[2]=7'"""
_LOG_LINES = 40
_FLAGS = ("-O2", "-g", "-Wall", "-Wextra", "-target", "bpf", "-mcpu=v3")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the commands and their options."""
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    commands.add_parser("header-dir", help="print the directory for clang -I").set_defaults(do=_header_dir)

    build = commands.add_parser("build", help="compile a C file, if clang is here (a convenience for development)")
    build.add_argument("file", type=Path, metavar="FILE.c")
    build.add_argument("-o", dest="output", type=Path, metavar="FILE.o", help="(beside the source)")
    build.set_defaults(do=_build)

    check = commands.add_parser("check", help="link, load and verify an object; nothing is attached")
    check.add_argument("file", type=Path, metavar="FILE.o")
    common.add_json(check, "as one JSON object, the verifier's words included")
    check.set_defaults(do=_check)

    swap = commands.add_parser("swap", help="put an object in force in the running engine")
    swap.add_argument("file", type=Path, metavar="FILE.o")
    swap.add_argument(
        "--fresh-params", action="store_true", help="parameters begin as the object has them, not as they stand now"
    )
    swap.set_defaults(do=_swap)
    unload = commands.add_parser("unload", help="back to none")
    unload.set_defaults(do=_unload)
    show = commands.add_parser("show", help="which one is in force, and its parameters")
    show.set_defaults(do=_show)
    assign = commands.add_parser("set", help="set parameters, live")
    assign.add_argument("values", nargs="+", metavar="NAME=VALUE", help="qty=100, mood=KEEN, levels[2]=7, leg.x=1")
    assign.set_defaults(do=_set)
    for command in (swap, unload, show, assign):
        common.add_interface(command)
        common.add_json(command, "as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Do it."""
    return int(args.do(args))


def _header_dir(args: argparse.Namespace) -> int:
    from turbo_hft.include_dir import include_dir

    print(include_dir())
    return codes.OK


def _build(args: argparse.Namespace) -> int:
    from turbo_hft.include_dir import include_dir

    clang = shutil.which("clang-19") or shutil.which("clang")
    if clang is None:
        raise ConfigError("clang is not here: this is a convenience for development, an engine needs none to run.")
    output = args.output or args.file.with_suffix(".o")
    command = [clang, *_FLAGS, f"-I{include_dir()}", "-c", str(args.file), "-o", str(output)]
    common.say(" ".join(command))
    return codes.FAILURE if subprocess.run(command, check=False).returncode else codes.OK


def _check(args: argparse.Namespace) -> int:
    from turbo_hft.user_strategy import objects
    from turbo_hft.user_strategy.report import report

    user = objects.read(args.file)
    try:
        found = report(user)
    except LoadError as error:
        if args.json:
            common.print_json({"ok": False, "error": str(error), "log": error.verifier_log}, indent=2)
        else:
            common.say("\n".join(error.verifier_log.splitlines()[-_LOG_LINES:]))
        raise
    if args.json:
        common.print_json({"ok": True, **found.as_json()}, indent=2)
    else:
        _print_report(found)
    return codes.OK


def _print_report(found: Report) -> None:
    stack = ", ".join(f"{name} {depth}" for name, depth in found.stack.items())
    print(f"{found.name}: good, {found.size:,} bytes, sha256 {found.sha256[:16]}")
    print(f"  verified  {found.verified_insns:,} instructions, {found.own_insns:,} for it")
    print(f"  loaded    in {found.load_ms:.0f} ms")
    print(f"  program   {found.xlated_bytes:,} bytes translated, {found.jited_bytes:,} compiled by the kernel")
    print(f"  stack     {stack or 'none'}; {found.stack_budget} bytes for all of a chain, each rounded up to 32")
    for name, value in found.params.items():
        print(f"  param     {name} = {value}")


def _swap(args: argparse.Namespace) -> int:
    with common.adopt(args) as engine:
        try:
            engine.load_strategy(args.file, keep_params=not args.fresh_params)
        except LoadError as error:
            common.say("\n".join(error.verifier_log.splitlines()[-_LOG_LINES:]))
            raise
    return _show(args)


def _unload(args: argparse.Namespace) -> int:
    with common.adopt(args) as engine:
        engine.user.unload()
    return _show(args)


def _show(args: argparse.Namespace) -> int:
    from turbo_hft.control.requests import UserStrategy

    return _tell(common.ask(args, UserStrategy()), args)


def _set(args: argparse.Namespace) -> int:
    from turbo_hft.control.requests import SetUserStrategy

    return _tell(common.ask(args, SetUserStrategy(values=tuple(args.values))), args)


def _tell(found: Mapping[str, Any], args: argparse.Namespace) -> int:
    if args.json:
        common.print_json(found)
        return codes.OK
    size, sha256 = found["size"], found["sha256"]
    what = f"{found['name']} ({size:,} bytes, sha256 {sha256[:16]})" if size else "no strategy linked in"
    print(f"{args.interface}: generation {found['generation']}, {what}, since epoch {found['first_epoch']}")
    for name, value in found["params"].items():
        print(f"  {name} = {json.dumps(value)}")
    return codes.OK
