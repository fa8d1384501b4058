"""Packets of both lines as they were captured, made to follow each other: one that is early waits for those before it.

The program would keep an early message and apply it later, together with others. Here each has to be seen by itself, so
what is early waits outside; what comes again goes in, and the program drops it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import NamedTuple

from turbo_hft.recorded.datagrams import Datagram

_PATIENCE_NS = 1_000_000_000
_MOST_WAITING = 100_000


class Piece(NamedTuple):
    """A packet whose turn it is: its first `known` messages were there before. `missing`: messages that were given up
    right before it, because no line brought them."""

    datagram: Datagram
    known: int
    missing: int


class InOrder:
    """Of one session, from message `first` on. A hole is given up after a second of the capture's time."""

    def __init__(self, first: int) -> None:
        self.expected = first
        self._waiting: list[Datagram] = []

    def take(self, datagram: Datagram) -> Iterator[Piece]:
        """The next packet of the capture; those whose turn it is now."""
        if not datagram.messages:
            return
        if datagram.sequence <= self.expected:
            yield self._piece(datagram)
        else:
            heapq.heappush(self._waiting, _by_sequence(datagram))
        yield from self._ready()
        while self._waiting and (
            len(self._waiting) > _MOST_WAITING or datagram.time_ns - self._waiting[0].time_ns > _PATIENCE_NS
        ):
            yield from self._give_up()

    def finish(self) -> Iterator[Piece]:
        """The capture is over: everything that still waits."""
        while self._waiting:
            yield from self._give_up()

    def _give_up(self) -> Iterator[Piece]:
        first = heapq.heappop(self._waiting)
        missing = first.sequence - self.expected
        self.expected = first.sequence
        yield self._piece(first, missing)
        yield from self._ready()

    def _ready(self) -> Iterator[Piece]:
        while self._waiting and self._waiting[0].sequence <= self.expected:
            yield self._piece(heapq.heappop(self._waiting))

    def _piece(self, datagram: Datagram, missing: int = 0) -> Piece:
        known = min(self.expected - datagram.sequence, datagram.messages)
        self.expected += datagram.messages - known
        return Piece(datagram, known, missing)


class _BySequence(Datagram):
    """Compared by sequence, then by time."""

    def __lt__(self, other: tuple[object, ...]) -> bool:
        assert isinstance(other, Datagram)
        return (self.sequence, self.time_ns) < (other.sequence, other.time_ns)


def _by_sequence(datagram: Datagram) -> Datagram:
    return _BySequence(*datagram)
