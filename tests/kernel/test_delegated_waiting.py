"""Cancels that the hook cannot send now go by user space: each once, whole, ahead of all that is newer."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from turbo_hft._native import lib
from turbo_hft.delegated import Connection, connect
from turbo_hft.errors import ExchangeError, OrderRefused
from wire_cancels import accept, cancel_of, canceled, hold, live_order
from wire_rig import HEARTBEAT, Peer, WireRig, adverse_rig, wait_for, wire_rig

pytestmark = [pytest.mark.kernel, pytest.mark.e2e]

NUMBER, SHARED = 7, 8  # of the labs
STALLED_S = 0.4  # between two merges
DEBUG = b"\x1f\x40+" + bytes(7999)  # a packet that takes a while to be sent
ROUNDS = 150


def cancel(rig: WireRig, ref: int) -> None:
    """By hand; it is to arrive behind what was expected before."""
    rig.engine.orders.cancel(ref)
    rig.expected += cancel_of(ref)


def reasons(rig: WireRig) -> list[str]:
    """Why cancels were handed over, empty for one that the hook sent."""
    return [event.reason for event in rig.engine.events if event.kind == "cancel_sent"]


def nothing_waits(rig: WireRig) -> bool:
    handed, sent = rig.engine.cancels_handed()
    return handed == sent and "armed" in rig.connection.status.flags and "waiting" not in rig.connection.status.flags


@contextmanager
def armed(number: int = NUMBER, *, poll_s: float = 20e-6) -> Iterator[WireRig]:
    with wire_rig(number) as rig:
        rig.open(poll_s=poll_s)
        rig.connection.arm()
        yield rig


@pytest.fixture(scope="module")
def shared() -> Iterator[WireRig]:
    with armed(SHARED) as rig:
        yield rig


@pytest.fixture
def rig(shared: WireRig) -> Iterator[WireRig]:
    """One for many tests: nothing waits, nothing is open, and it trades."""
    reasons(shared)
    yield shared
    shared.engine.lease.forever()
    for order in shared.engine.orders.open():
        canceled(shared, order.user_ref)
    shared.engine.resume()
    shared.agree()
    wait_for(lambda: nothing_waits(shared), "something waits")


def test_a_cancel_waits_while_user_space_has_the_wire_and_leaves_then(rig: WireRig) -> None:
    before = rig.engine.cancels_handed()[0]
    ref = live_order(rig)
    with hold(rig):
        cancel(rig, ref)
        assert rig.connection.status.waiting == 1
        assert rig.engine.orders[ref].pending == ("cancel",)
    wait_for(lambda: nothing_waits(rig), "the cancel does not leave")
    rig.agree()
    assert reasons(rig) == ["wire_busy"]
    assert rig.engine.cancels_handed() == (before + 1, before + 1)
    waiting = rig.wire.waiting[before % lib.HFT_MAX_WAITING]
    assert 0 < waiting.handed_ns < waiting.left_ns
    assert rig.connection.status.longest_wait_ns > 0
    canceled(rig, ref)
    assert rig.fire()
    rig.agree()


def test_a_cancel_leaves_from_the_hook_whenever_it_can(rig: WireRig) -> None:
    before = rig.engine.cancels_handed()
    ref = live_order(rig)
    cancel(rig, ref)
    rig.agree()
    assert reasons(rig) == [""]
    assert rig.engine.cancels_handed() == before


def test_without_a_lease_what_waits_goes_on_waiting(rig: WireRig) -> None:
    ref = live_order(rig)
    with hold(rig):
        rig.engine.orders.cancel(ref)
        rig.engine.lease.lapse()
    time.sleep(0.02)
    rig.agree()
    assert rig.connection.status.waiting == 1
    rig.expected += cancel_of(ref)
    rig.engine.lease.forever()
    rig.agree()
    wait_for(lambda: nothing_waits(rig), "not armed again")


def test_without_a_lease_nothing_is_handed_over(rig: WireRig) -> None:
    before = rig.engine.cancels_handed()
    ref = live_order(rig)
    with hold(rig):
        rig.engine.lease.lapse()
        with pytest.raises(OrderRefused, match="wire_busy"):
            rig.engine.orders.cancel(ref)
        assert rig.engine.orders[ref].pending == ()
    assert rig.engine.cancels_handed() == before


def test_only_cancels_wait(rig: WireRig) -> None:
    before, refused = rig.engine.cancels_handed(), rig.refused("wire_busy")
    with hold(rig):
        assert not rig.fire(answer=False)
    assert rig.refused("wire_busy") == refused + 1
    assert rig.engine.cancels_handed() == before
    rig.agree()


def test_no_more_wait_than_there_are_places(rig: WireRig) -> None:
    ref = live_order(rig)
    with hold(rig):
        rig.wire.handed += lib.HFT_MAX_WAITING
        with pytest.raises(OrderRefused, match="wire_busy"):
            rig.engine.orders.cancel(ref)
        rig.wire.handed -= lib.HFT_MAX_WAITING
        cancel(rig, ref)
    rig.agree()


def test_what_waits_when_the_connection_ends_leaves_on_the_next_one_after_the_login() -> None:
    with armed() as rig:
        ref = live_order(rig)
        rig.agree()
        rig.engine.halt()
        with hold(rig):
            rig.engine.orders.cancel(ref)
            rig.peer.socket.shutdown(socket.SHUT_WR)
            wait_for(lambda: "closed" in rig.connection.status.flags, "the FIN was not seen")
        with suppress(ExchangeError):
            rig.connection.close()
        rig.socket.close()
        rig.peer.read()
        assert rig.peer.stream == rig.expected, "it left on a connection that was closed"
        rig.peer.socket.close()
        assert rig._listener is not None
        rig.socket = connect(rig.session)
        rig.peer, rig.expected = Peer(rig._listener.accept()[0]), bytearray()
        rig.connection = Connection(rig.engine, rig.session, rig.socket, poll_s=20e-6)
        rig.send()  # as a login is
        time.sleep(0.01)
        rig.agree()
        rig.connection.arm()
        rig.expected += cancel_of(ref)
        rig.agree()
        assert rig.engine.cancels_handed() == (1, 1)


def test_what_waits_for_orders_that_have_ended_is_not_sent_on_the_next_connection() -> None:
    """Which may be another account's: there the number is another order's."""
    with armed() as rig:
        ref = live_order(rig)
        rig.agree()
        rig.engine.halt()
        with hold(rig):
            rig.engine.orders.cancel(ref)
            rig.engine.lease.lapse()
        canceled(rig, ref)
        rig.engine.leave_session()
        rig.connection.close()
        rig.socket.close()
        rig.peer.socket.close()
        assert rig.engine.cancels_handed() == (1, 0)
        assert rig._listener is not None
        rig.socket = connect(rig.session)
        rig.peer, rig.expected = Peer(rig._listener.accept()[0]), bytearray()
        rig.connection = Connection(rig.engine, rig.session, rig.socket, poll_s=20e-6)
        rig.engine.lease.forever()
        rig.connection.arm()
        assert nothing_waits(rig)
        rig.send()
        rig.agree()


def test_a_halt_with_cancels_reaches_the_exchange_while_the_hook_cannot_send(rig: WireRig) -> None:
    ref = live_order(rig)
    rig.expected += cancel_of(ref)
    with hold(rig):
        assert rig.engine.halt_and_cancel(timeout_s=0.3).refused == {}
    rig.agree()
    canceled(rig, ref)
    assert rig.engine.orders.open() == []


def trade_and_cancel(rig: WireRig, rounds: int, *, block: bytes) -> None:
    """Orders and cancels, while another thread never stops sending in the ordinary way; the peer has each once."""
    over, begun = threading.Event(), len(rig.expected)
    ordinary = 0

    def beat() -> None:
        nonlocal ordinary
        while not over.is_set():
            packets = random.choice((HEARTBEAT, HEARTBEAT, block))
            rig.connection.send(packets)
            ordinary += len(packets)
            time.sleep(random.choice((0, 0, 0.0005)))

    thread = threading.Thread(target=beat)
    thread.start()
    refs = []
    try:
        for _ in range(rounds):
            before = rig.user_ref
            wait_for(lambda: rig.peer.read() >= 0 and rig.fire(answer=False, over=False), "no order leaves")
            assert rig.user_ref == before + 1
            accept(rig)
            rig.engine.orders.cancel(rig.user_ref)
            refs.append(rig.user_ref)
            canceled(rig, rig.user_ref)
            rig.peer.answer()
            rig.hear()
    finally:
        over.set()
        thread.join()
    rig.expected[:begun] = b""
    length = begun + len(rig.expected) + sum(len(cancel_of(ref)) for ref in refs) + ordinary
    rig.peer.await_bytes(length)
    stream, at, seen = bytes(rig.peer.stream), begun, []
    while at < len(stream):
        end = at + 2 + int.from_bytes(stream[at : at + 2], "big")
        if stream[at + 2 : at + 3] == b"U":
            seen.append((stream[at + 3 : at + 4], int.from_bytes(stream[at + 4 : at + 8], "big")))
        at = end
    assert seen == [(kind, ref) for ref in refs for kind in (b"O", b"X")], "not each once, in order"
    rig.expected[:] = stream  # compared now


def test_under_load_each_order_and_cancel_arrives_once_and_in_order(rig: WireRig) -> None:
    before = rig.engine.cancels_handed()[0]
    trade_and_cancel(rig, ROUNDS, block=DEBUG * 20)
    handed, sent = rig.engine.cancels_handed()
    assert handed - before > 0, "no cancel ever waited: the test shows nothing"
    assert handed - before < ROUNDS, "every cancel waited"
    assert handed == sent


def test_a_cancel_waits_until_all_is_merged_and_leaves_before_the_connection_is_given_back() -> None:
    with armed(poll_s=STALLED_S) as rig:
        ref = live_order(rig)
        wait_for(lambda: rig.connection.status.merged == 1, "not merged")  # begin right behind a look
        canceled(rig, ref)
        while rig.connection.status.unmerged < lib.HFT_MAX_UNMERGED - 1:
            assert rig.fire(answer=False)
        ref = live_order(rig)
        cancel(rig, ref)
        assert reasons(rig) == ["wire_unmerged"]
        wait_for(lambda: nothing_waits(rig), "the cancel does not leave")
        canceled(rig, ref)
        ref = live_order(rig)
        with hold(rig):
            cancel(rig, ref)
        rig.send()  # as a logout is
        canceled(rig, ref)
        ref = live_order(rig)
        with hold(rig):
            cancel(rig, ref)
        rig.connection.disarm()
        rig.agree()
        assert rig.engine.cancels_handed() == (3, 3)


def test_a_cancel_waits_while_the_window_is_closed_and_is_behind_what_is_not_sent() -> None:
    with wire_rig(NUMBER, receive_buffer=2048) as rig:
        rig.open()
        rig.connection.arm()
        ref = live_order(rig)
        for _ in range(2000):
            wait_for(lambda: not rig.connection.status.unacknowledged, "nothing is acknowledged")
            if rig.connection.status.send_window < 50:
                break
            rig.send(HEARTBEAT * 10)
        wait_for(lambda: "armed" in rig.connection.status.flags, "not armed")
        cancel(rig, ref)
        assert reasons(rig) == ["wire_window"]
        canceled(rig, ref)
        assert not rig.fire(answer=False), "something left into a closed window"
        rig.agree()
        wait_for(lambda: nothing_waits(rig), "the cancel does not leave")
        wait_for(lambda: rig.fire(over=False), "the window does not open again")
        accept(rig)
        ref = rig.user_ref
        rig.send(HEARTBEAT * 20_000)
        reasons(rig)
        cancel(rig, ref)
        assert reasons(rig) == ["wire_busy"]
        rig.agree()
        wait_for(lambda: nothing_waits(rig), "not armed again")


def test_over_a_bad_line_as_well_and_behind_a_hole() -> None:
    with adverse_rig(NUMBER, 3, lost_ppm=20_000, doubled_ppm=10_000) as (rig, line):
        rig.open()
        rig.connection.arm()
        trade_and_cancel(rig, ROUNDS // 5, block=DEBUG)
        assert sum(line.counts["lost"]) > 0
        line.change(lost_ppm=0, doubled_ppm=0)
        wait_for(lambda: not rig.connection.status.unacknowledged, "it does not recover")
        ref = live_order(rig)
        wait_for(lambda: not rig.connection.status.unacknowledged, "not acknowledged")
        reasons(rig)
        line.change(lost_ppm=(1_000_000, 0))
        rig.send()
        wait_for(lambda: rig.connection.status.retransmits > 0, "the kernel does not miss it")
        cancel(rig, ref)
        assert reasons(rig) == ["wire_recovery"]
        line.change(lost_ppm=0)
        rig.agree()
        wait_for(lambda: nothing_waits(rig), "the cancel does not leave")
