"""A line of the feed: at once without faults, and each fault as it is described."""

from __future__ import annotations

from typing import Any

import pytest
from turbo_hft.errors import ConfigError
from turbo_hft.exchange import ExchangeConfig
from turbo_hft.exchange.line import CommonLoss, Faults, Line

MANY = 20_000
STEP_NS = 1_000_000


def packet(number: int) -> bytes:
    return number.to_bytes(4, "big")


def run(line: Line[bytes], packets: int = MANY, step_ns: int = STEP_NS) -> list[tuple[int, int]]:
    """(packet number, when it was handed out in ns) of all packets, offered one every `step_ns`."""
    out: list[tuple[int, int]] = []

    def until(end_ns: int | None) -> None:
        while (due := line.next_due_ns) is not None and (end_ns is None or due < end_ns):
            assert line.due(due - 1) == []
            handed = line.due(due)
            assert handed
            out.extend((int.from_bytes(raw, "big"), due) for raw in handed)

    for number in range(1, packets + 1):
        now = number * step_ns
        until(now)
        line.offer(packet(number), now)
        out += [(int.from_bytes(raw, "big"), now) for raw in line.due(now)]
    until(None)
    return out


def test_without_faults_packets_leave_at_once() -> None:
    line = Line[bytes]()
    assert line.next_due_ns is None
    assert run(line) == [(number, number * STEP_NS) for number in range(1, MANY + 1)]
    assert line.pending == 0
    assert line.counters() == {
        "offered": MANY, "sent": MANY, "lost": 0, "lost_on_both": 0, "duplicated": 0, "reordered": 0, "delayed": 0,
    }  # fmt: skip


def test_only_a_line_without_any_fault_is_perfect() -> None:
    assert Line[bytes]().perfect
    for faults in (Faults(loss=0.1), Faults(duplicate=0.1), Faults(reorder=0.1), Faults(delay_ns=(0, 1))):
        assert not Line[bytes](faults).perfect
    assert not Line[bytes](common=CommonLoss(0.1, 1)).perfect
    line = Line[bytes]()
    line.carry()
    assert (line.offered, line.sent, line.pending) == (1, 1, 0)


def test_loss_is_a_share_and_differs_between_seeds() -> None:
    lines = [Line[bytes](Faults(loss=0.1), seed) for seed in (1, 2)]
    seen = [{number for number, _ in run(line)} for line in lines]
    for line, numbers in zip(lines, seen, strict=True):
        assert line.lost == MANY - len(numbers) == pytest.approx(MANY * 0.1, rel=0.1)
    lost_by_both = MANY - len(seen[0] | seen[1])
    assert lost_by_both == pytest.approx(MANY * 0.01, rel=0.3)  # by chance alone


def test_a_seed_gives_the_same_faults() -> None:
    faults = Faults(loss=0.1, duplicate=0.1, reorder=0.1, delay_ns=(0, 5 * STEP_NS))
    assert run(Line[bytes](faults, 7), 500) == run(Line[bytes](faults, 7), 500)
    assert run(Line[bytes](faults, 7), 500) != run(Line[bytes](faults, 8), 500)


def test_duplicates_follow_within_three_packets() -> None:
    line = Line[bytes](Faults(duplicate=0.2), 3)
    order = [number for number, _ in run(line)]
    assert line.duplicated == len(order) - MANY == pytest.approx(MANY * 0.2, rel=0.1)
    gaps = set()
    for at, number in enumerate(order):
        if number in order[at + 1 : at + 12]:
            between = order[at + 1 : order.index(number, at + 1)]
            gaps.add(len({other for other in between if other > number}))
    assert gaps == {0, 1, 2, 3}


