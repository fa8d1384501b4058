"""The lab on the real kernel: raised and taken down twice, with nothing left and nothing foreign touched."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyroute2 import IPRoute
from turbo_hft import netns
from turbo_hft._native import lib
from turbo_hft.errors import LabError, TurboHftError
from turbo_hft.lab import Lab, LabAddresses

pytestmark = pytest.mark.kernel

TAG = f"{os.getpid() % 100_000:05d}"
BPF_FS = Path("/sys/fs/bpf")


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def snapshot() -> tuple[list[str], list[str], list[str]]:
    """What this test could leave behind: namespaces and interfaces with its tag, and pins."""
    namespaces = [line for line in run("ip", "netns").splitlines() if TAG in line]
    links = [line for line in run("ip", "-o", "link").splitlines() if TAG in line]
    pins = [path.name for path in BPF_FS.iterdir() if TAG in path.name] if BPF_FS.is_dir() else []
    return namespaces, links, pins


@pytest.fixture
def lab() -> Iterator[Lab]:
    lab = Lab(namespace=f"lab_{TAG}", device=f"lb{TAG}a", peer=f"lb{TAG}b", subnet="10.201.3.0/24")
    yield lab
    subprocess.run(["ip", "link", "delete", "dev", lab.addresses.device], check=False, capture_output=True)
    subprocess.run(["ip", "netns", "delete", lab.addresses.namespace], check=False, capture_output=True)


def test_up_and_down_twice_leave_nothing(lab: Lab) -> None:
    lab.up()
    first = run("ip", "-o", "link", "show", "dev", lab.addresses.device)
    lab.up()
    assert run("ip", "-o", "link", "show", "dev", lab.addresses.device) == first, "a standing lab was rebuilt"
    assert lab.is_up()
    lab.down()
    assert snapshot() == ([], [], [])
    lab.down()
    assert snapshot() == ([], [], [])
    assert not lab.is_up()


def test_both_ends_are_configured(lab: Lab) -> None:
    a = lab.addresses
    lab.up()
    ends: tuple[tuple[list[str], str, str, str], ...] = (
        ([], a.device, a.host_address, a.host_mac),
        (["-n", a.namespace], a.peer, a.exchange_address, a.exchange_mac),
    )
    for prefix, device, address, mac in ends:
        assert f"inet {address}/24" in run("ip", *prefix, "-o", "-4", "addr", "show", "dev", device)
        assert run("ip", *prefix, "-o", "-6", "addr", "show", "dev", device) == ""
        link = run("ip", *prefix, "-d", "-o", "link", "show", "dev", device)
        assert mac in link and "LOWER_UP" in link and "numtxqueues 1 numrxqueues 1" in link
    host_neighbours = run("ip", "-4", "neigh", "show", "dev", a.device)
    assert host_neighbours.split() == [a.exchange_address, "lladdr", a.exchange_mac, "PERMANENT"]
    exchange_neighbours = run("ip", "-n", a.namespace, "-4", "neigh", "show", "dev", a.peer)
    assert exchange_neighbours.split() == [a.host_address, "lladdr", a.host_mac, "PERMANENT"]
    host_offloads = run("ethtool", "-k", a.device)
    exchange_offloads = run("ip", "netns", "exec", a.namespace, "ethtool", "-k", a.peer)
    assert "tx-checksumming: off" in host_offloads and "tx-checksumming: off" in exchange_offloads


def test_exchange_end_runs_a_native_program(lab: Lab) -> None:
    lab.up()
    words = run("ip", "-n", lab.addresses.namespace, "-o", "link", "show", "dev", lab.addresses.peer).split()
    assert "xdp" in words and "prog/xdp" in words
    assert "xdpgeneric" not in words
    assert "xdp" not in run("ip", "-o", "link", "show", "dev", lab.addresses.device).split()


def test_datagrams_cross_the_wire_both_ways(lab: Lab) -> None:
    lab.up()
    a = lab.addresses

    def udp() -> socket.socket:
        return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    with udp() as host, netns.run_in(a.namespace, udp) as exchange:
        for end, address in ((host, a.host_address), (exchange, a.exchange_address)):
            end.settimeout(2)
            end.bind((address, 0))
        host.sendto(b"order", exchange.getsockname())
        data, source = exchange.recvfrom(64)
        assert (data, source) == (b"order", host.getsockname())
        exchange.sendto(b"tick", source)
        assert host.recvfrom(64) == (b"tick", exchange.getsockname())


def test_context_manager_cleans_up_after_an_error(lab: Lab) -> None:
    with pytest.raises(ZeroDivisionError), lab:
        assert snapshot() != ([], [], [])
        raise ZeroDivisionError
    assert snapshot() == ([], [], [])


def test_a_lab_in_use_is_not_given_to_a_second_owner(lab: Lab) -> None:
    a = lab.addresses
    with lab, pytest.raises(LabError, match="another process is using the lab"):
        Lab(a.namespace, a.device, a.peer, "10.201.3.0/24").__enter__()
    assert snapshot() == ([], [], [])


def test_two_labs_stand_side_by_side(lab: Lab) -> None:
    other = Lab(namespace=f"lab2_{TAG}", device=f"lc{TAG}a", peer=f"lc{TAG}b", subnet="10.201.4.0/24")
    with lab, other:
        assert lab.is_up() and other.is_up()
    assert snapshot() == ([], [], [])


def test_a_half_made_lab_is_mended(lab: Lab) -> None:
    a = lab.addresses
    run("ip", "netns", "add", a.namespace)
    lab.up()
    run("ip", "-n", a.namespace, "link", "set", "dev", a.peer, "xdp", "off")
    run("ip", "link", "set", "dev", a.device, "down")
    lab.up()
    assert "prog/xdp" in run("ip", "-n", a.namespace, "-o", "link", "show", "dev", a.peer)
    assert "LOWER_UP" in run("ip", "-o", "link", "show", "dev", a.device)


def test_foreign_interface_is_left_alone(lab: Lab) -> None:
    a = lab.addresses
    run("ip", "link", "add", a.device, "type", "veth", "peer", "name", a.peer)
    for attempt in (lab.up, lab.down, lab.is_up):
        with pytest.raises(LabError, match=f"ip link delete dev {a.device}"):
            attempt()
    assert a.device in run("ip", "-o", "link", "show", "dev", a.device)
    assert not netns.exists(a.namespace)


def test_foreign_interface_in_the_namespace_is_left_alone(lab: Lab) -> None:
    a = lab.addresses
    run("ip", "netns", "add", a.namespace)
    run("ip", "-n", a.namespace, "link", "add", "stranger", "type", "veth", "peer", "name", "stranger2")
    run("ip", "-n", a.namespace, "link", "set", "dev", "stranger", "up")
    for attempt in (lab.up, lab.down):
        with pytest.raises(LabError, match="also holds stranger"):
            attempt()
    assert netns.exists(a.namespace)


def test_generic_program_on_the_exchange_end_is_named(lab: Lab) -> None:
    a = lab.addresses
    lab.up()
    run("ip", "-n", a.namespace, "link", "set", "dev", a.peer, "xdp", "off")
    attach_generic(a.namespace, a.peer)
    with pytest.raises(LabError, match="xdpgeneric off"):
        lab.up()


def attach_generic(namespace: str, device: str) -> None:
    """Hang the PASS program on the generic hook, as a person with the wrong flag would."""

    def attach() -> None:
        program = lib.hft_load_constant(lib.HFT_VERDICT_PASS)
        with IPRoute() as ip:
            attributes = [("IFLA_XDP_FD", program), ("IFLA_XDP_FLAGS", lib.HFT_XDP_GENERIC)]
            ip.link("set", index=socket.if_nametoindex(device), xdp={"attrs": attributes})
        os.close(program)

    netns.run_in(namespace, attach)


def test_taken_subnet_is_named(lab: Lab) -> None:
    other = Lab(namespace=f"lab2_{TAG}", device=f"lc{TAG}a", peer=f"lc{TAG}b", subnet="10.201.3.0/24")
    with other, pytest.raises(LabError, match="another subnet"):
        lab.up()
    assert snapshot() == ([], [], [])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("x" * 3, "d" * 16, "p", "10.1.1.0/24"), "too long"),
        (("a/b", "d", "p", "10.1.1.0/24"), "not usable"),
        (("n", "", "p", "10.1.1.0/24"), "not usable"),
        (("n", "d", "p", "10.1.1.7/24"), "not an IPv4 network"),
        (("n", "d", "p", "10.1.1.0/31"), "no room"),
    ],
)
def test_unusable_names_are_refused(arguments: tuple[str, str, str, str], words: str) -> None:
    with pytest.raises(LabError, match=words):
        Lab(*arguments)


def test_addresses_follow_the_subnet() -> None:
    assert LabAddresses.of("exchange_ns", "veth_hft", "veth_exch", "10.77.0.0/24") == LabAddresses()
    other = LabAddresses.of("n", "d", "p", "10.201.3.0/24")
    assert (other.host_address, other.exchange_address, other.feed_group) == ("10.201.3.1", "10.201.3.2", "239.201.3.1")


def test_entering_a_missing_namespace_names_the_remedy() -> None:
    with pytest.raises(TurboHftError, match="turbo-hft lab up"):
        netns.run_in(f"missing_{TAG}", lambda: None)


def test_missing_capability_is_named(lab: Lab) -> None:
    """The same call in a child without capabilities: no check of the uid, the kernel's refusal is translated."""
    program = (
        "import ctypes, sys\n"
        "from turbo_hft.lab import Lab\n"
        "from turbo_hft.errors import CapabilityError\n"
        "header, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()\n"
        "assert ctypes.CDLL(None).capset(header, none) == 0\n"
        "try:\n"
        "    Lab(*sys.argv[1:]).up()\n"
        "except CapabilityError as error:\n"
        "    print(error)\n"
    )
    a = lab.addresses
    child = subprocess.run(
        [sys.executable, "-c", program, a.namespace, a.device, a.peer, "10.201.3.0/24"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert "CAP_SYS_ADMIN" in child.stdout or "CAP_NET_ADMIN" in child.stdout, child.stderr
    assert snapshot() == ([], [], [])
