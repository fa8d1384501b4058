"""A user's strategy swapped again and again while a whole market comes in over a wire.

A veth pair in a lab of its own. One thread sends a market's flow flat out and answers the orders that come back; the
hook runs inside its sends. The main thread swaps strategies, each of which asks for another quantity, so that an order
tells who made it. At the end every message must have been handled once, nothing held, kept or contended, and every
order must be of the strategy and of a generation that its epoch names.

Exit codes: 0 all of it holds, 1 it does not, 2 usage.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from turbo_hft import Engine, FeedAddress, OrderSession, include_dir, netns
from turbo_hft._native import ffi, lib
from turbo_hft.events import Event
from turbo_hft.exchange.market import MarketConfig, MarketFlow
from turbo_hft.lab import Lab, LabAddresses
from turbo_hft.recorded.wire import Destination, Wire
from turbo_hft.testing.trial import listing
from turbo_hft.wire import ouch50, ufo

T = TypeVar("T")

SYMBOLS = 1_000
ARMED = 10  # the most active ones
LIVE_ORDERS = 20_000
VARIANTS = 7  # strategies that take turns: an order's quantity is the number of its variant, from 1
PER_PACKET = 20
ANSWER_NS = 5_000_000
FEED_CPU, CONTROL_CPU = 1, 0
SESSION = "SWAPS00001"
SOURCE = """
#include <hft/strategy_api.h>

HFT_PARAMS struct {
	__u64 pause_ns; /* between two orders of a symbol */
} params = { .pause_ns = 10000000 };

static __u64 sent_ns[HFT_MAX_SYMBOLS];

int hft_user_strategy(const struct hft_signal *signal, struct hft_intents *intents)
{
	if (!signal || !intents)
		return 0;
	__u64 *sent = &sent_ns[signal->slot & (HFT_MAX_SYMBOLS - 1)];
	__u32 ask_e4 = signal->after.price_e4[HFT_SELL];

	if (!ask_e4 || signal->open_orders || signal->now_ns - *sent < params.pause_ns)
		return 0;
	*sent = signal->now_ns;
	hft_enter(intents, HFT_BUY, ask_e4, VARIANT, HFT_TIF_IOC);
	return 0;
}
"""


class Failure(Exception):
    """Something that must hold does not."""


@dataclass
class Figures:
    """What came of it. Times are of `Engine.load_strategy`: link, verify, put in force, wait for the last packet."""

    swaps: int = 0
    seconds: float = 0.0
    messages: int = 0
    packets: int = 0
    messages_a_second: float = 0.0
    orders: int = 0
    orders_by_generation: int = 0
    orders_of_a_change: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    swap_ms_median: float = 0.0
    swap_ms_p99: float = 0.0
    swap_ms_worst: float = 0.0


def compiled(directory: Path) -> list[Path]:
    """The variants' objects."""
    clang = shutil.which("clang-19") or shutil.which("clang")
    if clang is None:
        raise Failure("clang is not here: this test compiles its strategies (`make deps`).")
    source, made = directory / "variant.c", []
    source.write_text(SOURCE)
    for number in range(1, VARIANTS + 1):
        target = directory / f"variant{number}.o"
        command = [clang, "-O2", "-g", "-target", "bpf", "-mcpu=v3", f"-I{include_dir()}", f"-DVARIANT={number}"]
        subprocess.run([*command, "-c", str(source), "-o", str(target)], check=True)
        made.append(target)
    return made


