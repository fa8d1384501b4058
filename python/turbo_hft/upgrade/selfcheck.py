"""Does a build of the engine do what an engine must? Tried on maps of its own, attached to nothing.

A day in small, packet by packet, each with the answer that docs/rules.md gives: a foreign frame, orders held back by
session, kill switch and lease, a trade there and back, a gap of the feed, a packet that is none, an order by hand and
its cancel. It is a check of the build (was this file compiled from what it should be, does this kernel run it right),
and no replacement for the tests of the program.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from turbo_hft.addresses import FeedAddress, OrderSession, Protocol
from turbo_hft.engine import Engine
from turbo_hft.errors import TurboHftError, UpgradeError
from turbo_hft.orders import payload_of
from turbo_hft.wire import blocks, itch50, moldudp64, ouch42, ouch50, ufo
from turbo_hft.wire.frame import parse_udp, udp_frame

_DROP, _PASS, _SENT = 1, 2, 3  # XDP verdicts
_FEED = FeedAddress("239.77.0.1", 26477, "10.77.0.2")
_NAME, _LOCATE = "AAPL", 1
_BID_E4, _ASK_E4, _DEAR_E4, _FAR_E4 = 1_631_900, 1_632_000, 1_633_000, 1_634_000
_QTY = 100
_HIGH = 1_000_000
_DAY = "SELFCHECK"
_OPEN_NS = 34_200_000_000_000
_NAMED = 3  # findings that a message names


def _session(protocol: Protocol) -> OrderSession:
    return OrderSession(
        local=("10.77.0.1", 26400),
        remote=("10.77.0.2", 26450),
        local_mac="02:00:00:00:77:01",
        remote_mac="02:00:00:00:77:02",
        username="SELF",
        password="CHECK",
        protocol=protocol,
        firm="TEST" if protocol == "ouch42" else "",
        token_prefix="SELF01" if protocol == "ouch42" else "",
    )


class _Day:
    """One instance, and what was wrong with it."""

    def __init__(self, engine: Engine, protocol: Protocol) -> None:
        self.engine = engine
        self.session = _session(protocol)
        self.wrong: list[str] = []
        self._clock = _OPEN_NS
        self._sequence = self._replies = 1
        self._ref = 0
        engine.configure(self.session, _FEED)
        engine.symbols.add(_NAME, buy_below="163.20", base_qty=_QTY, cap_qty=_QTY, max_long=1000, burst=_HIGH)
        engine.lease.forever()

    def expect(self, what: str, found: object, wanted: object) -> None:
        """Note it if it is not so."""
        if found != wanted:
            self.wrong.append(f"{what}: {found!r} instead of {wanted!r}")

    def stamp(self) -> dict[str, int]:
        self._clock += 1_000_000
        return {"tracking_number": 0, "timestamp": self._clock}

    def _frame(self, source: tuple[str, int], destination: tuple[str, int], payload: bytes) -> bytes:
        macs = (self.session.remote_mac, self.session.local_mac)
        return udp_frame(src_mac=macs[0], dst_mac=macs[1], src=source, dst=destination, payload=payload)

    def feed_payload(self, payload: bytes) -> tuple[int, bytes]:
        """A datagram of the feed: verdict and frame."""
        source = (str(_FEED.source), 9)
        return self.engine.program.run(self._frame(source, (_FEED.group, _FEED.port), payload))

    def market(self, *messages: bytes, ahead: int = 0) -> tuple[int, bytes]:
        """The next packet of the feed, or one that many messages `ahead`."""
        payload = moldudp64.Packet(_DAY, self._sequence + ahead, messages).encode()
        if not ahead:
            self._sequence += len(messages)
        return self.feed_payload(payload)

    def skip(self, count: int) -> None:
        """So many messages have come already."""
        self._sequence += count

    def add(self, side: str, price_e4: int) -> bytes:
        self._ref += 1
        return itch50.AddOrder(
            stock_locate=_LOCATE,
            order_ref=self._ref,
            side=side,
            shares=_QTY,
            stock=_NAME,
            price=price_e4,
            **self.stamp(),
        ).encode()

    def delete(self) -> bytes:
        """The order that was added last."""
        return itch50.OrderDelete(stock_locate=_LOCATE, order_ref=self._ref, **self.stamp()).encode()

    def tick(self, side: str, price_e4: int) -> tuple[int, bytes]:
        """An order of the market comes and goes: what the first packet met."""
        result = self.market(self.add(side, price_e4))
        self.market(self.delete())
        return result

    def reply(self, *messages: bytes) -> None:
        """Replies of order entry."""
        payload = ufo.Sequenced(self._replies, messages).encode()
        self._replies += len(messages)
        self.entry(payload)

    def entry(self, payload: bytes) -> None:
        """A datagram of the exchange's order entry."""
        self.engine.program.run(self._frame(self.session.remote, self.session.local, payload))

    def open(self) -> None:
        """The market opens, the symbol trades."""
        directory = itch50.StockDirectory(
            stock_locate=_LOCATE, **self.stamp(), stock=_NAME, market_category="Q", financial_status="N",
            round_lot_size=100, round_lots_only="N", issue_classification="C", issue_subtype="Z", authenticity="P",
            short_sale_threshold="N", ipo_flag="N", luld_tier="1", etp_flag="N", etp_leverage=0, inverse="N",
        )  # fmt: skip
        self.market(
            itch50.SystemEvent(stock_locate=0, event_code="Q", **self.stamp()).encode(),
            directory.encode(),
            itch50.StockTradingAction(_LOCATE, 0, self._clock, _NAME, "T", "", "").encode(),
            self.add("B", _BID_E4),
            self.add("S", _FAR_E4),  # the collar wants two sides
        )

    def refused(self, what: str, reason: str) -> None:
        """A tick that would trade: nothing leaves, and the gate says why."""
        before = self.engine.refusals().get(reason, 0)
        verdict, _ = self.tick("S", _ASK_E4)
        self.expect(f"{what}: verdict", verdict, _DROP)
        self.expect(f"{what}: orders refused as {reason}", self.engine.refusals()[reason] - before, 1)

    def order(self, what: str, result: tuple[int, bytes]) -> Any:
        """The order that left in a frame, as the exchange would read it; None if none did."""
        verdict, frame = result
        self.expect(f"{what}: verdict", verdict, _SENT)
        if verdict != _SENT:
            return None
        view = parse_udp(frame)  # with its checksums
        self.expect(f"{what}: from", view.src, self.session.local)
        self.expect(f"{what}: to", view.dst, self.session.remote)
        (message,) = blocks.split(payload_of(frame))
        decode = ouch50.decode_inbound if self.session.protocol == "ouch50" else ouch42.decode_inbound
        return decode(message[1:])


