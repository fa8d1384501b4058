"""The other end of the control socket: a connection to the process that keeps an engine."""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from turbo_hft.announce import command_line, reason
from turbo_hft.control import requests
from turbo_hft.control.peer import group_name, peer_of
from turbo_hft.control.requests import Role
from turbo_hft.errors import MalformedMessage, NotAllowed, NotRunning, TurboHftError
from turbo_hft.layout import ControlLayout

_PAUSE_S = 0.005
_ANSWER_S = 5.0
_READ = 1 << 20


class ControlClient:
    """A connection, with the right to read or to trade. A context manager. One thread at a time is answered.

    `may_trade`: is it the socket for that? `pid`: whose process is at the other end.
    """

    def __init__(self, layout: ControlLayout, role: Role) -> None:
        """Raises NotRunning where nobody listens, NotAllowed where this user may not."""
        self._layout = layout
        self._lock = threading.Lock()
        self._come = bytearray()
        self._number = 0
        path = layout.trade if role == "trade" else layout.read
        try:
            self._socket = _connected(path)
        except PermissionError:
            raise NotAllowed(_refused(path, role)) from None
        self.may_trade = role == "trade"
        try:
            self.pid = peer_of(self._socket).pid
            self.ask(requests.Hello())
        except BaseException:
            self.close()
            raise

    @classmethod
    def reading(cls, layout: ControlLayout) -> ControlClient:
        """With the right to trade if this user has it, otherwise to read. Raises as the constructor does."""
        try:
            return cls(layout, "trade")
        except NotAllowed:
            return cls(layout, "read")

    def ask(self, request: requests.Request) -> dict[str, Any]:
        """The answer. Raises what was raised there; NotRunning when the process has gone or does not answer."""
        with self._lock:
            self._number += 1
            command = request.command or command_line(sys.argv)[: requests.MOST_WORDS]
            because = (request.because or reason())[: requests.MOST_WORDS] or None
            sent = msgspec.structs.replace(request, id=self._number, command=command, because=because)
            wait_s = getattr(request, "timeout_s", 0.0) + _ANSWER_S
            answer = self._exchange(requests.encode(sent), time.monotonic() + wait_s)
        if answer.error is not None:
            raise requests.raised(answer.error)
        if answer.id != self._number or answer.ok is None:
            raise MalformedMessage("the engine's process answers something that was not asked: is this its socket?")
        result: dict[str, Any] = answer.ok
        return result

    def _exchange(self, line: bytes, deadline: float) -> requests.Answer:
        try:
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            self._socket.sendall(line)
            return requests.decode_answer(self._line(deadline))
        except TimeoutError:
            self.close()  # a late answer must not be taken for that of the next request
            raise NotRunning(
                f"process {self.pid}, which runs the engine on {self._layout.interface}, does not answer. As root "
                "turbo-hft steers the engine without it."
            ) from None
        except BrokenPipeError:
            # It may have said why before it went.
            with contextlib.suppress(OSError, NotRunning):
                return requests.decode_answer(self._line(deadline))
            raise self._gone() from None
        except OSError:
            raise self._gone() from None

    def events(self, kinds: tuple[str, ...] = ()) -> Iterator[tuple[list[dict[str, Any]], int]]:
        """Batches of events from now on, each with how many were dropped so far; empty ones when nothing has happened
        for half a second. Nothing else can be asked of this connection afterwards. Raises as `ask` does."""
        self.ask(requests.Subscribe(kinds=kinds))
        while True:
            try:
                answer = requests.decode_answer(self._line(time.monotonic() + 0.5))
            except TimeoutError:
                yield [], 0
                continue
            if answer.error is not None:
                raise requests.raised(answer.error)
            yield list(answer.events or []), answer.dropped

    def _line(self, deadline: float) -> bytes:
        """The next one. What has come of it before a timeout is kept."""
        looked = 0
        while (end := self._come.find(b"\n", looked)) < 0:
            looked = len(self._come)
            if looked > requests.MOST_ANSWER_BYTES:
                raise MalformedMessage(f"an answer has more than {requests.MOST_ANSWER_BYTES >> 20} MB: that is none.")
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            more = self._socket.recv(_READ)
            if not more:
                raise self._gone()
            self._come += more
        line = bytes(self._come[:end])
        del self._come[: end + 1]
        return line

    def _gone(self) -> NotRunning:
        return NotRunning(f"the process that ran the engine on {self._layout.interface} has ended the connection.")

    def close(self) -> None:
        """Let it go."""
        self._socket.close()

    def __enter__(self) -> ControlClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _connected(path: Path) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.settimeout(_ANSWER_S)
    try:
        _connect(made, str(path), time.monotonic() + _ANSWER_S)
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        made.close()
        raise NotRunning(
            f"nobody listens at {path}: no `turbo-hft run` with a control socket (--control) keeps an engine of that "
            "interface."
        ) from None
    except PermissionError:
        made.close()
        raise
    except OSError as error:
        made.close()
        if error.errno == errno.EAGAIN:
            raise NotRunning(f"{path}: too many wait to be let in. Try again.") from None
        raise TurboHftError(f"cannot connect to {path}: {error.strerror}.") from None
    return made


def _connect(made: socket.socket, path: str, deadline: float) -> None:
    """Wait at the door where others do."""
    while True:
        try:
            made.connect(path)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(_PAUSE_S)
        else:
            return


def _refused(path: Path, role: Role) -> str:
    """Which group is missing."""
    what = {"read": "look at", "trade": "trade with"}[role]
    try:
        about = path.stat()
    except OSError as error:
        return f"this user may not {what} the engine: {path}: {error.strerror}."
    user = _user()
    if not about.st_mode & 0o060:
        return f"{user} may not {what} the engine: only user number {about.st_uid}, who runs it, and root may."
    group = group_name(about.st_gid)
    return (
        f"{user} may not {what} the engine: he is not in group {group} ({path}). `usermod -aG {group} {user}`, then "
        "log in again."
    )


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"user {os.getuid()}"
