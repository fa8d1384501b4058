"""Debian's kernels for virtual machines: found, downloaded once, unpacked into a cache, never installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tools.kernel_matrix.apt import Apt
from tools.kernel_matrix.errors import MatrixError, Unavailable

# The flavour made for virtual machines: small, and it boots on nothing but a serial line.
_FLAVOUR = "cloud-amd64"
# The oldest kernel the engine promises, and the newest that Debian 12 has.
DEFAULT = ("6.1", "6.12")


@dataclass(frozen=True, slots=True)
class Kernel:
    """One unpacked kernel. `series`: what was asked for, such as 6.12."""

    series: str
    release: str
    image: Path
    modules: Path


def cache() -> Path:
    """Where kernels are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "turbo-hft" / "kernels"


def _order(name: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", name))


def _pattern(series: str) -> re.Pattern[str]:
    # linux-image-6.1.0-50-cloud-amd64, linux-image-6.12.48+deb12-cloud-amd64; neither -dbg nor -unsigned.
    return re.compile(rf"linux-image-{re.escape(series)}(\.\d+)*(\+\w+)?(-\d+)?-{_FLAVOUR}")


def _unpacked(series: str) -> Kernel | None:
    """The newest kernel of this series in the cache."""
    pattern = _pattern(series)
    found = [path for path in cache().glob(f"linux-image-{series}*") if pattern.fullmatch(path.name)]
    for directory in sorted(found, key=lambda path: _order(path.name), reverse=True):
        images = list(directory.glob("boot/vmlinuz-*"))
        if images:
            release = images[0].name.removeprefix("vmlinuz-")
            places = (directory / "lib/modules" / release, directory / "usr/lib/modules" / release)
            modules = next((place for place in places if place.is_dir()), None)
            if modules:
                return Kernel(series, release, images[0], modules)
    return None


def _newest(apt: Apt, series: str) -> str | None:
    names = [name for name in apt.names(f"linux-image-{series}") if _pattern(series).fullmatch(name)]
    return max(names, key=_order, default=None)


def _unpack(package: Path, name: str) -> None:
    """Appears in the cache whole or not at all."""
    with tempfile.TemporaryDirectory(dir=cache(), prefix=".unpack-") as scratch:
        if subprocess.run(["dpkg-deb", "-x", str(package), scratch + "/it"], check=False).returncode:
            package.unlink()
            raise MatrixError(f"dpkg-deb could not unpack {package.name}; it was removed: run this again.")
        shutil.rmtree(cache() / name, ignore_errors=True)
        os.rename(scratch + "/it", cache() / name)
    package.unlink()


def _take(apt: Apt, name: str) -> None:
    if not (cache() / name).exists():
        _unpack(apt.download(name), name)


def _fetch(series: str) -> None:
    directory = cache() / "apt"
    directory.mkdir(parents=True, exist_ok=True)
    apt = Apt(directory)
    name = _newest(apt, series)
    try:
        if name is not None:
            _take(apt, name)
            return
    except Unavailable:
        pass  # the machine's lists are old, and the package they name is gone
    print(f"kernel-matrix: fetching package lists, to look for Linux {series}", file=sys.stderr)
    apt.use_private_lists()
    name = _newest(apt, series)
    if name is None:
        raise Unavailable(
            f"apt knows no linux-image-{series}*-{_FLAVOUR}: is the network there, and is the suite that has it "
            "(for Debian 12: bookworm-security) among apt's sources?"
        )
    _take(apt, name)


def kernel(series: str, *, update: bool = False) -> Kernel:
    """A kernel of this series: from the cache, or downloaded; `update` looks for a newer one. Raises Unavailable."""
    if not re.fullmatch(r"\d+\.\d+(\.\d+)?", series):
        raise MatrixError(f"kernel {series!r}: give a series such as 6.1 or 6.12.")
    found = None if update else _unpacked(series)
    if found is None:
        _fetch(series)
        found = _unpacked(series)
    if found is None:
        raise MatrixError(
            f"the package of Linux {series} holds no kernel with modules: remove {cache()} and run again."
        )
    return found
