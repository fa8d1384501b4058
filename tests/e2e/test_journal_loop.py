"""An engine that is recorded while others steer it; what `journal` and `why` say afterwards. And one that is killed."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.helpers import (
    ADDRESSES,
    ON,
    SESSION,
    beside_an_exchange,
    eventually,
    running,
    turbo_hft,
    turbo_hft_json,
)
from turbo_hft.journal import EventRecord, JournalReader, Note, verify
from turbo_hft.journal.reader import changes_of
from turbo_hft.lab import PASSWORD

pytestmark = [pytest.mark.e2e, pytest.mark.kernel, pytest.mark.timeout(180)]

A = ADDRESSES
RUN = ["run", *ON, *SESSION, "--symbol", "AAPL:max_long=100000", "--json"]


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Path]:
    log = tmp_path / "exchange.log"
    with beside_an_exchange(tmp_path, "--log", str(log)):
        yield log


def orders() -> int:
    return int(turbo_hft_json("status", *ON)["totals"]["orders"])


def test_all_of_it_is_in_the_journal_and_can_be_explained(exchange: Path, tmp_path: Path) -> None:
    journal, talk, out = tmp_path / "journal", tmp_path / "talk", tmp_path / "events"
    with running(*RUN, "--journal", str(journal), out=out, talk=talk) as process:
        eventually(lambda: "trading AAPL" in talk.read_text(), "the engine is up")
        second = turbo_hft("run", *ON, "--journal", str(journal), "--no-login")
        assert second.returncode == 1 and f"written by process {process.pid}" in second.stderr
        change = ["set", "AAPL", "buy_below=200", "base_qty=10", "--because", "the desk wants ten"]
        assert turbo_hft(*change, *ON).returncode == 0
        eventually(lambda: orders() > 3, "it trades")
        live = turbo_hft("journal", "verify", str(journal))
        assert live.returncode == 0 and "being written" in live.stdout
        assert turbo_hft("halt", "--because", "enough", *ON).returncode == 0
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    assert turbo_hft("journal", "verify", str(journal)).returncode == 0

    printed = [json.loads(line) for line in out.read_text().splitlines()]
    records = list(JournalReader(journal))
    events = [record.event for record in records if isinstance(record, EventRecord)]
    # The feed goes on until the last moment: the journal has what came after the last line that was printed.
    assert len(printed) > 10 and [event.id for event in events][: len(printed)] == [line["id"] for line in printed]
    assert [event.id for event in events] == list(range(events[0].id, events[-1].id + 1))
    notes = [record for record in records if isinstance(record, Note)]
    assert notes[0].kind == "start" and [note.kind for note in notes[-2:]] == ["stop", "closed"]
    assert "detach" in [note.kind for note in notes[-5:]]  # beside a change that was seen at the last look
    assert PASSWORD not in "".join(json.dumps(note.data) for note in notes), "the account's password was recorded"
    changes = [note for note in notes if note.kind == "change"]
    (steered,) = [note for note in changes if "symbol.AAPL.params.base_qty" in changes_of(note)]
    (by,) = {each["pid"]: each for each in steered.data["by"]}.values()
    assert by["uid"] == os.getuid() and "set AAPL buy_below=200" in by["command"] and by["pid"] != process.pid
    halts = [note for note in changes if changes_of(note).get("engine.kill") == ("active", "halted")]
    assert halts and "enough" in [why for note in changes for why in note.data.get("why", [])]

    order = next(event for event in events if event.kind == "order")
    sent = [json.loads(line) for line in exchange.read_text().splitlines()]
    arrived = next(line for line in sent if line["kind"] == "order")
    found = turbo_hft_json("why", "--order", str(order.user_ref), "--journal", str(journal))
    (decision,) = found["decisions"]
    assert decision["feed_seq"] == arrived["feed_seq"]
    assert decision["parameters"]["symbol.AAPL.params.base_qty"] == 10
    assert "the desk wants ten" in decision["last_change"]["line"]
    assert decision["frame"]["quantity"] == 10 and decision["became"], "what became of it"
    text = turbo_hft("why", str(order.feed_seq), "--journal", str(journal)).stdout
    assert f"Order {order.user_ref} left: buy 10 AAPL" in text and "threshold" in text
    silent = turbo_hft_json("why", "1", "--journal", str(journal))["not_answered"]
    assert "switched off by its parameters" in silent["symbols"]["AAPL"]["why_not"][0]
    assert any("before or after this: change" in line for line in silent["cannot_be_known"])


def test_a_recorder_that_was_killed_is_continued(exchange: Path, tmp_path: Path) -> None:
    journal, talk, out = tmp_path / "journal", tmp_path / "talk", tmp_path / "events"
    options = ["--journal", str(journal), "--fsync", "batch", "--symbol", "AAPL:buy_below=200,max_long=100000"]
    words = [word for word in RUN if not word.startswith("AAPL") and word != "--symbol"]
    with running(*words, *options, out=out, talk=talk) as process:
        eventually(lambda: out.read_text().count('"order"') > 5, "it trades")
        process.send_signal(signal.SIGKILL)
        process.wait(20)
    printed = [json.loads(line)["id"] for line in out.read_text().splitlines() if line.endswith("}")]
    killed = turbo_hft("journal", "verify", str(journal))
    assert killed.returncode == 1 and "its writer was killed" in killed.stdout
    with running(*words, *options, "--halted", "--no-login", out=out, talk=talk) as process:
        eventually(lambda: "engine on" in talk.read_text(), "the next one is up")
        process.send_signal(signal.SIGINT)
        process.wait(20)
    assert verify(journal).whole
    found = {r.event.id for r in JournalReader(journal) if isinstance(r, EventRecord) and r.run == 1}
    assert set(printed) <= found, "an event that was passed on is not in the journal"
