"""A script: every packet that the exchange of the lab sends, when, and which of them ask for an order.

native/rig/script.h executes it. The same script is run against every responder, so that all see the same bytes at the
same times, and the orders that the decision demands are known beforehand.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from turbo_hft._native import ffi, lib
from turbo_hft.errors import ConfigError, ExchangeError
from turbo_hft.lab import LabAddresses
from turbo_hft.latency.threshold import Threshold
from turbo_hft.latency.work import Work
from turbo_hft.wire import moldudp64, ouch50, ufo
from turbo_hft.wire.frame import multicast_mac, udp_frame
from turbo_hft.wire.itch50 import StockTradingAction, SystemEvent, common_stock

SESSION = "LATENCY001"
FIRST_TIME_NS = 34_200_000_000_000  # 09:30
TICK_SHARES = 500
ORDER_BYTES = 50
"""Of an Enter Order's datagram: length prefix, UFO type, message."""

_ADD = struct.Struct(">cHH6sQcI8sI")
_DELETE = struct.Struct(">cHH6sQ")
_MOLD = struct.Struct(">10sQH")
_LENGTH = struct.Struct(">H")
_KEY = struct.Struct(">8sQ")
_MOST_PAYLOAD = 1_472
_FIRST_REF = 1 << 40  # above those of any generated market
_BID_TICKS = 100  # below the target, where no tick comes
_PRICES = 64  # of a symbol, one after the other: what is under way at a time is told apart by symbol and price
_RESTING_ORDERS = 8  # offers that the threshold never reaches
_PACE_NS = 200_000  # between the packets that open the session


def add_order(locate: int, time_ns: int, ref: int, side: str, shares: int, stock: bytes, price_e4: int) -> bytes:
    """ITCH 5.0 A, for a script of many: `stock` is padded to 8 bytes."""
    return _ADD.pack(b"A", locate, 0, time_ns.to_bytes(6, "big"), ref, side.encode(), shares, stock, price_e4)


def delete_order(locate: int, time_ns: int, ref: int) -> bytes:
    """ITCH 5.0 D."""
    return _DELETE.pack(b"D", locate, 0, time_ns.to_bytes(6, "big"), ref)


@dataclass(frozen=True, slots=True)
class Trigger:
    """What asks for an order: an offer of a symbol at a price that its threshold takes."""

    threshold: Threshold
    price_e4: int

    def order(self, user_ref: int) -> bytes:
        """The datagram that the decision demands."""
        message = self.threshold.order(user_ref, self.price_e4).encode()
        return ufo.encode_upstream(ufo.Unsequenced(message))


@dataclass(frozen=True, slots=True)
class Script:
    """`steps` are ``struct hft_script_step``, `opening` of them open the session before `triggers` begin.

    `messages`: of the feed, all packets together. `closed`: each trigger waits for the one before.
    """

    frames: bytearray
    steps: Any
    opening: int
    keys: bytes
    triggers: tuple[Trigger, ...]
    warmup: int
    messages: int
    closed: bool
    length_ns: int

    @property
    def packets(self) -> int:
        """Of the feed, without the one that ends the session."""
        return len(self.steps)


