"""The engine around the loaded program: sizes, feeds and their lines, commands, depth, kept messages."""

from __future__ import annotations

import os
import random
import struct
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from turbo_hft import FeedAddress, lab_feed, lab_session
from turbo_hft._native import lib
from turbo_hft.addresses import Rerequest
from turbo_hft.depth import Depth, Level
from turbo_hft.engine import Engine
from turbo_hft.errors import ConfigError, TurboHftError
from turbo_hft.kill import KillState
from turbo_hft.lab import Lab
from turbo_hft.program import interface_index
from turbo_hft.steering import Memberships
from turbo_hft.testing import Hook, Verdict
from turbo_hft.testing.scenario import stock_directory
from turbo_hft.wire import itch50, moldudp64, ufo
from turbo_hft.wire.frame import udp_frame

pytestmark = pytest.mark.kernel

SESSION = lab_session()
SERVER, REPLIES = ("10.77.0.2", 26500), ("10.77.0.1", 26501)
FEEDS = (
    FeedAddress("239.77.0.1", 26477, "10.77.0.2", group_b="239.77.1.1", source_b="10.77.0.3"),
    FeedAddress("239.77.2.1", 26477, rerequest=Rerequest(SERVER, REPLIES)),
)
LINES = {  # (feed, line) -> source and destination of its frames
    (0, 0): (("10.77.0.2", 9), ("239.77.0.1", 26477)),
    (0, 1): (("10.77.0.3", 9), ("239.77.1.1", 26477)),
    (1, 0): (("10.77.0.7", 9), ("239.77.2.1", 26477)),
    (1, 2): (SERVER, REPLIES),
}
COMMAND = struct.Struct("=QIIIIQII")


def frame(
    source: tuple[str, int], destination: tuple[str, int], payload: bytes = b"", vlans: tuple[int, ...] = ()
) -> bytes:
    """From the exchange's machine to ours."""
    macs = (SESSION.remote_mac, SESSION.local_mac)
    return udp_frame(src_mac=macs[0], dst_mac=macs[1], src=source, dst=destination, payload=payload, vlans=vlans)


@dataclass
class Day:
    """One feed's day on a hook, by hand."""

    hook: Hook
    feed: int = 0
    sequence: int = 1
    clock: int = 34_200_000_000_000
    locates: dict[str, int] = field(default_factory=dict)

    @property
    def stamp(self) -> dict[str, int]:
        self.clock += 1000
        return {"tracking_number": 0, "timestamp": self.clock}

    def open(self, *names: str) -> None:
        """Market open, every symbol listed and trading."""
        messages = [itch50.SystemEvent(stock_locate=0, event_code="Q", **self.stamp).encode()]
        for locate, name in enumerate(names, start=13):
            self.locates[name] = locate
            messages.append(stock_directory(name, locate, self.stamp))
            messages.append(itch50.StockTradingAction(locate, 0, self.stamp["timestamp"], name, "T", "", "").encode())
        self.send(*messages)

    def send(self, *messages: bytes, line: int = 0, at: int | None = None) -> Verdict:
        """A packet, by default the next one in sequence."""
        sequence = self.sequence if at is None else at
        self.sequence = max(self.sequence, sequence + len(messages))
        source, destination = LINES[self.feed, line]
        payload = moldudp64.Packet(f"DAY{self.feed}", sequence, messages).encode()
        return self.hook.run(frame(source, destination, payload)).verdict

    def add(self, name: str, ref: int, price: int, side: str = "S", shares: int = 100) -> bytes:
        return itch50.AddOrder(
            stock_locate=self.locates[name], order_ref=ref, side=side, shares=shares, stock=name, price=price,
            **self.stamp,
        ).encode()  # fmt: skip

    def delete(self, name: str, ref: int) -> bytes:
        return itch50.OrderDelete(stock_locate=self.locates[name], order_ref=ref, **self.stamp).encode()


@pytest.fixture
def engine(hook: Hook) -> Engine:
    hook.engine.configure(SESSION, FEEDS)
    return hook.engine


