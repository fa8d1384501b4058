"""The web face on a socket: where it listens, TLS, and the thread that it runs in."""

from __future__ import annotations

import ipaddress
import os
import socket
import ssl
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType

import uvicorn

from turbo_hft.dashboard.web.auth import is_loopback
from turbo_hft.dashboard.web.guard import host_names
from turbo_hft.dashboard.web.server import Place, WebFace
from turbo_hft.errors import ConfigError, TurboHftError

_START_S = 10.0
_END_S = 5.0
_MOST_CONNECTIONS = 256


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files of the certificate with its chain and of its private key."""

    certificate: str
    key: str

    def check(self) -> None:
        """Raises ConfigError for files that cannot be used."""
        for path in (self.certificate, self.key):
            if not os.access(path, os.R_OK):
                raise ConfigError(f"cannot read {path}: name a PEM file that this user can read.")
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self.certificate, self.key, password="")
        except (ssl.SSLError, OSError, ValueError) as error:
            raise ConfigError(
                f"{self.certificate} and {self.key} are no certificate and its key without a password ({error})."
            ) from None


@dataclass(frozen=True, slots=True)
class Bound:
    """A socket that listens, and what it is called from outside: `url` ends with a slash."""

    socket: socket.socket
    place: Place
    url: str


def bind(address: str, port: int, *, tls: Tls | None, names: Iterable[str] = ()) -> Bound:
    """Listen; port 0 takes a free one. `names` are further names this server is asked for by. Raises ConfigError."""
    try:
        at = ipaddress.ip_address(address)
    except ValueError:
        raise ConfigError(f"{address!r} is no address to listen on: give an IPv4 or IPv6 address.") from None
    family = socket.AF_INET6 if at.version == 6 else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address, port))
        listening.listen(64)
    except OSError as error:
        listening.close()
        raise ConfigError(f"cannot listen on {address} port {port}: {error.strerror}; choose another.") from None
    port, scheme = listening.getsockname()[1], "http" if tls is None else "https"
    known = [*names, *([] if at.is_unspecified else [address])]
    if at.is_loopback or at.is_unspecified:
        known += ["localhost", "127.0.0.1" if at.version == 4 else "::1"]
    hosts = host_names(known, port, scheme)
    shown = "localhost" if at.is_unspecified else f"[{address}]" if at.version == 6 else address
    return Bound(listening, Place(scheme, hosts), f"{scheme}://{shown}:{port}/")


def exposure(address: str, tls: Tls | None) -> str | None:
    """What it means to listen there, None for this machine alone."""
    if is_loopback(address):
        return None
    heard = "" if tls else " WITHOUT TLS, so that whoever is on the way reads the token and can trade with it"
    return (
        f"listening on {address}, where other machines reach it{heard}: whoever has the trading token steers this "
        "engine from there. Let a firewall keep everybody else away."
    )


class WebServer:
    """A context manager: serves from a thread of its own until it is left."""

    def __init__(self, face: WebFace, bound: Bound, tls: Tls | None) -> None:
        config = uvicorn.Config(
            face.app,
            http="h11",
            ws="none",
            loop="asyncio",
            lifespan="on",
            log_level="warning",
            log_config=None,
            access_log=False,
            # No proxy stands in front: what a client says of where it comes from counts for nothing.
            proxy_headers=False,
            server_header=False,
            limit_concurrency=_MOST_CONNECTIONS,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=2,
            h11_max_incomplete_event_size=16_384,
            ssl_certfile=None if tls is None else tls.certificate,
            ssl_keyfile=None if tls is None else tls.key,
        )
        self._server = uvicorn.Server(config)
        self._socket, self._face = bound.socket, face
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)
        self._error: BaseException | None = None

    @property
    def running(self) -> bool:
        """Does it serve?"""
        return self._thread.is_alive() and self._server.started

    def __enter__(self) -> WebServer:
        self._thread.start()
        end = time.monotonic() + _START_S
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > end:
                self._socket.close()
                raise TurboHftError(f"the web server did not start: {self._error or 'no reason was given'}.")
            time.sleep(0.01)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._face.end()
        self._server.should_exit = True
        self._thread.join(_END_S)
        self._socket.close()

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._socket])
        except BaseException as error:  # said by whoever waits for the start
            self._error = error
