"""The model of the whole hook: one frame in; verdict, frame and events out.

An independent reading of ``docs/rules.md``, slow and obvious, without input or output, to compare the loaded XDP
program with. Not modelled, because rules alone do not determine it: `BOOK_FULL` (depends on hashing), `CONTENDED`
(depends on other CPUs), `EVENTS_LOST` (depends on the reader of the ring), ``hook_ns`` and the histograms.
"""

from __future__ import annotations

from dataclasses import dataclass

from . import feed, reply
from .names import MAX_SYMBOLS, Role, XdpAction
from .state import Event, Flow, ModelConfig, ModelState, PacketWork, SymbolParams, SymbolState
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

    def add_symbol(self, index: int, name: str, **params: int) -> SymbolParams:
        """Ask for a symbol in slot ``index``; ``params`` are fields of `SymbolParams`, the others are 0 (off).

        Raises ValueError for a slot or name that cannot be used.
        """
        wire_name = name.encode("ascii").ljust(8)
        if not 0 <= index < MAX_SYMBOLS or index in self.params:
            raise ValueError(f"slot {index} is taken or outside 0..{MAX_SYMBOLS - 1}: choose a free one")
        if len(wire_name) != 8 or not name.strip():
            raise ValueError(f"symbol name {name!r} must have 1 to 8 characters")
        if self.slot_of_name(wire_name) is not None:
            raise ValueError(f"symbol {name!r} has a slot already: change its params instead")
        self.params[index] = SymbolParams(wire_name, **params)
        self.symbols[index] = SymbolState()
        return self.params[index]

    def add_flow(self, addr: str, port: int, role: Role, peer_addr: str = "", peer_port: int = 0) -> None:
        """Frames to ``addr`` (dotted) and ``port`` have this role; an empty peer address and port 0 mean any peer."""
        self.flows[(addr, port)] = Flow(role, peer_addr, peer_port)

    def packet(self, frame: bytes, now_ns: int) -> Outcome:
        """One frame at ``now_ns`` of the monotonic clock."""
        self.work = PacketWork(now_ns=now_ns, frame_len=len(frame))
        self.count("frames")
        found = read_frame(frame, self.flows, self.config.verify_checksums)
        if isinstance(found, str):
            self.count(found)
            return Outcome(XdpAction.PASS, frame, [])
        if found.role == Role.ORDER_ENTRY:
            reply.handle(self, found.payload)
            return Outcome(XdpAction.PASS, frame, self.work.events)
        verdict, order_frame = feed.handle(self, found.payload)
        return Outcome(verdict, order_frame or frame, self.work.events)
