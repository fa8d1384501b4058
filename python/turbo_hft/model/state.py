"""All state of the model: what the maps of the hook hold, as dictionaries and dataclasses.

Fields carry the names and units of the structs of ``bpf/hft/abi.h`` (`_e4` = 1/10000 dollar, `_ns` = nanoseconds,
quantities in shares). Padding, the ``version`` of the reader lock, ``cpu``, ``hook_ns`` and the histograms have no
twin. The book itself is `levels` and `ModelState.orders`: how the hook lays it out in tables is not modelled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .connection import Endpoint, Socket, Wire
from .names import (
    COUNTERS,
    DEFAULT_KEPT,
    DEFAULT_SYMBOLS,
    ITCH_LENGTHS,
    LINES,
    MAX_EXECUTIONS,
    MAX_FEEDS,
    MAX_OPEN,
    MAX_WORKING,
    NO_SYMBOL,
    RECENT,
    S63_MAX,
    STRATEGIES,
    Action,
    BookHealth,
    Clock,
    Doubt,
    EventKind,
    FeedHealth,
    Kill,
    Mark,
    OrderState,
    Phase,
    Protocol,
    Reason,
    Role,
    SessionHealth,
    Side,
    Tif,
    Transport,
    Wait,
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
    transport: Transport = Transport.UFO


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
    """Live, global. ``lease_until_ns`` by the gate's clock; ``epoch & 1`` chooses the set of limits that holds."""

    kill: int = Kill.HALTED
    lease_until_ns: int = 0
    epoch: int = 0
    mark: int = Mark.SIDE
    changing: int = 0
    strategy_kill: list[int] = field(default_factory=lambda: [int(Kill.HALTED)] * STRATEGIES)


@dataclass
class AccountLimits:
    """Of all orders together. 0 refuses everywhere, but of ``duplicate_ns``, where it means not checked."""

    max_order_qty: int = 0
    max_notional_e4: int = 0
    max_gross_e4: int = 0
    max_net_e4: int = 0
    max_open_orders: int = 0
    max_loss_e4: int = 0
    interval_ns: int = 0
    burst: int = 0
    duplicate_ns: int = 0


@dataclass
class StrategyLimits:
    """Of one strategy's orders."""

    max_order_qty: int = 0
    max_notional_e4: int = 0
    max_open_orders: int = 0
    max_executions: int = 0
    interval_ns: int = 0
    burst: int = 0


@dataclass
class Limits:
    """One set: ``strategy`` is by number."""

    account: AccountLimits = field(default_factory=AccountLimits)
    strategy: list[StrategyLimits] = field(default_factory=lambda: [StrategyLimits() for _ in range(STRATEGIES)])


@dataclass
class SymbolLimits:
    """Of one symbol's orders. ``collar_ppm``: 1/1,000,000 of the price that ``reference`` names."""

    max_order_qty: int = 0
    max_notional_e4: int = 0
    max_long: int = 0
    max_short: int = 0
    max_open_orders: int = 0
    max_loss_e4: int = 0
    interval_ns: int = 0
    burst: int = 0
    collar_ppm: int = 0
    reference: int = 0
    reference_age_ns: int = 0
    restricted: int = 0
    short_ok: int = 0


@dataclass
class SymbolParams:
    """Live, per symbol, but for ``feed``. ``name``: 8 bytes, space padded as on the wire."""

    name: bytes
    kill: int = Kill.HALTED
    feed: int = 0
    strategy: int = 0
    shadow: int = 0
    tick_e4: int = 0
    buy_below_e4: int = 0
    sell_above_e4: int = 0
    base_qty: int = 0
    step_qty: int = 0
    cap_qty: int = 0
    imbalance_ppm: int = 0
    imbalance_least: int = 0
    imbalance_qty: int = 0
    momentum_ticks: int = 0
    momentum_window_ns: int = 0
    momentum_qty: int = 0
    quote_half_spread_e4: int = 0
    quote_qty: int = 0
    quote_skew_e4: int = 0
    quote_inventory: int = 0
    quote_requote_e4: int = 0


@dataclass(slots=True)
class Touch:
    """The best of both sides (bid at 0, 0 = none) and the last trade. ``qty`` and ``last_qty`` at most 2^32 - 1."""

    price_e4: list[int] = field(default_factory=lambda: [0, 0])
    qty: list[int] = field(default_factory=lambda: [0, 0])
    orders: list[int] = field(default_factory=lambda: [0, 0])
    last_e4: int = 0
    last_qty: int = 0
    volume: int = 0


@dataclass(slots=True)
class Own:
    """The newest open order of ours of one side; ``ref`` 0 = none."""

    ref: int = 0
    price_e4: int = 0
    qty: int = 0
    state: int = 0
    pending: int = 0


