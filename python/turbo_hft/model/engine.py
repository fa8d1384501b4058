"""The model of the whole hook: one frame in; verdict, frame and events out.

An independent reading of ``docs/rules.md``, slow and obvious, without input or output, to compare the loaded XDP
program with. Not modelled, because rules alone do not determine it: full tables (depends on hashing), `CONTENDED`,
`FEED_SECOND_CPU` and the word of a TCP connection that changes meanwhile (depend on other CPUs), `EVENTS_LOST` (depends
on the reader of the ring), ``hook_ns`` and the histograms. What the kernel's own TCP has (`Socket`) is an input.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

from . import command, feed, session, stream
from .names import MAX_FEEDS, Role, Side, Transport, XdpAction
from .state import (
    Auction,
    Book,
    Event,
    Flow,
    Memory,
    ModelConfig,
    ModelState,
    PacketWork,
    SymbolLimits,
    SymbolParams,
    SymbolState,
)
from .strategy import ASKED
from .wire import read_frame


@dataclass
class Outcome:
    """What one frame caused. ``frame`` is the order frame with ``TX``, otherwise the frame that came in."""

    verdict: XdpAction
    frame: bytes
    events: list[Event]


class ModelEngine(ModelState):
    """The engine of ``docs/rules.md`` as plain Python; see `ModelState` for its tables."""

    def __init__(self, config: ModelConfig | None = None) -> None:
        super().__init__(config or ModelConfig())

    def add_symbol(self, index: int, name: str, feed: int = 0, **params: int) -> SymbolParams:
        """Ask for a symbol of a feed in slot ``index``; ``params`` are fields of `SymbolParams`, others are 0 (off).

        It is asked about if it has a strategy now, be it in shadow; later that is ``books[index].armed``. Its limits
        are 0: nothing leaves. Raises ValueError for a slot, feed or name that cannot be used.
        """
        wire_name = name.encode("ascii").ljust(8)
        if not 0 <= index < self.config.symbols or index in self.params:
            raise ValueError(f"slot {index} is taken or outside 0..{self.config.symbols - 1}: choose a free one")
        if not 0 <= feed < MAX_FEEDS:
            raise ValueError(f"symbol {name!r} on feed {feed}: give 0..{MAX_FEEDS - 1}")
        if len(wire_name) != 8 or not name.strip():
            raise ValueError(f"symbol name {name!r} must have 1 to 8 characters")
        if (feed, wire_name) in self.slots:
            raise ValueError(f"symbol {name!r} has a slot already: change its params instead")
        added = SymbolParams(wire_name, feed=feed, **params)
        self.params[index] = added
        self.slots[feed, wire_name] = index
        self.symbols[index] = SymbolState()
        self.memory[index] = Memory()
        for limits in self.symbol_limits:
            limits[index] = SymbolLimits()
        self.books[index] = Book(feed=feed, armed=int(has_strategy(added)))
        self.auctions[index] = Auction()
        return added

    def add_flow(
        self,
        addr: str,
        port: int,
        role: Role,
        peer_addr: str = "",
        peer_port: int = 0,
        feed: int = 0,
        line: int = 0,
    ) -> None:
        """Frames to ``addr`` (dotted) and ``port`` have this role; an empty peer address and port 0 mean any peer.
        ``feed`` and ``line`` (`Line`) count for role FEED only."""
        self.flows[(addr, port)] = Flow(role, peer_addr, peer_port, feed, line)

    def packet(self, frame: bytes, now_ns: int) -> Outcome:
        """One frame at ``now_ns`` of the monotonic clock."""
        self.work = PacketWork(now_ns=now_ns, frame_len=len(frame))
        self.count("frames")
        found = read_frame(frame, self.flows, self.config.verify_checksums)
        if found == "not_ours" and self.config.transport == Transport.SOUPBINTCP:
            passed = stream.handle(self, frame)
            if passed is not None:
                return Outcome(XdpAction.PASS, passed, self.work.events)
        if isinstance(found, str):
            self.count(found)
            return Outcome(XdpAction.PASS, frame, [])
        order_frame = b""
        if found.flow.role == Role.ORDER_ENTRY:
            session.handle(self, found.payload)
            verdict = XdpAction.PASS
        elif found.flow.role == Role.COMMAND:
            verdict, order_frame = command.handle(self, found.payload)
        else:
            verdict, order_frame = feed.handle(self, found.flow, found.payload)
        return Outcome(verdict, order_frame or frame, self.work.events)

    def depth(self, slot: int, side: Side, levels: int) -> list[tuple[int, int, int]]:
        """The best levels of one side, best first, at most ``levels``: (price in 1/10000 dollar, shares, orders)."""
        side_levels = self.books[slot].levels[side]
        best = heapq.nlargest if side == Side.BUY else heapq.nsmallest
        return [(price, side_levels[price].shares, side_levels[price].orders) for price in best(levels, side_levels)]


def has_strategy(params: SymbolParams) -> bool:
    """Is there one that would be asked about the symbol?"""
    return params.strategy in ASKED or any(params.shadow >> number & 1 for number in ASKED)
