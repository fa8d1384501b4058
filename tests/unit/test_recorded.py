"""Recordings: which kind a file is, the feed in a capture, packets made to follow each other, rows as text."""

from __future__ import annotations

import csv
import io
import itertools
import json
import random
import struct
from pathlib import Path

import pytest
from recordings import GROUPS, START_NS, frame, market_day, packets, write_capture, write_file
from turbo_hft.depth import Depth, Level
from turbo_hft.errors import ConfigError, TurboHftError
from turbo_hft.recorded import datagrams, row_text
from turbo_hft.recorded.book_walk import Row
from turbo_hft.recorded.datagrams import CaptureFeed, Datagram
from turbo_hft.recorded.files import Kind, MessageFile, kind_of
from turbo_hft.recorded.in_order import InOrder
from turbo_hft.recorded.known_orders import KnownOrders
from turbo_hft.wire import binaryfile, itch50, moldudp64, pcapng

SECOND = 1_000_000_000


def every(line: int, index: int) -> bool:
    return True


def test_kinds_of_files(tmp_path: Path) -> None:
    day = market_day(50)
    assert kind_of(write_file(tmp_path / "a", day)) is Kind.BINARYFILE
    assert kind_of(write_capture(tmp_path / "b", packets(day, 5), every)) is Kind.CAPTURE
    (tmp_path / "c").write_bytes(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1))
    assert kind_of(tmp_path / "c") is Kind.CAPTURE
    for content, complaint in ((b"", "neither"), (b"\0\x0cX" + bytes(20), "neither"), (b"\x1f\x8b\x08", "compressed")):
        (tmp_path / "d").write_bytes(content)
        with pytest.raises(ConfigError, match=complaint):
            kind_of(tmp_path / "d")
    with pytest.raises(ConfigError, match="No such file"):
        kind_of(tmp_path / "e")


def test_a_file_is_searched_and_listed(tmp_path: Path) -> None:
    day = market_day(2000)
    with MessageFile(write_file(tmp_path / "day", day)) as file:
        directory = next(message for message in day if message[:1] == b"R" and message[11:19] == b"AAPL    ")
        assert file.find(b"AAPL    ", lambda: None) == directory
        assert file.find(b"NOBODY  ", lambda: None) is None
        names = [itch50.decode(message) for message in day if message[:1] == b"R"]
        assert file.listed() == [message.stock for message in names if isinstance(message, itch50.StockDirectory)]
        assert file.first_time_ns() == int.from_bytes(day[0][5:11], "big")
    orders = [message for message in day if message[:1] != b"R"]
    with MessageFile(write_file(tmp_path / "rest", orders)) as file:
        found = file.find(b"AAPL    ", lambda: None)
        assert found is not None and found[:1] in (b"A", b"F")
        assert file.listed() == []


@pytest.mark.parametrize("vlans", [(), (5,), (5, 6)])
def test_both_lines_of_a_capture_are_found(tmp_path: Path, vlans: tuple[int, ...]) -> None:
    payloads = packets(market_day(100), 7)
    path = tmp_path / "capture"
    with path.open("wb") as file:
        writer = pcapng.Writer(file)
        other = moldudp64.Packet("ANOTHER", 1, (market_day(1)[0],)).encode()
        writer.write(0, frame(b"no feed at all", ("239.9.9.9", 1)))
        writer.write(0, bytes(60))
        writer.write(1, frame(moldudp64.Heartbeat("HFT0000001", 1).encode(), GROUPS[0], vlans))  # too little to tell
        writer.write(2, frame(payloads[0], GROUPS[0], vlans))
        writer.write(3, frame(other, GROUPS[1]))
        writer.write(4, frame(payloads[0], GROUPS[1], vlans))
        writer.write(5, frame(payloads[0][:-1], GROUPS[1], vlans))
        writer.write(6, frame(other, GROUPS[0], vlans))
        writer.write(7, frame(moldudp64.EndOfSession("HFT0000001", 8).encode(), GROUPS[0], vlans))
    feed = CaptureFeed(path)
    taken = list(feed.read())
    assert [(each.time_ns, each.line, each.sequence, each.blocks) for each in taken] == [
        (2, 0, 1, 7),
        (4, 1, 1, 7),
        (7, 0, 8, 0xFFFF),
    ]
    assert feed.lines == {"A": "239.1.0.1:26001", "B": "239.1.0.2:26002"}
    assert feed.left_out == {"malformed": 1, "of another session": 1}
    assert [each.time_ns for each in feed.read()] == [2, 4, 7], "it can be read again"
    only = list(CaptureFeed(path, group="239.1.0.2").read())
    assert [(each.time_ns, each.line) for each in only] == [(3, 0)], "the flow named is line A, its session the feed's"
    assert [each.line for each in CaptureFeed(path, port=26001).read()] == [0, 0]


