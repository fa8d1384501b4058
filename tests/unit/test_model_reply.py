"""Rule 8, third part: what each reply does, and in which states it is allowed: chains, pending, broken, recovering."""

from __future__ import annotations

import copy
import struct

import pytest
from model_bytes import (
    NS,
    Rig,
    accepted42,
    accepted50,
    aiq50,
    broken50,
    cancel_rejected50,
    canceled50,
    enter,
    executed50,
    instead,
    kinds,
    modified50,
    pending50,
    priority50,
    rejected42,
    rejected50,
    replaced50,
    restated50,
    token,
    ufo,
    withdraw,
)
from turbo_hft.model import (
    EventKind,
    Execution,
    OrderState,
    Pending,
    Protocol,
    Reason,
    SessionHealth,
    Side,
    Strategy,
    WorkingOrder,
)
from turbo_hft.model.names import MAX_EXECUTIONS

PRICE = 1_500_000
K = EventKind
BUY, SELL = Side.BUY, Side.SELL


def sent(side: Side = BUY, qty: int = 100) -> Rig:
    """Order 1 has left; a sale is a short one."""
    rig = Rig()
    rig.of_symbol.short_ok, rig.of_symbol.max_short = 1, 10_000
    rig.order(enter(side, qty, PRICE))
    return rig


def live(side: Side = BUY, qty: int = 100) -> Rig:
    """Order 1 is live."""
    rig = sent(side, qty)
    rig.reply(accepted50(1, qty, side="B" if side == BUY else "T"))
    return rig


def moving(qty: int = 120, price_e4: int = PRICE + 100) -> Rig:
    """Order 1 is live, of 100 shares; order 2 shall come in its place."""
    rig = live()
    rig.order(instead(1, BUY, qty, price_e4))
    return rig


def chained(executed: int = 30) -> Rig:
    """Order 2 of 80 shares came in the place of order 1, of which some shares were executed."""
    rig = live()
    if executed:
        rig.reply(executed50(1, executed, PRICE, match=1))
    rig.order(instead(1, BUY, 80, PRICE + 100))
    rig.reply(replaced50(1, 2, 80, PRICE + 100))
    return rig


def order(rig: Rig, ref: int = 1) -> WorkingOrder:
    return rig.engine.working[ref]


def sums(rig: Rig) -> tuple[list[int], list[int], int]:
    """Of open orders, which must be those of the orders themselves."""
    state, account = rig.state, rig.engine.account
    opened = [one for one in rig.engine.working.values() if one.state in (OrderState.SENT, OrderState.LIVE)]
    assert sorted(filter(None, state.open_ref)) == sorted(one.user_ref for one in opened)
    assert state.open_orders == account.open_orders == len(opened)
    assert sum(strategy.open_orders for strategy in account.strategy) == len(opened)
    for side in Side:
        assert state.open_qty[side] == sum(one.counted_qty for one in opened if one.side == side)
        assert account.open_e4[side] == sum(one.counted_e4 for one in opened if one.side == side)
    return list(state.open_qty), list(account.open_e4), len(opened)


def image(rig: Rig) -> str:
    engine = rig.engine
    return repr((engine.working, engine.symbols, engine.account, engine.executions, engine.books))


def refused(rig: Rig, message: bytes, counter: str = "reply_bad_state") -> None:
    """The reply is not allowed: nothing but doubt comes of it."""
    before, count = image(rig), rig.engine.counter[counter]
    outcome = rig.reply(message)
    assert kinds(outcome) == [K.SESSION_SUSPECT]
    assert rig.engine.session.health == SessionHealth.SUSPECT
    assert rig.engine.counter[counter] == count + 1
    assert image(rig) == before


# --- in which states each is allowed ---------------------------------------------------------------------------------

FINISHED = {
    OrderState.FILLED: executed50(1, 100, PRICE),
    OrderState.CANCELED: canceled50(1, 100),
}


