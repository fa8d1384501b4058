"""ITCH 5.0: all 23 messages of the Nasdaq TotalView feed.

Fields stand in wire order after the type byte. Every message begins with `stock_locate` (today's index of the symbol,
0 = none), `tracking_number` and `timestamp` (ns since midnight US/Eastern, 48 bits). Prices are integers in 1/10000
dollar; only the levels of `MwcbDeclineLevel` are in 1/10^8. Text is without its padding. Values of codes are not
judged here: a decoder that knew today's codes only would break on the day the exchange adds one.
Source: Nasdaq TotalView-ITCH 5.0 specification.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, get_args

from turbo_hft.wire.record import A1, A2, A4, A8, U16, U32, U48, U64, Record, fixed_decoder, table


@dataclass(frozen=True, slots=True)
class Header(Record):
    """What every message begins with."""

    stock_locate: U16
    tracking_number: U16
    timestamp: U48


@dataclass(frozen=True, slots=True)
class SystemEvent(Header):
    """Where the day stands: O S Q M E C, in this order, from start to end of messages."""

    TYPE: ClassVar[str] = "S"
    LENGTH: ClassVar[int] = 12
    event_code: A1


@dataclass(frozen=True, slots=True)
class StockDirectory(Header):
    """A symbol, its locate of today and what it is. `etp_leverage` is an integer factor."""

    TYPE: ClassVar[str] = "R"
    LENGTH: ClassVar[int] = 39
    stock: A8
    market_category: A1
    financial_status: A1
    round_lot_size: U32
    round_lots_only: A1
    issue_classification: A1
    issue_subtype: A2
    authenticity: A1
    short_sale_threshold: A1
    ipo_flag: A1
    luld_tier: A1
    etp_flag: A1
    etp_leverage: U32
    inverse: A1


@dataclass(frozen=True, slots=True)
class StockTradingAction(Header):
    """`trading_state`: H halted, P paused, Q quotation only, T trading."""

    TYPE: ClassVar[str] = "H"
    LENGTH: ClassVar[int] = 25
    stock: A8
    trading_state: A1
    reserved: A1
    reason: A4


@dataclass(frozen=True, slots=True)
class RegShoRestriction(Header):
    """Short sale price test: 0 none, 1 came into force today, 2 still in force."""

    TYPE: ClassVar[str] = "Y"
    LENGTH: ClassVar[int] = 20
    stock: A8
    reg_sho_action: A1


@dataclass(frozen=True, slots=True)
class MarketParticipantPosition(Header):
    """A market maker's standing in a symbol."""

    TYPE: ClassVar[str] = "L"
    LENGTH: ClassVar[int] = 26
    mpid: A4
    stock: A8
    primary_mm: A1
    mm_mode: A1
    participant_state: A1


@dataclass(frozen=True, slots=True)
class MwcbDeclineLevel(Header):
    """Index levels of the market-wide circuit breaker, in 1/10^8."""

    TYPE: ClassVar[str] = "V"
    LENGTH: ClassVar[int] = 35
    level1: U64
    level2: U64
    level3: U64


@dataclass(frozen=True, slots=True)
class MwcbStatus(Header):
    """A circuit breaker level (1, 2, 3) was reached."""

    TYPE: ClassVar[str] = "W"
    LENGTH: ClassVar[int] = 12
    breached_level: A1


@dataclass(frozen=True, slots=True)
class QuotingPeriodUpdate(Header):
    """When an IPO may be quoted; `release_time_s` in seconds since midnight, 0 = cancelled."""

    TYPE: ClassVar[str] = "K"
    LENGTH: ClassVar[int] = 28
    stock: A8
    release_time_s: U32
    release_qualifier: A1
    ipo_price: U32


@dataclass(frozen=True, slots=True)
class LuldAuctionCollar(Header):
    """Price collar of a halt auction; `extension` counts how often it was widened."""

    TYPE: ClassVar[str] = "J"
    LENGTH: ClassVar[int] = 35
    stock: A8
    reference_price: U32
    upper_price: U32
    lower_price: U32
    extension: U32


@dataclass(frozen=True, slots=True)
class OperationalHalt(Header):
    """One market (Q, B, X) halted (H) or resumed (T) a symbol."""

    TYPE: ClassVar[str] = "h"
    LENGTH: ClassVar[int] = 21
    stock: A8
    market_code: A1
    halt_action: A1


@dataclass(frozen=True, slots=True)
class AddOrder(Header):
    """A displayed order without attribution entered the book. `side`: B or S."""

    TYPE: ClassVar[str] = "A"
    LENGTH: ClassVar[int] = 36
    order_ref: U64
    side: A1
    shares: U32
    stock: A8
    price: U32


@dataclass(frozen=True, slots=True)
class AddOrderMpid(Header):
    """A displayed order of a named participant entered the book."""

    TYPE: ClassVar[str] = "F"
    LENGTH: ClassVar[int] = 40
    order_ref: U64
    side: A1
    shares: U32
    stock: A8
    price: U32
    mpid: A4


@dataclass(frozen=True, slots=True)
class OrderExecuted(Header):
    """`executed_shares` of an order traded at the order's own price."""

    TYPE: ClassVar[str] = "E"
    LENGTH: ClassVar[int] = 31
    order_ref: U64
    executed_shares: U32
    match_number: U64


