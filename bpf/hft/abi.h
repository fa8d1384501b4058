/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * THE contract: everything that crosses the border between the hook and user space.
 *
 * Read by clang (BPF), by gcc (native/) and by cffi (declarations only: no preprocessor lines may be needed to
 * understand it). Fixed widths, explicit padding, natural alignment. Integers are host order unless the name ends
 * in _be. Units stand in the name: _e4 = 1/10000 dollar, _ns = nanoseconds. Any change of a size, an offset or a
 * meaning raises HFT_ABI_VERSION.
 */
#ifndef HFT_ABI_H
#define HFT_ABI_H

enum { HFT_ABI_VERSION = 5 };

/* What a flow of the flow table is to the engine. */
enum hft_role {
	HFT_ROLE_NONE = 0,
	HFT_ROLE_FEED = 1, /* MoldUDP64 carrying ITCH 5.0 */
	HFT_ROLE_ORDER_ENTRY = 2, /* UFO replies carrying OUCH */
	HFT_ROLE_COMMAND = 3, /* user space's own frames, run through the program: struct hft_command */
};

/* Which way a feed packet came. */
enum hft_line {
	HFT_LINE_A = 0,
	HFT_LINE_B = 1,
	HFT_LINE_REREQUEST = 2, /* replies of the re-request server */
	HFT_LINES = 3,
};

/*
 * Kill states: of all orders, of a strategy's and of a symbol's; the strictest of the three counts. Zero is the safe one: a map nobody
 * has written yet does not trade. Anything that is none of these counts as HALTED. A cancel may leave in every state.
 */
enum hft_kill {
	HFT_HALTED = 0,
	HFT_ACTIVE = 1,
	HFT_REDUCING = 2, /* only orders that bring the position towards zero, and not beyond it */
	HFT_SUSPENDED =
		3, /* as HALTED, but by order entry itself: it may lift it again, and a person's HALTED is told from it */
};

/* Who made an order. Each has its own kill switch, limits and counters. */
enum hft_strategy {
	HFT_STRATEGY_NONE = 0,
	HFT_STRATEGY_THRESHOLD = 1, /* buy at or below a price, sell at or above one */
	HFT_STRATEGY_IMBALANCE = 2, /* take when one side of the touch outweighs the other */
	HFT_STRATEGY_MOMENTUM = 3, /* follow trades that went through several ticks within a time */
	HFT_STRATEGY_QUOTER = 4, /* a bid and an offer of our own, moved with the market and the position */
	HFT_STRATEGY_USER = 5, /* the one that was linked in: bpf/hft/strategy_api.h */
	HFT_STRATEGY_MANUAL = 6, /* no strategy: a command of user space */
	HFT_STRATEGIES = 8, /* entries of the tables by strategy */
};

/* What an intent asks for. */
enum hft_action {
	HFT_ACTION_NONE = 0,
	HFT_ACTION_ENTER = 1,
	HFT_ACTION_REPLACE = 2, /* `ref` by an order of this price and open quantity */
	HFT_ACTION_CANCEL = 3, /* all that is open of `ref` */
};

/* How long an order stays. */
enum hft_tif {
	HFT_TIF_SESSION = 0, /* as the order session was configured */
	HFT_TIF_IOC = 1,
	HFT_TIF_DAY = 2,
};

/* Why a strategy that would act waits. */
enum hft_wait {
	HFT_WAIT_NONE = 0,
	HFT_WAIT_IN_FLIGHT = 1, /* an order of the symbol is open */
	HFT_WAIT_LIMIT = 2, /* the position limits leave no room, or the quantity is 0 */
};

/* What a position is valued at. */
enum hft_mark {
	HFT_MARK_SIDE = 0, /* the side it would hit: bid when long, offer when short */
	HFT_MARK_MID = 1, /* the middle of bid and offer, rounded down */
	HFT_MARK_LAST = 2, /* the last trade */
};

/* What a price collar is around. */
enum hft_price_reference {
	HFT_REFERENCE_NONE = 0, /* nothing: no order leaves */
	HFT_REFERENCE_LAST = 1, /* the last trade that counts */
	HFT_REFERENCE_MID = 2, /* the middle of bid and offer, rounded down */
};

enum hft_side {
	HFT_BUY = 0,
	HFT_SELL = 1,
};

enum hft_protocol {
	HFT_PROTOCOL_NONE = 0,
	HFT_OUCH50 = 1,
	HFT_OUCH42 = 2,
};

/* What carries OUCH. Fixed at load: the program has the code of one of them only. */
enum hft_transport {
	HFT_TRANSPORT_UFO = 0, /* datagrams */
	HFT_TRANSPORT_SOUPBINTCP =
		1, /* a live TCP connection of the kernel's, which the hook sends on: struct hft_tcp_wire */
};

/* Where time-dependent decisions take their clock from. */
enum hft_clock {
	HFT_CLOCK_MONOTONIC = 0, /* bpf_ktime_get_ns() */
	HFT_CLOCK_FEED = 1, /* time stamp of the newest ITCH message: a replay decides as the day did */
};

enum hft_feed_health {
	HFT_FEED_IDLE = 0, /* nothing seen yet */
	HFT_FEED_LIVE = 1, /* every message of the session was handled, in order */
	HFT_FEED_HOLD = 2, /* something is missing, the other line may still bring it: nothing is applied or sent */
	HFT_FEED_GAP =
		3, /* it did not come within config.hold_ns: a gap; nothing is applied or sent until it is filled */
	HFT_FEED_ENDED = 4, /* end of session: nothing trades */
};

/* Only a book that is OK is traded on. */
enum hft_book_health {
	HFT_BOOK_OK = 0, /* every message of the symbol was applied */
	HFT_BOOK_QUARANTINED = 1, /* may be wrong (enum hft_doubt says why): its messages are kept, not applied */
	HFT_BOOK_CLEARING = 2, /* user space began to install a snapshot: the old orders are being swept out */
	HFT_BOOK_INSTALLING = 3, /* empty, or filled in part, from a snapshot */
};

