"""The book after every message: equal to meatpy's and to the model's, ten levels deep, whatever the recording."""

from __future__ import annotations

import contextlib
import csv
import datetime
import io
import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from recordings import REAL_DAY, market_day, packets, write_capture, write_file
from turbo_hft.cli import main
from turbo_hft.errors import ConfigError, TurboHftError
from turbo_hft.model.engine import ModelEngine
from turbo_hft.model.names import Role, Side
from turbo_hft.model.state import ModelConfig
from turbo_hft.recorded.book_walk import BookWalk, Row
from turbo_hft.recorded.datagrams import CaptureFeed
from turbo_hft.recorded.files import MessageFile
from turbo_hft.wire import binaryfile, itch50, moldudp64
from turbo_hft.wire.frame import udp_frame

pytestmark = pytest.mark.kernel

LEVELS = 10
Sides = tuple[list[tuple[int, int, int]], list[tuple[int, int, int]]]
"""(price in 1/10000 dollar, shares, orders) of bids and offers."""

needs_real_day = pytest.mark.skipif(
    not REAL_DAY.is_file(), reason="market data is no part of the project; the file is not here"
)


class Watched:
    """A walk, and what it said of its recording."""

    def __init__(self, source: MessageFile | CaptureFeed, symbol: str = "AAPL", orders: int = 20_000) -> None:
        self.notes: list[str] = []
        self.walk = BookWalk(source, symbol, LEVELS, note=self.notes.append, tick=lambda: None, orders=orders)

    def rows(self) -> list[Row]:
        with closing(self.walk):
            rows = list(self.walk)
            assert len(rows) == self.walk.rows
            return rows


def walk_file(path: Path, symbol: str = "AAPL") -> tuple[list[Row], list[str]]:
    with MessageFile(path) as file:
        watched = Watched(file, symbol)
        return watched.rows(), watched.notes


def levels_of(row: Row) -> Sides:
    bids, asks = (
        [(level.price_e4, level.qty, level.orders) for level in side] for side in (row.depth.bids, row.depth.asks)
    )
    return bids, asks


def by_model(messages: list[bytes], symbol: str = "AAPL") -> Iterator[tuple[bytes, Sides]]:
    """Each message of the symbol, and the model's book after it."""
    model = ModelEngine(ModelConfig(crossed_ns=0))
    model.add_symbol(0, symbol)
    model.add_flow("239.77.0.1", 1, Role.FEED)
    locate = next(m[1:3] for m in messages if m[:1] == b"R" and m[11:19] == symbol.encode().ljust(8))
    for number, message in enumerate(messages, 1):
        packet = moldudp64.Packet("S", number, (message,)).encode()
        mac = "02:00:00:00:00:01"
        frame = udp_frame(src_mac=mac, dst_mac=mac, src=("10.0.0.1", 1), dst=("239.77.0.1", 1), payload=packet)
        model.packet(frame, number)
        if message[1:3] == locate:
            yield message, (model.depth(0, Side.BUY, LEVELS), model.depth(0, Side.SELL, LEVELS))


def by_meatpy(path: Path, symbol: str) -> Iterator[Sides]:
    """meatpy's book after each message of the symbol."""
    itch = pytest.importorskip("meatpy.itch50", reason="meatpy is not installed: pip install meatpy")
    lob = pytest.importorskip("meatpy.lob")
    processor = itch.ITCH50MarketProcessor(symbol, datetime.datetime(2019, 1, 30))
    locate = None
    with itch.ITCH50MessageReader(path) as reader:
        for message in reader:
            if isinstance(getattr(message, "stock", None), bytes) and message.stock.decode().rstrip() == symbol:
                locate = message.stock_locate
            # Executions out of queue order are real (0.1 to 0.2 % of a day's); meatpy applies them and then complains.
            with contextlib.suppress(lob.ExecutionPriorityExceptionList):
                processor.process_message(message)
            if locate is not None and message.stock_locate == locate:
                book = processor.current_lob
                sides = ([], []) if book is None else (book.bid_levels, book.ask_levels)
                bids, asks = (
                    [(level.price, level.total_volume, len(level.queue)) for level in side[:LEVELS]] for side in sides
                )
                yield bids, asks


def assert_is_the_models(rows: list[Row], messages: list[bytes], symbol: str = "AAPL") -> None:
    expected = list(by_model(messages, symbol))
    assert len(rows) == len(expected)
    for row, (message, sides) in zip(rows, expected, strict=True):
        assert levels_of(row) == sides, row
        assert messages[row.sequence - 1] is message
        decoded = itch50.decode(message)
        assert (row.type, row.exchange_ns) == (decoded.TYPE, decoded.timestamp)
        assert row.reference == getattr(decoded, "order_ref", getattr(decoded, "orig_order_ref", None))
        assert row.new_reference == getattr(decoded, "new_order_ref", None)


