"""Rule 8, second half: one OUCH message from the exchange."""

from __future__ import annotations

from dataclasses import dataclass

from . import position
from .names import ITCH_MAX_PRICE_E4, MAX_WORKING, EventKind, OrderState, Protocol, SessionHealth
from .state import ModelState, WorkingOrder
from .wire import u16, u32, u64

ACCEPTED, EXECUTED, CANCELED, REJECTED = "accepted", "executed", "canceled", "rejected"

OUCH50_TYPES = {"A": ACCEPTED, "E": EXECUTED, "C": CANCELED, "D": CANCELED, "J": REJECTED}
OUCH42_TYPES = {"A": ACCEPTED, "E": EXECUTED, "G": EXECUTED, "C": CANCELED, "D": CANCELED, "J": REJECTED}
IN_DOUBT = {Protocol.OUCH50: "BUM", Protocol.OUCH42: "BUMF"}
EVENT_KIND = {
    ACCEPTED: EventKind.ACCEPTED,
    EXECUTED: EventKind.EXECUTED,
    CANCELED: EventKind.CANCELED,
    REJECTED: EventKind.REJECTED,
}


@dataclass
class Reply:
    """What the rules need of a message, the same for both protocols. ``user_ref`` None: no such token."""

    kind: str
    exchange_ns: int
    user_ref: int | None
    qty: int = 0
    price_e4: int = 0
    reason: int = 0
    match_number: int = 0


def suspect(model: ModelState, sequence: int) -> None:
    """A reply that may touch orders or positions could not be applied: nothing leaves any more; reported once."""
    session = model.session
    if session.health == SessionHealth.SUSPECT:
        return
    session.health = SessionHealth.SUSPECT
    model.emit(EventKind.SESSION_SUSPECT, feed_seq=sequence, exchange_ns=session.exchange_ns)


def handle(model: ModelState, message: bytes, sequence: int) -> None:
    """One reply, in sequence. ``sequence`` is its UFO sequence number."""
    if model.template.protocol not in (Protocol.OUCH50, Protocol.OUCH42):
        model.count("reply_unhandled")
        return
    protocol = Protocol(model.template.protocol)
    letter = chr(message[0]) if message else "?"

    if letter in IN_DOUBT[protocol]:
        model.count("reply_unhandled")
        suspect(model, sequence)
        return
    known = OUCH50_TYPES if protocol == Protocol.OUCH50 else OUCH42_TYPES
    if letter not in known:
        model.count("reply_unhandled")
        return
    good_length = ouch50_length_ok if protocol == Protocol.OUCH50 else ouch42_length_ok
    if not good_length(letter, message):
        model.count("reply_bad_length")
        suspect(model, sequence)
        return

    if protocol == Protocol.OUCH50:
        reply = decode_ouch50(known[letter], message)
    else:
        own_prefix = model.template.msg[4:10]  # behind length, UFO type and OUCH type
        reply = decode_ouch42(known[letter], message, own_prefix)
    model.session.exchange_ns = reply.exchange_ns
    order = find_order(model, reply.user_ref)
    if order is None:
        model.count("reply_unknown_ref")
        suspect(model, sequence)
    elif not allowed(reply, order):
        model.count("reply_bad_state")
        suspect(model, sequence)
    else:
        apply(model, reply, order, sequence)


def ouch50_length_ok(letter: str, message: bytes) -> bool:
    """Base length, with the appendage's length field inside it (A, E) or after it and optional (C, D, J)."""
    inside = {"A": 64, "E": 36}
    after = {"C": 18, "D": 32, "J": 29}
    if letter in inside:
        base = inside[letter]
        return len(message) >= base and len(message) == base + u16(message, base - 2)
    base = after[letter]
    if len(message) == base:
        return True
    return len(message) >= base + 2 and len(message) == base + 2 + u16(message, base)


def ouch42_length_ok(letter: str, message: bytes) -> bool:
    """Fixed lengths; AIQ Canceled has an older and a newer one."""
    lengths = {"A": (66,), "E": (40,), "G": (45,), "C": (28,), "D": (37, 38), "J": (24,)}
    return len(message) in lengths[letter]


