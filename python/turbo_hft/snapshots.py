"""Consistent copies of what the hook writes, as plain frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from turbo_hft import abi
from turbo_hft._native import ffi, lib
from turbo_hft.kill import KillState

Side = Literal["buy", "sell"]
SIDES: dict[int, Side] = {lib.HFT_BUY: "buy", lib.HFT_SELL: "sell"}
_BYTE = 0xFF


def side_name(side: int) -> str:
    """``buy`` or ``sell``; ``side 7`` for one that there is not."""
    return abi.name_of("hft_side", "HFT_", side)


@dataclass(frozen=True, slots=True)
class SymbolSnapshot:
    """One symbol at one moment: its book, its market, our trading in it. Prices and money in 1/10000 dollar, times in
    ns.

    Fields of ``struct hft_book`` and ``struct hft_symbol_state`` (abi.h). `state` is our own kill switch: active,
    reducing or halted. Of our open orders, `open_refs` are the UserRefNums, `open_buy_qty` and `open_sell_qty` what
    they may still buy and sell. `fees_e8` are paid fees in 1/100,000,000 dollar, negative if received. `health` is
    the book's: ok, quarantined, clearing or installing; `doubt` says why it is in quarantine. `phase` (of its feed:
    none, messages, system, market, after, closed, ended), `breaker` (``""``, ``1`` to ``3``, ``?`` for one that could
    not be read), `trading_state` (``""`` until heard, H, P, Q or T) and `operational_halt` are the exchange's.
    `crossed_ns`: the time stamp since which the book is crossed, 0 if it is not.
    """

    name: str
    feed: int
    state: KillState
    armed: bool
    health: str
    doubt: str
    since_seq: int
    kept_seq: int
    locate: int
    bid_e4: int
    ask_e4: int
    bid_qty: int
    ask_qty: int
    book_orders: int
    book_messages: int
    exchange_ns: int
    crossed_ns: int
    phase: str
    breaker: str
    trading_state: str
    halt_reason: str
    operational_halt: bool
    cross_pending: bool
    cross_type: str
    reg_sho: str
    last_e4: int
    last_qty: int
    volume: int
    notional_e4: int
    last_ns: int
    position: int
    cost_e4: int
    realized_e4: int
    unrealized_e4: int
    exposure_e4: int
    fees_e8: int
    mark_e4: int
    open_orders: int
    open_refs: tuple[int, ...]
    open_buy_qty: int
    open_sell_qty: int
    loss_latched: bool
    orders_sent: int
    fills: int
    bought_qty: int
    sold_qty: int
    bought_e4: int
    sold_e4: int
    canceled_qty: int
    broken: int

    @property
    def halted(self) -> bool:
        """Is the symbol's own kill switch thrown?"""
        return self.state == "halted"

    @property
    def pnl_e4(self) -> int:
        """Profit and loss of the day, realized and not, less fees, 1/10000 dollar."""
        return self.realized_e4 + self.unrealized_e4 - fees_e4(self.fees_e8)

    @property
    def vwap_e4(self) -> int | None:
        """Volume-weighted average price of the day's trades, 1/10000 dollar, rounded half up; None before the first."""
        return (2 * self.notional_e4 + self.volume) // (2 * self.volume) if self.volume else None

    @property
    def trading(self) -> str:
        """What the exchange lets happen in it: ``trading``, or why not.

        ``breaker`` (market-wide), ``closed`` (outside market hours), ``operational_halt``, ``halted``, ``paused``,
        ``quoting`` (quotation only), ``unheard`` (no trading action yet). In the order in which the risk gate asks.
        """
        if self.breaker or self.phase != "market":
            return "breaker" if self.breaker else "closed"
        if self.operational_halt:
            return "operational_halt"
        return _TRADING[self.trading_state]


_TRADING = {"": "unheard", "H": "halted", "P": "paused", "Q": "quoting", "T": "trading"}


@dataclass(frozen=True, slots=True)
class Auction:
    """What the exchange last said of an auction in a symbol (ITCH J and K); 0 and ``""`` where nothing was said.

    Prices in 1/10000 dollar; `ipo_release_s` is seconds since midnight; `ipo_qualifier` A anticipated, C cancelled.
    """

    luld_reference_e4: int
    luld_upper_e4: int
    luld_lower_e4: int
    luld_extension: int
    ipo_release_s: int
    ipo_price_e4: int
    ipo_qualifier: str


