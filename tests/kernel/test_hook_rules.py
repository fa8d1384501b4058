"""Rules of the hook one by one, on the loaded program and on the model at once."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from typing import Any

import pytest
from gate_rig import BID_E4, gate
from turbo_hft._native import lib
from turbo_hft.addresses import OrderSession, Protocol
from turbo_hft.errors import ConfigError
from turbo_hft.model.engine import Outcome
from turbo_hft.model.names import Doubt, EventKind, SessionHealth, XdpAction
from turbo_hft.recovery.commands import Commands
from turbo_hft.testing import Hook
from turbo_hft.testing.scenario import stock_directory
from turbo_hft.wire import itch50, ouch42, ouch50, ufo
from turbo_hft.wire.frame import parse_udp, udp_frame
from turbo_hft.wire.moldudp64 import EndOfSession, Heartbeat, Packet
from twin import FEED, SESSION, Twin

pytestmark = pytest.mark.kernel

BIG = {"strategy": lib.HFT_STRATEGY_THRESHOLD, "base_qty": 100, "cap_qty": 500}
OFFER_E4 = 1_630_000
TARGET_E4 = 1_632_000
HOLD_NS = 2_000_000  # config.hold_ns of a Hook, and below it config.crossed_ns
CROSSED_NS = 1_000_000_000
KEPT = 1024  # messages that a Hook keeps
assert FEED.rerequest is not None
LINES = {
    "a": ((str(FEED.source), 9), (FEED.group, FEED.port)),
    "b": ((str(FEED.source_b), 9), (str(FEED.group_b), FEED.port)),
    "rerequest": (FEED.rerequest.server, FEED.rerequest.local),
}
COMMANDER = ("240.0.0.0", 1)


def _frame(source: tuple[str, int], destination: tuple[str, int], payload: bytes) -> bytes:
    return udp_frame(
        src_mac=SESSION.remote_mac, dst_mac=SESSION.local_mac, src=source, dst=destination, payload=payload
    )


class Day:
    """A trading day for a twin: feed packets in sequence, replies in sequence. `phase` and `state` are what S and H
    say before the test begins, nothing if empty."""

    def __init__(
        self,
        hook: Hook,
        session: OrderSession = SESSION,
        symbols: int = 1,
        phase: str = "Q",
        state: str = "T",
        **params: int,
    ) -> None:
        self.twin = Twin(hook, session)
        self.session = session
        self.names = [f"SYM{i}" for i in range(symbols)]
        for name in self.names:
            self.twin.add_symbol(name, buy_below_e4=TARGET_E4, **(BIG | params))
        self.twin.widen()
        self.sequence = self.reply_sequence = 1
        self.clock = 10**12
        self.ref = 0
        self.reply(ufo.LoginAccepted("ORDERS", 1))
        self.feed(*(stock_directory(name, i + 1, self.stamp()) for i, name in enumerate(self.names)))
        if phase:
            self.feed(self.system_event(phase))
        if state:
            self.feed(*(self.trading_action(state, symbol) for symbol in range(symbols)))
        self.feed(*(self.trade(symbol) for symbol in range(symbols)))

    def stamp(self) -> dict[str, int]:
        self.clock += 1000
        return {"tracking_number": 0, "timestamp": self.clock}

    def frame(self, payload: bytes, line: str = "a") -> bytes:
        """A frame of the feed."""
        return _frame(*LINES[line], payload)

    def send(self, *messages: bytes, sequence: int | None = None, line: str = "a") -> Outcome:
        """Send a packet, by default the next one; what both made of it."""
        at = self.sequence if sequence is None else sequence
        self.sequence = max(self.sequence, at + len(messages))
        outcome = self.twin.packet(self.frame(Packet("DAY", at, messages).encode(), line))
        self.twin.compare_state()
        return outcome

    def feed(self, *messages: bytes, sequence: int | None = None, line: str = "a") -> bytes | None:
        """Send a packet; the order frame if one left."""
        outcome = self.send(*messages, sequence=sequence, line=line)
        return outcome.frame if outcome.verdict == XdpAction.TX else None

    def command(self, payload: bytes) -> Outcome:
        """A command as user space makes it."""
        outcome = self.twin.packet(_frame(COMMANDER, self.twin.commands, payload))
        self.twin.compare_state()
        return outcome

    @property
    def commands(self) -> Commands:
        return Commands(self.twin.model.command_nonce, 0)

    def resync(self, symbol: int, *snapshot: bytes) -> list[Outcome]:
        """Install a snapshot taken now, every step of it."""
        make, slot = self.commands, symbol
        payloads = [make.begin(slot), *make.sweeps(self.twin.engine.program.config)]
        payloads += [*make.install(slot, self.sequence, snapshot), make.release(slot, self.sequence)]
        return [self.command(payload) for payload in payloads]

    def reply(self, message: ufo.Downstream) -> None:
        self.twin.packet(_frame(self.session.remote, self.session.local, message.encode()))
        self.twin.compare_state()

    def answer(self, *messages: bytes) -> None:
        self.reply(ufo.Sequenced(self.reply_sequence, messages))
        self.reply_sequence += len(messages)

    def offer(self, symbol: int = 0, price: int = OFFER_E4, shares: int = 300, side: str = "S") -> bytes:
        self.ref += 1
        return itch50.AddOrder(
            stock_locate=symbol + 1,
            order_ref=self.ref,
            side=side,
            shares=shares,
            stock=self.names[symbol],
            price=price,
            **self.stamp(),
        ).encode()

    def trade(self, symbol: int = 0, price: int = OFFER_E4) -> bytes:
        """Of an order that is not displayed: the last price from now on."""
        return itch50.Trade(
            stock_locate=symbol + 1,
            order_ref=0,
            side="B",
            shares=1,
            stock=self.names[symbol],
            price=price,
            match_number=1,
            **self.stamp(),
        ).encode()

    def delete(self, ref: int, symbol: int = 0) -> bytes:
        return itch50.OrderDelete(stock_locate=symbol + 1, order_ref=ref, **self.stamp()).encode()

    def system_event(self, code: str) -> bytes:
        return itch50.SystemEvent(stock_locate=0, event_code=code, **self.stamp()).encode()

    def trading_action(self, state: str, symbol: int = 0) -> bytes:
        return itch50.StockTradingAction(
            stock_locate=symbol + 1,
            stock=self.names[symbol],
            trading_state=state,
            reserved="",
            reason="",
            **self.stamp(),
        ).encode()

    def operational_halt(self, action: str, market: str = "Q") -> bytes:
        return itch50.OperationalHalt(
            stock_locate=1, stock=self.names[0], market_code=market, halt_action=action, **self.stamp()
        ).encode()

    def did(self, name: str) -> int:
        """How often something was counted since the day began."""
        return self.twin.differences()[name]

    def refused(self, reason: str) -> int:
        return self.did(f"refused {reason}")

    def health(self, symbol: int = 0) -> str:
        return self.twin.engine.symbols[self.names[symbol]].health


def orders_in(frame: bytes) -> list[ouch50.EnterOrder]:
    orders = []
    for message in ufo.decode_upstream(parse_udp(frame).payload):
        assert isinstance(message, ufo.Unsequenced)
        order = ouch50.decode_inbound(message.message)
        assert isinstance(order, ouch50.EnterOrder)
        orders.append(order)
    return orders


def test_an_order_frame_is_right_in_every_field(hook: Hook) -> None:
    day = Day(hook)
    frame = day.feed(day.offer())
    assert frame is not None
    sent = parse_udp(frame)
    assert (sent.src_mac, sent.dst_mac) == (SESSION.local_mac, SESSION.remote_mac)
    assert (sent.src, sent.dst) == (SESSION.local, SESSION.remote)
    assert sent.ipv4_checksum_ok and sent.udp_checksum_ok
    (order,) = orders_in(frame)
    assert (order.user_ref_num, order.side, order.quantity, order.symbol, order.price) == (
        1,
        "B",
        100,
        "SYM0",
        OFFER_E4,
    )
    assert (order.tif, order.cl_ord_id) == ("3", "TURBO-HFT")


@pytest.mark.parametrize("padding", [0, 1, 7, 300, 1400])
@pytest.mark.parametrize("vlan", [None, 7])
def test_the_order_frame_has_its_own_length_whatever_the_tick_had(hook: Hook, padding: int, vlan: int | None) -> None:
    day = Day(hook, replace(SESSION, vlan=vlan))
    payload = Packet("DAY", day.sequence, (day.offer(),)).encode()
    outcome = day.twin.packet(day.frame(payload) + bytes(padding))
    assert outcome.verdict == XdpAction.TX
    assert len(outcome.frame) == (42 if vlan is None else 46) + 50
    assert parse_udp(outcome.frame).vlans == (() if vlan is None else (vlan,))
    assert parse_udp(outcome.frame).udp_checksum_ok


@pytest.mark.parametrize("symbols", [1, 2, 7, 8, 9, 12])
def test_several_triggers_of_a_packet_leave_in_one_datagram(hook: Hook, symbols: int) -> None:
    day = Day(hook, symbols=symbols)
    frame = day.feed(*(day.offer(symbol) for symbol in range(symbols)))
    assert frame is not None
    orders = orders_in(frame)
    assert [order.symbol for order in orders] == day.names[: min(symbols, 8)]
    assert [order.user_ref_num for order in orders] == list(range(1, len(orders) + 1))
    assert day.refused("no_room") == max(0, symbols - 8)
    assert parse_udp(frame).udp_checksum_ok


def _scramble(twin: Twin) -> None:
    """No byte of the template's messages but their lengths is what it was."""
    rng = random.Random(1)
    for action, length in enumerate(twin.model.template.msg_len):
        message = bytes(twin.model.template.msg[action][:2]) + rng.randbytes(max(0, length - 2))
        padded = message.ljust(lib.HFT_MAX_ORDER_MSG, b"\0")
        twin.engine._template[0].msg[action] = list(padded)
        twin.model.template.msg[action] = padded


