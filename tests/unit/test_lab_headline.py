"""When the report has a headline, what keeps a responder out of it, and what it says of published claims."""

from __future__ import annotations

from dataclasses import replace

import pytest
from lab_results import CLOSED, FAST, LOUD, OPEN, TAP, VETH, results, with_series
from turbo_hft.latency.headline import criteria, headline
from turbo_hft.latency.noise import judge
from turbo_hft.latency.results import Load, Results


@pytest.fixture(scope="module")
def run() -> Results:
    return results()


def names(found: Results) -> list[str]:
    return [one.responder.name for one in headline(found).rivals]


def test_the_headline_names_rig_load_percentiles_and_bounds_in_one_sentence(run: Results) -> None:
    said = headline(run)
    assert said.rig == TAP and said.load == OPEN, "the lowest rate"
    assert said.sentence.count(".") == said.sentence.rstrip(".").count(".") + 1, "one sentence"
    for word in ("tap", "20,000 packets/s", "p50", "p99", "p99.9", "95% interval", "the af_xdp takes", "the python"):
        assert word in said.sentence
    assert [one.responder.name for one in said.rivals] == ["af_xdp", "busy", "dpdk-af_xdp", "python"], "fastest first"
    assert said.rivals[0].ratios[50.0].value == pytest.approx(2_600 / 600, rel=0.15)


def test_neither_generic_nor_echo_is_in_it(run: Results) -> None:
    assert "engine-generic" not in names(run) and "echo" not in names(run)
    assert any(name == "engine-generic" for name, _ in headline(run).left_out)


def test_a_responder_that_is_no_headline_is_left_out(run: Results) -> None:
    people = tuple(replace(one, headline=one.name != "busy") for one in run.responders)
    assert "busy" not in names(replace(run, responders=people))
    people = tuple(replace(one, headline=one.name != "engine") for one in run.responders)
    assert not headline(replace(run, responders=people)).sentence


@pytest.mark.parametrize(
    ("changes", "words"), [({"lost": 1}, "lost 1"), ({"missed": 2}, "missed 2"), ({"behind_ns": 10**9}, "behind")]
)
def test_loss_and_a_late_sender_keep_a_responder_out(run: Results, changes: dict[str, int], words: str) -> None:
    found = with_series(run, "busy", OPEN, TAP, **changes)
    assert "busy" not in names(found) and headline(found).sentence
    assert any(name == "busy" and words in why for name, why in headline(found).left_out)


def test_a_loss_of_the_engine_moves_to_the_next_rate_and_then_to_none(run: Results) -> None:
    found = with_series(run, "engine", OPEN, lost=1)
    assert headline(found).load == FAST
    found = with_series(found, "engine", FAST, missed=1)
    said = headline(found)
    assert not said.sentence and "without loss" in said.why_not
    assert {name for name, _ in said.left_out} >= {"engine"}


@pytest.mark.parametrize("load", [CLOSED, Load("burst", 1000, 20, "bursts of 20")])
def test_closed_loops_and_bursts_make_no_headline(run: Results, load: Load) -> None:
    only = tuple(replace(one, load=load) for one in run.series if one.load == OPEN)
    assert not headline(replace(run, series=only)).sentence


def test_other_rigs_and_other_measures_make_no_headline(run: Results) -> None:
    assert not headline(replace(run, series=tuple(one for one in run.series if one.rig == VETH.name))).sentence
    wire = tuple(replace(one, measure="wire") for one in run.series)
    assert not headline(replace(run, series=wire)).sentence


def test_a_noisy_run_has_no_headline_and_holds_no_claim(run: Results) -> None:
    found = replace(run, noise=LOUD)
    assert not headline(found).sentence and LOUD.words in headline(found).why_not
    assert {one.verdict for one in criteria(found)} == {"cannot tell"}
    assert all(one.measured is not None for one in criteria(found)), "shown, but not held"


def test_a_run_that_was_changed_on_purpose_has_no_headline(run: Results) -> None:
    found = replace(run, title="the engine was made 2 times as slow")
    assert not headline(found).sentence and "on purpose" in headline(found).why_not
    assert {one.verdict for one in criteria(found)} == {"cannot tell"}


def test_claims_are_held_or_not_by_what_was_measured(run: Results) -> None:
    assert [one.held for one in criteria(run)] == [True] * 5
    slower = results(slow={"engine": 2.5})
    verdicts = {one.claim.title: one.held for one in criteria(slower)}
    assert verdicts["C busy-poll, p50"] is False and verdicts["AF_XDP, p50"] is False
    gone = replace(run, series=tuple(one for one in run.series if one.responder != "dpdk-af_xdp"))
    (dpdk,) = (one for one in criteria(gone) if "DPDK" in one.claim.title)
    assert dpdk.held is None and dpdk.measured is None and dpdk.why


STILL = {"gap_share": 0.01, "gaps_per_s": 300.0, "worst_gap_us": 900.0, "steal": 0.0, "floor_spread": 1.1}


def test_a_still_machine_is_conclusive() -> None:
    found = judge(STILL)
    assert found.conclusive and found.figures == STILL and "5%" in found.words


@pytest.mark.parametrize(
    ("figure", "value", "words"),
    [
        ("gap_share", 0.2, "20.0%"),
        ("worst_gap_us", 50_000.0, "50.00 ms"),
        ("steal", 0.1, "10.0%"),
        ("floor_spread", 2.0, "2.00-fold"),
    ],
)
def test_each_witness_alone_makes_it_inconclusive(figure: str, value: float, words: str) -> None:
    found = judge({**STILL, figure: value})
    assert not found.conclusive and words in found.words and "most allowed" in found.words
