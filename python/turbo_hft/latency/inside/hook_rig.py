"""The hook without a wire: frames go into the loaded program one by one, and the kernel's run-time statistics say how
long it ran for each (native/inside.c).

Nothing is taken off those times: a program of two instructions, measured the same way, stands beside them. What differs
between two measurements is a packet or a word of the configuration, never the build of the program, so that an
installed package can measure. Checksums are verified, events are written and drained, as on a wire.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal

from turbo_hft._native import ffi, lib
from turbo_hft.addresses import FeedAddress
from turbo_hft.engine import Engine
from turbo_hft.errors import CapabilityError, TurboHftError
from turbo_hft.lab import LabAddresses
from turbo_hft.latency.script import answer, listing
from turbo_hft.latency.threshold import Threshold
from turbo_hft.latency.work import Work, configure, session_of
from turbo_hft.program import map_shapes, os_error
from turbo_hft.strategies import Trading
from turbo_hft.testing.wide import SYMBOL, widen
from turbo_hft.wire import moldudp64, ufo
from turbo_hft.wire.frame import multicast_mac, udp_frame
from turbo_hft.wire.itch50 import AddOrder, OrderDelete, SystemEvent

SESSION = "INSIDE0001"
LARGE = 20  # messages of a packet in which the feed is busy
FLOW = {
    "feed": lib.HFT_INSIDE_FEED,
    "second": lib.HFT_INSIDE_SECOND,
    "reply": lib.HFT_INSIDE_REPLY,
    "other": lib.HFT_INSIDE_OTHER,
}

#: What a round's tick is, from the least that the program does with a frame to the most.
Kind = Literal["other", "spoiled", "spoiled_empty", "heartbeat", "untracked", "kept", "idle", "trigger"]

ARMED = Threshold()
IDLE = Threshold(symbol="IDLE", buy_below_e4=ARMED.tick_e4)  # asked at every tick, and never wants anything
KEPT, UNTRACKED = "KEPT", "NOBODY"
LOCATES = {ARMED.symbol: 1, IDLE.symbol: 2, KEPT: 3, UNTRACKED: 4}
TICK_E4 = ARMED.buy_below_e4 - 10 * ARMED.tick_e4
_BID_E4 = ARMED.buy_below_e4 - 20 * ARMED.tick_e4
_RESTING = 16
_TICK_SHARES = 500
_FIRST_NS = 34_200_000_000_000  # 09:30
_STEP_NS = 1_000_000
_OTHER_PORT = 9
_DRAIN = 4096
_SECOND_GROUP = "239.77.0.9"
_SYMBOL_OF: dict[Kind, str] = {
    "untracked": UNTRACKED,
    "kept": KEPT,
    "idle": IDLE.symbol,
    "trigger": ARMED.symbol,
    "spoiled": KEPT,
    "other": KEPT,
}


class InsideError(TurboHftError):
    """A measurement that would not have measured what it says."""


def checked(result: int, what: str) -> int:
    """A native call's result. Raises InsideError, CapabilityError."""
    if result < 0:
        raise os_error(result, what)
    return result


@contextmanager
def statistics() -> Iterator[None]:
    """The kernel keeps run-time statistics while the block runs, of every BPF program on the machine.

    Raises CapabilityError without CAP_SYS_ADMIN.
    """
    fd = lib.hft_inside_statistics()
    if fd < 0:
        raise CapabilityError(
            f"the kernel keeps no run-time statistics for this process ({os.strerror(-fd)}): run as root"
        )
    try:
        yield
    finally:
        os.close(fd)


@contextmanager
def constant(verdict: int) -> Iterator[int]:
    """A program of two instructions; its descriptor. Raises CapabilityError, TurboHftError."""
    fd = checked(lib.hft_load_constant(verdict), "cannot load a program of two instructions")
    try:
        yield fd
    finally:
        os.close(fd)


def runtime_ns(program_fd: int) -> tuple[int, int]:
    """(ns, runs) of a program, by the statistics."""
    ns, runs = ffi.new("uint64_t *"), ffi.new("uint64_t *")
    checked(lib.hft_inside_runtime(program_fd, ns, runs), "cannot read run-time statistics")
    return int(ns[0]), int(runs[0])


@dataclass(frozen=True, slots=True)
class Runs:
    """Timed runs: `native` is a cffi array of ``struct hft_inside_run``."""

    native: Any
    count: int

    def hook_ns(self) -> list[int]:
        """Of each, by the statistics."""
        return [run.hook_ns for run in self.native[0 : self.count]]

    def verdicts(self) -> list[int]:
        """XDP verdicts."""
        return [run.verdict for run in self.native[0 : self.count]]


