/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* THRESHOLD: buy at or below a price, sell what is held at or above one; the further beyond, the more. Rule 5. */
#ifndef HFT_THRESHOLD_BPF_H
#define HFT_THRESHOLD_BPF_H

#define HFT_QTY_CLAMP 1000000ULL /* keeps base + step * ticks inside 64 bits whatever user space wrote */

hft_inline __u64 threshold_qty(const struct hft_symbol_params *params, __u64 beyond_e4)
{
	__u64 ticks = at_most(beyond_e4 / (signal.tick_e4 ?: HFT_DEFAULT_TICK_E4), 0xffffffff);
	__u64 base = at_most(params->base_qty, HFT_QTY_CLAMP), step = at_most(params->step_qty, HFT_QTY_CLAMP);

	return at_most(base + step * ticks, params->cap_qty);
}

hft_global int ask_threshold(__u32 slot)
{
	const struct hft_symbol_params *params = params_at(slot);
	__u32 bid_e4 = signal.after.price_e4[HFT_BUY], ask_e4 = signal.after.price_e4[HFT_SELL];
	__u64 sell_above, buy_below;
	__s64 position = signal.position;

	/* Once: user space may store another while this reads. */
	sell_above = *(const volatile __u64 *)&params->sell_above_e4;
	buy_below = *(const volatile __u64 *)&params->buy_below_e4;
	if (sell_above && bid_e4 && bid_e4 >= sell_above && position > 0)
		take(HFT_SELL, at_most(threshold_qty(params, bid_e4 - sell_above), position), bid_e4);
	else if (buy_below && ask_e4 && ask_e4 <= buy_below)
		take(HFT_BUY, threshold_qty(params, buy_below - ask_e4), ask_e4);
	return 0;
}

#endif
