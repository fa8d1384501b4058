"""The order-entry session: login, heartbeats, and asking again for replies that were lost.

Orders themselves leave from the hook and replies are applied by the hook; this keeps the session around them alive.
It owns
the UDP socket of the engine's order-entry address, on which every reply packet also arrives after the hook has seen it.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from types import TracebackType

from turbo_hft.addresses import OrderSession
from turbo_hft.engine import Engine
from turbo_hft.errors import ConfigError, ExchangeError, MalformedMessage
from turbo_hft.wire import ouch50, ufo

_REJECT_REASONS = {"A": "user or password not authorised", "S": "session not available"}
_HEARTBEAT_S = 1.0
_RESEND_S = 0.1
_LOGIN_RETRY_S = 0.5
_MAX_RETRANSMISSION = 0xFFFF
_MAX_DATAGRAM = 65535
_PAUSE_S = 0.01
PEER_SILENCE_S = 5.0  # the server beats once a second


class OrderEntry:
    """A UFO session for one engine. A context manager: leaving it halts the engine, then logs off."""

    def __init__(self, engine: Engine, session: OrderSession) -> None:
        self.engine = engine
        self.session = session
        self.retransmission_requests = 0
        self.silences = 0  # times the engine was halted because the exchange had fallen silent
        self._heard = 0.0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
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

    def login(self, timeout_s: float = 5.0) -> None:
        """Log in and continue the day's UserRefNum; returns when the hook has the session.

        Raises ExchangeError when the exchange refuses, stays silent, or answers past the hook.
        """
        if not self.engine.configured:
            raise ConfigError("configure the engine (engine.configure) before login.")
        if not self.engine.halted:
            raise ConfigError(
                "log in while the engine is halted, then call engine.resume(): no order may leave before."
            )
        deadline = time.monotonic() + timeout_s
        self._login(deadline)
        while self.engine.session.health == "down":
            if time.monotonic() > deadline:
                raise ExchangeError(
                    "the exchange accepted the login but the hook did not see it: is the engine attached to "
                    "the interface "
                    f"that {self.session.local[0]} is on?"
                )
            time.sleep(0.001)
        if self.engine.session.health != "up":
            raise ExchangeError(
                f"order entry is {self.engine.session.health}: restart the engine after looking at its events."
            )
        if self.session.protocol == "ouch50":
            self._continue_user_refs(deadline)
        self._thread = threading.Thread(target=self._keep, name="order-entry", daemon=True)
        self._thread.start()

    def _login(self, deadline: float) -> None:
        request = ufo.LoginRequest(self.session.username, self.session.password, self.session.session)
        while time.monotonic() < deadline:
            self._send(request)
            for message in self._replies(min(time.monotonic() + _LOGIN_RETRY_S, deadline)):
                if isinstance(message, ufo.LoginAccepted):
                    return
                if isinstance(message, ufo.LoginRejected):
                    why = _REJECT_REASONS.get(message.reason, message.reason)
                    raise ExchangeError(
                        f"login of {self.session.username!r} was rejected: {why}. Check user, password and session."
                    )
        raise ExchangeError(
            f"no answer to the login from {self.session.remote[0]}:{self.session.remote[1]}: is the exchange up?"
        )

    def _continue_user_refs(self, deadline: float) -> None:
        """A restarted engine must not use numbers again: the exchange would take its orders for retransmissions."""
        while time.monotonic() < deadline:
            self._send(ufo.Unsequenced(ouch50.AccountQuery().encode()))
            for message in self._replies(min(time.monotonic() + _LOGIN_RETRY_S, deadline)):
                for raw in message.messages if isinstance(message, ufo.Sequenced) else ():
                    with contextlib.suppress(MalformedMessage):
                        reply = ouch50.decode_outbound(raw)
                        if isinstance(reply, ouch50.AccountQueryResponse):
                            self.engine.start_user_refs_at(reply.next_user_ref_num)
                            return
        raise ExchangeError(
            "the exchange did not answer the account query: without it UserRefNum cannot be continued safely."
        )

    def _send(self, *messages: ufo.Upstream) -> None:
        # Nobody listens yet, or the link is down: the protocol repeats, and a silent peer is noticed by `_keep`.
        with contextlib.suppress(OSError):
            self._socket.send(ufo.encode_upstream(*messages))

    def _replies(self, deadline: float) -> list[ufo.Downstream]:
        """The next datagram, decoded; empty at the deadline or when it is none of ours."""
        self._socket.settimeout(max(0.001, deadline - time.monotonic()))
        try:
            datagram = self._socket.recv(_MAX_DATAGRAM)
            self._heard = time.monotonic()
            return [ufo.decode_downstream(datagram)]
        except (TimeoutError, MalformedMessage):
            return []
        except OSError:
            self._stop.wait(_PAUSE_S)  # a socket in trouble answers at once, again and again
            return []

    def _keep(self) -> None:
        """Look after the session; an engine whose session nobody looks after must not trade."""
        try:
            self._look_after()
        finally:
            if not self._stop.is_set():
                self.engine.halt()

    def _look_after(self) -> None:
        """Heartbeats, retransmission requests, reading the socket empty; halt when the exchange falls silent."""
        heartbeat = 0.0
        self._heard = time.monotonic()
        while not self._stop.is_set():
            now = time.monotonic()
            if now - self._heard > PEER_SILENCE_S and not self.engine.halted:
                self.silences += 1
                self.engine.halt()
            if now >= heartbeat:
                self._send(ufo.ClientHeartbeat())
                heartbeat = now + _HEARTBEAT_S
            state = self.engine.session
            missing = state.highest_seq - state.expected_seq
            if missing > 0 and state.expected_seq:
                self._send(ufo.RetransmissionRequest(state.expected_seq, min(missing, _MAX_RETRANSMISSION)))
                self.retransmission_requests += 1
            end = time.monotonic() + _RESEND_S
            while time.monotonic() < end and not self._stop.is_set():
                self._replies(end)

    def close(self) -> None:
        """Halt the engine, log off and give the address back. Working orders stay at the exchange.

        Without working orders the session is down afterwards, and a new login may follow; with some it has ended for
        this
        engine, because replies to them would be missed.
        """
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            self.engine.halt()
            self._send(ufo.Logoff())
            self.engine.leave_session()
        self._socket.close()

    def __enter__(self) -> OrderEntry:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
