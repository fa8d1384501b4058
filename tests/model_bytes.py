"""Frames, messages and a ready engine for the tests of `turbo_hft.model`, built byte by byte from the wire tables."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable

from turbo_hft.model import (
    Clock,
    EventKind,
    FeedHealth,
    Kill,
    ModelConfig,
    ModelEngine,
    Outcome,
    Protocol,
    Role,
    SessionHealth,
    Template,
)

FEED_ADDR, FEED_PORT = "239.77.0.1", 26477
OWN_ADDR, OWN_PORT = "10.77.0.1", 26400
PEER_ADDR, PEER_PORT = "10.77.0.2", 26450
SESSION = b"000010059B"
NS = 34_200_000_000_000
LOCATE = 7


# --- frames ---------------------------------------------------------------------------------------------------------


def ones_complement(data: bytes) -> int:
    """RFC 1071 checksum, computed the other way round: modulo 65535 arithmetic on one long number."""
    padded = data + b"\0" * (len(data) % 2)
    remainder = int.from_bytes(padded, "big") % 0xFFFF
    return 0xFFFF - (remainder or (0xFFFF if any(padded) else 0))


def frame(
    payload: bytes,
    dst: tuple[str, int] = (FEED_ADDR, FEED_PORT),
    src: tuple[str, int] = (PEER_ADDR, PEER_PORT),
    *,
    tags: bytes = b"",
    options: bytes = b"",
    padding: bytes = b"",
    ether_type: int = 0x0800,
    flags_fragment: int = 0,
    protocol: int = 17,
    total_delta: int = 0,
    udp_delta: int = 0,
    udp_checksum: int | None = None,
    ip_checksum: int | None = None,
) -> bytes:
    """One Ethernet frame; the keyword arguments spoil it."""
    source, target = socket.inet_aton(src[0]), socket.inet_aton(dst[0])
    udp_length = 8 + len(payload) + udp_delta
    header_length = 20 + len(options)
    ipv4 = struct.pack(
        ">BBHHHBBH4s4s",
        0x40 | header_length // 4,
        0,
        header_length + 8 + len(payload) + total_delta,
        1,
        flags_fragment,
        64,
        protocol,
        0,
        source,
        target,
    )
    ipv4 += options
    ip_sum = ones_complement(ipv4) if ip_checksum is None else ip_checksum
    ipv4 = ipv4[:10] + struct.pack(">H", ip_sum) + ipv4[12:]
    pseudo = source + target + struct.pack(">BBH", 0, 17, udp_length)
    udp = struct.pack(">HHHH", src[1], dst[1], udp_length, 0) + payload
    udp_sum = (ones_complement(pseudo + udp) or 0xFFFF) if udp_checksum is None else udp_checksum
    udp = udp[:6] + struct.pack(">H", udp_sum) + udp[8:]
    return bytes(12) + tags + struct.pack(">H", ether_type) + ipv4 + udp + padding


def blocks(messages: Iterable[bytes]) -> bytes:
    """Length-prefixed messages."""
    return b"".join(struct.pack(">H", len(message)) + message for message in messages)


def mold(sequence: int, *messages: bytes, session: bytes = SESSION, count: int | None = None) -> bytes:
    """MoldUDP64 payload."""
    return session + struct.pack(">QH", sequence, len(messages) if count is None else count) + blocks(messages)


def ufo(sequence: int, *messages: bytes) -> bytes:
    """UFO sequenced data."""
    return struct.pack(">cIH", b"S", sequence, len(messages)) + blocks(messages)


# --- ITCH -----------------------------------------------------------------------------------------------------------


def head(kind: str, locate: int = LOCATE, ns: int = NS) -> bytes:
    """The 11 bytes every ITCH message begins with."""
    return kind.encode() + struct.pack(">HH", locate, 0) + ns.to_bytes(6, "big")


def directory(name: str = "AAPL", locate: int = LOCATE, ns: int = NS) -> bytes:
    """R."""
    return (
        head("R", locate, ns) + name.encode().ljust(8) + b"QN" + struct.pack(">I", 100) + b"NCZ PNN1N" + bytes(4) + b"N"
    )


def add(
    ref: int,
    side: str,
    qty: int,
    price_e4: int,
    *,
    name: str = "AAPL",
    locate: int = LOCATE,
    ns: int = NS,
    mpid: str = "",
) -> bytes:
    """A, or F with an MPID."""
    body = struct.pack(">QcI8sI", ref, side.encode(), qty, name.encode().ljust(8), price_e4)
    return head("F" if mpid else "A", locate, ns) + body + mpid.encode()


def executed(ref: int, qty: int, *, locate: int = LOCATE, ns: int = NS) -> bytes:
    """E."""
    return head("E", locate, ns) + struct.pack(">QIQ", ref, qty, 99)


def executed_at(ref: int, qty: int, price_e4: int = 1, *, locate: int = LOCATE) -> bytes:
    """C."""
    return head("C", locate) + struct.pack(">QIQcI", ref, qty, 99, b"Y", price_e4)


def cancel(ref: int, qty: int, *, locate: int = LOCATE) -> bytes:
    """X."""
    return head("X", locate) + struct.pack(">QI", ref, qty)


def delete(ref: int, *, locate: int = LOCATE, ns: int = NS) -> bytes:
    """D."""
    return head("D", locate, ns) + struct.pack(">Q", ref)


def replace(old: int, new: int, qty: int, price_e4: int, *, locate: int = LOCATE) -> bytes:
    """U."""
    return head("U", locate) + struct.pack(">QQII", old, new, qty, price_e4)


# --- OUCH 5.0, replies ----------------------------------------------------------------------------------------------


def accepted50(ref: int, qty: int, *, state: str = "L", ns: int = NS, appendage: bytes = b"") -> bytes:
    """A, 64 bytes + appendage."""
    body = struct.pack(">cQIcI8sQ", b"A", ns, ref, b"B", qty, b"AAPL    ", 1_500_000)
    body += b"0Y" + struct.pack(">Q", 5) + b"PNN" + state.encode() + b" " * 14
    return body + struct.pack(">H", len(appendage)) + appendage


def executed50(ref: int, qty: int, price_e4: int, *, ns: int = NS, match: int = 4711, appendage: bytes = b"") -> bytes:
    """E, 36 bytes + appendage."""
    body = struct.pack(">cQIIQcQ", b"E", ns, ref, qty, price_e4, b"R", match)
    return body + struct.pack(">H", len(appendage)) + appendage


def canceled50(ref: int, qty: int, *, ns: int = NS) -> bytes:
    """C, 18 bytes."""
    return struct.pack(">cQIIc", b"C", ns, ref, qty, b"U")


def aiq50(ref: int, qty: int) -> bytes:
    """D, 32 bytes."""
    return struct.pack(">cQIIcIQcc", b"D", NS, ref, qty, b"Q", qty, 1, b"R", b"1")


def rejected50(ref: int, reason: int = 0x1A) -> bytes:
    """J, 29 bytes."""
    return struct.pack(">cQIH14s", b"J", NS, ref, reason, b"")


# --- OUCH 4.2, replies ----------------------------------------------------------------------------------------------


def token(ref: int) -> bytes:
    """The token the engine would have sent."""
    return b"TURBO " + f"{ref:08X}".encode()


def accepted42(tok: bytes, qty: int, *, state: str = "L") -> bytes:
    """A, 66 bytes."""
    body = struct.pack(">cQ14scI8sII4sc", b"A", NS, tok, b"B", qty, b"AAPL    ", 1_500_000, 99998, b"    ", b"Y")
    return body + struct.pack(">QccIccc", 5, b"P", b"N", 0, b"N", state.encode(), b" ")


def executed42(tok: bytes, qty: int, price_e4: int, *, kind: str = "E") -> bytes:
    """E, 40 bytes, or G, 45 bytes."""
    body = struct.pack(">cQ14sIIcQ", kind.encode(), NS, tok, qty, price_e4, b"R", 4711)
    return body + (struct.pack(">Ic", 1, b"I") if kind == "G" else b"")


def canceled42(tok: bytes, qty: int) -> bytes:
    """C, 28 bytes."""
    return struct.pack(">cQ14sIc", b"C", NS, tok, qty, b"U")


def aiq42(tok: bytes, qty: int, *, newer: bool = False) -> bytes:
    """D, 37 or 38 bytes."""
    return struct.pack(">cQ14sIcIIc", b"D", NS, tok, qty, b"Q", qty, 1, b"R") + (b"1" if newer else b"")


def rejected42(tok: bytes) -> bytes:
    """J, 24 bytes."""
    return struct.pack(">cQ14sc", b"J", NS, tok, b"X")


# --- an engine that trades ------------------------------------------------------------------------------------------


def template(protocol: Protocol = Protocol.OUCH50, tags: bytes = b"") -> Template:
    """An order template from the engine's address to the exchange."""
    headers = bytes(range(12)) + tags + b"\x08\x00"
    headers += struct.pack(">BBHHHBBH", 0x45, 0x10, 0xAAAA, 0xBBBB, 0x4000, 64, 17, 0xCCCC)
    headers += socket.inet_aton(OWN_ADDR) + socket.inet_aton(PEER_ADDR)
    headers += struct.pack(">HHHH", OWN_PORT, PEER_PORT, 0xDDDD, 0xEEEE)
    size = 47 if protocol == Protocol.OUCH50 else 49
    msg = struct.pack(">HcB", size + 1, b"U", ord("O")) + bytes([0x5A]) * (size - 1)
    if protocol == Protocol.OUCH42:
        msg = msg[:4] + b"TURBO ********" + msg[18:]
    return Template(protocol, len(headers), len(msg), headers.ljust(64, b"\0"), msg.ljust(64, b"\0"))


