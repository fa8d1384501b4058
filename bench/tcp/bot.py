"""The bot of the race: the hook's own code in user space, behind recv() and send() that spin. A process of its own."""

from __future__ import annotations

import argparse
import json
import os
import socket
from dataclasses import replace

from turbo_hft.addresses import OrderSession
from turbo_hft.delegated import connect
from turbo_hft.engine import Engine
from turbo_hft.lab import LabAddresses
from turbo_hft.latency._peers import lib
from turbo_hft.latency.pipeline import Pipeline
from turbo_hft.latency.threshold import Threshold
from turbo_hft.latency.work import Work, configure, session_of
from turbo_hft.wire import ufo

_BUFFER_BYTES = 1 << 24


def _feed(at: LabAddresses) -> socket.socket:
    feed = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    feed.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
    feed.bind((at.feed_group, at.feed_port))
    membership = socket.inet_aton(at.feed_group) + socket.inet_aton(at.host_address)
    feed.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
    return feed


def main() -> None:
    """Says "ready" when it listens; ends with the feed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("addresses", help="of the lab, as JSON")
    parser.add_argument("port", type=int, help="of the peer")
    parser.add_argument("cpu", type=int)
    args = parser.parse_args()
    at = LabAddresses(**json.loads(args.addresses))
    with Engine.load(clock="feed") as engine:
        configure(engine, at, Work((Threshold(),)))
        engine.lease.forever()
        engine.resume()
        pipeline = Pipeline.take_over(engine)
    pipeline.reply(ufo.LoginAccepted("RACE000001", 1).encode())
    pipeline.session_up()
    lib.hft_pipeline_use_sockets()
    with _feed(at) as feed, connect(_session(at, args.port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
        os.sched_setaffinity(0, {args.cpu})
        print("ready", flush=True)
        lib.hft_peer_busy_tcp(feed.fileno(), sock.fileno())


def _session(at: LabAddresses, port: int) -> OrderSession:
    """To the peer of this race."""
    remote = (at.exchange_address, port)
    return replace(session_of(at), local=(at.host_address, 0), remote=remote, transport="soupbintcp")


if __name__ == "__main__":
    main()
