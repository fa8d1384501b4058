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

enum { HFT_ABI_VERSION = 1 };

/* What a flow of the flow table is to the engine. */
enum hft_role {
	HFT_ROLE_NONE = 0,
	HFT_ROLE_FEED = 1, /* MoldUDP64 carrying ITCH 5.0 */
	HFT_ROLE_ORDER_ENTRY = 2, /* UFO replies carrying OUCH */
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
	HFT_FEED_LIVE = 1, /* every message since sequence 1 was handled, in order */
	HFT_FEED_STALE = 2, /* a gap or a late start: the books miss messages, nothing trades */
	HFT_FEED_ENDED = 3, /* end of session: nothing trades */
};

enum hft_book_health {
	HFT_BOOK_OK = 0,
	HFT_BOOK_SUSPECT = 1, /* evidence of a wrong book, or a full table: this symbol does not trade */
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
	HFT_REASON_FEED_NOT_LIVE, /* idle, stale or ended feed */
	HFT_REASON_BOOK_SUSPECT,
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
	HFT_EVENT_FEED_STALE, /* gap or late start; feed_seq = first sequence missed, qty = how many (capped) */
	HFT_EVENT_FEED_ENDED,
	HFT_EVENT_BOOK_SUSPECT,
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
	HFT_C_FEED_DUPLICATES, /* messages below the expected sequence, skipped */
	HFT_C_FEED_GAPS,
	HFT_C_FEED_MISSED, /* messages inside those gaps */
	HFT_C_FEED_WRONG_SESSION, /* packets of another MoldUDP64 session; passed */
	HFT_C_ITCH_UNKNOWN_TYPE,
	HFT_C_ITCH_BAD_LENGTH, /* known type, wrong length */
	HFT_C_ITCH_BAD_FIELD, /* side neither B nor S, price above $200,000, name and locate disagree */
	HFT_C_BOOK_UNTRACKED, /* book messages of symbols nobody asked for */
	HFT_C_BOOK_UNKNOWN_REF, /* E C X D U of an order never added */
	HFT_C_BOOK_DUPLICATE_REF, /* A F U with a reference that is live */
	HFT_C_BOOK_OVER_REDUCE, /* E C X for more shares than the order has */
	HFT_C_BOOK_FULL, /* an order, level or ladder table bucket was full */
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
	__u32 order_mask; /* buckets - 1 of book_orders */
	__u32 level_mask; /* buckets - 1 of book_levels */
	__u32 ladder_mask; /* buckets - 1 of book_ladder */
	__u32 pad0;
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
	__u16 pad0;
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
	__u64 pad0[5];
};

/*
 * Live, per symbol, written by the hook. version is odd while the hook is inside: read, copy, read again.
 */
struct hft_symbol_state {
	__u32 version;
	__u32 health; /* enum hft_book_health */
	__u32 bid_e4; /* best bid, 0 = none */
	__u32 ask_e4; /* best offer, 0 = none */
	__u64 bid_qty; /* displayed shares at the best bid */
	__u64 ask_qty;
	__u64 book_orders; /* live orders of the book */
	__u64 book_messages; /* book messages applied */
	__u64 exchange_ns; /* time stamp of the newest book message, ns since midnight Eastern */
	__u16 locate; /* ITCH stock locate of today, 0 = not seen yet */
	__u16 pad0;
	__u32 pad1;
	/* second cache line: our own trading */
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
	/* third cache line: gross sums, for the ledgers */
	__u64 bought_qty;
	__u64 sold_qty;
	__u64 bought_e4; /* sum of price x quantity */
	__u64 sold_e4;
	__u64 canceled_qty; /* open shares given back by Canceled or Rejected */
	__u64 pad2[3];
};

struct hft_feed_state {
	__u8 session[10]; /* MoldUDP64 session the feed is locked to; zeros = none yet */
	__u16 pad0;
	__u32 health; /* enum hft_feed_health */
	__u64 expected_seq; /* next sequence number; 0 = none seen */
	__u64 exchange_ns; /* newest ITCH time stamp */
	__u64 gaps;
	__u64 missed;
	__u64 pad1[2];
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
 * One bucket of a book table (bpf/hft/table.bpf.h). Orders: key = reference, value = price << 32 | quantity,
 * aux = symbol << 1 | side. Levels: value = shares, aux = orders.
 */
struct hft_bucket {
	__u64 key[6];
	__u64 value[6]; /* 0 = slot free */
	__u32 aux[6];
	__u32 spilled; /* keys of this home bucket that live in later ones */
	__u32 pad0;
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

/* Per-CPU counters; user space sums them. */
struct hft_stats {
	__u64 counter[HFT_COUNTERS];
	__u64 itch[HFT_ITCH_TYPES];
	__u64 refused[HFT_REASONS];
};

struct hft_histogram {
	__u64 bucket[32];
};

#endif
