"""Rule 8, first part: UFO. What one OUCH message says stands in `ouch`, what it does in `reply`."""

from __future__ import annotations

from . import reply
from .names import MAX_REPLIES, U32_MAX, EventKind, SessionHealth
from .state import ModelState
from .wire import split_blocks, u16, u32

LOGIN_ACCEPT_LEN = 15
LOGIN_REJECT_LEN = 2
END_OF_SESSION_LEN = 5
SEQUENCED_HEADER_LEN = 7


def handle(model: ModelState, payload: bytes) -> None:
    """One datagram from the order-entry peer; the frame always passes on to user space."""
    model.count("reply_packets")
    kind = payload[0:1]
    if kind == b"A" and len(payload) == LOGIN_ACCEPT_LEN and u32(payload, 11) != 0:
        login_accept(model, payload[1:11], u32(payload, 11))
    elif kind == b"J" and len(payload) == LOGIN_REJECT_LEN:
        model.count("reply_control")
    elif kind == b"E" and len(payload) == END_OF_SESSION_LEN:
        model.count("reply_control")
        end_session(model)
    elif kind == b"S" and len(payload) >= SEQUENCED_HEADER_LEN:
        sequenced(model, payload)
    else:
        model.count("reply_malformed")


def login_accept(model: ModelState, name: bytes, sequence: int) -> None:
    """The first accept opens the session, maybe to read the day again first; a later one must be of the same."""
    session = model.session
    model.count("reply_control")
    if session.health == SessionHealth.DOWN:
        session.session = name
        session.expected_seq = 1 if session.recover else sequence
        session.highest_seq = sequence
        behind = session.expected_seq < sequence
        session.health = SessionHealth.RECOVERING if behind else SessionHealth.UP
    elif name != session.session:
        model.count("reply_wrong_session")
        end_session(model)
    else:
        session.highest_seq = max(session.highest_seq, sequence)


def end_session(model: ModelState) -> None:
    """Health ENDED and its event, once; a session that is down or suspect stays so and says nothing."""
    session = model.session
    if session.health not in (SessionHealth.UP, SessionHealth.RECOVERING):
        return
    session.health = SessionHealth.ENDED
    model.emit(EventKind.SESSION_ENDED, feed_seq=0, exchange_ns=session.exchange_ns)


def sequenced(model: ModelState, payload: bytes) -> None:
    """Sequenced data: all of it is well formed, or none of it is applied."""
    session = model.session
    sequence, count = u32(payload, 1), u16(payload, 5)
    blocks = split_blocks(payload[SEQUENCED_HEADER_LEN:], count)
    if sequence == 0 or sequence + count > U32_MAX or count > MAX_REPLIES or blocks is None:
        model.count("reply_malformed")
        return

    logged_in = session.expected_seq != 0
    if logged_in:
        session.highest_seq = max(session.highest_seq, sequence + count)
    if not logged_in or sequence > session.expected_seq:
        model.count("reply_gaps")
        return

    for number, message in enumerate(blocks, start=sequence):
        if number < session.expected_seq:
            model.count("reply_duplicates")
        else:
            reply.handle(model, message, number)
    session.expected_seq = max(session.expected_seq, sequence + count)
    if session.health == SessionHealth.RECOVERING and session.expected_seq >= session.highest_seq:
        session.health = SessionHealth.UP
