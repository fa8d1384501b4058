"""The race on a TCP connection: what is held against the decision, and which times count."""

from __future__ import annotations

import pytest
from turbo_hft.errors import ExchangeError
from turbo_hft.latency.race import _check, _demanded
from turbo_hft.latency.threshold import Threshold

PRICES = [1_632_000, 1_631_900, 1_631_800, 1_631_700]
ONE = Threshold()
NOTHING = bytes(50)


def orders(*of: tuple[int, int] | None) -> bytes:
    """For each tick the order in its place: (UserRefNum, number of the tick it is for)."""
    return b"".join(NOTHING if one is None else _demanded(ONE, one[0], PRICES[one[1]]) for one in of)


def test_right_orders_count() -> None:
    times = [5, 6, 0, 7]
    assert _check(times, orders((1, 0), (2, 1), None, (3, 3)), PRICES, ONE) == (3, 0)
    assert times == [5, 6, 0, 7]


def test_orders_that_came_for_the_tick_before_are_late_and_have_no_time() -> None:
    times = [0, 6, 7, 8]
    assert _check(times, orders(None, (1, 0), (2, 1), (3, 3)), PRICES, ONE) == (3, 2)
    assert times == [0, 0, 0, 8]


@pytest.mark.parametrize(
    ("taken", "why"),
    [
        (orders((1, 0), (2, 0), (3, 2), (4, 3)), "tick 2 is .* the decision demands"),  # nobody waits for that one
        (orders((1, 0), (1, 1), (2, 2), (3, 3)), "tick 2 has UserRefNum 1 again"),
        (orders((1, 0), (2, 1), (3, 2)) + bytes([0, 48]) + b"UX" + bytes(46), "tick 4"),
    ],
)
def test_wrong_orders_are_errors(taken: bytes, why: str) -> None:
    with pytest.raises(ExchangeError, match=why):
        _check([1, 1, 1, 1], taken, PRICES, ONE)
