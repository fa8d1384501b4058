"""Sizes: what a person asks for, and what the program is loaded with."""

from __future__ import annotations

from typing import Any

import pytest
from turbo_hft._native import ffi, lib
from turbo_hft.errors import ConfigError
from turbo_hft.program import load_config


def test_defaults() -> None:
    config = load_config()
    assert (config.symbols, config.feeds, config.order_mask + 1, config.kept_mask + 1) == (256, 1, 131_072, 16_384)
    assert (config.level_mask + 1, config.ladder_mask + 1) == (65_536, 16_384)
    assert config.spill_mask + 1 == 16_384
    assert (config.verify_checksums, config.clock, config.time_all) == (1, lib.HFT_CLOCK_MONOTONIC, 0)
    assert (config.hold_ns, config.crossed_ns) == (2_000_000, 1_000_000_000)


@pytest.mark.parametrize(
    ("orders", "buckets"),
    [(1, 1), (2, 2), (3, 4), (4096, 4096), (4097, 8192), (2_000_000, 1 << 21), (1 << 25, 1 << 25)],
)
def test_the_order_table_is_at_most_a_quarter_full(orders: int, buckets: int) -> None:
    config = load_config(orders=orders)
    assert config.order_mask + 1 == buckets
    assert orders <= buckets * lib.HFT_BUCKET_SLOTS // 4
    assert config.spill_mask + 1 >= buckets // 8


def test_the_largest_order_table_is_half_full() -> None:
    assert load_config(orders=1 << 26).order_mask + 1 == 1 << 25


def test_levels_follow_the_orders_unless_given() -> None:
    assert load_config(orders=1_000_000).level_mask + 1 == 262_144
    assert load_config(orders=100_000, symbols=8192).level_mask + 1 == 65_536
    assert load_config(orders=4200, symbols=20).level_mask + 1 == 4096
    config = load_config(orders=1_000_000, levels=5)
    assert (config.level_mask + 1, config.ladder_mask + 1) == (8, 1024)
    assert load_config(levels=5000).ladder_mask + 1 == 2048


def test_the_rest() -> None:
    config = load_config(
        symbols=10_000, feeds=3, kept=1000, hold_ns=0, crossed_ns=0, clock="feed", time_all=True, verify_checksums=False
    )
    assert (config.symbols, config.feeds, config.kept_mask + 1) == (16_384, 4, 1024)
    assert (config.hold_ns, config.crossed_ns) == (0, 0)
    assert (config.clock, config.time_all, config.verify_checksums) == (lib.HFT_CLOCK_FEED, 1, 0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"symbols": 0},
        {"symbols": 16_385},
        {"orders": 0},
        {"orders": (1 << 26) + 1},
        {"orders": 1.5},
        {"levels": -1},
        {"kept": True},
        {"feeds": 5},
        {"hold_ns": -1},
        {"crossed_ns": 1 << 63},
        {"clock": "sundial"},
    ],
)
def test_values_that_cannot_be_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(wrong))} is"):
        load_config(**wrong)


LENGTHS = {b"A": 36, b"H": 25, b"D": 19}
GENERATION = 3


def scan(
    ring: Any, first: int, end: int, locates: set[int], *, feed: int = 0, room: int = 64
) -> tuple[list[tuple[int, bytes]], int]:
    """hft_kept_scan as the engine calls it."""
    wanted = ffi.new("unsigned char[]", lib.HFT_LOCATES)
    for locate in locates:
        wanted[locate] = 1
    args = ffi.new("struct hft_kept_scan *")
    args.locates, args.generation, args.end, args.mask, args.feed = wanted, GENERATION, end, 7, feed
    sequence, lost = ffi.new("unsigned long long *", first), ffi.new("unsigned long long *")
    found, messages = ffi.new("struct hft_kept[]", room), []
    while sequence[0] < end:
        for kept in found[0 : lib.hft_kept_scan(ring, args, sequence, found, room, lost)]:
            messages.append((kept.tag, bytes(ffi.buffer(kept.msg, kept.length))))
    return messages, lost[0]


def keep(ring: Any, sequence: int, locate: int, kind: bytes = b"A", *, feed: int = 0, **other: int) -> bytes:
    message = kind + locate.to_bytes(2, "big") + bytes(other.get("length", LENGTHS.get(kind, 20)) - 3)
    place = ring[feed * 8 + sequence % 8]
    place.tag = (other.get("generation", GENERATION) + 1) << 48 | sequence
    place.length = len(message)
    ffi.memmove(place.msg, message, len(message))
    return message


@pytest.mark.parametrize("room", [1, 2, 64])
def test_kept_messages_of_the_wanted_symbols_in_order(room: int) -> None:
    ring = ffi.new("struct hft_kept[]", 16)
    wanted = [(10, keep(ring, 10, 300, b"D")), (12, keep(ring, 12, 300)), (13, keep(ring, 13, 7, b"H"))]
    keep(ring, 11, 301)
    assert scan(ring, 9, 17, {300, 7}, room=room) == (wanted, 0)
    assert scan(ring, 11, 13, {300, 7}, room=room) == (wanted[1:2], 0), "neither before nor after the range"


def test_what_is_no_message_of_a_symbol_is_left_out() -> None:
    ring = ffi.new("struct hft_kept[]", 16)
    keep(ring, 1, 300, b"A", length=35)
    keep(ring, 2, 300, b"S", length=12)
    keep(ring, 3, 300, b"\xff")
    assert scan(ring, 1, 9, {300}) == ([], 0)


def test_overwritten_places_are_counted() -> None:
    """A place with a later message of this session, or of a later session, held something else before."""
    ring = ffi.new("struct hft_kept[]", 16)
    keep(ring, 18, 1)
    keep(ring, 3, 300, generation=GENERATION + 1)
    keep(ring, 4, 300, generation=GENERATION - 1)
    assert scan(ring, 1, 9, {300}) == ([], 2)


def test_feeds_have_rings_of_their_own() -> None:
    ring = ffi.new("struct hft_kept[]", 16)
    message = keep(ring, 5, 300, feed=1)
    assert scan(ring, 1, 9, {300}, feed=1) == ([(5, message)], 0)
    assert scan(ring, 1, 9, {300}, feed=0) == ([], 0)