@needs_real_day
def test_a_real_opening_by_meatpy() -> None:
    rows, notes = walk_file(REAL_DAY)
    assert len(rows) == 10_048 and notes == []
    for row, sides in zip(rows, by_meatpy(REAL_DAY, "AAPL"), strict=True):
        assert levels_of(row) == sides, row


@needs_real_day
def test_a_real_opening_by_the_model() -> None:
    rows, _ = walk_file(REAL_DAY)
    assert_is_the_models(rows, list(binaryfile.read(REAL_DAY)))


def test_one_symbol_of_a_market(tmp_path: Path) -> None:
    day = market_day(6000)
    path = write_file(tmp_path / "day", day)
    rows, notes = walk_file(path)
    assert_is_the_models(rows, day)
    assert notes == [] and len(rows) > 1000
    names = [m.stock for m in map(itch50.decode, day) if isinstance(m, itch50.StockDirectory)]
    quiet = next(name for name in reversed(names) if name != "AAPL")
    rows, _ = walk_file(path, quiet)
    assert_is_the_models(rows, day, quiet)


def test_a_market_by_meatpy(tmp_path: Path) -> None:
    day = [message for message in market_day(3000) if message[:1] != b"O"]  # whose layout meatpy has of its own
    path = write_file(tmp_path / "day", day)
    rows, _ = walk_file(path)
    assert [levels_of(row) for row in rows] == list(by_meatpy(path, "AAPL"))


@pytest.mark.parametrize(("size", "vlans"), [(1, ()), (3, (7,)), (11, (7, 8))])
def test_two_lines_make_one_book(tmp_path: Path, size: int, vlans: tuple[int, ...]) -> None:
    """What one line loses the other one brings, and every message is seen by itself."""
    day = market_day(3000)

    def arrives(line: int, index: int) -> bool:
        return index % 7 != 3 if line == 0 else index % 7 != 5

    watched = Watched(CaptureFeed(write_capture(tmp_path / "capture", packets(day, size), arrives, vlans)))
    assert_is_the_models(watched.rows(), day)
    assert watched.notes == []


def test_packets_that_overtake_each_other(tmp_path: Path) -> None:
    day = market_day(3000)
    payloads = packets(day, 4)
    for at in range(0, len(payloads) - 3, 9):
        payloads[at], payloads[at + 3] = payloads[at + 3], payloads[at]
    watched = Watched(CaptureFeed(write_capture(tmp_path / "capture", payloads, lambda line, index: line == 0)))
    assert_is_the_models(watched.rows(), day)


def test_the_program_drops_what_comes_again(tmp_path: Path) -> None:
    day = market_day(500)
    watched = Watched(CaptureFeed(write_capture(tmp_path / "capture", packets(day, 5), lambda line, index: True)))
    with closing(watched.walk):
        rows = list(watched.walk)
        counters, feed = watched.walk._engine.counters(), watched.walk._engine.feed
    assert_is_the_models(rows, day)
    assert counters["feed_duplicates"] == counters["feed_messages"] == len(day)
    assert feed.first[:2] == (len(day), 0) and feed.late[:2] == (0, len(day))


def test_a_capture_with_a_hole_goes_on(tmp_path: Path) -> None:
    day = market_day(3000)
    payloads = packets(day, 5, first=1)
    lost = len(payloads) // 2
    watched = Watched(CaptureFeed(write_capture(tmp_path / "c", payloads, lambda line, index: index != lost)))
    rows = watched.rows()
    first = lost * 5 + 1
    assert watched.notes[0].startswith(f"messages {first:,} to {first + 4:,} are not in the capture")
    before = [row for row in rows if row.sequence < first]
    assert_is_the_models(before, day[: first - 1])
    assert rows[-1].sequence == max(
        number for number, m in enumerate(day, 1) if m[1:3] == day[rows[0].sequence - 1][1:3]
    )
    assert watched.walk.missing == 5