/* Why a symbol is in quarantine. */
enum hft_doubt {
	HFT_DOUBT_NONE = 0,
	HFT_DOUBT_FIELD, /* a field that cannot be, or name and locate disagree */
	HFT_DOUBT_LENGTH, /* a book message of wrong length */
	HFT_DOUBT_UNKNOWN_REF,
	HFT_DOUBT_DUPLICATE_REF,
	HFT_DOUBT_OVER_REDUCE, /* more shares taken than the order had */
	HFT_DOUBT_FULL, /* order, level or ladder table, or a level above 2^40 - 1 shares */
	HFT_DOUBT_CROSSED, /* bid at or above offer in continuous trading for longer than config.crossed_ns */
	HFT_DOUBT_LATE, /* asked for, or listed, after messages of its locate had passed */
	HFT_DOUBT_GAP, /* a gap of its feed was given up */
	HFT_DOUBT_REQUESTED, /* a person asked for a resync */
	HFT_DOUBT_SNAPSHOT, /* a snapshot could not be installed */
	HFT_DOUBTS,
};

/* Market phase, from ITCH S. */
enum hft_phase {
	HFT_PHASE_NONE = 0, /* not heard yet: counts as closed */
	HFT_PHASE_MESSAGES = 1, /* O: start of messages */
	HFT_PHASE_SYSTEM = 2, /* S: start of system hours */
	HFT_PHASE_MARKET = 3, /* Q: market hours; orders leave in this phase only */
	HFT_PHASE_AFTER = 4, /* M: end of market hours */
	HFT_PHASE_CLOSED = 5, /* E: end of system hours */
	HFT_PHASE_ENDED = 6, /* C: end of messages */
};

/* What user space can have the program do, with a frame of role COMMAND. */
enum hft_command_op {
	HFT_OP_NONE = 0,
	HFT_OP_POKE = 1, /* go on applying kept messages; let the clock turn a hold into a gap */
	HFT_OP_QUARANTINE = 2, /* slot: quarantine it, doubt REQUESTED */
	HFT_OP_BEGIN = 3, /* slot: QUARANTINED (or further) -> CLEARING */
	HFT_OP_SWEEP = 4, /* sequence = table (enum hft_table), first, count: drop what belongs to CLEARING symbols */
	HFT_OP_INSTALL =
		5, /* slot, then blocks: messages of a snapshot; CLEARING -> INSTALLING empties the book first */
	HFT_OP_REPLAY = 6, /* slot, then blocks: kept messages, which come after the snapshot */
	HFT_OP_RELEASE = 7, /* slot, sequence: INSTALLING -> OK, if no message of it at or after sequence was kept */
	HFT_OP_ABANDON = 8, /* sequence: give up what is missing below it; every symbol of the feed is quarantined */
	HFT_OP_ROLLOVER =
		9, /* then 10 bytes: follow this session from its sequence 1; the day of every symbol begins anew */
	HFT_OP_ORDER =
		10, /* slot, then a struct hft_intent: through the gate as strategy MANUAL; answer XDP_TX = the frame */
	HFT_OP_LOST = 11, /* sequence: the order of this UserRefNum never arrived; SENT -> LOST */
	HFT_OP_REARM = 12, /* sequence = enum hft_latch; first = strategy; slot: lift a latch */
	HFT_OP_TRUST = 13, /* a person has looked: SUSPECT -> UP, while all orders are HALTED */
	HFT_OPS,
};

/* Latches of the gate: what stays refused until a person lifts it. */
enum hft_latch {
	HFT_LATCH_EXECUTIONS = 0, /* of a strategy: it has had max_executions since it was armed */
	HFT_LATCH_LOSS = 1, /* the day's loss of all symbols */
	HFT_LATCH_SYMBOL_LOSS = 2, /* the day's loss of one symbol */
	HFT_LATCHES = 3,
};

enum hft_table {
	HFT_TABLE_ORDERS = 0,
	HFT_TABLE_LEVELS = 1,
	HFT_TABLE_LADDER = 2,
	HFT_TABLE_SPILL = 3,
	HFT_TABLES = 4,
};

enum hft_session_health {
	HFT_SESSION_DOWN = 0, /* no login accepted yet */
	HFT_SESSION_UP = 1,
	HFT_SESSION_ENDED = 2, /* the exchange ended it, or answered under another session name */
	HFT_SESSION_SUSPECT = 3, /* a reply that touches orders or positions could not be applied: a person must look */
	HFT_SESSION_RECOVERING = 4, /* logged in, reading the day's replies again from the first */
};

enum hft_order_state {
	HFT_ORDER_NONE = 0,
	HFT_ORDER_SENT = 1, /* left, no reply yet */
	HFT_ORDER_LIVE = 2, /* Accepted */
	HFT_ORDER_FILLED = 3,
	HFT_ORDER_CANCELED = 4,
	HFT_ORDER_REJECTED = 5,
	HFT_ORDER_REPLACED = 6, /* another order took its place */
	HFT_ORDER_LOST = 7, /* never arrived at the exchange, or a replacement whose original ended before */
};

/* What was asked about a live order and is not answered yet: bits of hft_working.pending. */
enum hft_pending {
	HFT_PENDING_CANCEL = 1, /* our cancel left */
	HFT_PENDING_REPLACE = 2, /* our replacement left */
	HFT_PENDING_LATER = 4, /* the exchange will cancel it later (Cancel Pending) */
};

