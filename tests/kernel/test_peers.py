"""Every user-space responder on a rig: the engine's work, and the engine's bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace

import pytest
from turbo_hft.errors import ExchangeError
from turbo_hft.lab import Lab, LabAddresses
from turbo_hft.latency.compare import measure
from turbo_hft.latency.engine_side import engine_responder
from turbo_hft.latency.peers import Peer, Running, peer, peers
from turbo_hft.latency.probe import Probe
from turbo_hft.latency.threshold import Threshold
from turbo_hft.latency.work import Work
from turbo_hft.wire import moldudp64
from turbo_hft.wire.itch50 import AddOrder, StockDirectory, StockTradingAction, SystemEvent

pytestmark = [pytest.mark.kernel]

ALL = peers()
ROUNDS = 40


@pytest.fixture(scope="module")
def addresses() -> Iterator[LabAddresses]:
    pid = os.getpid()
    with Lab(f"hft_peers_{pid}", f"hp{pid % 10**6}", f"he{pid % 10**6}", "10.82.0.0/24") as lab:
        yield lab.addresses


def runs_here(one: Peer) -> Peer:
    if why := one.why_not():
        pytest.skip(f"{one.name}: {why}")
    return one


@pytest.mark.parametrize("one", ALL, ids=lambda one: one.name)
def test_a_peer_sends_the_engines_orders(addresses: LabAddresses, one: Peer) -> None:
    told: list[Running] = []

    @contextmanager
    def responder(addresses: LabAddresses, threshold: Threshold) -> Iterator[None]:
        with runs_here(one).responder(addresses, Work((threshold,), kept=("MSFT",))) as running:
            told.append(running)
            yield

    run = measure(responder, addresses, Threshold(), rounds=ROUNDS, warmup_rounds=0)
    engine = measure(
        lambda a, threshold: engine_responder(a, Work((threshold,))),
        addresses,
        Threshold(),
        rounds=ROUNDS,
        warmup_rounds=0,
    )
    assert run.missed == engine.missed == 0 and run.orders == engine.orders
    # directory, a tick and its end a round, end of session; the directory's packet has 20 messages
    assert told[0].orders == ROUNDS and told[0].gaps == 0 and told[0].packets == 2 * ROUNDS + 2
    assert told[0].messages == 20 + 2 * ROUNDS and told[0].lost in (0, None)


@pytest.mark.parametrize("gro", ["on", "off"])
def test_a_device_without_napi_is_no_place_for_busy_polling(addresses: LabAddresses, gro: str) -> None:
    told: list[Running] = []

    @contextmanager
    def responder(addresses: LabAddresses, threshold: Threshold) -> Iterator[None]:
        with peer("busy-poll").responder(addresses, Work((threshold,))) as running:
            told.append(running)
            yield

    subprocess.run(["ethtool", "-K", addresses.device, "gro", gro], check=True)
    try:
        measure(responder, addresses, Threshold(), rounds=10, warmup_rounds=0)
    finally:
        subprocess.run(["ethtool", "-K", addresses.device, "gro", "off"], check=True)
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


def listing(locate: int, name: str) -> list[bytes]:
    stamp = {"stock_locate": locate, "tracking_number": 0, "timestamp": 34_200_000_000_000}
    directory = StockDirectory(
        **stamp,
        stock=name,
        market_category="Q",
        financial_status="N",
        round_lot_size=100,
        round_lots_only="N",
        issue_classification="C",
        issue_subtype="Z",
        authenticity="P",
        short_sale_threshold="N",
        ipo_flag="N",
        luld_tier="1",
        etp_flag="N",
        etp_leverage=0,
        inverse="N",
    )
    trading = StockTradingAction(**stamp, stock=name, trading_state="T", reserved="", reason="")
    return [directory.encode(), trading.encode(), offer(locate, 100 + locate, name, 1_630_000, "B")]


def orders_of(addresses: LabAddresses, one: Peer, packets: list[bytes]) -> tuple[list[bytes], Running]:
    """What a peer of two armed symbols sends within a moment after each packet."""
    work = Work((Threshold(), replace(Threshold(), symbol="MSFT", base_qty=300)), kept=("INTC",))
    sent: list[bytes] = []
    with Probe(addresses, Threshold()) as probe:
        with probe.login_thread():
            running_block = runs_here(one).responder(addresses, work)
            running = running_block.__enter__()
        probe._entry.settimeout(0.3)
        feed = [*packets, moldudp64.EndOfSession("LATENCY001", 1 + 10**6).encode()]
        for payload in feed:
            probe._wire.send(probe._feed_frame(payload))
            try:
                while True:
                    sent.append(probe._entry.recv(2048))
            except TimeoutError:
                continue
        running_block.__exit__(None, None, None)
    return sent, running


@pytest.mark.parametrize("name", ["python", "busy", "af_xdp"])
def test_several_symbols_are_armed_and_a_gap_ends_all_trading(addresses: LabAddresses, name: str) -> None:
    opening = SystemEvent(stock_locate=0, tracking_number=0, timestamp=34_200_000_000_000, event_code="Q").encode()
    listed = [opening, *listing(1, "AAPL"), *listing(2, "MSFT"), *listing(3, "INTC")]
    both = [offer(1, 1, "AAPL", 1_632_000), offer(2, 2, "MSFT", 1_631_900), offer(3, 3, "INTC", 1_631_000)]
    packets = [
        moldudp64.Packet("LATENCY001", 1, tuple(listed)).encode(),
        moldudp64.Packet("LATENCY001", 11, tuple(both)).encode(),
        moldudp64.Packet("LATENCY001", 20, (offer(1, 9, "AAPL", 1_631_000),)).encode(),
    ]
    sent, running = orders_of(addresses, peer(name), packets)
    first, second = Threshold(), replace(Threshold(), symbol="MSFT", base_qty=300)
    wanted = [first.order(1, 1_632_000).encode(), second.order(2, 1_631_900).encode()]
    assert sent == [b"".join(b"\x00\x30U" + order for order in wanted)]
    assert running.orders == 2 and running.messages == 13


def test_a_peer_that_cannot_log_in_says_so(addresses: LabAddresses) -> None:
    with pytest.raises(ExchangeError, match="does not answer"), peer("busy").responder(addresses, Work()):
        raise AssertionError("nobody was there to log in to")


def test_a_peer_leaves_with_its_parent(addresses: LabAddresses) -> None:
    """A loop in C that spins knows of nobody: the kernel ends it."""
    command = [sys.executable, "-m", "turbo_hft.latency.peer", "busy", "--device", addresses.device]
    command += ["--addresses", json.dumps(asdict(addresses)), "--work", Work().to_json()]
    starter = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen({command!r}, stdout=subprocess.PIPE, text=True)\n"
        "print(child.pid, child.stdout.readline(), flush=True)\n"
        "time.sleep(60)\n"
    )
    with Probe(addresses, Threshold()) as probe, probe.login_thread():
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
