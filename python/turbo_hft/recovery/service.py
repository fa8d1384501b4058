"""Recovery as a service beside the engine: a thread that looks after one feed, with the sockets it needs for it."""

from __future__ import annotations

import logging
import socket
import threading
from contextlib import ExitStack, closing
from dataclasses import replace
from types import TracebackType

from turbo_hft.addresses import FeedAddress
from turbo_hft.engine import Engine
from turbo_hft.errors import ConfigError, TurboHftError
from turbo_hft.recovery.feed import FeedRecovery
from turbo_hft.recovery.lock import FeedLock
from turbo_hft.recovery.sessions import Strangers
from turbo_hft.recovery.settings import RecoverySettings
from turbo_hft.recovery.snapshot import Fetcher, Glimpse
from turbo_hft.recovery.status import RecoveryStatus

_log = logging.getLogger("turbo_hft.recovery")
_AFTER_ERROR_S = 0.1


class Recovery:
    """Keeps a feed of an engine whole, and its books. A context manager, like `OrderEntry`.

    `feed` is the address the engine was configured with, `index` its place there. Missing messages are asked for at
    `feed.rerequest`; what cannot be had there is restored from a snapshot of `glimpse`. Without the one or the other
    that way is closed, and what is left waits, untraded.

    Begin before the engine is attached: then it knows which symbols are still to be listed. Raises ConfigError for an
    address that cannot be used, RecoveryError when the feed has a recovery already.
    """

    def __init__(
        self,
        engine: Engine,
        feed: FeedAddress,
        glimpse: Glimpse | None = None,
        *,
        index: int = 0,
        settings: RecoverySettings | None = None,
    ) -> None:
        if not engine.command_nonce:
            raise ConfigError("configure the engine (engine.configure) before its recovery begins.")
        self._settings = settings or RecoverySettings()
        self._socket: socket.socket | None = None
        self._send_failures = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._failure = ""
        with ExitStack() as stack:
            stack.callback(self._close_socket)
            stack.enter_context(closing(FeedLock(engine, index)))
            if feed.rerequest is not None:
                self._socket = _request_socket(*feed.rerequest)
            fetcher = None
            if glimpse is not None:
                fetcher = Fetcher(glimpse, timeout_s=self._settings.snapshot_timeout_ns / 1e9)
                stack.enter_context(closing(fetcher))
            strangers = None
            if engine.interface is not None:
                strangers = Strangers(line for line in feed.lines() if line.line != "rerequest")
                stack.enter_context(closing(strangers))
            self._course = FeedRecovery(
                engine,
                index,
                ask=None if self._socket is None else self._send,
                snapshots=fetcher,
                strangers=None if strangers is None else strangers.sessions,
                settings=self._settings,
            )
            self._course.step()
            self._stack = stack.pop_all()

    def start(self) -> None:
        """Begin to look after the feed."""
        self._thread = threading.Thread(target=self._keep, name="recovery", daemon=True)
        self._thread.start()

    def status(self) -> RecoveryStatus:
        """How it stands, and what it has done."""
        status = self._course.status()
        status.counters.send_failures = self._send_failures
        return replace(status, state="stopped", trouble=self._failure) if self._failure else status

    def _send(self, datagram: bytes) -> None:
        assert self._socket is not None
        try:
            self._socket.send(datagram)
        except OSError:  # nobody there, or no route: as good as lost, and lost ones are sent again
            self._send_failures += 1

    def _keep(self) -> None:
        try:
            pause_s = 0.0
            while not self._stop.wait(pause_s) if pause_s else not self._stop.is_set():
                try:
                    pause_s = self._course.step() / 1e9
                except TurboHftError as error:
                    _log.error("%s", error)
                    pause_s = _AFTER_ERROR_S
        except Exception as error:
            # Nothing is made worse by stopping: what is not whole is not traded.
            self._failure = f"{type(error).__name__}: {error}"
            _log.exception("recovery has stopped")

    def _close_socket(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def close(self) -> None:
        """Stop. What is under way stays as it is: in quarantine, if it was not finished."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._stack.close()

    def __enter__(self) -> Recovery:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _request_socket(server: tuple[str, int], local: tuple[str, int]) -> socket.socket:
    """What requests leave from. The hook takes the replies, so nothing is read here."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.bind(local)
        sock.connect(server)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise ConfigError(
            f"cannot send re-requests from {local[0]}:{local[1]}: {error.strerror}. Is the address on the interface, "
            "and no other engine running?"
        ) from None
    return sock
