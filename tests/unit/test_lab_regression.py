"""Two runs held against each other: what was made slower is found, and nothing else is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from lab_results import LOUD, MACHINE, OPEN, TAP, results
from turbo_hft.cli import main
from turbo_hft.latency import tables
from turbo_hft.latency.regression import compare, sections
from turbo_hft.latency.results import Figure, Results

ONE = {"loads": (OPEN,), "rigs": (TAP,), "triggers": 2_000}


@pytest.fixture(scope="module")
def before() -> Results:
    return results(**ONE)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(2, 8))
def test_noise_of_ten_percent_is_no_regression(before: Results, seed: int) -> None:
    found = compare(before, results(seed=seed, **ONE))  # type: ignore[arg-type]
    assert not found.regressions
    assert not [one for one in found.changes if one.verdict == "improvement"]


@pytest.mark.parametrize("name", ["engine", "busy", "python", "engine-generic"])
def test_a_responder_made_twice_as_slow_is_found_and_nobody_else(before: Results, name: str) -> None:
    found = compare(before, results(seed=9, slow={name: 2.0}, **ONE))  # type: ignore[arg-type]
    assert found.regressed == (name,)
    assert {one.percentile for one in found.regressions} == {50.0, 90.0, 99.0}
    assert all(one.ratio is not None and one.ratio.low > 1.3 for one in found.regressions)


def test_what_became_faster_is_an_improvement(before: Results) -> None:
    found = compare(before, results(seed=9, slow={"busy": 0.5}, **ONE))  # type: ignore[arg-type]
    assert not found.regressions
    assert {one.responder for one in found.changes if one.verdict == "improvement"} == {"busy"}


def test_a_figure_is_judged_by_what_is_better(before: Results) -> None:
    found = compare(before, results(seed=9, slow={"book": 2.0, "engine_rate": 0.4}, **ONE))  # type: ignore[arg-type]
    assert {one.what.split(":")[0] for one in found.regressions} == {"stage", "throughput"}
    assert found.regressed == ("book", "engine")


def test_a_machine_that_became_slower_as_a_whole_is_no_regression(before: Results) -> None:
    slower = results(seed=9, slow={"busy": 2.5}, speed=1.8, **ONE)  # type: ignore[arg-type]
    found = compare(before, slower)
    assert found.regressed == ("busy",)
    assert any("speed moved" in note for note in found.notes)
    assert all(one.verdict == "cannot tell" for one in found.changes if one.responder == "echo")


def test_of_another_machine_only_what_is_divided_by_its_floor(before: Results) -> None:
    other = results(seed=9, slow={"busy": 2.5}, speed=3.0, machine=replace(MACHINE, cpu="another"), **ONE)  # type: ignore[arg-type]
    found = compare(before, other)
    assert found.regressed == ("busy",)
    assert any("machines differ" in note for note in found.notes)
    stage = next(one for one in found.changes if one.what == "stage: book")
    assert stage.verdict == "cannot tell" and "no floor" in stage.why
    verifier = next(one for one in found.changes if one.what == "verifier: instructions")
    assert verifier.basis == "as counted" and verifier.verdict == "no change"


def test_stages_of_another_machine_are_divided_by_the_no_op(before: Results) -> None:
    def with_floor(run: Results, ns: float) -> Results:
        floor = Figure("stage", "floor", "ns", "lower", {}, tuple(ns + n / 10 for n in range(5)))
        return replace(run, figures=(*run.figures, floor))

    other = results(seed=9, slow={"book": 2.5}, speed=3.0, machine=replace(MACHINE, cpu="another"), **ONE)  # type: ignore[arg-type]
    found = compare(with_floor(before, 20), with_floor(other, 60))
    assert found.regressed == ("book",)


def test_a_noisy_run_cannot_tell(before: Results) -> None:
    found = compare(before, replace(results(seed=9, slow={"busy": 2.0}, **ONE), noise=LOUD))  # type: ignore[arg-type]
    assert not found.regressions
    assert all("not conclusive" in one.why for one in found.changes if one.basis == "time")


def test_what_only_one_run_has_is_named(before: Results) -> None:
    found = compare(before, replace(before, series=before.series[1:]))
    assert any("Only in the old run: engine on tap" in note for note in found.notes)


@pytest.mark.parametrize("seed", range(2, 6))
def test_few_repetitions_are_compared_by_their_range(seed: int) -> None:
    few = {**ONE, "repetitions": 2}
    found = compare(results(**few), results(seed=seed, slow={"busy": 2.0}, **few))  # type: ignore[arg-type]
    assert found.regressed == ("busy",) and all(one.ratio and one.ratio.few for one in found.regressions)


def test_a_time_that_was_taken_once_tells_nothing() -> None:
    once = {**ONE, "repetitions": 1}
    found = compare(results(**once), results(seed=3, slow={"busy": 5.0}, **once))  # type: ignore[arg-type]
    assert not found.regressions
    assert {one.verdict for one in found.changes if one.responder == "busy"} == {"cannot tell"}


def test_the_command_exits_1_for_a_regression_and_0_without(
    before: Results, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, same, slow = (tmp_path / name for name in ("old.json", "same.json", "slow.json"))
    old.write_text(before.to_json())
    same.write_text(results(seed=2, **ONE).to_json())  # type: ignore[arg-type]
    slow.write_text(results(seed=2, slow={"engine": 2.0}, **ONE).to_json())  # type: ignore[arg-type]
    assert main(["bench", "compare", str(old), str(same)]) == 0
    capsys.readouterr()
    assert main(["bench", "compare", str(old), str(slow), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["regressed"] == ["engine"]
    assert main(["bench", "compare", str(old), str(tmp_path / "none.json")]) == 2
    slow.write_text("{}")
    assert main(["bench", "compare", str(old), str(slow)]) == 1
    assert "schema" in capsys.readouterr().err


def test_the_comparison_as_text_begins_with_the_verdict(before: Results) -> None:
    found = compare(before, results(seed=9, slow={"busy": 2.0}, **ONE))  # type: ignore[arg-type]
    words = tables.text(sections(found))
    assert words.startswith("!! Regression") and "Slower than before: busy." in words