class Round:
    """One kind of round (``struct hft_inside_round``) and the memory behind it."""

    def __init__(self, tick: bytes, undo: bytes, reply: bytes, **words: int) -> None:
        self.native = ffi.new("struct hft_inside_round *")
        self._memory = [ffi.new("uint8_t[]", part) for part in (tick, undo, reply)]
        for name, memory, part in zip(("tick", "undo", "reply"), self._memory, (tick, undo, reply), strict=True):
            if part:
                setattr(self.native, name, memory)
                setattr(self.native, f"{name}_len", len(part))
        for name, value in words.items():
            setattr(self.native, name, value)


class Frames:
    """The frames of one market, and how far it is (``struct hft_inside``), for any program."""

    def __init__(self, program_fd: int) -> None:
        addresses = LabAddresses()
        self.native = ffi.new("struct hft_inside *")
        native = self.native
        native.program_fd, native.checksums = program_fd, 1
        a = addresses
        ways = {
            "feed": ((a.exchange_address, a.feed_port), (a.feed_group, a.feed_port)),
            "second": ((a.exchange_address, a.feed_port), (_SECOND_GROUP, a.feed_port)),
            "reply": ((a.exchange_address, a.ouch50_port), (a.host_address, a.engine_port)),
            "other": ((a.exchange_address, _OTHER_PORT), (a.host_address, _OTHER_PORT)),
        }
        for name, (source, destination) in ways.items():
            headers = udp_frame(
                src_mac=a.exchange_mac,
                dst_mac=multicast_mac(destination[0]) or a.host_mac,
                src=source,
                dst=destination,
                payload=b"",
            )
            ffi.memmove(native.headers[FLOW[name]], headers, len(headers))
            native.headers_len = len(headers)
        native.feed_seq = native.order_ref = native.reply_seq = native.user_ref = 1
        native.exchange_ns, native.step_ns = _FIRST_NS, _STEP_NS

    def frame(self, flow: str, payload: bytes) -> bytes:
        """A complete frame."""
        out = ffi.new("uint8_t[]", lib.HFT_MAX_FRAME)
        size = checked(lib.hft_inside_frame(self.native, FLOW[flow], payload, len(payload), out), "no such frame")
        return bytes(ffi.buffer(out, size))

    def run(self, flow: str, payload: bytes) -> int:
        """Run a payload once, untimed; the verdict."""
        frame = self.frame(flow, payload)
        length, verdict, duration = ffi.new("unsigned int *"), ffi.new("unsigned int *"), ffi.new("unsigned int *")
        length[0] = lib.HFT_MAX_FRAME
        out = ffi.new("uint8_t[]", lib.HFT_MAX_FRAME)
        checked(
            lib.hft_test_run(self.native.program_fd, frame, len(frame), out, length, 1, verdict, duration),
            "cannot run a frame",
        )
        return int(verdict[0])

    def market(self, *messages: bytes, flow: str = "feed") -> int:
        """The feed's next packet; the verdict."""
        payload = moldudp64.Packet(SESSION, self.native.feed_seq, messages).encode()
        self.native.feed_seq += len(messages)
        return self.run(flow, payload)

    def rounds(self, one: Round, count: int, *, timed: bool = True) -> Runs:
        """`count` rounds; `timed`: the statistics are read around every tick. Raises TurboHftError."""
        runs, done, stop = ffi.new("struct hft_inside_run[]", count), ffi.new("uint64_t *"), ffi.new("uint32_t *")
        one.native.statistics = int(timed)
        checked(lib.hft_inside_rounds(self.native, one.native, runs, count, done, stop), "the rounds cannot go on")
        return Runs(runs, count)

    def packets(self, packets: bytes, *, flow: str = "feed", timed: bool = False, total: Any = None) -> Runs | None:
        """Packets of MoldUDP64, each behind its length; what they come to is added to `total`
        (``struct hft_inside_total``). `timed`: each one's own time. Raises TurboHftError."""
        room = len(packets) // (moldudp64.HEADER_LENGTH + 4) + 1 if timed else 0
        runs = ffi.new("struct hft_inside_run[]", room) if timed else ffi.NULL
        total = ffi.new("struct hft_inside_total *") if total is None else total
        before = int(total.packets)
        checked(
            lib.hft_inside_packets(self.native, FLOW[flow], packets, len(packets), runs, room, total, ffi.NULL),
            "the packets cannot go on",
        )
        return Runs(runs, int(total.packets) - before) if timed else None


def stamp(frames: Frames) -> dict[str, int]:
    """What every message of the moment has."""
    return {"tracking_number": 0, "timestamp": int(frames.native.exchange_ns)}


