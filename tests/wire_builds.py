"""Builds of delegated sends that go without a guard, or that die at a step: what tests of them must notice."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from cffi import FFI
from turbo_hft.delegated.connection import Native

from tools.clauses import ROOT, SOURCE, compiler

_DELEGATED = ("ack", "delegated", "egress", "keeper", "merge")
_TYPES = "struct hft_tcp_wire;\n"


def _without(guards: Iterable[str]) -> list[str]:
    return [f"-DHFT_WITHOUT_{guard}=1" for guard in guards]


def _run(command: list[str]) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert result.returncode == 0, result.stderr


def hook_without(folder: Path, *guards: str) -> bytes:
    """The XDP program without these guards."""
    target = folder / f"hook_{'_'.join(guards)}.o"
    _run([*compiler(), *_without(guards), "-Wno-unused", "-c", SOURCE, "-o", str(target)])
    return target.read_bytes()


def native_without(folder: Path, *guards: str, die_at: int = 0) -> Path:
    """What runs in user space, without these guards; `die_at`: a step of a merge at which the process kills itself."""
    target = folder / f"native_{'_'.join(guards)}_{die_at}.so"
    sources = [f"native/delegated/{name}.c" for name in _DELEGATED] + ["native/constant.c"]
    flags = [
        "-O2",
        "-Wall",
        "-Wno-unused",
        "-shared",
        "-fPIC",
        "-Ibuild",
        "-Ibpf",
        "-Inative",
        f"-DHFT_DIE_AT={die_at}",
    ]
    _run(["gcc", *flags, *_without(guards), *sources, "-o", str(target), "-lbpf", "-lpthread"])
    return target


def opened(library: Path) -> Native:
    """What `native_without` built."""
    ffi = FFI()
    header = (ROOT / "native" / "delegated" / "delegated.h").read_text()
    ffi.cdef(_TYPES + re.sub(r"^#.*$", "", re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL), flags=re.MULTILINE))
    return Native(ffi, ffi.dlopen(str(library)))
