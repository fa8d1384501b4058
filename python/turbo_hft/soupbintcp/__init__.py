"""A client of SoupBinTCP, the session layer of Nasdaq's order entry: login, heartbeats, resuming without a gap.

`Session` is the protocol alone, without sockets and clocks; `Wire` whoever puts its bytes on the connection; `Client`
a thin driver that connects, reads, and comes back. Packets are `turbo_hft.wire.soupbintcp`.
"""

from __future__ import annotations

from turbo_hft.soupbintcp.client import Client
from turbo_hft.soupbintcp.session import Broken, Ended, Event, LoggedIn, Lost, Message, Refused, Session, State
from turbo_hft.soupbintcp.wire import SocketWire, Wire

__all__ = [
    "Broken",
    "Client",
    "Ended",
    "Event",
    "LoggedIn",
    "Lost",
    "Message",
    "Refused",
    "Session",
    "SocketWire",
    "State",
    "Wire",
]
