"""Our client on real connections: with the exchange as a process, and with servers that do what they should not."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from exchange_process import DEADLINE_S, HOST, Process, Udp
from exchange_rig import enter50
from turbo_hft.errors import ConfigError, ExchangeError
from turbo_hft.soupbintcp import Broken, Client, Ended, Event, LoggedIn, Lost, Message, Refused, Session, SocketWire
from turbo_hft.soupbintcp.wire import MAX_PENDING
from turbo_hft.wire import ouch50, soupbintcp
from turbo_hft.wire.soupbintcp import EndOfSession, LoginAccepted, LoginRejected, LoginRequest, SequencedData

CURRENT = "HFT0000001"
RESET = struct.pack("ii", 1, 0)
Start = Callable[..., Process]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts exchanges; none is left afterwards."""
    processes: list[Process] = []

    def run(*arguments: str) -> Process:
        process = Process(Udp(), "--json", "--linger", "0.1", "--rate", "0", "--wait-for-login", *arguments)
        processes.append(process)
        return process

    yield run
    for each in processes:
        with contextlib.suppress(ProcessLookupError):
            each.process.kill()
        each.process.communicate()


def summary_of(process: Process) -> dict[str, Any]:
    process.process.terminate()
    code, out, err = process.end()
    assert code == 0, err
    summary: dict[str, Any] = json.loads(out)
    return summary


def client_of(process: Process, port: str = "ouch50_tcp", user: str = "HFT001", **settings: Any) -> Client:
    return Client((HOST, process.ports[port]), Session(user, "SECRET", **settings), retry_s=0.01)


def until(client: Client, done: Callable[[list[Event]], bool]) -> list[Event]:
    """Step until it is done; all events."""
    events: list[Event] = []
    deadline = time.monotonic() + DEADLINE_S
    while not done(events):
        assert time.monotonic() < deadline, events
        events += client.step(0.2)
    return events


def replies(events: list[Event]) -> list[bytes]:
    return [event.data for event in events if isinstance(event, Message)]


def test_a_day_with_the_exchange(start: Start) -> None:
    process = start("--account", "HFT001:SECRET", "--account", "HFT002:SECRET")
    with client_of(process) as buyer, client_of(process, user="HFT002") as seller:
        assert buyer.login() == LoggedIn(CURRENT, 1) == seller.login()
        process.feed.receive()  # the market is open
        assert buyer.send(enter50(1, "B", 100).encode())
        until(buyer, lambda events: any(reply[:1] == b"A" for reply in replies(events)))
        assert seller.send(enter50(1, "S", 100).encode())
        until(seller, lambda events: any(reply[:1] == b"E" for reply in replies(events)))
        (executed,) = replies(until(buyer, lambda events: bool(replies(events))))
        assert isinstance(ouch50.decode_outbound(executed), ouch50.Executed)
        assert buyer.session.next_sequence == 4
    summary = summary_of(process)
    counters = summary["soupbintcp"]["ouch50"]
    assert (counters["logins"], counters["logouts"], counters["messages"]) == (2, 2, 2)
    assert summary["accounts"]["HFT001"]["AAPL"]["position"] == 100
    assert summary["accounts"]["HFT002"]["AAPL"]["position"] == -100


@pytest.mark.parametrize("faults", ["--cut-after-replies 3", "--cut-after-replies 2 --cut-by-reset --segment-bytes 1"])
def test_cuts_are_survived_without_a_gap(start: Start, faults: str) -> None:
    process = start(*faults.split(), "--delay-replies", "10:300")
    client = client_of(process)
    client.login()
    process.feed.receive()
    events: list[Event] = []
    wanted = 12
    ref = 0
    deadline = time.monotonic() + DEADLINE_S
    while len(replies(events)) < wanted + 1:
        assert time.monotonic() < deadline, events
        if client.session.state.value == "open" and ref < wanted:
            ref += 1
            # What was sent into a connection that was cut then did not arrive: once more, it is the same order.
            for each in range(1, ref + 1):
                if not (client.session.state.value == "open" and client.send(enter50(each).encode())):
                    ref = each - 1
                    break
        new = client.step(0.02)
        events += new
        if any(isinstance(event, LoggedIn) for event in new):
            ref = max(0, len(replies(events)) - 2)
    messages = [event for event in events if isinstance(event, Message)]
    assert [event.sequence for event in messages] == list(range(1, wanted + 2))
    accepted = [ouch50.decode_outbound(event.data) for event in messages[1:]]
    assert [each.user_ref_num for each in accepted if isinstance(each, ouch50.Accepted)] == list(range(1, wanted + 1))
    assert any(isinstance(event, Lost) for event in events) and client.logins > 2
    client.close()
    assert summary_of(process)["soupbintcp"]["ouch50"]["cut"] >= 2


