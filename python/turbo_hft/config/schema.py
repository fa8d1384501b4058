"""Every key of a configuration, with its type, default and meaning. docs/config.md and the help are made from this.

A table of the file is a dataclass, a key a field. What a symbol, a strategy or the account can be told is asked of the
live attributes that it names (`turbo_hft.words`), each of which has its own text.
"""

# ruff: noqa: RUF009 - key() is dataclasses.field with a text

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from turbo_hft.addresses import FeedAddress, OrderSession, Protocol, Rerequest, TimeInForce, Transport
from turbo_hft.errors import ConfigError

if TYPE_CHECKING:
    from turbo_hft.program import LoadSettings

OnRestart = Literal["halt", "trade"]
WhenFull = Literal["halt", "go-on"]
ModeName = Literal["native", "generic"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An IPv4 address and a UDP or TCP port, ``ADDR:PORT``."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"{self.address}:{self.port}"

    @property
    def pair(self) -> tuple[str, int]:
        """As sockets take it."""
        return self.address, self.port

    @classmethod
    def of(cls, text: str, least_port: int = 1) -> Endpoint:
        """Raises ConfigError."""
        address, _, port = text.rpartition(":")
        octets = address.split(".")
        if len(octets) != 4 or not all(octet.isdecimal() and int(octet) < 256 for octet in octets):
            raise ConfigError(f"{text!r}: write ADDR:PORT with an IPv4 address")
        if not port.isdecimal() or not least_port <= int(port) <= 65_535:
            raise ConfigError(f"{text!r}: the port is {least_port} to 65535")
        return cls(address, int(port))


def key(doc: str, default: Any = MISSING, *, least: float | None = None, most: float | None = None) -> Any:
    """A field with its text; `least` and `most` of a number."""
    metadata = {"doc": doc, "least": least, "most": most}
    return field(metadata=metadata) if default is MISSING else field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineTable:
    """The engine and the process that keeps it."""

    interface: str = key("Interface on which it runs.")
    mode: ModeName = key("Where the program runs: in the driver (native), or above it (generic, slower).", "native")
    strategy_object: Path | None = key(
        "Object file of a strategy of yours, linked in when a program is loaded; one that is taken over must have it.",
        None,
    )
    pin: bool = key("Keep the engine on the BPF file system, so that it outlives its process.", False)
    pin_root: Path | None = key(
        "Directory of a BPF file system for that; /sys/fs/bpf/turbo_hft if none is given.", None
    )
    lease_s: float = key(
        "Orders stop so many seconds after the process was killed, stopped or hangs.", 1.0, least=0.01, most=3600
    )
    halted: bool = key("Start halted: a person lets it trade (`turbo-hft resume`).", False)
    on_restart: OnRestart = key(
        "An engine that is taken over stays halted until a person resumes it, or goes on as it was (trade).", "halt"
    )
    login: bool = key("Log in to order entry; without, it only follows the feed.", True)
    login_timeout_s: float = key("Seconds to wait for the exchange to answer the login.", 5.0, least=0.1, most=3600)
    recover: bool = key("Take orders and positions from the day's replies, read again from the first.", False)
    start_flat: bool = key("Begin with positions of 0 although the account has traded today, without `recover`.", False)
    merge_cpu: int | None = key(
        "SoupBinTCP: a CPU for the thread alone that merges what the hook sent; it rests in between if none is given.",
        None,
        least=0,
        most=8191,
    )
    rearm: bool = key("Trade on after a silence of the exchange that left nothing uncertain.", False)
    recovery: bool = key("Fill gaps and restore doubtful books, if the feed has servers for that.", True)
    keep_orders: bool = key("Leave working orders at the exchange at the regular end.", False)
    leave: bool = key("Leave the pinned engine as it is at the regular end, for the next process.", False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SizesTable:
    """Fixed when a program is loaded: another value needs a new one."""

    symbols: int = key("Most symbols that can be tracked; 1.3 kB each.", 256, least=1, most=16_384)
    orders: int = key("Resting orders of all symbols together; 40 bytes each.", 131_072, least=1, most=1 << 26)
    levels: int | None = key(
        "Blocks of seven neighbouring prices off the touch, 80 bytes each; reckoned from the others if left away.",
        None,
        least=1,
        most=1 << 24,
    )
    kept: int = key(
        "Messages kept while an earlier one is missing or their symbol is in quarantine; 64 bytes each.",
        16_384,
        least=1,
        most=1 << 22,
    )
    hold_ns: int = key("How long a missing message may still come by the other line, ns.", 2_000_000, least=0)
    crossed_ns: int = key("How long a book may be crossed before it is doubted, ns; 0 = for ever.", 10**9, least=0)
    verify_checksums: bool = key("Refuse datagrams of ours with a wrong IPv4 or UDP checksum.", True)
    time_all: bool = key("Fill the feed and reply histograms too: a second clock read a packet.", False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionTable:
    """Order entry."""

    protocol: Protocol = key("What orders are written in.", "ouch50")
    transport: Transport = key("What carries orders: datagrams (ufo), or a TCP connection (soupbintcp).", "ufo")
    local: Endpoint = key("The engine's order-entry address; port 0: any, of SoupBinTCP only.", least=0)
    remote: Endpoint = key("The exchange's order-entry address.")
    local_mac: str = key("MAC address of the interface.")
    remote_mac: str = key("MAC address of the next hop to the exchange.")
    username: str = key("For the login.")
    password: str | None = key("For the login.", None)
    password_file: Path | None = key("A file whose first line is the password, instead of it.", None)
    firm: str = key("OUCH 4.2: the firm that orders are entered for.", "")
    tif: TimeInForce = key("Time in force of orders: immediate-or-cancel, or the day.", "ioc")
    vlan: int | None = key("802.1Q tag of order frames.", None, least=1, most=4094)
    token_prefix: str = key("OUCH 4.2: the six characters that all tokens begin with, for `recover`.", "")

    def order_session(self) -> OrderSession:
        """As the engine takes it. Raises ConfigError."""
        if self.transport == "ufo" and not self.local.port:
            raise ConfigError("session.local: the port is 1 to 65535 over UFO")
        if (self.password is None) == (self.password_file is None):
            raise ConfigError("session.password and session.password_file: give one of them")
        password = self.password
        if self.password_file is not None:
            try:
                password = self.password_file.read_text(encoding="utf-8").partition("\n")[0]
            except OSError as error:
                raise ConfigError(f"session.password_file {self.password_file}: {error.strerror}") from None
        return OrderSession(
            local=self.local.pair,
            remote=self.remote.pair,
            local_mac=self.local_mac,
            remote_mac=self.remote_mac,
            username=self.username,
            password=password or "",
            protocol=self.protocol,
            firm=self.firm,
            tif=self.tif,
            vlan=self.vlan,
            token_prefix=self.token_prefix,
            transport=self.transport,
        )

    @classmethod
    def of(cls, session: OrderSession) -> SessionTable:
        """The same from what the engine takes."""
        return cls(
            protocol=session.protocol,
            local=Endpoint(*session.local),
            remote=Endpoint(*session.remote),
            local_mac=session.local_mac,
            remote_mac=session.remote_mac,
            username=session.username,
            password=session.password,
            firm=session.firm,
            tif=session.tif,
            vlan=session.vlan,
            token_prefix=session.token_prefix,
            transport=session.transport,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedTable:
    """Market data."""

    at: Endpoint = key("Group, or address, and port of the feed (line A).")
    source: str | None = key("Take it from this sender only.", None)
    b: Endpoint | None = key("Line B: the same feed by another way.", None)
    b_source: str | None = key("Take line B from this sender only.", None)
    rerequest: Endpoint | None = key("The feed's re-request server.", None)
    rerequest_local: Endpoint | None = key("Where its replies are taken.", None)
    snapshots: Endpoint | None = key("The snapshot server (GLIMPSE), which knows the account of the session.", None)

    def address(self) -> FeedAddress:
        """As the engine takes it. Raises ConfigError."""
        if (self.rerequest is None) != (self.rerequest_local is None):
            raise ConfigError("feed.rerequest and feed.rerequest_local: give both or none of them")
        rerequest = None
        if self.rerequest is not None and self.rerequest_local is not None:
            rerequest = Rerequest(self.rerequest.pair, self.rerequest_local.pair)
        return FeedAddress(
            self.at.address,
            self.at.port,
            self.source,
            None if self.b is None else self.b.address,
            None if self.b is None else self.b.port,
            self.b_source,
            rerequest,
        )

    @classmethod
    def of(cls, feed: FeedAddress, snapshots: tuple[str, int] | None) -> FeedTable:
        """The same from what the engine takes."""
        b = None
        if feed.group_b is not None or feed.port_b is not None:
            b = Endpoint(feed.group_b or feed.group, feed.port_b or feed.port)
        return cls(
            at=Endpoint(feed.group, feed.port),
            source=feed.source,
            b=b,
            b_source=feed.source_b,
            rerequest=None if feed.rerequest is None else Endpoint(*feed.rerequest.server),
            rerequest_local=None if feed.rerequest is None else Endpoint(*feed.rerequest.local),
            snapshots=None if snapshots is None else Endpoint(*snapshots),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalTable:
    """The flight recorder."""

    directory: Path | None = key("Record every decision, reply and change in files of this directory.", None)
    fsync: str = key("When what was written is made to last: none, batch, or every so often, such as 100ms.", "100ms")
    when_full: WhenFull = key("What trading does when an event is lost or the journal cannot be written.", "halt")


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlTable:
    """Who else may read and trade: docs/control-socket.md."""

    socket: bool = key("Let others read and steer the engine by sockets.", False)
    root: Path | None = key("Directory for those; /run/turbo-hft if none is given.", None)
    read_group: str = key('Group, by name or number, whose members may read; "" = nobody else.', "turbo-hft-read")
    trade_group: str = key(
        'Group whose members may read and trade; "" = only the user of the process, and root.', "turbo-hft-trade"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All of it. `account`: limits of all orders and of strategies (``quoter.max_executions``), ``mark``, ``fee.R``;
    `symbols`: name -> settings, in the words of `turbo-hft set`."""

    engine: EngineTable
    session: SessionTable
    feed: FeedTable
    sizes: SizesTable = field(default_factory=SizesTable)
    journal: JournalTable = field(default_factory=JournalTable)
    control: ControlTable = field(default_factory=ControlTable)
    account: Mapping[str, Any] = field(default_factory=dict)
    symbols: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def contradiction(self) -> tuple[str, str] | None:
        """A key whose value cannot be had with another one's, and why; None if all can."""
        own = self.engine
        pinned = own.pin or own.pin_root is not None
        if own.start_flat and own.recover:
            return "engine.start_flat", "it excludes engine.recover: positions of the day, or none"
        if own.leave and not pinned:
            return "engine.leave", "only an engine that is pinned can be left: give engine.pin too"
        if pinned and self.session.transport == "soupbintcp":
            return "engine.pin", (
                "a TCP connection ends with its process, so over SoupBinTCP an engine is not pinned. Leave engine.pin "
                "(--pin) away; with engine.recover (--recover) the next start has the day's orders and positions back"
            )
        return None

    def load_settings(self) -> LoadSettings:
        """For `Engine.open`."""
        values = {one.name: getattr(self.sizes, one.name) for one in fields(SizesTable)}
        values["transport"] = self.session.transport
        # Field for field what an engine is loaded with; what it checks is named by key and value.
        return cast("LoadSettings", {name: value for name, value in values.items() if value is not None})


# Keys that are no single word of the engine's memory.
OTHERS = {
    "mark": "What positions are valued at: side (the bid when long, the offer when short), mid, last.",
    "fees.FLAG": "Dollars a share of executions with that liquidity flag; negative = received.",
    "symbols.NAME.strategy": "Who trades it: threshold, imbalance, momentum, quoter, user, or off.",
    "symbols.NAME.shadow": "List of strategies that are asked too without their orders leaving.",
    "symbols.NAME.buy_below": "Threshold: buy when the best offer is at or below this, dollars; off = never.",
    "symbols.NAME.sell_above": "Threshold: sell the position when the best bid is at or above this; off = never.",
}

TABLES: dict[str, type[Any]] = {
    "engine": EngineTable,
    "sizes": SizesTable,
    "session": SessionTable,
    "feed": FeedTable,
    "journal": JournalTable,
    "control": ControlTable,
}


def doc(table: str, name: str) -> str:
    """The text of a key."""
    return next(str(one.metadata["doc"]) for one in fields(TABLES[table]) if one.name == name)


def help_of(table: str, name: str) -> str:
    """The text of a key as the help of an option has it: no capital, no full stop."""
    text = doc(table, name).rstrip(".")
    return text[0].lower() + text[1:]
