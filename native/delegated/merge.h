/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Merge: what the hook sent becomes part of the kernel's own connection, as sent and not acknowledged. From there on acknowledgements,
 * retransmission and all else are the kernel's.
 */
#ifndef HFT_DELEGATED_MERGE_H
#define HFT_DELEGATED_MERGE_H

#include <stdint.h>
#include <sys/types.h>

#include <linux/types.h>

#include "hft/limits.h"
#include "hft/abi.h"
#include "hft/guard.h"

/* A build with -DHFT_DIE_AT=N dies at step N of a merge, to see what is left. */
#ifndef HFT_DIE_AT
#define HFT_DIE_AT 0
#endif
#define DIE_AT(step)                      \
	do {                              \
		if (HFT_DIE_AT == (step)) \
			raise(SIGKILL);   \
	} while (0)

struct merge {
	int socket;
	struct hft_tcp_wire *wire;
	uint64_t tail; /* sends that are merged */
	uint64_t batches;
	uint64_t retries; /* times the kernel had no memory or room */
};

static inline uint64_t word_load(const struct hft_tcp_wire *wire)
{
	return __atomic_load_n(&wire->word, __ATOMIC_SEQ_CST);
}

static inline uint32_t word_unmerged(uint64_t word)
{
	return word >> HFT_WIRE_UNMERGED_SHIFT & 0xff;
}

static inline uint32_t word_seq(uint64_t word)
{
	return (uint32_t)(word >> HFT_WIRE_SEQ_SHIFT);
}

/* The next sequence of what the kernel's connection was given; 0 or a negative errno value. */
int socket_seq(int socket, uint32_t *seq);

/* The sequence of the next byte that the peer sent and nobody has read; 0 or a negative errno value. */
int socket_read_seq(int socket, uint32_t *seq);

/* Bytes that it was given and has never sent; or not acknowledged at all. Negative errno value on failure. */
int socket_unsent(int socket);
int socket_unacknowledged(int socket);

/* Leaving repair mode forbids that another socket takes the address over: allow it again, before the connection ends. */
void socket_reusable(int socket);

/* Merge all that waits, in order: how many. -EAGAIN: the kernel has no room now, try again. Any other error: the connection is lost. */
int merge_pending(struct merge *merge);

/* The same by what the kernel itself has, after whoever merged before died at any step of it; the hook no longer sends. 0 or an error. */
int merge_rest(int socket, struct hft_tcp_wire *wire);

#endif
