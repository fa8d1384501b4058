"""The exchange with a whole market behind it: its messages go out as they are made, our orders trade as if."""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys

import pytest
from turbo_hft.errors import ConfigError
from turbo_hft.exchange import ExchangeConfig, ExchangeCore, Phase
from turbo_hft.exchange import cli as exchange_cli
from turbo_hft.exchange.flow import start_price_e4
from turbo_hft.exchange.inprocess import InProcessClient
from turbo_hft.exchange.market import MarketConfig, MarketFlow
from turbo_hft.exchange.replay import ReplayFeed, ReplayVenue
from turbo_hft.wire import itch50, moldudp64, ouch50

SECOND = 1_000_000_000
PRICE = 1_632_000
MARKET = MarketConfig(seed=3, symbols=40, names=("AAPL", "MSFT"), prices_e4={"AAPL": PRICE}, live_orders=400, rate=3000)


def published(core: ExchangeCore, *seconds: float) -> list[bytes]:
    """Messages that went out by then."""
    packets = [packet for second in seconds for packet in core.tick(int(second * SECOND))]
    decoded = [moldudp64.decode(packet) for packet in packets]
    return [message for packet in decoded if isinstance(packet, moldudp64.Packet) for message in packet.messages]


def test_the_markets_messages_go_out_as_they_are() -> None:
    core = ExchangeCore(ExchangeConfig(market=MARKET, messages_per_packet=20))
    messages = published(core, 0, 0.5, 1.5)
    assert len(messages) > 2000
    assert messages == list(itertools.islice(MarketFlow(MARKET).messages(), len(messages)))
    first = int.from_bytes(messages[0][5:11], "big")
    assert int.from_bytes(messages[-1][5:11], "big") - first <= 1.5 * SECOND
    venue = core.venue
    assert isinstance(venue, ReplayVenue) and len(venue.mirror.books) == 40
    assert venue.mirror.unknown_refs == venue.mirror.misfits == 0


def test_orders_trade_against_it() -> None:
    core = ExchangeCore(ExchangeConfig(market=MARKET))
    client = InProcessClient(core)
    client.login()
    published(core, 0, 1.2)
    best = core.venue.best("AAPL")
    assert abs(best["bid_e4"] - PRICE) < PRICE // 20
    replies = client.send(
        ouch50.EnterOrder(1, "B", best["ask_qty"], "AAPL", best["ask_e4"], "3", "Y", "P", "N", "N", "ID")
    )  # fmt: skip
    (executed,) = [reply for reply in replies if isinstance(reply, ouch50.Executed)][-1:]
    assert executed.price == best["ask_e4"]
    assert core.ledger.of("HFT001", "AAPL").bought_qty == best["ask_qty"]


def test_the_summary_lists_what_was_named_or_traded() -> None:
    core = ExchangeCore(ExchangeConfig(market=MARKET))
    client = InProcessClient(core)
    client.login()
    published(core, 0, 1.2)
    assert isinstance(core.venue, ReplayVenue)
    other = next(name for name, book in core.venue.mirror.books.items() if name not in MARKET.names and book.best("S"))
    price = core.venue.best(other)["ask_e4"]
    for ref, name in enumerate((other, "NOWHERE"), 1):
        client.send(ouch50.EnterOrder(ref, "B", 1, name, price, "3", "Y", "P", "N", "N", "ID"))
    summary = core.summary()
    books = summary["books"]
    assert isinstance(books, dict) and set(books) == {"AAPL", "MSFT", other}
    assert (summary["mode"], summary["seed"]) == ("market", 3)


def test_it_ends_by_its_duration() -> None:
    core = ExchangeCore(ExchangeConfig(market=MARKET, duration_s=1.25, linger_s=0.0, messages_per_packet=50))
    messages = published(core, 0, 1, 2, 3, 4)
    assert core.phase is Phase.ENDED and core.ended_by == "end of feed"
    times = [int.from_bytes(message[5:11], "big") for message in messages]
    assert 1.2 * SECOND < times[-1] - times[0] < 1.25 * SECOND


