"""What is said of a run's distributions and figures: percentiles, medians over repetitions, ratios with an interval.

Everything is computed from `results`; nothing is drawn from a distribution that was assumed. An interval comes from
repetitions drawn anew with replacement (the bootstrap), so it knows the spread between repetitions and nothing else.
Below `FEW` repetitions there is nothing to draw from: the interval is their whole range then, and says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from turbo_hft.latency.histogram import decode
from turbo_hft.latency.results import Figure, Series

#: In per cent; "max" is shown beside them and is never compared.
PERCENTILES = (50.0, 90.0, 99.0, 99.9, 99.99)
#: A percentile with fewer values beyond it is a matter of luck, and is not shown.
BEYOND = 10
#: With fewer repetitions an interval is their range.
FEW = 5
CONFIDENCE = 0.95
RESAMPLES = 2_000
SEED = 1

Numbers = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A value and the bounds it lies between. `few`: the bounds are the range of `repetitions`, no confidence."""

    value: float
    low: float
    high: float
    repetitions: int

    @property
    def few(self) -> bool:
        """Whether there were too few repetitions for an interval of confidence."""
        return self.repetitions < FEW

    @property
    def words(self) -> str:
        """What the bounds are."""
        if self.repetitions == 1:
            return "one repetition: no interval"
        if self.few:
            return f"range of only {self.repetitions} repetitions"
        return f"{CONFIDENCE:.0%} interval over {self.repetitions} repetitions"


@dataclass(frozen=True, slots=True)
class Spectrum:
    """A histogram as two arrays: `values_ns`, ascending, each the highest that its bucket stands for, and `counts`."""

    values_ns: Counts
    counts: Counts

    @property
    def count(self) -> int:
        """Of values."""
        return int(self.counts.sum())


@lru_cache(maxsize=4096)
def spectrum(histogram: str) -> Spectrum:
    """Of a `Repetition.histogram`. Raises whatever hdrh does for a text that is none."""
    decoded: Any = decode(histogram)
    counts = np.frombuffer(decoded.counts, dtype=np.uint64, count=decoded.counts_len).astype(np.int64)
    index = np.flatnonzero(counts)
    half_bits = decoded.sub_bucket_half_count_magnitude
    half = 1 << half_bits
    bucket = (index >> half_bits) - 1
    sub = (index & (half - 1)) + half
    first = bucket < 0
    sub = np.where(first, sub - half, sub)
    shift = np.where(first, 0, bucket) + decoded.unit_magnitude
    return Spectrum((sub << shift) + (1 << shift) - 1, counts[index])


def merged(spectra: Sequence[Spectrum]) -> Spectrum:
    """All their values in one."""
    if not spectra:
        return Spectrum(np.zeros(0, np.int64), np.zeros(0, np.int64))
    values, where = np.unique(np.concatenate([one.values_ns for one in spectra]), return_inverse=True)
    counts = np.zeros(len(values), np.int64)
    np.add.at(counts, where, np.concatenate([one.counts for one in spectra]))
    return Spectrum(values, counts)


def spectra_of(series: Series) -> tuple[Spectrum, ...]:
    """One a repetition."""
    return tuple(spectrum(one.histogram) for one in series.repetitions)