def in_state(state: OrderState) -> Rig:
    """Order 1 in that state."""
    if state == OrderState.SENT:
        return sent()
    if state == OrderState.REJECTED:
        rig = sent()
        rig.reply(rejected50(1))
        return rig
    if state == OrderState.REPLACED:
        return chained(0)
    rig = live()
    if state in FINISHED:
        rig.reply(FINISHED[state])
    elif state == OrderState.LOST:
        rig = moving()
        # Order 2 is the lost one, but what is asked about here is order 1.
        rig.reply(canceled50(1, 100))
        rig.engine.working[1] = rig.engine.working[2]
        rig.engine.working[1].user_ref = 1
    return rig


LIVE_ONLY: dict[str, bytes] = {
    "executed": executed50(1, 1, PRICE),
    "canceled": canceled50(1, 1),
    "aiq": aiq50(1, 1),
    "cancel pending": pending50(1),
    "cancel rejected": cancel_rejected50(1),
    "priority": priority50(1, PRICE),
    "modified": modified50(1, 1),
}
STATES = [state for state in OrderState if state != OrderState.NONE]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", LIVE_ONLY)
def test_what_only_a_live_order_allows(name: str, state: OrderState) -> None:
    rig = in_state(state)
    assert order(rig).state == state
    if state == OrderState.LIVE:
        assert len(kinds(rig.reply(LIVE_ONLY[name]))) == 1
        sums(rig)
    else:
        refused(rig, LIVE_ONLY[name])


@pytest.mark.parametrize("state", STATES)
def test_accepted_and_rejected_only_when_sent(state: OrderState) -> None:
    for message in (accepted50(1, 100), rejected50(1)):
        rig = in_state(state)
        if state == OrderState.SENT:
            assert len(kinds(rig.reply(message))) == 1
        else:
            refused(rig, message)


@pytest.mark.parametrize("state", STATES)
def test_restated_while_open(state: OrderState) -> None:
    rig = in_state(state)
    if state in (OrderState.SENT, OrderState.LIVE):
        before = image(rig)
        (event,) = rig.reply(restated50(1)).events
        assert (event.kind, event.reason, event.qty, event.open_qty) == (K.RESTATED, ord("R"), 0, 100)
        assert image(rig) == before
    else:
        refused(rig, restated50(1))


@pytest.mark.parametrize(
    "message",
    [
        accepted50(1, 99),
        accepted50(1, 101),
        accepted50(1, 100, name="MSFT"),
        accepted50(1, 100, side="S"),
        accepted50(1, 100, side="\0"),
    ],
)
def test_accepted_must_be_what_was_sent(message: bytes) -> None:
    refused(sent(), message)


@pytest.mark.parametrize("side", ["S", "T", "E", "?"])
def test_any_other_side_is_a_sale(side: str) -> None:
    rig = sent(SELL)
    assert kinds(rig.reply(accepted50(1, 100, side=side))) == [K.ACCEPTED]
    refused(sent(SELL), accepted50(1, 100, side="B"))


def test_a_replacement_is_not_accepted_but_replaced() -> None:
    refused(moving(), accepted50(2, 120))
    refused(sent(), replaced50(1, 1, 100))
    refused(live(), replaced50(1, 1, 100))


# --- replaced --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        replaced50(3, 2, 120),
        replaced50(0, 2, 120),
        replaced50(2, 2, 120),
        replaced50(1, 2, 0),
        replaced50(1, 2, 121),
        replaced50(1, 2, 120, name="MSFT"),
        replaced50(1, 2, 120, side="T"),
        replaced50(1, 2, 120, 0),
        replaced50(1, 2, 120, 2_000_000_001),
        replaced50(1, 2, 120, 2**32 + 1),
    ],
)
def test_replaced_must_be_what_was_sent(message: bytes) -> None:
    refused(moving(), message)


def test_replaced_of_an_order_we_do_not_know() -> None:
    refused(moving(), replaced50(1, 3, 120), "reply_unknown_ref")


def test_replaced_needs_a_live_original() -> None:
    rig = moving()
    order(rig).state = OrderState.FILLED
    refused(rig, replaced50(1, 2, 120))