def add(frames: Frames, symbol: str, ref: int, price_e4: int, side: str = "S", shares: int = _TICK_SHARES) -> bytes:
    """Add Order."""
    return AddOrder(
        stock_locate=LOCATES[symbol],
        order_ref=ref,
        side=side,
        shares=shares,
        stock=symbol,
        price=price_e4,
        **stamp(frames),
    ).encode()


def listed(frames: Frames, symbol: str, locate: int) -> list[bytes]:
    """A symbol is listed, and trades."""
    return listing(locate, symbol, int(frames.native.exchange_ns))


def market_open(frames: Frames) -> bytes:
    """System event Q."""
    return SystemEvent(stock_locate=0, event_code="Q", **stamp(frames)).encode()


class HookRig(Frames):
    """An engine with one symbol of each kind, logged in and trading, attached to nothing. A context manager.

    Raises CapabilityError, LoadError.
    """

    def __init__(self) -> None:
        self.engine = Engine.load(symbols=16, orders=4096, kept=1024)
        try:
            super().__init__(self.engine.program.fd)
            configure(self.engine, LabAddresses(), Work((ARMED, IDLE), (KEPT,)))
            self._open()
        except BaseException:
            self.engine.close()
            raise

    def _open(self) -> None:
        native = self.native
        self.market(market_open(self))
        for symbol, locate in LOCATES.items():
            book = []
            for side, price_e4 in [("B", _BID_E4), *(("S", ARMED.buy_below_e4 + 100 * n) for n in range(1, _RESTING))]:
                book.append(add(self, symbol, native.order_ref, price_e4, side))
                native.order_ref += 1
            self.market(*listed(self, symbol, locate), *book)
        self.run("reply", ufo.LoginAccepted(SESSION, 1).encode())
        self.engine.lease.forever()
        self.engine.resume()

    def round(self, kind: Kind, interval_ns: int = 0) -> Round:
        """The rounds of a kind; `interval_ns` from tick to tick, 0 = back to back."""
        if kind in ("heartbeat", "spoiled_empty"):
            tick = moldudp64.Heartbeat(SESSION, 1).encode()
            return Round(tick, b"", b"", spoiled=int(kind == "spoiled_empty"), interval_ns=interval_ns)
        symbol = _SYMBOL_OF[kind]
        tick = moldudp64.Packet(SESSION, 1, (add(self, symbol, 1, TICK_E4),)).encode()
        if kind in ("other", "spoiled"):
            flow = FLOW["other" if kind == "other" else "feed"]
            return Round(tick, b"", b"", flow=flow, messages=1, spoiled=int(kind == "spoiled"), interval_ns=interval_ns)
        gone = OrderDelete(stock_locate=LOCATES[symbol], order_ref=1, **stamp(self)).encode()
        undo = moldudp64.Packet(SESSION, 1, (gone,)).encode()
        reply = answer(ARMED.order(1, TICK_E4)) if kind == "trigger" else b""
        return Round(tick, undo, reply, messages=1, interval_ns=interval_ns)

    def drain(self) -> int:
        """Empty the event ring; how many records there were."""
        stream, many = self.engine.events, 0
        while count := lib.hft_ring_drain(stream._ring, stream._records, _DRAIN):
            many += checked(count, "cannot read the event ring")
        return many

    def __enter__(self) -> HookRig:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.engine.close()


def bare_engine(
    names: Sequence[str],
    *,
    feeds: int = 1,
    armed: int = 0,
    shadows: Sequence[Trading] = (),
    symbols: int | None = None,
    orders: int,
) -> Engine:
    """An engine that tracks symbols of a market; the first `armed` of them have a decision that never wants anything,
    every one of those the `shadows` too. Raises CapabilityError, LoadError, ConfigError."""
    engine = Engine.load(kept=1024, feeds=feeds, symbols=symbols or max(1, len(names)), orders=orders)
    try:
        a = LabAddresses()
        groups = (a.feed_group, _SECOND_GROUP)[:feeds]
        engine.configure(session_of(a), tuple(FeedAddress(group, a.feed_port, a.exchange_address) for group in groups))
        widen(engine)
        for number, name in enumerate(names):
            if number < armed:
                engine.symbols.add(name, buy_below="0.0001", shadow=shadows, **SYMBOL)
            else:
                engine.symbols.add(name, strategy=None)
    except BaseException:
        engine.close()
        raise
    return engine


def map_bytes(engine: Engine) -> int:
    """Memory of all maps of an engine's program that have a name there and of its event ring, by the kernel's own
    account (memlock in fdinfo). What is shared with user space is counted once."""
    total = 0
    for name in (*map_shapes(engine.program.config), "events", "generations"):
        with open(f"/proc/self/fdinfo/{engine.program.map(name)}", encoding="ascii") as file:
            total += next(int(line.split()[1]) for line in file if line.startswith("memlock:"))
    return total
