"""The ledger that is added up from events alone says what the hook's maps say, whatever becomes of an order."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import asdict

import pytest
from desk_rig import ASK_E4, BID_E4, Desk
from turbo_hft.demo.reconcile import EventLedger, maps_ledger
from turbo_hft.errors import OrderRefused
from turbo_hft.snapshots import Side, WorkingOrder
from turbo_hft.testing import Hook
from turbo_hft.testing.wide import SYMBOL, widen
from turbo_hft.wire import ouch50

pytestmark = pytest.mark.kernel

STEPS = 600
KINDS = {
    "order", "replaced", "executed", "canceled", "rejected", "broken", "modified", "lost", "cancel_sent", "priority",
    "accepted",
}  # fmt: skip


class Life:
    """Random orders and random answers of the exchange; every answer is one that can come."""

    def __init__(self, hook: Hook, seed: int) -> None:
        hook.engine.lease.forever()
        self.desk = Desk(hook, **{**SYMBOL, "short_ok": True, "max_short": 10**9})
        widen(self.desk.engine)
        self.desk.engine.fees["R"] = "0.0030"
        self.rng = random.Random(seed)
        self.trades: list[tuple[int, int, int, int]] = []

    def step(self) -> None:
        orders = self.desk.engine.orders.open()
        order = self.rng.choice(orders) if orders else None
        if order is None or (len(orders) < 6 and self.rng.random() < 0.3):
            self.act(None)
        elif order.state == "live" and self.rng.random() < 0.3:
            self.act(order)
        elif order.state == "sent":
            self.first_answer(order)
        else:
            self.later_answer(order)

    def act(self, order: WorkingOrder | None) -> None:
        qty, rng, mine = self.rng.randint(1, 300), self.rng, self.desk.engine.orders
        try:
            if order is None:
                side: Side = "buy" if rng.random() < 0.5 else "sell"
                # Far enough apart that our own orders never meet.
                price = BID_E4 - 100 * rng.randint(1, 9) if side == "buy" else ASK_E4 + 100 * rng.randint(1, 9)
                mine.enter("AAPL", side, qty, price / 10_000, tif="day")
            elif rng.random() < 0.6:
                mine.replace(order.user_ref, qty, order.price_e4 / 10_000)
            else:
                mine.cancel(order.user_ref)
        except OrderRefused as refused:
            assert refused.reason in ("bad_intent", "open_orders", "short_sale"), refused

    def first_answer(self, order: WorkingOrder) -> None:
        desk, fate, ref = self.desk, self.rng.random(), order.user_ref
        dead = "D" if self.rng.random() < 0.1 else "L"
        if fate < 0.15:
            desk.answer(ouch50.Rejected(desk.clock, ref, 0x11, ""))
        elif fate < 0.25:
            desk.engine.orders.declare_lost(ref)
        elif order.other_ref and self.most(order) < 1:
            desk.answer(ouch50.Rejected(desk.clock, ref, 0x11, ""))
        elif order.other_ref:
            side, qty = self.side(order), self.rng.randint(1, self.most(order))
            desk.answer(
                ouch50.Replaced(
                    desk.clock, order.other_ref, ref, side, qty, "AAPL", order.price_e4, "0", "Y", 7, "P", "N", "N",
                    dead, "",
                )
            )  # fmt: skip
        else:
            sent = ouch50.EnterOrder(
                ref, self.side(order), order.qty, "AAPL", order.price_e4, "0", "Y", "P", "N", "N", ""
            )
            desk.answer(desk.accepted(sent, order_state=dead))

    def most(self, order: WorkingOrder) -> int:
        """Shares that a replacement can leave open: its original may have executed some since."""
        original = self.desk.engine.orders[order.other_ref]
        return order.qty - (original.chain_qty + original.filled_qty - order.chain_qty)

    def later_answer(self, order: WorkingOrder) -> None:
        desk, fate, ref = self.desk, self.rng.random(), order.user_ref
        qty = self.rng.randint(1, order.open_qty)
        if fate < 0.5:
            desk.answer(desk.executed(ref, qty, order.price_e4))
            self.trades.append((ref, desk.match, qty, order.price_e4))
        elif fate < 0.7:
            desk.answer(desk.canceled(ref, order.open_qty if self.rng.random() < 0.5 else qty))
        elif fate < 0.8:
            desk.answer(ouch50.Modified(desk.clock, ref, self.side(order), qty))
        elif fate < 0.9:
            desk.answer(ouch50.PriorityUpdate(desk.clock, ref, order.price_e4, "Y", 8))
        elif self.trades:
            trade = self.trades.pop(self.rng.randrange(len(self.trades)))
            desk.answer(ouch50.BrokenTrade(desk.clock, trade[0], trade[1], "E", ""))

    def side(self, order: WorkingOrder) -> str:
        return "B" if order.side == "buy" else "T" if order.short_sale else "S"


@pytest.mark.parametrize("seed", range(4))
def test_events_add_up_to_the_maps(hook: Hook, seed: int) -> None:
    life, ledger = Life(hook, seed), EventLedger({"R": 300_000})
    for event in hook.engine.events:
        assert event.kind != "order", "the day begins with the first step"
    kinds: Counter[str] = Counter()
    for step in range(STEPS):
        life.step()
        events = list(hook.engine.events)
        kinds.update(event.kind for event in events)
        ledger.add(events)
        assert hook.engine.session.health == "up", (step, events)
        (maps,) = maps_ledger([life.desk.view.snapshot()]).values()
        mine = ledger.symbols.get("AAPL")
        if mine is not None:
            assert asdict(mine) == asdict(maps), (step, events)
            assert mine.fees_e8 == 300_000 * (mine.bought_qty + mine.sold_qty)
    assert not [problem for problem in ledger.problems(ledger.count, 0) if "first event" not in problem]
    assert KINDS - set(kinds) <= {"lost"}, f"did not happen: {KINDS - set(kinds)}"
