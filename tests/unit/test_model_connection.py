"""Rule 11 in the model, by examples that need no kernel."""

from __future__ import annotations

from typing import Any

import pytest
from turbo_hft.addresses import OrderSession
from turbo_hft.model import Congestion, ModelConfig, ModelEngine, Reason, SessionHealth, Transport, WireFlag
from turbo_hft.model.connection import Held, Socket, Wire, ahead
from turbo_hft.model.reserve import in_recovery, in_step, refusal, window_left
from turbo_hft.model.segment import build_segment, read_segment, window_told
from turbo_hft.model.state import Template
from turbo_hft.model.stream import sequenced_of
from turbo_hft.template import order_template
from turbo_hft.wire.frame import TCP_ACK, TCP_FIN, TCP_PSH, tcp_frame

LOCAL, REMOTE = ("10.77.0.1", 40000), ("10.77.0.2", 26450)
MACS: dict[str, Any] = {"src_mac": "02:00:00:00:77:02", "dst_mac": "02:00:00:00:77:01"}
SESSION = OrderSession(
    local=LOCAL,
    remote=REMOTE,
    local_mac=MACS["dst_mac"],
    remote_mac=MACS["src_mac"],
    username="",
    password="",
    transport="soupbintcp",
)
EVENT = b"S" + bytes(8) + b"S"


def test_sequences_wrap() -> None:
    assert ahead(5, 2**32 - 5) == 10
    assert ahead(2**32 - 5, 5) == -10
    assert ahead(7, 7) == 0
    assert ahead(2**31, 0) == -(2**31)


@pytest.mark.parametrize(
    ("told", "came", "scale", "window"),
    [(1000, 0, 0, 1000), (1000, 1, 0, 999), (1000, 0, 7, 8), (1024, 0, 7, 8), (10**6, 0, 2, 65_535), (10, 20, 0, 0)],
)
def test_the_window_is_rounded_up_and_never_negative(told: int, came: int, scale: int, window: int) -> None:
    received = 2**32 - 5
    socket = Socket(rcv_wup=received, rcv_wnd=told, rcv_nxt=(received + came) % 2**32)
    assert window_told(Wire(rcv_wscale=scale), socket) == window


def test_what_is_unmerged_may_be_missing_in_the_kernel() -> None:
    at = 2**32 - 100
    assert in_step(Wire(seq=at), Socket(write_seq=at))
    assert not in_step(Wire(seq=at + 1), Socket(write_seq=at))
    assert in_step(Wire(seq=(at + 1024) % 2**32, unmerged=2), Socket(write_seq=at))
    assert not in_step(Wire(seq=(at + 1025) % 2**32, unmerged=2), Socket(write_seq=at))
    assert not in_step(Wire(seq=at - 1, unmerged=2), Socket(write_seq=at))


def test_a_state_of_recovery_counts_while_something_is_under_way() -> None:
    assert in_recovery(Socket(sacked_out=1))
    assert in_recovery(Socket(congestion=Congestion.LOSS, snd_nxt=1))
    assert not in_recovery(Socket(congestion=Congestion.LOSS, snd_nxt=1, snd_una=1))
    assert not in_recovery(Socket(congestion=Congestion.CWR, snd_nxt=1))


def test_room_is_what_the_peer_has_left() -> None:
    assert window_left(Wire(seq=10), Socket(snd_una=2**32 - 10, snd_wnd=120)) == 100
    assert window_left(Wire(seq=10), Socket(snd_una=0, snd_wnd=5)) == -5


def test_only_whole_packets_of_a_server_are_read() -> None:
    assert sequenced_of(b"\0\1H\0\3Sab\0\1S") == [b"ab", b""]
    assert sequenced_of(b"") == []
    for bad in (b"\0", b"\0\0", b"\0\1", b"\0\3Sa", b"\0\1U", b"\0\1H\0"):
        assert sequenced_of(bad) is None


def test_the_segment_is_what_the_codec_makes_of_the_same_values() -> None:
    filled = order_template(SESSION, timestamps=True)
    template = Template(headers_len=filled.headers_len, headers=bytes(filled.headers))
    wire = Wire(seq=2**32 - 20, timestamps=1, rcv_wscale=1)
    socket = Socket(rcv_nxt=77, rcv_wup=77, rcv_wnd=1001, tsoffset=2**32 - 1, ts_recent=9)
    made = build_segment(template, wire, socket, b"odd", 0x1234, 5_000_000)
    assert made == tcp_frame(
        src_mac=SESSION.local_mac,
        dst_mac=SESSION.remote_mac,
        src=LOCAL,
        dst=REMOTE,
        payload=b"odd",
        seq=2**32 - 20,
        ack=77,
        flags=TCP_ACK | TCP_PSH,
        window=501,
        timestamps=(4, 9),
        ident=0x1234,
    )


@pytest.fixture
def model() -> ModelEngine:
    made = ModelEngine(ModelConfig(transport=Transport.SOUPBINTCP))
    made.wire = Wire(seq=300, unmerged=1, flags=WireFlag.ARMED, remote=REMOTE, local=LOCAL, reply_sync=(50, 8))
    made.template.protocol = 1
    made.session.health, made.session.expected_seq, made.session.highest_seq = SessionHealth.UP, 8, 8
    return made


def test_an_early_acknowledgement_is_cut_down_and_kept(model: ModelEngine) -> None:
    segment: dict[str, Any] = {"src": REMOTE, "dst": LOCAL, "seq": 40, "window": 9, "timestamps": (3, 4), **MACS}
    outcome = model.packet(tcp_frame(**segment, ack=300, payload=b"\0\1H"), 0)
    assert outcome.frame == tcp_frame(**segment, ack=0, payload=b"\0\1H")
    assert model.wire.held == Held(version=2, ack=300, seq=43, window=9, tsval=3, tsecr=4)
    assert (model.counter["wire_acks_held"], model.counter["wire_replies_left"]) == (1, 1)


def test_replies_are_applied_where_the_stream_stands(model: ModelEngine) -> None:
    packet = b"\0\x0bS" + EVENT
    frame = tcp_frame(src=REMOTE, dst=LOCAL, seq=50, ack=0, payload=packet + packet, **MACS)
    assert [event.feed_seq for event in model.packet(frame, 0).events] == [8, 9]
    assert (model.session.expected_seq, model.wire.reply_next) == (10, (76, 10))
    assert model.packet(frame, 0).events == []
    assert (model.counter["wire_replies"], model.counter["wire_replies_left"]) == (2, 1)


def test_the_end_of_the_connection_is_seen(model: ModelEngine) -> None:
    model.packet(tcp_frame(src=REMOTE, dst=LOCAL, seq=50, ack=0, flags=TCP_FIN, **MACS), 0)
    assert model.wire.flags == WireFlag.ARMED | WireFlag.CLOSED
    assert refusal(model, 0) == Reason.WIRE_DOWN


def test_a_segment_of_somebody_else_is_none(model: ModelEngine) -> None:
    others: tuple[dict[str, Any], ...] = (
        {"src": REMOTE, "dst": ("10.77.0.1", 1)},
        {"src": ("10.77.0.3", 26450), "dst": LOCAL},
    )
    for where in others:
        frame = tcp_frame(**where, **MACS)
        assert read_segment(frame, model.wire) is None
        model.packet(frame, 0)
    assert (model.counter["not_ours"], model.counter["wire_packets"]) == (2, 0)
