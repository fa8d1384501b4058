"""The order-entry session: login, heartbeats, asking again for replies that were lost, and coming back after a silence.

Orders themselves leave from the hook and replies are applied by the hook; this keeps the session around them alive. It
owns the link to the exchange (`turbo_hft.order_link`), on which every reply also arrives after the hook has seen it.

An exchange that falls silent halts the engine. Then it is logged in to again, under the same session, what is missing
is asked for, and once the replies are whole the orders that were never answered are settled (`turbo_hft.unanswered`).
Until nothing is uncertain any more the engine stays halted; afterwards too, unless it was made with `rearm`. Cancels
without an answer are sent again, after a silence or without one.
"""

from __future__ import annotations

import contextlib
import threading
import time
from types import TracebackType

from turbo_hft.addresses import OrderSession
from turbo_hft.engine import Engine
from turbo_hft.errors import ConfigError, ExchangeError, MalformedMessage, NotFlat
from turbo_hft.kill import KillState
from turbo_hft.lease import checked_seconds
from turbo_hft.order_link import Link, link_of
from turbo_hft.snapshots import WorkingOrder
from turbo_hft.unanswered import Unanswered, UnansweredCancels
from turbo_hft.wire import ouch50, ufo

_REJECT_REASONS = {"A": "user or password not authorised", "S": "session not available"}
_HEARTBEAT_S = 1.0
_RESEND_S = 0.1
_LOGIN_RETRY_S = 0.5
_MAX_RETRANSMISSION = 0xFFFF
_SETTLE_S = 1.0  # between two looks at orders without an answer, while all is well
_TOKEN_PREFIX = 6
_MOST_SYSTEM = 8  # replies of a day on which nothing was traded: system events


