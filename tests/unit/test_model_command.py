"""Rule 10: commands, and with them the way of a book through quarantine and back."""

from __future__ import annotations

import pytest
from model_bytes import (
    COMMANDS,
    LOCATE,
    NONCE,
    NS,
    SESSION,
    Rig,
    accepted50,
    action,
    add,
    breaker,
    command,
    delete,
    directory,
    enter,
    executed,
    frame,
    halt,
    head,
    instead,
    kinds,
    mold,
    sho,
    system,
    trade,
)
from turbo_hft.model import (
    BookHealth,
    Clock,
    Doubt,
    EventKind,
    FeedHealth,
    Kill,
    Latch,
    Line,
    Op,
    OrderState,
    Outcome,
    Phase,
    Reason,
    SessionHealth,
    Side,
    Strategy,
    Table,
    XdpAction,
)
from turbo_hft.model.state import Auction

PRICE = 1_500_000
OTHER = 8
TICK = system("Q")
OK, QUARANTINED = BookHealth.OK, BookHealth.QUARANTINED
CLEARING, INSTALLING = BookHealth.CLEARING, BookHealth.INSTALLING


def done(outcome: Outcome) -> bool:
    return outcome.verdict == XdpAction.DROP


def doubted() -> Rig:
    """Slot 0 has an order of 10 bid and is in quarantine; its messages are kept from ``rig.next_feed`` on."""
    rig = Rig()
    rig.feed(add(1, "B", 10, PRICE), delete(99))
    assert (rig.book.health, rig.book.since_seq) == (QUARANTINED, rig.next_feed)
    return rig


def cleared(rig: Rig) -> Rig:
    """Slot 0 is CLEARING and swept."""
    assert done(rig.command(Op.BEGIN))
    for table in Table:
        assert done(rig.command(Op.SWEEP, sequence=table, first=0, count=512))
    return rig


def installing(*messages: bytes) -> Rig:
    """Slot 0 is INSTALLING a snapshot that is right up to ``rig.next_feed``; it trades, the snapshot says."""
    rig = cleared(doubted())
    assert done(rig.command(Op.INSTALL, action("T"), *messages, sequence=rig.next_feed))
    assert rig.book.health == INSTALLING
    return rig


# --- shape -----------------------------------------------------------------------------------------------------------

GOOD = command(Op.POKE)


def refused(payload: bytes, verdict: XdpAction) -> None:
    """Nothing comes of it but a count and this verdict."""
    rig = Rig()
    outcome = rig.engine.packet(frame(payload, COMMANDS), 0)
    assert (outcome.verdict, outcome.events) == (verdict, [])
    assert (rig.engine.counter["commands"], rig.engine.counter["commands_refused"]) == (0, 1)
    assert rig.book.health == OK


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        GOOD[:39],
        GOOD + b"\0",
        command(Op.POKE, nonce=NONCE + 1),
        command(Op.POKE, nonce=0),
        command(Op.POKE, feed=4),
        command(Op.POKE, b"x")[:-1],
        command(Op.POKE, b"x") + b"y",
        command(Op.POKE, *[b""] * 1730),
    ],
)
def test_what_is_no_command_is_passed_on(payload: bytes) -> None:
    refused(payload, XdpAction.PASS)


@pytest.mark.parametrize(
    "payload",
    [
        command(Op.NONE),
        command(14),
        command(2**32 - 1),
        command(Op.QUARANTINE, slot=1),
        command(Op.QUARANTINE, slot=256),
        command(Op.QUARANTINE, slot=2**32 - 1),
        command(Op.QUARANTINE, feed=1),
        command(Op.REPLAY, slot=2**32 - 1),
        command(Op.SWEEP, sequence=4),
        command(Op.SWEEP, sequence=2**32),
        command(Op.SWEEP, count=513),
        command(Op.POKE, feed=1),
    ],
)
def test_refused_and_nothing_done(payload: bytes) -> None:
    refused(payload, XdpAction.ABORTED)


def test_without_a_nonce_nothing_is_done() -> None:
    rig = Rig()
    rig.engine.command_nonce = 0
    assert not done(rig.command(Op.POKE))
    assert not done(rig.command(Op.POKE, nonce=0))


