"""A process that trades on a delegated connection until it is killed: `python -m wire_victim` (tests/wire_crash.py)."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from turbo_hft import netns
from turbo_hft.engine import Engine
from turbo_hft.lab import LabAddresses
from wire_builds import opened
from wire_cancels import canceled, hold, live_order
from wire_rig import WireRig, feed_socket, wait_for


def main() -> None:
    """Says "armed" when it begins."""
    parser = argparse.ArgumentParser()
    parser.add_argument("addresses", help="of the lab, as JSON")
    parser.add_argument("port", type=int, help="of the peer")
    parser.add_argument("--poll-s", type=float, default=0.0)
    parser.add_argument("--library", type=Path, help="another build of what runs in user space")
    parser.add_argument("--orders", type=int, default=1_000_000)
    parser.add_argument("--cancels", action="store_true", help="cancel each order while user space has the wire")
    args = parser.parse_args()
    at = LabAddresses(**json.loads(args.addresses))
    native = None if args.library is None else opened(args.library)
    feed = netns.run_in(at.namespace, lambda: feed_socket(at))
    with Engine.open(at.device, transport="soupbintcp") as engine:
        rig = WireRig(at, engine, at.namespace, (at.exchange_address, args.port), feed)
        rig.open(poll_s=args.poll_s, native=native)
        rig.connection.arm()
        print("armed", flush=True)
        for _ in range(args.orders if args.cancels else 0):
            ref = live_order(rig)
            with hold(rig):
                rig.engine.orders.cancel(ref)
            wait_for(lambda: len(set(engine.cancels_handed())) == 1, "the cancel does not leave")
            canceled(rig, ref)
            rig.hear()
        for number in range(args.orders):
            rig.fire(answer=False)
            rig.hear()
            if number % 7 == 0 and args.poll_s < 0.1:  # otherwise it would wait for the merge
                rig.send()


if __name__ == "__main__":
    main()
