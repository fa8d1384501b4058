/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* POSITION and P&L: exact integers, average cost, rounding kept inside the position; the account's sums; the latches. Rule 9. */
#ifndef HFT_POSITION_BPF_H
#define HFT_POSITION_BPF_H

#define E8_PER_E4 10000
#define MOST_SIGNED 0x7fffffffffffffffULL

hft_inline __u64 absolute(__s64 value)
{
	return value < 0 ? -value : value;
}

/* The limits that hold: each decision reads the epoch once and takes all of its limits from that set. */
hft_inline const struct hft_limits *limits_of(__u64 epoch)
{
	return &limits[hft_masked(epoch, 2)];
}

hft_inline const struct hft_symbol_limits *symbol_limits_of(__u64 epoch, __u32 slot)
{
	return hft_element(symbol_limits, (epoch & 1) * config.symbols + slot, 2 * config.symbols);
}

/* The account's sums are kept right by taking a symbol out of them before it changes, and putting it back in afterwards. */
hft_inline void account_without(struct hft_account *account, const struct hft_symbol_state *state)
{
	account->realized_e4 -= state->realized_e4;
	account->unrealized_e4 -= state->unrealized_e4;
	account->fees_e8 -= state->fees_e8;
	account->gross_e4 -= absolute(state->exposure_e4);
	account->net_e4 -= state->exposure_e4;
}

hft_inline void account_with(struct hft_account *account, const struct hft_symbol_state *state)
{
	account->realized_e4 += state->realized_e4;
	account->unrealized_e4 += state->unrealized_e4;
	account->fees_e8 += state->fees_e8;
	account->gross_e4 += absolute(state->exposure_e4);
	account->net_e4 += state->exposure_e4;
}

/* What a position is valued at now; 0 = there is no such price. */
hft_inline __u32 mark_price(const struct hft_book *book, __s64 position)
{
	__u64 bid_e4 = book->best_e4[HFT_BUY], ask_e4 = book->best_e4[HFT_SELL];

	if (control.mark == HFT_MARK_MID)
		return bid_e4 && ask_e4 ? (bid_e4 + ask_e4) / 2 : 0;
	if (control.mark == HFT_MARK_LAST)
		return book->last_e4;
	return position > 0 ? bid_e4 : ask_e4;
}

hft_inline void position_mark(struct hft_book *book, struct hft_symbol_state *state)
{
	__u32 price_e4;

	book->holds = state->position != 0;
	price_e4 = state->position ? mark_price(book, state->position) : 0;
	if (price_e4 || !state->position)
		state->mark_e4 = price_e4;
	state->exposure_e4 = state->mark_e4 ? state->position * (__s64)state->mark_e4 : state->cost_e4;
	state->unrealized_e4 = state->exposure_e4 - state->cost_e4;
}

/*
 * closed x cost / shares without a 128-bit product: shares <= 10^9 keeps remainder x closed inside 63 bits.
 */
hft_inline __u64 cost_of_closed(__u64 cost_e4, __u64 shares, __u64 closed)
{
	return closed * (cost_e4 / shares) + closed * (cost_e4 % shares) / shares;
}

/* Shares change hands: position, cost and what was realized; none of the sums. */
hft_inline void position_move(struct hft_symbol_state *state, __u32 side, __u32 qty, __u32 price_e4)
{
	bool is_long = state->position > 0, buys = side == HFT_BUY;
	__u64 held = absolute(state->position), rest = qty;

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
}

/* A trade of ours, as it happened (many = 1) or taken back (many = -1: position and cost by a trade of the other side). */
hft_inline void position_trade(struct hft_book *book, struct hft_symbol_state *state, struct hft_account *account,
			       __u32 side, const struct hft_execution *trade, __s64 many)
{
	__s64 qty = many * (__s64)trade->qty, notional = qty * (__s64)trade->price_e4;
	const __s64 *fee = hft_at(fees, trade->flag & 0xff);

	account_without(account, state);
	position_move(state, many > 0 ? side : side ^ 1, trade->qty, trade->price_e4);
	state->fills += many;
	if (side == HFT_BUY) {
		state->bought_qty += qty;
		state->bought_e4 += notional;
	} else {
		state->sold_qty += qty;
		state->sold_e4 += notional;
	}
	if (fee)
		state->fees_e8 += qty * *fee;
	position_mark(book, state);
	account_with(account, state);
}

/* Latches */

hft_inline void latch_event(__u32 latch, __u32 slot, __u32 strategy)
{
	struct hft_event *event = event_begin(HFT_EVENT_LATCHED, slot);

	if (!event)
		return;
	event->reason = latch;
	event->strategy = strategy;
	event_end(event);
}

/* Is the loss at its limit? Fees are rounded up. */
hft_inline bool loss_reached(__s64 realized_e4, __s64 unrealized_e4, __s64 fees_e8, __u64 most_e4)
{
	__u64 fees_e4 = (absolute(fees_e8) + (fees_e8 > 0 ? E8_PER_E4 - 1 : 0)) / E8_PER_E4;
	__s64 lost = (fees_e8 < 0 ? -(__s64)fees_e4 : (__s64)fees_e4) - realized_e4 - unrealized_e4;

	return lost >= (__s64)at_most(most_e4, MOST_SIGNED);
}

/* What has reached its limit stays off. `strategy`: HFT_STRATEGIES = no strategy's executions changed. */
hft_global int latches_check(__u32 slot, __u32 strategy)
{
	__u64 epoch = *(const volatile __u64 *)&control.epoch, which = strategy;
	const struct hft_symbol_limits *symbol = symbol_limits_of(epoch, slot);
	const struct hft_limits *limits = limits_of(epoch);
	struct hft_symbol_state *state = state_at(slot);
	struct hft_account *account = the_account();

	if (CLAUSE(!state->loss_latched &&
		   loss_reached(state->realized_e4, state->unrealized_e4, state->fees_e8, symbol->max_loss_e4))) {
		state->loss_latched = 1;
		latch_event(HFT_LATCH_SYMBOL_LOSS, slot, 0);
	}
	if (CLAUSE(!account->loss_latched && loss_reached(account->realized_e4, account->unrealized_e4,
							  account->fees_e8, limits->account.max_loss_e4))) {
		account->loss_latched = 1;
		latch_event(HFT_LATCH_LOSS, HFT_NO_SYMBOL, 0);
	}
	hft_opaque(which);
	if (which >= HFT_STRATEGIES)
		return 0;
	if (CLAUSE(!account->strategy[which].latched &&
		   account->strategy[which].executions >= limits->strategy[which].max_executions)) {
		account->strategy[which].latched = 1;
		latch_event(HFT_LATCH_EXECUTIONS, HFT_NO_SYMBOL, strategy);
	}
	return 0;
}

#endif