def test_most_blocks() -> None:
    assert done(Rig().command(Op.POKE, *[b""] * 1729))


def test_poke_of_a_feed_that_saw_nothing() -> None:
    rig = Rig(ready=False)
    assert not done(rig.command(Op.POKE))
    rig.feed()
    assert done(rig.command(Op.POKE))


# --- POKE ------------------------------------------------------------------------------------------------------------


def test_poke_lets_the_clock_turn_a_hold_into_a_gap() -> None:
    rig = Rig(clock=Clock.MONOTONIC)
    rig.at(rig.next_feed + 2, now_ns=50)
    assert kinds(rig.command(Op.POKE, now_ns=50 + 1_999_999)) == []
    (event,) = rig.command(Op.POKE, now_ns=50 + 2_000_000).events
    assert (event.kind, event.feed_seq, event.qty) == (EventKind.FEED_GAP, rig.next_feed, 2)
    assert rig.receiver.health == FeedHealth.GAP


def test_no_order_leaves_from_a_command() -> None:
    rig = Rig()
    rig.engine.params[0].buy_below_e4 = PRICE
    first = rig.next_feed
    for start in range(first + 1, first + 601, 100):
        rig.at(start, *[TICK] * 100)
    rig.at(first + 601, add(1, "S", 10, PRICE))
    rig.at(first, TICK)
    outcome = rig.command(Op.POKE)
    assert (outcome.verdict, outcome.events) == (XdpAction.DROP, [])
    assert (rig.book.ask_e4, rig.receiver.health) == (PRICE, FeedHealth.LIVE)
    assert rig.engine.counter["signals"] == 0
    assert rig.book.touched_seq == first + 601
    assert kinds(rig.feed()) == []
    rig.next_feed = rig.receiver.expected_seq
    assert kinds(rig.feed(add(2, "S", 10, PRICE))) == [EventKind.ORDER]


# --- QUARANTINE, BEGIN, SWEEP ----------------------------------------------------------------------------------------


def test_quarantine_on_request() -> None:
    rig = Rig()
    (event,) = rig.command(Op.QUARANTINE).events
    assert (event.kind, event.reason, event.feed_seq, event.exchange_ns) == (
        EventKind.BOOK_QUARANTINED,
        Doubt.REQUESTED,
        rig.next_feed - 1,
        NS,
    )
    assert (rig.book.doubt, rig.book.since_seq, rig.book.kept_seq) == (Doubt.REQUESTED, rig.next_feed, 0)
    assert not done(rig.command(Op.QUARANTINE))
    assert [event.reason for event in rig.buy().events] == []


def test_nobody_is_asked_about_a_book_that_came_into_doubt_later_in_the_packet() -> None:
    rig = Rig()
    rig.engine.params[0].buy_below_e4 = PRICE
    signals = rig.engine.counter["signals"]
    outcome = rig.feed(add(1, "S", 10, PRICE), delete(99))
    assert kinds(outcome) == [EventKind.BOOK_QUARANTINED]
    assert rig.engine.counter["signals"] == signals


@pytest.mark.parametrize(
    ("health", "possible"), [(OK, False), (QUARANTINED, True), (CLEARING, True), (INSTALLING, True)]
)
def test_begin(health: BookHealth, possible: bool) -> None:
    rig = Rig()
    rig.book.health = health
    assert done(rig.command(Op.BEGIN)) is possible
    assert rig.book.health == (CLEARING if possible else OK)


def test_sweep_drops_orders_of_clearing_symbols_only() -> None:
    rig = doubted()
    rig.add_symbol(1, "MSFT", OTHER)
    rig.feed(add(2, "B", 10, PRICE, name="MSFT", locate=OTHER))
    rig.command(Op.SWEEP, sequence=Table.ORDERS)
    assert set(rig.engine.orders) == {(0, 1), (0, 2)}
    cleared(rig)
    assert set(rig.engine.orders) == {(0, 2)}


