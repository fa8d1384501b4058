"""Which capabilities an engine needs, which are there, and how they are given up once it is attached.

Loading, attaching and pinning need them; what comes afterwards works with what is open by then: maps in shared memory,
commands (BPF_PROG_TEST_RUN), the link, the events, pins in a directory of our own, sockets. Found out by taking them
away one by one on Linux 6.18 (tests/e2e/test_service.py does that again); docs/control.md has the table.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from turbo_hft._native import lib
from turbo_hft.errors import CapabilityError

# Bits of linux/capability.h.
_BITS = {
    "CAP_DAC_OVERRIDE": 1,
    "CAP_NET_ADMIN": 12,
    "CAP_NET_RAW": 13,
    "CAP_SYS_ADMIN": 21,
    "CAP_PERFMON": 38,
    "CAP_BPF": 39,
}
TO_LOAD = {
    "CAP_BPF": "load programs and make maps",
    "CAP_NET_ADMIN": "attach to an interface",
    "CAP_PERFMON": "have the verifier follow pointers",
}
TO_SEND = {"CAP_NET_RAW": "send orders by hand, cancels among them"}
# What opens a program by its kernel number, as adopting one that is not pinned does.
BY_NUMBER = "CAP_SYS_ADMIN"
# What writes into directories of others.
INTO_ANY_FILE = "CAP_DAC_OVERRIDE"


def bit(name: str) -> int:
    """The number of a capability."""
    return _BITS[name]


def effective(status: str | None = None) -> int:
    """Mask of what this process may do; from the text of a /proc/PID/status, if one is given. 0 without /proc."""
    if status is None:
        try:
            status = Path("/proc/thread-self/status").read_text(encoding="ascii", errors="replace")
        except OSError:
            return 0
    found = re.search(r"^CapEff:\s*([0-9a-f]+)", status, re.MULTILINE)
    return int(found[1], 16) if found else 0


def missing(wanted: Iterable[str] = TO_LOAD, status: str | None = None) -> tuple[str, ...]:
    """Those of `wanted` that are not there. CAP_SYS_ADMIN stands for the two that were taken out of it."""
    mask = effective(status)
    if mask >> _BITS[BY_NUMBER] & 1:
        mask |= 1 << _BITS["CAP_BPF"] | 1 << _BITS["CAP_PERFMON"]
    return tuple(name for name in wanted if not mask >> _BITS[name] & 1)


def what_is_missing() -> str:
    """A sentence for an error of a system call that only some may make."""
    absent = missing()
    if absent:
        purposes = "; ".join(f"{name}, to {TO_LOAD[name]}" for name in absent)
        return f"This process lacks {purposes}. Run as root, or give it these (deploy/README.md)."
    if missing([BY_NUMBER]):
        return f"Without pins only {BY_NUMBER} may: have the engine pinned (`run --pin`), or be root."
    return "Is this inside a container that does not allow BPF?"


def reach_without(path: Path, access: int) -> bool:
    """Would the mode bits let this user (or root as an ordinary user) at a file or directory: `access` is a sum of
    os.R_OK, W_OK and X_OK? Access control lists are not looked at."""
    try:
        path = path.resolve()
        return _allows(path, access) and all(_allows(parent, os.X_OK) for parent in path.parents)
    except OSError:
        return False


def _allows(path: Path, access: int) -> bool:
    about = path.stat()
    shift = 6 if about.st_uid == os.geteuid() else 3 if about.st_gid in (os.getegid(), *os.getgroups()) else 0
    return not access & ~(about.st_mode >> shift & 0o7)


def give_up(keep: Iterable[str] = ()) -> tuple[str, ...]:
    """Give up every capability but these, in all threads, for good: permitted, effective, inheritable, ambient, and (as
    far as CAP_SETPCAP is there) bounding; no program that is started gets any. Which of `keep` there are now.

    Raises CapabilityError when a thread could not be reached, or has one left.
    """
    kept = [name for name in keep if name not in missing([name])]
    mask = sum(1 << _BITS[name] for name in kept)
    error = lib.hft_give_up_capabilities(mask)
    if error:
        raise CapabilityError(f"capabilities could not be given up: {os.strerror(-error)}.")
    for task in Path("/proc/self/task").iterdir():
        try:
            status = (task / "status").read_text(encoding="ascii", errors="replace")
        except OSError:  # it has ended
            continue
        masks = {name: int(value, 16) for name, value in re.findall(r"^(Cap\w+):\s*([0-9a-f]+)", status, re.MULTILINE)}
        held = masks["CapPrm"] | masks["CapEff"] | masks["CapInh"] | masks["CapAmb"]
        if held & ~mask or not re.search(r"^NoNewPrivs:\s*1$", status, re.MULTILINE):
            raise CapabilityError(f"thread {task.name} still has capabilities {held & ~mask:#x}: this is a bug.")
    return tuple(kept)
