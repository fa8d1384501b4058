"""Rule 1: whose frame is it? Ethernet, 802.1Q, IPv4 and UDP, read byte by byte."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from .names import Role
from .state import Flow


@dataclass
class Datagram:
    """The payload of a frame of ours and its flow."""

    flow: Flow
    payload: bytes


def u16(data: bytes, offset: int) -> int:
    """Unsigned 16-bit big-endian integer at ``offset``."""
    return int.from_bytes(data[offset : offset + 2], "big")


def u32(data: bytes, offset: int) -> int:
    """Unsigned 32-bit big-endian integer at ``offset``."""
    return int.from_bytes(data[offset : offset + 4], "big")


def u48(data: bytes, offset: int) -> int:
    """Unsigned 48-bit big-endian integer at ``offset``."""
    return int.from_bytes(data[offset : offset + 6], "big")


def u64(data: bytes, offset: int) -> int:
    """Unsigned 64-bit big-endian integer at ``offset``."""
    return int.from_bytes(data[offset : offset + 8], "big")


def internet_sum(data: bytes) -> int:
    """One's complement sum of RFC 1071 over 16-bit words, an odd last byte padded with zero."""
    if len(data) % 2 == 1:
        data += b"\0"
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def udp_pseudo_header(source: bytes, destination: bytes, udp_length: int) -> bytes:
    """Pseudo header of RFC 768: addresses of 4 bytes each, zero, protocol 17, UDP length."""
    return source + destination + bytes([0, 17]) + udp_length.to_bytes(2, "big")


def dotted(address: bytes) -> str:
    """4 bytes as ``a.b.c.d``."""
    return ".".join(str(byte) for byte in address)


def read_frame(frame: bytes, flows: dict[tuple[str, int], Flow], verify_checksums: bool) -> Datagram | str:
    """The datagram inside a frame of ours, or the name of the counter that says why there is none."""
    if len(frame) < 14:
        return "not_ours"
    ether_type = u16(frame, 12)
    offset = 14
    for _ in range(2):
        if ether_type in (0x8100, 0x88A8):
            if len(frame) < offset + 4:
                return "not_ours"
            ether_type = u16(frame, offset + 2)
            offset += 4
    if ether_type != 0x0800:
        return "not_ours"

    packet = frame[offset:]
    if len(packet) < 20:
        return "truncated"
    version = packet[0] >> 4
    header_length = (packet[0] & 0x0F) * 4
    if version != 4 or header_length < 20:
        return "not_ours"
    if packet[9] != 17:
        return "not_ours"
    more_fragments = packet[6] & 0x20
    fragment_offset = u16(packet, 6) & 0x1FFF
    if more_fragments or fragment_offset:
        return "fragments"
    total_length = u16(packet, 2)
    if total_length < header_length + 8 or total_length > len(packet):
        return "truncated"

    udp = packet[header_length:total_length]
    udp_length = u16(udp, 4)
    if udp_length < 8 or udp_length > len(udp):
        return "truncated"
    udp = udp[:udp_length]

    source, destination = packet[12:16], packet[16:20]
    flow = flows.get((dotted(destination), u16(udp, 2)))
    if flow is None or flow.role not in (Role.FEED, Role.ORDER_ENTRY, Role.COMMAND):
        return "not_ours"
    if flow.peer_addr not in ("", "0.0.0.0") and flow.peer_addr != dotted(source):
        return "wrong_peer"
    if flow.peer_port not in (0, u16(udp, 0)):
        return "wrong_peer"

    if verify_checksums:
        if internet_sum(packet[:header_length]) != 0xFFFF:
            return "bad_checksum"
        pseudo_header = udp_pseudo_header(source, destination, udp_length)
        if u16(udp, 6) != 0 and internet_sum(pseudo_header + udp) != 0xFFFF:
            return "bad_checksum"
    return Datagram(flow, udp[8:])


def split_blocks(data: bytes, count: int) -> list[bytes] | None:
    """Exactly ``count`` blocks of { length:2, bytes } that fill ``data``, or None."""
    blocks = []
    offset = 0
    for _ in range(count):
        if len(data) < offset + 2:
            return None
        length = u16(data, offset)
        offset += 2
        if len(data) < offset + length:
            return None
        blocks.append(data[offset : offset + length])
        offset += length
    if offset != len(data):
        return None
    return blocks
