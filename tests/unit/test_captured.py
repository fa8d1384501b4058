"""What is tapped as a capture: written, read back by us and by tshark, and what can be asked for."""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from turbo_hft._native import ffi, lib
from turbo_hft.cli import main
from turbo_hft.cli.tap import capture
from turbo_hft.errors import ConfigError
from turbo_hft.tap import CHOICES, Tapped, frames_of, wanted
from turbo_hft.wire import pcapng

TICK = bytes(60)
ORDER = bytes(range(80))


class Frames:
    """A tap that has these."""

    def __init__(self, frames: list[Tapped], lost: int = 0) -> None:
        self._frames = frames
        self.lost = lost
        self.moves = 0

    def wait(self, timeout_s: float) -> list[Tapped]:
        found, self._frames = self._frames, []
        return found


def written(frames: list[Tapped], path: Path, *, count: int | None = None, lost: int = 0) -> dict[str, int]:
    with path.open("wb") as stream:
        tap = Frames(frames, lost)
        duration = 0.001
        return dict(capture(tap, stream, "eth9", lambda s: False, lambda: True, count, duration))  # type: ignore[arg-type]


TRADE = [
    Tapped(1_000, "answered", "feed", len(TICK), TICK),
    Tapped(1_500, "sent", "feed", len(ORDER), ORDER),
    Tapped(9_000, "consumed", "replies", 300, bytes(40)),
]


def test_a_capture_has_frames_in_order_and_byte_by_byte(tmp_path: Path) -> None:
    path = tmp_path / "t.pcapng"
    assert written(TRADE, path) == {"answered": 1, "sent": 1, "consumed": 1}
    read = list(pcapng.read(path))
    assert [data for _, data in read] == [TICK, ORDER, bytes(40)]
    times = [time_ns for time_ns, _ in read]
    assert (times[1] - times[0], times[2] - times[0]) == (500, 8_000)


def test_count_ends_it(tmp_path: Path) -> None:
    assert written(TRADE, tmp_path / "t.pcapng", count=2) == {"answered": 1, "sent": 1}


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_tshark_says_the_same(tmp_path: Path) -> None:
    path = tmp_path / "t.pcapng"
    written(TRADE, path, lost=7)
    fields = ["frame.interface_name", "frame.len", "frame.cap_len", "frame.packet_flags_direction"]
    command = ["tshark", "-r", str(path), "-T", "fields", *(word for field in fields for word in ("-e", field))]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert [line.split("\t") for line in result.stdout.splitlines()] == [
        ["eth9 answered", "60", "60", "0x00000001"],
        ["eth9 sent", "80", "80", "0x00000002"],
        ["eth9 consumed", "300", "40", "0x00000001"],
    ]


def test_what_can_be_asked_for() -> None:
    everything = int(lib.HFT_TAP_EVERY_WAY | lib.HFT_TAP_OF_EVERYONE)
    assert wanted([]) == everything
    assert wanted(["consumed", "sent"]) == CHOICES["consumed"] | CHOICES["sent"]
    assert wanted(["feed"]) & lib.HFT_TAP_OF_EVERYONE == lib.HFT_TAP_OF_FEED
    for wrong in (["nonsense"], ["feed", "sent"]):
        with pytest.raises(ConfigError, match="give"):
            wanted(wrong)


@pytest.mark.parametrize(
    "words", [[], ["--out", "-", "--json"], ["--out", "x", "--count", "0"], ["--out", "x", "--duration", "-1"]]
)
def test_wrong_words_exit_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tap", *words]) == 2
    assert capsys.readouterr().err


def test_a_snapped_frame_keeps_its_length() -> None:
    stream = io.BytesIO()
    writer = pcapng.Writer(stream)
    writer.write(5, b"abc", length=100, outbound=True)
    writer.write_dropped(6, 3)
    stream.seek(0)
    assert list(pcapng.read(stream)) == [(5, b"abc")]


def test_frames_as_they_lie_in_memory() -> None:
    head = struct.Struct("=QIIII")
    raw = head.pack(5, 64, 3, lib.HFT_TAP_ANSWERED, lib.HFT_TAP_OF_FEED) + b"abc" + bytes(5)
    raw += head.pack(6, 8, 8, lib.HFT_TAP_SENT, lib.HFT_TAP_OF_FEED) + b"12345678"
    assert head.size == ffi.sizeof("struct hft_tap_frame")
    assert frames_of(raw) == [Tapped(5, "answered", "feed", 64, b"abc"), Tapped(6, "sent", "feed", 8, b"12345678")]
    assert frames_of(b"") == []
