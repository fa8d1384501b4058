"""OUCH 5.0 messages from client to exchange, and the base of all its messages (see `ouch50`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from turbo_hft.wire.record import A1, A4, A8, A14, U32, U64, Record, codec_of, uint

NONE = "none"
OPTIONAL = "optional"
REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class Ouch50(Record):
    """Base of the messages. `LENGTH` is that of a message without options, a REQUIRED appendage length included."""

    APPENDAGE: ClassVar[str] = NONE

    def encode(self) -> bytes:
        """The message as on the wire. Errors: MalformedMessage if a value does not fit its field."""
        fixed = codec_of(type(self)).encode(self)
        appendage: bytes = getattr(self, "appendage", b"")
        if self.APPENDAGE == NONE or (self.APPENDAGE == OPTIONAL and not appendage):
            return fixed
        return fixed + uint("appendage length", len(appendage), 2) + appendage


@dataclass(frozen=True, slots=True)
class EnterOrder(Ouch50):
    """A new order. `quantity` 1 to 999,999; `side` B, S, T (short) or E (short exempt)."""

    TYPE: ClassVar[str] = "O"
    LENGTH: ClassVar[int] = 47
    APPENDAGE: ClassVar[str] = REQUIRED
    user_ref_num: U32
    side: A1
    quantity: U32
    symbol: A8
    price: U64
    tif: A1
    display: A1
    capacity: A1
    iso: A1
    cross_type: A1
    cl_ord_id: A14
    appendage: bytes = b""


@dataclass(frozen=True, slots=True)
class ReplaceOrder(Ouch50):
    """A new order in place of a live one. `quantity` counts shares already executed."""

    TYPE: ClassVar[str] = "U"
    LENGTH: ClassVar[int] = 40
    APPENDAGE: ClassVar[str] = REQUIRED
    orig_user_ref_num: U32
    user_ref_num: U32
    quantity: U32
    price: U64
    tif: A1
    display: A1
    iso: A1
    cl_ord_id: A14
    appendage: bytes = b""


@dataclass(frozen=True, slots=True)
class CancelOrder(Ouch50):
    """Reduce an order to `quantity` in total (0 = cancel all)."""

    TYPE: ClassVar[str] = "X"
    LENGTH: ClassVar[int] = 9
    APPENDAGE: ClassVar[str] = OPTIONAL
    user_ref_num: U32
    quantity: U32
    appendage: bytes = b""


@dataclass(frozen=True, slots=True)
class ModifyOrder(Ouch50):
    """Change side marking or reduce to `quantity` in total."""

    TYPE: ClassVar[str] = "M"
    LENGTH: ClassVar[int] = 10
    APPENDAGE: ClassVar[str] = OPTIONAL
    user_ref_num: U32
    side: A1
    quantity: U32
    appendage: bytes = b""


@dataclass(frozen=True, slots=True)
class AccountQuery(Ouch50):
    """Ask for the next usable UserRefNum."""

    TYPE: ClassVar[str] = "Q"
    LENGTH: ClassVar[int] = 1
    APPENDAGE: ClassVar[str] = OPTIONAL
    appendage: bytes = b""


@dataclass(frozen=True, slots=True)
class MassCancel(Ouch50):
    """Cancel all orders of a firm, in one symbol or all (2025)."""

    TYPE: ClassVar[str] = "C"
    LENGTH: ClassVar[int] = 19
    APPENDAGE: ClassVar[str] = REQUIRED
    user_ref_num: U32
    firm: A4
    symbol: A8
    appendage: bytes = b""


@dataclass(frozen=True, slots=True)
class DisableOrderEntry(Ouch50):
    """Let no more orders of a firm in (2025)."""

    TYPE: ClassVar[str] = "D"
    LENGTH: ClassVar[int] = 11
    APPENDAGE: ClassVar[str] = REQUIRED
    user_ref_num: U32
    firm: A4
    appendage: bytes = b""


@dataclass(frozen=True, slots=True)
class EnableOrderEntry(Ouch50):
    """Let orders of a firm in again (2025)."""

    TYPE: ClassVar[str] = "E"
    LENGTH: ClassVar[int] = 11
    APPENDAGE: ClassVar[str] = REQUIRED
    user_ref_num: U32
    firm: A4
    appendage: bytes = b""


Inbound = (
    EnterOrder
    | ReplaceOrder
    | CancelOrder
    | ModifyOrder
    | AccountQuery
    | MassCancel
    | DisableOrderEntry
    | EnableOrderEntry
)