def test_a_capture_without_a_feed_says_what_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "capture"
    with path.open("wb") as file:
        writer = pcapng.Writer(file)
        for _ in range(3):
            writer.write(0, frame(b"nothing", ("239.9.9.9", 1)))
    with pytest.raises(ConfigError, match=r"no MoldUDP64 with ITCH 5\.0: datagrams went to 239\.9\.9\.9:1 \(3\)"):
        list(CaptureFeed(path).read())
    with pytest.raises(ConfigError, match=r"to 239\.1\.1\.1 to port 5"):
        list(CaptureFeed(path, group="239.1.1.1", port=5).read())
    with pytest.raises(ConfigError, match="give an IPv4 address"):
        CaptureFeed(path, group="nonsense")


def test_a_torn_capture_fails_where_it_is_torn(tmp_path: Path) -> None:
    path = write_capture(tmp_path / "capture", packets(market_day(100), 7), every)
    path.write_bytes(path.read_bytes()[:-10])
    taken = []
    with pytest.raises(TurboHftError, match=r"capture: the file ends inside .* at offset \d+"):
        for datagram in CaptureFeed(path).read():
            taken.append(datagram)
    assert len(taken) > 10


def test_a_stock_is_found_behind_empty_blocks() -> None:
    order = next(message for message in market_day(50) if message[:1] == b"A")
    payload = moldudp64.Packet("S", 1, (b"", order, b"")).encode()
    datagram = Datagram(0, 0, 1, 3, payload)
    assert datagrams.find(datagram, order[24:32]) == order
    assert datagrams.find(datagram, b"NOBODY  ") is None
    assert datagrams.find(Datagram(0, 0, 1, 0, payload), order[24:32]) is None


def put_in_order(first: int, arrivals: list[tuple[int, int, int]]) -> tuple[list[tuple[int, int]], int]:
    """(sequence, missing before it) of every message that is new, and how many came again.

    Arrivals are (time, sequence, count)."""
    order = InOrder(first)
    new: list[tuple[int, int]] = []
    again = 0
    pieces = [
        piece for time, sequence, count in arrivals for piece in order.take(Datagram(time, 0, sequence, count, b""))
    ] + list(order.finish())
    for datagram, known, missing in pieces:
        again += known
        fresh = range(datagram.sequence + known, datagram.sequence + datagram.messages)
        new += [(sequence, missing if sequence == datagram.sequence else 0) for sequence in fresh]
    return new, again


def test_what_is_early_waits_for_the_other_line() -> None:
    assert put_in_order(1, [(0, 1, 2), (1, 5, 2), (2, 5, 2), (3, 3, 2), (4, 3, 4), (5, 7, 0xFFFF)]) == (
        [(sequence, 0) for sequence in range(1, 7)],
        6,
    )


def test_a_hole_is_given_up_after_a_second() -> None:
    assert put_in_order(10, [(0, 10, 1), (1, 13, 1), (SECOND, 15, 1)]) == ([(10, 0), (13, 2), (15, 1)], 0)
    order = InOrder(1)
    assert [piece.missing for piece in order.take(Datagram(0, 0, 3, 1, b""))] == []
    assert [piece.missing for piece in order.take(Datagram(SECOND, 0, 4, 1, b""))] == []
    assert [piece.missing for piece in order.take(Datagram(SECOND + 1, 0, 5, 1, b""))] == [2, 0, 0]