/* Why the risk gate refused. The order of the list is the order of the checks: the first that fails is named. */
enum hft_reason {
	HFT_REASON_NONE = 0,
	HFT_REASON_NOT_CONFIGURED, /* no order template */
	HFT_REASON_SESSION_DOWN, /* order entry not logged in, recovering, ended or suspect */
	HFT_REASON_BAD_INTENT, /* no such action, side or time in force, or not an order of this symbol that can be changed now */
	HFT_REASON_FEED_NOT_LIVE, /* idle, held, gapped or ended feed */
	HFT_REASON_BOOK_QUARANTINED,
	HFT_REASON_MARKET_CLOSED, /* not in market hours (ITCH S), or a market-wide circuit breaker was hit (W) */
	HFT_REASON_NOT_TRADING, /* the symbol's trading state is not T (H), or not heard; or an operational halt (h) */
	HFT_REASON_BOOK_CROSSED, /* bid at or above offer */
	HFT_REASON_RESTRICTED, /* the symbol is on the restricted list */
	HFT_REASON_QTY_RANGE, /* 0, or above what OUCH carries */
	HFT_REASON_PRICE_RANGE, /* 0, or above $199,999.99 */
	HFT_REASON_MAX_ORDER_QTY,
	HFT_REASON_MAX_NOTIONAL,
	HFT_REASON_NO_REFERENCE, /* no fresh price for the collar to be around */
	HFT_REASON_COLLAR, /* too far from that price */
	HFT_REASON_SHORT_SALE, /* would sell more than is held, where that is not allowed */
	HFT_REASON_SHORT_PRICE, /* a short sale at or below the best bid under Rule 201 (ITCH Y) */
	HFT_REASON_MAX_LONG, /* position and open buys would exceed the limit */
	HFT_REASON_MAX_SHORT,
	HFT_REASON_GROSS_EXPOSURE, /* of all symbols, open orders included */
	HFT_REASON_NET_EXPOSURE,
	HFT_REASON_OPEN_ORDERS, /* of the symbol, the strategy or all */
	HFT_REASON_SELF_TRADE, /* would meet an order of our own */
	HFT_REASON_DUPLICATE, /* same side, price and quantity as an order just sent */
	HFT_REASON_LOSS_LIMIT, /* the day's loss, of the symbol or of all; latched */
	HFT_REASON_EXECUTIONS, /* the strategy's executions since it was armed; latched */
	HFT_REASON_RATE_SYMBOL, /* message throttles */
	HFT_REASON_RATE_STRATEGY,
	HFT_REASON_RATE,
	HFT_REASON_WORKING_FULL, /* the slot of this UserRefNum still holds an open order */
	HFT_REASON_REFS_EXHAUSTED, /* no UserRefNum left today */
	HFT_REASON_NO_ROOM, /* more messages than one packet carries, or the driver could not grow the frame */
	HFT_REASON_WIRE_DOWN, /* SoupBinTCP: not armed, closed by the peer, not ESTABLISHED, or not where the wire word says */
	HFT_REASON_WIRE_BUSY, /* user space is sending on the connection, or the kernel has not sent all it was given */
	HFT_REASON_WIRE_UNMERGED, /* HFT_MAX_UNMERGED sends are not merged into the kernel's connection yet */
	HFT_REASON_WIRE_WINDOW, /* the peer's window has no room */
	HFT_REASON_WIRE_RECOVERY, /* something is lost or being sent again: an order behind a hole would come late */
	HFT_REASON_LIMITS_CHANGED, /* while the decision was made */
	HFT_REASON_REDUCING, /* kill state REDUCING, and the order does not only reduce */
	HFT_REASON_HALTED_SYMBOL,
	HFT_REASON_HALTED_STRATEGY,
	HFT_REASON_HALTED_GLOBAL,
	HFT_REASON_LEASE, /* the control plane has not renewed its lease */
	HFT_REASONS,
};

enum hft_event_kind {
	HFT_EVENT_NONE = 0,
	HFT_EVENT_ORDER, /* an order left */
	HFT_EVENT_REFUSED, /* the gate refused one; reason says why */
	HFT_EVENT_ACCEPTED,
	HFT_EVENT_EXECUTED,
	HFT_EVENT_CANCELED,
	HFT_EVENT_REJECTED,
	HFT_EVENT_FEED_GAP, /* gap or late start; feed_seq = first sequence missing, qty = how many (capped) */
	HFT_EVENT_FEED_LIVE, /* nothing is missing any more; feed_seq = next sequence */
	HFT_EVENT_FEED_ENDED,
	HFT_EVENT_BOOK_QUARANTINED, /* reason = enum hft_doubt */
	HFT_EVENT_BOOK_RESTORED,
	HFT_EVENT_SESSION_ENDED,
	HFT_EVENT_SESSION_SUSPECT,
	HFT_EVENT_REPLACED, /* user_ref took the place of other_ref */
	HFT_EVENT_BROKEN, /* a trade was broken: qty at price_e4 taken back */
	HFT_EVENT_CANCEL_PENDING,
	HFT_EVENT_CANCEL_REJECTED,
	HFT_EVENT_PRIORITY, /* price_e4 is the order's price now */
	HFT_EVENT_MODIFIED, /* qty = shares given back */
	HFT_EVENT_RESTATED,
	HFT_EVENT_SYSTEM, /* of order entry; reason = its code */
	HFT_EVENT_CANCEL_SENT, /* a cancel of user_ref left; with a reason: was handed to user space to be sent (WIRE_*) */
	HFT_EVENT_SHADOW, /* what a strategy in shadow would have done; reason as in REFUSED, 0 = it would have left */
	HFT_EVENT_LOST, /* an order declared never to have arrived */
	HFT_EVENT_LATCHED, /* a latch fell: reason = enum hft_latch; strategy or symbol */
	HFT_EVENT_KINDS,
};

