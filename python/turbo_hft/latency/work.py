"""The work that every responder of the rig does: which symbols are kept, and what is decided about them.

One description for all. The engine gets it as it stands; user-space peers that run the engine's own pipeline take over
the maps of an engine that was configured with it; the Python bot reads it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

from turbo_hft.addresses import FeedAddress, OrderSession
from turbo_hft.engine import Engine
from turbo_hft.lab import PASSWORD, USERNAME, LabAddresses
from turbo_hft.latency.threshold import Threshold
from turbo_hft.limits import SymbolLimitSettings
from turbo_hft.testing.wide import SYMBOL, widen
from turbo_hft.wire.price import format_price_e4


@dataclass(frozen=True, slots=True)
class Work:
    """`armed`: the symbols with a decision, each its own. `kept`: names of further symbols whose book is kept."""

    armed: tuple[Threshold, ...] = field(default_factory=lambda: (Threshold(),))
    kept: tuple[str, ...] = ()

    def to_json(self) -> str:
        """For a command line; `from_json` reads it back."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Work:
        """What `to_json` wrote. Raises TypeError for other fields."""
        document = json.loads(text)
        return cls(tuple(Threshold(**one) for one in document["armed"]), tuple(document["kept"]))


def session_of(addresses: LabAddresses) -> OrderSession:
    """The rig's account at the exchange."""
    return OrderSession(
        local=(addresses.host_address, addresses.engine_port),
        remote=(addresses.exchange_address, addresses.ouch50_port),
        local_mac=addresses.host_mac,
        remote_mac=addresses.exchange_mac,
        username=USERNAME,
        password=PASSWORD,
    )


def configure(engine: Engine, addresses: LabAddresses, work: Work, session: OrderSession | None = None) -> None:
    """Feed, session (the rig's, if none is given), symbols and limits as wide as they go; the engine need not be
    attached. Raises as Engine does."""
    feed = FeedAddress(addresses.feed_group, addresses.feed_port, addresses.exchange_address)
    engine.configure(session or session_of(addresses), feed)
    widen(engine)
    for one in work.armed:
        limits: SymbolLimitSettings = {**SYMBOL, "max_long": one.max_position}
        engine.symbols.add(
            one.symbol,
            buy_below=format_price_e4(one.buy_below_e4),
            base_qty=one.base_qty,
            step_qty=one.step_qty,
            tick=format_price_e4(one.tick_e4),
            cap_qty=one.cap_qty,
            **limits,
        )
    for name in work.kept:
        engine.symbols.add(name, strategy=None)
