"""A day in small: builds frames that follow from each other, valid unless told to be otherwise.

A scenario knows what is live (references, sequence numbers, our orders) so that most of what it makes is valid and a
known share
is wrong in one known way. Everything it does follows from the integers it is fed, so a failing run replays and shrinks.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from turbo_hft.wire import itch50, ouch50, ufo
from turbo_hft.wire.frame import parse_udp, udp_frame
from turbo_hft.wire.moldudp64 import EndOfSession, Heartbeat, Packet

_OTHER_LOCATE = 999
_PRICES = (
    1,
    9999,
    1_000_000,
    1_630_000,
    1_630_100,
    1_630_200,
    1_630_250,
    1_631_000,
    1_632_000,
    1_640_000,
    1_999_999_900,
    2_000_000_000,
)
_NEAR = range(1_629_000, 1_633_000, 100)


@dataclass
class OpenOrder:
    """One of our orders as its exchange sees it."""

    user_ref: int
    open_qty: int
    price_e4: int
    accepted: bool = False


@dataclass
class Scenario:
    """`symbols`: name -> locate of the tracked ones. `feed`: (source, destination) of feed frames, `replies` of
    reply frames.

    `faults`: share of frames (and of their fields) that are wrong on purpose; `salt` makes equal seeds differ.
    """

    symbols: dict[str, int]
    feed: tuple[tuple[str, int], tuple[str, int]]
    replies: tuple[tuple[str, int], tuple[str, int]]
    macs: tuple[str, str]
    faults: float = 0.04
    salt: int = 0
    frames: int = 0
    session: str = "SESSION001"
    feed_seq: int = 1
    reply_seq: int = 1
    next_ref: int = 1
    clock_ns: int = 34_200_000_000_000
    live: dict[int, tuple[str, int]] = field(default_factory=dict)
    open_orders: list[OpenOrder] = field(default_factory=list)

    def observe(self, frame: bytes) -> None:
        """Take an order frame as the exchange would: its orders are answered by later replies."""
        for message in ufo.decode_upstream(parse_udp(frame).payload):
            assert isinstance(message, ufo.Unsequenced)
            order = ouch50.decode_inbound(message.message)
            assert isinstance(order, ouch50.EnterOrder)
            self.open_orders.append(OpenOrder(order.user_ref_num, order.quantity, order.price))

    def frame(self, action: str, seed: int) -> bytes:
        """The next frame of this kind; `seed` decides everything about it."""
        self.frames += 1
        rng = random.Random(f"{self.salt}/{self.frames}/{seed}")
        builders: dict[str, Callable[[random.Random], bytes]] = {
            "login": self._login,
            "directory": self._directory,
            "data": self._data,
            "quiet": self._quiet,
            "reply": self._reply,
            "control": self._control,
        }
        return self._spoil(builders[action](rng), rng)

    # Feed

    def _datagram(self, flow: tuple[tuple[str, int], tuple[str, int]], payload: bytes, rng: random.Random) -> bytes:
        vlans = rng.choice(((), (), (), (100,), (7, 100)))
        options = rng.choice((b"", b"", b"", b"\x01\x01\x01\x00", b"\x94\x04\x00\x00\x01"))
        return udp_frame(
            src_mac=self.macs[0],
            dst_mac=self.macs[1],
            src=flow[0],
            dst=flow[1],
            payload=payload,
            vlans=vlans,
            options=options,
            checksum=rng.random() > 0.1,
        )

    def _sequenced(self, messages: Sequence[bytes], rng: random.Random) -> bytes:
        sequence = self.feed_seq
        draw = rng.random()
        if draw < self.faults:
            sequence = max(1, sequence - rng.randrange(1, 5))  # duplicate or overlap
        elif draw < self.faults * 1.3:
            sequence += rng.randrange(1, 4)  # gap
        session = "ANOTHER001" if rng.random() < self.faults / 4 else self.session
        if session == self.session:
            self.feed_seq = max(self.feed_seq, sequence + len(messages))
        return self._datagram(self.feed, Packet(session, sequence, tuple(messages)).encode(), rng)

    def _tick(self) -> dict[str, int]:
        self.clock_ns += 100_000_000
        if self.faults and self.clock_ns % 77 == 0:
            self.clock_ns -= 2_000_000_001  # a clock that steps back must not open the rate limit
        return {"tracking_number": 0, "timestamp": self.clock_ns}

    def _directory(self, rng: random.Random) -> bytes:
        messages = []
        for name, locate in self.symbols.items():
            at = _OTHER_LOCATE if rng.random() < self.faults / 2 else locate
            messages.append(stock_directory(name, at, self._tick()))
        messages.append(stock_directory("NOBODY", 77, self._tick()))
        return self._sequenced(messages, rng)

    def _data(self, rng: random.Random) -> bytes:
        return self._sequenced([self._message(rng) for _ in range(rng.choice((1, 1, 1, 2, 3, 8)))], rng)

    def _message(self, rng: random.Random) -> bytes:
        name, locate = rng.choice(list(self.symbols.items()))
        header = {"stock_locate": 77 if rng.random() < self.faults else locate, **self._tick()}
        price = rng.choice(_PRICES) if rng.random() < 0.1 else rng.choice(_NEAR)
        qty = rng.choice((1, 50, 100, 300, 999_999))
        mine = [ref for ref, (owner, _) in self.live.items() if owner == name]
        kind = rng.choice("AAAFFDDXXECUUsb")
        if kind in "AF" or not mine:
            return self._add(rng, kind, name, header, price, qty)
        ref = rng.choice(mine)
        if kind in "sb":
            return self._other(rng, header, kind)
        if rng.random() < self.faults / 2:
            ref = rng.choice((0, 2**64 - 1, self.next_ref + 5, *self.live))
        left = self.live.get(ref, (name, 100))[1]
        if kind == "D":
            self.live.pop(ref, None)
            return itch50.OrderDelete(order_ref=ref, **header).encode()
        if kind == "U":
            self.live.pop(ref, None)
            new = self._reference(rng)
            self.live[new] = (name, qty)
            return itch50.OrderReplace(
                orig_order_ref=ref, new_order_ref=new, shares=qty, price=price, **header
            ).encode()
        part = left + 1 if rng.random() < self.faults / 4 else rng.choice((left, max(1, left // 2)))
        if part >= left:
            self.live.pop(ref, None)
        else:
            self.live[ref] = (name, left - part)
        if kind == "X":
            return itch50.OrderCancel(order_ref=ref, cancelled_shares=part, **header).encode()
        if kind == "E":
            return itch50.OrderExecuted(order_ref=ref, executed_shares=part, match_number=ref, **header).encode()
        return itch50.OrderExecutedWithPrice(
            order_ref=ref, executed_shares=part, match_number=ref, printable="Y", execution_price=price, **header
        ).encode()

    def _reference(self, rng: random.Random) -> int:
        if self.live and rng.random() < self.faults / 4:
            return rng.choice(list(self.live))
        self.next_ref += 1
        return self.next_ref * (1 if rng.random() < 0.7 else 0x9E3779B97F4A7C15) % 2**64

    def _add(self, rng: random.Random, kind: str, name: str, header: dict[str, int], price: int, qty: int) -> bytes:
        ref = self._reference(rng)
        side = rng.choice("BS") if rng.random() > self.faults / 8 else "Z"
        stock = name if rng.random() > self.faults / 8 else "WRONG"
        self.live[ref] = (name, qty)
        if kind == "F":
            return itch50.AddOrderMpid(
                order_ref=ref, side=side, shares=qty, stock=stock, price=price, mpid="TEST", **header
            ).encode()
        return itch50.AddOrder(order_ref=ref, side=side, shares=qty, stock=stock, price=price, **header).encode()

    def _other(self, rng: random.Random, header: dict[str, int], kind: str) -> bytes:
        if kind == "s":
            return itch50.SystemEvent(event_code="Q", **header).encode()
        # A type of any length, mostly wrong, or no type at all.
        raw = bytes([rng.choice(b"SRHYLVWKJhAFECXDUPQBINOz\xff")]) + rng.randbytes(rng.randrange(0, 50))
        return raw if rng.random() < 0.3 else b"z" + raw

    def _quiet(self, rng: random.Random) -> bytes:
        sequence = self.feed_seq if rng.random() > self.faults else self.feed_seq + 2
        if rng.random() < self.faults:
            return self._datagram(self.feed, EndOfSession(self.session, sequence).encode(), rng)
        return self._datagram(self.feed, Heartbeat(self.session, sequence).encode(), rng)

    # Replies

    def _login(self, rng: random.Random) -> bytes:
        name = "UFO0000001" if rng.random() > self.faults else "UFO0000002"
        return self._datagram(self.replies, ufo.LoginAccepted(name, self.reply_seq).encode(), rng)

    def _control(self, rng: random.Random) -> bytes:
        message = rng.choice(
            (ufo.LoginRejected("A"), ufo.Sequenced(self.reply_seq, ()), ufo.Sequenced(self.reply_seq + 1, ()))
        )
        return self._datagram(self.replies, message.encode(), rng)

    def _reply(self, rng: random.Random) -> bytes:
        messages = tuple(self._answer(rng) for _ in range(rng.choice((1, 1, 2, 3))))
        sequence = self.reply_seq
        draw = rng.random()
        if draw < self.faults:
            sequence += 2  # replies lost: not applied, and sent again later with the right number
            return self._datagram(self.replies, ufo.Sequenced(sequence, messages).encode(), rng)
        if draw < 2 * self.faults:
            sequence = max(1, sequence - 1)
        self.reply_seq = max(self.reply_seq, sequence + len(messages))
        return self._datagram(self.replies, ufo.Sequenced(sequence, messages).encode(), rng)

    def _answer(self, rng: random.Random) -> bytes:
        stamp = self._tick()["timestamp"]
        if not self.open_orders or rng.random() < self.faults / 4:
            return self._stray(rng, stamp)
        order = rng.choice(self.open_orders)
        if not order.accepted:
            if rng.random() < 0.15:
                self.open_orders.remove(order)
                return ouch50.Rejected(
                    timestamp=stamp, user_ref_num=order.user_ref, reason=0x11, cl_ord_id="TURBO-HFT"
                ).encode()
            order.accepted = True
            dead = rng.random() < 0.05
            if dead:
                self.open_orders.remove(order)
            return _accepted(order, stamp, "D" if dead else "L")
        part = order.open_qty if rng.random() < 0.6 else max(1, order.open_qty // 2)
        if rng.random() < self.faults / 8:
            part = order.open_qty + 1
        order.open_qty -= part
        if order.open_qty <= 0:
            self.open_orders.remove(order)
        if rng.random() < 0.25:
            return ouch50.Canceled(timestamp=stamp, user_ref_num=order.user_ref, quantity=part, reason="I").encode()
        price = max(1, order.price_e4 - rng.choice((0, 0, 100, 37)))
        return ouch50.Executed(
            timestamp=stamp,
            user_ref_num=order.user_ref,
            quantity=part,
            price=price,
            liquidity_flag="R",
            match_number=stamp,
        ).encode()

    def _stray(self, rng: random.Random, stamp: int) -> bytes:
        harmless = [
            ouch50.SystemEvent(timestamp=stamp, event_code="S").encode(),
            ouch50.SystemEvent(timestamp=stamp, event_code="E").encode(),
            ouch50.CancelPending(timestamp=stamp, user_ref_num=1).encode(),
            b"?",
            b"",
        ]
        doubtful = [
            ouch50.Canceled(timestamp=stamp, user_ref_num=4000, quantity=1, reason="U").encode(),
            ouch50.BrokenTrade(timestamp=stamp, user_ref_num=1, match_number=1, reason="E", cl_ord_id="").encode(),
            b"E" + rng.randbytes(7),
        ]
        return rng.choice(doubtful if rng.random() < self.faults else harmless)

    # Damage

    def _spoil(self, frame: bytes, rng: random.Random) -> bytes:
        draw = rng.random()
        if draw > self.faults:
            return frame
        raw = bytearray(frame)
        if draw < self.faults * 0.4:
            raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
        elif draw < self.faults * 0.6:
            del raw[max(14, rng.randrange(len(raw))) :]
        elif draw < self.faults * 0.8:
            raw += rng.randbytes(rng.randrange(1, 30))
        else:
            return bytes(rewrite_payload(frame, lambda payload: rng.randbytes(len(payload))))
        return bytes(raw)


def rewrite_payload(frame: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """The same datagram with another payload and right checksums: damage that no checksum catches."""
    view = parse_udp(frame)
    return udp_frame(
        src_mac=view.src_mac,
        dst_mac=view.dst_mac,
        src=view.src,
        dst=view.dst,
        payload=change(view.payload),
        vlans=view.vlans,
    )


def stock_directory(name: str, locate: int, stamp: dict[str, int]) -> bytes:
    return itch50.StockDirectory(
        stock_locate=locate,
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
    ).encode()


def _accepted(order: OpenOrder, stamp: int, state: str) -> bytes:
    return ouch50.Accepted(
        timestamp=stamp,
        user_ref_num=order.user_ref,
        side="B",
        quantity=order.open_qty,
        symbol="AAPL",
        price=order.price_e4,
        tif="3",
        display="Y",
        order_ref=order.user_ref,
        capacity="P",
        iso="N",
        cross_type="N",
        order_state=state,
        cl_ord_id="TURBO-HFT",
    ).encode()