/* Counters, one u64 each, per CPU. Their names in Python, JSON and docs are these, lower case, without HFT_C_. */
enum hft_counter {
	HFT_C_FRAMES = 0, /* every frame that met the program */
	HFT_C_NOT_OURS, /* passed untouched: no flow matches, or not IPv4 + UDP */
	HFT_C_FRAGMENTS, /* IPv4 fragments, passed */
	HFT_C_TRUNCATED, /* shorter than its own headers say, passed */
	HFT_C_BAD_CHECKSUM, /* of a flow of ours; passed, nothing applied */
	HFT_C_WRONG_PEER, /* right address and port, not from the peer that the flow names; passed */
	HFT_C_CONTENDED, /* another CPU stayed inside the engine: passed unhandled (the feed will show a gap) */
	HFT_C_FEED_PACKETS,
	HFT_C_FEED_MALFORMED, /* block lengths do not add up to the datagram; passed, nothing applied */
	HFT_C_FEED_MESSAGES, /* handled once each, in order */
	HFT_C_FEED_HEARTBEATS,
	HFT_C_FEED_END_OF_SESSION,
	HFT_C_FEED_DUPLICATES, /* messages below the expected sequence or kept already, skipped */
	HFT_C_FEED_HOLDS, /* times something was missing */
	HFT_C_FEED_GAPS, /* holds that lasted longer than config.hold_ns */
	HFT_C_FEED_KEPT, /* messages kept because an earlier one was missing */
	HFT_C_FEED_NOT_KEPT, /* too far ahead to be kept: to be asked for again */
	HFT_C_FEED_MISSED, /* messages given up */
	HFT_C_FEED_SECOND_CPU, /* packets of a feed on another CPU than the one before: steer it to one queue */
	HFT_C_FEED_ROLLOVERS,
	HFT_C_FEED_WRONG_SESSION, /* packets of another MoldUDP64 session; passed */
	HFT_C_ITCH_UNKNOWN_TYPE,
	HFT_C_ITCH_BAD_LENGTH, /* known type, wrong length */
	HFT_C_ITCH_BAD_FIELD, /* side neither B nor S, price above $200,000, name and locate disagree, unknown state */
	HFT_C_BOOK_UNTRACKED, /* book messages of symbols nobody asked for */
	HFT_C_BOOK_UNKNOWN_REF, /* E C X D U of an order never added */
	HFT_C_BOOK_DUPLICATE_REF, /* A F U with a reference that is live */
	HFT_C_BOOK_OVER_REDUCE, /* E C X for more shares than the order has */
	HFT_C_BOOK_FULL, /* no place in the order, level or ladder table, or a level above 2^40 - 1 shares */
	HFT_C_BOOK_CROSSED, /* crossed for too long in continuous trading */
	HFT_C_BOOK_KEPT, /* messages of quarantined symbols, kept */
	HFT_C_BOOK_QUARANTINES, /* symbols put in quarantine */
	HFT_C_BOOK_RESTORES, /* and out of it */
	HFT_C_COMMANDS, /* commands of user space done */
	HFT_C_COMMANDS_REFUSED, /* not authentic, or not possible in that state */
	HFT_C_SIGNALS, /* times a strategy was asked */
	HFT_C_INTENTS, /* what they wanted, each of which met the gate */
	HFT_C_SHADOW_SIGNALS, /* the same for strategies in shadow */
	HFT_C_SHADOW_INTENTS,
	HFT_C_TRIGGERS_DROPPED, /* more armed symbols touched by one packet than HFT_MAX_TOUCHED, or more intents than HFT_MAX_PENDING */
	HFT_C_WAIT_IN_FLIGHT, /* a condition held, an order of this symbol is open */
	HFT_C_WAIT_LIMIT, /* a condition held, the position limits leave no room, or the quantity is 0 */
	HFT_C_ORDERS, /* orders that left, replacements included */
	HFT_C_CANCELS, /* cancels that left, or were handed to user space to be sent */
	HFT_C_ORDER_FRAMES, /* datagrams they left in */
	HFT_C_REPLY_PACKETS,
	HFT_C_REPLY_MALFORMED, /* passed, nothing applied */
	HFT_C_REPLY_DUPLICATES, /* replies below the expected sequence, skipped */
	HFT_C_REPLY_GAPS, /* sequenced packets above the expected sequence: not applied, to be re-requested */
	HFT_C_REPLY_CONTROL, /* login accept or reject, end of session */
	HFT_C_REPLY_WRONG_SESSION, /* login accept under another session name */
	HFT_C_REPLY_UNKNOWN_REF, /* for an order or an execution we do not know */
	HFT_C_REPLY_UNHANDLED, /* OUCH that this engine does not act upon */
	HFT_C_REPLY_BAD_LENGTH, /* known OUCH type, wrong length */
	HFT_C_REPLY_BAD_STATE, /* a reply that the order's state does not allow */
	HFT_C_EVENTS, /* records written to the ring */
	HFT_C_EVENTS_LOST, /* records that did not fit */
	HFT_C_WIRE_PACKETS, /* TCP segments of the order-entry connection that came in */
	HFT_C_WIRE_SENDS, /* TCP segments with orders that the hook sent */
	HFT_C_WIRE_ACKS_HELD, /* acknowledgements that were cut down to what the kernel's connection knows of */
	HFT_C_WIRE_CLOSES, /* FIN or RST of the peer */
	HFT_C_WIRE_REPLIES, /* replies that the hook took from the stream itself */
	HFT_C_WIRE_REPLIES_LEFT, /* segments whose replies it left to user space: split, out of order, or the engine was busy */
	HFT_COUNTERS,
};

/* The 23 ITCH 5.0 messages in the order of their counters. */
enum hft_itch {
	HFT_ITCH_S = 0,
	HFT_ITCH_R,
	HFT_ITCH_H,
	HFT_ITCH_Y,
	HFT_ITCH_L,
	HFT_ITCH_V,
	HFT_ITCH_W,
	HFT_ITCH_K,
	HFT_ITCH_J,
	HFT_ITCH_h,
	HFT_ITCH_A,
	HFT_ITCH_F,
	HFT_ITCH_E,
	HFT_ITCH_C,
	HFT_ITCH_X,
	HFT_ITCH_D,
	HFT_ITCH_U,
	HFT_ITCH_P,
	HFT_ITCH_Q,
	HFT_ITCH_B,
	HFT_ITCH_I,
	HFT_ITCH_N,
	HFT_ITCH_O,
	HFT_ITCH_TYPES,
};

enum hft_histogram_kind {
	HFT_HIST_ORDER = 0, /* packet entry to the finished order frame */
	HFT_HIST_REFUSED, /* packet entry to the last refusal, packets that sent nothing */
	HFT_HIST_FEED, /* packets that decided nothing; only with config.time_all */
	HFT_HIST_REPLY, /* order-entry packets; only with config.time_all */
	HFT_HISTS,
};

/* Fixed at load (.rodata.config). */
struct hft_config {
	__u32 abi_version; /* HFT_ABI_VERSION of the object */
	__u32 verify_checksums; /* 1: refuse feed and reply datagrams whose IPv4 or UDP checksum is wrong (UDP 0 = none) */
	__u32 clock; /* enum hft_clock */
	__u32 time_all; /* 1: two clock reads on every packet of ours, to fill the FEED and REPLY histograms */
	__u32 symbols; /* slots of books, symbol_params and symbol_state; a power of two */
	__u32 order_mask; /* buckets - 1 of book_orders */
	__u32 spill_mask; /* buckets - 1 of order_spill */
	__u32 level_mask; /* blocks - 1 of book_levels */
	__u32 ladder_mask; /* buckets - 1 of book_ladder */
	__u32 kept_mask; /* messages - 1 that are kept for each feed */
	__u32 feeds; /* MoldUDP64 feeds that there is room for: a power of two, at most HFT_MAX_FEEDS */
	__u32 transport; /* enum hft_transport of order entry */
	__u64 hold_ns; /* how long a missing message may still come by the other line before it counts as a gap */
	__u64 crossed_ns; /* how long a book may be crossed in continuous trading, by the feed's time stamps; 0 = for ever */
};

