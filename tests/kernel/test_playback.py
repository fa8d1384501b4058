"""A recording played again: through the program and out of an interface, at its pace, faster, flat out."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from recordings import START_NS, frame, market_day, packets, write_capture, write_file
from turbo_hft import netns
from turbo_hft.addresses import FeedAddress, lab_session
from turbo_hft.cli import main
from turbo_hft.engine import Engine
from turbo_hft.errors import ConfigError, TurboHftError
from turbo_hft.lab import Lab
from turbo_hft.recorded import loaded
from turbo_hft.recorded.files import MessageFile
from turbo_hft.recorded.playback import Playback, _ahead
from turbo_hft.recorded.wire import Wire
from turbo_hft.wire import itch50, pcapng

pytestmark = pytest.mark.kernel

MILLISECOND = 1_000_000


def report(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> dict[str, Any]:
    """What `turbo-hft replay` reports."""
    assert main(["replay", *words, "--json"]) == code
    shown: dict[str, Any] = json.loads(capsys.readouterr().out)
    return shown


def paced(count: int, step_ns: int) -> list[bytes]:
    """Messages at equal distances."""
    return [itch50.SystemEvent(0, 0, 34_200 * 10**9 + i * step_ns, "Q").encode() for i in range(count)]


def test_a_file_through_the_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    day = market_day(5000)
    path = str(write_file(tmp_path / "day", day))
    shown = report(capsys, path, "--speed", "max", "--symbol", "AAPL")
    counters = shown["counters"]
    locate = next(m[1:3] for m in day if m[:1] == b"R" and m[11:19] == b"AAPL    ")
    others = [m for m in day if m[:1] in (b"A", b"F", b"E", b"C", b"X", b"D", b"U") and m[1:3] != locate]
    assert (shown["messages"], shown["handled"], shown["untracked"]) == (len(day), len(day), len(others))
    assert (shown["feed"], shown["quarantined"], shown["gaps"], shown["complete"]) == ("ended", 0, 0, True)
    assert shown["expected_seq"] == len(day) + 1 and counters["feed_end_of_session"] == 3
    assert shown["packets"] == counters["feed_packets"] < len(day) / 20
    assert shown["symbols"]["AAPL"]["bid_e4"] > 0
    shown = report(capsys, path, "--speed", "max", "--all-symbols", "--messages-per-packet", "2")
    assert shown["untracked"] == 0 and len(shown["symbols"]) == 6 and shown["worst_lag_us"] is None
    assert shown["packets"] == (len(day) + 1) // 2 + 3


@pytest.mark.parametrize(("speed", "seconds"), [("recorded", 0.4), ("4", 0.1)])
def test_the_pace_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str], speed: str, seconds: float) -> None:
    path = str(write_file(tmp_path / "day", paced(21, 20 * MILLISECOND)))
    shown = report(capsys, path, "--speed", speed)
    assert seconds <= shown["duration_s"] < seconds + 0.2
    assert shown["recorded_s"] == pytest.approx(0.4)
    assert 0 <= shown["worst_lag_us"] < 100_000
    assert shown["packets"] == 21 + 3, "what is not due at once does not share a packet"


def test_the_pace_of_a_capture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "capture"
    with path.open("wb") as file:
        writer = pcapng.Writer(file)
        for index, payload in enumerate(packets(market_day(100), 20)):
            writer.write(START_NS + index * 50 * MILLISECOND, frame(payload))
    shown = report(capsys, str(path), "--speed", "2")
    count = shown["packets"]
    assert count == len(packets(market_day(100), 20))
    assert 0.025 * (count - 1) <= shown["duration_s"] < 0.025 * (count - 1) + 0.2
    assert shown["messages"] == len(market_day(100))


def test_both_lines_of_a_capture_meet_in_the_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    day = market_day(3000)

    def arrives(line: int, index: int) -> bool:
        return index % 7 != 3 if line == 0 else index % 7 != 5

    path = str(write_capture(tmp_path / "capture", packets(day, 3), arrives))
    shown = report(capsys, path, "--speed", "max", "--symbol", "AAPL")
    assert (shown["handled"], shown["gaps"], shown["feed"]) == (len(day), 0, "live")
    assert shown["counters"]["feed_duplicates"] > len(day) / 2
    shown = report(capsys, path, "--speed", "max", "--from-line", "B")
    assert shown["feed"] in ("hold", "gap") and shown["handled"] < len(day)


def test_a_capture_that_begins_in_mid_day_can_be_renumbered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    payloads = packets(market_day(500), 5, first=70_001)
    path = str(write_capture(tmp_path / "capture", payloads, lambda line, index: line == 0))
    assert report(capsys, path, "--speed", "max")["handled"] == 0
    shown = report(capsys, path, "--speed", "max", "--renumber")
    assert (shown["handled"], shown["feed"]) == (len(market_day(500)), "live")


def test_a_torn_file_is_played_up_to_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_file(tmp_path / "day", market_day(100))
    path.write_bytes(path.read_bytes()[:-1])
    shown = report(capsys, str(path), "--speed", "max", code=1)
    assert shown["messages"] == len(market_day(100)) - 1 and not shown["complete"]
    assert shown["feed"] == "live", "the session did not end"


def test_the_report_for_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(write_file(tmp_path / "day", market_day(500)))
    assert main(["replay", path, "--speed", "max", "--symbol", "AAPL"]) == 0
    out, err = capsys.readouterr()
    assert "messages in" in out and "handled" in out and "  AAPL: " in out and err == ""


@pytest.mark.parametrize(
    "words",
    [
        ["--speed", "0"],
        ["--speed", "fast"],
        ["--feed", "239.1.1.1:5"],
        ["--interface", "lo", "--symbol", "AAPL"],
        ["--interface", "lo", "--program"],
        ["--interface", "nowhere0"],
        ["--renumber"],
        ["--group", "239.1.1.1"],
        ["--session", "much too long"],
        ["--symbol", "much too long"],
    ],
)
def test_wrong_command_lines(tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(write_file(tmp_path / "day", market_day(10))), *words]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err and "Traceback" not in err


def test_silence_is_filled_with_heartbeats(tmp_path: Path) -> None:
    with (
        loaded.load(symbols=1) as engine,
        MessageFile(write_file(tmp_path / "day", paced(2, 1_300 * MILLISECOND))) as file,
    ):
        Playback(loaded.into(engine), pace=1.0, tick=lambda: None).play_file(file)
        counters = engine.counters()
    assert (counters["feed_heartbeats"], counters["feed_messages"]) == (1, 2)


def test_a_tick_that_raises_ends_the_playback(tmp_path: Path) -> None:
    def tick() -> None:
        raise KeyboardInterrupt

    with loaded.load(symbols=1) as engine, MessageFile(write_file(tmp_path / "day", paced(2, 10**12))) as file:
        playback = Playback(loaded.into(engine), pace=1.0, tick=tick)
        with pytest.raises(KeyboardInterrupt):
            playback.play_file(file)
        assert playback.totals().messages == 1


def test_reading_ahead_hands_errors_on() -> None:
    def source() -> Any:
        yield from range(100)
        raise TurboHftError("torn")

    seen = []
    with pytest.raises(TurboHftError, match="torn"):
        for item in _ahead(source()):
            seen.append(item)
    assert seen == list(range(100))
    endless = _ahead(iter(int, 1))
    assert next(endless) == 0
    endless.close()


# Out of an interface


def until(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + 5
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


@pytest.mark.parametrize("verify", [True, False])
def test_out_of_the_exchanges_end_of_a_lab(tmp_path: Path, capsys: pytest.CaptureFixture[str], verify: bool) -> None:
    """Every message arrives, with right checksums, at an engine on the other end of the wire."""
    day = market_day(5000)
    path = str(write_file(tmp_path / "day", day))
    with Lab("hft_replay", "hftrpa", "hftrpb", "10.78.77.0/24") as raised:
        at = raised.addresses
        feed = FeedAddress(at.feed_group, at.feed_port, at.exchange_address, group_b="239.78.77.9")
        with Engine.open(at.device, verify_checksums=verify) as engine:
            view = engine.symbols.add("AAPL")
            engine.configure(lab_session(), feed)
            engine.attach()
            where = ["--netns", at.namespace, "--interface", at.peer, "--source", at.exchange_address]
            where += ["--feed", f"{at.feed_group}:{at.feed_port}", "--session", "OTHER"]
            shown = report(capsys, path, "--speed", "max", *where)
            assert until(lambda: engine.feed.health == "ended")
            counters = engine.counters()
            assert counters["feed_messages"] == len(day) == shown["messages"]
            assert counters["bad_checksum"] == counters["wrong_peer"] == counters["feed_gaps"] == 0
            assert (engine.feed.session.rstrip(), shown["to"]) == ("OTHER", at.peer)
            assert counters["feed_packets"] == shown["packets"] and view.depth(1).bids


def test_both_lines_out_of_an_interface(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    day = market_day(1000)
    path = write_capture(tmp_path / "c", packets(day, 3), lambda line, index: (index % 5 == 2) == (line == 1))
    with Lab("hft_replay", "hftrpa", "hftrpb", "10.78.77.0/24") as raised:
        at = raised.addresses
        with Engine.open(at.device, hold_ns=10**10) as engine:
            engine.configure(lab_session(), FeedAddress(at.feed_group, at.feed_port, group_b="239.78.77.9"))
            engine.attach()
            where = ["--netns", at.namespace, "--interface", at.peer, "--feed", f"{at.feed_group}:{at.feed_port}"]
            assert main(["replay", str(path), "--speed", "max", *where]) == 0
            assert "line B of the capture was not sent" in capsys.readouterr().err
            assert until(lambda: engine.feed.health == "hold")
            report(capsys, str(path), "--speed", "max", *where, "--feed-b", f"239.78.77.9:{at.feed_port}")
            assert until(lambda: engine.feed.expected_seq == len(day) + 1)
            assert engine.feed.health == "live"


def test_only_virtual_wires_are_sent_on() -> None:
    """A bridge may have a card in it: it is refused like one."""
    from pyroute2 import IPRoute

    with Lab("hft_replay", "hftrpa", "hftrpb", "10.78.77.0/24") as raised:
        at = raised.addresses

        def make_others() -> None:
            with IPRoute() as route:
                route.link("add", ifname="hftbridge", kind="bridge")
                route.link("add", ifname="hftdown0", kind="veth", peer="hftdown1")

        netns.run_in(at.namespace, make_others)
        with pytest.raises(ConfigError, match=r"hftbridge is a bridge, and others may be behind it.*--force"):
            Wire("hftbridge", namespace=at.namespace)
        with pytest.raises(ConfigError, match="no interface hftrpa here"):
            Wire("hftrpa", namespace=at.namespace)
        wire = Wire("hftrpb", namespace=at.namespace)
        assert wire.payload_max == 1472
        wire.close()
        with pytest.raises(ConfigError, match="is down"):
            Wire("hftdown0", namespace=at.namespace)
