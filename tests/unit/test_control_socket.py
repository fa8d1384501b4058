"""The control socket in one process: who is let in, what is answered, and what a bad client cannot do."""

from __future__ import annotations

import json
import os
import socket
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from turbo_hft import announce
from turbo_hft.control import requests as ask
from turbo_hft.control import server as server_module
from turbo_hft.control.client import ControlClient
from turbo_hft.control.operations import Operations
from turbo_hft.control.peer import Peer
from turbo_hft.control.reach import do, reach
from turbo_hft.control.server import ControlServer, group_id
from turbo_hft.dashboard.interface_desk import InterfaceDesk
from turbo_hft.dashboard.local_desk import LocalDesk
from turbo_hft.dashboard.socket_desk import SocketDesk
from turbo_hft.engine import Engine
from turbo_hft.errors import (
    CapabilityError,
    ConfigError,
    MalformedMessage,
    NotAllowed,
    NotRunning,
    OrderRefused,
    TurboHftError,
)
from turbo_hft.events import Event
from turbo_hft.layout import ControlLayout
from turbo_hft.locks import Locks
from unit.fakes import FakeEngine, FakeEvent

GROUP = str(os.getgid())


class Rig:
    """A server before a fake engine."""

    def __init__(self, root: Path) -> None:
        self.engine = FakeEngine()
        self.desk = LocalDesk(cast(Engine, self.engine), interval_s=3600)
        self.layout = ControlLayout(root, "veth_hft")
        self.operations = Operations(cast(Engine, self.engine), self.desk)
        self.said: list[str] = []
        self.server = ControlServer(
            self.operations, self.layout, read_group=GROUP, trade_group=GROUP, on_change=self.said.append
        )

    def raw(self, *, trade: bool = True) -> socket.socket:
        """A connection without a client."""
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        made.connect(str(self.layout.trade if trade else self.layout.read))
        made.settimeout(10)
        return made


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    with made.server:
        made.server.serve()
        yield made


def answers(connection: socket.socket, count: int) -> list[dict[str, Any]]:
    file = connection.makefile("rb")
    return [json.loads(file.readline()) for _ in range(count)]


def test_reading_and_trading_by_the_two_sockets(rig: Rig) -> None:
    with ControlClient(rig.layout, "read") as reader, ControlClient(rig.layout, "trade") as trader:
        assert (reader.pid, reader.may_trade, trader.may_trade) == (os.getpid(), False, True)
        assert reader.ask(ask.Hello())["role"] == "read"
        with pytest.raises(NotAllowed, match=f"only members of group .* at {rig.layout.trade}"):
            reader.ask(ask.Halt())
        assert rig.engine.state == "active"
        after = trader.ask(ask.Halt(because="\x1b[2Jfat finger"))
        assert (after["state"], rig.engine.state) == ("halted", "halted")
        assert trader.ask(ask.Change(line="AAPL base_qty=9"))["settings"]["base_qty"] == 9
        assert reader.ask(ask.Status())["view"]["state"] == "halted"
        assert rig.engine.symbols["AAPL"].base_qty == 9
    assert "because=?[2Jfat finger" in rig.said[0] and "change line=AAPL base_qty=9" in rig.said[1]


