/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How the book's tables are keyed. Pure arithmetic, shared by the hook and by readers in user space; abi.h says what the words
 * mean. Written without branches where the hook meets it on every message: side and price are as good as random there.
 */
#ifndef HFT_LAYOUT_H
#define HFT_LAYOUT_H

#ifndef hft_inline
#define hft_inline static inline
#endif

#define HFT_KEY_FREE 0 /* no level has this key */

/* Divisions by constants: LLVM leaves them to the CPU's own instruction on BPF, which costs more than all the rest around it. */
hft_inline __u32 hft_div100(__u32 value)
{
	return (__u32)(value * 0x51eb851fULL >> 37);
}

hft_inline __u32 hft_div7(__u32 value) /* below HFT_PLACES */
{
	return (__u32)(value * 0x124924925ULL >> 35);
}

/* A cell: shares | orders << 40. */
#define HFT_CELL_QTY HFT_MAX_LEVEL_QTY
#define HFT_CELL_ORDER (1ULL << 40)

/* Greater is better on both sides; a price of 0, "none", has the key 0, which is worse than every real one. */
hft_inline __u32 hft_price_key(__u32 side, __u32 price_e4)
{
	__u32 sells = -side; /* all ones for an offer, 0 for a bid */

	return ((price_e4 ^ sells) - sells + (0x80000000u & sells)) & 0x7fffffffu;
}

hft_inline __u32 hft_key_price(__u32 side, __u32 key)
{
	return hft_price_key(side, key); /* its own inverse */
}

/* The window of a side: see struct hft_book. */
#define HFT_CENT_E4 100
#define HFT_WINDOW_FINE 0x80000000u
#define HFT_HELD_BEHIND (1ULL << 63)

hft_inline __u32 hft_window_tick(__u32 window_e4)
{
	return window_e4 & HFT_WINDOW_FINE ? 1 : HFT_CENT_E4;
}

/* `away_e4` behind a price. */
hft_inline __u32 hft_behind(__u32 side, __u32 price_e4, __u32 away_e4)
{
	__u32 bids = side - 1; /* all ones for a bid, 0 for an offer */

	return price_e4 + (away_e4 ^ bids) - bids;
}

/* How far behind the first price the second one is; its own inverse. */
hft_inline __u32 hft_away(__u32 side, __u32 price_e4, __u32 other_e4)
{
	return hft_behind(side, 0, other_e4 - price_e4);
}

hft_inline __u32 hft_window_price(__u32 side, __u32 window_e4, __u32 place)
{
	return hft_behind(side, window_e4 & ~HFT_WINDOW_FINE, place * hft_window_tick(window_e4));
}

/* Places of book_levels: see struct hft_level_block. */
#define HFT_PLACES (7ULL << 29)

hft_inline __u32 hft_scale(__u32 price_e4)
{
	return hft_div100(price_e4) * HFT_CENT_E4 != price_e4;
}

hft_inline __u32 hft_place(__u32 side, __u32 scale, __u32 price_e4)
{
	__u32 steps = scale ? price_e4 : hft_div100(price_e4);

	return side ? steps : (__u32)(HFT_PLACES - 1) - steps;
}

hft_inline __u32 hft_place_price(__u32 side, __u32 scale, __u32 place)
{
	__u32 steps = side ? place : (__u32)(HFT_PLACES - 1) - place;

	return scale ? steps : steps * HFT_CENT_E4;
}

/* Multiplicative hashing; callers mask it. Folded first: a product's lower bits know nothing of a factor's higher ones. */
hft_inline __u32 hft_hash(__u64 key)
{
	key ^= key >> 32;
	return (__u32)((key * 0x9e3779b97f4a7c15ULL) >> 32);
}

/* Orders. The slot is no part of what is looked for: it is checked afterwards. */
#define HFT_ORDER_KEY_BITS 46

hft_inline __u64 hft_order_key(__u32 feed, __u64 ref)
{
	return (__u64)feed << 44 | ref;
}

hft_inline __u64 hft_order_value(__u32 side, __u32 price_e4, __u32 qty)
{
	return (__u64)price_e4 << 33 | (__u64)side << 32 | qty;
}

/* Ladder. Depth 0 holds the blocks themselves. */
#define HFT_LADDER_KEY_BITS 60

hft_inline __u64 hft_ladder_key(__u32 slot, __u32 side, __u32 scale, __u32 depth, __u32 prefix)
{
	return (__u64)slot << 46 | (__u64)side << 45 | (__u64)scale << 44 | (__u64)(depth + 1) << 40 | prefix;
}

/* The top four bits of a bucket's first key: how many keys of this home live elsewhere; 15 = that or more, for good. */
#define HFT_SPILL_SHIFT 60
#define HFT_SPILL_ONE (1ULL << HFT_SPILL_SHIFT)
#define HFT_SPILL_MASK (15ULL << HFT_SPILL_SHIFT)

/* Blocks of levels. The same, in the top eight bits of the tag. */
#define HFT_TAG_USED (1ULL << 55)
#define HFT_TAG_SPILL_ONE (1ULL << 56)
#define HFT_TAG_SPILL_MASK (255ULL << 56)

hft_inline __u64 hft_block_tag(__u32 slot, __u32 side, __u32 scale, __u32 number)
{
	return HFT_TAG_USED | (__u64)slot << 41 | (__u64)side << 40 | (__u64)scale << 39 | number;
}

hft_inline __u32 hft_tag_slot(__u64 tag)
{
	return (__u32)(tag >> 41) & (HFT_MAX_SYMBOLS - 1);
}

hft_inline __u32 hft_key_slot(__u64 key)
{
	return (__u32)(key >> 46) & (HFT_MAX_SYMBOLS - 1);
}

/*
 * The i-th place where a block may lie. Sixteen neighbouring blocks stay together, so that the prices around a touch share a page: a
 * miss of the address translation costs more than one of the cache.
 */
#define HFT_TOGETHER 16

hft_inline __u32 hft_block_at(__u64 tag, __u32 i, __u32 mask)
{
	__u32 group = hft_hash((tag & ~HFT_TAG_SPILL_MASK) / HFT_TOGETHER) * HFT_TOGETHER;

	return (group + (__u32)tag % HFT_TOGETHER + i * (i + 1) / 2) & mask;
}

/* Kept messages of one feed. */
#define HFT_TAG_SEQUENCE_BITS 48

hft_inline __u64 hft_kept_tag(__u64 generation, __u64 sequence)
{
	return (generation + 1) << HFT_TAG_SEQUENCE_BITS | (sequence & ((1ULL << HFT_TAG_SEQUENCE_BITS) - 1));
}

#endif
