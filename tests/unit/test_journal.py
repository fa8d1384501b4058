"""The journal: chained, one writer, a torn tail is cut and damage is found wherever it is."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from journals import events, small
from pyarrow import parquet
from turbo_hft._native import ffi
from turbo_hft.cli import main
from turbo_hft.errors import (
    ConfigError,
    JournalBusy,
    JournalDamaged,
    JournalDenied,
    JournalError,
    JournalFull,
    JournalGone,
)
from turbo_hft.journal import EventRecord, Fsync, Journal, JournalReader, Note, verify
from turbo_hft.journal import format as form
from turbo_hft.journal.export import Selection, export


def written(directory: Path) -> list[int]:
    return [record.event.id for record in JournalReader(directory) if isinstance(record, EventRecord)]


def notes(directory: Path) -> list[str]:
    return [record.kind for record in JournalReader(directory) if isinstance(record, Note)]


def test_what_was_written_is_read(tmp_path: Path) -> None:
    with Journal.open(tmp_path) as journal:
        journal.note("settings", {"epoch": 1, "changes": {"symbol.AAPL.slot": [None, 0]}})
        record = events(7, 1, kind=2, reason=13, symbol=0, position=-5, user_ref=0, realized_e4=-9)
        assert journal.events(record, 1) == 2
    note, event, closed = JournalReader(tmp_path)
    assert isinstance(note, Note) and note.data["epoch"] == 1
    assert isinstance(event, EventRecord) and (event.number, event.run, event.event.id) == (2, 1, 7)
    assert (event.event.kind, event.event.symbol, event.event.position) == ("refused", "AAPL", -5)
    assert (event.event.reason, event.event.realized_e4) == ("max_notional", -9)
    assert isinstance(closed, Note) and closed.kind == "closed"
    verdict = verify(tmp_path)
    assert verdict.whole and verdict.closed and (verdict.records, verdict.events) == (3, 1)


def test_every_bit_that_is_flipped_is_found_where_it_is(tmp_path: Path) -> None:
    small(tmp_path)
    path = tmp_path / form.segment_name(1)
    good = path.read_bytes()
    frames = list(JournalReader(tmp_path).frames())
    for at in range(len(good)):
        bit = at % 8  # every byte here, every bit in `make journal-check`
        path.write_bytes(good[:at] + bytes([good[at] ^ 1 << bit]) + good[at + 1 :])
        verdict = verify(tmp_path)
        assert not verdict.whole, f"bit {bit} of byte {at}"
        expected = next((frame.offset for frame in frames if frame.offset <= at < frame.offset + frame.length), 0)
        assert verdict.damage[0].offset == expected, f"byte {at}: {verdict.damage[0]}"


def test_the_event_of_a_batch_that_was_changed_is_named(tmp_path: Path) -> None:
    small(tmp_path)
    path = tmp_path / form.segment_name(1)
    batch = [frame for frame in JournalReader(tmp_path).frames() if frame.kind == form.EVENTS][1]
    raw = bytearray(path.read_bytes())
    raw[batch.offset + form.FRAME_BYTES + form.CELL_BYTES + 60] ^= 4
    path.write_bytes(raw)
    (damage,) = verify(tmp_path).damage
    assert (damage.offset, damage.record, damage.events) == (batch.offset, batch.first, (batch.first + 1,))
    with pytest.raises(JournalDamaged) as error:
        list(JournalReader(tmp_path))
    assert (error.value.segment, error.value.offset) == (path.name, batch.offset)


def test_every_truncation_is_found_survived_and_nothing_whole_is_lost(tmp_path: Path) -> None:
    ids = small(tmp_path / "whole", segments=2)
    last = form.segment_name(2)
    good = (tmp_path / "whole" / last).read_bytes()
    ends = [(frame.offset + frame.length, frame) for frame in JournalReader(tmp_path / "whole").frames()]
    whole_before = [frame for frame in JournalReader(tmp_path / "whole").placed()]
    in_last = [frame for segment, frame in whole_before if segment.path.name == last]
    in_first = [i for i in ids if i <= 4]
    assert ends
    for cut in range(len(good)):
        here = tmp_path / "cut"
        shutil.copytree(tmp_path / "whole", here)
        with (here / last).open("r+b") as file:
            file.truncate(cut)
        verdict = verify(here)
        assert not verdict.whole, f"cut at {cut}"
        survivors = [f for f in in_last if f.offset + f.length <= cut]
        expected = len(in_first) + sum(f.count for f in survivors if f.kind == form.EVENTS)
        assert written(here) == ids[:expected], f"cut at {cut}"
        with Journal.open(here, fsync="none") as journal:
            journal.events(events(100, 1), 1)
        assert written(here) == [*ids[:expected], 100]
        assert verify(here).whole, f"cut at {cut}: the chain does not go on"
        boundary = cut in {form.HEADER_BYTES, *(f.offset + f.length for f in in_last)}
        assert ("recovered" in notes(here)) == (not boundary)
        kept = b"".join(path.read_bytes() for path in here.glob("*.cut"))
        end = max(
            [f.offset + f.length for f in survivors], default=form.HEADER_BYTES if cut >= form.HEADER_BYTES else 0
        )
        assert kept == good[end:cut]
        shutil.rmtree(here)


@pytest.mark.parametrize("what", ["removed", "last", "first", "swapped", "copied", "other"])
def test_segments_that_are_not_where_they_were(tmp_path: Path, what: str) -> None:
    journal = tmp_path / "a"
    small(journal, segments=4)
    paths = form.segment_paths(journal)
    match what:
        case "removed":
            paths[1].unlink()
        case "last":
            paths[3].unlink()
        case "first":
            paths[0].unlink()
        case "swapped":
            paths[1].rename(journal / "x")
            paths[2].rename(paths[1])
            (journal / "x").rename(paths[2])
        case "copied":
            shutil.copy(paths[1], journal / form.segment_name(5))
        case "other":
            small(tmp_path / "b", segments=4)
            shutil.copy(tmp_path / "b" / paths[1].name, paths[1])
    verdict = verify(journal)
    assert not verdict.whole
    expected = {"removed": 2, "last": 2, "first": 1, "swapped": 1, "copied": 4, "other": 1}[what]
    named = paths[expected] if what not in ("copied",) else journal / form.segment_name(5)
    assert verdict.damage[0].segment == named.name, verdict.damage


@pytest.mark.parametrize("what", ["removed", "inserted", "swapped"])
def test_records_that_are_not_where_they_were(tmp_path: Path, what: str) -> None:
    small(tmp_path)
    path = tmp_path / form.segment_name(1)
    good = path.read_bytes()
    head, *frames = [good[: form.HEADER_BYTES]] + [
        good[frame.offset : frame.offset + frame.length] for frame in JournalReader(tmp_path).frames()
    ]
    match what:
        case "removed":
            del frames[1]
        case "inserted":
            frames.insert(2, frames[1])
        case "swapped":
            frames[1], frames[2] = frames[2], frames[1]
    path.write_bytes(head + b"".join(frames))
    damage = verify(tmp_path).damage
    at = len(head) + sum(map(len, frames[: 2 if what == "inserted" else 1]))
    assert damage and damage[0].offset == at
    with pytest.raises(JournalDamaged):
        list(JournalReader(tmp_path))
    with pytest.raises(JournalDamaged, match="no torn tail"):
        Journal.open(tmp_path)


def test_a_journal_that_was_written_anew_does_not_have_the_hash_of_before(tmp_path: Path) -> None:
    small(tmp_path / "a")
    told = verify(tmp_path / "a").tail
    with Journal.open(tmp_path / "a") as journal:
        journal.events(events(50, 1), 1)
    assert verify(tmp_path / "a", tail=told).whole
    small(tmp_path / "b")
    assert verify(tmp_path / "b").whole and not verify(tmp_path / "b", tail=told).whole


def test_one_writer(tmp_path: Path) -> None:
    with Journal.open(tmp_path) as journal:
        with pytest.raises(JournalBusy, match=f"process {os.getpid()}"):
            Journal.open(tmp_path)
        assert verify(tmp_path).live
        journal.events(events(1, 1), 1)
        assert written(tmp_path) == [1], "a reader sees what is there while it is written"
    assert not verify(tmp_path).live


def test_a_writer_that_was_killed_leaves_what_it_synced(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from journals import events\n"
        "from turbo_hft.journal import Journal\n"
        "journal, following = Journal.open(sys.argv[1], fsync='batch'), 1\n"
        "while True:\n"
        "    journal.events(events(following, 7), 7)\n"
        "    following += 7\n"
        "    print(following, flush=True)\n"
    )
    words = [sys.executable, "-c", code, str(tmp_path), str(Path(__file__).parents[1])]
    for _ in range(3):
        shutil.rmtree(tmp_path)
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            for _ in range(40):
                last = int(writer.stdout.readline())
            writer.kill()
            told = [last, *map(int, writer.stdout.read().split())]
        with Journal.open(tmp_path) as journal:
            assert journal.run == 2
        found = written(tmp_path)
        assert found == list(range(1, len(found) + 1)) and len(found) >= told[-1] - 1
        assert verify(tmp_path).whole


def test_a_disk_that_is_full_takes_whole_records_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal.open(tmp_path, fsync="none")
    journal.events(events(1, 2), 2)
    real = os.write

    def nearly(fd: int, data: Any) -> int:
        monkeypatch.setattr(os, "write", refuse)
        return real(fd, bytes(data)[:100])

    def refuse(fd: int, data: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", nearly)
    with pytest.raises(JournalFull, match="Make room"):
        journal.events(events(3, 2), 2)
    monkeypatch.setattr(os, "write", real)
    journal.events(events(3, 2), 2)
    journal.close()
    assert written(tmp_path) == [1, 2, 3, 4] and verify(tmp_path).whole


def test_a_directory_that_was_taken_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path / "j"
    journal = Journal.open(directory, fsync="none")
    directory.rename(tmp_path / "k")
    monkeypatch.setattr("turbo_hft.journal.writer._LOOK_S", 0.0)
    for _ in range(2):
        with pytest.raises(JournalGone, match="taken away"):
            journal.events(events(1, 1), 1)
    (tmp_path / "k").rename(directory)
    journal.events(events(1, 1), 1)
    journal.close()
    assert written(directory) == [1]


def test_an_fsync_that_failed_is_not_believed_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal.open(tmp_path, fsync="batch")

    def fails(fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(JournalError, match="cannot sync"):
        journal.events(events(1, 1), 1)
    monkeypatch.undo()
    with pytest.raises(JournalError, match="takes no more: fsync failed"):
        journal.events(events(2, 1), 1)


def test_no_permission_and_no_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError):
        Journal.open(tmp_path / "file")
    for wrong in (tmp_path / "nothing", tmp_path):
        with pytest.raises(JournalGone):
            JournalReader(wrong)

    def denied(*args: Any, **kwargs: Any) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "open", denied)
    with pytest.raises(JournalDenied, match="the right to write"):
        Journal.open(tmp_path / "journal")


@pytest.mark.parametrize("text", ["", "1s", "0ms", "-1ms", "1e3ms", "70000ms", "batch "])
def test_fsync_policies_that_cannot_be(text: str) -> None:
    with pytest.raises(ConfigError):
        Fsync.parse(text)


def test_rotation_keeps_the_chain_and_seeking_finds_the_segment(tmp_path: Path) -> None:
    with Journal.open(tmp_path, fsync="none", segment_bytes=2000) as journal:
        for i in range(100):
            journal.events(events(1 + 2 * i, 2), 2)
    assert len(form.segment_paths(tmp_path)) > 10
    assert verify(tmp_path).whole
    reader = JournalReader(tmp_path)
    assert written(tmp_path) == list(range(1, 201))
    found = list(reader.records(first=150))
    assert found[0].number == 150
    event = reader.find_event(123)
    assert event is not None and event.event.feed_seq == 123
    assert reader.find_feed_sequence(77) is not None and reader.find_feed_sequence(777) is None
    later = [r for r in reader.records(since_utc_ns=event.utc_ns) if isinstance(r, EventRecord)]
    assert [record.event.id for record in later] == list(range(123, 201))


def test_another_abi_is_named_not_misread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from turbo_hft import abi
    from turbo_hft.errors import AbiMismatch

    small(tmp_path)
    monkeypatch.setattr(abi, "VERSION", abi.VERSION + 1)
    with pytest.raises(AbiMismatch, match="read it with the package"):
        list(JournalReader(tmp_path))
    assert verify(tmp_path).whole


def test_an_event_is_kept_byte_for_byte(tmp_path: Path) -> None:
    record = ffi.new("struct hft_event[]", 1)
    raw = os.urandom(form.EVENT_BYTES)
    ffi.memmove(record, raw, len(raw))
    with Journal.open(tmp_path) as journal:
        journal.events(record, 1)
    frame = next(frame for frame in JournalReader(tmp_path).frames() if frame.kind == form.EVENTS)
    assert frame.payload[: form.EVENT_BYTES] == raw


def test_an_export_shows_what_has_no_name_by_its_number(tmp_path: Path) -> None:
    directory = tmp_path / "j"
    with Journal.open(directory) as journal:
        for batch in (events(1, 1, side=0), events(2, 1, side=7, kind=999, strategy=999)):
            journal.events(batch, 1)
    export(JournalReader(directory), tmp_path / "x.parquet", Selection())
    rows = parquet.read_table(tmp_path / "x.parquet").drop_columns(["utc_ns"]).to_pylist()
    assert [row["side"] for row in rows] == ["buy", "side 7"]
    assert (rows[1]["kind"], rows[1]["strategy"], rows[1]["reason"]) == ("event kind 999", "none", "")
    export(JournalReader(directory), tmp_path / "x.jsonl", Selection())
    lines = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines()]
    assert [line["side"] for line in lines if "side" in line] == ["buy", "side 7"]


def test_an_export_has_every_row_of_its_selection_and_only_those(tmp_path: Path) -> None:
    directory = tmp_path / "j"
    ids = small(directory, segments=3)
    reader = JournalReader(directory)
    everything = [record for record in reader if isinstance(record, EventRecord)]
    table = tmp_path / "x.parquet"
    assert export(JournalReader(directory), table, Selection()) == len(ids)
    rows = parquet.read_table(table).drop_columns(["utc_ns"]).to_pylist()
    for row, record in zip(rows, everything, strict=True):
        event = asdict(record.event)
        assert {name: row[name] for name in event} == event
        assert (row["record"], row["run"]) == (record.number, record.run)
    assert parquet.read_table(table)["utc_ns"].cast("int64").to_pylist() == [record.utc_ns for record in everything]
    kind, symbol = everything[0].event.kind, everything[0].event.symbol
    assert symbol is not None
    chosen = Selection(everything[1].utc_ns, everything[-1].utc_ns, frozenset({kind}), frozenset({symbol}))
    expected = [
        r.event.id for r in everything[1:-1] if r.event.kind == kind and r.event.symbol == symbol
        and everything[1].utc_ns <= r.utc_ns < everything[-1].utc_ns
    ]  # fmt: skip
    for name in ("y.parquet", "y.jsonl"):
        assert export(JournalReader(directory), tmp_path / name, chosen) == len(expected)
    assert parquet.read_table(tmp_path / "y.parquet")["id"].to_pylist() == expected
    assert [json.loads(line)["id"] for line in (tmp_path / "y.jsonl").read_text().splitlines()] == expected
    export(JournalReader(directory), tmp_path / "all.jsonl", Selection())
    lines = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert [line["record"] for line in lines] == list(range(1, len(lines) + 1)) and lines[-1]["kind"] == "closed"
    with pytest.raises(ConfigError, match="no record is of kind nonsense"):
        Selection(kinds=frozenset({"nonsense"}))
    with pytest.raises(ConfigError, match=r"\.parquet or \.jsonl"):
        export(JournalReader(directory), tmp_path / "x.csv", Selection())


def test_a_damaged_journal_leaves_no_export_behind(tmp_path: Path) -> None:
    small(tmp_path / "j", segments=2)
    path = tmp_path / "j" / form.segment_name(1)
    raw = bytearray(path.read_bytes())
    raw[form.HEADER_BYTES + 60] ^= 1
    path.write_bytes(raw)
    for name in ("x.parquet", "x.jsonl"):
        with pytest.raises(JournalDamaged):
            export(JournalReader(tmp_path / "j"), tmp_path / name, Selection())
    assert [path.name for path in tmp_path.iterdir()] == ["j"]


def test_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = str(tmp_path / "j")
    small(tmp_path / "j", segments=2)
    assert main(["journal", "verify", directory]) == 0
    assert capsys.readouterr().out.startswith("whole, closed: 2 segments")
    assert main(["journal", "info", directory, "--json"]) == 0
    info = json.loads(capsys.readouterr().out)
    assert info["tail"] == verify(directory).tail and info["events"] == 8
    assert main(["journal", "verify", directory, "--tail", "00"]) == 1
    assert "no record has the hash 00" in capsys.readouterr().out
    assert main(["journal", "tail", directory, "-n", "3", "--json"]) == 0
    tail = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["record"] for line in tail] == [9, 10, 11] and tail[-1]["kind"] == "closed"
    assert main(["journal", "tail", directory, "-f"]) == 0, "a journal that was closed has no more to come"
    assert "closed: why closed" in capsys.readouterr().out
    assert main(["journal", "export", directory, "--to", str(tmp_path / "x.jsonl"), "--kind", "order"]) == 0
    path = tmp_path / "j" / form.segment_name(2)
    path.write_bytes(path.read_bytes()[:-1])
    assert main(["journal", "verify", directory, "--json"]) == 1
    (damage,) = json.loads(capsys.readouterr().out)["damage"]
    assert damage["segment"] == path.name and "ends within a frame" in damage["what"]
    for words in (["verify", str(tmp_path)], ["info", "/nowhere"], ["tail", "/nowhere"]):
        assert main(["journal", *words]) == 1
    for words in (["verify"], ["tail", directory, "--from", "yesterday"], ["export", directory, "--to", "x.csv"]):
        assert main(["journal", *words]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_following_goes_on_from_segment_to_segment(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path, fsync="none")
    reader, found = JournalReader(tmp_path), []
    todo: list[Callable[[], object]] = [
        lambda: journal.events(events(1, 2), 2),
        journal.rotate,
        lambda: journal.events(events(3, 1), 1),
    ]
    steps = iter(todo)

    def stop(seconds: float) -> bool:
        step = next(steps, None)
        if step is None:
            journal.close()
            return False
        step()
        return False

    for record in reader.follow(stop):
        found.append(record.event.id if isinstance(record, EventRecord) else record.kind)
    assert found == [1, 2, "rotated", 3, "closed"]
