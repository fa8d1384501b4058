"""A trading day in the lab on which all goes wrong with orders that can: at its end three ledgers must be equal.

The exchange simulator makes random flow in 20 symbols. The engine trades half of them with the quoter and half with
threshold, imbalance and momentum in their shadow. Meanwhile orders are rejected or dead on arrival, trades are broken,
cancels are refused or put off, orders are cancelled, modified, moved and restated by the exchange itself, symbols are
halted, datagrams are lost, doubled and overtaken in both directions, order entry falls silent and forgets who is logged
in. Order entry comes back by itself each time. At last the engine is halted as by a person, in the middle of a silence:
from then on nothing may leave, whoever comes back. Every working order is taken down, and the engine's maps, its event
stream and the exchange's own books are compared, symbol by symbol, to the share and the 1/10000 dollar, fees to the
1/100,000,000. Exit code 1 if anything differs, or nothing was traded.

    python -m turbo_hft.testing.trading_day --seconds 120 --symbols 20 --seed 1
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from turbo_hft.addresses import FeedAddress, OrderSession
from turbo_hft.cli import codes
from turbo_hft.cli.common import count, say, seconds
from turbo_hft.cli.signals import Interrupted, StopFlag
from turbo_hft.demo.exchange_process import ExchangeProcess
from turbo_hft.demo.reconcile import (
    LEDGERS,
    EventLedger,
    Reconciliation,
    exchange_ledger,
    feed_problems,
    lost_problems,
    maps_ledger,
    reconcile,
)
from turbo_hft.demo.report import shown_value
from turbo_hft.engine import Engine
from turbo_hft.errors import ExchangeError, OrderRefused, TurboHftError
from turbo_hft.exchange.fees import parse_fee
from turbo_hft.lab import PASSWORD, USERNAME, Lab
from turbo_hft.order_entry import OrderEntry
from turbo_hft.snapshots import SymbolSnapshot, fees_e4
from turbo_hft.symbols import SymbolView
from turbo_hft.testing.wide import SYMBOL, widen
from turbo_hft.wire.price import format_money_e4, format_price_e4

NAMES = (
    "AAPL", "MSFT", "AMZN", "GOOG", "INTC", "CSCO", "CMCSA", "PEP", "NFLX", "ADBE", "COST", "AMGN", "TXN", "GILD",
    "SBUX", "QCOM", "MDLZ", "BKNG", "CHTR", "FISV",
)  # fmt: skip
SHORTEST_S = 15.0  # so long a day must be for everything to find its place
_SILENCE_S = 2.0  # after which order entry counts as lost; the exchange beats once a second
_LOST_AFTER_S = 1.0  # the lab keeps no datagram so long
_LAST_SILENCE_S = (-3.0, 1.0)  # from and to, by the end of trading: noticed a second before it
_LINGER_S = 4.0
_SETTLE_S = 15.0
_CLOSE_S = 20.0
_EXCHANGE_SPARE_S = 120.0  # killed so hard that nothing can be cleaned up, the exchange still ends by itself
_STEP_S = 0.01
_STEER_S = 0.1
_HALTS_S = 0.7
_SWING_QTY = 500
_FEES = {"R": "0.0030", "A": "-0.0020"}

_FAULTS = {
    "--reject-orders": "0.02",
    "--dead-orders": "0.02",
    "--pending-cancels": "0.25",
    "--rejected-cancels": "0.25",
    "--broken-trades": "0.03",
    "--supervisory-cancels": "0.05",
    "--priority-updates": "0.05",
    "--supervisory-modifies": "0.05",
    "--restatements": "0.05",
    "--loss-orders": "0.02",
    "--duplicate-orders": "0.02",
    "--reorder-orders": "0.02",
    "--delay-orders": "5:200",
    "--loss-replies": "0.02",
    "--duplicate-replies": "0.02",
    "--reorder-replies": "0.02",
    "--delay-replies": "5:200",
}

TROUBLES = (
    "reject", "dead", "cancel_pending", "cancel_reject", "broken_trade", "supervisory_cancel", "priority_update",
    "supervisory_modify", "restate", "halt_cancel", "halts", "pauses", "operational_halts", "short_sale_restriction",
    "orders_lost", "orders_duplicated", "orders_reordered", "replies_lost", "replies_duplicated", "replies_reordered",
    "unheard", "cancels_sent_again", "sessions_dropped", "silences", "reconnects", "orders_declared_lost",
    "halted_in_silence",
)  # fmt: skip
"""All that must go wrong on a day; a report counts each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DayConfig:
    """What a day is started with."""

    seconds: float = 120.0
    symbols: int = 20
    seed: int = 1
    rate: int = 4000  # ITCH messages a second

    @property
    def names(self) -> tuple[str, ...]:
        """The symbols, most active first."""
        more = (f"SYM{number}" for number in range(len(NAMES), self.symbols))
        return (*NAMES[: self.symbols], *more)


