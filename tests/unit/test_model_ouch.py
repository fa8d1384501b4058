"""Rule 8, second part: OUCH messages of both protocols, their lengths, and what is not understood."""

from __future__ import annotations

import pytest
from model_bytes import (
    NS,
    Rig,
    accepted42,
    accepted50,
    aiq42,
    aiq50,
    broken42,
    broken50,
    cancel_rejected42,
    cancel_rejected50,
    canceled42,
    canceled50,
    executed42,
    executed50,
    instead,
    kinds,
    modified42,
    modified50,
    pending42,
    pending50,
    priority42,
    priority50,
    rejected42,
    rejected50,
    replaced42,
    replaced50,
    restated50,
    system_event,
    token,
)
from turbo_hft.model import EventKind, OrderState, Outcome, Protocol, SessionHealth, Side

PRICE = 1_500_000
A, E = EventKind.ACCEPTED, EventKind.EXECUTED
C, J = EventKind.CANCELED, EventKind.REJECTED


def flying(protocol: Protocol = Protocol.OUCH50, qty: int = 100) -> Rig:
    """Order 1, a buy, has left."""
    rig = Rig(protocol)
    rig.buy(qty, PRICE)
    assert rig.state.open_ref[0] == 1
    return rig


def ended(rig: Rig) -> bool:
    state, account = rig.state, rig.engine.account
    assert account.open_e4 == [0, 0] or state.open_orders
    return (state.open_ref, state.open_qty, state.open_orders, account.open_orders) == ([0] * 8, [0, 0], 0, 0)


# --- OUCH, what each reply does --------------------------------------------------------------------------------------


def test_accepted() -> None:
    rig = flying()
    (event,) = rig.reply(accepted50(1, 100, ns=NS + 1)).events
    assert rig.engine.working[1].state == OrderState.LIVE
    assert (rig.state.open_qty, rig.engine.working[1].order_ref) == ([100, 0], 5)
    assert (event.kind, event.symbol, event.user_ref, event.price_e4, event.qty) == (A, 0, 1, PRICE, 100)
    assert (event.open_qty, event.reason, event.feed_seq, event.exchange_ns) == (100, ord("L"), 1, NS + 1)
    assert rig.engine.session.exchange_ns == NS + 1


def test_accepted_dead() -> None:
    rig = flying()
    (event,) = rig.reply(accepted50(1, 100, state="D")).events
    order = rig.engine.working[1]
    assert (order.state, order.open_qty) == (OrderState.CANCELED, 0)
    assert rig.engine.symbols[0].canceled_qty == 100
    assert ended(rig)
    assert (event.kind, event.qty, event.open_qty, event.reason) == (A, 100, 0, ord("D"))


def test_executions_fill_the_order() -> None:
    rig = flying()
    outcome = rig.reply(accepted50(1, 100), executed50(1, 30, PRICE - 5), executed50(1, 70, PRICE))
    order, state = rig.engine.working[1], rig.engine.symbols[0]
    assert kinds(outcome) == [A, E, E]
    first, last = outcome.events[1:]
    assert (first.qty, first.open_qty, first.position, first.price_e4) == (30, 70, 30, PRICE - 5)
    assert (last.qty, last.open_qty, last.position, last.match_number, last.reason) == (70, 0, 100, 4711, ord("R"))
    assert (order.state, order.filled_qty, order.filled_e4) == (OrderState.FILLED, 100, 100 * PRICE - 150)
    assert (state.position, state.cost_e4, state.fills) == (100, 100 * PRICE - 150, 2)
    assert ended(rig)


def test_partial_fill_keeps_the_order_in_flight() -> None:
    rig = flying()
    rig.reply(accepted50(1, 100), executed50(1, 30, PRICE))
    state = rig.engine.symbols[0]
    assert (state.open_ref[0], state.open_qty) == (1, [70, 0])
    assert rig.engine.account.open_e4 == [70 * PRICE, 0]


def test_canceled_in_parts() -> None:
    rig = flying()
    outcome = rig.reply(accepted50(1, 100), canceled50(1, 40), aiq50(1, 60))
    assert kinds(outcome) == [A, C, C]
    assert [(event.qty, event.open_qty, event.reason) for event in outcome.events[1:]] == [
        (40, 60, ord("U")),
        (60, 0, ord("Q")),
    ]
    assert rig.engine.working[1].state == OrderState.CANCELED
    assert rig.engine.symbols[0].canceled_qty == 100
    assert ended(rig)


