"""What a form of the benchmark measures: rigs, loads, responders and how often. The one list to change.

Series are of `Trial.rig`, by the rig's name; a rig or a load that this machine does not have is skipped by name.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from turbo_hft.latency.loads import CLOSED, EVERY, WARMUP, open_loop, opening
from turbo_hft.latency.results import Form, Load

_FEW = ("engine", "echo", "busy", "af_xdp", "python")
_MANY = (
    *("engine", "engine-generic", "echo", "dpdk-af_xdp", "dpdk-af_packet", "af_xdp", "af_xdp-skb", "io_uring"),
    *("recvmmsg", "busy-poll", "busy", "blocking", "python-busy", "python"),
)
_CURVE = ("engine", "echo", "dpdk-af_xdp", "af_xdp", "busy", "python")
_DECIDING = tuple(name for name in _CURVE if name != "echo")  # a burst has longer packets than the exchange keeps
_RATES = (5_000, 20_000, 50_000, 100_000, 200_000, 400_000)
_BURSTS = (1, 5, 20, 38)  # messages a packet; 38 Add Orders fill an Ethernet frame
_START_S = 0.6  # of a responder, and its end
_PER_TRIGGER_S = 60e-6

#: Names of sections on the command line beside those of `inside`, which "inside" stands for as a whole.
SECTIONS = ("closed", "open", "burst", "knee", "inside")


@dataclass(frozen=True, slots=True)
class Trial:
    """Several responders in turns under one load on one rig."""

    rig: str
    load: Load
    responders: tuple[str, ...]
    repetitions: int
    triggers: int

    @property
    def seconds(self) -> float:
        """About how long it takes, for an estimate of the rest."""
        rate = self.load.packets_per_s
        asked = self.triggers + WARMUP
        each = _START_S + asked * (EVERY / rate if rate else _PER_TRIGGER_S)
        return each * self.repetitions * len(self.responders)


@dataclass(frozen=True, slots=True)
class Knee:
    """How much one responder takes with so many messages a packet (`turbo_hft.latency.knee`)."""

    rig: str
    responder: str
    messages: int
    seconds: float = 12.0


@dataclass(frozen=True, slots=True)
class Plan:
    """`inside`: whether the hook alone is measured too."""

    form: Form
    trials: tuple[Trial, ...]
    knees: tuple[Knee, ...] = ()
    inside: bool = True


def _asked(rate: int) -> int:
    """Triggers of one run: two seconds of them, or as many as a percentile of 99.9 % needs."""
    return min(12_000, 2 * rate // EVERY)


def plan(form: Form) -> Plan:
    """Short: about a minute. Full: about a quarter of an hour."""
    if form == "short":
        return Plan(
            form,
            (
                Trial("tap", CLOSED, _FEW, 3, 5_000),
                Trial("tap", open_loop(20_000), _FEW, 5, 5_000),
                Trial("veth", CLOSED, ("engine", "echo", "busy"), 3, 5_000),
            ),
        )
    return Plan(
        form,
        (
            Trial("tap", CLOSED, _MANY, 5, 12_000),
            *(Trial("tap", open_loop(rate), _MANY if rate == 20_000 else _CURVE, 5, _asked(rate)) for rate in _RATES),
            *(Trial("tap", opening(messages), _DECIDING, 3, 5_000) for messages in _BURSTS),
            Trial("veth", CLOSED, _MANY, 5, 12_000),
            Trial("veth", open_loop(20_000), _CURVE, 5, _asked(20_000)),
            Trial("veth-cross", CLOSED, _CURVE, 5, 12_000),
        ),
        tuple(Knee("tap", name, messages) for name in ("engine", "busy") for messages in _BURSTS),
    )


def only(whole: Plan, sections: Collection[str]) -> Plan:
    """What is left of it when only these of `SECTIONS` are wanted."""
    kept = tuple(one for one in whole.trials if one.load.kind in sections)
    return replace(whole, trials=kept, knees=whole.knees if "knee" in sections else (), inside="inside" in sections)