@dataclass(frozen=True, slots=True)
class SymbolDay:
    """What one symbol came to. Money in 1/10000 dollar, fees in 1/100,000,000; `net_e4` is after fees, position at its
    mark."""

    symbol: str
    strategy: str
    orders: int
    fills: int
    broken: int
    rejected: int
    cancels: int
    lost: int
    position: int
    realized_e4: int
    fees_e8: int
    net_e4: int


@dataclass(frozen=True, slots=True)
class DayReport:
    """A day that is over. `troubles`: how often each kind of TROUBLES happened. `events`, `refused`: how many of each
    kind, and for each reason."""

    config: DayConfig
    reconciliation: Reconciliation
    symbols: tuple[SymbolDay, ...]
    troubles: Mapping[str, int]
    messages: int
    events: Mapping[str, int]
    refused: Mapping[str, int]
    exchange: Mapping[str, Any]

    @property
    def ok(self) -> bool:
        """Does everything agree?"""
        return self.reconciliation.equal

    def as_dict(self) -> dict[str, object]:
        """JSON-ready."""
        return {
            "ok": self.ok,
            **asdict(self.config),
            "reconciliation": self.reconciliation.as_dict(),
            "symbol_days": [asdict(each) for each in self.symbols],
            "troubles": dict(self.troubles),
            "messages": self.messages,
            "events": dict(self.events),
            "refused": dict(self.refused),
            "exchange": dict(self.exchange),
        }

    def lines(self) -> list[str]:
        """For people: the table, what went wrong, the verdict; every difference and problem by name."""
        return [*self._table(), "", *self._troubles(), "", *self._verdict()]

    def _table(self) -> Iterator[str]:
        yield (
            f"{'symbol':<8}{'strategy':<11}{'orders':>8}{'fills':>7}{'broken':>8}{'rejected':>10}{'cancels':>9}"
            f"{'lost':>6}{'position':>10}{'realized $':>15}{'fees $':>16}{'net P&L $':>15}"
        )
        total = SymbolDay("all", "", *(sum(getattr(each, name) for each in self.symbols) for name in _COUNTED))
        for each in (*self.symbols, total):
            yield (
                f"{each.symbol:<8}{each.strategy:<11}{each.orders:>8,}{each.fills:>7,}{each.broken:>8,}"
                f"{each.rejected:>10,}{each.cancels:>9,}{each.lost:>6,}{each.position:>10,}"
                f"{format_money_e4(each.realized_e4):>15}{shown_value('fees_e8', each.fees_e8):>16}"
                f"{format_money_e4(each.net_e4):>15}"
            )

    def _troubles(self) -> Iterator[str]:
        yield f"{self.messages:,} ITCH messages in {self.config.seconds:g} s, seed {self.config.seed}; what went wrong:"
        for first in range(0, len(TROUBLES), _A_LINE):
            some = TROUBLES[first : first + _A_LINE]
            yield "  " + "".join(f"{kind.replace('_', ' '):<23}{self.troubles[kind]:>6,}  " for kind in some).rstrip()

    def _verdict(self) -> Iterator[str]:
        for row in self.reconciliation.differences:
            figures = ", ".join(
                f"{name} {shown_value(row.field, value)}" for name, value in zip(LEDGERS, row.values, strict=True)
            )
            yield f"DIFFERENT: {row.symbol} {row.field}: {figures}"
        yield from (f"PROBLEM: {problem}" for problem in self.reconciliation.problems)
        yield (
            f"the three ledgers agree in all {len(self.reconciliation.rows)} figures, to the share and the 1/10000 "
            "dollar, fees to the 1/100,000,000"
            if self.ok
            else "the three ledgers do NOT agree"
        )


_A_LINE = 3
_COUNTED = (
    "orders", "fills", "broken", "rejected", "cancels", "lost", "position", "realized_e4", "fees_e8", "net_e4",
)  # fmt: skip


