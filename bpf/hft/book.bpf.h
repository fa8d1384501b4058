/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * BOOK: orders by reference, on top of levels. Rule 4.
 *
 * An order lies in the way of a bucket of four that the lowest bits of its reference name, nearly always and alone: then one word tells
 * whether it is there and whose it is. Neighbouring references share cache lines, as they share time. What finds its way taken goes to
 * another of the bucket, or to the spill, whose bounds are table.bpf.h's; its way counts it.
 *
 * Each function takes one message of a bound symbol and returns 0, or the counter that names what was wrong; then the symbol
 * is to be quarantined. Cost: three cache lines (order, symbol, level) when the level is near the touch, one more behind the window.
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

hft_inline struct hft_bucket *order_bucket(__u64 key)
{
	return hft_element(book_orders, key / HFT_BUCKET_SLOTS, config.order_mask + 1);
}

/* The way that a key names: where its order lies unless another was there. The order's value is HFT_BUCKET_SLOTS words behind. */
hft_inline __u64 *order_home(__u64 key)
{
	return &order_bucket(key)->key[hft_masked(key, HFT_BUCKET_SLOTS)];
}

/* One order more, or one less, of this way lives elsewhere. */
hft_inline void order_moved(__u64 *home)
{
	if ((*home & HFT_SPILL_MASK) != HFT_SPILL_MASK)
		*home += HFT_SPILL_ONE;
}

hft_inline void order_returned(__u64 *home)
{
	if ((*home & HFT_SPILL_MASK) != HFT_SPILL_MASK)
		*home -= HFT_SPILL_ONE;
}

/* Where an order lies that is not alone in its way: another way of its bucket, 4 + position in the spill, or HFT_ABSENT. */
hft_global __s64 order_seek(__u64 key)
{
	struct hft_bucket *bucket = order_bucket(key);
	__s64 spilled;

	for (__u32 way = 0; way < HFT_BUCKET_SLOTS; way++)
		if (table_matches(bucket, way, key, HFT_ORDER_KEY_BITS))
			return way;
	if (!(*order_home(key) & HFT_SPILL_MASK))
		return HFT_ABSENT;
	spilled = table_find(order_spill, spill_home(key), config.spill_mask, key, HFT_ORDER_KEY_BITS);
	return spilled < 0 ? HFT_ABSENT : spilled + HFT_BUCKET_SLOTS;
}

