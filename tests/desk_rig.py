"""An engine on the loaded program with one symbol that trades, and an exchange by hand at the other end of its orders.

Frames that the engine sends are kept; `answer` sends OUCH 5.0 replies through the hook.
"""

from __future__ import annotations

from typing import Any

from ouch_replies import accepted
from turbo_hft import lab_feed, lab_session
from turbo_hft.engine import Engine
from turbo_hft.orders import payload_of
from turbo_hft.symbols import SymbolView
from turbo_hft.testing import Hook, Verdict
from turbo_hft.testing.scenario import stock_directory
from turbo_hft.wire import blocks, itch50, moldudp64, ouch50, ufo
from turbo_hft.wire.frame import udp_frame

BID_E4, ASK_E4 = 1_631_000, 1_632_000
LOCATE = 13


class Desk:
    """The market is 163.10 x 163.20 and open, order entry is up, the engine active with a lease for ever."""

    def __init__(self, hook: Hook, **limits: Any) -> None:
        self.hook = hook
        self.engine: Engine = hook.engine
        self.session, self.feed = lab_session(), lab_feed()
        self.engine.configure(self.session, self.feed)
        self.frames: list[bytes] = []
        self.engine.orders.send = self.frames.append
        self.view: SymbolView = self.engine.symbols.add("AAPL", **limits)
        self.sequence = self.reply_sequence = 1
        self.clock, self.match, self.ref = 34_200_000_000_000, 0, 0
        self.market(
            itch50.SystemEvent(stock_locate=0, event_code="Q", **self.stamp).encode(),
            stock_directory("AAPL", LOCATE, self.stamp),
            itch50.StockTradingAction(LOCATE, 0, self.stamp["timestamp"], "AAPL", "T", "", "").encode(),
            self.rest("B", BID_E4),
            self.rest("S", ASK_E4),
        )
        self.login()
        self.engine.lease.forever()
        self.engine.resume()

    @property
    def stamp(self) -> dict[str, int]:
        """The next time stamp of the feed."""
        self.clock += 1000
        return {"tracking_number": 0, "timestamp": self.clock}

    def market(self, *messages: bytes) -> Verdict:
        """A packet of the feed."""
        payload = moldudp64.Packet("DAY", self.sequence, messages).encode()
        self.sequence += len(messages)
        assert self.feed.source is not None
        return self._run((self.feed.source, 1), (self.feed.group, self.feed.port), payload)

    def rest(self, side: str, price_e4: int, shares: int = 1000) -> bytes:
        """An order of somebody else rests in the book."""
        self.ref += 1
        return itch50.AddOrder(
            stock_locate=LOCATE, order_ref=self.ref, side=side, shares=shares, stock="AAPL", price=price_e4,
            **self.stamp,
        ).encode()  # fmt: skip

    def login(self, sequence: int = 1) -> None:
        """The exchange accepts a login."""
        self.reply_sequence = max(self.reply_sequence, sequence)
        self._reply(ufo.LoginAccepted("ORDERS", sequence))

    def answer(self, *messages: ouch50.Ouch50, at: int | None = None) -> None:
        """Replies, by default the next in sequence."""
        sequence = self.reply_sequence if at is None else at
        self.reply_sequence = max(self.reply_sequence, sequence + len(messages))
        self._reply(ufo.Sequenced(sequence, tuple(message.encode() for message in messages)))

    def accepted(self, order: ouch50.Inbound | None = None, **values: Any) -> ouch50.Accepted:
        """The answer to an order that was sent, by default the newest."""
        sent = order or self.sent()
        assert isinstance(sent, ouch50.EnterOrder)
        usual = {"timestamp": self.clock, "symbol": sent.symbol, "tif": sent.tif, "order_ref": 77}
        return accepted(sent.user_ref_num, sent.side, sent.quantity, sent.price, **(usual | values))

    def executed(self, user_ref: int, qty: int, price_e4: int, flag: str = "R") -> ouch50.Executed:
        """Shares of an order are executed."""
        self.match += 1
        return ouch50.Executed(self.clock, user_ref, qty, price_e4, flag, self.match)

    def canceled(self, user_ref: int, qty: int, reason: str = "U") -> ouch50.Canceled:
        """Shares of an order are gone."""
        return ouch50.Canceled(self.clock, user_ref, qty, reason)

    def sent(self, number: int = -1) -> ouch50.Inbound:
        """What a frame of ours carries."""
        (message,) = blocks.split(payload_of(self.frames[number]))
        return ouch50.decode_inbound(message[1:])

    def _reply(self, packet: ufo.Downstream) -> None:
        assert self._run(self.session.remote, self.session.local, packet.encode()) is Verdict.PASS

    def _run(self, source: tuple[str, int], destination: tuple[str, int], payload: bytes) -> Verdict:
        own, exchange = self.session.local_mac, self.session.remote_mac
        frame = udp_frame(src_mac=exchange, dst_mac=own, src=source, dst=destination, payload=payload)
        return self.hook.run(frame).verdict