class TradingDay:
    """One day: `report = TradingDay(config, stop).run()`.

    Raises Interrupted when a signal came, TurboHftError when a step fails; either way all is cleaned up by then.
    """

    def __init__(self, config: DayConfig, stop: StopFlag) -> None:
        self._config = config
        self._stop = stop
        self._ledger = EventLedger(dict(parse_fee(f"{flag}={fee}") for flag, fee in _FEES.items()))
        self._kinds: Counter[str] = Counter()
        self._by_symbol: dict[str, Counter[str]] = {name: Counter() for name in config.names}
        self._halted_in_silence = 0
        self._sent = 0  # orders that had left when the engine was halted

    def run(self) -> DayReport:
        """Raise the lab, trade, take everything down, compare."""
        own = os.getpid() % 10_000
        with ExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="turbo-hft-day-")))
            lab = stack.enter_context(Lab(f"hft_day_{own}", f"hftd{own}a", f"hftd{own}b", _subnet(own)))
            self._stop.check()
            log = directory / "exchange.jsonl"
            exchange = stack.enter_context(ExchangeProcess(self._exchange_arguments(lab, log), directory))
            self._stop.check()
            engine = stack.enter_context(Engine.open(lab.addresses.device, symbols=max(32, self._config.symbols)))
            session = self._set_up(engine, lab)
            exchange.wait_ready(self._stop.wait)
            self._stop.check()
            entry = stack.enter_context(
                OrderEntry(engine, session, rearm=True, lost_after_s=_LOST_AFTER_S, silence_s=_SILENCE_S)
            )
            entry.login()
            self._trade(engine, exchange)
            stuck = self._take_down(engine, entry)
            self._close(engine, exchange)
            summary = exchange.summary()
            with log.open(encoding="utf-8") as lines:
                taken = lost_problems(self._ledger.sent, self._ledger.lost, map(json.loads, lines))
            return self._report(engine, entry, summary, taken, stuck)

    def _exchange_arguments(self, lab: Lab, log: Path) -> list[str]:
        a, config = lab.addresses, self._config
        arguments = ["--netns", a.namespace, "--bind", a.exchange_address, "--feed", f"{a.feed_group}:{a.feed_port}"]
        arguments += ["--ouch50", str(a.ouch50_port), "--ouch42", str(a.ouch42_port)]
        arguments += ["--account", f"{USERNAME}:{PASSWORD}", "--log", str(log), "--linger", str(_LINGER_S)]
        arguments += ["--symbols", ",".join(config.names), "--seed", str(config.seed), "--rate", str(config.rate)]
        arguments += ["--wait-for-login", "--duration", str(config.seconds + _EXCHANGE_SPARE_S)]
        arguments += [word for option in _FAULTS.items() for word in option]
        arguments += [word for flag, fee in _FEES.items() for word in ("--fee", f"{flag}={fee}")]
        return arguments + list(_schedule(config))

    def _set_up(self, engine: Engine, lab: Lab) -> OrderSession:
        """Symbols, limits, fees; the event stream is open from the first event on."""
        a = lab.addresses
        widen(engine)
        for number, name in enumerate(self._config.names):
            _add_symbol(engine, name, quotes=number % 2 == 0)
        for flag, fee in _FEES.items():
            engine.fees[flag] = fee
        session = OrderSession(
            local=(a.host_address, a.engine_port),
            remote=(a.exchange_address, a.ouch50_port),
            local_mac=a.host_mac,
            remote_mac=a.exchange_mac,
            username=USERNAME,
            password=PASSWORD,
        )
        engine.configure(session, FeedAddress(a.feed_group, a.feed_port, a.exchange_address))
        self._read(engine)
        engine.attach()
        return session

    def _trade(self, engine: Engine, exchange: ExchangeProcess) -> None:
        swings = [_Swing(symbol) for symbol in engine.symbols if symbol.strategy == "threshold"]
        steer = 0.0
        choose = random.Random(self._config.seed)
        engine.lease.beat()
        engine.resume()
        say(f"trading {self._config.symbols} symbols for {self._config.seconds:g} s")
        end = time.monotonic() + self._config.seconds
        while (now := time.monotonic()) < end:
            if now >= steer:
                steer = now + _STEER_S
                for swing in swings:
                    swing.step()
                _cancel_one(engine, choose)
            self._pause(engine)
            if not exchange.running:
                exchange.summary()  # raises with its last words if it failed
                raise ExchangeError("the exchange ended while the market was open: somebody stopped it")

    def _take_down(self, engine: Engine, entry: OrderEntry) -> int:
        """Halt, cancel what works, wait until the rest is settled; how many orders are left all the same."""
        self._halted_in_silence = int(not entry.settled)
        engine.halt()
        self._pause(engine)  # whatever packet was inside has come out
        self._sent = engine.session.orders_sent
        say("halted; taking working orders down")
        end = time.monotonic() + _SETTLE_S
        while time.monotonic() < end:
            report = engine.orders.cancel_all(timeout_s=0.5)
            self._pause(engine)
            if entry.settled and not report.left:
                return 0
        return len(engine.orders.open())

    def _close(self, engine: Engine, exchange: ExchangeProcess) -> None:
        """The exchange does what it still had in mind, closes and ends; the last replies are fetched meanwhile."""
        exchange.close_market()
        end = time.monotonic() + _CLOSE_S
        while exchange.running:
            if time.monotonic() > end:
                raise ExchangeError(f"the exchange did not end within {_CLOSE_S:g} s of being asked to")
            self._pause(engine)
        self._pause(engine)

    def _pause(self, engine: Engine) -> None:
        engine.lease.beat()  # after the halt too: nothing but that holds orders back
        self._stop.wait(_STEP_S)
        self._stop.check()
        self._read(engine)

    def _read(self, engine: Engine) -> None:
        events = list(engine.events)
        self._ledger.add(events)
        for event in events:
            self._kinds[event.kind] += 1
            if event.symbol is not None:
                self._by_symbol[event.symbol][event.kind] += 1

    def _report(
        self, engine: Engine, entry: OrderEntry, summary: dict[str, Any], problems: list[str], stuck: int
    ) -> DayReport:
        counters, feed, session = engine.counters(), engine.feed, engine.session
        ledger = self._ledger
        problems = ledger.problems(counters["events"], counters["events_lost"]) + problems
        problems += feed_problems(summary["feed"]["by_type"], engine.itch_counts(), gaps=feed.gaps, missed=feed.missed)
        if session.health == "suspect" or self._kinds["session_suspect"]:
            problems.append("order entry became suspect: a reply did not fit docs/rules.md, rule 8")
        if session.expected_seq < session.highest_seq:
            problems.append(f"{session.highest_seq - session.expected_seq} replies were never had")
        if not engine.halted:
            problems.append(f"the engine is {engine.state}: the halt at the end of the day was undone")
        if session.orders_sent != self._sent:
            problems.append(f"{session.orders_sent - self._sent} orders left after the halt at the end of the day")
        if stuck:
            problems.append(f"{stuck} orders could not be taken down before the exchange closed")
        if not entry.settled:
            problems.append(f"order entry did not come back, {len(entry.uncertain)} orders are uncertain")
        states = [symbol.snapshot() for symbol in engine.symbols]
        maps = maps_ledger(states)
        if not any(each.fills for each in maps.values()):
            problems.append("nothing was traded: give it more --seconds or another --seed")
        result = reconcile(maps, ledger.symbols, exchange_ledger(summary, USERNAME, ledger.lost.values()), problems)
        return DayReport(
            config=self._config,
            reconciliation=result,
            symbols=tuple(self._symbol_day(engine.symbols[state.name], state) for state in states),
            troubles=self._troubles(entry, summary),
            messages=summary["feed"]["messages"],
            events=self._kinds,
            refused={reason: times for reason, times in engine.refusals().items() if times},
            exchange=summary,
        )

    def _symbol_day(self, view: SymbolView, state: SymbolSnapshot) -> SymbolDay:
        kinds = self._by_symbol[state.name]
        return SymbolDay(
            symbol=state.name,
            strategy=view.strategy or "none",
            orders=state.orders_sent,
            fills=state.fills,
            broken=state.broken,
            rejected=kinds["rejected"],
            cancels=kinds["canceled"],
            lost=kinds["lost"],
            position=state.position,
            realized_e4=state.realized_e4,
            fees_e8=state.fees_e8,
            net_e4=state.realized_e4 + state.unrealized_e4 - fees_e4(state.fees_e8),
        )

    def _troubles(self, entry: OrderEntry, summary: dict[str, Any]) -> dict[str, int]:
        said, links, port = summary["order_events"], summary["order_links"]["ouch50"], summary["order_entry"]["ouch50"]
        found = {kind: said.get(kind, 0) for kind in TROUBLES}
        found |= {
            "halts": said.get("trading_state_H", 0),
            "pauses": said.get("trading_state_P", 0),
            "operational_halts": said.get("trading_state_O", 0),
            "unheard": summary["unheard"],
            "sessions_dropped": port.get("dropped", 0),
            "silences": entry.silences,
            "reconnects": entry.logins - 1,
            "orders_declared_lost": len(entry.lost),
            "cancels_sent_again": entry.cancels_again,
            "halted_in_silence": self._halted_in_silence,
        }
        for way in ("orders", "replies"):
            found |= {f"{way}_{what}": links[way][what] for what in ("lost", "duplicated", "reordered")}
        return found


