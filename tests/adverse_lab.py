"""A lab whose wire runs through a bad line: TCP segments are lost, doubled and overtaken on the way.

Engine's end - namespace in the middle, native/rig/forward.c - exchange's end. The feed comes out of the middle: what
is asked here is about order entry.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pyroute2 import IPRoute
from pyroute2 import netns as pyroute2_netns
from turbo_hft import netns
from turbo_hft._native import ffi, lib
from turbo_hft.lab import Lab, LabAddresses, configure_end, quiet, require_link

_ETH_P_ALL = 3
_PACKET_IGNORE_OUTGOING = 23
_SOL_PACKET = 263
_SO_RCVBUFFORCE = 33
_BUFFER = 8 << 20
PPM = 1_000_000


class Line:
    """The line at work. `counts`: what became of the segments, (towards the exchange, towards the engine)."""

    def __init__(self, ends: tuple[socket.socket, socket.socket], seed: int, **settings: Any) -> None:
        """`settings`: fields of ``struct hft_forward``; a number for both ways, or one for each."""
        self.raw = ffi.new("struct hft_forward *")
        self.raw.ends[0:2] = [end.fileno() for end in ends]
        self.raw.seed = seed
        self.change(**settings)
        self._stop = ffi.new("uint32_t *")
        self._error = 0
        self._ends = ends
        self._thread = threading.Thread(target=self._run, name="bad-line")
        self._thread.start()

    def change(self, **settings: Any) -> None:
        """Other settings from the next frame on."""
        for name, value in settings.items():
            if name.endswith("_ppm"):
                both = value if isinstance(value, tuple) else (value, value)
                getattr(self.raw, name)[0:2] = list(both)
            else:
                setattr(self.raw, name, value)

    @property
    def counts(self) -> dict[str, tuple[int, int]]:
        """By what happened."""
        return {name: tuple(getattr(self.raw, name)) for name in ("forwarded", "lost", "doubled", "late")}

    def _run(self) -> None:
        self._error = lib.hft_forward_run(self.raw, self._stop)

    def close(self) -> None:
        """End it. AssertionError if it had ended by itself."""
        self._stop[0] = 1
        self._thread.join()
        for end in self._ends:
            end.close()
        assert not self._error, f"the line broke: errno {-self._error}"


def packet_socket(device: str) -> socket.socket:
    """Every frame that comes in at `device` of the calling thread's namespace; what is written leaves there."""
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
    made.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
    made.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
    made.bind((device, 0))
    return made


def _lengthen(at: LabAddresses, far: str, middle: str, device: str) -> None:
    """From the middle on, in whose namespace the caller is: a second pair, whose far end is the exchange's."""
    with IPRoute() as ip:
        near = require_link(ip, at.peer)
        ip.flush_addr(index=near["index"])
        ip.link(
            "add",
            ifname=middle,
            kind="veth",
            peer={"ifname": device, "address": at.exchange_mac, "net_ns_fd": far},
        )
        quiet(middle)
        ip.link("set", index=require_link(ip, middle)["index"], state="up")


def _shorten(middle: str) -> None:
    with IPRoute() as ip:
        for link in ip.link("dump", ifname=middle):
            ip.link("del", index=link["index"])


def _far_end(at: LabAddresses, device: str) -> None:
    with IPRoute() as ip:
        ip.link("set", index=require_link(ip, "lo")["index"], state="up")
        quiet(device)
        link = require_link(ip, device)
        configure_end(ip, link, at.exchange_address, at.prefix_length, (at.host_address, at.host_mac))


@contextmanager
def long_lab(number: int) -> Iterator[tuple[LabAddresses, str, str]]:
    """A raised lab whose wire has a namespace in its middle, the lab's own, between two devices that nobody joins yet:
    the lab's peer and the one returned. And the exchange's namespace. Nothing of it is left afterwards."""
    far, middle, device = f"hft_far{number}", f"hftw{number}c", f"hftw{number}d"
    with Lab(f"hft_wire{number}", f"hftw{number}a", f"hftw{number}b", f"10.79.{number}.0/24") as raised:
        at = raised.addresses
        if netns.exists(far):
            pyroute2_netns.remove(far)
        pyroute2_netns.create(far)
        try:
            netns.run_in(at.namespace, lambda: _lengthen(at, far, middle, device))
            netns.run_in(far, lambda: _far_end(at, device))
            yield at, far, middle
        finally:
            netns.run_in(at.namespace, lambda: _shorten(middle))
            pyroute2_netns.remove(far)


@contextmanager
def adverse_lab(number: int, seed: int, **settings: Any) -> Iterator[tuple[LabAddresses, str, Line]]:
    """A raised lab, the name of the exchange's namespace, and the line. Nothing of it is left afterwards."""
    with long_lab(number) as (at, far, middle):
        ends = netns.run_in(at.namespace, lambda: (packet_socket(at.peer), packet_socket(middle)))
        line = Line(ends, seed, **settings)
        try:
            yield at, far, line
        finally:
            line.close()