/* Flow table: destination address and port of a frame -> what it is to us. */
struct hft_flow_key {
	__u32 addr_be;
	__u16 port_be;
	__u16 pad0; /* zero */
};

struct hft_flow {
	__u32 role; /* enum hft_role */
	__u32 peer_addr_be; /* only frames from here are ours; 0 = any */
	__u16 peer_port_be; /* 0 = any */
	__u8 feed; /* role FEED: which feed, below HFT_MAX_FEEDS */
	__u8 line; /* role FEED: enum hft_line */
	__u32 pad1;
};

/* Live, global, written by user space: one aligned store each, effective on the next packet. */
struct hft_control {
	__u64 kill; /* enum hft_kill of all orders; read last before an order is written, with the next */
	__u64 lease_until_ns; /* by the gate's clock: nothing but cancels leaves from then on */
	__u64 epoch; /* raised by user space with every change; its lowest bit chooses the set of limits that holds */
	__u64 mark; /* enum hft_mark */
	__u64 changing; /* not 0: user space stores parameters, of which there is no second set; nothing but cancels leaves */
	__u64 pad0[3];
	__u64 strategy_kill[8]; /* enum hft_kill, by enum hft_strategy */
};

/* Limits of all orders together. Two sets: entry epoch & 1 of map `limits` holds, user space prepares the other. 0 refuses everywhere. */
struct hft_account_limits {
	__u64 max_order_qty;
	__u64 max_notional_e4; /* price x quantity of one order */
	__u64 max_gross_e4; /* sum of |position| at its mark and of all open orders at their prices */
	__u64 max_net_e4; /* |sum of positions at their marks|, with the open orders of the side that makes it larger */
	__u64 max_open_orders;
	__u64 max_loss_e4; /* of the day, fees included; reaching it latches. 0: any loss, and standing at zero, latches */
	__u64 interval_ns; /* throttle: ns of one message at the sustained rate; 0 = none may leave */
	__u64 burst; /* messages that may leave at once */
	__u64 duplicate_ns; /* an equal order within this time is refused; 0 = not checked */
	__u64 pad0[7];
};

/* Limits of one strategy's orders. */
struct hft_strategy_limits {
	__u64 max_order_qty;
	__u64 max_notional_e4;
	__u64 max_open_orders;
	__u64 max_executions; /* since it was armed; reaching it latches */
	__u64 interval_ns;
	__u64 burst;
	__u64 pad0[2];
};

struct hft_limits {
	struct hft_account_limits account;
	struct hft_strategy_limits strategy[8];
};

/* Limits of one symbol's orders: entry (epoch & 1) * config.symbols + slot of map `symbol_limits`. */
struct hft_symbol_limits {
	__u64 max_order_qty;
	__u64 max_notional_e4;
	__u64 max_long; /* shares; at most HFT_MAX_POSITION counts */
	__u64 max_short; /* shares below zero; needs short_ok */
	__u64 max_open_orders; /* at most HFT_MAX_OPEN counts */
	__u64 max_loss_e4; /* as for the account */
	__u64 interval_ns;
	__u64 burst;
	__u64 collar_ppm; /* how far from the reference a price may be, 1/1,000,000 of it */
	__u64 reference; /* enum hft_price_reference */
	__u64 reference_age_ns; /* how old it may be, by the feed's time stamps */
	__u64 restricted; /* not 0: no order */
	__u64 short_ok; /* 1: short sales are allowed (located); anything else: not */
	__u64 pad0[3];
};

/* Live, per symbol, written by user space: one aligned store each, effective on the next packet. */
struct hft_symbol_params {
	__u8 name[8]; /* space padded as on the wire; all zero = slot unused */
	__u64 kill; /* enum hft_kill */
	__u64 feed; /* which feed lists it, below HFT_MAX_FEEDS; fixed before the name is registered */
	__u64 strategy; /* enum hft_strategy that trades it, THRESHOLD to USER; anything else: none */
	__u64 shadow; /* bit of each strategy that is asked too, without its orders leaving */
	__u64 tick_e4; /* price step of all strategies; 0 counts as 100 (one cent) */
	/* threshold */
	__u64 buy_below_e4; /* buy when best offer <= this; 0 = off */
	__u64 sell_above_e4; /* sell the position when best bid >= this; 0 = off */
	__u64 base_qty; /* shares at the target */
	__u64 step_qty; /* shares more for each whole tick beyond the target */
	__u64 cap_qty; /* most shares the strategy asks for */
	/* imbalance */
	__u64 imbalance_ppm; /* share of the touch's shares on one side, in 1/1,000,000, from which on it takes the other; 0 = off */
	__u64 imbalance_least; /* shares that must be at the touch, both sides together */
	__u64 imbalance_qty;
	/* momentum */
	__u64 momentum_ticks; /* ticks that trades moved the touch within the window; 0 = off */
	__u64 momentum_window_ns; /* by the feed's time stamps */
	__u64 momentum_qty;
	/* quoter */
	__u64 quote_half_spread_e4; /* distance of our prices from the middle; 0 = off */
	__u64 quote_qty; /* shares of each quote; 0 = off */
	__u64 quote_skew_e4; /* both prices go down by this for each 100 shares held (up when short) */
	__u64 quote_inventory; /* a position of that many shares or more is not added to */
	__u64 quote_requote_e4; /* a quote stays while it is nearer than this to where it should be; 0 counts as 1 */
	__u64 pad0[2];
};

/* What a strategy is told, and what it wants: also the contract of a plug-in (bpf/hft/strategy_api.h). Arrays of two: bid or buy at 0. */
struct hft_touch {
	__u32 price_e4[2]; /* 0 = none */
	__u32 qty[2]; /* shares there, at most 2^32 - 1 */
	__u32 orders[2]; /* how many orders they are */
	__u32 last_e4; /* last trade that counts */
	__u32 last_qty;
	__u64 volume; /* shares traded today */
};

struct hft_own {
	__u32 ref; /* UserRefNum, 0 = no open order of that side */
	__u32 price_e4;
	__u32 qty; /* open */
	__u16 state; /* enum hft_order_state: SENT or LIVE */
	__u16 pending; /* enum hft_pending */
};

