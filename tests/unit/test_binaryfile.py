"""BinaryFILE: framing, ends, truncation, and chunks that cut messages anywhere."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from turbo_hft.errors import MalformedMessage
from turbo_hft.wire import binaryfile

MESSAGES = [b"S" * 12, b"A" * 36, b"D", bytes(65535)]


def framed(*messages: bytes) -> bytes:
    return b"".join(len(message).to_bytes(2, "big") + message for message in messages)


class Drip(io.BytesIO):
    """Gives a few bytes at a time, as a pipe may."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(7)


def test_layout() -> None:
    out = io.BytesIO()
    assert binaryfile.write(out, [b"ab", b"c"]) == 2
    assert out.getvalue() == b"\0\2ab\0\1c"


def test_a_path_and_a_stream_read_alike(tmp_path: Path) -> None:
    path = tmp_path / "day.itch50"
    path.write_bytes(framed(*MESSAGES))
    assert list(binaryfile.read(path)) == MESSAGES
    assert list(binaryfile.read(str(path))) == MESSAGES
    with path.open("rb") as stream:
        assert list(binaryfile.read(stream)) == MESSAGES
    assert list(binaryfile.read(Drip(framed(*MESSAGES[:3])))) == MESSAGES[:3]


def test_more_than_one_chunk() -> None:
    many = [bytes([i % 251]) * 36 for i in range(60_000)]
    assert list(binaryfile.read(io.BytesIO(framed(*many)))) == many


def test_a_zero_length_ends_the_stream() -> None:
    assert list(binaryfile.read(io.BytesIO(framed(b"a") + b"\0\0" + framed(b"b")))) == [b"a"]
    assert list(binaryfile.read(io.BytesIO(b""))) == []


@pytest.mark.parametrize("cut", [1, 2, 3, 11])
def test_a_truncated_tail_names_its_offset(cut: int) -> None:
    raw = framed(b"a" * 10, b"b" * 10)[: 12 + cut]
    messages = binaryfile.read(io.BytesIO(raw))
    assert next(messages) == b"a" * 10
    with pytest.raises(MalformedMessage, match=rf"offset 12, {cut} bytes"):
        next(messages)


def test_the_offset_counts_the_whole_file() -> None:
    raw = framed(*[bytes(36)] * 60_000) + b"\0\5abc"
    with pytest.raises(MalformedMessage, match=f"offset {60_000 * 38}, 5 bytes"):
        list(binaryfile.read(io.BytesIO(raw)))


@pytest.mark.parametrize("message", [b"", bytes(65536)])
def test_what_cannot_be_framed(message: bytes) -> None:
    out = io.BytesIO()
    with pytest.raises(MalformedMessage, match=f"message 1 has {len(message)} bytes"):
        binaryfile.write(out, [b"good", message])
    assert out.getvalue() == b"\0\4good"


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(binaryfile.read(tmp_path / "none"))
