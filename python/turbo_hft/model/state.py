"""All state of the model: what the maps of the hook hold, as dictionaries and dataclasses.

Fields carry the names and units of the structs of ``bpf/hft/abi.h`` (`_e4` = 1/10000 dollar, `_ns` = nanoseconds,
quantities in shares). Padding, the ``version`` of the reader lock, ``cpu``, ``hook_ns`` and the histograms have no
twin. The book itself is `levels` and `ModelState.orders`: how the hook lays it out in tables is not modelled.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .names import (
    COUNTERS,
    DEFAULT_KEPT,
    DEFAULT_SYMBOLS,
    ITCH_LENGTHS,
    LINES,
    MAX_FEEDS,
    NO_SYMBOL,
    BookHealth,
    Clock,
    Doubt,
    EventKind,
    FeedHealth,
    Kill,
    OrderState,
    Phase,
    Protocol,
    Reason,
    Role,
    SessionHealth,
    Side,
)


@dataclass
class ModelConfig:
    """Fixed at load. ``room`` is the longest frame in bytes that the driver could make (`NO_ROOM`, rule 6).

    ``kept_mask`` + 1 messages are kept for each feed. ``hold_ns``: how long a missing message may still come before it
    counts as a gap; ``crossed_ns``: how long a book may be crossed in continuous trading, 0 = for ever.
    """

    verify_checksums: bool = False
    clock: Clock = Clock.MONOTONIC
    room: int = 3520
    symbols: int = DEFAULT_SYMBOLS
    kept_mask: int = DEFAULT_KEPT - 1
    hold_ns: int = 2_000_000
    crossed_ns: int = 1_000_000_000


@dataclass
class Flow:
    """What one destination is to us. ``peer_addr`` dotted, empty = any; ``peer_port`` 0 = any."""

    role: int = Role.NONE
    peer_addr: str = ""
    peer_port: int = 0
    feed: int = 0
    line: int = 0


@dataclass
class Control:
    """Live, global."""

    kill: int = Kill.HALTED
    epoch: int = 0
    max_orders_per_second: int = 0


@dataclass
class SymbolParams:
    """Live, per symbol, but for ``feed``. ``name``: 8 bytes, space padded as on the wire."""

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
    feed: int = 0


@dataclass(slots=True)
class BookOrder:
    """One displayed order of the book, found by its feed and ITCH reference."""

    symbol: int
    side: Side
    price_e4: int
    qty: int


@dataclass(slots=True)
class Level:
    """All displayed orders of one side at one price."""

    shares: int = 0
    orders: int = 0


@dataclass
class Book:
    """Book and market of one symbol slot. Lists of two have the bid at 0 and the offer at 1 (`Side`).

    ``crossed``: it is so in continuous trading, since ``crossed_ns``. ``trading_state``, ``reg_sho`` and ``cross_type``
    are the ASCII codes of ITCH, 0 = not heard. ``levels``: price in 1/10000 dollar -> level, for each side.
    """

    health: BookHealth = BookHealth.OK
    armed: int = 0
    holds: int = 0
    crossed: int = 0
    best_e4: list[int] = field(default_factory=lambda: [0, 0])
    best_qty: list[int] = field(default_factory=lambda: [0, 0])
    exchange_ns: int = 0
    book_messages: int = 0
    book_orders: int = 0
    crossed_ns: int = 0
    trading_state: int = 0
    locate: int = 0
    doubt: Doubt = Doubt.NONE
    feed: int = 0
    operational_halt: int = 0
    cross_pending: int = 0
    reg_sho: int = 0
    cross_type: int = 0
    since_seq: int = 0
    kept_seq: int = 0
    last_e4: int = 0
    last_qty: int = 0
    volume: int = 0
    notional_e4: int = 0
    notional_high: int = 0
    halt_reason: bytes = bytes(4)
    levels: tuple[dict[int, Level], dict[int, Level]] = field(default_factory=lambda: ({}, {}))

    @property
    def bid_e4(self) -> int:
        """Best bid, 0 = none."""
        return self.best_e4[Side.BUY]

    @property
    def ask_e4(self) -> int:
        """Best offer, 0 = none."""
        return self.best_e4[Side.SELL]

    @property
    def is_crossed(self) -> bool:
        """Bid at or above offer, both there."""
        return self.bid_e4 != 0 and self.ask_e4 != 0 and self.bid_e4 >= self.ask_e4


@dataclass
class Auction:
    """What ITCH J and K said of a symbol. ``ipo_release_s``: seconds since midnight."""

    luld_reference_e4: int = 0
    luld_upper_e4: int = 0
    luld_lower_e4: int = 0
    luld_extension: int = 0
    ipo_release_s: int = 0
    ipo_price_e4: int = 0
    ipo_qualifier: int = 0


@dataclass
class SymbolState:
    """Own position and profit and loss of one symbol slot."""

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
class FeedState:
    """MoldUDP64 receiver of one feed, and what the feed says of the whole market. Lists of lines: A, B, re-request."""

    session: bytes = bytes(10)
    phase: Phase = Phase.NONE
    breaker: int = 0
    health: FeedHealth = FeedHealth.IDLE
    expected_seq: int = 0
    highest_seq: int = 0
    exchange_ns: int = 0
    seen_ns: int = 0
    hold_since_ns: int = 0
    gaps: int = 0
    missed: int = 0
    breaker_level_e8: list[int] = field(default_factory=lambda: [0, 0, 0])
    generation: int = 0
    first: list[int] = field(default_factory=lambda: [0] * LINES)
    late: list[int] = field(default_factory=lambda: [0] * LINES)
    line_next: list[int] = field(default_factory=lambda: [0] * LINES)
    gave_up: int = 0


@dataclass
class Kept:
    """A message that was kept: ``tag`` is (generation + 1) << 48 | sequence, ``msg`` at most its first 54 bytes."""

    tag: int
    length: int
    msg: bytes


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
    """Everything that lives from packet to packet, with the two things every rule does: count and report.

    ``params``, ``symbols``, ``books`` and ``auctions`` are by slot. ``orders``: (feed, reference) -> order. ``bound``:
    (feed, locate) -> slot; ``closed_locates`` had messages before anybody asked for their symbol. ``kept``:
    (feed, place in its ring) -> message. ``swept``: slots that lost their orders to a SWEEP, while the rest of their
    old book is still there.
    """

    def __init__(self, config: ModelConfig) -> None:
        self.config = config
        self.command_nonce = 0
        self.control = Control()
        self.flows: dict[tuple[str, int], Flow] = {}
        self.template = Template()
        self.params: dict[int, SymbolParams] = {}
        self.symbols: dict[int, SymbolState] = {}
        self.books: dict[int, Book] = {}
        self.auctions: dict[int, Auction] = {}
        self.slots: dict[tuple[int, bytes], int] = {}
        self.orders: dict[tuple[int, int], BookOrder] = {}
        self.bound: dict[tuple[int, int], int] = {}
        self.closed_locates: set[tuple[int, int]] = set()
        self.swept: set[int] = set()
        self.feeds = [FeedState() for _ in range(MAX_FEEDS)]
        self.kept: dict[tuple[int, int], Kept] = {}
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

    def now_ns(self, feed: int) -> int:
        """The clock of decisions about a feed and its symbols: packet entry, or the feed's newest time stamp."""
        if self.config.clock == Clock.FEED:
            return self.feeds[feed].seen_ns
        return self.work.now_ns

    def slots_of_feed(self, feed: int) -> list[int]:
        """Every named slot of a feed, in order."""
        return sorted(slot for slot, params in self.params.items() if params.feed == feed)

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
            book, state = self.books[symbol], self.symbols[symbol]
            event.bid_e4 = book.bid_e4
            event.ask_e4 = book.ask_e4
            event.position = state.position
            event.realized_e4 = state.realized_e4
        self.work.events.append(event)

    def quarantine(self, slot: int, number: int, doubt: Doubt) -> None:
        """Rule 3: message ``number`` brought a slot into doubt; it no longer trades. Reported once."""
        book = self.books[slot]
        if book.health == BookHealth.OK:
            book.since_seq = number + 1
            book.kept_seq = 0
        else:
            book.since_seq = max(book.since_seq, (number + 1) % 2**64)
            if book.health == BookHealth.QUARANTINED:
                return
            if doubt != Doubt.FULL:
                doubt = Doubt.SNAPSHOT
        book.doubt = doubt
        book.health = BookHealth.QUARANTINED
        self.count("book_quarantines")
        self.emit(
            EventKind.BOOK_QUARANTINED,
            symbol=slot,
            reason=book.doubt,
            feed_seq=number,
            exchange_ns=self.feeds[book.feed].exchange_ns,
        )
