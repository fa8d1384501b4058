/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * LEVELS: what stands at each price of a symbol and side, and which price is best.
 *
 * Two storeys. The best ten levels lie in two cache lines beside the symbol (struct hft_side_top), the best first, the others as
 * they come: most messages touch nothing else, and searching ten keys without a branch costs less than one mispredicted
 * one. What is not better than `bound` lies in blocks of seven neighbouring prices, a cache line each, found by hash. A level moves down when the line is
 * full, and HFT_REFILL levels move up when it is empty: never more than one such move a message.
 *
 * level_add returns 0, or -1 when a table is full.
 * Worst case: a refill, HFT_REFILL times ten ladder look-ups and a block.
 */
#ifndef HFT_LEVELS_BPF_H
#define HFT_LEVELS_BPF_H

hft_inline struct hft_side_top *side_top(struct hft_book *book, __u32 side)
{
	return &book->side[hft_masked(side, 2)];
}

/* Blocks */

hft_inline struct hft_level_block *block_find(__u64 tag, __u32 *index)
{
	hft_rolled for (__u32 i = 0; i < HFT_LEVEL_PROBE; i++)
	{
		struct hft_level_block *block;

		*index = hft_block_at(tag, i, config.level_mask);
		block = hft_element(book_levels, *index, config.level_mask + 1);
		if (!((block->tag ^ tag) << 8))
			return block;
		if (i == 0 && !(block->tag & HFT_TAG_SPILL_MASK))
			return NULL;
	}
	return NULL;
}

hft_inline struct hft_level_block *block_home(__u64 tag)
{
	return hft_element(book_levels, hft_block_at(tag, 0, config.level_mask), config.level_mask + 1);
}

/* A new, empty block; NULL when all places are taken. */
hft_inline struct hft_level_block *block_new(__u64 tag)
{
	hft_rolled for (__u32 i = 0; i < HFT_LEVEL_PROBE; i++)
	{
		struct hft_level_block *block =
			hft_element(book_levels, hft_block_at(tag, i, config.level_mask), config.level_mask + 1);

		if (block->tag & HFT_TAG_USED)
			continue;
		block->tag = (block->tag & HFT_TAG_SPILL_MASK) | tag;
		if (i) {
			struct hft_level_block *home = block_home(tag);

			if (home->tag < HFT_TAG_SPILL_MASK)
				home->tag += HFT_TAG_SPILL_ONE;
		}
		return block;
	}
	return NULL;
}

hft_inline void block_free(struct hft_level_block *block, __u64 tag, __u32 index)
{
	struct hft_level_block *home;

	block->tag &= HFT_TAG_SPILL_MASK;
	if (index == hft_block_at(tag, 0, config.level_mask))
		return;
	home = block_home(tag);
	if (home->tag < HFT_TAG_SPILL_MASK)
		home->tag -= HFT_TAG_SPILL_ONE;
}

hft_inline bool block_empty(const struct hft_level_block *block)
{
	__u64 any = 0;

	for (__u32 i = 0; i < HFT_BLOCK_LEVELS; i++)
		any |= block->cell[i];
	return !any;
}

hft_inline __u64 *block_cell(struct hft_level_block *block, __u32 place)
{
	__u64 at = hft_masked(place % HFT_BLOCK_LEVELS, 8);

	hft_opaque(at); /* or LLVM tests for 7, of which 6.1 learns nothing */
	return at < HFT_BLOCK_LEVELS ? &block->cell[at] : NULL;
}

/* Where a price lies below the top; what the functions below hand to each other. */
hft_inline __u64 price_tag(__u32 slot, __u32 side, __u32 price_e4)
{
	__u32 scale = hft_scale(price_e4);

	return hft_block_tag(slot, side, scale, hft_place(side, scale, price_e4) / HFT_BLOCK_LEVELS);
}

