"""OUCH 5.0 messages from exchange to client (see `ouch50`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from turbo_hft.wire.ouch50_inbound import OPTIONAL, REQUIRED, Ouch50
from turbo_hft.wire.record import A1, A4, A8, A14, U16, U32, U64


@dataclass(frozen=True, slots=True)
class SystemEvent(Ouch50):
    """S start of day, E end of day. Carries no appendage."""

    TYPE: ClassVar[str] = "S"
    LENGTH: ClassVar[int] = 10
    timestamp: U64
    event_code: A1


@dataclass(frozen=True, slots=True)
class Accepted(Ouch50):
    """The order is taken; `order_state` L live or D already dead. `order_ref` is what ITCH shows."""

    TYPE: ClassVar[str] = "A"
    LENGTH: ClassVar[int] = 64
    APPENDAGE: ClassVar[str] = REQUIRED
    timestamp: U64
    user_ref_num: U32
    side: A1
    quantity: U32
    symbol: A8
    price: U64
    tif: A1
    display: A1
    order_ref: U64
    capacity: A1
    iso: A1
    cross_type: A1
    order_state: A1
    cl_ord_id: A14
    appendage: bytes = b""


@dataclass(frozen=True, slots=True)
class Replaced(Ouch50):
    """The replacement stands; `quantity` is what is outstanding."""

    TYPE: ClassVar[str] = "U"
    LENGTH: ClassVar[int] = 68
    APPENDAGE: ClassVar[str] = REQUIRED
    timestamp: U64
    orig_user_ref_num: U32
    user_ref_num: U32
    side: A1
    quantity: U32
    symbol: A8
    price: U64
    tif: A1
    display: A1
    order_ref: U64
    capacity: A1
    iso: A1
    cross_type: A1
    order_state: A1
    cl_ord_id: A14
    appendage: bytes = b""


@dataclass(frozen=True, slots=True)
class Canceled(Ouch50):
    """`quantity` shares left the order; `reason` as in CANCEL_REASONS."""

    TYPE: ClassVar[str] = "C"
    LENGTH: ClassVar[int] = 18
    APPENDAGE: ClassVar[str] = OPTIONAL
    timestamp: U64
    user_ref_num: U32
    quantity: U32
    reason: A1
    appendage: bytes = b""


@dataclass(frozen=True, slots=True)
class AiqCanceled(Ouch50):
    """`decrement_shares` left the order instead of trading with another of the same owner."""

    TYPE: ClassVar[str] = "D"
    LENGTH: ClassVar[int] = 32
    APPENDAGE: ClassVar[str] = OPTIONAL
    timestamp: U64
    user_ref_num: U32
    decrement_shares: U32
    reason: A1
    qty_prevented: U32
    execution_price: U64
    liquidity_flag: A1
    aiq_strategy: A1
    appendage: bytes = b""


@dataclass(frozen=True, slots=True)
class Executed(Ouch50):
    """`quantity` shares traded; `liquidity_flag` as in LIQUIDITY_FLAGS."""

    TYPE: ClassVar[str] = "E"
    LENGTH: ClassVar[int] = 36
    APPENDAGE: ClassVar[str] = REQUIRED
    timestamp: U64
    user_ref_num: U32
    quantity: U32
    price: U64
    liquidity_flag: A1
    match_number: U64
    appendage: bytes = b""


@dataclass(frozen=True, slots=True)
class BrokenTrade(Ouch50):
    """An execution was undone; `reason` as in BROKEN_REASONS."""

    TYPE: ClassVar[str] = "B"
    LENGTH: ClassVar[int] = 36
    APPENDAGE: ClassVar[str] = OPTIONAL
    timestamp: U64
    user_ref_num: U32
    match_number: U64
    reason: A1
    cl_ord_id: A14
    appendage: bytes = b""


@dataclass(frozen=True, slots=True)
class Rejected(Ouch50):
    """The order was not taken; `reason` as in REJECT_REASONS."""

    TYPE: ClassVar[str] = "J"
    LENGTH: ClassVar[int] = 29
    APPENDAGE: ClassVar[str] = OPTIONAL
    timestamp: U64
    user_ref_num: U32
    reason: U16
    cl_ord_id: A14
    appendage: bytes = b""


@dataclass(frozen=True, slots=True)
class CancelPending(Ouch50):
    """The cancel waits for the end of a cross."""

    TYPE: ClassVar[str] = "P"
    LENGTH: ClassVar[int] = 13
    APPENDAGE: ClassVar[str] = OPTIONAL
    timestamp: U64
    user_ref_num: U32
    appendage: bytes = b""


@dataclass(frozen=True, slots=True)
class CancelReject(Ouch50):
    """The cancel is not allowed now."""

    TYPE: ClassVar[str] = "I"
    LENGTH: ClassVar[int] = 13
    APPENDAGE: ClassVar[str] = OPTIONAL
    timestamp: U64
    user_ref_num: U32
    appendage: bytes = b""


@dataclass(frozen=True, slots=True)
class PriorityUpdate(Ouch50):
    """The order rests at another price or under another reference."""

    TYPE: ClassVar[str] = "T"
    LENGTH: ClassVar[int] = 30
    APPENDAGE: ClassVar[str] = OPTIONAL
    timestamp: U64
    user_ref_num: U32
    price: U64
    display: A1
    order_ref: U64
    appendage: bytes = b""


@dataclass(frozen=True, slots=True)
class Modified(Ouch50):
    """The change was made; `quantity` is what is outstanding."""

    TYPE: ClassVar[str] = "M"
    LENGTH: ClassVar[int] = 18
    APPENDAGE: ClassVar[str] = OPTIONAL
    timestamp: U64
    user_ref_num: U32
    side: A1
    quantity: U32
    appendage: bytes = b""


@dataclass(frozen=True, slots=True)
class Restated(Ouch50):
    """The exchange changed the order by itself; `reason` as in RESTATED_REASONS, details as options."""

    TYPE: ClassVar[str] = "R"
    LENGTH: ClassVar[int] = 16
    APPENDAGE: ClassVar[str] = REQUIRED
    timestamp: U64
    user_ref_num: U32
    reason: A1
    appendage: bytes = b""


@dataclass(frozen=True, slots=True)
class AccountQueryResponse(Ouch50):
    """The next usable UserRefNum."""

    TYPE: ClassVar[str] = "Q"
    LENGTH: ClassVar[int] = 13
    APPENDAGE: ClassVar[str] = OPTIONAL
    timestamp: U64
    next_user_ref_num: U32
    appendage: bytes = b""


@dataclass(frozen=True, slots=True)
class MassCancelResponse(Ouch50):
    """Mass Cancel was carried out (2025)."""

    TYPE: ClassVar[str] = "X"
    LENGTH: ClassVar[int] = 27
    APPENDAGE: ClassVar[str] = REQUIRED
    timestamp: U64
    user_ref_num: U32
    firm: A4
    symbol: A8
    appendage: bytes = b""


@dataclass(frozen=True, slots=True)
class DisableOrderEntryResponse(Ouch50):
    """Disable Order Entry was carried out (2025)."""

    TYPE: ClassVar[str] = "G"
    LENGTH: ClassVar[int] = 19
    APPENDAGE: ClassVar[str] = REQUIRED
    timestamp: U64
    user_ref_num: U32
    firm: A4
    appendage: bytes = b""


@dataclass(frozen=True, slots=True)
class EnableOrderEntryResponse(Ouch50):
    """Enable Order Entry was carried out (2025)."""

    TYPE: ClassVar[str] = "K"
    LENGTH: ClassVar[int] = 19
    APPENDAGE: ClassVar[str] = REQUIRED
    timestamp: U64
    user_ref_num: U32
    firm: A4
    appendage: bytes = b""


Outbound = (
    SystemEvent
    | Accepted
    | Replaced
    | Canceled
    | AiqCanceled
    | Executed
    | BrokenTrade
    | Rejected
    | CancelPending
    | CancelReject
    | PriorityUpdate
    | Modified
    | Restated
    | AccountQueryResponse
    | MassCancelResponse
    | DisableOrderEntryResponse
    | EnableOrderEntryResponse
)
