"""What an exchange does to orders without being asked, or instead of what it was asked: all from a seed.

Each kind has its own share and its own random numbers, so that one more kind leaves the others as they were. Nothing
here knows about orders: the desk asks whether something happens, and does it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from random import Random
from typing import TypeVar

from turbo_hft.errors import ConfigError
from turbo_hft.exchange.line import check_share

MILLISECOND_NS = 1_000_000

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFaults:
    """Shares, each 0 to 1, and how long after its cause (shortest, longest) in ns comes what comes later.

    Errors: ConfigError naming the value that cannot be.
    """

    reject: float = 0.0  # of orders and replacements: Rejected, with any reason of the protocol
    dead: float = 0.0  # of orders and replacements: Accepted or Replaced with order state D
    cancel_pending: float = 0.0  # of cancels: Cancel Pending, Canceled later (a partial one: Cancel Reject)
    cancel_reject: float = 0.0  # of cancels: Cancel Reject
    broken_trade: float = 0.0  # of trades: Broken Trade later
    reference_price: float = 0.0  # of executions in OUCH 4.2: Executed with Reference Price
    supervisory_cancel: float = 0.0  # of resting orders: Canceled later, as a whole or in part (reason S)
    priority_update: float = 0.0  # of resting orders: Order Priority Update later
    supervisory_modify: float = 0.0  # of resting orders: Modified later
    restate: float = 0.0  # of resting orders in OUCH 5.0: Restated later
    later_ns: tuple[int, int] = (MILLISECOND_NS, 200 * MILLISECOND_NS)

    def __post_init__(self) -> None:
        """Check the ranges."""
        for field in fields(self):
            if field.name != "later_ns":
                check_share(field.name.replace("_", " "), getattr(self, field.name))
        if not 0 <= self.later_ns[0] <= self.later_ns[1]:
            raise ConfigError(
                f"later by {self.later_ns[0] / MILLISECOND_NS:g} to {self.later_ns[1] / MILLISECOND_NS:g} ms: give the "
                "shorter time first, 0 or more"
            )


class Mishaps:
    """Decides what happens. `count` says how often it did, by the names of `OrderFaults` and those of others."""

    def __init__(self, faults: OrderFaults | None = None, seed: int | str = 0) -> None:
        self._faults = faults or OrderFaults()
        self._seed = seed
        self._randoms: dict[str, Random] = {}
        self.count: Counter[str] = Counter()

    def happens(self, kind: str) -> bool:
        """Does it, this time? The caller counts what it really does."""
        share: float = getattr(self._faults, kind)
        return share > 0 and self._random(kind).random() < share

    def pick(self, kind: str, choices: Sequence[T]) -> T:
        """One of several."""
        return self._random(f"{kind} choice").choice(choices)

    def shares(self, kind: str, most: int) -> int:
        """1 to `most`."""
        return self._random(f"{kind} shares").randint(1, most)

    def later(self, kind: str, now_ns: int) -> int:
        """When that will be which comes later."""
        return now_ns + self._random(f"{kind} delay").randint(*self._faults.later_ns)

    def _random(self, name: str) -> Random:
        if name not in self._randoms:
            self._randoms[name] = Random(f"{self._seed} {name}")
        return self._randoms[name]