@pytest.mark.parametrize("vlan", [None, 7])
@pytest.mark.parametrize("protocol", ["ouch50", "ouch42"])
def test_what_the_template_says_is_kept_and_summed(hook: Hook, protocol: Protocol, vlan: int | None) -> None:
    """Whatever it says: Enter Orders of several symbols, by a template none of whose bytes is 0 by chance."""
    day = Day(hook, replace(SESSION, protocol=protocol, vlan=vlan), symbols=3)
    _scramble(day.twin)
    frame = day.feed(*(day.offer(symbol) for symbol in range(3)))
    assert frame is not None
    sent = parse_udp(frame)
    assert sent.ipv4_checksum_ok and sent.udp_checksum_ok


def test_messages_of_odd_length_are_summed_where_they_begin(hook: Hook) -> None:
    """A Replace Order has 43 bytes: every other one begins at an odd offset."""
    with gate(hook) as rig:
        _scramble(rig.twin)
        slots = (rig.slot, rig.other)
        for slot in slots:
            rig.quotes(slot)
        rig.feed(*(rig.rest(100 + slot, "B", BID_E4 - 1000, slot) for slot in slots))
        for ref in range(1, 5):
            rig.accepts(ref)
        outcome = rig.feed(*(rig.rest(200 + slot, "B", BID_E4 + 600, slot) for slot in slots))
        assert [event.kind for event in outcome.events] == [EventKind.ORDER] * 4
        sent = parse_udp(outcome.frame)
        assert len(sent.payload) == 4 * 43
        assert sent.ipv4_checksum_ok and sent.udp_checksum_ok


