"""native/smoke.c: built static, and run on this machine's own kernel."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tools.kernel_matrix.errors import MatrixError
from tools.kernel_matrix.figures import Run, parse

ROOT = Path(__file__).resolve().parents[2]
OBJECT = ROOT / "build" / "xdp_hft.bpf.o"
SOURCES = (ROOT / "native" / "smoke.c", ROOT / "native" / "tap.c", ROOT / "native" / "privileges.c")
BINARY = ROOT / "build" / "smoke"
_FLAGS = ["-O2", "-Wall", "-Wextra", "-static", f"-I{ROOT / 'build'}"]
_LIBRARIES = ["-lbpf", "-lelf", "-lz"]


def build() -> Path:
    """Compile the smoke program unless it is newer than its source."""
    parts = (*SOURCES, ROOT / "native" / "privileges.h", ROOT / "native" / "tap.h", ROOT / "build" / "tap.skel.h")
    if not parts[-1].exists():
        raise MatrixError(f"{parts[-1]} is missing: run `make`.")
    if BINARY.exists() and BINARY.stat().st_mtime > max(part.stat().st_mtime for part in parts):
        return BINARY
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise MatrixError("gcc is missing: run `make deps`.")
    BINARY.parent.mkdir(exist_ok=True)
    # Under a name of its own first: two builds at once must not see each other's half.
    made = BINARY.with_suffix(f".{os.getpid()}")
    try:
        command = [compiler, *_FLAGS, *map(str, SOURCES), "-o", str(made), *_LIBRARIES]
        if subprocess.run(command, check=False).returncode:
            raise MatrixError(
                "native/smoke.c does not build: it needs libbpf-dev, libelf-dev and zlib1g-dev (make deps)."
            )
        made.replace(BINARY)
    finally:
        made.unlink(missing_ok=True)
    return BINARY


def run_here(bpf_object: Path, script: Path | None = None) -> Run:
    """Load the object on this kernel and play the script, without a wire. Raises MatrixError with what was said."""
    if not bpf_object.exists():
        raise MatrixError(f"{bpf_object} is missing: run `make`.")
    command = [str(build()), str(bpf_object), *([str(script)] if script else [])]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    run = parse(result.stdout)
    run.messages += result.stderr.splitlines()
    if result.returncode or not run.passed:
        told = "\n".join(run.messages) or f"exit {result.returncode}"
        raise MatrixError(f"this machine's kernel ({run.release}) does not do what was recorded on it:\n{told}")
    return run
