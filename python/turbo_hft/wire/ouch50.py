"""OUCH 5.0: order entry by UserRefNum, with options in an appendage.

Fields stand in wire order after the type byte. Prices are 8-byte integers in 1/10000 dollar, `timestamp` is in ns
since midnight. Text is without its padding. `appendage` holds the options as they are on the wire, without the
2-byte length before them; `options()` takes it apart. Messages come in three kinds: with an appendage length always
on the wire (`APPENDAGE` = REQUIRED), with one only if options follow (OPTIONAL: encoders leave the empty one out,
decoders take both forms), and without (NONE). A type byte means one thing inbound (client to exchange) and another
outbound, hence two decoders. Source: Nasdaq OUCH 5.0 specification, revisions of 2023 and 2025.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, get_args

from turbo_hft.wire import ouch_codes
from turbo_hft.wire.ouch50_inbound import (
    NONE,
    OPTIONAL,
    REQUIRED,
    AccountQuery,
    CancelOrder,
    DisableOrderEntry,
    EnableOrderEntry,
    EnterOrder,
    Inbound,
    MassCancel,
    ModifyOrder,
    Ouch50,
    ReplaceOrder,
)
from turbo_hft.wire.ouch50_outbound import (
    Accepted,
    AccountQueryResponse,
    AiqCanceled,
    BrokenTrade,
    Canceled,
    CancelPending,
    CancelReject,
    DisableOrderEntryResponse,
    EnableOrderEntryResponse,
    Executed,
    MassCancelResponse,
    Modified,
    Outbound,
    PriorityUpdate,
    Rejected,
    Replaced,
    Restated,
    SystemEvent,
)
from turbo_hft.wire.ouch_codes import BROKEN_REASONS
from turbo_hft.wire.ouch_options import OPTIONS, encode_options, options
from turbo_hft.wire.record import codec_of, table, unknown_type, wrong_length

__all__ = [
    "BROKEN_REASONS",
    "CANCEL_REASONS",
    "LIQUIDITY_FLAGS",
    "NONE",
    "OPTIONAL",
    "OPTIONS",
    "REJECT_REASONS",
    "REQUIRED",
    "RESTATED_REASONS",
    "Accepted",
    "AccountQuery",
    "AccountQueryResponse",
    "AiqCanceled",
    "BrokenTrade",
    "CancelOrder",
    "CancelPending",
    "CancelReject",
    "Canceled",
    "DisableOrderEntry",
    "DisableOrderEntryResponse",
    "EnableOrderEntry",
    "EnableOrderEntryResponse",
    "EnterOrder",
    "Executed",
    "Inbound",
    "MassCancel",
    "MassCancelResponse",
    "Modified",
    "ModifyOrder",
    "Ouch50",
    "Outbound",
    "PriorityUpdate",
    "Rejected",
    "ReplaceOrder",
    "Replaced",
    "Restated",
    "SystemEvent",
    "decode_inbound",
    "decode_outbound",
    "encode_options",
    "options",
]

CANCEL_REASONS: dict[str, str] = ouch_codes.CANCEL_REASONS | {"e": "no public description"}
"""Codes of `Canceled.reason` and `AiqCanceled.reason`."""

LIQUIDITY_FLAGS: dict[str, str] = ouch_codes.LIQUIDITY_FLAGS
"""Codes of `Executed.liquidity_flag`."""

RESTATED_REASONS: dict[str, str] = {"R": "display refresh", "P": "displayed price update"}
"""Codes of `Restated.reason`."""

REJECT_REASONS: dict[int, str] = {
    0x01: "quote unavailable",
    0x02: "destination closed",
    0x03: "invalid display",
    0x04: "invalid max floor",
    0x05: "invalid peg type",
    0x06: "fat finger",
    0x07: "halted",
    0x08: "ISO not allowed",
    0x09: "invalid side",
    0x0A: "processing error",
    0x0B: "cancel pending",
    0x0C: "firm not authorised",
    0x0D: "invalid minimum quantity",
    0x0E: "no closing reference price",
    0x0F: "other",
    0x10: "cancel not allowed",
    0x11: "pegging not allowed",
    0x12: "crossed market",
    0x13: "invalid quantity",
    0x14: "invalid cross order",
    0x15: "replace not allowed",
    0x16: "routing not allowed",
    0x17: "invalid symbol",
    0x18: "test mode",
    0x19: "late LOC too aggressive",
    0x1A: "retail not allowed",
    0x1B: "invalid midpoint post-only price",
    0x1C: "invalid destination",
    0x1D: "invalid price",
    0x1E: "shares exceed the threshold",
    0x1F: "notional exceeds the threshold",
    0x20: "risk: exposure",
    0x21: "risk: market impact",
    0x22: "risk: restricted stock",
    0x23: "risk: short sale restricted",
    0x24: "risk: order type",
    0x25: "risk: share of average daily volume",
    0x26: "risk: fat finger",
    0x27: "risk: locate",
    0x28: "risk: symbol message rate",
    0x29: "risk: port message rate",
    0x2A: "risk: duplicate message rate",
}
"""Codes of `Rejected.reason`."""

M = TypeVar("M", bound=Ouch50)


def _decoder(direction: str, by_type: dict[int, type[M]]) -> Callable[[bytes | memoryview], M]:
    protocol = f"OUCH 5.0 {direction}"

    def decode(data: bytes | memoryview) -> M:
        raw = bytes(data)
        cls = by_type.get(raw[0]) if raw else None
        if cls is None:
            raise unknown_type(protocol, raw)
        codec = codec_of(cls)
        build: Callable[..., M] = cls  # each class has its own parameters
        if len(raw) == codec.size and cls.APPENDAGE != REQUIRED:
            return build(*codec.values(raw))
        if cls.APPENDAGE == NONE:
            raise wrong_length(protocol, cls, raw, f"it must be {cls.LENGTH}")
        start = codec.size + 2
        if len(raw) < start or len(raw) - start != int.from_bytes(raw[codec.size : start], "big"):
            remedy = f"it must be {cls.LENGTH} without options, else {start} plus what its appendage length says"
            raise wrong_length(protocol, cls, raw, remedy)
        return build(*codec.values(raw), raw[start:])

    return decode


_INBOUND: dict[int, type[Inbound]] = table(get_args(Inbound))
_OUTBOUND: dict[int, type[Outbound]] = table(get_args(Outbound))
_decode_inbound = _decoder("inbound", _INBOUND)
_decode_outbound = _decoder("outbound", _OUTBOUND)


def decode_inbound(data: bytes | memoryview) -> Inbound:
    """A message from client to exchange. Errors: MalformedMessage (unknown type, wrong length, not ASCII)."""
    return _decode_inbound(data)


def decode_outbound(data: bytes | memoryview) -> Outbound:
    """A message from exchange to client. Errors: MalformedMessage (unknown type, wrong length, not ASCII)."""
    return _decode_outbound(data)