def test_two_ticks_of_one_symbol_are_one_order(hook: Hook) -> None:
    day = Day(hook)
    frame = day.feed(day.offer(), day.offer(price=OFFER_E4 - 100))
    assert frame is not None
    (order,) = orders_in(frame)
    assert order.price == OFFER_E4 - 100, "the book as the packet left it decides"


def test_an_offer_that_its_own_packet_takes_back_is_not_bought(hook: Hook) -> None:
    day = Day(hook)
    assert day.feed(day.offer(), day.delete(1)) is None
    assert (day.did("signals"), day.did("intents")) == (1, 0)


@pytest.mark.parametrize(("side", "near", "fine", "far"), [("B", 16_200, 1, 10_000), ("S", 16_400, -1, 19_000)])
def test_a_strategy_is_told_of_the_best_level_wherever_it_lies(
    hook: Hook, side: str, near: int, fine: int, far: int
) -> None:
    """In a window of cents, in one of hundredths of a cent, and behind a window that is empty."""
    day = Day(hook)
    at = "BS".index(side)

    def told() -> tuple[int, int, int]:
        touch = day.twin._memory[0].touch
        return touch.price_e4[at], touch.qty[at], touch.orders[at]

    day.feed(day.offer(price=100 * near, shares=300, side=side))
    assert told() == (100 * near, 300, 1)
    day.feed(day.offer(price=100 * near + fine, shares=200, side=side))
    assert told() == (100 * near + fine, 200, 1)
    day.feed(*(day.offer(price=100 * far, shares=shares, side=side) for shares in (700, 50)))
    day.feed(day.delete(1), day.delete(2))
    assert day.twin.engine.symbols._books[0].held[at] == 1 << lib.HFT_WINDOW, "all levels are behind the window"
    assert told() == (100 * far, 750, 2)
    day.feed(day.offer(price=100 * far, shares=5, side=side))
    assert told() == (100 * far, 755, 3)
    day.feed(day.offer(price=100 * (far + fine), shares=1, side=side))
    assert told() == (100 * (far + fine), 1, 1), "the window has followed"
    day.feed(*(day.delete(ref) for ref in (3, 4, 5, 6)))
    assert told() == (0, 0, 0)


def test_no_second_order_while_one_is_in_flight(hook: Hook) -> None:
    day = Day(hook)
    assert day.feed(day.offer()) is not None
    assert day.feed(day.offer(price=OFFER_E4 - 100)) is None
    assert day.twin.differences()["wait_in_flight"] == 1
    day.answer(ouch50.Rejected(timestamp=1, user_ref_num=1, reason=0x11, cl_ord_id="").encode())
    assert day.feed(day.offer(price=OFFER_E4 - 200)) is not None


@pytest.mark.parametrize(("below", "quantity"), [(0, 10), (99, 10), (100, 15), (250, 20), (10_000, 100)])
def test_quantity_grows_as_the_price_falls(hook: Hook, below: int, quantity: int) -> None:
    day = Day(hook, base_qty=10, step_qty=5, tick_e4=100, cap_qty=100)
    frame = day.feed(day.offer(price=TARGET_E4 - below))
    assert frame is not None
    assert orders_in(frame)[0].quantity == quantity


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"max_order_qty": 99}, "max_order_qty"),
        ({"max_notional_e4": OFFER_E4 * 100 - 1}, "max_notional"),
        ({"restricted": 1}, "restricted"),
        ({"reference": lib.HFT_REFERENCE_NONE}, "no_reference"),
        ({"max_open_orders": 0}, "open_orders"),
        ({"burst": 0}, "rate_symbol"),
        ({"max_loss_e4": 0}, "loss_limit"),
    ],
)
def test_each_limit_of_a_symbol_refuses_from_the_epoch_on_that_it_is_for(
    hook: Hook, limits: dict[str, int], reason: str
) -> None:
    day = Day(hook)
    epoch = day.twin.model.control.epoch
    day.twin.set_symbol_limits(0, (epoch + 1) & 1, **limits)
    assert day.feed(day.offer()) is not None, "the other set holds"
    day.answer(ouch50.Rejected(timestamp=1, user_ref_num=1, reason=0x11, cl_ord_id="").encode())
    day.twin.set_control(epoch=epoch + 1)
    assert day.feed(day.offer()) is None
    assert day.refused(reason) == 1


