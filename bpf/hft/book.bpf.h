/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * BOOK: orders by reference, on top of levels. Rule 4.
 *
 * An order is found in one bucket of four nearly always, and there in the way that the lowest bits of its reference name:
 * neighbouring references share cache lines, as they share time. What finds no way there goes to
 * the spill, whose bounds are table.bpf.h's.
 *
 * Each function takes one message of a bound symbol and returns 0, or the counter that names what was wrong; then the symbol
 * is to be quarantined. Cost: three cache lines (order, symbol, side) when the level is near the touch, one more below.
 */
#ifndef HFT_BOOK_BPF_H
#define HFT_BOOK_BPF_H

/* the feed whose packet or command is inside */
static __u32 packet_feed HFT_STATE;

/* book->version is odd while a reader must not trust what it copies. */
hft_inline void book_open(struct hft_book *book)
{
	book->version++;
	hft_store_fence(&book->version);
}

hft_inline void book_close(struct hft_book *book)
{
	hft_store_fence(&book->version);
	book->version++;
}

/* Bid and offer both there, and bid >= offer: no offer, 0, wraps to more than any bid. */
hft_inline bool book_is_crossed(const struct hft_book *book)
{
	return book->best_e4[HFT_SELL] - 1 < book->best_e4[HFT_BUY];
}

/* Orders */

/*
 * Orders whose bucket is full go to the spill, a hash table of their own. Not to the next buckets: references come in runs, so those are
 * full too, of the same minute's orders.
 */
hft_inline __u32 spill_home(__u64 key)
{
	return hft_hash(key) & config.spill_mask;
}

hft_global __s64 spill_find(__u64 key)
{
	return table_find(order_spill, spill_home(key), config.spill_mask, key, HFT_ORDER_KEY_BITS);
}

hft_global int spill_insert(__u64 entry, __u64 value)
{
	__u64 key = entry & ((1ULL << HFT_ORDER_KEY_BITS) - 1);

	return table_insert(order_spill, spill_home(key), config.spill_mask, entry, value);
}

hft_inline struct hft_bucket *order_bucket(__u64 key)
{
	return hft_element(book_orders, key / HFT_BUCKET_SLOTS, config.order_mask + 1);
}

hft_global int order_unspill(__u64 key, __s64 position)
{
	table_remove(order_spill, spill_home(key), config.spill_mask, position);
	bucket_unspilled(order_bucket(key));
	return 0;
}

/* Is there no order of this key? One line tells, unless keys of this home live elsewhere. */
hft_inline bool order_absent(const struct hft_bucket *bucket, __u64 key)
{
	for (__u32 way = 0; way < HFT_BUCKET_SLOTS; way++)
		if (table_matches(bucket, way, key, HFT_ORDER_KEY_BITS))
			return false;
	return !(bucket->key[0] & HFT_SPILL_MASK) || spill_find(key) < 0;
}

/* The way of a bucket that names this key, or with key 0 a free one; HFT_BUCKET_SLOTS if there is none. */
hft_inline __u64 order_way(const struct hft_bucket *bucket, __u64 key)
{
	__u64 way = HFT_BUCKET_SLOTS;

	for (__u32 i = 0; i < HFT_BUCKET_SLOTS; i++)
		if (table_matches(bucket, i, key, HFT_ORDER_KEY_BITS))
			way = i;
	hft_opaque(way);
	return way;
}

hft_inline int order_insert(struct hft_bucket *bucket, __u64 key, __u32 slot, __u64 value)
{
	__u64 way = hft_masked(key, HFT_BUCKET_SLOTS), entry = key | (__u64)slot << HFT_ORDER_KEY_BITS;

	if (bucket->value[way])
		way = order_way(bucket, 0);
	if (way >= HFT_BUCKET_SLOTS) {
		bucket_spilled(bucket);
		return spill_insert(entry, value);
	}
	bucket->key[way] = (bucket->key[way] & HFT_SPILL_MASK) | entry;
	bucket->value[way] = value;
	return 0;
}

