"""The standard bot: what one would write first in Python, written carefully.

A blocking `recv()` loop on the feed's multicast group, the book of one symbol in a dict, the decision, and a
`sendto()`. It sends the same bytes as the engine and keeps the same rules: one order of the symbol in flight,
UserRefNum counting up from 1, replies applied in sequence. Replies are read when there is nothing to decide, so they
cost the order path nothing.

    python -m turbo_hft.latency.bot --help
"""

from __future__ import annotations

import argparse
import os
import socket
import struct
import sys
from collections import defaultdict

from turbo_hft.errors import ExchangeError
from turbo_hft.lab import PASSWORD, USERNAME, LabAddresses
from turbo_hft.latency.threshold import Threshold
from turbo_hft.wire import ufo

_MOLD = struct.Struct(">10sQH")
_LENGTH = struct.Struct(">H")
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
_LARGEST_DATAGRAM = 65_535


class Offers:
    """The sell side of one symbol: orders by reference, shares by price."""

    def __init__(self) -> None:
        self.best_e4 = 0
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
    """One symbol, one feed, one order-entry session."""

    def __init__(self, addresses: LabAddresses, threshold: Threshold, username: str, password: str) -> None:
        self._threshold = threshold
        self._exchange = (addresses.exchange_address, addresses.ouch50_port)
        self._credentials = (username, password)
        self._feed = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._feed.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self._feed.bind((addresses.feed_group, addresses.feed_port))
        membership = socket.inet_aton(addresses.feed_group) + socket.inet_aton(addresses.host_address)
        self._feed.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
        self._entry = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._entry.bind((addresses.host_address, addresses.engine_port))

        self._name = threshold.symbol.ljust(8).encode("ascii")
        self._constants = threshold.order(1, threshold.buy_below_e4).encode()[26:]
        self._locate = -1
        self._offers = Offers()
        self._expected_feed = 1
        self._expected_reply = 0
        self._next_ref = 1
        self._in_flight = 0  # UserRefNum of the order the exchange still has, 0 = none
        self._open_qty = 0
        self.position = 0
        self.orders = 0

    def close(self) -> None:
        """Close both sockets."""
        self._feed.close()
        self._entry.close()

    def login(self, timeout_s: float = 5.0, resend_s: float = 0.2) -> None:
        """Log in to order entry. Raises ExchangeError when the exchange refuses or does not answer."""
        request = ufo.encode_upstream(ufo.LoginRequest(*self._credentials, session=""))
        self._entry.settimeout(resend_s)
        for _ in range(max(1, round(timeout_s / resend_s))):
            self._entry.sendto(request, self._exchange)
            try:
                answer = ufo.decode_downstream(self._entry.recv(_LARGEST_DATAGRAM))
            except TimeoutError:
                continue
            if isinstance(answer, ufo.LoginAccepted):
                self._expected_reply = answer.sequence
                self._entry.settimeout(None)
                return
            raise ExchangeError(f"the exchange answered the login with {answer}: check username and password")
        raise ExchangeError(f"the exchange at {self._exchange} does not answer: is it running?")

    def run(self) -> None:
        """Trade until the feed's end of session."""
        recv = self._feed.recv
        while True:
            packet = recv(_LARGEST_DATAGRAM)
            _, sequence, count = _MOLD.unpack_from(packet)
            if count == _END_OF_SESSION:
                return
            self._apply(packet, sequence, count)
            quantity = self._threshold.quantity(self._offers.best_e4, self.position)
            if quantity and not self._in_flight:
                self._send(quantity, self._offers.best_e4)
            elif self._in_flight:
                self._read_replies()

    def _apply(self, packet: bytes, sequence: int, count: int) -> None:
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
        if kind in b"AF":
            locate, ref, side, qty, _, price_e4 = _ADD.unpack_from(message)
            if locate == self._locate and side == b"S":
                self._offers.add(ref, price_e4, qty)
        elif kind == b"D":
            self._offers.remove(_DELETE.unpack(message)[1])
        elif kind in b"ECX":
            _, ref, qty = _REDUCE.unpack_from(message)
            if ref in self._offers:
                self._offers.reduce(ref, qty)
        elif kind == b"U":
            _, old, new, qty, price_e4 = _REPLACE.unpack(message)
            if self._offers.remove(old) is not None:
                self._offers.add(new, price_e4, qty)
        elif kind == b"R" and message[11:19] == self._name:
            (self._locate,) = struct.unpack_from(">H", message, 1)

    def _send(self, quantity: int, price_e4: int) -> None:
        ref = self._next_ref
        self._entry.sendto(
            _ORDER.pack(48, b"U", b"O", ref, b"B", quantity, self._name, price_e4, self._constants), self._exchange
        )
        self._next_ref = ref + 1
        self._in_flight = ref
        self._open_qty = quantity
        self.orders += 1

    def _read_replies(self) -> None:
        while True:
            try:
                packet = self._entry.recv(_LARGEST_DATAGRAM, socket.MSG_DONTWAIT)
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
        if ref != self._in_flight:
            return
        if kind in (b"E", b"C"):
            (quantity,) = _QUANTITY.unpack_from(message)
            self._open_qty -= quantity
            if kind == b"E":
                self.position += quantity
        if kind == b"J" or (kind == b"A" and message[_ACCEPTED_STATE : _ACCEPTED_STATE + 1] == b"D"):
            self._open_qty = 0
        if self._open_qty <= 0:
            self._in_flight = 0


def main(arguments: list[str] | None = None) -> int:
    """Run one bot until the feed ends; a line on stdout says how many orders it sent."""
    lab = LabAddresses()
    parser = argparse.ArgumentParser(prog="python -m turbo_hft.latency.bot", description=__doc__)
    parser.add_argument("--host", default=lab.host_address, help="own address (default %(default)s)")
    parser.add_argument("--exchange", default=lab.exchange_address, help="order entry's address (default %(default)s)")
    parser.add_argument("--group", default=lab.feed_group, help="the feed's multicast group (default %(default)s)")
    parser.add_argument("--cpu", type=int, help="run on this CPU only")
    parser.add_argument("--threshold", default=Threshold().to_json(), help="the decision, as JSON")
    parser.add_argument("--username", default=USERNAME)
    parser.add_argument("--password", default=PASSWORD)
    options = parser.parse_args(arguments)
    if options.cpu is not None:
        os.sched_setaffinity(0, {options.cpu})
    addresses = LabAddresses(host_address=options.host, exchange_address=options.exchange, feed_group=options.group)
    bot = Bot(addresses, Threshold.from_json(options.threshold), options.username, options.password)
    try:
        bot.login()
        bot.run()
    finally:
        bot.close()
    print(f"orders {bot.orders}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
