// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The market generator. Layouts: ITCH 5.0, BinaryFILE, MoldUDP64 1.00.
 *
 * What decides its speed is memory: a million resting orders fit no cache. So a few messages are planned ahead (their
 * type, and the symbol or the order they are about), and what they will touch is prefetched meanwhile. A plan may be
 * outdated when its turn comes, since the order it is about may have died; then another one is drawn.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "market.h"

#define SECOND_NS 1000000000u
#define NONE UINT32_MAX

enum {
	BID,
	ASK,

	CENT_E4 = 100,
	DOLLAR_E4 = 10000,
	STUB_BID_E4 = CENT_E4,
	STUB_ASK_E4 = 1999999900,

	PLANS = 16, /* messages planned ahead; a power of two */
	OLD_SHARE = 16, /* one in so many deletes takes an order of any age; a power of two */
	RECENT_BITS = 18, /* log2 of how many of the newest orders deletes prefer */
	MATCHES = 256, /* newest match numbers, one of which may be broken */
	LATE_REFS = 1024, /* skipped references that wait for a late add */
	HALTS = 16, /* symbols halted at once */
	QUANTILES = 1024, /* of each sampling table */
	DEPTH_MAX = 16383,
	SHALLOW = 14, /* ticks from the touch: where orders of any age die alike */
	SEED_DEPTH_MAX = 3000, /* ticks */
	SEED_STEP_NS = 1000, /* between seeded orders */
	SEEDED = 0, /* as a message type: an Add Order ahead of the flow */
};

static const uint64_t LAST_NS = 86400ull * SECOND_NS - 1;

struct order {
	uint64_t ref;
	uint32_t price_e4;
	uint32_t shares; /* 0 = free */
	uint32_t previous; /* a level is a ring in time order; that of the first order is the last one */
	uint32_t next; /* of a free order: the next free one */
	uint32_t birth; /* place among the recent */
	uint16_t symbol;
	uint16_t depth : 14; /* ticks from the touch when it joined */
	uint16_t side : 1;
	uint16_t first : 1;
};

_Static_assert(sizeof(struct order) == 32, "two orders share a cache line");

struct level {
	uint32_t key; /* price of a bid, its complement of an offer: the best is last on both sides */
	uint32_t first;
};

struct side {
	struct level *levels;
	uint32_t count;
	uint32_t room;
	uint32_t best_e4; /* 0 = empty */
	uint32_t reserved;
};

struct symbol {
	uint8_t name[8];
	uint16_t locate;
	uint8_t state; /* H, P, T */
	uint8_t stub : 1;
	uint8_t subdollar : 1;
	uint8_t half : 6; /* ticks that each side stays away from the fair price */
	uint32_t fair_e4; /* highest sane bid; the lowest sane offer is one tick above */
	struct side side[2];
};

_Static_assert(sizeof(struct symbol) == 64, "one cache line");

/* What is rarely needed of a symbol. */
struct listing {
	uint32_t open_e4; /* its fair price stays between half and twice of this */
	uint16_t seed_depth; /* ticks over which seeded orders spread */
	uint16_t seed_near; /* of 1024, seeded orders that stand as fresh ones do */
};

struct alias {
	uint32_t limit; /* of 2^30 */
	uint32_t other;
};

struct kind {
	uint32_t limit; /* cumulative, of 2^32 - 1 */
	uint32_t type;
};

struct plan {
	uint32_t type;
	uint32_t target; /* a symbol, or an order */
	uint32_t birth; /* that the order must have */
	uint32_t any_age; /* 1 = it need not */
};

struct match {
	uint64_t number; /* 0 = broken already */
	uint16_t locate;
};

struct hft_market {
	uint64_t random;
	uint64_t now_ns;
	uint64_t messages;
	struct order *orders;
	struct symbol *symbols;
	struct alias *alias;
	uint32_t *recent; /* orders by birth, a ring */
	uint32_t births;
	uint32_t live;
	uint32_t free; /* head of the list of free orders */
	uint32_t used; /* orders[0..used) have been live */
	uint32_t plan_at;
	struct plan plans[PLANS];
	uint32_t ahead_at;
	uint32_t ahead[PLANS]; /* symbols of the next seeded orders */
	struct kind kinds[HFT_MARKET_TYPES];

	/* Executions of one aggressor. */
	uint32_t sweep_symbol;
	uint32_t sweep_side;
	uint32_t sweep; /* 1: the next message is another one */
	uint32_t sweep_debt; /* executions made that the mix did not ask for */

	uint64_t last_ref;
	uint64_t last_match;
	uint32_t late_limit; /* of 2^32: an add takes a skipped reference */
	uint32_t skip_limit; /* a reference is skipped after a fresh one */
	uint32_t late_count;
	uint64_t late[LATE_REFS];
	struct match matches[MATCHES];

	uint64_t regime_end_ns;
	uint64_t gap_mean_q8; /* between clusters, under this regime */
	uint64_t cluster_gap_q8; /* between clusters, mean of the day */
	uint64_t steady_step_ns;
	uint64_t steady_rest;
	uint64_t steady_sum;
	uint32_t cluster_limit; /* of 2^32: a message begins a new cluster */

	uint32_t halted[HALTS];
	uint32_t halts;
	uint32_t cross_symbol; /* its reopening cross is the next message; NONE */
	uint32_t collar_symbol; /* its auction collar is the next message; NONE */
	uint32_t operational_symbol; /* halted on another market; NONE */
	uint32_t failed;

	uint64_t count[HFT_MARKET_TYPES];
	struct hft_market_config config;
	struct listing *listings;
	uint32_t *by_locate; /* symbols in the order of their locates */
	uint8_t (*names)[8];
	uint32_t *prices_e4;
	uint16_t sizes[QUANTILES];
	uint16_t depths[QUANTILES + 1]; /* from each to before the next */
	uint32_t gaps_q16[QUANTILES]; /* exponential, mean 1 */
};

/* Integer arithmetic for the tables: the same on every machine. */

static uint64_t square_root(uint64_t x)
{
	uint64_t root = 0, bit;

	for (bit = 1ull << 31; bit; bit >>= 1)
		if ((root | bit) * (root | bit) <= x)
			root |= bit;
	return root;
}

/* log2 of x >= 1, in 2^-32. */
static uint64_t log2_q32(uint64_t x)
{
	uint32_t whole = 63 - (uint32_t)__builtin_clzll(x), bit;
	uint64_t m = x << (63 - whole) >> 32, fraction = 0; /* 1 <= m < 2, in 2^-31 */

	for (bit = 1u << 31; bit; bit >>= 1) {
		m = m * m >> 31;
		if (m >> 32) {
			m >>= 1;
			fraction |= bit;
		}
	}
	return (uint64_t)whole << 32 | fraction;
}

/* 2^(x / 2^32) for x < 2^32, in 2^-30. */
static uint64_t exp2_q30(uint32_t x)
{
	uint64_t power = 1u << 30;
	uint32_t bit;

	for (bit = 8; bit < 32; bit++)
		power = square_root(power << (30 + (x >> bit & 1)));
	return power;
}

/* low * (high / low)^(part / whole). */
static uint64_t between(uint64_t low, uint64_t high, uint32_t part, uint32_t whole)
{
	uint64_t x = (log2_q32(high) - log2_q32(low)) / whole * part;

	return (low * exp2_q30((uint32_t)x) >> 30) << (x >> 32);
}

