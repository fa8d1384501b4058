"""The Python bot: what one would write first in Python, written carefully.

A `recv()` loop on the feed's multicast group, the books' sell sides in dicts, the decision, and a `send()`. It sends
the same bytes as the engine and keeps the same rules: one order of a symbol in flight, UserRefNum counting up from 1,
replies applied in sequence, no order across a gap of the feed. Replies are read when there is nothing to decide, so
they cost the order path nothing.

    python -m turbo_hft.latency.peer python --help
"""

from __future__ import annotations

import socket
import struct
from collections import defaultdict

from turbo_hft.errors import ExchangeError
from turbo_hft.latency.sockets import LARGEST_DATAGRAM, PeerSockets
from turbo_hft.latency.threshold import Threshold
from turbo_hft.latency.work import Work
from turbo_hft.wire import ufo

_MOLD = struct.Struct(">10sQH")
_LENGTH = struct.Struct(">H")
_LOCATE = struct.Struct(">xH")  # every ITCH message
_ADD = struct.Struct(">xH8xQcI8sI")  # A, and the beginning of F
_REDUCE = struct.Struct(">xH8xQI")  # E, C, X
_DELETE = struct.Struct(">xH8xQ")
_REPLACE = struct.Struct(">xH8xQQII")
_SEQUENCED = struct.Struct(">cIH")
_REPLY = struct.Struct(">c8xI")  # the beginning of every OUCH 5.0 reply to an order
_ACCEPTED_STATE = 47
_QUANTITY = struct.Struct(">13xI")
_ORDER = struct.Struct(">HccIcI8sQ21s")  # length prefix, UFO type, Enter Order; the last 21 bytes never change
_END_OF_SESSION = 0xFFFF
_SEQUENCED_DATA = ord("S")  # SoupBinTCP


class Offers:
    """The sell side of one symbol: orders by reference, shares by price. With a `threshold` it is traded."""

    def __init__(self, name: str, threshold: Threshold | None) -> None:
        self.name = name.ljust(8).encode("ascii")
        self.threshold = threshold
        self.constants = threshold.order(1, threshold.buy_below_e4).encode()[26:] if threshold else b""
        self.best_e4 = 0
        self.position = 0
        self.in_flight = 0  # UserRefNum of the order the exchange still has, 0 = none
        self.open_qty = 0
        self._orders: dict[int, tuple[int, int]] = {}
        self._levels: defaultdict[int, int] = defaultdict(int)

    def add(self, ref: int, price_e4: int, qty: int) -> None:
        self._orders[ref] = (price_e4, qty)
        self._levels[price_e4] += qty
        if not self.best_e4 or price_e4 < self.best_e4:
            self.best_e4 = price_e4

    def reduce(self, ref: int, qty: int) -> None:
        price_e4, open_qty = self._orders[ref]
        if qty >= open_qty:
            self.remove(ref)
        else:
            self._orders[ref] = (price_e4, open_qty - qty)
            self._levels[price_e4] -= qty

    def remove(self, ref: int) -> int | None:
        """Its price; None if it is no offer of this symbol."""
        price_e4, qty = self._orders.pop(ref, (0, 0))
        if not price_e4:
            return None
        self._levels[price_e4] -= qty
        if not self._levels[price_e4]:
            del self._levels[price_e4]
            if price_e4 == self.best_e4:
                self.best_e4 = min(self._levels, default=0)
        return price_e4

    def __contains__(self, ref: int) -> bool:
        return ref in self._orders


