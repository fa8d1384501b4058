"""The loaded program against its model, frame by frame: whatever arrives, both do the same."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator

import pytest
from conftest import FUZZ_EXAMPLES
from hypothesis import given, settings
from hypothesis import strategies as st
from turbo_hft.model.names import XdpAction
from turbo_hft.testing import Hook
from turbo_hft.testing.scenario import Scenario, rewrite_payload
from turbo_hft.testing.strategies import actions, any_frame
from turbo_hft.wire import ufo
from turbo_hft.wire.frame import udp_frame
from turbo_hft.wire.moldudp64 import Packet
from twin import FEED, SESSION, Twin

pytestmark = [pytest.mark.kernel, pytest.mark.fuzz]

SYMBOLS = {"AAPL": 13, "MSFT": 14, "ZVZZT": 15}
FEED_FLOW = ((str(FEED.source), 40000), (FEED.group, FEED.port))
REPLY_FLOW = (SESSION.remote, SESSION.local)
MACS = (SESSION.remote_mac, SESSION.local_mac)

_frames = 0
_did: Counter[str] = Counter()


@pytest.fixture(scope="module", autouse=True)
def _report() -> Iterator[None]:
    yield
    print(f"\n{_frames} frames compared with the model; what they did: {dict(sorted(_did.items()))}")


@pytest.fixture(scope="module")
def loaded() -> Iterator[Hook]:
    with Hook() as hook:
        yield hook


def _count(twin: Twin) -> None:
    global _frames  # noqa: PLW0603 - one figure for the whole module, printed at its end
    _frames += twin.frames
    _did.update({name: value for name, value in twin.differences().items() if value})


def trading_twin(hook: Hook, rng: random.Random) -> tuple[Twin, Scenario]:
    """A configured, resumed engine whose symbols want to trade within the scenario's prices."""
    twin = Twin(hook)
    for name in SYMBOLS:
        twin.add_symbol(
            name,
            buy_below_e4=rng.choice((0, 1_630_500, 1_631_000, 1_632_500)),
            sell_above_e4=rng.choice((0, 1_629_500, 1_630_000, 1_632_600)),
            base_qty=rng.choice((0, 1, 100, 100)),
            step_qty=rng.choice((0, 10)),
            tick_e4=rng.choice((0, 100)),
            cap_qty=rng.choice((50, 500)),
            max_order_qty=rng.choice((40, 500, 500)),
            max_notional_e4=rng.choice((10**9, 10**12)),
            max_position=rng.choice((100, 1000, 2**64 - 1)),
        )
    twin.set_control(kill=1, max_orders_per_second=rng.choice((0, 1, 5, 1024, 1024, 5000)))
    faults = rng.choice((0.0, 0.0, 0.005, 0.05))
    return twin, Scenario(dict(SYMBOLS), FEED_FLOW, REPLY_FLOW, MACS, faults, rng.randrange(2**32))


def turn_a_knob(twin: Twin, rng: random.Random) -> None:
    """Now and then Python changes something between two packets."""
    if rng.random() < 0.9:
        return
    slot = rng.randrange(len(SYMBOLS))
    rng.choice(
        (
            lambda: twin.set_control(kill=rng.choice((0, 1, 1, 7))),
            lambda: twin.set_control(max_orders_per_second=rng.choice((0, 2, 1024))),
            lambda: twin.set_params(slot, kill=rng.choice((0, 1, 1))),
            lambda: twin.set_params(slot, buy_below_e4=rng.choice((0, 1_629_500, 1_632_000, 2**63))),
            lambda: twin.set_params(slot, sell_above_e4=rng.choice((0, 1, 1_631_000))),
            lambda: twin.set_params(
                slot, base_qty=rng.choice((0, 100, 2**64 - 1)), cap_qty=rng.choice((0, 10, 2**64 - 1))
            ),
            lambda: twin.set_params(slot, max_position=rng.choice((0, 50, 10**9, 2**64 - 1))),
        )
    )()


@given(actions(), st.integers(0, 2**32 - 1))
def test_hook_and_model_agree_on_every_sequence_of_frames(
    loaded: Hook, steps: list[tuple[str, int]], seed: int
) -> None:
    rng = random.Random(seed)
    twin, scenario = trading_twin(loaded, rng)
    for action, number in [("login", 10), ("directory", 10), *steps]:
        turn_a_knob(twin, rng)
        outcome = twin.packet(scenario.frame(action, number))
        if outcome.verdict == XdpAction.TX:
            scenario.observe(outcome.frame)
    twin.compare_state()
    _count(twin)