class _Swing:
    """Targets of threshold at the touch, so that it trades without pause: up to a position, down to none, up again."""

    def __init__(self, symbol: SymbolView) -> None:
        self._symbol = symbol
        self._buys = True

    def step(self) -> None:
        """Move the targets after the market."""
        state = self._symbol.snapshot()
        if state.position >= _SWING_QTY or state.position <= 0:
            self._buys = state.position <= 0
        if state.bid_e4 and state.ask_e4:
            self._symbol.set_targets(
                buy_below=format_price_e4(state.ask_e4) if self._buys else None,
                sell_above=None if self._buys else format_price_e4(state.bid_e4),
            )


def _cancel_one(engine: Engine, choose: random.Random) -> None:
    """By hand: an order of the quoter, which puts another one there."""
    orders = [order for order in engine.orders.open() if order.state == "live" and not order.pending]
    if orders:
        with contextlib.suppress(OrderRefused):  # it has ended meanwhile, or the session is away
            engine.orders.cancel(choose.choice(orders).user_ref)


def _subnet(number: int) -> str:
    return f"10.{192 + number % 60}.{number // 60 % 250}.0/24"


def _add_symbol(engine: Engine, name: str, *, quotes: bool) -> None:
    """The quoter may sell short, threshold buys and sells what it has."""
    symbol = engine.symbols.add(
        name,
        strategy="quoter" if quotes else "threshold",
        shadow=("imbalance", "momentum"),
        cap_qty=300,
        max_short=1000 if quotes else 0,
        short_ok=quotes,
        max_loss=SYMBOL["max_loss"],
        orders_per_second=50 if quotes else 10,
    )
    if quotes:
        symbol.quoter.set({"half_spread": "0.01", "qty": 100, "skew": "0.005", "inventory": 50, "requote": "0.01"})
    symbol.imbalance.set({"share": "0.9", "least": 200, "qty": 100})
    symbol.momentum.set({"ticks": 5, "window_s": 1, "qty": 100})


