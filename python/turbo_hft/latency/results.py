"""What a run of the latency lab found: plain values, to JSON and back without loss.

Two kinds of findings. A `Series` is a distribution: one responder, one load, one rig, several repetitions in turns with
the other responders. A `Figure` is a number with samples: a stage's cost, a throughput, a count of the verifier.
Everything that is said of them (medians, ratios, confidence, regressions) is computed from these and stored nowhere.

Times are integers in nanoseconds; rates are per second.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from turbo_hft.errors import TurboHftError

#: Of the JSON. A file of another number is refused by name.
SCHEMA = 1

Form = Literal["short", "full"]
LoadKind = Literal["closed", "open", "burst"]
Measure = Literal["rtt", "wire", "hook"]
Better = Literal["lower", "higher"]

T = TypeVar("T")


class ResultsError(TurboHftError):
    """A file that holds no results, or results of another version."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Where it ran. `versions`: of what took part (turbo_hft with its commit, libbpf, liburing, dpdk, clang)."""

    kernel: str
    cpu: str
    cpus: int
    memory_mib: int
    hypervisor: str  # "" = none seen
    clocksource: str
    governor: str  # "" = none
    python: str
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Rig:
    """One wire. `name` is what series refer to; `is_` and `is_not` say what its figures mean."""

    name: str
    title: str
    is_: str
    is_not: str
    placement: str
    offloads: str


@dataclass(frozen=True, slots=True)
class Load:
    """What the exchange sends. `packets_per_s` 0 = closed loop: the next tick leaves when the last one is answered.

    In an open loop every packet has its time, and latency counts from it, whenever it really left.
    """

    kind: LoadKind
    packets_per_s: int
    messages_per_packet: int
    title: str


@dataclass(frozen=True, slots=True)
class Repetition:
    """One run of one responder. `histogram`: HdrHistogram V2, base64, of the answered triggers' latencies.

    `lost`: packets that the responder never handled, by its feed's sequence; `missed`: triggers without an order, a
    lost packet's among them. `behind_ns`: how late the sender was with a packet at worst; a load that it cannot keep is
    no load of that rate.
    """

    histogram: str
    packets: int
    lost: int
    triggers: int
    orders: int
    missed: int
    behind_ns: int


@dataclass(frozen=True, slots=True)
class Series:
    """One responder under one load on one rig."""

    rig: str
    responder: str
    load: Load
    measure: Measure
    repetitions: tuple[Repetition, ...]


@dataclass(frozen=True, slots=True)
class Figure:
    """A number, measured once a repetition. `section` groups what belongs into one table ("stage", "throughput", …);
    `parameters` are what it depends on ({"symbols": 100}), in the order of the table's columns."""

    section: str
    name: str
    unit: str
    better: Better
    parameters: Mapping[str, str | int | float]
    samples: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Skipped:
    """What was not measured, and why: a missing package by name, a mode that the driver refuses."""

    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Noise:
    """How still the machine was. `conclusive`: whether ratios of this run may be believed; `words` says why (not)."""

    conclusive: bool
    words: str
    figures: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Responder:
    """Who answers. `name` is what series refer to. `headline`: whether its figures may stand in one (native)."""

    name: str
    title: str
    does: str
    headline: bool


@dataclass(frozen=True, slots=True)
class Results:
    """A whole run. `orders_compared`: order datagrams that were held against the decision, byte for byte.

    `title`: what was changed on purpose, "" = nothing. A run that has one is never published as the engine's.
    """

    form: Form
    started: str  # ISO 8601, UTC
    seconds: float
    machine: Machine
    rigs: tuple[Rig, ...]
    responders: tuple[Responder, ...]
    series: tuple[Series, ...]
    figures: tuple[Figure, ...]
    skipped: tuple[Skipped, ...]
    noise: Noise
    orders_compared: int
    title: str = ""
    schema: int = SCHEMA

    def to_json(self) -> str:
        """One document; `from_json` reads it back."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Results:
        """Raises ResultsError for anything that `to_json` did not write."""
        try:
            document = json.loads(text)
        except ValueError as wrong:
            raise ResultsError(f"these are no results of the latency lab: {wrong}") from wrong
        found = document.get("schema") if isinstance(document, dict) else None
        if found != SCHEMA:
            raise ResultsError(f"these results have schema {found}, this version reads {SCHEMA}: measure again")
        try:
            results: Results = _build(cls, document)
        except (KeyError, TypeError, ValueError) as wrong:
            raise ResultsError(f"these results are damaged: {wrong!r}") from wrong
        return results

    @classmethod
    def load(cls, path: Path) -> Results:
        """Of a file. Raises ResultsError, and OSError as the file does."""
        try:
            return cls.from_json(path.read_text())
        except ResultsError as wrong:
            raise ResultsError(f"{path}: {wrong}") from wrong


def _build(kind: Any, value: Any) -> Any:
    """A value of JSON as `kind`, as far as dataclasses, tuples and mappings go; others as they are."""
    make = kind  # mypy takes what is_dataclass saw for an instance
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        names = {field.name for field in fields(kind)}
        unknown = set(value) - names
        if unknown:
            raise TypeError(f"{kind} has no {', '.join(sorted(unknown))}")
        return make(**{name: _build(hints[name], item) for name, item in value.items()})
    origin = get_origin(kind)
    if origin is tuple:
        return tuple(_build(get_args(kind)[0], item) for item in value)
    if origin in (Union, UnionType) or origin is Literal or not isinstance(origin or kind, type):
        return value
    return dict(value) if issubclass(origin or kind, Mapping) else value
