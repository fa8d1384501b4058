/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* QUOTER: a bid and an offer of our own around the middle, both leaning against the position. Rule 5. */
#ifndef HFT_QUOTER_BPF_H
#define HFT_QUOTER_BPF_H

#define HFT_MOST_STEP 0x7fffffffULL /* keeps sums of prices inside 63 bits */
#define HFT_SKEW_LOT 100

/* Where a quote of that side should stand; 0 or less: nowhere. */
hft_inline __s64 quote_price(__u32 side, __s64 half_e4, __s64 skew_e4)
{
	__s64 bid_e4 = signal.after.price_e4[HFT_BUY], ask_e4 = signal.after.price_e4[HFT_SELL], price;
	__u64 tick = signal.tick_e4 ?: HFT_DEFAULT_TICK_E4;

	/* Division is unsigned: what is not above 0 is left as it is. */
	if (side == HFT_BUY) {
		price = (__s64)((__u64)(bid_e4 + ask_e4) / 2) - half_e4 - skew_e4;
		if (price > 0)
			price -= (__u64)price % tick;
		return price >= ask_e4 ? ask_e4 - (__s64)tick : price;
	}
	price = (__s64)((__u64)(bid_e4 + ask_e4 + 1) / 2) + half_e4 - skew_e4;
	if (price > 0)
		price = ((__u64)price + tick - 1) / tick * tick;
	return price <= bid_e4 ? bid_e4 + (__s64)tick : price;
}

hft_inline void quote_side(const struct hft_symbol_params *params, __u32 side, __s64 half_e4, __s64 skew_e4)
{
	const struct hft_own *own = &signal.own[hft_masked(side, 2)];
	__u64 qty = at_most(at_most(params->quote_qty, 0xffffffff), signal.room[hft_masked(side, 2)] + own->qty);
	__u64 most = at_most(params->quote_inventory, HFT_MOST_STEP), apart;
	__s64 price = quote_price(side, half_e4, skew_e4), held = side == HFT_BUY ? signal.position : -signal.position;
	bool wanted = price > 0 && price <= HFT_OUCH_MAX_PRICE_E4 && qty && held < (__s64)most;

	if (!own->ref) {
		if (wanted)
			want(HFT_ACTION_ENTER, side, (__u32)price, (__u32)qty, 0, HFT_TIF_DAY);
		return;
	}
	if (own->state != HFT_ORDER_LIVE || own->pending)
		return;
	apart = absolute((__s64)own->price_e4 - price);
	if (!wanted)
		want(HFT_ACTION_CANCEL, 0, 0, 0, own->ref, 0);
	else if (apart >= (at_most(params->quote_requote_e4, HFT_MOST_STEP) ?: 1))
		want(HFT_ACTION_REPLACE, side, (__u32)price, (__u32)qty, own->ref, HFT_TIF_DAY);
}

hft_global int ask_quoter(__u32 slot)
{
	const struct hft_symbol_params *params = params_at(slot);
	__u32 bid_e4 = signal.after.price_e4[HFT_BUY], ask_e4 = signal.after.price_e4[HFT_SELL];
	__u64 half_e4, lean;
	__s64 skew_e4;

	if (!params->quote_qty || !params->quote_half_spread_e4 || !bid_e4 || bid_e4 >= ask_e4)
		return 0;
	half_e4 = at_most(params->quote_half_spread_e4, HFT_MOST_STEP);
	lean = at_most(absolute(signal.position), 0xffffffff) * at_most(params->quote_skew_e4, HFT_MOST_STEP);
	lean = at_most(lean / HFT_SKEW_LOT, HFT_MOST_STEP);
	skew_e4 = signal.position < 0 ? -(__s64)lean : (__s64)lean;
	quote_side(params, HFT_BUY, half_e4, skew_e4);
	quote_side(params, HFT_SELL, half_e4, skew_e4);
	return 0;
}

#endif
