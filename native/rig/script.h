/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The measuring loop of the latency lab: an exchange that sends what a script says when it says so, takes the orders, and answers each.
 *
 * Read by gcc and by cffi: declarations only.
 */
#ifndef HFT_RIG_SCRIPT_H
#define HFT_RIG_SCRIPT_H

enum {
	HFT_SCRIPT_ORDER_BYTES = 64, /* kept of an order's datagram: one Enter Order behind its length and type */
	HFT_SCRIPT_NO_TRIGGER = 0xffffffff,
};

/* A packet of the feed: a complete Ethernet frame in hft_script.frames. */
struct hft_script_step {
	uint64_t due_ns; /* after the start */
	uint64_t offset;
	uint32_t length;
	uint32_t trigger; /* which one it is, counted from 0 in the order they are sent; or HFT_SCRIPT_NO_TRIGGER */
	uint32_t waits; /* 1: the next step waits for this trigger's answer */
	uint32_t pad0;
};

/*
 * One run. The caller prepares the arrays and keeps them until it returns. An order belongs to the oldest of the triggers under way that has
 * its symbol and price. It is answered at once with `reply`: before the next packet, whose time may pass meanwhile, since an exchange
 * that let its participant wait would measure that.
 *
 * Whatever the rate, latency counts from the time that a packet was due (or sent, where a step waited): see seen_ns.
 */
struct hft_script {
	struct hft_wire *wire;
	const uint8_t *frames;
	const struct hft_script_step *steps;
	const uint8_t *keys; /* per trigger 16 bytes: symbol, and price as in OUCH 5.0 */
	uint8_t *reply; /* a frame: UFO sequenced packet of one Accepted and one Canceled; patched from the order */
	uint32_t reply_length;
	uint32_t reply_seq; /* UFO sequence of the first reply; left at the next free one */
	uint32_t step_count;
	uint32_t trigger_count;
	uint32_t echo; /* 1: the feed's own packets come back and nothing is answered; `keys` are not used */
	uint32_t warmup; /* triggers, of the first ones, that `patience` does not count */
	uint32_t patience; /* so many unanswered awaited triggers in a row end the run with -ETIMEDOUT */
	uint32_t pad0;
	uint64_t timeout_ns; /* longest wait for the answer of an awaited trigger, and for the last ones at the end */
	uint64_t most_ns; /* the run ends with -ETIME when it has taken so long */
	uint64_t exchange_ns; /* time stamp of the first reply */
	uint64_t start_ns; /* out: CLOCK_MONOTONIC of due_ns 0 */
	uint64_t *sent_ns; /* out, per step: right before it was sent */
	uint64_t *seen_ns; /* out, per trigger: when its order was seen; 0 = missed */
	uint64_t *came_ns; /* out, per trigger: the device's stamp of the order's arrival; 0 where nothing stamps */
	uint64_t *left_ns; /* out, per trigger: and of its packet's leaving */
	uint8_t *orders; /* out, per trigger HFT_SCRIPT_ORDER_BYTES: its datagram as it came */
	uint16_t *order_length; /* out, per trigger: bytes of that datagram; 0 = missed */
	uint32_t steps_done; /* out */
	uint32_t late; /* out: orders of triggers that had been given up, or of none at all; answered too */
	uint32_t bad; /* out: frames of the orders' flow with a wrong length or checksum */
};

/* 0, or a negative errno value. */
int hft_script_run(struct hft_script *script);

/* Give every frame its lengths and checksums: Ethernet, IPv4 without options, UDP, whatever is behind them. */
void hft_script_seal(uint8_t *frames, const struct hft_script_step *steps, uint32_t count);

#endif
