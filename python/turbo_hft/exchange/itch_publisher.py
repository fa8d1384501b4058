"""Turns book events into ITCH 5.0 messages and those into MoldUDP64 packets.

Messages queue here in publication order; `next_packet` takes at most `messages_per_packet` of them (fewer when the
payload bound is reached). The caller decides when a packet that is not full goes out, and fetches with `take_fresh`
what has gone out when it has the time to file it.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable

from turbo_hft.errors import ConfigError, ExchangeError
from turbo_hft.exchange.matching import (
    BookEvent,
    OrderAdded,
    OrderDeleted,
    OrderExecuted,
    OrderReduced,
    OrderReplaced,
)
from turbo_hft.wire import itch50, moldudp64

# Header and blocks of one packet; fits an Ethernet frame of 1500 bytes with IPv4, UDP and 802.1Q to spare.
MAX_PAYLOAD = 1400
_HEADER = 20
_LONGEST_MESSAGE = MAX_PAYLOAD - _HEADER - 2
# Executions carry tracking number 2 on the real feed, everything else 0.
_TRACKING = 0
_TRACKING_EXECUTION = 2


class ItchPublisher:
    """MoldUDP64 sessions, one after the other; counts are of all of them.

    `last_sequence` is the newest message of the current session that was handed out in a packet.
    """

    def __init__(self, session: str, messages_per_packet: int = 1) -> None:
        if messages_per_packet < 1:
            raise ConfigError(f"{messages_per_packet} messages per packet: give 1 or more")
        self.session = session
        self.messages_per_packet = messages_per_packet
        self.by_type: Counter[str] = Counter()
        self.packets = 0
        self.heartbeats = 0
        self.last_sequence = 0
        self._queue: deque[bytes] = deque()
        self._fresh: list[bytes] = []
        self._locates: dict[str, int] = {}
        self._locate_shift = 0

    def begin_session(self, session: str) -> None:
        """A new session: sequences begin at 1, and symbols get other locates, most of them another symbol's.

        Errors: ExchangeError while messages of the current session are waiting.
        """
        if self._queue:
            raise ExchangeError(
                f"session {self.session} has {len(self._queue)} messages to send: fetch its packets first"
            )
        self.session = session
        self.last_sequence = 0
        self._locates.clear()
        self._locate_shift += 1

    def take_fresh(self) -> list[bytes]:
        """The messages handed out in packets since the last call, in order."""
        fresh, self._fresh = self._fresh, []
        return fresh

    @property
    def waiting(self) -> int:
        """Messages queued and not yet in a packet."""
        return len(self._queue)

    @property
    def full(self) -> bool:
        """Is there enough for a full packet?"""
        return len(self._queue) >= self.messages_per_packet

    def raw(self, message: bytes) -> None:
        """Queue an encoded ITCH message as it is. Errors: ExchangeError if it is empty or fits no packet."""
        if not 0 < len(message) <= _LONGEST_MESSAGE:
            raise ExchangeError(
                f"a message of {len(message)} bytes cannot be published: a packet takes 1 to {_LONGEST_MESSAGE}"
            )
        self._queue.append(message)

    def system_event(self, code: str, time_ns: int) -> None:
        """S: `code` O, S, Q, M, E or C."""
        self.raw(itch50.SystemEvent(0, _TRACKING, time_ns, code).encode())

    def directory(self, symbol: str, time_ns: int) -> None:
        """R: list a symbol under the next stock locate."""
        locate = self._locates[symbol] = len(self._locates) + 1 + self._locate_shift
        self.raw(itch50.common_stock(symbol, locate, time_ns, _TRACKING).encode())

    def trading_action(self, symbol: str, state: str, time_ns: int, reason: str = "") -> None:
        """H: `state` T trading, H halted, P paused, Q quotation only."""
        locate = self._locates[symbol]
        self.raw(itch50.StockTradingAction(locate, _TRACKING, time_ns, symbol, state, "", reason).encode())

    def reg_sho(self, symbol: str, action: str, time_ns: int) -> None:
        """Y: `action` 0 no short-sale price test, 1 or 2 one in force."""
        self.raw(itch50.RegShoRestriction(self._locates[symbol], _TRACKING, time_ns, symbol, action).encode())

    def operational_halt(self, symbol: str, action: str, time_ns: int) -> None:
        """h: this market alone halts (`action` H) or resumes (T) a symbol."""
        self.raw(itch50.OperationalHalt(self._locates[symbol], _TRACKING, time_ns, symbol, "Q", action).encode())

    def empty_cross(self, symbol: str, time_ns: int) -> None:
        """Q: the cross that reopens a halted symbol, in which nothing traded."""
        self.raw(itch50.CrossTrade(self._locates[symbol], _TRACKING, time_ns, 0, symbol, 0, 0, "H").encode())

    def broken_trade(self, symbol: str, match_number: int, time_ns: int) -> None:
        """B: an execution was undone."""
        self.raw(itch50.BrokenTrade(self._locates[symbol], _TRACKING, time_ns, match_number).encode())

    def publish(self, events: Iterable[BookEvent], time_ns: int) -> int:
        """Queue one message per event; the number of messages."""
        before = len(self._queue)
        for event in events:
            self.raw(self._message(event, self._locates[event.symbol], time_ns).encode())
        return len(self._queue) - before

    @staticmethod
    def _message(event: BookEvent, locate: int, time_ns: int) -> itch50.Message:
        match event:
            case OrderAdded(symbol, ref, side, qty, price_e4, ""):
                return itch50.AddOrder(locate, _TRACKING, time_ns, ref, side, qty, symbol, price_e4)
            case OrderAdded(symbol, ref, side, qty, price_e4, mpid):
                return itch50.AddOrderMpid(locate, _TRACKING, time_ns, ref, side, qty, symbol, price_e4, mpid)
            case OrderExecuted(_, ref, _, qty, price_e4, match_number, True):
                return itch50.OrderExecutedWithPrice(
                    locate, _TRACKING_EXECUTION, time_ns, ref, qty, match_number, "Y", price_e4
                )
            case OrderExecuted(_, ref, _, qty, _, match_number):
                return itch50.OrderExecuted(locate, _TRACKING_EXECUTION, time_ns, ref, qty, match_number)
            case OrderReduced(_, ref, qty):
                return itch50.OrderCancel(locate, _TRACKING, time_ns, ref, qty)
            case OrderDeleted(_, ref):
                return itch50.OrderDelete(locate, _TRACKING, time_ns, ref)
            case OrderReplaced(_, ref, new_ref, qty, price_e4):
                return itch50.OrderReplace(locate, _TRACKING, time_ns, ref, new_ref, qty, price_e4)

    def next_packet(self) -> bytes | None:
        """The next packet from the queue, or None when nothing is queued."""
        messages: list[bytes] = []
        room = MAX_PAYLOAD - _HEADER
        while self._queue and len(messages) < self.messages_per_packet and len(self._queue[0]) + 2 <= room:
            message = self._queue.popleft()
            room -= len(message) + 2
            messages.append(message)
            self.by_type[chr(message[0])] += 1
        if not messages:
            return None
        self._fresh += messages
        first = self.last_sequence + 1
        self.last_sequence += len(messages)
        self.packets += 1
        return moldudp64.Packet(self.session, first, tuple(messages)).encode()

    def heartbeat(self) -> bytes:
        """A packet without messages that names the next sequence."""
        self.heartbeats += 1
        return moldudp64.Heartbeat(self.session, self.last_sequence + 1).encode()

    def end_of_session(self) -> bytes:
        """The packet that ends the session."""
        return moldudp64.EndOfSession(self.session, self.last_sequence + 1).encode()
