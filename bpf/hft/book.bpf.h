/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * BOOK: orders by reference, levels by price, best bid and offer. Rule 4.
 *
 * The small interface: book_add, book_reduce, book_delete, book_replace. Each returns 0 or the counter that names what
 * was wrong; then nothing was applied. Fields are checked by the caller (itch), references and quantities here.
 */
#ifndef HFT_BOOK_BPF_H
#define HFT_BOOK_BPF_H

/* order: value = price << 32 | quantity, aux = slot << 1 | side. level: value = shares, aux = orders. */
#define ORDER_AUX(slot, side) (((slot) << 1) | (side))

hft_inline __u64 level_key(__u32 slot, __u32 side, __u32 price_e4)
{
	return (1ULL << 63) | ((__u64)slot << 40) | ((__u64)side << 32) | price_e4;
}

/* state->version is odd while a reader must not trust what it copies. */
hft_inline void state_open(struct hft_symbol_state *state)
{
	state->version++;
	hft_store_fence(&state->version);
}

hft_inline void state_close(struct hft_symbol_state *state)
{
	hft_store_fence(&state->version);
	state->version++;
}

/* Shares displayed at a price. A function of its own for the sake of level_change's stack frame. */
hft_global __u64 level_shares(__u32 slot, __u32 side, __u32 price_e4)
{
	__s64 position = table_find(&book_levels, config.level_mask, level_key(slot, side, price_e4));
	struct hft_bucket *bucket;
	__u64 at = (__u64)position & 7;

	if (position < 0)
		return 0;
	bucket = table_bucket(&book_levels, position);
	hft_opaque(at);
	return bucket && at < HFT_BUCKET_SLOTS ? bucket->value[at] : 0;
}

/*
 * Shares and orders at one price change by (qty, orders); the best of the side follows. Sits under the longest chain of
 * calls: what it keeps live across look-ups lands in its stack frame (limits: see order_enter).
 */
hft_global int level_change(__u32 slot, __u32 side, __u32 price_e4, __s64 qty, __s32 orders)
{
	__u64 key = level_key(slot, side, price_e4);
	__s64 position = table_find(&book_levels, config.level_mask, key);
	struct hft_symbol_state *state;
	__u32 best, touched_best;
	__u64 shares = 0;

	if (position < 0) {
		if (qty <= 0)
			return -1; /* cannot happen: an order always has its level */
		if (table_insert(&book_levels, config.level_mask, key, qty, orders))
			return -1;
		if (ladder_add(slot, side, price_e4)) {
			position = table_find(&book_levels, config.level_mask, key);
			if (position >= 0)
				table_remove(&book_levels, config.level_mask, position);
			return -1;
		}
		shares = qty;
	} else {
		struct hft_bucket *bucket = table_bucket(&book_levels, position);
		__u64 at = (__u64)position & 7;

		hft_opaque(at);
		if (!bucket || at >= HFT_BUCKET_SLOTS)
			return -1;
		shares = bucket->value[at] + qty;
		bucket->value[at] = shares;
		bucket->aux[at] += orders;
		if (!shares) {
			table_remove(&book_levels, config.level_mask, position);
			ladder_remove(slot, side, price_e4);
		}
	}

	state = hft_at(symbol_state, slot);
	if (!state)
		return -1;
	best = side == HFT_BUY ? state->bid_e4 : state->ask_e4;
	touched_best = best == price_e4;
	if (shares && (!best || touched_best || ladder_key(side, price_e4) < ladder_key(side, best))) {
		best = price_e4;
	} else if (!shares && touched_best) {
		best = ladder_best(slot, side);
		shares = best ? level_shares(slot, side, best) : 0;
	} else {
		return 0;
	}
	if (side == HFT_BUY) {
		state->bid_e4 = best;
		state->bid_qty = shares;
	} else {
		state->ask_e4 = best;
		state->ask_qty = shares;
	}
	return 0;
}

/* a live order, copied out of its table */
struct book_order {
	__s64 position;
	__u32 price_e4;
	__u32 qty;
	__u32 aux;
	__u32 pad0;
};

hft_inline bool order_find(__u64 ref, struct book_order *order)
{
	__s64 position = table_find(&book_orders, config.order_mask, ref);
	struct hft_bucket *bucket;
	__u64 at, value;

	if (position < 0)
		return false;
	bucket = table_bucket(&book_orders, position);
	at = (__u64)position & 7;
	hft_opaque(at);
	if (!bucket || at >= HFT_BUCKET_SLOTS)
		return false;
	value = bucket->value[at];
	order->position = position;
	order->price_e4 = value >> 32;
	order->qty = (__u32)value;
	order->aux = bucket->aux[at];
	return true;
}

