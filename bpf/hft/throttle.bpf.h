/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* THROTTLE: a token bucket in one word, the time at which the next message would be due at the sustained rate. Rule 6. */
#ifndef HFT_THROTTLE_BPF_H
#define HFT_THROTTLE_BPF_H

#define HFT_MOST_INTERVAL (1ULL << 40)
#define HFT_MOST_BURST (1ULL << 20)

/* A clock that goes back finds the bucket emptier, never fuller. */
hft_inline bool throttled(__u64 tat_ns, __u64 now, __u64 interval_ns, __u64 burst)
{
	interval_ns = at_most(interval_ns, HFT_MOST_INTERVAL);
	burst = at_most(burst, HFT_MOST_BURST);
	return CLAUSE(!interval_ns) || CLAUSE(!burst) || CLAUSE(tat_ns > now + (burst - 1) * interval_ns);
}

hft_inline __u64 throttle_next(__u64 tat_ns, __u64 now, __u64 interval_ns)
{
	return (tat_ns > now ? tat_ns : now) + at_most(interval_ns, HFT_MOST_INTERVAL);
}

#endif
