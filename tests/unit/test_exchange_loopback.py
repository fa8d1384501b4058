"""The exchange as a process: started from the command line, traded with over loopback, ended by a signal."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from exchange_process import DEADLINE_S, HOST, Client, Process, Udp
from turbo_hft.wire import itch50, moldudp64, ouch42, ouch50, ufo


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Process]:
    started = Process(
        Udp(), "--symbols", "AAPL=163.20", "--rate", "500", "--wait-for-login", "--json", "--linger", "0.4",
        "--log", str(tmp_path / "log"), "--summary", str(tmp_path / "summary"), "--messages-per-packet", "10",
    )  # fmt: skip
    yield started
    with contextlib.suppress(ProcessLookupError):
        started.process.kill()
    started.process.communicate()


def test_log_in_trade_ask_again_and_end(running: Process, tmp_path: Path) -> None:
    client = Client(running.ouch50)
    client.send(ufo.LoginRequest("HFT001", "WRONG", ""))
    assert client.read() == ufo.LoginRejected("A")
    client.send(ufo.LoginRequest("HFT001", "SECRET", ""))
    assert client.read() == ufo.LoginAccepted("HFT0000001", 1)
    first = moldudp64.decode(running.feed.receive())  # only now
    assert isinstance(first, moldudp64.Packet)
    assert (first.sequence, first.messages[0][:1]) == (1, b"S")
    seen = len(first.messages)

    order = ouch50.EnterOrder(1, "B", 100, "AAPL", 1_700_000, "3", "Y", "P", "N", "N", "")
    resting = ouch50.EnterOrder(2, "B", 7, "AAPL", 10_000, "0", "Y", "P", "N", "N", "")
    client.send(ufo.Unsequenced(order.encode()), ufo.Unsequenced(resting.encode()))
    while not {b"E", b"A"} <= {m[:1] for m in client.messages.values()} or len(client.messages) < 4:
        client.read()
    client.socket.send(b"\0\x03junk")
    before = dict(client.messages)
    client.messages.clear()
    client.send(ufo.RetransmissionRequest(1, len(before)))
    while len(client.messages) < len(before):
        client.read()
    assert client.messages == before

    old = Client(running.ouch42)
    old.send(ufo.LoginRequest("HFT001", "SECRET", ""))
    old.until(b"S")
    old.send(
        ufo.Unsequenced(
            ouch42.EnterOrder("T1", "S", 10, "AAPL", 1_500_000, 0, "", "Y", "P", "N", 0, "N", "").encode()
        )
    )  # fmt: skip
    old.until(b"E")

    running.process.send_signal(signal.SIGTERM)
    while not any(isinstance(packet, ufo.EndOfSession) for packet in client.control):
        client.read()
    code, out, _ = running.end()
    assert code == 0
    summary = json.loads(out)
    assert summary == json.loads((tmp_path / "summary").read_text())
    assert summary["ended_by"] == "signal"
    assert summary["accounts"]["HFT001"]["AAPL"]["bought_qty"] == 100
    assert summary["accounts"]["HFT001"]["AAPL"]["position"] == 90
    assert summary["accounts"]["HFT001"]["AAPL"]["canceled_qty"] == 7
    assert summary["order_entry"]["ouch50"]["malformed"] == 1
    codes = [m[9:10] for m in client.messages.values() if m[:1] == b"S"]
    assert codes == [b"S", b"E"]

    rest = list(first.messages)
    while not isinstance(packet := moldudp64.decode(running.feed.receive()), moldudp64.EndOfSession):
        assert packet.sequence == len(rest) + 1
        rest += packet.messages if isinstance(packet, moldudp64.Packet) else ()
    assert seen <= len(rest) == summary["feed"]["last_sequence"]
    events = [m.event_code for m in map(itch50.decode, rest) if isinstance(m, itch50.SystemEvent)]
    assert "".join(events) == "OSQMEC"
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [line["outcome"] for line in lines if line["kind"] == "order"] == ["accepted"] * 3
    stamps = [line["arrival_ns"] for line in lines]
    assert stamps == sorted(stamps) and stamps[-1] <= time.monotonic_ns()


def test_order_entry_that_goes_wrong() -> None:
    """Over sockets: a lost reply is asked for again, a server falls silent, forgets the login, and breaks a trade."""
    started = Process(
        Udp(), "--symbols", "AAPL=163.20", "--rate", "500", "--json", "--linger", "0.2", "--seed", "2",
        "--broken-trades", "1", "--later", "50:100", "--fee", "R=0.003", "--loss-replies", "0.3",
        "--delay-replies", "100:2000", "--silence", "0.6+0.3", "--drop-session", "1.2", "--halt", "AAPL@2+10",
    )  # fmt: skip
    client = Client(started.ouch50)

    def ask_until(kind: bytes, *messages: ufo.Upstream) -> None:
        """Send it all again and again: what was heard once is ignored, and the answer may be lost."""
        client.socket.settimeout(0.05)
        deadline = time.monotonic() + DEADLINE_S
        while not any(message[:1] == kind for message in client.messages.values()):
            assert time.monotonic() < deadline
            client.send(ufo.LoginRequest("HFT001", "SECRET", ""))
            client.send(*messages, ufo.RetransmissionRequest(1, 1000))
            with contextlib.suppress(TimeoutError):
                while True:
                    client.read()

    order = ouch50.EnterOrder(1, "B", 100, "AAPL", 1_700_000, "3", "Y", "P", "N", "N", "")
    ask_until(b"S")
    started.feed.receive()  # the market is open
    ask_until(b"E", ufo.Unsequenced(order.encode()))
    ask_until(b"B")
    time.sleep(2.5)
    late = ouch50.EnterOrder(2, "B", 100, "AAPL", 1_700_000, "3", "Y", "P", "N", "N", "")
    ask_until(b"J", ufo.Unsequenced(late.encode()))
    started.process.send_signal(signal.SIGTERM)
    code, out, _ = started.end()
    assert code == 0
    summary = json.loads(out)
    row = summary["accounts"]["HFT001"]["AAPL"]
    assert (row["position"], row["broken_qty"], row["fees_e8"], row["rejects"]) == (0, 100, 0, {"0x07": 1})
    assert summary["order_links"]["ouch50"]["replies"]["lost"] > 0
    assert summary["order_entry"]["ouch50"]["logins"] > 1
    assert summary["order_events"]["trading_state_H"] == 1


def test_a_session_of_given_length_keeps_its_pace() -> None:
    feed = Udp()
    began = time.monotonic()
    started = Process(
        feed,
        "--no-wait-for-login",
        "--rate",
        "1000",
        "--duration",
        "1.5",
        "--linger",
        "0.1",
        "--json",
        "--symbols",
        "AAPL",
    )
    messages, sequence = started.messages()
    assert 1.4 < time.monotonic() - began < DEADLINE_S
    code, out, _ = started.end()
    assert code == 0
    assert json.loads(out)["feed"]["last_sequence"] == len(messages) == sequence - 1
    assert 1500 <= len(messages) - 3 - 65 <= 1510  # frame of the day, standing orders


def test_an_idle_feed_beats_each_second() -> None:
    feed = Udp()
    started = Process(feed, "--no-wait-for-login", "--rate", "0", "--duration", "2.5", "--linger", "0", "--json")
    kinds: list[str] = []
    while "EndOfSession" not in kinds:
        kinds.append(type(moldudp64.decode(feed.receive())).__name__)
    assert kinds.count("Heartbeat") == 2
    assert started.end()[0] == 0


def test_no_client_is_a_failure_that_says_so() -> None:
    started = Process(Udp(), "--login-timeout", "0.2")
    code, out, err = started.end()
    assert (code, out) == (1, "")
    assert "no client logged in within 0.2 s" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--speed", "fast"], "give a factor, or max"),
        (["--rate", "-1"], "rate -1"),
        (["--account", "nobody"], "no USER:PASS"),
        (["--account", "TOOLONGNAME:X"], "1 to 6 ASCII"),
        (["--replay", "absent.itch50"], "is no file"),
        (["--feed", "nowhere"], "no ADDR:PORT"),
        (["--symbols", "AAPL,AAPL"], "named twice"),
        (["--messages-per-packet", "0"], "1 or more"),
        (["--loss-a", "5%"], "give a share from 0 to 1"),
        (["--reorder-b", "1.5", "--feed-b", "127.0.0.1:1"], "give a share from 0 to 1"),
        (["--delay-a", "100"], "shortest and the longest in µs"),
        (["--delay-a", "100:20"], "shortest and the longest in µs"),
        (["--loss-both", "0.1"], "say where it goes (--feed-b"),
        (["--rerequest-port", "on"], "is no port"),
        (["--glimpse-port", "65536"], "is no port"),
        (["--rollover-after", "0"], "rollover after 0 messages"),
        (["--record", "same", "--capture", "same"], "name the same file"),
        (["--reject-orders", "2"], "give a share from 0 to 1"),
        (["--later", "3:2"], "shortest and the longest in ms"),
        (["--fee", "R"], "give FLAG=DOLLARS"),
        (["--silence", "1+0"], "silence of 0.0 s"),
        (["--halt", "AAPL@x+1"], "give seconds of the day"),
        (["--halt", "NONE@1+1"], "which is not traded here"),
        (["--market", "20", "--halt", "AAPL@1+1"], "it brings its own"),
    ],
)
def test_a_wrong_command_line_is_code_2(arguments: list[str], words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "turbo_hft.exchange", "--bind", HOST, *arguments],
        capture_output=True, text=True, timeout=DEADLINE_S, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr


def test_an_address_of_somebody_else_is_a_failure() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "turbo_hft.exchange", "--bind", "192.0.2.1"],
        capture_output=True, text=True, timeout=DEADLINE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "192.0.2.1" in done.stderr and "--bind" in done.stderr


def test_an_absent_namespace_is_named_and_not_made() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "turbo_hft.exchange", "--netns", "no_such_exchange_ns"],
        capture_output=True, text=True, timeout=DEADLINE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "no_such_exchange_ns" in done.stderr
    assert not Path("/run/netns/no_such_exchange_ns").exists()
