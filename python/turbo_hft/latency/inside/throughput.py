"""How many packets and messages one core does in a second, counted in three ways that are never mixed.

live frames: the kernel makes the driver's frames itself and runs the program on them, all in one system call
(BPF_F_TEST_XDP_LIVE_FRAMES), by the thread's time on its CPU; what making and freeing them costs is in the figure. Only
for frames that mean the same however often they come, and end in XDP_DROP. one call: the program alone runs on one
frame again and again within one system call; only for frames that change nothing. In both, the one frame and all that
the program looks at lie in the first cache: nothing is faster. run time: a feed that advances, one system call a
packet, and the kernel's run-time statistics of the program alone; its clock reads are in the figure. with system calls:
the same by the wall's clock, that is, what this rig reaches and no wire costs: the lower bound.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack

from turbo_hft._native import ffi, lib
from turbo_hft.latency.inside.hook_rig import (
    KEPT,
    LARGE,
    SESSION,
    TICK_E4,
    HookRig,
    InsideError,
    add,
    checked,
    constant,
    runtime_ns,
    statistics,
)
from turbo_hft.latency.inside.markets import Market
from turbo_hft.latency.inside.sampling import WARM_UP, Effort, figure, in_turns, pinned
from turbo_hft.latency.results import Figure, Series
from turbo_hft.wire import moldudp64

SECTION = "throughput"
LIVE, REPEATED, RUN_TIME, WALL = "live frames", "one call", "run time", "with system calls"
_DROP, _PASS = 1, 2
_SYMBOLS, _LIVE_ORDERS = 100, 10_000
_BLOCK = 1_000

#: (what, how it is counted) -> (packets a second, messages a second; 0 = there are none).
Rates = dict[tuple[str, str], list[tuple[float, float]]]


def measure(effort: Effort, progress: Callable[[str], None]) -> tuple[list[Figure], list[Series]]:
    """Raises CapabilityError, InsideError."""
    rates: Rates = {}
    with ExitStack() as stack:
        stack.enter_context(pinned())
        drop = stack.enter_context(constant(_DROP))
        rig = stack.enter_context(HookRig())
        contestants = _repeated(rig, drop, effort.frames, rates)
        contestants += _advancing(stack, rig, effort, rates)
        progress("throughput: one core")
        in_turns(effort.repetitions, contestants, lambda contestant: contestant())
    figures = []
    for (what, counted), found in rates.items():
        figures.append(
            figure(SECTION, "packets", "1/s", [one[0] for one in found], higher=True, what=what, counted=counted)
        )
        if found[0][1]:
            figures.append(
                figure(SECTION, "messages", "1/s", [one[1] for one in found], higher=True, what=what, counted=counted)
            )
    return figures, []


def _repeated(rig: HookRig, drop: int, frames: int, rates: Rates) -> list[Callable[[], None]]:
    """Contestants whose frame may be repeated."""
    heartbeat = rig.frame("feed", moldudp64.Heartbeat(SESSION, rig.native.feed_seq).encode())
    many = tuple(add(rig, KEPT, rig.native.order_ref + n, TICK_E4 + 10_000) for n in range(LARGE))
    first = int(rig.native.feed_seq)
    rig.native.order_ref += LARGE
    rig.market(*many)
    again = rig.frame("feed", moldudp64.Packet(SESSION, first, many).encode())
    other = rig.frame("other", moldudp64.Packet(SESSION, first, many[:1]).encode())
    engine = rig.engine.program.fd

    def contestant(
        what: str, program: int, frame: bytes, live: bool, counter: str, messages: int
    ) -> Callable[[], None]:
        key = (what, LIVE if live else REPEATED)
        rates[key] = []
        ns = ffi.new("uint64_t *")

        def run() -> None:
            before = rig.engine.counters()[counter] if counter else 0
            checked(lib.hft_inside_repeat(program, frame, len(frame), WARM_UP, live, ns), f"cannot repeat: {what}")
            checked(lib.hft_inside_repeat(program, frame, len(frame), frames, live, ns), f"cannot repeat: {what}")
            did = rig.engine.counters()[counter] - before if counter else frames + WARM_UP
            if did < (frames + WARM_UP) * max(1, messages):
                raise InsideError(f"{what}: {did} counted of {frames + WARM_UP} frames with {messages} messages")
            second = frames * 1e9 / ns[0]
            rates[key].append((second, second * messages))

        return run

    return [
        contestant("XDP_DROP, two instructions", drop, heartbeat, True, "", 0),
        contestant("packet without messages", engine, heartbeat, True, "feed_heartbeats", 0),
        contestant(f"packet of {LARGE} that came before", engine, again, True, "feed_duplicates", LARGE),
        contestant("XDP_DROP, two instructions", drop, heartbeat, False, "", 0),
        contestant("frame of others", engine, other, False, "not_ours", 0),
    ]


def _advancing(stack: ExitStack, rig: HookRig, effort: Effort, rates: Rates) -> list[Callable[[], None]]:
    """Contestants whose feed goes on."""
    markets = {
        f"{LARGE} messages of symbols nobody asked for": Market(_SYMBOLS, _LIVE_ORDERS, asked=0),
        f"{LARGE} messages into books": Market(_SYMBOLS, _LIVE_ORDERS),
    }
    contestants = []
    for what, market in markets.items():
        stack.enter_context(market)
        contestants.append(_market(what, market, effort.messages, rates))
    what = "trade: tick, order, replies, delete"
    rates[what, RUN_TIME], rates[what, WALL] = [], []
    trigger = rig.round("trigger")

    def trade() -> None:
        rig.rounds(trigger, WARM_UP, timed=False)
        hook = wall = done = 0
        while done < effort.rounds:
            rig.drain()
            block = min(_BLOCK, effort.rounds - done)
            sent = rig.engine.session.orders_sent
            with statistics():
                hook -= runtime_ns(rig.native.program_fd)[0]
                rig.rounds(trigger, block, timed=False)
                hook += runtime_ns(rig.native.program_fd)[0]
            began = time.monotonic_ns()
            rig.rounds(trigger, block, timed=False)
            wall += time.monotonic_ns() - began
            if rig.engine.session.orders_sent - sent != 2 * block:
                raise InsideError(f"not every tick became an order: {rig.engine.refusals()}")
            done += block
        for how, ns in ((RUN_TIME, hook), (WALL, wall)):
            # A tick, its order's replies and its delete: three packets, two messages of the feed and two replies.
            rates[what, how].append((3 * done * 1e9 / ns, 4 * done * 1e9 / ns))

    return [*contestants, trade]


def _market(what: str, market: Market, messages: int, rates: Rates) -> Callable[[], None]:
    rates[what, RUN_TIME], rates[what, WALL] = [], []

    def run() -> None:
        with statistics():
            market.total(WARM_UP * LARGE)
            total = market.total(messages)
        rates[what, RUN_TIME].append((total.packets * 1e9 / total.hook_ns, total.messages * 1e9 / total.hook_ns))
        total = market.total(messages)
        rates[what, WALL].append((total.packets * 1e9 / total.wall_ns, total.messages * 1e9 / total.wall_ns))

    return run
