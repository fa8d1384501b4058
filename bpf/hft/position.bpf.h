/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* POSITION and P&L: exact integers, average cost, rounding kept inside the position. Rule 9. */
#ifndef HFT_POSITION_BPF_H
#define HFT_POSITION_BPF_H

/* Value the position at the side it would hit. Called with the book open. */
hft_inline void position_mark(struct hft_book *book, struct hft_symbol_state *state)
{
	__u32 side_e4;

	book->holds = state->position != 0;
	if (!state->position) {
		state->mark_e4 = 0;
		state->unrealized_e4 = 0;
		return;
	}
	side_e4 = book->best_e4[state->position > 0 ? HFT_BUY : HFT_SELL];
	if (side_e4)
		state->mark_e4 = side_e4;
	state->unrealized_e4 = state->mark_e4 ? state->position * (__s64)state->mark_e4 - state->cost_e4 : 0;
}

/*
 * closed x cost / shares without a 128-bit product: shares <= 10^9 keeps remainder x closed inside 63 bits.
 */
hft_inline __u64 cost_of_closed(__u64 cost_e4, __u64 shares, __u64 closed)
{
	return closed * (cost_e4 / shares) + closed * (cost_e4 % shares) / shares;
}

hft_inline void position_fill(struct hft_book *book, struct hft_symbol_state *state, __u32 side, __u32 qty,
			      __u32 price_e4)
{
	__u64 notional = (__u64)price_e4 * qty, held = absolute(state->position), rest = qty;
	bool is_long = state->position > 0, buys = side == HFT_BUY;

	if (held && is_long != buys) {
		__u64 closed = at_most(qty, held), cost = absolute(state->cost_e4);
		__u64 out = cost_of_closed(cost, held, closed), proceeds = closed * price_e4;

		state->realized_e4 += is_long ? (__s64)(proceeds - out) : (__s64)(out - proceeds);
		held -= closed;
		cost -= out;
		state->position = is_long ? (__s64)held : -(__s64)held;
		state->cost_e4 = is_long ? (__s64)cost : -(__s64)cost;
		rest = qty - closed;
	}
	if (rest) {
		state->position += buys ? (__s64)rest : -(__s64)rest;
		state->cost_e4 += buys ? (__s64)(rest * price_e4) : -(__s64)(rest * price_e4);
	}
	state->fills++;
	if (buys) {
		state->bought_qty += qty;
		state->bought_e4 += notional;
	} else {
		state->sold_qty += qty;
		state->sold_e4 += notional;
	}
	position_mark(book, state);
}

#endif
