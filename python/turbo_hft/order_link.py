"""What carries an order-entry session besides the hook's own orders: datagrams (UFO), or a TCP connection (SoupBinTCP).

Both speak `turbo_hft.wire.ufo`'s messages to `turbo_hft.order_entry`: what comes over SoupBinTCP is handed to the hook
as the datagram that UFO would have carried, so one set of rules applies each reply once, by its number.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Protocol

from turbo_hft.addresses import OrderSession
from turbo_hft.delegated import DelegatedWire
from turbo_hft.engine import Engine
from turbo_hft.errors import ConfigError, ExchangeError, MalformedMessage
from turbo_hft.soupbintcp import Broken, Client, Ended, Event, LoggedIn, Lost, Message, Refused, Session, State
from turbo_hft.wire import ufo

_MAX_DATAGRAM = 65_535
_PAUSE_S = 0.01
_MOST_BYTES = 1_400  # of the replies that the hook is given at once
_MOST_REPLIES = 64
_LOGIN_S = 5.0
_REST_S = 50e-6
_ASK_S = 0.1
_NS = 1_000_000_000


class Link(Protocol):
    """One session's way to the exchange."""

    @property
    def heard(self) -> float:
        """When the exchange last said something (monotonic, seconds)."""

    @property
    def connected(self) -> bool:
        """Is there a way at all, as far as is known?"""

    @property
    def delivered(self) -> bool:
        """Can nothing that was sent arrive any more that has not arrived?"""

    def open(self, *, recover: bool, look: bool) -> None:
        """Before the first login. `look`: `first_replies` will be asked for. Raises ExchangeError."""

    def first_replies(self, count: int, deadline: float) -> list[bytes]:
        """The day's first `count` replies, which the hook takes for known, in a session that is logged in. Raises
        ExchangeError when they are not there at the deadline (monotonic)."""

    def send(self, *messages: ufo.Upstream) -> None:
        """Send, or lose: the protocol repeats."""

    def replies(self, deadline: float) -> list[ufo.Downstream]:
        """What came next, and was seen by the hook; empty at the deadline (monotonic) or when it is none of ours."""

    def close(self) -> None:
        """Give the address back."""


class UfoLink:
    """A UDP socket, on which every reply packet arrives after the hook has seen it."""

    def __init__(self, session: OrderSession) -> None:
        """Raises ConfigError."""
        self.heard = 0.0
        self.connected = self.delivered = True
        self._stop = threading.Event()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.bind(session.local)
            self._socket.connect(session.remote)
        except OSError as error:
            self._socket.close()
            raise ConfigError(
                f"cannot use {session.local[0]}:{session.local[1]} for order entry: {error.strerror}. "
                "Is the address on the interface, and no other engine running?"
            ) from None

    def open(self, *, recover: bool, look: bool) -> None:
        """There is nothing to be opened."""

    def first_replies(self, count: int, deadline: float) -> list[bytes]:
        """They are sent again to who asks."""
        found: list[bytes] = []
        ask = 0.0
        while len(found) < count:
            now = time.monotonic()
            if now > deadline:
                raise _not_there(len(found), count)
            if now >= ask:
                self.send(ufo.RetransmissionRequest(len(found) + 1, count - len(found)))
                ask = now + _ASK_S
            for message in self.replies(min(ask, deadline)):
                if isinstance(message, ufo.Sequenced) and message.sequence <= len(found) + 1:
                    found += message.messages[len(found) + 1 - message.sequence :]
        return found[:count]

    def send(self, *messages: ufo.Upstream) -> None:
        """One datagram."""
        # Nobody listens yet, or the link is down: the protocol repeats, and a silent peer is noticed.
        with contextlib.suppress(OSError):
            self._socket.send(ufo.encode_upstream(*messages))

    def replies(self, deadline: float) -> list[ufo.Downstream]:
        """The next datagram."""
        self._socket.settimeout(max(0.001, deadline - time.monotonic()))
        try:
            datagram = self._socket.recv(_MAX_DATAGRAM)
            self.heard = time.monotonic()
            return [ufo.decode_downstream(datagram)]
        except (TimeoutError, MalformedMessage):
            return []
        except OSError:
            self._stop.wait(_PAUSE_S)  # a socket in trouble answers at once, again and again
            return []

    def close(self) -> None:
        """Close the socket."""
        self._stop.set()
        self._socket.close()


