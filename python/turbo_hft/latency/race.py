"""A race on a TCP connection: from a tick to the whole order at the exchange, of the hook and of traders in user space.

All have the same connection to the same peer, see the same ticks, decide the same and get the same answers; every
order is held against the decision to the byte. The time is the exchange's (native/rig/race.h): from before it sends
the tick to behind the read() of its own socket that had the whole order. The exchange spins on one CPU; the trader in
user space, or the thread that merges the hook's sends, is on the other. On veth the hook runs inside the exchange's
send(), so no CPU is crossed on the way to it: read the ratios as those of this rig.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import turbo_hft
from turbo_hft import netns
from turbo_hft._native import ffi, lib
from turbo_hft.addresses import OrderSession
from turbo_hft.delegated import Connection, connect
from turbo_hft.engine import Engine
from turbo_hft.errors import ExchangeError
from turbo_hft.lab import LabAddresses
from turbo_hft.latency.placement import BOT_CPU, PROBE_CPU, available, on_cpu
from turbo_hft.latency.script import FIRST_TIME_NS, ORDER_BYTES, add_order, delete_order, feed_frame, listing
from turbo_hft.latency.threshold import Threshold
from turbo_hft.latency.work import Work, configure, session_of
from turbo_hft.wire import moldudp64, ouch50, soupbintcp, ufo
from turbo_hft.wire.itch50 import SystemEvent

SESSION = "RACE000001"
WARMUP = 500
"""Ticks that come first and count in no figure."""

#: Enters with the trader connected and trading, which is gone when the block is left.
Trader = Callable[[LabAddresses, tuple[str, int]], AbstractContextManager[None]]

_SHARES = 500
_PRICES = 64
_BID_TICKS = 100  # below the target, where no tick comes
_TIMEOUT_NS = 200_000_000
_TIMEOUT_S = 5.0
_REST_S = 50e-6  # of the thread that merges, where there is one CPU only
_USER_REF = slice(4, 8)  # of an order: length, packet type, message type, UserRefNum


@dataclass(frozen=True, slots=True)
class Raced:
    """`taken_ns`: of every tick behind the warm-up that brought its order in time. `missed`: of the others, `late`: how
    many of these came after all; `compared`: orders that were held against the decision, the warm-up's too."""

    taken_ns: tuple[int, ...]
    missed: int
    late: int
    compared: int


class Feed:
    """The frames of the day, and the price of every tick."""

    def __init__(self, at: LabAddresses) -> None:
        self._at = at
        self._sequence = 1
        self._ref = 1000
        self.threshold = Threshold()

    def _frame(self, *messages: bytes) -> bytes:
        packet = moldudp64.Packet(SESSION, self._sequence, messages).encode()
        self._sequence += len(messages)
        return feed_frame(self._at, packet)

    def opening(self) -> bytes:
        """The market opens; a symbol, and a bid for the collar to be around."""
        opens = SystemEvent(stock_locate=0, tracking_number=0, timestamp=FIRST_TIME_NS, event_code="Q").encode()
        bid = self.threshold.buy_below_e4 - _BID_TICKS * self.threshold.tick_e4
        return self._frame(opens, *listing(1, self.threshold.symbol), self._offer("B", bid))

    def tick(self) -> tuple[bytes, bytes, int]:
        """An offer to be taken, what takes it away again, and its price in 1/10000 dollar."""
        self._ref += 1
        price = self.threshold.buy_below_e4 - self.threshold.tick_e4 * (self._ref % _PRICES)
        offer = self._frame(self._offer("S", price))
        return offer, self._frame(delete_order(1, FIRST_TIME_NS + self._ref, self._ref)), price

    def end(self) -> bytes:
        """The session is over."""
        return feed_frame(self._at, moldudp64.EndOfSession(SESSION, self._sequence).encode())

    def _offer(self, side: str, price: int) -> bytes:
        stock = self.threshold.symbol.ljust(8).encode("ascii")
        return add_order(1, FIRST_TIME_NS + self._ref, self._ref, side, _SHARES, stock, price)


def session(at: LabAddresses, remote: tuple[str, int]) -> OrderSession:
    """Over TCP, to the listener of a race."""
    return replace(session_of(at), transport="soupbintcp", local=(at.host_address, 0), remote=remote)


@contextmanager
def engine(at: LabAddresses, remote: tuple[str, int]) -> Iterator[None]:
    """A `Trader`: the hook's delegated send. The thread that merges spins on a CPU, if there are two."""
    merge_cpu, poll_s = (BOT_CPU, 0.0) if available(BOT_CPU) else (None, _REST_S)
    with Engine.open(at.device, transport="soupbintcp") as hook:
        own = session(at, remote)
        configure(hook, at, Work((Threshold(),)), own)
        hook.attach()
        with connect(own) as sock, Connection(hook, own, sock, merge_cpu=merge_cpu, poll_s=poll_s) as connection:
            hook.hear(ufo.LoginAccepted(SESSION, 1).encode())
            connection.sync(0, 1)
            connection.arm()
            hook.lease.forever()
            hook.resume()
            stop = threading.Event()
            reader = threading.Thread(target=_read, args=(hook, connection, stop))
            with on_cpu(BOT_CPU):  # which the thread inherits: it stays out of the exchange's way
                reader.start()
            try:
                yield
            finally:
                stop.set()
                reader.join()
                hook.halt()


