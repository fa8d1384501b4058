"""Numbers, names and bounds that `docs/rules.md` uses, written down a second time (a test compares them with `abi.h`).

Enum members are named as in ``bpf/hft/abi.h`` without their prefix; counters are the lower-case names.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class XdpAction(IntEnum):
    """Verdicts of an XDP program (``enum xdp_action`` of linux/bpf.h) that the rules use."""

    ABORTED = 0
    DROP = 1
    PASS = 2
    TX = 3


class Role(IntEnum):
    """What a flow of the flow table is to the engine."""

    NONE = 0
    FEED = 1
    ORDER_ENTRY = 2
    COMMAND = 3


class Line(IntEnum):
    """Which way a feed packet came."""

    A = 0
    B = 1
    REREQUEST = 2


class Kill(IntEnum):
    """Kill words of all orders, of a strategy's and of a symbol's; what is none of these counts as HALTED."""

    HALTED = 0
    ACTIVE = 1
    REDUCING = 2
    SUSPENDED = 3


class Strategy(IntEnum):
    """Who made an order. THRESHOLD to USER are asked; MANUAL is a command of user space."""

    NONE = 0
    THRESHOLD = 1
    IMBALANCE = 2
    MOMENTUM = 3
    QUOTER = 4
    USER = 5
    MANUAL = 6


class Action(IntEnum):
    """What an intent asks for."""

    NONE = 0
    ENTER = 1
    REPLACE = 2
    CANCEL = 3


class Tif(IntEnum):
    """How long an order stays; SESSION: as the order template says."""

    SESSION = 0
    IOC = 1
    DAY = 2


class Wait(IntEnum):
    """Why a strategy that would act waits."""

    NONE = 0
    IN_FLIGHT = 1
    LIMIT = 2


class Mark(IntEnum):
    """What a position is valued at; what is none of these counts as SIDE."""

    SIDE = 0
    MID = 1
    LAST = 2


class Reference(IntEnum):
    """What a price collar is around; what is neither LAST nor MID lets no order leave."""

    NONE = 0
    LAST = 1
    MID = 2


class Side(IntEnum):
    """Side of an order of ours and of a book order."""

    BUY = 0
    SELL = 1


class Protocol(IntEnum):
    """Order-entry protocol of the template."""

    NONE = 0
    OUCH50 = 1
    OUCH42 = 2


class Transport(IntEnum):
    """What carries OUCH, rule 11."""

    UFO = 0
    SOUPBINTCP = 1


class WireFlag(IntEnum):
    """Bits of the word that owns the TCP connection, rule 11."""

    ARMED = 1
    FIRING = 2
    HELD = 4
    CLOSED = 8
    WAITING = 16


class Congestion(IntEnum):
    """Congestion states of the kernel's TCP (``enum tcp_ca_state`` of linux/tcp.h)."""

    OPEN = 0
    DISORDER = 1
    CWR = 2
    RECOVERY = 3
    LOSS = 4


class Clock(IntEnum):
    """Where holds, throttles, duplicates and the lease take their *now* from."""

    MONOTONIC = 0
    FEED = 1


class FeedHealth(IntEnum):
    """Rule 2."""

    IDLE = 0
    LIVE = 1
    HOLD = 2
    GAP = 3
    ENDED = 4


class BookHealth(IntEnum):
    """Rules 3, 4 and 10."""

    OK = 0
    QUARANTINED = 1
    CLEARING = 2
    INSTALLING = 3


class Doubt(IntEnum):
    """Why a symbol is in quarantine."""

    NONE = 0
    FIELD = 1
    LENGTH = 2
    UNKNOWN_REF = 3
    DUPLICATE_REF = 4
    OVER_REDUCE = 5
    FULL = 6
    CROSSED = 7
    LATE = 8
    GAP = 9
    REQUESTED = 10
    SNAPSHOT = 11


class Phase(IntEnum):
    """Market phase, rule 3."""

    NONE = 0
    MESSAGES = 1
    SYSTEM = 2
    MARKET = 3
    AFTER = 4
    CLOSED = 5
    ENDED = 6


class Op(IntEnum):
    """What a command asks for, rule 10."""

    NONE = 0
    POKE = 1
    QUARANTINE = 2
    BEGIN = 3
    SWEEP = 4
    INSTALL = 5
    REPLAY = 6
    RELEASE = 7
    ABANDON = 8
    ROLLOVER = 9
    ORDER = 10
    LOST = 11
    REARM = 12
    TRUST = 13


class Table(IntEnum):
    """What a SWEEP goes through."""

    ORDERS = 0
    LEVELS = 1
    LADDER = 2
    SPILL = 3


class SessionHealth(IntEnum):
    """Rule 8."""

    DOWN = 0
    UP = 1
    ENDED = 2
    SUSPECT = 3
    RECOVERING = 4


class OrderState(IntEnum):
    """State of one of our own orders, rule 8."""

    NONE = 0
    SENT = 1
    LIVE = 2
    FILLED = 3
    CANCELED = 4
    REJECTED = 5
    REPLACED = 6
    LOST = 7


class Pending(IntEnum):
    """What was asked about a live order and is not answered yet: bits of a word."""

    CANCEL = 1
    REPLACE = 2
    LATER = 4


class Latch(IntEnum):
    """What stays refused until a person lifts it, rules 9 and 10."""

    EXECUTIONS = 0
    LOSS = 1
    SYMBOL_LOSS = 2


