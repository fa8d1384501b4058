"""What is asked for again, and when: the policy in virtual time."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from turbo_hft.errors import ConfigError
from turbo_hft.recovery.rerequest import Rerequester
from turbo_hft.recovery.settings import Pause, RecoverySettings
from turbo_hft.snapshots import FeedSnapshot
from turbo_hft.wire.moldudp64 import Request

MS = 1_000_000
SETTINGS = RecoverySettings(
    max_gap=1000, max_request=100, in_flight=2, retry_ns=5 * MS, longest_retry_ns=20 * MS, tries=4
)


@dataclass
class Feed:
    """A feed of which `missing` are missing, and the policy that looks at it."""

    highest: int = 200
    missing: set[int] = field(default_factory=set)
    health: str = "gap"
    replies: int = 0
    hold_since_ns: int = 77
    policy: Rerequester = field(default_factory=lambda: Rerequester(SETTINGS, hold_ns=2 * MS, reach=10_000))

    def snapshot(self) -> FeedSnapshot:
        expected = min(self.missing, default=self.highest)
        return FeedSnapshot(
            session="DAY1", phase="market", breaker="", health=self.health if self.missing else "live",
            expected_seq=expected, highest_seq=self.highest, exchange_ns=0, seen_ns=0,
            hold_since_ns=self.hold_since_ns if self.missing else 0, gaps=0, missed=0, breaker_level_e8=(0, 0, 0),
            generation=0, first=(0, 0, self.replies), late=(0, 0, 0), line_next=(0, 0, 0), cpu=None,
        )  # fmt: skip

    def ranges(self) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        for number in sorted(self.missing):
            if found and found[-1][1] == number:
                found[-1] = (found[-1][0], number + 1)
            else:
                found.append((number, number + 1))
        return found

    def poll(self, ms: float) -> list[tuple[int, int]]:
        requests = self.policy.poll(int(ms * MS), self.snapshot(), self.ranges)
        assert all(request.session == "DAY1" for request in requests)
        for request in requests:
            assert set(range(request.sequence, request.sequence + request.count)) <= self.missing, request
        return [(request.sequence, request.count) for request in requests]

    def arrive(self, first: int, count: int, *, reply: bool = True) -> None:
        self.missing -= set(range(first, first + count))
        self.replies += count if reply else 0


def test_nothing_is_asked_for_while_nothing_is_missing() -> None:
    feed = Feed()
    assert feed.poll(0) == feed.poll(100) == [] and not feed.policy.given_up


def test_the_first_missing_is_asked_for_first_and_once() -> None:
    feed = Feed(missing={100, 101, 102, 150})
    assert feed.poll(0) == [(100, 3), (150, 1)]
    assert feed.poll(1) == feed.poll(4.9) == []
    feed.arrive(100, 3)
    assert feed.poll(4.9) == []
    feed.arrive(150, 1)
    assert feed.poll(30) == []
    assert (feed.policy.requests, feed.policy.retries, feed.policy.messages_asked) == (2, 0, 4)


def test_a_hold_is_waited_out_by_our_own_clock() -> None:
    feed = Feed(missing={100}, health="hold")
    assert feed.poll(0) == feed.poll(2) == []
    assert feed.poll(2.1) == [(100, 1)]
    other = Feed(missing={100}, health="hold")
    assert other.poll(0) == []
    other.hold_since_ns += 1  # it moved on: another hold
    assert other.poll(2.1) == other.poll(4) == []
    assert other.poll(4.2) == [(100, 1)]


def test_other_healths_are_none_of_our_business() -> None:
    for health in ("idle", "ended", "live"):
        assert Feed(missing={100}, health=health).poll(0) == []


def test_a_long_gap_is_asked_for_in_parts() -> None:
    feed = Feed(highest=900, missing=set(range(100, 500)))
    assert feed.poll(0) == [(100, 100), (200, 100)]
    feed.arrive(100, 100)
    assert feed.poll(1) == [(300, 100)]


def test_a_reply_that_brings_a_part_is_followed_at_once() -> None:
    feed = Feed(missing=set(range(100, 180)))
    assert feed.poll(0) == [(100, 80)]
    feed.arrive(100, 33)
    assert feed.poll(0.2) == [(133, 47)]
    feed.arrive(133, 33)
    assert feed.poll(0.4) == [(166, 14)]
    feed.arrive(166, 14)
    assert feed.poll(0.6) == [] and feed.policy.partial_replies == 2 and feed.policy.retries == 0


def test_what_the_other_line_brings_causes_no_request() -> None:
    feed = Feed(missing=set(range(100, 180)))
    assert feed.poll(0) == [(100, 80)]
    for number in range(100, 150):
        feed.arrive(number, 1, reply=False)
        assert feed.poll(1) == []
    assert feed.poll(5) == [(150, 30)], "time is up: the rest again"


def test_lost_replies_are_asked_for_again_after_ever_longer_times_and_then_given_up() -> None:
    feed = Feed(missing={100})
    sent = [now / 10 for now in range(0, 1000) if feed.poll(now / 10)]
    assert sent == [0, 5, 15, 35]
    assert "no answer to 4 requests for message 100" in feed.policy.given_up
    feed.arrive(100, 1)
    feed.poll(200)
    assert not feed.policy.given_up
    feed.missing = {150}
    assert feed.poll(201) == [(150, 1)]


def test_an_answer_starts_the_count_anew() -> None:
    feed = Feed(missing=set(range(100, 110)))
    for now in range(0, 400, 10):
        if feed.poll(now) and now % 30 == 20 and feed.missing:
            feed.arrive(min(feed.missing), 1)
    assert not feed.policy.given_up


def test_a_gap_that_is_too_long_is_not_asked_for() -> None:
    feed = Feed(highest=1101, missing=set(range(100, 1101)))
    assert feed.poll(0) == [] and "1001 messages from 100 on are too many" in feed.policy.given_up
    late = Feed(highest=5000, missing=set(range(1, 5000)))
    assert late.poll(0) == [] and late.policy.given_up


def test_what_the_hook_could_not_keep_is_not_asked_for_yet() -> None:
    feed = Feed(highest=600, missing=set(range(100, 600)), policy=Rerequester(SETTINGS, hold_ns=0, reach=64))
    assert feed.poll(0) == [(100, 64)]
    feed.arrive(100, 33)
    assert feed.poll(1) == [(133, 64)]


def test_holes_within_a_request_that_was_not_answered() -> None:
    feed = Feed(missing=set(range(100, 150)))
    assert feed.poll(0) == [(100, 50)]
    feed.arrive(110, 5, reply=False)
    assert feed.poll(6) == [(100, 10), (115, 35)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_request": 0}, {"max_request": 65_535}, {"in_flight": 0}, {"tries": 0}, {"retry_ns": 0}, {"max_gap": -1},
        {"longest_retry_ns": 1}, {"longest_pause_ns": 1}, {"silence_ns": -1},
    ],
)  # fmt: skip
def test_settings_that_cannot_be(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        RecoverySettings(**wrong)


def test_a_pause_doubles_to_its_bound() -> None:
    pause, waits = Pause(50, 300), []
    assert pause.over(0)
    for _ in range(5):
        pause.fail(1000)
        waits.append(pause.until_ns - 1000)
    assert waits == [50, 100, 200, 300, 300] and not pause.over(1299) and pause.over(1300)
    pause.reset()
    assert pause.over(0) and pause.failures == 0


def test_requests_are_moldudp64() -> None:
    feed = Feed(missing={100})
    (request,) = feed.policy.poll(0, feed.snapshot(), feed.ranges)
    assert request.encode() == Request("DAY1", 100, 1).encode()
