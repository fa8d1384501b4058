"""Recovery on the loaded program: every case ends with every book held against what was published."""

from __future__ import annotations

import itertools
import random
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from recovery_rig import MS, SESSION, Market, Rig
from turbo_hft.addresses import FeedAddress, Rerequest
from turbo_hft.engine import Engine
from turbo_hft.errors import ConfigError, RecoveryError
from turbo_hft.recovery import Glimpse, Recovery
from turbo_hft.recovery.commands import Commands
from turbo_hft.recovery.feed import FeedRecovery
from turbo_hft.recovery.settings import RecoverySettings
from turbo_hft.testing import Hook
from turbo_hft.wire import itch50, moldudp64

pytestmark = pytest.mark.kernel

NAMES = tuple(f"S{i}" for i in range(12))


@pytest.fixture
def monotonic() -> Iterator[Hook]:
    """A hook whose holds end by the clock of the machine, at once."""
    with Hook(clock="monotonic", hold_ns=0, feeds=1, kept=2048, orders=32_768, levels=4096) as hook:
        yield hook


def opened(hook: Hook, tracked: tuple[str, ...] = NAMES, **options: Any) -> Rig:
    """A day that has begun, followed from its beginning."""
    rig = Rig(hook, Market(NAMES), tracked, **options)
    rig.send(rig.market.opening())
    rig.send(rig.market.trade(300))
    rig.wait(2)
    rig.check()
    return rig


def test_nothing_to_do(monotonic: Hook) -> None:
    rig = opened(monotonic)
    rig.wait(50, rate=5)
    status = rig.course.status()
    assert status.state == "well" and not status.history and not rig.requests and not rig.server.taken
    assert status.counters.pokes == 0
    rig.check()


def test_a_hold_that_the_other_line_ends_is_left_alone(hook: Hook) -> None:
    rig = opened(hook)
    lost = rig.market.trade(3)
    first = rig.market.next_sequence - 3
    rig.send(rig.market.trade(2))
    assert rig.engine.feed.health == "hold"
    rig.wait(1)
    rig.frame("b", moldudp64.Packet("DAY1", first, tuple(lost)).encode())
    rig.wait(10)
    assert not rig.requests and not rig.course.status().history
    rig.check()


@pytest.mark.parametrize("loss", [0.0, 0.3])
def test_a_gap_is_asked_for_and_filled(monotonic: Hook, loss: float) -> None:
    rig = opened(monotonic, rerequest_loss=loss)
    for lost in (1, 40, 700):
        rig.market.trade(lost)
        rig.send(rig.market.trade(5))
        assert rig.engine.feed.health in ("hold", "gap")
        took = rig.until(rig.well, "the gap stays", rate=2)
        print(f"{lost} messages lost, re-request loss {loss}: {took:.1f} ms")
        rig.check()
    counters = rig.course.status().counters
    assert counters.gaps_filled == 3 and counters.snapshots == 0
    assert counters.replies >= 741 and [incident.kind for incident in rig.course.status().history] == ["gap"] * 3
    if not loss:
        assert counters.retries == 0 and sum(request.count for request in rig.requests) < 741 * 25


def test_the_end_of_a_burst_is_missed_by_the_heartbeat(monotonic: Hook) -> None:
    rig = opened(monotonic)
    rig.market.trade(10)
    rig.heartbeat()
    rig.until(rig.well, "the gap stays")
    assert [(request.sequence, request.count) for request in rig.requests] == [(rig.market.next_sequence - 10, 10)]
    rig.check()


def test_many_holes_at_once(monotonic: Hook) -> None:
    rig = opened(monotonic)
    for _ in range(50):
        rig.market.trade(1)
        rig.send(rig.market.trade(3))
    rig.until(rig.well, "the gap stays")
    asked = [number for request in rig.requests for number in range(request.sequence, request.sequence + request.count)]
    assert len(asked) == len(set(asked)) == 50, "asked for what was there, or twice"
    rig.check()


