"""An engine that is pinned: what stays when its process is gone, and what is found again."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pin_rig import bpffs, pinned
from turbo_hft import lab_feed, lab_session
from turbo_hft.control_lock import is_controlled
from turbo_hft.engine import Engine
from turbo_hft.errors import AttachError, ConfigError, NotRunning, OrderRefused
from turbo_hft.journal import Journal, Recorder
from turbo_hft.lab import Lab, LabAddresses
from turbo_hft.pins import Pins, found
from turbo_hft.program import LoadSettings, query
from turbo_hft.recovery.lock import FeedLock
from turbo_hft.user_strategy.lock import SwapLock
from user_strategies import BUYER, compiled

pytestmark = pytest.mark.kernel


@pytest.fixture
def addresses() -> Iterator[LabAddresses]:
    with Lab("hft_pins", "hftpina", "hftpinb", "10.78.120.0/24") as lab:
        yield lab.addresses


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    with bpffs(tmp_path) as made:
        yield made


def raised(interface: str, root: Path) -> Engine:
    """A pinned engine, attached."""
    engine = Engine.open(interface, pin=root, symbols=4, orders=64, kept=64)
    engine.symbols.add("AAPL", base_qty=7)
    engine.configure(lab_session(), lab_feed())
    engine.attach()
    return engine


def test_what_a_closed_engine_leaves_is_found_again(addresses: LabAddresses, root: Path) -> None:
    with raised(addresses.device, root) as engine:
        engine.symbols["AAPL"].base_qty = 9
        engine.limits.max_open_orders = 17
        number, epoch = engine.program.facts().id, engine.epoch
    assert query(addresses.device)[0] == number
    with Engine.adopt(addresses.device, pin=root) as again:
        assert (again.program.facts().id, again.epoch, again.owner, again.attached) == (number, epoch, False, True)
        assert (again.symbols["AAPL"].base_qty, again.limits.max_open_orders) == (9, 17)
        again.detach()
    assert pinned(root) == []
    with pytest.raises(NotRunning):
        query(addresses.device)


def _control(interface: str, root: Path, tell: int) -> None:
    """A child that runs an engine until it is killed."""
    try:
        engine = raised(interface, root)
        engine.take_over()
        engine.lease.beat()
        engine.resume()
        os.write(tell, b"+")
        signal.pause()
    finally:
        os._exit(1)


def test_a_killed_process_leaves_the_engine(addresses: LabAddresses, root: Path) -> None:
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        _control(addresses.device, root, tell)
    assert os.read(told, 1) == b"+"
    with Engine.adopt(addresses.device, pin=root) as watching:
        assert watching.controller == child
        with pytest.raises(ConfigError, match=f"process {child} runs this engine"):
            watching.take_over()
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert not is_controlled(watching.program.locks)
        watching.take_over()
        assert (watching.controller, watching.state) == (os.getpid(), "active")
        watching.detach()
    os.close(told)
    os.close(tell)


def test_no_lock_of_an_engine_is_a_name_that_anybody_can_take(
    addresses: LabAddresses, root: Path, tmp_path: Path
) -> None:
    with raised(addresses.device, root) as engine, Journal.open(tmp_path / "day") as journal:
        engine.take_over()
        with Recorder(engine, journal), SwapLock(engine.program), closing(FeedLock(engine, 0)), engine.change():
            names = Path("/proc/net/unix").read_text(encoding="ascii", errors="replace")
            assert [line for line in names.splitlines() if "@turbo-hft" in line and " lab " not in line] == []
            locks = engine.program.locks
            assert locks.directory.stat().st_mode & 0o777 == 0o700
            for name in ("control", "change", "strategy", "events", "journal", "recovery0"):
                assert locks.held(name), name
        assert not locks.held("change") and locks.held("control")
        assert Pins(root, addresses.device).layout.directory.stat().st_mode & 0o777 == 0o700
        engine.detach()
    assert not locks.directory.exists()


def test_one_engine_an_interface(addresses: LabAddresses, root: Path) -> None:
    with raised(addresses.device, root) as engine:
        with pytest.raises(ConfigError, match="turbo-hft run"):
            Engine.open(addresses.device, pin=root, symbols=4, orders=64, kept=64)
        engine.detach()


def test_two_starts_at_once_are_one_engine(addresses: LabAddresses, root: Path) -> None:
    sizes = LoadSettings(symbols=4, orders=64, kept=64)
    with Engine.open(addresses.device, pin=root, **sizes) as first:
        with pytest.raises(ConfigError, match="another process is starting"):
            Engine.open(addresses.device, pin=root, **sizes)
        first.attach()
        with pytest.raises(ConfigError, match="is pinned in"):
            Engine.open(addresses.device, pin=root, **sizes)
        first.detach()
    with Engine.open(addresses.device, pin=root, **sizes):
        pass  # and never attached
    Engine.open(addresses.device, pin=root, **sizes).close()


def test_what_cannot_be_attached_leaves_no_pins(addresses: LabAddresses, root: Path) -> None:
    sizes = LoadSettings(symbols=4, orders=64, kept=64)
    with Engine.open(addresses.device, **sizes) as there, Engine.open(addresses.device, pin=root, **sizes) as late:
        there.attach()
        with pytest.raises(AttachError, match="Another XDP program"):
            late.attach()
        assert pinned(root) == []


def test_what_a_process_left_that_died_before_it_was_done_is_no_engine(addresses: LabAddresses, root: Path) -> None:
    with Engine.load(symbols=4, orders=64, kept=64) as half:
        Pins(root, addresses.device).save(half.program.handle, half.program.facts().id)
    assert [(one.interface, one.link) for one in found(root)] == [(addresses.device, False)]
    with pytest.raises(NotRunning, match="no engine is pinned"):
        Engine.adopt(addresses.device, pin=root)
    with raised(addresses.device, root) as engine:
        assert [(one.interface, one.link) for one in found(root)] == [(addresses.device, True)]
        engine.detach()


def test_without_a_bpf_file_system_the_remedy_is_named(addresses: LabAddresses, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="mount -t bpf bpf /sys/fs/bpf"):
        Engine.open(addresses.device, pin=tmp_path / "not" / "there")


def test_an_interface_that_was_made_anew_is_not_the_engines(root: Path) -> None:
    names = ("hft_pins2", "hftpinc", "hftpind", "10.78.121.0/24")
    with Lab(*names) as lab:
        raised(lab.addresses.device, root).close()
    with Lab(*names) as lab, pytest.raises(NotRunning, match="an interface that is gone"):
        Engine.adopt(lab.addresses.device, pin=root)
    Pins(root, "hftpinc").remove()
    assert pinned(root) == []


def test_a_swap_moves_the_pins(addresses: LabAddresses, root: Path, tmp_path: Path) -> None:
    mine = compiled(tmp_path, BUYER, "mine")
    with raised(addresses.device, root) as engine, Engine.adopt(addresses.device, pin=root) as other:
        other.load_strategy(mine)  # another process would do: nothing is asked of CAP_SYS_ADMIN
        assert engine.user.name == "mine"
        number = engine.program.facts().id
    pins = Pins(root, addresses.device)
    assert [path.name for path in pins.layout.directory.iterdir() if path.name.isdecimal()] == [str(number)]
    assert os.readlink(pins.layout.program) == f"{number}/program"
    with Engine.adopt(addresses.device, pin=root) as again:
        assert (again.user.name, again.user.params.qty, again.program.facts().id) == ("mine", 100, number)
        again.detach()


def test_a_swap_that_was_cut_off_is_finished(
    addresses: LabAddresses, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = compiled(tmp_path, BUYER, "mine")
    with raised(addresses.device, root) as engine:
        with monkeypatch.context() as cut, pytest.raises(KeyboardInterrupt):
            cut.setattr(type(engine.user.generations), "publish", _interrupted)
            engine.load_strategy(mine)
        assert engine.user.name == ""
    with Engine.adopt(addresses.device, pin=root) as again:
        again.take_over()
        assert (again.user.name, again.user.generation) == ("mine", 1)
        assert again.user.now.first_epoch < again.user.now.settled_epoch == again.epoch
        again.detach()


def _interrupted(*arguments: object) -> None:
    raise KeyboardInterrupt


def test_a_suspended_engine_tells_what_it_was(addresses: LabAddresses, root: Path) -> None:
    with raised(addresses.device, root) as engine:
        engine.lease.beat()
        engine.resume()
        engine.suspend()
        with Engine.adopt(addresses.device, pin=root) as again:
            assert (again.state, again.suspended_from) == ("halted", "active")
        engine.resume()
        engine.suspend(lifts=False)
        assert engine.suspended_from == "halted"
        engine.halt()
        assert engine.suspended_from == "halted"
        engine.detach()


def test_a_reader_that_is_killed_leaves_what_it_had_in_its_hands() -> None:
    with Engine.load(symbols=4, orders=64, kept=64) as engine:
        engine.configure(lab_session(), lab_feed())
        engine.symbols.add("AAPL")
        engine.orders.send = lambda frame: None
        for _ in range(3):
            with pytest.raises(OrderRefused, match="session_down"):
                engine.orders.enter("AAPL", "buy", 1, "1.00")
        child = os.fork()
        if child == 0:
            _read_and_die(engine)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL
        assert [event.id for event in engine.events.drain()] == [1, 2, 3]
        assert engine.events.drain() == []


def _read_and_die(engine: Engine) -> None:
    try:
        if len(engine.events.drain()) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
    finally:
        os._exit(1)
