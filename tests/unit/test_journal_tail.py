"""Following a journal while it is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from journals import SETTINGS, events
from turbo_hft.errors import JournalDamaged, JournalGone
from turbo_hft.journal import Journal, Tail


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    made = Journal.open(tmp_path / "day", fsync="none")
    made.note("start", {"changes": SETTINGS})
    return made


def ids(tail: Tail) -> list[int]:
    return [event.id for event in tail.read()]


def test_each_look_has_what_is_new(journal: Journal) -> None:
    tail = Tail(journal.directory)
    assert ids(tail) == []
    journal.events(events(1, 3), 3)
    assert ids(tail) == [1, 2, 3] and ids(tail) == []
    journal.events(events(4, 2), 2)
    journal.note("change", {"changes": {}})
    journal.events(events(6, 1), 1)
    assert ids(tail) == [4, 5, 6]
    journal.close()
    assert ids(tail) == []


def test_only_the_newest_are_taken_apart(journal: Journal) -> None:
    for first in range(1, 1001, 10):
        journal.events(events(first, 10), 10)
    assert ids(Tail(journal.directory, most=25)) == list(range(976, 1001))
    journal.close()


def test_it_goes_on_with_the_newest_segment(journal: Journal) -> None:
    tail = Tail(journal.directory)
    journal.events(events(1, 1), 1)
    assert ids(tail) == [1]
    for first in (2, 3, 4):
        journal.rotate()
        journal.note("continued", {"changes": SETTINGS})
        journal.events(events(first, 1, symbol=1), 1)
    found = tail.read()
    assert [(event.id, event.symbol) for event in found] == [(4, "MSFT")]
    journal.close()


def test_a_frame_that_is_not_whole_waits_for_its_rest(journal: Journal, tmp_path: Path) -> None:
    journal.events(events(1, 5), 5)
    whole = next(journal.directory.glob("*.hftj")).read_bytes()
    copy = tmp_path / "copy"
    copy.mkdir()
    path = copy / "00000001.hftj"
    path.write_bytes(whole[:10])
    tail = Tail(copy)
    seen = []
    for length in (10, 200, len(whole) - 1, len(whole)):
        path.write_bytes(whole[:length])
        seen.append(ids(tail))
    assert seen == [[], [], [], [1, 2, 3, 4, 5]]
    journal.close()


def test_damage_and_absence_are_said(journal: Journal, tmp_path: Path) -> None:
    journal.events(events(1, 5), 5)
    tail = Tail(journal.directory)
    path = next(journal.directory.glob("*.hftj"))
    data = bytearray(path.read_bytes())
    data[-40] ^= 1
    path.write_bytes(data)
    with pytest.raises(JournalDamaged, match="journal verify"):
        tail.read()
    path.unlink()
    with pytest.raises(JournalGone):
        tail.read()
    with pytest.raises(JournalGone, match="none"):
        Tail(tmp_path / "none")
    journal._release()
