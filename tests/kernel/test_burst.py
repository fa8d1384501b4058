"""The opening's fastest 100 ms on a real wire: a veth pair, native XDP, a sender that keeps to the clock.

WORKLOAD: 594,000 messages a second over 100 ms, in packets of 1 to 38.
"""

from __future__ import annotations

import os
import random
import socket
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from turbo_hft import netns
from turbo_hft._native import ffi, lib
from turbo_hft.addresses import FeedAddress, OrderSession
from turbo_hft.engine import Engine
from turbo_hft.exchange.market import MarketConfig, MarketFlow
from turbo_hft.lab import Lab, LabAddresses
from turbo_hft.testing.trial import Trial, listing
from turbo_hft.wire.frame import udp_frame
from turbo_hft.wire.moldudp64 import Packet

pytestmark = pytest.mark.kernel

RATE = 594_000
BURST = RATE // 10
MOST_A_PACKET = 38
MOST_PAYLOAD = 1472
SOL_PACKET, PACKET_QDISC_BYPASS = 263, 20
TAG = f"{os.getpid() % 100_000:05d}"


@pytest.fixture
def lab() -> Iterator[LabAddresses]:
    with Lab(namespace=f"burst_{TAG}", device=f"bu{TAG}a", peer=f"bu{TAG}b", subnet="10.202.7.0/24") as lab:
        yield lab.addresses


@contextmanager
def on_one_cpu() -> Iterator[None]:
    """The receiver's half of the driver runs on the sender's CPU: a feed must not change its own."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def packets(messages: list[bytes], first: int, draw: random.Random) -> list[Packet]:
    made: list[Packet] = []
    at = 0
    while at < len(messages):
        taken, size = [], 20
        for message in messages[at : at + draw.randint(1, MOST_A_PACKET)]:
            size += 2 + len(message)
            if size > MOST_PAYLOAD:
                break
            taken.append(message)
        made.append(Packet("BURST00001", first + at, tuple(taken)))
        at += len(taken)
    return made


def send(sock: socket.socket, lab: LabAddresses, burst: list[Packet], rate: int | None) -> int:
    """How many ns it took; with a rate, message n leaves n / rate seconds after the first."""
    framed, due, sent = [], [], 0
    for packet in burst:
        frame = udp_frame(
            src_mac=lab.exchange_mac,
            dst_mac=lab.host_mac,
            src=(lab.exchange_address, 9),
            dst=(lab.feed_group, lab.feed_port),
            payload=packet.encode(),
        )
        framed.append(struct.pack("=I", len(frame)) + frame)
        due.append(0 if rate is None else sent * 1_000_000_000 // rate)
        sent += len(packet.messages)
    took = ffi.new("uint64_t *")
    assert lib.hft_burst_send(sock.fileno(), b"".join(framed), len(framed), ffi.new("uint64_t[]", due), took) == 0
    return int(took[0])


def test_a_burst_at_the_opening_rate_is_taken_whole(lab: LabAddresses) -> None:
    market = MarketFlow(MarketConfig(seed=9, symbols=2_000, live_orders=20_000, opening=True))
    draw = random.Random(9)

    def raw_socket() -> socket.socket:
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        sock.bind((lab.peer, 0))
        sock.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
        return sock

    session = OrderSession(
        local=(lab.host_address, lab.engine_port),
        remote=(lab.exchange_address, lab.ouch50_port),
        local_mac=lab.host_mac,
        remote_mac=lab.exchange_mac,
        username="HFT001",
        password="SECRET",
    )
    with (
        Engine.open(lab.device, symbols=2_048, orders=1 << 18) as engine,
        netns.run_in(lab.namespace, raw_socket) as sock,
    ):
        engine.configure(session, FeedAddress(lab.feed_group, lab.feed_port, lab.exchange_address))
        trial = Trial(listing(market), engine=engine)
        engine.attach()
        before = list(market.messages(0))
        burst = list(market.messages(BURST))
        with on_one_cpu():
            send(sock, lab, packets(before, 1, draw), None)
            assert engine.feed.expected_seq == len(before) + 1, "the prelude has arrived"
            first = engine.counters()
            sent = packets(burst, len(before) + 1, draw)
            took_ns = send(sock, lab, sent, RATE)
        feed, counters = engine.feed, engine.counters()
        came = {name: value - first[name] for name, value in counters.items() if value - first[name]}
        assert came.pop("frames") >= len(sent), "a stray frame of the kernel's may be among them"
        came.pop("not_ours", None)
        assert came == {"feed_packets": len(sent), "feed_messages": BURST}, (
            "nothing missing, contended, held or refused"
        )
        assert (feed.expected_seq, feed.missing, feed.health) == (len(before) + BURST + 1, 0, "live")
        for message in before + burst:
            trial.follow(message)
        assert trial.compare_all() == 2_000
    rate = BURST / (took_ns / 1e9)
    said = f"{BURST:,} messages in {len(sent):,} packets, {took_ns / 1e6:.1f} ms: {rate:,.0f} messages a second"
    print(said)
    if rate < 0.95 * RATE:
        warnings.warn(f"this machine's sender did not reach the opening's {RATE:,} a second: {said}", stacklevel=1)
