"""A session on a real connection: connects, reads, keeps the timers, and comes back when the connection is lost.

Single-threaded: everything happens in `step`, which a thread of the caller's runs in a loop, and in `send`.
"""

from __future__ import annotations

import errno
import math
import os
import select
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

from turbo_hft.errors import ConfigError, ExchangeError
from turbo_hft.soupbintcp.session import (
    SECOND_NS,
    Broken,
    Ended,
    Event,
    LoggedIn,
    Lost,
    Message,
    Refused,
    Session,
    State,
)
from turbo_hft.soupbintcp.wire import SocketWire, Wire

CONGESTION_CONTROLS = ("reno", "cubic")
"""Those that send at once what the window allows. One that paces would hold orders back."""
_CHUNK = 65_536
_CONNECT_TIMEOUT_NS = 5 * SECOND_NS
_GOODBYE_S = 1.0
_LONGEST_PAUSE_S = 5.0

Address = tuple[str, int]


class Client:
    """Connects `session` to a server. A context manager: leaving it logs out.

    Lost connections are made again after `retry_s` seconds, None: never. As long as none brings a message, each is
    waited for twice as long as the one before, up to 5 s. Every event of the session comes out of `step`.
    """

    def __init__(
        self,
        remote: Address,
        session: Session,
        *,
        local: Address | None = None,
        congestion_control: str = "reno",
        retry_s: float | None = 0.5,
        wire: Callable[[socket.socket], Wire] = SocketWire,
    ) -> None:
        """`local` is the address to come from (port 0: any). Nothing is connected before `step` or `login`.

        Errors: ConfigError.
        """
        if congestion_control not in CONGESTION_CONTROLS:
            raise ConfigError(
                f"congestion control {congestion_control!r}: give one of {', '.join(CONGESTION_CONTROLS)}, which do "
                "not pace what they send"
            )
        if retry_s is not None and not 0 <= retry_s < math.inf:
            raise ConfigError(f"retry_s {retry_s}: give seconds, or None for never")
        self.session = session
        self.remote = remote
        self.logins = 0
        self._local = local
        self._congestion_control = congestion_control.encode()
        self._retry_s = retry_s
        self._pause_s = retry_s or 0.0
        self._make_wire = wire
        self._socket: socket.socket | None = None
        self._wire: Wire | None = None  # None while connecting
        self._connecting_until_ns = 0
        self._retry_at_ns: int | None = 0
        self._events: list[Event] = []  # not handed out yet

    @property
    def over(self) -> bool:
        """Will nothing happen any more? The session is over, or lost and not to be retried."""
        return not self._events and self._socket is None and self._retry_at_ns is None

    @property
    def local(self) -> Address | None:
        """The address that the connection comes from; None without one."""
        if self._socket is None:
            return None
        host, port = self._socket.getsockname()
        return host, port

    def login(self, timeout_s: float = 5.0) -> LoggedIn:
        """Connect and log in; what arrives with the answer is handed out by `step`.

        Errors: ExchangeError when the server refuses, is not there, or does not go on where the session stands.
        """
        deadline_ns = time.monotonic_ns() + int(timeout_s * SECOND_NS)
        kept: list[Event] = []
        trouble = "no answer"
        try:
            while True:
                for event in self.step(max(0.0, (deadline_ns - time.monotonic_ns()) / SECOND_NS)):
                    kept.append(event)
                    match event:
                        case Refused():
                            raise ExchangeError(f"the login at {_words(self.remote)} was rejected: {event.why}")
                        case Broken(why):
                            raise ExchangeError(f"{_words(self.remote)}: {why}")
                        case Ended():
                            raise ExchangeError(f"the session at {_words(self.remote)} has ended")
                        case Lost(why):
                            trouble = why
                accepted = next((event for event in kept if isinstance(event, LoggedIn)), None)
                if accepted is not None and self.session.state is State.OPEN:
                    return accepted
                if self.over or time.monotonic_ns() >= deadline_ns:
                    raise ExchangeError(f"not logged in at {_words(self.remote)} in {timeout_s} s: {trouble}")
        finally:
            self._events = kept + self._events

    def step(self, timeout_s: float) -> list[Event]:
        """Do what there is to do, for at most `timeout_s` seconds; the events, as soon as there are some.

        Look at `over` when it returns none: then there is nothing to wait for. Errors: ConfigError when `local` cannot
        be used.
        """
        deadline_ns = time.monotonic_ns() + int(timeout_s * SECOND_NS)
        while True:
            self._advance(time.monotonic_ns())
            if self._events or self.over:
                events, self._events = self._events, []
                return events
            now_ns = time.monotonic_ns()
            if now_ns >= deadline_ns:
                return []
            self._wait(now_ns, deadline_ns)

    def send(self, message: bytes) -> bool:
        """Send a message to the server, unsequenced; False when the connection broke, which `step` will say too.

        True does not mean that it arrived. Errors: ConfigError when not logged in; MalformedMessage when too long.
        """
        packet = self.session.unsequenced(message)
        if not self._hand_over(packet):
            return False
        self.session.sent(time.monotonic_ns())
        return True

    def logout(self) -> None:
        """End the connection and do not come back; waits up to a second for the server to close it."""
        self._retry_at_ns = None
        self.session.logout(time.monotonic_ns())
        self._pass_on()
        if self._socket is not None and self._wire is not None:
            with suppress(OSError):  # it may be gone: that is what was wanted
                self._wire.flush()
                self._socket.settimeout(_GOODBYE_S)
                until = time.monotonic() + _GOODBYE_S
                while self._socket.recv(_CHUNK) and time.monotonic() < until:
                    pass
        self.close()

    def close(self) -> None:
        """Close the connection without a word, and do not come back."""
        self._retry_at_ns = None
        self._forget()
        self.session.disconnected("closed here")

    def __enter__(self) -> Client:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Log out."""
        self.logout()

    def _advance(self, now_ns: int) -> None:
        if self._socket is None:
            if self._retry_at_ns is not None and now_ns >= self._retry_at_ns:
                self._connect(now_ns)
            return
        if self._wire is None:
            self._finish_connecting(now_ns)
            return
        try:
            self._wire.flush()
        except OSError as error:
            self._lose(_why(error))
            return
        self._read(now_ns)
        self._hear(self.session.tick(time.monotonic_ns()))
        self._pass_on()

    def _connect(self, now_ns: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connecting_until_ns = now_ns + _CONNECT_TIMEOUT_NS
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, self._congestion_control)
            if self._local is not None:
                # The connection before, from the same port, may still be on its way out.
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                self._socket.bind(self._local)
        except OSError as error:
            self.close()
            where = "any address" if self._local is None else _words(self._local)
            raise ConfigError(
                f"cannot connect from {where} with {self._congestion_control.decode()}: {error.strerror}. Is the "
                "address on an interface, the port free, and the congestion control in the kernel?"
            ) from None
        number = self._socket.connect_ex(self.remote)
        if number not in (0, errno.EINPROGRESS):
            self._lose(os.strerror(number))

    def _finish_connecting(self, now_ns: int) -> None:
        assert self._socket is not None
        poll = select.poll()
        poll.register(self._socket, select.POLLOUT)
        if not poll.poll(0):
            if now_ns >= self._connecting_until_ns:
                self._lose("no answer")
            return
        number = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            self._lose(os.strerror(number))
            return
        self._wire = self._make_wire(self._socket)
        self.session.connected(time.monotonic_ns())
        self._pass_on()

    def _read(self, now_ns: int) -> None:
        assert self._wire is not None
        try:
            data = self._wire.receive(_CHUNK)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(_why(error))
            return
        if data:
            self._hear(self.session.receive(data, now_ns))
        else:
            self._lose("the server closed the connection")

    def _pass_on(self) -> None:
        """Hand what the session wants to say to the wire."""
        if self._wire is not None:
            self._hand_over(self.session.take())

    def _hand_over(self, data: bytes) -> bool:
        if self._wire is None:
            return False
        try:
            if data:
                self._wire.send(data)
        except OSError as error:
            self._lose(_why(error))
            return False
        return True

    def _hear(self, events: list[Event]) -> None:
        self._events += events
        for event in events:
            match event:
                case LoggedIn():
                    self.logins += 1
                case Message():
                    self._pause_s = self._retry_s or 0.0
                case Lost():
                    self._forget()
                case Refused() | Ended() | Broken():
                    self._forget()
                    self._retry_at_ns = None

    def _lose(self, why: str) -> None:
        """The connection is of no use, whatever the session had of it."""
        events = self.session.disconnected(why)
        self._hear(events or [Lost(f"no connection to {_words(self.remote)}: {why}")])

    def _forget(self) -> None:
        if self._wire is not None:
            self._wire.close()
        if self._socket is not None:
            self._socket.close()
        self._socket = self._wire = None
        if self._retry_s is None:
            self._retry_at_ns = None
        elif self._retry_at_ns is not None:
            self._retry_at_ns = time.monotonic_ns() + int(self._pause_s * SECOND_NS)
            self._pause_s = max(self._retry_s, min(2 * self._pause_s, _LONGEST_PAUSE_S))

    def _wait(self, now_ns: int, deadline_ns: int) -> None:
        if self._socket is None:
            due_ns = self._retry_at_ns
        elif self._wire is None:
            due_ns = self._connecting_until_ns
        else:
            due_ns = self.session.next_due_ns
        until_ns = deadline_ns if due_ns is None else min(deadline_ns, due_ns)
        pause_s = max(0, until_ns - now_ns) / SECOND_NS
        if self._socket is None:
            time.sleep(pause_s)
            return
        poll = select.poll()
        writes = self._wire is None or self._wire.pending
        poll.register(
            self._socket, (select.POLLIN if self._wire is not None else 0) | (select.POLLOUT if writes else 0)
        )
        poll.poll(math.ceil(pause_s * 1000))


def _words(address: Address) -> str:
    return f"{address[0]}:{address[1]}"


def _why(error: OSError) -> str:
    return error.strerror or str(error)
