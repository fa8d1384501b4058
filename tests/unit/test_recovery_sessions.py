"""When a feed changes to another session."""

from __future__ import annotations

import socket
from dataclasses import replace

from turbo_hft.addresses import FeedLine
from turbo_hft.recovery.sessions import SessionWatch, Strangers
from turbo_hft.recovery.settings import RecoverySettings
from turbo_hft.snapshots import FeedSnapshot
from turbo_hft.wire import moldudp64

SECOND = 1_000_000_000
FEED = FeedSnapshot(
    session="DAY1", phase="market", breaker="", health="live", expected_seq=50, highest_seq=50, exchange_ns=0,
    seen_ns=0, hold_since_ns=0, gaps=0, missed=0, breaker_level_e8=(0, 0, 0), generation=0, first=(49, 0, 0),
    late=(0, 0, 0), line_next=(50, 0, 0), cpu=0,
)  # fmt: skip


def watch() -> SessionWatch:
    return SessionWatch(RecoverySettings())


def test_an_ended_session_is_left_for_the_first_other_one() -> None:
    policy, ended = watch(), replace(FEED, health="ended")
    assert policy.decide(0, ended, 60, []) is None and not policy.expecting
    assert policy.decide(1, ended, 60, ["DAY1"]) is None
    assert policy.decide(2, ended, 60, ["DAY2"]) == "DAY2"
    assert policy.decide(3, replace(ended, session="DAY2"), 60, ["DAY1"]) is None, "never back"


def test_a_living_session_is_not_left() -> None:
    policy = watch()
    for second in range(20):
        assert policy.decide(second * SECOND, replace(FEED, expected_seq=50 + second), 60, ["DAY2"]) is None
    for second in range(20, 40):  # nothing but heartbeats
        assert policy.decide(second * SECOND, FEED, 60 + second, ["DAY2"]) is None
    assert policy.expecting


def test_a_silent_session_is_left_when_the_other_one_goes_on() -> None:
    policy = watch()
    assert policy.decide(0, FEED, 60, ["DAY2"]) is None
    assert policy.decide(20 * SECOND, FEED, 60, []) is None, "one packet, long ago"
    assert policy.decide(21 * SECOND, FEED, 60, ["DAY2"]) == "DAY2"


def test_only_believed_senders_and_whole_packets_are_heard() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as believed,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
    ):
        for sock in (believed, other):
            sock.bind(("127.0.0.1", 0))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        strangers = Strangers([FeedLine("a", "127.0.0.1", port, ("127.0.0.1", believed.getsockname()[1]))])
        packet = moldudp64.Heartbeat("DAY2", 1).encode()
        other.sendto(packet, ("127.0.0.1", port))
        believed.sendto(packet[:-1], ("127.0.0.1", port))
        assert strangers.sessions() == []
        believed.sendto(packet, ("127.0.0.1", port))
        assert strangers.sessions() == ["DAY2"]
        strangers.close()
