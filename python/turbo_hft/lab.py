"""The lab: an exchange and an engine on one machine, with a wire of their own between them.

A network namespace holds the exchange; a veth pair is the wire; its host end is where the engine attaches. Nothing
else on the machine is touched, and ``down`` leaves nothing behind.

What the lab sets, and why:

- permanent neighbour entries both ways: nothing waits for ARP, and no ARP frame disturbs a measurement;
- IPv6 off on both ends: no router solicitations or neighbour discovery among the frames;
- transmit checksum offload off on both ends: otherwise a frame carries only the sum over its pseudo header;
- one queue a direction: every frame meets the hook in the order it was sent, one at a time;
- a native XDP_PASS program on the exchange's end: that end runs NAPI then; without it frames sent by XDP_TX are lost.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from pyroute2 import IPRoute
from pyroute2 import netns as pyroute2_netns
from pyroute2.ethtool.ioctl import IoctlEthtool
from pyroute2.netlink.exceptions import NetlinkError

from turbo_hft import netns
from turbo_hft.errors import CapabilityError, LabError

NAMESPACE = "exchange_ns"
DEVICE = "veth_hft"
PEER = "veth_exch"
SUBNET = "10.77.0.0/24"
HOST_ADDRESS = "10.77.0.1"
EXCHANGE_ADDRESS = "10.77.0.2"
HOST_MAC = "02:00:00:00:77:01"
EXCHANGE_MAC = "02:00:00:00:77:02"
FEED_GROUP = "239.77.0.1"
FEED_PORT = 26477
OUCH50_PORT = 26450
OUCH42_PORT = 26442
REREQUEST_PORT = 26478
GLIMPSE_PORT = 26479
ENGINE_PORT = 26400
ENGINE_REREQUEST_PORT = 26401
USERNAME = "HFT001"
PASSWORD = "SECRET"

_MAX_NAME = 15
_LONGEST_PREFIX = 30  # two hosts, the network and the broadcast address
_XDP_NATIVE = "xdp"
_NUD_PERMANENT = 0x80


@dataclass(frozen=True, slots=True)
class LabAddresses:
    """Every name, address and port of one lab; the defaults are the standard lab's."""

    namespace: str = NAMESPACE
    device: str = DEVICE
    peer: str = PEER
    prefix_length: int = 24
    host_address: str = HOST_ADDRESS
    exchange_address: str = EXCHANGE_ADDRESS
    host_mac: str = HOST_MAC
    exchange_mac: str = EXCHANGE_MAC
    feed_group: str = FEED_GROUP
    feed_port: int = FEED_PORT
    ouch50_port: int = OUCH50_PORT
    ouch42_port: int = OUCH42_PORT
    rerequest_port: int = REREQUEST_PORT
    glimpse_port: int = GLIMPSE_PORT
    engine_port: int = ENGINE_PORT
    engine_rerequest_port: int = ENGINE_REREQUEST_PORT

    @classmethod
    def of(cls, namespace: str, device: str, peer: str, subnet: str) -> LabAddresses:
        """Addresses of a lab in ``subnet``: .1 is the host, .2 the exchange; 10.A.B.0 multicasts on 239.A.B.1.

        Raises LabError for a name the kernel would refuse and for a subnet that is too small or no subnet at all.
        """
        for what, name in (("namespace", namespace), ("device", device), ("peer", peer)):
            if not name or "/" in name or any(c.isspace() for c in name) or name in (".", ".."):
                raise LabError(f"{what} name {name!r} is not usable: take one without blanks and slashes")
            if what != "namespace" and len(name) > _MAX_NAME:
                raise LabError(f"{what} name {name!r} is too long: interface names have at most {_MAX_NAME} characters")
        try:
            network = ipaddress.IPv4Network(subnet)
        except ValueError as wrong:
            raise LabError(f"subnet {subnet!r} is not an IPv4 network ({wrong}): write it like {SUBNET}") from wrong
        if network.prefixlen > _LONGEST_PREFIX:
            raise LabError(
                f"subnet {subnet!r} has no room for two hosts: use a prefix of at most {_LONGEST_PREFIX} bits"
            )
        octets = network.network_address.packed
        return cls(
            namespace=namespace,
            device=device,
            peer=peer,
            prefix_length=network.prefixlen,
            host_address=str(network.network_address + 1),
            exchange_address=str(network.network_address + 2),
            feed_group=f"239.{octets[1]}.{octets[2]}.{octets[3] + 1}",
        )


