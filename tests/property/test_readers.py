"""Readers of what the hook, the ring and a journal hold: whatever the bytes are, they are shown, and nothing stops."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from turbo_hft import abi
from turbo_hft._native import ffi, lib
from turbo_hft.control.requests import VERSION, decode_answer, decode_request, number_of
from turbo_hft.engine import _intent_words
from turbo_hft.errors import MalformedMessage
from turbo_hft.events import event_from
from turbo_hft.journal import JournalReader
from turbo_hft.journal import format as form
from turbo_hft.snapshots import character, feed_snapshot, side_name, symbol_health, symbol_snapshot, working_order

pytestmark = pytest.mark.fuzz

WORD = st.integers(0, 40) | st.integers(0, 2**32 - 1)
ENUMS = ("kind", "reason", "side", "strategy", "symbol")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda one: st.lists(one, max_size=3) | st.dictionaries(st.text(max_size=8), one, max_size=3),
    max_leaves=8,
)
SETTINGS = st.dictionaries(st.sampled_from(("symbol.A.slot", "symbol.slot", "fee.R_e8")), JSON, max_size=3)

NOTES = JSON | SETTINGS.map(lambda changes: {"kind": "start", "changes": changes})

LINES = st.builds(
    lambda do, values: {"v": 1, "do": do, **values},
    st.sampled_from(("hello", "orders", "enter", "cancel", "halt", "change", "nothing")),
    st.dictionaries(st.sampled_from(("v", "id", "ok", "symbol", "side", "qty", "price", "user_ref")), JSON, max_size=5),
)


def bytes_of(struct: str) -> st.SearchStrategy[Any]:
    """A struct of words that come again and again, so that a large one is soon made."""
    size = ffi.sizeof(struct)
    words = st.lists(WORD, min_size=1, max_size=32).map(
        lambda some: b"".join(word.to_bytes(4, "little") for word in some)
    )
    return words.map(lambda raw: ffi.from_buffer(f"{struct} *", bytearray((raw * size)[:size])))


@given(bytes_of("struct hft_event"), st.fixed_dictionaries({}, optional=dict.fromkeys(ENUMS, WORD)))
def test_every_record_is_an_event(record: Any, words: dict[str, int]) -> None:
    for name, value in words.items():
        setattr(record, name, value)
    event = event_from(record[0], lambda slot: None)
    assert (event.id, event.reason_code, event.price_e4) == (record.id, record.reason, record.price_e4)
    assert event.side == {lib.HFT_BUY: "buy", lib.HFT_SELL: "sell"}.get(record.side, f"side {record.side}")
    assert event.kind == abi.event_kinds().get(record.kind, f"event kind {record.kind}")
    cell = bytes(ffi.buffer(record)) + bytes(4)
    recorded = JournalReader.event_of(_a_reader(), form.CELL.unpack(cell))
    names = [name for name in form.EVENT_FIELDS if name != "symbol"]
    assert [getattr(recorded, name) for name in names] == [getattr(event, name) for name in names]


@given(bytes_of("struct hft_book"), bytes_of("struct hft_symbol_state"), bytes_of("struct hft_feed_state"))
def test_every_book_position_and_feed_can_be_shown(book: Any, state: Any, feed: Any) -> None:
    shown = symbol_snapshot("AAPL", "active", book[0], state[0], feed[0])
    assert (shown.since_seq, shown.position) == (book.since_seq, state.position)
    assert feed_snapshot(feed[0]).expected_seq == feed.expected_seq
    assert symbol_health(book[0], feed[0])


@given(bytes_of("struct hft_working"))
def test_every_working_order_can_be_shown(order: Any) -> None:
    assert working_order(order[0], "AAPL").side == side_name(order.side)


@given(bytes_of("struct hft_intent"))
def test_every_intent_has_words(intent: Any) -> None:
    said = _intent_words(bytes(ffi.buffer(intent)))
    assert intent.action == lib.HFT_ACTION_CANCEL or side_name(intent.side) in said


@given(st.integers(0, 2**32 - 1))
@example(0x110000)
def test_every_code_is_text(value: int) -> None:
    assert (character(value) == "") == (value == 0)


@given(st.binary(max_size=60) | LINES.map(lambda value: json.dumps(value).encode()))
@example(b"[" * 100_000)
def test_every_line_of_the_control_socket_is_read_or_malformed(line: bytes) -> None:
    assert isinstance(number_of(line), int)
    for decode in (decode_request, decode_answer):
        with suppress(MalformedMessage):
            assert decode(line).v == VERSION


@given(NOTES.map(lambda value: json.dumps(value).encode()))
@example(b"[" * 100_000)
@example(b"\xff")
def test_every_note_is_read(payload: bytes) -> None:
    reader = _a_reader()
    note = reader.note_of(form.Frame(form.NOTE, 1, 1, 1, 0, 0, payload, bytes(32)))
    assert isinstance(note.kind, str)
    assert all(isinstance(slot, int) for slot in reader.symbols)


def _a_reader() -> JournalReader:
    """One without a journal."""
    reader = JournalReader.__new__(JournalReader)
    reader.symbols = {}
    return reader
