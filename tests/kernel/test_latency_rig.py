"""The latency rig with the standard bot: every tick answered, every order the right bytes, whatever the figures are."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import pytest
from turbo_hft import netns
from turbo_hft._native import ffi, lib
from turbo_hft.errors import ExchangeError
from turbo_hft.lab import Lab, LabAddresses
from turbo_hft.latency.compare import compare, measure, measure_floor, standard_bot
from turbo_hft.latency.engine_side import echo_responder, engine_responder
from turbo_hft.latency.probe import Probe, Run, check_orders, ticks
from turbo_hft.latency.report import Percentiles, Ratio
from turbo_hft.latency.threshold import Threshold
from turbo_hft.latency.work import Work
from turbo_hft.wire.frame import udp_frame

pytestmark = pytest.mark.kernel

TAG = f"{os.getpid() % 100_000:05d}"
FAST_NS = 200_000

# What the bot has to send first and ninth, written out by hand: 48 bytes follow; UFO U, OUCH O, reference 1,
# buy 100 AAPL at $163.20, IOC, visible, principal, not ISO, continuous, client order id TURBO-HFT, no options.
FIRST_ORDER = bytes.fromhex("0030554f00000001420000006441") + b"APL    " + bytes.fromhex("000000000018e700")
FIRST_ORDER += b"3YPNN" + b"TURBO-HFT     " + b"\0\0"


@pytest.fixture(scope="module")
def addresses() -> Iterator[LabAddresses]:
    with Lab(namespace=f"rtt_{TAG}", device=f"rt{TAG}a", peer=f"rt{TAG}b", subnet="10.202.3.0/24") as lab:
        yield lab.addresses


def test_bot_answers_every_tick_with_the_right_bytes(addresses: LabAddresses) -> None:
    threshold = Threshold()
    run = measure(standard_bot, addresses, threshold, rounds=200, warmup_rounds=0, interval_ns=FAST_NS)
    assert (run.missed, run.late, len(run.orders)) == (0, 0, 200)
    assert run.orders[0] == FIRST_ORDER
    ninth = run.orders[8]
    assert ninth == FIRST_ORDER[:4] + (9).to_bytes(4, "big") + FIRST_ORDER[8:], "same tick, next reference"
    third = run.orders[2]
    assert third[9:13] == (120).to_bytes(4, "big") and third[21:29] == (1_631_800).to_bytes(8, "big")
    assert all(1_000 < rtt < 200_000_000 for rtt in run.rtt_ns)


def test_engine_and_bot_send_the_same_bytes(addresses: LabAddresses) -> None:
    result = compare(
        lambda at, one: engine_responder(at, Work((one,))),
        addresses,
        echo=echo_responder,
        repetitions=1,
        rounds=200,
        warmup_rounds=20,
    )
    assert (result.engine.missed, result.bot.missed, result.orders_compared) == (0, 0, 200)
    assert xdp_program(addresses.device) is None, "the engine stayed attached"
    assert result.floor is not None and (result.floor.missed, result.floor.all.count) == (0, 200)
    assert any("echo" in line for line in result.lines())


def xdp_program(device: str) -> int | None:
    """The program on an interface, None if there is none."""
    program, flags = ffi.new("unsigned int *"), ffi.new("unsigned int *")
    code = lib.hft_query(socket.if_nametoindex(device), program, flags)
    return None if code == -errno.ENOENT else int(program[0])


def test_the_floor_is_the_time_of_the_ticks_themselves(addresses: LabAddresses) -> None:
    """Every round has its own tick back: with the round's price, at the place where ITCH has it."""
    threshold = Threshold()
    run = measure_floor(echo_responder, addresses, threshold, rounds=50, warmup_rounds=0)
    assert run.missed == 0 and all(run.rtt_ns)
    assert [int.from_bytes(tick[54:58], "big") for tick in run.orders] == list(ticks(threshold, 50))
    assert xdp_program(addresses.device) is None, "the echo stayed attached"


def test_the_exchanges_end_gets_its_program_back(addresses: LabAddresses) -> None:
    def attached() -> int | None:
        return netns.run_in(addresses.namespace, lambda: xdp_program(addresses.peer))

    before = attached()
    with Probe(addresses, Threshold()):
        assert attached() not in (before, None)
    assert attached() == before is not None


@pytest.mark.parametrize("position", [24, 40, 60], ids=["IPv4 checksum", "UDP checksum", "price"])
def test_an_order_with_a_wrong_checksum_is_no_order(addresses: LabAddresses, position: int) -> None:
    a, threshold = addresses, Threshold()
    frame = bytearray(
        udp_frame(
            src_mac=a.host_mac,
            dst_mac=a.exchange_mac,
            src=(a.host_address, a.engine_port),
            dst=(a.exchange_address, a.ouch50_port),
            payload=b"\x00\x30U" + threshold.order(1, threshold.buy_below_e4).encode(),
        )
    )
    with Probe(a, threshold) as probe, socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as wire:
        wire.bind((a.device, 0))
        wire.send(frame)
        late = probe.run(ticks(threshold, 1), interval_ns=0, timeout_ns=1_000_000)
        assert (late.missed, late.late) == (1, 1), "the right frame is an order"
        frame[position] ^= 1
        wire.send(frame)
        with pytest.raises(ExchangeError, match="checksum"):
            probe.run(ticks(threshold, 1), interval_ns=0, timeout_ns=1_000_000)


