"""Who may do what: tokens, sessions with a role, and how often a wrong token may be tried.

A token proves who somebody is, once; a session of a browser follows from it. Nothing of either is kept in plain: what
is in memory are SHA-256 digests, and two of them are compared in a time that does not depend on what is in them.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import secrets
import stat
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from turbo_hft.errors import ConfigError

Role = Literal["trade", "read"]
LEAST_TOKEN, MOST_TOKEN = 32, 256
_MOST_FILE_BYTES = 4096
_MOST_SESSIONS = 32
_MOST_ADDRESSES = 1024


def new_token() -> str:
    """256 random bits as 43 characters of URL-safe text."""
    return secrets.token_urlsafe(32)


def read_token(path: str | Path) -> str:
    """The token in a file that only its owner can read. Raises ConfigError.

    A regular file of ours or of root, without any right of group and others (0600 or 0400), with one line: 32 to 256
    printable characters without a space.
    """
    try:
        with open(path, "rb") as file:
            found = os.fstat(file.fileno())
            data = file.read(_MOST_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read the token file {path}: {getattr(error, 'strerror', None) or error}.") from None
    if not stat.S_ISREG(found.st_mode):
        raise ConfigError(f"the token file {path} is no regular file: give one.")
    if found.st_mode & 0o077:
        mode = stat.S_IMODE(found.st_mode)
        raise ConfigError(f"the token file {path} has mode {mode:04o}, others could read it: chmod 0600 {path}.")
    if found.st_uid not in (os.geteuid(), 0):
        raise ConfigError(f"the token file {path} belongs to user {found.st_uid}, not to us: chown it.")
    token = data.decode("latin-1").strip()
    if not (LEAST_TOKEN <= len(token) <= MOST_TOKEN and all("!" <= letter <= "~" for letter in token)):
        raise ConfigError(
            f"the token file {path} holds no token: write one line of {LEAST_TOKEN} to {MOST_TOKEN} printable "
            "characters without a space, such as `openssl rand -hex 32` prints."
        )
    return token


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


class Tokens:
    """The tokens that open something: `trade`, `read`, and of a scraper on this machine `metrics`."""

    def __init__(self, trade: str, read: str, metrics: str | None = None) -> None:
        """Raises ConfigError if two are equal: the role would be ambiguous."""
        given = [token for token in (trade, read, metrics) if token is not None]
        if len(set(given)) != len(given):
            raise ConfigError("two tokens are equal: each role needs one of its own.")
        self._trade, self._read = _digest(trade), _digest(read)
        self._metrics = None if metrics is None else _digest(metrics)

    def role(self, token: str) -> Role | None:
        """What a token makes of its bearer; None for a wrong one."""
        asked = _digest(token)
        trade, read = hmac.compare_digest(asked, self._trade), hmac.compare_digest(asked, self._read)
        return "trade" if trade else "read" if read else None

    def scrapes(self, token: str, *, loopback: bool) -> bool:
        """May its bearer read the metrics? With the read token from everywhere, with its own from this machine."""
        asked = _digest(token)
        own = self._metrics is not None and hmac.compare_digest(asked, self._metrics)
        return hmac.compare_digest(asked, self._read) or (own and loopback)


@dataclass(frozen=True, slots=True)
class Session:
    """A browser that has shown a token. `csrf` goes with every request that changes something; `until_s` is monotonic.

    `name` tells sessions apart in the log, and opens nothing.
    """

    name: str
    role: Role
    csrf: str
    until_s: float
    address: str


class Sessions:
    """Those that are open: at most 32 of a role, the oldest of it makes room. They end after `life_s` seconds."""

    def __init__(self, life_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._life_s, self._clock = life_s, clock
        self._open: OrderedDict[bytes, Session] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def begin(self, role: Role, address: str) -> tuple[str, Session]:
        """A new session and the secret that its cookie carries."""
        self._forget()
        of_role = [key for key, session in self._open.items() if session.role == role]
        for key in of_role[: max(0, len(of_role) - _MOST_SESSIONS + 1)]:
            del self._open[key]
        secret = new_token()
        session = Session(secrets.token_hex(4), role, new_token(), self._clock() + self._life_s, address)
        self._open[_digest(secret)] = session
        return secret, session

    def find(self, secret: str) -> Session | None:
        """The open session of a cookie."""
        self._forget()
        return self._open.get(_digest(secret))

    def end(self, secret: str) -> None:
        """Log out; nothing happens to a session that is over."""
        self._open.pop(_digest(secret), None)

    def _forget(self) -> None:
        now = self._clock()
        for key in [key for key, session in self._open.items() if session.until_s <= now]:
            del self._open[key]


def csrf_fits(session: Session, given: str) -> bool:
    """Is it the token that only a page of ours can know?"""
    return hmac.compare_digest(_digest(session.csrf), _digest(given))


class WrongTokens:
    """Counts wrong tokens by address: after `most` of them within `within_s` seconds none is looked at any more, until
    the first of them is so old. An IPv6 address counts as its /64. At most 1,024 addresses are remembered."""

    def __init__(self, most: int = 5, within_s: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._within_s, self._clock = most, within_s, clock
        self._wrong: OrderedDict[str, deque[float]] = OrderedDict()

    def wait_s(self, address: str) -> float:
        """Seconds until a token from there is looked at again; 0 = now."""
        wrong = self._wrong.get(_network(address))
        now = self._clock()
        if wrong is None or len(wrong) < self._most:
            return 0.0
        return max(0.0, wrong[0] + self._within_s - now)

    def note(self, address: str) -> None:
        """One more."""
        network = _network(address)
        wrong = self._wrong.setdefault(network, deque(maxlen=self._most))
        wrong.append(self._clock())
        self._wrong.move_to_end(network)
        if len(self._wrong) > _MOST_ADDRESSES:
            self._wrong.popitem(last=False)


def _network(address: str) -> str:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((found, 64), strict=False)) if found.version == 6 else str(found)


def is_loopback(address: str) -> bool:
    """Does it mean this machine?"""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