def test_replaced() -> None:
    rig = moving()
    assert sums(rig) == ([120, 0], [120 * (PRICE + 100), 0], 2)
    (event,) = rig.reply(replaced50(1, 2, 110, PRICE + 50, order_ref=9)).events
    assert (event.kind, event.user_ref, event.other_ref, event.reason) == (K.REPLACED, 2, 1, ord("L"))
    assert (event.price_e4, event.qty, event.open_qty) == (PRICE + 50, 110, 110)
    old, new = order(rig, 1), order(rig, 2)
    assert (old.state, old.pending, old.other_ref, old.open_qty) == (OrderState.REPLACED, 0, 2, 0)
    assert (new.state, new.other_ref, new.open_qty, new.qty) == (OrderState.LIVE, 0, 110, 120)
    assert (new.price_e4, new.order_ref, new.chain_qty) == (PRICE + 50, 9, 0)
    assert sums(rig) == ([110, 0], [110 * (PRICE + 50), 0], 1)
    assert rig.state.canceled_qty == 100


def test_replaced_and_dead_at_once() -> None:
    rig = moving()
    (event,) = rig.reply(replaced50(1, 2, 120, PRICE + 100, state="D")).events
    assert (event.open_qty, event.qty, event.reason) == (0, 120, ord("D"))
    assert (order(rig, 1).state, order(rig, 2).state) == (OrderState.REPLACED, OrderState.CANCELED)
    assert sums(rig) == ([0, 0], [0, 0], 0)
    assert rig.state.canceled_qty == 220


def test_an_original_may_trade_before_it_is_replaced() -> None:
    rig = moving(qty=120)
    rig.reply(executed50(1, 30, PRICE))
    # Of the replacement, what it had beyond the original when it was sent stays counted.
    assert sums(rig) == ([90, 0], [70 * PRICE + 120 * (PRICE + 100) - 100 * PRICE, 0], 2)
    refused(copy.deepcopy(rig), replaced50(1, 2, 91, PRICE + 100))
    rig.reply(replaced50(1, 2, 90, PRICE + 100))
    assert (order(rig, 2).chain_qty, order(rig, 2).open_qty) == (30, 90)
    assert sums(rig) == ([90, 0], [90 * (PRICE + 100), 0], 1)


def test_a_chain_of_replacements_counts_all_that_it_executed() -> None:
    rig = chained(30)
    rig.reply(executed50(2, 20, PRICE + 100, match=2))
    outcome = rig.order(instead(2, BUY, 10, PRICE + 200))
    assert struct.unpack_from(">III", outcome.frame, 42 + 4) == (2, 3, 60)
    rig.reply(replaced50(2, 3, 10, PRICE + 200))
    assert (order(rig, 3).chain_qty, order(rig, 3).filled_qty) == (50, 0)
    rig.reply(executed50(3, 10, PRICE + 200, match=3))
    assert [order(rig, ref).state for ref in (1, 2, 3)] == [OrderState.REPLACED] * 2 + [OrderState.FILLED]
    assert rig.state.position == 60
    assert sums(rig)[2] == 0


@pytest.mark.parametrize("message", [executed50(1, 100, PRICE), canceled50(1, 100), aiq50(1, 100)])
def test_an_original_that_ends_takes_its_replacement_with_it(message: bytes) -> None:
    rig = moving()
    outcome = rig.reply(message)
    assert kinds(outcome)[1:] == [K.LOST]
    lost = outcome.events[1]
    assert (lost.user_ref, lost.qty, lost.open_qty, lost.price_e4) == (2, 120, 0, PRICE + 100)
    assert (lost.strategy, lost.feed_seq, lost.exchange_ns) == (Strategy.MANUAL, 0, 0)
    assert (order(rig, 2).state, order(rig, 2).open_qty, order(rig, 1).pending) == (OrderState.LOST, 0, 0)
    assert rig.state.canceled_qty == (0 if kinds(outcome)[0] == K.EXECUTED else 100)
    assert sums(rig)[2] == 0
    refused(rig, rejected50(2))


def test_a_part_of_the_original_ends_nothing() -> None:
    rig = moving()
    assert kinds(rig.reply(executed50(1, 99, PRICE))) == [K.EXECUTED]
    assert order(rig, 2).state == OrderState.SENT


