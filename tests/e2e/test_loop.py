"""The whole loop on real frames: exchange, wire, hook, replies, ledgers; and control while it runs."""

from __future__ import annotations

import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from e2e_rig import Rig, rig
from turbo_hft._native import lib
from turbo_hft.addresses import Protocol, Transport
from turbo_hft.engine import Engine, Mode
from turbo_hft.errors import ConfigError, TurboHftError
from turbo_hft.events import Event
from turbo_hft.order_entry import OrderEntry
from turbo_hft.symbols import SymbolView
from turbo_hft.testing.wide import SYMBOL, widen

pytestmark = [pytest.mark.kernel, pytest.mark.e2e]

ROOT = Path(__file__).resolve().parents[2]
EVERY_TICK = 10_000  # a target far above every price: every tick qualifies
WAIT_S = 20


def wait_for(what: Callable[[], bool], why: str) -> None:
    """Until `what` holds; AssertionError `why` after 20 s."""
    end = time.monotonic() + WAIT_S
    while not what():
        assert time.monotonic() < end, why
        time.sleep(0.0005)


def ticks(engine: Engine, count: int) -> None:
    """Wait for so many more messages of the feed."""
    start = engine.feed.expected_seq
    wait_for(lambda: engine.feed.expected_seq > start + count, "the feed stands still")


def more_orders(view: SymbolView, count: int) -> None:
    """Wait for so many more orders of a symbol."""
    sent = view.snapshot().orders_sent
    wait_for(lambda: view.snapshot().orders_sent > sent + count, "no orders leave")


def drain(engine: Engine) -> list[Event]:
    return list(engine.events)


def quiet_end(engine: Engine, events: list[Event]) -> None:
    """Halt, and wait until no order is in flight."""
    engine.halt()
    wait_for(lambda: not engine.orders.open(), "orders stay in flight")
    events += drain(engine)


def assert_ledgers_agree(engine: Engine, events: list[Event], summary: dict[str, object]) -> None:
    """Engine's maps, event stream and the exchange's own summary, exact to 1/10000 dollar."""
    accounts = summary["accounts"]
    assert isinstance(accounts, dict)
    assert [event.id for event in events] == list(range(1, len(events) + 1)), "events were lost"
    for view in engine.symbols:
        own, theirs = view.snapshot(), accounts["HFT001"].get(view.name, {})
        mine = [event for event in events if event.symbol == view.name]
        fills = [event for event in mine if event.kind == "executed"]
        for side, qty, notional in (
            ("buy", own.bought_qty, own.bought_e4),
            ("sell", own.sold_qty, own.sold_e4),
        ):
            done = [event for event in fills if event.side == side]
            word = "bought" if side == "buy" else "sold"
            assert qty == sum(event.qty for event in done) == theirs.get(f"{word}_qty", 0)
            assert notional == sum(e.qty * e.price_e4 for e in done) == theirs.get(f"{word}_e4", 0)
        assert own.position == theirs.get("position", 0) == (fills[-1].position if fills else 0)
        assert own.realized_e4 == theirs.get("realized_e4", 0) == (fills[-1].realized_e4 if fills else 0)
        assert own.orders_sent == sum(event.kind == "order" for event in mine) == theirs.get("orders", 0)
        assert own.fills == theirs.get("executions", 0)
        assert own.canceled_qty == theirs.get("canceled_qty", 0) + theirs.get("rejected_qty", 0)


@pytest.mark.parametrize(
    ("protocol", "mode", "transport"),
    [
        ("ouch50", Mode.NATIVE, "ufo"),
        ("ouch42", Mode.NATIVE, "ufo"),
        ("ouch50", Mode.GENERIC, "ufo"),
        ("ouch42", Mode.NATIVE, "soupbintcp"),
    ],
)
def test_trades_both_ways_and_three_ledgers_agree(
    tmp_path: Path, protocol: Protocol, mode: Mode, transport: Transport
) -> None:
    with rig(tmp_path, 1) as lab, Engine.open(lab.addresses.device, mode=mode, transport=transport) as engine:
        lab.start_exchange("--symbols", "AAPL=163.20,MSFT=106", "--rate", "3000", "--duration", "4", "--wait-for-login")
        aapl = engine.symbols.add("AAPL", buy_below=EVERY_TICK, max_long=5000, cap_qty=300, base_qty=300)
        engine.symbols.add("MSFT", buy_below=EVERY_TICK, max_long=700)
        session = lab.session(protocol, transport)
        engine.configure(session, lab.feed())
        engine.attach()
        with OrderEntry(engine, session, poll_s=20e-6) as order_entry, engine.lease.keep():
            order_entry.login()
            engine.resume()
            wait_for(lambda: aapl.snapshot().bought_qty >= 600, "nothing was bought")
            aapl.set_targets(buy_below=None, sell_above="1")
            wait_for(lambda: aapl.snapshot().position == 0, "the position was not sold")
            aapl.set_targets(buy_below=EVERY_TICK, sell_above=None)
            wait_for(lambda: engine.feed.health == "ended" or aapl.snapshot().bought_qty > 1500, "no more was bought")
            events = drain(engine)
            quiet_end(engine, events)
        summary = lab.exchange_summary()
        counters = engine.counters()
        assert_ledgers_agree(engine, events, summary)
    assert aapl_traded(events) > 10
    assert counters["book_unknown_ref"] == counters["feed_holds"] == counters["bad_checksum"] == 0
    assert counters["orders"] == sum(event.kind == "order" for event in events)
    assert counters["wire_sends"] == (counters["order_frames"] if transport == "soupbintcp" else 0)
    assert order_entry.silences == 0


