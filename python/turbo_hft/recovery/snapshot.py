"""A snapshot of the market: GLIMPSE over SoupBinTCP, as far as it concerns the symbols that are wanted.

Whole or not at all: a snapshot counts only with its end, which says where the feed goes on.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from turbo_hft.errors import MalformedMessage, RecoveryError
from turbo_hft.wire import glimpse, itch50, moldudp64, soupbintcp

_OF_FEED = b"SVW"
_OF_SYMBOL = b"HYKJhPQAFECXDU"
_DIRECTORY = ord("R")
_END = ord("G")
_STOCK = slice(11, 19)
_LOCATE = slice(1, 3)
_REJECTIONS = {"A": "user or password not authorised", "S": "session not available"}
_HEARTBEAT_S = 1.0
_SILENCE_S = 5.0  # the server beats once a second
_CONNECT_S = 2.0
_STEP_S = 0.05
_CHUNK = 1 << 18


@dataclass(frozen=True, slots=True)
class Glimpse:
    """A snapshot server and our account there: `server` is (IPv4 address, TCP port)."""

    server: tuple[str, int]
    username: str
    password: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The market right before message `sequence` of `session`.

    `common`: what is said of the feed itself (S, V, W). `directory`: the R of each symbol, by its name. `messages`: of
    each stock locate, in the order in which they build its state and its book. `names`: of the symbols that it was
    taken for, None for all; of others it says nothing.
    """

    session: str
    sequence: int
    common: tuple[bytes, ...] = ()
    directory: Mapping[str, bytes] = field(default_factory=dict)
    messages: Mapping[int, tuple[bytes, ...]] = field(default_factory=dict)
    names: Collection[str] | None = None

    @classmethod
    def of_new_session(cls, session: str) -> Snapshot:
        """Before the first message there is nothing."""
        return cls(session, 1)

    def covers(self, name: str) -> bool:
        """Was it taken for this symbol?"""
        return self.names is None or name in self.names

    def locate(self, name: str) -> int | None:
        """The stock locate of a symbol; None if it is not listed."""
        listed = self.directory.get(name)
        return None if listed is None else int.from_bytes(listed[_LOCATE], "big")


class SnapshotReader:
    """Makes a `Snapshot` of what a server says, packet by packet. `names` and `locates`: whose messages are wanted."""

    def __init__(self, names: Collection[str], locates: Collection[int] = ()) -> None:
        self._names = {name.encode("ascii").ljust(8): name for name in names}
        self._messages: dict[bytes, list[bytes]] = {locate.to_bytes(2, "big"): [] for locate in locates}
        self._passed: set[bytes] = set()  # locates of messages that were not wanted
        self._session: str | None = None
        self._common: list[bytes] = []
        self._directory: dict[str, bytes] = {}
        self.snapshot: Snapshot | None = None
        """Whole, once its end has come."""

    def take(self, packet: soupbintcp.Packet) -> None:
        """The next packet. Raises RecoveryError for a rejection, an end before the end, and what cannot be."""
        match packet:
            case _ if self.snapshot is not None:
                pass
            case soupbintcp.LoginAccepted() if self._session is None:
                self._session = packet.session.strip()
            case soupbintcp.LoginRejected():
                why = _REJECTIONS.get(packet.reason, packet.reason)
                raise RecoveryError(f"the snapshot server rejected the login: {why}. Check user and password.")
            case soupbintcp.EndOfSession():
                raise RecoveryError("the snapshot server ended the session before the snapshot was whole.")
            case soupbintcp.SequencedData() if self._session is not None:
                self._message(packet.message, self._session)
            case soupbintcp.ServerHeartbeat() | soupbintcp.Debug() | soupbintcp.UnsequencedData():
                pass
            case _:
                raise RecoveryError(f"the snapshot server sent {type(packet).__name__} where it makes no sense.")

    def _message(self, message: bytes, session: str) -> None:
        kind = message[0] if message else 0
        if kind == _END:
            sequence = glimpse.decode(message).sequence
            if not 1 <= sequence <= moldudp64.MAX_SEQUENCE:
                raise RecoveryError(
                    f"the snapshot says that the feed goes on with {sequence}: messages count from 1 to 2^62."
                )
            built = {int.from_bytes(locate, "big"): tuple(found) for locate, found in self._messages.items()}
            names = frozenset(self._names.values())
            self.snapshot = Snapshot(session, sequence, tuple(self._common), self._directory, built, names)
        elif kind in _OF_FEED:
            self._common.append(message)
        elif kind == _DIRECTORY and len(message) == itch50.StockDirectory.LENGTH:
            self._list(message)
        elif kind in _OF_SYMBOL:
            locate = message[_LOCATE]
            if (found := self._messages.get(locate)) is not None:
                found.append(message)
            else:
                self._passed.add(locate)

    def _list(self, message: bytes) -> None:
        name = self._names.get(message[_STOCK])
        if name is None:
            return
        locate = message[_LOCATE]
        if locate in self._passed:
            raise RecoveryError(f"the snapshot lists {name} after messages of it: what came before is lost.")
        self._directory[name] = message
        self._messages.setdefault(locate, [])