def test_its_pace_has_a_factor() -> None:
    core = ExchangeCore(ExchangeConfig(market=MARKET, speed=2.0, linger_s=0.0))
    assert isinstance(core.feed, ReplayFeed)
    times = [int.from_bytes(message[5:11], "big") for message in published(core, 0, 1)]
    assert 1.9 * SECOND < times[-1] - times[0] <= 2 * SECOND


def test_flat_out_the_duration_is_that_of_its_time_stamps() -> None:
    core = ExchangeCore(ExchangeConfig(market=MARKET, speed=None, duration_s=1.5, linger_s=0.0))
    times = [int.from_bytes(message[5:11], "big") for message in published(core, 0)]
    assert core.phase is Phase.ENDED
    assert 1.4 * SECOND < times[-1] - times[0] < 1.5 * SECOND


def test_what_does_not_go_together() -> None:
    with pytest.raises(ConfigError, match="one session"):
        ExchangeConfig(market=MARKET, rollover_after=5)
    with pytest.raises(ConfigError, match="choose"):
        ExchangeConfig(market=MARKET, replay=__file__)  # type: ignore[arg-type]


def from_words(*words: str) -> ExchangeConfig:
    parser = argparse.ArgumentParser()
    exchange_cli.add_arguments(parser)
    return exchange_cli.config_from(parser.parse_args(words))


def test_the_command_line_maps_to_the_most_active_ranks() -> None:
    config = from_words(
        "--market", "500", "--live-orders", "2000", "--symbols", "TSLA=250.5,AAPL", "--seed", "9", "--rate", "700"
    )  # fmt: skip
    market = config.market
    assert market is not None
    assert (market.symbols, market.names, market.seed, market.rate) == (500, ("TSLA", "AAPL"), 9, 700)
    assert market.prices_e4 == {"TSLA": 2_505_000, "AAPL": start_price_e4("AAPL")}
    assert (market.live_orders, market.opening) == (2000, False)
    flow = MarketFlow(market)
    assert [flow.symbol(rank).name for rank in (0, 1)] == ["TSLA", "AAPL"]


def test_what_the_command_line_leaves_away() -> None:
    market = from_words("--market", "1", "--market-opening").market
    assert market is not None
    assert (market.names, market.rate, market.opening, market.live_orders) == (("AAPL",), None, True, 10)
    assert from_words().market is None and from_words().rate == ExchangeConfig().rate
    assert from_words("--rate", "0").rate == 0
    for words in (["--live-orders", "5"], ["--market-opening"], ["--market", "0"], ["--market", "5", "--rate", "0"]):
        with pytest.raises(ConfigError):
            from_words(*words)
    with pytest.raises(ConfigError, match="names"):
        from_words("--market", "1", "--symbols", "AAPL,MSFT")


def test_a_whole_market_by_the_command() -> None:
    """8,714 symbols for a fifth of a second, on loopback: ended by its duration, with every stock listed."""
    command = [sys.executable, "-m", "turbo_hft.exchange", "--bind", "127.0.0.1", "--feed", "127.0.0.1:36477"]
    command += ["--ouch50", "0", "--ouch42", "0", "--ouch50-tcp", "off", "--ouch42-tcp", "off"]
    command += ["--rerequest-port", "off", "--glimpse-port", "off"]
    command += ["--market", "8714", "--symbols", "AAPL=163.2", "--rate", "5000", "--speed", "max", "--duration", "1.2"]
    command += ["--no-wait-for-login", "--messages-per-packet", "30", "--linger", "0.1", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["mode"], summary["ended_by"], list(summary["books"])) == ("market", "end of feed", ["AAPL"])
    assert summary["feed"]["by_type"]["R"] == 8714
    assert summary["books"]["AAPL"]["bid_e4"] > 0


def test_a_message_of_the_market_is_itch() -> None:
    """Of every type that a market makes, the exchange can follow one."""
    core = ExchangeCore(ExchangeConfig(market=MARKET, speed=None))
    seen = {chr(message[0]) for message in itertools.islice(MarketFlow(MARKET).messages(), 30_000)}
    assert seen <= set(itch50.TYPES)
    assert core.phase is Phase.WAITING
