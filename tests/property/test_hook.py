"""The loaded program against its model, frame by frame: whatever arrives, both do the same."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest
from conftest import FUZZ_EXAMPLES
from hypothesis import given, settings
from hypothesis import strategies as st
from turbo_hft.model.names import Doubt, EventKind, FeedHealth, Reason, XdpAction
from turbo_hft.testing import Hook
from turbo_hft.testing.scenario import Scenario, rewrite_payload, stock_directory
from turbo_hft.testing.strategies import actions, any_frame
from turbo_hft.wire import itch50, ufo
from turbo_hft.wire.frame import udp_frame
from turbo_hft.wire.moldudp64 import EndOfSession, Packet
from twin import FEED, SECOND_FEED, SESSION, Twin

pytestmark = [pytest.mark.kernel, pytest.mark.fuzz]

SYMBOLS = {"AAPL": 13, "MSFT": 14, "ZVZZT": 15, "LATER": 16}
TRACKED_LATE = "LATER"
SECOND_SYMBOLS = {"INTC": 1, "CSCO": 2}
FEED_FLOW = ((str(FEED.source), 40000), (FEED.group, FEED.port))
LINE_B = ((str(FEED.source_b), 40000), (str(FEED.group_b), FEED.port))
assert FEED.rerequest is not None
REREQUEST = (FEED.rerequest.server, FEED.rerequest.local)
SECOND_FLOW = ((str(SECOND_FEED.source), 40000), (SECOND_FEED.group, SECOND_FEED.port))
REPLY_FLOW = (SESSION.remote, SESSION.local)
COMMANDER = ("240.0.0.0", 1)
MACS = (SESSION.remote_mac, SESSION.local_mac)

_STAMP = {"tracking_number": 0, "timestamp": 34_200_000_000_000}

_frames = 0
_did: Counter[str] = Counter()


@pytest.fixture(scope="module", autouse=True)
def _report() -> Iterator[None]:
    yield
    print(f"\n{_frames} frames compared with the model; what they did: {dict(sorted(_did.items()))}")


@pytest.fixture(scope="module")
def loaded() -> Iterator[Hook]:
    """Few messages are kept, so that they are overwritten and run out."""
    with Hook(kept=64) as hook:
        yield hook


def _count(twin: Twin) -> None:
    global _frames  # noqa: PLW0603 - one figure for the whole module, printed at its end
    _frames += twin.frames
    _did.update({name: value for name, value in twin.differences().items() if value})


def _targets(rng: random.Random) -> dict[str, int]:
    return {
        "buy_below_e4": rng.choice((0, 1_630_500, 1_631_000, 1_632_500, 1_632_500)),
        "sell_above_e4": rng.choice((0, 1_629_500, 1_630_000, 1_632_600)),
        "base_qty": rng.choice((0, 1, 100, 100)),
        "step_qty": rng.choice((0, 10)),
        "tick_e4": rng.choice((0, 100)),
        "cap_qty": rng.choice((50, 500)),
        "max_order_qty": rng.choice((40, 500, 500)),
        "max_notional_e4": rng.choice((10**8, 10**12, 10**12)),
        "max_position": rng.choice((100, 1000, 2**64 - 1)),
    }


def trading_twin(hook: Hook, rng: random.Random) -> tuple[Twin, Scenario]:
    """A configured, resumed engine whose symbols want to trade within the scenario's prices."""
    twin = Twin(hook)
    for name in SYMBOLS:
        if name != TRACKED_LATE:
            twin.add_symbol(name, **_targets(rng))
    twin.set_control(kill=1, max_orders_per_second=rng.choice((0, 1, 5, 1024, 1024, 5000)))
    scenario = Scenario(
        dict(SYMBOLS),
        FEED_FLOW,
        REPLY_FLOW,
        MACS,
        faults=rng.choice((0.0, 0.0, 0.01, 0.03, 0.1)),
        salt=rng.randrange(2**32),
        line_b=LINE_B,
        rerequest=REREQUEST,
        commands=(COMMANDER, twin.commands),
        nonce=twin.model.command_nonce,
        buckets=twin.buckets,
        kept_mask=twin.config.kept_mask,
        deep=rng.random() < 0.4,
    )
    return twin, scenario


def _datagram(flow: tuple[tuple[str, int], tuple[str, int]], payload: bytes) -> bytes:
    return udp_frame(src_mac=MACS[0], dst_mac=MACS[1], src=flow[0], dst=flow[1], payload=payload)


def play(twin: Twin, scenario: Scenario, action: str, number: int) -> None:
    """Every frame of an action; orders are answered later."""
    for frame in scenario.several(action, number):
        outcome = twin.packet(frame)
        if outcome.verdict == XdpAction.TX:
            scenario.observe(outcome.frame)