def aapl_traded(events: list[Event]) -> int:
    return sum(event.kind == "executed" and event.symbol == "AAPL" for event in events)


def _running(lab: Rig, engine: Engine, buy_below: int | None = None) -> SymbolView:
    view = engine.symbols.add("AAPL", buy_below=buy_below, base_qty=1, cap_qty=1, **SYMBOL)
    widen(engine)
    engine.configure(lab.session(), lab.feed())
    engine.attach()
    return view


def test_a_target_set_while_it_runs_trades_on_the_next_tick(tmp_path: Path) -> None:
    with rig(tmp_path, 2) as lab, Engine.open(lab.addresses.device) as engine:
        lab.start_exchange("--symbols", "AAPL", "--rate", "1000", "--duration", "6", "--wait-for-login")
        view = _running(lab, engine)
        with OrderEntry(engine, lab.session()) as order_entry, engine.lease.keep():
            order_entry.login()
            engine.resume()
            for _ in range(20):
                wait_for(lambda: view.snapshot().open_orders == 0 and view.snapshot().ask_e4 > 0, "no market")
                ticks(engine, 5)
                drain(engine)
                before = engine.feed.expected_seq
                view.buy_below = EVERY_TICK
                after = engine.feed.expected_seq
                first = next(event for event in _until(engine, "order") if event.kind == "order")
                view.buy_below = None
                assert before <= first.feed_seq <= after, "an earlier or later tick traded"
            quiet_end(engine, [])


def _until(engine: Engine, kind: str) -> list[Event]:
    events: list[Event] = []
    end = time.monotonic() + WAIT_S
    while not any(event.kind == kind for event in events):
        assert time.monotonic() < end, f"no event {kind}"
        events += engine.events.wait(0.5)
    return events


def test_nothing_leaves_after_the_kill_switch(tmp_path: Path) -> None:
    with rig(tmp_path, 3) as lab, Engine.open(lab.addresses.device) as engine:
        lab.start_exchange("--symbols", "AAPL", "--rate", "4000", "--duration", "6", "--wait-for-login")
        view = _running(lab, engine, buy_below=EVERY_TICK)
        stops: list[tuple[int, int]] = []  # (last sequence that may have traded, first that may trade again)
        with OrderEntry(engine, lab.session()) as order_entry, engine.lease.keep():
            order_entry.login()
            for _ in range(20):
                engine.resume()
                more_orders(view, 20)
                engine.halt()
                stopped = engine.feed.expected_seq
                ticks(engine, 40)
                stops.append((stopped, engine.feed.expected_seq))
            events: list[Event] = []
            quiet_end(engine, events)
        lab.exchange_summary()
        refused = engine.refusals()["halted_global"]
    assert len(events) == len({event.id for event in events})
    logged = lab.orders_logged()
    assert len(logged) > 20 * 20
    assert refused > 20 * 10, "the ticks after the stop did not want to trade: the test proves nothing"
    for stopped, resumed in stops:
        late = [order for order in logged if stopped <= order["feed_seq"] < resumed]
        # The exchange notes the sequence it had published when it read the order: the tick before the stop may be
        # there.
        assert len(late) <= 1, f"orders after sequence {stopped}: {late}"
        decided = [event for event in events if event.kind == "order" and stopped <= event.feed_seq < resumed]
        assert not decided, f"decided after the stop: {decided}"
    assert [order["user_ref"] for order in logged] == [event.user_ref for event in events if event.kind == "order"]
    assert [order["user_ref"] for order in logged] == sorted({order["user_ref"] for order in logged})


def test_a_program_loaded_by_iproute2_is_found_and_steered(tmp_path: Path) -> None:
    with rig(tmp_path, 4) as lab:
        device = lab.addresses.device
        # iproute2 mounts a BPF file system and leaves directories there: in a mount namespace of its own that goes
        # away.
        load = ["unshare", "--mount", "ip", "link", "set", "dev", device, "xdpgeneric", "obj"]
        load += [str(ROOT / "build/xdp_hft.bpf.o"), "sec", "xdp"]
        subprocess.run(load, check=True, capture_output=True)
        with Engine.adopt(device) as engine:
            assert not engine.owner and engine.mode is Mode.GENERIC and not engine.configured
            with pytest.raises(ConfigError, match="before it is configured"):
                engine.command(b"")
            engine.symbols.add("AAPL", buy_below=EVERY_TICK)
            assert engine.untouched
            engine.use_default_limits()
            engine.configure(lab.session(), lab.feed())
            lab.start_exchange("--symbols", "AAPL", "--rate", "1000", "--duration", "2", "--wait-for-login")
            events: list[Event] = []
            with OrderEntry(engine, lab.session()) as order_entry, engine.lease.keep():
                order_entry.login()
                engine.resume()
                wait_for(lambda: engine.symbols["AAPL"].snapshot().position == 1000, "nothing was bought")
                events += drain(engine)
                quiet_end(engine, events)
            assert_ledgers_agree(engine, events, lab.exchange_summary())
        with Engine.adopt(device) as again:  # nothing was lost with the first controller
            assert again.symbols["AAPL"].snapshot().position == 1000
            assert again.symbols["AAPL"].health == "ended"
            poke = struct.pack("=QIIIIQII", again.command_nonce, lib.HFT_OP_POKE, 0, 0, 0, 0, 0, 0)
            assert again.command(poke)
            with pytest.raises(TurboHftError, match="rule 10"):
                again.command(poke[:8] + poke)
            assert [flow.line for flow in again.steering().flows] == ["a", "order_entry"]
        subprocess.run(["ip", "link", "set", "dev", device, "xdpgeneric", "off"], check=True, capture_output=True)
