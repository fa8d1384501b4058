"""The feed under torture: two lines on which packets are lost, late, doubled and out of order, servers that do not
answer, sessions that change, and the project's own recovery in the middle of it. In virtual time: the feed's stamps.

Each seed is a day of its own, with faults of one profile (`PROFILES`). While it lasts

- the full depth of every book that the hook calls whole equals that of a book which followed what the hook has applied;
- no order leaves while the feed is not live, in a symbol whose book is not whole, or at a price that is not the best;

and at its end everything is whole, and every message was handled once or given up by number. ``make torture`` runs
many seeds.
"""

from __future__ import annotations

import argparse
import logging
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any

from turbo_hft._native import ffi, lib
from turbo_hft.errors import RecoveryError
from turbo_hft.exchange.line import Faults
from turbo_hft.exchange.market import MarketConfig, MarketFlow
from turbo_hft.exchange.rerequest import RerequestServer
from turbo_hft.recovery.feed import FeedRecovery
from turbo_hft.recovery.settings import RecoverySettings
from turbo_hft.recovery.snapshot import Snapshot, SnapshotReader
from turbo_hft.testing.trial import FEED, Mismatch, Reference, Trial, feed_headers, listing, reply_headers
from turbo_hft.testing.wide import SYMBOL, widen
from turbo_hft.wire import blocks, glimpse, soupbintcp, ufo

HOLD_NS = 2_000_000
_PPM = 1_000_000
_PER_PACKET = 38
_COMPARE_PACKETS = 8
_HEARTBEAT_NS = 1_000_000_000
_IDLE_HEARTBEAT_NS = 20_000_000
_REPLY_NS = (5_000_000, 30_000_000)
_POLL_NS = 1_000_000
_CLOCK_STEP_NS = 500  # what looking at the clock costs the control plane: so its work takes time too
_PATIENCE_NS = 60_000_000_000  # for everything to be whole, once the last message was published
_LAST_WORDS_NS = 2_000_000_000
_RATE = 100_000  # messages a second
_ARMED_OF = 10  # one symbol in so many trades
_SNAPSHOT_ROOM = 1 << 24
_MOST_OUTAGES = 4096
_ANY_OFFER_E4 = 1_999_999_900
_ANY_BID_E4 = 1
_MOST = (1 << 62) - 1
# As patient as a person would have it, but the day is short.
_SETTINGS = RecoverySettings(
    retry_ns=3_000_000,
    longest_retry_ns=50_000_000,
    tries=6,
    pause_ns=10_000_000,
    longest_pause_ns=500_000_000,
    calm_ns=200_000_000,
    patience_ns=500_000_000,
    silence_ns=300_000_000,
)


