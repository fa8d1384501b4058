"""Captures: what is written is read, every dialect of the formats is read, and every break is named by its offset."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import pytest
from turbo_hft.errors import MalformedMessage
from turbo_hft.wire import pcapng

TIME = 1_700_000_000_123_456_789
FRAME = bytes(range(61))


def block(order: str, kind: int, body: bytes) -> bytes:
    """A block of a pcapng file."""
    body += bytes(-len(body) % 4)
    length = struct.pack(order + "I", 12 + len(body))
    return struct.pack(order + "I", kind) + length + body + length


def section(order: str) -> bytes:
    return block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))


def interface(order: str, options: bytes = b"", link: int = 1) -> bytes:
    return block(order, 1, struct.pack(order + "HHI", link, 0, 0) + options)


def option(order: str, code: int, value: bytes) -> bytes:
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def packet(order: str, ticks: int, frame: bytes = FRAME, number: int = 0) -> bytes:
    head = struct.pack(order + "IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF, len(frame), len(frame))
    return block(order, 6, head + frame)


def read(data: bytes) -> list[pcapng.Captured]:
    return list(pcapng.read(io.BytesIO(data)))


def written(*frames: tuple[int, bytes]) -> bytes:
    out = io.BytesIO()
    writer = pcapng.Writer(out)
    for time_ns, frame in frames:
        writer.write(time_ns, frame)
    return out.getvalue()


def test_what_is_written_is_read(tmp_path: Path) -> None:
    frames = [(0, b""), (TIME, FRAME), (TIME + 1, b"x"), ((1 << 64) - 1, bytes(0x40000))]
    data = written(*frames)
    assert read(data) == frames
    path = tmp_path / "capture.pcapng"
    path.write_bytes(data)
    assert list(pcapng.read(path)) == list(pcapng.read(str(path))) == frames


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(
    ("code", "ticks", "time_ns"),
    [
        (None, 1_700_000_000_123_456, 1_700_000_000_123_456_000),
        (6, 1_700_000_000_123_456, 1_700_000_000_123_456_000),
        (9, TIME, TIME),
        (3, 1_700_000_000_123, 1_700_000_000_123_000_000),
        (0, 1_700_000_000, 1_700_000_000_000_000_000),
        (12, 1_700_000_123_456_789_999, 1_700_000_123_456_789),
        (0x80 | 20, (1_700_000_000 << 20) + 1, 1_700_000_000_000_000_953),
    ],
)
def test_resolutions_in_both_byte_orders(order: str, code: int | None, ticks: int, time_ns: int) -> None:
    options = b"" if code is None else option(order, 2, b"eth0") + option(order, 9, bytes([code])) + bytes(4)
    assert read(section(order) + interface(order, options) + packet(order, ticks)) == [(time_ns, FRAME)]


@pytest.mark.parametrize("order", "<>")
def test_offset_other_blocks_older_packets_and_several_interfaces(order: str) -> None:
    data = section(order) + block(order, 4, b"names")
    data += interface(order) + interface(
        order, option(order, 14, struct.pack(order + "q", -5)) + option(order, 9, b"\x09")
    )
    data += packet(order, 7_000_000, number=1) + packet(order, 7)
    data += block(order, 2, struct.pack(order + "HHIIII", 1, 9, 0, 8, 3, 60) + b"abc")
    assert read(data) == [(7_000_000 - 5_000_000_000, FRAME), (7000, FRAME), (8 - 5_000_000_000, b"abc")]


def test_a_second_section_begins_anew() -> None:
    first = section("<") + interface("<", option("<", 9, b"\x09")) + packet("<", 5)
    second = section(">") + interface(">") + packet(">", 5)
    assert read(first + second) == [(5, FRAME), (5000, FRAME)]
    with pytest.raises(MalformedMessage, match="of interface 0: 0 are described"):
        read(first + section(">") + packet(">", 5))


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(("magic", "unit"), [(0xA1B2C3D4, 1000), (0xA1B23C4D, 1)])
def test_classic_captures(order: str, magic: int, unit: int) -> None:
    data = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65_535, 1)
    for fraction in (0, 999):
        data += struct.pack(order + "IIII", 1_700_000_000, fraction, len(FRAME), 1500) + FRAME
    assert read(data) == [
        (1_700_000_000_000_000_000, FRAME),
        (1_700_000_000_000_000_000 + 999 * unit, FRAME),
    ]
    with pytest.raises(MalformedMessage, match=f"ends inside the record at offset {24 + 16 + 61}"):
        read(data[:-1])
    with pytest.raises(MalformedMessage, match="offset 24 claims 999999 bytes"):
        read(data[:24] + struct.pack(order + "IIII", 0, 0, 999_999, 999_999))
    with pytest.raises(MalformedMessage, match="link type 101"):
        read(struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65_535, 101))


def test_every_cut_of_a_file_is_found() -> None:
    data = written((TIME, FRAME), (TIME, b"second"))
    starts = [0]
    while starts[-1] < len(data):
        starts.append(starts[-1] + int.from_bytes(data[starts[-1] + 4 : starts[-1] + 8], "little"))
    assert len(starts) == 5
    for size in range(len(data)):
        if size in starts[1:]:
            assert len(read(data[:size])) == max(0, starts.index(size) - 2)
            continue
        begun = max(start for start in starts if start <= size)
        with pytest.raises(MalformedMessage, match=f"ends inside .* at offset {begun}:"):
            read(data[:size])


def damaged(data: bytes, at: int, value: int) -> bytes:
    return data[:at] + struct.pack("<I", value) + data[at + 4 :]


GOOD = written((TIME, FRAME))
INTERFACE_AT = 28
PACKET_AT = INTERFACE_AT + int.from_bytes(GOOD[32:36], "little")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "ends inside a capture at offset 0"),
        (b"\0\1\2\3" + bytes(40), "00 01 02 03 is no capture"),
        (damaged(GOOD, 8, 0x11111111), "offset 0 has the byte-order mark 11 11 11 11"),
        (damaged(GOOD, 4, 24), "offset 0 "),
        (damaged(GOOD, PACKET_AT + 4, 13), f"offset {PACKET_AT} claims 13 bytes"),
        (damaged(GOOD, PACKET_AT + 4, 8), f"offset {PACKET_AT} claims 8 bytes"),
        (damaged(GOOD, PACKET_AT + 4, 1 << 30), f"offset {PACKET_AT} claims {1 << 30} bytes"),
        (damaged(GOOD, len(GOOD) - 4, 0), f"offset {PACKET_AT} does not end with its length"),
        (damaged(GOOD, PACKET_AT + 20, 65), f"offset {PACKET_AT} claims 65 bytes: its block has 64"),
        (damaged(GOOD, PACKET_AT + 8, 1), "of interface 1: 1 are described"),
        (section("<") + interface("<", link=113), f"link type 113 at offset {INTERFACE_AT}"),
        (section("<") + interface("<", option("<", 9, b"12")), "option 9 of 2 bytes"),
        (section("<") + interface("<", struct.pack("<HH", 2, 99)), "option 2 of 99 bytes"),
        (section("<") + block("<", 1, bytes(4)), "interface at offset 28 is too short"),
        (section("<") + interface("<") + block("<", 6, bytes(8)), "packet at offset 48 is too short"),
        (section("<") + interface("<") + block("<", 3, bytes(8)), "without a time stamp at offset 48"),
        (block("<", 0x0A0D0D0A, struct.pack("<I", 0x1A2B3C4D)), "section header at offset 0 is too short"),
    ],
)
def test_broken_files(data: bytes, words: str) -> None:
    with pytest.raises(MalformedMessage, match=words):
        read(data)


@pytest.mark.parametrize(("time_ns", "size", "number"), [(-1, 1, 0), (1 << 64, 1, 0), (0, 0x40001, 0), (0, 1, 1)])
def test_what_cannot_be_written(time_ns: int, size: int, number: int) -> None:
    out = io.BytesIO()
    writer = pcapng.Writer(out)
    before = out.getvalue()
    with pytest.raises(MalformedMessage, match="give at most"):
        writer.write(time_ns, bytes(size), number)
    assert out.getvalue() == before
