"""The whole loop with packets that get lost: the engine trades, recovers, and its ledgers agree."""

from __future__ import annotations

import json
import signal
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from e2e.helpers import turbo_hft
from e2e.test_loop import EVERY_TICK, assert_ledgers_agree, drain, quiet_end, wait_for
from e2e_rig import Rig, rig
from turbo_hft import lab as lab_defaults
from turbo_hft.addresses import FeedAddress, Rerequest
from turbo_hft.engine import Engine
from turbo_hft.events import Event
from turbo_hft.order_entry import OrderEntry
from turbo_hft.recovery import Glimpse, Recovery, RecoverySettings
from turbo_hft.symbols import SymbolView

pytestmark = [pytest.mark.kernel, pytest.mark.e2e]

RATE = ["--symbols", "AAPL=163.20,MSFT=106", "--rate", "3000"]


def line_b(lab: Rig) -> tuple[str, int]:
    return lab.addresses.feed_group, lab.addresses.feed_port + 10


def feed_of(lab: Rig) -> FeedAddress:
    """Both lines of the lab, and its re-request server."""
    at = lab.addresses
    return replace(
        lab.feed(),
        port_b=line_b(lab)[1],
        source_b=at.exchange_address,
        rerequest=Rerequest((at.exchange_address, at.rerequest_port), (at.host_address, at.engine_rerequest_port)),
    )


def glimpse_of(lab: Rig) -> Glimpse:
    at = lab.addresses
    return Glimpse((at.exchange_address, at.glimpse_port), lab_defaults.USERNAME, lab_defaults.PASSWORD)


@dataclass
class Trading:
    """An engine that trades back and forth in AAPL, and its recovery."""

    engine: Engine
    recovery: Recovery
    aapl: SymbolView
    events: list[Event] = field(default_factory=list)

    def trade(self, seconds: float) -> None:
        """Buy and sell, in turns."""
        end = time.monotonic() + seconds
        buying = False
        while time.monotonic() < end and self.engine.feed.health != "ended":
            buying = not buying
            targets = (EVERY_TICK, None) if buying else (None, "1")
            self.aapl.set_targets(buy_below=targets[0], sell_above=targets[1])
            time.sleep(0.1)
            self.events += drain(self.engine)

    def finish(self, lab: Rig) -> dict[str, object]:
        """Halt, let the exchange end, hold the ledgers against each other; the exchange's summary."""
        quiet_end(self.engine, self.events)
        summary = lab.exchange_summary()
        self.events += drain(self.engine)
        assert_ledgers_agree(self.engine, self.events, summary)
        assert_nothing_left_in_doubt(self.events)
        assert self.aapl.snapshot().fills > 0, "nothing was traded: the test shows little"
        return summary

    def times(self, what: str) -> None:
        """Say how long recoveries took."""
        took = [incident.duration_ns / 1e6 for incident in self.recovery.status().history]
        if took:
            print(f"{what}: {len(took)} recoveries, p50 {statistics.median(took):.1f} ms, max {max(took):.1f} ms; "
                  f"{self.recovery.status().line()}", file=sys.stderr)  # fmt: skip


@contextmanager
def trading(lab: Rig, *, hold_ns: int = 2_000_000, before_exchange: tuple[str, ...] = ()) -> Iterator[Trading]:
    """Everything is up, and the engine may trade. `before_exchange`: what the exchange is started with."""
    feed, session = feed_of(lab), lab.session()
    lab.start_exchange("--feed-b", f"{line_b(lab)[0]}:{line_b(lab)[1]}", *RATE, *before_exchange)
    with Engine.open(lab.addresses.device, hold_ns=hold_ns) as engine:
        aapl = engine.symbols.add("AAPL", max_long=1000, cap_qty=100, base_qty=100)
        engine.symbols.add("MSFT")
        engine.configure(session, feed)
        settings = RecoverySettings(silence_ns=500_000_000)
        with Recovery(engine, feed, glimpse_of(lab), settings=settings) as recovery:
            drain(engine)
            engine.attach()
            with OrderEntry(engine, session) as order_entry, engine.lease.keep():
                order_entry.login()
                engine.resume()
                yield Trading(engine, recovery, aapl)


def assert_nothing_left_in_doubt(events: list[Event]) -> None:
    """No order left while the feed had a gap, or while its symbol was in quarantine."""
    gap, doubtful = False, set[str]()
    for event in events:
        if event.kind in ("feed_gap", "feed_live"):
            gap = event.kind == "feed_gap"
        elif event.kind == "book_quarantined":
            doubtful.add(event.symbol or "")
        elif event.kind == "book_restored":
            doubtful.discard(event.symbol or "")
        elif event.kind == "order":
            assert not gap and event.symbol not in doubtful, event


def well(at: Trading) -> bool:
    return at.engine.feed.health in ("live", "ended") and not at.engine.symbols.doubtful(0)


def test_loss_on_one_line_is_no_gap(tmp_path: Path) -> None:
    faults = ("--wait-for-login", "--duration", "3", "--loss-a", "0.1", "--delay-b", "100:400")
    with rig(tmp_path, 21) as lab, trading(lab, hold_ns=50_000_000, before_exchange=faults) as at:
        at.trade(2.5)
        wait_for(lambda: at.engine.feed.health == "ended", "the feed does not end")
        at.finish(lab)
        feed, counters = at.engine.feed, at.engine.counters()
        assert feed.gaps == feed.missed == counters["book_quarantines"] == 0
        assert counters["feed_holds"] > 10 and feed.first[1] > 100
        status = at.recovery.status()
        assert status.state == "well" and status.counters.requests == 0 and not status.history