class OrderEntry:
    """A session for one engine. A context manager: leaving it halts the engine, then logs off.

    `rearm`: after a silence that left nothing uncertain, bring the engine back into the state it was in, unless
    a person has halted it meanwhile.
    `lost_after_s`: while halted, an order without an answer is lost so long after the replies were whole (seconds).
    `silence_s`: so long the exchange may say nothing before it counts as silent (seconds; it beats once in each).
    `merge_cpu`: SoupBinTCP, a CPU for the thread alone that merges what the hook sent, to spin on; without one it rests
    for 50 µs between two looks, or for `poll_s` (seconds).
    """

    def __init__(
        self,
        engine: Engine,
        session: OrderSession,
        *,
        rearm: bool = False,
        lost_after_s: float = 5.0,
        silence_s: float = 5.0,
        merge_cpu: int | None = None,
        poll_s: float | None = None,
    ) -> None:
        self.engine = engine
        self.session = session
        self.retransmission_requests = 0
        self.silences = 0  # times the engine was halted because the exchange had fallen silent
        self.logins = 0  # how often it was accepted
        self.cancels_again = 0  # cancels that were sent once more, because nothing came of them
        self._rearm = rearm
        self._silence_s = checked_seconds("silence_s", silence_s)
        self._unanswered = Unanswered(
            engine,
            can_query=session.protocol == "ouch50",
            lost_after_s=checked_seconds("lost_after_s", lost_after_s),
            delivered=lambda: self._link.delivered,
        )
        self._cancels = UnansweredCancels(engine)
        self._away = False  # silent; being logged in to again
        self._before: KillState | None = None  # the engine's state before a silence, until all is settled
        self._lift = False  # back into it without `rearm`: of a session that was taken over
        self._settled = 0.0
        self._since = 0.0  # from when on a silence counts
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._link = link_of(engine, session, self._silence_s, merge_cpu, poll_s)

    @property
    def uncertain(self) -> tuple[WorkingOrder, ...]:
        """Orders without an answer whose fate is not certain."""
        return self._unanswered.uncertain

    @property
    def lost(self) -> tuple[int, ...]:
        """UserRefNums of the orders that were declared lost."""
        return tuple(self._unanswered.lost)

    @property
    def settled(self) -> bool:
        """Is the exchange there, and nothing left over from a silence?"""
        return not self._away and self._before is None

    def login(self, timeout_s: float = 5.0, *, recover: bool = False, start_flat: bool = False) -> None:
        """Log in and continue the day's UserRefNum; returns when the hook has the session.

        `recover`: read the day's replies again from the first, and take orders and positions from them: for an engine
        that was restarted. All symbols that were traded must be tracked. With OUCH 4.2 it needs the session's
        `token_prefix` of the start before, by which its orders are known.
        `start_flat`: a person knows that positions of 0 are right although the account has traded today, or wants to
        begin there. Without either, such a start raises NotFlat: logged in, but suspect, so nothing but cancels leaves.

        Raises ExchangeError when the exchange refuses, stays silent, or answers past the hook; ConfigError.
        """
        if recover and start_flat:
            raise ConfigError("recover and start_flat exclude each other: positions of the day, or none.")
        if not self.engine.configured:
            raise ConfigError("configure the engine (engine.configure) before login.")
        if not self.engine.halted:
            raise ConfigError(
                "log in while the engine is halted, then call engine.resume(): no order may leave before."
            )
        if self.session.protocol == "ouch42" and recover != bool(self.session.token_prefix):
            raise ConfigError(
                "OUCH 4.2: recover and a session with a token_prefix go together. Without reading the day's replies "
                "its numbers would be used again, without the prefix the day's orders are not known."
            )
        deadline = time.monotonic() + timeout_s
        self.engine.prepare_login(recover=recover)
        known_seq = self.engine.session.expected_seq
        look = self.session.protocol == "ouch42" and not recover and not start_flat
        self._link.open(recover=recover, look=look)
        following = self._login(deadline)
        while self.engine.session.health == "down":
            if time.monotonic() > deadline:
                raise ExchangeError(
                    "the exchange accepted the login but the hook did not see it: is the engine attached to "
                    "the interface "
                    f"that {self.session.local[0]} is on?"
                )
            time.sleep(0.001)
        if recover:
            self._read_day(deadline)
        if self.engine.session.health != "up":
            raise ExchangeError(
                f"order entry is {self.engine.session.health}: restart the engine after looking at its events."
            )
        before = ""
        if self.session.protocol == "ouch50":
            known = self.engine.session.next_user_ref
            if (theirs := self._continue_user_refs(deadline)) > known:
                before = f"its next UserRefNum is {theirs}, this engine has sent none above {known - 1}"
        elif look and following != known_seq:
            try:
                before = self._traded(following, deadline)
            except ExchangeError:
                self.engine.doubt_session()  # or the next try, which finds nothing new, would take it for flat
                raise
        doubtful = bool(before) and not recover and not start_flat
        if doubtful:
            self.engine.doubt_session()
        self._thread = threading.Thread(target=self._keep, name="order-entry", daemon=True)
        self._thread.start()
        if doubtful:
            raise NotFlat(
                f"account {self.session.username} has traded today ({before}), and this engine knows no position and "
                "no order of that. It stays halted, order entry suspect. Start again with --recover (login(recover="
                "True)), which takes them from the day's replies; or, if a position of 0 is what you mean, with "
                "--start-flat (start_flat=True), or say `turbo-hft trust`, then `turbo-hft resume`."
            )

    def take_over(self, timeout_s: float = 5.0, *, trade_on: bool) -> None:
        """Continue the session of a process that is gone, as the hook has kept it: sequence, UserRefNum, orders.

        Nothing leaves until every reply is there and no order is uncertain. Then, with `trade_on`, the engine goes back
        into the state it was in; without, it is halted. Raises ExchangeError, as `login`, and for a session that has
        ended: the day's replies can then be read into a fresh engine (`recover`).
        """
        health = self.engine.session.health
        if health in ("down", "ended"):
            raise ExchangeError(f"order entry is {health}: there is no session to be taken over.")
        self._before = self.engine.suspended_from
        self._lift = trade_on
        if trade_on:
            self.engine.suspend()
        else:
            self.engine.halt()
        deadline = time.monotonic() + timeout_s
        self._login(deadline)
        if health == "recovering":
            self._read_day(deadline)
        if self.session.protocol == "ouch50":
            self._continue_user_refs(deadline)
        self._thread = threading.Thread(target=self._keep, name="order-entry", daemon=True)
        self._thread.start()

    def _login(self, deadline: float) -> int:
        """The number that the exchange's next reply will have."""
        request = ufo.LoginRequest(self.session.username, self.session.password, self.session.session)
        while time.monotonic() < deadline:
            self._send(request)
            for message in self._replies(min(time.monotonic() + _LOGIN_RETRY_S, deadline)):
                if isinstance(message, ufo.LoginAccepted):
                    self.logins += 1
                    return message.sequence
                if isinstance(message, ufo.LoginRejected):
                    raise ExchangeError(f"login of {self.session.username!r} was rejected: {_why(message)}")
        raise ExchangeError(
            f"no answer to the login from {self.session.remote[0]}:{self.session.remote[1]}: is the exchange up?"
        )

    def _read_day(self, deadline: float) -> None:
        """Have the hook read the day's replies. Raises ExchangeError when they do not come."""
        ask = 0.0
        while (state := self.engine.session).health == "recovering":
            now = time.monotonic()
            if now > deadline:
                raise ExchangeError(
                    f"the day's replies did not all come: {state.highest_seq - state.expected_seq} are missing, from "
                    f"{state.expected_seq} on. Give login a longer timeout_s, or look whether the exchange keeps them."
                )
            if now >= ask:
                self._ask_again()
                ask = now + _RESEND_S
            for message in self._replies(min(ask, deadline)):
                self._continue_tokens(message)

    def _continue_tokens(self, message: ufo.Downstream) -> None:
        """OUCH 4.2: numbers of rejected orders are used up too, and the hook does not know them."""
        if self.session.protocol != "ouch42" or not isinstance(message, ufo.Sequenced):
            return
        from turbo_hft.wire import ouch42

        for raw in message.messages:
            with contextlib.suppress(MalformedMessage, ValueError):
                reply = ouch42.decode_outbound(raw)
                if isinstance(reply, ouch42.Rejected) and reply.order_token.startswith(self.session.token_prefix):
                    self.engine.start_user_refs_at(int(reply.order_token[_TOKEN_PREFIX:], 16) + 1)

    def _traded(self, following: int, deadline: float) -> str:
        """OUCH 4.2 has no account query: what the day's first replies, which are before number `following`, say of
        orders; empty if there were none. Raises ExchangeError when they do not come."""
        if following - 1 > _MOST_SYSTEM:
            return f"{following - 1} replies were sent"
        from turbo_hft.wire import ouch42

        for number, raw in enumerate(self._link.first_replies(following - 1, deadline), 1):
            kind = raw[:1].decode("latin-1")
            if kind != ouch42.SystemEvent.TYPE:
                return f"reply {number} of {following - 1} is of type {kind!r}"
        return ""

    def _continue_user_refs(self, deadline: float) -> int:
        """A restarted engine must not use numbers again: the exchange would take its orders for retransmissions.
        The exchange's next number."""
        while time.monotonic() < deadline:
            self._send(ufo.Unsequenced(ouch50.AccountQuery().encode()))
            for message in self._replies(min(time.monotonic() + _LOGIN_RETRY_S, deadline)):
                for next_user_ref, _ in _account_answers(message):
                    self.engine.start_user_refs_at(next_user_ref)
                    return next_user_ref
        raise ExchangeError(
            "the exchange did not answer the account query: without it UserRefNum cannot be continued safely."
        )

    def _send(self, *messages: ufo.Upstream) -> None:
        self._link.send(*messages)

    def _replies(self, deadline: float) -> list[ufo.Downstream]:
        return self._link.replies(deadline)

    @property
    def link(self) -> Link:
        """What carries the session."""
        return self._link

    def _keep(self) -> None:
        """Look after the session; an engine whose session nobody looks after must not trade."""
        try:
            self._look_after()
        finally:
            if not self._stop.is_set():
                self.engine.halt()

    def _look_after(self) -> None:
        """Heartbeats, retransmission requests, reading the socket empty; what has to be done after a silence."""
        heartbeat = ask = login = 0.0
        self._since = time.monotonic()
        while not self._stop.is_set():
            now = time.monotonic()
            if self._silent(now) and not self._away:
                for message in self._replies(now):  # it may be us who did not get round to listening
                    self._hear(message)
                if self._silent(now):
                    self._fall_silent()
            if now >= heartbeat:
                self._send(ufo.ClientHeartbeat())
                heartbeat = now + _HEARTBEAT_S
            if self._away and now >= login:
                self._send(ufo.LoginRequest(self.session.username, self.session.password, self.session.session))
                login = now + _LOGIN_RETRY_S
            if now >= ask:
                self._ask_again()
                self._settle(now)
                ask = now + _RESEND_S
            while time.monotonic() < ask and not self._stop.is_set():
                for message in self._replies(ask):
                    self._hear(message)
                if not self._link.connected and not self._away:
                    self._fall_silent()

    def _ask_again(self) -> None:
        state = self.engine.session
        missing = state.highest_seq - state.expected_seq
        if missing > 0 and state.expected_seq:
            self._send(ufo.RetransmissionRequest(state.expected_seq, min(missing, _MAX_RETRANSMISSION)))
            self.retransmission_requests += 1

    def _silent(self, now: float) -> bool:
        return now - max(self._link.heard, self._since) > self._silence_s

    def _fall_silent(self) -> None:
        self._away = True
        if self._before is None:
            self._before = self.engine.state
        self._lift = False
        if not self.engine.halted:
            self.silences += 1
            self.engine.suspend(lifts=self._rearm)

    def _hear(self, message: ufo.Downstream) -> None:
        """What a reply means for the session; orders and positions are the hook's."""
        if isinstance(message, ufo.LoginAccepted):
            self.logins += 1
            self._away = False
        for next_user_ref, sequence in _account_answers(message):
            self._unanswered.answered(next_user_ref, sequence)

    def _settle(self, now: float) -> None:
        """Look for orders that were never answered: always after a silence, now and then otherwise."""
        if self._away or (self._before is None and now - self._settled < _SETTLE_S):
            return
        self._settled = now
        self._unanswered.step(now)
        for user_ref in self._cancels.due(now):
            self._send(ufo.Unsequenced(self.engine.cancel_message(user_ref)))
            self.cancels_again += 1
        if self._unanswered.query_due(now):
            self._send(ufo.Unsequenced(ouch50.AccountQuery().encode()))
        if self._before is None or self._unanswered.uncertain or not self._whole():
            return
        if (self._rearm or self._lift) and not self.engine.lease.in_force:
            return  # who keeps it was busy, with taking the engine over for one: it is lifted when he is back
        before, self._before = self._before, None
        lift, self._lift = self._rearm or self._lift, False
        if lift:
            with contextlib.suppress(ConfigError):  # it has lapsed this moment: it stays halted
                self.engine.lift(before)

    def _whole(self) -> bool:
        state = self.engine.session
        return state.health == "up" and state.expected_seq >= state.highest_seq

    def close(self) -> None:
        """Halt the engine, log off and give the address back. Working orders stay at the exchange.

        Without working orders the session is down afterwards, and a new login may follow; with some it has ended for
        this
        engine, because replies to them would be missed.
        """
        if self.leave():
            self.engine.halt()
            self._send(ufo.Logoff())
            self.engine.leave_session()
        self._link.close()

    def leave(self) -> bool:
        """Stop looking after the session, and leave it and the engine as they are: for who takes it over. Was it being
        looked after? `close` gives the address back."""
        self._stop.set()
        if self._thread is None:
            return False
        self._thread.join()
        self._thread = None
        return True

    def __enter__(self) -> OrderEntry:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _why(message: ufo.LoginRejected) -> str:
    return f"{_REJECT_REASONS.get(message.reason, message.reason)}. Check user, password and session."


def _account_answers(message: ufo.Downstream) -> list[tuple[int, int]]:
    """(next UserRefNum, number of the reply) of every answer to an Account Query."""
    found = []
    for sequence, raw in enumerate(message.messages, message.sequence) if isinstance(message, ufo.Sequenced) else ():
        with contextlib.suppress(MalformedMessage):
            reply = ouch50.decode_outbound(raw)
            if isinstance(reply, ouch50.AccountQueryResponse):
                found.append((reply.next_user_ref_num, sequence))
    return found
