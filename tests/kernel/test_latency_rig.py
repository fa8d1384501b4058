"""The rigs of the latency lab: every tick answered, every order the right bytes, every packet counted."""

from __future__ import annotations

import errno
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from turbo_hft import netns
from turbo_hft._native import ffi, lib
from turbo_hft.errors import ExchangeError
from turbo_hft.lab import LabAddresses
from turbo_hft.latency.contestants import GENERIC, Contestant, contestants
from turbo_hft.latency.exchange import Exchange
from turbo_hft.latency.headline import ECHO, ENGINE
from turbo_hft.latency.loads import CLOSED, open_loop, opening, prepare
from turbo_hft.latency.peers import Running, peer
from turbo_hft.latency.results import Load, Responder
from turbo_hft.latency.rigs import NAMES, RIGS, Wire, raised
from turbo_hft.latency.threshold import Threshold
from turbo_hft.latency.trial import Arrays, run, trial, why_not
from turbo_hft.latency.work import Work
from turbo_hft.wire.frame import udp_frame

pytestmark = pytest.mark.kernel

WHO = {one.name: one for one in contestants()}
LOGIN = b"\x00\x1bLHFT001SECRET    " + b" " * 10

# What has to be sent first, written out by hand: 48 bytes follow; UFO U, OUCH O, reference 1, buy 100 AAPL at
# $163.20, IOC, visible, principal, not ISO, continuous, client order id TURBO-HFT, no options.
FIRST_ORDER = bytes.fromhex("0030554f00000001420000006441") + b"APL    " + bytes.fromhex("000000000018e700")
FIRST_ORDER += b"3YPNN" + b"TURBO-HFT     " + b"\0\0"


@pytest.fixture(scope="module", params=RIGS)
def wire(request: pytest.FixtureRequest) -> Iterator[Wire]:
    if reason := why_not(request.param, CLOSED):
        pytest.skip(reason)
    with raised(request.param) as wire:
        yield wire


@pytest.fixture(scope="module")
def veth() -> Iterator[Wire]:
    with raised("veth") as wire:
        yield wire


def xdp_program(device: str) -> int | None:
    """The program on an interface, None if there is none."""
    program, flags = ffi.new("unsigned int *"), ffi.new("unsigned int *")
    code = lib.hft_query(socket.if_nametoindex(device), program, flags)
    return None if code == -errno.ENOENT else int(program[0])


def namespaces() -> set[str]:
    """Those of rigs of this process."""
    return {path.name for path in Path("/run/netns").glob(f"{NAMES}_*_{os.getpid()}")}


@pytest.mark.parametrize("name", [ENGINE, GENERIC, "python"])
def test_every_tick_is_answered_with_the_right_bytes(wire: Wire, name: str) -> None:
    work, script = prepare(CLOSED, wire.addresses, 99, warmup=1)
    found = run(wire, WHO[name], work, script)
    assert found.orders[0] == FIRST_ORDER
    third = found.orders[2]
    assert third[4:8] == (3).to_bytes(4, "big") and third[9:13] == (120).to_bytes(4, "big")
    assert third[21:29] == (1_631_800).to_bytes(8, "big")
    assert (found.lost, found.late, found.bad) == (0, 0, 0) and all(found.seen_ns)
    assert xdp_program(wire.addresses.device) is None, "it stayed attached"


def test_the_floor_is_the_time_of_the_ticks_themselves(wire: Wire) -> None:
    work, script = prepare(CLOSED, wire.addresses, 49, warmup=1)
    found = run(wire, WHO[ECHO], work, script)
    assert all(found.rtt_ns()) and len(found.rtt_ns()) == 50
    assert [int.from_bytes(tick[54:58], "big") for tick in found.orders] == [one.price_e4 for one in script.triggers]
    assert xdp_program(wire.addresses.device) is None, "the echo stayed attached"


def test_the_devices_own_stamps_lie_inside_of_what_the_exchange_sees(wire: Wire) -> None:
    work, script = prepare(CLOSED, wire.addresses, 50, warmup=1)
    found = run(wire, WHO[ENGINE], work, script)
    if wire.rig.name == "tap":
        assert not found.wire_ns(), "nothing stamps there"
        return
    times = list(zip(found.due_ns, found.left_ns, found.came_ns, found.seen_ns, strict=True))
    assert all(sent <= left < came <= seen for sent, left, came, seen in times)