def test_two_responders_are_compared(addresses: LabAddresses) -> None:
    """Two bots: the arithmetic of a comparison, and that every order of both was held against the other."""
    result = compare(standard_bot, addresses, repetitions=2, rounds=50, warmup_rounds=10, interval_ns=FAST_NS)
    assert result.orders_compared == 100
    assert result.engine.all.count == result.bot.all.count == 100
    assert len(result.bot.repetitions) == 2
    assert 0 < result.ratio_p50.min <= result.ratio_p50.median <= result.ratio_p50.max
    assert result.engine.all.p50_ns <= result.engine.all.p99_ns <= result.engine.all.max_ns
    assert any("identical to the byte" in line for line in result.lines())


def test_an_order_of_another_decision_is_refused(addresses: LabAddresses) -> None:
    @contextmanager
    def greedy(addresses: LabAddresses, threshold: Threshold) -> Iterator[None]:
        with standard_bot(addresses, replace(threshold, base_qty=threshold.base_qty + 1)):
            yield

    with pytest.raises(ExchangeError, match="round 0"):
        measure(greedy, addresses, Threshold(), rounds=20, warmup_rounds=0, interval_ns=FAST_NS)


def test_silence_is_counted_not_fatal(addresses: LabAddresses) -> None:
    """A participant that logs in and then does nothing: every round is missed, the run ends in bounded time."""
    login = b"\x00\x1bLHFT001SECRET    " + b" " * 10
    with Probe(addresses, Threshold()) as probe, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as entry:
        entry.bind((addresses.host_address, addresses.engine_port))
        with probe.login_thread():
            entry.sendto(login, (addresses.exchange_address, addresses.ouch50_port))
        run = probe.run(ticks(Threshold(), 5), interval_ns=0, timeout_ns=2_000_000)
        assert run.missed == 5
        assert run.rtt_ns == (0,) * 5 and run.orders == (b"",) * 5
        with pytest.raises(ExchangeError, match="3 ticks in a row"):
            probe.run(ticks(Threshold(), 5), interval_ns=0, timeout_ns=2_000_000, patience=3)


def test_a_late_order_is_answered_and_not_taken_for_the_next_rounds(addresses: LabAddresses) -> None:
    """A participant slower than the time-out: its order is recognised by its price and answered, so nobody hangs."""
    threshold = Threshold()
    order = b"\x00\x30U" + threshold.order(1, threshold.buy_below_e4).encode()
    login = b"\x00\x1bLHFT001SECRET    " + b" " * 10
    exchange = (addresses.exchange_address, addresses.ouch50_port)
    with ExitStack() as stack:
        probe = stack.enter_context(Probe(addresses, threshold))
        entry = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        entry.bind((addresses.host_address, addresses.engine_port))
        entry.settimeout(2)
        with probe.login_thread():
            entry.sendto(login, exchange)
        assert entry.recv(64) == b"A" + b"LATENCY001" + (1).to_bytes(4, "big")
        missed = probe.run(ticks(threshold, 1), interval_ns=0, timeout_ns=1_000_000)
        assert missed.missed == 1
        entry.sendto(order, exchange)
        late = probe.run(ticks(threshold, 1), interval_ns=0, timeout_ns=1_000_000)
        assert (late.missed, late.late) == (1, 1)
        reply = entry.recv(512)
    assert reply[:7] == b"S" + (1).to_bytes(4, "big") + (2).to_bytes(2, "big")
    accepted, canceled = reply[9:73], reply[75:93]
    assert accepted[:1] == b"A" and accepted[9:36] == order[4:31] and accepted[48:62] == b"TURBO-HFT     "
    assert canceled[:1] == b"C" and canceled[9:13] == (1).to_bytes(4, "big")
    assert canceled[13:17] == (100).to_bytes(4, "big")


def test_wrong_login_is_refused(addresses: LabAddresses) -> None:
    with Probe(addresses, Threshold()) as probe, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as entry:
        entry.bind((addresses.host_address, addresses.engine_port))
        with pytest.raises(ExchangeError, match="account"), probe.login_thread():
            entry.sendto(b"\x00\x1bLHFT002SECRET    " + b" " * 10, (addresses.exchange_address, addresses.ouch50_port))
        entry.settimeout(2)
        assert entry.recv(64) == b"JA"


def test_every_byte_of_an_order_counts() -> None:
    threshold = Threshold()
    good = b"\x00\x30U" + threshold.order(1, threshold.buy_below_e4).encode()
    prices = ticks(threshold, 1)
    check_orders(threshold, Run((1,), (good,), 0, 0), prices)
    for position in range(len(good)):
        bad = bytes([*good[:position], good[position] ^ 1, *good[position + 1 :]])
        with pytest.raises(ExchangeError, match="round 0"):
            check_orders(threshold, Run((1,), (bad,), 0, 0), prices)


def test_percentiles_are_nearest_rank() -> None:
    assert Percentiles.of(range(1, 101)) == Percentiles(100, 50, 90, 99, 100)
    assert Percentiles.of([7]) == Percentiles(1, 7, 7, 7, 7)
    assert Percentiles.of([3, 1, 2]) == Percentiles(3, 2, 3, 3, 3)
    assert Ratio.of([20, 30, 50], [10, 10, 10]) == Ratio(3.0, 2.0, 5.0)
    with pytest.raises(ValueError, match="missed"):
        Percentiles.of([])
