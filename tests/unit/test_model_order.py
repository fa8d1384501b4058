"""Rule 7: what leaves, and what is recorded of it."""

from __future__ import annotations

import struct

import pytest
from model_bytes import (
    LOCATE,
    NS,
    OWN_ADDR,
    OWN_PORT,
    PEER_ADDR,
    PEER_PORT,
    Rig,
    accepted42,
    accepted50,
    add,
    enter,
    executed50,
    frame,
    instead,
    kinds,
    template,
    token,
    withdraw,
)
from turbo_hft.model import (
    Clock,
    EventKind,
    Kill,
    Op,
    OrderState,
    Pending,
    Protocol,
    Reason,
    Recent,
    Side,
    Strategy,
    Tif,
    XdpAction,
)

PRICE = 1_500_000
BUY, SELL = Side.BUY, Side.SELL


# --- OUCH 5.0 --------------------------------------------------------------------------------------------------------


def test_enter_ouch50() -> None:
    rig = Rig()
    outcome = rig.buy(100, PRICE)
    assert outcome.verdict == XdpAction.TX
    fresh = template()
    assert len(outcome.frame) == 42 + 50
    assert outcome.frame[:14] == fresh.headers[:14]
    message = outcome.frame[42:]
    assert message == (
        b"\x00\x30UO" + struct.pack(">IcI8sQ", 1, b"B", 100, b"AAPL    ", PRICE) + fresh.msg[1][3 + 26 : 50]
    )


@pytest.mark.parametrize(("tif", "sent"), [(Tif.SESSION, b"\x5a"), (Tif.IOC, b"3"), (Tif.DAY, b"0")])
def test_time_in_force_ouch50(tif: Tif, sent: bytes) -> None:
    rig = Rig()
    assert rig.order(enter(BUY, 10, PRICE, tif)).frame[42 + 3 + 26 : 42 + 3 + 28] == sent + b"\x5a"
    rig.reply(accepted50(1, 10))
    assert rig.order(instead(1, BUY, 10, PRICE + 1, tif)).frame[42 + 3 + 21 : 42 + 3 + 23] == sent + b"\x5a"


def test_replace_ouch50() -> None:
    rig = Rig()
    rig.order(enter(BUY, 100, PRICE))
    rig.reply(accepted50(1, 100), executed50(1, 30, PRICE))
    rig.engine.working[1].chain_qty = 1000
    outcome = rig.order(instead(1, BUY, 50, PRICE - 100))
    assert outcome.frame[42:] == (
        b"\x00\x29UU" + struct.pack(">IIIQ", 1, 2, 1080, PRICE - 100) + bytes([0x5A]) * (43 - 4 - 20)
    )
    assert outcome.frame[18:20] == b"\x00\x02"


def test_cancel_ouch50() -> None:
    rig = Rig()
    rig.engine.session.next_user_ref = 0x10003
    rig.order(enter(BUY, 100, PRICE))
    rig.reply(accepted50(0x10003, 100))
    outcome = rig.order(withdraw(0x10003))
    assert outcome.verdict == XdpAction.TX
    assert outcome.frame[42:] == b"\x00\x0aUX" + struct.pack(">II", 0x10003, 0)
    assert outcome.frame[18:20] == b"\x00\x03"


@pytest.mark.parametrize(
    ("position", "side", "sent"), [(0, BUY, b"B"), (-10, BUY, b"B"), (10, SELL, b"S"), (9, SELL, b"T"), (0, SELL, b"T")]
)
def test_side(position: int, side: Side, sent: bytes) -> None:
    rig = Rig()
    rig.state.position = position
    rig.of_symbol.short_ok, rig.of_symbol.max_short = 1, 100
    assert rig.order(enter(side, 10, PRICE)).frame[50:51] == sent
    assert rig.engine.working[1].short_sale == (sent == b"T")


# --- OUCH 4.2 --------------------------------------------------------------------------------------------------------


def test_sell_ouch42() -> None:
    rig = Rig(Protocol.OUCH42)
    rig.state.position = 30
    rig.engine.session.next_user_ref = 0xABCDE
    rig.engine.params[0].sell_above_e4 = PRICE
    sent = rig.feed(add(1, "B", 10, PRICE + 1)).frame
    fresh = template(Protocol.OUCH42)
    assert sent[42:] == (
        b"\x00\x32UO"
        + b"TURBO 000ABCDE"
        + struct.pack(">cI8sI", b"S", 30, b"AAPL    ", PRICE + 1)
        + fresh.msg[1][35:52]
    )
    assert sent[18:20] == b"\xbc\xde"