def mid_day(day: list[bytes]) -> tuple[list[bytes], list[bytes]]:
    """(second half of a day, the same as a day of its own: listed, without messages about the first half's orders)."""
    half = day[len(day) // 2 :]
    directory = next(m for m in day if m[:1] == b"R" and m[11:19] == b"AAPL    ")
    live: set[bytes] = set()
    whole = [directory]
    for message in half:
        kind, ref = message[:1], message[11:19]
        if kind in (b"A", b"F"):
            live.add(ref)
        elif kind in b"ECXDU" and ref not in live:
            continue
        elif kind == b"U":
            live.add(message[19:27])
        whole.append(message)
    return half, whole


def test_a_file_that_begins_in_mid_day(tmp_path: Path) -> None:
    half, whole = mid_day(market_day(6000))
    with MessageFile(write_file(tmp_path / "half", half)) as file:
        watched = Watched(file)
        rows, notes = watched.rows(), watched.notes
        assert watched.walk.foreign > 0
    expected = [sides for message, sides in by_model(whole) if message[:1] != b"R"]
    assert [levels_of(row) for row in rows] == expected
    assert [half[row.sequence - 1][:1].decode() for row in rows] == [row.type for row in rows]
    assert "no directory message (R) of AAPL" in notes[0] and "never added" in notes[1] and len(notes) == 2


def test_a_capture_that_begins_in_mid_day(tmp_path: Path) -> None:
    half, whole = mid_day(market_day(4000))
    payloads = packets(half, 6, first=10_001)
    watched = Watched(CaptureFeed(write_capture(tmp_path / "capture", payloads, lambda line, index: line == 0)))
    rows = watched.rows()
    assert [levels_of(row) for row in rows] == [sides for message, sides in by_model(whole) if message[:1] != b"R"]
    assert all(half[row.sequence - 10_001][:1].decode() == row.type for row in rows)
    assert any(note.startswith("the capture begins at message 10,001") for note in watched.notes)


def test_a_symbol_that_is_not_there(tmp_path: Path) -> None:
    path = write_file(tmp_path / "day", market_day(100))
    with pytest.raises(ConfigError, match=r"NOBODY is not in .*day"):
        walk_file(path, "NOBODY")


def test_a_book_in_doubt_ends_the_rows(tmp_path: Path) -> None:
    day = market_day(1000)
    added = next(m for m in day if m[:1] == b"A" and m[24:32] == b"AAPL    ")
    path = write_file(tmp_path / "day", [*day, added[:11] + (1 << 43).to_bytes(8, "big") + b"x" + added[20:]])
    with MessageFile(path) as file:
        watched, rows = Watched(file), []
        with closing(watched.walk), pytest.raises(TurboHftError, match=r"in doubt after message .* quarantined: field"):
            for row in watched.walk:
                rows.append(row)
    assert_is_the_models(rows, day)


def test_more_orders_than_there_is_room_for(tmp_path: Path) -> None:
    head = next(m for m in market_day(1) if m[:1] == b"R" and m[11:19] == b"AAPL    ")
    locate = int.from_bytes(head[1:3], "big")
    orders = [itch50.AddOrder(locate, 0, 1, ref, "B", 1, "AAPL", 100).encode() for ref in range(1, 2000)]
    with MessageFile(write_file(tmp_path / "day", [head, *orders])) as file:
        watched = Watched(file, orders=1)
        with pytest.raises(TurboHftError, match=r"full.* Give --max-orders"):
            watched.rows()


# The command


def test_the_command_as_json_csv_and_ladder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    day = market_day(2000)
    path = str(write_file(tmp_path / "day", day))
    rows, _ = walk_file(Path(path))
    assert main(["book", path, "--symbol", "AAPL", "--json", "--depth", str(LEVELS)]) == 0
    out, err = capsys.readouterr()
    shown = [json.loads(line) for line in out.splitlines()]
    assert [row["sequence"] for row in shown] == [row.sequence for row in rows]
    assert shown[-1]["bids"][0]["shares"] == rows[-1].depth.bids[0].qty
    assert err.endswith(f" s, {len(rows):,} of AAPL\n")
    assert main(["book", path, "--symbol", "AAPL", "--csv", "--every", "change", "--depth", "1", "--limit", "20"]) == 0
    lines = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    tops = [tuple(value for key, value in line.items() if key.startswith(("bid", "ask"))) for line in lines]
    assert len(lines) == 20 and all(before != after for before, after in itertools.pairwise(tops))
    assert main(["book", path, "--symbol", "AAPL", "--limit", "3"]) == 0
    assert capsys.readouterr().out.splitlines()[0].split()[:3] == ["time", "type", "reference"]


def test_the_command_shows_a_torn_file_up_to_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    day = market_day(2000)
    path = write_file(tmp_path / "day", day)
    whole = path.read_bytes()
    offset = len(whole) - 2 - len(day[-1])
    path.write_bytes(whole[:-1])
    assert main(["book", str(path), "--symbol", "AAPL", "--json"]) == 1
    out, err = capsys.readouterr()
    assert f"ends inside the message at offset {offset}," in err and len(err.splitlines()) == 1
    rows, _ = walk_file(write_file(tmp_path / "rest", day[:-1]))
    assert [json.loads(line)["sequence"] for line in out.splitlines()] == [row.sequence for row in rows]


@pytest.mark.parametrize(
    "words",
    [
        ["--symbol", "NOBODY"],
        ["--symbol", "AAPL", "--depth", "0"],
        ["--symbol", "AAPL", "--json", "--csv"],
        ["--symbol", "much too long"],
        [],
    ],
)
def test_wrong_command_lines(tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["book", str(write_file(tmp_path / "day", market_day(100))), *words]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err and "Traceback" not in err


def test_a_reader_that_leaves_ends_the_command(tmp_path: Path) -> None:
    path = write_file(tmp_path / "day", market_day(20_000))
    command = [sys.executable, "-m", "turbo_hft.cli", "book", str(path), "--symbol", "AAPL", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline().startswith(b"{")
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()
    assert process.returncode == 1
