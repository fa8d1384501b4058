"""Who talks to whom: the feeds and the order-entry session an engine is configured with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from turbo_hft.errors import ConfigError

Protocol = Literal["ouch50", "ouch42"]
TimeInForce = Literal["ioc", "day"]
Transport = Literal["ufo", "soupbintcp"]


class Rerequest(NamedTuple):
    """A MoldUDP64 re-request server, and where its replies are taken: (IPv4 address, UDP port) each."""

    server: tuple[str, int]
    local: tuple[str, int]


@dataclass(frozen=True, slots=True)
class FeedLine:
    """One way by which a feed arrives: the destination of its frames, and the sender that is believed (None or port 0 =
    any)."""

    line: Literal["a", "b", "rerequest"]
    address: str
    port: int
    peer: tuple[str | None, int]


@dataclass(frozen=True, slots=True)
class FeedAddress:
    """Where a MoldUDP64 feed arrives: group (or unicast address) and UDP port; `source` accepts only that sender.

    `group_b`, `port_b`, `source_b`: line B, the same packets by another way; a group or a port that is left away is
    line A's, and with neither there is no line B. `rerequest`: where missing messages are asked for.
    """

    group: str
    port: int
    source: str | None = None
    group_b: str | None = None
    port_b: int | None = None
    source_b: str | None = None
    rerequest: Rerequest | None = None

    def lines(self) -> tuple[FeedLine, ...]:
        """Every way by which frames of this feed arrive. Raises ConfigError for a sender of a line B that is not
        there."""
        lines = [FeedLine("a", self.group, self.port, (self.source, 0))]
        if self.group_b is not None or self.port_b is not None:
            at = (self.group_b or self.group, self.port_b or self.port)
            lines.append(FeedLine("b", *at, (self.source_b, 0)))
        elif self.source_b is not None:
            raise ConfigError(f"source_b {self.source_b} without a line B: give group_b or port_b, or leave it away.")
        if self.rerequest is not None:
            server, local = self.rerequest
            lines.append(FeedLine("rerequest", *local, server))
        return tuple(lines)


@dataclass(frozen=True, slots=True)
class OrderSession:
    """One order-entry session over UFO, or over SoupBinTCP (`transport`).

    `local` and `remote` are (IPv4 address, UDP or TCP port), MACs are ``"02:00:00:00:77:01"``; `remote_mac` is the next
    hop's. `firm` is the four-character MPID, empty for the port's default. `tif`: immediate-or-cancel, or good for the
    day. `vlan` tags the order frames. `token_prefix`: OUCH 4.2, the six characters that the tokens of all orders begin
    with; left empty they are others at each start. Who shall recognise the orders of the start before needs the same.
    """

    local: tuple[str, int]
    remote: tuple[str, int]
    local_mac: str
    remote_mac: str
    username: str
    password: str
    protocol: Protocol = "ouch50"
    firm: str = ""
    tif: TimeInForce = "ioc"
    vlan: int | None = None
    session: str = ""
    token_prefix: str = ""
    transport: Transport = "ufo"


def lab_feed() -> FeedAddress:
    """The feed of the standard lab."""
    from turbo_hft import lab

    return FeedAddress(lab.FEED_GROUP, lab.FEED_PORT, lab.EXCHANGE_ADDRESS)


def lab_session(protocol: Protocol = "ouch50", tif: TimeInForce = "ioc", transport: Transport = "ufo") -> OrderSession:
    """The order-entry session of the standard lab; over TCP from any port."""
    from turbo_hft import lab

    port = lab.OUCH50_PORT if protocol == "ouch50" else lab.OUCH42_PORT
    return OrderSession(
        local=(lab.HOST_ADDRESS, lab.ENGINE_PORT if transport == "ufo" else 0),
        remote=(lab.EXCHANGE_ADDRESS, port),
        local_mac=lab.HOST_MAC,
        remote_mac=lab.EXCHANGE_MAC,
        username=lab.USERNAME,
        password=lab.PASSWORD,
        protocol=protocol,
        tif=tif,
        transport=transport,
    )
