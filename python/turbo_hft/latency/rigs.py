"""The wires of the latency lab, from the exchange's end: a tap, and a veth pair in two ways.

None of them is a network card. What each is and is not stands in its description (`results.Rig`), which every report
prints beside its figures. The host's end (the engine's, and that of the user-space responders) is in the namespace of
the calling process; addresses and names belong to this process alone, so no other lab is in the way.
"""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute
from pyroute2.ethtool.ioctl import IoctlEthtool
from pyroute2.netlink.exceptions import NetlinkError

from turbo_hft import netns
from turbo_hft._native import ffi, lib
from turbo_hft.errors import CapabilityError, ExchangeError, LabError
from turbo_hft.lab import Lab, LabAddresses, configure_end, quiet, require_link
from turbo_hft.latency import placement
from turbo_hft.latency.results import Rig

_TUNSETIFF = 0x400454CA
_IFF_TAP, _IFF_NO_PI = 0x0002, 0x1000
_SUBNETS = {"tap": "10.79.{}.0/24", "veth": "10.80.{}.0/24", "veth-cross": "10.81.{}.0/24"}
_THREAD_S = 2.0
_raised = itertools.count()

NAMES = "hft_lat"
"""What the names of all namespaces and devices of a rig begin with; the namespaces end with the process."""
_OFFLOADS = ("tx-checksumming", "generic-segmentation-offload", "generic-receive-offload")


@dataclass(frozen=True, slots=True)
class Wire:
    """A rig that is up. `open`: take the exchange's end, a ``struct hft_tcp_wire *``, until the block is left.

    `settle`: to be called once a responder is attached; what depends on that is put in place.
    """

    rig: Rig
    addresses: LabAddresses
    _open: Callable[[Any], Any]
    _close: Callable[[Any], None]
    settle: Callable[[], None]

    @contextmanager
    def open(self, *, echo: bool = False) -> Iterator[Any]:
        """``echo``: what is taken off it are the feed's own packets. Raises ExchangeError when the kernel refuses."""
        handle = self._open(flows(self.addresses, echo=echo))
        try:
            yield handle
        finally:
            self._close(handle)


def flows(addresses: LabAddresses, *, echo: bool) -> Any:
    """``struct hft_wire_flows`` of a rig's addresses."""
    a, made = addresses, ffi.new("struct hft_wire_flows *")

    def flow(source: tuple[str, int], to: tuple[str, int]) -> bytes:
        return socket.inet_aton(source[0]) + socket.inet_aton(to[0]) + struct.pack(">HH", source[1], to[1])

    made.feed = flow((a.exchange_address, a.feed_port), (a.feed_group, a.feed_port))
    made.orders = made.feed if echo else flow((a.host_address, a.engine_port), (a.exchange_address, a.ouch50_port))
    return made


def _names(kind: str) -> tuple[str, str, str, str]:
    """Namespace, device, peer, subnet: of this process, and of one more rig in it each time."""
    number, letter = next(_raised), {"tap": "t", "veth": "v", "veth-cross": "c"}[kind]
    tag = (os.getpid() + 10_007 * number) % 100_000
    namespace = f"{NAMES}_{letter}{number}_{os.getpid()}"
    return namespace, f"{NAMES}{letter}{tag}", f"hft_exc{letter}{tag}", _SUBNETS[kind].format(tag % 250)


@contextmanager
def tap() -> Iterator[Wire]:
    """The exchange owns the wire: what it writes has met the hook before write() returns."""
    namespace, device, peer, subnet = _names("tap")
    addresses = LabAddresses.of(namespace, device, peer, subnet)
    with ExitStack() as stack:
        try:
            fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        except OSError as refused:
            raise LabError(
                f"/dev/net/tun cannot be opened ({refused}): the kernel needs CONFIG_TUN, and this process root"
            ) from refused
        stack.callback(os.close, fd)
        try:
            # Without NAPI: write() runs the driver's own XDP path, and so the program, in the writer.
            fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", device.encode(), _IFF_TAP | _IFF_NO_PI))
        except OSError as refused:
            if refused.errno in (errno.EPERM, errno.EACCES):
                raise CapabilityError("making a tap device was refused: it needs CAP_NET_ADMIN") from refused
            raise LabError(
                f"no tap device {device} can be made ({refused}): does another program hold one of that name?"
            ) from refused
        quiet(device)

        def configure() -> None:
            with IPRoute() as ip:
                ip.link("set", index=require_link(ip, device)["index"], address=addresses.host_mac)
                configure_end(
                    ip,
                    require_link(ip, device),
                    addresses.host_address,
                    addresses.prefix_length,
                    (addresses.exchange_address, addresses.exchange_mac),
                )

        def take(wanted: Any) -> Any:
            configure()  # anew: a responder that took the device down took its neighbours with it
            return _made(lambda error: lib.hft_wire_tap(fd, wanted, error), device)

        configure()
        rig = Rig(
            name="tap",
            title="a tap device",
            is_="The exchange holds the other end of the device as a file descriptor: its write() is the wire in and "
            "runs the native XDP program, or the stack up to the socket, before it returns; read() is the wire out.",
            is_not="No network card: no interrupt, no DMA, no wire. The engine runs on the exchange's CPU and "
            "crosses none; a responder in user space has its own CPU and is crossed to, as it would be from a card's.",
            placement=placement.describe(),
            offloads=_offloads(device),
        )
        yield Wire(rig, addresses, take, lib.hft_wire_close, lambda: None)


