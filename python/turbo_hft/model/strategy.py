"""Rule 5: which slots a packet touched, what their strategies are told, and where their wishes go."""

from __future__ import annotations

from . import position
from .names import (
    MAX_INTENTS,
    MAX_PENDING,
    MAX_POSITION,
    MAX_TOUCHED,
    U32_MAX,
    Action,
    BookHealth,
    Side,
    Strategy,
    Wait,
)
from .state import Decision, Intents, ModelState, Own, Signal, Touch
from .strategies import imbalance, momentum, quoter, threshold

ASKED = (Strategy.THRESHOLD, Strategy.IMBALANCE, Strategy.MOMENTUM, Strategy.QUOTER, Strategy.USER)
WAIT_COUNTERS = {Wait.IN_FLIGHT: "wait_in_flight", Wait.LIMIT: "wait_limit"}
DEFAULT_TICK_E4 = 100


def touch(model: ModelState, slot: int, number: int) -> None:
    """Message ``number`` changed the book of a slot that is armed or has a position (end of rule 4)."""
    model.books[slot].touched_seq = number
    work = model.work
    if slot in work.touched or slot in work.dropped:
        return
    if len(work.touched) == MAX_TOUCHED:
        work.dropped.add(slot)
        model.count("triggers_dropped")
        return
    work.touched.append(slot)


def ask_touched(model: ModelState) -> None:
    """After the last message of a feed packet: mark what is held, and ask the strategies of what is armed."""
    for slot in model.work.touched:
        book = model.books[slot]
        if book.health != BookHealth.OK:
            continue
        if book.holds:
            position.take_mark(model, slot)
            position.look_at_losses(model, slot)
        if book.armed:
            ask(model, slot)


def ask(model: ModelState, slot: int) -> None:
    """The symbol's own strategy, then those in shadow, all about the same state of things."""
    params, memory = model.params[slot], model.memory[slot]
    if params.strategy in ASKED:
        model.count("signals")
        ask_one(model, slot, params.strategy, shadow=False)
    for number in ASKED:
        if number != params.strategy and params.shadow >> number & 1:
            model.count("shadow_signals")
            ask_one(model, slot, number, shadow=True)
    memory.touch = touch_of(model, slot)


def ask_one(model: ModelState, slot: int, number: int, *, shadow: bool) -> None:
    """What one strategy wants goes behind what others want of this packet."""
    signal = signal_of(model, slot, number)
    wants = decide(model, signal)
    intents = [intent for intent in wants.intents[:MAX_INTENTS] if intent.action != Action.NONE]
    if not intents and not shadow and wants.wait in WAIT_COUNTERS:
        model.count(WAIT_COUNTERS[Wait(wants.wait)])
    for intent in intents:
        if len(model.work.pending) == MAX_PENDING:
            model.count("triggers_dropped")
        else:
            decision = Decision(slot, number, shadow, intent, signal.feed_seq, signal.exchange_ns)
            model.work.pending.append(decision)


def decide(model: ModelState, signal: Signal) -> Intents:
    """Ask the strategy that the signal is for."""
    params = model.params[signal.slot]
    if signal.strategy == Strategy.THRESHOLD:
        return threshold.decide(params, signal)
    if signal.strategy == Strategy.IMBALANCE:
        return imbalance.decide(params, signal)
    if signal.strategy == Strategy.MOMENTUM:
        return momentum.decide(params, model.memory[signal.slot], signal)
    if signal.strategy == Strategy.QUOTER:
        return quoter.decide(params, signal)
    return model.user_strategy(signal) if model.user_strategy is not None else Intents()


def signal_of(model: ModelState, slot: int, number: int) -> Signal:
    """What strategy ``number`` is told of a slot."""
    params, book, state = model.params[slot], model.books[slot], model.symbols[slot]
    limits = model.symbol_limits[model.control.epoch & 1][slot]
    most_long = min(limits.max_long, MAX_POSITION)
    most_short = min(limits.max_short, MAX_POSITION) if limits.short_ok == 1 else 0
    return Signal(
        slot=slot,
        strategy=number,
        feed_seq=book.touched_seq,
        exchange_ns=book.exchange_ns,
        now_ns=model.now_ns(params.feed),
        position=state.position,
        room=[
            max(0, most_long - state.position - state.open_qty[Side.BUY]),
            max(0, state.position - state.open_qty[Side.SELL] + most_short),
        ],
        open_qty=list(state.open_qty),
        open_orders=state.open_orders,
        tick_e4=min(params.tick_e4 or DEFAULT_TICK_E4, U32_MAX),
        before=model.memory[slot].touch,
        after=touch_of(model, slot),
        own=[own_of(model, slot, side) for side in Side],
    )


def touch_of(model: ModelState, slot: int) -> Touch:
    """Best prices, shares and orders there, and the last trade."""
    book = model.books[slot]
    best = [book.levels[side].get(book.best_e4[side]) for side in Side]
    return Touch(
        price_e4=list(book.best_e4),
        qty=[min(shares, U32_MAX) for shares in book.best_qty],
        orders=[level.orders if level is not None else 0 for level in best],
        last_e4=book.last_e4,
        last_qty=book.last_qty,
        volume=book.volume,
    )


def own_of(model: ModelState, slot: int, side: Side) -> Own:
    """Our newest open order of a side."""
    ours = [order for order in model.open_orders(slot) if order.side == side]
    if not ours:
        return Own()
    newest = max(ours, key=lambda order: order.user_ref)
    return Own(newest.user_ref, newest.price_e4, newest.open_qty, newest.state, newest.pending)
