/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A bad line: frames from one packet socket to another and back, of which TCP segments are lost, doubled and overtaken. For kernels
 * without netem. One thread; what happens to a frame is decided by `seed` and the frames before it.
 *
 * Read by gcc and by cffi: declarations only.
 */
#ifndef HFT_FORWARD_H
#define HFT_FORWARD_H

struct hft_forward {
	int ends[2]; /* packet sockets, bound */
	uint32_t lost_ppm[2]; /* of the TCP segments that come in at that end */
	uint32_t doubled_ppm[2];
	uint32_t late_ppm[2]; /* kept back for late_ns, so that others overtake them */
	uint64_t late_ns;
	uint64_t delay_ns; /* of every segment */
	uint64_t seed;
	/* what came of it */
	uint64_t forwarded[2];
	uint64_t lost[2];
	uint64_t doubled[2];
	uint64_t late[2];
};

/* Until *stop is not 0. 0 or a negative errno value. */
int hft_forward_run(struct hft_forward *forward, uint32_t *stop);

#endif
