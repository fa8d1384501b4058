"""scapy reads the frames we build, and we read the ones it builds."""

from __future__ import annotations

import random
from typing import Any

import pytest
from turbo_hft.wire import frame

scapy = pytest.importorskip("scapy.all", reason="scapy is not installed: pip install scapy")

SRC_MAC = "02:00:00:00:77:02"
DST_MAC = "02:00:00:00:77:01"
SRC = ("10.77.0.2", 26450)
DST = ("239.77.0.1", 26477)
PAYLOADS = [b"", b"\0", b"\xff" * 7, bytes(random.Random(7).randbytes(1401))]
VLANS: list[tuple[int, ...]] = [(), (5,), (0x6FFF,), (0x2005, 0xE007)]
# none; router alert; record route with room for 3 addresses, unpadded
OPTIONS = [b"", b"\x94\x04\0\0", b"\x07\x0f\x04" + bytes(12)]


def tags(vlans: tuple[int, ...]) -> Any:
    """The same tags as scapy layers, outermost first; two of them as provider bridges send them."""
    kinds = (scapy.Dot1AD, scapy.Dot1Q) if len(vlans) == 2 else (scapy.Dot1Q,)
    return [kind(prio=tci >> 13, vlan=tci & 0xFFF) for kind, tci in zip(kinds, vlans, strict=False)]


def dei(packet: Any) -> int:
    """The drop-eligible bit, which scapy has under two names."""
    return int(packet.getfieldval("dei" if "dei" in packet.fields else "id"))


@pytest.mark.parametrize("options", OPTIONS, ids=["plain", "router-alert", "record-route"])
@pytest.mark.parametrize("vlans", VLANS, ids=str)
@pytest.mark.parametrize("payload", PAYLOADS, ids=len)
def test_scapy_reads_ours(payload: bytes, vlans: tuple[int, ...], options: bytes) -> None:
    raw = frame.udp_frame(
        src_mac=SRC_MAC,
        dst_mac=DST_MAC,
        src=SRC,
        dst=DST,
        payload=payload,
        vlans=vlans,
        ttl=17,
        ident=0xBEEF,
        options=options,
    )
    packet = scapy.Ether(raw)
    assert (packet.src, packet.dst) == (SRC_MAC, DST_MAC)
    layer = packet
    for tci in vlans:
        layer = layer.payload
        assert (layer.prio << 13 | dei(layer) << 12 | layer.vlan) == tci
    ip, udp = packet[scapy.IP], packet[scapy.UDP]
    assert layer.payload is ip
    assert (ip.src, ip.dst, ip.ttl, ip.id, ip.frag, str(ip.flags)) == (SRC[0], DST[0], 17, 0xBEEF, 0, "DF")
    assert ip.ihl == 5 + (len(options) + 3) // 4 and ip.len == 4 * ip.ihl + 8 + len(payload)
    assert (udp.sport, udp.dport, udp.len) == (SRC[1], DST[1], 8 + len(payload))
    assert bytes(udp.payload) == payload
    # scapy fills in lengths and checksums that are missing: rebuilt, the frame must be ours.
    for part, names in ((ip, ("chksum", "len", "ihl")), (udp, ("chksum", "len"))):
        for name in names:
            delattr(part, name)
    assert bytes(packet).hex() == raw.hex()


@pytest.mark.parametrize("options", OPTIONS, ids=["plain", "router-alert", "record-route"])
@pytest.mark.parametrize("vlans", VLANS, ids=str)
@pytest.mark.parametrize("payload", PAYLOADS, ids=len)
def test_we_read_scapys(payload: bytes, vlans: tuple[int, ...], options: bytes) -> None:
    packet = scapy.Ether(src=SRC_MAC, dst=DST_MAC)
    for tag in tags(vlans):
        packet /= tag
    parsed_options = scapy.IP(b"\x46\0\0\x18" + bytes(16) + options[:4]).options if options == OPTIONS[1] else []
    if options == OPTIONS[2]:
        parsed_options = [scapy.IPOption_RR(length=15, routers=["0.0.0.0"] * 3)]
    packet /= scapy.IP(src=SRC[0], dst=DST[0], id=0xBEEF, options=parsed_options)
    packet /= scapy.UDP(sport=SRC[1], dport=DST[1])
    packet /= scapy.Raw(payload)
    raw = bytes(packet)
    assert frame.parse_udp(raw + bytes(5)) == frame.UdpFrame(
        src_mac=SRC_MAC,
        dst_mac=DST_MAC,
        src=SRC,
        dst=DST,
        payload=payload,
        vlans=tuple(tci & 0xEFFF for tci in vlans),
        ipv4_checksum_ok=True,
        udp_checksum_ok=True,
        ident=0xBEEF,
    )
    assert (raw[14 + 4 * len(vlans)] & 0x0F) == 5 + (len(options) + 3) // 4, "the options are not in the frame"


@pytest.mark.parametrize(("layer", "field"), [("IP", "ipv4_checksum_ok"), ("UDP", "udp_checksum_ok")])
def test_we_see_the_checksum_that_scapy_got_wrong(layer: str, field: str) -> None:
    packet = scapy.Ether(src=SRC_MAC, dst=DST_MAC) / scapy.IP(src=SRC[0], dst=DST[0]) / scapy.UDP() / b"payload"
    packet[layer].chksum = 0x1234
    parsed = frame.parse_udp(bytes(packet))
    flags = {name: getattr(parsed, name) for name in ("ipv4_checksum_ok", "udp_checksum_ok")}
    assert flags == {"ipv4_checksum_ok": True, "udp_checksum_ok": True} | {field: False}


@pytest.mark.parametrize("size", [*range(40), 1399, 1400, 1401])
def test_checksums_agree(size: int) -> None:
    data = random.Random(size).randbytes(size)
    assert frame.checksum(data) == scapy.checksum(data)