def test_a_rejected_replacement_leaves_the_original_as_it_was() -> None:
    rig = moving()
    (event,) = rig.reply(rejected50(2)).events
    assert (event.kind, event.user_ref, event.qty, event.open_qty) == (K.REJECTED, 2, 120, 0)
    old, new = order(rig, 1), order(rig, 2)
    assert (old.state, old.pending, old.other_ref) == (OrderState.LIVE, 0, 0)
    assert (new.state, new.open_qty, rig.state.canceled_qty) == (OrderState.REJECTED, 0, 0)
    assert sums(rig) == ([100, 0], [100 * PRICE, 0], 1)
    assert kinds(rig.order(instead(1, BUY, 50, PRICE))) == [K.ORDER]


def test_a_rejected_order_gives_all_back() -> None:
    rig = sent()
    rig.reply(rejected50(1))
    assert (order(rig).state, rig.state.canceled_qty) == (OrderState.REJECTED, 100)
    assert sums(rig) == ([0, 0], [0, 0], 0)


# --- cancels and what the exchange changes ---------------------------------------------------------------------------


def test_cancel_asked_and_answered() -> None:
    rig = live()
    rig.order(withdraw(1))
    assert order(rig).pending == Pending.CANCEL
    rig.reply(executed50(1, 10, PRICE))
    assert order(rig).pending == Pending.CANCEL
    rig.reply(canceled50(1, 90))
    assert (order(rig).state, order(rig).pending, order(rig).open_qty) == (OrderState.CANCELED, 0, 0)
    assert (rig.state.canceled_qty, sums(rig)[2]) == (90, 0)


def test_cancel_put_off_or_refused() -> None:
    rig = live()
    rig.order(withdraw(1))
    (event,) = rig.reply(pending50(1)).events
    assert (event.kind, event.user_ref, event.qty, event.open_qty, event.reason) == (K.CANCEL_PENDING, 1, 0, 100, 0)
    assert order(rig).pending == Pending.CANCEL | Pending.LATER
    (event,) = rig.reply(cancel_rejected50(1)).events
    assert (event.kind, event.price_e4, event.open_qty) == (K.CANCEL_REJECTED, PRICE, 100)
    assert order(rig).pending == 0
    assert kinds(rig.order(withdraw(1))) == [K.CANCEL_SENT]


def test_a_refused_cancel_says_nothing_of_a_replacement() -> None:
    rig = moving()
    rig.reply(pending50(1), cancel_rejected50(1))
    assert (order(rig).pending, order(rig).other_ref) == (Pending.REPLACE, 2)


def test_priority_changes_price_and_reference() -> None:
    rig = live()
    (event,) = rig.reply(priority50(1, PRICE - 50, 88)).events
    assert (event.kind, event.price_e4, event.qty, event.open_qty) == (K.PRIORITY, PRICE - 50, 0, 100)
    assert (order(rig).price_e4, order(rig).order_ref) == (PRICE - 50, 88)
    assert sums(rig) == ([100, 0], [100 * (PRICE - 50), 0], 1)
    refused(live(), priority50(1, 0))
    refused(live(), priority50(1, 2_000_000_001))


@pytest.mark.parametrize(
    ("side", "mark", "short"), [(BUY, "B", 0), (SELL, "S", 0), (SELL, "T", 1), (SELL, "E", 1), (SELL, "?", 0)]
)
def test_modified(side: Side, mark: str, short: int) -> None:
    rig = live(side)
    (event,) = rig.reply(modified50(1, 60, mark)).events
    assert (event.kind, event.qty, event.open_qty, event.reason) == (K.MODIFIED, 40, 60, 0)
    assert (order(rig).short_sale, order(rig).open_qty, rig.state.canceled_qty) == (short, 60, 40)
    assert sums(rig)[2] == 1
    (event,) = rig.reply(modified50(1, 60, mark)).events
    assert (event.qty, rig.state.canceled_qty) == (0, 40)


@pytest.mark.parametrize("message", [modified50(1, 0), modified50(1, 101), modified50(1, 50, "S")])
def test_modified_must_fit(message: bytes) -> None:
    refused(live(), message)
    refused(live(SELL), modified50(1, 50, "B"))


# --- executions and broken trades ------------------------------------------------------------------------------------