def fetch(
    server: Glimpse,
    names: Collection[str],
    locates: Collection[int] = (),
    *,
    timeout_s: float = 30.0,
    stop: threading.Event | None = None,
) -> Snapshot:
    """Log in and take a snapshot of these symbols. Blocks for `timeout_s` at most.

    Raises RecoveryError when the server cannot be reached, rejects, falls silent, ends too early or talks nonsense,
    when time is up, and when `stop` was set.
    """
    where = f"the snapshot server {server.server[0]}:{server.server[1]}"
    end = time.monotonic() + timeout_s
    reader = SnapshotReader(names, locates)
    decoder = soupbintcp.Decoder()
    try:
        with socket.create_connection(server.server, min(timeout_s, _CONNECT_S)) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.sendall(soupbintcp.LoginRequest(server.username, server.password).encode())
            sock.settimeout(_STEP_S)
            heard = beat = time.monotonic()
            while reader.snapshot is None:
                now = time.monotonic()
                if stop is not None and stop.is_set():
                    raise RecoveryError("the snapshot is not wanted any more.")
                if now > end:
                    raise RecoveryError(
                        f"{where} did not send a whole snapshot in {timeout_s:g} s: allow it more time."
                    )
                if now - heard > _SILENCE_S:
                    raise RecoveryError(f"{where} has been silent for {_SILENCE_S:g} s.")
                if now - beat > _HEARTBEAT_S:
                    sock.sendall(soupbintcp.ClientHeartbeat().encode())
                    beat = now
                try:
                    data = sock.recv(_CHUNK)
                except TimeoutError:
                    continue
                if not data:
                    raise RecoveryError(f"{where} closed the connection before the snapshot was whole.")
                heard = now
                decoder.feed(data)
                for packet in decoder:
                    reader.take(packet)
            with suppress(OSError):  # it may have gone by itself
                sock.sendall(soupbintcp.LogoutRequest().encode())
    except MalformedMessage as wrong:
        raise RecoveryError(f"{where} does not speak GLIMPSE over SoupBinTCP: {wrong}") from None
    except OSError as error:
        raise RecoveryError(
            f"cannot use {where}: {error.strerror or error}. Is it up, and the address right?"
        ) from None
    return reader.snapshot


class _Run:
    """One snapshot being taken."""

    def __init__(self, server: Glimpse, names: Collection[str], locates: Collection[int], timeout_s: float) -> None:
        self.stop = threading.Event()
        self.result: Snapshot | RecoveryError | None = None
        self._what = (server, names, locates)
        self._timeout_s = timeout_s
        self.thread = threading.Thread(target=self._run, name="glimpse", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.result = fetch(*self._what, timeout_s=self._timeout_s, stop=self.stop)
        except RecoveryError as error:
            self.result = error


class Fetcher:
    """Takes snapshots in a thread, so that the feed can be looked after meanwhile. The newest one counts."""

    def __init__(self, server: Glimpse, *, timeout_s: float = 30.0) -> None:
        self._server = server
        self._timeout_s = timeout_s
        self._run: _Run | None = None

    def start(self, names: Collection[str], locates: Collection[int]) -> None:
        """Begin one; what the one before brought is forgotten."""
        if self._run is not None:
            self._run.stop.set()
        self._run = _Run(self._server, names, locates, self._timeout_s)

    def result(self) -> Snapshot | RecoveryError | None:
        """What it has come to; None while there is nothing."""
        return None if self._run is None else self._run.result

    def close(self) -> None:
        """End what is under way."""
        if self._run is not None:
            self._run.stop.set()
            self._run.thread.join(_CONNECT_S + 1)
            self._run = None