def test_what_is_wrong_is_said_with_its_class(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    with ControlClient(rig.layout, "trade") as trader:
        with pytest.raises(ConfigError, match="BANANA"):
            trader.ask(ask.Halt(symbol="BANANA"))
        with pytest.raises(ConfigError, match="give one of them"):
            trader.ask(ask.Halt(symbol="AAPL", strategy="quoter"))

        def refuses(*order: object) -> int:
            raise OrderRefused("the gate refused it: lease.", "lease")

        monkeypatch.setattr(rig.engine.orders, "enter", refuses, raising=False)
        with pytest.raises(OrderRefused) as refused:
            trader.ask(ask.Enter(symbol="AAPL", side="buy", qty=1, price="1.00"))
        assert refused.value.reason == "lease"

        def fails(*order: object) -> int:
            raise ZeroDivisionError("a bug")

        monkeypatch.setattr(rig.engine.orders, "enter", fails, raising=False)
        with pytest.raises(TurboHftError, match="ZeroDivisionError: a bug"):
            trader.ask(ask.Enter(symbol="AAPL", side="buy", qty=1, price="1.00"))
        assert trader.ask(ask.Hello())["interface"] == "veth_hft", "the connection is as good as before"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"{", "no request"),
        (b"\xff\xfe", "no request"),
        (b'{"v": 1, "do": "change", "line": "AAPL \xff"}', "no request"),
        (b'{"v": 1, "\xffdo": "halt"}', "no request"),
        (b"", "no request"),
        (b'{"v": 2, "id": 5, "do": "hello"}', "version 2"),
        (b'{"id": 5, "do": "hello"}', "version 0"),
        (b'{"v": 1, "id": 5, "do": "banana"}', "banana"),
        (b'{"v": 1, "id": 5, "do": "halt", "symbl": "AAPL"}', "symbl"),
        (b'{"v": 1, "id": 5, "do": "cancel", "orders": []}', "orders"),
        (b'{"v": 1, "id": 5, "do": "halt", "cancel": true, "timeout_s": 1e9}', "timeout_s"),
        (b'{"v": 1, "id": 5, "do": "halt", "because": "' + b"x" * 2000 + b'"}', "because"),
        (b"[" * 60_000, "no request"),
    ],
)
def test_what_is_no_request_changes_nothing(rig: Rig, line: bytes, why: str) -> None:
    with rig.raw() as connection:
        connection.sendall(line + b'\n{"v": 1, "id": 6, "do": "hello"}\n')
        refused, good = answers(connection, 2)
    assert refused["error"]["kind"] == "MalformedMessage" and why in refused["error"]["message"]
    assert refused.get("id", 0) == (5 if b'"id": 5' in line else 0)
    assert good["id"] == 6 and good["ok"]["version"] == 1
    assert rig.engine.state == "active"


def test_who_sends_too_much_is_sent_away(rig: Rig) -> None:
    with rig.raw() as connection:
        connection.sendall(b"x" * (ask.MOST_REQUEST_BYTES + 1))
        (refused,) = answers(connection, 1)
        assert "more than 65536 bytes" in refused["error"]["message"]
        assert connection.recv(1) == b""
    with rig.raw() as connection:
        connection.sendall(b"nonsense\n" * 10)
        assert all("error" in answer for answer in answers(connection, 10))
        assert connection.recv(1) == b""


def test_who_does_not_fetch_its_answer_holds_up_nobody(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "_SEND_S", 0.2)
    large = {"text": "x" * (8 << 20)}
    do: dict[Any, Any] = {**rig.operations._do, ask.Limits: lambda request: large}
    monkeypatch.setattr(rig.operations, "_do", do)
    with rig.raw() as lazy, ControlClient(rig.layout, "trade") as trader:
        lazy.sendall(b'{"v": 1, "do": "limits"}\n')
        assert trader.ask(ask.Halt())["state"] == "halted"
        until(rig.server._connections.keys, lambda here: len(here) == 1)
        with ControlClient(rig.layout, "read") as reader:
            assert reader.ask(ask.Limits()) == large, "one that fetches it gets it whole"


def until(look: Any, good: Any) -> None:
    end = time.monotonic() + 10
    while not good(look()):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_events_that_are_not_fetched_are_dropped_and_counted(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "MOST_EVENTS", 100)
    with rig.raw(trade=False) as lazy, rig.raw(trade=False) as picky:
        lazy.sendall(b'{"v": 1, "id": 1, "do": "subscribe"}\n')
        picky.sendall(b'{"v": 1, "id": 2, "do": "subscribe", "kinds": ["executed"]}\n')
        until(lambda: rig.server._subscribers, lambda subscribers: len(subscribers) == 2)
        total = 40_000
        for first in range(0, total, 1000):
            some = [FakeEvent(id=first + i, kind="order" if i else "executed") for i in range(1000)]
            rig.server.publish(cast(list[Event], some))
        waiting = [len(subscriber._waiting) for subscriber in rig.server._subscribers]
        assert max(waiting) <= 100
        file, other = lazy.makefile("rb"), picky.makefile("rb")
        assert json.loads(file.readline())["ok"] == {"kinds": []}
        got, dropped, last = 0, 0, -1
        while got + dropped < total:
            batch = json.loads(file.readline())
            assert [event["id"] for event in batch["events"]] == sorted({event["id"] for event in batch["events"]})
            assert batch["events"][0]["id"] > last
            last = batch["events"][-1]["id"]
            got, dropped = got + len(batch["events"]), batch.get("dropped", 0)
        assert got + dropped == total and dropped > 0
        chosen: list[int] = []
        other.readline()
        while len(chosen) < total // 1000:
            chosen += [event["id"] for event in json.loads(other.readline())["events"]]
        assert chosen == list(range(0, total, 1000))
        file.close()
        other.close()
    until(lambda: rig.server._subscribers, lambda subscribers: not subscribers)