def test_an_execution_is_remembered_and_counted_for_its_strategy() -> None:
    rig = live()
    rig.engine.fees[ord("A")] = -20
    (event,) = rig.reply(executed50(1, 30, PRICE - 5, match=8, flag="A")).events
    assert rig.engine.executions == {0: Execution(8, 1, 30, PRICE - 5, ord("A"))}
    assert (rig.engine.account.executions, rig.engine.account.strategy[Strategy.MANUAL].executions) == (1, 1)
    assert (event.fees_e8, event.position, event.match_number, event.reason) == (-600, 30, 8, ord("A"))
    assert (event.strategy, event.open_qty, event.price_e4) == (Strategy.MANUAL, 70, PRICE - 5)


def test_executions_go_round() -> None:
    rig = live()
    rig.engine.account.executions = MAX_EXECUTIONS * 3 - 1
    rig.reply(executed50(1, 1, PRICE, match=1), executed50(1, 2, PRICE, match=2))
    assert {place: one.match_number for place, one in rig.engine.executions.items()} == {MAX_EXECUTIONS - 1: 1, 0: 2}


def test_a_broken_trade() -> None:
    rig = live()
    rig.engine.fees[ord("R")] = 7
    rig.reply(executed50(1, 30, PRICE, match=8), executed50(1, 70, PRICE - 50, match=9))
    assert order(rig).state == OrderState.FILLED
    before = order(rig).filled_qty, order(rig).filled_e4, order(rig).state
    (event,) = rig.reply(broken50(1, 9)).events
    assert (event.kind, event.qty, event.price_e4, event.match_number) == (K.BROKEN, 70, PRICE - 50, 9)
    assert (event.reason, event.open_qty, event.position, event.fees_e8) == (ord("E"), 0, 30, 210)
    assert (order(rig).filled_qty, order(rig).filled_e4, order(rig).state) == before
    assert [one.qty for one in rig.engine.executions.values()] == [30, 0]
    assert (rig.state.broken, rig.state.fills, rig.state.bought_qty, rig.state.sold_qty) == (1, 1, 30, 0)
    assert rig.engine.account.strategy[Strategy.MANUAL].executions == 2
    refused(rig, broken50(1, 9))


def test_only_a_trade_of_that_order_is_broken() -> None:
    rig = live()
    rig.order(enter(BUY, 10, PRICE + 1))
    rig.reply(accepted50(2, 10, price_e4=PRICE + 1), executed50(2, 10, PRICE, match=8))
    refused(rig, broken50(1, 8))
    rig = live()
    refused(rig, broken50(1, 8))
    refused(sent(), broken50(3, 8), "reply_unknown_ref")


def test_the_newest_of_two_executions_of_one_number_is_broken() -> None:
    rig = live()
    rig.engine.account.executions = MAX_EXECUTIONS - 1
    rig.reply(executed50(1, 10, PRICE, match=8), executed50(1, 20, PRICE, match=8))
    assert [event.qty for event in rig.reply(broken50(1, 8)).events] == [20]
    assert [event.qty for event in rig.reply(broken50(1, 8)).events] == [10]


def test_one_that_was_overwritten_cannot_be_broken() -> None:
    rig = live()
    rig.reply(executed50(1, 10, PRICE, match=8))
    rig.engine.account.executions = MAX_EXECUTIONS
    rig.reply(executed50(1, 10, PRICE, match=9))
    refused(rig, broken50(1, 8))


# --- recovering ------------------------------------------------------------------------------------------------------


def recovering(highest: int = 50, protocol: Protocol = Protocol.OUCH50) -> Rig:
    """Nothing of the day is known; its replies will be read again, up to ``highest`` - 1."""
    rig = Rig(protocol)
    rig.engine.session.health = SessionHealth.DOWN
    rig.engine.session.recover = 1
    rig.login(highest)
    rig.next_reply = 1
    assert rig.engine.session.health == SessionHealth.RECOVERING
    return rig


def test_a_login_to_recover_begins_at_the_first_reply() -> None:
    session = recovering(9).engine.session
    assert (session.expected_seq, session.highest_seq, session.session) == (1, 9, b"UFOSESSION")


