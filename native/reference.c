/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* An order book that is easy to believe: see reference.h. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <linux/types.h>

#include "hft/limits.h"
#include "hft/abi.h"

#include "bytes.h"
#include "hft.h"
#include "reference.h"

#define LOCATES 65536
#define FIRST_ROOM 1024
#define NO_ORDER UINT32_MAX
#define MOST_STATES 16 /* R, H, Y, and h of each market */
#define LONGEST_STATE 39 /* R */
#define EVENTS 16
#define ADD_BYTES 36

struct order {
	uint64_t ref;
	uint64_t arrival; /* orders of a symbol are older the smaller it is */
	uint32_t next; /* order of the same bucket, or of the free ones */
	uint32_t shares; /* 0 = not in use */
	uint32_t price_e4;
	uint16_t locate;
	uint8_t side;
	uint8_t time[6];
};

struct side {
	struct hft_level *levels; /* best first */
	uint32_t count;
	uint32_t room;
};

/* A message that says how things are: the newest of its kind is what counts. */
struct state {
	uint8_t length;
	uint8_t bytes[LONGEST_STATE];
};

struct symbol {
	struct side side[2];
	uint32_t orders;
	uint32_t state_count;
	struct state states[MOST_STATES];
};

struct hft_reference {
	struct order *orders;
	uint32_t *buckets;
	uint32_t room; /* of both; a power of two */
	uint32_t used; /* entries of `orders` that were ever in use */
	uint32_t free; /* first of those that are free again */
	uint32_t live;
	uint64_t arrivals;
	uint32_t event_count;
	struct state events[EVENTS];
	struct symbol *symbols[LOCATES];
};

struct hft_reference *hft_reference_create(int *error)
{
	struct hft_reference *r = calloc(1, sizeof(*r));

	*error = -ENOMEM;
	if (!r)
		return NULL;
	r->room = FIRST_ROOM;
	r->free = NO_ORDER;
	r->orders = calloc(r->room, sizeof(*r->orders));
	r->buckets = malloc(r->room * sizeof(*r->buckets));
	if (!r->orders || !r->buckets) {
		hft_reference_destroy(r);
		return NULL;
	}
	memset(r->buckets, 0xff, r->room * sizeof(*r->buckets));
	*error = 0;
	return r;
}

void hft_reference_destroy(struct hft_reference *r)
{
	if (!r)
		return;
	for (uint32_t i = 0; i < LOCATES; i++) {
		if (!r->symbols[i])
			continue;
		free(r->symbols[i]->side[0].levels);
		free(r->symbols[i]->side[1].levels);
		free(r->symbols[i]);
	}
	free(r->orders);
	free(r->buckets);
	free(r);
}

/* Orders. */

static uint32_t *bucket_of(struct hft_reference *r, uint64_t ref)
{
	return &r->buckets[(ref ^ ref >> 17) & (r->room - 1)];
}

static struct order *find_order(struct hft_reference *r, uint64_t ref)
{
	for (uint32_t i = *bucket_of(r, ref); i != NO_ORDER; i = r->orders[i].next)
		if (r->orders[i].ref == ref)
			return &r->orders[i];
	return NULL;
}

static void link_order(struct hft_reference *r, uint32_t index)
{
	uint32_t *bucket = bucket_of(r, r->orders[index].ref);

	r->orders[index].next = *bucket;
	*bucket = index;
}

/* Twice the room. Only when all of it is in use, so every entry is a live order. */
static int grow(struct hft_reference *r)
{
	uint32_t room = r->room * 2;
	struct order *orders = realloc(r->orders, room * sizeof(*orders));
	uint32_t *buckets;

	if (!orders)
		return -ENOMEM;
	r->orders = orders;
	buckets = realloc(r->buckets, room * sizeof(*buckets));
	if (!buckets)
		return -ENOMEM;
	r->buckets = buckets;
	r->room = room;
	memset(buckets, 0xff, room * sizeof(*buckets));
	for (uint32_t i = 0; i < r->used; i++)
		link_order(r, i);
	return 0;
}

/* A new order, in no book yet; NULL without memory. */
static struct order *make_order(struct hft_reference *r, uint64_t ref)
{
	uint32_t index = r->free;

	if (index != NO_ORDER) {
		r->free = r->orders[index].next;
	} else {
		if (r->used == r->room && grow(r))
			return NULL;
		index = r->used++;
	}
	r->orders[index] = (struct order){ .ref = ref, .arrival = r->arrivals++ };
	link_order(r, index);
	return &r->orders[index];
}

static void drop_order(struct hft_reference *r, struct order *order)
{
	uint32_t index = order - r->orders, *at = bucket_of(r, order->ref);

	while (*at != index)
		at = &r->orders[*at].next;
	*at = order->next;
	order->shares = 0;
	order->next = r->free;
	r->free = index;
}

/* Levels. */

