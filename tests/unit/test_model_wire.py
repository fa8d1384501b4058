"""Rule 1: whose frame is it?"""

from __future__ import annotations

from typing import Any

import pytest
from model_bytes import FEED_ADDR, FEED_PORT, OWN_ADDR, OWN_PORT, PEER_ADDR, PEER_PORT, Rig, frame, mold
from turbo_hft.model import Role, XdpAction

GOOD = mold(1, count=0)


def counted(rig: Rig, data: bytes) -> dict[str, int]:
    """Counters that one frame moved, besides the two every frame moves."""
    before = dict(rig.engine.counter)
    outcome = rig.engine.packet(data, 0)
    moved = {name: value - before[name] for name, value in rig.engine.counter.items() if value != before[name]}
    assert moved.pop("frames") == 1
    if outcome.verdict == XdpAction.PASS:
        assert outcome.frame == data
        assert outcome.events == []
    return moved


@pytest.mark.parametrize(
    ("tags", "counter"),
    [
        (b"", "feed_packets"),
        (b"\x81\x00\x00\x05", "feed_packets"),
        (b"\x88\xa8\x00\x05\x81\x00\x00\x06", "feed_packets"),
        (b"\x81\x00\x00\x05" * 3, "not_ours"),
    ],
)
def test_up_to_two_tags(tags: bytes, counter: str) -> None:
    assert counter in counted(Rig(ready=False), frame(GOOD, tags=tags))


@pytest.mark.parametrize(
    ("spoil", "counter"),
    [
        ({"ether_type": 0x86DD}, "not_ours"),
        ({"protocol": 6}, "not_ours"),
        ({"flags_fragment": 0x2000}, "fragments"),
        ({"flags_fragment": 0x0001}, "fragments"),
        ({"total_delta": 1}, "truncated"),
        ({"total_delta": -21}, "truncated"),
        ({"udp_delta": 1}, "truncated"),
        ({"udp_delta": -21}, "truncated"),
        ({"dst": (FEED_ADDR, FEED_PORT + 1)}, "not_ours"),
        ({"dst": ("239.77.0.2", FEED_PORT)}, "not_ours"),
    ],
)
def test_first_rule_that_matches(spoil: dict[str, Any], counter: str) -> None:
    assert counted(Rig(ready=False), frame(GOOD, **spoil)) == {counter: 1}


def test_flags_that_do_not_fragment() -> None:
    assert "feed_packets" in counted(Rig(ready=False), frame(GOOD, flags_fragment=0xC000))


@pytest.mark.parametrize("version_ihl", [0x55, 0x44, 0x65])
def test_version_and_header_length(version_ihl: int) -> None:
    data = bytearray(frame(GOOD))
    data[14] = version_ihl
    assert counted(Rig(ready=False), bytes(data)) == {"not_ours": 1}


def test_header_longer_than_packet() -> None:
    data = bytearray(frame(b""))
    data[14] = 0x4F
    assert counted(Rig(ready=False), bytes(data)) == {"truncated": 1}


def test_every_cut_of_a_frame() -> None:
    tagged = frame(GOOD, tags=b"\x81\x00\x00\x05")
    for length in range(len(tagged)):
        expected = "not_ours" if length < 18 else "truncated"
        assert counted(Rig(ready=False), tagged[:length]) == {expected: 1}, length


def test_options_and_padding_are_skipped() -> None:
    rig = Rig(ready=False, verify=True)
    assert "feed_heartbeats" in counted(rig, frame(GOOD, options=b"\1" * 8, padding=b"\xff" * 9))


def test_bytes_between_udp_and_ip_end_are_ignored() -> None:
    assert "feed_heartbeats" in counted(Rig(ready=False), frame(GOOD + b"??", udp_delta=-2))


@pytest.mark.parametrize("role", [Role.NONE, 7])
def test_role_that_is_none(role: Role) -> None:
    rig = Rig(ready=False)
    rig.engine.add_flow(FEED_ADDR, FEED_PORT, role)
    assert counted(rig, frame(GOOD)) == {"not_ours": 1}


@pytest.mark.parametrize(
    ("src", "counter"),
    [
        ((PEER_ADDR, PEER_PORT), "reply_packets"),
        (("10.77.0.3", PEER_PORT), "wrong_peer"),
        ((PEER_ADDR, PEER_PORT + 1), "wrong_peer"),
    ],
)
def test_peer(src: tuple[str, int], counter: str) -> None:
    assert counter in counted(Rig(ready=False), frame(b"JA", (OWN_ADDR, OWN_PORT), src))


@pytest.mark.parametrize("spoil", [{"ip_checksum": 1}, {"udp_checksum": 1}])
def test_checksums_are_verified_when_configured(spoil: dict[str, Any]) -> None:
    assert counted(Rig(ready=False, verify=True), frame(GOOD, **spoil)) == {"bad_checksum": 1}
    assert "feed_heartbeats" in counted(Rig(ready=False), frame(GOOD, **spoil))


@pytest.mark.parametrize("payload", [GOOD, GOOD + b"odd"])
def test_right_or_absent_udp_checksum(payload: bytes) -> None:
    assert "feed_packets" in counted(Rig(ready=False, verify=True), frame(payload))
    assert "feed_packets" in counted(Rig(ready=False, verify=True), frame(payload, udp_checksum=0))


def test_wrong_peer_comes_before_checksum() -> None:
    data = frame(b"JA", (OWN_ADDR, OWN_PORT), ("10.77.0.3", 1), ip_checksum=1)
    assert counted(Rig(ready=False, verify=True), data) == {"wrong_peer": 1}
