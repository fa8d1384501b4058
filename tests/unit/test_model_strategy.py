"""Rule 5: what a packet touches, what strategies are told, and where their wishes go."""

from __future__ import annotations

from collections.abc import Callable

from model_bytes import (
    LOCATE,
    NS,
    Rig,
    accepted50,
    action,
    add,
    delete,
    enter,
    executed,
    executed50,
    head,
    instead,
    kinds,
    trade,
)
from turbo_hft.model import (
    Action,
    EventKind,
    Intent,
    Intents,
    Kill,
    Own,
    Reason,
    Side,
    Signal,
    Strategy,
    Touch,
    Wait,
    XdpAction,
)
from turbo_hft.model.strategy import signal_of

PRICE = 1_500_000


class Ear:
    """A strategy of one's own that notes what it is told and wants what it is bid."""

    def __init__(self, *intents: Intent, wait: int = Wait.NONE) -> None:
        self.heard: list[Signal] = []
        self.wants = Intents(list(intents), wait)

    def __call__(self, signal: Signal) -> Intents:
        self.heard.append(signal)
        return self.wants


def listening(*intents: Intent, shadow: bool = False, wait: int = Wait.NONE) -> tuple[Rig, Ear]:
    rig, ear = Rig(), Ear(*intents, wait=wait)
    rig.engine.user_strategy = ear
    if shadow:
        rig.engine.params[0].shadow = 1 << Strategy.USER
    else:
        rig.engine.params[0].strategy = Strategy.USER
    return rig, ear


# --- touched ---------------------------------------------------------------------------------------------------------


def test_asked_once_a_packet_on_the_book_it_left_by_the_newest_message() -> None:
    rig, ear = listening()
    rig.feed(add(1, "S", 10, PRICE, ns=NS + 1), add(2, "S", 20, PRICE - 300, ns=NS + 2), head("S", 0, NS + 3) + b"Q")
    (signal,) = ear.heard
    assert (signal.feed_seq, signal.exchange_ns) == (5, NS + 2)
    assert signal.after.price_e4 == [0, PRICE - 300]
    assert rig.engine.counter["signals"] == 1


def test_what_changes_no_book_asks_nobody() -> None:
    rig, ear = listening()
    rig.feed(trade(5, PRICE), action("T"), head("S", 0) + b"Q")
    assert ear.heard == []


def test_a_slot_that_is_not_armed_is_not_asked() -> None:
    rig, ear = listening()
    rig.book.armed = 0
    rig.feed(add(1, "S", 10, PRICE))
    assert (ear.heard, rig.book.touched_seq) == ([], 0)


def test_a_book_in_doubt_is_neither_marked_nor_asked() -> None:
    rig, ear = listening()
    rig.feed(add(1, "S", 10, PRICE), delete(99))
    assert ear.heard == []
    assert (rig.book.touched_seq, rig.engine.memory[0].touch) == (4, Touch())


def test_in_the_order_of_the_first_touch() -> None:
    rig, ear = listening()
    for slot in (1, 2):
        rig.add_symbol(slot, f"S{slot}", 100 + slot)
        rig.engine.params[slot].strategy = Strategy.USER
    slots = (2, 0, 2, 1)
    rig.feed(
        *(
            add(ref, "S", 10, PRICE, name=f"S{slot}" if slot else "AAPL", locate=100 + slot if slot else LOCATE)
            for ref, slot in enumerate(slots, start=1)
        )
    )
    assert [(signal.slot, signal.feed_seq) for signal in ear.heard] == [(2, 10), (0, 9), (1, 11)]


def test_price_the_same_packet_removed_is_not_sent() -> None:
    rig = Rig()
    rig.engine.params[0].buy_below_e4 = PRICE
    outcome = rig.feed(add(1, "S", 10, PRICE), delete(1))
    assert (outcome.verdict, outcome.events) == (XdpAction.DROP, [])
    assert rig.engine.counter["signals"] == 1


def test_more_slots_than_a_packet_touches() -> None:
    rig = Rig(symbols=512)
    for slot in range(1, 258):
        rig.add_symbol(slot, f"S{slot}", 100 + slot)
    adds = [add(slot, "S", 1, PRICE, name=f"S{slot}", locate=100 + slot) for slot in range(1, 258)]
    rig.feed(*adds, delete(257, locate=357), add(9999, "S", 1, PRICE, name="S257", locate=357))
    assert rig.engine.counter["triggers_dropped"] == 1
    assert rig.engine.counter["signals"] == 256
    assert rig.engine.books[257].touched_seq == rig.next_feed - 1


# --- who is asked ----------------------------------------------------------------------------------------------------


def test_own_strategy_first_then_shadows_in_ascending_order() -> None:
    rig, ear = listening()
    rig.engine.params[0].strategy = Strategy.IMBALANCE
    rig.engine.params[0].shadow = 0b1111_1111
    rig.feed(add(1, "S", 10, PRICE))
    assert [signal.strategy for signal in ear.heard] == [Strategy.USER]
    assert (rig.engine.counter["signals"], rig.engine.counter["shadow_signals"]) == (1, 4)


