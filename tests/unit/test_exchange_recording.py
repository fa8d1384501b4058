"""What an exchange leaves behind: its messages, its frames."""

from __future__ import annotations

from pathlib import Path

import pytest
from turbo_hft.errors import ConfigError, ExchangeError
from turbo_hft.exchange import ExchangeConfig, ExchangeCore, Phase
from turbo_hft.exchange.interfaces import mac_of
from turbo_hft.exchange.recording import Capture, MessageRecord
from turbo_hft.wire import binaryfile, frame, moldudp64, pcapng
from turbo_hft.wire.frame import multicast_mac

SECOND = 1_000_000_000
SOURCE = ("10.77.0.2", 40000)


def test_the_record_is_what_was_published_and_replays_alike(tmp_path: Path) -> None:
    path = tmp_path / "day.itch50"
    core = ExchangeCore(ExchangeConfig(duration_s=1.0, linger_s=0.0, record=path))
    packets: list[bytes] = []
    while core.phase is not Phase.ENDED:
        packets += core.tick(len(packets) * SECOND)
    core.close()
    messages = [m for p in map(moldudp64.decode, packets) if isinstance(p, moldudp64.Packet) for m in p.messages]
    assert list(binaryfile.read(path)) == messages
    replay = ExchangeCore(ExchangeConfig(replay=path, speed=None, linger_s=0.0))
    assert replay.tick(0) == packets
    assert replay.summary()["books"] == core.summary()["books"]


def test_a_record_that_is_closed_early_has_everything_handed_out(tmp_path: Path) -> None:
    path = tmp_path / "day.itch50"
    core = ExchangeCore(ExchangeConfig(record=path))
    for _ in range(5):
        assert core.next_packet(0) is not None
    core.close()
    assert len(list(binaryfile.read(path))) == 5


def test_frames_are_complete_and_carry_the_line(tmp_path: Path) -> None:
    path = tmp_path / "lines.pcapng"
    capture = Capture(path, ("line A", "line B"), "02:00:00:00:77:02")
    capture.add(5, 0, SOURCE, ("239.77.0.1", 26477), b"first")
    capture.write()
    capture.add(7, 1, SOURCE, ("10.77.0.1", 26478), b"second")
    capture.close()
    assert capture.frames == 2
    (first_ns, first), (second_ns, second) = pcapng.read(path)
    assert (first_ns, second_ns) == (5, 7)
    parsed = frame.parse_udp(first)
    assert (parsed.src_mac, parsed.dst_mac) == ("02:00:00:00:77:02", "01:00:5e:4d:00:01")
    assert (parsed.src, parsed.dst, parsed.payload) == (SOURCE, ("239.77.0.1", 26477), b"first")
    assert parsed.ipv4_checksum_ok and parsed.udp_checksum_ok
    assert frame.parse_udp(second).dst == ("10.77.0.1", 26478)
    assert (first[22], second[22]) == (1, 64)  # TTL


@pytest.mark.parametrize(
    ("address", "mac"),
    [
        ("224.0.0.1", "01:00:5e:00:00:01"),
        ("239.200.3.255", "01:00:5e:48:03:ff"),
        ("223.255.0.1", None),
        ("240.0.0.1", None),
    ],
)
def test_the_ethernet_address_of_a_group(address: str, mac: str | None) -> None:
    assert multicast_mac(address) == mac


def test_the_ethernet_address_of_an_interface() -> None:
    assert mac_of("127.0.0.1") == mac_of("0.0.0.0", "lo") == "00:00:00:00:00:00"
    assert mac_of("192.0.2.1") == mac_of("127.0.0.1", "no_such_if") == "00:00:00:00:00:00"
    for path in Path("/sys/class/net").iterdir():
        if (path / "address").is_file():
            assert mac_of("127.0.0.1", path.name) == (path / "address").read_text().strip()


def test_files_that_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(ExchangeError, match=r"cannot write the record .* directory that exists"):
        MessageRecord(tmp_path / "absent" / "file")
    with pytest.raises(ExchangeError, match="cannot write the capture"):
        Capture(tmp_path / "absent" / "file", ("",), "02:00:00:00:77:02")
    with pytest.raises(ConfigError, match="name the same file"):
        ExchangeConfig(replay=tmp_path / "day", record=tmp_path / "day")


def test_a_full_disk_is_named() -> None:
    record = MessageRecord(Path("/dev/full"))
    record.add([b"message"])
    with pytest.raises(ExchangeError, match="make room"):
        record.close()