@given(st.lists(any_frame(), min_size=20, max_size=60), st.integers(0, 2**32 - 1))
def test_any_bytes_at_all_pass_and_change_nothing(loaded: Hook, frames: list[bytes], seed: int) -> None:
    twin, _ = trading_twin(loaded, random.Random(seed))
    before = twin.image()
    for frame in frames:
        assert twin.packet(frame).verdict == XdpAction.PASS
    assert twin.image() == before
    twin.compare_state()
    _count(twin)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 59), st.integers(0, 255)), min_size=20, max_size=60), st.data())
def test_one_wrong_byte_in_the_headers_agrees_with_the_model(
    loaded: Hook, damage: list[tuple[bool, int, int]], data: st.DataObject
) -> None:
    """Ethernet, tags, IPv4 with options, UDP: every field of a frame of ours, one byte of it anything."""
    twin, scenario = trading_twin(loaded, random.Random(data.draw(st.integers(0, 2**32 - 1))))
    for is_feed, at, value in damage:
        raw = bytearray(scenario.frame("quiet" if is_feed else "control", at * 256 + value))
        raw[at % len(raw)] = value
        assert twin.packet(bytes(raw)).verdict != XdpAction.TX
    twin.compare_state()
    _count(twin)


# Right lengths of messages that would change something, with fields of any value; and anything else.
_SHAPES = (("A", 36), ("E", 31), ("D", 19), ("U", 35), ("R", 39), ("A", 64), ("E", 36), ("C", 18), ("J", 29))
_BLOCK = st.one_of(
    st.binary(max_size=70),
    st.sampled_from(_SHAPES).flatmap(
        lambda shape: st.binary(min_size=shape[1] - 1, max_size=shape[1] - 1).map(lambda body: shape[0].encode() + body)
    ),
)


@given(
    st.lists(st.tuples(st.booleans(), st.lists(_BLOCK, max_size=4)), min_size=10, max_size=40), st.integers(0, 2**32)
)
def test_any_messages_in_good_packets_agree_with_the_model(
    loaded: Hook, packets: list[tuple[bool, list[bytes]]], seed: int
) -> None:
    twin, scenario = trading_twin(loaded, random.Random(seed))
    for action in ("login", "directory"):
        twin.packet(scenario.frame(action, 10))
    sequences = {True: twin.model.feed.expected_seq or 1, False: twin.model.session.expected_seq or 1}
    for is_feed, blocks in packets:
        first = sequences[is_feed]
        sequences[is_feed] += len(blocks)
        if is_feed:
            payload = Packet(scenario.session, first, tuple(blocks)).encode() if blocks else b""
        else:
            payload = ufo.Sequenced(first, tuple(blocks)).encode()
        source, destination = FEED_FLOW if is_feed else REPLY_FLOW
        twin.packet(udp_frame(src_mac=MACS[0], dst_mac=MACS[1], src=source, dst=destination, payload=payload))
    twin.compare_state()
    _count(twin)


@given(
    st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 400), st.integers(0, 255)), min_size=10, max_size=40)
)
def test_one_wrong_byte_in_a_good_payload_agrees_with_the_model(
    loaded: Hook, damage: list[tuple[int, int, int]]
) -> None:
    twin, scenario = trading_twin(loaded, random.Random(len(damage)))
    for action in ("login", "directory"):
        twin.packet(scenario.frame(action, 10))
    for number, at, value in damage:
        good = scenario.frame("data" if number % 3 else "reply", number)

        def change(payload: bytes, at: int = at, value: int = value) -> bytes:
            raw = bytearray(payload)
            if raw:
                raw[at % len(raw)] = value
            return bytes(raw)

        try:
            frame = rewrite_payload(good, change)
        except ValueError:  # the scenario spoilt its headers already
            frame = good
        outcome = twin.packet(frame)
        if outcome.verdict == XdpAction.TX:
            scenario.observe(outcome.frame)
    twin.compare_state()
    _count(twin)


def test_fuzz_compares_enough_frames() -> None:
    """`make fuzz` promises 100,000 frames; the short form a tenth."""
    wanted = 100_000 if settings().max_examples >= FUZZ_EXAMPLES else 10_000
    assert _frames >= wanted
    # A fuzz run that never trades, fills, refuses or doubts proves nothing.
    for name in ("orders", "triggers_stale", "wait_in_flight", "wait_limit", "feed_gaps", "book_unknown_ref", "fills"):
        assert _did[name], f"no frame ever reached {name}"
