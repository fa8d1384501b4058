"""Metrics as text for a scraper: what was measured of an engine, and what the server counts of itself."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.metrics_core import Metric as Family

from turbo_hft._native import lib
from turbo_hft.metrics import PREFIX, TABLE, Measured, Metric, Sample


@dataclass
class WebCounts:
    """What the server counts of itself."""

    clients: int = 0
    collections: int = 0
    refused: dict[str, int] = field(default_factory=dict)

    def refuse(self, kind: str) -> None:
        """One request more that did not pass."""
        self.refused[kind] = self.refused.get(kind, 0) + 1


@dataclass(frozen=True, slots=True)
class Served:
    """The server, and whether there is an engine."""

    present: bool
    counts: WebCounts


def _about(served: Served) -> Iterable[Sample]:
    return [((version("turbo-hft"), str(lib.HFT_ABI_VERSION)), 1.0)]


# There without an engine too.
OWN: tuple[Metric[Served], ...] = (
    Metric(f"{PREFIX}up", "gauge", "1 if an engine is on the interface and can be read.",
           lambda served: [((), float(served.present))]),
    Metric(f"{PREFIX}build_info", "gauge", "Always 1; the labels say what serves.", _about, ("version", "abi")),
    Metric(f"{PREFIX}web_clients", "gauge", "Pages that are being kept up to date.",
           lambda served: [((), float(served.counts.clients))]),
    Metric(f"{PREFIX}web_collections_total", "counter", "Times the engine was read for them.",
           lambda served: [((), float(served.counts.collections))]),
    Metric(f"{PREFIX}web_refused_total", "counter", "Requests that did not pass.",
           lambda served: [((kind,), float(count)) for kind, count in sorted(served.counts.refused.items())],
           ("kind",)),
)  # fmt: skip


def family(metric: Metric[Any], samples: Iterable[Sample]) -> Family:
    """As `prometheus_client` takes it."""
    if metric.kind == "histogram":
        histogram = HistogramMetricFamily(metric.name, metric.help)
        # The hook counts and does not add up: no _sum, and so no _count either, which is what +Inf says.
        histogram.add_metric([], [(bound, value) for (bound,), value in samples], sum_value=None)
        return histogram
    made: CounterMetricFamily | GaugeMetricFamily = (
        CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
        if metric.kind == "counter"
        else GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
    )
    for labels, value in samples:
        made.add_metric(labels, value)
    return made


class _Collector:
    """What `prometheus_client` asks."""

    def __init__(self, measured: Measured | None, counts: WebCounts) -> None:
        self._measured, self._served = measured, Served(measured is not None, counts)

    def collect(self) -> Iterator[Family]:
        for own in OWN:
            yield family(own, own.read(self._served))
        for metric in TABLE:
            if self._measured is not None:
                yield family(metric, map(_sample, self._measured.get(metric.name, ())))


def _sample(pair: Any) -> Sample:
    labels, value = pair
    return tuple(labels), math.inf if value is None else float(value)


def expose(measured: Measured | None, counts: WebCounts, accept: str = "") -> tuple[str, bytes]:
    """(content type, text): OpenMetrics for who accepts that, otherwise Prometheus' own format. Without an engine
    (None) what the server counts of itself."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(measured, counts))
    encode, content_type = choose_encoder(accept)
    return content_type, encode(registry)
