/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The bucketed hash table behind the ladder and the spilled orders: four keys and their values in one cache line.
 *
 * A key lives in its home bucket or, when that is full, in one of the next HFT_PROBE - 1, and the home bucket counts how many do, so
 * that a miss ends after one line nearly always. No tombstones, no chains, nothing to rebuild, nothing ever moves.
 * Worst case: HFT_PROBE lines, 32 keys. A BPF hash map pays a helper call and its locks for each step instead.
 *
 * `bits`: how many low bits of a key name it; what lies above is carried along. No key is 0 in those, so that a free way, all 0, matches
 * none. A position is bucket * 4 + way; HFT_ABSENT when there is none.
 */
#ifndef HFT_TABLE_BPF_H
#define HFT_TABLE_BPF_H

#define HFT_ABSENT ((__s64) - 1)

hft_inline bool table_matches(const struct hft_bucket *bucket, __u32 way, __u64 key, __u32 bits)
{
	return !((bucket->key[way] ^ key) << (64 - bits));
}

/* One key more, or one less, of this home bucket lives elsewhere. */
hft_inline void bucket_spilled(struct hft_bucket *home)
{
	if ((home->key[0] & HFT_SPILL_MASK) != HFT_SPILL_MASK)
		home->key[0] += HFT_SPILL_ONE;
}

hft_inline void bucket_unspilled(struct hft_bucket *home)
{
	if ((home->key[0] & HFT_SPILL_MASK) != HFT_SPILL_MASK)
		home->key[0] -= HFT_SPILL_ONE;
}

hft_inline __s64 table_find(struct hft_bucket *table, __u32 home, __u32 mask, __u64 key, __u32 bits)
{
	hft_rolled for (__u32 probe = 0; probe < HFT_PROBE; probe++)
	{
		__u32 index = (home + probe) & mask;
		struct hft_bucket *bucket = hft_element(table, index, mask + 1);

		for (__u32 way = 0; way < HFT_BUCKET_SLOTS; way++)
			if (table_matches(bucket, way, key, bits))
				return (__s64)index * HFT_BUCKET_SLOTS + way;
		if (probe == 0 && !(bucket->key[0] & HFT_SPILL_MASK))
			return HFT_ABSENT;
	}
	return HFT_ABSENT;
}

/* The key must be absent and the value not 0. Returns 0, or -1 when all HFT_PROBE buckets are full. */
hft_inline int table_insert(struct hft_bucket *table, __u32 home, __u32 mask, __u64 key, __u64 value)
{
	hft_rolled for (__u32 probe = 0; probe < HFT_PROBE; probe++)
	{
		struct hft_bucket *bucket = hft_element(table, home + probe, mask + 1);

		for (__u32 way = 0; way < HFT_BUCKET_SLOTS; way++) {
			if (bucket->value[way])
				continue;
			bucket->key[way] = (bucket->key[way] & HFT_SPILL_MASK) | key;
			bucket->value[way] = value;
			if (probe)
				bucket_spilled(hft_element(table, home, mask + 1));
			return 0;
		}
	}
	return -1;
}

/* The bucket a position lies in; its way is hft_masked(position, HFT_BUCKET_SLOTS). */
hft_inline struct hft_bucket *table_bucket(struct hft_bucket *table, __u32 mask, __s64 position)
{
	return hft_element(table, (__u64)position / HFT_BUCKET_SLOTS, mask + 1);
}

hft_inline void table_remove(struct hft_bucket *table, __u32 home, __u32 mask, __s64 position)
{
	struct hft_bucket *bucket = table_bucket(table, mask, position);
	__u64 way = hft_masked(position, HFT_BUCKET_SLOTS);

	bucket->key[way] &= HFT_SPILL_MASK;
	bucket->value[way] = 0;
	if ((home & mask) != (__u64)position / HFT_BUCKET_SLOTS)
		bucket_unspilled(hft_element(table, home, mask + 1));
}

#endif