_NONE = Faults()


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What goes wrong on a day. Shares are 0 to 1; runs are packets lost in a row; times are ns.

    `a`, `b`: the lines' own faults, see `Faults`. `both`: losses that befall both at once. `server_loss`: of requests,
    and of replies, to the re-request server, whose replies are of `reply_bytes` at most. `snapshot_loss`: snapshots
    that cannot be had. `rollover`: in the middle of the day another session begins, `rest` says whether the one before
    had come to rest. `kept`: messages the hook keeps. `quiet`: nothing may go wrong in the hook.
    """

    name: str
    a: Faults = _NONE
    b: Faults = _NONE
    run: int = 1
    both: float = 0.0
    both_run: int = 1
    server_loss: float = 0.0
    server_delay_ns: tuple[int, int] = (50_000, 2_000_000)
    reply_bytes: int = 1472
    snapshot_loss: float = 0.0
    snapshot_ns: tuple[int, int] = (1_000_000, 50_000_000)
    rollover: bool = False
    rest: bool = True
    kept: int = 16_384
    quiet: bool = False


_JITTER = Faults(duplicate=0.02, reorder=0.05, delay_ns=(5_000, 200_000))
_ROUGH = Faults(loss=0.02, duplicate=0.02, reorder=0.05, delay_ns=(5_000, 300_000))
_WORST = Faults(loss=0.05, duplicate=0.05, reorder=0.1, delay_ns=(5_000, 500_000))

PROFILES = (
    Profile(name="nothing", quiet=True),
    Profile(name="one line loses", a=_JITTER, b=_WORST, run=20, quiet=True),
    Profile(name="both lose by themselves", a=_ROUGH, b=_ROUGH, run=3),
    Profile(name="both lose the same", a=_JITTER, b=_JITTER, both=0.005, both_run=10),
    Profile(name="five percent of everything", a=_WORST, b=_WORST, run=3, both=0.01, both_run=5),
    Profile(name="a server that hardly answers", a=_ROUGH, b=_ROUGH, both=0.003, both_run=20, server_loss=0.5,
            reply_bytes=300),
    Profile(name="a server that never answers", a=_JITTER, b=_ROUGH, both=0.004, both_run=20, server_loss=1.0,
            snapshot_loss=0.3),
    Profile(name="long outages", a=_JITTER, b=_JITTER, both=0.2, both_run=2_000,
            snapshot_ns=(20_000_000, 200_000_000)),
    Profile(name="little is kept", a=_ROUGH, b=_ROUGH, both=0.001, both_run=50, kept=512),
    Profile(name="another session", a=_ROUGH, b=_ROUGH, both=0.002, both_run=10, rollover=True),
    Profile(name="another session at once", a=_ROUGH, b=_ROUGH, both=0.002, both_run=20, server_loss=0.2, rollover=True,
            rest=False),
    Profile(name="late servers", a=_ROUGH, b=_ROUGH, both=0.002, both_run=30, server_delay_ns=(1_000_000, 30_000_000),
            snapshot_loss=0.5),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Span:
    """From the first sign of trouble until everything was whole again, ns: virtual, and of the wall clock."""

    virtual_ns: int
    wall_ns: int


@dataclass(slots=True)
class DayResult:
    """What a day came to. `gaps`: from the packet that showed one to the feed's being live again; `troubles`: from
    the first of what is wrong to the last book's being whole."""

    seed: int
    profile: str
    messages: int = 0
    packets: int = 0
    wall_ns: int = 0
    gaps: list[Span] = field(default_factory=list)
    troubles: list[Span] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def rate(self) -> float:
        """Messages a second of wall time, all included."""
        return self.messages / (self.wall_ns / 1e9)


class _Store:
    """What the re-request server has of one session."""

    def __init__(self, torture: Any, session: bytes) -> None:
        self._torture = torture
        self._session = session

    def message(self, sequence: int) -> bytes | None:
        """A message that was published."""
        length = ffi.new("uint32_t *")
        found = lib.hft_torture_message(self._torture, self._session, sequence, length)
        return None if found == ffi.NULL else bytes(ffi.buffer(found, length[0]))


class _SnapshotServer:
    """Snapshots in virtual time, the real reader behind it. Some of them cannot be had."""

    def __init__(self, day: Day, profile: Profile, seed: int) -> None:
        self._day = day
        self._profile = profile
        self._random = random.Random(f"{seed} snapshots")
        self._wanted: SnapshotReader | None = None
        self._taken_ns = self._due_ns = 0
        self._result: Snapshot | RecoveryError | None = None
        self.served = 0

    def start(self, names: Collection[str], locates: Collection[int]) -> None:
        """Log in: the market is copied a little later, and has come a little after that."""
        self._wanted, self._result = SnapshotReader(names, locates), None
        self._taken_ns = self._day.now_ns + self._random.randint(*self._profile.snapshot_ns) // 2
        self._due_ns = self._taken_ns + self._random.randint(*self._profile.snapshot_ns) // 2

    def tick(self) -> None:
        """Copy the market if it is time to."""
        if self._wanted is None or self._day.now_ns < self._taken_ns:
            return
        reader, self._wanted = self._wanted, None
        if self._random.random() < self._profile.snapshot_loss:
            self._result = RecoveryError("the snapshot server is not to be had.")
            return
        session, messages = self._day.snapshot()
        reader.take(soupbintcp.LoginAccepted(session, 1))
        for message in messages:
            reader.take(soupbintcp.SequencedData(message))
        self._result = reader.snapshot
        self.served += 1

    def result(self) -> Snapshot | RecoveryError | None:
        """What came, once it has."""
        if self._result is None or self._day.now_ns < self._due_ns:
            return None
        result, self._result = self._result, None
        return result