def _held_back(day: _Day) -> None:
    engine = day.engine
    foreign = bytes(60)
    day.expect("a foreign frame", engine.program.run(foreign), (_PASS, foreign))
    counters = engine.counters()
    day.expect("frames counted", counters["frames"], 1)
    day.expect("foreign frames counted", counters["not_ours"], 1)
    day.open()
    engine.resume()
    day.refused("before the login", "session_down")
    day.entry(ufo.LoginAccepted("ORDERS", 1).encode())
    day.expect("order entry", engine.session.health, "up")
    engine.halt()
    day.refused("halted", "halted_global")
    engine.resume()
    engine.lease.lapse()
    day.refused("without a lease", "lease")
    engine.lease.forever()
    engine.symbols[_NAME].halt()
    day.refused("the symbol halted", "halted_symbol")
    engine.symbols[_NAME].resume()
    day.expect("orders so far", engine.counters()["orders"], 0)


def _trade_50(day: _Day) -> None:
    engine, symbol = day.engine, day.engine.symbols[_NAME]
    order = day.order("the order", day.tick("S", _ASK_E4))
    if order is None:
        return
    said = (type(order).__name__, order.user_ref_num, order.side, order.quantity, order.symbol, order.price, order.tif)
    day.expect("the order", said, ("EnterOrder", 1, "B", _QTY, _NAME, _ASK_E4, "3"))
    day.reply(_accepted(day, 1, "B", _ASK_E4), _executed(day, 1, _ASK_E4, 1))
    state = symbol.snapshot()
    day.expect("the position", (state.position, state.cost_e4, state.fills), (_QTY, _QTY * _ASK_E4, 1))
    symbol.set_targets(buy_below=None, sell_above="163.30")
    order = day.order("the sale", day.tick("B", _DEAR_E4))
    if order is None:
        return
    day.expect("the sale", (order.user_ref_num, order.side, order.quantity, order.price), (2, "S", _QTY, _DEAR_E4))
    day.reply(_accepted(day, 2, "S", _DEAR_E4), _executed(day, 2, _DEAR_E4, 2))
    state = symbol.snapshot()
    day.expect("the round trip", (state.position, state.realized_e4), (0, _QTY * (_DEAR_E4 - _ASK_E4)))
    _by_hand(day)
    day.expect("orders counted", engine.counters()["orders"], 3)


