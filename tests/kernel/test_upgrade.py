"""Another build of the program in the place of the one that runs: carried over, refused, taken out again."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pin_rig import bpffs
from turbo_hft import lab_feed, lab_session
from turbo_hft._native import lib
from turbo_hft.engine import Engine
from turbo_hft.errors import ConfigError, LoadError, UpgradeError
from turbo_hft.lab import Lab
from turbo_hft.pins import Pins
from turbo_hft.program import Successor, engine_object, query
from turbo_hft.upgrade import carry, selfcheck
from turbo_hft.upgrade.upgrade import check, read, upgrade
from turbo_hft.user_strategy import btf
from user_strategies import BUYER, compiled

from tools.engine_builds import GOES_DEAF, IGNORES_HALT, built

pytestmark = pytest.mark.kernel

Edit = tuple[str, str, str]
ABI = "hft/abi.h"


@dataclass
class Rig:
    """A pinned engine on a wire of its own."""

    engine: Engine
    interface: str
    root: Path

    @property
    def in_force(self) -> tuple[int, int, str]:
        """Program on the interface, generation, and where the pins point."""
        pins = Pins(self.root, self.interface)
        return query(self.interface)[0], self.engine.user.generation, str(pins.layout.program.readlink())


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with (
        Lab("hft_upg", "hftupga", "hftupgb", "10.78.122.0/24") as lab,
        bpffs(tmp_path) as root,
        Engine.open(lab.addresses.device, pin=root, symbols=4, orders=64, kept=64) as engine,
    ):
        engine.symbols.add("AAPL", base_qty=7)
        engine.configure(lab_session(), lab_feed())
        engine.attach()
        yield Rig(engine, lab.addresses.device, root)
        engine.detach()


def test_this_build_is_good_and_like_itself() -> None:
    selfcheck.check(engine_object())
    new = carry.read(engine_object())
    with Engine.load(symbols=4, orders=64, kept=64) as engine:
        assert carry.differences(btf.parse(engine.program.btf()), new.btf, linked=False) == []


def test_the_program_changes_and_its_state_stays(rig: Rig, tmp_path: Path) -> None:
    other = built(tmp_path).read_bytes()
    rig.engine.symbols["AAPL"].base_qty = 9
    before, counted = rig.engine.user.now, rig.engine.counters()["frames"]
    done = upgrade(rig.engine, other, watch_s=0.05)
    assert rig.in_force == (done.program_id, 1, f"{done.program_id}/program")
    assert (done.sha256, done.before_sha256) == (hashlib.sha256(other).hexdigest(), before.engine_sha256)
    assert before.engine_sha256 == hashlib.sha256(engine_object()).hexdigest()
    assert rig.engine.symbols["AAPL"].base_qty == 9
    assert rig.engine.counters()["frames"] > counted  # of before and of now, in the same map
    with Engine.adopt(rig.interface, pin=rig.root) as again:
        assert again.user.now.engine_sha256 == done.sha256
        with pytest.raises(ConfigError, match="turbo-hft upgrade"):
            again.load_strategy(compiled(tmp_path, BUYER, "mine"))  # that would be a way back by accident


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (
            (ABI, "\t__s64 cost_e4; /* what the", "\t__s64 more;\n\t__s64 cost_e4; /* what the"),
            ("struct hft_symbol_state had 320", "new field more at byte 8", "cost_e4 was at byte 8, is at byte 16"),
        ),
        (
            (ABI, "\t__u32 recent_head; /*", "\t__u64 recent_head; /*"),
            ("struct hft_symbol_state.recent_head was", "had 320 bytes"),
        ),
        (
            (ABI, "HFT_HALTED = 0,\n\tHFT_ACTIVE = 1,", "HFT_HALTED = 1,\n\tHFT_ACTIVE = 0,"),
            ("enum hft_kill: HFT_HALTED was 0, is 1", "enum hft_kill: HFT_ACTIVE was 1, is 0"),
        ),
        ((ABI, "HFT_C_FRAMES = 0,", "HFT_C_NEW = 0, HFT_C_FRAMES,"), ("enum hft_counter: HFT_C_FRAMES was 0, is 1",)),
        ((ABI, "HFT_ABI_VERSION = 5", "HFT_ABI_VERSION = 6"), ("ABI version 6", "runs 5")),
        (
            ("hft/maps.bpf.h", "HFT_ARRAY(fees, __s64, 256,", "HFT_ARRAY(fees, __u32, 256,"),
            ("map fees, its value was __s64, is __u32",),
        ),
    ],
)
def test_a_state_that_cannot_be_carried_over_is_named(
    rig: Rig, tmp_path: Path, edit: Edit, words: tuple[str, ...]
) -> None:
    # What the program itself holds true is beside the point here.
    maps = ("hft/maps.bpf.h", "#define HFT_MAPS_BPF_H\n", "#define HFT_MAPS_BPF_H\n#define _Static_assert(...)\n")
    same = edit[0] == maps[0]
    before = rig.in_force
    with pytest.raises(UpgradeError) as refused:
        check(rig.engine, built(tmp_path, *((edit,) if same else (edit, maps))).read_bytes())
    said = str(refused.value) + " ".join(refused.value.reasons)
    for word in words:
        assert word in said, said
    assert rig.in_force == before


def test_a_build_that_fails_the_self_check_is_not_put_in_force(rig: Rig, tmp_path: Path) -> None:
    before = rig.in_force
    with pytest.raises(UpgradeError, match="halted: verdict: 3 instead of 1"):
        upgrade(rig.engine, built(tmp_path, IGNORES_HALT).read_bytes())
    assert rig.in_force == before
    assert Pins(rig.root, rig.interface).layout.of(before[0]).program.exists()


def test_a_build_that_goes_wrong_in_force_is_taken_out_again(rig: Rig, tmp_path: Path) -> None:
    deaf = built(tmp_path, GOES_DEAF).read_bytes()
    selfcheck.check(deaf)
    rig.engine.program.share("tallies", writable=True)[0].counter[lib.HFT_C_FEED_PACKETS] = (
        1000  # feed packets of a day
    )
    before = rig.in_force
    with pytest.raises(UpgradeError, match="taken out again: it does not count frames"):
        upgrade(rig.engine, deaf, watch_s=0.05)
    assert rig.in_force == before
    number = rig.engine.program.facts().id
    assert number == before[0]
    directories = [path.name for path in Pins(rig.root, rig.interface).layout.directory.iterdir()]
    assert [name for name in directories if name.isdecimal()] == [str(number)]
    done = upgrade(rig.engine, built(tmp_path, name="good").read_bytes(), watch_s=0.05)
    assert rig.in_force[:2] == (done.program_id, 1)


def test_a_person_who_interrupts_it_has_the_program_of_before(rig: Rig, tmp_path: Path) -> None:
    def interrupted(successor: Successor) -> None:
        assert query(rig.interface)[0] == successor.facts().id
        raise KeyboardInterrupt

    before = rig.in_force
    with pytest.raises(KeyboardInterrupt):
        upgrade(rig.engine, built(tmp_path).read_bytes(), watch_s=0.05, watch=interrupted)
    assert rig.in_force == before


STEPS = ("update", "watch", "publish", "believed", "kept")


def _killed_at(rig: Rig, step: str) -> int:
    """A process that upgrades and is killed there; the program it would have put in force."""
    told, tell = os.pipe()
    child = os.fork()
    if not child:
        try:
            _upgrade_until(rig, step, tell)
        finally:
            os._exit(1)
    number = int.from_bytes(os.read(told, 8), "little")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    os.close(told)
    os.close(tell)
    return number


def _upgrade_until(rig: Rig, step: str, tell: int) -> None:
    def die(*arguments: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with Engine.adopt(rig.interface, pin=rig.root) as engine:
        table, keep, saved = engine.user.generations, Pins.keep_only, Pins.save

        def save(pins: Pins, handle: Any, number: int) -> None:
            os.write(tell, number.to_bytes(8, "little"))
            saved(pins, handle, number)

        def kept(pins: Pins, number: int) -> None:
            keep(pins, number)
            die()

        patch = pytest.MonkeyPatch()
        patch.setattr(Pins, "save", save)
        match step:
            case "update":
                patch.setattr("turbo_hft.user_strategy.user.lib", _Dies(lib, "hft_link_update"))
            case "publish":
                patch.setattr(type(table), "publish", die)
            case "believed":
                patch.setattr(Pins, "keep_only", die)
            case "kept":
                patch.setattr(Pins, "keep_only", kept)
        watch = die if step == "watch" else lambda _: None
        engine.user.swap("", None, keep_params=True, built=engine_object(), watch=watch)


class _Dies:
    """A library in which one function kills the process that calls it."""

    def __init__(self, real: Any, name: str) -> None:
        self._real, self._name = real, name

    def __getattr__(self, name: str) -> Any:
        if name == self._name:
            os.kill(os.getpid(), signal.SIGKILL)
        return getattr(self._real, name)


@pytest.mark.parametrize("step", STEPS)
def test_an_upgrade_that_is_killed_is_ended_by_the_next_who_looks(
    rig: Rig, step: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Before it is believed the program of before is in force again, afterwards the new one stays."""
    old = rig.in_force
    new = _killed_at(rig, step)
    assert query(rig.interface)[0] == (old[0] if step == "update" else new), "unwatched"
    believed = step in ("believed", "kept")
    with Engine.adopt(rig.interface, pin=rig.root) as engine:
        right = new if believed else old[0]
        assert rig.in_force == (right, int(believed), f"{right}/program")
        assert (engine.program.facts().id, engine.user.generation) == (right, int(believed))
        assert engine.program.generations.watched == 0 and engine.user.now.settled_epoch <= engine.epoch
        assert not believed or engine.user.now.settled_epoch
        assert f"an upgrade ended {'when' if believed else 'before'} program {new} was" in caplog.text
        pins = Pins(rig.root, rig.interface)
        assert [path.name for path in pins.layout.directory.iterdir() if path.name.isdecimal()] == [str(right)]
        assert rig.engine.mend_upgrade() is None
        again = engine.user.swap("", None, keep_params=True, built=engine_object(), watch=lambda _: None)
    assert rig.in_force == (again.program_id, int(believed) + 1, f"{again.program_id}/program")


