"""The exchange of the lab before and after a run: logins are served, and the feed is ended.

During the run native/rig/script.c is the exchange. All of it goes through the wire itself (`rigs.Wire`), without a
network stack on this side.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from turbo_hft._native import ffi, lib
from turbo_hft.errors import ExchangeError
from turbo_hft.lab import PASSWORD, USERNAME, LabAddresses
from turbo_hft.latency.script import FIRST_TIME_NS, SESSION, reply_frame
from turbo_hft.wire import ouch50, ufo

_ROOM = 2_048
_POLL_S = 0.0005
_ENDS = 3
_END_PAUSE_S = 0.05


class Exchange:
    """Order entry of one participant, from its login to its first order; `reply_seq` is the next reply's."""

    def __init__(self, wire: Any, addresses: LabAddresses) -> None:
        self._wire = wire
        self._addresses = addresses
        self.reply_seq = 1

    @contextmanager
    def login_thread(self, timeout_s: float = 10.0) -> Iterator[None]:
        """Serve logins and account queries while the block runs, until somebody is logged in and the block has ended.

        Raises ExchangeError when nobody logged in within ``timeout_s`` after the block, or with a wrong account.
        """
        errors: list[BaseException] = []
        entered, given_up = threading.Event(), threading.Event()

        def body() -> None:
            buffer, seen, came = ffi.new("uint8_t[]", _ROOM), ffi.new("uint64_t *"), ffi.new("uint64_t *")
            logged_in, deadline = False, None
            try:
                while not (logged_in and entered.is_set()) and not given_up.is_set():
                    if entered.is_set():
                        deadline = deadline or time.monotonic() + timeout_s
                        if time.monotonic() > deadline:
                            raise ExchangeError(f"nobody logged in within {timeout_s} s: did the responder start?")
                    length = lib.hft_wire_receive(self._wire, buffer, _ROOM, seen, came)
                    if length == -errno.EAGAIN:
                        time.sleep(_POLL_S)
                    elif length < 0:
                        raise ExchangeError(f"a login cannot be read: {os.strerror(-length)}; is the rig still up?")
                    elif length:
                        for request in ufo.decode_upstream(bytes(ffi.buffer(buffer, length))):
                            logged_in |= self._serve(request)
            except BaseException as error:
                errors.append(error)

        lib.hft_wire_take(self._wire, 1)
        thread = threading.Thread(target=body, name="latency-login")
        thread.start()
        try:
            yield
        except BaseException:
            given_up.set()  # the responder never started, or an interrupt struck: nobody will log in
            raise
        finally:
            entered.set()
            thread.join()
        if errors:
            raise errors[0]

    def _serve(self, request: ufo.Upstream) -> bool:
        """Answer one request from before the run; whether it was a good login."""
        if isinstance(request, ufo.LoginRequest):
            if (request.username, request.password) != (USERNAME, PASSWORD):
                self._reply(ufo.LoginRejected("A").encode())
                raise ExchangeError(f"the responder logged in as {request.username}: the rig's account is {USERNAME}")
            self._reply(ufo.LoginAccepted(SESSION, self.reply_seq).encode())
            return True
        if isinstance(request, ufo.Unsequenced) and request.message == ouch50.AccountQuery().encode():
            answer = ouch50.AccountQueryResponse(timestamp=FIRST_TIME_NS, next_user_ref_num=1)
            self._reply(ufo.Sequenced(self.reply_seq, (answer.encode(),)).encode())
            self.reply_seq += 1
        return False

    def _reply(self, payload: bytes) -> None:
        self.send(reply_frame(self._addresses, payload))

    def send(self, frame: bytes) -> None:
        """One frame. Raises ExchangeError when the wire does not take it."""
        failed = lib.hft_wire_send(self._wire, frame, len(frame))
        if failed:
            raise ExchangeError(f"the wire took no frame: {os.strerror(-failed)}; is the rig still up?")

    def end(self, frame: bytes) -> None:
        """End the feed's session with that frame: several times, since a full queue may drop it."""
        for _ in range(_ENDS):
            self.send(frame)
            time.sleep(_END_PAUSE_S)
