"""Codecs for all values and all bytes: what is written reads back, what is read writes back, nothing else escapes."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable
from decimal import Decimal
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from turbo_hft.errors import MalformedMessage
from turbo_hft.wire import binaryfile, frame, itch50, moldudp64, ouch42, ouch50, price, ufo
from turbo_hft.wire.record import Record, Uint, codec_of

# The machine may be busy with other things: time decides nothing here.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

Decoder = Callable[[bytes], Any]


def texts(size: int) -> st.SearchStrategy[str]:
    """Text of a padded field: any ASCII, without spaces at the end."""
    return st.text(st.characters(max_codepoint=127), max_size=size).map(lambda value: value.rstrip(" "))


def records(cls: type[Any]) -> st.SearchStrategy[Any]:
    """Messages of a class with arbitrary values."""
    values: dict[str, st.SearchStrategy[Any]] = {}
    for name, kind in codec_of(cls).fields:
        values[name] = st.integers(0, 256**kind.size - 1) if isinstance(kind, Uint) else texts(kind.size)
    names = {field.name for field in dataclasses.fields(cls)}
    if "appendage" in names:
        values["appendage"] = st.binary(max_size=40)
    if "aiq_strategy" in names - values.keys():
        values["aiq_strategy"] = st.none() | texts(1)
    return st.builds(cls, **values)


def is_same(left: Any, right: Any) -> bool:
    return type(left) is type(right) and bool(left == right)


RECORD_DECODERS: dict[type[Any], Decoder] = {
    **dict.fromkeys(get_args(itch50.Message), itch50.decode),
    **dict.fromkeys(get_args(ouch42.Inbound), ouch42.decode_inbound),
    **dict.fromkeys(get_args(ouch42.Outbound), ouch42.decode_outbound),
    **dict.fromkeys(get_args(ouch50.Inbound), ouch50.decode_inbound),
    **dict.fromkeys(get_args(ouch50.Outbound), ouch50.decode_outbound),
}


def test_all_messages_are_here() -> None:
    assert len(RECORD_DECODERS) == 23 + 20 + 25


@pytest.mark.parametrize("cls", RECORD_DECODERS, ids=lambda cls: f"{cls.__module__.rpartition('.')[2]}.{cls.__name__}")
@settings(unhurried, max_examples=40)
@given(data=st.data())
def test_records_round_trip(cls: type[Record], data: st.DataObject) -> None:
    message = data.draw(records(cls))
    raw = message.encode()
    assert raw[0] == ord(cls.TYPE)
    assert is_same(RECORD_DECODERS[cls](raw), message)


SESSIONS = texts(10)
SEQUENCES = st.integers(1, moldudp64.MAX_SEQUENCE)
BLOCKS = st.lists(st.binary(max_size=60), max_size=8).map(tuple)
MOLD = st.one_of(
    st.builds(moldudp64.Packet, SESSIONS, SEQUENCES, BLOCKS.filter(bool)),
    st.builds(moldudp64.Heartbeat, SESSIONS, SEQUENCES),
    st.builds(moldudp64.EndOfSession, SESSIONS, SEQUENCES),
)
REQUESTS = st.builds(moldudp64.Request, SESSIONS, SEQUENCES, st.integers(1, moldudp64.MAX_REQUEST))
UFO_DOWN = st.one_of(
    st.builds(ufo.LoginAccepted, SESSIONS, st.integers(1, 2**32 - 1)),
    st.builds(ufo.LoginRejected, texts(1)),
    st.builds(ufo.Sequenced, st.integers(1, 2**32 - 9), BLOCKS),
    st.builds(ufo.EndOfSession, st.integers(0, 2**32 - 1)),
)
UFO_UP = st.lists(
    st.one_of(
        records(ufo.LoginRequest),
        records(ufo.RetransmissionRequest),
        st.builds(ufo.Unsequenced, st.binary(max_size=60)),
        st.builds(ufo.ClientHeartbeat),
        st.builds(ufo.Logoff),
    ),
    min_size=1,
    max_size=6,
).map(tuple)


@unhurried
@given(MOLD)
def test_moldudp64_round_trip(packet: moldudp64.Downstream) -> None:
    assert is_same(moldudp64.decode(packet.encode()), packet)


@unhurried
@given(REQUESTS)
def test_moldudp64_requests_round_trip(request: moldudp64.Request) -> None:
    assert moldudp64.decode_request(request.encode()) == request


@unhurried
@given(UFO_DOWN)
def test_ufo_downstream_round_trip(packet: ufo.Downstream) -> None:
    assert is_same(ufo.decode_downstream(packet.encode()), packet)


@unhurried
@given(UFO_UP)
def test_ufo_upstream_round_trip(messages: tuple[ufo.Upstream, ...]) -> None:
    assert ufo.decode_upstream(ufo.encode_upstream(*messages)) == messages


@unhurried
@given(st.lists(st.binary(min_size=1, max_size=70)), st.integers(22, 200))
def test_packetizer_loses_and_reorders_nothing(messages: list[bytes], max_payload: int) -> None:
    assume(all(len(message) + 22 <= max_payload for message in messages))
    packer = moldudp64.Packetizer("S", max_payload)
    packets = [packet for message in messages if (packet := packer.add(message)) is not None]
    if (rest := packer.flush()) is not None:
        packets.append(rest)
    seen: list[bytes] = []
    for raw in packets:
        decoded = moldudp64.decode(raw)
        assert isinstance(decoded, moldudp64.Packet) and len(raw) <= max_payload
        assert decoded.sequence == len(seen) + 1
        seen += decoded.messages
    assert seen == messages
    assert packer.next_sequence == len(messages) + 1


def damaged(raw: bytes) -> st.SearchStrategy[bytes]:
    """`raw` as it is, cut short, lengthened, or with some bytes changed."""

    def change(changes: list[tuple[int, int]]) -> bytes:
        out = bytearray(raw)
        for at, value in changes:
            if out:
                out[at % len(out)] = value
        return bytes(out)

    changes = st.lists(st.tuples(st.integers(0, 100), st.integers(0, 255)), max_size=4)
    return st.one_of(
        st.just(raw),
        st.integers(0, len(raw)).map(lambda size: raw[:size]),
        st.binary(max_size=4).map(lambda more: raw + more),
        changes.map(change),
    )


def encoded(messages: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    return messages.map(lambda message: message.encode())


def canonical(message: Any, raw: bytes) -> bytes:
    """What encoding gives back: `raw`, without the empty appendage that OUCH 5.0 allows and nobody needs."""
    if getattr(message, "APPENDAGE", None) == ouch50.OPTIONAL and not message.appendage:
        return raw[: message.LENGTH]
    return raw


def encode(message: Any) -> bytes:
    raw = message.encode()
    assert isinstance(raw, bytes)
    return raw


def any_of(union: Any) -> st.SearchStrategy[bytes]:
    return encoded(st.sampled_from(get_args(union)).flatmap(records))


OPTIONS = st.dictionaries(
    st.integers(0, 255).filter(lambda tag: tag not in ouch50.OPTIONS), st.binary(max_size=9), max_size=4
).map(ouch50.encode_options)
# name -> decoder, encoder, bytes that are valid
CODECS: dict[str, tuple[Decoder, Callable[[Any], bytes], st.SearchStrategy[bytes]]] = {
    "itch50": (itch50.decode, encode, any_of(itch50.Message)),
    "ouch42 inbound": (ouch42.decode_inbound, encode, any_of(ouch42.Inbound)),
    "ouch42 outbound": (ouch42.decode_outbound, encode, any_of(ouch42.Outbound)),
    "ouch50 inbound": (ouch50.decode_inbound, encode, any_of(ouch50.Inbound)),
    "ouch50 outbound": (ouch50.decode_outbound, encode, any_of(ouch50.Outbound)),
    "ouch50 options": (ouch50.options, ouch50.encode_options, OPTIONS),
    "moldudp64": (moldudp64.decode, encode, encoded(MOLD)),
    "moldudp64 request": (moldudp64.decode_request, encode, encoded(REQUESTS)),
    "ufo downstream": (ufo.decode_downstream, encode, encoded(UFO_DOWN)),
    "ufo upstream": (
        ufo.decode_upstream,
        lambda messages: ufo.encode_upstream(*messages),
        UFO_UP.map(lambda messages: ufo.encode_upstream(*messages)),
    ),
}


@pytest.mark.parametrize("name", CODECS)
@settings(unhurried, max_examples=300)
@given(data=st.data())
def test_any_bytes_decode_and_encode_back_or_are_malformed(name: str, data: st.DataObject) -> None:
    decode, encode_back, valid = CODECS[name]
    raw = data.draw(st.one_of(st.binary(max_size=100), valid.flatmap(damaged)))
    try:
        message = decode(raw)
    except MalformedMessage as fault:
        assert str(fault)
        return
    assert encode_back(message) == canonical(message, raw)


# Prefix of the headers, so that random bytes reach the rules behind them.
LINK = bytes(12) + b"\x08\x00"


@settings(unhurried, max_examples=400)
@given(st.one_of(st.binary(max_size=80), st.binary(max_size=80).map(lambda tail: LINK + b"\x45" + tail)))
def test_any_frame_parses_or_is_malformed(raw: bytes) -> None:
    try:
        parsed = frame.parse_udp(raw)
    except MalformedMessage:
        return
    assert parsed.payload in raw


PORTS = st.integers(0, 0xFFFF)
ADDRESSES = st.ip_addresses(v=4).map(str)
MACS = st.binary(min_size=6, max_size=6).map(lambda raw: raw.hex(":"))


@unhurried
@given(
    src_mac=MACS,
    dst_mac=MACS,
    src=st.tuples(ADDRESSES, PORTS),
    dst=st.tuples(ADDRESSES, PORTS),
    payload=st.binary(max_size=300),
    vlans=st.lists(st.integers(0, 0xFFFF), max_size=2).map(tuple),
    ttl=st.integers(0, 255),
    ident=st.integers(0, 0xFFFF),
    options=st.binary(max_size=40),
    checksum=st.booleans(),
    padding=st.binary(max_size=20),
)
def test_frames_round_trip(padding: bytes, **given_: Any) -> None:
    parsed = frame.parse_udp(frame.udp_frame(**given_) + padding)
    assert parsed == frame.UdpFrame(
        ipv4_checksum_ok=True,
        udp_checksum_ok=True,
        **{name: given_[name] for name in ("src_mac", "dst_mac", "src", "dst", "payload", "vlans", "ident")},
    )


@unhurried
@given(st.data(), st.binary(max_size=60))
def test_one_changed_bit_is_seen_by_a_checksum(data: st.DataObject, payload: bytes) -> None:
    raw = bytearray(
        frame.udp_frame(
            src_mac="02:00:00:00:00:01",
            dst_mac="02:00:00:00:00:02",
            src=("10.0.0.1", 1),
            dst=("10.0.0.2", 2),
            payload=payload,
        )
    )
    at = data.draw(st.integers(14, len(raw) - 1))
    raw[at] ^= 1 << data.draw(st.integers(0, 7))
    try:
        parsed = frame.parse_udp(bytes(raw))
    except MalformedMessage:
        return
    no_checksum_left = raw[40:42] == b"\0\0"
    assert no_checksum_left or not (parsed.ipv4_checksum_ok and parsed.udp_checksum_ok)


@unhurried
@given(st.binary(max_size=200))
def test_checksum_is_the_ones_complement_sum(data: bytes) -> None:
    """Word by word with end-around carry, as RFC 1071 writes it."""
    total = 0
    padded = data + bytes(len(data) % 2)
    for at in range(0, len(padded), 2):
        total += padded[at] << 8 | padded[at + 1]
        total = (total & 0xFFFF) + (total >> 16)
    assert frame.checksum(data) == total ^ 0xFFFF


@unhurried
@given(st.lists(st.binary(min_size=1, max_size=50)))
def test_binaryfile_round_trip(messages: list[bytes]) -> None:
    stream = io.BytesIO()
    assert binaryfile.write(stream, messages) == len(messages)
    stream.seek(0)
    assert list(binaryfile.read(stream)) == messages


@unhurried
@given(st.binary(max_size=200))
def test_any_file_reads_or_is_malformed(raw: bytes) -> None:
    read: list[bytes] = []
    try:
        for message in binaryfile.read(io.BytesIO(raw)):
            read.append(message)
    except MalformedMessage as fault:
        assert f"offset {sum(len(message) + 2 for message in read)}" in str(fault)
        return
    out = io.BytesIO()
    binaryfile.write(out, read)
    assert raw == out.getvalue() or raw.startswith(out.getvalue() + b"\0\0")


PRICES = st.integers(0, price.MAX_PRICE_E4)


@unhurried
@given(PRICES)
def test_prices_round_trip(price_e4: int) -> None:
    text = price.format_price_e4(price_e4)
    assert price.parse_price_e4(text) == price_e4
    assert price.parse_price_e4(Decimal(text)) == price_e4
    assert price.format_money_e4(price_e4).replace(",", "") == text
    assert price.format_money_e4(-price_e4) == ("-" if price_e4 else "") + price.format_money_e4(price_e4)


@unhurried
@given(st.integers(0, 2_000_000_000))
def test_floats_in_the_range_of_prices_are_exact_or_refused(price_e4: int) -> None:
    assert price.parse_price_e4(price_e4 / 10_000) == price_e4


@unhurried
@given(st.one_of(st.text(max_size=30), st.floats(), st.decimals(), st.integers()))
def test_any_price_parses_exactly_or_is_malformed(value: str | float | Decimal | int) -> None:
    try:
        price_e4 = price.parse_price_e4(value)
    except MalformedMessage:
        return
    assert 0 <= price_e4 <= price.MAX_PRICE_E4
    exact = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    assert exact == Decimal(price_e4).scaleb(-4)
