"""Distributions of nanoseconds as HdrHistograms: every value kept to three digits, whatever its size."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hdrh.histogram import HdrHistogram

LOWEST_NS = 1
HIGHEST_NS = 60_000_000_000
DIGITS = 3
PERCENTILES = (50.0, 90.0, 99.0, 99.9, 99.99)


def histogram_of(values_ns: Iterable[int]) -> HdrHistogram:
    """Of latencies; values outside 1 ns to 60 s count as the bound they exceed."""
    histogram = HdrHistogram(LOWEST_NS, HIGHEST_NS, DIGITS)
    for value in values_ns:
        histogram.record_value(min(max(value, LOWEST_NS), HIGHEST_NS))
    return histogram


def encode(histogram: HdrHistogram) -> str:
    """As JSON keeps it: HdrHistogram V2, compressed, base64."""
    return str(histogram.encode().decode("ascii"))


def decode(text: str) -> HdrHistogram:
    """What `encode` gave."""
    return HdrHistogram.decode(text.encode("ascii"))


@dataclass(frozen=True, slots=True)
class Summary:
    """Percentiles of one distribution, ns. A percentile that has fewer than ten values beyond it is None: it would be a
    matter of luck."""

    count: int
    p50: int | None
    p90: int | None
    p99: int | None
    p99_9: int | None
    p99_99: int | None
    max: int

    @classmethod
    def of(cls, histogram: HdrHistogram) -> Summary:
        """Raises ValueError for an empty one."""
        count = histogram.get_total_count()
        if not count:
            raise ValueError("no latencies to take percentiles of: every trigger was missed")
        p50, p90, p99, p99_9, p99_99 = (
            int(histogram.get_value_at_percentile(percentile))
            if round(count * (100 - percentile) / 100, 6) >= 10
            else None
            for percentile in PERCENTILES
        )
        return cls(count, p50, p90, p99, p99_9, p99_99, int(histogram.get_max_value()))
