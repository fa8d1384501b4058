/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The hash table of the book: u64 key -> (u64 value, u32 aux) in buckets of six that fill two cache lines.
 *
 * A key lives in its home bucket or, when that is full, in one of the next HFT_PROBE - 1; `spilled` of the home bucket
 * says how many do, so that a miss ends after one bucket nearly always. No tombstones, no chains, nothing to rebuild.
 * Worst case: HFT_PROBE buckets, 48 keys. A BPF hash map pays a helper call and its locks for each step instead.
 *
 * A position is bucket * 8 + slot; HFT_ABSENT when there is none. value 0 marks a free slot, so it cannot be stored.
 */
#ifndef HFT_TABLE_BPF_H
#define HFT_TABLE_BPF_H

#define HFT_ABSENT ((__s64) - 1)

hft_inline __u32 table_home(__u64 key, __u32 mask)
{
	return (__u32)((key * 0x9e3779b97f4a7c15ULL) >> 32) & mask;
}

hft_inline __s64 table_find(void *table, __u32 mask, __u64 key)
{
	__u32 home = table_home(key, mask);

	hft_rolled for (__u32 probe = 0; probe < HFT_PROBE; probe++)
	{
		__u32 index = (home + probe) & mask;
		struct hft_bucket *bucket = bpf_map_lookup_elem(table, &index);

		if (!bucket)
			return HFT_ABSENT;
		for (__u32 slot = 0; slot < HFT_BUCKET_SLOTS; slot++)
			if (bucket->key[slot] == key && bucket->value[slot])
				return (__s64)index * 8 + slot;
		if (probe == 0 && bucket->spilled == 0)
			return HFT_ABSENT;
	}
	return HFT_ABSENT;
}

/* The key must be absent and the value not 0. Returns 0, or -1 when all HFT_PROBE buckets are full. */
hft_inline int table_insert(void *table, __u32 mask, __u64 key, __u64 value, __u32 aux)
{
	__u32 home = table_home(key, mask);

	hft_rolled for (__u32 probe = 0; probe < HFT_PROBE; probe++)
	{
		__u32 index = (home + probe) & mask;
		struct hft_bucket *bucket = bpf_map_lookup_elem(table, &index);

		if (!bucket)
			return -1;
		for (__u32 slot = 0; slot < HFT_BUCKET_SLOTS; slot++) {
			if (bucket->value[slot])
				continue;
			bucket->key[slot] = key;
			bucket->value[slot] = value;
			bucket->aux[slot] = aux;
			if (probe) {
				struct hft_bucket *first = bpf_map_lookup_elem(table, &home);

				if (first)
					first->spilled++;
			}
			return 0;
		}
	}
	return -1;
}

/* The bucket a position lies in; its slot is position & 7. */
hft_inline struct hft_bucket *table_bucket(void *table, __s64 position)
{
	__u32 index = (__u64)position >> 3;

	return bpf_map_lookup_elem(table, &index);
}

hft_inline void table_remove(void *table, __u32 mask, __s64 position)
{
	struct hft_bucket *bucket = table_bucket(table, position);
	__u64 slot = (__u64)position & 7;
	__u32 home;

	hft_opaque(slot);
	if (!bucket || slot >= HFT_BUCKET_SLOTS)
		return;
	home = table_home(bucket->key[slot], mask);
	bucket->key[slot] = 0;
	bucket->value[slot] = 0;
	bucket->aux[slot] = 0;
	if (home != (__u64)position >> 3) {
		struct hft_bucket *first = bpf_map_lookup_elem(table, &home);

		if (first)
			first->spilled--;
	}
}

#endif
