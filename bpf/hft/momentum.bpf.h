/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* MOMENTUM: trades that went through several ticks within a time are followed. Rule 5. */
#ifndef HFT_MOMENTUM_BPF_H
#define HFT_MOMENTUM_BPF_H

hft_inline __u32 ticks_more(__u32 ticks, __u32 from_e4, __u32 to_e4)
{
	__u64 moved = (to_e4 - from_e4) / (signal.tick_e4 ?: HFT_DEFAULT_TICK_E4);

	return (__u32)at_most(ticks + moved, 0xffffffff);
}

hft_global int ask_momentum(__u32 slot)
{
	const struct hft_symbol_params *params = params_at(slot);
	struct hft_memory *past = memory_at(slot);
	__u32 bid_e4 = signal.after.price_e4[HFT_BUY], ask_e4 = signal.after.price_e4[HFT_SELL];
	__u32 bid_before = signal.before.price_e4[HFT_BUY], ask_before = signal.before.price_e4[HFT_SELL];
	__u64 now = signal.exchange_ns, ticks;

	if (!params->momentum_ticks)
		return 0;
	ticks = params->momentum_ticks;
	if (!past->momentum_since_ns || now < past->momentum_since_ns ||
	    now - past->momentum_since_ns > params->momentum_window_ns) {
		past->momentum_since_ns = now ?: 1;
		past->momentum_up = 0;
		past->momentum_down = 0;
	}
	if (signal.after.volume != signal.before.volume) {
		if (ask_before && ask_e4 > ask_before)
			past->momentum_up = ticks_more(past->momentum_up, ask_before, ask_e4);
		if (bid_e4 && bid_e4 < bid_before)
			past->momentum_down = ticks_more(past->momentum_down, bid_e4, bid_before);
	}
	if (past->momentum_up >= ticks && past->momentum_up > past->momentum_down && ask_e4) {
		past->momentum_since_ns = 0;
		take(HFT_BUY, params->momentum_qty, ask_e4);
	} else if (past->momentum_down >= ticks && past->momentum_down > past->momentum_up && bid_e4) {
		past->momentum_since_ns = 0;
		take(HFT_SELL, params->momentum_qty, bid_e4);
	}
	return 0;
}

#endif
