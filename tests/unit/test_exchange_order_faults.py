"""What the exchange does to orders unasked, or instead of what it was asked: each kind alone, at a share of 1."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from exchange_rig import PRICE, SECOND, enter42, enter50, exchange, logged_in, market, published, replace50
from turbo_hft.errors import ConfigError
from turbo_hft.exchange import ExchangeCore
from turbo_hft.exchange.core import Reply
from turbo_hft.exchange.inprocess import InProcessClient
from turbo_hft.exchange.order_faults import Mishaps, OrderFaults
from turbo_hft.wire import itch50, ouch42, ouch50, ufo

LATER = 5_000_000
PORTS = ("ouch50", "ouch42")


def faulty(**faults: Any) -> ExchangeCore:
    return exchange(order_faults=OrderFaults(**{"later_ns": (LATER, LATER), **faults}))


def sent(client: InProcessClient, *messages: Any) -> list[Any]:
    return list(client.send(*messages))


def taken(client: InProcessClient, datagrams: list[Reply]) -> list[Any]:
    return list(client.take(datagrams))


def enter(client: InProcessClient, number: int, side: str = "B", qty: int = 100, *, ioc: bool = False) -> list[Any]:
    if client.port == "ouch50":
        return sent(client, enter50(number, side, qty, tif="3" if ioc else "0"))
    return sent(client, enter42(f"T{number}", side, qty, tif=0 if ioc else 99_998))


def cancel(client: InProcessClient, number: int, qty: int = 0) -> list[Any]:
    message = ouch50.CancelOrder(number, qty) if client.port == "ouch50" else ouch42.CancelOrder(f"T{number}", qty)
    return sent(client, message)


def replace(client: InProcessClient, number: int, new: int, qty: int = 100) -> list[Any]:
    if client.port == "ouch50":
        return sent(client, replace50(number, new, qty))
    return sent(client, ouch42.ReplaceOrder(f"T{number}", f"T{new}", qty, PRICE, 99_999, "Y", "N", 0))


def later(core: ExchangeCore, client: InProcessClient, at_ns: int = LATER) -> list[Any]:
    """What comes by itself by then."""
    core.tick(at_ns)
    return taken(client, core.replies(at_ns))


@pytest.mark.parametrize("port", PORTS)
def test_orders_are_rejected_for_reasons_of_the_protocol(port: str) -> None:
    core = faulty(reject=1.0)
    client = logged_in(core, port)
    reasons = set()
    for number in range(1, 60):
        (rejected,) = enter(client, number)
        assert isinstance(rejected, ouch50.Rejected | ouch42.Rejected)
        reasons.add(rejected.reason)
    assert len(reasons) > 5
    assert reasons <= set(ouch50.REJECT_REASONS) | set(ouch42.REJECT_REASONS)
    assert core.summary()["order_events"] == {"reject": 59}
    assert core.ledger.of("HFT001", "AAPL").rejected == 59
    assert published(core) == []


@pytest.mark.parametrize("port", PORTS)
def test_a_rejected_replacement_leaves_the_order_and_uses_up_its_number(port: str) -> None:
    core = faulty()
    client = logged_in(core, port)
    enter(client, 1)
    core.desk.mishaps = Mishaps(OrderFaults(reject=1.0))
    (rejected,) = replace(client, 1, 2)
    assert rejected.TYPE == "J"
    core.desk.mishaps = Mishaps()
    assert replace(client, 1, 2) == []
    (replaced,) = replace(client, 1, 3)
    assert replaced.TYPE == "U"
    position = core.ledger.of("HFT001", "AAPL")
    assert (position.orders, position.replaced, position.replaces_rejected, position.rejected) == (1, 1, 1, 0)
    assert (position.ordered_qty, position.rejected_qty, position.open_qty) == (200, 0, 100)


@pytest.mark.parametrize("port", PORTS)
def test_dead_orders_and_dead_replacements(port: str) -> None:
    core = faulty(dead=1.0)
    client = logged_in(core, port)
    market(core, "S", 100)
    published(core)
    (dead,) = enter(client, 1)
    assert dead.TYPE == "A" and dead.order_state == "D" and dead.order_ref
    assert cancel(client, 1) == [] and replace(client, 1, 2) == []
    core.desk.mishaps = Mishaps()
    (alive,) = enter(client, 3, "S")
    core.desk.mishaps = Mishaps(OrderFaults(dead=1.0))
    (replaced,) = replace(client, 3, 4, 70)
    assert (alive.order_state, replaced.TYPE, replaced.order_state) == ("L", "U", "D")
    assert [m.TYPE for m in published(core)] == ["A", "D"]
    assert cancel(client, 3) == [] and cancel(client, 4) == []
    position = core.ledger.of("HFT001", "AAPL")
    assert (position.ordered_qty, position.canceled_qty, position.open_qty) == (270, 270, 0)


@pytest.mark.parametrize("port", PORTS)
def test_a_pending_cancel_is_carried_out_later(port: str) -> None:
    core = faulty(cancel_pending=1.0)
    client = logged_in(core, port)
    enter(client, 1)
    (partial,) = cancel(client, 1, 60)
    assert partial.TYPE == "I"  # no order becomes smaller in a late cross
    (pending,) = cancel(client, 1)
    assert pending.TYPE == "P"
    assert cancel(client, 1) == []
    (rejected,) = replace(client, 1, 2)
    assert (rejected.TYPE, rejected.reason) == ("J", 0x0B if port == "ouch50" else "O")
    market(core, "S", 30)
    assert [m.TYPE for m in later(core, client, LATER - 1)] == ["E"]
    (canceled,) = later(core, client)
    assert canceled.TYPE == "C" and canceled.reason == "U"
    position = core.ledger.of("HFT001", "AAPL")
    assert (position.bought_qty, position.canceled_qty, position.open_qty) == (30, 70, 0)


@pytest.mark.parametrize("port", PORTS)
def test_a_pending_cancel_comes_too_late_or_at_the_end_of_the_day(port: str) -> None:
    core = faulty(cancel_pending=1.0)
    client = logged_in(core, port)
    enter(client, 1)
    enter(client, 2, qty=20)
    cancel(client, 1)
    market(core, "S", 100)
    cancel(client, 2)
    core.stop(0, "test")
    ends = taken(client, core.replies(0))
    assert [m.TYPE for m in ends] == ["C", "S"]
    assert ends[0].reason == "U"
    assert later(core, client) == []


@pytest.mark.parametrize("port", PORTS)
def test_cancels_are_rejected(port: str) -> None:
    core = faulty(cancel_reject=1.0)
    client = logged_in(core, port)
    enter(client, 1)
    for _ in range(2):
        (rejected,) = cancel(client, 1)
        assert rejected.TYPE == "I"
    assert cancel(client, 7) == []
    assert core.ledger.of("HFT001", "AAPL").open_qty == 100


@pytest.mark.parametrize("port", PORTS)
def test_a_broken_trade_is_taken_back_once_under_the_key_it_was_made_with(port: str) -> None:
    core = exchange(fees_e8={"A": -200_000}, order_faults=OrderFaults(broken_trade=1.0, later_ns=(LATER, LATER)))
    client = logged_in(core, port)
    enter(client, 1)
    market(core, "S", 30)
    (executed,) = taken(client, core.replies(0))
    position = core.ledger.of("HFT001", "AAPL")
    assert (position.position, position.fees_e8, position.executions) == (30, -6_000_000, 1)
    (replaced,) = replace(client, 1, 2, 100)
    assert replaced.TYPE == "U"
    published(core)
    core.tick(LATER - 1)
    assert position.broken == 0
    broken_feed = published(core, LATER)
    assert [type(m) for m in broken_feed] == [itch50.BrokenTrade]
    (broken,) = taken(client, core.replies(LATER))
    assert isinstance(executed, ouch50.Executed | ouch42.Executed)
    assert isinstance(broken, ouch50.BrokenTrade | ouch42.BrokenTrade)
    assert broken.match_number == executed.match_number
    assert broken.reason in ouch50.BROKEN_REASONS
    assert (broken.user_ref_num if isinstance(broken, ouch50.BrokenTrade) else broken.order_token) in (1, "T1")
    assert (position.position, position.cost_e4, position.realized_e4, position.fees_e8) == (0, 0, 0, 0)
    assert (position.executions, position.bought_qty, position.bought_e4) == (0, 0, 0)
    assert (position.broken, position.broken_qty, position.open_qty) == (1, 30, 70)
    assert later(core, client, 10 * LATER) == []


def test_a_trade_between_clients_is_broken_on_both_sides() -> None:
    core = exchange(
        accounts={"HFT001": "SECRET", "HFT002": "SECRET"},
        order_faults=OrderFaults(broken_trade=1.0, later_ns=(LATER, LATER)),
    )
    buyer = logged_in(core)
    seller = InProcessClient(core, "ouch42", ("10.77.0.2", 1))
    seller.login("HFT002")
    enter(buyer, 1)
    enter(seller, 1, "S", 40)
    buyer.upstream(ufo.RetransmissionRequest(1, 10))
    core.tick(LATER)
    datagrams = core.replies(LATER)
    bought, sold = taken(buyer, datagrams)[-1], taken(seller, datagrams)[-1]
    assert isinstance(bought, ouch50.BrokenTrade) and isinstance(sold, ouch42.BrokenTrade)
    assert (bought.match_number, bought.reason) == (sold.match_number, sold.reason)
    assert [core.ledger.of(account, "AAPL").position for account in ("HFT001", "HFT002")] == [0, 0]


def test_executions_of_the_older_protocol_name_a_reference_price() -> None:
    core = faulty(reference_price=1.0)
    old, new = logged_in(core, "ouch42"), logged_in(core, "ouch50", 2)
    market(core, "S", 30)
    executed = enter(old, 1)[1]
    assert isinstance(executed, ouch42.ExecutedWithReferencePrice)
    assert (executed.execution_price, executed.reference_price, executed.reference_price_type) == (PRICE, PRICE, "I")
    market(core, "S", 100)
    enter(old, 2)
    market(core, "S", 30)
    assert isinstance(enter(new, 1)[0], ouch50.Accepted)
    assert core.mishaps.count["reference_price"] >= 2


@pytest.mark.parametrize("port", PORTS)
def test_supervisory_cancels_take_all_or_some(port: str) -> None:
    core = faulty(supervisory_cancel=1.0)
    client = logged_in(core, port)
    for number in range(1, 31):
        enter(client, number)
    cuts = later(core, client)
    assert {(m.TYPE, m.reason) for m in cuts} == {("C", "S")}
    sizes = {m.quantity if port == "ouch50" else m.decrement_shares for m in cuts}
    assert 100 in sizes and len(sizes) > 2
    assert core.mishaps.count["supervisory_cancel"] == 30


@pytest.mark.parametrize("port", PORTS)
def test_priority_updates_move_the_order_in_the_feed_too(port: str) -> None:
    core = faulty(priority_update=1.0)
    client = logged_in(core, port)
    for number in range(1, 11):
        enter(client, number, "BS"[number % 2], 100) if number % 2 == 0 else enter(client, number, "B", 10)
    published(core)
    moved = published(core, LATER)
    updates = taken(client, core.replies(LATER))
    assert {m.TYPE for m in updates} == {"T"} and len(updates) == 10
    assert [(m.order_ref, m.price) for m in updates] == [
        (m.new_order_ref, m.price) for m in moved if isinstance(m, itch50.OrderReplace)
    ]
    assert {m.price for m in updates} == {PRICE, PRICE - 100}
    market(core, "S", 5, PRICE - 100)
    (executed,) = taken(client, core.replies(LATER))
    assert executed.TYPE == "E"


@pytest.mark.parametrize("port", PORTS)
def test_supervisory_modifies_lower_and_mark(port: str) -> None:
    core = faulty(supervisory_modify=1.0)
    client = logged_in(core, port)
    for number in range(1, 31):
        enter(client, number, "S")
    changes = later(core, client)
    assert len(changes) == 30 and {m.TYPE for m in changes} == {"M"}
    assert {m.side for m in changes} == {"S", "T"}
    left = [m.quantity if port == "ouch50" else m.shares for m in changes]
    assert all(1 <= qty <= 100 for qty in left)
    assert core.ledger.of("HFT001", "AAPL").open_qty == sum(left)


def test_restatements_are_of_the_newer_protocol() -> None:
    core = faulty(restate=1.0)
    new, old = logged_in(core), logged_in(core, "ouch42", 2)
    for number in range(1, 11):
        enter(new, number)
        enter(old, number)
    core.tick(LATER)
    datagrams = core.replies(LATER)
    restated = taken(new, datagrams)
    assert {m.TYPE for m in restated} == {"R"} and len(restated) == 10
    assert {tuple(ouch50.options(m.appendage)) for m in restated if isinstance(m, ouch50.Restated)} == {(22,), (23,)}
    assert taken(old, datagrams) == []
    assert core.mishaps.count["restate"] == 10


def test_what_was_planned_for_an_order_that_is_gone_does_not_happen() -> None:
    core = faulty(supervisory_cancel=1.0, priority_update=1.0, supervisory_modify=1.0, restate=1.0)
    client = logged_in(core)
    enter(client, 1)
    cancel(client, 1)
    assert later(core, client) == []
    assert core.summary()["order_events"] == {}


@pytest.mark.parametrize("kind", ["B", "S"])
def test_orders_of_one_account_do_not_trade_with_each_other(kind: str) -> None:
    core = exchange()
    resting, other = logged_in(core, "ouch50"), logged_in(core, "ouch42", 2)
    side, contra = kind, "S" if kind == "B" else "B"
    enter(resting, 1, side, 40)
    market(core, side, 25)
    published(core)
    out = core.on_upstream(
        "ouch42", other.address, ufo.encode_upstream(ufo.Unsequenced(enter42("T1", contra, 100).encode())), 0
    )
    incoming, standing = taken(other, out), taken(resting, out)
    assert [m.TYPE for m in incoming] == ["A", "E", "D"]
    prevented = incoming[2]
    assert isinstance(prevented, ouch42.AiqCanceled)
    assert (prevented.decrement_shares, prevented.qty_prevented, prevented.execution_price) == (40, 40, PRICE)
    assert (prevented.reason, prevented.liquidity_flag) == ("Q", "R")
    (theirs,) = standing
    assert isinstance(theirs, ouch50.AiqCanceled)
    assert (theirs.user_ref_num, theirs.decrement_shares, theirs.liquidity_flag) == (1, 40, "A")
    assert [m.TYPE for m in published(core)] == ["D", "E", "A"]
    position = core.ledger.of("HFT001", "AAPL")
    assert (position.executions, position.canceled_qty, position.open_qty) == (1, 80, 35)
    assert core.summary()["order_events"] == {"self_match": 1}


def test_a_replacement_meets_an_order_of_its_own_account() -> None:
    core = exchange()
    client = logged_in(core)
    sent(client, enter50(1, "S", 30), enter50(2, "B", 100, PRICE - 100))
    published(core)
    messages = sent(client, replace50(2, 3, 100, PRICE))
    assert [m.TYPE for m in messages] == ["U", "D", "D"]
    assert [m.TYPE for m in published(core)] == ["D", "D", "A"]
    assert core.ledger.of("HFT001", "AAPL").open_qty == 70


def test_every_kind_is_logged(tmp_path: Path) -> None:
    faults = OrderFaults(
        broken_trade=1.0, priority_update=1.0, supervisory_modify=1.0, restate=1.0, later_ns=(LATER, LATER)
    )
    core = exchange(order_faults=faults, log=tmp_path / "log")
    client = logged_in(core)
    enter(client, 1)
    market(core, "S", 10)
    later(core, client)
    core.close()
    kinds = [json.loads(line)["kind"] for line in (tmp_path / "log").read_text().splitlines()]
    assert {"broken", "priority_update", "supervisory_modify", "restate", "execution"} <= set(kinds)


def test_kinds_do_not_disturb_each_other() -> None:
    alone, together = Mishaps(OrderFaults(reject=0.5), 1), Mishaps(OrderFaults(reject=0.5, dead=0.5), 1)
    drawn = []
    for mishaps in (alone, together):
        drawn.append([(mishaps.happens("dead"), mishaps.happens("reject"))[1] for _ in range(100)])
    assert drawn[0] == drawn[1] and len(set(drawn[0])) == 2


@pytest.mark.parametrize("faults", [{"reject": 1.1}, {"dead": -0.1}, {"later_ns": (2, 1)}, {"later_ns": (-1, 1)}])
def test_faults_that_cannot_be(faults: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        OrderFaults(**faults)


# The rest of the protocols


def test_mass_cancel() -> None:
    core = exchange()
    client = logged_in(core)
    firm = ouch50.encode_options({2: b"LIME"})
    sent(client, enter50(1), enter50(2, symbol="MSFT"), enter50(3, appendage=firm), enter50(4, symbol="MSFT"))
    answer, *canceled = sent(client, ouch50.MassCancel(5, "", "MSFT"))
    assert answer == ouch50.MassCancelResponse(core.clock.latest, 5, "", "MSFT")
    assert [(m.user_ref_num, m.reason) for m in canceled if isinstance(m, ouch50.Canceled)] == [(2, "U"), (4, "U")]
    assert sent(client, ouch50.MassCancel(5, "", "")) == []  # a repeat
    assert [m.TYPE for m in sent(client, ouch50.MassCancel(6, "LIME", ""))] == ["X", "C"]
    assert [m.TYPE for m in sent(client, ouch50.MassCancel(7, "", ""))] == ["X", "C"]
    assert core.ledger.of("HFT001", "AAPL").open_qty == 0


def test_order_entry_is_disabled_and_enabled() -> None:
    core = exchange()
    client = logged_in(core)
    sent(client, enter50(1))
    (disabled,) = sent(client, ouch50.DisableOrderEntry(2, ""))
    assert disabled == ouch50.DisableOrderEntryResponse(core.clock.latest, 2, "")
    (rejected,) = sent(client, enter50(3))
    assert isinstance(rejected, ouch50.Rejected) and rejected.reason == 0x0C
    assert [m.TYPE for m in sent(client, ouch50.CancelOrder(1, 0))] == ["C"]
    (enabled,) = sent(client, ouch50.EnableOrderEntry(4, ""))
    assert enabled == ouch50.EnableOrderEntryResponse(core.clock.latest, 4, "")
    assert [m.TYPE for m in sent(client, enter50(5))] == ["A"]
    sent(client, ouch50.DisableOrderEntry(6, "LIME"))
    firm = ouch50.encode_options({2: b"LIME"})
    assert [m.TYPE for m in sent(client, enter50(7, appendage=firm), enter50(8))] == ["J", "A"]
    assert sent(client, ouch50.EnableOrderEntry(6, "LIME"), ouch50.DisableOrderEntry(1, "")) == []


def test_trade_now_is_acknowledged_of_live_orders() -> None:
    client = logged_in(exchange(), "ouch42")
    sent(client, enter42("A"))
    (answer,) = sent(client, ouch42.TradeNow("A"), ouch42.TradeNow("B"))
    assert isinstance(answer, ouch42.TradeNowAck)


def test_modify_down_to_what_is_executed_cancels() -> None:
    core = exchange()
    client = logged_in(core)
    sent(client, enter50(1))
    market(core, "S", 30)
    (_, canceled) = sent(client, ouch50.ModifyOrder(1, "B", 30))
    assert isinstance(canceled, ouch50.Canceled) and canceled.quantity == 70
    assert sent(client, ouch50.ModifyOrder(1, "B", 20)) == []


def test_a_day_begins_and_ends_with_its_events() -> None:
    core = exchange()
    client = logged_in(core)
    core.stop(SECOND, "test")
    taken(client, core.replies(SECOND))
    assert [m.event_code for m in client.replies if isinstance(m, ouch50.SystemEvent)] == ["S", "E"]