def test_rejected() -> None:
    rig = flying()
    (event,) = rig.reply(rejected50(1, 0x1A)).events
    assert (event.kind, event.reason, event.qty, event.open_qty, event.price_e4) == (J, 0x1A, 100, 0, PRICE)
    assert rig.engine.working[1].state == OrderState.REJECTED
    assert rig.engine.symbols[0].canceled_qty == 100
    assert ended(rig)


def suspects(rig: Rig, outcome: Outcome, counter: str) -> None:
    assert rig.engine.counter[counter] == 1
    assert rig.engine.session.health == SessionHealth.SUSPECT
    (event,) = outcome.events
    assert event.kind == EventKind.SESSION_SUSPECT
    assert (event.symbol, event.user_ref, event.qty, event.feed_seq) == (0xFFFFFFFF, 0, 0, rig.next_reply - 1)


@pytest.mark.parametrize(
    "message",
    [
        accepted50(1, 99),
        executed50(1, 1, PRICE),
        canceled50(1, 1),
    ],
)
def test_not_allowed_in_sent(message: bytes) -> None:
    rig = flying()
    before = repr(rig.engine.working), repr(rig.engine.symbols)
    suspects(rig, rig.reply(message), "reply_bad_state")
    assert (repr(rig.engine.working), repr(rig.engine.symbols)) == before


@pytest.mark.parametrize(
    "message",
    [
        accepted50(1, 100),
        rejected50(1),
        executed50(1, 0, PRICE),
        executed50(1, 101, PRICE),
        executed50(1, 1, 0),
        executed50(1, 1, 2_000_000_001),
        executed50(1, 1, 2**32 + 5),
        canceled50(1, 0),
        canceled50(1, 101),
    ],
)
def test_not_allowed_in_live(message: bytes) -> None:
    rig = flying()
    rig.reply(accepted50(1, 100))
    before = repr(rig.engine.working), repr(rig.engine.symbols)
    suspects(rig, rig.reply(message), "reply_bad_state")
    assert (repr(rig.engine.working), repr(rig.engine.symbols)) == before


@pytest.mark.parametrize("message", [accepted50(1, 100), executed50(1, 1, PRICE), canceled50(1, 1), rejected50(1)])
def test_not_allowed_after_the_end(message: bytes) -> None:
    rig = flying()
    rig.reply(rejected50(1))
    suspects(rig, rig.reply(message), "reply_bad_state")


def test_highest_execution_price_is_inside() -> None:
    rig = flying()
    rig.reply(accepted50(1, 100))
    assert kinds(rig.reply(executed50(1, 1, 2_000_000_000))) == [E]


@pytest.mark.parametrize("ref", [0, 2, 4097])
def test_unknown_order(ref: int) -> None:
    rig = flying()
    suspects(rig, rig.reply(rejected50(ref)), "reply_unknown_ref")
    assert rig.engine.session.exchange_ns == NS


@pytest.mark.parametrize("message", [b"", b"G" + bytes(44), b"F" + bytes(40), b"K", b"X" * 27, b"Q" * 13, b"\xff"])
def test_unhandled(message: bytes) -> None:
    rig = flying()
    assert rig.reply(message).events == []
    assert rig.engine.counter["reply_unhandled"] == 1
    assert rig.engine.session.health == SessionHealth.UP


def test_system_events_of_both_protocols() -> None:
    for protocol in (Protocol.OUCH50, Protocol.OUCH42):
        rig = flying(protocol)
        (event,) = rig.reply(system_event("E", NS + 7)).events
        assert (event.kind, event.reason, event.symbol) == (EventKind.SYSTEM, ord("E"), 0xFFFFFFFF)
        assert (event.exchange_ns, event.feed_seq, rig.engine.session.exchange_ns) == (NS + 7, 1, 0)
        assert rig.reply(system_event()[:-1]).events == []
        assert rig.engine.counter["reply_bad_length"] == 1
        assert rig.engine.session.health == SessionHealth.UP


def test_no_template_no_protocol() -> None:
    rig = flying()
    rig.engine.template.protocol = Protocol.NONE
    assert rig.reply(accepted50(1, 100), b"B").events == []
    assert rig.engine.counter["reply_unhandled"] == 2


