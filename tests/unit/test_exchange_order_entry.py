"""Order entry of the exchange: OUCH 5.0 and 4.2 against the book, and the protocols' own rejects."""

from __future__ import annotations

from typing import Any

import pytest
from exchange_rig import PRICE, SECOND, enter42, enter50, exchange, logged_in, market, published, replace50
from turbo_hft.exchange.inprocess import InProcessClient
from turbo_hft.wire import itch50, ouch42, ouch50, ufo

# OUCH 5.0


def test_order_accepted_published_and_executed() -> None:
    core = exchange()
    client = logged_in(core)
    (accepted,) = client.send(enter50(1, "B", 100))
    assert isinstance(accepted, ouch50.Accepted)
    assert (accepted.order_state, accepted.quantity, accepted.cl_ord_id) == ("L", 100, "ID")
    (added,) = published(core)
    assert isinstance(added, itch50.AddOrder)
    assert (added.order_ref, added.shares, added.price) == (accepted.order_ref, 100, PRICE)
    market(core, "S", 60)
    (executed,) = client.take(core.replies(0))
    assert isinstance(executed, ouch50.Executed)
    assert (executed.quantity, executed.price, executed.liquidity_flag) == (60, PRICE, "A")
    (print_,) = published(core)
    assert isinstance(print_, itch50.OrderExecuted)
    assert (print_.order_ref, print_.executed_shares, print_.match_number) == (
        accepted.order_ref,
        60,
        executed.match_number,
    )


def test_ioc_takes_and_gives_up_the_rest() -> None:
    core = exchange()
    client = logged_in(core)
    market(core, "S", 30)
    market(core, "S", 20, PRICE + 100)
    published(core)
    accepted, first, second, canceled = client.send(enter50(1, "B", 100, PRICE + 100, tif="3"))
    assert isinstance(accepted, ouch50.Accepted)
    assert isinstance(first, ouch50.Executed) and isinstance(second, ouch50.Executed)
    assert [(e.quantity, e.price, e.liquidity_flag) for e in (first, second)] == [
        (30, PRICE, "R"),
        (20, PRICE + 100, "R"),
    ]
    assert isinstance(canceled, ouch50.Canceled)
    assert (canceled.quantity, canceled.reason) == (50, "I")
    assert [type(m) for m in published(core)] == [itch50.OrderExecuted, itch50.OrderExecuted]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"symbol": "NONE"}, 0x17),
        ({"qty": 0}, 0x13),
        ({"qty": 1_000_000}, 0x13),
        ({"price": 0}, 0x1D),
        ({"price": 0x7735939D}, 0x1D),
        ({"price": 1 << 40}, 0x1D),
        ({"side": "Q"}, 0x09),
        ({"tif": "9"}, 0x0F),
        ({"display": "N"}, 0x03),
        ({"iso": "?"}, 0x08),
        ({"capacity": "?"}, 0x0F),
        ({"cross_type": "O"}, 0x0E),
        ({"appendage": ouch50.encode_options({3: (50).to_bytes(4)})}, 0x0D),
        ({"appendage": ouch50.encode_options({12: b"P"})}, 0x24),
        ({"tif": "6"}, 0x0F),
    ],
)
def test_ouch50_rejects(fields: dict[str, Any], code: int) -> None:
    core = exchange()
    client = logged_in(core)
    (rejected,) = client.send(enter50(1, **fields))
    assert isinstance(rejected, ouch50.Rejected)
    assert (rejected.reason, rejected.user_ref_num, rejected.cl_ord_id) == (code, 1, "ID")
    assert published(core) == []
    (position,) = core.ledger.positions["HFT001"].values()
    assert (position.orders, position.rejected, position.executions) == (1, 1, 0)


@pytest.mark.parametrize(("qty", "price"), [(1, 1), (999_999, 0x7735939C)])
def test_the_extremes_are_accepted(qty: int, price: int) -> None:
    (accepted,) = logged_in(exchange()).send(enter50(1, "B", qty, price))
    assert isinstance(accepted, ouch50.Accepted)


def test_repeated_user_ref_num_is_ignored() -> None:
    core = exchange()
    client = logged_in(core)
    client.send(enter50(5))
    assert client.send(enter50(5), enter50(4)) == []
    assert core.ledger.of("HFT001", "AAPL").orders == 1