@pytest.mark.parametrize(
    ("params", "reason"),
    [({"kill": 0}, "halted_symbol"), ({"kill": 2}, "reducing"), ({"base_qty": 10**6, "cap_qty": 10**6}, "qty_range")],
)
def test_a_parameter_holds_from_the_next_packet_on(hook: Hook, params: dict[str, int], reason: str) -> None:
    day = Day(hook)
    day.twin.set_params(0, **params)
    assert day.feed(day.offer()) is None
    assert day.refused(reason) == 1


@pytest.mark.parametrize(
    "limits", [{"max_order_qty": 100}, {"max_notional_e4": OFFER_E4 * 100}, {"max_long": 100}, {"max_open_orders": 1}]
)
def test_exactly_at_a_limit_is_within_it(hook: Hook, limits: dict[str, int]) -> None:
    day = Day(hook)
    for parity in (0, 1):
        day.twin.set_symbol_limits(0, parity, **limits)
    assert day.feed(day.offer()) is not None


def test_the_global_kill_word_stops_the_next_packet(hook: Hook) -> None:
    day = Day(hook)
    day.twin.set_control(kill=0)
    assert day.feed(day.offer()) is None
    assert day.refused("halted_global") == 1
    day.twin.set_control(kill=1)
    assert day.feed(day.offer()) is not None


def test_a_burst_leaves_at_once_and_then_one_at_a_time(hook: Hook) -> None:
    day = Day(hook, symbols=5)
    for parity in (0, 1):
        day.twin.set_account_limits(parity, interval_ns=500_000_000, burst=2)
    start = day.clock + 1000  # the time stamp of the first offer
    assert day.feed(day.offer(0)) is not None
    assert day.feed(day.offer(1)) is not None
    day.clock = start + 499_990_000
    assert day.feed(day.offer(2)) is None
    assert day.refused("rate") == 1
    day.clock = start + 500_000_000
    assert day.feed(day.offer(2)) is not None
    assert day.feed(day.offer(3)) is None
    day.clock -= 5_000_000_000
    assert day.feed(day.offer(3)) is None, "a clock that went back opened the limit"


def test_nothing_leaves_once_the_lease_is_over(hook: Hook) -> None:
    day = Day(hook, symbols=2)
    day.twin.set_control(lease_until_ns=day.clock + 2000)
    assert day.feed(day.offer(0)) is not None
    assert day.feed(day.offer(1)) is None
    assert day.refused("lease") == 1


def test_nothing_trades_before_login_or_after_the_end_of_the_session(hook: Hook) -> None:
    late = Day(hook)
    late.twin.packet(late.frame(EndOfSession("DAY", late.sequence).encode()))
    assert late.feed(late.offer()) is None
    assert late.refused("feed_not_live") == 1
    assert late.twin.engine.feed.health == "ended"
    early = Day(hook)
    early.twin.engine._session[0].health = SessionHealth.DOWN
    early.twin.model.session.health = SessionHealth.DOWN
    assert early.feed(early.offer()) is None
    assert early.refused("session_down") == 1


# The market: nothing leaves before it is known to be open


@pytest.mark.parametrize("phase", ["", "O", "S", "M", "E", "C"])
def test_only_market_hours_trade(hook: Hook, phase: str) -> None:
    day = Day(hook, phase=phase)
    assert day.feed(day.offer()) is None
    assert day.refused("market_closed") == 1
    assert day.feed(day.system_event("Q"), day.offer()) is not None


@pytest.mark.parametrize("level", ["1", "2", "3"])
def test_nothing_trades_once_a_circuit_breaker_was_hit(hook: Hook, level: str) -> None:
    day = Day(hook, symbols=2)
    day.feed(itch50.MwcbStatus(stock_locate=0, breached_level=level, **day.stamp()).encode())
    assert day.feed(day.offer(0), day.offer(1)) is None
    assert day.refused("market_closed") == 2


def test_a_symbol_whose_state_was_not_heard_does_not_trade(hook: Hook) -> None:
    day = Day(hook, symbols=2, state="")
    day.feed(day.trading_action("T", 1))
    assert day.feed(day.offer(0)) is None
    assert day.refused("not_trading") == 1
    assert day.feed(day.offer(1)) is not None, "the other symbol's state was heard"


@pytest.mark.parametrize("state", ["H", "P", "Q"])
def test_a_halted_symbol_trades_again_with_state_t(hook: Hook, state: str) -> None:
    day = Day(hook, symbols=2)
    day.feed(day.trading_action(state))
    assert day.feed(day.offer()) is None
    assert day.refused("not_trading") == 1
    assert day.feed(day.offer(1)) is not None, "the other symbol was not halted"
    assert day.feed(day.trading_action("T"), day.offer()) is not None


def test_a_trading_state_that_is_not_known_is_doubted(hook: Hook) -> None:
    day = Day(hook)
    day.feed(day.trading_action("X"))
    assert (day.health(), day.did("itch_bad_field")) == ("quarantined: field", 1)


def test_an_operational_halt_stops_a_symbol_on_this_market_only(hook: Hook) -> None:
    day = Day(hook)
    day.feed(day.operational_halt("H"))
    assert day.feed(day.offer()) is None
    assert day.refused("not_trading") == 1
    day.feed(day.operational_halt("T", market="B"))
    assert day.feed(day.offer()) is None, "that was another market's"
    day.feed(day.operational_halt("T"), day.operational_halt("H", market="B"))
    assert day.feed(day.offer()) is not None