class ScriptBuilder:
    """Packet by packet; the session's opening comes first. Times are ns from the end of that."""

    def __init__(self, addresses: LabAddresses, work: Work, *, list_kept: bool = True) -> None:
        """``list_kept=False``: what is sent lists the kept symbols itself, under locates of its own."""
        names = [one.symbol for one in work.armed] + list(work.kept)
        if len(set(names)) != len(names):
            raise ConfigError("a symbol is in this work twice: name each once.")
        self._addresses = addresses
        self._work = work
        self._header = feed_frame(addresses, b"")
        self.stocks = [name.ljust(8).encode("ascii") for name in names]
        self._frames = bytearray()
        self._steps: list[tuple[int, int, int, int, bool]] = []
        self._keys = bytearray()
        self._triggers: list[Trigger] = []
        self._made = [0] * len(work.armed)
        self._offset_ns = 0
        self._sequence = 1
        self._ref = _FIRST_REF
        self._time_ns = FIRST_TIME_NS
        self._open(names if list_kept else names[: len(work.armed)])
        self._opening = len(self._steps)
        self._offset_ns = self._steps[-1][0] + 10_000_000

    def locate(self, symbol: int) -> int:
        """Stock locate of a symbol by its place: the armed ones first, then those that are kept."""
        return symbol + 1

    def tick_time(self, step_ns: int) -> int:
        """The feed's own clock, moved on."""
        self._time_ns += step_ns
        return self._time_ns

    def next_ref(self) -> int:
        """An order reference that was never used."""
        self._ref += 1
        return self._ref

    def tick(self, symbol: int, step_ns: int = 1_000) -> tuple[bytes, bytes, Trigger]:
        """The offer that an armed symbol's decision takes: its message, the one that takes it away again (to be sent
        later), and what it asks for."""
        one = self._work.armed[symbol]
        price = one.buy_below_e4 - one.tick_e4 * (self._made[symbol] % _PRICES)
        self._made[symbol] += 1
        ref, time_ns = self.next_ref(), self.tick_time(step_ns)
        return (
            add_order(self.locate(symbol), time_ns, ref, "S", TICK_SHARES, self.stocks[symbol], price),
            delete_order(self.locate(symbol), time_ns, ref),
            Trigger(one, price),
        )

    def packet(
        self, due_ns: int, messages: Sequence[bytes], trigger: Trigger | None = None, *, wait: bool = False
    ) -> None:
        """One packet of the feed. `wait`: the next one waits until this one's trigger was answered."""
        payload = bytearray(_MOLD.pack(SESSION.encode(), self._sequence, len(messages)))
        for message in messages:
            payload += _LENGTH.pack(len(message)) + message
        if len(payload) > _MOST_PAYLOAD:
            raise ConfigError(f"{len(messages)} messages are {len(payload)} bytes: a packet holds {_MOST_PAYLOAD}.")
        self._sequence += len(messages)
        number = lib.HFT_SCRIPT_NO_TRIGGER
        if trigger is not None:
            number = len(self._triggers)
            self._triggers.append(trigger)
            self._keys += _KEY.pack(trigger.threshold.symbol.ljust(8).encode("ascii"), trigger.price_e4)
        self._steps.append(
            (due_ns + self._offset_ns, len(self._frames), len(self._header) + len(payload), number, wait)
        )
        self._frames += self._header + payload

    def done(self, *, warmup: int, closed: bool) -> Script:
        """The script. The first `warmup` triggers count in no figure."""
        if len(self._triggers) <= warmup:
            raise ConfigError(f"{len(self._triggers)} triggers, of which {warmup} are to warm up: ask for more.")
        steps = ffi.new("struct hft_script_step[]", len(self._steps))
        for step, (due_ns, offset, length, trigger, wait) in zip(steps, self._steps, strict=True):
            step.due_ns, step.offset, step.length, step.trigger, step.waits = due_ns, offset, length, trigger, wait
        lib.hft_script_seal(ffi.from_buffer(self._frames), steps, len(steps))
        return Script(
            frames=self._frames,
            steps=steps,
            opening=self._opening,
            keys=bytes(self._keys),
            triggers=tuple(self._triggers),
            warmup=warmup,
            messages=self._sequence - 1,
            closed=closed,
            length_ns=self._steps[-1][0],
        )

    def _open(self, names: Sequence[str]) -> None:
        """The market open; of each symbol its locate and its trading; of the armed ones a bid, so that there is a price
        for the collar to be around, and resting offers that the threshold never reaches."""
        messages = [SystemEvent(stock_locate=0, tracking_number=0, timestamp=FIRST_TIME_NS, event_code="Q").encode()]
        for place, name in enumerate(names):
            messages += listing(self.locate(place), name)
        for place, one in enumerate(self._work.armed):
            stock, locate = self.stocks[place], self.locate(place)
            bid = one.buy_below_e4 - _BID_TICKS * one.tick_e4
            messages.append(add_order(locate, FIRST_TIME_NS, self.next_ref(), "B", TICK_SHARES, stock, bid))
            for step in range(1, _RESTING_ORDERS + 1):
                price = one.buy_below_e4 + one.tick_e4 * step
                messages.append(add_order(locate, FIRST_TIME_NS, self.next_ref(), "S", TICK_SHARES, stock, price))
        at = size = 0
        due_ns = 0
        for end, message in enumerate(messages):
            size += 2 + len(message)
            if size > _MOST_PAYLOAD - _MOLD.size - 60 or end == len(messages) - 1:
                self.packet(due_ns, messages[at : end + 1])
                at, size, due_ns = end + 1, 0, due_ns + _PACE_NS


