/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Wants nothing and takes its time: what `turbo-hft bench --slow` links in, in shadow, to see whether a slower engine is noticed.
 * The engine itself has no such knob.
 */
#include "hft/strategy_api.h"

enum {
	BPF_LOOP = 181,
	MOST_ROUNDS = 1 << 20
}; /* linux/bpf.h; a millisecond, in which nothing else of the feed is handled */

HFT_PARAMS struct {
	__u32 rounds;
} params;

static long (*const bpf_loop)(__u32 rounds, void *callback, void *context, __u64 flags) = (void *)BPF_LOOP;

static long turn(__u32 index, void *context)
{
	(void)index;
	(void)context;
	return 0;
}

int hft_user_strategy(const struct hft_signal *signal, struct hft_intents *intents)
{
	__u32 rounds = params.rounds;

	if (!signal || !intents)
		return 0;
	bpf_loop(rounds < MOST_ROUNDS ? rounds : MOST_ROUNDS, turn, (void *)0, 0);
	return 0;
}
