"""A trader in user space in a race on a TCP connection (`turbo_hft.latency.race`), as a process of its own.

    python -m turbo_hft.latency.tcp_peer busy ADDRESSES-AS-JSON PORT --cpu 1

`busy`: the hook's own code behind recv() and send() that spin. `python`: the bot of `turbo_hft.latency.bot`, asleep in
recv() until a packet comes. It says "ready" when it listens, and ends with the feed.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import signal
import socket

from turbo_hft.delegated import connect
from turbo_hft.engine import Engine
from turbo_hft.lab import LabAddresses
from turbo_hft.latency.bot import TcpBot
from turbo_hft.latency.race import SESSION, session
from turbo_hft.latency.threshold import Threshold
from turbo_hft.latency.work import Work, configure
from turbo_hft.wire import ufo

_PR_SET_PDEATHSIG = 1
_BUFFER_BYTES = 1 << 24
_WORK = Work((Threshold(),))


def _feed(at: LabAddresses) -> socket.socket:
    feed = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    feed.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
    feed.bind((at.feed_group, at.feed_port))
    membership = socket.inet_aton(at.feed_group) + socket.inet_aton(at.host_address)
    feed.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
    return feed


def _python(feed: socket.socket, entry: socket.socket) -> None:
    bot = TcpBot(feed, entry, _WORK)
    _ready()
    bot.run()


def _busy(at: LabAddresses, feed: socket.socket, entry: socket.socket) -> None:
    from turbo_hft.latency._peers import lib
    from turbo_hft.latency.pipeline import Pipeline

    with Engine.load(clock="feed") as engine:
        configure(engine, at, _WORK)
        engine.lease.forever()
        engine.resume()
        pipeline = Pipeline.take_over(engine)
    pipeline.reply(ufo.LoginAccepted(SESSION, 1).encode())
    pipeline.session_up()
    lib.hft_pipeline_use_sockets()
    _ready()
    lib.hft_peer_busy_tcp(feed.fileno(), entry.fileno())


def _ready() -> None:
    print("ready", flush=True)


def main() -> None:
    """Race."""
    parser = argparse.ArgumentParser(prog="python -m turbo_hft.latency.tcp_peer", description=__doc__)
    parser.add_argument("method", choices=("busy", "python"))
    parser.add_argument("addresses", type=json.loads, help="of the lab, as JSON")
    parser.add_argument("port", type=int, help="of the peer")
    parser.add_argument("--cpu", type=int, help="run on this CPU only")
    args = parser.parse_args()
    # A C loop sees no Python signal handler; and nobody is left to end one whose parent died.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    at = LabAddresses(**args.addresses)
    if args.cpu is not None:
        os.sched_setaffinity(0, {args.cpu})
    with _feed(at) as feed, connect(session(at, (at.exchange_address, args.port))) as entry:
        entry.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        entry.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
        if args.method == "busy":
            _busy(at, feed, entry)
        else:
            _python(feed, entry)


if __name__ == "__main__":
    main()