@pytest.mark.parametrize(("tif", "sent"), [(Tif.SESSION, b"\x5a" * 4), (Tif.IOC, bytes(4)), (Tif.DAY, b"\0\1\x86\x9e")])
def test_replace_and_time_in_force_ouch42(tif: Tif, sent: bytes) -> None:
    rig = Rig(Protocol.OUCH42)
    assert rig.order(enter(BUY, 10, PRICE, tif)).frame[42 + 3 + 32 : 42 + 3 + 37] == sent + b"\x5a"
    rig.reply(accepted42(token(1), 10))
    assert rig.order(instead(1, BUY, 20, PRICE + 1, tif)).frame[42:] == (
        b"\x00\x30UU" + token(1) + token(2) + struct.pack(">II", 20, PRICE + 1) + sent + b"\x5a" * (47 - 41)
    )


def test_cancel_ouch42() -> None:
    rig = Rig(Protocol.OUCH42)
    rig.order(enter(BUY, 10, PRICE))
    rig.reply(accepted42(token(1), 10))
    assert rig.order(withdraw(1)).frame[42:] == b"\x00\x14UX" + token(1) + bytes(4)


# --- the frame -------------------------------------------------------------------------------------------------------


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
    filler = struct.unpack_from(">H", fresh.msg[1], 30)[0]
    adjusted = (filler + checksum) % 0xFFFF
    fresh.msg[1] = fresh.msg[1][:30] + struct.pack(">H", adjusted) + fresh.msg[1][32:]
    rig.engine.template = fresh
    assert rig.buy().frame[40:42] == b"\xff\xff"


def test_messages_share_a_frame_and_a_refused_one_is_left_out() -> None:
    rig = Rig()
    rig.add_symbol(1, "MSFT", LOCATE + 1)
    rig.add_symbol(2, "INTC", LOCATE + 2)
    for index, params in rig.engine.params.items():
        params.buy_below_e4 = PRICE
        rig.engine.symbol_limits[1][index].max_order_qty = 0 if index == 1 else 1000
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


def test_a_cancel_and_a_replacement_in_one_frame() -> None:
    rig = Rig()
    params = rig.engine.params[0]
    params.strategy, params.quote_qty, params.quote_half_spread_e4 = Strategy.QUOTER, 100, 1000
    params.quote_inventory = 500
    rig.of_symbol.short_ok, rig.of_symbol.max_short = 1, 1000
    outcome = rig.feed(add(1, "B", 5, PRICE - 500), add(2, "S", 5, PRICE + 500))
    assert kinds(outcome) == [EventKind.ORDER, EventKind.ORDER]
    rig.reply(accepted50(1, 100), accepted50(2, 100, side="T"))
    rig.state.position = 500
    outcome = rig.feed(add(3, "B", 5, PRICE + 100))
    assert kinds(outcome) == [EventKind.CANCEL_SENT, EventKind.ORDER]
    assert outcome.frame[18:20] == b"\x00\x01"
    assert len(outcome.frame) == 42 + 12 + 43
    assert (rig.engine.counter["orders"], rig.engine.counter["cancels"]) == (3, 1)
    assert rig.engine.counter["order_frames"] == 2


def test_throttles_count_inside_a_packet() -> None:
    rig = Rig()
    rig.add_symbol(1, "MSFT", LOCATE + 1)
    rig.of_account.burst = 1
    for params in rig.engine.params.values():
        params.buy_below_e4 = PRICE
    outcome = rig.feed(add(1, "S", 5, PRICE), add(2, "S", 5, PRICE, name="MSFT", locate=LOCATE + 1))
    assert [event.reason for event in outcome.events] == [0, Reason.RATE]


# --- records ---------------------------------------------------------------------------------------------------------


