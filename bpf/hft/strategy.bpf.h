/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* STRATEGY: book and position in, intent out. Pure: it reads parameters and state, and writes nothing. Rule 5. */
#ifndef HFT_STRATEGY_BPF_H
#define HFT_STRATEGY_BPF_H

#define HFT_QTY_CLAMP 1000000ULL /* keeps base + step * ticks inside 64 bits whatever user space wrote */
#define HFT_DEFAULT_TICK_E4 100 /* one cent */

struct intent {
	__u32 slot;
	__u32 side; /* enum hft_side */
	__u32 price_e4;
	__u32 qty;
};

enum verdict_of_strategy {
	STRATEGY_NOTHING = 0,
	STRATEGY_WAIT_IN_FLIGHT,
	STRATEGY_WAIT_LIMIT,
	STRATEGY_INTENT,
};

/* base at the target, step more for each whole tick beyond it, never above the cap. */
hft_inline __u64 threshold_qty(const struct hft_symbol_params *params, __u64 beyond_e4)
{
	__u64 tick = params->tick_e4 ? at_most(params->tick_e4, 0xffffffff) : HFT_DEFAULT_TICK_E4;
	__u64 base = at_most(params->base_qty, HFT_QTY_CLAMP);
	__u64 step = at_most(params->step_qty, HFT_QTY_CLAMP);

	return at_most(base + step * at_most(beyond_e4 / tick, 0xffffffff), params->cap_qty);
}

hft_inline __u32 strategy_threshold(__u32 slot, const struct hft_symbol_params *params, const struct hft_book *book,
				    const struct hft_symbol_state *state, struct intent *intent)
{
	__u64 sell_above = params->sell_above_e4, buy_below = params->buy_below_e4;
	__u32 bid_e4 = book->best_e4[HFT_BUY], ask_e4 = book->best_e4[HFT_SELL];
	__s64 position = state->position;
	__u64 qty;

	intent->slot = slot;
	if (sell_above && bid_e4 && bid_e4 >= sell_above && position > 0) {
		intent->side = HFT_SELL;
		intent->price_e4 = bid_e4;
		qty = at_most(threshold_qty(params, bid_e4 - sell_above), position);
	} else if (buy_below && ask_e4 && ask_e4 <= buy_below) {
		__s64 room = (__s64)at_most(params->max_position, HFT_MAX_POSITION) - position;

		intent->side = HFT_BUY;
		intent->price_e4 = ask_e4;
		qty = room > 0 ? at_most(threshold_qty(params, buy_below - ask_e4), room) : 0;
	} else {
		return STRATEGY_NOTHING;
	}
	if (state->working_ref)
		return STRATEGY_WAIT_IN_FLIGHT;
	if (!qty)
		return STRATEGY_WAIT_LIMIT;
	intent->qty = (__u32)at_most(qty, 0xffffffff);
	return STRATEGY_INTENT;
}

#endif
