"""Every OUCH 5.0 message against the golden vectors, and what appendages add."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from turbo_hft.errors import MalformedMessage
from turbo_hft.wire import ouch50

VECTORS: dict[str, Any] = json.loads(Path(__file__).with_name("vectors.json").read_text())["ouch50"]

CLASSES: dict[str, type[ouch50.Inbound] | type[ouch50.Outbound]] = {
    "in_O": ouch50.EnterOrder,
    "in_U": ouch50.ReplaceOrder,
    "in_X": ouch50.CancelOrder,
    "in_M": ouch50.ModifyOrder,
    "in_Q": ouch50.AccountQuery,
    "in_C": ouch50.MassCancel,
    "in_D": ouch50.DisableOrderEntry,
    "in_E": ouch50.EnableOrderEntry,
    "in_O+": ouch50.EnterOrder,
    "out_S": ouch50.SystemEvent,
    "out_A": ouch50.Accepted,
    "out_U": ouch50.Replaced,
    "out_C": ouch50.Canceled,
    "out_D": ouch50.AiqCanceled,
    "out_E": ouch50.Executed,
    "out_B": ouch50.BrokenTrade,
    "out_J": ouch50.Rejected,
    "out_P": ouch50.CancelPending,
    "out_I": ouch50.CancelReject,
    "out_T": ouch50.PriorityUpdate,
    "out_M": ouch50.Modified,
    "out_R": ouch50.Restated,
    "out_Q": ouch50.AccountQueryResponse,
    "out_X": ouch50.MassCancelResponse,
    "out_G": ouch50.DisableOrderEntryResponse,
    "out_K": ouch50.EnableOrderEntryResponse,
}
LENGTHS = dict(
    zip(
        CLASSES,
        (47, 40, 9, 10, 1, 19, 11, 11, 47, 10, 64, 68, 18, 32, 36, 36, 29, 13, 13, 30, 18, 16, 13, 27, 19, 19),
        strict=True,
    )
)
OPTIONAL = ["in_X", "in_M", "in_Q", "out_C", "out_D", "out_B", "out_J", "out_P", "out_I", "out_T", "out_M", "out_Q"]
# minimum quantity 50, post-only, firm GSCO, expires 01:00 - laid out by hand
APPENDAGE = bytes.fromhex("0503 00000032 020c 50 0502 4753434f 050f 00000e10")


def decode(name: str, raw: bytes) -> Any:
    return ouch50.decode_inbound(raw) if name.startswith("in_") else ouch50.decode_outbound(raw)


def fields_of(name: str) -> dict[str, Any]:
    """Name -> value as our classes carry it: options as `appendage` instead of their length."""
    fields = dict(VECTORS[name]["fields"])
    assert fields.pop("type") == name.removesuffix("+")[-1]
    options_length = fields.pop("appendage_len", 0)
    appendage = APPENDAGE if name == "in_O+" else b""
    assert len(appendage) == options_length
    fields = {key: value.rstrip(" ") if isinstance(value, str) else value for key, value in fields.items()}
    return fields if name == "out_S" else fields | {"appendage": appendage}


@pytest.mark.parametrize("name", CLASSES)
def test_decode(name: str) -> None:
    message = decode(name, bytes.fromhex(VECTORS[name]["hex"]))
    assert type(message) is CLASSES[name]
    expected = fields_of(name)
    assert [field.name for field in dataclasses.fields(message)] == list(expected), (
        "names or order differ from the vectors"
    )
    assert {field: getattr(message, field) for field in expected} == expected


@pytest.mark.parametrize("name", CLASSES)
def test_encode(name: str) -> None:
    assert CLASSES[name](**fields_of(name)).encode().hex() == VECTORS[name]["hex"]


@pytest.mark.parametrize("name", [name for name in CLASSES if name != "in_O+"])
def test_lengths(name: str) -> None:
    raw = bytes.fromhex(VECTORS[name]["hex"])
    assert CLASSES[name].LENGTH == len(raw) == LENGTHS[name]
    wrong_ones = [raw + b" ", raw + b"\0\1"] + [raw[:-1]] * (len(raw) > 1)
    for wrong in wrong_ones:
        with pytest.raises(MalformedMessage, match=f"{len(wrong)} bytes"):
            decode(name, wrong)


def test_the_vectors_cover_all_messages() -> None:
    assert set(VECTORS) == set(CLASSES)


@pytest.mark.parametrize("name", OPTIONAL)
def test_an_optional_appendage_is_taken_in_both_forms(name: str) -> None:
    raw = bytes.fromhex(VECTORS[name]["hex"])
    bare = decode(name, raw)
    assert decode(name, raw + b"\0\0") == bare
    assert bare.encode() == raw
    full = decode(name, raw + len(APPENDAGE).to_bytes(2, "big") + APPENDAGE)
    assert full.appendage == APPENDAGE
    assert full.encode() == raw + b"\0\x15" + APPENDAGE


@pytest.mark.parametrize("name", sorted(set(CLASSES) - set(OPTIONAL) - {"out_S", "in_O+"}))
def test_a_required_appendage_length_cannot_be_missing(name: str) -> None:
    raw = bytes.fromhex(VECTORS[name]["hex"])
    assert raw.endswith(b"\0\0")
    with pytest.raises(MalformedMessage, match="appendage length"):
        decode(name, raw[:-2])
    full = raw[:-2] + b"\0\x15" + APPENDAGE
    assert decode(name, full).appendage == APPENDAGE
    assert decode(name, full).encode() == full


def test_options() -> None:
    assert ouch50.options(APPENDAGE) == {3: b"\0\0\0\x32", 12: b"P", 2: b"GSCO", 15: b"\0\0\x0e\x10"}
    assert ouch50.encode_options(ouch50.options(APPENDAGE)) == APPENDAGE
    assert ouch50.options(b"") == {} and ouch50.encode_options({}) == b""


def test_options_seen_in_production() -> None:
    assert ouch50.options(bytes.fromhex("0502 4c494d45")) == {2: b"LIME"}
    assert ouch50.options(bytes.fromhex("05024d4c524f 021230")) == {2: b"MLRO", 18: b"0"}


def test_unknown_options_are_kept() -> None:
    assert ouch50.options(b"\x03\xc8ab\x01\x08") == {200: b"ab", 8: b""}
    assert ouch50.encode_options({200: b"ab", 8: b""}) == b"\x03\xc8ab\x01\x08"


@pytest.mark.parametrize(
    ("appendage", "named"),
    [
        (b"\x00", "length 0"),
        (b"\x05", "length 5"),
        (b"\x05\x02GSC", "length 5"),
        (b"\x05\x02GSCO\x02", "at byte 6"),
        (b"\x02\x0cP\x02\x0cP", "tag 12 comes twice"),
        (b"\x04\x02GSC", r"firm \(tag 2\) has 3 bytes: it must have 4"),
    ],
)
def test_broken_options(appendage: bytes, named: str) -> None:
    with pytest.raises(MalformedMessage, match=named):
        ouch50.options(appendage)


@pytest.mark.parametrize("values", [{256: b""}, {-1: b""}, {200: bytes(255)}, {3: b"\1"}])
def test_options_that_cannot_be_encoded(values: dict[int, bytes]) -> None:
    with pytest.raises(MalformedMessage, match="tag"):
        ouch50.encode_options(values)


def test_an_appendage_above_its_length_field() -> None:
    with pytest.raises(MalformedMessage, match="appendage length is 65536"):
        ouch50.CancelOrder(1, 0, bytes(65536)).encode()


def test_reject_reasons_are_numbers() -> None:
    assert ouch50.REJECT_REASONS[29] == "invalid price"
    assert set(ouch50.REJECT_REASONS) == set(range(1, 0x2B))
    assert set(ouch50.CANCEL_REASONS) == set("DEFGHIKQSTUXZe")
    assert {"A", "R"} < set(ouch50.LIQUIDITY_FLAGS)
    assert set(ouch50.RESTATED_REASONS) == {"R", "P"} and set(ouch50.BROKEN_REASONS) == set("ECSX")