def rank(count: int, percentile: float) -> int:
    """Of the value at a percentile, from 1: the smallest with at least that share of `count` values at or below it."""
    return max(1, -(-count * Fraction(str(percentile)) // 100))


def shown(count: int, percentile: float) -> bool:
    """Whether `BEYOND` of `count` values or more lie beyond that percentile."""
    return count - rank(count, percentile) >= BEYOND


def at(found: Spectrum, percentile: float) -> int | None:
    """The value at a percentile in ns; None when too few lie beyond it."""
    return _at(found, percentile) if shown(found.count, percentile) else None


def _at(found: Spectrum, percentile: float) -> int:
    wanted = rank(found.count, percentile)
    return int(found.values_ns[np.searchsorted(np.cumsum(found.counts), wanted)])


def highest(found: Spectrum) -> int | None:
    """The worst value in ns; None of no values."""
    return int(found.values_ns[-1]) if len(found.values_ns) else None


@dataclass(frozen=True, slots=True)
class Point:
    """One percentile of a series, ns.

    `merged_ns`: of all repetitions' values together. `median_ns`: of the repetitions' own percentiles, which lie from
    `low_ns` to `high_ns`; None where a single repetition has too few values beyond the percentile.
    """

    percentile: float
    merged_ns: int | None
    median_ns: float | None
    low_ns: int | None
    high_ns: int | None

    @property
    def ns(self) -> float | None:
        """What a table shows: the median over repetitions, or the merged one where no single repetition has it."""
        return self.merged_ns if self.median_ns is None else self.median_ns


@dataclass(frozen=True, slots=True)
class Distribution:
    """What a series comes to. Counts are sums over repetitions; `behind_ns` is the worst of them, `max_ns` too."""

    count: int
    points: tuple[Point, ...]
    max_ns: int | None
    packets: int
    lost: int
    triggers: int
    missed: int
    behind_ns: int

    @classmethod
    def of(cls, series: Series) -> Distribution:
        """All percentiles of a series."""
        each = spectra_of(series)
        every = merged(each)
        runs = series.repetitions
        return cls(
            count=every.count,
            points=tuple(_point(each, every, percentile) for percentile in PERCENTILES),
            max_ns=highest(every),
            packets=sum(one.packets for one in runs),
            lost=sum(one.lost for one in runs),
            triggers=sum(one.triggers for one in runs),
            missed=sum(one.missed for one in runs),
            behind_ns=max((one.behind_ns for one in runs), default=0),
        )

    def ns(self, percentile: float) -> float | None:
        """What a table shows at one of `PERCENTILES`."""
        return next(point.ns for point in self.points if point.percentile == percentile)


def _point(each: Sequence[Spectrum], every: Spectrum, percentile: float) -> Point:
    own = [at(one, percentile) for one in each]
    values = [value for value in own if value is not None]
    if not values or len(values) != len(own):
        return Point(percentile, at(every, percentile), None, None, None)
    return Point(percentile, at(every, percentile), float(np.median(values)), min(values), max(values))


@lru_cache(maxsize=4096)  # tables, pictures and headline ask for the same ones
def ratio(above: Series, below: Series, percentile: float, *, seed: int = SEED) -> Interval | None:
    """How many times as long `above` takes as `below` at a percentile; None where it is not shown of one of them.

    Both were measured in turns, repetition by repetition: repetitions are paired, and drawn in pairs. Where every
    repetition has the percentile, the value is the median of the pairs' ratios. Where only all of them together have
    it, it is the ratio of the merged percentiles, and each draw merges what it drew.
    """
    pairs = min(len(above.repetitions), len(below.repetitions))
    if not pairs:
        return None
    upper, lower = spectra_of(above)[:pairs], spectra_of(below)[:pairs]
    own = [(at(one, percentile), at(other, percentile)) for one, other in zip(upper, lower, strict=True)]
    single = [one / other for one, other in own if one is not None and other]
    if len(single) == pairs:
        return interval_of(single, seed=seed)
    value, other = at(merged(upper), percentile), at(merged(lower), percentile)
    if value is None or not other:
        return None
    if pairs < FEW:
        whole = [_at(one, percentile) / _at(two, percentile) for one, two in zip(upper, lower, strict=True)]
        return Interval(value / other, min([*whole, value / other]), max([*whole, value / other]), pairs)
    draws = np.random.default_rng(seed).integers(0, pairs, (RESAMPLES, pairs))
    weights = np.stack([np.bincount(draw, minlength=pairs) for draw in draws]).astype(np.int64)
    drawn = _drawn(upper, weights, percentile) / _drawn(lower, weights, percentile)
    low, high = _bounds(drawn)
    return Interval(value / other, low, high, pairs)


def _drawn(each: Sequence[Spectrum], weights: Counts, percentile: float) -> Numbers:
    """The merged percentile of every draw; `weights` says how often it took which repetition."""
    every = merged(each)
    counts = np.zeros((len(each), len(every.values_ns)), np.int64)
    for row, one in zip(counts, each, strict=True):
        row[np.searchsorted(every.values_ns, one.values_ns)] = one.counts
    # In pieces: draws by distinct values would be a gigabyte of a long run.
    found: list[Numbers] = []
    for part in np.array_split(weights, max(1, weights.size * len(every.values_ns) // 10_000_000)):
        cumulative = np.cumsum(part @ counts, axis=1)
        totals, which = np.unique(cumulative[:, -1], return_inverse=True)
        wanted = np.array([rank(int(total), percentile) for total in totals])[which]
        found.append(every.values_ns[(cumulative < wanted[:, None]).sum(axis=1)].astype(np.float64))
    return np.concatenate(found)


def interval_of(values: Sequence[float], *, seed: int = SEED) -> Interval:
    """The median of repetitions, with its interval. Raises ValueError for none."""
    if not values:
        raise ValueError("no repetitions to take a median of")
    array = np.asarray(values, np.float64)
    if len(array) < FEW:
        return Interval(float(np.median(array)), float(array.min()), float(array.max()), len(array))
    low, high = _bounds(_medians(array, seed))
    return Interval(float(np.median(array)), low, high, len(array))


def unpaired(above: Sequence[float], below: Sequence[float], *, seed: int = SEED) -> Interval | None:
    """The ratio of two medians, of repetitions that have nothing to do with each other: two runs, two figures.

    None without repetitions, and where a value is not above 0.
    """
    if not above or not below or min(*above, *below) <= 0:
        return None
    upper, lower = np.asarray(above, np.float64), np.asarray(below, np.float64)
    value = float(np.median(upper) / np.median(lower))
    repetitions = min(len(upper), len(lower))
    if repetitions < FEW:
        return Interval(value, float(upper.min() / lower.max()), float(upper.max() / lower.min()), repetitions)
    low, high = _bounds(_medians(upper, seed) / _medians(lower, seed + 1))
    return Interval(value, low, high, repetitions)


def figure_ratio(above: Figure, below: Figure, *, seed: int = SEED) -> Interval | None:
    """The ratio of two figures' medians."""
    return unpaired(above.samples, below.samples, seed=seed)


def per_repetition(series: Series, percentile: float) -> tuple[float, ...]:
    """The percentile of each repetition, ns; empty when one of them has too few values beyond it."""
    own = [at(one, percentile) for one in spectra_of(series)]
    values = tuple(float(value) for value in own if value is not None)
    return values if len(values) == len(own) else ()


def _medians(values: Numbers, seed: int) -> Numbers:
    draws = np.random.default_rng(seed).integers(0, len(values), (RESAMPLES, len(values)))
    return np.asarray(np.median(values[draws], axis=1), np.float64)


def _bounds(drawn: Numbers) -> tuple[float, float]:
    tail = (1 - CONFIDENCE) / 2 * 100
    low, high = np.percentile(drawn, [tail, 100 - tail])
    return float(low), float(high)
