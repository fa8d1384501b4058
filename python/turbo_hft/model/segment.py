"""TCP in IPv4 in Ethernet (rule 11): the segment that leaves, and what one that comes in says."""

from __future__ import annotations

from dataclasses import dataclass

from .connection import Socket, Wire
from .names import MOST_SEGMENT, U16_MAX
from .state import Template
from .wire import dotted, internet_sum, u16, u32

TCP = 6
"""Protocol number of IPv4."""

FIN, RST, PSH, ACK = 0x01, 0x04, 0x08, 0x10
TCP_HEADER = 20
TIMESTAMPS = bytes([1, 1, 8, 10])
"""Two NOPs, then kind and length of the time stamp option; TSval and TSecr follow."""

NS_PER_TICK = 1_000_000


@dataclass
class Segment:
    """One that came in. ``tcp``: header and payload, as far as they are in the frame, from ``offset`` of it on;
    ``length``: as IPv4 has it."""

    frame: bytes
    offset: int
    length: int
    addresses: bytes

    @property
    def tcp(self) -> bytes:
        """Header and payload."""
        return self.frame[self.offset : self.offset + self.length]

    @property
    def header(self) -> int:
        """Bytes of the header with its options."""
        return (self.tcp[12] >> 4) * 4

    @property
    def has_shape(self) -> bool:
        """Is the header's length possible?"""
        return TCP_HEADER <= self.header <= self.length

    @property
    def flags(self) -> int:
        """FIN, RST, PSH, ACK, and others."""
        return self.tcp[13]

    @property
    def seq(self) -> int:
        """Of its first byte."""
        return u32(self.tcp, 4)

    @property
    def ack(self) -> int:
        """Acknowledgement number; it says something with the flag ACK only."""
        return u32(self.tcp, 8)

    @property
    def payload_len(self) -> int:
        """As IPv4 has it, in bytes."""
        return self.length - self.header

    @property
    def payload(self) -> bytes:
        """What it carries."""
        return self.tcp[self.header :]

    @property
    def end(self) -> int:
        """Sequence of the peer's next byte."""
        return (self.seq + self.payload_len + (self.flags & FIN)) % 2**32

    @property
    def timestamps(self) -> tuple[int, int]:
        """TSval and TSecr, if that option comes first; zeros otherwise."""
        if self.header < TCP_HEADER + 12 or self.tcp[20:24] != TIMESTAMPS or len(self.tcp) < TCP_HEADER + 12:
            return 0, 0
        return u32(self.tcp, 24), u32(self.tcp, 28)

    @property
    def is_sound(self) -> bool:
        """All there, not too long, and the checksum right."""
        if self.length > MOST_SEGMENT or len(self.tcp) < self.length:
            return False
        return internet_sum(pseudo_header(self.addresses, self.length) + self.tcp) == 0xFFFF

    def acknowledging(self, ack: int) -> bytes:
        """The frame with another acknowledgement number, and the checksum that goes with it."""
        tcp = bytearray(self.tcp)
        tcp[8:12] = ack.to_bytes(4, "big")
        tcp[16:18] = b"\0\0"
        checksum = 0xFFFF - internet_sum(pseudo_header(self.addresses, self.length) + tcp)
        tcp[16:18] = checksum.to_bytes(2, "big")
        return self.frame[: self.offset] + tcp + self.frame[self.offset + self.length :]


def pseudo_header(addresses: bytes, length: int) -> bytes:
    """Pseudo header of RFC 9293: both addresses, zero, protocol 6, TCP length."""
    return addresses + bytes([0, TCP]) + length.to_bytes(2, "big")


def read_segment(frame: bytes, wire: Wire) -> Segment | None:
    """The segment inside a frame of the connection, or None."""
    if len(frame) < 14 or wire.remote is None:
        return None
    offset = 14
    while u16(frame, offset - 2) in (0x8100, 0x88A8) and offset <= 18:
        offset += 4
    packet = frame[offset:]
    if u16(frame, offset - 2) != 0x0800 or len(packet) < 20:
        return None
    header, length = (packet[0] & 0x0F) * 4, u16(packet, 2)
    if packet[0] >> 4 != 4 or packet[9] != TCP or header < 20:
        return None
    if u16(packet, 6) & 0x3FFF or length < header + TCP_HEADER or len(packet) < header + TCP_HEADER:
        return None
    source = dotted(packet[12:16]), u16(packet, header)
    destination = dotted(packet[16:20]), u16(packet, header + 2)
    if (source, destination) != (wire.remote, wire.local):
        return None
    return Segment(frame, offset + header, length - header, packet[12:20])


def window_told(wire: Wire, socket: Socket) -> int:
    """What the kernel told the peer last, less what came since, as on the wire: rounded up to its scale."""
    window = (socket.rcv_wup + socket.rcv_wnd - socket.rcv_nxt) % 2**32
    if window >= 2**31:  # more came than was told
        return 0
    return min(-(-window >> (wire.rcv_wscale & 15)), U16_MAX)


def build_segment(template: Template, wire: Wire, socket: Socket, messages: bytes, ident: int, now_ns: int) -> bytes:
    """The frame that leaves. ``ident``: of IPv4; ``now_ns``: of the monotonic clock."""
    options = b""
    if wire.timestamps:
        tsval = (now_ns // NS_PER_TICK + socket.tsoffset) % 2**32
        options = TIMESTAMPS + tsval.to_bytes(4, "big") + socket.ts_recent.to_bytes(4, "big")
    tcp_header = TCP_HEADER + len(options)
    headers = template.headers[: template.headers_len]
    ethernet, ipv4 = headers[: -tcp_header - 20], bytearray(headers[-tcp_header - 20 : -tcp_header])
    ports = headers[-tcp_header:][:4]

    ipv4[2:4] = (20 + tcp_header + len(messages)).to_bytes(2, "big")
    ipv4[4:6] = ident.to_bytes(2, "big")
    ipv4[10:12] = b"\0\0"
    ipv4[10:12] = (0xFFFF - internet_sum(bytes(ipv4))).to_bytes(2, "big")

    tcp = bytearray(ports + wire.seq.to_bytes(4, "big") + socket.rcv_nxt.to_bytes(4, "big"))
    tcp += bytes([tcp_header // 4 << 4, PSH | ACK]) + window_told(wire, socket).to_bytes(2, "big") + bytes(4)
    tcp += options
    total = internet_sum(pseudo_header(bytes(ipv4[12:20]), len(tcp) + len(messages)) + tcp + messages)
    tcp[16:18] = (0xFFFF - total).to_bytes(2, "big")
    return ethernet + bytes(ipv4) + bytes(tcp) + messages