class Exchange(threading.Thread):
    """Sends the flow as fast as the wire takes it, and rejects every order, so that the next may come."""

    def __init__(self, lab: LabAddresses, flow: MarketFlow, wire: Wire, orders: socket.socket) -> None:
        super().__init__(name="exchange", daemon=True)
        self._lab, self._wire, self._orders = lab, wire, orders
        self._chunks = flow.chunks()
        self._end = threading.Event()
        self._reply_sequence = 1
        self.error: BaseException | None = None
        self.replay = ffi.new("struct hft_replay *")
        replay = self.replay
        replay.program_fd, replay.wire_fd = -1, wire.fd
        to = Destination((lab.feed_group, lab.feed_port), source=lab.exchange_address, mac=lab.host_mac)
        (headers,) = wire.headers(to)
        ffi.memmove(replay.headers[0], headers, len(headers))
        replay.headers_len, replay.payload_max, replay.per_packet = len(headers), wire.payload_max, PER_PACKET
        ffi.memmove(replay.session, SESSION.encode(), len(SESSION))
        replay.sequence = 1

    def login(self) -> None:
        """Let the engine in."""
        self._reply(ufo.LoginAccepted("SWAPS", 1))

    def run(self) -> None:
        """Until `stop`, and then to the end of the piece at hand."""
        try:
            with pinned(FEED_CPU):
                for chunk in self._chunks:
                    if self._end.is_set():
                        return
                    self._send(chunk)
        except BaseException as error:
            self.error = error

    def stop(self) -> None:
        """End, and say what went wrong."""
        self._end.set()
        self.join()
        if self.error is not None:
            raise Failure(f"the sender failed: {self.error}") from self.error

    def _send(self, chunk: bytes) -> None:
        memory = ffi.from_buffer("uint8_t[]", chunk)
        framed = ffi.new("struct hft_framed *", {"bytes": memory, "length": len(chunk)})
        while True:
            result = lib.hft_replay_framed(self.replay, framed, time.monotonic_ns() + ANSWER_NS)
            if result < 0:
                raise Failure(f"cannot send: {os.strerror(-result)}")
            self._answer()
            if result == lib.HFT_FRAMED_END:
                return

    def _answer(self) -> None:
        while True:
            try:
                datagram = self._orders.recv(4096)
            except BlockingIOError:
                return
            for message in ufo.decode_upstream(datagram):
                if isinstance(message, ufo.Unsequenced):
                    order = ouch50.decode_inbound(message.message)
                    if isinstance(order, ouch50.EnterOrder):
                        self._reject(order.user_ref_num)

    def _reject(self, user_ref: int) -> None:
        message = ouch50.Rejected(timestamp=time.monotonic_ns(), user_ref_num=user_ref, reason=1, cl_ord_id="").encode()
        self._reply(ufo.Sequenced(self._reply_sequence, (message,)))
        self._reply_sequence += 1

    def _reply(self, message: ufo.Downstream) -> None:
        self._orders.sendto(message.encode(), (self._lab.host_address, self._lab.engine_port))


@contextmanager
def pinned(cpu: int) -> Iterator[None]:
    """The calling thread on one CPU, if there is that CPU."""
    before = os.sched_getaffinity(0)
    if cpu in before:
        os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _order_socket(lab: LabAddresses) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((lab.exchange_address, lab.ouch50_port))
    sock.setblocking(False)
    return sock


def _engine(lab: LabAddresses, flow: MarketFlow) -> Engine:
    engine = Engine.open(lab.device, symbols=SYMBOLS, orders=1 << 18, crossed_ns=0)
    names = [name for name, _ in listing(flow)]
    for name in names:
        engine.symbols.add(name)
    for name in names[:ARMED]:
        symbol = engine.symbols[name]
        symbol.strategy = "user"
        symbol.limits.set({"max_long": 1000, "orders_per_second": 1000, "burst": 100, "collar": "0.5"})
    engine.configure(
        OrderSession(
            local=(lab.host_address, lab.engine_port),
            remote=(lab.exchange_address, lab.ouch50_port),
            local_mac=lab.host_mac,
            remote_mac=lab.exchange_mac,
            username="HFT001",
            password="SECRET",
        ),
        FeedAddress(lab.feed_group, lab.feed_port, lab.exchange_address),
    )
    wide = {"orders_per_second": 10_000, "burst": 1000}
    engine.limits.set(wide)
    engine.strategies["user"].limits.set(wide)
    return engine