class SoupLink:
    """A TCP connection that the hook sends on (`turbo_hft.delegated`), made again when it is lost.

    Heartbeats, logging in again and asking for what is missing are SoupBinTCP's own.
    """

    def __init__(
        self,
        engine: Engine,
        session: OrderSession,
        *,
        merge_cpu: int | None = None,
        poll_s: float | None = None,
        silence_s: float = 5.0,
    ) -> None:
        """`merge_cpu`, `poll_s`: as `OrderEntry`. Raises ConfigError."""
        self.connected = False
        self._engine = engine
        self._session = session
        self._merge_cpu = merge_cpu
        # A thread that spins takes a CPU from those that have other work on it.
        self._poll_s = poll_s if poll_s is not None else 0.0 if merge_cpu is not None else _REST_S
        self._silence_ns = int(silence_s * _NS)
        self._client: Client | None = None
        self._wire: DelegatedWire | None = None
        self._end = 0  # of the day's replies that are read again, one past the last
        self._heard = 0.0
        self._first: list[bytes] = []

    @property
    def heard(self) -> float:
        """As the wire says."""
        return self._wire.heard if self._wire is not None else self._heard

    @property
    def delivered(self) -> bool:
        """Has the exchange's TCP acknowledged all? What a connection before this one had left went with it."""
        if not self.connected or self._wire is None:
            return False
        status = self._wire.connection.status
        return not (status.unmerged or status.unacknowledged or self._wire.pending)

    @property
    def wire(self) -> DelegatedWire | None:
        """The connection of now, None before the first."""
        return self._wire

    def _new_client(self, next_sequence: int) -> Client:
        at = self._session
        session = Session(
            at.username, at.password, session=at.session, next_sequence=next_sequence, silence_ns=self._silence_ns
        )
        return Client(at.remote, session, local=at.local, wire=self._lend)

    def _lend(self, sock: socket.socket) -> DelegatedWire:
        # What is not acknowledged for so long ends the connection: an order must not be sent again for ever.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, max(1, self._silence_ns // 1_000_000))
        self._wire = DelegatedWire(self._engine, self._session, sock, self._merge_cpu, self._poll_s)
        return self._wire

    def open(self, *, recover: bool, look: bool) -> None:
        """`recover`: log in for the end of the day's replies first, SoupBinTCP names it to who asks for nothing old.
        `look`: and from the first on, since old ones come to who logs in for them only."""
        if recover:
            self._end = self._end_of_day()
        if look:
            self._look()
        self._client = self._new_client(1 if recover else 0)

    def _end_of_day(self) -> int:
        """The number that the next reply will have."""
        with self._new_client(0) as client:
            return client.login(_LOGIN_S).sequence

    def _look(self) -> None:
        """Read the day's first replies. A login may itself bring one: the start of the day."""
        deadline, known, end = time.monotonic() + _LOGIN_S, 0, self._end_of_day()
        while known != end and time.monotonic() < deadline:
            known = end
            self._first = []
            with self._new_client(1) as client:
                client.login(_LOGIN_S)
                while len(self._first) < min(known - 1, _MOST_REPLIES) and time.monotonic() < deadline:
                    events = client.step(_PAUSE_S)
                    self._first += [one.data for one in events if isinstance(one, Message) and one.sequence is not None]
            end = self._end_of_day()

    def first_replies(self, count: int, deadline: float) -> list[bytes]:
        """Those that `open` has read."""
        if len(self._first) < count:
            raise _not_there(len(self._first), count)
        return self._first[:count]

    def send(self, *messages: ufo.Upstream) -> None:
        """Only what OUCH has to say, and the end; the rest SoupBinTCP sees to."""
        client = self._client
        for message in messages:
            if isinstance(message, ufo.Unsequenced) and client is not None:
                with contextlib.suppress(ConfigError):  # not logged in: lost, like a datagram
                    client.send(message.message)
            elif isinstance(message, ufo.Logoff) and client is not None:
                client.logout()

    def replies(self, deadline: float) -> list[ufo.Downstream]:
        """What the session says next."""
        if self._client is None:
            raise ConfigError("open the link before anything is heard on it.")
        pause_s = deadline - time.monotonic()
        if self._client.over:
            time.sleep(max(0.0, min(pause_s, _PAUSE_S)))
            return []
        heard = list(self._translated(self._client.step(max(0.0, pause_s))))
        for message in heard:
            if not self._known(message):
                self._engine.hear(message.encode())
        session = self._client.session
        if heard and self._wire is not None and session.state is State.OPEN:
            self._wire.connection.sync(session.unfinished, session.next_sequence)
        if session.state is State.OPEN and not self.connected:
            self._arm()
        return heard

    def _known(self, message: ufo.Downstream) -> bool:
        """Has the hook taken it from the stream itself?"""
        if not isinstance(message, ufo.Sequenced):
            return False
        return message.sequence + len(message.messages) <= self._engine.session.expected_seq

    def _arm(self) -> None:
        """Only now: the hook has the session, and the login is no message in the middle of which an order could be. Not
        where the engine's session has ended: cancels that wait are of that one."""
        if self._wire is None or self._engine.session.health == "ended":
            return
        with contextlib.suppress(ExchangeError):  # it is lost already, which the next step says
            self._wire.connection.arm()
            self.connected = True

    def _translated(self, events: Iterable[Event]) -> Iterator[ufo.Downstream]:
        """As UFO says it."""
        first, size = 0, 0
        messages: list[bytes] = []
        for event in events:
            if isinstance(event, Message) and event.sequence is not None:
                if messages and (size + len(event.data) > _MOST_BYTES or len(messages) == _MOST_REPLIES):
                    yield ufo.Sequenced(first, tuple(messages))
                    messages, size = [], 0
                first = first if messages else event.sequence
                messages.append(event.data)
                size += len(event.data) + 2
                continue
            if messages:
                yield ufo.Sequenced(first, tuple(messages))
                messages, size = [], 0
            match event:
                case LoggedIn(session, sequence):
                    yield ufo.LoginAccepted(session, max(sequence, self._end))
                case Refused(reason):
                    self.connected = False
                    yield ufo.LoginRejected(reason)
                case Ended():
                    self.connected = False
                    assert self._client is not None
                    yield ufo.EndOfSession(self._client.session.next_sequence)
                case Lost() | Broken():
                    self.connected = False
        if messages:
            yield ufo.Sequenced(first, tuple(messages))

    def close(self) -> None:
        """Close the connection without a word; after a logout nothing is left of it."""
        if self._client is not None:
            self._client.close()


def _not_there(found: int, count: int) -> ExchangeError:
    return ExchangeError(
        f"{found} of the day's first {count} replies came: whether the account has traded today is not known. Give "
        "login a longer timeout_s, or say start_flat (--start-flat) if it has not."
    )


def link_of(
    engine: Engine, session: OrderSession, silence_s: float, merge_cpu: int | None, poll_s: float | None
) -> Link:
    """What the session's transport asks for. Raises ConfigError."""
    if session.transport == "soupbintcp":
        return SoupLink(engine, session, merge_cpu=merge_cpu, poll_s=poll_s, silence_s=silence_s)
    return UfoLink(session)