@dataclass(slots=True)
class Signal:
    """What a strategy is told."""

    slot: int
    strategy: int
    feed_seq: int
    exchange_ns: int
    now_ns: int
    position: int
    room: list[int]
    open_qty: list[int]
    open_orders: int
    tick_e4: int
    before: Touch
    after: Touch
    own: list[Own]


@dataclass(slots=True)
class Intent:
    """What is wanted; not yet an order. ``ref``: of the order to REPLACE or CANCEL."""

    action: int
    side: int = 0
    price_e4: int = 0
    qty: int = 0
    ref: int = 0
    tif: int = Tif.SESSION


@dataclass(slots=True)
class Intents:
    """What a strategy wants, or why it waits."""

    intents: list[Intent] = field(default_factory=list)
    wait: int = Wait.NONE


@dataclass
class Memory:
    """What strategies remember of a symbol: the touch at the newest signal, and the window of momentum."""

    touch: Touch = field(default_factory=Touch)
    momentum_since_ns: int = 0
    momentum_up: int = 0
    momentum_down: int = 0


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
    touched_seq: int = 0
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
    last_ns: int = 0
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
class Recent:
    """An order that left lately. ``qty_side`` = quantity x 2 + side; ``sent_ns`` by the gate's clock, 0 = none."""

    sent_ns: int = 0
    price_e4: int = 0
    qty_side: int = 0


@dataclass
class SymbolState:
    """Own position, profit and loss, and open orders of one symbol slot. ``open_ref``: their UserRefNums, 0 = free."""

    position: int = 0
    cost_e4: int = 0
    realized_e4: int = 0
    unrealized_e4: int = 0
    exposure_e4: int = 0
    fees_e8: int = 0
    mark_e4: int = 0
    open_orders: int = 0
    tat_ns: int = 0
    open_ref: list[int] = field(default_factory=lambda: [0] * MAX_OPEN)
    open_qty: list[int] = field(default_factory=lambda: [0, 0])
    recent_head: int = 0
    loss_latched: int = 0
    recent: list[Recent] = field(default_factory=lambda: [Recent() for _ in range(RECENT)])
    orders_sent: int = 0
    fills: int = 0
    bought_qty: int = 0
    sold_qty: int = 0
    bought_e4: int = 0
    sold_e4: int = 0
    canceled_qty: int = 0
    broken: int = 0


@dataclass
class StrategyState:
    """Our own trading by one strategy, in all symbols."""

    open_orders: int = 0
    executions: int = 0
    tat_ns: int = 0
    orders_sent: int = 0
    latched: int = 0


@dataclass
class Account:
    """Our own trading in all symbols."""

    realized_e4: int = 0
    unrealized_e4: int = 0
    fees_e8: int = 0
    gross_e4: int = 0
    net_e4: int = 0
    open_e4: list[int] = field(default_factory=lambda: [0, 0])
    open_orders: int = 0
    tat_ns: int = 0
    loss_latched: int = 0
    executions: int = 0
    strategy: list[StrategyState] = field(default_factory=lambda: [StrategyState() for _ in range(STRATEGIES)])


@dataclass
class Execution:
    """An execution, so that it can be broken; ``qty`` 0 = it was."""

    match_number: int
    user_ref: int
    qty: int
    price_e4: int
    flag: int


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
    """UFO receiver and our own numbering. ``recover``: 1 = the next login reads the day's replies from the first."""

    session: bytes = bytes(10)
    health: SessionHealth = SessionHealth.DOWN
    expected_seq: int = 0
    highest_seq: int = 0
    next_user_ref: int = 0
    recover: int = 0
    exchange_ns: int = 0
    event_id: int = 0
    orders_sent: int = 0


@dataclass
class WorkingOrder:
    """One of our own orders, in slot ``user_ref`` modulo `MAX_WORKING`.

    ``pending``: bits of `Pending`. ``other_ref``: SENT: the order it shall replace; REPLACED: the one that did; LIVE:
    its replacement under way. ``chain_qty``: executed of the orders it replaced. ``counted_*``: its part of the open
    sums of symbol and account.
    """

    user_ref: int
    state: OrderState
    symbol: int
    side: int
    price_e4: int
    qty: int
    open_qty: int
    filled_qty: int = 0
    sent_ns: int = 0
    filled_e4: int = 0
    strategy: int = 0
    pending: int = 0
    other_ref: int = 0
    chain_qty: int = 0
    counted_qty: int = 0
    short_sale: int = 0
    counted_e4: int = 0
    epoch: int = 0
    order_ref: int = 0

    @property
    def is_open(self) -> bool:
        """Can it still trade, as far as we know?"""
        return self.state in (OrderState.SENT, OrderState.LIVE)


