"""Who talks to whom: the feed and the order-entry session an engine is configured with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Protocol = Literal["ouch50", "ouch42"]
TimeInForce = Literal["ioc", "day"]


@dataclass(frozen=True, slots=True)
class FeedAddress:
    """Where the MoldUDP64 feed arrives: group (or unicast address) and UDP port; `source` accepts only that sender."""

    group: str
    port: int
    source: str | None = None


@dataclass(frozen=True, slots=True)
class OrderSession:
    """One order-entry session over UFO.

    `local` and `remote` are (IPv4 address, UDP port), MACs are ``"02:00:00:00:77:01"``; `remote_mac` is the next hop's.
    `firm` is the four-character MPID, empty for the port's default. `tif`: immediate-or-cancel, or good for the day.
    `vlan` tags the order frames.
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


def lab_feed() -> FeedAddress:
    """The feed of the standard lab."""
    from turbo_hft import lab

    return FeedAddress(lab.FEED_GROUP, lab.FEED_PORT, lab.EXCHANGE_ADDRESS)


def lab_session(protocol: Protocol = "ouch50", tif: TimeInForce = "ioc") -> OrderSession:
    """The order-entry session of the standard lab."""
    from turbo_hft import lab

    port = lab.OUCH50_PORT if protocol == "ouch50" else lab.OUCH42_PORT
    return OrderSession(
        local=(lab.HOST_ADDRESS, lab.ENGINE_PORT),
        remote=(lab.EXCHANGE_ADDRESS, port),
        local_mac=lab.HOST_MAC,
        remote_mac=lab.EXCHANGE_MAC,
        username=lab.USERNAME,
        password=lab.PASSWORD,
        protocol=protocol,
        tif=tif,
    )
