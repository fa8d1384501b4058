"""Turbo-HFT: a trading engine in an XDP program (ITCH 5.0 in, OUCH out), owned live from Python.

`Engine` loads, attaches and steers it; `OrderEntry` keeps its order-entry session; `turbo_hft.testing` runs frames
through the
loaded program; `turbo_hft.exchange` is a simulator to trade against; `turbo_hft.lab` the wire between them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from turbo_hft.include_dir import include_dir  # at once: function and module have one name
from turbo_hft.lazy import names_of

if TYPE_CHECKING:
    from turbo_hft.addresses import FeedAddress, OrderSession, lab_feed, lab_session
    from turbo_hft.engine import Engine, Mode
    from turbo_hft.events import Event, EventStream
    from turbo_hft.order_entry import OrderEntry
    from turbo_hft.symbols import SymbolView

__all__ = [
    "Engine",
    "Event",
    "EventStream",
    "FeedAddress",
    "Mode",
    "OrderEntry",
    "OrderSession",
    "SymbolView",
    "include_dir",
    "lab_feed",
    "lab_session",
]
__getattr__ = names_of(
    __name__,
    {
        "addresses": ("FeedAddress", "OrderSession", "lab_feed", "lab_session"),
        "engine": ("Engine", "Mode"),
        "events": ("Event", "EventStream"),
        "order_entry": ("OrderEntry",),
        "symbols": ("SymbolView",),
    },
)
