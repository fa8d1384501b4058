"""MoldUDP64 against the golden vectors, the bounds of the hook and the packetizer."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from turbo_hft.errors import MalformedMessage
from turbo_hft.wire import itch50, moldudp64
from turbo_hft.wire.moldudp64 import EndOfSession, Heartbeat, Packet, Packetizer, Request

VECTORS: dict[str, str] = json.loads(Path(__file__).with_name("vectors.json").read_text())["moldudp64"]
LIMITS = Path(__file__).parents[2] / "bpf" / "hft" / "limits.h"
SESSION = "000000123A"


def raw(name: str) -> bytes:
    return bytes.fromhex(VECTORS[name])


def test_the_vectors_are_all_known() -> None:
    assert set(VECTORS) == {
        "data_seq24_3msgs",
        "heartbeat_next27",
        "end_of_session_next27",
        "request_seq5_count3",
    }


def test_data() -> None:
    packet = moldudp64.decode(raw("data_seq24_3msgs"))
    assert isinstance(packet, Packet)
    assert (packet.session, packet.sequence) == (SESSION, 24)
    assert [type(itch50.decode(message)).TYPE for message in packet.messages] == ["A", "E", "D"]
    assert packet.encode() == raw("data_seq24_3msgs")


@pytest.mark.parametrize(
    ("name", "expected"),
    [("heartbeat_next27", Heartbeat(SESSION, 27)), ("end_of_session_next27", EndOfSession(SESSION, 27))],
)
def test_packets_without_messages(name: str, expected: Heartbeat | EndOfSession) -> None:
    assert moldudp64.decode(raw(name)) == expected
    assert expected.encode() == raw(name)
    with pytest.raises(MalformedMessage, match="21 bytes"):
        moldudp64.decode(raw(name) + b"\0")


def test_request() -> None:
    assert moldudp64.decode_request(raw("request_seq5_count3")) == Request(SESSION, 5, 3)
    assert Request(SESSION, 5, 3).encode() == raw("request_seq5_count3")


@pytest.mark.parametrize("count", [0, 0xFFFF])
def test_a_request_for_nothing_or_for_the_end(count: int) -> None:
    wire = raw("request_seq5_count3")[:18] + count.to_bytes(2, "big")
    with pytest.raises(MalformedMessage, match=f"count {count}"):
        moldudp64.decode_request(wire)
    with pytest.raises(MalformedMessage, match=f"request of {count}"):
        Request(SESSION, 5, count).encode()
    with pytest.raises(MalformedMessage, match="21 bytes"):
        moldudp64.decode_request(raw("request_seq5_count3") + b"\0")


@pytest.mark.parametrize("size", [0, 1, 19])
def test_shorter_than_a_header(size: int) -> None:
    with pytest.raises(MalformedMessage, match=f"{size} bytes"):
        moldudp64.decode(raw("heartbeat_next27")[:size])


@pytest.mark.parametrize("change", [-1, 1])
def test_count_and_blocks_must_agree(change: int) -> None:
    wire = bytearray(raw("data_seq24_3msgs"))
    wire[19] += change
    with pytest.raises(MalformedMessage, match="block"):
        moldudp64.decode(bytes(wire))


def test_cut_anywhere_it_is_malformed() -> None:
    wire = raw("data_seq24_3msgs")
    for size in range(len(wire)):
        with pytest.raises(MalformedMessage):
            moldudp64.decode(wire[:size])


@pytest.mark.parametrize(("sequence", "good"), [(0, False), (1, True), (1 << 62, True), ((1 << 62) + 1, False)])
def test_sequence_bounds(sequence: int, good: bool) -> None:
    wire = SESSION.encode() + sequence.to_bytes(8, "big") + b"\0\0"
    if good:
        assert moldudp64.decode(wire) == Heartbeat(SESSION, sequence)
        assert Heartbeat(SESSION, sequence).encode() == wire
    else:
        with pytest.raises(MalformedMessage, match=f"sequence {sequence}"):
            moldudp64.decode(wire)
        with pytest.raises(MalformedMessage, match=f"sequence {sequence}"):
            Heartbeat(SESSION, sequence).encode()


def test_the_bound_on_blocks_is_the_hooks() -> None:
    match = re.search(r"#define HFT_MAX_BLOCKS (\d+)", LIMITS.read_text())
    assert match and int(match[1]) == moldudp64.MAX_BLOCKS
    most = Packet(SESSION, 1, (b"",) * moldudp64.MAX_BLOCKS)
    assert moldudp64.decode(most.encode()) == most
    with pytest.raises(MalformedMessage, match="1730 messages"):
        Packet(SESSION, 1, (b"",) * 1730).encode()
    with pytest.raises(MalformedMessage, match="1730 messages"):
        moldudp64.decode(most.encode()[:18] + (1730).to_bytes(2, "big") + bytes(2 * 1730))
    with pytest.raises(MalformedMessage, match="0 messages"):
        Packet(SESSION, 1, ()).encode()


def test_sessions() -> None:
    assert Heartbeat("AB", 1).encode()[:10] == b"AB        "
    assert moldudp64.decode(Heartbeat("AB", 1).encode()) == Heartbeat("AB", 1)
    odd = b"\xff\0session\xe4" + bytes(7) + b"\1\0\0"
    assert moldudp64.decode(odd).encode() == odd, "the hook takes any ten bytes"
    for wrong in ("ELEVEN CHAR", "\u20ac"):
        with pytest.raises(MalformedMessage, match="session"):
            Heartbeat(wrong, 1).encode()


def test_packetizer_numbers_and_fills() -> None:
    packer = Packetizer(SESSION, max_payload=20 + 2 * 12)
    assert packer.flush() is None
    assert moldudp64.decode(packer.heartbeat()) == Heartbeat(SESSION, 1)
    assert packer.add(b"a" * 10) is None
    assert packer.add(b"b" * 10) is None
    assert moldudp64.decode(packer.heartbeat()) == Heartbeat(SESSION, 1), "nothing has left yet"
    full = packer.add(b"c")
    assert full is not None and len(full) == 44
    assert moldudp64.decode(full) == Packet(SESSION, 1, (b"a" * 10, b"b" * 10))
    assert packer.next_sequence == 4
    assert moldudp64.decode(packer.heartbeat()) == Heartbeat(SESSION, 3)
    with pytest.raises(MalformedMessage, match=r"1 queued.*flush"):
        packer.end()
    rest = packer.flush()
    assert rest is not None and moldudp64.decode(rest) == Packet(SESSION, 3, (b"c",))
    assert packer.flush() is None
    assert moldudp64.decode(packer.heartbeat()) == Heartbeat(SESSION, 4)
    assert moldudp64.decode(packer.end()) == EndOfSession(SESSION, 4)


def test_packetizer_refuses_what_fits_no_packet() -> None:
    packer = Packetizer(SESSION, max_payload=30)
    assert packer.add(b"12345678") is None
    with pytest.raises(MalformedMessage, match="9 bytes"):
        packer.add(b"123456789")
    assert packer.next_sequence == 2
    with pytest.raises(MalformedMessage, match="max_payload 21"):
        Packetizer(SESSION, max_payload=21)
    with pytest.raises(MalformedMessage, match="session"):
        Packetizer("ELEVEN CHAR")


def test_packetizer_never_exceeds_the_block_bound() -> None:
    packer = Packetizer(SESSION, max_payload=9000)
    packets = [packet for _ in range(1730) if (packet := packer.add(b""))]
    assert len(packets) == 1
    first = moldudp64.decode(packets[0])
    assert isinstance(first, Packet) and len(first.messages) == moldudp64.MAX_BLOCKS
