"""The control socket's end in the process that keeps an engine.

Two sockets stand for two rights: who may connect to `read.sock` reads, who may connect to `trade.sock` trades. The file
system decides it by their groups; the server asks the kernel once more who it is that has connected.

Nothing a client does can hold up the engine's process. Every connection has a thread of its own, of which there are a
bounded number, and a bounded number of one user's; who wants to trade or halt where all are taken is given that of the
one who has been silent for longest, and where none is silent a place for nothing but a halt. Requests have a greatest
length, an answer that is not fetched ends the connection, and events that are not fetched are dropped and counted.
Reading may cost a quarter of one CPU for each user: whoever asks more often waits. What stops trading waits for nobody.
"""

from __future__ import annotations

import contextlib
import grp
import importlib.metadata
import os
import select
import socket
import stat
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from turbo_hft.announce import because, command_line, on_behalf_of, person
from turbo_hft.control import requests as ask
from turbo_hft.control.operations import Operations
from turbo_hft.control.peer import Peer, group_name, peer_of
from turbo_hft.control.requests import Role
from turbo_hft.errors import CapabilityError, ConfigError, MalformedMessage, NotAllowed, TurboHftError
from turbo_hft.events import Event
from turbo_hft.layout import ControlLayout

MOST_CONNECTIONS = 48  # of each socket
MOST_OF_A_USER = 16
MOST_TO_HALT = 4  # places more, of the socket for trading, where nothing but a halt is done
MOST_EVENTS = 4096  # that wait for a subscriber
_MOST_BATCH = 256
_MOST_NONSENSE = 10  # requests that are none, until a connection is given up
_BACKLOG = 16
_SEND_S = 5.0
_STEP_S = 0.5
_ACCEPT_PAUSE_S = 0.005
_REST = 3  # times as long as reading took is rested afterwards
_MOST_REST_S = 1.0
_READ = 65_536


@dataclass(slots=True, eq=False)
class _Seat:
    """A connection that was let in. `silent_since`: when its newest request was done (monotonic), None while one is.
    `to_halt`: nothing else is done for it."""

    role: Role
    uid: int
    connection: socket.socket
    to_halt: bool = False
    silent_since: float | None = field(default_factory=time.monotonic)
    given_away: bool = False


class _Subscriber:
    """Events for one connection, and how many it did not take in time."""

    def __init__(self, kinds: frozenset[str]) -> None:
        self._kinds = kinds
        self._waiting: deque[Event] = deque()
        self._ready = threading.Condition()
        self.dropped = 0

    def give(self, events: Iterable[Event]) -> None:
        """From the engine's loop: never waits for the connection."""
        with self._ready:
            for event in events:
                if self._kinds and event.kind not in self._kinds:
                    continue
                if len(self._waiting) == MOST_EVENTS:
                    self.dropped += 1
                else:
                    self._waiting.append(event)
            if self._waiting:
                self._ready.notify()

    def take(self, timeout_s: float) -> list[Event]:
        """Some of them, in order."""
        with self._ready:
            self._ready.wait_for(lambda: bool(self._waiting), timeout_s)
            return [self._waiting.popleft() for _ in range(min(_MOST_BATCH, len(self._waiting)))]


class _Turns:
    """Reading, one at a time for each user, each at a quarter of a CPU at most."""

    def __init__(self) -> None:
        self._locks: dict[int, threading.Lock] = {}
        self._lock = threading.Lock()

    @contextmanager
    def of(self, uid: int) -> Iterator[None]:
        """That user's turn."""
        with self._lock:
            turn = self._locks.setdefault(uid, threading.Lock())
        with turn:
            began = time.thread_time()
            try:
                yield
            finally:
                time.sleep(min(_MOST_REST_S, _REST * (time.thread_time() - began)))


