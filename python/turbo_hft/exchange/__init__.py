"""The exchange simulator: a price-time matching engine behind real protocols.

It publishes its books as ITCH 5.0 in MoldUDP64 on one or two lines, with the faults they are asked to have; sends
missed messages again, gives snapshots (GLIMPSE) and rolls over to new sessions; takes OUCH 5.0 and 4.2 over UFO and
SoupBinTCP; and makes its own random order flow or replays a recorded day. Whatever can go wrong with an order goes
wrong here when asked to. `Exchange` serves a session on the network, `ExchangeCore` is the same without sockets.
"""

from __future__ import annotations

from turbo_hft.exchange.config import ExchangeConfig
from turbo_hft.exchange.core import ExchangeCore, Phase
from turbo_hft.exchange.halts import Halt, ShortSaleRestriction
from turbo_hft.exchange.ledger import Ledger, LedgerEntry, Position
from turbo_hft.exchange.line import Faults
from turbo_hft.exchange.matching import MatchingEngine
from turbo_hft.exchange.order_faults import OrderFaults
from turbo_hft.exchange.server import Exchange

__all__ = [
    "Exchange",
    "ExchangeConfig",
    "ExchangeCore",
    "Faults",
    "Halt",
    "Ledger",
    "LedgerEntry",
    "MatchingEngine",
    "OrderFaults",
    "Phase",
    "Position",
    "ShortSaleRestriction",
]
