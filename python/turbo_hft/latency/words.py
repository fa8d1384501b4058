"""How the report writes figures: three digits that mean something, and the unit beside them once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from turbo_hft.latency.statistics import Interval

NONE = "–"
#: What a series measured (`Series.measure`).
MEASURES = {"rtt": "round trip", "wire": "wire to wire", "hook": "the program's own run time"}


def digits(value: float) -> str:
    """Three significant digits, thousands separated: 0.412, 41.2, 4,120."""
    size = abs(value)
    if size >= 100 or not value:
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}" if size >= 1 else f"{value:.3g}"


def plain(value: str | int | float) -> str:
    """A parameter as it was given: 10,000 and 0.5 and native."""
    return value if isinstance(value, str) else f"{int(value):,}" if value == int(value) else f"{value:g}"


def micros(value_ns: float | None) -> str:
    """Nanoseconds in µs; a dash for what is not shown."""
    return NONE if value_ns is None else digits(value_ns / 1000)


def factor(value: float) -> str:
    """A ratio: 7.12×, 41.3×."""
    return f"{value:.0f}×" if value >= 100 else f"{value:.1f}×" if value >= 10 else f"{value:.2f}×"


def times(found: Interval | None) -> str:
    """A ratio with its bounds: 7.12× (6.80–7.41)."""
    if found is None:
        return NONE
    if found.repetitions == 1:
        return factor(found.value)
    return f"{factor(found.value)} ({factor(found.low)[:-1]}–{factor(found.high)[:-1]})"


def percentile(value: float) -> str:
    """p50, p99.9."""
    return f"p{value:g}"
