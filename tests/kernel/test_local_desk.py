"""The desk of a face over the loaded program: what it shows is what happened, what it halts is halted."""

from __future__ import annotations

import json

import pytest
from desk_rig import ASK_E4, Desk
from turbo_hft.dashboard.local_desk import LocalDesk
from turbo_hft.dashboard.view import View
from turbo_hft.engine import Engine
from turbo_hft.errors import OrderRefused, TurboHftError
from turbo_hft.testing import Hook

pytestmark = pytest.mark.kernel


@pytest.fixture
def rig(hook: Hook) -> Desk:
    return Desk(hook)


def one_by_one(engine: Engine, desk: LocalDesk) -> None:
    """Every metric in its unit: dollars, shares, seconds, and what the picture says of the same."""
    found = {(name, *labels): value for name, all_of in desk.metrics().items() for labels, value in all_of}
    view, account = desk.view("AAPL"), engine.account
    assert view.watched is not None
    row, before = view.watched.symbol, "turbo_hft_"
    assert found[f"{before}symbol_position_shares", "AAPL"] == row.position == 60
    assert found[f"{before}symbol_pnl_dollars", "AAPL"] == row.pnl_e4 / 10_000
    assert found[f"{before}pnl_dollars",] == account.pnl_e4 / 10_000 and account.pnl_e4 != 0
    assert found[f"{before}fees_dollars",] == account.fees_e8 / 100_000_000
    assert found[f"{before}gross_exposure_dollars",] == account.gross_e4 / 10_000 > 9_000
    assert found[f"{before}symbol_bid_dollars", "AAPL"] == engine.symbols["AAPL"].snapshot().bid_e4 / 10_000 > 160
    assert found[f"{before}orders_total",] == engine.counters()["orders"]  # other tests' too
    assert found[f"{before}symbol_orders_total", "AAPL"] == row.orders == 2
    assert found[f"{before}symbol_fills", "AAPL"] == row.fills == 1
    for use in view.limits[:4]:
        assert found[f"{before}limit_used_ratio", use.name] == use.used / use.limit, use
    lease_s = found[f"{before}lease_left_seconds",]
    assert lease_s is None or 0 <= lease_s <= 60
    orders = [(bound, value) for (name, *bound), value in found.items() if name == f"{before}order_latency_seconds"]
    assert orders[-1] == (["+Inf"], view.latency.count)
    bounds = [float(bound) for (bound,), value in orders if value >= view.latency.count / 2]
    if view.latency.p50_ns is not None:
        assert view.latency.p50_ns / 2 <= bounds[0] * 1e9 <= 2 * view.latency.p50_ns


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
    one_by_one(engine, beside)
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
