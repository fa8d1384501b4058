/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * LEVELS: what stands at each price of a symbol and side, and which price is best.
 *
 * Two storeys. Near the touch a price names its cell: the window of a side (struct hft_book) has a place for each of its prices, and a
 * bitmap of those that are held, whose first bit is the best. Nothing is searched there, so nothing is mispredicted. What is behind
 * the window lies in blocks of seven neighbouring prices, a cache line each, found by hash. The window moves when the best price leaves
 * it at its beginning or comes near its end; then levels change storeys. The cell of a price does not depend on where the window
 * is, so that both can be fetched at once, and nothing is copied when it moves.
 *
 * level_add returns 0, or -1 when a table is full.
 * Worst case: a window laid anew, a block and ten ladder look-ups for each of its places.
 */
#ifndef HFT_LEVELS_BPF_H
#define HFT_LEVELS_BPF_H

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
	__u64 at = hft_masked(place - hft_div7(place) * HFT_BLOCK_LEVELS, 8);

	hft_opaque(at); /* or LLVM tests for 7, of which 6.1 learns nothing */
	return at < HFT_BLOCK_LEVELS ? &block->cell[at] : NULL;
}

/* Where a price lies behind the window; what the functions below hand to each other. */
hft_inline __u64 price_tag(__u32 slot, __u32 side, __u32 price_e4)
{
	__u32 scale = hft_scale(price_e4);

	return hft_block_tag(slot, side, scale, hft_div7(hft_place(side, scale, price_e4)));
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

/* The same whether its block is there or not. */
hft_inline int deep_put(__u32 slot, __u32 side, __u32 price_e4, __u64 added)
{
	__u64 tag = price_tag(slot, side, price_e4);
	int missing = deep_join(slot, side, price_e4, added);

	if (missing != DEEP_NO_BLOCK)
		return missing;
	if (deep_grow(tag) || ladder_add(slot, TAG_KIND(tag), TAG_NUMBER(tag)))
		return -1;
	return deep_join(slot, side, price_e4, added);
}

#define DEEP_LEVEL_GONE 0
#define DEEP_BLOCK_GONE 1
#define DEEP_LEFT 2

/* The cell at a price behind the window. */
hft_global __u64 deep_level(__u32 slot, __u32 side, __u32 price_e4)
{
	__u32 index;
	struct hft_level_block *block = block_find(price_tag(slot, side, price_e4), &index);
	__u64 *cell = block ? price_cell(block, side, price_e4) : NULL;

	return cell ? *cell : 0;
}

/* The opposite of deep_join: what is left, of which the caller tells the ladder. */
hft_global int deep_leave(__u32 slot, __u32 side, __u32 price_e4, __u64 taken)
{
	__u64 tag = price_tag(slot, side, price_e4), *cell;
	__u32 index;
	struct hft_level_block *block = block_find(tag, &index);

	cell = block ? price_cell(block, side, price_e4) : NULL;
	if (!cell || !*cell)
		return DEEP_LEFT; /* cannot happen: an order has its level */
	*cell -= taken;
	if (*cell)
		return DEEP_LEFT;
	if (!block_empty(block))
		return DEEP_LEVEL_GONE;
	block_free(block, tag, index);
	return DEEP_BLOCK_GONE;
}

/* Is there a level left? */
hft_inline bool deep_take(__u32 slot, __u32 side, __u32 price_e4, __u64 taken)
{
	int left = deep_leave(slot, side, price_e4, taken);
	__u64 tag;

	if (left == DEEP_BLOCK_GONE) {
		tag = price_tag(slot, side, price_e4);
		ladder_remove(slot, TAG_KIND(tag), TAG_NUMBER(tag));
	}
	return left == DEEP_LEFT;
}

hft_global int deep_add(__u32 slot, __u32 side, __u32 price_e4, __u64 added)
{
	return deep_put(slot, side, price_e4, added);
}

/* Key of the best level of one scale behind the window; HFT_KEY_FREE when there is none. */
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

/* The window */

#define WINDOW_NO_CELL 1 /* of level_put: the price is better than all of the window, or between two of its prices */

/* The cell of a price at a place, in a window of that tick; NULL when the place is none. */
hft_inline __u64 *window_cell(struct hft_book *book, __u32 side, __u64 place, __u32 price_e4, __u32 tick)
{
	__u64 at = hft_masked(tick == 1 ? price_e4 : hft_div100(price_e4), HFT_RING);

	return place < HFT_WINDOW ? &book->window[hft_masked(side, 2)].cell[at] : NULL;
}

/* How far a price is behind place 0, in 1/10000 dollar; negative = better. */
hft_inline __s32 window_away(const struct hft_book *book, __u32 side, __u32 price_e4)
{
	return (__s32)hft_away(side, book->window_e4[hft_masked(side, 2)] & ~HFT_WINDOW_FINE, price_e4);
}

/*
 * The place of a price in a window of cents; HFT_WINDOW or more for a price that is not there, and for every price of a window of 1/10000.
 * A division by 100 that leaves a remainder ends far above: multiplied by the inverse of 25, turned by two bits.
 */
hft_inline __u64 window_place(const struct hft_book *book, __u32 side, __u32 price_e4)
{
	__u32 away = hft_away(side, book->window_e4[hft_masked(side, 2)], price_e4) * 0xc28f5c29u;

	return away >> 2 | (__u32)(away << 30);
}

/* The place of a price in a window of any tick, and its cell; NULL when it is not in the window. */
hft_inline __u64 *window_seek(struct hft_book *book, __u32 side, __u32 price_e4, __u64 *place)
{
	__u32 away = window_away(book, side, price_e4);

	if (book->window_e4[hft_masked(side, 2)] & HFT_WINDOW_FINE) {
		*place = away;
		return window_cell(book, side, away, price_e4, 1);
	}
	*place = hft_div100(away);
	return hft_scale(away) ? NULL : window_cell(book, side, *place, price_e4, HFT_CENT_E4);
}

/* How far it reaches, in 1/10000 dollar. */
hft_inline __s32 window_reach(const struct hft_book *book, __u32 side)
{
	return HFT_WINDOW * hft_window_tick(book->window_e4[hft_masked(side, 2)]);
}

/* The tick of a window that is laid for a price. */
hft_inline __u32 tick_of(__u32 price_e4)
{
	return hft_scale(price_e4) ? 1 : HFT_CENT_E4;
}

/* Is the first price better than the second one, which may be 0? */
hft_inline bool is_better(__u32 side, __u32 price_e4, __u32 other_e4)
{
	return !other_e4 || (__s32)hft_away(side, price_e4, other_e4) > 0;
}

hft_inline void best_is(struct hft_book *book, __u32 side, __u32 price_e4)
{
	book->best_e4[hft_masked(side, 2)] = price_e4;
}

hft_inline __u64 *held_of(struct hft_book *book, __u32 side)
{
	return &book->held[hft_masked(side, 2)];
}

/* The best level of a side; 0 without one. */
hft_inline __u64 level_best(const struct hft_book *book, __u64 side)
{
	__u64 held = book->held[side], tick = hft_window_tick(book->window_e4[side]);
	__u32 best_e4 = book->best_e4[side];

	if (!(held & ~HFT_HELD_BEHIND))
		return held ? book->behind_level[side] : 0;
	return book->window[side].cell[hft_masked(tick == 1 ? best_e4 : hft_div100(best_e4), HFT_RING)];
}

/* `added` (shares and orders, as a cell) more at a place: 0, or -1 at the cell's bound. */
hft_inline int window_join(struct hft_book *book, __u32 side, __u64 *cell, __u64 place, __u32 price_e4, __u64 added)
{
	__u64 *held = held_of(book, side), bit = 1ULL << place;

	if (((*cell & HFT_CELL_QTY) + (added & HFT_CELL_QTY)) >> 40)
		return -1;
	*cell += added;
	if (!(*held & (2 * bit - 1)))
		best_is(book, side, price_e4);
	*held |= bit;
	return 0;
}

hft_inline void window_set(struct hft_book *book, __u32 side, __u32 best_e4, __u32 tick)
{
	__u32 room = HFT_HEADROOM * tick;

	if (side == HFT_SELL && room > best_e4)
		room = tick == 1 ? best_e4 : hft_div100(best_e4) * HFT_CENT_E4;
	book->window_e4[hft_masked(side, 2)] =
		hft_behind(side, best_e4, -room) | (tick == HFT_CENT_E4 ? 0 : HFT_WINDOW_FINE);
}

/* Would a window of cents leave out a level that is between two of its prices? */
hft_inline bool window_misses(__u32 slot, __u32 side)
{
	__u32 key = deep_best(slot, side, 1);
	struct hft_book *book = book_at(slot);

	return !(book->window_e4[hft_masked(side, 2)] & HFT_WINDOW_FINE) && key != HFT_KEY_FREE &&
	       window_away(book, side, hft_key_price(side, key)) < HFT_WINDOW * HFT_CENT_E4;
}

/* The level at a place moves behind the window: 0, or -1 when there is no room. */
hft_global int window_evict(__u32 slot, __u32 side, __u32 place)
{
	struct hft_book *book = book_at(slot);
	__u32 price_e4 = hft_window_price(side, book->window_e4[hft_masked(side, 2)], place);
	__u64 at, *cell = window_seek(book, side, price_e4, &at);

	if (!cell || deep_put(slot, side, price_e4, *cell))
		return -1;
	*cell = 0;
	*held_of(book, side) = (*held_of(book, side) & ~(1ULL << (place & 63))) | HFT_HELD_BEHIND;
	book->behind_e4[hft_masked(side, 2)] = 0;
	return 0;
}

/* All from a place on, the worst first: should there be no room for some, what is behind the window is still worse than all of it. */
hft_inline int window_flush(__u32 slot, __u32 side, __u32 from)
{
	hft_rolled for (__u32 i = 0; i < HFT_WINDOW; i++)
	{
		__u64 levels = *held_of(book_at(slot), side) & ~HFT_HELD_BEHIND & ~0ULL << from;

		if (!levels)
			break;
		for (__u32 bits = 1; bits < 64; bits *= 2)
			levels |= levels >> bits;
		if (window_evict(slot, side, count_trailing_zeros(levels & ~(levels >> 1))))
			return -1;
	}
	return 0;
}

/* The levels of a block that belong into the window come into it. 1: the block is empty now, and gone. */
hft_global int block_draw(__u64 tag)
{
	__u32 slot = hft_tag_slot(tag), side = TAG_KIND(tag) & 1, scale = TAG_KIND(tag) >> 1, index;
	struct hft_level_block *block = block_find(tag, &index);
	struct hft_book *book = book_at(slot);

	if (!block)
		return 0;
	hft_rolled for (__u32 i = 0; i < HFT_BLOCK_LEVELS; i++)
	{
		__u32 price_e4 = hft_place_price(side, scale, TAG_NUMBER(tag) * HFT_BLOCK_LEVELS + i);
		__u64 place, *cell = window_seek(book, side, price_e4, &place);

		if (!block->cell[i] || !cell)
			continue;
		*cell = block->cell[i];
		*held_of(book, side) |= 1ULL << place;
		block->cell[i] = 0;
	}
	if (!block_empty(block))
		return 0;
	block_free(block, tag, index);
	return 1;
}

/* The levels behind the window, of one scale, that belong to its places come into it. */
hft_inline void window_draw(__u32 slot, __u32 side, __u32 scale)
{
	struct hft_book *book = book_at(slot);
	__u32 window_e4 = book->window_e4[hft_masked(side, 2)],
	      last_e4 = hft_window_price(side, window_e4, HFT_WINDOW - 1);
	__u32 number = hft_div7(hft_place(side, scale, hft_window_price(side, window_e4, 0))), last;

	if (side == HFT_BUY && window_reach(book, side) > (__s32)(window_e4 & ~HFT_WINDOW_FINE))
		last_e4 = 0;
	last = hft_div7(hft_place(side, scale, last_e4));
	hft_rolled for (__u32 i = 0; i < HFT_WINDOW / HFT_BLOCK_LEVELS + 2 && number <= last; i++, number++)
	{
		__u64 tag = hft_block_tag(slot, side, scale, number);

		if (block_draw(tag))
			ladder_remove(slot, TAG_KIND(tag), number);
	}
}

hft_inline void window_fill(__u32 slot, __u32 side)
{
	struct hft_book *book = book_at(slot);

	if (!(*held_of(book, side) & HFT_HELD_BEHIND))
		return;
	book->behind_e4[hft_masked(side, 2)] = 0;
	window_draw(slot, side, 0);
	if (book_at(slot)->window_e4[hft_masked(side, 2)] & HFT_WINDOW_FINE)
		window_draw(slot, side, 1);
}

/* The beginning moves to better prices, or to worse ones; the levels that would be outside then have gone before. */
hft_inline void window_shift(struct hft_book *book, __u32 side, __s32 by)
{
	__u32 *window_e4 = &book->window_e4[hft_masked(side, 2)];
	__u64 held = *held_of(book, side), levels = held & ~HFT_HELD_BEHIND;

	*window_e4 = hft_window_price(side, *window_e4, -by) | (*window_e4 & HFT_WINDOW_FINE);
	*held_of(book, side) = (held & HFT_HELD_BEHIND) | (by < 0 ? levels >> -by : levels << by);
}

/*
 * Lay an emptied window around the best price of its side, or around a better one that comes, with what is behind it. Its tick is a
 * cent, unless that price or a level would be between two of its prices then.
 */
hft_global int window_lay(__u32 slot, __u32 side, __u32 price_e4)
{
	struct hft_book *book = book_at(slot);
	__u32 best_e4 = book->best_e4[hft_masked(side, 2)];

	if (is_better(side, price_e4, best_e4))
		best_e4 = price_e4;
	window_set(book, side, best_e4, tick_of(price_e4));
	if (window_misses(slot, side))
		window_set(book_at(slot), side, best_e4, 1);
	window_fill(slot, side);
	return 0;
}

/* The best price behind the window, 0 = none. */
hft_inline __u32 window_behind(__u32 slot, __u32 side)
{
	struct hft_book *book = book_at(slot);
	__u32 *behind_e4 = &book->behind_e4[hft_masked(side, 2)], key, other;

	if (!*behind_e4) {
		key = deep_best(slot, side, 0);
		other = deep_best(slot, side, 1);
		book = book_at(slot);
		behind_e4 = &book->behind_e4[hft_masked(side, 2)];
		*behind_e4 = hft_key_price(side, key > other ? key : other);
	}
	return *behind_e4;
}

#define WINDOW_EMPTIED 1 /* it has to be laid anew */

/*
 * The best price is so far back in the window that more levels belong into it, or all are behind it. If those are far away, the window
 * stays: the next price will be where others were. 0, WINDOW_EMPTIED, or -1 when there is no room.
 */
hft_global int window_renew(__u32 slot, __u32 side)
{
	struct hft_book *book = book_at(slot);
	__u32 place = count_trailing_zeros(*held_of(book, side)), best_e4 = window_behind(slot, side);

	book = book_at(slot);
	if (place >= HFT_WINDOW) {
		best_is(book, side, best_e4);
		if (!best_e4)
			*held_of(book, side) = 0;
		if (!best_e4 || window_away(book, side, best_e4) < 2 * window_reach(book, side))
			return best_e4 ? WINDOW_EMPTIED : 0;
		book->behind_level[hft_masked(side, 2)] = deep_level(slot, side, best_e4);
		return 0;
	}
	window_shift(book, side, HFT_HEADROOM - (__s32)place);
	best_is(book, side, hft_window_price(side, book->window_e4[hft_masked(side, 2)], HFT_HEADROOM));
	if (!best_e4 || window_away(book, side, best_e4) >= window_reach(book, side))
		return 0;
	return window_flush(slot, side, 0) ?: WINDOW_EMPTIED;
}

/* Make room for a level that is better than all of the window or between two of its prices: as window_renew. */
hft_global int window_admit(__u32 slot, __u32 side, __u32 price_e4)
{
	struct hft_book *book = book_at(slot);
	__u32 window_e4 = book->window_e4[hft_masked(side, 2)], tick = hft_window_tick(window_e4);
	__s32 away = window_away(book, side, price_e4);
	__u32 before = tick == 1 ? -away : hft_div100(-away), by = before + HFT_HEADROOM;

	if (away >= 0 || by >= HFT_WINDOW || before * tick != (__u32)-away ||
	    !(*held_of(book, side) & ~HFT_HELD_BEHIND))
		return window_flush(slot, side, 0) ?: WINDOW_EMPTIED;
	window_e4 = hft_window_price(side, window_e4, 0);
	if (side == HFT_SELL && by * tick > window_e4)
		by = tick == 1 ? window_e4 : hft_div100(window_e4);
	if (window_flush(slot, side, HFT_WINDOW - by))
		return -1;
	window_shift(book_at(slot), side, by);
	return 0;
}

/* A level joins those behind the window: 0, -1, or WINDOW_NO_CELL, when it is the best of all and the window should follow. */
hft_inline int behind_put(struct hft_book *book, __u32 slot, __u32 side, __u32 price_e4, __u64 added)
{
	__u32 *behind_e4 = &book->behind_e4[hft_masked(side, 2)];

	if (!(*held_of(book, side) & ~HFT_HELD_BEHIND) && is_better(side, price_e4, book->best_e4[hft_masked(side, 2)]))
		return WINDOW_NO_CELL;
	if (!(*held_of(book, side) & HFT_HELD_BEHIND) || (*behind_e4 && is_better(side, price_e4, *behind_e4)))
		*behind_e4 = price_e4;
	*held_of(book, side) |= HFT_HELD_BEHIND;
	if (deep_add(slot, side, price_e4, added))
		return -1;
	book = book_at(slot);
	if (price_e4 == book->best_e4[hft_masked(side, 2)])
		book->behind_level[hft_masked(side, 2)] += added;
	return 0;
}

/* An order or a level joins where the look at the window of a message did not find a place: 0, WINDOW_NO_CELL, or -1. */
hft_global int level_put(__u32 slot, __u32 side, __u32 price_e4, __u64 added)
{
	struct hft_book *book = book_at(slot);
	__u64 *cell, place;

	if (!*held_of(book, side))
		window_set(book, side, price_e4, tick_of(price_e4));
	if (window_away(book, side, price_e4) >= window_reach(book, side))
		return behind_put(book, slot, side, price_e4, added);
	cell = window_seek(book, side, price_e4, &place);
	return cell ? window_join(book, side, cell, place, price_e4, added) : WINDOW_NO_CELL;
}

/* An order of `qty` shares joins the level at a price. */
hft_inline int level_add(struct hft_book *book, __u32 slot, __u32 side, __u32 price_e4, __u64 qty)
{
	__u64 place = window_place(book, side, price_e4);
	__u64 *cell = window_cell(book, side, place, price_e4, HFT_CENT_E4);
	int missing;

	if (cell)
		return window_join(book, side, cell, place, price_e4, qty + HFT_CELL_ORDER);
	missing = level_put(slot, side, price_e4, qty + HFT_CELL_ORDER);
	if (missing != WINDOW_NO_CELL)
		return missing;
	missing = window_admit(slot, side, price_e4);
	if (missing < 0)
		return -1;
	if (missing == WINDOW_EMPTIED)
		window_lay(slot, side, price_e4);
	return level_put(slot, side, price_e4, qty + HFT_CELL_ORDER);
}

/* A level is gone: is it time to renew the window? */
hft_inline int window_leave(struct hft_book *book, __u32 side, __u64 place)
{
	__u64 held = *held_of(book, side) & ~(1ULL << place);
	__u32 first;

	*held_of(book, side) = held;
	if (!held) {
		best_is(book, side, 0);
		return 0;
	}
	first = count_trailing_zeros(held);
	if (first > HFT_WORN && held & HFT_HELD_BEHIND)
		return 1;
	best_is(book, side, hft_window_price(side, book->window_e4[hft_masked(side, 2)], first));
	return 0;
}

/* Where the look at the window of a message did not find a place. As window_leave. */
hft_global int level_pick(__u32 slot, __u32 side, __u32 price_e4, __u64 taken)
{
	struct hft_book *book = book_at(slot);
	__u64 *cell, place;

	if (window_away(book, side, price_e4) >= window_reach(book, side)) {
		if (price_e4 == book->best_e4[hft_masked(side, 2)])
			book->behind_level[hft_masked(side, 2)] -= taken;
		if (deep_take(slot, side, price_e4, taken))
			return 0;
		book = book_at(slot);
		if (book->behind_e4[hft_masked(side, 2)] == price_e4)
			book->behind_e4[hft_masked(side, 2)] = 0;
		return book->best_e4[hft_masked(side, 2)] == price_e4;
	}
	cell = window_seek(book, side, price_e4, &place);
	if (!cell)
		return 0; /* cannot happen: an order has its level */
	*cell -= taken;
	return *cell ? 0 : window_leave(book, side, place);
}

/* `taken` leaves the level at a price: shares, and an order with them if it is HFT_CELL_ORDER or more. As level_add. */
hft_inline int level_take(struct hft_book *book, __u32 slot, __u32 side, __u32 price_e4, __u64 taken)
{
	__u64 place = window_place(book, side, price_e4);
	__u64 *cell = window_cell(book, side, place, price_e4, HFT_CENT_E4);
	int worn;

	if (cell) {
		*cell -= taken;
		worn = *cell ? 0 : window_leave(book, side, place);
	} else {
		worn = level_pick(slot, side, price_e4, taken);
	}
	if (!worn)
		return 0;
	worn = window_renew(slot, side);
	if (worn == WINDOW_EMPTIED)
		window_lay(slot, side, book_at(slot)->best_e4[hft_masked(side, 2)]);
	return worn < 0 ? -1 : 0;
}

#endif