# --- INSTALL, REPLAY, RELEASE ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("health", "earlier", "possible"),
    [(OK, 0, False), (QUARANTINED, 0, False), (CLEARING, 0, True), (CLEARING, 1, False), (INSTALLING, 1, True)],
)
def test_install_needs_a_book_that_was_cleared_and_a_snapshot_from_after_the_doubt(
    health: BookHealth, earlier: int, possible: bool
) -> None:
    rig = doubted()
    rig.book.health = health
    assert done(rig.command(Op.INSTALL, sequence=rig.next_feed - earlier)) is possible
    assert rig.book.health == (INSTALLING if possible else health)


def test_install_empties_the_book_once() -> None:
    rig = doubted()
    rig.book.crossed_ns, rig.book.crossed, rig.book.cross_pending = 5, 1, 1
    cleared(rig)
    assert rig.book.bid_e4 == PRICE
    rig.command(Op.INSTALL, sequence=rig.next_feed)
    assert (rig.book.best_e4, rig.book.best_qty, rig.book.book_orders) == ([0, 0], [0, 0], 0)
    assert (rig.book.crossed_ns, rig.book.crossed, rig.book.cross_pending) == (0, 0, 0)
    assert rig.book.levels == ({}, {})
    rig.command(Op.INSTALL, add(1, "B", 10, PRICE), sequence=rig.next_feed)
    rig.command(Op.INSTALL, add(2, "S", 10, PRICE + 100), sequence=rig.next_feed)
    assert (rig.book.best_e4, rig.book.book_orders) == ([PRICE, PRICE + 100], 2)


def test_install_counts_and_prints_but_moves_no_clock_and_asks_nobody() -> None:
    rig = Rig()
    rig.hold(100, PRICE)
    rig.command(Op.QUARANTINE)
    cleared(rig)
    rig.engine.params[0].buy_below_e4 = PRICE
    clocks, signals = (rig.receiver.exchange_ns, rig.receiver.seen_ns), rig.engine.counter["signals"]
    adds, messages, mark = rig.engine.itch["A"], rig.book.book_messages, rig.engine.symbols[0].mark_e4
    outcome = rig.command(
        Op.INSTALL,
        action("H"),
        action("T"),
        sho("1"),
        add(5, "S", 10, PRICE - 200, ns=NS + 77),
        add(6, "B", 10, PRICE + 900, ns=NS + 10**12),
        executed(5, 4, ns=NS + 99),
        trade(3, PRICE),
        sequence=rig.next_feed,
    )
    assert (done(outcome), outcome.events) == (True, [])
    assert rig.engine.itch["A"] == adds + 2
    assert (rig.receiver.exchange_ns, rig.receiver.seen_ns) == clocks
    assert (rig.book.book_messages, rig.book.exchange_ns) == (messages + 3, NS + 99)
    assert (rig.book.volume, rig.book.last_e4, rig.book.reg_sho) == (7, PRICE, ord("1"))
    assert (rig.book.trading_state, rig.book.cross_pending) == (ord("T"), 1)
    assert (rig.book.crossed_ns, rig.engine.symbols[0].mark_e4) == (0, mark)
    assert rig.engine.counter["signals"] == signals


@pytest.mark.parametrize(
    ("block", "counter"),
    [
        (b"", "itch_unknown_type"),
        (b"z" * 12, "itch_unknown_type"),
        (delete(1)[:-1], "itch_bad_length"),
        (action()[:-1], "itch_bad_length"),
        (TICK + b"?", "itch_bad_length"),
        (add(5, "B", 1, PRICE, locate=OTHER), "itch_bad_field"),
        (halt("T", locate=OTHER), "itch_bad_field"),
        (add(5, "Z", 1, PRICE), "itch_bad_field"),
        (action("Z"), "itch_bad_field"),
        (delete(77), "book_unknown_ref"),
        (add(4, "B", 1, PRICE), "book_duplicate_ref"),
        (executed(4, 11), "book_over_reduce"),
    ],
)
@pytest.mark.parametrize("op", [Op.INSTALL, Op.REPLAY])
def test_a_snapshot_that_cannot_be_installed(op: Op, block: bytes, counter: str) -> None:
    rig = installing(add(4, "S", 10, PRICE))
    before, quarantines = rig.engine.counter[counter], rig.engine.counter["book_quarantines"]
    outcome = rig.command(op, block, add(6, "B", 1, PRICE), sequence=777)
    assert not done(outcome)
    assert [(event.kind, event.reason, event.feed_seq) for event in outcome.events] == [
        (EventKind.BOOK_QUARANTINED, Doubt.SNAPSHOT, 777)
    ]
    assert rig.engine.counter[counter] == before + 1
    assert rig.engine.counter["book_quarantines"] == quarantines + 1
    assert (rig.book.health, rig.book.doubt, rig.book.since_seq) == (QUARANTINED, Doubt.SNAPSHOT, 778)
    assert rig.book.book_orders == 1