def test_the_end_of_the_session(start: Start) -> None:
    process = start()
    client = client_of(process)
    client.login()
    process.feed.receive()
    client.send(enter50(1).encode())
    until(client, lambda events: len(replies(events)) >= 2)
    process.process.terminate()
    *messages, ended = until(client, lambda events: Ended() in events)
    assert b"".join(reply[:1] for reply in replies(messages)) == b"CS" and ended == Ended()
    assert client.over and not client.step(0)
    code, out, _ = process.end()
    assert code == 0 and json.loads(out)["soupbintcp"]["ouch50"]["ended"] == 1


def test_heartbeats_keep_a_quiet_connection(start: Start) -> None:
    process = start("--client-timeout", "0.9")
    client = client_of(process, heartbeat_ms=1500)
    silent = socket.create_connection((HOST, process.ports["ouch42_tcp"]), DEADLINE_S)
    silent.sendall(LoginRequest("HFT001", "SECRET").encode())
    client.login()
    until(client, lambda events: bool(replies(events)))
    began = time.monotonic()
    while time.monotonic() - began < 2:
        assert not client.step(0.2)
    client.logout()
    counters = summary_of(process)["soupbintcp"]
    assert (counters["ouch50"]["silent"], counters["ouch50"]["logouts"]) == (0, 1)
    assert counters["ouch50"]["heartbeats"] >= 1
    assert counters["ouch42"]["silent"] == 1
    silent.close()


def test_rejected_logins_and_nobody_there(start: Start) -> None:
    process = start()
    for settings, words in (({"user": "NOBODY"}, "not authorised"), ({"session": "ANOTHER"}, "not available")):
        client = client_of(process, **settings)
        with pytest.raises(ExchangeError, match=words):
            client.login()
        assert any(isinstance(event, Refused) for event in client.step(0))
        assert client.over
    port = process.ports["ouch50_tcp"]
    process.process.kill()
    process.process.wait()
    client = Client((HOST, port), Session("HFT001", "SECRET"), retry_s=None)
    with pytest.raises(ExchangeError, match=r"(?s)not logged in at .*refused"):
        client.login()
    (event,) = client.step(0)
    assert isinstance(event, Lost) and client.over


# Servers that do what they should not


class Server:
    """A listening socket; `serve` runs one script for each connection, in a thread."""

    def __init__(self, *scripts: Callable[[socket.socket], None]) -> None:
        self.listener = socket.create_server((HOST, 0))
        self.listener.settimeout(DEADLINE_S)
        self.requests: list[soupbintcp.Packet] = []
        self.errors: list[BaseException] = []
        self._thread = threading.Thread(target=self._serve, args=(scripts,))
        self._thread.start()

    @property
    def address(self) -> tuple[str, int]:
        return HOST, int(self.listener.getsockname()[1])

    def _serve(self, scripts: tuple[Callable[[socket.socket], None], ...]) -> None:
        try:
            for script in scripts:
                connection, _ = self.listener.accept()
                with connection:
                    connection.settimeout(DEADLINE_S)
                    decoder = soupbintcp.Decoder()
                    decoder.feed(connection.recv(54))
                    self.requests += decoder
                    script(connection)
        except BaseException as error:
            self.errors.append(error)

    def end(self) -> list[soupbintcp.Packet]:
        self._thread.join(DEADLINE_S)
        self.listener.close()
        assert not self.errors and not self._thread.is_alive()
        return self.requests


def says(*packets: soupbintcp.Packet | bytes, reset: bool = False) -> Callable[[socket.socket], None]:
    def script(connection: socket.socket) -> None:
        connection.sendall(b"".join(each if isinstance(each, bytes) else each.encode() for each in packets))
        if reset:
            time.sleep(0.05)  # a reset overtakes what is not read yet
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    return script


def test_broken_connections_are_made_again_and_their_words_go_on() -> None:
    server = Server(
        says(LoginAccepted(CURRENT, 1), SequencedData(b"one"), SequencedData(b"two").encode()[:-1]),
        says(b""),
        says(LoginAccepted(CURRENT, 2), SequencedData(b"two"), reset=True),
        says(LoginAccepted(CURRENT, 3), b"\0\0", SequencedData(b"never")),
        says(LoginAccepted(CURRENT, 3), SequencedData(b"three"), EndOfSession()),
    )
    client = Client(server.address, Session("HFT001", "SECRET"), retry_s=0.01, congestion_control="cubic")
    events = until(client, lambda events: client.over)
    assert [event for event in events if isinstance(event, Message | Ended)] == [
        Message(1, b"one"), Message(2, b"two"), Message(3, b"three"), Ended()
    ]  # fmt: skip
    losses = [event.why for event in events if isinstance(event, Lost)]
    assert losses[0] == "the server closed the connection, in the middle of a message (5 bytes)"
    assert losses[1] == "the server closed the connection"
    assert "reset" in losses[2] and "no SoupBinTCP" in losses[3] and len(losses) == 4
    assert server.end() == [LoginRequest("HFT001", "SECRET", session, next_) for session, next_ in (
        ("", 1), (CURRENT, 2), (CURRENT, 2), (CURRENT, 3), (CURRENT, 3)
    )]  # fmt: skip