struct hft_signal {
	__u32 slot;
	__u32 strategy; /* enum hft_strategy that is asked */
	__u64 feed_seq; /* of the newest message of the symbol */
	__u64 exchange_ns; /* its time stamp */
	__u64 now_ns; /* the gate's clock */
	__s64 position; /* shares */
	__u64 room[2]; /* shares that the position limits still leave, open orders counted as filled */
	__u64 open_qty[2]; /* shares of our open orders */
	__u32 open_orders;
	__u32 tick_e4; /* never 0 */
	struct hft_touch before; /* as this strategy's symbol was at its signal before; zeros at the first */
	struct hft_touch after; /* as the packet left it */
	struct hft_own own[2]; /* the newest open order of each side */
};

struct hft_intent {
	__u32 action; /* enum hft_action */
	__u32 side; /* enum hft_side; not of a CANCEL */
	__u32 price_e4;
	__u32 qty; /* REPLACE: what shall be open */
	__u32 ref; /* REPLACE, CANCEL: UserRefNum of the order */
	__u32 tif; /* enum hft_tif */
};

struct hft_intents {
	__u32 count; /* at most HFT_MAX_INTENTS count */
	__u32 wait; /* enum hft_wait, when there is none */
	struct hft_intent intent[4];
};

/* A stock name on a feed -> its slot. */
struct hft_name_key {
	__u8 name[8]; /* as in hft_symbol_params */
	__u64 feed;
};

/*
 * One side of a book near the touch: the levels of 63 neighbouring prices, a ring. The level of a price is cell (price / tick) % 64;
 * which prices these are, hft_book says. A cell is a level: shares in the low 40 bits, orders in the high 24; 0 = no level.
 */
struct hft_window {
	__u64 cell[64];
};

/*
 * One symbol's book and market, written by the hook (but `armed`, `name` and `feed`). version is odd while the hook is inside: read, copy,
 * read again. The arrays of two have the bid at 0 and the offer at 1 (enum hft_side). All levels of a side that are better than the end
 * of its window are in the window, the rest is in book_levels.
 */
struct hft_book {
	__u32 version;
	__u8 health; /* enum hft_book_health. These four together, 0: nothing but the book itself is to be looked at */
	__u8 armed; /* written by user space: 1 = a strategy is to be asked */
	__u8 holds; /* 1 = there is a position to be marked */
	__u8 crossed; /* 1 = it was crossed in continuous trading: crossed_ns */
	__u32 best_e4[2]; /* best bid and offer, 0 = none; the first level that `held` names */
	__u8 name[8]; /* written by user space, as in hft_symbol_params; all zero = slot unused */
	__u64 exchange_ns; /* time stamp of the newest book message, ns since midnight Eastern */
	__u32 book_messages; /* applied, modulo 2^32 */
	__u32 book_orders; /* live orders */
	__u64 held[2]; /* bit p: there is a level at place p of the window; bit 63: there may be some behind it */
	__u32 window_e4[2]; /* price of place 0; place p is p ticks behind it. Tick: a cent, with bit 31 1/100 of it */
	/* second line: seldom touched */
	__u16 locate; /* ITCH stock locate of today, 0 = not seen yet */
	__u8 doubt; /* enum hft_doubt */
	__u8 feed; /* which feed it is on */
	__u8 operational_halt; /* ITCH h on Nasdaq: 1 = halted */
	__u8 cross_pending; /* 1 = between the change to T and the cross (Q): may be crossed */
	__u8 reg_sho; /* ITCH Y: '0', '1', '2'; 0 = not heard */
	__u8 cross_type; /* of the last cross (Q): O, C, H */
	__u64 since_seq; /* messages of it are kept from this sequence on, while it is in quarantine */
	__u64 kept_seq; /* the newest that was kept */
	__u32 last_e4; /* last trade that counts: E, C printable, P, Q */
	__u32 last_qty; /* its shares, at most 2^32 - 1 */
	__u64 volume; /* shares of such trades */
	__u64 notional_e4; /* price x shares of them, the low 64 bits; over volume = VWAP */
	__u32 notional_high; /* and the high ones */
	__u8 halt_reason[4]; /* ITCH H */
	__u64 last_ns; /* time stamp of the last trade that counts */
	/* third line and on */
	struct hft_window window[2];
	__u8 trading_state; /* ITCH H: H halted, P paused, Q quotation only, T trading; 0 = not heard yet */
	__u8 pad0[3];
	__u32 touched; /* number of the packet that last touched it while armed, held or crossed */
	__u64 touched_seq; /* and of its message */
	__u64 crossed_ns; /* time stamp at which it was first seen crossed in continuous trading; 0 = it is not */
	__u32 behind_e4[2]; /* the best price behind the window; 0 = not known */
	__u64 behind_level[2]; /* the level there, if it is the best of all: the window is empty */
	__u64 pad1[2];
};

/* What seldom comes and nobody waits for: ITCH J and K of a symbol. */
struct hft_auction {
	__u32 luld_reference_e4;
	__u32 luld_upper_e4;
	__u32 luld_lower_e4;
	__u32 luld_extension;
	__u32 ipo_release_s; /* seconds since midnight */
	__u32 ipo_price_e4;
	__u8 ipo_qualifier; /* A anticipated, C cancelled; 0 = not heard */
	__u8 pad0[7];
};

/* An order that left lately. */
struct hft_recent {
	__u64 sent_ns; /* gate's clock; 0 = none */
	__u32 price_e4;
	__u32 qty_side; /* quantity << 1 | side */
};

/* Our own trading in one symbol, written by the hook under the version of its book. */
struct hft_symbol_state {
	__s64 position; /* shares, signed */
	__s64 cost_e4; /* what the open position cost, signed like it */
	__s64 realized_e4; /* profit and loss of closed shares, without fees */
	__s64 unrealized_e4; /* position at mark_e4, less cost_e4; 0 without a mark */
	__s64 exposure_e4; /* position at mark_e4; at its cost without a mark */
	__s64 fees_e8; /* paid, in 1/100,000,000 dollar; negative = received */
	__u32 mark_e4; /* what the position is valued at; the newest one that could be had */
	__u32 open_orders;
	__u64 tat_ns; /* throttle: when the next message would be due at the sustained rate */
	/* second cache line */
	__u32 open_ref[8]; /* UserRefNums of the open orders; 0 = free */
	__u64 open_qty[2]; /* shares that they would still add to what we bought and sold */
	__u32 recent_head; /* orders sent, modulo 2^32: the next goes to recent[recent_head % 8] */
	__u32 loss_latched; /* 1 = the symbol's loss limit was reached */
	__u64 pad0;
	/* third and fourth */
	struct hft_recent recent[8];
	/* fifth: gross sums, for the ledgers */
	__u64 orders_sent; /* replacements included */
	__u64 fills; /* executions, less those broken */
	__u64 bought_qty;
	__u64 sold_qty;
	__u64 bought_e4; /* sum of price x quantity */
	__u64 sold_e4;
	__u64 canceled_qty; /* open shares given back: Canceled, Rejected, Modified, Replaced */
	__u64 broken; /* trades broken */
};

