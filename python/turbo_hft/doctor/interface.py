"""An interface: driver, queues, offloads, and where its interrupts are handled."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable

from turbo_hft.doctor.findings import Finding, bad, ok, warn
from turbo_hft.doctor.machine import Machine
from turbo_hft.errors import TurboHftError

_MOST_MTU = 3498  # of veth, the least of those that are known
_UP, _LOOPBACK = 1, 8  # IFF_* of linux/if.h
Features = Callable[[str], dict[str, bool]]


def ethtool_features(interface: str) -> dict[str, bool]:
    """Which offloads are on, by their kernel names; empty where that cannot be asked."""
    from pyroute2.ethtool.ioctl import IoctlEthtool

    tool = None
    try:
        tool = IoctlEthtool(interface)
        features = tool.get_features()
        return {name: bool(features.is_active(name)) for name in features.keys() if name}  # noqa: SIM118 - no dict
    except Exception:
        return {}
    finally:
        if tool is not None:
            with contextlib.suppress(OSError):
                tool.close()


def interface_findings(machine: Machine, interface: str, features: Features = ethtool_features) -> list[Finding]:
    """All of them; one only for an interface that is not there."""
    at = f"sys/class/net/{interface}"
    if machine.text(f"{at}/ifindex") is None:
        return [bad("interface", f"there is no {interface}", "`ip link` lists them; `turbo-hft lab up` makes veth_hft")]
    on = features(interface)
    return [
        _state(machine, at, interface),
        _mtu(machine, at, interface),
        _driver(machine, at),
        _queues(machine, at, interface),
        *_offloads(on, interface),
        _interrupts(machine, interface),
        _steered_in_software(machine, at),
        _engine(interface),
    ]


def _state(machine: Machine, at: str, interface: str) -> Finding:
    flags = int(machine.text(f"{at}/flags") or "0", 16)
    if flags & _LOOPBACK:
        return bad("interface", f"{interface} is the loopback device", "Name the interface that the exchange is on")
    if not flags & _UP:
        return bad("interface", f"{interface} is down", f"ip link set dev {interface} up")
    carrier = machine.text(f"{at}/carrier")
    if carrier == "0":
        return bad("interface", f"{interface} has no carrier", "Look at the cable, and at the other end")
    return ok("interface", f"{interface} is up")


def _mtu(machine: Machine, at: str, interface: str) -> Finding:
    mtu = int(machine.text(f"{at}/mtu") or "0")
    if mtu > _MOST_MTU:
        return bad("MTU", f"{mtu}: too large for XDP with most drivers", f"ip link set dev {interface} mtu 1500")
    return ok("MTU", str(mtu))


def _driver(machine: Machine, at: str) -> Finding:
    link = machine.root / at / "device" / "driver"
    try:
        return ok("driver", link.resolve(strict=True).name)
    except OSError:
        return ok("driver", "a device without hardware (veth, for instance)")


def _queues(machine: Machine, at: str, interface: str) -> Finding:
    count = len(machine.paths(f"{at}/queues/rx-*"))
    if count > 1:
        return warn(
            "receive queues",
            f"{count}: a feed that is spread over them costs a wait for each change of CPU",
            f"ethtool -L {interface} combined 1, or steer its flows to one (engine.steering says how)",
        )
    return ok("receive queues", str(count))


def _offloads(on: dict[str, bool], interface: str) -> list[Finding]:
    if not on:
        return [warn("offloads", "cannot be asked here", f"Look at `ethtool -k {interface}`")]
    found = []
    if on.get("rx-lro"):
        found.append(bad("LRO", "on: drivers refuse XDP with it", f"ethtool -K {interface} lro off"))
    else:
        found.append(ok("LRO", "off"))
    if on.get("rx-gro-hw"):
        found.append(warn("hardware GRO", "on: packets arrive joined", f"ethtool -K {interface} rx-gro-hw off"))
    else:
        found.append(ok("hardware GRO", "off"))
    found.append(ok("GRO", "on, behind the hook" if on.get("rx-gro") else "off"))
    checked = on.get("rx-checksum", False)
    found.append(ok("receive checksums", "checked by the card too" if checked else "checked by the hook only"))
    if on.get("rx-vlan-hw-parse"):
        found.append(
            warn("VLAN tags", "taken off by the card: the hook sees none", f"ethtool -K {interface} rxvlan off")
        )
    else:
        found.append(ok("VLAN tags", "left in the frame"))
    return found


def _interrupts(machine: Machine, interface: str) -> Finding:
    table = machine.text("proc/interrupts") or ""
    numbers = re.findall(rf"^\s*(\d+):.*\b{re.escape(interface)}\b", table, re.MULTILINE)
    if not numbers:
        return ok("interrupts", "it has none of its own")
    places = {number: machine.text(f"proc/irq/{number}/effective_affinity_list") or "?" for number in numbers}
    said = ", ".join(f"{number} on CPU {place}" for number, place in places.items())
    if len(set(places.values())) > 1 or any(not place.isdecimal() for place in places.values()):
        return warn("interrupts", said, f"echo CPU > /proc/irq/{numbers[0]}/smp_affinity_list, the same for all")
    return ok("interrupts", said)


def _steered_in_software(machine: Machine, at: str) -> Finding:
    masks = [machine.text(f"{path.relative_to(machine.root)}/rps_cpus") for path in machine.paths(f"{at}/queues/rx-*")]
    if any(mask and mask.strip("0,") for mask in masks):
        return warn(
            "RPS", "on: in generic mode frames change CPU before the hook", f"echo 0 > /{at}/queues/rx-0/rps_cpus"
        )
    return ok("RPS", "off")


def _engine(interface: str) -> Finding:
    from turbo_hft.engine import Engine, Mode

    try:
        with Engine.adopt(interface) as engine:
            spread, contended = (engine.counters()[name] for name in ("feed_second_cpu", "contended"))
            if engine.mode is Mode.GENERIC:
                return warn("engine", "runs in generic mode, above the driver", "Start it with --mode native")
            if contended:
                return warn(
                    "engine", f"{contended} packets were passed unhandled, {spread} changed CPU", "Use one queue"
                )
            return ok("engine", f"runs natively, {engine.state}")
    except TurboHftError as error:
        return ok("engine", " ".join(str(error).split()))
