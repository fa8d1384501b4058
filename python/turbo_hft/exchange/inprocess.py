"""A client of an exchange in the same process: no sockets, no waiting, time given by the caller.

For tests and for trying out what the exchange answers. It keeps the replies it was sent in order of their sequence
numbers and forgets repeated ones, as a client must.
"""

from __future__ import annotations

from turbo_hft.exchange.client import Address
from turbo_hft.exchange.core import ExchangeCore, Reply
from turbo_hft.wire import ouch42, ouch50, ufo

Inbound = ouch50.Inbound | ouch42.Inbound
Outbound = ouch50.Outbound | ouch42.Outbound


class InProcessClient:
    """One account's client on one port (`ouch50` or `ouch42`). `replies[i]` has sequence i + 1."""

    def __init__(self, core: ExchangeCore, port: str = "ouch50", address: Address = ("10.77.0.1", 26400)) -> None:
        self.core = core
        self.port = port
        self.address = address
        self.replies: list[Outbound] = []
        self.control: list[ufo.Downstream] = []
        self._decode = ouch50.decode_outbound if port == "ouch50" else ouch42.decode_outbound

    def login(
        self, username: str = "HFT001", password: str = "SECRET", session: str = "", now_ns: int = 0
    ) -> ufo.Downstream:
        """Ask to be logged in; what the exchange answered: LoginAccepted or LoginRejected."""
        before = len(self.control)
        self.upstream(ufo.LoginRequest(username, password, session), now_ns=now_ns)
        return self.control[before]

    def send(self, *messages: Inbound, now_ns: int = 0) -> list[Outbound]:
        """OUCH messages in one datagram; the new replies."""
        return self.upstream(*(ufo.Unsequenced(message.encode()) for message in messages), now_ns=now_ns)

    def upstream(self, *messages: ufo.Upstream, now_ns: int = 0) -> list[Outbound]:
        """UFO messages in one datagram; the new replies."""
        return self.raw(ufo.encode_upstream(*messages), now_ns=now_ns)

    def raw(self, datagram: bytes, now_ns: int = 0) -> list[Outbound]:
        """Any bytes at all; the new replies."""
        return self.take(self.core.on_upstream(self.port, self.address, datagram, now_ns))

    def take(self, datagrams: list[Reply]) -> list[Outbound]:
        """Of what the exchange sends, keep what is for this client; the new replies."""
        before = len(self.replies)
        for port, address, datagram in datagrams:
            if (port, address) != (self.port, self.address):
                continue
            packet = ufo.decode_downstream(datagram)
            if not isinstance(packet, ufo.Sequenced) or not packet.messages:
                self.control.append(packet)
                continue
            known = len(self.replies) + 1 - packet.sequence
            if known >= 0:
                self.replies += [self._decode(message) for message in packet.messages[known:]]
        return self.replies[before:]
