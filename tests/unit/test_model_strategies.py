"""Rule 5: the strategies, each asked directly."""

from __future__ import annotations

import pytest
from turbo_hft.model import Action, Intent, Intents, Memory, Own, Pending, Side, Signal, SymbolParams, Tif, Touch, Wait
from turbo_hft.model.strategies import imbalance, momentum, quoter, threshold

TARGET = 1_000_000
NAME = b"AAPL    "
IN_FLIGHT, LIMIT, NOTHING = Intents(wait=Wait.IN_FLIGHT), Intents(wait=Wait.LIMIT), Intents()


def told(
    bid: int = 0,
    ask: int = 0,
    *,
    qty: tuple[int, int] = (0, 0),
    position: int = 0,
    room: tuple[int, int] = (10**9, 10**9),
    open_orders: int = 0,
    tick: int = 100,
    before: Touch | None = None,
    volume: int = 0,
    own: tuple[Own, Own] = (Own(), Own()),
    ns: int = 1000,
) -> Signal:
    after = Touch([bid, ask], list(qty), [1, 1], volume=volume)
    return Signal(0, 1, 1, ns, ns, position, list(room), [0, 0], open_orders, tick, before or Touch(), after, list(own))


def enter(side: Side, qty: int, price_e4: int, tif: int = Tif.SESSION) -> Intents:
    return Intents([Intent(Action.ENTER, side, price_e4, qty, tif=tif)])


# --- threshold -------------------------------------------------------------------------------------------------------


def bought(signal: Signal, **params: int) -> Intents:
    defaults = {"buy_below_e4": TARGET, "base_qty": 100, "cap_qty": 10_000}
    return threshold.decide(SymbolParams(NAME, **(defaults | params)), signal)


def sold(signal: Signal, **params: int) -> Intents:
    defaults = {"sell_above_e4": TARGET, "base_qty": 100, "cap_qty": 10_000}
    return threshold.decide(SymbolParams(NAME, **(defaults | params)), signal)


@pytest.mark.parametrize(
    ("ask", "tick", "params", "qty"),
    [
        (TARGET, 100, {}, 100),
        (TARGET - 99, 100, {"step_qty": 10}, 100),
        (TARGET - 100, 100, {"step_qty": 10}, 110),
        (TARGET - 250, 100, {"step_qty": 10}, 120),
        (TARGET - 250, 1, {"step_qty": 10}, 2600),
        (TARGET - 250, 1, {"step_qty": 10, "cap_qty": 2000}, 2000),
        (TARGET - 250, 2**32 - 1, {"step_qty": 10}, 100),
        (TARGET, 100, {"base_qty": 2**63, "cap_qty": 2**63}, 1_000_000),
        (TARGET - 100, 100, {"step_qty": 2**40, "cap_qty": 2**63}, 1_000_100),
        (1, 1, {"buy_below_e4": 2**64 - 1, "step_qty": 1, "cap_qty": 2**63}, 2**32 - 1),
    ],
)
def test_threshold_buys(ask: int, tick: int, params: dict[str, int], qty: int) -> None:
    assert bought(told(ask=ask, tick=tick, room=(2**40, 0)), **params) == enter(Side.BUY, qty, ask)


@pytest.mark.parametrize(
    ("bid", "position", "params", "qty"),
    [
        (TARGET, 5000, {}, 100),
        (TARGET + 199, 5000, {"step_qty": 7}, 107),
        (TARGET + 200, 5000, {"step_qty": 7}, 114),
        (TARGET, 30, {}, 30),
        (TARGET, 5000, {"cap_qty": 20}, 20),
    ],
)
def test_threshold_sells(bid: int, position: int, params: dict[str, int], qty: int) -> None:
    assert sold(told(bid=bid, position=position), **params) == enter(Side.SELL, qty, bid)


def test_threshold_without_a_condition() -> None:
    assert bought(told()) == bought(told(ask=TARGET + 1)) == bought(told(ask=TARGET), buy_below_e4=0) == NOTHING
    assert sold(told(position=9)) == sold(told(bid=TARGET - 1, position=9)) == NOTHING
    assert sold(told(bid=TARGET, position=9), sell_above_e4=0) == sold(told(bid=TARGET)) == NOTHING
    assert sold(told(bid=TARGET, position=-5)) == sold(told(bid=2**32 - 1, position=9), sell_above_e4=2**32) == NOTHING


def test_threshold_sells_first_even_when_it_waits() -> None:
    both = {"buy_below_e4": TARGET, "sell_above_e4": TARGET}
    signal = told(bid=TARGET, ask=TARGET, position=50)
    assert sold(signal, **both) == enter(Side.SELL, 50, TARGET)
    assert sold(signal, **both, cap_qty=0) == LIMIT
    assert sold(told(bid=TARGET, ask=TARGET), **both) == enter(Side.BUY, 100, TARGET)


