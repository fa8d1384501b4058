"""Every OUCH 4.2 message against the golden vectors."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from turbo_hft.errors import MalformedMessage
from turbo_hft.wire import ouch42

VECTORS: dict[str, Any] = json.loads(Path(__file__).with_name("vectors.json").read_text())["ouch42"]

CLASSES: dict[str, type[ouch42.Inbound] | type[ouch42.Outbound]] = {
    "in_O": ouch42.EnterOrder,
    "in_U": ouch42.ReplaceOrder,
    "in_X": ouch42.CancelOrder,
    "in_M": ouch42.ModifyOrder,
    "in_N": ouch42.TradeNow,
    "out_S": ouch42.SystemEvent,
    "out_A": ouch42.Accepted,
    "out_U": ouch42.Replaced,
    "out_C": ouch42.Canceled,
    "out_D": ouch42.AiqCanceled,
    "out_E": ouch42.Executed,
    "out_B": ouch42.BrokenTrade,
    "out_G": ouch42.ExecutedWithReferencePrice,
    "out_F": ouch42.TradeCorrection,
    "out_J": ouch42.Rejected,
    "out_P": ouch42.CancelPending,
    "out_I": ouch42.CancelReject,
    "out_T": ouch42.PriorityUpdate,
    "out_M": ouch42.Modified,
    "out_N": ouch42.TradeNowAck,
}
LENGTHS = dict(
    zip(
        CLASSES,
        (49, 47, 19, 20, 15, 10, 66, 80, 28, 37, 40, 32, 45, 41, 24, 23, 23, 36, 28, 23),
        strict=True,
    )
)


def decode(name: str, raw: bytes) -> ouch42.Inbound | ouch42.Outbound:
    return ouch42.decode_inbound(raw) if name.startswith("in_") else ouch42.decode_outbound(raw)


def fields_of(name: str) -> dict[str, Any]:
    fields = dict(VECTORS[name]["fields"])
    assert fields.pop("type") == name[-1]
    return {key: value.rstrip(" ") if isinstance(value, str) else value for key, value in fields.items()}


@pytest.mark.parametrize("name", CLASSES)
def test_decode(name: str) -> None:
    message = decode(name, bytes.fromhex(VECTORS[name]["hex"]))
    assert type(message) is CLASSES[name]
    expected = fields_of(name)
    ours = [field.name for field in dataclasses.fields(message) if (name, field.name) != ("out_D", "aiq_strategy")]
    assert ours == list(expected), "names or order differ from the vectors"
    assert {field: getattr(message, field) for field in ours} == expected


@pytest.mark.parametrize("name", CLASSES)
def test_encode(name: str) -> None:
    assert CLASSES[name](**fields_of(name)).encode().hex() == VECTORS[name]["hex"]


@pytest.mark.parametrize("name", CLASSES)
def test_lengths(name: str) -> None:
    raw = bytes.fromhex(VECTORS[name]["hex"])
    assert CLASSES[name].LENGTH == len(raw) == LENGTHS[name]
    longer = raw + b"  " if name == "out_D" else raw + b" "
    for wrong in (raw[:1], raw[:-1], longer):
        with pytest.raises(MalformedMessage, match=f"{len(wrong)} bytes.*{len(raw)}"):
            decode(name, wrong)


def test_the_vectors_cover_all_messages() -> None:
    assert set(VECTORS) == set(CLASSES)


def test_aiq_strategy_is_there_or_not() -> None:
    raw = bytes.fromhex(VECTORS["out_D"]["hex"])
    short = ouch42.decode_outbound(raw)
    named = ouch42.decode_outbound(raw + b"D")
    blank = ouch42.decode_outbound(raw + b" ")
    assert isinstance(short, ouch42.AiqCanceled) and short.aiq_strategy is None
    assert isinstance(named, ouch42.AiqCanceled) and named.aiq_strategy == "D"
    assert isinstance(blank, ouch42.AiqCanceled) and blank.aiq_strategy == ""
    assert [message.encode() for message in (short, named, blank)] == [raw, raw + b"D", raw + b" "]
    with pytest.raises(MalformedMessage, match="aiq_strategy"):
        ouch42.decode_outbound(raw + b"\xff")


@pytest.mark.parametrize("name", CLASSES)
def test_the_direction_matters(name: str) -> None:
    raw = bytes.fromhex(VECTORS[name]["hex"])
    other = ouch42.decode_outbound if name.startswith("in_") else ouch42.decode_inbound
    with pytest.raises(MalformedMessage):
        other(raw)


def test_code_tables_have_one_character_keys() -> None:
    for table in (ouch42.REJECT_REASONS, ouch42.CANCEL_REASONS, ouch42.BROKEN_REASONS, ouch42.LIQUIDITY_FLAGS):
        assert table
        assert all(len(code) == 1 and name for code, name in table.items())
    assert {"U", "I", "T", "S", "D", "Q", "Z", "C", "K", "H", "X", "E", "F", "G"} == set(ouch42.CANCEL_REASONS)