def test_who_is_turned_away_again_and_again_comes_ever_less_often() -> None:
    """Two clients of one account would take the seat from each other for ever."""
    server = Server(*[says(LoginAccepted(CURRENT, 1))] * 6, says(LoginAccepted(CURRENT, 1), EndOfSession()))
    client = Client(server.address, Session("HFT001", "SECRET"), retry_s=0.01)
    began = time.monotonic()
    events = until(client, lambda events: client.over)
    assert sum(isinstance(event, Lost) for event in events) == 6
    assert time.monotonic() - began >= 0.01 * (1 + 2 + 4 + 8 + 16 + 32)
    server.end()


@pytest.mark.parametrize(
    ("packet", "kind"), [(LoginAccepted(CURRENT, 7), Broken), (LoginRejected("S"), Refused), (EndOfSession(), Ended)]
)
def test_sessions_that_are_over_are_not_tried_again(packet: soupbintcp.ServerPacket, kind: type[Event]) -> None:
    server = Server(says(packet))
    client = Client(server.address, Session("HFT001", "SECRET"), retry_s=0)
    with pytest.raises(ExchangeError):
        client.login()
    assert [type(event) for event in client.step(0)] == [kind]
    assert client.over
    server.end()


def test_a_server_that_says_nothing_more() -> None:
    released = threading.Event()

    def script(connection: socket.socket) -> None:
        connection.sendall(LoginAccepted(CURRENT, 1).encode())
        released.wait(DEADLINE_S)

    server = Server(script)
    client = Client(server.address, Session("HFT001", "SECRET", silence_ns=200_000_000), retry_s=None)
    client.login()
    events = until(client, lambda events: client.over)
    assert isinstance(events[-1], Lost) and "said nothing for 0." in events[-1].why
    released.set()
    server.end()


def test_the_connection_is_what_an_order_needs() -> None:
    """No Nagle, no pacing, from the address that was asked for."""
    wires: list[socket.socket] = []

    def wire(sock: socket.socket) -> SocketWire:
        wires.append(sock)
        return SocketWire(sock)

    spare = socket.create_server((HOST, 0))
    port = spare.getsockname()[1]
    spare.close()
    server = Server(says(LoginAccepted(CURRENT, 1)))
    client = Client(server.address, Session("HFT001", "SECRET"), local=(HOST, port), wire=wire, retry_s=None)
    client.login()
    assert client.local == (HOST, port)
    (sock,) = wires
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0") == b"reno"
    client.close()
    server.end()


def test_a_wire_of_another_kind_gets_all_that_is_said() -> None:
    """Login, heartbeats and orders pass through it, in whole packets and in order."""
    said: list[bytes] = []

    class Recording(SocketWire):
        def send(self, data: bytes) -> None:
            said.append(data)
            super().send(data)

    def script(connection: socket.socket) -> None:
        connection.sendall(LoginAccepted(CURRENT, 1).encode())
        while not connection.recv(4096).endswith(b"\0\x01O"):
            pass

    server = Server(script)
    client = Client(server.address, Session("HFT001", "SECRET"), wire=Recording)
    client.login()
    client.send(b"order")
    until(client, lambda events: len(said) > 2)
    client.logout()
    decoder = soupbintcp.Decoder()
    decoder.feed(b"".join(said))
    assert list(decoder) == [
        LoginRequest("HFT001", "SECRET"), soupbintcp.UnsequencedData(b"order"), soupbintcp.ClientHeartbeat(),
        soupbintcp.LogoutRequest(),
    ]  # fmt: skip
    assert decoder.pending == 0
    server.end()


def test_a_server_that_takes_nothing_is_given_up() -> None:
    """What waits here is bounded, and what was sent of it is whole packets."""
    released = threading.Event()
    got = bytearray()

    def script(connection: socket.socket) -> None:
        connection.sendall(LoginAccepted(CURRENT, 1).encode())
        released.wait(DEADLINE_S)
        while data := connection.recv(1 << 20):
            got.extend(data)

    server = Server(script)
    client = Client(server.address, Session("HFT001", "SECRET"), retry_s=None)
    client.login()
    message = bytes(50_000)
    sent = 0
    while client.send(message):
        sent += 1
        assert sent < 1000
    assert sent * len(message) > MAX_PENDING
    assert any("takes nothing" in event.why for event in client.step(0) if isinstance(event, Lost))
    assert client.over
    released.set()
    server.end()
    assert len(got) >= 50_003


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"congestion_control": "bbr"}, "do not pace"),
        ({"retry_s": -1}, "retry_s -1"),
        ({"retry_s": float("inf")}, "retry_s inf"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Client((HOST, 1), Session("HFT001", "SECRET"), **settings)


def test_an_address_that_is_not_here() -> None:
    client = Client((HOST, 1), Session("HFT001", "SECRET"), local=("192.0.2.1", 0))
    with pytest.raises(ConfigError, match=r"192\.0\.2\.1:0"):
        client.step(0)
