"""The engine made slower on purpose: by a strategy in shadow, before its order leaves, and by nothing in the hook."""

from __future__ import annotations

import statistics

import pytest
from turbo_hft.errors import ConfigError
from turbo_hft.latency import slow
from turbo_hft.latency.inside.hook_rig import ARMED, HookRig
from turbo_hft.latency.inside.hook_rig import statistics as runtime_statistics

pytestmark = pytest.mark.kernel

_XDP_TX = 3


def test_the_hook_takes_longer_by_the_rounds_and_still_sends_the_same() -> None:
    """Of the same ticks; the kernel's own run time of the program, until the frame with the order is there."""
    with runtime_statistics(), HookRig() as rig:
        one = rig.round("trigger")

        def median() -> float:
            rig.rounds(one, 200)
            runs = rig.rounds(one, 1_000)
            rig.drain()
            assert set(runs.verdicts()) == {_XDP_TX}, "the order leaves all the same"
            return statistics.median(runs.hook_ns())

        plain = median()
        slow.slow_down(rig.engine, (ARMED.symbol,), 0)
        rig.native.program_fd = rig.engine.program.fd
        asked = median()
        slow.slow_down(rig.engine, (ARMED.symbol,), 4_000)
        some = median()
        slow.slow_down(rig.engine, (ARMED.symbol,), 16_000)
        many = median()
        orders = rig.engine.counters()["orders"]
    assert orders > 4_000
    assert plain < some < many and asked < some
    assert (many - asked) / (some - asked) == pytest.approx(4, rel=0.4), "in proportion to the rounds"


def test_more_rounds_than_the_loop_has_are_refused() -> None:
    with HookRig() as rig, pytest.raises(slow.SlowError, match="smaller factor"):
        slow.slow_down(rig.engine, (ARMED.symbol,), slow.MOST_ROUNDS + 1)


def test_an_installation_without_the_object_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    assert slow.slow_object().is_file()
    monkeypatch.setattr(slow, "_NAME", "nowhere.o")
    with pytest.raises(ConfigError, match="run make"):
        slow.slow_object()