def test_what_is_no_strategy_is_not_asked() -> None:
    for number in (0, Strategy.MANUAL, 7, 2**32 + 1, 2**64 - 1):
        rig = Rig()
        rig.engine.params[0].strategy = number
        rig.engine.params[0].shadow = 1 << 6 | 1 << 7 | 1
        rig.feed(add(1, "S", 10, PRICE))
        assert rig.engine.counter["signals"] == rig.engine.counter["shadow_signals"] == 0
        assert rig.engine.memory[0].touch.price_e4 == [0, PRICE]


def test_user_without_a_plug_in_wants_nothing() -> None:
    rig = Rig()
    rig.engine.params[0].strategy = Strategy.USER
    assert rig.feed(add(1, "S", 10, PRICE)).events == []
    assert rig.engine.counter["signals"] == 1


# --- signals ---------------------------------------------------------------------------------------------------------


def test_before_is_what_was_after() -> None:
    rig, ear = listening(shadow=True)
    rig.feed(add(1, "S", 10, PRICE), add(2, "S", 5, PRICE))
    rig.feed(executed(1, 4), add(3, "B", 2**32 - 1, PRICE - 100), add(4, "B", 7, PRICE - 100))
    first = Touch([0, PRICE], [0, 15], [0, 2], last_e4=PRICE)
    assert (ear.heard[0].before, ear.heard[0].after) == (Touch(), first)
    second = Touch([PRICE - 100, PRICE], [2**32 - 1, 11], [2, 2], last_e4=PRICE, last_qty=4, volume=4)
    assert (ear.heard[1].before, ear.heard[1].after) == (first, second)
    assert rig.engine.memory[0].touch == second


def test_now_is_the_clock_of_the_gate() -> None:
    rig, ear = listening()
    rig.feed(add(1, "S", 10, PRICE, ns=NS + 5))
    assert ear.heard[0].now_ns == NS + 5


def test_tick() -> None:
    for tick, told in ((0, 100), (1, 1), (2**32 - 1, 2**32 - 1), (2**63, 2**32 - 1)):
        rig = Rig()
        rig.engine.params[0].tick_e4 = tick
        assert signal_of(rig.engine, 0, 1).tick_e4 == told


def room(change: Callable[[Rig], None]) -> list[int]:
    rig = Rig()
    change(rig)
    return signal_of(rig.engine, 0, 1).room


def test_room() -> None:
    def held(position: int, opens: tuple[int, int] = (0, 0), **limits: int) -> Callable[[Rig], None]:
        def change(rig: Rig) -> None:
            rig.state.position, rig.state.open_qty = position, list(opens)
            for name, value in limits.items():
                setattr(rig.of_symbol, name, value)

        return change

    assert room(held(0)) == [5000, 0]
    assert room(held(100, (30, 20))) == [4870, 80]
    assert room(held(100, (0, 101))) == [4900, 0]
    assert room(held(-100, (0, 10), short_ok=1, max_short=500)) == [5100, 390]
    assert room(held(-100, short_ok=2, max_short=500)) == [5100, 0]
    assert room(held(5001)) == [0, 5001]
    assert room(held(0, max_long=2**64 - 1, max_short=2**64 - 1, short_ok=1)) == [10**9, 10**9]


def test_room_is_by_the_limits_of_the_epoch() -> None:
    rig = Rig()
    rig.engine.symbol_limits[0][0].max_long = 7
    rig.engine.control.epoch = 6
    assert signal_of(rig.engine, 0, 1).room == [7, 0]


def test_own_is_the_newest_open_order_of_each_side() -> None:
    rig, ear = listening()
    rig.order(enter(Side.BUY, 10, PRICE - 300))
    rig.order(enter(Side.BUY, 20, PRICE - 200))
    rig.reply(accepted50(1, 10, price_e4=PRICE - 300), accepted50(2, 20), executed50(2, 5, PRICE - 200))
    rig.order(instead(1, Side.BUY, 30, PRICE - 100))
    rig.feed(add(1, "S", 10, PRICE))
    signal = ear.heard[0]
    assert signal.own == [Own(3, PRICE - 100, 30, 1, 0), Own()]
    # The replacement counts with what it has beyond its original.
    assert (signal.open_orders, signal.open_qty, signal.position) == (3, [45, 0], 5)


# --- what they want --------------------------------------------------------------------------------------------------


def test_waits_count_when_nothing_is_wanted_and_not_in_shadow() -> None:
    for wait, counter in ((Wait.IN_FLIGHT, "wait_in_flight"), (Wait.LIMIT, "wait_limit")):
        rig, _ = listening(wait=wait)
        rig.feed(add(1, "S", 10, PRICE))
        assert rig.engine.counter[counter] == 1
        rig, _ = listening(wait=wait, shadow=True)
        rig.feed(add(1, "S", 10, PRICE))
        assert rig.engine.counter[counter] == 0
        rig, _ = listening(enter(Side.BUY, 1, PRICE), wait=wait)
        rig.feed(add(1, "S", 10, PRICE))
        assert rig.engine.counter[counter] == 0
        rig, _ = listening(Intent(Action.NONE), wait=wait)
        rig.feed(add(1, "S", 10, PRICE))
        assert rig.engine.counter[counter] == 1