@pytest.mark.parametrize(
    ("message", "good"),
    [
        (accepted50(1, 100, appendage=b"\x02\x0cP"), True),
        (accepted50(1, 100)[:-1], False),
        (accepted50(1, 100) + b"\0", False),
        (rejected50(1) + b"\0\0", True),
        (rejected50(1) + b"\0\3\2\x0cP", True),
        (rejected50(1) + b"\0", False),
        (rejected50(1) + b"\0\1", False),
        (rejected50(1) + b"\0\0\0", False),
        (rejected50(1)[:-1], False),
        (canceled50(1, 1) + b"\0", False),
        (aiq50(1, 1)[:-1], False),
        (executed50(1, 1, 1, appendage=b"x")[:-1], False),
        (replaced50(1, 2, 1)[:-1], False),
        (replaced50(1, 2, 1) + b"\0", False),
        (broken50(1)[:-1], False),
        (broken50(1) + b"\0", False),
        (pending50(1)[:-1], False),
        (cancel_rejected50(1) + b"\0\1", False),
        (priority50(1, PRICE)[:-1], False),
        (modified50(1, 1) + b"?", False),
        (restated50(1)[:-1], False),
        (restated50(1) + b"\0", False),
        (restated50(1), True),
        (restated50(1)[:-2] + b"\0\3abc", True),
        *((letter.encode(), False) for letter in "AUECDJBPITMR"),
    ],
)
def test_lengths_ouch50(message: bytes, good: bool) -> None:
    rig = flying()
    outcome = rig.reply(message)
    if good:
        assert rig.engine.session.health == SessionHealth.UP
        assert rig.engine.counter["reply_bad_length"] == 0
    else:
        suspects(rig, outcome, "reply_bad_length")
        assert rig.engine.session.exchange_ns == 0


@pytest.mark.parametrize("appendage", [b"", b"\0\0", b"\0\3\2\x1bS"])
def test_optional_appendages(appendage: bytes) -> None:
    rig = flying()
    rig.reply(accepted50(1, 100))
    assert kinds(rig.reply(canceled50(1, 10) + appendage, aiq50(1, 10) + appendage)) == [C, C]
    assert kinds(rig.reply(executed50(1, 10, PRICE, appendage=appendage))) == [E]
    others = [broken50(1), pending50(1), cancel_rejected50(1), priority50(1, PRICE), modified50(1, 60)]
    rig.reply(*(message + appendage for message in others))
    assert (rig.engine.counter["reply_bad_length"], rig.engine.counter["reply_bad_state"]) == (0, 0)


def test_replies_after_a_suspect_one_are_applied() -> None:
    rig = flying()
    outcome = rig.reply(rejected50(9), accepted50(1, 100))
    assert kinds(outcome) == [EventKind.SESSION_SUSPECT, A]


# --- OUCH 4.2 ---------------------------------------------------------------------------------------------------------


def test_ouch42_life_of_an_order() -> None:
    rig = flying(Protocol.OUCH42)
    tok = token(1)
    outcome = rig.reply(
        accepted42(tok, 100),
        executed42(tok, 10, PRICE),
        executed42(tok, 20, PRICE - 1, kind="G"),
        canceled42(tok, 30),
        aiq42(tok, 5),
        aiq42(tok, 35, newer=True),
    )
    assert kinds(outcome) == [A, E, E, C, C, C]
    assert [event.reason for event in outcome.events] == [ord(code) for code in "LRRUQQ"]
    assert [event.open_qty for event in outcome.events] == [100, 90, 70, 40, 35, 0]
    assert [event.match_number for event in outcome.events] == [0, 4711, 4711, 0, 0, 0]
    assert rig.engine.symbols[0].position == 30
    assert rig.engine.symbols[0].cost_e4 == 30 * PRICE - 20
    assert ended(rig)


def test_ouch42_rejected_and_dead() -> None:
    rig = flying(Protocol.OUCH42)
    (event,) = rig.reply(rejected42(token(1))).events
    assert (event.kind, event.reason) == (J, ord("X"))
    rig = flying(Protocol.OUCH42)
    rig.reply(accepted42(token(1), 100, state="D"))
    assert rig.engine.working[1].state == OrderState.CANCELED


@pytest.mark.parametrize(
    "tok",
    [b"TURBO 0000000a", b"TURBO 0000001G", b"TURBO        1", b"TURBO 00000002", b"TURBO 00000000", b"TURBO +0000001"],
)
def test_ouch42_tokens_that_are_not_ours(tok: bytes) -> None:
    rig = flying(Protocol.OUCH42)
    suspects(rig, rig.reply(rejected42(tok)), "reply_unknown_ref")
    assert rig.engine.session.exchange_ns == NS


