"""tshark reads our captures to the nanosecond, and we read the captures that tshark writes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from turbo_hft.wire import frame, pcapng

TSHARK = shutil.which("tshark")
pytestmark = pytest.mark.skipif(TSHARK is None, reason="tshark is not installed: apt install tshark")

TIMES = [0, 999_999_999, 1_700_000_000_000_000_001, 1_700_000_000_123_456_789, (1 << 62) + 7]


def frames() -> list[tuple[int, bytes]]:
    """A datagram of another size for each time, padded and unpadded ends included."""
    return [
        (
            time_ns,
            frame.udp_frame(
                src_mac="02:00:00:00:77:02",
                dst_mac="01:00:5e:4d:00:01",
                src=("10.77.0.2", 40000),
                dst=("239.77.0.1", 26477),
                payload=bytes(20 + size),
            ),
        )
        for size, time_ns in enumerate(TIMES)
    ]


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """Written by us; the lines take turns."""
    path = tmp_path / "capture.pcapng"
    with path.open("wb") as stream:
        writer = pcapng.Writer(stream, ("line A", "line B"))
        for number, (time_ns, raw) in enumerate(frames()):
            writer.write(time_ns, raw, number % 2)
    return path


def tshark(*arguments: str) -> str:
    assert TSHARK is not None
    done = subprocess.run([TSHARK, "-n", *arguments], check=True, capture_output=True, text=True, timeout=60)
    return done.stdout


def test_tshark_reads_what_we_write(capture: Path) -> None:
    fields = ("frame.time_epoch", "frame.len", "frame.cap_len", "frame.interface_name", "udp.length")
    wanted = [argument for field in fields for argument in ("-e", field)]
    rows = [line.split("\t") for line in tshark("-r", str(capture), "-T", "fields", *wanted).splitlines()]
    assert rows == [
        [
            f"{time_ns // 10**9}.{time_ns % 10**9:09}",
            str(len(raw)),
            str(len(raw)),
            f"line {'AB'[number % 2]}",
            str(len(raw) - 34),
        ]
        for number, (time_ns, raw) in enumerate(frames())
    ]


@pytest.mark.parametrize(("form", "unit"), [("pcapng", 1), ("nsecpcap", 1), ("pcap", 1000)])
def test_we_read_what_tshark_writes(capture: Path, tmp_path: Path, form: str, unit: int) -> None:
    path = tmp_path / "again"
    # Classic captures count seconds in 32 bits.
    tshark("-r", str(capture), "-Y", "frame.number < 5", "-F", form, "-w", str(path))
    assert list(pcapng.read(path)) == [(time_ns // unit * unit, raw) for time_ns, raw in frames()[:4]]
