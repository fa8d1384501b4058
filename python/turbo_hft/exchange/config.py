"""What an exchange is started with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from turbo_hft.errors import ConfigError
from turbo_hft.exchange.fees import check_fees
from turbo_hft.exchange.halts import Halt, ShortSaleRestriction, check_halts
from turbo_hft.exchange.line import Faults, check_delay, check_share
from turbo_hft.exchange.order_faults import OrderFaults
from turbo_hft.exchange.outages import check_outages
from turbo_hft.exchange.soup_conversation import MAX_INPUT
from turbo_hft.exchange.stream_faults import StreamFaults

if TYPE_CHECKING:  # it needs the compiled extension, which an exchange without such a market does not
    from turbo_hft.exchange.market import MarketConfig

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
    feed: tuple[str, int] = ("239.77.0.1", 26477)  # line A
    feed_b: tuple[str, int] | None = None  # line B: the same packets to another group or port; None = no such line
    faults_a: Faults = field(default_factory=Faults)
    faults_b: Faults = field(default_factory=Faults)
    loss_both: float = 0.0  # share of packets that neither line brings
    rerequest_port: int | None = 26478  # UDP; 0 = any free one, None = no such server
    rerequest_loss: float = 0.0  # share of requests, and of replies
    rerequest_delay_ns: tuple[int, int] = (0, 0)
    rerequest_keep: int | None = 2_000_000  # newest messages of a session that can be had again; None = all
    glimpse_port: int | None = 26479  # TCP; 0 = any free one, None = no such server
    glimpse_delay_s: float = 0.0  # between taking a snapshot and sending it
    ouch50_port: int = 26450
    ouch42_port: int = 26442
    ouch50_tcp_port: int | None = 26450  # SoupBinTCP; 0 = any free one, None = no such server
    ouch42_tcp_port: int | None = 26442
    cancel_on_disconnect: bool = False  # over SoupBinTCP, however a connection ends
    client_timeout_s: float = 15.0  # after which a client that says or takes nothing is dropped
    backlog_bytes: int = 1 << 20  # of new replies that a client may be behind with for a second
    stream_faults: StreamFaults = field(default_factory=StreamFaults)
    session: str = "HFT0000001"  # of MoldUDP64, UFO and SoupBinTCP
    accounts: Mapping[str, str] = field(default_factory=lambda: {"HFT001": "SECRET"})
    fees_e8: Mapping[str, int] = field(default_factory=dict)  # a share, by liquidity flag; 1/100,000,000 dollar
    order_faults: OrderFaults = field(default_factory=OrderFaults)
    faults_orders: Faults = field(default_factory=Faults)  # of datagrams from clients; of streams the delay alone
    faults_replies: Faults = field(default_factory=Faults)  # and of what is sent to them
    silences_s: tuple[tuple[float, float], ...] = ()  # (start, length): order entry neither reads nor sends
    drops_s: tuple[float, ...] = ()  # when order entry forgets who is logged in
    halts: tuple[Halt, ...] = ()
    restrictions: tuple[ShortSaleRestriction, ...] = ()
    symbols: tuple[str, ...] = ("AAPL", "MSFT")
    prices_e4: Mapping[str, int] = field(default_factory=dict)  # prices at the open, 1/10000 dollar
    seed: int = 1
    rate: int = 2000  # messages a second; 0 = no random flow, clients are alone with each other
    burst: int = 1  # messages that share one instant
    duration_s: float | None = None  # None = until told to stop, or to the end of the file
    replay: Path | None = None
    market: MarketConfig | None = None  # a whole market instead of `symbols`, `seed`, `rate` and `burst`
    speed: float | None = 1.0  # of a replay or a market; None = as fast as it goes
    messages_per_packet: int = 1  # at most
    rollover_after: int | None = None  # messages, after which the session ends and another one begins; None = never
    wait_for_login: bool = False
    login_timeout_s: float = 300.0
    start_delay_s: float = 0.0
    linger_s: float = 1.0
    busy: bool = False  # never sleep: for latency measurements
    log: Path | None = None
    record: Path | None = None  # BinaryFILE of every message published
    capture: Path | None = None  # pcapng of every frame sent on the lines

    def __post_init__(self) -> None:
        """Check everything that can be checked without a socket or a file."""
        if not self.accounts:
            raise ConfigError("no account: name at least one as USER:PASSWORD")
        for user, password in self.accounts.items():
            _fits("user name", user, _USER_BYTES)
            _fits("password", password, _PASSWORD_BYTES)
        _fits("session name", self.session, _SESSION_BYTES)
        if self.replay is not None and self.market is not None:
            raise ConfigError("a replayed file and a made-up market: there is one day, choose")
        if not self.symbols and not self.follows:
            raise ConfigError("no symbol: name at least one")
        if len(set(self.symbols)) != len(self.symbols):
            raise ConfigError(f"a symbol is named twice in {', '.join(self.symbols)}: name each once")
        for symbol in self.symbols:
            _fits("symbol", symbol, _SYMBOL_BYTES)
        for name, value in (
            ("linger", self.linger_s),
            ("start delay", self.start_delay_s),
            ("login timeout", self.login_timeout_s),
            ("snapshot delay", self.glimpse_delay_s),
        ):
            if value < 0:
                raise ConfigError(f"{name} {value} s: give 0 or more")
        if self.duration_s is not None and self.duration_s <= 0:
            raise ConfigError(f"duration {self.duration_s} s: give more than 0")
        if self.client_timeout_s <= 0:
            raise ConfigError(f"client time-out {self.client_timeout_s} s: give more than 0")
        if self.backlog_bytes < MAX_INPUT:
            raise ConfigError(f"a backlog of {self.backlog_bytes} bytes: give {MAX_INPUT} or more")
        self._check_lines()
        check_fees(self.fees_e8)
        check_outages(self.silences_s, self.drops_s)
        if self.follows and (self.halts or self.restrictions):
            raise ConfigError("halts in a replayed file or market: it brings its own; leave them out")
        check_halts(self.symbols, self.halts, self.restrictions)
        files = [path.absolute() for path in (self.replay, self.record, self.capture, self.log) if path is not None]
        if len(set(files)) != len(files):
            raise ConfigError("replay, record, capture and log: two of them name the same file; give each its own")
        check_share("re-request loss", self.rerequest_loss)
        check_delay(self.rerequest_delay_ns)
        if self.rerequest_keep is not None and self.rerequest_keep < 1:
            raise ConfigError(f"{self.rerequest_keep} messages to keep for re-requests: give 1 or more")
        if self.rollover_after is not None:
            if self.rollover_after < 1:
                raise ConfigError(f"rollover after {self.rollover_after} messages: give 1 or more")
            if self.follows:
                raise ConfigError("a replayed file or market is one session: leave it out, or the rollover")

    @property
    def follows(self) -> bool:
        """Are the messages made already, and our orders traded "as if"?"""
        return self.replay is not None or self.market is not None

    def _check_lines(self) -> None:
        check_share("loss on both lines", self.loss_both)
        if self.feed_b is None:
            if self.loss_both or self.faults_b != Faults():
                raise ConfigError("faults of a line B that is not there: say where it goes (--feed-b ADDR:PORT)")
        elif self.feed_b == self.feed:
            raise ConfigError(f"lines A and B both go to {self.feed[0]}:{self.feed[1]}: give B another group or port")


def _fits(what: str, text: str, length: int) -> None:
    if not (text.isascii() and text.isalnum() and len(text) <= length):
        raise ConfigError(f"{what} {text!r}: give 1 to {length} ASCII letters and digits")
