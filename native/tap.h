/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Copies of the frames that the engine's program sees and leaves: two small programs that run around it while somebody taps,
 * and nothing otherwise (bpf/tap.bpf.c). Read by clang, gcc and cffi: declarations only.
 */
#ifndef HFT_TAP_H
#define HFT_TAP_H

#define HFT_TAP_MOST 2048 /* bytes of a frame that are copied; a power of two */

/* Which frames: bits. */
enum {
	HFT_TAP_CONSUMED = 1, /* came and were taken: XDP_DROP */
	HFT_TAP_PASSED = 2, /* came and went on to the network stack: XDP_PASS */
	HFT_TAP_ANSWERED = 4, /* came, and an order left in their place: XDP_TX, XDP_REDIRECT */
	HFT_TAP_SENT = 8, /* what left */
	HFT_TAP_ABORTED = 16,
	HFT_TAP_EVERY_WAY = 31,
	HFT_TAP_OF_FEED = 32, /* by whose flow they came, or their cause did */
	HFT_TAP_OF_REPLIES = 64,
	HFT_TAP_OF_OTHERS = 128,
	HFT_TAP_OF_COMMANDS = 256, /* only what left: what came has the secret of commands in it */
	HFT_TAP_OF_EVERYONE = 480,
};

/* A frame: `captured` bytes follow. */
struct hft_tap_frame {
	__u64 time_ns; /* CLOCK_MONOTONIC, at the program's entry or exit */
	__u32 length; /* of the frame */
	__u32 captured;
	__u32 way; /* HFT_TAP_CONSUMED to HFT_TAP_ABORTED */
	__u32 whose; /* HFT_TAP_OF_* */
};

/* The two programs around the one of that descriptor, whose flow table `flows_fd` is. NULL and *error on failure, and what libbpf and the
 * verifier said in `log`. ring_bytes: a power of two of pages. */
struct hft_tap;
struct hft_tap *hft_tap_open(int program_fd, const char *function, int flows_fd, unsigned int wanted,
			     unsigned int snaplen, unsigned int ring_bytes, char *log, unsigned int log_size,
			     int *error);
void hft_tap_close(struct hft_tap *tap);

/* Frames that have come, each behind the other from an address divisible by 8 on: bytes written, at most `room` (at least
 * 2 * (HFT_TAP_MOST + 32)), or -errno. */
int hft_tap_drain(struct hft_tap *tap, unsigned char *out, unsigned int room);

/* How many found no room in the ring, or could not be copied. */
unsigned long long hft_tap_lost(const struct hft_tap *tap);

#endif