@pytest.mark.parametrize("bid", [OFFER_E4, OFFER_E4 + 100])
def test_a_locked_or_crossed_book_is_not_traded(hook: Hook, bid: int) -> None:
    day = Day(hook)
    day.feed(day.offer(price=bid, side="B"))
    assert day.feed(day.offer()) is None
    assert day.refused("book_crossed") == 1
    assert day.feed(day.delete(1)) is not None, "it is crossed no more"


def test_a_book_that_stays_crossed_is_doubted(hook: Hook) -> None:
    day = Day(hook)
    day.twin.set_params(0, buy_below_e4=0)
    day.feed(day.offer(side="B"), day.offer())
    day.clock += CROSSED_NS - 10_000
    day.feed(day.offer(price=OFFER_E4 + 500))
    assert (day.health(), day.did("book_crossed")) == ("live", 0)
    day.clock += 10_000
    day.feed(day.offer(price=OFFER_E4 + 500))
    assert (day.health(), day.did("book_crossed")) == ("quarantined: crossed", 1)


@pytest.mark.parametrize("what", ["phase", "state", "cross"])
def test_a_book_may_be_crossed_outside_of_continuous_trading(hook: Hook, what: str) -> None:
    day = Day(hook)
    day.twin.set_params(0, buy_below_e4=0)
    if what == "phase":
        day.feed(day.system_event("S"))
    else:
        day.feed(day.trading_action("H"))
    if what == "cross":
        day.feed(day.trading_action("T"))  # the cross (Q) is still to come
    day.feed(day.offer(side="B"), day.offer())
    day.clock += 2 * CROSSED_NS
    day.feed(day.offer(price=OFFER_E4 + 500))
    assert day.health() == "live"


# What is missing: hold, the other line, gap, re-request


def test_a_hold_trades_nothing_and_line_b_ends_it(hook: Hook) -> None:
    day = Day(hook, symbols=2)
    lost = day.sequence
    assert day.feed(day.offer(0), sequence=lost + 2) is None
    assert (day.twin.engine.feed.health, day.health()) == ("hold", "hold")
    assert day.twin.engine.missing(0) == ((lost, lost + 2),)
    assert day.twin.engine.symbols["SYM0"].depth().asks == (), "nothing is applied across a gap"
    assert day.feed(day.offer(1), sequence=lost, line="b") is None, "one is missing still"
    assert day.refused("feed_not_live") == 1
    frame = day.feed(day.offer(1, price=OFFER_E4 - 100), sequence=lost + 1, line="b")
    assert frame is not None
    assert [(order.symbol, order.price) for order in orders_in(frame)] == [("SYM1", OFFER_E4 - 100), ("SYM0", OFFER_E4)]
    assert day.twin.engine.feed.health == "live"
    assert (day.did("feed_holds"), day.did("feed_kept"), day.did("feed_gaps")) == (1, 1, 0)


def test_a_hold_that_lasts_is_a_gap_and_its_filling_is_told(hook: Hook) -> None:
    day = Day(hook)
    lost = day.sequence
    day.feed(day.offer(price=TARGET_E4 + 100), sequence=lost + 1)
    day.clock += HOLD_NS - 10_000
    assert day.send(day.offer(price=TARGET_E4 + 200)).events == []
    assert day.twin.engine.feed.health == "hold"
    day.clock += 10_000
    (gap,) = day.send(day.offer(price=TARGET_E4 + 300)).events
    assert (gap.kind, gap.feed_seq, gap.qty) == (EventKind.FEED_GAP, lost, 4)
    assert (day.twin.engine.feed.health, day.twin.engine.feed.gaps) == ("gap", 1)
    filled = day.send(day.offer(), sequence=lost, line="rerequest")
    live = next(event for event in filled.events if event.kind == EventKind.FEED_LIVE)
    assert live.feed_seq == day.sequence
    assert filled.verdict == XdpAction.TX, "the feed is whole again, and the offer is still there"
    assert day.twin.engine.feed.health == "live"


def test_a_poke_lets_the_clock_turn_a_hold_into_a_gap() -> None:
    """By the monotonic clock: the feed's own does not go on while nothing comes."""
    with Hook(clock="monotonic", hold_ns=200_000_000) as hook:
        hook.engine.configure(SESSION, FEED)
        poke = Commands(hook.engine.command_nonce, 0).poke()
        assert not hook.engine.command(poke), "nothing has come yet"
        hook.run(_frame(*LINES["a"], Heartbeat("DAY", 5).encode()))
        assert hook.engine.command(poke)
        assert hook.engine.feed.health == "hold"
        time.sleep(0.25)
        assert hook.engine.feed.health == "hold"
        assert hook.engine.command(poke)
        assert hook.engine.feed.health == "gap"
        assert [(event.kind, event.feed_seq, event.qty) for event in hook.engine.events] == [("feed_gap", 1, 4)]


def test_a_heartbeat_shows_what_was_lost_at_the_tail(hook: Hook) -> None:
    day = Day(hook)
    day.twin.packet(day.frame(Heartbeat("DAY", day.sequence + 1).encode()))
    day.twin.compare_state()
    assert day.twin.engine.feed.health == "hold"
    assert day.twin.engine.feed.missing == 1


