"""Frames byte by byte, and the frames that the parser refuses."""

from __future__ import annotations

from typing import Any

import pytest
from turbo_hft.errors import MalformedMessage
from turbo_hft.wire import frame

ENDPOINTS: dict[str, Any] = {
    "src_mac": "02:00:00:00:77:02",
    "dst_mac": "02:00:00:00:77:01",
    "src": ("10.77.0.2", 26450),
    "dst": ("10.77.0.1", 26400),
}


def build(payload: bytes = b"abc", **given: Any) -> bytes:
    return frame.udp_frame(**ENDPOINTS, payload=payload, **given)


def edited(at: int, value: bytes, raw: bytes | None = None) -> bytes:
    out = bytearray(build() if raw is None else raw)
    out[at : at + len(value)] = value
    return bytes(out)


def test_layout() -> None:
    # Both checksums were worked out by hand: sum of the 16-bit words, carries added back, complement.
    assert build(ident=0x1234).hex() == (
        "0200 0000 7701 0200 0000 7702 0800 "
        "4500 001f 1234 4000 4011 13fe 0a4d 0002 0a4d 0001 "
        "6752 6720 000b 5866 6162 63"
    ).replace(" ", "")


def test_parse() -> None:
    assert frame.parse_udp(build(ident=0x1234) + b"padding") == frame.UdpFrame(
        **ENDPOINTS, payload=b"abc", vlans=(), ipv4_checksum_ok=True, udp_checksum_ok=True, ident=0x1234
    )


def test_vlan_tags() -> None:
    assert build(vlans=(5,))[12:18] == bytes.fromhex("8100 0005 0800")
    assert build(vlans=(0x6005, 7))[12:22] == bytes.fromhex("88a8 6005 8100 0007 0800")
    assert frame.parse_udp(build(vlans=(0x6005, 7))).vlans == (0x6005, 7)
    third = build(vlans=(1, 2))
    third = third[:12] + b"\x81\0\0\3" + third[12:]
    with pytest.raises(MalformedMessage, match="after 2 VLAN tags"):
        frame.parse_udp(third)


def test_ip_options() -> None:
    raw = build(options=b"\x94\x04\0\0\x01")
    assert raw[14] == 0x47 and raw[34:42] == b"\x94\x04\0\0\x01\0\0\0"
    assert frame.parse_udp(raw).payload == b"abc"
    assert frame.parse_udp(raw).ipv4_checksum_ok


def test_without_udp_checksum() -> None:
    raw = build(checksum=False)
    assert raw[40:42] == b"\0\0"
    parsed = frame.parse_udp(raw)
    assert parsed.udp_checksum_ok and parsed.ipv4_checksum_ok


def test_a_udp_checksum_of_zero_is_sent_as_ones() -> None:
    base = frame.parse_udp(build(b"\0\0"))
    assert base.udp_checksum_ok
    # The word that brings the sum to 0xffff makes its complement 0, which would say "no checksum".
    word = int.from_bytes(build(b"\0\0")[40:42], "big")
    raw = build(word.to_bytes(2, "big"))
    assert raw[40:42] == b"\xff\xff"
    assert frame.parse_udp(raw).udp_checksum_ok


def test_wrong_checksums_are_told_apart() -> None:
    ip = frame.parse_udp(edited(22, b"\x3f"))
    assert not ip.ipv4_checksum_ok and ip.udp_checksum_ok
    udp = frame.parse_udp(edited(42, b"X"))
    assert udp.ipv4_checksum_ok and not udp.udp_checksum_ok


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        (b"", "EtherType"),
        (build()[:13], "EtherType"),
        (build(vlans=(1,))[:17], "EtherType"),
        (edited(12, b"\x86\xdd"), "EtherType 0x86dd"),
        (build()[:33], "does not fit"),
        (edited(14, b"\x65"), "first IPv4 byte 0x65"),
        (edited(14, b"\x44"), "first IPv4 byte 0x44"),
        (edited(23, b"\x06"), "protocol 6"),
        (edited(20, b"\x20\x00"), "fragment"),
        (edited(20, b"\x00\x01"), "fragment"),
        (edited(16, b"\x00\x1b"), "total length 27"),
        (edited(16, b"\x00\x20"), "total length 32"),
        (edited(14, b"\x46"), "total length 31: 32 to 31"),
        (edited(38, b"\x00\x07"), "UDP length 7"),
        (edited(38, b"\x00\x0c"), "UDP length 12"),
    ],
)
def test_refused(raw: bytes, named: str) -> None:
    with pytest.raises(MalformedMessage, match=named):
        frame.parse_udp(raw)


def test_the_udp_length_decides_what_the_payload_is() -> None:
    assert frame.parse_udp(edited(38, b"\x00\x09")).payload == b"a"
    assert frame.parse_udp(edited(38, b"\x00\x08")).payload == b""


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"src": ("10.77.0", 1)}, "IPv4 address '10.77.0'"),
        ({"dst": ("::1", 1)}, "IPv4 address '::1'"),
        ({"dst": ("10.0.0.1", 65536)}, "port 65536"),
        ({"src_mac": "02:00:00:00:77"}, "MAC address"),
        ({"dst_mac": "02:00:00:00:77:zz"}, "MAC address"),
        ({"dst_mac": "020000007701"}, "MAC address"),
        ({"vlans": (1, 2, 3)}, "VLAN tags"),
        ({"vlans": (65536,)}, "VLAN tags"),
        ({"options": bytes(41)}, "options"),
        ({"payload": bytes(65508)}, "65536 bytes"),
        ({"ttl": 256}, "ttl 256"),
        ({"ident": -1}, "ident -1"),
    ],
)
def test_what_cannot_be_built(given: dict[str, Any], named: str) -> None:
    with pytest.raises(MalformedMessage, match=named):
        frame.udp_frame(**(ENDPOINTS | {"payload": b""} | given))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", 0xFFFF),
        (b"\0\0", 0xFFFF),
        (b"\xff\xff", 0),
        (b"\x01", 0xFEFF),
        # the example of RFC 1071, section 3: the sum is ddf2
        (bytes.fromhex("0001f203f4f5f6f7"), 0xDDF2 ^ 0xFFFF),
    ],
)
def test_checksum(data: bytes, expected: int) -> None:
    assert frame.checksum(data) == expected
