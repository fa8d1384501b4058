"""The GLIMPSE client: against the simulator's server over loopback, and against servers that misbehave."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from exchange_process import HOST, Process, Udp
from recovery_rig import Market
from turbo_hft.errors import RecoveryError
from turbo_hft.recovery.snapshot import Fetcher, Glimpse, Snapshot, SnapshotReader, fetch
from turbo_hft.wire import glimpse, itch50, soupbintcp
from turbo_hft.wire.soupbintcp import LoginAccepted, SequencedData

ACCOUNT = ("HFT001", "SECRET")
ACCEPTED = LoginAccepted("DAY1", 1).encode()
END = SequencedData(glimpse.EndOfSnapshot(42).encode()).encode()


def read(*packets: soupbintcp.Packet, names: tuple[str, ...] = ("S0", "S1"), locates: tuple[int, ...] = ()) -> Snapshot:
    reader = SnapshotReader(names, locates)
    for packet in packets:
        reader.take(packet)
    assert reader.snapshot is not None
    return reader.snapshot


@contextmanager
def serving(*says: bytes, hold: bool = False) -> Iterator[Glimpse]:
    """A server that says this to its one client whatever it asks, and closes (or not)."""
    with socket.create_server((HOST, 0)) as listener:
        end = threading.Event()

        def serve() -> None:
            with contextlib.suppress(OSError):
                client, _ = listener.accept()
                with client:
                    client.recv(100)
                    for each in says:
                        client.sendall(each)
                        time.sleep(0.01)
                    if hold:
                        end.wait(10)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield Glimpse(listener.getsockname()[:2], *ACCOUNT)
        end.set()
    thread.join(5)


def test_what_is_wanted_is_kept_and_nothing_else() -> None:
    market = Market(("S0", "S1", "S2", "S3"))
    market.opening()
    market.trade(200)
    told = [SequencedData(message) for message in market.mirror.snapshot()]
    snapshot = read(LoginAccepted("DAY1", 1), *told, names=("S1", "NOBODY"), locates=(4,))
    assert (snapshot.session, snapshot.sequence) == ("DAY1", market.next_sequence)
    assert [message[11:12] for message in snapshot.common] == [b"O", b"S", b"Q"]
    assert set(snapshot.directory) == {"S1"} and set(snapshot.messages) == {2, 4}
    assert (snapshot.locate("S1"), snapshot.locate("NOBODY")) == (2, None)
    assert snapshot.covers("NOBODY") and not snapshot.covers("S2") and Snapshot.of_new_session("DAY2").covers("S2")
    kept = [packet.message for packet in told if packet.message[1:3] == b"\0\2" and packet.message[:1] != b"R"]
    assert list(snapshot.messages[2]) == kept and len(kept) > 5


def test_without_its_end_there_is_no_snapshot() -> None:
    reader = SnapshotReader(("S0",))
    reader.take(LoginAccepted("DAY1", 1))
    reader.take(SequencedData(itch50.SystemEvent(0, 0, 1, "Q").encode()))
    assert reader.snapshot is None
    with pytest.raises(RecoveryError, match="before the snapshot was whole"):
        reader.take(soupbintcp.EndOfSession())


@pytest.mark.parametrize(
    ("packets", "words"),
    [
        ([soupbintcp.LoginRejected("A")], "rejected the login: user or password"),
        ([soupbintcp.LoginRejected("S")], "session not available"),
        ([SequencedData(b"G" + b"1".rjust(20))], "SequencedData where it makes no sense"),
        ([LoginAccepted("DAY1", 1), LoginAccepted("DAY1", 1)], "LoginAccepted where it makes no sense"),
        ([LoginAccepted("DAY1", 1), SequencedData(b"G" + b"0".rjust(20))], "messages count from 1"),
    ],
)
def test_what_cannot_be(packets: list[soupbintcp.Packet], words: str) -> None:
    with pytest.raises(RecoveryError, match=words):
        read(*packets)


def test_a_symbol_that_is_listed_after_its_messages() -> None:
    market = Market(("S0",))
    market.opening()
    add = market.trade(1)[0]
    with pytest.raises(RecoveryError, match="lists S0 after messages of it"):
        read(LoginAccepted("DAY1", 1), SequencedData(add), *map(SequencedData, market.mirror.snapshot()))
    assert read(LoginAccepted("DAY1", 1), SequencedData(add), SequencedData(b"G" + b"9".rjust(20)), locates=(1,))


def test_the_simulator_serves_it() -> None:
    feed = Udp()
    process = Process(feed, "--no-wait-for-login", "--rate", "4000", "--duration", "60", "--json")
    try:
        time.sleep(0.5)
        server = Glimpse((HOST, process.ports["glimpse"]), *ACCOUNT)
        snapshot = fetch(server, ("AAPL", "MSFT"))
        assert snapshot.session == "HFT0000001" and snapshot.sequence > 100
        assert set(snapshot.directory) == {"AAPL", "MSFT"} and all(snapshot.messages.values())
        later = fetch(server, ("AAPL",))
        assert later.sequence > snapshot.sequence and len(later.messages) == 1
        with pytest.raises(RecoveryError, match="user or password not authorised"):
            fetch(Glimpse(server.server, "HFT001", "WRONG"), ())
        fetcher = Fetcher(server)
        fetcher.start(("AAPL",), ())
        while (result := fetcher.result()) is None:
            time.sleep(0.01)
        assert isinstance(result, Snapshot)
        fetcher.close()
    finally:
        process.process.kill()
        process.process.communicate()


def test_a_server_that_beats_its_heart_for_a_while() -> None:
    with serving(ACCEPTED, soupbintcp.ServerHeartbeat().encode(), END, hold=True) as server:
        assert fetch(server, ()) == Snapshot("DAY1", 42, names=frozenset())


def test_a_snapshot_in_single_bytes() -> None:
    with serving(*(bytes([byte]) for byte in ACCEPTED + END)) as server:
        assert fetch(server, ()).sequence == 42


@pytest.mark.parametrize(
    ("says", "words"),
    [
        ((), "closed the connection before"),
        ((ACCEPTED,), "closed the connection before"),
        ((ACCEPTED, END[:-1]), "closed the connection before"),
        ((ACCEPTED, soupbintcp.EndOfSession().encode()), "ended the session before"),
        ((b"HTTP/1.1 400 Bad Request\r\n" * 900,), "does not speak GLIMPSE"),
        ((ACCEPTED, SequencedData(b"G??").encode()), "does not speak GLIMPSE"),
    ],
)
def test_servers_that_end_too_early_or_talk_nonsense(says: tuple[bytes, ...], words: str) -> None:
    with serving(*says) as server, pytest.raises(RecoveryError, match=words):
        fetch(server, ())


def test_a_server_that_never_gets_done() -> None:
    with serving(ACCEPTED, hold=True) as server, pytest.raises(RecoveryError, match=r"in 0\.3 s: allow it more time"):
        fetch(server, (), timeout_s=0.3)


def test_nobody_there() -> None:
    with socket.create_server((HOST, 0)) as listener:
        at = listener.getsockname()[:2]
    with pytest.raises(RecoveryError, match=r"cannot use the snapshot server .* Is it up"):
        fetch(Glimpse(at, *ACCOUNT), ())


def test_a_fetch_can_be_called_off() -> None:
    with serving(ACCEPTED, hold=True) as server:
        fetcher = Fetcher(server)
        fetcher.start((), ())
        time.sleep(0.1)
        assert fetcher.result() is None
        start = time.monotonic()
        fetcher.close()
        assert time.monotonic() - start < 1 and fetcher.result() is None
