"""Look at the machine, and at an interface, and say what keeps an engine from running well, with the remedy.

Nothing is changed: a program is loaded to see whether it can be, and forgotten; nothing is attached.
"""

from __future__ import annotations

import argparse

from turbo_hft.cli import codes, common

NAME = "doctor"
HELP = "is this machine fit for an engine, and if not what to do"
EPILOG = """\
exit codes: 0 nothing is bad (something may be worth a warning), 1 something is, and as for all commands"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--interface", metavar="NAME", help="look at this interface too")
    common.add_json(parser, "a list of JSON objects")


def run(args: argparse.Namespace) -> int:
    """Look."""
    from turbo_hft.doctor import Level, Machine, interface_findings, machine_findings

    machine = Machine()
    found = machine_findings(machine)
    if args.interface is not None:
        found += interface_findings(machine, args.interface)
    if args.json:
        common.print_json([one.as_dict() for one in found], indent=2)
    else:
        for one in found:
            print(one.line())
    return codes.FAILURE if any(one.level is Level.BAD for one in found) else codes.OK
