"""Order entry over TCP as a process serves it: many clients, clients that misbehave, and what its loop owes to all."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from exchange_process import DEADLINE_S, HOST, Client, Process, Udp
from exchange_rig import enter42, enter50
from turbo_hft.exchange import Exchange, ExchangeConfig
from turbo_hft.exchange.soup_port import MAX_CLIENTS
from turbo_hft.wire import moldudp64, soupbintcp, ufo
from turbo_hft.wire.soupbintcp import LoginAccepted, LoginRequest, SequencedData, ServerHeartbeat, UnsequencedData

CURRENT = "HFT0000001"
RESET = struct.pack("ii", 1, 0)
ACCOUNTS = [word for number in range(1, 5) for word in ("--account", f"HFT00{number}:SECRET")]
Start = Callable[..., Process]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts exchanges; none is left afterwards."""
    processes: list[Process] = []

    def run(*arguments: str) -> Process:
        process = Process(Udp(), "--json", "--linger", "0.1", "--no-wait-for-login", *ACCOUNTS, *arguments)
        processes.append(process)
        return process

    yield run
    for each in processes:
        with contextlib.suppress(ProcessLookupError):
            each.process.kill()
        each.process.communicate()


def summary_of(process: Process, *peers: Peer) -> dict[str, Any]:
    """What the exchange says at its end, for which `peers` read to theirs."""
    process.process.send_signal(signal.SIGTERM)
    for peer in peers:
        peer.closed()
        peer.socket.close()
    code, out, err = process.end()
    assert code == 0, err
    summary: dict[str, Any] = json.loads(out)
    return summary


class Peer:
    """A client by hand."""

    def __init__(self, port: int, user: str = "HFT001", sequence: int = 1, receive_buffer: int = 1 << 17) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(DEADLINE_S)
        self.socket.connect((HOST, port))
        self.decoder = soupbintcp.Decoder()
        self.packets: list[soupbintcp.Packet] = []
        self.send(LoginRequest(user, "SECRET", "", sequence))

    def send(self, *packets: soupbintcp.ClientPacket) -> None:
        self.socket.sendall(b"".join(packet.encode() for packet in packets))

    def order(self, *refs: int, **terms: Any) -> None:
        self.send(*(UnsequencedData(enter50(ref, **terms).encode()) for ref in refs))

    def until(self, done: Callable[[Peer], bool]) -> None:
        while not done(self):
            data = self.socket.recv(65_536)
            assert data, "closed"
            self.decoder.feed(data)
            self.packets += self.decoder

    def closed(self) -> bool:
        """Is the connection ended by a FIN (true) or a RST? What comes before is kept."""
        try:
            while data := self.socket.recv(65_536):
                self.decoder.feed(data)
                self.packets += self.decoder
        except ConnectionResetError:
            return False
        return True

    @property
    def replies(self) -> bytes:
        """The types of the replies."""
        return b"".join(packet.message[:1] for packet in self.packets if isinstance(packet, SequencedData))


def has(types: bytes) -> Callable[[Peer], bool]:
    return lambda peer: peer.replies == types


def test_clients_of_both_protocols_and_both_versions_trade(start: Start) -> None:
    process = start("--rate", "0")
    process.feed.receive()
    new, old = Peer(process.ports["ouch50_tcp"]), Peer(process.ports["ouch42_tcp"], "HFT002")
    datagrams = Client(process.ouch50)
    datagrams.send(ufo.LoginRequest("HFT003", "SECRET", ""))
    new.order(1, side="B", qty=100)
    new.until(has(b"SA"))
    old.send(UnsequencedData(enter42("T1", "S", 40).encode()))
    datagrams.send(ufo.Unsequenced(enter50(1, "S", 60).encode()))
    new.until(has(b"SAEE"))
    old.until(has(b"SAE"))
    datagrams.until(b"E")
    assert new.packets[0] == LoginAccepted(CURRENT, 1)
    summary = summary_of(process, new, old)
    assert [summary["accounts"][f"HFT00{number}"]["AAPL"]["position"] for number in (1, 2, 3)] == [100, -40, -60]
    assert new.packets[-1] == soupbintcp.EndOfSession() == old.packets[-1]


@pytest.mark.parametrize("end", ["FIN", "half FIN", "RST", "garbage"])
def test_orders_go_with_the_connection(start: Start, end: str) -> None:
    process = start("--rate", "0", "--cancel-on-disconnect")
    process.feed.receive()
    peer, other = Peer(process.ports["ouch50_tcp"]), Peer(process.ports["ouch50_tcp"], "HFT002")
    peer.order(1, 2)
    other.order(1, price=1_000_000)
    peer.until(has(b"SAA"))
    other.until(has(b"SA"))
    if end == "RST":
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    if end == "half FIN":
        peer.socket.shutdown(socket.SHUT_WR)
    elif end == "garbage":
        peer.socket.sendall(b"\0\0")
    else:
        peer.socket.close()
    again = Peer(process.ports["ouch50_tcp"])
    again.until(has(b"SAACC"))
    summary = summary_of(process, again, other)
    assert summary["soupbintcp"]["ouch50"]["canceled_on_disconnect"] == 2
    assert summary["soupbintcp"]["ouch50"]["malformed" if end == "garbage" else "left"] == 1
    assert summary["accounts"]["HFT002"]["AAPL"]["canceled_qty"] == 100  # at the close