class _Door:
    """One of the two sockets, listening."""

    def __init__(self, path: Path, role: Role, gid: int | None) -> None:
        self.path = path
        self.role = role
        self.gid = gid
        self.group = None if gid is None else group_name(gid)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._open()
        except BaseException:
            self.socket.close()
            raise
        self.inode = os.stat(path).st_ino

    def _open(self) -> None:
        if _answers(self.path):
            raise ConfigError(
                f"another process answers at {self.path}: an engine of the same interface's name, in another network "
                "namespace? Give control.root (--control-root) another directory."
            )
        # Under another name until its owner and mode are right, and it listens: so it is never there half-made.
        new = self.path.with_name(f".{self.path.name}")
        with contextlib.suppress(FileNotFoundError):
            new.unlink()
        self.socket.bind(str(new))
        os.chmod(new, 0o600 if self.gid is None else 0o660)
        if self.gid is not None:
            try:
                os.chown(new, -1, self.gid)
            except PermissionError:
                new.unlink()
                raise CapabilityError(
                    f"this user cannot give {self.path} to group {self.group}: he must be a member of it "
                    f"(`usermod -aG {self.group} USER`, in a unit SupplementaryGroups={self.group})."
                ) from None
        self.socket.listen(_BACKLOG)
        new.replace(self.path)

    def lets_in(self, peer: Peer, others: Iterable[int | None]) -> bool:
        """May he come in here? The file system has let him; `others` are groups that may, too."""
        allowed = {self.gid, *others} - {None}
        return peer.uid in (0, os.geteuid()) or bool(allowed & peer.groups)

    def close(self) -> None:
        """Nobody comes in any more."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)  # whoever waits in accept() wakes up
        self.socket.close()
        with contextlib.suppress(OSError):
            if os.stat(self.path).st_ino == self.inode:
                self.path.unlink()


def _make(directory: Path) -> None:
    """One that anybody may look into; one that is there must be safe as it is. Raises OSError, ConfigError."""
    try:
        directory.mkdir()
    except FileExistsError:
        about = directory.stat()
        if about.st_uid not in (0, os.geteuid()):
            whose = f"belongs to user number {about.st_uid}"
        elif about.st_mode & 0o022 and not about.st_mode & stat.S_ISVTX:
            whose = f"has mode {stat.S_IMODE(about.st_mode):o}: others may write there"
        else:
            return
        raise ConfigError(
            f"{directory} {whose}, and could put a socket in the place of this engine's. `chown` and `chmod 755` it, "
            "or give control.root (--control-root) another place."
        ) from None
    directory.chmod(0o755)  # whatever the umask: the sockets say who may


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except OSError as error:
            raise ConfigError(f"cannot look whether another process answers at {path}: {error.strerror}.") from None
    return True


def group_id(group: str) -> int | None:
    """The number of a group by its name or number; "" is none. Raises ConfigError."""
    if not group:
        return None
    if group.isdecimal():
        return int(group)
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise ConfigError(
            f'there is no group {group}: `groupadd --system {group}`, or name another one; "" lets only the user in '
            "who runs the engine."
        ) from None


class ControlServer:
    """Both sockets of an engine, from entering to leaving. Leaving ends all connections. `serve` begins to answer.

    `read_group` and `trade_group`: whose members may; who may trade may read. `on_change(text)`: who has just asked for
    something that changes, for people; it must not wait. Raises ConfigError, CapabilityError when the sockets cannot be
    made.
    """

    def __init__(
        self,
        operations: Operations,
        layout: ControlLayout,
        *,
        read_group: str,
        trade_group: str,
        on_change: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._operations = operations
        self._layout = layout
        self._gids: dict[Role, int | None] = {"read": group_id(read_group), "trade": group_id(trade_group)}
        self._on_change = on_change
        self._stop = threading.Event()
        self._doors: list[_Door] = []
        self._threads: list[threading.Thread] = []
        self._turns = _Turns()
        self._lock = threading.Lock()  # of what follows
        self._connections: dict[socket.socket, _Seat] = {}
        self._subscribers: tuple[_Subscriber, ...] = ()
        self._ending = False
        self._changing = 0  # requests that are being done, but for those that stop trading
        self._none_changing = threading.Condition(self._lock)
        self._orders = threading.Lock()  # an order by hand at a time, so that a refusal names its own reason

    def __enter__(self) -> ControlServer:
        made = self._layout
        try:
            made.root.parent.mkdir(parents=True, exist_ok=True)
            for directory in (made.root, made.directory):
                _make(directory)
        except OSError as error:
            raise ConfigError(
                f"cannot make {made.directory} for the control sockets: {error.strerror}. Make it for this user "
                f"(`install -d -o USER {made.directory}`), or give control.root (--control-root) another place."
            ) from None
        with ExitStack() as undo:
            paths: tuple[tuple[Role, Path], ...] = (("read", made.read), ("trade", made.trade))
            for role, path in paths:
                try:
                    door = _Door(path, role, self._gids[role])
                except OSError as error:
                    raise ConfigError(f"cannot make {path}: {error.strerror}.") from None
                undo.callback(door.close)
                self._doors.append(door)
            undo.pop_all()
        return self

    def serve(self) -> None:
        """Let them in; until then they wait at the door."""
        for door in self._doors:
            self._start(self._accept, door)

    def wind_down(self) -> None:
        """The engine is being ended: from now on only what stops trading is done, besides reading. Returns when what
        was begun before is done: whoever halts afterwards halts last."""
        with self._none_changing:
            self._ending = True
            self._none_changing.wait_for(lambda: not self._changing, _SEND_S)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for door in self._doors:
            door.close()
        with self._lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        end = time.monotonic() + _SEND_S
        for thread in list(self._threads):
            thread.join(max(0.0, end - time.monotonic()))
        with contextlib.suppress(OSError):
            self._layout.directory.rmdir()

    def publish(self, events: Iterable[Event]) -> None:
        """Events for whoever has subscribed: from the engine's loop, which waits for nobody."""
        subscribers = self._subscribers
        if subscribers and (batch := list(events)):
            for subscriber in subscribers:
                subscriber.give(batch)

    def _start(self, target: Callable[..., None], *what: Any) -> None:
        thread = threading.Thread(target=target, args=what, name="control", daemon=True)
        self._threads = [*(one for one in self._threads if one.is_alive()), thread]
        thread.start()

    # Coming in

    def _accept(self, door: _Door) -> None:
        """A thread for each socket, so that a crowd at one is none at the other."""
        with contextlib.suppress(OSError):  # closed before anybody was waited for
            door.socket.settimeout(_STEP_S)
        while not self._stop.is_set():
            try:
                connection, _ = door.socket.accept()
            except OSError:  # nobody came, somebody went again, or too many files are open
                self._stop.wait(_ACCEPT_PAUSE_S)
                continue
            with contextlib.suppress(OSError):
                self._admit(door, connection)
            self._stop.wait(_ACCEPT_PAUSE_S)

    def _admit(self, door: _Door, connection: socket.socket) -> None:
        connection.settimeout(_SEND_S)
        try:
            peer = peer_of(connection)
            with self._lock:
                if not door.lets_in(peer, [self._gids["trade"]]):
                    raise NotAllowed(_only(door.role, door.group))
                seat = self._seat(door.role, peer.uid, connection)
                self._connections[connection] = seat
        except NotAllowed as error:
            connection.setblocking(False)  # who does not listen is not waited for
            with contextlib.suppress(OSError):
                connection.send(ask.encode(ask.Answer(v=ask.VERSION, error=ask.error_of(error))))
            connection.close()
            return
        except OSError:
            connection.close()
            raise
        self._start(self._serve, door, connection, peer, seat)

    def _seat(self, role: Role, uid: int, connection: socket.socket) -> _Seat:
        """A place for one more, with the lock. Raises NotAllowed."""
        here = [seat for seat in self._connections.values() if seat.role == role]
        his = [seat for seat in here if seat.uid == uid]
        if len(here) < MOST_CONNECTIONS and len(his) < MOST_OF_A_USER:
            return _Seat(role, uid, connection)
        if role == "trade":
            crowd = his
            if len(his) < MOST_OF_A_USER:
                (most, _), *_ = Counter(seat.uid for seat in here).most_common(1)
                crowd = [seat for seat in here if seat.uid == most]
            silent = [(seat.silent_since, seat) for seat in crowd if seat.silent_since is not None]
            if silent:
                self._give_away(min(silent, key=lambda one: one[0])[1])
                return _Seat(role, uid, connection)
            if sum(seat.to_halt for seat in here) < MOST_TO_HALT:
                return _Seat(role, uid, connection, to_halt=True)
        raise NotAllowed(
            f"{len(here)} connections are open, {len(his)} of them yours; at most {MOST_CONNECTIONS} and "
            f"{MOST_OF_A_USER} of a user can be: close some."
        )

    def _give_away(self, seat: _Seat) -> None:
        seat.given_away = True
        del self._connections[seat.connection]
        with contextlib.suppress(OSError):
            seat.connection.shutdown(socket.SHUT_RDWR)  # its thread wakes up and ends

    # A connection

    def _serve(self, door: _Door, connection: socket.socket, peer: Peer, seat: _Seat) -> None:
        try:
            nonsense = 0
            for line in self._lines(connection):
                try:
                    request = self._decoded(door, line, peer)
                    if isinstance(request, ask.Subscribe) and not seat.to_halt:
                        self._stream(connection, request, peer)
                        return
                    if not self._listens(seat, request):
                        return
                    answer = self._answer(door, request, peer)
                    nonsense = 0
                except TurboHftError as error:
                    nonsense += isinstance(error, MalformedMessage)
                    answer = _refusal(ask.number_of(line), error)
                connection.sendall(answer)
                with self._lock:
                    seat.silent_since = time.monotonic()
                if nonsense >= _MOST_NONSENSE:
                    return
        except OSError:  # it has gone, or does not fetch what it asked for
            pass
        except _TooLong as error:
            with contextlib.suppress(OSError):
                connection.sendall(_refusal(0, MalformedMessage(str(error))))
        finally:
            with self._lock:
                self._connections.pop(connection, None)
            connection.close()

    def _listens(self, seat: _Seat, request: ask.Request) -> bool:
        """A request begins. False for one of a connection that was given away; but a halt is a halt. Raises NotAllowed
        for what a place to halt is not for."""
        stops = isinstance(request, ask.Halt)
        if (
            seat.to_halt
            and not isinstance(request, ask.Hello)
            and not (isinstance(request, ask.Halt) and not request.cancel)
        ):
            raise NotAllowed(
                f"all {MOST_OF_A_USER} connections of yours are at work: until one is done nothing but a halt, without "
                "cancel, is taken here."
            )
        with self._lock:
            if not seat.given_away:
                seat.silent_since = None
            return stops or not seat.given_away

    def _lines(self, connection: socket.socket) -> Iterator[bytes]:
        """One after the other: no more is read before the answer to the one before is out."""
        rest = b""
        while not self._stop.is_set():
            if not _readable(connection, _STEP_S):
                continue
            more = connection.recv(_READ)
            if not more:
                return
            *lines, rest = (rest + more).split(b"\n")
            if any(len(line) > ask.MOST_REQUEST_BYTES for line in (*lines, rest)):
                raise _TooLong(f"a request has more than {ask.MOST_REQUEST_BYTES} bytes: send shorter ones.")
            yield from lines

    def _decoded(self, door: _Door, line: bytes, peer: Peer) -> ask.Request:
        if door.role == "trade":
            return ask.decode_request(line)
        with self._turns.of(peer.uid):
            return ask.decode_request(line)

    def _answer(self, door: _Door, request: ask.Request, peer: Peer) -> bytes:
        if request.role() == "trade" and door.role != "trade":
            raise NotAllowed(_only("trade", self._doors[1].group, at=self._layout.trade))
        if isinstance(request, ask.Hello):
            return _done(request, self._hello(door))
        if request.role() == "read":
            with self._turns.of(peer.uid):
                return _done(request, self._performed(request))
        if isinstance(request, ask.Halt):
            self._performed(request, self._operations.throw)  # and then who it was
        with self._begun(request):
            client = person(peer.pid, peer.uid, command_line(request.command.split()))
            self._on_change(f"{client['user']} (process {peer.pid}) asks: {_words(request)}")
            with on_behalf_of(client), because(request.because):
                if isinstance(request, (ask.Enter, ask.Replace, ask.Cancel)):
                    with self._orders:
                        return _done(request, self._performed(request))
                return _done(request, self._performed(request))

    @contextmanager
    def _begun(self, request: ask.Request) -> Iterator[None]:
        """Raises ConfigError for what could let orders leave from an engine that is being ended."""
        if isinstance(request, (ask.Halt, ask.Cancel, ask.CancelAll)):
            yield
            return
        with self._lock:
            if self._ending:
                raise ConfigError("the process that runs this engine is ending it: nothing is changed any more.")
            self._changing += 1
        try:
            yield
        finally:
            with self._none_changing:
                self._changing -= 1
                self._none_changing.notify_all()

    def _performed(self, request: ask.Request, do: Callable[[Any], dict[str, Any]] | None = None) -> dict[str, Any]:
        try:
            return (do or self._operations)(request)
        except TurboHftError:
            raise
        except Exception as error:  # whatever a client has found, it ends no connection unheard
            raise TurboHftError(f"the request failed: {type(error).__name__}: {error}") from error

    def _hello(self, door: _Door) -> dict[str, Any]:
        about = {"version": ask.VERSION, "package": _package(), "interface": self._layout.interface}
        return {**about, "pid": os.getpid(), "role": door.role}

    def _stream(self, connection: socket.socket, request: ask.Subscribe, peer: Peer) -> None:
        """Events until the client goes, or does not fetch them at all."""
        subscriber = _Subscriber(frozenset(request.kinds))
        with self._lock:
            self._subscribers = (*self._subscribers, subscriber)
        try:
            connection.sendall(_done(request, {"kinds": list(request.kinds)}))
            while not self._stop.is_set():
                if events := subscriber.take(_STEP_S):
                    with self._turns.of(peer.uid):
                        out = ask.encode(
                            ask.Answer(v=ask.VERSION, id=request.id, events=events, dropped=subscriber.dropped)
                        )
                    connection.sendall(out)
                if _readable(connection, 0):
                    return  # it has closed, or says what it must not
        finally:
            with self._lock:
                self._subscribers = tuple(one for one in self._subscribers if one is not subscriber)


