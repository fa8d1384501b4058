"""How a feed's frames come to the hook: groups that stay joined, and one receive queue for everything.

No frame of a feed gets past the hook, so nothing but an open socket keeps its multicast groups joined. One CPU is
inside the hook at a time: a card that spreads the frames of a feed over several queues, each with its own CPU, costs a
wait for each change of CPU, and mixes up the order in which the packets came.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from turbo_hft.errors import ConfigError

_RTMGRP_LINK, _RTM_NEWLINK = 1, 16  # linux/rtnetlink.h
_IFLA_CARRIER_CHANGES = 35  # linux/if_link.h
_IFF_LOWER_UP = 1 << 16
_NLMSG = struct.Struct("=IHHII")
_IFINFO = struct.Struct("=BxHiII")
_RTATTR = struct.Struct("=HH")
_POLL_S = 0.5
_MAX_DATAGRAM = 1 << 16


def is_multicast(address: str) -> bool:
    """Is this IPv4 address a group?"""
    return 224 <= socket.inet_pton(socket.AF_INET, address)[0] <= 239


class Memberships:
    """The multicast groups of one interface, joined until `close`.

    After `ip link set down` and `up` the kernel reports them anew by itself; after a lost carrier it does not, and the
    switch may have forgotten them. So a thread listens for carriers that come back and joins again.
    """

    def __init__(self, interface: str, index: int, groups: Iterable[str]) -> None:
        """Raises ConfigError when a group cannot be joined, as on an interface that is down."""
        self._requests = [
            socket.inet_aton(group) + bytes(4) + index.to_bytes(4, "little") for group in dict.fromkeys(groups)
        ]
        self._index = index
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._sockets: list[socket.socket] = []
        try:
            for request in self._requests:
                # One each: a socket can be a member of 20 groups only.
                member = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                self._sockets.append(member)
                member.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
        except OSError as error:
            self.close()
            raise ConfigError(
                f"cannot join {socket.inet_ntoa(request[:4])} on {interface}: {error.strerror}. Is the interface up?"
            ) from None
        if self._sockets:
            self._thread = threading.Thread(target=self._keep, name=f"groups-{interface}", daemon=True)
            self._thread.start()

    def _keep(self) -> None:
        changes: int | None = None
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as news:
            news.bind((0, _RTMGRP_LINK))
            news.settimeout(_POLL_S)
            while not self._stop.is_set():
                # Nothing new, or more news than the socket holds: the next message has the number of changes too.
                with contextlib.suppress(OSError):
                    for seen in carrier_changes(news.recv(_MAX_DATAGRAM), self._index):
                        if seen != changes and changes is not None:
                            self.rejoin()
                        changes = seen

    def rejoin(self) -> None:
        """Leave and join every group, so that the kernel reports them to the switch."""
        for member, request in zip(self._sockets, self._requests, strict=True):
            with contextlib.suppress(OSError):  # the interface has gone: there is nothing to be a member on
                member.setsockopt(socket.IPPROTO_IP, socket.IP_DROP_MEMBERSHIP, request)
            with contextlib.suppress(OSError):
                member.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)

    def close(self) -> None:
        """Leave them."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        for member in self._sockets:
            member.close()
        self._sockets.clear()


def carrier_changes(datagram: bytes, index: int) -> list[int]:
    """From rtnetlink's messages: how often the carrier of an interface has changed, once for each that says it is
    up."""
    found = []
    at = 0
    while at + _NLMSG.size + _IFINFO.size <= len(datagram):
        length, kind, *_ = _NLMSG.unpack_from(datagram, at)
        end = min(at + max(length, _NLMSG.size), len(datagram))
        _, _, about, flags, _ = _IFINFO.unpack_from(datagram, at + _NLMSG.size)
        if kind == _RTM_NEWLINK and about == index and flags & _IFF_LOWER_UP:
            attribute = at + _NLMSG.size + _IFINFO.size
            while attribute + _RTATTR.size <= end:
                size, name = _RTATTR.unpack_from(datagram, attribute)
                if name == _IFLA_CARRIER_CHANGES and size == _RTATTR.size + 4 and attribute + size <= end:
                    found.append(int.from_bytes(datagram[attribute + 4 : attribute + 8], "little"))
                attribute += max(size + -size % 4, _RTATTR.size)
        at = end + -end % 4
    return found


@dataclass(frozen=True, slots=True)
class SteeredFlow:
    """A flow of the flow table. `feed` is None for order entry; `line`: a, b, rerequest or order_entry."""

    feed: int | None
    line: str
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Steering:
    """How to have every frame of ours arrive on one receive queue of `interface`.

    `queues`: how many it has, None if that is not known. `commands`: one flow rule for each flow, for cards that have
    them. `fallback`: for cards that have not, all traffic to that queue. `second_cpu`: packets so far that came on
    another CPU than the feed's packet before them; a feed that is steered adds none.
    """

    interface: str
    queue: int
    queues: int | None
    flows: tuple[SteeredFlow, ...]
    commands: tuple[str, ...]
    fallback: tuple[str, ...]
    second_cpu: int

    @property
    def needed(self) -> bool:
        """Can it go wrong at all? With one queue it cannot."""
        return self.queues != 1


def describe(interface: str, flows: Iterable[SteeredFlow], second_cpu: int, queue: int) -> Steering:
    """What `Engine.steering` returns. Raises ConfigError for a queue that the interface has not."""
    flows, queues = tuple(flows), receive_queues(interface)
    if queue < 0 or queue >= (queues or queue + 1):
        raise ConfigError(f"queue {queue}: {interface} has {queues}, give 0 to {(queues or 1) - 1}.")
    rules = (
        f"ethtool -N {interface} flow-type udp4 dst-ip {flow.address} dst-port {flow.port} action {queue}"
        for flow in flows
    )
    return Steering(
        interface=interface,
        queue=queue,
        queues=queues,
        flows=flows,
        commands=(f"ethtool -K {interface} ntuple on", *rules),
        fallback=(f"ethtool -X {interface} start {queue} equal 1",),
        second_cpu=second_cpu,
    )


def receive_queues(interface: str) -> int | None:
    """Receive queues of an interface, None if it is not to be found here."""
    return len(list(Path(f"/sys/class/net/{interface}/queues").glob("rx-*"))) or None