@pytest.mark.parametrize("kind", "SRLVWBINO")
def test_what_is_of_no_symbol_is_counted_and_skipped(kind: str) -> None:
    sizes = {"S": 12, "R": 39, "L": 26, "V": 35, "W": 12, "B": 19, "I": 50, "N": 20, "O": 48}
    rig = installing()
    before = dict(rig.engine.itch)
    before[kind] += 1
    assert done(rig.command(Op.INSTALL, head(kind, OTHER).ljust(sizes[kind], b"M"), sequence=rig.next_feed))
    assert (rig.engine.itch, rig.receiver.phase) == (before, Phase.MARKET)


def test_messages_kept_meanwhile_are_replayed_before_the_release() -> None:
    rig = installing(add(1, "B", 10, PRICE))
    rig.feed(add(2, "B", 20, PRICE + 100), executed(1, 4))
    newest = rig.next_feed - 1
    assert rig.book.kept_seq == newest
    assert not done(rig.command(Op.RELEASE, sequence=newest))
    assert done(rig.command(Op.REPLAY, add(2, "B", 20, PRICE + 100), executed(1, 4), sequence=newest))
    rig.feed(TICK, add(3, "S", 30, PRICE + 300))
    assert not done(rig.command(Op.RELEASE, sequence=newest + 1))
    assert done(rig.command(Op.REPLAY, add(3, "S", 30, PRICE + 300), sequence=rig.book.kept_seq))
    (event,) = rig.command(Op.RELEASE, sequence=rig.next_feed).events
    assert (event.kind, event.symbol, event.feed_seq, event.bid_e4) == (
        EventKind.BOOK_RESTORED,
        0,
        rig.next_feed,
        PRICE + 100,
    )
    assert (rig.book.health, rig.book.doubt, rig.engine.counter["book_restores"]) == (OK, Doubt.NONE, 1)
    assert rig.engine.depth(0, Side.BUY, 5) == [(PRICE + 100, 20, 1), (PRICE, 6, 1)]
    assert kinds(rig.buy(price_e4=PRICE + 200, ref=50)) == [EventKind.ORDER]


def test_release_cannot_be_ahead_of_the_feed() -> None:
    rig = installing()
    assert not done(rig.command(Op.RELEASE, sequence=rig.next_feed + 1))
    assert not done(rig.command(Op.RELEASE, sequence=0))
    assert done(rig.command(Op.RELEASE, sequence=rig.next_feed))


@pytest.mark.parametrize("health", [OK, QUARANTINED, CLEARING])
@pytest.mark.parametrize("op", [Op.REPLAY, Op.RELEASE])
def test_replay_and_release_need_a_snapshot(op: Op, health: BookHealth) -> None:
    rig = doubted()
    rig.book.health = health
    assert not done(rig.command(op, sequence=rig.next_feed))
    assert rig.book.health == health


@pytest.mark.parametrize("health", [CLEARING, INSTALLING])
def test_a_message_of_wrong_length_spoils_the_snapshot(health: BookHealth) -> None:
    rig = doubted()
    rig.book.health = health
    (event,) = rig.feed(delete(1)[:-1]).events
    assert (event.reason, rig.book.health, rig.book.doubt) == (Doubt.SNAPSHOT, QUARANTINED, Doubt.SNAPSHOT)


