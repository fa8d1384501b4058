"""The figures of the hook itself, in a tiny form: positive, and they fit together. No absolute times."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace

import pytest
from turbo_hft._native import ffi
from turbo_hft.errors import CapabilityError, ConfigError
from turbo_hft.latency import inside
from turbo_hft.latency.histogram import decode
from turbo_hft.latency.inside import control, hook_time, scale, stages, throughput, verifier
from turbo_hft.latency.inside.hook_rig import Frames, HookRig, InsideError, constant, statistics
from turbo_hft.latency.inside.sampling import TINY, figure, in_turns, median, percentiles
from turbo_hft.latency.results import Figure, Skipped

pytestmark = pytest.mark.kernel
DROP, PASS = 1, 2
TWO_CPUS = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two CPUs")


def quiet(text: str) -> None:
    """Nobody is told."""


def value(figures: Iterable[Figure], name: str, **parameters: str | int | float) -> float:
    """The median of the one figure of that name and those parameters."""
    wanted = {key.replace("_", " "): item for key, item in parameters.items()}
    found = [f for f in figures if f.name == name and wanted.items() <= f.parameters.items()]
    assert len(found) == 1, (name, wanted, [f.parameters for f in found])
    return median(found[0].samples)


def test_a_trigger_takes_longer_than_no_trigger_and_that_longer_than_nothing() -> None:
    figures, series = hook_time.measure(TINY, quiet)
    trigger = value(figures, "program", packet="tick to order frame", percentile="p50")
    nothing = value(figures, "program", packet="two instructions", percentile="p50")
    kept = [
        value(figures, "message", symbols="tracked", messages_a_packet=n, percentile="p50")
        for n in hook_time.PER_PACKET
    ]
    assert trigger > kept[0] > nothing > 0
    # The more messages share a packet, the less each costs.
    assert kept[0] > kept[1] > kept[2] and kept[1] > kept[3]
    # What the engine says of itself is part of what the kernel says of it.
    said = value(figures, "hook_ns of the event")
    assert 0 < said < trigger
    for one in series:
        assert len(one.repetitions) == TINY.repetitions
        for repetition in one.repetitions:
            assert decode(repetition.histogram).get_total_count() == repetition.triggers == TINY.rounds
            assert repetition.orders + repetition.missed == repetition.triggers


def test_stages_add_up_to_the_whole() -> None:
    figures, _ = stages.measure(TINY, quiet)
    each = {stage: value(figures, stage) for stage in stages.STAGES}
    whole = value(figures, "whole")
    # Repetition by repetition they do so exactly; medians need not.
    sums = [sum(f.samples[i] for f in figures if f.name in stages.STAGES) for i in range(TINY.repetitions)]
    assert sums == pytest.approx(next(f for f in figures if f.name == "whole").samples)
    assert sum(each.values()) == pytest.approx(whole, rel=0.25)
    for stage in ("wire", "message", "strategy", "risk", "order"):
        assert each[stage] > 0, stage
    assert all(f.parameters["method"] for f in figures)
    assert value(figures, "frame of others") < each["wire"]


def test_a_spoiled_frame_is_never_applied_whatever_its_checksum_was() -> None:
    with HookRig() as rig:
        runs = rig.rounds(rig.round("spoiled"), 70_000, timed=False)  # more than there are checksums
        assert set(runs.verdicts()) == {PASS}
        assert rig.engine.counters()["bad_checksum"] == 70_000


def test_an_order_that_nobody_answers_ends_the_rounds() -> None:
    with HookRig() as rig:
        trigger = rig.round("trigger")
        trigger.native.reply = ffi.NULL
        with pytest.raises(Exception, match="cannot go on"):
            rig.rounds(trigger, 10)


def test_statistics_are_read_only_while_they_are_kept() -> None:
    with constant(DROP) as floor, HookRig() as rig:
        frames, one = Frames(floor), rig.round("spoiled")
        with statistics():
            assert all(frames.rounds(one, 50).hook_ns())
        with pytest.raises(Exception, match="cannot go on"):
            frames.rounds(one, 50)  # they do not count the runs


def test_throughput_is_the_less_the_more_is_done() -> None:
    figures, _ = throughput.measure(TINY, quiet)

    def packets(what: str, counted: str) -> float:
        return value(figures, "packets", what=what, counted=counted)

    live = throughput.LIVE
    drop, heartbeat = packets("XDP_DROP, two instructions", live), packets("packet without messages", live)
    assert drop > heartbeat > packets("packet of 20 that came before", live) > 0
    for counted in (throughput.RUN_TIME, throughput.WALL):
        nobody = packets("20 messages of symbols nobody asked for", counted)
        assert nobody > packets("20 messages into books", counted) > 0
    books = {
        counted: value(figures, "messages", what="20 messages into books", counted=counted)
        for counted in (throughput.RUN_TIME, throughput.WALL)
    }
    assert books[throughput.RUN_TIME] > books[throughput.WALL]
    assert packets("trade: tick, order, replies, delete", throughput.RUN_TIME) > 0


def test_a_market_grows() -> None:
    skipped: list[Skipped] = []
    figures, _ = scale.measure(TINY, quiet, skipped)
    memory = [value(figures, "memory of all maps", axis="live orders", value=n) for n in TINY.live]
    assert 0 < memory[0] < memory[-1]
    for axis in ("symbols", "live orders", "armed", "shadows"):
        found = [f for f in figures if f.name == "message" and f.parameters["axis"] == axis]
        assert len(found) > 1 and all(min(f.samples) > 0 for f in found)
    assert value(figures, "message", axis="shadows", value=4) > value(figures, "message", axis="shadows", value=0)
    if skipped:
        assert len(os.sched_getaffinity(0)) < 2
    else:
        one, two = (value(figures, "message", axis="queues", value=n) for n in (1, 2))
        assert two > one > 0  # they wait for each other
        assert value(figures, "contended packets", axis="queues", value=1) == 0


def test_a_market_that_does_not_fit_is_skipped_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale, "_available_bytes", lambda: 1_000_000)
    skipped: list[Skipped] = []
    points = [scale.Point("live orders", n, 10, n) for n in TINY.live]
    with statistics():
        figures = scale._axis(TINY, points, skipped)
    assert [f.parameters["value"] for f in figures] == [TINY.live[0]] * 2
    assert [one.what for one in skipped] == [f"scale: {TINY.live[1]:,} live orders"]


@TWO_CPUS
def test_no_packet_that_begins_after_a_statement_has_returned_disobeys_it() -> None:
    with HookRig() as rig:
        found, gaps = control.obey(rig, 50)
        assert set(found) == {"buy_below = x, to trade", "buy_below = x, to stop", "halt()", "resume()"}
        for name, one in found.items():
            assert one.violations == 0, name
            assert len(one.effect_ns) == len(one.store_ns) == 50
            assert min(one.effect_ns) > 0 and min(one.store_ns) > 0
        assert min(gaps) > 0


@TWO_CPUS
def test_control_has_a_figure_for_every_statement() -> None:
    figures, _ = control.measure(TINY, quiet)
    for f in figures:
        assert f.section == "control"
        if f.name in ("events lost", "packets after its return that did not obey"):
            assert set(f.samples) == {0.0}, f
        else:
            assert min(f.samples) > 0, f
    native = value(figures, "events drained", statement="C, copied into an array")
    assert native > value(figures, "events drained", statement="for event in engine.events")


def test_nothing_is_lost_below_the_size_of_the_ring_and_it_is_said_above() -> None:
    with HookRig() as rig:
        rig.drain()
        control.fill(rig, control.ring_records())
        assert rig.engine.events.lost == 0
        assert rig.drain() == control.ring_records()
        with pytest.raises(InsideError, match="in the ring"):
            control.fill(rig, control.ring_records() + 1)
        assert rig.engine.events.lost == 1


def test_the_verifier_has_figures_within_the_budget() -> None:
    figures, _ = verifier.measure(TINY, quiet)
    assert 0 < value(figures, "instructions processed") <= 250_000
    assert 0 < value(figures, "stack of the function that takes most") <= 512
    assert all(min(f.samples) > 0 for f in figures)


def test_sections_are_measured_by_name() -> None:
    told: list[str] = []
    figures, series, skipped = inside.measure("short", told.append, ["verifier", "stage"], TINY)
    assert {f.section for f in figures} == {"verifier", "stage"}
    assert not series and not skipped and len(told) == 2
    with pytest.raises(ConfigError, match="no section nothing"):
        inside.measure("short", quiet, ["nothing"])


def test_what_this_process_may_not_do_is_skipped_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> inside.Found:
        raise CapabilityError("not allowed here")

    monkeypatch.setitem(inside.SECTIONS, "stage", refused)
    figures, _, skipped = inside.measure("short", quiet, ["stage", "verifier"], replace(TINY, repetitions=1))
    assert {f.section for f in figures} == {"verifier"}
    assert skipped == [Skipped("the hook itself: stage", "not allowed here")]


def test_percentiles_are_given_where_enough_lies_beyond_them() -> None:
    assert percentiles(list(range(100))) == {"p50": 50, "p90": 90, "max": 99}
    assert "p99" in percentiles(list(range(1000))) and "p99.9" not in percentiles(list(range(1000)))
    with pytest.raises(ValueError, match="no samples"):
        figure("a", "b", "ns", [])


def test_contestants_take_turns() -> None:
    order: list[str] = []
    in_turns(3, "ab", order.append)
    assert "".join(order) == "abbaab"
