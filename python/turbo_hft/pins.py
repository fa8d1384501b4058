"""Pins of an engine: what keeps its program attached and its maps alive when no process has them open any more.

The link is pinned last and taken away first. So an engine is pinned whole or not at all, and what a process that died
in the middle has left behind is told from it: it has no link (`turbo_hft.layout`).
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from turbo_hft import abi, locks
from turbo_hft._native import ffi, lib
from turbo_hft.errors import CapabilityError, ConfigError, NotRunning, TurboHftError
from turbo_hft.layout import DEFAULT_ROOT, MAPS, PROGRAM, Layout, abi_of, unquoted

_OWNER_ONLY = 0o700
_NEW = "new"  # a name next to `program`: renamed over it


class LinkFacts(NamedTuple):
    """What a link holds: kernel id of its program, index of its interface (0: gone)."""

    program_id: int
    ifindex: int


class PinnedLink:
    """A pinned link that is open. `fd` is its owner's to close."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def facts(self) -> LinkFacts:
        """What it holds now."""
        program_id, ifindex = ffi.new("unsigned int *"), ffi.new("unsigned int *")
        error = lib.hft_link_facts(self.fd, program_id, ifindex)
        if error:
            raise _failed(error, "cannot ask a pinned link what it holds")
        return LinkFacts(int(program_id[0]), int(ifindex[0]))

    def detach(self) -> None:
        """Its program leaves the interface, although others have the link open. Nothing happens if it has left."""
        error = lib.hft_link_detach(self.fd)
        if error:
            raise _failed(error, "cannot take the program off its interface")


def _failed(code: int, what: str) -> TurboHftError:
    if code in (-errno.EPERM, -errno.EACCES):
        return CapabilityError(
            f"{what}: {os.strerror(-code)}. This needs CAP_BPF, and a directory that belongs to this user: "
            "`install -d -o USER DIR`, and --pin-root DIR."
        )
    return TurboHftError(f"{what}: {os.strerror(-code)}")


def check_bpffs(root: Path) -> None:
    """Raise ConfigError unless things can be pinned below `root`."""
    at = root
    while not at.exists() and at != at.parent:
        at = at.parent
    found = lib.hft_on_bpffs(os.fsencode(at))
    if found < 0:
        raise _failed(found, f"cannot look at {at}")
    if not found:
        raise ConfigError(
            f"{root} is on no BPF file system, and nothing can be pinned there: `mount -t bpf bpf /sys/fs/bpf`, or "
            "give --pin-root a directory on one."
        )


