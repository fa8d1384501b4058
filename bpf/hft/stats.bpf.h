/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Counters and latency histograms. No atomics: they are per CPU, or only one CPU is there. */
#ifndef HFT_STATS_BPF_H
#define HFT_STATS_BPF_H

/* Inside the engine: one CPU at a time. */
hft_inline void count_many(__u32 counter, __u64 many)
{
	tallies.counter[counter] += many;
}

hft_inline void count(__u32 counter)
{
	count_many(counter, 1);
}

/* A counter known only at run time: LLVM may know its range from where it came, the verifier does not. */
hft_inline void count_named(__u32 counter)
{
	__u64 index = counter;

	hft_opaque(index);
	if (index < HFT_COUNTERS)
		tallies.counter[index]++;
}

/* Outside: frames that are not for us, or that could not enter. */
hft_inline void count_outside(__u32 counter)
{
	struct hft_stats *stat = hft_the(stats);
	__u64 index = counter;

	hft_opaque(index);
	if (stat && index < HFT_COUNTERS)
		stat->counter[index]++;
}

hft_inline void count_itch(__u32 type)
{
	__u64 index = type;

	hft_opaque(index);
	if (index < HFT_ITCH_TYPES)
		tallies.itch[index]++;
}

hft_inline void count_refusal(__u32 reason)
{
	__u64 index = reason;

	hft_opaque(index);
	if (index < HFT_REASONS)
		tallies.refused[index]++;
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
