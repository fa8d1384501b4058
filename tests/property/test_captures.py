"""Captures and streams for all bytes: what is written reads back, and what is broken is malformed, nothing else."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st
from turbo_hft.errors import MalformedMessage
from turbo_hft.wire import glimpse, pcapng, soupbintcp

FRAMES = st.lists(st.tuples(st.integers(0, (1 << 64) - 1), st.binary(max_size=80)), max_size=6)
CHANGES = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4)


def written(frames: list[tuple[int, bytes]]) -> bytes:
    out = io.BytesIO()
    writer = pcapng.Writer(out, ("a", "line b"))
    for number, (time_ns, frame) in enumerate(frames):
        writer.write(time_ns, frame, number % 2)
    return out.getvalue()


@given(FRAMES)
def test_captures_round_trip(frames: list[tuple[int, bytes]]) -> None:
    assert list(pcapng.read(io.BytesIO(written(frames)))) == frames


@given(FRAMES, CHANGES, st.integers(0, 800))
def test_a_damaged_capture_gives_frames_or_is_malformed(
    frames: list[tuple[int, bytes]], changes: list[tuple[int, int]], size: int
) -> None:
    data = bytearray(written(frames))
    for at, value in changes:
        data[at % len(data)] = value
    read: list[pcapng.Captured] = []
    try:
        for captured in pcapng.read(io.BytesIO(data[:size])):
            read.append(captured)
    except MalformedMessage as fault:
        assert "offset" in str(fault) or "no capture" in str(fault)
    assert len(read) <= len(frames)


@given(st.binary(max_size=120), st.integers(0, 120))
def test_any_stream_gives_packets_or_is_malformed(stream: bytes, cut: int) -> None:
    decoder = soupbintcp.Decoder()
    packets: list[soupbintcp.Packet] = []
    broken = 0
    for piece in (stream[:cut], stream[cut:]):
        decoder.feed(piece)
        while True:
            try:
                packets += decoder
                break
            except MalformedMessage:
                broken += 1
    assert decoder.pending + 2 * (broken + len(packets)) <= len(stream)


@given(st.integers(0, 10**20 - 1), st.integers(0, 20))
def test_the_end_of_a_snapshot_reads_with_any_padding(sequence: int, right: int) -> None:
    end = glimpse.EndOfSnapshot(sequence)
    assert glimpse.decode(end.encode()) == end
    digits = str(sequence).encode()
    right = min(right, 20 - len(digits))
    assert glimpse.decode(b"G" + (digits + b" " * right).rjust(20)) == end
