"""Record an engine that somebody else runs, until a signal comes: the recorder of `run --journal` alone."""

from __future__ import annotations

import argparse
from pathlib import Path

from turbo_hft.cli.signals import StopFlag
from turbo_hft.engine import Engine
from turbo_hft.journal import Journal, Recorder


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="recorder", description=__doc__)
    parser.add_argument("--interface", required=True)
    parser.add_argument("--pin-root", required=True)
    parser.add_argument("--journal", type=Path, required=True)
    args = parser.parse_args()
    with (
        StopFlag() as stop,
        Engine.adopt(args.interface, pin=args.pin_root) as engine,
        Journal.open(args.journal) as journal,
        Recorder(engine, journal, on_failure="go-on"),
    ):
        print("recording", flush=True)
        while not stop.wait(1.0):
            pass


if __name__ == "__main__":
    main()
