"""The DPDK peer: a program that is built when it is wanted, where DPDK is, and which takes a peer's process over.

Nothing of it is in the package: it needs DPDK's headers and a checkout of this project. Without huge pages and without
PCI devices, its ports are network interfaces (net_af_packet, net_af_xdp), so it runs wherever the others do.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from contextlib import suppress
from functools import cache
from pathlib import Path

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from turbo_hft.errors import ExchangeError
from turbo_hft.latency.pipeline import Pipeline
from turbo_hft.latency.sockets import PeerSockets

DRIVERS = {
    "dpdk-af_packet": "net_af_packet0,iface={device},qpairs=1,qdisc_bypass=1",
    "dpdk-af_xdp": "net_af_xdp0,iface={device},start_queue=0,queue_count=1,force_copy=1",
}
"""Virtual devices of EAL, by the peer's name."""

_ROOT = Path(__file__).resolve().parents[3]
_SOURCE = _ROOT / "native" / "peers" / "dpdk.c"
_PIPELINE = _ROOT / "build" / "pipeline.o"
_PROGRAM = _ROOT / "build" / "bench" / "peer_dpdk"
_MEMORY_MIB = 128


def why_not() -> str | None:
    """Why there is no such peer here; None = there is one, built by now."""
    try:
        program()
    except ExchangeError as reason:
        return str(reason)
    return None


@cache
def program() -> Path:
    """The program, built if it is not there or older than what it is made of. Raises ExchangeError with the reason."""
    if not (_SOURCE.is_file() and _PIPELINE.is_file()):
        raise ExchangeError("the DPDK peer is built from a checkout (make): this is an installed package")
    if not shutil.which("cc") or not shutil.which("pkg-config"):
        raise ExchangeError("the DPDK peer needs cc and pkg-config to be built")
    words = subprocess.run(["pkg-config", "--cflags", "--libs", "libdpdk"], capture_output=True, text=True, check=False)
    if words.returncode:
        raise ExchangeError("DPDK is not here: apt-get install libdpdk-dev")
    made_of = [path.stat().st_mtime for path in (_SOURCE, _PIPELINE)]
    if not _PROGRAM.is_file() or _PROGRAM.stat().st_mtime < max(made_of):
        _PROGRAM.parent.mkdir(parents=True, exist_ok=True)
        unfinished = _PROGRAM.with_suffix(f".{os.getpid()}")
        command = ["cc", "-O2", f"-I{_SOURCE.parent}", str(_SOURCE), str(_PIPELINE), *words.stdout.split()]
        built = subprocess.run([*command, "-o", str(unfinished)], capture_output=True, text=True, check=False)
        if built.returncode:
            said = built.stderr.strip().splitlines() or ["no message"]
            raise ExchangeError(f"the DPDK peer does not compile: {said[-1]}")
        unfinished.replace(_PROGRAM)
    return _PROGRAM


def replace_process(driver: str, device: str, pipeline: Pipeline, cpu: int | None, sockets: PeerSockets) -> None:
    """Become the DPDK peer, with this pipeline's state; does not return. Raises ExchangeError if it cannot be built."""
    path = program()
    image = os.memfd_create("pipeline", 0)
    pipeline.save(Path(f"/proc/self/fd/{image}"))
    for kept in (sockets.feed, sockets.entry):
        os.set_inheritable(kept.fileno(), True)
    core = min(os.sched_getaffinity(0)) if cpu is None else cpu
    words = ["-l", str(core), "--no-huge", "-m", str(_MEMORY_MIB), "--no-pci", "--no-shconf", "--no-telemetry"]
    words += ["--log-level=error", f"--vdev={driver.format(device=device)}"]
    # libxdp's dispatcher needs freplace, which some kernels refuse.
    environment = {**os.environ, "LIBXDP_SKIP_DISPATCHER": "1"}
    os.execve(path, [str(path), f"/proc/self/fd/{image}", *words], environment)


def forget(device: str) -> None:
    """Take off the interface what a peer that was killed has left there; libxdp attaches for good."""
    with suppress(OSError, NetlinkError), IPRoute() as ip:
        ip.link("set", index=socket.if_nametoindex(device), xdp_fd=-1)