def _package() -> str:
    try:
        return importlib.metadata.version("turbo-hft")
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _readable(connection: socket.socket, timeout_s: float) -> bool:
    poll = select.poll()  # and not select, which knows no descriptors above 1,023
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(1000 * timeout_s))


class _TooLong(Exception):
    """A request without an end."""


def _only(role: Role, group: str | None, at: Path | None = None) -> str:
    what = {"read": "look at this engine", "trade": "trade with this engine"}[role]
    where = f", at {at}" if at else ""
    if group is None:
        return f"only the user who runs it, and root, may {what}{where}."
    return f"only members of group {group} may {what}{where}: `usermod -aG {group} USER`, then log in again."


def _words(request: ask.Request) -> str:
    """A request for people: what, and its fields that say something."""
    values = msgspec.to_builtins(request)
    told = {key: value for key, value in values.items() if key not in ("do", "v", "id", "command")}
    shown = " ".join(f"{key}={value}" for key, value in told.items() if value not in (None, False, "", []))
    return "".join(letter if letter.isprintable() else "?" for letter in f"{values['do']} {shown}".rstrip())


def _done(request: ask.Request, result: dict[str, Any]) -> bytes:
    return ask.encode(ask.Answer(v=ask.VERSION, id=request.id, ok=result))


def _refusal(number: int, error: TurboHftError) -> bytes:
    return ask.encode(ask.Answer(v=ask.VERSION, id=number, error=ask.error_of(error)))
