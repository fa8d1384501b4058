"""The network interface behind an address of this host, asked from the kernel as seen in the current namespace."""

from __future__ import annotations

import fcntl
import socket
import struct
from contextlib import suppress

_SIOCGIFADDR = 0x8915
_SIOCGIFHWADDR = 0x8927
_NO_MAC = "00:00:00:00:00:00"


def mac_of(address: str, interface: str | None = None) -> str:
    """Ethernet address of `interface`, or of the one that has `address`; zeros if there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        names = [interface] if interface is not None else [name for _, name in socket.if_nameindex()]
        for name in names:
            with suppress(OSError):  # an interface may have no address, or go away meanwhile
                if interface is not None or _ask(sock, _SIOCGIFADDR, name)[4:8] == socket.inet_aton(address):
                    return _ask(sock, _SIOCGIFHWADDR, name)[2:8].hex(":")
    return _NO_MAC


def _ask(sock: socket.socket, request: int, name: str) -> bytes:
    """The sockaddr of a struct ifreq."""
    return fcntl.ioctl(sock, request, struct.pack("16s24x", name.encode()))[16:]