class Lab:
    """One lab. ``up`` and ``down`` may be called at any time, in any order, any number of times.

    As a context manager it is raised on entry and taken down on exit, whoever raised it, and a second process that
    wants the same lab meanwhile gets a LabError. Several labs with different names and subnets stand side by side.

    Raises LabError when something of these names exists that is no lab, and CapabilityError (CAP_NET_ADMIN,
    CAP_SYS_ADMIN, CAP_BPF) when the process may not do this.
    """

    def __init__(
        self,
        namespace: str = NAMESPACE,
        device: str = DEVICE,
        peer: str = PEER,
        subnet: str = SUBNET,
    ) -> None:
        self.addresses = LabAddresses.of(namespace, device, peer, subnet)
        self._subnet = ipaddress.IPv4Network(subnet)
        self._lock: socket.socket | None = None

    def __enter__(self) -> Lab:
        self._lock = self._take_lock()
        try:
            self.up()
        except BaseException:
            # An interrupt may strike anywhere; what is not this lab's makes `down` refuse, as it made `up`.
            with suppress(LabError, CapabilityError):
                self.down()
            self._release_lock()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.down()
        finally:
            self._release_lock()

    def up(self) -> None:
        """Raise the lab, or mend what is missing of it; a standing one is left as it is."""
        a = self.addresses
        with _naming_capabilities(), IPRoute() as ip:
            made = self._ensure_pair(ip)
            try:
                host = require_link(ip, a.device)
                quiet(a.device)
                configure_end(ip, host, a.host_address, a.prefix_length, (a.exchange_address, a.exchange_mac))
                netns.run_in(a.namespace, self._configure_exchange_end)
            except BaseException:
                if made:
                    self.down()
                raise

    def down(self) -> None:
        """Take the lab down; nothing of it remains. Programs attached to its ends go with it."""
        a = self.addresses
        with _naming_capabilities(), IPRoute() as ip:
            self._check_ours(ip)
            link = _find(ip, a.device)
            if link is not None:
                ip.link("del", index=link["index"])
            if netns.exists(a.namespace):
                pyroute2_netns.remove(a.namespace)

    def is_up(self) -> bool:
        """Whether both ends of the wire stand, between the host and this lab's namespace. Needs CAP_SYS_ADMIN."""
        with _naming_capabilities(), IPRoute() as ip:
            self._check_ours(ip)
            return _find(ip, self.addresses.device) is not None

    def _ensure_pair(self, ip: IPRoute) -> bool:
        """Create what is missing of namespace and pair; whether anything was."""
        a = self.addresses
        self._check_ours(ip)
        self._check_subnet_free(ip)
        if _find(ip, a.device) is not None:
            return False
        if not netns.exists(a.namespace):
            pyroute2_netns.create(a.namespace)
        try:
            # One request makes both ends where they belong, so no half pair can be left behind.
            queues = {"num_tx_queues": 1, "num_rx_queues": 1}
            ip.link(
                "add",
                ifname=a.device,
                kind="veth",
                address=a.host_mac,
                **queues,
                peer={"ifname": a.peer, "address": a.exchange_mac, "net_ns_fd": a.namespace, **queues},
            )
        except BaseException:
            pyroute2_netns.remove(a.namespace)
            raise
        return True

    def _configure_exchange_end(self) -> None:
        a = self.addresses
        with IPRoute() as ip:
            ip.link("set", index=require_link(ip, "lo")["index"], state="up")
            link = require_link(ip, a.peer)
            quiet(a.peer)
            configure_end(ip, link, a.exchange_address, a.prefix_length, (a.host_address, a.host_mac))
            mode = _xdp_mode(link)
            if mode is None:
                _attach_pass(ip, link["index"])
                mode = _xdp_mode(require_link(ip, a.peer))
            if mode != _XDP_NATIVE:
                raise LabError(
                    f"{a.peer} in {a.namespace} has an XDP program in mode {mode!r}, the lab needs a native one there: "
                    f"detach it (ip -n {a.namespace} link set dev {a.peer} xdpgeneric off) and raise the lab again"
                )

    def _check_ours(self, ip: IPRoute) -> None:
        """Refuse to reuse or delete what carries our names and is not a lab."""
        a = self.addresses
        inside: list[Any] = []
        if netns.exists(a.namespace):
            inside = netns.run_in(a.namespace, _links)
            strangers = [
                end.get("ifname")
                for end in inside
                if end.get("ifname") not in ("lo", a.peer) and end.get("state") == "up"
            ]
            if strangers:
                raise LabError(
                    f"network namespace {a.namespace} also holds {', '.join(strangers)}, which no lab made: "
                    "remove that, or give the lab another namespace name"
                )
        link = _find(ip, a.device)
        if link is None:
            return
        ends = [end for end in inside if end.get("ifname") == a.peer and end.get("link") == link["index"]]
        ours = _kind(link) == "veth" and link.get("address") == a.host_mac and len(ends) == 1
        if not ours or link.get("link") != ends[0]["index"]:
            raise LabError(
                f"interface {a.device} exists and is not the end of a lab (a veth with MAC {a.host_mac} whose peer "
                f"{a.peer} is in namespace {a.namespace}): delete it (ip link delete dev {a.device}) "
                "if nobody needs it, or give the lab another device name"
            )

    def _check_subnet_free(self, ip: IPRoute) -> None:
        names = {link["index"]: link.get("ifname") for link in ip.link("dump")}
        for entry in ip.addr("dump", family=socket.AF_INET):
            name = names.get(entry["index"], "?")
            if name != self.addresses.device and ipaddress.IPv4Address(entry.get("address")) in self._subnet:
                raise LabError(
                    f"{entry.get('address')} on {name} lies in the lab's subnet {self._subnet}: "
                    "give the lab another subnet, or take that address away"
                )

    def _take_lock(self) -> socket.socket:
        # An abstract socket name dies with its owner, so a killed process leaves no stale lock.
        lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            lock.bind(f"\0turbo-hft lab {self.addresses.namespace}")
        except OSError as taken:
            lock.close()
            if taken.errno != errno.EADDRINUSE:
                raise
            raise LabError(
                f"another process is using the lab {self.addresses.namespace}: wait until it ends, or use other names"
            ) from taken
        return lock

    def _release_lock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def _links() -> list[Any]:
    with IPRoute() as ip:
        return list(ip.link("dump"))


