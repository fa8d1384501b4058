"""A recorder that is killed, and the next one on the same engine: every event is in the journal once, or noted."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from journals import events
from kernel.test_recorder import eventually, notes
from pin_rig import bpffs
from turbo_hft import abi, lab_feed, lab_session
from turbo_hft.announce import because
from turbo_hft.cli import main
from turbo_hft.config.running import apply_file
from turbo_hft.engine import Engine
from turbo_hft.errors import ConfigError, JournalFull, OrderRefused, TurboHftError, UpgradeError
from turbo_hft.journal import Alarm, EventRecord, Journal, JournalReader, Recorder, verify
from turbo_hft.journal.lives import Lives
from turbo_hft.journal.reader import changes_of
from turbo_hft.journal.why import explain_event
from turbo_hft.journal.words import authors, note_line
from turbo_hft.lab import Lab
from turbo_hft.upgrade.upgrade import upgrade

from tools.engine_builds import IGNORES_HALT, built

pytestmark = pytest.mark.kernel


def raised(interface: str, root: Path) -> Engine:
    engine = Engine.open(interface, pin=root, symbols=4, orders=64, kept=64)
    engine.symbols.add("AAPL", base_qty=7)
    engine.configure(lab_session(), lab_feed())
    engine.attach()
    return engine


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    with bpffs(tmp_path) as made:
        yield made


@pytest.fixture
def device() -> Iterator[str]:
    with Lab("hft_reck", "hftrecka", "hftreckb", "10.78.124.0/24") as lab:
        yield lab.addresses.device


def refused(engine: Engine, count: int, qty: int = 1) -> None:
    """Events: orders by hand that the gate refuses, because there is no session."""
    for _ in range(count):
        with pytest.raises(OrderRefused, match="session_down"):
            engine.orders.enter("AAPL", "buy", qty, "1.00")


def in_child(what: Callable[[], None]) -> None:
    """Do it in a process of its own, which is killed when it has done it."""
    child = os.fork()
    if child == 0:
        _then_die(what)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def _then_die(what: Callable[[], None]) -> NoReturn:
    try:
        what()
        os.kill(os.getpid(), signal.SIGKILL)
    finally:
        os._exit(1)


def record_and_die(device: str, root: Path, directory: Path, many: int, last: int, *, unwritten: bool = False) -> None:
    """Take the engine over, record, make so many events, and be killed with the one of id `last` in hand: when it was
    just written, or right before."""

    def records() -> None:
        real = Journal.events

        def write(self: Journal, records: Any, count: int) -> int:
            dies = records[count - 1].id >= last
            if dies and unwritten:
                os.kill(os.getpid(), signal.SIGKILL)
            number = real(self, records, count)
            if dies:
                os.kill(os.getpid(), signal.SIGKILL)  # before the ring hears that they were read
            return number

        Journal.events = write  # type: ignore[method-assign]
        engine = Engine.adopt(device, pin=root)
        engine.take_over()
        Recorder(engine, Journal.open(directory)).__enter__()
        refused(engine, many)
        signal.pause()

    in_child(records)


def recorded(directory: Path) -> list[int]:
    return [record.event.id for record in JournalReader(directory) if isinstance(record, EventRecord)]


@pytest.mark.parametrize("unwritten", [False, True])
def test_every_event_is_recorded_once_across_kills(device: str, root: Path, tmp_path: Path, unwritten: bool) -> None:
    directory = tmp_path / "journal"
    with raised(device, root) as engine:
        record_and_die(device, root, directory, 3, 3, unwritten=unwritten)
        record_and_die(device, root, directory, 2, 5, unwritten=unwritten)
        refused(engine, 2)  # while nobody records
        engine.take_over()
        with Journal.open(directory) as journal, Recorder(engine, journal) as recorder:
            eventually(lambda: recorded(directory)[-1:] == [7])
            assert (recorder.again == 0) == unwritten and recorder.lost == 0
            engine.detach()
    assert recorded(directory) == [1, 2, 3, 4, 5, 6, 7]
    verdict = verify(directory)
    assert verdict.whole and verdict.twice == verdict.lost == 0
    lives = Lives()
    for frame in JournalReader(directory).frames():
        lives.frame(frame)
    ((_, life),) = lives.known.items()
    assert (life.newest, life.runs, life.pid) == (7, [1, 2, 3], os.getpid())


def test_a_takeover_says_after_whom_and_how_that_ended(device: str, root: Path, tmp_path: Path) -> None:
    directory = tmp_path / "journal"
    raised(device, root).close()
    record_and_die(device, root, directory, 1, 1)
    with Engine.adopt(device, pin=root) as engine:
        engine.take_over()
        with Journal.open(directory) as journal, Recorder(engine, journal):
            pass
        with Journal.open(directory) as journal, Recorder(engine, journal):
            engine.detach()
    first, second, third = notes(directory, "takeover")
    assert "after_run" not in first.data  # nothing of it was recorded before
    assert second.data["after_run"] == 1 and second.data["ended"].startswith("killed")
    assert second.data["pid"] == first.data["by"]["pid"] and second.data["by"]["pid"] == os.getpid()
    assert (third.data["after_run"], third.data["ended"], third.data["recorded_id"]) == (2, "stopped", 1)
    assert [note.data["engine"] for note in notes(directory, "stop")] == ["goes on", "ended"]
    assert "after run 1 (killed" in note_line(second)


def test_another_engine_in_the_same_journal_is_another_life(device: str, root: Path, tmp_path: Path) -> None:
    directory = tmp_path / "journal"
    for _ in range(2):
        with raised(device, root) as engine, Journal.open(directory) as journal, Recorder(engine, journal):
            refused(engine, 3)
            engine.detach()
    assert recorded(directory) == [1, 2, 3, 1, 2, 3] and verify(directory).twice == 0


def test_what_the_ring_no_longer_has_is_noted_and_halts(device: str, root: Path, tmp_path: Path) -> None:
    directory = tmp_path / "journal"
    alarms: list[Alarm] = []
    with raised(device, root) as engine:
        record_and_die(device, root, directory, 2, 2)
        engine.program.share("session_state", writable=True)[0].event_id += 5  # as if there were no room
        refused(engine, 1)
        engine.lease.beat()
        engine.resume()
        engine.suspend()  # order entry would let it trade again by itself
        engine.take_over()
        with Journal.open(directory) as journal, Recorder(engine, journal, on_alarm=alarms.append) as recorder:
            eventually(lambda: recorder.lost == 5 and bool(alarms))
            assert not engine.lift("active") and engine.halted
        engine.detach()
    assert recorded(directory) == [1, 2, 8]
    (lost,) = notes(directory, "lost")
    assert (lost.data["first_id"], lost.data["count"]) == (3, 5) and "nobody recorded" in lost.data["why"]
    assert [alarm.kind for alarm in alarms] == ["lost"]


def test_a_change_that_nobody_saw_is_noted_and_older_ones_keep_their_authors(
    device: str, root: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "journal"

    def first() -> None:
        engine = Engine.adopt(device, pin=root)
        engine.take_over()
        Recorder(engine, Journal.open(directory)).__enter__()
        with because("a quiet day"):
            engine.symbols["AAPL"].limits.max_order_qty = 40
        refused(engine, 1, qty=9)
        eventually(lambda: recorded(directory) == [1] and bool(notes(directory, "change")))

    with raised(device, root) as engine:
        in_child(first)
        engine.limits.max_open_orders = 17  # while nobody records
        engine.take_over()
        with Journal.open(directory) as journal, Recorder(engine, journal) as recorder:
            refused(engine, 1, qty=5)
            eventually(lambda: recorder.recorded >= 1)
            engine.detach()
    mine, silent = notes(directory, "change")
    assert changes_of(mine).keys() == {"symbol.AAPL.limits.max_order_qty"} and mine.data["why"] == ["a quiet day"]
    assert changes_of(silent) == {"account.max_open_orders": (100, 17)}
    assert authors(silent) == "somebody, while nobody recorded"
    (decision,) = explain_event(JournalReader(directory), 2)["decisions"]
    limits = decision["limits"]
    assert limits["symbol.AAPL.limits.max_order_qty"] == 40 and limits["account.max_open_orders"] == 17
    (before,) = explain_event(JournalReader(directory), 1)["decisions"]
    assert before["limits"]["account.max_open_orders"] == 100
    assert "a quiet day" in before["last_change"]["line"]  # of the run before


def test_an_order_of_one_run_has_its_replies_in_the_next(tmp_path: Path) -> None:
    about = {"life": "boot/7", "epoch": 1, "by": {"pid": 5}}
    settings = {"epoch": 1, "changes": {"symbol.AAPL.slot": [None, 0], "load.symbols": [None, 4]}}
    number = {name: value for value, name in abi.event_kinds().items()}
    with Journal.open(tmp_path) as journal:
        journal.note("start", about)
        journal.note("settings", settings)
        journal.events(events(1, 1, kind=number["order"], user_ref=31, symbol=0, qty=10, open_qty=10), 1)
    with Journal.open(tmp_path) as journal:
        assert (life := journal.life("boot/7")) is not None and life.newest == 1
        journal.note("start", about)
        journal.note("settings", settings)
        journal.events(events(2, 1, kind=number["executed"], user_ref=31, symbol=0, qty=10, open_qty=0), 1)
    (decision,) = explain_event(JournalReader(tmp_path), 1)["decisions"]
    assert [line["id"] for line in decision["became"]] == [2]
    (reply,) = explain_event(JournalReader(tmp_path), 2)["decisions"]
    assert [line["id"] for line in reply["order"]][:1] == [1]


def test_an_upgrade_and_what_came_of_it(device: str, root: Path, tmp_path: Path) -> None:
    directory = tmp_path / "journal"

    def goes_wrong(successor: object) -> None:
        raise UpgradeError("it looks wrong", ("it looks wrong",))

    with raised(device, root) as engine, Journal.open(directory) as journal, Recorder(engine, journal):
        with because("a faster one"):
            done = upgrade(engine, watch_s=0.05)
        with pytest.raises(UpgradeError, match="halted"):
            upgrade(engine, built(tmp_path, IGNORES_HALT).read_bytes())
        with pytest.raises(UpgradeError, match="looks wrong"):
            upgrade(engine, watch_s=0.05, watch=goes_wrong)
        with because("the day is over"):
            engine.detach()
    told = notes(directory, "upgrade")
    assert [note.data["outcome"] for note in told] == [
        "begun", "in force", "begun", "refused", "begun", "rolled back",
    ]  # fmt: skip
    assert told[1].data["sha256"] == done.sha256 and told[1].data["generation"] == 1
    assert told[1].data["why"] == "a faster one" and told[1].data["by"]["uid"] == os.getuid()
    assert told[3].data["sha256"] != done.sha256 and "halted" in told[3].data["reason"]
    assert told[5].data["reason"] == "it looks wrong"
    assert any("program.id" in changes_of(note) for note in notes(directory, "change"))
    (away,) = notes(directory, "detach")
    assert (away.data["interface"], away.data["open_orders"], away.data["why"]) == (device, 0, "the day is over")
    assert "begun" in note_line(told[0]) and "refused" in note_line(told[3]) and device in note_line(away)


def test_a_file_that_was_applied_or_refused(device: str, root: Path, tmp_path: Path) -> None:
    directory, file = tmp_path / "journal", tmp_path / "engine.toml"
    session = (
        '[session]\nlocal = "10.0.0.1:1"\nremote = "10.0.0.2:2"\nlocal_mac = "02:00:00:00:00:01"\n'
        'remote_mac = "02:00:00:00:00:02"\nusername = "U"\npassword = "P"\n[feed]\nat = "239.0.0.1:1"\n'
    )
    with (
        Engine.open(device, pin=root, symbols=4, orders=64, kept=64) as engine,
        Journal.open(directory) as journal,
        Recorder(engine, journal),
    ):
        engine.symbols.add("AAPL", base_qty=7)
        sizes = "[sizes]\nsymbols = 4\norders = 64\nkept = 64\n"
        text = f'[engine]\ninterface = "{device}"\n{sizes}{session}[symbols.AAPL]\nbase_qty = 8\n'
        file.write_text(text)
        assert [one.key for one in apply_file(engine, file)[1]] == ["symbols.AAPL.base_qty"]
        file.write_text(text.replace("symbols = 4", "symbols = 8"))
        with pytest.raises(ConfigError, match="new start"):
            apply_file(engine, file)
        file.write_text("[engine")
        with pytest.raises(TurboHftError):
            apply_file(engine, file)
    told = notes(directory, "config")
    assert [note.data["outcome"] for note in told] == ["applied", "refused", "refused"]
    assert told[0].data["changed"] == ["symbols.AAPL.base_qty: 7 -> 8"] and told[0].data["file"] == str(file)
    assert "new start" in told[1].data["reason"] and "applied, 1 changes" in note_line(told[0])


def test_what_was_left_is_taken_away_and_that_is_recorded(
    device: str, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path / "journal"
    raised(device, root).close()
    record_and_die(device, root, directory, 2, 2)
    with Engine.adopt(device, pin=root) as engine:
        refused(engine, 1)
    words = ["--interface", device, "--pin-root", str(root), "--journal", str(directory), "--because", "moved"]
    assert main(["detach", *words, "--yes"]) == 0, capsys.readouterr().err
    assert recorded(directory) == [1, 2, 3] and verify(directory).whole
    (away,) = notes(directory, "detach")
    assert away.data["why"] == "moved"


def test_a_head_that_found_no_room_is_written_before_anything_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, full = Journal._write, True

    def write(journal: Journal, kind: int, count: int, payload: bytes) -> None:
        if full and b'"continued"' in payload:
            raise JournalFull("the disk is full")
        real(journal, kind, count, payload)

    about = {"life": "boot/1", "by": {"pid": 1}}
    with Journal.open(tmp_path, fsync="none") as journal:
        journal.note("start", about)
        journal.events(events(1, 2), 2)
        journal.heads = lambda: [("continued", {**about, "recorded_id": 2})]
        monkeypatch.setattr(Journal, "_write", write)
        with pytest.raises(JournalFull):
            journal.rotate()
        with pytest.raises(JournalFull):
            journal.events(events(3, 1), 1)
        full = False
        journal.events(events(3, 1), 1)
        journal.heads = None
    kinds = [getattr(record, "kind", "event") for record in JournalReader(tmp_path)]
    assert kinds == ["start", "event", "event", "rotated", "continued", "event", "closed"]
    with Journal.open(tmp_path) as journal:
        assert (life := journal.life("boot/1")) is not None and life.newest == 3


def test_a_life_is_found_in_older_segments_of_this_boot(tmp_path: Path) -> None:
    def run(life: str, first: int) -> None:
        with Journal.open(tmp_path, fsync="none") as journal:
            journal.note("start", {"life": life, "by": {"pid": first}})
            journal.events(events(first, 2), 2)

    run("boot/1", 1)
    run("boot/2", 1)
    run("boot/1", 3)
    run("boot/2", 3)
    run("boot/3", 1)
    with Journal.open(tmp_path, fsync="none") as journal:
        assert journal.life("boot/1", look_back=False) is None
        for name, run_number in (("boot/1", 3), ("boot/2", 4)):
            life = journal.life(name)
            assert life is not None and (life.newest, life.runs) == (4, [run_number])
        assert journal.life("boot/4") is None


def test_what_is_in_a_journal_twice_is_counted(tmp_path: Path) -> None:
    with Journal.open(tmp_path, fsync="none") as journal:
        journal.note("start", {"life": "boot/1", "by": {"pid": 1}})
        journal.events(events(1, 5), 5)
        journal.events(events(4, 3), 3)
    verdict = verify(tmp_path)
    assert verdict.whole and verdict.twice == 2
