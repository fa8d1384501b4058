"""The locks of one engine: files in a directory that only its user can enter, below /dev/shm.

They are flocks: the kernel gives them back when their holder dies, so nothing is stale after a kill. Who may hold them
is who may control the engine: the directory is 0700, and its name comes of the engine's secret (`command_nonce`), so
nobody else can make it first. It stays as long as the engine may: a name that was seen and is free could be taken.

/dev/shm, because every user has it, services with a private /tmp too, and it ends with the boot, as engines do.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import stat
import time
from pathlib import Path
from types import TracebackType

from turbo_hft.errors import ConfigError

ROOT = Path("/dev/shm")
_PREFIX = "turbo-hft-"
_OWNER_ONLY = 0o700
_ANY_HOLDER = 0o444  # inside the directory: root's files and the user's are the same locks
_HOW = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
_PAUSE_S = 0.0002
_LIFE = "life"  # held by the process with which an engine ends
_BORN = "born"  # its name until it is held: a life that nobody holds is over
_NAMES = ("control", "change", "strategy", "events", "journal", "recovery0", "recovery1", "recovery2", "recovery3")


class Lock:
    """One that is held, until `close` or the end of this process."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def close(self) -> None:
        """Let another have it."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Lock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def locked(fd: int, deadline: float) -> bool:
    """Have an open file to oneself, if that can be had by `deadline` (monotonic)."""
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_PAUSE_S)
        else:
            return True


def held(path: Path) -> bool:
    """Has anybody got the lock on a file or directory? Nobody, as far as one can see, if it cannot be opened."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


class Locks:
    """Those of the engine with this secret."""

    def __init__(self, secret: int, root: Path = ROOT) -> None:
        name = hashlib.blake2b(secret.to_bytes(8, "little"), digest_size=16, person=b"turbo-hft locks").hexdigest()
        self.directory = root / f"{_PREFIX}{name}"
        self._life: Lock | None = None
        self._checked = False  # it is there, and ours

    def take(self, name: str, wait_s: float = 0.0) -> Lock | None:
        """A lock, or None if another has it for so long. Raises ConfigError where none can be had at all."""
        fd = self._open(name)
        if locked(fd, time.monotonic() + wait_s):
            return Lock(fd)
        os.close(fd)
        return None

    def held(self, name: str) -> bool:
        """Has anybody got it? Nothing is made, and whoever takes it meanwhile is kept from it for no longer than he
        waits anyway."""
        return held(self.directory / name)

    def begin(self) -> None:
        """Of a fresh engine: its files are made now, and not when memory is short. `end` is to be said."""
        clear_away(self.directory.parent)
        self._life = self.take(_BORN)
        (self.directory / _BORN).rename(self.directory / _LIFE)
        for name in _NAMES:
            os.close(self._open(name))

    def outlives(self) -> None:
        """The engine does not end with this process."""
        with contextlib.suppress(FileNotFoundError):
            (self.directory / _LIFE).unlink()
        self.close()

    def end(self) -> None:
        """The engine is no more."""
        self.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def close(self) -> None:
        """Give back what `begin` has taken; the directory stays."""
        if self._life is not None:
            self._life.close()
            self._life = None

    def _open(self, name: str) -> int:
        try:
            if self._checked:
                with contextlib.suppress(FileNotFoundError):
                    return os.open(self.directory / name, _HOW)
            self._make()
            fd = os.open(self.directory / name, _HOW | os.O_CREAT, _ANY_HOLDER)
            if os.fstat(fd).st_uid == os.geteuid():
                os.fchmod(fd, _ANY_HOLDER)  # whatever the umask
        except OSError as error:
            raise ConfigError(
                f"cannot use the engine's locks, {self.directory / name}: {error.strerror}. {self.directory.parent} "
                "must be a file system that this user may write to, with room."
            ) from None
        return fd

    def _make(self) -> None:
        with contextlib.suppress(FileExistsError):
            self.directory.mkdir(mode=_OWNER_ONLY)
        about = self.directory.lstat()
        trusted = os.geteuid() in (0, about.st_uid) or not about.st_uid
        if not stat.S_ISDIR(about.st_mode) or about.st_mode & 0o077 or not trusted:
            raise ConfigError(
                f"{self.directory} is not this engine's: it belongs to user {about.st_uid}, mode "
                f"{stat.S_IMODE(about.st_mode):o}. Take it away as root, and look for who made it."
            )
        self._checked = True


def clear_away(root: Path = ROOT) -> None:
    """Take away what processes have left that were killed, of engines that ended with them."""
    for directory in root.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if directory.lstat().st_uid != os.geteuid():
                continue
            fd = os.open(directory / _LIFE, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(fd).st_nlink:  # otherwise the engine was to outlive its process, a moment ago
                    shutil.rmtree(directory, ignore_errors=True)
            finally:
                os.close(fd)
