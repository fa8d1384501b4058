/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * WORKING: our own orders by UserRefNum, and what the open ones add up to. Rules 7 and 8. Nothing else changes the state of an order or
 * these sums; the caller holds the book open.
 */
#ifndef HFT_WORKING_BPF_H
#define HFT_WORKING_BPF_H

hft_inline bool order_is_open(const struct hft_working *order)
{
	return order->state == HFT_ORDER_SENT || order->state == HFT_ORDER_LIVE;
}

/* From now on the order counts as so many shares worth so much. */
hft_inline void order_counts(struct hft_working *order, struct hft_symbol_state *state, struct hft_account *account,
			     __u32 qty, __u64 notional_e4)
{
	__u64 side = hft_masked(order->side, 2);

	state->open_qty[side] += (__u64)qty - order->counted_qty;
	account->open_e4[side] += notional_e4 - order->counted_e4;
	order->counted_qty = qty;
	order->counted_e4 = notional_e4;
}

/* A live order's open quantity or price has changed. */
hft_inline void order_recount(struct hft_working *order, struct hft_symbol_state *state, struct hft_account *account)
{
	order_counts(order, state, account, order->open_qty, (__u64)order->open_qty * order->price_e4);
}

/* A new order takes a place among the open ones of its symbol. The gate has seen that there is one. */
hft_inline void order_opens(const struct hft_working *order, struct hft_symbol_state *state,
			    struct hft_account *account)
{
	hft_rolled for (__u32 i = 0; i < HFT_MAX_OPEN; i++)
	{
		if (state->open_ref[i])
			continue;
		state->open_ref[i] = order->user_ref;
		break;
	}
	state->open_orders++;
	account->open_orders++;
	account->strategy[hft_masked(order->strategy, HFT_STRATEGIES)].open_orders++;
}

/* An open order ends as `ending`; what is open of it has been dealt with. */
hft_inline void order_ends(struct hft_working *order, struct hft_symbol_state *state, struct hft_account *account,
			   __u32 ending)
{
	order_counts(order, state, account, 0, 0);
	order->open_qty = 0;
	order->state = ending;
	order->pending = 0;
	hft_rolled for (__u32 i = 0; i < HFT_MAX_OPEN; i++) if (state->open_ref[i] == order->user_ref)
		state->open_ref[i] = 0;
	state->open_orders--;
	account->open_orders--;
	account->strategy[hft_masked(order->strategy, HFT_STRATEGIES)].open_orders--;
}

/* A new entry for an order that is under way: nothing of it is heard yet. */
hft_inline void order_begins(struct hft_working *order, __u32 ref, __u32 slot, __u32 side, __u32 price_e4, __u32 qty)
{
	__builtin_memset(order, 0, sizeof(*order));
	order->user_ref = ref;
	order->state = HFT_ORDER_SENT;
	order->symbol = slot;
	order->side = side;
	order->price_e4 = price_e4;
	order->qty = qty;
	order->open_qty = qty;
	order->sent_ns = entry_ns;
}

/* It shall take the place of `old`: only what it adds to that counts, until it is answered. */
hft_inline void order_follows(struct hft_working *order, struct hft_working *old, struct hft_symbol_state *state,
			      struct hft_account *account)
{
	__u64 now_e4 = (__u64)old->price_e4 * old->open_qty, then_e4 = (__u64)order->price_e4 * order->qty;

	order->other_ref = old->user_ref;
	order->chain_qty = old->chain_qty + old->filled_qty;
	order->short_sale = old->short_sale;
	old->other_ref = order->user_ref;
	old->pending |= HFT_PENDING_REPLACE;
	order_counts(order, state, account, order->qty > old->open_qty ? order->qty - old->open_qty : 0,
		     then_e4 > now_e4 ? then_e4 - now_e4 : 0);
}

hft_inline void order_event(const struct hft_working *order, __u32 kind)
{
	struct hft_event *event = event_begin(kind, order->symbol);

	if (!event)
		return;
	event->side = order->side;
	event->user_ref = order->user_ref;
	event->price_e4 = order->price_e4;
	event->qty = order->qty;
	event->strategy = order->strategy;
	event_end(event);
}

/* Nothing comes of the replacement `order` of `old`. */
hft_inline void order_unfollowed(struct hft_working *old, const struct hft_working *order)
{
	if (old->user_ref != order->other_ref || old->state != HFT_ORDER_LIVE)
		return;
	old->pending &= ~HFT_PENDING_REPLACE;
	old->other_ref = 0;
}

/* An order or a replacement that the exchange never had, or will not carry out any more. */
hft_global int order_lost(__u32 ref)
{
	struct hft_working *order = working_at(ref);
	struct hft_account *account = the_account();
	struct hft_symbol_state *state;
	struct hft_book *book;

	if (order->user_ref != ref || order->state != HFT_ORDER_SENT)
		return -1;
	state = state_at(order->symbol);
	book = book_at(order->symbol);
	book_open(book);
	if (order->other_ref)
		order_unfollowed(working_at(order->other_ref), order);
	else
		state->canceled_qty += order->open_qty;
	order_ends(order, state, account, HFT_ORDER_LOST);
	book_close(book);
	order_event(order, HFT_EVENT_LOST);
	return 0;
}

#endif
