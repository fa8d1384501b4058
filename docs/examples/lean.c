/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Leans on the heavier side of the touch: buys at the offer while the bids outweigh it, sells at the bid while the offers do. */
#include <hft/strategy_api.h>

HFT_PARAMS struct {
	__u32 qty; /* shares of an order; 0 = none */
	__u32 heavy_pct; /* from which share of the touch on a side is heavy */
	__u64 most_spread_e4; /* nothing while the spread is wider */
	__u64 rest_ns; /* an order that rests for longer is taken back */
} params = { .qty = 100, .heavy_pct = 80, .most_spread_e4 = 200, .rest_ns = 1000000 };

static __u64 sent_ns[HFT_MAX_SYMBOLS]; /* variables of its own, and maps: they begin anew with each swap */

int hft_user_strategy(const struct hft_signal *signal, struct hft_intents *intents)
{
	if (!signal || !intents)
		return 0;
	const struct hft_touch *now = &signal->after;
	const struct hft_own *own = &signal->own[signal->own[HFT_SELL].ref ? HFT_SELL : HFT_BUY];
	__u64 *sent = &sent_ns[signal->slot & (HFT_MAX_SYMBOLS - 1)];
	__u32 side = now->qty[HFT_BUY] >= now->qty[HFT_SELL] ? HFT_BUY : HFT_SELL;
	__u64 all = (__u64)now->qty[HFT_BUY] + now->qty[HFT_SELL];
	__u32 qty = hft_within_room(signal, side, params.qty);

	if (own->ref) {
		if (hft_can_change(own) && signal->now_ns - *sent > params.rest_ns)
			hft_cancel(intents, own->ref);
	} else if (now->price_e4[HFT_BUY] && now->price_e4[HFT_SELL] &&
		   now->price_e4[HFT_SELL] - now->price_e4[HFT_BUY] <= params.most_spread_e4 &&
		   now->qty[side] * 100ULL >= params.heavy_pct * all) {
		if (!qty)
			hft_wait_for(intents, HFT_WAIT_LIMIT);
		else if (hft_enter(intents, side, now->price_e4[side == HFT_BUY ? HFT_SELL : HFT_BUY], qty,
				   HFT_TIF_DAY))
			*sent = signal->now_ns;
	}
	return 0;
}