def test_loss_on_both_lines_and_of_requests(tmp_path: Path) -> None:
    faults = ("--wait-for-login", "--duration", "4", "--loss-a", "0.02", "--loss-b", "0.02", "--loss-both", "0.01")
    more = ("--rerequest-loss", "0.2", "--rerequest-delay", "100:500")
    with rig(tmp_path, 22) as lab, trading(lab, before_exchange=faults + more) as at:
        at.trade(3.5)
        wait_for(lambda: at.engine.feed.health == "ended", "the feed does not end")
        summary = at.finish(lab)
        at.times("loss on both lines")
        status, feed = at.recovery.status(), at.engine.feed
        assert well(at) and feed.missed == 0 and feed.expected_seq == feed_end(summary)
        assert status.counters.gaps_filled > 20 and status.counters.retries > 0
        assert at.engine.counters()["book_quarantines"] == 0


def feed_end(summary: dict[str, object]) -> int:
    feed = summary["feed"]
    assert isinstance(feed, dict)
    return int(feed["last_sequence"]) + 1


@pytest.mark.long
def test_a_late_start_and_a_gap_that_nobody_fills(tmp_path: Path) -> None:
    faults = ("--no-wait-for-login", "--duration", "7", "--loss-both", "0.0005", "--rerequest-loss", "1")
    with rig(tmp_path, 23) as lab, trading(lab, before_exchange=faults) as at:
        wait_for(lambda: well(at), "the books are not back")
        at.trade(5)
        wait_for(lambda: at.engine.feed.health == "ended" or well(at), "the books are not back")
        at.finish(lab)
        at.times("late start, and nobody answers")
        status, feed = at.recovery.status(), at.engine.feed
        assert status.counters.gaps_abandoned >= 2 and feed.missed > 0 and feed.phase in ("market", "ended")
        assert status.counters.symbols_restored >= 4


def test_another_session_is_followed_and_traded(tmp_path: Path) -> None:
    faults = ("--wait-for-login", "--duration", "5", "--rollover-after", "5000", "--loss-both", "0.002")
    with rig(tmp_path, 24) as lab, trading(lab, before_exchange=faults) as at:
        wait_for(lambda: at.engine.feed.session != "", "no feed")
        first = at.engine.feed.session
        at.trade(1.5)
        end = time.monotonic() + 10
        while at.engine.feed.session == first and time.monotonic() < end:
            at.trade(0.1)
            time.sleep(0.01)
        assert at.engine.feed.session != first
        wait_for(lambda: at.engine.feed.phase == "market" and well(at), "the new day does not begin")
        before = at.aapl.snapshot().fills
        at.trade(1.5)
        assert at.aapl.snapshot().fills > before, "the new day is not traded"
        at.finish(lab)
        at.times("rollover")
        status = at.recovery.status()
        assert status.counters.rollovers == 1 and status.counters.snapshots == 0


def test_resync_by_hand_beside_the_service_and_without_it(tmp_path: Path) -> None:
    # The day ends when all is done: commands take as long as the machine lets them. A line may be late in the same way.
    with rig(tmp_path, 25) as lab, trading(lab, hold_ns=50_000_000, before_exchange=("--wait-for-login",)) as at:
        server = f"{lab.addresses.exchange_address}:{lab.addresses.glimpse_port}"
        on = ["--interface", lab.addresses.device, "--glimpse", server, "--json"]
        at.trade(0.5)
        done = turbo_hft("resync", "AAPL", *on)
        assert done.returncode == 0, done.stderr
        (result,) = json.loads(done.stdout)
        assert (result["symbol"], result["ok"], result["by"]) == ("AAPL", True, "service")
        at.recovery.close()
        at.engine.symbols.add("TRACKEDL")
        assert at.engine.resync("MSFT")
        at.trade(0.3)
        assert at.engine.symbols["MSFT"].health == "quarantined: requested"
        done = turbo_hft("resync", "--all", *on)
        assert done.returncode == 0, done.stderr + done.stdout
        results = {result["symbol"]: result for result in json.loads(done.stdout)}
        # A gap that nobody fills is given up, and concerns them all.
        wanted = {"MSFT", "TRACKEDL"} | ({"AAPL"} if at.engine.feed.gaps else set())
        assert set(results) == wanted and all(each["by"] == "us" for each in results.values())
        print(f"by hand: {results}", file=sys.stderr)
        # Or packets were late once more, which nobody asks for now.
        assert at.engine.symbols["MSFT"].health == "live" or at.engine.feed.health == "gap"
        assert turbo_hft("resync", "NOBODY", *on).returncode == 2
        wrong = turbo_hft("resync", "MSFT", *on, "--account", "HFT001:WRONG", "--timeout", "1")
        assert wrong.returncode == 1 and "not authorised" in json.loads(wrong.stdout)[0]["why"]
        done = turbo_hft("resync", "--all", *on)
        assert done.returncode == 0 and "MSFT" in {each["symbol"] for each in json.loads(done.stdout)}
        at.trade(0.3)
        assert lab.process is not None
        lab.process.send_signal(signal.SIGTERM)
        wait_for(lambda: at.engine.feed.health == "ended", "the feed does not end")
        at.finish(lab)
