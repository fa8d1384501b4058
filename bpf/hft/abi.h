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

enum { HFT_ABI_VERSION = 2 };

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

/* Kill states. Zero is the safe one: a map nobody has written yet does not trade. */
enum hft_kill {
	HFT_HALTED = 0,
	HFT_ACTIVE = 1,
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
	HFT_OPS,
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
};

enum hft_order_state {
	HFT_ORDER_NONE = 0,
	HFT_ORDER_SENT = 1, /* left, no reply yet */
	HFT_ORDER_LIVE = 2, /* Accepted */
	HFT_ORDER_FILLED = 3,
	HFT_ORDER_CANCELED = 4,
	HFT_ORDER_REJECTED = 5,
};

/* Why the risk gate refused. The order of the list is the order of the checks: the first that fails is named. */
enum hft_reason {
	HFT_REASON_NONE = 0,
	HFT_REASON_NOT_CONFIGURED, /* no order template */
	HFT_REASON_SESSION_DOWN, /* order entry not logged in, ended or suspect */
	HFT_REASON_FEED_NOT_LIVE, /* idle, held, gapped or ended feed */
	HFT_REASON_BOOK_QUARANTINED,
	HFT_REASON_MARKET_CLOSED, /* not in market hours (ITCH S), or a market-wide circuit breaker was hit (W) */
	HFT_REASON_NOT_TRADING, /* the symbol's trading state is not T (H), or not heard; or an operational halt (h) */
	HFT_REASON_BOOK_CROSSED, /* bid at or above offer */
	HFT_REASON_IN_FLIGHT, /* the symbol already has a working order */
	HFT_REASON_QTY_RANGE, /* 0, or above what OUCH carries */
	HFT_REASON_PRICE_RANGE, /* 0, or above $199,999.99 */
	HFT_REASON_MAX_ORDER_QTY,
	HFT_REASON_MAX_NOTIONAL,
	HFT_REASON_MAX_POSITION,
	HFT_REASON_SHORT_SALE, /* would sell more than is held */
	HFT_REASON_ORDER_RATE, /* orders in the last second reached the limit */
	HFT_REASON_WORKING_FULL, /* the slot of this UserRefNum still holds a working order */
	HFT_REASON_REFS_EXHAUSTED, /* no UserRefNum left today */
	HFT_REASON_NO_ROOM, /* the driver could not grow the frame */
	HFT_REASON_HALTED_SYMBOL,
	HFT_REASON_HALTED_GLOBAL,
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
	HFT_C_TRIGGERS, /* the strategy's condition held and nothing made it wait, per symbol and packet */
	HFT_C_TRIGGERS_STALE, /* a later message of the same packet undid the condition */
	HFT_C_TRIGGERS_DROPPED, /* more symbols triggered in one packet than HFT_MAX_ORDERS_PER_PACKET */
	HFT_C_WAIT_IN_FLIGHT, /* the condition held, an order of this symbol is in flight */
	HFT_C_WAIT_LIMIT, /* the condition held, the position limit is reached, or the quantities are 0 */
	HFT_C_ORDERS, /* orders that left */
	HFT_C_ORDER_FRAMES, /* datagrams they left in */
	HFT_C_REPLY_PACKETS,
	HFT_C_REPLY_MALFORMED, /* passed, nothing applied */
	HFT_C_REPLY_DUPLICATES, /* replies below the expected sequence, skipped */
	HFT_C_REPLY_GAPS, /* sequenced packets above the expected sequence: not applied, to be re-requested */
	HFT_C_REPLY_CONTROL, /* login accept or reject, end of session */
	HFT_C_REPLY_WRONG_SESSION, /* login accept under another session name */
	HFT_C_REPLY_UNKNOWN_REF, /* for an order we do not know */
	HFT_C_REPLY_UNHANDLED, /* OUCH that this engine does not act upon */
	HFT_C_REPLY_BAD_LENGTH, /* known OUCH type, wrong length */
	HFT_C_REPLY_BAD_STATE, /* a reply that the order's state does not allow */
	HFT_C_EVENTS, /* records written to the ring */
	HFT_C_EVENTS_LOST, /* records that did not fit */
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
	__u32 pad0;
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
	__u64 kill; /* enum hft_kill, read last before an order is written */
	__u64 epoch; /* raised by user space after every change; a decision carries the one it began under */
	__u64 max_orders_per_second; /* over any one second; at most HFT_MAX_ORDERS_PER_SECOND; 0 = none may leave */
	__u64 pad0[5];
};

