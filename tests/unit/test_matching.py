"""The matching engine: price-time priority, and an event for every change of a book."""

from __future__ import annotations

import pytest
from turbo_hft.errors import ExchangeError
from turbo_hft.exchange.book import BUY, SELL
from turbo_hft.exchange.matching import (
    MatchingEngine,
    OrderAdded,
    OrderDeleted,
    OrderExecuted,
    OrderReduced,
    OrderReplaced,
)


@pytest.fixture
def engine() -> MatchingEngine:
    return MatchingEngine(("AAPL", "MSFT"))


def test_an_order_that_does_not_cross_rests(engine: MatchingEngine) -> None:
    outcome = engine.submit("AAPL", BUY, 100, 1_632_000, mpid="GSCO")
    assert outcome.open_qty == 100
    assert outcome.events == (OrderAdded("AAPL", outcome.order_ref, BUY, 100, 1_632_000, "GSCO"),)
    assert engine.books["AAPL"].best(BUY) == (1_632_000, 100)
    assert engine.books["AAPL"].best(SELL) is None


def test_price_goes_before_time(engine: MatchingEngine) -> None:
    worse = engine.submit("AAPL", SELL, 100, 1_632_100).order_ref
    better = engine.submit("AAPL", SELL, 100, 1_632_000).order_ref
    hit = engine.submit("AAPL", BUY, 150, 1_632_100)
    executed = [event for event in hit.events if isinstance(event, OrderExecuted)]
    assert [(e.order_ref, e.qty, e.price_e4) for e in executed] == [(better, 100, 1_632_000), (worse, 50, 1_632_100)]
    assert [e.match_number for e in executed] == [1, 2]


def test_time_decides_within_a_price(engine: MatchingEngine) -> None:
    refs = [engine.submit("AAPL", BUY, 10, 1_000_000).order_ref for _ in range(3)]
    hit = engine.submit("AAPL", SELL, 25, 1_000_000)
    assert [(e.order_ref, e.qty) for e in hit.events if isinstance(e, OrderExecuted)] == [
        (refs[0], 10),
        (refs[1], 10),
        (refs[2], 5),
    ]
    assert engine.books["AAPL"].best(BUY) == (1_000_000, 5)
    assert set(engine.orders) == {refs[2]}


def test_only_the_remainder_of_a_marketable_order_is_added(engine: MatchingEngine) -> None:
    engine.submit("AAPL", SELL, 30, 1_000_000)
    outcome = engine.submit("AAPL", BUY, 100, 1_000_100)
    assert [type(e) for e in outcome.events] == [OrderExecuted, OrderAdded]
    assert outcome.events[1] == OrderAdded("AAPL", outcome.order_ref, BUY, 70, 1_000_100)


def test_immediate_or_cancel_leaves_nothing_behind(engine: MatchingEngine) -> None:
    engine.submit("AAPL", SELL, 30, 1_000_000)
    outcome = engine.submit("AAPL", BUY, 100, 1_000_000, ioc=True)
    assert [type(e) for e in outcome.events] == [OrderExecuted]
    assert outcome.open_qty == 70
    assert engine.orders == {}
    assert engine.books["AAPL"].levels(BUY) == []


def test_a_symbol_does_not_trade_with_another(engine: MatchingEngine) -> None:
    engine.submit("AAPL", SELL, 30, 1_000_000)
    outcome = engine.submit("MSFT", BUY, 30, 2_000_000)
    assert [type(e) for e in outcome.events] == [OrderAdded]


def test_partial_cancel_keeps_the_place_in_the_queue(engine: MatchingEngine) -> None:
    first = engine.submit("AAPL", BUY, 100, 1_000_000).order_ref
    engine.submit("AAPL", BUY, 100, 1_000_000)
    assert engine.reduce(first, 60) == OrderReduced("AAPL", first, 60)
    hit = engine.submit("AAPL", SELL, 40, 1_000_000)
    assert isinstance(hit.events[0], OrderExecuted)
    assert hit.events[0].order_ref == first


