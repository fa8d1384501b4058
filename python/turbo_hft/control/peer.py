"""Who is at the other end of a local socket: what the kernel says of it, not what it says of itself."""

from __future__ import annotations

import errno
import grp
import socket
import struct
from dataclasses import dataclass

_CREDENTIALS = struct.Struct("=iII")
_SO_PEERGROUPS = 59  # asm-generic/socket.h
_ROOM = 1024  # bytes: as much as Python asks for at most, 256 groups


@dataclass(frozen=True, slots=True)
class Peer:
    """A process, when it connected. `groups`: all of them, the supplementary ones too."""

    pid: int
    uid: int
    groups: frozenset[int]


def peer_of(connection: socket.socket) -> Peer:
    """Raises OSError."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, gid = _CREDENTIALS.unpack(raw)
    try:
        groups = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _ROOM)
    except OSError as error:
        if error.errno != errno.ERANGE:
            raise
        groups = b""  # of somebody who is in more of them only the first one counts
    return Peer(pid, uid, frozenset((gid, *struct.unpack(f"={len(groups) // 4}I", groups))))


def group_name(gid: int) -> str:
    """Its name, or its number."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
