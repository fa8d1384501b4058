"""Percentiles, medians and intervals of the latency lab, against the plain way of computing them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lab_results import CLOSED, repetition, results, series
from turbo_hft.latency import statistics
from turbo_hft.latency.histogram import decode, encode, histogram_of
from turbo_hft.latency.results import Figure, Results
from turbo_hft.latency.statistics import Distribution

VALUES = st.lists(st.integers(1, 10_000_000_000), min_size=1, max_size=300)
PERCENTILE = st.sampled_from((50.0, 90.0, 99.0, 99.9, 99.99))


@given(VALUES)
def test_a_spectrum_has_what_the_histogram_has(values: list[int]) -> None:
    text = encode(histogram_of(values))
    found, library = statistics.spectrum(text), decode(text)
    assert found.count == len(values)
    assert list(found.values_ns) == sorted({library.get_highest_equivalent_value(value) for value in values})
    assert statistics.highest(found) == library.get_highest_equivalent_value(max(values))


@given(VALUES, PERCENTILE)
def test_a_percentile_is_the_value_of_its_rank_to_three_digits(values: list[int], percentile: float) -> None:
    found = statistics.at(statistics.spectrum(encode(histogram_of(values))), percentile)
    beyond = len(values) - math.ceil(round(len(values) * percentile / 100, 9))
    if beyond < 10:
        assert found is None
    else:
        exact = sorted(values)[len(values) - beyond - 1]
        assert found is not None and exact <= found <= exact * 1.001 + 1


def test_ten_values_beyond_a_percentile_are_enough_and_nine_are_not() -> None:
    assert statistics.shown(10_000, 99.9) and not statistics.shown(9_999, 99.9)
    assert statistics.shown(1_000, 99.0) and not statistics.shown(999, 99.0)
    assert statistics.shown(20, 50.0) and not statistics.shown(18, 50.0)


@given(st.lists(VALUES, min_size=1, max_size=4))
def test_merging_is_having_measured_at_once(parts: list[list[int]]) -> None:
    each = [statistics.spectrum(encode(histogram_of(part))) for part in parts]
    whole = statistics.spectrum(encode(histogram_of([value for part in parts for value in part])))
    found = statistics.merged(each)
    assert list(found.values_ns) == list(whole.values_ns) and list(found.counts) == list(whole.counts)


@given(st.lists(st.floats(1, 1e6), min_size=5, max_size=12), st.integers(0, 1000))
def test_an_interval_holds_its_median_and_stays_within_the_repetitions(values: list[float], seed: int) -> None:
    found = statistics.interval_of(values, seed=seed)
    assert min(values) <= found.low <= found.value <= found.high <= max(values)
    assert found == statistics.interval_of(values, seed=seed), "the same seed, the same interval"
    assert not found.few and "95%" in found.words


@pytest.mark.parametrize("count", [1, 2, 4])
def test_few_repetitions_give_their_range_and_say_so(count: int) -> None:
    found = statistics.interval_of([3.0, 1.0, 2.0, 9.0][:count])
    assert found.few
    assert (found.low, found.high) == (min([3.0, 1.0, 2.0, 9.0][:count]), max([3.0, 1.0, 2.0, 9.0][:count]))
    assert ("one repetition" if count == 1 else f"only {count}") in found.words


@settings(max_examples=10, deadline=None)
@given(st.integers(2, 20), st.integers(0, 50))
def test_a_series_that_takes_k_times_as_long_has_the_ratio_k(k: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    below = [[int(v) for v in draw.integers(1_000, 2_000, 1_500)] for _ in range(5)]
    above = [[k * value for value in one] for one in below]
    for percentile in (50.0, 99.0, 99.9):  # the last one only of all repetitions together
        found = statistics.ratio(series("a", above), series("b", below), percentile)
        if percentile == 99.9:
            assert found is None, "7 of 7,500 lie beyond"
            continue
        assert found is not None and found.value == pytest.approx(k, rel=0.01)
        assert found.low <= found.value <= found.high
    assert statistics.ratio(series("a", above), series("b", below), 99.0) == statistics.ratio(
        series("a", above), series("b", below), 99.0
    )


def test_pairing_takes_the_drift_out_of_a_ratio() -> None:
    drift = (1.0, 1.5, 2.0, 2.5, 3.0, 3.5)
    below = [[int(1_000 * factor)] * 50 for factor in drift]
    above = [[int(4_000 * factor)] * 50 for factor in drift]
    found = statistics.ratio(series("a", above), series("b", below), 50.0)
    assert found is not None and found.high - found.low < 0.02


def test_a_tail_that_no_single_repetition_has_comes_from_all_together() -> None:
    draw = np.random.default_rng(4)
    runs = [[int(v) for v in draw.lognormal(7, 0.3, 4_000)] for _ in range(5)]
    found = Distribution.of(series("a", runs))
    tail = next(point for point in found.points if point.percentile == 99.9)
    assert tail.median_ns is None and tail.merged_ns == tail.ns
    exact = sorted(value for run in runs for value in run)[-21]
    assert tail.merged_ns == pytest.approx(exact, rel=0.002)
    ratio = statistics.ratio(series("a", [[2 * v for v in run] for run in runs]), series("b", runs), 99.9)
    assert ratio is not None and ratio.value == pytest.approx(2, rel=0.01) and ratio.low < ratio.value < ratio.high


def test_a_distribution_adds_up_its_repetitions() -> None:
    one = series("a", [[5] * 30, [7] * 30], CLOSED)
    changed = type(one)(
        one.rig, one.responder, one.load, "rtt", (repetition([5] * 30, lost=2, behind_ns=4), repetition([7], missed=3))
    )
    found = Distribution.of(changed)
    assert (found.count, found.lost, found.missed, found.triggers, found.behind_ns) == (31, 2, 3, 34, 4)
    assert found.max_ns == 7


def test_nothing_measured_has_no_percentiles() -> None:
    found = Distribution.of(series("a", [[]]))
    assert found.count == 0 and found.max_ns is None and all(point.ns is None for point in found.points)
    assert statistics.ratio(series("a", [[]]), series("b", [[]]), 50.0) is None
    with pytest.raises(ValueError, match="no repetitions"):
        statistics.interval_of([])


def test_figures_are_compared_without_pairs() -> None:
    one = Figure("s", "n", "ns", "lower", {}, (20.0, 22.0, 18.0, 21.0, 19.0))
    other = Figure("s", "n", "ns", "lower", {}, (10.0, 11.0, 9.0, 10.5, 9.5))
    found = statistics.figure_ratio(one, other)
    assert found is not None and found.value == 2.0 and 1.5 < found.low < 2 < found.high < 2.5
    assert statistics.figure_ratio(Figure("s", "n", "1", "lower", {}, (0.0,)), other) is None


def test_results_survive_their_file() -> None:
    made = results(triggers=50, repetitions=2)
    assert Results.from_json(made.to_json()) == made