@pytest.mark.parametrize("health", [QUARANTINED, CLEARING, INSTALLING])
def test_messages_of_a_symbol_that_is_not_ok_are_kept(health: BookHealth) -> None:
    rig = doubted()
    rig.book.health = health
    before = vars(rig.book).copy()
    rig.feed(TICK, action("H"), delete(1), trade(5, PRICE))
    assert rig.engine.counter["book_kept"] == 3
    assert vars(rig.book) == before | {"kept_seq": rig.next_feed - 1}
    assert rig.receiver.exchange_ns == NS


def test_install_of_the_feed_itself() -> None:
    rig = Rig(ready=False)
    rig.engine.add_symbol(0, "AAPL")
    rig.engine.add_symbol(1, "MSFT")
    rig.feed(add(1, "B", 1, 1, locate=5))
    outcome = rig.command(
        Op.INSTALL,
        directory("AAPL", 5, NS + 1),
        directory("MSFT", 6, NS + 2),
        system("Q", NS + 3),
        breaker("2"),
        head("V", 0, NS + 4).ljust(35, b"\1"),
        head("V", 0),
        add(2, "B", 1, 1, name="MSFT", locate=6),
        add(3, "B", 1, 1, name="AAPL", locate=5)[:-1],
        b"",
        b"z",
        slot=0xFFFFFFFF,
        sequence=12345,
    )
    assert done(outcome)
    assert [(event.symbol, event.reason, event.feed_seq) for event in outcome.events] == [(0, Doubt.LATE, 1)]
    assert [book.locate for book in rig.engine.books.values()] == [5, 6]
    assert (rig.receiver.phase, rig.receiver.breaker, rig.receiver.exchange_ns) == (Phase.MARKET, ord("2"), NS)
    rig.feed()
    assert (rig.receiver.exchange_ns, rig.receiver.seen_ns) == (NS, NS)
    assert (rig.engine.counter["itch_bad_length"], rig.engine.counter["itch_unknown_type"]) == (2, 2)
    assert (rig.engine.itch["A"], rig.engine.books[1].book_orders, rig.engine.books[1].health) == (2, 0, OK)


# --- ABANDON ---------------------------------------------------------------------------------------------------------


def gapped() -> Rig:
    """Three symbols, OK, in quarantine and being installed; message ``rig.next_feed`` and the one after are missing."""
    rig = Rig(clock=Clock.MONOTONIC)
    rig.add_symbol(3, "MSFT", OTHER)
    rig.add_symbol(2, "INTC", OTHER + 1)
    rig.feed(add(1, "B", 10, PRICE), delete(99, locate=OTHER))
    rig.engine.books[2].health = INSTALLING
    rig.engine.add_symbol(9, "AAPL", feed=1)
    rig.at(rig.next_feed + 2, add(5, "B", 1, PRICE + 100), TICK)
    return rig


def test_abandon_quarantines_every_symbol_of_the_feed() -> None:
    rig = gapped()
    expected = rig.next_feed
    outcome = rig.command(Op.ABANDON, sequence=expected + 2)
    assert done(outcome)
    assert [(event.kind, event.symbol, event.reason, event.feed_seq) for event in outcome.events] == [
        (EventKind.BOOK_QUARANTINED, 0, Doubt.GAP, expected + 1)
    ]
    for slot in (0, 2, 3):
        book = rig.engine.books[slot]
        assert (book.health, book.doubt, book.since_seq) == (QUARANTINED, Doubt.GAP, expected + 2)
    assert rig.engine.books[9].health == OK
    assert (rig.receiver.missed, rig.engine.counter["feed_missed"]) == (2, 2)
    assert (rig.receiver.expected_seq, rig.receiver.health) == (expected + 4, FeedHealth.LIVE)
    assert (rig.book.kept_seq, rig.book.book_orders, rig.engine.books[3].kept_seq) == (expected + 2, 1, 0)
    assert rig.engine.counter["book_quarantines"] == 2


def test_abandon_of_a_gap_says_that_the_feed_is_live() -> None:
    rig = gapped()
    rig.command(Op.POKE, now_ns=10**9)
    assert rig.receiver.health == FeedHealth.GAP
    events = rig.command(Op.ABANDON, sequence=rig.next_feed + 2).events
    assert [event.kind for event in events] == [EventKind.BOOK_QUARANTINED, EventKind.FEED_LIVE]


