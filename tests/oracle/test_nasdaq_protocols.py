"""Nasdaq's own Python client against our exchange, and our client against a server made of Nasdaq's library.

The library speaks SoupBinTCP and brings a frame for OUCH, but no OUCH messages: those are defined here in its terms,
apart from our codecs. What it does that one would not expect, and these tests rely on or go around:

- It writes session and sequence left-justified in both directions, where the specification justifies them right.
- Its login is that of 3.00. One of 4.10 kills its reading task, silently: it never answers.
- Its client heartbeat is due after 10 s by default, where the specification says one second. It may be a fraction.
- `sequence` of its session counts the last message that came, and that of a login the next one wanted.
- `logout` closes at once, and replies that were under way are gone; a session that is resumed has them.
- End of session is not handed out as a message: the session closes.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from exchange_process import DEADLINE_S, HOST, Process, Udp
from turbo_hft.soupbintcp import Client, Ended, Event, LoggedIn, Lost, Message, Session
from turbo_hft.wire import ouch50

common = pytest.importorskip("nasdaq_protocols.common", reason="pip install nasdaq-protocols")
soup = pytest.importorskip("nasdaq_protocols.soup")
ouch = pytest.importorskip("nasdaq_protocols.ouch")
library = pytest.importorskip("nasdaq_protocols.common.message")

CURRENT = "HFT0000001"
APP = "ouch-5.0-of-these-tests"
_U1, _U2, _U4, _U8 = library.Byte, library.UnsignedShortBE, library.UnsignedIntBE, library.UnsignedLongBE
_C = library.CharAscii


def _text(size: int) -> Any:
    return library.FixedAsciiString(size)


class Ouch(ouch.Message, app_name=APP):  # type: ignore[misc,name-defined,call-arg]
    """Messages of OUCH 5.0 in the library's terms: type, then fixed fields."""


class OuchSession(ouch.ClientSession):  # type: ignore[misc,name-defined]
    """The library's session for OUCH, with those messages."""

    def decode(self, bytes_: bytes) -> Any:
        return Ouch.from_bytes(bytes_)


def _message(name: str, kind: str, *fields: tuple[str, Any]) -> Any:
    # The library looks up what arrives under the direction of what leaves.
    body = type(f"{name}Body", (library.Record,), {"Fields": [library.Field(*field) for field in fields]})
    attributes = {"BodyRecord": body}
    return type(name, (Ouch,), attributes, app_name=APP, indicator=ord(kind), direction="outgoing")


_TERMS = (
    ("side", _C), ("quantity", _U4), ("symbol", _text(8)), ("price", _U8), ("tif", _C), ("display", _C),
)  # fmt: skip
Enter = _message(
    "Enter", "O", ("user_ref_num", _U4), *_TERMS, ("capacity", _C), ("iso", _C), ("cross_type", _C),
    ("cl_ord_id", _text(14)), ("appendage_length", _U2),
)  # fmt: skip
Cancel = _message("Cancel", "X", ("user_ref_num", _U4), ("quantity", _U4))
SystemEvent = _message("SystemEvent", "S", ("timestamp", _U8), ("event_code", _C))
Accepted = _message(
    "Accepted", "A", ("timestamp", _U8), ("user_ref_num", _U4), *_TERMS, ("order_ref", _U8), ("capacity", _C),
    ("iso", _C), ("cross_type", _C), ("order_state", _C), ("cl_ord_id", _text(14)), ("appendage_length", _U2),
)  # fmt: skip
Canceled = _message(
    "Canceled", "C", ("timestamp", _U8), ("user_ref_num", _U4), ("quantity", _U4), ("reason", _C)
)  # fmt: skip


def entered(ref: int, price: int = 1_632_000) -> Any:
    order = Enter()
    for name, value in {
        "user_ref_num": ref, "side": "B", "quantity": 100, "symbol": "AAPL", "price": price, "tif": "0", "display": "Y",
        "capacity": "P", "iso": "N", "cross_type": "N", "cl_ord_id": "ID", "appendage_length": 0,
    }.items():  # fmt: skip
        setattr(order, name, value)
    return order


def soon(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(work(), DEADLINE_S))


# Their client, our exchange


@pytest.fixture
def exchange() -> Iterator[Process]:
    accounts = ["--account", "HFT001:SECRET", "--account", "HFT002:SECRET"]
    started = Process(Udp(), "--json", "--linger", "0.1", "--rate", "0", "--client-timeout", "2", *accounts)
    yield started
    with contextlib.suppress(ProcessLookupError):
        started.process.kill()
    started.process.communicate()


async def connected(
    exchange: Process, sequence: int = 1, session: str = "", user: str = "HFT001", **settings: Any
) -> Any:
    settings = {"client_heartbeat_interval": 0.4, "server_heartbeat_interval": 2.5, **settings}
    remote = (HOST, exchange.ports["ouch50_tcp"])
    return await soup.connect_async(remote, user, "SECRET", session, sequence, **settings)


