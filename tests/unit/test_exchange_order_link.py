"""The way of order entry: datagrams lost, doubled and overtaken, a server that is silent or drops its sessions."""

from __future__ import annotations

import argparse
from random import Random
from typing import Any

import pytest
from exchange_rig import PRICE, SECOND, enter50, exchange, logged_in, market, published
from turbo_hft.errors import ConfigError
from turbo_hft.exchange import ExchangeConfig, ExchangeCore, Faults
from turbo_hft.exchange import cli as exchange_cli
from turbo_hft.exchange.halts import Halt, ShortSaleRestriction
from turbo_hft.exchange.inprocess import InProcessClient
from turbo_hft.exchange.order_faults import OrderFaults
from turbo_hft.exchange.order_link import OrderLink
from turbo_hft.exchange.outages import Outages
from turbo_hft.wire import itch50, ouch50, ufo

MILLISECOND = 1_000_000


def test_lost_orders_never_were() -> None:
    core = exchange()
    client = logged_in(core)
    core.links["ouch50"] = OrderLink(Faults(loss=1.0), Faults(), 1)
    assert client.send(enter50(1)) == []
    assert core.ledger.positions == {}
    assert core.links["ouch50"].counters()["orders"]["lost"] == 1


def test_orders_that_come_twice_count_once() -> None:
    core = exchange(faults_orders=Faults(duplicate=1.0))
    client = logged_in(core)
    client.send(enter50(1))
    for number in range(2, 6):
        client.send(enter50(number), now_ns=number * 20 * MILLISECOND)
    client.take(core.replies(SECOND))
    assert core.ledger.of("HFT001", "AAPL").orders == 5
    assert core.ports["ouch50"].count["messages"] == 10


def test_an_order_that_is_overtaken_comes_too_late() -> None:
    core = exchange()
    client = logged_in(core)
    core.links["ouch50"] = OrderLink(Faults(reorder=0.2), Faults(), 1)
    for number in range(1, 41):
        client.send(enter50(number))
    client.take(core.replies(SECOND))
    accepted = [m.user_ref_num for m in client.replies if isinstance(m, ouch50.Accepted)]
    assert accepted == sorted(accepted) and 20 < len(accepted) < 40
    assert core.ports["ouch50"].count["messages"] == 40


def test_replies_that_are_lost_come_again_when_asked_for() -> None:
    core = exchange(faults_replies=Faults(loss=0.4, duplicate=0.2, reorder=0.2), seed=3)
    client = logged_in_whatever_is_lost(core)
    for number in range(1, 60):
        client.send(enter50(number, price=PRICE - number * 100), now_ns=number * MILLISECOND)
    said = core.accounts["ouch50"].clients["HFT001"].replies
    assert len(client.replies) < len(said) == 60
    now = SECOND
    while len(client.replies) < len(said):
        client.upstream(ufo.RetransmissionRequest(len(client.replies) + 1, 100), now_ns=now)
        client.take(core.replies(now + 20 * MILLISECOND))
        now += 40 * MILLISECOND
    assert [m.encode() for m in client.replies] == said


def logged_in_whatever_is_lost(core: ExchangeCore) -> InProcessClient:
    client = InProcessClient(core)
    while not client.control:
        client.upstream(ufo.LoginRequest("HFT001", "SECRET", ""))
        client.take(core.replies(20 * MILLISECOND))
    return client


