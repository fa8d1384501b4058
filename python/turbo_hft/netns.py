"""Work inside a named network namespace without leaving one's own process.

A namespace belongs to a thread, and a socket stays for life in the namespace it was opened in. So a short-lived thread
that enters the namespace, opens what is needed there and ends is enough; no child process has to be steered.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from turbo_hft.errors import CapabilityError, LabError

T = TypeVar("T")

#: Where iproute2 and pyroute2 keep the names of network namespaces.
NETNS_DIRECTORY = Path("/run/netns")

_CLONE_NEWNET = 0x40000000


def exists(name: str) -> bool:
    """Whether a network namespace of this name exists."""
    return (NETNS_DIRECTORY / name).exists()


def enter(name: str) -> None:
    """Move the calling thread (and no other) into the named network namespace, for good.

    Raises LabError when there is no such namespace, CapabilityError without CAP_SYS_ADMIN.
    """
    try:
        with (NETNS_DIRECTORY / name).open("rb") as handle:
            libc = ctypes.CDLL(None, use_errno=True)
            failed = libc.setns(handle.fileno(), _CLONE_NEWNET)
            code = ctypes.get_errno()
    except FileNotFoundError as missing:
        raise LabError(
            f"network namespace {name!r} does not exist: raise the lab first (turbo-hft lab up)"
        ) from missing
    except PermissionError as denied:
        raise CapabilityError(f"opening the network namespace {name!r} was refused: run as root") from denied
    if failed:
        raise CapabilityError(
            f"entering the network namespace {name!r} was refused (errno {code}): it needs CAP_SYS_ADMIN; "
            "run with sudo, or give the process that capability"
        )


def run_in(name: str, function: Callable[[], T]) -> T:
    """Call ``function`` inside the named network namespace and return its result; its exception is raised here.

    It runs in a thread of its own. Sockets and netlink handles it opens stay in that namespace and may be used
    from any thread afterwards.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def body() -> None:
        try:
            enter(name)
            results.append(function())
        except BaseException as error:  # handed to the caller's thread, whatever it is
            errors.append(error)

    thread = threading.Thread(target=body, name=f"netns-{name}")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]
