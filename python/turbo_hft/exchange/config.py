"""What an exchange is started with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from turbo_hft.errors import ConfigError

_USER_BYTES = 6
_PASSWORD_BYTES = 10
_SESSION_BYTES = 10
_SYMBOL_BYTES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeConfig:
    """Defaults are those of the lab. Errors: ConfigError naming the value that cannot be."""

    bind: str = "10.77.0.2"  # address of order entry and source of the feed
    interface: str | None = None  # where multicast leaves; None = the interface of `bind`
    netns: str | None = None  # network namespace to enter first
    feed: tuple[str, int] = ("239.77.0.1", 26477)
    ouch50_port: int = 26450
    ouch42_port: int = 26442
    session: str = "HFT0000001"  # of MoldUDP64 and of UFO
    accounts: Mapping[str, str] = field(default_factory=lambda: {"HFT001": "SECRET"})
    symbols: tuple[str, ...] = ("AAPL", "MSFT")
    prices_e4: Mapping[str, int] = field(default_factory=dict)  # prices at the open, 1/10000 dollar
    seed: int = 1
    rate: int = 2000  # messages a second; 0 = no random flow, clients are alone with each other
    burst: int = 1  # messages that share one instant
    duration_s: float | None = None  # None = until told to stop, or to the end of the file
    replay: Path | None = None
    speed: float | None = 1.0  # of a replay; None = as fast as it goes
    messages_per_packet: int = 1  # at most
    wait_for_login: bool = False
    login_timeout_s: float = 300.0
    start_delay_s: float = 0.0
    linger_s: float = 1.0
    busy: bool = False  # never sleep: for latency measurements
    log: Path | None = None

    def __post_init__(self) -> None:
        """Check everything that can be checked without a socket or a file."""
        if not self.accounts:
            raise ConfigError("no account: name at least one as USER:PASSWORD")
        for user, password in self.accounts.items():
            _fits("user name", user, _USER_BYTES)
            _fits("password", password, _PASSWORD_BYTES)
        _fits("session name", self.session, _SESSION_BYTES)
        if not self.symbols and self.replay is None:
            raise ConfigError("no symbol: name at least one")
        if len(set(self.symbols)) != len(self.symbols):
            raise ConfigError(f"a symbol is named twice in {', '.join(self.symbols)}: name each once")
        for symbol in self.symbols:
            _fits("symbol", symbol, _SYMBOL_BYTES)
        for name, value in (
            ("linger", self.linger_s),
            ("start delay", self.start_delay_s),
            ("login timeout", self.login_timeout_s),
        ):
            if value < 0:
                raise ConfigError(f"{name} {value} s: give 0 or more")
        if self.duration_s is not None and self.duration_s <= 0:
            raise ConfigError(f"duration {self.duration_s} s: give more than 0")


def _fits(what: str, text: str, length: int) -> None:
    if not (text.isascii() and text.isalnum() and len(text) <= length):
        raise ConfigError(f"{what} {text!r}: give 1 to {length} ASCII letters and digits")
