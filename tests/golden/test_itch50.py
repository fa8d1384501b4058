"""Every ITCH 5.0 message against bytes and fields that two other implementations agreed on."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest
from turbo_hft.errors import MalformedMessage
from turbo_hft.wire import itch50

VECTORS: dict[str, Any] = json.loads(Path(__file__).with_name("vectors.json").read_text())["itch50"]
ABI = Path(__file__).parents[2] / "bpf" / "hft" / "abi.h"

CLASSES: dict[str, type[itch50.Message]] = {
    "S": itch50.SystemEvent,
    "R": itch50.StockDirectory,
    "H": itch50.StockTradingAction,
    "Y": itch50.RegShoRestriction,
    "L": itch50.MarketParticipantPosition,
    "V": itch50.MwcbDeclineLevel,
    "W": itch50.MwcbStatus,
    "K": itch50.QuotingPeriodUpdate,
    "J": itch50.LuldAuctionCollar,
    "h": itch50.OperationalHalt,
    "A": itch50.AddOrder,
    "F": itch50.AddOrderMpid,
    "E": itch50.OrderExecuted,
    "C": itch50.OrderExecutedWithPrice,
    "X": itch50.OrderCancel,
    "D": itch50.OrderDelete,
    "U": itch50.OrderReplace,
    "P": itch50.Trade,
    "Q": itch50.CrossTrade,
    "B": itch50.BrokenTrade,
    "I": itch50.Noii,
    "N": itch50.Rpii,
    "O": itch50.DirectListing,
}
LENGTHS = dict(
    zip(
        "SRHYLVWKJhAFECXDUPQBINO",
        (12, 39, 25, 20, 26, 35, 12, 28, 35, 21, 36, 40, 31, 36, 23, 19, 35, 44, 40, 19, 50, 20, 48),
        strict=True,
    )
)


def fields_of(code: str) -> dict[str, int | str]:
    """Name -> value as our classes carry it: without the type, text without padding."""
    fields = dict(VECTORS[code]["fields"])
    assert fields.pop("msg_type") == code
    return {name: value.rstrip(" ") if isinstance(value, str) else value for name, value in fields.items()}


@pytest.mark.parametrize("code", CLASSES)
def test_decode(code: str) -> None:
    message = itch50.decode(bytes.fromhex(VECTORS[code]["hex"]))
    assert type(message) is CLASSES[code]
    names = [name for name in VECTORS[code]["fields"] if name != "msg_type"]
    assert [field.name for field in dataclasses.fields(message)] == names, "names or order differ from the vectors"
    assert {name: getattr(message, name) for name in names} == fields_of(code)


@pytest.mark.parametrize("code", CLASSES)
def test_encode(code: str) -> None:
    values: dict[str, Any] = fields_of(code)
    assert CLASSES[code](**values).encode().hex() == VECTORS[code]["hex"]


@pytest.mark.parametrize("code", CLASSES)
def test_any_other_length_is_malformed(code: str) -> None:
    raw = bytes.fromhex(VECTORS[code]["hex"])
    for wrong in (raw[:1], raw[:-1], raw + b" ", raw * 2):
        with pytest.raises(MalformedMessage, match=rf"{len(wrong)} bytes.*{len(raw)}"):
            itch50.decode(wrong)


def test_the_vectors_cover_all_types() -> None:
    assert set(VECTORS) == set(CLASSES) == set(itch50.TYPES)
    assert itch50.LENGTHS == LENGTHS
    assert {code: (cls.TYPE, cls.LENGTH) for code, cls in CLASSES.items()} == {c: (c, n) for c, n in LENGTHS.items()}


def test_types_stand_in_the_order_of_the_counters() -> None:
    names = re.findall(r"\bHFT_ITCH_(\w)\b", ABI.read_text())
    assert "".join(names) == itch50.TYPES


@pytest.mark.parametrize("wrong", [b"", b"Z" * 12, b"a" * 36, b"\0" * 12, b"\xff"])
def test_unknown_type(wrong: bytes) -> None:
    with pytest.raises(MalformedMessage, match=r"empty|unknown"):
        itch50.decode(wrong)


def test_a_view_decodes_like_bytes() -> None:
    raw = bytes.fromhex(VECTORS["A"]["hex"])
    packet = memoryview(b"??" + raw + b"??")
    assert itch50.decode(packet[2:-2]) == itch50.decode(raw)


def test_text_must_be_ascii() -> None:
    raw = bytearray.fromhex(VECTORS["A"]["hex"])
    raw[24:28] = b"\xc3\x84PL"
    with pytest.raises(MalformedMessage, match=r"AddOrder\.stock.*ASCII"):
        itch50.decode(bytes(raw))


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("stock", "TOOLONGNAME", "stock is 'TOOLONGNAME'.*8 characters"),
        ("stock", "ÄPFEL", "stock is .*ASCII"),
        ("side", "BUY", "side is 'BUY'.*1 characters"),
        ("shares", 1 << 32, "shares is 4294967296.*4294967295"),
        ("shares", -1, "shares is -1"),
        ("price", 1 << 32, "price is"),
        ("timestamp", 1 << 48, "timestamp is"),
        ("timestamp", -1, "timestamp is -1"),
        ("stock_locate", 1 << 16, "stock_locate is 65536"),
        ("order_ref", 1 << 64, "order_ref is"),
    ],
)
def test_what_does_not_fit_is_named(field: str, value: Any, named: str) -> None:
    fields: dict[str, Any] = fields_of("A") | {field: value}
    with pytest.raises(MalformedMessage, match=rf"AddOrder: {named}"):
        itch50.AddOrder(**fields).encode()