@dataclass(frozen=True, slots=True)
class FeedSnapshot:
    """A feed at one moment: fields of ``struct hft_feed_state`` (abi.h).

    `health`: idle, live, hold, gap or ended; only a live feed is traded on. `first`, `late`, `line_next` are by line:
    A, B, re-request. `cpu` is that of the newest packet, None before the first. `gave_up`: messages of this session
    were.
    """

    session: str
    phase: str
    breaker: str
    health: str
    expected_seq: int
    highest_seq: int
    exchange_ns: int
    seen_ns: int
    hold_since_ns: int
    gaps: int
    missed: int
    breaker_level_e8: tuple[int, ...]
    generation: int
    first: tuple[int, ...]
    late: tuple[int, ...]
    line_next: tuple[int, ...]
    cpu: int | None
    gave_up: bool = False

    @property
    def missing(self) -> int:
        """Messages between the next one to apply and the newest one announced; 0 on a feed in which none is missing."""
        return max(0, self.highest_seq - max(self.expected_seq, 1))


@dataclass(frozen=True, slots=True)
class KeptMessages:
    """Messages of symbols that a feed's ring holds: (sequence, message) in order.

    `overwritten`: sequences of the range whose places later messages have taken. If it is not 0, messages that were
    asked for may be lost.
    """

    messages: tuple[tuple[int, bytes], ...]
    overwritten: int


@dataclass(frozen=True, slots=True)
class SessionSnapshot:
    """Order entry at one moment. `health`: down, recovering, up, ended or suspect; `highest_seq` above `expected_seq`:
    replies are missing."""

    session: str
    health: str
    expected_seq: int
    highest_seq: int
    next_user_ref: int
    orders_sent: int
    exchange_ns: int


@dataclass(frozen=True, slots=True)
class Account:
    """Our own trading in all symbols at one moment, of ``struct hft_account``. Money in 1/10000 dollar, fees in
    1/100,000,000.

    `gross_e4`, `net_e4`: sums of |positions| and of positions at their marks. `open_buy_e4`, `open_sell_e4`: open
    orders at their prices. `loss_latched`: the day's loss has reached its limit.
    """

    realized_e4: int
    unrealized_e4: int
    fees_e8: int
    gross_e4: int
    net_e4: int
    open_buy_e4: int
    open_sell_e4: int
    open_orders: int
    loss_latched: bool
    executions: int

    @property
    def pnl_e4(self) -> int:
        """Profit and loss of the day, realized and not, less fees, 1/10000 dollar."""
        return self.realized_e4 + self.unrealized_e4 - fees_e4(self.fees_e8)


@dataclass(frozen=True, slots=True)
class WorkingOrder:
    """One of our orders, of ``struct hft_working``.

    `state`: sent, live, filled, canceled, rejected, replaced or lost. `pending`: what a live order waits for: cancel,
    replace, later (the exchange will cancel it). `other_ref`: the order it shall replace (sent), the one that took its
    place (replaced), the one that is to (live); 0 = none. `chain_qty`: executed of those that it replaced. `sent_ns` is
    the monotonic clock, `epoch` that of the decision, `order_ref` the exchange's reference.
    """

    user_ref: int
    state: str
    symbol: str
    side: str
    price_e4: int
    qty: int
    open_qty: int
    filled_qty: int
    filled_e4: int
    sent_ns: int
    strategy: str
    pending: tuple[str, ...]
    other_ref: int
    chain_qty: int
    short_sale: bool
    epoch: int
    order_ref: int


@dataclass(frozen=True, slots=True)
class Histogram:
    """log2 histogram of nanoseconds: `buckets[i]` counts 2^i <= ns < 2^(i+1); the last bucket is open."""

    buckets: tuple[int, ...]

    @property
    def count(self) -> int:
        """Samples in all."""
        return sum(self.buckets)

    def percentile(self, percent: float) -> int:
        """The upper bound, ns, of the bucket that holds this percentile; 0 without samples."""
        if not 0 <= percent <= 100:
            raise ValueError(f"percentile {percent}: give 0 to 100")
        rank, seen = self.count * percent / 100, 0
        for index, bucket in enumerate(self.buckets):
            seen += bucket
            if bucket and seen >= rank:
                return 2 << index
        return 0