def test_nobody_answers_so_a_snapshot_is_taken(monotonic: Hook) -> None:
    rig = opened(monotonic, rerequest_loss=1.0, glimpse_delay_ns=20_000_000)
    rig.market.trade(50)
    rig.heartbeat()
    took = rig.until(rig.well, "the books are not back", rate=2)
    print(f"50 messages lost and no answer: {took:.0f} ms")
    rig.check()
    status = rig.course.status()
    assert status.counters.gaps_abandoned == 1 and status.counters.symbols_restored == len(NAMES)
    assert {incident.kind for incident in status.history} == {"snapshot", "symbols"}
    assert rig.engine.feed.missed >= 50 and status.counters.retries >= 9


@pytest.mark.parametrize("rerequest", [True, False])
def test_a_late_start_is_restored_while_messages_flow(monotonic: Hook, rerequest: bool) -> None:
    market = Market(NAMES)
    market.opening()
    market.trade(20_000)
    rig = Rig(monotonic, market, NAMES[:9], rerequest=rerequest, glimpse_delay_ns=30_000_000)
    rig.send(market.trade(2))
    took = rig.until(rig.well, "the books are not back", rate=20)
    print(f"late start by {market.next_sequence} messages, re-requests {rerequest}: {took:.0f} ms, "
          f"{rig.server.taken} snapshots")  # fmt: skip
    rig.check()
    assert rig.engine.feed.phase == "market" and rig.server.taken <= 3
    rig.wait(50, rate=20)
    rig.check()


def test_a_short_late_start_is_asked_for(monotonic: Hook) -> None:
    market = Market(NAMES)
    market.opening()
    market.trade(500)
    rig = Rig(monotonic, market, NAMES, glimpse=False)
    rig.send(market.trade(2))
    rig.until(rig.well, "the gap stays", rate=2)
    rig.check()
    assert rig.course.status().counters.gaps_filled == 1


def test_one_symbol_in_doubt_is_restored_and_the_others_go_on(hook: Hook) -> None:
    rig = opened(hook, glimpse_delay_ns=10_000_000)
    bad = itch50.OrderDelete(stock_locate=3, order_ref=999_999, **rig.market.stamp()).encode()
    rig.market.history.append(bad)
    rig.market.store.extend([bad])
    rig.market.mirror.last_sequence += 1
    rig.frame("a", moldudp64.Packet("DAY1", rig.market.next_sequence - 1, (bad,)).encode())
    assert [book.name for book in rig.engine.symbols.doubtful(0)] == ["S2"]
    others = [view for view in rig.engine.symbols if view.name != "S2"]
    took = rig.until(rig.well, "it is not back", rate=20)
    print(f"one symbol: {took:.1f} ms")
    assert all(view.health == "live" for view in others)
    rig.check()
    restored = [event for event in rig.engine.events if event.kind == "book_restored"]
    assert [event.symbol for event in restored] == ["S2"]
    counters = rig.course.status().counters
    assert (counters.symbols_restored, counters.snapshots, counters.restore_failures) == (1, 1, 0)


def test_resync_by_hand(hook: Hook) -> None:
    rig = opened(hook)
    assert rig.engine.resync("S4") and not rig.engine.resync("S4")
    assert rig.engine.symbols["S4"].health == "quarantined: requested"
    rig.until(rig.well, "it is not back", rate=5)
    rig.check()


def test_a_symbol_that_is_doubted_again_and_again_waits_longer(hook: Hook) -> None:
    rig = opened(hook)
    took = []
    for _ in range(4):
        assert rig.engine.resync("S4")
        took.append(rig.until(rig.well, "it is not back", rate=1))
        rig.wait(5, rate=1)
    assert took[0] < 5 and took[1] >= 45 and took[2] >= 95 and took[3] >= 195
    rig.wait(31_000)
    assert rig.engine.resync("S4")
    assert rig.until(rig.well, "it is not back", rate=1) < 5
    rig.check()


def test_snapshots_that_fail_are_taken_again(hook: Hook) -> None:
    rig = opened(hook)
    rig.server.fail = 3
    rig.engine.resync("S1")
    took = rig.until(rig.well, "it is not back")
    assert took >= 50 + 100 + 200 and rig.course.status().counters.snapshot_failures == 3
    rig.check()