def command(engine: Engine, op: int, *, nonce: int | None = None, feed: int = 0, slot: int = 0) -> bool:
    secret = engine.command_nonce if nonce is None else nonce
    return engine.command(COMMAND.pack(secret, op, feed, slot, 0, 0, 0, 0))


def test_sizes_reach_the_program() -> None:
    with Engine.load(symbols=4, orders=100, levels=20, kept=10, hold_ns=5, crossed_ns=6, clock="feed") as engine:
        config = engine.program.config
        assert (config.symbols, config.order_mask, config.level_mask, config.kept_mask) == (4, 127, 31, 15)
        assert (config.hold_ns, config.crossed_ns, config.clock, config.verify_checksums) == (5, 6, "feed", True)
        for name in "ABCD":
            engine.symbols.add(name)
        with pytest.raises(ConfigError, match="2 feeds: the engine was loaded for 1 to 1"):
            engine.configure(SESSION, FEEDS)
        with pytest.raises(ConfigError, match="feed is 1"):
            engine.symbols.add("E", feed=1)
        with pytest.raises(ConfigError, match="all 4 symbols are in use"):
            engine.symbols.add("E")


def test_a_whole_market_is_tracked_at_once() -> None:
    with Engine.load(symbols=10_000, orders=500_000) as engine:
        start = time.monotonic()
        for i in range(10_000):
            engine.symbols.add(f"S{i}")
        assert time.monotonic() - start < 10
        assert engine.symbols.health() == {"idle": 10_000}


def test_every_feed_and_line_is_told_apart(engine: Engine, hook: Hook) -> None:
    one, other = Day(hook), Day(hook, feed=1)
    engine.symbols.add("AAPL")
    engine.symbols.add("MSFT", feed=1)
    one.open("AAPL")
    assert one.send(one.add("AAPL", 1, 1_632_000), at=1, line=1) is Verdict.DROP
    one.send(one.add("AAPL", 1, 1_632_000), line=1)
    other.open("MSFT")
    other.send(other.add("MSFT", 1, 1_060_000), line=2)
    first, second = engine.feeds[0], engine.feeds[1]
    assert (first.session, first.health, first.phase, first.expected_seq) == ("DAY0", "live", "market", 5)
    assert (first.first, first.late, first.line_next) == ((3, 1, 0), (0, 1, 0), (4, 5, 0))
    assert (second.session, second.first, second.expected_seq) == ("DAY1", (3, 0, 1), 5)
    assert engine.feed == first and [feed.health for feed in engine.feeds[2:]] == ["idle", "idle"]
    assert engine.symbols["AAPL"].snapshot().ask_e4 == 1_632_000
    assert engine.symbols["MSFT"].snapshot().ask_e4 == 1_060_000
    assert (engine.symbols["AAPL"].health, engine.symbols["MSFT"].trading) == ("live", "trading")


def test_the_senders_of_lines_are_checked(engine: Engine, hook: Hook) -> None:
    payload = moldudp64.Heartbeat("DAY0", 1).encode()
    before = engine.counters()["wrong_peer"]
    for line, source in (((0, 1), ("10.77.0.2", 9)), ((1, 2), ("10.77.0.2", 26499))):
        hook.run(frame(source, LINES[line][1], payload))
    assert engine.counters()["wrong_peer"] == before + 2


def test_a_hold_becomes_a_gap_and_is_filled(engine: Engine, hook: Hook) -> None:
    day, view = Day(hook), engine.symbols.add("AAPL")
    day.open("AAPL")
    early = day.add("AAPL", 2, 1_632_100)
    day.send(early, at=5)
    assert (engine.feed.health, engine.feed.missing, view.health) == ("hold", 2, "hold")
    day.clock += 5_000_000
    day.send(day.add("AAPL", 3, 1_632_200), at=6)
    assert (engine.feed.health, engine.feed.missing, view.health, engine.feed.gaps) == ("gap", 3, "gap", 1)
    day.send(day.add("AAPL", 1, 1_632_000), line=1, at=4)
    assert (engine.feed.health, engine.feed.missing, view.health) == ("live", 0, "live")
    assert [event.kind for event in engine.events] == ["feed_gap", "feed_live"]
    assert [level.price_e4 for level in view.depth().asks] == [1_632_000, 1_632_100, 1_632_200]


