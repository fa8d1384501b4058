"""The desk of a face over the loaded program: what it shows is what happened, what it halts is halted."""

from __future__ import annotations

import json

import pytest
from desk_rig import ASK_E4, Desk
from turbo_hft.dashboard.local_desk import LocalDesk
from turbo_hft.dashboard.view import View
from turbo_hft.errors import OrderRefused, TurboHftError
from turbo_hft.testing import Hook

pytestmark = pytest.mark.kernel


@pytest.fixture
def rig(hook: Hook) -> Desk:
    return Desk(hook)


def test_the_picture_is_what_happened(rig: Desk) -> None:
    engine = rig.engine
    reader = LocalDesk(engine, reads_events=True, interval_s=0)
    beside = LocalDesk(engine, interval_s=0)  # a second process: it has no events
    beside.view()
    first = engine.orders.enter("AAPL", "buy", 100, "163.20")
    rig.answer(rig.accepted(), rig.executed(first, 60, ASK_E4))
    second = engine.orders.enter("AAPL", "buy", 50, "163.00", tif="day")
    rig.answer(rig.accepted())
    rig.market(rig.rest("B", 1_630_000, 700))
    reader.observe(engine.events)
    for desk in (reader, beside):
        view = desk.view("AAPL")
        watched = view.watched
        assert watched is not None
        depth = engine.symbols["AAPL"].depth(12)
        assert [(level.price_e4, level.qty) for level in watched.bids] == [(x.price_e4, x.qty) for x in depth.bids]
        assert [(level.price_e4, level.qty) for level in watched.asks] == [(x.price_e4, x.qty) for x in depth.asks]
        ours = {level.price_e4: level.ours for level in watched.bids if level.ours}
        assert ours == {1_630_000: 50}
        assert [(row.user_ref, row.open_qty) for row in view.orders] == [(first, 40), (second, 50)]
        assert [(fill.user_ref, fill.qty, fill.price_e4, fill.side) for fill in view.fills] == [
            (first, 60, ASK_E4, "buy")
        ]
        uses = {use.name: use.used for use in view.limits if use.whose == "account"}
        account = engine.account
        assert uses["max_gross"] == account.gross_e4 + account.open_buy_e4 and uses["max_open_orders"] == 2
        assert next(use.used for use in watched.limits if use.name == "max_long") == 60 + 40 + 50
        assert View.from_dict(json.loads(json.dumps(view.as_dict()))) == view
    assert [fill.exact for desk in (reader, beside) for fill in desk.view().fills] == [True, False]
    assert [row.kind for row in reader.view().events].count("executed") == 1 and not beside.view().events
    rig.answer(rig.executed(first, 40, ASK_E4))
    assert [fill.qty for fill in beside.view().fills] == [60, 40]


def test_a_halt_is_one(rig: Desk) -> None:
    desk = LocalDesk(rig.engine)
    desk.halt()
    assert desk.view().state == "halted"
    with pytest.raises(OrderRefused, match="halted_global"):
        rig.engine.orders.enter("AAPL", "buy", 100, "163.20")
    desk.resume()
    rig.engine.orders.enter("AAPL", "buy", 100, "163.20")


def test_a_change_holds_from_the_next_packet_on_or_not_at_all(rig: Desk) -> None:
    desk = LocalDesk(rig.engine)
    desk.change("AAPL max_order_qty=99")
    with pytest.raises(OrderRefused, match="max_order_qty"):
        rig.engine.orders.enter("AAPL", "buy", 100, "163.20")
    before = desk.view("AAPL").watched
    with pytest.raises(TurboHftError):
        desk.change("AAPL max_order_qty=500 buy_below=163.00 sell_above=162.00")
    after = desk.view("AAPL").watched
    assert before is not None and after is not None and before.settings == after.settings
