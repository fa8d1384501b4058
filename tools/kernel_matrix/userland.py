"""What a guest needs to run a Python program of ours: the interpreter, the modules, their libraries. No compiler, no
header, nothing that is not loaded. Every file lies where it lies on this machine."""

from __future__ import annotations

import encodings.ascii
import importlib.util
import py_compile
import re
import struct
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

from tools.kernel_matrix.errors import MatrixError

_UNCHECKED = struct.pack("<IQ", 1, 0)  # of a .pyc's header: by hash, and nobody asks for it
_CHECKED_BYTES = 16


def _libraries(binaries: Iterable[str]) -> set[str]:
    """Shared libraries, and the loader, by the names that they are looked for."""
    result = subprocess.run(["ldd", *binaries], capture_output=True, text=True, check=False)
    missing = re.findall(r"^\s*(\S+) => not found", result.stdout, flags=re.MULTILINE)
    if result.returncode or missing:
        raise MatrixError(f"ldd does not find all libraries: {result.stderr.strip()} {' '.join(missing)}")
    return set(re.findall(r"(/\S+) \(0x", result.stdout))


def _compiled(source: str) -> tuple[str, bytes]:
    """Path and bytes of a module's byte code, good whatever time the guest gives its source."""
    cached = Path(importlib.util.cache_from_source(source))
    if not cached.exists() or cached.stat().st_mtime < Path(source).stat().st_mtime:
        py_compile.compile(source, doraise=True)
    raw = cached.read_bytes()
    return str(cached), raw[:4] + _UNCHECKED + raw[_CHECKED_BYTES:]


def files(modules: Iterable[str]) -> dict[str, tuple[int, bytes]]:
    """Of a guest that runs this interpreter with these modules (their files), as `initramfs.archive` wants them.

    Raises MatrixError for a library that is not here.
    """
    packages = Path(sysconfig.get_path("purelib"))
    found = {sys.executable, str(Path(sys.prefix) / "pyvenv.cfg"), *map(str, packages.glob("*.pth")), *modules}
    found.add(encodings.ascii.__file__)  # of the locale of a guest that has none, in which it reads those .pth
    found |= _libraries([sys.executable, *(name for name in found if ".so" in Path(name).suffixes)])
    guest = {name.lstrip("/"): (0o755, Path(name).read_bytes()) for name in found}  # the loader has to be executable
    for name in found:
        if name.endswith(".py"):
            path, content = _compiled(name)
            guest[path.lstrip("/")] = (0o644, content)
    return guest