def swap_test(swaps: int, progress: Callable[[str], None]) -> Figures:
    """Swap so often. Raises Failure."""
    tag = f"{os.getpid() % 100_000:05d}"
    figures, times, orders = Figures(swaps), [], []
    flow = MarketFlow(MarketConfig(seed=5, symbols=SYMBOLS, live_orders=LIVE_ORDERS))
    with ExitStack() as stack:
        objects = compiled(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="turbo-hft-swap-"))))
        lab = stack.enter_context(
            Lab(namespace=f"swap_{tag}", device=f"sw{tag}a", peer=f"sw{tag}b", subnet="10.203.9.0/24")
        ).addresses
        sock = stack.enter_context(netns.run_in(lab.namespace, lambda: _order_socket(lab)))
        wire = Wire(lab.peer, namespace=lab.namespace)
        stack.callback(wire.close)
        engine = stack.enter_context(_engine(lab, flow))
        events = engine.events
        engine.load_strategy(objects[0])
        engine.attach()
        exchange = Exchange(lab, flow, wire, sock)
        with pinned(FEED_CPU):
            exchange.login()
        _until(lambda: engine.session.health == "up", "the login")
        stack.enter_context(engine.lease.keep())
        engine.resume()
        stack.enter_context(pinned(CONTROL_CPU))
        exchange.start()
        _until(lambda: any(event.kind == "order" for event in events.drain()), "the first order")
        began, first = time.monotonic(), int(exchange.replay.messages)
        try:
            for number in range(1, swaps + 1):
                since = time.monotonic()
                generation = engine.load_strategy(objects[number % VARIANTS])
                times.append(1000 * (time.monotonic() - since))
                _expect(generation.number == number + 1, "generations follow each other")
                orders += [event for event in events.drain() if event.kind == "order"]
                if number % 50 == 0:
                    progress(f"{number} swaps, {int(exchange.replay.messages):,} messages, {len(orders):,} orders")
            figures.seconds = time.monotonic() - began
            figures.messages_a_second = (int(exchange.replay.messages) - first) / figures.seconds
        finally:
            exchange.stop()
        orders += [event for event in events.drain() if event.kind == "order"]
        _handled_once(engine, exchange, figures)
        _expect(events.lost == 0, f"{events.lost} events were lost")
        _attributed(engine, orders, figures)
    times.sort()
    figures.swap_ms_median = round(statistics.median(times), 2)
    figures.swap_ms_p99 = round(times[len(times) * 99 // 100], 2)
    figures.swap_ms_worst = round(times[-1], 2)
    figures.seconds, figures.messages_a_second = round(figures.seconds, 1), round(figures.messages_a_second)
    return figures


def _until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        if time.monotonic() > deadline:
            raise Failure(f"{what} did not come in 10 s")
        time.sleep(0.001)


def _expect(holds: bool, what: str) -> None:
    if not holds:
        raise Failure(what)


def _handled_once(engine: Engine, exchange: Exchange, figures: Figures) -> None:
    """Every message of the feed, by number."""
    counters, feed, replay = engine.counters(), engine.feed, exchange.replay
    figures.messages, figures.packets = int(replay.messages), int(replay.packets)
    _expect(feed.expected_seq == int(replay.sequence), f"next is {feed.expected_seq}, sent was up to {replay.sequence}")
    _expect(counters["feed_messages"] == figures.messages, f"{counters['feed_messages']} of {figures.messages} handled")
    _expect(counters["feed_packets"] == figures.packets, f"{counters['feed_packets']} of {figures.packets} packets")
    for name in ("feed_duplicates", "feed_holds", "feed_gaps", "feed_kept", "contended", "book_quarantines"):
        _expect(counters[name] == 0, f"{counters[name]} {name}")
    figures.refused = {name: count for name, count in engine.refusals().items() if count}


def _attributed(engine: Engine, orders: list[Event], figures: Figures) -> None:
    """Every order, to the generation that made it: its quantity says which variant that was."""
    table, seen = engine.user.generations, set()
    figures.orders = len(orders)
    _expect(figures.orders > 0, "no order left")
    for order in orders:
        generation = table.of_epoch(order.epoch)
        of = [generation.number]
        if order.epoch < generation.settled_epoch:
            of.append(generation.number - 1)
            figures.orders_of_a_change += 1
        variants = [(number - 1) % VARIANTS + 1 for number in of]
        what = f"order {order.user_ref} of epoch {order.epoch}, {order.qty} shares, {order.strategy}"
        _expect(order.strategy == "user", f"{what}: not the user's")
        _expect(order.qty in variants, f"{what}: generation {generation} has variant {variants[0]}")
        seen.add(generation.number)
    figures.orders_by_generation = len(seen)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="swap-test", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--swaps", type=int, default=1000, metavar="N", help="(1000)")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    args = parser.parse_args()
    try:
        figures = swap_test(args.swaps, lambda text: print(f"swap-test: {text}", file=sys.stderr, flush=True))
    except Failure as failure:
        print(f"swap-test: {failure}", file=sys.stderr)
        return 1
    values: dict[str, Any] = asdict(figures)
    print(json.dumps(values) if args.json else "\n".join(f"{name:<22} {value}" for name, value in values.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
