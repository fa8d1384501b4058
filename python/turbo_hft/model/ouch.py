"""Rule 8, second part: what one OUCH message from the exchange says, the same for both protocols."""

from __future__ import annotations

from dataclasses import dataclass

from .names import Action, EventKind, Protocol
from .state import ModelState
from .wire import u16, u32, u64

K = EventKind
COMMON = {
    "S": K.SYSTEM,
    "A": K.ACCEPTED,
    "U": K.REPLACED,
    "E": K.EXECUTED,
    "C": K.CANCELED,
    "D": K.CANCELED,
    "J": K.REJECTED,
    "B": K.BROKEN,
    "P": K.CANCEL_PENDING,
    "I": K.CANCEL_REJECTED,
    "T": K.PRIORITY,
    "M": K.MODIFIED,
}
TYPES = {Protocol.OUCH50: COMMON | {"R": K.RESTATED}, Protocol.OUCH42: COMMON | {"G": K.EXECUTED}}
IN_DOUBT = {Protocol.OUCH50: "", Protocol.OUCH42: "F"}

INSIDE_50 = {"A": 64, "U": 68, "E": 36, "R": 16}
"""Bytes of OUCH 5.0 messages whose last two are the length of an appendage."""

OPTIONAL_50 = {"C": 18, "D": 32, "J": 29, "B": 36, "P": 13, "I": 13, "T": 30, "M": 18}
"""Of those that an appendage may follow, behind its length."""

LENGTHS_42 = {
    "A": (66,),
    "U": (80,),
    "E": (40,),
    "G": (45,),
    "C": (28,),
    "D": (37, 38),
    "J": (24,),
    "B": (32,),
    "P": (23,),
    "I": (23,),
    "T": (36,),
    "M": (28,),
}
SYSTEM_LENGTH = 10
HEX_DIGITS = b"0123456789ABCDEF"


@dataclass
class Reply:
    """What the rules need of a message. ``user_ref`` and ``original`` None: no token of ours. ``side``: as on the wire.

    ``reason``: the exchange's own code.
    """

    kind: EventKind
    exchange_ns: int
    user_ref: int | None = None
    original: int | None = None
    side: bytes = b""
    qty: int = 0
    price_e4: int = 0
    name: bytes = b""
    order_ref: int = 0
    reason: int = 0
    match_number: int = 0


def good_length(protocol: Protocol, letter: str, message: bytes) -> bool:
    """Is it as long as a message of its type is?"""
    if letter == "S":
        return len(message) == SYSTEM_LENGTH
    if protocol == Protocol.OUCH42:
        return len(message) in LENGTHS_42[letter]
    if letter in INSIDE_50:
        base = INSIDE_50[letter]
        return len(message) >= base and len(message) == base + u16(message, base - 2)
    base = OPTIONAL_50[letter]
    if len(message) == base:
        return True
    return len(message) >= base + 2 and len(message) == base + 2 + u16(message, base)


def decode(model: ModelState, protocol: Protocol, letter: str, message: bytes) -> Reply:
    """The fields of a message of known type and right length."""
    reply = Reply(TYPES[protocol][letter], exchange_ns=u64(message, 1))
    if letter == "S":
        reply.reason = message[9]
    elif protocol == Protocol.OUCH50:
        decode_50(reply, letter, message)
    else:
        own_prefix = model.template.msg[Action.ENTER][4:10]  # behind length, UFO type and OUCH type
        decode_42(reply, letter, message, own_prefix)
    return reply


def decode_50(reply: Reply, letter: str, message: bytes) -> None:
    """OUCH 5.0: UserRefNums as numbers, prices of 8 bytes."""
    reply.user_ref = u32(message, 9)
    if letter in "AU":
        at = 13
        if letter == "U":
            reply.original, reply.user_ref = u32(message, 9), u32(message, 13)
            at = 17
        reply.side = message[at : at + 1]
        reply.qty = u32(message, at + 1)
        reply.name = message[at + 5 : at + 13]
        reply.price_e4 = u64(message, at + 13)
        reply.order_ref = u64(message, at + 23)
        reply.reason = message[at + 34]
    elif letter == "E":
        reply.qty = u32(message, 13)
        reply.price_e4 = u64(message, 17)
        reply.reason = message[25]
        reply.match_number = u64(message, 26)
    elif letter in "CD":
        reply.qty = u32(message, 13)
        reply.reason = message[17]
    elif letter == "J":
        reply.reason = u16(message, 13)
    elif letter == "B":
        reply.match_number = u64(message, 13)
        reply.reason = message[21]
    elif letter == "T":
        reply.price_e4 = u64(message, 13)
        reply.order_ref = u64(message, 22)
    elif letter == "M":
        reply.side = message[13:14]
        reply.qty = u32(message, 14)
    elif letter == "R":
        reply.reason = message[13]


def decode_42(reply: Reply, letter: str, message: bytes, own_prefix: bytes) -> None:
    """OUCH 4.2: tokens of 14 characters, prices of 4 bytes."""
    reply.user_ref = user_ref_of_token(message[9:23], own_prefix)
    if letter in "AU":
        reply.side = message[23:24]
        reply.qty = u32(message, 24)
        reply.name = message[28:36]
        reply.price_e4 = u32(message, 36)
        reply.order_ref = u64(message, 49)
        reply.reason = message[64]
        if letter == "U":
            reply.original = user_ref_of_token(message[65:79], own_prefix)
    elif letter in "EG":
        reply.qty = u32(message, 23)
        reply.price_e4 = u32(message, 27)
        reply.reason = message[31]
        reply.match_number = u64(message, 32)
    elif letter in "CD":
        reply.qty = u32(message, 23)
        reply.reason = message[27]
    elif letter == "J":
        reply.reason = message[23]
    elif letter == "B":
        reply.match_number = u64(message, 23)
        reply.reason = message[31]
    elif letter == "T":
        reply.price_e4 = u32(message, 23)
        reply.order_ref = u64(message, 28)
    elif letter == "M":
        reply.side = message[23:24]
        reply.qty = u32(message, 24)


def user_ref_of_token(token: bytes, prefix: bytes) -> int | None:
    """UserRefNum in the last 8 characters of a token of ours, None if it is not our token."""
    digits = token[6:14]
    if token[:6] != prefix:
        return None
    if any(byte not in HEX_DIGITS for byte in digits):
        return None
    return int(digits, 16)
