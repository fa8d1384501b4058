/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The levels of a book, read from the hook's own tables while it goes on writing them.
 *
 * The version of the book decides what is believed: a walk that it changed under is begun again, so whatever nonsense a walk
 * meets on the way may only end it, never lead it astray. The next version is looked at before each block, and the walk goes
 * from smaller to larger block numbers, so it ends.
 */
#include <errno.h>
#include <stddef.h>

#include <linux/types.h>

#include "hft/limits.h"
#include "hft/abi.h"
#include "hft/layout.h"

#include "hft.h"

#define DEPTH_TRIES 100000
#define SCALES 2
#define NO_BLOCK (-1LL)

/* Where a walk of one scale stands: the next level, HFT_KEY_FREE (worse than any) when there is none. */
struct scale_cursor {
	const struct hft_level_block *block;
	long long number;
	unsigned int cell; /* of the level in `key` */
	__u32 key;
};

struct walk {
	const struct hft_tables *tables;
	const struct hft_book *book;
	__u32 version;
	unsigned int slot;
	unsigned int side;
	struct scale_cursor cursor[SCALES];
};

static int is_stale(const struct walk *walk)
{
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return __atomic_load_n(&walk->book->version, __ATOMIC_RELAXED) != walk->version;
}

/* Bitmap of the children of a node of the ladder, 0 when it is not there. */
static __u64 ladder_children(const struct walk *walk, unsigned int scale, unsigned int depth, __u32 prefix)
{
	__u64 key = hft_ladder_key(walk->slot, walk->side, scale, depth, prefix);

	for (__u32 probe = 0; probe < HFT_PROBE; probe++) {
		const struct hft_bucket *bucket =
			&walk->tables->ladder[(hft_hash(key) + probe) & walk->tables->ladder_mask];

		for (__u32 way = 0; way < HFT_BUCKET_SLOTS; way++)
			if (bucket->value[way] && !((bucket->key[way] ^ key) << (64 - HFT_LADDER_KEY_BITS)))
				return bucket->value[way];
		if (!probe && !(bucket->key[0] & HFT_SPILL_MASK))
			break;
	}
	return 0;
}

/* The first block number from `number` on: up until a node has a child there or further, then down its first children. */
static long long ladder_next(const struct walk *walk, unsigned int scale, __u32 number)
{
	for (unsigned int depth = 0; depth < HFT_LADDER_DEPTH; depth++) {
		__u32 prefix = number >> HFT_LADDER_BITS;
		__u64 children = ladder_children(walk, scale, depth, prefix) & ~0ULL << (number & 63);

		if (!children) {
			number = prefix + 1;
			continue;
		}
		for (;;) {
			number = prefix << HFT_LADDER_BITS | (__u32)__builtin_ctzll(children);
			if (!depth)
				return number;
			prefix = number;
			children = ladder_children(walk, scale, --depth, prefix);
			if (!children)
				return NO_BLOCK;
		}
	}
	return NO_BLOCK;
}

static const struct hft_level_block *find_block(const struct walk *walk, unsigned int scale, __u32 number)
{
	__u64 tag = hft_block_tag(walk->slot, walk->side, scale, number);

	for (__u32 i = 0; i < HFT_LEVEL_PROBE; i++) {
		const struct hft_level_block *block =
			&walk->tables->levels[hft_block_at(tag, i, walk->tables->level_mask)];

		if (!((block->tag ^ tag) & ~HFT_TAG_SPILL_MASK))
			return block;
	}
	return NULL;
}

/* To the next level of a scale. -EAGAIN when the hook has been inside meanwhile. */
static int advance(struct walk *walk, unsigned int scale)
{
	struct scale_cursor *at = &walk->cursor[scale];

	for (;;) {
		for (; at->block && at->cell < HFT_BLOCK_LEVELS; at->cell++) {
			__u32 place = (__u32)at->number * HFT_BLOCK_LEVELS + at->cell;

			if (!at->block->cell[at->cell])
				continue;
			at->key = hft_price_key(walk->side, hft_place_price(walk->side, scale, place));
			return 0;
		}
		if (is_stale(walk))
			return -EAGAIN;
		at->number = ladder_next(walk, scale, (__u32)(at->number + 1));
		at->cell = 0;
		at->key = HFT_KEY_FREE;
		if (at->number == NO_BLOCK)
			return 0;
		at->block = find_block(walk, scale, (__u32)at->number);
	}
}

static void put(struct hft_level *level, __u32 price_e4, __u64 cell)
{
	level->price_e4 = price_e4;
	level->shares = cell & HFT_CELL_QTY;
	level->orders = cell / HFT_CELL_ORDER;
}

/* The window of a side, the best first; all that is in it is better than everything in the blocks. */
static unsigned int read_window(const struct hft_book *book, unsigned int side, struct hft_level *levels,
				unsigned int room)
{
	__u32 window_e4 = book->window_e4[side];
	unsigned int count = 0;

	for (__u32 place = 0; place < HFT_WINDOW && count < room; place++) {
		__u32 price_e4 = hft_window_price(side, window_e4, place);
		__u64 cell = book->window[side].cell[price_e4 / hft_window_tick(window_e4) % HFT_RING];

		if (book->held[side] >> place & 1)
			put(&levels[count++], price_e4, cell);
	}
	return count;
}

static int read_side(struct walk *walk, struct hft_level *levels, unsigned int room, unsigned int *count)
{
	int error = 0;

	*count = read_window(walk->book, walk->side, levels, room);
	if (!(walk->book->held[walk->side] & HFT_HELD_BEHIND) || *count == room)
		return 0;
	for (unsigned int scale = 0; scale < SCALES && !error; scale++) {
		walk->cursor[scale] = (struct scale_cursor){ .number = NO_BLOCK, .key = HFT_KEY_FREE };
		error = advance(walk, scale);
	}
	while (!error && *count < room) {
		unsigned int scale = walk->cursor[1].key > walk->cursor[0].key;
		struct scale_cursor *at = &walk->cursor[scale];

		if (at->key == HFT_KEY_FREE)
			break;
		put(&levels[(*count)++], hft_key_price(walk->side, at->key), at->block->cell[at->cell++]);
		error = advance(walk, scale);
	}
	return error;
}

int hft_depth(const struct hft_tables *tables, const struct hft_book *book, unsigned int slot, struct hft_level *levels,
	      unsigned int room, unsigned int *counts)
{
	struct walk walk = { .tables = tables, .book = book, .slot = slot };

	for (int i = 0; i < DEPTH_TRIES; i++) {
		int error = 0;

		walk.version = __atomic_load_n(&book->version, __ATOMIC_ACQUIRE);
		if (walk.version & 1)
			continue;
		counts[HFT_BUY] = counts[HFT_SELL] = 0;
		/* SWEEP takes entries out without touching the version, INSTALL fills in piece by piece: neither is a book. */
		if (book->health != HFT_BOOK_CLEARING && book->health != HFT_BOOK_INSTALLING) {
			for (walk.side = HFT_BUY; walk.side <= HFT_SELL && !error; walk.side++)
				error = read_side(&walk, levels + walk.side * room, room, &counts[walk.side]);
		}
		if (!error && !is_stale(&walk))
			return 0;
	}
	return -EAGAIN;
}
