/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* IMBALANCE: when one side of the touch outweighs the other, take from the lighter one before it is gone. Rule 5. */
#ifndef HFT_IMBALANCE_BPF_H
#define HFT_IMBALANCE_BPF_H

#define HFT_PPM 1000000ULL
#define HFT_MOST_PPM (2 * HFT_PPM) /* more can never be reached */

hft_global int ask_imbalance(__u32 slot)
{
	const struct hft_symbol_params *params = params_at(slot);
	__u32 bid_e4 = signal.after.price_e4[HFT_BUY], ask_e4 = signal.after.price_e4[HFT_SELL];
	__u64 bids = signal.after.qty[HFT_BUY], asks = signal.after.qty[HFT_SELL], wanted;

	if (!params->imbalance_ppm || !bid_e4 || !ask_e4 || bids + asks < params->imbalance_least)
		return 0;
	wanted = at_most(params->imbalance_ppm, HFT_MOST_PPM) * (bids + asks);
	if (bids * HFT_PPM >= wanted)
		take(HFT_BUY, params->imbalance_qty, ask_e4);
	else if (asks * HFT_PPM >= wanted)
		take(HFT_SELL, params->imbalance_qty, bid_e4);
	return 0;
}

#endif
