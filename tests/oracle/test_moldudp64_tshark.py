"""tshark reads a capture of our MoldUDP64 packets: sessions, numbers, counts, lengths and every message."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, get_args

import pytest
from turbo_hft.wire import frame, itch50, moldudp64

scapy = pytest.importorskip("scapy.all", reason="scapy is not installed: pip install scapy")
TSHARK = shutil.which("tshark")
pytestmark = pytest.mark.skipif(TSHARK is None, reason="tshark is not installed: apt install tshark")

SESSION = "20190130A"
PORT = 26477
PI_COMMENT = 0x100000  # the least of its severities: a remark, not a complaint
TYPES = [cls.TYPE for cls in get_args(itch50.Message)]


def messages() -> list[bytes]:
    """One message of every type, from the golden vectors."""
    vectors = json.loads((Path(__file__).parents[1] / "golden" / "vectors.json").read_text())["itch50"]
    return [bytes.fromhex(vectors[code]["hex"]) for code in TYPES]


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def dissect(tmp_path: Path, payloads: list[bytes]) -> list[dict[str, Any]]:
    """The MoldUDP64 layer of each payload, as tshark's JSON has it."""
    frames = [
        frame.udp_frame(
            src_mac="02:00:00:00:77:02",
            dst_mac="01:00:5e:4d:00:01",
            src=("10.77.0.2", 40000),
            dst=("239.77.0.1", PORT),
            payload=payload,
            ident=number,
            vlans=(7,) if number % 2 else (),
        )
        for number, payload in enumerate(payloads)
    ]
    path = tmp_path / "feed.pcap"
    writer = scapy.PcapWriter(str(path), linktype=1)
    for raw in frames:
        writer.write(scapy.Ether(raw))
    writer.close()
    assert TSHARK is not None
    command = [TSHARK, "-n", "-r", str(path), "-d", f"udp.port=={PORT},moldudp64", "-T", "json", "--no-duplicate-keys"]
    command += ["-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    layers = [packet["_source"]["layers"] for packet in json.loads(done.stdout)]
    assert len(layers) == len(payloads)
    for number, packet in enumerate(layers):
        assert ("vlan" in packet) == bool(number % 2)
        assert packet["ip"]["ip.checksum.status"] == "1", "tshark finds the IPv4 checksum wrong"
        assert packet["udp"]["udp.checksum.status"] == "1", "tshark finds the UDP checksum wrong"
        severities = re.findall(r'"_ws\.expert\.severity": "(\d+)"', json.dumps(packet))
        assert all(int(severity) <= PI_COMMENT for severity in severities), "tshark has a complaint"
    return [packet["moldudp64"] for packet in layers]


def blocks_of(layer: dict[str, Any]) -> list[tuple[int, int, bytes]]:
    """Sequence, length and data of each message block."""
    names = ("moldudp64.msgseq", "moldudp64.msglen", "moldudp64.msgdata")
    return [
        (int(block[names[0]]), int(block[names[1]]), bytes.fromhex(block[names[2]].replace(":", "")))
        for key, value in layer.items()
        if key.startswith("moldudp64.msgblock")
        for block in as_list(value)
    ]


def test_every_message_type(tmp_path: Path) -> None:
    packer = moldudp64.Packetizer(SESSION, max_payload=300)
    sent = messages()
    payloads = [packet for message in sent if (packet := packer.add(message))]
    last = packer.flush()
    assert last is not None
    payloads.append(last)
    assert len(payloads) > 2

    layers = dissect(tmp_path, payloads)

    seen: list[tuple[int, bytes]] = []
    for layer in layers:
        assert layer["moldudp64.session"].rstrip(" ") == SESSION
        assert int(layer["moldudp64.sequence"]) == len(seen) + 1
        blocks = blocks_of(layer)
        assert int(layer["moldudp64.count"]) == len(blocks)
        assert all(length == len(data) for _, length, data in blocks)
        seen += [(sequence, data) for sequence, _, data in blocks]
    assert seen == list(enumerate(sent, 1))
    assert [chr(data[0]) for _, data in seen] == TYPES


def test_packets_without_messages(tmp_path: Path) -> None:
    big = 1 << 62
    layers = dissect(
        tmp_path,
        [
            moldudp64.Heartbeat(SESSION, 24).encode(),
            moldudp64.EndOfSession(SESSION, 27).encode(),
            moldudp64.Heartbeat("0123456789", big).encode(),
        ],
    )
    found = [
        (layer["moldudp64.session"].rstrip(" "), int(layer["moldudp64.sequence"]), int(layer["moldudp64.count"]))
        for layer in layers
    ]
    assert found == [(SESSION, 24, 0), (SESSION, 27, 0xFFFF), ("0123456789", big, 0)]
    assert all(blocks_of(layer) == [] for layer in layers)
    # A request and an end of session look alike; tshark remarks that on the second, and on no heartbeat.
    assert ["moldudp64.request" in json.dumps(layer) for layer in layers] == [False, True, False]


def test_a_wrong_length_is_seen(tmp_path: Path) -> None:
    """What the assertions above rest on: tshark does complain about a packet that is broken."""
    broken = moldudp64.Packet(SESSION, 1, (b"abc", b"defg")).encode()[:-1]
    with pytest.raises(AssertionError, match="complaint"):
        dissect(tmp_path, [broken])
