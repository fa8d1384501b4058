"""Who changes an engine: a word to its recorder, if there is one, from whoever has just changed something.

It goes by a datagram socket in the directory of the engine's locks. The kernel itself puts the sender's process, user
and group beside it, so that these are not the sender's own words. Nobody waits for it, and nobody fails by it: what
cannot be said is not said, and the recorder, which sees every change for itself, then does not know whose it was.

Only who can be in that directory reaches it. Still only who can change an engine is heard (root, the user who records,
a process with CAP_BPF), of no more than a bounded number of words at a time, and what is
no word of this module is dropped.

What a client of the control socket has changed is the client's: `on_behalf_of` says so, and the recorder believes it of
its own process only, whose control socket was told by the kernel who the client is.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import pwd
import socket
import struct
import sys
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from turbo_hft import privileges
from turbo_hft.locks import Locks

_SECRET = ("--account",)
_MOST_BYTES = 65_536
_MOST_AT_ONCE = 256  # words of one look, so that a flood of them keeps the recorder from nothing
_TYPES: Mapping[str, type] = {"note": str, "what": str, "why": str, "command": str, "epoch": int, "client": dict}
_MOST_COMMAND = 2000  # characters of a command line
_CREDENTIALS = struct.Struct("=iII")
_NOBODY_LOGGED_IN = 0xFFFFFFFF
# Of each thread or task its own: what one person's change is for is not what another's is that happens meanwhile.
_because: ContextVar[tuple[str, ...]] = ContextVar("because", default=())
_client: ContextVar[Mapping[str, Any] | None] = ContextVar("client", default=None)


def address(directory: Path) -> str:
    """Where the recorder of the engine with these locks (`Locks.directory`) listens: a socket that only those reach who
    can be in that directory."""
    return str(directory / "journal.sock")


@contextlib.contextmanager
def because(why: str | None) -> Iterator[None]:
    """What is changed inside is changed for this reason."""
    before = _because.set((*_because.get(), why) if why else _because.get())
    try:
        yield
    finally:
        _because.reset(before)


def reason() -> str:
    """Why, as far as it was said; "" otherwise."""
    return "; ".join(_because.get())


@contextlib.contextmanager
def on_behalf_of(client: Mapping[str, Any]) -> Iterator[None]:
    """What is changed inside is changed by this `person`, who is a client of this process."""
    before = _client.set(client)
    try:
        yield
    finally:
        _client.reset(before)


def announce(directory: Path, patience_s: float = 0.0, **what: Any) -> None:
    """Tell the recorder, if there is one. Never raises, and waits at most `patience_s` for room in its queue."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        words = {"command": command_line(sys.argv), "why": reason(), **what}
        if (client := _client.get()) is not None:
            words["client"] = dict(client)
        text = json.dumps(words, default=str).encode()[:_MOST_BYTES]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as way:
            way.settimeout(patience_s)  # 0: at once or not at all
            way.sendto(text, address(directory))


def command_line(words: list[str]) -> str:
    """A command as it was given, without what is secret in it."""
    shown, hide = [], False
    for word in words:
        option, separator, _ = word.partition("=")
        # argparse takes every beginning of an option that fits only one.
        secret = len(option) > 3 and any(known.startswith(option) for known in _SECRET)
        shown.append("***" if hide else f"{option}=***" if secret and separator else word)
        hide = secret and not separator
    return " ".join(shown)[:_MOST_COMMAND]


class Listener:
    """The recorder's end."""

    def __init__(self, locks: Locks) -> None:
        """Raises OSError if somebody else listens, ConfigError."""
        lock = locks.take("journal")
        if lock is None:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        self._lock = lock
        self._at = address(locks.directory)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._at)  # of one that was killed
            self._socket.bind(self._at)
        except OSError:
            self._lock.close()
            self._socket.close()
            raise

    def heard(self) -> list[dict[str, Any]]:
        """What was said since the last time, in order, at most 256 words; ``by`` is who said it."""
        said: list[dict[str, Any]] = []
        for _ in range(_MOST_AT_ONCE):
            try:
                text, around, _, _ = self._socket.recvmsg(_MOST_BYTES, socket.CMSG_SPACE(_CREDENTIALS.size))
            except BlockingIOError:
                break
            sender = next(
                (
                    _CREDENTIALS.unpack(data[: _CREDENTIALS.size])
                    for level, kind, data in around
                    if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS)
                ),
                None,
            )
            if sender is None or not _may_change(sender[0], sender[1]) or (known := _words(text)) is None:
                continue
            pid, uid, _ = sender
            known.pop("by", None)  # nobody says for himself who he is
            client = known.pop("client", None)
            known["by"] = person(pid, uid, known.pop("command", ""))
            if pid == os.getpid() and client is not None:
                known["by"] = {**client, "by_way_of": f"the control socket of process {pid}"}
            said.append(known)
        return said

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()
        with contextlib.suppress(OSError):
            os.unlink(self._at)
        self._lock.close()


def _may_change(pid: int, uid: int) -> bool:
    """Can he have changed an engine at all?"""
    if uid in (0, os.geteuid()):
        return True
    with contextlib.suppress(OSError):
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
        return not privileges.missing(["CAP_BPF"], status)
    return False


def _words(text: bytes) -> dict[str, Any] | None:
    """What was said, if it can be written down."""
    try:
        words = json.loads(text)
        json.dumps(words, ensure_ascii=False, allow_nan=False).encode()  # no halves of characters, no NaN
    except (ValueError, RecursionError):
        return None
    if not isinstance(words, dict) or not all(isinstance(words.get(key, of()), of) for key, of in _TYPES.items()):
        return None
    return words


def person(pid: int, uid: int, claimed: str = "") -> dict[str, Any]:
    """A process and who runs it. `command` is the process's own if it can be looked at, otherwise what it claimed.
    `login`: who logged in, where that is another than the user (sudo) and the kernel knows it."""
    command = ""
    with contextlib.suppress(OSError):
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
        command = command_line(raw.rstrip(b"\0").decode("utf-8", "replace").split("\0"))
    found: dict[str, Any] = {"pid": pid, "uid": uid, "user": _user(uid), "command": command or str(claimed)}
    if not command:
        found["command_is"] = "as it said itself: the process had ended, or is hidden"
    with contextlib.suppress(OSError, ValueError):
        login = int(Path(f"/proc/{pid}/loginuid").read_text(encoding="ascii"))
        if login not in (_NOBODY_LOGGED_IN, uid):
            found["login"] = _user(login)
    return found


def myself() -> dict[str, Any]:
    """This process."""
    return person(os.getpid(), os.getuid(), command_line(sys.argv))


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