def test_the_messages_are_ours_in_other_words() -> None:
    ours = ouch50.EnterOrder(7, "B", 100, "AAPL", 1_632_000, "0", "Y", "P", "N", "N", "ID").encode()
    assert entered(7).to_bytes() == (len(ours), ours)


def test_orders_replies_and_logout(exchange: Process) -> None:
    async def work() -> None:
        raw = await connected(exchange)
        session = OuchSession(raw)
        assert raw.session_id.session == CURRENT and raw.session_id.user == "HFT001"
        first = await session.receive_message()
        assert isinstance(first, SystemEvent) and first.event_code == "S"
        exchange.feed.receive()
        session.send_message(entered(1))
        accepted = await session.receive_message()
        assert isinstance(accepted, Accepted)
        assert (accepted.user_ref_num, accepted.symbol, accepted.quantity) == (1, "AAPL", 100)
        assert (accepted.price, accepted.order_state, accepted.cl_ord_id) == (1_632_000, "L", "ID")
        cancel = Cancel()
        cancel.user_ref_num, cancel.quantity = 1, 40
        session.send_message(cancel)
        canceled = await session.receive_message()
        assert isinstance(canceled, Canceled) and (canceled.quantity, canceled.reason) == (60, "U")
        assert raw.sequence == 3
        raw.logout()
        while not raw.is_closed():
            await asyncio.sleep(0.01)

    soon(work)
    exchange.process.terminate()
    code, out, _ = exchange.end()
    assert code == 0
    assert '"logouts": 1' in out and '"messages": 2' in out


def test_resuming_sees_every_message_once(exchange: Process) -> None:
    async def work() -> None:
        first = await connected(exchange)
        got = [(await first.receive_msg()).data]
        exchange.feed.receive()
        for ref in range(1, 6):
            first.send_unseq_data(entered(ref).to_bytes()[1])
        while len(got) < 4:
            got.append((await first.receive_msg()).data)
        await first.close()  # two replies are left where they are
        second = await connected(exchange, len(got) + 1, CURRENT)
        second.send_unseq_data(entered(6).to_bytes()[1])
        while len(got) < 7:
            got.append((await second.receive_msg()).data)
        assert [Ouch.from_bytes(data)[1].user_ref_num for data in got[1:]] == [1, 2, 3, 4, 5, 6]
        assert second.sequence == 7
        third = await connected(exchange)
        assert [(await third.receive_msg()).data for _ in range(7)] == got
        fourth = await connected(exchange, 0)
        fourth.send_unseq_data(entered(7).to_bytes()[1])
        assert Ouch.from_bytes((await fourth.receive_msg()).data)[1].user_ref_num == 7
        await fourth.close()

    soon(work)


def test_logins_that_are_refused(exchange: Process) -> None:
    async def work() -> None:
        remote = (HOST, exchange.ports["ouch50_tcp"])
        for arguments, reason in ((("HFT001", "WRONG"), "NOT_AUTHORIZED"), (("HFT001", "SECRET", "NONE"), "SESSION")):
            with pytest.raises(ConnectionRefusedError, match=reason):
                await soup.connect_async(remote, *arguments)

    soon(work)


def test_heartbeats_in_both_directions(exchange: Process) -> None:
    """It closes if it hears nothing between two looks, 1.6 s apart; the exchange drops who is silent for 2 s."""

    async def work(user: str, beats: bool) -> None:
        settings: dict[str, Any] = {"client_heartbeat_interval": 0.4 if beats else 60}
        settings["server_heartbeat_interval"] = 1.6 if beats else 60
        raw = await connected(exchange, user=user, **settings)
        deadline = time.monotonic() + (4 if beats else DEADLINE_S)
        while time.monotonic() < deadline and not raw.is_closed():
            await asyncio.sleep(0.05)
        assert raw.is_closed() != beats
        if beats:
            raw.send_unseq_data(entered(1).to_bytes()[1])
            await raw.receive_msg()
            assert (await raw.receive_msg()).data[:1] == b"A"
            await raw.close()

    async def both() -> None:
        await asyncio.gather(work("HFT001", True), work("HFT002", False))

    soon(both)


def test_the_end_of_the_session_closes_it(exchange: Process) -> None:
    async def work() -> None:
        raw = await connected(exchange)
        exchange.feed.receive()
        raw.send_unseq_data(entered(1).to_bytes()[1])
        types = b"".join([(await raw.receive_msg()).data[:1] for _ in range(2)])
        exchange.process.terminate()
        types += b"".join([(await raw.receive_msg()).data[:1] for _ in range(2)])
        assert types == b"SACS"
        while not raw.is_closed():
            await asyncio.sleep(0.01)

    soon(work)


# Our client, a server of their library


