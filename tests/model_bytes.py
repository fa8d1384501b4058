"""Frames, messages and a ready engine for the tests of `turbo_hft.model`, built byte by byte from the wire tables."""

from __future__ import annotations

import copy
import socket
import struct
from collections.abc import Iterable
from typing import Any, TypeVar

from turbo_hft.model import (
    AccountLimits,
    Action,
    Book,
    Clock,
    EventKind,
    FeedHealth,
    FeedState,
    Intent,
    Kill,
    Line,
    ModelConfig,
    ModelEngine,
    Op,
    Outcome,
    Protocol,
    Reference,
    Role,
    SessionHealth,
    Strategy,
    StrategyLimits,
    SymbolLimits,
    SymbolState,
    Template,
)
from turbo_hft.model.names import STRATEGIES, U64_MAX

T = TypeVar("T")

FEED_ADDR, FEED_PORT = "239.77.0.1", 26477
LINES = {
    Line.A: (FEED_ADDR, FEED_PORT),
    Line.B: ("239.78.0.1", 26477),
    Line.REREQUEST: ("10.77.0.1", 26478),
}
COMMANDS = ("127.0.0.1", 26499)
NONCE = 0x1122334455667788
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


def command(
    op: int,
    *messages: bytes,
    feed: int = 0,
    slot: int = 0,
    sequence: int = 0,
    first: int = 0,
    count: int = 0,
    nonce: int = NONCE,
) -> bytes:
    """Payload of a command."""
    return struct.pack("<QIIIIQII", nonce, op, feed, slot, len(messages), sequence, first, count) + blocks(messages)


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


def executed_at(ref: int, qty: int, price_e4: int = 1, *, locate: int = LOCATE, printable: str = "Y") -> bytes:
    """C."""
    return head("C", locate) + struct.pack(">QIQcI", ref, qty, 99, printable.encode(), price_e4)


def cancel(ref: int, qty: int, *, locate: int = LOCATE) -> bytes:
    """X."""
    return head("X", locate) + struct.pack(">QI", ref, qty)


def delete(ref: int, *, locate: int = LOCATE, ns: int = NS) -> bytes:
    """D."""
    return head("D", locate, ns) + struct.pack(">Q", ref)


def replace(old: int, new: int, qty: int, price_e4: int, *, locate: int = LOCATE, ns: int = NS) -> bytes:
    """U."""
    return head("U", locate, ns) + struct.pack(">QQII", old, new, qty, price_e4)


def system(code: str, ns: int = NS) -> bytes:
    """S."""
    return head("S", 0, ns) + code.encode()


def breaker(level: str) -> bytes:
    """W."""
    return head("W", 0) + level.encode()


def action(state: str = "T", *, name: str = "AAPL", locate: int = LOCATE, ns: int = NS, reason: str = "") -> bytes:
    """H."""
    return head("H", locate, ns) + name.encode().ljust(8) + state.encode() + b" " + reason.encode().ljust(4)


def halt(code: str, *, market: str = "Q", name: str = "AAPL", locate: int = LOCATE) -> bytes:
    """h."""
    return head("h", locate) + name.encode().ljust(8) + market.encode() + code.encode()


def sho(code: str, *, name: str = "AAPL") -> bytes:
    """Y."""
    return head("Y") + name.encode().ljust(8) + code.encode()


def quoting(release_s: int, qualifier: str, price_e4: int, *, name: str = "AAPL") -> bytes:
    """K."""
    return head("K") + name.encode().ljust(8) + struct.pack(">IcI", release_s, qualifier.encode(), price_e4)


def collar(reference_e4: int, upper_e4: int, lower_e4: int, extension: int, *, name: str = "AAPL") -> bytes:
    """J."""
    return head("J") + name.encode().ljust(8) + struct.pack(">IIII", reference_e4, upper_e4, lower_e4, extension)


def trade(qty: int, price_e4: int, *, name: str = "AAPL", locate: int = LOCATE, ns: int = NS) -> bytes:
    """P."""
    return head("P", locate, ns) + struct.pack(">QcI8sIQ", 0, b"B", qty, name.encode().ljust(8), price_e4, 99)


def cross(qty: int, price_e4: int, *, kind: str = "O", name: str = "AAPL", ns: int = NS) -> bytes:
    """Q."""
    return head("Q", ns=ns) + struct.pack(">Q8sIQc", qty, name.encode().ljust(8), price_e4, 99, kind.encode())