def test_account_query_names_the_next_user_ref_num() -> None:
    client = logged_in(exchange())
    client.send(enter50(41))
    (answer,) = client.send(ouch50.AccountQuery())
    assert isinstance(answer, ouch50.AccountQueryResponse)
    assert answer.next_user_ref_num == 42


def test_cancel_names_the_intended_total() -> None:
    core = exchange()
    client = logged_in(core)
    client.send(enter50(1, "B", 100))
    market(core, "S", 30)
    client.take(core.replies(0))
    published(core)
    (partial,) = client.send(ouch50.CancelOrder(1, 50))
    assert isinstance(partial, ouch50.Canceled)
    assert (partial.quantity, partial.reason) == (50, "U")
    assert client.send(ouch50.CancelOrder(1, 50), ouch50.CancelOrder(1, 80)) == []
    (rest,) = client.send(ouch50.CancelOrder(1, 10))
    assert isinstance(rest, ouch50.Canceled)
    assert rest.quantity == 20
    assert [type(m) for m in published(core)] == [itch50.OrderCancel, itch50.OrderDelete]
    assert client.send(ouch50.CancelOrder(1, 0)) == []


def test_replace_counts_what_is_executed() -> None:
    core = exchange()
    client = logged_in(core)
    client.send(enter50(1, "B", 100))
    market(core, "S", 30)
    client.take(core.replies(0))
    published(core)
    (replaced,) = client.send(replace50(1, 2, 150, PRICE - 100))
    assert isinstance(replaced, ouch50.Replaced)
    assert (replaced.orig_user_ref_num, replaced.user_ref_num, replaced.quantity) == (1, 2, 120)
    (update,) = published(core)
    assert isinstance(update, itch50.OrderReplace)
    assert (update.shares, update.price, update.new_order_ref) == (120, PRICE - 100, replaced.order_ref)
    assert client.send(ouch50.CancelOrder(1, 0)) == []
    (canceled,) = client.send(replace50(2, 3, 30))
    assert isinstance(canceled, ouch50.Canceled)
    assert (canceled.user_ref_num, canceled.quantity) == (2, 120)
    position = core.ledger.of("HFT001", "AAPL")
    assert position.ordered_qty == position.bought_qty + position.canceled_qty


def test_replace_into_the_market() -> None:
    core = exchange()
    client = logged_in(core)
    market(core, "S", 40, PRICE + 100)
    client.send(enter50(1, "B", 100))
    published(core)
    replaced, executed = client.send(replace50(1, 2, 100, PRICE + 100))
    assert isinstance(replaced, ouch50.Replaced) and isinstance(executed, ouch50.Executed)
    assert (executed.user_ref_num, executed.quantity) == (2, 40)
    assert [m.TYPE for m in published(core)] == ["D", "E", "A"]


@pytest.mark.parametrize("fields", [(1_000_000, PRICE, "0"), (100, 0, "0"), (100, 1, "?")])
def test_a_bad_replacement_cancels_the_order_and_leaves_its_number_unused(fields: tuple[int, int, str]) -> None:
    client = logged_in(exchange())
    client.send(enter50(1))
    (canceled,) = client.send(replace50(1, 2, *fields))
    assert isinstance(canceled, ouch50.Canceled)
    assert (canceled.user_ref_num, canceled.quantity) == (1, 100)
    (accepted,) = client.send(enter50(2))
    assert isinstance(accepted, ouch50.Accepted)


def test_a_bad_replacement_in_ouch42_leaves_its_token_unused() -> None:
    client = logged_in(exchange(), "ouch42")
    client.send(enter42("A"))
    (canceled,) = client.send(ouch42.ReplaceOrder("A", "B", 1_000_000, PRICE, 99_999, "Y", "N", 0))
    assert isinstance(canceled, ouch42.Canceled)
    (accepted,) = client.send(enter42("B"))
    assert isinstance(accepted, ouch42.Accepted)


def test_replace_of_a_dead_order_is_ignored() -> None:
    client = logged_in(exchange())
    assert client.send(replace50(7, 8, 100)) == []


def test_modify_lowers_and_never_raises() -> None:
    core = exchange()
    client = logged_in(core)
    client.send(enter50(1, "S", 100))
    published(core)
    (modified,) = client.send(ouch50.ModifyOrder(1, "T", 60))
    assert isinstance(modified, ouch50.Modified)
    assert (modified.side, modified.quantity) == ("T", 60)
    assert client.send(ouch50.ModifyOrder(1, "T", 61), ouch50.ModifyOrder(1, "B", 10)) == []
    assert [m.TYPE for m in published(core)] == ["X"]