def test_ouch42_token_is_hexadecimal() -> None:
    rig = Rig(Protocol.OUCH42)
    rig.engine.session.next_user_ref = 0xFEDCBA98
    rig.buy()
    assert [event.user_ref for event in rig.reply(accepted42(token(0xFEDCBA98), 100)).events] == [0xFEDCBA98]


def test_ouch42_another_prefix_is_not_our_order() -> None:
    rig = flying(Protocol.OUCH42)
    assert kinds(rig.reply(accepted42(b"other!" + token(1)[6:], 100))) == [EventKind.SESSION_SUSPECT]
    assert rig.engine.counter["reply_unknown_ref"] == 1


def test_ouch42_a_correction_is_in_doubt_whatever_its_length() -> None:
    for message in (b"F", b"F" + bytes(40)):
        rig = flying(Protocol.OUCH42)
        suspects(rig, rig.reply(message), "reply_unhandled")
        assert rig.engine.session.exchange_ns == 0


def test_ouch42_restated_is_not_of_it() -> None:
    rig = flying(Protocol.OUCH42)
    assert rig.reply(restated50(1)).events == []
    assert rig.engine.counter["reply_unhandled"] == 1


def test_ouch42_the_other_replies() -> None:
    rig = flying(Protocol.OUCH42)
    tok = token(1)
    outcome = rig.reply(
        accepted42(tok, 100),
        executed42(tok, 10, PRICE),
        pending42(tok),
        cancel_rejected42(tok),
        priority42(tok, PRICE + 7),
        modified42(tok, 60),
        broken42(tok),
    )
    assert [event.kind.name for event in outcome.events] == [
        "ACCEPTED",
        "EXECUTED",
        "CANCEL_PENDING",
        "CANCEL_REJECTED",
        "PRIORITY",
        "MODIFIED",
        "BROKEN",
    ]
    assert [event.reason for event in outcome.events] == [ord("L"), ord("R"), 0, 0, 0, 0, ord("E")]
    order = rig.engine.working[1]
    assert (order.price_e4, order.order_ref, order.open_qty, rig.state.position) == (PRICE + 7, 77, 60, 0)


def test_ouch42_replaced() -> None:
    rig = flying(Protocol.OUCH42)
    rig.reply(accepted42(token(1), 100))
    rig.order(instead(1, Side.BUY, 50, PRICE + 1))
    (event,) = rig.reply(replaced42(token(1), token(2), 40, PRICE + 2)).events
    assert (event.kind, event.user_ref, event.other_ref) == (EventKind.REPLACED, 2, 1)
    assert (event.price_e4, event.qty, event.open_qty, event.reason) == (PRICE + 2, 40, 40, ord("L"))
    assert rig.engine.working[1].state == OrderState.REPLACED
    order = rig.engine.working[2]
    assert (order.state, order.price_e4, order.open_qty, order.order_ref) == (OrderState.LIVE, PRICE + 2, 40, 6)


def test_ouch42_replaced_whose_original_is_not_ours() -> None:
    rig = flying(Protocol.OUCH42)
    rig.reply(accepted42(token(1), 100))
    rig.order(instead(1, Side.BUY, 50, PRICE + 1))
    suspects(rig, rig.reply(replaced42(b"other!" + token(1)[6:], token(2), 40)), "reply_bad_state")


@pytest.mark.parametrize(
    "message",
    [
        accepted42(token(1), 100) + b"\0",
        executed42(token(1), 1, 1) + b"\0",
        executed42(token(1), 1, 1, kind="G")[:-1],
        canceled42(token(1), 1) + b"\0\0",
        aiq42(token(1), 1, newer=True) + b"\0",
        rejected42(token(1))[:-1],
        replaced42(token(1), token(2), 1) + b"\0",
        broken42(token(1))[:-1],
        pending42(token(1)) + b"\0\0",
        cancel_rejected42(token(1))[:-1],
        priority42(token(1), 1) + b"\0\0",
        modified42(token(1), 1)[:-1],
    ],
)
def test_ouch42_lengths(message: bytes) -> None:
    rig = flying(Protocol.OUCH42)
    suspects(rig, rig.reply(message), "reply_bad_length")
