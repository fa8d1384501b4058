"""A day of order entry at the exchange: four clients of two accounts whose messages a test chooses, and what must hold
whatever goes wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from order_lives import LIVE, Execution, Key, Lives
from turbo_hft.exchange import ExchangeConfig, ExchangeCore, Position
from turbo_hft.exchange.inprocess import InProcessClient
from turbo_hft.exchange.mirror import MirrorBook
from turbo_hft.exchange.venue import LiveVenue
from turbo_hft.wire import itch50, moldudp64, ouch42, ouch50, ufo

SECOND = 1_000_000_000
MILLISECOND = 1_000_000
SYMBOLS = {"AAPL": 1_632_000, "MSFT": 1_060_000}
FEES_E8 = {"R": 300_000, "A": -200_000}
KINDS = ("enter",) * 8 + ("replace",) * 4 + ("cancel",) * 3 + ("modify", "modify", "firm", "again")
"""What a client may do, as often as it should."""


@dataclass
class Trader:
    """A client, and what it knows about its orders."""

    client: InProcessClient
    username: str
    lives: Lives = field(default_factory=Lives)
    applied: int = 0
    last: int = 0

    @property
    def is_50(self) -> bool:
        return self.client.port == "ouch50"

    def key(self, number: int) -> Key:
        return number if self.is_50 else f"T{number}"

    def next_key(self) -> Key:
        self.last += 1
        return self.key(self.last)

    def look(self) -> None:
        """Apply what has come."""
        for message in self.client.replies[self.applied :]:
            self.lives.apply(message)
        self.applied = len(self.client.replies)


class Day:
    """An exchange with four clients of two accounts, driven by drawn actions."""

    def __init__(self, **settings: Any) -> None:
        flow = {} if "market" in settings else {"symbols": tuple(SYMBOLS), "prices_e4": SYMBOLS, "rate": 1000}
        self.core = ExchangeCore(
            ExchangeConfig(
                **{
                    **flow,
                    "fees_e8": FEES_E8,
                    "accounts": {"HFT001": "SECRET", "HFT002": "SECRET"},
                    "linger_s": 0.0,
                    **settings,
                }
            )
        )
        self.now = 0
        self.feed: list[bytes] = []
        places = (("HFT001", "ouch50"), ("HFT001", "ouch42"), ("HFT002", "ouch50"), ("HFT002", "ouch42"))
        self.traders = [
            Trader(InProcessClient(self.core, port, ("10.77.0.1", 26400 + number)), username)
            for number, (username, port) in enumerate(places)
        ]
        self.step(0)
        for trader in self.traders:
            self.log_in(trader)

    def log_in(self, trader: Trader) -> None:
        """A login, sent until it is answered: it may be lost like everything else."""
        before = len(trader.client.control)
        while not any(isinstance(packet, ufo.LoginAccepted) for packet in trader.client.control[before:]):
            self.send(trader, ufo.LoginRequest(trader.username, "SECRET", ""))
            self.step(20)

    def send(self, trader: Trader, *messages: ufo.Upstream) -> None:
        datagram = ufo.encode_upstream(*messages)
        self.share(self.core.on_upstream(trader.client.port, trader.client.address, datagram, self.now))

    def share(self, datagrams: list[tuple[str, tuple[str, int], bytes]]) -> None:
        for trader in self.traders:
            trader.client.take(datagrams)

    def step(self, milliseconds: int) -> None:
        """Time passes; the market moves on and everybody looks at what has come."""
        self.now += milliseconds * MILLISECOND
        self.publish()
        self.share(self.core.replies(self.now))
        self.publish()  # orders may have come with that
        for trader in self.traders:
            trader.look()

    def publish(self) -> None:
        for packet in self.core.tick(self.now):
            decoded = moldudp64.decode(packet)
            self.feed += decoded.messages if isinstance(decoded, moldudp64.Packet) else ()

    def do(self, trader: Trader, kind: str, draw: int, qty: int, cents: int) -> None:
        """One message of a client; `draw` chooses what the other arguments leave open."""
        known = [key for key, life in trader.lives.orders.items() if life.state == LIVE]
        symbol = list(SYMBOLS)[draw % 2]
        price = SYMBOLS[symbol] + cents * 100
        if kind == "again":
            self.send(trader, ufo.RetransmissionRequest(len(trader.client.replies) + 1, 100))
        elif kind == "enter" or not known:
            self.enter(trader, symbol, "BBSTE"[draw // 2 % 5], qty, price, ioc=draw % 3 == 0)
        else:
            key = known[draw % len(known)]
            life = trader.lives.orders[key]
            price = SYMBOLS[life.symbol] + cents * 100
            if kind == "replace" and (life.successor is None):
                self.replace(trader, key, qty if draw % 7 else 1_000_000, price, ioc=draw % 5 == 0)
            elif kind == "cancel":
                self.cancel(trader, key, draw % 50 if draw % 3 == 0 else 0)
            elif kind == "modify":
                self.modify(trader, key, life.side if life.side == "B" else "STE"[draw % 3], qty)
            elif kind == "firm" and trader.is_50:
                self.firm(trader, symbol, draw)

    def enter(self, trader: Trader, symbol: str, side: str, qty: int, price: int, *, ioc: bool) -> None:
        key = trader.next_key()
        trader.lives.enter(key, symbol, side, qty, price)
        if isinstance(key, int):
            tif = "3" if ioc else "0"
            message = ouch50.EnterOrder(key, side, qty, symbol, price, tif, "Y", "P", "N", "N", "ID").encode()
        else:
            tif42 = 0 if ioc else 99_998
            message = ouch42.EnterOrder(
                key, side, qty, symbol, price, tif42, "", "Y", "P", "N", 0, "N", ""
            ).encode()  # fmt: skip
        self.send(trader, ufo.Unsequenced(message))

    def replace(self, trader: Trader, key: Key, qty: int, price: int, *, ioc: bool) -> None:
        new = trader.next_key()
        trader.lives.replace(key, new, qty, price)
        if isinstance(key, int) and isinstance(new, int):
            message = ouch50.ReplaceOrder(key, new, qty, price, "3" if ioc else "0", "Y", "N", "ID").encode()
        else:
            assert isinstance(key, str) and isinstance(new, str)
            message = ouch42.ReplaceOrder(key, new, qty, price, 0 if ioc else 99_999, "Y", "N", 0).encode()
        self.send(trader, ufo.Unsequenced(message))

    def cancel(self, trader: Trader, key: Key, qty: int) -> None:
        message = ouch50.CancelOrder(key, qty) if isinstance(key, int) else ouch42.CancelOrder(key, qty)
        self.send(trader, ufo.Unsequenced(message.encode()))

    def modify(self, trader: Trader, key: Key, side: str, qty: int) -> None:
        message = ouch50.ModifyOrder(key, side, qty) if isinstance(key, int) else ouch42.ModifyOrder(key, side, qty)
        self.send(trader, ufo.Unsequenced(message.encode()))

    def firm(self, trader: Trader, symbol: str, draw: int) -> None:
        key = trader.next_key()
        assert isinstance(key, int)
        messages = (
            ouch50.MassCancel(key, "", symbol if draw % 2 else ""),
            ouch50.DisableOrderEntry(key, ""),
            ouch50.EnableOrderEntry(key, ""),
            ouch50.EnableOrderEntry(key, ""),
        )
        self.send(trader, ufo.Unsequenced(messages[draw // 2 % 4].encode()))

    def heal(self) -> None:
        """Everybody asks until everything is there."""
        while behind := [trader for trader in self.traders if len(trader.client.replies) < len(self.said(trader))]:
            for trader in behind:
                self.send(trader, ufo.RetransmissionRequest(len(trader.client.replies) + 1, 200))
            self.step(20)
        for trader in self.traders:
            assert [reply.encode() for reply in trader.client.replies] == self.said(trader)

    def said(self, trader: Trader) -> list[bytes]:
        """What the exchange has said to a client today."""
        return self.core.accounts[trader.client.port].clients[trader.username].replies

    def check(self) -> None:
        """The ledger against what the clients were told, and against itself."""
        for account in ("HFT001", "HFT002"):
            traders = [trader for trader in self.traders if trader.username == account]
            for symbol in SYMBOLS:
                position = self.core.ledger.of(account, symbol)
                assert position.open_qty == sum(trader.lives.open_qty(symbol) for trader in traders)
                assert position.canceled_qty == sum(trader.lives.canceled_qty[symbol] for trader in traders)
                assert position.rejected_qty == sum(trader.lives.rejected_qty[symbol] for trader in traders)
                fills = [e for t in traders for e in t.lives.executions.values() if e.symbol == symbol]
                broken = [e for t in traders for e in t.lives.broken.values() if e.symbol == symbol]
                check_position(position, fills, broken)

    def check_feed(self) -> None:
        """The messages alone rebuild the engine's books, clients' orders included."""
        mirror = MirrorBook()
        for message in self.feed:
            mirror.apply(itch50.decode(message))
        assert mirror.misfits == mirror.unknown_refs == 0
        assert isinstance(self.core.venue, LiveVenue)
        engine = self.core.venue.engine
        assert {ref: (o.symbol, o.side, o.price_e4, o.qty) for ref, o in mirror.orders.items()} == {
            ref: (o.symbol, o.side, o.price_e4, o.qty) for ref, o in engine.orders.items()
        }


def check_position(position: Position, fills: list[Execution], broken: list[Execution]) -> None:
    """A position is the sum of the executions that are not broken."""
    bought = [e for e in fills if e.side == "B"]
    sold = [e for e in fills if e.side == "S"]
    assert position.bought_qty == sum(e.qty for e in bought)
    assert position.sold_qty == sum(e.qty for e in sold)
    assert position.bought_e4 == sum(e.qty * e.price_e4 for e in bought)
    assert position.sold_e4 == sum(e.qty * e.price_e4 for e in sold)
    assert position.position == position.bought_qty - position.sold_qty
    # Cash, cost and profit are one sum: what rounding does to the parts stays between them.
    assert position.realized_e4 - position.cost_e4 == position.sold_e4 - position.bought_e4
    assert position.executions == len(fills)
    assert (position.broken, position.broken_qty) == (len(broken), sum(e.qty for e in broken))
    assert position.fees_e8 == sum(e.qty * FEES_E8[e.flag] for e in fills)
