"""The way out of an interface: a packet socket, and the headers of what leaves by it.

Recorded market data is a lie anywhere but in a lab. So it leaves by interfaces that reach no other machine by
themselves (veth, tap and tun, dummy, loopback), and by any other one only when a person insists.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from turbo_hft import lab, netns
from turbo_hft.errors import CapabilityError, ConfigError, TurboHftError
from turbo_hft.wire.frame import multicast_mac, udp_frame

T = TypeVar("T")

VIRTUAL = ("veth", "tun", "dummy")

_LOOPBACK = 772  # ARPHRD_LOOPBACK
_IFF_UP = 1
_SOL_PACKET, _PACKET_QDISC_BYPASS = 263, 20  # linux/socket.h, linux/if_packet.h
_IPV4_AND_UDP = 28
_LEAST_MTU = 128
_SOURCE_PORT = 26477


@dataclass(frozen=True, slots=True)
class Destination:
    """Where the lines of a feed are sent, and as whom. `mac` is the receiver's, for addresses that are no groups."""

    feed: tuple[str, int] = (lab.FEED_GROUP, lab.FEED_PORT)
    feed_b: tuple[str, int] | None = None
    source: str = lab.EXCHANGE_ADDRESS
    mac: str = lab.HOST_MAC


class Wire:
    """A packet socket on an interface. `payload_max`: bytes of UDP payload that its MTU has room for."""

    def __init__(self, interface: str, *, namespace: str | None = None, force: bool = False) -> None:
        """`force`: whatever interface it is. Raises ConfigError for one that is not there, is down, or could reach
        other machines; CapabilityError without CAP_NET_RAW."""
        self.interface = interface
        mac, mtu = _in(namespace, lambda: _looked_at(interface, force))
        self._mac = mac
        self.payload_max = mtu - _IPV4_AND_UDP
        self._socket = _in(namespace, lambda: _opened(interface))

    @property
    def fd(self) -> int:
        """The socket's descriptor."""
        return self._socket.fileno()

    def headers(self, to: Destination) -> list[bytes]:
        """Complete headers up to UDP, for line A and, if there is one, line B."""
        return [
            udp_frame(
                src_mac=self._mac,
                dst_mac=multicast_mac(address[0]) or to.mac,
                src=(to.source, _SOURCE_PORT),
                dst=address,
                payload=b"",
                ttl=1 if multicast_mac(address[0]) else 64,
            )
            for address in (to.feed, to.feed_b)
            if address is not None
        ]

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def _in(namespace: str | None, function: Callable[[], T]) -> T:
    return function() if namespace is None else netns.run_in(namespace, function)


def _looked_at(interface: str, force: bool) -> tuple[str, int]:
    """(Ethernet address, MTU) of an interface that may be sent on."""
    from pyroute2 import IPRoute

    with IPRoute() as route:
        link = next((each for each in route.get_links() if each.get_attr("IFLA_IFNAME") == interface), None)
    if link is None:
        raise ConfigError(f"there is no interface {interface} here: `ip link` lists them; --netns enters a namespace.")
    info = link.get_attr("IFLA_LINKINFO")
    kind = None if info is None else info.get_attr("IFLA_INFO_KIND")
    if kind not in VIRTUAL and link["ifi_type"] != _LOOPBACK and not force:
        raise ConfigError(
            f"{interface} is {f'a {kind}' if kind else 'a network card'}, and others may be behind it who would take "
            f"recorded prices for today's: send on {', '.join(VIRTUAL)} or lo, or insist with --force."
        )
    if not link["flags"] & _IFF_UP or link.get_attr("IFLA_OPERSTATE") == "DOWN":
        raise ConfigError(f"{interface} is down: bring it up (ip link set {interface} up), and its other end.")
    mtu = int(link.get_attr("IFLA_MTU"))
    if mtu < _LEAST_MTU:
        raise ConfigError(f"{interface} has an MTU of {mtu}: messages need {_LEAST_MTU} or more.")
    return link.get_attr("IFLA_ADDRESS") or "00:00:00:00:00:00", mtu


def _opened(interface: str) -> socket.socket:
    try:
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    except PermissionError:
        raise CapabilityError(f"sending frames on {interface} needs CAP_NET_RAW (or run as root).") from None
    try:
        wire.setsockopt(_SOL_PACKET, _PACKET_QDISC_BYPASS, 1)
        wire.bind((interface, 0))
    except OSError as error:
        wire.close()
        raise TurboHftError(f"cannot send on {interface}: {os.strerror(error.errno or 0)}.") from error
    return wire