# --- OUCH 5.0, replies ----------------------------------------------------------------------------------------------


def accepted50(
    ref: int,
    qty: int,
    *,
    state: str = "L",
    ns: int = NS,
    side: str = "B",
    name: str = "AAPL",
    price_e4: int = 1_500_000,
    order_ref: int = 5,
    appendage: bytes = b"",
) -> bytes:
    """A, 64 bytes + appendage."""
    body = struct.pack(">cQIcI8sQ", b"A", ns, ref, side.encode(), qty, name.encode().ljust(8), price_e4)
    body += b"0Y" + struct.pack(">Q", order_ref) + b"PNN" + state.encode() + b" " * 14
    return body + struct.pack(">H", len(appendage)) + appendage


def replaced50(
    old: int,
    ref: int,
    qty: int,
    price_e4: int = 1_500_000,
    *,
    state: str = "L",
    side: str = "B",
    name: str = "AAPL",
    order_ref: int = 6,
) -> bytes:
    """U, 68 bytes."""
    body = struct.pack(">cQIIcI8sQ", b"U", NS, old, ref, side.encode(), qty, name.encode().ljust(8), price_e4)
    return body + b"0Y" + struct.pack(">Q", order_ref) + b"PNN" + state.encode() + b" " * 14 + bytes(2)


def executed50(
    ref: int, qty: int, price_e4: int, *, ns: int = NS, match: int = 4711, flag: str = "R", appendage: bytes = b""
) -> bytes:
    """E, 36 bytes + appendage."""
    body = struct.pack(">cQIIQcQ", b"E", ns, ref, qty, price_e4, flag.encode(), match)
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


def broken50(ref: int, match: int = 4711) -> bytes:
    """B, 36 bytes."""
    return struct.pack(">cQIQc14s", b"B", NS, ref, match, b"E", b"")


def pending50(ref: int) -> bytes:
    """P, 13 bytes."""
    return struct.pack(">cQI", b"P", NS, ref)


def cancel_rejected50(ref: int) -> bytes:
    """I, 13 bytes."""
    return struct.pack(">cQI", b"I", NS, ref)


def priority50(ref: int, price_e4: int, order_ref: int = 77) -> bytes:
    """T, 30 bytes."""
    return struct.pack(">cQIQcQ", b"T", NS, ref, price_e4, b"Y", order_ref)


def modified50(ref: int, qty: int, side: str = "B") -> bytes:
    """M, 18 bytes."""
    return struct.pack(">cQIcI", b"M", NS, ref, side.encode(), qty)


def restated50(ref: int) -> bytes:
    """R, 16 bytes."""
    return struct.pack(">cQIcH", b"R", NS, ref, b"R", 0)


def system_event(code: str = "S", ns: int = NS) -> bytes:
    """S, 10 bytes, of both protocols."""
    return struct.pack(">cQc", b"S", ns, code.encode())


# --- OUCH 4.2, replies ----------------------------------------------------------------------------------------------


def token(ref: int) -> bytes:
    """The token the engine would have sent."""
    return b"TURBO " + f"{ref:08X}".encode()


def accepted42(tok: bytes, qty: int, *, state: str = "L", side: str = "B", name: str = "AAPL") -> bytes:
    """A, 66 bytes."""
    stock = name.encode().ljust(8)
    body = struct.pack(">cQ14scI8sII4sc", b"A", NS, tok, side.encode(), qty, stock, 1_500_000, 99998, b"    ", b"Y")
    return body + struct.pack(">QccIccc", 5, b"P", b"N", 0, b"N", state.encode(), b" ")


def replaced42(old: bytes, tok: bytes, qty: int, price_e4: int = 1_500_000, *, state: str = "L") -> bytes:
    """U, 80 bytes."""
    body = struct.pack(">cQ14scI8sII4sc", b"U", NS, tok, b"B", qty, b"AAPL    ", price_e4, 99998, b"    ", b"Y")
    return body + struct.pack(">QccIcc14sc", 6, b"P", b"N", 0, b"N", state.encode(), old, b" ")


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


def broken42(tok: bytes, match: int = 4711) -> bytes:
    """B, 32 bytes."""
    return struct.pack(">cQ14sQc", b"B", NS, tok, match, b"E")