def fees_e4(fees_e8: int) -> int:
    """Fees in 1/10000 dollar, rounded up, as the loss limits take them."""
    return -(-fees_e8 // 10_000)


def feed_health(value: int) -> str:
    """Name of a feed health."""
    return abi.name_of("hft_feed_health", "HFT_FEED_", value)


def book_health(value: int) -> str:
    """Name of a book health."""
    return abi.name_of("hft_book_health", "HFT_BOOK_", value)


def doubt_name(value: int) -> str:
    """Why a book is in quarantine; ``none`` for one that is not."""
    return abi.name_of("hft_doubt", "HFT_DOUBT_", value)


def phase_name(value: int) -> str:
    """Name of a market phase."""
    return abi.name_of("hft_phase", "HFT_PHASE_", value)


def session_health(value: int) -> str:
    """Name of an order-entry health."""
    return abi.name_of("hft_session_health", "HFT_SESSION_", value)


def order_state(value: int) -> str:
    """Name of an order state."""
    return abi.name_of("hft_order_state", "HFT_ORDER_", value)


def character(value: int) -> str:
    """A one-byte code of a protocol; ``""`` for 0, hexadecimal for what is no byte."""
    return (chr(value) if value <= _BYTE else f"0x{value:X}") if value else ""


def text(raw: Any) -> str:
    """A char array without its padding."""
    return bytes(ffi.buffer(raw)).rstrip(b"\0 ").decode("ascii", errors="replace")


def feed_snapshot(state: Any) -> FeedSnapshot:
    """From a ``struct hft_feed_state`` in shared memory: every word is right, and nearly always all of one moment."""
    copy = ffi.new("struct hft_feed_state *", state)
    values = abi.fields(copy[0])
    for name in ("breaker_level_e8", "first", "late", "line_next"):
        values[name] = tuple(values[name])
    values["session"], values["health"] = text(values["session"]), feed_health(values["health"])
    values["phase"], values["breaker"] = phase_name(values["phase"]), character(values["breaker"])
    values["cpu"] = values["cpu"] - 1 if values["cpu"] else None
    values["gave_up"] = bool(values["gave_up"])
    return FeedSnapshot(**values)


_UNSHOWN = ("name", "version", "holds", "crossed", "touched", "touched_seq", "tat_ns", "recent", "recent_head")
_LEVELS = ("held", "window_e4", "window", "behind_e4", "behind_level")


def best_cell(book: Any, side: int) -> int:
    """The best level of a side of a ``struct hft_book`` (abi.h, hft_window); 0 without one."""
    held, price, window = int(book.held[side]), int(book.best_e4[side]), int(book.window_e4[side])
    if not held & (1 << lib.HFT_WINDOW) - 1:
        return int(book.behind_level[side]) if held else 0
    return int(book.window[side].cell[price // (1 if window >> 31 else 100) % lib.HFT_RING])


def symbol_snapshot(name: str, state: KillState, book: Any, trading: Any, feed: Any) -> SymbolSnapshot:
    """From copies of ``struct hft_book`` and ``struct hft_symbol_state``, and the feed's state."""
    values = abi.fields(book) | abi.fields(trading)
    for gone in (*_UNSHOWN, *_LEVELS):
        values.pop(gone, None)
    values["bid_e4"], values["ask_e4"] = values.pop("best_e4")
    values["bid_qty"], values["ask_qty"] = (best_cell(book, side) & lib.HFT_MAX_LEVEL_QTY for side in SIDES)
    values["notional_e4"] += values.pop("notional_high") << 64
    values["health"], values["doubt"] = book_health(values["health"]), doubt_name(values["doubt"])
    values["open_refs"] = tuple(ref for ref in values.pop("open_ref") if ref)
    values["open_buy_qty"], values["open_sell_qty"] = values.pop("open_qty")
    for flag in ("armed", "operational_halt", "cross_pending", "loss_latched"):
        values[flag] = bool(values[flag])
    for code in ("trading_state", "cross_type", "reg_sho"):
        values[code] = character(values[code])
    values["halt_reason"] = text(values["halt_reason"])
    values["phase"], values["breaker"] = phase_name(feed.phase), character(feed.breaker)
    return SymbolSnapshot(name=name, state=state, **values)


def account_snapshot(account: Any) -> Account:
    """From a ``struct hft_account`` in shared memory: every word is right, and nearly always all of one moment."""
    copy = ffi.new("struct hft_account *", account)
    values = abi.fields(copy[0])
    for gone in ("tat_ns", "strategy"):
        del values[gone]
    values["open_buy_e4"], values["open_sell_e4"] = values.pop("open_e4")
    values["loss_latched"] = bool(values["loss_latched"])
    return Account(**values)


def working_order(slot: Any, symbol: str) -> WorkingOrder:
    """From a ``struct hft_working`` in shared memory."""
    copy = ffi.new("struct hft_working *", slot)
    values = abi.fields(copy[0])
    for gone in ("counted_qty", "counted_e4"):
        del values[gone]
    values["state"], values["side"], values["symbol"] = order_state(values["state"]), side_name(values["side"]), symbol
    values["strategy"] = abi.names("hft_strategy", "HFT_STRATEGY_").get(values["strategy"], "none")
    bits = abi.names("hft_pending", "HFT_PENDING_")
    values["pending"] = tuple(name for bit, name in bits.items() if values["pending"] & bit)
    values["short_sale"] = bool(values["short_sale"])
    return WorkingOrder(**values)


def symbol_health(book: Any, feed: Any) -> str:
    """Can a symbol be traded on, as one word: see `SymbolView.health`."""
    if book.health == lib.HFT_BOOK_QUARANTINED:
        return f"quarantined: {doubt_name(book.doubt)}"
    if book.health != lib.HFT_BOOK_OK:
        return book_health(book.health)
    if feed.health != lib.HFT_FEED_LIVE:
        return feed_health(feed.health)
    return "live" if book.locate else "unlisted"
