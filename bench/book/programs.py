"""The contestants' programs: compiled into build/bench/, which is not part of the repository."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.book.errors import BenchError

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "bench" / "book"
BUILD = ROOT / "build"
_OURS = ["-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", "-Wno-sign-compare"]
_FAST = ["-O3", "-march=native", "-Wno-invalid-feature-combination"]
_INCLUDES = [f"-I{path}" for path in (BUILD, ROOT / "bpf", ROOT / "native", SOURCES)]


@dataclass(frozen=True, slots=True)
class Programs:
    """Paths of what was built; None where no checkout was given."""

    chase: Path
    generate: Path
    hook: Path
    native: Path
    itch_order_book: Path | None
    cpptrader: Path | None


def compiler(name: str) -> str:
    """clang-19, or the clang there is. Raises BenchError."""
    found = shutil.which(f"{name}-19") or shutil.which(name)
    if not found:
        raise BenchError(f"{name} is missing: clang-19 compiles the contestants.")
    return found


def _compile(name: str, command: list[str]) -> Path:
    target = BUILD / "bench" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    result = subprocess.run([*command, "-o", str(target)], capture_output=True, text=True, check=False)
    if result.returncode:
        raise BenchError(f"{name} does not compile:\n{result.stderr.strip()}")
    return target


def _itch_order_book(checkout: Path) -> Path:
    if not (checkout / "order_book.h").is_file():
        raise BenchError(f"{checkout} is no checkout of itch-order-book: it has no order_book.h.")
    words = [*_FAST, *_OURS, "-std=c++17", "-DNDEBUG", "-include", "cstring", "-include", "cassert"]
    sources = [SOURCES / "peer_itch_order_book.cpp", checkout / "bufferedreader.cpp"]
    command = [compiler("clang++"), *words, f"-I{SOURCES}", "-isystem", checkout, *sources]
    return _compile("peer_itch_order_book", [str(word) for word in command])


def _cpptrader(checkout: Path) -> Path:
    example = checkout / "performance" / "market_manager_optimized_aggressive.cpp"
    if not example.is_file():
        raise BenchError(f"{checkout} is no checkout of CppTrader: it has no performance/{example.name}.")
    words = [*_FAST, *_OURS, "-std=c++20", "-DNDEBUG", f"-I{SOURCES}", f"-I{SOURCES / 'cppcommon'}"]
    command = [compiler("clang++"), *words, "-isystem", checkout, "-isystem", checkout / "include"]
    return _compile("peer_cpptrader", [str(word) for word in (*command, SOURCES / "peer_cpptrader.cpp")])


def build(itch_order_book: Path | None, cpptrader: Path | None) -> Programs:
    """Compile everything. Raises BenchError."""
    if not (BUILD / "xdp_hft.skel.h").is_file():
        raise BenchError("build/xdp_hft.skel.h is missing: `make` leaves it there.")
    clang = [compiler("clang"), *_OURS, *_INCLUDES]
    native = ROOT / "native"
    sources = {
        "chase": ["-O2", "-D_GNU_SOURCE", SOURCES / "chase.c"],
        "generate": ["-O2", SOURCES / "generate.c", native / "market.c", native / "reference.c"],
        "hook": [
            "-O2",
            SOURCES / "hook.c",
            *(native / name for name in ("engine.c", "link.c", "constant.c")),
            "-lbpf",
            "-lelf",
            "-lz",
        ],
        "native": ["-O2", SOURCES / "native.c"],
    }
    built = {name: _compile(name, [*clang, *map(str, words)]) for name, words in sources.items()}
    return Programs(
        built["chase"],
        built["generate"],
        built["hook"],
        built["native"],
        _itch_order_book(itch_order_book) if itch_order_book else None,
        _cpptrader(cpptrader) if cpptrader else None,
    )