def pending42(tok: bytes) -> bytes:
    """P, 23 bytes."""
    return struct.pack(">cQ14s", b"P", NS, tok)


def cancel_rejected42(tok: bytes) -> bytes:
    """I, 23 bytes."""
    return struct.pack(">cQ14s", b"I", NS, tok)


def priority42(tok: bytes, price_e4: int, order_ref: int = 77) -> bytes:
    """T, 36 bytes."""
    return struct.pack(">cQ14sIcQ", b"T", NS, tok, price_e4, b"Y", order_ref)


def modified42(tok: bytes, qty: int, side: str = "B") -> bytes:
    """M, 28 bytes."""
    return struct.pack(">cQ14scI", b"M", NS, tok, side.encode(), qty)


# --- an engine that trades ------------------------------------------------------------------------------------------


def template(protocol: Protocol = Protocol.OUCH50, tags: bytes = b"") -> Template:
    """An order template from the engine's address to the exchange."""
    headers = bytes(range(12)) + tags + b"\x08\x00"
    headers += struct.pack(">BBHHHBBH", 0x45, 0x10, 0xAAAA, 0xBBBB, 0x4000, 64, 17, 0xCCCC)
    headers += socket.inet_aton(OWN_ADDR) + socket.inet_aton(PEER_ADDR)
    headers += struct.pack(">HHHH", OWN_PORT, PEER_PORT, 0xDDDD, 0xEEEE)
    lengths = [50, 43, 12] if protocol == Protocol.OUCH50 else [52, 50, 22]
    msg = [bytes(64)]
    for letter, length in zip(b"OUX", lengths, strict=True):
        ouch = bytearray([letter]) + bytes([0x5A]) * (length - 4)
        if protocol == Protocol.OUCH42:
            ouch[1:15] = b"TURBO ********"
            if letter == ord("U"):
                ouch[15:29] = b"TURBO ********"
        msg.append((struct.pack(">Hc", length - 2, b"U") + ouch).ljust(64, b"\0"))
    return Template(protocol, len(headers), [0, *lengths], headers.ljust(64, b"\0"), msg)


WIDE = 2**62
WIDE_ACCOUNT = AccountLimits(10**6, WIDE, WIDE, WIDE, 100, WIDE, 1, 2**20, 0)
WIDE_STRATEGY = StrategyLimits(10**6, WIDE, 100, WIDE, 1, 2**20)
WIDE_SYMBOL = SymbolLimits(
    max_order_qty=10_000,
    max_notional_e4=10**15,
    max_long=5_000,
    max_open_orders=8,
    max_loss_e4=WIDE,
    interval_ns=1,
    burst=2**20,
    collar_ppm=2**32 - 1,
    reference=Reference.LAST,
    reference_age_ns=U64_MAX,
)


