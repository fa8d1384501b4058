"""Order entry over SoupBinTCP without sockets: our client's session on the exchange's conversation, time by hand."""

from __future__ import annotations

from exchange_rig import SECOND
from turbo_hft.exchange import ExchangeCore
from turbo_hft.exchange.stream_faults import Conversation
from turbo_hft.soupbintcp import Event, LoggedIn, Message, Session
from turbo_hft.wire import ouch42, ouch50, soupbintcp

CURRENT = "HFT0000001"
ADDRESS = ("10.77.0.1", 40_000)


class Talk:
    """Bytes to and from one conversation, as packets."""

    def __init__(self, core: ExchangeCore, port: str = "ouch50", now_ns: int = 0, last_octet: int = 1) -> None:
        self.core = core
        self.conversation: Conversation = core.connect(port, (f"10.77.0.{last_octet}", 40_000), now_ns)
        self.decoder = soupbintcp.Decoder()

    def say(self, *packets: soupbintcp.ClientPacket, now_ns: int = 0) -> list[soupbintcp.Packet]:
        return self.raw(b"".join(packet.encode() for packet in packets), now_ns)

    def raw(self, data: bytes, now_ns: int = 0) -> list[soupbintcp.Packet]:
        self.conversation.receive(data, now_ns)
        return self.hear(now_ns)

    def hear(self, now_ns: int = 0) -> list[soupbintcp.Packet]:
        """All that the server has to say now."""
        while data := self.conversation.output(now_ns):
            self.conversation.taken(len(data), now_ns)
            self.decoder.feed(data)
        return list(self.decoder)

    def is_over(self) -> bool:
        return self.conversation.over

    def login(self, sequence: int = 1, user: str = "HFT001", now_ns: int = 0, heartbeat_ms: int | None = None) -> int:
        """Log in; the number that the server goes on with. What follows the answer is left for `hear`."""
        request = soupbintcp.LoginRequest(user, "SECRET", "", sequence, heartbeat_ms)
        answer, *self.more = self.say(request, now_ns=now_ns)
        assert isinstance(answer, soupbintcp.LoginAccepted) and answer.session == CURRENT
        return answer.sequence

    def send(self, *messages: ouch50.Inbound | ouch42.Inbound, now_ns: int = 0) -> list[bytes]:
        """OUCH messages; the replies."""
        packets = (soupbintcp.UnsequencedData(message.encode()) for message in messages)
        return replies_of(self.say(*packets, now_ns=now_ns))


def replies_of(packets: list[soupbintcp.Packet]) -> list[bytes]:
    return [packet.message for packet in packets if isinstance(packet, soupbintcp.SequencedData)]


class Linked:
    """A client's session that is connected to the exchange again and again; it keeps what it was told."""

    def __init__(self, core: ExchangeCore, session: Session, port: str = "ouch50") -> None:
        self.core, self.session, self.port = core, session, port
        self.now_ns = 0
        self.events: list[Event] = []
        self.conversation: Conversation | None = None

    def connect(self) -> None:
        self.conversation = self.core.connect(self.port, ADDRESS, self.now_ns)
        self.session.connected(self.now_ns)

    def exchange(self, most: int | None = None, piece: int = 1 << 16) -> int:
        """Move bytes until nobody has any, or `most` of the server's; how many of those there were."""
        assert self.conversation is not None
        moved = 0
        while True:
            out = self.session.take()
            for at in range(0, len(out), piece):
                self.conversation.receive(out[at : at + piece], self.now_ns)
            data = self.conversation.output(self.now_ns)[:piece]
            if most is not None:
                data = data[: most - moved]
            self.conversation.taken(len(data), self.now_ns)
            moved += len(data)
            self.events += self.session.receive(data, self.now_ns)
            if not data and not out:
                return moved

    def lose(self) -> None:
        assert self.conversation is not None
        self.conversation.gone(self.now_ns)
        self.events += self.session.disconnected("cut")
        self.now_ns += SECOND // 10

    @property
    def messages(self) -> list[tuple[int | None, bytes]]:
        return [(event.sequence, event.data) for event in self.events if isinstance(event, Message)]

    @property
    def logins(self) -> list[int]:
        return [event.sequence for event in self.events if isinstance(event, LoggedIn)]