hft_inline __u64 *price_cell(struct hft_level_block *block, __u32 side, __u32 price_e4)
{
	return block_cell(block, hft_place(side, hft_scale(price_e4), price_e4));
}

/* side | scale << 1 and block number of a tag, as the ladder takes them */
#define TAG_KIND(tag) (((__u32)((tag) >> 40) & 1) | ((__u32)((tag) >> 39) & 1) << 1)
#define TAG_NUMBER(tag) ((__u32)(tag) & 0x1fffffff)

/*
 * The functions of the blocks are small and call none of the ladder's: a chain of calls has 512 bytes of stack in all, and 6.1
 * rounds each frame up to 32.
 */

#define DEEP_NO_BLOCK 1

/* `added` (shares and orders, as a cell) more at a price whose block is there: 0, DEEP_NO_BLOCK, or -1 at the cell's bound. */
hft_global int deep_join(__u32 slot, __u32 side, __u32 price_e4, __u64 added)
{
	__u32 index;
	struct hft_level_block *block = block_find(price_tag(slot, side, price_e4), &index);
	__u64 *cell = block ? price_cell(block, side, price_e4) : NULL;

	if (!cell)
		return DEEP_NO_BLOCK;
	if (((*cell & HFT_CELL_QTY) + (added & HFT_CELL_QTY)) >> 40)
		return -1;
	*cell += added;
	return 0;
}

hft_global int deep_grow(__u64 tag)
{
	return block_new(tag) ? 0 : -1;
}

/* The same wherever it is. */
hft_global int deep_add(__u32 slot, __u32 side, __u32 price_e4, __u64 added)
{
	__u64 tag = price_tag(slot, side, price_e4);
	int missing = deep_join(slot, side, price_e4, added);

	if (missing != DEEP_NO_BLOCK)
		return missing;
	if (deep_grow(tag) || ladder_add(slot, TAG_KIND(tag), TAG_NUMBER(tag)))
		return -1;
	return deep_join(slot, side, price_e4, added);
}

/* The cell at a price below the top. */
hft_global __u64 deep_level(__u32 slot, __u32 side, __u32 price_e4)
{
	__u32 index;
	struct hft_level_block *block = block_find(price_tag(slot, side, price_e4), &index);
	__u64 *cell = block ? price_cell(block, side, price_e4) : NULL;

	return cell ? *cell : 0;
}

/* The opposite of deep_join. Returns 1 if the block ran empty and is gone: the caller tells the ladder. */
hft_global int deep_leave(__u32 slot, __u32 side, __u32 price_e4, __u64 taken)
{
	__u64 tag = price_tag(slot, side, price_e4), *cell;
	__u32 index;
	struct hft_level_block *block = block_find(tag, &index);

	cell = block ? price_cell(block, side, price_e4) : NULL;
	if (!cell || !*cell)
		return 0;
	*cell -= taken;
	if (*cell || !block_empty(block))
		return 0;
	block_free(block, tag, index);
	return 1;
}

hft_inline void deep_take(__u32 slot, __u32 side, __u32 price_e4, __u64 taken)
{
	__u64 tag;

	if (!deep_leave(slot, side, price_e4, taken))
		return;
	tag = price_tag(slot, side, price_e4);
	ladder_remove(slot, TAG_KIND(tag), TAG_NUMBER(tag));
}

/* Key of the best level of one scale below the top; HFT_KEY_FREE when there is none. */
hft_global __u32 deep_best(__u32 slot, __u32 side, __u32 scale)
{
	__s64 number = ladder_first(slot, side | scale << 1);
	struct hft_level_block *block;
	__u32 index;

	if (number < 0)
		return HFT_KEY_FREE;
	block = block_find(hft_block_tag(slot, side, scale, number), &index);
	if (!block)
		return HFT_KEY_FREE;
	hft_rolled for (__u32 i = 0; i < HFT_BLOCK_LEVELS; i++) if (block->cell[i]) return hft_price_key(
		side, hft_place_price(side, scale, (__u32)number * HFT_BLOCK_LEVELS + i));
	return HFT_KEY_FREE;
}