/* What a strategy has to remember of a symbol. */
struct hft_memory {
	struct hft_touch touch; /* at the newest signal */
	__u64 momentum_since_ns; /* 0 = no window is open */
	__u32 momentum_up; /* ticks moved up by trades within it */
	__u32 momentum_down;
	__u64 pad0;
};

struct hft_strategy_state {
	__u64 open_orders;
	__u64 executions; /* since it was armed */
	__u64 tat_ns;
	__u64 orders_sent;
	__u64 latched; /* 1 = max_executions was reached */
	__u64 pad0[3];
};

/* Our own trading in all symbols, written by the hook. */
struct hft_account {
	__s64 realized_e4;
	__s64 unrealized_e4;
	__s64 fees_e8;
	__u64 gross_e4; /* sum of |exposure_e4| */
	__s64 net_e4; /* sum of exposure_e4 */
	__u64 open_e4[2]; /* price x shares of open orders, by side */
	__u64 open_orders;
	__u64 tat_ns;
	__u64 loss_latched;
	__u64 executions; /* all of the day: the next goes to executions[executions % HFT_MAX_EXECUTIONS] */
	__u64 pad0[5];
	struct hft_strategy_state strategy[8];
};

/* An execution, so that it can be broken. */
struct hft_execution {
	__u64 match_number;
	__u32 user_ref;
	__u32 qty; /* 0 = free, or broken */
	__u32 price_e4;
	__u32 flag; /* liquidity flag, the ASCII code */
	__u64 pad0;
};

struct hft_feed_state {
	__u8 session[10]; /* MoldUDP64 session the feed is locked to; zeros = none yet */
	__u8 phase; /* enum hft_phase */
	__u8 breaker; /* ITCH W: level breached, '1' to '3'; '?' = one that could not be read; 0 = none */
	__u32 health; /* enum hft_feed_health */
	__u64 expected_seq; /* next sequence number to apply; 0 = none seen */
	__u64 highest_seq; /* one past the highest that any packet of the session announced */
	__u64 exchange_ns; /* newest ITCH time stamp applied */
	__u64 seen_ns; /* newest ITCH time stamp of any message, kept ones included */
	__u64 hold_since_ns; /* when the first missing message was noticed; 0 = nothing is missing */
	__u64 gaps;
	__u64 missed; /* messages given up */
	__u64 breaker_level_e8[3]; /* ITCH V */
	__u64 generation; /* raised with each session, so that kept messages of two sessions are never mixed */
	__u64 first[3]; /* by line: messages that came by it first */
	__u64 late[3]; /* by line: messages that had come before */
	__u64 line_next[3]; /* by line: one past the highest sequence seen */
	__u32 cpu; /* CPU of the newest packet, plus 1; 0 = none yet */
	__u32 gave_up; /* 1 = messages of this session were given up: what is listed from now on may lack some */
	__u64 pad1[9];
};

/* A command of user space, in host byte order, as the payload of a datagram of role COMMAND; blocks may follow. */
struct hft_command {
	__u64 nonce; /* of the map command_nonce */
	__u32 op; /* enum hft_command_op */
	__u32 feed;
	__u32 slot;
	__u32 blocks; /* how many length-prefixed messages follow */
	__u64 sequence;
	__u32 first; /* SWEEP: first bucket */
	__u32 count; /* SWEEP: how many */
};

/* A message that was kept. */
struct hft_kept {
	__u64 tag; /* (generation + 1) << 48 | sequence; 0 = empty */
	__u16 length; /* as it stood in its block; what is longer than `msg` is of no known type and kept cut */
	__u8 msg[54];
};

/* Order entry, written by the hook. */
struct hft_session_state {
	__u8 session[10]; /* UFO session name, from the login accept */
	__u16 pad0;
	__u32 health; /* enum hft_session_health */
	__u32 expected_seq; /* next sequenced UFO message; 0 = not logged in */
	__u32 highest_seq; /* one past the highest sequence any packet announced: above expected_seq = replies missing */
	__u32 next_user_ref; /* next UserRefNum; 0 counts as 1 */
	__u32 recover; /* written by user space before a login: 1 = read the day's replies from the first, and take our orders from them */
	__u64 exchange_ns; /* newest OUCH time stamp */
	__u64 event_id; /* last event id given out */
	__u64 orders_sent;
	__u64 pad1;
};

/*
 * One bucket of book_orders, order_spill or book_ladder, a cache line (bpf/hft/table.bpf.h). The top four bits of key[0] count the
 * keys of this home bucket that live in later ones; in book_orders those of each key count the orders that belong in that very way and
 * live in another or in order_spill.
 * Orders: key = slot << 46 | feed << 44 | reference, value = price << 33 | side << 32 | quantity.
 * Ladder: key = slot << 46 | side << 45 | scale << 44 | (depth + 1) << 40 | prefix, value = bitmap of occupied children.
 */
struct hft_bucket {
	__u64 key[4];
	__u64 value[4]; /* 0 = free */
};

/*
 * Seven neighbouring prices of one side, a cache line. tag = spilled << 56 | used << 55 | slot << 41 | side << 40 |
 * scale << 39 | number. Scale 0 is for whole cents, a place is the price in cents; scale 1 is for all others, a place is the price in
 * 1/10000 dollar. Bids count from the other end, 7 * 2^29 - 1 - place, so that the smaller place is the better on both sides.
 * Place p is cell p % 7 of block number p / 7. Cells as in hft_window.
 */
struct hft_level_block {
	__u64 tag;
	__u64 cell[7];
};

