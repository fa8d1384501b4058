"""UFO packets: layouts byte by byte, and the shapes that are refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from turbo_hft.errors import MalformedMessage
from turbo_hft.wire import ufo

LIMITS = Path(__file__).parents[2] / "bpf" / "hft" / "limits.h"

DOWNSTREAM = [
    (ufo.LoginAccepted("SESSION001", 7), b"ASESSION001\0\0\0\7"),
    (ufo.LoginAccepted("S", 0xFFFFFFFF), b"AS         \xff\xff\xff\xff"),
    (ufo.LoginRejected("A"), b"JA"),
    (ufo.LoginRejected("S"), b"JS"),
    (ufo.Sequenced(5, (b"abc", b"", b"z")), b"S\0\0\0\5\0\3\0\3abc\0\0\0\1z"),
    (ufo.Sequenced(9, ()), b"S\0\0\0\t\0\0"),
    (ufo.EndOfSession(12), b"E\0\0\0\x0c"),
    (ufo.EndOfSession(0), b"E\0\0\0\0"),
]
UPSTREAM: list[tuple[ufo.Upstream, bytes]] = [
    (ufo.LoginRequest("HFT001", "SECRET", ""), b"\0\x1bLHFT001SECRET              "),
    (ufo.LoginRequest("me", "", "SESSION001"), b"\0\x1bLme              SESSION001"),
    (ufo.RetransmissionRequest(3, 400), b"\0\7T\0\0\0\3\1\x90"),
    (ufo.Unsequenced(b"Oxyz"), b"\0\5UOxyz"),
    (ufo.Unsequenced(b""), b"\0\1U"),
    (ufo.ClientHeartbeat(), b"\0\1R"),
    (ufo.Logoff(), b"\0\1O"),
]


@pytest.mark.parametrize(("packet", "raw"), DOWNSTREAM)
def test_downstream(packet: ufo.Downstream, raw: bytes) -> None:
    assert packet.encode() == raw
    decoded = ufo.decode_downstream(raw)
    assert type(decoded) is type(packet) and decoded == packet


@pytest.mark.parametrize(("message", "raw"), UPSTREAM)
def test_upstream(message: ufo.Upstream, raw: bytes) -> None:
    assert ufo.encode_upstream(message) == raw
    assert ufo.decode_upstream(raw) == (message,)
    assert message.encode() == raw[2:]


def test_many_upstream_messages_share_a_datagram() -> None:
    messages = [message for message, _ in UPSTREAM]
    datagram = b"".join(raw for _, raw in UPSTREAM)
    assert ufo.encode_upstream(*messages) == datagram
    assert ufo.decode_upstream(memoryview(datagram)) == tuple(messages)


@pytest.mark.parametrize(("packet", "raw"), DOWNSTREAM)
def test_downstream_of_another_length(packet: ufo.Downstream, raw: bytes) -> None:
    for wrong in (raw[:-1], raw + b"\0"):
        with pytest.raises(MalformedMessage):
            ufo.decode_downstream(wrong)


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        (b"", "empty"),
        (b"X", "unknown"),
        (b"AJ", "A has 15"),
        (b"A" + bytes(14), "sequence 0"),
        (b"S" + bytes(6), "sequence 0"),
        (b"S\xff\xff\xff\xff\0\1\0\0", "none from"),
        (b"S\0\0\0\1\1\1" + bytes(2 * 257), "257 messages"),
        (b"S\0\0\0\1\0\2\0\1a", "block 1"),
        (b"S\0\0\0\1\0\1\0\2a", "block 0"),
        (b"S\0\0\0\1\0\1\0", "block 0"),
    ],
)
def test_malformed_downstream(raw: bytes, named: str) -> None:
    with pytest.raises(MalformedMessage, match=named):
        ufo.decode_downstream(raw)


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        (b"", "empty UFO datagram"),
        (b"\0", "block 0"),
        (b"\0\0", "empty UFO upstream"),
        (b"\0\1X", "unknown"),
        (b"\0\2R", "block 0"),
        (b"\0\2RR", "2 bytes: it must be 1"),
        (b"\0\6T\0\0\0\3\0", "6 bytes: it must be 7"),
        (b"\0\1R\0", "block 1 at byte 3"),
        (b"\0\1L", "1 bytes: it must be 27"),
        (b"\0\x1bL\xff" + b" " * 25, "username.*ASCII"),
    ],
)
def test_malformed_upstream(raw: bytes, named: str) -> None:
    with pytest.raises(MalformedMessage, match=named):
        ufo.decode_upstream(raw)


@pytest.mark.parametrize(
    ("packet", "named"),
    [
        (ufo.LoginAccepted("ELEVEN CHAR", 1), "session"),
        (ufo.LoginAccepted("\u20ac", 1), "session"),
        (ufo.LoginAccepted("S", 0), "sequence 0"),
        (ufo.LoginAccepted("S", 1 << 32), "sequence 4294967296"),
        (ufo.LoginRejected("AS"), "reason"),
        (ufo.Sequenced(0, ()), "sequence 0"),
        (ufo.Sequenced(1, (b"",) * 257), "257 messages"),
        (ufo.Sequenced(0xFFFFFFFF, (b"",)), "none from"),
        (ufo.Sequenced(1, (bytes(65536),)), "65536 bytes"),
        (ufo.EndOfSession(-1), "sequence is -1"),
    ],
)
def test_downstream_that_cannot_be_encoded(packet: ufo.Downstream, named: str) -> None:
    with pytest.raises(MalformedMessage, match=named):
        packet.encode()


@pytest.mark.parametrize(
    ("message", "named"),
    [
        (ufo.LoginRequest("SEVENCH", "", ""), "username"),
        (ufo.LoginRequest("", "ELEVEN CHAR", ""), "password"),
        (ufo.RetransmissionRequest(1 << 32, 1), "sequence"),
        (ufo.RetransmissionRequest(1, 1 << 16), "count"),
        (ufo.Unsequenced(bytes(65535)), "65536 bytes"),
    ],
)
def test_upstream_that_cannot_be_encoded(message: ufo.Upstream, named: str) -> None:
    with pytest.raises(MalformedMessage, match=named):
        ufo.encode_upstream(message)


def test_a_datagram_without_messages() -> None:
    with pytest.raises(MalformedMessage, match="one or more"):
        ufo.encode_upstream()


def test_the_bound_on_replies_is_the_hooks() -> None:
    match = re.search(r"#define HFT_MAX_REPLIES (\d+)", LIMITS.read_text())
    assert match and int(match[1]) == ufo.MAX_REPLIES
    most = ufo.Sequenced(1, (b"",) * ufo.MAX_REPLIES)
    assert ufo.decode_downstream(most.encode()) == most
