"""Market flow through the loaded program, its books held against a reference book natively (native/torture.c)."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Unpack

from turbo_hft._native import ffi, lib
from turbo_hft.addresses import FeedAddress, OrderSession, Rerequest
from turbo_hft.engine import Engine
from turbo_hft.errors import TurboHftError
from turbo_hft.exchange.market import MarketFlow
from turbo_hft.program import LoadSettings, os_error
from turbo_hft.snapshots import book_health, doubt_name
from turbo_hft.wire.frame import udp_frame

FEED = FeedAddress(
    "239.77.0.1",
    26477,
    "10.77.0.2",
    group_b="239.78.0.1",
    source_b="10.77.0.3",
    rerequest=Rerequest(server=("10.77.0.2", 26480), local=("10.77.0.1", 26478)),
)
SESSION = OrderSession(
    local=("10.77.0.1", 26400),
    remote=("10.77.0.2", 26450),
    local_mac="02:00:00:00:77:01",
    remote_mac="02:00:00:00:77:02",
    username="HFT001",
    password="SECRET",
)
DAY = "TRIAL00001"
_SOURCE_PORT = 9
_BADMSG = -74
_LEVELS_SHOWN = 12

_WHAT = {
    lib.HFT_FAULT_MESSAGE: "the reference cannot follow a message: the flow is wrong, not the hook",
    lib.HFT_FAULT_VERDICT: "verdict",
    lib.HFT_FAULT_HEALTH: "a book is not whole although its messages are valid",
    lib.HFT_FAULT_LOCATE: "a book is not bound to its locate",
    lib.HFT_FAULT_ORDERS: "number of orders",
    lib.HFT_FAULT_BEST: "best prices",
    lib.HFT_FAULT_DEPTH: "depth",
    lib.HFT_FAULT_TX_FEED: "an order left while its feed was not live",
    lib.HFT_FAULT_TX_BOOK: "an order left in a symbol whose book is not whole",
    lib.HFT_FAULT_TX_PRICE: "an order left at a price that is not the best",
    lib.HFT_FAULT_TX_FRAME: "an order frame that cannot be read",
}


class Mismatch(AssertionError):
    """The hook and the truth differ; the text says where, with the bytes and both depths."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How much was compared. `depths`: both sides of a symbol at one moment; `levels` in them."""

    messages: int
    packets: int
    depths: int
    levels: int
    deepest: int
    crossed: int


class Reference:
    """A reference book (native/reference.c): a new one, or that of a `handle` which the C side owns."""

    def __init__(self, handle: Any = None) -> None:
        if handle is None:
            error = ffi.new("int *")
            made = lib.hft_reference_create(error)
            if made == ffi.NULL:
                raise os_error(error[0], "no reference book")
            handle = ffi.gc(made, lib.hft_reference_destroy)
        self.handle = handle

    def side(self, locate: int, side: int) -> list[tuple[int, ...]]:
        """All levels of a side, best first: (price in 1/10000 dollar, shares, orders)."""
        count = ffi.new("uint32_t *")
        levels = lib.hft_reference_side(self.handle, locate, side, count)
        return [(levels[i].price_e4, levels[i].shares, levels[i].orders) for i in range(count[0])]

    @property
    def orders(self) -> int:
        """Live orders of all symbols."""
        return int(lib.hft_reference_orders(self.handle, 0))


