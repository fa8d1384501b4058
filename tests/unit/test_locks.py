"""The locks of an engine: one holder, none that is dead, and nobody of another user."""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from turbo_hft import locks as module
from turbo_hft.errors import ConfigError
from turbo_hft.locks import Locks, clear_away

NOBODY = 65_534


@pytest.fixture
def locks() -> Iterator[Locks]:
    """In a directory that everybody may write to, as /dev/shm is, and come to."""
    with TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o1777)
        made = Locks(77, root)
        yield made
        made.close()


def child(what: Callable[[], None], uid: int | None = None) -> int:
    """Exit code of a process that does that, 1 after an exception."""
    pid = os.fork()
    if not pid:
        try:
            if uid is not None:
                os.setgroups([])
                os.setgid(uid)
                os.setuid(uid)
            what()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_one_holder_and_none_that_was_killed(locks: Locks) -> None:
    def hold() -> None:
        assert locks.take("control") is not None
        os.kill(os.getpid(), signal.SIGKILL)

    held = locks.take("control")
    assert held is not None and locks.held("control") and locks.take("control") is None
    assert not locks.held("change") and not locks.held("never made")
    held.close()
    assert not locks.held("control")
    assert child(hold) == -signal.SIGKILL
    again = locks.take("control")
    assert again is not None
    again.close()


def test_another_user_neither_holds_nor_sees_them(locks: Locks) -> None:
    if os.geteuid():
        pytest.skip("only root can be somebody else")
    locks.begin()

    def cannot() -> None:
        for look in (lambda: os.listdir(locks.directory), lambda: os.stat(locks.directory / "control")):
            with pytest.raises(PermissionError):
                look()
        with pytest.raises(ConfigError, match=r"not this engine's|Permission denied"):
            locks.take("control")
        with pytest.raises(PermissionError):
            os.open(locks.directory / "control", os.O_RDONLY)
        with pytest.raises(PermissionError):
            locks.directory.rename(locks.directory.with_name("elsewhere"))
        at = os.open(locks.directory.parent, os.O_RDONLY)
        fcntl.flock(at, fcntl.LOCK_EX)  # what he can have says nothing

    assert child(cannot, NOBODY) == 0
    assert locks.take("control") is not None


def test_one_that_another_user_has_made_is_named(locks: Locks) -> None:
    if os.geteuid():
        pytest.skip("only root can be somebody else")
    locks.directory.mkdir(mode=0o777)
    locks.directory.chmod(0o777)
    os.chown(locks.directory, NOBODY, NOBODY)
    with pytest.raises(ConfigError, match=f"belongs to user {NOBODY}, mode 777"):
        locks.take("control")


def test_what_a_killed_process_leaves_is_cleared_away_and_nothing_else(locks: Locks) -> None:
    root = locks.directory.parent

    def killed() -> None:
        Locks(1, root).begin()
        os.kill(os.getpid(), signal.SIGKILL)

    def left() -> None:
        pinned = Locks(2, root)
        pinned.begin()
        pinned.outlives()

    assert child(killed) == -signal.SIGKILL and child(left) == 0
    locks.begin()
    clear_away(root)
    assert {path.name for path in root.iterdir()} == {Locks(2, root).directory.name, locks.directory.name}
    locks.end()
    assert not locks.directory.exists()


def test_one_that_begins_is_not_cleared_away(locks: Locks, monkeypatch: pytest.MonkeyPatch) -> None:
    """By another that begins, before it holds its life."""
    root, locked = locks.directory.parent, module.locked

    def beside(fd: int, deadline: float) -> bool:
        clear_away(root)
        return locked(fd, deadline)

    monkeypatch.setattr(module, "locked", beside)
    locks.begin()
    clear_away(root)
    assert (locks.directory / "life").exists() and (locks.directory / "control").exists()


def test_one_that_outlives_its_process_is_not_cleared_away(locks: Locks, monkeypatch: pytest.MonkeyPatch) -> None:
    """By another that begins at that moment, and looks at its life already."""
    locks.begin()
    flock = fcntl.flock

    def late(fd: int, how: int) -> None:
        locks.outlives()
        flock(fd, how)

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", late)
        clear_away(locks.directory.parent)
    assert (locks.directory / "control").exists()