@pytest.mark.parametrize(
    ("feeds", "words"),
    [
        ((), "0 feeds"),
        ((lab_feed(),) * 5, "5 feeds"),
        ((lab_feed(), lab_feed()), "line a of feed 0 and line a of feed 1 share"),
        ((FeedAddress("10.77.0.1", 26400),), "order entry and line a of feed 0 share 10.77.0.1:26400"),
        ((FeedAddress("239.1.1.1", 1, port_b=1),), "line a of feed 0 and line b of feed 0 share"),
    ],
)
def test_feeds_that_cannot_be_told_apart(hook: Hook, feeds: tuple[FeedAddress, ...], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        hook.engine.configure(SESSION, feeds)


def test_a_command_needs_the_nonce(engine: Engine, hook: Hook) -> None:
    day, view = Day(hook), engine.symbols.add("AAPL")
    day.open("AAPL")
    before = engine.counters()
    for nonce in (0, engine.command_nonce ^ 1):
        with pytest.raises(TurboHftError, match="rule 10"):
            command(engine, lib.HFT_OP_QUARANTINE, nonce=nonce)
    with pytest.raises(TurboHftError, match="rule 10"):
        engine.command(b"")
    assert view.health == "live" and engine.counters()["commands_refused"] >= before["commands_refused"] + 3
    assert command(engine, lib.HFT_OP_QUARANTINE)
    assert view.health == "quarantined: requested"
    assert not command(engine, lib.HFT_OP_QUARANTINE), "it is in quarantine already"
    assert engine.counters()["commands"] == before["commands"] + 1
    assert [(event.kind, event.symbol, event.reason) for event in engine.events] == [
        ("book_quarantined", "AAPL", "requested")
    ]


def test_every_engine_has_its_own_way_for_commands(hook: Hook) -> None:
    with Hook() as other:
        assert other.engine.command_nonce not in (0, hook.engine.command_nonce)
        assert other.engine._command_headers != hook.engine._command_headers
    hook.reset()
    assert hook.engine.command_nonce and command(hook.engine, lib.HFT_OP_SWEEP)


def test_messages_of_a_symbol_in_quarantine_are_kept(engine: Engine, hook: Hook) -> None:
    day = Day(hook)
    for name in ("AAPL", "MSFT"):
        engine.symbols.add(name)
    day.open("AAPL", "MSFT")
    assert command(engine, lib.HFT_OP_QUARANTINE)
    first = day.sequence
    messages = [day.add(name, ref, 1_632_000) for ref, name in enumerate(("AAPL", "MSFT", "AAPL"), start=1)]
    day.send(*messages)
    snapshot = engine.symbols["AAPL"].snapshot()
    assert (snapshot.since_seq, snapshot.kept_seq, snapshot.doubt) == (first, first + 2, "requested")
    kept = engine.kept(0, [snapshot.locate], first, day.sequence)
    assert (kept.messages, kept.overwritten) == (((first, messages[0]), (first + 2, messages[2])), 0)
    assert engine.kept(1, [snapshot.locate], first, day.sequence).messages == ()
    for wrong in ((4, [1]), (0, [65_536])):
        with pytest.raises(ConfigError):
            engine.kept(wrong[0], wrong[1], 1, 2)


def test_a_ring_that_went_round_says_so(engine: Engine, hook: Hook) -> None:
    day = Day(hook)
    engine.symbols.add("AAPL")
    day.open("AAPL")
    assert command(engine, lib.HFT_OP_QUARANTINE)
    first, places = day.sequence, engine.program.config.kept_mask + 1
    for ref in range(1, places + 11):
        day.send(day.add("AAPL", ref, 1_632_000))
    kept = engine.kept(0, [day.locates["AAPL"]], first, day.sequence)
    assert (len(kept.messages), kept.overwritten, kept.messages[0][0]) == (places, 10, first + 10)


class Shadow:
    """The books as plain dicts."""

    def __init__(self) -> None:
        self.orders: dict[int, tuple[str, str, int, int]] = {}

    def depth(self, name: str, levels: int) -> Depth:
        found = []
        for side, reverse in (("B", True), ("S", False)):
            shares: Counter[int] = Counter()
            orders: Counter[int] = Counter()
            for owner, on, price, qty in self.orders.values():
                if (owner, on) == (name, side):
                    shares[price] += qty
                    orders[price] += 1
            prices = sorted(shares, reverse=reverse)[:levels]
            found.append(tuple(Level(price, shares[price], orders[price]) for price in prices))
        return Depth(found[0], found[1])


@pytest.mark.parametrize("seed", range(4))
def test_depth_is_that_of_an_independent_book(engine: Engine, hook: Hook, seed: int) -> None:
    rng, day, shadow = random.Random(seed), Day(hook), Shadow()
    names = ("AAPL", "MSFT", "X")
    for name in names:
        engine.symbols.add(name)
    day.open(*names)
    tick = (1, 100, 7, 5000)[seed]
    for ref in range(1, 1500):
        if shadow.orders and rng.random() < 0.45:
            gone = rng.choice(list(shadow.orders))
            day.send(day.delete(shadow.orders.pop(gone)[0], gone))
        else:
            name, side, far = rng.choice(names), rng.choice("BS"), rng.choice((1, 10, 200))
            middle, away = 1_630_000, rng.randrange(1, far + 1) * tick
            price = max(1, middle - away if side == "B" else middle + away)
            qty = rng.randrange(1, 500)
            shadow.orders[ref] = (name, side, price, qty)
            day.send(day.add(name, ref, price, side, qty))
        if ref % 10 == 0:
            for name in names:
                levels = rng.choice((1, 5, 10, 1000))
                assert engine.symbols[name].depth(levels) == shadow.depth(name, levels), (ref, name)
    assert len(shadow.depth("AAPL", 1000).bids) > 5, "nothing lay below the top: the test shows little"
    assert engine.symbols.health() == {"live": 3}


def test_datagrams_are_run_in_one_call(engine: Engine, hook: Hook) -> None:
    day, view = Day(hook), engine.symbols.add("AAPL")
    day.open("AAPL")
    source, destination = LINES[0, 0]
    headers = frame(source, destination)
    before = engine.counters()
    payloads = [
        moldudp64.Packet("DAY0", day.sequence + i, (day.add("AAPL", i + 1, 1_632_000 + 100 * i),)).encode()
        for i in range(1000)
    ]
    engine.program.inject_all(headers, payloads)
    assert engine.counters()["feed_messages"] == before["feed_messages"] + 1000
    assert view.snapshot().book_orders == 1000 and len(view.depth(2000).asks) == 1000
    assert engine.counters()["bad_checksum"] == before["bad_checksum"]
    tagged = frame(source, destination, vlans=(5, 6))
    assert engine.program.inject(tagged, moldudp64.Heartbeat("DAY0", 1).encode()) == Verdict.DROP
    with pytest.raises(TurboHftError, match="datagram 1 of 2"):
        engine.program.inject_all(headers, [b"x", bytes(4000)])


@pytest.mark.parametrize("state", ["active", "reducing"])
def test_a_suspended_engine_goes_back_unless_a_person_has_halted_it(engine: Engine, state: KillState) -> None:
    def begin() -> None:
        engine.resume() if state == "active" else engine.reduce()

    engine.lease.forever()
    begin()
    engine.suspend()
    assert engine.state == "halted"
    before = engine.epoch
    assert engine.lift(state) and engine.state == state and engine.epoch > before
    assert not engine.lift(state)
    engine.suspend()
    engine.halt()
    assert not engine.lift(state) and engine.state == "halted"
    engine.suspend()
    assert not engine.lift(state) and engine.state == "halted"
    begin()
    engine.suspend()
    engine.lease.lapse()
    with pytest.raises(ConfigError, match="lease"):
        engine.lift(state)


def test_only_an_armed_symbol_is_asked(engine: Engine, hook: Hook) -> None:
    day = Day(hook)
    aapl, msft = engine.symbols.add("AAPL", buy_below=200), engine.symbols.add("MSFT")
    accepted = ufo.LoginAccepted("ORDERS", 1).encode()
    hook.run(frame(SESSION.remote, SESSION.local, accepted))
    engine.lease.forever()
    engine.resume()
    day.open("AAPL", "MSFT")
    day.send(day.add("AAPL", 11, 1_631_000, side="B"), day.add("MSFT", 12, 1_059_000, side="B"))
    assert day.send(day.add("MSFT", 1, 1_060_000)) is Verdict.DROP
    assert day.send(day.add("AAPL", 2, 1_632_000)) is Verdict.TX, engine.refusals()
    msft.buy_below = 200
    assert day.send(day.add("MSFT", 3, 1_060_000)) is Verdict.TX, engine.refusals()
    assert (aapl.snapshot().orders_sent, msft.snapshot().orders_sent) == (1, 1)


def test_what_the_day_traded(engine: Engine, hook: Hook) -> None:
    day, view = Day(hook), engine.symbols.add("AAPL")
    day.open("AAPL")
    executed: Any = {"stock_locate": 13, "order_ref": 1, "match_number": 1}
    day.send(
        day.add("AAPL", 1, 1_632_000, shares=300),
        itch50.OrderExecuted(executed_shares=100, **executed, **day.stamp).encode(),
        itch50.OrderExecutedWithPrice(
            executed_shares=200, printable="Y", execution_price=1_631_700, **executed, **day.stamp
        ).encode(),
    )
    assert (view.last, view.volume, view.vwap) == (Decimal("163.17"), 300, Decimal("163.18"))
    assert view.snapshot().notional_e4 == 100 * 1_632_000 + 200 * 1_631_700


def test_steering_names_every_flow(engine: Engine) -> None:
    engine.interface = "lo"
    try:
        steering = engine.steering()
    finally:
        engine.interface = None
    assert [(flow.feed, flow.line, flow.address) for flow in steering.flows] == [
        (0, "a", "239.77.0.1"),
        (0, "b", "239.77.1.1"),
        (1, "a", "239.77.2.1"),
        (1, "rerequest", "10.77.0.1"),
        (None, "order_entry", "10.77.0.1"),
    ]
    assert len(steering.commands) == 6 and not steering.needed
    with pytest.raises(ConfigError, match="on an interface"):
        engine.steering()


@pytest.fixture
def lab() -> Iterator[Lab]:
    tag = f"{os.getpid() % 100_000:05d}"
    with Lab(namespace=f"eng_{tag}", device=f"en{tag}a", peer=f"en{tag}b", subnet="10.203.3.0/24") as raised:
        yield raised


def test_groups_stay_joined_and_are_joined_again_when_the_carrier_returns(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = lab.addresses
    joined: list[float] = []
    rejoin = Memberships.rejoin

    def noted(self: Memberships) -> None:
        rejoin(self)
        joined.append(time.monotonic())

    def carrier(state: str) -> None:
        subprocess.run(["ip", "-n", a.namespace, "link", "set", "dev", a.peer, state], check=True)

    def groups() -> str:
        shown = ["ip", "-4", "maddress", "show", "dev", a.device]
        return subprocess.run(shown, check=True, capture_output=True, text=True).stdout

    monkeypatch.setattr(Memberships, "rejoin", noted)
    members = Memberships(a.device, interface_index(a.device), ["239.77.0.1", "239.77.1.1", "239.77.0.1"])
    try:
        assert "239.77.0.1" in groups() and "239.77.1.1" in groups()
        for expected in (1, 2):
            end = time.monotonic() + 15
            while len(joined) < expected:
                assert time.monotonic() < end, "the groups were not joined again"
                carrier("down")
                time.sleep(0.3)
                carrier("up")
                time.sleep(1.5)
            assert "239.77.0.1" in groups() and "239.77.1.1" in groups()
    finally:
        members.close()
    assert "239.77" not in groups()
