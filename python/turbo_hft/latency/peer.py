"""One user-space responder, as a process: it logs in, says that it is ready, trades until the feed ends, and tells.

    python -m turbo_hft.latency.peer busy --device veth_hft --addresses JSON --work JSON --cpu 1

On stdout a line `ready`, and at the end one of JSON: packets and messages of the feed that were handled, orders, gaps,
packets lost before anybody could handle them (null: nobody counts them), and a note for a report.
`turbo_hft.latency.peers` says what there is and starts them.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass

from turbo_hft.engine import Engine
from turbo_hft.errors import ExchangeError, TurboHftError
from turbo_hft.lab import LabAddresses
from turbo_hft.latency import dpdk
from turbo_hft.latency._peers import ffi, lib
from turbo_hft.latency.bot import Bot
from turbo_hft.latency.pipeline import Pipeline
from turbo_hft.latency.sockets import PeerSockets
from turbo_hft.latency.work import Work, configure

_PR_SET_PDEATHSIG = 1
_BUSY_POLL_US = 1_000_000


@dataclass(frozen=True, slots=True)
class Place:
    """Where a peer lives: its sockets, logged in, and the device that they are on."""

    addresses: LabAddresses
    device: str
    sockets: PeerSockets
    pipeline: Pipeline
    cpu: int | None


def _ready() -> None:
    print("ready", flush=True)


def _on_sockets(loop: Callable[[int, int], int]) -> Callable[[Place], int | None]:
    def run(place: Place) -> int | None:
        lib.hft_pipeline_use_sockets()
        _ready()
        _check(loop(place.sockets.feed.fileno(), place.sockets.entry.fileno()))
        return place.sockets.lost()

    return run


def _busy_poll(place: Place) -> int | None:
    place.sockets.busy_poll(_BUSY_POLL_US)
    return _on_sockets(lib.hft_peer_busy_poll)(place)


def _address_be(address: str) -> int:
    return int.from_bytes(socket.inet_aton(address), sys.byteorder)


def _xsk(*, generic: bool) -> Callable[[Place], int | None]:
    def run(place: Place) -> int | None:
        a, where = place.addresses, ffi.new("struct hft_xsk_place *")
        where.ifindex, where.generic = socket.if_nametoindex(place.device), generic
        where.feed_addr_be, where.feed_port_be = _address_be(a.feed_group), socket.htons(a.feed_port)
        where.entry_addr_be, where.entry_port_be = _address_be(a.host_address), socket.htons(a.engine_port)
        error = ffi.new("int *")
        xsk = lib.hft_xsk_open(where, error)
        if xsk == ffi.NULL:
            raise ExchangeError(f"no AF_XDP socket on {place.device}: {os.strerror(-error[0])}")
        try:
            _ready()
            lib.hft_xsk_run(xsk)
            return max(0, int(lib.hft_xsk_lost(xsk)))
        finally:
            lib.hft_xsk_close(xsk)

    return run


def _check(error: int) -> None:
    if error:
        raise ExchangeError(f"the peer's loop stopped: {os.strerror(-error)}; is the rig still up?")


def _dpdk(driver: str) -> Callable[[Place], int | None]:
    def run(place: Place) -> int | None:
        # The other program takes this process over, sockets included: they keep the stack from answering for us.
        dpdk.replace_process(driver, place.device, place.pipeline, place.cpu, place.sockets)
        raise AssertionError("it never comes back")

    return run


METHODS: dict[str, Callable[[Place], int | None]] = {
    "blocking": _on_sockets(lib.hft_peer_blocking),
    "busy": _on_sockets(lib.hft_peer_busy),
    "busy-poll": _busy_poll,
    "recvmmsg": _on_sockets(lib.hft_peer_recvmmsg),
    "io_uring": _on_sockets(lib.hft_peer_uring),
    "af_xdp": _xsk(generic=False),
    "af_xdp-skb": _xsk(generic=True),
    **{name: _dpdk(driver) for name, driver in dpdk.DRIVERS.items()},
}
"""Those with the hook's own pipeline, by name: they return how many packets were lost, None = nobody counts them."""

BOTS = {"python": False, "python-busy": True}
"""Those in Python: whether they spin."""


def load(addresses: LabAddresses, work: Work, sockets: PeerSockets) -> Pipeline:
    """An engine of that work, configured and armed, in this process's memory and logged in. Raises as Engine does."""
    with Engine.load(clock="feed") as engine:
        configure(engine, addresses, work)
        engine.lease.forever()
        engine.resume()
        pipeline = Pipeline.take_over(engine)
    pipeline.start_user_refs_at(sockets.login(pipeline.reply))
    pipeline.session_up()
    return pipeline


def _run(method: str, device: str, addresses: LabAddresses, work: Work, cpu: int | None) -> dict[str, int | str | None]:
    with PeerSockets(addresses) as sockets:
        if method in BOTS:
            bot = Bot(sockets.feed, sockets.entry, work)
            bot.login(sockets)
            _ready()
            bot.run(busy=BOTS[method])
            return {**bot.counts(), "lost": sockets.lost()}
        pipeline, note = load(addresses, work, sockets), ""
        lost = METHODS[method](Place(addresses, device, sockets, pipeline, cpu))
        counts = pipeline.counts()
        if method == "busy-poll" and not sockets.napi_seen():
            note = f"{device} has no NAPI to poll, so this slept as recv() does: on veth, ethtool -K {device} gro on"
        return {
            "packets": counts.packets,
            "messages": counts.messages,
            "orders": counts.orders,
            "gaps": counts.gaps,
            "lost": lost,
            "note": note,
        }


def main(arguments: list[str] | None = None) -> int:
    """Run one. Exit status 0, 1 for an error, 2 for wrong arguments."""
    parser = argparse.ArgumentParser(prog="python -m turbo_hft.latency.peer", description=__doc__)
    parser.add_argument("method", choices=(*METHODS, *BOTS))
    parser.add_argument("--device", required=True, help="the host's end of the rig")
    parser.add_argument("--addresses", required=True, type=json.loads, help="LabAddresses, as JSON")
    parser.add_argument("--work", required=True, help="Work, as JSON")
    parser.add_argument("--cpu", type=int, help="run on this CPU only")
    options = parser.parse_args(arguments)
    # A C loop sees no Python signal handler; and nobody is left to end one whose parent died.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if options.cpu is not None:
        os.sched_setaffinity(0, {options.cpu})
    try:
        addresses, work = LabAddresses(**options.addresses), Work.from_json(options.work)
        found = _run(options.method, options.device, addresses, work, options.cpu)
    except TurboHftError as error:
        print(f"peer {options.method}: {error}", file=sys.stderr)
        return 1
    print(json.dumps(found), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
