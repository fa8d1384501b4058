"""One long day on which everything goes wrong that can: every kind of trouble happens, and everything adds up."""

from __future__ import annotations

from pathlib import Path
from random import Random

from exchange_day import KINDS, MILLISECOND, SECOND, Day
from turbo_hft.exchange import Faults
from turbo_hft.exchange.halts import Halt, ShortSaleRestriction
from turbo_hft.exchange.order_faults import OrderFaults

FAULTS = OrderFaults(
    reject=0.1,
    dead=0.1,
    cancel_pending=0.2,
    cancel_reject=0.2,
    broken_trade=0.1,
    reference_price=0.3,
    supervisory_cancel=0.1,
    priority_update=0.2,
    supervisory_modify=0.2,
    restate=0.2,
    later_ns=(0, 30 * MILLISECOND),
)
LINK = Faults(loss=0.05, duplicate=0.05, reorder=0.05)
DROP_S = 3.0


def bad_day(seed: int, log: Path | None = None) -> Day:
    random = Random(seed)
    day = Day(
        seed=seed,
        order_faults=FAULTS,
        faults_orders=LINK,
        faults_replies=LINK,
        silences_s=((2.0, 0.05),),
        drops_s=(DROP_S,),
        halts=(Halt("AAPL", SECOND, SECOND // 2), Halt("MSFT", SECOND, SECOND, "P")),
        restrictions=(ShortSaleRestriction("MSFT", SECOND // 2),),
        log=log,
    )
    dropped = False
    for _ in range(1500):
        day.step(random.randint(0, 6))
        if not dropped and day.now > DROP_S * SECOND:
            dropped = True
            for trader in day.traders:
                day.log_in(trader)
        trader, kind = random.choice(day.traders), random.choice(KINDS)
        day.do(trader, kind, random.randint(0, 1 << 16), random.randint(1, 400), random.randint(-6, 6))
    day.step(50)
    day.heal()
    day.check()
    day.check_feed()
    day.core.stop(day.now, "test")
    day.step(0)
    day.heal()
    day.check()
    day.check_feed()
    day.core.close()
    return day


def test_everything_happens_and_everything_adds_up(tmp_path: Path) -> None:
    day = bad_day(5, tmp_path / "log")
    assert day.now > 3.5 * SECOND
    summary = day.core.summary()
    events, replies = summary["order_events"], summary["replies"]
    assert isinstance(events, dict) and isinstance(replies, dict)
    assert set(events) == {
        "broken_trade", "cancel_pending", "cancel_reject", "dead", "halt_cancel", "priority_update",
        "reference_price", "reject", "restate", "self_match", "short_sale_restriction", "supervisory_cancel",
        "supervisory_modify", "trading_state_H", "trading_state_P", "trading_state_T",
    }  # fmt: skip
    assert set(replies["ouch50"]) == set("ABCDEGIJKMPRSTUX")
    assert set(replies["ouch42"]) == set("ABCDEGIJMPSTU")
    assert summary["unheard"]
    order_entry = summary["order_entry"]
    assert isinstance(order_entry, dict)
    assert [port["dropped"] for port in order_entry.values()] == [2, 2]
    lines = (tmp_path / "log").read_text().splitlines()
    assert len(lines) == day.core.audit.lines


def test_a_bad_day_is_the_same_again() -> None:
    first, second = bad_day(6), bad_day(6)
    assert first.feed == second.feed
    assert first.core.summary() == second.core.summary()
