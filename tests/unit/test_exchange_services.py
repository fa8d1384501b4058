"""The exchange as a process: two lines and what goes wrong on them, re-requests, snapshots, recordings, rollover."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from exchange_process import DEADLINE_S, HOST, Process, Udp
from turbo_hft.exchange.mirror import MirrorBook
from turbo_hft.wire import binaryfile, frame, glimpse, itch50, moldudp64, pcapng, soupbintcp

SESSION = "HFT0000001"
Start = Callable[..., Process]
OPTIONAL = ["--rerequest-port", "--glimpse-port", "--ouch50-tcp", "--ouch42-tcp"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts exchanges; none is left afterwards."""
    processes: list[Process] = []

    def run(feed: Udp, *arguments: str) -> Process:
        process = Process(feed, "--no-wait-for-login", "--json", "--linger", "0.4", *arguments)
        processes.append(process)
        return process

    yield run
    for each in processes:
        with contextlib.suppress(ProcessLookupError):
            each.process.kill()
        each.process.communicate()


def summary_of(process: Process) -> dict[str, Any]:
    """Its summary, after its proper end."""
    code, out, err = process.end()
    assert code == 0, err
    summary: dict[str, Any] = json.loads(out)
    return summary


def everything(feed: Udp, end: str = SESSION) -> list[moldudp64.Downstream]:
    """What arrives on a socket until the first end of session `end`."""
    packets: list[moldudp64.Downstream] = []
    while True:
        packet = moldudp64.decode(feed.receive())
        packets.append(packet)
        if isinstance(packet, moldudp64.EndOfSession) and packet.session == end:
            return packets


def numbered(packets: list[moldudp64.Downstream], session: str = SESSION) -> dict[int, bytes]:
    """Messages by sequence; a number that comes twice says the same."""
    messages: dict[int, bytes] = {}
    for packet in packets:
        if isinstance(packet, moldudp64.Packet) and packet.session == session:
            for sequence, message in enumerate(packet.messages, packet.sequence):
                assert messages.setdefault(sequence, message) == message
    return messages


class Snapshot:
    """A client of the snapshot server that reads to the end of the connection."""

    def __init__(self, port: int, request: soupbintcp.LoginRequest | None = None) -> None:
        self.socket = socket.create_connection((HOST, port), DEADLINE_S)
        self.socket.sendall((request or soupbintcp.LoginRequest("HFT001", "SECRET")).encode())

    def read(self) -> list[soupbintcp.Packet]:
        decoder = soupbintcp.Decoder()
        packets: list[soupbintcp.Packet] = []
        while data := self.socket.recv(65_536):
            decoder.feed(data)
            packets += decoder
        assert decoder.pending == 0
        self.socket.close()
        return packets


def snapshot_of(packets: list[soupbintcp.Packet], session: str = SESSION) -> tuple[list[bytes], int]:
    """Messages and the number the feed goes on with."""
    assert packets[0] == soupbintcp.LoginAccepted(session, 1)
    assert packets[-1] == soupbintcp.EndOfSession()
    messages = [packet.message for packet in packets[1:-1] if isinstance(packet, soupbintcp.SequencedData)]
    assert len(messages) == len(packets) - 2
    return messages[:-1], glimpse.decode(messages[-1]).sequence


def book(messages: list[bytes]) -> dict[str, list[tuple[int, int, int]]]:
    mirror = MirrorBook()
    for message in messages:
        mirror.apply(itch50.decode(message))
    assert mirror.misfits == mirror.unknown_refs == 0
    return {
        name + side: [(order.order_ref, order.price_e4, order.qty) for order in each.in_priority(side)]
        for name, each in mirror.books.items()
        for side in "BS"
    }


def test_what_one_line_loses_the_other_brings_and_what_both_lose_can_be_had_again(start: Start) -> None:
    feed, feed_b = Udp(), Udp()
    process = start(
        feed, "--feed-b", f"{HOST}:{feed_b.port}", "--rate", "2000", "--duration", "1", "--messages-per-packet", "5",
        "--loss-a", "0.1", "--loss-b", "0.2", "--loss-both", "0.05", "--duplicate-b", "0.1", "--reorder-a", "0.1",
        "--delay-b", "100:900", "--linger", "4",
    )  # fmt: skip
    names = {"feed", "and", "ouch50", "ouch42", "ouch50_tcp", "ouch42_tcp", "rerequest", "glimpse"}
    assert names == set(process.ports)
    seen_a, seen_b = everything(feed), everything(feed_b)
    a, b = numbered(seen_a), numbered(seen_b)
    messages = {**a, **b}
    for number in set(a) & set(b):
        assert a[number] == b[number]
    # The last messages may be lost on both lines: what says where the feed ends is any packet of either.
    last = max(packet.sequence - 1 for packet in (*seen_a, *seen_b) if isinstance(packet, moldudp64.EndOfSession))
    asked = Udp()
    while missing := [number for number in range(1, last + 1) if number not in messages]:
        count = next((i for i, number in enumerate(missing) if number != missing[0] + i), len(missing))
        request = moldudp64.Request(SESSION, missing[0], count).encode()
        asked.socket.sendto(request, (HOST, process.ports["rerequest"]))
        messages.update(numbered([moldudp64.decode(asked.receive())]))
    process.process.send_signal(signal.SIGTERM)
    summary = summary_of(process)
    assert summary["feed"]["last_sequence"] == last
    assert set(book([messages[number] for number in range(1, last + 1)])) == {"AAPLB", "AAPLS", "MSFTB", "MSFTS"}
    lines, rerequest = summary["lines"], summary["rerequest"]
    assert (
        lines["a"]["offered"] == lines["b"]["offered"] == summary["feed"]["packets"] + 3 + summary["feed"]["heartbeats"]
    )
    assert lines["a"]["lost"] > 0 and lines["b"]["lost"] > lines["b"]["lost_on_both"] == lines["a"]["lost_on_both"] > 0
    assert lines["a"]["reordered"] > 0 and lines["a"]["delayed"] == lines["a"]["duplicated"] == 0
    assert lines["b"]["duplicated"] > 0 and lines["b"]["delayed"] == lines["b"]["offered"] - (
        lines["b"]["lost"] + lines["b"]["lost_on_both"]
    )
    assert rerequest["replies"] == rerequest["requests"] > 0
    assert rerequest["malformed"] == rerequest["unknown_range"] == 0