def test_any_arrival_order_gives_the_same_messages() -> None:
    rng = random.Random(5)
    for _ in range(200):
        starts = [1]
        while starts[-1] < 60:
            starts.append(starts[-1] + rng.randint(1, 4))
        sent = [(at, following - at) for at, following in itertools.pairwise(starts)]
        arrivals = [(0, *packet) for packet in sent] + [(0, *rng.choice(sent)) for _ in range(10)]
        rng.shuffle(arrivals)
        new, again = put_in_order(1, arrivals)
        assert new == [(sequence, 0) for sequence in range(1, starts[-1])]
        assert again == sum(count for _, _, count in arrivals) - len(new)


def ref(number: int) -> bytes:
    return number.to_bytes(8, "big")


def test_orders_that_were_never_added_are_told_apart() -> None:
    known = KnownOrders()
    head = bytes(10)
    add = b"A" + head + ref(1) + b"B" + (100).to_bytes(4, "big") + b"AAPL    " + bytes(4)
    assert not known.follow(b"D" + head + ref(1))
    assert known.follow(add)
    assert known.follow(b"E" + head + ref(1) + (40).to_bytes(4, "big") + bytes(8))
    assert known.follow(b"U" + head + ref(1) + ref(2) + (50).to_bytes(4, "big") + bytes(4))
    assert not known.follow(b"X" + head + ref(1) + (1).to_bytes(4, "big"))
    assert known.follow(b"X" + head + ref(2) + (50).to_bytes(4, "big"))
    assert not known.follow(b"D" + head + ref(2)), "it was cancelled whole"
    assert known.follow(b"H" + head), "others are about no order"


LADDER = Depth(
    (Level(1_632_000, 300, 2), Level(1_631_950, 12_345, 7)),
    (Level(1_632_100, 100, 1),),
)
OPEN = 34_200 * SECOND


def test_a_row_as_a_ladder() -> None:
    form = row_text.Ladder()
    lines = form.row(Row(3, OPEN + 123_456, "A", 55, None, LADDER)).splitlines()
    header = form.header()
    assert lines[0].split() == ["09:30:00.000123456", "A", "55", "2", "300", "163.2000", "|", "163.2100", "100", "1"]
    assert lines[1].split() == ["7", "12345", "163.1950", "|"]
    assert header.index("|") == lines[0].index("|") == lines[1].index("|")
    assert header.index("reference") + len("reference") == lines[0].index("55") + 2
    empty = form.row(Row(3, OPEN, "R", None, None, Depth((), ())))
    assert empty.split() == ["09:30:00.000000000", "R", "(empty)"]


def test_a_row_for_programs() -> None:
    row = Row(3, OPEN, "U", 55, 56, LADDER)
    assert json.loads(row_text.Json().row(row)) == {
        "sequence": 3,
        "time": "09:30:00.000000000",
        "exchange_ns": OPEN,
        "type": "U",
        "reference": 55,
        "new_reference": 56,
        "bids": [
            {"price_e4": 1_632_000, "shares": 300, "orders": 2},
            {"price_e4": 1_631_950, "shares": 12_345, "orders": 7},
        ],
        "asks": [{"price_e4": 1_632_100, "shares": 100, "orders": 1}],
    }
    form = row_text.Csv(2)
    (values,) = csv.DictReader(io.StringIO(f"{form.header()}\n{form.row(row)}\n"))
    assert (values["bid_1_price"], values["bid_2_shares"], values["ask_1_orders"]) == ("163.2000", "12345", "1")
    assert (values["ask_2_price"], values["reference"], values["new_reference"]) == ("", "55", "56")
    assert len(values) == 6 + 2 * 2 * 3


def test_changes() -> None:
    changed = row_text.changes()
    empty = Depth((), ())
    assert [changed(depth) for depth in (empty, LADDER, LADDER, empty, empty)] == [True, True, False, True, False]


def test_times_of_a_capture_are_kept(tmp_path: Path) -> None:
    payloads = packets(market_day(20), 5)
    path = write_capture(tmp_path / "capture", payloads, lambda line, index: line == 0)
    assert [each.time_ns for each in CaptureFeed(path).read()] == [START_NS + i * 1000 for i in range(len(payloads))]
    assert b"".join(each.payload for each in CaptureFeed(path).read()) == b"".join(payloads)
    assert list(binaryfile.read(write_file(tmp_path / "day", market_day(20)))) == market_day(20)
