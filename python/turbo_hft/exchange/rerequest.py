"""The re-request server: sends messages of the feed again to who missed them (MoldUDP64).

No sockets here. A request is answered with one ordinary feed packet to the address it came from, with as many whole
messages as fit; the client asks again for the rest. There is no negative answer: what cannot be served is counted
and otherwise ignored, as is a share of requests and replies if the server is asked to lose some.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from random import Random

from turbo_hft.errors import ConfigError, MalformedMessage
from turbo_hft.exchange.itch_publisher import MAX_PAYLOAD
from turbo_hft.exchange.line import check_delay, check_share
from turbo_hft.exchange.message_store import MessageStore
from turbo_hft.wire import moldudp64

Address = tuple[str, int]
_COUNTERS = (
    "requests", "replies", "messages", "malformed", "unknown_session", "unknown_range", "lost_requests", "lost_replies",
)  # fmt: skip


class RerequestServer:
    """`store_of` gives the messages of a session by its name, None for one that never was."""

    def __init__(
        self,
        store_of: Callable[[str], MessageStore | None],
        *,
        max_payload: int = MAX_PAYLOAD,
        loss: float = 0.0,
        delay_ns: tuple[int, int] = (0, 0),
        seed: int | str = 0,
    ) -> None:
        """`loss` is the share of requests, and of replies, that get lost. Errors: ConfigError for a bad value."""
        check_share("re-request loss", loss)
        check_delay(delay_ns)
        if max_payload <= moldudp64.HEADER_LENGTH + 2:
            raise ConfigError(f"re-request payload {max_payload}: give more than {moldudp64.HEADER_LENGTH + 2} bytes")
        self._store_of = store_of
        self._max_payload = max_payload
        self._loss = loss
        self._delay_ns = delay_ns
        self._random = Random(f"{seed}")
        self._waiting: deque[tuple[int, Address, bytes]] = deque()
        self.count: Counter[str] = Counter()

    @property
    def next_due_ns(self) -> int | None:
        """When the next reply is due; None when there is none."""
        return self._waiting[0][0] if self._waiting else None

    def receive(self, address: Address, datagram: bytes, now_ns: int) -> None:
        """Handle a request; the reply waits for `due`. Never raises for anything a client can send."""
        if self._loses("lost_requests"):
            return
        self.count["requests"] += 1
        try:
            request = moldudp64.decode_request(datagram)
        except MalformedMessage:
            self.count["malformed"] += 1
            return
        store = self._store_of(request.session)
        if store is None:
            self.count["unknown_session"] += 1
            return
        messages = self._messages(store, request)
        if not messages:
            self.count["unknown_range"] += 1
            return
        if self._loses("lost_replies"):
            return
        reply = moldudp64.Packet(request.session, request.sequence, messages).encode()
        due_ns = now_ns + (self._random.randint(*self._delay_ns) if self._delay_ns[1] else 0)
        if self._waiting:
            due_ns = max(due_ns, self._waiting[-1][0])  # replies do not overtake each other
        self._waiting.append((due_ns, address, reply))
        self.count["messages"] += len(messages)

    def due(self, now_ns: int) -> list[tuple[Address, bytes]]:
        """The replies to send now."""
        replies: list[tuple[Address, bytes]] = []
        while self._waiting and self._waiting[0][0] <= now_ns:
            replies.append(self._waiting.popleft()[1:])
        self.count["replies"] += len(replies)
        return replies

    def counters(self) -> dict[str, int]:
        """JSON-ready; `requests` are those that were not lost."""
        return {name: self.count[name] for name in _COUNTERS}

    def _messages(self, store: MessageStore, request: moldudp64.Request) -> tuple[bytes, ...]:
        messages: list[bytes] = []
        room = self._max_payload - moldudp64.HEADER_LENGTH
        for sequence in range(request.sequence, request.sequence + min(request.count, moldudp64.MAX_BLOCKS)):
            message = store.message(sequence)
            if message is None:
                break
            room -= 2 + len(message)
            if room < 0 and messages:  # one that fits no packet goes alone: the client could never ask past it
                break
            messages.append(message)
        return tuple(messages)

    def _loses(self, what: str) -> bool:
        if self._loss > 0 and self._random.random() < self._loss:
            self.count[what] += 1
            return True
        return False