def _by_hand(day: _Day) -> None:
    sent: list[bytes] = []
    orders = day.engine.orders
    orders.send = sent.append
    ref = orders.enter(_NAME, "buy", 10, "163.00", tif="day")
    day.reply(_accepted(day, ref, "B", 1_630_000, qty=10))
    orders.cancel(ref)
    canceled = day.order("the cancel", (_SENT, sent[-1]))
    day.expect("the cancel", (type(canceled).__name__, canceled.user_ref_num), ("CancelOrder", ref))
    day.reply(ouch50.Canceled(_OPEN_NS, ref, 10, "U").encode())
    day.expect("orders left open", len(orders.open()), 0)


def _accepted(day: _Day, ref: int, side: str, price_e4: int, qty: int = _QTY) -> bytes:
    stamp = day.stamp()["timestamp"]
    return ouch50.Accepted(
        stamp, ref, side, qty, _NAME, price_e4, "3", "Y", ref, "P", "N", "N", "L", ""
    ).encode()  # fmt: skip


def _executed(day: _Day, ref: int, price_e4: int, match: int) -> bytes:
    return ouch50.Executed(day.stamp()["timestamp"], ref, _QTY, price_e4, "R", match).encode()


def _trade_42(day: _Day) -> None:
    order = day.order("the order (OUCH 4.2)", day.tick("S", _ASK_E4))
    if order is not None:
        said = (order.order_token, order.side, order.shares, order.stock, order.price, order.firm)
        day.expect("the order (OUCH 4.2)", said, ("SELF0100000001", "B", _QTY, _NAME, _ASK_E4, "TEST"))


def _feed_faults(day: _Day) -> None:
    engine = day.engine
    engine.symbols[_NAME].set_targets(buy_below="163.20", sell_above=None)
    late, early = day.add("S", _ASK_E4), day.delete()
    before = engine.counters()["orders"]
    verdict, _ = day.market(early, ahead=1)
    day.expect("a packet behind a missing one", (verdict, engine.feed.health), (_DROP, "hold"))
    day.market(late)
    day.skip(1)
    day.expect("the missing one", engine.feed.health, "live")
    day.expect("orders of both together", engine.counters()["orders"] - before, 0)
    sequence = engine.feed.expected_seq
    verdict, _ = day.feed_payload(moldudp64.Packet(_DAY, sequence, (late,)).encode()[:-1])
    day.expect("a packet that is cut short", (verdict, engine.feed.expected_seq), (_PASS, sequence))
    day.expect("such packets counted", engine.counters()["feed_malformed"], 1)
    day.expect("the book", (engine.symbols[_NAME].health, engine.symbols[_NAME].snapshot().bid_e4), ("live", _BID_E4))


_PARTS: dict[Protocol, tuple[Callable[[_Day], None], ...]] = {
    "ouch50": (_held_back, _trade_50, _feed_faults),
    "ouch42": (_held_back, _trade_42),
}


def findings(engine: Engine, protocol: Protocol) -> list[str]:
    """What is wrong with an engine that was just loaded, by the feed's clock; empty: nothing."""
    day = _Day(engine, protocol)
    for part in _PARTS[protocol]:
        try:
            part(day)
        except (TurboHftError, ValueError, IndexError) as error:
            day.wrong.append(f"{part.__name__.strip('_')}: {error}")
    return day.wrong


def check(built: bytes) -> None:
    """Try a build of the engine's object. Raises UpgradeError with what is wrong with it, LoadError when the kernel
    does not take it."""
    wrong: list[str] = []
    for protocol in _PARTS:
        with Engine.load_built(built, symbols=4, orders=64, kept=64, clock="feed") as engine:
            wrong += findings(engine, protocol)
    if wrong:
        more = f" (and {len(wrong) - _NAMED} more)" if len(wrong) > _NAMED else ""
        said = "; ".join(wrong[:_NAMED])
        raise UpgradeError(
            f"this program was not put in force, it does not do what an engine must: {said}{more}.", tuple(wrong)
        )
