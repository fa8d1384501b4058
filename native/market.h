/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A whole market's ITCH 5.0 flow from a seed: valid message by message, realistic in mix, depth, sizes, lifetimes and
 * time, and the same bytes on every machine for the same configuration (integers only).
 *
 * Read by gcc and by cffi: declarations only. Functions that can fail return a negative errno value.
 */
#ifndef HFT_MARKET_H
#define HFT_MARKET_H

enum {
	HFT_MARKET_SYMBOLS_MAX = 12000,
	HFT_MARKET_ORDERS_MAX = 16777216, /* live at once; at this number an add becomes a delete */
	HFT_MARKET_TYPES = 128, /* tables by the letter of a message type */
	HFT_MARKET_ROOM_MIN = 64, /* least room for one message: 50 bytes, their length, slack for wide stores */
	HFT_MARKET_PAYLOAD_MAX = 1472, /* of a MoldUDP64 packet in an Ethernet frame of 1500 bytes */
};

/* hft_market_defaults() fills all of it. Shares in ppm are out of 1,000,000. */
struct hft_market_config {
	uint64_t seed;
	uint64_t start_ns; /* market open, ns since midnight */
	uint64_t prelude_ns; /* the day's first message comes so long before it */
	const uint8_t *names; /* `named` x 8 bytes, space padded: the most active symbols by name; NULL = none */
	const uint32_t *prices_e4; /* `named` prices at the open, 0 = any; NULL = any */
	uint32_t named;
	uint32_t symbols; /* 1..HFT_MARKET_SYMBOLS_MAX */
	uint32_t first_locate; /* locates are dense from here, in alphabetical order of generated names */
	uint32_t live_orders; /* kept near this number of resting orders; 0 = whatever the mix leads to */
	uint32_t rank_slope_milli; /* activity of a symbol falls as rank^-(this / 1000) */
	uint32_t subdollar_ppm; /* of symbols, that trade below a dollar, in steps of 0.0001 */
	uint32_t stub_ppm; /* of symbols, that carry stub quotes at 0.01 and 199,999.99 */
	uint32_t late_ref_ppm; /* of adds, with a reference that was skipped earlier */
	uint32_t rate; /* messages a second, mean */
	uint32_t steady; /* 1: equal gaps, no bursts */
	uint32_t shared_ns_ppm; /* of messages, that share their time stamp with a neighbour; not when steady */
	uint32_t mix[HFT_MARKET_TYPES]; /* weights of the flow by type letter; not of S, R and V */
};

/* One symbol as it stands, by rank of activity from 0. Prices in 1/10000 dollar, 0 = none. */
struct hft_market_symbol {
	uint8_t name[8];
	uint32_t fair_e4; /* what its book lives around */
	uint32_t bid_e4;
	uint32_t ask_e4;
	uint32_t tick_e4;
	uint32_t locate;
	uint32_t trading_state; /* H, P or T */
};

struct hft_market_stats {
	uint64_t messages; /* written so far, all functions together */
	uint64_t clock_ns; /* newest time stamp */
	uint64_t last_ref; /* highest order reference */
	uint64_t last_match; /* highest match number */
	uint64_t live; /* resting orders */
	uint64_t count[HFT_MARKET_TYPES]; /* messages by type letter */
};

struct hft_market;

/* The whole-day mix of 2019-01-30; `opening` = 1: that of AAPL's first half minute on that day, add-heavy and fast. */
void hft_market_defaults(struct hft_market_config *config, int opening);

/* NULL and *error = -EINVAL for a value out of range, -ENOMEM. Names and prices are copied. */
struct hft_market *hft_market_create(const struct hft_market_config *config, int *error);
void hft_market_destroy(struct hft_market *market);

/*
 * What precedes the flow: system events O and S, directory, trading action and the like of each symbol, Q. Bytes written
 * in BinaryFILE framing; -ENOSPC below hft_market_open_room() bytes, -EALREADY after any other message.
 */
int64_t hft_market_open_room(const struct hft_market *market);
int64_t hft_market_open(struct hft_market *market, uint8_t *buffer, uint64_t room);

/*
 * Messages in BinaryFILE framing, up to `max_messages` and as many as surely fit; *count says how many. Bytes written;
 * -ENOMEM. Seeding writes adds alone and 0 bytes once `live_orders` rest; without that number it writes nothing.
 */
int64_t hft_market_seed(struct hft_market *market, uint8_t *buffer, uint64_t room, uint64_t max_messages,
			uint64_t *count);
int64_t hft_market_next(struct hft_market *market, uint8_t *buffer, uint64_t room, uint64_t max_messages,
			uint64_t *count);

/*
 * The same flow as MoldUDP64 packets, each behind its length (uint32_t, host order, unaligned). A packet ends after
 * `per_packet` messages (0 = no limit) or where the next might exceed HFT_MARKET_PAYLOAD_MAX. *sequence is the number
 * of the first message and is left at the next one. Room below HFT_MARKET_PAYLOAD_MAX + HFT_MARKET_ROOM_MIN: no packet.
 */
int64_t hft_market_packets(struct hft_market *market, uint8_t *buffer, uint64_t room, const uint8_t *session,
			   uint64_t *sequence, uint32_t per_packet, uint64_t max_packets, uint64_t *count);

/* Any BinaryFILE bytes as such packets. *used: bytes of `framed` that are in them. -EBADMSG for a torn message. */
int64_t hft_market_pack(const uint8_t *framed, uint64_t length, uint64_t *used, uint8_t *buffer, uint64_t room,
			const uint8_t *session, uint64_t *sequence, uint32_t per_packet, uint64_t *count);

int hft_market_symbol(const struct hft_market *market, uint32_t rank, struct hft_market_symbol *symbol);
void hft_market_stats(const struct hft_market *market, struct hft_market_stats *stats);

#endif