#define ITCH_TIMESTAMP 5
#define ITCH_TIMESTAMP_END 11
#define ITCH_REF 11
#define ITCH_ADD_SIDE 19
#define ITCH_ADD_SHARES 20
#define ITCH_ADD_STOCK 24
#define ITCH_ADD_PRICE 32
#define ITCH_REDUCE_SHARES 19
#define ITCH_EXECUTED_PRINTABLE 31
#define ITCH_EXECUTED_PRICE 32
#define ITCH_REPLACE_NEW_REF 19
#define ITCH_REPLACE_SHARES 27
#define ITCH_REPLACE_PRICE 31

/* A live order where it lies. */
struct order_place {
	struct hft_bucket *bucket;
	__u64 way;
	__u64 value;
	__s64 spilled; /* its position there, or HFT_ABSENT */
};

/* 0, or what is wrong with a reference to an order of this slot. */
hft_inline __u32 order_get(struct order_place *order, __u64 ref, __u32 slot)
{
	__u64 key = hft_order_key(packet_feed, ref);

	if (ref - 1 >= HFT_MAX_REF)
		return HFT_C_BOOK_UNKNOWN_REF;
	order->spilled = HFT_ABSENT;
	order->bucket = order_bucket(key);
	order->way = hft_masked(key, HFT_BUCKET_SLOTS);
	if (!table_matches(order->bucket, order->way, key, HFT_ORDER_KEY_BITS))
		order->way = order_way(order->bucket, key);
	if (order->way >= HFT_BUCKET_SLOTS) {
		if (order->bucket->key[0] & HFT_SPILL_MASK)
			order->spilled = spill_find(key);
		if (order->spilled < 0)
			return HFT_C_BOOK_UNKNOWN_REF;
		order->bucket = table_bucket(order_spill, config.spill_mask, order->spilled);
		order->way = hft_masked(order->spilled, HFT_BUCKET_SLOTS);
	}
	if (hft_key_slot(order->bucket->key[order->way]) != slot)
		return HFT_C_ITCH_BAD_FIELD;
	order->value = order->bucket->value[order->way];
	return 0;
}

#define ORDER_QTY(value) ((__u32)(value))
#define ORDER_SIDE(value) ((__u32)((value) >> 32) & 1)
#define ORDER_PRICE(value) ((__u32)((value) >> 33))

/* The order that a message names is gone, with the shares it had. */
hft_inline void order_end(const struct order_place *order, struct hft_book *book, __u32 slot, const __u8 *msg)
{
	if (order->spilled >= 0) {
		order_unspill(hft_order_key(packet_feed, load_be64(msg + ITCH_REF)), order->spilled);
	} else {
		order->bucket->key[order->way] &= HFT_SPILL_MASK;
		order->bucket->value[order->way] = 0;
	}
	book->book_orders--;
	level_take(book, slot, ORDER_SIDE(order->value), ORDER_PRICE(order->value),
		   ORDER_QTY(order->value) + HFT_CELL_ORDER);
}

/* Trades: what counts as last, volume and VWAP */

hft_inline void print_trade(struct hft_book *book, const __u8 *msg, __u32 price_e4, __u64 shares)
{
	__u64 low = (__u64)price_e4 * (__u32)shares, high = (__u64)price_e4 * (shares >> 32);

	book->last_ns = load_be48(msg + ITCH_TIMESTAMP);
	book->last_e4 = price_e4;
	book->last_qty = shares >> 32 ? 0xffffffff : (__u32)shares;
	book->volume += shares;
	book->notional_e4 += low;
	book->notional_high += (book->notional_e4 < low) + (high >> 32);
	low = high << 32;
	book->notional_e4 += low;
	book->notional_high += book->notional_e4 < low;
}

/* One message */

hft_inline bool is_price(__u32 price_e4)
{
	return price_e4 - 1 < HFT_ITCH_MAX_PRICE_E4;
}

/* An order joins: checked before by the caller, but for the tables' bounds. */
hft_inline __u32 order_begin(struct hft_book *book, struct hft_bucket *bucket, __u64 key, __u32 slot, __u32 side,
			     __u32 price_e4, __u32 qty)
{
	if (level_add(book, slot, side, price_e4, qty))
		return HFT_C_BOOK_FULL;
	if (order_insert(bucket, key, slot, hft_order_value(side, price_e4, qty)))
		return HFT_C_BOOK_FULL;
	book->book_orders++;
	return 0;
}

