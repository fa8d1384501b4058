"""Orders on a live TCP connection on kernels other than this machine's: tests/wire_lines.py, here and in QEMU guests.

A guest gets this interpreter with the modules and libraries that the driver loads, and neither compiler nor headers.
In each: a peer in a namespace, a login over SoupBinTCP, ticks, orders that leave by XDP on the kernel's connection,
heartbeats between them, and the peer's stream compared byte for byte. Good lines, lines that lose, overtake and double
(the kernel's own netem; on this machine, where there is none, native/rig/forward.c), and a process that is killed.

Exit codes: 0 every stream was as meant, 1 one was not, 2 usage, 77 a kernel or QEMU is not here and cannot be had,
130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tools.kernel_matrix import guest, initramfs, kernels, userland
from tools.kernel_matrix.command import ended
from tools.kernel_matrix.errors import MatrixError
from tools.kernel_matrix.kernels import Kernel
from tools.kernel_matrix.smoke import ROOT

EMULATION = f"QEMU -accel {guest.ACCELERATOR}: software emulation, times are not those of a machine"
MODULES = ("veth", "bridge", "sch_netem", "sch_ingress", "cls_bpf")
SHORT = ("replies", "loss=1,reorder=1,duplicate=1", "kill-unmerged")
PER_CENTS = (0.1, 1, 5)
LONG = (
    *("clean", "replies"),
    *(f"{what}={share:g}" for what in ("loss", "reorder", "duplicate") for share in PER_CENTS),
    *(f"loss={share:g},reorder={share:g},duplicate={share:g}" for share in PER_CENTS),
    *("kill", "kill-unmerged"),
)
CPUS = 2  # one merges while the other fires
GUEST_PATIENCE_S = 60.0
_TESTS = ROOT / "tests"
_COLUMNS = "{:<28} {:<34} {:<9} {:>6} {:>8} {:>6} {:>7} {:>7} {:>5} {:>9} {:>7} {:>7} {:>6}  {}"
HEADER = _COLUMNS.format(
    *("kernel", "line", "by", "orders", "by hook", "ticks", "of them", "bytes", "lost", "overtaken", "doubled"),
    *("retrans", "s", "stream"),
)


def _talk(text: str) -> None:
    print(f"orders: {text}", file=sys.stderr, flush=True)


def row(release: str, found: dict[str, Any]) -> str:
    """One line of the table."""
    orders, ticks = found["orders"], found.get("ticks")
    ticked = (ticks, f"{100 * orders / ticks:.1f} %") if ticks else ("", "")
    counted = (found.get(name, "") for name in ("bytes", "lost", "overtaken", "doubled", "retransmits"))
    if "end" in found:
        stream = f"whole orders, then {found['end']}"
    else:
        stream = "identical" if found["identical"] else "DIFFERS"
    by_hook = f"{100 * found['by_the_hook'] / orders:.0f} %"
    return _COLUMNS.format(
        release, found["line"], found["by"], orders, by_hook, *ticked, *counted, f"{found['seconds']:.1f}", stream
    )


def read(output: str) -> list[dict[str, Any]]:
    """What the driver said, of an output that holds other things too."""
    lines = (line.strip("\r\0 ") for line in output.splitlines())
    return [json.loads(line.removeprefix("wire ")) for line in lines if line.startswith("wire {")]


def _command(lines: Sequence[str], orders: int, *options: str) -> list[str]:
    return [sys.executable, "-m", "wire_lines", "--orders", str(orders), *options, *lines]


def _environment() -> dict[str, str]:
    return {"PYTHONPATH": f"{_TESTS}:{ROOT}"}


def here(lines: Sequence[str], orders: int, timeout: float) -> tuple[str, list[dict[str, Any]], list[str]]:
    """On this machine: kernel, results, and the modules' files. Raises MatrixError with what was said."""
    environment = os.environ | _environment()
    # Not subprocess.run(), which would kill the driver: it has a namespace to take down, and is interrupted once.
    driver = subprocess.Popen(
        _command(lines, orders, "--no-netem", "--files"),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        output, errors = driver.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        raise MatrixError(f"orders do not come to an end within {timeout:.0f} s on this machine (--timeout).") from None
    finally:
        if driver.poll() is None:
            driver.send_signal(signal.SIGINT)
            driver.communicate()
    said = read(output)
    if driver.returncode or len(said) != len(lines) + 2:
        raise MatrixError(f"orders do not go on this machine's kernel:\n{output}{errors}")
    return said[0]["release"], said[1:-1], said[-1]["files"]


def there(
    kernel: Kernel, lines: Sequence[str], orders: int, files: dict[str, tuple[int, bytes]], timeout: float
) -> tuple[str, list[dict[str, Any]], float]:
    """In a guest: kernel, results, seconds in all. Raises MatrixError with what was said."""
    steps = ["ip link set lo up", "mount -t tmpfs run /run", "mkdir /var", "ln -s /run /var/run"]
    steps += ["mount -t bpf bpf /sys/fs/bpf", "mkdir -p /dev/shm", "mount -t tmpfs shm /dev/shm"]
    steps += [f"export {name}={shlex.quote(value)} HOME=/tmp" for name, value in _environment().items()]
    steps.append(shlex.join(_command(lines, orders, "--wait-s", str(GUEST_PATIENCE_S))))
    archive = initramfs.archive(initramfs.base(kernel, MODULES, "\n".join(steps)) | files)
    console, seconds = guest.run(kernel, archive, timeout, cpus=CPUS)
    said = read(console)
    if "smoke exit 0" not in console or len(said) != len(lines) + 1:
        raise MatrixError(f"orders do not go on Linux {kernel.release}:\n{guest.tail(console)}")
    return said[0]["release"], said[1:], seconds


def _matrix(args: argparse.Namespace) -> int:
    guest.qemu()
    lines, orders, timeout = (LONG, 500, 1200.0) if args.long else (SHORT, 150, 120.0)
    orders, timeout = args.orders or orders, args.timeout or timeout
    found = [kernels.kernel(series) for series in args.kernels]
    began = time.monotonic()
    release, results, modules = here(lines, orders, timeout)
    whole: list[dict[str, Any]] = [{"series": "", "release": release, "emulated": False, "lines": results}]
    _talk(EMULATION)
    if not args.json:
        print("\n".join((HEADER, *(row(release, each) for each in results))), flush=True)
    files = userland.files(modules)
    failures = []
    with ThreadPoolExecutor(len(found)) as pool:
        try:
            # At once: a guest waits for its own timers half of the time.
            guests = [pool.submit(there, kernel, lines, orders, files, timeout) for kernel in found]
            for kernel, booted in zip(found, guests, strict=True):
                try:
                    release, results, seconds = booted.result()
                except MatrixError as error:
                    failures.append(str(error))
                    _talk(str(error))
                    continue
                said = {"series": kernel.series, "release": release, "emulated": True, "lines": results}
                whole.append(said | {"seconds": round(seconds, 2)})
                if not args.json:
                    print("\n".join(row(release, each) for each in results), flush=True)
        finally:
            guest.stop()
    took = round(time.monotonic() - began, 2)
    if args.json:
        print(json.dumps({"emulation": EMULATION, "kernels": whole, "failures": failures, "seconds": took}, indent=2))
    _talk(f"{len(found) - len(failures)} of {len(found)} other kernels send what is meant ({took:.0f} s)")
    return 1 if failures else 0


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="orders", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kernels", nargs="*", default=kernels.DEFAULT, metavar="SERIES", help="(6.1 6.12)")
    parser.add_argument("--long", action="store_true", help="every kind of fault, at 0.1, 1 and 5 per cent")
    parser.add_argument("--orders", type=int, metavar="N", help="on each line (150; long: 500)")
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="for one kernel (120; long: 1200)")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    args = parser.parse_args()
    return ended(lambda: _matrix(args), _talk)


if __name__ == "__main__":
    sys.exit(main())
