"""A whole market's day from a seed: native/market.c behind a typed face.

A `MarketFlow` runs through one day: what precedes the market open, the orders that rest by then (if a number of live
orders was asked for), and an endless flow. It gives the day as messages, as MoldUDP64 packets or as a file, from where
it stands. The same `MarketConfig` gives the same bytes on every machine, however they are taken.

Prices are in 1/10000 dollar (`_e4`), times in ns since midnight, shares of a whole are from 0 to 1.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from turbo_hft._native import ffi, lib
from turbo_hft.errors import ConfigError, ExchangeError, MalformedMessage
from turbo_hft.exchange.clock import LAST_NS_OF_DAY, MARKET_OPEN_NS
from turbo_hft.wire import blocks, moldudp64

FLOW_TYPES = "ADUEXIFPLCQYHNBJhKOW"
"""Message types that a mix may weigh; S, R and V belong to the opening."""

_CHUNK = 1 << 20
_SYMBOL_BYTES = 8
_PPM = 1_000_000
_WEIGHT_OF_PERCENT = 1_000_000
_SHORTEST_BLOCK = 14
_LAST_LOCATE = 65_535
_LOWEST_PRICE_E4 = 500
_HIGHEST_PRICE_E4 = 499_999_900
_SEEDED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketConfig:
    """What a market is made with. None stands for what the whole day, or the opening, has.

    Errors: ConfigError naming the value that cannot be.
    """

    seed: int = 1
    symbols: int = 8714  # 1 to 12,000
    names: tuple[str, ...] = ()  # of the most active symbols; the others' are made up
    prices_e4: Mapping[str, int] = field(default_factory=dict)  # of named symbols at the open
    first_locate: int = 1  # locates are dense from here
    live_orders: int = 0  # kept near this number of resting orders; 0 = whatever the mix leads to
    opening: bool = False  # the first half minute, add-heavy and fast, instead of the mean of the day
    mix: Mapping[str, float] = field(default_factory=dict)  # type letter -> weight in percent, over the default's
    rank_slope: float = 0.81  # activity falls as rank^-slope
    subdollar_share: float = 0.03  # of symbols, below a dollar, in steps of $0.0001
    stub_share: float = 0.05  # of symbols, with quotes at $0.01 and $199,999.99
    late_ref_share: float | None = None  # of adds, with a reference skipped earlier
    rate: int | None = None  # messages a second, mean
    steady: bool = False  # equal gaps, no bursts
    shared_ns_share: float = 0.56  # of messages, that share their time stamp with a neighbour
    start_ns: int = MARKET_OPEN_NS
    prelude_ns: int = 1_000_000_000  # the day's first message comes so long before

    def __post_init__(self) -> None:
        """Check all of it."""
        for what, value, lowest, highest in (
            ("seed", self.seed, 0, (1 << 64) - 1),
            ("symbols", self.symbols, 1, lib.HFT_MARKET_SYMBOLS_MAX),
            ("names", len(self.names), 0, self.symbols),
            ("first_locate", self.first_locate, 1, _LAST_LOCATE - self.symbols + 1),
            ("live_orders", self.live_orders, 0, lib.HFT_MARKET_ORDERS_MAX // 2),
            ("rank_slope", self.rank_slope, 0, 4),
            ("subdollar_share", self.subdollar_share, 0, 1),
            ("stub_share", self.stub_share, 0, 1),
            ("late_ref_share", self.late_ref_share or 0, 0, 0.5),
            ("shared_ns_share", self.shared_ns_share, 0, 1),
            ("rate", 1 if self.rate is None else self.rate, 1, 1_000_000_000),
            ("start_ns", self.start_ns, 0, LAST_NS_OF_DAY),
            ("prelude_ns", self.prelude_ns, 0, self.start_ns),
        ):
            if not lowest <= value <= highest:
                raise ConfigError(f"{what} {value}: give {lowest} to {highest}")
        for name in self.names:
            if not (name.isascii() and name.isprintable() and 0 < len(name) <= _SYMBOL_BYTES and " " not in name):
                raise ConfigError(f"symbol {name!r}: give 1 to {_SYMBOL_BYTES} printable ASCII characters")
        if len(set(self.names)) != len(self.names):
            raise ConfigError(f"a symbol is named twice in {', '.join(self.names)}: name each once")
        for name, price_e4 in self.prices_e4.items():
            if name not in self.names:
                raise ConfigError(f"a price for {name}, which names does not hold: name it too")
            if not _LOWEST_PRICE_E4 <= price_e4 <= _HIGHEST_PRICE_E4:
                raise ConfigError(f"price {price_e4} of {name}: give {_LOWEST_PRICE_E4} to {_HIGHEST_PRICE_E4}")
        for letter, percent in self.mix.items():
            if letter not in FLOW_TYPES:
                raise ConfigError(f"mix weighs {letter!r}: a flow is made of the types {FLOW_TYPES}")
            if not 0 <= percent <= 100:
                raise ConfigError(f"mix weighs {letter} with {percent}: give 0 to 100")
        if round(self.mix.get("A", 1) * _WEIGHT_OF_PERCENT) == 0:
            raise ConfigError("mix is without A: a market needs orders that are added")


@dataclass(frozen=True, slots=True)
class MarketSymbol:
    """A symbol as it stands; 0 = that side is empty."""

    name: str
    locate: int
    trading_state: str
    fair_e4: int
    bid_e4: int
    ask_e4: int
    tick_e4: int


@dataclass(frozen=True, slots=True)
class MarketStats:
    """How far the day is. `by_type` counts messages by type letter."""

    messages: int
    clock_ns: int
    last_ref: int
    last_match: int
    live_orders: int
    by_type: dict[str, int]


class MarketFlow:
    """One market day. Not for several threads at once."""

    def __init__(self, config: MarketConfig | None = None) -> None:
        """Errors: ConfigError for a value out of range, ExchangeError without memory."""
        self.config = config or MarketConfig()
        error = ffi.new("int *")
        handle = _create(self.config, error)
        if handle == ffi.NULL:
            if error[0] == -errno.EINVAL:
                raise ConfigError(f"{self.config}: a value is out of range")
            raise ExchangeError(f"no market: {os.strerror(-error[0])}")
        self._market = ffi.gc(handle, lib.hft_market_destroy)
        self._buffer = ffi.new("uint8_t[]", _CHUNK)
        self._count = ffi.new("uint64_t *")
        self._stage = 0  # 0 nothing yet, 1 opened, _SEEDED

    def chunks(self, limit: int | None = None) -> Iterator[bytes]:
        """The day as BinaryFILE bytes, whole messages in each: what precedes the flow, then `limit` messages of it."""
        yield from self._prelude()
        while limit is None or limit > 0:
            chunk = self._fill(lib.hft_market_next, _CHUNK if limit is None else limit)
            if limit is not None:
                limit -= self._count[0]
            yield chunk

    def messages(self, limit: int | None = None) -> Iterator[bytes]:
        """The day message by message: what precedes the flow, then `limit` messages of it, or no end."""
        for chunk in self.chunks(limit):
            yield from blocks.split(chunk)

    def packets(
        self, session: str, first_sequence: int = 1, messages_per_packet: int = 0, limit: int | None = None
    ) -> Iterator[bytes]:
        """The same as MoldUDP64 packets of up to so many messages (0 = as many as fit 1472 bytes).

        Errors: MalformedMessage for a session name or sequence that no packet can carry.
        """
        moldudp64.Heartbeat(session, first_sequence).encode()  # refuses what no packet can carry
        if messages_per_packet < 0:
            raise MalformedMessage(f"{messages_per_packet} messages in a packet: give 1 or more, or 0 for many")
        name = session.encode("latin-1").ljust(moldudp64.SESSION_LENGTH)
        sequence = ffi.new("uint64_t *", first_sequence)
        per_packet = min(messages_per_packet, moldudp64.MAX_BLOCKS)
        for chunk in self._prelude():
            yield from self._packed(chunk, name, sequence, per_packet)
        most = lib.HFT_MARKET_PAYLOAD_MAX // _SHORTEST_BLOCK  # messages of a packet
        left = limit
        while left is None or left >= (per_packet or most):
            first = sequence[0]
            packets = _CHUNK if left is None else left // (per_packet or most)
            size = lib.hft_market_packets(
                self._market, self._buffer, _CHUNK, name, sequence, per_packet, packets, self._count
            )
            yield from _split_packets(self._taken(size))
            if left is not None:
                left -= sequence[0] - first
        if left:
            yield from self._packed(self._fill(lib.hft_market_next, left), name, sequence, per_packet)

    def packed(self, session: str, sequence: int, messages_per_packet: int, packets: int) -> tuple[bytes, int]:
        """The flow's next packets as one buffer, each behind its length (u32, host order), and the sequence after them.

        As many as fit one MiB, at most `packets`; what precedes the flow must have been taken before. For who runs
        millions of them through a program.
        """
        if self._stage != _SEEDED:
            raise ExchangeError("the market has not opened: take what precedes the flow first, packets(limit=0)")
        name = session.encode("latin-1").ljust(moldudp64.SESSION_LENGTH)
        next_sequence = ffi.new("uint64_t *", sequence)
        size = lib.hft_market_packets(
            self._market, self._buffer, _CHUNK, name, next_sequence, messages_per_packet, packets, self._count
        )
        return self._taken(size), next_sequence[0]

    def write_binaryfile(
        self, path: str | os.PathLike[str], messages: int, progress: Callable[[int], None] | None = None
    ) -> int:
        """Write what precedes the flow and `messages` of it; how many are in the file.

        `progress` is told that number as it grows. Errors: OSError.
        """
        before = self.stats().messages
        with open(path, "wb") as file:
            for chunk in self.chunks(messages):
                file.write(chunk)
                if progress is not None:
                    progress(self.stats().messages - before)
        return self.stats().messages - before

    def symbol(self, rank: int) -> MarketSymbol:
        """The symbol of this rank of activity, 0 = the most active. Errors: ConfigError beyond the last."""
        out = ffi.new("struct hft_market_symbol *")
        if rank < 0 or lib.hft_market_symbol(self._market, rank, out):
            raise ConfigError(f"rank {rank}: the market has ranks 0 to {self.config.symbols - 1}")
        name = bytes(ffi.buffer(out.name)).decode("ascii").rstrip(" ")
        return MarketSymbol(name, out.locate, chr(out.trading_state), out.fair_e4, out.bid_e4, out.ask_e4, out.tick_e4)

    def stats(self) -> MarketStats:
        """How far the day is."""
        out = ffi.new("struct hft_market_stats *")
        lib.hft_market_stats(self._market, out)
        by_type = {chr(letter): count for letter, count in enumerate(out.count) if count}
        return MarketStats(out.messages, out.clock_ns, out.last_ref, out.last_match, out.live, by_type)

    def _prelude(self) -> Iterator[bytes]:
        if self._stage == 0:
            self._stage = 1
            room = lib.hft_market_open_room(self._market)
            buffer = ffi.new("uint8_t[]", room)
            size = lib.hft_market_open(self._market, buffer, room)
            yield bytes(ffi.buffer(buffer, size))
        while self._stage == 1:
            chunk = self._fill(lib.hft_market_seed, _CHUNK)
            if not chunk:
                self._stage = _SEEDED
                break
            yield chunk

    def _packed(self, framed: bytes, name: bytes, sequence: Any, per_packet: int) -> Iterator[bytes]:
        used = ffi.new("uint64_t *")
        at = 0
        source = ffi.from_buffer(framed)
        while at < len(framed):
            size = lib.hft_market_pack(
                source + at, len(framed) - at, used, self._buffer, _CHUNK, name, sequence, per_packet, self._count
            )
            packets = self._taken(size)
            at += used[0]
            yield from _split_packets(packets)

    def _fill(self, function: Any, limit: int) -> bytes:
        return self._taken(function(self._market, self._buffer, _CHUNK, limit, self._count))

    def _taken(self, size: int) -> bytes:
        if size < 0:
            raise ExchangeError(f"the market cannot go on: {os.strerror(-size)}")
        return bytes(ffi.buffer(self._buffer, size))


def _split_packets(packed: bytes) -> Iterator[bytes]:
    view = memoryview(packed)
    at = 0
    while at < len(packed):
        (length,) = view[at : at + 4].cast("I")
        yield packed[at + 4 : at + 4 + length]
        at += 4 + length


def _create(config: MarketConfig, error: Any) -> Any:
    native = ffi.new("struct hft_market_config *")
    lib.hft_market_defaults(native, int(config.opening))
    names = ffi.new("uint8_t[]", b"".join(name.encode("ascii").ljust(_SYMBOL_BYTES) for name in config.names) + b"\0")
    prices = ffi.new("uint32_t[]", [config.prices_e4.get(name, 0) for name in config.names] + [0])
    values: dict[str, int | None] = {
        "seed": config.seed,
        "start_ns": config.start_ns,
        "prelude_ns": config.prelude_ns,
        "named": len(config.names),
        "symbols": config.symbols,
        "first_locate": config.first_locate,
        "live_orders": config.live_orders,
        "rank_slope_milli": round(config.rank_slope * 1000),
        "subdollar_ppm": round(config.subdollar_share * _PPM),
        "stub_ppm": round(config.stub_share * _PPM),
        "late_ref_ppm": None if config.late_ref_share is None else round(config.late_ref_share * _PPM),
        "rate": config.rate,
        "steady": int(config.steady),
        "shared_ns_ppm": round(config.shared_ns_share * _PPM),
    }
    for name, value in values.items():
        if value is not None:
            setattr(native, name, value)
    for letter, percent in config.mix.items():
        native.mix[ord(letter)] = round(percent * _WEIGHT_OF_PERCENT)
    native.names = names
    native.prices_e4 = prices
    return lib.hft_market_create(native, error)
