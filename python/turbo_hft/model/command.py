"""Rule 10: what user space has the program do.

SWEEP goes through ranges of hash buckets, which this model does not have: here all orders of CLEARING symbols are gone
with the command that begins at bucket 0 of table ORDERS, and the other commands of a sweep drop nothing. Levels go
when INSTALL empties the book. So the two agree once a sweep is complete. The table's number stands in ``sequence``.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from . import book, feed, itch, order, reply, reserve
from .names import (
    FEED_TYPES,
    ITCH_LENGTHS,
    MAX_BLOCKS,
    MAX_FEEDS,
    MAX_SWEEP,
    NO_SYMBOL,
    STRATEGIES,
    SYMBOL_TYPES,
    BookHealth,
    Doubt,
    EventKind,
    FeedHealth,
    Kill,
    Latch,
    Op,
    OrderState,
    Phase,
    SessionHealth,
    Strategy,
    Table,
    XdpAction,
)
from .state import Auction, Decision, Intent, ModelState
from .wire import split_blocks, u16

HEADER = struct.Struct("<QIIIIQII")
"""``struct hft_command``: nonce, op, feed, slot, blocks, sequence, first, count."""

INTENT = struct.Struct("<IIIIII")
"""``struct hft_intent``: action, side, price_e4, qty, ref, tif."""

OPS_OF_A_SLOT = (Op.QUARANTINE, Op.BEGIN, Op.INSTALL, Op.REPLAY, Op.RELEASE, Op.ORDER)
SESSION_NAME = 10


@dataclass
class Command:
    """A command whose shape is right. ``op`` may be none that there is."""

    op: int
    feed: int
    slot: int
    sequence: int
    first: int
    count: int
    blocks: list[bytes]


def handle(model: ModelState, payload: bytes) -> tuple[XdpAction, bytes]:
    """One datagram of role COMMAND. No strategy is asked: what its messages touch is forgotten.

    Returns the verdict and, with ``XDP_TX``, the frame of an ORDER.
    """
    command = read(model, payload)
    done = command is not None and run(model, command)
    model.count("commands" if done else "commands_refused")
    if command is None:
        return XdpAction.PASS, b""
    if not done:
        return XdpAction.ABORTED, b""
    if command.op == Op.ORDER:
        frame = order.leave(model)
        return (XdpAction.TX if frame else XdpAction.DROP), frame
    return XdpAction.DROP, b""


def read(model: ModelState, payload: bytes) -> Command | None:
    """The command, or None if the datagram is no command of this engine."""
    if len(payload) < HEADER.size:
        return None
    nonce, op, feed_index, slot, count_of_blocks, sequence, first, count = HEADER.unpack_from(payload)
    if nonce == 0 or nonce != model.command_nonce:
        return None
    if feed_index >= MAX_FEEDS or count_of_blocks > MAX_BLOCKS:
        return None
    blocks = split_blocks(payload[HEADER.size :], count_of_blocks)
    if blocks is None:
        return None
    return Command(op, feed_index, slot, sequence, first, count, blocks)


def of_a_slot(command: Command) -> bool:
    """Does it name a slot? An INSTALL of the feed's own messages does not; of REARM only that of a symbol's latch."""
    if command.op == Op.REARM:
        return command.sequence == Latch.SYMBOL_LOSS
    return command.op in OPS_OF_A_SLOT and not (command.op == Op.INSTALL and command.slot == NO_SYMBOL)


def slot_is_there(model: ModelState, command: Command) -> bool:
    """A named slot of this feed."""
    params = model.params.get(command.slot)
    return command.slot < model.config.symbols and params is not None and params.feed == command.feed


def run(model: ModelState, command: Command) -> bool:
    """Do it; False if it was refused."""
    if command.op == Op.NONE or command.op not in tuple(Op):
        return False
    if of_a_slot(command) and not slot_is_there(model, command):
        return False
    if command.op == Op.INSTALL:
        return install_of_feed(model, command) if command.slot == NO_SYMBOL else install(model, command)
    return {
        Op.POKE: poke,
        Op.QUARANTINE: quarantine,
        Op.BEGIN: begin,
        Op.SWEEP: sweep,
        Op.REPLAY: replay,
        Op.RELEASE: release,
        Op.ABANDON: abandon,
        Op.ROLLOVER: rollover,
        Op.ORDER: send_order,
        Op.LOST: lost,
        Op.REARM: rearm,
        Op.TRUST: trust,
    }[Op(command.op)](model, command)


def poke(model: ModelState, command: Command) -> bool:
    """Go on with what is kept, and look at the clock."""
    if model.feeds[command.feed].expected_seq == 0:
        return False
    go_on(model, command.feed)
    return True


def go_on(model: ModelState, index: int) -> None:
    """Rules 2.7 and 2.8."""
    feed.settle(model, index, filled=feed.drain(model, index))


def quarantine(model: ModelState, command: Command) -> bool:
    """A person wants the symbol's book anew."""
    if model.books[command.slot].health != BookHealth.OK:
        return False
    model.quarantine(command.slot, feed.next_expected(model, command.feed) - 1, Doubt.REQUESTED)
    return True


