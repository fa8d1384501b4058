"""Orders that the hook sends on a live TCP connection: does the peer get the very bytes that were meant?"""

from __future__ import annotations

import os

import pytest
from turbo_hft.delegated import Connection
from turbo_hft.errors import ConfigError
from wire_cancels import accept, cancel_of, canceled
from wire_rig import WireRig, wait_for, wire_rig

pytestmark = [pytest.mark.kernel, pytest.mark.e2e]

ORDERS = int(os.environ.get("WIRE_ORDERS", "20000"))
HEARTBEAT_EVERY, CANCEL_EVERY = 10, 50


def trade(rig: WireRig, orders: int) -> int:
    """Ticks until so many orders have left, with ordinary sends and cancels in between; how many cancels."""
    left = refused = cancels = 0
    while left < orders:
        cancel = (left + 1) % CANCEL_EVERY == 0
        if rig.fire(over=not cancel):
            left += 1
            if cancel:
                accept(rig)
                rig.engine.orders.cancel(rig.user_ref)
                rig.expected += cancel_of(rig.user_ref)
                canceled(rig, rig.user_ref)
                cancels += 1
        else:
            refused += 1
        if (left + refused) % HEARTBEAT_EVERY == 0:
            rig.send()
    return cancels


def test_every_byte_of_orders_cancels_and_heartbeats_arrives_once_and_in_order() -> None:
    with wire_rig(1) as rig:
        rig.open()
        rig.send()
        rig.connection.arm()
        cancels = trade(rig, ORDERS)
        wait_for(lambda: not rig.connection.status.waiting, "a cancel still waits")
        rig.agree()
        rig.connection.disarm()
        status = rig.connection.status
        counters = rig.engine.counters()
        assert counters["orders"] == ORDERS and cancels == ORDERS // CANCEL_EVERY
        handed, sent = rig.engine.cancels_handed()
        assert handed == sent
        assert status.fired == status.merged == counters["wire_sends"] == ORDERS + cancels - handed
        assert status.unmerged == 0
        assert not status.error
        assert len(rig.heard) == rig.peer.said, "what the peer said did not all come through"
        assert counters["wire_acks_held"] > 0, "no acknowledgement ever came before its merge: the test shows nothing"


def test_nothing_leaves_before_the_connection_is_armed_or_after_it_is_disarmed() -> None:
    with wire_rig(1) as rig:
        rig.open()
        assert not rig.fire()
        assert rig.refused("wire_down") == 1
        rig.connection.arm()
        assert rig.fire()
        rig.connection.disarm()
        assert not rig.fire()
        assert rig.refused("wire_down") == 2
        rig.connection.arm()
        assert rig.fire()
        rig.agree()


def test_a_cpu_that_is_not_there_is_named() -> None:
    with wire_rig(1) as rig:
        rig.open()
        with pytest.raises(ConfigError, match="merge_cpu 4096: there is no such CPU"):
            Connection(rig.engine, rig.session, rig.socket, merge_cpu=4096)


def test_what_the_kernel_sends_by_itself_follows_what_the_hook_sent() -> None:
    """The kernel goes on with the wire's sequence: a heartbeat right behind an order is no retransmission."""
    with wire_rig(1) as rig:
        rig.open()
        rig.connection.arm()
        for _ in range(200):
            assert rig.fire()
            rig.send()
        rig.agree()
        wait_for(lambda: rig.connection.status.unacknowledged == 0, "something stays unacknowledged")
        # Taken for one, each of the 200 would be sent again; a probe of the tail is a busy machine's.
        assert rig.connection.status.total_retransmits < 10
