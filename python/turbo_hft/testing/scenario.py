"""A day in small: builds frames that follow from each other, valid unless told to be otherwise.

A scenario knows what its exchange published and what of it arrived: live orders, sequence numbers, trading states, and
by its `OrderDesk` our orders. So most of what it makes is valid, and a known share is wrong in one known way: lost,
late or repeated packets, fields that cannot be, snapshots that are not right. What is lost may be brought by line B or
by the re-request server, or be given up by a command. Everything it does follows from the integers it is fed, so a
failing run replays and shrinks.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from turbo_hft._native import lib
from turbo_hft.testing.order_desk import OrderDesk
from turbo_hft.wire import blocks, itch50, ufo
from turbo_hft.wire.frame import parse_udp, udp_frame
from turbo_hft.wire.moldudp64 import EndOfSession, Heartbeat, Packet

Endpoint = tuple[str, int]
Flow = tuple[Endpoint, Endpoint]
Values = dict[str, Any]

_NOBODY = 77  # a locate of no tracked symbol
_MOST_PRICE = 2_000_000_000
_ODD_PRICES = (1, 100, 9999, 1_000_000, 1_640_000, 1_999_999_900, _MOST_PRICE)
_FIRST_MID = 1_630_300
_PENNY_MID = 8_500
_MIDS = (1_629_000, 1_632_500)
_TICKS_NS = (0, 0, 0, 300_000, 300_000, 300_000, 1_500_000, 100_000_000, 100_000_000, 100_000_000)
_NOT_FEED = ("login", "quiet", "reply", "control", "again")
_OF_SYMBOL = b"HYKJhPQAFECXDU"
_SWEPT_AT_ONCE = 512
_BLOCKS_AT_ONCE = 80
_PILE = 86  # three of these are more shares than a level holds
_MOST_REF = (1 << 44) - 1
_FEED_ITSELF = 0xFFFFFFFF
_HISTORY_AT_ONCE = 40
_INTENT = "<IIIIII"
_REPLIES_AT_ONCE = 30


@dataclass
class Resting:
    """A displayed order."""

    name: str
    side: str
    qty: int
    price: int


@dataclass
class Listing:
    """A symbol as its exchange sees it. `mid`: about where it trades, 1/10000 dollar."""

    name: str
    locate: int
    slot: int
    mid: int
    state: str = "T"
    cross_due: bool = False
    halted: bool = False


@dataclass
class Resync:
    """A snapshot that is being installed: right before message `snapshot_seq`, kept messages replayed before
    `replayed_to`."""

    snapshot_seq: int = 0
    replayed_to: int = 0


@dataclass
class Scenario:
    """`symbols`: name -> locate of those that are or will be tracked, in the order of their slots. `feed`: (source,
    destination) of frames of line A, `replies` of reply frames.

    `faults`: share of frames (and of their fields) that are wrong on purpose; `salt` makes equal seeds differ.
    `line_b`, `rerequest`, `commands`: further flows; without them, what they would have carried does not happen.
    `nonce` and `buckets` (entries of the tables of orders, levels and ladder) are the engine's, and `kept_mask`.
    `deep`: many levels a side, at neighbouring and scattered prices. `told`: the replies of the day, of which
    the engine has had the first `heard`.
    """

    symbols: dict[str, int]
    feed: Flow
    replies: Flow
    macs: tuple[str, str]
    faults: float = 0.04
    salt: int = 0
    line_b: Flow | None = None
    rerequest: Flow | None = None
    commands: Flow | None = None
    nonce: int = 0
    buckets: tuple[int, ...] = (0, 0, 0)
    kept_mask: int = (1 << 14) - 1
    deep: bool = False
    feed_index: int = 0
    first_slot: int = 0
    session: str = "SESSION001"
    frames_made: int = 0
    desk: OrderDesk = field(default_factory=OrderDesk)
    told: list[bytes] = field(default_factory=list)
    heard: int = 0
    next_ref: int = 1
    clock_ns: int = 34_200_000_000_000
    phase: str = ""
    listings: list[Listing] = field(default_factory=list)
    live: dict[int, Resting] = field(default_factory=dict)
    newest_replaced: int = 0
    history: list[bytes] = field(default_factory=list)
    arrived: set[int] = field(default_factory=set)
    expected: int = 1
    cursor: dict[str, int] = field(default_factory=lambda: {"a": 1, "b": 1})
    resyncs: dict[str, Resync] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.desk.faults = self.faults
        for index, (name, locate) in enumerate(self.symbols.items()):
            mid = _PENNY_MID if self.deep and index == 2 else _FIRST_MID
            self.listings.append(Listing(name, locate, self.first_slot + index, mid))

    @property
    def feed_seq(self) -> int:
        """The number of the next message that is published."""
        return len(self.history) + 1

    @property
    def frames(self) -> int:
        """How many frames were asked for."""
        return self.frames_made

    def observe(self, frame: bytes) -> None:
        """Take an order frame as the exchange would: its orders are answered by later replies."""
        self.desk.observe(frame)

    def forget_replies(self) -> None:
        """The engine knows nothing of order entry any more: it will log in, and read the day again if it wants to."""
        self.heard = 0

    def frame(self, action: str, seed: int) -> bytes:
        """The next frame of this kind, of those kinds that make one; `seed` decides everything about it."""
        (frame,) = self.several(action, seed)
        return frame

    def several(self, action: str, seed: int) -> list[bytes]:
        """The next frames of this kind. ``resync``, ``abandon``, ``command``, ``manual`` and ``order``
        make one or more commands, or none."""
        self.frames_made += 1
        rng = random.Random(f"{self.salt}/{self.frames_made}/{seed}")
        commands: dict[str, Callable[[random.Random], list[bytes]]] = {
            "resync": self._resync,
            "abandon": self._abandon,
            "command": self._any_command,
            "manual": self._other_command,
            "order": self._order_command,
        }
        if action in commands:
            return commands[action](rng) if self.commands else []
        frames: dict[str, Callable[[random.Random], bytes]] = {
            "login": self._login,
            "directory": self._directory,
            "data": self._data,
            "market": self._market,
            "pile": self._pile,
            "line_b": self._data if self.line_b is None else self._line_b,
            "rerequest": self._quiet if self.rerequest is None else self._rerequest,
            "quiet": self._quiet,
            "reply": self._reply,
            "again": self._replies_again,
            "control": self._control,
        }
        if not self.history and action not in _NOT_FEED:
            action = "directory"
        return [frames[action](rng)]

    # What is published

    def _tick(self, rng: random.Random) -> dict[str, int]:
        """Time goes on, by less and by more than a hold lasts. A clock that steps back must not open the rate limit."""
        self.clock_ns += rng.choice(_TICKS_NS)
        if self.faults and rng.random() < 0.003:
            self.clock_ns -= 2_000_000_001
        return {"tracking_number": 0, "timestamp": self.clock_ns}

    def _directory(self, rng: random.Random) -> bytes:
        """The beginning of a day: market hours, and every symbol is listed and trades."""
        self.phase = "Q"
        messages = [itch50.SystemEvent(stock_locate=0, event_code="Q", **self._tick(rng)).encode()]
        for listing in self.listings:
            listing.state, listing.cross_due, listing.halted = "T", False, False
            at = 999 if rng.random() < self.faults / 2 else listing.locate
            messages.append(stock_directory(listing.name, at, self._tick(rng)))
            messages.append(self._trading_action(rng, listing))
        messages.append(stock_directory("NOBODY", _NOBODY, self._tick(rng)))
        return self._published(messages, rng)

    def _data(self, rng: random.Random) -> bytes:
        """New messages on line A."""
        return self._published([self._message(rng) for _ in range(rng.choice((1, 1, 1, 2, 3, 8)))], rng)

    def _market(self, rng: random.Random) -> bytes:
        """What does not change a book."""
        return self._published([self._market_message(rng) for _ in range(rng.choice((1, 1, 2)))], rng)

    def _pile(self, rng: random.Random) -> bytes:
        """Many orders at once: in `deep` books at as many prices, otherwise large ones at one price."""
        listing = rng.choice(self.listings) if self.deep else self.listings[0]
        adds = []
        for _ in range(_PILE):
            side = rng.choice("BS") if self.deep else "B"
            price = self._price(rng, listing, side) if self.deep else 900_000
            self.live[ref := self._reference(rng)] = Resting(listing.name, side, 100 if self.deep else 2**32 - 1, price)
            adds.append(self._added(ref, listing, self._tick(rng)))
        return self._published(adds, rng)

    def _message(self, rng: random.Random) -> bytes:
        draw = rng.random()
        if draw < 0.02:
            # A type of any length, mostly wrong, or no type at all.
            raw = bytes([rng.choice(b"SRHYLVWKJhAFECXDUPQBINOz\xff")]) + rng.randbytes(rng.randrange(0, 80))
            return raw if rng.random() < self.faults * 4 else b"z" + raw
        if draw < 0.1:
            return self._market_message(rng)
        if draw < 0.1 + 1.5 * self.faults:
            return self._bad_message(rng)
        return self._book_message(rng)

    def _book_message(self, rng: random.Random) -> bytes:
        """A valid change of a book."""
        listing = rng.choice(self.listings)
        if listing.mid != _PENNY_MID:
            listing.mid = min(max(listing.mid + rng.choice((-300, -100, 0, 100, 300)), _MIDS[0]), _MIDS[1])
        header = {"stock_locate": listing.locate, **self._tick(rng)}
        mine = [ref for ref, order in self.live.items() if order.name == listing.name]
        most = 100 if self.deep else 14
        kind = rng.choice("AAAFDDXEECUU")
        if len(mine) < most and self.deep and rng.random() < 0.5:
            kind = "A"
        elif len(mine) > most:
            kind = rng.choice("DDE")
        bid, ask = self._best(listing, "B"), self._best(listing, "S")
        if bid and ask and bid >= ask and rng.random() < 0.6:  # crossed: mostly not for long
            ref = rng.choice([ref for ref in mine if self.live[ref].price in (bid, ask)])
            del self.live[ref]
            return itch50.OrderDelete(order_ref=ref, **header).encode()
        if kind in "AF" or not mine:
            side = rng.choice("BS")
            order = Resting(listing.name, side, _quantity(rng), self._price(rng, listing, side))
            self.live[ref := self._reference(rng)] = order
            return self._added(ref, listing, self._tick(rng), mpid="TEST" if kind == "F" else "")
        ref = rng.choice(mine)
        if kind == "U" and self.newest_replaced in mine and rng.random() < 0.5:
            ref = self.newest_replaced
        return self._changed(rng, kind, ref, listing, header)

    def _changed(self, rng: random.Random, kind: str, ref: int, listing: Listing, header: dict[str, int]) -> bytes:
        """A live order is deleted, replaced or reduced."""
        order = self.live[ref]
        if kind == "D":
            del self.live[ref]
            return itch50.OrderDelete(order_ref=ref, **header).encode()
        if kind == "U":
            del self.live[ref]
            new = self._reference(rng)
            order = Resting(listing.name, order.side, _quantity(rng), self._price(rng, listing, order.side))
            self.live[new] = order
            self.newest_replaced = new
            return itch50.OrderReplace(
                orig_order_ref=ref, new_order_ref=new, shares=order.qty, price=order.price, **header
            ).encode()
        part = order.qty if rng.random() < 0.5 else max(1, order.qty // 2)
        order.qty -= part
        if order.qty == 0:
            del self.live[ref]
        if kind == "X":
            return itch50.OrderCancel(order_ref=ref, cancelled_shares=part, **header).encode()
        if kind == "E":
            return itch50.OrderExecuted(order_ref=ref, executed_shares=part, match_number=ref, **header).encode()
        return itch50.OrderExecutedWithPrice(
            order_ref=ref,
            executed_shares=part,
            match_number=ref,
            printable=rng.choice("YYN"),
            execution_price=max(1, order.price - 50),
            **header,
        ).encode()

    def _added(self, ref: int, listing: Listing, stamp: Values, mpid: str = "") -> bytes:
        """A live order as it is now: new, or part of a snapshot."""
        order = self.live[ref]
        values: Values = {
            "order_ref": ref,
            "side": order.side,
            "shares": order.qty,
            "stock": order.name,
            "price": order.price,
        }
        if mpid:
            return itch50.AddOrderMpid(stock_locate=listing.locate, **stamp, **values, mpid=mpid).encode()
        return itch50.AddOrder(stock_locate=listing.locate, **stamp, **values).encode()

    def _best(self, listing: Listing, side: str) -> int:
        prices = [order.price for order in self.live.values() if order.name == listing.name and order.side == side]
        return (max(prices) if side == "B" else min(prices)) if prices else 0

    def _price(self, rng: random.Random, listing: Listing, side: str) -> int:
        """Mostly near the touch; in `deep` books all over the place. Rarely through the other side."""
        step, draw = _step(listing), rng.random()
        away = -1 if side == "B" else 1
        price = listing.mid + away * step * rng.choice((1, 1, 2, 3, 5, 9))
        if self.deep and draw < 0.5:
            price = listing.mid + away * step * rng.randrange(1, 60)
        elif self.deep and draw < 0.7:
            price = int(listing.mid * (rng.uniform(0.1, 1) if side == "B" else rng.uniform(1, 10)))
        elif self.deep and draw < 0.8:
            price = rng.randrange(1, 10_000) if side == "B" else rng.randrange(1_700_000, _MOST_PRICE)
        elif draw > 0.95:
            price = rng.choice(_ODD_PRICES)
        if rng.random() < 0.1:
            price += rng.choice((50, 37, 1))
        bid, ask = self._best(listing, "B"), self._best(listing, "S")
        if rng.random() < 0.02:  # on purpose
            price = ask or price if side == "B" else bid or price
        elif side == "B" and ask and price >= ask:
            price = ask - step
        elif side == "S" and bid and price <= bid:
            price = bid + step
        return min(max(price, 1), _MOST_PRICE)

    def _reference(self, rng: random.Random) -> int:
        """A new one; they need not rise."""
        self.next_ref += 1
        ref = self.next_ref * (1 if rng.random() < 0.7 else 0x9E3779B97F4A7C15) & _MOST_REF
        return self.next_ref if ref in self.live else ref

    def _market_message(self, rng: random.Random) -> bytes:
        """Trading states (a halt ends by and by), prints, auctions, and what is of no symbol."""
        if self.phase != "Q" and rng.random() < 0.5:
            self.phase = "Q"
            return itch50.SystemEvent(stock_locate=0, event_code="Q", **self._tick(rng)).encode()
        stopped = [one for one in self.listings if one.halted or one.state != "T"]
        listing = rng.choice(stopped if stopped and rng.random() < 0.6 else self.listings)
        stamp = self._tick(rng)
        header = {"stock_locate": listing.locate, **stamp}
        if listing.halted and rng.random() < 0.7:
            return self._operational_halt(rng, listing, "T")
        if listing.state != "T" and rng.random() < 0.7:
            listing.state = rng.choice("QT") if listing.state != "Q" else "T"
            listing.cross_due = listing.state == "T"
            return self._trading_action(rng, listing)
        kind = "Q" if listing.cross_due and rng.random() < 0.6 else rng.choice("PPPQQYKJhHXXXXS")
        if kind == "Q":
            listing.cross_due = False
            shares = rng.choice((0, 1, 100, 10**6, 2**40 - 1))
            return itch50.CrossTrade(
                shares=shares,
                stock=listing.name,
                cross_price=rng.choice((1, listing.mid, _MOST_PRICE)) if shares else 0,
                match_number=1,
                cross_type=rng.choice("OCH"),
                **header,
            ).encode()
        if kind == "P":
            return itch50.Trade(
                order_ref=0,
                side="B",
                shares=_quantity(rng),
                stock=listing.name,
                price=listing.mid,
                match_number=1,
                **header,
            ).encode()
        if kind == "H":
            listing.state, listing.cross_due = rng.choice("HP"), False
            return self._trading_action(rng, listing)
        if kind == "h":
            return self._operational_halt(rng, listing, "H")
        if kind == "S" and rng.random() < 0.4:
            self.phase = rng.choice("OSMEC")
            return itch50.SystemEvent(stock_locate=0, event_code=self.phase, **stamp).encode()
        if kind == "S" and self.faults and rng.random() < 0.1:
            return itch50.MwcbStatus(stock_locate=0, breached_level=rng.choice("123"), **stamp).encode()
        return self._of_auctions(rng, kind, listing, header)

    def _of_auctions(self, rng: random.Random, kind: str, listing: Listing, header: dict[str, int]) -> bytes:
        """What trading does not wait for."""
        word = rng.randrange(2**32)
        if kind == "Y":
            return itch50.RegShoRestriction(stock=listing.name, reg_sho_action=rng.choice("012"), **header).encode()
        if kind == "K":
            return itch50.QuotingPeriodUpdate(
                stock=listing.name, release_time_s=34_200, release_qualifier=rng.choice("AC"), ipo_price=word, **header
            ).encode()
        if kind == "J":
            return itch50.LuldAuctionCollar(
                stock=listing.name, reference_price=word, upper_price=word, lower_price=1, extension=2, **header
            ).encode()
        none = {**header, "stock_locate": 0}
        return rng.choice(
            (
                itch50.MwcbDeclineLevel(level1=word, level2=2, level3=2**64 - 1, **none),
                itch50.BrokenTrade(match_number=1, **header),
                itch50.Rpii(stock=listing.name, interest_flag="B", **header),
                itch50.MarketParticipantPosition(
                    mpid="TEST", stock=listing.name, primary_mm="Y", mm_mode="N", participant_state="A", **header
                ),
                itch50.Noii(
                    paired_shares=1,
                    imbalance_shares=2**63,
                    imbalance_direction="B",
                    stock=listing.name,
                    far_price=1,
                    near_price=2,
                    reference_price=3,
                    cross_type="O",
                    price_variation="L",
                    **header,
                ),
            )
        ).encode()

    def _trading_action(self, rng: random.Random, listing: Listing) -> bytes:
        return itch50.StockTradingAction(
            stock_locate=listing.locate,
            **self._tick(rng),
            stock=listing.name,
            trading_state=listing.state,
            reserved="",
            reason=rng.choice(("", "T1", "LUDP")),
        ).encode()

    def _operational_halt(self, rng: random.Random, listing: Listing, action: str) -> bytes:
        market = rng.choice("QQB")
        if market == "Q":
            listing.halted = action == "H"
        return itch50.OperationalHalt(
            stock_locate=listing.locate,
            **self._tick(rng),
            stock=listing.name,
            market_code=market,
            halt_action=action,
        ).encode()

    def _bad_message(self, rng: random.Random) -> bytes:
        """Right length, wrong in one way; the exchange's own book stays as it is."""
        listing, other = rng.choice(self.listings), rng.choice(self.listings)
        header: Values = {"stock_locate": listing.locate, **self._tick(rng)}
        refs = list(self.live) or [1]
        ref, unknown = rng.choice(refs), self.next_ref + 999
        mine = next((ref for ref, order in self.live.items() if order.name == listing.name), 1)
        too_many = min(self.live[mine].qty + 1, 2**32 - 1) if mine in self.live else 1
        add: Values = {"order_ref": unknown, "side": "B", "shares": 1, "stock": listing.name, "price": 100, **header}
        execute: Values = {"order_ref": ref, "executed_shares": 1, "match_number": 1, **header}
        priced: Values = header | {"order_ref": mine, "executed_shares": 1, "match_number": 1, "execution_price": 1}
        replace: Values = {"orig_order_ref": mine, "new_order_ref": unknown, "shares": 1, "price": 100, **header}
        named: Values = {"stock": listing.name, **header}
        state: Values = named | {"trading_state": "T", "reserved": "", "reason": ""}
        bad: list[tuple[type[itch50.Header], Values]] = [
            (itch50.AddOrder, add | {"side": "Z"}),
            (itch50.AddOrder, add | {"stock": "WRONG"}),
            (itch50.AddOrder, add | {"shares": 0}),
            (itch50.AddOrder, add | {"price": rng.choice((0, _MOST_PRICE + 1))}),
            (itch50.AddOrder, add | {"order_ref": rng.choice((0, _MOST_REF + 1, 2**64 - 1, ref + 2**44))}),
            (itch50.AddOrder, add | {"order_ref": ref}),
            (itch50.OrderExecuted, execute),
            (itch50.OrderExecuted, execute | {"order_ref": mine, "executed_shares": rng.choice((0, 2**32 - 1))}),
            (itch50.OrderCancel, {"order_ref": mine, "cancelled_shares": too_many, **header}),
            (itch50.OrderExecuted, execute | {"order_ref": rng.choice((unknown, ref + 2**44))}),
            (itch50.OrderExecutedWithPrice, priced | {"printable": "?"}),
            (itch50.OrderExecutedWithPrice, priced | {"printable": "Y", "execution_price": 0}),
            (itch50.OrderCancel, {"order_ref": mine, "cancelled_shares": 0, **header}),
            (itch50.OrderDelete, {"order_ref": rng.choice((unknown, ref)), **header}),
            (itch50.OrderReplace, replace | {"orig_order_ref": rng.choice((unknown, ref))}),
            (itch50.OrderReplace, replace | {"new_order_ref": rng.choice((mine, ref, 0, _MOST_REF + 1))}),
            (itch50.OrderReplace, replace | {"shares": 0}),
            (itch50.OrderReplace, replace | {"price": rng.choice((0, _MOST_PRICE + 1))}),
            (itch50.StockTradingAction, state | {"trading_state": "X"}),
            (
                itch50.StockTradingAction,
                state | {"stock": other.name},
            ),
            (itch50.OperationalHalt, named | {"market_code": "Q", "halt_action": "?"}),
            (itch50.RegShoRestriction, named | {"reg_sho_action": "9"}),
            (itch50.SystemEvent, header | {"event_code": "?"}),
            (itch50.MwcbStatus, header | {"breached_level": "4"}),
        ]
        kind, values = rng.choice(bad)
        if rng.random() < 0.1:
            return stock_directory(other.name, listing.locate, {"tracking_number": 0, "timestamp": self.clock_ns})
        if rng.random() < 0.15:
            return itch50.OrderDelete(stock_locate=listing.locate, **self._tick(rng), order_ref=mine).encode()[:-1]
        return kind(**values).encode()

    # How it arrives

    def _datagram(self, flow: Flow, payload: bytes, rng: random.Random) -> bytes:
        vlans = rng.choice(((), (), (), (100,), (7, 100)))
        options = rng.choice((b"", b"", b"", b"\x01\x01\x01\x00", b"\x94\x04\x00\x00\x01"))
        frame = udp_frame(
            src_mac=self.macs[0],
            dst_mac=self.macs[1],
            src=flow[0],
            dst=flow[1],
            payload=payload,
            vlans=vlans,
            options=options,
            checksum=rng.random() > 0.1,
        )
        return self._spoilt(frame, rng)

    def _published(self, messages: Sequence[bytes], rng: random.Random) -> bytes:
        """New messages, sent on line A, maybe behind some that line B brought first, or some that nobody did."""
        first, draw = self.feed_seq, rng.random()
        if draw < self.faults:  # repeats
            first = max(1, first - rng.randrange(1, 5))
        elif draw < self.faults * 1.5:  # lost
            self.history += messages
            first = self.feed_seq
            messages = [self._message(rng)]
        elif self.cursor["a"] < first and draw < 0.6:  # line A is behind
            first = max(self.cursor["a"], first - 20)
        self.history += messages
        self.cursor["a"] = self.feed_seq
        return self._carried(self.feed, first, self.feed_seq - first, rng)

    def _line_b(self, rng: random.Random) -> bytes:
        """Line B: mostly a little behind line A, sometimes ahead, with losses of its own."""
        assert self.line_b is not None
        draw = rng.random()
        if self.cursor["b"] == self.feed_seq or draw < 0.2:
            self.history += [self._message(rng) for _ in range(rng.choice((1, 1, 2)))]
        first = self.cursor["b"]
        if draw < self.faults:
            first = min(first + rng.randrange(1, 4), self.feed_seq - 1)
        elif draw < 2 * self.faults:
            first = max(1, first - rng.randrange(1, 6))
        elif self.feed_seq - first > 10 and draw < 0.8:
            first = self.feed_seq - 2
        count = min(self.feed_seq - first, rng.choice((1, 2, 3, 8)))
        self.cursor["b"] = max(self.cursor["b"], first + count)
        return self._carried(self.line_b, first, count, rng)

    def _rerequest(self, rng: random.Random) -> bytes:
        """What the re-request server brings: what is missing, or something old if nothing is."""
        assert self.rerequest is not None
        first = self.expected if rng.random() > 0.1 else max(1, self.expected - rng.randrange(1, 30))
        if first >= self.feed_seq:
            first = max(1, self.feed_seq - rng.randrange(1, 10))
        count = min(self.feed_seq - first, rng.choice((1, 8, _HISTORY_AT_ONCE, _HISTORY_AT_ONCE)))
        if count <= 0:
            return self._quiet(rng)
        return self._carried(self.rerequest, first, count, rng)

    def _carried(self, flow: Flow, first: int, count: int, rng: random.Random) -> bytes:
        """A packet of published messages, as many as fit."""
        messages: list[bytes] = []
        for message in self.history[first - 1 : first - 1 + count]:
            if sum(len(each) + 2 for each in (*messages, message)) > 3400:
                break
            messages.append(message)
        session = "ANOTHER001" if rng.random() < self.faults / 4 else self.session
        payload = Packet(session, first, tuple(messages)).encode()
        before = self._datagram(flow, payload, rng)
        if session == self.session and payload in before:
            self._arrive(first, len(messages))
        return before

    def _arrive(self, first: int, count: int) -> None:
        """What of it the receiver has now: handled, or kept because it came too early."""
        for number in range(first, first + count):
            if self.expected <= number <= self.expected + self.kept_mask:
                self.arrived.add(number)
            while self.expected in self.arrived:
                self.arrived.remove(self.expected)
                self.expected += 1

    def _quiet(self, rng: random.Random) -> bytes:
        flow = self.line_b if self.line_b is not None and rng.random() < 0.5 else self.feed
        sequence = self.feed_seq if rng.random() > self.faults else self.feed_seq + 2
        if rng.random() < self.faults / 2:
            return self._datagram(flow, EndOfSession(self.session, sequence).encode(), rng)
        return self._datagram(flow, Heartbeat(self.session, sequence).encode(), rng)

    # Commands

    def _command(self, op: int, *messages: bytes, **fields: int) -> bytes:
        assert self.commands is not None
        values = {"nonce": self.nonce, "feed": self.feed_index, "blocks": len(messages)} | fields
        names = ("nonce", "op", "feed", "slot", "blocks", "sequence", "first", "count")
        payload = struct.pack("<QIIIIQII", *(op if name == "op" else values.get(name, 0) for name in names))
        return udp_frame(
            src_mac=self.macs[0],
            dst_mac=self.macs[1],
            src=self.commands[0],
            dst=self.commands[1],
            payload=payload + blocks.join(messages),
        )

    def _sweeps(self) -> list[bytes]:
        """Every bucket of every table. Only whole sweeps are made: half of one leaves what no rule describes."""
        return [
            self._command(lib.HFT_OP_SWEEP, sequence=table, first=first, count=min(_SWEPT_AT_ONCE, size - first))
            for table, size in enumerate(self.buckets)
            for first in range(0, size, _SWEPT_AT_ONCE)
        ]

    def _in_parts(self, op: int, listing: Listing, sequence: int, messages: Sequence[bytes]) -> Iterator[bytes]:
        """One command, or more if the messages do not fit one."""
        for first in range(0, max(1, len(messages)), _BLOCKS_AT_ONCE):
            part = messages[first : first + _BLOCKS_AT_ONCE]
            yield self._command(op, *part, slot=listing.slot, sequence=sequence)

    def _resync(self, rng: random.Random) -> list[bytes]:
        """The next step, or all that remain, of bringing a book back."""
        begun = [listing for listing in self.listings if listing.name in self.resyncs]
        listing = rng.choice(begun if begun and rng.random() < 0.8 else self.listings)
        steps = 9 if rng.random() < 0.5 else 1
        made: list[bytes] = []
        for _ in range(steps):
            made += self._resync_step(rng, listing)
            if listing.name not in self.resyncs:
                break
        return made

    def _resync_step(self, rng: random.Random, listing: Listing) -> list[bytes]:
        resync = self.resyncs.get(listing.name)
        if resync is None or rng.random() < 0.02:
            self.resyncs[listing.name] = Resync()
            asked = [self._command(lib.HFT_OP_QUARANTINE, slot=listing.slot)]
            return [*asked, self._command(lib.HFT_OP_BEGIN, slot=listing.slot), *self._sweeps()]
        if resync.snapshot_seq == 0:
            resync.snapshot_seq = resync.replayed_to = self.feed_seq
            frames = [self._feed_itself(rng)] if rng.random() < 0.3 else []
            snapshot = self._snapshot(rng, listing)
            return frames + list(self._in_parts(lib.HFT_OP_INSTALL, listing, resync.snapshot_seq, snapshot))
        later = [
            message
            for message in self.history[resync.replayed_to - 1 :]
            if message[:1] and message[0] in _OF_SYMBOL and message[1:3] == listing.locate.to_bytes(2, "big")
        ]
        frames = []
        if rng.random() < 0.9:
            resync.replayed_to = self.feed_seq
            frames = list(self._in_parts(lib.HFT_OP_REPLAY, listing, resync.replayed_to - 1, later)) if later else []
        frames.append(self._command(lib.HFT_OP_RELEASE, slot=listing.slot, sequence=resync.replayed_to))
        if self.expected >= resync.replayed_to or rng.random() < 0.2:
            del self.resyncs[listing.name]
        return frames

    def _snapshot(self, rng: random.Random, listing: Listing) -> list[bytes]:
        """The book as its exchange has it now; a known share is wrong in one known way."""
        stamp = {"tracking_number": 0, "timestamp": self.clock_ns}
        messages = [self._added(ref, listing, stamp) for ref, order in self.live.items() if order.name == listing.name]
        messages.insert(0, self._trading_action(rng, listing))
        draw = rng.random()
        if draw < self.faults * 2:
            del messages[rng.randrange(len(messages))]
        elif draw < self.faults * 3:
            messages.insert(rng.randrange(len(messages)), rng.choice(messages))
        elif draw < self.faults * 4:
            raw = bytearray(messages[-1])
            raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
            messages[-1] = bytes(raw)
        elif draw < self.faults * 5:
            messages.append(rng.choice((b"", b"z", messages[0][:-1], messages[0] + b"?")))
        elif draw < 0.3:
            messages.append(itch50.SystemEvent(stock_locate=0, event_code="Q", **stamp).encode())
        return messages

    def _feed_itself(self, rng: random.Random) -> bytes:
        """What a snapshot says of the feed: its locates and its phase."""
        stamp = {"tracking_number": 0, "timestamp": self.clock_ns}
        messages = [stock_directory(listing.name, listing.locate, stamp) for listing in self.listings]
        messages.append(itch50.SystemEvent(stock_locate=0, event_code=self.phase or "Q", **stamp).encode())
        if rng.random() < self.faults * 3:
            messages += [b"", b"R", self._market_message(rng), stock_directory("NOBODY", 55, stamp)]
        return self._command(lib.HFT_OP_INSTALL, *messages, slot=_FEED_ITSELF)

    def _abandon(self, rng: random.Random) -> list[bytes]:
        """Give up what is missing: up to the next message that arrived, or too much."""
        until = min(self.arrived, default=self.feed_seq)
        if rng.random() < 0.2:
            until = rng.choice((0, self.expected, self.expected + 1, self.feed_seq + 3, 2**64 - 1))
        if self.expected < until <= self.feed_seq:
            self._arrive(self.expected, until - self.expected)
        return [self._command(lib.HFT_OP_ABANDON, sequence=until)]

    def _any_command(self, rng: random.Random) -> list[bytes]:
        """POKE, another day, or what has to be refused."""
        draw = rng.random()
        if draw < 0.3:
            return [self._command(lib.HFT_OP_POKE)]
        if draw < 0.36:
            return self._another_day(rng)
        slot = rng.choice((*(one.slot for one in self.listings), 60, 2**31, _FEED_ITSELF))
        number = rng.choice((0, 1, self.expected, self.feed_seq, self.feed_seq + 9, 2**64 - 1))
        listing = rng.choice(self.listings)
        some = self._added(next(iter(self.live)), listing, self._tick(rng)) if self.live else b"z"
        good = self._command(lib.HFT_OP_POKE)
        return [
            rng.choice(
                (
                    self._command(lib.HFT_OP_POKE, nonce=rng.choice((0, self.nonce ^ 1))),
                    self._command(lib.HFT_OP_POKE, feed=rng.choice((3, 4, 2**32 - 1))),
                    self._command(rng.choice((lib.HFT_OP_NONE, lib.HFT_OPS, 2**32 - 1))),
                    self._command(lib.HFT_OP_POKE, some, blocks=rng.choice((0, 2, 1729, 1730))),
                    self._command(lib.HFT_OP_QUARANTINE, slot=slot),
                    self._command(lib.HFT_OP_SWEEP, sequence=rng.choice((3, 2**32, 2**64 - 1)), count=1),
                    self._command(lib.HFT_OP_SWEEP, count=513),
                    self._command(lib.HFT_OP_REPLAY, some, slot=slot, sequence=number),
                    self._command(lib.HFT_OP_INSTALL, some, slot=slot, sequence=number),
                    self._command(lib.HFT_OP_RELEASE, slot=slot, sequence=number),
                    self._command(lib.HFT_OP_ABANDON, sequence=number),
                    self._command(lib.HFT_OP_ROLLOVER, b"NINE BYTE"),
                    self._command(lib.HFT_OP_ROLLOVER),
                    rewrite_payload(good, lambda payload: payload[: rng.randrange(40)]),
                    rewrite_payload(good, lambda payload: payload + b"?"),
                )
            )
        ]

    # Orders by hand

    def _other_command(self, rng: random.Random) -> list[bytes]:
        """LOST, REARM or TRUST, mostly where they make no sense."""
        draw = rng.random()
        asked = [ref for what, ref in self.desk.requests if what != "cancel"]
        if draw < 0.4:
            ref = (
                rng.choice((*asked, *self.desk.orders, 0, 2**32 + 1)) if rng.random() < 0.5 or not asked else asked[-1]
            )
            return [self._command(lib.HFT_OP_LOST, sequence=ref)]
        if draw < 0.9:
            latch = rng.choice((0, 0, 1, 1, 2, 2, 3, 2**32))
            slot = rng.choice((*(one.slot for one in self.listings), 60, _FEED_ITSELF))
            first = rng.choice((1, 2, 3, 4, 5, 6, 6, 7, 8, 2**32 - 1))
            return [self._command(lib.HFT_OP_REARM, sequence=latch, first=first, slot=slot)]
        return [self._command(lib.HFT_OP_TRUST)]

    def trust(self) -> bytes:
        """A person has looked."""
        return self._command(lib.HFT_OP_TRUST)

    def _order_command(self, rng: random.Random) -> list[bytes]:
        """ORDER with an intent that mostly makes sense: near the market, or about an order of ours."""
        wrong = max(0.03, 2 * self.faults)
        listing = rng.choice(self.listings)
        live = [order for order in self.desk.orders.values() if order.live]
        action = rng.choice((1, 1, 2, 2, 2, 3) if live else (1,) * 12 + (2, 3))
        side = rng.choice((0, 1))
        price = max(1, listing.mid + rng.choice((-900, -300, -100, 0, 0, 100, 300, 900)))
        qty = rng.choice((1, 50, 100, 100, 300))
        ref = 0
        if action != lib.HFT_ACTION_ENTER:
            order = rng.choice(live) if live else None
            ref = order.ref if order is not None else rng.choice((0, 1, 4097))
            listing = next((one for one in self.listings if order is not None and one.name == order.name), listing)
            side = 0 if order is None or order.side == "B" else 1
        tif = rng.choice((0, 1, 2))
        if rng.random() < wrong:
            action, side, tif = rng.choice((0, action, 4, 2**32 - 1)), rng.choice((side, 2)), rng.choice((tif, 3))
        if rng.random() < wrong:
            qty, price = rng.choice((0, qty, 10**6, 999_999)), rng.choice((0, price, 1_999_999_900, 2**32 - 1))
        if rng.random() < wrong:
            ref, listing = rng.choice((0, ref, 1, 4097, 2**32 - 1)), rng.choice(self.listings)
        intent = struct.pack(_INTENT, action, side, price, qty, ref, tif)
        slot = listing.slot if rng.random() > self.faults else rng.choice((60, 2**31, _FEED_ITSELF))
        if rng.random() < self.faults:
            return [self._command(lib.HFT_OP_ORDER, *rng.choice(((), (intent[:-1],), (intent, intent))), slot=slot)]
        return [self._command(lib.HFT_OP_ORDER, intent, slot=slot)]

    def by_hand(self, slot: int, action: int, side: int, price_e4: int, qty: int, ref: int = 0) -> bytes:
        """An ORDER command of just this; `ref`: the order it is about, if it is no new one."""
        return self._command(lib.HFT_OP_ORDER, struct.pack(_INTENT, action, side, price_e4, qty, ref, 0), slot=slot)

    def _another_day(self, rng: random.Random) -> list[bytes]:
        """The next session: other locates, empty books, numbers from 1."""
        self.session = f"SESSION{rng.randrange(1000):03}"
        self.history, self.arrived, self.expected = [], set(), 1
        self.cursor = {"a": 1, "b": 1}
        self.live, self.resyncs, self.phase = {}, {}, ""
        frames = [self._command(lib.HFT_OP_ROLLOVER, self.session.encode()), *self._sweeps()]
        for listing in self.listings:
            listing.locate = 1 + (listing.locate + 5) % 40
            if rng.random() < 0.8:
                frames.append(self._command(lib.HFT_OP_INSTALL, slot=listing.slot, sequence=1))
                frames.append(self._command(lib.HFT_OP_RELEASE, slot=listing.slot, sequence=1))
            else:
                self.resyncs[listing.name] = Resync()
        return frames

    # Replies

    def _login(self, rng: random.Random) -> bytes:
        """The number is that of the next reply: a session that was lost hears at once what it missed."""
        name = "UFO0000001" if rng.random() > max(0.05, self.faults) else "UFO0000002"
        return self._datagram(self.replies, ufo.LoginAccepted(name, len(self.told) + 1).encode(), rng)

    def _control(self, rng: random.Random) -> bytes:
        message = rng.choice(
            (
                ufo.LoginRejected("A"),
                ufo.Sequenced(self.heard + 1, ()),
                ufo.Sequenced(len(self.told) + 1, ()),
                ufo.Sequenced(len(self.told) + 2, ()),
            )
        )
        if rng.random() < 0.04:
            return self._datagram(self.replies, b"E" + bytes(4), rng)
        return self._datagram(self.replies, message.encode(), rng)

    def _reply(self, rng: random.Random) -> bytes:
        """New replies behind those that were not heard yet."""
        for _ in range(rng.choice((1, 1, 2, 3))):
            self.told.append(self.desk.answer(rng, self._tick(rng)["timestamp"]))
        draw = rng.random()
        if draw < self.faults:  # those before are lost, and these are sent again later
            return self._heard(len(self.told), rng)
        if draw < 2 * self.faults:
            return self._heard(max(1, self.heard - rng.randrange(3)), rng)
        return self._heard(self.heard + 1, rng)

    def _replies_again(self, rng: random.Random) -> bytes:
        """What was not heard yet, and nothing new: how a day is read again."""
        return self._heard(self.heard + 1, rng)

    def _heard(self, first: int, rng: random.Random) -> bytes:
        messages = tuple(self.told[first - 1 : first - 1 + _REPLIES_AT_ONCE])
        payload = ufo.Sequenced(first, messages).encode()
        frame = self._datagram(self.replies, payload, rng)
        if first <= self.heard + 1 and payload in frame:
            self.heard = max(self.heard, first - 1 + len(messages))
        return frame

    # Damage

    def _spoilt(self, frame: bytes, rng: random.Random) -> bytes:
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


def _step(listing: Listing) -> int:
    """One cent, and below a dollar the smallest step there is."""
    return 100 if listing.mid >= 10_000 else 1


def _quantity(rng: random.Random) -> int:
    return rng.choice((1, 50, 100, 300, 999_999, 999_999, 2**32 - 1)) if rng.random() < 0.2 else 100


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
    return itch50.common_stock(name, locate, **stamp).encode()
