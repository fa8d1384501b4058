"""Boots a kernel in QEMU, by software emulation, with one program as all it does."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tools.kernel_matrix import initramfs, smoke
from tools.kernel_matrix.errors import MatrixError, Unavailable
from tools.kernel_matrix.figures import Run, parse
from tools.kernel_matrix.kernels import Kernel

# Never /dev/kvm: what it runs depends on the machine, and this test must not.
ACCELERATOR = "tcg"
_MACHINE = ["-M", "q35", "-cpu", "max", "-m", "1024", "-nodefaults", "-no-reboot", "-display", "none"]
# IPv6 would send frames of its own over the wire, and every frame is counted.
_APPEND = "console=ttyS0 quiet panic=-1 ipv6.disable=1 mitigations=off"
_TAIL = 60


@dataclass(frozen=True, slots=True)
class GuestRun:
    """`seconds`: from the start of QEMU to its end, boot included."""

    run: Run
    seconds: float


_running: set[subprocess.Popen[bytes]] = set()


def stop() -> None:
    """End every guest, whichever thread runs it; that one gets a MatrixError."""
    for emulated in list(_running):
        emulated.kill()


def qemu() -> str:
    """The emulator. Raises Unavailable."""
    found = shutil.which("qemu-system-x86_64")
    if found is None:
        raise Unavailable("qemu-system-x86_64 is missing: run tools/deps.sh matrix.")
    return found


def boot(
    kernel: Kernel, bpf_object: Path, script: Path | None, timeout: float, *, program: Path | None = None
) -> GuestRun:
    """Run the object, and the script, on this kernel; `program`: by another one than smoke. The caller judges
    `run.passed`. Raises MatrixError."""
    archive = initramfs.build(kernel, program or smoke.build(), bpf_object, script)
    console, seconds = run(kernel, archive, timeout)
    return GuestRun(parse(console), seconds)


def run(kernel: Kernel, archive: bytes, timeout: float, *, cpus: int = 1) -> tuple[str, float]:
    """Boot this kernel with that file system: its console until "smoke exit", and the seconds it took.

    Raises MatrixError when it does not get there.
    """
    emulator = qemu()
    with tempfile.TemporaryDirectory(prefix="turbo-hft-matrix-") as scratch:
        initrd = Path(scratch) / "initrd.cpio"
        initrd.write_bytes(archive)
        command = [emulator, "-accel", ACCELERATOR, *_MACHINE, "-smp", str(cpus), "-serial", "stdio"]
        command += ["-kernel", str(kernel.image), "-initrd", str(initrd), "-append", _APPEND]
        began = time.monotonic()
        emulated = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        _running.add(emulated)
        # Whatever interrupts this, the emulator is ended, and gone.
        try:
            output, errors = emulated.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            emulated.kill()
            console = emulated.communicate()[0].decode(errors="replace")
            raise MatrixError(
                f"Linux {kernel.release} did not finish within {timeout:.0f} s (software emulation on a busy machine "
                f"is slow: --timeout). Its console:\n{tail(console)}"
            ) from None
        finally:
            if emulated.poll() is None:
                emulated.kill()
                emulated.communicate()
            _running.discard(emulated)
        seconds = time.monotonic() - began
    if emulated.returncode:
        raise MatrixError(f"QEMU failed ({emulated.returncode}): {errors.decode(errors='replace').strip()}")
    console = output.decode(errors="replace")
    if "smoke exit " not in console:
        raise MatrixError(f"Linux {kernel.release} did not get to the end of its run. Its console:\n{tail(console)}")
    return console, seconds


def tail(console: str) -> str:
    """Its last lines."""
    return "\n".join(console.splitlines()[-_TAIL:])
