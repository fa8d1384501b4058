"""An exchange in the test's process, its clients and the anonymous market, for tests of order entry."""

from __future__ import annotations

from typing import Any

from turbo_hft.exchange import ExchangeConfig, ExchangeCore
from turbo_hft.exchange.inprocess import InProcessClient
from turbo_hft.exchange.matching import MatchingEngine
from turbo_hft.exchange.venue import LiveVenue, fills_of
from turbo_hft.wire import itch50, moldudp64, ouch42, ouch50, ufo

PRICE = 1_632_000
SECOND = 1_000_000_000


def exchange(**settings: Any) -> ExchangeCore:
    """An open exchange without random flow."""
    core = ExchangeCore(ExchangeConfig(**{"rate": 0, **settings}))
    core.tick(0)
    return core


def engine_of(core: ExchangeCore) -> MatchingEngine:
    assert isinstance(core.venue, LiveVenue)
    return core.venue.engine


def market(core: ExchangeCore, side: str, qty: int, price_e4: int = PRICE, symbol: str = "AAPL") -> None:
    """An order of the anonymous market, published, its effects on clients delivered."""
    outcome = engine_of(core).submit(symbol, side, qty, price_e4)
    core.publisher.publish(outcome.events, core.clock.latest)
    core.desk.deliver(fills_of(outcome.events), core.clock.latest)


def published(core: ExchangeCore, now_ns: int = 0) -> list[itch50.Message]:
    """What the feed says now."""
    packets = [moldudp64.decode(packet) for packet in core.tick(now_ns)]
    return [itch50.decode(m) for packet in packets if isinstance(packet, moldudp64.Packet) for m in packet.messages]


def enter50(ref: int, side: str = "B", qty: int = 100, price: int = PRICE, **fields: Any) -> ouch50.EnterOrder:
    terms: dict[str, Any] = {
        "symbol": "AAPL", "tif": "0", "display": "Y", "capacity": "P", "iso": "N", "cross_type": "N", "cl_ord_id": "ID"
    }  # fmt: skip
    return ouch50.EnterOrder(user_ref_num=ref, side=side, quantity=qty, price=price, **{**terms, **fields})


def enter42(token: str, side: str = "B", qty: int = 100, price: int = PRICE, **fields: Any) -> ouch42.EnterOrder:
    terms: dict[str, Any] = {
        "stock": "AAPL", "tif": 99_998, "firm": "", "display": "Y", "capacity": "P", "iso": "N", "min_qty": 0,
        "cross_type": "N", "customer_type": "",
    }  # fmt: skip
    return ouch42.EnterOrder(order_token=token, side=side, shares=qty, price=price, **{**terms, **fields})


def replace50(original: int, ref: int, qty: int, price: int = PRICE, tif: str = "0") -> ouch50.ReplaceOrder:
    return ouch50.ReplaceOrder(original, ref, qty, price, tif, "Y", "N", "ID")


def logged_in(core: ExchangeCore, port: str = "ouch50", last_octet: int = 1) -> InProcessClient:
    client = InProcessClient(core, port, (f"10.77.0.{last_octet}", 26400))
    assert isinstance(client.login(), ufo.LoginAccepted)
    return client
