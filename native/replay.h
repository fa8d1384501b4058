/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Recorded messages, played again: through the loaded program or out of a packet socket, at once or at their pace.
 *
 * Read by gcc and by cffi: declarations only. Functions that can fail return a negative errno value: -EBADMSG for a torn
 * message (at `at`), -EMSGSIZE for one that no packet holds, what send() or the kernel's run of the program said.
 */
#ifndef HFT_REPLAY_H
#define HFT_REPLAY_H

/* Messages each behind its length (2 bytes, big-endian): BinaryFILE, or the blocks of a MoldUDP64 packet. */
struct hft_framed {
	const uint8_t *bytes;
	uint64_t length;
	uint64_t at; /* offset of the next message */
};

/* How a walk ended, if not with an error. */
enum {
	HFT_FRAMED_END = 0, /* of the bytes, or a message of length 0 */
	HFT_FRAMED_FOUND = 1, /* what was looked for begins at `at` */
	HFT_FRAMED_MORE = 2, /* the budget or the time of this call is used up */
};

/* The first R, A or F that names a stock (8 bytes, space padded), after at most `budget` messages. */
int hft_framed_find(struct hft_framed *framed, const uint8_t *name, uint64_t budget);

/* Whole messages there are from `at` on, at most `budget`; `at` moves behind them. */
int64_t hft_framed_count(struct hft_framed *framed, uint64_t budget);

/* Where packets go, and how they are made and paced. What is counted goes on from call to call. */
struct hft_replay {
	int32_t program_fd; /* of the loaded program; -1: the packets leave by wire_fd */
	int32_t wire_fd; /* packet socket, SOCK_RAW, bound to an interface */
	uint8_t headers[2][64]; /* by line: complete Ethernet, IPv4 (no options) and UDP headers */
	uint32_t headers_len;
	uint32_t payload_max; /* bytes of MoldUDP64, at most what a frame of HFT_MAX_FRAME bytes holds */
	uint32_t per_packet; /* messages, at most; 0 = as many as fit */
	uint32_t line; /* of hft_replay_framed and hft_replay_until: 0 = A, 1 = B */
	uint8_t session[10];
	uint64_t sequence; /* of the next message */

	double pace; /* recorded ns in one of ours; 0 = flat out */
	uint64_t first_ns; /* the recorded time that is due at start_ns */
	uint64_t start_ns; /* CLOCK_MONOTONIC */

	uint64_t messages;
	uint64_t packets;
	uint64_t bytes; /* of MoldUDP64 */
	uint64_t recorded_ns; /* of the newest message or packet that went out */
	uint64_t lag_ns; /* how late it was */
	uint64_t worst_lag_ns;
	uint64_t waits; /* times the interface had no room, and the packet was offered again */
};

/*
 * Play messages, in packets of what is due, until CLOCK_MONOTONIC reaches until_ns. Due times come from their time stamps; a
 * message whose time stamp is before that of the one before it is due with that.
 */
int hft_replay_framed(struct hft_replay *replay, struct hft_framed *framed, uint64_t until_ns);

/* One recorded packet of hft_replay_packets; its bytes of MoldUDP64 follow. */
struct hft_recorded {
	uint64_t recorded_ns;
	uint32_t line;
	uint32_t length;
};

/* Play recorded packets as they are, from offset *at of `packets` on, until until_ns. END or MORE. */
int hft_replay_packets(struct hft_replay *replay, const uint8_t *packets, uint64_t size, uint64_t *at,
		       uint64_t until_ns);

/* Play at once, in packets as large as can be, up to the next message of this stock locate, which is not played. */
int hft_replay_until(struct hft_replay *replay, struct hft_framed *framed, uint32_t locate, uint64_t budget);

/* One packet of `length` bytes, now. */
int hft_replay_send(struct hft_replay *replay, uint32_t line, const uint8_t *payload, uint32_t length);

#endif
