"""Rule 7: what leaves, and what is recorded of it."""

from __future__ import annotations

import struct

import pytest
from model_bytes import LOCATE, NS, OWN_ADDR, OWN_PORT, PEER_ADDR, PEER_PORT, Rig, add, frame, kinds, template
from turbo_hft.model import EventKind, OrderState, Protocol, Reason, Side, XdpAction

PRICE = 1_500_000


def test_first_order_ouch50() -> None:
    rig = Rig()
    outcome = rig.buy(100, PRICE)
    assert outcome.verdict == XdpAction.TX
    fresh = template()
    assert len(outcome.frame) == 42 + 50
    assert outcome.frame[:14] == fresh.headers[:14]
    message = outcome.frame[42:]
    assert message == (
        b"\x00\x30UO" + struct.pack(">IcI8sQ", 1, b"B", 100, b"AAPL    ", PRICE) + fresh.msg[3 + 26 : 50]
    )


def test_headers_are_those_of_a_hand_made_datagram() -> None:
    outcome = Rig().buy()
    message = outcome.frame[42:]
    made = bytearray(frame(message, (PEER_ADDR, PEER_PORT), (OWN_ADDR, OWN_PORT), flags_fragment=0x4000))
    assert outcome.frame[34:] == made[34:]
    assert outcome.frame[14:24] == bytes([0x45, 0x10, 0, 28 + 50, 0, 1, 0x40, 0, 64, 17])
    assert outcome.frame[26:34] == made[26:34]


@pytest.mark.parametrize("tags", [b"", b"\x81\x00\x00\x05", b"\x88\xa8\x00\x05\x81\x00\x00\x06"])
def test_checksums_are_right_behind_tags(tags: bytes) -> None:
    rig = Rig()
    rig.engine.template = template(tags=tags)
    sent = rig.buy().frame
    assert len(sent) == 42 + len(tags) + 50
    assert sent[12 : 12 + len(tags)] == tags
    ipv4 = sent[14 + len(tags) :]
    # A right header is a multiple of 65535 when its words are read as one number.
    assert int.from_bytes(ipv4[:20], "big") % 0xFFFF == 0
    pseudo = ipv4[12:20] + struct.pack(">BBH", 0, 17, len(ipv4) - 20)
    assert int.from_bytes(pseudo + ipv4[20:], "big") % 0xFFFF == 0


def test_zero_udp_checksum_is_sent_as_ones() -> None:
    rig = Rig()
    sent = Rig().buy().frame
    checksum = struct.unpack_from(">H", sent, 40)[0]
    fresh = template()
    filler = struct.unpack_from(">H", fresh.msg, 30)[0]
    adjusted = (filler + checksum) % 0xFFFF
    fresh.msg = fresh.msg[:30] + struct.pack(">H", adjusted) + fresh.msg[32:]
    rig.engine.template = fresh
    assert rig.buy().frame[40:42] == b"\xff\xff"


def test_sell_ouch42() -> None:
    rig = Rig(Protocol.OUCH42)
    rig.engine.symbols[0].position = 30
    rig.engine.session.next_user_ref = 0xABCDE
    rig.engine.params[0].sell_above_e4 = PRICE
    sent = rig.feed(add(1, "B", 10, PRICE + 1)).frame
    fresh = template(Protocol.OUCH42)
    assert sent[42:] == (
        b"\x00\x32UO" + b"TURBO 000ABCDE" + struct.pack(">cI8sI", b"S", 30, b"AAPL    ", PRICE + 1) + fresh.msg[35:52]
    )
    assert sent[18:20] == b"\xbc\xde"


def test_records() -> None:
    rig = Rig()
    outcome = rig.buy(100, PRICE, ns=NS + 9)
    order = rig.engine.working[1]
    state = rig.engine.symbols[0]
    assert (order.user_ref, order.state, order.symbol, order.side) == (1, OrderState.SENT, 0, Side.BUY)
    assert (order.price_e4, order.qty, order.open_qty, order.filled_qty, order.filled_e4) == (PRICE, 100, 100, 0, 0)
    assert (state.working_ref, state.working_qty, state.working_side, state.orders_sent) == (1, 100, Side.BUY, 1)
    assert (rig.engine.session.next_user_ref, rig.engine.session.order_head) == (2, 1)
    assert rig.engine.order_times == [NS + 9]
    assert (rig.engine.counter["orders"], rig.engine.counter["order_frames"]) == (1, 1)
    (event,) = outcome.events
    assert (event.kind, event.symbol, event.side, event.user_ref) == (EventKind.ORDER, 0, Side.BUY, 1)
    assert (event.price_e4, event.qty, event.open_qty, event.reason) == (PRICE, 100, 100, 0)
    assert (event.feed_seq, event.exchange_ns, event.ask_e4) == (4, NS + 9, PRICE)


def test_second_tick_waits_for_the_first_order() -> None:
    rig = Rig()
    rig.buy()
    assert rig.feed(add(2, "S", 5, PRICE)).verdict == XdpAction.DROP
    assert rig.engine.counter["wait_in_flight"] == 1


def test_two_orders_share_a_frame_and_a_refused_one_is_left_out() -> None:
    rig = Rig()
    rig.add_symbol(1, "MSFT", LOCATE + 1)
    rig.add_symbol(2, "INTC", LOCATE + 2)
    for index, params in rig.engine.params.items():
        params.buy_below_e4 = PRICE
        params.max_order_qty = 0 if index == 1 else 1000
    outcome = rig.feed(
        add(1, "S", 5, PRICE),
        add(2, "S", 5, PRICE, name="MSFT", locate=LOCATE + 1),
        add(3, "S", 5, PRICE, name="INTC", locate=LOCATE + 2),
    )
    assert kinds(outcome) == [EventKind.ORDER, EventKind.REFUSED, EventKind.ORDER]
    assert [event.id for event in outcome.events] == [1, 2, 3]
    assert outcome.events[1].reason == Reason.MAX_ORDER_QTY
    assert len(outcome.frame) == 42 + 2 * 50
    assert outcome.frame[42 + 13 : 42 + 21] == b"AAPL    "
    assert outcome.frame[92 + 13 : 92 + 21] == b"INTC    "
    assert (rig.engine.counter["orders"], rig.engine.counter["order_frames"]) == (2, 1)


def test_rate_counts_inside_a_packet() -> None:
    rig = Rig()
    rig.add_symbol(1, "MSFT", LOCATE + 1)
    rig.engine.control.max_orders_per_second = 1
    for params in rig.engine.params.values():
        params.buy_below_e4 = PRICE
    outcome = rig.feed(add(1, "S", 5, PRICE), add(2, "S", 5, PRICE, name="MSFT", locate=LOCATE + 1))
    assert [event.reason for event in outcome.events] == [0, Reason.ORDER_RATE]