class Day:
    """One seed: a market, its lines and servers, a hook and its recovery. A context manager.

    `feed`: a ``struct hft_feed_state`` to judge orders by instead of the hook's.
    """

    def __init__(
        self,
        seed: int,
        profile: Profile,
        messages: int,
        *,
        symbols: int = 200,
        live_orders: int = 8_000,
        feed: Any = None,
    ) -> None:
        self.profile = profile
        self.messages = messages
        self._random = random.Random(f"{seed} day")
        self._config = MarketConfig(
            seed=seed * 2 + 1,
            symbols=symbols,
            live_orders=live_orders,
            rate=_RATE,
            subdollar_share=0.1,
            stub_share=0.1,
            prelude_ns=100_000_000,
        )
        self._flow = MarketFlow(self._config)
        self._trial = Trial.of(
            self._flow,
            seed=seed,
            orders=live_orders + live_orders // 10,
            levels=live_orders,  # small books lie scattered: a block of prices for few orders each
            kept=profile.kept,
            hold_ns=HOLD_NS,
            verify_checksums=False,
        )
        self._flows = [self._flow]
        self._names = [b"DAY0000001"]
        self._slots = [self._trial.slots]
        self.engine = self._trial.engine
        self._log_in()
        self._arm()
        self._torture = self._make(seed, feed)
        self._state = ffi.new("struct hft_torture_state *")
        self._spent_ns = 0
        self.result = DayResult(seed, profile.name)
        self._server = RerequestServer(
            self._store_of, max_payload=profile.reply_bytes, loss=profile.server_loss,
            delay_ns=profile.server_delay_ns, seed=f"{seed} server",
        )  # fmt: skip
        self._snapshots = _SnapshotServer(self, profile, seed)
        self._heard = 0
        self._snapshot_room = ffi.new("uint8_t[]", _SNAPSHOT_ROOM)
        self.recovery = FeedRecovery(
            self.engine,
            ask=self._ask,
            snapshots=self._snapshots,
            strangers=self._strangers,
            settings=_SETTINGS,
            clock=self._clock,
        )
        self._trouble: tuple[int, int] | None = None

    # Setting up

    def _log_in(self) -> None:
        self.engine.program.inject(reply_headers(), ufo.LoginAccepted("ORDERS", 1).encode())
        widen(self.engine)
        self.engine.lease.forever()
        self.engine.resume()

    def _arm(self) -> None:
        """Some symbols want to buy whatever there is, and to sell it again: triggers all the time, and about as many
        orders as the rate limit lets out."""
        symbols = self.engine.symbols
        for view in list(symbols)[::_ARMED_OF]:
            stored = symbols._params[view.index]
            # Words that no sane person sets, so the checked attributes would refuse them.
            stored.buy_below_e4, stored.sell_above_e4 = _ANY_OFFER_E4, _ANY_BID_E4
            stored.base_qty, stored.cap_qty = 100, 500
            view.limits.set({**SYMBOL, "max_order_qty": 500, "max_long": 10_000})
            symbols._books[view.index].armed = 1

    def _make(self, seed: int, feed: Any) -> Any:
        program = self.engine.program
        config = ffi.new("struct hft_torture_config *")
        self._shared = [program.share("feed_state") if feed is None else feed, program.share("working")]
        config.trial = self._trial.native
        config.feed, config.working = self._shared
        for line, name in enumerate(("a", "b", "rerequest")):
            headers = feed_headers(name)
            first = line * lib.HFT_TRIAL_HEADERS
            config.line_headers[first : first + len(headers)] = headers
        headers = reply_headers()
        config.reply_headers[0 : len(headers)] = headers
        config.seed = seed
        for number, faults in enumerate((self.profile.a, self.profile.b)):
            line = config.lines[number]
            line.loss_ppm, line.loss_packets = _begin_ppm(faults.loss, self.profile.run), self.profile.run
            line.duplicate_ppm, line.reorder_ppm = round(faults.duplicate * _PPM), round(faults.reorder * _PPM)
            line.delay_min_ns, line.delay_max_ns = faults.delay_ns
            line.reorder_ns = 400_000
        config.both_ppm = _begin_ppm(self.profile.both, self.profile.both_run)
        config.both_packets = self.profile.both_run
        config.per_packet, config.compare_packets = _PER_PACKET, _COMPARE_PACKETS
        config.compare_messages = max(5_000, self.messages // 20)
        config.heartbeat_ns, config.idle_heartbeat_ns = _HEARTBEAT_NS, _IDLE_HEARTBEAT_NS
        config.reply_min_ns, config.reply_max_ns = _REPLY_NS
        error = ffi.new("int *")
        torture = lib.hft_torture_create(config, error)
        self._trial.check(error[0])
        return ffi.gc(torture, lib.hft_torture_destroy)

    # The outside of recovery

    @property
    def now_ns(self) -> int:
        """Virtual time, and what the control plane has spent of it."""
        return int(self._look().now_ns) + self._spent_ns

    def _look(self) -> Any:
        lib.hft_torture_look(self._torture, self._state)
        return self._state

    def _clock(self) -> int:
        self._spent_ns += _CLOCK_STEP_NS
        return self.now_ns

    def _store_of(self, session: str) -> Any:
        name = session.encode("latin-1").ljust(10)
        return _Store(self._torture, name) if name in self._names else None

    def _ask(self, datagram: bytes) -> None:
        assert FEED.rerequest is not None
        self._server.receive(FEED.rerequest.local, datagram, self.now_ns)

    def _strangers(self) -> list[str]:
        heard = int(self._look().passed_newest)
        sessions = [self._names[-1].decode()] * min(heard - self._heard, 1)
        self._heard = heard
        return sessions

    def snapshot(self) -> tuple[str, list[bytes]]:
        """The market as published, as the snapshot server tells it."""
        size = self._trial.check(lib.hft_torture_snapshot(self._torture, self._snapshot_room, _SNAPSHOT_ROOM))
        messages = list(blocks.split(bytes(ffi.buffer(self._snapshot_room, size))))
        messages.append(glimpse.EndOfSnapshot(int(self._look().published) + 1).encode())
        return self._names[-1].decode(), messages

    # The course of the day

    def run(self) -> DayResult:
        """All of it. Raises Mismatch."""
        began_ns = time.perf_counter_ns()
        rolls = self.profile.rollover
        self._begin_session(self.messages // 2 if rolls else self.messages)
        self._publish()
        if rolls:
            if self.profile.rest:
                self._come_to_rest()
            self._end_session()
            self._next_session(self.messages - self.messages // 2)
            self._publish()
        self._come_to_rest()
        self._check_whole()
        self._end_session()
        if self.engine.feed.health != "ended":
            raise Mismatch(self._told(f"the session has ended, and the feed is {self.engine.feed}"))
        self._count(time.perf_counter_ns() - began_ns)
        return self.result

    def _begin_session(self, messages: int) -> None:
        error = lib.hft_torture_session(
            self._torture, self._flows[-1]._market, self._names[-1], self._slots[-1], messages
        )
        self._trial.check(error)

    def _next_session(self, messages: int) -> None:
        """The same symbols on another day, with other locates."""
        names = tuple(self._trial.names)
        config = replace(
            self._config, seed=self._config.seed + 1, names=names, first_locate=self._random.randint(2, 900)
        )
        flow = MarketFlow(config)
        self._flows.append(flow)
        self._names.append(f"DAY{len(self._names) + 1:07d}".encode())
        self._slots.append(self._trial.slots_of(listing(flow)))
        self._begin_session(messages)

    def _publish(self) -> None:
        while not self._step():
            pass

    def _come_to_rest(self) -> None:
        """Nothing new is published; heartbeats go on until everything is whole."""
        until_ns = self.now_ns + _PATIENCE_NS
        while not self._whole():
            self._step()
            if self.now_ns > until_ns:
                raise Mismatch(self._told(f"not whole {_PATIENCE_NS / 1e9:g} s after the last message"))

    def _end_session(self) -> None:
        """It says so until it is heard, or for as long as it likes."""
        lib.hft_torture_end(self._torture)
        until_ns = self.now_ns + _LAST_WORDS_NS
        while self.engine.feed.health != "ended" and self.now_ns < until_ns:
            self._step()

    def _step(self) -> bool:
        """The lines deliver, then recovery looks. True when the last message of the session was published."""
        pause_ns = self.recovery.step()
        if self.recovery.idle:
            pause_ns = max(pause_ns, _POLL_NS)
        until_ns = self.now_ns + pause_ns
        self._spent_ns = 0
        published = False
        while True:
            due_ns = self._server.next_due_ns
            stop_ns = until_ns if due_ns is None else min(until_ns, max(due_ns, int(self._look().now_ns)))
            pause = self._checked(lib.hft_torture_run(self._torture, stop_ns))
            published = published or pause == lib.HFT_PAUSE_PUBLISHED
            for _, reply in self._server.due(int(self._look().now_ns)):
                self._checked(lib.hft_torture_reply(self._torture, reply, len(reply)))
            self._snapshots.tick()
            if pause == lib.HFT_PAUSE_TIME and self._look().now_ns >= until_ns:
                break
        self._watch_trouble()
        return published

    def _checked(self, result: int) -> int:
        truth = lib.hft_torture_truth(self._torture)
        try:
            return self._trial.check(result, None if truth == ffi.NULL else Reference(truth))
        except Mismatch as wrong:
            raise Mismatch(self._told(str(wrong))) from None

    def _told(self, what: str) -> str:
        return (
            f"seed {self.result.seed}, profile {self.profile.name!r}: {what}\nrecovery: {self.recovery.status()}\n"
            f"health: {self._trial.health()}"
        )

    def _watch_trouble(self) -> None:
        wall_ns = time.perf_counter_ns()
        well = self.recovery.idle and self.engine._feeds[0].health == lib.HFT_FEED_LIVE
        if self._trouble is None and not self.recovery.idle:
            self._trouble = (self.now_ns, wall_ns)
        elif self._trouble is not None and well:
            began_ns, wall_began_ns = self._trouble
            self.result.troubles.append(Span(self.now_ns - began_ns, wall_ns - wall_began_ns))
            self._trouble = None

    def _whole(self) -> bool:
        state, feed = self._look(), self.engine.feed
        return (
            feed.health == "live"
            and feed.session == self._names[-1].decode()
            and feed.expected_seq - 1 == int(state.total)
            and not self.engine.symbols.doubtful(0)
            and self.recovery.idle
        )

    def _check_whole(self) -> None:
        """Every book is there, listed, and equal to the truth."""
        health = self._trial.health()
        compared = self._checked(lib.hft_torture_compare(self._torture))
        if health != {"live": len(self._trial.names)} or compared != len(self._trial.names):
            raise Mismatch(self._told(f"{compared} books compared at the end, health {health}"))
        if self.engine.feed.phase != "market":
            raise Mismatch(self._told(f"the market is open, the hook says: {self.engine.feed.phase}"))
        for slot in range(len(self._trial.names)):
            self._check_symbol(slot)
        counters = self.engine.counters()
        handled = counters["feed_messages"] + counters["feed_missed"]
        if (self.profile.rest or not self.profile.rollover) and handled != self._look().messages:
            raise Mismatch(self._told(f"{handled} messages handled or given up, of {self._look().messages}"))
        if self.profile.quiet and (counters["feed_gaps"] or counters["book_quarantines"] or counters["feed_missed"]):
            raise Mismatch(self._told(f"one line was whole, and yet: {counters}"))

    def _check_symbol(self, slot: int) -> None:
        """The market's own word on its best prices and its trading state. Slots are in the order of ranks, and a later
        day names its symbols in that order too."""
        market, book = self._flows[-1].symbol(slot), self._trial.books[slot]
        expected = (self._trial.names[slot], market.trading_state, market.bid_e4, market.ask_e4)
        found = (bytes(ffi.buffer(book.name)).decode().rstrip(), chr(book.trading_state), *book.best_e4)
        if found != expected or market.name != expected[0]:
            raise Mismatch(self._told(f"{market.name} stands at {expected} in the market, in the hook at {found}"))

    def _count(self, wall_ns: int) -> None:
        state, result, counters = self._look(), self.result, self.engine.counters()
        result.messages, result.packets, result.wall_ns = int(state.messages), int(state.packets), wall_ns
        outages = ffi.new("struct hft_outage[]", _MOST_OUTAGES)
        count = lib.hft_torture_outages(self._torture, 0, outages, _MOST_OUTAGES)
        result.gaps = [
            Span(int(each.ended_ns - each.began_ns), int(each.wall_ended_ns - each.wall_began_ns))
            for each in outages[0:count]
        ]
        for name in ("feed_gaps", "feed_holds", "feed_missed", "feed_kept", "feed_not_kept", "feed_rollovers",
                     "book_quarantines", "book_restores", "orders", "signals", "feed_wrong_session"):  # fmt: skip
            result.counts[name] = counters[name]
        for name in ("lost", "duplicated", "reordered", "tx_frames", "replies", "longest_hold_ns"):
            result.counts[name] = int(getattr(state, name))
        recovery = self.recovery.status().counters
        for name in ("requests", "retries", "messages_asked", "snapshots", "snapshot_failures", "gaps_abandoned"):
            result.counts[name] = getattr(recovery, name)
        result.counts["depths"] = int(self._trial.native.depths)
        for name, refused in self.engine.refusals().items():
            result.counts[f"refused {name}"] = refused

    def close(self) -> None:
        """Unload the program."""
        self._trial.close()

    def __enter__(self) -> Day:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _begin_ppm(share: float, run: int) -> int:
    """How often a loss of 1 to `run` packets begins, that this share is lost."""
    return round(share * _PPM / ((1 + run) / 2))


def run_day(seed: int, messages: int, profile: Profile | None = None) -> DayResult:
    """One seed, with the profile that is its turn: every other time with its lines exchanged. Raises Mismatch."""
    if profile is None:
        turn, which = divmod(seed, len(PROFILES))
        profile = PROFILES[which]
        if turn % 2:
            profile = replace(profile, a=profile.b, b=profile.a)
    with Day(seed, profile, messages) as day:
        return day.run()


def report(days: Sequence[DayResult]) -> str:
    """Totals, recovery times and rates of many days."""
    counts: Counter[str] = sum((day.counts for day in days), Counter())
    messages, wall_ns = sum(day.messages for day in days), sum(day.wall_ns for day in days)
    lines = [
        f"{len(days)} days, {messages:,} messages in {wall_ns / 1e9:.1f} s: {messages / (wall_ns / 1e9):,.0f} a second",
        f"depths compared {counts['depths']:,}; orders {counts['orders']:,} in {counts['tx_frames']:,} frames, none"
        " while a feed was not live or a book not whole",
        f"packets lost {counts['lost']:,}, duplicated {counts['duplicated']:,}, reordered {counts['reordered']:,}; "
        f"holds {counts['feed_holds']:,}, gaps {counts['feed_gaps']:,}, messages given up {counts['feed_missed']:,}",
        f"requests {counts['requests']:,} (again {counts['retries']:,}), snapshots {counts['snapshots']:,} (not to be"
        f" had {counts['snapshot_failures']:,}), quarantines {counts['book_quarantines']:,}, restored "
        f"{counts['book_restores']:,}, sessions left {counts['feed_rollovers']:,}",
    ]
    for what, spans in (
        ("gap noticed to feed live", [span for day in days for span in day.gaps]),
        ("trouble to everything whole", [span for day in days for span in day.troubles]),
    ):
        for clock, attribute in (("feed", "virtual_ns"), ("wall", "wall_ns")):
            times = [getattr(span, attribute) / 1e6 for span in spans]
            if times:
                lines.append(
                    f"{what}, {clock} time: p50 {statistics.median(times):.2f} ms, max {max(times):.2f} ms"
                    f" ({len(times):,})"
                )
    return "\n".join(lines)


def torture(
    seeds: Sequence[int], messages: int, seconds: float | None = None, say: Callable[[DayResult], None] | None = None
) -> list[DayResult]:
    """Days one after the other, for at most so long. Raises Mismatch."""
    days: list[DayResult] = []
    began = time.monotonic()
    for seed in seeds:
        if seconds is not None and time.monotonic() - began > seconds:
            break
        days.append(run_day(seed, messages))
        if say is not None:
            say(days[-1])
    return days


def main(arguments: list[str] | None = None) -> int:
    """``make torture``."""
    parser = argparse.ArgumentParser(prog="torture", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, help="the first seed; its profile is seed modulo their number")
    parser.add_argument("--messages", type=int, default=1_000_000, help="of each day's flow")
    parser.add_argument("--seconds", type=float, help="begin no other day after so long")
    options = parser.parse_args(arguments)
    logging.getLogger("turbo_hft.recovery").setLevel(logging.CRITICAL)  # here trouble is nothing to be told

    def say(day: DayResult) -> None:
        counts = day.counts
        print(
            f"seed {day.seed} ({day.profile}): {day.rate:,.0f} messages a second, gaps {counts['feed_gaps']}, "
            f"snapshots {counts['snapshots']}, quarantines {counts['book_quarantines']}, orders {counts['orders']}",
            file=sys.stderr,
        )

    try:
        days = torture(range(options.first, options.first + options.seeds), options.messages, options.seconds, say)
    except Mismatch as wrong:
        print(f"torture: {wrong}", file=sys.stderr)
        return 1
    print(report(days))
    return 0


if __name__ == "__main__":
    sys.exit(main())
