"""Runs pieces of Python that speak of an `engine`, one after the other in one namespace: it trades in a lab of its own.

AAPL and MSFT are tracked, order entry is up, the lease is kept. `python -m docs.with_engine FILE...`
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from e2e_rig import rig
from turbo_hft import Engine, OrderEntry

_PATIENCE_S = 30


def main() -> None:
    """Run the files."""
    with tempfile.TemporaryDirectory() as directory, rig(Path(directory), 77) as lab:
        lab.start_exchange("--rate", "500", "--symbols", "AAPL=163.20,MSFT=402.10")
        session, feed = lab.session(), lab.feed()
        with Engine.open(lab.addresses.device) as engine:
            for name in ("AAPL", "MSFT"):
                engine.symbols.add(name)
            engine.configure(session, feed)
            engine.attach()
            with OrderEntry(engine, session) as entry, engine.lease.keep():
                entry.login()
                engine.resume()
                _wait_for_market(engine)
                known: dict[str, Any] = {"engine": engine, "session": session, "feed": feed, "entry": entry}
                for name in sys.argv[1:]:
                    exec(compile(Path(name).read_text(encoding="utf-8"), name, "exec"), known)


def _wait_for_market(engine: Engine) -> None:
    """Until there is a bid and an offer for each."""
    end = time.monotonic() + _PATIENCE_S
    while not all(
        engine.symbols[name].depth(1).bids and engine.symbols[name].depth(1).asks for name in ("AAPL", "MSFT")
    ):
        if time.monotonic() > end:
            raise SystemExit("no market in the lab: no bid or no offer")
        time.sleep(0.05)


if __name__ == "__main__":
    main()
