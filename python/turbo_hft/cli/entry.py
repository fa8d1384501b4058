"""`turbo-hft`: takes the command line apart and turns errors into one line and an exit code."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import traceback
from collections.abc import Sequence

from turbo_hft.announce import because
from turbo_hft.cli import codes
from turbo_hft.cli.signals import Interrupted
from turbo_hft.errors import ConfigError, LoadError, MalformedMessage, NotRunning, TurboHftError

# Each is a module of `turbo_hft.cli`.
_COMMANDS = (
    *("demo", "lab", "exchange", "run", "config", "dashboard", "serve", "status", "set", "limits"),
    *("halt", "reduce", "resume", "orders", "cancel", "strategies", "strategy", "rearm", "trust", "resync"),
    *("upgrade", "detach", "doctor", "tap", "book", "replay", "bench", "journal", "why", "completion", "version"),
)


def build_parser(only: str | None = None) -> argparse.ArgumentParser:
    """The parser with all commands, or with one: importing all takes a restart several tenths of a second."""
    parser = argparse.ArgumentParser(
        prog="turbo-hft",
        description="A trading engine in an XDP program: ITCH 5.0 in, OUCH out, owned live by Python.",
        epilog=codes.EXPLAINED,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error, and the verifier's log")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in _COMMANDS if only is None else (only,):
        module = importlib.import_module(f"turbo_hft.cli.{name}")
        command = commands.add_parser(
            module.NAME,
            help=module.HELP,
            description=module.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            epilog=getattr(module, "EPILOG", None),
        )
        command.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        module.add_arguments(command)
        command.set_defaults(function=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code (see `codes`). Never raises for what a user or the machine did wrong."""
    try:
        words = sys.argv[1:] if argv is None else list(argv)
        first = next((word for word in words if word != "--debug"), None)
        args = build_parser(first if first in _COMMANDS else None).parse_args(words)
    except SystemExit as end:  # argparse's way to say --help (0) or a usage error (2)
        return end.code if isinstance(end.code, int) else codes.USAGE
    except ImportError as error:
        return _unbuilt(first or "", error)
    try:
        with because(getattr(args, "because", None)):
            return int(args.function(args))
    except (Interrupted, KeyboardInterrupt):
        print("turbo-hft: interrupted", file=sys.stderr)
        return codes.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return codes.FAILURE
    except ImportError as error:
        if args.debug:
            raise
        return _unbuilt(args.command, error)
    except TurboHftError as error:
        if args.debug:
            if isinstance(error, LoadError) and error.verifier_log:
                print(error.verifier_log, file=sys.stderr)
            traceback.print_exc()
        message = " ".join(str(error).split())
        print(f"turbo-hft {args.command}: {message}", file=sys.stderr)
        return _code(error)


def _unbuilt(command: str, error: ImportError) -> int:
    if error.name != "turbo_hft._native":
        raise error
    print(f"turbo-hft {command}: {error}; build the package with make, or install its wheel", file=sys.stderr)
    return codes.FAILURE


def _code(error: TurboHftError) -> int:
    if isinstance(error, NotRunning):
        return codes.NOT_RUNNING
    return codes.USAGE if isinstance(error, (ConfigError, MalformedMessage)) else codes.FAILURE
