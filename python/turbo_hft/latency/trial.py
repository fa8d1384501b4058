"""One responder under one load on one rig, and several of them in turns.

The order of things: the wire is taken, the responder starts and logs in, the script runs, every order is held byte for
byte against the decision, and only then do its times count.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from turbo_hft._native import ffi, lib
from turbo_hft.engine import Engine
from turbo_hft.errors import ExchangeError, LabError, TurboHftError
from turbo_hft.lab import LabAddresses
from turbo_hft.latency import placement
from turbo_hft.latency.contestants import Contestant
from turbo_hft.latency.exchange import Exchange
from turbo_hft.latency.histogram import encode, histogram_of
from turbo_hft.latency.loads import prepare
from turbo_hft.latency.peers import Running
from turbo_hft.latency.results import Load, Measure, Repetition, Rig, Series, Skipped
from turbo_hft.latency.rigs import RIGS, Wire, raised
from turbo_hft.latency.script import FIRST_TIME_NS, Script, check_orders, end_of_session, reply_template
from turbo_hft.latency.work import Work

_TIMEOUT_NS = 200_000_000
_PATIENCE = 40
_SLACK_NS = 20_000_000_000
_SETTLE_S = 0.02


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of a script found. One entry a trigger, those of the warm-up too: times of CLOCK_MONOTONIC, ns.

    `due_ns`: when the trigger's packet was due (open loop, burst) or was sent (closed). `seen_ns`: when the exchange
    saw its order, 0 = missed. `left_ns`, `came_ns`: stamps of the packet's leaving and the order's coming at the
    exchange's device, 0 where nothing stamps. `lost`: packets of the feed that the responder never handled.
    """

    due_ns: tuple[int, ...]
    seen_ns: tuple[int, ...]
    left_ns: tuple[int, ...]
    came_ns: tuple[int, ...]
    orders: tuple[bytes, ...]
    packets: int
    lost: int | None
    late: int
    bad: int
    behind_ns: int
    note: str = ""

    def rtt_ns(self, first: int = 0) -> list[int]:
        """Of every answered trigger from `first` on: from the time it was due (or sent) until its order was seen."""
        return [seen - due for due, seen in list(zip(self.due_ns, self.seen_ns, strict=True))[first:] if seen]

    def wire_ns(self, first: int = 0) -> list[int]:
        """The same from the packet's leaving to the order's coming; empty where nothing stamps."""
        stamps = list(zip(self.left_ns, self.came_ns, self.seen_ns, strict=True))[first:]
        return [came - left for left, came, seen in stamps if seen and left and came]


def run(wire: Wire, contestant: Contestant, work: Work, script: Script) -> Run:
    """One run of one responder, its orders checked byte by byte.

    Raises ExchangeError when an order is not what the decision demands, when none comes, or when the responder fails.
    """
    outcome: object = None
    handled: int | None = None
    with wire.open(echo=contestant.echoes) as handle, ExitStack() as stack:
        exchange = Exchange(handle, wire.addresses)
        if contestant.echoes:
            outcome = stack.enter_context(contestant.answer(wire.addresses, work))
            lib.hft_wire_take(handle, 1)
        else:
            with exchange.login_thread():
                outcome = stack.enter_context(contestant.answer(wire.addresses, work))
        wire.settle()
        before = _feed_packets(outcome)
        arrays = Arrays(script)
        native = arrays.native(handle, wire.addresses, exchange.reply_seq, echo=contestant.echoes)
        with placement.on_cpu(placement.PROBE_CPU):
            failed = lib.hft_script_run(native)
        if failed not in (0, -errno.ETIMEDOUT, -errno.ETIME):
            raise ExchangeError(f"the measuring loop stopped: {os.strerror(-failed)}; is the rig still up?")
        if before is not None:
            time.sleep(_SETTLE_S)
            after = _feed_packets(outcome)
            handled = None if after is None else after - before
        if not contestant.echoes:
            exchange.end(end_of_session(wire.addresses, script))
        if failed:
            raise ExchangeError(_gave_up(contestant, failed, native))
    note = ""
    if isinstance(outcome, Running):
        # The packet that ends the session is one of those that were handled.
        handled = outcome.packets - 1 if outcome.packets else None
        note = outcome.note
    found = arrays.run(native, script, handled, note)
    if not contestant.echoes:
        check_orders(script, found.orders)
    return found


def _gave_up(contestant: Contestant, failed: int, native: Any) -> str:
    if failed == -errno.ETIME:
        return (
            f"{contestant.name} kept the exchange too long: after {native.steps_done} packets its time was over; "
            "measure it at a lower rate"
        )
    return (
        f"{_PATIENCE} ticks in a row brought no order of {contestant.name}: is its feed live, its gate open? "
        f"{native.bad} frames had a wrong length or checksum, {native.late} orders were late"
    )


def _feed_packets(outcome: object) -> int | None:
    """How many packets of the feed an engine has handled; None for others, who tell at their end."""
    return outcome.counters()["feed_packets"] if isinstance(outcome, Engine) else None


