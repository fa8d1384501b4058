"""Orders without an answer: what is certain is declared lost, the rest is not."""

from __future__ import annotations

import pytest
from desk_rig import Desk
from turbo_hft._native import lib
from turbo_hft.testing import Hook
from turbo_hft.unanswered import CANCEL_AGAIN_S, Unanswered, UnansweredCancels
from turbo_hft.wire import ouch50

pytestmark = pytest.mark.kernel

LOST_AFTER_S = 5.0


@pytest.fixture
def desk(hook: Hook) -> Desk:
    return Desk(hook)


@pytest.fixture
def now() -> float:
    """Later than any order of the test was sent."""
    import time

    return time.monotonic() + 100


def settler(desk: Desk, *, can_query: bool = True) -> Unanswered:
    return Unanswered(desk.engine, can_query=can_query, lost_after_s=LOST_AFTER_S)


def enter(desk: Desk, price: str) -> int:
    return desk.engine.orders.enter("AAPL", "buy", 100, price, tif="day")


def test_an_order_the_exchange_has_gone_past_is_lost(desk: Desk, now: float) -> None:
    """It says that its next number is above the order's, and all replies up to that answer were applied."""
    first, second, third = enter(desk, "163.00"), enter(desk, "162.99"), enter(desk, "162.98")
    unanswered = settler(desk)
    unanswered.step(now)
    assert [order.user_ref for order in unanswered.uncertain] == [first, second, third]
    assert unanswered.query_due(now) and not unanswered.query_due(now + 0.1)
    desk.answer(desk.accepted(), desk.canceled(99, 1))  # the third arrived; the answer to the query is reply 2
    unanswered.answered(next_user_ref=third + 1, sequence=2)
    desk.engine.halt()
    assert desk.engine.session.health == "suspect", "the rig has no account query: something else took its place"
    desk.engine.trust_session()
    desk.engine.lease.forever()
    desk.engine.resume()
    unanswered.step(now + 0.2)
    assert unanswered.lost == [first, second] and unanswered.uncertain == ()
    assert [desk.engine.orders[ref].state for ref in (first, second, third)] == ["lost", "lost", "live"]
    assert not unanswered.query_due(now + 10), "there is nothing to be asked"


def test_an_answer_that_is_ahead_of_the_replies_proves_nothing(desk: Desk, now: float) -> None:
    ref = enter(desk, "163.00")
    unanswered = settler(desk)
    unanswered.answered(next_user_ref=ref + 1, sequence=7)  # replies 1 to 6 may hold its acceptance
    unanswered.step(now)
    assert [order.user_ref for order in unanswered.uncertain] == [ref] and unanswered.lost == []


def test_nothing_is_lost_while_replies_are_missing(desk: Desk, now: float) -> None:
    ref = enter(desk, "163.00")
    desk.engine.halt()
    desk.answer(desk.canceled(99, 1), at=3)
    unanswered = settler(desk)
    unanswered.answered(next_user_ref=ref + 1, sequence=1)
    for later in (0, 10, 100):
        unanswered.step(now + later)
        assert unanswered.lost == [] and len(unanswered.uncertain) == 1


def test_an_older_answer_that_is_sent_again_changes_nothing(desk: Desk, now: float) -> None:
    ref = enter(desk, "163.00")
    unanswered = settler(desk)
    unanswered.answered(next_user_ref=1, sequence=9)
    unanswered.answered(next_user_ref=ref + 1, sequence=0)
    unanswered.step(now)
    assert unanswered.lost == []


@pytest.mark.parametrize("can_query", [True, False])
def test_time_decides_only_in_a_halted_engine_with_whole_replies(desk: Desk, now: float, can_query: bool) -> None:
    ref = enter(desk, "163.00")
    unanswered = settler(desk, can_query=can_query)
    for later in (0.0, 10.0):
        unanswered.step(now + later)
        assert len(unanswered.uncertain) == 1, "it trades: the order may be on its way"
    desk.engine.halt()
    unanswered = settler(desk, can_query=can_query)
    unanswered.step(now)
    unanswered.step(now + LOST_AFTER_S - 0.1)
    assert unanswered.lost == []
    unanswered.step(now + LOST_AFTER_S)
    assert unanswered.lost == [ref] and unanswered.uncertain == ()
    assert unanswered.query_due(now) is False


def test_a_gap_begins_the_wait_anew(desk: Desk, now: float) -> None:
    enter(desk, "163.00")
    desk.engine.halt()
    unanswered = settler(desk)
    unanswered.step(now)
    desk.engine._session[0].highest_seq += 1
    unanswered.step(now + LOST_AFTER_S)
    desk.engine._session[0].highest_seq -= 1
    unanswered.step(now + LOST_AFTER_S + 1)
    unanswered.step(now + 2 * LOST_AFTER_S)
    assert unanswered.lost == []
    unanswered.step(now + 2 * LOST_AFTER_S + 1)
    assert len(unanswered.lost) == 1


def test_a_cancel_without_an_answer_is_due_each_second(desk: Desk, now: float) -> None:
    first, second = enter(desk, "163.00"), enter(desk, "162.99")
    desk.answer(desk.accepted(desk.sent(0)), desk.accepted(desk.sent(1)))
    cancels = UnansweredCancels(desk.engine)
    assert cancels.due(now) == []
    desk.engine.orders.cancel(first)
    assert cancels.due(now) == [] and cancels.due(now + CANCEL_AGAIN_S / 2) == []
    assert cancels.due(now + CANCEL_AGAIN_S) == [first]
    assert cancels.due(now + CANCEL_AGAIN_S * 1.5) == [], "it was sent again just now"
    assert cancels.due(now + CANCEL_AGAIN_S * 2) == [first]
    desk.answer(ouch50.CancelPending(desk.clock, first))
    assert cancels.due(now + CANCEL_AGAIN_S * 4) == [], "that is an answer"
    desk.answer(ouch50.CancelReject(desk.clock, first))
    desk.engine.orders.cancel(second)
    assert cancels.due(now + 10) == [] and cancels.due(now + 20) == [second]
    desk.answer(desk.canceled(second, 100))
    assert cancels.due(now + 30) == []


def test_no_cancel_is_due_while_replies_are_missing(desk: Desk, now: float) -> None:
    ref = enter(desk, "163.00")
    desk.answer(desk.accepted())
    cancels = UnansweredCancels(desk.engine)
    desk.engine.orders.cancel(ref)
    desk.answer(desk.canceled(ref, 100), at=desk.reply_sequence + 1)
    assert cancels.due(now) == [] and cancels.due(now + 10) == []


def test_a_cancel_is_due_in_a_session_in_doubt_too(desk: Desk, now: float) -> None:
    ref = enter(desk, "163.00")
    desk.answer(desk.accepted())
    cancels = UnansweredCancels(desk.engine)
    desk.engine.orders.cancel(ref)
    desk.answer(desk.canceled(99, 1))
    assert desk.engine.session.health == "suspect"
    assert cancels.due(now) == [] and cancels.due(now + CANCEL_AGAIN_S) == [ref]
    desk.engine._session[0].health = lib.HFT_SESSION_ENDED
    assert cancels.due(now + 10) == []