def test_on_a_day_without_replies_there_is_nothing_to_recover() -> None:
    rig = Rig(ready=False)
    rig.engine.session.recover = 1
    rig.login(1)
    assert rig.engine.session.health == SessionHealth.UP


def test_recovered_when_all_was_read() -> None:
    rig = recovering(4)
    rig.reply(b"?")
    rig.control(ufo(3, b"?"))
    assert (rig.engine.counter["reply_gaps"], rig.engine.session.health) == (1, SessionHealth.RECOVERING)
    rig.reply(b"?", b"?")
    assert rig.engine.session.health == SessionHealth.UP


def test_a_heartbeat_may_say_that_there_is_more_and_another_that_all_was_read() -> None:
    rig = recovering(2)
    rig.control(ufo(5))
    session = rig.engine.session
    rig.reply(b"?")
    assert (session.expected_seq, session.health) == (2, SessionHealth.RECOVERING)
    rig.reply(b"?", b"?", b"?")
    assert (session.expected_seq, session.health) == (5, SessionHealth.UP)


def test_nothing_leaves_while_recovering() -> None:
    rig = recovering()
    assert [event.reason for event in rig.order(enter(BUY, 1, PRICE)).events] == [Reason.SESSION_DOWN]


def test_a_recovering_session_that_ends_says_so() -> None:
    rig = recovering()
    assert kinds(rig.control(b"E" + bytes(4))) == [K.SESSION_ENDED]
    assert kinds(recovering().login(1, b"OTHERNAME ")) == [K.SESSION_ENDED]


def test_orders_are_taken_from_what_was_accepted() -> None:
    rig = recovering()
    outcome = rig.reply(
        accepted50(7, 100, side="T", price_e4=PRICE + 3, order_ref=66), executed50(7, 40, PRICE, match=3)
    )
    assert kinds(outcome) == [K.ACCEPTED, K.EXECUTED]
    ours = rig.engine.working[7]
    assert (ours.state, ours.side, ours.price_e4, ours.qty, ours.open_qty) == (
        OrderState.LIVE,
        SELL,
        PRICE + 3,
        100,
        60,
    )
    assert (ours.strategy, ours.short_sale, ours.order_ref, ours.epoch) == (Strategy.MANUAL, 1, 66, 5)
    assert (rig.state.position, rig.state.orders_sent, rig.state.recent_head, rig.state.tat_ns) == (-40, 1, 0, 0)
    assert rig.engine.session.next_user_ref == 8
    assert rig.engine.session.orders_sent == rig.engine.account.strategy[Strategy.MANUAL].orders_sent == 1
    assert rig.engine.counter["orders"] == 0
    assert sums(rig) == ([0, 60], [0, 60 * (PRICE + 3)], 1)


def test_what_was_rejected_was_never_ours() -> None:
    rig = recovering()
    assert rig.reply(rejected50(7)).events == []
    assert rig.engine.counter["reply_unhandled"] == 1
    assert rig.engine.session.health == SessionHealth.RECOVERING
    assert (rig.engine.session.next_user_ref, rig.engine.session.exchange_ns) == (0, NS)


def test_a_chain_is_taken_too() -> None:
    rig = recovering()
    outcome = rig.reply(
        accepted50(3, 100), executed50(3, 10, PRICE, match=1), replaced50(3, 4, 50, PRICE + 1), canceled50(4, 50)
    )
    assert kinds(outcome) == [K.ACCEPTED, K.EXECUTED, K.REPLACED, K.CANCELED]
    old, new = rig.engine.working[3], rig.engine.working[4]
    assert (old.state, old.other_ref, old.pending) == (OrderState.REPLACED, 4, 0)
    assert (new.state, new.chain_qty, new.qty, new.strategy) == (OrderState.CANCELED, 10, 50, Strategy.MANUAL)
    assert (rig.engine.session.next_user_ref, rig.state.canceled_qty) == (5, 90 + 50)
    assert sums(rig) == ([0, 0], [0, 0], 0)


def test_dead_ones_are_taken_and_are_dead() -> None:
    rig = recovering()
    rig.reply(accepted50(3, 100, state="D"), accepted50(4, 100), replaced50(4, 5, 50, state="D"))
    assert [rig.engine.working[ref].state for ref in (3, 4, 5)] == [
        OrderState.CANCELED,
        OrderState.REPLACED,
        OrderState.CANCELED,
    ]


