"""How long the program runs for a packet, as a distribution: a tick that becomes an order frame, and packets of a
market that lead to nothing, beside a program of two instructions.

Everything is on: book, gate, event, both checksums. Between two ticks that trigger, the exchange accepts and cancels
the order and the tick's order is deleted, so each finds the state of the first. `hook_ns` is what the engine says of
itself in the order's event: from where it knows that the frame is ours to where the order frame stands. What it cannot
see is before (Ethernet to flow table) and behind (its event, the way out, one clock read of the statistics).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from turbo_hft._native import lib
from turbo_hft.latency.histogram import encode, histogram_of
from turbo_hft.latency.inside.hook_rig import Frames, HookRig, InsideError, Round, constant, statistics
from turbo_hft.latency.inside.markets import Market
from turbo_hft.latency.inside.sampling import WARM_UP, Effort, figure, in_turns, median, percentiles, pinned
from turbo_hft.latency.results import Figure, Load, Repetition, Rig, Series

SECTION = "hook"
PER_PACKET = (1, 5, 20, 38)  # 38 Add Orders fill an Ethernet frame
_DROP, _TX = 1, 3
_ORDER_EVENTS = 3  # of a round: the order, Accepted, Canceled
_BLOCK = 4096
_SYMBOLS, _LIVE = 8, 2_000

#: What the series of this section are on.
RIG = Rig(
    name="hook",
    title="the program alone",
    is_="the program's own run time, packet by packet, by the kernel's run-time statistics (BPF_PROG_TEST_RUN)",
    is_not="a wire: no driver, no network card, no exchange; caches are as a system call before leaves them",
    placement="one CPU runs the frames and reads the statistics",
    offloads="none take part",
)
ENGINE, FLOOR = "engine in the hook", "two instructions in the hook"
_LOAD = Load("closed", 0, 1, "a tick that triggers; the next when its order is answered")


def measure(effort: Effort, progress: Callable[[str], None]) -> tuple[list[Figure], list[Series]]:
    """Raises CapabilityError, InsideError."""
    with statistics(), pinned():
        progress("hook time: tick to order frame")
        figures, series = _trigger(effort)
        progress("hook time: packets of a market")
        figures += _market(effort)
    return figures, series


def _trigger(effort: Effort) -> tuple[list[Figure], list[Series]]:
    samples: dict[str, list[list[int]]] = {ENGINE: [], FLOOR: []}
    own: list[float] = []
    outside: list[float] = []
    with constant(_DROP) as floor, HookRig() as rig:
        one, empty = rig.round("trigger"), rig.round("spoiled")

        def engine() -> None:
            rig.rounds(one, WARM_UP)
            rig.drain()
            hook, said = _timed(rig, one, effort.rounds)
            samples[ENGINE].append(hook)
            own.append(median(said))
            outside.append(median([all_ns - part for all_ns, part in zip(hook, said, strict=True)]))

        def nothing() -> None:
            frames = Frames(floor)
            frames.rounds(empty, WARM_UP)
            samples[FLOOR].append(frames.rounds(empty, effort.rounds).hook_ns())

        in_turns(effort.repetitions, (engine, nothing), lambda contestant: contestant())
    figures = []
    for who, packet in ((ENGINE, "tick to order frame"), (FLOOR, "two instructions")):
        told = [percentiles(repetition) for repetition in samples[who]]
        figures += [
            figure(SECTION, "program", "ns", [one[name] for one in told], packet=packet, percentile=name)
            for name in told[0]
        ]
    figures.append(figure(SECTION, "hook_ns of the event", "ns", own, packet="tick to order frame", percentile="p50"))
    figures.append(
        figure(SECTION, "program less hook_ns", "ns", outside, packet="tick to order frame", percentile="p50")
    )
    series = [
        Series(RIG.name, who, _LOAD, "hook", tuple(_repetition(one, orders=who == ENGINE) for one in samples[who]))
        for who in (ENGINE, FLOOR)
    ]
    return figures, series


def _timed(rig: HookRig, one: Round, rounds: int) -> tuple[list[int], list[int]]:
    """The program's time and the event's hook_ns of the same ticks, in blocks that the event ring holds."""
    hook: list[int] = []
    said: list[int] = []
    stream = rig.engine.events
    while rounds > 0:
        block = min(rounds, _BLOCK // _ORDER_EVENTS)
        rounds -= block
        runs = rig.rounds(one, block)
        if set(runs.verdicts()) != {_TX}:
            raise InsideError(f"not every tick became an order frame: {rig.engine.refusals()}")
        hook += runs.hook_ns()
        count = lib.hft_ring_drain(stream._ring, stream._records, _BLOCK)
        said += [stream._records[i].hook_ns for i in range(count) if stream._records[i].kind == lib.HFT_EVENT_ORDER]
    if len(said) != len(hook):
        raise InsideError(f"{len(hook)} orders left, and {len(said)} events tell of them")
    return hook, said


def _repetition(values: list[int], *, orders: bool) -> Repetition:
    many = len(values)
    return Repetition(
        histogram=encode(histogram_of(values)),
        packets=many,
        lost=0,
        triggers=many,
        orders=many if orders else 0,
        missed=0 if orders else many,
        behind_ns=0,
    )


def _market(effort: Effort) -> list[Figure]:
    """Nothing triggers: packets of so many messages, of symbols that are kept, and of such that are asked as well."""
    with ExitStack() as stack:
        markets = {
            "tracked": stack.enter_context(Market(_SYMBOLS, _LIVE)),
            "armed": stack.enter_context(Market(_SYMBOLS, _LIVE, armed=_SYMBOLS)),
        }
        contestants = [(name, per_packet) for name in markets for per_packet in PER_PACKET]
        samples: dict[tuple[str, int], list[dict[str, float]]] = {key: [] for key in contestants}

        def one(key: tuple[str, int]) -> None:
            name, per_packet = key
            each = markets[name].timed((WARM_UP + effort.rounds // 2) * per_packet, per_packet)[WARM_UP:]
            samples[key].append({"p50": median(each), "mean": sum(each) / len(each)})

        in_turns(effort.repetitions, contestants, one)
    return [
        figure(
            SECTION,
            "message",
            "ns/message",
            [one[which] for one in samples[key]],
            packet="no trigger",
            symbols=key[0],
            messages_a_packet=key[1],
            percentile=which,
        )
        for key in contestants
        for which in ("p50", "mean")
    ]