def test_records_of_a_new_order() -> None:
    rig = Rig()
    outcome = rig.buy(100, PRICE, ns=NS + 9)
    order, state, account = rig.engine.working[1], rig.state, rig.engine.account
    assert (order.user_ref, order.state, order.symbol, order.side) == (1, OrderState.SENT, 0, BUY)
    assert (order.price_e4, order.qty, order.open_qty, order.filled_qty, order.filled_e4) == (PRICE, 100, 100, 0, 0)
    assert (order.strategy, order.epoch, order.short_sale, order.pending) == (Strategy.THRESHOLD, 5, 0, 0)
    assert (order.other_ref, order.chain_qty, order.order_ref) == (0, 0, 0)
    assert (order.counted_qty, order.counted_e4) == (100, 100 * PRICE)
    strategy = account.strategy[Strategy.THRESHOLD]
    assert (state.open_ref, state.open_qty, account.open_e4) == ([1, *[0] * 7], [100, 0], [100 * PRICE, 0])
    assert state.open_orders == strategy.open_orders == account.open_orders == 1
    assert state.orders_sent == strategy.orders_sent == rig.engine.session.orders_sent == 1
    assert (state.recent_head, state.recent[0]) == (1, Recent(NS + 9, PRICE, 200))
    assert rig.engine.session.next_user_ref == 2
    assert (rig.engine.counter["orders"], rig.engine.counter["order_frames"]) == (1, 1)
    (event,) = outcome.events
    assert (event.kind, event.symbol, event.side, event.user_ref) == (EventKind.ORDER, 0, BUY, 1)
    assert (event.price_e4, event.qty, event.open_qty, event.reason) == (PRICE, 100, 100, 0)
    assert (event.feed_seq, event.exchange_ns, event.ask_e4, event.epoch) == (4, NS + 9, PRICE, 5)
    assert (event.strategy, event.other_ref) == (Strategy.THRESHOLD, 0)


def test_the_clock_of_an_order_is_the_packets_entry() -> None:
    rig = Rig(clock=Clock.MONOTONIC)
    rig.order(enter(SELL, 0, 1), now_ns=5)
    rig.order(enter(BUY, 10, PRICE), now_ns=77)
    assert rig.engine.working[1].sent_ns == 77
    assert rig.state.recent[0] == Recent(77, PRICE, 20)


def test_recent_is_a_ring_that_knows_the_side() -> None:
    rig = Rig()
    rig.state.recent_head = 2**32 - 1
    rig.state.position = 50
    rig.order(enter(SELL, 10, PRICE + 1))
    assert (rig.state.recent_head, rig.state.recent[7]) == (0, Recent(NS, PRICE + 1, 21))
    rig.order(enter(SELL, 11, PRICE + 1))
    assert (rig.state.recent_head, rig.state.recent[0]) == (1, Recent(NS, PRICE + 1, 23))


def test_records_of_a_replacement() -> None:
    rig = Rig()
    rig.buy(100, PRICE)
    rig.reply(accepted50(1, 100), executed50(1, 30, PRICE))
    rig.engine.working[1].chain_qty = 5
    outcome = rig.order(instead(1, BUY, 90, PRICE + 2))
    old, new = rig.engine.working[1], rig.engine.working[2]
    assert (old.state, old.pending, old.other_ref, old.open_qty) == (OrderState.LIVE, Pending.REPLACE, 2, 70)
    assert (new.state, new.other_ref, new.chain_qty, new.open_qty) == (OrderState.SENT, 1, 35, 90)
    assert new.strategy == Strategy.MANUAL
    # Both are open: the new one counts with what it has more than the old one.
    assert (new.counted_qty, new.counted_e4) == (20, 90 * (PRICE + 2) - 70 * PRICE)
    assert (rig.state.open_qty, rig.engine.account.open_e4) == ([90, 0], [90 * (PRICE + 2), 0])
    assert (rig.state.open_orders, rig.state.orders_sent, rig.state.open_ref[:3]) == (2, 2, [1, 2, 0])
    assert rig.engine.account.strategy[Strategy.MANUAL].open_orders == 1
    (event,) = outcome.events
    assert (event.kind, event.user_ref, event.other_ref, event.qty) == (EventKind.ORDER, 2, 1, 90)
    assert (event.strategy, event.price_e4) == (Strategy.MANUAL, PRICE + 2)


