"""The book of one symbol after each message of a recording: the loaded program keeps it, its tables are read.

Messages that concern the symbol go in one by one, all others in packets as large as can be. What a recording lacks is
handled so, and each time `note` is told:

- No directory message (R) of the symbol before its first order: the locate is learned from that order, and an R that
  says so is put before everything. This is for looking at a book; nothing of the kind is ever done to trade on.
- Messages about orders that the recording never added (it begins in mid-day, or has a hole): an empty block takes their
  place in the sequence, and they are counted in `foreign`.
- A hole in a capture that no line fills: the numbers of what follows are moved up.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from turbo_hft._native import ffi, lib
from turbo_hft.depth import Depth
from turbo_hft.errors import ConfigError, TurboHftError
from turbo_hft.recorded import datagrams, loaded
from turbo_hft.recorded.datagrams import CaptureFeed
from turbo_hft.recorded.files import BUDGET, MessageFile, replay_error
from turbo_hft.recorded.in_order import InOrder, Piece
from turbo_hft.recorded.known_orders import KnownOrders
from turbo_hft.symbols import wire_name
from turbo_hft.wire import itch50, moldudp64

Note = Callable[[str], None]
Tick = Callable[[], None]

_HEADER = moldudp64.HEADER_LENGTH
_WITH_REFERENCE = frozenset(b"AFECXDUP")
_TICK_ROWS = 256
_LOOK_AT = 256  # packets of a capture, among which the first message is looked for
_REPLACE = ord("U")
_LIVE = "live"


class Row(NamedTuple):
    """The book after a message. `sequence` counts from 1 in a BinaryFILE and is the feed's own in a capture."""

    sequence: int
    exchange_ns: int  # since midnight
    type: str
    reference: int | None  # of an order; a replace has `new_reference` too
    new_reference: int | None
    depth: Depth