/* Live, per symbol, written by user space: one aligned store each, effective on the next packet. */
struct hft_symbol_params {
	__u8 name[8]; /* space padded as on the wire; all zero = slot unused */
	__u64 kill; /* enum hft_kill */
	__u64 buy_below_e4; /* buy when best offer <= this; 0 = off */
	__u64 sell_above_e4; /* sell the position when best bid >= this; 0 = off */
	__u64 base_qty; /* shares at the target */
	__u64 step_qty; /* shares more for each whole tick beyond the target */
	__u64 tick_e4; /* that tick; 0 counts as 100 (one cent) */
	__u64 cap_qty; /* most shares the strategy asks for */
	__u64 max_order_qty; /* risk: shares of one order */
	__u64 max_notional_e4; /* risk: price x quantity of one order */
	__u64 max_position; /* risk: |position + open| in shares */
	__u64 feed; /* which feed lists it, below HFT_MAX_FEEDS; fixed before the name is registered */
	__u64 pad0[4];
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
	__u8 armed; /* written by user space: 1 = the strategy is to be asked */
	__u8 holds; /* 1 = there is a position to be marked */
	__u8 crossed; /* 1 = it was crossed in continuous trading: crossed_ns */
	__u32 best_e4[2]; /* best bid and offer, 0 = none; the first level that `held` names */
	__u8 name[8]; /* written by user space, as in hft_symbol_params; all zero = slot unused */
	__u64 exchange_ns; /* time stamp of the newest book message, ns since midnight Eastern */
	__u32 book_messages; /* applied, modulo 2^32 */
	__u32 book_orders; /* live orders */
	__u64 held[2]; /* bit p: there is a level at place p of the window; bit 63: there may be some behind it */
	__u32 window_e4
		[2]; /* price of place 0, the best; place p is p ticks behind it. A tick is a cent, or with bit 31 set 1/10000 dollar */
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
	__u64 crossed_ns; /* time stamp at which it was first seen crossed in continuous trading; 0 = it is not */
	/* third line and on */
	struct hft_window window[2];
	__u8 trading_state; /* ITCH H: H halted, P paused, Q quotation only, T trading; 0 = not heard yet */
	__u8 pad0[7];
	__u32 behind_e4[2]; /* the best price behind the window; 0 = not known */
	__u64 behind_level[2]; /* the level there, if it is the best of all: the window is empty */
	__u64 pad1[4];
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

/* Our own trading in one symbol, written by the hook under the version of its book. */
struct hft_symbol_state {
	__s64 position; /* shares, signed */
	__s64 cost_e4; /* what the open position cost, signed like it */
	__s64 realized_e4; /* profit and loss of closed shares */
	__s64 unrealized_e4; /* position at mark_e4, less cost_e4 */
	__u32 mark_e4; /* the side we would hit: bid when long, offer when short; the last one seen if empty */
	__u32 working_ref; /* UserRefNum in flight, 0 = none */
	__u32 working_qty; /* its open shares */
	__u32 working_side; /* enum hft_side */
	__u64 orders_sent;
	__u64 fills; /* executions */
	/* second cache line: gross sums, for the ledgers */
	__u64 bought_qty;
	__u64 sold_qty;
	__u64 bought_e4; /* sum of price x quantity */
	__u64 sold_e4;
	__u64 canceled_qty; /* open shares given back by Canceled or Rejected */
	__u64 pad2[3];
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
	__u32 order_head; /* orders sent, for the rate window */
	__u64 exchange_ns; /* newest OUCH time stamp */
	__u64 event_id; /* last event id given out */
	__u64 pad1[2];
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
	__u32 price_e4;
	__u32 qty; /* as sent */
	__u32 open_qty; /* not yet executed or canceled */
	__u32 filled_qty;
	__u64 sent_ns; /* monotonic clock */
	__u64 filled_e4; /* sum of price x quantity */
};

/*
 * The frame an order leaves in, prepared by user space: complete Ethernet, IPv4 and UDP headers and one complete
 * upstream message (length prefix, UFO 'U', OUCH Enter Order). The hook patches lengths, checksums, IPv4 id,
 * reference, side, quantity, symbol and price.
 */
struct hft_template {
	__u32 protocol; /* enum hft_protocol; 0 = not configured, nothing leaves */
	__u32 headers_len; /* 42, 46 or 50: IPv4 without options */
	__u32 msg_len; /* bytes of one message, its length prefix included */
	__u32 pad0;
	__u8 headers[64];
	__u8 msg[64];
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
	__u64 pad0[2];
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