/* The top */

/* Ten bits of top_find -> the place of one that is set; HFT_TOP_LEVELS for none. Bits 0..4 are the even places, 5..9 the odd ones. */
#define PLACES(odd) odd, 0, 2, 0, 4, 0, 2, 0, 6, 0, 2, 0, 4, 0, 2, 0, 8, 0, 2, 0, 4, 0, 2, 0, 6, 0, 2, 0, 4, 0, 2, 0
#define PLACES_4(odd) PLACES(odd), PLACES(1), PLACES(3), PLACES(1)
static const __u8 place_of_bits[1024] = { PLACES_4(10), PLACES_4(5), PLACES_4(7), PLACES_4(5),
					  PLACES_4(9),	PLACES_4(5), PLACES_4(7), PLACES_4(5) };

/* Two keys are compared at once: they have 31 bits, so what carries into bit 31 or 63 is a difference and nothing else. */
#define PAIR_ONES 0x7fffffff7fffffffULL
#define PAIR_HIGH 0x8000000080000000ULL

/*
 * Place of a key in the top, the first if there are several, HFT_TOP_LEVELS if it is not there. No branch: it would be mispredicted every
 * other time.
 */
hft_inline __u64 top_find(const struct hft_side_top *top, __u32 key)
{
	__u64 both = (__u64)key << 32 | key, differ = 0, at;

	for (__u32 pair = 0; pair < HFT_TOP_LEVELS / 2; pair++) {
		__u64 differs = (*(const __u64 *)&top->key[2 * pair] ^ both) + PAIR_ONES;

		hft_opaque(differs); /* or LLVM makes a branch of it */
		differ |= (differs & PAIR_HIGH) >> (HFT_TOP_LEVELS / 2 - 1 - pair);
	}
	/* Bits 27..31 are the even places, 59..63 the odd ones, 0 = found there. */
	differ = ~differ >> 27;
	at = (differ & 31) | (differ >> 27 & (31 << 5));
	hft_opaque(at);
	at = place_of_bits[at & 1023];
	hft_opaque(at); /* the verifier wants to see it compared with HFT_TOP_LEVELS */
	return at;
}

/* The best key behind the best; HFT_KEY_FREE when there is none. */
hft_inline __u32 top_next(const struct hft_side_top *top)
{
	__u64 best = top->key[1];

	for (__u32 i = 2; i < HFT_TOP_LEVELS; i++) {
		__u64 less = best - top->key[i];

		hft_opaque(less);
		best -= less & (0 - (less >> 63));
	}
	return (__u32)best;
}

hft_inline void best_is(struct hft_book *book, __u32 side, __u32 price_e4)
{
	book->best_e4[hft_masked(side, 2)] = price_e4;
}

/* Bring the best level from below into free place `at` of the top: 0, or -1 when there is none. */
hft_inline int top_pull(__u32 slot, __u32 side, __u32 at)
{
	__u32 key = deep_best(slot, side, 0), other = deep_best(slot, side, 1);
	struct hft_book *book = book_at(slot);
	struct hft_side_top *top = side_top(book, side);
	__u64 level;

	key = key > other ? key : other;
	if (key == HFT_KEY_FREE) {
		top->bound = 0;
		return -1;
	}
	top->bound = key - 1;
	top->key[at] = key;
	if (!at)
		best_is(book, side, hft_key_price(side, key));
	level = deep_level(slot, side, hft_key_price(side, key));
	top->cell[at] = level;
	deep_take(slot, side, hft_key_price(side, key), level);
	return 0;
}

/* The top of a side has run empty, and there may be more below: bring the next levels up. */
hft_global int top_refill(__u32 slot, __u32 side)
{
	hft_rolled for (__u32 i = 0; i < HFT_REFILL; i++) if (top_pull(slot, side, i)) return 0;
	return 0;
}