def turn_a_knob(twin: Twin, rng: random.Random) -> None:
    """Now and then Python changes something between two packets."""
    if rng.random() < 0.9:
        return
    slot = rng.randrange(len(twin.model.params))
    if TRACKED_LATE not in twin.engine.symbols and rng.random() < 0.3:
        twin.add_symbol(TRACKED_LATE, **_targets(rng))
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
        play(twin, scenario, action, number)
    twin.compare_state()
    _count(twin)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 2**32 - 1)), min_size=20, max_size=80), st.integers(0, 2**32))
def test_two_feeds_at_once_agree_with_the_model(loaded: Hook, steps: list[tuple[bool, int]], seed: int) -> None:
    """Their sequences, locates and references are their own; order entry is one."""
    rng = random.Random(seed)
    twin, first = trading_twin(loaded, rng)
    slots = [twin.add_symbol(name, feed=1, **_targets(rng)) for name in SECOND_SYMBOLS]
    second = replace(
        first,
        symbols=dict(SECOND_SYMBOLS),
        feed=SECOND_FLOW,
        line_b=None,
        rerequest=None,
        feed_index=1,
        first_slot=slots[0],
        session="SECONDFEED",
        salt=first.salt + 1,
        listings=[],
        live={},
        history=[],
        arrived=set(),
        cursor={"a": 1, "b": 1},
        resyncs={},
    )
    play(twin, first, "login", 1)
    for of_first, number in steps:
        turn_a_knob(twin, rng)
        action = rng.choice(("data", "data", "data", "market", "resync", "command", "abandon", "quiet"))
        play(twin, first if of_first else second, action, number)
        play(twin, first, "reply", number)
    twin.compare_state()
    _count(twin)


def test_a_long_drain_is_cut_and_goes_on(hook: Hook) -> None:
    """More kept messages than one packet drains; the plain fixture keeps enough of them."""
    rng = random.Random(5)
    twin, scenario = trading_twin(hook, rng)
    scenario.faults, scenario.deep = 0.0, True
    play(twin, scenario, "login", 1)
    play(twin, scenario, "directory", 1)
    lost = scenario.feed_seq
    scenario.frame("data", 1)
    while scenario.feed_seq < lost + 900:
        play(twin, scenario, "data", scenario.feed_seq)
    twin.compare_state()
    first = twin.model.feeds[0].expected_seq
    assert first == lost
    scenario.expected = lost
    play(twin, scenario, "rerequest", 1)
    assert lost + 512 < twin.model.feeds[0].expected_seq < scenario.feed_seq
    twin.compare_state()
    play(twin, scenario, "quiet", 1)
    assert twin.model.feeds[0].expected_seq == scenario.feed_seq
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
_ITCH = ("A", 36), ("E", 31), ("D", 19), ("U", 35), ("R", 39), ("H", 25), ("h", 21), ("Q", 40), ("P", 44), ("C", 36)
_OUCH = ("A", 64), ("E", 36), ("C", 18), ("J", 29)
_SHAPES = (*_ITCH, *_OUCH)
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
    sequences = {True: twin.model.feeds[0].expected_seq or 1, False: twin.model.session.expected_seq or 1}
    for is_feed, blocks in packets:
        first = sequences[is_feed]
        sequences[is_feed] += len(blocks)
        if is_feed:
            payload = Packet(scenario.session, first, tuple(blocks)).encode() if blocks else b""
        else:
            payload = ufo.Sequenced(first, tuple(blocks)).encode()
        twin.packet(_datagram(FEED_FLOW if is_feed else REPLY_FLOW, payload))
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


def test_a_level_takes_only_so_many_shares(loaded: Hook) -> None:
    """Three piles are more than a cell of a level holds; a snapshot of them is too."""
    twin, scenario = trading_twin(loaded, random.Random(2))
    scenario.faults, scenario.deep = 0.0, False
    for number, action in enumerate(("directory", "pile", "pile", "pile", "pile")):
        play(twin, scenario, action, number)
        twin.compare_state()
    assert twin.model.books[0].doubt == Doubt.FULL
    for number in range(20):
        play(twin, scenario, "resync", number)
    twin.compare_state()
    _count(twin)