@pytest.mark.parametrize("load", [open_loop(2_000), open_loop(1_000, 5)], ids=lambda load: load.title)
def test_loads_are_answered_without_loss(wire: Wire, load: Load) -> None:
    work, script = prepare(load, wire.addresses, 60, warmup=4)
    found = run(wire, WHO[ENGINE], work, script)
    assert found.lost == 0 and all(found.orders)
    assert found.packets == script.packets


@pytest.mark.parametrize("name", ["tap", "veth"])
def test_a_burst_is_answered_without_loss(name: str) -> None:
    """Not across CPUs: the queue of 256 frames before a thread is shorter than what a turn of a busy CPU holds up."""
    with raised(name) as wire:
        work, script = prepare(opening(20), wire.addresses, 60)
        found = run(wire, WHO[ENGINE], work, script)
    assert found.lost == 0 and found.packets == script.packets
    # A machine that stands still for a moment leaves an order under way for the next tick.
    assert sum(map(bool, found.orders)) > len(found.orders) // 2


def test_the_exchanges_end_gets_its_program_back(veth: Wire) -> None:
    a = veth.addresses

    def attached() -> int | None:
        return netns.run_in(a.namespace, lambda: xdp_program(a.peer))

    before = attached()
    with veth.open():
        assert attached() not in (before, None)
    assert attached() == before is not None


def test_a_packet_that_nobody_handled_is_counted(wire: Wire) -> None:
    """One frame with a wrong checksum: the engine leaves it, and with a hole in its feed it trades no more."""
    work, script = prepare(open_loop(1_000), wire.addresses, 20, warmup=4)
    step = script.steps[script.opening + 30]
    script.frames[step.offset + 60] ^= 1
    found = run(wire, WHO[ENGINE], work, script)
    assert found.lost == 1
    answered = [bool(order) for order in found.orders]
    assert all(answered[:8]) and not any(answered[8:])


@pytest.mark.parametrize("position", [24, 40, 60], ids=["IPv4 checksum", "UDP checksum", "price"])
def test_an_order_with_a_wrong_checksum_is_no_order(veth: Wire, position: int) -> None:
    a, threshold = veth.addresses, Threshold()
    frame = bytearray(
        udp_frame(
            src_mac=a.host_mac,
            dst_mac=a.exchange_mac,
            src=(a.host_address, a.engine_port),
            dst=(a.exchange_address, a.ouch50_port),
            payload=b"\x00\x30U" + threshold.order(1, threshold.buy_below_e4).encode(),
        )
    )
    buffer, seen, came = ffi.new("uint8_t[]", 2048), ffi.new("uint64_t *"), ffi.new("uint64_t *")
    with veth.open() as handle, socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as host:
        lib.hft_wire_take(handle, 1)
        host.bind((a.device, 0))
        host.send(frame)
        assert lib.hft_wire_receive(handle, buffer, 2048, seen, came) == 50
        assert 0 < came[0] <= seen[0] <= time.monotonic_ns()
        frame[position] ^= 1
        host.send(frame)
        assert lib.hft_wire_receive(handle, buffer, 2048, seen, came) == -errno.EBADMSG
        assert lib.hft_wire_receive(handle, buffer, 2048, seen, came) == -errno.EAGAIN


def test_responders_take_turns_and_who_fails_is_named() -> None:
    def cannot(addresses: LabAddresses, work: Work) -> AbstractContextManager[None]:
        raise ExchangeError("it does not want to")

    stubborn = Contestant(Responder("stubborn", "stubborn", "nothing", headline=True), cannot)
    absent = Contestant(Responder("absent", "absent", "nothing", headline=True), cannot, lambda: "there is none here")
    seen: list[tuple[str, int]] = []
    before = namespaces()
    found = trial(
        "veth",
        CLOSED,
        [WHO[ENGINE], stubborn, absent, WHO[ECHO]],
        repetitions=2,
        triggers=50,
        between=lambda one, number: seen.append((one.name, number)),
    )
    assert seen == [("engine", 0), ("stubborn", 0), ("echo", 0), ("echo", 1), ("engine", 1)]
    assert {(one.responder, one.measure) for one in found.series} == {
        (name, measure) for name in ("engine", "echo") for measure in ("rtt", "wire")
    }
    assert all(len(one.repetitions) == 2 and one.repetitions[0].missed == 0 for one in found.series)
    assert found.compared == 2 * (50 + 200), "those of the warm-up too"
    assert {one.what.split()[0]: one.why for one in found.skipped} == {
        "stubborn": "it does not want to",
        "absent": "there is none here",
    }
    assert namespaces() == before, "a rig of it is still there"