def test_a_reordered_packet_is_overtaken_by_one_to_three() -> None:
    line = Line[bytes](Faults(reorder=0.01), 3)
    handed = run(line)
    order = [number for number, _ in handed]
    assert sorted(order) == list(range(1, MANY + 1))
    late = [at for at, number in enumerate(order) if number < max(order[:at], default=0)]
    assert len(late) == line.reordered == pytest.approx(MANY * 0.01, rel=0.2)
    held = {order[at] for at in late}  # these wait themselves, and overtake nobody
    overtaken = [sum(other > order[at] and other not in held for other in order[max(0, at - 9) : at]) for at in late]
    assert set(overtaken) == {1, 2, 3}


def test_a_reordered_packet_that_nothing_overtakes_comes_after_ten_milliseconds() -> None:
    line = Line[bytes](Faults(reorder=1.0))
    line.offer(b"only", 5)
    assert line.due(5) == [] and line.pending == 1
    assert line.next_due_ns == 5 + 10_000_000
    assert line.due(5 + 10_000_000) == [b"only"]


def test_delay_keeps_the_order() -> None:
    line = Line[bytes](Faults(delay_ns=(2 * STEP_NS, 6 * STEP_NS)), 3)
    handed = run(line)
    assert [number for number, _ in handed] == list(range(1, MANY + 1))
    delays = [at - number * STEP_NS for number, at in handed]
    assert 2 * STEP_NS <= min(delays) < 3 * STEP_NS
    assert 5.9 * STEP_NS < max(delays) <= 6 * STEP_NS
    assert line.delayed == MANY


def test_a_delayed_packet_waits_for_its_time() -> None:
    line = Line[bytes](Faults(delay_ns=(100, 100)))
    line.offer(b"a", 1000)
    line.offer(b"b", 1050)
    assert (line.due(1099), line.next_due_ns) == ([], 1100)
    assert line.due(1100) == [b"a"]
    assert line.due(1150) == [b"b"]


def test_common_loss_hits_the_same_packets_of_both_lines() -> None:
    common = CommonLoss(0.05, 1)
    lines = [Line[bytes](Faults(loss=0.1), name, common) for name in "ab"]
    seen = [{number for number, _ in run(line)} for line in lines]
    hit = {number for number in range(1, MANY + 1) if common.loses(number)}
    assert len(hit) == pytest.approx(MANY * 0.05, rel=0.15)
    assert hit.isdisjoint(seen[0] | seen[1])
    assert [line.lost_on_both for line in lines] == [len(hit)] * 2
    assert hit != {number for number in range(1, MANY + 1) if CommonLoss(0.05, 2).loses(number)}


def test_everything_and_nothing() -> None:
    assert run(Line[bytes](Faults(loss=1.0)), 100) == []
    assert len(run(Line[bytes](Faults(duplicate=1.0)), 100)) == 200
    assert CommonLoss(1.0, 0).loses(1) and not CommonLoss(0.0, 0).loses(1)


@pytest.mark.parametrize(
    ("faults", "words"),
    [
        ({"loss": 1.1}, "loss 1.1: give a share"),
        ({"duplicate": -0.1}, "duplicate -0.1"),
        ({"reorder": float("nan")}, "reorder nan"),
        ({"delay_ns": (2000, 1000)}, "from 2 to 1 µs: give the shorter one first"),
        ({"delay_ns": (-1000, 1000)}, "0 or more"),
    ],
)
def test_faults_that_cannot_be(faults: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Faults(**faults)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"faults_b": Faults(loss=0.1)}, "line B that is not there"),
        ({"loss_both": 0.1}, "--feed-b"),
        ({"loss_both": 2.0, "feed_b": ("239.77.0.2", 1)}, "loss on both lines 2.0"),
        ({"feed_b": ("239.77.0.1", 26477)}, "another group or port"),
        ({"rerequest_loss": -1.0}, "re-request loss -1.0"),
        ({"rerequest_delay_ns": (2, 1)}, "shorter one first"),
        ({"rerequest_keep": 0}, "0 messages to keep"),
        ({"glimpse_delay_s": -1.0}, "snapshot delay -1.0 s"),
        ({"rollover_after": 0}, "rollover after 0 messages"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        ExchangeConfig(**settings)
