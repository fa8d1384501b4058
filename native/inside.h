/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The hook alone: frames through a loaded program without a device, its own time beside each.
 *
 * The time is the kernel's run-time statistics, read before and after a run: right around the program, the system call
 * outside. Its two clock reads are part of every figure; a program of two instructions, measured the same way, shows them.
 *
 * Read by gcc and by cffi: declarations only. Functions that can fail return a negative errno value.
 */
#ifndef HFT_INSIDE_H
#define HFT_INSIDE_H

/* Whose frame it is. */
enum {
	HFT_INSIDE_FEED = 0,
	HFT_INSIDE_SECOND = 1, /* another feed */
	HFT_INSIDE_REPLY = 2, /* of the exchange's order entry */
	HFT_INSIDE_OTHER = 3, /* nobody's: not in the flow table */
	HFT_INSIDE_FLOWS = 4,
	HFT_INSIDE_VERDICTS = 5,
};

/* A program, and how far its market is. */
struct hft_inside {
	int32_t program_fd;
	uint32_t user_ref; /* that the next order will have */
	uint8_t headers[4][64]; /* by flow: Ethernet, IPv4 (no options), UDP; lengths and checksums are set here */
	uint32_t headers_len;
	uint32_t checksums; /* 1 = UDP checksums too; 0 = frames come without any */
	uint32_t insists; /* 1 = a packet that the program passed on is offered again: the engine was another CPU's */
	uint64_t feed_seq; /* the next message */
	uint64_t order_ref; /* of the next tick */
	uint64_t reply_seq;
	uint64_t exchange_ns;
	uint64_t step_ns; /* from round to round */
};

/* One run. `hook_ns` is the statistics', 0 where they were not read; the others are CLOCK_MONOTONIC around the call. */
struct hft_inside_run {
	uint64_t start_ns;
	uint64_t end_ns;
	uint32_t hook_ns;
	uint32_t verdict;
};

/*
 * A round: a tick, which is timed, what answers an order if one leaves, and what undoes the tick. Payloads are patched: sequence,
 * and of the tick's first message and of `undo` time and reference.
 */
struct hft_inside_round {
	uint8_t *tick;
	uint8_t *undo; /* NULL = nothing to be undone */
	uint8_t *
		reply; /* UFO: Accepted and Canceled, as native/rig/script.c has them; NULL = no order is meant to leave */
	uint32_t tick_len;
	uint32_t undo_len;
	uint32_t reply_len;
	uint32_t flow; /* of the tick */
	uint32_t messages; /* of the tick */
	uint32_t spoiled; /* 1 = its UDP checksum is wrong */
	uint32_t statistics; /* 1 = read before and after */
	uint64_t interval_ns; /* from tick to tick; 0 = back to back */
};

/*
 * Up to `rounds` of them, into runs[]; ends when *stop is not 0. *done counts, for another thread to see: a run that is counted is
 * written. -EPROTO: an order that nothing answers.
 */
int hft_inside_rounds(struct hft_inside *inside, struct hft_inside_round *round, struct hft_inside_run *runs,
		      uint64_t rounds, uint64_t *done, uint32_t *stop);

/* What many runs came to. */
struct hft_inside_total {
	uint64_t packets;
	uint64_t messages;
	uint64_t hook_ns; /* all that the program ran for meanwhile, whoever ran it */
	uint64_t wall_ns;
	uint64_t verdicts[5];
};

/*
 * Packets of MoldUDP64, each behind its length (uint32_t, host order), all of one flow. `runs`: NULL, or one for each packet, its
 * `hook_ns` read. *total grows. Waits until *go is not 0, if there is one.
 */
int hft_inside_packets(struct hft_inside *inside, uint32_t flow, const uint8_t *packets, uint64_t size,
		       struct hft_inside_run *runs, uint64_t room, struct hft_inside_total *total, uint32_t *go);

/* One frame: as it is made from a payload; its length. `out` has room for HFT_MAX_FRAME bytes. */
int hft_inside_frame(const struct hft_inside *inside, uint32_t flow, const uint8_t *payload, uint32_t length,
		     uint8_t *out);

/*
 * `repeat` runs of one frame in one system call; live: as frames of the driver's own (BPF_F_TEST_XDP_LIVE_FRAMES). *ns is the
 * thread's time on its CPU: the kernel waits for whole RCU grace periods before and behind such runs.
 */
int hft_inside_repeat(int program_fd, const uint8_t *frame, uint32_t length, uint32_t repeat, int live, uint64_t *ns);

/* Run-time statistics are kept as long as the descriptor is open. */
int hft_inside_statistics(void);

/* Of a program, over all CPUs. */
int hft_inside_runtime(int program_fd, uint64_t *ns, uint64_t *runs);

#endif