def test_a_message_counts_once_whatever_line_it_comes_by(hook: Hook) -> None:
    day = Day(hook)
    at, offer = day.sequence, day.offer(price=TARGET_E4 + 100)
    before = day.twin.engine.feed
    day.feed(offer)
    day.feed(offer, sequence=at, line="b")
    day.feed(offer, sequence=at, line="rerequest")
    feed = day.twin.engine.feed
    assert day.did("feed_duplicates") == 2
    assert (feed.first[0] - before.first[0], feed.late) == (1, (0, 1, 1))
    assert day.twin.engine.symbols["SYM0"].snapshot().book_orders == 1


def test_a_kept_message_is_kept_once_and_applied_once(hook: Hook) -> None:
    day = Day(hook)
    lost, offer = day.sequence, day.offer(price=TARGET_E4 + 100)
    day.feed(offer, sequence=lost + 1)
    day.feed(offer, sequence=lost + 1, line="b")
    assert (day.did("feed_kept"), day.did("feed_duplicates")) == (1, 1)
    day.feed(day.offer(price=TARGET_E4 + 200), sequence=lost)
    assert day.twin.engine.symbols["SYM0"].snapshot().book_orders == 2
    day.feed(offer, sequence=lost + 1)
    assert day.did("feed_duplicates") == 2


def test_what_is_too_far_ahead_is_not_kept(hook: Hook) -> None:
    day = Day(hook)
    expected = day.sequence
    far = [day.offer(price=TARGET_E4 + 100) for _ in range(2)]
    day.feed(*far, sequence=expected + KEPT - 1)
    assert (day.did("feed_kept"), day.did("feed_not_kept")) == (1, 1)
    assert day.twin.engine.missing(0) == ((expected, expected + KEPT - 1), (expected + KEPT, expected + KEPT + 1))


# Doubt: a symbol, and nothing but it


def test_a_wrong_book_stops_its_symbol_alone(hook: Hook) -> None:
    day = Day(hook, symbols=2)
    event = day.send(day.delete(4711, 0)).events[0]
    assert (event.kind, event.symbol, event.reason) == (EventKind.BOOK_QUARANTINED, 0, Doubt.UNKNOWN_REF)
    assert (day.health(0), day.health(1)) == ("quarantined: unknown_ref", "live")
    assert day.feed(day.offer(0)) is None
    assert day.did("book_kept") == 1, "a symbol in quarantine is not asked: its messages wait"
    frame = day.feed(day.offer(0), day.offer(1))
    assert frame is not None and [order.symbol for order in orders_in(frame)] == ["SYM1"]


def test_nobody_is_asked_about_a_book_that_its_own_packet_brings_into_doubt(hook: Hook) -> None:
    day = Day(hook)
    assert day.feed(day.offer(), day.delete(4711)) is None
    assert day.did("signals") == 0


def test_a_snapshot_brings_a_symbol_back(hook: Hook) -> None:
    day = Day(hook)
    day.command(day.commands.quarantine(0))
    assert day.health() == "quarantined: requested"
    assert all(outcome.verdict == XdpAction.DROP for outcome in day.resync(0, day.trading_action("T"), day.offer()))
    assert (day.health(), day.did("book_restores")) == ("live", 1)
    frame = day.feed(day.offer(price=OFFER_E4 + 100))
    assert frame is not None
    assert orders_in(frame)[0].price == OFFER_E4, "the snapshot's offer is the better one"


def test_a_snapshot_that_does_not_tell_the_trading_state_leaves_it_unknown(hook: Hook) -> None:
    day = Day(hook)
    day.command(day.commands.quarantine(0))
    day.resync(0, day.offer())
    assert day.health() == "live"
    assert day.feed(day.offer()) is None
    assert day.refused("not_trading") == 1


# Commands: only who knows the nonce, and never an order


def test_a_command_from_the_wire_changes_nothing(hook: Hook) -> None:
    day = Day(hook)
    day.feed(day.offer(price=TARGET_E4 + 100))
    before, payload = day.twin.image(), day.commands.quarantine(0)
    for nonce in (0, day.twin.model.command_nonce ^ 1, 2**64 - 1):
        frame = _frame(LINES["a"][0], day.twin.commands, nonce.to_bytes(8, "little") + payload[8:])
        outcome = day.twin.packet(frame)
        assert (outcome.verdict, outcome.frame) == (XdpAction.PASS, frame)
    assert day.did("commands_refused") == 3
    assert day.twin.image() == before
    assert day.command(payload).verdict == XdpAction.DROP, "with the nonce it is a command"


def test_without_a_nonce_there_are_no_commands(hook: Hook) -> None:
    day = Day(hook)
    nonce, payload = day.twin.model.command_nonce, day.commands.quarantine(0)
    try:
        day.twin.engine._nonce[0] = day.twin.model.command_nonce = 0
        for guess in (0, nonce):
            assert day.command(guess.to_bytes(8, "little") + payload[8:]).verdict == XdpAction.PASS
    finally:
        day.twin.engine._nonce[0] = day.twin.model.command_nonce = nonce
    assert day.did("commands_refused") == 2 and day.health() == "live"