/* SplitMix64. */
static inline uint64_t draw(struct hft_market *m)
{
	uint64_t x = m->random += 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

static inline uint32_t draw32(struct hft_market *m)
{
	return (uint32_t)(draw(m) >> 32);
}

static inline uint32_t below(struct hft_market *m, uint32_t n)
{
	return (uint32_t)((uint64_t)draw32(m) * n >> 32);
}

static inline int one_in(struct hft_market *m, uint32_t n)
{
	return !below(m, n);
}

/* Wire. */

static inline uint8_t *put16(uint8_t *at, uint16_t value)
{
	value = __builtin_bswap16(value);
	memcpy(at, &value, sizeof(value));
	return at + sizeof(value);
}

static inline uint8_t *put32(uint8_t *at, uint32_t value)
{
	value = __builtin_bswap32(value);
	memcpy(at, &value, sizeof(value));
	return at + sizeof(value);
}

static inline uint8_t *put64(uint8_t *at, uint64_t value)
{
	value = __builtin_bswap64(value);
	memcpy(at, &value, sizeof(value));
	return at + sizeof(value);
}

static inline uint8_t *put_name(uint8_t *at, const struct symbol *s)
{
	memcpy(at, s->name, sizeof(s->name));
	return at + sizeof(s->name);
}

static inline uint8_t *put_text(uint8_t *at, const char *text, uint32_t length)
{
	memcpy(at, text, length);
	return at + length;
}

/* Length and common header. The time's store is two bytes too wide; what follows is written after it. */
static inline uint8_t *begin(struct hft_market *m, uint8_t *at, uint8_t type, uint16_t length, uint16_t locate,
			     uint16_t tracking)
{
	at = put16(at, length);
	*at++ = type;
	at = put16(at, locate);
	at = put16(at, tracking);
	put64(at, m->now_ns << 16);
	m->count[type]++;
	m->messages++;
	return at + 6;
}

/* Time. */

/* Factors on the day's mean rate, in 1/100, that hold for a while each; 100 ms windows of a busy day. */
static const uint16_t REGIMES[16] = { 30, 40, 48, 54, 58, 62, 66, 69, 72, 76, 82, 90, 105, 140, 237, 0 };

static void change_regime(struct hft_market *m)
{
	uint64_t r = draw(m);
	uint32_t factor = REGIMES[r & 15];

	if (!factor)
		factor = r >> 4 & 3 ? 239 : 762;
	m->gap_mean_q8 = m->cluster_gap_q8 * 100 / factor;
	m->regime_end_ns = m->now_ns + 5000000 + (r >> 32) % 30000000;
}

static inline void advance(struct hft_market *m)
{
	uint64_t r;

	if (m->config.steady) {
		m->steady_sum += m->steady_rest;
		m->now_ns += m->steady_step_ns;
		if (m->steady_sum >= m->config.rate) {
			m->steady_sum -= m->config.rate;
			m->now_ns++;
		}
	} else {
		r = draw(m);
		if ((uint32_t)r >= m->cluster_limit)
			return;
		if (m->now_ns >= m->regime_end_ns)
			change_regime(m);
		/* 1 ns at least, or it were no new cluster; it is too much by half on average. */
		m->now_ns += 1 + (m->gap_mean_q8 * m->gaps_q16[r >> 32 & (QUANTILES - 1)] >> 24);
	}
	if (m->now_ns > LAST_NS)
		m->now_ns = LAST_NS;
}

/* Numbers. */

static inline uint64_t fresh_ref(struct hft_market *m)
{
	uint64_t r = draw(m);

	m->last_ref += 1 + (r & 1); /* orders that are not displayed take references too */
	if ((uint32_t)(r >> 32) < m->skip_limit && m->late_count < LATE_REFS)
		m->late[m->late_count++] = m->last_ref++;
	return m->last_ref;
}

static inline uint64_t add_ref(struct hft_market *m)
{
	uint64_t ref;
	uint32_t at;

	if (!m->late_count || draw32(m) >= m->late_limit)
		return fresh_ref(m);
	at = below(m, m->late_count);
	ref = m->late[at];
	m->late[at] = m->late[--m->late_count];
	return ref;
}

static inline uint64_t next_match(struct hft_market *m, const struct symbol *s)
{
	m->last_match++;
	m->matches[m->last_match % MATCHES] = (struct match){ m->last_match, s->locate };
	return m->last_match;
}

static inline uint32_t draw_size(struct hft_market *m)
{
	return m->sizes[draw(m) % QUANTILES];
}

static inline uint32_t draw_depth(struct hft_market *m)
{
	uint64_t r = draw(m);
	const uint16_t *depth = &m->depths[r % QUANTILES];

	return depth[0] + (uint32_t)((r >> 32) * (depth[1] - depth[0]) >> 32);
}

static inline uint32_t draw_symbol(struct hft_market *m)
{
	uint64_t r = draw(m);
	uint32_t column = (uint32_t)((r >> 32) * m->config.symbols >> 32);

	return (uint32_t)(r & ((1u << 30) - 1)) < m->alias[column].limit ? column : m->alias[column].other;
}

/* Books. */

static inline uint32_t tick_of(const struct symbol *s)
{
	return s->subdollar ? 1 : CENT_E4;
}

static inline uint32_t key_of(uint32_t side, uint32_t price_e4)
{
	return side == BID ? price_e4 : ~price_e4;
}

/* Where the level of a key is or belongs. Most are looked for near the touch, at the end. */
static inline uint32_t find(const struct side *side, uint32_t key)
{
	uint32_t low = 0, high = side->count, middle, steps;

	for (steps = 0; steps < 8; steps++, high--)
		if (!high || side->levels[high - 1].key < key)
			return high;
	while (low < high) {
		middle = (low + high) / 2;
		if (side->levels[middle].key < key)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static inline void set_best(struct side *half, uint32_t side)
{
	half->best_e4 = half->count ? key_of(side, half->levels[half->count - 1].key) : 0;
}

/* Room for one more level. */
static int reserve(struct hft_market *m, struct side *side)
{
	uint32_t room = side->room ? side->room * 2 : 8;
	struct level *levels;

	if (side->count < side->room)
		return 0;
	levels = realloc(side->levels, room * sizeof(*levels));
	if (!levels) {
		m->failed = 1;
		return -ENOMEM;
	}
	side->levels = levels;
	side->room = room;
	return 0;
}

/* To the back of its level, in room that was reserved. */
static inline void join(struct hft_market *m, uint32_t index)
{
	struct order *o = &m->orders[index], *first;
	struct side *side = &m->symbols[o->symbol].side[o->side];
	uint32_t key = key_of(o->side, o->price_e4), at = find(side, key);

	if (at < side->count && side->levels[at].key == key) {
		first = &m->orders[side->levels[at].first];
		o->first = 0;
		o->next = side->levels[at].first;
		o->previous = first->previous;
		m->orders[first->previous].next = index;
		first->previous = index;
	} else {
		memmove(&side->levels[at + 1], &side->levels[at], (side->count - at) * sizeof(*side->levels));
		side->levels[at] = (struct level){ key, index };
		side->count++;
		o->first = 1;
		o->next = o->previous = index;
		set_best(side, o->side);
	}
	o->birth = m->births;
}

/* The same for an order of the flow, which deletes prefer for a while. */
static inline void join_fresh(struct hft_market *m, uint32_t index)
{
	join(m, index);
	m->recent[m->births++ & ((1u << RECENT_BITS) - 1)] = index;
}

static inline void leave(struct hft_market *m, uint32_t index)
{
	struct order *o = &m->orders[index];
	struct side *side = &m->symbols[o->symbol].side[o->side];
	uint32_t at;

	if (o->next == index) {
		at = find(side, key_of(o->side, o->price_e4));
		side->count--;
		memmove(&side->levels[at], &side->levels[at + 1], (side->count - at) * sizeof(*side->levels));
		set_best(side, o->side);
		return;
	}
	m->orders[o->previous].next = o->next;
	m->orders[o->next].previous = o->previous;
	if (o->first) {
		side->levels[find(side, key_of(o->side, o->price_e4))].first = o->next;
		m->orders[o->next].first = 1;
	}
}

static inline uint32_t allocate(struct hft_market *m)
{
	uint32_t index = m->free;

	if (index == NONE)
		index = m->used++;
	else
		m->free = m->orders[index].next;
	m->live++;
	return index;
}

static inline void kill(struct hft_market *m, uint32_t index)
{
	leave(m, index);
	m->orders[index].shares = 0;
	m->orders[index].next = m->free;
	m->free = index;
	m->live--;
}

/* The side whose best price is on the wrong side of the fair price; 2 = none. They cannot both be, that were crossed. */
static inline uint32_t stale_side(const struct symbol *s)
{
	if (s->side[BID].best_e4 > s->fair_e4)
		return BID;
	return s->side[ASK].count && s->side[ASK].best_e4 <= s->fair_e4 ? ASK : 2;
}

/* The fair price walks by ticks, and waits for the books to follow. */
static void walk(struct hft_market *m, uint32_t symbol)
{
	struct symbol *s = &m->symbols[symbol];
	uint32_t open_e4 = m->listings[symbol].open_e4, tick = tick_of(s), fair_e4;

	if (stale_side(s) != 2)
		return;
	fair_e4 = draw(m) & 1 ? s->fair_e4 + tick : s->fair_e4 - tick;
	if (fair_e4 >= open_e4 / 2 && fair_e4 <= (s->subdollar ? 9700 : STUB_ASK_E4 / 2) && fair_e4 / 2 <= open_e4 &&
	    fair_e4 >= (s->subdollar ? 500 : DOLLAR_E4 + 5 * CENT_E4))
		s->fair_e4 = fair_e4;
}

static inline int inside_e4(uint32_t price_e4, uint32_t other_e4, uint32_t side)
{
	return !other_e4 || (side == BID ? price_e4 < other_e4 : price_e4 > other_e4);
}

/*
 * A price for a new order, which does not cross, and how far behind the touch it is. `depth` is drawn by the caller.
 * 0 if the other side leaves no room.
 */
static inline uint32_t choose_price(struct hft_market *m, const struct symbol *s, uint32_t side, uint32_t depth,
				    uint32_t *stands)
{
	int64_t tick = tick_of(s), away = side == BID ? -tick : tick, touch, price, gap, room;
	int64_t natural = side == BID ? (int64_t)s->fair_e4 - s->half * tick : s->fair_e4 + (s->half + 1) * tick;
	uint32_t best_e4 = s->side[side].best_e4, other_e4 = s->side[side ^ 1].best_e4;

	touch = best_e4;
	gap = side == BID ? natural - touch : touch - natural; /* above 0: the touch is worse than it should be */
	if (!best_e4 || gap > 64 * tick) {
		/* Nobody quotes sensibly here. */
		touch = natural;
		depth = depth > SHALLOW ? below(m, SHALLOW) : depth;
	} else if (gap > 0 && draw(m) & 1) {
		depth = 0;
		touch = draw(m) & 1 ? natural : touch - away * (1 + below(m, (uint32_t)(gap / tick)));
	} else if (!depth &&
		   inside_e4((uint32_t)(touch - away), s->fair_e4 + (side == BID ? (uint32_t)tick : 0), side) &&
		   one_in(m, 12)) {
		touch -= away;
	}
	if (!inside_e4((uint32_t)touch, other_e4, side))
		touch = other_e4 + away;
	if (side == BID) {
		room = touch / tick - 1; /* ticks below it that are prices */
		if (room < 0)
			return 0;
		if (depth > room)
			depth = below(m, (uint32_t)room + 1);
	}
	price = touch + away * depth;
	if (s->subdollar && price >= DOLLAR_E4) {
		price = (side == BID ? price : price + CENT_E4 - 1) / CENT_E4 * CENT_E4;
		if (!inside_e4((uint32_t)price, other_e4, side))
			return 0;
	}
	if (price > STUB_ASK_E4)
		return 0;
	*stands = depth;
	return (uint32_t)price;
}

/* Messages about a new order. */

static uint32_t write_add(struct hft_market *m, uint8_t *at, uint32_t type, uint32_t index)
{
	static const char MPIDS[][5] = { "GSCO", "MSCO", "NITE", "CDRG", "JPMS", "ETMM", "UBSS", "VIRT" };
	const struct order *o = &m->orders[index];
	const struct symbol *s = &m->symbols[o->symbol];
	uint8_t *start = at;

	at = begin(m, at, type == 'F' ? 'F' : 'A', type == 'F' ? 40 : 36, s->locate, 0);
	at = put64(at, o->ref);
	*at++ = o->side == BID ? 'B' : 'S';
	at = put32(at, o->shares);
	at = put_name(at, s);
	at = put32(at, o->price_e4);
	if (type == 'F')
		at = put_text(at, MPIDS[o->ref >> 1 & 7], 4);
	return (uint32_t)(at - start);
}

static uint32_t enter(struct hft_market *m, uint8_t *at, uint32_t type, uint32_t symbol, uint32_t side,
		      uint32_t price_e4, uint32_t depth)
{
	uint32_t index;

	if (reserve(m, &m->symbols[symbol].side[side]))
		return 0;
	index = allocate(m);
	m->orders[index] = (struct order){
		.ref = add_ref(m),
		.price_e4 = price_e4,
		.shares = draw_size(m),
		.symbol = (uint16_t)symbol,
		.depth = depth > DEPTH_MAX ? DEPTH_MAX : (uint16_t)depth,
		.side = (uint16_t)side,
	};
	if (type == SEEDED)
		join(m, index);
	else
		join_fresh(m, index);
	return write_add(m, at, type, index);
}

static uint32_t add(struct hft_market *m, uint8_t *at, uint32_t type, uint32_t symbol)
{
	struct symbol *s = &m->symbols[symbol];
	uint64_t r = draw(m);
	uint32_t side = r & 1, price_e4, depth;

	if (!(r >> 1 & 127))
		walk(m, symbol);
	if (s->stub && !(r >> 8 & 511)) {
		price_e4 = side == BID ? STUB_BID_E4 : STUB_ASK_E4;
		if (inside_e4(price_e4, s->side[side ^ 1].best_e4, side))
			return enter(m, at, type, symbol, side, price_e4, DEPTH_MAX);
	}
	price_e4 = choose_price(m, s, side, draw_depth(m), &depth);
	if (!price_e4) {
		side ^= 1;
		price_e4 = choose_price(m, s, side, draw_depth(m), &depth);
	}
	return price_e4 ? enter(m, at, type, symbol, side, price_e4, depth) : 0;
}

/* One that stands when the market opens. Old books are deep: few such orders are as near the touch as fresh ones. */
static uint32_t seed(struct hft_market *m, uint8_t *at, uint32_t symbol)
{
	const struct symbol *s = &m->symbols[symbol];
	const struct listing *l = &m->listings[symbol];
	uint64_t r = draw(m);
	uint32_t side = r & 1, depth, touch, price_e4;
	uint32_t tick = tick_of(s);

	depth = (r >> 1 & 1023) < l->seed_near ? draw_depth(m) : 1 + below(m, l->seed_depth);
	touch = side == BID ? s->fair_e4 - s->half * tick : s->fair_e4 + (s->half + 1u) * tick;
	if (s->stub && !s->side[side].count)
		return enter(m, at, SEEDED, symbol, side, side == BID ? STUB_BID_E4 : STUB_ASK_E4, DEPTH_MAX);
	if (side == BID && depth >= touch / tick)
		depth = below(m, touch / tick);
	price_e4 = side == BID ? touch - depth * tick : touch + depth * tick;
	if (s->subdollar && price_e4 >= DOLLAR_E4) /* an offer: no bid is above the fair price */
		price_e4 = (price_e4 + CENT_E4 - 1) / CENT_E4 * CENT_E4;
	if (!inside_e4(price_e4, s->side[side ^ 1].best_e4, side))
		return add(m, at, SEEDED, symbol);
	return enter(m, at, SEEDED, symbol, side, price_e4, depth);
}

/* Messages about a resting order. */

/* Draws another order of the same kind: one of the recent, or any one. It may be dead, or there may be none. */
static inline void redraw(struct hft_market *m, struct plan *plan)
{
	uint64_t r = draw(m);
	uint32_t bits, age;

	if (plan->any_age) {
		plan->target = (uint32_t)((r >> 32) * m->used >> 32);
		return;
	}
	/* The greater of two that are uniform in the logarithm of age: half of all deleted orders live some ten ms. */
	bits = (uint32_t)(r & 0xffff) > (uint32_t)(r >> 16 & 0xffff) ? r & 0xffff : r >> 16 & 0xffff;
	bits = bits * RECENT_BITS >> 16;
	age = (1u << bits) + ((uint32_t)(r >> 32) & ((1u << bits) - 1));
	plan->birth = m->births - age;
	plan->target = m->recent[plan->birth & ((1u << RECENT_BITS) - 1)];
}

static inline void draw_order(struct hft_market *m, struct plan *plan)
{
	plan->any_age = !(draw(m) & (OLD_SHARE - 1));
	redraw(m, plan);
}

/* The live order that a plan is about, or another one; there is one. */
static inline uint32_t target_of(struct hft_market *m, struct plan *plan)
{
	uint32_t tries, found = NONE;
	const struct order *o;

	for (tries = 0; tries < 8; tries++) {
		o = &m->orders[plan->target];
		if (o->shares) {
			found = plan->target;
			/* Old orders far from the touch are left alone more often than not. */
			if (plan->any_age ? o->depth <= SHALLOW || below(m, o->depth) < SHALLOW
					  : o->birth == plan->birth)
				return found;
		}
		if (tries == 3)
			plan->any_age ^= 1;
		redraw(m, plan);
	}
	if (found == NONE)
		for (found = below(m, m->used); !m->orders[found].shares;)
			found = found + 1 < m->used ? found + 1 : 0;
	return found;
}

static uint32_t delete(struct hft_market *m, uint8_t *at, struct plan *plan)
{
	uint32_t index = target_of(m, plan), side;
	const struct symbol *s = &m->symbols[m->orders[index].symbol];
	uint8_t *start = at;

	side = stale_side(s);
	if (side != 2 && draw(m) & 1)
		index = s->side[side].levels[s->side[side].count - 1].first;
	at = begin(m, at, 'D', 19, s->locate, 0);
	at = put64(at, m->orders[index].ref);
	kill(m, index);
	return (uint32_t)(at - start);
}

static uint32_t replace(struct hft_market *m, uint8_t *at, struct plan *plan)
{
	uint32_t index = target_of(m, plan), price_e4, depth = m->orders[index].depth, shares;
	struct order *o = &m->orders[index];
	struct symbol *s = &m->symbols[o->symbol];
	uint8_t *start = at;
	uint64_t r = draw(m), ref;

	price_e4 = r & 7 ? choose_price(m, s, o->side, draw_depth(m), &depth) : 0;
	if (!price_e4)
		price_e4 = o->price_e4;
	shares = r & 8 ? o->shares : draw_size(m);
	ref = fresh_ref(m);
	at = begin(m, at, 'U', 35, s->locate, 0);
	at = put64(at, o->ref);
	at = put64(at, ref);
	at = put32(at, shares);
	at = put32(at, price_e4);
	if (reserve(m, &s->side[o->side]))
		return 0;
	leave(m, index);
	o->ref = ref;
	o->price_e4 = price_e4;
	o->shares = shares;
	o->depth = depth > DEPTH_MAX ? DEPTH_MAX : (uint16_t)depth;
	join_fresh(m, index);
	return (uint32_t)(at - start);
}

static uint32_t cancel(struct hft_market *m, uint8_t *at, struct plan *plan)
{
	uint32_t index, tries, shares;
	struct order *o;
	uint8_t *start = at;

	for (tries = 0; tries < 4; tries++) {
		index = target_of(m, plan);
		o = &m->orders[index];
		if (o->shares > 1) {
			shares = 1 + below(m, o->shares - 1);
			at = begin(m, at, 'X', 23, m->symbols[o->symbol].locate, 0);
			at = put64(at, o->ref);
			at = put32(at, shares);
			o->shares -= shares;
			return (uint32_t)(at - start);
		}
		draw_order(m, plan);
	}
	return delete (m, at, plan); /* nothing but single shares */
}

/* The next order of a side to trade, nearly always the first of its best level. */
static inline uint32_t next_to_trade(struct hft_market *m, const struct side *side)
{
	uint32_t index = side->levels[side->count - 1].first;

	return one_in(m, 500) ? m->orders[index].next : index;
}

static inline uint32_t traded_shares(struct hft_market *m, const struct order *o)
{
	uint64_t r = draw(m);

	return o->shares > 1 && r & 1 ? 1 + (uint32_t)(r >> 32) % (o->shares - 1) : o->shares;
}

static uint32_t write_execution(struct hft_market *m, uint8_t *at, uint32_t index, uint32_t type)
{
	struct order *o = &m->orders[index];
	const struct symbol *s = &m->symbols[o->symbol];
	uint32_t shares = traded_shares(m, o), price_e4, tick = tick_of(s), bid = o->side == BID;
	uint8_t *start = at;

	at = begin(m, at, (uint8_t)type, type == 'C' ? 36 : 31, s->locate, 2);
	at = put64(at, o->ref);
	at = put32(at, shares);
	at = put64(at, next_match(m, s));
	if (type == 'C') {
		/* Half a spread better for who came, or worse where there is no room between the sides. */
		price_e4 = bid ? o->price_e4 + tick : o->price_e4 - tick;
		if (!price_e4 || !inside_e4(price_e4, s->side[!o->side].best_e4, o->side))
			price_e4 = !bid			? o->price_e4 + tick
				   : o->price_e4 > tick ? o->price_e4 - tick
							: o->price_e4 + 1;
		*at++ = one_in(m, 10) ? 'N' : 'Y';
		at = put32(at, price_e4);
	}
	if (type == 'E') {
		/* Who took all of it may want more. */
		m->sweep_symbol = o->symbol;
		m->sweep_side = o->side;
		m->sweep = shares == o->shares && !(draw(m) & 3);
	}
	o->shares -= shares;
	if (!o->shares)
		kill(m, index);
	return (uint32_t)(at - start);
}

static uint32_t execute(struct hft_market *m, uint8_t *at, struct plan *plan)
{
	const struct symbol *s;
	uint32_t index, tries, side;

	for (tries = 0; tries < 4; tries++) {
		index = target_of(m, plan);
		s = &m->symbols[m->orders[index].symbol];
		if (s->state == 'T') {
			side = stale_side(s);
			side = side == 2 ? m->orders[index].side : side;
			/* A side of nothing but a stub quote does not trade. */
			if (s->side[side].best_e4 != STUB_BID_E4 && s->side[side].best_e4 != STUB_ASK_E4)
				return write_execution(m, at, next_to_trade(m, &s->side[side]), plan->type);
		}
		draw_order(m, plan);
	}
	return delete (m, at, plan);
}

/* Messages that leave the books alone. */

static uint32_t trade(struct hft_market *m, uint8_t *at, uint32_t symbol)
{
	const struct symbol *s = &m->symbols[symbol];
	uint32_t bid_e4 = s->side[BID].best_e4, ask_e4 = s->side[ASK].best_e4, price_e4 = s->fair_e4;
	uint8_t *start = at;

	if (bid_e4 && ask_e4 && (price_e4 < bid_e4 || price_e4 > ask_e4))
		price_e4 = draw(m) & 1 ? bid_e4 : ask_e4;
	at = begin(m, at, 'P', 44, s->locate, 2);
	at = put64(at, 0);
	*at++ = 'B';
	at = put32(at, draw_size(m));
	at = put_name(at, s);
	at = put32(at, price_e4);
	at = put64(at, next_match(m, s));
	return (uint32_t)(at - start);
}

static uint32_t cross(struct hft_market *m, uint8_t *at, uint32_t symbol, uint8_t kind)
{
	const struct symbol *s = &m->symbols[symbol];
	uint32_t shares = one_in(m, 5) ? 0 : draw_size(m) * (1 + below(m, 200));
	uint8_t *start = at;

	at = begin(m, at, 'Q', 40, s->locate, 0);
	at = put64(at, shares);
	at = put_name(at, s);
	at = put32(at, shares ? s->fair_e4 : 0);
	at = put64(at, next_match(m, s));
	*at++ = kind;
	return (uint32_t)(at - start);
}

static uint32_t imbalance(struct hft_market *m, uint8_t *at, uint32_t symbol)
{
	const struct symbol *s = &m->symbols[symbol];
	uint64_t r = draw(m);
	uint32_t tick = tick_of(s), shares = draw_size(m) * (1 + below(m, 50));
	uint8_t *start = at, direction = (uint8_t)"BSNO"[r & 3];

	at = begin(m, at, 'I', 50, s->locate, 0);
	at = put64(at, draw_size(m) * (1 + below(m, 200)));
	at = put64(at, direction == 'B' || direction == 'S' ? shares : 0);
	*at++ = direction;
	at = put_name(at, s);
	at = put32(at, s->fair_e4 + (uint32_t)(r >> 2 & 7) * tick);
	at = put32(at, s->fair_e4 + (uint32_t)(r >> 5 & 3) * tick);
	at = put32(at, s->fair_e4);
	*at++ = (uint8_t)"OCH"[(r >> 8) % 3];
	*at++ = (uint8_t)"L123456789ABC "[(r >> 16) % 14];
	return (uint32_t)(at - start);
}

static uint32_t participant(struct hft_market *m, uint8_t *at, uint32_t symbol)
{
	uint64_t r = draw(m);
	const struct symbol *s = &m->symbols[symbol];
	char mpid[4] = { (char)('A' + r % 26), (char)('A' + (r >> 8) % 26), (char)('A' + (r >> 16) % 26),
			 (char)('A' + (r >> 24) % 26) };
	uint8_t *start = at;

	at = begin(m, at, 'L', 26, s->locate, 0);
	at = put_text(at, mpid, 4);
	at = put_name(at, s);
	*at++ = r >> 32 & 1 ? 'Y' : 'N';
	*at++ = (uint8_t)"NNNNPSRL"[r >> 40 & 7];
	*at++ = (uint8_t)"AAAAEWSD"[r >> 48 & 7];
	return (uint32_t)(at - start);
}

static uint32_t short_sales(struct hft_market *m, uint8_t *at, uint32_t symbol, uint8_t action)
{
	const struct symbol *s = &m->symbols[symbol];
	uint8_t *start = at;

	at = begin(m, at, 'Y', 20, s->locate, 0);
	at = put_name(at, s);
	*at++ = action;
	return (uint32_t)(at - start);
}

static uint32_t trading_action(struct hft_market *m, uint8_t *at, uint32_t symbol, uint8_t state, const char *reason)
{
	struct symbol *s = &m->symbols[symbol];
	uint8_t *start = at;

	s->state = state;
	at = begin(m, at, 'H', 25, s->locate, 0);
	at = put_name(at, s);
	*at++ = state;
	*at++ = ' ';
	at = put_text(at, reason, 4);
	return (uint32_t)(at - start);
}

/* A halt or a pause begins; one that is known as over is followed by the symbol's reopening cross. */
static uint32_t halt(struct hft_market *m, uint8_t *at, uint32_t symbol)
{
	int paused = draw(m) & 1;

	m->halted[m->halts++] = symbol;
	if (paused)
		m->collar_symbol = symbol;
	return trading_action(m, at, symbol, paused ? 'P' : 'H', paused ? "LUDP" : "T1  ");
}

static uint32_t reopen(struct hft_market *m, uint8_t *at, uint32_t which)
{
	uint32_t symbol = m->halted[which];

	m->halts--;
	memmove(&m->halted[which], &m->halted[which + 1], (m->halts - which) * sizeof(*m->halted));
	m->cross_symbol = symbol;
	return trading_action(m, at, symbol, 'T', "    ");
}

static uint32_t change_state(struct hft_market *m, uint8_t *at, uint32_t symbol)
{
	if (m->halts && (m->halts == HALTS || m->symbols[symbol].state != 'T' || draw(m) & 1))
		return reopen(m, at, 0);
	return halt(m, at, symbol);
}

static uint32_t collar(struct hft_market *m, uint8_t *at, uint32_t symbol)
{
	const struct symbol *s = &m->symbols[symbol];
	uint32_t tick = tick_of(s), width = s->fair_e4 / 20 / tick * tick + tick;
	uint8_t *start = at;

	at = begin(m, at, 'J', 35, s->locate, 0);
	at = put_name(at, s);
	at = put32(at, s->fair_e4);
	at = put32(at, s->fair_e4 + width);
	at = put32(at, s->fair_e4 - (width < s->fair_e4 ? width : 0));
	at = put32(at, below(m, 3));
	return (uint32_t)(at - start);
}

/* On other markets than this one: nothing changes here. */
static uint32_t operational_halt(struct hft_market *m, uint8_t *at, uint32_t symbol)
{
	int over = m->operational_symbol != NONE;
	const struct symbol *s = &m->symbols[over ? m->operational_symbol : symbol];
	uint8_t *start = at;

	m->operational_symbol = over ? NONE : symbol;
	at = begin(m, at, 'h', 21, s->locate, 0);
	at = put_name(at, s);
	*at++ = s->locate & 1 ? 'B' : 'X';
	*at++ = over ? 'T' : 'H';
	return (uint32_t)(at - start);
}

static uint32_t broken(struct hft_market *m, uint8_t *at)
{
	struct match *match = &m->matches[draw(m) % MATCHES];
	uint8_t *start = at;

	if (!match->number)
		return 0;
	at = begin(m, at, 'B', 19, match->locate, 0);
	at = put64(at, match->number);
	match->number = 0;
	return (uint32_t)(at - start);
}

static uint32_t retail_interest(struct hft_market *m, uint8_t *at, uint32_t symbol)
{
	const struct symbol *s = &m->symbols[symbol];
	uint8_t *start = at;

	at = begin(m, at, 'N', 20, s->locate, 0);
	at = put_name(at, s);
	*at++ = (uint8_t)"BSAN"[draw(m) & 3];
	return (uint32_t)(at - start);
}

static uint32_t quoting_period(struct hft_market *m, uint8_t *at, uint32_t symbol)
{
	const struct symbol *s = &m->symbols[symbol];
	uint8_t *start = at;

	at = begin(m, at, 'K', 28, s->locate, 0);
	at = put_name(at, s);
	at = put32(at, (uint32_t)(m->now_ns / SECOND_NS) + 600);
	*at++ = 'A';
	at = put32(at, s->fair_e4);
	return (uint32_t)(at - start);
}

static uint32_t direct_listing(struct hft_market *m, uint8_t *at, uint32_t symbol)
{
	const struct symbol *s = &m->symbols[symbol];
	uint8_t *start = at;

	at = begin(m, at, 'O', 48, s->locate, 0);
	at = put_name(at, s);
	*at++ = 'Y';
	at = put32(at, s->fair_e4 / 5 * 4);
	at = put32(at, s->fair_e4 / 5 * 9);
	at = put32(at, s->fair_e4);
	at = put64(at, m->now_ns);
	at = put32(at, s->fair_e4 / 10 * 9);
	at = put32(at, s->fair_e4 / 10 * 11);
	return (uint32_t)(at - start);
}

static uint32_t breaker(struct hft_market *m, uint8_t *at)
{
	uint8_t *start = at;

	at = begin(m, at, 'W', 12, 0, 0);
	*at++ = (uint8_t)('1' + below(m, 3));
	return (uint32_t)(at - start);
}

/* The flow. */

static inline int is_about_order(uint32_t type)
{
	return type == 'D' || type == 'U' || type == 'E' || type == 'X' || type == 'C';
}

static inline void make_plan(struct hft_market *m, struct plan *plan)
{
	const struct kind *kind = m->kinds;
	uint32_t r = draw32(m);

	while (r > kind->limit)
		kind++;
	plan->type = kind->type;
	if (is_about_order(plan->type)) {
		draw_order(m, plan);
		__builtin_prefetch(&m->orders[plan->target], 1);
	} else {
		plan->target = draw_symbol(m);
		__builtin_prefetch(&m->symbols[plan->target], 1);
	}
}

/* By now a plan's target is in the cache; fetch what it points to. */
static inline void follow_plan(const struct hft_market *m, const struct plan *plan)
{
	const struct symbol *s;
	const struct order *o;

	if (!is_about_order(plan->type)) {
		s = &m->symbols[plan->target];
		__builtin_prefetch(s->side[BID].levels + s->side[BID].count, 1);
		__builtin_prefetch(s->side[ASK].levels + s->side[ASK].count, 1);
	} else {
		o = &m->orders[plan->target];
		__builtin_prefetch(&m->symbols[o->symbol], 1);
		__builtin_prefetch(&m->orders[o->previous], 1);
		if (o->shares) /* else it may be the end of the list of free ones */
			__builtin_prefetch(&m->orders[o->next], 1);
	}
}

static inline struct plan next_plan(struct hft_market *m)
{
	struct plan *slot = &m->plans[m->plan_at & (PLANS - 1)], plan = *slot;

	make_plan(m, slot);
	m->plan_at++;
	follow_plan(m, &m->plans[(m->plan_at + PLANS / 2) & (PLANS - 1)]);
	return plan;
}

/* Near the wanted number of live orders as many come as go; the farther from it, the more of the others are turned. */
static inline uint32_t steer(struct hft_market *m, uint32_t type)
{
	int64_t wanted = m->config.live_orders, missing = wanted - m->live, reach = wanted / 16 + 64;

	if (m->live == HFT_MARKET_ORDERS_MAX && (type == 'A' || type == 'F'))
		return 'D';
	if (!wanted)
		return type;
	if (type == 'D' && missing > 0 && (int64_t)below(m, (uint32_t)reach) < missing)
		return 'A';
	if (type == 'A' && missing < 0 && (int64_t)below(m, (uint32_t)reach) < -missing)
		return 'D';
	return type;
}

static uint32_t write_planned(struct hft_market *m, uint8_t *at, struct plan *plan)
{
	uint32_t type = steer(m, plan->type), about_order = is_about_order(type);

	if (type == 'E' && m->sweep_debt) {
		/* The mix has its execution already. */
		m->sweep_debt--;
		return 0;
	}
	if (about_order && !m->live)
		type = 'A', about_order = 0;
	if (about_order != (uint32_t)is_about_order(plan->type)) {
		if (about_order)
			draw_order(m, plan);
		else
			plan->target = draw_symbol(m);
	}
	plan->type = type;
	switch (type) {
	case 'A':
	case 'F':
		return add(m, at, type, plan->target);
	case 'D':
		return delete (m, at, plan);
	case 'U':
		return replace(m, at, plan);
	case 'E':
	case 'C':
		return execute(m, at, plan);
	case 'X':
		return cancel(m, at, plan);
	case 'I':
		return imbalance(m, at, plan->target);
	case 'P':
		return m->symbols[plan->target].state == 'T' ? trade(m, at, plan->target) : 0;
	case 'L':
		return participant(m, at, plan->target);
	case 'Q':
		return m->symbols[plan->target].state == 'T' ? cross(m, at, plan->target, 'O') : 0;
	case 'Y':
		return short_sales(m, at, plan->target, (uint8_t)('0' + below(m, 3)));
	case 'H':
		return change_state(m, at, below(m, m->config.symbols)); /* not the active ones most */
	case 'J':
		return collar(m, at, m->halts ? m->halted[below(m, m->halts)] : plan->target);
	case 'B':
		return broken(m, at);
	case 'h':
		return operational_halt(m, at, plan->target);
	case 'N':
		return retail_interest(m, at, plan->target);
	case 'K':
		return quoting_period(m, at, plan->target);
	case 'O':
		return direct_listing(m, at, plan->target);
	default:
		return breaker(m, at);
	}
}

/* One message; its length in bytes, 0 = out of memory. */
static uint32_t step(struct hft_market *m, uint8_t *at)
{
	uint32_t length, symbol;
	struct plan plan;
	struct side *side;

	if (m->sweep) {
		/* The same instant. */
		m->sweep = 0;
		side = &m->symbols[m->sweep_symbol].side[m->sweep_side];
		if (side->count && side->best_e4 != STUB_BID_E4 && side->best_e4 != STUB_ASK_E4) {
			m->sweep_debt++;
			return write_execution(m, at, next_to_trade(m, side), 'E');
		}
	}
	advance(m);
	if (m->cross_symbol != NONE) {
		symbol = m->cross_symbol;
		m->cross_symbol = NONE;
		return cross(m, at, symbol, 'H');
	}
	if (m->collar_symbol != NONE) {
		symbol = m->collar_symbol;
		m->collar_symbol = NONE;
		return collar(m, at, symbol);
	}
	do {
		plan = next_plan(m);
		length = write_planned(m, at, &plan);
	} while (!length && !m->failed);
	return length;
}

int64_t hft_market_next(struct hft_market *m, uint8_t *buffer, uint64_t room, uint64_t max_messages, uint64_t *count)
{
	uint64_t used = 0, done = 0;

	while (done < max_messages && room - used >= HFT_MARKET_ROOM_MIN) {
		used += step(m, buffer + used);
		if (m->failed)
			return -ENOMEM;
		done++;
	}
	*count = done;
	return (int64_t)used;
}

int64_t hft_market_seed(struct hft_market *m, uint8_t *buffer, uint64_t room, uint64_t max_messages, uint64_t *count)
{
	uint64_t used = 0, done = 0;
	uint32_t length, *ahead;

	while (m->live < m->config.live_orders && done < max_messages && room - used >= HFT_MARKET_ROOM_MIN) {
		m->now_ns = m->now_ns + SEED_STEP_NS < LAST_NS ? m->now_ns + SEED_STEP_NS : LAST_NS;
		ahead = &m->ahead[m->ahead_at++ & (PLANS - 1)];
		length = seed(m, buffer + used, *ahead);
		if (m->failed)
			return -ENOMEM;
		used += length;
		*ahead = draw_symbol(m);
		__builtin_prefetch(&m->symbols[*ahead], 1);
		done += length != 0;
	}
	*count = done;
	return (int64_t)used;
}

/* Packets. */

static uint8_t *begin_packet(uint8_t *at, const uint8_t *session, uint64_t sequence)
{
	at = put_text(at + sizeof(uint32_t), (const char *)session, 10);
	return put64(at, sequence) + 2;
}

static void end_packet(uint8_t *packet, const uint8_t *end, uint32_t messages)
{
	uint32_t length = (uint32_t)(end - packet - sizeof(length));

	memcpy(packet, &length, sizeof(length));
	put16(packet + sizeof(length) + 18, (uint16_t)messages);
}

int64_t hft_market_packets(struct hft_market *m, uint8_t *buffer, uint64_t room, const uint8_t *session,
			   uint64_t *sequence, uint32_t per_packet, uint64_t max_packets, uint64_t *count)
{
	uint8_t *at = buffer, *packet, *limit;
	uint64_t packets = 0;
	uint32_t messages;

	while (packets < max_packets &&
	       room - (uint64_t)(at - buffer) >= HFT_MARKET_PAYLOAD_MAX + HFT_MARKET_ROOM_MIN) {
		packet = at;
		limit = packet + sizeof(uint32_t) + HFT_MARKET_PAYLOAD_MAX - 52;
		at = begin_packet(at, session, *sequence);
		messages = 0;
		do {
			at += step(m, at);
			if (m->failed)
				return -ENOMEM;
			messages++;
		} while (at <= limit && messages != per_packet);
		end_packet(packet, at, messages);
		*sequence += messages;
		packets++;
	}
	*count = packets;
	return at - buffer;
}

int64_t hft_market_pack(const uint8_t *framed, uint64_t length, uint64_t *used, uint8_t *buffer, uint64_t room,
			const uint8_t *session, uint64_t *sequence, uint32_t per_packet, uint64_t *count)
{
	uint64_t from = 0, packets = 0, block;
	uint8_t *at = buffer, *packet;
	uint32_t messages;

	while (from < length && room - (uint64_t)(at - buffer) >= HFT_MARKET_PAYLOAD_MAX + HFT_MARKET_ROOM_MIN) {
		packet = at;
		at = begin_packet(at, session, *sequence);
		for (messages = 0; from < length && (!per_packet || messages < per_packet); messages++) {
			block = length - from < 2 ? 0 : 2 + ((uint64_t)framed[from] << 8 | framed[from + 1]);
			if (block <= 2 || block > length - from || block > HFT_MARKET_PAYLOAD_MAX - 20)
				return -EBADMSG;
			if (block > sizeof(uint32_t) + HFT_MARKET_PAYLOAD_MAX - (uint64_t)(at - packet))
				break;
			memcpy(at, framed + from, block);
			at += block;
			from += block;
		}
		end_packet(packet, at, messages);
		*sequence += messages;
		packets++;
	}
	*used = from;
	*count = packets;
	return at - buffer;
}

/* The beginning of a day. */

enum {
	OPEN_ROOM = 3 * 14 + 37, /* S, V */
	OPEN_ROOM_SYMBOL = 41 + 27 + 22 + 28 * 2 + 27 * 2 + 37 + 42, /* R H Y L L, and H J H Q of one that halts */
	OPEN_MESSAGES_SYMBOL = 5,
};

int64_t hft_market_open_room(const struct hft_market *m)
{
	return OPEN_ROOM + HFT_MARKET_ROOM_MIN + (int64_t)OPEN_ROOM_SYMBOL * m->config.symbols;
}

static uint8_t *system_event(struct hft_market *m, uint8_t *at, uint8_t code)
{
	at = begin(m, at, 'S', 12, 0, 0);
	*at++ = code;
	return at;
}

static uint8_t *directory(struct hft_market *m, uint8_t *at, const struct symbol *s)
{
	uint64_t r = draw(m);
	int nasdaq = r & 1, fund = !(r >> 1 & 3);

	at = begin(m, at, 'R', 39, s->locate, 0);
	at = put_name(at, s);
	*at++ = (uint8_t)(nasdaq ? "QQGS" : fund ? "PPPZ" : "NNNA")[r >> 3 & 3];
	*at++ = !nasdaq ? ' ' : r >> 5 & 63 ? 'N' : 'D';
	at = put32(at, 100);
	*at++ = 'N';
	*at++ = fund ? 'Q' : (uint8_t)"CCCCCAOPUWNR"[(r >> 11) % 12];
	at = put_text(at, fund ? "E " : "Z ", 2);
	*at++ = 'P';
	*at++ = r >> 16 & 63 ? 'N' : 'Y';
	*at++ = nasdaq ? 'N' : ' ';
	*at++ = r >> 22 & 3 ? '2' : '1';
	*at++ = fund ? 'Y' : 'N';
	at = put32(at, fund && !(r >> 24 & 15) ? 2 : 0);
	*at++ = fund && !(r >> 24 & 63) ? 'Y' : 'N';
	return at;
}

int64_t hft_market_open(struct hft_market *m, uint8_t *buffer, uint64_t room)
{
	uint64_t begin_ns = m->config.start_ns - m->config.prelude_ns;
	uint64_t step_ns = m->config.prelude_ns / (OPEN_MESSAGES_SYMBOL * m->config.symbols + 16ull);
	uint32_t symbols = m->config.symbols, symbol, i;
	uint8_t *at = buffer;
	uint64_t r;

	if (m->messages)
		return -EALREADY;
	if (room < (uint64_t)hft_market_open_room(m))
		return -ENOSPC;
	m->now_ns = begin_ns;
	at = system_event(m, at, 'O');
	m->now_ns += step_ns;
	at = system_event(m, at, 'S');
	for (symbol = 0; symbol < symbols; symbol++) {
		m->now_ns += step_ns;
		at = directory(m, at, &m->symbols[m->by_locate[symbol]]);
	}
	for (i = 0; i < symbols; i++) {
		symbol = m->by_locate[i];
		m->now_ns += step_ns;
		if (m->halts < HALTS && one_in(m, 256)) {
			at += halt(m, at, symbol);
			if (m->collar_symbol != NONE)
				at += collar(m, at, symbol);
			m->collar_symbol = NONE;
		} else {
			at += trading_action(m, at, symbol, 'T', "    ");
		}
	}
	for (i = 0; i < symbols; i++) {
		m->now_ns += step_ns;
		r = below(m, 64);
		at += short_sales(m, at, m->by_locate[i], r > 1 ? '0' : (uint8_t)('1' + r));
	}
	for (i = 0; i < 2 * symbols; i++) {
		m->now_ns += step_ns;
		at += participant(m, at, m->by_locate[i / 2]);
	}
	m->now_ns += step_ns;
	at = begin(m, at, 'V', 35, 0, 0);
	at = put64(at, 249379000000); /* 7, 13 and 20 % below an index of 2681.50 */
	at = put64(at, 233290500000);
	at = put64(at, 214520000000);
	/* Half of the halts are over before the market opens. */
	for (i = m->halts / 2; i; i--) {
		at += reopen(m, at, 0);
		at += cross(m, at, m->cross_symbol, 'H');
		m->cross_symbol = NONE;
	}
	m->now_ns = m->config.start_ns;
	at = system_event(m, at, 'Q');
	return at - buffer;
}

/* Making one. */

static const struct {
	uint8_t type;
	uint32_t day; /* of 100,000,000 messages; 2019-01-30, and small shares of what that day did without */
	uint32_t opening;
} MIX[] = {
	{ 'A', 44241000, 74650000 },
	{ 'D', 42966000, 12400000 },
	{ 'U', 7390000, 4400000 },
	{ 'E', 2198000, 7300000 },
	{ 'X', 1268000, 60000 },
	{ 'I', 1000000, 0 },
	{ 'F', 469000, 1100000 },
	{ 'P', 360000, 80000 },
	{ 'L', 53000, 0 },
	{ 'C', 43000, 200000 },
	{ 'Q', 5000, 2000 },
	{ 'Y', 100, 100 },
	{ 'H', 100, 100 },
	{ 'N', 100, 100 },
	{ 'B', 31, 31 },
	{ 'J', 17, 17 },
	{ 'h', 5, 5 },
	{ 'K', 5, 5 },
	{ 'O', 5, 5 },
	{ 'W', 0, 0 },
};

enum { KINDS = sizeof(MIX) / sizeof(MIX[0]) };

void hft_market_defaults(struct hft_market_config *config, int opening)
{
	uint32_t i;

	memset(config, 0, sizeof(*config));
	config->seed = 1;
	config->start_ns = 34200ull * SECOND_NS;
	config->prelude_ns = SECOND_NS;
	config->symbols = 8714;
	config->first_locate = 1;
	config->rank_slope_milli = 810;
	config->subdollar_ppm = 30000;
	config->stub_ppm = 50000;
	config->late_ref_ppm = opening ? 263000 : 20000;
	config->rate = opening ? 68000 : 15700;
	config->shared_ns_ppm = 560000;
	for (i = 0; i < KINDS; i++)
		config->mix[MIX[i].type] = opening ? MIX[i].opening : MIX[i].day;
}

static int valid(const struct hft_market_config *config)
{
	uint64_t sum = 0;
	uint32_t i, type, known = 0;

	for (type = 0; type < HFT_MARKET_TYPES; type++)
		sum += config->mix[type];
	for (i = 0; i < KINDS; i++)
		known += config->mix[MIX[i].type];
	return config->symbols && config->symbols <= HFT_MARKET_SYMBOLS_MAX && config->named <= config->symbols &&
	       config->first_locate && config->first_locate + (uint64_t)config->symbols <= 65536 &&
	       config->live_orders <= HFT_MARKET_ORDERS_MAX / 2 && config->rank_slope_milli <= 4000 &&
	       config->subdollar_ppm <= 1000000 && config->stub_ppm <= 1000000 && config->late_ref_ppm <= 500000 &&
	       config->shared_ns_ppm <= 1000000 && config->rate && config->rate <= SECOND_NS &&
	       config->start_ns <= LAST_NS && config->prelude_ns <= config->start_ns && sum == known &&
	       sum <= UINT32_MAX && config->mix['A'] && (!config->named || config->names);
}

static void make_kinds(struct hft_market *m)
{
	uint64_t sum = 0, so_far = 0;
	uint32_t i, count = 0, weight;

	for (i = 0; i < KINDS; i++)
		sum += m->config.mix[MIX[i].type];
	for (i = 0; i < KINDS; i++) {
		weight = m->config.mix[MIX[i].type];
		so_far += weight;
		if (weight)
			m->kinds[count++] = (struct kind){ (uint32_t)(so_far * UINT32_MAX / sum), MIX[i].type };
	}
}

static void make_tables(struct hft_market *m)
{
	/* Of 1024 orders: so many of this size; the others are spread over 1..1000, small ones more often. */
	static const uint16_t SIZES[][2] = { { 252, 100 }, { 85, 10 },	{ 61, 50 },  { 41, 20 },  { 38, 200 },
					     { 36, 1 },	   { 31, 5 },	{ 31, 25 },  { 26, 500 }, { 20, 30 },
					     { 20, 300 },  { 8, 1000 }, { 3, 2000 }, { 2, 5000 } };
	/* Of 1024 orders: so many stand fewer ticks behind the touch than that. */
	static const uint16_t DEPTHS[][2] = { { 0, 1 },	   { 385, 1 },	  { 545, 2 },	  { 790, 7 },
					      { 935, 15 }, { 1014, 215 }, { 1023, 2350 }, { 1024, 8000 } };
	uint32_t at = 0, i, k, rest;
	uint64_t x;

	for (i = 0; i < sizeof(SIZES) / sizeof(SIZES[0]); i++)
		for (k = 0; k < SIZES[i][0]; k++)
			m->sizes[at++] = SIZES[i][1];
	rest = QUANTILES - at;
	for (k = 0; k < rest; k++)
		m->sizes[at++] = (uint16_t)(1 + k * k * 999 / (rest * rest));
	for (i = 1, at = 0; i < sizeof(DEPTHS) / sizeof(DEPTHS[0]); i++) {
		rest = DEPTHS[i][0] - DEPTHS[i - 1][0];
		for (k = 0; k < rest; k++) {
			/* In 1/256 tick; the nearest ones are evenly spread, the others in their logarithm. */
			x = between((uint64_t)DEPTHS[i - 1][1] << 8, (uint64_t)DEPTHS[i][1] << 8, k, rest) >> 8;
			m->depths[at++] = (uint16_t)(x - (i == 1));
		}
	}
	m->depths[QUANTILES] = DEPTHS[i - 1][1];
	for (k = 0; k < QUANTILES; k++) /* -ln(u) = -log2(u) ln 2 */
		m->gaps_q16[k] = (uint32_t)(((11ull << 32) - log2_q32(2 * k + 1)) * 45426 >> 32);
}

static void make_time(struct hft_market *m)
{
	const struct hft_market_config *config = &m->config;
	/* If a message begins a cluster with probability p, it stands alone with p^2. */
	uint64_t p_ppm = square_root((1000000 - config->shared_ns_ppm) * 1000000ull);

	p_ppm = p_ppm > 1000 ? p_ppm : 1000;
	m->cluster_limit = (uint32_t)(p_ppm * UINT32_MAX / 1000000);
	m->cluster_gap_q8 = ((uint64_t)SECOND_NS << 8) * 1000000 / p_ppm / config->rate;
	m->steady_step_ns = SECOND_NS / config->rate;
	m->steady_rest = SECOND_NS % config->rate;
	m->now_ns = config->start_ns;
	m->late_limit = (uint32_t)((uint64_t)config->late_ref_ppm * UINT32_MAX / 1000000);
	/* As many are skipped as are wanted later, by the fewer that are fresh. */
	m->skip_limit = (uint32_t)((uint64_t)config->late_ref_ppm * UINT32_MAX / (1000000 - config->late_ref_ppm));
}

/* Activity by rank, as columns of equal height that hold the shares of one or two symbols each. */
static int make_alias(struct hft_market *m)
{
	uint32_t n = m->config.symbols, i, *small, *large, smalls = 0, larges = 0, s, l;
	uint64_t *weight = calloc(n, sizeof(*weight)), sum = 0, x, side;

	small = calloc(n, sizeof(*small));
	large = calloc(n, sizeof(*large));
	if (!weight || !small || !large)
		goto out;
	for (i = 0; i < n; i++) {
		x = log2_q32(i + 1) / 1000 * m->config.rank_slope_milli;
		/* 2^-x in 2^-20; of a fraction as 2^(1 - fraction) / 2. */
		weight[i] = (uint32_t)x ? exp2_q30(-(uint32_t)x) >> 1 : 1u << 30;
		weight[i] = weight[i] >> 10 >> (x >> 32);
		weight[i] = weight[i] ? weight[i] : 1;
		sum += weight[i];
	}
	for (i = 0; i < n; i++) {
		/* How many orders a side will have; those at the touch must be few enough to be traded away. */
		side = m->config.live_orders * weight[i] / sum / 2;
		x = side / 6;
		m->listings[i].seed_depth = (uint16_t)(x < 20 ? 20 : x > SEED_DEPTH_MAX ? SEED_DEPTH_MAX : x);
		m->listings[i].seed_near = (uint16_t)(side < 267 ? 154 : 40 * 1024 / side);
	}
	for (i = 0; i < n; i++) {
		weight[i] *= n;
		m->alias[i] = (struct alias){ 1u << 30, i };
		if (weight[i] < sum)
			small[smalls++] = i;
		else
			large[larges++] = i;
	}
	while (smalls && larges) {
		s = small[--smalls];
		l = large[larges - 1];
		/* Both are below 2^34, a share has 30 bits. */
		m->alias[s] = (struct alias){ (uint32_t)((weight[s] << 30) / sum), l };
		weight[l] -= sum - weight[s];
		if (weight[l] < sum) {
			larges--;
			small[smalls++] = l;
		}
	}
out:
	free(weight);
	free(small);
	free(large);
	return weight && small && large ? 0 : -ENOMEM;
}

/* The name of one of `n` symbols: three or four letters that rise with `i`, some with a fifth or a suffix. */
static void make_name(struct hft_market *m, uint8_t *name, uint32_t i)
{
	static const char SUFFIX[][3] = { ".A", ".B", "+", "-", "=", "^" };
	uint32_t v = (uint32_t)((uint64_t)i * (26 * 26 * 26 * 26) / m->config.symbols), r = below(m, 256), k;
	const char *suffix;

	memset(name, ' ', 8);
	for (k = 0; k < 4; k++, v /= 26)
		name[3 - k] = (uint8_t)('A' + v % 26);
	if (r < 100) {
		name[3] = ' ';
	} else if (r < 112) {
		suffix = SUFFIX[r % 6];
		name[3] = (uint8_t)suffix[0];
		name[4] = suffix[1] ? (uint8_t)suffix[1] : ' ';
	} else if (r < 140) {
		name[4] = (uint8_t)"WRUPLZQY"[r & 7];
	}
	for (k = 0; k < m->config.named; k++)
		if (!memcmp(name, m->names[k], 8))
			name[5] = name[4] = 'X';
}

static uint32_t make_price(struct hft_market *m, int subdollar)
{
	uint64_t r = draw(m), price_e4;

	if (subdollar)
		return 1000 + (uint32_t)r % 8000;
	price_e4 = between(2 * DOLLAR_E4, 400 * DOLLAR_E4, (uint32_t)r & 1023, 1024);
	if (!(r >> 32 & 127))
		price_e4 *= 8;
	return (uint32_t)(price_e4 / CENT_E4 * CENT_E4);
}

static int make_symbols(struct hft_market *m)
{
	uint32_t n = m->config.symbols, i, k, rank_bits, *locate = calloc(n, sizeof(*locate)), price_e4;
	struct symbol *s;

	if (!locate)
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		k = below(m, i + 1);
		locate[i] = locate[k];
		locate[k] = i;
	}
	for (i = 0; i < n; i++) {
		s = &m->symbols[i];
		s->locate = (uint16_t)(m->config.first_locate + locate[i]);
		m->by_locate[locate[i]] = i;
		make_name(m, s->name, locate[i]);
		s->subdollar = below(m, 1000000) < m->config.subdollar_ppm;
		s->stub = below(m, 1000000) < m->config.stub_ppm;
		price_e4 = i < m->config.named ? m->prices_e4[i] : 0;
		if (i < m->config.named)
			memcpy(s->name, m->names[i], 8);
		if (price_e4) {
			s->subdollar = price_e4 < DOLLAR_E4;
			price_e4 = s->subdollar ? price_e4 : price_e4 / CENT_E4 * CENT_E4;
		}
		s->fair_e4 = price_e4 ? price_e4 : make_price(m, s->subdollar);
		rank_bits = 31 - (uint32_t)__builtin_clz(i + 1);
		s->half = (uint8_t)(rank_bits / 2 + (draw(m) & 1));
		s->state = 'T';
		m->listings[i].open_e4 = s->fair_e4;
	}
	free(locate);
	return 0;
}

static void *pages(uint64_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (at == MAP_FAILED)
		return NULL;
	madvise(at, bytes,
		MADV_HUGEPAGE); /* fewer TLB misses where the kernel has them; what is not used costs nothing */
	return at;
}

static int make(struct hft_market *m)
{
	uint32_t n = m->config.symbols, named = m->config.named, i;

	m->orders = pages((HFT_MARKET_ORDERS_MAX + 1ull) * sizeof(*m->orders));
	m->symbols = aligned_alloc(64, n * sizeof(*m->symbols));
	m->alias = calloc(n, sizeof(*m->alias));
	m->listings = calloc(n, sizeof(*m->listings));
	m->by_locate = calloc(n, sizeof(*m->by_locate));
	m->recent = calloc(1u << RECENT_BITS, sizeof(*m->recent));
	m->names = calloc(named + 1, sizeof(*m->names));
	m->prices_e4 = calloc(named + 1, sizeof(*m->prices_e4));
	if (!m->orders || !m->symbols || !m->alias || !m->listings || !m->by_locate || !m->recent || !m->names ||
	    !m->prices_e4)
		return -ENOMEM;
	memset(m->symbols, 0, n * sizeof(*m->symbols));
	if (named)
		memcpy(m->names, m->config.names, named * sizeof(*m->names));
	if (named && m->config.prices_e4)
		memcpy(m->prices_e4, m->config.prices_e4, named * sizeof(*m->prices_e4));
	m->config.names = NULL;
	m->config.prices_e4 = NULL;
	for (i = 0; i < named; i++)
		if (m->prices_e4[i] && (m->prices_e4[i] < 500 || m->prices_e4[i] > STUB_ASK_E4 / 4))
			return -EINVAL;
	m->random = m->config.seed;
	m->free = NONE;
	m->cross_symbol = m->collar_symbol = m->operational_symbol = NONE;
	m->last_ref = 1000000;
	m->last_match = 10000;
	make_kinds(m);
	make_tables(m);
	make_time(m);
	if (make_symbols(m) || make_alias(m))
		return -ENOMEM;
	for (i = 0; i < PLANS; i++) {
		make_plan(m, &m->plans[i]);
		m->ahead[i] = draw_symbol(m);
	}
	return 0;
}

struct hft_market *hft_market_create(const struct hft_market_config *config, int *error)
{
	struct hft_market *m;

	if (!valid(config)) {
		*error = -EINVAL;
		return NULL;
	}
	m = calloc(1, sizeof(*m));
	if (!m) {
		*error = -ENOMEM;
		return NULL;
	}
	m->config = *config;
	*error = make(m);
	if (*error) {
		hft_market_destroy(m);
		return NULL;
	}
	return m;
}

void hft_market_destroy(struct hft_market *m)
{
	uint32_t i;

	if (!m)
		return;
	for (i = 0; m->symbols && i < m->config.symbols; i++) {
		free(m->symbols[i].side[BID].levels);
		free(m->symbols[i].side[ASK].levels);
	}
	if (m->orders)
		munmap(m->orders, (HFT_MARKET_ORDERS_MAX + 1ull) * sizeof(*m->orders));
	free(m->symbols);
	free(m->alias);
	free(m->listings);
	free(m->by_locate);
	free(m->recent);
	free(m->names);
	free(m->prices_e4);
	free(m);
}

int hft_market_symbol(const struct hft_market *m, uint32_t rank, struct hft_market_symbol *symbol)
{
	const struct symbol *s;

	if (rank >= m->config.symbols)
		return -EINVAL;
	s = &m->symbols[rank];
	memcpy(symbol->name, s->name, sizeof(symbol->name));
	symbol->fair_e4 = s->fair_e4;
	symbol->bid_e4 = s->side[BID].best_e4;
	symbol->ask_e4 = s->side[ASK].best_e4;
	symbol->tick_e4 = tick_of(s);
	symbol->locate = s->locate;
	symbol->trading_state = s->state;
	return 0;
}

void hft_market_stats(const struct hft_market *m, struct hft_market_stats *stats)
{
	stats->messages = m->messages;
	stats->clock_ns = m->now_ns;
	stats->last_ref = m->last_ref;
	stats->last_match = m->last_match;
	stats->live = m->live;
	memcpy(stats->count, m->count, sizeof(stats->count));
}