def test_one_user_takes_all_connections_from_nobody(rig: Rig) -> None:
    crowd = [ControlClient(rig.layout, "read") for _ in range(server_module.MOST_OF_A_USER)]
    with pytest.raises(NotAllowed, match="16 of a user"):
        ControlClient(rig.layout, "read")
    with ControlClient(rig.layout, "trade") as trader:
        assert trader.ask(ask.Halt())["state"] == "halted"
    for one in crowd:
        one.close()
    until(lambda: rig.server._connections, lambda here: not here)
    ControlClient(rig.layout, "read").close()


def test_connections_that_hang_keep_no_halt_out(rig: Rig) -> None:
    """One user's, that say nothing, half a line, or only listen to events; and again, as often as one likes."""
    listener = rig.raw()
    listener.sendall(b'{"v":1,"id":1,"do":"subscribe"}\n')
    answers(listener, 1)
    hanging = [listener]
    for number in range(2 * server_module.MOST_OF_A_USER):
        one = rig.raw()
        one.sendall(b'{"v":1,' if number % 2 else b"")
        hanging.append(one)
    with ControlClient(rig.layout, "trade") as trader:
        assert trader.ask(ask.Halt())["state"] == "halted"
        assert len(rig.server._connections) <= server_module.MOST_OF_A_USER
        until(lambda: rig.server._subscribers, lambda subscribers: not subscribers)  # the oldest
    for one in hanging:
        one.close()


