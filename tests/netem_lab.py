"""A lab whose wire runs through a bridge with the kernel's own netem at both its ports.

What comes in from the engine leaves by netem towards the exchange, and the other way round. Needs the modules bridge
and sch_netem. A queue of the engine's own interface would not do: frames sent by XDP_TX do not pass it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adverse_lab import long_lab
from pyroute2 import IPRoute
from turbo_hft import netns
from turbo_hft.lab import LabAddresses, quiet, require_link

_BRIDGE_MAC = "02:00:00:00:79:fe"


class Netem:
    """The line: what it and the exchange's TCP counted, so that it is known to have been a bad one."""

    def __init__(self, at: LabAddresses, exchange: str, middle: str) -> None:
        self._at, self._exchange, self._middle = at, exchange, middle

    def lost(self) -> int:
        """Frames that netem dropped, both ways."""

        def drops() -> int:
            with IPRoute() as ip:
                return sum(
                    int(queue.get_attr("TCA_STATS")["drop"])
                    for device in (self._at.peer, self._middle)
                    for queue in ip.get_qdiscs(index=require_link(ip, device)["index"])
                    if queue.get_attr("TCA_KIND") == "netem"
                )

        return netns.run_in(self._at.namespace, drops)

    def heard(self) -> dict[str, int]:
        """Segments as the exchange's TCP counted them: `overtaken` came before their turn, `doubled` came again."""

        def read() -> dict[str, int]:
            lines = Path("/proc/thread-self/net/netstat").read_text().splitlines()
            names, values = (line.split()[1:] for line in lines if line.startswith("TcpExt:"))
            return dict(zip(names, map(int, values), strict=True))

        counters = netns.run_in(self._exchange, read)
        doubled = counters["TCPDSACKOldSent"] + counters["TCPDSACKOfoSent"]
        return {"overtaken": counters["TCPOFOQueue"], "doubled": doubled}


def _bridge(at: LabAddresses, middle: str, bridge: str, settings: dict[str, float]) -> None:
    """Join the two devices, in whose namespace the caller is, and put netem on both."""
    with IPRoute() as ip:
        ip.link("add", ifname=bridge, kind="bridge", br_mcast_snooping=0)
        quiet(bridge)
        joint = require_link(ip, bridge)["index"]
        ip.link("set", index=joint, state="up")
        # As the exchange's end it had the exchange's address, which a bridge would take for its own.
        ip.link("set", index=require_link(ip, at.peer)["index"], address=_BRIDGE_MAC)
        for device in (at.peer, middle):
            index = require_link(ip, device)["index"]
            ip.link("set", index=index, master=joint)
            ip.tc("add", "netem", index, "1:", **settings)


def _unbridge(bridge: str) -> None:
    with IPRoute() as ip:
        for link in ip.link("dump", ifname=bridge):
            ip.link("del", index=link["index"])


@contextmanager
def netem_lab(number: int, **settings: float) -> Iterator[tuple[LabAddresses, str, Netem]]:
    """A raised lab, the name of the exchange's namespace, and the line. Nothing of it is left afterwards.

    `settings` of netem, both ways: loss, duplicate, prob_reorder (per cent), delay (µs).
    """
    with long_lab(number) as (at, far, middle):
        bridge = f"hftw{number}e"
        try:
            netns.run_in(at.namespace, lambda: _bridge(at, middle, bridge, settings))
            yield at, far, Netem(at, far, middle)
        finally:
            netns.run_in(at.namespace, lambda: _unbridge(bridge))
