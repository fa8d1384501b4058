"""The desk of an engine that another process keeps: what goes by its socket, and what becomes of it without that."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import cast

import pytest
from turbo_hft.control import client, server
from turbo_hft.control import requests as ask
from turbo_hft.control.client import ControlClient
from turbo_hft.control.operations import Operations
from turbo_hft.control.server import ControlServer
from turbo_hft.dashboard.kept_desk import KeptDesk
from turbo_hft.dashboard.local_desk import LocalDesk
from turbo_hft.dashboard.socket_desk import SocketDesk
from turbo_hft.engine import Engine
from turbo_hft.errors import NotRunning
from turbo_hft.layout import ControlLayout
from unit.fakes import FakeEngine, FakeEvent
from unit.web_rig import engine

GROUP = str(os.getgid())


class Keeper:
    """The process that keeps an engine: may be stopped, end, and be there again."""

    def __init__(self, made: FakeEngine, root: Path) -> None:
        self.made, self.layout = made, ControlLayout(root, "veth_hft")
        self.desk = LocalDesk(cast(Engine, made), reads_events=True, interval_s=0)
        self.stopped = threading.Event()
        self.stopped.set()
        self.views = 0
        self.server: ControlServer | None = None

    def begin(self) -> None:
        operations = Operations(cast(Engine, self.made), self.desk)

        outer = self

        class Answers:
            def __call__(self, request: ask.Request) -> object:
                outer.views += 1
                outer.stopped.wait(20)
                return operations(request)

            def throw(self, request: ask.Halt) -> object:
                outer.views += 1
                return operations.throw(request)

        self.server = ControlServer(cast(Operations, Answers()), self.layout, read_group=GROUP, trade_group=GROUP)
        self.server.__enter__()
        self.server.serve()

    def end(self) -> None:
        if self.server is not None:
            self.server.__exit__(None, None, None)
        self.server = None


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Keeper]:
    made = Keeper(engine(), tmp_path)
    made.begin()
    try:
        yield made
    finally:
        made.stopped.set()
        made.end()


def kept(keeper: Keeper) -> KeptDesk:
    own = LocalDesk(cast(Engine, keeper.made), interval_s=0)
    return KeptDesk(own, lambda: SocketDesk(keeper.layout, may_trade=False), retry_s=0.2)


def test_pictures_have_the_events_of_the_process_that_keeps_it_while_it_is_there(keeper: Keeper) -> None:
    keeper.desk.observe([FakeEvent(id=7)])
    with kept(keeper) as desk:
        assert [event.id for event in desk.view("AAPL").events] == [7]
        keeper.end()
        alone = desk.view("AAPL")
        assert (alone.state, alone.reads_events, alone.events) == ("active", False, ())
        keeper.begin()
        end = time.monotonic() + 10
        while not desk.view().reads_events:
            assert time.monotonic() < end, "a process that has taken the engine over is not found"
            time.sleep(0.05)


def test_one_that_is_stopped_holds_up_nothing_that_steers(keeper: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_ANSWER_S", 1.0)
    with kept(keeper) as desk:
        assert desk.view().reads_events
        keeper.stopped.clear()
        looking = threading.Thread(target=desk.view)
        looking.start()
        while keeper.views < 2:
            time.sleep(0.01)
        desk.halt()
        assert keeper.made.state == "halted" and looking.is_alive(), "the halt has waited for the picture"
        assert desk.metrics()["turbo_hft_state"][2] == [["halted"], 1.0]
        looking.join()
        before = keeper.views
        assert (desk.view().state, desk.view().reads_events, keeper.views) == ("halted", False, before)


def test_by_the_socket_alone_a_halt_has_a_connection_of_its_own_already(keeper: Keeper) -> None:
    with SocketDesk(keeper.layout) as desk:
        assert keeper.server is not None and len(keeper.server._connections) == 2
        keeper.stopped.clear()
        looking = threading.Thread(target=desk.view)
        looking.start()
        while not keeper.views:
            time.sleep(0.01)
        halting = threading.Thread(target=desk.halt)
        halting.start()
        while keeper.views < 2:  # it has come to the engine while the picture is still made
            time.sleep(0.01)
        assert looking.is_alive()
        keeper.stopped.set()
        halting.join()
        looking.join()
        assert keeper.made.state == "halted"
        with pytest.raises(NotRunning):
            keeper.end()
            desk.halt()


def test_a_crowd_at_the_door_takes_no_picture_and_no_halt_away(keeper: Keeper) -> None:
    with SocketDesk(keeper.layout) as desk, ExitStack() as crowd:
        for way in ("look", "halt"):
            desk._ways[way].close()  # as when the process has changed
        for _ in range(server.MOST_OF_A_USER + 3):
            crowd.enter_context(ControlClient(keeper.layout, "trade"))
        assert desk.view().state == "active"
        desk.halt()
        assert keeper.made.state == "halted"


def test_metrics_come_by_the_socket_as_they_are(keeper: Keeper) -> None:
    keeper.made.lease.left_s = float("inf")
    with SocketDesk(keeper.layout, may_trade=False) as desk:
        measured = desk.metrics(3)
    assert measured == LocalDesk(cast(Engine, keeper.made)).metrics(3)
    assert measured["turbo_hft_lease_left_seconds"] == [[[], None]]