/* One of our own orders. Slot = user_ref & (HFT_MAX_WORKING - 1). */
struct hft_working {
	__u32 user_ref; /* 0 = slot never used */
	__u32 state; /* enum hft_order_state */
	__u32 symbol; /* index into symbol_params */
	__u32 side; /* enum hft_side */
	__u32 price_e4; /* now */
	__u32 qty; /* as sent */
	__u32 open_qty; /* not yet executed or canceled */
	__u32 filled_qty;
	__u64 sent_ns; /* monotonic clock */
	__u64 filled_e4; /* sum of price x quantity */
	__u32 strategy; /* enum hft_strategy */
	__u32 pending; /* enum hft_pending */
	__u32 other_ref; /* SENT: the order it shall replace; REPLACED: the one that did; LIVE: its replacement under way; 0 = none */
	__u32 chain_qty; /* executed of the orders that it replaced, one after the other */
	__u32 counted_qty; /* its part of open_qty of the symbol */
	__u32 short_sale; /* 1 = marked as a short sale */
	__u64 counted_e4; /* its part of open_e4 of the account */
	__u64 epoch; /* it was decided under */
	__u64 order_ref; /* the exchange's reference; 0 = not heard */
	__u64 pad0[4];
};

/*
 * The frame an order leaves in, prepared by user space: complete Ethernet, IPv4 and UDP or TCP headers, and one complete
 * upstream message of each action (length prefix, 'U', OUCH Enter, Replace or Cancel Order: the same bytes in UFO and SoupBinTCP). The
 * hook patches lengths, checksums, IPv4 id, references, side, quantity, symbol, price and time in force; of TCP also sequence,
 * acknowledgement, window and time stamps.
 */
struct hft_template {
	__u32 protocol; /* enum hft_protocol; 0 = not configured, nothing leaves */
	__u32 headers_len; /* UDP 42, 46 or 50; TCP 54, 58 or 62, with time stamps 12 more. IPv4 without options */
	__u32 msg_len[4]; /* bytes of one message, its length prefix included, by enum hft_action */
	__u32 pad0[2];
	__u8 headers[80];
	__u8 msg[4][64]; /* by enum hft_action */
};

/* A segment that the hook sent, until it is merged into the kernel's connection. */
struct hft_send {
	__u32 seq; /* TCP sequence of its first byte */
	__u32 length;
	__u64 pad0[7];
	__u8 bytes[512];
};

/* Cancels that the hook could not send now, and handed to user space. */
struct hft_waiting {
	__u64 handed_ns; /* monotonic clock when the packet that asked for them entered the hook */
	__u64 left_ns; /* when user space gave them to the kernel; 0 = not yet */
	__u32 reason; /* enum hft_reason: why the hook could not */
	__u32 length;
	__u64 pad0[5];
	__u8 bytes[512];
};

/*
 * The TCP connection of order entry, which the kernel owns and the hook sends on (docs/delegated-send.md).
 *
 * `word` owns the wire: next sequence << 32 | sends that are not merged << 8 | HFT_WIRE_*. It changes by atomic operations only. Who sends
 * has it first: the hook sets FIRING when it is just ARMED, user space turns ARMED into HELD when nothing is unmerged. CLOSED stays. WAITING
 * is set by the hook when it hands something over, and cleared by user space when that is sent.
 */
struct hft_tcp_wire {
	__u64 word;
	__u64 pad0[7];
	/* second line, written by user space. First the four that name the connection, as seen by what comes in */
	__u32 remote_addr_be; /* 0 = no connection */
	__u32 local_addr_be;
	__u16 remote_port_be;
	__u16 local_port_be;
	__u32 merged_seq; /* the kernel's connection has all that was sent below this sequence */
	__u32 timestamps; /* 1 = segments carry the time stamp option */
	__u32 rcv_wscale; /* shift of the window that we tell the peer */
	__u64 reply_sync; /* TCP sequence << 32 | number of the next reply, as far as user space has read: between two packets */
	__u64 handed_sent; /* of those handed over, so many are sent, or passed over */
	__u64 pad1[3];
	/* third line, written by the hook inside the engine */
	__u64 fired; /* sends so far: the next one goes to send[fired % HFT_MAX_UNMERGED] */
	__u64 reply_next; /* as reply_sync, as far as the hook has read; 0 = nothing yet */
	__u64 handed; /* segments of cancels handed over so far: the next one goes to waiting[handed % HFT_MAX_WAITING] */
	__u64 pad2[5];
	/* fourth line, written by the hook when an acknowledgement is held back: the newest one. Odd version: being written */
	__u64 held_version;
	__u32 held_ack;
	__u32 held_seq; /* of the peer's next byte */
	__u32 held_window; /* as on the wire */
	__u32 held_tsval; /* time stamp option; both 0 = none */
	__u32 held_tsecr;
	__u32 pad3;
	__u64 pad4[4];
	struct hft_send send[64];
	struct hft_waiting waiting[64];
};

/* One record per decision and per reply; 128 bytes. */
struct hft_event {
	__u64 id; /* consecutive: a hole is a lost record */
	__u64 local_ns; /* monotonic clock when the packet entered the hook */
	__u64 exchange_ns; /* time stamp of the message behind it, ns since midnight */
	__u64 feed_seq; /* MoldUDP64 sequence of the deciding message; UFO sequence for replies */
	__u64 epoch;
	__u32 kind; /* enum hft_event_kind */
	__u32 reason; /* enum hft_reason; for replies the exchange's own code */
	__u32 symbol; /* index into symbol_params; 0xffffffff = none */
	__u32 side;
	__u32 user_ref;
	__u32 price_e4;
	__u32 qty;
	__u32 hook_ns; /* from packet entry to this decision; 0 for replies and feed events */
	__u32 bid_e4;
	__u32 ask_e4;
	__u64 match_number;
	__s64 position; /* after */
	__s64 realized_e4; /* after */
	__u64 open_qty; /* of this order, after */
	__u32 strategy; /* enum hft_strategy; 0 = none */
	__u32 other_ref; /* REPLACED, and ORDER of a replacement: the order whose place it takes; 0 = none */
	__s64 fees_e8; /* of the symbol, after */
};

/* Counters: once per CPU for what is counted before a packet may enter the engine, once for the rest. User space sums them. */
struct hft_stats {
	__u64 counter[HFT_COUNTERS];
	__u64 itch[HFT_ITCH_TYPES];
	__u64 refused[HFT_REASONS];
};

struct hft_histogram {
	__u64 bucket[32];
};

#endif