/* An order whose way is taken: into another, or the spill. 0, or -1 when that is full. */
hft_global int order_crowd(__u64 entry, __u64 value)
{
	__u64 key = entry & ((1ULL << HFT_ORDER_KEY_BITS) - 1);
	struct hft_bucket *bucket = order_bucket(key);

	hft_rolled for (__u32 i = 0; i < HFT_BUCKET_SLOTS; i++)
	{
		__u64 way = hft_masked(key + i, HFT_BUCKET_SLOTS);

		if (bucket->value[way])
			continue;
		bucket->key[way] = (bucket->key[way] & HFT_SPILL_MASK) | entry;
		bucket->value[way] = value;
		if (i)
			order_moved(order_home(key));
		return 0;
	}
	order_moved(order_home(key));
	return table_insert(order_spill, spill_home(key), config.spill_mask, entry, value);
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

/* A live order where it lies: key and value. */
struct order_place {
	__u64 *key;
	__u64 value;
	__s64 sought; /* what order_seek said of it; HFT_ABSENT if it lies in its way, alone */
};

hft_inline __u64 *order_value(__u64 *key)
{
	return key + HFT_BUCKET_SLOTS;
}

hft_inline bool is_ref(__u64 ref)
{
	return ref && !(ref >> 44);
}

/* 0, or what is wrong with a reference to an order of this slot. */
hft_inline __u32 order_get(struct order_place *order, __u64 ref, __u32 slot)
{
	__u64 key = hft_order_key(packet_feed, ref);
	struct hft_bucket *bucket;

	if (!is_ref(ref))
		return HFT_C_BOOK_UNKNOWN_REF;
	order->key = order_home(key);
	order->sought = HFT_ABSENT;
	if (*order->key != (key | (__u64)slot << HFT_ORDER_KEY_BITS)) {
		order->sought = order_seek(key);
		if (order->sought < 0)
			return HFT_C_BOOK_UNKNOWN_REF;
		bucket = order_bucket(key);
		if (order->sought >= HFT_BUCKET_SLOTS)
			bucket = table_bucket(order_spill, config.spill_mask, order->sought - HFT_BUCKET_SLOTS);
		order->key = &bucket->key[hft_masked(order->sought, HFT_BUCKET_SLOTS)];
		if (hft_key_slot(*order->key) != slot)
			return HFT_C_ITCH_BAD_FIELD;
	}
	order->value = *order_value(order->key);
	return 0;
}

#define ORDER_QTY(value) ((__u32)(value))
#define ORDER_SIDE(value) ((__u32)((value) >> 32) & 1)
#define ORDER_PRICE(value) ((__u32)((value) >> 33))

/* An order that does not lie alone in its way is gone from where it lies. */
hft_global int order_leave(__u64 key, __s64 sought)
{
	struct hft_bucket *bucket = order_bucket(key);
	__u64 way = hft_masked(sought, HFT_BUCKET_SLOTS);

	if (sought >= HFT_BUCKET_SLOTS) {
		table_remove(order_spill, spill_home(key), config.spill_mask, sought - HFT_BUCKET_SLOTS);
	} else {
		bucket->key[way] &= HFT_SPILL_MASK;
		bucket->value[way] = 0;
		if (way == key % HFT_BUCKET_SLOTS)
			return 0;
	}
	order_returned(order_home(key));
	return 0;
}

/* The order that a message names is gone, with the shares it had. 0, or HFT_C_BOOK_FULL when its levels had to move and could not. */
hft_inline __u32 order_end(const struct order_place *order, struct hft_book *book, __u32 slot, const __u8 *msg)
{
	if (order->sought < 0) {
		*order->key = 0;
		*order_value(order->key) = 0;
	} else {
		order_leave(hft_order_key(packet_feed, load_be64(msg + ITCH_REF)), order->sought);
	}
	book->book_orders--;
	return level_take(book, slot, ORDER_SIDE(order->value), ORDER_PRICE(order->value),
			  ORDER_QTY(order->value) + HFT_CELL_ORDER)
		       ? HFT_C_BOOK_FULL
		       : 0;
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

/* Is there an order of this key, which names this way? A way that is empty, and from which none lives elsewhere, says no at a glance. */
hft_inline bool order_exists(const __u64 *home, __u64 key)
{
	return *home && order_seek(key) >= 0;
}

/* An order joins: checked before by the caller, but for the tables' bounds. */
hft_inline __u32 order_begin(struct hft_book *book, __u64 *home, __u64 key, __u32 slot, __u32 side, __u32 price_e4,
			     __u32 qty)
{
	__u64 entry = key | (__u64)slot << HFT_ORDER_KEY_BITS, value = hft_order_value(side, price_e4, qty);

	if (level_add(book, slot, side, price_e4, qty))
		return HFT_C_BOOK_FULL;
	if (!*home) {
		*home = entry;
		*order_value(home) = value;
	} else if (order_crowd(entry, value)) {
		return HFT_C_BOOK_FULL;
	}
	book->book_orders++;
	return 0;
}

/* A, F. 'B' is even and 'S' is odd, as HFT_BUY and HFT_SELL are; which of the two it is must not become a branch. */
hft_inline __u32 book_add(struct hft_book *book, __u32 slot, const __u8 *msg)
{
	__u64 ref = load_be64(msg + ITCH_REF), key = hft_order_key(packet_feed, ref), *home = order_home(key);
	__u32 price_e4 = load_be32(msg + ITCH_ADD_PRICE), qty = load_be32(msg + ITCH_ADD_SHARES);
	__u32 letter = msg[ITCH_ADD_SIDE];

	if ((letter ^ 'B') * (letter ^ 'S') || !qty || !is_price(price_e4) || !is_ref(ref) ||
	    load_raw64(msg + ITCH_ADD_STOCK) != load_raw64(book->name))
		return HFT_C_ITCH_BAD_FIELD;
	if (order_exists(home, key))
		return HFT_C_BOOK_DUPLICATE_REF;
	return order_begin(book, home, key, slot, letter & 1, price_e4, qty);
}

/* D */
hft_inline __u32 book_delete(struct hft_book *book, __u32 slot, const __u8 *msg)
{
	struct order_place order;
	__u32 failed = order_get(&order, load_be64(msg + ITCH_REF), slot);

	return failed ?: order_end(&order, book, slot, msg);
}

/* D, and E, C, X */
hft_inline __u32 book_reduce(struct hft_book *book, __u32 slot, const __u8 *msg)
{
	struct order_place order;
	__u32 qty, failed;

	if (msg[0] == 'C' && ((msg[ITCH_EXECUTED_PRINTABLE] != 'Y' && msg[ITCH_EXECUTED_PRINTABLE] != 'N') ||
			      !is_price(load_be32(msg + ITCH_EXECUTED_PRICE))))
		return HFT_C_ITCH_BAD_FIELD;
	failed = order_get(&order, load_be64(msg + ITCH_REF), slot);
	if (failed)
		return failed;
	qty = msg[0] == 'D' ? ORDER_QTY(order.value) : load_be32(msg + ITCH_REDUCE_SHARES);
	if (!qty)
		return HFT_C_ITCH_BAD_FIELD;
	if (qty > ORDER_QTY(order.value))
		return HFT_C_BOOK_OVER_REDUCE;
	if (msg[0] == 'E')
		print_trade(book, msg, ORDER_PRICE(order.value), qty);
	else if (msg[0] == 'C' && msg[ITCH_EXECUTED_PRINTABLE] == 'Y')
		print_trade(book, msg, load_be32(msg + ITCH_EXECUTED_PRICE), qty);
	if (qty == ORDER_QTY(order.value))
		return order_end(&order, book, slot, msg);
	*order_value(order.key) = order.value - qty;
	return level_take(book, slot, ORDER_SIDE(order.value), ORDER_PRICE(order.value), qty) ? HFT_C_BOOK_FULL : 0;
}

/* U. What is needed of the message after the original has gone is read again: a chain of calls has 512 bytes of stack in all. */
hft_inline __u32 book_replace(struct hft_book *book, __u32 slot, const __u8 *msg)
{
	struct order_place order;
	__u32 side, failed;
	__u64 ref, key, *home;

	failed = order_get(&order, load_be64(msg + ITCH_REF), slot);
	if (failed)
		return failed;
	ref = load_be64(msg + ITCH_REPLACE_NEW_REF);
	key = hft_order_key(packet_feed, ref);
	home = order_home(key);
	if (!load_be32(msg + ITCH_REPLACE_SHARES) || !is_price(load_be32(msg + ITCH_REPLACE_PRICE)) || !is_ref(ref))
		return HFT_C_ITCH_BAD_FIELD;
	if (order_exists(home, key))
		return HFT_C_BOOK_DUPLICATE_REF;
	side = ORDER_SIDE(order.value);
	failed = order_end(&order, book, slot, msg);
	if (failed)
		return failed;
	hft_opaque(msg);
	hft_opaque(slot);
	book = book_at(slot);
	key = hft_order_key(packet_feed, load_be64(msg + ITCH_REPLACE_NEW_REF));
	return order_begin(book, order_home(key), key, slot, side, load_be32(msg + ITCH_REPLACE_PRICE),
			   load_be32(msg + ITCH_REPLACE_SHARES));
}

#endif