class Rig:
    """A model engine with one symbol ready to buy, and the running sequence numbers of its two peers."""

    def __init__(self, protocol: Protocol = Protocol.OUCH50, *, ready: bool = True, verify: bool = False) -> None:
        self.engine = ModelEngine(ModelConfig(verify_checksums=verify, clock=Clock.FEED))
        self.engine.add_flow(FEED_ADDR, FEED_PORT, Role.FEED)
        self.engine.add_flow(OWN_ADDR, OWN_PORT, Role.ORDER_ENTRY, PEER_ADDR, PEER_PORT)
        self.next_feed = 1
        self.next_reply = 1
        if ready:
            self.engine.template = template(protocol)
            self.engine.control.kill = Kill.ACTIVE
            self.engine.control.epoch = 5
            self.engine.control.max_orders_per_second = 100
            self.add_symbol(0, "AAPL", LOCATE)
            self.login()
            assert self.engine.feed.health == FeedHealth.LIVE
            assert self.engine.session.health == SessionHealth.UP

    def add_symbol(self, index: int, name: str, locate: int) -> None:
        """A slot without targets and with wide limits, bound by a directory message."""
        self.engine.add_symbol(
            index,
            name,
            kill=Kill.ACTIVE,
            base_qty=100,
            cap_qty=1000,
            max_order_qty=10_000,
            max_notional_e4=10**15,
            max_position=5_000,
        )
        self.feed(directory(name, locate))

    def feed(self, *messages: bytes, now_ns: int = 0) -> Outcome:
        """The next MoldUDP64 packet of the stream."""
        outcome = self.engine.packet(frame(mold(self.next_feed, *messages)), now_ns)
        self.next_feed += len(messages)
        return outcome

    def reply(self, *messages: bytes) -> Outcome:
        """The next sequenced UFO packet of the session."""
        outcome = self.control(ufo(self.next_reply, *messages))
        self.next_reply += len(messages)
        return outcome

    def control(self, payload: bytes) -> Outcome:
        """Any datagram from the order-entry peer."""
        return self.engine.packet(frame(payload, (OWN_ADDR, OWN_PORT)), 0)

    def login(self, sequence: int = 1, name: bytes = b"UFOSESSION") -> Outcome:
        """UFO login accept."""
        self.next_reply = sequence
        return self.control(b"A" + name + struct.pack(">I", sequence))

    def buy(self, qty: int = 100, price_e4: int = 1_500_000, *, ref: int = 1000, ns: int = NS) -> Outcome:
        """Make an offer appear that the strategy takes; slot 0 has an order in flight afterwards."""
        params = self.engine.params[0]
        params.base_qty, params.buy_below_e4 = qty, price_e4
        return self.feed(add(ref, "S", qty, price_e4, ns=ns))

    def hold(self, qty: int = 100, price_e4: int = 1_500_000) -> None:
        """Own a long position, nothing in flight, and no targets set."""
        self.buy(qty, price_e4)
        ref = self.engine.symbols[0].working_ref
        self.reply(accepted50(ref, qty), executed50(ref, qty, price_e4))
        self.engine.params[0].buy_below_e4 = 0
        self.feed(delete(1000))


def kinds(outcome: Outcome) -> list[EventKind]:
    """What the events of a packet are."""
    return [event.kind for event in outcome.events]