class Bot:
    """One feed, one order-entry session, the books of some symbols."""

    def __init__(self, feed: socket.socket, entry: socket.socket, work: Work) -> None:
        """`feed` is a member of the group, `entry` is connected to order entry."""
        self._feed, self._entry = feed, entry
        books = [Offers(one.symbol, one) for one in work.armed] + [Offers(name, None) for name in work.kept]
        self._names = {book.name: book for book in books}
        self._books: dict[int, Offers] = {}  # by locate
        self._touched: list[Offers] = []
        self._asked: dict[int, Offers] = {}  # by the UserRefNum in flight
        self._expected_feed = 1
        self._expected_reply = 0
        self._next_ref = 1
        self._gap = False
        self.packets = 0
        self.orders = 0

    def login(self, sockets: PeerSockets) -> None:
        """Log in to order entry. Raises ExchangeError when the exchange refuses or does not answer."""
        self._next_ref = sockets.login(self._hear)

    def _hear(self, datagram: bytes) -> None:
        answer = ufo.decode_downstream(datagram)
        if isinstance(answer, ufo.LoginAccepted):
            self._expected_reply = answer.sequence
        elif isinstance(answer, ufo.Sequenced):
            self._expected_reply = max(self._expected_reply, answer.sequence + len(answer.messages))

    def run(self, *, busy: bool = False) -> None:
        """Trade until the feed's end of session. `busy`: never sleep, ask again and again."""
        recv, flags = self._feed.recv, socket.MSG_DONTWAIT if busy else 0
        while True:
            try:
                packet = recv(LARGEST_DATAGRAM, flags)
            except BlockingIOError:
                if self._asked:
                    self._read_replies()
                continue
            self.packets += 1
            _, sequence, count = _MOLD.unpack_from(packet)
            if count == _END_OF_SESSION:
                return
            self._apply(packet, sequence, count)
            if not (self._touched and self._decide()) and self._asked:
                self._read_replies()

    def counts(self) -> dict[str, int | None]:
        """What it did."""
        return {
            "packets": self.packets,
            "messages": self._expected_feed - 1,
            "orders": self.orders,
            "gaps": int(self._gap),
        }

    def _apply(self, packet: bytes, sequence: int, count: int) -> None:
        if sequence > self._expected_feed:
            self._gap = True  # for good: a book with a hole is no book, and nothing is asked for again here
        if self._gap:
            return
        at = _MOLD.size
        for number in range(sequence, sequence + count):
            (length,) = _LENGTH.unpack_from(packet, at)
            at += _LENGTH.size
            if number >= self._expected_feed:
                self._message(packet[at : at + length])
            at += length
        self._expected_feed = max(self._expected_feed, sequence + count)

    def _message(self, message: bytes) -> None:
        kind = message[:1]
        book = self._books.get(_LOCATE.unpack_from(message)[0])
        if book is None:
            if kind == b"R" and (book := self._names.get(message[11:19])) is not None:
                self._books[_LOCATE.unpack_from(message)[0]] = book
            return
        if kind in b"AF":
            _, ref, side, qty, _, price_e4 = _ADD.unpack_from(message)
            if side == b"S":
                book.add(ref, price_e4, qty)
        elif kind == b"D":
            book.remove(_DELETE.unpack(message)[1])
        elif kind in b"ECX":
            _, ref, qty = _REDUCE.unpack_from(message)
            if ref in book:
                book.reduce(ref, qty)
        elif kind == b"U":
            _, old, new, qty, price_e4 = _REPLACE.unpack(message)
            if book.remove(old) is not None:
                book.add(new, price_e4, qty)
        else:
            return
        if book.threshold is not None and book not in self._touched:
            self._touched.append(book)

    def _decide(self) -> bool:
        """Ask for each symbol that the packet touched; all orders leave in one datagram. Did any?"""
        orders = []
        for book in self._touched:
            assert book.threshold is not None  # or it is never touched
            quantity = book.threshold.quantity(book.best_e4, book.position)
            if quantity and not book.in_flight:
                ref = self._next_ref
                orders.append(_ORDER.pack(48, b"U", b"O", ref, b"B", quantity, book.name, book.best_e4, book.constants))
                self._next_ref = ref + 1
                book.in_flight, book.open_qty = ref, quantity
                self._asked[ref] = book
        self._touched.clear()
        if not orders:
            return False
        self._entry.send(orders[0] if len(orders) == 1 else b"".join(orders))
        self.orders += len(orders)
        return True

    def _read_replies(self) -> None:
        while True:
            try:
                packet = self._entry.recv(LARGEST_DATAGRAM, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            if packet[:1] != b"S":
                continue
            _, sequence, count = _SEQUENCED.unpack_from(packet)
            if sequence > self._expected_reply:
                raise ExchangeError(f"replies {self._expected_reply} to {sequence - 1} were lost: start the bot again")
            at = _SEQUENCED.size
            for number in range(sequence, sequence + count):
                (length,) = _LENGTH.unpack_from(packet, at)
                at += _LENGTH.size
                if number >= self._expected_reply:
                    self._reply(packet[at : at + length])
                at += length
            self._expected_reply = max(self._expected_reply, sequence + count)

    def _reply(self, message: bytes) -> None:
        kind, ref = _REPLY.unpack_from(message)
        book = self._asked.get(ref)
        if book is None:
            return
        if kind in (b"E", b"C"):
            (quantity,) = _QUANTITY.unpack_from(message)
            book.open_qty -= quantity
            if kind == b"E":
                book.position += quantity
        if kind == b"J" or (kind == b"A" and message[_ACCEPTED_STATE : _ACCEPTED_STATE + 1] == b"D"):
            book.open_qty = 0
        if book.open_qty <= 0:
            book.in_flight = 0
            del self._asked[ref]


class TcpBot(Bot):
    """The same on a TCP connection: orders are the same bytes there, replies come in SoupBinTCP. Nobody logs in."""

    def __init__(self, feed: socket.socket, entry: socket.socket, work: Work) -> None:
        super().__init__(feed, entry, work)
        self._stream = bytearray()

    def _read_replies(self) -> None:
        try:
            data = self._entry.recv(LARGEST_DATAGRAM, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        if not data:
            raise ExchangeError("the exchange closed the connection: start the bot again")
        stream = self._stream
        stream += data
        at = 0
        while len(stream) - at >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(stream, at)
            end = at + _LENGTH.size + length
            if end > len(stream):
                break
            if stream[at + 2] == _SEQUENCED_DATA:
                self._reply(bytes(stream[at + 3 : end]))
            at = end
        del stream[:at]