def test_garbage_for_the_re_request_server_is_no_trouble(start: Start) -> None:
    feed, asked = Udp(), Udp()
    process = start(feed, "--rate", "0", "--duration", "60")
    first = feed.receive()
    for datagram in (
        b"",
        b"garbage",
        moldudp64.Request("OTHER", 1, 1).encode(),
        moldudp64.Request(SESSION, 1, 1).encode(),
    ):
        asked.socket.sendto(datagram, (HOST, process.ports["rerequest"]))
    reply = asked.receive()
    assert reply == first
    process.process.send_signal(signal.SIGTERM)
    count = summary_of(process)["rerequest"]
    assert (count["requests"], count["malformed"], count["unknown_session"], count["replies"]) == (4, 2, 1, 1)


def test_requests_are_served_after_the_end_of_the_session(start: Start) -> None:
    feed, asked = Udp(), Udp()
    process = start(feed, "--rate", "0", "--duration", "0.2", "--linger", "4")
    messages = numbered(everything(feed))
    asked.socket.sendto(moldudp64.Request(SESSION, len(messages), 1).encode(), (HOST, process.ports["rerequest"]))
    assert numbered([moldudp64.decode(asked.receive())]) == {len(messages): messages[len(messages)]}
    assert process.process.poll() is None


def test_a_snapshot_and_the_feed_from_there_on_are_the_whole_market(start: Start) -> None:
    feed = Udp()
    process = start(feed, "--rate", "2000", "--duration", "2", "--messages-per-packet", "10")
    time.sleep(0.7)
    clients = [Snapshot(process.ports["glimpse"]) for _ in range(3)]
    snapshots = [snapshot_of(client.read()) for client in clients]
    messages = numbered(everything(feed))
    whole = [messages[number] for number in range(1, len(messages) + 1)]
    for snapshot, following in snapshots:
        assert 100 < following < len(messages)
        assert book(snapshot) == book(whole[: following - 1])
        assert book(snapshot + whole[following - 1 :]) == book(whole)
        assert [itch50.decode(m).TYPE for m in snapshot[:7]] == ["S", "S", "S", "R", "H", "A", "A"]
    count = summary_of(process)["glimpse"]
    assert (count["connections"], count["logins"], count["snapshots"], count["left"]) == (3, 3, 3, 0)
    assert count["messages"] == sum(len(snapshot) + 1 for snapshot, _ in snapshots)


def test_wrong_logins_and_clients_that_do_nothing(start: Start) -> None:
    feed = Udp()
    process = start(feed, "--rate", "0", "--duration", "60", "--glimpse-delay", "0.2")
    port = process.ports["glimpse"]
    silent = socket.create_connection((HOST, port), DEADLINE_S)
    assert Snapshot(port, soupbintcp.LoginRequest("HFT001", "WRONG")).read() == [soupbintcp.LoginRejected("A")]
    other = Snapshot(port, soupbintcp.LoginRequest("HFT001", "SECRET", "OTHER"))
    assert other.read() == [soupbintcp.LoginRejected("S")]
    garbage = socket.create_connection((HOST, port), DEADLINE_S)
    garbage.sendall(b"GET / HTTP/1.1\r\n\r\n" * 1000)
    with contextlib.suppress(ConnectionResetError):
        assert garbage.recv(100) == b""
    opening: list[moldudp64.Downstream] = []
    while len(numbered(opening)) < 7:  # the exchange says that it is ready before it opens
        opening.append(moldudp64.decode(feed.receive()))
    began = time.monotonic()
    messages, following = snapshot_of(Snapshot(port).read())
    assert time.monotonic() - began >= 0.2
    assert (len(messages), following) == (7, 8)
    silent.close()
    with pytest.raises(BlockingIOError):
        left = socket.create_connection((HOST, port), DEADLINE_S)
        left.setblocking(False)
        left.recv(1)
    left.close()
    time.sleep(0.1)
    process.process.send_signal(signal.SIGTERM)
    count = summary_of(process)["glimpse"]
    assert (count["logins"], count["logins_rejected"], count["malformed"], count["left"]) == (1, 2, 1, 2)