static struct symbol *symbol_of(struct hft_reference *r, uint32_t locate)
{
	if (!r->symbols[locate])
		r->symbols[locate] = calloc(1, sizeof(*r->symbols[locate]));
	return r->symbols[locate];
}

/* Where a price stands in its side, or belongs. */
static uint32_t find_level(const struct side *side, uint32_t which, uint32_t price_e4)
{
	uint32_t low = 0, high = side->count;

	while (low < high) {
		uint32_t middle = (low + high) / 2, price = side->levels[middle].price_e4;
		int better = which == HFT_BUY ? price > price_e4 : price < price_e4;

		if (better)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int join_level(struct symbol *symbol, const struct order *order)
{
	struct side *side = &symbol->side[order->side];
	uint32_t at = find_level(side, order->side, order->price_e4);
	struct hft_level *level;

	if (at == side->count || side->levels[at].price_e4 != order->price_e4) {
		if (side->count == side->room) {
			uint32_t room = side->room ? side->room * 2 : 16;
			struct hft_level *levels = realloc(side->levels, room * sizeof(*levels));

			if (!levels)
				return -ENOMEM;
			side->levels = levels;
			side->room = room;
		}
		level = &side->levels[at];
		memmove(level + 1, level, (side->count - at) * sizeof(*level));
		*level = (struct hft_level){ .price_e4 = order->price_e4 };
		side->count++;
	}
	level = &side->levels[at];
	level->shares += order->shares;
	level->orders++;
	symbol->orders++;
	return 0;
}

/* Take shares off an order and its level; the last ones take the order with them. */
static void take(struct hft_reference *r, struct order *order, uint32_t shares)
{
	struct symbol *symbol = r->symbols[order->locate];
	struct side *side = &symbol->side[order->side];
	uint32_t at = find_level(side, order->side, order->price_e4);
	struct hft_level *level = &side->levels[at];

	level->shares -= shares;
	order->shares -= shares;
	if (order->shares)
		return;
	level->orders--;
	symbol->orders--;
	r->live--;
	if (!level->orders) {
		side->count--;
		memmove(level, level + 1, (side->count - at) * sizeof(*level));
	}
	drop_order(r, order);
}

/* Messages. */

static int enter(struct hft_reference *r, uint32_t locate, uint64_t ref, uint32_t side, uint32_t shares,
		 uint32_t price_e4, const uint8_t *time)
{
	struct symbol *symbol = symbol_of(r, locate);
	struct order *order = symbol ? make_order(r, ref) : NULL;

	if (!order)
		return -ENOMEM;
	order->locate = locate;
	order->side = side;
	order->shares = shares;
	order->price_e4 = price_e4;
	memcpy(order->time, time, sizeof(order->time));
	r->live++;
	return join_level(symbol, order) ?: (int)locate;
}

static int add(struct hft_reference *r, const uint8_t *m)
{
	uint64_t ref = get_be(m + 11, 8);

	if (find_order(r, ref) || !get_be(m + 20, 4) || (m[19] != 'B' && m[19] != 'S'))
		return -EBADMSG;
	return enter(r, get_be(m + 1, 2), ref, m[19] == 'B' ? HFT_BUY : HFT_SELL, get_be(m + 20, 4), get_be(m + 32, 4),
		     m + 5);
}

static int reduce(struct hft_reference *r, const uint8_t *m, int whole)
{
	struct order *order = find_order(r, get_be(m + 11, 8));
	uint32_t locate = get_be(m + 1, 2), shares;

	if (!order || order->locate != locate)
		return -EBADMSG;
	shares = whole ? order->shares : get_be(m + 19, 4);
	if (!shares || shares > order->shares)
		return -EBADMSG;
	take(r, order, shares);
	return locate;
}

static int replace(struct hft_reference *r, const uint8_t *m)
{
	struct order *old = find_order(r, get_be(m + 11, 8));
	uint32_t locate = get_be(m + 1, 2), side;

	if (!old || old->locate != locate || find_order(r, get_be(m + 19, 8)) || !get_be(m + 27, 4))
		return -EBADMSG;
	side = old->side;
	take(r, old, old->shares);
	return enter(r, locate, get_be(m + 19, 8), side, get_be(m + 27, 4), get_be(m + 31, 4), m + 5);
}

/* The newest of a kind takes the place of the one before: same type, and for `h` same market. */
static void keep_state(struct symbol *symbol, const uint8_t *m, uint32_t length)
{
	uint32_t at = 0;

	for (; at < symbol->state_count; at++) {
		const uint8_t *other = symbol->states[at].bytes;

		if (other[0] == m[0] && (m[0] != 'h' || other[19] == m[19]))
			break;
	}
	if (at == MOST_STATES)
		return;
	if (at == symbol->state_count)
		symbol->state_count++;
	symbol->states[at].length = length;
	memcpy(symbol->states[at].bytes, m, length);
}

static void keep_event(struct hft_reference *r, const uint8_t *m, uint32_t length)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < r->event_count; i++)
		if (r->events[i].bytes[11] != m[11])
			r->events[kept++] = r->events[i];
	if (kept == EVENTS)
		kept--;
	r->events[kept].length = length;
	memcpy(r->events[kept].bytes, m, length);
	r->event_count = kept + 1;
}