@contextmanager
def veth(*, cross: bool = False) -> Iterator[Wire]:
    """A pair of devices. ``cross``: the host's end is polled by a thread of the kernel's on the responders' CPU."""
    kind = "veth-cross" if cross else "veth"
    namespace, device, peer, subnet = _names(kind)
    lab = Lab(namespace=namespace, device=device, peer=peer, subnet=subnet)
    with lab:
        addresses = lab.addresses
        packet = netns.run_in(namespace, lambda: _packet_socket(peer))
        with packet:

            def take(wanted: Any) -> Any:
                index = netns.run_in(namespace, lambda: socket.if_nametoindex(peer))
                return netns.run_in(
                    namespace,
                    lambda: _made(lambda error: lib.hft_wire_device(packet.fileno(), index, wanted, error), peer),
                )

            def give_back(handle: Any) -> None:
                netns.run_in(namespace, lambda: lib.hft_wire_close(handle))

            if cross:
                _threaded(device)
            rig = Rig(
                name=kind,
                title="a veth pair, the receiver on another CPU" if cross else "a veth pair, inline",
                is_="Two devices, one in the exchange's namespace. Its end is stamped by BPF: packets as they leave, "
                "orders as they come."
                + (
                    " The host's end is polled by a kernel thread of another CPU, which is woken for each packet."
                    if cross
                    else " The receiver's half of the driver runs inside the sender's send()."
                ),
                is_not="No network card: no interrupt, no DMA, no wire. "
                + (
                    "The wake-up of a sleeping CPU is in the engine's figure as well as in the others'."
                    if cross
                    else "The engine has answered before send() returns and crosses no CPU; a responder in user space "
                    "has its own CPU and is crossed to."
                ),
                placement=placement.describe()
                + (f"; the host's NAPI in a thread on CPU {_napi_cpu()}" if cross else ""),
                offloads=_offloads(device),
            )
            yield Wire(rig, addresses, take, give_back, (lambda: _pin_napi(device)) if cross else (lambda: None))


RIGS = ("tap", "veth", "veth-cross")
"""Their names."""


@contextmanager
def raised(name: str) -> Iterator[Wire]:
    """The rig of that name, while the block runs. Raises LabError, CapabilityError."""
    with tap() if name == "tap" else veth(cross=name == "veth-cross") as wire:
        yield wire


def _made(make: Callable[[Any], Any], device: str) -> Any:
    error = ffi.new("int *")
    handle = make(error)
    if handle == ffi.NULL:
        raise ExchangeError(
            f"the exchange cannot take its end of {device}: {os.strerror(-error[0])}; it needs CAP_BPF and "
            "CAP_NET_ADMIN"
        )
    return handle


def _packet_socket(device: str) -> socket.socket:
    # Protocol 0: it only sends. Through the queueing layer, where packets are stamped; a veth has no queue.
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    wire.bind((device, 0))
    return wire


def _offloads(device: str) -> str:
    """What is on, as the device says."""
    tool = IoctlEthtool(device)
    try:
        flags = dict(tool.get_offload_flags())
    except (OSError, NetlinkError):
        return "not known"
    finally:
        tool.close()
    return ", ".join(f"{name} {'on' if flags[name] else 'off'}" for name in _OFFLOADS if name in flags)


def _napi_cpu() -> int:
    """One that nobody else has, if there is one: with two CPUs it shares the responders', and takes it from them."""
    return next((cpu for cpu in (placement.NAPI_CPU, placement.BOT_CPU) if placement.available(cpu)), 0)


def _threaded(device: str) -> None:
    tool = IoctlEthtool(device)
    try:
        tool.set_offload_flag("generic-receive-offload", True)  # or there is no NAPI before a program is attached
    finally:
        tool.close()
    try:
        Path(f"/sys/class/net/{device}/threaded").write_text("1\n")
    except OSError as refused:
        raise LabError(
            f"{device} cannot be polled by a thread ({refused}): this needs Linux 5.12 or newer"
        ) from refused


def _napi_threads(device: str) -> list[int]:
    found = []
    for comm in Path("/proc").glob("[0-9]*/comm"):
        try:
            if comm.read_text().startswith(f"napi/{device}"[:15]):
                found.append(int(comm.parent.name))
        except OSError:
            continue
    return found


def _pin_napi(device: str) -> None:
    """The threads are there once a program is attached. Raises LabError when they are not."""
    deadline = time.monotonic() + _THREAD_S
    while not (threads := _napi_threads(device)):
        if time.monotonic() > deadline:
            raise LabError(f"no thread polls {device}: the driver has no NAPI without a native XDP program or GRO")
        time.sleep(0.01)
    for thread in threads:
        os.sched_setaffinity(thread, {_napi_cpu()})