def test_an_order_of_another_decision_is_refused(veth: Wire) -> None:
    @contextmanager
    def greedy(addresses: LabAddresses, work: Work) -> Iterator[Running]:
        more = tuple(replace(one, base_qty=one.base_qty + 1) for one in work.armed)
        with peer("python").responder(addresses, Work(more)) as running:
            yield running

    work, script = prepare(CLOSED, veth.addresses, 20, warmup=1)
    with pytest.raises(ExchangeError, match="trigger 0"):
        run(veth, Contestant(Responder("greedy", "greedy", "", headline=True), greedy), work, script)


@contextmanager
def mute(addresses: LabAddresses, work: Work) -> Iterator[None]:
    """A participant that logs in and then does nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as entry:
        entry.bind((addresses.host_address, addresses.engine_port))
        entry.sendto(LOGIN, (addresses.exchange_address, addresses.ouch50_port))
        yield


@pytest.mark.long
def test_silence_is_counted_until_patience_ends(veth: Wire) -> None:
    who = Contestant(Responder("mute", "mute", "", headline=True), mute)
    work, script = prepare(open_loop(2_000), veth.addresses, 20, warmup=1)
    found = run(veth, who, work, script)
    assert not any(found.seen_ns) and not any(found.orders) and not found.rtt_ns()
    work, script = prepare(CLOSED, veth.addresses, 200, warmup=1)
    with pytest.raises(ExchangeError, match="40 ticks in a row"):
        run(veth, who, work, script)


def test_wrong_login_is_refused(veth: Wire) -> None:
    a = veth.addresses
    with veth.open() as handle, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as entry:
        entry.bind((a.host_address, a.engine_port))
        with pytest.raises(ExchangeError, match="account"), Exchange(handle, a).login_thread():
            entry.sendto(b"\x00\x1bLHFT002SECRET    " + b" " * 10, (a.exchange_address, a.ouch50_port))
        entry.settimeout(2)
        assert entry.recv(64) == b"JA"


def test_a_late_order_is_answered_and_belongs_to_no_other_tick(veth: Wire) -> None:
    """A participant that answers the first tick when the second is under way: known by its price, and answered."""
    a, threshold = veth.addresses, Threshold()
    _, script = prepare(CLOSED, a, 2, warmup=1)
    order = b"\x00\x30U" + threshold.order(1, threshold.buy_below_e4).encode()
    with ExitStack() as stack:
        handle = stack.enter_context(veth.open())
        entry = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        entry.bind((a.host_address, a.engine_port))
        entry.settimeout(2)
        exchange = Exchange(handle, a)
        with exchange.login_thread():
            entry.sendto(LOGIN, (a.exchange_address, a.ouch50_port))
        assert entry.recv(64) == b"A" + b"LATENCY001" + (1).to_bytes(4, "big")
        arrays = Arrays(script)
        native = arrays.native(handle, a, exchange.reply_seq, echo=False)
        native.timeout_ns, native.patience = 60_000_000, 0

        def answer() -> None:
            time.sleep(0.09)
            entry.sendto(order, (a.exchange_address, a.ouch50_port))

        thread = threading.Thread(target=answer)
        thread.start()
        assert lib.hft_script_run(native) == 0
        thread.join()
        assert native.late == 1 and not any(arrays.seen)
        reply = entry.recv(512)
    assert reply[:7] == b"S" + (1).to_bytes(4, "big") + (2).to_bytes(2, "big")
    accepted, canceled = reply[9:73], reply[75:93]
    assert accepted[:1] == b"A" and accepted[9:36] == order[4:31] and accepted[48:62] == b"TURBO-HFT     "
    assert canceled[:1] == b"C" and canceled[9:13] == (1).to_bytes(4, "big")
    assert canceled[13:17] == (100).to_bytes(4, "big")
