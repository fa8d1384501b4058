"""How frames get to the hook: the messages about carriers, and what a person is told to run."""

from __future__ import annotations

import struct

import pytest
from turbo_hft.errors import ConfigError
from turbo_hft.steering import Memberships, SteeredFlow, carrier_changes, describe, is_multicast

LOWER_UP = 1 << 16
FLOWS = (SteeredFlow(0, "a", "239.77.0.1", 26477), SteeredFlow(None, "order_entry", "10.77.0.1", 26400))


def link_message(index: int, flags: int, changes: int, kind: int = 16) -> bytes:
    """An RTM_NEWLINK as the kernel sends it: an odd-sized name first, then the number of changes."""
    attributes = struct.pack("=HH", 9, 3) + b"veth\0\0\0\0" + struct.pack("=HHI", 8, 35, changes)
    body = struct.pack("=BxHiII", 0, 1, index, flags, 0) + attributes
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body


def test_carriers_that_are_up_are_reported_for_one_interface() -> None:
    news = link_message(3, LOWER_UP, 2) + link_message(4, LOWER_UP, 9) + link_message(3, 0, 3)
    news += link_message(3, LOWER_UP, 7, kind=17) + link_message(3, LOWER_UP, 4)
    assert carrier_changes(news, 3) == [2, 4]
    assert carrier_changes(news, 5) == []


def test_broken_messages_are_survived() -> None:
    whole = link_message(3, LOWER_UP, 2)
    for length in range(len(whole)):
        assert carrier_changes(whole[:length], 3) == []
    for at in range(len(whole)):
        for value in (0, 1, 255):
            carrier_changes(whole[:at] + bytes([value]) + whole[at + 1 :], 3)


def test_commands_and_their_fallback() -> None:
    steering = describe("nowhere0", FLOWS, 5, 2)
    assert steering.commands == (
        "ethtool -K nowhere0 ntuple on",
        "ethtool -N nowhere0 flow-type udp4 dst-ip 239.77.0.1 dst-port 26477 action 2",
        "ethtool -N nowhere0 flow-type udp4 dst-ip 10.77.0.1 dst-port 26400 action 2",
    )
    assert steering.fallback == ("ethtool -X nowhere0 start 2 equal 1",)
    assert (steering.queues, steering.needed, steering.second_cpu, steering.flows) == (None, True, 5, FLOWS)


def test_one_queue_needs_no_steering() -> None:
    assert describe("lo", FLOWS, 0, 0).needed is False
    with pytest.raises(ConfigError, match="queue 1: lo has 1"):
        describe("lo", FLOWS, 0, 1)


def test_groups() -> None:
    assert [is_multicast(a) for a in ("223.255.255.255", "224.0.0.1", "239.255.255.255", "240.0.0.1")] == [
        False, True, True, False,
    ]  # fmt: skip
    none = Memberships("nowhere0", 0, ())
    none.close()
    with pytest.raises(ConfigError, match=r"cannot join 239.77.0.1 on nowhere0"):
        Memberships("nowhere0", 999_999, ["239.77.0.1"])