def test_an_attributable_order_shows_its_mpid() -> None:
    core = exchange()
    client = logged_in(core)
    client.send(enter50(1, display="A", appendage=ouch50.encode_options({2: b"LIME"})))
    (added,) = published(core)
    assert isinstance(added, itch50.AddOrderMpid)
    assert added.mpid == "LIME"


def test_good_till_time_expires() -> None:
    core = exchange()
    client = logged_in(core)
    client.send(enter50(1, tif="6", price=1, appendage=ouch50.encode_options({15: (34_200 + 3).to_bytes(4)})))
    core.tick(3 * SECOND - 1)
    assert client.take(core.replies(3 * SECOND - 1)) == []
    core.tick(3 * SECOND)
    (canceled,) = client.take(core.replies(3 * SECOND))
    assert isinstance(canceled, ouch50.Canceled)
    assert canceled.reason == "T"


# OUCH 4.2


def test_ouch42_round() -> None:
    core = exchange()
    client = logged_in(core, "ouch42")
    market(core, "S", 30)
    accepted, executed, canceled = client.send(enter42("HFT00000000001", qty=100, tif=0))
    assert isinstance(accepted, ouch42.Accepted) and isinstance(executed, ouch42.Executed)
    assert (executed.executed_shares, executed.execution_price) == (30, PRICE)
    assert isinstance(canceled, ouch42.Canceled)
    assert (canceled.decrement_shares, canceled.reason) == (70, "I")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"stock": "NONE"}, "S"),
        ({"qty": 0}, "Z"),
        ({"qty": 1_000_000}, "Z"),
        ({"price": 0}, "X"),
        ({"price": 0x7FFFFFFF}, "X"),
        ({"side": "Q"}, "O"),
        ({"tif": 100_000}, "O"),
        ({"display": "N"}, "D"),
        ({"cross_type": "O"}, "R"),
        ({"min_qty": 1}, "N"),
    ],
)
def test_ouch42_rejects(fields: dict[str, Any], code: str) -> None:
    (rejected,) = logged_in(exchange(), "ouch42").send(enter42("A", **fields))
    assert isinstance(rejected, ouch42.Rejected)
    assert (rejected.reason, rejected.order_token) == (code, "A")


def test_a_repeated_token_is_ignored() -> None:
    client = logged_in(exchange(), "ouch42")
    client.send(enter42("A"))
    client.send(enter42("B", qty=0))
    assert client.send(enter42("A"), enter42("B")) == []


def test_ouch42_cancel_replace_modify() -> None:
    core = exchange()
    client = logged_in(core, "ouch42")
    client.send(enter42("A", "S", 100))
    (modified,) = client.send(ouch42.ModifyOrder("A", "E", 90))
    (replaced,) = client.send(ouch42.ReplaceOrder("A", "B", 80, PRICE + 100, 99_999, "Y", "N", 0))
    (canceled,) = client.send(ouch42.CancelOrder("B", 0))
    assert isinstance(modified, ouch42.Modified) and modified.shares == 90
    assert isinstance(replaced, ouch42.Replaced)
    assert (replaced.previous_token, replaced.shares, replaced.side) == ("A", 80, "E")
    assert isinstance(canceled, ouch42.Canceled) and canceled.decrement_shares == 80
    assert client.send(ouch42.ReplaceOrder("B", "C", 80, PRICE, 99_999, "Y", "N", 0)) == []


def test_clients_of_both_versions_trade_with_each_other() -> None:
    core = exchange(accounts={"HFT001": "SECRET", "HFT002": "SECRET"})
    seller = InProcessClient(core, "ouch42", ("10.77.0.1", 1))
    buyer = InProcessClient(core, "ouch50", ("10.77.0.1", 2))
    seller.login("HFT002")
    buyer.login("HFT001")
    seller.send(enter42("A", "S", 100))
    datagrams = core.on_upstream(
        "ouch50", buyer.address, ufo.encode_upstream(ufo.Unsequenced(enter50(1, "B", 40).encode())), 0
    )
    bought = [m for m in buyer.take(datagrams) if isinstance(m, ouch50.Executed)]
    sold = [m for m in seller.take(datagrams) if isinstance(m, ouch42.Executed)]
    assert [m.match_number for m in bought] == [m.match_number for m in sold]
    assert core.ledger.of("HFT001", "AAPL").position == 40
    assert core.ledger.of("HFT002", "AAPL").position == -40
