/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * SIGNAL: which symbols a packet touched, what their strategies are told, and what they want. Rule 5.
 */
#ifndef HFT_SIGNAL_BPF_H
#define HFT_SIGNAL_BPF_H

#define HFT_DEFAULT_TICK_E4 100 /* one cent */

/* An intent on its way through the gate, and what became of it. */
struct pending {
	__u32 slot;
	__u32 strategy;
	struct hft_intent intent;
	__u64 feed_seq;
	__u64 exchange_ns;
	__u64 epoch; /* that it was decided under */
	__u32 reason; /* of the gate */
	__u32 shadow; /* 1 = it will not leave, whatever the gate says */
	__u32 user_ref; /* of the order that left, or of the one that a cancel names; 0 = nothing left */
	__u32 short_sale;
};

static __u32 touched[HFT_MAX_TOUCHED] HFT_STATE;
static __u32 touched_len HFT_STATE;
static __u32 packet_number HFT_STATE;
static struct pending pending[HFT_MAX_PENDING] HFT_STATE;
static __u32 pending_len HFT_STATE;
static __u32 pending_real HFT_STATE; /* of them not in shadow */
static __u64 decide_ns HFT_STATE; /* the gate's clock for this packet */

static __u64 asked_epoch HFT_STATE; /* read before anything that a strategy is told */

static struct hft_touch touch HFT_STATE; /* of the symbol whose strategies are asked */
static struct hft_signal signal HFT_STATE;
static struct hft_intents intents HFT_STATE;

hft_inline void packet_begin(void)
{
	packet_number++;
	touched_len = 0;
	pending_len = 0;
	pending_real = 0;
}

/* The gate's clock for what a feed decides. */
hft_inline __u64 feed_now(const struct hft_feed_state *feed)
{
	return config.clock == HFT_CLOCK_FEED ? feed->seen_ns : entry_ns;
}

/* A message changed the book of a symbol that has a strategy or a position: it is looked at when the packet is read. */
hft_inline void symbol_touch(struct hft_book *book, __u32 slot, __u64 feed_seq)
{
	__u32 at = touched_len;

	book->touched_seq = feed_seq;
	if (book->touched == packet_number)
		return;
	book->touched = packet_number;
	if (at >= HFT_MAX_TOUCHED) {
		count(HFT_C_TRIGGERS_DROPPED);
		return;
	}
	touched[hft_masked(at, HFT_MAX_TOUCHED)] = slot;
	touched_len = at + 1;
}

hft_inline void touch_read(const struct hft_book *book)
{
	for (__u32 side = 0; side < 2; side++) {
		__u64 cell = level_best(book, side);

		touch.price_e4[side] = book->best_e4[side];
		touch.qty[side] = (__u32)at_most(cell & HFT_CELL_QTY, 0xffffffff);
		touch.orders[side] = (__u32)(cell >> 40);
	}
	touch.last_e4 = book->last_e4;
	touch.last_qty = book->last_qty;
	touch.volume = book->volume;
}

hft_inline __u64 room_of(__s64 room)
{
	return room > 0 ? room : 0;
}

/* The newest open order of each side. */
hft_inline void own_read(const struct hft_symbol_state *state)
{
	__builtin_memset(signal.own, 0, sizeof(signal.own));
	if (!state->open_orders)
		return;
	hft_rolled for (__u32 i = 0; i < HFT_MAX_OPEN; i++)
	{
		__u32 ref = state->open_ref[i];
		const struct hft_working *order = working_at(ref);
		struct hft_own *own;

		if (!ref)
			continue;
		own = &signal.own[hft_masked(order->side, 2)];
		if (ref <= own->ref)
			continue;
		own->ref = ref;
		own->price_e4 = order->price_e4;
		own->qty = order->open_qty;
		own->state = order->state;
		own->pending = order->pending;
	}
}

/* Fill in the signal of a symbol. */
hft_global int signal_read(__u32 slot)
{
	const struct hft_symbol_params *params = params_at(slot);
	const struct hft_symbol_state *state = state_at(slot);
	const struct hft_memory *before = memory_at(slot);
	const struct hft_book *book = book_at(slot);
	const struct hft_symbol_limits *limits = symbol_limits_of(asked_epoch, slot);
	__s64 borrowed = limits->short_ok == 1 ? at_most(limits->max_short, HFT_MAX_POSITION) : 0;
	signal.slot = slot;
	signal.feed_seq = book->touched_seq;
	signal.exchange_ns = book->exchange_ns;
	signal.now_ns = decide_ns;
	signal.position = state->position;
	signal.room[HFT_BUY] = room_of((__s64)at_most(limits->max_long, HFT_MAX_POSITION) - state->position -
				       (__s64)state->open_qty[HFT_BUY]);
	signal.room[HFT_SELL] = room_of(state->position - (__s64)state->open_qty[HFT_SELL] + borrowed);
	signal.open_qty[HFT_BUY] = state->open_qty[HFT_BUY];
	signal.open_qty[HFT_SELL] = state->open_qty[HFT_SELL];
	signal.open_orders = state->open_orders;
	signal.tick_e4 = params->tick_e4 ? (__u32)at_most(params->tick_e4, 0xffffffff) : HFT_DEFAULT_TICK_E4;
	signal.before = before->touch;
	signal.after = touch;
	own_read(state);
	return 0;
}

hft_inline void want(__u32 action, __u32 side, __u32 price_e4, __u32 qty, __u32 ref, __u32 tif)
{
	struct hft_intent *intent = &intents.intent[hft_masked(intents.count, HFT_MAX_INTENTS)];

	intents.count++;
	intent->action = action;
	intent->side = side;
	intent->price_e4 = price_e4;
	intent->qty = qty;
	intent->ref = ref;
	intent->tif = tif;
}

/* Take what rests on the other side, as far as the limits leave room, and only one order at a time. */
hft_inline void take(__u32 side, __u64 qty, __u32 price_e4)
{
	qty = at_most(at_most(qty, 0xffffffff), signal.room[hft_masked(side, 2)]);
	if (signal.open_orders)
		intents.wait = HFT_WAIT_IN_FLIGHT;
	else if (!qty)
		intents.wait = HFT_WAIT_LIMIT;
	else
		want(HFT_ACTION_ENTER, side, price_e4, (__u32)qty, 0, HFT_TIF_SESSION);
}

#endif
