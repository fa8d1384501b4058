"""The way of datagrams between clients and one order-entry port, with what goes wrong on it in either direction.

UFO protects the replies by their numbers, the orders only by their keys: a lost order is lost, one that comes twice
is ignored, one that is overtaken may come too late. Faults are those of the feed's lines (`line`).
"""

from __future__ import annotations

from turbo_hft.exchange.client import Address
from turbo_hft.exchange.line import Faults, Line

Datagram = tuple[Address, bytes]
_AT_LAST = 1 << 62


class OrderLink:
    """Two lines: `orders` from the clients, `replies` to them."""

    def __init__(self, orders: Faults, replies: Faults, seed: int | str) -> None:
        self.orders: Line[Datagram] = Line(orders, f"{seed} orders")
        self.replies: Line[Datagram] = Line(replies, f"{seed} replies")

    def arrive(self, address: Address, datagram: bytes, now_ns: int) -> list[Datagram]:
        """A client sent this; what reaches the port now."""
        return self._pass(self.orders, [(address, datagram)], now_ns)

    def overdue(self, now_ns: int) -> list[Datagram]:
        """Datagrams of clients that were held back until now."""
        return [] if self.orders.perfect else self.orders.due(now_ns)

    def depart(self, datagrams: list[Datagram], now_ns: int) -> list[Datagram]:
        """The port sends these; what goes out now."""
        return self._pass(self.replies, datagrams, now_ns)

    def rest(self) -> list[Datagram]:
        """Replies that are still on their way when the exchange ends."""
        return [] if self.replies.perfect else self.replies.due(_AT_LAST)

    @property
    def next_due_ns(self) -> int | None:
        """When a datagram that is held back will be due; None when there is none."""
        times = [line.next_due_ns for line in (self.orders, self.replies)]
        return min((time for time in times if time is not None), default=None)

    def counters(self) -> dict[str, dict[str, int]]:
        """JSON-ready."""
        return {"orders": self.orders.counters(), "replies": self.replies.counters()}

    @staticmethod
    def _pass(line: Line[Datagram], datagrams: list[Datagram], now_ns: int) -> list[Datagram]:
        if line.perfect:
            for _ in datagrams:
                line.carry()
            return datagrams
        for datagram in datagrams:
            line.offer(datagram, now_ns)
        return line.due(now_ns)
