"""All state of the model: what the maps of the hook hold, as dictionaries and dataclasses.

Fields carry the names and units of the structs of ``bpf/hft/abi.h`` (`_e4` = 1/10000 dollar, `_ns` = nanoseconds,
quantities in shares). Padding, the ``version`` of the reader lock, ``hook_ns`` and the histograms have no twin.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .names import (
    COUNTERS,
    ITCH_LENGTHS,
    NO_SYMBOL,
    BookHealth,
    Clock,
    EventKind,
    FeedHealth,
    Kill,
    OrderState,
    Protocol,
    Reason,
    Role,
    SessionHealth,
    Side,
)


@dataclass
class ModelConfig:
    """Fixed at load. ``room`` is the longest frame in bytes that the driver could make (`NO_ROOM`, rule 6)."""

    verify_checksums: bool = False
    clock: Clock = Clock.MONOTONIC
    room: int = 3520


@dataclass
class Flow:
    """What one destination is to us. ``peer_addr`` dotted, empty = any; ``peer_port`` 0 = any."""

    role: int = Role.NONE
    peer_addr: str = ""
    peer_port: int = 0


@dataclass
class Control:
    """Live, global."""

    kill: int = Kill.HALTED
    epoch: int = 0
    max_orders_per_second: int = 0


@dataclass
class SymbolParams:
    """Live, per symbol. ``name``: 8 bytes, space padded as on the wire."""

    name: bytes
    kill: int = Kill.HALTED
    buy_below_e4: int = 0
    sell_above_e4: int = 0
    base_qty: int = 0
    step_qty: int = 0
    tick_e4: int = 0
    cap_qty: int = 0
    max_order_qty: int = 0
    max_notional_e4: int = 0
    max_position: int = 0


@dataclass
class SymbolState:
    """Book top, own position and profit and loss of one symbol slot."""

    health: BookHealth = BookHealth.OK
    bid_e4: int = 0
    ask_e4: int = 0
    bid_qty: int = 0
    ask_qty: int = 0
    book_orders: int = 0
    book_messages: int = 0
    exchange_ns: int = 0
    locate: int = 0
    position: int = 0
    cost_e4: int = 0
    realized_e4: int = 0
    unrealized_e4: int = 0
    mark_e4: int = 0
    working_ref: int = 0
    working_qty: int = 0
    working_side: int = 0
    orders_sent: int = 0
    fills: int = 0
    bought_qty: int = 0
    sold_qty: int = 0
    bought_e4: int = 0
    sold_e4: int = 0
    canceled_qty: int = 0


@dataclass
class BookOrder:
    """One displayed order of the book, found by its ITCH reference."""

    symbol: int
    side: Side
    price_e4: int
    qty: int


@dataclass
class FeedState:
    """MoldUDP64 receiver."""

    session: bytes = bytes(10)
    health: FeedHealth = FeedHealth.IDLE
    expected_seq: int = 0
    exchange_ns: int = 0
    gaps: int = 0
    missed: int = 0


@dataclass
class SessionState:
    """UFO receiver and our own numbering."""

    session: bytes = bytes(10)
    health: SessionHealth = SessionHealth.DOWN
    expected_seq: int = 0
    highest_seq: int = 0
    next_user_ref: int = 0
    order_head: int = 0
    exchange_ns: int = 0
    event_id: int = 0


@dataclass
class WorkingOrder:
    """One of our own orders, in slot ``user_ref`` modulo `MAX_WORKING`."""

    user_ref: int
    state: OrderState
    symbol: int
    side: Side
    price_e4: int
    qty: int
    open_qty: int
    filled_qty: int = 0
    sent_ns: int = 0
    filled_e4: int = 0


@dataclass
class Template:
    """The frame an order leaves in; only the first ``headers_len`` / ``msg_len`` bytes of the two buffers count."""

    protocol: int = Protocol.NONE
    headers_len: int = 0
    msg_len: int = 0
    headers: bytes = b""
    msg: bytes = b""


@dataclass
class Event:
    """One record of the ring; every field of ``struct hft_event`` but ``hook_ns``."""

    id: int
    local_ns: int
    exchange_ns: int
    feed_seq: int
    epoch: int
    kind: EventKind
    reason: int = 0
    symbol: int = NO_SYMBOL
    side: int = 0
    user_ref: int = 0
    price_e4: int = 0
    qty: int = 0
    bid_e4: int = 0
    ask_e4: int = 0
    match_number: int = 0
    position: int = 0
    realized_e4: int = 0
    open_qty: int = 0


@dataclass
class Trigger:
    """A place in the packet's batch: a slot and the newest message that made its strategy want to trade."""

    symbol: int
    feed_seq: int
    exchange_ns: int


