"""A day on which order entry goes wrong in every way it can, and at its end three ledgers that must be equal.

A lab of its own: the exchange simulator with random flow on many symbols, an engine on the wire with quoter and
threshold, half of the symbols each (imbalance and momentum in shadow beside threshold), and order entry that has to
reconnect and to find out what was lost. Orders are rejected, dead on arrival, canceled and modified by the exchange,
trades are broken, datagrams lost, repeated and overtaken, symbols halted. Compared, to the share and the 1/10000
dollar (fees: 1/100,000,000): what the hook's maps say, what the event stream adds up to, what the exchange booked.

    python -m turbo_hft.testing.trading_day --seconds 120
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from turbo_hft.addresses import FeedAddress, OrderSession
from turbo_hft.cli.signals import Interrupted, StopFlag
from turbo_hft.demo.exchange_process import ExchangeProcess
from turbo_hft.demo.reconcile import LEDGERS, EventLedger, Row, exchange_ledger, maps_ledger, reconcile
from turbo_hft.engine import Engine
from turbo_hft.errors import ExchangeError, TurboHftError
from turbo_hft.lab import PASSWORD, USERNAME, Lab, LabAddresses
from turbo_hft.order_entry import OrderEntry
from turbo_hft.snapshots import SymbolSnapshot

LAB = ("day_ns", "day_hft", "day_peer", "10.79.0.0/24")
FEES = {"R": "0.0030", "A": "-0.0020"}
FEES_E8 = {"R": 300_000, "A": -200_000}
_STEP_S = 0.02
_TURN_S = 0.5  # how often the targets of threshold change
_SETTLE_S = 8.0
_CLOSE_S = 15.0
_SILENCE_S = 6.5  # longer than order entry waits for a sign of life
# What has to have happened, or the day proves nothing: by the kinds of events of the engine.
_TROUBLE = (
    *("rejected", "broken", "lost", "canceled", "replaced", "modified", "priority", "restated"),
    *("cancel_pending", "cancel_rejected", "executed", "shadow"),
)


@dataclass(slots=True)
class Day:
    """What came of it. `missing`: kinds of trouble that did not happen; `problems`: of the event stream."""

    seconds: float
    symbols: int
    rows: list[Row]
    problems: list[str]
    missing: list[str]
    reconnects: int
    lost_orders: int
    left_open: int
    events: dict[str, int]
    refused: dict[str, int]
    exchange: dict[str, Any]
    pnl_e4: int

    @property
    def differences(self) -> list[Row]:
        """The figures that are not the same everywhere."""
        return [row for row in self.rows if not row.equal]

    @property
    def equal(self) -> bool:
        """Do all ledgers say the same, and is nothing left?"""
        return not self.differences and not self.problems and not self.left_open

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "equal": self.equal,
            "differences": [asdict(row) for row in self.differences],
            "figures": len(self.rows),
            **{name: getattr(self, name) for name in self.__slots__ if name != "rows"},
        }


@dataclass(slots=True)
class Reader:
    """Reads every event once: for the ledger, and for what the ledger does not hold."""

    engine: Engine
    ledger: EventLedger = field(default_factory=lambda: EventLedger(FEES_E8))
    kinds: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)

    def read(self) -> None:
        """What has come since."""
        events = list(self.engine.events)
        self.ledger.add(events)
        for event in events:
            self.kinds[event.kind] += 1
            if event.kind == "refused":
                self.refused[event.reason] += 1


def exchange_words(addresses: LabAddresses, names: list[str], seconds: float, seed: int) -> list[str]:
    """How the exchange is started."""
    a = addresses
    words = ["--netns", a.namespace, "--bind", a.exchange_address, "--feed", f"{a.feed_group}:{a.feed_port}"]
    words += ["--ouch50", str(a.ouch50_port), "--ouch42", str(a.ouch42_port), "--symbols", ",".join(names)]
    words += ["--seed", str(seed), "--rate", "2000", "--wait-for-login", "--duration", str(seconds + 120)]
    shares = {
        "reject-orders": 0.03,
        "dead-orders": 0.02,
        "pending-cancels": 0.2,
        "rejected-cancels": 0.2,
        "broken-trades": 0.05,
        "supervisory-cancels": 0.05,
        "priority-updates": 0.05,
        "supervisory-modifies": 0.05,
        "restatements": 0.05,
        "loss-orders": 0.02,
        "duplicate-orders": 0.02,
        "reorder-orders": 0.01,
        "loss-replies": 0.02,
        "duplicate-replies": 0.02,
        "reorder-replies": 0.02,
    }
    for name, share in shares.items():
        words += [f"--{name}", str(share)]
    for flag, dollars in FEES.items():
        words += ["--fee", f"{flag}={dollars}"]
    words += ["--silence", f"{seconds * 0.2:.2f}+{_SILENCE_S}", "--drop-session", f"{seconds * 0.75:.2f}"]
    words += ["--halt", f"{names[0]}@{seconds * 0.1:.2f}+1", "--pause", f"{names[1]}@{seconds * 0.15:.2f}+1"]
    words += ["--operational-halt", f"{names[2]}@{seconds * 0.1:.2f}+1"]
    return [*words, "--short-sale-restriction", f"{names[3]}@{seconds * 0.1:.2f}+2"]


def add_symbols(engine: Engine, names: list[str]) -> None:
    """Quoter on every second one, threshold with shadows on the others."""
    for number, name in enumerate(names):
        symbol = engine.symbols.add(name, base_qty=100, step_qty=20, cap_qty=300, max_order_qty=300, max_long=1000)
        if number % 2 == 0:
            symbol.strategy = "quoter"
            symbol.quoter.half_spread, symbol.quoter.qty = "0.03", 100
            symbol.quoter.inventory, symbol.quoter.skew, symbol.quoter.requote = 500, "0.01", "0.02"
        else:
            symbol.shadow = {"imbalance", "momentum"}
            symbol.imbalance.share, symbol.imbalance.qty = 0.7, 100
            symbol.momentum.ticks, symbol.momentum.window_s, symbol.momentum.qty = 2, 1, 100


def steer(engine: Engine, names: list[str], now: float) -> None:
    """Threshold buys at the offer in one turn and waits for better in the next."""
    waits = int(now / _TURN_S) % 2
    for name in names[1::2]:
        symbol = engine.symbols[name]
        offer_e4 = symbol.snapshot().ask_e4
        if offer_e4:
            symbol.set_targets(buy_below=(offer_e4 - 100 * waits) / 10_000, sell_above=(offer_e4 + 100) / 10_000)


def compare(snapshots: Mapping[str, SymbolSnapshot], reader: Reader, summary: Mapping[str, Any]) -> list[Row]:
    """Every figure of every symbol in the three ledgers."""
    exchange = exchange_ledger(summary, USERNAME, reader.ledger.lost.values())
    return list(reconcile(maps_ledger(snapshots.values()), reader.ledger.symbols, exchange).rows)


class TradingDay:
    """One run. Raises Interrupted when a signal came, TurboHftError when a step fails; all is cleaned up by then."""

    def __init__(self, seconds: float, symbols: int, seed: int, stop: StopFlag) -> None:
        self.seconds, self.seed, self.stop = seconds, seed, stop
        self.names = [f"SYM{number:02d}" for number in range(symbols)]
        self.reconnects = 0

    def run(self) -> Day:
        """Trade, close, compare."""
        a = LabAddresses.of(*LAB)
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="turbo-hft-day-")))
            stack.enter_context(Lab(*LAB))
            words = exchange_words(a, self.names, self.seconds, self.seed)
            exchange = stack.enter_context(ExchangeProcess(words, folder))
            engine = stack.enter_context(Engine.open(a.device))
            for flag, dollars in FEES.items():
                engine.fees[flag] = dollars
            add_symbols(engine, self.names)
            session = OrderSession(
                local=(a.host_address, a.engine_port),
                remote=(a.exchange_address, a.ouch50_port),
                local_mac=a.host_mac,
                remote_mac=a.exchange_mac,
                username=USERNAME,
                password=PASSWORD,
                protocol="ouch50",
            )
            engine.configure(session, FeedAddress(a.feed_group, a.feed_port, a.exchange_address))
            reader = Reader(engine)
            reader.read()
            engine.attach()
            exchange.wait_ready(self.stop.wait)
            self.stop.check()
            entry = stack.enter_context(OrderEntry(engine, session, rearm=True))
            entry.login()
            self._trade(engine, reader)
            engine.halt_and_cancel()
            summary = self._close(engine, exchange, reader)
            return self._report(engine, reader, entry, summary)

    def _trade(self, engine: Engine, reader: Reader) -> None:
        engine.lease.beat()
        engine.resume()
        start, was = time.monotonic(), "active"
        while (now := time.monotonic()) < start + self.seconds:
            engine.lease.beat()
            reader.read()
            steer(engine, self.names, now)
            self.reconnects += engine.state == "active" != was
            was = engine.state
            self.stop.wait(_STEP_S)
            self.stop.check()

    def _close(self, engine: Engine, exchange: ExchangeProcess, reader: Reader) -> dict[str, Any]:
        end = time.monotonic() + _SETTLE_S
        while engine.orders.open() and time.monotonic() < end:
            self._pause(engine, reader)
        exchange.close_market()
        end = time.monotonic() + _CLOSE_S
        while exchange.running:
            if time.monotonic() > end:
                raise ExchangeError(f"the exchange did not end within {_CLOSE_S:g} s of being asked to")
            self._pause(engine, reader)
        summary = exchange.summary()
        self._pause(engine, reader)
        return summary

    def _pause(self, engine: Engine, reader: Reader) -> None:
        engine.lease.beat()
        self.stop.wait(_STEP_S)
        self.stop.check()
        reader.read()

    def _report(self, engine: Engine, reader: Reader, entry: OrderEntry, summary: dict[str, Any]) -> Day:
        snapshots = {symbol.name: symbol.snapshot() for symbol in engine.symbols}
        counters = engine.counters()
        problems = reader.ledger.problems(counters["events"], counters["events_lost"])
        if engine.session.health == "suspect":
            problems.append("order entry is suspect: a reply did not fit what the engine knows")
        return Day(
            seconds=self.seconds,
            symbols=len(self.names),
            rows=compare(snapshots, reader, summary),
            problems=problems,
            missing=[kind for kind in _TROUBLE if not reader.kinds[kind]],
            reconnects=self.reconnects,
            lost_orders=len(entry.lost),
            left_open=len(engine.orders.open()),
            events=dict(reader.kinds),
            refused=dict(reader.refused),
            exchange={name: summary.get(name) for name in ("order_events", "replies", "unheard")},
            pnl_e4=sum(snapshot.pnl_e4 for snapshot in snapshots.values()),
        )


def text(day: Day) -> str:
    """For people."""
    lines = [f"{day.symbols} symbols, {day.seconds:g} s: P&L net of fees {day.pnl_e4 / 10_000:,.2f} dollars"]
    lines += [f"  {kind:<16} {count:>8,}" for kind, count in sorted(day.events.items())]
    lines.append(f"reconnects {day.reconnects}, orders that never arrived {day.lost_orders}, left open {day.left_open}")
    lines += [
        f"DIFFERS {row.symbol} {row.field}: "
        + ", ".join(f"{who} {what:,}" for who, what in zip(LEDGERS, row.values, strict=True))
        for row in day.differences
    ]
    lines += [f"PROBLEM {problem}" for problem in day.problems]
    if day.missing:
        lines.append(f"did not happen: {', '.join(day.missing)} (a longer day, or another --seed, has more)")
    lines.append(f"three ledgers equal: {len(day.rows)} figures" if day.equal else "the ledgers differ")
    return "\n".join(lines)


def main() -> int:
    """The command: 0 if all ledgers are equal, 1 if not, 2 if it could not be run."""
    parser = argparse.ArgumentParser(
        prog="trading_day", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=120, metavar="S", help="of trading (120; at least 15)")
    parser.add_argument("--symbols", type=int, default=20, metavar="N", help="(20; at least 4)")
    parser.add_argument("--seed", type=int, default=1, help="of the exchange (1)")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    args = parser.parse_args()
    if args.seconds < 15 or args.symbols < 4:
        parser.error("give at least 15 seconds and 4 symbols: less has no room for what shall go wrong")
    try:
        with StopFlag() as stop:
            day = TradingDay(args.seconds, args.symbols, args.seed, stop).run()
    except Interrupted:
        return 130
    except TurboHftError as error:
        print(f"trading_day: {error}", file=sys.stderr)
        return 2
    print(json.dumps(day.as_dict(), indent=2) if args.json else text(day))
    return 0 if day.equal else 1


if __name__ == "__main__":
    sys.exit(main())