@dataclass
class Template:
    """The frame an order leaves in; only the first ``headers_len`` / ``msg_len`` bytes of the buffers count.

    ``msg_len`` and ``msg`` are by `Action`; those of NONE are nothing.
    """

    protocol: int = Protocol.NONE
    headers_len: int = 0
    msg_len: list[int] = field(default_factory=lambda: [0] * len(Action))
    headers: bytes = b""
    msg: list[bytes] = field(default_factory=lambda: [b""] * len(Action))


@dataclass(slots=True)
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
    strategy: int = 0
    other_ref: int = 0
    fees_e8: int = 0


@dataclass(slots=True)
class Decision:
    """An intent on its way to the gate: who wants it, of which slot, and the message that made it want it."""

    slot: int
    strategy: int
    shadow: bool
    intent: Intent
    feed_seq: int
    exchange_ns: int


@dataclass
class PacketWork:
    """What lives only while one packet is inside.

    ``dropped``: slots for which there was no place among those ``touched``. ``sent``: UserRefNum and message of what
    leaves in its frame. ``told``: events of decisions that are yet to be written. ``wire_refusal``: why the connection
    cannot be had for it, ``wire_waits``: its cancels go by user space therefore, ``wire_room``: bytes that the peer's
    window has left (rule 11).
    """

    now_ns: int
    frame_len: int
    touched: list[int] = field(default_factory=list)
    dropped: set[int] = field(default_factory=set)
    pending: list[Decision] = field(default_factory=list)
    sent: list[tuple[int, bytes]] = field(default_factory=list)
    told: list[dict[str, Any]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    wire_refusal: Reason = Reason.NONE
    wire_waits: bool = False
    wire_room: int = S63_MAX


UserStrategy = Callable[[Signal], Intents]
"""A strategy of one's own, `Strategy.USER`."""


class ModelState:
    """Everything that lives from packet to packet, with what every rule does: count, report, look something up.

    ``params``, ``symbols``, ``memory``, ``books`` and ``auctions`` are by slot. ``limits`` and ``symbol_limits`` (by
    slot) are two sets each. ``fees``: by liquidity flag, 1/100,000,000 dollar a share. ``executions``: by place.
    ``orders``: (feed, reference) -> order of the book. ``bound``: (feed, locate) -> slot; ``closed_locates`` had
    messages before anybody asked for their symbol. ``kept``: (feed, place in its ring) -> message. ``swept``: slots
    that lost their orders to a SWEEP, while the rest of their old book is still there. ``sockets``: what the kernel has
    by (remote, local), an input.
    """

    def __init__(self, config: ModelConfig) -> None:
        self.config = config
        self.command_nonce = 0
        self.control = Control()
        self.flows: dict[tuple[str, int], Flow] = {}
        self.template = Template()
        self.params: dict[int, SymbolParams] = {}
        self.limits = (Limits(), Limits())
        self.symbol_limits: tuple[dict[int, SymbolLimits], dict[int, SymbolLimits]] = ({}, {})
        self.fees = [0] * 256
        self.symbols: dict[int, SymbolState] = {}
        self.memory: dict[int, Memory] = {}
        self.account = Account()
        self.executions: dict[int, Execution] = {}
        self.user_strategy: UserStrategy | None = None
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
        self.wire = Wire()
        self.sockets: dict[tuple[Endpoint, Endpoint], Socket] = {}
        self.working: dict[int, WorkingOrder] = {}
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

    def our_order(self, user_ref: int | None) -> WorkingOrder | None:
        """Our order of that number, if its working slot still holds it."""
        order = self.working.get(user_ref % MAX_WORKING) if user_ref else None
        return order if order is not None and order.user_ref == user_ref else None

    def open_orders(self, slot: int) -> list[WorkingOrder]:
        """Our open orders in a symbol."""
        return [self.working[ref % MAX_WORKING] for ref in self.symbols[slot].open_ref if ref]

    def remember(self, execution: Execution) -> None:
        """Keep an execution, in place of one that is long past."""
        self.executions[self.account.executions % MAX_EXECUTIONS] = execution
        self.account.executions += 1

    def slots_of_feed(self, feed: int) -> list[int]:
        """Every named slot of a feed, in order."""
        return sorted(slot for slot, params in self.params.items() if params.feed == feed)

    def emit(
        self,
        kind: EventKind,
        *,
        feed_seq: int = 0,
        exchange_ns: int = 0,
        symbol: int = NO_SYMBOL,
        reason: int = 0,
        side: int = 0,
        user_ref: int = 0,
        price_e4: int = 0,
        qty: int = 0,
        match_number: int = 0,
        open_qty: int = 0,
        strategy: int = 0,
        other_ref: int = 0,
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
            strategy=strategy,
            other_ref=other_ref,
        )
        if symbol != NO_SYMBOL:
            book, state = self.books[symbol], self.symbols[symbol]
            event.bid_e4 = book.bid_e4
            event.ask_e4 = book.ask_e4
            event.position = state.position
            event.realized_e4 = state.realized_e4
            event.fees_e8 = state.fees_e8
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
