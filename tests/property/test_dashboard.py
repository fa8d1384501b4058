"""The dashboard's curves over any day, and views through JSON, whatever is in them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping

from hypothesis import given
from hypothesis import settings as limited
from hypothesis import strategies as st
from turbo_hft.dashboard.history import MOST_POINTS, History
from turbo_hft.dashboard.plot import Mark, plot
from turbo_hft.dashboard.view import FeedView, OrderRow, View, WatchView

MS = 1_000_000
# A pattern over and over again: a day is long.
STEPS = st.builds(
    lambda pattern, times: (pattern * times)[:5000],
    st.lists(st.tuples(st.integers(1, 120_000), st.integers(-(10**9), 10**9)), max_size=30),
    st.integers(1, 1000),
)

seconds = st.none() | st.floats(0, 1e6)
values = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=3)
settings: st.SearchStrategy[Mapping[str, object]] = st.dictionaries(st.text(), values, max_size=4)
counts = st.dictionaries(st.text(), st.integers(), max_size=3)
views = st.builds(
    View,
    books=counts,
    counters=counts,
    refusals=counts,
    event_counts=counts,
    lease_s=seconds,
    settings=settings,
    feeds=st.lists(st.builds(FeedView, quiet_s=seconds), max_size=2).map(tuple),
    orders=st.lists(st.builds(OrderRow, age_s=seconds), max_size=2).map(tuple),
    watched=st.none() | st.builds(WatchView, settings=settings),
)


@given(views)
@limited(max_examples=25)  # each is big
def test_a_view_comes_back_from_json_as_it_was(view: View) -> None:
    assert View.from_dict(json.loads(json.dumps(view.as_dict()))) == view


@given(STEPS)
def test_a_curve_is_bounded_and_loses_no_extreme(steps: list[tuple[int, int]]) -> None:
    history, now_ns = History(), 0
    for pause_ms, value in steps:
        now_ns += pause_ms * MS
        history.add(now_ns, (value,), value, value)
    points = list(history)
    assert len(points) == len(history) <= MOST_POINTS
    assert all(older.utc_ns < newer.begin_ns <= newer.utc_ns for older, newer in itertools.pairwise(points))
    if steps:
        assert points[0].begin_ns == steps[0][0] * MS
        assert (points[-1].utc_ns, points[-1].values) == (now_ns, (steps[-1][1],))
        assert min(point.low for point in points) == min(value for _, value in steps)
        assert max(point.high for point in points) == max(value for _, value in steps)
    for point in points:
        assert point.low <= (point.values[0] or 0) <= point.high or point.values[0] is None


@given(
    st.lists(st.tuples(st.integers(0, 10**15), st.none() | st.integers(-(10**12), 10**12)), max_size=50),
    st.integers(1, 200),
    st.integers(1, 50),
    st.lists(st.builds(Mark, st.integers(0, 10**15), st.integers(-(10**12), 10**12), st.just("B")), max_size=5),
)
def test_a_plot_fills_its_place_and_no_more(
    points: list[tuple[int, int | None]], width: int, height: int, marks: list[Mark]
) -> None:
    points.sort(key=lambda point: point[0])
    times, column = [at for at, _ in points], [value for _, value in points]
    drawn = plot(times, [(column, column)], width, height, marks)
    assert [len(line) for line in drawn.lines] == [width] * height
    assert all(drawn.lines[line][place] == "B" for line, place in drawn.marked)
    known = [value for value in column if value is not None]
    assert all(drawn.low <= value <= drawn.high for value in known)
    if known:
        assert any(line.strip() for line in drawn.lines)
