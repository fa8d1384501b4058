"""native/swap_smoke.c: swaps a user's strategy on another kernel.

`python -m tools.kernel_matrix.swaps mine.o 6.1 6.12`: exit codes as those of the matrix.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.kernel_matrix import guest, kernels
from tools.kernel_matrix.errors import UNAVAILABLE, MatrixError, Unavailable
from tools.kernel_matrix.smoke import ROOT

TIMEOUT_S = 120.0
_SOURCES = ("swap_smoke.c", "engine.c", "link.c")


def build(target: Path) -> None:
    """The program, static. Raises MatrixError."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None or not (ROOT / "build" / "xdp_hft.skel.h").exists():
        raise MatrixError("gcc or build/xdp_hft.skel.h is missing: run `make`.")
    include = [f"-I{ROOT / name}" for name in ("build", "bpf", "native")]
    sources = [str(ROOT / "native" / name) for name in _SOURCES]
    command = [compiler, "-O2", "-static", *include, *sources, "-o", str(target), "-lbpf", "-lelf", "-lz"]
    if subprocess.run(command, check=False).returncode:
        raise MatrixError(
            "native/swap_smoke.c does not build: it needs libbpf-dev, libelf-dev and zlib1g-dev (make deps)."
        )


def run(strategy: Path, series: list[str]) -> None:
    """Swap on each of these kernels. Raises MatrixError."""
    guest.qemu()
    with tempfile.TemporaryDirectory(prefix="turbo-hft-swaps-") as scratch:
        program = Path(scratch) / "swap_smoke"
        build(program)
        for each in series:
            found = guest.boot(kernels.kernel(each), strategy, None, TIMEOUT_S, program=program).run
            if not found.passed:
                raise MatrixError(f"Linux {found.release} does not swap:\n" + "\n".join(found.messages))
            print(f"{found.release}: {found.frames} swaps")


def main() -> int:
    """The command."""
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        run(Path(sys.argv[1]), sys.argv[2:] or list(kernels.DEFAULT))
    except MatrixError as error:
        print(f"swaps: {error}", file=sys.stderr)
        return UNAVAILABLE if isinstance(error, Unavailable) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