def _read(hook: Engine, connection: Connection, stop: threading.Event) -> None:
    """User space behind the hook, which has taken most replies by the time they are read."""
    decoder, number = soupbintcp.Decoder(), 1
    while not stop.wait(0.002):
        while data := connection.recv():
            decoder.feed(data)
            for packet in decoder:
                if not isinstance(packet, soupbintcp.SequencedData):
                    continue
                if number >= hook.session.expected_seq:
                    hook.hear(ufo.Sequenced(number, (packet.message,)).encode())
                number += 1
        connection.sync(decoder.pending, number)


def peer(method: str) -> Trader:
    """A `Trader` in user space, a process of its own: a method of `turbo_hft.latency.tcp_peer`."""

    @contextmanager
    def trader(at: LabAddresses, remote: tuple[str, int]) -> Iterator[None]:
        command = [sys.executable, "-m", "turbo_hft.latency.tcp_peer", method, json.dumps(asdict(at)), str(remote[1])]
        if available(BOT_CPU):
            command += ["--cpu", str(BOT_CPU)]
        paths = [str(Path(turbo_hft.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            try:
                assert process.stdout is not None and process.stderr is not None
                if process.stdout.readline() != "ready\n":
                    talk = process.stderr.read().strip().splitlines() or ["it said nothing"]
                    raise ExchangeError(f"the trader in user space ({method}) did not begin: {talk[-1]}")
                yield
            finally:
                process.kill()
                process.wait()

    return trader


def race(at: LabAddresses, trader: Trader, rounds: int, pause_ns: int) -> Raced:
    """One repetition of `rounds` ticks on a connection of its own, `pause_ns` between a tick's end and the next.

    Raises ExchangeError when an order is not what the decision demands, when none comes, or the trader fails.
    """
    listener = netns.run_in(at.namespace, lambda: socket.create_server((at.exchange_address, 0)))
    feed = netns.run_in(at.namespace, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
    with listener, feed:
        netns.run_in(at.namespace, lambda: feed.bind((at.peer, 0)))
        listener.settimeout(_TIMEOUT_S)
        with trader(at, listener.getsockname()):
            orders = listener.accept()[0]
            with orders:
                orders.setblocking(False)
                orders.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return _run(at, feed, orders, rounds + WARMUP, pause_ns)


def _run(at: LabAddresses, feed: socket.socket, orders: socket.socket, rounds: int, pause_ns: int) -> Raced:
    day = Feed(at)
    feed.send(day.opening())
    frames, ends, replies, prices = bytearray(), [], bytearray(), []
    for number in range(1, rounds + 1):
        offer, gone, price = day.tick()
        frames += offer
        ends.append(len(frames))
        frames += gone
        ends.append(len(frames))
        prices.append(price)
        reply = ouch50.Rejected(timestamp=0, user_ref_num=number, reason=1, cl_ord_id="TURBO-HFT").encode()
        replies += soupbintcp.SequencedData(reply).encode()
    taken_ns, taken = ffi.new("uint64_t[]", rounds), ffi.new("uint8_t[]", rounds * ORDER_BYTES)
    kept = (ffi.from_buffer(frames), ffi.new("uint32_t[]", ends), ffi.from_buffer(replies))
    native = ffi.new("struct hft_race *")
    native.feed, native.orders, native.rounds, native.order_len = feed.fileno(), orders.fileno(), rounds, ORDER_BYTES
    native.frames, native.frame_ends, native.replies = kept
    native.reply_len = len(replies) // rounds
    native.timeout_ns, native.pause_ns = _TIMEOUT_NS, pause_ns
    native.taken_ns, native.taken = taken_ns, taken
    with on_cpu(PROBE_CPU):
        error = lib.hft_race_run(native)
    if error:
        raise ExchangeError(f"the race stopped: {os.strerror(-error)}")
    feed.send(day.end())
    times = list(taken_ns)
    compared, mistaken = _check(times, bytes(ffi.buffer(taken)), prices, day.threshold)
    counted = tuple(time_ns for time_ns in times[WARMUP:] if time_ns)
    if not counted:
        raise ExchangeError(f"none of {rounds - WARMUP} ticks brought an order: is the feed live, the gate open?")
    return Raced(counted, rounds - WARMUP - len(counted), native.late + mistaken, compared)


def _check(times: list[int], taken: bytes, prices: list[int], threshold: Threshold) -> tuple[int, int]:
    """Every order against the decision, UserRefNums rising; how many there were. One that came while the next one was
    awaited is no answer to that: its time is taken out; how many of these. Raises ExchangeError."""
    before = compared = late = 0
    given_up: set[int] = set()  # prices of ticks that had no order
    for number, price in enumerate(prices):
        if not times[number]:
            given_up.add(price)
            continue
        order = taken[number * ORDER_BYTES : (number + 1) * ORDER_BYTES]
        user_ref = int.from_bytes(order[_USER_REF], "big")
        if user_ref <= before:
            raise ExchangeError(f"the order for tick {number + 1} has UserRefNum {user_ref} again, behind {before}")
        before, compared = user_ref, compared + 1
        if order == _demanded(threshold, user_ref, price):
            continue
        if not any(order == _demanded(threshold, user_ref, other) for other in given_up):
            wanted = _demanded(threshold, user_ref, price).hex()
            raise ExchangeError(f"the order for tick {number + 1} is {order.hex()}, the decision demands {wanted}")
        times[number], late = 0, late + 1
        given_up.add(price)  # its own order comes behind this one
    return compared, late


def _demanded(threshold: Threshold, user_ref: int, price: int) -> bytes:
    """The packet of the decision."""
    return soupbintcp.UnsequencedData(threshold.order(user_ref, price).encode()).encode()