class Pins:
    """The pins of the engine on one interface, whether they are there or not."""

    def __init__(self, root: str | Path, interface: str) -> None:
        self.layout = Layout(Path(root), abi.VERSION, interface)

    @property
    def interface(self) -> str:
        """Whose engine it is."""
        return self.layout.interface

    @property
    def there(self) -> bool:
        """Is an engine pinned? Raises CapabilityError where this user may not look."""
        try:
            return self.layout.link.exists()
        except PermissionError as error:
            raise _failed(-(error.errno or errno.EACCES), f"cannot look into {self.layout.root}") from None

    # Make

    def save(self, handle: Any, program_id: int) -> None:
        """Pin a program and all its maps; it is not in force before the link holds it. Raises ConfigError,
        CapabilityError."""
        check_bpffs(self.layout.root)
        of = self.layout.of(program_id)
        try:
            self._clear(of.directory)
            _make(of.maps)
        except OSError as error:
            raise _failed(-(error.errno or errno.EIO), f"cannot make {of.maps}") from None
        taken: set[str] = set()
        for name, fd in _maps(handle):
            path = of.map(name)
            while path.name in taken:  # two maps of a user's object whose names begin alike
                path = path.with_name(path.name + "+")
            taken.add(path.name)
            self._pin(fd, path)
        self._pin(lib.hft_program_fd(handle), of.program)

    def commit(self, link: int, program_id: int) -> None:
        """Pin the link: from here on the engine outlives this process."""
        self.point(program_id)
        self._pin(link, self.layout.link)

    def point(self, program_id: int) -> None:
        """Have `program` name the one that is in force: the name changes in one step."""
        new = self.layout.directory / _NEW
        try:
            with contextlib.suppress(FileNotFoundError):
                new.unlink()
            new.symlink_to(Path(str(program_id), PROGRAM))
            new.replace(self.layout.program)
        except OSError as error:
            raise _failed(-(error.errno or errno.EIO), f"cannot make {self.layout.program}") from None

    def _pin(self, fd: int, path: Path) -> None:
        error = lib.hft_pin(fd, os.fsencode(path))
        if error:
            raise _failed(error, f"cannot pin {path}")

    # Find

    def open_link(self) -> PinnedLink:
        """Raises NotRunning when no engine is pinned."""
        fd = lib.hft_open_pin(os.fsencode(self.layout.link))
        if fd == -errno.ENOENT:
            raise NotRunning(f"no engine is pinned for {self.interface} below {self.layout.root}.")
        if fd < 0:
            raise _failed(fd, f"cannot open {self.layout.link}")
        return PinnedLink(fd)

    @property
    def orphaned(self) -> bool:
        """Is its interface gone, in whatever network namespace that was? Raises NotRunning."""
        link = self.open_link()
        try:
            return not link.facts().ifindex
        finally:
            os.close(link.fd)

    def open_program(self, program_id: int) -> Any:
        """A ``struct hft_object *`` of a program by its pins. Raises NotRunning when it is not pinned."""
        of = self.layout.of(program_id)
        fds: list[int] = []
        try:
            program = self._open(of.program)
            fds.append(program)
            fds += [self._open(of.maps / name) for name in sorted(os.listdir(of.maps))]
            error = ffi.new("int *")
            handle = lib.hft_hold(program, ffi.new("int[]", fds[1:]), len(fds) - 1, error)
            if handle == ffi.NULL:
                raise _failed(error[0], f"cannot use what is pinned in {of.directory}")
            return handle
        except FileNotFoundError:
            raise NotRunning(f"program {program_id} is not pinned for {self.interface}.") from None
        except PermissionError as error:
            raise _failed(-(error.errno or errno.EACCES), f"cannot look into {of.maps}") from None
        finally:
            for fd in fds:
                os.close(fd)

    @staticmethod
    def _open(path: Path) -> int:
        fd = lib.hft_open_pin(os.fsencode(path))
        if fd == -errno.ENOENT:
            raise FileNotFoundError(path)
        if fd < 0:
            raise _failed(fd, f"cannot open {path}")
        return int(fd)

    # Take away

    def remove(self) -> None:
        """Take the program off its interface, whoever has its link open, and all pins away, the link first. Raises
        CapabilityError, TurboHftError."""
        with contextlib.suppress(NotRunning):
            link = self.open_link()
            try:
                link.detach()
            finally:
                os.close(link.fd)
        with contextlib.suppress(FileNotFoundError):
            self.layout.link.unlink()
        self._clear(self.layout.directory)
        for directory in (self.layout.directory.parent, self.layout.root):
            with contextlib.suppress(OSError):  # it is another engine's too
                if directory.stat().st_uid == os.geteuid():  # and not a place that root has made for a user
                    directory.rmdir()

    def clear(self) -> None:
        """Take all pins away, the link first, and leave the directory: for who begins anew in it."""
        with contextlib.suppress(FileNotFoundError):
            self.layout.link.unlink()
        for entry in list(self.layout.directory.iterdir()):
            if entry.is_dir() and not entry.is_symlink():
                self._clear(entry)
            else:
                entry.unlink(missing_ok=True)

    def open_directory(self) -> int:
        """A descriptor of it, which is made if it is not there. Raises ConfigError, CapabilityError."""
        try:
            _make(self.layout.directory)
            return os.open(self.layout.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise _failed(-(error.errno or errno.EIO), f"cannot make {self.layout.directory}") from None

    @property
    def starting(self) -> bool:
        """Is a process about to pin an engine there (`control_lock.StartLock`)?"""
        return locks.held(self.layout.directory)

    def is_directory(self, fd: int) -> bool:
        """Is that what the path still names?"""
        try:
            return os.path.samestat(os.fstat(fd), self.layout.directory.stat())
        except FileNotFoundError:
            return False

    def keep_only(self, program_id: int) -> None:
        """Take the pins of every other program away: what a swap leaves behind."""
        self.point(program_id)
        for entry in self.layout.directory.iterdir():
            if entry.name.isdecimal() and entry.name != str(program_id):
                self._clear(entry)

    @staticmethod
    def _clear(directory: Path) -> None:
        """Remove a directory of pins, which is at most two levels deep."""
        for path in (directory / MAPS, directory):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                for entry in list(path.iterdir()):
                    if entry.is_dir() and not entry.is_symlink():
                        Pins._clear(entry)
                    else:
                        entry.unlink(missing_ok=True)
                path.rmdir()


def _maps(handle: Any) -> Iterator[tuple[str, int]]:
    name, index = ffi.new("char const **"), 0
    while (fd := lib.hft_map_at(handle, index, name)) >= 0:
        yield ffi.string(name[0]).decode(), fd
        index += 1


def _make(directory: Path) -> None:
    """It, and those above that are missing, for this user alone."""
    if not directory.is_dir():
        _make(directory.parent)
        directory.mkdir(mode=_OWNER_ONLY, exist_ok=True)


@dataclass(frozen=True, slots=True)
class Found:
    """A directory of pins: of an engine, or (`link` False) what a process that died has left."""

    interface: str
    abi: int
    link: bool


def found(root: str | Path = DEFAULT_ROOT) -> list[Found]:
    """What is pinned below a root, of every ABI version, by interface. Empty without a root."""
    here: list[Found] = []
    # PermissionError: what a user may not look at is not listed; the interfaces say that there is something.
    with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
        for version in Path(root).iterdir():
            number = abi_of(version.name)
            if number is None:
                continue
            for directory in version.iterdir():
                here.append(Found(unquoted(directory.name), number, (directory / "link").exists()))
    return sorted(here, key=lambda one: (one.interface, one.abi))