/*
 * book_add, inlined also into book_replace: 6.1 allows 512 bytes of stack in all and rounds each frame up to 32 (later
 * kernels to 16), and xdp_hft, feed_block, itch_message, book_replace, book_add, level_change, ladder_add need 608.
 */
hft_inline __u32 order_enter(__u32 slot, __u32 side, __u64 ref, __u32 price_e4, __u32 qty)
{
	struct hft_symbol_state *state = hft_at(symbol_state, slot);
	__s64 position;

	if (!state)
		return HFT_C_BOOK_FULL;
	if (table_find(&book_orders, config.order_mask, ref) >= 0)
		return HFT_C_BOOK_DUPLICATE_REF;
	if (table_insert(&book_orders, config.order_mask, ref, ((__u64)price_e4 << 32) | qty, ORDER_AUX(slot, side)))
		return HFT_C_BOOK_FULL;
	if (level_change(slot, side, price_e4, qty, 1)) {
		position = table_find(&book_orders, config.order_mask, ref);
		if (position >= 0)
			table_remove(&book_orders, config.order_mask, position);
		return HFT_C_BOOK_FULL;
	}
	state->book_orders++;
	return 0;
}

hft_global __u32 book_add(__u32 slot, __u32 side, __u64 ref, __u32 price_e4, __u32 qty)
{
	return order_enter(slot, side, ref, price_e4, qty);
}

/* E, C, X: qty shares leave; the order's own price counts, whatever the execution price. */
hft_global __u32 book_reduce(__u32 slot, __u64 ref, __u32 qty)
{
	struct hft_symbol_state *state = hft_at(symbol_state, slot);
	struct book_order order = {};

	if (!state || !order_find(ref, &order))
		return HFT_C_BOOK_UNKNOWN_REF;
	if (order.aux >> 1 != slot || qty == 0)
		return HFT_C_ITCH_BAD_FIELD;
	if (qty > order.qty)
		return HFT_C_BOOK_OVER_REDUCE;
	if (qty == order.qty) {
		table_remove(&book_orders, config.order_mask, order.position);
		state->book_orders--;
		level_change(slot, order.aux & 1, order.price_e4, -(__s64)qty, -1);
	} else {
		struct hft_bucket *bucket = table_bucket(&book_orders, order.position);
		__u64 at = (__u64)order.position & 7;

		hft_opaque(at);
		if (bucket && at < HFT_BUCKET_SLOTS)
			bucket->value[at] -= qty;
		level_change(slot, order.aux & 1, order.price_e4, -(__s64)qty, 0);
	}
	return 0;
}

hft_global __u32 book_delete(__u32 slot, __u64 ref)
{
	struct hft_symbol_state *state = hft_at(symbol_state, slot);
	struct book_order order = {};

	if (!state || !order_find(ref, &order))
		return HFT_C_BOOK_UNKNOWN_REF;
	if (order.aux >> 1 != slot)
		return HFT_C_ITCH_BAD_FIELD;
	table_remove(&book_orders, config.order_mask, order.position);
	state->book_orders--;
	level_change(slot, order.aux & 1, order.price_e4, -(__s64)order.qty, -1);
	return 0;
}

/* Checks its fields itself: that the original is unknown counts before them. */
hft_global __u32 book_replace(__u32 slot, __u64 ref, __u64 new_ref, __u32 price_e4, __u32 qty)
{
	struct hft_symbol_state *state = hft_at(symbol_state, slot);
	struct book_order order = {};

	if (!state || !order_find(ref, &order))
		return HFT_C_BOOK_UNKNOWN_REF;
	if (order.aux >> 1 != slot || qty == 0 || price_e4 == 0 || price_e4 > HFT_ITCH_MAX_PRICE_E4)
		return HFT_C_ITCH_BAD_FIELD;
	if (table_find(&book_orders, config.order_mask, new_ref) >= 0)
		return HFT_C_BOOK_DUPLICATE_REF;
	table_remove(&book_orders, config.order_mask, order.position);
	state->book_orders--;
	level_change(slot, order.aux & 1, order.price_e4, -(__s64)order.qty, -1);
	return order_enter(slot, order.aux & 1, new_ref, price_e4, qty);
}

#endif