def test_a_reader_that_does_not_read_holds_nobody_up(start: Start) -> None:
    feed = Udp()
    names = ",".join(f"S{number}" for number in range(150))
    process = start(feed, "--rate", "2000", "--duration", "1.5", "--messages-per-packet", "20", "--symbols", names)
    time.sleep(0.8)
    slow = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.connect((HOST, process.ports["glimpse"]))
    slow.sendall(soupbintcp.LoginRequest("HFT001", "SECRET").encode())
    messages = numbered(everything(feed))
    assert len(messages) >= 150 * 60 + 3000
    summary = summary_of(process)
    assert (summary["glimpse"]["logins"], summary["glimpse"]["snapshots"]) == (1, 0)
    slow.close()


def test_servers_can_be_switched_off(start: Start) -> None:
    feed = Udp()
    off = [word for option in OPTIONAL for word in (option, "off")]
    process = start(feed, "--rate", "0", "--duration", "0.1", *off)
    assert set(process.ports) == {"feed", "ouch50", "ouch42"}
    summary = summary_of(process)
    assert summary["rerequest"] is None and summary["glimpse"] is None
    assert summary["sessions"] == [{"name": SESSION, "messages": 10}]


@pytest.mark.parametrize("signals", [0, 1, 2])
def test_recordings_are_whole_however_the_exchange_ends(start: Start, tmp_path: Path, signals: int) -> None:
    feed, feed_b = Udp(), Udp()
    record, capture = tmp_path / "day.itch50", tmp_path / "lines.pcapng"
    began = time.time_ns()
    process = start(
        feed, "--feed-b", f"{HOST}:{feed_b.port}", "--loss-b", "0.3", "--rate", "1000", "--duration", "1.2",
        "--linger", "0.4" if signals < 2 else "20", "--record", str(record), "--capture", str(capture),
    )  # fmt: skip
    received: list[bytes] = []
    if signals:
        received += [feed.receive() for _ in range(400)]
        for _ in range(signals):
            process.process.send_signal(signal.SIGTERM)
            time.sleep(0.2)
    while not isinstance(moldudp64.decode(received[-1]) if received else None, moldudp64.EndOfSession):
        received.append(feed.receive())
    summary = summary_of(process)
    messages = numbered([moldudp64.decode(packet) for packet in received])
    assert list(binaryfile.read(record)) == list(messages.values())
    captured: dict[int, list[bytes]] = {feed.port: [], feed_b.port: []}
    last_ns = began
    for time_ns, raw in pcapng.read(capture):
        parsed = frame.parse_udp(raw)
        assert (parsed.src[0], parsed.dst[0]) == (HOST, HOST)
        assert parsed.udp_checksum_ok and last_ns <= time_ns <= time.time_ns()
        last_ns = time_ns
        captured[parsed.dst[1]].append(parsed.payload)
    assert captured[feed.port][: len(received)] == received
    assert [len(frames) for frames in captured.values()] == [summary["lines"][name]["sent"] for name in "ab"]
    assert 0 < summary["lines"]["b"]["lost"] == len(captured[feed.port]) - len(captured[feed_b.port])


def test_a_second_session_on_the_wire(start: Start) -> None:
    feed, asked = Udp(), Udp()
    process = start(feed, "--rate", "1000", "--duration", "1.5", "--rollover-after", "800", "--linger", "3")
    packets = everything(feed, "HFT0000002")
    sessions = {name: numbered(packets, name) for name in (SESSION, "HFT0000002")}
    assert all(min(messages) == 1 and max(messages) == len(messages) for messages in sessions.values())
    for name, messages in sessions.items():
        asked.socket.sendto(moldudp64.Request(name, 5, 1).encode(), (HOST, process.ports["rerequest"]))
        assert moldudp64.decode(asked.receive()) == moldudp64.Packet(name, 5, (messages[5],))
    snapshot, following = snapshot_of(Snapshot(process.ports["glimpse"]).read(), "HFT0000002")
    newest = list(sessions["HFT0000002"].values())
    assert (book(snapshot), following) == (book(newest), len(newest) + 1)
    process.process.send_signal(signal.SIGTERM)
    assert [each["name"] for each in summary_of(process)["sessions"]] == list(sessions)


@pytest.mark.parametrize("option", OPTIONAL)
def test_a_port_that_is_taken_is_named_with_its_option(option: str) -> None:
    kind = socket.SOCK_DGRAM if option == "--rerequest-port" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind((HOST, 0))
        if kind == socket.SOCK_STREAM:
            taken.listen()
        port = str(taken.getsockname()[1])
        with pytest.raises(AssertionError, match=rf"{HOST}:{port}.*{option}"):
            Process(Udp(), "--no-wait-for-login", option, port)
