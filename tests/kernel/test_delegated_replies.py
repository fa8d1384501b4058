"""Replies in the TCP stream: the hook takes those it can, user space reads them all, and each counts once."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from this_run import some_seeds
from wire_rig import SERVER_HEARTBEAT, Reader, WireRig, adverse_rig, sequenced, wait_for, wire_rig

pytestmark = [pytest.mark.kernel, pytest.mark.e2e]

NUMBER = 6


@contextmanager
def traded() -> Iterator[tuple[WireRig, Reader]]:
    """An armed rig, and a reader."""
    with wire_rig(NUMBER) as rig:
        rig.open()
        rig.connection.arm()
        yield rig, Reader(rig)


def states(rig: WireRig) -> list[str]:
    return [order.state for order in rig.engine.orders.all()]


def test_whole_segments_in_order_are_taken_from_the_stream() -> None:
    with traded() as (rig, reader):
        for number in range(1, 6):
            assert rig.fire(answer=False, over=False)
            rig.peer.socket.send(SERVER_HEARTBEAT + sequenced(number))
            wait_for(lambda: states(rig)[-1] == "rejected", "the hook did not take it")
        counters = rig.engine.counters()
        assert (counters["wire_replies"], counters["wire_replies_left"]) == (5, 0)
        assert reader.read() == 5
        counters = rig.engine.counters()
        assert counters["reply_duplicates"] == 5
        assert states(rig) == ["rejected"] * 5
        assert rig.engine.session.expected_seq == 6
        rig.agree()


def test_a_split_reply_is_user_spaces_and_the_next_the_hooks_again() -> None:
    with traded() as (rig, reader):
        assert rig.fire(answer=False, over=False)
        packet = sequenced(1)
        for piece in (packet[:1], packet[1:20], packet[20:]):
            rig.peer.socket.send(piece)
        wait_for(lambda: rig.engine.counters()["wire_replies_left"] == 3, "the segments did not come")
        assert states(rig) == ["sent"], "half a message was applied"
        assert reader.read() == 1
        assert states(rig) == ["rejected"]
        assert rig.fire(answer=False, over=False)
        rig.peer.socket.send(sequenced(2))
        wait_for(lambda: states(rig) == ["rejected"] * 2, "the hook does not go on")
        assert rig.engine.counters()["wire_replies"] == 1
        reader.read()
        assert rig.engine.session.health == "up"


def test_what_is_no_packet_of_a_server_is_left_alone() -> None:
    with traded() as (rig, reader):
        assert rig.fire(answer=False, over=False)
        for bad in (b"\0\0", b"\0\1L", sequenced(1) + b"\0", b"\xff\xffS"):
            rig.peer.socket.send(bad)
        wait_for(lambda: rig.engine.counters()["wire_replies_left"] >= 4, "the segments did not come")
        assert states(rig) == ["sent"]
        assert rig.engine.counters()["wire_replies"] == 0
        assert reader.number == 1


def test_before_it_is_told_where_the_stream_stands_the_hook_takes_nothing() -> None:
    with wire_rig(NUMBER) as rig:
        rig.open()
        rig.connection.arm()
        assert rig.fire(answer=False, over=False)
        rig.peer.socket.send(sequenced(1))
        wait_for(lambda: rig.engine.counters()["wire_replies_left"] == 1, "the segment did not come")
        assert states(rig) == ["sent"]


@pytest.mark.parametrize("seed", some_seeds(1))
def test_the_same_comes_of_it_whichever_way_it_comes(seed: int) -> None:
    """A bad line, replies cut anywhere: each order ends once, and nothing is in doubt."""
    chance = random.Random(seed)
    with adverse_rig(NUMBER, seed, lost_ppm=(0, 20_000), late_ppm=(0, 50_000), late_ns=200_000) as (rig, _):
        rig.open()
        rig.connection.arm()
        rig.peer.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reader = Reader(rig)
        for number in range(1, 301):
            wait_for(lambda: reader.read() >= 0 and rig.fire(answer=False, over=False), "nothing leaves")
            data = sequenced(number)
            cut = chance.choice((0, 0, chance.randrange(1, len(data))))
            for piece in filter(None, (data[:cut], data[cut:])):
                rig.peer.socket.send(piece)
            rig.peer.read()
            wait_for(lambda: reader.read() >= 0 and not rig.engine.orders.open(), "an answer is lost")
        wait_for(lambda: reader.read() >= 0 and reader.number == 301, "not all was read")
        counters = rig.engine.counters()
        assert counters["wire_replies"] > 50, "the hook took hardly any"
        assert counters["wire_replies_left"] > 50, "the hook took nearly all"
        assert counters["reply_duplicates"] == counters["wire_replies"]
        assert rig.engine.session.health == "up"
        assert rig.engine.session.expected_seq == 301
        rig.agree()
