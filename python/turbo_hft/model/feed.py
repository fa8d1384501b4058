"""Rule 2: MoldUDP64."""

from __future__ import annotations

from . import itch, order
from .names import MAX_BLOCKS, MAX_FEED_SEQUENCE, U32_MAX, EventKind, FeedHealth, XdpAction
from .state import ModelState
from .wire import split_blocks, u16, u64

HEARTBEAT = 0
END_OF_SESSION = 0xFFFF


def handle(model: ModelState, payload: bytes) -> tuple[XdpAction, bytes]:
    """One feed datagram. Returns the verdict and, with ``XDP_TX``, the frame of the orders it caused."""
    feed = model.feed
    model.count("feed_packets")

    if len(payload) < 20:
        return malformed(model)
    session, sequence, count = payload[0:10], u64(payload, 10), u16(payload, 18)
    if sequence == 0 or sequence > MAX_FEED_SEQUENCE:
        return malformed(model)
    blocks: list[bytes] | None = []
    if count in (HEARTBEAT, END_OF_SESSION):
        if len(payload) != 20:
            return malformed(model)
    else:
        blocks = split_blocks(payload[20:], count) if count <= MAX_BLOCKS else None
    if blocks is None:
        return malformed(model)

    nothing_seen_yet = feed.expected_seq == 0
    if nothing_seen_yet:
        feed.session = session
    elif session != feed.session:
        model.count("feed_wrong_session")
        return XdpAction.PASS, b""

    expected = 1 if nothing_seen_yet else feed.expected_seq
    if sequence > expected:
        expected = gap(model, expected, sequence)
    elif feed.health == FeedHealth.IDLE:
        feed.health = FeedHealth.LIVE

    if count == HEARTBEAT:
        model.count("feed_heartbeats")
        feed.expected_seq = expected
    elif count == END_OF_SESSION:
        model.count("feed_end_of_session")
        feed.expected_seq = expected
        if feed.health != FeedHealth.ENDED:
            feed.health = FeedHealth.ENDED
            model.emit(EventKind.FEED_ENDED, feed_seq=expected, exchange_ns=feed.exchange_ns)
    else:
        for number, block in enumerate(blocks, start=sequence):
            if number < expected:
                model.count("feed_duplicates")
            else:
                model.count("feed_messages")
                itch.handle(model, block, number)
        feed.expected_seq = max(expected, sequence + count)

    frame = order.finish_packet(model)
    if frame:
        return XdpAction.TX, frame
    return XdpAction.DROP, b""


def malformed(model: ModelState) -> tuple[XdpAction, bytes]:
    """Counted and passed on, nothing applied."""
    model.count("feed_malformed")
    return XdpAction.PASS, b""


def gap(model: ModelState, expected: int, sequence: int) -> int:
    """Messages ``expected`` .. ``sequence`` - 1 are missing; returns the new expected sequence."""
    feed = model.feed
    missed = sequence - expected
    model.count("feed_gaps")
    model.count("feed_missed", missed)
    feed.gaps += 1
    feed.missed += missed
    if feed.health != FeedHealth.ENDED:
        feed.health = FeedHealth.STALE
    model.emit(EventKind.FEED_STALE, feed_seq=expected, exchange_ns=feed.exchange_ns, qty=min(missed, U32_MAX))
    return sequence
