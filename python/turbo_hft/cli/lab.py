"""Raise the lab, a network namespace for the exchange with a wire to it, or take it down.

Both can be repeated at will. `down` leaves nothing behind.
"""

from __future__ import annotations

import argparse

from turbo_hft.cli import codes, common

NAME = "lab"
HELP = "raise the exchange's namespace and the wire to it, or take them down"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("action", choices=("up", "down", "status"))
    add_names(parser)
    common.add_json(parser, "the lab's names and addresses as one JSON object")


def add_names(parser: argparse.ArgumentParser) -> None:
    """`--namespace` and so on, for more than one lab at a time."""
    from turbo_hft import lab

    names = parser.add_argument_group("names of the lab, for a second one beside the first")
    names.add_argument("--namespace", default=lab.NAMESPACE, help="default %(default)s")
    names.add_argument("--device", default=lab.DEVICE, help="the engine's end of the wire (default %(default)s)")
    names.add_argument("--peer", default=lab.PEER, help="the exchange's end (default %(default)s)")
    names.add_argument("--subnet", default=lab.SUBNET, help="default %(default)s")


def run(args: argparse.Namespace) -> int:
    """Do it, and say what stands now."""
    from dataclasses import asdict

    from turbo_hft.lab import Lab

    lab = Lab(args.namespace, args.device, args.peer, args.subnet)
    if args.action == "up":
        lab.up()
    elif args.action == "down":
        lab.down()
    is_up = lab.is_up()
    a = lab.addresses
    if args.json:
        common.print_json({"up": is_up, **asdict(a)})
    elif is_up:
        print(f"lab up: {a.device} {a.host_address} to {a.peer} {a.exchange_address} in {a.namespace}")
    else:
        print("lab down")
    if args.action == "status" and not is_up:
        return codes.NOT_RUNNING
    return codes.OK
