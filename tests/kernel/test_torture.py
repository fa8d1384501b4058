"""Days on which everything goes wrong that can, in small; ``make torture`` is the long form.

What is asserted all the time is in `turbo_hft.testing.torture`. That each of it can fail is shown first.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator

import pytest
from turbo_hft._native import ffi, lib
from turbo_hft.testing import torture
from turbo_hft.testing.torture import PROFILES, Day, DayResult, Profile, report, run_day
from turbo_hft.testing.trial import Mismatch

pytestmark = pytest.mark.kernel

MESSAGES = 150_000
SMALL = {"symbols": 50, "live_orders": 1_000}
DAY = b"DAY0000001"
BY_NAME = {profile.name: profile for profile in PROFILES}
HEAVY = BY_NAME["five percent of everything"]


@pytest.fixture(autouse=True)
def _no_talk(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Recovery tells each gap, and there are thousands."""
    with caplog.at_level(logging.CRITICAL, logger="turbo_hft.recovery"):
        yield


# Each of the checks can fail


def test_a_level_that_is_wrong_is_noticed() -> None:
    with Day(1, BY_NAME["nothing"], 20_000, **SMALL) as day:
        day._begin_session(20_000)
        while day.engine.symbols[day._trial.names[0]].depth(1).bids == ():
            day._step()
        books = day.engine.program.share("books", writable=True)
        books[0].window[lib.HFT_BUY].cell[books[0].best_e4[lib.HFT_BUY] // 100 % lib.HFT_RING] += 1
        with pytest.raises(Mismatch, match=r"bids differ from level 0") as caught:
            day._publish()
        assert "seed 1, profile 'nothing'" in str(caught.value)


def test_an_order_while_the_feed_is_not_live_is_noticed() -> None:
    """The driver is shown a feed that is held: the same session, but another health."""
    held = ffi.new("struct hft_feed_state *")
    held.health, held.session = lib.HFT_FEED_HOLD, DAY
    with Day(2, BY_NAME["nothing"], 20_000, feed=held, **SMALL) as day:
        with pytest.raises(Mismatch, match="an order left while its feed was not live"):
            day.run()
        assert day.engine.feed.health == "live"


def test_an_order_in_a_book_that_is_in_doubt_is_noticed() -> None:
    """A book is doubted behind the hook's back, in the only field that the gate asks."""
    with Day(3, BY_NAME["nothing"], 20_000, **SMALL) as day:
        config = day.engine.program.config
        doubted = ffi.new("struct hft_book[]", config.symbols)
        day._trial.native.books = doubted
        for slot in range(config.symbols):
            doubted[slot].health = lib.HFT_BOOK_QUARANTINED
            ffi.memmove(doubted[slot].name, day._trial.books[slot].name, 8)
        with pytest.raises(Mismatch, match="an order left in a symbol whose book is not whole"):
            day.run()


def test_a_gap_where_there_must_be_none_is_noticed() -> None:
    wrong = Profile(name="said to be quiet", both=0.01, both_run=10, quiet=True)
    with pytest.raises(Mismatch, match="one line was whole, and yet"), Day(4, wrong, 20_000, **SMALL) as day:
        day.run()


def test_a_day_that_does_not_become_whole_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torture, "_PATIENCE_NS", 1_000_000_000)
    wrong = Profile(name="nobody helps", both=0.01, both_run=10, server_loss=1.0, snapshot_loss=1.0)
    with pytest.raises(Mismatch, match="not whole 1 s after the last message"), Day(5, wrong, 20_000, **SMALL) as day:
        day.run()


# The days

# What must have happened on a day of this profile, or the profile does not do what it says.
SIGNS = {
    "nothing": ("orders",),
    "one line loses": ("lost", "duplicated", "reordered", "feed_holds", "orders"),
    "both lose by themselves": ("feed_holds", "feed_kept"),
    "both lose the same": ("feed_gaps", "requests"),
    "five percent of everything": ("feed_gaps", "requests"),
    "a server that hardly answers": ("feed_gaps", "retries"),
    "a server that never answers": ("feed_missed", "snapshots", "book_quarantines", "book_restores"),
    "long outages": ("feed_missed", "snapshots", "book_quarantines", "book_restores"),
    "little is kept": ("feed_gaps", "feed_not_kept"),
    "another session": ("feed_rollovers", "feed_wrong_session", "book_restores"),
    "another session at once": ("feed_rollovers", "feed_wrong_session", "book_restores"),
    "late servers": ("feed_gaps", "requests"),
}


# Any seed does where much goes wrong; outages that no re-request fills are rare.
SEED = dict.fromkeys(BY_NAME, 1) | {"long outages": 2, "little is kept": 5}


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_a_day(profile: Profile) -> None:
    day = run_day(SEED[profile.name], MESSAGES, profile)
    assert day.messages > MESSAGES and day.counts["depths"] > 5_000, day
    missing = [sign for sign in SIGNS[profile.name] if not day.counts[sign]]
    assert not missing, f"not on this day: {missing}; {day.counts}"
    assert day.counts["orders"] > 100, "triggers come all the time"
    if profile.quiet:
        assert day.counts["feed_gaps"] == day.counts["book_quarantines"] == 0


def test_the_same_seed_is_the_same_day() -> None:
    """All but the wall clock."""
    days = [run_day(7, 20_000, HEAVY) for _ in range(2)]
    assert days[0].counts == days[1].counts
    assert [span.virtual_ns for span in days[0].gaps] == [span.virtual_ns for span in days[1].gaps] != []


def test_a_report_adds_up() -> None:
    day = DayResult(1, "x", messages=1_000, wall_ns=500_000_000, counts=Counter(orders=3, feed_gaps=2))
    text = report([day, day])
    assert "2 days, 2,000 messages in 1.0 s: 2,000 a second" in text and "orders 6" in text and "gaps 4" in text
