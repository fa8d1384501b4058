/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which blocks of book_levels a symbol, side and scale has: a sparse 64-way tree of bitmaps over the block numbers. Adding a
 * block next to another touches one node or two; finding the first takes HFT_LADDER_DEPTH look-ups, whatever the gap.
 * The hook walks it only when the levels near the touch have run out, or a block appears or vanishes.
 */
#ifndef HFT_LADDER_BPF_H
#define HFT_LADDER_BPF_H

/* side | scale << 1, so that a global function can take it as one word */
#define LADDER_SIDE(kind) ((kind) & 1)
#define LADDER_SCALE(kind) ((kind) >> 1 & 1)

hft_inline __u64 ladder_node(__u32 slot, __u32 kind, __u32 depth, __u32 prefix)
{
	return hft_ladder_key(slot, LADDER_SIDE(kind), LADDER_SCALE(kind), depth, prefix);
}

hft_inline __u32 ladder_home(__u64 node)
{
	return hft_hash(node) & config.ladder_mask;
}

hft_inline __s64 ladder_find(__u64 node)
{
	__u32 home = ladder_home(node);

	return table_find(book_ladder, home, config.ladder_mask, node, HFT_LADDER_KEY_BITS);
}

static const __u8 lowest_bit[64] = {
	0,  1,	2,  53, 3,  7,	54, 27, 4,  38, 41, 8,	34, 55, 48, 28, 62, 5,	39, 46, 44, 42,
	22, 9,	24, 35, 59, 56, 49, 18, 29, 11, 63, 52, 6,  26, 37, 40, 33, 47, 61, 45, 43, 21,
	23, 58, 17, 10, 51, 25, 36, 32, 60, 20, 57, 16, 50, 31, 19, 15, 30, 14, 13, 12,
};

/* Index of the lowest set bit; BPF has no such instruction, so a de Bruijn multiplication. */
hft_inline __u32 count_trailing_zeros(__u64 word)
{
	return lowest_bit[((word & -word) * 0x022fdd63cc95386dULL) >> 58];
}

/* 0, or -1 when the table is full (the caller then quarantines the symbol). */
hft_global int ladder_add(__u32 slot, __u32 kind, __u32 number)
{
	hft_rolled for (__u32 depth = 0; depth < HFT_LADDER_DEPTH; depth++)
	{
		__u64 bit = 1ULL << (number & 63), node;
		__s64 position;

		number >>= HFT_LADDER_BITS;
		node = ladder_node(slot, kind, depth, number);
		position = ladder_find(node);
		if (position >= 0) {
			struct hft_bucket *bucket = table_bucket(book_ladder, config.ladder_mask, position);

			bucket->value[hft_masked(position, HFT_BUCKET_SLOTS)] |= bit;
			return 0;
		}
		if (table_insert(book_ladder, ladder_home(node), config.ladder_mask, node, bit))
			return -1;
	}
	return 0;
}

hft_global int ladder_remove(__u32 slot, __u32 kind, __u32 number)
{
	hft_rolled for (__u32 depth = 0; depth < HFT_LADDER_DEPTH; depth++)
	{
		__u64 bit = 1ULL << (number & 63), node, way;
		struct hft_bucket *bucket;
		__s64 position;

		number >>= HFT_LADDER_BITS;
		node = ladder_node(slot, kind, depth, number);
		position = ladder_find(node);
		if (position < 0)
			return -1;
		bucket = table_bucket(book_ladder, config.ladder_mask, position);
		way = hft_masked(position, HFT_BUCKET_SLOTS);
		bucket->value[way] &= ~bit;
		if (bucket->value[way])
			return 0;
		table_remove(book_ladder, ladder_home(node), config.ladder_mask, position);
	}
	return 0;
}

/* Number of the first block, or HFT_ABSENT. */
hft_global __s64 ladder_first(__u32 slot, __u32 kind)
{
	__u64 number = 0;

	hft_rolled for (__s32 depth = HFT_LADDER_DEPTH - 1; depth >= 0; depth--)
	{
		__s64 position = ladder_find(ladder_node(slot, kind, depth, number));
		struct hft_bucket *bucket;

		if (position < 0)
			return HFT_ABSENT;
		bucket = table_bucket(book_ladder, config.ladder_mask, position);
		number = (number << HFT_LADDER_BITS) |
			 count_trailing_zeros(bucket->value[hft_masked(position, HFT_BUCKET_SLOTS)]);
	}
	return number;
}

#endif