def test_what_a_snapshot_holds_never_sends_an_order(hook: Hook) -> None:
    day = Day(hook)
    day.command(day.commands.quarantine(0))
    waiting = day.sequence, day.offer(price=OFFER_E4 - 100)
    day.feed(waiting[1])
    make, at = day.commands, waiting[0]
    steps = [make.begin(0), *make.sweeps(day.twin.engine.program.config)]
    snapshot = [day.trading_action("T"), day.offer()]
    steps += [*make.install(0, at, snapshot), *make.replay(0, [waiting]), make.release(0, day.sequence)]
    assert [day.command(step).verdict for step in steps] == [XdpAction.DROP] * len(steps)
    assert day.health() == "live" and day.twin.engine.symbols["SYM0"].snapshot().ask_e4 == OFFER_E4 - 100
    assert (day.did("orders"), day.did("signals")) == (0, 0)
    assert day.feed(day.offer()) is not None, "the next message of the feed does"


def test_what_a_poke_applies_never_sends_an_order(hook: Hook) -> None:
    """More waits than one packet applies; the poke applies the rest, and an offer to buy with it."""
    day = Day(hook)
    lost, many = day.sequence, lib.HFT_DRAIN + 50
    ahead = [day.offer(price=TARGET_E4 + 100) for _ in range(many)] + [day.offer()]
    for first in range(0, len(ahead), 40):
        day.feed(*ahead[first : first + 40], sequence=lost + 1 + first)
    assert day.feed(day.offer(price=TARGET_E4 + 100), sequence=lost) is None
    assert day.twin.engine.feed.health != "live"
    outcome = day.command(day.commands.poke())
    assert outcome.verdict == XdpAction.DROP
    assert day.twin.engine.feed.health == "live" and day.twin.engine.symbols["SYM0"].snapshot().ask_e4 == OFFER_E4
    assert day.did("orders") == 0
    assert day.feed(day.offer(price=TARGET_E4 + 100)) is not None, "the next message of the feed sends it"


def test_a_corrupted_datagram_is_not_believed(hook: Hook) -> None:
    day = Day(hook)
    raw = bytearray(day.frame(Packet("DAY", day.sequence, (day.offer(),)).encode()))
    raw[-1] ^= 1  # the price
    assert day.twin.packet(bytes(raw)).verdict == XdpAction.PASS
    assert day.twin.differences()["bad_checksum"] == 1


@pytest.mark.parametrize("headers", [{}, {"vlans": (7, 8), "options": b"\1" * 40}], ids=["plain", "longest"])
@pytest.mark.parametrize("with_order", [False, True])
def test_a_payload_of_any_length_is_read_to_its_last_byte(
    hook: Hook, headers: dict[str, Any], with_order: bool
) -> None:
    """Short ones are copied and summed eight bytes at a time, the rest of less than eight by itself; long ones by the
    kernel. Nothing stands behind them in the frame."""
    day = Day(hook)
    source, destination = LINES["a"]
    for many in range(280):
        unknown = b"z" * many
        price_e4 = TARGET_E4 + 1000 - many
        messages = (unknown, day.offer(price=price_e4)) if with_order else (unknown,)
        raw = bytearray(
            udp_frame(
                src_mac=SESSION.remote_mac,
                dst_mac=SESSION.local_mac,
                src=source,
                dst=destination,
                payload=Packet("DAY", day.sequence, messages).encode(),
                **headers,
            )
        )
        raw[-1] ^= 0x80
        assert day.twin.packet(bytes(raw)).verdict == XdpAction.PASS
        raw[-1] ^= 0x80
        assert day.twin.packet(bytes(raw)).verdict == XdpAction.DROP
        day.sequence += len(messages)
        if with_order:
            assert day.twin.engine.symbols["SYM0"].snapshot().ask_e4 == price_e4
    day.twin.compare_state()
    assert day.did("bad_checksum") == 280


def test_ouch42_orders_and_replies(hook: Hook) -> None:
    day = Day(hook, replace(SESSION, protocol="ouch42"))
    frame = day.feed(day.offer())
    assert frame is not None
    (message,) = ufo.decode_upstream(parse_udp(frame).payload)
    assert isinstance(message, ufo.Unsequenced)
    order = ouch42.decode_inbound(message.message)
    assert isinstance(order, ouch42.EnterOrder)
    assert (order.side, order.shares, order.stock, order.price, order.tif) == ("B", 100, "SYM0", OFFER_E4, 0)
    assert order.order_token[6:] == "00000001"
    accepted = ouch42.Accepted(
        timestamp=5,
        order_token=order.order_token,
        side="B",
        shares=100,
        stock="SYM0",
        price=OFFER_E4,
        tif=0,
        firm="",
        display="Y",
        order_ref=1,
        capacity="P",
        iso="N",
        min_qty=0,
        cross_type="N",
        order_state="L",
        bbo_weight="",
    )
    executed = ouch42.Executed(
        timestamp=6,
        order_token=order.order_token,
        executed_shares=60,
        execution_price=OFFER_E4 - 100,
        liquidity_flag="R",
        match_number=1,
    )
    canceled = ouch42.Canceled(timestamp=7, order_token=order.order_token, decrement_shares=40, reason="I")
    day.answer(accepted.encode(), executed.encode(), canceled.encode())
    state = day.twin.model.symbols[0]
    assert (state.position, state.cost_e4, state.canceled_qty, state.open_orders) == (60, 60 * (OFFER_E4 - 100), 40, 0)