@dataclass
class Intent:
    """What the strategy wants; not yet an order."""

    side: Side
    price_e4: int
    qty: int


@dataclass
class PacketWork:
    """What lives only while one packet is inside."""

    now_ns: int
    frame_len: int
    batch: list[Trigger] = field(default_factory=list)
    orders: list[WorkingOrder] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


class ModelState:
    """Everything that lives from packet to packet, with the three things every rule does: count, report, doubt."""

    def __init__(self, config: ModelConfig) -> None:
        self.config = config
        self.control = Control()
        self.flows: dict[tuple[str, int], Flow] = {}
        self.template = Template()
        self.params: dict[int, SymbolParams] = {}
        self.symbols: dict[int, SymbolState] = {}
        self.orders: dict[int, BookOrder] = {}
        self.closed_locates: set[int] = set()
        self.feed = FeedState()
        self.session = SessionState()
        self.working: dict[int, WorkingOrder] = {}
        self.order_times: list[int] = []
        self.counter: dict[str, int] = dict.fromkeys(COUNTERS, 0)
        self.itch: dict[str, int] = dict.fromkeys(ITCH_LENGTHS, 0)
        self.refused: dict[Reason, int] = dict.fromkeys(Reason, 0)
        self.work = PacketWork(now_ns=0, frame_len=0)

    def count(self, name: str, by: int = 1) -> None:
        """Add to a counter; KeyError for a name that ``abi.h`` does not have."""
        self.counter[name] += by

    def emit(
        self,
        kind: EventKind,
        *,
        feed_seq: int,
        exchange_ns: int,
        symbol: int = NO_SYMBOL,
        reason: int = 0,
        side: int = 0,
        user_ref: int = 0,
        price_e4: int = 0,
        qty: int = 0,
        match_number: int = 0,
        open_qty: int = 0,
    ) -> None:
        """Write one event. With a symbol it shows that symbol's top of book and position as they are now."""
        self.session.event_id += 1
        self.count("events")
        event = Event(
            id=self.session.event_id,
            local_ns=self.work.now_ns,
            exchange_ns=exchange_ns,
            feed_seq=feed_seq,
            epoch=self.control.epoch,
            kind=kind,
            reason=reason,
            symbol=symbol,
            side=side,
            user_ref=user_ref,
            price_e4=price_e4,
            qty=qty,
            match_number=match_number,
            open_qty=open_qty,
        )
        if symbol != NO_SYMBOL:
            state = self.symbols[symbol]
            event.bid_e4 = state.bid_e4
            event.ask_e4 = state.ask_e4
            event.position = state.position
            event.realized_e4 = state.realized_e4
        self.work.events.append(event)

    def suspect_book(self, symbol: int, feed_seq: int) -> None:
        """Rule 3: this slot no longer trades; reported once."""
        state = self.symbols[symbol]
        if state.health == BookHealth.SUSPECT:
            return
        state.health = BookHealth.SUSPECT
        self.emit(EventKind.BOOK_SUSPECT, symbol=symbol, feed_seq=feed_seq, exchange_ns=self.feed.exchange_ns)

    def slot_of_locate(self, locate: int) -> int | None:
        """The slot bound to a stock locate. Locate 0 is never bound."""
        if locate == 0:
            return None
        for index, state in self.symbols.items():
            if state.locate == locate:
                return index
        return None

    def slot_of_name(self, name: bytes) -> int | None:
        """The slot whose name is these 8 bytes."""
        for index, params in self.params.items():
            if params.name == name:
                return index
        return None
