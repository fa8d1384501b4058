"""Records of the ring as events: every kind has its own reading of the reason."""

from __future__ import annotations

import pytest
from turbo_hft import abi
from turbo_hft._native import ffi, lib
from turbo_hft.events import event_from, reason_name


@pytest.mark.parametrize(
    ("kind", "code", "name"),
    [
        ("refused", lib.HFT_REASON_COLLAR, "collar"),
        ("refused", 0, "none"),
        ("refused", 999, "reason 999"),
        ("book_quarantined", 999, "doubt 999"),
        ("shadow", lib.HFT_REASON_LEASE, "lease"),
        ("shadow", 0, ""),
        ("latched", lib.HFT_LATCH_SYMBOL_LOSS, "symbol_loss"),
        ("latched", 99, ""),
        ("book_quarantined", lib.HFT_DOUBT_LATE, "late"),
        ("executed", ord("R"), "R"),
        ("replaced", ord("L"), "L"),
        ("broken", ord("E"), "E"),
        ("restated", ord("R"), "R"),
        ("system", ord("S"), "S"),
        ("rejected", 0x11, "0x11"),
        ("rejected", ord("J"), "0x4A"),
        ("accepted", 0, ""),
        ("cancel_sent", 0, ""),
        ("cancel_sent", lib.HFT_REASON_WIRE_WINDOW, "wire_window"),
        ("lost", 7, ""),
    ],
)
def test_a_reason_by_its_kind(kind: str, code: int, name: str) -> None:
    assert reason_name(kind, code) == name


def test_a_record_is_whole() -> None:
    record = ffi.new("struct hft_event *")
    record.kind, record.strategy, record.other_ref, record.fees_e8 = (
        lib.HFT_EVENT_REPLACED, lib.HFT_STRATEGY_QUOTER, 4, -5,
    )  # fmt: skip
    record.symbol, record.user_ref, record.side = 3, 5, lib.HFT_SELL
    event = event_from(record[0], lambda slot: f"S{slot}")
    assert (event.kind, event.strategy, event.other_ref, event.fees_e8) == ("replaced", "quoter", 4, -5)
    assert (event.symbol, event.user_ref, event.side) == ("S3", 5, "sell")
    record.strategy = 0
    assert event_from(record[0], lambda slot: None).strategy == "none"


def test_every_kind_of_the_contract_can_be_read() -> None:
    record = ffi.new("struct hft_event *")
    assert len(abi.event_kinds()) == lib.HFT_EVENT_KINDS
    for number, kind in abi.event_kinds().items():
        record.kind = number
        assert event_from(record[0], lambda slot: None).kind == kind