def test_a_reader_that_does_not_read_delays_nobody(start: Start) -> None:
    process = start("--rate", "1000", "--backlog", "65536", "--symbols", "AAPL=163.20")
    slow = Peer(process.ports["ouch50_tcp"], receive_buffer=4096)
    quick = Peer(process.ports["ouch50_tcp"], "HFT002")
    quick.until(has(b"S"))
    slow.until(has(b"S"))
    slow.socket.setblocking(False)
    ref = 0
    deadline = time.monotonic() + DEADLINE_S
    waits: list[float] = []
    while True:
        assert time.monotonic() < deadline
        try:
            for _ in range(50):
                ref += 1
                slow.order(ref, qty=1, price=10_000)
        except BlockingIOError:
            raise AssertionError("the exchange did not read") from None
        except OSError:
            break  # it has been dropped
        began = time.monotonic()
        quick.order(len(waits) + 1, qty=1, price=10_000)
        wanted = b"S" + b"A" * (len(waits) + 1)
        quick.until(has(wanted))
        waits.append(time.monotonic() - began)
    assert sorted(waits)[len(waits) // 2] < 0.5
    before = process.feed.receive()
    for _ in range(50):
        assert moldudp64.decode(process.feed.receive()) != moldudp64.decode(before)
    slow.socket.close()
    again = Peer(process.ports["ouch50_tcp"])
    again.until(lambda peer: len(peer.replies) > 1000)
    counters = summary_of(process, again, quick)["soupbintcp"]["ouch50"]
    assert counters["slow"] == 1 and counters["replayed"] >= 1000


def test_there_is_room_for_so_many_and_the_next_is_turned_away(start: Start) -> None:
    process = start("--rate", "0")
    process.feed.receive()
    port = process.ports["ouch50_tcp"]
    sockets = [socket.create_connection((HOST, port), DEADLINE_S) for _ in range(MAX_CLIENTS)]
    first = sockets.pop()
    first.sendall(LoginRequest("HFT001", "SECRET").encode())
    assert first.recv(33) == LoginAccepted(CURRENT, 1).encode()
    extra = socket.create_connection((HOST, port), DEADLINE_S)
    assert extra.recv(1) == b""
    for each in (*sockets, extra):
        each.close()
    deadline = time.monotonic() + DEADLINE_S
    while True:  # once the others are gone
        try:
            last = Peer(port, "HFT002")
            last.until(has(b"S"))
            break
        except (AssertionError, ConnectionResetError):
            assert time.monotonic() < deadline
    first.close()
    counters = summary_of(process, last)["soupbintcp"]["ouch50"]
    assert counters["refused"] >= 1 and counters["connections"] >= MAX_CLIENTS


def test_a_stalled_exchange_beats_on_and_a_dropped_session_is_reset(start: Start) -> None:
    process = start("--rate", "10", "--stall-reading", "0.3+1.5", "--drop-session", "2.2")
    peer = Peer(process.ports["ouch50_tcp"])
    peer.until(has(b"S"))
    time.sleep(0.5)
    peer.order(1)
    peer.until(lambda peer: ServerHeartbeat() in peer.packets)
    peer.until(has(b"SA"))
    assert peer.packets.index(ServerHeartbeat()) < len(peer.packets) - 1
    assert not peer.closed()
    assert summary_of(process)["soupbintcp"]["ouch50"]["dropped"] == 1


class Reflex(Exchange):
    """Each packet of the feed causes an order at once, as on a wire that is faster than the exchange's loop."""

    def __init__(self, config: ExchangeConfig) -> None:
        super().__init__(config)
        self.trader: socket.socket | None = None
        self.caused: list[int] = []

    def _send(self, sock: socket.socket, data: bytes, to: tuple[str, int]) -> bool:
        sent = super()._send(sock, data, to)
        packet = moldudp64.decode(data) if to == self.config.feed else None
        if isinstance(packet, moldudp64.Packet) and packet.messages:
            if self.trader is None:
                self.trader = socket.create_connection((HOST, self.config.ouch50_tcp_port or 0), DEADLINE_S)
                self.trader.sendall(LoginRequest("HFT001", "SECRET").encode())
            else:
                self.caused.append(packet.sequence + len(packet.messages) - 1)
                ref = len(self.caused)
                self.trader.sendall(UnsequencedData(enter50(ref, qty=1, price=10_000, tif="3").encode()).encode())
        return sent


def test_an_order_is_read_before_the_feed_goes_on(tmp_path: Path) -> None:
    """The log says after which message of the feed each order was handled: the one that caused it."""
    spare = socket.create_server((HOST, 0))
    port = spare.getsockname()[1]
    spare.close()
    exchange = Reflex(
        ExchangeConfig(
            bind=HOST, feed=(HOST, Udp().port), rerequest_port=None, glimpse_port=None, ouch50_port=0, ouch42_port=0,
            ouch50_tcp_port=port, ouch42_tcp_port=None, rate=1000, duration_s=0.5, linger_s=0.1, log=tmp_path / "log",
        )
    )  # fmt: skip
    exchange.run()
    assert exchange.trader is not None
    exchange.trader.close()
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    handled = {line["user_ref"]: line["feed_seq"] for line in lines if line["kind"] == "order"}
    # The first ones wait for the connection to be accepted; a busy kernel may deliver one late.
    late = [ref for ref, cause in enumerate(exchange.caused, 1) if handled.get(ref) != cause]
    assert len(exchange.caused) > 300 and len(late) < len(exchange.caused) // 10