def test_canceling_all_deletes(engine: MatchingEngine) -> None:
    ref = engine.submit("AAPL", BUY, 100, 1_000_000).order_ref
    assert engine.reduce(ref, 100) == OrderDeleted("AAPL", ref)
    assert engine.books["AAPL"].best(BUY) is None
    with pytest.raises(ExchangeError, match="not in the book"):
        engine.delete(ref)


def test_replace_loses_the_place_in_the_queue(engine: MatchingEngine) -> None:
    first = engine.submit("AAPL", BUY, 100, 1_000_000).order_ref
    second = engine.submit("AAPL", BUY, 100, 1_000_000).order_ref
    replaced = engine.replace(first, 100, 1_000_000)
    assert replaced.events == (OrderReplaced("AAPL", first, replaced.order_ref, 100, 1_000_000),)
    hit = engine.submit("AAPL", SELL, 50, 1_000_000)
    assert isinstance(hit.events[0], OrderExecuted)
    assert hit.events[0].order_ref == second


def test_replace_into_the_market_trades(engine: MatchingEngine) -> None:
    offer = engine.submit("AAPL", SELL, 40, 1_000_100).order_ref
    bid = engine.submit("AAPL", BUY, 10, 1_000_000, owner="me", mpid="NITE").order_ref
    outcome = engine.replace(bid, 100, 1_000_100)
    deleted, executed, added = outcome.events
    assert deleted == OrderDeleted("AAPL", bid)
    assert isinstance(executed, OrderExecuted)
    assert (executed.order_ref, executed.qty, executed.contra_owner) == (offer, 40, "me")
    assert added == OrderAdded("AAPL", outcome.order_ref, BUY, 60, 1_000_100, "NITE")
    assert engine.orders[outcome.order_ref].owner == "me"


def test_execution_off_the_display_price(engine: MatchingEngine) -> None:
    ref = engine.submit("AAPL", SELL, 40, 1_000_300).order_ref
    event = engine.execute_off_display(ref, 15, 1_000_200)
    assert (event.off_display_price, event.price_e4, event.qty) == (True, 1_000_200, 15)
    assert engine.books["AAPL"].best(SELL) == (1_000_300, 25)


def test_a_clients_order_never_trades_off_its_price(engine: MatchingEngine) -> None:
    ref = engine.submit("AAPL", SELL, 40, 1_000_300, owner="me").order_ref
    with pytest.raises(ExchangeError, match="belongs to a client"):
        engine.execute_off_display(ref, 15, 1_000_200)


def test_owners_of_both_sides_are_named(engine: MatchingEngine) -> None:
    engine.submit("AAPL", SELL, 40, 1_000_000, owner="seller")
    event = engine.submit("AAPL", BUY, 40, 1_000_000, owner="buyer").events[0]
    assert isinstance(event, OrderExecuted)
    assert (event.owner, event.contra_owner) == ("seller", "buyer")


@pytest.mark.parametrize(
    ("symbol", "side", "qty", "price_e4", "words"),
    [
        ("ZVZZT", BUY, 1, 1, "not listed"),
        ("AAPL", "X", 1, 1, "give 'B' or 'S'"),
        ("AAPL", BUY, 0, 1, "above 0"),
        ("AAPL", BUY, 1, 0, "above 0"),
    ],
)
def test_orders_no_venue_would_take(
    engine: MatchingEngine, symbol: str, side: str, qty: int, price_e4: int, words: str
) -> None:
    with pytest.raises(ExchangeError, match=words):
        engine.submit(symbol, side, qty, price_e4)


def test_reduce_more_than_there_is(engine: MatchingEngine) -> None:
    ref = engine.submit("AAPL", BUY, 100, 1_000_000).order_ref
    with pytest.raises(ExchangeError, match="100 shares open"):
        engine.reduce(ref, 101)


def test_a_symbol_is_listed_once(engine: MatchingEngine) -> None:
    with pytest.raises(ExchangeError, match="listed twice"):
        engine.add_symbol("AAPL")
