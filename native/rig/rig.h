/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the lab's BPF programs and their user share. */
#ifndef HFT_RIG_H
#define HFT_RIG_H

#define HFT_RIG_FRAME_BYTES 512 /* a power of two: more than a frame full of orders has */
#define HFT_RIG_RING_BYTES (1 << 21)
#define HFT_RIG_STAMPS (1 << 20) /* by the low bits of the sequence */

/* A frame that was taken off the wire. length 0: it did not fit. */
struct hft_rig_taken {
	__u64 ns; /* CLOCK_MONOTONIC when it came */
	__u32 length;
	__u32 pad0;
	__u8 frame[HFT_RIG_FRAME_BYTES];
};

#endif
