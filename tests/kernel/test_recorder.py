"""The recorder on the loaded program: every event, every change with who made it, and what it does when it cannot."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from gate_rig import GateRig
from turbo_hft._native import lib
from turbo_hft.announce import announce, because, command_line
from turbo_hft.errors import ConfigError, JournalFull, OrderRefused
from turbo_hft.journal import Alarm, EventRecord, Journal, JournalReader, Note, Recorder, verify
from turbo_hft.journal.reader import changes_of
from turbo_hft.testing import Hook

pytestmark = pytest.mark.kernel


@pytest.fixture
def rig(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> GateRig:
    rig = GateRig(hook)
    monkeypatch.setattr(rig.engine.orders, "send", lambda frame: None)
    return rig


def order(rig: GateRig, qty: int) -> str | None:
    """An order by hand, without the twin, which would read the events: the reason that refused it."""
    try:
        rig.engine.orders.enter("AAPL", "buy", qty, "150.10")
    except OrderRefused as error:
        return error.reason
    return None


def held(recorder: Recorder, count: int) -> bool:
    """Have so many events not been written?"""
    return recorder._held_events + recorder.unrecorded == count


def eventually(condition: Callable[[], bool], timeout_s: float = 10) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def notes(directory: Path, kind: str) -> list[Note]:
    return [record for record in JournalReader(directory) if isinstance(record, Note) and record.kind == kind]


def all_changes(directory: Path) -> dict[str, tuple[Any, Any]]:
    return {key: pair for note in notes(directory, "change") for key, pair in changes_of(note).items()}


def test_every_event_reaches_disk_and_subscribers(rig: GateRig, tmp_path: Path) -> None:
    with Journal.open(tmp_path) as journal, Recorder(rig.engine, journal) as recorder:
        events = recorder.subscribe()
        assert order(rig, 100) is None
        rig.engine.halt()
        assert order(rig, 100) == "halted_global"
        eventually(lambda: recorder.recorded >= 2)
        seen = events.wait(5)
    found = [record for record in JournalReader(tmp_path) if isinstance(record, EventRecord)]
    kinds = [record.event.kind for record in found]
    assert kinds[-2:] == ["order", "refused"] and [record.event for record in found][-len(seen) :] == seen
    assert found[-1].event.symbol == "AAPL" and found[-1].event.reason == "halted_global"
    assert verify(tmp_path).whole and recorder.lost == recorder.unrecorded == 0
    ((_, kill),) = [pair for key, pair in all_changes(tmp_path).items() if key == "engine.kill"]
    assert kill == "halted"


def test_a_change_has_who_and_what(rig: GateRig, tmp_path: Path) -> None:
    engine = rig.engine
    with Journal.open(tmp_path) as journal, Recorder(engine, journal):
        with because("the desk asked for it"), engine.change():
            engine.limits.max_gross = 1_000_000
            engine.symbols["AAPL"].limits.max_long = 77
        engine.symbols["AAPL"].quoter.qty = 5
        engine.fees["R"] = "0.0030"
        engine.strategies["quoter"].halt()
    changes = all_changes(tmp_path)
    assert changes["account.max_gross_e4"] == (2**63 - 1, 10_000_000_000)
    assert changes["symbol.AAPL.limits.max_long"] == (10**9, 77)
    assert changes["symbol.AAPL.params.quote_qty"] == (0, 5)
    assert changes["fee.R_e8"] == (None, 300_000)
    assert changes["strategy.quoter.kill"] == ("active", "halted")
    told = notes(tmp_path, "change")
    people = [by for note in told for by in note.data["by"]]
    user = pwd.getpwuid(os.getuid()).pw_name
    assert people and all((by["uid"], by["user"], by["pid"]) == (os.getuid(), user, os.getpid()) for by in people)
    assert {"the desk asked for it"} == {why for note in told for why in note.data.get("why", [])}
    covered = {by["epoch"] for by in people} | {note.data["epoch"] for note in notes(tmp_path, "attribution")}
    assert covered == set(range(told[0].data["from"] + 1, told[-1].data["epoch"] + 1))


def test_the_kernel_says_who_not_the_sender(rig: GateRig, tmp_path: Path) -> None:
    where = str(rig.engine.program.locks.directory)
    code = (
        "import pathlib, sys; from turbo_hft.announce import announce\n"
        "announce(pathlib.Path(sys.argv[1]), what='something', command='innocent', by={'pid': 1}, pid=1)\n"
    )
    with Journal.open(tmp_path) as journal, Recorder(rig.engine, journal):
        process = subprocess.Popen([sys.executable, "-c", code, where, "--account=U:SECRET", "--acc", "U:SECRET"])
        assert process.wait(20) == 0
        eventually(lambda: bool(notes(tmp_path, "act")))
    (act,) = notes(tmp_path, "act")
    assert act.data["by"]["pid"] == process.pid and act.data["by"]["uid"] == os.getuid()
    assert "SECRET" not in json.dumps(act.data)
    assert (
        command_line(["run", "--account", "U:P", "--acco=U:P", "--feed", "x"])
        == "run --account *** --acco=*** --feed x"
    )


def test_nobody_fails_without_a_recorder(rig: GateRig) -> None:
    announce(rig.engine.program.locks.directory, epoch=1)
    rig.engine.halt()
    assert rig.engine.halted


def test_one_recorder_an_engine(rig: GateRig, tmp_path: Path) -> None:
    with (
        Journal.open(tmp_path / "a") as journal,
        Recorder(rig.engine, journal),
        Journal.open(tmp_path / "b") as other,
        pytest.raises(ConfigError, match="another process records"),
    ):
        Recorder(rig.engine, other).__enter__()


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bool]]:
    state = {"full": False}
    real = Journal._write

    def write(self: Journal, kind: int, count: int, payload: bytes) -> None:
        if state["full"]:
            raise JournalFull("the disk is full")
        real(self, kind, count, payload)

    monkeypatch.setattr(Journal, "_write", write)
    yield state


@pytest.mark.parametrize("on_failure", ["halt", "go-on"])
def test_a_full_disk_halts_or_not_and_nothing_that_was_held_is_lost(
    rig: GateRig, tmp_path: Path, full: dict[str, bool], on_failure: Any
) -> None:
    alarms: list[Alarm] = []
    with (
        Journal.open(tmp_path) as journal,
        Recorder(rig.engine, journal, on_failure=on_failure, on_alarm=alarms.append) as recorder,
    ):
        full["full"] = True
        assert order(rig, 100) is None
        eventually(lambda: bool(alarms))
        assert rig.engine.halted == (on_failure == "halt")
        assert order(rig, 50) == ("halted_global" if on_failure == "halt" else None)
        full["full"] = False
        eventually(lambda: alarms[-1].kind == "recovered")
        assert [alarm.kind for alarm in alarms] == ["journal", "recovered"]
        assert ("Trading was halted" in alarms[0].message) == (on_failure == "halt")
    assert recorder.unrecorded == 0
    found = [record.event for record in JournalReader(tmp_path) if isinstance(record, EventRecord)]
    assert [event.qty for event in found][-2:] == [100, 50]
    assert [event.id for event in found] == list(range(found[0].id, found[-1].id + 1))
    if on_failure == "halt":
        (halt,) = [note for note in notes(tmp_path, "change") if "engine.kill" in changes_of(note)]
        assert "recorder: " in " ".join(halt.data["why"]) or "recorder: " in str(notes(tmp_path, "attribution"))


def test_a_disk_that_does_not_answer_is_noticed(rig: GateRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hangs = threading.Event()
    with Journal.open(tmp_path) as journal, Recorder(rig.engine, journal) as recorder:
        time.sleep(0.5)
        assert recorder.still_s < 0.4
        monkeypatch.setattr(journal, "poll", lambda: hangs.wait(20))
        eventually(lambda: recorder.still_s > 0.5)
        hangs.set()
        eventually(lambda: recorder.still_s < 0.4)


def test_what_does_not_fit_into_memory_either_is_told_by_its_ids(
    rig: GateRig, tmp_path: Path, full: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("turbo_hft.journal.recorder._MOST_HELD", 1)
    alarms: list[Alarm] = []
    with (
        Journal.open(tmp_path) as journal,
        Recorder(rig.engine, journal, on_failure="go-on", on_alarm=alarms.append) as recorder,
    ):
        full["full"] = True
        for qty in (1, 2, 3):
            assert order(rig, qty) is None
            eventually(partial(held, recorder, qty))
        full["full"] = False
        eventually(lambda: alarms[-1].kind == "recovered")
        assert order(rig, 4) is None
    assert [alarm.kind for alarm in alarms] == ["journal", "unrecorded", "recovered"]
    events = [record.event for record in JournalReader(tmp_path) if isinstance(record, EventRecord)]
    assert [event.qty for event in events][-2:] == [1, 4] and recorder.unrecorded == 2
    (note,) = notes(tmp_path, "unrecorded")
    first = events[-2].id + 1
    assert (note.data["first_id"], note.data["last_id"], note.data["count"]) == (first, first + 1, 2)


def test_events_that_did_not_fit_are_a_hole_with_its_ids(rig: GateRig, tmp_path: Path) -> None:
    alarms: list[Alarm] = []
    engine = rig.engine
    session = engine.program.share("session_state", writable=True)[0]
    with Journal.open(tmp_path) as journal, Recorder(engine, journal, on_alarm=alarms.append) as recorder:
        assert order(rig, 100) is None
        eventually(lambda: recorder.recorded >= 1)
        session.event_id += 5  # as the hook does for records that find no room
        assert order(rig, 60) is None
        eventually(lambda: recorder.lost == 5)
        eventually(lambda: engine.halted)
    (lost,) = notes(tmp_path, "lost")
    assert lost.data["count"] == 5 and "5 events" in alarms[0].message
    ids = [record.event.id for record in JournalReader(tmp_path) if isinstance(record, EventRecord)]
    assert ids[-1] - ids[-2] == 6 and lost.data["first_id"] == ids[-2] + 1
    assert verify(tmp_path).lost == 5


def test_a_segment_tells_all_that_is_in_force_by_itself(rig: GateRig, tmp_path: Path) -> None:
    with Journal.open(tmp_path) as journal, Recorder(rig.engine, journal):
        rig.engine.symbols["AAPL"].limits.max_long = 123
        eventually(lambda: "symbol.AAPL.limits.max_long" in all_changes(tmp_path))
        journal._segment_s = 0.0
        eventually(lambda: journal._number > 1)
        journal._segment_s = 1000.0
    last = list(JournalReader(tmp_path).segments())[-1]
    reader = JournalReader(tmp_path)
    found: dict[str, Any] = {}
    for segment, frame in reader.placed():
        if segment.path == last.path and frame.kind == 2 and (note := reader.note_of(frame)).kind == "settings":
            found |= {key: new for key, (_, new) in changes_of(note).items()}
    assert found["symbol.AAPL.limits.max_long"] == 123 and found["engine.kill"] == "active"
    assert found["template.protocol"] == lib.HFT_OUCH50 and found["load.symbols"] == 64