def not_taken(rig: Rig, message: bytes) -> None:
    refused(rig, message, "reply_unknown_ref")


@pytest.mark.parametrize(
    "message",
    [
        accepted50(0, 100),
        accepted50(2**32 - 1, 100),
        accepted50(7, 0),
        accepted50(7, 100, price_e4=0),
        accepted50(7, 100, price_e4=2_000_000_001),
        accepted50(7, 100, name="NOBODY"),
        executed50(7, 100, PRICE),
        canceled50(7, 100),
        replaced50(6, 7, 100),
    ],
)
def test_what_is_not_certainly_ours_is_not_taken(message: bytes) -> None:
    not_taken(recovering(), message)


def test_a_place_that_is_taken_is_not_taken_again() -> None:
    rig = recovering()
    rig.reply(accepted50(7, 100))
    not_taken(rig, accepted50(7 + 4096, 100))
    rig = recovering()
    rig.reply(accepted50(7, 100, state="D"))
    assert kinds(rig.reply(accepted50(7 + 4096, 100))) == [K.ACCEPTED]


def test_a_ninth_open_order_of_a_symbol_is_not_taken() -> None:
    rig = recovering()
    rig.reply(*(accepted50(ref, 100) for ref in range(1, 9)))
    not_taken(rig, accepted50(9, 100))


@pytest.mark.parametrize(
    "message",
    [replaced50(3, 4, 50, name="MSFT"), replaced50(3, 4, 50, side="S"), replaced50(3, 4, 0), replaced50(3, 4, 50, 0)],
)
def test_a_replacement_of_something_else_is_not_taken(message: bytes) -> None:
    rig = recovering()
    rig.reply(accepted50(3, 100))
    not_taken(rig, message)


def test_a_replacement_of_an_order_with_a_question_open_is_not_taken() -> None:
    rig = recovering()
    rig.reply(accepted50(3, 100), pending50(3))
    not_taken(rig, replaced50(3, 4, 50))


def test_nothing_is_taken_once_the_session_is_up_or_suspect() -> None:
    rig = Rig()
    not_taken(rig, accepted50(7, 100))
    rig = recovering()
    rig.reply(canceled50(7, 1))
    assert rig.reply(accepted50(7, 100)).events == []
    assert rig.engine.counter["reply_unknown_ref"] == 2


def test_next_number_never_falls() -> None:
    rig = recovering()
    rig.engine.session.next_user_ref = 100
    rig.reply(accepted50(7, 100))
    assert rig.engine.session.next_user_ref == 100


def test_the_first_feed_that_has_the_symbol() -> None:
    rig = recovering()
    rig.engine.add_symbol(1, "MSFT", feed=3)
    rig.engine.add_symbol(2, "MSFT", feed=1)
    rig.reply(accepted50(7, 100, name="MSFT"))
    assert rig.engine.working[7].symbol == 2


def test_ouch42_takes_only_tokens_of_ours() -> None:
    rig = recovering(protocol=Protocol.OUCH42)
    rig.reply(accepted42(token(9), 10))
    assert rig.engine.working[9].state == OrderState.LIVE
    not_taken(rig, accepted42(b"other!" + token(10)[6:], 10))


def test_ouch42_a_rejected_order_of_a_stranger_is_in_doubt_even_then() -> None:
    rig = recovering(protocol=Protocol.OUCH42)
    assert rig.reply(rejected42(token(10))).events == []
    not_taken(rig, rejected42(b"other!" + token(10)[6:]))


def test_an_order_that_is_known_is_not_taken_but_answered() -> None:
    rig = recovering()
    rig.reply(accepted50(7, 100))
    refused(rig, accepted50(7, 100))


# --- many -----------------------------------------------------------------------------------------------------------


def test_replies_after_a_suspect_one_are_applied() -> None:
    rig = sent()
    assert kinds(rig.reply(rejected50(9), accepted50(1, 100))) == [K.SESSION_SUSPECT, K.ACCEPTED]