class Reason(IntEnum):
    """Why the gate refused, in the order of its checks (rule 6)."""

    NONE = 0
    NOT_CONFIGURED = 1
    SESSION_DOWN = 2
    BAD_INTENT = 3
    FEED_NOT_LIVE = 4
    BOOK_QUARANTINED = 5
    MARKET_CLOSED = 6
    NOT_TRADING = 7
    BOOK_CROSSED = 8
    RESTRICTED = 9
    QTY_RANGE = 10
    PRICE_RANGE = 11
    MAX_ORDER_QTY = 12
    MAX_NOTIONAL = 13
    NO_REFERENCE = 14
    COLLAR = 15
    SHORT_SALE = 16
    SHORT_PRICE = 17
    MAX_LONG = 18
    MAX_SHORT = 19
    GROSS_EXPOSURE = 20
    NET_EXPOSURE = 21
    OPEN_ORDERS = 22
    SELF_TRADE = 23
    DUPLICATE = 24
    LOSS_LIMIT = 25
    EXECUTIONS = 26
    RATE_SYMBOL = 27
    RATE_STRATEGY = 28
    RATE = 29
    WORKING_FULL = 30
    REFS_EXHAUSTED = 31
    NO_ROOM = 32
    WIRE_DOWN = 33
    WIRE_BUSY = 34
    WIRE_UNMERGED = 35
    WIRE_WINDOW = 36
    WIRE_RECOVERY = 37
    LIMITS_CHANGED = 38
    REDUCING = 39
    HALTED_SYMBOL = 40
    HALTED_STRATEGY = 41
    HALTED_GLOBAL = 42
    LEASE = 43


class EventKind(IntEnum):
    """What an event record reports."""

    NONE = 0
    ORDER = 1
    REFUSED = 2
    ACCEPTED = 3
    EXECUTED = 4
    CANCELED = 5
    REJECTED = 6
    FEED_GAP = 7
    FEED_LIVE = 8
    FEED_ENDED = 9
    BOOK_QUARANTINED = 10
    BOOK_RESTORED = 11
    SESSION_ENDED = 12
    SESSION_SUSPECT = 13
    REPLACED = 14
    BROKEN = 15
    CANCEL_PENDING = 16
    CANCEL_REJECTED = 17
    PRIORITY = 18
    MODIFIED = 19
    RESTATED = 20
    SYSTEM = 21
    CANCEL_SENT = 22
    SHADOW = 23
    LOST = 24
    LATCHED = 25


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
    "feed_holds",
    "feed_gaps",
    "feed_kept",
    "feed_not_kept",
    "feed_missed",
    "feed_second_cpu",
    "feed_rollovers",
    "feed_wrong_session",
    "itch_unknown_type",
    "itch_bad_length",
    "itch_bad_field",
    "book_untracked",
    "book_unknown_ref",
    "book_duplicate_ref",
    "book_over_reduce",
    "book_full",
    "book_crossed",
    "book_kept",
    "book_quarantines",
    "book_restores",
    "commands",
    "commands_refused",
    "signals",
    "intents",
    "shadow_signals",
    "shadow_intents",
    "triggers_dropped",
    "wait_in_flight",
    "wait_limit",
    "orders",
    "cancels",
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
    "wire_packets",
    "wire_sends",
    "wire_acks_held",
    "wire_closes",
    "wire_replies",
    "wire_replies_left",
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

BOOK_TYPES: Final = frozenset("AFECXDU")
MARKET_TYPES: Final = frozenset("HYKJhPQ")
SYMBOL_TYPES: Final = BOOK_TYPES | MARKET_TYPES
FEED_TYPES: Final = frozenset("SRVW")
"""What a book is made of, what else a symbol has, both, and what is the feed's own."""

MAX_SYMBOLS: Final = 16384
DEFAULT_SYMBOLS: Final = 256
MAX_FEEDS: Final = 4
LINES: Final = 3
MAX_BLOCKS: Final = 1729
MAX_ORDERS_PER_PACKET: Final = 8
MAX_TOUCHED: Final = 256
MAX_PENDING: Final = 32
MAX_INTENTS: Final = 4
MAX_OPEN: Final = 8
RECENT: Final = 8
MAX_EXECUTIONS: Final = 16384
STRATEGIES: Final = 8
MAX_REPLIES: Final = 256
MAX_WORKING: Final = 4096
MAX_UNMERGED: Final = 64
MAX_WAITING: Final = 64
SEND_BYTES: Final = 512
MOST_SEGMENT: Final = 1536
MAX_POSITION: Final = 1_000_000_000
MAX_REF: Final = 2**44 - 1
MAX_LEVEL_QTY: Final = 2**40 - 1
DEFAULT_KEPT: Final = 16384
DRAIN: Final = 512
MAX_SWEEP: Final = 512
ITCH_MAX_PRICE_E4: Final = 2_000_000_000
OUCH_MAX_QTY: Final = 999_999
OUCH_MAX_PRICE_E4: Final = 1_999_999_900
MAX_FEED_SEQUENCE: Final = 2**62
KEPT_BYTES: Final = 54
U16_MAX: Final = 2**16 - 1
U31_MAX: Final = 2**31 - 1
U32_MAX: Final = 2**32 - 1
S63_MAX: Final = 2**63 - 1
U64_MAX: Final = 2**64 - 1
NO_SYMBOL: Final = U32_MAX
