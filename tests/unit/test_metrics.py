"""The metrics: the table, what is exposed of an engine, who may read it, and the Grafana dashboard over it."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families
from turbo_hft import abi
from turbo_hft.dashboard.web.exposition import OWN, WebCounts, expose, family
from turbo_hft.dashboard.web.guard import Guard
from turbo_hft.metrics import HOOK_COUNTERS, LABELS, Measured, Metric, measure
from turbo_hft.metrics import TABLE as ENGINES
from unit.fakes import FakeEngine, FakeState, FakeSymbol, FakeSymbols
from unit.web_rig import METRICS, READ, TRADE, Rig, engine, web

ROOT = Path(__file__).parents[2]
DASHBOARD = ROOT / "deploy" / "grafana" / "turbo-hft.json"
TABLE: tuple[Metric[Any], ...] = (*OWN, *ENGINES)
NAMES = {metric.name: metric for metric in TABLE}


def samples(
    measured: Measured | None, counts: WebCounts | None = None
) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """(name, labels) -> value, as Prometheus reads the text."""
    _, text = expose(measured, counts or WebCounts())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for found in text_string_to_metric_families(text.decode())
        for sample in found.samples
    }


def reading(made: FakeEngine, **values: Any) -> Measured:
    """As it comes from another process."""
    measured: Measured = json.loads(json.dumps(measure(made, **values), allow_nan=False))
    return measured


def test_the_table_follows_the_conventions() -> None:
    assert len(NAMES) == len(TABLE)
    for metric in TABLE:
        assert re.fullmatch(r"turbo_hft(_[a-z0-9]+)+", metric.name), metric.name
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name
        assert metric.kind != "histogram" or metric.name.endswith("_seconds")
        assert (metric.help and metric.help[0].isupper()) or metric.help[0].isdigit()
        assert set(metric.labels) <= set(LABELS)
        assert not re.search(r"_(ms|us|ns|e4|e8|cents|percent)(_|$)", metric.name), "base units only"
    assert {label for metric in TABLE for label in metric.labels} == set(LABELS)


def test_every_counter_of_the_hook_is_a_metric() -> None:
    assert list(HOOK_COUNTERS) == [name for name in abi.counters().values() if name != "none"]


def test_kinds_of_refusals_are_those_of_the_server() -> None:
    for kind in Guard.KINDS:
        assert kind in LABELS["kind"]


def test_both_formats_can_be_read_and_every_metric_of_the_table_is_there() -> None:
    made = engine()
    made.symbols["AAPL"].fake = FakeState("AAPL", bid_e4=1_631_900, ask_e4=1_632_000, position=-300, health="ok")
    counts = WebCounts(2, 7, {"host": 3})
    found = {name for name, _ in samples(reading(made), counts)}
    for metric in TABLE:
        assert (f"{metric.name}_bucket" if metric.kind == "histogram" else metric.name) in found
    kind, text = expose(reading(made), counts, "application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text")
    assert {found.name for found in open_metrics(text.decode())} == {name.removesuffix("_total") for name in NAMES}  # type: ignore[no-untyped-call]


def test_values_come_from_the_engine() -> None:
    made = engine()
    symbol = made.symbols["AAPL"]
    symbol.fake = FakeState("AAPL", position=-300, realized_e4=123_456, bid_e4=1_631_900, health="quarantined")
    made.halt()
    made.refused = {"collar": 5}
    made.fake_account[0].gross_e4 = 25_000_000_000
    made.fake_account[0].open_e4 = [5_000_000_000, 0]  # counts as if it were filled, as for the gate
    made.lease.left_s = math.inf
    found = samples(reading(made))
    assert found["turbo_hft_up", ()] == 1
    assert found["turbo_hft_state", (("state", "halted"),)] == 1
    assert found["turbo_hft_state", (("state", "active"),)] == 0
    assert found["turbo_hft_lease_left_seconds", ()] == math.inf
    assert found["turbo_hft_refused_orders_total", (("reason", "collar"),)] == 5
    assert found["turbo_hft_gross_exposure_dollars", ()] == 2_500_000
    assert found["turbo_hft_limit_used_ratio", (("limit", "max_gross"),)] == 0.3
    assert found["turbo_hft_feed_missed_total", ()] == made.count["feed_missed"]
    aapl = (("symbol", "AAPL"),)
    assert found["turbo_hft_symbol_position_shares", aapl] == -300
    assert found["turbo_hft_symbol_pnl_dollars", aapl] == 12.3456
    assert found["turbo_hft_symbol_bid_dollars", aapl] == 163.19
    assert ("turbo_hft_symbol_ask_dollars", aapl) not in found
    assert found["turbo_hft_symbol_book_good", aapl] == 0


def test_the_histogram_is_cumulative_and_its_bounds_are_exact() -> None:
    found = samples(reading(engine()))  # 1 of 1024 to 2047 ns, 97 of 4096 to 8191, 2 of 8192 to 16383
    buckets = {
        dict(labels)["le"]: value
        for (name, labels), value in found.items()
        if name.endswith("order_latency_seconds_bucket")
    }
    assert len(buckets) == 32
    bounds = sorted((float(bound), value) for bound, value in buckets.items())
    assert [value for _, value in bounds] == sorted(buckets.values())
    assert [buckets[le] for le in ("1.023e-06", "2.047e-06", "4.095e-06", "8.191e-06", "1.6383e-05", "+Inf")] == [
        0, 1, 1, 98, 100, 100,
    ]  # fmt: skip
    assert not any(name.endswith(("_sum", "_count")) for name, _ in found)


def test_a_limit_of_nothing_is_used_up_by_anything() -> None:
    made = engine()
    made.limits.set({"max_open_orders": 0})
    used = ("turbo_hft_limit_used_ratio", (("limit", "max_open_orders"),))
    assert samples(reading(made))[used] == 0
    made.fake_account[0].open_orders = 1
    assert samples(reading(made))[used] == math.inf


def test_series_of_symbols_have_a_bound_that_is_said() -> None:
    symbols = [FakeSymbol(f"S{number}", position=1) for number in range(30)] + [FakeSymbol("IDLE")]
    made = engine()
    made.symbols = FakeSymbols(symbols)
    found = samples(reading(made, most_symbols=10))
    named = {dict(labels)["symbol"] for (name, labels), _ in found.items() if "symbol" in dict(labels)}
    assert named == {f"S{number}" for number in range(10)}
    assert found["turbo_hft_symbols_omitted", ()] == 20 and found["turbo_hft_symbols_tracked", ()] == 31


def test_without_an_engine_it_says_so() -> None:
    found = samples(None)
    assert found["turbo_hft_up", ()] == 0
    assert {name for name, _ in found} <= {metric.name for metric in OWN}


@given(names=st.lists(st.text(min_size=1, max_size=8), unique=True, max_size=5), kind=st.text(max_size=8))
def test_whatever_a_label_holds_it_comes_out_as_it_went_in(names: list[str], kind: str) -> None:
    """A name with quotes, line ends or backslashes makes no sample of its own and breaks none."""
    positions = [((name,), float(number + 1)) for number, name in enumerate(names)]

    class One:
        def collect(self) -> Any:
            yield family(NAMES["turbo_hft_symbol_position_shares"], positions)
            yield family(NAMES["turbo_hft_web_refused_total"], [((kind,), 7.0)])

    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry(auto_describe=False)
    registry.register(One())
    text = generate_latest(registry).decode()
    # One line a sample: nothing else separates lines for who reads this.
    lines = [line for line in text.split("\n") if line and not line.startswith("#")]
    assert len(lines) == len(names) + 1
    back = {_value(line): float(line.rpartition(" ")[2]) for line in lines[:-1]}
    assert back == {name: number + 1 for number, name in enumerate(names)}
    assert _value(lines[-1]) == kind


def _value(line: str) -> str:
    """The one label value of a line, by the rules of the format: a backslash, a quote and a line end are escaped."""
    found = re.fullmatch(r'\w+\{\w+="((?:[^"\\]|\\[\\n"])*)"\} \S+', line)
    assert found is not None, line
    return re.sub(r"\\(.)", lambda escaped: {"n": "\n"}.get(escaped[1], escaped[1]), found[1])


# Who may read them


def scrape(rig: Rig, token: str | None) -> Any:
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    return rig.client.get("/metrics", headers=headers)


def test_who_may_scrape() -> None:
    with web() as rig:
        for token in (READ, METRICS):
            answer = scrape(rig, token)
            assert answer.status_code == 200 and "turbo_hft_up 1.0" in answer.text
            assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert scrape(rig, None).status_code == 401 and "www-authenticate" in scrape(rig, None).headers
        assert scrape(rig, TRADE).status_code == 403
        rig.login()
        assert scrape(rig, None).status_code == 401, "a page's cookie opens no metrics"
    with web(peer="10.1.2.3") as rig:
        assert scrape(rig, METRICS).status_code == 403 and scrape(rig, READ).status_code == 200
    with web(metrics_token=None) as rig:
        assert scrape(rig, METRICS).status_code == 403


def test_wrong_tokens_of_a_scraper_lock_nobody_out_of_the_page() -> None:
    with web() as rig:
        assert [scrape(rig, "x" * 40).status_code for _ in range(6)] == [403] * 5 + [429]
        assert scrape(rig, READ).status_code == 429
        assert rig.login().status_code == 200


def test_a_scrape_without_an_engine_is_an_answer() -> None:
    with web(present=False) as rig:
        answer = scrape(rig, READ)
        assert answer.status_code == 200 and "turbo_hft_up 0.0" in answer.text


# What is made of the table


def expressions(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node[key] for key in ("expr", "query") if isinstance(node.get(key), str)]
        return own + [found for value in node.values() for found in expressions(value)]
    return [found for each in node for found in expressions(each)] if isinstance(node, list) else []


def check_dashboard(dashboard: dict[str, Any]) -> None:
    """Every expression's metrics exist, with these labels, and counters are only looked at by their rate."""
    found = [text for text in expressions(dashboard) if "turbo_hft_" in text]
    assert len(found) > 30
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    for text in found:
        for name, matchers in re.findall(r"(turbo_hft_\w+)(\{[^}]*\})?", text):
            metric = NAMES.get(name) or NAMES.get(name.removesuffix("_bucket"))
            assert metric is not None, f"{name} in {text}"
            assert (metric.kind == "histogram") == name.endswith("_seconds_bucket")
            for label in re.findall(r"(\w+)=", matchers):
                assert label in {"instance", *metric.labels}, f"{label} in {text}"
            if metric.kind in ("counter", "histogram"):
                assert re.search(r"(rate|increase)\(", text), f"a counter by itself in {text}"
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            names = re.findall(r"turbo_hft_\w+?(?=\{)", target["expr"])
            known = {
                label for name in names for label in (NAMES.get(name) or NAMES[name.removesuffix("_bucket")]).labels
            }
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= {*known, "le"}, target


def test_every_expression_of_the_dashboard_has_its_metric_and_labels() -> None:
    check_dashboard(json.loads(DASHBOARD.read_text()))


WRONG = [
    ("expr", "turbo_hft_none"),
    ("expr", 'turbo_hft_up{nothing="1"}'),
    ("expr", "turbo_hft_orders_total"),
    ("legendFormat", "{{nothing}}"),
]


@pytest.mark.parametrize(("key", "wrong"), WRONG)
def test_a_dashboard_with_a_slip_in_it_is_noticed(key: str, wrong: str) -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    dashboard["panels"][0]["targets"][0][key] = wrong
    with pytest.raises(AssertionError):
        check_dashboard(dashboard)


def test_dashboard_shows_what_a_person_must_see() -> None:
    text = DASHBOARD.read_text()
    for name in ("state", "loss_latched", "pnl_dollars", "order_latency_seconds_bucket", "events_lost_total"):
        assert f"turbo_hft_{name}" in text