def test_who_runs_it_ends_an_upgrade_that_was_killed(rig: Rig) -> None:
    old = rig.in_force
    assert rig.engine.mend_upgrade() is None
    _killed_at(rig, "watch")
    done = rig.engine.mend_upgrade()
    assert done is not None and "is in force again" in done and rig.in_force == old
    assert rig.engine.mend_upgrade() is None


def test_an_upgrade_that_is_watched_is_left_alone(rig: Rig) -> None:
    def look(successor: Successor) -> None:
        with Engine.adopt(rig.interface, pin=rig.root) as other:
            assert other.mend_upgrade() is None
        assert query(rig.interface)[0] == successor.facts().id

    done = rig.engine.user.swap("", None, keep_params=True, built=engine_object(), watch=look)
    assert rig.in_force == (done.program_id, 1, f"{done.program_id}/program")


def test_a_linked_strategy_has_to_come_along(rig: Rig, tmp_path: Path) -> None:
    mine, other = compiled(tmp_path, BUYER, "mine"), built(tmp_path).read_bytes()
    rig.engine.load_strategy(mine)
    rig.engine.user.params.qty = 31
    with pytest.raises(ConfigError, match=r"strategy mine .*--strategy-object"):
        upgrade(rig.engine, other, watch_s=0.05)
    done = upgrade(rig.engine, other, mine, watch_s=0.05)
    assert (rig.engine.user.name, rig.engine.user.params.qty, done.generation) == ("mine", 31, 2)


def test_a_strategy_that_was_linked_in_during_the_checks_is_not_lost(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = compiled(tmp_path, BUYER, "mine"), built(tmp_path).read_bytes()

    def checking(engine: Engine, data: bytes) -> None:
        engine.load_strategy(mine)

    monkeypatch.setattr("turbo_hft.upgrade.upgrade.check", checking)
    with pytest.raises(ConfigError, match=r"strategy mine .*--strategy-object"):
        upgrade(rig.engine, other, watch_s=0.05)
    assert rig.engine.user.name == "mine"


def test_what_is_no_engine_is_refused(rig: Rig, tmp_path: Path) -> None:
    with pytest.raises(UpgradeError, match="no object"):
        check(rig.engine, b"nothing of the kind")
    with pytest.raises(UpgradeError, match="no engine"):
        check(rig.engine, compiled(tmp_path, BUYER, "mine").read_bytes())
    with pytest.raises(ConfigError, match="cannot read"):
        read(tmp_path / "nowhere.o")
    cut = engine_object()[: len(engine_object()) // 2]
    with pytest.raises((UpgradeError, LoadError)):
        check(rig.engine, cut)
