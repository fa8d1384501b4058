"""Two more books to hold the hook's against: the project's own model in Python, and meatpy, somebody else's.

Both are slow, so they see part of what the native reference sees. A depth is given as two arrays of
``struct hft_level``, bids first, as `Trial.depth` gives the hook's.
"""

from __future__ import annotations

import datetime
import struct
from typing import Any

from turbo_hft.model.engine import ModelEngine
from turbo_hft.model.names import Clock, Role
from turbo_hft.model.state import Level, ModelConfig
from turbo_hft.testing.trial import DAY, FEED, Trial, feed_headers
from turbo_hft.wire import moldudp64

_IPV4_LENGTH, _UDP_LENGTH = 16, 38
_HEADERS = 42


def _packed(levels: dict[int, Level], *, descending: bool) -> bytes:
    values: list[int] = []
    for price in sorted(levels, reverse=descending):
        level = levels[price]
        values += level.shares, price, level.orders
    return struct.pack("=" + "QII" * len(levels), *values)


class ModelBook:
    """The model of the whole hook, as far as its books go. Feed it the messages of one session, one by one."""

    def __init__(self, trial: Trial) -> None:
        loaded = trial.engine.program.config
        self.model = ModelEngine(
            ModelConfig(
                clock=Clock.FEED, symbols=loaded.symbols, kept_mask=loaded.kept_mask, crossed_ns=loaded.crossed_ns
            )
        )
        for slot, name in enumerate(trial.names):
            self.model.add_symbol(slot, name)
        line = FEED.lines()[0]
        self.model.add_flow(line.address, line.port, Role.FEED)
        self._headers = feed_headers("a")
        self._next = 1

    def apply(self, message: bytes) -> None:
        """The next message, in a packet of its own."""
        payload = moldudp64.Packet(DAY, self._next, (message,)).encode()
        self._next += 1
        head = bytearray(self._headers)
        head[_IPV4_LENGTH : _IPV4_LENGTH + 2] = (_HEADERS - 14 + len(payload)).to_bytes(2, "big")
        head[_UDP_LENGTH : _UDP_LENGTH + 2] = (_HEADERS - 34 + len(payload)).to_bytes(2, "big")
        self.model.packet(bytes(head) + payload, 0)

    def depth(self, slot: int) -> tuple[bytes, bytes]:
        """All levels of both sides."""
        bids, offers = self.model.books[slot].levels
        return _packed(bids, descending=True), _packed(offers, descending=False)


class MeatpyBook:
    """meatpy's book of one symbol. Its own filter by stock finds the messages that are about it."""

    def __init__(self, name: str) -> None:
        """Raises ImportError where meatpy is not installed."""
        from meatpy.itch50.itch50_market_message import ITCH50MarketMessage
        from meatpy.itch50.itch50_market_processor import ITCH50MarketProcessor

        self._decode: Any = ITCH50MarketMessage.from_bytes
        self._processor: Any = ITCH50MarketProcessor(name, datetime.datetime(2019, 1, 30))

    def apply(self, message: bytes) -> None:
        """The next message, of whatever symbol. Of direct listings (O) it knows another layout, and no book."""
        if message[:1] == b"O":
            return
        self._processor.process_message(self._decode(message))
        book = self._processor.current_lob
        if book is not None:
            # An execution out of time priority is worth an exception to it; a book by levels does not mind.
            book.skip_exception = lambda error: True

    def sides(self) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """(price in 1/10000 dollar, shares) of all levels, best first."""
        book = self._processor.current_lob
        if book is None:
            return [], []
        return (
            [(level.price, level.volume) for level in book.bid_levels],
            [(level.price, level.volume) for level in book.ask_levels],
        )
