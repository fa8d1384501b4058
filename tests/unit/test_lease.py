"""The lease: who renews it, and how long it holds after nobody does."""

from __future__ import annotations

import time
from typing import Any

import pytest
from turbo_hft._native import ffi
from turbo_hft.errors import ConfigError
from turbo_hft.lease import FOREVER, Lease


@pytest.fixture
def control() -> Any:
    return ffi.new("struct hft_control[1]")


@pytest.fixture
def lease(control: Any) -> Lease:
    return Lease(control, feed_clock=False, seconds=0.2)


def lapses_within(lease: Lease, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while lease.in_force and time.monotonic() < end:
        time.sleep(0.001)
    return not lease.in_force


def test_a_fresh_one_is_not_in_force(lease: Lease) -> None:
    assert not lease.in_force and lease.left_s == 0


def test_a_beat_holds_for_its_time(lease: Lease) -> None:
    lease.beat()
    assert 0.1 < lease.left_s <= 0.2 and lease.in_force
    assert lapses_within(lease, 0.3)
    lease.seconds = 2
    lease.beat()
    assert 1.5 < lease.left_s <= 2
    lease.renew(60)
    assert 59 < lease.left_s <= 60
    lease.lapse()
    assert not lease.in_force


def test_a_keeper_renews_it_and_lets_it_lapse_at_its_end(lease: Lease) -> None:
    with lease.keep():
        end = time.monotonic() + 0.6
        while time.monotonic() < end:
            assert lease.in_force
            time.sleep(0.001)
    assert not lease.in_force


def test_a_loop_that_hangs_is_noticed_within_its_patience(lease: Lease) -> None:
    with lease.keep(patience_s=0.3) as keeper:
        for _ in range(10):
            keeper.beat()
            time.sleep(0.05)
            assert lease.in_force
        beaten = time.monotonic()
        keeper.beat()
        assert lapses_within(lease, 1)
        assert 0.2 < time.monotonic() - beaten < 0.45
        time.sleep(0.2)
        assert not lease.in_force, "the thread does not renew it behind the loop's back"
        keeper.beat()
        time.sleep(0.12)
        assert lease.in_force, "it goes on with the loop"


def test_the_feeds_clock_knows_no_lease_but_for_ever(control: Any) -> None:
    lease = Lease(control, feed_clock=True)
    for renew in (lease.beat, lease.keep, lambda: lease.renew(1)):
        with pytest.raises(ConfigError, match=r"lease.forever\(\)"):
            renew()
    lease.forever()
    assert lease.in_force and lease.left_s == float("inf") and lease.until_ns == FOREVER


@pytest.mark.parametrize("seconds", [0, -1, 4000, float("nan"), True, "1"])
def test_a_time_that_cannot_be_is_refused(lease: Lease, seconds: Any) -> None:
    with pytest.raises(ConfigError):
        lease.seconds = seconds
    with pytest.raises(ConfigError):
        lease.renew(seconds)
    with pytest.raises(ConfigError):
        lease.keep(seconds)
    assert lease.seconds == 0.2 and not lease.in_force
