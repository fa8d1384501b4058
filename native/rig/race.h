/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The exchange's end of a race on a TCP connection: a tick goes out, the order is waited for, its answer goes back, the tick is taken away.
 *
 * Read by gcc and by cffi: declarations only.
 */
#ifndef HFT_RACE_H
#define HFT_RACE_H

struct hft_race {
	int feed; /* packet socket: frames into the wire */
	int orders; /* the connection, not blocking */
	uint32_t rounds;
	uint32_t order_len; /* at most 512 */
	const uint8_t *frames; /* one behind the other, two a round: the tick, and what takes it away */
	const uint32_t *frame_ends;
	const uint8_t *replies; /* of reply_len each, in the order of the orders */
	uint32_t reply_len;
	uint64_t timeout_ns; /* for an order */
	uint64_t pause_ns; /* from the end of a round to the next tick */
	uint64_t *
		taken_ns; /* of each round: from before the tick's send() to behind the read() that had the whole order; 0 = none came */
	uint8_t *taken; /* the orders, order_len for each round */
	uint32_t answered;
	uint32_t late; /* orders that came when their tick was given up; they are answered too */
};

/* 0 or a negative errno value: -EPIPE when the other end closed, -EPROTO when more orders came than ticks were sent. */
int hft_race_run(struct hft_race *race);

#endif