def test_a_message_that_nobody_could_read_while_its_symbol_was_in_doubt(hook: Hook) -> None:
    rig = opened(hook, glimpse_delay_ns=10_000_000)
    rig.engine.resync("S3")
    rig.wait(1)
    assert rig.server.taken == 1
    ref = next(ref for ref, (locate, _) in rig.market.live.items() if locate == 4)
    del rig.market.live[ref]
    gone = itch50.OrderDelete(stock_locate=4, order_ref=ref, **rig.market.stamp()).encode()
    rig.market.publish(gone)
    rig.frame("a", moldudp64.Packet("DAY1", rig.market.next_sequence - 1, (gone + b"?",)).encode())
    rig.until(rig.well, "it is not back", rate=2)
    assert rig.server.taken == 2, "the first snapshot ends before it, and it was not kept"
    rig.check()


def test_a_snapshot_says_nothing_of_symbols_that_it_was_not_taken_for(hook: Hook) -> None:
    rig = opened(hook, NAMES[:5], glimpse_delay_ns=10_000_000)
    rig.engine.resync("S1")
    rig.wait(1)
    rig.engine.resync("S2")
    rig.engine.symbols.add("S7")
    rig.until(lambda: rig.well() and rig.engine.symbols["S7"].health == "live", "they are not back", rate=2)
    counters = rig.course.status().counters
    assert counters.restore_failures == 0 and counters.snapshots >= 3
    rig.check()


def test_a_ring_that_goes_round_asks_for_another_snapshot(hook: Hook) -> None:
    rig = opened(hook, glimpse_delay_ns=100_000_000)
    for name in NAMES:
        rig.engine.resync(name)
    rig.wait(90, rate=20)  # 1,800 messages, the ring keeps 1,024
    rig.server.delay_ns = 0
    rig.until(rig.well, "they are not back", rate=5)
    counters = rig.course.status().counters
    assert counters.snapshots_late == 1 and counters.snapshots == 2
    rig.check()


def test_a_symbol_tracked_in_mid_day_is_listed_by_a_snapshot(hook: Hook) -> None:
    rig = opened(hook, NAMES[:5], glimpse_delay_ns=10_000_000)
    rig.engine.symbols.add("S7")
    assert rig.engine.symbols["S7"].health == "unlisted"
    took = rig.until(lambda: rig.well() and rig.engine.symbols["S7"].health == "live", "it is not back", rate=5)
    print(f"tracked in mid-day: {took:.0f} ms, {rig.server.taken} snapshots")
    rig.check()
    assert rig.server.taken == 2, "the first one lists it, the second one is right for it"


def test_a_symbol_that_nobody_lists_is_left_alone(hook: Hook) -> None:
    rig = opened(hook, NAMES[:5])
    rig.engine.symbols.add("NOBODY")
    rig.wait(500, rate=1)
    assert rig.engine.symbols["NOBODY"].health == "unlisted" and rig.server.taken == 1


def test_the_market_phase_of_a_late_start_does_not_go_back(monotonic: Hook) -> None:
    market = Market(NAMES)
    market.opening()
    market.trade(20_000)
    rig = Rig(monotonic, market, NAMES, glimpse_delay_ns=10_000_000)
    rig.send(market.trade(2))
    rig.wait(5)
    rig.send(market.publish(itch50.SystemEvent(0, event_code="M", **market.stamp()).encode()))
    rig.until(rig.well, "the books are not back")
    assert rig.engine.feed.phase == "after"


def test_another_session_is_followed(monotonic: Hook) -> None:
    rig = opened(monotonic)
    old = rig.market
    for _ in range(3):
        rig.frame("a", moldudp64.EndOfSession("DAY1", old.next_sequence).encode())
    assert rig.engine.feed.health == "ended"
    rig.market = rig.server.market = Market(tuple(reversed(NAMES)), session="DAY2", seed=5)
    rig.send(rig.market.opening())
    assert rig.engine.feed.session == "DAY1" and rig.sessions
    rig.wait(2)
    assert rig.engine.feed.session == "DAY2"
    rig.send(rig.market.trade(200))
    took = rig.until(rig.well, "the new day does not begin", rate=5)
    print(f"rollover: {took:.1f} ms")
    rig.check()
    status = rig.course.status()
    assert status.counters.rollovers == 1 and status.counters.snapshots == 0 and status.counters.gaps_filled == 1
    assert "rollover" in [incident.kind for incident in status.history]


