/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Counters and latency histograms, per CPU: no atomics, no sharing. */
#ifndef HFT_STATS_BPF_H
#define HFT_STATS_BPF_H

hft_inline void count_many(__u32 counter, __u64 many)
{
	struct hft_stats *stat = hft_the(stats);

	if (stat && counter < HFT_COUNTERS)
		stat->counter[counter] += many;
}

hft_inline void count(__u32 counter)
{
	count_many(counter, 1);
}

/* A counter known only at run time: LLVM may know its range from where it came, the verifier does not. */
hft_inline void count_named(__u32 counter)
{
	hft_opaque(counter);
	count_many(counter, 1);
}

hft_inline void count_itch(__u32 type)
{
	struct hft_stats *stat = hft_the(stats);

	if (stat && type < HFT_ITCH_TYPES)
		stat->itch[type]++;
}

hft_inline void count_refusal(__u32 reason)
{
	struct hft_stats *stat = hft_the(stats);

	if (stat && reason < HFT_REASONS)
		stat->refused[reason]++;
}

/* floor(log2(ns)), 0 for 0; the last bucket takes all above. */
hft_inline __u32 log2_bucket(__u64 ns)
{
	__u32 bucket = 0;

	if (ns >> 32)
		return HFT_HIST_BUCKETS - 1;
	if (ns >> 16) {
		ns >>= 16;
		bucket += 16;
	}
	if (ns >> 8) {
		ns >>= 8;
		bucket += 8;
	}
	if (ns >> 4) {
		ns >>= 4;
		bucket += 4;
	}
	if (ns >> 2) {
		ns >>= 2;
		bucket += 2;
	}
	if (ns >> 1)
		bucket += 1;
	return bucket;
}

hft_inline void observe(__u32 kind, __u64 ns)
{
	struct hft_histogram *histogram = hft_at(histograms, kind);

	if (histogram)
		histogram->bucket[hft_masked(log2_bucket(ns), HFT_HIST_BUCKETS)]++;
}

#endif
