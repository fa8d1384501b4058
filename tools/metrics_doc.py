"""Write docs/metrics.md: every metric of turbo_hft.metrics with type, labels and help, and the bound of each label."""

from __future__ import annotations

from typing import Any

from turbo_hft.dashboard.web.exposition import OWN
from turbo_hft.metrics import LABELS, MOST_SYMBOLS, TABLE, Metric

_HEAD = f"""\
# Metrics

`turbo-hft serve` answers `GET /metrics` in Prometheus' text format, or OpenMetrics for who accepts that. This page is
written by `make docs` from the tables in `turbo_hft/metrics.py` and `turbo_hft/dashboard/web/exposition.py`; do not
edit it.

A scrape reads the engine once, and nothing is read between scrapes. It needs `Authorization: Bearer TOKEN`, with the
token for looking, or from the same machine with the one of `--metrics-token-file`:

```text
scrape_configs:
  - job_name: turbo-hft
    authorization: {{credentials_file: /etc/prometheus/turbo-hft.token}}
    static_configs: [{{targets: ["127.0.0.1:8790"]}}]
```

[deploy/grafana/turbo-hft.json](../deploy/grafana/turbo-hft.json) is a Grafana dashboard over them.

Without an engine on the interface only those marked with * are there, and `turbo_hft_up` is 0. The two histograms have
the hook's own buckets, one for each power of two of nanoseconds; a bucket's bound is the largest whole nanosecond in
it. The hook counts and does not add up, so they have `_bucket` and no `_sum`; the count is the bucket `+Inf`. Series of
single symbols are there for at most {MOST_SYMBOLS} symbols (`--metrics-symbols`).

| metric | type | labels | |
|---|---|---|---|
"""


def _row(metric: Metric[Any], mark: str = "") -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{metric.name}`{mark} | {metric.kind} | {labels} | {metric.help} |"


def text() -> str:
    """The whole page."""
    rows = [*(_row(metric, "*") for metric in OWN), *(_row(metric) for metric in TABLE)]
    labels = [f"| `{name}` | {text} |" for name, text in LABELS.items()]
    return (
        _HEAD
        + "\n".join(rows)
        + "\n\n## Labels\n\nWhat each can be, and how many values it has at most.\n\n| label | |\n|---|---|\n"
        + "\n".join(labels)
        + "\n"
    )
