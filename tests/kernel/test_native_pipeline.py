"""The hook's code compiled for the host, against the loaded program: the same frames, the same in every byte.

This is what makes a comparison with user-space peers one of the same work.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from turbo_hft._native import ffi, lib
from turbo_hft.latency.pipeline import Pipeline, not_taken
from turbo_hft.program import map_shapes
from turbo_hft.testing import Hook, Verdict
from turbo_hft.testing.order_desk import OrderDesk
from turbo_hft.testing.scenario import Scenario
from turbo_hft.testing.strategies import actions
from twin import FEED, SESSION, Twin

pytestmark = [pytest.mark.kernel]

SYMBOLS = {"AAPL": 13, "MSFT": 14, "ZVZZT": 15}
MACS = (SESSION.remote_mac, SESSION.local_mac)
FEED_FLOW = ((str(FEED.source), 40000), (FEED.group, FEED.port))
LINE_B = ((str(FEED.source_b), 40000), (str(FEED.group_b), FEED.port))
#: Words that name a CPU, a moment, or a packet by a number of one's own, by table.
_OWN = {
    "feed_state": ("struct hft_feed_state", "cpu"),
    "books": ("struct hft_book", "touched"),
    "working": ("struct hft_working", "sent_ns"),
}
_EVENT_BYTES = ffi.sizeof("struct hft_event")


@pytest.fixture(scope="module")
def loaded() -> Iterator[Hook]:
    # On one CPU: the hook counts when it is entered by another one, which the same code outside the kernel does not.
    cpus = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cpus)})
    try:
        with Hook(kept=64) as hook:
            yield hook
    finally:
        os.sched_setaffinity(0, cpus)


class Pair:
    """The loaded program and the native pipeline in the same state."""

    def __init__(self, hook: Hook, seed: int) -> None:
        rng = random.Random(seed)
        twin = Twin(hook, SESSION)
        self.hook = hook
        for name in SYMBOLS:
            twin.add_symbol(
                name,
                strategy=rng.choice((1, 2, 3, 4, 4)),
                shadow=rng.choice((0, 0b11110)),
                buy_below_e4=1_632_500,
                sell_above_e4=1_629_500,
                base_qty=100,
                step_qty=10,
                cap_qty=500,
                imbalance_ppm=500_000,
                imbalance_qty=50,
                momentum_ticks=1,
                momentum_window_ns=10**10,
                momentum_qty=100,
                quote_half_spread_e4=300,
                quote_qty=100,
                quote_inventory=1000,
                quote_requote_e4=100,
            )
        twin.widen()
        self.scenario = Scenario(
            dict(SYMBOLS),
            FEED_FLOW,
            (SESSION.remote, SESSION.local),
            MACS,
            faults=rng.choice((0.0, 0.0, 0.01, 0.05)),
            salt=seed,
            line_b=LINE_B,
            commands=(("240.0.0.0", 1), twin.commands),
            nonce=twin.model.command_nonce,
            buckets=twin.buckets,
            kept_mask=twin.config.kept_mask,
            deep=rng.random() < 0.4,
            desk=OrderDesk("ouch50"),
        )
        tallies = bytes(hook.engine.program.shared_bytes("tallies"))
        ffi.memmove(hook.engine.program.share("tallies", writable=True), tallies, len(tallies))
        self.pipeline = Pipeline.take_over(hook.engine)
        self.sent = 0

    def play(self, action: str, seed: int) -> None:
        for frame in self.scenario.several(action, seed):
            kernel = self.hook.run(frame)
            verdict, out = self.pipeline.frame(frame)
            assert verdict == kernel.verdict
            if kernel.verdict != Verdict.DROP:
                assert out == kernel.frame
            if kernel.verdict == Verdict.TX:
                self.sent += 1
                self.scenario.observe(out)

    def compare(self) -> None:
        """Every table of the one is every table of the other."""
        program = self.hook.engine.program
        for name in self.pipeline.tables():
            theirs = bytearray(ffi.buffer(program.share(name), program.shared_bytes(name)))
            ours = bytearray(self.pipeline.get(name))
            if name in _OWN:
                ctype, field = _OWN[name]
                for raw in (theirs, ours):
                    for entry in ffi.cast(f"{ctype} *", ffi.from_buffer(raw))[0 : len(raw) // ffi.sizeof(ctype)]:
                        setattr(entry, field, 0)
            assert ours == theirs, name
        stream = self.hook.engine.events
        count = lib.hft_ring_drain(stream._ring, stream._records, 4096)
        records = stream._records[0:count]
        native = ffi.new("struct hft_event[]", count)
        written = self.pipeline.events(0)
        assert len(written) == count * _EVENT_BYTES
        ffi.memmove(native, written, len(written))
        for one, other in zip(records, native, strict=True):
            for event in (one, other):
                event.local_ns = event.hook_ns = 0
            assert bytes(ffi.buffer(ffi.addressof(one))) == bytes(ffi.buffer(ffi.addressof(other)))


def test_every_map_of_the_engine_is_taken_over(loaded: Hook) -> None:
    shapes = map_shapes(loaded.engine.program.config)
    assert set(Pipeline.tables()) == set(shapes) - set(not_taken())
    pipeline = Pipeline.take_over(loaded.engine)
    for name in pipeline.tables():
        assert len(pipeline.get(name)) == shapes[name].bytes, name


@given(actions(60), st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_the_native_pipeline_does_what_the_loaded_program_does(
    loaded: Hook, steps: list[tuple[str, int]], seed: int
) -> None:
    pair = Pair(loaded, seed)
    for number, action in enumerate(("login", "directory", *("data", "data", "market") * 5)):
        pair.play(action, number)
    for action, number in steps:
        pair.play(action, number)
    pair.compare()


def test_days_of_given_seeds_trade_the_same(loaded: Hook) -> None:
    """Always the same days, and orders enough in them to mean something."""
    sent = 0
    for seed in range(60):
        pair, rng = Pair(loaded, seed), random.Random(seed)
        for action in ("login", "directory", *("data", "data", "data", "reply", "market") * 40):
            pair.play(action, rng.randrange(2**32))
        pair.compare()
        sent += pair.sent
    assert sent > 100
