"""Order entry over SoupBinTCP when things go wrong: connections are cut, an engine is restarted."""

from __future__ import annotations

from pathlib import Path

import pytest
from e2e_rig import Rig, rig
from turbo_hft.engine import Engine
from turbo_hft.errors import NotFlat
from turbo_hft.order_entry import OrderEntry
from turbo_hft.symbols import SymbolView
from turbo_hft.testing.wide import SYMBOL, widen
from wire_rig import wait_for

pytestmark = [pytest.mark.kernel, pytest.mark.e2e]

EVERY_TICK = 10_000


def running(lab: Rig, engine: Engine) -> SymbolView:
    """An engine that buys on every tick, attached; not logged in."""
    view = engine.symbols.add("AAPL", buy_below=EVERY_TICK, base_qty=1, cap_qty=1, **SYMBOL)
    widen(engine)
    engine.configure(lab.session(transport="soupbintcp"), lab.feed())
    engine.attach()
    return view


def test_a_cut_connection_is_made_again_and_nothing_is_lost_or_done_twice(tmp_path: Path) -> None:
    with rig(tmp_path, 6) as lab, Engine.open(lab.addresses.device, transport="soupbintcp") as engine:
        lab.start_exchange(
            "--symbols",
            "AAPL=163.20",
            "--rate",
            "1000",
            "--duration",
            "7",
            "--wait-for-login",
            "--cut-after-replies",
            "60",
        )
        view = running(lab, engine)
        session = lab.session(transport="soupbintcp")
        with OrderEntry(engine, session, rearm=True, poll_s=20e-6, lost_after_s=0.5) as entry, engine.lease.keep():
            entry.login()
            engine.resume()
            wait_for(lambda: entry.silences >= 2 and entry.logins >= 3, "the connection was never cut")
            sent = view.snapshot().orders_sent
            wait_for(lambda: view.snapshot().orders_sent > sent + 5, "nothing leaves after a cut")
            wait_for(lambda: engine.feed.health == "ended", "the feed does not end")
            engine.halt()
            wait_for(lambda: not engine.orders.open(), "orders stay in flight")
            own = view.snapshot()
            assert engine.session.health in ("up", "ended")
        theirs = lab.exchange_summary()["accounts"]["HFT001"]["AAPL"]
        assert (own.position, own.bought_qty) == (theirs["position"], theirs["bought_qty"])
        assert own.orders_sent - len(entry.lost) == theirs["orders"]


def test_an_account_that_has_traded_is_seen_in_the_replies_of_the_day(tmp_path: Path) -> None:
    """OUCH 4.2, where there is nothing else to be asked; a day of which only the start was said is a fresh one."""
    with rig(tmp_path, 6) as lab:
        lab.start_exchange("--symbols", "AAPL=163.20", "--rate", "1000", "--duration", "15", "--wait-for-login")
        session = lab.session("ouch42", transport="soupbintcp")
        for traded in (False, True):
            with Engine.open(lab.addresses.device, transport="soupbintcp") as engine:
                view = engine.symbols.add("AAPL", buy_below=EVERY_TICK, base_qty=1, cap_qty=1, **SYMBOL)
                widen(engine)
                engine.configure(session, lab.feed())
                engine.attach()
                with OrderEntry(engine, session, poll_s=20e-6) as entry, engine.lease.keep():
                    if traded:
                        with pytest.raises(NotFlat, match=r"replies were sent|of type 'A'"):
                            entry.login()
                        assert engine.halted and engine.session.health == "suspect"
                        break
                    entry.login()
                    engine.resume()
                    _buys(engine, view)


def _buys(engine: Engine, view: SymbolView) -> None:
    wait_for(lambda: view.snapshot().bought_qty >= 1, "nothing was bought")
    engine.halt()
    wait_for(lambda: not engine.orders.open(), "orders stay in flight")


def test_a_restarted_engine_reads_the_day(tmp_path: Path) -> None:
    with rig(tmp_path, 6) as lab:
        lab.start_exchange("--symbols", "AAPL=163.20", "--rate", "1000", "--duration", "8", "--wait-for-login")
        session = lab.session(transport="soupbintcp")
        with Engine.open(lab.addresses.device, transport="soupbintcp") as engine:
            view = running(lab, engine)
            with OrderEntry(engine, session, poll_s=20e-6) as entry, engine.lease.keep():
                entry.login()
                engine.resume()
                wait_for(lambda: view.snapshot().bought_qty >= 20, "nothing was bought")
                engine.halt()
                wait_for(lambda: not engine.orders.open(), "orders stay in flight")
                before = view.snapshot()
        with Engine.open(lab.addresses.device, transport="soupbintcp") as engine:
            running(lab, engine)
            with OrderEntry(engine, session, poll_s=20e-6) as entry:
                with pytest.raises(NotFlat, match="has traded today"):
                    entry.login()
                assert engine.halted and engine.session.health == "suspect"
        with Engine.open(lab.addresses.device, transport="soupbintcp") as engine:
            view = running(lab, engine)
            with OrderEntry(engine, session, poll_s=20e-6) as entry:
                entry.login(recover=True)
                after = view.snapshot()
                assert engine.session.health == "up"
                assert (after.position, after.bought_qty, after.fills) == (
                    before.position, before.bought_qty, before.fills
                )  # fmt: skip
                assert engine.session.next_user_ref > before.orders_sent