def begin(model: ModelState, command: Command) -> bool:
    """The first step of a snapshot, also when an earlier one was given up."""
    target = model.books[command.slot]
    if target.health == BookHealth.OK:
        return False
    target.health = BookHealth.CLEARING
    return True


def sweep(model: ModelState, command: Command) -> bool:
    """The old orders of CLEARING symbols; see the top of this file."""
    table = command.sequence
    if table not in tuple(Table) or command.count > MAX_SWEEP:
        return False
    if table == Table.ORDERS and command.first == 0:
        clearing = {slot for slot, target in model.books.items() if target.health == BookHealth.CLEARING}
        book.drop_orders(model, clearing)
        model.swept |= clearing
    return True


def install(model: ModelState, command: Command) -> bool:
    """Messages of a snapshot; the first of these commands empties the book."""
    target = model.books[command.slot]
    if target.health == BookHealth.CLEARING:
        if command.sequence < target.since_seq:
            return False
        book.empty(model, command.slot)
        target.health = BookHealth.INSTALLING
    elif target.health != BookHealth.INSTALLING:
        return False
    return apply_all(model, command)


def replay(model: ModelState, command: Command) -> bool:
    """Kept messages, which come after the snapshot."""
    if model.books[command.slot].health != BookHealth.INSTALLING:
        return False
    return apply_all(model, command)


def apply_all(model: ModelState, command: Command) -> bool:
    """Every block into the slot; False as soon as one cannot be right."""
    for block in command.blocks:
        if model.books[command.slot].health != BookHealth.INSTALLING:
            break
        apply_one(model, command.slot, block, command.sequence)
    return model.books[command.slot].health == BookHealth.INSTALLING


def apply_one(model: ModelState, slot: int, block: bytes, number: int) -> None:
    """A message of this slot; what is of no symbol is counted and skipped. The feed's clocks stay."""
    kind = chr(block[0]) if block else ""
    if kind not in ITCH_LENGTHS:
        model.count("itch_unknown_type")
        model.quarantine(slot, number, Doubt.FIELD)
    elif len(block) != ITCH_LENGTHS[kind]:
        model.count("itch_bad_length")
        model.quarantine(slot, number, Doubt.LENGTH)
    else:
        model.itch[kind] += 1
        if kind not in SYMBOL_TYPES:
            return
        if u16(block, 1) == model.books[slot].locate:
            itch.apply(model, slot, kind, block, number, live=False)
        else:
            model.count("itch_bad_field")
            model.quarantine(slot, number, Doubt.FIELD)


def install_of_feed(model: ModelState, command: Command) -> bool:
    """What a snapshot says of the feed itself; other messages are counted and skipped. The feed's clocks stay."""
    number = feed.next_expected(model, command.feed) - 1
    for block in command.blocks:
        kind = chr(block[0]) if block else ""
        if kind in FEED_TYPES or kind not in ITCH_LENGTHS:
            itch.handle(model, command.feed, block, number, live=False)
        elif len(block) != ITCH_LENGTHS[kind]:
            model.count("itch_bad_length")
        else:
            model.itch[kind] += 1
    return True


def release(model: ModelState, command: Command) -> bool:
    """The book is whole up to ``sequence``, and nothing of it was kept since: it is traded on again."""
    target = model.books[command.slot]
    if target.health != BookHealth.INSTALLING or target.kept_seq >= command.sequence:
        return False
    if command.sequence > feed.next_expected(model, command.feed):
        return False
    target.health = BookHealth.OK
    target.doubt = Doubt.NONE
    model.count("book_restores")
    model.emit(
        EventKind.BOOK_RESTORED,
        symbol=command.slot,
        feed_seq=command.sequence,
        exchange_ns=model.feeds[command.feed].exchange_ns,
    )
    return True


