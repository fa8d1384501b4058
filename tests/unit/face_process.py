"""A process that shows an engine that is none, on the terminal that it is given; what it does is its first argument.

It says on its standard output, which is no terminal of ours, what state the engine is in at the end.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import termios
import time
from typing import TextIO, cast

from turbo_hft.cli.signals import StopFlag
from turbo_hft.dashboard.local_desk import LocalDesk
from turbo_hft.dashboard.show import show
from turbo_hft.engine import Engine
from unit.fakes import FakeEngine

END_S = 1.5


def main(what: str, out: TextIO) -> None:
    """Show it until something ends it."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    engine, begun = FakeEngine(), time.monotonic()
    desk = LocalDesk(cast(Engine, engine), reads_events=True)
    turns = 0

    def turn() -> None:
        nonlocal turns
        turns += 1
        if what == "raise" and time.monotonic() > begun + END_S:
            raise RuntimeError("the loop of the engine ended")

    def alive() -> bool:
        return what != "end" or time.monotonic() < begun + END_S

    before = signal.getsignal(signal.SIGTSTP)
    with StopFlag() as stop:
        try:
            show(desk, turn=turn, wait=stop.wait, alive=alive)
        except RuntimeError as error:
            print(f"raised: {error}", file=out)
        assert signal.getsignal(signal.SIGTSTP) is before
        print(f"{engine.state} signal {stop.number} turns {turns} colour {os.environ.get('NO_COLOR')}", file=out)


if __name__ == "__main__":
    with os.fdopen(int(sys.argv[2]), "w") as said:
        main(sys.argv[1], said)