def test_every_reason_that_lies_in_the_market_refuses(loaded: Hook) -> None:
    twin = Twin(loaded)
    wide = {"base_qty": 100, "cap_qty": 100, "max_order_qty": 100, "max_notional_e4": 10**12, "max_position": 10**6}
    twin.add_symbol("AAPL", buy_below_e4=1_640_000, **wide)
    twin.set_control(kill=1, max_orders_per_second=1000)
    twin.packet(_datagram(REPLY_FLOW, ufo.LoginAccepted("UFO0000001", 1).encode()))
    sequence = 1

    def send(*messages: itch50.Header, ahead: int = 0) -> list[str]:
        nonlocal sequence
        payload = Packet("SESSION001", sequence + ahead, tuple(message.encode() for message in messages)).encode()
        sequence += 0 if ahead else len(messages)
        events = twin.packet(_datagram(FEED_FLOW, payload)).events
        return [Reason(event.reason).name for event in events if event.kind == EventKind.REFUSED]

    head = {"stock_locate": 13, **_STAMP}
    open_market = itch50.SystemEvent(event_code="Q", **head)
    trading = itch50.StockTradingAction(stock="AAPL", trading_state="T", reserved="", reason="", **head)

    def offer(ref: int) -> itch50.AddOrder:
        return itch50.AddOrder(order_ref=ref, side="S", shares=1, stock="AAPL", price=1_630_000, **head)

    twin.packet(_datagram(FEED_FLOW, Packet("SESSION001", 1, (stock_directory("AAPL", 13, _STAMP),)).encode()))
    sequence = 2
    assert send(trading, offer(1)) == ["MARKET_CLOSED"]
    assert send(open_market, replace(trading, trading_state="P"), offer(2)) == ["NOT_TRADING"]
    halt = itch50.OperationalHalt(stock="AAPL", market_code="Q", halt_action="H", **head)
    assert send(trading, halt, offer(3)) == ["NOT_TRADING"]
    bid = replace(offer(4), side="B", price=1_630_100)
    assert send(replace(halt, halt_action="T"), bid) == ["BOOK_CROSSED"]
    twin.set_params(0, kill=0)
    assert send(itch50.OrderDelete(order_ref=4, **head)) == ["HALTED_SYMBOL"]
    assert send(open_market, ahead=5) == []
    assert send(offer(5)) == ["FEED_NOT_LIVE"]
    assert send(open_market, open_market, open_market, open_market) == []
    sequence += 1
    twin.set_params(0, kill=1)
    twin.set_control(kill=0)
    assert send(offer(6)) == ["HALTED_GLOBAL"]
    assert send(offer(7), itch50.MwcbStatus(breached_level="1", **head)) == ["MARKET_CLOSED"]
    assert send(offer(8), itch50.OrderDelete(order_ref=99, **head)) == ["BOOK_QUARANTINED"]
    twin.packet(_datagram(FEED_FLOW, EndOfSession("SESSION001", sequence).encode()))
    assert twin.model.feeds[0].health == FeedHealth.ENDED
    twin.compare_state()
    _count(twin)


# A run that never trades, fills, refuses or doubts proves nothing.
_REACHED = (
    *("not_ours", "truncated", "bad_checksum", "wrong_peer", "fragments"),
    *("feed_malformed", "feed_wrong_session", "feed_duplicates", "feed_end_of_session", "feed_heartbeats"),
    *("feed_holds", "feed_gaps", "feed_kept", "feed_not_kept", "feed_missed", "feed_rollovers"),
    *("itch_unknown_type", "itch_bad_length", "itch_bad_field", "book_untracked", "book_unknown_ref", "book_full"),
    *("book_kept", "book_quarantines", "book_restores", "commands", "commands_refused"),
    *("far levels", "triggers_stale", "wait_in_flight", "wait_limit", "orders", "fills"),
    *("reply_gaps", "reply_duplicates", "reply_unknown_ref"),
    *("refused feed_not_live", "refused market_closed", "refused not_trading", "refused book_crossed"),
    *(
        "refused book_quarantined",
        "refused max_order_qty",
        "refused order_rate",
        "refused halted_global",
        "refused session_down",
    ),
    *(f"itch {kind}" for kind in "SRHYLVKJhAFECXDUPQBIN"),
    *(f"doubt {doubt}" for doubt in ("field", "unknown_ref", "full", "gap", "requested", "snapshot")),
)
# Seldom enough that the short form may miss it.
_REACHED_IN_THE_LONG_RUN = (
    *("book_duplicate_ref", "book_over_reduce", "book_crossed", "itch W", "reply_bad_state"),
    *("doubt length", "doubt duplicate_ref", "doubt over_reduce", "doubt crossed", "doubt late"),
    *("refused max_notional", "refused halted_symbol"),
)


def test_fuzz_compares_enough_frames() -> None:
    """`make fuzz` promises 100,000 frames; the short form a tenth."""
    long_run = settings().max_examples >= FUZZ_EXAMPLES
    assert _frames >= (100_000 if long_run else 10_000)
    missing = [name for name in (*_REACHED, *(_REACHED_IN_THE_LONG_RUN if long_run else ())) if not _did[name]]
    assert not missing, f"no frame ever reached {missing}"
