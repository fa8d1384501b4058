"""The rigs that there are, and a trial on one of them: the seam between the report and what measures.

`RIGS` says what each wire is. `trial` runs responders in turns under one load and gives a `Series` for each; whoever
fails is left out and named, the others go on.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from turbo_hft.errors import LabError, TurboHftError
from turbo_hft.lab import Lab, LabAddresses
from turbo_hft.latency import placement
from turbo_hft.latency.contestants import Contestant
from turbo_hft.latency.histogram import encode, histogram_of
from turbo_hft.latency.probe import Probe, check_orders, ticks
from turbo_hft.latency.results import Load, Repetition, Rig, Series, Skipped
from turbo_hft.latency.work import Work

_WARM_UP = 200
_VETH = Rig(
    name="veth",
    title="veth, inline",
    is_="a veth pair into a network namespace; the exchange sends through a packet socket and takes orders in its hook",
    is_not="a wire between two CPUs: the receiver's half of the driver runs inside the sender's send(), so the engine "
    "has answered before send() returns, while a responder in user space is woken on its own CPU",
    placement=placement.describe(),
    offloads="transmit checksums off at both ends",
)
RIGS: dict[str, Rig] = {_VETH.name: _VETH}


@dataclass(frozen=True, slots=True)
class Found:
    """`compared`: order datagrams that were held against the decision, byte for byte."""

    series: tuple[Series, ...]
    skipped: tuple[Skipped, ...]
    compared: int


def why_not(rig: str, load: Load) -> str | None:
    """Why this load cannot be measured on that rig here; None = it can."""
    if rig not in RIGS:
        return f"this version has no rig of that name, only {', '.join(RIGS)}"
    if load.kind != "closed":
        return f"{RIGS[rig].title} answers a closed loop only in this version"
    return None


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

    Raises LabError when the wire cannot be made, and whatever ``between`` raises; the wire is gone then.
    """
    failed: dict[str, str] = {}
    runs: dict[str, list[Repetition]] = {one.name: [] for one in responders}
    compared = 0
    for one in responders:
        if (reason := one.why_not()) is not None:
            failed[one.name] = reason
    with _wire(rig) as addresses:
        for repetition in range(repetitions):
            for one in responders if repetition % 2 == 0 else tuple(reversed(responders)):
                if one.name in failed:
                    continue
                between(one, repetition)
                try:
                    found, same = _run(addresses, one, triggers)
                except TurboHftError as error:
                    if isinstance(error, LabError):
                        raise
                    failed[one.name] = str(error)
                    continue
                runs[one.name].append(found)
                compared += same
    return Found(
        tuple(
            Series(rig, name, load, "rtt", tuple(found)) for name, found in runs.items() if found and name not in failed
        ),
        tuple(Skipped(f"{name} on {rig}, {load.title}", reason) for name, reason in failed.items()),
        compared,
    )


@contextmanager
def _wire(rig: str) -> Iterator[LabAddresses]:
    lab = Lab(namespace=f"hft_lat_{os.getpid()}", device="veth_hft_lat", peer="veth_exch_lat", subnet="10.78.0.0/24")
    try:
        with lab:
            yield lab.addresses
    finally:
        if threading.current_thread() is threading.main_thread():
            # Once more, undisturbed: an interrupt may have struck while the lab was being made or taken down.
            before = signal.signal(signal.SIGINT, signal.SIG_IGN)
            lab.down()
            signal.signal(signal.SIGINT, before)


def _run(addresses: LabAddresses, one: Contestant, triggers: int) -> tuple[Repetition, int]:
    """One run of one responder: what it did, and how many of its orders were compared."""
    work = Work()
    threshold = work.armed[0]
    prices = ticks(threshold, _WARM_UP + triggers)
    with Probe(addresses, threshold, echo=one.echoes) as probe, ExitStack() as stack:
        if one.echoes:
            stack.enter_context(one.answer(addresses, work))
        else:
            with probe.login_thread():
                stack.enter_context(one.answer(addresses, work))
        run = probe.run(prices, cpu=placement.PROBE_CPU)
    if not one.echoes:
        check_orders(threshold, run, prices)
    answered = [value for value in run.rtt_ns[_WARM_UP:] if value]
    missed = triggers - len(answered)
    # A closed loop sends three packets a round: the tick, the reply, and what takes the offer back.
    return Repetition(encode(histogram_of(answered)), triggers, 0, triggers, len(answered), missed, 0), (
        0 if one.echoes else sum(bool(order) for order in run.orders)
    )