@dataclass(frozen=True, slots=True)
class OrderExecutedWithPrice(Header):
    """`executed_shares` traded at another price; `printable` N stays out of volume."""

    TYPE: ClassVar[str] = "C"
    LENGTH: ClassVar[int] = 36
    order_ref: U64
    executed_shares: U32
    match_number: U64
    printable: A1
    execution_price: U32


@dataclass(frozen=True, slots=True)
class OrderCancel(Header):
    """`cancelled_shares` left the order, the rest stays."""

    TYPE: ClassVar[str] = "X"
    LENGTH: ClassVar[int] = 23
    order_ref: U64
    cancelled_shares: U32


@dataclass(frozen=True, slots=True)
class OrderDelete(Header):
    """The order left the book."""

    TYPE: ClassVar[str] = "D"
    LENGTH: ClassVar[int] = 19
    order_ref: U64


@dataclass(frozen=True, slots=True)
class OrderReplace(Header):
    """An order gave way to a new one of the same side and symbol; `shares` is its new total."""

    TYPE: ClassVar[str] = "U"
    LENGTH: ClassVar[int] = 35
    orig_order_ref: U64
    new_order_ref: U64
    shares: U32
    price: U32


@dataclass(frozen=True, slots=True)
class Trade(Header):
    """A hidden order traded; the displayed book does not change. `order_ref` is 0, `side` B."""

    TYPE: ClassVar[str] = "P"
    LENGTH: ClassVar[int] = 44
    order_ref: U64
    side: A1
    shares: U32
    stock: A8
    price: U32
    match_number: U64


@dataclass(frozen=True, slots=True)
class CrossTrade(Header):
    """Bulk print of an auction; `shares` may be 0."""

    TYPE: ClassVar[str] = "Q"
    LENGTH: ClassVar[int] = 40
    shares: U64
    stock: A8
    cross_price: U32
    match_number: U64
    cross_type: A1


@dataclass(frozen=True, slots=True)
class BrokenTrade(Header):
    """An earlier execution was undone; the book does not change."""

    TYPE: ClassVar[str] = "B"
    LENGTH: ClassVar[int] = 19
    match_number: U64


@dataclass(frozen=True, slots=True)
class Noii(Header):
    """Net order imbalance ahead of an auction."""

    TYPE: ClassVar[str] = "I"
    LENGTH: ClassVar[int] = 50
    paired_shares: U64
    imbalance_shares: U64
    imbalance_direction: A1
    stock: A8
    far_price: U32
    near_price: U32
    reference_price: U32
    cross_type: A1
    price_variation: A1


@dataclass(frozen=True, slots=True)
class Rpii(Header):
    """Retail price improvement interest: B, S, A both, N none."""

    TYPE: ClassVar[str] = "N"
    LENGTH: ClassVar[int] = 20
    stock: A8
    interest_flag: A1


@dataclass(frozen=True, slots=True)
class DirectListing(Header):
    """Price discovery of a direct listing with capital raise; `near_exec_time` in ns since midnight."""

    TYPE: ClassVar[str] = "O"
    LENGTH: ClassVar[int] = 48
    stock: A8
    open_eligibility: A1
    min_price: U32
    max_price: U32
    near_exec_price: U32
    near_exec_time: U64
    lower_collar: U32
    upper_collar: U32


Message = (
    SystemEvent
    | StockDirectory
    | StockTradingAction
    | RegShoRestriction
    | MarketParticipantPosition
    | MwcbDeclineLevel
    | MwcbStatus
    | QuotingPeriodUpdate
    | LuldAuctionCollar
    | OperationalHalt
    | AddOrder
    | AddOrderMpid
    | OrderExecuted
    | OrderExecutedWithPrice
    | OrderCancel
    | OrderDelete
    | OrderReplace
    | Trade
    | CrossTrade
    | BrokenTrade
    | Noii
    | Rpii
    | DirectListing
)

_BY_TYPE: dict[int, type[Message]] = table(get_args(Message))
_decode = fixed_decoder("ITCH 5.0", _BY_TYPE)

TYPES: str = "".join(cls.TYPE for cls in _BY_TYPE.values())
"""The 23 type characters, in the order of the counters of the hook."""

LENGTHS: dict[str, int] = {cls.TYPE: cls.LENGTH for cls in _BY_TYPE.values()}
"""Bytes of each type, the type byte included."""


def decode(data: bytes | memoryview) -> Message:
    """One message. Errors: MalformedMessage for an unknown type, a wrong length or text that is not ASCII."""
    return _decode(data)


def common_stock(stock: str, stock_locate: int, timestamp: int, tracking_number: int = 0) -> StockDirectory:
    """The directory entry of a common stock listed at NASDAQ, with round lots of 100 and nothing special about it."""
    return StockDirectory(
        stock_locate=stock_locate,
        tracking_number=tracking_number,
        timestamp=timestamp,
        stock=stock,
        market_category="Q",
        financial_status="N",
        round_lot_size=100,
        round_lots_only="N",
        issue_classification="C",
        issue_subtype="Z",
        authenticity="P",
        short_sale_threshold="N",
        ipo_flag="N",
        luld_tier="1",
        etp_flag="N",
        etp_leverage=0,
        inverse="N",
    )