def test_abandon_of_a_part_leaves_the_rest_missing() -> None:
    rig = gapped()
    before = rig.receiver.health, rig.receiver.hold_since_ns
    assert done(rig.command(Op.ABANDON, sequence=rig.next_feed + 1, now_ns=500))
    assert (rig.receiver.health, rig.receiver.hold_since_ns) == before
    assert rig.receiver.missed == 1


@pytest.mark.parametrize(("ahead", "possible"), [(-1, False), (0, False), (1, True), (4, True), (5, False)])
def test_abandon_within_what_is_missing(ahead: int, possible: bool) -> None:
    rig = gapped()
    assert done(rig.command(Op.ABANDON, sequence=rig.next_feed + ahead)) is possible


@pytest.mark.parametrize("health", [FeedHealth.IDLE, FeedHealth.LIVE, FeedHealth.ENDED])
def test_abandon_needs_something_missing(health: FeedHealth) -> None:
    rig = gapped()
    rig.receiver.health = health
    assert not done(rig.command(Op.ABANDON, sequence=rig.next_feed + 2))


def test_late_start_is_abandoned_from_one() -> None:
    rig = Rig(ready=False)
    rig.at(1000, TICK)
    assert done(rig.command(Op.ABANDON, sequence=1000))
    assert (rig.receiver.missed, rig.receiver.expected_seq, rig.receiver.health) == (999, 1001, FeedHealth.LIVE)


# --- ROLLOVER --------------------------------------------------------------------------------------------------------

NEXT = b"000010059C"


@pytest.mark.parametrize("blocks", [(), (NEXT, NEXT), (NEXT[:9],), (NEXT + b"X",)])
def test_rollover_needs_one_name(blocks: tuple[bytes, ...]) -> None:
    rig = Rig()
    assert not done(rig.command(Op.ROLLOVER, *blocks))
    assert rig.receiver.session == SESSION


def test_rollover_begins_a_day() -> None:
    rig = Rig()
    rig.feed(add(1, "B", 10, PRICE), executed(1, 4), halt("H"), sho("2"), head("V", 0).ljust(35, b"\1"), breaker("1"))
    rig.feed(head("J") + b"AAPL    " + bytes(16), add(2, "B", 1, 1, locate=999))
    rig.at(rig.next_feed + 3, TICK)
    outcome = rig.command(Op.ROLLOVER, NEXT)
    assert (done(outcome), outcome.events) == (True, [])
    feed, book = rig.receiver, rig.book
    assert (feed.session, feed.generation, feed.health) == (NEXT, 1, FeedHealth.IDLE)
    assert (feed.phase, feed.breaker, feed.breaker_level_e8) == (0, 0, [0, 0, 0])
    assert (feed.expected_seq, feed.highest_seq, feed.hold_since_ns, feed.line_next) == (0, 0, 0, [0, 0, 0])
    assert (feed.exchange_ns, feed.seen_ns) == (0, 0)
    assert feed.first != [0, 0, 0]
    assert (book.health, book.doubt, book.since_seq, book.kept_seq) == (CLEARING, Doubt.REQUESTED, 1, 0)
    assert (book.locate, book.trading_state, book.operational_halt, book.reg_sho) == (0, 0, 0, 0)
    assert (book.last_e4, book.last_qty, book.volume, book.notional_e4, book.notional_high) == (0, 0, 0, 0, 0)
    assert rig.engine.auctions[0] == Auction()
    assert rig.engine.bound == {}
    assert rig.engine.closed_locates == set()
    assert rig.engine.counter["feed_rollovers"] == 1


