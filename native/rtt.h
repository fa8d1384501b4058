/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Tick-to-order round trips, measured from the exchange's side of the wire.
 *
 * Read by gcc and by cffi: declarations only.
 */
#ifndef HFT_RTT_H
#define HFT_RTT_H

enum { HFT_RTT_ORDER_BYTES = 128 }; /* room for one order datagram in hft_rtt.orders */

/*
 * One run. The caller opens the sockets, prepares the frames and the arrays, and keeps all of it alive until the run
 * returns. Every round sends the tick with the next price, waits for the order, answers it, and takes the offer away
 * again, so that the next tick triggers again.
 *
 * The exchange is kept lean, for every responder alike: complete Ethernet frames (no VLAN, no IPv4 options) go out
 * through a packet socket without a queueing discipline. Orders are taken in the exchange's own XDP hook and seen in a
 * ring in user memory, without a system call and without a network stack. A round trip is CLOCK_MONOTONIC from right
 * before send() of the tick to right after the order is seen in the ring; patching and checksums lie outside of it.
 */
struct hft_rtt {
	int32_t wire_fd; /* AF_PACKET, SOCK_RAW, bound to the exchange's interface */
	uint32_t echo; /* 1: the participant sends every tick back as it is, and that is what a round waits for */
	struct hft_capture *capture; /* on that interface, for frames as long as what a round waits for */
	uint8_t flow[12]; /* source and destination address, source and destination port of what a round waits for */
	uint8_t *tick; /* MoldUDP64 packet of one Add Order; sequence, time, reference, price are patched */
	uint8_t *after; /* MoldUDP64 packet of one Order Delete; sequence, time, reference are patched */
	uint8_t *reply; /* UFO sequenced packet of one Accepted and one Canceled; patched from the order */
	uint32_t tick_len; /* lengths are of whole frames */
	uint32_t after_len;
	uint32_t reply_len;
	uint32_t rounds;
	uint64_t interval_ns; /* from one tick to the next; 0 = as fast as the answers come */
	uint64_t timeout_ns; /* longest wait for one order */
	uint64_t feed_seq; /* of the first tick; left at the next free one */
	uint64_t order_ref; /* ITCH reference of the first tick's offer; left at the next free one */
	uint64_t exchange_ns; /* time stamp of the first tick, ns since midnight */
	uint64_t step_ns; /* what a round adds to that time, whatever the wall clock says */
	uint32_t reply_seq; /* UFO sequence of the first reply; left at the next free one */
	uint32_t missed; /* out: rounds without an order within timeout_ns */
	uint32_t late; /* out: orders that came after their round was given up; they are answered too */
	uint32_t patience; /* this many missed rounds in a row end the run with -ETIMEDOUT; 0 = none do */
	const uint32_t *price_e4; /* per round; neighbours differ, so that a late order is known as one */
	uint64_t *rtt_ns; /* out, per round: the round trip as defined above; 0 = missed */
	uint16_t *order_len; /* out, per round; 0 = missed */
	uint8_t *orders; /* out, rounds x HFT_RTT_ORDER_BYTES: the order datagrams as received */
};

/*
 * Take all frames of one length out of an interface's native XDP hook, into a ring; others pass. For the calling
 * thread's network namespace. The program that was there comes back with the close. NULL and *error = -errno.
 */
struct hft_capture;
struct hft_capture *hft_capture_open(int ifindex, uint32_t frame_len, int *error);
void hft_capture_close(struct hft_capture *capture);

/*
 * Runs all rounds. 0, -errno of the socket call that failed, -ETIMEDOUT, -EBADMSG for an order with a wrong checksum
 * or length, or -EINVAL for frames of another shape.
 */
int hft_rtt_run(struct hft_rtt *run);

#endif
