"""What commands share: finding the engine, common options, output."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turbo_hft.errors import CapabilityError, NotRunning

if TYPE_CHECKING:
    from turbo_hft.control.requests import Request
    from turbo_hft.dashboard.desk import Desk
    from turbo_hft.dashboard.socket_desk import SocketDesk
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


# How an engine is reached is decided here, for all commands: whoever may adopt it needs nothing of the process that
# keeps it, which may be stopped, or hang; whoever may not has that process do it, by its control socket.


def ask(args: argparse.Namespace, request: Request) -> dict[str, Any]:
    """Have a request done with the engine on the interface; the answer. Raises what the request raises; NotAllowed,
    which names the group that is missing; CapabilityError where there is neither a right to adopt nor a socket."""
    from turbo_hft.control.client import ControlClient
    from turbo_hft.control.operations import Operations
    from turbo_hft.dashboard.local_desk import LocalDesk

    try:
        with adopt(args) as engine:
            return Operations(engine, LocalDesk(engine))(request)
    except CapabilityError as lacking:
        layout = control_layout(args)
        with _instead(lacking):
            client = ControlClient.reading(layout) if request.role() == "read" else ControlClient(layout, "trade")
        with client:
            return client.ask(request)


class Reached:
    """An engine as faces have it: adopted, or behind a control socket."""

    def __init__(self, layout: ControlLayout, found: Engine | SocketDesk, *, may_trade: bool) -> None:
        self._layout, self._found, self._may_trade = layout, found, may_trade

    @property
    def engine(self) -> Engine | None:
        """None where this user may not adopt it."""
        from turbo_hft.engine import Engine

        return self._found if isinstance(self._found, Engine) else None

    @contextmanager
    def desk(self) -> Iterator[Desk]:
        """Where a process with a control socket keeps it, with what that process knows: every event."""
        from turbo_hft.dashboard.kept_desk import KeptDesk
        from turbo_hft.dashboard.local_desk import LocalDesk
        from turbo_hft.engine import Engine

        if not isinstance(self._found, Engine):
            yield self._found
            return
        with KeptDesk(LocalDesk(self._found, may_trade=self._may_trade), self._behind) as desk:
            yield desk

    def _behind(self) -> SocketDesk | None:
        """The desk of the process that keeps it now. That of an engine of this name in another network namespace is
        none of ours."""
        from turbo_hft.dashboard.socket_desk import SocketDesk

        assert self.engine is not None
        kept_by = self.engine.controller
        if kept_by is None:
            return None
        desk = SocketDesk(self._layout, may_trade=False)
        if desk.pid == kept_by:
            return desk
        desk.close()
        return None


@contextmanager
def reach(args: argparse.Namespace, *, may_trade: bool = True) -> Iterator[Reached]:
    """For faces. Raises as `ask` does."""
    from turbo_hft.dashboard.socket_desk import SocketDesk

    layout = control_layout(args)
    try:
        engine = adopt(args)
    except CapabilityError as lacking:
        with _instead(lacking):
            desk = SocketDesk(layout, may_trade=may_trade)
        with desk:
            yield Reached(layout, desk, may_trade=may_trade)
        return
    with engine:
        yield Reached(layout, engine, may_trade=may_trade)


@contextmanager
def open_desk(args: argparse.Namespace, *, may_trade: bool = True) -> Iterator[Desk]:
    """The desk of an engine, however it is reached. Raises as `ask` does."""
    with reach(args, may_trade=may_trade) as reached, reached.desk() as desk:
        yield desk


@contextmanager
def _instead(lacking: CapabilityError) -> Iterator[None]:
    """Where nobody listens the lacking capability is what is wrong."""
    try:
        yield
    except NotRunning as nobody:
        raise CapabilityError(f"{lacking} Without it: {nobody}") from None


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