def test_after_a_rollover_the_old_session_is_wrong_and_the_new_one_trades() -> None:
    rig = Rig()
    rig.feed(add(1, "B", 10, PRICE))
    rig.command(Op.ROLLOVER, NEXT)
    assert rig.feed(TICK).verdict == XdpAction.PASS
    assert rig.engine.counter["feed_wrong_session"] == 1

    def packet(sequence: int, *messages: bytes) -> Outcome:
        return rig.engine.packet(frame(mold(sequence, *messages, session=NEXT)), 0)

    for table in Table:
        rig.command(Op.SWEEP, sequence=table)
    assert rig.engine.orders == {}
    assert done(rig.command(Op.INSTALL, sequence=1))
    assert done(rig.command(Op.RELEASE, sequence=1))
    packet(1, system("Q"), directory("AAPL", 44), action(locate=44))
    rig.engine.params[0].buy_below_e4 = PRICE
    assert [event.reason for event in packet(4, add(1, "S", 10, PRICE, locate=44)).events] == [Reason.NO_REFERENCE]
    printed = trade(1, PRICE, locate=44)
    assert kinds(packet(5, printed, add(2, "S", 10, PRICE, locate=44))) == [EventKind.ORDER]


def test_rollover_leaves_other_feeds_alone() -> None:
    rig = Rig()
    before = vars(rig.book).copy()
    rig.command(Op.ROLLOVER, NEXT, feed=1)
    assert vars(rig.book) == before
    assert rig.engine.feeds[1].session == NEXT
    assert rig.engine.bound == {(0, LOCATE): 0}


def test_what_was_kept_of_the_old_session_is_not_of_the_new_one() -> None:
    rig = Rig(ready=False)
    rig.at(3, TICK, line=Line.B)
    rig.command(Op.ROLLOVER, SESSION)
    rig.at(1, TICK, TICK)
    assert (rig.receiver.expected_seq, rig.receiver.highest_seq, rig.receiver.health) == (3, 3, FeedHealth.LIVE)


def test_a_book_without_a_trading_state_in_its_snapshot_does_not_trade() -> None:
    rig = cleared(doubted())
    assert done(rig.command(Op.INSTALL, add(1, "S", 10, PRICE), sequence=rig.next_feed))
    assert done(rig.command(Op.RELEASE, sequence=rig.next_feed))
    refused = rig.buy(price_e4=PRICE - 100, ref=50).events
    assert [(event.kind, event.reason) for event in refused] == [(EventKind.REFUSED, Reason.NOT_TRADING)]


def test_a_state_of_the_snapshot_is_no_change_that_a_cross_would_follow() -> None:
    rig = doubted()
    rig.book.trading_state = ord("H")
    rig = cleared(rig)
    assert done(rig.command(Op.INSTALL, action("T"), sequence=rig.next_feed))
    assert (rig.book.trading_state, rig.book.cross_pending) == (ord("T"), 0)


def test_a_message_that_cannot_be_kept_makes_older_snapshots_too_old() -> None:
    rig = doubted()
    good_until_here = rig.next_feed
    rig.feed(b"D" + LOCATE.to_bytes(2, "big"))  # of wrong length: neither applied nor kept
    assert (rig.book.health, rig.book.since_seq) == (QUARANTINED, rig.next_feed)
    rig = cleared(rig)
    assert not done(rig.command(Op.INSTALL, sequence=good_until_here))
    assert done(rig.command(Op.INSTALL, sequence=rig.next_feed))


# --- LOST, REARM, TRUST ----------------------------------------------------------------------------------------------


def test_an_order_that_never_arrived() -> None:
    rig = Rig()
    rig.order(enter(Side.BUY, 100, PRICE))
    (event,) = rig.command(Op.LOST, sequence=1).events
    assert (event.kind, event.user_ref, event.symbol, event.qty, event.open_qty) == (EventKind.LOST, 1, 0, 100, 0)
    assert (event.strategy, event.feed_seq, event.exchange_ns) == (Strategy.MANUAL, 0, 0)
    order = rig.engine.working[1]
    assert (order.state, order.open_qty, order.counted_qty) == (OrderState.LOST, 0, 0)
    assert (rig.state.canceled_qty, rig.state.open_qty, rig.state.open_orders) == (100, [0, 0], 0)
    assert rig.engine.account.open_e4 == [0, 0]
    assert not done(rig.command(Op.LOST, sequence=1))


