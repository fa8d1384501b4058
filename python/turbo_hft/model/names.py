"""Numbers, names and bounds that `docs/rules.md` uses, written down a second time (a test compares them with `abi.h`).

Enum members are named as in ``bpf/hft/abi.h`` without their prefix; counters are the lower-case names.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class XdpAction(IntEnum):
    """Verdicts of an XDP program (``enum xdp_action`` of linux/bpf.h) that the rules use."""

    DROP = 1
    PASS = 2
    TX = 3


class Role(IntEnum):
    """What a flow of the flow table is to the engine."""

    NONE = 0
    FEED = 1
    ORDER_ENTRY = 2


class Kill(IntEnum):
    """Kill words; anything but ACTIVE halts."""

    HALTED = 0
    ACTIVE = 1


class Side(IntEnum):
    """Side of an order of ours and of a book order."""

    BUY = 0
    SELL = 1


class Protocol(IntEnum):
    """Order-entry protocol of the template."""

    NONE = 0
    OUCH50 = 1
    OUCH42 = 2


class Clock(IntEnum):
    """Where the rate limit takes its *now* from."""

    MONOTONIC = 0
    FEED = 1


class FeedHealth(IntEnum):
    """Rule 2."""

    IDLE = 0
    LIVE = 1
    STALE = 2
    ENDED = 3


class BookHealth(IntEnum):
    """Rules 3 and 4."""

    OK = 0
    SUSPECT = 1


class SessionHealth(IntEnum):
    """Rule 8."""

    DOWN = 0
    UP = 1
    ENDED = 2
    SUSPECT = 3


class OrderState(IntEnum):
    """State of one of our own orders, rule 8."""

    NONE = 0
    SENT = 1
    LIVE = 2
    FILLED = 3
    CANCELED = 4
    REJECTED = 5


class Reason(IntEnum):
    """Why the gate refused, in the order of its checks (rule 6)."""

    NONE = 0
    NOT_CONFIGURED = 1
    SESSION_DOWN = 2
    FEED_NOT_LIVE = 3
    BOOK_SUSPECT = 4
    IN_FLIGHT = 5
    QTY_RANGE = 6
    PRICE_RANGE = 7
    MAX_ORDER_QTY = 8
    MAX_NOTIONAL = 9
    MAX_POSITION = 10
    SHORT_SALE = 11
    ORDER_RATE = 12
    WORKING_FULL = 13
    REFS_EXHAUSTED = 14
    NO_ROOM = 15
    HALTED_SYMBOL = 16
    HALTED_GLOBAL = 17


class EventKind(IntEnum):
    """What an event record reports."""

    NONE = 0
    ORDER = 1
    REFUSED = 2
    ACCEPTED = 3
    EXECUTED = 4
    CANCELED = 5
    REJECTED = 6
    FEED_STALE = 7
    FEED_ENDED = 8
    BOOK_SUSPECT = 9
    SESSION_ENDED = 10
    SESSION_SUSPECT = 11


COUNTERS: Final[tuple[str, ...]] = (
    "frames",
    "not_ours",
    "fragments",
    "truncated",
    "bad_checksum",
    "wrong_peer",
    "contended",
    "feed_packets",
    "feed_malformed",
    "feed_messages",
    "feed_heartbeats",
    "feed_end_of_session",
    "feed_duplicates",
    "feed_gaps",
    "feed_missed",
    "feed_wrong_session",
    "itch_unknown_type",
    "itch_bad_length",
    "itch_bad_field",
    "book_untracked",
    "book_unknown_ref",
    "book_duplicate_ref",
    "book_over_reduce",
    "book_full",
    "triggers",
    "triggers_stale",
    "triggers_dropped",
    "wait_in_flight",
    "wait_limit",
    "orders",
    "order_frames",
    "reply_packets",
    "reply_malformed",
    "reply_duplicates",
    "reply_gaps",
    "reply_control",
    "reply_wrong_session",
    "reply_unknown_ref",
    "reply_unhandled",
    "reply_bad_length",
    "reply_bad_state",
    "events",
    "events_lost",
)

ITCH_LENGTHS: Final[dict[str, int]] = {
    "S": 12,
    "R": 39,
    "H": 25,
    "Y": 20,
    "L": 26,
    "V": 35,
    "W": 12,
    "K": 28,
    "J": 35,
    "h": 21,
    "A": 36,
    "F": 40,
    "E": 31,
    "C": 36,
    "X": 23,
    "D": 19,
    "U": 35,
    "P": 44,
    "Q": 40,
    "B": 19,
    "I": 50,
    "N": 20,
    "O": 48,
}
"""Bytes of each ITCH 5.0 message, in the order of ``enum hft_itch``."""

BOOK_TYPES: Final = "AFECXDU"

MAX_SYMBOLS: Final = 256
MAX_BLOCKS: Final = 1729
MAX_ORDERS_PER_PACKET: Final = 8
MAX_REPLIES: Final = 256
MAX_WORKING: Final = 4096
MAX_ORDERS_PER_SECOND: Final = 1024
MAX_POSITION: Final = 1_000_000_000
ITCH_MAX_PRICE_E4: Final = 2_000_000_000
OUCH_MAX_QTY: Final = 999_999
OUCH_MAX_PRICE_E4: Final = 1_999_999_900
MAX_FEED_SEQUENCE: Final = 2**62
U32_MAX: Final = 2**32 - 1
NO_SYMBOL: Final = U32_MAX