def test_waits() -> None:
    assert bought(told(ask=TARGET, room=(0, 0))) == LIMIT
    assert bought(told(ask=TARGET), base_qty=0) == LIMIT
    assert bought(told(ask=TARGET, open_orders=1), base_qty=0) == IN_FLIGHT
    assert bought(told(ask=TARGET, room=(7, 0))) == enter(Side.BUY, 7, TARGET)
    assert sold(told(bid=TARGET, position=9, room=(0, 8))) == enter(Side.SELL, 8, TARGET)


# --- imbalance -------------------------------------------------------------------------------------------------------


def weighed(qty: tuple[int, int], *, bid: int = 99, ask: int = 101, **params: int) -> Intents:
    defaults = {"imbalance_ppm": 750_000, "imbalance_qty": 50}
    return imbalance.decide(SymbolParams(NAME, **(defaults | params)), told(bid, ask, qty=qty))


def test_imbalance() -> None:
    assert weighed((300, 100)) == enter(Side.BUY, 50, 101)
    assert weighed((100, 300)) == enter(Side.SELL, 50, 99)
    assert weighed((299, 100)) == weighed((100, 299)) == weighed((1, 1)) == NOTHING
    assert weighed((1, 1), imbalance_ppm=500_000) == enter(Side.BUY, 50, 101)
    assert weighed((300, 100), imbalance_least=400) == enter(Side.BUY, 50, 101)
    assert weighed((300, 100), imbalance_least=401) == NOTHING
    assert weighed((300, 100), imbalance_ppm=0) == NOTHING
    assert weighed((300, 100), bid=0) == weighed((300, 100), ask=0) == NOTHING
    assert weighed((2**32 - 1, 1), imbalance_ppm=2**64 - 1) == NOTHING
    assert weighed((300, 100), imbalance_qty=0) == LIMIT
    assert weighed((300, 100), imbalance_qty=2**63) == enter(Side.BUY, 10**9, 101)


# --- momentum --------------------------------------------------------------------------------------------------------

FOLLOW = SymbolParams(NAME, momentum_ticks=3, momentum_window_ns=50, momentum_qty=10)


def moved(
    memory: Memory, before: tuple[int, int], after: tuple[int, int], *, traded: bool = True, ns: int = 1000
) -> Intents:
    was = Touch(list(before), [1, 1], [1, 1], volume=7)
    return momentum.decide(FOLLOW, memory, told(*after, before=was, volume=8 if traded else 7, ns=ns))


def counts(memory: Memory) -> tuple[int, int, int]:
    return memory.momentum_since_ns, memory.momentum_up, memory.momentum_down


def test_momentum_follows_moves_that_came_with_trades() -> None:
    memory = Memory()
    assert moved(memory, (900, 1000), (900, 1250)) == NOTHING
    assert counts(memory) == (1000, 2, 0)
    assert moved(memory, (900, 1250), (900, 1999), traded=False, ns=1050) == NOTHING
    assert counts(memory) == (1000, 2, 0)
    assert moved(memory, (900, 1999), (900, 2099), ns=1050) == enter(Side.BUY, 10, 2099)
    assert counts(memory) == (0, 3, 0)


def test_momentum_down() -> None:
    memory = Memory()
    assert moved(memory, (900, 1000), (600, 1000)) == enter(Side.SELL, 10, 600)
    assert counts(memory) == (0, 0, 3)


def test_the_window_begins_anew_when_it_is_over_or_time_steps_back() -> None:
    memory = Memory(momentum_since_ns=1000, momentum_up=2)
    moved(memory, (0, 0), (900, 1000), ns=1050)
    assert counts(memory) == (1000, 2, 0)
    moved(memory, (0, 0), (900, 1000), ns=1051)
    assert counts(memory) == (1051, 0, 0)
    memory.momentum_down = 2
    moved(memory, (0, 0), (900, 1000), ns=1050)
    assert counts(memory) == (1050, 0, 0)
    moved(memory, (0, 0), (900, 1000), ns=0)
    assert counts(memory) == (1, 0, 0)


def test_both_ways_alike_is_no_momentum() -> None:
    memory = Memory(momentum_since_ns=1000, momentum_up=3, momentum_down=3)
    assert moved(memory, (0, 0), (900, 1000)) == NOTHING
    memory.momentum_up = 4
    assert moved(memory, (0, 0), (900, 0)) == NOTHING
    assert moved(memory, (0, 0), (900, 1000)) == enter(Side.BUY, 10, 1000)


def test_a_wait_ends_the_window_too() -> None:
    memory = Memory(momentum_since_ns=1000, momentum_up=3)
    assert momentum.decide(FOLLOW, memory, told(900, 1000, open_orders=1)) == IN_FLIGHT
    assert memory.momentum_since_ns == 0


def test_counts_stop_at_their_words_end_and_off_is_off() -> None:
    memory = Memory(momentum_since_ns=1000, momentum_up=2**32 - 1, momentum_down=2**32 - 2)
    moved(memory, (900, 1000), (500, 2000))
    assert counts(memory) == (1000, 2**32 - 1, 2**32 - 1)
    memory = Memory()
    assert momentum.decide(SymbolParams(NAME, momentum_qty=5), memory, told(900, 1000, volume=3)) == NOTHING
    assert memory == Memory()


