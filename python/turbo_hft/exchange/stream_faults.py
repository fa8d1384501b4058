"""What goes wrong on a TCP connection of order entry: it is cut, stands still, or its bytes come in odd pieces.

TCP loses nothing and changes no order, so these are the faults there are. Bytes in odd pieces must change nothing at
all; a cut leaves a client with orders whose answers it has not seen, and it has to come back for them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Protocol

from turbo_hft.errors import ConfigError

SECOND_NS = 1_000_000_000
_AHEAD = 65_536  # bytes of replies that may be on their way


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamFaults:
    """Faults of every connection. Errors: ConfigError naming the value that cannot be."""

    cut_after_replies: int | None = None  # so many sequenced messages, and half of the next one
    cut_after_orders: int | None = None  # so many of the client's are carried out, the last one's answer is not sent
    cut_by_reset: bool = False  # RST instead of FIN
    stalls_s: tuple[tuple[float, float], ...] = ()  # (start, length) in seconds of the feed: nothing is read
    segment_bytes: int | None = None  # each send() at most so long
    hold_ns: int = 0  # replies wait so long for others to share a send() with

    def __post_init__(self) -> None:
        """Check the ranges."""
        for what, value in (
            ("a cut after so many replies", self.cut_after_replies),
            ("a cut after so many orders", self.cut_after_orders),
            ("segments of so many bytes", self.segment_bytes),
        ):
            if value is not None and value < 1:
                raise ConfigError(f"{what}, {value}: give 1 or more")
        if self.hold_ns < 0:
            raise ConfigError(f"replies held for {self.hold_ns / 1000:g} µs: give 0 or more")
        for start, length in self.stalls_s:
            if start < 0 or length <= 0:
                raise ConfigError(f"reading stalled for {length} s from {start} s on: give 0 or later, and more than 0")

    def stalled(self, elapsed_ns: int) -> bool:
        """Is nothing read, so long after the start of the feed?"""
        return any(start <= elapsed_ns / SECOND_NS < start + length for start, length in self.stalls_s)


class Conversation(Protocol):
    """One client of a TCP server, without its socket. All times are CLOCK_MONOTONIC."""

    @property
    def resets(self) -> bool:
        """Does it end with a RST instead of a FIN?"""

    @property
    def over(self) -> bool:
        """Is it time to close?"""

    @property
    def has_output(self) -> bool:
        """Would the client get something if it could take more now?"""

    @property
    def next_due_ns(self) -> int:
        """When there is something to do even if the client does nothing."""

    def receive(self, data: bytes, now_ns: int) -> None:
        """The client sent this."""

    def output(self, now_ns: int) -> bytes:
        """What the client should get next; empty when there is nothing."""

    def taken(self, size: int, now_ns: int) -> None:
        """The client took so many bytes of the output."""

    def gone(self, now_ns: int) -> None:
        """The client closed the connection, or broke it."""


class LateConversation:
    """A conversation whose bytes are under way for a while, in both directions; order and bytes stay as they are."""

    def __init__(
        self,
        conversation: Conversation,
        orders_ns: tuple[int, int],
        replies_ns: tuple[int, int],
        hold_ns: int,
        seed: str,
    ) -> None:
        """Delays as (shortest, longest)."""
        self._conversation = conversation
        self._orders = _Late(orders_ns, f"{seed} orders")
        self._replies = _Late(replies_ns, f"{seed} replies", hold_ns)

    @property
    def resets(self) -> bool:
        """As the conversation says."""
        return self._conversation.resets

    @property
    def over(self) -> bool:
        """The conversation is over and its last words are out, unless it ends with a RST."""
        return self._conversation.over and (self._conversation.resets or not self._replies.size)

    @property
    def has_output(self) -> bool:
        """Can something go out at once?"""
        return bool(self._replies.arrived)

    @property
    def next_due_ns(self) -> int:
        """The earliest of the conversation's and the delays' times."""
        due = [self._orders.next_due_ns, self._replies.next_due_ns, self._conversation.next_due_ns]
        return min(each for each in due if each is not None)

    def receive(self, data: bytes, now_ns: int) -> None:
        """The client sent this; it will come later."""
        self._orders.add(data, now_ns)

    def output(self, now_ns: int) -> bytes:
        """What has been under way for long enough."""
        self._orders.move(now_ns, lambda data: self._conversation.receive(data, now_ns))
        if self._replies.size < _AHEAD:
            data = self._conversation.output(now_ns)
            if data:
                self._replies.add(data, now_ns)
                self._conversation.taken(len(data), now_ns)
        self._replies.move(now_ns)
        return bytes(self._replies.arrived)

    def taken(self, size: int, now_ns: int) -> None:
        """The client took so many bytes of the output."""
        self._replies.take(size)

    def gone(self, now_ns: int) -> None:
        """What the client sent before it left comes at once."""
        self._orders.move(None, lambda data: self._conversation.receive(data, now_ns))
        self._conversation.gone(now_ns)


class _Late:
    def __init__(self, delay_ns: tuple[int, int], seed: str, hold_ns: int = 0) -> None:
        self._delay_ns, self._hold_ns, self._random = delay_ns, hold_ns, Random(seed)
        self._waiting: deque[tuple[int, bytearray]] = deque()
        self.arrived = bytearray()
        self.size = 0

    @property
    def next_due_ns(self) -> int | None:
        return self._waiting[0][0] if self._waiting else None

    def add(self, data: bytes, now_ns: int) -> None:
        self.size += len(data)
        if self._hold_ns and self._waiting:
            self._waiting[-1][1].extend(data)
            return
        # Later bytes may be due sooner; those before them hold them up all the same.
        self._waiting.append((now_ns + self._random.randint(*self._delay_ns) + self._hold_ns, bytearray(data)))

    def move(self, now_ns: int | None, to: Callable[[bytes], None] | None = None) -> None:
        """What is due, or with None everything, has arrived: in `arrived`, or at `to` which takes it."""
        while self._waiting and (now_ns is None or self._waiting[0][0] <= now_ns):
            data = bytes(self._waiting.popleft()[1])
            if to is None:
                self.arrived += data
            else:
                self.size -= len(data)
                to(data)

    def take(self, size: int) -> None:
        self.size -= size
        del self.arrived[:size]
