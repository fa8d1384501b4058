"""Every user-space responder on a rig: the engine's work, and the engine's bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from typing import Any

import pytest
from turbo_hft._native import ffi, lib
from turbo_hft.errors import ExchangeError
from turbo_hft.lab import LabAddresses
from turbo_hft.latency.contestants import Contestant
from turbo_hft.latency.engine_side import engine_responder
from turbo_hft.latency.exchange import Exchange
from turbo_hft.latency.loads import CLOSED, prepare
from turbo_hft.latency.peers import Peer, Running, peer, peers
from turbo_hft.latency.results import Responder
from turbo_hft.latency.rigs import Wire, raised
from turbo_hft.latency.script import feed_frame, listing
from turbo_hft.latency.threshold import Threshold
from turbo_hft.latency.trial import run
from turbo_hft.latency.work import Work
from turbo_hft.wire import moldudp64
from turbo_hft.wire.itch50 import AddOrder, SystemEvent

pytestmark = [pytest.mark.kernel]

ALL = peers()
ROUNDS = 40


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    with raised("veth") as wire:
        yield wire


@pytest.fixture(scope="module")
def addresses(wire: Wire) -> LabAddresses:
    return wire.addresses


def contestant(one: Peer, told: list[Running]) -> Contestant:
    @contextmanager
    def answer(addresses: LabAddresses, work: Work) -> Iterator[Running]:
        with runs_here(one).responder(addresses, work) as running:
            told.append(running)
            yield running

    return Contestant(Responder(one.name, one.title, one.does, headline=True), answer)


ENGINE = Contestant(Responder("engine", "engine", "", headline=True), engine_responder)


def runs_here(one: Peer) -> Peer:
    if why := one.why_not():
        pytest.skip(f"{one.name}: {why}")
    return one


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.name)
def test_a_peer_sends_the_engines_orders(wire: Wire, one: Peer) -> None:
    told: list[Running] = []
    work, script = prepare(CLOSED, wire.addresses, ROUNDS - 1, warmup=1)
    found = run(wire, contestant(one, told), replace(work, kept=("MSFT",)), script)
    engine = run(wire, ENGINE, work, script)
    assert all(found.orders) and found.orders == engine.orders
    assert (found.lost, engine.lost, found.late) == (0, 0, 0)
    assert told[0].orders == ROUNDS and told[0].gaps == 0
    assert told[0].packets == script.packets + 1, "and the one that ends the session"
    assert told[0].messages == script.messages and told[0].lost in (0, None)


@pytest.mark.parametrize("gro", ["on", "off"])
def test_a_device_without_napi_is_no_place_for_busy_polling(wire: Wire, gro: str) -> None:
    told: list[Running] = []
    work, script = prepare(CLOSED, wire.addresses, 9, warmup=1)
    subprocess.run(["ethtool", "-K", wire.addresses.device, "gro", gro], check=True)
    try:
        run(wire, contestant(peer("busy-poll"), told), work, script)
    finally:
        subprocess.run(["ethtool", "-K", wire.addresses.device, "gro", "off"], check=True)
    assert ("no NAPI" in told[0].note) == (gro == "off")


def offer(locate: int, ref: int, name: str, price_e4: int, side: str = "S") -> bytes:
    return AddOrder(
        stock_locate=locate,
        tracking_number=0,
        timestamp=34_200_100_000_000,
        order_ref=ref,
        side=side,
        shares=100,
        stock=name,
        price=price_e4,
    ).encode()


def listed(locate: int, name: str) -> list[bytes]:
    return [*listing(locate, name), offer(locate, 100 + locate, name, 1_630_000, "B")]


def received(handle: Any, seconds: float) -> list[bytes]:
    """What comes to the exchange within so long."""
    room, buffer = 2048, ffi.new("uint8_t[]", 2048)
    seen, came = ffi.new("uint64_t *"), ffi.new("uint64_t *")
    end, found = time.monotonic() + seconds, []
    while time.monotonic() < end:
        length = lib.hft_wire_receive(handle, buffer, room, seen, came)
        if length > 0:
            found.append(bytes(ffi.buffer(buffer, length)))
        elif length < 0:
            time.sleep(0.001)
    return found


def orders_of(wire: Wire, one: Peer, packets: list[bytes]) -> tuple[list[bytes], Running]:
    """What a peer of two armed symbols sends within a moment after each packet."""
    work = Work((Threshold(), replace(Threshold(), symbol="MSFT", base_qty=300)), kept=("INTC",))
    sent: list[bytes] = []
    with wire.open() as handle, ExitStack() as stack:
        exchange = Exchange(handle, wire.addresses)
        with exchange.login_thread():
            running = stack.enter_context(runs_here(one).responder(wire.addresses, work))
        for payload in [*packets, moldudp64.EndOfSession("LATENCY001", 1 + 10**6).encode()]:
            exchange.send(feed_frame(wire.addresses, payload))
            sent += received(handle, 0.3)
    return sent, running


@pytest.mark.parametrize("name", ["python", "busy", "af_xdp"])
def test_several_symbols_are_armed_and_a_gap_ends_all_trading(wire: Wire, name: str) -> None:
    opening = SystemEvent(stock_locate=0, tracking_number=0, timestamp=34_200_000_000_000, event_code="Q").encode()
    session = [opening, *listed(1, "AAPL"), *listed(2, "MSFT"), *listed(3, "INTC")]
    both = [offer(1, 1, "AAPL", 1_632_000), offer(2, 2, "MSFT", 1_631_900), offer(3, 3, "INTC", 1_631_000)]
    packets = [
        moldudp64.Packet("LATENCY001", 1, tuple(session)).encode(),
        moldudp64.Packet("LATENCY001", 11, tuple(both)).encode(),
        moldudp64.Packet("LATENCY001", 20, (offer(1, 9, "AAPL", 1_631_000),)).encode(),
    ]
    sent, running = orders_of(wire, peer(name), packets)
    first, second = Threshold(), replace(Threshold(), symbol="MSFT", base_qty=300)
    wanted = [first.order(1, 1_632_000).encode(), second.order(2, 1_631_900).encode()]
    assert sent == [b"".join(b"\x00\x30U" + order for order in wanted)]
    assert running.orders == 2 and running.messages == 13


@pytest.mark.long
def test_a_peer_that_cannot_log_in_says_so(addresses: LabAddresses) -> None:
    with pytest.raises(ExchangeError, match="does not answer"), peer("busy").responder(addresses, Work()):
        raise AssertionError("nobody was there to log in to")


def test_a_peer_leaves_with_its_parent(wire: Wire) -> None:
    """A loop in C that spins knows of nobody: the kernel ends it."""
    command = [sys.executable, "-m", "turbo_hft.latency.peer", "busy", "--device", wire.addresses.device]
    command += ["--addresses", json.dumps(asdict(wire.addresses)), "--work", Work().to_json()]
    starter = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen({command!r}, stdout=subprocess.PIPE, text=True)\n"
        "print(child.pid, child.stdout.readline(), flush=True)\n"
        "time.sleep(60)\n"
    )
    with wire.open() as handle, Exchange(handle, wire.addresses).login_thread():
        parent = subprocess.Popen([sys.executable, "-c", starter], stdout=subprocess.PIPE, text=True)
        assert parent.stdout is not None
        child, word = parent.stdout.readline().split()
    assert word == "ready"
    parent.kill()
    parent.communicate()
    for _ in range(100):
        if not os.path.exists(f"/proc/{child}"):
            return
        time.sleep(0.02)
    raise AssertionError(f"peer {child} outlived its parent")


def test_names_are_told_once_and_reasons_are_words() -> None:
    assert len({one.name for one in ALL}) == len({one.title for one in ALL}) == len(ALL)
    for one in ALL:
        why = one.why_not()
        assert why is None or len(why) > 10