class Server(soup.SoupServerSession, session_type="server"):  # type: ignore[misc,name-defined,call-arg]
    """Numbers what it is sent and says it back; the day outlives connections."""

    day: list[bytes]
    logins: list[Any]
    settings: dict[str, Any]

    def __init__(self) -> None:
        super().__init__(**self.settings)

    async def on_login(self, msg: Any) -> Any:
        self.logins.append(msg)
        if msg.password != "SECRET":
            return soup.LoginRejected(soup.LoginRejectReason.NOT_AUTHORIZED)
        wanted = int(msg.sequence) or len(self.day) + 1
        asyncio.get_running_loop().call_soon(self.replay, wanted)  # after the answer
        return soup.LoginAccepted(CURRENT, wanted)

    def replay(self, wanted: int) -> None:
        for data in self.day[wanted - 1 :]:
            self.send_seq_msg(data)

    async def on_unsequenced(self, msg: Any) -> None:
        if msg.data == b"end":
            self.end_session()
        elif msg.data == b"cut":
            self._transport.abort()
        else:
            self.day.append(msg.data)
            self.send_seq_msg(msg.data)


class Running:
    """Such a server in a thread."""

    def __init__(self, **settings: Any) -> None:
        self.day: list[bytes] = []
        self.logins: list[Any] = []
        self.kind = type(
            "Session", (Server,), {"day": self.day, "logins": self.logins, "settings": settings}, session_type="server"
        )
        self.address: tuple[str, int] = (HOST, 0)
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(lambda loop, context: None)  # its reading task dies of a login of 4.10
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))
        self._thread.start()
        assert self._ready.wait(DEADLINE_S)

    async def _serve(self) -> None:
        server, task = await common.start_server((HOST, 0), self.kind)
        self.address = (HOST, server.sockets[0].getsockname()[1])
        self._ready.set()
        await self._stop.wait()
        task.cancel()
        server.close()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for each in left:
            each.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(DEADLINE_S)
        self._loop.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Running]]:
    servers: list[Running] = []

    def start(**settings: Any) -> Running:
        servers.append(Running(**settings))
        return servers[-1]

    yield start
    for each in servers:
        each.end()


def until(client: Client, done: Callable[[list[Event]], bool]) -> list[Event]:
    events: list[Event] = []
    deadline = time.monotonic() + DEADLINE_S
    while not done(events):
        assert time.monotonic() < deadline, events
        events += client.step(0.2)
    return events


def messages(events: list[Event]) -> list[Message]:
    return [event for event in events if isinstance(event, Message)]


def test_our_client_logs_in_sends_resumes_and_logs_out(serve: Callable[..., Running]) -> None:
    server = serve()
    session = Session("HFT001", "SECRET")
    client = Client(server.address, session, retry_s=0.01)
    assert client.login() == LoggedIn(CURRENT, 1)
    for number in range(1, 4):
        assert client.send(b"message %d" % number)
    seen = until(client, lambda events: len(messages(events)) == 3)
    client.send(b"four")
    client.send(b"cut")  # perhaps before the fourth came back
    seen += until(client, lambda events: any(isinstance(event, Lost) for event in events))
    seen += until(client, lambda events: any(isinstance(event, LoggedIn) for event in events))
    client.send(b"five")
    seen += until(client, lambda events: session.next_sequence == 6)
    assert messages(seen) == [Message(number, data) for number, data in enumerate(server.day, 1)]
    assert server.day == [b"message 1", b"message 2", b"message 3", b"four", b"five"]
    client.logout()
    assert [(each.user, each.session) for each in server.logins] == [("HFT001", ""), ("HFT001", CURRENT)]
    assert server.logins[0].sequence == "1" and server.logins[1].sequence in ("4", "5")


def test_our_client_and_the_end_of_their_session(serve: Callable[..., Running]) -> None:
    client = Client(serve().address, Session("HFT001", "SECRET"), retry_s=0.01)
    client.login()
    client.send(b"end")
    assert Ended() in until(client, lambda events: client.over)


def test_our_heartbeats_keep_their_server_content_and_theirs_us(serve: Callable[..., Running]) -> None:
    """It closes if it hears nothing between two looks, 1.6 s apart; we give it up after 1.5 s without a word."""
    server = serve(client_heartbeat_interval=0.4, server_heartbeat_interval=1.6)
    client = Client(server.address, Session("HFT001", "SECRET", silence_ns=1_500_000_000), retry_s=None)
    client.login()
    client.step(0)
    began = time.monotonic()
    while time.monotonic() - began < 3.6:
        assert not client.step(0.2)
    assert not client.over
    client.logout()


def test_their_server_does_not_know_the_login_of_4_10(serve: Callable[..., Running]) -> None:
    session = Session("HFT001", "SECRET", heartbeat_ms=5000, login_timeout_ns=500_000_000)
    client = Client(serve().address, session, retry_s=None)
    (event,) = until(client, lambda events: client.over)
    assert isinstance(event, Lost) and "did not answer the login" in event.why