def _find(ip: IPRoute, name: str) -> Any | None:
    return next((link for link in ip.link("dump") if link.get("ifname") == name), None)


def require_link(ip: IPRoute, name: str) -> Any:
    link = _find(ip, name)
    if link is None:
        raise LabError(f"interface {name} vanished while the lab was being raised: try again")
    return link


def _kind(link: Any) -> str | None:
    kind = link.get(("linkinfo", "kind"))
    return None if kind is None else str(kind)


def _xdp_mode(link: Any) -> str | None:
    mode = link.get(("xdp", "xdp_attached"))
    return None if mode is None else str(mode)


def quiet(device: str) -> None:
    """Before the device is up: no IPv6 address, so no IPv6 frames. For the calling thread's namespace."""
    switch = Path(f"/proc/sys/net/ipv6/conf/{device}/disable_ipv6")
    if switch.exists():  # absent where the kernel has no IPv6
        switch.write_text("1\n")


def configure_end(ip: IPRoute, link: Any, address: str, prefix_length: int, neighbour: tuple[str, str]) -> None:
    ethtool = IoctlEthtool(link.get("ifname"))
    try:
        ethtool.set_offload_flag("tx-checksumming", False)
    finally:
        ethtool.close()
    index = link["index"]
    ip.addr("replace", index=index, address=address, prefixlen=prefix_length)
    ip.link("set", index=index, state="up")
    ip.neigh("replace", dst=neighbour[0], lladdr=neighbour[1], ifindex=index, state=_NUD_PERMANENT)


def _attach_pass(ip: IPRoute, index: int) -> None:
    """Attach XDP_PASS to an interface that has no program; natively, if its driver can. The attachment outlives us."""
    try:
        from turbo_hft._native import lib
    except ImportError as missing:
        raise LabError(f"the native extension is not built ({missing}): run make") from missing
    program = lib.hft_load_constant(lib.HFT_VERDICT_PASS)
    if program < 0:
        if -program in (errno.EPERM, errno.EACCES):
            raise CapabilityError(
                "loading the XDP_PASS program was refused: it needs CAP_BPF and CAP_NET_ADMIN "
                "(before Linux 5.8: CAP_SYS_ADMIN); run with sudo, or give the process these capabilities"
            )
        raise LabError(
            f"loading the XDP_PASS program failed ({os.strerror(-program)}): the kernel needs CONFIG_BPF_SYSCALL"
        )
    try:
        ip.link("set", index=index, xdp_fd=program)
    finally:
        os.close(program)


@contextmanager
def _naming_capabilities() -> Iterator[None]:
    """Turn the kernel's bare refusals into errors that name the capability or the missing feature."""
    try:
        yield
    except NetlinkError as error:
        if error.code in (errno.EPERM, errno.EACCES):
            raise CapabilityError(
                "the kernel refused to change network interfaces: it needs CAP_NET_ADMIN; "
                "run with sudo, or give the process that capability"
            ) from error
        if error.code == errno.EOPNOTSUPP:
            raise LabError("this kernel cannot make veth pairs: it needs CONFIG_VETH (modprobe veth)") from error
        raise LabError(f"the kernel refused a step of the lab: {error}; take it down and raise it again") from error
    except PermissionError as error:
        raise CapabilityError(
            f"making a network namespace was refused ({error}): it needs CAP_SYS_ADMIN; "
            "run with sudo, or give the process that capability"
        ) from error