def test_events_that_do_not_fit_are_counted_and_leave_a_hole(hook: Hook) -> None:
    day = Day(hook)
    day.twin.set_control(kill=0)
    before = hook.engine.events.lost
    for number in range(32_000):
        # The offer before is taken back, so that the book stays small.
        messages = (day.delete(day.ref), day.offer()) if number else (day.offer(),)
        hook.run(day.frame(Packet("DAY", day.sequence, messages).encode()))
        day.sequence += len(messages)
    lost = hook.engine.events.lost - before
    ids = [event.id for event in hook.engine.events]
    assert lost > 0
    assert ids == list(range(1, len(ids) + 1)) and len(ids) + lost == 32_000


def test_live_views_refuse_what_makes_no_sense(hook: Hook) -> None:
    view = hook.engine.symbols.add("AAPL", buy_below="163.20")
    for change in (
        lambda: setattr(view, "sell_above", "163.20"),
        lambda: setattr(view, "base_qty", -1),
        lambda: setattr(view, "base_qty", 1.5),
        lambda: hook.engine.symbols.add("AAPL"),
        lambda: hook.engine.symbols.add("TOO LONG A NAME"),
        lambda: hook.engine.symbols["MSFT"],
    ):
        with pytest.raises(ConfigError):
            change()
    assert (str(view.buy_below), view.sell_above, view.base_qty) == ("163.2", None, 100)
    with pytest.raises(ValueError, match="finer"):
        hook.engine.symbols.add("MSFT", buy_below="0.00001")
    assert "MSFT" not in hook.engine.symbols


def test_without_a_usable_template_nothing_leaves(hook: Hook) -> None:
    day = Day(hook)
    for field, value, action in (
        ("protocol", 3, 0),
        ("headers_len", 43, 0),
        ("msg_len", 52, lib.HFT_ACTION_ENTER),
        ("msg_len", 0, lib.HFT_ACTION_REPLACE),
        ("msg_len", 13, lib.HFT_ACTION_CANCEL),
    ):
        day.twin.set_template(field, value, action)
        assert day.feed(day.offer()) is None
        day.twin.restore_template()
    assert day.refused("not_configured") == 5
    assert day.feed(day.offer()) is not None


def test_user_ref_nums_end_before_they_wrap(hook: Hook) -> None:
    day = Day(hook, symbols=2)
    day.twin.engine._session[0].next_user_ref = day.twin.model.session.next_user_ref = 2**32 - 2
    assert day.feed(day.offer(0)) is not None
    assert day.feed(day.offer(1)) is None
    assert day.refused("refs_exhausted") == 1


def test_a_slot_that_still_works_is_not_taken_over(hook: Hook) -> None:
    day = Day(hook, symbols=2)
    assert day.feed(day.offer(0)) is not None
    day.twin.engine._session[0].next_user_ref = day.twin.model.session.next_user_ref = 1 + 4096
    assert day.feed(day.offer(1)) is None
    assert day.refused("working_full") == 1


def test_an_ouch42_reply_to_another_process_is_not_ours(hook: Hook) -> None:
    day = Day(hook, replace(SESSION, protocol="ouch42"))
    assert day.feed(day.offer()) is not None
    day.answer(ouch42.Canceled(timestamp=7, order_token="STRANG00000001", decrement_shares=1, reason="I").encode())
    assert day.twin.engine.session.health == "suspect"
    assert day.twin.model.symbols[0].open_qty == [100, 0]


def test_a_symbol_added_after_its_directory_message_is_not_traded(hook: Hook) -> None:
    day = Day(hook)
    day.feed(stock_directory("LATE", 9, day.stamp()))
    slot = day.twin.add_symbol("LATE", buy_below_e4=TARGET_E4, **BIG)
    day.feed(stock_directory("LATE", 9, day.stamp()))
    assert day.twin.engine.symbols["LATE"].health == "quarantined: late"
    assert slot == 1 and day.twin.engine.symbols["LATE"].snapshot().locate == 9
    late = itch50.AddOrder(
        stock_locate=9, order_ref=1, side="S", shares=100, stock="LATE", price=OFFER_E4, **day.stamp()
    )
    assert day.feed(late.encode()) is None


def test_a_session_that_has_begun_is_not_reconfigured(hook: Hook) -> None:
    Day(hook)
    hook.engine.halt()
    with pytest.raises(ConfigError, match="have begun"):
        hook.engine.configure(replace(SESSION, remote=("10.77.0.9", 1)), FEED)


@pytest.mark.parametrize("vlan", [0, 4095, 4101])
def test_a_vlan_that_no_tag_can_carry_is_refused(hook: Hook, vlan: int) -> None:
    with pytest.raises(ConfigError, match="vlan"):
        hook.engine.configure(replace(SESSION, vlan=vlan), FEED)


def test_a_closed_engine_says_so() -> None:
    with Hook() as hook:
        engine, view = hook.engine, hook.engine.symbols.add("AAPL")
    for use in (
        engine.halt,
        lambda: engine.feed,
        lambda: engine.session,
        lambda: engine.symbols["AAPL"],
    ):
        with pytest.raises(ConfigError, match="closed"):
            use()
    assert view.name == "AAPL"


def test_a_slip_in_a_limits_name_is_an_error(hook: Hook) -> None:
    view = hook.engine.symbols.add("AAPL")
    with pytest.raises(AttributeError):
        view.max_positon = 5  # type: ignore[attr-defined] # mypy sees it too: that is the point