def _schedule(config: DayConfig) -> Iterator[str]:
    """What happens at a time of its own: outages by turns, halts by turns in the busiest symbols that are quoted, and a
    silence around the end of trading."""
    names, at, silent = config.names, 0.15 * config.seconds, True
    while at < 0.8 * config.seconds:
        yield from ("--silence", f"{at:.3f}+{_SILENCE_S + 1}") if silent else ("--drop-session", f"{at:.3f}")
        silent = not silent
        at += max(5.5, config.seconds / 6)
    begin, end = _LAST_SILENCE_S
    yield from ("--silence", f"{config.seconds + begin:.3f}+{end - begin}")
    quoted, turn, at = names[::2], 0, 0.5 * config.seconds % _HALTS_S
    while at < 0.9 * config.seconds:
        option = ("--halt", "--pause", "--operational-halt")[turn % 3]
        yield from (option, f"{quoted[turn // 3 % min(3, len(quoted))]}@{at:.3f}+0.3")
        turn += 1
        at += _HALTS_S
    yield from ("--short-sale-restriction", f"{quoted[-1]}@{0.3 * config.seconds:.3f}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; 0 if the three ledgers agree."""
    parser = argparse.ArgumentParser(
        prog="python -m turbo_hft.testing.trading_day",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    default = DayConfig()
    parser.add_argument(
        "--seconds", type=seconds, default=default.seconds, metavar="S", help="of trading (default %(default)g)"
    )
    parser.add_argument("--symbols", type=count, default=default.symbols, metavar="N", help="default %(default)s")
    parser.add_argument("--seed", type=int, default=default.seed, help="of flow and faults (default %(default)s)")
    parser.add_argument("--json", action="store_true", help="the whole result as JSON on stdout")
    options = parser.parse_args(arguments)
    if options.seconds < SHORTEST_S or options.symbols < 6:
        parser.error(f"give --seconds {SHORTEST_S:g} or more and --symbols 6 or more: all has to find its place")
    config = DayConfig(seconds=options.seconds, symbols=options.symbols, seed=options.seed)
    try:
        with StopFlag() as stop:
            report = TradingDay(config, stop).run()
    except (Interrupted, KeyboardInterrupt):
        say("trading day: interrupted")
        return codes.INTERRUPTED
    except TurboHftError as error:
        say(f"trading day: {error}")
        return codes.FAILURE
    print(json.dumps(report.as_dict(), indent=2) if options.json else "\n".join(report.lines()))
    return codes.OK if report.ok else codes.FAILURE


if __name__ == "__main__":
    sys.exit(main())