def test_a_smaller_replacement_counts_nothing() -> None:
    rig = Rig()
    rig.buy(100, PRICE)
    rig.reply(accepted50(1, 100))
    rig.order(instead(1, BUY, 90, PRICE - 2))
    new = rig.engine.working[2]
    assert (new.counted_qty, new.counted_e4, rig.state.open_qty) == (0, 0, [100, 0])


def test_a_replacement_of_a_short_sale_stays_one() -> None:
    rig = Rig()
    rig.of_symbol.short_ok, rig.of_symbol.max_short = 1, 100
    rig.order(enter(SELL, 10, PRICE))
    rig.reply(accepted50(1, 10, side="T"))
    rig.state.position = 50
    rig.order(instead(1, SELL, 10, PRICE + 1))
    assert rig.engine.working[2].short_sale == 1


def test_records_of_a_cancel() -> None:
    rig = Rig()
    rig.buy(100, PRICE)
    rig.reply(accepted50(1, 100), executed50(1, 30, PRICE))
    outcome = rig.order(withdraw(1))
    order = rig.engine.working[1]
    assert (order.state, order.pending, order.open_qty) == (OrderState.LIVE, Pending.CANCEL, 70)
    assert (rig.state.orders_sent, rig.engine.session.next_user_ref) == (1, 2)
    (event,) = outcome.events
    assert (event.kind, event.user_ref, event.side, event.price_e4) == (EventKind.CANCEL_SENT, 1, BUY, PRICE)
    assert (event.qty, event.open_qty, event.strategy, event.epoch) == (70, 70, Strategy.MANUAL, 5)
    assert rig.order(withdraw(1)).events[0].reason == Reason.BAD_INTENT


def test_the_lowest_free_place_among_open_orders_is_taken() -> None:
    rig = Rig()
    for price in (PRICE, PRICE + 1, PRICE + 2):
        rig.order(enter(BUY, 10, price))
    rig.reply(accepted50(2, 10, state="D"))
    assert rig.state.open_ref[:4] == [1, 0, 3, 0]
    rig.order(enter(BUY, 10, PRICE))
    assert rig.state.open_ref[:4] == [1, 4, 3, 0]


def test_second_tick_waits_for_the_first_order() -> None:
    rig = Rig()
    rig.buy()
    assert rig.feed(add(2, "S", 5, PRICE)).verdict == XdpAction.DROP
    assert rig.engine.counter["wait_in_flight"] == 1


# --- orders of a person ----------------------------------------------------------------------------------------------


def test_an_order_command_is_answered_with_the_frame() -> None:
    rig = Rig()
    outcome = rig.order(enter(BUY, 10, PRICE))
    assert outcome.verdict == XdpAction.TX
    assert outcome.frame[42:46] == b"\x00\x30UO"
    (event,) = outcome.events
    assert (event.kind, event.strategy, event.feed_seq) == (EventKind.ORDER, Strategy.MANUAL, rig.next_feed - 1)
    assert event.exchange_ns == rig.receiver.exchange_ns
    counter = rig.engine.counter
    assert (counter["commands"], counter["intents"], counter["order_frames"]) == (1, 1, 1)


def test_an_order_command_that_the_gate_refuses() -> None:
    rig = Rig()
    rig.engine.control.strategy_kill[Strategy.MANUAL] = Kill.HALTED
    outcome = rig.order(enter(BUY, 10, PRICE))
    assert (outcome.verdict, kinds(outcome)) == (XdpAction.ABORTED, [EventKind.REFUSED])
    assert rig.engine.refused[Reason.HALTED_STRATEGY] == 1
    counter = rig.engine.counter
    assert (counter["commands"], counter["commands_refused"], counter["order_frames"]) == (0, 1, 0)


@pytest.mark.parametrize("blocks", [[], [bytes(23)], [bytes(25)], [bytes(24)] * 2])
def test_an_order_command_needs_one_intent(blocks: list[bytes]) -> None:
    rig = Rig()
    outcome = rig.command(Op.ORDER, *blocks)
    assert (outcome.verdict, outcome.events) == (XdpAction.ABORTED, [])


def test_an_order_command_is_of_a_slot() -> None:
    rig = Rig()
    for slot in (1, 256, 2**32 - 1):
        assert rig.order(enter(BUY, 10, PRICE), slot=slot).events == []
    assert rig.engine.counter["commands_refused"] == 3