# --- quoter ----------------------------------------------------------------------------------------------------------


def quoted(signal: Signal, **params: int) -> list[Intent]:
    defaults = {"quote_qty": 100, "quote_half_spread_e4": 500, "quote_inventory": 1000}
    decision = quoter.decide(SymbolParams(NAME, **(defaults | params)), signal)
    assert decision.wait == Wait.NONE
    return decision.intents


def prices(signal: Signal, **params: int) -> list[int]:
    return [intent.price_e4 for intent in quoted(signal, **params)]


def test_quotes_both_sides_for_the_day() -> None:
    assert quoted(told(10_000, 10_300)) == [
        Intent(Action.ENTER, Side.BUY, 9_600, 100, tif=Tif.DAY),
        Intent(Action.ENTER, Side.SELL, 10_700, 100, tif=Tif.DAY),
    ]


@pytest.mark.parametrize(
    ("bid", "ask", "position", "params", "expected"),
    [
        (10_000, 10_001, 0, {"quote_half_spread_e4": 1}, [9_900, 10_100]),
        (10_000, 10_001, 0, {"quote_half_spread_e4": 2**63}, []),
        (10_000, 12_000, 0, {"quote_half_spread_e4": 500}, [10_500, 11_500]),
        (10_000, 10_100, 150, {"quote_skew_e4": 100}, [9_400, 10_400]),
        (10_000, 10_100, -150, {"quote_skew_e4": 100}, [9_700, 10_700]),
        (10_000, 10_100, 900, {"quote_skew_e4": 1000}, [500, 10_100]),
        (10_000, 10_100, -900, {"quote_skew_e4": 1000}, [10_000, 19_600]),
        (10_000, 10_100, 10**9, {"quote_skew_e4": 2**63, "quote_inventory": 2**63}, [10_100]),
        (400, 500, 0, {}, [1_000]),
        (600, 800, 0, {}, [200, 1_200]),
        (1_999_999_600, 1_999_999_700, 0, {}, [1_999_999_100]),
    ],
)
def test_quote_prices(bid: int, ask: int, position: int, params: dict[str, int], expected: list[int]) -> None:
    assert prices(told(bid, ask, position=position), **params) == expected


def test_no_quotes_without_a_market_or_parameters() -> None:
    for signal in (told(0, 10_000), told(10_000, 0), told(10_000, 10_000), told(10_001, 10_000)):
        assert quoted(signal) == []
    assert quoted(told(10_000, 10_100), quote_qty=0) == quoted(told(10_000, 10_100), quote_half_spread_e4=0) == []


def test_inventory_is_not_added_to() -> None:
    for position, sides in ((999, [0, 1]), (1000, [1]), (-999, [0, 1]), (-1000, [0]), (5000, [1])):
        assert [intent.side for intent in quoted(told(10_000, 10_100, position=position))] == sides
    assert [intent.side for intent in quoted(told(10_000, 10_100), quote_inventory=0)] == []


def test_quantity_is_what_there_is_room_for() -> None:
    assert [intent.qty for intent in quoted(told(10_000, 10_100, room=(7, 0)))] == [7]
    mine = (Own(5, 9_000, 30, 2, 0), Own(6, 11_000, 40, 2, 0))
    assert [intent.qty for intent in quoted(told(10_000, 10_100, room=(7, 90), own=mine))] == [37, 100]
    assert [intent.qty for intent in quoted(told(10_000, 10_100), quote_qty=2**63)] == [10**9, 10**9]


def bid_of(own: Own, **params: int) -> list[Intent]:
    """What is done about our bid, with no room to sell."""
    return quoted(told(10_000, 10_300, room=(1000, 0), own=(own, Own())), **params)


def test_a_quote_is_moved_when_it_is_far_enough_off() -> None:
    moves = [Intent(Action.REPLACE, Side.BUY, 9_600, 100, 5, Tif.DAY)]
    assert bid_of(Own(5, 9_500, 100, 2, 0)) == bid_of(Own(5, 9_700, 100, 2, 0)) == moves
    assert bid_of(Own(5, 9_600, 30, 2, 0)) == []
    assert bid_of(Own(5, 9_500, 100, 2, 0), quote_requote_e4=100) == moves
    assert bid_of(Own(5, 9_500, 100, 2, 0), quote_requote_e4=101) == []
    assert bid_of(Own(5, 1, 100, 2, 0), quote_requote_e4=2**63) == []


def test_a_quote_that_is_not_wanted_is_taken_back() -> None:
    assert bid_of(Own(5, 9_600, 100, 2, 0), quote_inventory=0) == [Intent(Action.CANCEL, ref=5)]


def test_a_quote_that_is_not_answered_yet_is_left_alone() -> None:
    assert bid_of(Own(5, 9_000, 100, 1, 0)) == []
    for pending in Pending:
        assert bid_of(Own(5, 9_000, 100, 2, pending)) == []
        assert bid_of(Own(5, 9_000, 100, 2, pending), quote_inventory=0) == []