class Trial:
    """A loaded program that tracks symbols, by (name, locate), and one reference book.

    The program is loaded with `settings` and configured with `FEED` and `SESSION`, unless there is an `engine` that was
    opened and configured already. `native`: the ``struct hft_trial`` that both sides share. A context manager.
    """

    def __init__(
        self,
        listed: Iterable[tuple[str, int]],
        *,
        seed: int = 1,
        engine: Engine | None = None,
        **settings: Unpack[LoadSettings],
    ) -> None:
        listed = list(listed)
        if engine is None:
            loaded: LoadSettings = {"clock": "feed", "symbols": len(listed), **settings}
            engine = Engine.load(**loaded)
            engine.configure(SESSION, FEED)
        self.engine = engine
        self.reference = Reference()
        self.names = [name for name, _ in listed]
        for name in self.names:
            self.engine.symbols.add(name)
        self.slots = self.slots_of(listed)
        self._levels = ffi.new("struct hft_level[]", 2 * lib.HFT_TRIAL_LEVELS)
        self._counts = ffi.new("unsigned int[2]")
        self.native = self._make_native(seed)

    def _make_native(self, seed: int) -> Any:
        program, config = self.engine.program, self.engine.program.config
        self._tables = ffi.new("struct hft_tables *")
        self._tables.levels, self._tables.ladder = program.share("book_levels"), program.share("book_ladder")
        self._tables.level_mask, self._tables.ladder_mask = config.level_mask, config.ladder_mask
        self.books = program.share("books")
        native = ffi.new("struct hft_trial *")
        native.program_fd, native.tables, native.books = program.fd, self._tables, self.books
        native.slots, native.levels = self.slots, self._levels
        headers = feed_headers("a")
        native.headers_len, native.headers[0 : len(headers)] = len(headers), headers
        native.session[0 : len(DAY)] = DAY.encode()
        native.next, native.random = 1, seed
        return native

    @classmethod
    def of(cls, flow: MarketFlow, *, seed: int = 1, **settings: Unpack[LoadSettings]) -> Trial:
        """One that tracks every symbol of a market."""
        return cls(listing(flow), seed=seed, **settings)

    def slots_of(self, listed: Iterable[tuple[str, int]]) -> Any:
        """A cffi array: slot + 1 by locate, 0 for one that is not tracked."""
        slots = ffi.new("uint16_t[]", lib.HFT_LOCATES)
        index = {name: slot for slot, name in enumerate(self.names)}
        for name, locate in listed:
            if name in index:
                slots[locate] = index[name] + 1
        return slots

    def run(self, framed: bytes, most: int = 1) -> None:
        """Whole messages in BinaryFILE framing, in packets of 1 to `most`; after each packet the full depth of what it
        touched is compared. Raises Mismatch."""
        self.check(lib.hft_trial_run(self.native, self.reference.handle, framed, len(framed), most))

    def follow(self, message: bytes) -> None:
        """A message that the hook gets by another way. Raises TurboHftError if the reference cannot follow it."""
        result = lib.hft_reference_apply(self.reference.handle, message, len(message))
        if result < 0:
            raise os_error(result, f"the reference cannot follow {message.hex()}")

    def compare_all(self) -> int:
        """The full depth of every listed symbol; how many there are. Raises Mismatch."""
        compared = 0
        for locate in (locate for locate in range(lib.HFT_LOCATES) if self.slots[locate]):
            self.check(lib.hft_trial_compare(self.native, self.reference.handle, locate))
            compared += 1
        return compared

    def check(self, result: int, reference: Reference | None = None) -> int:
        """The result of a native call, if it is none of an error. Raises Mismatch, told with the depth that `reference`
        has, or TurboHftError."""
        if result == _BADMSG:
            raise Mismatch(self.describe(reference or self.reference))
        if result < 0:
            raise os_error(result, "the trial cannot go on")
        return result

    def depth(self, slot: int) -> tuple[bytes, bytes]:
        """The full depth of a slot, bids and offers, each as an array of ``struct hft_level``."""
        most, size = lib.HFT_TRIAL_LEVELS, ffi.sizeof("struct hft_level")
        error = lib.hft_depth(self._tables, self.books + slot, slot, self._levels, most, self._counts)
        if error:
            raise os_error(error, f"cannot read the depth of slot {slot}")
        bids, offers = self._counts
        return (
            bytes(ffi.buffer(self._levels, bids * size)),
            bytes(ffi.buffer(self._levels + most, offers * size)),
        )

    def tally(self) -> Tally:
        """How much was compared until now."""
        native = self.native
        return Tally(native.messages, native.packets, native.depths, native.level_count, native.deepest, native.crossed)

    def describe(self, reference: Reference) -> str:
        """What failed last, in full."""
        native = self.native
        slot, locate, book = native.slot, native.locate, self.books[native.slot]
        what = _WHAT.get(native.fault, str(native.fault))
        lines = [
            f"{what}, at message {native.sequence}: symbol {self.names[slot]} (slot {slot}, locate {locate}), "
            f"book {book_health(book.health)}, doubt {doubt_name(book.doubt)}, orders {book.book_orders}, "
            f"best {list(book.best_e4)}, since {book.since_seq}, verdict {native.verdict}",
            f"last packet: {bytes(ffi.buffer(native.payload, native.payload_len)).hex()}",
            f"feed: {self.engine.feed}",
            f"counters: { ({name: value for name, value in self.engine.counters().items() if value}) }",
        ]
        for side, found in zip((lib.HFT_BUY, lib.HFT_SELL), self.depth(slot), strict=True):
            lines.append(difference(("bids", "offers")[side], unpacked(found), reference.side(locate, side)))
        return "\n".join(lines)

    def health(self) -> dict[str, int]:
        """How many symbols there are in each state."""
        return self.engine.symbols.health()

    def close(self) -> None:
        """Unload the program."""
        self.engine.close()

    def __enter__(self) -> Trial:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def difference(name: str, found: list[tuple[int, ...]], expected: list[tuple[int, ...]]) -> str:
    """Both versions of one side around the first level that differs."""
    first = next(
        (i for i, pair in enumerate(zip(found, expected, strict=False)) if pair[0] != pair[1]),
        min(len(found), len(expected)),
    )
    if found == expected:
        return f"{name}: {len(found)} levels, equal"
    low = max(0, first - 2)
    return (
        f"{name} differ from level {first} on ({len(found)} levels, expected {len(expected)}); (price_e4, shares, "
        f"orders) from level {low}:\n  hook     {found[low : low + _LEVELS_SHOWN]}\n"
        f"  expected {expected[low : low + _LEVELS_SHOWN]}"
    )


def unpacked(levels: bytes) -> list[tuple[int, ...]]:
    """An array of ``struct hft_level`` as (price in 1/10000 dollar, shares, orders)."""
    return [(price, shares, orders) for shares, price, orders in struct.iter_unpack("=QII", levels)]


def listing(flow: MarketFlow) -> list[tuple[str, int]]:
    """(name, locate) of every symbol of a market, by rank of activity."""
    symbols = (flow.symbol(rank) for rank in range(flow.config.symbols))
    return [(symbol.name, symbol.locate) for symbol in symbols]


def feed_headers(line: str) -> bytes:
    """Ethernet, IPv4 and UDP headers of a frame of one line of `FEED`; lengths and checksums are not set."""
    for way in FEED.lines():
        if way.line == line:
            peer, port = way.peer
            source = (peer or "10.77.0.2", port or _SOURCE_PORT)
            return _headers(source, (way.address, way.port))
    raise TurboHftError(f"the feed has no line {line}: give a, b or rerequest")


def reply_headers() -> bytes:
    """The same of a frame of the exchange's order entry."""
    return _headers(SESSION.remote, SESSION.local)


def _headers(source: tuple[str, int], destination: tuple[str, int]) -> bytes:
    return udp_frame(src_mac=SESSION.remote_mac, dst_mac=SESSION.local_mac, src=source, dst=destination, payload=b"")