def test_connections_that_are_at_work_keep_no_halt_out(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then nobody is thrown out, and there is a place for a halt and nothing else."""
    done = threading.Event()
    do: dict[Any, Any] = {**rig.operations._do, ask.CancelAll: lambda _: {"ok": done.wait(30)}}
    monkeypatch.setattr(rig.operations, "_do", do)
    at_work = [rig.raw() for _ in range(server_module.MOST_OF_A_USER)]
    for one in at_work:
        one.sendall(b'{"v":1,"id":1,"do":"cancel_all"}\n')
    until(lambda: [seat.silent_since for seat in rig.server._connections.values()], lambda when: not any(when))
    until(lambda: len(rig.server._connections), lambda count: count == server_module.MOST_OF_A_USER)
    with ControlClient(rig.layout, "trade") as trader:
        for other in (ask.Resume(), ask.Halt(cancel=True), ask.Status(), ask.Subscribe()):
            with pytest.raises(NotAllowed, match="nothing but a halt"):
                trader.ask(other)
        assert trader.ask(ask.Halt())["state"] == "halted"
    done.set()
    for one in at_work:
        assert answers(one, 1)[0]["ok"] == {"ok": True}
        one.close()


def test_the_server_looks_at_the_groups_again(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "peer_of", lambda connection: Peer(1, 4711, frozenset({4711})))
    roles: tuple[ask.Role, ...] = ("read", "trade")
    for role in roles:
        with pytest.raises(NotAllowed, match="usermod -aG"):
            ControlClient(rig.layout, role)


def test_a_change_is_its_clients(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Any, Any]] = []

    def halt(request: ask.Halt) -> dict[str, object]:
        seen.append((announce._client.get(), announce._because.get()))
        return {}

    monkeypatch.setattr(rig.operations, "_do", {ask.Halt: halt})
    with ControlClient(rig.layout, "trade") as trader:
        trader.ask(ask.Halt(because="lunch"))
    ((client, why),) = seen
    assert (client["pid"], client["uid"], why) == (os.getpid(), os.getuid(), ("lunch",))
    assert announce._client.get() is None


def test_only_the_recorders_own_process_speaks_for_others() -> None:
    locks = Locks(os.getpid())
    listener = announce.Listener(locks)
    try:
        with announce.on_behalf_of({"pid": 4711, "uid": 4712, "user": "eve", "command": "x" * 2000}):
            announce.announce(locks.directory, epoch=1)
            child = os.fork()
            if not child:
                announce.announce(locks.directory, epoch=2)
                os._exit(0)
            os.waitpid(child, 0)
        announce.announce(locks.directory, epoch=3)
        said = {word["epoch"]: word["by"] for word in listener.heard()}
    finally:
        listener.close()
        locks.end()
    assert (said[1]["uid"], said[1]["by_way_of"]) == (4712, f"the control socket of process {os.getpid()}")
    assert (said[2]["uid"], said[2]["pid"]) == (os.getuid(), child)
    assert said[3]["pid"] == os.getpid() and "by_way_of" not in said[3]


def test_an_engine_that_is_being_ended_is_not_resumed(rig: Rig) -> None:
    with ControlClient(rig.layout, "trade") as trader:
        trader.ask(ask.Halt())
        rig.server.wind_down()
        for loosens in (ask.Resume(), ask.Reduce(), ask.Change(line="AAPL base_qty=1")):
            with pytest.raises(ConfigError, match="is ending it"):
                trader.ask(loosens)
        assert trader.ask(ask.Halt())["state"] == "halted"
    assert rig.engine.state == "halted"


def test_who_winds_down_has_the_last_word(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()
    resume = FakeEngine.resume

    def slow(engine: FakeEngine) -> None:
        begun.set()
        assert go_on.wait(10)
        resume(engine)

    monkeypatch.setattr(FakeEngine, "resume", slow)
    with ControlClient(rig.layout, "trade") as trader:
        resuming = threading.Thread(target=trader.ask, args=(ask.Resume(),))
        resuming.start()
        assert begun.wait(10)
        ending = threading.Thread(target=rig.server.wind_down)
        ending.start()
        ending.join(0.2)
        assert ending.is_alive()
        go_on.set()
        ending.join(10)
        assert not ending.is_alive() and not rig.engine.halted
        rig.engine.halt()
        resuming.join(10)
    assert rig.engine.state == "halted"


def test_a_halt_waits_for_no_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hangs = threading.Event()
    rig = Rig(tmp_path)
    monkeypatch.setattr(rig.server, "_on_change", lambda text: hangs.wait(10))
    with rig.server, rig.raw() as connection:
        rig.server.serve()
        connection.sendall(b'{"v": 1, "do": "halt"}\n')
        end = time.monotonic() + 10
        while rig.engine.state != "halted":
            assert time.monotonic() < end
            time.sleep(0.01)
        assert not hangs.is_set()
        hangs.set()
        assert b'"ok"' in connection.recv(65_536)


def test_sockets_come_and_go_with_the_right_owner_and_mode(tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        with Rig(tmp_path).server as first:
            for path in (tmp_path / "veth_hft" / "read.sock", tmp_path / "veth_hft" / "trade.sock"):
                about = path.stat()
                assert (stat.S_IMODE(about.st_mode), about.st_gid) == (0o660, os.getgid())
            assert stat.S_IMODE((tmp_path / "veth_hft").stat().st_mode) == 0o755
            first.serve()
            with pytest.raises(ConfigError, match="another process answers"), Rig(tmp_path).server:
                pass
            with ControlClient(ControlLayout(tmp_path, "veth_hft"), "read"):
                pass
        assert not (tmp_path / "veth_hft").exists()
    finally:
        os.umask(old)
    with pytest.raises(NotRunning, match="nobody listens"):
        ControlClient(ControlLayout(tmp_path, "veth_hft"), "read")
    layout = ControlLayout(tmp_path, "veth_hft")
    layout.directory.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(layout.read))  # what a process that was killed leaves
    rig = Rig(tmp_path)
    with rig.server, ControlServer(rig.operations, ControlLayout(tmp_path, "other"), read_group="", trade_group=""):
        assert stat.S_IMODE((tmp_path / "other" / "trade.sock").stat().st_mode) == 0o600
    with pytest.raises(ConfigError, match="groupadd --system no-such-group"):
        group_id("no-such-group")
    with pytest.raises(ConfigError, match="at most 107"):
        ControlLayout(tmp_path / ("x" * 100), "veth_hft")


def test_a_directory_that_is_there_keeps_its_mode_and_must_be_safe(tmp_path: Path) -> None:
    shared = tmp_path / "tmp"
    shared.mkdir()
    shared.chmod(0o1777)
    with Rig(shared).server:
        assert stat.S_IMODE(shared.stat().st_mode) == 0o1777
    shared.chmod(0o777)
    with pytest.raises(ConfigError, match="others may write there"), Rig(shared).server:
        pass
    shared.chmod(0o755)
    if not os.geteuid():
        (shared / "veth_hft").mkdir()
        os.chown(shared / "veth_hft", 65_534, 65_534)
        with pytest.raises(ConfigError, match="belongs to user number 65534"), Rig(shared).server:
            pass


def test_a_desk_by_the_socket_is_as_a_local_one(rig: Rig) -> None:
    with SocketDesk(rig.layout) as desk:
        assert desk.may_trade
        assert desk.view() == rig.desk.view() and desk.view("AAPL").watched == rig.desk.view("AAPL").watched
        desk.halt()
        assert rig.engine.state == desk.view().state == "halted"
        desk.resume()
        desk.reduce()
        assert desk.view().state == "reducing"
        assert desk.change("AAPL base_qty=11")["base_qty"] == 11
        assert desk.halt_and_cancel().left == ()
        with pytest.raises(ConfigError, match="BANANA"):
            desk.view("BANANA")
        halting = threading.Thread(target=desk.halt)
        halting.start()
        halting.join()
    with SocketDesk(rig.layout, may_trade=False) as looking:
        with pytest.raises(ConfigError, match="may only look"):
            looking.halt()
        rig.server.__exit__(None, None, None)
        with pytest.raises(NotRunning):
            looking.view()


def test_a_face_takes_the_socket_of_the_process_that_keeps_the_engine(rig: Rig) -> None:
    adopted: list[FakeEngine] = []

    def adopt() -> Engine:
        adopted.append(FakeEngine())
        adopted[-1].controller = os.getpid() if len(adopted) == 1 else 4711
        return cast(Engine, adopted[-1])

    rig.desk.observe([FakeEvent(id=7)])
    with reach(adopt, rig.layout) as found:
        assert [event.id for event in found.desk.view().events] == [7] and not adopted[0].closed
        found.desk.halt()
        assert (rig.engine.state, adopted[0].state) == ("active", "halted"), "what steers asks nobody"
    with reach(adopt, rig.layout) as found:
        assert found.desk.view().events == (), "what answers there keeps another engine"
    assert [engine.closed for engine in adopted] == [True, True]


def test_who_may_not_adopt_asks_the_socket(rig: Rig, tmp_path: Path) -> None:
    def adopt() -> Engine:
        raise CapabilityError("no.")

    assert do(ask.Halt(), adopt, rig.layout)["state"] == "halted"
    assert do(ask.Status(), adopt, rig.layout)["view"]["state"] == "halted"
    with reach(adopt, rig.layout) as found:
        assert found.engine is None and found.desk.view().state == "halted"
    desk = InterfaceDesk("veth_hft", lambda: reach(adopt, rig.layout), running=lambda name: 1)
    with announce.because("so"):
        desk.resume()
    assert rig.engine.state == desk.view().state == "active" and "because=so" in rig.said[-1]
    desk.close()
    nowhere = ControlLayout(tmp_path / "nowhere", "veth_hft")
    for attempt in (lambda: do(ask.Status(), adopt, nowhere), lambda: reach(adopt, nowhere)):
        with pytest.raises(CapabilityError, match="Without it: nobody listens"):
            attempt()


def test_what_answers_something_else_is_not_believed() -> None:
    for line in (b"[]", b'{"v": 7, "id": 1, "ok": {}}', b'{"v": 1, "ok": 3}'):
        with pytest.raises(MalformedMessage):
            ask.decode_answer(line)


def test_every_request_is_done(rig: Rig) -> None:
    assert {*rig.operations._do, ask.Hello, ask.Subscribe} == set(ask.ALL)
    for kind in ask.ALL:
        assert kind.role() == ("read" if issubclass(kind, ask.Reading) else "trade")
