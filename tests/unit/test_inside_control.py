"""What ticks tell of a change: when it took effect, and which ticks did not obey."""

from __future__ import annotations

import pytest
from turbo_hft.latency.inside.control import Change, judge
from turbo_hft.latency.inside.hook_rig import InsideError

STOP = Change("stop", 100, 110, False)


def test_a_change_takes_effect_with_the_end_of_the_first_tick_that_obeys() -> None:
    # The second one was under way when the statement ran, the third began before it had returned: neither is wrong.
    runs = [(80, 90, True), (95, 105, True), (106, 112, True), (113, 120, False), (121, 130, False)]
    found = judge(runs, [STOP])["stop"]
    assert (found.effect_ns, found.store_ns, found.violations) == ([20], [10], 0)


def test_a_tick_that_began_after_the_statement_and_did_the_old_thing_is_a_violation() -> None:
    runs = [(80, 90, True), (111, 120, True), (121, 130, False), (131, 140, True)]
    assert judge(runs, [STOP])["stop"].violations == 2


def test_changes_are_judged_each_by_its_own_ticks() -> None:
    runs = [(111, 120, False), (121, 130, False), (206, 210, True), (215, 220, True)]
    found = judge(runs, [STOP, Change("go", 200, 205, True)])
    assert (found["stop"].effect_ns, found["go"].effect_ns) == ([20], [10])
    assert found["stop"].violations == found["go"].violations == 0


def test_a_change_that_nothing_obeys_has_no_figure() -> None:
    with pytest.raises(InsideError, match="no tick obeyed"):
        judge([(111, 120, True), (121, 130, True)], [STOP])