def test_at_most_four_intents_of_a_signal_the_first_ones() -> None:
    rig, _ = listening(*(enter(Side.BUY, qty, PRICE) for qty in range(1, 7)))
    outcome = rig.feed(add(1, "S", 10, PRICE))
    assert [event.qty for event in outcome.events] == [1, 2, 3, 4]
    assert (rig.engine.counter["intents"], rig.engine.counter["triggers_dropped"]) == (4, 0)


def test_none_is_left_out_and_takes_a_place_of_the_four() -> None:
    rig, _ = listening(Intent(Action.NONE), *(enter(Side.BUY, qty, PRICE) for qty in range(1, 7)))
    assert [event.qty for event in rig.feed(add(1, "S", 10, PRICE)).events] == [1, 2, 3]
    assert rig.engine.counter["intents"] == 3


def test_what_is_no_action_meets_the_gate() -> None:
    rig, _ = listening(Intent(9))
    assert [event.reason for event in rig.feed(add(1, "S", 10, PRICE)).events] == [Reason.BAD_INTENT]


def test_pending_intents_of_a_packet_have_a_bound_with_those_of_shadows() -> None:
    rig, _ = listening(*(enter(Side.BUY, qty, PRICE) for qty in range(1, 5)), shadow=True)
    for slot in range(1, 10):
        rig.add_symbol(slot, f"S{slot}", 100 + slot)
        rig.engine.params[slot].strategy = Strategy.USER
    rig.engine.params[0].strategy = 0
    names = ["AAPL", *(f"S{slot}" for slot in range(1, 10))]
    rig.feed(
        *(
            add(slot + 1, "S", 10, PRICE, name=name, locate=100 + slot if slot else LOCATE)
            for slot, name in enumerate(names)
        )
    )
    counter = rig.engine.counter
    assert (counter["shadow_intents"], counter["intents"], counter["triggers_dropped"]) == (4, 28, 8)
    assert counter["orders"] == 8
    assert rig.engine.refused[Reason.NO_ROOM] == 20


def test_pending_is_of_one_packet() -> None:
    rig, ear = listening(enter(Side.BUY, 1, PRICE))
    rig.engine.params[0].kill = Kill.HALTED
    rig.feed(add(1, "S", 10, PRICE))
    ear.wants = Intents()
    assert rig.feed(add(2, "S", 10, PRICE)).events == []


# --- shadow ----------------------------------------------------------------------------------------------------------


def test_a_shadow_meets_the_gate_and_nothing_else() -> None:
    rig, _ = listening(enter(Side.BUY, 9, PRICE), enter(Side.BUY, 0, PRICE), shadow=True)
    outcome = rig.feed(add(1, "S", 10, PRICE, ns=NS + 4))
    assert outcome.verdict == XdpAction.DROP
    assert kinds(outcome) == [EventKind.SHADOW, EventKind.SHADOW]
    passed, refused = outcome.events
    assert (passed.reason, refused.reason) == (0, Reason.QTY_RANGE)
    assert (passed.symbol, passed.side, passed.price_e4, passed.qty) == (0, Side.BUY, PRICE, 9)
    assert (passed.strategy, passed.user_ref, passed.exchange_ns) == (Strategy.USER, 0, NS + 4)
    assert sum(rig.engine.refused.values()) == rig.engine.counter["intents"] == 0
    assert rig.engine.counter["shadow_intents"] == 2
    assert (rig.engine.working, rig.engine.account.tat_ns) == ({}, 0)


def test_a_shadow_sees_the_orders_before_it_in_the_packet() -> None:
    rig, _ = listening(enter(Side.BUY, 1, PRICE), shadow=True)
    rig.engine.params[0].buy_below_e4 = PRICE
    rig.of_account.max_open_orders = 1
    outcome = rig.feed(add(1, "S", 10, PRICE))
    assert [(event.kind, event.reason) for event in outcome.events] == [
        (EventKind.ORDER, 0),
        (EventKind.SHADOW, Reason.OPEN_ORDERS),
    ]


def test_a_shadow_needs_no_room_in_the_frame() -> None:
    rig, _ = listening(enter(Side.BUY, 1, PRICE), shadow=True)
    rig.engine.config.room = 0
    assert [event.reason for event in rig.feed(add(1, "S", 10, PRICE)).events] == [0]


def test_a_shadow_has_its_own_kill_word_and_limits() -> None:
    rig, _ = listening(enter(Side.BUY, 1, PRICE), shadow=True)
    rig.engine.control.strategy_kill[Strategy.USER] = Kill.HALTED
    assert [event.reason for event in rig.feed(add(1, "S", 10, PRICE)).events] == [Reason.HALTED_STRATEGY]