class BookWalk:
    """Goes through one recording, once. Closing it unloads the program.

    `messages`: played so far; `rows`: of the symbol; `foreign`: of the symbol, left out; `missing`: given up.
    """

    def __init__(
        self, source: MessageFile | CaptureFeed, symbol: str, depth: int, *, note: Note, tick: Tick, orders: int
    ) -> None:
        """`tick` is called several times a second, and may raise. `orders`: most resting orders of the symbol.

        Raises ConfigError, CapabilityError, LoadError.
        """
        self._source = source
        self._name = wire_name(symbol)
        self._symbol = symbol
        self._levels = depth
        self._note = note
        self._tick = tick
        self._known = KnownOrders()
        self._locate = 0
        self._offset = 0  # what a number of the recording is more than the program's
        self._made = 0  # messages that are not of the recording
        self.foreign = 0
        self.missing = 0
        self.rows = 0
        self._engine = loaded.load(symbols=1, feeds=1, orders=orders, kept=1)
        self._view = self._engine.symbols.add(symbol)
        self._replay = loaded.into(self._engine)

    def close(self) -> None:
        """Unload the program."""
        self._engine.close()

    @property
    def messages(self) -> int:
        """Messages of the recording that went into the program."""
        return int(self._replay.messages) - self._made

    @property
    def trading_state(self) -> str:
        """The symbol's newest trading action (H): H, P, Q or T; empty before the first."""
        return self._view.snapshot().trading_state

    def __iter__(self) -> Iterator[Row]:
        """The book after each message of the symbol.

        Raises ConfigError for a symbol that the recording never names, TurboHftError where the recording is torn or the
        program doubts the book.
        """
        return self._of_file(self._source) if isinstance(self._source, MessageFile) else self._of_capture(self._source)

    def _of_file(self, file: MessageFile) -> Iterator[Row]:
        named = file.find(self._name, self._tick)
        self._begin(named, 1)
        yield from self._walk(file.framed, 0, file.error, empty_ends=True)

    def _of_capture(self, feed: CaptureFeed) -> Iterator[Row]:
        named, first = self._look_ahead(feed)
        self._replay.session = feed.session
        self._begin(named, first)
        if first > 1:
            self._note(f"the capture begins at message {first:,}: what came before is not in it")
        order = InOrder(first)
        for index, datagram in enumerate(feed.read()):
            if not index % _LOOK_AT:
                self._tick()
            for piece in order.take(datagram):
                yield from self._of_piece(piece)
        for piece in order.finish():
            yield from self._of_piece(piece)
        for reason, count in feed.left_out.items():
            self._note(f"{count:,} datagrams of the feed were {reason} and left out")

    def _look_ahead(self, feed: CaptureFeed) -> tuple[bytes | None, int]:
        """The first message that names the symbol, and the number of the capture's first one."""
        named, first = None, 0
        try:
            for index, datagram in enumerate(feed.read()):
                if datagram.messages and index < _LOOK_AT:
                    first = min(first or datagram.sequence, datagram.sequence)
                named = named or datagrams.find(datagram, self._name)
                if named is not None and index >= _LOOK_AT:
                    break
                if not index % _LOOK_AT:
                    self._tick()
        except ConfigError:
            raise
        except TurboHftError:
            if named is None:
                raise
        return named, first  # where it is torn, the walk itself will meet the place

    def _of_piece(self, piece: Piece) -> Iterator[Row]:
        datagram, known, missing = piece
        if missing:
            self.missing += missing
            self._offset += missing
            self._note(
                f"messages {datagram.sequence - missing:,} to {datagram.sequence - 1:,} are not in the capture: the "
                "book may be wrong from here on"
            )
        payload = datagram.payload
        framed = ffi.new("struct hft_framed *", {"length": len(payload), "at": _HEADER})
        held = ffi.from_buffer("uint8_t[]", payload)
        framed.bytes = held
        if known:
            for _ in range(known):
                framed.at += 2 + int.from_bytes(payload[framed.at : framed.at + 2], "big")
            # It comes again: the program sees it under its number, and counts it as a duplicate.
            number = max(1, datagram.sequence - self._offset)
            if framed.at <= self._replay.payload_max:
                self._send(datagram.line, number, known, payload[_HEADER : framed.at])
        self._replay.line = datagram.line
        yield from self._walk(framed, datagram.line, _broken, empty_ends=False)

    def _begin(self, named: bytes | None, first: int) -> None:
        """What was found of the symbol ahead of the walk: its R, or the first order that names it."""
        if named is None:
            raise ConfigError(
                f"{self._symbol} is not in {self._source.path}: no directory message and no order names it. "
                "Is it spelled as the exchange does?"
            )
        self._locate = int.from_bytes(named[1:3], "big")
        self._offset = first - 1
        if named[:1] != b"R":
            self._note(
                f"no directory message (R) of {self._symbol} before its first order: taken from that order, it is "
                f"stock locate {self._locate}. The recording begins in mid-day; so does this book"
            )
            self._offset -= 1
            self._one(0, _directory(named, self._name))
            self._made = 1

    def _walk(
        self, framed: Any, line: int, error: Callable[[int], TurboHftError], *, empty_ends: bool
    ) -> Iterator[Row]:
        replay = self._replay
        while True:
            result = lib.hft_replay_until(replay, framed, self._locate, BUDGET)
            if result == lib.HFT_FRAMED_FOUND:
                at = int(framed.at)
                length = int.from_bytes(ffi.buffer(framed.bytes + at, 2)[:], "big")
                message = ffi.buffer(framed.bytes + at + 2, length)[:]
                framed.at = at + 2 + length
                if (row := self._row(line, message)) is not None:
                    yield row
                if not self.rows % _TICK_ROWS:
                    self._tick()
            elif result == lib.HFT_FRAMED_MORE:
                self._tick()
            elif result < 0:
                raise error(result)
            elif empty_ends or framed.at == framed.length:
                break
            else:
                framed.at += 2
                self._one(line, b"")

    def _row(self, line: int, message: bytes) -> Row | None:
        sequence = int(self._replay.sequence) + self._offset
        kind = message[0]
        if not self._known.follow(message):
            self._one(line, b"")
            self.foreign += 1
            if self.foreign == 1:
                self._note(
                    f"message {sequence:,} ({chr(kind)}) is about an order that was never added here: such messages "
                    "are left out, and the book lacks these orders"
                )
            return None
        self._one(line, message)
        health = self._view.health
        if health != _LIVE:
            raise TurboHftError(_doubtful(self._symbol, sequence, message, health))
        self.rows += 1
        return Row(
            sequence,
            int.from_bytes(message[5:11], "big"),
            chr(kind),
            int.from_bytes(message[11:19], "big") if kind in _WITH_REFERENCE else None,
            int.from_bytes(message[19:27], "big") if kind == _REPLACE else None,
            self._view.depth(self._levels),
        )

    def _one(self, line: int, message: bytes) -> None:
        """One message, in a packet of its own."""
        replay = self._replay
        self._send(line, int(replay.sequence), 1, len(message).to_bytes(2, "big") + message)
        replay.sequence += 1
        replay.messages += 1

    def _send(self, line: int, sequence: int, count: int, blocks: bytes) -> None:
        replay = self._replay
        header = ffi.buffer(replay.session)[:] + sequence.to_bytes(8, "big") + count.to_bytes(2, "big")
        error = lib.hft_replay_send(replay, line, header + blocks, _HEADER + len(blocks))
        if error:
            raise replay_error(error, f"message {sequence + self._offset:,}")


def _directory(order: bytes, name: bytes) -> bytes:
    """A directory message for the locate of an Add Order."""
    stock = name.decode("ascii").rstrip(" ")
    return itch50.StockDirectory(
        int.from_bytes(order[1:3], "big"), 0, int.from_bytes(order[5:11], "big"), stock,
        "Q", "N", 100, "N", "C", "Z", "P", "N", "N", "1", "N", 0, "N",
    ).encode()  # fmt: skip


def _broken(code: int) -> TurboHftError:
    return replay_error(code, "a packet" if code != -errno.EBADMSG else "a packet is torn")


def _doubtful(symbol: str, sequence: int, message: bytes, health: str) -> str:
    remedy = " Give --max-orders." if health.endswith("full") else ""
    return (
        f"the book of {symbol} is in doubt after message {sequence:,} ({chr(message[0])}): {health}. "
        f"What was shown before is right; the recording is damaged there.{remedy}"
    )
