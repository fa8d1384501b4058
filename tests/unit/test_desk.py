"""The desk of a local engine, and the view on its way through JSON."""

from __future__ import annotations

import json
import threading
from typing import cast

import pytest
from turbo_hft.dashboard.desk import Canceled, Desk
from turbo_hft.dashboard.local_desk import LocalDesk
from turbo_hft.dashboard.view import View
from turbo_hft.depth import Level
from turbo_hft.engine import Engine
from turbo_hft.errors import ConfigError, MalformedMessage
from unit.fakes import FakeEngine, FakeEvent, order


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


def desk_of(engine: FakeEngine, **options: object) -> LocalDesk:
    return LocalDesk(cast(Engine, engine), **options)  # type: ignore[arg-type]


def through_json(view: View) -> View:
    return View.from_dict(json.loads(json.dumps(view.as_dict())))


def test_nothing_is_read_while_nobody_looks(engine: FakeEngine) -> None:
    desk = desk_of(engine, reads_events=True)
    desk.observe([FakeEvent(id=i) for i in range(10)])
    assert engine.reads == 0
    desk.view()
    assert engine.reads == 1


def test_several_faces_share_one_reading(engine: FakeEngine) -> None:
    desk = desk_of(engine, interval_s=3600)
    faces = [threading.Thread(target=desk.view, args=(name,)) for name in ("AAPL", "MSFT", None, "AAPL")]
    for face in faces:
        face.start()
    for face in faces:
        face.join()
    assert engine.reads == 1
    aapl, msft = desk.view("AAPL").watched, desk.view("MSFT").watched
    assert aapl is not None and msft is not None and (aapl.symbol.name, msft.symbol.name) == ("AAPL", "MSFT")
    assert desk.view().watched is None and engine.reads == 1
    desk.halt()
    assert desk.view().state == "halted" and engine.reads == 2, "what was done is seen at once"


def test_watched_symbol_has_its_book_with_our_orders_in_it(engine: FakeEngine) -> None:
    state = engine.symbols["AAPL"].fake
    state.bids, state.asks = (Level(1_632_000, 300, 2), Level(1_631_900, 50, 1)), (Level(1_632_100, 10, 1),)
    state.bid_e4, state.ask_e4, state.open_orders, state.open_buy_qty, state.position = 1_632_000, 1_632_100, 1, 100, 40
    engine.orders.working = [order(3)]
    engine.fake_account[0].open_orders = 1
    view = desk_of(engine).view("AAPL")
    watched = view.watched
    assert watched is not None
    assert [(level.price_e4, level.qty, level.ours) for level in watched.bids] == [
        (1_632_000, 300, 100),
        (1_631_900, 50, 0),
    ]
    assert [(row.user_ref, row.open_qty) for row in view.orders] == [(3, 100)]
    uses = {use.name: (use.used, use.limit) for use in watched.limits}
    assert uses == {
        "max_long": (140, 1000),
        "max_short": (0, 0),
        "max_loss": (0, 100_000_000),
        "max_open_orders": (1, 4),
    }
    assert watched.prices.bid_e4 == (1_632_000,)
    assert watched.settings["base_qty"] == 100
    assert through_json(view) == view


def test_limits_of_the_account_count_open_orders_as_filled(engine: FakeEngine) -> None:
    account = engine.fake_account[0]
    account.gross_e4, account.net_e4, account.realized_e4 = 500, -300, -70_000
    account.open_e4 = [100, 20]
    uses = {use.name: (use.used, use.limit) for use in desk_of(engine).view().limits}
    assert uses["max_gross"] == (620, 100_000_000_000)
    assert uses["max_net"] == (320, 100_000_000_000)
    assert uses["max_loss"] == (70_000, 250_000_000)


def test_fills_without_the_event_stream_come_out_of_the_orders(engine: FakeEngine) -> None:
    desk = desk_of(engine, interval_s=0)
    engine.session.next_user_ref = 3
    engine.orders.working = [order(1), order(2, filled_qty=30, filled_e4=30 * 1_632_000)]
    first = desk.view().fills
    assert [(fill.user_ref, fill.qty, fill.price_e4, fill.exact) for fill in first] == [(2, 30, 1_632_000, False)]
    engine.orders.working = []
    engine.orders.ended = [
        order(1, state="canceled"),
        order(2, state="filled", filled_qty=100, filled_e4=30 * 1_632_000 + 70 * 1_631_900),
        order(3, state="filled", filled_qty=100, filled_e4=100 * 1_632_100),
    ]
    engine.session.next_user_ref = 4
    later = desk.view().fills[1:]
    assert [(fill.user_ref, fill.qty, fill.price_e4) for fill in later] == [(2, 70, 1_631_900), (3, 100, 1_632_100)]
    assert len(desk.view().fills) == 3, "none is found twice"


def test_fills_of_the_event_stream_are_exact(engine: FakeEngine) -> None:
    desk = desk_of(engine, reads_events=True)
    desk.observe([FakeEvent(kind="executed", position=100, exchange_ns=7), FakeEvent(kind="accepted")])
    (fill,) = desk.view("AAPL").fills
    assert (fill.symbol, fill.qty, fill.position, fill.exchange_ns, fill.exact) == ("AAPL", 100, 100, 7, True)


def test_steering(engine: FakeEngine) -> None:
    desk: Desk = desk_of(engine)
    states: list[str] = []
    for act in (desk.reduce, desk.resume):
        act()
        states.append(engine.state)
    assert states == ["reducing", "active"]
    assert desk.change("AAPL buy_below=164.00 max_long=300")["buy_below"] == "164.00"
    assert engine.symbols["AAPL"].limits.max_long == 300
    assert desk.change("max_gross=2000000")["max_gross"] == "2000000.00"
    for wrong in ("AAPL buy_below=no", "AAPL", "", "NOPE base_qty=1", "max_gross", "nothing=1"):
        with pytest.raises((ConfigError, MalformedMessage)):
            desk.change(wrong)
    engine.orders.working = engine.orders.left = [order(5)]
    done = desk.halt_and_cancel()
    assert (engine.state, done.left, done.refused) == ("halted", (5,), {"5": "session_down"})
    assert Canceled.from_dict(json.loads(json.dumps(done.as_dict()))) == done


def test_who_may_only_look_changes_nothing(engine: FakeEngine) -> None:
    desk = desk_of(engine, may_trade=False)
    for act in (desk.halt, desk.halt_and_cancel, desk.reduce, desk.resume, lambda: desk.change("AAPL base_qty=1")):
        with pytest.raises(ConfigError, match="only look"):
            act()
    assert engine.state == "active" and engine.symbols["AAPL"].base_qty == 100


def test_a_view_that_is_none_is_refused(engine: FakeEngine) -> None:
    values = desk_of(engine).view().as_dict()
    wrongs: tuple[object, ...] = (None, [], {}, {**values, "epoch": "x"}, {**values, "symbols": [{}]})
    for wrong in wrongs:
        with pytest.raises(MalformedMessage, match="no view of this version"):
            View.from_dict(wrong)
    with pytest.raises(MalformedMessage):
        Canceled.from_dict({"canceled": None})


def test_an_unknown_symbol_cannot_be_watched(engine: FakeEngine) -> None:
    with pytest.raises(ConfigError, match="not tracked"):
        desk_of(engine).view("NOPE")