def test_a_session_whose_end_was_missed_is_left_when_it_is_silent(monotonic: Hook) -> None:
    rig = opened(monotonic, settings=RecoverySettings(silence_ns=200_000_000))
    rig.market = rig.server.market = Market(NAMES, session="DAY2", seed=5)
    rig.send(rig.market.opening())
    rig.wait(150, rate=1)
    assert rig.engine.feed.session == "DAY1"
    rig.until(lambda: rig.engine.feed.session == "DAY2", "the new session is not followed", rate=1)
    rig.until(rig.well, "the new day does not begin", rate=1)
    rig.check()
    for _ in range(3):  # a packet that comes too late
        rig.frame("b", moldudp64.Heartbeat("DAY1", 400).encode())
        rig.wait(300)
    assert rig.engine.feed.session == "DAY2"


def test_a_whole_market_is_restored_from_one_snapshot() -> None:
    names = tuple(f"S{i}" for i in range(3000))
    market = Market(names)
    market.opening()
    for _ in range(20):
        market.trade(3000)
    with Hook(clock="monotonic", hold_ns=0, feeds=1, symbols=4096, orders=131_072, levels=16_384, kept=16_384) as hook:
        rig = Rig(hook, market, names)
        rig.engine.symbols["S2999"].buy_below = 1
        rig.send(market.trade(2))
        start = time.perf_counter()
        rig.until(rig.well, "the books are not back", rate=20, ms=60_000)
        took = time.perf_counter() - start
        print(f"3,000 symbols, {market.mirror.orders} orders: {took * 1000:.0f} ms, {rig.server.taken} snapshots")
        rig.check()
        restored = [event.symbol for event in rig.engine.events if event.kind == "book_restored"]
        assert len(restored) == 3000 and restored[0] == "S2999", "who wants to trade comes first"


@pytest.mark.parametrize("seed", range(6))
def test_whatever_goes_wrong_the_books_come_back(seed: int) -> None:
    rng = random.Random(seed)
    with Hook(clock="monotonic", hold_ns=0, feeds=1, kept=512, orders=32_768, levels=4096) as hook:
        rig = Rig(hook, Market(NAMES, seed=seed), NAMES, rerequest_loss=rng.choice((0.0, 0.3, 0.9)))
        rig.send(rig.market.opening())
        for _ in range(150):
            rig.server.delay_ns = rng.choice((0, 2, 30)) * MS
            for _ in range(rng.randrange(4)):
                messages = rig.market.trade(rng.choice((1, 3, 30)))
                if rng.random() < 0.8:
                    rig.send(messages, line=rng.choice("ab"), each=rng.choice((1, 7, 40)))
            if rng.random() < 0.1:
                rig.engine.resync(rng.choice(NAMES))
            if rng.random() < 0.02:
                rig.server.fail = 1
            rig.wait(rng.choice((0.1, 1, 20)))
        rig.send(rig.market.trade(1))
        rig.until(rig.well, "the books are not back", ms=60_000)
        rig.check()
        counters = rig.course.status().counters
        print(f"seed {seed}: {counters}")
        assert counters.gaps_filled + counters.gaps_abandoned and counters.symbols_restored


def test_what_is_missing_is_told_hole_by_hole(hook: Hook) -> None:
    rig, rng = opened(hook), random.Random(3)
    for _ in range(12):  # so that the ring goes round
        rig.market.trade(1)
        kept: set[int] = set()
        for _ in range(rng.randrange(1, 60)):
            messages = rig.market.trade(rng.randrange(1, 8))
            if rng.random() < 0.7:
                kept |= set(range(rig.market.next_sequence - len(messages), rig.market.next_sequence))
                rig.send(messages)
        rig.heartbeat()
        expected, told = rig.engine.feed.expected_seq, rig.engine.missing(0)
        numbers = [number for first, end in told for number in range(first, end)]
        assert numbers == [number for number in range(expected, rig.market.next_sequence) if number not in kept]
        assert all(end < later for (_, end), (later, _) in itertools.pairwise(told)), "ranges touch"
        missing = rig.market.history[expected - 1 :]
        for at in range(0, len(missing), 20):
            payload = moldudp64.Packet("DAY1", expected + at, tuple(missing[at : at + 20])).encode()
            rig.frame("rerequest", payload)
        assert rig.engine.missing(0) == ()
    far = rig.market.next_sequence + 5000
    rig.frame("a", moldudp64.Heartbeat("DAY1", far).encode())
    assert rig.engine.missing(0) == ((rig.market.next_sequence, far),)