/* A, F. 'B' is even and 'S' is odd, as HFT_BUY and HFT_SELL are; which of the two it is must not become a branch. */
hft_inline __u32 book_add(struct hft_book *book, __u32 slot, const __u8 *msg)
{
	__u64 ref = load_be64(msg + ITCH_REF), key = hft_order_key(packet_feed, ref);
	__u32 price_e4 = load_be32(msg + ITCH_ADD_PRICE), qty = load_be32(msg + ITCH_ADD_SHARES);
	__u32 letter = msg[ITCH_ADD_SIDE];
	struct hft_bucket *bucket = order_bucket(key);

	if ((letter ^ 'B') * (letter ^ 'S') || !qty || !is_price(price_e4) || ref - 1 >= HFT_MAX_REF ||
	    load_raw64(msg + ITCH_ADD_STOCK) != load_raw64(book->name))
		return HFT_C_ITCH_BAD_FIELD;
	if (!order_absent(bucket, key))
		return HFT_C_BOOK_DUPLICATE_REF;
	return order_begin(book, bucket, key, slot, letter & 1, price_e4, qty);
}

/* D */
hft_inline __u32 book_delete(struct hft_book *book, __u32 slot, const __u8 *msg)
{
	struct order_place order;
	__u32 failed = order_get(&order, load_be64(msg + ITCH_REF), slot);

	if (!failed)
		order_end(&order, book, slot, msg);
	return failed;
}

/* E, C, X */
hft_inline __u32 book_reduce(struct hft_book *book, __u32 slot, const __u8 *msg)
{
	__u32 qty = load_be32(msg + ITCH_REDUCE_SHARES), price_e4, failed;
	struct order_place order;

	if (msg[0] == 'C' && ((msg[ITCH_EXECUTED_PRINTABLE] != 'Y' && msg[ITCH_EXECUTED_PRINTABLE] != 'N') ||
			      !is_price(load_be32(msg + ITCH_EXECUTED_PRICE))))
		return HFT_C_ITCH_BAD_FIELD;
	failed = order_get(&order, load_be64(msg + ITCH_REF), slot);
	if (failed)
		return failed;
	if (!qty)
		return HFT_C_ITCH_BAD_FIELD;
	if (qty > ORDER_QTY(order.value))
		return HFT_C_BOOK_OVER_REDUCE;
	price_e4 = ORDER_PRICE(order.value);
	if (msg[0] == 'E')
		print_trade(book, msg, price_e4, qty);
	else if (msg[0] == 'C' && msg[ITCH_EXECUTED_PRINTABLE] == 'Y')
		print_trade(book, msg, load_be32(msg + ITCH_EXECUTED_PRICE), qty);
	if (qty == ORDER_QTY(order.value)) {
		order_end(&order, book, slot, msg);
	} else {
		order.bucket->value[order.way] = order.value - qty;
		level_take(book, slot, ORDER_SIDE(order.value), price_e4, qty);
	}
	return 0;
}

/* U. What is needed of the message after the original has gone is read again: a chain of calls has 512 bytes of stack in all. */
hft_inline __u32 book_replace(struct hft_book *book, __u32 slot, const __u8 *msg)
{
	struct order_place order;
	__u32 side, failed;
	__u64 ref, key;

	failed = order_get(&order, load_be64(msg + ITCH_REF), slot);
	if (failed)
		return failed;
	ref = load_be64(msg + ITCH_REPLACE_NEW_REF);
	key = hft_order_key(packet_feed, ref);
	if (!load_be32(msg + ITCH_REPLACE_SHARES) || !is_price(load_be32(msg + ITCH_REPLACE_PRICE)) ||
	    ref - 1 >= HFT_MAX_REF)
		return HFT_C_ITCH_BAD_FIELD;
	if (!order_absent(order_bucket(key), key))
		return HFT_C_BOOK_DUPLICATE_REF;
	side = ORDER_SIDE(order.value);
	order_end(&order, book, slot, msg);
	hft_opaque(msg);
	hft_opaque(slot);
	book = book_at(slot);
	key = hft_order_key(packet_feed, load_be64(msg + ITCH_REPLACE_NEW_REF));
	return order_begin(book, order_bucket(key), key, slot, side, load_be32(msg + ITCH_REPLACE_PRICE),
			   load_be32(msg + ITCH_REPLACE_SHARES));
}

#endif