def decode_ouch50(kind: str, message: bytes) -> Reply:
    """The fields of an OUCH 5.0 reply of known type and length."""
    reply = Reply(kind, exchange_ns=u64(message, 1), user_ref=u32(message, 9))
    if kind == ACCEPTED:
        reply.qty = u32(message, 14)
        reply.reason = message[47]
    elif kind == EXECUTED:
        reply.qty = u32(message, 13)
        reply.price_e4 = u64(message, 17)
        reply.reason = message[25]
        reply.match_number = u64(message, 26)
    elif kind == CANCELED:
        reply.qty = u32(message, 13)
        reply.reason = message[17]
    else:
        reply.reason = u16(message, 13)
    return reply


def decode_ouch42(kind: str, message: bytes, prefix: bytes) -> Reply:
    """The fields of an OUCH 4.2 reply of known type and length."""
    reply = Reply(kind, exchange_ns=u64(message, 1), user_ref=user_ref_of_token(message[9:23], prefix))
    if kind == ACCEPTED:
        reply.qty = u32(message, 24)
        reply.reason = message[64]
    elif kind == EXECUTED:
        reply.qty = u32(message, 23)
        reply.price_e4 = u32(message, 27)
        reply.reason = message[31]
        reply.match_number = u64(message, 32)
    elif kind == CANCELED:
        reply.qty = u32(message, 23)
        reply.reason = message[27]
    else:
        reply.reason = message[23]
    return reply


def user_ref_of_token(token: bytes, prefix: bytes) -> int | None:
    """UserRefNum in the last 8 characters of a token of ours, None if it is not our token."""
    digits = token[6:14]
    if token[:6] != prefix:
        return None
    if any(byte not in b"0123456789ABCDEF" for byte in digits):
        return None
    return int(digits, 16)


def find_order(model: ModelState, user_ref: int | None) -> WorkingOrder | None:
    """Our order of that number, if its working slot still holds it."""
    if user_ref is None or user_ref == 0:
        return None
    order = model.working.get(user_ref % MAX_WORKING)
    if order is None or order.user_ref != user_ref:
        return None
    return order


def allowed(reply: Reply, order: WorkingOrder) -> bool:
    """Does the order's state allow this reply?"""
    if reply.kind == ACCEPTED:
        return order.state == OrderState.SENT and reply.qty == order.qty
    if reply.kind == REJECTED:
        return order.state == OrderState.SENT
    if order.state != OrderState.LIVE or reply.qty == 0 or reply.qty > order.open_qty:
        return False
    return reply.kind == CANCELED or 0 < reply.price_e4 <= ITCH_MAX_PRICE_E4


def apply(model: ModelState, reply: Reply, order: WorkingOrder, sequence: int) -> None:
    """Change the order, the symbol and the position, then report."""
    state = model.symbols[order.symbol]
    qty, price_e4 = reply.qty, order.price_e4

    if reply.kind == ACCEPTED:
        order.state = OrderState.LIVE
        if reply.reason == ord("D"):
            give_back(model, order, order.open_qty)
            order.state = OrderState.CANCELED
    elif reply.kind == EXECUTED:
        price_e4 = reply.price_e4
        order.open_qty -= qty
        order.filled_qty += qty
        order.filled_e4 += price_e4 * qty
        position.fill(state, model.books[order.symbol], order.side, qty, price_e4)
        if order.open_qty == 0:
            order.state = OrderState.FILLED
    elif reply.kind == CANCELED:
        give_back(model, order, qty)
        if order.open_qty == 0:
            order.state = OrderState.CANCELED
    else:
        qty = order.open_qty
        give_back(model, order, qty)
        order.state = OrderState.REJECTED

    if order.state == OrderState.LIVE:
        state.working_qty = order.open_qty
    else:
        state.working_ref = 0
        state.working_qty = 0
        state.working_side = 0
    model.emit(
        EVENT_KIND[reply.kind],
        symbol=order.symbol,
        feed_seq=sequence,
        exchange_ns=reply.exchange_ns,
        reason=reply.reason,
        side=order.side,
        user_ref=order.user_ref,
        price_e4=price_e4,
        qty=qty,
        match_number=reply.match_number,
        open_qty=order.open_qty,
    )


def give_back(model: ModelState, order: WorkingOrder, qty: int) -> None:
    """Open shares that will not execute any more."""
    order.open_qty -= qty
    model.symbols[order.symbol].canceled_qty += qty