def test_a_silent_server_hears_nothing_and_says_the_rest_later() -> None:
    core = exchange(silences_s=((1.0, 2.0),))
    client = logged_in(core)
    client.send(enter50(1))
    core.tick(SECOND)
    assert core.replies(SECOND) == []
    assert client.send(ouch50.CancelOrder(1, 0), enter50(2), now_ns=SECOND) == []
    market(core, "S", 30)
    for now in range(SECOND, 3 * SECOND, SECOND // 4):
        assert core.replies(now) == []  # no heartbeats either
    (executed,) = client.take(core.replies(3 * SECOND))
    assert isinstance(executed, ouch50.Executed) and executed.quantity == 30
    assert core.summary()["unheard"] == 1
    assert core.ledger.of("HFT001", "AAPL").orders == 1
    assert client.send(ouch50.CancelOrder(1, 0), now_ns=3 * SECOND)[0].TYPE == "C"


def test_a_dropped_session_goes_on_after_a_login_and_serves_the_whole_day() -> None:
    core = exchange(drops_s=(1.0,))
    client = logged_in(core)
    client.send(enter50(1))
    core.replies(SECOND)
    assert client.send(enter50(2), now_ns=SECOND) == []
    assert core.replies(3 * SECOND) == []
    market(core, "S", 30)
    core.tick(3 * SECOND)
    assert core.replies(3 * SECOND) == []
    count = core.ports["ouch50"].count
    assert (count["dropped"], count["not_logged_in"]) == (1, 1)
    assert client.login(now_ns=3 * SECOND) == ufo.LoginAccepted("HFT0000001", 4)
    client.replies.clear()
    client.upstream(ufo.RetransmissionRequest(1, 65_535), now_ns=3 * SECOND)
    assert [m.TYPE for m in client.replies] == ["S", "A", "E"]
    assert client.send(enter50(2), now_ns=3 * SECOND)[0].TYPE == "A"


def test_outages_in_seconds() -> None:
    outages = Outages([(2.0, 0.5), (1.0, 0.5)], [3.0, 1.0])
    assert [outages.silent(int(t * SECOND)) for t in (0.9, 1.0, 1.4, 1.5, 2.0, 2.5)] == [
        False, True, True, False, True, False
    ]  # fmt: skip
    assert [outages.take_drop(int(t * SECOND)) for t in (0.5, 1.0, 1.0, 4.0, 4.0)] == [False, True, False, True, False]


@pytest.mark.parametrize(
    "settings", [{"silences_s": ((-1.0, 1.0),)}, {"silences_s": ((1.0, 0.0),)}, {"drops_s": (-1,)}]
)
def test_outages_that_cannot_be(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        ExchangeConfig(**settings)


def test_the_flow_hits_the_orders_of_clients() -> None:
    core = exchange(rate=2000, seed=4)
    client = logged_in(core)
    shown = 0
    random = Random(4)
    now, number = 0, 0
    for _ in range(60):
        now += SECOND // 20
        best = core.venue.best("AAPL")
        for side, price in (("B", best["bid_e4"]), ("S", best["ask_e4"])):
            number += 1
            client.send(enter50(number, side, random.randint(1, 50), price), now_ns=now)
        refs = {m.order_ref for m in client.replies if isinstance(m, ouch50.Accepted)}
        shown += sum(isinstance(m, itch50.AddOrder) and m.order_ref in refs for m in published(core, now))
        client.take(core.replies(now))
    assert shown == number == 120
    executed = [m for m in client.replies if isinstance(m, ouch50.Executed)]
    assert len(executed) > 20 and {m.liquidity_flag for m in executed} == {"A"}


# The command line


def from_words(*words: str) -> ExchangeConfig:
    parser = argparse.ArgumentParser()
    exchange_cli.add_arguments(parser)
    return exchange_cli.config_from(parser.parse_args(words))


def test_everything_is_off_by_default() -> None:
    default, parsed = ExchangeConfig(), from_words()
    for config in (default, parsed):
        assert config.order_faults == OrderFaults()
        assert config.faults_orders == config.faults_replies == Faults()
        assert (config.fees_e8, config.halts, config.restrictions) == ({}, (), ())
        assert not config.silences_s and not config.drops_s


ALL_WORDS = """
    --reject-orders 0.01 --dead-orders 0.02 --pending-cancels 0.03 --rejected-cancels 0.04
    --broken-trades 0.05 --reference-prices 0.06 --supervisory-cancels 0.07 --priority-updates 0.08
    --supervisory-modifies 0.09 --restatements 0.1 --later 2:3.5 --fee R=0.003 --fee A=-0.002
    --loss-orders 0.1 --duplicate-orders 0.2 --reorder-orders 0.3 --delay-orders 1:2
    --loss-replies 0.4 --duplicate-replies 0.5 --reorder-replies 0.6 --delay-replies 3:4
    --silence 1.5+2 --drop-session 4 --drop-session 5 --halt AAPL@1+2 --pause MSFT@0.5+1 --operational-halt AAPL@4+1
    --short-sale-restriction AAPL@3 --short-sale-restriction MSFT@3+1
"""


def test_the_command_line_says_it_all() -> None:
    config = from_words(*ALL_WORDS.split())
    assert config.order_faults == OrderFaults(
        reject=0.01,
        dead=0.02,
        cancel_pending=0.03,
        cancel_reject=0.04,
        broken_trade=0.05,
        reference_price=0.06,
        supervisory_cancel=0.07,
        priority_update=0.08,
        supervisory_modify=0.09,
        restate=0.1,
        later_ns=(2 * MILLISECOND, 3_500_000),
    )
    assert config.fees_e8 == {"R": 300_000, "A": -200_000}
    assert config.faults_orders == Faults(loss=0.1, duplicate=0.2, reorder=0.3, delay_ns=(1000, 2000))
    assert config.faults_replies == Faults(loss=0.4, duplicate=0.5, reorder=0.6, delay_ns=(3000, 4000))
    assert (config.silences_s, config.drops_s) == (((1.5, 2.0),), (4.0, 5.0))
    assert config.halts == (
        Halt("AAPL", SECOND, 2 * SECOND),
        Halt("MSFT", SECOND // 2, SECOND, "P"),
        Halt("AAPL", 4 * SECOND, SECOND, "O"),
    )
    assert config.restrictions == (
        ShortSaleRestriction("AAPL", 3 * SECOND),
        ShortSaleRestriction("MSFT", 3 * SECOND, SECOND),
    )


@pytest.mark.parametrize(
    "words",
    [
        "--reject-orders 1.5", "--later 5", "--later 3:2", "--fee R", "--silence 1", "--silence x+1",
        "--drop-session -1", "--halt AAPL", "--halt AAPL@1", "--pause AAPL@x+1", "--short-sale-restriction AAPL",
    ],
)  # fmt: skip
def test_words_that_are_refused(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        from_words(*words.split())
    assert words.split(maxsplit=1)[0] in capsys.readouterr().err
