"""The journal's format: what is written is read, and nothing else is ever given out."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from journals import small
from turbo_hft._native import ffi
from turbo_hft.errors import TurboHftError
from turbo_hft.journal import EventRecord, Journal, JournalReader, Note, verify
from turbo_hft.journal import format as form

pytestmark = pytest.mark.fuzz
U64, U32 = st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1)
HASH = st.binary(min_size=32, max_size=32)
WORDS = st.dictionaries(
    st.text(max_size=10), st.recursive(st.none() | st.booleans() | U64 | st.text(), st.lists), max_size=4
)
BATCH = st.lists(st.binary(min_size=form.EVENT_BYTES, max_size=form.EVENT_BYTES), min_size=1, max_size=5)


@given(
    st.sampled_from([form.EVENTS, form.NOTE]), st.integers(1, 9), U32, U64, U64, U64, HASH, st.binary(max_size=50), HASH
)
def test_a_frame_is_what_it_was(
    kind: int, count: int, run: int, first: int, mono: int, utc: int, before: bytes, payload: bytes, other: bytes
) -> None:
    if kind == form.EVENTS:
        payload = payload[:1].ljust(1, b"x") * (count * form.CELL_BYTES)
    frame = form.Frame(kind, count, run, first, mono, utc, payload, form.GENESIS)
    raw = bytes(form.encode(frame, before))
    read = form.decode(raw)
    assert (read.kind, read.count, read.run, read.first, read.mono_ns, read.utc_ns, read.payload) == (
        kind, count, run, first, mono, utc, payload,
    )  # fmt: skip
    assert read.hash == form.chain(before, raw[: -form.HASH_BYTES])
    assert before == other or form.chain(other, raw[: -form.HASH_BYTES]) != read.hash


@given(U32, U32, U64, U64, U64, U64, st.binary(min_size=16, max_size=16), HASH)
def test_a_head_is_what_it_was(
    version: int, size: int, number: int, first: int, mono: int, utc: int, boot: bytes, previous: bytes
) -> None:
    header = form.Header(version, size, number, first, mono, utc, boot, boot[::-1], previous)
    assert form.Header.decode(header.encode()) == header


@given(st.binary(max_size=400) | st.binary(max_size=400).map(lambda raw: form.FRAME_MAGIC + raw))
@example(b"")
def test_bytes_that_nobody_wrote_are_no_frame(raw: bytes) -> None:
    for decode in (form.decode, form.Header.decode):
        with pytest.raises(form.Broken):
            decode(raw)


def records(directory: Path) -> list[Any]:
    """As far as they can be read."""
    found: list[Any] = []
    try:
        for record in JournalReader(directory):
            found.append(record.event.id if isinstance(record, EventRecord) else (record.kind, record.data))
    except TurboHftError:
        pass
    return found


@given(st.lists(BATCH | WORDS, max_size=6))
def test_a_journal_is_read_as_it_was_written(items: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as name:
        written: list[bytes | dict[str, Any]] = []
        with Journal.open(name, fsync="none", segment_bytes=600) as journal:
            for item in items:
                if isinstance(item, dict):
                    journal.note("x", {"of": item})
                    written.append(item)
                else:
                    journal.events(ffi.from_buffer("struct hft_event[]", b"".join(item)), len(item))
                    written += item
        read: list[bytes | dict[str, Any]] = []
        reader = JournalReader(name)
        for frame in reader.frames():
            if frame.kind == form.EVENTS:
                cells = range(0, len(frame.payload), form.CELL_BYTES)
                read += [frame.payload[at : at + form.EVENT_BYTES] for at in cells]
            elif (note := reader.note_of(frame)).kind == "x":
                read.append(note.data["of"])
        assert read == written and verify(name).whole


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("whole")
    small(directory, segments=3)
    return directory


@given(st.data())
def test_a_reader_of_changed_bytes_gives_out_a_beginning_of_what_was_written(whole: Path, data: st.DataObject) -> None:
    good = records(whole)
    with tempfile.TemporaryDirectory() as name:
        here = Path(name) / "j"
        shutil.copytree(whole, here)
        path = data.draw(st.sampled_from(form.segment_paths(here)))
        raw = bytearray(path.read_bytes())
        way = data.draw(st.sampled_from(["overwrite", "insert", "delete", "replace all"]))
        at = data.draw(st.integers(0, len(raw)))
        many = data.draw(st.integers(1, 200))
        bytes_in = data.draw(st.binary(min_size=1, max_size=200))
        before = bytes(raw)
        match way:
            case "overwrite":
                raw[at : at + len(bytes_in)] = bytes_in
            case "insert":
                raw[at:at] = bytes_in
            case "delete":
                del raw[at : at + many]
            case "replace all":
                raw[:] = bytes_in
        path.write_bytes(raw)
        found = records(here)
        assert found == good[: len(found)]
        assert verify(here).whole == (bytes(raw) == before)


@given(st.binary(max_size=2000))
def test_a_directory_of_arbitrary_bytes_is_no_journal(raw: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / form.segment_name(1)).write_bytes(raw)
        assert records(Path(name)) == []
        assert not verify(name).whole


def test_notes_of_any_json_are_read(tmp_path: Path) -> None:
    with Journal.open(tmp_path) as journal:
        for payload in (b"[]", b"7", b"{", b'{"kind":3}', b'{"kind":"start","changes":7}', b'{"changes":{"a":1}}'):
            journal._write(form.NOTE, 1, payload)
    kinds = [record.kind for record in JournalReader(tmp_path) if isinstance(record, Note)]
    assert kinds == ["unreadable", "unreadable", "unreadable", "3", "start", "unreadable", "closed"]
    assert verify(tmp_path).whole
