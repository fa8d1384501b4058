"""What user space can have the hook do to a feed, its books and our orders, as the payloads of `Engine.command`.

One method for each op of docs/rules.md, rule 10. What carries messages comes in as many payloads as it takes: they are
to be run in order, and none after one that was refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from turbo_hft import abi
from turbo_hft._native import ffi, lib
from turbo_hft.errors import ConfigError
from turbo_hft.program import Config
from turbo_hft.wire import blocks

FEED_ITSELF = 0xFFFFFFFF  # the slot of what is for no symbol
_HEADERS = 42  # Ethernet, IPv4, UDP
_HEAD = ffi.sizeof("struct hft_command")
# A command keeps the feed's packets waiting, and not all of them wait as long as the longest command would take.
_ROOM = 1400
_SWEPT_AT_ONCE = 512
_SESSION_BYTES = 10


class Commands:
    """Payloads for one feed of an engine. `nonce` is `Engine.command_nonce`."""

    def __init__(self, nonce: int, feed: int) -> None:
        self._nonce = nonce
        self._feed = feed

    def poke(self) -> bytes:
        """Go on with what is kept; let the clock turn a hold into a gap."""
        return self._one(lib.HFT_OP_POKE)

    def quarantine(self, slot: int) -> bytes:
        """Doubt a book that is ok."""
        return self._one(lib.HFT_OP_QUARANTINE, slot=slot)

    def begin(self, slot: int) -> bytes:
        """A snapshot will come: what the tables hold of this book may be swept out."""
        return self._one(lib.HFT_OP_BEGIN, slot=slot)

    def sweeps(self, config: Config) -> Iterator[bytes]:
        """Sweep every book that was begun out of all tables."""
        for table, name in abi.names("hft_table", "HFT_TABLE_").items():
            size = int(getattr(config, f"{name.removesuffix('s')}_mask")) + 1
            for first in range(0, size, _SWEPT_AT_ONCE):
                count = min(_SWEPT_AT_ONCE, size - first)
                yield self._one(lib.HFT_OP_SWEEP, sequence=table, first=first, count=count)

    def install(self, slot: int, sequence: int, messages: Iterable[bytes]) -> Iterator[bytes]:
        """The book of a slot from these messages of a snapshot that ends before `sequence`; at least one payload, for
        the first one empties the book."""
        return self._parts(lib.HFT_OP_INSTALL, slot, sequence, messages)

    def install_common(self, messages: Iterable[bytes]) -> Iterator[bytes]:
        """What a snapshot says of the feed itself: R, S, V, W."""
        return self._parts(lib.HFT_OP_INSTALL, FEED_ITSELF, 0, messages)

    def replay(self, slot: int, messages: Sequence[tuple[int, bytes]]) -> Iterator[bytes]:
        """Kept messages (sequence, message) of a slot; none if there are none."""
        if messages:
            yield from self._parts(lib.HFT_OP_REPLAY, slot, messages[-1][0], (message for _, message in messages))

    def release(self, slot: int, sequence: int) -> bytes:
        """All messages of the slot before `sequence` are in its book: let it be traded again."""
        return self._one(lib.HFT_OP_RELEASE, slot=slot, sequence=sequence)

    def abandon(self, sequence: int) -> bytes:
        """Give up what is missing before `sequence`."""
        return self._one(lib.HFT_OP_ABANDON, sequence=sequence)

    def rollover(self, session: str) -> bytes:
        """Follow this session from its first message on. Raises ConfigError for a name that cannot be one."""
        name = session.encode("ascii", errors="replace")
        if not 0 < len(name) <= _SESSION_BYTES or b"?" in name:
            raise ConfigError(f"session {session!r}: give 1 to {_SESSION_BYTES} ASCII characters")
        return self._one(lib.HFT_OP_ROLLOVER, messages=[name.ljust(_SESSION_BYTES)])

    def order(self, slot: int, intent: bytes) -> bytes:
        """A ``struct hft_intent`` of a symbol, through the gate."""
        return self._one(lib.HFT_OP_ORDER, slot=slot, messages=[intent])

    def lost(self, user_ref: int) -> bytes:
        """An order that was sent never arrived."""
        return self._one(lib.HFT_OP_LOST, sequence=user_ref)

    def rearm(self, latch: int, *, strategy: int = 0, slot: int = 0) -> bytes:
        """Lift a latch of the gate (``enum hft_latch``)."""
        return self._one(lib.HFT_OP_REARM, sequence=latch, first=strategy, slot=slot)

    def trust(self) -> bytes:
        """A person has looked at order entry: what is suspect is up again."""
        return self._one(lib.HFT_OP_TRUST)

    def _parts(self, op: int, slot: int, sequence: int, messages: Iterable[bytes]) -> Iterator[bytes]:
        part: list[bytes] = []
        size, first = 0, True
        for message in messages:
            if part and size + 2 + len(message) > _ROOM:
                yield self._one(op, slot=slot, sequence=sequence, messages=part)
                part, size, first = [], 0, False
            part.append(message)
            size += 2 + len(message)
        if part or first:
            yield self._one(op, slot=slot, sequence=sequence, messages=part)

    def _one(
        self,
        op: int,
        *,
        slot: int = 0,
        sequence: int = 0,
        first: int = 0,
        count: int = 0,
        messages: Sequence[bytes] = (),
    ) -> bytes:
        command = ffi.new("struct hft_command *")
        command.nonce, command.op, command.feed, command.slot = self._nonce, op, self._feed, slot
        command.blocks, command.sequence, command.first, command.count = len(messages), sequence, first, count
        payload = bytes(ffi.buffer(command)) + blocks.join(messages)
        if len(payload) > lib.HFT_MAX_FRAME - _HEADERS:
            raise ConfigError(
                f"a message of {len(payload) - _HEAD - 2} bytes fits no command: no ITCH message is so long"
            )
        return payload
