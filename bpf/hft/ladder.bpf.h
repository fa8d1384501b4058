/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which prices of a symbol and side are occupied: a sparse 64-way tree of bitmaps over all 31 bits of an ITCH price, so
 * stub quotes and sub-dollar prices are levels like any other. Adding a price next to another touches one node or two;
 * finding the best after the touch is gone takes HFT_LADDER_DEPTH look-ups, whatever the gap.
 *
 * Bids are kept under (2^31 - 1 - price): the smaller key is the better price on both sides.
 */
#ifndef HFT_LADDER_BPF_H
#define HFT_LADDER_BPF_H

#define HFT_PRICE_MAX 0x7fffffffu

hft_inline __u32 ladder_key(__u32 side, __u32 price_e4)
{
	return side == HFT_BUY ? HFT_PRICE_MAX - price_e4 : price_e4;
}

/* Node of depth d (0 = leaves) that covers `ordered`. */
hft_inline __u64 ladder_node(__u32 slot, __u32 side, __u32 depth, __u64 prefix)
{
	return ((__u64)(depth + 1) << 56) | ((__u64)slot << 40) | ((__u64)side << 39) | prefix;
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

/* 0, or -1 when the table is full (the caller then marks the book suspect). */
hft_global int ladder_add(__u32 slot, __u32 side, __u32 price_e4)
{
	__u64 ordered = ladder_key(side, price_e4);

	hft_rolled for (__u32 depth = 0; depth < HFT_LADDER_DEPTH; depth++)
	{
		__u64 bit = 1ULL << (ordered & 63);
		__u64 node;
		__s64 position;

		ordered >>= HFT_LADDER_BITS;
		node = ladder_node(slot, side, depth, ordered);
		position = table_find(&book_ladder, config.ladder_mask, node);
		if (position >= 0) {
			struct hft_bucket *bucket = table_bucket(&book_ladder, position);
			__u64 at = (__u64)position & 7;

			hft_opaque(at);
			if (!bucket || at >= HFT_BUCKET_SLOTS)
				return -1;
			bucket->value[at] |= bit;
			return 0;
		}
		if (table_insert(&book_ladder, config.ladder_mask, node, bit, 0))
			return -1;
	}
	return 0;
}

hft_global int ladder_remove(__u32 slot, __u32 side, __u32 price_e4)
{
	__u64 ordered = ladder_key(side, price_e4);

	hft_rolled for (__u32 depth = 0; depth < HFT_LADDER_DEPTH; depth++)
	{
		__u64 bit = 1ULL << (ordered & 63);
		struct hft_bucket *bucket;
		__s64 position;
		__u64 at;

		ordered >>= HFT_LADDER_BITS;
		position = table_find(&book_ladder, config.ladder_mask, ladder_node(slot, side, depth, ordered));
		if (position < 0)
			return -1;
		bucket = table_bucket(&book_ladder, position);
		at = (__u64)position & 7;
		hft_opaque(at);
		if (!bucket || at >= HFT_BUCKET_SLOTS)
			return -1;
		bucket->value[at] &= ~bit;
		if (bucket->value[at])
			return 0;
		table_remove(&book_ladder, config.ladder_mask, position);
	}
	return 0;
}

/* The best occupied price; 0 when the side is empty. */
hft_global __u32 ladder_best(__u32 slot, __u32 side)
{
	__u64 ordered = 0;

	hft_rolled for (__s32 depth = HFT_LADDER_DEPTH - 1; depth >= 0; depth--)
	{
		__s64 position = table_find(&book_ladder, config.ladder_mask, ladder_node(slot, side, depth, ordered));
		struct hft_bucket *bucket;
		__u64 at;

		if (position < 0)
			return 0;
		bucket = table_bucket(&book_ladder, position);
		at = (__u64)position & 7;
		hft_opaque(at);
		if (!bucket || at >= HFT_BUCKET_SLOTS)
			return 0;
		ordered = (ordered << HFT_LADDER_BITS) | count_trailing_zeros(bucket->value[at]);
	}
	return ladder_key(side, (__u32)ordered);
}

#endif