def test_what_another_recovery_left_half_done_is_done(hook: Hook) -> None:
    rig = opened(hook)
    engine, commands = rig.engine, Commands(rig.engine.command_nonce, 0)
    for name in NAMES[:4]:
        engine.resync(name)
    assert engine.command(commands.begin(1)) and engine.command(commands.begin(2))
    for payload in commands.sweeps(engine.program.config):
        assert engine.command(payload)
    locate = 3
    snapshot = [message for message in rig.market.mirror.snapshot() if message[1:3] == locate.to_bytes(2, "big")]
    assert all(engine.command(payload) for payload in commands.install(2, rig.market.next_sequence, snapshot[:-2]))
    assert [book.health for book in engine.symbols.doubtful(0)] == [
        "quarantined", "clearing", "installing", "quarantined",
    ]  # fmt: skip
    rig.send(rig.market.trade(20))
    rig.course = FeedRecovery(engine, snapshots=rig.server, clock=lambda: rig.now_ns)
    rig.until(rig.well, "they are not back", rate=3)
    rig.check()


def test_one_recovery_for_a_feed() -> None:
    address = FeedAddress("127.0.0.1", 26999, rerequest=Rerequest(("127.0.0.1", 9), ("127.0.0.1", 26998)))
    with Engine.load(symbols=4, orders=64, levels=16, kept=16) as engine:
        assert engine.command_nonce
        engine.configure(SESSION, address)
        with Recovery(engine, address, Glimpse(("127.0.0.1", 9), "A", "B")) as recovery:
            with pytest.raises(RecoveryError, match="one is enough"):
                Recovery(engine, address)
            assert recovery.status().state == "well"
        with Recovery(engine, address):
            pass
        elsewhere = FeedAddress("127.0.0.1", 26999, rerequest=Rerequest(("127.0.0.1", 9), ("192.0.2.1", 1)))
        with pytest.raises(ConfigError, match=r"re-requests from 192\.0\.2\.1:1"):
            Recovery(engine, elsewhere)
        with Recovery(engine, address):
            pass


def test_the_service_fills_a_gap_by_itself() -> None:
    market = Market(NAMES)
    with Hook(clock="monotonic", feeds=1, orders=32_768, levels=4096) as hook:
        rig = Rig(hook, market, NAMES, glimpse=False)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind(("127.0.0.1", 0))
            server.settimeout(5)
            asked = Rerequest(server.getsockname(), ("127.0.0.1", 0))
            with Recovery(rig.engine, FeedAddress("127.0.0.1", 26997, rerequest=asked)) as recovery:
                rig.send(market.opening())
                lost = market.trade(7)
                first = market.next_sequence - 7
                rig.send(market.trade(2))
                request = moldudp64.decode_request(server.recv(100))
                assert (request.session, request.sequence, request.count) == ("DAY1", first, 7)
                rig.frame("rerequest", moldudp64.Packet("DAY1", first, tuple(lost)).encode())
                end = time.monotonic() + 5
                while not recovery.status().history and time.monotonic() < end:
                    time.sleep(0.001)
                (incident,) = recovery.status().history
        assert incident.kind == "gap" and incident.duration_ns < 1_000_000_000
        rig.check()


def test_a_command_that_another_cpu_keeps_out_is_tried_again(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = opened(hook)
    outcomes = iter((2, 2, 1))
    with monkeypatch.context() as patch:
        patch.setattr(rig.engine.program, "inject", lambda headers, payload: next(outcomes))
        assert rig.engine.command(Commands(rig.engine.command_nonce, 0).poke())
    assert not rig.engine.command(Commands(rig.engine.command_nonce, 0).begin(0)), "refused, not kept out"
