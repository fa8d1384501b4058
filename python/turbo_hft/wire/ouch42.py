"""OUCH 4.2: order entry with 14-character tokens and fixed-length messages.

Fields stand in wire order after the type byte. Prices are integers in 1/10000 dollar, `tif` is in seconds (0 = IOC,
99998 = market hours, 99999 = system hours), `timestamp` in ns since midnight. Text is without its padding. A type
byte means one thing inbound (client to exchange) and another outbound, hence two decoders.
Source: Nasdaq OUCH 4.2 specification.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, get_args

from turbo_hft.wire import ouch_codes
from turbo_hft.wire.record import (
    A1,
    A4,
    A8,
    A14,
    U32,
    U64,
    Record,
    codec_of,
    fixed_decoder,
    padded,
    table,
    text,
)


@dataclass(frozen=True, slots=True)
class EnterOrder(Record):
    """A new order. `shares` 1 to 999,999; `side` B, S, T (short) or E (short exempt)."""

    TYPE: ClassVar[str] = "O"
    LENGTH: ClassVar[int] = 49
    order_token: A14
    side: A1
    shares: U32
    stock: A8
    price: U32
    tif: U32
    firm: A4
    display: A1
    capacity: A1
    iso: A1
    min_qty: U32
    cross_type: A1
    customer_type: A1


@dataclass(frozen=True, slots=True)
class ReplaceOrder(Record):
    """A new order in place of a live one. `shares` counts those already executed."""

    TYPE: ClassVar[str] = "U"
    LENGTH: ClassVar[int] = 47
    existing_token: A14
    replacement_token: A14
    shares: U32
    price: U32
    tif: U32
    display: A1
    iso: A1
    min_qty: U32


@dataclass(frozen=True, slots=True)
class CancelOrder(Record):
    """Reduce an order to `shares` in total (0 = cancel all)."""

    TYPE: ClassVar[str] = "X"
    LENGTH: ClassVar[int] = 19
    order_token: A14
    shares: U32


@dataclass(frozen=True, slots=True)
class ModifyOrder(Record):
    """Change side marking or reduce to `shares` in total, executed ones included."""

    TYPE: ClassVar[str] = "M"
    LENGTH: ClassVar[int] = 20
    order_token: A14
    side: A1
    shares: U32


@dataclass(frozen=True, slots=True)
class TradeNow(Record):
    """Let a resting order take liquidity (revisions up to 2018)."""

    TYPE: ClassVar[str] = "N"
    LENGTH: ClassVar[int] = 15
    order_token: A14


@dataclass(frozen=True, slots=True)
class SystemEvent(Record):
    """S start of day, E end of day."""

    TYPE: ClassVar[str] = "S"
    LENGTH: ClassVar[int] = 10
    timestamp: U64
    event_code: A1


@dataclass(frozen=True, slots=True)
class Accepted(Record):
    """The order is taken; `order_state` L live or D already dead. `order_ref` is what ITCH shows."""

    TYPE: ClassVar[str] = "A"
    LENGTH: ClassVar[int] = 66
    timestamp: U64
    order_token: A14
    side: A1
    shares: U32
    stock: A8
    price: U32
    tif: U32
    firm: A4
    display: A1
    order_ref: U64
    capacity: A1
    iso: A1
    min_qty: U32
    cross_type: A1
    order_state: A1
    bbo_weight: A1


@dataclass(frozen=True, slots=True)
class Replaced(Record):
    """The replacement stands; `shares` is what is outstanding."""

    TYPE: ClassVar[str] = "U"
    LENGTH: ClassVar[int] = 80
    timestamp: U64
    replacement_token: A14
    side: A1
    shares: U32
    stock: A8
    price: U32
    tif: U32
    firm: A4
    display: A1
    order_ref: U64
    capacity: A1
    iso: A1
    min_qty: U32
    cross_type: A1
    order_state: A1
    previous_token: A14
    bbo_weight: A1


@dataclass(frozen=True, slots=True)
class Canceled(Record):
    """`decrement_shares` left the order; `reason` as in CANCEL_REASONS."""

    TYPE: ClassVar[str] = "C"
    LENGTH: ClassVar[int] = 28
    timestamp: U64
    order_token: A14
    decrement_shares: U32
    reason: A1


@dataclass(frozen=True, slots=True)
class AiqCanceled(Record):
    """`decrement_shares` left the order instead of trading with another of the same owner.

    `aiq_strategy` is one byte that the 2025 revision appends; None where the message has 37 bytes and ends before it.
    """

    TYPE: ClassVar[str] = "D"
    LENGTH: ClassVar[int] = 37
    timestamp: U64
    order_token: A14
    decrement_shares: U32
    reason: A1
    qty_prevented: U32
    execution_price: U32
    liquidity_flag: A1
    aiq_strategy: str | None = None

    def encode(self) -> bytes:
        """37 bytes, or 38 with an `aiq_strategy`. Errors: MalformedMessage if a value does not fit its field."""
        tail = b"" if self.aiq_strategy is None else padded("AiqCanceled.aiq_strategy", self.aiq_strategy, 1)
        return codec_of(AiqCanceled).encode(self) + tail


@dataclass(frozen=True, slots=True)
class Executed(Record):
    """`executed_shares` traded; `liquidity_flag` as in LIQUIDITY_FLAGS."""

    TYPE: ClassVar[str] = "E"
    LENGTH: ClassVar[int] = 40
    timestamp: U64
    order_token: A14
    executed_shares: U32
    execution_price: U32
    liquidity_flag: A1
    match_number: U64


@dataclass(frozen=True, slots=True)
class BrokenTrade(Record):
    """An execution was undone; `reason` as in BROKEN_REASONS."""

    TYPE: ClassVar[str] = "B"
    LENGTH: ClassVar[int] = 32
    timestamp: U64
    order_token: A14
    match_number: U64
    reason: A1


@dataclass(frozen=True, slots=True)
class ExecutedWithReferencePrice(Record):
    """An execution that also names the price it was measured against."""

    TYPE: ClassVar[str] = "G"
    LENGTH: ClassVar[int] = 45
    timestamp: U64
    order_token: A14
    executed_shares: U32
    execution_price: U32
    liquidity_flag: A1
    match_number: U64
    reference_price: U32
    reference_price_type: A1


@dataclass(frozen=True, slots=True)
class TradeCorrection(Record):
    """An execution with corrected terms (revisions up to 2018)."""

    TYPE: ClassVar[str] = "F"
    LENGTH: ClassVar[int] = 41
    timestamp: U64
    order_token: A14
    executed_shares: U32
    execution_price: U32
    liquidity_flag: A1
    match_number: U64
    reason: A1


@dataclass(frozen=True, slots=True)
class Rejected(Record):
    """The order was not taken; `reason` as in REJECT_REASONS."""

    TYPE: ClassVar[str] = "J"
    LENGTH: ClassVar[int] = 24
    timestamp: U64
    order_token: A14
    reason: A1


@dataclass(frozen=True, slots=True)
class CancelPending(Record):
    """The cancel waits for the end of a cross."""

    TYPE: ClassVar[str] = "P"
    LENGTH: ClassVar[int] = 23
    timestamp: U64
    order_token: A14


@dataclass(frozen=True, slots=True)
class CancelReject(Record):
    """The cancel is not allowed now."""

    TYPE: ClassVar[str] = "I"
    LENGTH: ClassVar[int] = 23
    timestamp: U64
    order_token: A14


@dataclass(frozen=True, slots=True)
class PriorityUpdate(Record):
    """The order rests at another price or under another reference."""

    TYPE: ClassVar[str] = "T"
    LENGTH: ClassVar[int] = 36
    timestamp: U64
    order_token: A14
    price: U32
    display: A1
    order_ref: U64


@dataclass(frozen=True, slots=True)
class Modified(Record):
    """The change was made; `shares` is what is outstanding."""

    TYPE: ClassVar[str] = "M"
    LENGTH: ClassVar[int] = 28
    timestamp: U64
    order_token: A14
    side: A1
    shares: U32


@dataclass(frozen=True, slots=True)
class TradeNowAck(Record):
    """The order now takes liquidity (revisions up to 2018)."""

    TYPE: ClassVar[str] = "N"
    LENGTH: ClassVar[int] = 23
    timestamp: U64
    order_token: A14


Inbound = EnterOrder | ReplaceOrder | CancelOrder | ModifyOrder | TradeNow
Outbound = (
    SystemEvent
    | Accepted
    | Replaced
    | Canceled
    | AiqCanceled
    | Executed
    | BrokenTrade
    | ExecutedWithReferencePrice
    | TradeCorrection
    | Rejected
    | CancelPending
    | CancelReject
    | PriorityUpdate
    | Modified
    | TradeNowAck
)

BROKEN_REASONS: dict[str, str] = ouch_codes.BROKEN_REASONS
"""Codes of `BrokenTrade.reason`."""

CANCEL_REASONS: dict[str, str] = ouch_codes.CANCEL_REASONS | {"C": "cross canceled"}
"""Codes of `Canceled.reason` and `AiqCanceled.reason`."""

LIQUIDITY_FLAGS: dict[str, str] = ouch_codes.LIQUIDITY_FLAGS | dict.fromkeys("456g", "group A")
"""Codes of `liquidity_flag`."""

REJECT_REASONS: dict[str, str] = {
    "T": "test mode",
    "H": "halted",
    "Z": "shares exceed the safety threshold",
    "S": "invalid stock",
    "D": "invalid display",
    "C": "closed",
    "L": "firm not authorised",
    "M": "outside clearing hours",
    "R": "order not allowed in this cross",
    "X": "invalid price",
    "N": "invalid minimum quantity",
    "O": "other",
    "W": "midpoint post-only price",
}
"""Codes of `Rejected.reason`; pre-trade risk adds further letters, so expect any."""

_INBOUND: dict[int, type[Inbound]] = table(get_args(Inbound))
_OUTBOUND: dict[int, type[Outbound]] = table(get_args(Outbound))
_decode_inbound = fixed_decoder("OUCH 4.2 inbound", _INBOUND)
_decode_outbound = fixed_decoder("OUCH 4.2 outbound", _OUTBOUND)


def decode_inbound(data: bytes | memoryview) -> Inbound:
    """A message from client to exchange. Errors: MalformedMessage (unknown type, wrong length, not ASCII)."""
    return _decode_inbound(data)


def decode_outbound(data: bytes | memoryview) -> Outbound:
    """A message from exchange to client. Errors: MalformedMessage (unknown type, wrong length, not ASCII)."""
    raw = bytes(data)
    if raw[:1] == b"D" and len(raw) == AiqCanceled.LENGTH + 1:
        fixed = _decode_outbound(raw[:-1])
        assert isinstance(fixed, AiqCanceled)  # its type byte says so
        return replace(fixed, aiq_strategy=text("AiqCanceled.aiq_strategy", raw[-1:]))
    return _decode_outbound(raw)
