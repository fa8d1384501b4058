"""Start a command as systemd would under a unit's restrictions, as far as that goes without a running systemd.

`as_service.py mounts PATH... -- COMMAND`: in this mount namespace all is read-only but these (ProtectSystem=strict).
`as_service.py filter FILE -- COMMAND`: the system calls and address families that FILE names as JSON, and no others;
no memory that can be written and executed. The first needs root, the second none.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

_KEPT = ("/proc", "/dev")
_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_LOAD, _EQUAL, _ANY_BIT, _MASK, _RETURN = 0x20, 0x15, 0x45, 0x54, 0x06  # linux/bpf_common.h
_PROT_WRITE, _PROT_EXEC = 2, 4


def mounts(writable: list[str]) -> None:
    """Everything read-only but these."""
    for path in writable:
        subprocess.run(["mount", "--bind", path, path], check=True)
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        at = line.split()[1].encode().decode("unicode_escape")
        if at not in writable and not at.startswith(_KEPT):
            subprocess.run(["mount", "-o", "remount,bind,ro", at], check=False, capture_output=True)


def _argument(number: int) -> int:
    return 16 + 8 * number  # of struct seccomp_data, the lower half


def program(about: dict[str, list[int]]) -> bytes:
    """The filter. Numbers of system calls and families; where there is a choice, one short block for each."""
    code: list[tuple[int, int, int, int]] = []
    load, deny, allow = (_LOAD, 0, 0, 0), (_RETURN, 0, 0, _ERRNO | errno.EPERM), (_RETURN, 0, 0, _ALLOW)
    socket_call, mmap_call, mprotect_call = about["special"]
    block = [(_LOAD, 0, 0, _argument(0))]
    for family in about["families"]:
        block += [(_EQUAL, 0, 1, family), allow]
    block.append((_RETURN, 0, 0, _ERRNO | errno.EAFNOSUPPORT))
    code += [load, (_EQUAL, 0, len(block), socket_call), *block]
    block = [
        (_LOAD, 0, 0, _argument(2)),
        (_MASK, 0, 0, _PROT_WRITE | _PROT_EXEC),
        (_EQUAL, 0, 1, _PROT_WRITE | _PROT_EXEC),
        deny,
        allow,
    ]
    code += [load, (_EQUAL, 0, len(block), mmap_call), *block]
    block = [(_LOAD, 0, 0, _argument(2)), (_ANY_BIT, 0, 1, _PROT_EXEC), deny, allow]
    code += [load, (_EQUAL, 0, len(block), mprotect_call), *block, load]
    for number in about["calls"]:
        code += [(_EQUAL, 0, 1, number), allow]
    code.append(deny)
    return b"".join(struct.pack("=HBBI", *one) for one in code)


def install(filtered: bytes) -> None:
    """Of this process, for good; it must have PR_SET_NO_NEW_PRIVS."""
    buffer = ctypes.create_string_buffer(filtered)

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    made = Program(len(filtered) // 8, ctypes.cast(buffer, ctypes.c_void_p))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(made), 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp")


if __name__ == "__main__":
    split = sys.argv.index("--")
    what, *values = sys.argv[1:split]
    if what == "mounts":
        mounts(values)
    else:
        install(program(json.loads(Path(values[0]).read_text(encoding="utf-8"))))
    os.execvp(sys.argv[split + 1], sys.argv[split + 1 :])
