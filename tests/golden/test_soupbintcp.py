"""SoupBinTCP against the golden vectors, padding on either side, streams cut anywhere, and what is no packet."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from turbo_hft.errors import MalformedMessage
from turbo_hft.wire import glimpse, soupbintcp
from turbo_hft.wire.soupbintcp import (
    ClientHeartbeat,
    Debug,
    Decoder,
    EndOfSession,
    LoginAccepted,
    LoginRejected,
    LoginRequest,
    LogoutRequest,
    Packet,
    SequencedData,
    ServerHeartbeat,
    UnsequencedData,
)

VECTORS: dict[str, str] = json.loads(Path(__file__).with_name("vectors.json").read_text())["soupbintcp"]
PACKETS: dict[str, Packet] = {
    "L": LoginRequest("USER01", "PASSWORD", "", 1),
    "L_4.10_hb15000": LoginRequest("USER01", "PASSWORD", "", 1, 15_000),
    "A": LoginAccepted("SESSION001", 1),
    "J_A": LoginRejected("A"),
    "S_abc": SequencedData(b"abc"),
    "U_abc": UnsequencedData(b"abc"),
    "H": ServerHeartbeat(),
    "R": ClientHeartbeat(),
    "Z": EndOfSession(),
    "O": LogoutRequest(),
    "+_x": Debug(b"x"),
}


def decoded(*pieces: bytes) -> list[Packet]:
    """The packets of a stream that comes in these pieces."""
    decoder = Decoder()
    packets: list[Packet] = []
    for piece in pieces:
        decoder.feed(piece)
        packets += decoder
    assert decoder.pending == 0
    return packets


def test_a_packet_that_announces_too_much_is_refused_before_it_comes() -> None:
    decoder = Decoder(longest=4)
    decoder.feed(SequencedData(b"four").encode() + SequencedData(b"five!").encode()[:2])
    packets = iter(decoder)
    assert next(packets) == SequencedData(b"four")
    for _ in range(2):
        with pytest.raises(MalformedMessage, match=r"at byte 7 of the stream: .* payload of 5 bytes: at most 4"):
            next(iter(decoder))


def test_the_vectors_are_all_known() -> None:
    assert set(VECTORS) == set(PACKETS)


@pytest.mark.parametrize("name", PACKETS)
def test_vectors(name: str) -> None:
    raw = bytes.fromhex(VECTORS[name])
    assert PACKETS[name].encode() == raw
    assert decoded(raw) == [PACKETS[name]]


def test_a_stream_of_single_bytes_and_one_of_all_at_once() -> None:
    stream = b"".join(bytes.fromhex(text) for text in VECTORS.values())
    assert decoded(stream) == list(PACKETS.values())
    assert decoded(*(stream[i : i + 1] for i in range(len(stream)))) == list(PACKETS.values())


def test_padding_on_the_other_side_is_read_too() -> None:
    accepted = b"\0\x1fA" + b"S1".ljust(10) + b"0042".ljust(20)
    request = b"\0\x34L" + b" U".ljust(6) + b" P".ljust(10) + b"S1".ljust(10) + b"7".ljust(20) + b"900  "
    assert decoded(accepted, request) == [LoginAccepted("S1", 42), LoginRequest("U", "P", "S1", 7, 900)]


def test_a_name_shorter_than_its_field_is_written_to_the_right() -> None:
    assert LoginAccepted("S1", 7).encode()[3:13] == b"        S1"
    assert LoginRequest("U", "P", "S1", 7).encode()[3:49] == b"U     P                 S1                   7"


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"\0\0", "length 0"),
        (b"\0\1?", "type '\\?'"),
        (b"\0\2Hx", "'H' has a payload of 1 bytes: it must be 0"),
        (b"\0\1J", "'J' has a payload of 0 bytes: it must be 1"),
        (b"\0\x20A" + bytes(31), "must be 30"),
        (b"\0\x30L" + bytes(47), "must be 46 or 51"),
        (b"\0\x1fA" + b"S1".ljust(10) + b"x".rjust(20), "sequence is .* ASCII digits"),
        (b"\0\x1fA" + b"S1".ljust(10) + bytes(20), "sequence is"),
        (b"\0\x1fA" + b"\xff".ljust(10) + b"1".rjust(20), "session is ff"),
    ],
)
def test_what_is_no_packet_is_named_with_its_place(raw: bytes, words: str) -> None:
    decoder = Decoder()
    decoder.feed(ServerHeartbeat().encode() + raw + EndOfSession().encode())
    packets = iter(decoder)
    assert next(packets) == ServerHeartbeat()
    with pytest.raises(MalformedMessage, match=f"at byte 3 of the stream: .*{words}"):
        next(packets)
    assert list(decoder) == [EndOfSession()]


def test_a_cut_stream_shows() -> None:
    decoder = Decoder()
    decoder.feed(b"\0\5Sab")
    assert list(decoder) == []
    assert decoder.pending == 5


@pytest.mark.parametrize(
    "packet",
    [
        SequencedData(bytes(65_535)),
        LoginRejected(""),
        LoginRejected("AB"),
        LoginAccepted("SESSION0012", 1),
        LoginAccepted("S", -1),
        LoginRequest("TOOLONG", "P"),
        LoginRequest("U", "P", "", 10**20),
        LoginRequest("U", "P", "", 1, 100_000),
        LoginRequest("Ü", "P"),
    ],
)
def test_what_does_not_fit(packet: Packet) -> None:
    with pytest.raises(MalformedMessage):
        packet.encode()


def test_the_longest_data() -> None:
    assert decoded(SequencedData(bytes(soupbintcp.MAX_PAYLOAD)).encode()) == [SequencedData(bytes(65_534))]


def test_the_end_of_a_snapshot() -> None:
    assert glimpse.EndOfSnapshot(17).encode() == b"G                  17"
    for digits in (b"17".rjust(20), b"17".ljust(20), b"17".rjust(20, b"0"), b" 17".ljust(20)):
        assert glimpse.decode(b"G" + digits) == glimpse.EndOfSnapshot(17)
    for raw in (b"", b"G17", b"H" + b"17".rjust(20), b"G" + b"x".rjust(20), b"G" + b" " * 20, b"G" + b"1" * 21):
        with pytest.raises(MalformedMessage):
            glimpse.decode(raw)
    with pytest.raises(MalformedMessage, match="fit 20 digits"):
        glimpse.EndOfSnapshot(10**20).encode()
