"""Where an engine is pinned, and where its process can be asked: paths only. Nothing is touched here.

    ROOT/v4/eth0/link                the attachment: an engine is there if, and as long as, this is
    ROOT/v4/eth0/program             -> 57/program, for people and bpftool
    ROOT/v4/eth0/57/program          the program of that kernel id, with all its maps
    ROOT/v4/eth0/57/maps/control

    /run/turbo-hft/eth0/read.sock    the control socket for who may read
    /run/turbo-hft/eth0/trade.sock   the one for who may trade

The link knows which program it holds, so a directory for each program makes one of them the valid one at every moment,
whatever died in between. A BPF file system takes no dots in names: they are written ``%2e``, and ``%`` ``%25``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from turbo_hft.errors import ConfigError

DEFAULT_ROOT = Path("/sys/fs/bpf/turbo_hft")
DEFAULT_CONTROL_ROOT = Path("/run/turbo-hft")
LINK = "link"
PROGRAM = "program"
MAPS = "maps"
_VERSION = "v"
_MOST_NAME = 15  # of an interface: IFNAMSIZ less its end
_MOST_SOCKET_PATH = 107  # sun_path less its end


def quoted(name: str) -> str:
    """A name as a BPF file system takes it."""
    return name.replace("%", "%25").replace(".", "%2e")


def unquoted(name: str) -> str:
    """The name again."""
    return name.replace("%2e", ".").replace("%25", "%")


@dataclass(frozen=True, slots=True)
class ProgramPins:
    """Paths of one program."""

    directory: Path

    @property
    def program(self) -> Path:
        """The program itself."""
        return self.directory / PROGRAM

    @property
    def maps(self) -> Path:
        """The directory of its maps."""
        return self.directory / MAPS

    def map(self, name: str) -> Path:
        """A map, by the kernel's name of it."""
        return self.maps / quoted(name)


def check_name(name: str) -> None:
    """Raise ConfigError for a name that no interface can have."""
    if not 0 < len(name) <= _MOST_NAME or name in (".", "..") or any(c in "/:" or c.isspace() for c in name):
        raise ConfigError(f"interface {name!r}: give a name as `ip link` lists them, at most {_MOST_NAME} long.")


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths of one engine. Raises ConfigError for a name that no interface can have."""

    root: Path
    abi: int
    interface: str

    def __post_init__(self) -> None:
        check_name(self.interface)

    @property
    def directory(self) -> Path:
        """All that is pinned of it."""
        return version_directory(self.root, self.abi) / quoted(self.interface)

    @property
    def link(self) -> Path:
        """The attachment."""
        return self.directory / LINK

    @property
    def program(self) -> Path:
        """A symbolic link to the program that is in force."""
        return self.directory / PROGRAM

    def of(self, program_id: int) -> ProgramPins:
        """The program of a kernel id."""
        return ProgramPins(self.directory / str(program_id))


def version_directory(root: Path, abi: int) -> Path:
    """All engines of one ABI version."""
    return root / f"{_VERSION}{abi}"


def abi_of(directory_name: str) -> int | None:
    """The ABI version that a directory of the root is for, None for anything else."""
    number = directory_name.removeprefix(_VERSION)
    return int(number) if directory_name.startswith(_VERSION) and number.isdecimal() else None


@dataclass(frozen=True, slots=True)
class ControlLayout:
    """Paths of the control sockets of one engine. Raises ConfigError for a name that no interface can have, and for a
    root that is too long for a socket."""

    root: Path
    interface: str

    def __post_init__(self) -> None:
        check_name(self.interface)
        if len(str(self.trade).encode()) > _MOST_SOCKET_PATH:
            raise ConfigError(f"{self.root}: a control socket's path has at most {_MOST_SOCKET_PATH} characters.")

    @property
    def directory(self) -> Path:
        """Both."""
        return self.root / self.interface

    @property
    def read(self) -> Path:
        """For who may read."""
        return self.directory / "read.sock"

    @property
    def trade(self) -> Path:
        """For who may trade, and read."""
        return self.directory / "trade.sock"