def abandon(model: ModelState, command: Command) -> bool:
    """Give up what is missing below ``sequence``: every book of the feed may be wrong from here on."""
    state = model.feeds[command.feed]
    expected = feed.next_expected(model, command.feed)
    if state.health not in (FeedHealth.HOLD, FeedHealth.GAP):
        return False
    if not expected < command.sequence <= state.highest_seq:
        return False
    missed = command.sequence - expected
    model.count("feed_missed", missed)
    state.missed += missed
    state.gave_up = 1
    for slot in model.slots_of_feed(command.feed):
        target = model.books[slot]
        if target.health == BookHealth.OK:
            model.quarantine(slot, command.sequence - 1, Doubt.GAP)
        else:
            target.health = BookHealth.QUARANTINED
            target.doubt = Doubt.GAP
            target.since_seq = command.sequence
            target.kept_seq = 0
    state.expected_seq = command.sequence
    go_on(model, command.feed)
    return True


def rollover(model: ModelState, command: Command) -> bool:
    """Follow another session from its beginning."""
    if len(command.blocks) != 1 or len(command.blocks[0]) != SESSION_NAME:
        return False
    model.count("feed_rollovers")
    state = model.feeds[command.feed]
    state.generation += 1
    state.session = command.blocks[0]
    state.phase = Phase.NONE
    state.breaker = 0
    state.breaker_level_e8 = [0, 0, 0]
    state.expected_seq = state.highest_seq = state.hold_since_ns = 0
    state.line_next = [0] * len(state.line_next)
    state.exchange_ns = state.seen_ns = 0
    state.gave_up = 0
    state.health = FeedHealth.IDLE
    model.bound = {key: slot for key, slot in model.bound.items() if key[0] != command.feed}
    model.closed_locates = {key for key in model.closed_locates if key[0] != command.feed}
    for slot in model.slots_of_feed(command.feed):
        begin_day(model, slot)
    return True


def begin_day(model: ModelState, slot: int) -> None:
    """The day of a symbol begins anew: nothing of it is known until a snapshot, be it an empty one, was installed."""
    target = model.books[slot]
    target.locate = 0
    target.trading_state = target.operational_halt = target.cross_pending = 0
    target.halt_reason = bytes(4)
    target.reg_sho = target.cross_type = 0
    target.last_e4 = target.last_qty = target.volume = target.notional_e4 = target.notional_high = 0
    target.last_ns = 0
    model.auctions[slot] = Auction()
    target.health = BookHealth.CLEARING
    target.doubt = Doubt.REQUESTED
    target.since_seq = 1
    target.kept_seq = 0


# Orders


def send_order(model: ModelState, command: Command) -> bool:
    """An order of a person: through the gate like any other."""
    if len(command.blocks) != 1 or len(command.blocks[0]) != INTENT.size:
        return False
    intent = Intent(*INTENT.unpack(command.blocks[0]))
    number = feed.next_expected(model, command.feed) - 1
    exchange_ns = model.feeds[command.feed].exchange_ns
    decision = Decision(command.slot, Strategy.MANUAL, False, intent, number, exchange_ns)
    model.work.pending.append(decision)
    reserve.reserve(model)
    left = order.meet_the_gate(model, decision)
    order.tell_decisions(model)
    return left


def lost(model: ModelState, command: Command) -> bool:
    """An order never arrived, says a person; only while no reply that could say otherwise is missing."""
    session = model.session
    if session.health != SessionHealth.UP or session.expected_seq < session.highest_seq:
        return False
    ours = model.our_order(command.sequence)
    if ours is None or ours.state != OrderState.SENT:
        return False
    reply.end_unsent(model, ours, OrderState.LOST)
    reply.report_lost(model, ours)
    return True


def rearm(model: ModelState, command: Command) -> bool:
    """Lift a latch. If what made it fall still holds, it falls again at the next look."""
    account = model.account
    if command.sequence == Latch.EXECUTIONS:
        if command.first >= STRATEGIES:
            return False
        account.strategy[command.first].executions = 0
        account.strategy[command.first].latched = 0
    elif command.sequence == Latch.LOSS:
        account.loss_latched = 0
    elif command.sequence == Latch.SYMBOL_LOSS:
        model.symbols[command.slot].loss_latched = 0
    else:
        return False
    return True


def trust(model: ModelState, command: Command) -> bool:
    """A person has looked, while nothing could leave."""
    if model.session.health != SessionHealth.SUSPECT or model.control.kill in (Kill.ACTIVE, Kill.REDUCING):
        return False
    model.session.health = SessionHealth.UP
    return True