class Rig:
    """A model engine with one symbol ready to buy in continuous trading, and the running numbers of its two peers.

    Not ``ready``: configured, but nothing arrived yet and nothing is tracked. ``config``: fields of `ModelConfig`.
    """

    def __init__(
        self, protocol: Protocol = Protocol.OUCH50, *, ready: bool = True, verify: bool = False, **config: Any
    ) -> None:
        self.engine = ModelEngine(ModelConfig(verify_checksums=verify, **({"clock": Clock.FEED} | config)))
        for line, at in LINES.items():
            self.engine.add_flow(*at, Role.FEED, line=line)
        self.engine.add_flow(OWN_ADDR, OWN_PORT, Role.ORDER_ENTRY, PEER_ADDR, PEER_PORT)
        self.engine.add_flow(*COMMANDS, Role.COMMAND)
        self.engine.command_nonce = NONCE
        self.next_feed = 1
        self.next_reply = 1
        if ready:
            self.engine.template = template(protocol)
            self.engine.control.kill = Kill.ACTIVE
            self.engine.control.epoch = 5
            self.engine.control.lease_until_ns = U64_MAX
            self.engine.control.strategy_kill = [int(Kill.ACTIVE)] * STRATEGIES
            self.engine.limits[1].account = copied(WIDE_ACCOUNT)
            self.engine.limits[1].strategy = [copied(WIDE_STRATEGY) for _ in range(STRATEGIES)]
            self.feed(system("Q"))
            self.add_symbol(0, "AAPL", LOCATE)
            self.login()
            assert self.receiver.health == FeedHealth.LIVE
            assert self.engine.session.health == SessionHealth.UP

    @property
    def receiver(self) -> FeedState:
        """Feed 0."""
        return self.engine.feeds[0]

    @property
    def book(self) -> Book:
        """The book of slot 0."""
        return self.engine.books[0]

    @property
    def state(self) -> SymbolState:
        """Own trading in slot 0."""
        return self.engine.symbols[0]

    @property
    def of_account(self) -> AccountLimits:
        """The limits that hold."""
        return self.engine.limits[self.engine.control.epoch & 1].account

    @property
    def of_symbol(self) -> SymbolLimits:
        """The limits of slot 0 that hold."""
        return self.engine.symbol_limits[self.engine.control.epoch & 1][0]

    def of_strategy(self, strategy: int = Strategy.THRESHOLD) -> StrategyLimits:
        """The limits of a strategy that hold."""
        return self.engine.limits[self.engine.control.epoch & 1].strategy[strategy]

    def add_symbol(self, index: int, name: str, locate: int) -> None:
        """A slot of the threshold strategy without targets and with wide limits, bound, trading, of a known price."""
        self.engine.add_symbol(index, name, kill=Kill.ACTIVE, strategy=Strategy.THRESHOLD, base_qty=100, cap_qty=1000)
        self.engine.symbol_limits[1][index] = copied(WIDE_SYMBOL)
        self.engine.books[index].last_e4 = 1_500_000
        self.feed(directory(name, locate), action(name=name, locate=locate))

    def feed(self, *messages: bytes, line: Line = Line.A, now_ns: int = 0) -> Outcome:
        """The next MoldUDP64 packet of the stream, a heartbeat without messages."""
        outcome = self.at(self.next_feed, *messages, line=line, now_ns=now_ns)
        self.next_feed += len(messages)
        return outcome

    def at(
        self, sequence: int, *messages: bytes, line: Line = Line.A, now_ns: int = 0, count: int | None = None
    ) -> Outcome:
        """A MoldUDP64 packet with this sequence number."""
        return self.engine.packet(frame(mold(sequence, *messages, count=count), LINES[line]), now_ns)

    def command(self, op: Op, *messages: bytes, now_ns: int = 0, **fields: int) -> Outcome:
        """A command of user space."""
        return self.engine.packet(frame(command(op, *messages, **fields), COMMANDS), now_ns)

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

    def order(self, intent: Intent, slot: int = 0, now_ns: int = 0) -> Outcome:
        """An order, replacement or cancel of a person."""
        return self.command(Op.ORDER, packed(intent), slot=slot, now_ns=now_ns)

    def buy(self, qty: int = 100, price_e4: int = 1_500_000, *, ref: int = 1000, ns: int = NS) -> Outcome:
        """Make an offer appear that the strategy takes; slot 0 has an order in flight afterwards."""
        params = self.engine.params[0]
        params.base_qty, params.buy_below_e4 = qty, price_e4
        return self.feed(add(ref, "S", qty, price_e4, ns=ns))

    def hold(self, qty: int = 100, price_e4: int = 1_500_000) -> None:
        """Own a long position, nothing in flight, and no targets set."""
        self.buy(qty, price_e4)
        (ref,) = filter(None, self.state.open_ref)
        self.reply(accepted50(ref, qty), executed50(ref, qty, price_e4))
        self.engine.params[0].buy_below_e4 = 0
        self.feed(delete(1000))


def copied(value: T) -> T:
    """A copy, so that tests may change it."""
    return copy.deepcopy(value)


def packed(intent: Intent) -> bytes:
    """``struct hft_intent``."""
    return struct.pack("<6I", intent.action, intent.side, intent.price_e4, intent.qty, intent.ref, intent.tif)


def enter(side: int, qty: int, price_e4: int, tif: int = 0) -> Intent:
    """A new order."""
    return Intent(Action.ENTER, side, price_e4, qty, tif=tif)


def instead(ref: int, side: int, qty: int, price_e4: int, tif: int = 0) -> Intent:
    """An order in place of another."""
    return Intent(Action.REPLACE, side, price_e4, qty, ref, tif)


def withdraw(ref: int) -> Intent:
    """All that is open of an order."""
    return Intent(Action.CANCEL, ref=ref)


def kinds(outcome: Outcome) -> list[EventKind]:
    """What the events of a packet are."""
    return [event.kind for event in outcome.events]
