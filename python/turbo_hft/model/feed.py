"""Rule 2: MoldUDP64, two lines and the re-request server's replies into one sequence."""

from __future__ import annotations

from . import itch, kept, order, strategy
from .names import (
    DRAIN,
    LINES,
    MAX_BLOCKS,
    MAX_FEED_SEQUENCE,
    MAX_FEEDS,
    U32_MAX,
    EventKind,
    FeedHealth,
    XdpAction,
)
from .state import Flow, ModelState
from .wire import split_blocks, u16, u48, u64

HEARTBEAT = 0
END_OF_SESSION = 0xFFFF
NO_SESSION = bytes(10)
ITCH_HEADER = 11


def handle(model: ModelState, flow: Flow, payload: bytes) -> tuple[XdpAction, bytes]:
    """One feed datagram. Returns the verdict and, with ``XDP_TX``, the order frame it caused."""
    if flow.feed >= MAX_FEEDS or flow.line >= LINES:
        model.count("not_ours")
        return XdpAction.PASS, b""
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

    feed = model.feeds[flow.feed]
    if not locked(model, flow.feed):
        feed.session = session
    elif session != feed.session:
        model.count("feed_wrong_session")
        return XdpAction.PASS, b""

    feed.expected_seq = next_expected(model, flow.feed)
    following = sequence + len(blocks)
    feed.highest_seq = max(feed.highest_seq, following)
    feed.line_next[flow.line] = max(feed.line_next[flow.line], following)

    for number, block in enumerate(blocks, start=sequence):
        take(model, flow, number, block)
    settle(model, flow.feed, filled=drain(model, flow.feed))

    if count == HEARTBEAT:
        model.count("feed_heartbeats")
    elif count == END_OF_SESSION:
        model.count("feed_end_of_session")
        if feed.expected_seq == feed.highest_seq:
            end(model, flow.feed)

    strategy.ask_touched(model)
    frame = order.finish_packet(model)
    if frame:
        return XdpAction.TX, frame
    return XdpAction.DROP, b""


def malformed(model: ModelState) -> tuple[XdpAction, bytes]:
    """Counted and passed on, nothing applied."""
    model.count("feed_malformed")
    return XdpAction.PASS, b""


def locked(model: ModelState, index: int) -> bool:
    """Is there a session? After a rollover there is one, of which nothing was seen yet."""
    feed = model.feeds[index]
    return feed.expected_seq != 0 or feed.session != NO_SESSION


def next_expected(model: ModelState, index: int) -> int:
    """E of the rules: the number of the next message to be handled."""
    return model.feeds[index].expected_seq or 1


def take(model: ModelState, flow: Flow, number: int, block: bytes) -> None:
    """One message of a packet: too late, the next one, or too early."""
    feed = model.feeds[flow.feed]
    if number < feed.expected_seq:
        model.count("feed_duplicates")
        feed.late[flow.line] += 1
    elif number == feed.expected_seq:
        model.count("feed_messages")
        feed.first[flow.line] += 1
        itch.handle(model, flow.feed, block, number)
        feed.expected_seq += 1
    elif number - feed.expected_seq > model.config.kept_mask:
        model.count("feed_not_kept")
    elif kept.find(model, flow.feed, number) is not None:
        model.count("feed_duplicates")
        feed.late[flow.line] += 1
    else:
        kept.keep(model, flow.feed, number, block)
        model.count("feed_kept")
        feed.first[flow.line] += 1
        if len(block) >= ITCH_HEADER:
            feed.seen_ns = max(feed.seen_ns, u48(block, 5))


def drain(model: ModelState, index: int) -> bool:
    """Kept messages whose turn has come, a bounded number of them. Were there any?"""
    feed = model.feeds[index]
    for number in range(DRAIN):
        block = kept.find(model, index, feed.expected_seq)
        if block is None:
            return number > 0
        model.count("feed_messages")
        itch.handle(model, index, block, feed.expected_seq)
        feed.expected_seq += 1
    return True


def settle(model: ModelState, index: int, *, filled: bool) -> None:
    """What time is it, is anything missing, and for how long? ``filled``: a hole was, so this is another."""
    feed = model.feeds[index]
    feed.seen_ns = max(feed.seen_ns, feed.exchange_ns)
    if feed.expected_seq == feed.highest_seq:
        feed.hold_since_ns = 0
        if feed.health in (FeedHealth.IDLE, FeedHealth.HOLD):
            feed.health = FeedHealth.LIVE
        elif feed.health == FeedHealth.GAP:
            feed.health = FeedHealth.LIVE
            model.emit(EventKind.FEED_LIVE, feed_seq=feed.expected_seq, exchange_ns=feed.exchange_ns)
        return

    now_ns = model.now_ns(index)
    if feed.hold_since_ns == 0:
        model.count("feed_holds")
        feed.hold_since_ns = max(now_ns, 1)
        if feed.health != FeedHealth.ENDED:
            feed.health = FeedHealth.HOLD
    elif filled:
        feed.hold_since_ns = max(now_ns, 1)

    waited_ns = now_ns - feed.hold_since_ns
    if feed.health == FeedHealth.HOLD and now_ns >= feed.hold_since_ns and waited_ns >= model.config.hold_ns:
        feed.health = FeedHealth.GAP
        model.count("feed_gaps")
        feed.gaps += 1
        missing = feed.highest_seq - feed.expected_seq
        model.emit(
            EventKind.FEED_GAP,
            feed_seq=feed.expected_seq,
            exchange_ns=feed.exchange_ns,
            qty=min(missing, U32_MAX),
        )


def end(model: ModelState, index: int) -> None:
    """Nothing is missing and nothing will follow; reported once."""
    feed = model.feeds[index]
    if feed.health != FeedHealth.ENDED:
        feed.health = FeedHealth.ENDED
        model.emit(EventKind.FEED_ENDED, feed_seq=feed.expected_seq, exchange_ns=feed.exchange_ns)