/*
 * A level joins those behind the best, which are full: the worst of them moves down. It is the last thing done: when
 * there is no room below, the symbol is quarantined as it is.
 */
hft_global int top_evict(__u32 slot, __u32 side, __u32 key, __u64 level)
{
	struct hft_side_top *top = side_top(book_at(slot), side);
	__u32 worst = key;
	__u64 at, moved;

	for (__u32 i = 1; i < HFT_TOP_LEVELS; i++)
		if (top->key[i] < worst)
			worst = top->key[i];
	top->bound = worst;
	if (worst != key) {
		at = top_find(top, worst);
		if (at >= HFT_TOP_LEVELS)
			return -1;
		moved = top->cell[at];
		top->key[at] = key;
		top->cell[at] = level;
		level = moved;
	}
	return deep_add(slot, side, hft_key_price(side, worst), level);
}

/* A new level behind the best. */
hft_inline int top_put(struct hft_side_top *top, __u32 slot, __u32 side, __u32 key, __u64 level)
{
	__u64 at = top_find(top, HFT_KEY_FREE);

	if (at >= HFT_TOP_LEVELS)
		return top_evict(slot, side, key, level);
	top->key[at] = key;
	top->cell[at] = level;
	return 0;
}

/* An order of `qty` shares joins the level at a price. */
hft_inline int level_add(struct hft_book *book, __u32 slot, __u32 side, __u32 price_e4, __u64 qty)
{
	struct hft_side_top *top = side_top(book, side);
	__u32 key = hft_price_key(side, price_e4), best = top->key[0];
	__u64 at, level = qty + HFT_CELL_ORDER, second;

	if (key > best) {
		second = top->cell[0];
		top->key[0] = key;
		top->cell[0] = level;
		best_is(book, side, price_e4);
		return best == HFT_KEY_FREE ? 0 : top_put(top, slot, side, best, second);
	}
	if (key <= top->bound)
		return deep_add(slot, side, price_e4, level);
	at = top_find(top, key);
	if (at >= HFT_TOP_LEVELS)
		return top_put(top, slot, side, key, level);
	level += top->cell[at];
	if (((top->cell[at] & HFT_CELL_QTY) + qty) >> 40)
		return -1;
	top->cell[at] = level;
	return 0;
}

/* The best level of a side is gone: the next one takes its place. */
hft_inline void best_gone(struct hft_book *book, struct hft_side_top *top, __u32 slot, __u32 side)
{
	__u32 key = top_next(top);
	__u64 at = top_find(top, key);

	if (key == HFT_KEY_FREE || at >= HFT_TOP_LEVELS) {
		top->key[0] = HFT_KEY_FREE;
		best_is(book, side, 0);
		if (top->bound)
			top_refill(slot, side);
		return;
	}
	top->key[0] = key;
	top->cell[0] = top->cell[at];
	top->key[at] = HFT_KEY_FREE;
	top->cell[at] = 0;
	best_is(book, side, hft_key_price(side, key));
}

/* `taken` leaves the level at a price: shares, and an order with them if it is HFT_CELL_ORDER or more. */
hft_inline void level_take(struct hft_book *book, __u32 slot, __u32 side, __u32 price_e4, __u64 taken)
{
	struct hft_side_top *top = side_top(book, side);
	__u32 key = hft_price_key(side, price_e4);
	__u64 at;

	if (key <= top->bound) {
		deep_take(slot, side, price_e4, taken);
		return;
	}
	at = top_find(top, key);
	if (at >= HFT_TOP_LEVELS)
		return; /* cannot happen: an order has its level */
	top->cell[at] -= taken;
	if (top->cell[at])
		return;
	top->key[at] = HFT_KEY_FREE;
	if (!at)
		best_gone(book, top, slot, side);
}

#endif
