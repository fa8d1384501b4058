"""What a form of the benchmark measures: rigs, loads, responders and how often. The one list to change.

Series are of `Trial.rig`, by the rig's name; a rig or a load that this machine does not have is skipped by name.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from turbo_hft.latency.results import Form, Load

CLOSED = Load("closed", 0, 1, "closed loop")

_FEW = ("engine", "echo", "busy", "af_xdp", "python")
_MANY = (
    *("engine", "engine-generic", "echo", "dpdk-af_xdp", "dpdk-af_packet", "af_xdp", "af_xdp-skb", "io_uring"),
    *("recvmmsg", "busy-poll", "busy", "blocking", "python-busy", "python"),
)
_CURVE = ("engine", "echo", "dpdk-af_xdp", "af_xdp", "busy", "python")
_RATES = (5_000, 20_000, 50_000, 100_000, 200_000, 400_000)
_BURSTS = (1, 5, 20, 38)  # messages a packet; 38 Add Orders fill an Ethernet frame
_START_S = 0.6  # of a responder, and its end
_PER_TRIGGER_S = 60e-6

#: Names of sections on the command line beside those of `inside`, which "inside" stands for as a whole.
SECTIONS = ("closed", "open", "burst", "inside")


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
        each = _START_S + self.triggers * max(_PER_TRIGGER_S, 1 / rate if rate else 0.0)
        return each * self.repetitions * len(self.responders)


@dataclass(frozen=True, slots=True)
class Plan:
    """`inside`: whether the hook alone is measured too."""

    form: Form
    trials: tuple[Trial, ...]
    inside: bool = True


def open_loop(rate: int) -> Load:
    """So many packets a second, each with one message that triggers or undoes."""
    return Load("open", rate, 1, f"open loop, {rate:,} packets/s")


def burst(messages: int) -> Load:
    """Bursts of packets of that many messages."""
    return Load("burst", 2_000, messages, f"bursts, {messages} message{'s' if messages > 1 else ''} a packet")


def plan(form: Form) -> Plan:
    """Short: about a minute. Full: about a quarter of an hour."""
    if form == "short":
        return Plan(
            form,
            (
                Trial("tap", CLOSED, _FEW, 3, 5_000),
                Trial("tap", open_loop(20_000), _FEW, 5, 12_000),
                Trial("veth", CLOSED, ("engine", "echo", "busy"), 3, 5_000),
            ),
        )
    return Plan(
        form,
        (
            Trial("tap", CLOSED, _MANY, 5, 12_000),
            *(Trial("tap", open_loop(rate), _MANY if rate == 20_000 else _CURVE, 5, 12_000) for rate in _RATES),
            *(Trial("tap", burst(messages), _CURVE, 3, 5_000) for messages in _BURSTS),
            Trial("veth", CLOSED, _MANY, 5, 12_000),
            Trial("veth", open_loop(20_000), _CURVE, 5, 12_000),
            Trial("veth-cross", CLOSED, _CURVE, 5, 12_000),
        ),
    )


def only(whole: Plan, sections: Collection[str]) -> Plan:
    """What is left of it when only these of `SECTIONS` are wanted."""
    kept = tuple(one for one in whole.trials if one.load.kind in sections)
    return replace(whole, trials=kept, inside="inside" in sections)