int hft_reference_apply(struct hft_reference *r, const uint8_t *message, uint32_t length)
{
	static const uint8_t lengths[256] = {
		['S'] = 12, ['R'] = 39, ['H'] = 25, ['Y'] = 20, ['h'] = 21, ['A'] = 36,
		['F'] = 40, ['E'] = 31, ['C'] = 36, ['X'] = 23, ['D'] = 19, ['U'] = 35,
	};
	struct symbol *symbol;

	if (!length)
		return -EBADMSG;
	if (!lengths[message[0]])
		return 0;
	if (lengths[message[0]] != length)
		return -EBADMSG;
	switch (message[0]) {
	case 'A':
	case 'F':
		return add(r, message);
	case 'E':
	case 'C':
	case 'X':
		return reduce(r, message, 0);
	case 'D':
		return reduce(r, message, 1);
	case 'U':
		return replace(r, message);
	case 'S':
		keep_event(r, message, length);
		return 0;
	default:
		symbol = symbol_of(r, get_be(message + 1, 2));
		if (!symbol)
			return -ENOMEM;
		keep_state(symbol, message, length);
		return 0;
	}
}

const struct hft_level *hft_reference_side(const struct hft_reference *r, uint32_t locate, uint32_t side,
					   uint32_t *count)
{
	const struct symbol *symbol = r->symbols[locate & (LOCATES - 1)];

	*count = symbol ? symbol->side[side & 1].count : 0;
	return *count ? symbol->side[side & 1].levels : NULL;
}

uint32_t hft_reference_orders(const struct hft_reference *r, uint32_t locate)
{
	const struct symbol *symbol = r->symbols[locate & (LOCATES - 1)];

	if (!locate)
		return r->live;
	return symbol ? symbol->orders : 0;
}

/* Snapshot. */

struct writer {
	uint8_t *at;
	uint8_t *end;
	int full;
};

static void write_message(struct writer *writer, const uint8_t *bytes, uint32_t length)
{
	if (writer->full || (uint64_t)(writer->end - writer->at) < length + 2) {
		writer->full = 1;
		return;
	}
	put_be(writer->at, length, 2);
	memcpy(writer->at + 2, bytes, length);
	writer->at += length + 2;
}

static int older(const void *left, const void *right)
{
	const struct order *a = *(const struct order *const *)left, *b = *(const struct order *const *)right;

	if (a->locate != b->locate)
		return a->locate < b->locate ? -1 : 1;
	return a->arrival < b->arrival ? -1 : a->arrival > b->arrival;
}

/* All live orders, symbol by symbol, oldest first; NULL without memory. */
static const struct order **sorted_orders(const struct hft_reference *r)
{
	const struct order **orders = malloc((r->live + 1ULL) * sizeof(*orders));
	uint32_t count = 0;

	if (!orders)
		return NULL;
	for (uint32_t i = 0; i < r->used; i++)
		if (r->orders[i].shares)
			orders[count++] = &r->orders[i];
	qsort(orders, count, sizeof(*orders), older);
	return orders;
}

static void write_order(struct writer *writer, const struct symbol *symbol, const struct order *order)
{
	uint8_t m[ADD_BYTES] = { 'A' };

	put_be(m + 1, order->locate, 2);
	memcpy(m + 5, order->time, sizeof(order->time));
	put_be(m + 11, order->ref, 8);
	m[19] = order->side == HFT_BUY ? 'B' : 'S';
	put_be(m + 20, order->shares, 4);
	/* The first state of a symbol is its directory entry; its name stands where R has it. */
	memcpy(m + 24, symbol->states[0].bytes + 11, 8);
	put_be(m + 32, order->price_e4, 4);
	write_message(writer, m, sizeof(m));
}

int64_t hft_reference_snapshot(const struct hft_reference *r, uint8_t *buffer, uint64_t room)
{
	struct writer writer = { .at = buffer, .end = buffer + room };
	const struct order **orders = sorted_orders(r);
	uint32_t next = 0;

	if (!orders)
		return -ENOMEM;
	for (uint32_t i = 0; i < r->event_count; i++)
		write_message(&writer, r->events[i].bytes, r->events[i].length);
	for (uint32_t locate = 0; locate < LOCATES; locate++) {
		const struct symbol *symbol = r->symbols[locate];

		if (!symbol)
			continue;
		for (uint32_t i = 0; i < symbol->state_count; i++)
			write_message(&writer, symbol->states[i].bytes, symbol->states[i].length);
		for (uint32_t i = 0; i < symbol->orders; i++)
			write_order(&writer, symbol, orders[next++]);
	}
	free(orders);
	return writer.full ? -ENOSPC : writer.at - buffer;
}