def listing(locate: int, name: str, time_ns: int = FIRST_TIME_NS) -> list[bytes]:
    """A symbol is listed, and trades."""
    trading = StockTradingAction(
        stock_locate=locate,
        tracking_number=0,
        timestamp=time_ns,
        stock=name,
        trading_state="T",
        reserved="",
        reason="",
    )
    return [common_stock(name, locate, time_ns).encode(), trading.encode()]


def feed_frame(addresses: LabAddresses, payload: bytes) -> bytes:
    """A frame of the feed."""
    a = addresses
    return udp_frame(
        src_mac=a.exchange_mac,
        dst_mac=multicast_mac(a.feed_group) or a.host_mac,
        src=(a.exchange_address, a.feed_port),
        dst=(a.feed_group, a.feed_port),
        payload=payload,
        ttl=1,
    )


def reply_frame(addresses: LabAddresses, payload: bytes) -> bytes:
    """A frame of order entry, to the participant."""
    a = addresses
    return udp_frame(
        src_mac=a.exchange_mac,
        dst_mac=a.host_mac,
        src=(a.exchange_address, a.ouch50_port),
        dst=(a.host_address, a.engine_port),
        payload=payload,
    )


def end_of_session(addresses: LabAddresses, script: Script) -> bytes:
    """The frame that ends the feed."""
    return feed_frame(addresses, moldudp64.EndOfSession(SESSION, script.messages + 1).encode())


def answer(order: ouch50.EnterOrder) -> bytes:
    """The exchange's reply to an order of the rig, a UFO datagram: accepted, and all of it canceled."""
    accepted = ouch50.Accepted(
        timestamp=0,
        user_ref_num=order.user_ref_num,
        side=order.side,
        quantity=order.quantity,
        symbol=order.symbol,
        price=order.price,
        tif=order.tif,
        display=order.display,
        order_ref=1,
        capacity=order.capacity,
        iso=order.iso,
        cross_type=order.cross_type,
        order_state="L",
        cl_ord_id=order.cl_ord_id,
    )
    canceled = ouch50.Canceled(timestamp=0, user_ref_num=order.user_ref_num, quantity=order.quantity, reason="I")
    return ufo.Sequenced(1, (accepted.encode(), canceled.encode())).encode()


def reply_template(addresses: LabAddresses) -> bytearray:
    """The frame that answers an order, complete but for what native/rig/script.c patches."""
    return bytearray(reply_frame(addresses, answer(Threshold().order(1, Threshold().buy_below_e4))))


def check_orders(script: Script, orders: Sequence[bytes]) -> int:
    """Hold every order of a run against what the decision demands, byte by byte; how many there were.

    One entry a trigger, b"" = missed. UserRefNum counts from 1; after a missed trigger it may have moved on by an order
    that came late. Two runs of a script that pass without a missed trigger are byte-identical. Raises ExchangeError
    naming the trigger and both datagrams.
    """
    missed, ref, count = not all(orders), 0, 0
    for number, (datagram, trigger) in enumerate(zip(orders, script.triggers, strict=True)):
        if not datagram:
            continue
        ref = ref + 1 if not missed else max(ref + 1, int.from_bytes(datagram[4:8]))
        demanded = trigger.order(ref)
        if datagram[:ORDER_BYTES] != demanded:
            raise ExchangeError(
                f"trigger {number}: the order is {datagram.hex()}, the decision demands {demanded.hex()}: "
                "figures of responders that do different things cannot be compared"
            )
        count += 1
    return count