class Arrays:
    """What native/rig/script.c writes, touched before so that no page is missing when it counts."""

    def __init__(self, script: Script) -> None:
        triggers, steps = len(script.triggers), len(script.steps)
        self.script = script
        self.sent = ffi.new("uint64_t[]", steps)
        self.seen, self.came, self.left = (ffi.new("uint64_t[]", triggers) for _ in range(3))
        self.orders = ffi.new("uint8_t[]", triggers * lib.HFT_SCRIPT_ORDER_BYTES)
        self.lengths = ffi.new("uint16_t[]", triggers)
        self.keep: list[Any] = []

    def native(self, handle: Any, addresses: LabAddresses, reply_seq: int, *, echo: bool) -> Any:
        """``struct hft_script``, filled."""
        script, made = self.script, ffi.new("struct hft_script *")
        reply = ffi.from_buffer(reply_template(addresses))
        frames, keys = ffi.from_buffer(script.frames), ffi.from_buffer(script.keys)
        self.keep += [reply, frames, keys]
        made.wire, made.steps, made.step_count = handle, script.steps, len(script.steps)
        made.frames, made.keys, made.reply = (ffi.cast("uint8_t *", part) for part in (frames, keys, reply))
        made.reply_length, made.reply_seq = len(reply), reply_seq
        made.trigger_count, made.echo, made.warmup = len(script.triggers), echo, script.warmup
        made.patience = _PATIENCE
        made.timeout_ns, made.most_ns, made.exchange_ns = _TIMEOUT_NS, script.length_ns + _SLACK_NS, FIRST_TIME_NS
        made.sent_ns, made.seen_ns, made.came_ns, made.left_ns = self.sent, self.seen, self.came, self.left
        made.orders, made.order_length = self.orders, self.lengths
        return made

    def run(self, native: Any, script: Script, handled: int | None, note: str) -> Run:
        """What it found."""
        size = lib.HFT_SCRIPT_ORDER_BYTES
        raw = bytes(ffi.buffer(self.orders))
        due, behind = [], 0
        for place, step in enumerate(script.steps):
            planned = native.start_ns + step.due_ns
            if not script.closed and place >= script.opening:
                behind = max(behind, self.sent[place] - planned)
            if step.trigger != lib.HFT_SCRIPT_NO_TRIGGER:
                due.append(self.sent[place] if script.closed else planned)
        return Run(
            due_ns=tuple(due),
            seen_ns=tuple(self.seen),
            left_ns=tuple(self.left),
            came_ns=tuple(self.came),
            orders=tuple(raw[at * size : at * size + min(length, size)] for at, length in enumerate(self.lengths)),
            packets=script.packets,
            lost=None if handled is None else max(0, script.packets - handled),
            late=native.late,
            bad=native.bad,
            behind_ns=behind,
            note=note,
        )


def repetition(found: Run, script: Script, latencies_ns: Sequence[int]) -> Repetition:
    """A run as a report keeps it, the warm-up left out."""
    answered = sum(bool(seen) for seen in found.seen_ns[script.warmup :])
    triggers = len(script.triggers) - script.warmup
    return Repetition(
        histogram=encode(histogram_of(latencies_ns)),
        packets=found.packets,
        lost=found.lost or 0,
        triggers=triggers,
        orders=answered,
        missed=triggers - answered,
        behind_ns=found.behind_ns,
    )


@dataclass(frozen=True, slots=True)
class Found:
    """What a trial found. `compared`: order datagrams that were held against the decision, byte for byte. `skipped`:
    who could not run, or failed, and why; also what must be said beside the figures of one who ran."""

    rig: Rig
    series: tuple[Series, ...]
    skipped: tuple[Skipped, ...]
    compared: int


def trial(
    rig: str,
    load: Load,
    responders: Sequence[Contestant],
    *,
    repetitions: int,
    triggers: int,
    between: Callable[[Contestant, int], None] = lambda _one, _repetition: None,
) -> Found:
    """`repetitions` of each, in turns; ``between`` is called before each run, when nothing of ours is attached.

    Whoever fails is out, with the reason; the others go on. Raises LabError when the wire cannot be made, and whatever
    ``between`` raises; the wire is gone then.
    """
    failed: dict[str, str] = {}
    notes: dict[str, str] = {}
    kept: dict[tuple[Measure, str], list[Repetition]] = {}
    compared = 0
    for one in responders:
        if (reason := one.why_not()) is not None:
            failed[one.name] = reason
    with raised(rig) as wire:
        work, script = prepare(load, wire.addresses, triggers)
        for number in range(repetitions):
            # Forwards and backwards: nobody always comes after the same one.
            for one in responders if number % 2 == 0 else tuple(reversed(responders)):
                if one.name in failed:
                    continue
                between(one, number)
                try:
                    found = run(wire, one, work, script)
                except LabError:
                    raise
                except TurboHftError as error:
                    failed[one.name] = str(error)
                    continue
                if found.note:
                    notes[one.name] = found.note
                compared += 0 if one.echoes else sum(map(bool, found.orders))
                measured: tuple[tuple[Measure, list[int]], ...] = (
                    ("rtt", found.rtt_ns(script.warmup)),
                    ("wire", found.wire_ns(script.warmup)),
                )
                for measure, latencies in measured:
                    if latencies or measure == "rtt":
                        kept.setdefault((measure, one.name), []).append(repetition(found, script, latencies))
        described = wire.rig
    where = f"on {rig}, {load.title}"
    return Found(
        described,
        tuple(
            Series(rig, name, load, measure, tuple(ones))
            for (measure, name), ones in kept.items()
            if name not in failed
        ),
        tuple(Skipped(f"{name} {where}", reason) for name, reason in {**failed, **notes}.items()),
        compared,
    )


def why_not(rig: str, load: Load) -> str | None:
    """Why this load cannot be measured on that rig here; None = it can."""
    if rig not in RIGS:
        return f"there is no rig of that name: take one of {', '.join(RIGS)}"
    if rig == "tap" and not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        return "there is no /dev/net/tun for this process: the kernel needs CONFIG_TUN, and this process root"
    if rig == "veth-cross" and not placement.available(placement.BOT_CPU):
        return "one CPU is nothing to cross to"
    return None
