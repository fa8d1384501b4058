"""Order entry on real frames: a silence of the exchange, an engine that starts again, orders by hand, a halt that
cancels from another process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from e2e_rig import Rig, rig
from turbo_hft._native import lib
from turbo_hft.addresses import OrderSession, Protocol
from turbo_hft.engine import Engine
from turbo_hft.errors import ConfigError, ExchangeError, NotFlat, OrderRefused
from turbo_hft.order_entry import OrderEntry
from turbo_hft.orders import payload_of
from turbo_hft.wire.ufo import Unsequenced, encode_upstream

pytestmark = [pytest.mark.kernel, pytest.mark.e2e]

EVERY_TICK = 10_000
WAIT_S = 20
SILENCE_S = 1.5
LONG = ("--rate", "1000", "--duration", "60", "--wait-for-login")


def wait_for(what: Callable[[], bool], why: str, timeout_s: float = WAIT_S) -> None:
    end = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < end, why
        time.sleep(0.001)


@contextmanager
def trading(
    lab: Rig,
    session: OrderSession,
    *,
    buy_below: int | None = None,
    recover: bool = False,
    start_flat: bool = False,
    rearm: bool = False,
    silence_s: float = 5.0,
) -> Iterator[tuple[Engine, OrderEntry]]:
    """An engine that is logged in and may trade."""
    with Engine.open(lab.addresses.device) as engine:
        engine.symbols.add("AAPL", buy_below=buy_below, max_long=500)
        engine.configure(session, lab.feed())
        engine.attach()
        with OrderEntry(engine, session, rearm=rearm, silence_s=silence_s) as entry, engine.lease.keep():
            entry.login(recover=recover, start_flat=start_flat)
            engine.resume()
            yield engine, entry


@pytest.mark.parametrize("rearm", [True, False])
def test_an_exchange_that_falls_silent_is_logged_in_to_again(tmp_path: Path, rearm: bool) -> None:
    """Stopped for longer than the silence that is borne, while orders are on their way to it."""
    with rig(tmp_path, 11) as lab:
        lab.start_exchange("--symbols", "AAPL", *LONG)
        assert lab.process is not None
        session = lab.session()
        with trading(lab, session, buy_below=EVERY_TICK, rearm=rearm, silence_s=SILENCE_S) as (engine, entry):
            wait_for(lambda: engine.symbols["AAPL"].snapshot().fills > 0, "nothing was bought")
            engine.symbols["AAPL"].buy_below = None
            engine.symbols["AAPL"].limits.max_long = 10_000
            wait_for(lambda: not engine.orders.open(), "an order stays open")
            os.kill(lab.process.pid, signal.SIGSTOP)
            try:
                bid = engine.symbols["AAPL"].snapshot().bid_e4 / 10_000
                sent = engine.orders.enter("AAPL", "buy", 1, bid, tif="day")
                wait_for(lambda: engine.halted, "the silence was not noticed")
                assert (entry.silences, entry.settled) == (1, False)
            finally:
                os.kill(lab.process.pid, signal.SIGCONT)
            wait_for(lambda: entry.settled, f"not settled: {entry.uncertain}")
            assert entry.logins >= 1 and entry.lost == () and engine.orders[sent].state != "sent"
            if rearm:
                wait_for(lambda: engine.state == "active", "not armed again")
            else:
                assert engine.halted
                engine.resume()
            report = engine.halt_and_cancel()
            assert report.left == (), report


def test_a_halt_during_a_silence_is_not_undone(tmp_path: Path) -> None:
    """Whoever halts an engine that order entry has halted already means it, `rearm` or not."""
    with rig(tmp_path, 11) as lab:
        lab.start_exchange("--symbols", "AAPL", *LONG)
        assert lab.process is not None
        with trading(lab, lab.session(), rearm=True, silence_s=SILENCE_S) as (engine, entry):
            os.kill(lab.process.pid, signal.SIGSTOP)
            try:
                wait_for(lambda: engine.halted, "the silence was not noticed")
                engine.halt()
            finally:
                os.kill(lab.process.pid, signal.SIGCONT)
            wait_for(lambda: entry.settled, f"not settled: {entry.uncertain}")
            time.sleep(0.5)
            assert engine.halted


@pytest.mark.parametrize("protocol", ["ouch50", "ouch42"])
def test_an_engine_that_starts_again_has_its_orders_and_positions_back(tmp_path: Path, protocol: Protocol) -> None:
    with rig(tmp_path, 12) as lab:
        lab.start_exchange("--symbols", "AAPL", *LONG)
        plain = lab.session(protocol)
        prefix = "DAY001" if protocol == "ouch42" else ""
        session = OrderSession(
            plain.local, plain.remote, plain.local_mac, plain.remote_mac, plain.username, plain.password, protocol,
            token_prefix=prefix,
        )  # fmt: skip
        if protocol == "ouch42":
            with pytest.raises(ConfigError, match="go together"), trading(lab, session):
                pass
        with trading(lab, session, buy_below=EVERY_TICK, recover=True) as (engine, _):
            view = engine.symbols["AAPL"]
            wait_for(lambda: view.snapshot().position == 500, "nothing was bought")
            view.buy_below = None
            wait_for(lambda: not engine.orders.open(), "an order stays open")
            bid = view.snapshot().bid_e4 - 10_000
            view.limits.max_long = 1000
            resting = engine.orders.enter("AAPL", "buy", 7, bid / 10_000, tif="day")
            wait_for(lambda: engine.orders[resting].state == "live", "the order was not accepted")
            before, next_ref = view.snapshot(), engine.session.next_user_ref
        # The process has gone, and with it everything it knew; the order rests at the exchange.
        blind = lab.session(protocol)
        with pytest.raises(NotFlat, match=r"HFT001 has traded today .*--recover.*--start-flat"), trading(lab, blind):
            pass
        must_not_arm(lab, blind)
        if protocol == "ouch42":
            must_not_arm_at_a_second_try(lab, blind)
        with trading(lab, session, recover=True) as (engine, entry):
            after = engine.symbols["AAPL"].snapshot()
            for figure in ("position", "cost_e4", "realized_e4", "fills", "bought_qty", "bought_e4", "open_buy_qty"):
                assert getattr(after, figure) == getattr(before, figure), figure
            assert [(order.user_ref, order.open_qty) for order in engine.orders.open()] == [(resting, 7)]
            assert engine.session.next_user_ref >= next_ref
            report = engine.halt_and_cancel()
            assert (report.canceled, report.left) == (1, ())
            assert entry.lost == ()


def must_not_arm(lab: Rig, session: OrderSession) -> None:
    """A start without `recover`, in the middle of the day: whoever does not take the error for an answer."""
    with Engine.open(lab.addresses.device) as engine:
        engine.symbols.add("AAPL")
        engine.configure(session, lab.feed())
        engine.attach()
        with OrderEntry(engine, session) as entry, engine.lease.keep():
            with pytest.raises(NotFlat):
                entry.login()
            assert engine.halted and engine.session.health == "suspect"
            for arm in (engine.resume, engine.reduce):
                with pytest.raises(ConfigError, match=r"suspect.*turbo-hft trust.*--recover"):
                    arm()
            engine._control[0].kill = lib.HFT_ACTIVE  # somebody who stores into the map by himself
            with pytest.raises(OrderRefused, match="session_down"):
                engine.orders.enter("AAPL", "buy", 1, "1.00")
            engine.halt()
            assert engine.session.orders_sent == 0
            engine.trust_session()
            engine.resume()
            assert engine.session.health == "up"
    with trading(lab, session, start_flat=True) as (engine, _):
        assert engine.state == "active" and engine.session.health == "up"


def must_not_arm_at_a_second_try(lab: Rig, session: OrderSession) -> None:
    """A login that could not find out whether the account has traded, and another one behind it."""
    with Engine.open(lab.addresses.device) as engine:
        engine.configure(session, lab.feed())
        engine.attach()
        with OrderEntry(engine, session) as entry, engine.lease.keep():

            def late(count: int, deadline: float) -> list[bytes]:
                raise ExchangeError(f"0 of {count}")

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(entry.link, "first_replies", late)
                patch.setattr("turbo_hft.order_entry._MOST_SYSTEM", 1 << 32)
                with pytest.raises(ExchangeError, match="0 of"):
                    entry.login()
            with pytest.raises(ExchangeError, match="suspect"):
                entry.login()
            with pytest.raises(ConfigError, match="suspect"):
                engine.resume()


def test_a_day_of_system_events_is_a_fresh_one(tmp_path: Path) -> None:
    """Who logged in and did nothing is no reason for a refusal; UFO, and OUCH 4.2 by what the replies are."""
    with rig(tmp_path, 12) as lab:
        lab.start_exchange("--symbols", "AAPL", *LONG)
        for protocol in ("ouch50", "ouch42", "ouch50", "ouch42"):
            with trading(lab, lab.session(protocol)) as (engine, _):
                assert engine.state == "active"


def test_run_stays_up_and_halted_where_the_account_has_traded(tmp_path: Path) -> None:
    with rig(tmp_path, 12) as lab:
        lab.start_exchange("--symbols", "AAPL", *LONG)
        with trading(lab, lab.session(), buy_below=EVERY_TICK) as (engine, _):
            wait_for(lambda: engine.symbols["AAPL"].snapshot().fills > 0, "nothing was bought")
        a = lab.addresses
        words = [
            sys.executable, "-m", "turbo_hft.cli", "run", "--interface", a.device, "--symbol", "AAPL",
            "--local", f"{a.host_address}:{a.engine_port}", "--remote", f"{a.exchange_address}:{a.ouch50_port}",
            "--local-mac", a.host_mac, "--remote-mac", a.exchange_mac, "--feed", f"{a.feed_group}:{a.feed_port}",
            "--no-recovery", "--duration", "0.5",
        ]  # fmt: skip
        for more, trades in (([], False), (["--recover"], True)):
            done = subprocess.run([*words, *more], capture_output=True, text=True, timeout=30, check=False)
            assert done.returncode == 0, done.stderr
            assert f": {'trading' if trades else 'halted'} AAPL" in done.stderr, done.stderr
            assert ("HALTED: account HFT001 has traded today" in done.stderr) is not trades, done.stderr
            assert ("AAPL 0 orders, 0 fills" in done.stderr) is not trades, done.stderr


def test_halt_cancel_works_with_the_control_process_stopped(tmp_path: Path) -> None:
    """From another process, while the one that runs the engine does nothing any more."""
    with rig(tmp_path, 13) as lab:
        lab.start_exchange("--symbols", "AAPL", *LONG)
        a, session = lab.addresses, lab.session()
        words = [
            sys.executable, "-m", "turbo_hft.cli", "run", "--interface", a.device, "--symbol", "AAPL",
            "--local", f"{a.host_address}:{a.engine_port}", "--remote", f"{a.exchange_address}:{a.ouch50_port}",
            "--local-mac", a.host_mac, "--remote-mac", a.exchange_mac, "--tif", "day",
            "--account", f"{session.username}:{session.password}",
            "--feed", f"{a.feed_group}:{a.feed_port}", "--feed-source", a.exchange_address, "--no-recovery",
        ]  # fmt: skip
        talk = tmp_path / "talk"
        with talk.open("wb") as err:
            run = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=err)
        try:
            wait_for(lambda: "trading AAPL" in talk.read_text(), f"the engine is not up: {talk.read_text()}")
            with Engine.adopt(a.device) as engine:
                wait_for(lambda: engine.symbols["AAPL"].snapshot().bid_e4 > 0, "no market")
                bid = engine.symbols["AAPL"].snapshot().bid_e4
                refs = [engine.orders.enter("AAPL", "buy", 1, (bid - 100 * i) / 10_000) for i in (100, 101, 102)]
                wait_for(lambda: all(engine.orders[ref].state == "live" for ref in refs), "not accepted")
                os.kill(run.pid, signal.SIGSTOP)
                wait_for(lambda: not engine.lease.in_force, "the lease goes on without its keeper", 3)
                with pytest.raises(OrderRefused, match="lease"):
                    engine.orders.enter("AAPL", "buy", 1, bid / 10_000)
                cancel = [sys.executable, "-m", "turbo_hft.cli", "halt", "--cancel", "--interface", a.device, "--json"]
                done = subprocess.run(cancel, capture_output=True, text=True, timeout=30, check=False)
                assert done.returncode == 0, done.stdout + done.stderr
                assert '"canceled": 3' in done.stdout and engine.orders.open() == [] and engine.halted
                os.kill(run.pid, signal.SIGCONT)
                wait_for(lambda: engine.lease.in_force, "the lease was not taken up again")
                assert engine.halted, "a halt outlives the process that was stopped"
        finally:
            os.kill(run.pid, signal.SIGCONT)
            run.send_signal(signal.SIGINT)
            run.wait(20)


@pytest.mark.parametrize("protocol", ["ouch50", "ouch42"])
def test_a_cancel_lost_on_its_way_is_sent_again(tmp_path: Path, protocol: Protocol) -> None:
    """The hook has noted it and takes no second one; what order entry sends is the same to the byte."""
    with rig(tmp_path, 15) as lab:
        lab.start_exchange("--symbols", "AAPL", *LONG)
        with trading(lab, lab.session(protocol)) as (engine, entry):
            view = engine.symbols["AAPL"]
            wait_for(lambda: min(view.snapshot().bid_e4, view.snapshot().ask_e4) > 0, "no market")
            order = engine.orders.enter("AAPL", "buy", 1, (view.snapshot().bid_e4 - 10_000) / 10_000, tif="day")
            wait_for(lambda: engine.orders[order].state == "live", "not accepted")
            lost: list[bytes] = []
            engine.orders.send = lost.append
            engine.orders.cancel(order)
            assert payload_of(lost[0]) == encode_upstream(Unsequenced(engine.cancel_message(order)))
            with pytest.raises(OrderRefused, match="bad_intent"):
                engine.orders.cancel(order)
            wait_for(lambda: engine.orders[order].state == "canceled", "not cancelled", 5)
            assert entry.cancels_again >= 1 and not engine.halted


def test_an_order_lost_on_its_way_is_found_out_while_trading_goes_on(tmp_path: Path) -> None:
    """It never reaches the exchange, a later one does: from then on it is certain, and holds no limit any more."""
    with rig(tmp_path, 14) as lab:
        lab.start_exchange("--symbols", "AAPL", *LONG)
        with trading(lab, lab.session()) as (engine, entry):
            view = engine.symbols["AAPL"]
            wait_for(lambda: view.snapshot().bid_e4 > 0, "no market")
            price = (view.snapshot().bid_e4 - 10_000) / 10_000
            send, engine.orders.send = engine.orders.send, lambda frame: None
            lost = engine.orders.enter("AAPL", "buy", 1, price, tif="day")
            engine.orders.send = send
            wait_for(lambda: len(entry.uncertain) == 1, "it was not noticed")
            time.sleep(1.5)
            assert engine.orders[lost].state == "sent" and entry.lost == (), "it might be on its way still"
            later = engine.orders.enter("AAPL", "buy", 2, price, tif="day")
            wait_for(lambda: entry.lost == (lost,), "not declared lost")
            assert not engine.halted and engine.orders[lost].state == "lost"
            assert [order.user_ref for order in engine.orders.open()] == [later]
            assert engine.halt_and_cancel().left == ()


def test_a_session_that_is_taken_over_trades_on_when_the_lease_is_kept_again(tmp_path: Path) -> None:
    """Taking over may last longer than the lease, which is renewed by the loop that comes after it."""
    with rig(tmp_path, 11) as lab, Engine.open(lab.addresses.device) as engine:
        lab.start_exchange("--symbols", "AAPL", *LONG)
        session = lab.session()
        engine.symbols.add("AAPL", buy_below=EVERY_TICK, max_long=500)
        engine.configure(session, lab.feed())
        engine.attach()
        engine.lease.seconds = WAIT_S
        engine.lease.beat()
        first = OrderEntry(engine, session)
        first.login()
        engine.resume()
        wait_for(lambda: engine.symbols["AAPL"].snapshot().fills > 0, "nothing was bought")
        first.leave()  # as if its process were gone
        first._link.close()
        engine.lease.lapse()
        with OrderEntry(engine, session) as entry:
            entry.take_over(trade_on=True)
            time.sleep(0.5)
            assert engine.halted and not entry.settled
            engine.lease.beat()
            wait_for(lambda: engine.state == "active", "the lease is kept, and it does not trade on")
            assert entry.settled


def test_who_did_not_listen_does_not_call_the_exchange_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was not let run for a while finds in its socket what the exchange said meanwhile."""
    with rig(tmp_path, 11) as lab:
        lab.start_exchange("--symbols", "AAPL", *LONG)
        with trading(lab, lab.session(), silence_s=SILENCE_S) as (engine, entry):
            real, stalls = entry._ask_again, [SILENCE_S + 0.3]

            def late() -> None:
                if stalls:
                    time.sleep(stalls.pop())
                real()

            monkeypatch.setattr(entry, "_ask_again", late)
            wait_for(lambda: not stalls, "it did not stall")
            time.sleep(SILENCE_S + 0.8)
            assert entry.silences == 0 and engine.state == "active"