def test_a_replacement_that_never_arrived() -> None:
    rig = Rig()
    rig.order(enter(Side.BUY, 100, PRICE))
    rig.reply(accepted50(1, 100))
    rig.order(instead(1, Side.BUY, 150, PRICE))
    assert done(rig.command(Op.LOST, sequence=2))
    old = rig.engine.working[1]
    assert (old.state, old.pending, old.other_ref) == (OrderState.LIVE, 0, 0)
    assert (rig.engine.working[2].state, rig.state.canceled_qty, rig.state.open_qty) == (OrderState.LOST, 0, [100, 0])


@pytest.mark.parametrize("number", [0, 2, 4097, 2**32 + 1, 2**64 - 1])
def test_lost_needs_an_order(number: int) -> None:
    rig = Rig()
    rig.order(enter(Side.BUY, 100, PRICE))
    assert not done(rig.command(Op.LOST, sequence=number))


def test_lost_needs_an_order_that_was_not_answered_and_a_session_without_holes() -> None:
    rig = Rig()
    rig.order(enter(Side.BUY, 100, PRICE))
    for health in SessionHealth:
        rig.engine.session.health = health
        if health != SessionHealth.UP:
            assert not done(rig.command(Op.LOST, sequence=1))
    rig.engine.session.health = SessionHealth.UP
    rig.engine.session.highest_seq += 1
    assert not done(rig.command(Op.LOST, sequence=1))
    rig.engine.session.highest_seq -= 1
    rig.reply(accepted50(1, 100))
    assert not done(rig.command(Op.LOST, sequence=1))


@pytest.mark.parametrize(
    ("fields", "possible"),
    [
        ({"sequence": Latch.EXECUTIONS, "first": 0}, True),
        ({"sequence": Latch.EXECUTIONS, "first": 7, "slot": 99}, True),
        ({"sequence": Latch.EXECUTIONS, "first": 8}, False),
        ({"sequence": Latch.LOSS, "slot": 99, "first": 99}, True),
        ({"sequence": Latch.SYMBOL_LOSS, "first": 99}, True),
        ({"sequence": Latch.SYMBOL_LOSS, "slot": 1}, False),
        ({"sequence": Latch.SYMBOL_LOSS, "feed": 1}, False),
        ({"sequence": 3}, False),
        ({"sequence": 2**32}, False),
    ],
)
def test_rearm(fields: dict[str, int], possible: bool) -> None:
    rig = Rig()
    assert done(rig.command(Op.REARM, **fields)) is possible


def test_rearm_lifts_one_latch() -> None:
    rig = Rig()
    account = rig.engine.account
    rig.state.loss_latched = account.loss_latched = 1
    for strategy in account.strategy:
        strategy.latched, strategy.executions = 1, 9
    rig.command(Op.REARM, sequence=Latch.EXECUTIONS, first=2)
    assert [strategy.latched for strategy in account.strategy] == [1, 1, 0, 1, 1, 1, 1, 1]
    assert [strategy.executions for strategy in account.strategy] == [9, 9, 0, 9, 9, 9, 9, 9]
    assert (rig.state.loss_latched, account.loss_latched) == (1, 1)
    rig.command(Op.REARM, sequence=Latch.LOSS)
    assert (rig.state.loss_latched, account.loss_latched) == (1, 0)
    rig.command(Op.REARM, sequence=Latch.SYMBOL_LOSS)
    assert (rig.state.loss_latched, account.loss_latched) == (0, 0)


@pytest.mark.parametrize("kill", [*Kill, 3, 2**64 - 1])
def test_trust_only_while_nothing_could_leave(kill: int) -> None:
    rig = Rig()
    rig.engine.session.health = SessionHealth.SUSPECT
    rig.engine.control.kill = kill
    assert done(rig.command(Op.TRUST, slot=99)) is (kill not in (Kill.ACTIVE, Kill.REDUCING))


def test_trust_needs_doubt() -> None:
    for health in SessionHealth:
        rig = Rig()
        rig.engine.control.kill = Kill.HALTED
        rig.engine.session.health = health
        assert done(rig.command(Op.TRUST)) is (health == SessionHealth.SUSPECT)
        assert rig.engine.session.health == (SessionHealth.UP if health == SessionHealth.SUSPECT else health)
