"""From a tick to the order on a TCP connection: the hook's delegated send beside a bot in user space that spins.

Both have the same connection to the same peer, see the same ticks, do the same work (the bot runs the hook's own code,
compiled for the host) and get the same answers. The time is the exchange's: from before it sends the tick to behind the
read() of its own socket that had the whole order. The exchange spins on CPU 0; the bot, or the thread that merges, on
CPU 1. On veth the hook runs inside the exchange's send(), so no CPU is crossed on the way to it: read the ratios as
those of this rig.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from statistics import median, quantiles
from typing import Any

from turbo_hft import netns
from turbo_hft._native import ffi, lib
from turbo_hft.addresses import OrderSession
from turbo_hft.delegated import Connection, connect
from turbo_hft.engine import Engine
from turbo_hft.lab import Lab, LabAddresses
from turbo_hft.latency.script import FIRST_TIME_NS, add_order, delete_order, feed_frame, listing
from turbo_hft.latency.threshold import Threshold
from turbo_hft.latency.work import Work, configure, session_of
from turbo_hft.wire import moldudp64, ouch50, soupbintcp, ufo
from turbo_hft.wire.itch50 import SystemEvent

SESSION = "RACE000001"
EXCHANGE_CPU, TRADER_CPU = 0, 1
ORDER_BYTES = 50
CONTESTANTS = ("delegated", "bot")
NAMES = {"delegated": "delegated send (XDP)", "bot": "C bot, busy recv() and send()"}
_STOCK = b"AAPL    "
_PRICES = 64
_TIMEOUT_NS = 50_000_000
_PAUSE_NS = 40_000
_WARM_UP = 500


@dataclass(frozen=True, slots=True)
class Times:
    """ns of one repetition; `missed`: ticks without an order in 50 ms."""

    min: float
    p50: float
    p90: float
    p99: float
    missed: int


class Feed:
    """The frames of the day, made beforehand."""

    def __init__(self, at: LabAddresses) -> None:
        self._at = at
        self._sequence = 1
        self._ref = 1000
        self.threshold = Threshold()

    def _frame(self, messages: list[bytes]) -> bytes:
        packet = moldudp64.Packet(SESSION, self._sequence, tuple(messages)).encode()
        self._sequence += len(messages)
        return feed_frame(self._at, packet)

    def opening(self) -> bytes:
        """The market opens; a symbol, and a bid for the collar to be around."""
        messages = [SystemEvent(stock_locate=0, tracking_number=0, timestamp=FIRST_TIME_NS, event_code="Q").encode()]
        messages += listing(1, self.threshold.symbol)
        bid = self.threshold.buy_below_e4 - 100 * self.threshold.tick_e4
        return self._frame([*messages, add_order(1, FIRST_TIME_NS, 1, "B", 500, _STOCK, bid)])

    def tick(self) -> bytes:
        """The offer before goes, another comes, and is one to take."""
        self._ref += 1
        price = self.threshold.buy_below_e4 - self.threshold.tick_e4 * (self._ref % _PRICES)
        messages = [add_order(1, FIRST_TIME_NS + self._ref, self._ref, "S", 500, _STOCK, price)]
        if self._ref > 1001:
            messages.insert(0, delete_order(1, FIRST_TIME_NS + self._ref, self._ref - 1))
        return self._frame(messages)

    def end(self) -> bytes:
        """The session is over."""
        return feed_frame(self._at, moldudp64.EndOfSession(SESSION, self._sequence).encode())


def session(at: LabAddresses, remote: tuple[str, int]) -> OrderSession:
    """Over TCP, to the listener of this race."""
    return replace(session_of(at), transport="soupbintcp", local=(at.host_address, 0), remote=remote)


@contextmanager
def _delegated(at: LabAddresses, remote: tuple[str, int]) -> Iterator[None]:
    with Engine.open(at.device, transport="soupbintcp") as engine:
        own = session(at, remote)
        configure(engine, at, Work((Threshold(),)), own)
        engine.attach()
        with connect(own) as sock, Connection(engine, own, sock, merge_cpu=TRADER_CPU) as connection:
            engine.hear(ufo.LoginAccepted(SESSION, 1).encode())
            connection.sync(0, 1)
            connection.arm()
            engine.lease.forever()
            engine.resume()
            stop = threading.Event()
            reader = threading.Thread(target=_read, args=(engine, connection, stop))
            reader.start()
            try:
                yield
            finally:
                stop.set()
                reader.join()
                engine.halt()


def _read(engine: Engine, connection: Connection, stop: threading.Event) -> None:
    """User space behind the hook, which has taken most replies by the time they are read."""
    decoder, number = soupbintcp.Decoder(), 1
    while not stop.wait(0.002):
        while data := connection.recv():
            decoder.feed(data)
            for packet in decoder:
                if not isinstance(packet, soupbintcp.SequencedData):
                    continue
                if number >= engine.session.expected_seq:
                    engine.hear(ufo.Sequenced(number, (packet.message,)).encode())
                number += 1
        connection.sync(decoder.pending, number)


@contextmanager
def _bot(at: LabAddresses, remote: tuple[str, int]) -> Iterator[None]:
    command = [sys.executable, "-m", "bench.tcp.bot", json.dumps(asdict(at)), str(remote[1]), str(TRADER_CPU)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise SystemExit("bench: the bot did not begin")
        yield
    finally:
        process.terminate()
        process.communicate()


def _race(at: LabAddresses, who: str, rounds: int) -> Times:
    """One repetition, on a connection of its own."""
    contestant = {"delegated": _delegated, "bot": _bot}[who]
    listener = netns.run_in(at.namespace, lambda: socket.create_server((at.exchange_address, 0)))
    feed = netns.run_in(at.namespace, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
    with listener, feed:
        netns.run_in(at.namespace, lambda: feed.bind((at.peer, 0)))
        with contestant(at, listener.getsockname()):
            peer = listener.accept()[0]
            with peer:
                peer.setblocking(False)
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return _times(_run(at, feed, peer, rounds + _WARM_UP))


def _run(at: LabAddresses, feed: socket.socket, peer: socket.socket, rounds: int) -> list[int]:
    day = Feed(at)
    feed.send(day.opening())
    frames, ends, replies = bytearray(), [], bytearray()
    for number in range(1, rounds + 1):
        frames += day.tick()
        ends.append(len(frames))
        answer = ouch50.Rejected(timestamp=0, user_ref_num=number, reason=1, cl_ord_id="TURBO-HFT").encode()
        replies += soupbintcp.SequencedData(answer).encode()
    taken = ffi.new("uint64_t[]", rounds)
    kept = (ffi.from_buffer(frames), ffi.new("uint32_t[]", ends), ffi.from_buffer(replies))
    race = ffi.new("struct hft_race *")
    race.feed, race.orders, race.rounds, race.order_len = feed.fileno(), peer.fileno(), rounds, ORDER_BYTES
    race.frames, race.frame_ends, race.replies = kept
    race.reply_len = len(replies) // rounds
    race.timeout_ns, race.pause_ns, race.taken_ns = _TIMEOUT_NS, _PAUSE_NS, taken
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {EXCHANGE_CPU})
    try:
        error = lib.hft_race_run(race)
    finally:
        os.sched_setaffinity(0, before)
    if error:
        raise SystemExit(f"bench: the race stopped: {os.strerror(-error)}")
    feed.send(day.end())
    return list(taken[_WARM_UP:rounds])


def _times(taken: Sequence[int]) -> Times:
    came = sorted(time_ns for time_ns in taken if time_ns)
    if len(came) < 100:
        raise SystemExit(f"bench: {len(came)} of {len(taken)} ticks brought an order: something is wrong here")
    cuts = quantiles(came, n=100)
    return Times(came[0], median(came), cuts[89], cuts[98], len(taken) - len(came))


def measure(rounds: int, repetitions: int) -> dict[str, list[Times]]:
    """Of each contestant its repetitions, in turns."""
    found: dict[str, list[Times]] = {who: [] for who in CONTESTANTS}
    with Lab("hft_race", "hft_race_a", "hft_race_b", "10.80.1.0/24") as lab:
        for _ in range(repetitions):
            for who in CONTESTANTS:
                found[who].append(_race(lab.addresses, who, rounds))
    return found


def table(found: dict[str, list[Times]]) -> str:
    """Medians over the repetitions, µs, and how many times the bot's is the hook's."""
    columns = ("min", "p50", "p90", "p99")
    lines = [f"{'tick to order at the peer, µs':<32}" + "".join(f"{name:>8}" for name in columns) + f"{'missed':>8}"]
    middles: dict[str, list[float]] = {}
    for who, times in found.items():
        middles[who] = [median(getattr(one, name) for one in times) / 1000 for name in columns]
        missed = sum(one.missed for one in times)
        lines.append(f"{NAMES[who]:<32}" + "".join(f"{value:>8.2f}" for value in middles[who]) + f"{missed:>8}")
    ratios = (bot / hook for hook, bot in zip(middles["delegated"], middles["bot"], strict=True))
    lines.append(f"{'ratio':<32}" + "".join(f"{ratio:>8.2f}" for ratio in ratios))
    return "\n".join(lines)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="bench.tcp", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=10_000, help="ticks of a repetition (10,000)")
    parser.add_argument("--repetitions", type=int, default=5, help="of each, in turns (5)")
    parser.add_argument("--json", action="store_true", help="every repetition, on stdout")
    args = parser.parse_args()
    if (os.cpu_count() or 1) < 2:
        print("bench: this needs two CPUs, one for the exchange and one for who trades.", file=sys.stderr)
        return 1
    found = measure(args.rounds, args.repetitions)
    shown: Any = {who: [asdict(one) for one in times] for who, times in found.items()}
    print(json.dumps(shown, indent=2) if args.json else table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
