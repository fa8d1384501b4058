"""What the TCP connection of order entry was used for, and whether it ended in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from turbo_hft.demo.config import DemoConfig
from turbo_hft.errors import ExchangeError

_REASONS = ("wire_down", "wire_busy", "wire_unmerged", "wire_window", "wire_recovery")
# Of the exchange's counters: a whole session is one of each, and none of the others that say why one ended.
_WHOLE = {"connections": 1, "logins": 1, "ended": 1}
_NEVER = (
    *("refused", "malformed", "malformed_messages", "logins_rejected", "login_timeouts", "silent", "slow", "left"),
    *("superseded", "cut", "dropped"),
)


class ConnectionStatus(Protocol):
    """Of `turbo_hft.delegated.Status`."""

    @property
    def fired(self) -> int: ...
    @property
    def merged(self) -> int: ...
    @property
    def unmerged(self) -> int: ...
    @property
    def sent(self) -> int: ...
    @property
    def total_retransmits(self) -> int: ...
    @property
    def error(self) -> str: ...


@dataclass(frozen=True, slots=True)
class WireUse:
    """`fired`: segments with orders that the hook sent, `merged` of them the kernel has; `sent`: the kernel's own.

    `refused`: decisions that the wire did not let out, by reason; they are made anew with the next tick.
    """

    fired: int
    merged: int
    unmerged: int
    sent: int
    retransmitted: int
    error: str
    refused: Mapping[str, int]

    @classmethod
    def of(cls, status: ConnectionStatus, refusals: Mapping[str, int]) -> WireUse:
        """From the connection, and the gate's counts by reason."""
        return cls(
            fired=status.fired,
            merged=status.merged,
            unmerged=status.unmerged,
            sent=status.sent,
            retransmitted=status.total_retransmits,
            error=status.error,
            refused={reason: refusals.get(reason, 0) for reason in _REASONS},
        )

    @property
    def waited_share(self) -> float:
        """Of all decisions to send, how many met a wire with too many sends that were not merged yet."""
        asked = self.fired + sum(self.refused.values())
        return self.refused["wire_unmerged"] / asked if asked else 0.0

    def problems(self, sends: int) -> list[str]:
        """What is wrong with it, given the hook's own count of sends."""
        found = []
        if self.error:
            found.append(f"the TCP connection was lost: {self.error}")
        if self.unmerged or self.merged != self.fired or self.fired != sends:
            found.append(
                f"the hook sent {sends} segments, {self.fired} by the connection's count, and the kernel has "
                f"{self.merged} of them: is the merging thread starved? Give it a CPU (--merge-cpu)"
            )
        return found

    def line(self) -> str:
        """For the verdict."""
        others = ", ".join(f"{reason} {count}" for reason, count in self.refused.items() if count)
        return (
            f"TCP: {self.fired} segments sent by the hook on the kernel's connection, {self.merged} merged into it, "
            f"{self.sent} by the kernel itself, {self.retransmitted} retransmitted; refused for the wire: "
            f"{others or 'none'} ({self.waited_share:.1%} wire_unmerged)"
        )


def transport_words(config: DemoConfig) -> str:
    """What carries the orders, and where the thread that merges is."""
    if config.transport == "ufo":
        return "UFO"
    where = "rests 50 µs between looks" if config.merge_cpu is None else f"spins on CPU {config.merge_cpu}"
    return f"SoupBinTCP; the merging thread {where}"


def session_problems(summary: Mapping[str, Any], protocol: str) -> list[str]:
    """Was it one session from login to the end of the day, on the exchange's side? Raises ExchangeError for a summary
    that does not tell."""
    try:
        counts = summary["soupbintcp"][protocol]
        found = [f"{counts[name]} {name}, {least} expected" for name, least in _WHOLE.items() if counts[name] != least]
        found += [f"{counts[name]} {name}" for name in _NEVER if counts[name]]
    except KeyError as missing:
        raise ExchangeError(
            f"the exchange's summary says nothing of {missing}: use the exchange of this package"
        ) from missing
    return [f"the SoupBinTCP session was not whole at the exchange: {', '.join(found)}"] if found else []
