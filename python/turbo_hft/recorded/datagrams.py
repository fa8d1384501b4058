"""The MoldUDP64 datagrams of a capture: which of its flows are the lines of the feed, and what came by them.

Checksums are not looked at: a capture taken on the sender has those that its card would have filled in.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from turbo_hft._native import ffi, lib
from turbo_hft.errors import ConfigError, MalformedMessage, TurboHftError
from turbo_hft.wire import itch50, moldudp64, pcapng

LINES = "AB"
END_OF_SESSION = 0xFFFF

_SESSION = moldudp64.SESSION_LENGTH
_HEADER = moldudp64.HEADER_LENGTH
_VLANS = (b"\x81\x00", b"\x88\xa8")
_IPV4 = b"\x08\x00"
_UDP = 17
_SHOWN_FLOWS = 5


class Datagram(NamedTuple):
    """One packet of the feed. `line`: 0 = A, 1 = B; `blocks` is 0 for a heartbeat, 0xFFFF for an end of session."""

    time_ns: int  # since 1970-01-01
    line: int
    sequence: int
    blocks: int
    payload: bytes

    @property
    def messages(self) -> int:
        """How many messages are in it."""
        return 0 if self.blocks == END_OF_SESSION else self.blocks


class CaptureFeed:
    """The feed in a capture.

    Line A is the first destination (of `group` and `port`, as far as they are given) to which well-formed MoldUDP64
    with ITCH 5.0 was sent, line B the next one of the same session. `left_out` counts datagrams to them that were not
    taken, by reason.
    """

    def __init__(self, path: Path, *, group: str | None = None, port: int | None = None) -> None:
        """Raises ConfigError for an address that is none."""
        self.path = path
        try:
            self._group = None if group is None else socket.inet_pton(socket.AF_INET, group)
        except OSError:
            raise ConfigError(f"group {group!r}: give an IPv4 address such as 239.77.0.1.") from None
        self._port = None if port is None else port.to_bytes(2, "big")
        self._lines: dict[bytes, int] = {}
        self._flows: Counter[bytes] = Counter()
        self.left_out: Counter[str] = Counter()
        self.session = b""
        self.frames = 0

    @property
    def lines(self) -> dict[str, str]:
        """Letter -> ADDR:PORT of the lines found so far."""
        return {LINES[line]: _shown(flow) for flow, line in self._lines.items()}

    def read(self) -> Iterator[Datagram]:
        """All of them, in the order of the file.

        Raises TurboHftError where the capture is cut short or broken, ConfigError at its end if there was no feed.
        """
        self._lines.clear()
        self._flows.clear()
        self.left_out.clear()
        self.session, self.frames = b"", 0
        try:
            for time_ns, frame in pcapng.read(self.path):
                self.frames += 1
                found = _udp(frame)
                if found is None:
                    continue
                flow, payload = found
                line = self._lines.get(flow)
                if line is None:
                    self._flows[flow] += 1
                    line = self._recognised(flow, payload)
                if line is not None and (datagram := self._datagram(time_ns, line, payload)) is not None:
                    yield datagram
        except MalformedMessage as error:
            raise TurboHftError(f"{self.path}: {error}.") from error
        if not self._lines:
            raise ConfigError(f"{self.path} has no MoldUDP64 with ITCH 5.0{self._where()}: {self._seen()}.")

    def _recognised(self, flow: bytes, payload: bytes) -> int | None:
        """Which line a new destination is, by a datagram to it; None for none."""
        if len(self._lines) == len(LINES) or not self._wanted(flow) or not _is_feed(payload):
            return None
        if not self._lines:
            self.session = payload[:_SESSION]
        elif payload[:_SESSION] != self.session:
            return None
        return self._lines.setdefault(flow, len(self._lines))

    def _wanted(self, flow: bytes) -> bool:
        return self._group in (None, flow[:4]) and self._port in (None, flow[4:])

    def _datagram(self, time_ns: int, line: int, payload: bytes) -> Datagram | None:
        sequence, count = int.from_bytes(payload[10:18], "big"), int.from_bytes(payload[18:20], "big")
        if not _is_whole(payload, count) or not 0 < sequence <= moldudp64.MAX_SEQUENCE:
            self.left_out["malformed"] += 1
            return None
        if payload[:_SESSION] != self.session:
            self.left_out["of another session"] += 1
            return None
        return Datagram(time_ns, line, sequence, count, payload)

    def _where(self) -> str:
        group = "" if self._group is None else f" to {socket.inet_ntoa(self._group)}"
        return group + ("" if self._port is None else f" to port {int.from_bytes(self._port, 'big')}")

    def _seen(self) -> str:
        if not self._flows:
            return f"none of its {self.frames} frames is UDP in IPv4"
        flows = ", ".join(f"{_shown(flow)} ({count})" for flow, count in self._flows.most_common(_SHOWN_FLOWS))
        return f"datagrams went to {flows}"


def _udp(frame: bytes) -> tuple[bytes, bytes] | None:
    """(destination address and port, payload) of a frame with a whole UDP datagram in IPv4; None for others."""
    at = 12
    while frame[at : at + 2] in _VLANS and at < 12 + 4 * 2:
        at += 4
    ip = at + 2
    if frame[at:ip] != _IPV4 or len(frame) < ip + 28 or frame[ip] >> 4 != 4 or frame[ip + 9] != _UDP:
        return None
    header = (frame[ip] & 0x0F) * 4
    total = int.from_bytes(frame[ip + 2 : ip + 4], "big")
    udp = ip + header
    length = int.from_bytes(frame[udp + 4 : udp + 6], "big")
    fragment = (frame[ip + 6] & 0x3F) | frame[ip + 7]
    if header < 20 or fragment or length < 8 or not header + length <= total <= len(frame) - ip:
        return None
    return frame[ip + 16 : ip + 20] + frame[udp + 2 : udp + 4], frame[udp + 8 : udp + length]


def _is_whole(payload: bytes, count: int) -> bool:
    """Do `count` blocks fill the packet exactly?"""
    if count in (0, END_OF_SESSION) or len(payload) <= _HEADER:
        return len(payload) == _HEADER and count in (0, END_OF_SESSION)
    at = _HEADER
    for _ in range(count):
        at += 2 + int.from_bytes(payload[at : at + 2], "big")
    return at == len(payload) and count <= moldudp64.MAX_BLOCKS


def _is_feed(payload: bytes) -> bool:
    """Is it MoldUDP64 with at least one message, and are all of them ITCH 5.0?"""
    try:
        packet = moldudp64.decode(payload)
    except MalformedMessage:
        return False
    return isinstance(packet, moldudp64.Packet) and all(
        itch50.LENGTHS.get(chr(message[0])) == len(message) for message in packet.messages if message
    )


def _shown(flow: bytes) -> str:
    return f"{socket.inet_ntoa(flow[:4])}:{int.from_bytes(flow[4:], 'big')}"


def find(datagram: Datagram, name: bytes) -> bytes | None:
    """The first R, A or F in a packet that names a stock (8 bytes, padded)."""
    if not datagram.messages:
        return None
    payload = ffi.from_buffer("uint8_t[]", datagram.payload)
    cursor = ffi.new("struct hft_framed *", {"bytes": payload, "length": len(datagram.payload), "at": _HEADER})
    for _ in range(datagram.blocks):
        if lib.hft_framed_find(cursor, name, datagram.blocks) == lib.HFT_FRAMED_FOUND:
            start = int(cursor.at) + 2
            return datagram.payload[start : start + int.from_bytes(datagram.payload[start - 2 : start], "big")]
        cursor.at += 2  # an empty block ends a BinaryFILE, but not a packet
        if cursor.at >= cursor.length:
            break
    return None
