"""Ethernet frames with IPv4 and UDP or TCP: builders, parser of UDP, Internet checksum.

The parser takes the frames that the hook takes (docs/rules.md, rule 1, its first three steps) and is strict about the
rest. Addresses are (dotted quad, port), MACs "02:00:00:00:77:01". Sources: IEEE 802.1Q, RFC 791, RFC 768, RFC 793,
RFC 7323, RFC 1071.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

from turbo_hft.errors import MalformedMessage

ETH_P_IP = 0x0800
ETH_P_8021Q = 0x8100
ETH_P_8021AD = 0x88A8
MAX_VLANS = 2
IPPROTO_UDP = 17
IPPROTO_TCP = 6
TCP_FIN, TCP_RST, TCP_PSH, TCP_ACK = 0x01, 0x04, 0x08, 0x10
_IPV4_MIN = 20
_UDP_LENGTH = 8
_MAX_OPTIONS = 40
_MAX_TOTAL = 0xFFFF
_FRAGMENT = 0x3FFF  # more fragments, and the offset
_DONT_FRAGMENT = 0x4000
_IPV4 = struct.Struct(">BBHHHBBH4s4s")
_UDP = struct.Struct(">HHHH")
_TCP = struct.Struct(">HHIIBBHHH")
_TIMESTAMPS = struct.Struct(">III")
_TIMESTAMPS_BEGIN = 0x0101080A  # two NOPs, then the option's kind and length


@dataclass(frozen=True, slots=True)
class UdpFrame:
    """A parsed frame. `vlans` are tag control fields, outermost first (the low 12 bits are the VLAN).

    `udp_checksum_ok` is true as well if the sender computed none (0 on the wire).
    """

    src_mac: str
    dst_mac: str
    src: tuple[str, int]
    dst: tuple[str, int]
    payload: bytes
    vlans: tuple[int, ...]
    ipv4_checksum_ok: bool
    udp_checksum_ok: bool
    ident: int


def checksum(data: bytes) -> int:
    """Internet checksum (RFC 1071) of `data`, 0 to 0xFFFF; 0 over data that contains its own right checksum."""
    if len(data) % 2:
        data = data + b"\0"
    # Sums of big-endian words and the number they form are congruent modulo 0xFFFF; zero only comes from zeros.
    total = int.from_bytes(data, "big")
    folded = total % 0xFFFF
    if folded == 0 and total:
        folded = 0xFFFF
    return folded ^ 0xFFFF


def multicast_mac(address: str) -> str | None:
    """The Ethernet address of an IPv4 group (RFC 1112); None for an address that is no group."""
    octets = [int(octet) for octet in address.split(".")]
    if not 224 <= octets[0] <= 239:
        return None
    return f"01:00:5e:{octets[1] & 0x7F:02x}:{octets[2]:02x}:{octets[3]:02x}"


def _pseudo(src: bytes, dst: bytes, length: int, protocol: int = IPPROTO_UDP) -> bytes:
    return src + dst + struct.pack(">HH", protocol, length)


def _mac(text: str) -> bytes:
    try:
        raw = bytes.fromhex(text.replace(":", ""))
    except ValueError:
        raw = b""
    if len(raw) != 6 or text.count(":") != 5:
        raise MalformedMessage(f"MAC address {text!r}: give six hexadecimal bytes such as 02:00:00:00:77:01")
    return raw


def _endpoint(endpoint: tuple[str, int]) -> tuple[bytes, int]:
    address, port = endpoint
    try:
        raw = socket.inet_pton(socket.AF_INET, address)
    except OSError:
        raise MalformedMessage(f"IPv4 address {address!r}: give a dotted quad such as 10.77.0.1") from None
    if not 0 <= port <= 0xFFFF:
        raise MalformedMessage(f"port {port}: give 0 to 65535")
    return raw, port


def udp_frame(
    *,
    src_mac: str,
    dst_mac: str,
    src: tuple[str, int],
    dst: tuple[str, int],
    payload: bytes,
    vlans: tuple[int, ...] = (),
    ttl: int = 64,
    ident: int = 0,
    options: bytes = b"",
    checksum: bool = True,
) -> bytes:
    """A complete frame without padding and FCS, don't-fragment set.

    `vlans`: up to 2 tag control fields, outermost first; of two the outer one is 802.1ad. `options`: IPv4 options,
    padded here to whole words. `checksum=False` sends UDP checksum 0 (none); IPv4's is always right.
    Errors: MalformedMessage if a value does not fit its field.
    """
    (src_ip, src_port), (dst_ip, dst_port) = _endpoint(src), _endpoint(dst)
    udp_length = _UDP_LENGTH + len(payload)
    headers = _headers((src_mac, dst_mac), vlans, (src_ip, dst_ip), (IPPROTO_UDP, udp_length), options, (ttl, ident))
    udp = bytearray(_UDP.pack(src_port, dst_port, udp_length, 0))
    if checksum:
        # 0 means "none" on the wire, so a sum of 0 is sent as its other form (RFC 768).
        struct.pack_into(">H", udp, 6, _sum(_pseudo(src_ip, dst_ip, udp_length) + udp + payload) or 0xFFFF)
    return headers + bytes(udp) + payload


def tcp_frame(
    *,
    src_mac: str,
    dst_mac: str,
    src: tuple[str, int],
    dst: tuple[str, int],
    payload: bytes = b"",
    seq: int = 0,
    ack: int = 0,
    flags: int = TCP_ACK,
    window: int = 0xFFFF,
    timestamps: tuple[int, int] | None = None,
    vlans: tuple[int, ...] = (),
    ident: int = 0,
) -> bytes:
    """A complete frame with a TCP segment, as `udp_frame` otherwise. `timestamps`: TSval and TSecr of that option.

    Errors: MalformedMessage if a value does not fit its field.
    """
    (src_ip, src_port), (dst_ip, dst_port) = _endpoint(src), _endpoint(dst)
    option = b"" if timestamps is None else _TIMESTAMPS.pack(_TIMESTAMPS_BEGIN, *timestamps)
    offset = (_TCP.size + len(option)) // 4 << 4
    try:
        tcp = bytearray(_TCP.pack(src_port, dst_port, seq, ack, offset, flags, window, 0, 0) + option)
    except struct.error as error:
        raise MalformedMessage(f"TCP header: {error}") from None
    length = len(tcp) + len(payload)
    headers = _headers((src_mac, dst_mac), vlans, (src_ip, dst_ip), (IPPROTO_TCP, length), b"", (64, ident))
    struct.pack_into(">H", tcp, 16, checksum(_pseudo(src_ip, dst_ip, length, IPPROTO_TCP) + tcp + payload))
    return headers + bytes(tcp) + payload


def _headers(
    macs: tuple[str, str],
    vlans: tuple[int, ...],
    addresses: tuple[bytes, bytes],
    carried: tuple[int, int],
    options: bytes,
    life: tuple[int, int],
) -> bytes:
    """Ethernet and IPv4 in front of a (protocol, length); `life` is (ttl, ident)."""
    (protocol, length), (ttl, ident) = carried, life
    if len(vlans) > MAX_VLANS or any(not 0 <= tag <= 0xFFFF for tag in vlans):
        raise MalformedMessage(f"VLAN tags {vlans}: give at most {MAX_VLANS} of 0 to 65535")
    options += bytes(-len(options) % 4)
    total = _IPV4_MIN + len(options) + length
    if len(options) > _MAX_OPTIONS or total > _MAX_TOTAL:
        raise MalformedMessage(
            f"IPv4 packet of {total} bytes with {len(options)} of options: at most {_MAX_TOTAL}, options {_MAX_OPTIONS}"
        )
    if not 0 <= ttl <= 0xFF or not 0 <= ident <= 0xFFFF:
        raise MalformedMessage(f"ttl {ttl}, ident {ident}: give 0 to 255 and 0 to 65535")
    kinds = (ETH_P_8021AD, ETH_P_8021Q) if len(vlans) == MAX_VLANS else (ETH_P_8021Q,)
    tags = b"".join(struct.pack(">HH", kind, tag) for kind, tag in zip(kinds, vlans, strict=False))
    ethernet = _mac(macs[1]) + _mac(macs[0]) + tags + struct.pack(">H", ETH_P_IP)
    version = 0x40 | (_IPV4_MIN + len(options)) // 4
    ip = bytearray(_IPV4.pack(version, 0, total, ident, _DONT_FRAGMENT, ttl, protocol, 0, *addresses) + options)
    struct.pack_into(">H", ip, 10, _sum(bytes(ip)))
    return ethernet + bytes(ip)


_sum = checksum  # under a name that udp_frame's parameter does not hide


def parse_udp(frame: bytes | memoryview) -> UdpFrame:
    """Take a frame apart; what follows the UDP datagram (padding) is ignored.

    Errors: MalformedMessage if it is not Ethernet with at most 2 VLAN tags, whole IPv4 and UDP inside its lengths.
    Wrong checksums are no error: see the fields.
    """
    raw = bytes(frame)
    vlans, at = _link(raw)
    if len(raw) - at < _IPV4_MIN:
        raise MalformedMessage(f"frame of {len(raw)} bytes: an IPv4 header at offset {at} does not fit")
    version, _, total, ident, fragment, _, protocol, _, src_ip, dst_ip = _IPV4.unpack_from(raw, at)
    header = 4 * (version & 0x0F)
    if version >> 4 != 4 or header < _IPV4_MIN or protocol != IPPROTO_UDP:
        raise MalformedMessage(f"first IPv4 byte {version:#04x}, protocol {protocol}: it must be IPv4 with UDP (17)")
    if fragment & _FRAGMENT:
        raise MalformedMessage("IPv4 fragment: only whole datagrams are taken")
    if not header + _UDP_LENGTH <= total <= len(raw) - at:
        raise MalformedMessage(f"IPv4 total length {total}: {header + _UDP_LENGTH} to {len(raw) - at} fit this frame")
    udp_at = at + header
    src_port, dst_port, length, udp_sum = _UDP.unpack_from(raw, udp_at)
    if not _UDP_LENGTH <= length <= total - header:
        raise MalformedMessage(f"UDP length {length}: {_UDP_LENGTH} to {total - header} fit this IPv4 packet")
    datagram = raw[udp_at : udp_at + length]
    return UdpFrame(
        src_mac=raw[6:12].hex(":"),
        dst_mac=raw[:6].hex(":"),
        src=(socket.inet_ntop(socket.AF_INET, src_ip), src_port),
        dst=(socket.inet_ntop(socket.AF_INET, dst_ip), dst_port),
        payload=datagram[_UDP_LENGTH:],
        vlans=vlans,
        ipv4_checksum_ok=checksum(raw[at:udp_at]) == 0,
        udp_checksum_ok=udp_sum == 0 or checksum(_pseudo(src_ip, dst_ip, length) + datagram) == 0,
        ident=ident,
    )


def _link(raw: bytes) -> tuple[tuple[int, ...], int]:
    """VLAN tags and the offset of the IPv4 header."""
    vlans: list[int] = []
    at = 12
    while True:
        ether_type = int.from_bytes(raw[at : at + 2], "big")
        if ether_type not in (ETH_P_8021Q, ETH_P_8021AD) or len(vlans) == MAX_VLANS:
            break
        vlans.append(int.from_bytes(raw[at + 2 : at + 4], "big"))
        at += 4
    if len(raw) < at + 2 or ether_type != ETH_P_IP:
        raise MalformedMessage(f"EtherType {ether_type:#06x} after {len(vlans)} VLAN tags: it must be IPv4 (0x0800)")
    return tuple(vlans), at + 2
